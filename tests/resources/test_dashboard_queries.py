"""Every dashboard query as a call: what goes out, what it costs, what is refused, and that no answer loses anything."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplitude_async import AsyncAmplitude, ConfigurationError, Event, InvalidArgumentError, Segment
from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.codec import MalformedError
from amplitude_async.resources.dashboard import Dashboard
from amplitude_async.resources.dashboard.calls import (
    BUILDERS,
    active_users_call,
    activity_call,
    chart_csv_call,
    composition_call,
    funnels_call,
    read_chart_csv,
    realtime_call,
    retention_call,
    revenue_ltv_call,
    search_call,
    segmentation_call,
    session_lengths_call,
)
from amplitude_async.resources.dashboard.entry import Query

A, B = {"event_type": "a"}, {"event_type": "b"}
DAYS: dict[str, Any] = {"start": "20260501", "end": "20260530"}
ONE_DAY: dict[str, Any] = {"start": "20260501", "end": "20260501"}
SPOKEN = [{"prop": "language", "op": "is", "values": ["Norwegian"]}]
BY_TWO = {"event_type": "a", "group_by": [{"type": "user", "value": "country"}, {"type": "event", "value": "plan"}]}
REQUIRED: dict[str, dict[str, Any]] = {
    "chart_csv": {"chart_id": "abc"},
    "chart_query": {"chart_id": "abc"},
    "active_users": DAYS,
    "new_users": DAYS,
    "session_lengths": DAYS,
    "average_session_length": DAYS,
    "sessions_per_user": DAYS,
    "composition": {"p": "platform", **DAYS},
    "events_list": {},
    "segmentation": {"e": A, **DAYS},
    "funnels": {"e": [A, B], **DAYS},
    "retention": {"se": A, "re": B, **DAYS},
    "realtime": {},
    "revenue_ltv": DAYS,
}


def pairs(call: Any, name: str) -> list[str]:
    return [value for key, value in call.query if key == name]


# What a query costs


@pytest.mark.parametrize(
    ("query", "parameters", "cost"),
    [
        # https://amplitude.com/docs/apis/analytics/dashboard-rest#rate-limits, and the worked examples of its older edition
        ("active_users", {**ONE_DAY, "s": SPOKEN, "g": "country", "g2": "city"}, 6),
        ("segmentation", {"e": A, **ONE_DAY, "s": SPOKEN, "g": "country", "g2": "city"}, 10),
        ("funnels", {"e": [A, A, A], **DAYS, "s": SPOKEN, "g": "country"}, 30 * 6 * 6),
        ("segmentation", {"e": A, **ONE_DAY}, 1),
        ("segmentation", {"e": A, **DAYS}, 30),
        ("segmentation", {"e": A, "e2": B, **DAYS}, 60),
        ("segmentation", {"e": BY_TWO, **ONE_DAY}, 1 + 8),
        ("segmentation", {"e": BY_TWO, "e2": BY_TWO, **ONE_DAY}, 2 + 16),
        ("segmentation", {"e": json.dumps(BY_TWO), **ONE_DAY}, 9),
        ("segmentation", {"e": [BY_TWO], **ONE_DAY}, 9),
        ("segmentation", {"e": Event("a").group_by("country", "plan"), **ONE_DAY}, 9),
        ("segmentation", {"e": {"event_type": "a", "group_by": {"type": "user", "value": "x"}}, **ONE_DAY}, 5),
        ("segmentation", {"e": {"event_type": "a", "filters": [{}, {}]}, **ONE_DAY}, 1),
        ("segmentation", {"e": A, **ONE_DAY, "s": []}, 1),
        ("segmentation", {"e": A, **ONE_DAY, "s": Segment()}, 1),
        ("segmentation", {"e": A, **ONE_DAY, "s": SPOKEN[0]}, 2),
        ("segmentation", {"e": A, **ONE_DAY, "s": json.dumps(SPOKEN * 2)}, 3),
        ("segmentation", {"e": A, **ONE_DAY, "s": [SPOKEN, SPOKEN * 2]}, 5),
        ("segmentation", {"e": A, **ONE_DAY, "s": [Segment(), Segment().in_cohort("k").performed("x")]}, 4),
        ("segmentation", {"e": A, "start": date(2026, 2, 27), "end": datetime(2026, 3, 1, 23, tzinfo=UTC)}, 3),
        ("segmentation", {"e": A, "start": "20260501T20", "end": "20260502T03"}, 2),
        ("funnels", {"e": [A, B], **ONE_DAY}, 4),
        ("funnels", {"e": [BY_TWO, B, A], **ONE_DAY}, 6 + 8),
        ("retention", {"se": A, "re": B, **ONE_DAY}, 8),
        ("retention", {"se": A, "re": B, **DAYS, "g": "country"}, 30 * 5 * 8),
        ("session_lengths", DAYS, 120),
        ("average_session_length", DAYS, 120),
        ("sessions_per_user", ONE_DAY, 4),
        ("active_users", DAYS, 30),
        ("new_users", {**DAYS, "g": "country"}, 150),
        ("composition", {"p": "platform", **DAYS}, 30),
        ("revenue_ltv", {**ONE_DAY, "g": "country"}, 5),
        ("events_list", {}, 1),
        ("realtime", {}, 1),
        ("chart_csv", {"chart_id": "abc"}, 1),
        ("chart_query", {"chart_id": "abc"}, 1),
    ],
)
def test_what_a_query_costs(query: Query, parameters: dict[str, Any], cost: int) -> None:
    """Days times conditions times type, as on Amplitude's page; it is what the query takes of the budget."""
    assert Dashboard.cost(query, **parameters) == cost
    assert BUILDERS[query](parameters).uses == (Use("rest"), Use("queries", cost))


def test_the_worked_example_of_a_funnel() -> None:
    """Three events, 30 days, one condition, two group-bys: 1,800."""
    assert Dashboard.cost("funnels", e=[A, A, A], **DAYS, s=SPOKEN, g="country") == 1080
    from amplitude_async.resources.dashboard.cost import funnel_type, query_cost

    assert query_cost(days=1, segments=[1], group_bys=2) == 10
    assert query_cost(days=30, segments=[1], group_bys=2, type_cost=funnel_type([0, 0, 0])) == 1800


def test_a_cost_is_asked_of_a_query_that_would_go() -> None:
    """An unknown name is refused with those that are known, and so is what the query itself would refuse."""
    unknown: Any = "user_search"
    with pytest.raises(InvalidArgumentError, match="revenue_ltv") as caught:
        Dashboard.cost(unknown)
    assert caught.value.argument == "query"
    with pytest.raises(InvalidArgumentError) as caught:
        Dashboard.cost("funnels", e=[], **DAYS)
    assert caught.value.argument == "e"
    with pytest.raises(InvalidArgumentError) as caught:
        Dashboard.cost("segmentation", e=A)
    assert caught.value.argument == "start"


def test_lookups_have_a_pool_of_their_own() -> None:
    """User search and activity take nothing of the queries' five places and cost."""
    assert search_call({"user": "x"}).uses == activity_call({"amplitude_id": 1}).uses == (Use("user_lookups"),)


# What goes out


def test_each_query_has_a_method_and_a_builder() -> None:
    """The names of cost() are those of the methods, and each makes a repeatable GET with the project's keys."""
    assert set(get_args(Query)) == set(BUILDERS) == set(REQUIRED)
    for name, builder in BUILDERS.items():
        assert callable(getattr(Dashboard, name))
        call = builder(REQUIRED[name])
        assert (call.api, call.kind, call.method, call.credential) == ("dashboard", "query", "GET", "project")
        assert call.repeatable
        assert call.body is None
        assert not call.final


@pytest.mark.parametrize("name", [name for name, given_ in REQUIRED.items() if "start" in given_])
def test_ranges_are_days_and_in_order(name: str) -> None:
    """Dates go out as YYYYMMDD, and what is no range is refused by name."""
    parameters = REQUIRED[name]
    call = BUILDERS[name]({**parameters, "start": date(2026, 5, 1), "end": datetime(2026, 5, 2, 23, tzinfo=UTC)})
    assert (pairs(call, "start"), pairs(call, "end")) == (["20260501"], ["20260502"])
    for start, end, argument in (("2026-05-01", "20260502", "start"), ("20260501", None, "end"), ("20260503", "20260502", "start")):
        with pytest.raises(InvalidArgumentError) as caught:
            BUILDERS[name]({**parameters, "start": start, "end": end})
        assert caught.value.argument == argument


@pytest.mark.parametrize("name", REQUIRED)
def test_what_is_not_known_goes_along(name: str) -> None:
    """A parameter that Amplitude adds tomorrow can be used today; what is None is left out."""
    call = BUILDERS[name]({**REQUIRED[name], "further": {"a": [1]}, "nothing": None})
    assert pairs(call, "further") == ['{"a":[1]}']
    assert pairs(call, "nothing") == []


@pytest.mark.parametrize("steps", [[A, B, A], (A, Event("b"), json.dumps(A)), json.dumps([A, B, A])])
def test_the_steps_of_a_funnel_repeat_their_parameter(steps: Any) -> None:
    """One e a step, in their order, whatever they are given as."""
    assert [json.loads(text) for text in pairs(funnels_call({"e": steps, **DAYS}), "e")] == [A, B, A]


def test_one_step_is_a_funnel_of_one() -> None:
    """Amplitude's page names no least number of steps."""
    assert pairs(funnels_call({"e": A, **DAYS}), "e") == ['{"event_type":"a"}']


@pytest.mark.parametrize("steps", [None, "", "signup", 5, [], {}.keys(), [A, "signup"], [A, None], [[A]], b"{}"], ids=repr)
def test_what_the_steps_of_a_funnel_may_not_be(steps: Any) -> None:
    """Anything else is refused by name, and by place."""
    with pytest.raises(InvalidArgumentError) as caught:
        funnels_call({"e": steps, **DAYS})
    assert caught.value.argument in {"e", "e[0]", "e[1]"}


@pytest.mark.parametrize(
    ("s", "texts"),
    [
        (None, []),
        ([], []),
        ((), []),
        (Segment(), []),
        (SPOKEN, [SPOKEN]),
        (SPOKEN[0], [SPOKEN]),
        (json.dumps(SPOKEN), [SPOKEN]),
        (json.dumps(SPOKEN[0]), [SPOKEN]),
        ([SPOKEN], [SPOKEN]),
        ([SPOKEN, SPOKEN], [SPOKEN, SPOKEN]),
        ([[], SPOKEN], [[], SPOKEN]),
        ([Segment(), Segment().where("language", "is", "Norwegian")], [[], SPOKEN]),
        ([json.dumps(SPOKEN), SPOKEN], [SPOKEN, SPOKEN]),
        (json.dumps([SPOKEN, SPOKEN]), [SPOKEN, SPOKEN]),
        (Segment().where("language", "is", "Norwegian"), [SPOKEN]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("builder", [active_users_call, revenue_ltv_call])
def test_segments_repeat_their_parameter(builder: Any, s: Any, texts: list[Any]) -> None:
    """A list of conditions is one segment, a list of segments several; everybody alone is left out."""
    assert [json.loads(text) for text in pairs(builder({**DAYS, "s": s}), "s")] == texts


@pytest.mark.parametrize("s", ["", "everyone", 5, [5], [SPOKEN, None], [SPOKEN[0], SPOKEN], "[[[]]]", b"[]", [SPOKEN, "x"]], ids=repr)
def test_what_a_segment_may_not_be(s: Any) -> None:
    """Anything else is refused by name, and a condition beside segments too: it may be meant as either."""
    with pytest.raises(InvalidArgumentError) as caught:
        active_users_call({**DAYS, "s": s})
    assert caught.value.argument is not None
    assert caught.value.argument.partition("[")[0] == "s"


@pytest.mark.parametrize("name", ["segmentation", "funnels", "retention", "active_users", "new_users", "revenue_ltv"])
def test_a_group_by_takes_one_segment(name: str) -> None:
    """Several segments and a group-by contradict each other."""
    BUILDERS[name]({**REQUIRED[name], "s": [SPOKEN], "g": "country"})
    with pytest.raises(InvalidArgumentError) as caught:
        BUILDERS[name]({**REQUIRED[name], "s": [SPOKEN, SPOKEN], "g": "country"})
    assert caught.value.argument == "g"


@pytest.mark.parametrize(("mode", "sent"), [("n-day", "nday"), ("nday", "nday"), ("rolling", "rolling"), (None, None)])
def test_the_mode_of_a_retention_is_what_works(mode: Any, sent: str | None) -> None:
    """Amplitude's page writes n-day where its API takes nday."""
    assert pairs(retention_call({**REQUIRED["retention"], "rm": mode}), "rm") == ([] if sent is None else [sent])


@pytest.mark.parametrize("brackets", [[[0, 5]], ((0, 1), (1, 8)), "[[0,5]]"])
def test_brackets_go_out_as_json(brackets: Any) -> None:
    """Pairs in any sequence, or their text."""
    (text,) = pairs(retention_call({**REQUIRED["retention"], "rm": "bracket", "rb": brackets}), "rb")
    assert json.loads(text) == (json.loads(brackets) if isinstance(brackets, str) else [list(pair) for pair in brackets])


@pytest.mark.parametrize(
    ("query", "wrong", "argument"),
    [
        ("retention", {"rm": "bracket"}, "rb"),
        ("retention", {"rb": [[0, 5]]}, "rb"),
        ("retention", {"rm": "rolling", "rb": [[0, 5]]}, "rb"),
        *[
            ("retention", {"rm": "bracket", "rb": wrong}, "rb")
            for wrong in ([], [[5, 0]], [[1, 1]], [[0]], [[0, 1, 2]], [5], 5, [["a", "b"]], [[0, 1.5]], [[-1, 2]], ["01"])
        ],
        ("retention", {"se": None}, "se"),
        ("retention", {"re": "returned"}, "re"),
        ("segmentation", {"m": "formula"}, "formula"),
        ("segmentation", {"g2": "country"}, "g2"),
        ("segmentation", {"e2": "b"}, "e2"),
        *[("segmentation", {"limit": wrong}, "limit") for wrong in (0, 1001, -1, "many", True, 1.5)],
        ("funnels", {"limit": 1001}, "limit"),
        *[("funnels", {"cs": wrong}, "cs") for wrong in (0, -1, "soon", 1.5)],
        ("funnels", {"mode": "unordered", "cs": 3}, "cs"),
        ("funnels", {"mode": "unordered", "cs": 86_399}, "cs"),
        *[("composition", {"p": wrong}, "p") for wrong in (None, "", " ")],
        *[("chart_csv", {"chart_id": wrong}, "chart_id") for wrong in (None, "", " ")],
        ("chart_query", {"chart_id": ""}, "chart_id"),
        ("revenue_ltv", {"m": "ltv"}, "m"),
        ("session_lengths", {"bin_unit": "minutes"}, "bin_min"),
        ("session_lengths", {"bin_unit": "minutes", "bin_min": 0}, "bin_max"),
        ("session_lengths", {"bin_min": 0, "bin_max": 3}, "bin_unit"),
        ("session_lengths", {"bin_size": 3}, "bin_unit"),
        ("session_lengths", {"bin_unit": "days", "bin_min": 0, "bin_max": 3}, "bin_unit"),
        ("session_lengths", {"bin_unit": "hours", "bin_min": 3, "bin_max": 3}, "bin_max"),
        ("session_lengths", {"bin_unit": "hours", "bin_min": -1, "bin_max": 3}, "bin_min"),
        ("session_lengths", {"bin_unit": "hours", "bin_min": 0, "bin_max": "long"}, "bin_max"),
        ("session_lengths", {"bin_unit": "hours", "bin_min": 0, "bin_max": float("inf")}, "bin_max"),
        ("session_lengths", {"bin_unit": "hours", "bin_min": 0, "bin_max": 3, "bin_size": 0}, "bin_size"),
        ("session_lengths", {"bin_unit": "hours", "bin_min": 0, "bin_max": 3, "bin_size": 4}, "bin_size"),
        ("session_lengths", {"timeHistogramConfigBinTimeUnit": "hours"}, "bin_min"),
    ],
)
def test_what_amplitude_would_refuse_or_misread_is_refused(query: str, wrong: dict[str, Any], argument: str) -> None:
    """Nothing of it is sent, and the refusal names the argument."""
    with pytest.raises(InvalidArgumentError) as caught:
        BUILDERS[query]({**REQUIRED[query], **wrong})
    assert caught.value.argument == argument


def test_a_formula_makes_its_metric() -> None:
    """A formula alone is a question for the formula; a metric that is given stays."""
    assert pairs(segmentation_call({**REQUIRED["segmentation"], "formula": "TOTALS(A)"}), "m") == ["formula"]
    assert pairs(segmentation_call({**REQUIRED["segmentation"], "formula": "TOTALS(A)", "m": "uniques"}), "m") == ["uniques"]


@pytest.mark.parametrize(
    ("m", "sent"), [("arpu", "0"), ("arppu", "1"), ("total_revenue", "2"), ("paying_users", "3"), (0, "0"), ("3", "3")]
)
def test_the_metrics_of_ltv_have_names(m: Any, sent: str) -> None:
    """Amplitude numbers them."""
    assert pairs(revenue_ltv_call({**DAYS, "m": m}), "m") == [sent]


@pytest.mark.parametrize("long", [False, True])
def test_bins_have_short_names_too(long: bool) -> None:
    """Both spellings go out as Amplitude's, and numbers as they are."""
    short = {"bin_unit": "minutes", "bin_min": 0, "bin_max": 4.5, "bin_size": 0.5}
    names = {name: f"time_histogram_config_bin_{name.removeprefix('bin_').replace('unit', 'time_unit')}" for name in short}
    call = session_lengths_call({**DAYS, **({names[name]: value for name, value in short.items()} if long else short)})
    assert call.query[2:] == (
        ("timeHistogramConfigBinTimeUnit", "minutes"),
        ("timeHistogramConfigBinMin", "0"),
        ("timeHistogramConfigBinMax", "4.5"),
        ("timeHistogramConfigBinSize", "0.5"),
    )


def test_realtime_asks_for_five_minutes() -> None:
    """Unless something else is given, since Amplitude is said to take nothing else."""
    assert realtime_call({}).query == (("i", "5"),)
    assert realtime_call({"i": 10}).query == (("i", "10"),)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip))
def test_no_chart_id_changes_the_path(chart_id: str) -> None:
    """Whatever is in an id, it stays one segment of the path (S18)."""
    path = chart_csv_call({"chart_id": chart_id}).path
    assert path.startswith("/api/3/chart/")
    assert path.count("/") == 5
    assert not {"?", "#", " "} & set(path)
    assert path.split("/")[4] not in {".", ".."}


@given(
    st.dictionaries(
        st.sampled_from(["g", "i", "n", "m", "limit", "mode", "cs", "rm", "rb", "s"]),
        st.none() | st.integers() | st.text('ab0_ []{}",:-', max_size=8),
    )
)
def test_whatever_is_given_is_sent_or_refused(parameters: dict[str, Any]) -> None:
    """No other error than the library's own comes of arguments."""
    for name, builder in BUILDERS.items():
        try:
            call = builder({**REQUIRED[name], **parameters})
        except InvalidArgumentError:
            continue
        assert all(isinstance(text, str) for pair in call.query for text in pair)


def test_the_property_of_a_composition_goes_out_as_it_is() -> None:
    """Also one of the user's own."""
    assert pairs(composition_call({"p": "gp:plan", **DAYS}), "p") == ["gp:plan"]


# What comes back


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"a,b\r\n1,2\r\n", "a,b\r\n1,2\r\n"),
        (b"\xef\xbb\xbfa,b\n", "a,b\n"),
        (b'{"data": "a,b\\r\\n1,2"}', "a,b\r\n1,2"),
        (b"{oddly},b\n1,2\n", "{oddly},b\n1,2\n"),
        ("é\t,b\n".encode(), "é\t,b\n"),
    ],
)
def test_the_csv_of_a_chart_is_text(body: bytes, text: str) -> None:
    """As it is, also if it comes within JSON, as public clients report."""
    assert read_chart_csv(body) == text


@pytest.mark.parametrize(
    "body", [b"", b" \r\n", b"\xff\xfe", b"<!DOCTYPE html><p>x", b"<html></html>", b'{"data": {"series": []}}', b"{}"]
)
def test_what_is_no_csv_is_no_success(body: bytes) -> None:
    """An empty answer, a page of HTML, JSON of another shape."""
    with pytest.raises(MalformedError):
        read_chart_csv(body)


@pytest.mark.parametrize("name", [name for name in REQUIRED if name != "chart_csv"])
def test_no_answer_loses_anything(name: str) -> None:
    """Unknown keys and values of any kind survive."""
    answer = {"data": {"series": [[1, 2.5, None]], "further": {"a": [True]}}, "novaCost": 3}
    assert BUILDERS[name](REQUIRED[name]).reads(json.dumps(answer).encode()) == answer


@pytest.mark.anyio
async def test_a_query_without_a_secret_key_says_what_is_missing() -> None:
    """Nothing is sent, and the argument and the variable are named."""
    async with AsyncAmplitude("key") as amplitude:
        with pytest.raises(ConfigurationError, match="AMPLITUDE_SECRET_KEY"):
            await amplitude.dashboard.realtime()
