"""What the dashboard API answers: Amplitude's own mappings, typed. :func:`amplitude_async.frames.table` makes tables of them.

Amplitude may say more than is written here; what it says stays in the answer. Dates are in the project's time zone.

Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest
"""

from __future__ import annotations

from typing import Any, Required, TypedDict

__all__ = [
    "ActivityUser",
    "Chart",
    "ChartData",
    "Composition",
    "CompositionData",
    "EventsList",
    "Funnel",
    "FunnelDays",
    "Funnels",
    "ListedEvent",
    "RealTime",
    "RealTimeData",
    "Retention",
    "RetentionCell",
    "RetentionData",
    "RetentionSeries",
    "RevenueLtv",
    "RevenueLtvData",
    "RevenueLtvSeries",
    "Segmentation",
    "SegmentationData",
    "SessionLengths",
    "SessionLengthsData",
    "UserActivity",
    "UserCounts",
    "UserCountsData",
    "UserMatch",
    "UserSearch",
]


class UserMatch(TypedDict, total=False):
    """One user that was found; ``user_id`` is ``None`` for an anonymous one, ``last_seen`` is ``YYYY-MM-DD``."""

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


class ActivityUser(TypedDict, total=False):
    """What is known of a user.

    ``usage_time`` is in ms, ``first_used`` and ``last_used`` are ``YYYY-MM-DD``, ``revenue`` is in the project's currency,
    ``properties`` are the user's own. For an unknown id the counts are 0 and ``user_id`` is ``None``.
    """

    user_id: Required[str | None]
    canonical_amplitude_id: Required[int]
    merged_amplitude_ids: Required[list[int]]
    num_events: Required[int]
    num_sessions: Required[int]
    usage_time: Required[int]
    first_used: str | None
    last_used: str | None
    purchases: Required[int]
    revenue: Required[float]
    platform: str | None
    os: str | None
    version: str | None
    device: str | None
    device_type: str | None
    carrier: str | None
    country: str | None
    region: str | None
    city: str | None
    dma: str | None
    language: str | None
    start_version: str | None
    device_ids: Required[list[str]]
    last_device_id: str | None
    last_location: dict[str, float] | None
    paying: bool | None
    library: str | None
    ip_address: str | None
    properties: dict[str, Any]


class UserActivity(TypedDict):
    """What is known of a user: ``userData`` (counts, ids, properties) and ``events``, the newest first unless asked otherwise."""

    userData: ActivityUser
    events: list[dict[str, Any]]


class SegmentationData(TypedDict, total=False):
    """Numbers by segment and date: ``series[k][d]`` belongs to ``seriesLabels[k]`` at ``xValues[d]``.

    ``seriesCollapsed[k][0]["value"]`` is the number of the whole range; for unique users it is less than the sum of the days. Labels
    are numbers of segments, texts, or lists of both.
    """

    series: Required[list[list[float]]]
    seriesLabels: list[Any]
    seriesCollapsed: list[list[dict[str, Any]]]
    xValues: Required[list[str]]


class Segmentation(TypedDict):
    """The answer of an event segmentation; everything is under ``data``."""

    data: SegmentationData


class ChartData(TypedDict, total=False):
    """Numbers of a saved chart, by kind of chart; a cell of ``series`` may be ``{"value": n}`` where a segmentation has ``n``."""

    series: list[list[Any]]
    seriesLabels: list[Any]
    xValues: list[str]


class Chart(TypedDict):
    """The answer of a saved chart; everything is under ``data``."""

    data: ChartData


class UserCountsData(TypedDict, total=False):
    """Numbers by group and date: ``series[k][d]`` belongs to ``seriesMeta[k]`` at ``xValues[d]``.

    ``seriesMeta[k]`` is the value of the group-by, or ``{"segmentIndex": n}``.
    """

    series: Required[list[list[float]]]
    seriesMeta: list[Any]
    xValues: Required[list[str]]


class UserCounts(TypedDict):
    """The answer about active or new users, average session length (seconds), or sessions per user; everything is under ``data``."""

    data: UserCountsData


class SessionLengthsData(TypedDict):
    """Numbers of sessions by length: ``series[0][k]`` of the length ``xValues[k]``, such as ``"60s-120s"``."""

    series: list[list[int]]
    xValues: list[str]


class SessionLengths(TypedDict):
    """The answer about session lengths; everything is under ``data``."""

    data: SessionLengthsData


class CompositionData(TypedDict):
    """Unique users by value of a property: ``series[0][k]`` have ``xValues[k]``; ``seriesLabels[0]`` is the property."""

    series: list[list[int]]
    seriesLabels: list[str]
    xValues: list[str]


class Composition(TypedDict):
    """The answer about the composition of users; everything is under ``data``."""

    data: CompositionData


class ListedEvent(TypedDict, total=False):
    """One event of the project: ``value`` is its raw name, ``display`` the one shown, ``totals`` how often it came this week.

    ``non_active``: marked inactive; ``flow_hidden``: hidden from Pathfinder.
    """

    value: Required[str]
    display: str
    totals: int
    hidden: bool
    deleted: bool
    non_active: bool
    flow_hidden: bool


class EventsList(TypedDict):
    """The visible events of the project."""

    data: list[ListedEvent]


class FunnelDays(TypedDict, total=False):
    """Numbers by day and step: ``series[d][k]`` is step k of the day ``xValues[d]``."""

    series: Required[list[list[float]]]
    xValues: Required[list[str]]
    formattedXValues: list[str]


class Funnel(TypedDict, total=False):
    """The funnel of one segment or group; each list has an item a step.

    ``cumulativeRaw``: users who got so far; ``cumulative``: the share of those who entered; ``stepByStep``: the share of those at the
    step before; ``medianTransTimes``, ``avgTransTimes``: ms from the step before. ``dayFunnels`` has the users by day of entry,
    ``dayMedianTransTimes`` and ``dayAvgTransTimes`` the times.
    """

    meta: dict[str, Any]
    events: Required[list[str]]
    stepByStep: list[float]
    cumulative: list[float]
    cumulativeRaw: Required[list[int]]
    medianTransTimes: list[float]
    avgTransTimes: list[float]
    dayFunnels: FunnelDays
    dayMedianTransTimes: FunnelDays
    dayAvgTransTimes: FunnelDays
    stepTransTimeDistribution: Any
    stepPrevStepCountDistribution: Any


class Funnels(TypedDict):
    """The answer of a funnel analysis: one funnel a segment, or a value of the group-by."""

    data: list[Funnel]


class RetentionCell(TypedDict, total=False):
    """``count`` users of ``outof`` came back; ``incomplete``: not all of them have had the time to."""

    count: Required[int]
    outof: Required[int]
    incomplete: bool
    retainedSetId: str | None


class RetentionSeries(TypedDict):
    """One segment or group.

    ``dates`` are texts such as ``"Feb 03"``, the newest first, and the keys of ``values``. The first cell of each list is the cohort
    itself; the cell at N + 1 is interval N, so interval 0 (the day of the start itself) is at 1. ``combined`` takes all dates
    together.
    """

    dates: list[str]
    values: dict[str, list[RetentionCell]]
    combined: list[RetentionCell]


class RetentionData(TypedDict, total=False):
    """``seriesMeta[k]`` says of which segment (``segmentIndex``) and return event (``eventIndex``) ``series[k]`` is."""

    series: Required[list[RetentionSeries]]
    seriesMeta: list[Any]


class Retention(TypedDict):
    """The answer of a retention analysis; everything is under ``data``."""

    data: RetentionData


class RealTimeData(TypedDict):
    """Active users every 5 minutes: ``series[k][t]`` at ``xValues[t]`` (``HH:MM``) of ``seriesLabels[k]`` (today, yesterday)."""

    series: list[list[int]]
    seriesLabels: list[str]
    xValues: list[str]


class RealTime(TypedDict):
    """The answer about users active now; everything is under ``data``."""

    data: RealTimeData


class RevenueLtvSeries(TypedDict):
    """One segment or group.

    ``dates`` are the days of first use, the newest first. ``values[date]`` has the metric 1 to 90 days later (``r1d`` to ``r90d``),
    and ``count`` (new users), ``paid`` (of them who paid), ``total_amount``.
    """

    dates: list[str]
    values: dict[str, dict[str, float]]


class RevenueLtvData(TypedDict):
    """``series[k]`` belongs to ``seriesLabels[k]``, which is empty without a group-by."""

    series: list[RevenueLtvSeries]
    seriesLabels: list[Any]


class RevenueLtv(TypedDict):
    """The answer about the lifetime value of new users; everything is under ``data``."""

    data: RevenueLtvData
