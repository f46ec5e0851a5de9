"""Reads answers: whole ones up to a limit, and streams as their bytes come."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final, Self

import anyio

from amplitude_async._io.transport.closing import CLOSE_SECONDS, abort, quietly
from amplitude_async._protocol.unpacking import Inflater
from amplitude_async._protocol.verdict import Failure, Reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["OpenStream", "read_headers", "read_whole"]

PIECE_BYTES: Final = 256 << 10
"""Most that one step of undoing a content encoding may give."""
STRAIGHT_BYTES: Final = 256 << 10
"""Most that is read from the line at once."""


class _Mocked:
    """The one chunk of an answer that no network brought."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        body, self._body = self._body, None
        if body is None:
            raise StopAsyncIteration
        return body


class _CutError(Exception):
    """The line ended before the body did."""


class _Straight:
    """A body of known length, read straight from the line once the HTTP library has given what it had of it.

    The library's parser and nested generators cost as much as receiving does, between rows even twice that, since their code has left
    the processor's cache. Only for a connection that is not used again; the line is what the library documents as ``network_stream``.
    """

    def __init__(self, chunks: AsyncIterator[bytes], line: Any, length: int, seconds: float) -> None:  # noqa: ANN401 - the HTTP library's own type
        self._chunks = chunks
        self._line = line
        self._left = length
        self._seconds = seconds
        self._has_begun = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._has_begun:
            # Of this the library may hold more than one piece of the line.
            self._has_begun = True
            chunk: bytes = await anext(self._chunks)
        elif self._left:
            chunk = await self._line.read(STRAIGHT_BYTES, timeout=self._seconds)
            if not chunk:
                message = f"the connection was closed with {self._left:,} bytes of the answer to come"
                raise _CutError(message)
            if len(chunk) > self._left:
                chunk = chunk[: self._left]
        else:
            raise StopAsyncIteration
        self._left -= len(chunk)
        return chunk


class OpenStream:
    """The answer to a request whose body is read as it comes.

    Read by its consumer in the consumer's own task; opened and closed in tasks of the library.

    Args:
        response: The HTTP library's answer.
        headers: Its headers.
        close: Closes the client that is this answer's alone.
        fail: Says what an error of the HTTP library comes to.
        seconds: How long to wait for more of a body that may be read straight from the line, ``None`` where it may not.
    """

    def __init__(
        self,
        response: Any,  # noqa: ANN401 - the HTTP library's own type
        headers: dict[str, str],
        close: Callable[[], Any],
        fail: Callable[[Exception], Failure],
        seconds: float | None = None,
    ) -> None:
        self.status: int = response.status_code
        self.headers = headers
        self._response = response
        self._close = close
        self._fail = fail
        coding = headers.get("content-encoding", "identity").strip().lower()
        self._chunks: AsyncIterator[bytes]
        if getattr(response, "is_stream_consumed", False):
            # A mocked answer, complete and decoded from the start.
            self._chunks, coding = _Mocked(response.content), ""
        else:
            self._chunks = response.aiter_raw()
        self._source: AsyncIterator[bytes] = self._chunks
        line = getattr(response, "extensions", {}).get("network_stream")
        length = headers.get("content-length", "")
        if seconds is not None and line is not None and length.isascii() and length.isdigit() and "transfer-encoding" not in headers:
            self._source = _Straight(self._chunks, line, int(length), seconds)
        self._inflater = None if coding in {"identity", ""} else Inflater()

    async def next_chunk(self) -> bytes | Failure | None:
        """Wait for the next bytes; ``None`` at the end, a Failure if the connection broke or fell silent."""
        while self._inflater is not None and self._inflater.tail:
            piece = self._inflated(self._inflater, b"")
            if piece:
                return piece
        try:
            async for chunk in self._source:
                if not chunk:
                    continue
                if self._inflater is None:
                    return chunk
                piece = self._inflated(self._inflater, chunk)
                if piece:
                    return piece
        except Exception as error:  # noqa: BLE001 - every failure of the HTTP library becomes a value here
            return self._fail(error)
        if self._inflater is not None and not self._inflater.is_whole:
            return Failure("broken", is_sent=True, reason="the compressed answer was cut short")
        return None

    @staticmethod
    def _inflated(inflater: Inflater, data: bytes) -> bytes | Failure:
        try:
            return inflater.inflate(data, PIECE_BYTES)
        except zlib.error:
            return Failure("broken", is_sent=True, reason="the compressed answer is damaged")

    async def aclose(self) -> None:
        """Close the connection, whatever state the stream is in."""
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await abort(self._response, self._chunks)
            await quietly(self._close)


async def read_whole(response: Any, limit: int) -> Reply:  # noqa: ANN401 - the HTTP library's own type
    """Read an answer to its end, or drop its connection when it has more than ``limit`` bytes."""
    headers = read_headers(response)
    status: int = response.status_code
    if getattr(response, "is_stream_consumed", False):
        # A mocked answer, complete from the start.
        return Reply(status, headers, (await response.aread())[:limit])
    reader = Reader(headers.get("content-encoding", ""), limit)
    chunks = response.aiter_raw()
    async for chunk in chunks:
        if not reader.take(chunk):
            await abort(response, chunks)
            break
    return Reply(status, headers, bytes(reader.body), reader.fault or reader.end())


class Reader:
    """Collects an answer's body and undoes its content encoding, both up to a limit."""

    def __init__(self, coding: str, limit: int) -> None:
        coding = coding.strip().lower()
        self.body = bytearray()
        self.fault = "" if coding in {"", "identity", "gzip", "x-gzip", "deflate"} else "an unknown content encoding"
        self._inflater = None if coding in {"", "identity"} or self.fault else Inflater()
        self._limit = limit

    def take(self, chunk: bytes) -> bool:
        """Take more bytes; say whether still more are wanted."""
        while True:
            room = self._limit - len(self.body)
            if self._inflater is not None:
                try:
                    chunk = self._inflater.inflate(chunk, room + 1)
                except zlib.error:
                    self.fault = "its compression is damaged"
                    return False
            self.body += chunk[:room]
            if len(chunk) > room:
                self.fault = f"more than the {self._limit} bytes that are read of such an answer"
                return False
            if self._inflater is None or not self._inflater.tail:
                return not self.fault
            chunk = b""

    def end(self) -> str:
        """Return what is wrong with an answer that ended here."""
        return "its compression is cut short" if self._inflater is not None and self.body and not self._inflater.is_whole else ""


def read_headers(response: Any) -> dict[str, str]:  # noqa: ANN401 - the HTTP library's own type
    """Return the headers of an answer by their lower-case names."""
    raw = getattr(response.headers, "raw", None)
    if raw is None:
        return {name.lower(): value for name, value in response.headers.items()}
    # Quicker than items(), which guesses an encoding for every access.
    headers: dict[str, str] = {}
    for name, value in raw:
        key = name.decode("ascii", "replace").lower()
        text = value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers
