"""Rows out of a sound outbox file: many in one run of a statement, and one by one where something is wrong with them."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Final
from zlib import crc32

from amplitude_async.delivery import statements
from amplitude_async.delivery.opening import is_damage, is_shortage
from amplitude_async.delivery.rows import Row, SetAside, check_sum

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["read_rows", "read_set_aside"]

LIST_BYTES: Final = 8 * 1024 * 1024
"""How much JSON of set-aside events is handed out at once."""


def read_rows(connection: sqlite3.Connection, after: int, count: int, project: bytes) -> tuple[list[Row], list[int], int]:
    """Read waiting rows; return the sound ones, the ids of the others, and the last id of all.

    Raises:
        sqlite3.Error: The file cannot be read.
    """
    rows: list[Row] = []
    try:
        facts, bodies = connection.execute(statements.PAGE, (after, count)).fetchone()
        start = 0
        row_id = after
        seed = crc32(project)
        for row_id, identity, kind, insert_id, accepted_ms, first_ms, total, length in json.loads(facts):
            body = bodies[start : start + length]
            start += length
            if crc32(body, seed) != total:  # check_sum(), without a call for each row
                break
            rows.append(Row(row_id, identity, kind, insert_id, accepted_ms, first_ms, body))
        else:
            if start == len(bodies):
                return rows, [], row_id
    except sqlite3.OperationalError as error:
        if is_damage(error) or is_shortage(error):
            raise
    except (ValueError, TypeError):
        pass  # whatever it is, the slow way finds out which row it is
    return _one_by_one(connection, after, count, project)


def _one_by_one(connection: sqlite3.Connection, after: int, count: int, project: bytes) -> tuple[list[Row], list[int], int]:
    rows: list[Row] = []
    damaged: list[int] = []
    for values in connection.execute(statements.ROWS, (after, count)).fetchall():
        after = values[0]
        row = _row(values, project)
        if row is None:
            damaged.append(after)
        else:
            rows.append(row)
    return rows, damaged, after


def _row(values: Sequence[object], project: bytes) -> Row | None:
    """Build a row and take no column's type for granted; ``None`` if it is not what was stored."""
    row_id, identity, kind, insert_id, accepted_ms, first_ms, total, body = values
    if not (isinstance(row_id, int) and isinstance(accepted_ms, int) and isinstance(body, bytes)):
        return None
    if not (isinstance(identity, bytes) and isinstance(kind, bytes) and isinstance(insert_id, bytes)):
        return None
    if check_sum(body, project) != total:
        return None
    try:
        texts = identity.decode(), kind.decode(), insert_id.decode()
    except UnicodeDecodeError:
        return None
    return Row(row_id, *texts, accepted_ms, first_ms if isinstance(first_ms, int) else None, body)


def read_set_aside(connection: sqlite3.Connection, after: int, limit: int) -> list[SetAside]:
    """Read set-aside rows; what the disk did to one must not keep anybody from seeing it.

    Raises:
        sqlite3.Error: The file cannot be read.
    """
    count, _ = statements.fitting(connection, statements.SET_ASIDE_SIZES, after, limit, LIST_BYTES)
    rows: list[SetAside] = []
    for values in connection.execute(statements.SET_ASIDE_ROWS, (after, count)).fetchall():
        row_id, identity, kind, insert_id, accepted_ms, first_ms, body, set_aside_ms, reason = values
        texts = _text(identity), _text(kind), _text(insert_id)
        rows.append(SetAside(row_id, *texts, accepted_ms, first_ms, body or b"", set_aside_ms, _text(reason)))
    return rows


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
