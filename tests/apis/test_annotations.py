"""Chart annotations and releases over the sandbox."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from amplitude_async import AsyncAmplitude, BadRequestError, NotFoundError, ResponseError
from amplitude_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_a_note_from_beginning_to_end(box: Sandbox) -> None:
    """It is made, read, changed in parts, put on every chart, and deleted."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        notes = amplitude.annotations
        await notes.categories.create("Releases")
        made = await notes.create(
            "Checkout v2",
            start=datetime(2026, 2, 1, 7, tzinfo=UTC),
            end="2026-02-10T07:00:00+01:00",
            category="Releases",
            chart_id="abc123",
            details="new payment page",
        )
        note = made["data"]
        assert note == {
            "id": note["id"],
            "start": "2026-02-01T07:00:00+00:00",
            "end": "2026-02-10T07:00:00+01:00",
            "label": "Checkout v2",
            "details": "new payment page",
            "category": {"id": note["category"]["id"] if note["category"] else 0, "name": "Releases"},
            "chart_id": "abc123",
        }
        assert await notes.get(note["id"]) == made
        assert (await notes.list())["data"] == [note]
        assert (await notes.update(note["id"], label="Checkout v3"))["data"] == {**note, "label": "Checkout v3"}
        freed = (await notes.update(str(note["id"]), chart_id=None, end=None))["data"]
        assert freed == {**note, "label": "Checkout v3", "chart_id": None, "end": None}
        assert await notes.delete(note["id"]) == {"success": True}
        for call in (notes.get(note["id"]), notes.delete(note["id"]), notes.update(note["id"], label="x")):
            with pytest.raises(NotFoundError, match="Annotation not found"):
                await call


async def test_a_category_from_beginning_to_end(box: Sandbox) -> None:
    """It is made, renamed, given to several notes at once, and its notes outlive it; it has its name in every answer."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        notes, categories = amplitude.annotations, amplitude.annotations.categories
        category = (await categories.create("Alerts"))["data"]
        await categories.create("Releases")
        assert [each["name"] for each in (await categories.list())["data"]] == ["Alerts", "Releases"]
        assert (await categories.list(category="Alerts"))["data"] == [category]
        assert (await categories.get(category["id"]))["data"] == category
        renamed: Any = (await categories.update(category["id"], name="Alarms"))["data"]
        assert (renamed["name"], renamed["category"]) == ("Alarms", "Alarms")
        ids = [(await notes.create(label, start="2026-02-01T07:00Z"))["data"]["id"] for label in "abc"]
        assigned: Any = (await categories.assign(category["id"], ids[:2]))["data"]
        assert [(each["label"], each["category"]["name"], each["category"]["category"]) for each in assigned] == [
            ("a", "Alarms", "Alarms"),
            ("b", "Alarms", "Alarms"),
        ]
        assert [each["label"] for each in (await notes.list(category="Alarms"))["data"]] == ["a", "b"]
        with pytest.raises(BadRequestError, match="One or more invalid annotation ID"):
            await categories.assign(category["id"], [ids[2], 5])
        assert (await notes.get(ids[2]))["data"]["category"] is None
        assert await categories.delete(category["id"]) == {"success": True}
        assert (await notes.get(ids[0]))["data"]["category"] is None
        for call in (categories.get(category["id"]), categories.assign(category["id"], ids), categories.list(category="Alarms")):
            with pytest.raises(NotFoundError, match="Category not found"):
                await call
        with pytest.raises(NotFoundError, match="Category not found"):
            await notes.create("x", start="2026-02-01T07:00Z", category="Alarms")
        with pytest.raises(ResponseError, match="already exists") as caught:
            await categories.create("Releases")
        assert caught.value.status == 409


async def test_filters(box: Sandbox) -> None:
    """By chart those that show on it, by time those within it whole, by category those of it."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        notes = amplitude.annotations
        await notes.create("everywhere", start=date(2026, 2, 1))
        await notes.create("on a", start=date(2026, 2, 3), end=date(2026, 2, 6), chart_id="a")
        await notes.create("on b", start=date(2026, 2, 5), chart_id="b")

        async def found(**filters: Any) -> list[str]:
            return [each["label"] for each in (await notes.list(**filters))["data"]]

        assert await found(chart_id="a") == ["everywhere", "on a"]
        assert await found(chart_id="c") == ["everywhere"]
        assert await found(start=date(2026, 2, 2)) == ["on a", "on b"]
        assert await found(end="2026-02-05T23:00:00+00:00") == ["everywhere", "on b"]
        assert await found(start=date(2026, 2, 3), end=date(2026, 2, 6)) == ["on a", "on b"]
        assert await found(start="2026-02-03T01:00:00+01:00", chart_id="a") == ["on a"]
        assert await found(category="nobody's") == []


def ask(box: Sandbox, method: str, path: str, **more: Any) -> httpx.Response:
    return httpx.request(method, f"{box.url}/api/{path}", auth=(box.api_key, box.secret_key), trust_env=False, **more)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "3/annotations/x", None, 400),
        ("GET", "3/annotations/7", None, 404),
        ("GET", "3/annotations?category=a&chart_id=b", None, 409),
        ("GET", "3/annotations?start=soon", None, 400),
        ("GET", "3/annotations?start=2026-02-01T07:00", None, 400),
        ("POST", "3/annotations", {"label": "x"}, 400),
        ("POST", "3/annotations", {"start": "2026-02-01T07:00Z"}, 400),
        ("POST", "3/annotations", {"label": 5, "start": "2026-02-01T07:00Z"}, 400),
        ("POST", "3/annotations", {"label": "x", "start": "2026-02-01T07:00Z", "end": "2026-01-01T07:00Z"}, 400),
        ("POST", "3/annotations", {"label": "x", "start": "2026-02-01T07:00Z", "category": "y"}, 404),
        ("POST", "3/annotations", [], 400),
        ("DELETE", "3/annotations", None, 405),
        ("GET", "3/annotation-categories/x", None, 400),
        ("PUT", "3/annotation-categories/7", {"category": "x"}, 404),
        ("POST", "3/annotation-categories", {}, 400),
        ("POST", "3/annotation-categories", {"category": 5}, 400),
        ("PUT", "3/annotation-categories/bulk/7", {"annotation_ids": [1]}, 404),
        ("POST", "2/release", {"version": "1", "title": "x"}, 400),
        ("POST", "2/release", {"version": "1", "title": "x", "release_start": "2026-02-01"}, 400),
        ("POST", "2/release", {"version": 1, "title": "x", "release_start": "2026-02-01 00:00:00"}, 400),
        ("POST", "2/release", {"version": "1", "title": "x", "release_start": "2026-02-01 00:00:00", "platforms": 5}, 400),
        ("POST", "2/release", {"version": "1", "title": "x", "release_start": "2026-02-01 00:00:00", "chart_visibility": "no"}, 400),
        (
            "POST",
            "2/release",
            {"version": "1", "title": "x", "release_start": "2026-02-01 00:00:00", "release_end": "2026-01-01 00:00:00"},
            400,
        ),
        ("GET", "2/release", None, 405),
    ],
)
def test_refusals(box: Sandbox, method: str, path: str, body: Any, status: int) -> None:
    """Each has its documented status, and words."""
    answer = ask(box, method, path, json=body) if body is not None else ask(box, method, path)
    assert answer.status_code == status
    assert answer.json()["error"]["http_code"] == status


def test_bulk_ids_are_checked(box: Sandbox) -> None:
    """What is no list of numbers assigns nothing."""
    category = ask(box, "POST", "3/annotation-categories", json={"category": "x"}).json()["data"]["id"]
    for ids in ([], "1", ["1"], [True], None):
        assert ask(box, "PUT", f"3/annotation-categories/bulk/{category}", json={"annotation_ids": ids}).status_code == 400


async def test_a_release(box: Sandbox) -> None:
    """It is given back with what was made of it: times in UTC, a number of the project, when and by whom."""
    with Sandbox(clock=lambda: 1_769_932_800.5) as box:
        async with AsyncAmplitude(**box.credentials) as amplitude:
            answer = await amplitude.releases.create(
                "3.6",
                title="Checkout v2",
                release_start=datetime(2026, 2, 1, 8, tzinfo=UTC),
                release_end=date(2026, 2, 2),
                description="new payment page",
                platforms=["iOS"],
                created_by="Kari",
            )
    release = answer["release"]
    assert answer["success"] is True
    assert len(release.pop("id")) == 7  # type: ignore[misc]  # the rest is compared
    assert release == {
        "app_id": box.project_id,
        "org_id": 20_077,
        "version": "3.6",
        "release_start": "2026-02-01 08:00:00",
        "release_end": "2026-02-02 00:00:00",
        "type": "integration",
        "title": "Checkout v2",
        "description": "new payment page",
        "platforms": ["iOS"],
        "chart_visibility": True,
        "params": {"created": 1769932800500, "created_by": "Kari", "last_modified": 1769932800500, "last_modified_by": "Kari"},
    }


def test_a_release_by_query(box: Sandbox) -> None:
    """Parameters may be in the query instead, platforms with commas; two releases have two ids."""
    query = {
        "version": "3.6",
        "title": "x",
        "release_start": "2026-02-01 08:00:00",
        "platforms": "iOS,Android",
        "chart_visibility": "false",
    }
    first, second = (ask(box, "POST", "2/release", params=query).json()["release"] for _ in range(2))
    assert (first["platforms"], first["chart_visibility"]) == (["iOS", "Android"], False)
    assert first["id"] != second["id"]


async def test_notes_outlive_the_sandbox(tmp_path: Path) -> None:
    """In a file they are there at the next start, and ids go on."""
    ids = []
    for count in (1, 2):
        with Sandbox(store=str(tmp_path / "box.db")) as box:
            async with AsyncAmplitude(**box.credentials) as amplitude:
                ids.append((await amplitude.annotations.create("x", start="2026-02-01T07:00Z"))["data"]["id"])
                assert [each["id"] for each in (await amplitude.annotations.list())["data"]] == ids
        assert len(set(ids)) == count
