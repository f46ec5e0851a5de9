"""The clock and the chance that enter a call: insert ids and the time of the call."""

from __future__ import annotations

import os
import time

__all__ = ["new_insert_id", "now_ms", "stamp"]


def new_insert_id() -> str:
    """Return a random UUID (version 4) from the system's source; unique across threads and forks."""
    digits = bytearray(os.urandom(16))
    digits[6] = digits[6] & 0x0F | 0x40
    digits[8] = digits[8] & 0x3F | 0x80
    text = digits.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def now_ms() -> int:
    """Return the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def stamp() -> tuple[str, int]:
    """Return an insert id and the time, for an event that lacks them."""
    return new_insert_id(), now_ms()
