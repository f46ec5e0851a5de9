"""``export``: raw events into a folder or a file."""

import warnings
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import Parameter

from amplitude_async.cli.exits import DONE
from amplitude_async.cli.printing import err_console, note, print_json, print_lines
from amplitude_async.cli.settings import CONNECTION, Connection
from amplitude_async.cli.spans import Hours, hours_of, last_hours
from amplitude_async.errors import ExportWarning, InvalidArgumentError
from amplitude_async.exporting.sync import SyncFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from amplitude_async.exporting.export import Export

FILE_SUFFIXES: Final = (".zip", ".ndjson", ".ndjson.gz", ".jsonl", ".jsonl.gz")


async def export(
    span: Annotated[str, Parameter(name="RANGE")],
    folder: Annotated[Path | None, Parameter(name="FOLDER")] = None,
    /,
    *,
    last: str | None = None,
    format: Annotated[SyncFormat, Parameter(show_default=True)] = "parquet",
    at_once: int = 2,
    skip_bad_rows: bool = False,
    incomplete: bool = False,
    connection: Connection = CONNECTION,
) -> int:
    """Keep a folder of raw events up to date, one file an hour; or write them to one file.

    `amplitude-async export 2026-05 raw`, `amplitude-async export --last 7d raw --format ndjson`,
    `amplitude-async export 2026-05-01 may1.zip`

    It can be stopped at any time, by Ctrl-C too: run again, it fetches what is missing. A name that ends in .zip, .ndjson or
    .ndjson.gz is one file, which appears when it is whole. Hours are those of the upload, in UTC. The newest two hours are
    not complete at Amplitude yet, and are left out.

    Args:
        span: A month (2026-05), a day (2026-05-01), an hour (2026-05-01T07), or two of them: 2026-05-01..2026-05-07. None with --last.
        folder: Where the files go; a folder that keeps one project in one format.
        last: The newest complete hours instead of a range: 24h, 7d, 2w.
        format: parquet, ndjson (gzipped JSON lines) or zip (as downloaded).
        at_once: Hours downloaded at the same time, 1 to 4.
        skip_bad_rows: Leave out rows that cannot be read; otherwise their hour fails.
        incomplete: Take the newest hours too, as far as they are there.
    """
    hours, target = _what(span, folder, last, datetime.now(UTC), incomplete=incomplete)
    async with connection.client() as client:
        with warnings.catch_warnings():
            # Asked for by --incomplete, and otherwise said below.
            warnings.simplefilter("ignore", ExportWarning)
            made = client.export(start=hours.first, end=hours.last, allow_incomplete=True if incomplete else "skip")
        if made.end < f"{hours.last:%Y%m%dT%H}".zfill(len(made.end)):
            note(f"hours after {made.end} are not complete yet and are left out; --incomplete takes them")
        if made.end < made.start:
            message = f"No hour of {span!r:.60} is complete yet"
            raise InvalidArgumentError(message, argument="RANGE")
        bad_rows: Literal["raise", "skip"] = "skip" if skip_bad_rows else "raise"
        async with made:
            if target.name.endswith(FILE_SUFFIXES):
                return await _to_file(made, target, bad_rows, connection)
            return await _to_folder(made, target, format, at_once, bad_rows, connection)


def _what(span: str, folder: Path | None, last: str | None, now: datetime, *, incomplete: bool) -> tuple[Hours, Path]:
    if last is None:
        if folder is None:
            message = "Give a range and a folder: export 2026-05 raw; or --last: export --last 7d raw"
            raise InvalidArgumentError(message, argument="FOLDER")
        return hours_of(span), folder
    if folder is not None:
        message = f"--last {last} is the range; leave out {span!r:.40}"
        raise InvalidArgumentError(message, argument="RANGE")
    return last_hours(last, now, incomplete=incomplete), Path(span)


async def _to_folder(
    made: "Export", folder: Path, format: SyncFormat, at_once: int, bad_rows: Literal["raise", "skip"], connection: Connection
) -> int:
    console = err_console()
    if console.is_terminal:
        from amplitude_async.exporting.progress import ProgressBar  # noqa: PLC0415 - where somebody looks

        with ProgressBar(console) as bar:
            report = await made.sync(folder, format=format, progress=bar, at_once=at_once, bad_rows=bad_rows)
    else:
        report = await made.sync(folder, format=format, at_once=at_once, bad_rows=bad_rows)
    if connection.json:
        print_json({"folder": str(folder), "start": made.start, "end": made.end, **report._asdict()})
    else:
        later = f"; {report.provisional:,} will be fetched again for late rows" if report.provisional else ""
        print_lines(
            f"{folder}: {made.start} to {made.end}, {report.hours:,} hours ({report.fetched:,} fetched, {report.kept:,} there before,"
            f" {report.empty:,} empty), {report.rows:,} rows, {report.bytes / 1e6:,.1f} MB written{later}"
        )
    return DONE


async def _to_file(made: "Export", target: Path, bad_rows: Literal["raise", "skip"], connection: Connection) -> int:
    with _counter(made, target):
        if target.name.endswith(".zip"):
            saved = await made.save(target, verify="rows")
            size, rows = saved.bytes, saved.rows or 0
        else:
            (file,) = await made.to_ndjson(target, bad_rows=bad_rows)
            size, rows = file.bytes, file.rows
    if connection.json:
        print_json({"file": str(target), "start": made.start, "end": made.end, "bytes": size, "rows": rows})
    else:
        print_lines(f"{target}: {made.start} to {made.end}, {rows:,} rows, {size / 1e6:,.1f} MB")
    return DONE


@contextmanager
def _counter(made: "Export", target: Path) -> "Iterator[None]":
    """Draw what came so far, where somebody looks; how much there is to come, Amplitude does not say."""
    console = err_console()
    if not console.is_terminal:
        yield
        return
    from rich.progress import Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - as it says
    from rich.text import Text  # noqa: PLC0415 - as above

    class Came(ProgressColumn):
        """How much came; drawn whenever the line is."""

        def render(self, _task: object) -> Text:
            return Text(f"{made.counts.bytes / 1e6:,.1f} MB")

    with Progress(SpinnerColumn(), TextColumn("{task.description}"), Came(), TimeElapsedColumn(), console=console) as progress:
        progress.add_task(target.name, total=None)
        yield
