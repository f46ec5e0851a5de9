"""What the Taxonomy API answers, as Amplitude spells it.

Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
"""

from __future__ import annotations

from typing import Literal, Required, TypedDict

__all__ = [
    "Category",
    "CategoryAnswer",
    "CategoryList",
    "CategoryName",
    "Classification",
    "Done",
    "EventProperty",
    "EventPropertyAnswer",
    "EventPropertyList",
    "EventType",
    "EventTypeAnswer",
    "EventTypeList",
    "GroupProperty",
    "GroupPropertyAnswer",
    "GroupPropertyList",
    "OverrideScope",
    "PropertyType",
    "UserProperty",
    "UserPropertyAnswer",
    "UserPropertyList",
]

PropertyType = Literal["string", "number", "boolean", "enum", "any"]
"""What a property holds; of an array, what each item holds."""

Classification = Literal["PII", "SENSITIVE", "REVENUE"]
"""How a property is to be protected; needs Data Access Controls."""

OverrideScope = Literal["override", "shared"]
"""What an update that names an event type, or a group type, is about: the override for it, or what all share."""


class Done(TypedDict):
    """The answer to a write that worked."""

    success: bool


class Category(TypedDict):
    """A category."""

    id: int
    name: str


class CategoryName(TypedDict):
    """How an event type shows its category."""

    name: str


class CategoryAnswer(Done):
    """One category."""

    data: Category


class CategoryList(Done):
    """Every category."""

    data: list[Category]


class EventType(TypedDict, total=False):
    """An event type. ``tags`` is a list here, although it is sent as text with commas."""

    event_type: Required[str]
    category: CategoryName | None
    description: str | None
    display_name: str | None
    is_active: bool
    is_hidden_from_dropdowns: bool
    is_hidden_from_persona_results: bool
    is_hidden_from_pathfinder: bool
    is_hidden_from_timeline: bool
    tags: list[str] | None
    owner: str | None


class EventTypeAnswer(Done):
    """One event type."""

    data: EventType


class EventTypeList(Done):
    """Event types."""

    data: list[EventType]


class _Property(TypedDict, total=False):
    """What every property has. ``enum_values`` is text with commas, or a list."""

    description: str | None
    type: PropertyType | None
    regex: str | None
    enum_values: str | list[str] | None
    is_array_type: bool
    is_hidden: bool
    classifications: list[str] | None


class EventProperty(_Property, total=False):
    """A property of events; ``event_type`` is ``None`` for what all events share."""

    event_property: Required[str]
    event_type: str | None
    is_required: bool


class EventPropertyAnswer(Done):
    """One event property."""

    data: EventProperty


class EventPropertyList(Done):
    """Event properties."""

    data: list[EventProperty]


class UserProperty(_Property, total=False):
    """A property of users; a custom one is spelled ``gp:name``."""

    user_property: Required[str]
    deleted: bool


class UserPropertyAnswer(Done):
    """One user property."""

    data: UserProperty


class UserPropertyList(Done):
    """User properties."""

    data: list[UserProperty]


class GroupProperty(_Property, total=False):
    """A property of groups; a custom one is spelled ``grp:name``. ``group_type`` is ``None`` for what all group types share."""

    group_property: Required[str]
    group_type: str | None


class GroupPropertyAnswer(Done):
    """One group property."""

    data: GroupProperty


class GroupPropertyList(Done):
    """Group properties."""

    data: list[GroupProperty]
