"""Reads answers: whole ones up to a limit, and streams as their bytes come."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

import anyio

from amplitude_async._io.transport.closing import CLOSE_SECONDS, abort, quietly
from amplitude_async._protocol.verdict import Failure, Reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["OpenStream", "read_headers", "read_whole"]

PIECE_BYTES: Final = 256 << 10
"""Most that one step of undoing a content encoding may give."""


class OpenStream:
    """The answer to a request whose body is read as it comes.

    Read by its consumer in the consumer's own task; opened and closed in tasks of the library.
    """

    def __init__(self, response: Any, headers: dict[str, str], close: Callable[[], Any], fail: Callable[[Exception], Failure]) -> None:  # noqa: ANN401 - the HTTP library's own type
        self.status: int = response.status_code
        self.headers = headers
        self._response = response
        self._chunks: AsyncIterator[bytes] = response.aiter_raw()
        self._close = close
        self._fail = fail
        coding = headers.get("content-encoding", "identity").strip().lower()
        self._inflate = None if coding in {"identity", ""} else zlib.decompressobj(47)
        self._tail = b""

    async def next_chunk(self) -> bytes | Failure | None:
        """Wait for the next bytes; ``None`` at the end, a Failure if the connection broke or fell silent."""
        if self._tail and self._inflate is not None:
            return self._inflated(self._tail)
        try:
            async for chunk in self._chunks:
                if not chunk:
                    continue
                if self._inflate is None:
                    return chunk
                piece = self._inflated(chunk)
                if isinstance(piece, Failure) or piece:
                    return piece
        except Exception as error:  # noqa: BLE001 - every failure of the HTTP library becomes a value here
            return self._fail(error)
        if self._inflate is not None and not self._inflate.eof:
            return Failure("broken", is_sent=True, reason="the compressed answer was cut short")
        return None

    def _inflated(self, data: bytes) -> bytes | Failure:
        inflate = self._inflate
        if inflate is None:
            return data
        try:
            piece = inflate.decompress(data, PIECE_BYTES)
        except zlib.error:
            return Failure("broken", is_sent=True, reason="the compressed answer is damaged")
        self._tail = inflate.unconsumed_tail
        return piece

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
        self._inflate = None if coding in {"", "identity"} or self.fault else zlib.decompressobj(47)
        self._limit = limit

    def take(self, chunk: bytes) -> bool:
        """Take more bytes; say whether still more are wanted."""
        room = self._limit - len(self.body)
        if self._inflate is not None:
            try:
                chunk = self._inflate.decompress(chunk, room + 1)
            except zlib.error:
                self.fault = "its compression is damaged"
                return False
        self.body += chunk[:room]
        if len(chunk) > room:
            self.fault = f"more than the {self._limit} bytes that are read of such an answer"
            return False
        return not self.fault

    def end(self) -> str:
        """Return what is wrong with an answer that ended here."""
        return "its compression is cut short" if self._inflate is not None and self.body and not self._inflate.eof else ""


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
