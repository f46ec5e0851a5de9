"""Awaited uploads that share requests: one request for many, each caller its own verdict. On asyncio and trio."""

from __future__ import annotations

import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import amplitude_async
from amplitude_async import AmplitudeError, AsyncAmplitude, Backoff, ClosedError, ConfigurationError, PartialDeliveryError, Timeout
from amplitude_async._io import sharing

sys.path.insert(0, str(Path(__file__).parent))
from scripted import ScriptedServer, good, ruled, sent_events, stall, taken

if TYPE_CHECKING:
    from scripted import Step

NO_WAIT = Backoff(jitter=lambda _: 0.0)


def event(user: str, number: int = 0, **properties: Any) -> dict[str, Any]:
    return {"event_type": "x", "user_id": user, "event_properties": {"n": number, **properties}}


def client(server: ScriptedServer, **options: Any) -> AsyncAmplitude:
    return AsyncAmplitude("invented-key-1", base_url=server.url, backoff=options.pop("backoff", NO_WAIT), **options)


async def at_once(amplitude: AsyncAmplitude, calls: list[Any]) -> list[Any]:
    """Make calls in the order given, all before any is answered; return results and errors."""
    results: list[Any] = [None] * len(calls)

    async def call(index: int) -> None:
        try:
            results[index] = await amplitude.track(calls[index])
        except AmplitudeError as error:
            results[index] = error

    async with anyio.create_task_group() as group:
        for index in range(len(calls)):
            group.start_soon(call, index)
    return results


def sizes(server: ScriptedServer) -> list[int]:
    return [len(sent_events(request)) for request in server.requests]


@pytest.mark.anyio
async def test_calls_that_wait_together_go_out_together() -> None:
    """Fifty calls made at once are one request, and each gets its own count."""
    with ScriptedServer(ruled(taken)) as server:
        async with client(server) as amplitude:
            results = await at_once(amplitude, [event(f"user-{n}", n) for n in range(50)])
        assert [result["events_ingested"] for result in results] == [1] * 50
        assert sizes(server) == [50]
        assert len(set(map(id, results))) == 50


@pytest.mark.anyio
async def test_without_sharing_each_call_has_its_request() -> None:
    """share_requests=False, on a client or a view, gives a request per call."""
    with ScriptedServer(ruled(taken)) as server:
        async with client(server) as amplitude:
            await at_once(amplitude.with_options(share_requests=False), [event(f"user-{n}") for n in range(5)])
            assert sizes(server) == [1] * 5
        async with client(server, share_requests=False) as amplitude:
            await at_once(amplitude, [event(f"user-{n}") for n in range(5)])
            assert sizes(server) == [1] * 10


@pytest.mark.anyio
async def test_callers_woken_by_one_answer_share_the_next_request() -> None:
    """Ten callers back to back come to one request a round, not ten."""
    with ScriptedServer(ruled(taken, seconds=0.01)) as server:
        async with client(server) as amplitude:

            async def caller(user: str) -> None:
                for number in range(8):
                    await amplitude.track(event(user, number))

            async with anyio.create_task_group() as group:
                for user in range(10):
                    group.start_soon(caller, f"user-{user}")
        assert sum(sizes(server)) == 80
        assert len(server.requests) <= 16


@pytest.mark.anyio
@pytest.mark.parametrize("maps", ["named", "unexplained", "too large"])
async def test_a_neighbours_bad_event_costs_no_error_and_no_retry(maps: str) -> None:
    """With no retry allowed, everybody but the one with the bad event succeeds, and the bad one gets its own error (A3, A5, A9)."""

    def rule(events: list[dict[str, Any]]) -> tuple[int, Any]:
        bad = [index for index, one in enumerate(events) if one["user_id"] == "bad"]
        if not bad:
            return taken(events)
        if maps == "named":
            return 400, {"code": 400, "error": "Invalid field values", "events_with_invalid_fields": {"time": bad}}
        return (413, {"code": 413, "error": "Payload too large"}) if maps == "too large" else (400, b"<html>")

    with ScriptedServer(ruled(rule)) as server:
        async with client(server, max_retries=0) as amplitude:
            results = await at_once(amplitude, [event("bad" if n == 7 else f"user-{n}", n) for n in range(20)])
        error = results.pop(7)
        assert isinstance(error, amplitude_async.PayloadTooLargeError if maps == "too large" else amplitude_async.BadRequestError)
        assert error.outcome == "rejected"
        assert len(error.insert_ids) == 1
        assert error.request is not None
        assert error.request.attempts == 1
        assert [result["events_ingested"] for result in results] == [1] * 19
        assert len(server.sink) == len(set(server.sink)) == 19
        if maps == "named":
            assert sizes(server) == [20, 19]


@pytest.mark.anyio
async def test_events_of_one_identity_arrive_in_the_order_of_the_calls() -> None:
    """While one request of an identity is out its later calls wait, others do not, and after a failure nothing overtakes."""
    arrived: dict[str, list[int]] = {}
    in_flight: set[str] = set()
    lock = threading.Lock()
    failures = iter([500, 200, 503, 200, 200, 500] + [200] * 500)

    def rule(events: list[dict[str, Any]]) -> tuple[int, Any]:
        users = {one["user_id"] for one in events}
        with lock:
            assert not users & in_flight
            in_flight.update(users)
            status = next(failures)
        time.sleep(0.004)
        with lock:
            if status == 200:
                for one in events:
                    arrived.setdefault(one["user_id"], []).append(one["event_properties"]["n"])
            in_flight.difference_update(users)
        return taken(events) if status == 200 else (status, {})

    with ScriptedServer(ruled(rule)) as server:
        async with client(server, backoff=Backoff(base=0.005), max_retries=9) as amplitude:

            async def user(name: str) -> None:
                async with anyio.create_task_group() as group:
                    for number in range(12):
                        group.start_soon(amplitude.track, event(name, number))
                        await anyio.sleep(0.002)

            async with anyio.create_task_group() as group:
                for name in ("a", "b", "c", "d"):
                    group.start_soon(user, name)
    assert {name: sorted(numbers) for name, numbers in arrived.items()} == {name: list(range(12)) for name in "abcd"}
    assert arrived == {name: list(range(12)) for name in "abcd"}


@pytest.mark.anyio
async def test_other_options_and_limits_never_share() -> None:
    """Calls with different options, or of views with other limits, go out apart."""
    with ScriptedServer(ruled(taken)) as server:
        async with client(server) as amplitude:
            hasty = amplitude.with_options(timeout=7)
            async with anyio.create_task_group() as group:
                for number in range(4):
                    group.start_soon(amplitude.track, event(f"user-{number}"))
                    group.start_soon(hasty.track, event(f"hasty-{number}"))
                    group.start_soon(partial(amplitude.track, event(f"short-{number}"), options={"min_id_length": 1}))
        assert sorted(sizes(server)) == [4, 4, 4]
        assert sum(b'"options":{"min_id_length":1}' in request for request in server.requests) == 1


@pytest.mark.anyio
async def test_a_throttled_neighbour_waits_alone() -> None:
    """A 429 that names one caller's event holds up that caller; the others go again at once and succeed (A10)."""

    def rule(events: list[dict[str, Any]]) -> tuple[int, Any]:
        hot = [index for index, one in enumerate(events) if one["user_id"] == "hot"]
        return (
            (429, {"code": 429, "error": "Too many", "throttled_users": {"hot": 44}, "throttled_events": hot})
            if hot
            else taken(events)
        )

    with ScriptedServer(ruled(rule)) as server:
        async with client(server, max_retries=1) as amplitude:
            results = await at_once(amplitude, [event("hot"), *(event(f"user-{n}") for n in range(9))])
        assert isinstance(results[0], amplitude_async.RateLimitedError)
        assert results[0].outcome == "not_sent"
        assert results[0].request is not None
        assert results[0].request.attempts == 2
        assert all(result["code"] == 200 for result in results[1:])
        assert sizes(server) == [10, 9, 1]


@pytest.mark.anyio
async def test_a_bad_key_ends_all_at_once() -> None:
    """What is about the key is one request, and everybody's error (A6)."""
    with ScriptedServer(ruled(lambda _: (400, {"code": 400, "error": "Invalid API key: invented-key-1"}))) as server:
        async with client(server) as amplitude:
            results = await at_once(amplitude, [event(f"user-{n}") for n in range(20)])
        assert [type(result) for result in results] == [amplitude_async.AuthenticationError] * 20
        assert len({result.insert_ids for result in results}) == 20
        assert len(server.requests) == 1
        assert "key: ********" in str(results[0])


@pytest.mark.anyio
@pytest.mark.parametrize("wrong", [{"events_ingested": 1}, {"code": 500}])
async def test_an_answer_that_contradicts_its_request_is_asked_again(wrong: dict[str, int], caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is told "delivered" on the first such answer; the second counts; after three in a row nothing goes twice (A2)."""
    with ScriptedServer(ruled(lambda events: (200, {**taken(events)[1], **wrong}))) as server:
        async with client(server) as amplitude:
            for _ in range(5):
                await amplitude.track([event("user-1", n) for n in range(3)])
        assert sizes(server) == [3] * 8
        assert len(set(server.sink)) == 15
        assert server.requests[0].partition(b"\r\n\r\n")[2] == server.requests[1].partition(b"\r\n\r\n")[2]
        assert server.accepted >= 2
    assert sum("contradict" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.anyio
async def test_a_list_travels_as_one_block() -> None:
    """A call's list is in one request with others, and a long one in several, with one result."""
    with ScriptedServer(ruled(taken)) as server:
        async with client(server) as amplitude:
            results = await at_once(amplitude, [[event(f"user-{n}") for n in range(30)], event("user-99"), [event("user-98")] * 2])
            assert [result["events_ingested"] for result in results] == [30, 1, 2]
            assert sizes(server) == [33]
            long = await amplitude.track([event(f"user-{n % 7}", n) for n in range(2500)])
        assert long["events_ingested"] == 2500
        assert sizes(server)[1:] == [1000, 1000, 500]


@pytest.mark.anyio
async def test_some_of_a_list_is_a_partial_delivery() -> None:
    """Positions in the error are those of the caller's own list, whoever else was in the request."""

    def rule(events: list[dict[str, Any]]) -> tuple[int, Any]:
        bad = [index for index, one in enumerate(events) if one["event_properties"]["n"] == 13]
        return (400, {"code": 400, "error": "no", "events_with_missing_fields": {"user_id": bad}}) if bad else taken(events)

    with ScriptedServer(ruled(rule)) as server:
        async with client(server) as amplitude:
            results = await at_once(amplitude, [event("z", 1), [event("a", 12), event("b", 13), event("c", 14)], event("y", 2)])
        error = results[1]
        assert isinstance(error, PartialDeliveryError)
        assert (error.delivered, set(error.failed), len(error.insert_ids)) == ((0, 2), {1}, 1)
        assert results[0]["events_ingested"] == results[2]["events_ingested"] == 1


@pytest.mark.anyio
async def test_a_cancelled_call_is_withdrawn_while_it_waits_and_sent_once_it_flies() -> None:
    """What waits behind its identity is withdrawn; what is in flight arrives; the identity goes on (C1)."""
    with ScriptedServer(ruled(taken, seconds=0.05)) as server:
        async with client(server) as amplitude:
            with anyio.move_on_after(0.02):
                await amplitude.track(event("a", 1))
            with anyio.move_on_after(0.005):
                await amplitude.track(event("a", 2))
            await amplitude.track(event("a", 3))
            sharing = amplitude._caller.connection.sharing
            assert sharing is not None
            assert not sharing._waiting
        arrived = [one["event_properties"]["n"] for request in server.requests for one in sent_events(request)]
        assert arrived == [1, 3]


@pytest.mark.anyio
async def test_each_caller_has_its_own_deadline() -> None:
    """A caller whose time is over leaves the shared request, sent or not sent; the other one waits on (ground rule 8)."""
    with ScriptedServer(stall) as server:
        limits = Timeout(attempt=5.0, call=5.0)
        async with client(server, timeout=limits, max_retries=0) as amplitude:
            ends: dict[str, tuple[float, str | None]] = {}
            began = time.monotonic()

            async def call(name: str, user: str, seconds: float) -> None:
                # The same limits of an attempt, so they may share; another limit of the call would part them.
                view = amplitude.with_options(timeout=limits._replace(call=seconds))
                with pytest.raises(amplitude_async.RequestTimeoutError) as caught:
                    await view.track(event(user))
                ends[name] = (time.monotonic() - began, caught.value.outcome)

            async with anyio.create_task_group() as group:
                group.start_soon(call, "flies", "a", 1.5)
                await anyio.sleep(0.05)
                group.start_soon(call, "waits", "a", 0.1)
        assert ends["flies"][1] == "unknown"
        assert ends["waits"][1] == "not_sent"
        assert max(ends["waits"][0], ends["flies"][0]) < 4


@pytest.mark.anyio
async def test_closing_lets_what_was_called_end_and_refuses_the_rest() -> None:
    """Calls that wait when the client closes are still sent, within its limit; later ones are refused."""
    with ScriptedServer(ruled(taken, seconds=0.02)) as server:
        amplitude = client(server)
        results: list[Any] = []

        async def call(number: int) -> None:
            results.append(await amplitude.track(event("a", number)))

        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(call, number)
                await anyio.sleep(0.005)
            await amplitude.aclose()
            with pytest.raises(ClosedError):
                await amplitude.track(event("a"))
        assert len(results) == 3
    with ScriptedServer(stall) as server:
        amplitude = client(server)
        errors: list[Any] = []

        async def stuck() -> None:
            try:
                await amplitude.track(event("a"))
            except AmplitudeError as error:
                errors.append((type(error).__name__, error.outcome))

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(stuck)
                await anyio.sleep(0.01)
            await amplitude.aclose(timeout=0.05)
        assert sorted(errors) == [("ClosedError", "not_sent"), ("ClosedError", "not_sent"), ("TransportError", "unknown")]


@pytest.mark.anyio
async def test_no_request_is_over_the_limits_and_no_more_are_out_than_may_be() -> None:
    """Large events are dealt out to requests under 900 kB, at most eight in flight at a time (E7)."""
    most = now = 0
    lock = threading.Lock()

    def rule(events: list[dict[str, Any]]) -> tuple[int, Any]:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:
            now -= 1
        return taken(events)

    with ScriptedServer(ruled(rule)) as server:
        async with client(server) as amplitude:
            await at_once(amplitude, [event(f"user-{n}", text="x" * 300_000) for n in range(60)])
        assert all(len(request.partition(b"\r\n\r\n")[2]) < 901_000 for request in server.requests)
        assert sum(sizes(server)) == 60
        assert most <= 8


@pytest.mark.anyio
@pytest.mark.parametrize("step", [good, ruled(taken)])
async def test_nothing_is_left_of_a_call(step: Step) -> None:
    """After calls of every kind no task, slot or parcel stays behind (ground rule 15)."""
    with ScriptedServer(step) as server:
        async with client(server, max_connections=3) as amplitude:
            for number in range(120):
                with anyio.move_on_after(number * 0.0001):
                    await amplitude.track([event("a", number), event(f"user-{number}")])
            await amplitude.track(event("a"))
            with anyio.fail_after(5):
                while amplitude._caller.tasks.alive:
                    await anyio.sleep(0.01)
            sharing = amplitude._caller.connection.sharing
            slots = amplitude._caller.slots
            assert sharing is not None
            assert slots is not None
            assert (sharing._out, sharing._is_starting, sharing._waiting, slots.free) == (0, False, set(), 3)
            assert sharing._queue.events == 0
            assert not sharing._queue._in_flight


@pytest.mark.anyio
async def test_what_cannot_be_built_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transport whose package is missing is an error at the call, not when its time is over."""
    monkeypatch.setitem(sys.modules, "httpx2", None)
    async with AsyncAmplitude("invented-key-1", base_url="http://127.0.0.1:1", transport="httpx2") as amplitude:
        with anyio.fail_after(5), pytest.raises(ConfigurationError, match=r"amplitude-async\[httpx2\]"):
            await amplitude.track(event("user"))


@pytest.mark.anyio
async def test_an_unknown_outcome_of_one_half_is_not_forgotten_for_the_other() -> None:
    """A call that goes in halves, of which the first got no trustworthy answer, may have been ingested (ground rule 3)."""
    answers = [(413, {}), (200, "<html>")]

    def rule(events: list[dict[str, Any]]) -> tuple[int, Any]:
        return answers.pop(0)

    with ScriptedServer(ruled(rule)) as server:
        async with client(server, max_retries=0) as amplitude:
            with anyio.fail_after(5), pytest.raises(AmplitudeError) as caught:
                await amplitude.track([event(f"user-{number}") for number in range(4)])
    assert caught.value.outcome == "unknown"
    assert not answers


@pytest.mark.anyio
async def test_no_half_overtakes_the_other() -> None:
    """When the first half of a request fails, the second waits for it: events of one identity arrive in order (ground rule 6)."""
    answers: list[tuple[int, Any]] = [(413, {}), (503, {})]

    def rule(events: list[dict[str, Any]]) -> tuple[int, Any]:
        return answers.pop(0) if answers else taken(events)

    with ScriptedServer(ruled(rule)) as server:
        async with client(server, backoff=NO_WAIT) as amplitude:
            with anyio.fail_after(5):
                assert (await amplitude.track([event("user", number) for number in range(4)]))["events_ingested"] == 4
        arrived = [one["event_properties"]["n"] for request in server.requests[2:] for one in sent_events(request)]
    assert arrived == [0, 1, 2, 3]


@pytest.mark.anyio
@pytest.mark.parametrize("place", ["_take", "_send"])
async def test_a_flight_that_fails_for_no_known_reason_is_heard_of(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers get an error of ours that shows nothing of the fault's own words, and the next call works."""

    def fail(*_: object, **__: object) -> None:
        message = "canary"
        raise ZeroDivisionError(message)

    with ScriptedServer(ruled(taken)) as server:
        async with client(server, max_retries=0) as amplitude:
            with anyio.fail_after(5):
                with monkeypatch.context() as broken:
                    broken.setattr(sharing.Sharing, place, fail)
                    results = await at_once(amplitude, [event(f"user-{n}") for n in range(5)])
                assert [str(result) for result in results] == ["the upload failed (ZeroDivisionError)"] * 5
                assert {result.outcome for result in results} == {"unknown" if place == "_send" else "not_sent"}
                assert (await amplitude.track(event("user")))["events_ingested"] == 1
