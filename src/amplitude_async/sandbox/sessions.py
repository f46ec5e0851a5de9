"""Sessions: how long they are, and how many a user has.

Pure. Described at https://amplitude.com/docs/apis/analytics/dashboard-rest. Where that page is silent: a session is a user's
events with one session id (from 0), belongs to the day of its first event and lasts until its last; sessions per user are those
of a day by the users who had one; custom bins without a size are ten.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from amplitude_async.sandbox import questions
from amplitude_async.sandbox.counts import NO_CHOICES
from amplitude_async.sandbox.limits import query_cost
from amplitude_async.sandbox.measures import ratio
from amplitude_async.sandbox.periods import DAY, DAY_US, SECOND_US, buckets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from amplitude_async.sandbox.conditions import EventChoice
    from amplitude_async.sandbox.questions import Parameters, Range
    from amplitude_async.sandbox.view import Session, View

_TYPE_COST: Final = 4
_LONGEST_S: Final = 86_400.0  # what is longer counts as this
_DEFAULT_BORDERS_S: Final = (0.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, _LONGEST_S)
_UNITS_S: Final = {"hours": 3600.0, "minutes": 60.0, "seconds": 1.0}
_BINS: Final = 10  # without a size
_MOST_BINS: Final = 10_000
_BIN: Final = "timeHistogramConfigBin"


def _seconds(session: Session) -> float:
    return min(session.length_us, DAY_US) / SECOND_US


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfSessions:
    """A query about the sessions of a range."""

    range: Range

    @property
    def cost(self) -> int:
        """Return what it costs."""
        return query_cost(days=self.range.days, type_cost=_TYPE_COST)

    @property
    def choices(self) -> tuple[EventChoice, ...]:
        """Return the events that it names: none."""
        return NO_CHOICES


class _Daily(_OfSessions):
    """A number for each day."""

    def _answer(self, view: View, number: Callable[[Sequence[Session]], float]) -> dict[str, object]:
        frame = buckets(view.zone, self.range.start, self.range.end, DAY)
        days: list[list[Session]] = [[] for _day in range(len(frame))]
        for session in view.source.sessions(*self.range.span(view.zone)):
            days[frame.place(session.start_us)].append(session)
        return {"series": [[number(day) for day in days]], "seriesMeta": [{"segmentIndex": 0}], "xValues": frame.labels}


class AverageLength(_Daily):
    """The average length of a day's sessions, in seconds."""

    def answer(self, view: View) -> dict[str, object]:
        """Return the ``data`` of the answer."""
        return self._answer(view, lambda sessions: ratio(math.fsum(map(_seconds, sessions)), len(sessions)))


class PerUser(_Daily):
    """The average number of sessions of a day's users."""

    def answer(self, view: View) -> dict[str, object]:
        """Return the ``data`` of the answer."""
        return self._answer(view, lambda sessions: ratio(len(sessions), len({session.person for session in sessions})))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths(_OfSessions):
    """How many sessions are how long."""

    borders_s: tuple[float, ...]

    def answer(self, view: View) -> dict[str, object]:
        """Return the ``data`` of the answer; bins are closed on their left, the longest sessions are in the last one."""
        borders = self.borders_s
        counts = [0] * (len(borders) - 1)
        for session in view.source.sessions(*self.range.span(view.zone)):
            seconds = _seconds(session)
            place = bisect_right(borders, seconds) - 1
            if seconds == borders[-1] == _LONGEST_S:
                place -= 1
            if 0 <= place < len(counts):
                counts[place] += 1
        texts = [f"{border:.15g}s" for border in borders]
        return {"series": [counts], "xValues": [f"{start}-{end}" for start, end in pairwise(texts)]}


def lengths(parameters: Parameters) -> Lengths:
    """Read a query for the distribution of lengths. Bins that make no sense are the default ones, without an error."""
    return Lengths(range=questions.day_range(parameters), borders_s=_borders(parameters) or _DEFAULT_BORDERS_S)


def _borders(parameters: Parameters) -> tuple[float, ...] | None:
    unit = _UNITS_S.get(questions.one(parameters, f"{_BIN}TimeUnit") or "")
    first, last, size = (_number(parameters, f"{_BIN}{name}") for name in ("Min", "Max", "Size"))
    has_size = questions.one(parameters, f"{_BIN}Size") is not None
    if unit is None or first is None or last is None or not 0 <= first < last:
        return None
    if not has_size:
        size = (last - first) / _BINS
    if size is None or size <= 0 or (last - first) / size > _MOST_BINS:
        return None
    count = math.ceil((last - first) / size - 1e-9)
    return (*(unit * (first + size * index) for index in range(count)), unit * last)


def _number(parameters: Parameters, name: str) -> float | None:
    try:
        number = float(questions.one(parameters, name) or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def average(parameters: Parameters) -> AverageLength:
    """Read a query for the average length."""
    return AverageLength(range=questions.day_range(parameters))


def per_user(parameters: Parameters) -> PerUser:
    """Read a query for the sessions of a user."""
    return PerUser(range=questions.day_range(parameters))
