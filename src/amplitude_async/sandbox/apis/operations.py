"""The sandbox's streaming metrics, audit log, session replays and translations.

Streaming: every stored event counts as delivered at the first attempt, 0.5 s after it came, to whatever destination is asked about.
Audit log: what this sandbox did (mappings, deletions, data subject requests); the shape is provisional:
``{"data": [...], "next_cursor": null}``. Session replays: :mod:`amplitude_async.sandbox.replaying`. Translations:
:mod:`amplitude_async.sandbox.translating`.

Pages: https://amplitude.com/docs/apis/analytics/event-streaming-metrics-summary, https://amplitude.com/docs/apis/analytics/audit-logs,
https://amplitude.com/docs/apis/session-replay and https://amplitude.com/docs/apis/guides-surveys-localization
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from starlette.responses import Response
from starlette.routing import Route

from amplitude_async.sandbox import auditing, replaying, rows, rules, translating
from amplitude_async.sandbox.desk import json_answer, parameters_of, refused_query, to_the_end
from amplitude_async.sandbox.questions import one, required, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from amplitude_async.sandbox.desk import Desk

_SPANS: Final = {
    "TEN_MINUTES": timedelta(minutes=10),
    "ONE_HOUR": timedelta(hours=1),
    "FOUR_HOURS": timedelta(hours=4),
    "ONE_DAY": timedelta(days=1),
    "ONE_WEEK": timedelta(days=7),
    "TWO_WEEKS": timedelta(days=14),
}
_FINEST: Final = timedelta(hours=4)
"""Younger than this is counted by the minute, older by the hour."""
_STAMPED_WITHIN: Final = timedelta(milliseconds=2)
_KEPT: Final = timedelta(days=90)
_METRICS_A_MINUTE: Final = 12
_METRICS_AT_ONCE: Final = 4
_LONGEST_AUDIT: Final = timedelta(days=30)
_DEFAULT_AUDIT: Final = 100
_LINK_SECONDS: Final = 15 * 60
_DEFAULT_REPLAYS, _MAX_REPLAYS = 50, 200
_DEFAULT_FILES, _MAX_FILES = 100, 1000


def routes(desk: Desk) -> list[Route]:
    """Return the endpoints."""
    operations = _Operations(desk)
    audit = desk.guarded(operations.audit_logs, door="organisation")
    replays = desk.guarded(operations.replays, refuse=_plainly)
    files = desk.guarded(operations.files, refuse=_plainly)
    localization = "/a/guides-surveys/api/v1/localization"
    return [
        Route("/api/2/event-streaming/delivery-metrics-summary", desk.guarded(operations.metrics, pool=None), methods=["GET"]),
        Route("/api/2/audit-logs/{organisation}", audit, methods=["POST"]),
        Route("/api/1/session-replays", replays, methods=["GET"]),
        Route("/api/1/session-replays/files", files, methods=["GET"]),
        to_the_end(Route("/storage/replays/{version}/{file}/{replay:path}", operations.file, methods=["GET"])),
        Route(f"{localization}/import/", desk.guarded(operations.bring_in, pool=None, refuse=_plainly), methods=["POST"]),
        Route(f"{localization}/export/", desk.guarded(operations.take_out, pool=None, refuse=_plainly), methods=["GET"]),
    ]


def _plainly(status: int, details: str) -> Response:
    """Answer with an error as session replay and localization write it."""
    return json_answer(status, {"error": details})


def _moment(parameters: Mapping[str, Any], name: str) -> datetime:
    text = parameters.get(name)
    try:
        moment = datetime.fromisoformat(str(text))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # the first and the last day of all have no such time in every zone
        message = f"Invalid time for {name}: {str(text)[:100]} (expected ISO 8601)"
        raise ValueError(message) from None


class _Operations:
    """The endpoints."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._running = 0

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._desk.clock(), UTC)

    # Streaming

    async def metrics(self, request: Request) -> Response:
        """Say how a destination was served."""
        if not self._desk.strict:
            return await self._summary(request)
        if self._running >= _METRICS_AT_ONCE:
            return refused_query(429, "Too Many Requests: 4 requests at the same time")
        self._running += 1
        try:
            return await self._summary(request)
        finally:
            self._running -= 1

    async def _summary(self, request: Request) -> Response:
        now = self._now()
        if self._desk.strict:
            window = self._desk.window("streaming", 60.0)
            if window.total(now.timestamp()) >= _METRICS_A_MINUTE:
                return refused_query(429, "Too Many Requests: 12 requests per minute")
            window.add(now.timestamp(), 1)
        parameters = parameters_of(request)
        if not required(parameters, "sync_id").isdigit():
            return refused_query(403, "This sync belongs to another project")
        period = required(parameters, "time_period")
        if period == "CUSTOM":
            given = {name: required(parameters, name) for name in ("start", "end")}
            start, end = _moment(given, "start"), _moment(given, "end")
            if start >= end:
                return refused_query(400, "start must be before end")
            if start < now - _KEPT or end < now - _KEPT:
                return refused_query(500, "Internal Server Error")
        elif period in _SPANS:
            start, end = now - _SPANS[period], now
        else:
            return refused_query(400, f"Invalid value for time_period: {period[:100]}")
        start, end = _floored(start, now), now if end >= now else _floored(end, now)
        # An upload is stamped a moment after it came; what came just now is counted.
        until = end + _STAMPED_WITHIN if end == now else end
        hours = int(start.timestamp()) // 3600, int(until.timestamp()) // 3600
        count = await self._desk.run(self._desk.store.uploaded_between, rows.timestamp(start), rows.timestamp(until), hours)
        return json_answer(
            200,
            {
                "timePeriod": period,
                "eventsDelivered": count,
                "eventsNotDelivered": 0,
                "deliveryRate": 1.0,
                "latencyInSeconds": 0.5 if count else 0.0,
                "timePeriodStart": rows.timestamp(start),
                "timePeriodEnd": rows.timestamp(end),
                "successOnFirstAttempt": count,
                "successAfterRetry": 0,
                "eventsExpired": 0,
                "eventsDiscarded": 0,
            },
        )

    # Audit log

    async def audit_logs(self, request: Request) -> Response:
        """Say what this sandbox did."""
        body = await self._desk.json_body(request)
        start, end = _moment(body, "start_date"), _moment(body, "end_date")
        if start > end:
            return refused_query(400, "start_date is after end_date")
        if end - start > _LONGEST_AUDIT:
            return refused_query(400, "The range exceeds 30 days")
        filters, pagination = body.get("filters") or {}, body.get("pagination") or {}
        if not isinstance(filters, dict) or not isinstance(pagination, dict):
            return refused_query(400, "filters and pagination must be objects")
        limit, place = pagination.get("limit", _DEFAULT_AUDIT), pagination.get("cursor") or "0"
        if not isinstance(limit, int) or limit < 1 or not str(place).isdigit():
            return refused_query(400, "Invalid pagination")
        oldest = max(start, self._now() - _KEPT)
        found = [
            entry
            for entry in await self._desk.run(auditing.entries, self._desk.store)
            if oldest <= datetime.fromisoformat(entry["timestamp"]) <= end
            and all(entry.get(name) == value for name, value in filters.items())
        ]
        begin = int(place)
        following = str(begin + limit) if begin + limit < len(found) else None
        organisation = request.path_params["organisation"]
        page = [{**entry, "org_id": organisation} for entry in found[begin : begin + limit]]
        return json_answer(200, {"data": page, "next_cursor": following})

    # Session replays

    async def replays(self, request: Request) -> Response:
        """List recordings."""
        parameters = parameters_of(request)
        order = one(parameters, "sort_order") or "asc"
        if order not in {"asc", "desc"}:
            return _plainly(400, f"Invalid value for sort_order: {order[:100]}")
        size = _size(parameters, _DEFAULT_REPLAYS, _MAX_REPLAYS)
        place = replaying.place_of(one(parameters, "page_token"), order)
        texts = {name: one(parameters, name) for name in ("start_time", "end_time")}
        bounds = {name: _moment(texts, name) for name, text in texts.items() if text is not None}
        found = [
            each
            for each in await self._desk.run(replaying.recordings, self._desk.store)
            if bounds.get("start_time", datetime.min.replace(tzinfo=UTC))
            <= datetime.fromisoformat(each["start_time"])
            <= bounds.get("end_time", datetime.max.replace(tzinfo=UTC))
        ]
        if order == "desc":
            found.reverse()
        token = replaying.cursor(place + size, order) if place + size < len(found) else None
        return json_answer(200, {"session_replays": found[place : place + size], "next_page_token": token})

    async def files(self, request: Request) -> Response:
        """List signed links to the files of a recording."""
        parameters = parameters_of(request)
        replay_id = required(parameters, "replay_id")
        version = one(parameters, "version") or "3"
        if version not in {"2", "3"}:
            return _plainly(400, f"Invalid value for version: {version[:100]}")
        size = _size(parameters, _DEFAULT_FILES, _MAX_FILES)
        place = replaying.place_of(one(parameters, "page_token"), "files")
        if await self._desk.run(replaying.recording, self._desk.store, replay_id) is None:
            return _plainly(404, "No data for replay_id")
        expires = self._desk.clock() + _LINK_SECONDS
        path = f"/storage/replays/{version}/{{}}/{quote(replay_id, safe='')}"
        links = [self._desk.signer.link(request, path.format(file), expires) for file in range(replaying.FILES)]
        token = replaying.cursor(place + size, "files") if place + size < len(links) else None
        return json_answer(200, {"files": links[place : place + size], "next_page_token": token})

    async def file(self, request: Request) -> Response:
        """Give a file, to whoever has the link."""
        if refusal := self._desk.signer.refused(request, self._desk.clock()):
            return refusal
        parts = request.path_params
        found = await self._desk.run(replaying.recording, self._desk.store, parts["replay"])
        if found is None:
            return Response(status_code=404)
        # Whoever has a link that is signed has one that was given out, with numbers in it.
        content = replaying.contents(found, int(parts["file"]), int(parts["version"]))
        return Response(content, media_type="binary/octet-stream")

    # Translations

    async def bring_in(self, request: Request) -> Response:
        """Keep translations."""
        files = translating.parsed(await self._desk.body(request, 16 * rules.MIB))
        return json_answer(200, await self._desk.run(translating.bring_in, self._desk.store, files))

    async def take_out(self, request: Request) -> Response:
        """Give translations."""
        parameters = parameters_of(request)
        keys = [key for text in parameters.get("key", []) for key in text.split(",") if key]
        if not keys:
            return _plainly(400, "Missing required parameter: key")
        locales = [locale for text in parameters.get("locale", []) for locale in text.split(",") if locale]
        text = await self._desk.run(translating.take_out, self._desk.store, keys, locales)
        return _plainly(404, "Unknown key") if text is None else Response(text, media_type="application/xml")


def _floored(moment: datetime, now: datetime) -> datetime:
    """Bring a bound to the minute, or to the hour if it is older."""
    is_fine = moment >= now - _FINEST
    return moment.replace(second=0, microsecond=0) if is_fine else moment.replace(minute=0, second=0, microsecond=0)


def _size(parameters: Mapping[str, list[str]], default: int, largest: int) -> int:
    size = whole_number(parameters, "page_size", default, largest + 1)
    if not 1 <= size <= largest:
        message = f"page_size must be from 1 to {largest}"
        raise ValueError(message)
    return size
