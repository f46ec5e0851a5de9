"""Streaming metrics, the audit log, session replays and translations over a sandbox."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from amplitude_async import (
    AsyncAmplitude,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    UnexpectedResponseError,
)

from .world import DAY, NOON, Clock, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from amplitude_async.sandbox import Sandbox

pytestmark = pytest.mark.anyio

NOW = datetime.fromtimestamp(NOON, UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def box(clock: Clock) -> Iterator[Sandbox]:
    with running(clock) as sandbox:
        yield sandbox


def client(box: Sandbox, clock: Clock, **options: Any) -> AsyncAmplitude:
    return AsyncAmplitude(**box.credentials, backoff=clock.backoff, **options)


def visits(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"event_type": "visit", "user_id": f"user-{n}", "device_id": f"dev-{n}", **more} for n in range(count)]


# Streaming


async def test_metrics_count_what_was_stored(box: Sandbox, clock: Clock) -> None:
    """The span that ends now, and one of our own, each with what came in it; without events the rate is 1 and never null."""
    async with client(box, clock) as amplitude:
        empty = await amplitude.streaming.delivery_metrics(17)
        assert (empty["eventsDelivered"], empty["deliveryRate"], empty["latencyInSeconds"]) == (0, 1.0, 0.0)
        await amplitude.track(visits(3))
        clock.now += 2 * 3600
        await amplitude.track(visits(4))
        assert (await amplitude.streaming.delivery_metrics("17"))["eventsDelivered"] == 4
        day = await amplitude.streaming.delivery_metrics(17, time_period="ONE_DAY")
        assert (day["timePeriod"], day["eventsDelivered"], day["successOnFirstAttempt"]) == ("ONE_DAY", 7, 7)
        own = await amplitude.streaming.delivery_metrics(17, start=NOW, end=NOW + timedelta(hours=1))
        assert (own["timePeriod"], own["eventsDelivered"]) == ("CUSTOM", 3)
        assert (own["timePeriodStart"], own["timePeriodEnd"]) == ("2026-05-01 12:00:00.000000", "2026-05-01 13:00:00.000000")


async def test_old_spans_are_counted_by_the_hour(box: Sandbox, clock: Clock) -> None:
    """The last four hours go by the minute, what is older by the hour."""
    async with client(box, clock) as amplitude:
        clock.now += 10 * 60
        await amplitude.track(visits(2))
        begin = NOW + timedelta(minutes=20)
        assert (await amplitude.streaming.delivery_metrics(1, start=begin, end=NOW + timedelta(minutes=50)))["eventsDelivered"] == 0
        clock.now += 5 * 3600
        old = await amplitude.streaming.delivery_metrics(1, start=begin, end=begin + timedelta(hours=1))
        assert (old["timePeriodStart"], old["eventsDelivered"]) == ("2026-05-01 12:00:00.000000", 2)


async def test_beyond_ninety_days_one_500_is_enough(box: Sandbox, clock: Clock) -> None:
    """It is final: no second request, and no wait."""
    async with client(box, clock) as amplitude:
        with pytest.raises(ServerError) as caught:
            await amplitude.streaming.delivery_metrics(1, start=NOW - timedelta(days=91), end=NOW)
        assert caught.value.request is not None
        assert (caught.value.request.attempts, clock.now) == (1, NOON)
        await amplitude.streaming.delivery_metrics(1, start=NOW - timedelta(days=89), end=NOW)
        with pytest.raises(AuthenticationError):
            await amplitude.streaming.delivery_metrics("not ours")


async def test_twelve_a_minute(clock: Clock) -> None:
    """A strict sandbox takes no more; the client waits before it would ask too much."""
    with running(clock, strict=True) as box:
        async with client(box, clock, max_retries=0) as amplitude:
            for _ in range(13):
                await amplitude.streaming.delivery_metrics(1)
            assert clock.now == pytest.approx(NOON + 60, abs=0.1)
            for _ in range(11):
                await amplitude.streaming.delivery_metrics(1)
        async with client(box, clock, max_retries=0) as other:
            with pytest.raises(RateLimitedError):
                await other.streaming.delivery_metrics(1)


# Audit log


async def test_the_log_says_what_was_done(box: Sandbox, clock: Clock) -> None:
    """Mappings, deletions and data subject requests, the oldest first; filtered, limited, by days."""
    async with client(box, clock) as amplitude:
        await amplitude.track(visits(2))
        await amplitude.alias({"user_id": "user-1", "global_user_id": "x"})
        await amplitude.privacy.deletions.create(user_ids="user-0")
        clock.now += 5
        await amplitude.privacy.dsar.request(user_id="user-1", start_date=date(2026, 5, 1), end_date=date(2026, 5, 1))
        day: Any = {"start_date": date(2026, 5, 1), "end_date": date(2026, 5, 1)}
        log = await amplitude.audit_logs.search(20077, **day)
        assert [(entry["feature"], entry["action"]) for entry in log["data"]] == [
            ("user_mapping", "change"),
            ("user_deletion", "create"),
            ("dsar", "create"),
        ]
        assert {entry["org_id"] for entry in log["data"]} == {"20077"}
        only = await amplitude.audit_logs.search(20077, domain="privacy", action="create", limit=1, **day)
        assert ([entry["feature"] for entry in only["data"]], only["next_cursor"]) == (["user_deletion"], "1")
        rest = await amplitude.audit_logs.search(20077, domain="privacy", pagination={"cursor": "1"}, **day)
        assert ([entry["feature"] for entry in rest["data"]], rest["next_cursor"]) == (["dsar"], None)
        clock.now += 12 * DAY
        later = await amplitude.audit_logs.search(20077, start_date="2026-05-13", end_date="2026-05-14")
        assert [entry["action"] for entry in later["data"]] == ["run"]


# Session replays


async def test_sessions_are_listed_and_read(box: Sandbox, clock: Clock) -> None:
    """Each session of the stored events is a replay; its files come by signed links and are the same events in both formats."""
    begin = int(NOON * 1000)
    async with client(box, clock) as amplitude:
        for minute in range(5):
            await amplitude.track(visits(1, session_id=begin, time=begin + minute * 60_000))
        await amplitude.track(
            [{"event_type": "x", "user_id": "user-9", "device_id": "dev/9", "session_id": begin + 60_000, "time": begin + 60_000}]
        )
        await amplitude.track(visits(1))
        replays = [replay async for replay in amplitude.session_replay.list(page_size=1)]
        assert [replay["replay_id"] for replay in replays] == [f"dev-0/{begin}", f"dev/9/{begin + 60_000}"]
        assert (replays[0]["start_time"], replays[0]["end_time"]) == ("2026-05-01T12:00:00Z", "2026-05-01T12:04:00Z")
        newest = amplitude.session_replay.list(page_size=1, sort_order="desc")
        assert (await anext(newest))["device_id"] == "dev/9"
        late = [one async for one in amplitude.session_replay.list(start_time=NOW + timedelta(minutes=1), end_time=date(2026, 5, 1))]
        assert late == replays[1:]
        for replay in replays:
            links = [link async for link in amplitude.session_replay.files(replay["replay_id"], page_size=1)]
            assert len(links) == 2
            events = [event async for event in amplitude.session_replay.events(replay["replay_id"])]
            assert [event["type"] for event in events] == [4, 2, 5]
            assert events == [event async for event in amplitude.session_replay.events(replay["replay_id"], version=2)]


async def test_replays_that_are_not_there(box: Sandbox, clock: Clock) -> None:
    """No data of a replay is a 404; a page of one order cannot be gone on with in the other."""
    async with client(box, clock) as amplitude:
        await amplitude.track(visits(3, session_id=1_777_636_800_000))
        with pytest.raises(NotFoundError):
            await anext(amplitude.session_replay.events("dev-7/5"))
        pages = amplitude.session_replay.list(page_size=1)
        await anext(pages)
        assert isinstance(pages.cursor, str)
        with pytest.raises(BadRequestError, match="sort_order"):
            await anext(amplitude.session_replay.list(page_token=pages.cursor, sort_order="desc"))
        with pytest.raises(BadRequestError, match="page_token"):
            await anext(amplitude.session_replay.list(page_token="nonsense"))


async def test_links_to_replays_expire_and_are_asked_for_anew(box: Sandbox, clock: Clock) -> None:
    """They live for a quarter of an hour; who reads slowly gets new ones and no event twice. Keys are not taken."""
    async with client(box, clock) as amplitude:
        await amplitude.track(visits(1, session_id=1_777_636_800_000))
        replay = (await anext(amplitude.session_replay.list()))["replay_id"]
        link = await anext(amplitude.session_replay.files(replay))
        types = []
        async for event in amplitude.session_replay.events(replay):
            types.append(event["type"])
            clock.now += 16 * 60
        assert types == [4, 2, 5]
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(link)).status_code == 403
        assert (await http.get(link, auth=("sandbox", "sandbox"))).status_code == 400


async def test_a_link_that_leads_astray_is_not_followed(clock: Clock) -> None:
    """An answer can send us nowhere: not to clear text elsewhere, not into a private network."""
    answers = {"files": ["http://files.example/a?sig=1"], "next_page_token": None}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=answers))
    async with httpx.AsyncClient(transport=transport) as http, AsyncAmplitude("k", secret_key="s", http_client=http) as amplitude:
        for link in ("http://files.example/a?sig=1", "https://127.0.0.1/a", "https://10.0.0.1/a", "ftp://x/a", "", "javascript:1"):
            answers["files"] = [link]
            with pytest.raises(UnexpectedResponseError, match="not followed"):
                await anext(amplitude.session_replay.events("dev-1/5"))


# Translations


def xliff(target: str, key: str = "welcome_tour", locale: str = "de") -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2"><file original="{key}" '
        f'datatype="plaintext" source-language="en" target-language="{locale}"><body><trans-unit id="title"><source>Hi &amp; hello</source>'
        f"<target>{target}</target></trans-unit></body></file></xliff>"
    )


async def test_translations_come_back(box: Sandbox, clock: Clock) -> None:
    """What was brought in is taken out, by key and language, and what came later replaces what was there."""
    async with client(box, clock) as amplitude:
        localization = amplitude.localization
        assert await localization.import_xliff(xliff("")) == {
            "welcome_tour": {"de": {"state": "PARTIAL", "message": "Updated 1 translation units."}}
        }
        assert (await localization.import_xliff(xliff("Grüß &lt;Gott&gt;")))["welcome_tour"]["de"]["state"] == "COMPLETE"
        await localization.import_xliff(xliff("Salut", locale="fr").encode())
        await localization.import_xliff(xliff("Hei", key="other", locale="nb"))
        text = await localization.export_xliff("welcome_tour")
        assert "<target>Grüß &lt;Gott&gt;</target>" in text
        assert "<source>Hi &amp; hello</source>" in text
        assert ('target-language="fr"' in text, 'target-language="nb"' in text) == (True, False)
        assert 'target-language="fr"' not in await localization.export_xliff("welcome_tour", locales="de")
        both = await localization.export_xliff(["welcome_tour", "other"])
        assert 'original="other"' in both
        assert (await localization.import_xliff(both))["other"]["nb"]["state"] == "COMPLETE"
        with pytest.raises(NotFoundError):
            await localization.export_xliff("unknown")


@pytest.mark.parametrize(
    "text", ["<a/>", "<xliff/>", "<xliff", "<!DOCTYPE x [<!ENTITY a 'b'>]><xliff/>", "<xliff><file original='a'/></xliff>"]
)
async def test_what_is_no_xliff_is_refused(box: Sandbox, clock: Clock, text: str) -> None:
    """By the sandbox, in the API's own form; documents that could expand are not read at all."""
    async with client(box, clock) as amplitude:
        with pytest.raises(BadRequestError):
            await amplitude.localization.import_xliff(text)
