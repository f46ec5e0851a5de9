"""Whether the bytes of a zip that passed by ended where a zip ends. Pure; costs next to nothing.

What hands the bytes on as they are does not read the members; the end record still tells a whole archive from a cut one.
"""

from __future__ import annotations

from collections import deque
from struct import Struct
from typing import Final

from amplitude_async.errors import ExportError

__all__ = ["EndCheck"]

_END: Final = Struct("<4sHHHHIIH")
_END64: Final = Struct("<4sQHHIIQQQQ")
_LOCATOR64: Final = Struct("<4sIQI")
_FULL16: Final = 0xFFFF
_FULL32: Final = 0xFFFFFFFF
_TAIL_BYTES: Final = _END.size + _LOCATOR64.size + _END64.size + _FULL16


class EndCheck:
    """Is shown the bytes as they pass."""

    def __init__(self) -> None:
        self.length: int = 0
        """How many bytes passed."""
        self._last: deque[bytes] = deque()
        self._held = 0

    def show(self, chunk: bytes) -> None:
        """Look at more bytes."""
        self.length += len(chunk)
        self._last.append(chunk)
        self._held += len(chunk)
        while self._held - len(self._last[0]) >= _TAIL_BYTES:
            self._held -= len(self._last.popleft())
        spare = self._held - _TAIL_BYTES
        if 2 * spare > len(self._last[0]):
            # A chunk of 64 kB is held for the sake of its last bytes alone: the memory that it has is wanted, still in the cache, for
            # the next one.
            self._last[0] = self._last[0][spare:]
            self._held = _TAIL_BYTES

    def finish(self, declared: int | None) -> None:
        """Say that these were all.

        Args:
            declared: The length that the answer announced, if it did.

        Raises:
            ExportError: The archive is not whole.
        """
        if declared is not None and declared != self.length:
            message = f"The archive is damaged: {self.length:,} bytes came where {declared:,} were announced"
            raise ExportError(message)
        if not self._ends_well():
            message = f"The archive is damaged: it was cut short, {self.length:,} bytes came and no end record closes them"
            raise ExportError(message)

    def _ends_well(self) -> bool:
        tail = b"".join(self._last)
        start = self.length - len(tail)
        at = len(tail) - _END.size
        while (at := tail.rfind(b"PK\x05\x06", 0, max(0, at + 4))) >= 0:
            if at + _END.size <= len(tail):
                *_, size, offset, comment = _END.unpack_from(tail, at)
                if at + _END.size + comment == len(tail) and self._agrees(tail, start, at, size, offset):
                    return True
            at -= 1
        return False

    @staticmethod
    def _agrees(tail: bytes, start: int, at: int, size: int, offset: int) -> bool:
        """Say whether the central directory ends where the end record, or the zip64 one before it, begins."""
        if offset + size == start + at:
            return True
        record = at - _LOCATOR64.size - _END64.size
        if record < 0 or tail[record : record + 4] != b"PK\x06\x06":
            return False
        *_, size64, offset64 = _END64.unpack_from(tail, record)
        return bool(offset64 + size64 == start + record)
