"""The durable store of an outbox: the event loop's side of it. asyncio only.

One thread owns the file (:mod:`amplitude_async.delivery.keeper`). What is handed in here is queued to it; everything that arrived
while the last commit ran goes into the next one; and the answers to all of it come back in one call to the loop. So 64 producers
share one sync of the disk.

Every method is for the thread of the loop that opened the store.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
import time
import warnings
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from amplitude_async.delivery.files import normal_path
from amplitude_async.delivery.jobs import (
    Adopt,
    Append,
    Close,
    Damage,
    ListSetAside,
    Look,
    NoteUnknown,
    Page,
    Purge,
    Retry,
    Revival,
    SetAsideJob,
    Settle,
)
from amplitude_async.delivery.keeper import Keeper
from amplitude_async.delivery.locking import forget_parent
from amplitude_async.delivery.opening import Settings
from amplitude_async.delivery.rows import Counts, Row, SetAside, ndjson_line
from amplitude_async.errors import OutboxClosed, OutboxStorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from amplitude_async.delivery.jobs import Answer, Job, News
    from amplitude_async.delivery.locking import FileLock
    from amplitude_async.delivery.opening import Durability
    from amplitude_async.delivery.rows import NewRow

__all__ = ["Counts", "Row", "SQLiteStore", "SetAside", "ndjson_line"]

DEFAULT_MAX_BYTES: Final = 1024 * 1024 * 1024
EXIT_SECONDS: Final = 1.0
"""What the end of the interpreter waits for files that were left open."""
FORK_SECONDS: Final = 2.0
"""What a fork waits for a moment in which SQLite is not at work."""

_running: Final[dict[Keeper, tuple[threading.Thread, weakref.ref[SQLiteStore]]]] = {}
"""The threads that run, so that forks and the end of the interpreter can care for them."""
_held_at_fork: Final[list[threading.Lock]] = []
_is_watching = False


class SQLiteStore:
    """Waiting and set-aside events in one file. Made by :meth:`open`."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.path: Path = path
        """The file."""
        self.on_arrival: Callable[[int], None] | None = None
        """Called on the loop with a number of rows that came to wait by themselves: salvaged after damage, or adopted."""
        self.on_revival: Callable[[int], None] | None = None
        """Called on the loop with a number of rows that were set aside and wait again, before :meth:`retry_set_aside` returns."""
        self.on_damage: Callable[[Sequence[int]], None] | None = None
        """Called on the loop with waiting rows that the disk changed, before :meth:`page` returns without them; they are set aside."""
        self.found: Counts = Counts()
        """What the file held when it was opened; whatever comes by itself later is told."""
        self.unheard: int = 0
        """Rows that came before anybody listened."""
        self._loop = loop
        self._keeper: Keeper | None = None
        self._thread: threading.Thread | None = None
        self._closing: asyncio.Future[Any] | None = None
        self._is_closed = False

    @classmethod
    async def open(
        cls,
        path: str | os.PathLike[str],
        *,
        project: bytes,
        options: bytes | None = None,
        durability: Durability = "power",
        max_bytes: int = DEFAULT_MAX_BYTES,
        lock: FileLock | None = None,
    ) -> Self:
        """Open the file, or make it.

        A damaged file is moved aside and what can be read of it is brought over; that is logged, and does not stop anybody.

        Args:
            path: The file; its folder must be there.
            project: What stands for the project's key (see :func:`amplitude_async._protocol.masking.fingerprint`).
            options: What goes with every upload of these events.
            durability: What an acknowledged event survives: ``"power"`` loss, or the end of the ``"process"``.
            max_bytes: The cap; the file and its log stay within 1.25 of it and 8 MiB.
            lock: The lock on the file, if it was taken before; it is given up with the store, or if opening fails.

        Raises:
            OutboxLocked: Another process, or another outbox of this one, has it open.
            OutboxStorageError: It cannot be opened or made, is a folder or a link, or belongs to another project.
        """
        loop = asyncio.get_running_loop()
        try:
            place = normal_path(path)
        except OutboxStorageError:
            if lock is not None:
                lock.release()
            raise
        store = cls(place, loop)
        opened: asyncio.Future[Any] = loop.create_future()
        settings = Settings(project, options, durability, max_bytes)
        # The thread must not keep a store alive that nobody uses: it holds the loop and a weak reference.
        itself: weakref.ref[SQLiteStore] = weakref.ref(store)
        keeper = Keeper(place, settings, lock=lock, deliver=partial(_deliver, loop), tell=partial(_tell, loop, itself), opened=opened)
        store._keeper = keeper
        store._thread = _start(keeper, store)
        try:
            store.found = await opened
        except asyncio.CancelledError:
            store._is_closed = True
            keeper.inbox.put(Close(None))
            raise
        except BaseException:
            store._is_closed = True
            store._thread.join(EXIT_SECONDS)  # its last act was to refuse
            raise
        return store

    def __del__(self) -> None:
        keeper = self._keeper
        if keeper is not None and not self._is_closed:
            keeper.inbox.put(Close(None))
            warnings.warn(f"the outbox file {self.path} was left open; use aclose()", ResourceWarning, source=self, stacklevel=1)

    @property
    def counts(self) -> Counts:
        """What the file holds, as of the last commit."""
        return self._keeper.counts if self._keeper is not None else Counts()

    def _hand_in(self, job: Job) -> None:
        keeper = self._keeper
        if keeper is None or self._is_closed:
            message = f"The outbox file {self.path} is closed."
            raise OutboxClosed(message)
        keeper.inbox.put(job)
        if keeper.failure is not None:
            # The thread has ended by an error: nobody else is going to answer.
            keeper.refuse_all(keeper.failure)

    async def _ask(self, job: Callable[[asyncio.Future[Any]], Job]) -> Any:  # noqa: ANN401 - each caller knows what it asked for
        future: asyncio.Future[Any] = self._loop.create_future()
        self._hand_in(job(future))
        return await future

    # -- writing ---------------------------------------------------------------------------------------------------------------

    def append(self, rows: Sequence[NewRow]) -> asyncio.Future[list[int]]:
        """Store rows, all or none; never waits.

        The future gives their ids, in order, once they are on disk. Cancelling it changes nothing: what was handed in is stored.
        It fails with ``OutboxFull`` if the cap would be passed and with ``OutboxStorageError`` if the disk refuses; then nothing
        of it is stored.

        Args:
            rows: The rows; their number is ignored. They share a commit, so a megabyte at a time is enough.
        """
        future: asyncio.Future[list[int]] = self._loop.create_future()
        self._hand_in(Append(rows, sum([len(row[-1]) for row in rows]), future))
        return future

    def settle(self, ids: Sequence[int]) -> None:
        """Remove rows whose fate is known. On a full disk they are remembered, hidden, and removed when that works again."""
        self._hand_in(Settle(ids))

    def note_unknown(self, ids: Sequence[int], now_ms: int) -> None:
        """Remember when rows were first sent without a trustworthy answer; later times of the same rows are ignored."""
        self._hand_in(NoteUnknown(ids, now_ms))

    def set_aside(self, ids: Sequence[int], reason: str, now_ms: int) -> None:
        """Move rows out of the way, with a reason."""
        self._hand_in(SetAsideJob(ids, reason.encode("utf-8", "replace").decode(), now_ms))

    # -- reading ---------------------------------------------------------------------------------------------------------------

    async def page(self, after_id: int, max_rows: int, max_bytes: int) -> list[Row]:
        """Read waiting rows in order, those that are stored when this is called at least; none means that there are no more.

        Args:
            after_id: Rows with greater ids are read.
            max_rows: How many at most.
            max_bytes: How much JSON at most; a row that alone is larger comes alone.

        Raises:
            OutboxStorageError: The file cannot be read.
            OutboxClosed: The store is closed.
        """
        rows: list[Row] = await self._ask(lambda future: Page(after_id, max_rows, max_bytes, future))
        return rows

    async def list_set_aside(self, after_id: int = 0, limit: int = 100) -> list[SetAside]:
        """Read set-aside rows in order, at most 8 MiB of them (or one row); none means that there are no more."""
        rows: list[SetAside] = await self._ask(lambda future: ListSetAside(after_id, limit, future))
        return rows

    async def retry_set_aside(self, ids: Sequence[int] | None = None) -> int:
        """Put set-aside rows (all, if none are named) behind the waiting ones, in their order but under new ids; return how many."""
        count: int = await self._ask(lambda future: Retry(ids, future))
        return count

    async def purge_set_aside(self, ids: Sequence[int] | None = None) -> int:
        """Delete set-aside rows (all, if none are named); return how many."""
        count: int = await self._ask(lambda future: Purge(ids, future))
        return count

    async def adopt(self, path: str | os.PathLike[str], *, lock: FileLock | None = None) -> int:
        """Take over the rows of a file whose owner is gone, and remove it; return how many.

        They come behind the waiting ones, a megabyte at a time, while the store goes on working; :attr:`on_arrival` tells of each
        piece. If there is no room for more, it waits for some.

        Raises:
            OutboxLocked: Its owner lives.
            OutboxStorageError: It cannot be read, belongs to another project, or holds events taken under other options. What was
                not taken over is still there.
            OutboxClosed: The store was closed before the end.
        """
        place = normal_path(path)
        count: int = await self._ask(lambda future: Adopt(place, lock, future))
        return count

    async def dead_neighbours(self) -> Sequence[Path]:
        """Return the files of the folder whose owners are gone; each may be taken over.

        Raises:
            OutboxStorageError: The folder cannot be read.
            OutboxClosed: The store is closed.
        """
        dead: Sequence[Path] = await self._ask(Look)
        return dead

    # -- ending ----------------------------------------------------------------------------------------------------------------

    async def aclose(self, timeout: float = 10.0) -> bool:  # noqa: ASYNC109 - a limit on what the disk may take, not on the caller
        """Write what was handed in, close the file, free its lock, end the thread; say whether that was done in time.

        Safe to call again, and while being cancelled: the closing goes on by itself.
        """
        keeper, thread = self._keeper, self._thread
        if keeper is None or thread is None:
            return True
        if self._closing is None:
            self._closing = self._loop.create_future()
            self._is_closed = True
            keeper.inbox.put(Close(self._closing))
            if keeper.failure is not None:
                keeper.refuse_all(keeper.failure)
        await asyncio.wait([self._closing], timeout=timeout)
        if not self._closing.done():
            return False
        thread.join(EXIT_SECONDS)  # its last act was to answer
        return not thread.is_alive()

    def abandon(self) -> None:
        """In a forked child: forget the store. Nothing of the parent's is closed, unlocked or written."""
        self._is_closed = True
        self._thread = None
        self._keeper = None


def _deliver(loop: asyncio.AbstractEventLoop, answers: list[Answer]) -> None:
    if answers:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_hand_over, answers)


def _tell(loop: asyncio.AbstractEventLoop, store: weakref.ref[SQLiteStore], news: News) -> None:
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(_hear, store, news)


def _hear(reference: weakref.ref[SQLiteStore], news: News) -> None:
    store = reference()
    if store is None:
        return
    if isinstance(news, Damage):
        if store.on_damage is not None:
            store.on_damage(news.ids)
    elif isinstance(news, Revival):
        if store.on_revival is not None:
            store.on_revival(news.rows)
    elif store.on_arrival is None:
        store.unheard += news.rows
    else:
        store.on_arrival(news.rows)


def _hand_over(answers: list[Answer]) -> None:
    for future, result, error in answers:
        if future.done():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
            future.exception()  # it counts as seen: who does not ask is told by the ledger


def _start(keeper: Keeper, store: SQLiteStore) -> threading.Thread:
    """Start the thread; it is a daemon, so that a disk that hangs cannot hold up the end of the interpreter."""
    global _is_watching  # noqa: PLW0603 - hooks of the process can be set once only
    if not _is_watching:
        _is_watching = True
        atexit.register(_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
    thread = threading.Thread(target=_run, args=(keeper,), name="amplitude_async outbox", daemon=True)
    _running[keeper] = (thread, weakref.ref(store))
    thread.start()
    return thread


def _run(keeper: Keeper) -> None:
    try:
        keeper.run()
    finally:
        _running.pop(keeper, None)


def _at_exit() -> None:
    """Let files that nobody closed be written and closed, for a moment."""
    until = time.monotonic() + EXIT_SECONDS
    left_open = list(_running.items())
    for keeper, _ in left_open:
        keeper.inbox.put(Close(None))
    for _, (thread, _) in left_open:
        thread.join(max(until - time.monotonic(), 0.0))


def _before_fork() -> None:
    """Wait until SQLite holds none of its locks, or the child could never use SQLite at all."""
    until = time.monotonic() + FORK_SECONDS
    for keeper in list(_running):
        if keeper.gate.acquire(timeout=max(until - time.monotonic(), 0.0)):
            _held_at_fork.append(keeper.gate)


def _after_fork_in_parent() -> None:
    while _held_at_fork:
        _held_at_fork.pop().release()


def _after_fork_in_child() -> None:
    _held_at_fork.clear()
    forget_parent()
    for _, reference in list(_running.values()):
        store = reference()
        if store is not None:
            store.abandon()
    _running.clear()
