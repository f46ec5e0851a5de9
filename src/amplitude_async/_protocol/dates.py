"""Dates as Amplitude writes them, which differs by API.

``YYYYMMDD`` for dashboards (the project's zone), ``YYYYMMDDTHH`` for exports (UTC), ``YYYY-MM-DD`` for privacy, and
``YYYY-MM-DD HH:MM:SS`` (UTC) for releases, ISO 8601 with an offset for the rest.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import Final

from amplitude_async.errors import InvalidArgumentError, shown

__all__ = ["check_order", "check_span", "dashboard_date", "export_hour", "iso_day", "iso_instant", "utc_text"]

_DASHBOARD: Final = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T(\d{1,2}))?", re.ASCII)
_EXPORT: Final = re.compile(r"(\d{4})(\d{2})(\d{2})T(\d{1,2})", re.ASCII)
_DAY: Final = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})", re.ASCII)
_LAST_HOUR: Final = 23


def dashboard_date(value: object, *, argument: str) -> str:
    """Return a bound of a dashboard query.

    A date or datetime gives its own calendar date, never converted: Amplitude reads it in the project's time zone. Text in
    Amplitude's form passes as it is, hour precision included.

    Raises:
        InvalidArgumentError: The value is no date.
    """
    if isinstance(value, date):
        return f"{value:%Y%m%d}" if value.year > 999 else f"{value.year:04}{value:%m%d}"  # noqa: PLR2004 - %Y does not pad
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**8:
        value = str(value)
    if isinstance(value, str) and _is_real(_DASHBOARD.fullmatch(value)):
        return value
    message = f"{argument} must be a date, a datetime, or text as YYYYMMDD, not {shown(value)}"
    raise InvalidArgumentError(message, argument=argument)


def iso_day(value: object, *, argument: str) -> str:
    """Return a day as ``YYYY-MM-DD``: a date, a datetime's own calendar date, or text, with or without dashes.

    Raises:
        InvalidArgumentError: The value is no day.
    """
    if isinstance(value, date):
        return f"{value.year:04}-{value:%m-%d}"
    match = _DAY.fullmatch(value) if isinstance(value, str) else None
    if match is not None and _is_real(match):
        return f"{match[1]}-{match[2]}-{match[3]}"
    message = f"{argument} must be a date, a datetime, or text as YYYY-MM-DD, not {shown(value)}"
    raise InvalidArgumentError(message, argument=argument)


def _aware(value: object, *, argument: str, form: str, is_end: bool = False) -> datetime | str:
    """Return a moment with its zone; text that reads as one passes as it is. A naive datetime, and a date's midnight, mean UTC."""
    if is_end and isinstance(value, str) and _DAY.fullmatch(value):
        value = date.fromisoformat(iso_day(value, argument=argument))
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value
    if isinstance(value, date):
        last = time(_LAST_HOUR, 59, 59, tzinfo=UTC)
        return datetime.combine(value, last if is_end else time(tzinfo=UTC))
    if isinstance(value, str):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            return value
    message = f"{argument} must be a datetime, a date, or text as {form}, not {shown(value)}"
    raise InvalidArgumentError(message, argument=argument)


def iso_instant(value: object, *, argument: str, is_end: bool = False) -> str:
    """Return a moment in ISO 8601 with its offset; a naive datetime, and a date's midnight, mean UTC. Text in that form passes.

    Args:
        value: The moment.
        argument: What the caller calls it, for errors.
        is_end: Whether it is the last moment of a span, so that a day means its last second.

    Raises:
        InvalidArgumentError: The value is no moment.
    """
    moment = _aware(value, argument=argument, form="2026-05-01T07:00:00+00:00", is_end=is_end)
    return moment if isinstance(moment, str) else moment.isoformat(timespec="seconds")


def utc_text(value: object, *, argument: str) -> str:
    """Return a moment as ``YYYY-MM-DD HH:MM:SS`` in UTC; a naive datetime, and a date's midnight, mean UTC.

    Raises:
        InvalidArgumentError: The value is no moment.
    """
    moment = _aware(value, argument=argument, form="2026-05-01 07:00:00")
    if isinstance(moment, str):
        return moment
    try:
        return moment.astimezone(UTC).isoformat(" ", timespec="seconds").removesuffix("+00:00")
    except OverflowError:
        message = f"{argument} lies outside the years that can be written"
    raise InvalidArgumentError(message, argument=argument)


def export_hour(value: object, *, argument: str) -> str:
    """Return a bound of an export: an hour in UTC, inclusive.

    A datetime is converted to UTC (a naive one means UTC) and its minutes are cut off. A date means its first hour as ``start``
    and its last as ``end``.

    Raises:
        InvalidArgumentError: The value is no hour.
    """
    if isinstance(value, datetime):
        aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value
        try:
            moment = aware.astimezone(UTC)
        except OverflowError:
            message = f"{argument} lies outside the years that can be written"
            raise InvalidArgumentError(message, argument=argument) from None
        return f"{moment.year:04}{moment:%m%dT%H}"
    if isinstance(value, date):
        return f"{value.year:04}{value:%m%d}T{_LAST_HOUR if argument == 'end' else 0:02}"
    match = _EXPORT.fullmatch(value) if isinstance(value, str) else None
    if match is not None and _is_real(match):
        return f"{match[1]}{match[2]}{match[3]}T{int(match[4]):02}"
    message = f"{argument} must be a date, a datetime, or text as YYYYMMDDTHH (UTC), not {shown(value)}"
    raise InvalidArgumentError(message, argument=argument)


def _is_real(match: re.Match[str] | None) -> bool:
    if match is None:
        return False
    try:
        date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return False
    hour = match[4] if match.re.groups > 3 else None  # noqa: PLR2004 - the fourth group is the hour, where there is one
    return hour is None or int(hour) <= _LAST_HOUR


def check_order(start: str, end: str) -> None:
    """Refuse a start after its end; both inclusive, so equal ones are a range of one.

    Raises:
        InvalidArgumentError: The start is after the end.
    """

    def key(bound: str, hour: int) -> tuple[str, int]:
        day, _, text = bound.partition("T")
        return day, int(text) if text else hour

    if key(start, 0) > key(end, _LAST_HOUR):
        message = f"start {start} is after end {end}"
        raise InvalidArgumentError(message, argument="start")


def check_span(start: str | None, end: str | None, *, names: tuple[str, str] = ("start", "end")) -> None:
    """Refuse a moment of a start after that of its end; text without an offset means UTC.

    Args:
        start: As :func:`iso_instant` or :func:`utc_text` gives it; ``None`` is no bound.
        end: The same.
        names: What the caller calls them.

    Raises:
        InvalidArgumentError: The start is after the end.
    """
    if start is not None and end is not None and _moment(start) > _moment(end):
        message = f"{names[0]} {start} is after {names[1]} {end}"
        raise InvalidArgumentError(message, argument=names[0])


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
