"""``outbox status|list|retry|purge``: the file of a durable outbox, looked at and put right while nobody drains it.

These open the file and send nothing; only ``retry --send`` does. A file that a service has open is refused, as a second service
would be.
"""

import sqlite3
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from amplitude_async.cli.exits import DONE, PARTLY
from amplitude_async.cli.printing import note, print_json, print_lines, print_table
from amplitude_async.cli.settings import CONNECTION, Connection
from amplitude_async.delivery import statements
from amplitude_async.delivery.locking import take_lock
from amplitude_async.delivery.rows import ndjson_line
from amplitude_async.errors import InvalidArgumentError, OutboxStorageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from amplitude_async.delivery.rows import SetAside
    from amplitude_async.delivery.sqlite import SQLiteStore

_File = Annotated[Path, Parameter(name="FILE")]
_Ids = Annotated[list[int] | None, Parameter(name="--id")]
PAGE_ROWS: Final = 500
LARGEST: Final = 1 << 40
"""The cap is the service's business; here nothing comes in."""


@asynccontextmanager
async def _opened(file: Path) -> "AsyncIterator[SQLiteStore]":
    """Open an outbox file of whatever project.

    Raises:
        OutboxLocked: A service has it open.
        OutboxStorageError: It is no outbox file, or damaged.
    """
    from amplitude_async.delivery.sqlite import SQLiteStore  # noqa: PLC0415 - loaded where it is used

    if not file.is_file():  # noqa: ASYNC240 - one look, and nothing else runs
        message = f"{file} is no file"
        raise InvalidArgumentError(message, argument="FILE")
    lock = take_lock(file)
    try:
        project, options = _about(file)
    except BaseException:
        lock.release()
        raise
    store = await SQLiteStore.open(file, project=project, options=options, max_bytes=LARGEST, lock=lock)
    try:
        yield store
    finally:
        await store.aclose()


def _about(file: Path) -> tuple[bytes, bytes | None]:
    """Read whose file it is; a damaged one is left to the outbox that it belongs to, which brings over what can be read."""
    detail = ""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=1.0)) as connection:
            found = connection.execute(statements.READ_ABOUT).fetchone()
            (damage,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found is not None and damage == "ok":
            return found[0], found[1]
        detail = "it is damaged"
    except sqlite3.Error as error:
        detail = str(error)
    message = (
        f"{file} cannot be looked at ({detail}): it is no outbox file, or damaged. If it is damaged, start its service: the outbox"
        " moves it aside and brings over every event that can still be read"
    )
    raise OutboxStorageError(message, path=str(file), detail=detail)


async def status(file: _File, /, *, json: bool = False) -> int:
    """Count what the file of a durable outbox holds.

    The exit code is 1 if events were set aside, so that a monitor can tell.

    Args:
        file: The outbox's file.
        json: Print JSON.
    """
    reasons: Counter[str] = Counter()
    async with _opened(file) as store:
        counts = store.counts
        page = await store.page(0, 1, 1)
        async for event in _set_aside(store):
            reasons[event.reason] += 1
    oldest = max(0.0, time.time() - page[0].accepted_ms / 1000) if page else None
    facts: dict[str, Any] = {
        "file": str(file),
        "waiting": counts.waiting_rows,
        "waiting_bytes": counts.waiting_bytes,
        "oldest_seconds": None if oldest is None else round(oldest, 1),
        "set_aside": counts.set_aside_rows,
        "set_aside_bytes": counts.set_aside_bytes,
        "file_bytes": counts.file_bytes,
        "reasons": dict(reasons.most_common()),
    }
    if json:
        print_json(facts)
    else:
        age = "" if oldest is None else f", the oldest for {_duration(oldest)}"
        print_lines(
            f"{file}",
            f"  waiting    {counts.waiting_rows:>9,}  ({counts.waiting_bytes / 1e6:,.1f} MB{age})",
            f"  set aside  {counts.set_aside_rows:>9,}  ({counts.set_aside_bytes / 1e6:,.1f} MB)",
        )
        if reasons:
            print_table(("events", "reason"), [{"events": count, "reason": reason} for reason, count in reasons.most_common()])
    return PARTLY if counts.set_aside_rows else DONE


async def list_set_aside(file: _File, /, *, limit: int = 100, json: bool = False) -> int:
    """List the events that were set aside, oldest first, and why.

    Args:
        file: The outbox's file.
        limit: How many at most; 0 for all of them.
        json: Print JSON lines, each with the whole event.
    """
    count = 0
    rows: list[dict[str, Any]] = []
    async with _opened(file) as store:
        total = store.counts.set_aside_rows
        async for event in _set_aside(store):
            if limit and count >= limit:
                break
            count += 1
            if json:
                sys.stdout.write(ndjson_line(event).decode("utf-8", "replace"))
            else:
                rows.append(
                    {"id": str(event.id), "set aside": _instant(event.set_aside_ms), "whose": event.identity, "reason": event.reason}
                )
    if json:
        return DONE
    if rows:
        print_table(("id", "set aside", "whose", "reason"), rows)
        if count < total:
            note(f"{total - count:,} more; --limit 0 lists all of them")
    else:
        print_lines("nothing was set aside")
    return DONE


async def retry(file: _File, /, *, id: _Ids = None, send: bool = False, wait: float = 600, connection: Connection = CONNECTION) -> int:
    """Let events that were set aside be sent again, behind those that wait: when the service starts, or now with --send.

    Args:
        file: The outbox's file.
        id: Only the event of this id (`outbox list` shows it); may be given several times.
        send: Send everything that waits in the file now; needs the project's API key.
        wait: Seconds that sending may take.
    """
    async with _opened(file) as store:
        count = await store.retry_set_aside(id)
    are_all_there = _all_there(id, count)
    if not send:
        if connection.json:
            print_json({"waiting_again": count})
        else:
            print_lines(f"{count:,} events wait to be sent again")
        return DONE if are_all_there else PARTLY
    async with connection.client() as client:
        outbox = client.outbox(file)
        async with outbox:
            done = await outbox.flush(timeout=wait)
            report = await outbox.aclose()
    if connection.json:
        print_json({"waiting_again": count, **report._asdict()})
    else:
        print_lines(
            f"{count:,} events waited again; {report.delivered:,} delivered, {report.rejected:,} rejected,"
            f" {report.set_aside:,} set aside, {report.kept:,} still wait"
        )
    return DONE if are_all_there and done and not (report.rejected or report.set_aside or report.kept) else PARTLY


async def purge(file: _File, /, *, id: _Ids = None, yes: bool = False, json: bool = False) -> int:
    """Delete events that were set aside, for good.

    Args:
        file: The outbox's file.
        id: Only the event of this id; may be given several times.
        yes: Do not ask.
        json: Print JSON.
    """
    async with _opened(file) as store:
        total = len(id) if id else store.counts.set_aside_rows
        if total and not yes:
            if not sys.stdin.isatty():
                message = f"{total:,} events would be deleted for good; --yes says that this is meant"
                raise InvalidArgumentError(message, argument="yes")
            answer = input(f"Delete {total:,} events for good? [y/N] ")  # noqa: ASYNC250 - nothing else runs
            if answer.strip().lower() not in {"y", "yes"}:
                note("nothing was deleted")
                return PARTLY
        count = await store.purge_set_aside(id)
    if json:
        print_json({"deleted": count})
    else:
        print_lines(f"{count:,} events deleted")
    return DONE if _all_there(id, count) else PARTLY


def _all_there(ids: list[int] | None, count: int) -> bool:
    """Say whether all events that were named were found; tell if not."""
    missing = len(set(ids or ())) - count if ids else 0
    if missing:
        note(f"{missing:,} of the ids are not set aside in this file (outbox list shows those that are)")
    return not missing


async def _set_aside(store: "SQLiteStore") -> "AsyncIterator[SetAside]":
    after = 0
    while page := await store.list_set_aside(after, PAGE_ROWS):
        for event in page:
            yield event
        after = page[-1].id


def _instant(milliseconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(milliseconds / 1000))


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.0f} s"
