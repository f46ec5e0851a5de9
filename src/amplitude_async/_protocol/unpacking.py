"""Undoes gzip and deflate as their bytes come, in bounded steps. Pure."""

from __future__ import annotations

import zlib
from typing import Final

__all__ = ["Inflater"]

ANY_WINDOW: Final = 47
"""The largest window, with the header of gzip or of zlib, whichever is there."""


class Inflater:
    """Undoes gzip and deflate, a bounded step at a time, also of several gzips in a row: they are one gzip too (RFC 1952)."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(ANY_WINDOW)
        self.tail: bytes = b""
        """What was taken in and not looked at yet."""

    def inflate(self, data: bytes, most: int) -> bytes:
        """Return what comes of the tail and of further bytes, at most so much; the rest stays in the tail.

        Raises:
            zlib.error: It is damaged.
        """
        data = self.tail + data if self.tail else data
        if self._member.eof:
            # Zeros may pad it.
            data = data.lstrip(b"\0")
            if not data:
                self.tail = b""
                return b""
            self._member = zlib.decompressobj(ANY_WINDOW)
        piece = self._member.decompress(data, most)
        self.tail = self._member.unused_data or self._member.unconsumed_tail
        return piece

    @property
    def is_whole(self) -> bool:
        """Whether it has ended as it should."""
        return self._member.eof and not self.tail
