"""The outbox: events are handed over here and delivered in the background. asyncio only.

It keeps four things in step: the books (what was accepted and what became of it), the courier (what is sent when), the shelf (what is
on the disk), and who waits for any of them. All of it happens on one event loop; the one door for other threads is
:meth:`Outbox.put_threadsafe`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import weakref
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import TimeoutError as ThreadTimeoutError
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, cast

import anyio

from amplitude_async._io.chance import now_ms as real_now_ms
from amplitude_async._io.chance import stamp
from amplitude_async.delivery.courier import Courier
from amplitude_async.delivery.hooks import Hook, Setback
from amplitude_async.delivery.ledger import CLOSED, OVERFLOW, Capacity, Entry, Ledger, Settlement
from amplitude_async.delivery.receipts import OutboxReport, OutboxStats, Receipt
from amplitude_async.delivery.room import Room
from amplitude_async.errors import ConfigurationError, InvalidEventError, OutboxClosed, OutboxError, OutboxFull
from amplitude_async.events import as_list
from amplitude_async.resources.ingestion import encode_event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from amplitude_async._io.caller import Caller
    from amplitude_async._protocol.uploads import Endpoint
    from amplitude_async.delivery.adopting import Adopter
    from amplitude_async.delivery.opening import Durability
    from amplitude_async.delivery.rows import Row, SetAside
    from amplitude_async.delivery.shelf import Shelf
    from amplitude_async.errors import AmplitudeError
    from amplitude_async.events import Defaults, EventInput

__all__ = ["Outbox", "OutboxOptions"]

_LOG: Final = logging.getLogger("amplitude_async.outbox")

PUT_SECONDS: Final = 5.0
"""How long ``put`` waits for room."""
CLOSE_SECONDS: Final = 10.0
YIELD_EVERY: Final = 100
"""Puts in a row that let nobody else run; then the loop gets a turn."""
HOOK_SECONDS: Final = 0.25
"""What a hook that is told of the last events has at least."""
LOG_EVERY: Final = 60.0
MAX_UNSTORED_BYTES: Final = 64 << 20
"""What may be on its way to the disk in memory."""
THREAD_GRACE: Final = 1.0
"""What another thread waits for the loop beyond the time that the event may wait for room."""


class OutboxOptions(NamedTuple):
    """How an outbox was asked to be; see :meth:`amplitude_async.AsyncAmplitude.outbox`."""

    path: str | os.PathLike[str] | None
    folder: str | os.PathLike[str] | None
    durability: Durability
    endpoint: Endpoint
    options: bytes | None
    compress: bool
    linger: float
    capacity: Capacity
    on_delivery: Callable[[Sequence[Receipt]], object] | None
    on_setback: Callable[[Setback], object] | None

    @property
    def is_durable(self) -> bool:
        """Whether events are kept on the disk."""
        return self.path is not None or self.folder is not None


class Outbox:
    """Background delivery. Made by :meth:`amplitude_async.AsyncAmplitude.outbox`; asyncio only.

    Use it as an async context manager, or call :meth:`open` and :meth:`aclose`. One in memory may also be used at once; it opens by
    itself. It belongs to the event loop and the process that opened it.
    """

    def __init__(self, caller: object, defaults: Defaults, options: OutboxOptions, *, now_ms: Callable[[], int] = real_now_ms) -> None:
        self._caller = cast("Caller", caller)
        self._defaults = defaults
        self._options = options
        self._most_events = options.endpoint.max_events
        self._now_ms = now_ms
        self._pid = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False
        self._closing: asyncio.Task[OutboxReport] | None = None
        self._opening: asyncio.Lock | None = None
        self._start_empty()

    def _start_empty(self) -> None:
        clock = self._caller.policy.backoff.clock
        options = self._options
        self._shelf: Shelf | None = None
        self._delivery_hook = Hook(options.on_delivery, clock)
        self._setback_hook = Hook(options.on_setback, clock)
        self._ledger = Ledger(options.capacity, is_durable=options.is_durable)
        self._courier = Courier(
            self._caller,
            self._ledger,
            self,
            endpoint=options.endpoint,
            options=options.options,
            compress=options.compress,
            linger=options.linger,
            setback=self._setback_hook,
        )
        self._enqueue: Callable[[Entry], None] = self._courier.queue.add
        if options.is_durable and options.capacity.overflow == "drop_oldest":
            self._enqueue = self._line_up
        self._room = Room(self._has_room)
        self._inbox: list[tuple[Receipt, ThreadFuture[Receipt], float]] = []
        self._inbox_lock = threading.Lock()
        self._since_yield = 0
        self._news: dict[str, int] = {}
        self._told_at = float("-inf")
        self._finalizer: weakref.finalize[..., Outbox] | None = None
        self._adopter: Adopter | None = None

    def __repr__(self) -> str:
        where = f" {os.fspath(self._options.path or self._options.folder or '')}" if self._options.is_durable else ""
        state = "closed" if self._is_closed else f"{self._ledger.pending} pending"
        return f"<Outbox{where} {state}>"

    # Opening

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    async def open(self) -> None:
        """Open the outbox; with a path, its file. Safe to call again.

        Raises:
            OutboxLocked: Another process, or another outbox here, has the file.
            OutboxStorageError: The file cannot be used.
            ConfigurationError: It is open on another event loop.
            OutboxClosed: It was closed.
        """
        if self._is_ready():
            return
        if not self._options.is_durable:
            self._begin()
            return
        self._caller.connection.bind()
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._loop is None:
                shelf, dead = await self._open_shelf()
                try:
                    self._refuse_if_closed()
                    self._begin()
                except BaseException:
                    await shelf.aclose(CLOSE_SECONDS / 10)
                    raise
                self._shelf = shelf
                shelf.start()
                if self._options.folder is not None:
                    from amplitude_async.delivery.adopting import Adopter  # noqa: PLC0415 - for folders alone

                    self._adopter = Adopter(shelf.store)
                    self._adopter.start(dead)

    async def _open_shelf(self) -> tuple[Shelf, Sequence[Path]]:
        """Open the file; return it, and the files of owners that are gone."""
        from amplitude_async.delivery.shelf import Shelf  # noqa: PLC0415 - SQLite is loaded where it is used
        from amplitude_async.delivery.slots import claim_slot  # noqa: PLC0415 - as above
        from amplitude_async.delivery.sqlite import SQLiteStore  # noqa: PLC0415 - as above

        options = self._options
        project = self._caller.fingerprint()
        path, lock = options.path, None
        dead: Sequence[Path] = ()
        if options.folder is not None:
            path, lock, dead = await claim_slot(options.folder)
        if path is None:
            message = "an outbox on disk needs a path or a folder"
            raise ConfigurationError(message)
        most = options.capacity.max_bytes
        store = await SQLiteStore.open(
            path, project=project, options=options.options, durability=options.durability, max_bytes=most, lock=lock
        )
        shelf = Shelf(
            store,
            self._ledger,
            enqueue=self._enqueue,
            accepted=self._stored,
            failed=self._not_stored,
            make=_entry_of,
            loaded=self._courier.nudge,
            held=self._courier.held,
            now_ms=self._now_ms,
        )
        return shelf, dead

    def _begin(self) -> None:
        """Bind to this loop."""
        self._caller.connection.bind()
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._caller.connection.before_closing.insert(0, self._close_with_client)
        where = os.fspath(self._options.path or self._options.folder or "")
        self._finalizer = weakref.finalize(self, _left_open, self._ledger, os.getpid(), str(where))

    def _is_ready(self) -> bool:
        """Say whether it is open, here.

        Raises:
            OutboxClosed: It was closed.
            ConfigurationError: It is open on another event loop, or there is none here.
            OutboxError: It was opened before a fork, and its file is the parent's.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is None:
            message = "The outbox works on asyncio's event loop, from its own thread; other threads call put_threadsafe()."
            raise ConfigurationError(message)
        if self._pid != os.getpid():
            self._forget_parent()
        if self._is_closed or self._closing is not None:
            message = "The outbox is closed; make a new one."
            raise OutboxClosed(message)
        if self._loop is not None and self._loop is not loop:
            message = "The outbox belongs to the event loop that opened it; make one for each event loop."
            raise ConfigurationError(message)
        return self._loop is not None

    def _forget_parent(self) -> None:
        """Start empty in a forked child: what the parent accepted is the parent's to deliver."""
        if self._options.is_durable and self._loop is not None:
            message = "The outbox was opened before the fork, and its file is the parent's; open one of your own, e.g. with folder=..."
            raise OutboxError(message)
        self._pid = os.getpid()
        if self._finalizer is not None:
            self._finalizer.detach()
        self._loop = self._closing = self._opening = None
        self._start_empty()

    def _refuse_if_closed(self) -> None:
        """Raise if it was closed while somebody waited.

        Raises:
            OutboxClosed: It was; what waited was not accepted.
        """
        if self._is_closed or self._closing is not None:
            message = "The outbox was closed meanwhile; what was not accepted by then is not."
            raise OutboxClosed(message)

    def _line_up(self, entry: Entry) -> None:
        """Let an event wait in the queue, and be the first to be dropped when it is the oldest there."""
        self._ledger.line_up(entry)
        self._courier.queue.add(entry)

    def _enter(self) -> None:
        """See that an event may be put here and now; opens an outbox in memory."""
        if self._is_ready():
            return
        if self._options.is_durable:
            message = "An outbox on disk is opened first: use 'async with', or await open()."
            raise OutboxError(message)
        self._begin()

    # Putting

    async def put(self, event: EventInput, *, timeout: float | None = PUT_SECONDS) -> Receipt:  # noqa: ASYNC109 - the wait for room
        """Hand over an event. Returns when it is accepted: with a path, when it is on the disk.

        Args:
            event: As for :meth:`amplitude_async.AsyncAmplitude.track`. It is encoded here and now; later changes change nothing.
            timeout: Seconds to wait for room.

        Returns:
            A receipt. Await it to learn what became of the event, or forget it.

        Raises:
            InvalidEventError: The event is refused here; nothing was accepted.
            OutboxFull: There was no room in time, or the policy refuses at once.
            OutboxStorageError: The disk refused; the event was not accepted.
            OutboxClosed: The outbox is closed.

        Cancelled before its commit, the event either never happened or is accepted, counted and delivered.
        """
        self._enter()
        return await self._put(self._packed(event, "event"), timeout)

    def put_nowait(self, event: EventInput) -> Receipt:
        """Hand over an event without waiting for anything; with a path, ``await receipt.stored()`` waits for the disk.

        Raises:
            InvalidEventError: The event is refused here; nothing was accepted.
            OutboxFull: There is no room.
            OutboxClosed: The outbox is closed.
        """
        try:
            is_here = asyncio.get_running_loop() is self._loop and self._closing is None and not self._is_closed
        except RuntimeError:
            is_here = False
        if not is_here:
            self._enter()
        receipt = self._packed(event, "event")
        if self._shelf is not None or self._room.is_wanted or not self._ledger.admit(receipt):
            return self._put_nowait(receipt)
        # The usual case, in as few steps as there are: it fits into memory.
        self._enqueue(receipt)
        courier = self._courier
        if courier.is_idle or courier.queue.events == self._most_events:
            courier.nudge()
        return receipt

    async def put_many(self, events: Iterable[EventInput], *, timeout: float | None = PUT_SECONDS) -> list[Receipt]:  # noqa: ASYNC109 - as above
        """Hand over a list of events; all are checked before any is accepted. With a path, returns when all are on the disk.

        Args:
            events: The events.
            timeout: Seconds that each waits for room.

        Raises:
            InvalidEventError: An event is refused here; nothing was accepted.
            OutboxFull: There was no room for some; ``insert_ids`` names those that were not accepted.
            OutboxStorageError: The disk refused some; ``insert_ids`` names them.
            OutboxClosed: The outbox is closed.
        """
        self._enter()
        receipts = [self._packed(item, f"events[{index}]") for index, item in enumerate(as_list(events, name="events"))]
        refused: list[Receipt] = []
        first: OutboxError | None = None
        for index, receipt in enumerate(receipts):
            try:
                await self._begin_put(receipt, timeout)
            except OutboxError as error:
                first, refused = error, receipts[index:]
                break
        for receipt in receipts[: len(receipts) - len(refused)]:
            try:
                await self._end_put(receipt)
            except OutboxError as error:
                first = first or error
                refused.append(receipt)
        if first is not None:
            first.insert_ids = tuple(receipt.insert_id for receipt in refused)
            raise first
        return receipts

    async def identify(self, identification: EventInput, *, timeout: float | None = PUT_SECONDS) -> Receipt:  # noqa: ASYNC109 - as above
        """Hand over changes to a user's properties; they travel as a ``$identify`` event, in order with the user's events.

        Args:
            identification: As for :meth:`amplitude_async.AsyncAmplitude.identify`.
            timeout: As for :meth:`put`.

        Raises:
            InvalidEventError: It is refused here.
            OutboxError: As for :meth:`put`.
        """
        self._enter()
        return await self._put(self._packed(_identify_event(identification), "identification"), timeout)

    def identify_nowait(self, identification: EventInput) -> Receipt:
        """Hand over changes to a user's properties without waiting; see :meth:`identify` and :meth:`put_nowait`."""
        self._enter()
        return self._put_nowait(self._packed(_identify_event(identification), "identification"))

    async def group_identify(self, identification: EventInput, *, timeout: float | None = PUT_SECONDS) -> Receipt:  # noqa: ASYNC109 - as above
        """Hand over changes to a group's properties; they travel as a ``$groupidentify`` event.

        Args:
            identification: ``group_type``, ``group_value``, ``group_properties``, and a ``user_id`` or ``device_id`` (or the
                client's): an event is always somebody's.
            timeout: As for :meth:`put`.

        Raises:
            InvalidEventError: It is refused here.
            OutboxError: As for :meth:`put`.
        """
        self._enter()
        return await self._put(self._packed(_group_event(identification), "identification"), timeout)

    def group_identify_nowait(self, identification: EventInput) -> Receipt:
        """Hand over changes to a group's properties without waiting; see :meth:`group_identify` and :meth:`put_nowait`."""
        self._enter()
        return self._put_nowait(self._packed(_group_event(identification), "identification"))

    def put_threadsafe(self, event: EventInput, *, timeout: float = PUT_SECONDS) -> Receipt:
        """Hand over an event from another thread: the one call that other threads may make. Blocks until the event is accepted.

        The receipt may be awaited on the outbox's own loop alone.

        Args:
            event: As for :meth:`put`.
            timeout: Seconds to wait for room.

        Raises:
            InvalidEventError: The event is refused here.
            OutboxFull: There was no room in time.
            OutboxStorageError: The disk refused.
            OutboxClosed: The outbox, or its event loop, is closed.
            ConfigurationError: It was called in the loop's own thread, which it would block for ever.
        """
        loop = self._loop
        if loop is None or self._pid != os.getpid():
            message = "The outbox is not open yet; open it on its event loop first."
            raise OutboxError(message)
        if threading.get_ident() == self._thread_id:
            message = "put_threadsafe() is for other threads; on the outbox's own event loop use put() or put_nowait()."
            raise ConfigurationError(message)
        receipt = self._packed(event, "event")
        future: ThreadFuture[Receipt] = ThreadFuture()
        with self._inbox_lock:
            is_first = not self._inbox
            self._inbox.append((receipt, future, timeout))
        try:
            if self._is_closed:
                message = "The outbox is closed; make a new one."
                raise OutboxClosed(message)
            if is_first:
                loop.call_soon_threadsafe(self._empty_inbox)
            return future.result(timeout + THREAD_GRACE)
        except ThreadTimeoutError:
            reason: OutboxError = OutboxFull(f"The outbox had no room for the event within {timeout:g} s; it was not accepted.")
            if not future.cancel():
                # There was room, and it is on its way to the disk: what put() waits for, too.
                return _until_stored(future, loop)
        except RuntimeError:
            reason = OutboxClosed("The outbox's event loop is closed.")
        raise reason

    def _empty_inbox(self) -> None:
        """Take on what other threads handed in."""
        with self._inbox_lock:
            waiting, self._inbox = self._inbox, []
        for receipt, future, timeout in waiting:
            if not future.set_running_or_notify_cancel():
                continue
            if self._is_closed or self._closing is not None:
                future.set_exception(OutboxClosed("The outbox is closed; make a new one."))
            elif self._shelf is None and not self._room.is_wanted and self._has_room(receipt.size):
                self._take_on(receipt)
                future.set_result(receipt)
            else:
                task = asyncio.get_running_loop().create_task(self._put(receipt, timeout))
                task.add_done_callback(lambda done, future=future: _copy(done, future))  # type: ignore[misc]  # bound now

    def _packed(self, item: EventInput, path: str) -> Receipt:
        if type(item) is not dict and not hasattr(item, "items"):
            message = f"give one mapping, not {type(item).__name__}"
            raise InvalidEventError(message, path=path, argument=path)
        body, insert_id, identity = encode_event(item, path, self._defaults, stamp)
        return Receipt(body, identity, insert_id, self._now_ms(), len(body) + 1)

    def _has_room(self, size: int) -> bool:
        shelf = self._shelf
        return self._ledger.has_room(size) and (shelf is None or shelf.unstored_bytes < MAX_UNSTORED_BYTES)

    async def _put(self, receipt: Receipt, timeout: float | None) -> Receipt:  # noqa: ASYNC109 - as in put
        await self._begin_put(receipt, timeout)
        await self._end_put(receipt)
        return receipt

    async def _begin_put(self, receipt: Receipt, timeout: float | None) -> None:  # noqa: ASYNC109 - as in put
        """Find room, and accept the event or send it to the disk."""
        self._refuse_if_closed()
        if self._room.is_wanted or not self._has_room(receipt.size):
            if self._ledger.capacity.overflow != "block":
                self._put_nowait(receipt)
                return
            try:
                await self._room.wait(receipt.size, timeout)
            except OutboxFull:
                self._ledger.refuse()
                raise
            self._refuse_if_closed()
        if self._shelf is None:
            self._take_on(receipt)
        else:
            # Held back until it is on the disk: nothing is sent that was not accepted.
            receipt.is_paused = True
            self._ledger.reserve(receipt)
            try:
                self._shelf.append(receipt)
            except OutboxError:
                self._ledger.release(receipt)
                raise
        self._since_yield += 1
        if self._since_yield >= YIELD_EVERY:
            self._since_yield = 0
            if self._shelf is None:
                await asyncio.sleep(0)

    async def _end_put(self, receipt: Receipt) -> None:
        """Wait until the event is on the disk, if that is where it goes."""
        if self._shelf is not None and receipt.settlement is None:
            await receipt.stored()

    def _put_nowait(self, receipt: Receipt) -> Receipt:
        if self._room.is_wanted or not self._has_room(receipt.size):
            self._overflow(receipt)
            if receipt.settlement is not None:
                return receipt
        self._take_on(receipt)
        return receipt

    def _overflow(self, receipt: Receipt) -> None:
        """Apply the policy to an event for which there is no room: return with room made, or the event dropped, or refuse it."""
        overflow = self._ledger.capacity.overflow
        if overflow == "drop_newest":
            self._ledger.accept(receipt)
            self._ledger.settle((receipt,), Settlement("dropped", OVERFLOW))
            self._after_settling((receipt,))
            return
        if overflow == "drop_oldest":
            dropped = self._ledger.make_room(receipt.size)
            for entry in dropped:
                self._courier.queue.withdraw(entry)
            self._after_settling(dropped)
            if self._has_room(receipt.size):
                return
        self._ledger.refuse()
        message = "The outbox is full; the event was not accepted."
        raise OutboxFull(message)

    def _take_on(self, receipt: Receipt) -> None:
        self._ledger.accept(receipt)
        if self._shelf is None:
            self._enqueue(receipt)
        else:
            self._shelf.append(receipt)
        courier = self._courier
        if courier.is_idle or courier.queue.events == self._most_events:
            courier.nudge()

    # What the shelf tells

    def _stored(self, entry: Entry) -> None:
        if entry.is_paused:
            self._ledger.accept_reserved()
            if entry.disk is not None and entry.disk.is_queued:
                self._courier.queue.resume(entry)
                if self._courier.is_idle:
                    self._courier.nudge()
            entry.is_paused = False

    def _not_stored(self, entries: Sequence[Entry], error: AmplitudeError) -> None:
        for entry in entries:
            if entry.is_paused:
                # It was never accepted.
                self._ledger.release(entry)
                entry.is_paused = False
                if entry.disk is not None and entry.disk.is_queued:
                    self._courier.queue.withdraw(entry)
                else:
                    entry.is_withdrawn = True
        self._setback_hook(Setback("storage", error, 0.0, self._ledger.pending))
        self._room.give()

    # What the courier tells

    def delivered(self, entries: Sequence[Entry]) -> None:
        """Amplitude has them."""
        entries = _open(entries)
        self._ledger.settle(entries)
        self._after_settling(entries)

    def rejected(self, pairs: Sequence[tuple[Entry, str]]) -> None:
        """Amplitude named them as bad."""
        for entry, reason in pairs:
            if entry.settlement is None:
                self._ledger.settle((entry,), Settlement("rejected", reason))
        self._after_settling([entry for entry, _ in pairs])
        self._tell("rejected", len(pairs))

    def set_aside(self, entries: Sequence[Entry], reason: str) -> None:
        """They are kept, but not sent again."""
        entries = _open(entries)
        now = self._now_ms()
        for entry in entries:
            self._ledger.set_aside(entry, reason, now)
        if self._shelf is not None:
            stored = [entry.disk.row_id for entry in entries if entry.disk is not None and entry.disk.row_id]
            if stored:
                self._shelf.store.set_aside(stored, reason, now)
        self._after_settling(entries, is_aside=True)
        self._tell("set aside", len(entries))

    def unknown(self, entries: Sequence[Entry]) -> None:
        """They were sent without a trustworthy answer."""
        now = self._now_ms()
        new = self._ledger.note_unknown(entries, now)
        if self._shelf is not None:
            rows = [entry.disk.row_id for entry in new if entry.disk is not None and entry.disk.row_id]
            if rows:
                self._shelf.store.note_unknown(rows, now)

    def needs_more(self) -> None:
        """The queue runs dry."""
        if self._shelf is not None:
            self._shelf.needs_more()

    def now_ms(self) -> int:
        """Return the time in milliseconds since the epoch."""
        return self._now_ms()

    def _after_settling(self, entries: Sequence[Entry], *, is_aside: bool = False) -> None:
        shelf = self._shelf
        if shelf is not None:
            rows = shelf.settled(entries)
            if rows and not is_aside:
                shelf.store.settle(rows)
            shelf.needs_more()
        for entry in entries:
            if entry.waiters is not None or shelf is not None:
                entry.wake()
            if not is_aside or shelf is not None:
                # A receipt may be held for long; the bytes need not.
                entry.body = b""
        if self._room.is_wanted:
            self._room.give()
        if entries and self._delivery_hook.is_set:
            self._delivery_hook(entries)

    def _tell(self, what: str, count: int) -> None:
        """Say in the log, once a minute, how many events came to no good end; never which."""
        self._news[what] = self._news.get(what, 0) + count
        now = self._caller.policy.backoff.clock()
        if now - self._told_at >= LOG_EVERY:
            self._told_at = now
            told = ", ".join(f"{number} events were {word}" for word, number in self._news.items())
            self._news.clear()
            _LOG.warning("%s; stats().reasons says why", told)

    # Figures, and waiting for the end

    def stats(self) -> OutboxStats:
        """Return the figures of this moment; ``accepted = delivered + rejected + set_aside + dropped + pending``."""
        ledger, courier = self._ledger, self._courier
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

    async def flush(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - the limit is the question
        """Wait until everything accepted before this call is settled; :meth:`stats` says how.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            ``True`` if all of it is settled, ``False`` if some of it is still pending.

        Raises:
            OutboxClosed: The outbox is closed.
        """
        if not self._is_ready():
            return True
        return await self._flush(timeout)

    async def _flush(self, timeout: float | None) -> bool:  # noqa: ASYNC109 - as above
        loop = asyncio.get_running_loop()
        reached: asyncio.Future[None] = loop.create_future()
        mark = self._ledger.mark(lambda: None if reached.done() else reached.set_result(None))
        if mark is None:
            return True
        self._courier.flushing += 1
        self._courier.nudge()
        try:
            with anyio.move_on_after(timeout):
                await reached
        finally:
            self._courier.flushing -= 1
            self._ledger.unmark(mark)
        return reached.done() and not reached.cancelled()

    async def aclose(self, *, timeout: float = CLOSE_SECONDS) -> OutboxReport:  # noqa: ASYNC109 - the limit of the last flush
        """Take nothing more, deliver what can be delivered in time, and say what became of everything. Safe to call again.

        Works while being cancelled, too: then it ends as it would have, and the cancellation goes on.

        Args:
            timeout: Seconds for the last deliveries.

        Returns:
            How many events were delivered, rejected, set aside, dropped and kept on the disk.
        """
        if self._pid != os.getpid():
            self._pid, self._loop, self._is_closed = os.getpid(), None, True
            return OutboxReport(0, 0, 0, 0, 0)
        if self._loop is None:
            self._is_closed = True
        if self._is_closed or self._loop is not asyncio.get_running_loop():
            return self._report()
        if self._closing is None:
            self._closing = self._loop.create_task(self._close(timeout))
        cancelled: asyncio.CancelledError | None = None
        while not self._closing.done():
            try:
                await asyncio.shield(self._closing)
            except asyncio.CancelledError as error:
                if self._closing.cancelled():
                    raise
                cancelled = error
        if cancelled is not None:
            raise cancelled
        return self._closing.result()

    async def _close_with_client(self, seconds: float) -> None:
        await self.aclose(timeout=seconds)

    async def _close(self, timeout: float) -> OutboxReport:  # noqa: ASYNC109 - as in aclose
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        self._room.close()
        self._empty_inbox()
        if self._adopter is not None:
            await self._adopter.stop()
        await self._flush(timeout)
        await self._courier.stop(0.0)
        airborne = self._courier.airborne()
        if self._shelf is not None:
            self.unknown(airborne)
            await self._shelf.aclose(max(end - loop.time(), CLOSE_SECONDS / 10))
        waiting = [*airborne, *self._courier.queue.waiting(), *(self._shelf.unstored() if self._shelf is not None else ())]
        # What is paused is not accepted yet.
        waiting = [entry for entry in dict.fromkeys(waiting) if entry.settlement is None and not entry.is_paused]
        lost = [entry for entry in waiting if entry.disk is None or not entry.disk.row_id]
        self._is_closed = True
        if lost:
            self._ledger.settle(lost, Settlement("dropped", CLOSED))
            for entry in lost:
                entry.wake()
                entry.body = b""
            self._delivery_hook(lost)
            _LOG.warning("the outbox was closed with %d events that could not be delivered; they are dropped", len(lost))
        kept = [entry for entry in waiting if entry.settlement is None]
        for disk in (*(entry.disk for entry in kept), *(self._shelf.held() if self._shelf is not None else ())):
            if disk is not None:
                disk.end()
        for hook in (self._delivery_hook, self._setback_hook):
            await hook.aclose(max(end - loop.time(), HOOK_SECONDS))
        with contextlib.suppress(ValueError):
            self._caller.connection.before_closing.remove(self._close_with_client)
        if self._finalizer is not None:
            self._finalizer.detach()
        return self._report()

    def _report(self) -> OutboxReport:
        counts = self._ledger.counts
        return OutboxReport(**counts, kept=self._ledger.pending)

    # What was set aside

    async def list_set_aside(self, after_id: int = 0, limit: int = 100) -> list[SetAside]:
        """Return set-aside events, oldest first.

        Args:
            after_id: Begin after the event with this ``id``.
            limit: How many at most.

        Raises:
            OutboxClosed: The outbox is closed.
            OutboxStorageError: The file cannot be read.
        """
        self._is_ready()
        if self._shelf is not None:
            return await self._shelf.store.list_set_aside(after_id, limit)
        from amplitude_async.delivery.rows import SetAside  # noqa: PLC0415 - few ask

        found = sorted((pair for pair in self._ledger.aside if pair[0].serial > after_id), key=lambda pair: pair[0].serial)
        return [
            SetAside(
                entry.serial,
                entry.identity,
                "event",
                entry.insert_id,
                entry.accepted_ms,
                entry.first_unknown_ms,
                entry.body,
                since,
                "" if entry.settlement is None else entry.settlement.reason,
            )
            for entry, since in found[:limit]
        ]

    async def export_set_aside(self) -> AsyncIterator[bytes]:
        """Give set-aside events as NDJSON, a line at a time: ``id``, ``insert_id``, ``reason``, times, and the ``event`` as it was.

        Raises:
            OutboxClosed: The outbox is closed.
            OutboxStorageError: The file cannot be read.
        """
        from amplitude_async.delivery.rows import ndjson_line  # noqa: PLC0415 - few ask

        after = 0
        while page := await self.list_set_aside(after):
            for event in page:
                yield ndjson_line(event)
            after = page[-1].id

    async def retry_set_aside(self, ids: Sequence[int] | None = None) -> int:
        """Send set-aside events again: all, or those with these ids. They go behind what waits; receipts of theirs stay settled.

        Returns:
            How many are pending again.

        Raises:
            OutboxClosed: The outbox is closed.
            OutboxStorageError: The file cannot be written.
        """
        self._is_ready()
        if self._shelf is not None:
            return await self._shelf.store.retry_set_aside(ids)
        taken = self._ledger.take_aside(ids)
        for old in taken:
            entry = Receipt(old.body, old.identity, old.insert_id, self._now_ms(), old.size)
            entry.first_unknown_ms = old.first_unknown_ms
            self._ledger.revive(entry)
            self._enqueue(entry)
        self._courier.nudge()
        return len(taken)

    async def purge_set_aside(self, ids: Sequence[int] | None = None) -> int:
        """Delete set-aside events: all, or those with these ids. They stay counted as set aside.

        Returns:
            How many were deleted.

        Raises:
            OutboxClosed: The outbox is closed.
            OutboxStorageError: The file cannot be written.
        """
        self._is_ready()
        if self._shelf is not None:
            return await self._shelf.store.purge_set_aside(ids)
        return len(self._ledger.take_aside(ids))


def _open(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Return the entries that are not settled yet; usually all of them."""
    if any(entry.settlement is not None for entry in entries):
        return [entry for entry in entries if entry.settlement is None]
    return entries


def _entry_of(row: Row) -> Receipt:
    return Receipt(row.body, row.identity, row.insert_id, row.accepted_ms, len(row.body) + 1)


def _copy(done: asyncio.Task[Receipt], future: ThreadFuture[Receipt]) -> None:
    if done.cancelled():
        future.set_exception(OutboxClosed("The outbox was closed; the event was not accepted."))
    elif (error := done.exception()) is not None:
        future.set_exception(error)
    else:
        future.set_result(done.result())


def _until_stored(future: ThreadFuture[Receipt], loop: asyncio.AbstractEventLoop) -> Receipt:
    """Wait, in another thread, for the end of a put that has begun, as long as there is somebody to end it."""
    while not loop.is_closed():
        with contextlib.suppress(ThreadTimeoutError):
            return future.result(THREAD_GRACE)
    message = "The outbox's event loop was closed before the disk answered; if the event was stored, it is sent at the next start."
    raise OutboxClosed(message, outcome="unknown")


def _identify_event(item: Mapping[str, Any]) -> dict[str, Any]:
    if not hasattr(item, "items"):
        message = f"give one mapping, not {type(item).__name__}"
        raise InvalidEventError(message, path="identification", argument="identification")
    return {**item, "event_type": "$identify"}


def _group_event(item: Mapping[str, Any]) -> dict[str, Any]:
    event = _identify_event(item)
    for name in ("group_type", "group_value"):
        if event.get(name) is None or event.get(name) == "":
            message = f"{name} is missing"
            raise InvalidEventError(message, path=f"identification.{name}", argument="identification")
    groups = {str(event.pop("group_type")): event.pop("group_value")}
    return {**event, "event_type": "$groupidentify", "groups": groups}


def _left_open(ledger: Ledger, pid: int, where: str) -> None:
    """Say how many events are lost, or kept, by an outbox that nobody closed; when it, or the interpreter, is gone."""
    if not ledger.pending or pid != os.getpid():
        return
    if where:
        _LOG.warning("the outbox %s was not closed; its %d pending events are kept and sent at the next start", where, ledger.pending)
    else:
        _LOG.warning("an outbox in memory was not closed; its %d pending events are lost", ledger.pending)
