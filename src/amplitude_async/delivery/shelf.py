"""The durable side of an outbox: what is on disk, and what of it is in the queue with its bytes.

An outbox on disk may hold far more than memory should. So it is in one of two states:

- *live*: every waiting event is in the queue; a new one goes there at once, and to the disk.
- *behind*: some wait on the disk alone. A new one goes to the disk, lets go of its bytes, and is read back when its turn comes.

Rows are read in the order of their numbers, which is the order of acceptance; the cursor is the last row whose event is in the
queue. Rows beyond it that are in the queue already, because they were put there while it was live, are remembered so that none is
loaded twice.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import logging
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from amplitude_async.delivery.ledger import DAMAGED, OnDisk, OnDiskAlone, Settlement, wake_all
from amplitude_async.errors import OutboxClosed, OutboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from amplitude_async.delivery.ledger import Entry, Ledger, Waiter
    from amplitude_async.delivery.rows import Row
    from amplitude_async.delivery.sqlite import SQLiteStore
    from amplitude_async.errors import AmplitudeError

__all__ = ["Shelf"]

_LOG: Final = logging.getLogger("amplitude_async.outbox")

WINDOW_BYTES: Final = 16 << 20
"""What the queue of a durable outbox holds in memory, 600 bytes an event included; the rest waits on the disk."""
UNSTORED_BYTES: Final = 64 << 20
"""What may be on its way to the disk."""
PAGE_ROWS: Final = 2000
PAGE_BYTES: Final = 4 << 20
APPEND_BYTES: Final = 1 << 20
ENTRY_BYTES: Final = 600


class Shelf:
    """Keeps the queue and the store in step.

    Args:
        store: The file.
        ledger: The books.
        enqueue: Lets an event wait in the queue.
        accepted: Is told when events are stored.
        failed: Is told when events could not be stored.
        make: Makes an entry for a row whose receipt nobody holds.
        loaded: Is told when there is more in the queue.
        held: Returns the events that are in the queue or in flight.
        now_ms: The time in milliseconds since the epoch.
    """

    def __init__(  # noqa: PLR0913 - it stands between four others
        self,
        store: SQLiteStore,
        ledger: Ledger,
        *,
        enqueue: Callable[[Entry], None],
        accepted: Callable[[Sequence[Entry]], None],
        failed: Callable[[Sequence[Entry], AmplitudeError], None],
        make: Callable[[Row], Entry],
        loaded: Callable[[], None],
        held: Callable[[], Sequence[Entry]],
        now_ms: Callable[[], int],
    ) -> None:
        self.store: SQLiteStore = store
        self.is_behind: bool = False
        self.unstored_bytes: int = 0
        self._ledger = ledger
        self._enqueue = enqueue
        self._accepted = accepted
        self._failed = failed
        self._make = make
        self._loaded = loaded
        self._held = held
        self._now_ms = now_ms
        self._loop = asyncio.get_running_loop()
        self._buffer: list[Entry] = []
        self._buffer_bytes = 0
        self._buffer_waiters: list[Waiter] = []
        self._writes: dict[asyncio.Future[list[int]], tuple[list[Entry], list[Waiter]]] = {}
        """What was handed to the store and is not answered yet, and who waits for it."""
        self._unstored: dict[Entry, None] = {}
        """Accepted while behind, and not stored yet, or never; in their order."""
        self._receipts: WeakValueDictionary[int, OnDiskAlone] = WeakValueDictionary()
        """Of events that are on the disk alone, those whose receipt somebody still holds."""
        self._cursor = 0
        self._ahead: set[int] = set()
        self._queued_bytes = 0
        self._runs: list[tuple[int, int, int]] = []
        """First and last row of events that this process accepted one after another, and the serial of the first."""
        self._arrivals = 0
        """How often rows came to wait that were not appended here."""
        self._loading: asyncio.Task[None] | None = None
        self._is_closed = False
        store.on_arrival = self._arrived
        store.on_revival = self._revived
        store.on_damage = self._damaged

    def start(self) -> None:
        """Take on what the file holds."""
        found = self.store.found
        if found.waiting_rows:
            self._ledger.recover(found.waiting_rows, found.waiting_bytes)
            self.is_behind = True
        self._arrived(self.store.unheard)
        self.needs_more()

    # To the disk

    def append(self, entry: Entry) -> OnDisk:
        """Store an event, and let it wait in the queue if everything before it does; never waits."""
        size = entry.size + ENTRY_BYTES
        self.unstored_bytes += size
        if not self.is_behind and self._queued_bytes > WINDOW_BYTES:
            self.is_behind = True
        if self.is_behind:
            disk = entry.disk = OnDisk(is_queued=False)
            self._unstored[entry] = None
        else:
            disk = entry.disk = OnDisk()
            self._queued_bytes += size
            self._enqueue(entry)
        if not self._buffer:
            # Everybody who stores something in this turn of the loop shares one hand-over.
            self._loop.call_soon(self._hand_over)
        self._buffer.append(entry)
        self._buffer_bytes += entry.size
        if self._buffer_bytes > APPEND_BYTES:
            self._hand_over()
        return disk

    def next_answer(self) -> asyncio.Future[None]:
        """Return a future of who waits for what is appended next: done when the disk has answered for that, in either way.

        Cheaper than a receipt's ``stored()``, which may be asked at any time: it is kept with the group that shares a hand-over, and
        not at the event.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        self._buffer_waiters.append(future)
        return future

    def _hand_over(self) -> None:
        entries, self._buffer, self._buffer_bytes = self._buffer, [], 0
        if not entries:
            return
        waiters, self._buffer_waiters = self._buffer_waiters, []
        rows = [(0, one.identity, "event", one.insert_id, one.accepted_ms, one.first_unknown_ms, one.body) for one in entries]
        try:
            future = self.store.append(rows)
        except OutboxError as error:
            self._not_stored(entries, waiters, error)
            return
        self._writes[future] = entries, waiters
        future.add_done_callback(self._stored)

    def _stored(self, done: asyncio.Future[list[int]]) -> None:
        entries, waiters = self._writes.pop(done, ([], []))
        if done.cancelled() or not entries:
            return
        error = done.exception()
        if error is not None:
            known = error if isinstance(error, OutboxError) else OutboxError("the event could not be stored")
            self._not_stored(entries, waiters, known)
            return
        quicker: list[Entry] = []
        is_behind = self.is_behind
        for entry, row_id in zip(entries, done.result(), strict=True):
            disk = entry.disk
            self.unstored_bytes -= entry.size + ENTRY_BYTES
            if disk is None:
                continue
            disk.row_id = row_id
            if entry.settlement is not None or entry.first_unknown_ms is not None:
                quicker.append(entry)
            if not is_behind:
                # All are in the queue, or settled.
                self._cursor = row_id
            elif entry.settlement is not None:
                self._ahead.add(row_id)
            else:
                self._place(entry, disk, row_id)
                self._note_run(row_id, entry.serial)
            if disk.stored is not None:
                wake_all(disk.stored)
                disk.stored = None
        # They go on in a later turn of the loop.
        wake_all(waiters)
        if not is_behind:
            self._runs = [(self._cursor, self._cursor, entries[-1].serial)]
        self._accepted(entries)
        if quicker:
            # A disk that is slower than closing may wait is told nothing more: they are sent again, and Amplitude removes them.
            with contextlib.suppress(OutboxClosed):
                self._tell_late(quicker)
        self.needs_more()

    def _tell_late(self, entries: Sequence[Entry]) -> None:
        """Tell the store what became of events while their rows were on their way to it."""
        settled: list[int] = []
        for entry in entries:
            if entry.disk is None:
                continue
            rows = (entry.disk.row_id,)
            settlement = entry.settlement
            if entry.first_unknown_ms is not None and (settlement is None or settlement.status == "set_aside"):
                self.store.note_unknown(rows, entry.first_unknown_ms)
            if settlement is None:
                continue
            if settlement.status == "set_aside":
                self.store.set_aside(rows, settlement.reason, self._now_ms())
            else:
                settled += rows
        if settled:
            self.store.settle(settled)

    def _place(self, entry: Entry, disk: OnDisk, row_id: int) -> None:
        """Note where a stored event is: in the queue, or on the disk alone."""
        if disk.is_queued:
            self._ahead.add(row_id)
            return
        self._unstored.pop(entry, None)
        entry.body = b""
        alone = entry.disk = self._receipts[row_id] = OnDiskAlone(row_id=row_id, is_queued=False)
        # Who waits already goes on waiting there.
        alone.settled = disk.settled

    def _not_stored(self, entries: Sequence[Entry], waiters: list[Waiter], error: AmplitudeError) -> None:
        # Its frames hold the events, and those hold the error.
        error = error.with_traceback(None)
        for entry in entries:
            self.unstored_bytes -= entry.size + ENTRY_BYTES
            if entry.disk is not None:
                entry.disk.error = error
        self._failed(entries, error)
        for entry in entries:
            if entry.is_withdrawn and entry.settlement is None:
                # Refused, and so never settled: what it took of the queue is given back here.
                self._unstored.pop(entry, None)
                if entry.disk is not None and entry.disk.is_queued:
                    self._queued_bytes -= entry.size + ENTRY_BYTES
            if entry.disk is not None and entry.disk.stored is not None:
                wake_all(entry.disk.stored)
                entry.disk.stored = None
        wake_all(waiters)

    # From the disk

    def needs_more(self) -> None:
        """Read on, if there is more on the disk and room in the queue."""
        if self.is_behind and self._loading is None and not self._is_closed and self._queued_bytes < WINDOW_BYTES // 2:
            self._loading = self._loop.create_task(self._load())

    async def _load(self) -> None:
        arrivals = self._arrivals
        try:
            rows = await self.store.page(self._cursor, PAGE_ROWS, PAGE_BYTES)
        except OutboxError as error:
            if not self._is_closed:
                _LOG.error("the outbox file %s could not be read (%s); trying again", self.store.path, error)
            await asyncio.sleep(1.0)
            rows = None
        finally:
            self._loading = None
        if self._is_closed:
            return
        if rows:
            for row in rows:
                self._cursor = row.id
                if row.id in self._ahead:
                    self._ahead.discard(row.id)
                    continue
                self._load_row(row)
            self._loaded()
        elif rows is not None and arrivals == self._arrivals:
            # Otherwise rows may have come behind what was read.
            self._catch_up()
        self.needs_more()

    def _load_row(self, row: Row) -> None:
        entry = self._make(row)
        entry.serial = self._serial_of(row.id)
        entry.disk = self._receipts.pop(row.id, None) or OnDisk(row_id=row.id)
        entry.disk.is_queued = True
        entry.first_unknown_ms = row.first_unknown_ms
        self._queued_bytes += entry.size + ENTRY_BYTES
        self._enqueue(entry)

    def _catch_up(self) -> None:
        """Everything stored is in the queue: put what is on its way behind it, and be live."""
        for entry in self._unstored:
            if entry.disk is not None and entry.settlement is None and not entry.is_withdrawn:
                entry.disk.is_queued = True
                self._queued_bytes += entry.size + ENTRY_BYTES
                self._enqueue(entry)
        self._unstored.clear()
        self._cursor = max(self._cursor, max(self._ahead, default=0))
        self._ahead.clear()
        self._runs.clear()
        self.is_behind = False
        self._book_losses()
        self._loaded()

    def _book_losses(self) -> None:
        """Settle what is pending and neither in the queue nor in flight: the disk has lost it."""
        lost = self._ledger.lose_all_but(self._held())
        if lost:
            _LOG.error("%d events were lost with a damaged part of the outbox file %s; they are dropped", lost, self.store.path)
        self._end_receipts(list(self._receipts), Settlement("dropped", DAMAGED))

    def _damaged(self, ids: Sequence[int]) -> None:
        """Settle events of which the disk has left something, which was set aside."""
        # What is in the queue is sound, whatever became of its row.
        gone = [row_id for row_id in ids if row_id not in self._ahead]
        self._ahead.difference_update(ids)
        if gone:
            self._ledger.lose(len(gone))
            self._end_receipts(gone, Settlement("set_aside", DAMAGED))

    def _end_receipts(self, row_ids: Iterable[int], settlement: Settlement) -> None:
        for row_id in row_ids:
            disk = self._receipts.pop(row_id, None)
            if disk is not None:
                disk.settlement = settlement
                if disk.settled is not None:
                    wake_all(disk.settled)

    def _arrived(self, events: int) -> None:
        """Take on rows that came to wait by themselves."""
        self._new_rows(events, are_new=True)

    def _revived(self, events: int) -> None:
        """Take on rows that were set aside and wait again."""
        self._new_rows(events, are_new=False)

    def _new_rows(self, events: int, *, are_new: bool) -> None:
        if not events:
            return
        # Their size is told by the totals alone; the books take an average.
        counts = self.store.counts
        average = counts.waiting_bytes // counts.waiting_rows if counts.waiting_rows else 0
        self._ledger.recover(events, average * events, are_new=are_new)
        self._arrivals += 1
        self.is_behind = True
        self.needs_more()

    # Serials of rows whose entry is gone

    def _note_run(self, row_id: int, serial: int) -> None:
        if self._runs:
            first, last, known = self._runs[-1]
            if row_id == last + 1 and row_id - first == serial - known:
                self._runs[-1] = (first, row_id, known)
                return
        self._runs.append((row_id, row_id, serial))

    def _serial_of(self, row_id: int) -> int:
        """Return the serial of a row; 0 for rows that others accepted: every flush waits for those."""
        index = bisect.bisect_right(self._runs, row_id, key=lambda run: run[0]) - 1
        if index < 0:
            return 0
        first, last, serial = self._runs[index]
        return serial + row_id - first if row_id <= last else 0

    # Out

    def unstored(self) -> list[Entry]:
        """Return events that are neither in the queue nor on the disk."""
        return [entry for entry in self._unstored if not entry.is_withdrawn and not entry.is_paused]

    def held(self) -> list[OnDiskAlone]:
        """Return events on the disk alone whose receipts somebody holds."""
        return list(self._receipts.values())

    def settled(self, entries: Sequence[Entry]) -> list[int]:
        """Note that events left the queue for good; return the rows of those that have one."""
        rows: list[int] = []
        for entry in entries:
            disk = entry.disk
            if disk is None:
                continue
            if disk.is_queued:
                self._queued_bytes -= entry.size + ENTRY_BYTES
            if disk.row_id:
                rows.append(disk.row_id)
        return rows

    async def aclose(self, seconds: float) -> bool:
        """Write what was handed in and close the file; say whether that was done in time."""
        self._hand_over()
        self._is_closed = True
        if self._loading is not None:
            self._loading.cancel()
        if self._writes:
            # What is known of those rows can be told only when they have their numbers.
            began = self._loop.time()
            await asyncio.wait(self._writes, timeout=seconds)
            seconds = max(began + seconds - self._loop.time(), 0.0)
        is_done = await self.store.aclose(seconds)
        late, self._writes = self._writes, {}
        for entries, waiters in late.values():
            message = "The outbox was closed before the disk answered; if the event was stored, it is sent at the next start."
            self._not_stored(entries, waiters, OutboxClosed(message, outcome="unknown"))
        return is_done
