"""Answers become tidy rows: recognised, complete, and refused when they are none."""

from __future__ import annotations

import copy
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplitude_async import InvalidArgumentError
from amplitude_async.frames import table

from . import answers

FEB_2, FEB_3, FEB_4 = date(2026, 2, 2), date(2026, 2, 3), date(2026, 2, 4)


def rows(answer: Any, **options: Any) -> list[tuple[Any, ...]]:
    made = table(answer, **options)
    return [made.columns, *zip(*(made[name] for name in made.columns), strict=True)]


@pytest.mark.parametrize("kind", answers.ALL)
def test_an_answer_is_told_by_its_looks(kind: str) -> None:
    """Whole, or what is under its data; it is read and not changed."""
    answer = answers.ALL[kind]
    before = copy.deepcopy(answer)
    made = table(answer)
    assert made.kind == kind
    assert len(made) > 0
    assert answer == before
    if isinstance(answer, dict) and "data" in answer:
        assert table(answer["data"]).to_records() == made.to_records()
    assert table(answer, kind=made.kind).to_records() == made.to_records()


def test_a_segmentation() -> None:
    """A row a date and label; dates are dates."""
    assert rows(answers.SEGMENTATION) == [
        ("date", "label", "value"),
        (FEB_2, "Norway", 731),
        (FEB_3, "Norway", 702),
        (FEB_2, "Sweden", 118),
        (FEB_3, "Sweden", 125),
    ]
    assert rows(answers.SEGMENTATION, part="collapsed") == [("label", "value"), ("Norway", 1204), ("Sweden", 201)]


def test_a_segmentation_by_the_hour() -> None:
    """Its dates are instants, in a zone that the answer does not say."""
    data = {"series": [[1, 2]], "seriesLabels": [0], "xValues": ["2026-02-02T00:00:00", "2026-02-02T01:00:00"]}
    assert rows(data) == [
        ("date", "label", "value"),
        (datetime(2026, 2, 2), "0", 1),
        (datetime(2026, 2, 2, 1), "0", 2),
    ]


@pytest.mark.parametrize(
    ("labels", "columns"),
    [
        (["\tNorway", None], {"label": ("Norway", None)}),
        ([0, 1], {"label": ("0", "1")}),
        ([[0, "Norway"], [1, "Sweden"]], {"label_1": ("0", "1"), "label_2": ("Norway", "Sweden")}),
        ([["Norway"], ["Sweden"]], {"label": ("Norway", "Sweden")}),
        ([["a", "b"], "c"], {"label_1": ("a", "c"), "label_2": ("b", None)}),
        (["Norway"], {"label": ("Norway", None)}),
        ([], {"label": (None, None)}),
    ],
)
def test_labels_are_anything(labels: list[Any], columns: dict[str, tuple[Any, ...]]) -> None:
    """Numbers, texts, lists of both, too few of them."""
    made = table({"data": {"series": [[1], [2]], "seriesLabels": labels, "seriesCollapsed": [], "xValues": ["2026-02-02"]}})
    assert {name: made[name] for name in made.columns if name.startswith("label")} == columns
    assert made["value"] == (1, 2)


def test_a_saved_chart_has_cells() -> None:
    """Where a segmentation has numbers, a chart has mappings with a value."""
    chart = {
        "data": {"series": [[{"setId": "s", "value": 12}, {"value": 13}]], "seriesLabels": [[0, "Web"]], "xValues": ["2026-02-02"]}
    }
    assert rows(chart) == [("date", "label_1", "label_2", "value"), (FEB_2, "0", "Web", 12), (None, "0", "Web", 13)]


def test_users_and_sessions() -> None:
    """Grouped by a property, or numbered by segment."""
    assert rows(answers.USERS)[:3] == [("date", "label", "value"), (FEB_2, "Norway", 1203), (FEB_3, "Norway", 1187)]
    assert rows(answers.SESSIONS) == [("date", "segment", "value"), (FEB_2, 0, 512.25), (FEB_3, 0, 498.9)]


def test_session_lengths() -> None:
    """The bounds of a bin are numbers too."""
    assert rows(answers.LENGTHS)[:2] == [("length", "from_seconds", "to_seconds", "sessions"), ("0s-60s", 0.0, 60.0, 812)]
    odd = {"series": [[1, 2]], "xValues": ["0s-60s", "longer"]}
    assert rows(odd)[2] == ("longer", None, None, 2)


def test_a_composition() -> None:
    """A row a value, beside the name of the property."""
    assert rows(answers.COMPOSITION) == [
        ("property", "value", "users"),
        ("platform", "iOS", 6120),
        ("platform", "Android", 1833),
        ("platform", "(none)", 44),
    ]


def test_a_composition_of_dates_has_to_be_said() -> None:
    """A property whose values are days looks like a segmentation."""
    data = {"series": [[5, 6]], "seriesLabels": ["gp:since"], "xValues": ["2026-02-02", "2026-02-03"]}
    assert table(data).kind == "segmentation"
    made = table(data, kind="composition")
    assert made["property"] == ("gp:since", "gp:since")
    assert made["users"] == (5, 6)


def test_real_time() -> None:
    """A row a time and day."""
    made = table(answers.REALTIME)
    assert made["day"] == ("Today", "Today", "Yesterday", "Yesterday")
    assert made["time"] == ("15:00", "15:05", "15:00", "15:05")
    assert made["users"] == (88, 91, 79, 84)


def test_a_funnel() -> None:
    """A row a step; by day a row a day and step."""
    assert rows(answers.FUNNELS) == [
        ("segment", "step", "event", "users", "step_by_step", "cumulative", "median_ms", "average_ms"),
        (0, 1, "search", 2000, 1.0, 1.0, 0, 0),
        (0, 2, "view_item", 1200, 0.6, 0.6, 41000, 65210),
        (0, 3, "buy", 300, 0.25, 0.15, 903000, 1804400),
    ]
    days = rows(answers.FUNNELS, part="days")
    assert days[0] == ("segment", "date", "step", "event", "users", "median_ms", "average_ms")
    assert days[2] == (0, FEB_2, 2, "view_item", 610, 40100, 64000)
    assert days[-1] == (0, FEB_3, 3, "buy", 145, 915000, 1820000)
    assert len(days) == 1 + 6


def test_funnels_by_group() -> None:
    """What their meta says, or they say beside it, is a column of its own; what only some have is empty for the others."""
    one = answers.FUNNELS["data"][0]
    grouped = {"data": [{**one, "groupValue": "Norway"}, {**one, "meta": {"segmentIndex": 1, "further": "x"}}]}
    made = table(grouped)
    assert made.columns[:4] == ("segment", "group", "further", "step")
    assert made["segment"] == (0,) * 3 + (1,) * 3
    assert made["group"] == ("Norway",) * 3 + (None,) * 3
    assert table(grouped, part="days")["group"] == ("Norway",) * 6 + (None,) * 6


def test_retention_by_group() -> None:
    """The value of the group-by is a column."""
    answer = copy.deepcopy(answers.RETENTION)
    answer["data"]["seriesMeta"][0]["groupValue"] = "Norway"
    assert table(answer).columns[:4] == ("segment", "return_event", "group", "date")


def test_a_retention() -> None:
    """The first cell is the cohort, the next one interval 0."""
    found = rows(answers.RETENTION)
    assert found[0] == ("segment", "return_event", "date", "interval", "users", "outof", "share", "incomplete", "cohort")
    assert found[1:] == [
        (0, 0, "Feb 03", 0, 411, 430, 411 / 430, False, 430),
        (0, 0, "Feb 03", 1, 120, 430, 120 / 430, True, 430),
        (0, 0, "Feb 02", 0, 480, 500, 480 / 500, False, 500),
        (0, 0, "Feb 02", 1, 210, 500, 210 / 500, False, 500),
    ]
    combined = rows(answers.RETENTION, part="combined")
    assert combined[0] == ("segment", "return_event", "interval", "users", "outof", "share", "incomplete", "cohort")
    assert combined[-1] == (0, 0, 1, 210, 500, 0.42, True, 930)


def test_a_retention_of_nobody() -> None:
    """Nothing is divided by nothing."""
    data = {"series": [{"dates": ["Feb 02"], "values": {"Feb 02": [answers.cell(0, 0), answers.cell(0, 0)]}, "combined": []}]}
    assert table(data, kind="retention")["share"] == (None,)


def test_revenue() -> None:
    """A row a date and day after it."""
    assert rows(answers.LTV) == [
        ("date", "label", "day", "value", "count", "paid", "total_amount"),
        (date(2026, 1, 2), "", 1, 1.0, 10, 1, 10.0),
        (date(2026, 1, 1), "", 1, 1.5, 260, 31, 5824.0),
        (date(2026, 1, 1), "", 2, 1.9, 260, 31, 5824.0),
        (date(2026, 1, 1), "", 90, 22.4, 260, 31, 5824.0),
    ]


def test_lists_stay_as_they_are() -> None:
    """Events, matches and a user's events keep Amplitude's keys; what one lacks is empty."""
    assert table(answers.EVENTS).to_records() == [
        {
            name: answers.EVENTS["data"][0][name]
            for name in ("value", "display", "totals", "non_active", "deleted", "flow_hidden", "hidden")
        }
    ]
    assert table(answers.SEARCH).to_records() == answers.SEARCH["matches"]
    assert table(answers.NOBODY).columns == ("amplitude_id", "user_id")
    assert len(table(answers.NOBODY)) == 0
    assert table(answers.ACTIVITY).to_records() == [
        {**answers.ACTIVITY["events"][0], "country": None},
        {**answers.ACTIVITY["events"][1], "event_properties": None},
    ]
    assert table(answers.ACTIVITY, part="user").to_records() == [answers.ACTIVITY["userData"]]


def test_the_csv_of_a_chart() -> None:
    """A title, a header with dates, tabs before texts: Amplitude's own way to write CSV."""
    made = table(answers.CSV)
    assert made.title == "Weekly sessions"
    assert made.to_records() == [
        {"column_1": "App", "2026-02-02T00:00:00": 12, "2026-02-09T00:00:00": 3.5},
        {"column_1": "Web, mobile", "2026-02-02T00:00:00": 7, "2026-02-09T00:00:00": None},
    ]
    assert table({"data": answers.CSV}).to_records() == made.to_records()


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", {}),
        ("a\n1\n2\n", {"a": (1, 2)}),
        ("a,a,,\n1,2,x,y\n", {"a": (1,), "a_2": (2,), "column_3": ("x",), "column_4": ("y",)}),
        ("a,b\n1\n", {"a": (1,), "b": (None,)}),
        ("a,b\n007,1e3\n", {"a": ("007",), "b": (1000.0,)}),
        ("a\n12%\n", {"a": ("12%",)}),
        ("a\n-1.5\n2\n", {"a": (-1.5, 2.0)}),
        ("a\n99999999999999999999\n", {"a": (1e20,)}),
        ('a,b\n"x\ny","z,""w"""\n', {"a": ("x\ny",), "b": ('z,"w"',)}),
    ],
)
def test_columns_of_csv(text: str, columns: dict[str, tuple[Any, ...]]) -> None:
    """Numbers are numbers if the whole column is; names are never twice."""
    made = table(text)
    assert {name: made[name] for name in made.columns} == columns


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (None, None),
        (5, None),
        ({}, None),
        ({"data": None}, None),
        ({"data": {"series": 5}}, None),
        ({"error": {"http_code": 403}}, None),
        ([5], None),
        ({"matches": 5}, None),
        ({"userData": {}, "events": [5]}, None),
        ({"data": {"series": [5], "xValues": []}}, None),
        ({"data": {"series": [[1]], "xValues": 5, "seriesLabels": []}}, None),
        ({"data": [{"cumulativeRaw": 5}]}, None),
        ({"data": [{"cumulativeRaw": [], "meta": 5}]}, None),
        ({"data": {"series": [{"values": {"Feb 02": [5, 5]}}], "seriesMeta": []}}, None),
        ({"data": {"series": [{"values": {"Feb 02": [5]}}], "seriesMeta": []}}, None),
        ({"data": {"series": [{"values": 5}], "seriesMeta": []}}, None),
        ("a,b", "segmentation"),
        ({"data": {}}, "chart_csv"),
        (answers.SEGMENTATION, "funnels"),
        (answers.FUNNELS, "segmentation"),
        ("\x00" * 3 + '"' + "x" * 200_000, "chart_csv"),
    ],
    ids=lambda value: f"{value!r:.40}",
)
def test_what_is_no_answer_is_refused(answer: Any, kind: Any) -> None:
    """The refusal names the argument, and is the library's own."""
    with pytest.raises(InvalidArgumentError) as caught:
        table(answer, kind=kind)
    assert caught.value.argument == "answer"


def test_a_part_belongs_to_its_answer() -> None:
    """Another answer, or an unknown kind or part, is refused by name."""
    wrong: Any = "daily"
    for options, argument in (({"part": "days"}, "part"), ({"part": wrong}, "part"), ({"kind": wrong}, "kind")):
        with pytest.raises(InvalidArgumentError) as caught:
            table(answers.SEGMENTATION, **options)
        assert caught.value.argument == argument


SCALAR = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(["", "a", "2026-02-02", "12:00", "0s-1s"])
)
JSON = st.recursive(
    SCALAR,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "series", "seriesLabels", "seriesMeta", "seriesCollapsed", "xValues", "values", "dates", "meta"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, st.none() | st.sampled_from(list(answers.ALL)), st.none() | st.sampled_from(["collapsed", "days", "combined", "user"]))
def test_whatever_comes_is_a_table_or_refused(answer: Any, kind: Any, part: Any) -> None:
    """No answer, however odd, ends in another error than the library's own, and columns are of one length."""
    try:
        made = table(answer, kind=kind, part=part)
    except InvalidArgumentError:
        return
    assert {len(made[name]) for name in made.columns} <= {len(made)}
    assert len(made.to_records()) == len(made)


@given(st.lists(st.lists(st.integers(), max_size=4), max_size=4), st.lists(st.text("ab", max_size=2), max_size=4))
def test_no_number_is_lost(series: list[list[int]], labels: list[str]) -> None:
    """However many dates and labels there are, every number has a row."""
    data = {"series": series, "seriesLabels": labels, "seriesCollapsed": [], "xValues": ["2026-02-02", "2026-02-03"]}
    assert list(table(data)["value"]) == [number for numbers in series for number in numbers]


@pytest.mark.parametrize("kind", ["retention", "revenue_ltv"])
def test_dates_that_are_no_texts_are_refused(kind: Any) -> None:
    """First days are names of members, so what is no text there is no answer of this kind."""
    data = {"series": [{"dates": [["Feb 02"]], "values": {}}], "seriesMeta": []}
    with pytest.raises(InvalidArgumentError, match="dates holds something that is no text"):
        table({"data": data}, kind=kind)
