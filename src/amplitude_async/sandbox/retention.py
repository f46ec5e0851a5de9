"""Retention: how many of those who did one thing came back to do another, interval by interval.

Pure. Described at https://amplitude.com/docs/apis/analytics/dashboard-rest#retention-analysis, and how it is computed at
https://amplitude.com/docs/analytics/charts/retention-analysis/retention-analysis-time:

- Days are windows of 24 hours from the (whole) hour of the start event, weeks and months 7 and 30 days from its calendar day. A
  user who starts several times in one interval has as many windows.
- Element 0 is the size of the cohort, element N+1 the users who came back in interval N (``rolling``: or later; ``bracket``: in
  the N-th bracket). A cohort is all who started in one interval of the range.

Where the pages are silent: the return event comes after the start event; intervals 0 to 30 (days) or 0 to 12 (weeks, months) are
answered; an element is incomplete until the last who could be in the cohort had all its time; ``combined`` counts each user once,
of the cohorts that are complete, or, when none is, of those whose interval has begun. A cohort without users is answered too.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from amplitude_async.sandbox import definitions, questions
from amplitude_async.sandbox.conditions import NEW, EventChoice
from amplitude_async.sandbox.periods import DATE_INTERVALS, DAY, DAY_US, HOUR_US
from amplitude_async.sandbox.rules import parsed_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from amplitude_async.sandbox.definitions import Scope
    from amplitude_async.sandbox.periods import Buckets
    from amplitude_async.sandbox.questions import Parameters
    from amplitude_async.sandbox.view import StoredEvent, View

_TYPE_COST: Final = 8
_LAST_INTERVAL: Final = {1: 30, 7: 12, 30: 12}
_MOST_BRACKETS: Final = 100
_LONGEST: Final = 365  # intervals
_EVER: Final = 2**62
_HOURS_A_DAY: Final = 24
_ROLLING: Final = "rolling"
_BRACKET: Final = "bracket"
_MODES: Final = ("n-day", "nday", _ROLLING, _BRACKET)

Bracket = tuple[int, int]  # intervals, the second one exclusive


@dataclass(frozen=True, slots=True)
class _Cohort:
    """Who started in one interval of the range, with the elements (from 0: the first bracket) in which they came back."""

    bounds: tuple[int, int]
    retained: Mapping[int, frozenset[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """A whole query, checked."""

    started: EventChoice
    returned: EventChoice
    scope: Scope
    brackets: tuple[Bracket, ...]
    mode: str

    @property
    def cost(self) -> int:
        """Return what it costs."""
        return self.scope.cost(_TYPE_COST)

    @property
    def choices(self) -> tuple[EventChoice, ...]:
        """Return the events that it names."""
        return self.started, self.returned

    def answer(self, view: View) -> dict[str, object]:
        """Return the ``data`` of the answer: a series for each segment or group."""
        frame, span = self.scope.frame(view.zone), self.scope.range.span(view.zone)
        clock = _Clock(view, span, self)
        starts = self._starts(view, span)
        returns = {event.person: _Returns() for event in starts}
        for event in view.events(span[0], clock.until_us, [self.returned]):
            if event.person in returns and view.fits(self.returned, event):
                returns[event.person].add(event, clock.unit(event.at_us))
        series, metas = [], []
        for number, name, events in self.scope.parts(view, frame, starts):
            series.append(self._series(frame, clock, self._cohorts(frame, clock, events, returns)))
            of_group = {"groupValue": name} if self.scope.group_by else {}
            metas.append({"segmentIndex": number, "eventIndex": 0, **of_group})
        return {"series": series, "seriesMeta": metas}

    def _starts(self, view: View, span: tuple[int, int]) -> list[StoredEvent]:
        if self.started.event_type == NEW:
            return [event for event in view.newcomers(*span) if view.passes(self.started, event)]
        return [event for event in view.events(*span, [self.started]) if view.fits(self.started, event)]

    def _cohorts(self, frame: Buckets, clock: _Clock, starts: Iterable[StoredEvent], returns: Mapping[int, _Returns]) -> list[_Cohort]:
        members: list[dict[int, list[StoredEvent]]] = [defaultdict(list) for _place in range(len(frame))]
        for event in starts:
            members[frame.place(event.at_us)][event.person].append(event)
        return [
            _Cohort(
                frame.bounds(place),
                {person: self._retained(clock.intervals(events, returns[person])) for person, events in of_cohort.items()},
            )
            for place, of_cohort in enumerate(members)
        ]

    def _retained(self, intervals: set[int]) -> frozenset[int]:
        """Return the brackets that somebody came back in, who came back after so many whole intervals."""
        if self.mode == _ROLLING:
            last = max(intervals, default=-1)
            return frozenset(number for number, (first, _end) in enumerate(self.brackets) if first <= last)
        if self.mode != _BRACKET:
            return frozenset(number for number in intervals if number < len(self.brackets))
        return frozenset(number for number, (first, end) in enumerate(self.brackets) if not intervals.isdisjoint(range(first, end)))

    def _series(self, frame: Buckets, clock: _Clock, cohorts: Sequence[_Cohort]) -> dict[str, object]:
        elements = [_elements(cohort, [not clock.is_over(cohort.bounds, end) for _first, end in self.brackets]) for cohort in cohorts]
        combined = [{**_together(None, cohorts), "retainedSetId": None, "incomplete": False}]
        for number, (first, end) in enumerate(self.brackets):
            whole = [cohort for cohort in cohorts if clock.is_over(cohort.bounds, end)]
            counted = whole or [cohort for cohort in cohorts if clock.has_begun(cohort.bounds, first)]
            is_incomplete = len(whole) < len(cohorts)
            combined.append({**_together(number, counted), "retainedSetId": None, "incomplete": is_incomplete})
        dates = frame.formatted
        return {"dates": dates[::-1], "values": dict(zip(dates, elements, strict=True)), "combined": combined}


def _elements(cohort: _Cohort, incomplete: Sequence[bool]) -> list[dict[str, object]]:
    size = len(cohort.retained)
    counts = Counter(number for brackets in cohort.retained.values() for number in brackets)
    cells = [(size, False), *((counts[number], late) for number, late in enumerate(incomplete))]
    return [{"count": count, "outof": size, "incomplete": late} for count, late in cells]


def _together(bracket: int | None, cohorts: Iterable[_Cohort]) -> dict[str, object]:
    """Count each user of several cohorts once; without a bracket all of them have come."""
    everybody: set[int] = set()
    came_back: set[int] = set()
    for cohort in cohorts:
        everybody.update(cohort.retained)
        came_back.update(person for person, brackets in cohort.retained.items() if bracket is None or bracket in brackets)
    return {"count": len(came_back), "outof": len(everybody)}


class _Returns:
    """What one user did that counts as coming back, in its order."""

    def __init__(self) -> None:
        self._orders: list[tuple[int, int]] = []
        self._units: list[int] = []

    def add(self, event: StoredEvent, unit: int) -> None:
        self._orders.append((event.at_us, event.row_id))
        self._units.append(unit)

    def after(self, start: StoredEvent) -> list[int]:
        """Return the units of time in which the user came back after an event."""
        return self._units[bisect_right(self._orders, (start.at_us, start.row_id)) :]


class _Clock:
    """Counts intervals from start events: by the hour for days, by the calendar day for weeks and months."""

    def __init__(self, view: View, span: tuple[int, int], question: Retention) -> None:
        self._now_us = view.now_us
        self._by_hour = question.scope.interval == DAY
        self._length = _HOURS_A_DAY if self._by_hour else question.scope.interval
        self._last = max(end for _first, end in question.brackets)
        self._is_rolling = question.mode == _ROLLING
        self._start_us, self._end_us = span
        count = 0 if self._by_hour else question.scope.range.days + self._last * question.scope.interval + 1
        self._days = view.zone.midnights(question.scope.range.start, count)

    @property
    def until_us(self) -> int:
        """Return until when return events count."""
        if self._is_rolling:
            return _EVER
        return self._end_us + self._last * DAY_US if self._by_hour else self._days[-1]

    def unit(self, at_us: int) -> int:
        """Return the hour or the day of an instant, counted from the start of the range."""
        return (at_us - self._start_us) // HOUR_US if self._by_hour else bisect_right(self._days, at_us) - 1

    def intervals(self, starts: Iterable[StoredEvent], returns: _Returns) -> set[int]:
        """Return after how many whole intervals somebody came back, counted from each of their start events."""
        first_of: dict[int, StoredEvent] = {}
        for event in starts:
            first_of.setdefault(self.unit(event.at_us), event)
        return {(unit - began) // self._length for began, start in first_of.items() for unit in set(returns.after(start))}

    def is_over(self, bounds: tuple[int, int], interval: int) -> bool:
        """Say whether all who start within bounds had so many whole intervals (the end of bracket N is interval N)."""
        if self._by_hour:
            return self._now_us >= bounds[1] - HOUR_US + interval * DAY_US
        return self._now_us >= self._days[bisect_left(self._days, bounds[1]) - 1 + interval * self._length]

    def has_begun(self, bounds: tuple[int, int], interval: int) -> bool:
        """Say whether the first who could start within bounds has reached an interval."""
        if self._by_hour:
            return self._now_us >= bounds[0] + interval * DAY_US
        return self._now_us >= self._days[max(self.unit(bounds[0]), 0) + interval * self._length]


def asked(parameters: Parameters) -> Retention:
    """Read the query. ValueError says what is missing, malformed or not offered."""
    started, returned = definitions.event(parameters, "se"), definitions.event(parameters, "re")
    definitions.check_not_new([returned])
    scope = definitions.scope(parameters, intervals=DATE_INTERVALS)
    mode = questions.choice(parameters, "rm", _MODES)
    brackets = _brackets(questions.required(parameters, "rb")) if mode == _BRACKET else _single(_LAST_INTERVAL[scope.interval])
    return Retention(
        started=started,
        returned=returned,
        scope=scope,
        brackets=brackets,
        mode=mode,
    )


def _single(last: int) -> tuple[Bracket, ...]:
    return tuple((number, number + 1) for number in range(last + 1))


def _brackets(text: str) -> tuple[Bracket, ...]:
    try:
        sent = parsed_json(text)
    except ValueError:
        sent = None
    if not isinstance(sent, list) or not 1 <= len(sent) <= _MOST_BRACKETS or not all(map(_is_bracket, sent)):
        message = f"Invalid value for rb: {text[:100]} (expected pairs such as [[0,5]])"
        raise questions.wrong(message)
    return tuple((first, end) for first, end in sent)


def _is_bracket(sent: object) -> bool:
    if not isinstance(sent, list) or len(sent) != 2 or not all(type(bound) is int for bound in sent):  # noqa: PLR2004 - a pair
        return False
    first, end = sent
    return bool(0 <= first < end <= _LONGEST)
