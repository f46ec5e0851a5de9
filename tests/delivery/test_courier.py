"""How the outbox sends, on simulated time: A1-A13, B1, B3, B11, D9, D10 and E7, E10 of the fault list."""

from __future__ import annotations

import asyncio
import random
import ssl
import sys
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from amplitude_async import Setback

sys.path.insert(0, str(Path(__file__).parent))
from world import World, event, refused, taken

pytestmark = pytest.mark.asyncio


async def fill(world: World, count: int, users: int = 10**9, **more: Any) -> None:
    for number in range(count):
        world.outbox.put_nowait(event(f"user-{number % users}", number, **more))


async def test_everything_waiting_goes_in_few_requests() -> None:
    """2,500 events are three requests, delivered exactly once, and each receipt says so."""
    async with World() as world:
        receipts = [world.outbox.put_nowait(event(f"user-{n}", n)) for n in range(2500)]
        await world.run(1)
        assert [len(events) for _, events in world.requests] == [1000, 1000, 500]
        assert len(set(world.sink)) == len(world.sink) == 2500
        assert {(await receipt).status for receipt in receipts} == {"delivered"}


@pytest.mark.parametrize("data", ["", "<html>", "ok", '{"code":200', "[1]"])
async def test_a_200_that_is_no_confirmation_is_no_delivery(data: str) -> None:
    """24 events stay pending at such an answer, and all go again, unchanged, when the server is well (A1)."""
    async with World(lambda _: refused(200, data)) as world:
        await fill(world, 24)
        await world.run(5)
        assert (world.stats.delivered, world.stats.pending) == (0, 24)
        before = {one["insert_id"]: one for _, events in world.requests for one in events}
        world.rule = taken
        await world.run(60)
        assert world.stats.delivered == 24
        assert {one["insert_id"]: one for one in world.requests[-1][1]} == before


async def test_a_bad_key_pauses_and_keeps() -> None:
    """10,000 events and an invalid key: at most 6 requests in 120 s, nothing lost, and all delivered once the key is good (A6)."""
    setbacks: list[Setback] = []
    answer = refused(400, {"code": 400, "error": "Invalid API key: invented-key"})
    async with World(lambda _: answer, on_setback=setbacks.append) as world:
        await fill(world, 10_000, 500)
        await world.run(120)
        assert len(world.requests) <= 6
        assert world.stats.pending == 10_000
        assert setbacks[0].kind == "paused"
        assert "invented-key" not in str(setbacks[0].error)
        world.rule = taken
        await world.run(70)
        assert world.stats.delivered == 10_000
        assert all(numbers == sorted(numbers) for numbers in world.order.values())


@pytest.mark.parametrize("status", [404, 405, 410, 411, 414, 415, 421, 431, 451])
async def test_a_request_that_is_refused_as_such_costs_its_events_and_no_more(status: int) -> None:
    """Such an answer is not asked for again; its events are set aside with its words, and then single events ask (A7)."""
    async with World(lambda _: refused(status, {"error": "no such place"})) as world:
        await fill(world, 1500)
        await world.run(59)
        assert [len(events) for _, events in world.requests] == [1000]
        (reason,) = world.stats.reasons
        assert reason == f"set_aside: refused (Request failed with status code {status}: no such place)"
        await world.run(60)
        assert [len(events) for _, events in world.requests] == [1000, 1]
        world.rule = taken
        await world.run(61)
        assert (world.stats.set_aside, world.stats.delivered) == (1001, 499)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 401])
async def test_what_is_about_the_address_or_the_key_keeps_the_events(status: int) -> None:
    """Redirects are not followed and cost no event (A13)."""
    async with World(lambda _: refused(status, headers={"location": "https://elsewhere.example/"})) as world:
        await fill(world, 50)
        await world.run(130)
        assert len(world.requests) <= 3
        assert world.stats.pending == 50


@pytest.mark.parametrize(
    "answer",
    [
        *(refused(status) for status in (408, 425, 429, 500, 502, 503, 504, 520, 529, 598, 599)),
        httpx.ReadError("x"),
        httpx.ConnectError("x"),
    ],
    ids=repr,
)
async def test_passing_trouble_is_waited_for(answer: Any) -> None:
    """Waits double to a minute; a hundred events ask at a time; the first good answer opens everything (A8, B1)."""
    async with World(lambda _: answer) as world:
        await fill(world, 1500)
        await world.run(200)
        times = [at for at, _ in world.requests]
        gaps = [round(later - earlier, 3) for earlier, later in zip(times, times[1:], strict=False)]
        assert gaps == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
        assert {len(events) for _, events in world.requests[1:]} == {100}
        world.rule = taken
        await world.run(61)
        assert world.stats.delivered == 1500
        assert len({one["insert_id"] for _, events in world.requests for one in events}) == 1500


async def test_a_hidden_size_limit_is_learned() -> None:
    """Events too large for a hidden 100 kB are sent in pieces, one alone over it is set aside, and the size is remembered (A9)."""
    world = World(lambda events: refused(413) if len(str(events)) > 100_000 else taken(events))
    async with world:
        await fill(world, 300, blob="x" * 3000)
        world.outbox.put_nowait(event("big", 1, blob="x" * 200_000))
        await world.run(10)
        assert (world.stats.delivered, world.stats.set_aside) == (300, 1)
        before = len(world.requests)
        total = 300 * 3200
        assert before <= 2 * total / 100_000 + 2 * 9 + 4
        await fill(world, 100, blob="x" * 3000)
        await world.run(1)
        assert world.stats.delivered == 400
        assert len(world.requests) - before <= 8
        assert max(world.sizes[before:]) < 100_000


async def test_a_throttled_user_waits_and_everybody_else_goes() -> None:
    """The others are delivered at once; the hot user's next attempt is 30 s later, in order (A10)."""
    hot_until = 1000.0 + 25

    def rule(events: list[dict[str, Any]]) -> httpx.Response:
        hot = [index for index, one in enumerate(events) if one["user_id"] == "hot"]
        if hot and world.now < hot_until:
            return refused(429, {"code": 429, "throttled_users": {"hot": 44}, "throttled_events": hot})
        return taken(events)

    world = World(rule)
    async with world:
        for number in range(60):
            world.outbox.put_nowait(event("hot" if number % 2 else f"user-{number}", number))
        await world.run(1)
        assert world.stats.delivered == 30
        world.outbox.put_nowait(event("hot", 99))
        world.outbox.put_nowait(event("user-1", 5))
        await world.run(28)
        assert world.stats.delivered == 31
        await world.run(2)
        assert world.order["hot"] == [*range(1, 60, 2), 99]
        late = [at for at, events in world.requests if any(one["user_id"] == "hot" for one in events)]
        assert late[1] - late[0] >= 30


async def test_over_its_daily_quota_an_event_is_set_aside() -> None:
    """Events of a user over the quota of the day are kept aside; the rest goes on (Batch API)."""

    def rule(events: list[dict[str, Any]]) -> httpx.Response:
        over = [index for index, one in enumerate(events) if one["user_id"] == "bob"]
        body = {"code": 429, "exceeded_daily_quota_users": {"bob": 500123}, "throttled_events": over}
        return refused(429, body) if over else taken(events)

    async with World(rule, api="batch") as world:
        for number in range(20):
            world.outbox.put_nowait(event("bob" if number % 4 == 0 else "ada", number, device_id=f"d{number}"))
        await world.run(1)
        assert (world.stats.delivered, world.stats.set_aside) == (15, 5)
        assert [one.reason[:11] for one in await world.outbox.list_set_aside()] == ["daily quota"] * 5


@pytest.mark.parametrize(
    ("hint", "wait"),
    [("30", 30.0), ("0", 1.0), (None, 0.5), ("-5", 0.5), ("soon", 0.5), ("1000000000", 600.0), (formatdate(0, usegmt=True), 0.5)],
)
async def test_all_sending_waits_as_the_server_asks(hint: str | None, wait: float) -> None:
    """A 429 without maps holds up everything, between 1 s and 10 min; nonsense means our own backoff (A11)."""
    headers = {} if hint is None else {"retry-after": hint}
    async with World(lambda _: refused(429, {"code": 429}, headers)) as world:
        await fill(world, 3000)
        await world.run(wait - 0.01)
        assert len(world.requests) == 1
        await world.run(0.02)
        assert len(world.requests) == 2


async def test_a_storm_of_429_is_met_with_patience() -> None:
    """Ten minutes of 429: at most 25 requests, nothing lost, and everything delivered within a minute after it (A12)."""
    for seed in range(5):
        rng = random.Random(seed)
        async with World(lambda _: refused(429), jitter=partial(rng.uniform, 0)) as world:
            await fill(world, 5000)
            await world.run(600)
            assert len(world.requests) <= 8 * 25
            world.rule = taken
            await world.run(60)
            assert world.stats.delivered == 5000


async def test_an_hour_of_outage() -> None:
    """Down for an hour while events keep coming: at most 160 attempts, and everything is delivered afterwards (B11)."""
    rng = random.Random(5)
    async with World(lambda _: httpx.ConnectError("down"), jitter=lambda limit: rng.uniform(0, limit), linger=0.1) as world:
        for minute in range(60):
            await fill(world, 20)
            await world.run(60)
            assert world.stats.accepted == 20 * (minute + 1)
        assert world.stats.requests <= 160
        world.rule = taken
        await world.run(120)
        assert world.stats.delivered == 1200


async def test_tls_that_is_refused_is_asked_for_once_a_minute() -> None:
    """A certificate that is wrong stays wrong for a while: at most one try a minute (B3)."""
    error = httpx.ConnectError("tls")
    error.__cause__ = ssl.SSLCertVerificationError("expired")
    async with World(lambda _: error) as world:
        await fill(world, 5)
        await world.run(301)
        assert world.stats.requests <= 6
        assert world.stats.pending == 5


async def test_index_maps_reject_with_field_and_reason() -> None:
    """Named events are rejected, each with its reason; the others are delivered in the second request (A3, A4)."""

    def rule(events: list[dict[str, Any]]) -> httpx.Response:
        bad = [index for index, one in enumerate(events) if one["event_properties"]["n"] in {3, 7}]
        return refused(400, {"code": 400, "error": "bad", "events_with_invalid_fields": {"time": bad}}) if bad else taken(events)

    async with World(rule) as world:
        receipts = [world.outbox.put_nowait(event("u", n)) for n in range(10)]
        await world.run(1)
        assert len(world.requests) == 2
        outcomes = [await receipt for receipt in receipts]
        assert [n for n, outcome in enumerate(outcomes) if outcome.status == "rejected"] == [3, 7]
        assert outcomes[3].reason == "invalid field: time (Request failed with status code 400: bad)"


async def test_a_poison_event_at_the_head_lets_the_others_flow() -> None:
    """Refused without a word, it is found and set aside with the server's text within a minute, and 255 others arrive (A5, D9)."""
    bad = {0, 77, 200}
    async with World(
        lambda events: refused(400, "<html>nope") if any(e["event_properties"]["n"] in bad for e in events) else taken(events)
    ) as world:
        await fill(world, 256, 7)
        await world.run(1)
        assert (world.stats.delivered, world.stats.set_aside) == (253, 3)
        assert len(world.requests) <= 60
        assert all("nope" in one.reason for one in await world.outbox.list_set_aside())


async def test_a_memory_outbox_keeps_events_for_a_day() -> None:
    """After 24 hours without success an event is set aside as too old, and can be taken up again."""
    async with World(lambda _: refused(503)) as world:
        receipt = world.outbox.put_nowait(event())
        await world.run(24 * 3600 - 120)
        assert receipt.outcome is None
        await world.run(240)
        assert (await receipt) == ("set_aside", "too_old")
        world.rule = taken
        assert await world.outbox.retry_set_aside() == 1
        await world.run(61)
        assert (world.stats.delivered, world.stats.set_aside) == (1, 0)


async def test_nothing_is_sent_again_a_week_after_an_unknown_attempt(tmp_path: Path) -> None:
    """Sent without an answer, an event still goes at 6 d 22 h and not at 7 d; what was only refused goes at any age (D10)."""
    day = 24 * 3600
    for status, seconds, sent in ((500, 7 * day - 7200, True), (500, 7 * day, False), (503, 30 * day, True)):
        path = tmp_path / f"{status}-{seconds}.db"
        answer = refused(status)
        async with World(lambda _: answer, path=path) as world:
            receipt = await world.outbox.put(event())
            await world.run(0.2)
            assert len(world.requests) == 1
        began = world.now
        async with World(path=path) as world:
            world.now = began + seconds
            for _ in range(200):
                await world.run(0.1)
                if not world.stats.pending:
                    break
                # The disk has a thread of its own, which takes its own time.
                await asyncio.sleep(0.005)
            assert (world.stats.delivered, world.stats.set_aside) == ((1, 0) if sent else (0, 1))
            assert len(world.requests) == int(sent)
            if not sent:
                assert [one.reason for one in await world.outbox.list_set_aside()] == ["dedupe_window_passed"]
        assert receipt.insert_id


@pytest.mark.parametrize("seed", range(300))
async def test_order_per_identity_under_random_faults(seed: int) -> None:
    """With one request in twenty failing in some way, each identity's events arrive in the order of the calls (E10)."""
    rng = random.Random(seed)

    def rule(events: list[dict[str, Any]]) -> Any:
        if rng.random() > 0.05:
            return taken(events)
        kind = rng.choice(["500", "503", "lost", "cut", "throttle", "html"])
        if kind == "lost":
            world.sink += [one["insert_id"] for one in events]
            for one in events:
                world.order.setdefault(one["user_id"], []).append(one["event_properties"]["n"])
            return httpx.ReadError("after the body")
        if kind == "throttle":
            user = events[0]["user_id"]
            hot = [index for index, one in enumerate(events) if one["user_id"] == user]
            return refused(429, {"code": 429, "throttled_events": hot, "throttled_users": {user: 31}})
        return {"500": refused(500), "503": refused(503), "cut": httpx.ReadTimeout("x"), "html": refused(200, "<html>")}[kind]

    world = World(rule, jitter=lambda limit: rng.uniform(0, limit))
    async with world:
        sent: dict[str, list[int]] = {}
        for number in range(60):
            user = f"user-{rng.randrange(6)}"
            sent.setdefault(user, []).append(number)
            world.outbox.put_nowait(event(user, number))
            if rng.random() < 0.3:
                await world.run(rng.choice([0.0, 0.01, 1.0]))
        await world.run(600)
        assert world.stats.delivered == 60
        # What a lost answer brought a second time is removed by its insert_id.
        firsts = {user: list(dict.fromkeys(numbers)) for user, numbers in world.order.items()}
        assert firsts == sent


async def test_no_request_is_over_the_limits() -> None:
    """Any mix of sizes: no body over the limit, none with too many events, nothing lost (E7); the world checks each request."""
    for seed in range(25):
        rng = random.Random(seed)
        async with World(api=rng.choice(["http_v2", "batch"]), compress=rng.random() < 0.3, max_bytes=1 << 30) as world:
            count = rng.randrange(1, 400)
            for number in range(count):
                size = rng.choice([1, 100, 5000, 400_000])
                world.outbox.put_nowait(event(f"user-{number % 40}", number, blob="x" * rng.randrange(size)))
            await world.run(5)
            assert world.stats.delivered == count


async def test_a_lone_event_waits_for_others_a_little() -> None:
    """With linger, events that come within it share a request; a full request does not wait."""
    async with World(linger=1.0) as world:
        await fill(world, 3)
        await world.run(0.5)
        await fill(world, 3)
        assert world.requests == []
        await world.run(0.6)
        assert [len(events) for _, events in world.requests] == [6]
        await fill(world, 1000)
        await world.run(0.1)
        assert [len(events) for _, events in world.requests] == [6, 1000]


async def test_retries_stay_in_the_budget() -> None:
    """A server that always fails is asked at most 1.1 times the first attempts and 100 times more, then once a minute (ground rule 10)."""
    async with World(lambda _: refused(503), jitter=lambda _: 0.0) as world:
        await fill(world, 10)
        for _ in range(50):
            await world.run(0)
        assert len(world.requests) == 101
        before = len(world.requests)
        await world.run(600)
        assert len(world.requests) - before <= 11
