"""What a saved archive is checked for while it passes by: its members and its directory, or every row as well. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amplitude_async._protocol.decoding import RowSifter
from amplitude_async.exporting.archive import ArchiveReader
from amplitude_async.exporting.frames import ZipFrames

if TYPE_CHECKING:
    from amplitude_async._protocol.decoding import BadRows
    from amplitude_async.exporting.frames import ArchiveLimits

__all__ = ["ArchiveCheck", "RowCheck"]


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
