"""What a folder of exported hours holds: one JSON line an hour in ``_manifest.jsonl``, and a lock so that one job at a time writes it.

Engines that read a folder as one table leave files alone whose names begin with an underscore or a dot.

A line is appended when an hour's file has its name, so that a job that is killed at any instant knows afterwards what is whole. The
last line of an hour counts; a line that was cut by a kill does not. A finished job leaves the lines sorted, one an hour, and
without times, so that equal data gives an equal folder. Blocks: use it in a thread.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self

from amplitude_async.errors import ConfigurationError, ExportStorageError
from amplitude_async.exporting.files import AtomicFile, hold, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

__all__ = ["HourRecord", "HourState", "Manifest"]

HourState = Literal["done", "empty"]

NAME: Final = "_manifest.jsonl"
LOCK: Final = ".manifest.lock"
VERSION: Final = 1
_HOUR: Final = re.compile(r"\d{8}T\d{2}", re.ASCII)
_TYPES: Final = {"hour": str, "state": str, "file": str, "bytes": int, "rows": int, "sha256": str, "is_final": bool}
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)


class HourRecord(NamedTuple):
    """One hour.

    Attributes:
        hour: ``YYYYMMDDTHH``, UTC.
        state: ``"done"``: its file is complete. ``"empty"``: Amplitude has no data for it.
        file: The file's name within the folder; ``""`` if the hour is empty.
        bytes: The file's length.
        rows: How many rows it holds.
        sha256: Its SHA-256 in hex.
        is_final: It was fetched long enough after its end; otherwise it is fetched again by the next job, for late rows.
    """

    hour: str
    state: HourState
    file: str = ""
    bytes: int = 0
    rows: int = 0
    sha256: str = ""
    is_final: bool = True


class Manifest:
    """The manifest of a folder, locked for this process while it is open.

    Args:
        folder: The folder; made, for its owner alone, if it is missing.
        project: What tells the project from others; a keyed hash, never a key.
        format: What the files are.

    Raises:
        ConfigurationError: The folder holds another project's hours, or another format, or is of another version.
        ExportStorageError: Another job is at work in the folder, it cannot be written, or its manifest is damaged.
    """

    def __init__(self, folder: Path, *, project: str, format: str) -> None:  # noqa: A002 - the user's own word
        self.folder = folder
        self.records: dict[str, HourRecord] = {}
        """What is known of each hour."""
        self._head = {"manifest": VERSION, "project": project, "format": format}
        self._lock = -1
        self._descriptor = -1
        failure: ExportStorageError | None = None
        try:
            make_folder(folder)
            self._lock = _locked(folder / LOCK)
            self._load()
        except OSError as error:
            busy = isinstance(error, BlockingIOError)
            why = "another export job is at work there" if busy else error.strerror or type(error).__name__
            failure = ExportStorageError(f"The folder {os.fspath(folder)!r:.200} cannot be used: {why}")
        except BaseException:
            self.close()
            raise
        if failure is not None:
            self.close()
            raise failure

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def _load(self) -> None:
        path = self.folder / NAME
        text = path.read_bytes() if path.exists() else b""
        first, *rest = text.split(b"\n")
        if text:
            self._check_head(_parsed(first))
        for raw in rest:
            record = _record(_parsed(raw))
            if record is not None:
                self.records[record.hour] = record
        for part in self.folder.glob(".*.part"):
            if _PART.fullmatch(part.name):
                _remove_if_left(part)
        self.tidy()

    def _check_head(self, head: dict[str, Any] | None) -> None:
        """Refuse what is of others.

        The head is never half written. Where it is missing it was damaged later, and nobody knows whose hours follow.

        Raises:
            ConfigurationError: The folder holds another project's hours, another format, or was written by a newer version.
            ExportStorageError: The head cannot be read.
        """
        found = {name: (head or {}).get(name) for name in self._head}
        version = found["manifest"]
        if head is None or type(version) is not int:
            message = (
                f"The folder {os.fspath(self.folder)!r:.200} cannot be used: {NAME} does not begin as one. Put back a copy of it, or "
                "remove it, and every hour is fetched again."
            )
            raise ExportStorageError(message)
        differs = next((name for name in self._head if found[name] != self._head[name]), "")
        if not differs:
            return
        folder = f"The folder {os.fspath(self.folder)!r:.200}"
        if differs == "manifest":
            message = (
                f"{folder} is of another version of amplitude-async: its {NAME} is of version {version}, known here is {VERSION}."
            )
            raise ConfigurationError(message)
        shown = f"format {found['format']!r:.20}" if differs == "format" else f"another {differs}"
        message = f"{folder} holds an export of {shown}; use a folder of its own for each."
        raise ConfigurationError(message)

    def tidy(self) -> None:
        """Write it anew: one line an hour, sorted."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        file = AtomicFile(self.folder / NAME)
        try:
            file.write(_line(self._head))
            for hour in sorted(self.records):
                file.write(_line(self.records[hour]._asdict()))
            file.commit()
        finally:
            file.abort()
        self._descriptor = os.open(self.folder / NAME, _FLAGS, 0o600)

    def is_whole(self, hour: str) -> bool:
        """Say whether an hour needs no fetching: it is final, and its file is there in its length."""
        record = self.records.get(hour)
        if record is None or not record.is_final:
            return False
        if record.state == "empty":
            return True
        try:
            return (self.folder / record.file).stat().st_size == record.bytes
        except OSError:
            return False

    def add(self, record: HourRecord) -> None:
        """Note what became of an hour.

        Raises:
            ExportStorageError: The disk is full, or broken.
        """
        failure: ExportStorageError | None = None
        try:
            line = _line(record._asdict())
            if os.write(self._descriptor, line) != len(line):
                failure = ExportStorageError("Writing the manifest failed: the disk is full")
            os.fsync(self._descriptor)
        except OSError as error:
            failure = ExportStorageError(f"Writing the manifest failed: {error.strerror or type(error).__name__}")
        if failure is not None:
            raise failure
        self.records[record.hour] = record

    def close(self) -> None:
        """Give up the lock. Safe to call again."""
        for descriptor in (self._descriptor, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._lock = -1


def _line(members: dict[str, Any]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode() + b"\n"


def _parsed(raw: bytes) -> dict[str, Any] | None:
    """Return what a line says, ``None`` for one that was cut."""
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) else None


def _record(line: dict[str, Any] | None) -> HourRecord | None:
    """Return the hour that a line is about, ``None`` if it is none that was written here: such an hour is fetched again."""
    if line is None:
        return None
    fields: dict[str, Any] = {name: line.get(name) for name in HourRecord._fields}
    is_right = all(type(value) is _TYPES[name] for name, value in fields.items())
    if not is_right or not _HOUR.fullmatch(fields["hour"]) or fields["state"] not in {"done", "empty"}:
        return None
    record = HourRecord(**fields)
    if record.state == "empty":
        return None if record.file else record
    # A file of this folder, named after its hour.
    return record if re.fullmatch(rf"{record.hour}(\.[a-z]+)+", record.file, re.ASCII) else None


_PART: Final = re.compile(r"\.(?:\d{8}T\d{2}(?:-\d+)?\.[a-z.]+|_manifest\.jsonl)\.[0-9a-f]{8}\.part", re.ASCII)
"""The names of our own files in the making."""


def _remove_if_left(part: Path) -> None:
    """Remove what a job left that was killed; what is still being written is locked by who writes it."""
    with suppress(OSError):
        descriptor = os.open(part, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        try:
            if hold(descriptor):
                part.unlink()
        finally:
            os.close(descriptor)


def _locked(path: Path) -> int:
    """Lock a file for as long as it stays open in this process.

    Raises:
        BlockingIOError: Somebody else has it.
    """
    descriptor = os.open(path, _FLAGS, 0o600)
    try:
        with suppress(OSError, AttributeError):
            # Whatever the umask was.
            os.fchmod(descriptor, 0o600)
        _lock(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _lock(descriptor: int) -> None:
    try:
        import fcntl  # noqa: PLC0415 - not everywhere
    except ImportError:
        import msvcrt  # noqa: PLC0415 - where fcntl is not

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]  # Windows alone
        except OSError as error:
            raise BlockingIOError(error.errno, error.strerror) from None
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def names(records: Iterable[HourRecord]) -> list[str]:
    """Return the names of the files that records speak of, sorted."""
    return sorted(record.file for record in records if record.file)
