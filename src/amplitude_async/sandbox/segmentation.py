"""Event segmentation: which events count, how they are grouped, and the series that come out.

Pure. Described at https://amplitude.com/docs/apis/analytics/dashboard-rest#event-segmentation. What that page leaves open: a
series is labelled by the number of its segment, of its event (with two) or of its formula (with several), by the value of its
group, or by a list of both; windows reach back before the range, and then weeks and months count whole; a distribution has its
values in ``xValues``.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from amplitude_async.sandbox import definitions, formulas, questions
from amplitude_async.sandbox.conditions import ANY_ACTIVE, EventChoice, Group, Segment, combinations, spelled, values_of
from amplitude_async.sandbox.measures import DISTRIBUTIONS, MEASURES, OF_ACTIVE, OF_PROPERTY, Column, Tally, distribution
from amplitude_async.sandbox.periods import DAY, FIVE_MINUTES, HOUR, MONTH, WEEK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from amplitude_async.sandbox.definitions import Scope
    from amplitude_async.sandbox.formulas import Metric, Node, Numbers
    from amplitude_async.sandbox.periods import Buckets
    from amplitude_async.sandbox.questions import Parameters
    from amplitude_async.sandbox.view import StoredEvent, View

_FORMULA: Final = "formula"
# What ``m`` may be, and the metric of a formula that is the same.
METRICS: Final = {
    "uniques": "UNIQUES",
    "totals": "TOTALS",
    "pct_dau": "ACTIVE",
    "average": "AVG",
    "histogram": "PROPHIST",
    "sums": "PROPSUM",
    "value_avg": "PROPAVG",
}
# How many intervals a window may hold.
WIDEST_WINDOW: Final = {FIVE_MINUTES: 36, HOUR: 72, DAY: 90, WEEK: 12, MONTH: 12}
_ACTIVE: Final = EventChoice(event_type=ANY_ACTIVE)
_ANY_GROUP: Final = ""  # the one group of events that are not grouped
_EMPTY: Final = Column()

Key = tuple[int, int]  # the number of an event, and of a segment
Groups = dict[str, Column]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation:
    """A whole query, checked."""

    choices: tuple[EventChoice, ...]
    nodes: tuple[Node, ...]
    is_formula: bool
    scale: float
    only_active: bool
    scope: Scope
    limit: int
    window: int
    mean_over: int

    @property
    def cost(self) -> int:
        """Return what it costs: each event one, and four for each property that it is grouped by."""
        return self.scope.cost(len(self.choices) + 4 * sum(len(choice.group_by) for choice in self.choices))

    @property
    def metrics(self) -> list[Metric]:
        """Return every metric that is asked for."""
        return [metric for node in self.nodes for metric in formulas.metrics(node)]

    @property
    def lead(self) -> int:
        """Return how many intervals before the range are looked at."""
        return max(self.window, self.mean_over, *(metric.window for metric in self.metrics), 1) - 1

    @property
    def distribution(self) -> str | None:
        """Return the distribution that is asked for, if it is one."""
        return next((metric.name for metric in self.metrics if metric.name in DISTRIBUTIONS), None)

    def keys_of(self, event: int) -> tuple[Group, ...]:
        """Return the properties whose values make groups of an event; a property that is measured makes none."""
        if self.scope.group_by or self.measured(event):
            return self.scope.group_by
        return self.choices[event].group_by

    def measured(self, event: int) -> Group | None:
        """Return the property of an event that is measured, if one is."""
        is_measured = any(metric.event == event and metric.name in OF_PROPERTY for metric in self.metrics)
        return self.choices[event].group_by[0] if is_measured else None

    def answer(self, view: View) -> dict[str, object]:
        """Return the ``data`` of the answer."""
        return _Answer(self, view).data()


def asked(parameters: Parameters) -> Segmentation:
    """Read the query. ValueError says what is missing, malformed or not offered."""
    names = ("e",) if questions.one(parameters, "e2") is None else ("e", "e2")
    choices = tuple(definitions.event(parameters, name) for name in names)
    definitions.check_not_new(choices)
    metric = questions.choice(parameters, "m", (*METRICS, _FORMULA))
    if metric == _FORMULA:
        nodes: Sequence[Node] = formulas.parse(questions.required(parameters, "formula"))
    else:
        nodes = [formulas.Metric(METRICS[metric], event, None) for event in range(len(choices))]
    scope = definitions.scope(parameters, groups=("g", "g2"), choices=choices)
    widest = WIDEST_WINDOW[scope.interval]
    found = Segmentation(
        choices=choices,
        nodes=tuple(nodes),
        is_formula=metric == _FORMULA,
        scale=100 if metric == "pct_dau" else 1,
        only_active=questions.choice(parameters, "n", ("any", "active")) == "active",
        scope=scope,
        limit=questions.group_limit(parameters),
        window=questions.whole_number(parameters, "rollingWindow", 1, widest + 1),
        mean_over=questions.whole_number(parameters, "rollingAverage", 1, widest + 1),
    )
    _check(found, widest)
    return found


def _check(found: Segmentation, widest: int) -> None:
    for metric in found.metrics:
        if metric.event >= len(found.choices):
            message = f"There is no event {chr(ord('A') + metric.event)}"
            raise questions.wrong(message)
        if metric.segment is not None and not 0 <= metric.segment < len(found.scope.segments):
            message = f"There is no segment {metric.segment + 1}"
            raise questions.wrong(message)
        if metric.name in OF_PROPERTY and not found.choices[metric.event].group_by:
            message = f"{metric.name} needs a group_by inside e"
            raise questions.wrong(message)
    if found.lead >= widest:
        message = f"i={found.scope.interval} has windows of up to {widest} intervals"
        raise questions.wrong(message)
    if not found.window or not found.mean_over or min(found.window, found.mean_over) > 1:
        message = "One of rollingWindow and rollingAverage may be given, from 1 on"
        raise questions.wrong(message)
    if found.distribution and (found.lead or len(found.nodes) > len(found.choices)):
        message = "A distribution has no window"
        raise questions.wrong(message)


class _Answer:
    """The answer of a query, being put together."""

    def __init__(self, question: Segmentation, view: View) -> None:
        self._question = question
        self._view = view
        self._frame: Buckets = question.scope.frame(view.zone, question.lead)
        names = {metric.name for metric in question.metrics}
        self._active: dict[int, Column] = {}
        start, end = self._span()
        wants_all = bool(names & OF_ACTIVE) or question.only_active
        events = view.events(start, end, None if wants_all else question.choices)
        if question.only_active:
            people = {event.person for event in events if view.fits(_ACTIVE, event)}
            events = [event for event in events if event.person in people]
        if names & OF_ACTIVE:
            self._active = {
                number: self._column(self._members(_ACTIVE, segment, events)) for number, segment in enumerate(question.scope.segments)
            }
        self._groups: dict[Key, Groups] = {
            (event, number): self._grouped(event, self._members(choice, segment, events))
            for event, choice in enumerate(question.choices)
            for number, segment in enumerate(question.scope.segments)
        }

    def _span(self) -> tuple[int, int]:
        """Return what is read: the range, and from the start of the first window on."""
        start, end = self._question.scope.range.span(self._view.zone)
        return (self._frame.starts[0] if self._question.lead else start), end

    def _members(self, choice: EventChoice, segment: Segment, events: Iterable[StoredEvent]) -> list[StoredEvent]:
        fits, belongs, frame = self._view.fits, self._view.belongs, self._frame
        chosen = [event for event in events if fits(choice, event)]
        if segment.conditions:
            chosen = [event for event in chosen if belongs(segment, event, frame.bounds(frame.place(event.at_us)))]
        return chosen

    def _column(self, events: Iterable[StoredEvent]) -> Column:
        column, place = Column(), self._frame.place
        for event in events:
            column.count(place(event.at_us), event.person)
        return column

    def _grouped(self, number: int, events: Iterable[StoredEvent]) -> Groups:
        """Return the columns of one event and segment: one, or one per value of the group-by."""
        keys, measured = self._question.keys_of(number), self._question.measured(number)
        if not keys and measured is None:
            return {_ANY_GROUP: self._column(events)}
        found: Groups = defaultdict(Column)
        if not keys:
            found[_ANY_GROUP] = Column()
        place, subject = self._frame.place, self._view.subject
        for event in events:
            row = subject(event)
            values = () if measured is None else values_of(row, *measured)
            for name in combinations(row, keys):
                found[name].count(place(event.at_us), event.person, values)
        return dict(found)

    def data(self) -> dict[str, object]:
        """Return what is under ``data``."""
        kind, width = self._question.distribution, len(self._frame)
        series = list(self._series())
        labels = [label for label, *_which in series]
        if kind is None:
            x_values = self._frame.labels
            found = [formulas.evaluate(node, self._looker(segment, name), width) for _label, node, segment, name in series]
            numbers = [[number * self._question.scale for number in each] for each in found] if self._question.scale != 1 else found
        else:
            spreads = [self._spread(kind, node, segment, name) for _label, node, segment, name in series]
            values = sorted({value for spread in spreads for value in spread})
            x_values = [spelled(value) for value in values]
            numbers = [[*(float(spread.get(value, 0)) for value in values), sum(spread.values())] for spread in spreads]
        return {
            "series": [each[:-1] for each in numbers],
            "seriesLabels": labels,
            "seriesCollapsed": [[{"setId": "", "value": each[-1]}] for each in numbers],
            "xValues": x_values,
        }

    def _series(self) -> Iterator[tuple[object, Node, int, str]]:
        """Yield the series of every formula (or event), segment and group: label, formula, segment, group."""
        question = self._question
        for index, node in enumerate(question.nodes):
            references = list(formulas.metrics(node))
            is_fixed = bool(references) and all(metric.segment is not None for metric in references)
            for segment in range(1 if is_fixed else len(question.scope.segments)):
                label = self._label(index, segment, is_single=is_fixed or len(question.scope.segments) == 1)
                if not any(question.keys_of(metric.event) for metric in references):
                    yield label, node, segment, _ANY_GROUP
                    continue
                for name in self._ranked(node, segment)[: question.limit]:
                    yield [label, name] if len(question.nodes) > 1 else name, node, segment, name

    def _label(self, index: int, segment: int, *, is_single: bool) -> object:
        if len(self._question.nodes) == 1:
            return segment
        return index if is_single else [index, segment]

    def _ranked(self, node: Node, segment: int) -> list[str]:
        """Return the names of groups: the largest first, by the metric, or by the users that a formula is about."""
        references = [metric for metric in formulas.metrics(node) if self._question.keys_of(metric.event)]
        names = {name for metric in references for name in self._groups[metric.event, segment]}

        def size(name: str) -> float:
            if isinstance(node, formulas.Metric) and node.name in MEASURES:
                return self._looker(segment, name)(node)[-1]
            columns = [self._column_of(metric, segment, name) for metric in references]
            return len({person for column in columns for person in column.whole.people})

        return sorted(names, key=lambda name: (-size(name), name))

    def _column_of(self, metric: Metric, segment: int, name: str) -> Column:
        groups = self._groups[metric.event, segment if metric.segment is None else metric.segment]
        return groups.get(name if self._question.keys_of(metric.event) else _ANY_GROUP, _EMPTY)

    def _spread(self, kind: str, node: Node, segment: int, name: str) -> dict[float, int]:
        (metric,) = formulas.metrics(node)
        return distribution(kind, self._column_of(metric, segment, name).whole)

    def _looker(self, segment: int, name: str) -> Callable[[Metric], Numbers]:
        """Return the function from a metric to its numbers in a series."""

        def look(metric: Metric) -> Numbers:
            column = self._column_of(metric, segment, name)
            active = self._active.get(segment if metric.segment is None else metric.segment, _EMPTY)
            return self._measured(metric, column, active)

        return look

    def _measured(self, metric: Metric, column: Column, active: Column) -> Numbers:
        """Return a metric in every bucket, and over the whole range."""
        measure, share, width = MEASURES[metric.name], metric.share, len(self._frame)
        rolling, window = metric.rolling, metric.window
        if rolling is None and self._question.window > 1:
            rolling, window = "ROLLWIN", self._question.window
        elif rolling is None and self._question.mean_over > 1:
            rolling, window = "ROLLAVG", self._question.mean_over
        whole = measure(column.whole, active.whole, share)
        if rolling == "CUMSUM":
            numbers = self._running(metric, column, active)
        elif rolling == "ROLLAVG":
            single = [measure(column.at(bucket), active.at(bucket), share) for bucket in range(1 - window, width)]
            numbers = [sum(single[index : index + window]) / window for index in range(width)]
        else:
            spans = [(bucket - window + 1, bucket) for bucket in range(width)]
            numbers = [measure(column.over(*span), active.over(*span), share) for span in spans]
        # A metric that is itself a window is at the end of the range what its last value is.
        return [*numbers, whole if metric.rolling is None else numbers[-1]]

    def _running(self, metric: Metric, column: Column, active: Column) -> Numbers:
        done, meanwhile, numbers = Tally(), Tally(), []
        for bucket in range(len(self._frame)):
            done.absorb(column.at(bucket))
            meanwhile.absorb(active.at(bucket))
            numbers.append(MEASURES[metric.name](done, meanwhile, metric.share))
        return numbers
