"""The inflater: zlib, or isal where the ``fast`` extra is installed, which takes half the time. Both check CRC and length.

And how much of what is inflated is believed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast

from amplitude_async.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "CORRUPT",
    "LONGEST_HEADER",
    "LONG_PIECE_BYTES",
    "PIECE_BYTES",
    "ArchiveLimits",
    "GzipInflater",
    "check_limits",
    "crc32",
    "header_length",
    "inflaters",
    "new_gzip_inflater",
]

PIECE_BYTES: Final = 32 << 10
"""Most that one step of inflating gives: the working set decides the speed of what comes after."""

LONG_PIECE_BYTES: Final = 96 << 10
"""The same where what comes after makes little of much text: then fewer and longer steps cost less."""

LONGEST_HEADER: Final = 128 << 10
"""How long a gzip's header may be: its extra field has at most 64 kB, and what else there is are a name and a comment."""

_GZIP: Final = 31
_FIXED_HEADER: Final = 10
_HAS_CRC, _HAS_EXTRA, _HAS_NAME, _HAS_COMMENT = 0x02, 0x04, 0x08, 0x10


class ArchiveLimits(NamedTuple):
    """How much of an archive is believed. Every limit has a default, so that a hostile or broken server costs little.

    Attributes:
        line_bytes: The longest row, in bytes of JSON.
        members: How many files an archive may hold.
        ratio: How much longer decoded data may be than what was downloaded; recorded exports are at 6 to 20.
        ratio_from_bytes: The ratio is not looked at before so much was decoded.
        held_bytes: The longest member, in bytes as downloaded, that ``strict=True`` holds back in memory until it is verified.
        archive_bytes: The longest archive, as downloaded, of one request for an export. Amplitude refuses more than 4 GB
            (https://amplitude.com/docs/apis/analytics/export), and does not say of what.
    """

    line_bytes: int = 16 << 20
    members: int = 1_000_000
    ratio: float = 400.0
    ratio_from_bytes: int = 32 << 20
    held_bytes: int = 64 << 20
    archive_bytes: int = 8 << 30


def check_limits(limits: object) -> None:
    """Refuse what are no limits, before anything is sent.

    Raises:
        InvalidArgumentError: They are none, or one of them allows nothing.
    """
    if not isinstance(limits, ArchiveLimits):
        message = f"limits must be ArchiveLimits, not {type(limits).__name__}"
        raise InvalidArgumentError(message, argument="limits")
    for name, limit in limits._asdict().items():
        if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not limit > 0:
            message = f"limits.{name} must be a number above 0"
            raise InvalidArgumentError(message, argument="limits")


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
