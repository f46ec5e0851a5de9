"""Questions as data: what a query looks like, and what is refused before it is sent."""

from __future__ import annotations

import copy
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplitude_async import InvalidArgumentError
from amplitude_async.resources.dashboard.calls import activity_call, search_call, segmentation_call
from amplitude_async.resources.parameters import query_value

E = {"event_type": "signup"}


class Metric(Enum):
    TOTALS = "totals"


class TextMetric(str, Enum):  # noqa: UP042 - the kind whose str() is not its text
    TOTALS = "totals"


class Nicknamed(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "nickname"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("text ", "text "),
        (7, "7"),
        (0, "0"),
        (-3600000, "-3600000"),
        (1.0, "1"),
        (0.5, "0.5"),
        (-0.0, "0"),
        (1e-6, "0.000001"),
        (-1.5e-7, "-1.5e-7"),
        (123e18, "123000000000000000000"),
        (1e21, "1e+21"),
        (True, "true"),
        (False, "false"),
        (Decimal("1.50"), "1.50"),
        (date(2026, 5, 1), "20260501"),
        (datetime(2026, 5, 1, 23, tzinfo=UTC), "20260501"),
        (["a", "b"], '["a","b"]'),
        (("a",), '["a"]'),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        (Metric.TOTALS, "totals"),
        (TextMetric.TOTALS, "totals"),
        (Nicknamed("real"), "real"),
        (2**70, str(2**70)),
    ],
    ids=repr,
)
def test_a_parameter_as_text(value: object, expected: str | None) -> None:
    """Mappings and lists go out as JSON, dates as days, numbers as JavaScript writes them, and None not at all."""
    assert query_value(value, argument="x") == expected


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), b"x", "\ud800", [float("nan")], {"a": b"x"}, object(), 10**5000], ids=type
)
def test_a_parameter_without_a_text_is_refused(value: object) -> None:
    """The refusal names the argument and is the library's own."""
    with pytest.raises(InvalidArgumentError, match="limit") as caught:
        query_value(value, argument="limit")
    assert caught.value.argument == "limit"


@pytest.mark.parametrize("user", ["user-12345", 12345, "ada@example.org", " x"])
def test_a_search_asks_for_one_user(user: object) -> None:
    """A search is a repeatable GET with the project's keys, and the text goes out as it is."""
    call = search_call({"user": user})
    assert (call.api, call.kind, call.method, call.path) == ("dashboard", "query", "GET", "/api/2/usersearch")
    assert (call.credential, call.repeatable, call.body) == ("project", True, None)
    assert call.query == (("user", str(user)),)


@pytest.mark.parametrize("blank", ["", " ", "\t\n", None, 0, False, [], {}], ids=repr)
def test_blank_searches_and_ids_are_refused(blank: object) -> None:
    """Nothing is asked for nobody."""
    with pytest.raises(InvalidArgumentError) as caught:
        search_call({"user": blank})
    assert caught.value.argument == "user"
    with pytest.raises(InvalidArgumentError) as caught:
        activity_call({"amplitude_id": blank})
    assert caught.value.argument == "amplitude_id"


def test_an_activity_takes_further_parameters() -> None:
    """Bounds and further parameters go along; absent ones do not."""
    call = activity_call({"amplitude_id": 123, "offset": 0, "limit": 5, "direction": "earliest", "nothing": None})
    assert dict(activity_call({"amplitude_id": 123, "offset": "0", "limit": 5.0}).query) == {
        "user": "123",
        "offset": "0",
        "limit": "5",
    }
    assert call.path == "/api/2/useractivity"
    assert dict(call.query) == {"user": "123", "offset": "0", "limit": "5", "direction": "earliest"}


@pytest.mark.parametrize("name", ["offset", "limit"])
@pytest.mark.parametrize("bound", [-1, "-5", True, [1], 1.5, float("nan"), float("inf"), "many", "", "٣"], ids=repr)
def test_a_bound_that_makes_no_sense_is_refused(name: str, bound: object) -> None:
    """Offsets and limits are whole numbers from 0."""
    with pytest.raises(InvalidArgumentError) as caught:
        activity_call({"amplitude_id": 123, name: bound})
    assert caught.value.argument == name


@pytest.mark.parametrize(
    ("e", "expected"),
    [
        (E, E),
        ([E], E),
        ((E,), E),
        (json.dumps(E), E),
        (json.dumps([E]), E),
        ({"event_type": "x", "filters": [{"a": 1}]}, {"event_type": "x", "filters": [{"a": 1}]}),
    ],
)
def test_what_an_event_definition_may_be(e: Any, expected: dict[str, Any]) -> None:
    """A mapping, its JSON text, or a list of one, for e and for e2 alike."""
    query = dict(segmentation_call({"e": e, "start": "20260101", "end": "20260131", "e2": e}).query)
    assert json.loads(query["e"]) == json.loads(query["e2"]) == expected


@pytest.mark.parametrize(
    "e", [None, "", "signup", "5", "[]", "null", 5, [], [E, E], json.dumps([E, E]), [5], b"{}", "{", "\ud800"], ids=repr
)
def test_what_an_event_definition_may_not_be(e: Any) -> None:
    """Anything else is refused by name."""
    with pytest.raises(InvalidArgumentError) as caught:
        segmentation_call({"e": e, "start": "20260101", "end": "20260131"})
    assert caught.value.argument == "e"


def test_a_start_after_its_end_is_refused() -> None:
    """Both bounds are inclusive, so only a start behind its end makes no range."""
    segmentation_call({"e": E, "start": "20260101", "end": date(2026, 1, 1)})
    with pytest.raises(InvalidArgumentError, match="after"):
        segmentation_call({"e": E, "start": date(2026, 1, 2), "end": "20260101"})


@pytest.mark.parametrize(("given_", "later"), [("rolling_window", "rollingWindow"), ("rollingWindow", "rolling_window")])
def test_query_keywords_are_accepted_in_snake_case(given_: str, later: str) -> None:
    """Both spellings go out as Amplitude's, once, and of two the later wins."""
    query = segmentation_call({"e": E, "start": "20260101", "end": "20260131", given_: 7}).query
    assert ("rollingWindow", "7") in query
    both = segmentation_call({"e": E, "start": "20260101", "end": "20260131", given_: 7, later: 8}).query
    assert [value for name, value in both if name in {given_, later}] == ["8"]


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), st.integers() | st.lists(st.integers())))
def test_the_callers_parameters_stay_as_they_were(parameters: dict[str, Any]) -> None:
    """A question changes nothing of what it was given."""
    definition: dict[str, Any] = {"event_type": "x", "group_by": [parameters]}
    before = copy.deepcopy((definition, parameters))
    segmentation_call({"e": definition, "start": "20260101", "end": "20260131", "s": [parameters]})
    assert (definition, parameters) == before
