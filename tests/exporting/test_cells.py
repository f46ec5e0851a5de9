"""Lines of an export as rows of cells: neither a row nor a value is lost."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from archives import COLUMNS, LINE_FAULTS, line_of, rows

from amplitude_async.exporting.cells import LAYOUT, CellReader, UnreadableRowError, read_instant, with_unknown

NAMES = [column.name for column in LAYOUT]


def read(line: bytes, reader: CellReader | None = None) -> dict[str, Any]:
    """Return the cells that are not null, by column; JSON as its text."""
    cells = (reader or CellReader()).read(line)
    assert len(cells) == len(LAYOUT)
    plain = [bytes(cell).decode() if isinstance(cell, msgspec.Raw) else cell for cell in cells]
    by_name = dict(zip(NAMES, plain, strict=True))
    for column in LAYOUT[:-1]:
        if column.kind == "json" and by_name[column.name] == "null":
            by_name[column.name] = None
    return {name: cell for name, cell in by_name.items() if cell is not None}


@pytest.mark.parametrize("row", rows(30, 7))
def test_a_row_of_the_usual_shape_becomes_its_values(row: dict[str, Any]) -> None:
    """Text, numbers and booleans are themselves; maps are their JSON text, character by character; null is null."""
    wanted = {
        key: json.dumps(value, ensure_ascii=False, separators=(",", ":")) if isinstance(value, dict) else value
        for key, value in row.items()
        if value is not None
    }
    assert read(line_of(row)) == wanted


def test_keys_that_are_missing_are_null() -> None:
    """A row without keys is a row of nulls."""
    assert read(b"{}") == {}
    assert read(json.dumps(dict.fromkeys(COLUMNS)).encode()) == {}


KEPT = [
    ("user_id", '"ada"', "ada"),
    ("user_id", '""', ""),
    ("user_id", "5", "5"),
    ("user_id", "1.50", "1.50"),
    ("user_id", "true", "true"),
    ("user_id", '["a", 1]', '["a", 1]'),
    ("user_id", '{"a":null}', '{"a":null}'),
    ("user_id", '"\\u00e9\\n\\ud83d\\ude00"', "é\n😀"),
    ("amplitude_id", "1610447909911", 1610447909911),
    ("amplitude_id", "9223372036854775807", 2**63 - 1),
    ("amplitude_id", "-9223372036854775808", -(2**63)),
    ("amplitude_id", '"42"', 42),
    ("amplitude_id", '"-0"', 0),
    ("amplitude_id", "42.0", 42),
    ("amplitude_id", "4.2e1", 42),
    ("amplitude_id", '"4.2E+1"', 42),
    ("location_lat", "59.9", 59.9),
    ("location_lat", "60", 60),
    ("location_lat", '"59.9"', 59.9),
    ("location_lat", "-1e-7", -1e-7),
    ("location_lat", "9007199254740992", 2**53),
    ("location_lat", "18014398509481984", 2.0**54),
    ("paying", "true", True),
    ("paying", "false", False),
    ("paying", '"true"', True),
    ("event_time", '"2026-05-01 07:14:03.250000"', "2026-05-01 07:14:03.250000"),
    ("event_time", '"soon"', "soon"),
    ("plan", "{}", "{}"),
    ("plan", "[]", "[]"),
    ("plan", '"text"', '"text"'),
    ("plan", '{ "a" : [1, 2.50e3] }', '{ "a" : [1, 2.50e3] }'),
    ("plan", '{"a":1,"a":2}', '{"a":1,"a":2}'),
    ("plan", '{"half":"\\ud800"}', '{"half":"\\ud800"}'),
    ("plan", "1e999", "1e999"),
]


@pytest.mark.parametrize("column, text, cell", KEPT)
def test_values_that_a_column_can_hold_are_in_it(column: str, text: str, cell: object) -> None:
    """What means the same in the column's kind is converted, and text columns take any other value as its JSON text."""
    found = read(f'{{"{column}":{text}}}'.encode())
    assert found == {column: cell}
    assert type(found[column]) is type(cell)


SET_ASIDE = [
    ("amplitude_id", "1.5"),
    ("amplitude_id", "9223372036854775808"),
    ("amplitude_id", "-9223372036854775809"),
    ("amplitude_id", "1e19"),
    ("amplitude_id", "1e9999"),
    ("amplitude_id", "9" * 5000),
    ("amplitude_id", '"' + "9" * 5000 + '"'),
    ("amplitude_id", '"0x10"'),
    ("amplitude_id", '" 5"'),
    ("amplitude_id", '"٣"'),
    ("amplitude_id", '""'),
    ("amplitude_id", "true"),
    ("amplitude_id", "[]"),
    ("amplitude_id", "{}"),
    ("location_lat", "9007199254740993"),
    ("location_lat", '"9007199254740993"'),
    ("location_lat", "1e400"),
    ("location_lat", '"NaN"'),
    ("location_lat", '"-inf"'),
    ("location_lat", "false"),
    ("location_lat", "{}"),
    ("paying", "1"),
    ("paying", '"True"'),
    ("paying", "[]"),
    ("event_time", "1777619643250"),
    ("event_time", "true"),
    ("event_time", '["2026-05-01 07:14:03"]'),
    ("event_time", '"\\ud800"'),
    ("user_id", '"cut \\ud83d"'),
    ("brand_new", '"text"'),
    ("brand_new", '{"a": [1.0, null]}'),
    ("brand_new", "null"),
    ("_unknown", '{"a":1}'),
    ("", "1"),
    ("quote\\" + '"', "1"),
    ("back\\\\slash", "1"),
    ("line\\nend", "1"),
    ("schlüssel", '"ü"'),
    ("\\ud800", "1"),
    ("$INSERT_ID", '"other"'),
]


@pytest.mark.parametrize("column, text", SET_ASIDE)
def test_values_that_no_column_can_hold_are_kept_aside(column: str, text: str) -> None:
    """They are in the column `_unknown`, under their key, as they were sent; the rest of the row is where it belongs."""
    reader = CellReader()
    line = f'{{"{column}":{text},"user_id2":0,"city":"Oslo"}}'.encode()
    # The first is read key by key and the key is learned, if it can be; then comes the fast decoder.
    for _ in range(3):
        found = read(line, reader)
        assert found.pop("city") == "Oslo"
        # As text: a number may have more digits than any that Python makes of it.
        assert text in found["_unknown"]
        assert msgspec.json.decode(found["_unknown"].replace("\\ud", "\\\\ud"), type=dict[str, msgspec.Raw]).keys() == {
            json.loads(f'"{column}"'.replace("\\ud", "\\\\ud")),
            "user_id2",
        }
        assert found.keys() == {"_unknown"}


def test_several_that_no_column_can_hold_share_the_cell() -> None:
    """Values of the wrong kind and unknown keys are members of one object."""
    found = read(b'{"z":1,"app":"x","a":{"b":[]},"paying":3,"city":null}')
    assert json.loads(found["_unknown"]) == {"z": 1, "app": "x", "a": {"b": []}, "paying": 3}


def test_unknown_keys_are_found_in_every_row_whatever_was_learned() -> None:
    """However many unknown keys there are, each row keeps its own, and rows without one have a null there."""
    reader = CellReader()
    for number in range(200):
        keys = {f"key_{number % 90}": number, f"other_{number % 7}": [number]}
        assert json.loads(read(json.dumps(keys).encode(), reader)["_unknown"]) == keys
        assert read(b'{"city":"Oslo"}', reader) == {"city": "Oslo"}
    many = {f"m{number}": number for number in range(100)}
    assert json.loads(read(json.dumps(many).encode(), reader)["_unknown"]) == many


@pytest.mark.parametrize(
    "line, reason",
    [
        (b"", "blank"),
        (b" \t", "blank"),
        (b"null", "object"),
        (b"[1,2]", "object"),
        (b'"text"', "object"),
        (b"{", "truncated"),
        (b'{"a":1}{', "malformed"),
        (b'{"a":1,}', "malformed"),
        (b'{"a":01}', "malformed"),
        (b'{"a":"\\ud800",}', "truncated"),
        (b'{"\\ud800":1,"a"}', "surrogate"),
        (b'{"user_id":"\xff"}', r"UTF-8 \(byte 12\)"),
        (b'{"plan":{"a":"\xc3"}}', "UTF-8"),
        (b'{"plan":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested"),
        (b'{"other":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested"),
        (b"\xef\xbb\xbf{}", "malformed|UTF-8"),
    ],
)
def test_what_is_no_row_is_refused(line: bytes, reason: str) -> None:
    """A line that is no JSON object in UTF-8 is an error that says why."""
    with pytest.raises(UnreadableRowError, match=reason) as refusal:
        CellReader().read(line)
    assert refusal.value.index == 0


def test_the_reason_holds_no_value() -> None:
    """What a user sent does not get into messages."""
    for line in (b'{"user_id":"hidden-value"', b'"hidden-value"', b'{"user_id":"hidden-value",}', b'{"hidden-value":"\xff"}'):
        with pytest.raises(UnreadableRowError) as refusal:
            CellReader().read(line)
        assert "hidden" not in str(refusal.value)
        assert refusal.value.__cause__ is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from([*COLUMNS, "_unknown", "brand_new", "other"]) | st.text(max_size=4)
ROWS = st.dictionaries(KEYS, JSON, max_size=12)


def texts(cells: object) -> list[object]:
    """Return cells in a form that can be compared: Raw compares by what it is, not by its text."""
    assert isinstance(cells, tuple)
    return [bytes(cell) if isinstance(cell, msgspec.Raw) else (type(cell), cell) for cell in cells]


@settings(deadline=None)
@given(st.lists(ROWS, max_size=6), st.booleans(), st.booleans())
@example([{}, {"a": "é"}, {"a": 1}], True, False)
def test_lines_at_once_are_the_lines_one_by_one(some: list[dict[str, Any]], has_last_end: bool, is_ascii: bool) -> None:
    """Whether lines are read at once or by themselves, the cells are the same, whatever was learned before."""
    lines = [json.dumps(row, ensure_ascii=is_ascii).encode(errors="surrogatepass") for row in some]
    text = b"\n".join(lines) + b"\n" * has_last_end
    one_by_one, at_once = CellReader(), CellReader()
    for _ in range(2):
        each = [one_by_one.read(line) for line in lines]
        every = at_once.read_all(text, len(lines))
        if every is None:
            every = [at_once.read(line) for line in lines]
        assert [texts(cells) for cells in every] == [texts(cells) for cells in each]


def test_lines_of_the_usual_shape_are_read_at_once() -> None:
    """The quick way is taken for rows as Amplitude sends them, and for keys that it adds once they are learned."""
    lines = [line_of(row) for row in rows(20, 9)]
    reader = CellReader()
    assert reader.read_all(b"\n".join(lines), 20) is not None
    added = [line_of(row | {"brand_new": 1}) for row in rows(20, 9)]
    assert reader.read_all(b"\n".join(added), 20) is None
    reader.read(added[0])
    every = reader.read_all(b"\n".join(added), 20)
    assert every is not None
    assert {cells[-1] for cells in every} == {'{"brand_new":1}'}


@pytest.mark.parametrize("fault", [fault for fault in LINE_FAULTS.values() if fault.line], ids=str)
def test_lines_of_which_one_is_no_row_are_not_read_at_once(fault: Any) -> None:
    """Nothing that would not be taken line by line is taken at once."""
    lines = fault.text.split(b"\n")[:-1]
    assert CellReader().read_all(fault.text, len(lines)) is None
    reader = CellReader()
    for number, line in enumerate(lines, 1):
        if number < fault.line:
            reader.read(line)
        elif number == fault.line:
            with pytest.raises(UnreadableRowError):
                reader.read(line)


def test_members_are_added_to_the_cell_of_others() -> None:
    """An object grows by further members, with its keys escaped where they must be."""
    cell = with_unknown(None, {"a": b"1", 'q"': b"[]"})
    assert json.loads(with_unknown(cell, {"b\n": b'"x"'})) == {"a": 1, 'q"': [], "b\n": "x"}


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, micro: int = 0) -> int:
    return (datetime(year, month, day, hour, minute, second, micro, UTC) - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    "text, instant, is_all",
    [
        ("2026-05-01 07:14:03.250000", micros(2026, 5, 1, 7, 14, 3, 250000), True),
        ("2026-05-01T07:14:03.25", micros(2026, 5, 1, 7, 14, 3, 250000), True),
        ("2026-05-01t07:14:03z", micros(2026, 5, 1, 7, 14, 3), True),
        ("2026-05-01 07:14:03 UTC", micros(2026, 5, 1, 7, 14, 3), True),
        ("2026-05-01 07:14", micros(2026, 5, 1, 7, 14), True),
        ("2026-05-01 07", micros(2026, 5, 1, 7), True),
        ("2026-05-01", micros(2026, 5, 1), True),
        ("2026-05-01 07:14:03+02:00", micros(2026, 5, 1, 5, 14, 3), True),
        ("2026-05-01 07:14:03-0230", micros(2026, 5, 1, 9, 44, 3), True),
        ("2026-05-01 07:14:03+02", micros(2026, 5, 1, 5, 14, 3), True),
        ("2026-05-01 07:14:03.1234560000", micros(2026, 5, 1, 7, 14, 3, 123456), True),
        ("2026-05-01 07:14:03.1234567", micros(2026, 5, 1, 7, 14, 3, 123456), False),
        ("0001-01-01", micros(1, 1, 1), True),
        ("9999-12-31 23:59:59.999999", micros(9999, 12, 31, 23, 59, 59, 999999), True),
        ("0001-01-01 00:00:00+01:00", None, False),
        ("9999-12-31 23:59:59-01:00", None, False),
        ("2026-02-30", None, False),
        ("2026-05-01 24:00:00", None, False),
        ("2026-05-01 07:14:60", None, False),
        ("2026-05-01 07:14:03+24:00", None, False),
        ("2026-05-01 07:14:03,5", None, False),
        ("2026-05-01 07:14:03\n", None, False),
        ("٢٠٢٦-05-01", None, False),
        ("soon", None, False),
        ("", None, False),
        ("1777619643", None, False),
    ],
)
def test_timestamps_are_read_leniently_and_never_wrongly(text: str, instant: int | None, is_all: bool) -> None:
    """With a space or T, seconds and a fraction or none, a zone or none; what is no instant is none."""
    assert read_instant(text) == (instant, is_all)


@settings(deadline=None)
@given(
    st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)),
    st.sampled_from([" ", "T"]),
    st.integers(-23 * 60, 23 * 60) | st.none(),
)
def test_any_instant_is_read_back(instant: datetime, separator: str, offset: int | None) -> None:
    """Every instant to the microsecond, in any zone."""
    aware = instant.replace(tzinfo=UTC)
    shown = instant if offset is None else aware.astimezone(timezone(timedelta(minutes=offset)))
    assert read_instant(shown.isoformat(separator)) == ((aware - EPOCH) // timedelta(microseconds=1), True)
