"""Plain counts: active and new users, their composition, real-time users, the list of events.

Pure. Described at https://amplitude.com/docs/apis/analytics/dashboard-rest. Where that page is silent: a user is counted in each
group whose value they had at one of their events (new users: at their first one); real-time intervals end with the one that is
running.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from amplitude_async.sandbox import definitions, questions
from amplitude_async.sandbox.limits import query_cost
from amplitude_async.sandbox.periods import DATE_INTERVALS, DAY_US

if TYPE_CHECKING:
    from collections.abc import Iterable

    from amplitude_async.sandbox.conditions import EventChoice
    from amplitude_async.sandbox.definitions import Scope
    from amplitude_async.sandbox.periods import Buckets
    from amplitude_async.sandbox.questions import Parameters, Range
    from amplitude_async.sandbox.view import StoredEvent, View

_FIVE_MINUTES_US: Final = 300_000_000
_REALTIME_STEPS: Final = DAY_US // _FIVE_MINUTES_US
_MOST_VALUES: Final = 1000
NO_CHOICES: Final[tuple[EventChoice, ...]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Active or new users in each interval."""

    only_new: bool
    scope: Scope
    choices: tuple[EventChoice, ...] = NO_CHOICES

    @property
    def cost(self) -> int:
        """Return what it costs."""
        return self.scope.cost()

    def answer(self, view: View) -> dict[str, object]:
        """Return the ``data`` of the answer."""
        frame, span = self.scope.frame(view.zone), self.scope.range.span(view.zone)
        events = view.newcomers(*span) if self.only_new else view.active(*span)
        series: list[list[int]] = []
        metas: list[object] = []
        for number, name, members in self.scope.parts(view, frame, events):
            series.append([len(people) for people in _people(frame, members)])
            metas.append(name if self.scope.group_by else {"segmentIndex": number})
        return {"series": series, "seriesMeta": metas, "xValues": frame.labels}


def _people(frame: Buckets, events: Iterable[StoredEvent]) -> list[set[int]]:
    found: list[set[int]] = [set() for _bucket in range(len(frame))]
    for event in events:
        found[frame.place(event.at_us)].add(event.person)
    return found


def users(parameters: Parameters) -> Users:
    """Read a query for users. ValueError says what is missing or malformed."""
    return Users(
        only_new=questions.choice(parameters, "m", ("active", "new")) == "new",
        scope=definitions.scope(parameters, intervals=DATE_INTERVALS),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """How many active users had each value of a property."""

    range: Range
    name: str
    choices: tuple[EventChoice, ...] = NO_CHOICES

    @property
    def cost(self) -> int:
        """Return what it costs."""
        return query_cost(days=self.range.days)

    def answer(self, view: View) -> dict[str, object]:
        """Return the ``data`` of the answer."""
        groups = view.grouped(view.active(*self.range.span(view.zone)), [("user", self.name)], _MOST_VALUES)
        return {
            "series": [[len({event.person for event in events}) for _name, events in groups]],
            "seriesLabels": [self.name],
            "xValues": [name for name, _events in groups],
        }


def composition(parameters: Parameters) -> Composition:
    """Read a query for the composition of users. ValueError says what is missing or malformed."""
    asked = Composition(range=questions.day_range(parameters), name=questions.required(parameters, "p").strip())
    if not definitions.is_user_property(asked.name):
        message = f"Unknown property: {asked.name[:100]} (custom user properties are spelled gp:name)"
        raise questions.wrong(message)
    return asked


@dataclass(frozen=True, slots=True)
class Realtime:
    """Active users of the last two days, five minutes by five minutes."""

    cost: int = 1
    choices: tuple[EventChoice, ...] = NO_CHOICES

    def answer(self, view: View) -> dict[str, object]:
        """Return the ``data`` of the answer: the last 24 hours, and the 24 before."""
        end = (view.now_us // _FIVE_MINUTES_US + 1) * _FIVE_MINUTES_US
        start = end - 2 * DAY_US
        people: list[set[int]] = [set() for _step in range(2 * _REALTIME_STEPS)]
        for event in view.active(start, end):
            people[(event.at_us - start) // _FIVE_MINUTES_US].add(event.person)
        counts = [len(each) for each in people]
        starts = [start + DAY_US + step * _FIVE_MINUTES_US for step in range(_REALTIME_STEPS)]
        return {
            "xValues": [f"{view.zone.local(at):%H:%M}" for at in starts],
            "seriesLabels": ["Today", "Yesterday"],
            "series": [counts[_REALTIME_STEPS:], counts[:_REALTIME_STEPS]],
        }


def realtime(parameters: Parameters) -> Realtime:
    """Read a query for real-time users; the interval can only be five minutes."""
    questions.choice(parameters, "i", ("5",))
    return Realtime()


@dataclass(frozen=True, slots=True)
class EventList:
    """Every event type that was ever stored and isn't hidden, with this week's totals."""

    cost: int = 1
    choices: tuple[EventChoice, ...] = NO_CHOICES

    def answer(self, view: View) -> list[dict[str, object]]:
        """Return the ``data`` of the answer, by name."""
        today = view.zone.day_of(view.now_us)
        monday = today - timedelta(days=today.weekday())
        week = view.zone.midnight(monday), view.zone.midnight(monday + timedelta(days=7))
        found: list[dict[str, object]] = []
        for kind, totals in sorted(view.source.kinds(*week).items()):
            planned = view.plan.get(kind, {})
            if not planned.get("is_hidden_from_dropdowns"):
                found.append(
                    {
                        "non_active": kind in view.inactive,
                        "value": kind,
                        "totals": totals,
                        "deleted": bool(planned.get("deleted")),
                        "flow_hidden": bool(planned.get("is_hidden_from_pathfinder")),
                        "hidden": False,
                        "display": planned.get("display_name") or kind,
                    }
                )
        return found


def event_list(_parameters: Parameters) -> EventList:
    """Read a query for the list of events, which has no parameters."""
    return EventList()
