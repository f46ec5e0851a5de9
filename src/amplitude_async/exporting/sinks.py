"""Where rows go: files of JSON lines or of Parquet, whole or one an hour.

A sink takes lines as they come out of the archive, in order. Its file appears under its name when it is committed; until then, and
if anything fails, there is none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, Self

import msgspec

from amplitude_async._protocol.decoding import RowSifter, lines_of, unreadable
from amplitude_async._protocol.masking import mask
from amplitude_async.exporting.cells import UnreadableRowError
from amplitude_async.exporting.files import AtomicFile, Buffered, in_thread
from amplitude_async.exporting.plan import hour_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from amplitude_async._protocol.decoding import BadRows
    from amplitude_async.exporting.archive import Block
    from amplitude_async.exporting.files import BytesTarget
    from amplitude_async.exporting.parquet import ParquetWriter
    from amplitude_async.exporting.plan import Window

__all__ = ["ExportedFile", "HourFiles", "LineSink", "NdjsonSink", "ParquetSink", "RowFormat", "by_hour", "hour_of"]

RowFormat = Literal["ndjson", "parquet"]

PARQUET_HOP_BYTES: Final = 4 << 20
"""How much text is gathered for one turn of the Parquet writer in its thread."""

_HOUR_IN_NAME: Final = re.compile(r"_(\d{4})-(\d{2})-(\d{2})_(\d{1,2})(?:#|\.|$)", re.ASCII)
_HOUR_IN_ROW: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})[ T](\d{2})", re.ASCII)


class ExportedFile(NamedTuple):
    """A file that was written.

    Attributes:
        name: Its path, as text; ``""`` for a target that is no path.
        hour: The hour of its rows as ``YYYYMMDDTHH``; ``""`` if it holds a whole range.
        bytes: Its length.
        rows: How many rows it holds.
        sha256: Its SHA-256 in hex, where that was asked for, else ``""``.
    """

    name: str
    hour: str
    bytes: int
    rows: int
    sha256: str = ""


class LineSink(Protocol):
    """A file of rows in the making; an async context manager that removes it unless it was committed.

    Attributes:
        rows: How many rows it took.
        skipped: How many lines could not be read and were left out.
    """

    rows: int
    skipped: int

    async def __aenter__(self) -> Self:
        """Create it."""

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Remove it, unless it was committed."""

    async def write(self, block: Block) -> None:
        """Take lines, each one row.

        Raises:
            ExportError: One cannot be read, and such rows are not left out; or the disk is full.
        """

    async def commit(self) -> ExportedFile:
        """Give it its name."""


class NdjsonSink:
    """Rows as they were sent, one a line.

    Args:
        target: A path, or something with an async ``write``.
        is_gzipped: Whether to compress.
        bad_rows: What becomes of a line that is no JSON object.
        is_hashed: Whether to compute the SHA-256.
        hour: The hour it is for, as text.
    """

    def __init__(
        self, target: Path | BytesTarget, *, is_gzipped: bool, bad_rows: BadRows, is_hashed: bool = False, hour: str = ""
    ) -> None:
        self._name = "" if hasattr(target, "write") else str(target)
        self._file = Buffered(target, is_gzipped=is_gzipped, is_hashed=is_hashed)
        self._hour = hour
        self._sifter = RowSifter(bad_rows)
        self.rows: int = 0
        self.skipped: int = 0

    async def __aenter__(self) -> Self:
        await self._file.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self._file.__aexit__(kind, error, traceback)

    async def write(self, block: Block) -> None:
        """Take lines, each one row.

        Raises:
            ExportError: One cannot be read, and such rows are not left out; or the disk is full.
        """
        good, skipped, error = self._sifter.sift(block)
        if error is not None:
            raise error
        self.rows += good.rows
        self.skipped += skipped
        text = good.text
        if not text:
            return
        await self._file.write(text if text.endswith(b"\n") else text + b"\n")

    async def commit(self) -> ExportedFile:
        """Give it its name."""
        await self._file.commit()
        return ExportedFile(self._name, self._hour, self._file.length, self.rows, self._file.sha256)


class ParquetSink:
    """Rows in Parquet, by the explicit columns of :mod:`amplitude_async.exporting.columns`.

    Args:
        path: The file.
        bad_rows: What becomes of a line that is no JSON object.
        is_hashed: Whether to compute the SHA-256.
        hour: The hour it is for, as text.
    """

    def __init__(self, path: Path, *, bad_rows: BadRows, is_hashed: bool = False, hour: str = "") -> None:
        self._path = path
        self._bad_rows: BadRows = bad_rows
        self._is_hashed = is_hashed
        self._hour = hour
        self.rows: int = 0
        self.skipped: int = 0
        self._texts: list[tuple[bytes, int, Block]] = []
        """What is to be written: lines as one text, how many, and where they are from: a block without lines."""
        self._gathered = 0
        self._file: AtomicFile | None = None
        self._writer: ParquetWriter | None = None

    async def __aenter__(self) -> Self:
        def create() -> None:
            from amplitude_async.exporting.parquet import ParquetWriter  # noqa: PLC0415 - an extra

            file = AtomicFile(self._path)
            self._file = file.hashed() if self._is_hashed else file
            try:
                self._writer = ParquetWriter(self._file)
            except BaseException:
                file.abort()
                raise

        try:
            await in_thread(create)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        def abort() -> None:
            if self._writer is not None:
                self._writer.abort()
            if self._file is not None:
                self._file.abort()

        await in_thread(abort)

    async def write(self, block: Block) -> None:
        """Take lines, each one row.

        Raises:
            ExportError: One of these, or of those before, cannot be read, and such rows are not left out; or the disk is full.
        """
        # Joined while they are in the processor's cache.
        text = block.text
        self._texts.append((text, block.rows, block._replace(lines=[])))
        self._gathered += len(text)
        if self._gathered >= PARQUET_HOP_BYTES:
            await self._hop()

    async def _hop(self) -> None:
        texts, self._texts, self._gathered = self._texts, [], 0

        def write() -> None:
            for text, rows, place in texts:
                self._take(text, rows, place)

        await in_thread(write)

    def _take(self, text: bytes, rows: int, place: Block) -> None:
        """Hand lines to the writer; runs in a thread."""
        writer = self._writer
        if writer is None:
            message = "write() outside the sink's own block"
            raise RuntimeError(message)
        rest: Iterator[bytes] | None = None
        at = 0
        while True:
            try:
                self.rows += writer.write_text(text, rows) if rest is None else writer.write(rest)
            except UnreadableRowError as fault:
                good, reason = fault.index, fault.reason
            else:
                return
            if self._bad_rows == "raise":
                raise unreadable(place, at + good, mask(reason))
            self.rows += good
            self.skipped += 1
            at += good + 1
            if rest is None:
                rest = (line.removesuffix(b"\n") for line in lines_of(text)[at:])

    async def commit(self) -> ExportedFile:
        """Give it its name."""
        await self._hop()
        file, writer = self._file, self._writer
        if file is None or writer is None:
            message = "commit() outside the sink's own block"
            raise RuntimeError(message)

        def commit() -> None:
            writer.close()
            file.commit()

        await in_thread(commit)
        return ExportedFile(str(self._path), self._hour, file.length, self.rows, file.sha256)


class _Uploaded(msgspec.Struct):
    server_upload_time: str | None = None


_uploaded: Final = msgspec.json.Decoder(_Uploaded)


def hour_of(block: Block, window: Window) -> str:
    """Return the hour that a block's member is of, by its name; ``""`` if only its rows can tell."""
    match = _HOUR_IN_NAME.search(block.member)
    if match is not None:
        return f"{match[1]}{match[2]}{match[3]}T{int(match[4]):02}"
    return hour_text(window.first) if window.hours == 1 else ""


def by_hour(block: Block) -> list[tuple[str, Block]]:
    """Group rows by the hour they were uploaded in, keeping their order.

    Raises:
        ExportError: A row does not say which hour that is.
    """
    grouped: dict[str, list[bytes]] = {}
    for index, line in enumerate(block.lines):
        try:
            match = _HOUR_IN_ROW.match(_uploaded.decode(line).server_upload_time or "")
        except ValueError:
            match = None
        if match is None:
            raise unreadable(block, index, "it does not say when it was uploaded")
        grouped.setdefault(f"{match[1]}{match[2]}{match[3]}T{match[4]}", []).append(line if line.endswith(b"\n") else line + b"\n")
    return [(hour, block._replace(lines=own)) for hour, own in grouped.items()]


class HourFiles:
    """Files in a folder, one for each hour that has rows, named after it: ``20260501T07.parquet``.

    Should an archive come back to an hour that it had left, that hour gets a further file, ``20260501T07-2.parquet``. Files that
    were finished before a failure stay; each is complete. An async context manager.
    """

    def __init__(
        self,
        folder: Path,
        format: RowFormat,  # noqa: A002 - the user's own word
        *,
        bad_rows: BadRows,
        is_gzipped: bool = True,
    ) -> None:
        self._bad_rows: BadRows = bad_rows
        self._sifter = RowSifter(bad_rows)
        self._is_gzipped = is_gzipped
        self._folder = folder
        self._format: RowFormat = format
        self._hour = ""
        self._sink: LineSink | None = None
        self._parts: dict[str, int] = {}
        self.files: list[ExportedFile] = []
        """The files that are complete."""
        self.rows: int = 0
        self.skipped: int = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._sink is not None:
            await self._sink.__aexit__(kind, error, traceback)
            self._sink = None

    async def write(self, block: Block, window: Window) -> None:
        """Take lines, each one row, of an answer to a window.

        Raises:
            ExportError: One cannot be read, and such rows are not left out; or the disk is full.
        """
        hour = hour_of(block, window)
        if hour:
            await self._write(hour, block)
            return
        good, skipped, error = self._sifter.sift(block)
        if error is not None:
            raise error
        self.skipped += skipped
        for own_hour, own in by_hour(good):
            await self._write(own_hour, own)

    async def _write(self, hour: str, block: Block) -> None:
        if self._sink is None or hour != self._hour:
            await self.finish()
            part = self._parts[hour] = self._parts.get(hour, 0) + 1
            name = hour if part == 1 else f"{hour}-{part}"
            self._hour = hour
            self._sink = await self._sink_for(name, hour).__aenter__()
        await self._sink.write(block)

    def _sink_for(self, name: str, hour: str) -> LineSink:
        if self._format == "parquet":
            return ParquetSink(self._folder / f"{name}.parquet", bad_rows=self._bad_rows, hour=hour)
        suffix = ".ndjson.gz" if self._is_gzipped else ".ndjson"
        return NdjsonSink(self._folder / f"{name}{suffix}", is_gzipped=self._is_gzipped, bad_rows=self._bad_rows, hour=hour)

    async def finish(self) -> None:
        """Commit the file that is being written, if there is one."""
        sink, self._sink = self._sink, None
        if sink is not None:
            try:
                self.files.append(await sink.commit())
                self.rows += sink.rows
                self.skipped += sink.skipped
            finally:
                await sink.__aexit__(None, None, None)
