"""Reading what a query says of events and users: event objects, segments, group-bys.

Pure. Shapes as at https://amplitude.com/docs/apis/analytics/dashboard-rest; ``ValueError`` texts become the ``details`` of a 400.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from amplitude_async.sandbox.conditions import (
    COUNT_SIGNS,
    NEW,
    OPERATORS,
    Condition,
    EventChoice,
    Group,
    PerformedCondition,
    PropertyCondition,
    Segment,
)
from amplitude_async.sandbox.limits import query_cost
from amplitude_async.sandbox.periods import LONGEST_RANGE, buckets
from amplitude_async.sandbox.questions import DEFAULT_LIMIT, Parameters, Range, day_range, interval, one, required, wrong
from amplitude_async.sandbox.rules import parsed_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from amplitude_async.sandbox.periods import Buckets, Zone
    from amplitude_async.sandbox.view import StoredEvent, View

_SUBJECT_KINDS: Final = frozenset({"event", "user", "group"})
_TIME_TYPES: Final = frozenset({"forEachInterval", "currentInterval", "allTime"})
_MOST_GROUPS: Final = 2

USER_BUILT_INS: Final = frozenset(
    [
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
        "device_brand",
        "device_manufacturer",
        "device_model",
        "carrier",
        "start_version",
        "paying",
        "library",
        "device_id",
        "user_id",
        "server_upload_time",
    ]
)


def is_user_property(key: str) -> bool:
    """Say whether a name without a kind means a user property: a built-in one, or one spelled ``gp:``."""
    return key.startswith("gp:") or key in USER_BUILT_INS


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What most queries have in common: days in intervals, and segments or groups of users that are compared."""

    range: Range
    interval: int
    segments: tuple[Segment, ...]  # one without conditions when none was given
    group_by: tuple[Group, ...]

    def cost(self, type_cost: int = 1) -> int:
        """Return what a query over it costs, of a type that costs so much."""
        return query_cost(
            days=self.range.days,
            conditions=[len(segment.conditions) for segment in self.segments],
            group_bys=len(self.group_by),
            type_cost=type_cost,
        )

    def frame(self, zone: Zone, lead: int = 0) -> Buckets:
        """Return the intervals, and so many more before them."""
        return buckets(zone, self.range.start, self.range.end, self.interval, lead)

    def parts(self, view: View, frame: Buckets, events: Iterable[StoredEvent]) -> Iterator[tuple[int, str, Sequence[StoredEvent]]]:
        """Yield the events of each segment, and of each group in it: number of the segment, name of the group, events."""
        for number, segment in enumerate(self.segments):
            members = [event for event in events if view.belongs(segment, event, frame.bounds(frame.place(event.at_us)))]
            for name, grouped in view.grouped(members, self.group_by, DEFAULT_LIMIT):
                yield number, name, grouped


def scope(
    parameters: Parameters,
    *,
    intervals: Collection[int] = tuple(LONGEST_RANGE),
    groups: Sequence[str] = ("g",),
    choices: Iterable[EventChoice] = (),
) -> Scope:
    """Read range, interval, segments and groups; a grouped query, also one that is grouped by what its events say, has one segment."""
    chosen = interval(parameters, intervals)
    found = Scope(
        range=day_range(parameters, chosen),
        interval=chosen,
        segments=tuple(_segment(text) for text in parameters.get("s", []) if text.strip()) or (Segment(),),
        group_by=tuple(("user" if is_user_property(key) else "event", key) for key in _keys(parameters, groups)),
    )
    if len(found.segments) > 1 and (found.group_by or any(choice.group_by for choice in choices)):
        message = "A group-by needs a single segment"
        raise wrong(message)
    return found


def _keys(parameters: Parameters, names: Sequence[str]) -> list[str]:
    keys = [(one(parameters, name) or "").strip() for name in names]
    return [key for key in keys if key]


def event(parameters: Parameters, name: str) -> EventChoice:
    """Return the one event object that a parameter must hold."""
    return _event(required(parameters, name), name)


def events(parameters: Parameters, name: str) -> tuple[EventChoice, ...]:
    """Return the event objects of a parameter that is repeated; there must be one."""
    required(parameters, name)
    return tuple(_event(text, name) for text in parameters[name] if text.strip())


def check_not_new(choices: Sequence[EventChoice]) -> None:
    """Refuse ``_new`` where it has no meaning."""
    if any(choice.event_type == NEW for choice in choices):
        message = f"{NEW} is for the start of a retention"
        raise wrong(message)


def _json(text: str, name: str) -> object:
    try:
        return parsed_json(text)
    except ValueError:
        message = f"Invalid JSON for {name}"
        raise wrong(message) from None


def _event(text: str, name: str) -> EventChoice:
    sent = _json(text, name)
    if isinstance(sent, list) and len(sent) == 1:
        sent = sent[0]
    if not isinstance(sent, dict) or not isinstance(sent.get("event_type"), str) or not sent["event_type"]:
        message = f"Invalid event for {name}: event_type is required"
        raise wrong(message)
    groups = sent.get("group_by") or []
    if isinstance(groups, dict):
        groups = [groups]
    if not isinstance(groups, list) or not all(_is_group(each) for each in groups) or len(groups) > _MOST_GROUPS:
        message = f"Invalid group_by for {name}"
        raise wrong(message)
    return EventChoice(
        event_type=sent["event_type"],
        filters=_filters(sent.get("filters"), name),
        group_by=tuple((each["type"], each["value"]) for each in groups),
    )


def _is_group(each: object) -> bool:
    return isinstance(each, dict) and str(each.get("type")) in _SUBJECT_KINDS and isinstance(each.get("value"), str)


def _filters(sent: object, name: str) -> tuple[Mapping[str, object], ...]:
    filters = sent or []
    if not isinstance(filters, list):
        message = f"Invalid filters for {name}"
        raise wrong(message)
    for each in filters:
        if (
            not isinstance(each, dict)
            or str(each.get("subprop_type")) not in _SUBJECT_KINDS
            or not isinstance(each.get("subprop_key"), str)
            or str(each.get("subprop_op")) not in OPERATORS
            or not isinstance(each.get("subprop_value"), list)
        ):
            message = f"Invalid filter for {name}"
            raise wrong(message)
    return tuple(filters)


def _segment(text: str) -> Segment:
    sent = _json(text, "s")
    conditions = [sent] if isinstance(sent, dict) else sent
    if not isinstance(conditions, list):
        message = "Invalid segment: a list of conditions is required"
        raise wrong(message)
    return Segment(conditions=tuple(_condition(each) for each in conditions))


def _condition(sent: object) -> Condition:
    if not isinstance(sent, dict):
        message = "Invalid condition in s"
        raise wrong(message)
    if sent.get("type") == "event":
        value, days = sent.get("value", 1), sent.get("time_value")
        if (
            not isinstance(sent.get("event_type"), str)
            or str(sent.get("op", ">=")) not in COUNT_SIGNS
            or not isinstance(value, int)
            or not isinstance(days, int | None)
            or str(sent.get("time_type", "allTime")) not in _TIME_TYPES
        ):
            message = "Invalid who-performed condition in s"
            raise wrong(message)
        return PerformedCondition(
            event_type=sent["event_type"],
            op=sent.get("op", ">="),
            value=value,
            time_type=sent.get("time_type", "allTime"),
            days=days,
            filters=_filters(sent.get("filters"), "s"),
        )
    if not isinstance(sent.get("prop"), str) or str(sent.get("op")) not in OPERATORS or not isinstance(sent.get("values"), list):
        message = "Invalid condition in s: prop, op and values are required"
        raise wrong(message)
    return PropertyCondition(prop=sent["prop"], op=sent["op"], values=tuple(sent["values"]))
