"""Faults on demand: what was asked for happens to just those requests, down to the socket."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from amplitude_async import AsyncAmplitude, Backoff, InvalidArgumentError, RateLimitedError
from amplitude_async.sandbox import Sandbox
from amplitude_async.sandbox.faults import Fault, Faults

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENT = {"event_type": "signup", "user_id": "user-12345"}


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def http(box: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(verify=False, base_url=box.url, auth=(box.api_key, box.secret_key), trust_env=False, timeout=5) as client:
        yield client


def upload(http: httpx.Client, **more: Any) -> httpx.Response:
    return http.post("/2/httpapi", json={"api_key": "sandbox", "events": [{**EVENT, **more}]})


def stored(http: httpx.Client) -> int:
    found = http.get("/api/2/usersearch", params={"user": "user-12345"}).json()["matches"]
    if not found:
        return 0
    answer = http.get("/api/2/useractivity", params={"user": found[0]["amplitude_id"]}).json()
    return int(answer["userData"]["num_events"])


def test_the_next_requests_meet_it_and_no_other(box: Sandbox, http: httpx.Client) -> None:
    """Two requests are answered as asked and not handled; the third is as ever."""
    ticket = box.faults.next(2, status=503, body={"error": "later"}, headers={"Retry-After": "7"})
    for _ in range(2):
        answer = upload(http)
        assert (answer.status_code, answer.json(), answer.headers["retry-after"]) == (503, {"error": "later"}, "7")
    assert (ticket.hits, ticket.is_over, stored(http)) == (2, True, 0)
    assert upload(http).status_code == 200
    assert stored(http) == 1


def test_during_a_block_every_request_meets_it(box: Sandbox, http: httpx.Client) -> None:
    """Inside the block it is there, behind it is gone; other paths never see it."""
    with box.faults.during(status=500, path="/2/httpapi") as ticket:
        assert [upload(http).status_code for _ in range(3)] == [500] * 3
        assert http.get("/api/2/usersearch", params={"user": "x"}).status_code == 200
    assert ticket.hits == 3
    assert upload(http).status_code == 200


def test_an_answer_may_be_lost_after_its_request_was_taken(box: Sandbox, http: httpx.Client) -> None:
    """``when="after"`` stores the event and answers as asked all the same."""
    box.faults.next(status=502, when="after")
    assert upload(http).status_code == 502
    assert stored(http) == 1


@pytest.mark.parametrize(
    ("how", "error", "is_stored"),
    [
        ({"reset": True}, httpx.ReadError, False),
        ({"reset": True, "when": "after"}, httpx.ReadError, True),
        ({"cut_after": 0}, httpx.RemoteProtocolError, True),
        ({"cut_after": 9}, httpx.RemoteProtocolError, True),
        ({"cut_after": 0, "status": 200, "body": "x" * 50}, httpx.RemoteProtocolError, False),
    ],
    ids=repr,
)
def test_connections_are_cut_and_reset(
    box: Sandbox, http: httpx.Client, how: dict[str, Any], error: type[Exception], is_stored: bool
) -> None:
    """A cut ends the answer in its middle, a reset the connection; whether the event was taken is as asked."""
    box.faults.next(**how)
    with pytest.raises(error):
        upload(http)
    assert stored(http) == is_stored


def test_a_cut_counts_bytes_of_the_body(box: Sandbox, http: httpx.Client) -> None:
    """Just so many bytes of the body arrive, also of a stream."""
    upload(http)
    hour = time.strftime("%Y%m%dT%H", time.gmtime())
    for count in (0, 1, 40):
        box.faults.next(cut_after=count)
        got = b""
        with (
            pytest.raises(httpx.RemoteProtocolError),
            http.stream("GET", "/api/2/export", params={"start": hour, "end": hour}) as answer,
        ):
            for piece in answer.iter_raw():
                got += piece
        assert len(got) == count


def test_an_archive_may_lose_its_tail(box: Sandbox, http: httpx.Client) -> None:
    """The answer is a proper one, but its archive is shorter."""
    upload(http)
    hour = time.strftime("%Y%m%dT%H", time.gmtime())
    whole = http.get("/api/2/export", params={"start": hour, "end": hour}).content
    box.faults.next(lose_tail=30)
    cut = http.get("/api/2/export", params={"start": hour, "end": hour})
    assert cut.content == whole[:-30]
    assert int(cut.headers["content-length"]) == len(whole) - 30


def test_an_answer_may_contradict_dribble_and_be_late(box: Sandbox, http: httpx.Client) -> None:
    """It speaks of other events than were sent; it comes byte by byte; it comes late; it is whole each time."""
    box.faults.next(contradict=-1)
    assert upload(http).json()["events_ingested"] == 0
    box.faults.next(dribble=0.0005, delay=0.01)
    began = time.monotonic()
    assert upload(http).json()["events_ingested"] == 1
    assert time.monotonic() - began > 0.01


@pytest.mark.asyncio
async def test_a_throttled_user_is_told_and_nobody_else() -> None:
    """Uploads with its events are answered 429 with its name, as Amplitude would; others pass."""
    async with Sandbox() as box:
        box.faults.throttle("user-12345", 600)
        backoff = Backoff(base=0.001, cap=0.002)
        async with AsyncAmplitude(**box.credentials, backoff=backoff, max_retries=0) as amplitude:
            with pytest.raises(RateLimitedError) as caught:
                await amplitude.track(EVENT)
            assert list(caught.value.throttled_users) == ["user-12345"]
            await amplitude.track({**EVENT, "user_id": "user-67890"})
            box.faults.clear()
            await amplitude.track(EVENT)


@pytest.mark.asyncio
async def test_it_may_be_gone_and_come_back() -> None:
    """While it is down connections are refused, also those that stood; afterwards it is there again with all it had."""
    async with Sandbox() as box, AsyncAmplitude(**box.credentials, backoff=Backoff(base=0.05, cap=0.1), max_retries=50) as amplitude:
        await amplitude.track(EVENT)
        box.faults.down(0.3)
        with pytest.raises(httpx.ConnectError):
            httpx.get(box.url, trust_env=False)
        await amplitude.track(EVENT)
        found = await amplitude.user_search("user-12345")
        activity = await amplitude.user_activity(found["matches"][0]["amplitude_id"])
        assert activity["userData"]["num_events"] == 2


@pytest.mark.parametrize(
    ("how", "argument"),
    [
        ({"status": 99}, "status"),
        ({"status": 100}, "status"),
        ({"delay": -1}, "delay"),
        ({"dribble": 1e9}, "dribble"),
        ({"cut_after": -1}, "cut_after"),
        ({"lose_tail": -1}, "lose_tail"),
        ({"when": "later"}, "when"),
        ({"times": 0}, "times"),
        ({"path": "x"}, "path"),
        ({"body": object()}, "body"),
        ({"nonsense": 1}, "nonsense"),
        ({"delay": "soon"}, "fault"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(how: dict[str, Any], argument: str) -> None:
    """The refusal names the field."""
    with pytest.raises(InvalidArgumentError) as caught:
        Fault.from_json(how)
    assert caught.value.argument == argument


def test_the_first_fault_that_fits_is_met() -> None:
    """Faults are met in the order in which they were asked for, each by the requests it is for."""
    faults = Faults()
    faults.next(status=503, path="/batch")
    faults.next(2, status=500, method="post")
    met = [faults.take("POST", path) for path in ("/2/httpapi", "/batch", "/batch", "/batch")]
    assert [fault and fault.status for fault in met] == [500, 503, 500, None]
    assert faults.waiting() == []
