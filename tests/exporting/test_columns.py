"""The columns of tables of exported rows."""

from __future__ import annotations

import sys
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from archives import COLUMNS as RECORDED
from archives import rows

from amplitude_async import ExportedEvent
from amplitude_async.exporting.cells import LAYOUT
from amplitude_async.exporting.columns import COLUMNS, COLUMNS_VERSION, UNKNOWN, Kind

DIGESTS = {1: "7baf9cc0804dfdca"}


def test_they_are_those_that_were_recorded() -> None:
    """The list has the 55 recorded keys, in the order of recorded rows."""
    assert tuple(column.name for column in COLUMNS) == RECORDED


def test_a_change_has_a_version_of_its_own() -> None:
    """A version of the list names the same columns and kinds for ever: tables say by which version they were written."""
    digest = sha256(repr([tuple(column) for column in (*COLUMNS, UNKNOWN)]).encode()).hexdigest()[:16]
    assert digest == DIGESTS[COLUMNS_VERSION], "raise COLUMNS_VERSION and add the digest of the new list"


def test_kinds_are_known_and_names_are_not_taken() -> None:
    """Each column is of a known kind, and the column for what the others cannot hold has a name that no key has."""
    assert {column.kind for column in COLUMNS} <= set(get_args(Kind))
    assert len({column.name for column in (*COLUMNS, UNKNOWN)}) == 56


def test_cells_are_of_all_the_columns() -> None:
    """Cells are in the order of the keys in recorded rows, and the one for the rest is last."""
    assert LAYOUT == (*COLUMNS, UNKNOWN)


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_they_and_the_model_of_a_row_agree(column: Any) -> None:
    """What a column holds is what ExportedEvent has at that key."""
    field = next(field for field in msgspec.structs.fields(ExportedEvent) if field.encode_name == column.name)
    if column.name == "amplitude_attribution_ids":
        assert (column.kind, field.type) == ("text", Any)
        return
    kinds = {str: "text", int: "integer", float: "number", bool: "boolean", datetime: "timestamp", dict[str, Any]: "json"}
    assert [kinds[part] for part in get_args(field.type) if part is not type(None)] == [column.kind]


@pytest.mark.parametrize("row", rows(20, 5))
def test_recorded_values_are_of_their_columns_kind(row: dict[str, Any]) -> None:
    """In rows as Amplitude sends them every value is null or of the kind."""
    types: dict[str, Any] = {"text": str, "integer": int, "number": float, "boolean": bool, "timestamp": str, "json": dict}
    kinds = {column.name: column.kind for column in COLUMNS}
    assert all(value is None or type(value) is types[kinds[key]] for key, value in row.items())
