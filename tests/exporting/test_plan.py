"""Which hours are asked for: as tables, and under any pattern of refusals."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_async.exporting.plan import (
    FIRST_HOURLY,
    MAX_HOURS,
    Plan,
    Window,
    hour_number,
    hour_text,
    last_complete_hour,
    windows,
)

YEAR = 365 * 24


@pytest.mark.parametrize(
    ("text", "number"),
    [("19700101T00", 0), ("19700101T23", 23), ("19691231T23", -1), ("20141112T00", FIRST_HOURLY), ("20260501T07", 493_783)],
)
def test_hours_are_numbers_since_the_epoch(text: str, number: int) -> None:
    """An hour's text and its number say the same, both ways."""
    assert hour_number(text) == number
    assert hour_text(number) == text


@pytest.mark.parametrize("text", ["00010101T00", "09991231T23", "99991231T23", "20240229T12"])
def test_every_hour_that_can_be_written_has_a_number(text: str) -> None:
    """The first and last years, and leap days, are hours as any other."""
    assert hour_text(hour_number(text)) == text


@pytest.mark.parametrize(
    ("now", "newest"),
    [
        ("2026-05-01 11:00:00", "20260501T08"),
        ("2026-05-01 10:59:59.999", "20260501T07"),
        ("2026-05-01 11:59:59", "20260501T08"),
        ("2026-01-01 02:00:00", "20251231T23"),
    ],
)
def test_an_hour_is_complete_two_hours_after_its_end(now: str, newest: str) -> None:
    """What came between 8 and 9 can be exported at 11."""
    assert hour_text(last_complete_hour(datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp())) == newest


@pytest.mark.parametrize(
    ("start", "end", "cut"),
    [
        ("20260501T07", "20260501T07", [("20260501T07", "20260501T07")]),
        ("20250101T00", "20251231T23", [("20250101T00", "20251231T23")]),
        ("20240101T00", "20241231T23", [("20240101T00", "20241230T23"), ("20241231T00", "20241231T23")]),
        ("20250101T05", "20260101T05", [("20250101T05", "20260101T04"), ("20260101T05", "20260101T05")]),
        # Before 12 November 2014 windows end with the day.
        ("20120101T05", "20130301T05", [("20120101T05", "20121230T23"), ("20121231T00", "20130301T05")]),
        # The second of these ends behind that day, so anywhere.
        (
            "20130101T05",
            "20150201T00",
            [("20130101T05", "20131231T23"), ("20140101T00", "20141231T23"), ("20150101T00", "20150201T00")],
        ),
    ],
)
def test_ranges_are_cut_at_365_days(start: str, end: str, cut: list[tuple[str, str]]) -> None:
    """One query asks for 365 days at most, and no window of the days before hourly data ends within a day."""
    assert [(window.start, window.end) for window in windows(hour_number(start), hour_number(end))] == cut


@pytest.mark.parametrize(
    ("start", "end", "first_end"),
    [
        ("20260501T00", "20260501T23", "20260501T11"),
        ("20260501T00", "20260501T01", "20260501T00"),
        ("20260501T00", "20260501T02", "20260501T00"),
        ("20260501T00", "20260501T00", None),
        ("20120101T00", "20120104T23", "20120102T23"),
        ("20120101T00", "20120103T23", "20120101T23"),
        ("20120101T00", "20120101T23", None),
        ("20120101T12", "20120102T23", "20120101T23"),
        ("20120101T20", "20120102T23", "20120101T23"),
        ("20120101T00", "20120102T03", "20120101T23"),
        ("20141111T00", "20141112T23", "20141111T23"),
        ("20141111T23", "20141112T23", "20141112T10"),
        ("20141111T01", "20141112T01", "20141111T23"),
        ("20141112T00", "20141112T23", "20141112T11"),
    ],
)
def test_windows_are_halved_at_days_where_data_comes_by_the_day(start: str, end: str, first_end: str | None) -> None:
    """Halves meet in the middle; before hourly data, at the day's end nearest before it; there are none of a single hour or day."""
    halves = Window(hour_number(start), hour_number(end)).halves()
    assert (None if halves is None else halves[0].end) == first_end
    if halves is not None:
        assert halves[0].start == start
        assert halves[1].end == end
        assert halves[1].first == halves[0].last + 1


RANGES = st.one_of(
    st.tuples(st.integers(490_000, 500_000), st.integers(0, 80)),
    st.tuples(st.integers(FIRST_HOURLY - 200, FIRST_HOURLY + 100), st.integers(0, 300)),
    st.tuples(st.integers(350_000, 480_000), st.integers(0, 4 * YEAR)),
)


@settings(max_examples=300, deadline=None)
@given(RANGES)
def test_windows_share_no_hour_and_leave_none_out(bounds: tuple[int, int]) -> None:
    """The windows of any range, and halves of halves of them, are its hours in order, each once."""
    first, length = bounds
    cut = windows(first, first + length)
    assert [cut[0].first, cut[-1].last] == [first, first + length]
    for one, other in zip(cut, cut[1:], strict=False):
        assert other.first == one.last + 1
        assert one.last >= FIRST_HOURLY or other.first % 24 == 0
    assert all(1 <= window.hours <= MAX_HOURS for window in cut)
    chance = random.Random(length)
    window = cut[chance.randrange(len(cut))]
    while (halves := window.halves()) is not None:
        assert (halves[0].first, halves[1].last, halves[1].first) == (window.first, window.last, halves[0].last + 1)
        if halves[1].first < FIRST_HOURLY:
            assert halves[1].first % 24 == 0
        window = chance.choice(halves)
    assert window.hours == 1 or (window.first < FIRST_HOURLY and window.first // 24 == window.last // 24)


@settings(max_examples=500, deadline=None)
@given(RANGES.filter(lambda bounds: bounds[1] <= 400), st.randoms(use_true_random=False), st.floats(0, 1), st.floats(0, 1))
def test_every_hour_is_asked_for_once_under_any_refusals(
    bounds: tuple[int, int], chance: random.Random, refused: float, timed_out: float
) -> None:
    """Whatever is refused as too large or times out, no hour is taken twice, none is missing, at most two requests an hour (F10)."""
    first, last = bounds[0], bounds[0] + bounds[1]
    plan = Plan(first, last)
    taken: list[int] = []
    gave_up = False
    while (window := plan.next_window()) is not None:
        hours = range(window.first, window.last + 1)
        if chance.random() < (refused if window.hours > 1 else timed_out * 0.7):
            if plan.too_large(window):
                continue
            if plan.may_repeat(window):
                continue
            gave_up = True
            break
        taken += hours
    asked = plan.asked
    assert asked <= 2 * (last - first + 1)
    assert taken == list(range(first, first + len(taken)))
    assert gave_up or taken == list(range(first, last + 1))


def test_repeats_leave_requests_for_what_still_waits() -> None:
    """An hour that timed out is repeated only if what waits could still be halved down to hours within two requests an hour."""
    plan = Plan(490_000, 490_003)
    asked = 0
    while (window := plan.next_window()) is not None:
        asked += 1
        # Every window of several hours is refused, every first request for an hour times out where a repeat is allowed.
        if window.hours > 1:
            assert plan.too_large(window)
        else:
            plan.may_repeat(window)
    assert asked == plan.asked == 8


def test_an_hour_is_repeated_once() -> None:
    """A single hour that times out is asked for once more, not for ever."""
    plan = Plan(5, 5)
    window = plan.next_window()
    assert window is not None
    assert not plan.too_large(window)
    assert plan.may_repeat(window)
    assert plan.next_window() == window
    assert not plan.may_repeat(window)
    assert plan.next_window() is None


def test_ranges_that_must_not_be_split_are_one_window() -> None:
    """Without leave to split, too much is too much."""
    plan = Plan(0, 100, may_split=False)
    window = plan.next_window()
    assert window == Window(0, 100)
    assert not plan.too_large(Window(0, 100))
    assert not plan.is_split


@pytest.mark.parametrize(("last", "is_split"), [(YEAR - 1, False), (YEAR, True), (-1, True)])
def test_a_plan_knows_whether_one_answer_is_all(last: int, is_split: bool) -> None:
    """One window is one answer, unless it is halved; several windows are several, and no window is none."""
    plan = Plan(0, last)
    assert plan.is_split is is_split
    window = plan.next_window()
    assert (window is None) == (last < 0)
    if window is not None:
        plan.too_large(window)
        assert plan.is_split
