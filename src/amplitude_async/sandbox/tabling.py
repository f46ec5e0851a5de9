"""The sandbox's lookup tables: what a CSV file must be, and how one is merged into another. Pure.

Page: https://amplitude.com/docs/apis/analytics/lookup-table-2. Which ``errorCode`` goes with which status is not said there; what is
chosen: 413 for size, 409 for a table that is there, 400 for the rest. A name has up to 255 letters, digits, spaces, ``_-.``.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from amplitude_async.sandbox.rules import RefusedError, parsed_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amplitude_async.sandbox.multipart import SentPart

__all__ = [
    "MAX_BYTES",
    "Sheet",
    "checked_file",
    "checked_name",
    "checked_property",
    "merged",
    "parsed",
    "refusal",
    "with_key",
    "written",
]

MAX_BYTES: Final = 100 << 20
_MAX_ROWS: Final = 1_000_000
_MAX_CELL: Final = 1024
_CSV_TYPES: Final = frozenset({"text/csv", "application/csv", "application/vnd.ms-excel", ""})
_NAME: Final = re.compile(r"[\w .-]{1,255}")


class Sheet(NamedTuple):
    """The contents of a table."""

    header: list[str]
    rows: list[list[str]]


def refusal(status: int, code: str, message: str, **extra: object) -> RefusedError:
    """Build an error as this API writes it; ``code`` without what all of them begin with."""
    body = {"statusCode": status, "message": message, "errorCode": f"LOOKUP_TABLE_{code}", "extraParams": extra}
    return RefusedError(status, body)


def checked_name(name: str) -> str:
    """Return a table's name, or refuse it."""
    if _NAME.fullmatch(name) is None or not name.strip():
        raise refusal(400, "INVALID_TABLE_NAME", f"Invalid table name: {name[:100]}")
    return name


def checked_property(text: str) -> dict[str, Any]:
    """Return the property that a table is looked up for, or refuse it."""
    try:
        value = parsed_json(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise refusal(400, "INVALID_INPUT", "property must be a JSON object")
    if not all(isinstance(value.get(name), str) and value[name] for name in ("value", "type")):
        raise refusal(400, "INVALID_KEY_PROPERTY", "property needs a value and a type")
    return {"type": value["type"], "value": value["value"], "groupType": value.get("groupType") or "User"}


def checked_file(files: Sequence[SentPart]) -> tuple[str, Sheet] | None:
    """Return the name and the contents of the one file that was sent, ``None`` if there was none; or refuse it."""
    if not files:
        return None
    if len(files) > 1:
        raise refusal(400, "INVALID_FILE_COUNT", "Only one file is allowed", count=len(files))
    file = files[0]
    filename = file.filename or file.name
    if len(file.content) > MAX_BYTES:
        raise refusal(413, "INVALID_FILE_SIZE", "The file is larger than 100 MB")
    if file.content_type.partition(";")[0] not in _CSV_TYPES and not filename.lower().endswith(".csv"):
        raise refusal(400, "INVALID_FILE_TYPE", f"The file is no CSV: {file.content_type[:100]}")
    return filename, parsed(file.content)


def parsed(content: bytes) -> Sheet:
    """Read a CSV file, or refuse it."""
    try:
        rows = [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise refusal(400, "MALFORMED_CSV", f"The CSV cannot be read: {str(error)[:100]}") from None
    if not rows or not all(name.strip() for name in rows[0]) or len(set(rows[0])) < len(rows[0]):
        raise refusal(400, "INVALID_COLUMN_HEADERS", "Every column needs a name of its own")
    header, body = rows[0], rows[1:]
    if any(len(row) != len(header) for row in body):
        raise refusal(400, "MALFORMED_CSV", "A row has another number of cells than there are columns")
    if len(body) > _MAX_ROWS:
        raise refusal(400, "INVALID_NUMBER_OF_ROWS", "More than 1,000,000 rows", rowCount=len(body))
    if any(len(cell) > _MAX_CELL for row in rows for cell in row):
        raise refusal(400, "INVALID_VALUE_COLUMN", "A value is longer than 1,024 characters")
    return Sheet(header, body)


def with_key(sheet: Sheet, key: str) -> Sheet:
    """Return a sheet whose key is there and unique, or refuse it."""
    if key not in sheet.header:
        raise refusal(400, "INVALID_KEY_COLUMN", f"There is no column {key[:100]}")
    place = sheet.header.index(key)
    if len({row[place] for row in sheet.rows}) < len(sheet.rows):
        raise refusal(400, "KEY_COLUMN_DUPLICATE_VALUES", f"The key column {key[:100]} has a value twice")
    return sheet


def merged(old: Sheet, new: Sheet, key: str) -> Sheet:
    """Return a sheet with rows put in by their keys: those of a known one change in the columns that are given, others come last."""
    header = [*old.header, *(name for name in new.header if name not in old.header)]
    rows = {cells[key]: cells for cells in (dict(zip(old.header, row, strict=True)) for row in old.rows)}
    for row in new.rows:
        cells = dict(zip(new.header, row, strict=True))
        rows[cells[key]] = {**rows.get(cells[key], {}), **cells}
    both = Sheet(header, [[cells.get(name, "") for name in header] for cells in rows.values()])
    if len(both.rows) > _MAX_ROWS:
        raise refusal(400, "INVALID_NUMBER_OF_ROWS", "More than 1,000,000 rows", rowCount=len(both.rows))
    return both


def written(sheet: Sheet) -> str:
    """Write a sheet as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(sheet.header)
    writer.writerows(sheet.rows)
    return text.getvalue()
