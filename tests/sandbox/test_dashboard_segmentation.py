"""Segmentation: metrics, formulas, windows, distributions, groups and segments, against counting by hand."""

from __future__ import annotations

import contextlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import date, timedelta
from itertools import pairwise
from statistics import fmean
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_async.sandbox import Sandbox, formulas

from .made_up import START, Event, World, days, named, send

N = [{"type": "event", "value": "n"}]
Events = list[Event]


def per_day(world: World, kind: str, start: date = START) -> list[Events]:
    """Return the events of a type, day by day."""
    found: dict[date, Events] = defaultdict(list)
    for event in world.within(start):
        if kind == "_all" or (kind == "_active" and event.is_active) or event.kind == kind:
            found[world.day(event)].append(event)
    return [found[day] for day in days(start)]


def users(events: Events) -> int:
    return len({event.user for event in events})


def ns(events: Events) -> list[int]:
    return [event.row["event_properties"]["n"] for event in events]


def ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0


def nearest(numbers: list[int], share: float) -> float:
    return sorted(numbers)[max(math.ceil(share * len(numbers)), 1) - 1] if numbers else 0


def distinct_per_user(events: Events) -> float:
    values: dict[str, set[int]] = defaultdict(set)
    for event in events:
        values[event.user].add(event.row["event_properties"]["n"])
    return ratio(sum(map(len, values.values())), len(values))


MEASURES: dict[str, Callable[[Events, Events], float]] = {
    "UNIQUES(A)": lambda some, _active: users(some),
    "TOTALS(A)": lambda some, _active: len(some),
    "AVG(A)": lambda some, _active: ratio(len(some), users(some)),
    "ACTIVE(A)": lambda some, active: ratio(users(some), users(active)),
    "ARPAU(A)": lambda some, active: ratio(sum(ns(some)), users(active)),
    "PROPSUM(A)": lambda some, _active: sum(ns(some)),
    "REVENUETOTAL(A)": lambda some, _active: sum(ns(some)),
    "PROPAVG(A)": lambda some, _active: ratio(sum(ns(some)), len(some)),
    "PROPMIN(A)": lambda some, _active: min(ns(some), default=0),
    "PROPMAX(A)": lambda some, _active: max(ns(some), default=0),
    "PROPCOUNT(A)": lambda some, _active: len(set(ns(some))),
    "PROPCOUNTAVG(A)": lambda some, _active: distinct_per_user(some),
    "PERCENTILE(A, 0.9)": lambda some, _active: nearest(ns(some), 0.9),
    "FREQPERCENTILE(A, .5)": lambda some, _active: nearest(list(Counter(event.user for event in some).values()), 0.5),
}


@pytest.mark.parametrize("formula", MEASURES)
def test_a_metric_agrees_with_counting_by_hand(world: World, formula: str) -> None:
    """Every metric of formulas is, day by day and over the range, what one would count from the raw rows."""
    measure = MEASURES[formula]
    measures_property = formula.startswith(("PROP", "REV", "ARP", "PERC"))
    e = named("search", group_by=N) if measures_property else named("search")
    data = world.ask("events/segmentation", e=e, m="formula", formula=formula.lower())
    searches, active = per_day(world, "search"), per_day(world, "_active")
    assert data["series"] == [[pytest.approx(measure(some, those)) for some, those in zip(searches, active, strict=True)]]
    assert data["seriesCollapsed"][0][0]["value"] == pytest.approx(measure(sum(searches, []), sum(active, [])))
    assert data["xValues"] == [day.isoformat() for day in days()]
    assert data["seriesLabels"] == [0]


@pytest.mark.parametrize(
    ("metric", "formula"),
    [("uniques", "UNIQUES(A)"), ("totals", "TOTALS(A)"), ("average", "AVG(A)"), ("sums", "PROPSUM(A)"), ("value_avg", "PROPAVG(A)")],
)
def test_a_metric_is_the_formula_of_it(world: World, metric: str, formula: str) -> None:
    """What m names is what the formula of that metric gives."""
    e = named("_active", group_by=N) if formula.startswith("PROP") else named("_active")
    plain = world.ask("events/segmentation", e=e, m=metric)
    assert plain == world.ask("events/segmentation", e=e, m="formula", formula=formula)


def test_a_share_of_active_users_is_in_percent(world: World) -> None:
    """pct_dau is the share of a day's active users, in percent."""
    data = world.ask("events/segmentation", e=named("buy"), m="pct_dau")
    pairs = zip(per_day(world, "buy"), per_day(world, "_active"), strict=True)
    assert data["series"] == [[pytest.approx(100 * ratio(users(some), users(active))) for some, active in pairs]]


@pytest.mark.parametrize("width", [2, 7])
def test_windows_reach_back_before_the_range(world: World, width: int) -> None:
    """A rolling window counts users once over its days, a rolling average is the mean of its days, from before the range on."""
    start = START - timedelta(days=width - 1)
    searches = per_day(world, "search", start)
    windows = [searches[index : index + width] for index in range(len(days()))]
    cases: list[tuple[str, list[float]]] = [
        ("rollingWindow", [users(sum(window, [])) for window in windows]),
        ("rollingAverage", [fmean(map(users, window)) for window in windows]),
    ]
    for name, expected in cases:
        data = world.ask("events/segmentation", e=named("search"), **{name: str(width)})
        assert data["series"] == [[pytest.approx(each) for each in expected]]
        assert data["seriesCollapsed"][0][0]["value"] == users([event for day in per_day(world, "search") for event in day])
    rolled = world.ask("events/segmentation", e=named("search"), m="formula", formula=f"ROLLWIN(TOTALS, A, {width})")
    assert rolled["series"] == [[sum(map(len, window)) for window in windows]]
    mean = world.ask("events/segmentation", e=named("search"), m="formula", formula=f"ROLLAVG(TOTALS,A,{width})")
    assert mean["series"] == [[pytest.approx(fmean(map(len, window))) for window in windows]]


def test_running_totals_count_users_once(world: World) -> None:
    """A cumulative sum of users counts each once, one of a property adds up; both begin with the range."""
    searches = per_day(world, "search")
    so_far = [sum(searches[: index + 1], []) for index in range(len(searches))]
    data = world.ask("events/segmentation", e=named("search", group_by=N), m="formula", formula="CUMSUM(UNIQUES,A); cumsum(propsum,a)")
    assert data["series"] == [[users(some) for some in so_far], [sum(ns(some)) for some in so_far]]
    assert data["seriesLabels"] == [0, 1]


def test_two_events_and_arithmetic(world: World) -> None:
    """A formula of two events is computed day by day, and once over the whole range."""
    searches, buys = per_day(world, "search"), per_day(world, "buy")
    formula = "%: (UNIQUES(B) + 1) / TOTALS(A) * -2 + SQRT(POWER(TOTALS(B), 2))"

    def expected(some: Events, others: Events) -> float:
        return ratio(users(others) + 1, len(some)) * -2 + len(others)

    data = world.ask("events/segmentation", e=named("search"), e2=named("buy"), m="formula", formula=formula)
    assert data["series"] == [[pytest.approx(expected(some, others)) for some, others in zip(searches, buys, strict=True)]]
    assert data["seriesCollapsed"] == [[{"setId": "", "value": pytest.approx(expected(sum(searches, []), sum(buys, [])))}]]


def test_a_formula_may_compare_segments(world: World) -> None:
    """Letters with numbers mean the event in that segment; without, a formula has a series for each segment."""
    segments = [[{"prop": "platform", "op": "is", "values": [value]}] for value in ("iOS", "Web")]
    plain = world.ask("events/segmentation", e=named("_active"), m="formula", formula="TOTALS(A)", s=segments)
    mixed = world.ask("events/segmentation", e=named("_active"), m="formula", formula="TOTALS(A2)-TOTALS(A1)", s=segments)
    ios, web = plain["series"]
    assert plain["seriesLabels"] == [0, 1]
    assert mixed["series"] == [[w - i for i, w in zip(ios, web, strict=True)]]


def test_a_trend_is_a_straight_line_through_the_middle(world: World) -> None:
    """The trend line of least squares has the mean of its points and equal steps."""
    data = world.ask("events/segmentation", e=named("_all"), m="formula", formula="TRENDLINE(TOTALS(A));TOTALS(A)")
    line, points = data["series"]
    assert fmean(line) == pytest.approx(fmean(points))
    steps = [later - before for before, later in pairwise(line)]
    assert steps == [pytest.approx(steps[0])] * len(steps)
    moments = [sum((index - 4.5) * each for index, each in enumerate(series)) for series in (line, points)]
    assert moments[0] == pytest.approx(moments[1])


def test_distributions_have_their_values_for_dates(world: World) -> None:
    """HIST counts users by how often they did it, a histogram events by the value of a property."""
    searches = [event for day in per_day(world, "search") for event in day]
    frequencies = Counter(Counter(event.user for event in searches).values())
    data = world.ask("events/segmentation", e=named("search"), m="formula", formula="HIST(A)")
    assert dict(zip(data["xValues"], data["series"][0], strict=True)) == {str(each): frequencies[each] for each in frequencies}
    values = Counter(ns(searches))
    for more in ({"m": "histogram"}, {"m": "formula", "formula": "PROPHIST(A)"}):
        data = world.ask("events/segmentation", e=named("search", group_by=N), **more)
        assert data["xValues"] == [str(each) for each in sorted(values)]
        assert data["series"] == [[values[each] for each in sorted(values)]]
        assert data["seriesCollapsed"] == [[{"setId": "", "value": len(searches)}]]


def test_two_group_bys_make_pairs(world: World) -> None:
    """With g and g2 there is a series for each pair of values, the largest first, up to the limit."""
    pairs = Counter(
        f"{event.user_value('platform')}; {event.user_value('gp:plan')}" for event in world.within() if event.kind == "view"
    )
    data = world.ask("events/segmentation", e=named("view"), m="totals", g="platform", g2="gp:plan")
    counts = {label: each[0]["value"] for label, each in zip(data["seriesLabels"], data["seriesCollapsed"], strict=True)}
    assert counts == pairs
    assert list(counts.values()) == sorted(counts.values(), reverse=True)
    limited = world.ask("events/segmentation", e=named("view"), m="totals", g="platform", g2="gp:plan", limit=2)
    assert limited["seriesLabels"] == data["seriesLabels"][:2]


def test_a_formula_is_computed_in_each_group(world: World) -> None:
    """Grouped, a formula takes of each event the part with that value, nothing where there is none."""
    data = world.ask(
        "events/segmentation", e=named("search"), e2=named("buy"), g="platform", m="formula", formula="TOTALS(B)-TOTALS(A)"
    )
    for label, series in zip(data["seriesLabels"], data["series"], strict=True):
        by_kind = [
            [sum(event.user_value("platform") == label for event in day) for day in per_day(world, kind)] for kind in ("search", "buy")
        ]
        assert series == [buys - searches for searches, buys in zip(*by_kind, strict=True)]


@pytest.mark.parametrize("time_type", ["allTime", "currentInterval", "forEachInterval"])
def test_who_performed_looks_at_each_interval(world: World, time_type: str) -> None:
    """Those count who did it often enough: ever, on the day itself, or in the days up to the day's end."""
    condition = {"type": "event", "event_type": "view", "op": ">=", "value": 2, "time_type": time_type, "time_value": 3, "filters": []}
    data = world.ask("events/segmentation", e=named("search"), m="totals", s=[[condition]])

    def done(event: Event) -> int:
        day = world.day(event)
        reach = {"allTime": timedelta.max, "currentInterval": timedelta(), "forEachInterval": timedelta(days=2)}[time_type]
        first = date.min if time_type == "allTime" else day - reach
        last = date.max if time_type == "allTime" else day
        return sum(other.kind == "view" and first <= world.day(other) <= last for other in world.of(event.user))

    assert data["series"] == [[sum(done(event) >= 2 for event in day) for day in per_day(world, "search")]]


def test_only_active_users_may_be_asked_for(world: World) -> None:
    """With n=active those are left out who in the range only did what isn't counted as activity."""
    data = world.ask("events/segmentation", e=named("_all"), n="active", m="uniques")
    active = {event.user for event in world.within() if event.is_active}
    assert data["series"] == [[users([event for event in day if event.user in active]) for day in per_day(world, "_all")]]


@pytest.mark.parametrize(("interval", "count"), [("-3600000", 7 * 24), ("-300000", 2 * 288)])
def test_short_intervals_are_of_the_zone(world: World, interval: str, count: int) -> None:
    """Hours and five minutes begin with the first day's midnight in the project's zone."""
    length = {"-3600000": 7, "-300000": 2}[interval]
    end = START + timedelta(days=length - 1)
    data = world.ask("events/segmentation", e=named("_all"), m="totals", i=interval, end=f"{end:%Y%m%d}")
    assert len(data["xValues"]) == count
    minutes = int(interval) // -60_000
    expected: Counter[str] = Counter()
    for event in world.within(START, end):
        at = event.at.astimezone(world.zone)
        expected[f"{at.replace(minute=at.minute // minutes * minutes % 60 if minutes < 60 else 0):%Y-%m-%dT%H:%M:00}"] += 1
    assert {x: n for x, n in zip(data["xValues"], data["series"][0], strict=True) if n} == expected


def test_days_are_as_long_as_the_clocks_make_them() -> None:
    """When the clocks go forward a day has 23 hours, and events after midnight in the zone are the next day's."""
    with Sandbox(timezone="Europe/Oslo") as box, httpx.Client(verify=False, base_url=box.url, auth=("sandbox", "sandbox")) as http:
        # 2026-03-29: summer time begins. 21:59, 22:01 UTC are 23:59, 00:01 in Oslo.
        times = [1_774_821_540_000, 1_774_821_660_000]
        send(http, [{"user_id": "ada@example.org", "event_type": "x", "time": at} for at in times])
        params = {"e": '{"event_type":"x"}', "start": "20260329", "end": "20260330"}
        assert http.get("/api/2/events/segmentation", params=params).json()["data"]["series"] == [[1, 1]]
        data = http.get("/api/2/events/segmentation", params={**params, "i": "-3600000"}).json()["data"]
        assert len(data["xValues"]) == 23 + 24
        assert data["series"][0][22:24] == [1, 1]
        assert data["xValues"][1:3] == ["2026-03-29T01:00:00", "2026-03-29T03:00:00"]


def test_weeks_and_months_are_named_after_their_first_day(world: World) -> None:
    """Weeks begin on Monday, months on the first; only the range's own events count."""
    firsts: dict[str, Callable[[date], date]] = {
        "7": lambda day: day - timedelta(days=day.weekday()),
        "30": lambda day: day.replace(day=1),
    }
    for interval, first in firsts.items():
        data = world.ask("events/segmentation", e=named("_all"), m="totals", i=interval)
        expected = Counter(first(world.day(event)).isoformat() for event in world.within())
        assert dict(zip(data["xValues"], data["series"][0], strict=True)) == expected


# Formulas by themselves


def number(text: str) -> float:
    (node,) = formulas.parse(text)
    return formulas.evaluate(node, lambda _metric: [0.0, 0.0], 1)[0]


expressions = st.recursive(
    st.integers(0, 99).map(str),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"),
        inner.map(lambda text: f"-{text}"),
        st.tuples(inner, inner).map(lambda parts: f"{parts[0]}*{parts[1]}-{parts[0]}"),
    ),
    max_leaves=12,
)


@given(expressions)
@settings(deadline=None)
def test_arithmetic_is_that_of_python(text: str) -> None:
    """Signs, brackets and precedence are the usual ones."""
    assert number(text) == pytest.approx(eval(text))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1/0", 0),
        ("LN(0)", 0),
        ("SQRT(0-1)", 0),
        ("EXP(800)", 0),
        ("EXP(0)", 1),
        ("LOG(8, 2)", 3),
        ("LOG10(1000)", 3),
        ("$: .5 + 2.", 2.5),
        ("power(2,10)", 1024),
        ("--3", 3),
    ],
)
def test_functions_give_numbers_that_exist(text: str, value: float) -> None:
    """A number that doesn't exist is 0, the others are as in mathematics."""
    assert number(text) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        *("", ";", "UNIQUES", "UNIQUES()", "UNIQUES(A", "UNIQUES(AB)", "UNIQUES(A))", "1 2", "+", "1 +", "GUESS(A)", "UNIQUES(A) & 1"),
        *(
            "PERCENTILE(A)",
            "PERCENTILE(A, 2)",
            "PERCENTILE(A, B)",
            "CUMSUM(A, UNIQUES)",
            "ROLLWIN(UNIQUES, A)",
            "ROLLWIN(UNIQUES, A, 0)",
        ),
        *("ROLLAVG(UNIQUES, A, 1.5)", "ROLLAVG(ARPAU, A, 2)", "LOG(2)", "LOG(2, UNIQUES(A))", "HIST(A) + 1", "EVENTTOTALS(A)"),
        *("(" * 50 + "1" + ")" * 50, "1" + "+1" * 400, ";".join(["1"] * 11)),
    ],
)
def test_what_is_no_formula_is_refused(text: str) -> None:
    """A malformed formula is an error that says it is one."""
    with pytest.raises(ValueError, match="[Ff]ormula"):
        formulas.parse(text)


@given(st.text(alphabet="AB1.()+-*/,;% UNIQES", max_size=30))
@settings(deadline=None)
def test_any_text_is_a_formula_or_refused(text: str) -> None:
    """No text makes the reader fail otherwise than by saying what is wrong."""
    with contextlib.suppress(ValueError):
        assert formulas.parse(text)


@pytest.mark.parametrize(
    "params",
    [
        {"m": "formula"},
        {"m": "formula", "formula": "UNIQUES(B)"},
        {"m": "formula", "formula": "UNIQUES(A2)"},
        {"m": "formula", "formula": "UNIQUES(A0)"},
        {"m": "formula", "formula": "PROPSUM(A)"},
        {"m": "formula", "formula": "ROLLWIN(UNIQUES, A, 91)"},
        {"m": "formula", "formula": "HIST(A)", "rollingWindow": "3"},
        {"m": "histogram"},
        {"m": "sums"},
        {"n": "new"},
        {"rollingWindow": "3", "rollingAverage": "3"},
        {"rollingWindow": "0"},
        {"rollingWindow": "91"},
        {"rollingAverage": "13", "i": "7"},
        {"e": '{"event_type":"_new"}'},
        {"g": "platform", "s": ["[]", "[]"]},
        {"s": '[{"type":"event","event_type":"a","op":">=","value":1,"time_type":"sometimes"}]'},
    ],
)
def test_a_query_that_makes_no_sense_is_a_400(http: httpx.Client, params: dict[str, Any]) -> None:
    """What a metric lacks, and what contradicts itself, is refused in the envelope."""
    sent = {"e": '{"event_type":"a"}', "start": "20260501", "end": "20260501", **params}
    answer = http.get("/api/2/events/segmentation", params=sent)
    assert (answer.status_code, answer.json()["error"]["http_code"]) == (400, 400), answer.text
