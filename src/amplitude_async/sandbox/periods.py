"""Days, weeks, months, hours and five minutes of a project: where they begin, and how answers write them.

Pure. Dates of a query, and the borders of its days, are in the project's time zone
(https://amplitude.com/docs/apis/analytics/dashboard-rest). Weeks begin on Monday; a bucket is named after its first day or minute.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from amplitude_async.errors import ConfigurationError

if TYPE_CHECKING:
    from datetime import tzinfo

DAY, WEEK, MONTH, HOUR, FIVE_MINUTES = 1, 7, 30, -3_600_000, -300_000
SECOND_US: Final = 1_000_000
HOUR_US: Final = 3600 * SECOND_US
DAY_US: Final = 24 * HOUR_US
# The longest range in days that an interval may show.
LONGEST_RANGE: Final = {DAY: 365, WEEK: 3660, MONTH: 3660, HOUR: 7, FIVE_MINUTES: 2}
DATE_INTERVALS: Final = (DAY, WEEK, MONTH)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# Not strftime's: that one speaks the language of the host program.
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def microseconds(instant: datetime) -> int:
    """Return an aware instant as microseconds since the epoch."""
    return (instant - _EPOCH) // _MICROSECOND


def epoch_us(seconds: float) -> int:
    """Return seconds since the epoch, as clocks give them, in microseconds."""
    return round(seconds * SECOND_US)


class Zone:
    """A project's time zone, by its IANA name."""

    def __init__(self, name: str = "UTC") -> None:
        """Look the zone up; ConfigurationError if this machine knows none of that name."""
        self.name: Final = name
        try:
            self._info: tzinfo = UTC if name == "UTC" else ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            message = f"timezone {name!r} is not a time zone that this machine knows, such as 'Europe/Oslo'"
            raise ConfigurationError(message) from None

    def local(self, at_us: int) -> datetime:
        """Return an instant as this zone's clocks show it."""
        return (_EPOCH + timedelta(microseconds=at_us)).astimezone(self._info)

    def day_of(self, at_us: int) -> date:
        """Return the calendar day of an instant."""
        return self.local(at_us).date()

    def midnight(self, day: date) -> int:
        """Return the first instant of a day."""
        return microseconds(datetime.combine(day, time(), self._info))

    def midnights(self, first: date, count: int) -> list[int]:
        """Return the first instants of so many days in a row."""
        return [self.midnight(first + timedelta(days=index)) for index in range(count)]


@dataclass(frozen=True, slots=True)
class Buckets:
    """Spans of time in a row.

    Attributes:
        starts: The first instant of each.
        end: The first instant after the last one.
        lead: How many of them, the first ones, come before the range that was asked for.
        labels: What an answer calls them.
        formatted: What it calls them where people read it.
    """

    starts: list[int]
    end: int
    lead: int
    labels: list[str]
    formatted: list[str]

    def __len__(self) -> int:
        """Count the buckets of the range that was asked for."""
        return len(self.starts) - self.lead

    def place(self, at_us: int) -> int:
        """Return which bucket an instant is in; the leading ones have negative numbers."""
        return bisect_right(self.starts, at_us) - 1 - self.lead

    def bounds(self, index: int) -> tuple[int, int]:
        """Return the first instant of a bucket, and the first one after it."""
        at = index + self.lead
        return self.starts[at], self.starts[at + 1] if at + 1 < len(self.starts) else self.end


def buckets(zone: Zone, start: date, end: date, interval: int, lead: int = 0) -> Buckets:
    """Return the buckets of a range of days (both included), and ``lead`` more before it."""
    end_us = zone.midnight(end + timedelta(days=1))
    if interval < 0:
        step = -interval * 1000
        starts = list(range(zone.midnight(start) - lead * step, end_us, step))
        days = [zone.local(at) for at in starts]
        shown = [f"{at:%Y-%m-%dT%H:%M:%S}" for at in days], [f"{short(at)} {at:%H:%M}" for at in days]
        return Buckets(starts, end_us, lead, *(texts[lead:] for texts in shown))
    firsts = _firsts(start, end, interval, lead)
    starts = [zone.midnight(day) for day in firsts]
    return Buckets(starts, end_us, lead, [f"{day:%Y-%m-%d}" for day in firsts[lead:]], dated(firsts[lead:]))


def _firsts(start: date, end: date, interval: int, lead: int) -> list[date]:
    if interval != MONTH:
        first = start - timedelta(days=start.weekday() if interval == WEEK else 0)
        count = ((end - first).days + interval) // interval
        return [first + timedelta(days=interval * index) for index in range(-lead, count)]
    month = start.year * 12 + start.month - 1
    return [_month(number) for number in range(month - lead, end.year * 12 + end.month)]


def _month(number: int) -> date:
    return date(number // 12, number % 12 + 1, 1)


def short(day: date) -> str:
    """Write a day as ``Feb 02``."""
    return f"{_MONTHS[day.month - 1]} {day.day:02}"


def dated(days: list[date]) -> list[str]:
    """Write days as ``Feb 02``, with the year where one would be written twice."""
    texts = [short(day) for day in days]
    return texts if len(set(texts)) == len(texts) else [f"{text}, {day.year}" for text, day in zip(texts, days, strict=True)]
