"""Rows out of an export archive, as it downloads: bytes in, lines of JSON out. Pure; constant memory.

An archive is a zip (:mod:`amplitude_async.exporting.frames`) of gzips of newline-delimited JSON. The gzips are inflated 32 kB at a
time, because rows that are decoded while their text is still in the processor's cache cost half of what they cost otherwise.
Everything is checked on the way: each gzip's CRC and length, each member's, and the central directory.

Amplitude's page: https://amplitude.com/docs/apis/analytics/export
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Generic, Literal, TypeVar

import msgspec

from amplitude_async._protocol.masking import mask
from amplitude_async.errors import ExportError, InvalidArgumentError
from amplitude_async.exporting.frames import DATA, HEADER, PIECE_BYTES, TRAILER, ArchiveLimits, ZipFrames
from amplitude_async.exporting.inflating import CORRUPT, LONGEST_HEADER, header_length, new_gzip_inflater

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from amplitude_async.exporting.inflating import GzipInflater

__all__ = ["ArchiveReader", "BadRows", "Decoded", "RowDecoder"]

BadRows = Literal["raise", "skip"]
"""What becomes of a row that cannot be read: an ExportError, or it is left out and counted."""

T = TypeVar("T")

SLICE_BYTES: Final = 64 << 10
"""Most that is inflated from at once: what an inflater leaves of it is copied at every step, and would be copied again and again."""

_GZIP_MAGIC: Final = b"\x1f\x8b"
_MAX_NAMES: Final = 20
"""How many names of skipped members are remembered; all are counted."""
_TOO_LONG: Final = b""
"""Stands for a line over the limit where bad rows are skipped: no JSON, so it is counted as one."""


class ArchiveReader:
    """Takes the bytes of an archive in order and gives the lines of its members.

    ``feed()`` bytes, call ``read_lines()`` until it returns ``None``, feed more; ``finish()`` when there are no more.

    Args:
        limits: How much of an archive is believed.
        is_strict: Give no line of a member before the whole member has been verified.
        bad_rows: What becomes of a line that is longer than the limit.
    """

    def __init__(self, limits: ArchiveLimits | None = None, *, is_strict: bool = False, bad_rows: BadRows = "raise") -> None:
        self._limits = ArchiveLimits() if limits is None else limits
        self._frames = ZipFrames(self._limits)
        self._is_strict = is_strict
        self._bad_rows = bad_rows
        self.member = ""
        """The member that the last lines came from."""
        self.line = 0
        """How many lines of that member came before the last ones."""
        self.members = 0
        """How many members were read to their end."""
        self.skipped_members: list[str] = []
        """Names of the first members that are no gzip, and so hold no rows."""
        self.skipped_count = 0
        """How many of those there were in all."""
        self.decoded_bytes = 0
        self.downloaded_bytes = 0
        self._given = 0
        self._is_folder = False
        self._inflater: GzipInflater | None = None
        self._waiting: deque[bytes | memoryview] = deque()
        self._pending: bytes | memoryview = b""
        self._has_more = False
        self._head = b""
        self._is_skipped = False
        self._partial: list[bytes] = []
        self._partial_bytes = 0
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._is_checking = False
        self._then: Callable[[], list[bytes]] | None = None

    @property
    def is_done(self) -> bool:
        """Whether the archive has ended, and was whole."""
        return self._frames.is_done

    def feed(self, data: bytes) -> None:
        """Take more bytes.

        Raises:
            ExportError: The archive had ended already.
        """
        self.downloaded_bytes += len(data)
        self._frames.feed(data)

    def finish(self) -> None:
        """Say that no more bytes will come.

        Raises:
            ExportError: The archive is not whole.
        """
        self._frames.finish()

    def read_lines(self) -> list[bytes] | None:
        """Return the next lines, without their ends; an empty list if a step gave none, ``None`` if more bytes are needed first.

        One call inflates at most 32 kB, so that it takes well under a millisecond.

        Raises:
            ExportError: The archive is damaged or passes a limit; names member and line.
        """
        self.line += self._given
        lines = self._step()
        self._given = 0 if lines is None else len(lines)
        return lines

    def _step(self) -> list[bytes] | None:
        if self._pending or self._has_more:
            return self._inflate()
        if self._waiting:
            self._pending = self._waiting.popleft()
            return self._inflate()
        if self._then is not None:
            then, self._then = self._then, None
            return then()
        frame = self._frames.next_frame()
        if frame is None:
            return None
        if frame.kind == DATA:
            return self._data(frame.payload)
        if frame.kind == HEADER and frame.member is not None:
            self._begin(frame.member.name)
            self._is_folder = frame.member.is_folder
            self._is_skipped = False
            self._is_checking = self._is_strict
        elif frame.kind == TRAILER:
            return self._checked() if self._held else self._end()
        return []

    def _damaged(self, what: str) -> ExportError:
        line = self.line + self._given + 1
        return ExportError(f"The archive is damaged: {what} (member {self.member}, line {line})", member=self.member, line=line)

    def _begin(self, name: str) -> None:
        self.member, self.line, self._given = name, 0, 0
        self._inflater = None
        self._head = b""
        self._is_checking = False

    def _data(self, payload: bytes | memoryview) -> list[bytes]:
        if not self._is_skipped:
            slices = [payload[at : at + SLICE_BYTES] for at in range(0, len(payload), SLICE_BYTES)]
            if self._is_checking:
                self._hold(slices)
            self._waiting.extend(slices)
        return []

    def _hold(self, slices: list[bytes | memoryview]) -> None:
        """Keep what is being checked, to give its lines afterwards."""
        self._held_bytes += sum(map(len, slices))
        if self._held_bytes > self._limits.held_bytes:
            message = (
                f"A file of the export is longer than the {self._limits.held_bytes:,} bytes that strict=True holds back; "
                f"use save(verify='rows') (member {self.member})"
            )
            raise ExportError(message, member=self.member)
        self._held += map(bytes, slices)

    def _checked(self) -> list[bytes]:
        """Having inflated the whole member once without a fault, give its lines."""
        self._check_end()
        self._begin(self.member)
        self._waiting.extend(self._held)
        self._held, self._held_bytes = [], 0
        self._then = self._end
        return []

    def _end(self) -> list[bytes]:
        """End the member: give what stands behind its last line end."""
        if self._is_skipped or (self._inflater is None and self._head and not self._head.startswith(_GZIP_MAGIC)):
            self.skipped_count += 1
            if len(self.skipped_members) < _MAX_NAMES:
                self.skipped_members.append(self.member)
            return []
        if self._is_folder and self._inflater is None and not self._head:
            return []
        self._check_end()
        self.members += 1
        return [self._joined(b"")] if self._partial else []

    def _check_end(self) -> None:
        if self._head.startswith(_GZIP_MAGIC) or (self._inflater is not None and not self._inflater.eof):
            what = "the gzip within is cut short"
            raise self._damaged(what)
        if self._head and self._inflater is not None:
            raise self._damaged(_NOT_A_GZIP)

    def _inflate(self) -> list[bytes]:
        """Inflate one piece of what is pending and return the lines that it completes."""
        inflater = self._inflater
        if inflater is None or inflater.eof:
            inflater = self._next_gzip()
            if inflater is None:
                return []
        try:
            text: bytes | None = inflater.decompress(self._pending, PIECE_BYTES)
        except CORRUPT:
            text = None
        if text is None:
            what = "the gzip within is corrupt"
            raise self._damaged(what)
        if inflater.eof:
            self._pending, self._has_more = inflater.unused_data, False
        else:
            self._pending, self._has_more = inflater.unconsumed_tail, len(text) == PIECE_BYTES
        if self._is_checking or not self._is_strict:
            # What was held is inflated twice, but it did not grow twice as much.
            self.decoded_bytes += len(text)
        self._frames.check_ratio(self.decoded_bytes, self.downloaded_bytes)
        return [] if self._is_checking else self._split(text)

    def _next_gzip(self) -> GzipInflater | None:
        """Begin the member's gzip, or a further one behind it; ``None`` if it does not begin yet, or is none."""
        pending = self._head + bytes(self._pending) if self._head else self._pending
        self._pending = self._head = b""
        if self._inflater is not None:
            # Zeros may pad a gzip, and a further one may follow it.
            pending = bytes(pending).lstrip(b"\0")
        if len(pending) < len(_GZIP_MAGIC):
            self._head = bytes(pending)
            return None
        if pending[: len(_GZIP_MAGIC)] != _GZIP_MAGIC:
            if self._inflater is not None:
                raise self._damaged(_NOT_A_GZIP)
            self._is_skipped = True
            self._waiting.clear()
            self._held, self._held_bytes = [], 0
            return None
        if header_length(pending) is None:
            if len(pending) > LONGEST_HEADER:
                what = "the gzip within has a header without end"
                raise self._damaged(what)
            self._head = bytes(pending)
            return None
        self._pending = pending
        self._inflater = new_gzip_inflater()
        return self._inflater

    def _split(self, text: bytes) -> list[bytes]:
        lines = text.split(b"\n")
        last = lines.pop()
        limit = self._limits.line_bytes
        if lines:
            if self._partial:
                lines[0] = self._joined(lines[0])
            if limit < PIECE_BYTES:
                lines = [line if len(line) <= limit else self._too_long(index) for index, line in enumerate(lines)]
        if last:
            self._partial_bytes += len(last)
            if self._partial_bytes > limit:
                # Enough to know by; the rest of the line need not be kept.
                self._too_long(len(lines))
                self._partial.clear()
            self._partial.append(last)
        return lines

    def _joined(self, last: bytes) -> bytes:
        """Return the line that began in earlier pieces and ends in this one."""
        self._partial.append(last)
        is_too_long = self._partial_bytes + len(last) > self._limits.line_bytes
        line = self._too_long(0) if is_too_long else b"".join(self._partial)
        self._partial.clear()
        self._partial_bytes = 0
        return line

    def _too_long(self, index: int) -> bytes:
        if self._bad_rows == "skip":
            return _TOO_LONG
        line = self.line + self._given + index + 1
        message = f"A row is longer than {self._limits.line_bytes:,} bytes (member {self.member}, line {line})"
        raise ExportError(message, member=self.member, line=line)


_NOT_A_GZIP: Final = "something that is no gzip follows the gzip within"


class Decoded(Generic[T]):
    """What a batch of lines came to: the rows that could be read, and why the next one could not."""

    __slots__ = ("error", "rows")

    def __init__(self, rows: list[T], error: ExportError | None = None) -> None:
        self.rows = rows
        self.error = error


class RowDecoder(Generic[T]):
    """Turns lines into rows: dicts as sent, or a model of the caller's.

    Args:
        model: What a row becomes, anything msgspec can decode into; ``dict`` for all of it as it is.
        bad_rows: What becomes of a line that is not what the model asks for.

    Raises:
        InvalidArgumentError: The model is nothing that can be decoded into.
    """

    def __init__(self, model: type[T], bad_rows: BadRows) -> None:
        self.skipped = 0
        """How many lines were left out."""
        self._bad_rows = bad_rows
        try:
            # Not strict: a number that comes as text is taken for the number it is.
            decoder = msgspec.json.Decoder(model, strict=False)
        except TypeError as refusal:
            reason = mask(str(refusal))
        else:
            self._loads = decoder.decode
            return
        message = f"model cannot be decoded into: {reason}"
        raise InvalidArgumentError(message, argument="model")

    def decode(self, lines: Sequence[bytes], reader: ArchiveReader) -> Decoded[T]:
        """Decode the lines that the reader gave last."""
        loads = self._loads
        try:
            return Decoded([loads(line) for line in lines])
        except (ValueError, RecursionError, TypeError):
            pass  # said below, with its line
        rows: list[T] = []
        for index, line in enumerate(lines):
            try:
                rows.append(loads(line))
            except (ValueError, RecursionError, TypeError) as refusal:
                if self._bad_rows == "skip":
                    self.skipped += 1
                    continue
                return Decoded(rows, _unreadable(line, refusal, reader, reader.line + index + 1))
        return Decoded(rows)

    def sift(self, lines: Sequence[bytes], reader: ArchiveReader) -> tuple[list[bytes], ExportError | None]:
        """Return the lines that can be decoded, as they are, and why the next one cannot."""
        loads = self._loads
        good: list[bytes] = []
        for index, line in enumerate(lines):
            try:
                loads(line)
                if not line.isascii():
                    # Text that a model leaves out is not looked at by the decoder.
                    line.decode()
            except (ValueError, RecursionError, TypeError) as refusal:
                if self._bad_rows == "skip":
                    self.skipped += 1
                    continue
                return good, _unreadable(line, refusal, reader, reader.line + index + 1)
            good.append(line)
        return good, None

    def taken_skipped(self) -> int:
        """Return how many lines were left out since this was last asked."""
        skipped, self.skipped = self.skipped, 0
        return skipped


def _unreadable(line: bytes, refusal: Exception, reader: ArchiveReader, number: int) -> ExportError:
    # What the decoder says names keys and types, never values; but a model of the caller's may.
    words = "it is blank" if not line.strip() else f"{mask(str(refusal))}"
    message = f"A row cannot be read: {words} (member {reader.member}, line {number})"
    return ExportError(message, member=reader.member, line=number)
