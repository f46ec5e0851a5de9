"""The outbox file's tables, every statement that is run on them, and the steps that several of them make up.

A row never changes once it is in ``waiting``, so that its sum stays true and a commit touches few pages: what is learned about it
later is in ``unknown``. One row of ``about`` carries the totals, which would take a scan to find out at opening.

Every statement is a constant of this module; values are bound, never written into it. Lists of ids are bound as JSON.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3

    from amplitude_async.delivery.jobs import Totals

__all__ = ["fitting", "purge_set_aside", "remove_waiting", "retry_set_aside"]

WAITING_COLUMNS: Final = 7
ROW_BYTES: Final = 128
"""What a row takes beside its JSON, roughly."""

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
NOTE_UNKNOWN: Final = "INSERT OR IGNORE INTO unknown SELECT id, :now_ms FROM waiting WHERE id IN (SELECT value FROM json_each(:ids))"
SET_ASIDE: Final = (
    "INSERT OR REPLACE INTO set_aside"
    " SELECT waiting.id, identity, kind, insert_id, accepted_ms, check_sum, body, unknown.first_ms, :now_ms, :reason"
    " FROM waiting LEFT JOIN unknown ON unknown.id = waiting.id WHERE waiting.id IN (SELECT value FROM json_each(:ids))"
)
RETRY_UNKNOWN: Final = (
    "INSERT OR REPLACE INTO unknown SELECT number, first_unknown_ms FROM ("
    "SELECT :last_id + row_number() OVER (ORDER BY id) AS number, first_unknown_ms FROM set_aside"
    " WHERE id IN (SELECT value FROM json_each(:ids))) WHERE first_unknown_ms IS NOT NULL"
)
RETRY: Final = (
    "INSERT INTO waiting"
    " SELECT :last_id + row_number() OVER (ORDER BY id), identity, kind, insert_id, accepted_ms, check_sum, body FROM set_aside"
    " WHERE id IN (SELECT value FROM json_each(:ids)) ORDER BY id"
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
REWRITE: Final = "VACUUM"
EMPTY_LOG: Final = "PRAGMA wal_checkpoint(TRUNCATE)"


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
    connection.execute(RETRY_UNKNOWN, {"ids": ids, "last_id": last_id})
    connection.execute(RETRY, {"ids": ids, "last_id": last_id})
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
