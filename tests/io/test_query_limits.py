"""Dashboard queries by the hundred: Amplitude's limits are kept by the client, whatever the server would let through (F13)."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest

from amplitude_async import (
    AsyncAmplitude,
    Backoff,
    BudgetError,
    ClosedError,
    Event,
    Quota,
    RateLimitedError,
    ServerError,
    Timeout,
    Window,
)
from amplitude_async.sandbox import Sandbox
from amplitude_async.sandbox.limits import Limits

sys.path.insert(0, str(Path(__file__).parent))
from scripted import Connection, ScriptedServer, response

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.anyio

MONTH: dict[str, Any] = {"e": Event("signup"), "start": "20260501", "end": "20260530"}
TOO_MANY = {
    "error": {
        "http_code": 429,
        "type": "unspecified",
        "message": "Unspecified Error",
        "metadata": {"details": "Too Many Requests: Exceeded concurrent limit with query of cost 1"},
    }
}


class Clock:
    """Time that passes only in sleep()."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        self.now += seconds


class Desk:
    """Answers each query with its own number; refuses the first attempt of some, with no hint how long to wait.

    Nobody is answered before so many as it expects have been in flight at once: a slow machine must not look like a kept limit.
    """

    def __init__(self, refused: Mapping[int, int], *, expects: int = 1) -> None:
        self.expects = expects
        self.reached = threading.Event()
        self.refusals = dict(refused)
        self.lock = threading.Lock()
        self.in_flight = 0
        self.most = 0
        self.answered = 0
        self.refused = 0

    def __call__(self, connection: Connection) -> None:
        while connection.read_request():
            with self.lock:
                self.in_flight += 1
                self.most = max(self.most, self.in_flight)
                if self.in_flight >= self.expects:
                    self.reached.set()
            self.reached.wait(20)
            connection.server.stopped.wait(0.002)
            target = connection.request.split(b" ", 2)[1].decode()
            number = int(parse_qs(urlsplit(target).query)["number"][0])
            with self.lock:
                # Before the answer leaves: what it makes room for may come at once.
                self.in_flight -= 1
                is_refused = self.refusals.get(number, 0) > 0
                if is_refused:
                    self.refusals[number] -= 1
                    self.refused += 1
                else:
                    self.answered += 1
            body = TOO_MANY if is_refused else {"data": {"number": number}, "matches": []}
            connection.send(response(429 if is_refused else 200, json.dumps(body).encode()))


def client(url: str, clock: Clock, **options: Any) -> AsyncAmplitude:
    backoff = Backoff(clock=clock, sleep=clock.sleep, jitter=lambda limit: limit)
    return AsyncAmplitude("key", secret_key="secret", base_url=url, **{"backoff": backoff, **options})


async def test_two_hundred_queries_at_once() -> None:
    """Never more than five are in flight, all are answered, and those that got a 429 are asked again (F13)."""
    desk = Desk({number: 1 + number % 2 for number in range(0, 200, 7)}, expects=5)
    answers: dict[int, Any] = {}
    with ScriptedServer(desk) as server:
        async with client(server.url, Clock()) as amplitude:

            async def ask(number: int) -> None:
                answers[number] = await amplitude.dashboard.segmentation(
                    e={"event_type": "x"}, start="20260501", end="20260501", number=number
                )

            with anyio.fail_after(60):
                async with anyio.create_task_group() as group:
                    for number in range(200):
                        group.start_soon(ask, number)
    assert answers == {number: {"data": {"number": number}, "matches": []} for number in range(200)}
    assert desk.most == 5
    assert desk.answered == 200
    assert desk.refused == sum(1 + number % 2 for number in range(0, 200, 7))


async def test_a_deadline_of_ones_own_waits_for_a_place_too() -> None:
    """Thirty queries at once with a time limit for each call: they wait for a place within it, and none is refused before it is over."""
    desk = Desk({}, expects=5)
    answers: list[Any] = []
    with ScriptedServer(desk) as server:
        async with client(server.url, Clock(), timeout=Timeout(call=30.0)) as amplitude:

            async def ask(number: int) -> None:
                answers.append(await amplitude.dashboard.events_list(number=number))

            with anyio.fail_after(60):
                async with anyio.create_task_group() as group:
                    for number in range(30):
                        group.start_soon(ask, number)
    assert (len(answers), desk.most) == (30, 5)


@pytest.mark.parametrize("waits_for", ["a minute", "a job", "the next attempt"])
async def test_closing_the_client_ends_every_wait(waits_for: str) -> None:
    """Who waits for a budget, between two looks at a job, or between two attempts, is told at once when the client is closed."""
    slept = anyio.Event()

    async def sleep(_: float) -> None:
        slept.set()
        await anyio.sleep_forever()

    def running(connection: Connection) -> None:
        while connection.read_request():
            status = 503 if waits_for == "the next attempt" else 202
            connection.send(response(status, b'{"request_id": "r1", "async_status": "JOB INPROGRESS", "userData": {}}'))

    with ScriptedServer(running) as server:
        quotas: dict[Any, Quota] = {"profiles": Quota(windows=(Window(1, 60.0),))}
        amplitude = client(server.url, Clock(), backoff=Backoff(sleep=sleep), quotas=quotas)

        async def wait() -> None:
            # What the attempt came to says more than that the client is closed.
            with pytest.raises(ServerError if waits_for == "the next attempt" else ClosedError):
                if waits_for == "a job":
                    await amplitude.cohorts.download("k3x9q2f")
                await amplitude.profiles.get(user_id="ada")
                await amplitude.profiles.get(user_id="ada")

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                group.start_soon(wait)
                await slept.wait()
                await amplitude.aclose()


async def test_views_and_kinds_share_the_five_places() -> None:
    """Queries of any kind, through any view of one client, are counted together; user lookups are not."""
    desk = Desk({}, expects=5)
    with ScriptedServer(desk) as server:
        async with client(server.url, Clock(), max_retries=0) as amplitude:
            views = [amplitude, amplitude.with_options(max_retries=1), amplitude.with_options(timeout=30)]
            with anyio.fail_after(60):
                async with anyio.create_task_group() as group:
                    for number in range(60):
                        view = views[number % 3]
                        queries = (view.dashboard.realtime, view.dashboard.events_list)
                        group.start_soon(lambda query=queries[number % 2], number=number: query(number=number))  # type: ignore[misc]  # bound now
            assert desk.most == 5
            desk.most, desk.expects = 0, 10
            desk.reached.clear()
            with anyio.fail_after(60):
                async with anyio.create_task_group() as group:
                    for number in range(60):
                        group.start_soon(lambda number=number: amplitude.dashboard.user_search("x", number=number))  # type: ignore[misc]  # as above
    assert desk.most == 10


async def test_a_server_that_goes_on_refusing() -> None:
    """A 429 without a hint is tried again as often as the client may, and is then the error."""
    clock = Clock()
    with ScriptedServer(Desk({1: 99})) as server:
        async with client(server.url, clock, max_retries=2) as amplitude:
            with pytest.raises(RateLimitedError, match="Exceeded concurrent limit") as caught:
                await amplitude.dashboard.realtime(number=1)
    assert caught.value.request is not None
    assert caught.value.request.attempts == 3
    assert clock.now == pytest.approx(1000 + 0.5 + 1.0)


async def test_a_sandbox_that_counts_refuses_nothing() -> None:
    """A sandbox which lets five in and counts cost never has to refuse a hundred queries that come at once."""
    limits = Limits(queries_in_flight=5, cost_per_five_minutes=1000, cost_per_hour=108_000)
    with Sandbox(limits=limits) as box:
        async with AsyncAmplitude(**box.credentials, max_retries=0) as amplitude:
            async with anyio.create_task_group() as group:
                for _ in range(100):
                    group.start_soon(
                        lambda: amplitude.dashboard.segmentation(e=Event("signup"), start="20260501", end="20260510")  # cost 10
                    )
            assert amplitude._caller.connection.gate(Backoff()).budget.running("rest") == 0


async def test_a_query_over_the_limit_waits() -> None:
    """When five minutes are used up, a query waits until enough of them has passed, however long its own time limit is."""
    clock = Clock()
    with ScriptedServer(Desk({})) as server:
        async with client(server.url, clock) as amplitude:
            await amplitude.dashboard.segmentation(**MONTH, g="country", number=1)  # cost 150
            clock.now += 100
            await amplitude.dashboard.funnels(**{**MONTH, "e": [Event("a"), Event("b")]}, g="country", number=2)  # cost 600
            before = clock.now
            await amplitude.dashboard.retention(se=Event("a"), re=Event("b"), start="20260501", end="20260530", number=3)  # cost 240
            assert clock.now == before
            await amplitude.dashboard.segmentation(**MONTH, number=4)  # cost 30: room when the first is 300 s old
            assert clock.now == pytest.approx(1300.0)


async def test_a_query_over_the_limit_raises_if_that_is_wanted() -> None:
    """It says what it costs and how long it would wait, and nothing is sent."""
    clock = Clock()
    with ScriptedServer(Desk({})) as server:
        async with client(server.url, clock, when_limited="raise") as amplitude:
            cost = amplitude.dashboard.cost("funnels", **{**MONTH, "e": [Event("a"), Event("b"), Event("c")]}, g="country")
            assert cost == 900
            await amplitude.dashboard.funnels(**{**MONTH, "e": [Event("a"), Event("b"), Event("c")]}, g="country", number=1)
            with pytest.raises(BudgetError) as caught:
                await amplitude.dashboard.segmentation(**MONTH, g="country", number=2)
            assert (caught.value.cost, caught.value.wait) == (150, 300)
            in_time = amplitude.with_options(when_limited="wait", timeout=Timeout(call=200))
            with pytest.raises(BudgetError):
                await in_time.dashboard.segmentation(**MONTH, g="country", number=3)
        assert len(server.requests) == 1
    assert clock.now == 1000.0


async def test_a_query_larger_than_the_window_goes_when_it_is_empty() -> None:
    """What costs more than five minutes allow is asked when nothing else was for so long, and not refused."""
    clock = Clock()
    with ScriptedServer(Desk({})) as server:
        async with client(server.url, clock) as amplitude:
            await amplitude.dashboard.realtime(number=1)
            large = {**MONTH, "e": [Event("a"), Event("b"), Event("c")], "s": [[{"prop": "a"}], [{"prop": "b"}], []]}
            assert amplitude.dashboard.cost("funnels", **large) == 900
            assert amplitude.dashboard.cost("funnels", **{**large, "n": "new", "e": [*large["e"], Event("d")]}) == 1200
            await amplitude.dashboard.funnels(**{**large, "e": [*large["e"], Event("d")]}, number=2)
            assert clock.now == pytest.approx(1300.0)
