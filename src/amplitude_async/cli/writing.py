"""Rows that come one by one, to standard output or into a file that appears when it is whole."""

from __future__ import annotations

import csv
import io
import json
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from amplitude_async.errors import InvalidArgumentError
from amplitude_async.exporting.files import AtomicFile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

__all__ = ["RowsOut", "ids_from", "text_of"]

_FLUSH_BYTES: Final = 1 << 16


class RowsOut:
    """Takes rows and writes them as CSV or JSON lines. A context manager; a file is for its owner alone, and absent if anything fails.

    Args:
        path: The file, or ``None`` for standard output.
        as_json: JSON lines, not CSV; a file whose name says so is never the other.
    """

    def __init__(self, path: Path | None, *, as_json: bool) -> None:
        self._file = None if path is None else AtomicFile(path)
        self._as_json = as_json if path is None or path.suffix not in {".csv", ".ndjson", ".jsonl"} else path.suffix != ".csv"
        self._text = io.StringIO()
        self._names: tuple[str, ...] = ()
        self.rows: int = 0
        """How many came."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if kind is not None:
            if self._file is not None:
                self._file.abort()
            return
        try:
            self._flush()
            if self._file is not None:
                self._file.commit()
        except BaseException:
            if self._file is not None:
                self._file.abort()
            raise

    def add(self, row: Mapping[str, Any]) -> None:
        """Take a row.

        Raises:
            OSError: Whoever reads is gone.
            ExportStorageError: The disk refuses.
        """
        self.rows += 1
        if self._as_json:
            self._text.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
        else:
            writer = csv.writer(self._text, lineterminator="\n")
            if not self._names:
                self._names = tuple(row)
                writer.writerow(self._names)
            values = (row.get(name) for name in self._names)
            writer.writerow([json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value for value in values])
        if self._text.tell() >= _FLUSH_BYTES:
            self._flush()

    def _flush(self) -> None:
        text = self._text.getvalue()
        self._text = io.StringIO()
        if self._file is not None:
            self._file.write(text.encode("utf-8", "surrogatepass"))
        else:
            sys.stdout.write(text)
            sys.stdout.flush()


def ids_from(path: Path | None) -> list[str]:
    """Return ids from a file, one a line, blank lines left out; ``-`` or ``None`` is standard input.

    Raises:
        OSError: It cannot be read.
        InvalidArgumentError: It is no text.
    """
    is_standard = path is None or str(path) == "-"
    text = text_of(None if is_standard else path)
    return [line.strip() for line in text.splitlines() if line.strip()]


def text_of(path: Path | None) -> str:
    """Return the text of a file, or of standard input: UTF-8, whatever the locale is.

    Raises:
        OSError: It cannot be read.
        InvalidArgumentError: It is no text.
    """
    data = sys.stdin.buffer.read() if path is None else path.read_bytes()
    with suppress(UnicodeDecodeError):
        return data.decode("utf-8-sig")
    message = f"{path or 'standard input'} is no text in UTF-8"
    raise InvalidArgumentError(message, argument="FILE")
