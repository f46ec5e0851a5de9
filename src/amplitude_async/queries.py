"""What dashboard queries ask about: events and segments of users, built step by step and checked on the way.

``Event("signup").where("country", "is", ["NO"]).group_by("plan")`` is a mapping, ``Segment().in_cohort("k3x9q2f")`` a sequence of
mappings, each exactly what Amplitude reads, so that either may stand wherever a plain mapping or list may. Both are immutable: every
step returns a new one, and what is read out of one is a copy.

Pure, and without anything but the names that Amplitude documents:
https://amplitude.com/docs/apis/analytics/dashboard-rest#event-format and
https://amplitude.com/docs/apis/analytics/dashboard-rest#segment-definition
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any, Final, Literal, NamedTuple, Self, get_args, overload
from uuid import UUID

from amplitude_async.errors import InvalidArgumentError, shown

__all__ = ["BUILT_IN_PROPERTIES", "NONE", "Event", "Operator", "Owner", "Segment", "Sign", "TimeType", "Value"]

Operator = Literal[
    "is",
    "is not",
    "contains",
    "does not contain",
    "less",
    "less or equal",
    "greater",
    "greater or equal",
    "set is",
    "set is not",
]
"""How a property is compared. Of several values one has to fit, or none, where the operator has a "not"."""

Sign = Literal[">=", ">", "<=", "<", "=", "!="]
"""How a count is compared. Amplitude's samples have ``>=`` alone."""

Owner = Literal["event", "user", "group"]
"""Whose property it is."""

TimeType = Literal["allTime", "currentInterval", "forEachInterval"]
"""When an event counts: ever, within the query's interval, within so many days before each interval."""

Value = str | float | Decimal | date | UUID | Enum | None
"""A value that a property is compared with; ``None`` is a property that is not set."""

NONE: Final = "(none)"
"""How Amplitude writes that a property is not set."""

CUSTOM: Final = "gp:"
COHORT: Final = "userdata_cohort"
CUSTOM_EVENT: Final = "ce:"

BUILT_IN_PROPERTIES: Final = frozenset(
    {
        # https://amplitude.com/docs/apis/analytics/dashboard-rest#segment-definition
        "version",
        "country",
        "city",
        "region",
        "DMA",
        "language",
        "platform",
        "os",
        "device",
        "device_type",
        "start_version",
        "paying",
        # Used in that page's samples without being listed.
        "library",
        "device_id",
        "server_upload_time",
        # Columns of a user that the charts offer under these names.
        "user_id",
        "carrier",
        "device_brand",
        "device_manufacturer",
        "device_model",
        COHORT,
    }
)
"""User properties that need no ``gp:``; every other name without a prefix is an event property."""

MAX_GROUPS: Final = 2
"""https://amplitude.com/docs/apis/analytics/dashboard-rest#event-format"""

_OPERATORS: Final = get_args(Operator)
_SIGNS: Final = get_args(Sign)
_OWNERS: Final = get_args(Owner)
_TIME_TYPES: Final = get_args(TimeType)
_MEANT: Final = {
    "=": "is",
    "==": "is",
    "in": "is",
    "!=": "is not",
    "not in": "is not",
    "<": "less",
    "<=": "less or equal",
    ">": "greater",
    ">=": "greater or equal",
}
_MEANT_SIGNS: Final = {
    "==": "=",
    "is": "=",
    "is not": "!=",
    "greater or equal": ">=",
    "greater": ">",
    "less or equal": "<=",
    "less": "<",
}


def _refused(*, argument: str, reason: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"{argument} {reason}", argument=argument)


def _chosen(value: object, choices: Sequence[str], *, argument: str, meant: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401 - one of the choices, which a Literal names where it is called
    if isinstance(value, str) and value in choices:
        return value
    hint = (meant or {}).get(value) if isinstance(value, str) else None
    advice = f"write {hint!r}" if hint else f"it is one of {', '.join(map(repr, choices))}"
    raise _refused(argument=argument, reason=f"is {shown(value)}; {advice}")


def _name(value: object, *, argument: str, what: str) -> str:
    if isinstance(value, Enum):
        value = value.value
    if not isinstance(value, str) or not value.strip():
        raise _refused(argument=argument, reason=f"is {shown(value)}; give {what}")
    return _sound(value, argument)


def _sound(text: str, argument: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _refused(argument=argument, reason="holds a lone surrogate, which is not valid text") from None
    # A subclass may say something else of itself than it is.
    return str.__str__(text)


def _text(value: object, argument: str) -> str:
    """Return a value as the text that Amplitude compares with: its lists of values are lists of texts."""
    if isinstance(value, Enum):
        value = value.value
    if value is None:
        return NONE
    if isinstance(value, str):
        return _sound(value, argument)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (float, Decimal)):
        if not (value.is_finite() if isinstance(value, Decimal) else isfinite(value)):
            raise _refused(argument=argument, reason="holds a number that is not finite")
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if isinstance(value, int):
        try:
            return str(int(value))
        except ValueError:
            raise _refused(argument=argument, reason="holds an integer too long to be written") from None
    if isinstance(value, date):
        from amplitude_async.events import iso_text  # noqa: PLC0415 - loads the JSON library, and few ask for dates

        return iso_text(value)
    if isinstance(value, UUID):
        return str(value)
    raise _refused(argument=argument, reason=f"holds a {type(value).__name__}; give text, numbers, dates, or None for {NONE}")


def _texts(values: object, argument: str = "values") -> tuple[str, ...]:
    """Return one value or several as texts."""
    if isinstance(values, (set, frozenset)):
        return _some(sorted(_text(value, argument) for value in values), argument)
    if isinstance(values, Iterable) and not isinstance(values, (str, bytes, bytearray, Mapping, Enum)):
        return _some([_text(value, argument) for value in values], argument)
    return (_text(values, argument),)


def _some(texts: list[str], argument: str) -> tuple[str, ...]:
    if not texts:
        raise _refused(argument=argument, reason=f"is empty; give at least one value, None for {NONE}")
    return tuple(texts)


def _owner(prop: str, of: object) -> Owner:
    if of is not None:
        owner: Owner = _chosen(of, _OWNERS, argument="of")
        return owner
    return "user" if prop.startswith(CUSTOM) or prop in BUILT_IN_PROPERTIES else "event"


class _Filter(NamedTuple):
    """One filter of an event."""

    owner: Owner
    prop: str
    op: Operator
    values: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        return {"subprop_type": self.owner, "subprop_key": self.prop, "subprop_op": self.op, "subprop_value": list(self.values)}


class Event(Mapping[str, Any]):
    """An event that a query asks about: its name, filters that must all hold, and up to two group-bys.

    It is the mapping that Amplitude reads, so it goes wherever ``{"event_type": ...}`` does::

        Event("order_placed").where("channel", "is", ["web", "ios"]).where("gp:tier", "is not", None).group_by("country")

    Args:
        event_type: The event's raw name. Special ones have names of their own: :meth:`any_active`, :meth:`any_event`,
            :meth:`new_user`, :meth:`revenue`, :meth:`custom`.

    Raises:
        InvalidArgumentError: The name is blank.

    Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#event-format
    """

    __slots__ = ("_filters", "_groups", "_name")

    def __init__(self, event_type: str) -> None:
        self._name = _name(event_type, argument="event_type", what="the name of an event, such as 'signup'")
        self._filters: tuple[_Filter, ...] = ()
        self._groups: tuple[tuple[Owner, str], ...] = ()

    @classmethod
    def any_active(cls) -> Self:
        """Return "any active event" (``_active``): every event that is not marked inactive."""
        return cls("_active")

    @classmethod
    def any_event(cls) -> Self:
        """Return "any event" (``_all``)."""
        return cls("_all")

    @classmethod
    def new_user(cls) -> Self:
        """Return "new user" (``_new``), which can start a retention query and nothing else."""
        return cls("_new")

    @classmethod
    def custom(cls, name: str) -> Self:
        """Return a custom event (``ce:<name>``), one that was defined in Amplitude out of others.

        Args:
            name: Its name there, with or without the ``ce:``.
        """
        text = _name(name, argument="name", what="the name of a custom event")
        return cls(text if text.startswith(CUSTOM_EVENT) else f"{CUSTOM_EVENT}{text}")

    @classmethod
    def revenue(cls, kind: Literal["any", "verified", "unverified"] = "any") -> Self:
        """Return a revenue event.

        Args:
            kind: ``"any"`` revenue, or that which Amplitude has ``"verified"`` with the store, or has not (``"unverified"``).
        """
        chosen = _chosen(kind, ("any", "verified", "unverified"), argument="kind")
        return cls("revenue_amount" if chosen == "any" else f"{chosen}_revenue")

    def where(self, prop: str, op: Operator, values: Value | Iterable[Value], *, of: Owner | None = None) -> Self:
        """Return the event with one more filter; all filters must hold.

        Args:
            prop: The property. ``gp:<name>`` and the names of :data:`BUILT_IN_PROPERTIES` are the user's, others the event's.
            op: How it is compared.
            values: One value or several; ``None`` is a property that is not set. They go out as text.
            of: Whose property it is, where the name says it wrong.

        Raises:
            InvalidArgumentError: The name is blank, the operator is none, or there is no value.
        """
        name = _name(prop, argument="prop", what="the name of a property, such as 'country' or 'gp:plan'")
        chosen: Operator = _chosen(op, _OPERATORS, argument="op", meant=_MEANT)
        return self._with(filters=(*self._filters, _Filter(_owner(name, of), name, chosen, _texts(values))))

    def group_by(self, *props: str, of: Owner | None = None) -> Self:
        """Return the event with one more property, or two, that its numbers are grouped by.

        Args:
            *props: Names, as for :meth:`where`.
            of: Whose they are, where the names say it wrong.

        Raises:
            InvalidArgumentError: A name is blank, there is none, or the event would have more than two.
        """
        names = [_name(prop, argument="props", what="the name of a property") for prop in props]
        if not names:
            raise _refused(argument="props", reason="is empty; give the name of a property")
        groups = (*self._groups, *((_owner(name, of), name) for name in names))
        if len(groups) > MAX_GROUPS:
            raise _refused(argument="props", reason=f"makes {len(groups)} group-bys; Amplitude takes {MAX_GROUPS} an event")
        return self._with(groups=groups)

    def _with(self, *, filters: tuple[_Filter, ...] | None = None, groups: tuple[tuple[Owner, str], ...] | None = None) -> Self:
        changed = type(self)(self._name)
        changed._filters = self._filters if filters is None else filters  # noqa: SLF001 - one of its own
        changed._groups = self._groups if groups is None else groups  # noqa: SLF001 - as above
        return changed

    def _plain(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"event_type": self._name}
        if self._filters:
            plain["filters"] = [each.plain() for each in self._filters]
        if self._groups:
            plain["group_by"] = [{"type": owner, "value": prop} for owner, prop in self._groups]
        return plain

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 - text or lists, by the key
        return self._plain()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._plain())

    def __len__(self) -> int:
        return 1 + bool(self._filters) + bool(self._groups)

    def __hash__(self) -> int:
        return hash((self._name, self._filters, self._groups))

    def __repr__(self) -> str:
        text = f"Event({self._name!r})"
        for owner, prop, op, values in self._filters:
            text += f".where({prop!r}, {op!r}, {list(values)!r}{_of(owner, prop)})"
        for owner, prop in self._groups:
            text += f".group_by({prop!r}{_of(owner, prop)})"
        return text


def _of(owner: Owner, prop: str) -> str:
    return "" if owner == _owner(prop, None) else f", of={owner!r}"


class _Property(NamedTuple):
    """A condition on a user's property."""

    prop: str
    op: Operator
    values: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        return {"prop": self.prop, "op": self.op, "values": list(self.values)}

    def __str__(self) -> str:
        return f".where({self.prop!r}, {self.op!r}, {list(self.values)!r})"


class _Performed(NamedTuple):
    """A condition on how often a user did something."""

    event: Event
    op: Sign
    value: int
    time_type: TimeType
    time_value: int | None

    def plain(self) -> dict[str, Any]:
        plain = {
            "type": "event",
            "event_type": self.event["event_type"],
            "op": self.op,
            "value": self.value,
            "filters": self.event.get("filters", []),
            "time_type": self.time_type,
        }
        if self.time_value is not None:
            plain["time_value"] = self.time_value
        return plain

    def __str__(self) -> str:
        days = "" if self.time_value is None else f", time_value={self.time_value}"
        return f".performed({self.event!r}, {self.op!r}, {self.value}, time_type={self.time_type!r}{days})"


class Segment(Sequence[dict[str, Any]]):
    """A group of users: conditions that must all hold; without any it is everybody.

    It is the list of conditions that Amplitude reads, so it goes wherever ``[{"prop": ...}]`` does. Several are compared with each
    other as a list of them: ``s=[Segment(), Segment().in_cohort("k3x9q2f")]``::

        Segment().where("country", "is", ["Norway", "Sweden"]).performed("trial_started", ">=", 1)

    Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#segment-definition
    """

    __slots__ = ("_conditions",)

    def __init__(self) -> None:
        self._conditions: tuple[_Property | _Performed, ...] = ()

    def where(self, prop: str, op: Operator, values: Value | Iterable[Value], *, is_built_in: bool = False) -> Self:
        """Return the segment with a condition on a property of its users.

        Args:
            prop: ``gp:<name>`` for a property of your own, or a name of :data:`BUILT_IN_PROPERTIES`.
            op: How it is compared.
            values: One value or several; ``None`` is a property that is not set. They go out as text.
            is_built_in: The name is one that Amplitude knows although it is not listed here.

        Raises:
            InvalidArgumentError: The name is blank or lacks its ``gp:``, the operator is none, or there is no value.
        """
        name = _name(prop, argument="prop", what="the name of a user property, such as 'country' or 'gp:plan'")
        if not is_built_in and name not in BUILT_IN_PROPERTIES and ":" not in name:
            # Amplitude would find nobody, and say nothing.
            raise _refused(
                argument="prop",
                reason=f"is {shown(name)}, which is no built-in user property; write {CUSTOM + name!r} for one of your own",
            )
        chosen: Operator = _chosen(op, _OPERATORS, argument="op", meant=_MEANT)
        return self._with(_Property(name, chosen, _texts(values)))

    def in_cohort(self, *cohort_ids: str) -> Self:
        """Return the segment with only members of a cohort, or of one of several.

        Args:
            *cohort_ids: Ids of cohorts; :meth:`amplitude_async.resources.cohorts.Cohorts.list` gives them.
        """
        return self._with(_Property(COHORT, "is", _cohorts(cohort_ids)))

    def not_in_cohort(self, *cohort_ids: str) -> Self:
        """Return the segment without the members of a cohort, or of any of several."""
        return self._with(_Property(COHORT, "is not", _cohorts(cohort_ids)))

    def performed(
        self,
        event: str | Event,
        op: Sign = ">=",
        value: int = 1,
        *,
        time_type: TimeType = "allTime",
        time_value: int | None = None,
    ) -> Self:
        """Return the segment with only users who did something so often.

        Args:
            event: The event's name, or an :class:`Event`, whose filters count too.
            op: How the number of times is compared.
            value: The number of times.
            time_type: When it counts: ever, within the query's interval, or within so many days before each interval.
            time_value: Those days; with ``"forEachInterval"`` only.

        Raises:
            InvalidArgumentError: The event is none, or has group-bys; the sign is none; a number makes no sense.
        """
        sign: Sign = _chosen(op, _SIGNS, argument="op", meant=_MEANT_SIGNS)
        when: TimeType = _chosen(time_type, _TIME_TYPES, argument="time_type")
        if time_value is not None and when != "forEachInterval":
            raise _refused(argument="time_value", reason=f"goes with time_type='forEachInterval', not with {when!r}")
        days = None if time_value is None else _count(time_value, argument="time_value", least=1)
        return self._with(_Performed(_performed_event(event), sign, _count(value, argument="value", least=0), when, days))

    def _with(self, condition: _Property | _Performed) -> Self:
        changed = type(self)()
        changed._conditions = (*self._conditions, condition)  # noqa: SLF001 - one of its own
        return changed

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return [each.plain() for each in self._conditions[index]]
        return self._conditions[index].plain()

    def __len__(self) -> int:
        return len(self._conditions)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Segment):
            return self._conditions == other._conditions
        return list(self) == list(other) if isinstance(other, (list, tuple)) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._conditions)

    def __repr__(self) -> str:
        return f"Segment(){''.join(map(str, self._conditions))}"


def _cohorts(cohort_ids: tuple[str, ...]) -> tuple[str, ...]:
    if not cohort_ids:
        raise _refused(argument="cohort_ids", reason="is empty; give the id of a cohort")
    return tuple(_name(each, argument="cohort_ids", what="the id of a cohort") for each in cohort_ids)


def _count(value: object, *, argument: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise _refused(argument=argument, reason=f"must be a whole number from {least}, not {shown(value)}")
    return int(value)


def _performed_event(event: object) -> Event:
    if isinstance(event, str):
        return Event(event)
    if not isinstance(event, Event):
        raise _refused(argument="event", reason=f"is {shown(event)}; give the name of an event, or an Event")
    if "group_by" in event:
        raise _refused(argument="event", reason="has group-bys, which say nothing of who did it; leave them out")
    return event
