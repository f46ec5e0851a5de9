"""The thread that owns an outbox file: it opens it, serves what has gathered, does chores, mends what breaks, and closes it.

Everything here runs on that one thread. The connection lives in its frames and in no attribute that others can reach: in a forked
child, where this thread does not exist, nothing closes it then, and the parent's file and log stay untouched.

What the file holds, and every change of it, is :mod:`amplitude_async.delivery.stock`'s.
"""

from __future__ import annotations

import contextlib
import logging
import math
import sqlite3
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from amplitude_async.delivery.chores import Adoption, Chore, Salvage
from amplitude_async.delivery.files import check_place, move_aside, storage_error
from amplitude_async.delivery.jobs import (
    Adopt,
    Append,
    Close,
    ListSetAside,
    Look,
    NoteUnknown,
    Page,
    Purge,
    Retry,
    SetAsideJob,
    Settle,
    future_of,
)
from amplitude_async.delivery.locking import take_lock
from amplitude_async.delivery.opening import PAGE_BYTES, Damaged, is_damage, open_file
from amplitude_async.delivery.reading import read_set_aside
from amplitude_async.delivery.slots import dead_slots
from amplitude_async.delivery.stock import GROUP_BYTES, Stock
from amplitude_async.errors import AmplitudeError, OutboxClosed

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from amplitude_async.delivery.jobs import Answer, Job, News
    from amplitude_async.delivery.locking import FileLock
    from amplitude_async.delivery.opening import Settings
    from amplitude_async.delivery.rows import Counts

__all__ = ["Keeper"]

_LOG: Final = logging.getLogger("amplitude_async.outbox")

GROUP_JOBS: Final = 4096
RETRY_SECONDS: Final = 1.0
"""How often the disk is asked again for what is owed."""
SALVAGE_SECONDS: Final = 1.5
"""What opening spends on salvaging; the rest of a large file is read while the outbox is at work."""
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
        self.failure: AmplitudeError | None = None
        """Why the thread ended, if it was not told to."""
        self._settings = settings
        self._lock = lock
        self._deliver = deliver
        self._opened = opened
        self._stock = Stock(path, settings, deliver=deliver, tell=tell)
        self._todo: list[Job] = []
        self._repairs = 0

    @property
    def counts(self) -> Counts:
        """What the file holds, as of the last commit."""
        return self._stock.counts

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
        if self._stock.may_shrink or (not self._stock.is_short and any(not chore.waits_for_room for chore in chores)):
            return 0.0
        return RETRY_SECONDS if self._stock.owed or chores or self._stock.is_short else None

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
        stock = self._stock
        others: list[Job] = []
        for job in self._todo:
            if isinstance(job, Append):
                stock.appends.append(job)
            elif isinstance(job, Settle | NoteUnknown | SetAsideJob):
                stock.owed.append(job)
            else:
                others.append(job)
        self._todo = others
        if stock.appends or stock.owed:
            stock.write(connection)
        while others and not isinstance(others[0], Close):
            try:
                if isinstance(others[0], Adopt):
                    chores.append(Adoption(self.path, self._settings, others[0]))
                else:
                    self._answer_one(connection, others[0])
            except sqlite3.Error as error:
                stock.roll_back(connection)
                if is_damage(error):
                    raise
                stock.note_shortage(error)
                self._refuse([others[0]], storage_error(self.path, "cannot be used", error))
            del others[0]

    def refuse_all(self, reason: AmplitudeError) -> None:
        """Answer everything that still waits with an error."""
        jobs: list[Job] = [*self._stock.appends, *self._todo]
        self._stock.appends, self._todo = [], []
        with contextlib.suppress(Empty):
            while True:
                jobs.append(self.inbox.get_nowait())
        self._deliver([(self._opened, None, reason)])
        self._refuse(jobs, reason)

    def _refuse(self, jobs: Sequence[Job], reason: AmplitudeError) -> None:
        futures = [(future_of(job), None if isinstance(job, Close) else reason) for job in jobs]
        self._deliver([(future, None, error) for future, error in futures if future is not None])

    # -- what is asked for by name ---------------------------------------------------------------------------------------------

    def _answer_one(self, connection: sqlite3.Connection, job: Job) -> None:
        result: object
        if isinstance(job, Page):
            result = self._stock.page(connection, job)
        elif isinstance(job, Look):
            try:
                result = dead_slots(self.path.parent, self.path)
            except AmplitudeError as refusal:
                self._refuse([job], refusal)
                return
        elif isinstance(job, ListSetAside):
            result = read_set_aside(connection, job.after_id, job.limit)
        elif isinstance(job, Retry):
            result = self._stock.retry(connection, job.ids)
        elif isinstance(job, Purge):
            result = self._stock.purge(connection, job.ids)
        else:
            return
        self._deliver([(job.future, result, None)])

    # -- opening, mending, tidying, closing ------------------------------------------------------------------------------------

    def _open(self, chores: list[Chore]) -> sqlite3.Connection:
        check_place(self.path)
        if self._lock is None:
            self._lock = take_lock(self.path)
        try:
            connection, self._stock.totals = open_file(self.path, self._settings)
        except Damaged as damage:
            return self._replace(chores, str(damage), expected=None)
        self._stock.read_state(connection)
        return connection

    def _repair(self, connection: sqlite3.Connection, chores: list[Chore], reason: str) -> sqlite3.Connection:
        """Put a fresh file in the place of one that broke while it was in use."""
        expected = self._stock.totals.waiting_rows + self._stock.totals.set_aside_rows
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
            connection, self._stock.totals = open_file(self.path, self._settings)
        except Damaged as damage:
            raise storage_error(self.path, "breaks as soon as it is made", damage) from None
        chore = Salvage(aside, self._settings.project, expected)
        is_done = False
        try:
            # While it is in use its rows are known by their numbers, which only this part of it keeps: all of it then.
            until = time.monotonic() + SALVAGE_SECONDS if expected is None else math.inf
            is_done = chore.begin(connection, until)
            self._stock.restart(connection)
        except sqlite3.Error as refusal:
            self._stock.roll_back(connection)
            self._stock.note_shortage(refusal)
        self._stock.read_state(connection)
        if is_done:
            self._stock.lose(chore.report())
        else:
            chores.append(chore)
        # Nobody is told of these rows: opening answers with their number, and after a repair they are the ones that were there before.
        return connection

    def _do_chores(self, connection: sqlite3.Connection, chores: list[Chore]) -> None:
        """Do a little of what nobody waits for."""
        if self._stock.may_shrink:
            self._stock.shrink(connection)
        elif chores:
            self._step(connection, chores)
        elif self._stock.is_short:
            self._stock.write(connection)

    def _step(self, connection: sqlite3.Connection, chores: list[Chore]) -> None:
        chore = chores[0]
        room = self._settings.cap_pages * PAGE_BYTES - self.counts.file_bytes
        try:
            found = chore.next_rows(room)
            if found:
                self._stock.take_in(connection, found)
                chore.taken()
                self._stock.measure(connection)
                if self._stock.is_short:
                    self._stock.note_success()
        except sqlite3.Error as error:
            self._stock.roll_back(connection)
            if is_damage(error):
                raise
            self._stock.note_shortage(error)
            return
        if chore.is_done:
            del chores[0]
            self._stock.lose(chore.report())
            if isinstance(chore, Adoption):
                self._deliver([chore.answer()])
        else:
            # Others may go on meanwhile.
            chores.append(chores.pop(0))

    def _close(self, connection: sqlite3.Connection, chores: list[Chore]) -> None:
        for chore in chores:
            chore.abandon()
            if isinstance(chore, Adoption):
                self._deliver([chore.answer()])
        owed = sum(len(job.ids) for job in self._stock.owed if not isinstance(job, NoteUnknown))
        if owed:
            _LOG.error("%d settled events could not be removed from the outbox file %s and will be sent again", owed, self.path)
        try:
            connection.close()
        except sqlite3.Error as error:
            _LOG.warning("Closing the outbox file %s met an error: %s", self.path, error)
