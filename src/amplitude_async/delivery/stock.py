"""What an outbox file holds, and every change of it: what is new and what was learned is committed, rows are read and moved.

Everything here runs on the file's one thread, and is given the connection with each call.

What was *learned* about rows (delivered, set aside, outcome unknown) is never refused. If the disk takes no more, it is owed: kept
here, hidden from readers, and tried again with every write and every second.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from itertools import chain
from typing import TYPE_CHECKING, Final
from zlib import crc32

from amplitude_async.delivery import statements
from amplitude_async.delivery.files import storage_error
from amplitude_async.delivery.jobs import Append, Arrival, Damage, NoteUnknown, Revival, SetAsideJob, Settle, Totals
from amplitude_async.delivery.opening import PAGE_BYTES, is_damage, is_shortage
from amplitude_async.delivery.reading import read_rows
from amplitude_async.delivery.rows import Counts
from amplitude_async.errors import OutboxFull

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from amplitude_async.delivery.jobs import Answer, Lesson, News, Page
    from amplitude_async.delivery.opening import Settings
    from amplitude_async.delivery.rows import Row
    from amplitude_async.delivery.salvage import Found

__all__ = ["Stock"]

_LOG: Final = logging.getLogger("amplitude_async.outbox")

GROUP_BYTES: Final = 1024 * 1024
"""What goes into one commit at most, beyond its first job: bounds the write-ahead log, and how long anybody waits."""
SILENT_SECONDS: Final = 60.0
KEEP_FREE_PAGES: Final = 256
"""Free pages that a file keeps (1 MiB): giving them back and taking them again would cost more than they do."""
CHUNK_ROWS: Final = 1000


class Stock:
    """The rows of one file.

    Args:
        path: The file.
        settings: What it is opened with.
        deliver: Hands a list of answers to the event loop.
        tell: Tells the event loop what it did not ask for.

    Attributes:
        counts: What the file holds, as of the last commit.
        totals: The same, as the file itself says.
        pages: How many are in use.
        appends: Rows that are to be stored, and not answered yet.
        owed: What was learned and is not on disk yet.
        is_short: The disk refused the last time.
        may_shrink: Rows were removed since the file was last looked at for free pages.
    """

    def __init__(
        self, path: Path, settings: Settings, *, deliver: Callable[[list[Answer]], None], tell: Callable[[News], None]
    ) -> None:
        self.path: Path = path
        self.counts: Counts = Counts()
        self.totals: Totals = Totals(0, 0, 0, 0)
        self.pages: int = 0
        self.appends: list[Append] = []
        self.owed: list[Lesson] = []
        self.is_short: bool = False
        self.may_shrink: bool = False
        self._settings = settings
        self._deliver = deliver
        self._tell = tell
        self._next_id = 1
        self._has_unknown = False
        self._hidden: set[int] = set()
        self._damaged_rows = 0
        self._lost_rows = 0
        self._is_reported = False
        self._silent_until = 0.0
        self._has_shrunk = False

    # -- writing ---------------------------------------------------------------------------------------------------------------

    def write(self, connection: sqlite3.Connection) -> None:
        """Commit what is owed and what is new, together if that can be.

        Raises:
            sqlite3.Error: The file is broken; what was not committed is still to be done.
        """
        appends = self.appends
        error = self._try(connection, self.owed, appends)
        if error is None:
            return
        if not self.owed and len(appends) <= 1:
            self._fail(appends, error)
            return
        # What is owed may make room; and of the new, one that cannot be stored must not take the others with it.
        if self.owed:
            refusal = self._try(connection, self.owed, ())
            if refusal is not None:
                self._fail((), refusal)
        is_full = isinstance(error, sqlite3.Error) and is_shortage(error)
        for part in [appends] if is_full else [[one] for one in appends]:
            again = self._try(connection, (), part) if part else None
            if again is not None:
                self._fail(part, again)

    def _try(self, connection: sqlite3.Connection, lessons: Sequence[Lesson], appends: Sequence[Append]) -> Exception | None:
        """Commit, or leave everything as it was and return why."""
        try:
            self._commit(connection, lessons, appends)
        except (sqlite3.Error, ValueError, TypeError, OverflowError) as error:
            if isinstance(error, sqlite3.Error) and is_damage(error):
                raise
            self.roll_back(connection)
            return error
        return None

    def _fail(self, appends: Sequence[Append], error: Exception) -> None:
        if isinstance(error, sqlite3.Error):
            self.note_shortage(error)
        if self.owed:
            self._hidden = set(chain.from_iterable(job.ids for job in self.owed if not isinstance(job, NoteUnknown)))
        self._deliver([(job.future, None, storage_error(self.path, "cannot take the event", error)) for job in appends])
        self._done(appends)

    def _done(self, appends: Sequence[Append]) -> None:
        answered = {id(job) for job in appends}
        self.appends = [job for job in self.appends if id(job) not in answered]

    def note_shortage(self, error: sqlite3.Error) -> None:
        """Say once a minute that the disk refuses."""
        self.is_short = True
        now = time.monotonic()
        if now >= self._silent_until:
            # A nearly full disk takes one event and refuses the next: one line a minute, not one a refusal.
            self._silent_until = now + SILENT_SECONDS
            self._is_reported = True
            _LOG.error("The outbox file %s cannot be written (%s); nothing accepted is lost, and it is tried again", self.path, error)

    def note_success(self) -> None:
        """Say that the disk takes something again."""
        self.is_short = False
        if self._is_reported:
            self._is_reported = False
            _LOG.warning("The outbox file %s can be written again", self.path)

    def _commit(self, connection: sqlite3.Connection, lessons: Sequence[Lesson], appends: Sequence[Append]) -> None:
        """Do it all in one transaction, and answer when that is on disk."""
        totals, next_id = self.totals, self._next_id
        connection.execute(statements.BEGIN)
        if lessons:
            totals = self._learn(connection, lessons, totals)
        used, _ = connection.execute(statements.PAGES_IN_USE).fetchone()
        answers: list[Answer] = []
        values: list[object] = []
        unknown: list[tuple[int, int]] = []
        room = (self._settings.cap_pages - used) * PAGE_BYTES
        seed = crc32(self._settings.project)
        added = 0
        for job in appends:
            room -= job.size + statements.ROW_BYTES * len(job.rows)
            if room < 0:
                room += job.size + statements.ROW_BYTES * len(job.rows)
                message = f"The outbox file {self.path} holds as much as its max_bytes ({self._settings.max_bytes}) lets it."
                answers.append((job.future, None, OutboxFull(message)))
                continue
            first = next_id
            for _, identity, kind, insert_id, accepted_ms, first_unknown_ms, body in job.rows:
                values += (next_id, identity, kind, insert_id, accepted_ms, crc32(body, seed), body)  # check_sum()
                if first_unknown_ms is not None:
                    unknown.append((next_id, first_unknown_ms))
                next_id += 1
            added += job.size
            answers.append((job.future, list(range(first, next_id)), None))
        if values:
            _add_rows(connection, values)
            connection.executemany(statements.ADD_UNKNOWN, unknown)
            totals = totals._replace(
                waiting_rows=totals.waiting_rows + next_id - self._next_id, waiting_bytes=totals.waiting_bytes + added
            )
        connection.execute(statements.SET_TOTALS, totals)
        connection.execute(statements.COMMIT)
        self.totals, self._next_id, self.pages = totals, next_id, used
        self._has_unknown |= bool(unknown)
        if lessons:
            self.owed = []
            self._hidden = set()
        if self.is_short:
            self.note_success()
        self.count()
        self._done(appends)
        if answers:
            self._deliver(answers)

    def _learn(self, connection: sqlite3.Connection, lessons: Sequence[Lesson], totals: Totals) -> Totals:
        settled: list[int] = []
        for lesson in lessons:
            if isinstance(lesson, Settle):
                settled += lesson.ids
            elif isinstance(lesson, NoteUnknown):
                connection.execute(statements.NOTE_UNKNOWN, {"ids": json.dumps(list(lesson.ids)), "now_ms": lesson.now_ms})
                self._has_unknown = True
            else:
                ids = json.dumps(list(lesson.ids))
                rows, size = connection.execute(statements.SUM_WAITING, (ids,)).fetchone()
                connection.execute(statements.SET_ASIDE, {"ids": ids, "now_ms": lesson.now_ms, "reason": lesson.reason})
                totals = totals._replace(set_aside_rows=totals.set_aside_rows + rows, set_aside_bytes=totals.set_aside_bytes + size)
                totals = self._remove(connection, ids, totals)
        if settled:
            totals = self._remove(connection, json.dumps(settled), totals)
        return totals

    def _remove(self, connection: sqlite3.Connection, ids: str, totals: Totals) -> Totals:
        self.may_shrink = True
        return statements.remove_waiting(connection, ids, totals, has_unknown=self._has_unknown)

    def roll_back(self, connection: sqlite3.Connection) -> None:
        """Leave the file as it was before the transaction that met an error."""
        if connection.in_transaction:
            try:
                connection.execute(statements.ROLLBACK)
            except sqlite3.Error as error:
                if is_damage(error):
                    raise

    def count(self) -> None:
        """Let the event loop see what the file holds now."""
        self.counts = Counts(*self.totals, self.pages * PAGE_BYTES, self._damaged_rows, self._lost_rows)

    # -- reading, and what is asked for by name --------------------------------------------------------------------------------

    def page(self, connection: sqlite3.Connection, job: Page) -> list[Row]:
        """Read waiting rows; those that the disk changed are set aside."""
        after = job.after_id
        while True:
            count, _ = statements.fitting(connection, statements.WAITING_SIZES, after, job.max_rows, job.max_bytes)
            if not count:
                return []
            rows, damaged, after = read_rows(connection, after, count, self._settings.project)
            if damaged:
                self._damaged_rows += len(damaged)
                _LOG.error("The disk changed %d events in the outbox file %s; they are set aside", len(damaged), self.path)
                self.owed.append(SetAsideJob(damaged, "damaged on disk", time.time_ns() // 1_000_000))
                self._hidden.update(damaged)
                self._tell(Damage(damaged))
                self.write(connection)
            if self._hidden:
                rows = [row for row in rows if row.id not in self._hidden]
            if rows:
                return rows

    def retry(self, connection: sqlite3.Connection, ids: Sequence[int] | None) -> int:
        """Let set-aside rows wait again: all, or those with these ids; return how many."""
        return self._in_chunks(connection, ids, self._retry)

    def purge(self, connection: sqlite3.Connection, ids: Sequence[int] | None) -> int:
        """Delete set-aside rows: all, or those with these ids; return how many."""
        return self._in_chunks(connection, ids, statements.purge_set_aside)

    def _in_chunks(
        self,
        connection: sqlite3.Connection,
        ids: Sequence[int] | None,
        do: Callable[[sqlite3.Connection, str, Totals], tuple[int, Totals]],
    ) -> int:
        """Do something to set-aside rows, some at a time, so that the log stays short."""
        done = after = 0
        wanted = sorted(set(ids)) if ids is not None else None
        while True:
            if wanted is None:
                count, _ = statements.fitting(connection, statements.SET_ASIDE_SIZES, after, CHUNK_ROWS, GROUP_BYTES)
                chunk = [row_id for (row_id,) in connection.execute(statements.SET_ASIDE_IDS, (after, count))]
            else:
                chunk, wanted = wanted[:CHUNK_ROWS], wanted[CHUNK_ROWS:]
            if not chunk:
                return done
            after = chunk[-1]
            connection.execute(statements.BEGIN)
            changed, totals = do(connection, json.dumps(chunk), self.totals)
            connection.execute(statements.SET_TOTALS, totals)
            connection.execute(statements.COMMIT)
            arrived = totals.waiting_rows - self.totals.waiting_rows
            self.totals = totals
            self.may_shrink = True
            done += changed
            self.count()
            if arrived:
                # Whether or not the rest can be done, and whoever still waits for the answer: these wait to be sent now.
                self._tell(Revival(arrived))

    def _retry(self, connection: sqlite3.Connection, ids: str, totals: Totals) -> tuple[int, Totals]:
        rows, totals = statements.retry_set_aside(connection, ids, totals, self._next_id - 1)
        # Numbers that are not used after all do no harm.
        self._next_id += rows
        self._has_unknown = True
        return rows, totals

    # -- rows from elsewhere, and the size of the file -------------------------------------------------------------------------

    def read_state(self, connection: sqlite3.Connection) -> None:
        """Learn what a file holds that was just opened, or brought over."""
        try:
            (last,) = connection.execute(statements.LAST_ID).fetchone()
            self._next_id = max(self._next_id, last + 1)
            (self._has_unknown,) = map(bool, connection.execute(statements.HAS_UNKNOWN).fetchone())
            self.pages, _ = connection.execute(statements.PAGES_IN_USE).fetchone()
        except sqlite3.Error as refusal:
            connection.close()
            raise storage_error(self.path, "cannot be read", refusal) from None
        self.count()

    def restart(self, connection: sqlite3.Connection) -> None:
        """Sum up anew what was brought over into a fresh file."""
        self.totals = Totals(*connection.execute(statements.SUM_ALL).fetchone())
        connection.execute(statements.SET_TOTALS, self.totals)

    def take_in(self, connection: sqlite3.Connection, found: Sequence[Found]) -> None:
        """Commit rows from another file as the newest of this one.

        Raises:
            sqlite3.Error: They could not be written; none of them is then.
        """
        totals, next_id = self.totals, self._next_id
        connection.execute(statements.BEGIN)
        for table, values, first_unknown_ms in found:
            numbered = (next_id, *values[1:])
            size = len(values[6]) if isinstance(values[6], bytes) else 0
            if table == "waiting":
                connection.execute(statements.ADD_ROW, numbered)
                if first_unknown_ms is not None:
                    connection.execute(statements.ADD_UNKNOWN, (next_id, first_unknown_ms))
                    self._has_unknown = True
                totals = totals._replace(waiting_rows=totals.waiting_rows + 1, waiting_bytes=totals.waiting_bytes + size)
            else:
                connection.execute(statements.SALVAGE_SET_ASIDE, numbered)
                totals = totals._replace(set_aside_rows=totals.set_aside_rows + 1, set_aside_bytes=totals.set_aside_bytes + size)
            next_id += 1
        connection.execute(statements.SET_TOTALS, totals)
        connection.execute(statements.COMMIT)
        arrived = totals.waiting_rows - self.totals.waiting_rows
        self.totals, self._next_id = totals, next_id
        self.count()
        if arrived:
            self._tell(Arrival(arrived))

    def measure(self, connection: sqlite3.Connection) -> None:
        """See how much of the file is in use."""
        self.pages, _ = connection.execute(statements.PAGES_IN_USE).fetchone()
        self.count()

    def lose(self, rows: int) -> None:
        """Note rows that could not be read back out of a damaged file."""
        self._lost_rows += rows
        self.count()

    def shrink(self, connection: sqlite3.Connection) -> None:
        """Give a piece of the free part of the file back to the disk, if that is most of it."""
        try:
            used, free = connection.execute(statements.PAGES_IN_USE).fetchone()
            if free > KEEP_FREE_PAGES >= used:
                # Writing the little that is left anew takes 2 ms for 500 MB of free pages, which one by one would take half a minute.
                connection.execute(statements.REWRITE)
                self._has_shrunk = True
            elif free > max(KEEP_FREE_PAGES, used):
                connection.execute(statements.SHRINK).fetchall()
                self._has_shrunk = True
                return
            self.may_shrink = False
            if self._has_shrunk:
                self._has_shrunk = False
                connection.execute(statements.EMPTY_LOG).fetchall()
        except sqlite3.Error as error:
            self.may_shrink = False
            self.roll_back(connection)
            if is_damage(error):
                raise


def _add_rows(connection: sqlite3.Connection, values: list[object]) -> None:
    at = 0
    for statement, rows in ((statements.ADD_32_ROWS, 32), (statements.ADD_8_ROWS, 8), (statements.ADD_ROW, 1)):
        width = rows * statements.WAITING_COLUMNS
        while len(values) - at >= width:
            connection.execute(statement, values[at : at + width])
            at += width
