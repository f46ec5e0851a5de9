"""A folder kept up to date: every hour of a range in a file of its own, fetched once, resumable at any instant.

It is nothing but the hours of a range, a fetch that is idempotent for one hour, and the manifest that says which hours are whole.
"""

from __future__ import annotations

from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import anyio

from amplitude_async.errors import (
    ExportError,
    ExportStorageError,
    InvalidArgumentError,
    RangeTooLargeError,
    RateLimitedError,
    ServerError,
    TransportError,
    UnexpectedResponseError,
)
from amplitude_async.exporting.files import checked_path, in_thread
from amplitude_async.exporting.manifest import HourRecord, Manifest
from amplitude_async.exporting.plan import hour_number, hour_text
from amplitude_async.exporting.sinks import NdjsonSink, ParquetSink

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from amplitude_async._protocol.decoding import BadRows
    from amplitude_async.exporting.export import Export
    from amplitude_async.exporting.files import PathLike
    from amplitude_async.exporting.sinks import LineSink

__all__ = ["SUFFIXES", "SyncFormat", "SyncProgress", "SyncReport", "fetch_hour", "is_settled", "run_sync"]

SyncFormat = Literal["parquet", "ndjson", "zip"]

SUFFIXES: Final[Mapping[str, str]] = {"parquet": ".parquet", "ndjson": ".ndjson.gz", "zip": ".zip"}
MOST_AT_ONCE: Final = 4
"""Amplitude lets a project have five queries in flight; a job leaves one for the dashboards."""
HOUR_TRIES: Final = 3
"""How often an hour is tried whose download breaks or is damaged."""
LIMITED_TRIES: Final = 20
"""How often it is tried when Amplitude says that there are too many requests."""
FAILED_IN_A_ROW: Final = 5
"""So many hours one after another that no answer came for, or an error of the server: it would be no different for the rest."""
SETTLED_AFTER_HOURS: Final = 6
"""An hour fetched sooner after its end than this is fetched again by the next job, for late rows."""


class SyncProgress(NamedTuple):
    """How far a job is, after each hour.

    Attributes:
        hour: The hour that was just finished, as ``YYYYMMDDTHH``; ``""`` before the first.
        state: ``"done"``, ``"empty"``, ``"failed"``, or ``"start"`` before the first.
        hours_done: Hours that are whole, those that were there already included.
        hours_failed: Hours that could not be fetched.
        hours_total: Hours of the range.
        bytes: Bytes that this job wrote.
        rows: Rows that this job wrote.
    """

    hour: str
    state: str
    hours_done: int
    hours_failed: int
    hours_total: int
    bytes: int
    rows: int


class SyncReport(NamedTuple):
    """What a job came to.

    Attributes:
        hours: Hours of the range.
        fetched: Hours that this job fetched.
        kept: Hours that were whole already.
        empty: Hours without data.
        provisional: Hours that the next job fetches again, for late rows.
        bytes: Bytes that this job wrote.
        rows: Rows of the whole range.
        files: Names of the range's files within the folder, sorted.
    """

    hours: int
    fetched: int
    kept: int
    empty: int
    provisional: int
    bytes: int
    rows: int
    files: tuple[str, ...]


def check_format(format: object) -> None:  # noqa: A002 - the user's own word
    """Refuse what is no format of exported hours.

    Raises:
        InvalidArgumentError: It is none.
    """
    if not isinstance(format, str) or format not in SUFFIXES:
        message = f"format must be one of {', '.join(SUFFIXES)}, not {format!r:.40}"
        raise InvalidArgumentError(message, argument="format")


def is_settled(hour: int, now: float) -> bool:
    """Say whether an hour ended so long ago, at a Unix time in seconds, that no late rows are awaited."""
    return hour + 1 + SETTLED_AFTER_HOURS <= now // 3600


async def fetch_hour(export: Export, folder: Path, format: SyncFormat, *, bad_rows: BadRows, is_final: bool) -> HourRecord:  # noqa: A002 - the user's own word
    """Download one hour into its file; idempotent: the same data gives the same file, however often.

    Args:
        export: The export of that hour alone.
        folder: Where the file goes; it is named after the hour.
        format: What it becomes.
        bad_rows: What becomes of rows that cannot be read.
        is_final: Whether the hour ended long enough ago.

    Raises:
        AmplitudeError: The hour could not be fetched; there is no new file.
    """
    hour = export.start
    path = folder / f"{hour}{SUFFIXES[format]}"
    if format == "zip":
        saved = await export.save_verified(path, bad_rows=bad_rows)
        if saved is None:
            return HourRecord(hour, "empty", is_final=is_final)
        return HourRecord(hour, "done", path.name, saved.bytes, saved.rows or 0, saved.sha256, is_final)
    sink: LineSink
    if format == "parquet":
        sink = ParquetSink(path, bad_rows=bad_rows, is_hashed=True, hour=hour)
    else:
        sink = NdjsonSink(path, is_gzipped=True, bad_rows=bad_rows, is_hashed=True, hour=hour)
    async with sink:
        await export.write_into(sink, bad_rows)
        if not export.counts.bytes:
            return HourRecord(hour, "empty", is_final=is_final)
        file = await sink.commit()
    return HourRecord(hour, "done", path.name, file.bytes, file.rows, file.sha256, is_final)


def _hours_of(export: Export) -> list[str]:
    return [hour_text(hour) for hour in range(hour_number(export.start), hour_number(export.end) + 1)]


class _Job:
    """One run over the hours of a range."""

    def __init__(
        self,
        export: Export,
        manifest: Manifest,
        whole: set[str],
        format: SyncFormat,  # noqa: A002 - the user's own word
        bad_rows: BadRows,
        now: float,
        progress: Callable[[SyncProgress], object] | None,
    ) -> None:
        self._export = export
        self._manifest = manifest
        self._format: SyncFormat = format
        self._bad_rows: BadRows = bad_rows
        self._now = now
        self._progress = progress
        self._hours = _hours_of(export)
        self._whole = whole
        self._waiting = [hour for hour in reversed(self._hours) if hour not in self._whole]
        self._in_a_row = 0
        self._fetched = 0
        self._bytes = self._rows = 0
        self._failed: dict[str, ExportError | RangeTooLargeError | TransportError | UnexpectedResponseError | ServerError] = {}
        self._fatal: BaseException | None = None

    async def run(self, at_once: int) -> SyncReport:
        """Fetch what is missing.

        Raises:
            ExportError: Hours failed; the others are there.
            AmplitudeError: Nothing more can be fetched.
        """
        kept = len(self._whole)
        await self._tell("", "start")
        async with anyio.create_task_group() as group:
            for _ in range(min(at_once, len(self._waiting))):
                group.start_soon(self._worker, group.cancel_scope)
        if self._fatal is not None:
            raise self._fatal
        await in_thread(self._manifest.tidy)
        if self._failed:
            hour, first = next(iter(sorted(self._failed.items())))
            count = f"{len(self._failed)} of {len(self._hours)} hours"
            message = f"{count} could not be fetched; run it again to try them again. {hour}: {first}"
            error = ExportError(message)
            error.hours = tuple(sorted(self._failed))
            error.__cause__ = first
            raise error
        records = [self._manifest.records[hour] for hour in self._hours]
        return SyncReport(
            hours=len(self._hours),
            fetched=self._fetched,
            kept=kept,
            empty=sum(record.state == "empty" for record in records),
            provisional=sum(not record.is_final for record in records),
            bytes=self._bytes,
            rows=sum(record.rows for record in records),
            files=tuple(sorted(record.file for record in records if record.file)),
        )

    async def _worker(self, scope: anyio.CancelScope) -> None:
        """Fetch one hour after another; what no other hour would survive ends all workers."""
        try:
            while self._waiting:
                await self._one(self._waiting.pop())
        except Exception as error:  # noqa: BLE001 - handed to the caller of run() as it is, not in a group
            self._fatal = self._fatal or error
            scope.cancel()

    async def _one(self, hour: str) -> None:
        record: HourRecord | None = None
        try:
            record = await self._with_patience(hour)
        except ExportStorageError:
            raise
        except (ExportError, RangeTooLargeError, TransportError, UnexpectedResponseError, ServerError) as error:
            self._failed[hour] = error.with_traceback(None)
            self._in_a_row += isinstance(error, (TransportError, ServerError))
            if self._in_a_row >= FAILED_IN_A_ROW:
                raise
        if record is None:
            await self._tell(hour, "failed")
            return
        before = self._manifest.records.get(hour)
        if record.state == "empty" and before is not None and before.state == "done":
            # What was there once is not taken away by an answer that says there is nothing.
            record = before._replace(is_final=record.is_final)
        noted = record
        await in_thread(lambda: self._manifest.add(noted))
        self._in_a_row = 0
        self._fetched += 1
        self._whole.add(hour)
        if record.state == "done":
            self._bytes += record.bytes
            self._rows += record.rows
        await self._tell(hour, record.state)

    async def _with_patience(self, hour: str) -> HourRecord:
        """Fetch an hour, again if the line broke, and as often as it takes if there are too many requests."""
        tries = limited = 0
        while True:
            export = self._export.of_hour(hour)
            # Closing the export of the range closes those of its hours, and what passed through them passed through it.
            is_final = is_settled(hour_number(hour), self._now)
            try:
                return await fetch_hour(export, self._manifest.folder, self._format, bad_rows=self._bad_rows, is_final=is_final)
            except (ExportStorageError, RangeTooLargeError):
                raise
            except RateLimitedError as error:
                limited += 1
                if limited >= LIMITED_TRIES:
                    raise
                hint = error.retry_after
            except (ExportError, TransportError, UnexpectedResponseError, ServerError):
                tries += 1
                if tries >= HOUR_TRIES:
                    raise
                hint = None
            finally:
                self._export.hour_ended(export)
            await self._export.rest(max(1, tries + limited), hint)

    async def _tell(self, hour: str, state: str) -> None:
        if self._progress is None:
            return
        told: Any = self._progress(
            SyncProgress(hour, state, len(self._whole), len(self._failed), len(self._hours), self._bytes, self._rows)
        )
        if isawaitable(told):
            await told


async def run_sync(
    export: Export,
    folder: PathLike,
    *,
    format: SyncFormat,  # noqa: A002 - the user's own word
    progress: Callable[[SyncProgress], Awaitable[None] | None] | None,
    at_once: int,
    bad_rows: BadRows,
    project: str,
    now: float,
) -> SyncReport:
    """Keep a folder up to date; see :meth:`amplitude_async.Export.sync`."""
    check_format(format)
    if progress is not None and not callable(progress):
        message = f"progress must be called with each hour, and {type(progress).__name__} cannot be"
        raise InvalidArgumentError(message, argument="progress")
    if isinstance(at_once, bool) or not isinstance(at_once, int) or not 1 <= at_once <= MOST_AT_ONCE:
        message = f"at_once must be a whole number from 1 to {MOST_AT_ONCE}"
        raise InvalidArgumentError(message, argument="at_once")
    path = checked_path(folder, argument="folder")
    if format == "parquet":
        from amplitude_async.exporting.parquet import require  # noqa: PLC0415 - an extra

        require()
    opened: list[Manifest] = []
    whole: set[str] = set()

    def open_manifest() -> None:
        # Remembered here, in the thread: nobody else would know of the lock if the caller were cancelled meanwhile.
        opened.append(Manifest(path, project=project, format=format))
        whole.update(hour for hour in _hours_of(export) if opened[0].is_whole(hour))

    try:
        await in_thread(open_manifest)
        return await _Job(export, opened[0], whole, format, bad_rows, now, progress).run(at_once)
    finally:
        for manifest in opened:
            await in_thread(manifest.close)
