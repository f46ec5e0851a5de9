"""How an outbox file is made, opened and judged.

SQLite's words: https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from amplitude_async.delivery import statements
from amplitude_async.delivery.files import (
    check_companions,
    companion,
    first_bytes,
    open_private,
    same_file,
    storage_error,
    sync_folder,
)
from amplitude_async.delivery.jobs import Totals
from amplitude_async.errors import OutboxLocked

if TYPE_CHECKING:
    from pathlib import Path

    from amplitude_async.errors import OutboxStorageError

__all__ = ["PAGE_BYTES", "Damaged", "Durability", "Settings", "is_damage", "is_shortage", "open_file"]

Durability = Literal["power", "process"]

APPLICATION_ID: Final = 0x416D704F
"""Tells an outbox file from other SQLite databases."""
SCHEMA_VERSION: Final = 1
LAST_POSSIBLE_VERSION: Final = 999
"""A greater number was not written by any version of this library: the file is damaged."""

PAGE_BYTES: Final = 4096
CHECKED_BYTES: Final = 64 * 1024 * 1024
"""A file up to this size is checked whole at opening (0.2 s); a larger one as it is read."""

# Before the first page is written; later, they would change a file before it was judged.
_MAKING: Final = ("PRAGMA page_size = 4096", "PRAGMA auto_vacuum = INCREMENTAL")
# The exclusive lock before the first use of the log, which then needs no shared memory and no third file.
_OPENING: Final = (
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA cell_size_check = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA secure_delete = FAST",  # what was delivered must not come back out of a damaged file
    "PRAGMA cache_size = -8000",
)
_LOGGED: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA wal_autocheckpoint = 1000",  # pages: some 4 MiB of log, which is then written over from its start
    "PRAGMA journal_size_limit = 4194304",
    # Elsewhere fsync reaches the disk; on macOS only these do.
    "PRAGMA fullfsync = ON",
    "PRAGMA checkpoint_fullfsync = ON",
)
_SYNCHRONOUS: Final = {"power": "PRAGMA synchronous = FULL", "process": "PRAGMA synchronous = NORMAL"}
_EMPTY: Final = "it is empty"
_NO_DATABASE: Final = "it is no database"
_HEADLESS: Final = "its main part is gone"
_FOREIGN: Final = "it is not an outbox file"
_NO_VERSION: Final = "its version is none that was ever written"
_UNDESCRIBED: Final = "it has lost its description"

_MAGIC: Final = b"SQLite format 3\0"

_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_SHORTAGE: Final = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM}
)
_PRIMARY: Final = 0xFF
"""The part of a result code that is not detail (https://www.sqlite.org/rescode.html)."""


class Damaged(Exception):  # noqa: N818 - never leaves the package
    """The file is not, or no longer, an outbox file that can be used. Internal."""


class Settings(NamedTuple):
    """What an outbox file is opened with.

    Attributes:
        project: What stands for the project's key.
        options: What goes with every upload of these events, as the outbox wrote it.
        durability: Whether an acknowledged event survives a loss of power, or the end of the process.
        max_bytes: The cap.
    """

    project: bytes
    options: bytes | None
    durability: Durability
    max_bytes: int

    @property
    def cap_pages(self) -> int:
        """Return how many pages may be in use when an event is taken; a quarter is for what a row costs beside its JSON."""
        return max(self.max_bytes + self.max_bytes // 4, 16 * PAGE_BYTES) // PAGE_BYTES


def code_of(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code, 0 if the error is not SQLite's own."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & _PRIMARY


def is_damage(error: sqlite3.Error) -> bool:
    """Say whether an error means that the file is broken."""
    return code_of(error) in _DAMAGE


def is_shortage(error: sqlite3.Error) -> bool:
    """Say whether an error means that the disk refuses now and may not later."""
    return code_of(error) in _SHORTAGE


def open_file(path: Path, settings: Settings) -> tuple[sqlite3.Connection, Totals]:
    """Open the file, make it if it is missing, check it, and return its totals.

    Raises:
        Damaged: What is there is broken, or never was an outbox file; it was not changed.
        OutboxLocked: Another program has it open.
        OutboxStorageError: The disk refuses, or the file is not for this outbox.
    """
    has_log = check_companions(path)
    try:
        descriptor = open_private(path)
    except FileNotFoundError:
        if has_log:
            # SQLite would throw the log away, and it may hold events.
            raise Damaged(_HEADLESS) from None
        create(path, settings)
        size = 0
    else:
        try:
            size = os.fstat(descriptor).st_size
            if first_bytes(descriptor, len(_MAGIC)) != _MAGIC:
                raise Damaged(_EMPTY if size == 0 else _NO_DATABASE)
        except OSError as refusal:
            raise storage_error(path, "cannot be read", refusal) from None
        finally:
            os.close(descriptor)
    connection = connect(path, settings)
    try:
        return connection, _judge(connection, path, settings, size)
    except BaseException:
        connection.close()
        raise


def create(path: Path, settings: Settings) -> None:
    """Make an empty outbox file under its own name only when it is complete.

    Raises:
        OutboxStorageError: The disk refuses.
    """
    unfinished = companion(path, ".new")
    try:
        for ending in ("", "-journal"):
            if os.path.lexists(companion(unfinished, ending)):
                companion(unfinished, ending).unlink()  # of a process that was killed here; it never held an event
        os.close(open_private(unfinished, create=True, named=path))
        connection = sqlite3.connect(unfinished, timeout=0, isolation_level=None)
        try:
            for statement in (*_MAKING, *_OPENING):
                connection.execute(statement)
            connection.execute(statements.BEGIN)
            for statement in statements.CREATE:
                connection.execute(statement)
            connection.execute(statements.SET_APPLICATION_ID)
            connection.execute(statements.SET_SCHEMA_VERSION)
            connection.execute(statements.ADD_ABOUT, (settings.project, settings.options))
            connection.execute(statements.COMMIT)
        finally:
            connection.close()
        unfinished.rename(path)
        sync_folder(path.parent)
    except (sqlite3.Error, OSError) as refusal:
        raise storage_error(path, "cannot be made", refusal) from None


def connect(path: Path, settings: Settings) -> sqlite3.Connection:
    """Open a file that is there, and lock it.

    Raises:
        Damaged: It is no SQLite database, or a broken one.
        OutboxLocked: Another program has it open.
        OutboxStorageError: The disk refuses.
    """
    try:
        descriptor = open_private(path)
    except FileNotFoundError as gone:
        raise storage_error(path, "went away", gone) from None
    is_same = True
    try:
        connection = sqlite3.connect(path, timeout=0, isolation_level=None)
        is_same = same_file(path, descriptor)
    except (sqlite3.Error, OSError) as refusal:
        raise storage_error(path, "cannot be opened", refusal) from None
    finally:
        # Before SQLite's first lock: closing any descriptor of a file drops the locks a process has on it.
        os.close(descriptor)
    try:
        if is_same:
            _prepare(connection, settings)
    except sqlite3.Error as refusal:
        connection.close()
        raise _translated(path, refusal) from None
    except BaseException:
        connection.close()
        raise
    if not is_same:
        connection.close()
        raise storage_error(path, "was exchanged while it was opened")
    return connection


def _prepare(connection: sqlite3.Connection, settings: Settings) -> None:
    for statement in _OPENING:
        connection.execute(statement)
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute(statements.ROLLBACK)
    if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
        raise Damaged(_FOREIGN)
    for statement in _LOGGED:
        connection.execute(statement).fetchall()
    connection.execute(_SYNCHRONOUS[settings.durability])


def _translated(path: Path, refusal: sqlite3.Error) -> Damaged | OutboxLocked | OutboxStorageError:
    if code_of(refusal) == sqlite3.SQLITE_BUSY:
        message = f"The outbox file {path} is open in another program."
        return OutboxLocked(message, path=str(path))
    if is_shortage(refusal):
        return storage_error(path, "cannot be opened", refusal)
    return Damaged(str(refusal))


def _judge(connection: sqlite3.Connection, path: Path, settings: Settings, size: int) -> Totals:
    """Check that an opened file is sound and meant for this outbox; return its totals.

    Raises:
        Damaged: It is broken.
        OutboxStorageError: It belongs to another project, was made by a newer version, or holds events taken under other options.
    """
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if SCHEMA_VERSION < version <= LAST_POSSIBLE_VERSION:
            raise storage_error(
                path, f"was made by a newer version of amplitude_async (its layout is {version}); update, or use another path"
            )
        if version != SCHEMA_VERSION:
            raise Damaged(_NO_VERSION)
        if size <= CHECKED_BYTES:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise Damaged(str(verdict).splitlines()[-1])
        about = connection.execute(statements.READ_ABOUT).fetchone()
        if about is None or not all(isinstance(count, int) and count >= 0 for count in about[2:]):
            raise Damaged(_UNDESCRIBED)
        project, options, *totals = about
        if project != settings.project:
            raise storage_error(path, "belongs to another Amplitude project; give each project its own file")
        if options != settings.options:
            if totals[0] or totals[2]:
                words = f"holds {totals[0] + totals[2]} events that were accepted under other options; deliver or purge those first"
                raise storage_error(path, words)
            connection.execute(statements.SET_OPTIONS, (settings.options,))
    except sqlite3.Error as refusal:
        raise _translated(path, refusal) from None
    return Totals(*totals)
