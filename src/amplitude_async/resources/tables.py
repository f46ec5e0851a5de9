"""What a lookup table is made of: CSV from whatever the caller has, looked at before it is sent.

A table may have a million rows, so everything here takes turns with the other tasks of the event loop.

Amplitude's page: https://amplitude.com/docs/apis/analytics/lookup-table-2
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, NamedTuple

from amplitude_async._protocol.codec import UnencodableError, decode, encode_text
from amplitude_async._protocol.commas import CommaReader, MalformedRowsError, comma_text
from amplitude_async.errors import InvalidArgumentError
from amplitude_async.resources.parameters import refused

if TYPE_CHECKING:
    from amplitude_async.resources.runner import Runner

__all__ = ["Table", "TableFile", "checked_table"]

TableFile = bytes | bytearray | memoryview | str | os.PathLike[str] | Iterable[Mapping[str, object]]
"""CSV as bytes or text, the path of a file (a :class:`pathlib.Path`), or rows: mappings from column to value."""

MAX_BYTES: Final = 100 << 20
"""Documented as 100 MB; what lies between that and this, Amplitude may judge."""
MAX_ROWS: Final = 1_000_000
MAX_CELL: Final = 1024
"""In characters."""
STEP_BYTES: Final = 32 << 10
STEP_ROWS: Final = 256
READ_BYTES: Final = 1 << 20
TURN_SECONDS: Final = 0.0025
"""How long this goes on before other tasks of the event loop get a turn."""


class Table(NamedTuple):
    """A CSV file that was looked at.

    Attributes:
        content: Its bytes.
        filename: What it is called.
    """

    content: bytes
    filename: str


class _Turns:
    """Gives other tasks their turns."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._since = runner.clock()

    async def take(self) -> None:
        if self._runner.clock() - self._since > TURN_SECONDS:
            await self._runner.pause(0)
            self._since = self._runner.clock()


async def checked_table(runner: Runner, file: object, name: str, *, key: str | None) -> Table:
    """Return the CSV file that something makes.

    Args:
        runner: Tells the time and waits.
        file: See :data:`TableFile`.
        name: The table's name, for a file that has none.
        key: The column whose values have to be there and unique; ``None`` if it is not known here.

    Raises:
        InvalidArgumentError: It is none, or more than Amplitude takes; says where.
    """
    turns = _Turns(runner)
    filename = f"{name}.csv"
    if isinstance(file, (bytes, bytearray, memoryview)):
        content = bytes(file)
    elif isinstance(file, str):
        content = _encoded(file)
    elif isinstance(file, os.PathLike):
        path = os.fspath(file)
        if not isinstance(path, str):
            raise refused(argument="file", reason="is a path of bytes; give a path of text")
        filename = PurePath(path).name
        content = await _read(path, turns)
    elif isinstance(file, Iterable) and not isinstance(file, Mapping):
        content = await _written(list(file), turns)
    else:
        raise refused(argument="file", reason="must be CSV (bytes or text), a path, or rows that are mappings")
    if len(content) > MAX_BYTES:
        raise _too_large(len(content))
    await _look_at(content, key, turns)
    return Table(content, filename)


def _too_large(size: int) -> InvalidArgumentError:
    return refused(argument="file", reason=f"has {size:,} bytes; Amplitude takes 100 MB")


def _encoded(text: str) -> bytes:
    if "\n" not in text:
        reason = "is text of a single line; give the contents of a CSV file, or the path of one as a pathlib.Path"
        raise refused(argument="file", reason=reason)
    try:
        return text.encode()
    except UnicodeEncodeError:
        reason = "holds a lone surrogate, which is not valid text"
    raise refused(argument="file", reason=reason)


async def _read(path: str, turns: _Turns) -> bytes:
    content = bytearray()
    try:
        with open(path, "rb") as source:  # noqa: ASYNC230, PTH123 - a megabyte at a time
            size = os.fstat(source.fileno()).st_size
            if size > MAX_BYTES:
                raise _too_large(size)
            while piece := source.read(READ_BYTES):
                content += piece
                if len(content) > MAX_BYTES:
                    raise _too_large(len(content))
                await turns.take()
    except InvalidArgumentError:
        raise
    except OSError as fault:
        reason = f"cannot be read: {fault.strerror or type(fault).__name__}"
    except ValueError:
        reason = "cannot be read: its name is none that a file can have"
    else:
        return bytes(content)
    raise refused(argument="file", reason=reason)


async def _written(rows: list[object], turns: _Turns) -> bytes:
    columns: dict[str, None] = {}
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise refused(argument=f"file[{index}]", reason="must be a mapping from column to value")
        if row.keys() != columns.keys():
            columns.update(dict.fromkeys(_column(each, index) for each in row))
        if not index % STEP_ROWS:
            await turns.take()
    if not columns:
        raise refused(argument="file", reason="has no rows; give at least one")
    names = list(columns)
    pieces = [comma_text([names])]
    for at in range(0, len(rows), STEP_ROWS):
        some = rows[at : at + STEP_ROWS]
        pieces.append(comma_text([[_cell(row.get(name), at + index, name) for name in names] for index, row in enumerate(some)]))  # type: ignore[attr-defined]  # mappings, as was seen above
        await turns.take()
    try:
        return "".join(pieces).encode()
    except UnicodeEncodeError:
        reason = "holds a lone surrogate, which is not valid text"
    raise refused(argument="file", reason=reason)


def _column(name: object, index: int) -> str:
    if isinstance(name, str):
        return name
    raise refused(argument=f"file[{index}]", reason=f"has a column that is {name!r:.40}, not a text")


def _cell(value: object, index: int, name: str) -> str:
    """Write a value: ``None`` as nothing, booleans as ``true`` and ``false``, dates in ISO 8601, what has a text in JSON as that."""
    if value is None:
        return ""
    if type(value) is str:
        return value
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    try:
        encoded = encode_text(value)
    except UnencodableError as fault:
        reason = fault.reason
    else:
        plain = decode(encoded.encode())
        if not isinstance(plain, (dict, list)):
            return plain if isinstance(plain, str) else encoded
        reason = "is not a single value"
    raise refused(argument=f"file[{index}].{name:.60}", reason=reason)


async def _look_at(content: bytes, key: str | None, turns: _Turns) -> None:
    reader = CommaReader()
    keys: set[str] = set()
    count = 0
    place: int | None = None
    view = memoryview(content)
    for at in range(0, len(content) + 1, STEP_BYTES):
        line = reader.line
        is_last = at + STEP_BYTES > len(content)
        try:
            rows = reader.feed(bytes(view[at : at + STEP_BYTES]))
            if is_last:
                rows += reader.finish()
        except MalformedRowsError as fault:
            reason = f"is no CSV that Amplitude could read: {fault} (line {fault.line})"
            raise refused(argument="file", reason=reason) from None
        if place is None and reader.header is not None:
            place = _place_of(key, reader.header)
            _check_cells([reader.header], line)
        _check_cells(rows, line)
        count += len(rows)
        if count > MAX_ROWS:
            raise refused(argument="file", reason=f"has more than {MAX_ROWS:,} rows, which is what Amplitude takes")
        if key is not None and place is not None:
            new = {row[place] for row in rows}
            if len(new) < len(rows) or not keys.isdisjoint(new):
                reason = f"has a value of its key column {key!r:.60} twice, at or behind line {line}"
                raise refused(argument="file", reason=reason)
            keys |= new
        await turns.take()
    if reader.header is None:
        raise refused(argument="file", reason="is empty; its first row has to name the columns")


def _place_of(key: str | None, header: list[str]) -> int:
    if not all(name.strip() for name in header):
        raise refused(argument="file", reason="has a column without a name")
    if len(set(header)) < len(header):
        raise refused(argument="file", reason="has two columns of the same name")
    if key is None:
        return 0
    if key not in header:
        raise refused(argument="key", reason=f"is {key!r:.60}, which is not among the columns of the file")
    return header.index(key)


def _check_cells(rows: list[list[str]], line: int) -> None:
    longest = max((len(cell) for row in rows for cell in row), default=0)
    if longest > MAX_CELL:
        reason = f"has a cell of {longest:,} characters, at or behind line {line}; Amplitude takes {MAX_CELL:,}"
        raise refused(argument="file", reason=reason)
