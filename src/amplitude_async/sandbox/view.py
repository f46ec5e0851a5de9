"""What one dashboard query sees of the stored events: read as far as it needs them, each row decoded once.

Pure but for its source, which is the store, or lists in a test.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec

from amplitude_async.sandbox.conditions import ANY_ACTIVE, INACTIVE, EventChoice, combinations, passes, values_of
from amplitude_async.sandbox.periods import DAY_US

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from amplitude_async.sandbox.conditions import Group, PerformedCondition, Segment, Subject
    from amplitude_async.sandbox.periods import Zone

COHORT: Final = "userdata_cohort"  # the property that is membership in a cohort
_ALWAYS: Final = (-(2**62), 2**62)
_ACTIVE: Final = EventChoice(event_type=ANY_ACTIVE)


class Row(msgspec.Struct, frozen=True):
    """What properties are read from of a raw row; the other columns cost more time than everything else that a query does."""

    event_properties: Any = None
    user_properties: Any = None
    groups: Any = None
    adid: Any = None
    amplitude_id: Any = None
    city: Any = None
    country: Any = None
    device_brand: Any = None
    device_carrier: Any = None
    device_family: Any = None
    device_id: Any = None
    device_manufacturer: Any = None
    device_model: Any = None
    device_type: Any = None
    dma: Any = None
    idfa: Any = None
    ip_address: Any = None
    language: Any = None
    library: Any = None
    os_name: Any = None
    os_version: Any = None
    paying: Any = None
    platform: Any = None
    region: Any = None
    server_upload_time: Any = None
    start_version: Any = None
    user_id: Any = None
    version_name: Any = None

    def get(self, key: str, /) -> object:
        """Return what is in a column, None if it is not set."""
        return getattr(self, key) if key in self.__struct_fields__ else None


class StoredEvent(NamedTuple):
    """One event as the queries read it; the person is the canonical one, after merges."""

    row_id: int
    person: int
    event_type: str
    at_us: int
    revenue: float | None


class Session(NamedTuple):
    """Events of one person with one session id: when the first happened, and how long until the last."""

    person: int
    start_us: int
    length_us: int


class Source(Protocol):
    """Where the events come from."""

    def events_between(self, start_us: int, end_us: int, kinds: Collection[str] | None = None) -> list[StoredEvent]:
        """Return the events of a half-open span of time, in their order, of some types or of all."""

    def subject(self, row_id: int) -> Subject:
        """Return the raw row of an event."""

    def first_seen(self) -> Mapping[int, int]:
        """Return when each person's first event happened."""

    def sessions(self, start_us: int, end_us: int) -> list[Session]:
        """Return the sessions that began in a half-open span of time."""

    def kinds(self, start_us: int, end_us: int) -> Mapping[str, int]:
        """Return every event type, with the number of its events in a half-open span of time."""

    def cohorts(self) -> Mapping[int, Sequence[str]]:
        """Return the ids of the cohorts that people are in, by person."""

    def plan(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what the tracking plan says of event types, by their names."""


class View:
    """The events of one project, at one moment."""

    def __init__(self, source: Source, zone: Zone, now_us: int) -> None:
        """Look at a source; nothing is read until it is asked for."""
        self.source: Final = source
        self.zone: Final = zone
        self.now_us: Final = now_us
        self._subjects: dict[int, Subject] = {}
        self._first_seen: Mapping[int, int] | None = None
        self._cohorts: Mapping[int, Sequence[str]] | None = None
        self._plan: Mapping[str, Mapping[str, Any]] | None = None
        self._inactive: frozenset[str] | None = None
        self._performed: dict[int, Mapping[int, Sequence[int]]] = {}

    @property
    def plan(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what the tracking plan says of event types, by their names."""
        if self._plan is None:
            self._plan = self.source.plan()
        return self._plan

    @property
    def inactive(self) -> frozenset[str]:
        """Return the event types that don't make a user active: Amplitude's own, and those that the plan says so of."""
        if self._inactive is None:
            self._inactive = INACTIVE | {name for name, planned in self.plan.items() if not planned["is_active"]}
        return self._inactive

    def events(self, start_us: int, end_us: int, choices: Iterable[EventChoice] | None = None) -> list[StoredEvent]:
        """Return the events of a span in their order: all of them, or at least those that one of the choices means."""
        chosen = None if choices is None else list(choices)
        if chosen is None or any(choice.is_special for choice in chosen):
            return self.source.events_between(start_us, end_us)
        return self.source.events_between(start_us, end_us, {choice.event_type for choice in chosen})

    def active(self, start_us: int, end_us: int) -> list[StoredEvent]:
        """Return the active events of a span."""
        return [event for event in self.events(start_us, end_us) if self.fits(_ACTIVE, event)]

    def subject(self, event: StoredEvent) -> Subject:
        """Return the raw row of an event."""
        found = self._subjects.get(event.row_id)
        if found is None:
            found = self._subjects[event.row_id] = self.source.subject(event.row_id)
        return found

    def fits(self, choice: EventChoice, event: StoredEvent) -> bool:
        """Say whether an event is one of those chosen, filters included."""
        return choice.names(event.event_type, event.revenue, self.inactive) and self.passes(choice, event)

    def passes(self, choice: EventChoice, event: StoredEvent) -> bool:
        """Say whether an event passes the filters of a choice, whatever its type."""
        return not choice.filters or passes(self.subject(event), choice.filters)

    def belongs(self, segment: Segment, event: StoredEvent, between: tuple[int, int]) -> bool:
        """Say whether the user of an event, as they were at it, is in a segment.

        Args:
            segment: Its conditions.
            event: The event.
            between: The interval that the event is counted in, for conditions on what was performed within it.
        """
        return not segment.conditions or segment.has(
            lambda prop: self._user_values(event, prop), lambda condition: self._count(condition, event.person, between)
        )

    def _user_values(self, event: StoredEvent, prop: str) -> Sequence[object]:
        if prop != COHORT:
            return values_of(self.subject(event), "user", prop)
        if self._cohorts is None:
            self._cohorts = self.source.cohorts()
        return self._cohorts.get(event.person, ())

    def _count(self, condition: PerformedCondition, person: int, between: tuple[int, int]) -> int:
        """Count how often somebody did something: ever, in an interval, or in the days up to an interval's end."""
        if id(condition) not in self._performed:
            self._performed[id(condition)] = self._times(condition)
        times = self._performed[id(condition)].get(person, ())
        start, end = _ALWAYS
        if condition.time_type == "currentInterval":
            start, end = between
        elif condition.time_type == "forEachInterval":
            start, end = between[1] - (condition.days or 1) * DAY_US, between[1]
        return bisect_left(times, end) - bisect_left(times, start)

    def _times(self, condition: PerformedCondition) -> Mapping[int, Sequence[int]]:
        choice = EventChoice(event_type=condition.event_type, filters=condition.filters)
        found: dict[int, list[int]] = defaultdict(list)
        for event in self.events(*_ALWAYS, [choice]):
            if self.fits(choice, event):
                found[event.person].append(event.at_us)
        return found

    def grouped(self, events: Sequence[StoredEvent], keys: Sequence[Group], limit: int) -> list[tuple[str, Sequence[StoredEvent]]]:
        """Return the events of each value of some properties, the one with the most users first; without keys there is one group."""
        if not keys:
            return [("", events)]
        groups: dict[str, list[StoredEvent]] = defaultdict(list)
        for event in events:
            for name in combinations(self.subject(event), keys):
                groups[name].append(event)
        ranked = sorted(groups.items(), key=lambda group: (-len({event.person for event in group[1]}), group[0]))
        return list(ranked[:limit])

    def first_seen(self) -> Mapping[int, int]:
        """Return when each person's first event happened."""
        if self._first_seen is None:
            self._first_seen = self.source.first_seen()
        return self._first_seen

    def newcomers(self, start_us: int, end_us: int) -> list[StoredEvent]:
        """Return the first events of those whose first event was in a span."""
        firsts = self.first_seen()
        found: dict[int, StoredEvent] = {}
        for event in self.events(start_us, end_us):
            if firsts[event.person] == event.at_us:
                found.setdefault(event.person, event)
        return list(found.values())
