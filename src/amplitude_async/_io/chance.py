"""The clock and the chance that enter a call: insert ids and the time of the call."""

from __future__ import annotations

import os
import time
from typing import Final

__all__ = ["new_insert_id", "now_ms", "stamp"]

DRAWN_AT_ONCE: Final = 32
"""Ids per question to the system: asking for each alone costs an event as much again as checking it."""

_VARIANT: Final = {digit: "89ab"[number % 4] for number, digit in enumerate("0123456789abcdef")}
_drawn: Final[list[str]] = []
"""Random digits that no id was made of yet. Taking one is atomic, so threads may share them; forked children may not."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drawn.clear)


def new_insert_id() -> str:
    """Return a random UUID (version 4) from the system's source; unique across threads and forks."""
    try:
        digits = _drawn.pop()
    except IndexError:
        text = os.urandom(16 * DRAWN_AT_ONCE).hex()
        _drawn.extend(text[at : at + 32] for at in range(32, len(text), 32))
        digits = text[:32]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"


def now_ms() -> int:
    """Return the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def stamp() -> tuple[str, int]:
    """Return an insert id and the time, for an event that lacks them."""
    return new_insert_id(), now_ms()
