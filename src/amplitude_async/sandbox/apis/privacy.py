"""The sandbox's deletions and data subject requests.

Pages: https://amplitude.com/docs/apis/analytics/user-privacy and https://amplitude.com/docs/apis/analytics/ccpa-dsar. Where they say
nothing: errors are ``{"error": text}``; unknown ids, and cancelling what cannot be cancelled, are 400; of a data subject request both
days are included, an unknown user has no files, and expired ones are 410.
"""

from __future__ import annotations

import zlib
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from amplitude_async.sandbox import deleting, disclosing, rows
from amplitude_async.sandbox.desk import json_answer, parameters_of
from amplitude_async.sandbox.limits import HOUR
from amplitude_async.sandbox.questions import required

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from amplitude_async.sandbox.desk import Desk
    from amplitude_async.sandbox.people import User

_MAX_IDS: Final = 100
_MAX_MONTHS: Final = 6
_HOURLY_COST: Final = 14_400
_REQUEST_COST: Final = 8
_LINK_SECONDS: Final = 2 * 86_400
_PAGE_ROWS: Final = 1000
_GZIP: Final = 31
_NO_ID: Final = 2**63
"""Amplitude IDs have 64 bits, one of them for the sign."""


def routes(desk: Desk) -> list[Route]:
    """Return the endpoints."""
    deletions, dsar = _Deletions(desk), _Dsar(desk)
    path = "/api/2/dsar/requests"

    def own(handler: Any) -> Any:  # noqa: ANN401 - a handler in, a handler out
        return desk.guarded(handler, pool=None, refuse=refused)

    def of_organisation(handler: Any) -> Any:  # noqa: ANN401 - as above
        return desk.guarded(handler, door="organisation", pool=None, refuse=refused)

    return [
        Route("/api/2/deletions/users", own(deletions.create), methods=["POST"]),
        Route("/api/2/deletions/users", own(deletions.list), methods=["GET"]),
        Route("/api/2/deletions/users/{amplitude_id}/{day}", own(deletions.cancel), methods=["DELETE"]),
        Route(path, of_organisation(dsar.create), methods=["POST"]),
        Route(path + "/{number}", of_organisation(dsar.status), methods=["GET"]),
        Route(path + "/{number}/outputs/{output}", of_organisation(dsar.output), methods=["GET"]),
        Route("/storage/dsar/{number}/{output}.json.gz", dsar.file, methods=["GET"]),
    ]


def refused(status: int, details: str) -> Response:
    """Answer with an error as these APIs write it."""
    return json_answer(status, {"error": details})


def _web(body: object) -> Response:
    """Answer with JSON that calls itself a page, as was recorded."""
    return Response(rows.compact(body), media_type="text/html; charset=UTF-8")


def _day(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        message = f"Invalid date for {name}: {text[:100]} (expected YYYY-MM-DD)"
        raise ValueError(message) from None


def _is_true(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")


def _ids(body: dict[str, Any], name: str) -> list[object]:
    sent = body.get(name)
    if sent is None:
        return []
    if not isinstance(sent, list) or not all(isinstance(each, (str, int)) and not isinstance(each, bool) for each in sent):
        message = f"{name} must be a list of ids"
        raise ValueError(message)
    return sent


class _Deletions:
    """The endpoints of deletions."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        desk.chores.add(lambda now: deleting.settle(desk.store, now))

    def _too_fast(self) -> Response | None:
        if not self._desk.strict:
            return None
        now = self._desk.clock()
        window = self._desk.window("deletions", 1.0)
        if window.total(now):
            return refused(429, "Too Many Requests: one request per second")
        window.add(now, 1)
        return None

    async def create(self, request: Request) -> Response:
        """Schedule users."""
        if refusal := self._too_fast():
            return refusal
        body = await self._desk.json_body(request)
        amplitude_ids, user_ids = _ids(body, "amplitude_ids"), _ids(body, "user_ids")
        if not amplitude_ids and not user_ids:
            return refused(400, "At least one of amplitude_ids and user_ids is required")
        if len(amplitude_ids) + len(user_ids) > _MAX_IDS:
            return refused(400, f"At most {_MAX_IDS} ids are allowed in one request")
        flags = ("ignore_invalid_id", "ignore_invalid_ids", "delete_from_org")
        job = await self._desk.run(
            deleting.create,
            self._desk.store,
            self._desk.clock(),
            amplitude_ids=amplitude_ids,
            user_ids=user_ids,
            requester=str(body.get("requester") or "rest"),
            ignores=any(_is_true(body.get(name)) for name in flags),
            shows_user_ids=_is_true(body.get("include_mapped_user_ids")),
        )
        if job is None:
            return PlainTextResponse(f"Nothing scheduled due to invalid amplitude/user ids for app {self._desk.project_id}")
        self._desk.chores.wake()
        return json_answer(200, [job])

    async def list(self, request: Request) -> Response:
        """List jobs."""
        if refusal := self._too_fast():
            return refusal
        parameters = parameters_of(request)
        first, last = (_day(required(parameters, name), name) for name in ("start_day", "end_day"))
        if first > last:
            return refused(400, "start_day is after end_day")
        month = first.year * 12 + first.month - 1 + _MAX_MONTHS
        if (last.year * 12 + last.month - 1, last.day) > (month, first.day):
            return refused(400, "The range exceeds six months")
        return _web(await self._desk.run(deleting.listed, self._desk.store, self._desk.clock(), first.isoformat(), last.isoformat()))

    async def cancel(self, request: Request) -> Response:
        """Take a user out of a job."""
        if refusal := self._too_fast():
            return refusal
        text, day = request.path_params["amplitude_id"], _day(request.path_params["day"], "day")
        number = int(text) if text.isascii() and text.isdigit() else -1
        taken = await self._desk.run(deleting.cancel, self._desk.store, self._desk.clock(), number, day.isoformat())
        return refused(400, "No such user in a job that can be cancelled") if taken is None else _web(taken)


class _Dsar:
    """The endpoints of data subject requests."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def _spent(self, cost: int) -> Response | None:
        if not self._desk.strict:
            return None
        now = self._desk.clock()
        window = self._desk.window("dsar", HOUR)
        if window.total(now) + cost > _HOURLY_COST:
            return refused(429, "Too Many Requests: the budget of this hour is used up")
        window.add(now, cost)
        return None

    async def create(self, request: Request) -> Response:
        """Take a request."""
        if refusal := self._spent(_REQUEST_COST):
            return refusal
        body = await self._desk.json_body(request)
        user_id, amplitude_id = body.get("userId"), body.get("amplitudeId")
        if (user_id is None) == (amplitude_id is None):
            return refused(400, "Exactly one of userId and amplitudeId is required")
        first, last = (_day(str(body.get(name)), name) for name in ("startDate", "endDate"))
        if last < first:
            return refused(400, "endDate is before startDate")
        is_number = isinstance(amplitude_id, int) and not isinstance(amplitude_id, bool) and 0 <= amplitude_id < _NO_ID
        if amplitude_id is not None and not is_number:
            return refused(400, "amplitudeId must be a number")
        number = await self._desk.run(
            disclosing.create,
            self._desk.store,
            self._desk.clock(),
            user_id=None if user_id is None else str(user_id),
            amplitude_id=amplitude_id,
            first=first,
            last=last,
        )
        return json_answer(202, {"requestId": number})

    async def _shown(self, request: Request) -> dict[str, Any] | None:
        text = request.path_params["number"]
        if not text.isascii() or not text.isdigit():
            return None
        base = str(request.base_url).rstrip("/")
        return await self._desk.run(disclosing.shown, self._desk.store, self._desk.clock(), int(text), base)

    async def status(self, request: Request) -> Response:
        """Say how a request stands."""
        if refusal := self._spent(1):
            return refusal
        shown = await self._shown(request)
        return refused(404, "Request not found") if shown is None else json_answer(200, shown)

    async def output(self, request: Request) -> Response:
        """Lead to a file."""
        if refusal := self._spent(1):
            return refusal
        shown = await self._shown(request)
        output = request.path_params["output"]
        if shown is None or not output.isascii() or not output.isdigit() or int(output) >= len(shown["urls"]):
            return refused(404, "Output not found")
        now = self._desk.clock()
        if disclosing.is_expired(await self._stored(shown["requestId"]), now):
            return refused(410, "The output has expired")
        path = f"/storage/dsar/{shown['requestId']}/{int(output)}.json.gz"
        return RedirectResponse(self._desk.signer.link(request, path, now + _LINK_SECONDS), 302)

    async def _stored(self, number: int) -> dict[str, Any]:
        return await self._desk.run(self._desk.store.documents.get, "dsar", number) or {}

    async def file(self, request: Request) -> Response:
        """Give a file, to whoever has the link."""
        if refusal := self._desk.signer.refused(request, self._desk.clock()):
            return refusal
        # Whoever has a link that is signed has one that was given out, with numbers in it.
        number, output = (int(request.path_params[name]) for name in ("number", "output"))
        stored = await self._stored(number)
        if not stored:
            return Response(status_code=404)  # the sandbox was emptied since
        user = await self._desk.run(disclosing.subject_of, self._desk.store, stored)
        months = await self._desk.run(disclosing.months, self._desk.store, stored)
        if user is None or output >= len(months):
            return Response(status_code=404)
        start, end = disclosing.month_of(stored, months[output][0])
        return StreamingResponse(self._lines(user, start, end), media_type="binary/octet-stream")

    async def _lines(self, user: User, start: int, end: int) -> AsyncIterator[bytes]:
        packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
        after = 0
        while page := await self._desk.run(self._desk.store.rows_of, user, start, end, after, _PAGE_ROWS):
            after = page[-1][0]
            yield packer.compress(b"".join(text.encode() + b"\n" for _, text in page))
        yield packer.flush()
