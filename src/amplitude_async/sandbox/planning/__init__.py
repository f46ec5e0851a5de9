"""The sandbox's tracking plan: what is planned, what came without a plan, and what was deleted.

The rules are those of https://amplitude.com/docs/apis/analytics/taxonomy. What that page leaves open is said where it was decided.
Everything here runs in the store's thread.
"""

from amplitude_async.sandbox.planning.events import Categories, EventTypes
from amplitude_async.sandbox.planning.fields import RefusedPlanError
from amplitude_async.sandbox.planning.properties import EVENT, GROUP, USER, Properties

__all__ = ["EVENT", "GROUP", "USER", "Categories", "EventTypes", "Properties", "RefusedPlanError"]
