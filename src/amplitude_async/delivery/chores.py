"""What an outbox file's thread does when nobody waits: bring rows over from other files.

A chore hands out some rows at a time; the keeper commits them to its own file, and only then is the chore told that they are taken. A
process that ends in between leaves rows in both files, under one ``insert_id``; none in neither.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from amplitude_async.delivery import statements
from amplitude_async.delivery.files import FileBytes, companion, move_aside, storage_error
from amplitude_async.delivery.locking import take_lock
from amplitude_async.delivery.opening import Damaged, is_damage, open_file
from amplitude_async.delivery.salvage import Found, salvage
from amplitude_async.errors import AmplitudeError, OutboxClosed

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from amplitude_async.delivery.jobs import Adopt, Answer, Totals
    from amplitude_async.delivery.opening import Settings

__all__ = ["Adoption", "Chore", "Salvage"]

_LOG: Final = logging.getLogger("amplitude_async.outbox")

CHUNK_ROWS: Final = 500
CHUNK_BYTES: Final = 1024 * 1024
SLICE_SECONDS: Final = 0.02
"""A chore's turn; whoever asks meanwhile waits so long at most."""
_BITS: Final = 1024


class Chore(Protocol):
    """Rows that come from somewhere else, in pieces."""

    is_done: bool
    waits_for_room: bool

    def next_rows(self, room: int) -> Sequence[Found]:
        """Return some rows for which there is room; nothing if there is none, or if all are there."""

    def taken(self) -> None:
        """Note that the rows handed out last are on disk."""

    def report(self) -> int:
        """Close what was read, say in the log what became of it, and return how many rows are known to be lost."""

    def abandon(self) -> None:
        """Stop before the end."""


class _Seen:
    """Numbers that were met, a bit for each."""

    def __init__(self) -> None:
        self._words: dict[int, int] = {}

    def add(self, number: int) -> bool:
        """Note a number; say whether it is new."""
        word, bit = divmod(number, _BITS)
        known = self._words.get(word, 0)
        self._words[word] = known | 1 << bit
        return not known >> bit & 1


class Salvage:
    """Brings over what can be read of a damaged file.

    The first part of it (:meth:`begin`) keeps the numbers of its rows, and so their order; what is found later gets new ones, so that
    a reader who has passed the old ones meets it.
    """

    def __init__(self, aside: Path, project: bytes, expected: int | None) -> None:
        self.is_done: bool = False
        self.waits_for_room: bool = False
        self.rows: int = 0
        """How many were brought over."""
        self._aside = aside
        self._expected = expected
        self._database = FileBytes(aside)
        self._log = FileBytes(companion(aside, "-wal"))
        self._found: Iterator[Found | None] = salvage(self._database, self._log, project)
        self._seen = _Seen()
        self._handed: list[Found] = []

    def _gather(self, until: float) -> list[Found]:
        rows: list[Found] = []
        size = 0
        for found in self._found:
            if found is None:
                if time.monotonic() >= until:
                    return rows
                continue
            number, body = found.values[0], found.values[6]
            if isinstance(number, int) and self._seen.add(number):
                rows.append(found)
                size += len(body) if isinstance(body, bytes) else 0
                if len(rows) >= CHUNK_ROWS or size >= CHUNK_BYTES:
                    return rows
        self.is_done = True
        return rows

    def begin(self, connection: sqlite3.Connection, until: float) -> bool:
        """Bring rows over under their own numbers until the time is up; say whether that was all.

        Raises:
            sqlite3.Error: The disk refuses; what was not committed comes with the rest.
        """
        while not self.is_done and time.monotonic() < until:
            self._handed = self._gather(until)
            connection.execute(statements.BEGIN)
            for found in self._handed:
                if found.table == "waiting":
                    connection.execute(statements.SALVAGE_WAITING, found.values)
                    connection.execute(statements.ADD_UNKNOWN, (found.values[0], found.first_unknown_ms))
                else:
                    connection.execute(statements.SALVAGE_SET_ASIDE, found.values)
            connection.execute(statements.COMMIT)
            self.taken()
        return self.is_done

    def next_rows(self, room: int) -> Sequence[Found]:  # noqa: ARG002 - as of every chore
        """Return some more rows; there is always room for what was accepted once."""
        if not self._handed:
            self._handed = self._gather(time.monotonic() + SLICE_SECONDS)
        return self._handed

    def taken(self) -> None:
        """Note that the rows handed out last are on disk."""
        self.rows += len(self._handed)
        self._handed = []

    def report(self) -> int:
        """Say in the log what was brought over."""
        self._close()
        lost = max(self._expected - self.rows, 0) if self._expected is not None else 0
        words = "" if self._expected is None else f" of {self._expected}"
        _LOG.warning("%d%s events were brought over from the damaged outbox file %s", self.rows, words, self._aside)
        return lost

    def abandon(self) -> None:
        """Stop before the end; the file stays."""
        self._close()
        _LOG.error(
            "%d events were brought over from the damaged outbox file %s before it was closed; the rest is still in it",
            self.rows,
            self._aside,
        )

    def _close(self) -> None:
        self._database.close()
        self._log.close()


class Adoption:
    """Takes over the file of an owner that is gone, row by row, and removes it in the end."""

    def __init__(self, path: Path, settings: Settings, job: Adopt) -> None:
        self.is_done: bool = False
        self.waits_for_room: bool = False
        self._path = job.path
        self._settings = settings
        self._future: asyncio.Future[Any] = job.future
        self._lock = job.lock
        self._moved = 0
        self._error: AmplitudeError | None = None
        self._source: sqlite3.Connection | None = None
        self._totals: Totals | None = None
        self._salvage: Salvage | None = None
        self._handed: list[Found] = []
        self._table = ""
        if job.path == path:
            self._end(storage_error(path, "cannot adopt itself"))

    def next_rows(self, room: int) -> Sequence[Found]:
        """Return the oldest rows that are still in the other file."""
        if self.is_done or self._handed:
            return self._handed
        if self._salvage is not None:
            return self._from_salvage(room)
        try:
            if self._source is None:
                self._open()
            if self._source is not None:
                self._handed = self._read(self._source, room)
        except Damaged as damage:
            self._to_salvage(str(damage))
        except sqlite3.Error as error:
            if is_damage(error):
                self._to_salvage(str(error))
            else:
                self._end(storage_error(self._path, "cannot be read", error))
        except AmplitudeError as refusal:
            self._end(refusal)
        return self._handed

    def _open(self) -> None:
        if self._lock is None:
            self._lock = take_lock(self._path)
        if not (os.path.lexists(self._path) or os.path.lexists(companion(self._path, "-wal"))):
            self._end(None)  # its owner came to the end of it
            return
        self._source, self._totals = open_file(self._path, self._settings)

    def _read(self, source: sqlite3.Connection, room: int) -> list[Found]:
        for table, sizes, statement in (
            ("waiting", statements.WAITING_SIZES, statements.MOVE_WAITING),
            ("set_aside", statements.SET_ASIDE_SIZES, statements.MOVE_SET_ASIDE),
        ):
            count, size = statements.fitting(source, sizes, 0, CHUNK_ROWS, CHUNK_BYTES)
            if count == 0:
                continue
            self.waits_for_room = size + statements.ROW_BYTES * count > room
            if self.waits_for_room:
                return []
            self._table = table
            rows = source.execute(statement, (0, count)).fetchall()
            if table == "waiting":
                return [Found(table, row[:-1], row[-1]) for row in rows]
            return [Found(table, row, None) for row in rows]
        self._remove(source)
        return []

    def taken(self) -> None:
        """Delete from the other file what is on disk in ours."""
        self._moved += len(self._handed)
        handed, self._handed = self._handed, []
        if self._salvage is not None:
            self._salvage.taken()
            return
        source, totals = self._source, self._totals
        if source is None or totals is None:
            return
        ids = json.dumps([found.values[0] for found in handed])
        try:
            source.execute(statements.BEGIN)
            if self._table == "waiting":
                totals = statements.remove_waiting(source, ids, totals)
            else:
                _, totals = statements.purge_set_aside(source, ids, totals)
            source.execute(statements.SET_TOTALS, totals)
            source.execute(statements.COMMIT)
            self._totals = totals
        except sqlite3.Error as error:
            # The rows are in both files now; whoever opens the other one next brings them again, under the same insert_ids.
            self._end(storage_error(self._path, "cannot be emptied", error))

    def _remove(self, source: sqlite3.Connection) -> None:
        """Close and delete the file that has nothing left in it."""
        try:
            source.close()
            self._source = None
            self._path.unlink()
        except (sqlite3.Error, OSError) as error:
            self._end(storage_error(self._path, "cannot be removed", error))
        else:
            self._end(None)

    def _to_salvage(self, reason: str) -> None:
        if self._source is not None:
            try:
                self._source.close()
            except sqlite3.Error:
                _LOG.debug("closing a damaged file met an error")
            self._source = None
        try:
            aside = move_aside(self._path, time.time_ns() // 1_000_000)
        except AmplitudeError as refusal:
            self._end(refusal)
            return
        _LOG.error(
            "The outbox file %s is damaged (%s); it was moved to %s, and what can be read is brought over", self._path, reason, aside
        )
        expected = None if self._totals is None else self._totals.waiting_rows + self._totals.set_aside_rows
        self._salvage = Salvage(aside, self._settings.project, expected)
        self._handed = []

    def _from_salvage(self, room: int) -> Sequence[Found]:
        self.waits_for_room = room <= CHUNK_BYTES
        if self._salvage is None or self.waits_for_room:
            return []
        self._handed = list(self._salvage.next_rows(room))
        if not self._handed and self._salvage.is_done:
            self._end(None)
        return self._handed

    def _end(self, error: AmplitudeError | None) -> None:
        self.is_done = True
        self._error = error
        source, self._source = self._source, None
        if source is not None:
            try:
                source.close()
            except sqlite3.Error as trouble:
                _LOG.warning("Closing the outbox file %s met an error: %s", self._path, trouble)
        if self._lock is not None:
            self._lock.release()

    def report(self) -> int:
        """Say in the log what was taken over."""
        if self._moved:
            _LOG.info("%d events were taken over from the outbox file %s", self._moved, self._path)
        return self._salvage.report() if self._salvage is not None else 0

    def abandon(self) -> None:
        """Stop before the end; what was not taken over is still in the other file."""
        if self._salvage is not None:
            self._salvage.abandon()
        if not self.is_done:
            self._end(OutboxClosed(f"The outbox was closed before it had taken over all of {self._path}."))

    def answer(self) -> Answer:
        """Return what its caller is told."""
        return (self._future, self._moved, self._error)
