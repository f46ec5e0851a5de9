"""The outbox file: its tables, every statement that is run on it, and how it is made, opened and judged.

A row never changes once it is in ``waiting``, so that its sum stays true and a commit touches few pages: what is learned about it later
is in ``unknown``. One row of ``about`` carries the totals, which would take a scan to find out at opening.

Every statement is a constant of this module; values are bound, never written into it. Lists of ids are bound as JSON.
SQLite's words: https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html
"""

from __future__ import annotations

import json
import os
import sqlite3
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

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

__all__ = [
    "Damaged",
    "Durability",
    "Settings",
    "fitting",
    "is_damage",
    "is_shortage",
    "open_file",
    "purge_set_aside",
    "remove_waiting",
    "retry_set_aside",
]

Durability = Literal["power", "process"]

APPLICATION_ID: Final = 0x416D704F
"""Tells an outbox file from other SQLite databases."""
SCHEMA_VERSION: Final = 1
LAST_POSSIBLE_VERSION: Final = 999
"""A greater number was not written by any version of this library: the file is damaged."""

PAGE_BYTES: Final = 4096
WAITING_COLUMNS: Final = 7
ROW_BYTES: Final = 128
"""What a row takes beside its JSON, roughly."""
CHECKED_BYTES: Final = 64 * 1024 * 1024
"""A file up to this size is checked whole at opening (0.2 s); a larger one as it is read."""

CREATE: Final = (
    """CREATE TABLE about (
        only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
        project BLOB NOT NULL,
        options BLOB,
        waiting_rows INTEGER NOT NULL,
        waiting_bytes INTEGER NOT NULL,
        set_aside_rows INTEGER NOT NULL,
        set_aside_bytes INTEGER NOT NULL
    )""",
    """CREATE TABLE waiting (
        id INTEGER PRIMARY KEY,
        identity TEXT NOT NULL,
        kind TEXT NOT NULL,
        insert_id TEXT NOT NULL,
        accepted_ms INTEGER NOT NULL,
        check_sum INTEGER NOT NULL,
        body BLOB NOT NULL
    )""",
    """CREATE TABLE set_aside (
        id INTEGER PRIMARY KEY,
        identity TEXT NOT NULL,
        kind TEXT NOT NULL,
        insert_id TEXT NOT NULL,
        accepted_ms INTEGER NOT NULL,
        check_sum INTEGER NOT NULL,
        body BLOB NOT NULL,
        first_unknown_ms INTEGER,
        set_aside_ms INTEGER NOT NULL,
        reason TEXT NOT NULL
    )""",
    "CREATE TABLE unknown (id INTEGER PRIMARY KEY, first_ms INTEGER NOT NULL)",
)
SET_APPLICATION_ID: Final = "PRAGMA application_id = 1097691215"
SET_SCHEMA_VERSION: Final = "PRAGMA user_version = 1"
ADD_ABOUT: Final = "INSERT INTO about VALUES (1, ?, ?, 0, 0, 0, 0)"

READ_ABOUT: Final = "SELECT project, options, waiting_rows, waiting_bytes, set_aside_rows, set_aside_bytes FROM about"
SET_OPTIONS: Final = "UPDATE about SET options = ?"
SET_TOTALS: Final = "UPDATE about SET waiting_rows = ?, waiting_bytes = ?, set_aside_rows = ?, set_aside_bytes = ?"
LAST_ID: Final = "SELECT max(coalesce((SELECT max(id) FROM waiting), 0), coalesce((SELECT max(id) FROM set_aside), 0))"
HAS_UNKNOWN: Final = "SELECT EXISTS (SELECT 1 FROM unknown)"

# Each run of a statement gives the interpreter's lock away and has to win it back, which next to a busy event loop can take
# milliseconds. So rows go in by the dozen, and come out as one.
ADD_ROW: Final = "INSERT INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?)"
ADD_8_ROWS: Final = (
    "INSERT INTO waiting VALUES"
    " (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?),"
    " (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?)"
)
ADD_32_ROWS: Final = (
    "INSERT INTO waiting VALUES"
    " (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?),"
    " (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?),"
    " (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?),"
    " (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?),"
    " (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?),"
    " (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?),"
    " (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?),"
    " (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?)"
)
SALVAGE_WAITING: Final = "INSERT OR IGNORE INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?)"
SALVAGE_SET_ASIDE: Final = "INSERT OR IGNORE INTO set_aside VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
ADD_UNKNOWN: Final = "INSERT OR IGNORE INTO unknown VALUES (?, ?)"

SUM_WAITING: Final = "SELECT count(*), coalesce(sum(length(body)), 0) FROM waiting WHERE id IN (SELECT value FROM json_each(?))"
SUM_SET_ASIDE: Final = "SELECT count(*), coalesce(sum(length(body)), 0) FROM set_aside WHERE id IN (SELECT value FROM json_each(?))"
SUM_ALL: Final = (
    "SELECT (SELECT count(*) FROM waiting), (SELECT coalesce(sum(length(body)), 0) FROM waiting),"
    " (SELECT count(*) FROM set_aside), (SELECT coalesce(sum(length(body)), 0) FROM set_aside)"
)
DELETE_WAITING: Final = "DELETE FROM waiting WHERE id IN (SELECT value FROM json_each(?))"
DELETE_UNKNOWN: Final = "DELETE FROM unknown WHERE id IN (SELECT value FROM json_each(?))"
DELETE_SET_ASIDE: Final = "DELETE FROM set_aside WHERE id IN (SELECT value FROM json_each(?))"
NOTE_UNKNOWN: Final = "INSERT OR IGNORE INTO unknown SELECT id, ?2 FROM waiting WHERE id IN (SELECT value FROM json_each(?1))"
SET_ASIDE: Final = (
    "INSERT OR REPLACE INTO set_aside"
    " SELECT waiting.id, identity, kind, insert_id, accepted_ms, check_sum, body, unknown.first_ms, ?2, ?3"
    " FROM waiting LEFT JOIN unknown ON unknown.id = waiting.id WHERE waiting.id IN (SELECT value FROM json_each(?1))"
)
RETRY_UNKNOWN: Final = (
    "INSERT OR REPLACE INTO unknown SELECT number, first_unknown_ms FROM ("
    "SELECT ?2 + row_number() OVER (ORDER BY id) AS number, first_unknown_ms FROM set_aside"
    " WHERE id IN (SELECT value FROM json_each(?1))) WHERE first_unknown_ms IS NOT NULL"
)
RETRY: Final = (
    "INSERT INTO waiting"
    " SELECT ?2 + row_number() OVER (ORDER BY id), identity, kind, insert_id, accepted_ms, check_sum, body FROM set_aside"
    " WHERE id IN (SELECT value FROM json_each(?1)) ORDER BY id"
)

WAITING_SIZES: Final = "SELECT json_group_array(length(body)) FROM (SELECT body FROM waiting WHERE id > ? ORDER BY id LIMIT ?)"
SET_ASIDE_SIZES: Final = "SELECT json_group_array(length(body)) FROM (SELECT body FROM set_aside WHERE id > ? ORDER BY id LIMIT ?)"
PAGE: Final = (
    "SELECT json_group_array(json_array(id, identity, kind, insert_id, accepted_ms, first_ms, check_sum, length(body))),"
    " CAST(group_concat(body, '') AS BLOB) FROM ("
    "SELECT waiting.id AS id, identity, kind, insert_id, accepted_ms, unknown.first_ms AS first_ms, check_sum, body"
    " FROM waiting LEFT JOIN unknown ON unknown.id = waiting.id WHERE waiting.id > ? ORDER BY waiting.id LIMIT ?)"
)
ROWS: Final = (
    "SELECT waiting.id, CAST(identity AS BLOB), CAST(kind AS BLOB), CAST(insert_id AS BLOB), accepted_ms, unknown.first_ms,"
    " check_sum, CAST(body AS BLOB)"
    " FROM waiting LEFT JOIN unknown ON unknown.id = waiting.id WHERE waiting.id > ? ORDER BY waiting.id LIMIT ?"
)
MOVE_WAITING: Final = (
    "SELECT waiting.id, identity, kind, insert_id, accepted_ms, check_sum, body, unknown.first_ms"
    " FROM waiting LEFT JOIN unknown ON unknown.id = waiting.id WHERE waiting.id > ? ORDER BY waiting.id LIMIT ?"
)
MOVE_SET_ASIDE: Final = "SELECT * FROM set_aside WHERE id > ? ORDER BY id LIMIT ?"
SET_ASIDE_IDS: Final = "SELECT id FROM set_aside WHERE id > ? ORDER BY id LIMIT ?"
SET_ASIDE_ROWS: Final = (
    "SELECT id, CAST(identity AS BLOB), CAST(kind AS BLOB), CAST(insert_id AS BLOB), accepted_ms, first_unknown_ms,"
    " CAST(body AS BLOB), set_aside_ms, CAST(reason AS BLOB) FROM set_aside WHERE id > ? ORDER BY id LIMIT ?"
)

BEGIN: Final = "BEGIN IMMEDIATE"
COMMIT: Final = "COMMIT"
ROLLBACK: Final = "ROLLBACK"
PAGES_IN_USE: Final = "SELECT page_count - freelist_count, freelist_count FROM pragma_page_count, pragma_freelist_count"
SHRINK: Final = "PRAGMA incremental_vacuum(256)"
EMPTY_LOG: Final = "PRAGMA wal_checkpoint(TRUNCATE)"

# In this order: the page size before the first page, the exclusive lock before the first use of the log (it then needs no shared
# memory and no third file).
_OPENING: Final = (
    "PRAGMA page_size = 4096",
    "PRAGMA auto_vacuum = INCREMENTAL",
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
            raise Damaged("its main part is gone") from None
        create(path, settings)
        size = 0
    else:
        try:
            size = os.fstat(descriptor).st_size
            if first_bytes(descriptor, len(_MAGIC)) != _MAGIC:
                raise Damaged("it is empty" if size == 0 else "it is no database")
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
            for statement in _OPENING:
                connection.execute(statement)
            connection.execute(BEGIN)
            for statement in CREATE:
                connection.execute(statement)
            connection.execute(SET_APPLICATION_ID)
            connection.execute(SET_SCHEMA_VERSION)
            connection.execute(ADD_ABOUT, (settings.project, settings.options))
            connection.execute(COMMIT)
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
        if not is_same:
            raise storage_error(path, "was exchanged while it was opened")
        for statement in _OPENING:
            connection.execute(statement)
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute(ROLLBACK)
        if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
            raise Damaged("it is not an outbox file")
        for statement in _LOGGED:
            connection.execute(statement).fetchall()
        connection.execute(_SYNCHRONOUS[settings.durability])
    except sqlite3.Error as refusal:
        connection.close()
        raise _translated(path, refusal) from None
    except BaseException:
        connection.close()
        raise
    return connection


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
            raise Damaged("its version is none that was ever written")
        if size <= CHECKED_BYTES:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise Damaged(str(verdict).splitlines()[-1])
        about = connection.execute(READ_ABOUT).fetchone()
        if about is None or not all(isinstance(count, int) and count >= 0 for count in about[2:]):
            raise Damaged("it has lost its description")
        project, options, *totals = about
        if project != settings.project:
            raise storage_error(path, "belongs to another Amplitude project; give each project its own file")
        if options != settings.options:
            if totals[0] or totals[2]:
                words = f"holds {totals[0] + totals[2]} events that were accepted under other options; deliver or purge those first"
                raise storage_error(path, words)
            connection.execute(SET_OPTIONS, (settings.options,))
    except sqlite3.Error as refusal:
        raise _translated(path, refusal) from None
    return Totals(*totals)


def remove_waiting(connection: sqlite3.Connection, ids: str, totals: Totals, *, has_unknown: bool = True) -> Totals:
    """Delete waiting rows, inside the caller's transaction, and return what the totals then are."""
    rows, size = connection.execute(SUM_WAITING, (ids,)).fetchone()
    connection.execute(DELETE_WAITING, (ids,))
    if has_unknown:
        connection.execute(DELETE_UNKNOWN, (ids,))
    return totals._replace(waiting_rows=max(totals.waiting_rows - rows, 0), waiting_bytes=max(totals.waiting_bytes - size, 0))


def purge_set_aside(connection: sqlite3.Connection, ids: str, totals: Totals) -> tuple[int, Totals]:
    """Delete set-aside rows, inside the caller's transaction; return how many, and the totals."""
    rows, size = connection.execute(SUM_SET_ASIDE, (ids,)).fetchone()
    connection.execute(DELETE_SET_ASIDE, (ids,))
    return rows, totals._replace(
        set_aside_rows=max(totals.set_aside_rows - rows, 0), set_aside_bytes=max(totals.set_aside_bytes - size, 0)
    )


def retry_set_aside(connection: sqlite3.Connection, ids: str, totals: Totals, last_id: int) -> tuple[int, Totals]:
    """Move set-aside rows behind the last waiting one, in their order; return how many, and the totals."""
    _, size = connection.execute(SUM_SET_ASIDE, (ids,)).fetchone()
    connection.execute(RETRY_UNKNOWN, (ids, last_id))
    connection.execute(RETRY, (ids, last_id))
    rows, totals = purge_set_aside(connection, ids, totals)
    return rows, totals._replace(waiting_rows=totals.waiting_rows + rows, waiting_bytes=totals.waiting_bytes + size)


def fitting(connection: sqlite3.Connection, statement: str, after: int, max_rows: int, max_bytes: int) -> tuple[int, int]:
    """Return how many rows from there on fit, and their bytes; one that is too large alone still counts as one."""
    (sizes,) = connection.execute(statement, (after, max_rows)).fetchone()
    count = total = 0
    for size in json.loads(sizes):
        if count and total + (size or 0) > max_bytes:
            break
        total += size or 0
        count += 1
    return count, total
