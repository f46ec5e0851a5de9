"""What steers and shows a sandbox, under ``/sandbox/``: faults, seeds, what passes by, and the page that shows it.

Reading is for this machine alone, unless the token is given; changing anything needs the token. A page of a foreign site cannot read
either: the ``Host`` of its request would be a name that is not this machine's.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from dataclasses import asdict
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from amplitude_async.errors import InvalidArgumentError
from amplitude_async.sandbox import charts, queries, questions, rules, segmentation
from amplitude_async.sandbox.desk import Desk, is_loopback, json_answer, parameters_of
from amplitude_async.sandbox.faults import Fault, Faults, check_outage
from amplitude_async.sandbox.periods import epoch_us

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    Handler = Callable[[Request], Awaitable[Response]]

_PAGE_POLICY: Final = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:"


class Control:
    """The endpoints under ``/sandbox/`` and the page at ``/``."""

    def __init__(self, desk: Desk, faults: Faults, token: str) -> None:
        """Steer a sandbox by its desk and its faults."""
        self._desk = desk
        self._faults = faults
        self._token = token

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        read, write = self._for_readers, self._for_holders
        return [
            Route("/", read(self._page), methods=["GET"]),
            Route("/sandbox/openapi.json", read(self._described), methods=["GET"]),
            Route("/sandbox/events", read(self._events), methods=["GET"]),
            Route("/sandbox/status", read(self._status), methods=["GET"]),
            Route("/sandbox/people", read(self._people), methods=["GET"]),
            Route("/sandbox/activity", read(self._activity), methods=["GET"]),
            Route("/sandbox/segmentation", read(self._segmentation), methods=["GET"]),
            Route("/sandbox/faults", read(self._list_faults), methods=["GET"]),
            Route("/sandbox/faults", write(self._add_fault), methods=["POST"]),
            Route("/sandbox/faults", write(self._clear_faults), methods=["DELETE"]),
            Route("/sandbox/throttle", write(self._throttle), methods=["POST"]),
            Route("/sandbox/silence", write(self._silence), methods=["POST"]),
            Route("/sandbox/seed", write(self._seed), methods=["POST"]),
            Route("/sandbox/down", write(self._down), methods=["POST"]),
            Route("/sandbox/charts/{chart_id}", write(self._save_chart), methods=["PUT"]),
        ]

    def _has_token(self, request: Request) -> bool:
        scheme, _, sent = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            sent = request.query_params.get("token", "") if request.method == "GET" else ""
        return hmac.compare_digest(sent.strip().encode(), self._token.encode())

    def _is_at_home(self, request: Request) -> bool:
        host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
        return request.client is not None and is_loopback(request.client.host) and is_loopback(host)

    def _for_readers(self, handler: Handler) -> Handler:
        async def read(request: Request) -> Response:
            if not (self._is_at_home(request) or self._has_token(request)):
                return json_answer(403, {"error": "The sandbox shows itself to this machine alone, or with its token"})
            return await _answered(handler, request)

        return read

    def _for_holders(self, handler: Handler) -> Handler:
        async def write(request: Request) -> Response:
            if not self._has_token(request):
                return json_answer(401, {"error": "Send the sandbox's token: Authorization: Bearer <token>"})
            return await _answered(handler, request)

        return write

    # Looking

    async def _page(self, _request: Request) -> Response:
        page = resources.files("amplitude_async.sandbox").joinpath("page.html").read_text("utf-8")
        return HTMLResponse(page, headers={"content-security-policy": _PAGE_POLICY, "cache-control": "no-store"})

    async def _described(self, _request: Request) -> Response:
        from amplitude_async.sandbox import openapi  # noqa: PLC0415 - few sandboxes are asked

        return json_answer(200, openapi.document())

    async def _events(self, request: Request) -> Response:
        last = request.headers.get("last-event-id") or request.query_params.get("after") or "0"
        after = int(last) if last.isascii() and last.isdigit() else 0
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._desk.watch.stream(after), media_type="text/event-stream", headers=headers)

    async def _status(self, _request: Request) -> Response:
        watch = self._desk.watch
        types = await self._desk.run(self._desk.store.event_types)
        return json_answer(
            200,
            {
                "project_id": self._desk.project_id,
                "strict": self._desk.strict,
                "accepted": watch.accepted,
                "rejected": watch.rejected,
                "event_types": types,
                "today": self._desk.zone.day_of(epoch_us(self._desk.clock())).isoformat(),
                "timezone": self._desk.zone.name,
            },
        )

    async def _people(self, request: Request) -> Response:
        text = questions.required(parameters_of(request), "user")
        return json_answer(200, await self._desk.run(queries.search, self._desk.store, text, self._desk.zone))

    async def _activity(self, request: Request) -> Response:
        number = questions.whole_number(parameters_of(request), "user", 0, 2**62)
        desk = self._desk
        answer = await desk.run(queries.activity, desk.store, number, desk.zone, offset=0, limit=50, earliest=False)
        return json_answer(200, answer)

    async def _segmentation(self, request: Request) -> Response:
        desk, asked = self._desk, segmentation.asked(parameters_of(request))
        data = await desk.run(queries.answered, desk.store, asked, zone=desk.zone, now_s=desk.clock(), strict=False)
        return json_answer(200, {"data": data})

    # Steering

    async def _body(self, request: Request) -> dict[str, Any]:
        return await self._desk.json_body(request, rules.MIB)

    async def _list_faults(self, _request: Request) -> Response:
        waiting = [
            {**{name: value for name, value in asdict(ticket.fault).items() if name != "body"}, "hits": ticket.hits}
            for ticket in self._faults.waiting()
        ]
        found = {"faults": waiting, "throttled": sorted(self._faults.throttled()), "silenced": sorted(self._faults.silenced())}
        return json_answer(200, found)

    async def _add_fault(self, request: Request) -> Response:
        self._faults.add(Fault.from_json(await self._body(request)))
        return json_answer(201, {"ok": True})

    async def _clear_faults(self, _request: Request) -> Response:
        self._faults.clear()
        return json_answer(200, {"ok": True})

    async def _throttle(self, request: Request) -> Response:
        body = await self._body(request)
        identity, seconds = body.get("identity"), body.get("seconds", 30)
        if not isinstance(identity, str) or not identity or isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            message = 'Send {"identity": "a user or device id", "seconds": 30}'
            raise ValueError(message)
        self._faults.throttle(identity, seconds)
        return json_answer(201, {"ok": True})

    async def _silence(self, request: Request) -> Response:
        device_id = (await self._body(request)).get("device_id")
        if not isinstance(device_id, str) or not device_id:
            message = 'Send {"device_id": "a device id"}'
            raise ValueError(message)
        self._faults.silence(device_id)
        return json_answer(201, {"ok": True})

    async def _seed(self, request: Request) -> Response:
        from amplitude_async.sandbox.worlds import seeded  # noqa: PLC0415 - few sandboxes are filled

        body = await self._body(request)
        chosen = {"users": 1000, "days": 30, "seed": 7, **body}
        if chosen.keys() != {"users", "days", "seed"} or not isinstance(chosen["seed"], int):
            message = 'Send {"users": 1000, "days": 30, "seed": 7}, or less of it'
            raise ValueError(message)

        def fill() -> int:
            return self._desk.take_in(seeded(**chosen, now=self._desk.clock()))

        return json_answer(201, {"events": await asyncio.get_running_loop().run_in_executor(None, fill)})

    async def _save_chart(self, request: Request) -> Response:
        body = await self._body(request)
        chart = charts.document(body.get("query"), body.get("parameters", {}))
        await self._desk.run(self._desk.store.documents.put, charts.KIND, request.path_params["chart_id"], chart)
        return json_answer(201, {"ok": True})

    async def _down(self, request: Request) -> Response:
        seconds = (await self._body(request)).get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            message = 'Send {"seconds": 30}'
            raise ValueError(message)  # noqa: TRY004 - it becomes a 400
        check_outage(seconds)
        # Not before this answer is out.
        asyncio.get_running_loop().call_later(0.05, self._go_down, float(seconds))
        return json_answer(202, {"ok": True})

    def _go_down(self, seconds: float) -> None:
        asyncio.get_running_loop().run_in_executor(None, self._faults.down, seconds)


async def _answered(handler: Handler, request: Request) -> Response:
    try:
        return await handler(request)
    except (InvalidArgumentError, ValueError, json.JSONDecodeError) as error:
        return json_answer(400, {"error": str(error)})
