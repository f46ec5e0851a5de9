"""Event segmentation: which events count, how they are grouped, and the series that come out.

Pure: the stored events are an argument. Described at https://amplitude.com/docs/apis/analytics/dashboard-rest;
days, weeks (from Monday) and months are UTC's.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from amplitude_async.sandbox.conditions import PerformedCondition, Segment, Subject, passes, spelled, values_of
from amplitude_async.sandbox.store import StoredEvent, microseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

ANY_EVENT: Final = frozenset({"_all", "_active"})
INACTIVE: Final = frozenset({"[Amplitude] Start Session", "[Amplitude] End Session", "[Amplitude] Merged User"})
REVENUE_EVENT: Final = "revenue_amount"
DAY, WEEK, MONTH, HOUR, FIVE_MINUTES = 1, 7, 30, -3_600_000, -300_000
# The longest range in days that an interval may show.
LONGEST_RANGE: Final = {DAY: 365, WEEK: 3660, MONTH: 3660, HOUR: 7, FIVE_MINUTES: 2}
METRICS: Final = frozenset({"uniques", "totals", "pct_dau", "average", "sums", "value_avg"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EventChoice:
    """One ``e``: which events are meant."""

    event_type: str
    filters: tuple[Mapping[str, object], ...] = ()
    group_by: tuple[tuple[str, str], ...] = ()  # (``event`` or ``user``, property)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A whole query, checked."""

    events: tuple[EventChoice, ...]
    metric: str
    start: date
    end: date
    interval: int
    segments: tuple[Segment, ...]  # one without conditions when none was given
    group_by: tuple[tuple[str, str], ...]
    limit: int

    @property
    def days(self) -> int:
        """Return the number of calendar days, both ends included."""
        return (self.end - self.start).days + 1

    @property
    def span_us(self) -> tuple[int, int]:
        """Return the half-open range in microseconds since the epoch."""
        start = datetime.combine(self.start, time(), UTC)
        return microseconds(start), microseconds(start) + self.days * 86_400_000_000


@dataclass(slots=True)
class _Series:
    """The counts of one group: per bucket, and over the whole range."""

    people: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    totals: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    sums: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    everyone: set[int] = field(default_factory=set)

    def count(self, bucket: int, person: int, number: float) -> None:
        self.people[bucket].add(person)
        self.totals[bucket] += 1
        self.sums[bucket] += number
        self.everyone.add(person)


def buckets(question: Question) -> list[datetime]:
    """Return the first instant of every bucket of the range."""
    first = datetime.combine(question.start, time(), UTC)
    end = datetime.combine(question.end, time(), UTC) + timedelta(days=1)
    if question.interval == MONTH:
        return _months(first.replace(day=1), end)
    if question.interval == WEEK:
        first -= timedelta(days=first.weekday())
    step = timedelta(milliseconds=-question.interval) if question.interval < 0 else timedelta(days=question.interval)
    return [first + step * index for index in range(-(-(end - first) // step))]


def _months(first: datetime, end: datetime) -> list[datetime]:
    found: list[datetime] = []
    while first < end:
        found.append(first)
        first = (first + timedelta(days=31)).replace(day=1)
    return found


def _placer(question: Question, starts: Sequence[datetime]) -> Callable[[int], int]:
    """Return the function from an instant to the index of its bucket."""
    if question.interval == MONTH:
        first = starts[0]

        def month(at_us: int) -> int:
            at = datetime.fromtimestamp(at_us // 1_000_000, UTC)
            return (at.year - first.year) * 12 + at.month - first.month

        return month
    origin = microseconds(starts[0])
    width = -question.interval * 1000 if question.interval < 0 else question.interval * 86_400_000_000
    return lambda at_us: (at_us - origin) // width


def is_meant(choice: EventChoice, event: StoredEvent) -> bool:
    """Say whether an event is of the chosen type, filters apart."""
    if choice.event_type in ANY_EVENT:
        return choice.event_type == "_all" or event.event_type not in INACTIVE
    if choice.event_type == REVENUE_EVENT:
        return event.event_type == REVENUE_EVENT or event.revenue is not None
    return event.event_type == choice.event_type


def answer(
    question: Question,
    events: Sequence[StoredEvent],
    subjects: Callable[[StoredEvent], Subject],
    counts: Callable[[PerformedCondition], Mapping[int, int]],
) -> dict[str, object]:
    """Return the ``data`` of the answer.

    Args:
        question: The query.
        events: Those of the range, of every type that it asks for (of all types for ``pct_dau``).
        subjects: Reads the row of an event; asked only when a property matters.
        counts: Says who performed something how often; asked only by segments that want to know.
    """
    starts = buckets(question)
    place = _placer(question, starts)
    active: dict[int, set[int]] = defaultdict(set)
    if question.metric == "pct_dau":
        for event in events:
            active[place(event.at_us)].add(event.person)
    everyone = {person for people in active.values() for person in people}
    labelled: list[tuple[object, _Series]] = []
    for index, choice in enumerate(question.events):
        chosen = [event for event in events if is_meant(choice, event)]
        if choice.filters:
            chosen = [event for event in chosen if passes(subjects(event), choice.filters)]
        for number, segment in enumerate(question.segments):
            members = [event for event in chosen if not segment.conditions or segment.has(subjects(event), event.person, counts)]
            labelled += _grouped(question, choice, members, subjects, place, _label(question, index, number))
    width = len(starts)
    return {
        "series": [
            [_value(question.metric, series, {bucket}, active[bucket]) for bucket in range(width)] for _label_, series in labelled
        ],
        "seriesLabels": [label for label, _series in labelled],
        "seriesCollapsed": [
            [{"setId": "", "value": _value(question.metric, series, set(range(width)), everyone)}] for _label_, series in labelled
        ],
        "xValues": [f"{start:%Y-%m-%dT%H:%M:%S}" if question.interval < 0 else f"{start:%Y-%m-%d}" for start in starts],
    }


def _label(question: Question, event: int, segment: int) -> object:
    """Number a series: by segment, by event, or by both when there are several of both."""
    if len(question.events) == 1:
        return segment
    return event if len(question.segments) == 1 else [event, segment]


def _grouped(
    question: Question,
    choice: EventChoice,
    events: Iterable[StoredEvent],
    subjects: Callable[[StoredEvent], Subject],
    place: Callable[[int], int],
    label: object,
) -> list[tuple[object, _Series]]:
    """Return the labelled series of one event and segment: one, or one per value of the group-by."""
    is_measured = question.metric in {"sums", "value_avg"}
    keys = question.group_by if is_measured else question.group_by or choice.group_by
    found: dict[str, _Series] = defaultdict(_Series)
    whole = _Series()
    for event in events:
        bucket = place(event.at_us)
        number = 0.0
        if is_measured:
            values = values_of(subjects(event), *choice.group_by[0])
            if not values or not isinstance(values[0], int | float):
                continue
            number = float(values[0])
        if not keys:
            whole.count(bucket, event.person, number)
            continue
        for name in _combinations(subjects(event), keys):
            found[name].count(bucket, event.person, number)
    if not keys:
        return [(label, whole)]
    width = len(buckets(question))
    ranked = sorted(
        found.items(),
        key=lambda item: (-_value(question.metric, item[1], set(range(width)), set()), item[0]),
    )
    event_prefixed = len(question.events) > 1
    return [([label, name] if event_prefixed else name, series) for name, series in ranked[: question.limit]]


def _combinations(subject: Subject, keys: Sequence[tuple[str, str]]) -> list[str]:
    names = [""]
    for position, (kind, key) in enumerate(keys):
        values = [spelled(value) for value in values_of(subject, kind, key)] or ["(none)"]
        joint = "; " if position else ""
        names = [f"{name}{joint}{value}" for name in names for value in dict.fromkeys(values)]
    return names


def _value(metric: str, series: _Series, over: set[int], active: set[int]) -> float:
    people: set[int] = set().union(*(series.people.get(bucket, set()) for bucket in over))
    totals = sum(series.totals.get(bucket, 0) for bucket in over)
    sums = sum(series.sums.get(bucket, 0.0) for bucket in over)
    if metric == "uniques":
        return len(people)
    if metric == "totals":
        return totals
    if metric == "sums":
        return sums
    if metric == "pct_dau":
        return 100 * len(people) / len(active) if active else float(len(people))
    if metric == "average":
        return totals / len(people) if people else 0.0
    return sums / totals if totals else 0.0
