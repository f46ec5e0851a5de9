"""The clock and the chance that enter a call: insert ids and the time of the call."""

from __future__ import annotations

import os
import time
from typing import Final
from uuid import UUID

__all__ = ["new_insert_id", "now_ms", "stamp"]

_ENDS: Final = tuple(f"{number:02x}" for number in range(256))
"""How the ids of one draw end: asking the system for each id alone would cost an event as much again as checking it."""

_drawn: Final[list[str]] = []
"""Ids that nobody has yet. Taking one is atomic, so threads may share them; forked children may not."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drawn.clear)


def new_insert_id() -> str:
    """Return a UUID (version 4) of the system's randomness; unique across threads and forks."""
    while True:
        try:
            return _drawn.pop()
        except IndexError:
            _draw()


def _draw() -> None:
    """Make many ids of one random UUID: its 30 other digits are theirs alone, and the last two tell them apart."""
    stem = str(UUID(bytes=os.urandom(16), version=4))[:-2]
    _drawn.extend([stem + end for end in _ENDS])


def now_ms() -> int:
    """Return the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def stamp() -> tuple[str, int]:
    """Return an insert id and the time, for an event that lacks them."""
    try:
        insert_id = _drawn.pop()
    except IndexError:
        insert_id = new_insert_id()
    return insert_id, time.time_ns() // 1_000_000
