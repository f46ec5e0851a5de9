"""Lifetime value: what new users have paid, day by day since they came.

Pure. Described at https://amplitude.com/docs/apis/analytics/dashboard-rest#revenue-ltv. Where that page is silent: days are
calendar days, ``r1d`` is the day of the first event; ``paid`` and ``total_amount`` are those of all 90 days; ARPPU divides by
those who had paid by then; segments and groups look at a user's first event.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from amplitude_async.sandbox import definitions, questions
from amplitude_async.sandbox.counts import NO_CHOICES
from amplitude_async.sandbox.limits import query_cost
from amplitude_async.sandbox.measures import ratio
from amplitude_async.sandbox.periods import DATE_INTERVALS, Buckets, buckets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from amplitude_async.sandbox.conditions import EventChoice, Group, Segment
    from amplitude_async.sandbox.questions import Parameters, Range
    from amplitude_async.sandbox.view import StoredEvent, View

DAYS: Final = 90
_METRICS: Final = ("0", "1", "2", "3")
_ARPU, _ARPPU, _TOTAL, _PAYING = range(4)

Payments = dict[int, list[tuple[int, float]]]  # by person: days since they came, and amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """A whole query, checked."""

    metric: int
    range: Range
    interval: int
    segments: tuple[Segment, ...]
    group_by: tuple[Group, ...]

    @property
    def cost(self) -> int:
        """Return what it costs."""
        return query_cost(
            days=self.range.days,
            conditions=[len(segment.conditions) for segment in self.segments],
            group_bys=len(self.group_by),
        )

    @property
    def choices(self) -> tuple[EventChoice, ...]:
        """Return the events that it names: none."""
        return NO_CHOICES

    def answer(self, view: View) -> dict[str, object]:
        """Return the ``data`` of the answer: a series for each segment or group."""
        frame = buckets(view.zone, self.range.start, self.range.end, self.interval)
        came = view.newcomers(*self.range.span(view.zone))
        payments = self._payments(view, came)
        labels: list[str] = []
        series: list[dict[str, object]] = []
        for segment in self.segments:
            members = [event for event in came if view.belongs(segment, event, frame.bounds(frame.place(event.at_us)))]
            for name, users in view.grouped(members, self.group_by, questions.DEFAULT_LIMIT):
                labels.append(name)
                series.append(self._series(frame, users, payments))
        return {"seriesLabels": labels, "series": series}

    def _payments(self, view: View, came: Iterable[StoredEvent]) -> Payments:
        """Return what each user has paid in the days that count."""
        midnights = view.zone.midnights(self.range.start, self.range.days + DAYS + 1)
        day_of = Buckets(midnights, midnights[-1], 0, [], []).place
        first_day = {event.person: day_of(event.at_us) for event in came}
        found: Payments = defaultdict(list)
        for event in view.events(midnights[0], midnights[-1]):
            if event.revenue is not None and event.person in first_day:
                day = day_of(event.at_us) - first_day[event.person]
                if day < DAYS:
                    found[event.person].append((day, event.revenue))
        return found

    def _series(self, frame: Buckets, came: Iterable[StoredEvent], payments: Payments) -> dict[str, object]:
        cohorts: list[list[int]] = [[] for _bucket in range(len(frame))]
        for event in came:
            cohorts[frame.place(event.at_us)].append(event.person)
        values = [self._cohort(people, payments) for people in cohorts]
        return {"dates": frame.labels[::-1], "values": dict(zip(frame.labels, values, strict=True))}

    def _cohort(self, people: list[int], payments: Mapping[int, list[tuple[int, float]]]) -> dict[str, float]:
        amounts, firsts = [0.0] * DAYS, [0] * DAYS
        for person in people:
            paid = payments.get(person)
            if paid:
                firsts[min(day for day, _amount in paid)] += 1
                for day, amount in paid:
                    amounts[day] += amount
        found: dict[str, float] = {}
        amount, payers = 0.0, 0
        for day in range(DAYS):
            amount += amounts[day]
            payers += firsts[day]
            by_metric = {_ARPU: ratio(amount, len(people)), _ARPPU: ratio(amount, payers), _TOTAL: amount, _PAYING: payers}
            found[f"r{day + 1}d"] = by_metric[self.metric]
        return {**found, "count": len(people), "paid": payers, "total_amount": amount}


def asked(parameters: Parameters) -> Lifetime:
    """Read the query. ValueError says what is missing or malformed."""
    interval = questions.interval(parameters, DATE_INTERVALS)
    segments, group_by = definitions.segments(parameters), definitions.group_by(parameters)
    definitions.check_grouping(segments, group_by)
    return Lifetime(
        metric=int(questions.choice(parameters, "m", _METRICS)),
        range=questions.day_range(parameters, interval),
        interval=interval,
        segments=segments,
        group_by=group_by,
    )
