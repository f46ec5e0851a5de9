"""What Amplitude would refuse for being too much or too soon: off by default, all on in a strict sandbox.

Pure but for the counters it keeps; the clock is an argument. Figures from
https://amplitude.com/docs/apis/analytics/http-v2, .../batch-event-upload, .../export and .../dashboard-rest, those of a whole
project's uploads from https://amplitude.com/docs/sdks/sdk-debugging.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from amplitude_async.sandbox.rules import Endpoint, Event, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HOUR: Final = 3600.0
FIVE_MINUTES: Final = 300.0
DAY_HOURS: Final = 24
_V2_THRESHOLD: Final = 30  # of a user or a device, in events/s
_BATCH_THRESHOLD: Final = 1000
_FOUR_GB: Final = 4 << 30  # of the archive; whether Amplitude's 4 GB are binary, and of what, is not documented
_THROTTLED: Final = "Too many requests for some devices and users"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits in force; None switches one off. Rates are means over ``window_s`` seconds.

    ``v2_events_per_second`` and ``batch_events_per_second`` are those of each user and each device, the two with ``project`` in their
    names those of all uploads together. Events beyond a user's ``user_updates_per_hour`` are taken, but change nothing about the user.
    An export of more than ``export_bytes`` is refused.

    A cohort's download is done ``cohort_job_s`` seconds after it was asked for, and not before ``cohort_job_looks`` looks found it
    running: at once, unless you ask for more; a strict sandbox's after one look. With more than ``cohort_inline_rows`` rows its file
    is a redirect to a link, good for ``cohort_link_s`` seconds.
    """

    v2_events_per_second: int | None = None
    batch_events_per_second: int | None = None
    v2_project_events_per_second: int | None = None
    batch_project_events_per_second: int | None = None
    window_s: float = 30.0
    batch_daily_quota: int | None = None
    user_updates_per_hour: int | None = None
    cost_per_five_minutes: int | None = None
    cost_per_hour: int | None = None
    queries_in_flight: int | None = None
    lookups_in_flight: int | None = None
    lookups_per_hour: int | None = None
    export_delay_s: float = 0.0
    export_bytes: int | None = None
    cohort_requests_per_minute: int | None = None
    cohort_requests_per_ten_minutes: int | None = None
    cohort_requests_per_month: int | None = None
    cohort_job_s: float = 0.0
    cohort_job_looks: int = 0
    cohort_inline_rows: int | None = 10_000
    cohort_link_s: float = 60.0
    profiles_per_minute: int | None = None

    @classmethod
    def documented(cls) -> Limits:
        """Return what Amplitude documents."""
        return cls(
            v2_events_per_second=_V2_THRESHOLD,
            batch_events_per_second=_BATCH_THRESHOLD,
            v2_project_events_per_second=50_000,
            batch_project_events_per_second=100_000,
            batch_daily_quota=500_000,
            user_updates_per_hour=1800,
            cost_per_five_minutes=1000,
            cost_per_hour=108_000,
            queries_in_flight=5,
            lookups_in_flight=10,
            lookups_per_hour=360,
            export_delay_s=2 * HOUR,
            export_bytes=_FOUR_GB,
            cohort_requests_per_minute=4,
            cohort_requests_per_ten_minutes=60,
            cohort_requests_per_month=500,
            cohort_job_looks=1,
            profiles_per_minute=600,
        )


@dataclass(slots=True)
class Window:
    """A sum over the last ``length`` seconds."""

    length: float
    _entries: deque[tuple[float, int]] = field(default_factory=deque)
    _sum: int = 0

    def total(self, now: float) -> int:
        """Return the sum of what was added within the window."""
        while self._entries and self._entries[0][0] <= now - self.length:
            self._sum -= self._entries.popleft()[1]
        return self._sum

    def add(self, now: float, amount: int) -> None:
        """Count something that happened now."""
        self._entries.append((now, amount))
        self._sum += amount


class UploadLimits:
    """Rates and daily quotas per user and per device. A refused request counts for nothing."""

    def __init__(
        self,
        limits: Limits,
        throttled: Callable[[], frozenset[str]] = frozenset,
        silenced: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        """Start with empty windows.

        Args:
            limits: What is in force.
            throttled: Names users and devices that are too fast whatever they send.
            silenced: Names devices of which nothing is taken.
        """
        self._limits = limits
        self._throttled = throttled
        self._silenced = silenced
        self._rates: dict[tuple[str, str, str], Window] = {}
        self._days: dict[tuple[str, str], Counter[int]] = {}
        self._project: dict[str, Window] = {}

    def admit(self, events: list[Event], endpoint: Endpoint, now: float) -> None:
        """Count a checked request, or refuse it naming what is silenced (400) or too fast (429), and which events are concerned."""
        of_id, of_project = self._thresholds(endpoint)
        quota = None if endpoint.dedup_by_device else self._limits.batch_daily_quota
        forced, silenced = self._throttled(), self._silenced()
        is_counted = of_id is not None or quota is not None
        counts = Counter(pair for event in events for pair in _ids(event)) if is_counted or forced or silenced else Counter()
        if counts:
            self._look_at_each(events, counts, endpoint, now, of_id)
        if of_project is not None:
            together = self._project.setdefault(endpoint.path, Window(self._limits.window_s))
            if together.total(now) + len(events) > of_project * self._limits.window_s:
                # The body is not documented: it is that of the other 429, without a user or a device, and with every event.
                nobody: dict[str, dict[str, int]] = {"throttled_devices": {}, "throttled_users": {}}
                raise refusal(429, _THROTTLED, eps_threshold=of_project, **nobody, throttled_events=list(range(len(events))))
            together.add(now, len(events))
        for (kind, value), count in counts.items() if is_counted else ():
            self._rate(endpoint, kind, value).add(now, count)
            if quota is not None:
                self._days.setdefault((kind, value), Counter())[int(now // HOUR)] += count

    def _thresholds(self, endpoint: Endpoint) -> tuple[int | None, int | None]:
        """Return how many events a second each user and device, and the whole project, may send."""
        limits = self._limits
        if endpoint.dedup_by_device:
            return limits.v2_events_per_second, limits.v2_project_events_per_second
        return limits.batch_events_per_second, limits.batch_project_events_per_second

    def _look_at_each(
        self, events: list[Event], counts: Counter[tuple[str, str]], endpoint: Endpoint, now: float, threshold: int | None
    ) -> None:
        forced, silenced = self._throttled(), self._silenced()
        shown = threshold or (_V2_THRESHOLD if endpoint.dedup_by_device else _BATCH_THRESHOLD)
        rates = {
            (kind, value): (self._rate(endpoint, kind, value).total(now) + count) / self._limits.window_s
            for (kind, value), count in counts.items()
        }
        slow_down = {pair: rate for pair, rate in rates.items() if rate > (threshold or math.inf) or pair[1] in forced}
        exceeded = {} if endpoint.dedup_by_device else self._over_quota(counts, now)
        muted = [index for index, event in enumerate(events) if event.get("device_id") in silenced]
        if muted:
            # As at https://amplitude.com/docs/apis/analytics/http-v2#silencedeventsdeviceid: it names what is too fast, too.
            raise refusal(
                400,
                "Events silenced for device_id",
                eps_threshold=shown,
                exceeded_daily_quota_devices=_of_kind("device_id", exceeded),
                silenced_devices=sorted({str(events[index]["device_id"]) for index in muted}),
                silenced_events=muted,
                throttled_devices=_of_kind("device_id", {pair: -int(-r // 1) for pair, r in slow_down.items()}),
                throttled_events=_concerned(events, slow_down),
            )
        if slow_down or exceeded:
            body: dict[str, object] = {
                "eps_threshold": shown,
                "throttled_devices": _of_kind("device_id", {pair: -int(-r // 1) for pair, r in slow_down.items()}),
                "throttled_users": _of_kind("user_id", {pair: -int(-r // 1) for pair, r in slow_down.items()}),
            }
            if not endpoint.dedup_by_device:
                body["exceeded_daily_quota_users"] = _of_kind("user_id", exceeded)
                body["exceeded_daily_quota_devices"] = _of_kind("device_id", exceeded)
            body["throttled_events"] = _concerned(events, {*slow_down, *exceeded})
            raise refusal(429, _THROTTLED, **body)

    def _rate(self, endpoint: Endpoint, kind: str, value: str) -> Window:
        return self._rates.setdefault((endpoint.path, kind, value), Window(self._limits.window_s))

    def _over_quota(self, counts: Counter[tuple[str, str]], now: float) -> dict[tuple[str, str], int]:
        quota = self._limits.batch_daily_quota
        if quota is None:
            return {}
        oldest = int(now // HOUR) - DAY_HOURS
        over: dict[tuple[str, str], int] = {}
        for pair, count in counts.items():
            hours = self._days.get(pair, Counter())
            total = count + sum(amount for hour, amount in hours.items() if hour > oldest)
            if total > quota:
                over[pair] = total
        return over


def _ids(event: Event) -> list[tuple[str, str]]:
    return [(kind, str(event[kind])) for kind in ("user_id", "device_id") if kind in event]


def _concerned(events: list[Event], pairs: Iterable[tuple[str, str]]) -> list[int]:
    """Return the places of the events of some users and devices."""
    wanted = frozenset(pairs)
    return [index for index, event in enumerate(events) if not wanted.isdisjoint(_ids(event))]


def _of_kind(kind: str, found: dict[tuple[str, str], int]) -> dict[str, int]:
    return {value: number for (each, value), number in found.items() if each == kind}


class UserUpdates:
    """How often the properties of each user were updated within the last hour."""

    def __init__(self, most: int | None = None) -> None:
        """Start with none.

        Args:
            most: How many updates are taken; None takes all, and counts none.
        """
        self._most = most
        self._hours: dict[int, Window] = {}

    def takes(self, amplitude_id: int, now: float) -> bool:
        """Count one more update of a user, or say that it is one too many."""
        if self._most is None:
            return True
        hour = self._hours.setdefault(amplitude_id, Window(HOUR))
        if hour.total(now) >= self._most:
            return False
        hour.add(now, 1)
        return True


class QueryLimits:
    """The pools of the dashboard API: requests in flight, cost per five minutes and hour, lookups per hour."""

    def __init__(self, limits: Limits) -> None:
        """Start with nothing in flight."""
        self._limits = limits
        self._queries = 0
        self._lookups = 0
        self._recent = Window(FIVE_MINUTES)
        self._hour = Window(HOUR)
        self._lookup_hour = Window(HOUR)

    def enter(self, *, is_lookup: bool) -> str | None:
        """Take a place among the requests in flight; a text says why there is none."""
        if is_lookup:
            if _is_full(self._lookups, self._limits.lookups_in_flight):
                return "Too Many Requests: Exceeded concurrent limit with query of cost 1"
            self._lookups += 1
        else:
            if _is_full(self._queries, self._limits.queries_in_flight):
                return "Too Many Requests: Exceeded concurrent limit with query of cost 1"
            self._queries += 1
        return None

    def leave(self, *, is_lookup: bool) -> None:
        """Give the place back."""
        if is_lookup:
            self._lookups -= 1
        else:
            self._queries -= 1

    def spend(self, cost: int, now: float) -> str | None:
        """Count the cost of a query; a text says that it doesn't fit in what is left."""
        for window, cap in (
            (self._recent, self._limits.cost_per_five_minutes),
            (self._hour, self._limits.cost_per_hour),
        ):
            if cap is not None and window.total(now) + cost > cap:
                return f"Too Many Requests: Exceeded rate limit with query of cost {cost}"
        self._recent.add(now, cost)
        self._hour.add(now, cost)
        return None

    def look_up(self, now: float) -> str | None:
        """Count a user search or activity query; a text says that the hour's are used up."""
        if _is_full(self._lookup_hour.total(now), self._limits.lookups_per_hour):
            return "Too Many Requests: Exceeded rate limit with query of cost 1"
        self._lookup_hour.add(now, 1)
        return None


def _is_full(used: int, cap: int | None) -> bool:
    return cap is not None and used >= cap


def query_cost(*, days: int, conditions: Iterable[int] = (0,), group_bys: int = 0, type_cost: int = 1) -> int:
    """Return what a query of the dashboard API costs: days times conditions times what its type costs.

    Args:
        days: The calendar days of its range.
        conditions: How many conditions each of its segments has; one segment of everybody when left out.
        group_bys: Its top-level group-bys, each as dear as four segments.
        type_cost: What its type costs.
    """
    return days * (sum(1 + each for each in conditions) + 4 * group_bys) * type_cost
