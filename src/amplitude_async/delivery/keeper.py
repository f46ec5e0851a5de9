"""The thread that owns an outbox file: it commits what has gathered, reads what is asked for, and mends what breaks.

Everything here runs on that one thread. The connection lives in its frames and in no attribute that others can reach: in a forked
child, where this thread does not exist, nothing closes it then, and the parent's file and log stay untouched.

What was *learned* about rows (delivered, set aside, outcome unknown) is never refused. If the disk takes no more, it is owed: kept
here, hidden from readers, and tried again with every write and every second.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import sqlite3
import threading
import time
from itertools import chain
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from amplitude_async.delivery import statements
from amplitude_async.delivery.chores import Adoption, Chore, Salvage
from amplitude_async.delivery.files import check_place, move_aside, storage_error
from amplitude_async.delivery.jobs import (
    Adopt,
    Append,
    Arrival,
    Close,
    Damage,
    ListSetAside,
    Look,
    NoteUnknown,
    Page,
    Purge,
    Retry,
    Revival,
    SetAsideJob,
    Settle,
    Totals,
    future_of,
)
from amplitude_async.delivery.locking import take_lock
from amplitude_async.delivery.opening import PAGE_BYTES, Damaged, is_damage, is_shortage, open_file
from amplitude_async.delivery.reading import read_rows, read_set_aside
from amplitude_async.delivery.rows import Counts
from amplitude_async.delivery.slots import dead_slots
from amplitude_async.errors import AmplitudeError, OutboxClosed, OutboxFull

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from amplitude_async.delivery.jobs import Answer, Job, Lesson, News
    from amplitude_async.delivery.locking import FileLock
    from amplitude_async.delivery.opening import Settings
    from amplitude_async.delivery.rows import Row
    from amplitude_async.delivery.salvage import Found

__all__ = ["Keeper"]

_LOG: Final = logging.getLogger("amplitude_async.outbox")

GROUP_BYTES: Final = 1024 * 1024
"""What goes into one commit at most, beyond its first job: bounds the write-ahead log, and how long anybody waits."""
GROUP_JOBS: Final = 4096
SILENT_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 1.0
"""How often the disk is asked again for what is owed."""
KEEP_FREE_PAGES: Final = 256
"""Free pages that a file keeps (1 MiB): giving them back and taking them again would cost more than they do."""
SALVAGE_SECONDS: Final = 1.5
"""What opening spends on salvaging; the rest of a large file is read while the outbox is at work."""
CHUNK_ROWS: Final = 1000
MAX_REPAIRS: Final = 3
"""Repairs without one served job in between; then the disk is beyond help."""


class Keeper:
    """The thread's side of a store.

    Args:
        path: The file.
        settings: What it is opened with.
        lock: The right to use it, if it was taken before.
        deliver: Hands a list of answers to the event loop; may be called from any thread, and drops them if there is no loop any more.
        tell: Tells the event loop what it did not ask for.
        opened: The future that opening answers.
    """

    def __init__(
        self,
        path: Path,
        settings: Settings,
        *,
        lock: FileLock | None,
        deliver: Callable[[list[Answer]], None],
        tell: Callable[[News], None],
        opened: asyncio.Future[Any],
    ) -> None:
        self.path: Path = path
        self.inbox: SimpleQueue[Job] = SimpleQueue()
        self.gate: threading.Lock = threading.Lock()
        """Held while SQLite is at work, so that a fork can wait for a moment when it is not."""
        self.counts: Counts = Counts()
        self.failure: AmplitudeError | None = None
        """Why the thread ended, if it was not told to."""
        self._settings = settings
        self._lock = lock
        self._deliver = deliver
        self._tell = tell
        self._opened = opened
        self._totals = Totals(0, 0, 0, 0)
        self._pages = 0
        self._next_id = 1
        self._has_unknown = False
        self._owed: list[Lesson] = []
        self._hidden: set[int] = set()
        self._todo: list[Job] = []
        self._damaged_rows = 0
        self._lost_rows = 0
        self._repairs = 0
        self._is_short = False
        self._is_reported = False
        self._silent_until = 0.0
        self._may_shrink = False
        self._has_shrunk = False

    # -- the thread ------------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Open the file, work until told to close, close it. The thread's whole life."""
        chores: list[Chore] = []
        try:
            try:
                with self.gate:
                    connection = self._open(chores)
            except AmplitudeError as refusal:
                self._give_up_lock()
                self._deliver([(self._opened, None, refusal)])
                return
            self._deliver([(self._opened, self.counts, None)])
            self._work([connection], chores)
        except BaseException as error:  # noqa: BLE001 - whatever it is, nobody may be left waiting
            _LOG.exception("The thread of the outbox file %s ended by an error", self.path)
            self.failure = storage_error(self.path, "can no longer be used", error)
            self.refuse_all(self.failure)
        finally:
            self._give_up_lock()

    def _give_up_lock(self) -> None:
        """Free the file; before anybody is told that it is closed."""
        if self._lock is not None:
            self._lock.release()

    def _work(self, held: list[sqlite3.Connection], chores: list[Chore]) -> None:
        """Serve until told to close; ``held`` is the connection, which a repair may exchange."""
        closing = None
        try:
            while closing is None:
                self._gather(self._patience(chores))
                with self.gate:
                    self._serve(held, chores)
                closing = next((job for job in self._todo if isinstance(job, Close)), None)
        finally:
            # Not left to the garbage collection: a log handler may keep the frames of an error for long.
            with self.gate:
                self._close(held[0], chores)
        self._give_up_lock()
        if closing.future is not None:
            self._deliver([(closing.future, None, None)])
        self.refuse_all(OutboxClosed(f"The outbox file {self.path} was closed."))

    def _patience(self, chores: list[Chore]) -> float | None:
        """Return how long the next job may be waited for: not at all while there is something else to do."""
        if self._may_shrink or (not self._is_short and any(not chore.waits_for_room for chore in chores)):
            return 0.0
        return RETRY_SECONDS if self._owed or chores or self._is_short else None

    def _gather(self, patience: float | None) -> None:
        """Take the next job, and all that have come in the meantime, up to what fits in a commit."""
        jobs = self._todo
        size = 0
        try:
            job = self.inbox.get_nowait() if patience == 0.0 else self.inbox.get(timeout=patience)
            while True:
                jobs.append(job)
                if isinstance(job, Append):
                    size += job.size
                if isinstance(job, Close) or size >= GROUP_BYTES or len(jobs) >= GROUP_JOBS:
                    return
                job = self.inbox.get_nowait()
        except Empty:
            return

    def _serve(self, held: list[sqlite3.Connection], chores: list[Chore]) -> None:
        """Do what was gathered; if the file turns out to be broken, mend it and go on where it broke."""
        while True:
            try:
                self._do_jobs(held[0], chores)
                if not self._todo and self.inbox.empty():
                    self._do_chores(held[0], chores)
            except sqlite3.Error as error:
                if not is_damage(error) or self._repairs >= MAX_REPAIRS:
                    raise
                self._repairs += 1
                held[0] = self._repair(held[0], chores, str(error))
            else:
                self._repairs = 0
                return

    def _do_jobs(self, connection: sqlite3.Connection, chores: list[Chore]) -> None:
        lessons: list[Lesson] = []
        appends: list[Append] = []
        others: list[Job] = []
        for job in self._todo:
            if isinstance(job, Append):
                appends.append(job)
            elif isinstance(job, Settle | NoteUnknown | SetAsideJob):
                lessons.append(job)
            else:
                others.append(job)
        self._owed += lessons
        self._todo = [*appends, *others]
        if appends or self._owed:
            self._write(connection, appends)
        self._todo = others
        while others and not isinstance(others[0], Close):
            try:
                if isinstance(others[0], Adopt):
                    chores.append(Adoption(self.path, self._settings, others[0]))
                else:
                    self._answer_one(connection, others[0])
            except sqlite3.Error as error:
                self._roll_back(connection)
                if is_damage(error):
                    raise
                self._note_shortage(error)
                self._refuse([others[0]], storage_error(self.path, "cannot be used", error))
            del others[0]

    def refuse_all(self, reason: AmplitudeError) -> None:
        """Answer everything that still waits with an error."""
        jobs, self._todo = self._todo, []
        with contextlib.suppress(Empty):
            while True:
                jobs.append(self.inbox.get_nowait())
        self._deliver([(self._opened, None, reason)])
        self._refuse(jobs, reason)

    def _refuse(self, jobs: Sequence[Job], reason: AmplitudeError) -> None:
        futures = [(future_of(job), None if isinstance(job, Close) else reason) for job in jobs]
        self._deliver([(future, None, error) for future, error in futures if future is not None])

    # -- writing ---------------------------------------------------------------------------------------------------------------

    def _write(self, connection: sqlite3.Connection, appends: list[Append]) -> None:
        """Commit what is owed and what is new, together if that can be."""
        error = self._try(connection, self._owed, appends)
        if error is None:
            return
        if not self._owed and len(appends) <= 1:
            self._fail(appends, error)
            return
        # What is owed may make room; and of the new, one that cannot be stored must not take the others with it.
        if self._owed:
            refusal = self._try(connection, self._owed, ())
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
            self._roll_back(connection)
            return error
        return None

    def _fail(self, appends: Sequence[Append], error: Exception) -> None:
        if isinstance(error, sqlite3.Error):
            self._note_shortage(error)
        if self._owed:
            self._hidden = set(chain.from_iterable(job.ids for job in self._owed if not isinstance(job, NoteUnknown)))
        self._refuse(appends, storage_error(self.path, "cannot take the event", error))
        self._done(appends)

    def _done(self, appends: Sequence[Append]) -> None:
        answered = {id(job) for job in appends}
        self._todo = [job for job in self._todo if id(job) not in answered]

    def _note_shortage(self, error: sqlite3.Error) -> None:
        self._is_short = True
        now = time.monotonic()
        if now >= self._silent_until:
            # A nearly full disk takes one event and refuses the next: one line a minute, not one a refusal.
            self._silent_until = now + SILENT_SECONDS
            self._is_reported = True
            _LOG.error("The outbox file %s cannot be written (%s); nothing accepted is lost, and it is tried again", self.path, error)

    def _note_success(self) -> None:
        self._is_short = False
        if self._is_reported:
            self._is_reported = False
            _LOG.warning("The outbox file %s can be written again", self.path)

    def _commit(self, connection: sqlite3.Connection, lessons: Sequence[Lesson], appends: Sequence[Append]) -> None:
        """Do it all in one transaction, and answer when that is on disk."""
        totals, next_id = self._totals, self._next_id
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
        self._totals, self._next_id, self._pages = totals, next_id, used
        self._has_unknown |= bool(unknown)
        if lessons:
            self._owed = []
            self._hidden = set()
        if self._is_short:
            self._note_success()
        self._count()
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
        self._may_shrink = True
        return statements.remove_waiting(connection, ids, totals, has_unknown=self._has_unknown)

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        if connection.in_transaction:
            try:
                connection.execute(statements.ROLLBACK)
            except sqlite3.Error as error:
                if is_damage(error):
                    raise

    def _count(self) -> None:
        self.counts = Counts(*self._totals, self._pages * PAGE_BYTES, self._damaged_rows, self._lost_rows)

    # -- reading, and what is asked for by name --------------------------------------------------------------------------------

    def _answer_one(self, connection: sqlite3.Connection, job: Job) -> None:
        result: object
        if isinstance(job, Page):
            result = self._page(connection, job)
        elif isinstance(job, Look):
            try:
                result = dead_slots(self.path.parent, self.path)
            except AmplitudeError as refusal:
                self._refuse([job], refusal)
                return
        elif isinstance(job, ListSetAside):
            result = read_set_aside(connection, job.after_id, job.limit)
        elif isinstance(job, Retry):
            result = self._in_chunks(connection, job.ids, self._retry)
        elif isinstance(job, Purge):
            result = self._in_chunks(connection, job.ids, statements.purge_set_aside)
        else:
            return
        self._deliver([(job.future, result, None)])

    def _page(self, connection: sqlite3.Connection, job: Page) -> list[Row]:
        after = job.after_id
        while True:
            count, _ = statements.fitting(connection, statements.WAITING_SIZES, after, job.max_rows, job.max_bytes)
            if not count:
                return []
            rows, damaged, after = read_rows(connection, after, count, self._settings.project)
            if damaged:
                self._damaged_rows += len(damaged)
                _LOG.error("The disk changed %d events in the outbox file %s; they are set aside", len(damaged), self.path)
                self._owed.append(SetAsideJob(damaged, "damaged on disk", time.time_ns() // 1_000_000))
                self._hidden.update(damaged)
                self._tell(Damage(damaged))
                self._write(connection, [])
            if self._hidden:
                rows = [row for row in rows if row.id not in self._hidden]
            if rows:
                return rows

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
            changed, totals = do(connection, json.dumps(chunk), self._totals)
            connection.execute(statements.SET_TOTALS, totals)
            connection.execute(statements.COMMIT)
            arrived = totals.waiting_rows - self._totals.waiting_rows
            self._totals = totals
            self._may_shrink = True
            done += changed
            self._count()
            if arrived:
                # Whether or not the rest can be done, and whoever still waits for the answer: these wait to be sent now.
                self._tell(Revival(arrived))

    def _retry(self, connection: sqlite3.Connection, ids: str, totals: Totals) -> tuple[int, Totals]:
        rows, totals = statements.retry_set_aside(connection, ids, totals, self._next_id - 1)
        # Numbers that are not used after all do no harm.
        self._next_id += rows
        self._has_unknown = True
        return rows, totals

    # -- opening, mending, tidying, closing ------------------------------------------------------------------------------------

    def _open(self, chores: list[Chore]) -> sqlite3.Connection:
        check_place(self.path)
        if self._lock is None:
            self._lock = take_lock(self.path)
        try:
            connection, self._totals = open_file(self.path, self._settings)
        except Damaged as damage:
            return self._replace(chores, str(damage), expected=None)
        self._read_state(connection)
        return connection

    def _read_state(self, connection: sqlite3.Connection) -> None:
        try:
            (last,) = connection.execute(statements.LAST_ID).fetchone()
            self._next_id = max(self._next_id, last + 1)
            (self._has_unknown,) = map(bool, connection.execute(statements.HAS_UNKNOWN).fetchone())
            self._pages, _ = connection.execute(statements.PAGES_IN_USE).fetchone()
        except sqlite3.Error as refusal:
            connection.close()
            raise storage_error(self.path, "cannot be read", refusal) from None
        self._count()

    def _repair(self, connection: sqlite3.Connection, chores: list[Chore], reason: str) -> sqlite3.Connection:
        """Put a fresh file in the place of one that broke while it was in use."""
        expected = self._totals.waiting_rows + self._totals.set_aside_rows
        with contextlib.suppress(sqlite3.Error):
            connection.close()
        return self._replace(chores, reason, expected=expected)

    def _replace(self, chores: list[Chore], reason: str, expected: int | None) -> sqlite3.Connection:
        """Move the damaged file aside, start a fresh one, and bring over what can still be read."""
        aside = move_aside(self.path, time.time_ns() // 1_000_000)
        _LOG.error(
            "The outbox file %s is damaged (%s); it was moved to %s, and what can be read is brought over", self.path, reason, aside
        )
        try:
            connection, self._totals = open_file(self.path, self._settings)
        except Damaged as damage:
            raise storage_error(self.path, "breaks as soon as it is made", damage) from None
        chore = Salvage(aside, self._settings.project, expected)
        is_done = False
        try:
            # While it is in use its rows are known by their numbers, which only this part of it keeps: all of it then.
            until = time.monotonic() + SALVAGE_SECONDS if expected is None else math.inf
            is_done = chore.begin(connection, until)
            self._totals = Totals(*connection.execute(statements.SUM_ALL).fetchone())
            connection.execute(statements.SET_TOTALS, self._totals)
        except sqlite3.Error as refusal:
            self._roll_back(connection)
            self._note_shortage(refusal)
        self._read_state(connection)
        if is_done:
            self._lost_rows += chore.report()
            self._count()
        else:
            chores.append(chore)
        # Nobody is told of these rows: opening answers with their number, and after a repair they are the ones that were there before.
        return connection

    def take_in(self, connection: sqlite3.Connection, found: Sequence[Found]) -> None:
        """Commit rows from another file as the newest of this one.

        Raises:
            sqlite3.Error: They could not be written; none of them is then.
        """
        totals, next_id = self._totals, self._next_id
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
        arrived = totals.waiting_rows - self._totals.waiting_rows
        self._totals, self._next_id = totals, next_id
        self._count()
        if arrived:
            self._tell(Arrival(arrived))

    def _do_chores(self, connection: sqlite3.Connection, chores: list[Chore]) -> None:
        """Do a little of what nobody waits for."""
        if self._may_shrink:
            self._shrink(connection)
        elif chores:
            self._step(connection, chores)
        elif self._is_short:
            self._write(connection, [])

    def _step(self, connection: sqlite3.Connection, chores: list[Chore]) -> None:
        chore = chores[0]
        room = self._settings.cap_pages * PAGE_BYTES - self.counts.file_bytes
        try:
            found = chore.next_rows(room)
            if found:
                self.take_in(connection, found)
                chore.taken()
                self._pages, _ = connection.execute(statements.PAGES_IN_USE).fetchone()
                self._count()
                if self._is_short:
                    self._note_success()
        except sqlite3.Error as error:
            self._roll_back(connection)
            if is_damage(error):
                raise
            self._note_shortage(error)
            return
        if chore.is_done:
            del chores[0]
            self._lost_rows += chore.report()
            self._count()
            if isinstance(chore, Adoption):
                self._deliver([chore.answer()])
        else:
            # Others may go on meanwhile.
            chores.append(chores.pop(0))

    def _shrink(self, connection: sqlite3.Connection) -> None:
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
            self._may_shrink = False
            if self._has_shrunk:
                self._has_shrunk = False
                connection.execute(statements.EMPTY_LOG).fetchall()
        except sqlite3.Error as error:
            self._may_shrink = False
            self._roll_back(connection)
            if is_damage(error):
                raise

    def _close(self, connection: sqlite3.Connection, chores: list[Chore]) -> None:
        for chore in chores:
            chore.abandon()
            if isinstance(chore, Adoption):
                self._deliver([chore.answer()])
        owed = sum(len(job.ids) for job in self._owed if not isinstance(job, NoteUnknown))
        if owed:
            _LOG.error("%d settled events could not be removed from the outbox file %s and will be sent again", owed, self.path)
        try:
            connection.close()
        except sqlite3.Error as error:
            _LOG.warning("Closing the outbox file %s met an error: %s", self.path, error)


def _add_rows(connection: sqlite3.Connection, values: list[object]) -> None:
    at = 0
    for statement, rows in ((statements.ADD_32_ROWS, 32), (statements.ADD_8_ROWS, 8), (statements.ADD_ROW, 1)):
        width = rows * statements.WAITING_COLUMNS
        while len(values) - at >= width:
            connection.execute(statement, values[at : at + width])
            at += width
