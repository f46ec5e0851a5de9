"""The checks of an upload: the way that nearly all events go says what the careful way says, of the others too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from amplitude_async.sandbox import rows, rules

if TYPE_CHECKING:
    from collections.abc import Callable

FIELDS = sorted(rules._KNOWN | {"unknown_field"})
CHANGES = st.one_of(
    st.dictionaries(
        st.sampled_from(["plan", "$set", "$add", "$remove", "$clearAll", "é"]), st.sampled_from(["a", 1, None, {"n": 1}, [1]])
    ),
    st.just({"deep": json.loads("[" * 40 + "]" * 40)}),
)
VALUES = st.one_of(
    st.sampled_from(["", "user-12345", "ada", "Anonymous ", "0", "[Amplitude] Revenue", "\ud800", "ü" * 1100, "$identify"]),
    st.sampled_from([0, -1, 1, 12345678, 1_777_636_800_000, 2**63, 10**301, True, False, None]),
    st.sampled_from([0.0, 1.0, 1.5, -3.25, 1e19, 1e301]),
    CHANGES,
    st.lists(st.sampled_from(["a", 1, {"a": []}]), max_size=2),
)
SENSIBLE: dict[str, st.SearchStrategy[Any]] = {
    "event_type": st.sampled_from(["hello", "$identify", "[Amplitude] Revenue"]),
    "user_id": st.sampled_from(["user-12345", "ada"]),
    "time": st.sampled_from([1_777_636_800_000, 0]),
    "groups": st.sampled_from([{"org": "Acme"}, {"org": ["a", 1]}, {"org": {}}]),
}
EVENTS = st.builds(
    lambda sensible, odd: {**sensible, **odd},
    st.fixed_dictionaries({}, optional=SENSIBLE),
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=3),
)


def outcome(check: Callable[[], object]) -> object:
    try:
        return check()
    except rules.RefusedError as refused:
        return refused.status, refused.body


@example(events=[{"event_type": {}, "user_id": "user-12345"}], endpoint=rules.HTTP_V2, shortest=5, strict=True)
@given(
    events=st.lists(EVENTS, min_size=1, max_size=3),
    endpoint=st.sampled_from([rules.HTTP_V2, rules.BATCH]),
    shortest=st.sampled_from([5, 1, 0, -1, 40]),
    strict=st.booleans(),
)
def test_the_usual_way_says_what_the_careful_way_says(
    events: list[dict[str, Any]], endpoint: rules.Endpoint, shortest: int, strict: bool
) -> None:
    """Whether or not every event looks as nearly all do: the same events are taken, the same ones refused, for the same fields."""

    def check() -> object:
        return rules.checked_events(events, endpoint, shortest, strict=strict)

    found = outcome(check)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "_is_usual", lambda _event, _shortest: False)
        assert found == outcome(check)


def test_usual_events_go_the_usual_way() -> None:
    """What SDKs send is told by one look at each value."""
    event = {
        "event_type": "hello",
        "user_id": "user-12345",
        "device_id": "device-12345",
        "time": 1_777_636_800_000,
        "session_id": -1,
        "price": 9.5,
        "quantity": 2,
        "groups": {"org": ["Acme"]},
        "event_properties": {"n": [1, {"a": None}]},
        "user_properties": {"$set": {"plan": "pro"}},
    }
    assert rules._is_usual(event, 5)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1e400}',
        b'"\\ud800"',
        b"\xef\xbb\xbf{}",
        b"NaN",
        b"[Infinity]",
        b"\xff",
        b'"\xed\xa0\x80"',
        b"[1,]",
        b"[" * 5000,
        b"[" * 5000 + b"]" * 5000,
        b"123456789012345678901234567890",
        b'{"a":1,"a":2}',
        b"-0.0",
        b'"\\u0000"',
        "é".encode(),
        '{"é":"😀"}'.encode(),
        '{"a":[]}'.encode("utf-16"),
    ],
)
def test_json_is_read_as_the_standard_library_reads_it(text: bytes) -> None:
    """What the quick parser takes is what the standard library reads; what it doesn't take is that one's to judge."""

    def by_the_standard_library() -> object:
        return json.loads(text, parse_constant=rules._reject_constant, parse_float=rules._finite)

    try:
        expected: object = repr(by_the_standard_library())
    except (ValueError, RecursionError):
        expected = "refused"
    try:
        found = repr(rules.parsed_json(text))
    except ValueError:
        found = "refused"
    assert found == expected


@given(
    st.recursive(
        st.one_of(st.text(), st.integers(), st.just("\ud83d"), st.just("é" * 1030)), lambda each: st.dictionaries(st.text(), each)
    )
)
def test_objects_are_cut_like_everything_else(value: Any) -> None:
    """Texts of any alphabet, and keys, have at most 1,024 characters and can be written; what is shorter and sound is left as it is."""
    found = rows.cut(value)
    json.dumps(found, ensure_ascii=False).encode()
    if isinstance(value, str):
        assert len(str(found)) <= rows.LONGEST_TEXT
        assert found == value or len(value) > rows.LONGEST_TEXT or any("\ud800" <= each <= "\udfff" for each in value)
    elif isinstance(value, dict):
        assert found == rows.cut_object(value)
