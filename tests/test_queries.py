"""Events and segments as users build them: exactly Amplitude's mappings, immutable, and refused when they make no sense."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplitude_async import Event, InvalidArgumentError, Segment
from amplitude_async.queries import BUILT_IN_PROPERTIES
from amplitude_async.resources.dashboard.calls import funnels_call, segmentation_call


class Plan(Enum):
    PRO = "pro"


class TextPlan(str, Enum):  # noqa: UP042 - the kind whose str() is not its text
    PRO = "pro"


def test_an_event_is_the_mapping_of_amplitudes_page() -> None:
    """The sheet's own example, step by step."""
    event = (
        Event("order_placed")
        .where("channel", "is", ["web", "ios"])
        .where("gp:tier", "is not", ["(none)"])
        .group_by("country", of="user")
    )
    assert event == {
        "event_type": "order_placed",
        "filters": [
            {"subprop_type": "event", "subprop_key": "channel", "subprop_op": "is", "subprop_value": ["web", "ios"]},
            {"subprop_type": "user", "subprop_key": "gp:tier", "subprop_op": "is not", "subprop_value": ["(none)"]},
        ],
        "group_by": [{"type": "user", "value": "country"}],
    }
    assert Event("signup") == {"event_type": "signup"}
    assert len(event) == len(dict(event)) == 3


def test_a_segment_is_the_list_of_amplitudes_page() -> None:
    """The sheet's own examples, step by step."""
    segment = Segment().where("country", "is", ["Norway", "Sweden"]).performed("trial_started", ">=", 1, time_type="allTime")
    assert segment == [
        {"prop": "country", "op": "is", "values": ["Norway", "Sweden"]},
        {"type": "event", "event_type": "trial_started", "op": ">=", "value": 1, "filters": [], "time_type": "allTime"},
    ]
    assert Segment().in_cohort("k3x9q2f") == [{"prop": "userdata_cohort", "op": "is", "values": ["k3x9q2f"]}]
    assert Segment().not_in_cohort("a", "b") == [{"prop": "userdata_cohort", "op": "is not", "values": ["a", "b"]}]
    assert Segment() == []
    recent = Segment().performed(Event("buy").where("price", "greater", 10), ">", 2, time_type="forEachInterval", time_value=30)
    assert list(recent) == [
        {
            "type": "event",
            "event_type": "buy",
            "op": ">",
            "value": 2,
            "filters": [{"subprop_type": "event", "subprop_key": "price", "subprop_op": "greater", "subprop_value": ["10"]}],
            "time_type": "forEachInterval",
            "time_value": 30,
        }
    ]


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (Event.any_active(), "_active"),
        (Event.any_event(), "_all"),
        (Event.new_user(), "_new"),
        (Event.custom("Big order"), "ce:Big order"),
        (Event.custom("ce:Big order"), "ce:Big order"),
        (Event.revenue(), "revenue_amount"),
        (Event.revenue("verified"), "verified_revenue"),
        (Event.revenue("unverified"), "unverified_revenue"),
    ],
)
def test_special_events_have_names(event: Event, name: str) -> None:
    """What Amplitude spells with a prefix or an underscore has a method, and is an event like any other."""
    assert event == {"event_type": name}
    assert event.where("x", "is", "y")["event_type"] == name


@pytest.mark.parametrize(
    ("prop", "of", "owner"),
    [
        ("plan", None, "event"),
        ("gp:plan", None, "user"),
        *[(name, None, "user") for name in sorted(BUILT_IN_PROPERTIES)],
        ("country", "event", "event"),
        ("Country", None, "event"),
        ("plan", "user", "user"),
        ("name", "group", "group"),
    ],
)
def test_whose_property_it_is(prop: str, of: Any, owner: str) -> None:
    """Built-in names and gp: are the user's, others the event's, and of= decides otherwise."""
    event = Event("x").where(prop, "is", "y", of=of).group_by(prop, of=of)
    assert event["filters"][0]["subprop_type"] == event["group_by"][0]["type"] == owner


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ("NO", ["NO"]),
        (["NO", "SE"], ["NO", "SE"]),
        (("NO",), ["NO"]),
        pytest.param({"b", "a"}, ["a", "b"], id="a set"),
        pytest.param((name for name in "ab"), ["a", "b"], id="a generator"),
        (None, ["(none)"]),
        (["x", None], ["x", "(none)"]),
        (0, ["0"]),
        (10, ["10"]),
        (10.0, ["10"]),
        (2.5, ["2.5"]),
        (Decimal("1.50"), ["1.50"]),
        (True, ["true"]),
        (date(2026, 5, 1), ["2026-05-01"]),
        (datetime(2026, 5, 1, 12, tzinfo=UTC), ["2026-05-01T12:00:00.000Z"]),
        (UUID(int=0), ["00000000-0000-0000-0000-000000000000"]),
        (Plan.PRO, ["pro"]),
        (TextPlan.PRO, ["pro"]),
        ([Plan.PRO, "free"], ["pro", "free"]),
        ("", [""]),
    ],
    ids=repr,
)
def test_values_go_out_as_a_list_of_texts(values: Any, texts: list[str]) -> None:
    """One value or several, of any kind that has a text."""
    assert Event("x").where("p", "is", values)["filters"][0]["subprop_value"] == texts


def refusals() -> list[tuple[str, Any]]:
    event, segment = Event("x"), Segment()
    wrong: Any = object()
    return [
        ("event_type", lambda: Event("")),
        ("event_type", lambda: Event(" ")),
        ("event_type", lambda: Event(wrong)),
        ("event_type", lambda: Event("\ud800")),
        ("name", lambda: Event.custom("")),
        ("kind", lambda: Event.revenue(wrong)),
        ("prop", lambda: event.where("", "is", "y")),
        ("op", lambda: event.where("p", wrong, "y")),
        ("values", lambda: event.where("p", "is", [])),
        ("values", lambda: event.where("p", "is", wrong)),
        ("values", lambda: event.where("p", "is", b"x")),
        ("values", lambda: event.where("p", "is", {"a": 1})),
        ("values", lambda: event.where("p", "is", [wrong])),
        ("values", lambda: event.where("p", "is", float("nan"))),
        ("values", lambda: event.where("p", "is", Decimal("sNaN"))),
        ("values", lambda: event.where("p", "is", 10**5000)),
        ("values", lambda: event.where("p", "is", "\ud800")),
        ("of", lambda: event.where("p", "is", "y", of=wrong)),
        ("props", event.group_by),
        ("props", lambda: event.group_by("")),
        ("props", lambda: event.group_by("a", "b", "c")),
        ("props", lambda: event.group_by("a", "b").group_by("c")),
        ("prop", lambda: segment.where("", "is", "y")),
        ("op", lambda: segment.where("country", wrong, "y")),
        ("cohort_ids", segment.in_cohort),
        ("cohort_ids", lambda: segment.in_cohort("")),
        ("cohort_ids", lambda: segment.not_in_cohort(wrong)),
        ("event", lambda: segment.performed(wrong)),
        ("event_type", lambda: segment.performed("")),
        ("event", lambda: segment.performed(event.group_by("a"))),
        ("op", lambda: segment.performed("x", wrong)),
        ("value", lambda: segment.performed("x", ">=", -1)),
        ("value", lambda: segment.performed("x", ">=", True)),
        ("value", lambda: segment.performed("x", ">=", wrong)),
        ("time_type", lambda: segment.performed("x", time_type=wrong)),
        ("time_value", lambda: segment.performed("x", time_value=7)),
        ("time_value", lambda: segment.performed("x", time_type="forEachInterval", time_value=0)),
    ]


@pytest.mark.parametrize(("argument", "build"), refusals())
def test_what_makes_no_sense_is_refused(argument: str, build: Any) -> None:
    """The refusal is the library's own and names the argument."""
    with pytest.raises(InvalidArgumentError) as caught:
        build()
    assert caught.value.argument == argument
    assert str(caught.value).startswith(argument)


@pytest.mark.parametrize(
    ("build", "advice"),
    [
        (lambda wrong: Event("x").where("p", wrong("=="), 1), "'is'"),
        (lambda wrong: Event("x").where("p", wrong(">="), 1), "'greater or equal'"),
        (lambda wrong: Event("x").where("p", wrong("equals"), 1), "'does not contain'"),
        (lambda wrong: Segment().performed("x", wrong("greater"), 1), "'>'"),
        (lambda wrong: Segment().where("plan", "is", "pro"), "'gp:plan'"),
    ],
)
def test_a_refusal_says_what_to_write(build: Any, advice: str) -> None:
    """Signs are translated, operators listed, and a property of one's own is told of its gp:."""
    with pytest.raises(InvalidArgumentError) as caught:
        build(lambda text: text)
    assert advice in str(caught.value)


def test_a_property_that_is_not_listed_can_be_asked_for() -> None:
    """What has a prefix passes, and so does what the caller knows to be built in."""
    segment = Segment().where("grp:size", "is", "1").where("ip_address", "is", "::1", is_built_in=True)
    assert [each["prop"] for each in segment] == ["grp:size", "ip_address"]


def test_every_step_makes_a_new_one_and_gives_out_copies() -> None:
    """Nothing that is built on an event or segment, or done to what was read from it, changes it."""
    event, segment = Event("x").where("p", "is", "y"), Segment().where("country", "is", "NO")
    event.where("q", "is", "z").group_by("a")
    segment.in_cohort("k")
    event["filters"].append("other")
    event["filters"][0]["subprop_value"].append("other")
    segment[0]["values"].append("other")
    segment[:][0]["values"].append("other")
    assert event == {
        "event_type": "x",
        "filters": [{"subprop_type": "event", "subprop_key": "p", "subprop_op": "is", "subprop_value": ["y"]}],
    }
    assert segment == [{"prop": "country", "op": "is", "values": ["NO"]}]
    unchecked: Any = event
    with pytest.raises(TypeError):
        unchecked["event_type"] = "other"
    with pytest.raises(AttributeError):
        unchecked.further = 1


def test_they_are_values() -> None:
    """Equal ones are equal, hash alike, survive copying and pickling, and print as the steps that make them."""
    event = Event("x").where("p", "is", [1, None]).group_by("country").group_by("size", of="group")
    segment = Segment().where("country", "is", "NO").in_cohort("k").performed(Event("y"), time_type="forEachInterval", time_value=3)
    for value in (event, segment):
        for twin in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value)), eval(repr(value))):
            assert twin == value
            assert hash(twin) == hash(value)
    assert event != Event("x")
    assert segment != Segment()
    assert (Segment() == "") is False
    assert {event: 1, segment: 2}[segment] == 2


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(str.strip)
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
FILTERS = st.lists(
    st.tuples(TEXT, st.sampled_from(["is", "is not", "contains", "less", "set is"]), st.lists(ANY, min_size=1, max_size=3)),
    max_size=3,
)


@given(TEXT, FILTERS, st.lists(TEXT, max_size=2))
def test_it_goes_out_exactly_as_the_plain_mapping_does(
    name: str, filters: list[tuple[str, Any, list[str]]], groups: list[str]
) -> None:
    """Whatever is in them, an event and its plain mapping make the same request, in a segmentation and in a funnel."""
    event = Event(name)
    plain: dict[str, Any] = {"event_type": name}
    for prop, op, values in filters:
        event = event.where(prop, op, values)
        owner = "user" if prop in BUILT_IN_PROPERTIES or prop.startswith("gp:") else "event"
        plain.setdefault("filters", []).append({"subprop_type": owner, "subprop_key": prop, "subprop_op": op, "subprop_value": values})
    for prop in groups:
        event = event.group_by(prop, of="event")
        plain.setdefault("group_by", []).append({"type": "event", "value": prop})
    assert event == plain
    assert dict(event) == plain
    days = {"start": "20260501", "end": "20260502"}
    assert segmentation_call({"e": event, "e2": event, **days}) == segmentation_call({"e": plain, "e2": plain, **days})
    assert funnels_call({"e": [event, event], **days}) == funnels_call({"e": [plain, plain], **days})
    assert json.loads(segmentation_call({"e": event, **days}).query[0][1]) == plain


@given(st.lists(st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=3)), max_size=4), st.integers(0, 9))
def test_a_segment_goes_out_exactly_as_the_plain_list_does(conditions: list[tuple[str, list[str]]], times: int) -> None:
    """Whatever is in them, alone and beside others, a segment and its plain list make the same request."""
    segment = Segment()
    plain: list[dict[str, Any]] = []
    for prop, values in conditions:
        segment = segment.where(f"gp:{prop}", "is", values)
        plain.append({"prop": f"gp:{prop}", "op": "is", "values": values})
    segment = segment.performed("x", "<", times)
    plain.append({"type": "event", "event_type": "x", "op": "<", "value": times, "filters": [], "time_type": "allTime"})
    asked: dict[str, Any] = {"e": {"event_type": "x"}, "start": "20260501", "end": "20260502"}
    assert segmentation_call({**asked, "s": segment}) == segmentation_call({**asked, "s": plain})
    assert segmentation_call({**asked, "s": [segment, segment]}) == segmentation_call({**asked, "s": [plain, plain]})


def test_building_one_loads_nothing_but_errors() -> None:
    """Who only builds queries loads neither the client nor any dependency."""
    program = (
        "import sys\nfrom amplitude_async import Event, Segment\n"
        "Event('x').where('p', 'is', 1), Segment().in_cohort('k')\n"
        "mine = {name for name in sys.modules if name.startswith('amplitude_async')}\n"
        "assert mine == {'amplitude_async', 'amplitude_async.errors', 'amplitude_async.queries'}, mine\n"
        "assert 'msgspec' not in sys.modules and 'anyio' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
