"""Rows out of an export archive, as it downloads: bytes in, lines of JSON out. Pure; constant memory.

An archive is a zip (:mod:`amplitude_async.exporting.frames`) of gzips of newline-delimited JSON. The gzips are inflated 32 kB at a
time, or 96 kB where rows are small, because rows that are decoded while their text is still in the processor's cache cost half of what
they cost otherwise.
Everything is checked on the way: each gzip's CRC and length, each member's, and the central directory.

Amplitude's page: https://amplitude.com/docs/apis/analytics/export
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from amplitude_async._protocol.decoding import Block
from amplitude_async._protocol.inflating import CORRUPT, LONGEST_HEADER, header_length, new_gzip_inflater
from amplitude_async._protocol.splitting import LineSplitter
from amplitude_async.errors import ExportError
from amplitude_async.exporting.frames import DATA, HEADER, PIECE_BYTES, TRAILER, ArchiveLimits, ZipFrames

if TYPE_CHECKING:
    from collections.abc import Callable

    from amplitude_async._protocol.decoding import BadRows
    from amplitude_async._protocol.inflating import GzipInflater

__all__ = ["NOTHING", "ArchiveReader", "Block"]

SLICE_BYTES: Final = 64 << 10
"""Most that is inflated from at once: what an inflater leaves of it is copied at every step, and would be copied again and again."""

_GZIP_MAGIC: Final = b"\x1f\x8b"
_MAX_NAMES: Final = 20
"""How many names of skipped members are remembered; all are counted."""
_NOT_A_GZIP: Final = "something that is no gzip follows the gzip within"


NOTHING: Final = Block([], "", 0)
"""What a step gives that completes no line."""


class ArchiveReader:
    """Takes the bytes of an archive in order and gives the lines of its members.

    ``feed()`` bytes, call ``read_block()`` until it returns ``None``, feed more; ``finish()`` when there are no more.

    Args:
        limits: How much of an archive is believed.
        is_strict: Give no line of a member before the whole member has been verified.
        bad_rows: What becomes of a line that is longer than the limit; where bad rows are skipped, a blank line stands in its place.
        piece_bytes: Most that is inflated at a time; 32 kB if nothing is said.
    """

    def __init__(
        self,
        limits: ArchiveLimits | None = None,
        *,
        is_strict: bool = False,
        bad_rows: BadRows = "raise",
        piece_bytes: int | None = None,
    ) -> None:
        self._limits = ArchiveLimits() if limits is None else limits
        self._frames = ZipFrames(self._limits)
        self._is_strict = is_strict
        self._lines = LineSplitter(self._limits.line_bytes, bad_rows)
        self._piece_bytes = PIECE_BYTES if piece_bytes is None else piece_bytes
        self.member: str = ""
        """The member that is being read."""
        self.members: int = 0
        """How many members were read to their end."""
        self.skipped_members: list[str] = []
        """Names of the first members that are no gzip, and so hold no rows."""
        self.skipped_count: int = 0
        """How many of those there were in all."""
        self._free_bytes = self._limits.ratio_from_bytes
        self.decoded_bytes: int = 0
        self.downloaded_bytes: int = 0
        self._is_folder = False
        self._inflater: GzipInflater | None = None
        self._waiting: deque[bytes | memoryview] = deque()
        self._pending: bytes | memoryview = b""
        self._has_more = False
        self._head = b""
        self._is_skipped = False
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._is_checking = False
        self._then: Callable[[], Block] | None = None

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

    def read_block(self) -> Block | None:
        """Return the next lines; an empty block if a step completed none, ``None`` if more bytes are needed first.

        One call inflates a piece at most, so that it takes well under a millisecond.

        Raises:
            ExportError: The archive is damaged or passes a limit; names member and line.
        """
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
        return NOTHING

    def _damaged(self, what: str) -> ExportError:
        line = self._lines.line
        message = f"The archive is damaged: {what} (member {self.member}, line {line})"
        return ExportError(message, member=self.member, line=line)

    def _begin(self, name: str) -> None:
        self.member = name
        self._lines.begin(name, f"member {name}")
        self._inflater = None
        self._head = b""
        self._is_checking = False

    def _data(self, payload: bytes | memoryview) -> Block:
        if not self._is_skipped:
            slices = [payload[at : at + SLICE_BYTES] for at in range(0, len(payload), SLICE_BYTES)]
            if self._is_checking:
                self._hold(slices)
            self._waiting.extend(slices)
        return NOTHING

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

    def _checked(self) -> Block:
        """Having inflated the whole member once without a fault, give its lines."""
        self._check_end()
        self._begin(self.member)
        self._waiting.extend(self._held)
        self._held, self._held_bytes = [], 0
        self._then = self._end
        return NOTHING

    def _end(self) -> Block:
        """End the member: give what stands behind its last line end."""
        if self._is_skipped or (self._inflater is None and self._head and not self._head.startswith(_GZIP_MAGIC)):
            self.skipped_count += 1
            if len(self.skipped_members) < _MAX_NAMES:
                self.skipped_members.append(self.member)
            return NOTHING
        if self._is_folder and self._inflater is None and not self._head:
            return NOTHING
        self._check_end()
        self.members += 1
        return self._lines.end() or NOTHING

    def _check_end(self) -> None:
        if self._head.startswith(_GZIP_MAGIC) or (self._inflater is not None and not self._inflater.eof):
            what = "the gzip within is cut short"
            raise self._damaged(what)
        if self._head and self._inflater is not None:
            raise self._damaged(_NOT_A_GZIP)

    def _inflate(self) -> Block:
        """Inflate one piece of what is pending and return the lines that it completes."""
        inflater = self._inflater
        if inflater is None or inflater.eof:
            inflater = self._next_gzip()
            if inflater is None:
                return NOTHING
        try:
            text: bytes | None = inflater.decompress(self._pending, self._piece_bytes)
        except CORRUPT:
            text = None
        if text is None:
            # What follows a member that was followed beyond its end is no deflated data.
            what = "the gzip within is corrupt" if self._is_strict else "the gzip within is corrupt or cut short"
            raise self._damaged(what)
        if inflater.eof:
            self._pending, self._has_more = inflater.unused_data, False
            if self._frames.give_back(len(self._pending) + sum(map(len, self._waiting))):
                self._pending = b""
                self._waiting.clear()
        else:
            self._pending, self._has_more = inflater.unconsumed_tail, len(text) == self._piece_bytes
        if self._is_checking or not self._is_strict:
            # What was held is inflated twice, but it did not grow twice as much.
            self.decoded_bytes += len(text)
        if self.decoded_bytes > self._free_bytes:
            self._frames.check_ratio(self.decoded_bytes, self.downloaded_bytes)
        return NOTHING if self._is_checking else self._lines.split(text)

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
        if not self._is_checking:
            # Its end need not be searched for. What is checked before it is given is held, and must be the member's alone.
            self._frames.follow()
        return self._inflater
