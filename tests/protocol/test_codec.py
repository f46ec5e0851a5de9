"""Values to JSON and back: nothing is lost in silence, and what cannot be carried is named."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_async._protocol.codec import MalformedError, UnencodableError, decode, encode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Unlike(str, Enum):  # noqa: UP042 - a StrEnum's text is its value
    """A text whose value is another."""

    A = "value"

    def __new__(cls, value: str) -> Unlike:  # noqa: PYI034 - an enum has no subclasses
        self = str.__new__(cls, "text")
        self._value_ = value
        return self


class Whole(int):
    def __int__(self) -> int:
        return 7


@dataclass
class Point:
    x: int
    tags: tuple[str, ...]


class Scalar:
    """Looks like a numpy scalar."""

    shape = ()

    def __repr__(self) -> str:
        return "Scalar()"

    def item(self) -> float:
        return 1.5


class Text(str):
    __slots__ = ()


class Nicknamed(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "nickname"


class Broken:
    """Looks like a scalar of numpy, and breaks when it is read."""

    shape = ()

    def __repr__(self) -> str:
        return "Scalar()"

    def item(self) -> object:
        raise RuntimeError


class BrokenDate(date):
    def isoformat(self) -> str:
        raise RuntimeError


@given(JSON)
@settings(max_examples=1000)
def test_json_comes_back_as_it_went(value: Any) -> None:
    """Whatever JSON can hold is encoded as strict JSON that parses back equal (E1)."""

    def refuse(name: str) -> None:
        pytest.fail(name)

    assert json.loads(encode(value), parse_constant=refuse) == value


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
DIRTY = st.recursive(
    st.none() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(DIRTY)
@settings(max_examples=1000)
def test_what_json_or_utf_8_cannot_hold_never_gets_onto_the_wire(value: Any) -> None:
    """NaN, infinities and lone surrogates, in values and keys, are refused; a body is strict JSON in UTF-8 that reads back equal (E1, E2)."""

    def refuse(name: str) -> None:
        pytest.fail(name)

    try:
        body = encode(value)
    except UnencodableError:
        sent = json.dumps(value, ensure_ascii=False)
        assert any(word in sent for word in ("NaN", "Infinity")) or any("\ud800" <= character <= "\udfff" for character in sent)
    else:
        assert json.loads(body.decode(), parse_constant=refuse) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2026, 5, 1, 7, 14, 3, 250000), '"2026-05-01T07:14:03.250000"'),
        (datetime(2026, 5, 1, 7, tzinfo=UTC), '"2026-05-01T07:00:00.000Z"'),
        (datetime(2026, 5, 1, 7, 14, 3, 250000, UTC), '"2026-05-01T07:14:03.250Z"'),
        (datetime(2026, 5, 1, 7, 14, 3, 250001, UTC), '"2026-05-01T07:14:03.250001Z"'),
        (time(7, 14, tzinfo=UTC), '"07:14:00+00:00"'),
        (datetime(2026, 5, 1, 7, tzinfo=timezone(timedelta(hours=2))), '"2026-05-01T07:00:00+02:00"'),
        (date(2026, 5, 1), '"2026-05-01"'),
        (Decimal("19.990"), "19.990"),
        (Decimal("0.1000000000000000055511151231257827"), "0.1000000000000000055511151231257827"),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Colour.RED, '"red"'),
        (Level.HIGH, "3"),
        (Unlike.A, '"text"'),
        ({Unlike.A: Whole(3), Whole(4): 1}, '{"text":3,"4":1}'),
        ({3, 1, 2}, "[1,2,3]"),
        (frozenset({"a"}), '["a"]'),
        ((1, (2,)), "[1,[2]]"),
        (Point(1, ("a",)), '{"x":1,"tags":["a"]}'),
        (Scalar(), "1.5"),
        (PurePosixPath("/a/b"), '"/a/b"'),
        (Text("sub"), '"sub"'),
        (Nicknamed("real"), '"real"'),
        ({1: "a", Colour.RED: 2}, '{"1":"a","red":2}'),
        (2**70, str(2**70)),
    ],
    ids=repr,
)
def test_values_that_json_lacks_are_carried_without_loss(value: object, expected: str) -> None:
    """Each kind has one documented form, at the top and deep inside (E3)."""
    assert encode(value).decode() == expected
    assert encode({"a": [value]}).decode() == f'{{"a":[{expected}]}}'


CYCLE: dict[str, Any] = {"a": []}
CYCLE["a"].append(CYCLE)
DEEP: list[Any] = []
for _ in range(5000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("value", "path", "words"),
    [
        ({"p": math.nan}, "e.p", "finite"),
        ({"p": [1, math.inf]}, "e.p[1]", "finite"),
        ({"p": -math.inf}, "e.p", "finite"),
        ({"p": Decimal("NaN")}, "e.p", "finite"),
        ({"p": b"x"}, "e.p", "bytes"),
        ({"p": bytearray(b"x")}, "e.p", "bytes"),
        ({"p": memoryview(b"x")}, "e.p", "bytes"),
        ({"p": "a\ud800"}, "e.p", "surrogate"),
        ({"p\udfff": 1}, "e", "surrogate"),
        ({"p": {"q": object()}}, "e.p.q", "object"),
        ({"p": {None: 1}}, "e.p", "key"),
        ({"p": {1.5: 1}}, "e.p", "key"),
        ({"p": {1: "a", "1": "b"}}, "e.p", "lost"),
        ({"p": {Colour.RED: "a", "red": "b"}}, "e.p", "lost"),
        (CYCLE, "e.a[0]", "cycle"),
        ({"p": lambda: 1}, "e.p", "function"),
        ({"p": [Broken()]}, "e.p[0]", "RuntimeError"),
        ({"p": BrokenDate(2026, 5, 1)}, "e.p", "RuntimeError"),
    ],
    ids=[
        "nan",
        "infinity",
        "minus infinity",
        "decimal nan",
        "bytes",
        "bytearray",
        "memoryview",
        "surrogate",
        "surrogate key",
        "object",
        "None key",
        "float key",
        "equal keys",
        "equal enum keys",
        "cycle",
        "function",
        "broken scalar",
        "broken date",
    ],
)
def test_what_cannot_be_carried_is_named_with_its_path(value: object, path: str, words: str) -> None:
    """A value without a JSON form is refused, and the refusal says where it is and what it is (E1-E4)."""
    with pytest.raises(UnencodableError) as caught:
        encode(value)
    assert caught.value.where("e") == path
    assert words in caught.value.reason


def nested(levels: int) -> dict[str, Any]:
    value: Any = "x"
    for _ in range(levels):
        value = {"a": value}
    return {"event_properties": value}


def test_forty_levels_are_carried_and_more_are_refused() -> None:
    """Amplitude takes 40 levels below an event's own keys; deeper nesting ends in a typed error, whatever its depth (E4)."""
    assert json.loads(encode(nested(40))) == nested(40)
    for value in (nested(41), DEEP, nested(300)):
        with pytest.raises(UnencodableError, match="levels"):
            encode(value)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nan", b"NaN", b"[Infinity]", b"\xff", b'{"a":1}x', b"[" * 200_000, b"'a'"],
    ids=repr,
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    """Broken answers are a typed error, never a crash (A16)."""
    with pytest.raises(MalformedError):
        decode(body[:200_000])


@pytest.mark.parametrize("body", [b'{"a":1,"a":2}', str(2**63).encode(), b'{"a":{"b":1,"b":1}}'])
def test_only_strict_reading_refuses_what_a_confused_server_writes(body: bytes) -> None:
    """Duplicate keys and integers beyond 63 bits are refused where an answer is a confirmation."""
    decode(body)
    with pytest.raises(MalformedError):
        decode(body, strict=True)


@given(st.binary(max_size=200))
@settings(max_examples=500)
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """No bytes make the reader fail in another way."""
    for strict in (False, True):
        try:
            decode(body, strict=strict)
        except MalformedError:
            pass
