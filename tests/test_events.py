"""What callers build becomes what Amplitude takes, and the caller's own objects stay as they were."""

from __future__ import annotations

import copy
from datetime import UTC, date, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_async import InvalidEventError
from amplitude_async.events import ALIASES, Defaults, as_list, epoch_ms, has_unrepeatable_operation, prepare

TEXT = st.text(min_size=1, max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
CAMEL = [name for name in ALIASES if name not in {"product_id", "revenue_type"}]


def stamp() -> tuple[str, int]:
    return "new-id", 1_700_000_000_000


def event(item: Any, defaults: Defaults | None = None) -> dict[str, Any]:
    return prepare(item, path="events[0]", defaults=defaults or Defaults(), needs_event_type=True, stamp=stamp)


def test_the_original_has_fourteen_camel_case_keys() -> None:
    """All 14 keys of the original are known, and the two that Amplitude spells in camelCase stay so."""
    assert len(CAMEL) == 14
    assert (ALIASES["product_id"], ALIASES["revenue_type"]) == ("productId", "revenueType")


@pytest.mark.parametrize(("given_", "sent"), ALIASES.items())
def test_each_alias_is_sent_in_the_spelling_of_amplitude(given_: str, sent: str) -> None:
    """An alias goes out under Amplitude's key and not under its own."""
    prepared = event({"event_type": "x", "user_id": "u", given_: "value"})
    assert prepared[sent] == "value"
    assert given_ not in prepared


@pytest.mark.parametrize(("given_", "sent"), ALIASES.items())
def test_of_two_spellings_the_later_one_wins(given_: str, sent: str) -> None:
    """When both spellings of a key are given, the one that stands later is sent."""
    start = {"event_type": "x", "user_id": "u", "device_id": "d"}
    for first, second in ((given_, sent), (sent, given_)):
        item = {key: value for key, value in start.items() if key != sent}
        assert event({**item, first: "one", second: "two"})[sent] == "two"


@pytest.mark.parametrize("absent", [None, ""])
@pytest.mark.parametrize(
    ("given_", "sent"), [(a, b) for a, b in ALIASES.items() if b in {"user_id", "device_id", "session_id", "event_type"}]
)
def test_an_absent_spelling_does_not_win_over_the_other(given_: str, sent: str, absent: object) -> None:
    """None and the empty string mean that a key is absent, so neither hides what its other spelling says, nor does a default then."""
    start = {"event_type": "x", "user_id": "u", "device_id": "d"}
    for first, second in ((given_, sent), (sent, given_)):
        item = {key: value for key, value in start.items() if key != sent}
        assert event({**item, first: "one", second: absent}, Defaults("default", "default", 1))[sent] == "one"


@given(st.dictionaries(st.sampled_from([*CAMEL, *ALIASES.values()]) | TEXT, VALUES, max_size=8))
@settings(max_examples=500)
def test_only_the_top_level_is_renamed_and_nothing_of_the_caller_changes(item: dict[str, Any]) -> None:
    """Keys inside property values keep their spelling, and the caller's event is what it was before (E6)."""
    # These stand last, so that they are the spellings that win.
    kept = {key: value for key, value in item.items() if ALIASES.get(key, key) not in {"event_type", "user_id", "event_properties"}}
    whole = {**kept, "event_type": "x", "user_id": "u", "event_properties": {"userId": item}}
    before = copy.deepcopy(whole)
    prepared = event(whole)
    assert whole == before
    assert list(whole) == list(before)
    assert prepared["event_properties"] == {"userId": item}
    assert not set(prepared) & set(ALIASES)


@pytest.mark.parametrize("absent", [{}, {"user_id": None}, {"user_id": ""}, {"userId": None}])
def test_a_default_stands_in_for_an_absent_id(absent: dict[str, Any]) -> None:
    """None and the empty string mean absent, so the client's id is sent."""
    prepared = event({"event_type": "x", **absent}, Defaults("u-default", "d-default", 7))
    assert (prepared["user_id"], prepared["device_id"], prepared["session_id"]) == ("u-default", "d-default", 7)


def test_what_the_event_says_beats_the_default() -> None:
    """An id in the event wins over the client's; a session of 0 is a value, not an absence."""
    prepared = event({"event_type": "x", "userId": "u", "sessionId": 0}, Defaults("default", None, 7))
    assert (prepared["user_id"], prepared["session_id"]) == ("u", 0)
    assert "device_id" not in prepared


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ({"user_id": "u"}, "events[0].event_type"),
        ({"event_type": "", "user_id": "u"}, "events[0].event_type"),
        ({"event_type": None, "user_id": "u"}, "events[0].event_type"),
        ({"event_type": "x"}, "events[0].user_id"),
        ({"event_type": "x", "user_id": "", "device_id": None}, "events[0].user_id"),
        ({"event_type": "x", "user_id": "u", 5: 1}, "events[0]"),
    ],
)
def test_what_an_event_cannot_do_without_is_named(item: Any, path: str) -> None:
    """A missing type, two missing ids and a key that is no text are refused with their place."""
    with pytest.raises(InvalidEventError) as caught:
        event(item)
    assert (caught.value.path, caught.value.argument) == (path, "events")
    assert str(caught.value).startswith(path)


def test_an_insert_id_and_a_time_are_given_only_where_they_lack() -> None:
    """What the caller set stays; only what is absent is stamped."""
    start = {"event_type": "x", "user_id": "u"}
    assert {"insert_id": "new-id", "time": 1_700_000_000_000}.items() <= event(start).items()
    assert {"insert_id": "mine", "time": 5}.items() <= event({**start, "insert_id": "mine", "time": 5}).items()
    assert {"insert_id": "new-id", "time": 0}.items() <= event({**start, "insert_id": "", "time": 0}).items()


def test_an_identification_is_not_stamped() -> None:
    """Identifications have neither insert id nor time nor type, so none is made up."""
    prepared = prepare({"userId": "u"}, path="identifications[0]", defaults=Defaults(), needs_event_type=False, stamp=None)
    assert prepared == {"user_id": "u"}


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        (datetime(1970, 1, 1), 0),
        (datetime(2026, 5, 1, tzinfo=UTC), 1_777_593_600_000),
        (datetime(2026, 5, 1, 2, tzinfo=timezone(timedelta(hours=2))), 1_777_593_600_000),
        (datetime(2026, 5, 1, 0, 0, 0, 1999), 1_777_593_600_001),
    ],
)
def test_a_datetime_becomes_milliseconds(instant: datetime, expected: int) -> None:
    """A time is sent in ms since the epoch; a naive one is UTC, and fractions of a ms are cut off."""
    assert epoch_ms(instant) == expected
    prepared = event({"event_type": "x", "user_id": "u", "time": instant, "session_id": instant})
    assert prepared["time"] == prepared["session_id"] == expected


@pytest.mark.parametrize("argument", [None, 5, "text", b"bytes", bytearray(b"x"), date(2026, 1, 1), object], ids=repr)
def test_what_is_no_mapping_and_no_list_is_refused(argument: object) -> None:
    """Anything but a mapping or a list of them is refused by name (E8)."""
    with pytest.raises(InvalidEventError, match="events"):
        as_list(argument, name="events")


@pytest.mark.parametrize("bad", [None, 5, "text", ["list"]], ids=repr)
def test_one_bad_item_of_a_hundred_is_named(bad: object) -> None:
    """A list with one item that is no mapping is refused whole, and says which (E8)."""
    with pytest.raises(InvalidEventError) as caught:
        as_list([*[{}] * 42, bad, *[{}] * 57], name="events")
    assert caught.value.path == "events[42]"


def test_an_empty_list_is_refused() -> None:
    """There is nothing to send, which is hardly what was meant (E8)."""
    empties: tuple[object, ...] = ([], (), iter(()))
    for empty in empties:
        with pytest.raises(InvalidEventError, match="empty"):
            as_list(empty, name="events")


def test_any_mapping_and_any_iterable_of_them_will_do() -> None:
    """A read-only mapping, a tuple and a generator are as good as a dict and a list."""
    one = MappingProxyType({"a": 1})
    assert as_list(one, name="events") == [one]
    assert as_list((one, one), name="events") == [one, one]
    assert as_list((item for item in (one,)), name="events") == [one]


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ({"$add": {"n": 1}}, True),
        ({"$append": {"n": 1}}, True),
        ({"$prepend": {"n": 1}}, True),
        ({"$set": {"n": 1}, "$add": {"n": 1}}, True),
        ({"$set": {"$add": 1}}, False),
        ({"$setOnce": {"n": 1}, "$unset": {"n": "-"}, "$remove": {"n": 1}, "$preInsert": {"n": 1}, "$postInsert": {"n": 1}}, False),
        ({"plan": "pro"}, False),
        ({}, False),
        (None, False),
        ("$add", False),
    ],
)
def test_which_identifications_may_be_repeated(operations: object, expected: bool) -> None:
    """Only operations that add up when applied twice forbid a repeat after an unknown outcome."""
    assert has_unrepeatable_operation({"user_properties": operations}) is expected
    assert has_unrepeatable_operation({"group_properties": operations}) is expected
