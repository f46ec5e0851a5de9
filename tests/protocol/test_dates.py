"""Dates as Amplitude writes them: a project's calendar days, and hours in UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from amplitude_async import InvalidArgumentError
from amplitude_async._protocol.dates import dashboard_date, export_hour

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
