"""Rows out of a damaged outbox file, byte by byte. Pure: bytes in, rows out, whatever the bytes are.

SQLite refuses a file whose header, schema or inner pages are broken, though the pages with the events may all be there. So this
reads the leaf pages by themselves (https://www.sqlite.org/fileformat2.html), through the write-ahead log where that has a newer
copy, and takes a row only if its shape is one of ours and its sum is right: a row that was changed, or accepted for another
project, is not taken. Pages that SQLite has marked as free are left out, as far as the list of them can still be read; a row from
one that can't was delivered before, and is removed by its ``insert_id``.
"""

from __future__ import annotations

from itertools import chain
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from amplitude_async.delivery.rows import check_sum

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Bytes", "Found", "Value", "salvage"]

_USUAL_PAGE_BYTES: Final = 4096
_MAGIC: Final = b"SQLite format 3\0"
_LEAF: Final = 0x0D
_LOG_MAGIC: Final = frozenset({0x377F0682, 0x377F0683})
_LOG_HEADER_BYTES: Final = 32
_FRAME_HEADER_BYTES: Final = 24
_LARGEST_PAGE: Final = 65536
_SMALLEST_PAGE: Final = 512
_MAX_CELL_BYTES: Final = 24 * 1024 * 1024
"""No event is as large as a whole batch may be; a length beyond it is damage."""
_CHAIN_FACTOR: Final = 4
"""So many times the file's size is read along chains of overflow pages, then no more: crafted ones could be followed for ever."""
_VARINT_BYTES: Final = 9

_U16: Final = Struct(">H")
_U32: Final = Struct(">I")
_FRAME: Final = Struct(">II")

_WAITING_COLUMNS: Final = 7
_SET_ASIDE_COLUMNS: Final = 10

Value = int | bytes | str | None


class Bytes(Protocol):
    """Bytes in memory, or in a file that is read piece by piece."""

    def __len__(self) -> int: ...

    def __getitem__(self, piece: slice, /) -> bytes: ...


class _BrokenError(Exception):
    """A cell or a page is not what it claims to be."""


class Found(NamedTuple):
    """One row that was read back.

    Attributes:
        table: ``"waiting"`` or ``"set_aside"``.
        values: Its columns in their order, the id among them.
        first_unknown_ms: When it was first sent without a trustworthy answer. What was read byte by byte does not know, so the
            time of its acceptance is taken: it is not sent again after the days in which Amplitude removes repeats.
    """

    table: str
    values: tuple[Value, ...]
    first_unknown_ms: int | None


def salvage(database: Bytes, log: Bytes, project: bytes) -> Iterator[Found | None]:
    """Read the rows that can still be read, in the order of their pages.

    Args:
        database: The file.
        log: Its write-ahead log, or nothing.
        project: What stands for the project; rows of others are not taken.

    Yields:
        Each row; ``None`` after each page, so that the reader can stop in between. A row may come twice.
    """
    size = _page_size(database, log)
    newer = _newer_pages(log, size)
    image = _Image(database, newer, log, size)
    free = image.free_pages()
    in_file = -(-len(database) // size)
    for number in chain(range(1, in_file + 1), sorted(number for number in newer if number > in_file)):
        if number not in free:
            yield from _rows_of(image, number, project)
        yield None


def _page_size(database: Bytes, log: Bytes) -> int:
    claims: list[int] = []
    if database[:16] == _MAGIC:
        claimed = _U16.unpack(database[16:18])[0] if len(database) > 18 else 0  # noqa: PLR2004 - an offset of the format
        claims.append(_LARGEST_PAGE if claimed == 1 else claimed)
    if len(log) >= _LOG_HEADER_BYTES:
        claims.append(_U32.unpack(log[8:12])[0])
    for claimed in claims:
        if _SMALLEST_PAGE <= claimed <= _LARGEST_PAGE and claimed & (claimed - 1) == 0:
            return claimed
    return _USUAL_PAGE_BYTES


def _newer_pages(log: Bytes, size: int) -> dict[int, int]:
    """Return where in the log the newest committed copy of each page begins."""
    committed: dict[int, int] = {}
    if len(log) < _LOG_HEADER_BYTES or _U32.unpack(log[:4])[0] not in _LOG_MAGIC:
        return committed
    salts = log[16:24]
    pending: dict[int, int] = {}
    position = _LOG_HEADER_BYTES
    while position + _FRAME_HEADER_BYTES + size <= len(log):
        if log[position + 8 : position + 16] != salts:
            break  # what follows is left over from before the log was last started anew
        number, pages_after = _FRAME.unpack(log[position : position + 8])
        pending[number] = position + _FRAME_HEADER_BYTES
        if pages_after:
            committed |= pending
            pending.clear()
        position += _FRAME_HEADER_BYTES + size
    return committed


class _Image:
    """The file as SQLite would see it: pages by number, the log's copies first."""

    __slots__ = ("_database", "_log", "_newer", "chain_bytes", "size", "usable")

    def __init__(self, database: Bytes, newer: Mapping[int, int], log: Bytes, size: int) -> None:
        self._database = database
        self._newer = newer
        self._log = log
        self.size = size
        self.usable = size
        self.chain_bytes = _CHAIN_FACTOR * (len(database) + len(log))
        """How much may still be read along chains of overflow pages."""
        header = self.page(1)
        if header[:16] == _MAGIC and header[20] <= size - 480:
            self.usable = size - header[20]

    def page(self, number: int) -> bytes:
        start = self._newer.get(number)
        if start is not None:
            return self._log[start : start + self.size]
        page = self._database[(number - 1) * self.size : number * self.size] if number > 0 else b""
        return page if len(page) == self.size else page + bytes(self.size - len(page))

    def free_pages(self) -> set[int]:
        """Follow the list of free pages as far as it makes sense."""
        free: set[int] = set()
        header = self.page(1)
        if header[:16] != _MAGIC:
            return free
        trunk = _U32.unpack(header[32:36])[0]
        while trunk and trunk not in free and trunk * self.size <= len(self._database) + len(self._log):
            free.add(trunk)
            page = self.page(trunk)
            count = min(_U32.unpack(page[4:8])[0], self.usable // 4 - 2)
            free.update(_U32.unpack(page[at : at + 4])[0] for at in range(8, 8 + 4 * count, 4))
            trunk = _U32.unpack(page[:4])[0]
        return free


def _rows_of(image: _Image, number: int, project: bytes) -> Iterator[Found]:
    page = image.page(number)
    if page[0] != _LEAF:
        return
    count = _U16.unpack(page[3:5])[0]
    for at in range(8, min(8 + 2 * count, image.size - 1), 2):
        try:
            found = _row(image, page, _U16.unpack(page[at : at + 2])[0], project)
        except (_BrokenError, UnicodeDecodeError):
            continue
        if found is not None:
            yield found


def _varint(page: bytes, at: int) -> tuple[int, int]:
    """Read a number of one to nine bytes; return it and where it ends."""
    value = 0
    for step in range(_VARINT_BYTES):
        if at >= len(page):
            raise _BrokenError
        byte = page[at]
        at += 1
        if step == _VARINT_BYTES - 1:
            return value << 8 | byte, at
        value = value << 7 | byte & 0x7F
        if byte < 0x80:  # noqa: PLR2004 - the format's sign for "more follows"
            break
    return value, at


def _row(image: _Image, page: bytes, at: int, project: bytes) -> Found | None:
    """Read one cell; ``None`` if it is sound and none of ours."""
    length, at = _varint(page, at)
    row_id, at = _varint(page, at)
    if not 0 < length <= _MAX_CELL_BYTES or not 0 < row_id < 2**63:
        raise _BrokenError
    record = _payload(image, page, at, length)
    values = _values(record)
    if len(values) not in {_WAITING_COLUMNS, _SET_ASIDE_COLUMNS} or values[0] is not None:
        return None
    _, identity, kind, insert_id, accepted_ms, total, body, *more = values
    if not (isinstance(identity, str) and isinstance(kind, str) and isinstance(insert_id, str) and isinstance(accepted_ms, int)):
        return None
    if not isinstance(body, bytes) or check_sum(body, project) != total:
        return None
    if not more:
        return Found("waiting", (row_id, *values[1:]), accepted_ms)
    first_unknown_ms, set_aside_ms, reason = more
    if not (isinstance(first_unknown_ms, int | None) and isinstance(set_aside_ms, int) and isinstance(reason, str)):
        return None
    return Found("set_aside", (row_id, *values[1:]), None)


def _payload(image: _Image, page: bytes, at: int, length: int) -> bytes:
    """Gather what a cell holds, the part on overflow pages included."""
    usable = image.usable
    if length <= usable - 35:
        if at + length > usable:
            raise _BrokenError
        return page[at : at + length]
    least = (usable - 12) * 32 // 255 - 23
    local = least + (length - least) % (usable - 4)
    if local > usable - 35:
        local = least
    if at + local + 4 > usable:
        raise _BrokenError
    parts = [page[at : at + local]]
    following = _U32.unpack(page[at + local : at + local + 4])[0]
    missing = length - local
    while missing > 0:
        image.chain_bytes -= usable
        if following == 0 or image.chain_bytes < 0:
            raise _BrokenError
        page = image.page(following)
        parts.append(page[4 : min(usable, 4 + missing)])
        missing -= len(parts[-1])
        following = _U32.unpack(page[:4])[0]
    return b"".join(parts)


_INTEGER_BYTES: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


def _values(record: bytes) -> list[Value]:
    """Read a record's columns; those of types that our tables do not have are damage."""
    header_bytes, at = _varint(record, 0)
    if header_bytes > len(record):
        raise _BrokenError
    values: list[Value] = []
    start = header_bytes
    while at < header_bytes:
        serial, at = _varint(record, at)
        size = _INTEGER_BYTES.get(serial)
        if serial == 0:
            values.append(None)
            continue
        if serial in {8, 9}:
            values.append(serial - 8)
            continue
        if size is None:
            if serial < 12:  # noqa: PLR2004 - fractions, and what SQLite keeps for itself
                raise _BrokenError
            size = (serial - 12) // 2
        if start + size > len(record):
            raise _BrokenError
        data = record[start : start + size]
        start += size
        if serial < 12:  # noqa: PLR2004 - whole numbers
            values.append(int.from_bytes(data, "big", signed=True))
        else:
            values.append(data.decode() if serial % 2 else data)
        if len(values) > _SET_ASIDE_COLUMNS:
            break
    return values
