"""Dates as Amplitude writes them: ``YYYYMMDD`` for dashboards (the project's zone), ``YYYYMMDDTHH`` for exports (UTC)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Final

from amplitude_async.errors import InvalidArgumentError, shown

__all__ = ["check_order", "dashboard_date", "export_hour"]

_DASHBOARD: Final = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T(\d{1,2}))?", re.ASCII)
_EXPORT: Final = re.compile(r"(\d{4})(\d{2})(\d{2})T(\d{1,2})", re.ASCII)
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
    return match[4] is None or int(match[4]) <= _LAST_HOUR


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
