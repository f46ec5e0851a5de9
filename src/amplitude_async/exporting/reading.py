"""What reads a download: its bytes, its lines, its rows.

Iterators here are objects, not async generators: one that is left in the middle warns on trio when it is collected, and its cleaning
up may come late. These are closed by the export, at once, and by nobody else's leave.
"""

from __future__ import annotations

import time
import warnings
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

import anyio.lowlevel

from amplitude_async.errors import ClosedError, ExportWarning, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from amplitude_async._protocol.decoding import BadRows, RowDecoder
    from amplitude_async.errors import ExportError
    from amplitude_async.exporting.archive import ArchiveReader, Block
    from amplitude_async.exporting.downloads import Answer, Downloads
    from amplitude_async.exporting.frames import ArchiveLimits
    from amplitude_async.exporting.merging import Merger
    from amplitude_async.exporting.plan import Window

__all__ = ["Batches", "Blocks", "Chunks", "ExportCounts", "Rows", "Turns"]

T = TypeVar("T")

TURN_SECONDS: Final = 0.0025
"""How long decoding goes on before other tasks of the event loop get a turn."""

_CLOSED: Final = "The export is closed; ask the client for a new one."
_INTERRUPTED: Final = "The download was closed before its end; ask the client for a new export."


class ExportCounts:
    """What passed through an export since it was made.

    Attributes:
        requests: Windows that were asked for, those that were too much or empty included.
        bytes: Bytes of archives that arrived.
        members: Files with rows that were read to their end.
        rows: Rows that were read.
        skipped_rows: Rows that could not be read and were left out (``bad_rows="skip"``).
        skipped_members: Files within the archive that are no gzip, and so hold no rows.
    """

    __slots__ = ("bytes", "members", "requests", "rows", "skipped_members", "skipped_rows")

    def __init__(self) -> None:
        self.requests: int = 0
        self.bytes: int = 0
        self.members: int = 0
        self.rows: int = 0
        self.skipped_rows: int = 0
        self.skipped_members: int = 0

    def add(self, other: ExportCounts) -> None:
        """Count what another counted."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def __repr__(self) -> str:
        return f"<ExportCounts {' '.join(f'{name}={getattr(self, name)}' for name in self.__slots__)}>"


class Turns:
    """Lets other tasks run by time, not by bytes."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since = time.perf_counter()

    def is_over(self) -> bool:
        """Say whether somebody else should have a turn."""
        return time.perf_counter() - self._since > TURN_SECONDS

    async def take(self) -> None:
        """Let everybody else have a turn."""
        await anyio.lowlevel.checkpoint()
        self._since = time.perf_counter()


class Chunks:
    """The bytes of a zip, in order: one answer's as they arrive, several answers' as the one archive that they make."""

    def __init__(self, downloads: Downloads, counts: ExportCounts, limits: ArchiveLimits | None, span: str) -> None:
        self._downloads = downloads
        self._counts = counts
        self._limits = limits
        self._span = span
        self._answer: Answer | None = None
        self._merged: _Merged | None = None
        self._end: Iterator[bytes] | None = None
        self._turns = Turns()
        self._is_whole = False
        self.is_done: bool = False
        """Nothing more comes of it, and nothing is open."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._is_whole:
            raise StopAsyncIteration
        if self.is_done:
            # What was closed, cancelled or broken is never taken for a short success.
            raise ClosedError(_INTERRUPTED)
        try:
            chunk = await self._next()
        except BaseException:
            self._stop()
            self._downloads.close_soon()
            raise
        if chunk is None:
            self._is_whole = True
            self._stop()
            raise StopAsyncIteration
        return chunk

    def _stop(self) -> None:
        if not self.is_done:
            self.is_done = True
            self._counts.requests += self._downloads.requests

    async def _next(self) -> bytes | None:
        if self._merged is not None:
            return await self._next_of(self._merged)
        answer = self._answer
        if answer is None:
            answer = self._answer = await self._first()
            if self._downloads.is_split:
                self._merged = _Merged(self._limits)
                return await self._next_of(self._merged)
        chunk = await answer.next_chunk()
        if chunk is not None:
            self._counts.bytes += len(chunk)
        return chunk

    async def _first(self) -> Answer:
        """Open the first window that has data.

        Raises:
            NotFoundError: None has.
        """
        answer = await self._downloads.next_answer()
        if answer is not None:
            return answer
        if self._downloads.empty is not None:
            raise self._downloads.empty
        message = f"No hour of {self._span} is complete yet"
        raise NotFoundError(message, status=404)

    async def _next_of(self, merged: _Merged) -> bytes | None:
        while self._answer is not None and self._end is None:
            chunk = await self._answer.next_chunk()
            if chunk is None:
                merged.end_part()
                self._answer = await self._downloads.next_answer()
                continue
            self._counts.bytes += len(chunk)
            piece = merged.take(chunk)
            if self._turns.is_over():
                await self._turns.take()
            if piece:
                return piece
        if self._end is None:
            self._end = merged.finish()
        return next(self._end, None)

    async def aclose(self) -> None:
        """Close the download. Safe to call again."""
        self._stop()
        await self._downloads.aclose()


class _Merged:
    """Several archives on their way to be one."""

    def __init__(self, limits: ArchiveLimits | None) -> None:
        from amplitude_async.exporting.frames import ZipFrames  # noqa: PLC0415 - only where a range took several requests
        from amplitude_async.exporting.merging import Merger  # noqa: PLC0415 - as above

        self._limits = limits
        self._new_frames = ZipFrames
        self._frames = ZipFrames(limits)
        self._merger: Merger = Merger()
        self._merger.begin()

    def take(self, chunk: bytes) -> bytes:
        """Return what of a chunk is written now."""
        self._frames.feed(chunk)
        pieces: list[bytes | memoryview] = []
        while (frame := self._frames.next_frame()) is not None:
            pieces.append(self._merger.take(frame))
        return b"".join(pieces)

    def end_part(self) -> None:
        """Say that an archive has ended and another may follow."""
        self._frames.finish()
        self._frames = self._new_frames(self._limits)
        self._merger.begin()

    def finish(self) -> Iterator[bytes]:
        """Yield the end of the one archive."""
        return self._merger.finish()


class Blocks:
    """The lines of a download, a block at a time: what one step of inflating gives."""

    def __init__(
        self,
        downloads: Downloads,
        counts: ExportCounts,
        limits: ArchiveLimits | None,
        *,
        is_strict: bool,
        bad_rows: BadRows,
        piece_bytes: int | None = None,
    ) -> None:
        from amplitude_async.exporting.archive import ArchiveReader  # noqa: PLC0415 - only where rows are read

        self._new_reader: Callable[[], ArchiveReader] = partial(
            ArchiveReader, limits, is_strict=is_strict, bad_rows=bad_rows, piece_bytes=piece_bytes
        )
        self._reader: ArchiveReader = self._new_reader()
        self._downloads = downloads
        self._counts = counts
        self._turns = Turns()
        self._answer: Answer | None = None
        self._is_whole = False
        self.is_done: bool = False
        """Nothing more comes of it, and nothing is open."""

    @property
    def window(self) -> Window:
        """The hours that the answer being read is of."""
        if self._answer is None:
            message = "nothing is being read"
            raise RuntimeError(message)
        return self._answer.window

    async def next_block(self) -> Block | None:
        """Wait for the next lines; ``None`` at the end. Never an empty block.

        Raises:
            ClosedError: It was closed, cancelled or broken before its end.
            ExportError: The archive is damaged or cut.
            AmplitudeError: Amplitude refused, or did not answer.
        """
        if self._is_whole:
            return None
        if self.is_done:
            # As above: never a short success.
            raise ClosedError(_INTERRUPTED)
        try:
            block = await self._next()
        except BaseException:
            self.end()
            raise
        if block is None:
            self._is_whole = True
            self.end()
        return block

    async def _next(self) -> Block | None:
        reader, turns = self._reader, self._turns
        while True:
            if self._answer is None:
                self._answer = await self._downloads.next_answer()
                if self._answer is None:
                    return None
                reader = self._reader = self._new_reader()
            block = reader.read_block()
            if block is not None:
                if turns.is_over():
                    await turns.take()
                if block.rows:
                    return block
                continue
            chunk = await self._answer.next_chunk()
            if chunk is None:
                reader.finish()
                self._note(reader)
                self._answer = None
            else:
                self._counts.bytes += len(chunk)
                reader.feed(chunk)

    def _note(self, reader: ArchiveReader) -> None:
        self._counts.members += reader.members
        self._counts.skipped_members += reader.skipped_count
        if reader.skipped_count:
            names = ", ".join(reader.skipped_members)
            message = f"{reader.skipped_count} files within the export are no gzip and were skipped: {names:.200}"
            warnings.warn(message, ExportWarning, stacklevel=2)

    def end(self) -> None:
        """Read no more, and close what is open without waiting for it. Safe to call again."""
        if not self.is_done:
            self.is_done = True
            self._counts.requests += self._downloads.requests
            self._downloads.close_soon()

    async def aclose(self) -> None:
        """Close the download. Safe to call again."""
        self.end()
        await self._downloads.aclose()


class Batches(Generic[T]):
    """Rows, a list at a time. An async iterator, and an async context manager that closes its download."""

    def __init__(self, blocks: Blocks, decoder: RowDecoder[T], counts: ExportCounts) -> None:
        self._blocks = blocks
        self._decoder = decoder
        self._counts = counts
        self._error: ExportError | None = None
        self._is_closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[T]:
        rows = await self.next_rows()
        if rows is None:
            raise StopAsyncIteration
        return rows

    async def next_rows(self) -> list[T] | None:
        """Wait for the next rows; ``None`` at the end. Never an empty list.

        Raises:
            ClosedError: It was closed.
            ExportError: The archive is damaged or cut, or a row cannot be read.
            AmplitudeError: Amplitude refused, or did not answer.
        """
        if self._is_closed:
            raise ClosedError(_CLOSED)
        while self._error is None:
            block = await self._blocks.next_block()
            if block is None:
                return None
            try:
                rows, skipped, self._error = self._decoder.decode(block)
            except BaseException:
                # A model of the caller's may raise what it likes.
                self._blocks.end()
                raise
            self._counts.rows += len(rows)
            self._counts.skipped_rows += skipped
            if rows:
                return rows
        # Given after the rows that came before the fault.
        self._blocks.end()
        raise self._error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the download. Safe to call again."""
        self._is_closed = True
        await self._blocks.aclose()


class Rows(Generic[T]):
    """Rows, one by one. An async iterator, and an async context manager that closes its download."""

    def __init__(self, batches: Batches[T]) -> None:
        self._batches = batches
        self._rows: Iterator[T] = iter(())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        for row in self._rows:
            return row
        rows = await self._batches.next_rows()
        if rows is None:
            raise StopAsyncIteration
        self._rows = iter(rows)
        return next(self._rows)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the download. Safe to call again."""
        self._rows = iter(())
        await self._batches.aclose()
