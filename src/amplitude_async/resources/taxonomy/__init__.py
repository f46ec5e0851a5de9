"""The tracking plan: categories, event types, event, user and group properties.

Every kind has the same verbs (``list``, ``get``, ``create``, ``update``, ``delete``, ``restore``), as far as Amplitude offers them:
categories cannot be restored, group properties neither deleted nor restored.

Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from amplitude_async.resources.taxonomy.event_properties import EventProperties
from amplitude_async.resources.taxonomy.events import Categories, EventTypes
from amplitude_async.resources.taxonomy.group_properties import GroupProperties
from amplitude_async.resources.taxonomy.shapes import (
    Category,
    CategoryAnswer,
    CategoryList,
    CategoryName,
    Classification,
    Done,
    EventProperty,
    EventPropertyAnswer,
    EventPropertyList,
    EventType,
    EventTypeAnswer,
    EventTypeList,
    GroupProperty,
    GroupPropertyAnswer,
    GroupPropertyList,
    OverrideScope,
    PropertyType,
    UserProperty,
    UserPropertyAnswer,
    UserPropertyList,
)
from amplitude_async.resources.taxonomy.user_properties import UserProperties

if TYPE_CHECKING:
    from amplitude_async.resources.runner import Runner

__all__ = [
    "Categories",
    "Category",
    "CategoryAnswer",
    "CategoryList",
    "CategoryName",
    "Classification",
    "Done",
    "EventProperties",
    "EventProperty",
    "EventPropertyAnswer",
    "EventPropertyList",
    "EventType",
    "EventTypeAnswer",
    "EventTypeList",
    "EventTypes",
    "GroupProperties",
    "GroupProperty",
    "GroupPropertyAnswer",
    "GroupPropertyList",
    "OverrideScope",
    "PropertyType",
    "Taxonomy",
    "UserProperties",
    "UserProperty",
    "UserPropertyAnswer",
    "UserPropertyList",
]


class Taxonomy:
    """The tracking plan: categories, event types and properties.

    It needs ``api_key`` and ``secret_key``, of the first environment of a Data project, and a plan that has the feature; others are
    answered 403 or 404. Answers are Amplitude's own: ``{"success": true}``, with ``data`` where something was asked for.

    Limits, kept here before Amplitude enforces them: at most 4 cost in flight and 7,200 cost an hour, where reading costs 1 and
    writing 2.

    Every call raises, beyond what its own documentation says:

    - ``InvalidArgumentError``: something is blank, or contradicts itself; nothing was sent.
    - ``BadRequestError`` (400) or ``NotFoundError`` (404): there is no such thing. Amplitude answers 404 for user properties and
      group types, 400 for the rest.
    - ``ResponseError`` with ``.status`` 409: a write contradicts the plan: it exists already, it is not there, it is deleted.
    - ``AuthenticationError``: the keys are wrong, of another region, or of an environment that is not the first.
    - ``RateLimitedError``, ``ServerError``, ``TransportError``: as everywhere; reads, updates and deletions are repeated, creations
      and restorations are not. A repeated update or deletion may be told 409 because the first one worked; ``.outcome`` is
      ``"unknown"`` then.

    Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    @property
    def categories(self) -> Categories:
        """Categories of events."""
        return Categories(self._runner)

    @property
    def events(self) -> EventTypes:
        """Event types."""
        return EventTypes(self._runner)

    @property
    def event_properties(self) -> EventProperties:
        """Properties of events, shared by all or overridden for one."""
        return EventProperties(self._runner)

    @property
    def user_properties(self) -> UserProperties:
        """Properties of users."""
        return UserProperties(self._runner)

    @property
    def group_properties(self) -> GroupProperties:
        """Properties of groups, shared by all group types or overridden for one."""
        return GroupProperties(self._runner)
