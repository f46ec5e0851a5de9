"""The hash by which Amplitude deals users out to variants: MurmurHash3, x86, 32 bits, seed 0.

Amplitude's page: https://amplitude.com/docs/feature-experiment/under-the-hood/experiment-randomization
"""

from __future__ import annotations

from struct import unpack_from
from typing import Final

__all__ = ["murmur3"]

_ALL: Final = 0xFFFFFFFF
_C1: Final = 0xCC9E2D51
_C2: Final = 0x1B873593


def murmur3(data: bytes) -> int:
    """Return the hash, from 0 to 2^32 - 1.

    Args:
        data: What is hashed: ``<salt>/<value>`` in UTF-8.
    """
    size = len(data)
    blocks, rest = divmod(size, 4)
    state = 0
    for block in unpack_from(f"<{blocks}I", data):
        mixed = (block * _C1) & _ALL
        mixed = (((mixed << 15) | (mixed >> 17)) * _C2) & _ALL
        state ^= mixed
        state = (((state << 13) | (state >> 19)) & _ALL) * 5 + 0xE6546B64 & _ALL
    if rest:
        mixed = (int.from_bytes(data[-rest:], "little") * _C1) & _ALL
        state ^= (((mixed << 15) | (mixed >> 17)) * _C2) & _ALL
    state ^= size
    state = ((state ^ (state >> 16)) * 0x85EBCA6B) & _ALL
    state = ((state ^ (state >> 13)) * 0xC2B2AE35) & _ALL
    return state ^ (state >> 16)
