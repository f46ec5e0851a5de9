"""The clerk of an outbox: keeps the books, the courier and the shelf in step. asyncio only.

Whatever happens to an event comes by here: it is taken on if there is room, or the overflow policy is applied; the shelf says that it
is stored, or that the disk refused it; the courier says what Amplitude made of it. Each time the books are told first, then the disk,
then whoever waits: for room, for the event, or through a hook.
"""

from __future__ import annotations

import asyncio
import logging
from copy import copy
from typing import TYPE_CHECKING, Final, cast

import anyio

from amplitude_async._io.observing import OutboxFigures
from amplitude_async.delivery.courier import Courier
from amplitude_async.delivery.hooks import Hook, Setback
from amplitude_async.delivery.ledger import CLOSED, OVERFLOW, Entry, Ledger, Settlement
from amplitude_async.delivery.receipts import OutboxReport, OutboxStats, Receipt
from amplitude_async.delivery.room import Room
from amplitude_async.errors import OutboxClosed, OutboxFull

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from amplitude_async._io.caller import Caller
    from amplitude_async.delivery.choosing import OutboxOptions
    from amplitude_async.delivery.ledger import OnDisk
    from amplitude_async.delivery.rows import Row
    from amplitude_async.delivery.shelf import Shelf
    from amplitude_async.delivery.sqlite import SQLiteStore
    from amplitude_async.errors import AmplitudeError

__all__ = ["Clerk"]

_LOG: Final = logging.getLogger("amplitude_async.outbox")

YIELD_EVERY: Final = 100
"""Puts in a row that let nobody else run; then the loop gets a turn."""
DISK_SECONDS: Final = 1.0
"""What the disk has at least, at the end, to take what was handed to it."""
HOOK_SECONDS: Final = 0.25
"""What a hook that is told of the last events has at least."""
LOG_EVERY: Final = 60.0
MAX_UNSTORED_BYTES: Final = 64 << 20
"""What may be on its way to the disk in memory."""


class Clerk:
    """Keeps books, courier and shelf in step.

    Args:
        caller: Sends requests, with the client's limits.
        options: How the outbox was asked to be.
        now_ms: The time in milliseconds since the epoch.

    Attributes:
        ledger: The books.
        courier: Sends what is in its queue.
        shelf: What is on the disk; ``None`` for an outbox in memory, and before the file is open.
        room: Who waits for room.
        enqueue: Lets an event wait in the courier's queue.
        is_closed: Nothing more is taken on.
    """

    def __init__(self, caller: object, options: OutboxOptions, now_ms: Callable[[], int]) -> None:
        self._clock = cast("Caller", caller).policy.backoff.clock
        self._now_ms = now_ms
        self._delivery_hook = Hook(options.on_delivery, self._clock)
        self._setback_hook = Hook(options.on_setback, self._clock)
        self.ledger: Ledger = Ledger(options.capacity, is_durable=options.is_durable)
        self.courier: Courier = Courier(
            caller,
            self.ledger,
            self,
            endpoint=options.endpoint,
            options=options.options,
            compress=options.compress,
            linger=options.linger,
            setback=self._setback_hook,
        )
        self.shelf: Shelf | None = None
        self.room: Room = Room(self.has_room)
        self.enqueue: Callable[[Entry], None] = self.courier.queue.add
        if options.is_durable and options.capacity.overflow == "drop_oldest":
            self.enqueue = self._line_up
        self.is_closed: bool = False
        self._most_events = options.endpoint.max_events
        self._since_yield = 0
        self._news: dict[str, int] = {}
        self._told_at = float("-inf")

    # Taking on

    def has_room(self, size: int) -> bool:
        """Say whether an event of this size fits in."""
        shelf = self.shelf
        return self.ledger.has_room(size) and (shelf is None or shelf.unstored_bytes < MAX_UNSTORED_BYTES)

    def refuse_if_closed(self) -> None:
        """Raise if it was closed while somebody waited.

        Raises:
            OutboxClosed: It was; what waited was not accepted.
        """
        if self.is_closed:
            message = "The outbox was closed meanwhile; what was not accepted by then is not."
            raise OutboxClosed(message)

    async def put(self, receipt: Receipt, timeout: float | None) -> Receipt:  # noqa: ASYNC109 - the wait for room
        """Take an event on as soon as there is room, and return when it is accepted."""
        shelf = self.shelf
        if shelf is None or self.is_closed or receipt.settlement is not None or self.room.is_wanted or not self.has_room(receipt.size):
            await self.begin_put(receipt, timeout)
            await self.end_put(receipt)
            return receipt
        # The usual case of one on disk, without a coroutine more.
        answer = shelf.next_answer()
        disk = self._reserve(shelf, receipt)
        await answer
        disk.check()
        return receipt

    async def begin_put(self, receipt: Receipt, timeout: float | None) -> None:  # noqa: ASYNC109 - as above
        """Find room, and accept the event or send it to the disk."""
        self.refuse_if_closed()
        if receipt.settlement is not None:
            self._book(receipt, receipt.settlement)
            return
        if self.room.is_wanted or not self.has_room(receipt.size):
            if self.ledger.capacity.overflow != "block":
                self._overflow(receipt)
                if receipt.settlement is not None:
                    return
            else:
                await self._wait_for_room(receipt, timeout)
        if self.shelf is not None:
            self._reserve(self.shelf, receipt)
            return
        self.take_on(receipt)
        self._since_yield += 1
        if self._since_yield >= YIELD_EVERY:
            self._since_yield = 0
            await asyncio.sleep(0)

    def _reserve(self, shelf: Shelf, receipt: Receipt) -> OnDisk:
        """Send an event for which there is room to the disk; held back until it is there: nothing is sent that was not accepted."""
        receipt.is_paused = True
        self.ledger.reserve(receipt)
        return shelf.append(receipt)

    async def _wait_for_room(self, receipt: Receipt, timeout: float | None) -> None:  # noqa: ASYNC109 - as above
        try:
            await self.room.wait(receipt.size, timeout)
        except OutboxFull:
            self.ledger.refuse()
            raise
        self.refuse_if_closed()

    async def end_put(self, receipt: Receipt) -> None:
        """Wait until the event is on the disk, if that is where it goes."""
        if self.shelf is not None and receipt.settlement is None:
            await receipt.stored()

    def put_nowait(self, receipt: Receipt) -> Receipt:
        """Take an event on now, or apply the policy for what does not fit in."""
        if receipt.settlement is not None:
            self._book(receipt, receipt.settlement)
            return receipt
        if self.room.is_wanted or not self.has_room(receipt.size):
            self._overflow(receipt)
            if receipt.settlement is not None:
                return receipt
        self.take_on(receipt)
        return receipt

    def _overflow(self, receipt: Receipt) -> None:
        """Apply the policy to an event for which there is no room: return with room made, or the event dropped, or refuse it."""
        overflow = self.ledger.capacity.overflow
        if overflow == "drop_oldest":
            dropped = self.ledger.make_room(receipt.size)
            for entry in dropped:
                self.courier.queue.withdraw(entry)
            self._after_settling(dropped)
            if self.has_room(receipt.size):
                return
        if overflow in {"drop_oldest", "drop_newest"}:
            # With drop_oldest only if all others are in flight, or on their way to the disk or from it: this one is the oldest then.
            self._book(receipt, Settlement("dropped", OVERFLOW))
            return
        self.ledger.refuse()
        message = "The outbox is full; the event was not accepted."
        raise OutboxFull(message)

    def _book(self, receipt: Receipt, settlement: Settlement) -> None:
        """Enter an event into the books that goes nowhere: it was accepted, and settled at once."""
        self.ledger.accept(receipt)
        self.ledger.settle((receipt,), settlement)
        self._after_settling((receipt,))

    def take_on(self, receipt: Receipt) -> None:
        """Accept an event for which there is room."""
        self.ledger.accept(receipt)
        if self.shelf is None:
            self.enqueue(receipt)
        else:
            self.shelf.append(receipt)
        courier = self.courier
        if courier.is_idle or courier.queue.events == self._most_events:
            courier.nudge()

    def _line_up(self, entry: Entry) -> None:
        """Let an event wait in the queue, and be the first to be dropped when it is the oldest there."""
        self.ledger.line_up(entry)
        self.courier.queue.add(entry)

    # What the shelf tells

    def make_shelf(self, store: SQLiteStore) -> Shelf:
        """Return the shelf for a file that is open; it is not in use yet."""
        from amplitude_async.delivery.shelf import Shelf  # noqa: PLC0415 - SQLite is loaded where it is used

        return Shelf(
            store,
            self.ledger,
            enqueue=self.enqueue,
            accepted=self._stored,
            failed=self._not_stored,
            make=_entry_of,
            loaded=self.courier.nudge,
            held=self.courier.held,
            now_ms=self._now_ms,
        )

    def _stored(self, entries: Sequence[Entry]) -> None:
        held_back = [entry for entry in entries if entry.is_paused]
        if not held_back:
            return
        self.ledger.accept_reserved(len(held_back))
        resume = self.courier.queue.resume
        for entry in held_back:
            resume(entry)
        if self.courier.is_idle:
            self.courier.nudge()

    def _not_stored(self, entries: Sequence[Entry], error: AmplitudeError) -> None:
        for entry in entries:
            if entry.is_paused:
                # It was never accepted.
                self.ledger.release(entry)
                entry.is_paused = False
                if entry.disk is not None and entry.disk.is_queued:
                    self.courier.queue.withdraw(entry)
                else:
                    entry.is_withdrawn = True
        # A copy: what a hook raises gets frames, which hold the events.
        self._setback_hook(Setback("storage", copy(error), 0.0, self.ledger.pending))
        self.room.give()

    # What the courier tells

    def delivered(self, entries: Sequence[Entry]) -> None:
        """Amplitude has them."""
        entries = _open(entries)
        self.ledger.settle(entries)
        self._after_settling(entries)

    def rejected(self, pairs: Sequence[tuple[Entry, str]]) -> None:
        """Amplitude named them as bad."""
        for entry, reason in pairs:
            if entry.settlement is None:
                self.ledger.settle((entry,), Settlement("rejected", reason))
        self._after_settling([entry for entry, _ in pairs])
        self._tell("rejected", len(pairs))

    def set_aside(self, entries: Sequence[Entry], reason: str) -> None:
        """They are kept, but not sent again."""
        entries = _open(entries)
        now = self._now_ms()
        for entry in entries:
            self.ledger.set_aside(entry, reason, now)
        if self.shelf is not None:
            stored = [entry.disk.row_id for entry in entries if entry.disk is not None and entry.disk.row_id]
            if stored:
                self.shelf.store.set_aside(stored, reason, now)
        self._after_settling(entries, is_aside=True)
        self._tell("set aside", len(entries))

    def unknown(self, entries: Sequence[Entry]) -> None:
        """They were sent without a trustworthy answer."""
        now = self._now_ms()
        new = self.ledger.note_unknown(entries, now)
        if self.shelf is not None:
            rows = [entry.disk.row_id for entry in new if entry.disk is not None and entry.disk.row_id]
            if rows:
                self.shelf.store.note_unknown(rows, now)

    def needs_more(self) -> None:
        """The queue runs dry."""
        if self.shelf is not None:
            self.shelf.needs_more()

    def now_ms(self) -> int:
        """Return the time in milliseconds since the epoch."""
        return self._now_ms()

    def _after_settling(self, entries: Sequence[Entry], *, is_aside: bool = False) -> None:
        shelf = self.shelf
        if shelf is not None:
            rows = shelf.settled(entries)
            if rows and not is_aside:
                shelf.store.settle(rows)
            shelf.needs_more()
        drops_bodies = not is_aside or shelf is not None
        for entry in entries:
            if entry.waiters is not None or entry.disk is not None:
                entry.wake()
            if drops_bodies:
                # A receipt may be held for long; the bytes need not.
                entry.body = b""
        if self.room.is_wanted:
            self.room.give()
        if entries and self._delivery_hook.is_set:
            self._delivery_hook(entries)

    def _tell(self, what: str, count: int) -> None:
        """Say in the log, once a minute, how many events came to no good end; never which."""
        self._news[what] = self._news.get(what, 0) + count
        now = self._clock()
        if now - self._told_at >= LOG_EVERY:
            self._told_at = now
            told = ", ".join(f"{number} events were {word}" for word, number in self._news.items())
            self._news.clear()
            _LOG.warning("%s; stats().reasons says why", told)

    # Figures, and the end

    def stats(self) -> OutboxStats:
        """Return the figures of this moment; ``accepted = delivered + rejected + set_aside + dropped + pending``."""
        ledger, courier = self.ledger, self.courier
        oldest = min((entry.accepted_ms for entry in (*courier.queue.heads(), *courier.airborne())), default=None)
        return OutboxStats(
            accepted=ledger.accepted,
            recovered=ledger.recovered,
            **ledger.counts,
            pending=ledger.pending,
            in_flight=courier.in_flight,
            refused=ledger.refused,
            reserved=ledger.reserved,
            bytes=ledger.bytes,
            oldest_age=None if oldest is None else max((self._now_ms() - oldest) / 1000, 0.0),
            requests=courier.requests,
            retries=courier.retries,
            reasons={f"{status}: {reason}": count for (status, reason), count in ledger.reasons.items()},
            forgotten=ledger.forgotten,
            hooks_failed=self._delivery_hook.failed + self._setback_hook.failed,
            hooks_skipped=self._delivery_hook.skipped + self._setback_hook.skipped,
        )

    def figures(self) -> OutboxFigures:
        """Return the figures that an observer is given, which may ask from any thread while the event loop goes on."""
        ledger, courier = self.ledger, self.courier
        settled: dict[tuple[str, str], int] = {(status, reason): count for (status, reason), count in dict(ledger.reasons).items()}
        settled["delivered", ""] = ledger.counts["delivered"]
        oldest = min((entry.accepted_ms for entry in (*courier.queue.heads(), *courier.airborne())), default=None)
        age = None if oldest is None else max((self._now_ms() - oldest) / 1000, 0.0)
        return OutboxFigures(ledger.pending, ledger.bytes, age, settled)

    def report(self) -> OutboxReport:
        """Return what became of everything."""
        counts = self.ledger.counts
        return OutboxReport(**counts, kept=self.ledger.pending)

    async def flush(self, timeout: float | None) -> bool:  # noqa: ASYNC109 - the limit is the question
        """Wait until everything accepted so far is settled, at most so long; say whether it is."""
        loop = asyncio.get_running_loop()
        reached: asyncio.Future[None] = loop.create_future()
        mark = self.ledger.mark(lambda: None if reached.done() else reached.set_result(None))
        if mark is None:
            return True
        self.courier.flushing += 1
        self.courier.nudge()
        try:
            with anyio.move_on_after(timeout):
                await reached
        finally:
            self.courier.flushing -= 1
            self.ledger.unmark(mark)
        return reached.done() and not reached.cancelled()

    async def aclose(self, seconds: float) -> None:
        """Deliver what can be delivered in time, and end: what is left is kept on the disk, or dropped."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        await self.flush(seconds)
        await self.courier.stop(0.0)
        airborne = self.courier.airborne()
        if self.shelf is not None:
            self.unknown(airborne)
            await self.shelf.aclose(max(end - loop.time(), DISK_SECONDS))
        waiting = [*airborne, *self.courier.queue.waiting(), *(self.shelf.unstored() if self.shelf is not None else ())]
        # What is paused is not accepted yet.
        waiting = [entry for entry in dict.fromkeys(waiting) if entry.settlement is None and not entry.is_paused]
        self._drop([entry for entry in waiting if entry.disk is None or not entry.disk.row_id])
        kept = [entry for entry in waiting if entry.settlement is None]
        for disk in (*(entry.disk for entry in kept), *(self.shelf.held() if self.shelf is not None else ())):
            if disk is not None:
                disk.end()
        for hook in (self._delivery_hook, self._setback_hook):
            await hook.aclose(max(end - loop.time(), HOOK_SECONDS))

    def _drop(self, lost: Sequence[Entry]) -> None:
        """Settle what no disk keeps."""
        if not lost:
            return
        self.ledger.settle(lost, Settlement("dropped", CLOSED))
        for entry in lost:
            entry.wake()
            entry.body = b""
        self._delivery_hook(lost)
        _LOG.warning("the outbox was closed with %d events that could not be delivered; they are dropped", len(lost))


def _open(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Return the entries that are not settled yet; usually all of them."""
    is_open = [entry for entry in entries if entry.settlement is None]
    return entries if len(is_open) == len(entries) else is_open


def _entry_of(row: Row) -> Receipt:
    return Receipt(row.body, row.identity, row.insert_id, row.accepted_ms, len(row.body) + 1)
