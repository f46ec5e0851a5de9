"""The clock and the chance that enter a call: insert ids and the time of the call."""

from __future__ import annotations

import os
import time
from typing import Final

__all__ = ["new_insert_id", "now_ms", "stamp"]

DRAWN_AT_ONCE: Final = 256
"""Ids per question to the system: asking for each alone costs an event as much again as checking it."""

_PLACES: Final = (*range(8), *range(9, 13), *range(14, 18), *range(19, 23), *range(24, 36))
"""Where the 32 digits of a UUID stand among its dashes."""
_VERSION: Final = bytes(0x40 | byte & 0x0F for byte in range(256))
_VARIANT: Final = bytes(0x80 | byte & 0x3F for byte in range(256))

_drawn: Final[list[str]] = []
"""Ids that nobody has yet. Taking one is atomic, so threads may share them; forked children may not."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drawn.clear)


def new_insert_id() -> str:
    """Return a random UUID (version 4) from the system's source; unique across threads and forks."""
    while True:
        try:
            return _drawn.pop()
        except IndexError:
            _draw()


def _draw() -> None:
    """Make many ids, all of them together, digit by digit: each costs a quarter of one made alone."""
    random = bytearray(os.urandom(16 * DRAWN_AT_ONCE))
    random[6::16] = random[6::16].translate(_VERSION)
    random[8::16] = random[8::16].translate(_VARIANT)
    digits = random.hex().encode()
    text = bytearray((b"-" * 36 + b" ") * DRAWN_AT_ONCE)
    for number, place in enumerate(_PLACES):
        text[place::37] = digits[number::32]
    _drawn.extend(text.decode().split())


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
