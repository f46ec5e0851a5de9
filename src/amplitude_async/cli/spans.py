"""Spans of time as people type them: ``2026-05``, ``20260501T00..20260501T07``, ``7d``. Pure; the time is an argument."""

from __future__ import annotations

import re
from calendar import monthrange
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

from amplitude_async.errors import InvalidArgumentError

__all__ = ["Days", "Hours", "days_of", "hours_of", "last_days", "last_hours", "moment_of"]

COMPLETE_AFTER: Final = timedelta(hours=2)
"""An hour can be exported completely about two hours after it ended (https://amplitude.com/docs/apis/analytics/export)."""

_POINT: Final = re.compile(r"(\d{4})-?(\d{2})(?:-?(\d{2})(?:T(\d{2})(?::?00)?)?)?", re.ASCII)
_LAST: Final = re.compile(r"(\d{1,4})([hdw])", re.ASCII)
_UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_FORMS: Final = "a month (2026-05), a day (2026-05-01), an hour (2026-05-01T07), or two of them: 2026-05-01..2026-05-07"


class Hours(NamedTuple):
    """The first and the last hour, both included, UTC."""

    first: datetime
    last: datetime


class Days(NamedTuple):
    """The first and the last day, both included, in the project's time zone."""

    first: date
    last: date


def _point(text: str) -> Hours:
    """Read one point as the hours that it covers."""
    match = _POINT.fullmatch(text.strip())
    if match is not None:
        with suppress(ValueError):
            return _covered(match)
    message = f"{text!r:.40} is no range of time; give {_FORMS}"
    raise InvalidArgumentError(message, argument="range")


def _covered(match: re.Match[str]) -> Hours:
    """Return the hours of a month, a day or an hour.

    Raises:
        ValueError: The calendar has none such.
    """
    year, month = int(match[1]), int(match[2])
    if match[3] is None:
        last_day = monthrange(year, month)[1]
        return Hours(datetime(year, month, 1, tzinfo=UTC), datetime(year, month, last_day, 23, tzinfo=UTC))
    day = datetime(year, month, int(match[3]), tzinfo=UTC)
    if match[4] is None:
        return Hours(day, day.replace(hour=23))
    hour = day.replace(hour=int(match[4]))
    return Hours(hour, hour)


def hours_of(text: str) -> Hours:
    """Read a range of hours.

    Raises:
        InvalidArgumentError: It is none, or ends before it starts.
    """
    start, dots, end = text.partition("..")
    first = _point(start)
    last = _point(end) if dots else first
    if last.last < first.first:
        message = f"{text!r:.60} ends before it starts"
        raise InvalidArgumentError(message, argument="range")
    return Hours(first.first, last.last)


def days_of(text: str) -> Days:
    """Read a range of days.

    Raises:
        InvalidArgumentError: It is none, or ends before it starts.
    """
    hours = hours_of(text)
    return Days(hours.first.date(), hours.last.date())


def _length(text: str) -> timedelta:
    match = _LAST.fullmatch(text.strip().lower())
    if match is None or not int(match[1]):
        message = f"{text!r:.40} is no length of time; give hours, days or weeks: 24h, 7d, 2w"
        raise InvalidArgumentError(message, argument="last")
    return int(match[1]) * _UNITS[match[2]]


def last_hours(text: str, now: datetime, *, incomplete: bool = False) -> Hours:
    """Return the newest hours that are complete, as many as a length such as ``7d`` has.

    Args:
        text: The length.
        now: What time it is.
        incomplete: Take hours that are not complete as well, up to the one that runs.

    Raises:
        InvalidArgumentError: It is no length.
    """
    length = _length(text)
    past = (now.astimezone(UTC) - COMPLETE_AFTER).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    if incomplete:
        past = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return Hours(past - length + timedelta(hours=1), past)


def last_days(text: str, today: date) -> Days:
    """Return the days up to today, as many as a length such as ``30d`` has.

    Raises:
        InvalidArgumentError: It is no length, or shorter than a day.
    """
    days = _length(text) // timedelta(days=1)
    if not days:
        message = f"{text!r:.40} is less than a day; give days or weeks: 7d, 2w"
        raise InvalidArgumentError(message, argument="last")
    return Days(today - timedelta(days=days - 1), today)


def moment_of(text: str, *, argument: str) -> datetime:
    """Read a moment: ISO 8601, or a day; UTC unless it says otherwise.

    Raises:
        InvalidArgumentError: It is none.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        message = f"{argument}: {text!r:.40} is no moment; give 2026-05-01, 2026-05-01T13:00 or 2026-05-01T13:00+02:00"
    else:
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    raise InvalidArgumentError(message, argument=argument)
