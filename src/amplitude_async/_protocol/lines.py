"""Lines out of one gzip of newline-delimited JSON, as it downloads: bytes in, blocks of whole lines out. Pure; constant memory.

What Amplitude keeps in a bucket may reach us with its gzip undone on the way (``Content-Encoding: gzip``): what does not begin as a
gzip is taken for the lines themselves.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from amplitude_async._protocol.inflating import (
    CORRUPT,
    LONGEST_HEADER,
    PIECE_BYTES,
    ArchiveLimits,
    header_length,
    new_gzip_inflater,
)
from amplitude_async._protocol.splitting import LineSplitter
from amplitude_async.errors import ExportError

if TYPE_CHECKING:
    from amplitude_async._protocol.decoding import BadRows, Block
    from amplitude_async._protocol.inflating import GzipInflater

__all__ = ["LineReader"]

SLICE_BYTES: Final = 64 << 10
"""Most that is inflated from at once: what an inflater leaves of it is copied at every step."""
_MAGIC: Final = b"\x1f\x8b"


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
        self._lines = LineSplitter(self._limits.line_bytes, bad_rows)
        self._lines.begin(name, name)
        self._waiting: deque[bytes] = deque()
        self._pending = b""
        self._has_more = False
        self._inflater: GzipInflater | None = None
        self._is_plain = False
        self._is_finished = False
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
        line = self._lines.line
        message = f"The file is damaged: {what} ({self._name}, line {line})"
        return ExportError(message, member=self._name, line=line)

    def _step(self) -> Block:
        if self._is_plain:
            plain, self._pending, self._has_more = self._pending, b"", False
            self.decoded_bytes += len(plain)
            return self._lines.split(plain)
        inflater = self._inflater
        if inflater is None or inflater.eof:
            inflater = self._begin()
            if inflater is None:
                return self._lines.split(b"")
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
        return self._lines.split(text)

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
        return self._lines.end()
