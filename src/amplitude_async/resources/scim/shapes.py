"""What the SCIM API takes and answers, as the standard spells it.

Amplitude's page: https://amplitude.com/docs/apis/analytics/scim; the standard: https://datatracker.ietf.org/doc/html/rfc7644
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, Required, TypedDict

__all__ = [
    "Email",
    "Group",
    "Member",
    "Meta",
    "Name",
    "Operation",
    "Operator",
    "User",
]

Operator = Literal["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "pr"]


class Name(TypedDict, total=False):
    """A name; people who never signed in are ``NO_GIVEN_NAME`` ``NO_FAMILY_NAME``."""

    givenName: str
    familyName: str


class Email(TypedDict, total=False):
    """The one e-mail address that Amplitude knows of a person."""

    value: Required[str]
    primary: bool


class Member(TypedDict, total=False):
    """Somebody in a group: ``value`` is the e-mail address, ``display`` the name."""

    value: Required[str]
    display: str


class Meta(TypedDict, total=False):
    """About a resource; times are ISO 8601."""

    resourceType: str
    created: str
    lastModified: str


class User(TypedDict, total=False):
    """A person. ``id`` and ``userName`` are the e-mail address; ``groups`` comes with a single person alone.

    ``active`` is true for those who joined and for those who were invited.
    """

    schemas: list[str]
    id: str
    userName: str
    name: Name
    active: bool
    emails: list[Email]
    groups: list[dict[str, Any]]
    meta: Meta


class Group(TypedDict, total=False):
    """A permission group. ``id`` is text here, also where Amplitude answers with a number."""

    schemas: list[str]
    id: Required[str]
    displayName: str
    members: list[Member]
    meta: Meta


class Operation(TypedDict):
    """One change of a PATCH; Amplitude documents ``add`` and ``remove`` of ``members``."""

    op: Literal["add", "remove", "replace"]
    path: NotRequired[str]
    value: NotRequired[Any]
