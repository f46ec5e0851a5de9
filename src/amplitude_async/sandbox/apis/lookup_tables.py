"""The sandbox's lookup tables (version 2).

Page: https://amplitude.com/docs/apis/analytics/lookup-table-2; see :mod:`amplitude_async.sandbox.tabling` for what it leaves open. A
strict sandbox knows only properties that it has seen. The file may be in a part of any name, as Amplitude's samples have it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response
from starlette.routing import Route

from amplitude_async.sandbox import tabling
from amplitude_async.sandbox.auditing import note
from amplitude_async.sandbox.desk import json_answer
from amplitude_async.sandbox.multipart import parts_of
from amplitude_async.sandbox.rules import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from amplitude_async.sandbox.desk import Desk
    from amplitude_async.sandbox.documents import Document
    from amplitude_async.sandbox.multipart import SentPart

_PATH: Final = "/api/3/lookup_table"
_KIND: Final = "lookup_tables"
_ROOM: Final = 1 << 20
"""Bytes of a request beside its file."""
_CODES: Final = {401: "UNAUTHORIZED", 403: "FORBIDDEN", 400: "INVALID_INPUT"}
_COLUMNS: Final = {"event": "event_properties", "user": "user_properties"}


def routes(desk: Desk) -> list[Route]:
    """Return the endpoints."""
    tables = _Tables(desk)

    def own(handler: Any) -> Any:  # noqa: ANN401 - a handler in, a handler out
        return desk.guarded(handler, pool=None, refuse=_refused)

    named = _PATH + "/{name}"
    return [
        *(Route(path, own(tables.create), methods=["POST"]) for path in (_PATH, f"{_PATH}/")),
        *(Route(path, own(tables.list), methods=["GET"]) for path in (_PATH, f"{_PATH}/")),
        Route(named, own(tables.get), methods=["GET"]),
        Route(named, own(tables.replace), methods=["PUT"]),
        Route(named, own(tables.merge), methods=["PATCH"]),
        Route(named, own(tables.delete), methods=["DELETE"]),
        Route(named + "/csv", own(tables.csv), methods=["GET"]),
    ]


def _refused(status: int, details: str) -> Response:
    """Answer with an error as this API writes it."""
    code = f"LOOKUP_TABLE_{_CODES.get(status, 'INVALID_INPUT')}"
    return json_answer(status, {"statusCode": status, "message": details, "errorCode": code, "extraParams": {}})


def _unknown(name: str) -> RefusedError:
    return tabling.refusal(400, "DOES_NOT_EXIST", f"Table {name[:100]} does not exist")


def _texts(parts: Sequence[SentPart]) -> dict[str, str]:
    return {part.name: part.content.decode("utf-8", "replace") for part in parts if part.filename is None}


class _Tables:
    """The endpoints."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def _sent(self, request: Request) -> Sequence[SentPart]:
        try:
            body = await self._desk.body(request, tabling.MAX_BYTES + _ROOM)
        except RefusedError:
            raise tabling.refusal(413, "INVALID_FILE_SIZE", "The file is larger than 100 MB") from None
        parts = parts_of(request.headers.get("content-type", ""), body)
        if parts is None:
            raise tabling.refusal(400, "INVALID_INPUT", "The body must be multipart/form-data")
        return parts

    async def list(self, _request: Request) -> Response:
        """List the tables."""
        found = await self._desk.run(self._desk.store.documents.all, _KIND)
        return json_answer(200, [each["table"] for each in found])

    async def _stored(self, request: Request) -> Document:
        name = request.path_params["name"]
        found = await self._desk.run(self._desk.store.documents.get, _KIND, name)
        if found is None:
            raise _unknown(name)
        return found

    async def get(self, request: Request) -> Response:
        """Describe a table."""
        return json_answer(200, (await self._stored(request))["table"])

    async def csv(self, request: Request) -> Response:
        """Give a table's rows."""
        return Response((await self._stored(request))["csv"], media_type="text/csv")

    async def create(self, request: Request) -> Response:
        """Make a table."""
        parts = await self._sent(request)
        texts = _texts(parts)
        for name in ("name", "key", "property"):
            if not texts.get(name):
                raise tabling.refusal(400, "INVALID_INPUT", f"{name} is required")
        made = await self._desk.run(self._create, texts, [part for part in parts if part.filename is not None])
        return json_answer(200, made)

    def _create(self, texts: dict[str, str], files: Sequence[SentPart]) -> Document:
        store, now = self._desk.store, int(self._desk.clock())
        name = tabling.checked_name(texts["name"])
        if store.documents.get(_KIND, name) is not None:
            raise tabling.refusal(409, "ALREADY_EXISTS", f"Table {name} already exists")
        key_property = self._property(texts["property"])
        file = tabling.checked_file(files)
        if file is None:
            raise tabling.refusal(400, "INVALID_FILE_COUNT", "A file is required", count=0)
        sheet = tabling.with_key(file[1], texts["key"])
        table = {
            "appId": str(self._desk.project_id),
            "name": name,
            "columnHeaders": [],
            "createdAt": now,
            "createdBy": "api",
            "lastModifiedAt": now,
            "lastModifiedBy": "api",
            "isDeleted": False,
            "isConfigured": True,
            "keyColumnHeader": texts["key"],
            "keyProperty": key_property,
        }
        return self._keep(table, file[0], sheet, "create")

    def _keep(self, table: Document, filename: str, sheet: tabling.Sheet, action: str) -> Document:
        store, text = self._desk.store, tabling.written(sheet)
        kept = {
            **table,
            "columnHeaders": [name for name in sheet.header if name != table["keyColumnHeader"]],
            "fileName": filename,
            "rowCount": len(sheet.rows),
            "sizeBytes": len(text.encode()),
        }
        store.documents.put(_KIND, kept["name"], {"table": kept, "csv": text})
        note(store, self._desk.clock(), domain="data", feature="lookup_table", action=action, target=kept["name"])
        return kept

    def _property(self, text: str) -> dict[str, Any]:
        found = tabling.checked_property(text)
        column = _COLUMNS.get(found["type"])
        if self._desk.strict and column is not None and not self._desk.store.has_property(column, found["value"]):
            raise tabling.refusal(400, "INVALID_KEY_PROPERTY", f"Property {found['value'][:100]} does not exist")
        return found

    async def replace(self, request: Request) -> Response:
        """Put another file in place of a table's."""
        return await self._update(request, is_merge=False)

    async def merge(self, request: Request) -> Response:
        """Merge a file into a table's."""
        return await self._update(request, is_merge=True)

    async def _update(self, request: Request, *, is_merge: bool) -> Response:
        parts = await self._sent(request)
        stored = await self._stored(request)
        return json_answer(200, await self._desk.run(self._updated, stored, parts, is_merge=is_merge))

    def _updated(self, stored: Document, parts: Sequence[SentPart], *, is_merge: bool) -> Document:
        table = {**stored["table"], "lastModifiedAt": int(self._desk.clock()), "lastModifiedBy": "api"}
        key = table["keyColumnHeader"]
        sent = _texts(parts).get("property")
        if sent is not None:
            table["keyProperty"] = self._property(sent)
        file = tabling.checked_file([part for part in parts if part.filename is not None])
        if file is None and sent is None:
            raise tabling.refusal(400, "INVALID_INPUT", "A file or a property is required")
        old = tabling.parsed(stored["csv"].encode())
        if file is None:
            return self._keep(table, table["fileName"], old, "update")
        sheet = tabling.with_key(file[1], key)
        return self._keep(table, file[0], tabling.merged(old, sheet, key) if is_merge else sheet, "update")

    async def delete(self, request: Request) -> Response:
        """Delete a table."""
        name = request.path_params["name"]
        return json_answer(200, await self._desk.run(self._delete, name))

    def _delete(self, name: str) -> Document:
        store = self._desk.store
        if not store.documents.remove(_KIND, name):
            raise _unknown(name)
        note(store, self._desk.clock(), domain="data", feature="lookup_table", action="delete", target=name)
        return {"message": f"Lookup table {name} deleted successfully", "success": True}
