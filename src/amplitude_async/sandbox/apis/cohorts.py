"""The sandbox's behavioural cohorts.

Page: https://amplitude.com/docs/apis/analytics/behavioral-cohorts. Where it says nothing: what is unknown is 404, the file of a job
that is not done is 400, one that is older than seven days is 404, and quotas are 429, all in the dashboard's envelope; the quota call
answers ``{"rest_download": {"limit", "usage", "resets_at"}}``. Small files come in the answer, packed where the client takes it or the
sandbox is strict; large ones by a link. How long a job takes, and what is large, is in ``Limits``.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from amplitude_async.sandbox import cohorting
from amplitude_async.sandbox.desk import json_answer, parameters_of, refused_query
from amplitude_async.sandbox.questions import one

if TYPE_CHECKING:
    from starlette.requests import Request

    from amplitude_async.sandbox.desk import Desk
    from amplitude_async.sandbox.documents import Document

_MAX_IDS: Final = 100_000
_MONTHLY: Final = 500
_TOO_MANY: Final = "Too Many Requests: Exceeded rate limit with query of cost 1"


def routes(desk: Desk) -> list[Route]:
    """Return the endpoints."""
    cohorts = _Cohorts(desk)
    guarded = desk.guarded
    return [
        Route("/api/3/cohorts", guarded(cohorts.list), methods=["GET"]),
        Route("/api/3/cohorts/usage", guarded(cohorts.usage), methods=["GET"]),
        Route("/api/3/cohorts/upload", guarded(cohorts.upload, refuse=_refused), methods=["POST"]),
        Route("/api/3/cohorts/membership", guarded(cohorts.membership, refuse=_refused), methods=["POST"]),
        Route("/api/5/cohorts/request/{cohort}", guarded(cohorts.request), methods=["GET"]),
        Route("/api/5/cohorts/request-status/{request}", guarded(cohorts.status), methods=["GET"]),
        Route("/api/5/cohorts/request/{request}/file", guarded(cohorts.file), methods=["GET"]),
        Route("/storage/cohorts/{request}.csv", cohorts.stored, methods=["GET"]),
    ]


def _refused(status: int, details: str) -> Response:
    """Answer with an error as uploads write it."""
    if status in {401, 403, 429}:
        return refused_query(status, details)
    return json_answer(status, {"error": {"http_code": status, "type": "invalid_request", "message": details, "metadata": {}}})


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        message = f"{name} is required"
        raise ValueError(message)
    return value


def _optional_text(body: dict[str, Any], name: str) -> None:
    if not isinstance(body.get(name), str | None):
        message = f"{name} must be a string"
        raise ValueError(message)  # noqa: TRY004 - it becomes a 400


def _choice(body: dict[str, Any], name: str, choices: tuple[str, ...]) -> str:
    value = body.get(name)
    if value not in choices:
        message = f"{name} must be one of {', '.join(choices)}"
        raise ValueError(message)
    return str(value)


def _flag(body: dict[str, Any], name: str, *, is_required: bool = False) -> None:
    value = body.get(name)
    if not isinstance(value, bool) and (is_required or value is not None):
        message = f"{name} must be true or false"
        raise ValueError(message)


def _ids(body: dict[str, Any], name: str) -> list[str]:
    value = body.get(name)
    if not isinstance(value, list) or not all(isinstance(each, (str, int)) and not isinstance(each, bool) for each in value):
        message = f"{name} must be a list of ids"
        raise ValueError(message)
    return [str(each) for each in value]


def _not_too_many(count: int) -> None:
    if count > _MAX_IDS:
        message = f"At most {_MAX_IDS} ids are allowed in one request"
        raise ValueError(message)


class _Cohorts:
    """The endpoints."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def list(self, request: Request) -> Response:
        """List cohorts."""
        with_syncs = one(parameters_of(request), "includeSyncInfo") == "true"
        found = await self._desk.run(cohorting.listed, self._desk.store, self._desk.project_id, with_syncs=with_syncs)
        return json_answer(200, {"cohorts": found})

    async def usage(self, _request: Request) -> Response:
        """Say how much of the month's quota is left."""
        used = await self._desk.run(cohorting.usage, self._desk.store, self._desk.clock())
        return json_answer(200, {"rest_download": {"limit": self._desk.limits.cohort_requests_per_month or _MONTHLY, **used}})

    async def upload(self, request: Request) -> Response:
        """Make or replace a cohort."""
        body = await self._desk.json_body(request)
        for name in ("name", "owner"):
            _text(body, name)
        for name in ("cg", "existing_cohort_id"):
            _optional_text(body, name)
        if not isinstance(body.get("app_id"), int) or isinstance(body["app_id"], bool):
            message = "app_id must be a number"
            raise ValueError(message)  # noqa: TRY004 - it becomes a 400
        if self._desk.strict and body["app_id"] != self._desk.project_id:
            return _refused(403, "app_id is not the project of the API key")
        _choice(body, "id_type", ("BY_AMP_ID", "BY_USER_ID"))
        _flag(body, "published", is_required=True)
        for name in ("skip_save", "skip_invalid_ids"):
            _flag(body, name)
        checked = {**body, "ids": _ids(body, "ids")}
        _not_too_many(len(checked["ids"]))
        return json_answer(200, await self._desk.run(cohorting.upload, self._desk.store, self._desk.clock(), checked))

    async def membership(self, request: Request) -> Response:
        """Change who is in a cohort."""
        body = await self._desk.json_body(request)
        _text(body, "cohort_id")
        _optional_text(body, "count_group")
        _flag(body, "skip_invalid_ids")
        sent = body.get("memberships")
        if not isinstance(sent, list) or not sent or not all(isinstance(each, dict) for each in sent):
            message = "memberships must be a list of operations"
            raise ValueError(message)
        operations = [
            {
                "ids": _ids(each, "ids"),
                "id_type": _choice(each, "id_type", ("BY_ID", "BY_NAME")),
                "operation": _choice(each, "operation", ("ADD", "REMOVE")),
            }
            for each in sent
        ]
        _not_too_many(sum(len(each["ids"]) for each in operations))
        checked = {**body, "memberships": operations}
        return json_answer(200, await self._desk.run(cohorting.change, self._desk.store, self._desk.clock(), checked))

    async def _is_over_quota(self) -> bool:
        limits, now = self._desk.limits, self._desk.clock()
        windows = (
            (self._desk.window("cohorts a minute", 60.0), limits.cohort_requests_per_minute),
            (self._desk.window("cohorts in ten minutes", 600.0), limits.cohort_requests_per_ten_minutes),
        )
        if any(most is not None and window.total(now) >= most for window, most in windows):
            return True
        most = limits.cohort_requests_per_month
        if most is not None and (await self._desk.run(cohorting.usage, self._desk.store, now))["usage"] >= most:
            return True
        for window, _ in windows:
            window.add(now, 1)
        return False

    async def request(self, request: Request) -> Response:
        """Take a request for a download."""
        parameters = parameters_of(request)
        props = one(parameters, "props") or "0"
        if props not in {"0", "1"}:
            return refused_query(400, f"Invalid value for props: {props[:100]}")
        if await self._is_over_quota():
            return refused_query(429, _TOO_MANY)
        keys = parameters.get("propKeys", []) if props == "1" else []
        cohort_id = request.path_params["cohort"]
        run, store, now = self._desk.run, self._desk.store, self._desk.clock()
        asked = await run(cohorting.ask, store, now, cohort_id, props=props == "1", keys=keys)
        if asked is None:
            return refused_query(404, "Cohort not found")
        return json_answer(202, {"request_id": asked["request_id"], "cohort_id": asked["cohort_id"]})

    def _is_done(self, asked: Document) -> bool:
        limits = self._desk.limits
        return bool(self._desk.clock() >= asked["created"] + limits.cohort_job_s and asked["looks"] >= limits.cohort_job_looks)

    async def status(self, request: Request) -> Response:
        """Say how a request stands."""
        asked = await self._desk.run(cohorting.look_at, self._desk.store, self._desk.clock(), request.path_params["request"])
        if asked is None:
            return refused_query(404, "Request not found")
        is_done = self._is_done(asked)
        body = {
            "request_id": asked["request_id"],
            "cohort_id": asked["cohort_id"],
            "async_status": "JOB COMPLETED" if is_done else "JOB INPROGRESS",
        }
        return json_answer(200 if is_done else 202, body)

    async def file(self, request: Request) -> Response:
        """Give the file of a request, or lead to it."""
        asked = await self._desk.run(cohorting.file_of, self._desk.store, self._desk.clock(), request.path_params["request"])
        if asked is None:
            return refused_query(404, "Request not found")
        if not self._is_done(asked):
            return refused_query(400, "The request is still in progress")
        limits = self._desk.limits
        if limits.cohort_inline_rows is not None and len(asked["members"]) > limits.cohort_inline_rows:
            expires = self._desk.clock() + limits.cohort_link_s
            return RedirectResponse(self._desk.signer.link(request, f"/storage/cohorts/{asked['request_id']}.csv", expires), 302)
        content = await self._desk.run(cohorting.members_file, self._desk.store, asked)
        if self._desk.strict or "gzip" in request.headers.get("accept-encoding", ""):
            return Response(gzip.compress(content, 6), headers={"content-encoding": "gzip"}, media_type="text/csv")
        return Response(content, media_type="text/csv")

    async def stored(self, request: Request) -> Response:
        """Give the file of a request to whoever has the link."""
        if refusal := self._desk.signer.refused(request, self._desk.clock()):
            return refusal
        asked = await self._desk.run(cohorting.file_of, self._desk.store, self._desk.clock(), request.path_params["request"])
        if asked is None:
            return Response(status_code=404)
        return Response(await self._desk.run(cohorting.members_file, self._desk.store, asked), media_type="binary/octet-stream")
