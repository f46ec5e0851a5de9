"""Funnels: how far users got, step by step, and how long it took them.

Pure. Described at https://amplitude.com/docs/apis/analytics/dashboard-rest#funnel-analysis, and how users are counted at
https://amplitude.com/docs/analytics/charts/funnel-analysis/funnel-analysis-how-amplitude-computes-conversions:

- A user enters with the first step, within the range; the other steps count within the conversion window from there, also after
  the range.
- Of all attempts of a user the one that got furthest counts, the earliest of several. A user is counted once in the whole, and
  once in each interval of ``dayFunnels`` in which they entered.
- Segments and ``g`` look at the event of the first step; a ``group_by`` inside an event at that step's event.

Where these pages are silent: events at the same instant are in the order in which they arrived (Amplitude's "millisecond
resolution"); between the steps of ``sequential`` no other active event may lie; the window of ``unordered`` is at least a day,
begins with any of the steps (the first one may come later), and a step is reached when all steps up to it were done.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean, median
from typing import TYPE_CHECKING, Final, NamedTuple

from amplitude_async.sandbox import definitions, questions
from amplitude_async.sandbox.conditions import EventChoice, Segment, combinations
from amplitude_async.sandbox.measures import ratio
from amplitude_async.sandbox.periods import DAY_US, SECOND_US

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from amplitude_async.sandbox.definitions import Scope
    from amplitude_async.sandbox.periods import Buckets
    from amplitude_async.sandbox.questions import Parameters
    from amplitude_async.sandbox.view import StoredEvent, View

_DEFAULT_WINDOW_S: Final = 2_592_000
_LONGEST_WINDOW_S: Final = 366 * 86_400
NOT_REACHED: Final = "did not reach step"


class Attempt(NamedTuple):
    """One way through a funnel.

    Attributes:
        entry: The event of the first step.
        steps: The event of each step that was reached.
        times: When each of these was reached.
    """

    entry: StoredEvent
    steps: tuple[StoredEvent, ...]
    times: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """A whole query, checked."""

    choices: tuple[EventChoice, ...]
    mode: str
    only_new: bool
    scope: Scope
    window_us: int
    limit: int

    @property
    def cost(self) -> int:
        """Return what it costs: two for each step, and four for each property that one is grouped by."""
        return self.scope.cost(2 * len(self.choices) + 4 * sum(len(choice.group_by) for choice in self.choices))

    @property
    def is_grouped(self) -> bool:
        """Say whether there is one funnel for each value of a property."""
        return bool(self.scope.group_by or any(choice.group_by for choice in self.choices))

    def answer(self, view: View) -> list[dict[str, object]]:
        """Return the ``data`` of the answer: an element for each segment or group."""
        frame = self.scope.frame(view.zone)
        start, end = self.scope.range.span(view.zone)
        found: dict[int, list[StoredEvent]] = defaultdict(list)
        for event in view.events(start, end + self.window_us, None if self.mode == "sequential" else self.choices):
            found[event.person].append(event)
        people = [_Path(self, view, events) for events in found.values()]
        if self.only_new:
            firsts = view.first_seen()
            people = [path for path in people if start <= firsts[path.events[0].person] < end]
        elements: list[dict[str, object]] = []
        for number, segment in enumerate(self.scope.segments):
            counted = self._best(people, segment, frame)
            groups: dict[str, dict[int | None, list[Attempt]]] = {} if self.is_grouped else {"": {}}
            for place, attempt in counted:
                for name in self._names(view, attempt):
                    groups.setdefault(name, {}).setdefault(place, []).append(attempt)
            ranked = sorted(groups.items(), key=lambda group: (-len(group[1].get(None, ())), group[0]))
            for name, attempts in ranked[: self.limit]:
                of_group = {"groupValue": name} if self.is_grouped else {}
                elements.append({"meta": {"segmentIndex": number}, **of_group, **self._counted(frame, attempts)})
        return elements

    def _best(self, people: Iterable[_Path], segment: Segment, frame: Buckets) -> list[tuple[int | None, Attempt]]:
        """Return the attempt that counts of each user: in the whole (``None``), and in each interval."""
        counted: list[tuple[int | None, Attempt]] = []
        for path in people:
            best: dict[int | None, Attempt] = {}
            for attempt in path.attempts(segment, frame):
                for place in (None, frame.place(attempt.entry.at_us)):
                    known = best.get(place)
                    if known is None or len(attempt.steps) > len(known.steps):
                        best[place] = attempt
            counted += best.items()
        return counted

    def _names(self, view: View, attempt: Attempt) -> list[str]:
        """Return the groups that an attempt is counted in."""
        names = combinations(view.subject(attempt.entry), self.scope.group_by) if self.scope.group_by else [""]
        for step, choice in enumerate(self.choices):
            if not choice.group_by:
                continue
            is_reached = step < len(attempt.steps)
            ends = combinations(view.subject(attempt.steps[step]), choice.group_by) if is_reached else [NOT_REACHED]
            names = [f"{name}; {end}" if name else end for name in names for end in ends]
        return names

    def _counted(self, frame: Buckets, attempts: Mapping[int | None, Sequence[Attempt]]) -> dict[str, object]:
        """Return what is said of one segment or group."""
        width = len(self.choices)
        whole = attempts.get(None, ())
        users = _users(whole, width)
        by_day = [attempts.get(place, ()) for place in range(len(frame))]
        shown = {"xValues": frame.labels, "formattedXValues": frame.formatted}
        return {
            "events": [choice.event_type for choice in self.choices],
            "stepByStep": [ratio(count, users[max(step - 1, 0)]) for step, count in enumerate(users)],
            "cumulative": [ratio(count, users[0]) for count in users],
            "cumulativeRaw": users,
            "medianTransTimes": _times(whole, width, median),
            "avgTransTimes": _times(whole, width, fmean),
            "dayFunnels": {"series": [_users(day, width) for day in by_day], **shown},
            "dayMedianTransTimes": {"series": [_times(day, width, median) for day in by_day], **shown},
            "dayAvgTransTimes": {"series": [_times(day, width, fmean) for day in by_day], **shown},
        }


def _users(attempts: Sequence[Attempt], width: int) -> list[int]:
    """Count who reached each step."""
    ends = Counter(len(attempt.steps) for attempt in attempts)
    return list(accumulate(ends.get(step, 0) for step in range(width, 0, -1)))[::-1]


def _times(attempts: Sequence[Attempt], width: int, mean: Callable[[Sequence[int]], float]) -> list[int]:
    """Return how long users took from the step before to each step, in milliseconds."""
    found = [0]
    for step in range(1, width):
        times = [attempt.times[step] - attempt.times[step - 1] for attempt in attempts if len(attempt.times) > step]
        found.append(round(mean(times) / 1000) if times else 0)
    return found


class _Path:
    """What one user did, and where in it the steps of a funnel are."""

    def __init__(self, question: Funnel, view: View, events: Sequence[StoredEvent]) -> None:
        self._question = question
        self._view = view
        fits, choices = view.fits, question.choices
        matches = [[step for step, choice in enumerate(choices) if fits(choice, event)] for event in events]
        if question.mode == "sequential":
            kept = [index for index, event in enumerate(events) if matches[index] or event.event_type not in view.inactive]
            events, matches = [events[index] for index in kept], [matches[index] for index in kept]
        self.events = events
        self._is_disjoint = all(len(steps) < 2 for steps in matches)  # noqa: PLR2004 - two steps that want one event
        self._places: list[list[int]] = [[] for _choice in choices]
        for index, steps in enumerate(matches):
            for step in steps:
                self._places[step].append(index)

    def attempts(self, segment: Segment, frame: Buckets) -> Iterator[Attempt]:
        """Yield every attempt of a user who is in a segment, the earliest first."""
        events, end = self.events, frame.end
        entries = [index for index in self._places[0] if events[index].at_us < end]
        if segment.conditions:
            belongs, place, bounds = self._view.belongs, frame.place, frame.bounds
            entries = [index for index in entries if belongs(segment, events[index], bounds(place(events[index].at_us)))]
        if self._question.mode == "unordered":
            yield from self._unordered(entries)
        else:
            step_on = self._sequential if self._question.mode == "sequential" else self._ordered
            for entry in entries:
                steps = tuple(events[index] for index in step_on(entry))
                yield Attempt(steps[0], steps, tuple(event.at_us for event in steps))

    def _ordered(self, entry: int) -> list[int]:
        found = [entry]
        until = self.events[entry].at_us + self._question.window_us
        for places in self._places[1:]:
            after = bisect_right(places, found[-1])
            if after == len(places) or self.events[places[after]].at_us > until:
                break
            found.append(places[after])
        return found

    def _sequential(self, entry: int) -> list[int]:
        found = [entry]
        until = self.events[entry].at_us + self._question.window_us
        for places in self._places[1:]:
            following = found[-1] + 1
            at = bisect_left(places, following)
            if at == len(places) or places[at] != following or self.events[following].at_us > until:
                break
            found.append(following)
        return found

    def _unordered(self, entries: list[int]) -> Iterator[Attempt]:
        places = [entries, *self._places[1:]]
        width = len(places)
        for began in sorted({index for step in places for index in step}):
            until = self.events[began].at_us + self._question.window_us
            # More than one event for each step is never needed.
            within = [
                [index for index in step[at : at + width] if self.events[index].at_us <= until]
                for step, at in ((step, bisect_left(step, began)) for step in places)
            ]
            if not within[0]:
                continue
            steps, times = self._together(within) if self._is_disjoint else self._matched(within)
            entry = self.events[within[0][0]]
            yield Attempt(entry, (entry, *(self.events[index] for index in steps[1:])), tuple(times))

    def _together(self, within: list[list[int]]) -> tuple[list[int], list[int]]:
        """Return the first event of each step, and when all steps up to it were done."""
        steps: list[int] = []
        for places in within:
            if not places:
                break
            steps.append(places[0])
        return steps, [self.events[index].at_us for index in accumulate(steps, max)]

    def _matched(self, within: list[list[int]]) -> tuple[list[int], list[int]]:
        """Do the same where several steps want the same events, each of which serves one."""
        taken: dict[int, int] = {}  # event -> the step that it serves
        available: set[int] = set()

        def serve(step: int, tried: set[int]) -> bool:
            for index in within[step]:
                if index in available and index not in tried:
                    tried.add(index)
                    if index not in taken or serve(taken[index], tried):
                        taken[index] = step
                        return True
            return False

        times: list[int] = []
        for index in sorted({index for step in within for index in step}):
            available.add(index)
            while len(times) < len(within) and serve(len(times), set()):
                times.append(self.events[index].at_us)
        serving = {step: index for index, step in taken.items()}
        return [serving[step] for step in range(len(times))], times


def asked(parameters: Parameters) -> Funnel:
    """Read the query. ValueError says what is missing, malformed or not offered."""
    choices = definitions.events(parameters, "e")
    definitions.check_not_new(choices)
    mode = questions.choice(parameters, "mode", ("ordered", "unordered", "sequential"))
    window_us = questions.whole_number(parameters, "cs", _DEFAULT_WINDOW_S, _LONGEST_WINDOW_S) * SECOND_US
    if mode == "unordered":
        window_us = max(window_us // DAY_US, 1) * DAY_US
    return Funnel(
        choices=choices,
        mode=mode,
        only_new=questions.choice(parameters, "n", ("active", "new")) == "new",
        scope=definitions.scope(parameters, choices=choices),
        window_us=window_us,
        limit=questions.group_limit(parameters),
    )
