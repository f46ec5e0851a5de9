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
from amplitude_async.sandbox.measures import ratio
from amplitude_async.sandbox.periods import DATE_INTERVALS, Buckets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from amplitude_async.sandbox.conditions import EventChoice
    from amplitude_async.sandbox.definitions import Scope
    from amplitude_async.sandbox.questions import Parameters
    from amplitude_async.sandbox.view import StoredEvent, View

DAYS: Final = 90
_METRICS: Final = ("0", "1", "2", "3")
_ARPU, _ARPPU, _TOTAL, _PAYING = range(4)

Payments = dict[int, list[tuple[int, float]]]  # by person: days since they came, and amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """A whole query, checked."""

    metric: int
    scope: Scope
    choices: tuple[EventChoice, ...] = NO_CHOICES

    @property
    def cost(self) -> int:
        """Return what it costs."""
        return self.scope.cost()

    def answer(self, view: View) -> dict[str, object]:
        """Return the ``data`` of the answer: a series for each segment or group."""
        frame = self.scope.frame(view.zone)
        came = view.newcomers(*self.scope.range.span(view.zone))
        payments = self._payments(view, came)
        parts = list(self.scope.parts(view, frame, came))
        return {
            "seriesLabels": [name for _number, name, _users in parts],
            "series": [self._series(frame, users, payments) for _number, _name, users in parts],
        }

    def _payments(self, view: View, came: Iterable[StoredEvent]) -> Payments:
        """Return what each user has paid in the days that count."""
        midnights = view.zone.midnights(self.scope.range.start, self.scope.range.days + DAYS + 1)
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
    return Lifetime(
        metric=int(questions.choice(parameters, "m", _METRICS)),
        scope=definitions.scope(parameters, intervals=DATE_INTERVALS),
    )
