"""``import``: files of events by the Batch API, each going on where it was stopped.

What is remembered of a file is how far *everything* is settled. What was under way when an import was stopped is sent again, under the
same ``insert_id``, and Amplitude counts it once (within 7 days: https://amplitude.com/docs/apis/analytics/batch-event-upload).
"""

import json
import os
import time
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from amplitude_async.cli.exits import DONE, PARTLY
from amplitude_async.cli.lines import FileLines, event_of
from amplitude_async.cli.printing import err_console, note, print_json, print_lines
from amplitude_async.cli.sending import Place, Rejects, Sending, insert_id_of
from amplitude_async.cli.settings import CONNECTION, Connection
from amplitude_async.client import AsyncAmplitude
from amplitude_async.errors import InvalidArgumentError, InvalidEventError

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE: Final = 300.0
"""Amplitude's guide for backfills asks for no more of one device (https://amplitude.com/docs/apis/analytics/batch-event-upload)."""
HEAD_BYTES: Final = 1 << 16
"""What a file is known by: its beginning, so that one that grew is still the same."""
MOST_RATE: Final = 1e6
SAVE_SECONDS: Final = 1.0
_VERSION: Final = 1
_COUNTS: Final = ("delivered", "rejected", "set_aside")


async def import_files(
    files: Annotated[list[Path], Parameter(name="FILE")],
    /,
    *,
    rate: float = RATE,
    patience: float = 600,
    state_folder: Path | None = None,
    again: bool = False,
    dry_run: bool = False,
    min_id_length: int | None = None,
    connection: Connection = CONNECTION,
) -> int:
    """Send files of events, one JSON object a line (also gzipped, .gz), by the Batch API.

    It can be stopped at any time, by Ctrl-C too: run again, it goes on. What it remembers is beside each file, in
    `FILE.import.json`; lines that Amplitude or this program refused are in `FILE.rejects.ndjson`, each with its line and reason, and
    the exit code is then 1. Events without an `insert_id` get one that is the same each time. Give events their `time`.

    Args:
        files: The files.
        rate: Events per second of one user or device. Amplitude throttles above 1,000.
        patience: Seconds that sending may fail before it is given up; run it again to go on.
        state_folder: Keep what it remembers, and the rejected lines, in this folder.
        again: Begin at the start, whatever was sent before.
        dry_run: Only check the lines; nothing is sent.
        min_id_length: The shortest user or device id that Amplitude is to accept; 5, if left out.
    """
    if not 0 < rate <= MOST_RATE or patience < 0:
        message = "--rate and --patience are numbers above 0"
        raise InvalidArgumentError(message, argument="rate")
    for file in files:
        if not file.is_file():
            message = f"{file} is no file" + ("; events that come through a pipe are sent by `track`" if file.exists() else "")
            raise InvalidArgumentError(message, argument="FILE")
    options: dict[str, object] | None = None if min_id_length is None else {"min_id_length": min_id_length}
    reports: list[dict[str, Any]] = []
    async with connection.client() as client:
        for file in files:
            if dry_run:
                report = _checked(file)
            else:
                report = await _one(client, file, _Job(file, state_folder, _project(client), again=again), rate, patience, options)
            reports.append(report)
            if not connection.json:
                print_lines(_sentence(report))
    if connection.json:
        print_json(reports)
    return PARTLY if any(report["rejected"] or report["set_aside"] for report in reports) else DONE


def _project(client: AsyncAmplitude) -> str:
    return client._caller.fingerprint().hex()  # noqa: SLF001 - the library's own room; users have no need of it


class _Job:
    """What is remembered of a file, between runs.

    Args:
        file: The file.
        folder: Where it is remembered; beside the file if left out.
        project: What tells the project's key from others.
        again: Forget what was remembered.

    Raises:
        InvalidArgumentError: It is of another project, or the file is another one now.
    """

    def __init__(self, file: Path, folder: Path | None, project: str, *, again: bool) -> None:
        home = folder or file.parent
        self.path = home / f"{file.name}.import.json"
        self.rejects = home / f"{file.name}.rejects.ndjson"
        self._facts = {"version": _VERSION, "project": project, "head": _head(file)}
        self._saved_at = 0.0
        found = {} if again else self._read(file)
        self.is_done: bool = bool(found.get("is_done")) and found.get("size") == file.stat().st_size
        self.place = Place(*(int(found.get(name, 0)) for name in Place._fields))
        self.counts = {name: int(found.get(name, 0)) for name in _COUNTS}

    def _read(self, file: Path) -> dict[str, Any]:
        try:
            found = json.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            found = None
        if not isinstance(found, dict) or found.get("version") != _VERSION:
            reason = "is no record of an import"
        elif found.get("project") != self._facts["project"]:
            reason = "is of another project"
        elif found.get("head") != self._facts["head"]:
            reason = f"is of another file than {file.name} is now"
        else:
            return found
        message = f"{self.path} {reason}; --again begins anew"
        raise InvalidArgumentError(message, argument="FILE")

    def save(self, file: Path, place: Place, counts: dict[str, int], *, is_done: bool) -> None:
        """Remember how far it is.

        Raises:
            OSError: The disk refuses.
        """
        self._saved_at = time.monotonic()
        facts = {**self._facts, "size": file.stat().st_size, "is_done": is_done, **place._asdict(), **counts}
        part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            json.dump(facts, out)
            out.flush()
            os.fsync(out.fileno())
        part.replace(self.path)

    def is_due(self) -> bool:
        """Whether it was last saved some time ago."""
        return time.monotonic() - self._saved_at >= SAVE_SECONDS


def _head(file: Path) -> str:
    with file.open("rb") as opened:
        first, _, _ = opened.read(HEAD_BYTES).partition(b"\n")
    return sha256(first).hexdigest()


async def _one(
    client: AsyncAmplitude, file: Path, job: _Job, rate: float, patience: float, options: dict[str, object] | None
) -> dict[str, Any]:
    begun = job.place
    if not job.is_done:
        if not begun.rejects_bytes:
            job.rejects.unlink(missing_ok=True)
        sending = Sending(
            client,
            api="batch",
            rate=rate,
            patience=patience,
            rejects=Rejects(job.rejects, begun.rejects_bytes),
            options=options,
            place=begun,
        )

        def counted() -> dict[str, int]:
            return {name: job.counts[name] + sending.counts[name] for name in _COUNTS}

        def remember(*, is_done: bool = False) -> None:
            sending.flush_rejects()
            job.save(file, sending.place, counted(), is_done=is_done)

        try:
            async with sending:
                with FileLines(file, begun.line, begun.end) as lines, _bar(file, lines, sending) as show:
                    for line in lines:
                        await sending.feed(line)
                        if line.number % 256 == 0:
                            show()
                            if job.is_due():
                                remember()
                    show()
                    await sending.finish()
                    show()
        except BaseException:
            if sending.place.line > begun.line:
                remember()
            note(f"{file}: stopped after line {sending.place.line:,}; run it again to go on")
            raise
        remember(is_done=True)
        job.counts = counted()
        job.place = sending.place
    return {
        "file": str(file),
        "lines": job.place.line,
        **job.counts,
        "sent_before": begun.line,
        "rejects": str(job.rejects) if job.counts["rejected"] or job.counts["set_aside"] else None,
    }


def _checked(file: Path) -> dict[str, Any]:
    """Check the lines of a file, as they would be before they are sent."""
    from amplitude_async.events import Defaults  # noqa: PLC0415 - only for dry runs
    from amplitude_async.resources.ingestion import encode_event  # noqa: PLC0415 - as above

    sound = refused = number = 0
    with FileLines(file) as lines:
        for line in lines:
            number = line.number
            try:
                event = event_of(line)
                event.setdefault("insert_id", insert_id_of(line))
                encode_event(event, "event", Defaults(None, None, None), "", 0)
            except (InvalidEventError, ValueError) as fault:
                refused += 1
                note(f"{file} line {line.number}: {fault}")
            else:
                sound += 1
    return {"file": str(file), "lines": number, "would_send": sound, "rejected": refused, "set_aside": 0}


def _sentence(report: dict[str, Any]) -> str:
    if "would_send" in report:
        return f"{report['file']}: {report['would_send']:,} lines are events, {report['rejected']:,} are not; nothing was sent"
    before = f" ({report['sent_before']:,} lines in earlier runs)" if report["sent_before"] else ""
    aside = f", {report['set_aside']:,} set aside" if report["set_aside"] else ""
    where = f"; see {report['rejects']}" if report["rejects"] else ""
    return f"{report['file']}: {report['delivered']:,} delivered, {report['rejected']:,} rejected{aside}{before}{where}"


@contextmanager
def _bar(file: Path, lines: FileLines, sending: Sending) -> "Iterator[Any]":
    """Draw how far it is, where somebody looks."""
    console = err_console()
    if not console.is_terminal:
        yield lambda: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415 - as it says

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[words]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(file.name, total=max(file.stat().st_size, 1), words="")

        def show() -> None:
            words = f"{sending.counts['delivered']:,} delivered"
            if sending.counts["rejected"]:
                words += f", {sending.counts['rejected']:,} rejected"
            if sending.held_up:
                words += f"; waiting: {sending.held_up:.60}"
            progress.update(task, completed=lines.position, words=words)

        yield show
