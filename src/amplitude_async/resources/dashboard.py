"""Asking for users and for numbers: user search, user activity, event segmentation.

Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Required, TypedDict

from amplitude_async._protocol.call import Call, read_json_object
from amplitude_async._protocol.codec import MalformedError, UnencodableError, decode, encode_text
from amplitude_async._protocol.dates import check_order, dashboard_date
from amplitude_async.errors import InvalidArgumentError

if TYPE_CHECKING:
    from amplitude_async.resources.ingestion import Runner

__all__ = ["QUERY_ALIASES", "Segmentation", "UserActivity", "UserMatch", "UserSearch"]

QUERY_ALIASES: Final = {
    "rolling_window": "rollingWindow",
    "rolling_average": "rollingAverage",
    "time_histogram_config_bin_time_unit": "timeHistogramConfigBinTimeUnit",
    "time_histogram_config_bin_min": "timeHistogramConfigBinMin",
    "time_histogram_config_bin_max": "timeHistogramConfigBinMax",
    "time_histogram_config_bin_size": "timeHistogramConfigBinSize",
}
"""Query keywords that Amplitude spells in camelCase, by the snake_case that is accepted for them."""


class UserMatch(TypedDict, total=False):
    """One user that was found; ``user_id`` is ``None`` for an anonymous one."""

    amplitude_id: Required[int]
    user_id: Required[str | None]
    last_seen: str
    last_device_id: str
    platform: str
    country: str


class UserSearch(TypedDict):
    """What a search found.

    ``type`` is ``match_user_or_device_id``, ``match_amplitude_id``, ``match_user_prefix`` or ``nomatch`` (with no ``matches``).
    """

    type: str
    matches: list[UserMatch]


class UserActivity(TypedDict):
    """What is known of a user: ``userData`` (counts, ids, properties) and ``events``, the newest first unless asked otherwise."""

    userData: dict[str, Any]
    events: list[dict[str, Any]]


class SegmentationData(TypedDict, total=False):
    """Numbers by segment and date: ``series[k][d]`` belongs to ``seriesLabels[k]`` at ``xValues[d]``."""

    series: Required[list[list[float]]]
    seriesLabels: list[Any]
    seriesCollapsed: list[list[dict[str, Any]]]
    xValues: Required[list[str]]


class Segmentation(TypedDict):
    """The answer of an event segmentation; everything is under ``data``."""

    data: SegmentationData


def query_value(value: object, *, argument: str) -> str | None:
    """Return a query parameter as the text that goes out, ``None`` if it is left out.

    Mappings and lists go out as JSON, dates as ``YYYYMMDD``, booleans as ``true`` and ``false``.

    Raises:
        InvalidArgumentError: The value has no such text.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return dashboard_date(value, argument=argument)
    if isinstance(value, float):
        if not isfinite(value):
            message = f"{argument} must be a finite number"
            raise InvalidArgumentError(message, argument=argument)
        return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(float(value))  # noqa: PLR2004 - exact in a float
    try:
        if isinstance(value, (Mapping, Sequence, set, frozenset)) and not isinstance(value, str):
            return encode_text(value)
        if isinstance(value, (str, int, Decimal)) and not isinstance(value, Enum):
            # An int goes the way of events: str() refuses those of more than 4,300 digits.
            text = value if isinstance(value, str) else encode_text(value) if isinstance(value, int) else str(value)
            text.encode()
            # A subclass may say something else of itself than it is.
            return str.__str__(text)
        # An enum, a UUID, a dataclass: whatever JSON it has, without the quotes of a text.
        encoded = encode_text(value)
        plain = decode(encoded.encode())
    except UnencodableError as refusal:
        message = f"{refusal.where(argument)}: {refusal.reason}"
    except UnicodeEncodeError:
        message = f"{argument} holds a lone surrogate, which is not valid text"
    else:
        return plain if isinstance(plain, str) else encoded
    raise InvalidArgumentError(message, argument=argument)


def query_pairs(parameters: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Return a query in the caller's order, aliases applied, absent ones left out; of two spellings the later one wins."""
    merged: dict[str, object] = {}
    for name, value in parameters.items():
        merged[QUERY_ALIASES.get(name, name)] = value
    texts = ((name, query_value(value, argument=name)) for name, value in merged.items())
    return tuple((name, text) for name, text in texts if text is not None)


def _query(path: str, parameters: Mapping[str, object]) -> Call:
    return Call(
        api="dashboard",
        kind="query",
        method="GET",
        path=path,
        credential="project",
        reads=read_json_object,
        repeatable=True,
        query=query_pairs(parameters),
    )


def _subject(value: object, *, argument: str, what: str) -> str:
    """Return an id or search text, refused when it is blank (zero and false are blank, as in the original)."""
    text = query_value(value, argument=argument) if value else None
    if text is None or not text.strip():
        message = f"{argument} is blank; give {what}"
        raise InvalidArgumentError(message, argument=argument)
    return text


def event_definition(value: object, *, argument: str) -> str:
    """Return an event definition as JSON text.

    Raises:
        InvalidArgumentError: It is neither a mapping nor the JSON text of one (a list of one is unwrapped).
    """
    if isinstance(value, str):
        try:
            parsed = decode(value.encode())
        except (MalformedError, UnicodeEncodeError):
            parsed = None
        if isinstance(parsed, Mapping):
            return value
        value = parsed if isinstance(parsed, list) else value
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)) and len(value) == 1:
        value = value[0]
    if isinstance(value, Mapping):
        text = query_value(value, argument=argument)
        return text or "{}"
    message = f"{argument} must be one event definition: a mapping such as {{'event_type': 'signup'}}, or its JSON text"
    raise InvalidArgumentError(message, argument=argument)


def search_call(user: object) -> Call:
    """Describe a user search."""
    return _query(
        "/api/2/usersearch",
        {"user": _subject(user, argument="user", what="an Amplitude, device or user id, or a prefix")},
    )


def _is_count(value: object) -> bool:
    """Whether a value is a whole number from 0, as a number or as its digits."""
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        return value.isascii() and value.isdigit()
    return isinstance(value, (int, float)) and value >= 0 and value % 1 == 0


def activity_call(amplitude_id: object, parameters: Mapping[str, object]) -> Call:
    """Describe a question for a user's activity."""
    user = _subject(amplitude_id, argument="amplitude_id", what="an Amplitude id (user_search gives it)")
    for name in ("offset", "limit"):
        bound = parameters.get(name)
        if bound is not None and not _is_count(bound):
            message = f"{name} must be a whole number from 0"
            raise InvalidArgumentError(message, argument=name)
    rest = {key: value for key, value in parameters.items() if key != "user"}
    return _query("/api/2/useractivity", {**rest, "user": user})


def segmentation_call(e: object, start: object, end: object, parameters: Mapping[str, object]) -> Call:
    """Describe an event segmentation."""
    first = dashboard_date(start, argument="start")
    last = dashboard_date(end, argument="end")
    check_order(first, last)
    query: dict[str, object] = {"e": event_definition(e, argument="e"), "start": first, "end": last, **parameters}
    if query.get("e2") is not None:
        query["e2"] = event_definition(query["e2"], argument="e2")
    return _query("/api/2/events/segmentation", query)


async def user_search(runner: Runner, user: object) -> UserSearch:
    """Search for users; see :meth:`amplitude_async.AsyncAmplitude.user_search`."""
    result: UserSearch = await runner.run(search_call(user))
    return result


async def user_activity(runner: Runner, amplitude_id: object, parameters: Mapping[str, object]) -> UserActivity:
    """Ask for a user's activity; see :meth:`amplitude_async.AsyncAmplitude.user_activity`."""
    result: UserActivity = await runner.run(activity_call(amplitude_id, parameters))
    return result


async def event_segmentation(
    runner: Runner, *, e: object, start: object, end: object, parameters: Mapping[str, object]
) -> Segmentation:
    """Ask for an event segmentation; see :meth:`amplitude_async.AsyncAmplitude.event_segmentation`."""
    result: Segmentation = await runner.run(segmentation_call(e, start, end, parameters))
    return result
