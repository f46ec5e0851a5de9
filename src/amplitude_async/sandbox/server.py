"""The sandbox's HTTP face: a Starlette application over the store.

Ingestion, user data and export are here, every other API in ``apis/``. Bodies of errors are those of the API
concerned: ingestion ``{"code", "error"}``, identify plain text, dashboard and export ``{"error": {"http_code", ...}}``.
"""

from __future__ import annotations

import logging
import tempfile
from typing import IO, TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from amplitude_async.sandbox import apis, exporting, queries, questions, rows, rules
from amplitude_async.sandbox.chores import Punctual
from amplitude_async.sandbox.desk import Desk, json_answer, parameters_of, refused_query
from amplitude_async.sandbox.forms import form_of
from amplitude_async.sandbox.properties import OPERATION_NAMES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

_LOG: Final = logging.getLogger("amplitude_async.sandbox")
_MAX_IDENTIFICATIONS: Final = 1024
_MAX_GROUP_PROPERTIES: Final = 1024  # of one request
_GROUPS_PER_SECOND: Final = 10_000  # of an organisation; the body of the refusal is not documented
_LARGEST_IN_MEMORY: Final = 4 << 20  # of an export that is being put together; what is beyond goes to a temporary file
_PIECE_BYTES: Final = 64 << 10
_DASHBOARD_PREFIX: Final = "/api/"


class Service:
    """The endpoints of one sandbox. ``aclose`` ends its database thread."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def application(self, more: Sequence[Route] = ()) -> Starlette:
        """Build the ASGI application, with routes beyond Amplitude's own."""
        uploads = [
            Route("/2/httpapi", self._upload_v2, methods=["POST"]),
            Route("/batch", self._upload_batch, methods=["POST"]),
            Route("/identify", self._identify, methods=["GET", "POST"]),
            Route("/groupidentify", self._group_identify, methods=["GET", "POST"]),
        ]
        guarded = self._desk.guarded
        dashboard = [
            Route("/api/2/usersearch", guarded(self._user_search, pool="lookups"), methods=["GET"]),
            Route("/api/2/useractivity", guarded(self._user_activity, pool="lookups"), methods=["GET"]),
            Route("/api/2/export", guarded(self._export), methods=["GET"]),
        ]
        others = [route for api in apis.ALL for route in api.routes(self._desk)]
        handlers = {HTTPException: self._unrouted, rules.RefusedError: self._refused, Exception: self._broken}
        punctual = Middleware(Punctual, desk=self._desk)
        return Starlette(routes=[*uploads, *dashboard, *others, *more], middleware=[punctual], exception_handlers=handlers)  # type: ignore[arg-type]  # each handler takes the exception it is registered for

    # Errors

    @staticmethod
    async def _refused(_request: Request, error: rules.RefusedError) -> Response:
        return json_answer(error.status, error.body)

    @staticmethod
    async def _unrouted(request: Request, error: HTTPException) -> Response:
        if request.url.path.startswith(_DASHBOARD_PREFIX):
            return refused_query(error.status_code, error.detail)
        if error.status_code == 404:  # noqa: PLR2004 - said by the line itself
            return json_answer(400, {"code": 400, "error": "Invalid request path"})
        return json_answer(error.status_code, {"code": error.status_code, "error": error.detail})

    @staticmethod
    async def _broken(request: Request, error: Exception) -> Response:
        if not isinstance(error, ClientDisconnect):
            _LOG.error("The sandbox failed to answer %s", request.url.path, exc_info=error)
        return json_answer(500, {"code": 500, "error": "Internal server error"})

    # Uploads

    async def _upload_v2(self, request: Request) -> Response:
        return await self._upload(request, rules.HTTP_V2)

    async def _upload_batch(self, request: Request) -> Response:
        return await self._upload(request, rules.BATCH)

    async def _upload(self, request: Request, endpoint: rules.Endpoint) -> Response:
        received = self._desk.clock()
        body = await self._desk.body(request, endpoint.max_bytes)
        try:
            upload = rules.checked_upload(body, self._desk.keys.api_key, endpoint, strict=self._desk.strict)
            self._desk.uploads.admit(upload.events, endpoint, received)
        except rules.RefusedError as refused:
            self._desk.watch.saw(_events_in(body), path=endpoint.path, at=received, refused=refused.body)
            raise
        stamp = self._stamp(received, endpoint.path, upload.client_upload_time)
        await self._desk.run(self._desk.store.ingest, upload.events, stamp, endpoint, _client_ip(request))
        self._desk.watch.saw(upload.events, path=endpoint.path, at=received)
        return json_answer(
            200,
            {
                "code": 200,
                "server_upload_time": int(stamp.uploaded.timestamp() * 1000),
                "payload_size_bytes": len(body),
                "events_ingested": len(upload.events),
            },
        )

    def _stamp(self, received: float, path: str, client_upload_time: str | None = None) -> rows.Arrival:
        return rows.arrival(received_s=received, client_upload_time=client_upload_time, path=path, project_id=self._desk.project_id)

    async def _form(self, request: Request) -> dict[str, str]:
        """Return the parameters of a query string and a form body; the body wins."""
        return {key: values[0] for key, values in (await form_of(self._desk, request)).items()}

    def _refused_key(self, form: dict[str, str]) -> Response | None:
        if form.get("api_key") == self._desk.keys.api_key:
            return None
        return PlainTextResponse("invalid_api_key", 400)

    async def _identify(self, request: Request) -> Response:
        received = self._desk.clock()
        form = await self._form(request)
        if refused := self._refused_key(form):
            return refused
        try:
            options = rules.parsed_json(form["options"]) if form.get("options") else None
            entries = rules.checked_identifications(form.get("identification"), rules.min_id_length(options))
        except ValueError as error:
            return PlainTextResponse(str(error), 400)
        if len(entries) > _MAX_IDENTIFICATIONS:
            raise rules.too_large()
        self._desk.uploads.admit(entries, rules.HTTP_V2, received)
        events = [{**entry, "event_type": "$identify"} for entry in entries]
        stamp = self._stamp(received, "/identify")
        await self._desk.run(self._desk.store.ingest, events, stamp, rules.HTTP_V2, _client_ip(request))
        self._desk.watch.saw(events, path="/identify", at=received)
        return Response("success", headers={"content-type": "text/html;charset=utf-8"})

    async def _group_identify(self, request: Request) -> Response:
        form = await self._form(request)
        if refused := self._refused_key(form):
            return refused
        try:
            entries = rules.checked_group_identifications(form.get("identification"))
        except ValueError as error:
            return PlainTextResponse(str(error), 400)
        if len(entries) > _MAX_IDENTIFICATIONS or sum(map(_width, entries)) > _MAX_GROUP_PROPERTIES:
            raise rules.too_large()
        window, now = self._desk.window("group identifies", 1.0), self._desk.clock()
        if self._desk.strict and window.total(now) + len(entries) > _GROUPS_PER_SECOND:
            return PlainTextResponse("Too many group identifies", 429)
        window.add(now, len(entries))
        await self._desk.run(self._desk.store.identify_groups, entries)
        self._desk.watch.saw(entries, path="/groupidentify", at=self._desk.clock())
        return Response("success", headers={"content-type": "text/html;charset=utf-8"})

    # Dashboard and export

    def _looked_up(self) -> Response | None:
        details = self._desk.queries.look_up(self._desk.clock())
        return None if details is None else refused_query(429, details)

    async def _user_search(self, request: Request) -> Response:
        text = questions.required(parameters_of(request), "user")
        if refused := self._looked_up():
            return refused
        return json_answer(200, await self._desk.run(queries.search, self._desk.store, text, self._desk.zone))

    async def _user_activity(self, request: Request) -> Response:
        parameters = parameters_of(request)
        text = questions.required(parameters, "user")
        offset = questions.whole_number(parameters, "offset", 0, 2**62)
        limit = questions.whole_number(parameters, "limit", 1000, 1000)
        direction = questions.one(parameters, "direction") or "latest"
        if direction not in {"latest", "earliest"}:
            return refused_query(400, f"Invalid value for direction: {direction[:100]}")
        is_id = text.isascii() and text.isdigit() and len(text) < 20  # noqa: PLR2004 - said by the line itself
        if self._desk.strict and not is_id:
            return refused_query(400, "user must be an Amplitude ID")
        if refused := self._looked_up():
            return refused
        if not is_id:
            return json_answer(200, queries.unknown_activity())
        is_earliest = direction == "earliest"
        desk = self._desk
        answer = await desk.run(queries.activity, desk.store, int(text), desk.zone, offset=offset, limit=limit, earliest=is_earliest)
        return json_answer(200, answer)

    async def _export(self, request: Request) -> Response:
        first, last = questions.export_hours(parameters_of(request))
        if self._desk.limits.export_delay_s:
            # An hour can be exported once it is over and the delay has passed.
            last = min(last, int((self._desk.clock() - self._desk.limits.export_delay_s) // 3600) - 1)
        most = self._desk.limits.export_bytes
        # Amplitude puts the archive together before it answers, and so can say how long it is.
        spool = tempfile.SpooledTemporaryFile(_LARGEST_IN_MEMORY)  # noqa: SIM115 - outlives this call; whoever sends it closes it
        try:
            # Piece by piece, so that other requests have their turns in the store's thread.
            pieces = exporting.archive(self._desk.store, self._desk.project_id, first, last)
            while piece := await self._desk.run(next, pieces, b""):
                await self._desk.run(spool.write, piece)
                if most is not None and spool.tell() > most:
                    await self._desk.run(pieces.close)
                    spool.close()
                    return refused_query(400, f"The export exceeds {most} bytes")  # the text is not documented
            size = spool.tell()
            if not size:
                spool.close()
                return refused_query(404, "Raw data files were not found.")
            spool.seek(0)
        except BaseException:
            spool.close()
            raise
        headers = {"content-disposition": f'attachment; filename="export-{self._desk.project_id}.zip"', "content-length": str(size)}
        return StreamingResponse(self._spooled(spool), media_type="application/zip", headers=headers)

    async def _spooled(self, spool: IO[bytes]) -> AsyncIterator[bytes]:
        with spool:
            while piece := await self._desk.run(spool.read, _PIECE_BYTES):
                yield piece


def _width(entry: rules.Event) -> int:
    """Count the properties that a group identify names."""
    change = entry.get("group_properties")
    if not isinstance(change, dict):
        return 0
    if OPERATION_NAMES.isdisjoint(change):
        return len(change)
    return sum(len(values) for values in change.values() if isinstance(values, dict))


def _client_ip(request: Request) -> str:
    return request.client.host if request.client else "127.0.0.1"


def _events_in(body: bytes) -> list[object]:
    """Return what a refused request held, as far as that can be read."""
    try:
        sent = rules.parsed_json(body)
    except ValueError:
        return []
    events = sent.get("events") if isinstance(sent, dict) else None
    return [event for event in events if isinstance(event, dict)] if isinstance(events, list) else []
