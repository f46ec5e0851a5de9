"""CSV files that Amplitude hands out, as rows: all of them at once, or one by one while the file downloads.

Iterators here are objects, not async generators: one that is left in the middle warns on no event loop, and closes its connection.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from amplitude_async._protocol.commas import CommaReader, MalformedRowsError
from amplitude_async._protocol.unpacking import Inflater
from amplitude_async.errors import ClosedError, ExportError, RequestTimeoutError, UnexpectedResponseError
from amplitude_async.resources.jobs import deadline_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator, Iterator
    from types import TracebackType

    from amplitude_async.errors import AmplitudeError
    from amplitude_async.resources.runner import Download, Runner

__all__ = ["CsvDownload", "CsvRows", "Shape"]

T = TypeVar("T")
Shape = Callable[[list[str]], Callable[[list[str]], T]]
"""Given the names of the columns, gives what makes a row of its cells."""

STEP_BYTES: Final = 32 << 10
"""Read at once: a millisecond's work."""
TURN_SECONDS: Final = 0.0025
"""How long reading goes on before other tasks of the event loop get a turn."""
MOST_ROWS: Final = 10_000_000
"""In one list: the largest cohort that Amplitude ever handed out."""
_GZIP: Final = b"\x1f\x8b"
_MARK: Final = b"\xef\xbb\xbf \t\r\n"
_NO_CSV: Final = (b"<", b"{", b"[")
"""How a page or an error begins, and no CSV file with a header does."""


class _PageError(Exception):
    """What came is no CSV file."""


class _Reader:
    """Bytes in, rows out, a bounded step at a time; a gzip is undone whether the answer said so or not."""

    def __init__(self) -> None:
        self._commas = CommaReader()
        self._data = b""
        self._at = 0
        self._inflater: Inflater | None = None
        self._start: bytes | None = b""
        """What came before it was known what it is; ``None`` from then on."""

    @property
    def header(self) -> list[str] | None:
        return self._commas.header

    @property
    def line(self) -> int:
        return self._commas.line

    def feed(self, data: bytes) -> None:
        """Take more bytes, when the last were used up."""
        self._data, self._at = data, 0

    def step(self) -> list[list[str]] | None:
        """Return further rows, perhaps none; ``None`` if more bytes are needed.

        Raises:
            MalformedRowsError: They are no such rows.
            zlib.error: The gzip is damaged.
            _PageError: It is no CSV file at all.
        """
        if self._inflater is not None and self._inflater.tail:
            return self._plain(self._inflater.inflate(b"", STEP_BYTES))
        if self._at >= len(self._data):
            return None
        piece = self._data[self._at : self._at + STEP_BYTES]
        self._at += len(piece)
        if self._start is not None and self._inflater is None:
            piece = self._start + piece
            if len(piece) < len(_GZIP):
                self._start = piece
                return []
            self._start = b""
            if piece.startswith(_GZIP):
                self._inflater = Inflater()
        return self._plain(piece if self._inflater is None else self._inflater.inflate(piece, STEP_BYTES))

    def _plain(self, text: bytes) -> list[list[str]]:
        if self._start is not None:
            text = self._start + text
            begin = text.lstrip(_MARK)
            if not begin:
                self._start = text
                return []
            if begin.startswith(_NO_CSV):
                raise _PageError
            self._start = None
        return self._commas.feed(text)

    def finish(self) -> list[list[str]]:
        """Return the last rows.

        Raises:
            MalformedRowsError: The file is cut.
            _PageError: There was nothing.
        """
        if self._inflater is not None and not self._inflater.is_whole:
            reason = "its gzip is cut short"
            raise MalformedRowsError(reason, self._commas.line)
        rows = self._commas.finish()
        if self._start is not None or self._commas.header is None:
            raise _PageError
        return rows


class CsvRows(Generic[T]):
    """The rows of a CSV file, one by one while it downloads, in constant memory.

    An async iterator, and an async context manager that closes the download. One that is left in the middle is closed at the latest
    with the client, with a ResourceWarning. It is for one task at a time.

    Args:
        runner: Tells the time and waits.
        begin: Opens the file.
        shape: Makes what makes a row.
        until: When the file has to be read, on the runner's clock; ``None``: no limit but that on silence.
    """

    def __init__(
        self,
        runner: Runner,
        begin: Callable[[], Awaitable[Download]],
        shape: Shape[T],
        until: float | None = None,
    ) -> None:
        self._runner = runner
        self._begin = begin
        self._shape = shape
        self._until = until
        self._make: Callable[[list[str]], T] | None = None
        self._reader = _Reader()
        self._download: Download | None = None
        self._rows: Iterator[T] = iter(())
        self._is_whole = False
        self._is_closed = False
        self._since = runner.clock()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while True:
            for row in self._rows:
                return row
            batch = await self.next_batch()
            if batch is None:
                raise StopAsyncIteration
            self._rows = iter(batch)

    async def next_batch(self) -> list[T] | None:
        """Return as many rows as came together, at least one; ``None`` after the last. Quicker than one by one.

        Raises:
            ExportError: The file is damaged or cut, or is no CSV file; names the line.
            UnexpectedResponseError: Something else came in place of a file.
            ClosedError: It was closed, cancelled or broken before its end.
            AmplitudeError: Amplitude refused, or the connection broke.
        """
        rest = list(self._rows)
        if rest:
            return rest
        if self._is_whole:
            return None
        if self._is_closed:
            # Never a short success.
            message = "The download was closed before its end; ask for it anew."
            raise ClosedError(message)
        try:
            return await self._next()
        except BaseException:
            # A file that cannot be read on, or a caller that was cancelled: nobody will come back for it.
            self._is_closed = True
            if self._download is not None:
                self._download.close_soon()
            raise

    async def _next(self) -> list[T] | None:
        if self._download is None:
            self._download = await self._begin()
            self._since = self._runner.clock()
        while True:
            rows = self._stepped(self._download)
            if rows is None:
                self._check_time(self._download)
                # It may be there already, and so be no turn of anybody's.
                data = await self._download.next_chunk()
                if data is None:
                    rows = self._finished(self._download)
                    self._is_whole = True
                    return self._shaped(rows) or None
                self._reader.feed(data)
                continue
            if self._runner.clock() - self._since > TURN_SECONDS:
                await self._runner.pause(0)
                self._since = self._runner.clock()
            if rows:
                return self._shaped(rows)

    def _check_time(self, download: Download) -> None:
        if self._until is not None and self._runner.clock() >= self._until:
            message = "the time for the whole call is over; the file was still on its way"
            raise RequestTimeoutError(message, outcome="unknown", request=download.request)

    def _shaped(self, rows: list[list[str]]) -> list[T]:
        if not rows:
            return []
        if self._make is None:
            self._make = self._shape(self._reader.header or [])
        make = self._make
        return [make(row) for row in rows]

    def _stepped(self, download: Download) -> list[list[str]] | None:
        try:
            return self._reader.step()
        except MalformedRowsError as fault:
            reason, line = str(fault), fault.line
        except zlib.error:
            reason, line = "its gzip is damaged", self._reader.line
        except _PageError:
            reason, line = "", 0
        raise _fault(download, reason, line)

    def _finished(self, download: Download) -> list[list[str]]:
        try:
            return self._reader.finish()
        except MalformedRowsError as fault:
            reason, line = str(fault), fault.line
        except _PageError:
            reason, line = "", 0
        raise _fault(download, reason, line)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the download; what was not read is lost. Safe to call again."""
        self._is_closed = True
        self._rows = iter(())
        if self._download is not None:
            await self._download.aclose()

    def __del__(self) -> None:
        # Nobody can read on, so the connection goes, if this is still the place where it can be closed.
        download = getattr(self, "_download", None)
        if download is not None:
            download.dropped()


def _fault(download: Download, reason: str, line: int) -> AmplitudeError:
    """Say what is wrong with a file; without a reason it is none at all."""
    if reason:
        message = f"The CSV file cannot be read: {reason} (line {line})"
        return ExportError(message, line=line, outcome="unknown", request=download.request)
    kind = download.headers.get("content-type", "").partition(";")[0].strip()
    what = f"its content type is {kind!r:.60}" if kind else "it does not say what it is"
    message = f"Amplitude answered {download.status}, but not with a CSV file ({what})"
    return UnexpectedResponseError(message, status=download.status, outcome="unknown", request=download.request)


class CsvDownload(Generic[T]):
    """A CSV file that is to be downloaded. Nothing is sent until it is used, and each use is a download of its own.

    ``rows = await download`` gives all rows in a list; ``async for row in download`` gives them one by one while the file arrives, in
    constant memory.

    Args:
        runner: Tells the time and waits.
        begin: Opens the file, before a point on the runner's clock if there is one.
        shape: Makes what makes a row.
        timeout: Seconds until the file has to begin, and until the list has to be complete; ``None``: the limits of any download.
    """

    def __init__(
        self, runner: Runner, begin: Callable[[float | None], Awaitable[Download]], shape: Shape[T], timeout: float | None
    ) -> None:
        self._runner = runner
        self._begin = begin
        self._shape = shape
        self._timeout = timeout
        self._deadline()

    def _deadline(self) -> float | None:
        return None if self._timeout is None else deadline_in(self._runner, self._timeout)

    def rows(self) -> CsvRows[T]:
        """Return an iterator that is an async context manager too: leaving its block closes the download."""
        deadline = self._deadline()
        return CsvRows(self._runner, lambda: self._begin(deadline), self._shape)

    def __aiter__(self) -> CsvRows[T]:
        return self.rows()

    def __await__(self) -> Generator[Any, Any, list[T]]:
        return self._all().__await__()

    async def _all(self) -> list[T]:
        deadline = self._deadline()
        found: list[T] = []
        async with CsvRows(self._runner, lambda: self._begin(deadline), self._shape, deadline) as rows:
            while (batch := await rows.next_batch()) is not None:
                found += batch
                if len(found) > MOST_ROWS:
                    message = f"The file has more than {MOST_ROWS:,} rows; read them one by one, with 'async for'"
                    raise ExportError(message)
        return found
