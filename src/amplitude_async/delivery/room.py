"""Waiting for room in an outbox: first come, first served, each with its own limit."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import anyio

from amplitude_async.errors import OutboxClosed, OutboxFull

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Room"]


class Room:
    """The line of those who wait for room.

    Args:
        has_room: Says whether an event of a size would fit in.
    """

    def __init__(self, has_room: Callable[[int], bool]) -> None:
        self._has_room = has_room
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()
        self.is_wanted: bool = False
        """Somebody waits; then who comes now waits behind."""

    async def wait(self, size: int, seconds: float | None) -> None:
        """Wait until an event of this size fits in, at most so long.

        Raises:
            OutboxFull: It did not.
            OutboxClosed: The outbox was closed meanwhile.
        """
        with anyio.move_on_after(seconds):
            put = self._line.append
            while True:
                future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                put((size, future))
                self.is_wanted = True
                # Should somebody else have been quicker, this is still the first.
                put = self._line.appendleft
                try:
                    await future
                except BaseException:
                    # Room that was given away with this place goes to the next.
                    self.give()
                    raise
                if self._has_room(size):
                    return
        message = f"The outbox had no room for the event within {seconds:g} s; it was not accepted."
        raise OutboxFull(message)

    def give(self) -> None:
        """Wake as many as fit in now."""
        line = self._line
        given = 0
        while line:
            size, future = line[0]
            if not future.done():
                if not self._has_room(size + given):
                    return
                given += size
                future.set_result(None)
            line.popleft()
        self.is_wanted = False

    def close(self) -> None:
        """Refuse everybody who waits."""
        line, self._line = self._line, deque()
        self.is_wanted = False
        for _, future in line:
            if not future.done():
                future.set_exception(OutboxClosed("The outbox was closed while the event waited for room; it was not accepted."))
