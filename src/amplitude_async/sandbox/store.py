"""The sandbox's memory: events, users and groups in SQLite, in a file or in memory.

Every method runs in the one thread that opened the store; each upload is one transaction. What is written here is
never written as SQL text, only as parameters.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from amplitude_async.sandbox import rows
from amplitude_async.sandbox.documents import Documents
from amplitude_async.sandbox.limits import UserUpdates
from amplitude_async.sandbox.people import People, User
from amplitude_async.sandbox.periods import microseconds
from amplitude_async.sandbox.properties import apply
from amplitude_async.sandbox.view import Row, Session, StoredEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from amplitude_async.sandbox.conditions import Subject
    from amplitude_async.sandbox.rules import Endpoint, Event

# Kinds of documents that queries look at: uploaded cohorts with their members, and the event types of the tracking plan.
COHORTS: Final = "cohorts"
OF_USERS: Final = "User"
PLANNED_EVENTS: Final = "plan.events"
DEDUP_SECONDS: Final = 7 * 24 * 3600  # an insert_id is remembered for seven days
_UPDATING: Final = frozenset({"user_properties", "paying", *rows.BUILT_INS})  # what an update of a user's properties has
_HOUR_US: Final = 3_600_000_000

# Statements for so many insert_ids at once, of which one that is not needed is null; older SQLite takes 999 parameters.
_SEEN: Final = {
    size: "SELECT insert_id, device_id FROM inserts WHERE seen > ? AND insert_id IN (" + ",".join("?" * size) + ")"  # noqa: S608 - question marks; values are parameters
    for size in (1, 25, 500)
}
_STORED: Final = (
    "INSERT INTO events (event_type, amplitude_id, event_us, upload_hour, session_id, revenue, row) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
# The events of a user, those stored before a merge included.
_OF_USER: Final = "amplitude_id IN (SELECT amplitude_id FROM users WHERE amplitude_id = ? OR merged_into = ?)"
_SUMS: Final = "SELECT count(*), count(revenue), coalesce(sum(revenue), 0), min(event_us), max(event_us) FROM events WHERE " + _OF_USER  # noqa: S608 - constants; values are parameters
_SESSIONS: Final = (
    "SELECT count(*), coalesce(sum(length), 0) FROM (SELECT max(event_us) - min(event_us) AS length FROM events WHERE "  # noqa: S608 - constants; values are parameters
    + _OF_USER
    + " AND session_id >= 0 GROUP BY session_id)"
)
_BETWEEN: Final = (
    "SELECT e.id, coalesce(u.merged_into, e.amplitude_id), e.event_type, e.event_us, e.revenue "
    "FROM events e JOIN users u ON u.amplitude_id = e.amplitude_id WHERE e.event_us >= ? AND e.event_us < ? "
    "AND (? IS NULL OR e.event_type IN (SELECT value FROM json_each(?))) ORDER BY e.event_us, e.id"
)
_EARLIEST: Final = "SELECT session_id, row FROM events WHERE " + _OF_USER + " ORDER BY event_us ASC, id ASC LIMIT -1 OFFSET ?"  # noqa: S608 - constants; values are parameters
_LATEST: Final = "SELECT session_id, row FROM events WHERE " + _OF_USER + " ORDER BY event_us DESC, id DESC LIMIT -1 OFFSET ?"  # noqa: S608 - constants; values are parameters
_MONTHS: Final = (
    "SELECT strftime('%Y-%m', event_us / 1000000, 'unixepoch') AS month, count(*) FROM events WHERE "  # noqa: S608 - constants; values are parameters
    + _OF_USER
    + " AND event_us >= ? AND event_us < ? GROUP BY month ORDER BY month"
)
_ROWS: Final = "SELECT id, row FROM events WHERE " + _OF_USER + " AND event_us >= ? AND event_us < ? AND id > ? ORDER BY id LIMIT ?"  # noqa: S608 - constants; values are parameters

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY,
    event_type TEXT NOT NULL,
    amplitude_id INTEGER NOT NULL,
    event_us INTEGER NOT NULL,
    upload_hour INTEGER NOT NULL,
    session_id INTEGER NOT NULL,
    revenue REAL,
    row TEXT NOT NULL
);
-- Queries read these columns and seldom a row: with an index that has them all they needn't leaf through the rows.
CREATE INDEX IF NOT EXISTS events_facts ON events (event_us, event_type, amplitude_id, revenue);
DROP INDEX IF EXISTS events_time;
CREATE INDEX IF NOT EXISTS events_person ON events (amplitude_id, event_us);
CREATE INDEX IF NOT EXISTS events_upload ON events (upload_hour, id);
CREATE TABLE IF NOT EXISTS inserts (insert_id TEXT NOT NULL, device_id TEXT NOT NULL, seen REAL NOT NULL);
CREATE INDEX IF NOT EXISTS inserts_id ON inserts (insert_id);
"""
# Every table there is, the one from which SQLite counts on included.
_EMPTIED: Final = """
BEGIN IMMEDIATE;
DELETE FROM events;
DELETE FROM inserts;
DELETE FROM users;
DELETE FROM devices;
DELETE FROM owned;
DELETE FROM erased;
DELETE FROM group_state;
DELETE FROM documents;
DELETE FROM sqlite_sequence;
COMMIT;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The sums over everything a user did."""

    num_events: int
    num_sessions: int
    usage_ms: int
    purchases: int
    revenue: float
    first_us: int | None
    last_us: int | None


class _Arriving:
    """One request on its way into the database: what is written when all of it was looked at."""

    def __init__(self, stamp: rows.Arrival, seen: set[tuple[str, str]], *, is_by_device: bool) -> None:
        """Start with nothing taken.

        Args:
            stamp: When and how it came.
            seen: Which of its insert_ids are known, and with which device they came.
            is_by_device: Whether the same insert_id with another device is another event.
        """
        self.touched: dict[int, User] = {}
        self.inserts: list[tuple[object, str, float]] = []
        self.rows: list[tuple[object, ...]] = []
        self._stamp = stamp
        self._upload_hour = microseconds(stamp.uploaded) // _HOUR_US
        self.now = stamp.uploaded.timestamp()
        self._seen: set[object] = set(seen) if is_by_device else {insert_id for insert_id, _ in seen}
        self._is_by_device = is_by_device

    def is_new(self, event: Event) -> bool:
        """Say whether this insert_id did not come within seven days, and remember it.

        On V2 the device must be the same too (none is a device of its own); Batch compares the insert_id alone.
        """
        insert_id = event.get("insert_id")
        if not insert_id:
            return True
        device_id = str(event.get("device_id", ""))
        key = (insert_id, device_id) if self._is_by_device else insert_id
        if key in self._seen:
            return False
        self._seen.add(key)
        self.inserts.append((insert_id, device_id, self.now))
        return True

    def add(self, event: Event, person: rows.Person, revenue: float | None) -> None:
        """Write the row of an event."""
        instants = rows.event_instants(event, self._stamp)
        self.rows.append(
            (
                event["event_type"],
                person.amplitude_id,
                microseconds(instants[1]),
                self._upload_hour,
                event.get("session_id", -1),
                revenue,
                rows.packed(rows.row(event, self._stamp, person, instants)),
            )
        )


class Store:
    """One database, open from construction to ``close``."""

    def __init__(self, path: str, project_id: int) -> None:
        """Open a file (created when missing) or ``:memory:``."""
        self.project_id: Final = project_id
        self.after_ingest: Sequence[Callable[[], None]] = ()
        """Who looks at what there is whenever events came."""
        self.updates: UserUpdates = UserUpdates()
        """Which updates of user properties are taken."""
        self._rows = msgspec.json.Decoder(Row)
        self._database = sqlite3.connect(path, isolation_level=None)
        try:
            if path != ":memory:":
                self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(_SCHEMA)
            self.people: People = People(self._database)
            self.documents: Documents = Documents(self._database)
        except BaseException:
            self._database.close()
            raise

    def wipe(self) -> None:
        """Forget everything, and count from the beginning. Whoever holds the store or a part of it goes on with it."""
        self._database.executescript(_EMPTIED)
        self.people.forget(is_sound=False)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def ingest(self, events: Iterable[Event], stamp: rows.Arrival, endpoint: Endpoint, client_ip: str) -> None:
        """Store the checked events of one request: all of them, or none if something breaks."""
        taken = [rows.cut_object(event) for event in events]
        self._database.execute("BEGIN IMMEDIATE")
        try:
            arrival = _Arriving(stamp, self._known_inserts(taken, stamp), is_by_device=endpoint.dedup_by_device)
            for event in taken:
                if event.get("ip") == "$remote":
                    event["ip"] = client_ip
                if arrival.is_new(event):
                    self._take(event, arrival)
            self._database.executemany("INSERT INTO inserts VALUES (?, ?, ?)", arrival.inserts)
            self._database.executemany(_STORED, arrival.rows)
            for user in arrival.touched.values():
                self.people.save(user)
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            self.people.forget(is_sound=False)
            raise
        self.people.forget()
        for look in self.after_ingest:
            look()

    def _known_inserts(self, events: Sequence[Event], stamp: rows.Arrival) -> set[tuple[str, str]]:
        """Return which of the insert_ids in these events came within seven days, each with the device that it came with."""
        sent = [event["insert_id"] for event in events if event.get("insert_id")]
        oldest = stamp.uploaded.timestamp() - DEDUP_SECONDS
        found: set[tuple[str, str]] = set()
        for place in range(0, len(sent), max(_SEEN)):
            part = sent[place : place + max(_SEEN)]
            size, statement = next(each for each in _SEEN.items() if each[0] >= len(part))
            found.update(self._database.execute(statement, (oldest, *part, *[None] * (size - len(part)))))
        return found

    def _take(self, event: Event, arrival: _Arriving) -> None:
        user, device_id = self._person(event)
        arrival.touched[user.amplitude_id] = user
        groups = event.get("groups")
        event_groups = rows.limited_groups(groups) if isinstance(groups, dict) else {}
        if event["event_type"] == "$groupidentify":
            change = event.get("group_properties")
            for group_type, values in event_groups.items():
                for value in values:
                    self.people.change_group(group_type, str(value), change if isinstance(change, dict) else {})
            return
        if event["event_type"] == "$identify":
            self._update(user, event, arrival.now)
            return
        revenue = rows.revenue_of(event)
        user.paying = user.paying or revenue is not None
        arrival.add(event, self._snapshot(user, device_id, event, event_groups, arrival.now), revenue)

    def _person(self, event: Event) -> tuple[User, str]:
        user_id = event.get("user_id")
        sent = event.get("device_id")
        device_id = str(sent) if sent is not None else rows.derived_device_id(self.project_id, str(user_id))
        return self.people.resolve(None if user_id is None else str(user_id), device_id), device_id

    def _update(self, user: User, event: Event, now: float) -> bool:
        """Let an identification (or the user properties of an event) change the stored user; say whether that is still allowed."""
        if not _UPDATING.isdisjoint(event) and not self.updates.takes(user.amplitude_id, now):
            return False
        change = event.get("user_properties")
        if isinstance(change, dict):
            user.properties = apply(user.properties, change)
        user.built_ins.update(rows.built_ins(event))
        if event["event_type"] == "$identify":
            groups = event.get("groups")
            user.groups.update(rows.limited_groups(groups) if isinstance(groups, dict) else {})
            if "paying" in event:
                user.paying = str(event["paying"]).lower() == "true"
        return True

    def _snapshot(self, user: User, device_id: str, event: Event, event_groups: Mapping[str, list[object]], now: float) -> rows.Person:
        """Return the user as they are at this event, after what the event itself changes."""
        synced = event.get("$skip_user_properties_sync") is not True
        change = event.get("user_properties")
        is_updated = synced and self._update(user, event, now)
        if is_updated and "version_name" in user.built_ins:
            user.built_ins.setdefault("start_version", user.built_ins["version_name"])
        groups = {**user.groups, **event_groups}
        return rows.Person(
            amplitude_id=user.amplitude_id,
            user_id=user.user_id,
            device_id=device_id,
            properties=user.properties if synced else apply({}, change if isinstance(change, dict) else {}),
            built_ins=user.built_ins if synced else rows.built_ins(event),
            group_properties=self.people.group_properties(groups) if groups else {},
            groups=groups,
            paying=user.paying,
            updated=is_updated,
        )

    def identify_groups(self, entries: Iterable[Event]) -> None:
        """Apply the checked entries of one ``/groupidentify`` request."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            for entry in entries:
                change = rows.cut(entry.get("group_properties"))
                group_type, value = rows.cut(entry["group_type"]), rows.cut(entry["group_value"])
                self.people.change_group(str(group_type), str(value), change if isinstance(change, dict) else {})
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            self.people.forget(is_sound=False)
            raise
        self.people.forget()

    def events_between(self, start_us: int, end_us: int, kinds: Collection[str] | None = None) -> list[StoredEvent]:
        """Return the events that happened in a half-open span of time, in their order, of some types or of all."""
        wanted = None if kinds is None else json.dumps(list(kinds))
        found = self._database.execute(_BETWEEN, (start_us, end_us, wanted, wanted))
        return list(map(StoredEvent._make, found))

    def subject(self, row_id: int) -> Subject:
        """Return the raw row of an event."""
        (text,) = self._database.execute("SELECT row FROM events WHERE id = ?", (row_id,)).fetchone()
        return self._rows.decode(text)

    def first_seen(self) -> Mapping[int, int]:
        """Return when each person's first event happened, those from before a merge included."""
        return dict(
            self._database.execute(
                "SELECT coalesce(u.merged_into, u.amplitude_id), min(e.first_us) FROM users u JOIN "
                "(SELECT amplitude_id, min(event_us) AS first_us FROM events GROUP BY amplitude_id) e "
                "ON u.amplitude_id = e.amplitude_id GROUP BY 1"
            )
        )

    def sessions(self, start_us: int, end_us: int) -> list[Session]:
        """Return the sessions that began in a half-open span of time; events without one (-1) are in none."""
        found = self._database.execute(
            "SELECT coalesce(u.merged_into, e.amplitude_id), min(e.event_us) AS first_us, max(e.event_us) - min(e.event_us) "
            "FROM events e JOIN users u ON u.amplitude_id = e.amplitude_id WHERE e.session_id >= 0 "
            "GROUP BY 1, e.session_id HAVING first_us >= ? AND first_us < ?",
            (start_us, end_us),
        )
        return list(map(Session._make, found))

    def kinds(self, start_us: int, end_us: int) -> Mapping[str, int]:
        """Return every event type, with the number of its events in a half-open span of time."""
        return dict(
            self._database.execute(
                "SELECT event_type, sum(event_us >= ? AND event_us < ?) FROM events GROUP BY event_type ORDER BY event_type",
                (start_us, end_us),
            )
        )

    def cohorts(self) -> Mapping[int, Sequence[str]]:
        """Return the ids of the cohorts that people are in, by person; cohorts of groups other than users are nobody's."""
        known = self.people.canonical()
        found: dict[int, list[str]] = {}
        for cohort in self.documents.all(COHORTS):
            if cohort["group"] == OF_USERS:
                for person in {known[member] for member in cohort["members"] if member in known}:
                    found.setdefault(person, []).append(cohort["id"])
        return found

    def plan(self) -> Mapping[str, Mapping[str, object]]:
        """Return what the tracking plan says of event types, by their names."""
        return {planned["event_type"]: planned for planned in self.documents.all(PLANNED_EVENTS)}

    def knows_event(self, event_type: str) -> bool:
        """Say whether an event of this type was ever stored."""
        found = self._database.execute("SELECT 1 FROM events WHERE event_type = ? LIMIT 1", (event_type,))
        return found.fetchone() is not None

    def event_types(self) -> list[dict[str, object]]:
        """Return the types that were stored, with how many events each has, the most frequent first."""
        found = self._database.execute("SELECT event_type, count(*) FROM events GROUP BY event_type ORDER BY 2 DESC, 1 LIMIT 1000")
        return [{"name": name, "count": count} for name, count in found]

    def event_names(self) -> list[str]:
        """Return the types of the stored events, those that came first before the others."""
        found = self._database.execute("SELECT event_type FROM events GROUP BY event_type ORDER BY min(id)")
        return [row[0] for row in found]

    def event_properties(self, event_type: str | None) -> list[str]:
        """Return the names of the properties that the stored events have: of one type, or of all."""
        found = self._database.execute(
            "SELECT DISTINCT each.key FROM events e, json_each(e.row, '$.event_properties') each WHERE ? IS NULL OR e.event_type = ?",
            (event_type, event_type),
        )
        return [row[0] for row in found]

    def group_types(self) -> set[str]:
        """Return the types of the groups that came, with events or by themselves."""
        found = self._database.execute(
            "SELECT group_type FROM group_state UNION SELECT each.key FROM events e, json_each(e.row, '$.groups') each"
        )
        return {row[0] for row in found}

    def has_property(self, column: str, name: str) -> bool:
        """Say whether a stored event has this property among its ``event_properties`` or ``user_properties``."""
        found = self._database.execute(
            "SELECT 1 FROM events, json_each(events.row, ?) AS each WHERE each.key = ? LIMIT 1", (f"$.{column}", name)
        )
        return found.fetchone() is not None

    def history(self, user: User) -> History:
        """Return the sums over a user's events, those from before a merge included."""
        ids = (user.amplitude_id, user.amplitude_id)
        count, purchases, revenue, first, last = self._database.execute(
            _SUMS,
            ids,
        ).fetchone()
        sessions, usage_us = self._database.execute(
            _SESSIONS,
            ids,
        ).fetchone()
        return History(
            num_events=count,
            num_sessions=sessions,
            usage_ms=usage_us // 1000,
            purchases=purchases,
            revenue=revenue,
            first_us=first,
            last_us=last,
        )

    def timeline(self, user: User, *, offset: int, limit: int, earliest: bool) -> list[str]:
        """Return rows of a user, newest first (or oldest), the page extended so that no session is cut."""
        found = self._database.execute(
            _EARLIEST if earliest else _LATEST,
            (user.amplitude_id, user.amplitude_id, offset),
        )
        page: list[str] = []
        session = -1
        for session_id, text in found:
            if len(page) >= limit and (session < 0 or session_id != session):
                break
            page.append(text)
            session = session_id
        found.close()
        return page

    def export_page(self, first: tuple[int, int], last_hour: int, size: int) -> list[tuple[int, int, str]]:
        """Return up to ``size`` rows after ``(upload hour, id)``, until the last hour, in that order."""
        return self._database.execute(
            "SELECT upload_hour, id, row FROM events WHERE (upload_hour, id) > (?, ?) AND upload_hour <= ? "
            "ORDER BY upload_hour, id LIMIT ?",
            (*first, last_hour, size),
        ).fetchall()

    def last_id(self) -> int:
        """Return the id of the newest row, 0 when there is none."""
        (found,) = self._database.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()
        return int(found)

    def erase(self, amplitude_ids: Iterable[int]) -> list[str]:
        """Delete users with all their events, those from before a merge included; return the user ids that they had."""
        names: list[str] = []
        self._database.execute("BEGIN IMMEDIATE")
        try:
            for amplitude_id in amplitude_ids:
                user = self.people.get(amplitude_id)
                if user is None:
                    continue
                names += [] if user.user_id is None else [user.user_id]
                for own in (user.amplitude_id, *self.people.ids_of(user.amplitude_id)):
                    self._database.execute("DELETE FROM events WHERE amplitude_id = ?", (own,))
                    self.people.erase(own)
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        finally:
            self.people.forget(is_sound=False)
        return names

    def months_of(self, user: User, start_us: int, end_us: int) -> list[tuple[str, int]]:
        """Return the months, ``YYYY-MM``, of a half-open span in which a user did anything, with how many events each has."""
        ids = (user.amplitude_id, user.amplitude_id)
        return self._database.execute(_MONTHS, (*ids, start_us, end_us)).fetchall()

    def rows_of(self, user: User, start_us: int, end_us: int, after: int, size: int) -> list[tuple[int, str]]:
        """Return up to ``size`` rows of a user's, with their ids, from a half-open span of time, in the order of their ids."""
        ids = (user.amplitude_id, user.amplitude_id)
        return self._database.execute(_ROWS, (*ids, start_us, end_us, after, size)).fetchall()

    def uploaded_between(self, first: str, last: str, hours: tuple[int, int]) -> int:
        """Count the events that were stored between two timestamps of rows, the second not included, within some upload hours."""
        (count,) = self._database.execute(
            "SELECT count(*) FROM events WHERE upload_hour BETWEEN ? AND ? "
            "AND json_extract(row, '$.server_upload_time') >= ? AND json_extract(row, '$.server_upload_time') < ?",
            (*hours, first, last),
        ).fetchone()
        return int(count)

    def recordings(self) -> list[tuple[str, int, int, int, int]]:
        """Return every session by device: the device, the session, the user, its first and last microsecond."""
        return self._database.execute(
            "SELECT json_extract(row, '$.device_id') AS device, session_id, max(amplitude_id), min(event_us), max(event_us) "
            "FROM events WHERE session_id >= 0 GROUP BY device, session_id ORDER BY min(event_us), device, session_id"
        ).fetchall()

    def having(self, column: str, value: str, after: int) -> tuple[str | None, str] | None:
        """Return the user id and the device of the newest event behind an id whose row has a value in a column."""
        found: tuple[str | None, str] | None = self._database.execute(
            "SELECT json_extract(row, '$.user_id'), json_extract(row, '$.device_id') FROM events "
            "WHERE id > ? AND json_extract(row, ?) = ? ORDER BY id DESC LIMIT 1",
            (after, f"$.{column}", value),
        ).fetchone()
        return found
