"""Taking over what processes that are gone left in a shared folder: at the start, and now and then while the outbox is at work.

A worker that is killed and not started again would leave its events to the next start of anybody, which may be weeks away. So each
outbox of a folder looks once a minute; who comes first takes a file over, and the others find it locked or gone.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from amplitude_async.errors import OutboxClosed, OutboxError, OutboxLocked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from amplitude_async.delivery.sqlite import SQLiteStore

__all__ = ["Adopter"]

_LOG: Final = logging.getLogger("amplitude_async.outbox")

LOOK_EVERY: Final = 60.0
"""Seconds between two looks at the folder: 20 microseconds for each file in it, on the thread of the outbox's own file."""


class Adopter:
    """Brings the events of the dead into a store.

    Args:
        store: Where they go.

    Attributes:
        looks: How often the folder was looked at, and what was found there taken over.
    """

    def __init__(self, store: SQLiteStore) -> None:
        self.looks: int = 0
        self._store = store
        self._refused: set[Path] = set()
        """Files that cannot be taken over, e.g. another project's: said once, and left alone."""
        self._task: asyncio.Task[None] | None = None

    def start(self, dead: Sequence[Path]) -> None:
        """Take over what was found at opening, and look again from time to time."""
        self._task = asyncio.get_running_loop().create_task(self._run(dead))

    async def stop(self) -> None:
        """Look no more; what is half taken over is in both files or in one, and goes on at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,), timeout=1.0)

    async def _run(self, dead: Sequence[Path]) -> None:
        while True:
            try:
                for path in dead:
                    if path not in self._refused:
                        await self._adopt(path)
                self.looks += 1
                await asyncio.sleep(LOOK_EVERY)
                dead = await self._store.dead_neighbours()
            except OutboxClosed:
                return
            except OutboxError as error:
                _LOG.warning("the outbox folder could not be looked at: %s", error)
                dead = ()

    async def _adopt(self, path: Path) -> None:
        try:
            await self._store.adopt(path)
        except OutboxClosed:
            raise
        except OutboxLocked:
            # Somebody else was faster, or has just started there.
            return
        except OutboxError as error:
            self._refused.add(path)
            _LOG.warning("the outbox file of an owner that is gone was not taken over: %s", error)
