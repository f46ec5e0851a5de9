"""The outbox: events are handed over here and delivered in the background. asyncio only.

This is what users hold: it opens and closes, belongs to one event loop and one process, and encodes what it is given. What becomes of
it then is the clerk's (:mod:`amplitude_async.delivery.clerk`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import weakref
from asyncio import get_running_loop
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, cast

from amplitude_async._io.chance import new_insert_id, stamp
from amplitude_async._io.chance import now_ms as real_now_ms
from amplitude_async.delivery.clerk import DISK_SECONDS, Clerk
from amplitude_async.delivery.ledger import BEFORE_SEND, Settlement
from amplitude_async.delivery.receipts import OutboxReport, OutboxStats, Receipt
from amplitude_async.delivery.threads import ThreadDoor
from amplitude_async.errors import ConfigurationError, InvalidEventError, OutboxClosed, OutboxError
from amplitude_async.events import as_list
from amplitude_async.resources.ingestion import encode_event, encode_let_through

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from amplitude_async._io.caller import Caller
    from amplitude_async._io.observing import OutboxFigures
    from amplitude_async.delivery.adopting import Adopter
    from amplitude_async.delivery.choosing import OutboxOptions
    from amplitude_async.delivery.ledger import Ledger
    from amplitude_async.delivery.rows import SetAside
    from amplitude_async.delivery.shelf import Shelf
    from amplitude_async.events import Defaults, EventInput

__all__ = ["Outbox"]

_LOG: Final = logging.getLogger("amplitude_async.outbox")

PUT_SECONDS: Final = 5.0
"""How long ``put`` waits for room."""
CLOSE_SECONDS: Final = 10.0


class Outbox:
    """Background delivery. Made by :meth:`amplitude_async.AsyncAmplitude.outbox`; asyncio only.

    Use it as an async context manager, or call :meth:`open` and :meth:`aclose`. One in memory may also be used at once; it opens by
    itself. It belongs to the event loop and the process that opened it.
    """

    def __init__(self, caller: object, defaults: Defaults, options: OutboxOptions, *, now_ms: Callable[[], int] = real_now_ms) -> None:
        self._caller = cast("Caller", caller)
        self._connection = self._caller.connection
        self._sieve = options.before_send
        self._defaults = defaults
        self._options = options
        self._most_events = options.endpoint.max_events
        self._now_ms = now_ms
        self._stamp: Callable[[], tuple[str, int]] = stamp if now_ms is real_now_ms else lambda: (new_insert_id(), now_ms())
        self._pid = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Task[OutboxReport] | None = None
        self._opening: asyncio.Lock | None = None
        self._start_empty()

    def _start_empty(self) -> None:
        self._clerk = Clerk(self._caller, self._options, self._now_ms)
        self._figures = partial(_figures_of, weakref.ref(self._clerk))
        # What every put_nowait() looks at.
        self._ledger = self._clerk.ledger
        self._room = self._clerk.room
        self._courier = self._clerk.courier
        self._enqueue = self._clerk.enqueue
        self._shelf: Shelf | None = None
        self._door: ThreadDoor | None = None
        self._finalizer: weakref.finalize[..., Outbox] | None = None
        self._adopter: Adopter | None = None

    def __repr__(self) -> str:
        where = f" {os.fspath(self._options.path or self._options.folder or '')}" if self._options.is_durable else ""
        state = "closed" if self._clerk.is_closed else f"{self._ledger.pending} pending"
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
                    self._clerk.refuse_if_closed()
                    self._begin()
                except BaseException:
                    await shelf.aclose(DISK_SECONDS)
                    raise
                self._shelf = self._clerk.shelf = shelf
                shelf.start()
                if self._options.folder is not None:
                    from amplitude_async.delivery.adopting import Adopter  # noqa: PLC0415 - for folders alone

                    self._adopter = Adopter(shelf.store)
                    self._adopter.start(dead)

    async def _open_shelf(self) -> tuple[Shelf, Sequence[Path]]:
        """Open the file; return it, and the files of owners that are gone."""
        from amplitude_async.delivery.slots import claim_slot  # noqa: PLC0415 - SQLite is loaded where it is used
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
        return self._clerk.make_shelf(store), dead

    def _begin(self) -> None:
        """Bind to this loop."""
        self._caller.connection.bind()
        self._loop = get_running_loop()
        self._door = ThreadDoor(self._clerk, self._loop)
        self._caller.connection.before_closing.insert(0, self._close_with_client)
        where = os.fspath(self._options.path or self._options.folder or "")
        self._finalizer = weakref.finalize(self, _left_open, self._ledger, os.getpid(), str(where))
        if self._connection.observer is not None:
            name = os.path.basename(os.fspath(self._options.path or self._options.folder or "memory"))  # noqa: PTH119 - of a text
            self._connection.observer.outbox_opened(str(name), self._figures)

    def _is_here(self) -> bool:
        """Say, quickly, whether it is open here; what else there is to say, :meth:`_is_ready` says."""
        try:
            return get_running_loop() is self._loop and not self._clerk.is_closed
        except RuntimeError:
            return False

    def _is_ready(self) -> bool:
        """Say whether it is open, here.

        Raises:
            OutboxClosed: It was closed.
            ConfigurationError: It is open on another event loop, or there is none here.
            OutboxError: It was opened before a fork, and its file is the parent's.
        """
        try:
            loop = get_running_loop()
        except RuntimeError:
            loop = None
        if loop is None:
            message = "The outbox works on asyncio's event loop, from its own thread; other threads call put_threadsafe()."
            raise ConfigurationError(message)
        if self._pid != os.getpid():
            self._forget_parent()
        if self._clerk.is_closed:
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
        was_closed = self._clerk.is_closed
        self._start_empty()
        self._clerk.is_closed = was_closed

    def _enter(self) -> None:
        """See that an event may be put here and now; opens an outbox in memory."""
        if self._is_here() or self._is_ready():
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
        if not self._is_here():
            self._enter()
        return await self._clerk.put(self._packed(event, "event"), timeout)

    def put_nowait(self, event: EventInput) -> Receipt:
        """Hand over an event without waiting for anything; with a path, ``await receipt.stored()`` waits for the disk.

        Raises:
            InvalidEventError: The event is refused here; nothing was accepted.
            OutboxFull: There is no room.
            OutboxClosed: The outbox is closed.
        """
        if not self._is_here():
            self._enter()
        receipt = self._packed(event, "event")
        if receipt.settlement is not None or self._shelf is not None or self._room.is_wanted or not self._ledger.admit(receipt):
            return self._clerk.put_nowait(receipt)
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
                await self._clerk.begin_put(receipt, timeout)
            except OutboxError as error:
                first, refused = error, receipts[index:]
                break
        for receipt in receipts[: len(receipts) - len(refused)]:
            try:
                await self._clerk.end_put(receipt)
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
        return await self._clerk.put(self._packed(_identify_event(identification), "identification"), timeout)

    def identify_nowait(self, identification: EventInput) -> Receipt:
        """Hand over changes to a user's properties without waiting; see :meth:`identify` and :meth:`put_nowait`."""
        self._enter()
        return self._clerk.put_nowait(self._packed(_identify_event(identification), "identification"))

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
        return await self._clerk.put(self._packed(_group_event(identification), "identification"), timeout)

    def group_identify_nowait(self, identification: EventInput) -> Receipt:
        """Hand over changes to a group's properties without waiting; see :meth:`group_identify` and :meth:`put_nowait`."""
        self._enter()
        return self._clerk.put_nowait(self._packed(_group_event(identification), "identification"))

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
        door = self._door
        if door is None or self._pid != os.getpid():
            message = "The outbox is not open yet; open it on its event loop first."
            raise OutboxError(message)
        door.check()
        return door.put(self._packed(event, "event"), timeout)

    def _packed(self, item: EventInput, path: str) -> Receipt:
        if type(item) is not dict and not hasattr(item, "items"):
            message = f"give one mapping, not {type(item).__name__}"
            raise InvalidEventError(message, path=path, argument=path)
        new_id, now_ms = self._stamp()
        if self._sieve is None:
            body, insert_id, identity = encode_event(item, path, self._defaults, new_id, now_ms)
        else:
            passed = self._sieve.let_through(item, path, self._defaults)
            if passed is None:
                # Settled before it is in the books, which only the event loop's own thread may touch.
                left_out = Receipt(b"", "", str(item.get("insert_id") or ""), now_ms, 0)
                left_out.settlement = Settlement("dropped", BEFORE_SEND)
                return left_out
            body, insert_id, identity = encode_let_through(passed, path, new_id, now_ms)
        receipt = Receipt(body, identity, insert_id, now_ms, len(body) + 1)
        if self._connection.observer is not None:
            receipt.cause = self._connection.observer.cause()
        return receipt

    # Figures, and waiting for the end

    def stats(self) -> OutboxStats:
        """Return the figures of this moment; ``accepted = delivered + rejected + set_aside + dropped + pending``."""
        return self._clerk.stats()

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
        return await self._clerk.flush(timeout)

    async def aclose(self, *, timeout: float = CLOSE_SECONDS) -> OutboxReport:  # noqa: ASYNC109 - the limit of the last flush
        """Take nothing more, deliver what can be delivered in time, and say what became of everything. Safe to call again.

        Works while being cancelled, too: then it ends as it would have, and the cancellation goes on.

        Args:
            timeout: Seconds for the last deliveries.

        Returns:
            How many events were delivered, rejected, set aside, dropped and kept on the disk.
        """
        if self._pid != os.getpid():
            self._pid, self._loop, self._clerk.is_closed = os.getpid(), None, True
            return OutboxReport(0, 0, 0, 0, 0)
        if self._loop is None:
            self._clerk.is_closed = True
        if self._loop is not get_running_loop():
            return self._clerk.report()
        if self._closing is None:
            self._clerk.is_closed = True
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

    async def _close(self, seconds: float) -> OutboxReport:
        self._room.close()
        if self._door is not None:
            self._door.empty()
        if self._adopter is not None:
            await self._adopter.stop()
        await self._clerk.aclose(seconds)
        with contextlib.suppress(ValueError):
            self._caller.connection.before_closing.remove(self._close_with_client)
        if self._finalizer is not None:
            self._finalizer.detach()
        if self._connection.observer is not None:
            self._connection.observer.outbox_closed(self._figures)
        return self._clerk.report()

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
        from amplitude_async.delivery.aside import list_aside  # noqa: PLC0415 - few ask

        return await list_aside(self._clerk, after_id, limit)

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
        from amplitude_async.delivery.aside import retry_aside  # noqa: PLC0415 - few ask

        return await retry_aside(self._clerk, ids)

    async def purge_set_aside(self, ids: Sequence[int] | None = None) -> int:
        """Delete set-aside events: all, or those with these ids. They stay counted as set aside.

        Returns:
            How many were deleted.

        Raises:
            OutboxClosed: The outbox is closed.
            OutboxStorageError: The file cannot be written.
        """
        self._is_ready()
        from amplitude_async.delivery.aside import purge_aside  # noqa: PLC0415 - few ask

        return await purge_aside(self._clerk, ids)


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


def _figures_of(reference: weakref.ref[Clerk]) -> OutboxFigures | None:
    """Return the figures of an outbox; ``None`` when it is gone."""
    clerk = reference()
    return None if clerk is None else clerk.figures()


def _left_open(ledger: Ledger, pid: int, where: str) -> None:
    """Say how many events are lost, or kept, by an outbox that nobody closed; when it, or the interpreter, is gone."""
    if not ledger.pending or pid != os.getpid():
        return
    if where:
        _LOG.warning("the outbox %s was not closed; its %d pending events are kept and sent at the next start", where, ledger.pending)
    else:
        _LOG.warning("an outbox in memory was not closed; its %d pending events are lost", ledger.pending)
