"""What needs no process: spans, pairs, pace, plans, exit codes, drawings."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from amplitude_async import errors
from amplitude_async.cli.drawing import bars, heat, lines
from amplitude_async.cli.exits import EXITS, code_for, one_line
from amplitude_async.cli.judging import judge_clock, judge_id, judge_key, judge_version
from amplitude_async.cli.lines import Line, event_of
from amplitude_async.cli.pacing import Pace
from amplitude_async.cli.pairs import as_event, read_pairs
from amplitude_async.cli.plans import differences, plan_of
from amplitude_async.cli.printing import as_text
from amplitude_async.cli.sending import insert_id_of
from amplitude_async.cli.spans import days_of, hours_of, last_days, last_hours, moment_of
from amplitude_async.errors import AmplitudeError, InvalidArgumentError

NOW = datetime(2026, 5, 14, 12, 34, tzinfo=UTC)


def hour(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-05", "20260501T00", "20260531T23"),
        ("202402", "20240201T00", "20240229T23"),
        ("2026-05-01", "20260501T00", "20260501T23"),
        ("20260501", "20260501T00", "20260501T23"),
        ("2026-05-01T07", "20260501T07", "20260501T07"),
        ("20260501T07", "20260501T07", "20260501T07"),
        ("2026-05-01T07:00", "20260501T07", "20260501T07"),
        ("2026-05-01..2026-05-07", "20260501T00", "20260507T23"),
        ("20260501T00..20260501T07", "20260501T00", "20260501T07"),
        ("2026-04..2026-05", "20260401T00", "20260531T23"),
    ],
)
def test_ranges_are_read_as_people_write_them(text: str, first: str, last: str) -> None:
    """A month, a day, an hour, or two of them, both included."""
    assert hours_of(text) == (hour(first), hour(last))


@pytest.mark.parametrize(
    "text", ["", "may", "2026", "2026-13", "2026-02-30", "2026-05-01T24", "2026-05-02..2026-05-01", "..", "7d", "0000-00"]
)
def test_what_is_no_range_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(InvalidArgumentError):
        hours_of(text)


def test_the_last_hours_end_with_the_last_complete_one() -> None:
    """An hour is complete two hours after its end; --incomplete takes the one that runs as well."""
    assert last_hours("3h", NOW) == (hour("20260514T07"), hour("20260514T09"))
    assert last_hours("1d", NOW) == (hour("20260513T10"), hour("20260514T09"))
    assert last_hours("2h", NOW, incomplete=True) == (hour("20260514T11"), hour("20260514T12"))
    assert last_days("7d", NOW.date()) == (date(2026, 5, 8), date(2026, 5, 14))
    assert last_days("2w", NOW.date())[0] == date(2026, 5, 1)
    assert days_of("2026-05") == (date(2026, 5, 1), date(2026, 5, 31))


@pytest.mark.parametrize("text", ["", "7", "d", "0d", "-1d", "7m", "99999h", "1.5d"])
def test_what_is_no_length_is_refused(text: str) -> None:
    """Lengths are whole hours, days or weeks, of four digits at most: no day is before the calendar."""
    for read in (lambda: last_hours(text, NOW), lambda: last_days(text, NOW.date())):
        with pytest.raises(InvalidArgumentError):
            read()
    assert last_days("9999w", NOW.date())[0].year > 1


def test_moments_are_in_utc_unless_they_say_otherwise() -> None:
    """A day is its midnight; an offset is kept."""
    assert moment_of("2026-05-01", argument="x") == datetime(2026, 5, 1, tzinfo=UTC)
    assert moment_of("2026-05-01T13:00+02:00", argument="x") == datetime(2026, 5, 1, 11, tzinfo=UTC)
    with pytest.raises(InvalidArgumentError, match="no moment"):
        moment_of("soon", argument="--start")


def test_pairs_are_text_unless_they_say_json() -> None:
    """``name=text`` is text whatever it looks like; ``name:=json`` is what it says; a value may hold equals signs."""
    assert read_pairs(["a=5", "b:=5", "c:=[1, null]", "d=x=y", "e:=true", "f="], argument="--p") == {
        "a": "5",
        "b": 5,
        "c": [1, None],
        "d": "x=y",
        "e": True,
        "f": "",
    }
    for bad in ("a", "=x", ":=5", "a:=nope", "a:=" + "[" * 100_000):
        with pytest.raises(InvalidArgumentError):
            read_pairs([bad], argument="--p")


def test_events_are_names_or_json() -> None:
    """What begins as JSON does has to be JSON."""
    assert as_event("signup") == {"event_type": "signup"}
    assert as_event(' {"event_type": "x", "group_by": []}') == {"event_type": "x", "group_by": []}
    for bad in ('{"event_type"', "{}x", "{1}"):
        with pytest.raises(InvalidArgumentError):
            as_event(bad)


def test_the_pace_allows_a_burst_and_then_the_rate() -> None:
    """30 s worth of events may come at once; from then on each waits for its turn, and other ids do not."""
    pace = Pace(rate=10)
    assert [pace.wait("a", 0.0) for _ in range(301)][-1] == pytest.approx(0.0)
    assert pace.wait("a", 0.0) == pytest.approx(0.1)
    assert pace.wait("b", 0.0) == 0.0
    assert pace.wait("a", 100.0) == 0.0


@given(st.lists(st.floats(0, 5), min_size=1, max_size=300))
def test_no_window_ever_has_more_than_the_burst_and_the_rate(gaps: list[float]) -> None:
    """Whatever the arrivals, in any time t an id sends no more than the burst and rate x t."""
    pace, now, sent = Pace(rate=2), 0.0, []
    for gap in gaps:
        now += gap / 20
        now += pace.wait("a", now)
        sent.append(now)
    for at, start in enumerate(sent):
        for count, end in enumerate(sent[at:], 1):
            assert count <= 2 * (end - start) + 2 * 30 + 1 + 1e-6


def test_lines_have_the_same_insert_id_each_time() -> None:
    """It is of the line and its number: equal lines are two events, and a moved file is the same file."""
    line = Line(3, 100, b'{"event_type":"x"}')
    assert insert_id_of(line) == insert_id_of(line._replace(end=7))
    assert insert_id_of(line) != insert_id_of(line._replace(number=4))


@pytest.mark.parametrize("text", [b"nope", b"[1]", b'"x"', b"5", b"\xff", b"[" * 100_000])
def test_a_line_is_an_object(text: bytes) -> None:
    """Anything else says why it is none."""
    with pytest.raises(ValueError, match="JSON"):
        event_of(Line(1, 1, text))


def test_plans_leave_out_what_says_nothing() -> None:
    """Ids of a project, nulls, false and empty lists are no part of a plan; categories go by their name."""
    plan = plan_of(
        {
            "categories": [{"id": 5, "name": "Shop"}],
            "events": [
                {"event_type": "b", "is_active": True, "tags": []},
                {"event_type": "a", "category": {"name": "Shop"}, "owner": None},
            ],
            "event_properties": [
                {"event_property": "p", "event_type": None, "type": "string"},
                {"event_property": "p", "event_type": "a", "type": "enum"},
            ],
        }
    )
    assert list(plan["events"]) == ["a", "b"]
    assert plan["events"]["a"] == {"category": "Shop"}
    assert plan["categories"] == {"Shop": {}}
    assert plan["event_properties"] == {"a/p": {"event_type": "a", "type": "enum"}, "p": {"type": "string"}}


def test_plans_are_told_apart() -> None:
    """What is new, what is gone, and which field differs."""
    before = {"events": {"a": {"description": "x"}, "b": {}}}
    after = {"events": {"a": {"description": "y"}, "c": {}}, "user_properties": {}}
    assert list(map(str, differences(before, after))) == ['~ events a.description: "x" -> "y"', "- events b", "+ events c"]
    assert not list(differences(before, before))


def test_every_error_of_the_library_has_an_exit_code() -> None:
    """Each class ends in a code of the table, the same for all who raise it, and none in that of a fault of this program."""
    classes = [getattr(errors, name) for name in errors.__all__ if name.endswith(("Error", "Full", "Closed", "Locked"))]
    codes = {found.code for found in EXITS}
    for kind in classes:
        error = kind.__new__(kind)
        assert code_for(error) in codes, kind
    assert code_for(AmplitudeError("x")) == 12
    assert code_for(RuntimeError("x")) == 70
    assert len(codes) == len(EXITS)
    assert codes.isdisjoint({0, 70, 126, 127, 130, 141})


@given(st.text())
def test_no_text_of_others_reaches_the_terminal_as_a_command(text: str) -> None:
    """Cells and messages are one line of what can be printed."""
    for shown in (one_line(text), as_text(text)):
        assert "\x1b" not in shown
        assert shown.isprintable()


@given(
    st.lists(st.tuples(st.text(max_size=50), st.floats(-10, 1e12), st.text(alphabet="0123456789 %", max_size=10)), max_size=20),
    st.integers(20, 200),
)
def test_bars_fit(rows: list[tuple[str, float, str]], width: int) -> None:
    """There is a line a row, none wider than it may be, unless labels alone are."""
    drawn = bars(rows, width)
    assert len(drawn) == len(rows)
    assert all(line.cell_len <= max(width, 33 + 12 + 12) + 33 for line in drawn)


@given(
    st.dictionaries(st.text(max_size=20), st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), max_size=40), max_size=8),
    st.integers(30, 120),
    st.booleans(),
)
def test_lines_fit(series: dict[str, list[float | None]], width: int, plain: bool) -> None:
    """Whatever the numbers, the field is as high and as wide as it was asked to be."""
    drawn = lines(series, [f"2026-05-{n:02}" for n in range(1, 31)], width, height=8, plain=plain)
    if drawn:
        assert all(line.cell_len <= width + 25 for line in drawn[:10])
        assert len(drawn) in {10, 11}


def test_a_line_goes_from_the_bottom_to_the_top() -> None:
    """The axis begins at 0 and ends at a round number; the first and the last place are named."""
    plain = [line.plain for line in lines({"a": [0, 50, 100]}, ["mon", "tue", "wed"], 40, height=4)]
    assert plain[0].startswith("100 │")
    assert plain[0].rstrip()[-1] not in "│ "
    assert plain[3].lstrip().startswith("0 │")
    assert "mon" in plain[-1]
    assert "wed" in plain[-1]


def test_heat_says_its_numbers() -> None:
    """Each cell has its share in figures; a gap is blank; dark cells have light ink."""
    drawn, left_out = heat([("May 1", "260", [1.0, 0.25, None])], ["d0", "d1", "d2"], 80, first="day", second="users")
    assert isinstance(drawn[1], Text)
    assert drawn[1].plain.split() == ["May", "1", "260", "100%", "25%"]
    assert "#ffffff" in str(drawn[1].spans[0].style)
    assert "#000000" in str(drawn[1].spans[1].style)


def test_what_there_is_no_room_for_is_left_out() -> None:
    """A table of shares keeps its first columns and says how many there is no room for; a bar with its words is never wider than asked."""
    drawn, left_out = heat([("May 1", "260", [1.0] * 30)], [f"d{n}" for n in range(30)], 40, first="day", second="users")
    assert left_out == 25
    assert all(line.cell_len <= 40 for line in drawn)
    shown = bars([("名前の長い出来事", 3, "3"), ("x", 1, "1  33.3% of all, 50.0% of step 1")], 40)
    assert all(line.cell_len <= 40 for line in shown)
    assert shown[0].cell_len - len(shown[0].plain) == 8
    assert shown[1].plain.startswith(" " * 15 + "x ")


@pytest.mark.parametrize(
    ("requirement", "version", "says"),
    [
        ("pyarrow<27,>=19; extra == 'parquet'", "15.0.2", ">=19"),
        ("pyarrow<27,>=19; extra == 'parquet'", "27.0.0rc1", "<27"),
        ("pyarrow<27,>=19; extra == 'parquet'", "19.0", None),
        ("httpx2<3,>=2", "2", None),
        ("opentelemetry-api<2,>=1.30", "1.4.0", ">=1.30"),
        ("anyio", "4.0", None),
        ("!", "4.0", None),
    ],
)
def test_the_doctor_judges_versions(requirement: str, version: str, says: str | None) -> None:
    """A package outside the versions that the extra asks for is named with the line that mends it."""
    found = judge_version(requirement, version)
    assert (found is None) is (says is None)
    if found is not None and says is not None:
        assert says in found.says
        assert found.do.startswith("pip install 'amplitude-async")


def test_the_doctor_judges_keys_clocks_and_ids() -> None:
    """Keys are judged by their shape and never shown; ids by Amplitude's own rules."""
    assert judge_key("api_key", "0123456789abcdef" * 2).state == "ok"
    odd = judge_key("secret_key", "invented-secret")
    assert odd.state == "note"
    assert "invented" not in str(odd)
    assert judge_clock(3).state == "ok"
    assert "fast" in judge_clock(600).says
    assert "slow" in judge_clock(-600).says
    assert judge_id("user id", "user-12345").state == "ok"
    for bad in ("abc", "anonymous", "None", " ", "0"):
        assert judge_id("user id", bad).state == "bad"
