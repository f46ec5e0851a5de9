"""Comma-separated rows: out of bytes as they come, and into text. Pure; what is held is the row at hand.

The first row has the names of the columns. A cell in double quotes may hold commas, line breaks and, doubled, quotes (RFC 4180).
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["CommaReader", "MalformedRowsError", "comma_text"]

MAX_ROW: Final = 16 << 20
"""Characters of a row that is still read. A single cell has 131,072 at most: :mod:`csv`'s own limit."""
_QUOTE: Final = '"'
_SPECIAL: Final = re.compile('[,"\r\n]')


class MalformedRowsError(ValueError):
    """What was read is not comma-separated rows. Internal: the caller turns it into the public error that fits.

    Attributes:
        line: The line that it was found in, from 1; the header is the first.
    """

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.line = line


class CommaReader:
    """Takes the bytes of a file in order and gives its rows.

    Attributes:
        header: The names of the columns, ``None`` until they were read.
        line: The line at which what was not given yet begins.
    """

    def __init__(self) -> None:
        self.header: list[str] | None = None
        self.line: int = 1
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._pieces: list[str] = []
        self._length = 0
        self._is_inside = False
        """Whether the row at hand ends within quotes."""

    def feed(self, data: bytes) -> list[list[str]]:
        """Take more bytes; return the rows that they complete, each with as many cells as there are columns.

        Raises:
            MalformedRowsError: They are no such rows.
        """
        text = self._decoded(data, is_last=False)
        end = self._last_end(text)
        if not end:
            self._keep(text)
            return []
        whole = "".join((*self._pieces, text[:end])) if self._pieces else text[:end]
        self._pieces, self._length, self._is_inside = [], 0, False
        self._keep(text[end:])
        return self._rows(whole)

    def finish(self) -> list[list[str]]:
        """Say that there is no more; return the last row, if it has no line end.

        Raises:
            MalformedRowsError: A row, or a character, is cut.
        """
        self._keep(self._decoded(b"", is_last=True))
        whole = "".join(self._pieces)
        self._pieces, self._length = [], 0
        return self._rows(whole) if whole else []

    def _decoded(self, data: bytes, *, is_last: bool) -> str:
        try:
            return self._decoder.decode(data, is_last)
        except UnicodeDecodeError as fault:
            before = sum(piece.count("\n") for piece in self._pieces) + data[: fault.start].count(b"\n")
        reason = "it is not UTF-8"
        raise MalformedRowsError(reason, self.line + before)

    def _last_end(self, text: str) -> int:
        """Return where the last row that ends in this text ends: behind a line end that no quotes are around."""
        end = text.rfind("\n")
        quotes = text.count(_QUOTE)
        if not quotes:
            return 0 if self._is_inside else end + 1
        is_inside = self._is_inside ^ bool(quotes % 2)
        behind = len(text)
        while end >= 0:
            is_inside ^= bool(text.count(_QUOTE, end, behind) % 2)
            if not is_inside:
                return end + 1
            end, behind = text.rfind("\n", 0, end), end
        return 0

    def _keep(self, text: str) -> None:
        if not text:
            return
        self._pieces.append(text)
        self._length += len(text)
        self._is_inside ^= bool(text.count(_QUOTE) % 2)
        if self._length > MAX_ROW:
            reason = f"a row is longer than {MAX_ROW:,} characters, or has a quote that is never closed"
            raise MalformedRowsError(reason, self.line)

    def _rows(self, text: str) -> list[list[str]]:
        reader = csv.reader(io.StringIO(text, newline="\n"), strict=True)
        rows: list[list[str]] = []
        try:
            for row in reader:
                if not row:
                    continue
                if self.header is None:
                    self.header = row
                elif len(row) == len(self.header):
                    rows.append(row)
                else:
                    reason = f"a row has {len(row)} cells where there are {len(self.header)} columns"
                    raise MalformedRowsError(reason, self.line + reader.line_num - 1)
        except csv.Error as fault:
            reason = str(fault)
        else:
            self.line += reader.line_num
            return rows
        raise MalformedRowsError(reason, self.line + max(reader.line_num - 1, 0))


def comma_text(rows: Iterable[Sequence[str]]) -> str:
    """Write rows, a line each; what needs quotes gets them."""
    return "".join(f"{','.join([_cell(cell) for cell in row]) or _EMPTY}\n" for row in rows)


_EMPTY: Final = '""'
"""A row of one empty cell, which would otherwise be a blank line, and no row."""


def _cell(text: str) -> str:
    if _SPECIAL.search(text) is None:
        return text
    return '"' + text.replace('"', '""') + '"'
