"""A small world for the outbox: time that moves when the test says so, and an Amplitude that is a function."""

from __future__ import annotations

import asyncio
import gzip
import heapq
import itertools
import json
from typing import TYPE_CHECKING, Any, Self

import httpx

from amplitude_async import AsyncAmplitude, Backoff
from amplitude_async._protocol.uploads import BATCH, HTTP_V2
from amplitude_async.delivery.choosing import choose
from amplitude_async.delivery.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    Rule = Callable[[list[dict[str, Any]]], Any]

START_MS = 1_700_000_000_000


def event(user: str = "user-1", number: int = 0, **more: Any) -> dict[str, Any]:
    return {"event_type": "x", "user_id": user, "event_properties": {"n": number}, **more}


def taken(events: list[dict[str, Any]]) -> httpx.Response:
    return httpx.Response(200, json={"code": 200, "events_ingested": len(events), "server_upload_time": 1, "payload_size_bytes": 1})


def refused(status: int, data: Any = None, headers: dict[str, str] | None = None) -> httpx.Response:
    if isinstance(data, str):
        return httpx.Response(status, text=data, headers=headers)
    return httpx.Response(status, json={} if data is None else data, headers=headers)


class World(httpx.AsyncBaseTransport):
    """Time, a server, a client and an outbox."""

    def __init__(self, rule: Rule = taken, *, jitter: Callable[[float], float] = lambda limit: limit, **options: Any) -> None:
        self.rule = rule
        self.now = 1000.0
        self.requests: list[tuple[float, list[dict[str, Any]]]] = []
        self.sizes: list[int] = []
        self.sink: list[str] = []
        self.order: dict[str, list[int]] = {}
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()
        self.own = httpx.AsyncClient(transport=self)
        backoff = Backoff(jitter=jitter, clock=lambda: self.now, sleep=self.sleep)
        self.client = AsyncAmplitude("invented-key", http_client=self.own, backoff=backoff)
        given: dict[str, Any] = {
            "path": None,
            "folder": None,
            "api": "http_v2",
            "options": None,
            "overflow": "block",
            "max_bytes": None,
            "max_events": None,
            "durability": "process",
            "compress": False,
            "linger": 0.0,
            "on_delivery": None,
            "on_setback": None,
        }
        self.outbox = Outbox(self.client._caller, self.client._defaults, choose(**{**given, **options}), now_ms=self.now_ms)
        self.limits = BATCH if options.get("api") == "batch" else HTTP_V2

    def now_ms(self) -> int:
        return START_MS + int((self.now - 1000.0) * 1000)

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._count), future))
        await future

    async def settle(self) -> None:
        """Let everything happen that needs no time."""
        for _ in range(40):
            await asyncio.sleep(0)

    async def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while True:
            await self.settle()
            while self._sleepers and self._sleepers[0][2].done():
                heapq.heappop(self._sleepers)
            if not self._sleepers or self._sleepers[0][0] > end:
                break
            due, _, future = heapq.heappop(self._sleepers)
            self.now = max(self.now, due)
            future.set_result(None)
        self.now = end

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        body = b"".join([part async for part in request.stream])
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.sizes.append(len(body))
        events = json.loads(body)["events"]
        assert len(events) <= self.limits.max_events
        assert len(body) <= self.limits.max_bytes + 100 or len(events) == 1
        self.requests.append((self.now, events))
        answer = self.rule(events)
        if isinstance(answer, Exception):
            raise answer
        if answer.status_code == 200:
            for one in events:
                if one["insert_id"] not in self.sink:
                    self.order.setdefault(one["user_id"], []).append(one["event_properties"]["n"])
            self.sink += [one["insert_id"] for one in events]
        assert isinstance(answer, httpx.Response)
        return answer

    async def __aenter__(self) -> Self:
        await self.outbox.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.outbox.aclose(timeout=0)
        await self.client.aclose()
        await self.own.aclose()

    @property
    def stats(self) -> Any:
        stats = self.outbox.stats()
        assert stats.accepted == stats.delivered + stats.rejected + stats.set_aside + stats.dropped + stats.pending
        return stats
