"""What the event loop and the thread that owns an outbox file say to each other, as values in a queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence
    from pathlib import Path

    from amplitude_async.delivery.locking import FileLock
    from amplitude_async.delivery.rows import NewRow

__all__ = [
    "Adopt",
    "Answer",
    "Append",
    "Arrival",
    "Close",
    "Damage",
    "Job",
    "Lesson",
    "ListSetAside",
    "Look",
    "News",
    "NoteUnknown",
    "Page",
    "Purge",
    "Retry",
    "Revival",
    "SetAsideJob",
    "Settle",
    "Totals",
    "future_of",
]


class Append(NamedTuple):
    """Store rows; answers with their ids."""

    rows: Sequence[NewRow]
    size: int
    future: asyncio.Future[Any]


class Settle(NamedTuple):
    """Remove rows whose fate is known."""

    ids: Sequence[int]


class NoteUnknown(NamedTuple):
    """Remember when rows were first sent without a trustworthy answer."""

    ids: Sequence[int]
    now_ms: int


class SetAsideJob(NamedTuple):
    """Move rows out of the way, with a reason."""

    ids: Sequence[int]
    reason: str
    now_ms: int


class Retry(NamedTuple):
    """Put rows that were set aside (``None``: all) at the end of the waiting ones; answers with their number."""

    ids: Sequence[int] | None
    future: asyncio.Future[Any]


class Purge(NamedTuple):
    """Delete rows that were set aside (``None``: all); answers with their number."""

    ids: Sequence[int] | None
    future: asyncio.Future[Any]


class Adopt(NamedTuple):
    """Take over the rows of a dead owner's file; answers with their number."""

    path: Path
    lock: FileLock | None
    future: asyncio.Future[Any]


class Look(NamedTuple):
    """Find the files beside this one whose owners are gone."""

    future: asyncio.Future[Any]


class Page(NamedTuple):
    """Read waiting rows in order."""

    after_id: int
    max_rows: int
    max_bytes: int
    future: asyncio.Future[Any]


class ListSetAside(NamedTuple):
    """Read set-aside rows in order."""

    after_id: int
    limit: int
    future: asyncio.Future[Any]


class Close(NamedTuple):
    """Finish what came before, close the file, end the thread."""

    future: asyncio.Future[Any] | None


Job = Append | Settle | NoteUnknown | SetAsideJob | Retry | Purge | Adopt | Look | Page | ListSetAside | Close
Lesson = Settle | NoteUnknown | SetAsideJob
Answer = tuple["asyncio.Future[Any]", Any, BaseException | None]
"""Whom to answer, with what, or with which error."""


class Arrival(NamedTuple):
    """Rows came to wait by themselves: salvaged after damage, or adopted."""

    rows: int


class Revival(NamedTuple):
    """Rows that were set aside wait again."""

    rows: int


class Damage(NamedTuple):
    """Waiting rows were changed by the disk, and are set aside."""

    ids: Sequence[int]


News = Arrival | Revival | Damage
"""What the thread tells without being asked for it; told before the answer to whatever brought it about."""


class Totals(NamedTuple):
    """What the file holds, as its ``about`` row says."""

    waiting_rows: int
    waiting_bytes: int
    set_aside_rows: int
    set_aside_bytes: int


def future_of(job: Job) -> asyncio.Future[Any] | None:
    """Return what a job answers, ``None`` if nobody waits."""
    return None if isinstance(job, Lesson) else job.future
