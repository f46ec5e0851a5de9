"""Reading the parameters of a query: what was asked, or what is wrong with it. Events and segments are in ``definitions``.

Pure. ``ValueError`` texts become the ``details`` of a 400 answer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from amplitude_async.sandbox.periods import DAY, LONGEST_RANGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amplitude_async.sandbox.conditions import EventChoice
    from amplitude_async.sandbox.periods import Zone
    from amplitude_async.sandbox.view import View

Parameters = Mapping[str, list[str]]  # every value of each parameter, in order

_DATE: Final = re.compile(r"\d{8}", re.ASCII)
_HOUR: Final = re.compile(r"(\d{8})T(\d{1,2})", re.ASCII)
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9900  # what happens in the years after the last date must have a date too
_LARGEST_LIMIT: Final = 1000
DEFAULT_LIMIT: Final = 100  # values of a group-by
_MAX_EXPORT_HOURS: Final = 365 * 24


class Question(Protocol):
    """A query that was read and checked."""

    @property
    def cost(self) -> int:
        """Return what it costs of the allowance."""

    @property
    def choices(self) -> Sequence[EventChoice]:
        """Return the events that it names."""

    def answer(self, view: View) -> object:
        """Return the ``data`` of its answer."""


@dataclass(frozen=True, slots=True)
class Range:
    """Calendar days of the project, both ends included."""

    start: date
    end: date

    @property
    def days(self) -> int:
        """Return the number of calendar days."""
        return (self.end - self.start).days + 1

    def span(self, zone: Zone) -> tuple[int, int]:
        """Return the half-open range in microseconds since the epoch."""
        return zone.midnight(self.start), zone.midnight(self.end + timedelta(days=1))


def wrong(details: str) -> ValueError:
    """Build the error that says why a query cannot be answered."""
    return ValueError(details)


def one(parameters: Parameters, name: str) -> str | None:
    """Return the first value of a parameter, None when it is missing or blank."""
    values = parameters.get(name, [])
    return values[0] if values and values[0].strip() else None


def required(parameters: Parameters, name: str) -> str:
    """Return the value of a parameter that must be there."""
    value = one(parameters, name)
    if value is None:
        message = f"Missing required parameter: {name}"
        raise wrong(message)
    return value


def whole_number(parameters: Parameters, name: str, default: int, largest: int) -> int:
    """Return a parameter that counts something, between 0 and ``largest``."""
    text = one(parameters, name)
    if text is None:
        return default
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        message = f"Invalid value for {name}: {text[:100]}"
        raise wrong(message)
    return min(number, largest)


def _day(parameters: Parameters, name: str) -> date:
    text = required(parameters, name)
    try:
        if not _DATE.fullmatch(text):
            raise ValueError  # noqa: TRY301 - both ways to be malformed end in one text
        day = datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 - a calendar date has no zone
        if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
            raise ValueError  # noqa: TRY301 - as above
    except ValueError:
        message = f"Invalid date for {name}: {text[:100]} (expected YYYYMMDD)"
        raise wrong(message) from None
    return day


def day_range(parameters: Parameters, interval: int = DAY) -> Range:
    """Return ``start`` and ``end``, which may be as far apart as the interval allows."""
    asked = Range(_day(parameters, "start"), _day(parameters, "end"))
    if asked.start > asked.end:
        message = "start is after end"
        raise wrong(message)
    if asked.days > LONGEST_RANGE[interval]:
        message = f"i={interval} shows up to {LONGEST_RANGE[interval]} days"
        raise wrong(message)
    return asked


def interval(parameters: Parameters, allowed: Collection[int] = tuple(LONGEST_RANGE)) -> int:
    """Return ``i``, a day when it is left out."""
    text = one(parameters, "i") or str(DAY)
    found = next((each for each in allowed if text == str(each)), None)
    if found is None:
        message = f"Invalid value for i: {text[:100]}"
        raise wrong(message)
    return found


def choice(parameters: Parameters, name: str, allowed: Sequence[str]) -> str:
    """Return a parameter with a fixed list of values, the first of them when it is left out."""
    text = one(parameters, name) or allowed[0]
    if text not in allowed:
        message = f"Invalid value for {name}: {text[:100]} (known here: {', '.join(allowed)})"
        raise wrong(message)
    return text


def group_limit(parameters: Parameters) -> int:
    """Return ``limit``: how many values of a group-by are answered."""
    return whole_number(parameters, "limit", DEFAULT_LIMIT, _LARGEST_LIMIT)


def export_hours(parameters: Parameters) -> tuple[int, int]:
    """Return the first and last hour of an export, since the epoch, both included."""
    first, last = (_export_hour(parameters, name) for name in ("start", "end"))
    if first > last:
        message = "start is after end"
        raise wrong(message)
    if last - first + 1 > _MAX_EXPORT_HOURS:
        message = "The range exceeds 365 days"
        raise wrong(message)
    return first, last


def _export_hour(parameters: Parameters, name: str) -> int:
    text = required(parameters, name)
    found = _HOUR.fullmatch(text)
    try:
        if found is None:
            raise ValueError  # noqa: TRY301 - both ways to be malformed end in one text
        at = datetime.strptime(f"{found[1]}T{int(found[2]):02}+0000", "%Y%m%dT%H%z")
    except ValueError:
        message = f"Invalid time for {name}: {text[:100]} (expected YYYYMMDDTHH)"
        raise wrong(message) from None
    return int(at.timestamp()) // 3600
