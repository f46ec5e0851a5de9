"""JSON lines as they come in: from files, which are read on from where one was; from standard input, as they are written to it."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import sys
import threading
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from amplitude_async.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO, Self

__all__ = ["FileLines", "Line", "StandardLines", "event_of"]

BLOCK_BYTES: Final = 1 << 18
LONGEST_LINE: Final = 8 << 20
"""More than Amplitude takes in a whole request of events (https://amplitude.com/docs/apis/analytics/batch-event-upload: 20 MB)."""
_BLOCKS_AHEAD: Final = 8


class Line(NamedTuple):
    """One line that is not blank.

    Attributes:
        number: Which line of its source it is, from 1.
        end: How many bytes of the source are read with it.
        text: What is on it, without the line end.
    """

    number: int
    end: int
    text: bytes


class _Splitter:
    """Cuts bytes into lines. Pure."""

    def __init__(self, number: int = 0, end: int = 0) -> None:
        self.number = number
        self.end = end
        self._rest = b""

    def feed(self, block: bytes) -> Iterator[Line]:
        """Give the lines that are complete now.

        Raises:
            InvalidArgumentError: One is too long to be an event.
        """
        *whole, self._rest = (self._rest + block).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            message = f"line {self.number + 1} is longer than {LONGEST_LINE:,} bytes: one event a line is expected"
            raise InvalidArgumentError(message, argument="file")
        for text in whole:
            yield from self._line(text, 1)

    def finish(self) -> Iterator[Line]:
        """Give the last line, which may lack its end."""
        rest, self._rest = self._rest, b""
        if rest:
            yield from self._line(rest, 0)

    def _line(self, text: bytes, ending: int) -> Iterator[Line]:
        self.number += 1
        self.end += len(text) + ending
        text = text.strip(b" \t\r")
        if text:
            yield Line(self.number, self.end, text)


def event_of(line: Line) -> dict[str, Any]:
    """Return the JSON object on a line.

    Raises:
        ValueError: It is none; says why.
    """
    try:
        event = json.loads(line.text)
    except json.JSONDecodeError as error:
        message = f"no JSON: {error}"
    except UnicodeDecodeError:
        message = "no JSON: it is not in UTF-8"
    except (ValueError, RecursionError):
        message = "no JSON"
    else:
        if isinstance(event, dict):
            return event
        message = f"a JSON {type(event).__name__}, where an object was expected"
    raise ValueError(message)


class FileLines:
    """The lines of a file from a place on; ``.gz`` is inflated. A context manager.

    Args:
        path: The file.
        number: How many lines were read before.
        end: How many bytes those were, inflated.

    Raises:
        OSError: It cannot be read.
    """

    def __init__(self, path: Path, number: int = 0, end: int = 0) -> None:
        self._raw: BinaryIO = path.open("rb")
        self._file: gzip.GzipFile | BinaryIO = gzip.GzipFile(fileobj=self._raw) if path.suffix == ".gz" else self._raw
        self._splitter = _Splitter(number, end)
        self._skip(end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._file.close()
        self._raw.close()

    @property
    def position(self) -> int:
        """How much of the file, as it is on the disk, was read."""
        return self._raw.tell()

    def __iter__(self) -> Iterator[Line]:
        while block := self._block():
            yield from self._splitter.feed(block)
        yield from self._splitter.finish()

    def _skip(self, count: int) -> None:
        if self._file is self._raw:
            self._file.seek(count)
            return
        while count and (skipped := len(self._file.read(min(count, BLOCK_BYTES)))):
            count -= skipped

    def _block(self) -> bytes:
        """Read on.

        Raises:
            InvalidArgumentError: It is no gzip, although it is called so, or a damaged one.
        """
        reason = ""
        try:
            return self._file.read(BLOCK_BYTES)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            reason = str(error)
        message = f"{self._raw.name} cannot be inflated after line {self._splitter.number}: {reason}"
        raise InvalidArgumentError(message, argument="file")


class StandardLines:
    """The lines of standard input as they come; what has not come yet holds nobody up. An asynchronous iterator of lists.

    A thread reads the descriptor itself: a buffered reader holds a lock while it waits, and the end of the program would wait for it.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._blocks: asyncio.Queue[bytes] = asyncio.Queue()
        self._room = threading.Semaphore(_BLOCKS_AHEAD)
        self._splitter = _Splitter()
        self._is_over = False
        threading.Thread(target=self._read, args=(sys.stdin.fileno(),), name="amplitude-stdin", daemon=True).start()

    def _read(self, descriptor: int) -> None:
        while True:
            self._room.acquire()
            try:
                block = os.read(descriptor, BLOCK_BYTES)
            except OSError:
                block = b""
            try:
                self._loop.call_soon_threadsafe(self._blocks.put_nowait, block)
            except RuntimeError:
                return
            if not block:
                return

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Line]:
        while not self._is_over:
            block = await self._blocks.get()
            self._room.release()
            if not block:
                self._is_over = True
                lines = list(self._splitter.finish())
            else:
                lines = list(self._splitter.feed(block))
            if lines:
                return lines
        raise StopAsyncIteration
