"""Events as nearly all are: what goes the quick way, and what does not. That both ways say the same is in resources/test_ingestion.py."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import msgspec
import pytest

from amplitude_async._protocol.uploads import MAX_EVENT_BYTES
from amplitude_async._protocol.usual import NUMBERS, USUAL_KEYS, encode_usual
from amplitude_async.events import Defaults

BARE = {"event_type": "x", "user_id": "u"}


def quick(event: Any, defaults: Defaults = Defaults()) -> Any:  # noqa: B008 - it does not change
    """Return what the quick way gives, its JSON read."""
    result = encode_usual(event, defaults, "new", 9)
    return None if result is None else (json.loads(result[0]), *result[1:])


STAMPED = {"insert_id": "new", "time": 9}


@pytest.mark.parametrize(
    ("event", "defaults", "sent", "insert_id", "identity"),
    [
        (BARE, (), BARE | STAMPED, "new", "u"),
        ({"event_type": "x", "device_id": "d"}, (), {"event_type": "x", "device_id": "d"} | STAMPED, "new", "d"),
        (BARE | {"device_id": "d"}, (), BARE | {"device_id": "d"} | STAMPED, "new", "d"),
        (BARE | {"device_id": None}, (), BARE | STAMPED, "new", "u"),
        (BARE | {"device_id": ""}, (None, "d"), BARE | {"device_id": "d"} | STAMPED, "new", "d"),
        ({"event_type": "x"}, ("u", None, 5), BARE | {"session_id": 5} | STAMPED, "new", "u"),
        ({"event_type": "x"}, (7,), {"event_type": "x", "user_id": 7} | STAMPED, "new", "7"),
        (BARE | {"session_id": 0}, (), BARE | {"session_id": 0} | STAMPED, "new", "u"),
        (BARE | {"session_id": None}, (), BARE | STAMPED, "new", "u"),
        (BARE | {"insert_id": "own"}, (), BARE | {"insert_id": "own", "time": 9}, "own", "u"),
        (BARE | {"time": 5}, (), BARE | {"insert_id": "new", "time": 5}, "new", "u"),
        (BARE | {"insert_id": "own", "time": 5}, (), BARE | {"insert_id": "own", "time": 5}, "own", "u"),
        (
            BARE | {"price": 1.5, "revenue": 3, "quantity": 2},
            (),
            BARE | {"price": 1.5, "revenue": 3, "quantity": 2} | STAMPED,
            "new",
            "u",
        ),
        (
            BARE | {"event_properties": {"a": [1, {"b": None}]}, "user_properties": {"$set": {"c": -0.5}}, "groups": {"org": ["d"]}},
            (),
            BARE
            | {"event_properties": {"a": [1, {"b": None}]}, "user_properties": {"$set": {"c": -0.5}}, "groups": {"org": ["d"]}}
            | STAMPED,
            "new",
            "u",
        ),
    ],
)
def test_usual_events_go_the_quick_way(
    event: dict[str, Any], defaults: tuple[Any, ...], sent: Any, insert_id: str, identity: str
) -> None:
    """Amplitude's own keys, plain values, ids that are there or the client's: encoded at once, with what was missing filled in."""
    before = dict(event)
    assert quick(event, Defaults(*defaults)) == (sent, insert_id, identity)
    assert event == before


def test_every_key_that_is_known_goes_the_quick_way() -> None:
    """Every key of the list is taken, alone, with a value of its kind."""
    for key in USUAL_KEYS:
        value: Any = {"a": 1} if key.endswith(("properties", "groups")) else 5 if key in {"time", "session_id"} else "5"
        value = 5.5 if key in NUMBERS else value
        event = {**BARE, key: value}
        assert quick(event)[0] == {**STAMPED, **event}


@pytest.mark.parametrize(
    "event",
    [
        MappingProxyType(BARE),
        {"user_id": "u"},
        {"event_type": "", "user_id": "u"},
        {"event_type": 5, "user_id": "u"},
        {"event_type": "x"},
        BARE | {"userId": "v"},
        BARE | {"own key": 1},
        BARE | {5: 1},
        BARE | {"\ud800": 1},
        BARE | {"country": "\ud800"},
        BARE | {"user_id": 5},
        BARE | {"session_id": "5"},
        BARE | {"session_id": True},
        BARE | {"insert_id": ""},
        BARE | {"insert_id": 5},
        BARE | {"time": "now"},
        BARE | {"time": datetime(2026, 5, 1, tzinfo=UTC)},
        BARE | {"country": ["Germany"]},
        BARE | {"country": b"x"},
        BARE | {"price": Decimal("1.50")},
        BARE | {"revenue": float("nan")},
        BARE | {"location_lat": Decimal("1.50")},
        BARE | {"location_lng": "1.5"},
        BARE | {"language": 1.5},
        BARE | {"groups": msgspec.UNSET},
        BARE | {"event_properties": {"a": {1, 2}}},
        BARE | {"user_properties": {1: 2}},
        BARE | {"event_properties": {"a": "x" * MAX_EVENT_BYTES}},
    ],
    ids=lambda event: repr(event)[:60],
)
def test_everything_else_is_left_to_the_careful_way(event: Any) -> None:
    """Another spelling, another type, a missing id or too much: the quick way neither refuses nor sends it."""
    assert quick(event) is None


def test_a_default_that_is_no_plain_id_is_left_to_the_careful_way() -> None:
    """A client's id that is neither text nor a number is not for the quick way."""
    assert quick({"event_type": "x"}, Defaults(user_id=Decimal(5))) is None
