"""The sandbox's chart annotations, version 3 of the API.

Amplitude's page says what is filtered how, and no more of errors than their status; so they come in the envelope of the dashboard.
It answers with a category's ``category`` in two places and with its ``name`` in the others, and so does this. Chart ids are any text,
and are given back as they were sent.

Amplitude's page: https://amplitude.com/docs/apis/analytics/chart-annotations
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import Route

from amplitude_async.sandbox.desk import json_answer, refused_query
from amplitude_async.sandbox.rules import RefusedError, envelope

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from amplitude_async.sandbox.desk import Desk
    from amplitude_async.sandbox.documents import Document, Documents

NOTES: Final = "annotations"
CATEGORIES: Final = "annotation_categories"
_FIRST_NOTE: Final = 88_000
_FIRST_CATEGORY: Final = 300
_FIELDS: Final = ("label", "start", "end", "category", "chart_id", "details")
_NULLABLE: Final = frozenset({"end", "chart_id", "details", "category"})

Ask = Mapping[str, str]
Sent = Mapping[str, Any]


def _refusal(status: int, details: str) -> RefusedError:
    return RefusedError(status, envelope(status, details))


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit()):
        message = f"Invalid {what} ID"
        raise ValueError(message)
    return int(text)


def _moment(value: object, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        message = f"Invalid field: {name} (expected YYYY-MM-DDThh:mmTZD)"
        raise ValueError(message)
    return moment


class _Notes:
    """Notes and categories; in the store's thread."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    # Categories

    def categories(self, name: str | None) -> list[Document]:
        """Return all, or the one of a name."""
        found = [each for each in self._documents.all(CATEGORIES) if name is None or each["name"] == name]
        if name is not None and not found:
            raise _refusal(404, "Category not found")
        return found

    def category(self, text: str) -> Document:
        """Return the category of an id."""
        found = self._documents.get(CATEGORIES, _number(text, "category"))
        if found is None:
            raise _refusal(404, "Category not found")
        return found

    def keep_category(self, text: str | None, sent: Sent) -> Document:
        """Make a category, or give one another name."""
        name = sent.get("category")
        if not isinstance(name, str) or not name.strip():
            message = "Invalid field: category"
            raise ValueError(message)
        found = None if text is None else self.category(text)
        others = (each for each in self._documents.all(CATEGORIES) if found is None or each["id"] != found["id"])
        if any(each["name"] == name for each in others):
            raise _refusal(409, "Category already exists")
        number = _FIRST_CATEGORY + self._documents.next_number(CATEGORIES) if found is None else found["id"]
        return self._documents.put(CATEGORIES, number, {"id": number, "name": name})

    def remove_category(self, text: str) -> None:
        """Forget a category; its notes have none then."""
        found = self.category(text)
        self._documents.remove(CATEGORIES, found["id"])
        for note in self._documents.all(NOTES):
            if note["category"] == found["id"]:
                self._documents.put(NOTES, note["id"], {**note, "category": None})

    def assign(self, text: str, sent: Sent) -> list[Document]:
        """Give several notes a category: all of them, or none."""
        category, ids = self.category(text), sent.get("annotation_ids")
        if not isinstance(ids, list) or not ids or not all(isinstance(each, int) and not isinstance(each, bool) for each in ids):
            message = "Invalid annotation IDs"
            raise ValueError(message)
        notes = [self._documents.get(NOTES, each) for each in dict.fromkeys(ids)]
        if None in notes:
            message = "One or more invalid annotation ID"
            raise ValueError(message)
        kept = [self._documents.put(NOTES, note["id"], {**note, "category": category["id"]}) for note in notes if note is not None]
        return [{**self._shown(note), "category": {"id": category["id"], "category": category["name"]}} for note in kept]

    # Notes

    def notes(self, ask: Ask) -> list[Document]:
        """Return the notes that pass the filters, in the order in which they were made."""
        if "category" in ask and "chart_id" in ask:
            raise _refusal(409, "category and chart_id filters cannot be combined")
        after = _moment(ask["start"], "start") if "start" in ask else None
        before = _moment(ask["end"], "end") if "end" in ask else None
        shown = (self._shown(note) for note in self._documents.all(NOTES))
        return [note for note in shown if _passes(note, ask, after, before)]

    def note(self, text: str) -> Document:
        """Return one note."""
        return self._shown(self._stored(text))

    def make(self, sent: Sent) -> Document:
        """Make a note."""
        blank = {"start": None, "end": None, "label": None, "details": None, "category": None, "chart_id": None}
        for name in ("label", "start"):
            if sent.get(name) is None:
                message = f"Invalid field: {name} is required"
                raise ValueError(message)
        changed = self._changed(blank, sent)
        number = _FIRST_NOTE + self._documents.next_number(NOTES)
        return self._shown(self._documents.put(NOTES, number, {"id": number, **changed}))

    def change(self, text: str, sent: Sent) -> Document:
        """Change what was sent of a note, and nothing else."""
        found = self._stored(text)
        return self._shown(self._documents.put(NOTES, found["id"], self._changed(found, sent)))

    def remove(self, text: str) -> None:
        """Forget a note."""
        self._documents.remove(NOTES, self._stored(text)["id"])

    def _stored(self, text: str) -> Document:
        found = self._documents.get(NOTES, _number(text, "annotation"))
        if found is None:
            raise _refusal(404, "Annotation not found")
        return found

    def _changed(self, note: Document, sent: Sent) -> Document:
        changed = dict(note)
        for name in _FIELDS:
            if name not in sent:
                continue
            value = sent[name]
            if value is None and name not in _NULLABLE:
                message = f"Invalid field: {name}"
                raise ValueError(message)
            if value is not None and (not isinstance(value, str) or (name == "label" and not value.strip())):
                message = f"Invalid field: {name}"
                raise ValueError(message)
            changed[name] = self._read(name, value)
        if changed["end"] is not None and _moment(changed["end"], "end") < _moment(changed["start"], "start"):
            message = "Invalid field: end is before start"
            raise ValueError(message)
        return changed

    def _read(self, name: str, value: str | None) -> object:
        if value is None:
            return None
        if name in {"start", "end"}:
            return _moment(value, name).isoformat(timespec="seconds")
        return self.categories(value)[0]["id"] if name == "category" else value

    def _shown(self, note: Document) -> Document:
        category = None if note["category"] is None else self._documents.get(CATEGORIES, note["category"])
        return {**note, "category": category}


def _passes(note: Document, ask: Ask, after: datetime | None, before: datetime | None) -> bool:
    if "category" in ask and (note["category"] is None or note["category"]["name"] != ask["category"]):
        return False
    # A note without a chart shows on every chart.
    if "chart_id" in ask and note["chart_id"] not in {None, ask["chart_id"]}:
        return False
    start = _moment(note["start"], "start")
    end = start if note["end"] is None else _moment(note["end"], "end")
    # Whether the bounds belong to it is not documented; here they do.
    return (after is None or start >= after) and (before is None or end <= before)


def routes(desk: Desk) -> list[Route]:
    """Return the endpoints."""
    notes = _Notes(desk.store.documents)

    async def categories(request: Request) -> object:
        if request.method == "GET":
            return {"data": await desk.run(notes.categories, request.query_params.get("category"))}
        return {"data": await desk.run(notes.keep_category, None, await desk.json_body(request))}

    async def category(request: Request) -> object:
        text = request.path_params["number"]
        if request.method == "GET":
            return {"data": await desk.run(notes.category, text)}
        if request.method == "DELETE":
            await desk.run(notes.remove_category, text)
            return {"success": True}
        kept = await desk.run(notes.keep_category, text, await desk.json_body(request))
        return {"data": {"id": kept["id"], "category": kept["name"]}}

    async def bulk(request: Request) -> object:
        return {"data": await desk.run(notes.assign, request.path_params["number"], await desk.json_body(request))}

    async def several(request: Request) -> object:
        if request.method == "GET":
            return {"data": await desk.run(notes.notes, dict(request.query_params))}
        return {"data": await desk.run(notes.make, await desk.json_body(request))}

    async def single(request: Request) -> object:
        text = request.path_params["number"]
        if request.method == "GET":
            return {"data": await desk.run(notes.note, text)}
        if request.method == "DELETE":
            await desk.run(notes.remove, text)
            return {"success": True}
        return {"data": await desk.run(notes.change, text, await desk.json_body(request))}

    def route(path: str, handler: Callable[[Request], Awaitable[object]], *methods: str) -> Route:
        async def answered(request: Request) -> Response:
            return json_answer(200, await handler(request))

        return Route(path, desk.guarded(answered, refuse=refused_query), methods=list(methods))

    return [
        route("/api/3/annotation-categories", categories, "GET", "POST"),
        route("/api/3/annotation-categories/bulk/{number}", bulk, "PUT"),
        route("/api/3/annotation-categories/{number}", category, "GET", "PUT", "DELETE"),
        route("/api/3/annotations", several, "GET", "POST"),
        route("/api/3/annotations/{number}", single, "GET", "PUT", "DELETE"),
    ]
