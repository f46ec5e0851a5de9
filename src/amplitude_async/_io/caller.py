"""Sends a Call, asks for the verdict, waits, sends again: the only place where retries happen.

A slot is taken in the caller's own task *before* the request's task is spawned. The other way round, cancelled callers leave tasks
behind that queue for slots, and later calls starve.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import anyio

from amplitude_async._io.tasks import OwnedTask, OwnedTasks, on_trio
from amplitude_async._io.transport.answers import OpenStream
from amplitude_async._io.transport.wire import Wire
from amplitude_async._protocol.call import query_text
from amplitude_async._protocol.masking import fingerprint, secret_forms
from amplitude_async._protocol.verdict import Doubts, Failure, Reply, RetryBudget, Verdict, finished, judge
from amplitude_async._version import __version__
from amplitude_async.errors import ClosedError, ConfigurationError, RequestSummary, UnexpectedResponseError
from amplitude_async.options import (
    DEFAULT_MAX_CONNECTIONS,
    FOREIGN_MAX_CONNECTIONS,
    Backoff,
    Limits,
    Secret,
    Timeout,
    limits_for,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from amplitude_async._io.sharing import Shared, Sharing
    from amplitude_async._io.transport.door import Transport
    from amplitude_async._io.transport.wire import HttpClient
    from amplitude_async._protocol.call import Call, Kind
    from amplitude_async._protocol.hosts import Api, Endpoint
    from amplitude_async._protocol.uploads import Event

__all__ = ["Caller", "Connection", "Policy", "Settings", "Stream"]

USER_AGENT: Final = f"amplitude-async/{__version__} python/{sys.version_info[0]}.{sys.version_info[1]}"
CLOSE_SECONDS: Final = 10.0
"""How long closing waits for requests in flight, by default."""
CONNECT_SHARE: Final = 0.9
"""Connecting may take this share of an attempt: a deadline that cancels a TLS handshake strands its socket."""

_LOG: Final = logging.getLogger("amplitude_async.io")


class Settings(NamedTuple):
    """What a connection is made of; fixed for its life."""

    endpoints: Mapping[Api, Endpoint]
    credentials: Mapping[str, Secret | None]
    transport: str
    http_client: HttpClient | None
    max_connections: int | None
    trust_env: bool
    tls: ssl.SSLContext | None


class Policy(NamedTuple):
    """What may differ between views of one client."""

    timeout: Timeout
    max_retries: int
    backoff: Backoff


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
        self.doubts = Doubts()
        self.budget = RetryBudget()
        self.sharing: Sharing | None = None
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
        if not may_be_closing:
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
        self.sharing = None
        self.openings = set()

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
        try:
            # A cancelled caller must not leave sockets behind; both steps are bounded.
            with anyio.CancelScope(shield=True):
                for end in tuple(self.before_closing):
                    await end(seconds)
                transport = self._transport
                for opening in tuple(self.openings):
                    opening.give_up()
                for stream in tuple(self._streams):
                    warnings.warn(f"{stream!r} was left open; use 'async with' or aclose()", ResourceWarning, stacklevel=4)
                    await stream.aclose()
                if not await self.tasks.join(seconds) and transport is not None:
                    # Their sockets go, and they end by the error that this gives them.
                    await transport.aclose()
                    await self.tasks.join(CLOSE_SECONDS)
                if transport is not None:
                    await transport.aclose()
        finally:
            self._shut.set()


def _event_loop() -> object:
    """Return what tells this event loop from every other."""
    if on_trio():
        import trio  # noqa: PLC0415 - only where trio runs already

        return trio.lowlevel.current_trio_token()
    import asyncio  # noqa: PLC0415 - as above

    return asyncio.get_running_loop()


class Opening:
    """A download whose answer has not begun.

    Giving it up cancels it, but not while it connects: cancelling a TLS handshake strands its socket, and the connect limit bounds it.
    """

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self._is_connected = False
        self._is_unwanted = False

    def connected(self) -> None:
        """Note that the connection stands."""
        self._is_connected = True
        if self._is_unwanted:
            self.scope.cancel()

    def give_up(self) -> None:
        """Cancel it, now or as soon as it is connected."""
        self._is_unwanted = True
        if self._is_connected:
            self.scope.cancel()


class Stream:
    """An answer that is read as it comes, by whoever asked for it, in that task."""

    def __init__(self, connection: Connection, opened: OpenStream, call: Call, request: RequestSummary) -> None:
        self.headers = opened.headers
        self.status = opened.status
        self._connection = connection
        self._opened: OpenStream | None = opened
        self._call = call
        self.request = request
        self._closing: OwnedTask[None] | None = None
        connection.keep(self)

    def __repr__(self) -> str:
        return f"<download {self.request.path}>"

    @property
    def is_closed(self) -> bool:
        """Whether it was read to its end, closed or aborted."""
        return self._opened is None

    async def next_chunk(self) -> bytes | None:
        """Wait for the next bytes, ``None`` at the end.

        Raises:
            TransportError: The connection broke, or was silent for too long.
            ClosedError: The stream, or the client, was closed.
        """
        if self._opened is None:
            message = "The download is closed."
            raise ClosedError(message)
        try:
            chunk = await self._opened.next_chunk()
        except BaseException:
            # Cancelled: abort, and let a task of the library do the closing.
            self.close_soon()
            raise
        if isinstance(chunk, bytes):
            return chunk
        await self.aclose()
        if chunk is None:
            return None
        raise finished([judge(self._call, chunk, now=0.0, secrets=tuple)], self._call, self.request)

    def close_soon(self) -> None:
        """Have the connection closed by a task of the library, without waiting for it. Safe to call again."""
        opened, self._opened = self._opened, None
        if opened is None:
            return
        self._connection.drop(self)

        async def close(_: OwnedTask[None]) -> None:
            await opened.aclose()

        self._closing = self._connection.tasks.spawn(close)

    def dropped(self) -> None:
        """Close it because nobody holds it any more, with a ResourceWarning; from a collector, so only where its event loop runs."""
        if self._opened is not None and self._connection.is_home():
            warnings.warn(f"{self!r} was left open; use 'async with' or aclose()", ResourceWarning, stacklevel=3)
            self.close_soon()

    async def aclose(self) -> None:
        """Close the connection; what was not read is lost. Safe to call again."""
        self.close_soon()
        if self._closing is not None:
            await self._closing.wait()


class Caller:
    """Runs Calls for one view of a client."""

    def __init__(self, connection: Connection, policy: Policy) -> None:
        self.connection = connection
        self.policy = policy

    @property
    def tasks(self) -> OwnedTasks:
        """The library's own tasks."""
        return self.connection.tasks

    @property
    def slots(self) -> Slots | None:
        """The slots, or ``None`` before first use."""
        return self.connection.slots

    def deadline(self, kind: Kind) -> float:
        """Return when an awaited call that begins now has to be over, on the clock of the policy."""
        return self.policy.backoff.clock() + limits_for(kind, self.policy.timeout).call

    def secrets(self) -> tuple[str, ...]:
        """Return the texts that must appear in no message."""
        return self.connection.secrets()

    async def share(self, events: Sequence[Event], parts: Sequence[Sequence[int]], options: bytes | None) -> Shared:
        """Upload events in requests that others of this client may share; see :mod:`amplitude_async._io.sharing`."""
        from amplitude_async._io.sharing import Sharing  # noqa: PLC0415 - not before it is needed, and it names this room

        self.connection.bind()
        if self.connection.sharing is None:
            self.connection.sharing = Sharing(self.connection)
        return await self.connection.sharing.upload(self, events, parts, options)

    def fingerprint(self) -> bytes:
        """Return what stands for the project in its files; no key can be told from it."""
        api_key = self.connection.settings.credentials["api_key"]
        revealed = "" if api_key is None else api_key.reveal()
        return fingerprint(revealed)

    async def rest(self, attempt: int, at_least: float | None) -> None:
        """Wait before an attempt of something larger than a call, as the policy's backoff says."""
        backoff = self.policy.backoff
        await backoff.sleep(max(backoff.delay(attempt), at_least or 0.0))

    async def run(self, call: Call, *, deadline: float | None = None) -> Any:  # noqa: ANN401 - this is where JSON enters
        """Send a call and return what its answer says, with as many retries as the policy allows.

        Args:
            call: What to ask.
            deadline: When the awaited call that this is a part of has to be over; by default the limit of its kind from now.

        Raises:
            AmplitudeError: Whatever the verdict on the last attempt was.
        """
        verdict = await self._until_final(call, self.deadline(call.kind) if deadline is None else deadline)
        return verdict.value

    async def open(self, call: Call) -> Stream:
        """Send a call and return its answer as a stream; takes no slot.

        Raises:
            AmplitudeError: Whatever the verdict on the last attempt was.
        """
        verdict = await self._until_final(call, self.deadline(call.kind))
        return self._checked(verdict.value)

    @staticmethod
    def _checked(value: object) -> Stream:
        if isinstance(value, Stream):
            return value
        message = "a stream was expected"
        raise RuntimeError(message)

    async def _until_final(self, call: Call, deadline: float) -> Verdict:
        self._require_credential(call)
        backoff = self.policy.backoff
        limits = limits_for(call.kind, self.policy.timeout)
        verdicts: list[Verdict] = []
        while True:
            transport, slots = self.connection.enter()
            self.connection.budget.note(is_retry=bool(verdicts))
            verdict = await self._attempt(call, transport, slots, limits, deadline, len(verdicts) + 1)
            if verdict.error is None:
                self.connection.budget.succeeded()
                return verdict
            verdicts.append(verdict)
            wait = self.wait_before_next(verdicts, deadline)
            if wait is None:
                raise finished(verdicts, call, self.summary(call, len(verdicts)))
            await backoff.sleep(wait)

    def wait_before_next(self, verdicts: list[Verdict], deadline: float) -> float | None:
        """Return how long to wait before another attempt, ``None`` if there is none."""
        last = verdicts[-1]
        if not last.may_retry or len(verdicts) > self.policy.max_retries or not self.connection.budget.allows:
            return None
        backoff = self.policy.backoff
        wait = backoff.delay(len(verdicts))
        if last.wait is not None:
            wait = max(wait, last.wait)
        return wait if backoff.clock() + wait < deadline else None

    async def _attempt(self, call: Call, transport: Transport, slots: Slots, limits: Limits, deadline: float, number: int) -> Verdict:
        is_stream = call.kind == "stream"
        clock = self.policy.backoff.clock
        patience = min(limits.pool, limits.attempt, deadline - clock())
        if not is_stream and not await slots.take(patience):
            reason = f"no free connection within {patience:.3g} s; all {slots.total} are in use"
            return self.judged(call, Failure("timeout", is_sent=False, reason=reason))
        limit = min(limits.attempt, deadline - clock())
        if limit <= 0:
            if not is_stream:
                slots.give_back()
            return self.judged(call, Failure("timeout", is_sent=False, reason="the time for the whole call is over"))

        async def exchange(_: OwnedTask[Verdict]) -> Verdict:
            return await self.exchange(transport, call, limits, limit)

        async def open_stream(owned: OwnedTask[OpenStream | Reply | Failure]) -> OpenStream | Reply | Failure:
            opened: OpenStream | Reply | Failure | None = None
            try:
                with opening.scope:
                    wire = self._wire(call, limits, limit)
                    opened = await transport.open(wire, limit, limits.between_bytes, opening.connected)
            finally:
                self.connection.openings.discard(opening)
            if owned.is_abandoned and isinstance(opened, OpenStream):
                await opened.aclose()
            return opened or Failure("broken", is_sent=True, reason="the client was closed before the download began")

        if is_stream:
            # Its connection is its own, so a cancelled opening costs no slot of the pool.
            opening = Opening()
            self.connection.openings.add(opening)

            def abandon(opened: OpenStream | Reply | Failure | None) -> None:
                opening.give_up()
                if isinstance(opened, OpenStream):
                    # It opened in the very turn in which the waiter was cancelled.
                    self.tasks.spawn(lambda _: opened.aclose())

            owned = self.tasks.spawn(open_stream)
            owned.abandon = abandon
            answer = await owned.wait()
            if isinstance(answer, OpenStream):
                return Verdict(value=Stream(self.connection, answer, call, self.summary(call, number)))
            return self.judged(call, answer)
        return await self.tasks.spawn(exchange, slots.give_back).wait()

    async def exchange(self, transport: Transport, call: Call, limits: Limits, limit: float) -> Verdict:
        """Send one request, or the same once more if its answer contradicts it, within ``limit`` seconds. Runs in an owned task."""
        clock = self.policy.backoff.clock
        end = clock() + limit
        verdict = self.judged(call, await transport.exchange(self._wire(call, limits, limit), limit))
        doubts = self.connection.doubts
        if verdict.error is not None or not doubts.sends_again(verdict.doubt):
            return verdict
        if doubts.warns(clock()):
            _LOG.warning("an upload was answered by a contradiction (%s); it is sent once more", verdict.doubt)
        await transport.drop_idle()
        limit = end - clock()
        if limit <= 0:
            message = f"Amplitude answered 200, but the answer contradicts the upload ({verdict.doubt})"
            return Verdict(error=UnexpectedResponseError(message, status=200), outcome="unknown", may_retry=True)
        again = self.judged(call, await transport.exchange(self._wire(call, limits, limit), limit))
        if again.error is not None:
            # The first answer may have been true.
            return again._replace(outcome="unknown")
        doubts.confirmed(again.doubt)
        return again

    def judged(self, call: Call, answer: Reply | Failure) -> Verdict:
        """Say what one attempt came to."""
        return judge(call, answer, now=time.time(), secrets=self.connection.secrets)

    def _endpoint(self, call: Call) -> Endpoint:
        return self.connection.settings.endpoints[call.api]

    def summary(self, call: Call, attempts: int) -> RequestSummary:
        """Say what was asked of whom, without anything secret."""
        endpoint = self._endpoint(call)
        return RequestSummary(call.method, endpoint.origin, f"{endpoint.prefix}{call.path}", attempts)

    def _require_credential(self, call: Call) -> None:
        self.connection.check_open()
        if call.credential == "project" and self.connection.settings.credentials["secret_key"] is None:
            message = "This call needs the project's secret key: pass secret_key=... or set AMPLITUDE_SECRET_KEY."
            raise ConfigurationError(message)

    def _wire(self, call: Call, limits: Limits, limit: float) -> Wire:
        """Put the credential in: the one place where a key is revealed."""
        credentials = self.connection.settings.credentials
        api_key, secret_key = credentials["api_key"], credentials["secret_key"]
        revealed = api_key.reveal() if api_key is not None else ""
        headers = {"Accept": "application/json, text/plain, */*", "User-Agent": USER_AGENT}
        headers["Accept-Encoding"] = "gzip" if call.kind == "query" else "identity"
        body = b""
        if call.credential == "project" and secret_key is not None:
            pair = f"{revealed}:{secret_key.reveal()}".encode()
            headers["Authorization"] = f"Basic {b64encode(pair).decode()}"
        if call.body is not None:
            body = call.body.render(revealed)
            headers |= call.body.headers
        query = f"?{query_text(call.query)}" if call.query else ""
        timeouts = {
            "connect": min(limits.connect, limit * CONNECT_SHARE),
            "read": limits.read,
            "write": limits.write,
            "pool": limits.pool,
        }
        url = self._endpoint(call).url(call.path) + query
        return Wire(call.method, url, headers, body, timeouts, limits.answer_bytes, call.repeatable)

    async def aclose(self, seconds: float = CLOSE_SECONDS) -> None:
        """Close the connection for every view."""
        await self.connection.aclose(seconds)
