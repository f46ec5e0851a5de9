"""Reading the parameters of a dashboard query: what was asked, or what is wrong with it.

Pure. ``ValueError`` texts become the ``details`` of a 400 answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Final

from amplitude_async.sandbox.conditions import (
    COUNT_SIGNS,
    OPERATORS,
    Condition,
    PerformedCondition,
    PropertyCondition,
    Segment,
)
from amplitude_async.sandbox.limits import segmentation_cost
from amplitude_async.sandbox.rules import parsed_json
from amplitude_async.sandbox.segmentation import LONGEST_RANGE, METRICS, EventChoice, Question

Parameters = Mapping[str, list[str]]  # every value of each parameter, in order

_DATE: Final = re.compile(r"\d{8}", re.ASCII)
_HOUR: Final = re.compile(r"(\d{8})T(\d{1,2})", re.ASCII)
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9998  # the day, week or month after the last date must be a date too
_LARGEST_LIMIT: Final = 1000
_MAX_EXPORT_HOURS: Final = 365 * 24
_SUBJECT_KINDS: Final = frozenset({"event", "user", "group"})


def wrong(details: str) -> ValueError:
    """Build the error that says why a query cannot be answered."""
    return ValueError(details)


def one(parameters: Parameters, name: str) -> str | None:
    """Return the first value of a parameter, None when it is missing or blank."""
    values = parameters.get(name, [])
    return values[0] if values and values[0].strip() else None


def required(parameters: Parameters, name: str) -> str:
    """Return the value of a parameter that must be there."""
    value = one(parameters, name)
    if value is None:
        message = f"Missing required parameter: {name}"
        raise wrong(message)
    return value


def whole_number(parameters: Parameters, name: str, default: int, largest: int) -> int:
    """Return a parameter that counts something, between 0 and ``largest``."""
    text = one(parameters, name)
    if text is None:
        return default
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        message = f"Invalid value for {name}: {text[:100]}"
        raise wrong(message)
    return min(number, largest)


def _day(parameters: Parameters, name: str) -> date:
    text = required(parameters, name)
    try:
        if not _DATE.fullmatch(text):
            raise ValueError  # noqa: TRY301 - both ways to be malformed end in one text
        day = datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 - a calendar date has no zone
        if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
            raise ValueError  # noqa: TRY301 - as above
    except ValueError:
        message = f"Invalid date for {name}: {text[:100]} (expected YYYYMMDD)"
        raise wrong(message) from None
    return day


def export_hours(parameters: Parameters) -> tuple[int, int]:
    """Return the first and last hour of an export, since the epoch, both included."""
    first, last = (_export_hour(parameters, name) for name in ("start", "end"))
    if first > last:
        message = "start is after end"
        raise wrong(message)
    if last - first + 1 > _MAX_EXPORT_HOURS:
        message = "The range exceeds 365 days"
        raise wrong(message)
    return first, last


def _export_hour(parameters: Parameters, name: str) -> int:
    text = required(parameters, name)
    found = _HOUR.fullmatch(text)
    try:
        if found is None:
            raise ValueError  # noqa: TRY301 - both ways to be malformed end in one text
        at = datetime.strptime(f"{found[1]}T{int(found[2]):02}+0000", "%Y%m%dT%H%z")
    except ValueError:
        message = f"Invalid time for {name}: {text[:100]} (expected YYYYMMDDTHH)"
        raise wrong(message) from None
    return int(at.timestamp()) // 3600


def question(parameters: Parameters) -> Question:
    """Read an event segmentation query. ValueError says what is missing, malformed or not offered."""
    first_event = _event(required(parameters, "e"), "e")
    start, end = _day(parameters, "start"), _day(parameters, "end")
    if start > end:
        message = "start is after end"
        raise wrong(message)
    second = one(parameters, "e2")
    events = (first_event,) if second is None else (first_event, _event(second, "e2"))
    metric = one(parameters, "m") or "uniques"
    if metric not in METRICS:
        message = f"Invalid value for m: {metric[:100]} (known here: {', '.join(sorted(METRICS))})"
        raise wrong(message)
    if metric in {"sums", "value_avg"} and not all(event.group_by for event in events):
        message = f"m={metric} needs a group_by inside e"
        raise wrong(message)
    if (one(parameters, "n") or "any") not in {"any", "active"}:
        message = f"Invalid value for n: {required(parameters, 'n')[:100]}"
        raise wrong(message)
    for name in ("rollingWindow", "rollingAverage", "formula"):
        if one(parameters, name) is not None:
            message = f"{name} is not offered here"
            raise wrong(message)
    segments = tuple(_segment(text) for text in parameters.get("s", []) if text.strip())
    group_by = tuple(("event" if _names_event_property(key) else "user", key) for key in _group_keys(parameters))
    if len(segments) > 1 and (group_by or any(event.group_by for event in events)):
        message = "A group-by needs a single segment"
        raise wrong(message)
    asked = Question(
        events=events,
        metric=metric,
        start=start,
        end=end,
        interval=_interval(parameters),
        segments=segments or (Segment(),),
        group_by=group_by,
        limit=whole_number(parameters, "limit", 100, _LARGEST_LIMIT),
    )
    if asked.days > LONGEST_RANGE[asked.interval]:
        message = f"i={asked.interval} shows up to {LONGEST_RANGE[asked.interval]} days"
        raise wrong(message)
    return asked


def cost(asked: Question) -> int:
    """Return what a segmentation query costs."""
    return segmentation_cost(
        days=asked.days,
        conditions=[len(segment.conditions) for segment in asked.segments],
        group_bys=len(asked.group_by),
        events=len(asked.events),
        event_groups=sum(len(event.group_by) for event in asked.events),
    )


def _interval(parameters: Parameters) -> int:
    text = one(parameters, "i") or "1"
    try:
        interval = int(text)
    except ValueError:
        interval = 0
    if interval not in LONGEST_RANGE:
        message = f"Invalid value for i: {text[:100]}"
        raise wrong(message)
    return interval


_USER_BUILT_INS: Final = frozenset(
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


def _names_event_property(key: str) -> bool:
    """Say whether a top-level group-by means an event property: neither built in nor spelled ``gp:``."""
    return not key.startswith("gp:") and key not in _USER_BUILT_INS


def _group_keys(parameters: Parameters) -> list[str]:
    keys = [key for key in parameters.get("g", [])[:1] + parameters.get("g2", [])[:1] if key.strip()]
    return [key.strip() for key in keys]


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
    group_by = sent.get("group_by") or []
    if isinstance(group_by, dict):
        group_by = [group_by]
    if not isinstance(group_by, list) or not all(_is_group(each) for each in group_by) or len(group_by) > 2:  # noqa: PLR2004 - said by the line itself
        message = f"Invalid group_by for {name}"
        raise wrong(message)
    return EventChoice(
        event_type=sent["event_type"],
        filters=_filters(sent.get("filters"), name),
        group_by=tuple((each["type"], each["value"]) for each in group_by),
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
        ):
            message = "Invalid who-performed condition in s"
            raise wrong(message)
        return PerformedCondition(
            event_type=sent["event_type"],
            op=sent.get("op", ">="),
            value=value,
            time_type=str(sent.get("time_type", "allTime")),
            days=days,
            filters=_filters(sent.get("filters"), "s"),
        )
    if not isinstance(sent.get("prop"), str) or str(sent.get("op")) not in OPERATORS or not isinstance(sent.get("values"), list):
        message = "Invalid condition in s: prop, op and values are required"
        raise wrong(message)
    return PropertyCondition(prop=sent["prop"], op=sent["op"], values=tuple(sent["values"]))
