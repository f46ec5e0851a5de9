"""The inflater: zlib, or isal where the ``fast`` extra is installed, which takes half the time. Both check CRC and length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CORRUPT", "LONGEST_HEADER", "GzipInflater", "crc32", "header_length", "inflaters", "new_gzip_inflater"]

LONGEST_HEADER: Final = 128 << 10
"""How long a gzip's header may be: its extra field has at most 64 kB, and what else there is are a name and a comment."""

_GZIP: Final = 31
_FIXED_HEADER: Final = 10
_HAS_CRC, _HAS_EXTRA, _HAS_NAME, _HAS_COMMENT = 0x02, 0x04, 0x08, 0x10


class GzipInflater(Protocol):
    """What zlib and isal have in common."""

    @property
    def eof(self) -> bool:
        """Whether the gzip has ended, its CRC and length being right."""

    @property
    def unconsumed_tail(self) -> bytes:
        """What was not taken because the limit of output was reached."""

    @property
    def unused_data(self) -> bytes:
        """What follows the end."""

    def decompress(self, data: bytes | memoryview, max_length: int, /) -> bytes:
        """Inflate, at most so much."""


def header_length(data: bytes | memoryview) -> int | None:
    """Return the length of the gzip header that begins here, ``None`` if it goes on behind the data (RFC 1952).

    Inflaters are given whole headers: isal 1.9 takes one that comes in two parts for corrupt if it has a CRC, or more than one
    optional field.
    """
    if len(data) < _FIXED_HEADER:
        return None
    flags, at = data[3], _FIXED_HEADER
    if flags & _HAS_EXTRA:
        at += 2 + int.from_bytes(data[at : at + 2], "little")
    for flag in (_HAS_NAME, _HAS_COMMENT):
        if flags & flag:
            end = bytes(data[at:LONGEST_HEADER]).find(b"\0")
            if end < 0:
                return None
            at += end + 1
    at += 2 if flags & _HAS_CRC else 0
    return at if at <= len(data) else None


def inflaters() -> dict[str, tuple[Callable[[], GzipInflater], tuple[type[Exception], ...]]]:
    """Return what can inflate here, the quickest last: for each, what makes one, and the errors that mean corrupt data."""
    import zlib  # noqa: PLC0415 - one of two

    found: dict[str, tuple[Callable[[], GzipInflater], tuple[type[Exception], ...]]] = {
        "zlib": ((lambda: zlib.decompressobj(_GZIP)), (zlib.error,))
    }
    try:
        from isal import igzip_lib, isal_zlib  # noqa: PLC0415 - an extra
    except ImportError:
        return found
    # isal's own types say that its errors are instances.
    corrupt = cast("tuple[type[Exception], ...]", (igzip_lib.IsalError, isal_zlib.error, zlib.error))
    found["isal"] = (lambda: isal_zlib.decompressobj(_GZIP)), corrupt
    return found


def _crc32() -> Callable[..., int]:
    try:
        from isal.isal_zlib import crc32  # noqa: PLC0415 - an extra
    except ImportError:
        from zlib import crc32  # noqa: PLC0415 - one of two
    return crc32


crc32: Callable[..., int] = _crc32()
"""Sums up what is downloaded; isal's takes a fifth of the time of zlib's."""

_chosen = list(inflaters().values())[-1]
new_gzip_inflater: Callable[[], GzipInflater] = _chosen[0]
CORRUPT: tuple[type[Exception], ...] = _chosen[1]
