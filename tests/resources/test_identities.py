"""Mappings, attribution and batches as data, and what becomes of each event of a batch. Against a fake that runs Calls."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_async import (
    AmplitudeError,
    AuthenticationError,
    BadRequestError,
    InvalidArgumentError,
    InvalidEventError,
    PartialDeliveryError,
    PayloadTooLargeError,
    RateLimitedError,
    ServerError,
)
from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.codec import MalformedError
from amplitude_async.events import Defaults
from amplitude_async.resources.batches import batch
from amplitude_async.resources.identities import alias, attribution_call, mappings_call, pack_mappings, user_mappings

sys.path.insert(0, str(Path(__file__).parent))
from runners import FakeRunner, form_of, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from amplitude_async._protocol.call import Call

ONE = {"user_id": "ada-web", "global_user_id": "ada@example.org"}
IOS = {"event_type": "[Acme Ads] Install", "platform": "ios", "idfa": "AEBE-1"}


# Mappings


def test_a_mapping_is_a_form_with_the_public_key() -> None:
    """Mapping and unmapping go out as one JSON list, to the mapping host, and take as much of the quota as they are."""
    runner = FakeRunner(lambda _: b"success")
    assert run(alias(runner, [ONE, {"user_id": "bob-old", "unmap": True}])) == "success"
    (call,) = runner.calls
    assert (call.api, call.method, call.path, call.credential, call.repeatable) == ("mapping", "POST", "/usermap", "in_body", True)
    assert call.uses == (Use("mapping", 2),)
    assert form_of(call)["api_key"] == "key"
    assert json.loads(form_of(call)["mapping"]) == [ONE, {"user_id": "bob-old", "unmap": True}]


@pytest.mark.parametrize(
    "mapping", [ONE, {"userId": "ada-web", "globalUserId": "ada@example.org"}, {**ONE, "unmap": False}, {**ONE, "unmap": None}]
)
def test_what_a_mapping_may_be(mapping: dict[str, Any]) -> None:
    """Either spelling is accepted, and a mapping alone is a list of one."""
    (packed,) = pack_mappings(mapping)
    assert {**json.loads(packed.body), "unmap": False} == {**ONE, "unmap": False}


@pytest.mark.parametrize(
    ("mappings", "path"),
    [
        ([], "mappings"),
        ("ada", "mappings"),
        ([ONE, {"user_id": "bob"}], "mappings[1].global_user_id"),
        ({"global_user_id": "x"}, "mappings[0].user_id"),
        ({"user_id": " ", "global_user_id": "x"}, "mappings[0].user_id"),
        ({"user_id": "bob", "global_user_id": ""}, "mappings[0].global_user_id"),
        ({**ONE, "unmap": True}, "mappings[0].global_user_id"),
        ({"user_id": "bob", "unmap": "yes"}, "mappings[0].unmap"),
        ({5: 5}, "mappings[0]"),
        ({**ONE, "x": float("nan")}, "mappings[0].x"),
    ],
)
def test_what_a_mapping_may_not_be(mappings: Any, path: str) -> None:
    """Anything wrong is refused with its place, before any is sent."""
    with pytest.raises(InvalidEventError) as caught:
        pack_mappings(mappings)
    assert (caught.value.path, caught.value.argument) == (path, "mappings")


def test_long_lists_of_mappings_are_split() -> None:
    """No request has more than 1,500, none is lost, and no deadline of the whole makes the second one wait in vain."""
    runner = FakeRunner(lambda _: b"success")
    users = [{"user_id": f"user-{n}", "global_user_id": "x" * 20} for n in range(3100)]
    run(alias(runner, users))
    sent = [json.loads(form_of(call)["mapping"]) for call in runner.calls]
    assert [len(part) for part in sent] == [1500, 1500, 100]
    assert [one for part in sent for one in part] == users
    assert runner.deadlines == [None] * 3


def test_mappings_are_asked_for_by_a_hundred() -> None:
    """Ids are a repeated query key; the answers of several requests are one."""

    def rule(call: Call) -> bytes:
        return json.dumps({user_id: {"mapped_to": [{"user_id": "x"}]} for _, user_id in call.query}).encode()

    runner = FakeRunner(rule)
    ids = [f"user-{n}" for n in range(250)]
    found = run(user_mappings(runner, [*ids, *ids]))
    assert list(found) == ids
    assert found["user-7"] == {"mapped_from": [], "mapped_to": [{"user_id": "x"}]}
    assert [len(call.query) for call in runner.calls] == [100, 100, 50]
    call = runner.calls[0]
    assert (call.api, call.method, call.path, call.credential) == ("dashboard", "GET", "/api/2/usermap", "project")
    assert call.query[1] == ("user_ids", "user-1")
    for wrong in ([], "", [" "], "*", None):
        with pytest.raises(InvalidArgumentError):
            run(user_mappings(runner, wrong))


SHEET = {
    "ada-web": {
        "amplitude_id": 1610447001001,
        "mapped_from": [],
        "mapped_to": [{"amplitude_id": 1610447001002, "user_id": "ada@x.org"}],
    },
    "ada@x.org": {
        "amplitude_id": 1610447001002,
        "mapped_from": [{"amplitude_id": 1610447001001, "user_id": "ada-web"}],
        "mapped_to": [],
    },
}
NONE: dict[str, Any] = {"mapped_from": [], "mapped_to": []}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (SHEET, SHEET),
        ({"a": {"mappings": SHEET["ada-web"]}}, {"a": SHEET["ada-web"]}),
        ({"a": {"amplitude_id": 5, "mappings": {"mapped_to": [], "new": 1}}}, {"a": {**NONE, "amplitude_id": 5, "new": 1}}),
        ({"a": {}, "b": [], "c": None, "d": {"mappings": []}}, {"a": NONE, "b": NONE, "c": NONE, "d": NONE}),
        ({}, {}),
        ([], {}),
    ],
)
def test_answers_come_to_one_shape(answer: Any, expected: Any) -> None:
    """With and without the level that only the page's table has, and whatever stands for nothing; unknown keys survive."""
    assert mappings_call(["a"]).reads(json.dumps(answer).encode()) == expected


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"a":5}', b'"success"'])
def test_what_is_no_answer(body: bytes) -> None:
    """A page or a number is not taken for nobody's mappings."""
    with pytest.raises(MalformedError):
        mappings_call(["a"]).reads(body)


# Attribution


@pytest.mark.parametrize(
    "event",
    [
        IOS,
        {**IOS, "idfa": None, "idfv": "V-1"},
        {"event_type": "x", "platform": "android", "adid": "a"},
        {"eventType": "x", "platform": "android", "android_app_set_id": "s", "userProperties": {"[Acme] c": 1}},
    ],
)
def test_an_attribution_is_a_form(event: dict[str, Any]) -> None:
    """One event as JSON text, by the public key; it is not repeated, since nothing tells two from one."""
    call = attribution_call(event)
    assert (call.api, call.method, call.path, call.credential) == ("ingestion", "POST", "/attribution", "in_body")
    assert call.repeatable is False
    assert call.reads(b"success") == "success"
    sent = json.loads(form_of(call)["event"])
    assert sent["event_type"] == event.get("event_type", "x")
    assert None not in sent.values()
    assert not {"eventType", "userProperties"} & set(sent)


def test_the_time_of_an_attribution_is_milliseconds() -> None:
    """A datetime is converted, a number passes, and the caller's mapping stays as it was."""
    event = {**IOS, "time": datetime(2026, 5, 4, 9, tzinfo=UTC)}
    assert json.loads(form_of(attribution_call(event))["event"])["time"] == 1_777_885_200_000
    assert event["time"] == datetime(2026, 5, 4, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("event", "path"),
    [
        ("x", "event"),
        ([IOS], "event"),
        ({**IOS, "event_type": ""}, "event.event_type"),
        ({**IOS, "platform": "iPhone"}, "event.platform"),
        ({**IOS, "platform": None}, "event.platform"),
        ({**IOS, "idfa": " "}, "event.idfa"),
        ({**IOS, "platform": "android"}, "event.adid"),
        ({**IOS, "user_properties": {"x": b""}}, "event.user_properties.x"),
        ({**IOS, "user_properties": {"x": "y" * 10**6}}, "event"),
    ],
)
def test_what_an_attribution_may_not_be(event: Any, path: str) -> None:
    """What Amplitude needs to find the user is asked for here."""
    with pytest.raises(InvalidEventError) as caught:
        attribution_call(event)
    assert (caught.value.path, caught.value.argument) == (path, "event")


# Batches


def upload(runner: FakeRunner, events: Any, **options: Any) -> Any:
    numbers = iter(range(10**6))
    stamp = lambda: (f"i{next(numbers)}", 5)  # noqa: E731 - short
    chosen = {"options": None, "timeout": None, **options}
    return run(batch(runner, events, defaults=Defaults(), stamp=stamp, **chosen))


def events_of(call: Call) -> list[dict[str, Any]]:
    assert call.body is not None
    found: list[dict[str, Any]] = json.loads(call.body.render("key"))["events"]
    return found


def answered(rule: Callable[[list[dict[str, Any]]], AmplitudeError | None]) -> tuple[FakeRunner, list[list[Any]]]:
    """Return a runner whose rule sees the events of each request, and the numbers of those that were taken, by request."""
    taken: list[list[Any]] = []

    def answer(call: Call) -> bytes:
        assert call.path == "/batch"
        events = events_of(call)
        error = rule(events)
        if error is not None:
            raise error
        taken.append([event["event_properties"]["n"] for event in events])
        return json.dumps({"code": 200, "server_upload_time": 7, "payload_size_bytes": 9, "events_ingested": len(events)}).encode()

    return FakeRunner(answer), taken


def made(count: int, users: int = 10) -> list[dict[str, Any]]:
    return [{"event_type": "x", "user_id": f"user-{n % users}", "event_properties": {"n": n}} for n in range(count)]


def too_fast(events: list[dict[str, Any]], *users: str, quota: tuple[str, ...] = ()) -> RateLimitedError | None:
    """Refuse requests with events of these users, naming them and the events as the Batch API does."""
    named = [index for index, event in enumerate(events) if event["user_id"] in {*users, *quota}]
    if not named:
        return None
    data: dict[str, Any] = {
        "code": 429,
        "error": "Too many requests for some devices and users",
        "throttled_users": dict.fromkeys(users, 4000),
        "throttled_devices": {},
        "exceeded_daily_quota_users": dict.fromkeys(quota, 500_123),
        "exceeded_daily_quota_devices": {},
        "throttled_events": named,
    }
    error = RateLimitedError("too many", status=429, data=data, outcome="not_sent")
    error.throttled_users = data["throttled_users"]
    error.throttled_events = tuple(named)
    return error


def test_a_batch_is_2000_events_of_the_same_form_as_a_track() -> None:
    """A long list goes out in order; the count is that of the call."""
    runner, taken = answered(lambda _: None)
    assert upload(runner, made(4500), options={"min_id_length": 2}) == {
        "code": 200,
        "server_upload_time": 7,
        "payload_size_bytes": 9,
        "events_ingested": 4500,
    }
    assert [len(part) for part in taken] == [2000, 2000, 500]
    assert [n for part in taken for n in part] == list(range(4500))
    call = runner.calls[0]
    assert (call.method, call.credential, call.repeatable, call.events) == ("POST", "in_body", True, 2000)
    assert 429 in call.final
    assert call.body is not None
    assert b'"options":{"min_id_length":2}' in call.body.render("key")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 900_000), min_size=1, max_size=40))
def test_no_batch_is_larger_than_8_mb(sizes: list[int]) -> None:
    """By bytes as by count."""
    runner, _ = answered(lambda _: None)
    upload(
        runner, [{"event_type": "x", "user_id": "user", "event_properties": {"n": n, "t": "x" * size}} for n, size in enumerate(sizes)]
    )
    assert all(len(call.body.render("key")) <= 8_000_200 for call in runner.calls if call.body is not None)


def test_who_is_too_fast_waits_and_the_others_go_on() -> None:
    """Throttled users are left alone for 15 s, also in later requests; everybody else's events go at once; order holds by user."""
    refusals = 3

    def rule(events: list[dict[str, Any]]) -> AmplitudeError | None:
        nonlocal refusals
        error = too_fast(events, "user-3") if refusals else None
        refusals -= error is not None
        return error

    runner, taken = answered(rule)
    assert upload(runner, made(4500))["events_ingested"] == 4500
    assert runner.pauses == [15.0, 15.0, 15.0]
    order = [n for part in taken for n in part]
    assert sorted(order) == list(range(4500))
    assert [n for n in order if n % 10 == 3] == list(range(3, 4500, 10))
    assert [n for n in order if n % 10 == 4] == list(range(4, 4500, 10))
    assert all(n % 10 == 3 for n in order[-450:])


def test_who_is_over_the_quota_of_the_day_is_given_up() -> None:
    """Their events fail at once, and nobody waits for them."""
    runner, taken = answered(lambda events: too_fast(events, quota=("user-1",)))
    with pytest.raises(PartialDeliveryError) as caught:
        upload(runner, made(100))
    assert list(caught.value.failed) == list(range(1, 100, 10))
    assert isinstance(caught.value.failed[1], RateLimitedError)
    assert caught.value.outcome == "not_sent"
    assert (runner.pauses, sum(map(len, taken))) == ([], 90)


def test_waiting_ends() -> None:
    """After eight waits without progress, or where the time is over, the throttled events fail and the others are delivered."""
    runner, taken = answered(lambda events: too_fast(events, "user-3"))
    with pytest.raises(PartialDeliveryError) as caught:
        upload(runner, made(100))
    assert list(caught.value.failed) == list(range(3, 100, 10))
    assert runner.pauses == [15.0] * 8
    runner, taken = answered(lambda events: too_fast(events, "user-3"))
    with pytest.raises(PartialDeliveryError):
        upload(runner, made(100), timeout=40)
    assert (runner.pauses, sum(map(len, taken))) == ([15.0, 15.0], 90)
    assert set(runner.deadlines) == {1040.0}
    runner, _ = answered(lambda events: too_fast(events, "user-3"))
    with pytest.raises(RateLimitedError):
        upload(runner, made(4)[3:], timeout=1)


def test_a_429_that_names_nobody_holds_everything() -> None:
    """It is about the project: all wait as long as it asks, and nothing overtakes."""
    errors = [RateLimitedError("slow down", status=429, data=None, outcome="not_sent") for _ in range(2)]
    errors[0].retry_after = 60.0
    waiting = list(errors)
    runner, taken = answered(lambda _: waiting.pop(0) if waiting else None)
    upload(runner, made(4500))
    assert runner.pauses == [60.0, 15.0]
    assert [n for part in taken for n in part] == list(range(4500))


def test_refused_events_are_taken_out_and_too_much_is_halved() -> None:
    """As with track: what a 400 names fails alone, a 413 and a 400 without a word are halved down to the culprit."""

    def named(events: list[dict[str, Any]]) -> AmplitudeError | None:
        bad = [index for index, event in enumerate(events) if event["event_properties"]["n"] in {5, 7}]
        data = {"code": 400, "events_with_invalid_fields": {"time": bad}}
        return BadRequestError("no", status=400, data=data, outcome="rejected") if bad else None

    def silent(events: list[dict[str, Any]]) -> AmplitudeError | None:
        bad = any(event["event_properties"]["n"] in {5, 7} for event in events)
        return BadRequestError("no", status=400, data="no", outcome="rejected") if bad else None

    def heavy(events: list[dict[str, Any]]) -> AmplitudeError | None:
        return PayloadTooLargeError("no", status=413, outcome="rejected") if len(events) > 16 else None

    for rule in (named, silent):
        runner, taken = answered(rule)
        with pytest.raises(PartialDeliveryError) as caught:
            upload(runner, made(100))
        assert list(caught.value.failed) == [5, 7]
        assert sum(map(len, taken)) == 98
    runner, taken = answered(heavy)
    assert upload(runner, made(100))["events_ingested"] == 100
    assert [n for part in taken for n in part] == list(range(100))


@pytest.mark.parametrize(
    "error", [ServerError("no", status=500, outcome="unknown"), AuthenticationError("no", status=400, outcome="rejected")]
)
def test_what_concerns_the_server_ends_a_batch(error: AmplitudeError) -> None:
    """Nothing more is sent; what was not sent says so."""
    requests = 0

    def rule(_: list[dict[str, Any]]) -> AmplitudeError | None:
        nonlocal requests
        requests += 1
        return error if requests == 2 else None

    runner, _ = answered(rule)
    with pytest.raises(PartialDeliveryError) as caught:
        upload(runner, made(5000))
    assert len(caught.value.delivered) == 2000
    assert {caught.value.failed[n].outcome for n in range(2000, 4000)} == {error.outcome}
    assert {caught.value.failed[n].outcome for n in range(4000, 5000)} == {"not_sent"}
    assert len(runner.calls) == 2


def test_events_are_checked_before_any_is_sent() -> None:
    """One bad event of many is refused with its place, and so are options that are none."""
    runner, _ = answered(lambda _: None)
    with pytest.raises(InvalidEventError, match=r"events\[1\]"):
        upload(runner, [*made(1), {"user_id": "user-1"}])
    with pytest.raises(InvalidArgumentError):
        upload(runner, made(1), options=5)
    with pytest.raises(InvalidArgumentError):
        upload(runner, made(1), timeout=0)
    assert runner.calls == []


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=60),
    st.lists(st.sampled_from(["ok", "throttle", "quota", "general", "413", "silent"]), max_size=12),
    st.integers(0, 4),
)
def test_every_event_has_one_fate(users: list[int], script: list[str], victim: int) -> None:
    """Whatever comes back, each event is delivered once or failed once, and a user's delivered events are in order."""
    events = [{"event_type": "x", "user_id": f"user-{user}", "event_properties": {"n": n}} for n, user in enumerate(users)]
    steps = iter(script)

    def rule(sent: list[dict[str, Any]]) -> AmplitudeError | None:
        step = next(steps, "ok")
        if step == "throttle":
            return too_fast(sent, f"user-{victim}")
        if step == "quota":
            return too_fast(sent, quota=(f"user-{victim}",))
        if step == "general":
            return RateLimitedError("slow", status=429, outcome="not_sent")
        if step == "413":
            return PayloadTooLargeError("no", status=413, outcome="rejected")
        return BadRequestError("no", status=400, outcome="rejected") if step == "silent" else None

    runner, taken = answered(rule)
    failed: set[int] = set()
    said: set[int] | None = None
    try:
        upload(runner, events)
    except PartialDeliveryError as partial:
        failed, said = set(partial.failed), set(partial.delivered)
    except AmplitudeError:
        failed = set(range(len(events)))
    delivered = [n for part in taken for n in part]
    assert said is None or said == set(delivered)
    assert sorted([*delivered, *failed]) == list(range(len(events)))
    for user in set(users):
        own = [n for n in delivered if users[n] == user]
        assert own == sorted(own)
