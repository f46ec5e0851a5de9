"""Which hours to ask for: windows, splitting, what is complete. Pure; hours are numbers since the epoch, UTC.

Amplitude's range goes by upload time, both hours included, at most 365 days a query; it refuses more than 4 GB (400), gives up on
much (504), and an hour's data is complete about two hours after it ended. So ranges are cut into windows that meet without sharing
an hour, and a window that is too much is halved, down to single hours: no hour is asked for twice and none is left out.

Amplitude's page: https://amplitude.com/docs/apis/analytics/export
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

__all__ = ["Plan", "Window", "hour_number", "hour_text", "last_complete_hour", "windows"]

MAX_HOURS: Final = 365 * 24
"""What one query may ask for."""
COMPLETE_AFTER_HOURS: Final = 2
"""How long after its end an hour is complete."""
FIRST_HOURLY: Final = 393_264
"""12 November 2014, 00:00: older data is grouped by day, so windows before it end with the day."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = 24
_HOUR: Final = timedelta(hours=1)


def hour_number(text: str) -> int:
    """Return the hours since the epoch of ``YYYYMMDDTHH``."""
    moment = datetime(int(text[:4]), int(text[4:6]), int(text[6:8]), int(text[9:]), tzinfo=UTC)
    return (moment - _EPOCH) // _HOUR


def hour_text(hour: int) -> str:
    """Return an hour as ``YYYYMMDDTHH``."""
    moment = _EPOCH + hour * _HOUR
    return f"{moment.year:04}{moment:%m%dT%H}"


def last_complete_hour(now: float) -> int:
    """Return the newest hour that is complete at a Unix time in seconds."""
    return int(now // 3600) - 1 - COMPLETE_AFTER_HOURS


class Window(NamedTuple):
    """A range of hours that one request asks for, both included."""

    first: int
    last: int

    @property
    def hours(self) -> int:
        """How many hours it has."""
        return self.last - self.first + 1

    @property
    def start(self) -> str:
        """The first hour, as Amplitude writes it."""
        return hour_text(self.first)

    @property
    def end(self) -> str:
        """The last hour, as Amplitude writes it."""
        return hour_text(self.last)

    def halves(self) -> tuple[Window, Window] | None:
        """Return two windows that meet in its middle, ``None`` if it is as small as one can be."""
        middle = self.first + self.hours // 2
        if middle < FIRST_HOURLY and middle % _DAY:
            middle -= middle % _DAY
            if middle <= self.first:
                middle += _DAY
        if not self.first < middle <= self.last:
            return None
        return Window(self.first, middle - 1), Window(middle, self.last)


def windows(first: int, last: int, *, max_hours: int = MAX_HOURS) -> tuple[Window, ...]:
    """Cut a range of hours into windows that one request may ask for."""
    cut: list[Window] = []
    while first <= last:
        end = min(last, first + max_hours - 1)
        if end < last and end < FIRST_HOURLY and (end + 1) % _DAY:
            end = max(first, end - end % _DAY - 1)
        cut.append(Window(first, end))
        first = end + 1
    return tuple(cut)


class Plan:
    """What is still to be asked for, in order.

    Args:
        first: The first hour.
        last: The last hour, included; before the first, nothing is asked for.
        may_split: Whether windows may be halved.
    """

    def __init__(self, first: int, last: int, *, may_split: bool = True) -> None:
        self._waiting = deque(windows(first, last))
        self._hours = max(0, last - first + 1)
        self._may_split = may_split
        self._repeated: Window | None = None
        self.asked: int = 0
        """How many requests were planned."""
        self.is_split: bool = len(self._waiting) != 1
        """More than one answer makes up the range."""

    def next_window(self) -> Window | None:
        """Return the window to ask for now."""
        if not self._waiting:
            return None
        self.asked += 1
        return self._waiting.popleft()

    def too_large(self, window: Window) -> bool:
        """Plan for a window that was refused as too large; say whether there is a way."""
        halves = window.halves() if self._may_split else None
        if halves is None:
            return False
        self._waiting.extendleft(reversed(halves))
        self.is_split = True
        return True

    def may_repeat(self, window: Window) -> bool:
        """Plan to ask once more for a window that timed out and cannot be halved, if that keeps to two requests an hour."""
        # Should all that waits be refused down to single hours, it takes two requests for each of its hours, less one.
        needed = sum(2 * waiting.hours - 1 for waiting in self._waiting)
        if window == self._repeated or self.asked + 1 + needed > 2 * self._hours:
            return False
        self._repeated = window
        self._waiting.appendleft(window)
        return True
