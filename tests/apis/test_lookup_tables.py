"""Lookup tables, over the sandbox."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import httpx
import pytest

from amplitude_async import AsyncAmplitude, NotFoundError, PayloadTooLargeError, ResponseError
from amplitude_async.sandbox import Sandbox, tabling

pytestmark = pytest.mark.anyio

PROPERTY = {"value": "sku", "type": "event"}
CSV = "SKU,Brand\na-1,Acme\n"


async def test_made_read_changed_and_deleted(box: Sandbox, tmp_path: Path) -> None:
    """A table goes through its life, in every form that a file may have."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        of_tables = amplitude.lookup_tables
        assert await of_tables.list() == []
        made = await of_tables.create(
            "sku meta", [{"SKU": "a-1", "Brand": "Ac,me"}, {"SKU": "a-2", "Brand": None}], key="SKU", property=PROPERTY
        )
        assert (made["name"], made["columnHeaders"], made["keyColumnHeader"], made["rowCount"]) == ("sku meta", ["Brand"], "SKU", 2)
        assert made["keyProperty"] == {"type": "event", "value": "sku", "groupType": "User"}
        assert await of_tables.get("sku meta") == made
        assert await of_tables.list() == [made]
        assert await of_tables.csv("sku meta") == 'SKU,Brand\r\na-1,"Ac,me"\r\na-2,\r\n'
        merged = await of_tables.merge("sku meta", b"SKU,Colour\na-2,red\na-3,blue\n")
        assert (merged["rowCount"], merged["columnHeaders"]) == (3, ["Brand", "Colour"])
        assert await of_tables.rows("sku meta") == [
            {"SKU": "a-1", "Brand": "Ac,me", "Colour": ""},
            {"SKU": "a-2", "Brand": "", "Colour": "red"},
            {"SKU": "a-3", "Brand": "", "Colour": "blue"},
        ]
        path = tmp_path / "new.csv"
        path.write_text("SKU,Brand\nb-1,Globex\n")
        replaced = await of_tables.replace("sku meta", path, property={"value": "maker", "type": "user"})
        assert (replaced["fileName"], replaced["rowCount"]) == ("new.csv", 1)
        assert [row async for row in of_tables.rows("sku meta")] == [{"SKU": "b-1", "Brand": "Globex"}]
        moved = await of_tables.replace("sku meta", property={"value": "seat", "type": "group", "groupType": "org"})
        assert (moved["keyProperty"], moved["rowCount"]) == ({"type": "group", "value": "seat", "groupType": "org"}, 1)
        assert await of_tables.delete("sku meta") == {"message": "Lookup table sku meta deleted successfully", "success": True}
        with pytest.raises(NotFoundError, match="does not exist"):
            await of_tables.delete("sku meta")
        with pytest.raises(NotFoundError):
            await of_tables.rows("sku meta")


async def test_tables_survive_in_a_file(tmp_path: Path) -> None:
    """A sandbox with a file has its tables again when it is started anew."""
    store = str(tmp_path / "box.db")
    with Sandbox(store=store) as first:
        async with AsyncAmplitude(**first.credentials) as amplitude:
            await amplitude.lookup_tables.create("t", CSV, key="SKU", property=PROPERTY)
    with Sandbox(store=store) as second:
        async with AsyncAmplitude(**second.credentials) as amplitude:
            assert await amplitude.lookup_tables.csv("t") == CSV.replace("\n", "\r\n")


async def test_any_text_comes_back(box: Sandbox) -> None:
    """Commas, quotes, line breaks, and what looks like the body's own boundaries."""
    generator = random.Random(7)
    letters = "ab ,\"\r\n'-=;æ𝄞\u2028"
    rows = [
        {"SKU": f"{number}", "Text": "".join(generator.choices(letters, k=generator.randrange(12))), "Line": f"--{number}\r\n--"}
        for number in range(300)
    ]
    async with AsyncAmplitude(**box.credentials) as amplitude:
        await amplitude.lookup_tables.create("t", rows, key="SKU", property=PROPERTY)
        assert await amplitude.lookup_tables.rows("t") == rows
        text = await amplitude.lookup_tables.csv("t")
    assert list(csv.DictReader(io.StringIO(text, newline=""))) == rows


def form(**changed: Any) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "name": (None, "sku_meta"),
        "key": (None, "SKU"),
        "property": (None, json.dumps(PROPERTY), "application/json"),
        "file": ("skus.csv", CSV.encode(), "text/csv"),
    }
    return {name: part for name, part in (parts | changed).items() if part is not None}


REFUSED: list[tuple[str, int, dict[str, Any]]] = [
    ("INVALID_FILE_COUNT", 400, form(other=("more.csv", CSV.encode(), "text/csv"))),
    ("INVALID_FILE_COUNT", 400, form(file=None)),
    ("INVALID_FILE_TYPE", 400, form(file=("skus.json", b"{}", "application/json"))),
    ("INVALID_KEY_COLUMN", 400, form(key=(None, "sku"))),
    ("INVALID_VALUE_COLUMN", 400, form(file=("skus.csv", b"SKU,Brand\na," + b"x" * 1025 + b"\n", "text/csv"))),
    ("INVALID_KEY_PROPERTY", 400, form(property=(None, '{"value":"","type":"event"}', "application/json"))),
    ("INVALID_KEY_PROPERTY", 400, form(property=(None, '{"value":"sku"}', "application/json"))),
    ("KEY_COLUMN_DUPLICATE_VALUES", 400, form(file=("skus.csv", b"SKU,Brand\na,1\na,2\n", "text/csv"))),
    ("INVALID_TABLE_NAME", 400, form(name=(None, "a/b"))),
    ("INVALID_TABLE_NAME", 400, form(name=(None, "x" * 256))),
    ("MALFORMED_CSV", 400, form(file=("skus.csv", b'SKU,Brand\na,"1\n', "text/csv"))),
    ("MALFORMED_CSV", 400, form(file=("skus.csv", b"SKU,Brand\na\n", "text/csv"))),
    ("MALFORMED_CSV", 400, form(file=("skus.csv", b"SKU,Brand\na,\xff\n", "text/csv"))),
    ("INVALID_INPUT", 400, form(name=None)),
    ("INVALID_INPUT", 400, form(key=None)),
    ("INVALID_INPUT", 400, form(property=(None, "sku", "application/json"))),
    ("INVALID_COLUMN_HEADERS", 400, form(file=("skus.csv", b"SKU,SKU\na,1\n", "text/csv"))),
    ("INVALID_COLUMN_HEADERS", 400, form(file=("skus.csv", b"SKU,\na,1\n", "text/csv"))),
    ("INVALID_COLUMN_HEADERS", 400, form(file=("skus.csv", b"", "text/csv"))),
    ("ALREADY_EXISTS", 409, form(name=(None, "there"))),
]


async def test_every_error_of_the_page(box: Sandbox) -> None:
    """Each has its code, its status, its words, and the shape of this API; nothing comes of it."""
    async with httpx.AsyncClient(verify=False, base_url=f"{box.url}/api/3/lookup_table", auth=(box.api_key, box.secret_key)) as http:
        assert (await http.post("/", files=form(name=(None, "there")))).status_code == 200
        for code, status, parts in REFUSED:
            answer = await http.post("", files=parts)
            body = answer.json()
            assert (answer.status_code, body["statusCode"], body["errorCode"]) == (status, status, f"LOOKUP_TABLE_{code}"), body
            assert set(body) == {"statusCode", "message", "errorCode", "extraParams"}
        assert [table["name"] for table in (await http.get("")).json()] == ["there"]


async def test_the_limits_of_a_file(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """More bytes or rows than Amplitude takes are refused by their codes."""
    monkeypatch.setattr(tabling, "MAX_BYTES", 10_000)
    monkeypatch.setattr(tabling, "_MAX_ROWS", 100)
    async with httpx.AsyncClient(verify=False, base_url=f"{box.url}/api/3/lookup_table", auth=(box.api_key, box.secret_key)) as http:
        rows = b"SKU\n" + b"".join(b"%d\n" % n for n in range(101))
        answer = await http.post("", files=form(file=("skus.csv", rows, "text/csv")))
        assert answer.json()["errorCode"] == "LOOKUP_TABLE_INVALID_NUMBER_OF_ROWS"
        half = b"SKU\n" + b"".join(b"%d\n" % n for n in range(60))
        more = b"SKU\n" + b"".join(b"x%d\n" % n for n in range(60))
        assert (await http.post("", files=form(file=("skus.csv", half, "text/csv")))).status_code == 200
        answer = await http.patch("/sku_meta", files={"file": ("skus.csv", more, "text/csv")})
        assert answer.json()["errorCode"] == "LOOKUP_TABLE_INVALID_NUMBER_OF_ROWS"
        for size in (10_001, 2 << 20):
            answer = await http.put("/sku_meta", files={"file": ("skus.csv", b"SKU\n" + b"x" * size, "text/csv")})
            assert (answer.status_code, answer.json()["errorCode"]) == (413, "LOOKUP_TABLE_INVALID_FILE_SIZE")
    async with AsyncAmplitude(**box.credentials) as amplitude:
        with pytest.raises(PayloadTooLargeError, match="100 MB"):
            await amplitude.lookup_tables.replace("sku_meta", "SKU\n" + "\n".join(str(n) for n in range(5000)))


async def test_other_refusals(box: Sandbox) -> None:
    """A missing table, another body, a wrong key, a merge without the key: all in the shape of this API."""
    async with httpx.AsyncClient(verify=False, base_url=f"{box.url}/api/3/lookup_table", auth=(box.api_key, box.secret_key)) as http:
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            files = {"file": ("skus.csv", CSV.encode(), "text/csv")} if method in {"PUT", "PATCH"} else None
            answer = await http.request(method, "/none", files=files)
            assert (answer.status_code, answer.json()["errorCode"]) == (400, "LOOKUP_TABLE_DOES_NOT_EXIST")
        assert (await http.post("", json={})).json()["errorCode"] == "LOOKUP_TABLE_INVALID_INPUT"
        assert (await http.post("", content=b"x", headers={"Content-Type": "multipart/form-data; boundary=b"})).json()[
            "statusCode"
        ] == 400
        assert (await http.post("", files=form())).status_code == 200
        assert (await http.put("/sku_meta", files={"x": (None, "y")})).json()["errorCode"] == "LOOKUP_TABLE_INVALID_INPUT"
        without_key = {"file": ("skus.csv", b"Brand\nAcme\n", "text/csv")}
        assert (await http.patch("/sku_meta", files=without_key)).json()["errorCode"] == "LOOKUP_TABLE_INVALID_KEY_COLUMN"
        # Amplitude's own samples name the part of the file after the table.
        assert (await http.put("/sku_meta", files={"sku_meta": ("skus.csv", CSV.encode(), "text/csv")})).status_code == 200
        answer = await http.get("", auth=("x", "y"))
        assert (answer.status_code, answer.json()["statusCode"]) == (403, 403)


async def test_a_strict_sandbox_knows_the_properties_that_it_has_seen() -> None:
    """Elsewhere any name will do."""
    with Sandbox(strict=True) as box:
        async with AsyncAmplitude(**box.credentials) as amplitude:
            with pytest.raises(ResponseError) as caught:
                await amplitude.lookup_tables.create("t", CSV, key="SKU", property=PROPERTY)
            assert caught.value.data["errorCode"] == "LOOKUP_TABLE_INVALID_KEY_PROPERTY"
            await amplitude.track({"event_type": "buy", "user_id": "user-1", "event_properties": {"sku": "a-1"}})
            await amplitude.lookup_tables.create("t", CSV, key="SKU", property=PROPERTY)
            with pytest.raises(ResponseError):
                await amplitude.lookup_tables.merge("t", property={"value": "sku", "type": "user"})
