"""Uploads beyond one request: splitting, refused events, halving, partial delivery. Against a fake that runs Calls."""

from __future__ import annotations

import contextlib
import copy
import json
import uuid
from collections import OrderedDict
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
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
    ServerError,
)
from amplitude_async._protocol import codec
from amplitude_async.events import ALIASES, Defaults, prepare
from amplitude_async.resources import ingestion

if TYPE_CHECKING:
    from collections.abc import Callable

    from amplitude_async._protocol.call import Call

ANSWER = {"code": 200, "server_upload_time": 5, "payload_size_bytes": 9, "events_ingested": 0}


class Fake:
    """Runs Calls by a rule, and keeps what they carried."""

    def __init__(self, rule: Callable[[list[Any]], AmplitudeError | None] = lambda _: None) -> None:
        self.rule = rule
        self.bodies: list[dict[str, Any]] = []
        self.calls: list[Call] = []

    def deadline(self, kind: str) -> float:
        return 1.0

    async def run(self, call: Call, *, deadline: float | None = None) -> Any:
        assert call.body is not None
        assert deadline == 1.0
        rendered = call.body.render("key")
        self.calls.append(call)
        if call.path != "/2/httpapi":
            self.bodies.append({"form": rendered})
            error = self.rule([])
            if error:
                raise error
            return "success"
        body = json.loads(rendered)
        self.bodies.append(body)
        assert len(rendered) < 1_000_000
        error = self.rule(body["events"])
        if error is not None:
            error.insert_ids = call.insert_ids
            error.outcome = error.outcome or "rejected"
            raise error
        return {**ANSWER, "events_ingested": len(body["events"])}


def drive(coroutine: Any) -> Any:
    """Run a coroutine that never really waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError


def track(fake: Fake, events: Any, options: Any = None, defaults: Defaults = Defaults()) -> Any:  # noqa: B008 - a frozen value
    counter = iter(range(10**6))
    return drive(
        ingestion.track(fake, events, options=options, defaults=defaults, stamp=lambda: (f"id-{next(counter)}", 1700000000000))
    )


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"event_type": "x", "user_id": "user-1", "event_properties": {"n": n}} for n in range(count)]


def number(event: dict[str, Any]) -> int:
    n: int = event["event_properties"]["n"]
    return n


def test_long_lists_are_split_in_order() -> None:
    """2,500 events take three requests, in order, and the result counts them all."""
    fake = Fake()
    assert track(fake, numbered(2500)) == {**ANSWER, "events_ingested": 2500}
    assert [len(body["events"]) for body in fake.bodies] == [1000, 1000, 500]
    assert [number(event) for body in fake.bodies for event in body["events"]] == list(range(2500))


@given(st.lists(st.integers(0, 400_000), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_no_request_is_over_the_limits(sizes: list[int]) -> None:
    """Whatever the sizes, no body reaches 1 MB and nothing is lost (E7)."""
    fake = Fake()
    track(fake, [{"event_type": "x", "user_id": "user-1", "event_properties": {"text": "x" * size}} for size in sizes])
    assert sum(len(body["events"]) for body in fake.bodies) == len(sizes)


def test_one_event_over_the_limit_is_refused_here() -> None:
    """An event that no request could carry is refused with its path, and nothing is sent (E5)."""
    fake = Fake()
    with pytest.raises(InvalidEventError, match=r"events\[1\]"):
        track(fake, [*numbered(1), {"event_type": "x", "user_id": "u", "event_properties": {"text": "x" * 1_000_000}}])
    assert fake.bodies == []


def test_events_named_by_a_400_are_refused_and_the_others_delivered() -> None:
    """Index maps take out exactly what they name; the others go again at once (A3)."""

    def rule(events: list[Any]) -> AmplitudeError | None:
        bad = [index for index, event in enumerate(events) if number(event) in {3, 7}]
        data = {"code": 400, "events_with_invalid_fields": {"time": bad[:1]}, "events_with_missing_fields": {"user_id": bad[1:]}}
        return BadRequestError("no", status=400, data=data) if bad else None

    fake = Fake(rule)
    with pytest.raises(PartialDeliveryError) as caught:
        track(fake, numbered(10))
    assert caught.value.delivered == (0, 1, 2, 4, 5, 6, 8, 9)
    assert set(caught.value.failed) == {3, 7}
    assert len(caught.value.insert_ids) == 2
    assert len(fake.bodies) == 2


def test_maps_that_name_only_the_first_are_followed_to_the_end() -> None:
    """When each 400 names one bad event, the list shrinks until the rest is delivered (A4)."""

    def rule(events: list[Any]) -> AmplitudeError | None:
        bad = [index for index, event in enumerate(events) if number(event) % 10 == 0]
        return BadRequestError("no", status=400, data={"events_with_invalid_fields": {"time": bad[:1]}}) if bad else None

    fake = Fake(rule)
    with pytest.raises(PartialDeliveryError) as caught:
        track(fake, numbered(100))
    assert (len(caught.value.delivered), len(caught.value.failed)) == (90, 10)
    assert len(fake.bodies) <= 12


def test_an_unexplained_400_is_bisected() -> None:
    """256 events of which 3 are refused without a word: 253 are delivered within 60 requests (A5)."""

    def rule(events: list[Any]) -> AmplitudeError | None:
        return BadRequestError("no", status=400, data="<html>") if any(number(event) in {5, 77, 200} for event in events) else None

    fake = Fake(rule)
    with pytest.raises(PartialDeliveryError) as caught:
        track(fake, numbered(256))
    assert set(caught.value.failed) == {5, 77, 200}
    assert len(fake.bodies) <= 60


def test_a_413_is_halved() -> None:
    """A request over a hidden limit is halved until it fits; a lone event over it is an error (A9)."""
    fake = Fake(lambda events: PayloadTooLargeError("no", status=413) if len(events) > 10 else None)
    assert track(fake, numbered(100))["events_ingested"] == 100
    with pytest.raises(PayloadTooLargeError):
        track(Fake(lambda _: PayloadTooLargeError("no", status=413)), numbered(1))


def test_an_invalid_key_ends_it_after_one_request() -> None:
    """What is about the key is not tried again with the rest of a long list."""
    fake = Fake(lambda _: AuthenticationError("no", status=400))
    with pytest.raises(AuthenticationError) as caught:
        track(fake, numbered(2500))
    assert len(fake.bodies) == 1
    assert len(caught.value.insert_ids) == 2500


def test_what_was_not_tried_is_not_sent() -> None:
    """After a server error in the middle of a long list, the rest is reported as not sent."""

    def rule(events: list[Any]) -> AmplitudeError | None:
        return ServerError("no", status=500, outcome="unknown") if number(events[0]) == 1000 else None

    with pytest.raises(PartialDeliveryError) as caught:
        track(Fake(rule), numbered(2500))
    error = caught.value
    assert error.delivered == tuple(range(1000))
    assert (error.failed[1000].outcome, error.failed[2400].outcome, error.outcome) == ("unknown", "not_sent", "unknown")


@pytest.mark.parametrize(
    ("events", "path"),
    [
        (None, "events"),
        ([], "events"),
        ("hello", "events"),
        (b"x", "events"),
        (42, "events"),
        (["abc"], "events[0]"),
        ([*numbered(99), None], "events[99]"),
        ({"user_id": "u"}, "events[0].event_type"),
        ({"event_type": "", "user_id": "u"}, "events[0].event_type"),
        ({"event_type": "x"}, "events[0].user_id"),
        ({"event_type": "x", "user_id": None, "device_id": ""}, "events[0].user_id"),
        ({"event_type": "x", "user_id": "u", 5: 1}, "events[0]"),
        ({"event_type": "x", "user_id": "u", "event_properties": {"price": float("nan")}}, "events[0].event_properties.price"),
    ],
)
def test_what_is_refused_before_anything_is_sent(events: Any, path: str) -> None:
    """Bad input is an error with its path, and no request is made (E8)."""
    fake = Fake()
    with pytest.raises(InvalidEventError) as caught:
        track(fake, events)
    assert caught.value.path == path
    assert str(caught.value).startswith(path)
    assert fake.bodies == []


def test_the_callers_objects_are_never_changed() -> None:
    """What is added is added to what is sent alone (E6)."""
    event: dict[str, Any] = {"eventType": "x", "userId": "u", "eventProperties": {"a": [1]}}
    before = copy.deepcopy(event)
    track(Fake(), [event, event])
    assert event == before


def scribble(value: Any) -> None:
    """Spoil a value at every depth."""
    if isinstance(value, dict):
        for item in list(value.values()):
            scribble(item)
        value.clear()
        value["spoiled"] = True
    elif isinstance(value, list):
        for item in value:
            scribble(item)
        value.append("spoiled")


PROPERTIES = st.recursive(
    st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), PROPERTIES, max_size=3), min_size=1, max_size=3), st.integers(0, 2))
@settings(max_examples=500)
def test_what_an_event_was_at_the_call_is_what_is_sent(properties: list[dict[str, Any]], refused: int) -> None:
    """Whatever the caller does to events and their insides while the call is under way, what was there goes out, resends too (E6)."""
    events = [{"event_type": "x", "user_id": "user-1", "event_properties": {**one, "n": n}} for n, one in enumerate(properties)]
    before = copy.deepcopy(events)

    def spoil(sent: list[Any]) -> AmplitudeError | None:
        scribble(events)
        bad = [position for position, event in enumerate(sent) if number(event) == refused]
        data = {"events_with_invalid_fields": {"price": bad}}
        return BadRequestError("no", status=400, data=data, headers={}) if bad and len(sent) > 1 else None

    fake = Fake(spoil)
    with contextlib.suppress(PartialDeliveryError):
        track(fake, events)
    for body in fake.bodies:
        for event in body["events"]:
            assert event["event_properties"] == before[number(event)]["event_properties"]
    assert number(fake.bodies[-1]["events"][-1]) in {len(before) - 1, len(before) - 2}


@given(st.sampled_from(sorted(ALIASES)), st.booleans())
def test_of_two_spellings_the_later_one_wins(alias: str, alias_last: bool) -> None:
    """Every alias becomes its own key; given twice, the later one counts."""
    key = ALIASES[alias]
    base: dict[str, Any] = {"event_type": "x", "user_id": "u"}
    pair: list[tuple[str, Any]] = [(key, "plain"), (alias, "alias")]
    for name, value in pair if alias_last else reversed(pair):
        base.pop(name, None)
        base[name] = value
    fake = Fake()
    track(fake, base)
    sent = fake.bodies[0]["events"][0]
    assert sent[key] == ("alias" if alias_last else "plain")
    assert alias == key or alias not in sent


def test_times_may_be_datetimes() -> None:
    """Time and session_id as datetimes go out in ms; a naive one means UTC."""
    from datetime import UTC, datetime

    fake = Fake()
    track(fake, {"event_type": "x", "user_id": "u", "time": datetime(2026, 5, 1), "session_id": datetime(2026, 5, 1, tzinfo=UTC)})
    sent = fake.bodies[0]["events"][0]
    assert sent["time"] == sent["session_id"] == 1777593600000


@pytest.mark.parametrize("options", ["x", 5, ["min_id_length"], {"a": object()}])
def test_options_are_a_mapping(options: Any) -> None:
    """Anything but a mapping of JSON values is refused by name."""
    with pytest.raises(InvalidArgumentError, match="options"):
        track(Fake(), numbered(1), options)


def test_groups_need_their_type_and_value() -> None:
    """A group identification without type or value is refused; a whole one goes out as a form."""
    fake = Fake()
    with pytest.raises(InvalidEventError, match=r"identifications\[0\]\.group_value"):
        drive(ingestion.group_identify(fake, {"group_type": "org"}))
    whole = {"group_type": "org", "group_value": "a", "group_properties": {"$add": {"seats": 1}}}
    assert drive(ingestion.group_identify(fake, whole)) == "success"
    assert (fake.calls[0].path, fake.calls[0].repeatable) == ("/groupidentify", False)


class Overridden(dict[str, Any]):
    """A dict that says something else of itself than it holds, as those of web frameworks do."""

    def items(self) -> Any:
        return [(key, [item]) for key, item in super().items()]


class Backwards(list[Any]):
    def __iter__(self) -> Any:
        return reversed([self[index] for index in range(len(self))])


class Word(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "another"


class Suit(Enum):
    HEARTS = "hearts"


class Unlike(str, Enum):  # noqa: UP042 - a StrEnum's text is its value
    """Its text and its value differ."""

    A = "a"

    def __new__(cls, value: str) -> Unlike:  # noqa: PYI034 - an enum has no subclasses
        self = str.__new__(cls, "text")
        self._value_ = value
        return self


class Rank(IntEnum):
    ACE = 1


class Whole(int):
    def __int__(self) -> int:
        return 7


class Real(float):
    pass


NESTED: Any = "x"
for _ in range(39):
    NESTED = {"a": NESTED}
ODD: Any = (
    *(float("nan"), float("inf"), -float("inf"), -0.0, 1e308, 5e-324, 2**64, -(2**63) - 1, 10**30, True, "", "\ud800", b"x"),
    *(bytearray(b"x"), memoryview(b"x"), Decimal("1.50"), Decimal("NaN"), Decimal("1E+5"), datetime(2026, 5, 1)),
    *(datetime(2026, 5, 1, tzinfo=UTC), date(2026, 5, 1), uuid.UUID(int=1), Suit.HEARTS, Unlike.A, Rank.ACE, Whole(3), Real(1.5)),
    *(
        msgspec.UNSET,
        msgspec.Raw(b"1"),
        Word("w"),
        (1, (2,)),
        {3, 1, 2},
        frozenset({"b", "a"}),
        Overridden(a=1),
        Backwards([1, 2]),
        OrderedDict(a=1, b={2}),
    ),
    *(MappingProxyType({"a": 1}), {1: "a"}, {1: "a", "1": "b"}, {1.5: 2}, {None: 1}, {True: 1}, {b"k": 1}, {Word("k"): 1}),
    *(
        {Unlike.A: 1},
        {Unlike.A: 1, "a": 2},
        {Suit.HEARTS: 1},
        {"\udfff": 1},
        object(),
        1j,
        range(3),
        NESTED,
        {"a": NESTED},
        [[NESTED]],
    ),
)
PLAIN = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
ANY = st.recursive(
    PLAIN | PLAIN | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
# https://amplitude.com/docs/apis/analytics/http-v2
DOCUMENTED = (
    *("event_type", "device_id", "session_id", "user_id", "insert_id", "time", "event_properties", "user_properties"),
    *("groups", "group_properties", "app_version", "version_name", "platform", "os_name", "os_version", "device_brand"),
    *("device_manufacturer", "device_model", "carrier", "country", "region", "city", "dma", "language", "price", "quantity"),
    *("revenue", "productId", "revenueType", "currency", "location_lat", "location_lng", "ip", "idfa", "idfv", "adid"),
    *("android_id", "android_app_set_id", "event_id", "library", "user_agent", "partner_id", "plan", "ingestion_metadata"),
)
KEY = st.sampled_from(DOCUMENTED) | st.sampled_from(sorted(ALIASES)) | st.sampled_from(["self", "own key", Word("user_id"), 5])
SPECIAL = st.sampled_from(["", None, 0, 5, "x", 1.5, datetime(2026, 5, 1), True, Word("id"), Whole(3)])
USUAL = st.fixed_dictionaries(
    {"event_type": st.just("x") | SPECIAL},
    optional={key: SPECIAL | st.just("u") for key in ("user_id", "device_id", "session_id", "insert_id", "time")}
    | dict.fromkeys(("event_properties", "user_properties", "groups", "price"), ANY),
)
DEFAULTS = st.builds(Defaults, *[st.sampled_from([None, None, "", "one", 0, 7, Decimal(5), "\ud800"])] * 3)


def carefully(item: Any, defaults: Defaults) -> Any:
    """Return what the careful way gives for an event, or where and why it refuses it."""
    try:
        prepared = prepare(item, path="e", defaults=defaults, needs_event_type=True, stamp=lambda: ("new", 9))
        plain = codec._convert(prepared, (), set())
        body = codec._encoder.encode(plain)
    except InvalidEventError as refusal:
        return refusal.path, str(refusal)
    except codec.UnencodableError as refusal:
        return refusal.where("e"), refusal.reason
    identity = prepared["device_id"] if "device_id" in prepared else prepared["user_id"]
    return read(body), str(prepared["insert_id"]), str(identity)


def read(body: bytes) -> Any:
    """Read JSON with every digit of its numbers, and every key, also those that stand there twice; the event's own keys sorted."""
    pairs = json.loads(body, parse_float=str, parse_int=lambda digits: f"{digits}i", object_pairs_hook=list)
    return sorted(pairs, key=lambda pair: pair[0])


def quickly(event: Any, defaults: Defaults) -> Any:
    """Return what the library gives for an event, or where and why it refuses it."""
    try:
        body, insert_id, identity = ingestion.encode_event(event, "e", defaults, "new", 9)
    except InvalidEventError as refusal:
        return refusal.path, str(refusal)
    return read(body), insert_id, identity


def are_alike(got: Any, expected: Any) -> bool:
    """Say whether two results are the same, or two refusals are for the same reason."""
    if len(expected) == 2:
        return len(got) == 2 and got[0] == expected[0] and expected[1] in got[1]
    return bool(got == expected)


@given(USUAL | st.dictionaries(KEY, ANY, max_size=6), st.dictionaries(KEY, ANY, max_size=2), DEFAULTS)
@settings(max_examples=700, deadline=None)
def test_the_quick_way_says_what_the_careful_one_does(item: Any, more: Any, defaults: Defaults) -> None:
    """Whatever an event holds, it is encoded to the same values, or refused at the same place, as by walking all of it (E1-E4)."""
    event = {**item, **more}
    assert are_alike(quickly(event, defaults), carefully(event, defaults))


@pytest.mark.parametrize("odd", ODD, ids=lambda one: type(one).__name__)
def test_each_odd_value_is_seen_wherever_it_is(odd: Any) -> None:
    """No kind of value slips through the quick way, at the top, in properties, in lists and deep inside (E3)."""
    places: list[dict[str, Any]] = [{key: odd} for key in DOCUMENTED]
    places += [{"event_properties": {"a": odd}}, {"groups": {"a": [odd]}}, {"user_properties": {"$set": {"a": {"b": [1, odd]}}}}]
    for place in places:
        event = {"event_type": "x", "user_id": "u", **place}
        assert are_alike(quickly(event, Defaults()), carefully(event, Defaults()))
