"""Tasks that the library owns, on asyncio and trio.

httpx loses a pool's slots when a call is cancelled, so no request runs in its caller's task. It runs here, to its end; the caller
waits beside it and can be cancelled at any time without the request noticing. The owned task keeps its own result, and what it
opened it closes itself when nobody waits any more.

A task group cannot do this: one held open from ``__aenter__`` to ``__aexit__`` breaks where those run in different tasks.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import anyio
import sniffio

from amplitude_async.errors import ClosedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    import trio

__all__ = ["Alarm", "OwnedTask", "OwnedTasks", "Signal", "on_trio", "signals"]

T = TypeVar("T")


def on_trio() -> bool:
    """Say which of the two loops runs here.

    It asks where sniffio would, but no further: sniffio goes on to look for a task of asyncio's, which costs a call of ours more than
    anything else in it, and there is none in a callback.
    """
    name = sniffio.thread_local.name
    return (sniffio.current_async_library_cvar.get() if name is None else name) == "trio"


class OwnedTask(Generic[T]):
    """One piece of work: it ends whether or not somebody waits for it."""

    __slots__ = ("_done", "_error", "_release", "_value", "abandon", "is_abandoned")

    def __init__(self, release: Callable[[], None] | None) -> None:
        self._done = anyio.Event()
        self._release = release
        self.abandon: Callable[[T | None], None] | None = None
        """Called once when the waiter goes, with the result if there is one already."""
        self._value: T | None = None
        self._error: BaseException | None = None
        self.is_abandoned = False
        """The waiter has gone: whatever the work produces is the work's own to clean up."""

    async def wait(self) -> T:
        """Wait for the result; a cancellation leaves at once and lets the work run on."""
        try:
            await self._done.wait()
        except BaseException:
            self.is_abandoned = True
            if self.abandon is not None:
                self.abandon(self._value)
            raise
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # set by run() before done

    async def run(self, work: Callable[[OwnedTask[T]], Awaitable[T]], tasks: OwnedTasks) -> None:
        """Do the work and keep what comes of it."""
        try:
            self._value = await work(self)
        except Exception as error:  # noqa: BLE001 - handed to the waiter, whatever it is
            self._error = error
        except BaseException:
            # The event loop itself is ending; a waiter that is still there must not take that for a result.
            self._error = ClosedError("the event loop ended before the request did", outcome="unknown")
            raise
        finally:
            self.end(tasks)

    def end(self, tasks: OwnedTasks) -> None:
        """Give back what the work held, and wake the waiter; once."""
        if self._done.is_set():
            return
        if self._release is not None:
            self._release()
        self._done.set()
        tasks.finished()

    def end_unstarted(self, tasks: OwnedTasks) -> None:
        """End work that somebody cancelled before its first step, so that its own ``finally`` never ran."""
        if not self._done.is_set():
            self._error = ClosedError("the request was cancelled before it began", outcome="not_sent")
            self.end(tasks)


class OwnedTasks:
    """Starts tasks, keeps them alive, counts them, and waits for the last one."""

    def __init__(self) -> None:
        self.alive = 0
        """How many are running now."""
        self._strong: set[asyncio.Task[None]] = set()
        self._idle: anyio.Event | None = None

    def spawn(self, work: Callable[[OwnedTask[T]], Awaitable[T]], release: Callable[[], None] | None = None) -> OwnedTask[T]:
        """Start work that outlives its caller; never waits.

        Args:
            work: Called with its own task, so that it can see whether anybody still waits.
            release: Called once at its end, even if it never began.
        """
        owned: OwnedTask[T] = OwnedTask(release)
        if on_trio():
            import trio  # noqa: PLC0415 - only where trio runs already

            trio.lowlevel.spawn_system_task(owned.run, work, self, name="amplitude_async request", context=contextvars.copy_context())
        else:
            # asyncio itself keeps only a weak reference.
            task = asyncio.get_running_loop().create_task(owned.run(work, self))
            self._strong.add(task)
            task.add_done_callback(self._strong.discard)
            task.add_done_callback(lambda _: owned.end_unstarted(self))
        self.alive += 1
        return owned

    def finished(self) -> None:
        """Note the end of one task."""
        self.alive -= 1
        if self.alive == 0 and self._idle is not None:
            self._idle.set()

    async def join(self, seconds: float) -> bool:
        """Wait until no task runs, at most so long; say whether that was reached."""
        with anyio.move_on_after(seconds):
            while self.alive:
                if self._idle is None or self._idle.is_set():
                    self._idle = anyio.Event()
                await self._idle.wait()
        return self.alive == 0


class Signal(Protocol):
    """Wakes one waiter, once: an asyncio future, or what does the same on trio. Nothing of the kind costs a call less."""

    def __await__(self) -> Generator[object, None, object]:
        """Wait until it is set."""

    def done(self) -> bool:
        """Say whether it was set, or its waiter was cancelled."""

    def set_result(self, result: None, /) -> None:
        """Wake the waiter."""


class TrioSignal:
    """A signal on trio."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = anyio.Event()

    def __await__(self) -> Generator[object, None, None]:
        """Wait until it is set."""
        return self._event.wait().__await__()

    def done(self) -> bool:
        """Say whether it was set."""
        return self._event.is_set()

    def set_result(self, _: None, /) -> None:
        """Wake the waiter."""
        self._event.set()


def signals() -> Callable[[], Signal]:
    """Return what makes signals for the event loop that runs here."""
    return TrioSignal if on_trio() else asyncio.get_running_loop().create_future


class Alarm:
    """Calls a function at a time, without a task that somebody would have to wait for.

    Make it in a task of the event loop that it is for.

    Args:
        ring: What to call; it must not raise.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._loop = None if on_trio() else asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._scope: trio.CancelScope | None = None
        self.due: float | None = None
        """When it rings, on whatever clock its owner uses; ``None`` if it is not set."""

    def set(self, seconds: float, due: float) -> None:
        """Ring after so many seconds, in place of any earlier setting."""
        self.cancel()
        self.due = due
        seconds = max(seconds, 0.0)
        if self._loop is not None:
            self._timer = self._loop.call_later(seconds, self._rings)
            return
        import trio  # noqa: PLC0415 - only where trio runs already

        scope = self._scope = trio.CancelScope()
        trio.lowlevel.spawn_system_task(self._wait, seconds, scope, name="amplitude_async alarm")

    async def _wait(self, seconds: float, scope: trio.CancelScope) -> None:
        with scope:
            await anyio.sleep(seconds)
        if not scope.cancelled_caught and self._scope is scope:
            self._rings()

    def _rings(self) -> None:
        self._timer = self._scope = self.due = None
        self._ring()

    def cancel(self) -> None:
        """Do not ring."""
        if self._timer is not None:
            self._timer.cancel()
        if self._scope is not None:
            self._scope.cancel()
        self._timer = self._scope = self.due = None
