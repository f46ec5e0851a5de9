"""What becomes of the events of a refused request: A3, A4, A5, A9, A10 of the fault list, as tables and by chance."""

from __future__ import annotations

import json
from math import log2
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_async import errors
from amplitude_async._protocol.uploads import BATCH, HTTP_V2, LEARNED_SECONDS, Learned, Sifter, upload_call
from amplitude_async._protocol.verdict import Doubts, Fate, Reply, RetryBudget, Verdict, fate_of, judge, pause_after

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Event(NamedTuple):
    """An event with nothing but what the rules look at."""

    number: int
    body: bytes
    identity: str = "user-1"

    @property
    def insert_id(self) -> str:
        return f"id-{self.number}"


def events(count: int, size: int = 20) -> list[Event]:
    return [Event(number, b"x" * size) for number in range(count)]


def verdict(status: int, data: Any = None, headers: dict[str, str] | None = None, count: int = 3) -> Verdict:
    """What an answer comes to, by way of the reader of answers."""
    body = data if isinstance(data, bytes) else json.dumps({} if data is None else data).encode()
    call = upload_call([b"{}"] * count, (), None)
    return judge(call, Reply(status, headers or {}, body), now=0.0, secrets=tuple)


def fate(status: int, data: Any = None, headers: dict[str, str] | None = None, count: int = 3) -> Fate:
    return fate_of(verdict(status, data, headers, count), count)


@pytest.mark.parametrize(
    ("status", "data", "rest"),
    [
        (200, {"code": 200, "events_ingested": 3}, "delivered"),
        (200, b"", "retry"),
        (200, b"<html>", "retry"),
        (200, b'{"code":200', "retry"),
        (200, [1], "retry"),
        (200, b"[" * 200_000, "retry"),
        (200, b'{"code":200,"x":"\xff"}', "retry"),
        (200, b'{"code":NaN}', "retry"),
        (200, b'{"code":200,"code":200}', "retry"),
        (400, {"code": 400, "error": "Invalid API key: abc"}, "pause"),
        (400, {"code": 400, "error": "Request missing required field", "missing_field": "api_key"}, "refused"),
        (400, {}, "bisect"),
        (400, b"<html>", "bisect"),
        (400, {"error": "Invalid event JSON"}, "bisect"),
        (401, None, "pause"),
        (403, {"error": "Forbidden"}, "bisect"),
        (404, None, "refused"),
        (405, None, "refused"),
        (408, None, "retry"),
        (410, None, "refused"),
        (411, None, "refused"),
        (413, None, "halve"),
        (414, None, "refused"),
        (415, None, "refused"),
        (421, None, "refused"),
        (422, None, "bisect"),
        (425, None, "retry"),
        (429, None, "retry"),
        (431, None, "refused"),
        (451, None, "refused"),
        *((status, None, "retry") for status in (500, 502, 503, 504, 520, 529, 598, 599)),
        *((status, None, "pause") for status in (300, 301, 302, 303, 304, 307, 308)),
    ],
)
def test_what_an_answer_means_for_a_batch(status: int, data: Any, rest: str) -> None:
    """Each answer of A1 to A16 has one meaning for the events it says nothing else of."""
    assert fate(status, data).rest == rest


def test_index_maps_reject_what_they_name_with_field_and_reason() -> None:
    """Every kind of map, in one body, names its events; what it cannot mean is ignored (A3)."""
    data = {
        "events_with_invalid_fields": {"time": [0, 99, -1, "2", True]},
        "events_with_missing_fields": {"event_type": [1]},
        "events_missing_required_fields": {"user_id": [2]},
        "events_with_invalid_id_lengths": {"device_id": [3, 0]},
        "silenced_events": [4],
        "throttled_events": [5, 4],
    }
    found = fate(400, data, count=8)
    assert found.rest == "resend"
    assert found.rejected == {
        0: "invalid field: time",
        1: "missing field: event_type",
        2: "missing field: user_id",
        3: "invalid length: device_id",
        4: "its device is silenced",
    }
    assert found.throttled == {5}


@pytest.mark.parametrize(
    ("data", "rest", "throttled", "ids", "quota"),
    [
        ({"throttled_events": [0, 2]}, "resend", {0, 2}, set(), set()),
        ({"throttled_users": {"ada": 44}, "throttled_devices": {"d": 31}}, "resend", set(), {"ada", "d"}, set()),
        ({"throttled_events": [1], "exceeded_daily_quota_users": {"bob": 500123}}, "resend", {1}, set(), {"bob"}),
        ({"throttled_events": [], "throttled_users": {}}, "retry", set(), set(), set()),
        ({"throttled_events": [7]}, "retry", set(), set(), set()),
        ({}, "retry", set(), set(), set()),
    ],
)
def test_what_a_429_names(data: Any, rest: str, throttled: set[int], ids: set[str], quota: set[str]) -> None:
    """A 429 with maps is about those it names; without, it is about everybody (A10, A11)."""
    found = fate(429, data)
    assert found.rest == rest
    assert (set(found.throttled), set(found.throttled_ids), set(found.quota_ids)) == (throttled, ids, quota)


@pytest.mark.parametrize(
    ("hint", "wait"),
    [
        ("30", 30.0),
        ("0", 1.0),
        (None, 0.25),
        ("-5", 0.25),
        ("soon", 0.25),
        ("1000000000", 600.0),
        ("Thu, 01 Jan 1970 00:01:00 GMT", 60.0),
    ],
)
def test_how_long_everybody_waits(hint: str | None, wait: float) -> None:
    """A hint is honoured between a second and ten minutes; nonsense means our own backoff (A11)."""
    headers = {} if hint is None else {"retry-after": hint}
    assert pause_after(fate(429, None, headers).wait, 0.25) == wait


@pytest.mark.parametrize(
    ("data", "doubt"),
    [
        ({"code": 200, "events_ingested": 3}, ""),
        ({"code": 200}, ""),
        ({}, ""),
        ({"code": 200, "events_ingested": "2"}, ""),
        ({"code": 200, "events_ingested": True}, ""),
        ({"code": 200, "events_ingested": 2}, "it speaks of 2 events, 3 were sent"),
        ({"code": 400, "events_ingested": 3}, "its code is 400"),
    ],
)
def test_a_200_that_contradicts_its_request_leaves_doubt(data: Any, doubt: str) -> None:
    """A count or a code that cannot be about this request is noticed; sizes are not judged (A2)."""
    assert verdict(200, {**data, "payload_size_bytes": 1}).doubt == doubt


def test_doubt_ends_when_a_server_always_contradicts() -> None:
    """After three confirmed contradictions in a row nothing is sent twice any more; one plain answer starts that anew (A2)."""
    doubts = Doubts()
    for _ in range(3):
        assert doubts.sends_again("no")
        doubts.confirmed("no")
    assert not doubts.sends_again("no")
    assert not doubts.sends_again("")
    assert doubts.sends_again("no")
    assert [doubts.warns(now) for now in (0.0, 59.0, 60.0, 61.0)] == [True, False, True, False]


def test_a_failing_server_is_asked_a_bounded_number_of_times() -> None:
    """However many first attempts there are, retries stay within a tenth of them plus 100 (ground rule 10)."""
    budget = RetryBudget()
    retries = 0
    for _ in range(1000):
        budget.note(is_retry=False)
        while budget.allows:
            budget.note(is_retry=True)
            retries += 1
    assert retries <= 0.1 * 1000 + 100
    budget.succeeded()
    assert budget.allows


class Run(NamedTuple):
    """What a server's rule made of a batch."""

    requests: int
    delivered: list[int]
    rejected: dict[int, str]
    culprits: list[int]
    too_large: list[int]
    halved: list[int]


def run(batch: Sequence[Event], rule: Callable[[Sequence[Event]], Verdict]) -> Run:
    sifter = Sifter(batch)
    result = Run(0, [], {}, [], [], [])
    requests = 0
    while part := sifter.next():
        requests += 1
        assert requests < 5000
        sifted = sifter.take(rule(part))
        if sifted.kind == "delivered":
            result.delivered.extend(event.number for event in sifted.rest)
        result.rejected.update({event.number: reason for event, reason in sifted.rejected})
        result.culprits.extend(event.number for event in sifted.culprits)
        result.too_large.extend(event.number for event in sifted.too_large)
        result.halved.extend([sifted.halved] if sifted.halved else [])
    return result._replace(requests=requests)


GOOD = Verdict(value={"code": 200})


@given(st.sets(st.integers(0, 99)), st.sets(st.integers(0, 99)), st.sets(st.integers(0, 99)), st.integers(1, 100))
@settings(max_examples=300, deadline=None)
def test_listed_events_are_rejected_and_all_others_delivered(a: set[int], b: set[int], c: set[int], count: int) -> None:
    """Whatever the maps list, exactly that is rejected and the rest is delivered in order, in two requests at most (A3)."""

    def rule(part: Sequence[Event]) -> Verdict:
        at = {name: [i for i, event in enumerate(part) if event.number in bad] for name, bad in (("a", a), ("b", b), ("c", c))}
        if not any(at.values()):
            return GOOD
        maps = {"events_with_invalid_fields": {"time": at["a"]}, "events_with_invalid_id_lengths": {"user_id": at["b"]}}
        return verdict(400, {**maps, "silenced_events": at["c"]}, count=len(part))

    result = run(events(count), rule)
    bad = {number for number in a | b | c if number < count}
    assert set(result.rejected) == bad
    assert result.delivered == [number for number in range(count) if number not in bad]
    assert result.requests <= 2


def test_maps_that_name_only_the_first_are_followed_to_the_end() -> None:
    """Ten bad of a hundred, one named at a time: 90 delivered, 10 rejected, 11 requests (A4)."""

    def rule(part: Sequence[Event]) -> Verdict:
        bad = [i for i, event in enumerate(part) if event.number % 10 == 0]
        return verdict(400, {"events_with_invalid_fields": {"time": bad[:1]}}) if bad else GOOD

    result = run(events(100), lambda part: rule(part) if len(part) >= 3 else GOOD)
    assert (len(result.delivered), len(result.rejected), result.requests) == (90, 10, 11)


def test_an_unexplained_refusal_is_bisected() -> None:
    """Three bad of 256 and never a word which: 253 delivered in order, the three found, within 60 requests (A5)."""
    result = run(events(256), lambda part: verdict(400, b"<html>") if any(event.number in {5, 77, 200} for event in part) else GOOD)
    assert result.culprits == [5, 77, 200]
    assert result.delivered == [number for number in range(256) if number not in {5, 77, 200}]
    assert result.requests <= 60


@given(st.lists(st.integers(10, 300) | st.integers(2990, 4000), min_size=1, max_size=400))
@settings(max_examples=100, deadline=None)
def test_what_is_too_much_is_halved(sizes: list[int]) -> None:
    """Against a hidden limit everything that fits is delivered in order, with a bounded number of requests (A9)."""
    limit = 3000
    batch = [Event(number, b"x" * size) for number, size in enumerate(sizes)]
    result = run(batch, lambda part: verdict(413) if sum(len(event.body) + 1 for event in part) > limit else GOOD)
    assert result.too_large == [number for number, size in enumerate(sizes) if size + 1 > limit]
    assert result.delivered == [number for number, size in enumerate(sizes) if size + 1 <= limit]
    total = sum(size + 1 for size in sizes)
    large = sum(size > 300 for size in sizes)
    assert result.requests <= 2 * (total / limit) + 2 * log2(len(sizes)) + 2 * large + 2


def test_a_size_that_was_too_much_is_remembered_for_ten_minutes() -> None:
    """After a 413 requests are half that size, and full size is tried again only ten minutes later (A9)."""
    learned = Learned()
    assert learned.limit(900_000, 0.0) == 900_000
    learned.refused(800_000, 0.0)
    assert learned.limit(900_000, LEARNED_SECONDS - 1) == 400_000
    learned.refused(400_000, 10.0)
    assert learned.limit(900_000, LEARNED_SECONDS + 9) == 200_000
    assert learned.limit(900_000, LEARNED_SECONDS + 10) == 900_000
    assert LEARNED_SECONDS >= 600


def test_of_a_throttled_batch_the_others_go_on() -> None:
    """What the 429 names by position, user or device waits or is over its quota; the others go again at once (A10)."""
    people = ["ada", "bob", "cyd", "dan"]
    batch = [
        Event(number, json.dumps({"user_id": people[number % 4], "device_id": f"d{number}"}).encode(), f"d{number}")
        for number in range(8)
    ]
    sifter = Sifter(batch)
    data = {"throttled_users": {"ada": 44}, "throttled_events": [1], "exceeded_daily_quota_users": {"cyd": 500_001}}
    sifted = sifter.take(verdict(429, data, {"retry-after": "45"}, count=8))
    assert [event.number for event in sifted.throttled] == [0, 1, 4]
    assert [event.number for event in sifted.over_quota] == [2, 6]
    assert [event.number for event in sifter.next()] == [3, 5, 7]
    assert (sifted.kind, sifted.wait) == ("again", 45.0)
    strangers = Sifter(events(2)).take(verdict(429, {"throttled_users": {"nobody here": 99}}, count=2))
    assert (strangers.kind, len(strangers.rest)) == ("failed", 2)


def test_what_was_not_tried_is_given_up_in_order() -> None:
    """When a key turns out bad in the middle, the parts that were not tried come back in order."""
    sifter = Sifter(events(8))
    sifter.take(verdict(400, b"?"))
    paused = sifter.take(verdict(401))
    assert (paused.kind, paused.is_paused, [event.number for event in paused.rest]) == ("failed", True, [0, 1, 2, 3])
    assert [event.number for event in sifter.give_up()] == [4, 5, 6, 7]
    assert sifter.next() == ()


def test_a_body_may_be_packed() -> None:
    """With compress the body is gzip of the same JSON, and says so; without it does not."""
    import gzip

    plain = upload_call([b'{"event_type":"x"}'] * 3, (), b'{"min_id_length":1}')
    packed = upload_call([b'{"event_type":"x"}'] * 3, (), b'{"min_id_length":1}', endpoint=BATCH, compress=True)
    assert plain.body is not None
    assert packed.body is not None
    assert gzip.decompress(packed.body.render("key")) == plain.body.render("key")
    assert packed.body.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.body.headers
    assert (plain.path, packed.path, packed.events) == (HTTP_V2.path, "/batch", 3)


def test_an_unexplained_error_that_is_ours_stops_nothing_else() -> None:
    """TLS that was refused pauses; it does not refuse events."""
    refused = Verdict(error=errors.TransportError("no"), outcome="not_sent", may_retry=False)
    assert fate_of(refused, 5).rest == "pause"
