"""Dates as Amplitude writes them: a project's calendar days, and hours in UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from amplitude_async import InvalidArgumentError
from amplitude_async._protocol.dates import check_order, check_span, dashboard_date, export_hour, iso_day, iso_instant, utc_text

EAST = timezone(timedelta(hours=9))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20260501", "20260501"),
        ("20260501T7", "20260501T7"),
        ("20260501T07", "20260501T07"),
        (20260501, "20260501"),
        (date(2026, 5, 1), "20260501"),
        (datetime(2026, 5, 1, 23, 59), "20260501"),
        (datetime(2026, 5, 1, 1, tzinfo=EAST), "20260501"),
        (date(33, 5, 1), "00330501"),
        ("20240229", "20240229"),
    ],
)
def test_a_dashboard_gets_the_calendar_date_itself(value: object, expected: str) -> None:
    """A date is never converted, since Amplitude reads it in the project's zone, and hour precision passes."""
    assert dashboard_date(value, argument="start") == expected


@pytest.mark.parametrize(
    ("value", "argument", "expected"),
    [
        ("20260501T00", "start", "20260501T00"),
        ("20260501T7", "start", "20260501T07"),
        (datetime(2026, 5, 1, 7, 59, 59), "end", "20260501T07"),
        (datetime(2026, 5, 1, 7, tzinfo=UTC), "start", "20260501T07"),
        (datetime(2026, 5, 1, 7, tzinfo=EAST), "start", "20260430T22"),
        (date(2026, 5, 1), "start", "20260501T00"),
        (date(2026, 5, 1), "end", "20260501T23"),
    ],
)
def test_an_export_gets_hours_in_utc(value: object, argument: str, expected: str) -> None:
    """A datetime is converted, a naive one is UTC, and a date is its first or its last hour."""
    assert export_hour(value, argument=argument) == expected


def test_an_instant_before_the_first_year_is_refused() -> None:
    """A conversion that leaves the calendar is our own error, not an OverflowError."""
    with pytest.raises(InvalidArgumentError, match="start"):
        export_hour(datetime(1, 1, 1, tzinfo=EAST), argument="start")


@pytest.mark.parametrize(
    "value", [10**5000, -(10**5000), 0, -20260501, 2026], ids=["long", "long and negative", "zero", "negative", "short"]
)
def test_a_number_that_is_no_date_is_refused(value: int) -> None:
    """Even one that Python itself would not print."""
    with pytest.raises(InvalidArgumentError, match="start"):
        dashboard_date(value, argument="start")
    with pytest.raises(InvalidArgumentError, match="start"):
        export_hour(value, argument="start")


@pytest.mark.parametrize(
    "value", ["yesterday", "2026-01-01", "20261301", "20260230", "", "20260101T24", None, 1.5, True, "2026010", "２０２６０１０１"]
)
def test_nonsense_bounds_are_refused(value: object) -> None:
    """What is no date is refused with the argument's name, for dashboards and exports."""
    for read in (dashboard_date, export_hour):
        with pytest.raises(InvalidArgumentError, match="start"):
            read(value, argument="start")


def test_order_of_bounds() -> None:
    """A start after its end is refused; equal ones are a range of one."""
    check_order("20260101", "20260101T00")
    check_order("20260101T05", "20260101T05")
    for start, end in (("20260102", "20260101"), ("20260101T06", "20260101T05")):
        with pytest.raises(InvalidArgumentError):
            check_order(start, end)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (date(2026, 5, 1), "2026-05-01"),
        (datetime(2026, 5, 1, 23, tzinfo=EAST), "2026-05-01"),
        (date(33, 5, 1), "0033-05-01"),
        ("2026-05-01", "2026-05-01"),
        ("20260501", "2026-05-01"),
        ("20240229", "2024-02-29"),
    ],
)
def test_a_day_in_words_of_the_privacy_api(value: object, expected: str) -> None:
    """A date is its own calendar date, text may do without dashes."""
    assert iso_day(value, argument="day") == expected


@pytest.mark.parametrize("value", ["2026-02-30", "20260501T07", "2026-5-1", "tomorrow", "", 20260501, None, True, 1.5])
def test_what_is_no_day_is_refused(value: object) -> None:
    """By the argument's name."""
    with pytest.raises(InvalidArgumentError, match="day must be a date, a datetime, or text as YYYY-MM-DD"):
        iso_day(value, argument="day")


@pytest.mark.parametrize(
    ("value", "is_end", "expected"),
    [
        (datetime(2026, 5, 1, 7, 30, 15, 999), False, "2026-05-01T07:30:15+00:00"),
        (datetime(2026, 5, 1, 7, tzinfo=EAST), False, "2026-05-01T07:00:00+09:00"),
        (date(2026, 5, 1), False, "2026-05-01T00:00:00+00:00"),
        (date(2026, 5, 1), True, "2026-05-01T23:59:59+00:00"),
        (datetime(2026, 5, 1), True, "2026-05-01T00:00:00+00:00"),
        ("2026-05-01", False, "2026-05-01"),
        ("2026-05-01", True, "2026-05-01T23:59:59+00:00"),
        ("2026-05-01T07:00:00Z", True, "2026-05-01T07:00:00Z"),
    ],
)
def test_a_moment_keeps_its_offset(value: object, is_end: bool, expected: str) -> None:
    """A naive one is UTC, a day is its first second, or as an end its last; text passes as it is."""
    assert iso_instant(value, argument="end", is_end=is_end) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2026, 5, 1, 7, 30, 15, 999), "2026-05-01 07:30:15"),
        (datetime(2026, 5, 1, 7, tzinfo=EAST), "2026-04-30 22:00:00"),
        (date(2026, 5, 1), "2026-05-01 00:00:00"),
        ("2026-05-01 07:00:00", "2026-05-01 07:00:00"),
    ],
)
def test_a_moment_for_who_reads_utc(value: object, expected: str) -> None:
    """It is converted, and its offset left out."""
    assert utc_text(value, argument="release_start") == expected


@pytest.mark.parametrize("value", ["soon", "", "2026-02-30", 20260501, None, True, 1.5])
def test_what_is_no_moment_is_refused(value: object) -> None:
    """By the argument's name and the form that is wanted."""
    with pytest.raises(InvalidArgumentError, match="at must be a datetime, a date, or text as 2026-05-01T07:00:00"):
        iso_instant(value, argument="at")
    with pytest.raises(InvalidArgumentError, match="at must be a datetime, a date, or text as 2026-05-01 07:00:00"):
        utc_text(value, argument="at")


def test_a_moment_before_the_first_year_is_refused() -> None:
    """Its UTC cannot be written."""
    with pytest.raises(InvalidArgumentError, match="at lies outside the years"):
        utc_text(datetime(1, 1, 1, tzinfo=EAST), argument="at")


@pytest.mark.parametrize(
    ("start", "end", "is_refused"),
    [
        (None, None, False),
        ("2026-05-02", None, False),
        (None, "2026-05-01", False),
        ("2026-05-01", "2026-05-01", False),
        ("2026-05-02", "2026-05-01", True),
        ("2026-05-01T07:00:00+09:00", "2026-04-30 22:00:00", False),
        ("2026-05-01T07:00:01+09:00", "2026-04-30 22:00:00", True),
    ],
)
def test_the_order_of_moments(start: str | None, end: str | None, is_refused: bool) -> None:
    """What counts is the moment, whatever its offset; the start is named as the caller calls it."""
    if not is_refused:
        check_span(start, end)
        return
    with pytest.raises(InvalidArgumentError, match=f"since {start.replace('+', '.') if start else ''} is after until") as caught:
        check_span(start, end, names=("since", "until"))
    assert caught.value.argument == "since"
