"""What calls of lookup tables look like, what a table may be, and what becomes of answers."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from email.parser import BytesParser
from email.policy import HTTP
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import anyio.lowlevel
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplitude_async import (
    AsyncAmplitude,
    Backoff,
    BadRequestError,
    InvalidArgumentError,
    NotFoundError,
    PayloadTooLargeError,
    ResponseError,
    UnexpectedResponseError,
)
from amplitude_async._protocol.call import Call
from amplitude_async.resources import tables
from amplitude_async.resources.lookup_tables import create_call, csv_call, delete_call, get_call, list_call, update_call
from amplitude_async.resources.tables import Table, checked_table

CSV = "SKU,Brand\na-1,Acme\na-2,Ø\n"
TABLE = Table(CSV.encode(), "skus.csv")
PROPERTY = {"value": "sku", "type": "event"}
NO_WAIT = Backoff(jitter=lambda _: 0.0)


class Alone:
    """A runner for what waits for nothing but turns."""

    def __init__(self) -> None:
        self.turns = 0

    def clock(self) -> float:
        return time.perf_counter()

    async def pause(self, seconds: float) -> None:
        assert seconds == 0
        self.turns += 1
        await anyio.lowlevel.checkpoint()


async def table_of(file: Any, key: str | None = None) -> Table:
    return await checked_table(Alone(), file, "sku_meta", key=key)  # type: ignore[arg-type]  # what is asked of a runner here


def parts_of(call: Call) -> dict[str, tuple[str | None, str, Any]]:
    assert call.body is not None
    head = "".join(f"{name}: {value}\r\n" for name, value in call.body.headers.items())
    parsed = BytesParser(policy=HTTP).parsebytes(head.encode() + b"\r\n" + call.body.render(""))
    return {
        str(part.get_param("name", header="content-disposition")): (
            part.get_filename(),
            part.get_content_type() if "content-type" in part else "",
            part.get_payload(decode=True),
        )
        for part in parsed.iter_parts()
    }


# Requests


@pytest.mark.parametrize(
    ("call", "method", "path", "repeatable"),
    [
        (list_call(), "GET", "/api/3/lookup_table", True),
        (get_call("sku_meta"), "GET", "/api/3/lookup_table/sku_meta", True),
        (get_call("a/b ?#%"), "GET", "/api/3/lookup_table/a%2Fb%20%3F%23%25", True),
        (get_call(".."), "GET", "/api/3/lookup_table/%2E%2E", True),
        (csv_call("sku_meta"), "GET", "/api/3/lookup_table/sku_meta/csv", True),
        (delete_call("sku_meta"), "DELETE", "/api/3/lookup_table/sku_meta", True),
        (create_call("sku_meta", TABLE, "SKU", PROPERTY), "POST", "/api/3/lookup_table", False),
        (update_call("PUT", "sku_meta", TABLE, None), "PUT", "/api/3/lookup_table/sku_meta", True),
        (update_call("PATCH", "sku_meta", None, PROPERTY), "PATCH", "/api/3/lookup_table/sku_meta", True),
    ],
)
def test_calls(call: Call, method: str, path: str, repeatable: bool) -> None:
    """Only the making of a table is not repeatable: a second try would meet the first one's."""
    assert (call.api, call.method, call.path, call.repeatable) == ("lookup_tables", method, path, repeatable)
    assert call.credential == "project"


def test_the_parts_of_a_new_table() -> None:
    """The property is JSON, the file is CSV under a name, the rest is text."""
    parts = parts_of(create_call("sku_meta", TABLE, "SKU", {**PROPERTY, "group_type": "org"}))
    assert parts == {
        "name": (None, "", b"sku_meta"),
        "key": (None, "", b"SKU"),
        "property": (None, "application/json", b'{"value":"sku","type":"event","groupType":"org"}'),
        "file": ("skus.csv", "text/csv", CSV.encode()),
    }


def test_the_parts_of_a_change() -> None:
    """File, property or both; never nothing."""
    assert set(parts_of(update_call("PUT", "t", TABLE, None))) == {"file"}
    assert set(parts_of(update_call("PATCH", "t", None, PROPERTY))) == {"property"}
    assert set(parts_of(update_call("PATCH", "t", TABLE, PROPERTY))) == {"property", "file"}
    with pytest.raises(InvalidArgumentError) as caught:
        update_call("PUT", "t", None, None)
    assert caught.value.argument == "file"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip))
def test_no_name_changes_the_body(name: str) -> None:
    """Quotes, line ends and boundaries in a name stay in its part."""
    table = Table(b"SKU\na\n" + name.encode(), f"{name}.csv")
    call = create_call(name, table, name, {"value": name, "type": "event"})
    assert call.body is not None
    pieces = (b"\r\n" + call.body.render("")).split(b"\r\n--" + call.body.boundary.encode())  # type: ignore[union-attr]  # a Multipart
    assert len(pieces) == 6
    assert pieces[1].endswith(b"\r\n\r\n" + name.encode())
    assert pieces[4].endswith(b"\r\n\r\n" + table.content)
    for piece in pieces[1:-1]:
        head = piece.partition(b"\r\n\r\n")[0]
        assert len(head.split(b"\r\n")) <= 3


@pytest.mark.parametrize(
    ("value", "argument"),
    [
        (None, "property"),
        ("sku", "property"),
        ({}, "property.value"),
        ({"value": "sku"}, "property.type"),
        ({"value": " ", "type": "event"}, "property.value"),
        ({"value": "sku", "type": "event", "x": b"x"}, "property"),
    ],
)
def test_properties_that_are_refused(value: Any, argument: str) -> None:
    """A property needs its name and its kind."""
    with pytest.raises(InvalidArgumentError) as caught:
        create_call("t", TABLE, "SKU", value)
    assert caught.value.argument == argument


@pytest.mark.parametrize("blank", ["", " ", None, 0])
def test_blank_names_are_refused(blank: Any) -> None:
    """No table has none."""
    for build in (get_call, csv_call, delete_call):
        with pytest.raises(InvalidArgumentError) as caught:
            build(blank)
        assert caught.value.argument == "name"


# What a table may be


class Colour(Enum):
    RED = "red"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "file",
    [
        CSV,
        CSV.encode(),
        bytearray(CSV.encode()),
        memoryview(CSV.encode()),
        [{"SKU": "a-1", "Brand": "Acme"}, {"SKU": "a-2", "Brand": "Ø"}],
    ],
)
async def test_a_table_in_any_form(file: Any) -> None:
    """Bytes, text and rows come to the same file."""
    assert await table_of(file, "SKU") == (CSV.encode(), "sku_meta.csv")


@pytest.mark.anyio
async def test_a_table_in_a_file(tmp_path: Path) -> None:
    """A path is read, and gives the file its name."""
    path = tmp_path / "skus 1.csv"
    path.write_bytes(b"\xef\xbb\xbf" + CSV.replace("\n", "\r\n").encode())
    assert await table_of(path, "SKU") == (path.read_bytes(), "skus 1.csv")
    for wrong in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(InvalidArgumentError, match="cannot be read") as caught:
            await table_of(wrong)
        assert caught.value.argument == "file"
        assert caught.value.__cause__ is None


@pytest.mark.anyio
async def test_values_as_text() -> None:
    """None is an empty cell; booleans, numbers and dates are what they are in JSON; columns come in their order of appearance."""
    rows: list[dict[str, Any]] = [
        {"k": "a", "v": None},
        {"k": "b", "v": True},
        {"k": "c", "v": 1.5},
        {"k": "d", "v": 2**70},
        {"k": "e", "v": Decimal("1.50")},
        {"k": "f", "v": date(2026, 5, 1)},
        {"k": "g", "v": datetime(2026, 5, 1, 7, tzinfo=UTC)},
        {"k": "h", "v": Colour.RED},
        {"k": "i", "v": UUID(int=1)},
        {"v": 'say "hi", twice\n', "k": "j", "w": "new"},
        {"k": 11},
    ]
    table = await table_of(rows, "k")
    assert list(csv.reader(io.StringIO(table.content.decode(), newline=""))) == [
        ["k", "v", "w"],
        ["a", "", ""],
        ["b", "true", ""],
        ["c", "1.5", ""],
        ["d", str(2**70), ""],
        ["e", "1.50", ""],
        ["f", "2026-05-01", ""],
        ["g", "2026-05-01T07:00:00+00:00", ""],
        ["h", "red", ""],
        ["i", str(UUID(int=1)), ""],
        ["j", 'say "hi", twice\n', "new"],
        ["11", "", ""],
    ]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("file", "argument", "words"),
    [
        (None, "file", "must be CSV"),
        (5, "file", "must be CSV"),
        ({"SKU": "a"}, "file", "must be CSV"),
        (b"", "file", "empty"),
        (b"\n\n", "file", "empty"),
        ("", "file", "single line"),
        ("skus.csv", "file", "pathlib.Path"),
        ("SKU\n\ud800\n", "file", "surrogate"),
        ([], "file", "no rows"),
        ([{}], "file", "no rows"),
        ([{"SKU": "a"}, "b"], "file[1]", "mapping"),
        ([{"SKU": "a"}, {5: "b"}], "file[1]", "column"),
        ([{"SKU": "a"}, {"SKU": ["b"]}], "file[1].SKU", "single value"),
        ([{"SKU": b"b"}], "file[0].SKU", "bytes"),
        ([{"SKU": float("nan")}], "file[0].SKU", "finite"),
        ([{"SKU": "\ud800"}], "file", "surrogate"),
        (b"SKU,Brand\na\n", "file", "line 2"),
        (b'SKU,Brand\na,"b\n', "file", "line 2"),
        (b"SKU,Brand\n\xff,b\n", "file", "UTF-8"),
        (b"SKU,\na,b\n", "file", "without a name"),
        (b"SKU,SKU\na,b\n", "file", "same name"),
        (b"sku,Brand\na,b\n", "key", "'SKU'"),
        (b"SKU,Brand\na,b\nA,b\na,c\n", "file", "twice"),
        (b"SKU,Brand\na," + b"x" * 1025 + b"\n", "file", "1,025 characters"),
        (b"SKU," + b"x" * 1025 + b"\na,b\n", "file", "1,025 characters"),
    ],
)
async def test_tables_that_are_refused(file: Any, argument: str, words: str) -> None:
    """By the place of what is wrong, before anything is sent."""
    with pytest.raises(InvalidArgumentError, match=words) as caught:
        await table_of(file, "SKU")
    assert caught.value.argument == argument


@pytest.mark.anyio
async def test_the_limits_are_taken() -> None:
    """1,024 characters are not too many, be they more bytes; keys that differ by case differ."""
    table = await table_of("SKU,Brand\na," + "ø" * 1024 + "\nA,b\n", "SKU")
    assert len(table.content) > 2048
    # Which column the key of an existing table is, is not known here.
    await table_of("SKU,Brand\na,b\na,c\n", None)


@pytest.mark.anyio
async def test_a_million_rows_are_the_most(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """More rows, or more bytes, than Amplitude takes are refused; a file of too many bytes is not even read."""
    monkeypatch.setattr(tables, "MAX_ROWS", 1000)
    await table_of("SKU\n" + "".join(f"{n}\n" for n in range(1000)), "SKU")
    with pytest.raises(InvalidArgumentError, match="rows"):
        await table_of("SKU\n" + "".join(f"{n}\n" for n in range(1001)), "SKU")
    monkeypatch.setattr(tables, "MAX_BYTES", 5000)
    with pytest.raises(InvalidArgumentError, match="100 MB"):
        await table_of(b"SKU\n" + b"x" * 5000)
    path = tmp_path / "large.csv"
    with path.open("wb") as large:
        large.truncate(1 << 40)
    began = time.process_time()
    with pytest.raises(InvalidArgumentError, match="100 MB"):
        await table_of(path)
    assert time.process_time() - began < 1


@pytest.mark.anyio
@pytest.mark.parametrize("form", ["text", "rows"])
async def test_other_tasks_get_their_turns(form: str) -> None:
    """A large table is looked at bit by bit: the event loop is never held for long."""
    rows = [{"SKU": f"sku-{number}", "Brand": "Acme", "Colour": "red"} for number in range(100_000)]
    file: Any = rows if form == "rows" else "SKU,Brand,Colour\n" + "".join(f"{row['SKU']},Acme,red\n" for row in rows)
    runner = Alone()
    await checked_table(runner, file, "t", key="SKU")  # type: ignore[arg-type]  # what is asked of a runner here
    assert runner.turns >= 10


@pytest.mark.anyio
async def test_paths_that_are_none(tmp_path: Path) -> None:
    """A path of bytes, and a name that no file can have, are refused in words."""

    class Odd(os.PathLike[Any]):
        def __fspath__(self) -> Any:
            return os.fsencode(tmp_path / "skus.csv")

    (tmp_path / "skus.csv").write_text(CSV)
    for path, words in ((Odd(), "path of text"), (tmp_path / "a\0.csv", "cannot be read")):
        with pytest.raises(InvalidArgumentError, match=words):
            await table_of(path, "SKU")


# Answers

ANSWER = {
    "appId": "510042",
    "name": "sku_meta",
    "columnHeaders": ["Brand"],
    "createdAt": 1769932800,
    "createdBy": "api",
    "lastModifiedAt": 1769932800,
    "lastModifiedBy": "api",
    "isDeleted": False,
    "isConfigured": True,
    "keyColumnHeader": "SKU",
    "keyProperty": {"type": "event", "value": "sku", "groupType": "User"},
    "fileName": "skus.csv",
    "rowCount": 3,
    "sizeBytes": 57,
    "later": {"a": 1},
}
DELETED = {"message": "Lookup table sku_meta deleted successfully", "success": True}


@pytest.mark.parametrize(
    ("call", "answer", "read"),
    [
        (get_call("t"), ANSWER, ANSWER),
        (create_call("t", TABLE, "SKU", PROPERTY), ANSWER, ANSWER),
        (update_call("PATCH", "t", TABLE, None), ANSWER, ANSWER),
        (list_call(), [ANSWER], [ANSWER]),
        (list_call(), [], []),
        (list_call(), {"data": [ANSWER]}, [ANSWER]),
        (delete_call("t"), DELETED, DELETED),
    ],
)
def test_answers_are_read_without_loss(call: Call, answer: Any, read: Any) -> None:
    """Unknown keys survive; a list is one, also within an object."""
    assert call.reads(json.dumps(answer).encode()) == read


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"<html>", b'"ok"'])
def test_answers_that_say_nothing_are_none(body: bytes) -> None:
    """Without a table in it, an answer is never a success."""
    for call in (get_call("t"), list_call(), update_call("PUT", "t", TABLE, None)):
        with pytest.raises(ValueError):
            call.reads(body)


def refusing(status: int, code: str, body: bytes | None = None) -> httpx.AsyncClient:
    envelope = {
        "statusCode": status,
        "message": "Table sku_meta is not so",
        "errorCode": f"LOOKUP_TABLE_{code}",
        "extraParams": {"a": 1},
    }

    def handler(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, content=json.dumps(envelope).encode() if body is None else body)

    return httpx.AsyncClient(transport=httpx.MockTransport(handler))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "DOES_NOT_EXIST", NotFoundError),
        (404, "DOES_NOT_EXIST", NotFoundError),
        (400, "MALFORMED_CSV", BadRequestError),
        (409, "ALREADY_EXISTS", ResponseError),
        (413, "INVALID_FILE_SIZE", PayloadTooLargeError),
    ],
)
async def test_refusals(status: int, code: str, error: type[ResponseError]) -> None:
    """A table that is not there is one error, whichever status says so; the code and Amplitude's words are there."""
    async with refusing(status, code) as http:
        async with AsyncAmplitude("key", secret_key="secret", http_client=http, backoff=NO_WAIT) as amplitude:
            of_tables = amplitude.lookup_tables
            for use in (
                lambda: of_tables.get("t"),
                lambda: of_tables.csv("t"),
                lambda: of_tables.rows("t")._all(),
                lambda: of_tables.merge("t", CSV),
                lambda: of_tables.delete("t"),
            ):
                with pytest.raises(error, match="Table sku_meta is not so") as caught:
                    await use()
                assert type(caught.value) is error
                assert caught.value.status == status
                assert caught.value.data["errorCode"] == f"LOOKUP_TABLE_{code}"
                assert caught.value.outcome == "rejected"
                assert caught.value.request is not None


@pytest.mark.anyio
@pytest.mark.parametrize("body", [b"", b" \n", b"<html>log in</html>", b'{"message":"no"}', b"SKU\n\xff\n"])
async def test_what_is_no_table(body: bytes) -> None:
    """A page, an error or nothing in place of a file is no text of a table."""
    async with refusing(200, "", body) as http, AsyncAmplitude("key", secret_key="secret", http_client=http) as amplitude:
        with pytest.raises(UnexpectedResponseError):
            await amplitude.lookup_tables.csv("t")


@pytest.mark.anyio
async def test_a_table_as_text_and_as_rows() -> None:
    """The mark that some programs put first is no part of either."""
    async with (
        refusing(200, "", b"\xef\xbb\xbf" + CSV.encode()) as http,
        AsyncAmplitude("key", secret_key="secret", http_client=http) as amplitude,
    ):
        assert await amplitude.lookup_tables.csv("t") == CSV
        rows = amplitude.lookup_tables.rows("t")
        assert repr(rows) == "<TableDownload /api/3/lookup_table/t/csv>"
        assert await rows == [{"SKU": "a-1", "Brand": "Acme"}, {"SKU": "a-2", "Brand": "Ø"}]
        assert [row async for row in rows] == await rows
