"""Plots: what is drawn of each answer, what a reader is told beside it, and files that need nothing else."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.frames import answers

from amplitude_async import AsyncAmplitude, ConfigurationError, InvalidArgumentError
from amplitude_async.plots import plot, save
from amplitude_async.plots.looks import MOST_BARS, MOST_DATES, MOST_LINES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from amplitude_async.sandbox import Sandbox

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium")
DRAWN = ("users", "session_lengths", "composition", "events_list", "segmentation", "funnels", "retention", "realtime", "revenue_ltv")


def spec(answer: Any, **options: Any) -> dict[str, Any]:
    made: dict[str, Any] = plot(answer, **options).to_dict()
    return made


def units(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give every layer that draws something, with what it inherits."""
    for layer in made.get("layer", [made]):
        yield {**layer, "encoding": {**made.get("encoding", {}), **layer.get("encoding", {})}}


def rows_of(made: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for values in made.get("datasets", {}).values() for row in values] or made["data"]["values"]


def subtitles(made: dict[str, Any]) -> list[str]:
    found: list[str] = made["title"]["subtitle"]
    return found


@pytest.mark.parametrize("kind", DRAWN)
def test_every_answer_becomes_a_picture_that_says_what_it_is(kind: str, tmp_path: Path) -> None:
    """Each has a title, a unit at its axis of numbers, a white ground, and becomes SVG and PNG."""
    made = spec(answers.ALL[kind])
    assert made["title"]["text"]
    assert made["background"] == "white"
    named = [
        one for unit in units(made) for one in unit["encoding"].values() if isinstance(one, dict) and one.get("type") == "quantitative"
    ]
    assert any(one.get("title") for one in named)
    chart = plot(answers.ALL[kind])
    svg = save(chart, tmp_path / "plot.svg").read_text("utf-8")
    assert svg.startswith("<svg")
    assert made["title"]["text"] in svg
    assert save(chart, tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", DRAWN)
def test_no_axis_is_cut_off(kind: str) -> None:
    """Lengths and heights begin at zero, or at 0 % and end at 100 %: a small change never looks like a large one."""
    for unit in units(spec(answers.ALL[kind])):
        for place in ("x", "y"):
            channel = unit["encoding"].get(place, {})
            if channel.get("type") == "quantitative" and channel.get("field") not in {"day", "interval"}:
                scale = channel["scale"]
                assert scale.get("zero") is True or scale.get("domain") == [0, 1]


@pytest.mark.parametrize("kind", ["chart_csv", "user_search", "user_activity"])
def test_answers_without_numbers_to_draw_are_refused(kind: str) -> None:
    """A list of people is no plot; the error says what to use."""
    with pytest.raises(InvalidArgumentError, match="which has nothing to draw; use amplitude_async.frames.table"):
        plot(answers.ALL[kind])


def test_title_and_unit_are_the_callers() -> None:
    """What was asked for is in no answer, so the caller may say it; tooltips say it too."""
    made = spec(answers.SEGMENTATION, title="Orders", unit="Unique users")
    assert made["title"]["text"] == "Orders"
    assert made["encoding"]["y"]["title"] == "Unique users"
    assert made["encoding"]["tooltip"][-1]["title"] == "Unique users"
    assert subtitles(made) == ["2 Feb 2026 to 3 Feb 2026"]


def test_days_are_drawn_on_their_own_day_everywhere() -> None:
    """A day is given with a time of day: without one a browser west of Greenwich would show the day before."""
    made = spec(answers.SEGMENTATION)
    assert [row["date"] for row in rows_of(made)][:2] == ["2026-02-02T00:00:00", "2026-02-03T00:00:00"]
    ticks = made["encoding"]["x"]["axis"]["values"]
    assert ticks == [{"year": 2026, "month": 2, "date": 2}, {"year": 2026, "month": 2, "date": 3}]


def test_hours_have_their_time_at_the_axis() -> None:
    """Within a day the axis has times of day, over days both."""
    for count, shape in ((24, "%H:%M"), (48, "%-d %b %H:%M")):
        hours = [(datetime(2026, 2, 2) + timedelta(hours=hour)).isoformat() for hour in range(count)]
        made = spec({"data": {"series": [list(range(count))], "seriesLabels": [0], "xValues": hours}})
        assert made["encoding"]["x"]["axis"]["format"] == shape


def test_what_is_no_date_is_drawn_in_the_order_of_the_answer() -> None:
    """Texts that are no dates are not sorted as such."""
    made = spec({"data": {"series": [[3, 1, 2]], "seriesLabels": ["x"], "seriesCollapsed": [], "xValues": ["b", "a", "c"]}})
    assert made["encoding"]["x"]["type"] == "ordinal"
    assert made["encoding"]["x"]["sort"] is None


def test_one_date_is_bars() -> None:
    """A line needs two points; a single date is compared by bars, the longest first."""
    made = spec({"data": {"series": [[31], [77]], "seriesLabels": ["Norway", "Sweden"], "xValues": ["2026-02-02"]}})
    assert [row["name"] for row in rows_of(made)] == ["Sweden", "Norway"]
    assert subtitles(made) == ["2 Feb 2026"]


def test_one_date_has_room_for_twenty_bars() -> None:
    """Bars are told apart by where they stand, so there are more of them than lines."""
    answer = {"series": [[number] for number in range(25)], "seriesLabels": [f"g{n}" for n in range(25)], "xValues": ["2026-02-02"]}
    made = spec({"data": answer})
    assert len(rows_of(made)) == MOST_BARS
    assert subtitles(made) == ["2 Feb 2026", f"The {MOST_BARS} largest of 25 series"]


def test_nothing_but_zeros_stands_on_its_axis() -> None:
    """An axis that knows only zeros has them at its beginning, not in its middle."""
    for values in ([0, 0], [0]):
        days = ["2026-02-02", "2026-02-03"][: len(values)]
        made = spec({"data": {"series": [values], "seriesLabels": ["g"], "xValues": days}})
        axes = [unit["encoding"][name] for unit in units(made) for name in "xy"]
        assert [0, 1] in [axis.get("scale", {}).get("domain") for axis in axes if axis["type"] == "quantitative"]


def test_a_year_is_marked_where_its_months_begin() -> None:
    """A month's name stands at its first day, not at whatever day comes next in even steps."""
    days = [(date(2025, 1, 15) + timedelta(days=day)).isoformat() for day in range(400)]
    made = spec({"data": {"series": [list(range(400))], "seriesLabels": ["g"], "xValues": days}})
    ticks = made["encoding"]["x"]["axis"]["values"]
    assert {tick["date"] for tick in ticks} == {1}
    assert 4 <= len(ticks) <= 8


def test_small_numbers_are_told_apart_at_the_axis() -> None:
    """Marks of 0.0005 and 0.001 are not both 0.001."""
    made = spec({"data": {"series": [[0.0, 0.002]], "seriesLabels": ["g"], "xValues": ["2026-02-02", "2026-02-03"]}})
    assert made["encoding"]["y"]["axis"]["format"] == ",.4~g"


def test_a_name_turns_no_letters_around() -> None:
    """Marks that overrule the direction of writing, which hide what a name is, are taken out of what users sent."""
    labels = ["\u202eevil", "\u2066b\u2069"]
    made = spec({"data": {"series": [[1, 2], [3, 4]], "seriesLabels": labels, "xValues": ["2026-02-02", "2026-02-03"]}})
    assert {row["series"] for row in rows_of(made)} == {"evil", "b"}


@pytest.mark.parametrize("kind", ["funnels", "retention"])
def test_where_nobody_began_there_are_no_shares(kind: str) -> None:
    """Of nobody there is no 100 %; the picture says so."""
    text = json.dumps(answers.ALL[kind])
    answer = json.loads(text, parse_int=lambda digits: 0, parse_float=lambda digits: 0.0)
    assert "Nobody began" in json.dumps(spec(answer, kind=kind))


def test_steps_of_a_long_funnel_keep_their_ends() -> None:
    """Names that do not fit below their bars are shortened in the middle; none runs into the next."""
    raw = [1000 - 90 * step for step in range(10)]
    one = {"meta": {"segmentIndex": 0}, "events": [f"a step with a long name {step}" for step in range(10)], "cumulativeRaw": raw}
    one |= {"cumulative": [count / 1000 for count in raw], "stepByStep": [1.0] * 10, "medianTransTimes": [], "avgTransTimes": []}
    made = spec({"data": [one]})
    names = [row["name"] for row in rows_of(made)]
    assert names[9].startswith("10. ")
    assert all(name.endswith(f"name {step}") and len(name) < 20 for step, name in enumerate(names))
    assert made["layer"][0]["encoding"]["x"]["axis"]["labelLimit"] <= 110


def test_more_series_than_can_be_told_apart_are_left_out_and_said_to_be() -> None:
    """The largest are drawn, and the reader is told how many there are."""
    data = {
        "series": [[number, number] for number in range(25)],
        "seriesLabels": [f"g{n}" for n in range(25)],
        "xValues": ["2026-02-02", "2026-02-03"],
    }
    made = spec({"data": data})
    assert {row["series"] for row in rows_of(made)} == {f"g{number}" for number in range(17, 25)}
    assert made["encoding"]["color"]["scale"]["domain"][0] == "g24"
    assert f"The {MOST_LINES} largest of 25 series" in subtitles(made)


def test_long_names_are_shortened_in_the_middle_unless_that_makes_two_the_same() -> None:
    """Values of a property often differ at their ends; a tooltip has the whole of it."""
    names = ["a long beginning that is the same, 1", "a long beginning that is the same, 2"]
    data: dict[str, Any] = {"series": [[1, 2], [3, 4]], "seriesLabels": names, "xValues": ["2026-02-02", "2026-02-03"]}
    made = spec({"data": data})
    assert {row["series"] for row in rows_of(made)} == {"a long beginni…the same, 1"[:14] + "…" + name[-14:] for name in names}
    assert {row["full"] for row in rows_of(made)} == set(names)
    data["seriesLabels"] = ["x" * 20 + "1" + "y" * 20, "x" * 20 + "2" + "y" * 20]
    assert {row["series"] for row in rows_of(spec({"data": data}))} == set(data["seriesLabels"])


def test_composition_is_sorted_and_cut_and_sums_nothing_up() -> None:
    """The largest values come first. There is no bar of the others: one user may have several values."""
    values = [f"v{number}" for number in range(30)]
    made = spec({"data": {"series": [list(range(30))], "seriesLabels": ["version"], "xValues": values}})
    assert [row["name"] for row in rows_of(made)] == [f"v{number}" for number in range(29, 29 - MOST_BARS, -1)]
    assert subtitles(made) == [f"The {MOST_BARS} largest of 30 values"]
    assert next(iter(units(made)))["encoding"]["y"]["title"] == "version"


def test_a_funnel_says_how_many_and_what_share() -> None:
    """Bars are shares of those who began; each has its count and its share, and the whole is said in words."""
    made = spec(answers.FUNNELS)
    assert [(row["name"], row["written"], row["counted"]) for row in rows_of(made)] == [
        ("1. search", "100.0%", "2,000"),
        ("2. view_item", "60.0%", "1,200"),
        ("3. buy", "15.0%", "300"),
    ]
    assert subtitles(made) == ["15.0% of 2,000 users came to the last step"]


def test_groups_of_a_funnel_stand_beside_one_another() -> None:
    """With a group-by each step has a bar for each group, in the order of their size."""
    one = answers.FUNNELS["data"][0]
    small = {**copy.deepcopy(one), "groupValue": "Sweden", "cumulativeRaw": [20, 10, 5]}
    made = spec({"data": [{**one, "groupValue": "Norway"}, small]})
    assert made["layer"][0]["encoding"]["xOffset"]["sort"] == ["Norway", "Sweden"]
    assert {row["series"] for row in rows_of(made)} == {"Norway", "Sweden"}


def test_retention_marks_what_is_not_over_yet() -> None:
    """Cells of intervals that are not over are pale and in italics, and the reader is told; rows say how many began."""
    made = spec(answers.RETENTION)
    assert "In italics and pale: not over yet" in subtitles(made)
    assert {row["name"] for row in rows_of(made)} == {"Feb 02  (500)", "Feb 03  (430)"}
    assert made["layer"][0]["encoding"]["y"]["sort"] == ["Feb 02  (500)", "Feb 03  (430)"]
    assert [layer["mark"].get("fontStyle") for layer in made["layer"]] == [None, None, "italic"]
    assert made["layer"][0]["encoding"]["x"]["title"] == "Day after the beginning"
    assert spec(answers.RETENTION, unit="Week")["layer"][0]["encoding"]["x"]["title"] == "Week after the beginning"


def test_long_retention_shows_the_newest_dates() -> None:
    """Of sixty dates the newest are drawn, and their number is said; wide tables leave the numbers out of the cells."""
    names = [f"{date(2026, 1, 1) + timedelta(days=day):%b %d}" for day in range(60)]
    cells = [answers.cell(100, 100)] + [answers.cell(50, 100)] * 25
    series = [{"dates": names[::-1], "values": dict.fromkeys(names, cells), "combined": cells}]
    made = spec({"data": {"series": series, "seriesMeta": [{"segmentIndex": 0, "eventIndex": 0}]}})
    assert f"The {MOST_DATES} newest of 60 dates" in subtitles(made)
    assert {row["date"] for row in rows_of(made)} == set(names[-MOST_DATES:])
    assert made["mark"]["type"] == "rect"


def test_retention_of_several_series_is_lines() -> None:
    """Segments are compared by lines over all their dates, with hollow points where not all of them are over."""
    one = answers.RETENTION["data"]["series"][0]
    metas = [{"segmentIndex": 0, "eventIndex": 0}, {"segmentIndex": 1, "eventIndex": 0}]
    made = spec({"data": {"series": [one, one], "seriesMeta": metas}})
    assert {row["series"] for row in rows_of(made)} == {"Segment 1", "Segment 2"}
    assert subtitles(made) == ["Hollow: not over yet for all dates"]
    assert made["layer"][0]["mark"]["type"] == "line"


def test_retention_of_several_series_without_their_sum_is_no_data() -> None:
    """Lines are drawn over all dates together; where an answer has no such numbers, there is nothing to draw."""
    one = {**answers.RETENTION["data"]["series"][0], "combined": []}
    metas = [{"segmentIndex": 0, "eventIndex": 0}, {"segmentIndex": 1, "eventIndex": 0}]
    assert spec({"data": {"series": [one, one], "seriesMeta": metas}})["mark"]["text"] == "No data"


def test_ltv_has_a_line_for_each_first_day() -> None:
    """Cohorts are not averaged: how many users each had would have to be weighed in, and not for every metric."""
    made = spec(answers.LTV, unit="ARPU in US$")
    assert made["encoding"]["color"]["scale"]["domain"] == ["1 Jan 2026", "2 Jan 2026"]
    assert subtitles(made) == ["New users of 1 Jan 2026 to 2 Jan 2026"]


def test_nothing_is_drawn_of_nothing() -> None:
    """An answer without numbers is a picture that says so, not an error and not an empty axis."""
    made = spec({"data": {"series": [], "seriesLabels": [], "xValues": []}}, title="Orders")
    assert made["mark"]["text"] == "No data"
    assert made["title"]["text"] == "Orders"


def test_the_users_answer_is_not_changed() -> None:
    """Drawing reads the answer and leaves it as it was."""
    for kind in DRAWN:
        before = copy.deepcopy(answers.ALL[kind])
        plot(answers.ALL[kind])
        assert answers.ALL[kind] == before


NASTY = "</script><script>document.title='taken over'</script><!-- \u2028 ]]> {{x}} {0}"


def test_a_page_needs_nothing_else_and_believes_no_name(tmp_path: Path) -> None:
    """The page loads nothing and forbids it; a name that users sent cannot end the script it stands in."""
    data = {"series": [[1, 2]], "seriesLabels": [NASTY], "seriesCollapsed": [[{"value": 2}]], "xValues": ["2026-02-02", "2026-02-03"]}
    data = {**data, "series": [[1, 2], [3, 4]], "seriesLabels": [NASTY, "x"]}
    page = save(plot({"data": data}, title=NASTY), tmp_path / "plot.html").read_text("utf-8")
    around = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"src=|href=|url\(|@import", around)
    assert "default-src 'none'" in page
    assert "<script>document.title" not in page
    assert page.count("</script>") == 2


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed here")
def test_a_browser_without_a_network_shows_the_page(tmp_path: Path) -> None:
    """Opened from the disk, the page draws the plot and is not taken over by a name."""
    data = {"series": [[1, 2], [3, 4]], "seriesLabels": [NASTY, "Sweden"], "xValues": ["2026-02-02", "2026-02-03"]}
    path = save(plot({"data": data}, title="Orders"), tmp_path / "plot.html")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={tmp_path / 'profile'}"]
    closed = "--proxy-server=127.0.0.1:9"
    command = [str(CHROMIUM), *flags, closed, "--virtual-time-budget=5000", "--dump-dom", path.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "<title>Orders</title>" in shown
    assert "marks" in shown
    assert "Sweden" in shown.partition('<div id="plot"')[2].partition("</svg>")[0]


@pytest.mark.parametrize("name", ["plot", "plot.pdf", "plot.svg.gz"])
def test_other_files_are_refused(name: str, tmp_path: Path) -> None:
    """What is neither page nor picture is refused before anything is written."""
    with pytest.raises(InvalidArgumentError, match="path must end in"):
        save(plot(answers.LENGTHS), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None)
@given(cells=st.lists(st.lists(JSON, max_size=3), max_size=3), labels=st.lists(JSON, max_size=3), places=st.lists(JSON, max_size=3))
def test_odd_answers_are_drawn_or_refused_by_our_own_errors(cells: Any, labels: Any, places: Any) -> None:
    """Whatever a server puts into an answer, no other exception comes out."""
    for data in (
        {"series": cells, "seriesLabels": labels, "xValues": places},
        {"series": cells, "seriesMeta": labels, "xValues": places},
        {"series": cells, "seriesLabels": ["platform"], "xValues": places},
        [{"cumulativeRaw": each, "events": labels, "cumulative": places, "meta": {}} for each in cells],
        {"series": [{"dates": each, "values": {"Feb 02": each}, "combined": each} for each in cells], "seriesMeta": labels},
        {
            "series": [
                {"dates": each, "values": {f"2026-02-{day + 1:02}": {"r1d": one, "count": one} for day, one in enumerate(each)}}
                for each in cells
            ]
        },
    ):
        try:
            plot({"data": data}).to_dict()
        except InvalidArgumentError:
            pass


@pytest.mark.anyio
async def test_real_answers_of_the_sandbox_are_drawn(box: Sandbox, tmp_path: Path) -> None:
    """What the dashboard's queries answer is what plot() takes."""
    today = datetime.now().date()
    week: dict[str, Any] = {"start": today - timedelta(days=3), "end": today}
    async with AsyncAmplitude(**box.credentials) as amplitude:
        await amplitude.track(
            [{"event_type": kind, "user_id": f"user-{n}", "platform": "Web"} for n in range(9) for kind in ("a", "b")[: 1 + n % 2]]
        )
        dashboard = amplitude.dashboard
        found = [
            await amplitude.event_segmentation(e={"event_type": "a"}, **week),
            await dashboard.funnels(e=[{"event_type": "a"}, {"event_type": "b"}], **week),
            await dashboard.retention(se={"event_type": "a"}, re={"event_type": "b"}, **week),
            await dashboard.active_users(**week),
            await dashboard.composition("platform", **week),
        ]
    for number, answer in enumerate(found):
        assert save(plot(answer), tmp_path / f"{number}.svg").stat().st_size > 1000


def test_the_pictures_of_the_documentation_are_those_of_the_script(tmp_path: Path) -> None:
    """The script draws every picture that the page shows."""
    page = (ROOT / "docs" / "plots.md").read_text("utf-8")
    shown = set(re.findall(r"pictures/(plot-[\w-]+\.svg)", page))
    there = {path.name for path in (ROOT / "docs" / "pictures").glob("plot-*.svg")}
    assert shown == there
    assert max((ROOT / "docs" / "pictures" / name).stat().st_size for name in there) < 60_000
    program = ROOT / "docs" / "pictures" / "plots.py"
    subprocess.run([sys.executable, str(program), "--png", str(tmp_path)], timeout=60, check=True)
    assert {f"plot-{path.stem}.svg" for path in tmp_path.iterdir()} == there


@pytest.mark.parametrize("name", ["altair", "vl_convert"])
def test_without_the_extra_the_error_names_it(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who has not installed the extra is told which one it is."""
    chart = plot(answers.LENGTHS)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError, match=rf"plots need {name}, which is not installed: pip install 'amplitude-async\[plot\]'"):
        save(chart, tmp_path / "plot.svg") if name == "vl_convert" else plot(answers.LENGTHS)
