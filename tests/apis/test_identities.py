"""Mappings, attribution and batches over a sandbox: what was told is what is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from amplitude_async import AsyncAmplitude, AuthenticationError, PartialDeliveryError, RateLimitedError
from amplitude_async.sandbox import Limits, Sandbox

from .world import Clock, running

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def box(clock: Clock) -> Iterator[Sandbox]:
    with running(clock) as sandbox:
        yield sandbox


def client(box: Sandbox, clock: Clock, **options: Any) -> AsyncAmplitude:
    return AsyncAmplitude(**box.credentials, backoff=clock.backoff, **options)


async def test_mapped_read_and_unmapped(box: Sandbox, clock: Clock) -> None:
    """A mapping is seen from both ends, is replaced by another, and is gone when it is taken back."""
    async with client(box, clock) as amplitude:
        await amplitude.track([{"event_type": "x", "user_id": user} for user in ("ada-web", "ada-app", "ada@example.org")])
        assert (
            await amplitude.alias([{"user_id": user, "global_user_id": "ada@example.org"} for user in ("ada-web", "ada-app")])
            == "success"
        )
        found = await amplitude.user_mappings(["ada-web", "ada@example.org", "nobody"])
        (target,) = found["ada-web"]["mapped_to"]
        assert target == {"amplitude_id": found["ada@example.org"]["amplitude_id"], "user_id": "ada@example.org"}
        assert [user["user_id"] for user in found["ada@example.org"]["mapped_from"]] == ["ada-web", "ada-app"]
        assert found["nobody"] == {"mapped_from": [], "mapped_to": []}
        await amplitude.alias({"user_id": "ada-web", "global_user_id": "somebody else"})
        assert [user["user_id"] for user in (await amplitude.user_mappings("ada-web"))["ada-web"]["mapped_to"]] == ["somebody else"]
        await amplitude.alias([{"user_id": "ada-web", "unmap": True}, {"user_id": "never mapped", "unmap": True}])
        assert (await amplitude.user_mappings("ada-web"))["ada-web"]["mapped_to"] == []


async def test_1500_mappings_in_half_a_minute(clock: Clock) -> None:
    """A strict sandbox takes no more; the client waits for the next window and loses none."""
    with running(clock, strict=True) as box:
        async with client(box, clock, max_retries=0) as amplitude:
            users = [f"user-{n}" for n in range(3100)]
            await amplitude.alias([{"user_id": user, "global_user_id": "all"} for user in users])
            assert clock.now == pytest.approx(1_777_636_800.0 + 60, abs=0.1)
            found = await amplitude.user_mappings("all")
            assert sorted(user["user_id"] for user in found["all"]["mapped_from"]) == sorted(users)
        async with client(box, clock, max_retries=0) as hurried:
            await hurried.alias([{"user_id": user, "global_user_id": "all"} for user in users[:1400]])
        async with client(box, clock, max_retries=0) as other:
            with pytest.raises(RateLimitedError):
                await other.alias([{"user_id": user, "global_user_id": "all"} for user in users[:200]])


async def test_wrong_keys_and_wrong_mappings(box: Sandbox, clock: Clock) -> None:
    """The sandbox refuses what the client would not send, and a key that is not its own."""
    async with AsyncAmplitude("wrong-key", secret_key="x", base_url=box.url, max_retries=0) as amplitude:
        with pytest.raises(AuthenticationError, match="invalid_api_key"):
            await amplitude.alias({"user_id": "ada", "global_user_id": "x"})
        with pytest.raises(AuthenticationError, match="invalid_api_key"):
            await amplitude.attribution({"event_type": "x", "platform": "ios", "idfa": "i"})
    async with httpx.AsyncClient(verify=False, base_url=box.url, auth=("sandbox", "sandbox"), trust_env=False) as http:
        for mapping in ("", "x", "[]", "{}", '{"user_id":"a"}', '{"user_id":5,"global_user_id":"x"}'):
            answer = await http.post("/usermap", data={"api_key": "sandbox", "mapping": mapping})
            assert answer.status_code == 400, mapping
        query = await http.get("/usermap", params={"api_key": "sandbox", "mapping": '{"user_id":"a","global_user_id":"g"}'})
        assert (query.status_code, query.text) == (200, "success")
        for ids in ('["a","b"]', "a,b"):
            answer = await http.get("/api/2/usermap", params={"user_ids": ids})
            assert set(answer.json()) == {"a", "b"}
        in_body = await http.request("GET", "/api/2/usermap", data={"user_ids": ["a", "b"]})
        assert set(in_body.json()) == {"a", "b"}
        assert (await http.get("/api/2/usermap")).status_code == 400
        assert (await http.get("/api/2/usermap", params={"user_ids": ["x"] * 101})).status_code == 400
        for event in ("", "x", "{}", '{"event_type":"x","platform":"ios"}', '{"event_type":"x","platform":"web","idfa":"i"}'):
            answer = await http.post("/attribution", data={"api_key": "sandbox", "event": event})
            assert (answer.status_code, answer.text) == (400, "missing_event"), event


INSTALL: dict[str, Any] = {
    "event_type": "[Acme Ads] Install",
    "platform": "android",
    "adid": "ad-1",
    "user_properties": {"[Acme Ads] campaign": "spring"},
}


@pytest.mark.parametrize("order", ["user first", "attribution first"])
async def test_an_attribution_finds_its_user(box: Sandbox, clock: Clock, order: str) -> None:
    """By the advertising id, whichever of the two comes first; it is an event of that user's, and sets properties."""
    async with client(box, clock) as amplitude:
        visit = {"event_type": "visit", "user_id": "ada-web", "device_id": "phone", "adid": "ad-1"}
        if order == "user first":
            await amplitude.track(visit)
            assert await amplitude.attribution(INSTALL) == "success"
        else:
            await amplitude.attribution(INSTALL)
            await amplitude.track(visit)
        await amplitude.track({"event_type": "later", "user_id": "ada-web", "device_id": "phone"})
        match = (await amplitude.user_search("ada-web"))["matches"][0]
        activity = await amplitude.user_activity(match["amplitude_id"])
        assert {event["event_type"] for event in activity["events"]} == {"visit", "[Acme Ads] Install", "later"}
        assert activity["userData"]["properties"]["[Acme Ads] campaign"] == "spring"


async def test_an_attribution_waits_for_72_hours(box: Sandbox, clock: Clock) -> None:
    """Then it is discarded."""
    async with client(box, clock) as amplitude:
        await amplitude.attribution(INSTALL)
        clock.now += 72 * 3600
        await amplitude.track({"event_type": "visit", "user_id": "ada-web", "adid": "ad-1"})
        match = (await amplitude.user_search("ada-web"))["matches"][0]
        assert (await amplitude.user_activity(match["amplitude_id"]))["userData"]["num_events"] == 1


async def test_a_batch_arrives_whole_and_once(box: Sandbox, clock: Clock) -> None:
    """5,000 events in three requests; sent again under the same ids they are not counted twice."""
    events = [
        {"event_type": "old", "user_id": f"user-{n % 50}", "insert_id": f"i-{n}", "time": 1_777_000_000_000 + n} for n in range(5000)
    ]
    async with client(box, clock) as amplitude:
        for _ in range(2):
            result = await amplitude.batch(events)
            assert (result["code"], result["events_ingested"]) == (200, 5000)
        rows = amplitude.export(start="20260501T00", end="20260501T23", allow_incomplete=True).events()
        assert len({row["$insert_id"] async for row in rows}) == 5000


async def test_a_batch_waits_for_who_is_too_fast(clock: Clock) -> None:
    """By the sandbox's own limits: the others' events are in at once, the user's when the rate has fallen; in order."""
    limits = Limits(batch_events_per_second=10, window_s=30.0)
    with Sandbox(clock=clock, limits=limits) as box:
        async with client(box, clock) as amplitude:
            events = [{"event_type": "x", "user_id": "hasty" if n < 2400 else f"user-{n % 20}", "event_id": n} for n in range(2600)]
            with pytest.raises(PartialDeliveryError) as caught:
                await amplitude.batch(events, timeout=20)
            assert min(caught.value.delivered) == 2400
            began = clock.now
            await amplitude.batch([{"event_type": "x", "user_id": "calm-1", "event_id": n} for n in range(300)])
            result = await amplitude.batch([{"event_type": "x", "user_id": "calm-1", "event_id": n} for n in range(300, 600)])
            assert result["events_ingested"] == 300
            assert clock.now - began == 30.0
