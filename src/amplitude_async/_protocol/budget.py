"""What Amplitude lets a client ask for: how much at once, how much in a span of time. Kept here before the server enforces it.

Pure: the time is an argument. A call says which quotas it uses (:class:`Use`); a :class:`Budget` says when it may go.

Amplitude's pages: https://amplitude.com/docs/apis/analytics/dashboard-rest#rate-limits and the page of each API.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from math import inf
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["QUOTAS", "Budget", "Moment", "Period", "Quota", "QuotaName", "Use", "Window", "fills_a_window", "quota_fault"]

QuotaName = Literal[
    "rest",
    "queries",
    "user_lookups",
    "cohort_requests",
    "taxonomy",
    "profiles",
    "scim",
    "dsar",
    "deletions",
    "streaming",
    "management",
    "mapping",
]


_Unit = Literal["day", "month"]


class Window(NamedTuple):
    """At most so much cost within any span of so many seconds."""

    cost: int
    seconds: float


class Period(NamedTuple):
    """At most so much cost in a calendar day or month, in UTC."""

    cost: int
    unit: _Unit


class Quota(NamedTuple):
    """One allowance of Amplitude's.

    Attributes:
        in_flight: Cost of what may be under way at once; ``None``: any.
        windows: What may be asked for over time.
    """

    in_flight: int | None = None
    windows: tuple[Window | Period, ...] = ()


class Use(NamedTuple):
    """What a call takes of a quota."""

    quota: QuotaName
    cost: int = 1


QUOTAS: Final[Mapping[QuotaName, Quota]] = {
    # Dashboard, cohort downloads and the rest of the REST API share five requests in flight, per project.
    "rest": Quota(in_flight=5),
    "queries": Quota(windows=(Window(1000, 300.0), Window(108_000, 3600.0))),
    "user_lookups": Quota(in_flight=10, windows=(Window(360, 3600.0),)),
    "cohort_requests": Quota(windows=(Window(4, 60.0), Window(60, 600.0), Period(500, "month"))),
    "taxonomy": Quota(in_flight=4, windows=(Window(7200, 3600.0),)),
    "profiles": Quota(windows=(Window(600, 60.0),)),
    "scim": Quota(windows=(Window(100, 60.0),)),
    "dsar": Quota(windows=(Window(14_400, 3600.0),)),
    "deletions": Quota(in_flight=8, windows=(Window(1, 1.0),)),
    "streaming": Quota(in_flight=4, windows=(Window(12, 60.0),)),
    "management": Quota(windows=(Window(100, 1.0), Period(100_000, "day"))),
    "mapping": Quota(windows=(Window(1500, 30.0),)),
}
"""Amplitude's documented allowances."""


def quota_fault(quota: object) -> str:
    """Say what is wrong with a quota of the user's own; ``""`` if it is one."""
    if not isinstance(quota, Quota) or not isinstance(quota.windows, (tuple, list)):
        return "must be a Quota, its windows a tuple"
    if not all(isinstance(window, (Window, Period)) for window in quota.windows):
        return "must have windows that are each a Window or a Period"
    costs = [window.cost for window in quota.windows] + ([] if quota.in_flight is None else [quota.in_flight])
    if not all(isinstance(cost, int) and not isinstance(cost, bool) and cost >= 1 for cost in costs):
        return "must have costs that are whole numbers from 1"
    for window in quota.windows:
        if isinstance(window, Period):
            if window.unit not in get_args(_Unit):
                return "must have periods of a 'day' or a 'month'"
        elif not isinstance(window.seconds, (int, float)) or not 0 < window.seconds < inf:
            return "must have windows of a positive number of seconds"
    return ""


def fills_a_window(uses: Iterable[Use]) -> bool:
    """Say whether a call takes all that may be asked for in some span, so that not even a broken one may be said again at once."""
    windows = ((cost, window) for name, cost in uses for window in QUOTAS[name].windows)
    return any(isinstance(window, Window) and cost >= window.cost for cost, window in windows)


class Moment(NamedTuple):
    """A point in time: seconds on a clock that never goes back, and seconds since the epoch, for calendars."""

    steady: float
    epoch: float


class _Account:
    """What was taken of one quota."""

    __slots__ = ("_counts", "_entries", "_totals", "quota", "running")

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self.running = 0
        self._entries: list[deque[tuple[float, int]]] = [deque() for _ in quota.windows]
        self._totals = [0] * len(quota.windows)
        self._counts: list[tuple[str, int]] = [("", 0)] * len(quota.windows)

    def wait(self, cost: int, now: Moment) -> float:
        limit = self.quota.in_flight
        if limit is not None and self.running and self.running + cost > limit:
            return inf
        return max((self._wait(index, cost, now) for index in range(len(self.quota.windows))), default=0.0)

    def _wait(self, index: int, cost: int, now: Moment) -> float:
        window = self.quota.windows[index]
        if isinstance(window, Period):
            name, count = self._counts[index]
            if name != _period(window, now.epoch) or not count or count + cost <= window.cost:
                return 0.0
            return _until_next(window, now.epoch)
        entries = self._entries[index]
        while entries and entries[0][0] + window.seconds <= now.steady:
            self._totals[index] -= entries.popleft()[1]
        # What is larger than the whole window goes when that is empty.
        excess = self._totals[index] + min(cost, window.cost) - window.cost
        wait = 0.0
        for at, amount in entries:
            if excess <= 0:
                break
            excess -= amount
            wait = at + window.seconds - now.steady
        return wait

    def take(self, cost: int, now: Moment) -> None:
        self.running += cost
        for index, window in enumerate(self.quota.windows):
            if isinstance(window, Period):
                name, count = self._counts[index]
                current = _period(window, now.epoch)
                self._counts[index] = (current, cost + (count if name == current else 0))
            else:
                self._entries[index].append((now.steady, cost))
                self._totals[index] += cost


def _period(period: Period, epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d" if period.unit == "day" else "%Y-%m")


def _until_next(period: Period, epoch: float) -> float:
    now = datetime.fromtimestamp(epoch, UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    tomorrow = midnight + timedelta(days=1)
    next_month = (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
    begins = tomorrow if period.unit == "day" else next_month
    return begins.timestamp() - epoch


class Budget:
    """The books of every quota: what is under way, what was asked for lately."""

    def __init__(self, quotas: Mapping[QuotaName, Quota] | None = None) -> None:
        chosen = {**QUOTAS, **(quotas or {})}
        self._accounts = {name: _Account(quota) for name, quota in chosen.items()}

    def wait(self, uses: Iterable[Use], now: Moment) -> float:
        """Return how long a call has to wait, in seconds: 0 if it may go now, infinite until something under way has ended.

        A call that costs more than a whole window may go when that window is empty.
        """
        return max((self._accounts[name].wait(cost, now) for name, cost in uses), default=0.0)

    def take(self, uses: Sequence[Use], now: Moment) -> None:
        """Book a call that goes now."""
        for name, cost in uses:
            self._accounts[name].take(cost, now)

    def give_back(self, uses: Sequence[Use]) -> None:
        """Note that a call has ended; what it cost over time stays booked."""
        for name, cost in uses:
            self._accounts[name].running -= cost

    def running(self, name: QuotaName) -> int:
        """Return the cost of what is under way."""
        return self._accounts[name].running
