"""The CRC of any run of blocks comes out of those of the blocks."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_async.exporting.sums import BLOCK_BYTES, BlockSums


def summed(data: bytes, block: int, chance: random.Random | None = None) -> BlockSums:
    """Return the sums of bytes that come in pieces of any size."""
    sums = BlockSums(block)
    at = 0
    while at < len(data):
        size = len(data) if chance is None else chance.choice((1, 7, block - 1, block, block + 1, 3 * block))
        sums.add(memoryview(data)[at : at + max(1, size)])
        at += max(1, size)
    return sums


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 70), st.integers(0, 1 << 32))
def test_any_run_of_blocks_has_the_crc_of_its_bytes(block: int, seed: int) -> None:
    """Whatever came before, however the bytes came, a run of whole blocks extends a CRC to that of all the bytes."""
    chance = random.Random(seed)
    data = chance.randbytes(chance.randrange(12 * block))
    sums = summed(data, block, chance)
    assert sums.length == len(data)
    first = chance.randrange(len(data) // block + 1)
    count = chance.randrange(len(data) // block - first + 1)
    before = chance.randbytes(chance.randrange(20))
    run = data[first * block : (first + count) * block]
    assert sums.extend(zlib.crc32(before), first, count) == zlib.crc32(before + run)


@pytest.mark.parametrize("pattern", [b"\0", b"\xff", b"ab"])
def test_blocks_as_they_are_used_are_right(pattern: bytes) -> None:
    """Blocks of 64 kB, of zeros, of ones and of text, come to what all of their bytes come to."""
    data = (pattern * BLOCK_BYTES)[: 5 * BLOCK_BYTES // 2]
    data += bytes(3 * BLOCK_BYTES - len(data)) + b"rest"
    sums = summed(data, BLOCK_BYTES)
    assert sums.extend(0, 0, 3) == zlib.crc32(data[: 3 * BLOCK_BYTES])
    assert sums.extend(zlib.crc32(b"x"), 1, 2) == zlib.crc32(b"x" + data[BLOCK_BYTES : 3 * BLOCK_BYTES])


def test_no_blocks_change_nothing() -> None:
    """A CRC behind no blocks is what it was."""
    assert BlockSums().extend(123, 0, 0) == 123
