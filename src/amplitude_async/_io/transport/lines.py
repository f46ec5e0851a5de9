"""A line to a server: bytes out, bytes in, each with its time limit. TCP, or TLS over it.

On asyncio this is a protocol of its own. What stands between the event loop and the HTTP library otherwise costs a request two turns
of the loop and four system calls: a checkpoint before each write, and reading that is switched off between answers. Read all the
time, a line also knows at once that the server has closed it.

On trio it is the stream of the HTTP library's own network backend, whose four methods are those of :class:`AsyncioLine`. Over TLS
it is asked once more whether there is anything to read.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from typing import Any, Final, Protocol, cast

import anyio

from amplitude_async._io.tasks import on_trio
from amplitude_async._io.transport.closing import CLOSE_SECONDS, quietly

__all__ = ["Line", "connect"]

MOST_UNREAD: Final = 1 << 20
"""Bytes that are taken in before anybody asks for them."""
UNWATCHED_BYTES: Final = 64 << 10
"""Up to here a write over TLS is left to the system's own memory, on asyncio."""
NEXT_ADDRESS_SECONDS: Final = 0.25
"""After how long without a connection a host's next address is tried beside the last."""


class Line(Protocol):
    """What both kinds of line can do; errors are those of the HTTP library's core."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - the HTTP library's own interface
        """Wait for bytes; ``b""`` at the end of the line."""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as above
        """Send bytes; back when the system has taken them.

        Where it is known that it took none of them, that is a ``ConnectionNotAvailable``, not a ``WriteError``. On trio nobody knows.
        """

    async def aclose(self) -> None:
        """Close the line at once."""

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - as above
        """``"is_readable"``: whether anything came that nobody asked for, or the end."""


async def connect(core: Any, host: str, port: int, tls: ssl.SSLContext | None, seconds: float) -> Line:  # noqa: ANN401 - a module
    """Open a line within so many seconds.

    Args:
        core: The module whose errors are raised: that under the HTTP library.
        host: A name or an address.
        port: The port.
        tls: How to speak TLS; ``None`` for none.
        seconds: The limit on all of it.
    """
    if tls is not None:
        tls.set_alpn_protocols(["http/1.1"])
    if on_trio():
        return await _connect_on_trio(core, host, port, tls, seconds)
    line = AsyncioLine(core)
    end = line.loop.time() + seconds
    # Other loops than asyncio's own try one address after another.
    at_once: dict[str, Any] = {"happy_eyeballs_delay": NEXT_ADDRESS_SECONDS} if isinstance(line.loop, asyncio.BaseEventLoop) else {}
    try:
        with anyio.fail_after(seconds):
            await line.loop.create_connection(lambda: line, host, port, **at_once)
        if tls is not None:
            # The handshake has a limit of its own: a scope that cancelled it would strand the socket.
            await line.start_tls(tls, host, max(end - line.loop.time(), 0.001))
    except OSError as error:
        line.abort()
        if isinstance(error, TimeoutError | ConnectionAbortedError) and line.loop.time() >= end:
            raise core.ConnectTimeout(str(error)) from error
        raise core.ConnectError(str(error)) from error
    except BaseException:
        line.abort()
        raise
    return line


async def _connect_on_trio(core: Any, host: str, port: int, tls: ssl.SSLContext | None, seconds: float) -> Line:  # noqa: ANN401 - see connect
    end = anyio.current_time() + seconds
    stream = await core.TrioBackend().connect_tcp(host, port, timeout=seconds)
    if tls is None:
        return cast("Line", stream)
    try:
        return TrioTlsLine(await stream.start_tls(tls, host, timeout=max(end - anyio.current_time(), 0)))
    except BaseException:
        # The HTTP library does so after an error, but leaves what was cancelled to the garbage collector.
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await quietly(stream.aclose)
        raise


class TrioTlsLine:
    """A line on trio that speaks TLS: the HTTP library's stream, but for what is to be read.

    Its stream looks at the socket alone. What came in one piece with the last answer is in the memory of TLS by then.

    Args:
        stream: The HTTP library's stream.
    """

    def __init__(self, stream: Any) -> None:  # noqa: ANN401 - the HTTP library's own type
        self.read, self.write, self.aclose = stream.read, stream.write, stream.aclose
        self._stream = stream

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - see Line
        """``"is_readable"``: whether anything came that nobody asked for, or the end. Else what the HTTP library knows."""
        known = self._stream.get_extra_info(info)
        if info != "is_readable":
            return known
        return known or _has_records(self._stream.get_extra_info("ssl_object"))


class AsyncioLine(asyncio.Protocol):
    """A line on asyncio.

    Args:
        core: The module whose errors are raised.
    """

    def __init__(self, core: Any) -> None:  # noqa: ANN401 - a module
        self.loop = asyncio.get_running_loop()
        self._core = core
        self._transport: asyncio.Transport | None = None
        self._below: asyncio.Transport
        """What is under TLS; the same where none is spoken. Set with the first of them."""
        self._unread = bytearray()
        self._is_over = self._is_lost = self._is_held = self._is_full = self._is_tls = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[bool] | None = None
        """Who waits for bytes; told whether it was in time."""
        self._writer: asyncio.Future[bool] | None = None
        """Who waits for room."""
        self._closer: asyncio.Future[bool] | None = None
        """Who waits for the end."""

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._below = cast("asyncio.Transport", transport)
        self._take_up(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        """Keep what came until somebody asks."""
        self._unread += data
        _wake(self._reader)
        if len(self._unread) > MOST_UNREAD and not self._is_held and self._transport is not None:
            self._is_held = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """Note that the server says no more; the transport closes by itself."""
        self._is_over = True
        _wake(self._reader)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end of the line."""
        self._error = self._error or exc
        self._is_over = self._is_lost = True
        _wake(self._reader)
        _wake(self._writer)
        _wake(self._closer)

    def pause_writing(self) -> None:
        """Note that the system takes no more."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Note that all was taken."""
        self._is_full = False
        _wake(self._writer)

    # What its user calls

    async def start_tls(self, context: ssl.SSLContext, host: str, seconds: float) -> None:
        """Speak TLS from here on."""
        transport = await self.loop.start_tls(self._required(), self, context, server_hostname=host, ssl_handshake_timeout=seconds)
        if transport is None:
            message = "the connection was closed during the TLS handshake"
            raise ConnectionResetError(message)
        self._is_tls = True
        self._take_up(transport)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - see Line
        """Wait for bytes; ``b""`` at the end of the line."""
        if not self._unread and not self._is_over:
            self._reader = self.loop.create_future()
            try:
                is_in_time = await _within(self._reader, timeout)
            finally:
                self._reader = None
            if not is_in_time:
                raise self._core.ReadTimeout
        if not self._unread:
            if self._error is not None:
                raise self._core.ReadError(str(self._error)) from self._error
            return b""
        data = bytes(self._unread[:max_bytes])
        del self._unread[:max_bytes]
        if self._is_held and not self._is_over:
            self._is_held = False
            self._required().resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - see Line
        """Send bytes; back when the system has taken them."""
        transport = self._required()
        if self._is_lost or self._below.is_closing():
            # TLS may not know yet; and what closes still sends what waits, and would send this with it.
            raise self._core.ConnectionNotAvailable(str(self._error or "the connection is closed")) from self._error
        last = b""
        if self._is_tls and len(buffer) > UNWATCHED_BYTES:
            # asyncio's TLS hands all that it is given to the transport below and calls itself empty. It is "full" when more comes
            # before the system has taken that.
            last = buffer[-1:]
        transport.write(memoryview(buffer)[:-1] if last else buffer)
        if self._has_refused():
            message = "the connection was closed before anything was sent"
            raise self._core.ConnectionNotAvailable(message)
        if last:
            transport.write(last)
        if not self._is_full:
            return
        self._writer = self.loop.create_future()
        try:
            is_in_time = await _within(self._writer, timeout)
        finally:
            self._writer = None
        if not is_in_time:
            raise self._core.WriteTimeout
        if self._is_lost:
            raise self._core.WriteError(str(self._error or "the connection was closed")) from self._error

    def _has_refused(self) -> bool:
        """Whether the system refused the first byte of what was just written: asyncio closes at once then."""
        # Other loops may say the same of what they have sent in part.
        return self._below.is_closing() and isinstance(self.loop, asyncio.BaseEventLoop)

    def abort(self) -> None:
        """Close the line, and forget what was not sent. Who reads from it must not take that for the end of what the server says."""
        self._error = self._error or ConnectionAbortedError("the connection was closed here")
        self._is_over = True
        if self._transport is not None:
            self._transport.abort()

    async def aclose(self) -> None:
        """Close the line at once, and wait until it is."""
        self.abort()
        if not self._is_lost and self._transport is not None:
            self._closer = self._closer or self.loop.create_future()
            await asyncio.shield(self._closer)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - see Line
        """``"is_readable"``: whether anything came that nobody asked for, or the end. Else what the event loop knows."""
        transport = self._required()
        if info != "is_readable":
            return transport.get_extra_info(info)
        return bool(self._unread) or self._is_over or transport.is_closing() or _is_readable(transport.get_extra_info("socket"))

    def _take_up(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        # "Taken" shall mean by the system: a server that does not read is one that the time limit is for. Where nothing may wait,
        # asyncio's TLS says "full" even when nothing does.
        transport.set_write_buffer_limits(high=1, low=0)

    def _required(self) -> asyncio.Transport:
        if self._transport is None:
            message = "the line is not connected"
            raise RuntimeError(message)
        return self._transport


def _wake(waiter: asyncio.Future[bool] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(True)


def _expire(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)


async def _within(waiter: asyncio.Future[bool], seconds: float | None) -> bool:
    """Wait, at most so long; say whether it was in time. A timer costs a quarter of a scope."""
    timer = None if seconds is None else waiter.get_loop().call_later(seconds, _expire, waiter)
    try:
        return await waiter
    finally:
        if timer is not None:
            timer.cancel()


def _has_records(tls: ssl.SSLObject) -> bool:
    """Whether TLS has anything for us, or an end, or an error. It may be taken: nobody asked for it, so its line is not used again."""
    try:
        tls.read(1)
    except ssl.SSLWantReadError:
        return False
    except OSError:
        return True
    return True


def _is_readable(socket: Any) -> bool:  # noqa: ANN401 - asyncio's view of a socket
    """Whether the system has something for us that the event loop has not seen yet."""
    descriptor = -1 if socket is None else socket.fileno()
    if descriptor < 0:
        return True
    if not hasattr(select, "poll"):
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
