"""CRCs of a file's blocks, taken while they are at hand, and the CRC of any run of them, worked out from those. Pure.

A CRC is linear: that of two pieces is that of the first, moved on by the length of the second, XOR that of the second. Moving on is
a map of 32 bits, the same for all blocks, and so four tables. So what was summed up once need not be read again, wherever the members
of a zip turn out to begin and end, but for the blocks that they share.

The polynomial: https://www.w3.org/TR/png-3/#D-CRCAppendix
"""

from __future__ import annotations

from array import array
from functools import cache
from typing import Final

from amplitude_async._protocol.inflating import crc32

__all__ = ["BLOCK_BYTES", "BlockSums"]

BLOCK_BYTES: Final = 64 << 10
"""What stays in the processor's cache while it is summed up, and is little to read again."""
_POLYNOMIAL: Final = 0xEDB88320
_HIGHEST: Final = 1 << 31


class BlockSums:
    """The CRCs of a file's blocks.

    Args:
        block_bytes: How long a block is.
    """

    def __init__(self, block_bytes: int = BLOCK_BYTES) -> None:
        self.block_bytes: int = block_bytes
        self.length: int = 0
        """How many bytes there are so far."""
        self._sums = array("I")
        self._begun = 0
        """The CRC of the last block, which is not whole yet."""

    def add(self, data: memoryview) -> None:
        """Take the next bytes."""
        at = 0
        while at < len(data):
            missing = self.block_bytes - self.length % self.block_bytes
            piece = data[at : at + missing]
            self._begun = crc32(piece, self._begun)
            self.length += len(piece)
            if len(piece) == missing:
                self._sums.append(self._begun)
                self._begun = 0
            at += len(piece)

    def extend(self, crc: int, first: int, count: int) -> int:
        """Return what a CRC comes to behind so many whole blocks more."""
        low, lower, higher, high = _moves(self.block_bytes)
        for one in self._sums[first : first + count]:
            crc = low[crc & 0xFF] ^ lower[crc >> 8 & 0xFF] ^ higher[crc >> 16 & 0xFF] ^ high[crc >> 24] ^ one
        return crc


@cache
def _moves(length: int) -> tuple[list[int], ...]:
    """Return, for each byte of a CRC, what its values come to when so many bytes follow."""
    zeros = bytes(length)
    # A bit is a power of x, the highest bit the lowest of them; where that one goes, all others follow by steps of x.
    image = crc32(zeros, _HIGHEST) ^ crc32(zeros)
    images = [0] * 32
    for bit in reversed(range(32)):
        images[bit] = image
        image = image >> 1 ^ (_POLYNOMIAL if image & 1 else 0)
    tables: list[list[int]] = []
    for byte in range(4):
        table = [0]
        for bit in images[8 * byte : 8 * byte + 8]:
            table += [bit ^ one for one in table]
        tables.append(table)
    return tuple(tables)
