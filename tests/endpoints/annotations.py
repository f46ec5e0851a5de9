"""Chart annotations. Page: https://amplitude.com/docs/apis/analytics/chart-annotations."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from .table import Row

REST = ("amplitude.com", "analytics.eu.amplitude.com")
NOTE = (200, "application/json", b'{"data":{"id":88123}}')
NOTES = (200, "application/json", b'{"data":[]}')
CATEGORY = (200, "application/json", b'{"data":{"id":311,"name":"Releases"}}')
GONE = (200, "application/json", b'{"success":true}')
OLD = "version 2, which version 3 took the place of in December 2025"


def row(name: str, method: str, path: str, call: object, answer: tuple[int, str, bytes], **more: Any) -> Row:
    return Row(
        name=f"Annotations: {name}",
        method=method,
        path=f"/api/3/{path}",
        hosts=REST,
        auth="Basic project",
        call=call,  # type: ignore[arg-type]  # a lambda that takes the client
        answer=answer,
        **{"query": [], **more},
    )


ROWS = [
    row(
        "create a category",
        "POST",
        "annotation-categories",
        lambda a: a.annotations.categories.create("Releases"),
        CATEGORY,
        encoding="json",
        body={"category": "Releases"},
    ),
    row(
        "list categories",
        "GET",
        "annotation-categories",
        lambda a: a.annotations.categories.list(category="Releases"),
        NOTES,
        encoding="query",
        query=[("category", "Releases")],
    ),
    row("get a category", "GET", "annotation-categories/311", lambda a: a.annotations.categories.get(311), CATEGORY),
    row(
        "update a category",
        "PUT",
        "annotation-categories/311",
        lambda a: a.annotations.categories.update(311, name="Launches"),
        (200, "application/json", b'{"data":{"id":311,"category":"Launches"}}'),
        encoding="json",
        body={"category": "Launches"},
    ),
    row("delete a category", "DELETE", "annotation-categories/311", lambda a: a.annotations.categories.delete(311), GONE),
    row(
        "assign a category in bulk",
        "PUT",
        "annotation-categories/bulk/311",
        lambda a: a.annotations.categories.assign(311, [88123, "88124"]),
        NOTES,
        encoding="json",
        body={"annotation_ids": [88123, 88124]},
    ),
    row(
        "create",
        "POST",
        "annotations",
        lambda a: a.annotations.create(
            "Checkout v2",
            start=datetime(2026, 2, 1, 7, tzinfo=UTC),
            end="2026-02-02T07:00:00+01:00",
            category="Releases",
            chart_id="abc123",
            details="new payment page",
        ),
        NOTE,
        encoding="json",
        body={
            "label": "Checkout v2",
            "start": "2026-02-01T07:00:00+00:00",
            "end": "2026-02-02T07:00:00+01:00",
            "category": "Releases",
            "chart_id": "abc123",
            "details": "new payment page",
        },
    ),
    row(
        "list",
        "GET",
        "annotations",
        lambda a: a.annotations.list(category="Releases", start="2026-02-01T07:00:00+00:00", end=datetime(2026, 3, 1, tzinfo=UTC)),
        NOTES,
        encoding="query",
        query=[("category", "Releases"), ("start", "2026-02-01T07:00:00+00:00"), ("end", "2026-03-01T00:00:00+00:00")],
    ),
    row("get", "GET", "annotations/88123", lambda a: a.annotations.get(88123), NOTE),
    row(
        "update",
        "PUT",
        "annotations/88123",
        lambda a: a.annotations.update("88123", label="Checkout v3", end=None, chart_id=None),
        NOTE,
        encoding="json",
        body={"label": "Checkout v3", "end": None, "chart_id": None},
    ),
    row("delete", "DELETE", "annotations/88123", lambda a: a.annotations.delete(88123), GONE),
    Row(name="Annotations v2: create", method="POST", path="/api/2/annotations", hosts=REST, auth="Basic project", why=OLD),
    Row(name="Annotations v2: list", method="GET", path="/api/2/annotations", hosts=REST, auth="Basic project", why=OLD),
    Row(name="Annotations v2: get", method="GET", path="/api/2/annotations", hosts=REST, auth="Basic project", why=OLD),
]
