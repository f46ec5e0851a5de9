"""What is counted of events, and the numbers that come of it: the metrics of segmentation and of its formulas.

Pure. Metrics as at https://amplitude.com/docs/analytics/charts/event-segmentation/event-segmentation-custom-formulas. Percentiles
are by nearest rank, and distinct values are counted exactly, where Amplitude estimates them.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from amplitude_async.sandbox.conditions import spelled

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(slots=True)
class Tally:
    """What happened in one span of time: how often each person did it, and with which values of a property."""

    people: Counter[int] = field(default_factory=Counter)
    values: list[tuple[int, object]] = field(default_factory=list)

    def count(self, person: int, values: Iterable[object] = ()) -> None:
        """Count an event, with the values of the property that is measured."""
        self.people[person] += 1
        self.values += [(person, value) for value in values]

    def absorb(self, other: Tally) -> None:
        """Count everything that another has counted, too."""
        self.people.update(other.people)
        self.values += other.values

    @property
    def numbers(self) -> list[float]:
        """Return the values that are numbers."""
        return [value for _person, value in self.values if isinstance(value, int | float) and not isinstance(value, bool)]


NOTHING: Final = Tally()


class Column:
    """The tallies of one series: one for each bucket (leading ones have negative numbers), and one of the whole range."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self.whole: Tally = Tally()
        self._buckets: dict[int, Tally] = {}

    def count(self, bucket: int, person: int, values: Sequence[object] = ()) -> None:
        """Count an event."""
        tally = self._buckets.get(bucket)
        if tally is None:
            tally = self._buckets[bucket] = Tally()
        tally.count(person, values)
        if bucket >= 0:
            self.whole.count(person, values)

    def at(self, bucket: int) -> Tally:
        """Return the tally of a bucket; not to be changed."""
        return self._buckets.get(bucket, NOTHING)

    def over(self, first: int, last: int) -> Tally:
        """Return the tally of several buckets together; not to be changed."""
        if first == last:
            return self.at(last)
        together = Tally()
        for bucket in range(first, last + 1):
            together.absorb(self.at(bucket))
        return together


def ratio(part: float, whole: float) -> float:
    """Divide; nothing by nothing is nothing."""
    return part / whole if whole else 0.0


def _percentile(numbers: Sequence[float], share: float) -> float:
    ranked = sorted(numbers)
    return ranked[max(math.ceil(share * len(ranked)), 1) - 1] if ranked else 0.0


def _distinct_by_person(tally: Tally) -> float:
    values: dict[int, set[str]] = defaultdict(set)
    for person, value in tally.values:
        values[person].add(spelled(value))
    return ratio(sum(map(len, values.values())), len(values))


Measure = Callable[[Tally, Tally, float], float]
"""From what was counted, what all active users did meanwhile, and a share (of percentiles), to the metric."""


# By their names in formulas.
MEASURES: Final[dict[str, Measure]] = {
    "UNIQUES": lambda tally, _active, _share: len(tally.people),
    "TOTALS": lambda tally, _active, _share: tally.people.total(),
    "AVG": lambda tally, _active, _share: ratio(tally.people.total(), len(tally.people)),
    "ACTIVE": lambda tally, active, _share: ratio(len(tally.people), len(active.people)),
    "FREQPERCENTILE": lambda tally, _active, share: _percentile(list(tally.people.values()), share),
    "ARPAU": lambda tally, active, _share: ratio(sum(tally.numbers), len(active.people)),
    "PERCENTILE": lambda tally, _active, share: _percentile(tally.numbers, share),
    "PROPAVG": lambda tally, _active, _share: ratio(sum(tally.numbers), len(tally.numbers)),
    "PROPCOUNT": lambda tally, _active, _share: len({spelled(value) for _person, value in tally.values}),
    "PROPCOUNTAVG": lambda tally, _active, _share: _distinct_by_person(tally),
    "PROPMAX": lambda tally, _active, _share: max(tally.numbers, default=0),
    "PROPMIN": lambda tally, _active, _share: min(tally.numbers, default=0),
    "PROPSUM": lambda tally, _active, _share: sum(tally.numbers),
    "REVENUETOTAL": lambda tally, _active, _share: sum(tally.numbers),
}
WITH_SHARE: Final = frozenset({"FREQPERCENTILE", "PERCENTILE"})
OF_ACTIVE: Final = frozenset({"ACTIVE", "ARPAU"})
# These measure the property that the event is grouped by, instead of making groups of its values.
OF_PROPERTY: Final = frozenset(MEASURES) - {"UNIQUES", "TOTALS", "AVG", "ACTIVE", "FREQPERCENTILE"} | {"PROPHIST"}
DISTRIBUTIONS: Final = frozenset({"HIST", "PROPHIST"})


def distribution(name: str, tally: Tally) -> dict[float, int]:
    """Return how often each frequency (``HIST``: of users) or number (``PROPHIST``: of events) occurs, the smallest first."""
    found = Counter(tally.people.values() if name == "HIST" else tally.numbers)
    return dict(sorted(found.items()))
