"""The client as its user meets it: construction, views, closing, fixtures, clients of the user's own."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
import pytest_asyncio
import respx

import amplitude_async
from amplitude_async import (
    AsyncAmplitude,
    Backoff,
    ConfigurationError,
    InvalidArgumentError,
    NotFoundError,
    Period,
    Quota,
    RateLimitedError,
    Timeout,
    Window,
    errors,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from amplitude_async.sandbox import Sandbox

EVENT = {"event_type": "x", "user_id": "user-12345"}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AMPLITUDE_")]:
        monkeypatch.delenv(name)


@pytest_asyncio.fixture
async def held(box: Sandbox) -> AsyncIterator[AsyncAmplitude]:
    """Hold a client across set-up and tear-down, which run in tasks of their own."""
    async with AsyncAmplitude(box.api_key, secret_key=box.secret_key, base_url=box.url) as amplitude:
        yield amplitude


@pytest.mark.asyncio
async def test_a_fixture_may_hold_a_client(held: AsyncAmplitude) -> None:
    """A client opened in a pytest-asyncio fixture works in the test and closes after it."""
    assert (await held.track(EVENT))["events_ingested"] == 1


@pytest.fixture
async def held_by_anyio(box: Sandbox, anyio_backend: str) -> AsyncIterator[AsyncAmplitude]:
    """Hold a client in a fixture of anyio's plugin."""
    async with AsyncAmplitude(box.api_key, secret_key=box.secret_key, base_url=box.url) as amplitude:
        yield amplitude


@pytest.mark.anyio
async def test_the_six_calls_on_the_sandbox(held_by_anyio: AsyncAmplitude) -> None:
    """Tracked events and properties come back through search, activity, segmentation and export, on both event loops."""
    amplitude = held_by_anyio
    await amplitude.track([EVENT, {**EVENT, "event_type": "y"}])
    assert await amplitude.identify({"user_id": "user-12345", "user_properties": {"$set": {"plan": "pro"}}}) == "success"
    assert await amplitude.group_identify({"group_type": "org", "group_value": "a", "group_properties": {"x": 1}}) == "success"
    found = await amplitude.user_search("user-12345")
    activity = await amplitude.user_activity(found["matches"][0]["amplitude_id"], limit=10)
    assert {event["event_type"] for event in activity["events"]} == {"x", "y"}
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    series = await amplitude.event_segmentation(e={"event_type": "x"}, start=now - timedelta(days=1), end=now, m="totals")
    assert sum(series["data"]["series"][0]) == 1
    chunks = [
        chunk async for chunk in amplitude.export(start=now - timedelta(hours=1), end=now + timedelta(hours=1), allow_incomplete=True)
    ]
    assert b"".join(chunks).startswith(b"PK\x03\x04")
    with pytest.raises(NotFoundError):
        async for _ in amplitude.export(start="20200101T00", end="20200101T01"):
            pytest.fail("there is no data")


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": None},
        {"api_key": ""},
        {"api_key": "  "},
        {"api_key": 5},
        {"region": "mars"},
        {"base_url": "box"},
        {"transport": "requests"},
        {"timeout": 0},
        {"timeout": float("inf")},
        {"timeout": "5"},
        {"timeout": True},
        {"timeout": Timeout(connect=-1)},
        {"max_retries": -1},
        {"max_retries": True},
        {"max_connections": 0},
        {"http_client": object},
    ],
    ids=repr,
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    """Every wrong option is a ConfigurationError, which is a ValueError too."""
    with pytest.raises(ConfigurationError) as caught:
        AsyncAmplitude(**{"api_key": "key", **options})
    assert isinstance(caught.value, ValueError)


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials fall back to variables, arguments win, and a missing key names both."""
    with pytest.raises(ConfigurationError, match="api_key.*AMPLITUDE_API_KEY"):
        AsyncAmplitude()
    monkeypatch.setenv("AMPLITUDE_API_KEY", "from-env")
    monkeypatch.setenv("AMPLITUDE_SECRET_KEY", "")
    keys = AsyncAmplitude()._caller.connection.settings.credentials
    assert keys["api_key"] is not None
    assert keys["api_key"].reveal() == "from-env"
    assert keys["secret_key"] is None
    given = AsyncAmplitude("given")._caller.connection.settings.credentials["api_key"]
    assert given is not None
    assert given.reveal() == "given"


@pytest.mark.anyio
@pytest.mark.parametrize("call", ["user_search", "user_activity", "event_segmentation", "export"])
async def test_a_missing_secret_is_named_at_the_call(call: str) -> None:
    """Dashboard calls without a secret say which argument and variable is missing, and connect to nobody."""
    async with AsyncAmplitude("key") as amplitude:
        with pytest.raises(ConfigurationError, match="secret_key.*AMPLITUDE_SECRET_KEY"):
            if call == "export":
                async for _ in amplitude.export(start="20260101T00", end="20260101T00"):
                    pass
            elif call == "event_segmentation":
                await amplitude.event_segmentation(e={"event_type": "x"}, start="20260101", end="20260101")
            else:
                await getattr(amplitude, call)("x")


@pytest.mark.anyio
async def test_views_share_connections_and_differ_in_options(box: Sandbox) -> None:
    """A view has its own defaults and limits, the same slots, and closing it closes nothing."""
    async with AsyncAmplitude(box.api_key, secret_key=box.secret_key, base_url=box.url) as amplitude:
        await amplitude.track(EVENT)
        view = amplitude.with_options(user_id="view-user", max_retries=0, timeout=5)
        await view.track({"event_type": "x"})
        assert view._caller.slots is amplitude._caller.slots
        await view.aclose()
        assert (await amplitude.user_search("view-user"))["type"] == "match_user_or_device_id"
        with pytest.raises(ConfigurationError):
            amplitude.with_options(max_retries=-1)


@pytest.mark.anyio
@pytest.mark.parametrize("user", ["", "  ", None, 0, False, [], {}])
async def test_blank_searches_are_refused(user: Any) -> None:
    """A blank search or id is refused by name."""
    amplitude = AsyncAmplitude("key", secret_key="secret")
    for call in (amplitude.user_search, amplitude.user_activity):
        with pytest.raises(InvalidArgumentError):
            await call(user)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("e", "sent"),
    [
        ({"event_type": "x"}, '{"event_type":"x"}'),
        ([{"event_type": "x"}], '{"event_type":"x"}'),
        ('{"event_type": "x"}', '{"event_type": "x"}'),
        ('[{"event_type":"x"}]', '{"event_type":"x"}'),
        ([{"a": 1}, {"b": 2}], None),
        ([], None),
        ("x", None),
        ("5", None),
        (5, None),
        (None, None),
    ],
)
async def test_what_e_may_be(e: Any, sent: str | None) -> None:
    """A mapping, its JSON text, or a list of one; anything else is refused."""
    with respx.mock(assert_all_called=False) as router:
        route = router.get("https://amplitude.com/api/2/events/segmentation").respond(json={"data": {}})
        async with AsyncAmplitude("key", secret_key="secret") as amplitude:
            if sent is None:
                with pytest.raises(InvalidArgumentError, match=r"\be\b"):
                    await amplitude.event_segmentation(e=e, start="20260101", end="20260102", rolling_window=7)
                return
            await amplitude.event_segmentation(e=e, start="20260101", end="20260102", rolling_window=7)
        assert dict(route.calls[0].request.url.params) == {"e": sent, "start": "20260101", "end": "20260102", "rollingWindow": "7"}


@pytest.mark.anyio
async def test_a_client_of_the_users_own_is_used_and_left_open(box: Sandbox) -> None:
    """An httpx client with other habits is used as it is, with 8 slots, follows nothing, and stays open."""
    async with httpx.AsyncClient(follow_redirects=True, auth=("wrong", "wrong")) as http:
        async with AsyncAmplitude(box.api_key, secret_key=box.secret_key, base_url=box.url, http_client=http) as amplitude:
            await amplitude.track(EVENT)
            assert (await amplitude.user_search("user-12345"))["matches"]
            assert amplitude._caller.slots is not None
            assert amplitude._caller.slots.total == 8
        assert not http.is_closed


@pytest.mark.asyncio
@pytest.mark.parametrize("transport", ["httpx2", "aiohttp"])
async def test_other_transports_do_the_same(box: Sandbox, transport: Any) -> None:
    """The same calls work over httpx2 and over aiohttp."""
    async with AsyncAmplitude(box.api_key, secret_key=box.secret_key, base_url=box.url, transport=transport) as amplitude:
        await amplitude.track(EVENT)
        assert (await amplitude.user_search("user-12345"))["matches"]


@pytest.mark.anyio
async def test_a_fork_starts_empty(box: Sandbox) -> None:
    """A child forgets its parent's connections and works on its own loop; the parent goes on."""
    async with AsyncAmplitude(box.api_key, base_url=box.url) as amplitude:
        await amplitude.track(EVENT)
        amplitude._caller.connection._pid = -1  # what a child sees: another process's client
        amplitude._caller.connection._transport, before = None, amplitude._caller.connection._transport
        await amplitude.track(EVENT)
        assert amplitude._caller.connection._transport is not before
        assert before is not None
        await before.aclose()


@pytest.mark.anyio
async def test_slots_serve_more_callers_than_there_are(box: Sandbox) -> None:
    """Callers beyond the slots wait their turn and all are served."""
    async with AsyncAmplitude(box.api_key, base_url=box.url, max_connections=3) as amplitude:
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(amplitude.track, EVENT)
        assert amplitude._caller.slots is not None
        assert amplitude._caller.slots.free == 3


def test_public_names_are_what_is_there() -> None:
    """Every name of __all__ can be had, and an unknown one is an AttributeError."""
    for name in amplitude_async.__all__:
        assert getattr(amplitude_async, name) is not None
    assert set(dir(amplitude_async)) >= set(amplitude_async.__all__)
    with pytest.raises(AttributeError):
        amplitude_async.nothing  # noqa: B018 - the access is the test
    for name in errors.__all__:
        assert name in {"Outcome", "RequestSummary"} or name in amplitude_async.__all__


def test_errors_survive_a_pickle_without_their_data() -> None:
    """Facts travel, the server's answer does not."""
    error = RateLimitedError("no", status=429, data={"echo": "canary"}, headers={"x": "canary"}, outcome="not_sent", insert_ids=["a"])
    error.retry_after = 5.0
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.status, again.outcome, again.insert_ids) == (
        RateLimitedError,
        "no",
        429,
        "not_sent",
        ("a",),
    )
    assert again.retry_after == 5.0
    assert again.data is None
    assert b"canary" not in pickle.dumps(error)


def test_backoff_doubles_up_to_its_cap() -> None:
    """The limit of the wait doubles and is capped; full jitter draws below it."""
    backoff = Backoff(base=0.5, cap=8.0, jitter=lambda limit: limit)
    assert [backoff.delay(attempt) for attempt in range(1, 8)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert all(0 <= Backoff().delay(1) <= 0.5 for _ in range(100))


@pytest.mark.parametrize(
    "quotas",
    [
        5,
        {"queries": 5},
        {"queries": None},
        {"queries": Quota(windows=((5, 300),))},  # type: ignore[arg-type]  # that is the point, here and below
        {"queries": Quota(windows=5)},  # type: ignore[arg-type]
        {"queries": Quota(windows=(Window("a", 1),))},  # type: ignore[arg-type]
        {"queries": Quota(windows=(Window(5, 0),))},
        {"queries": Quota(windows=(Window(5, float("nan")),))},
        {"queries": Quota(windows=(Period(5, "year"),))},  # type: ignore[arg-type]
        {"queries": Quota(in_flight=0)},
        {"queries": Quota(in_flight=True)},
        {"queries": Quota(in_flight="x")},  # type: ignore[arg-type]
        {"visits": Quota()},
    ],
    ids=repr,
)
def test_quotas_of_ones_own_are_looked_at(quotas: Any) -> None:
    """What is no quota is refused at construction, and not when the first call waits by it."""
    with pytest.raises(ConfigurationError, match="quotas"):
        AsyncAmplitude("key", quotas=quotas)
