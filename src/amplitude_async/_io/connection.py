"""What all views of one client share: the transport, the slots, the quotas, the owned tasks, and whether it is closed."""

from __future__ import annotations

import asyncio
import os
import time
import warnings
from typing import TYPE_CHECKING, Final, NamedTuple

import anyio

from amplitude_async._io.tasks import OwnedTasks, on_trio
from amplitude_async._protocol.masking import secret_forms
from amplitude_async._protocol.verdict import Doubts, RetryBudget
from amplitude_async.errors import ClosedError, ConfigurationError
from amplitude_async.options import DEFAULT_MAX_CONNECTIONS, FOREIGN_MAX_CONNECTIONS

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping

    from amplitude_async._io.gate import Gate
    from amplitude_async._io.observing import Observer
    from amplitude_async._io.sharing import Sharing
    from amplitude_async._io.streams import Opening, Stream
    from amplitude_async._io.transport.door import Transport
    from amplitude_async._io.transport.wire import HttpClient
    from amplitude_async._protocol.budget import Quota, QuotaName
    from amplitude_async._protocol.hosts import Api, Endpoint
    from amplitude_async.options import Backoff, Secret

__all__ = ["CLOSE_SECONDS", "Connection", "Settings", "Slots"]

CLOSE_SECONDS: Final = 10.0
"""How long closing waits for requests in flight, by default."""


class Settings(NamedTuple):
    """What a connection is made of; fixed for its life."""

    endpoints: Mapping[Api, Endpoint | None]
    credentials: Mapping[str, Secret | None]
    transport: str
    http_client: HttpClient | None
    max_connections: int | None
    trust_env: bool
    tls: ssl.SSLContext | None
    quotas: Mapping[QuotaName, Quota] | None = None


class Slots:
    """How many requests may be in flight at once: as many as there are connections."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._semaphore = anyio.Semaphore(total, max_value=total, fast_acquire=True)

    @property
    def free(self) -> int:
        """How many could be taken now."""
        return self._semaphore.value

    async def take(self, seconds: float) -> bool:
        """Wait for a slot, at most so long; say whether it was got."""
        try:
            self._semaphore.acquire_nowait()
        except anyio.WouldBlock:
            with anyio.move_on_after(seconds):
                await self._semaphore.acquire()
                return True
            return False
        return True

    def give_back(self) -> None:
        """Free a slot, from any task."""
        self._semaphore.release()


class Connection:
    """What all views of one client share: the transport, the slots, the owned tasks, and whether it is closed.

    It belongs to the event loop and the process of its first use, and does no I/O before.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tasks = OwnedTasks()
        self.slots: Slots | None = None
        self.is_closed = False
        self._transport: Transport | None = None
        self._streams: set[Stream] = set()
        self.openings: set[Opening] = set()
        self._pauses: set[anyio.CancelScope] = set()
        self.doubts = Doubts()
        self.budget = RetryBudget()
        self.sharing: Sharing | None = None
        self._gate: Gate | None = None
        self.observer: Observer | None = None
        self.before_closing: list[Callable[[float], Awaitable[object]]] = []
        """What else ends with the connection, and first: outboxes, shared requests."""
        self._home: object = None
        self._pid = os.getpid()
        self._shut: anyio.Event | None = None

    def secrets(self) -> tuple[str, ...]:
        """Return every spelling of every credential, for masking; made anew each time, so that no object holds them."""
        return secret_forms([secret.reveal() for secret in self.settings.credentials.values() if secret is not None])

    def check_open(self) -> None:
        """Refuse a use after closing.

        Raises:
            ClosedError: The client is closed.
        """
        if self.is_closed:
            message = "The client is closed; make a new one."
            raise ClosedError(message)

    def bind(self, *, may_be_closing: bool = False) -> None:
        """Bind to this event loop and process, or see that it is the one already bound to.

        Args:
            may_be_closing: What was accepted before closing may still be sent.

        Raises:
            ClosedError: The client is closed.
            ConfigurationError: It is used on a second event loop.
        """
        if self.is_closed and not may_be_closing:
            self.check_open()
        if self._pid != os.getpid():
            self._forget()
        home = _event_loop()
        if self._home is None:
            self._home = home
        elif self._home is not home:
            message = "The client belongs to the event loop of its first use; make one client for each event loop."
            raise ConfigurationError(message)

    def enter(self, *, may_be_closing: bool = False) -> tuple[Transport, Slots]:
        """Return the transport and the slots, made on first use.

        Args:
            may_be_closing: As for :meth:`bind`.

        Raises:
            ClosedError: The client is closed.
            ConfigurationError: It is used on a second event loop, or an extra is missing.
        """
        self.bind(may_be_closing=may_be_closing)
        if self._transport is None or self.slots is None:
            chosen = self.settings
            size = chosen.max_connections
            if size is None:
                size = DEFAULT_MAX_CONNECTIONS if chosen.http_client is None else FOREIGN_MAX_CONNECTIONS
            from amplitude_async._io.transport.door import Transport  # noqa: PLC0415 - loaded with the HTTP library, at first use

            self._transport = Transport(
                kind=chosen.transport,
                client=chosen.http_client,
                size=size,
                trust_env=chosen.trust_env,
                tls=chosen.tls,
                secrets=self.secrets,
            )
            self.slots = Slots(size)
        return self._transport, self.slots

    def gate(self, backoff: Backoff) -> Gate:
        """Return the keeper of Amplitude's quotas, made on first use."""
        if self._gate is None:
            from amplitude_async._io.gate import Gate  # noqa: PLC0415 - who only uploads needs none

            self._gate = Gate(self.settings.quotas, steady=backoff.clock, epoch=time.time, sleep=backoff.sleep)
        return self._gate

    def is_home(self) -> bool:
        """Say whether this is the process and the running event loop of its first use."""
        try:
            return self._pid == os.getpid() and self._home is not None and self._home is _event_loop()
        except RuntimeError:
            return False

    def _forget(self) -> None:
        """Start empty in a forked child: the parent's sockets and tasks are the parent's."""
        self._pid = os.getpid()
        self._home = self._transport = self.slots = self._shut = None
        self.tasks = OwnedTasks()
        self._streams = set()
        self.before_closing = []
        self.sharing = self._gate = None
        self.openings = set()
        self._pauses = set()

    async def pause(self, sleeping: Awaitable[None]) -> None:
        """Wait for something that is no request: for the next attempt, or the next look at a job. It ends with the client.

        Raises:
            ClosedError: The client is closed, or was meanwhile.
        """
        with anyio.CancelScope() as scope:
            self._pauses.add(scope)
            try:
                await sleeping
            finally:
                self._pauses.discard(scope)
        if scope.cancelled_caught:
            self.check_open()

    def keep(self, stream: Stream) -> None:
        """Remember a stream, so that closing the client closes it."""
        self._streams.add(stream)

    def drop(self, stream: Stream) -> None:
        """Forget a stream that was closed."""
        self._streams.discard(stream)

    async def aclose(self, seconds: float) -> None:
        """Refuse new calls, let those in flight end (at most so long), then close every connection. Safe to call again."""
        is_first = not self.is_closed
        self.is_closed = True
        if self._home is None or self._pid != os.getpid() or self._home is not _event_loop():
            return
        if not is_first:
            if self._shut is not None:
                await self._shut.wait()
            return
        self._shut = anyio.Event()
        if self._gate is not None:
            self._gate.close()
        for scope in tuple(self._pauses):
            scope.cancel()
        left_open: list[str] = []
        try:
            # A cancelled caller must not leave sockets behind; both steps are bounded.
            with anyio.CancelScope(shield=True):
                for end in tuple(self.before_closing):
                    await end(seconds)
                transport = self._transport
                for opening in tuple(self.openings):
                    opening.give_up()
                for stream in tuple(self._streams):
                    left_open.append(f"{stream!r} was left open; use 'async with' or aclose()")
                    await stream.aclose()
                if not await self.tasks.join(seconds) and transport is not None:
                    # Their sockets go, and they end by the error that this gives them.
                    await transport.aclose()
                    await self.tasks.join(CLOSE_SECONDS)
                if transport is not None:
                    await transport.aclose()
        finally:
            self._shut.set()
        # Last, since a warning may be an error.
        for text in left_open:
            warnings.warn(text, ResourceWarning, stacklevel=4)


def _event_loop() -> object:
    """Return what tells this event loop from every other."""
    if on_trio():
        import trio  # noqa: PLC0415 - only where trio runs already

        return trio.lowlevel.current_trio_token()
    return asyncio.get_running_loop()
