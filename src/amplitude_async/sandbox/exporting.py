"""The export archive, made piece by piece: nothing is held whole.

Laid out as recorded ones are: stored members whose sizes follow their data, one gzip file of newline-delimited JSON
per upload hour, named ``{project}/{project}_{YYYY-MM-DD}_{H}#{n}.json.gz``.
"""

from __future__ import annotations

import gzip
import io
import zipfile
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Generator

    from amplitude_async.sandbox.store import Store

PAGE_ROWS: Final = 1000
MEMBER_ROWS: Final = 100_000  # an hour with more rows becomes several members


class _Sink(io.RawIOBase):
    """Where ``zipfile`` writes; being unseekable is what makes it put sizes behind the data."""

    def __init__(self) -> None:
        super().__init__()
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(memoryview(cast("bytes", data)))
        self._written += piece
        return len(piece)

    def taken(self) -> bytes:
        """Return what was written since the last time."""
        piece = bytes(self._written)
        self._written.clear()
        return piece


class _Archive:
    """A zip being written, one member open at a time."""

    def __init__(self, project_id: int, sink: _Sink) -> None:
        self._project_id = project_id
        self._zip = zipfile.ZipFile(cast("IO[bytes]", sink), "w", zipfile.ZIP_STORED)
        self._member = ExitStack()
        self._lines: gzip.GzipFile | None = None
        self._hour: int | None = None
        self._part = 0
        self._rows = 0

    def write(self, hour: int, text: str) -> None:
        """Append a row, to the member of its hour."""
        lines = self._lines
        if lines is None or hour != self._hour or self._rows == MEMBER_ROWS:
            lines = self._open(hour)
        lines.write(text.encode() + b"\n")
        self._rows += 1

    def _open(self, hour: int) -> gzip.GzipFile:
        self._member.close()
        self._part = self._part + 1 if hour == self._hour else 0
        self._hour, self._rows = hour, 0
        at = datetime.fromtimestamp(hour * 3600, UTC)
        name = f"{self._project_id}/{self._project_id}_{at:%Y-%m-%d}_{at.hour}#{self._part}.json.gz"
        info = zipfile.ZipInfo(name, (at.year, at.month, at.day, at.hour, 0, 0))
        info.compress_type = zipfile.ZIP_STORED
        member = self._member.enter_context(self._zip.open(info, "w"))
        self._lines = self._member.enter_context(gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=member, mtime=0))
        return self._lines

    def close(self) -> None:
        """Finish the open member and write the central directory."""
        self._member.close()
        self._zip.close()


def archive(store: Store, project_id: int, first_hour: int, last_hour: int) -> Generator[bytes]:
    """Yield the archive of the hours (inclusive, since the epoch) in pieces; nothing at all when they are empty.

    To be advanced in the store's own thread. Rows stored after the first piece was asked for are left out.
    """
    newest = store.last_id()
    page = store.export_page((first_hour, 0), last_hour, PAGE_ROWS)
    if not page:
        return
    sink = _Sink()
    zipped = _Archive(project_id, sink)
    try:
        while page:
            for hour, row_id, text in page:
                if row_id <= newest:
                    zipped.write(hour, text)
            piece = sink.taken()
            if piece:
                yield piece
            page = store.export_page(page[-1][:2], last_hour, PAGE_ROWS)
    finally:
        zipped.close()
    yield sink.taken()
