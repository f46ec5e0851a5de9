"""What a saved archive is checked for: its members and its directory, or every row as well. Pure.

What passes by is checked as it comes. What is in a file is checked there, which costs less: its directory, at the end, says where
members end, and they need not be searched for, nor read again but for their ends, since what was written was summed up block by block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from amplitude_async._protocol.decoding import RowSifter
from amplitude_async.errors import ExportError, ExportStorageError
from amplitude_async.exporting.archive import ArchiveReader
from amplitude_async.exporting.ending import TAIL_BYTES, find_directory
from amplitude_async.exporting.frames import ZipFrames, read_entry
from amplitude_async.exporting.sums import BLOCK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from amplitude_async._protocol.decoding import BadRows
    from amplitude_async.exporting.frames import ArchiveLimits
    from amplitude_async.exporting.sums import BlockSums

__all__ = ["ArchiveCheck", "FileCheck", "RowCheck"]

STEP_PIECES: Final = 256
"""How many pieces of a file are read and checked in one step: some milliseconds."""


class ArchiveCheck:
    """Checks members, directory and end record."""

    def __init__(self, limits: ArchiveLimits | None) -> None:
        self._frames = ZipFrames(limits)
        self.rows: int | None = None
        self.skipped: int = 0

    @property
    def members(self) -> int:
        """How many members there were so far."""
        return self._frames.members

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._frames.feed(chunk)

    def step(self) -> bool:
        """Check some of what was taken; say whether there is more to check."""
        return self._frames.next_frame() is not None

    def finish(self) -> None:
        """Say that these were all bytes.

        Raises:
            ExportError: The archive is not whole.
        """
        self._frames.finish()


class FileCheck:
    """Checks of a file what :class:`ArchiveCheck` checks of what passes by.

    Args:
        read: Reads so many bytes of the file from a place on; fewer only at its end.
        sums: Of all that was written to it, when the first step is taken.
        limits: What to believe.
    """

    def __init__(self, read: Callable[[int, int], bytes], sums: BlockSums, limits: ArchiveLimits | None) -> None:
        self._read = read
        self._sums = sums
        self._limits = limits
        self._frames = ZipFrames(limits, _places(read, sums))
        self._at = 0
        self._trusts_directory = True

    @property
    def members(self) -> int:
        """How many members there were so far."""
        return self._frames.members

    def step(self) -> bool:
        """Check some megabytes; say whether there is more to check.

        Raises:
            ExportError: The archive is not whole.
        """
        try:
            return self._step()
        except ExportStorageError:
            raise
        except ExportError:
            if not self._trusts_directory:
                raise
        # It may be the directory that is wrong. What is damaged is said by a reading that has not looked at it beforehand.
        self._frames, self._at, self._trusts_directory = ZipFrames(self._limits), 0, False
        return True

    def _step(self) -> bool:
        frames = self._frames
        for _ in range(STEP_PIECES):
            piece = self._read(self._at, self._sums.block_bytes)
            if not piece:
                frames.finish()
                return False
            self._at += len(piece)
            frames.feed(piece)
            while frames.next_frame() is not None:
                pass
            self._pass_over()
        return True

    def _pass_over(self) -> None:
        """Leave out the blocks that lie within a member: their sums tell what is to be known of them."""
        sums = self._sums
        first, is_within = divmod(self._at, sums.block_bytes)
        count = min(self._frames.unread, sums.length - self._at) // sums.block_bytes
        if count > 0 and not is_within:
            length = count * sums.block_bytes
            self._frames.pass_over(length, lambda crc: sums.extend(crc, first, count))
            self._at += length


def _places(read: Callable[[int, int], bytes], sums: BlockSums) -> Iterator[tuple[int, int]]:
    """Yield where members begin and how long their data is, as far as a central directory can be read; the rest is not known."""
    start = max(0, sums.length - TAIL_BYTES)
    place = find_directory(read(start, TAIL_BYTES), start)
    if place is None:
        return
    at, end = place
    while at < end:
        piece = read(at, BLOCK_BYTES)
        inner = 0
        while (entry := read_entry(piece, inner)) is not None:
            member, size = entry
            inner += size
            yield member.offset, member.compressed
            if at + inner >= end:
                return
        if not inner:
            return
        at += inner


class RowCheck:
    """Checks all that :class:`ArchiveCheck` does, the gzips within, and that every line is a JSON object; counts rows."""

    def __init__(self, limits: ArchiveLimits | None, bad_rows: BadRows = "raise") -> None:
        self._reader = ArchiveReader(limits, bad_rows=bad_rows)
        self._sifter = RowSifter(bad_rows)
        self.rows: int | None = 0
        self.skipped: int = 0
        """How many lines could not be read, where those are only counted."""

    @property
    def members(self) -> int:
        """How many members there were so far."""
        return self._reader.members + self._reader.skipped_count

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._reader.feed(chunk)

    def step(self) -> bool:
        """Check some of what was taken; say whether there is more to check.

        Raises:
            ExportError: A row cannot be read; names member and line.
        """
        block = self._reader.read_block()
        if block is None:
            return False
        if block.rows:
            good, skipped, error = self._sifter.sift(block)
            if error is not None:
                raise error
            self.rows = (self.rows or 0) + good.rows
            self.skipped += skipped
        return True

    def finish(self) -> None:
        """Say that these were all bytes.

        Raises:
            ExportError: The archive is not whole.
        """
        self._reader.finish()
