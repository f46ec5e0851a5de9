"""A clock that the client and the sandbox share, so that waits turn it and nothing waits for real."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio.lowlevel

from amplitude_async import Backoff
from amplitude_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

NOON = 1_777_636_800.0
"""2026-05-01 12:00:00 UTC."""
DAY = 86_400.0


class Clock:
    """Stands still until somebody waits, or turns it."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Go on so long, at once."""
        await anyio.lowlevel.checkpoint()
        self.now += seconds

    @property
    def backoff(self) -> Backoff:
        """What a client waits by."""
        return Backoff(clock=self, sleep=self.sleep, jitter=lambda limit: limit)


@contextmanager
def running(clock: Clock, *, strict: bool = False, store: str | None = None) -> Iterator[Sandbox]:
    """Run a sandbox by a clock."""
    with Sandbox(clock=clock, strict=strict, store=store) as box:
        yield box
