"""An export: as the bytes of its zip, as rows, as files.

Amplitude's page: https://amplitude.com/docs/apis/analytics/export
"""

from __future__ import annotations

import os
import time
import warnings
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeVar, overload

from amplitude_async._protocol.dates import check_order, export_hour
from amplitude_async.errors import ClosedError, ExportWarning, InvalidArgumentError, NotFoundError
from amplitude_async.exporting.downloads import Downloads, is_page
from amplitude_async.exporting.plan import MAX_HOURS, Plan, Window, hour_number, hour_text, last_complete_hour
from amplitude_async.exporting.reading import Batches, Blocks, Chunks, ExportCounts, Rows, Turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import date
    from pathlib import Path
    from types import TracebackType

    from amplitude_async._protocol.decoding import BadRows, RowDecoder
    from amplitude_async.exporting.archive import Block
    from amplitude_async.exporting.downloads import Opener
    from amplitude_async.exporting.files import BytesTarget, PathLike
    from amplitude_async.exporting.frames import ArchiveLimits
    from amplitude_async.exporting.manifest import HourRecord
    from amplitude_async.exporting.sinks import ExportedFile, HourFiles, LineSink
    from amplitude_async.exporting.sync import SyncFormat, SyncProgress, SyncReport

__all__ = ["Export", "ExportCounts", "Incomplete", "SavedExport", "requested_export"]

T = TypeVar("T")
R = TypeVar("R", "Chunks", "Blocks")

Incomplete = bool | Literal["warn", "skip"]
"""What becomes of hours that ended less than two hours ago: a warning, ``True`` (taken), ``"skip"``, ``False`` (refused)."""


class SavedExport(NamedTuple):
    """What :meth:`Export.save` wrote.

    Attributes:
        bytes: The length of the zip.
        members: How many files it holds.
        rows: How many rows those hold, where ``verify="rows"`` counted them, else ``None``.
        sha256: Its SHA-256 in hex, in the records of jobs, else ``""``.
    """

    bytes: int
    members: int
    rows: int | None
    sha256: str = ""


class Export:
    """Raw events of a range of hours.

    Made by :meth:`amplitude_async.AsyncAmplitude.export`; nothing is sent until it is used. It can be used several ways, and each
    use is a download of its own:

    ====================================  ====================================================================
    ``async for chunk in export``         the bytes of a zip of gzipped JSON lines, as they arrive
    ``async for row in export.events()``  rows, decoded while the archive downloads, in constant memory
    ``async for rows in export.batches()`` the same, a list at a time
    ``await export.save(path)``           a verified zip
    ``await export.to_ndjson(path)``      a file of JSON lines
    ``await export.to_parquet(folder)``   Parquet files, one an hour
    ``await export.sync(folder)``         a folder kept up to date, resumable
    ====================================  ====================================================================

    As an async context manager it closes its downloads when the block is left, however that happens. After a bare ``break``
    a download is closed at the latest with the client, with a ResourceWarning.

    Attributes:
        start: The first hour as ``YYYYMMDDTHH``, UTC.
        end: The last hour, included.
        counts: What passed through so far.
    """

    def __init__(
        self,
        opener: Opener,
        window: Window,
        *,
        may_split: bool = True,
        limits: ArchiveLimits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.start: str = window.start
        self.end: str = window.end
        self.counts: ExportCounts = ExportCounts()
        self._opener = opener
        self._window = window
        self._may_split = may_split
        self._limits = limits
        self._clock = clock
        self._children: list[Export] = []
        self._readings: list[Chunks | Blocks] = []
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Export start={self.start!r} end={self.end!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every download of this export. Safe to call again."""
        self._is_closed = True
        for child in tuple(self._children):
            await child.aclose()
        while self._readings:
            await self._readings.pop().aclose()

    # Bytes

    def __aiter__(self) -> Chunks:
        return self._chunks()

    def _chunks(self) -> Chunks:
        return self._kept(Chunks(self._begin(), self.counts, self._limits, f"{self.start} to {self.end}"))

    async def save(self, target: PathLike | BytesTarget, *, verify: Literal["archive", "rows"] = "archive") -> SavedExport:
        """Write the export as one zip, verified before it appears.

        A path gets its name only when the whole zip was written, synced and found sound: every member's CRC and sizes, the central
        directory against the members, the end record. Until then it is a hidden ``.part`` file beside it, which is removed if anything
        fails. The file is readable by its owner alone (mode 0600); a link at the path is replaced, not followed.

        A page in place of a zip, and more bytes than were announced or than ``limits`` believe, are an error as soon as they come;
        what else is damaged is found when the whole zip is there. A zip is taken as its directory says, as by all who unzip it. Who
        reads forward cannot (``verify="rows"``, a target, ``events()``, ``sync``): a file that was made to hold a false end of itself
        may be an error there, and never gives other rows.

        Args:
            target: A path, or anything with an async ``write(bytes)``: an aiofiles or anyio file, an upload. Such a target is
                written to as the zip arrives, 2 MB at a time; it is not closed, and an error means that what it got is not sound.
            verify: ``"rows"`` also inflates the members, checks the gzips within, and reads and counts every row.

        Returns:
            Length, members and (with ``verify="rows"``) rows.

        Raises:
            InvalidArgumentError: The target is a folder, or its folder is missing; nothing was sent.
            NotFoundError: The range has no data. An empty file would be no zip.
            ExportError: The archive is damaged or cut, or the disk is full.
            RangeTooLargeError: An hour is more than Amplitude gives in one answer.
            AmplitudeError: Amplitude refused, or did not answer.
        """
        from amplitude_async.exporting.files import as_path  # noqa: PLC0415 - only where something is written

        if not isinstance(verify, str) or verify not in {"archive", "rows"}:
            message = f"verify must be 'archive' or 'rows', not {verify!r:.40}"
            raise InvalidArgumentError(message, argument="verify")
        path = as_path(target, argument="target")
        return await self._saved(_writable(target) if path is None else path, with_rows=verify == "rows")

    async def save_verified(self, path: Path, *, bad_rows: BadRows = "raise") -> SavedExport | None:
        """Save with ``verify="rows"`` and the SHA-256; ``None`` if there is no data. Bad rows that are skipped stay in the zip."""
        try:
            return await self._saved(path, with_rows=True, is_hashed=True, bad_rows=bad_rows)
        except NotFoundError as error:
            if is_page(error.data):
                raise
            return None

    async def _saved(
        self, target: Path | BytesTarget, *, with_rows: bool, is_hashed: bool = False, bad_rows: BadRows = "raise"
    ) -> SavedExport:
        if not with_rows and isinstance(target, os.PathLike):
            return await self._saved_then_checked(target)
        from amplitude_async.exporting.files import Buffered  # noqa: PLC0415 - only where something is written
        from amplitude_async.exporting.verifying import ArchiveCheck, RowCheck  # noqa: PLC0415 - as above

        check: ArchiveCheck | RowCheck = RowCheck(self._limits, bad_rows) if with_rows else ArchiveCheck(self._limits)
        turns = Turns()
        async with Buffered(target, is_hashed=is_hashed) as file, aclosing(self._chunks()) as chunks:
            async for chunk in chunks:
                check.feed(chunk)
                while check.step():
                    if turns.is_over():
                        await turns.take()
                await file.write(chunk)
            check.finish()
            await file.commit()
        self.counts.members += check.members
        self.counts.rows += check.rows or 0
        self.counts.skipped_rows += check.skipped
        return SavedExport(file.length, check.members, check.rows, file.sha256)

    async def _saved_then_checked(self, path: Path) -> SavedExport:
        """Save, and check what is in the file: there it costs less than as it passes by."""
        from amplitude_async.exporting.files import Buffered  # noqa: PLC0415 - only where something is written
        from amplitude_async.exporting.sums import BlockSums  # noqa: PLC0415 - as above
        from amplitude_async.exporting.verifying import FileCheck  # noqa: PLC0415 - as above

        sums = BlockSums()
        async with Buffered(path, look=sums.add) as file, aclosing(self._chunks()) as chunks:
            async for chunk in chunks:
                await file.write(chunk)
            check = FileCheck(file.read, sums, self._limits)
            await file.commit(check.step)
        self.counts.members += check.members
        return SavedExport(file.length, check.members, None)

    # Rows

    @overload
    def events(self, *, model: None = None, strict: bool = False, bad_rows: BadRows = "raise") -> Rows[dict[str, Any]]: ...
    @overload
    def events(self, *, model: type[T], strict: bool = False, bad_rows: BadRows = "raise") -> Rows[T]: ...
    def events(self, *, model: type[Any] | None = None, strict: bool = False, bad_rows: BadRows = "raise") -> Rows[Any]:
        """Return the rows one by one, decoded while the archive downloads, in constant memory, with no temporary file.

        Each row is a dict, exactly as sent, or whatever ``model`` makes of it. The event loop gets a turn every 2.5 ms. A range
        without data has no rows.

        Args:
            model: What a row becomes, anything msgspec can decode into: a ``msgspec.Struct`` of your own with the columns you
                need (fields typed ``msgspec.Raw`` stay as JSON text, which is quickest), or
                :class:`amplitude_async.ExportedEvent`.
            strict: Give no row of a file within the archive before the whole file was verified. Otherwise a damaged file is found
                out at its end at the latest, when some of its rows were given. It holds a file, as downloaded and up to 64 MiB, in
                memory.
            bad_rows: ``"raise"`` an ExportError that names file and line when a row is no JSON object or not what ``model`` asks
                for, or ``"skip"`` it; ``counts.skipped_rows`` says how many were.

        Returns:
            An async iterator that is an async context manager too. Closing it, or the export, closes the download.

        Raises:
            InvalidArgumentError: ``model`` is nothing that can be decoded into.
            ExportError: While iterating: the archive is damaged or cut, or a row cannot be read.
            RangeTooLargeError: While iterating: an hour is more than Amplitude gives in one answer.
            AmplitudeError: While iterating: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/export
        """
        return Rows(self.batches(model=model, strict=strict, bad_rows=bad_rows))

    @overload
    def batches(self, *, model: None = None, strict: bool = False, bad_rows: BadRows = "raise") -> Batches[dict[str, Any]]: ...
    @overload
    def batches(self, *, model: type[T], strict: bool = False, bad_rows: BadRows = "raise") -> Batches[T]: ...
    def batches(self, *, model: type[Any] | None = None, strict: bool = False, bad_rows: BadRows = "raise") -> Batches[Any]:
        """Return the rows as they come, in lists: what one step of inflating gives. Never an empty list.

        Of rows of 2 kB that are 15, of a model of few columns 45. For those who count microseconds: a step of ``async for`` for every
        row is not free. Otherwise as :meth:`events`.

        Args:
            model: As for :meth:`events`.
            strict: As for :meth:`events`.
            bad_rows: As for :meth:`events`.

        Raises:
            AmplitudeError: As for :meth:`events`.
        """
        decoder = self._decoder(model, bad_rows)
        blocks = self._blocks(is_strict=strict, bad_rows=bad_rows, piece_bytes=decoder.piece_bytes)
        return Batches(blocks, decoder, self.counts)

    def _decoder(self, model: type[Any] | None, bad_rows: BadRows) -> RowDecoder[Any]:
        from amplitude_async._protocol.decoding import RowDecoder  # noqa: PLC0415 - only where rows are decoded

        return RowDecoder(dict if model is None else model, bad_rows)

    def _blocks(self, *, bad_rows: BadRows, is_strict: bool = False, piece_bytes: int | None = None) -> Blocks:
        check_bad_rows(bad_rows)
        begun = self._begin()
        return self._kept(Blocks(begun, self.counts, self._limits, is_strict=is_strict, bad_rows=bad_rows, piece_bytes=piece_bytes))

    # Files of rows

    async def to_ndjson(
        self, target: PathLike | BytesTarget, *, compress: bool | None = None, bad_rows: BadRows = "raise"
    ) -> list[ExportedFile]:
        """Write the rows as JSON lines, exactly as sent, verified before the file appears.

        Args:
            target: A path: one file with all rows. A folder that exists: one file an hour, named after it
                (``20260501T07.ndjson.gz``), none for an hour without rows. Or anything with an async ``write(bytes)``.
            compress: Whether to gzip; by default if the path ends in ``.gz``, and in a folder. Equal rows give equal bytes.
            bad_rows: What becomes of a line that is no JSON object: ``"raise"`` or ``"skip"``.

        Returns:
            The files that were written.

        Raises:
            InvalidArgumentError: The target's folder is missing; nothing was sent.
            ExportError: The archive is damaged, a row cannot be read, or the disk is full.
            AmplitudeError: Amplitude refused, or did not answer.
        """
        from amplitude_async.exporting.files import as_folder, as_path  # noqa: PLC0415 - only where something is written
        from amplitude_async.exporting.sinks import HourFiles, NdjsonSink  # noqa: PLC0415 - as above

        folder = as_folder(target)
        if folder is not None:
            return await self._hourly(HourFiles(folder, "ndjson", bad_rows=bad_rows, is_gzipped=compress is not False), bad_rows)
        path = as_path(target, argument="target")
        is_gzipped = compress if compress is not None else path is not None and path.suffix == ".gz"
        async with NdjsonSink(_writable(target) if path is None else path, is_gzipped=is_gzipped, bad_rows=bad_rows) as sink:
            await self.write_into(sink, bad_rows)
            file = await sink.commit()
        self._note(sink)
        return [file]

    async def to_parquet(self, folder: PathLike, *, bad_rows: BadRows = "raise") -> list[ExportedFile]:
        """Write the rows as Parquet, one file an hour, named after it (``20260501T07.parquet``); none for an hour without rows.

        The columns are the 55 of recorded rows, explicit and versioned, never inferred; property maps are JSON text, timestamps are
        UTC, and what has no column is kept in ``_unknown``. See :mod:`amplitude_async.exporting.columns`.

        Args:
            folder: A folder that exists.
            bad_rows: What becomes of a line that is no JSON object: ``"raise"`` or ``"skip"``.

        Returns:
            The files that were written; those finished before a failure stay.

        Raises:
            ConfigurationError: The ``parquet`` extra is not installed.
            InvalidArgumentError: The folder is missing; nothing was sent.
            ExportError: The archive is damaged, a row cannot be read, or the disk is full.
            AmplitudeError: Amplitude refused, or did not answer.
        """
        from amplitude_async.exporting.files import as_folder  # noqa: PLC0415 - only where something is written
        from amplitude_async.exporting.parquet import require  # noqa: PLC0415 - as above
        from amplitude_async.exporting.sinks import HourFiles  # noqa: PLC0415 - as above

        require()
        path = as_folder(folder)
        if path is None:
            message = "folder must be the path of a folder that exists"
            raise InvalidArgumentError(message, argument="folder")
        return await self._hourly(HourFiles(path, "parquet", bad_rows=bad_rows), bad_rows)

    async def _hourly(self, files: HourFiles, bad_rows: BadRows) -> list[ExportedFile]:
        async with files:
            await self._each_block(files.write, bad_rows)
            await files.finish()
        self._note(files)
        return files.files

    async def write_into(self, sink: LineSink, bad_rows: BadRows) -> None:
        """Write the rows into a sink, which is then still to be committed."""

        async def write(block: Block, _: Window) -> None:
            await sink.write(block)

        await self._each_block(write, bad_rows)

    def _note(self, written: LineSink | HourFiles) -> None:
        self.counts.rows += written.rows
        self.counts.skipped_rows += written.skipped

    async def _each_block(self, write: Callable[[Block, Window], Awaitable[None]], bad_rows: BadRows) -> None:
        async with aclosing(self._blocks(bad_rows=bad_rows)) as blocks:
            while (block := await blocks.next_block()) is not None:
                await write(block, blocks.window)

    # Jobs

    async def sync(
        self,
        folder: PathLike,
        *,
        format: SyncFormat = "parquet",  # noqa: A002 - the user's own word
        progress: Callable[[SyncProgress], Awaitable[None] | None] | None = None,
        at_once: int = 2,
        bad_rows: BadRows = "raise",
    ) -> SyncReport:
        """Keep a folder up to date with the range: one file an hour, and a manifest of what is whole.

        Can be killed at any instant: run again, it fetches only what is missing, and ends with the same files. Hours that ended less
        than six hours before they were fetched are fetched again by the next run, for late rows. Every archive is checked down to its
        rows. One job at a time works in a folder, and a folder holds one project in one format.

        Args:
            folder: The folder; made if it is missing, readable by its owner alone.
            format: ``"parquet"``, ``"ndjson"`` (gzipped JSON lines) or ``"zip"`` (as downloaded).
            progress: Called after every hour with a :class:`amplitude_async.exporting.sync.SyncProgress`; it may be async.
            at_once: Hours downloaded at the same time, 1 to 4: Amplitude lets a project have five queries in flight.
            bad_rows: ``"raise"`` or ``"skip"`` rows that cannot be read; with ``"raise"`` their hour fails.

        Returns:
            What the job came to, when every hour is there.

        Raises:
            ConfigurationError: The ``parquet`` extra is missing, or the folder holds another project, format or version.
            ExportStorageError: The disk is full, another job is at work in the folder, or its manifest is damaged.
            ExportError: Hours failed, three times each; all others are there, and the next run tries those again.
            AmplitudeError: Amplitude refused.
        """
        check_bad_rows(bad_rows)
        self._check_open()
        from amplitude_async.exporting.sync import run_sync  # noqa: PLC0415 - only for jobs

        return await run_sync(
            self,
            folder,
            format=format,
            progress=progress,
            at_once=at_once,
            bad_rows=bad_rows,
            project=self._opener.fingerprint().hex(),
            now=self._clock(),
        )

    async def fetch(self, folder: Path, *, format: SyncFormat, bad_rows: BadRows = "raise") -> HourRecord:  # noqa: A002 - as above
        """Download this export of a single hour into its file within a folder; what :meth:`sync` does for each hour.

        Raises:
            AmplitudeError: The hour could not be fetched; there is no new file.
        """
        from amplitude_async.exporting.sync import check_format, fetch_hour, is_settled  # noqa: PLC0415 - only for jobs

        check_bad_rows(bad_rows)
        check_format(format)
        is_final = is_settled(self._window.first, self._clock())
        return await fetch_hour(self, folder, format, bad_rows=bad_rows, is_final=is_final)

    def of_hour(self, hour: str) -> Export:
        """Return the export of one hour, over the same connection; closed with this one.

        Raises:
            ClosedError: This one is closed.
        """
        self._check_open()
        number = hour_number(hour)
        child = Export(self._opener, Window(number, number), may_split=self._may_split, limits=self._limits, clock=self._clock)
        self._children.append(child)
        return child

    def hour_ended(self, child: Export) -> None:
        """Count what passed through the export of an hour, which is not used any more."""
        self._children.remove(child)
        self.counts.add(child.counts)

    async def rest(self, attempt: int, at_least: float | None) -> None:
        """Wait before another attempt, as the client's backoff says."""
        await self._opener.rest(attempt, at_least)

    # What all uses share

    def _check_open(self) -> None:
        if self._is_closed:
            message = "The export is closed; ask the client for a new one."
            raise ClosedError(message)

    def _begin(self) -> Downloads:
        from amplitude_async._protocol.inflating import ArchiveLimits  # noqa: PLC0415 - only where something is downloaded

        self._check_open()
        limits = ArchiveLimits() if self._limits is None else self._limits
        plan = Plan(self._window.first, self._window.last, may_split=self._may_split)
        return Downloads(self._opener, plan, limits.archive_bytes)

    def _kept(self, reading: R) -> R:
        """Remember what reads a download, so that closing the export closes it."""
        self._readings = [one for one in self._readings if not one.is_done]
        self._readings.append(reading)
        return reading


def check_bad_rows(bad_rows: object) -> None:
    """Refuse what is none of the two things that may become of a bad row.

    Raises:
        InvalidArgumentError: It is neither.
    """
    if not isinstance(bad_rows, str) or bad_rows not in {"raise", "skip"}:
        message = f"bad_rows must be 'raise' or 'skip', not {bad_rows!r:.40}"
        raise InvalidArgumentError(message, argument="bad_rows")


def _writable(target: PathLike | BytesTarget) -> BytesTarget:
    if isinstance(target, (str, os.PathLike)):
        message = "a target that can be written to was expected"
        raise TypeError(message)
    return target


def requested_export(
    opener: Opener,
    *,
    start: date | str,
    end: date | str,
    split: bool,
    allow_incomplete: Incomplete,
    limits: ArchiveLimits | None,
    now: float,
) -> Export:
    """Make an export of what a caller asked for.

    Raises:
        InvalidArgumentError: A bound is no hour, the start is after the end, or hours are refused as incomplete.
    """
    if limits is not None:
        from amplitude_async.exporting.frames import check_limits  # noqa: PLC0415 - only where there are any

        check_limits(limits)
    if not isinstance(split, bool):
        message = f"split must be True or False, not {split!r:.40}"
        raise InvalidArgumentError(message, argument="split")
    first_text, last_text = export_hour(start, argument="start"), export_hour(end, argument="end")
    check_order(first_text, last_text)
    first, last = hour_number(first_text), hour_number(last_text)
    if not split and last - first + 1 > MAX_HOURS:
        message = f"the range has {last - first + 1:,} hours and one request may ask for {MAX_HOURS:,}; allow split=True"
        raise InvalidArgumentError(message, argument="split")
    last = _complete(first, last, allow_incomplete, last_complete_hour(now))
    return Export(opener, Window(first, last), may_split=split, limits=limits)


def _complete(first: int, last: int, allow_incomplete: Incomplete, newest: int) -> int:
    """Return the last hour to ask for, given the newest that is complete."""
    if not isinstance(allow_incomplete, bool) and not (isinstance(allow_incomplete, str) and allow_incomplete in {"warn", "skip"}):
        message = f"allow_incomplete must be 'warn', 'skip', True or False, not {allow_incomplete!r:.40}"
        raise InvalidArgumentError(message, argument="allow_incomplete")
    if last <= newest or allow_incomplete is True:
        return last
    count = last - max(first - 1, newest)
    what = f"{count} of the hours, from {hour_text(max(first, newest + 1))}, ended less than two hours ago and may lack events"
    if allow_incomplete is False:
        message = f"end: {what}; ask for less"
        raise InvalidArgumentError(message, argument="end")
    if allow_incomplete == "skip":
        return max(newest, first - 1)
    warnings.warn(f"Export {hour_text(first)} to {hour_text(last)}: {what} (allow_incomplete=)", ExportWarning, stacklevel=4)
    return last
