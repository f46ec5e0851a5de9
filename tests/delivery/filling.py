"""What tests of the outbox's store share: rows, and programs that use one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amplitude_async._protocol.masking import fingerprint
from amplitude_async.delivery.sqlite import Row, SQLiteStore

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = "invented-key-0123456789abcdef"
PROJECT = fingerprint(KEY)
NOW_MS = 1_767_225_600_000


def row(number: int, *, identity: str = "user-12345", size: int = 0, first_unknown_ms: int | None = None) -> Row:
    """Build the row of one event."""
    body = b'{"event_type":"e","n":%d,"p":"%s"}' % (number, b"x" * size)
    return Row(0, identity, "event", f"insert-{number}", NOW_MS + number, first_unknown_ms, body)


def rows(count: int, start: int = 0, size: int = 0) -> list[Row]:
    """Build a number of rows."""
    return [row(number, size=size) for number in range(start, start + count)]


async def opened(path: Path, **extra: Any) -> SQLiteStore:
    """Open a store of the project that all of these tests share."""
    return await SQLiteStore.open(path, **{"project": PROJECT, **extra})


async def everything(store: SQLiteStore, max_rows: int = 1000) -> list[Row]:
    """Page through all waiting rows."""
    found: list[Row] = []
    while page := await store.page(found[-1].id if found else 0, max_rows, 1_000_000):
        found += page
    return found


def numbers(found: Sequence[Row]) -> list[int]:
    """Return which rows these are, by the number they were built with."""
    return [int(one.insert_id.removeprefix("insert-")) for one in found]


def command(program: str, *arguments: object) -> list[str]:
    """Return what starts a program that can import this module."""
    head = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    return [sys.executable, "-c", head + program, *map(str, arguments)]


def run(program: str, *arguments: object, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own."""
    return subprocess.run(command(program, *arguments), capture_output=True, text=True, check=False, timeout=timeout)
