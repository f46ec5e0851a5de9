"""The user's own functions, called by the outbox and contained: whatever they do, delivery goes on."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from amplitude_async.errors import AmplitudeError

__all__ = ["Hook", "Setback"]

_LOG: Final = logging.getLogger("amplitude_async.outbox")

MOST_RUNNING: Final = 64
"""Asynchronous hooks at work at the same time; further calls are left out, and counted."""
LOG_EVERY: Final = 60.0


class Setback(NamedTuple):
    """Something that holds up delivery.

    Attributes:
        kind: ``retry``: sending failed and is tried again; ``paused``: nothing gets through until the key, the address or the
            certificate is changed; ``throttled``: some users or devices send too fast and wait; ``storage``: the disk refused.
        error: What happened.
        wait: Seconds until the next try.
        pending: How many events wait or are in flight.
    """

    kind: Literal["retry", "paused", "throttled", "storage"]
    error: AmplitudeError
    wait: float
    pending: int


class Hook:
    """One function of the user's, plain or asynchronous.

    Attributes:
        skipped: Calls that were left out because too many were still at work.
        failed: Calls that raised.
    """

    def __init__(self, function: Callable[[Any], object] | None, clock: Callable[[], float]) -> None:
        self.skipped: int = 0
        self.failed: int = 0
        self._function = function
        self._clock = clock
        self._running: set[asyncio.Task[None]] = set()
        self._logged_at = float("-inf")

    @property
    def is_set(self) -> bool:
        """Whether there is anything to call."""
        return self._function is not None

    def __call__(self, argument: object) -> None:
        """Call the function; never raises and never waits."""
        if self._function is None:
            return
        if len(self._running) >= MOST_RUNNING:
            self.skipped += 1
            return
        try:
            result = self._function(argument)
        except Exception as error:  # noqa: BLE001 - it is the user's, and delivery goes on
            self._note(error)
            return
        if inspect.isawaitable(result):
            task = asyncio.get_running_loop().create_task(self._finish(result))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _finish(self, result: Any) -> None:  # noqa: ANN401 - any awaitable
        try:
            await result
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            self._note(error)
        except Exception as error:  # noqa: BLE001 - as above
            self._note(error)

    def _note(self, error: BaseException) -> None:
        self.failed += 1
        now = self._clock()
        if now - self._logged_at >= LOG_EVERY:
            self._logged_at = now
            _LOG.error("A hook of the outbox raised %s (%d calls so far); delivery goes on", type(error).__name__, self.failed)

    async def aclose(self, seconds: float) -> None:
        """Let what is at work end, at most so long; then cancel it."""
        if not self._running:
            return
        _, late = await asyncio.wait(tuple(self._running), timeout=max(seconds, 0.0))
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1.0)
