"""HTTP/1.1 over one line, by h11: one request after another, and nothing between a request and its line.

The HTTP library's own way from a request to the same h11 goes through a pool, a connection, four locks and five traces, and each lock
is a turn of the event loop. It is still taken where somebody has put themselves in its place: a mock of a test, a recorder, a tracer.
"""

from __future__ import annotations

import time
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, Self

import anyio

from amplitude_async._io.transport.closing import CLOSE_SECONDS, quietly

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from amplitude_async._io.transport.lines import Line

__all__ = ["Doors", "connection_class"]

READ_BYTES: Final = 64 << 10
JOINED_BYTES: Final = 64 << 10
"""Up to here a request's head and body go out as one: a copy costs less than a system call and a packet."""
HEAD_BYTES: Final = 100 << 10
"""Most that an answer may have before its body."""


class Doors:
    """Whether the HTTP library's own functions are still in their places.

    Args:
        places: Modules, the names of their classes, and of functions of those.
    """

    def __init__(self, *places: tuple[Any, str, str]) -> None:
        self._places = [(getattr(module, kind), name, module.__name__) for module, kind, name in places]
        self._known: list[tuple[type, str, object]] = [(kind, name, self) for kind, name, _ in self._places]

    def are_replaced(self) -> bool:
        """Say whether somebody has taken the place of one of them."""
        for kind, name, function in self._known:
            # Not by equality: the wrappers that tracers put there say that they equal what they wrap.
            if getattr(kind, name, None) is not function:
                return not self._get_to_know()
        return False

    def _get_to_know(self) -> bool:
        """Look at what is there now; say whether all of it is the HTTP library's own."""
        found = [(kind, name, getattr(kind, name, None)) for kind, name, _ in self._places]
        for (kind, _, package), (_, _, function) in zip(self._places, found, strict=True):
            is_own = function is None or (type(function) is FunctionType and _is_of(function.__globals__.get("__name__"), package))
            if not is_own or not _is_of(kind.__module__, package):
                return False
        self._known = found
        return True


def _is_of(module: object, package: str) -> bool:
    return str(module).partition(".")[0] == package


def connection_class(http: Any, core: Any, h11: Any) -> Any:  # noqa: ANN401, C901 - modules, and classes made for them
    """Make the class of connections: a transport of the HTTP library's that has one line.

    Args:
        http: The HTTP library.
        core: What is under it, whose errors a line raises.
        h11: What writes requests and reads answers.
    """
    doors = Doors(
        (http, "AsyncHTTPTransport", "handle_async_request"),
        (core, "AsyncConnectionPool", "handle_async_request"),
        (core, "AsyncHTTPConnection", "handle_async_request"),
    )
    gates = Doors((core, "AnyIOBackend", "connect_tcp"))
    """As people replace it who let no test reach the network; on trio it is the HTTP library that connects."""
    wanted_data, message_end, data_kind = h11.NEED_DATA, h11.EndOfMessage, h11.Data
    done = h11.DONE

    def translated(error: BaseException) -> Exception | None:
        """Return an error of what is below as the HTTP library's of that name; ``None`` for others, as a resolver's, or a cancel."""
        for kind in type(error).__mro__:
            own = getattr(http, kind.__name__, None)
            if isinstance(own, type) and issubclass(own, http.TransportError):
                return own(str(error))  # type: ignore[no-any-return]  # the class is only known at run time
        return None

    class Answer(http.AsyncByteStream):  # type: ignore[misc]  # as above
        """The body of an answer, as it comes."""

        def __init__(self, connection: Any, seconds: float | None) -> None:  # noqa: ANN401 - a Connection, see below
            self._connection = connection
            self._seconds = seconds

        def __aiter__(self) -> Self:
            return self

        async def __anext__(self) -> bytes:
            connection = self._connection
            if connection is None:
                raise StopAsyncIteration
            while True:
                event = await connection.next_event(self._seconds)
                if type(event) is data_kind:
                    if event.data:
                        return bytes(event.data)
                elif type(event) is message_end or event is h11.PAUSED:
                    raise StopAsyncIteration

        async def aclose(self) -> None:
            connection, self._connection = self._connection, None
            if connection is not None:
                await connection.answered()

    class Connection(http.AsyncBaseTransport):  # type: ignore[misc]  # as above
        def __init__(self, connect: Callable[[float], Awaitable[Line]], replaced: Callable[[], Any], seconds_idle: float) -> None:
            self._connect = connect
            self._replaced = replaced
            self._seconds_idle = seconds_idle
            self._stand_in: Any = None
            self._line: Line | None = None
            self._state: Any = None
            self._is_closed = False
            self._idle_since = 0.0

        async def handle_async_request(self, request: Any) -> Any:  # noqa: ANN401 - the HTTP library's own types
            if self._line is not None and self._is_stale(self._line):
                await self._drop()
            if doors.are_replaced() or (self._line is None and gates.are_replaced()):
                self._check_open()
                if self._stand_in is None:
                    self._stand_in = self._replaced()
                return await self._stand_in.handle_async_request(request)
            timeouts = request.extensions.get("timeout", {})
            event = await self._or_drop(self._begun(request, timeouts))
            return http.Response(
                event.status_code,
                headers=event.headers.raw_items(),
                stream=Answer(self, timeouts.get("read")),
                extensions={
                    "http_version": b"HTTP/" + event.http_version,
                    "reason_phrase": event.reason,
                    "network_stream": self._line,
                },
            )

        async def _or_drop(self, step: Awaitable[Any]) -> Any:  # noqa: ANN401 - whatever the step gives
            """Take a step; if it fails or is cancelled the line goes, and the error becomes the HTTP library's own."""
            try:
                return await step
            except BaseException as error:
                await self._drop()
                own = translated(error)
                if own is None:
                    raise
                raise own from error

        async def _begun(self, request: Any, timeouts: Any) -> Any:  # noqa: ANN401 - an event of h11
            """Send a request and wait for the head of its answer."""
            line = self._line
            if line is None:
                self._check_open()
                line = self._line = await self._connect(timeouts.get("connect"))
                # Closing meanwhile has found nothing that it could close.
                self._check_open()
                self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
            await self._send(line, request, timeouts.get("write"))
            while True:
                event = await self._next_event(timeouts.get("read"))
                if type(event) is h11.Response:
                    return event

        def _is_stale(self, line: Line) -> bool:
            return time.monotonic() - self._idle_since > self._seconds_idle or bool(line.get_extra_info("is_readable"))

        async def _send(self, line: Line, request: Any, seconds: float | None) -> None:  # noqa: ANN401 - as above
            send = self._state.send
            url = request.url
            unsent = send(h11.Request(method=request.method, target=url.raw_path, headers=request.headers.raw))
            has_begun = False
            try:
                async for chunk in request.stream:
                    piece = send(data_kind(data=chunk))
                    if unsent and len(piece) <= JOINED_BYTES:
                        piece = unsent + piece
                    elif unsent:
                        await line.write(unsent, seconds)
                        has_begun = True
                    unsent = b""
                    await line.write(piece, seconds)
                    has_begun = True
                unsent += send(message_end())
                if unsent:
                    await line.write(unsent, seconds)
            except core.ConnectionNotAvailable:
                # So nobody can have seen the body, unless something went out before.
                request.stream.has_started = has_begun
            except core.WriteError:
                # The server may have answered before it closed, and that says more.
                return

        async def _next_event(self, seconds: float | None) -> Any:  # noqa: ANN401 - an event of h11
            state = self._state
            while (event := state.next_event()) is wanted_data:
                if self._line is None:
                    message = "The client was closed."
                    raise http.ReadError(message)
                data = await self._line.read(READ_BYTES, seconds)
                if not data and state.their_state is h11.SEND_RESPONSE:
                    message = "Server disconnected without sending a response."
                    raise http.RemoteProtocolError(message)
                state.receive_data(data)
            return event

        async def next_event(self, seconds: float | None) -> Any:  # noqa: ANN401 - an event of h11
            """Wait for what comes next of an answer's body."""
            return await self._or_drop(self._next_event(seconds))

        async def answered(self) -> None:
            """Note that nobody wants more of the answer."""
            state = self._state
            if self._line is None:
                return
            # What came behind the answer is the answer to nothing that was asked, and must not become that to the next request.
            if state.our_state is done and state.their_state is done and not state.trailing_data[0]:
                state.start_next_cycle()
                self._idle_since = time.monotonic()
            else:
                await self._drop()

        async def _drop(self) -> None:
            line, self._line = self._line, None
            if line is not None:
                with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                    await quietly(line.aclose)

        def _check_open(self) -> None:
            if self._is_closed:
                message = "The client is closed."
                raise http.ConnectError(message)

        async def aclose(self) -> None:
            self._is_closed = True
            await self._drop()
            if self._stand_in is not None:
                await self._stand_in.aclose()

    return Connection
