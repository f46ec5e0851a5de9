"""The inflater: zlib, or isal where the ``fast`` extra is installed, which takes half the time. Both check CRC and length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CORRUPT", "GzipInflater", "new_gzip_inflater"]

_GZIP: Final = 31


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


def _chosen() -> tuple[Callable[[], GzipInflater], tuple[type[Exception], ...]]:
    import zlib  # noqa: PLC0415 - one of two

    try:
        from isal import igzip_lib, isal_zlib  # noqa: PLC0415 - an extra
    except ImportError:
        return (lambda: zlib.decompressobj(_GZIP)), (zlib.error,)
    return (lambda: isal_zlib.decompressobj(_GZIP)), (igzip_lib.IsalError, isal_zlib.error, zlib.error)


new_gzip_inflater, CORRUPT = _chosen()
