"""An export as the bytes of its zip, in the order they arrive.

Amplitude's page: https://amplitude.com/docs/apis/analytics/export
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, Self

from amplitude_async._protocol.call import Call, read_json_object
from amplitude_async._protocol.dates import check_order, export_hour
from amplitude_async._protocol.masking import mask
from amplitude_async.errors import ClosedError, UnexpectedResponseError

if TYPE_CHECKING:
    from types import TracebackType

    from amplitude_async.errors import RequestSummary

__all__ = ["Export", "export_call"]

SIGNATURES: Final = (b"PK\x03\x04", b"PK\x05\x06")
"""How a zip begins: with a member, or, empty, with its end record."""
SIGNATURE_BYTES: Final = 4
QUOTED_BYTES: Final = 1024


class Download(Protocol):
    """What an export needs of a stream."""

    status: int
    request: RequestSummary

    async def next_chunk(self) -> bytes | None:
        """Wait for the next bytes, ``None`` at the end."""

    async def aclose(self) -> None:
        """Close the connection."""


class Opener(Protocol):
    """What can open a stream; the client's caller is one."""

    async def open(self, call: Call) -> Download:
        """Send a call, return its answer as a stream."""

    def secrets(self) -> tuple[str, ...]:
        """Return the texts that must appear in no message."""


def export_call(start: object, end: object) -> Call:
    """Describe an export.

    Raises:
        InvalidArgumentError: A bound is no hour, or the start is after the end.
    """
    first = export_hour(start, argument="start")
    last = export_hour(end, argument="end")
    check_order(first, last)
    return Call(
        api="dashboard",
        kind="stream",
        method="GET",
        path="/api/2/export",
        credential="project",
        reads=read_json_object,
        repeatable=True,
        query=(("start", first), ("end", last)),
    )


class Export:
    """Raw events of a range of hours, as Amplitude packs them: a zip of gzipped JSON lines.

    Made by :meth:`amplitude_async.AsyncAmplitude.export`; nothing is sent until it is iterated over. ``async for`` gives the bytes of
    the zip as they arrive. Every ``async for`` is a download of its own.

    As an async context manager it closes its downloads when the block is left, however that happens. After a bare ``break``
    a download is closed at the latest with the client, with a ResourceWarning.
    """

    def __init__(self, opener: Opener, call: Call) -> None:
        self._opener = opener
        self._call = call
        self._chunks: list[_Chunks] = []
        self._is_closed = False

    def __repr__(self) -> str:
        (_, start), (_, end) = self._call.query
        return f"<Export start={start!r} end={end!r}>"

    def __aiter__(self) -> _Chunks:
        if self._is_closed:
            message = "The export is closed; ask the client for a new one."
            raise ClosedError(message)
        chunks = _Chunks(self._opener, self._call)
        self._chunks.append(chunks)
        return chunks

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every download of this export. Safe to call again."""
        self._is_closed = True
        chunks, self._chunks = self._chunks, []
        for one in chunks:
            await one.aclose()


class _Chunks:
    """One pass over the bytes of an export."""

    def __init__(self, opener: Opener, call: Call) -> None:
        self._opener = opener
        self._call = call
        self._download: Download | None = None
        self._is_done = False

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        if self._is_done:
            raise StopAsyncIteration
        if self._download is None:
            return await self._first()
        chunk = await self._download.next_chunk()
        if chunk is None:
            self._is_done = True
            raise StopAsyncIteration
        return chunk

    async def _first(self) -> bytes:
        """Open the download and look at how it begins: a page instead of a zip must not end up in somebody's file."""
        download = await self._opener.open(self._call)
        self._download = download
        first = b""
        chunk: bytes | None = b""
        while len(first) < SIGNATURE_BYTES:
            chunk = await download.next_chunk()
            if chunk is None:
                break
            first += chunk
        if first[:SIGNATURE_BYTES] in SIGNATURES:
            return first
        await self.aclose()
        error = self._not_a_zip(download, first)
        # What the server said may echo a key: it is in the error's .data, not among the traceback's locals.
        del first, chunk
        raise error

    def _not_a_zip(self, download: Download, first: bytes) -> UnexpectedResponseError:
        shown = mask(first[:QUOTED_BYTES].decode("utf-8", "replace"), self._opener.secrets())
        words = f"it begins: {shown}" if first else "it is empty"
        message = f"Amplitude answered {download.status}, but not with a zip; {words}"
        text = first.decode("utf-8", "replace")
        return UnexpectedResponseError(message, status=download.status, data=text, outcome="unknown", request=download.request)

    async def aclose(self) -> None:
        self._is_done = True
        if self._download is not None:
            await self._download.aclose()
