"""Several archives become one valid zip: members copied as they are, one central directory behind them. Pure.

Only the directory is kept until the end, about a hundred bytes a member; it is written in zip64 form where the numbers need it.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from amplitude_async.exporting.frames import CENTRAL, END

if TYPE_CHECKING:
    from collections.abc import Iterator

    from amplitude_async.exporting.frames import Frame

__all__ = ["Merger"]

_ENTRY: Final = Struct("<4sHHHHHHIIIHHHHHII")
_END: Final = Struct("<4sHHHHIIH")
_END64: Final = Struct("<4sQHHIIQQQQ")
_LOCATOR64: Final = Struct("<4sIQI")
_EXTRA_HEAD: Final = Struct("<HH")
_EXTRA64: Final = 0x0001
_FULL16: Final = 0xFFFF
_FULL32: Final = 0xFFFFFFFF
_ZIP64_VERSION: Final = 45
_PIECE_ENTRIES: Final = 500


class Merger:
    """Takes the frames of one archive after another and gives the bytes of the archive that they make together."""

    def __init__(self) -> None:
        self._base = 0
        self._written = 0
        self._entries: list[bytes] = []

    def begin(self) -> None:
        """Say that the frames of a further archive follow."""
        self._base = self._written

    def take(self, frame: Frame) -> bytes | memoryview:
        """Return what of a frame is written now: members as they are, of the rest nothing yet."""
        if frame.kind == CENTRAL:
            if frame.member is not None:
                member = frame.member
                self._entries.append(_moved(bytes(frame.raw), member.size, member.compressed, member.offset + self._base))
            return b""
        if frame.kind == END:
            return b""
        self._written += len(frame.raw)
        return frame.raw

    def finish(self) -> Iterator[bytes]:
        """Yield the central directory and the end records."""
        size = 0
        for index in range(0, len(self._entries), _PIECE_ENTRIES):
            piece = b"".join(self._entries[index : index + _PIECE_ENTRIES])
            size += len(piece)
            yield piece
        count, offset = len(self._entries), self._written
        tail = b""
        if count >= _FULL16 or size >= _FULL32 or offset >= _FULL32:
            version = _ZIP64_VERSION
            tail = _END64.pack(b"PK\x06\x06", _END64.size - 12, version, version, 0, 0, count, count, size, offset)
            tail += _LOCATOR64.pack(b"PK\x06\x07", 0, offset + size, 1)
            count, size, offset = min(count, _FULL16), min(size, _FULL32), min(offset, _FULL32)
        yield tail + _END.pack(b"PK\x05\x06", 0, 0, count, count, size, offset, 0)


def _moved(raw: bytes, size: int, compressed: int, offset: int) -> bytes:
    """Return a directory entry that points to where its member stands now."""
    head = list(_ENTRY.unpack_from(raw))
    name_length, extra_length = head[10], head[11]
    name_end = _ENTRY.size + name_length
    name, extra, comment = raw[_ENTRY.size : name_end], raw[name_end : name_end + extra_length], raw[name_end + extra_length :]
    values = (size, compressed, offset)
    wide = b"".join(value.to_bytes(8, "little") for value in values if value >= _FULL32)
    extra = _without_zip64(extra)
    if wide:
        extra = _EXTRA_HEAD.pack(_EXTRA64, len(wide)) + wide + extra
        head[2] = max(head[2], _ZIP64_VERSION)
    head[8], head[9], head[16] = (min(value, _FULL32) for value in (compressed, size, offset))
    head[11], head[13] = len(extra), 0
    return _ENTRY.pack(*head) + name + extra + comment


def _without_zip64(extra: bytes) -> bytes:
    kept = b""
    at = 0
    while at + _EXTRA_HEAD.size <= len(extra):
        kind, length = _EXTRA_HEAD.unpack_from(extra, at)
        field = extra[at : at + _EXTRA_HEAD.size + length]
        if kind != _EXTRA64:
            kept += field
        at += len(field)
    return kept
