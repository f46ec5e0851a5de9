"""Text that comes in pieces becomes blocks of whole lines; a line is no longer than is believed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from amplitude_async._protocol.decoding import Block, lines_of
from amplitude_async.errors import ExportError

if TYPE_CHECKING:
    from amplitude_async._protocol.decoding import BadRows

__all__ = ["LineSplitter"]

_BLANK: Final = b"\n"
"""What stands for a line that is too long where bad rows are left out: no JSON, so that it is counted as one."""


class LineSplitter:
    """Takes the text of one file after another, piece by piece, and gives the lines that each piece completes.

    Args:
        most: The longest line that is believed, in bytes.
        bad_rows: What becomes of a longer one: an error, or a blank line in its place.

    Attributes:
        line: The number of the next line, from 1.
    """

    def __init__(self, most: int, bad_rows: BadRows) -> None:
        self._most = most
        self._bad_rows = bad_rows
        self._name = self._place = ""
        self._partial: list[bytes] = []
        self._partial_bytes = 0
        self.line: int = 1

    def begin(self, name: str, place: str) -> None:
        """Begin a file.

        Args:
            name: What its blocks and errors say that they come from.
            place: The same in the words of an error.
        """
        self._name, self._place, self.line = name, place, 1

    def split(self, text: bytes) -> Block:
        """Return the lines that a piece of text completes, and keep what goes on behind them.

        Raises:
            ExportError: A line is too long; names it.
        """
        lines = lines_of(text)
        rest = b"" if text.endswith(b"\n") or not lines else lines.pop()
        if lines:
            if self._partial_bytes + len(text) > self._most:
                self._leave_out_long(lines)
            if self._partial:
                lines[0] = b"".join((*self._partial, lines[0]))
                self._partial.clear()
            self._partial_bytes = 0
        block = self._block(lines)
        if rest:
            self._keep(rest)
        return block

    def end(self) -> Block | None:
        """End the file: return the line behind its last line end, if there is one."""
        if not self._partial_bytes:
            return None
        text = b"".join(self._partial)
        self._partial.clear()
        self._partial_bytes = 0
        return self._block([text])

    def _block(self, lines: list[bytes]) -> Block:
        block = Block(lines, self._name, self.line)
        self.line += len(lines)
        return block

    def _keep(self, text: bytes) -> None:
        """Keep the beginning of a line that goes on; of one that is too long already, only how long it is."""
        self._partial_bytes += len(text)
        if self._partial_bytes > self._most:
            self._partial = [self._too_long(0)]
        else:
            self._partial.append(text)

    def _leave_out_long(self, lines: list[bytes]) -> None:
        """Put a blank line in the place of each that is too long; the first may have begun before."""
        before = self._partial_bytes
        for index, line in enumerate(lines):
            if before + len(line) - 1 > self._most:
                lines[index] = self._too_long(index)
                if not index:
                    self._partial.clear()
            before = 0

    def _too_long(self, index: int) -> bytes:
        if self._bad_rows == "skip":
            return _BLANK
        line = self.line + index
        message = f"A row is longer than {self._most:,} bytes ({self._place}, line {line})"
        raise ExportError(message, member=self._name, line=line)
