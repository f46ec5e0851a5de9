"""Asking for users and for numbers: user search, user activity, event segmentation.

Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Required, TypedDict

from amplitude_async._protocol.call import Call, read_json_object
from amplitude_async._protocol.codec import MalformedError, decode
from amplitude_async._protocol.dates import check_order, dashboard_date
from amplitude_async.errors import InvalidArgumentError
from amplitude_async.resources.parameters import query_pairs, query_value, required_text, whole_number

if TYPE_CHECKING:
    from amplitude_async.resources.runner import Runner

__all__ = ["Dashboard", "Segmentation", "UserActivity", "UserMatch", "UserSearch"]


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


def _query(path: str, parameters: Mapping[str, object]) -> Call:
    return Call(
        api="dashboard",
        kind="query",
        method="GET",
        path=path,
        credential="project",
        reads=read_json_object,
        repeatable=True,
        query=query_pairs("dashboard", parameters),
    )


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
        {"user": required_text(user, argument="user", what="an Amplitude, device or user id, or a prefix")},
    )


def activity_call(amplitude_id: object, parameters: Mapping[str, object]) -> Call:
    """Describe a question for a user's activity."""
    user = required_text(amplitude_id, argument="amplitude_id", what="an Amplitude id (user_search gives it)")
    for name in ("offset", "limit"):
        bound = parameters.get(name)
        if bound is not None:
            whole_number(bound, argument=name)
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


class Dashboard:
    """Charts and user data."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
