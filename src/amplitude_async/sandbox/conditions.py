"""Filters and segments: which values an event or its user has, and whether a condition holds.

Pure. Operators and property names as at https://amplitude.com/docs/apis/analytics/dashboard-rest; what that page
leaves open: conditions are ANDed, the values of one condition ORed, ``contains`` ignores case, and the four
comparisons are numeric where both sides are numbers, else by text (which orders ISO dates).
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

NONE: Final = "(none)"  # how a query spells "not set"
ANY: Final = "_all"
ANY_ACTIVE: Final = "_active"
NEW: Final = "_new"  # where a retention may start
INACTIVE: Final = frozenset({"[Amplitude] Start Session", "[Amplitude] End Session", "[Amplitude] Merged User"})
# The SDKs' revenue event, and what Amplitude makes of it: no receipt is ever verified here.
_REVENUE: Final = frozenset({"revenue_amount", "unverified_revenue"})
SPECIAL: Final = frozenset({ANY, ANY_ACTIVE, NEW, "verified_revenue", *_REVENUE})

# Built-in property names of a query -> columns of the row.
BUILT_INS: Final = {
    "version": "version_name",
    "DMA": "dma",
    "os": "os_name",
    "device": "device_family",
    "carrier": "device_carrier",
}


class Subject(Protocol):
    """A row of raw data: a mapping, or something that answers as one."""

    def get(self, key: str, /) -> object:
        """Return what is in a column, None if it is not set."""


def spelled(value: object) -> str:
    """Write a property value as the dashboard shows it."""
    if value is None:
        return NONE
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def values_of(subject: Subject, kind: str, key: str) -> list[object]:
    """Return the values of a property: those of a list one by one, none when it isn't set.

    ``kind`` is ``event``, ``user`` or ``group``; a custom user property is spelled ``gp:name``.
    """
    value: object
    if key.startswith("gp:"):
        value = _inside(subject, "user_properties", key.removeprefix("gp:"))
    elif kind == "event":
        value = _inside(subject, "event_properties", key)
    elif kind == "group":
        value = _inside(subject, "groups", key)
    elif key == "os":
        parts = [str(part) for part in (subject.get("os_name"), subject.get("os_version")) if part]
        value = " ".join(parts) or None
    else:
        value = subject.get(BUILT_INS.get(key, key))
    if value is None or value == {}:
        return []
    return list(value) if isinstance(value, list) else [value]


def _inside(subject: Subject, column: str, key: str) -> object:
    properties = subject.get(column)
    return properties.get(key) if isinstance(properties, Mapping) else None


def _compare(sign: Callable[[object, object], bool]) -> Callable[[Sequence[object], Sequence[object]], bool]:
    def compared(values: Sequence[object], wanted: Sequence[object]) -> bool:
        return any(_ordered(sign, value, bound) for value in values for bound in wanted)

    return compared


def _ordered(sign: Callable[[object, object], bool], value: object, bound: object) -> bool:
    if spelled(bound) == NONE:
        return False
    try:
        return sign(float(spelled(value)), float(spelled(bound)))
    except ValueError:
        return sign(spelled(value), spelled(bound))


def _texts(values: Sequence[object]) -> set[str]:
    return {spelled(value) for value in values} or {NONE}


def _is(values: Sequence[object], wanted: Sequence[object]) -> bool:
    return not _texts(values).isdisjoint(map(spelled, wanted))


def _contains(values: Sequence[object], wanted: Sequence[object]) -> bool:
    return any(spelled(part).lower() in text.lower() for text in _texts(values) for part in wanted)


def _set_is(values: Sequence[object], wanted: Sequence[object]) -> bool:
    return _texts(values) == _texts(wanted)


OPERATORS: Final[Mapping[str, Callable[[Sequence[object], Sequence[object]], bool]]] = {
    "is": _is,
    "is not": lambda values, wanted: not _is(values, wanted),
    "contains": _contains,
    "does not contain": lambda values, wanted: not _contains(values, wanted),
    "less": _compare(operator.lt),  # type: ignore[arg-type]  # both sides are numbers, or both texts
    "less or equal": _compare(operator.le),  # type: ignore[arg-type]  # as above
    "greater": _compare(operator.gt),  # type: ignore[arg-type]  # as above
    "greater or equal": _compare(operator.ge),  # type: ignore[arg-type]  # as above
    "set is": _set_is,
    "set is not": lambda values, wanted: not _set_is(values, wanted),
}

# The signs of "who performed" conditions.
COUNT_SIGNS: Final[Mapping[str, Callable[[int, int], bool]]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "greater or equal": operator.ge,
    "greater": operator.gt,
    "less or equal": operator.le,
    "less": operator.lt,
    "is": operator.eq,
    "is not": operator.ne,
}


def holds(values: Sequence[object], name: str, wanted: object) -> bool:
    """Say whether a condition with this operator holds for the values of a property."""
    return OPERATORS[name](values, wanted if isinstance(wanted, list) else [wanted])


def passes(subject: Subject, filters: Sequence[Mapping[str, object]]) -> bool:
    """Say whether an event passes all filters of an event object."""
    return all(
        holds(
            values_of(subject, str(each["subprop_type"]), str(each["subprop_key"])),
            str(each["subprop_op"]),
            each["subprop_value"],
        )
        for each in filters
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyCondition:
    """A segment's condition on a user property."""

    prop: str
    op: str
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformedCondition:
    """A segment's condition on how often somebody did something."""

    event_type: str
    op: str
    value: int
    time_type: str = "allTime"
    days: int | None = None
    filters: tuple[Mapping[str, object], ...] = ()


Condition = PropertyCondition | PerformedCondition


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The conditions of one ``s``; none means everybody."""

    conditions: tuple[Condition, ...] = ()

    def has(self, values: Callable[[str], Sequence[object]], count: Callable[[PerformedCondition], int]) -> bool:
        """Say whether somebody is in this segment.

        Args:
            values: Gives the values of a user property.
            count: Gives how often they performed something; asked only by conditions that want to know.
        """
        for condition in self.conditions:
            if isinstance(condition, PropertyCondition):
                is_met = holds(values(condition.prop), condition.op, list(condition.values))
            else:
                is_met = COUNT_SIGNS[condition.op](count(condition), condition.value)
            if not is_met:
                return False
        return True


Group = tuple[str, str]  # (``event``, ``user`` or ``group``, property)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventChoice:
    """One ``e``: which events are meant."""

    event_type: str
    filters: tuple[Mapping[str, object], ...] = ()
    group_by: tuple[Group, ...] = ()

    @property
    def is_special(self) -> bool:
        """Say whether it names no single event type: any event, any active one, or those with revenue."""
        return self.event_type in SPECIAL

    def names(self, event_type: str, revenue: float | None, inactive: Collection[str]) -> bool:
        """Say whether an event of this type and revenue is meant, filters apart; ``inactive`` are types that aren't activity."""
        if self.event_type == ANY:
            return True
        if self.event_type == ANY_ACTIVE:
            return event_type not in inactive
        return event_type == self.event_type or (revenue is not None and self.event_type in _REVENUE)


def combinations(subject: Subject, keys: Sequence[Group]) -> list[str]:
    """Return the names of the groups that an event is in: one for each value of a property, those of several joined."""
    names = [""]
    for position, (kind, key) in enumerate(keys):
        values = [spelled(value) for value in values_of(subject, kind, key)] or [NONE]
        joint = "; " if position else ""
        names = [f"{name}{joint}{value}" for name in names for value in dict.fromkeys(values)]
    return names
