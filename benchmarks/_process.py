"""What a client process knows of itself: its memory, the connections it tried to open, how late its event loop was.

Standard library only: the peers' environment uses it too.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

_STATM = Path("/proc/self/statm")


def resident() -> int:
    """Return the process's resident memory in bytes; where the system does not say, the most it ever had."""
    if _STATM.exists():
        return int(_STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGESIZE")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


class Connects:
    """The instants (``time.monotonic()``) at which this process tried to connect to a server, also if nobody was there to count it.

    Args:
        url: The server.
    """

    def __init__(self, url: str) -> None:
        self.times: list[float] = []
        self._port = urlsplit(url).port
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][1] == self._port:
            self.times.append(time.monotonic())


class Lateness:
    """How late, at most, the event loop came to a task that asks for a turn every millisecond.

    Attributes:
        longest: Seconds.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self._task: asyncio.Task[None] | None = None

    async def _tick(self) -> None:
        while True:
            asked = time.perf_counter()
            await asyncio.sleep(0.001)
            self.longest = max(self.longest, time.perf_counter() - asked - 0.001)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._tick())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._task is not None:
            # A stall at the very end still has to be seen.
            await asyncio.sleep(0.002)
            self._task.cancel()
