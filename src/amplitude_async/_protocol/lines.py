"""Lines out of one gzip of newline-delimited JSON, as it downloads: bytes in, blocks of whole lines out. Pure; constant memory.

What Amplitude keeps in a bucket may reach us with its gzip undone on the way (``Content-Encoding: gzip``): what does not begin as a
gzip is taken for the lines themselves.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from amplitude_async._protocol.decoding import Block, lines_of
from amplitude_async._protocol.inflating import (
    CORRUPT,
    LONGEST_HEADER,
    PIECE_BYTES,
    ArchiveLimits,
    header_length,
    new_gzip_inflater,
)
from amplitude_async.errors import ExportError

if TYPE_CHECKING:
    from amplitude_async._protocol.decoding import BadRows
    from amplitude_async._protocol.inflating import GzipInflater

__all__ = ["LineReader"]

SLICE_BYTES: Final = 64 << 10
"""Most that is inflated from at once: what an inflater leaves of it is copied at every step."""
_MAGIC: Final = b"\x1f\x8b"
_BLANK: Final = b"\n"
"""What stands for a line that is too long where bad rows are skipped: no JSON, so that it is counted as one."""


class LineReader:
    """Takes the bytes of a file in order and gives its lines.

    ``feed()`` bytes, call ``read_block()`` until it returns ``None``, feed more; ``finish()`` when there are no more, and read once
    again what is left.

    Args:
        name: What the file is called in errors.
        limits: How much of it is believed.
        bad_rows: What becomes of a line that is longer than the limit.
    """

    def __init__(self, name: str, limits: ArchiveLimits | None = None, *, bad_rows: BadRows = "raise") -> None:
        self._name = name
        self._limits = ArchiveLimits() if limits is None else limits
        self._bad_rows = bad_rows
        self._waiting: deque[bytes] = deque()
        self._pending = b""
        self._has_more = False
        self._inflater: GzipInflater | None = None
        self._is_plain = False
        self._is_finished = False
        self._partial: list[bytes] = []
        self._partial_bytes = 0
        self._line = 1
        self.downloaded_bytes: int = 0
        self.decoded_bytes: int = 0

    def feed(self, data: bytes) -> None:
        """Take more bytes."""
        self.downloaded_bytes += len(data)
        self._waiting.extend(data[at : at + SLICE_BYTES] for at in range(0, len(data), SLICE_BYTES))

    def finish(self) -> None:
        """Say that no more bytes will come."""
        self._is_finished = True

    def read_block(self) -> Block | None:
        """Return the next lines; an empty block if a step completed none, ``None`` if more bytes are needed, or nothing is left.

        One call inflates at most 32 kB.

        Raises:
            ExportError: The file is damaged or cut, or passes a limit; names the line.
        """
        if self._has_more:
            return self._step()
        if self._waiting:
            self._pending += self._waiting.popleft()
            return self._step()
        return self._end() if self._is_finished else None

    def _damaged(self, what: str) -> ExportError:
        message = f"The file is damaged: {what} ({self._name}, line {self._line})"
        return ExportError(message, member=self._name, line=self._line)

    def _step(self) -> Block:
        if self._is_plain:
            plain, self._pending = self._pending, b""
            self.decoded_bytes += len(plain)
            return self._whole_lines(plain)
        inflater = self._inflater
        if inflater is None or inflater.eof:
            inflater = self._begin()
            if inflater is None:
                return self._block([])
        try:
            text: bytes | None = inflater.decompress(self._pending, PIECE_BYTES)
        except CORRUPT:
            text = None
        if text is None:
            what = "its gzip is corrupt"
            raise self._damaged(what)
        if inflater.eof:
            self._pending = inflater.unused_data
            self._has_more = bool(self._pending)
        else:
            self._pending = inflater.unconsumed_tail
            self._has_more = bool(self._pending) or len(text) == PIECE_BYTES
        self.decoded_bytes += len(text)
        limits = self._limits
        if self.decoded_bytes > limits.ratio_from_bytes and self.decoded_bytes > limits.ratio * self.downloaded_bytes:
            what = f"it grows to more than {limits.ratio:g} times its size"
            raise self._damaged(what)
        return self._whole_lines(text)

    def _begin(self) -> GzipInflater | None:
        """Begin the gzip, or a further one behind it; ``None`` if it does not begin yet, or is none."""
        self._has_more = False
        if self._inflater is not None:
            # Zeros may pad a gzip, and a further one may follow it.
            self._pending = self._pending.lstrip(b"\0")
        pending = self._pending
        if len(pending) < len(_MAGIC) and _MAGIC.startswith(pending):
            return None
        if not pending.startswith(_MAGIC):
            if self._inflater is not None:
                what = "something that is no gzip follows its gzip"
                raise self._damaged(what)
            self._is_plain = self._has_more = True
            return None
        if header_length(pending) is None:
            if len(pending) > LONGEST_HEADER:
                what = "its gzip has a header without end"
                raise self._damaged(what)
            return None
        self._inflater = new_gzip_inflater()
        return self._inflater

    def _end(self) -> Block | None:
        if not self._is_plain and (self._inflater is None or not self._inflater.eof or self._pending.strip(b"\0")):
            what = "it is cut short" if self.downloaded_bytes else "it is empty"
            raise self._damaged(what)
        if not self._partial_bytes:
            return None
        text = _BLANK if self._partial_bytes > self._limits.line_bytes else b"".join(self._partial)
        self._partial, self._partial_bytes = [], 0
        return self._block([text])

    def _block(self, lines: list[bytes]) -> Block:
        block = Block(lines, self._name, self._line)
        self._line += len(lines)
        return block

    def _whole_lines(self, text: bytes) -> Block:
        """Return the lines that a piece of text completes, and keep what goes on behind them."""
        self._has_more = self._has_more and not self._is_plain
        lines = lines_of(text)
        rest = b"" if text.endswith(b"\n") or not lines else lines.pop()
        if lines:
            if self._partial_bytes + len(text) > self._limits.line_bytes:
                self._leave_out_long(lines)
            if self._partial:
                lines[0] = b"".join((*self._partial, lines[0]))
            self._partial, self._partial_bytes = [], 0
        block = self._block(lines)
        self._keep(rest)
        return block

    def _keep(self, text: bytes) -> None:
        """Keep the beginning of a line that goes on; of one that is too long already, only how long it is."""
        self._partial_bytes += len(text)
        if self._partial_bytes > self._limits.line_bytes:
            self._partial = [self._too_long(0)]
        elif text:
            self._partial.append(text)

    def _leave_out_long(self, lines: list[bytes]) -> None:
        """Put a blank line in the place of each that is too long; the first may have begun before."""
        before = self._partial_bytes
        for index, line in enumerate(lines):
            if before + len(line) - 1 > self._limits.line_bytes:
                lines[index] = self._too_long(index)
                if not index:
                    self._partial = []
            before = 0

    def _too_long(self, index: int) -> bytes:
        if self._bad_rows == "skip":
            return _BLANK
        line = self._line + index
        message = f"A row is longer than {self._limits.line_bytes:,} bytes ({self._name}, line {line})"
        raise ExportError(message, member=self._name, line=line)
