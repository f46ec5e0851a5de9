"""Waiting for a job that Amplitude runs: looks at growing pauses, inside the caller's deadline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from amplitude_async.errors import (
    AmplitudeError,
    BudgetError,
    RateLimitedError,
    RequestTimeoutError,
    ServerError,
    TransportError,
    UnexpectedResponseError,
)
from amplitude_async.resources.parameters import refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from amplitude_async.resources.runner import Runner

__all__ = ["deadline_in", "until_done"]

T = TypeVar("T")

FIRST_PAUSE: Final = 1.0
GROWTH: Final = 1.5
LONGEST_PAUSE: Final = 60.0
"""Seconds; 16 looks in the first ten minutes."""
LAST_LOOK: Final = 5.0
"""Seconds before the deadline that the last look is taken at."""
MOST_SECONDS: Final = 1e9
"""Thirty years; more is no number of seconds that somebody means."""
MOST_FAULTS: Final = 5
"""How many looks in a row may fail for the server's or the line's sake: a job that takes days outlives a bad minute."""

_PASSING: Final = (TransportError, ServerError, RateLimitedError, UnexpectedResponseError, BudgetError)
"""A look that found no room (``when_limited="raise"``) is taken again like one that failed: the job goes on meanwhile."""


def deadline_in(runner: Runner, timeout: object) -> float:
    """Return the point on the runner's clock that lies so many seconds ahead.

    Raises:
        InvalidArgumentError: ``timeout`` is no positive number of seconds.
    """
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout <= MOST_SECONDS:
        raise refused(argument="timeout", reason="must be a positive, finite number of seconds")
    return runner.clock() + timeout


async def until_done(
    runner: Runner,
    look: Callable[[float], Awaitable[T | None]],
    *,
    deadline: float,
    job_id: int | str,
    says: Callable[[], str],
    longest: float = LONGEST_PAUSE,
) -> T:
    """Look at a job until it is done. Every error that comes out names the job, so that the wait can be taken up again.

    Args:
        runner: Tells the time and waits.
        look: Looks once, within the deadline it is given; returns ``None`` while the job is not done.
        deadline: When to give up.
        job_id: What the job is called, for the error.
        says: Words for the error: what is being waited for, and how to resume.
        longest: The longest pause between two looks, in seconds.

    Raises:
        RequestTimeoutError: The deadline passed.
        AmplitudeError: A look failed for good, or several in a row.
    """
    try:
        return await _looked(runner, look, deadline=deadline, says=says, longest=longest)
    except AmplitudeError as fault:
        fault.job_id = job_id
        raise


async def _looked(
    runner: Runner,
    look: Callable[[float], Awaitable[T | None]],
    *,
    deadline: float,
    says: Callable[[], str],
    longest: float,
) -> T:
    pause = FIRST_PAUSE
    faults = 0
    is_last = False
    while True:
        try:
            found = await look(deadline)
        except _PASSING as fault:
            faults += 1
            if runner.clock() >= deadline or is_last:
                raise _too_late(says()) from None
            if isinstance(fault, BudgetError) and runner.clock() + (fault.wait or 0.0) >= deadline:
                raise _too_late(says()) from None
            if faults >= MOST_FAULTS:
                raise
            del fault
        else:
            faults = 0
            if found is not None:
                return found
        left = deadline - runner.clock()
        if is_last or left <= 0:
            raise _too_late(says())
        if left <= pause + LAST_LOOK:
            is_last, pause = True, max(left - LAST_LOOK, left / 2)
        await runner.pause(pause)
        pause = min(pause * GROWTH, longest)


def _too_late(words: str) -> AmplitudeError:
    return RequestTimeoutError(f"The time for the job is over: {words}")
