"""How a zip ends: whether the bytes that passed by did, and where the central directory is. Pure; costs next to nothing.

What hands the bytes on as they are does not read the members; the end record still tells a whole archive from a cut one.
"""

from __future__ import annotations

from collections import deque
from math import inf
from struct import Struct
from typing import Final, NoReturn

from amplitude_async.errors import ExportError

__all__ = ["TAIL_BYTES", "EndCheck", "find_directory"]

_END: Final = Struct("<4sHHHHIIH")
_END64: Final = Struct("<4sQHHIIQQQQ")
_LOCATOR64: Final = Struct("<4sIQI")
_FULL16: Final = 0xFFFF
_FULL32: Final = 0xFFFFFFFF
TAIL_BYTES: Final = _END.size + _LOCATOR64.size + _END64.size + _FULL16
"""How much of an archive's end has to be looked at: the end records, and the longest comment behind them."""


def find_directory(tail: bytes, start: int) -> tuple[int, int] | None:
    """Return where the central directory begins and ends, ``None`` if no end record closes the archive.

    Args:
        tail: The last ``TAIL_BYTES`` of the archive, or all of a shorter one.
        start: Where in the archive they begin.
    """
    at = len(tail) - _END.size
    while (at := tail.rfind(b"PK\x05\x06", 0, max(0, at + 4))) >= 0:
        if at + _END.size <= len(tail):
            *_, size, offset, comment = _END.unpack_from(tail, at)
            place = _place(tail, start, at, size, offset) if at + _END.size + comment == len(tail) else None
            if place is not None:
                return place
        at -= 1
    return None


def _place(tail: bytes, start: int, at: int, size: int, offset: int) -> tuple[int, int] | None:
    """Return the directory's place if it ends where the end record, or the zip64 one before it, begins."""
    if offset + size == start + at:
        return offset, start + at
    record = at - _LOCATOR64.size - _END64.size
    if record < 0 or tail[record : record + 4] != b"PK\x06\x06":
        return None
    *_, size, offset = _END64.unpack_from(tail, record)
    return (offset, start + record) if offset + size == start + record else None


class EndCheck:
    """Is shown the bytes as they pass.

    Args:
        declared: The length that the answer announced, if it did.
        most: The longest that is believed, if there is such a limit.

    Raises:
        ExportError: More is announced than is believed.
    """

    def __init__(self, declared: int | None = None, most: float = inf) -> None:
        if declared is not None and declared > most:
            message = f"{declared:,} bytes are announced, and no more than {most:,} are believed of an archive (limits.archive_bytes)"
            raise ExportError(message)
        self._declared = declared
        self._most = most if declared is None else declared
        self._looks_from = 0 if declared is None else declared - TAIL_BYTES
        self.length: int = 0
        """How many bytes passed."""
        self._last: deque[bytes] = deque()
        self._held = 0

    def show(self, chunk: bytes) -> None:
        """Look at more bytes.

        Raises:
            ExportError: They are more than were announced, or than are believed.
        """
        self.length += len(chunk)
        if self.length > self._most:
            self._too_much()
        if self.length <= self._looks_from:
            return
        self._last.append(chunk)
        self._held += len(chunk)
        while self._held - len(self._last[0]) >= TAIL_BYTES:
            self._held -= len(self._last.popleft())
        spare = self._held - TAIL_BYTES
        if 2 * spare > len(self._last[0]):
            # A chunk of 64 kB is held for the sake of its last bytes alone: the memory that it has is wanted, still in the cache, for
            # the next one.
            self._last[0] = self._last[0][spare:]
            self._held = TAIL_BYTES

    def _too_much(self) -> NoReturn:
        said = f"{self._most:,} were announced"
        if self._declared is None:
            said = f"no more than {self._most:,} are believed of an archive (limits.archive_bytes)"
        message = f"The archive is damaged: {self.length:,} bytes came where {said}"
        raise ExportError(message)

    def finish(self) -> None:
        """Say that these were all.

        Raises:
            ExportError: The archive is not whole.
        """
        declared = self._declared
        if declared is not None and declared != self.length:
            message = f"The archive is damaged: {self.length:,} bytes came where {declared:,} were announced"
            raise ExportError(message)
        tail = b"".join(self._last)
        if find_directory(tail, self.length - len(tail)) is None:
            message = f"The archive is damaged: it was cut short, {self.length:,} bytes came and no end record closes them"
            raise ExportError(message)
