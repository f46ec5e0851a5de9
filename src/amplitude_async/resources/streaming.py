"""How event streaming destinations are served.

Amplitude's page: https://amplitude.com/docs/apis/analytics/event-streaming-metrics-summary
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, Required, TypedDict, get_args

from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.call import Call, read_members
from amplitude_async._protocol.dates import iso_instant
from amplitude_async.resources.parameters import query_pairs, refused, required_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from amplitude_async.resources.runner import Runner

__all__ = ["DeliveryMetrics", "Streaming", "TimePeriod", "metrics_call"]

TimePeriod = Literal["TEN_MINUTES", "ONE_HOUR", "FOUR_HOURS", "ONE_DAY", "ONE_WEEK", "TWO_WEEKS", "CUSTOM"]
_PERIODS: Final = get_args(TimePeriod)
_BEYOND_90_DAYS: Final = frozenset({500})
"""What Amplitude answers to times that it no longer keeps; asking again would not bring them back."""


class DeliveryMetrics(TypedDict, total=False):
    """How a destination was served in a span of time.

    Counts are of events. ``deliveryRate`` is a fraction from 0 to 1, ``latencyInSeconds`` the 95th percentile. ``eventsDelivered`` is
    ``successOnFirstAttempt`` and ``successAfterRetry`` together. ``timePeriodStart`` and ``timePeriodEnd`` are in UTC,
    ``YYYY-MM-DD HH:MM:SS.ffffff``.
    """

    timePeriod: Required[str]
    eventsDelivered: int
    eventsNotDelivered: int
    deliveryRate: float
    latencyInSeconds: float
    timePeriodStart: str
    timePeriodEnd: str
    successOnFirstAttempt: int
    successAfterRetry: int
    eventsExpired: int
    eventsDiscarded: int


def _read_metrics(body: bytes) -> dict[str, Any]:
    return read_members(body, "timePeriod", "eventsDelivered", "eventsNotDelivered")


def metrics_call(sync_id: object, time_period: object, start: object, end: object, fields: Mapping[str, object]) -> Call:
    """Describe a question for the metrics of a destination."""
    sync = required_text(sync_id, argument="sync_id", what="the id of the streaming destination")
    if time_period is None:
        time_period = "ONE_HOUR" if start is None and end is None else "CUSTOM"
    if time_period not in _PERIODS:
        raise refused(argument="time_period", reason=f"must be one of {', '.join(_PERIODS)}")
    is_custom = time_period == "CUSTOM"
    bounds: dict[str, object] = {}
    for name, value in (("start", start), ("end", end)):
        if is_custom:
            if value is None:
                raise refused(argument=name, reason="is missing; time_period='CUSTOM' needs start and end")
            bounds[name] = iso_instant(value, argument=name)
        elif value is not None:
            raise refused(argument=name, reason="is read only with time_period='CUSTOM'")
    if is_custom and _later(bounds["start"], bounds["end"]):
        raise refused(argument="start", reason="is not before end; the end is exclusive")
    return Call(
        api="dashboard",
        kind="query",
        method="GET",
        path="/api/2/event-streaming/delivery-metrics-summary",
        credential="project",
        reads=_read_metrics,
        repeatable=True,
        query=query_pairs("streaming", {"sync_id": sync, "time_period": time_period, **bounds, **fields}),
        final=_BEYOND_90_DAYS if is_custom else frozenset(),
        uses=(Use("streaming"),),
    )


def _later(start: object, end: object) -> bool:
    from datetime import UTC, datetime  # noqa: PLC0415 - only for spans of one's own

    first, last = (datetime.fromisoformat(str(bound)) for bound in (start, end))
    first, last = (moment if moment.tzinfo else moment.replace(tzinfo=UTC) for moment in (first, last))
    return first >= last


class Streaming:
    """How event streaming destinations are served."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def delivery_metrics(
        self,
        sync_id: int | str,
        *,
        time_period: TimePeriod | None = None,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        **fields: object,
    ) -> DeliveryMetrics:
        """Ask how many events reached a streaming destination, and how quickly.

        The last four hours are counted by the minute, what is older by the hour; 90 days are kept. Amplitude takes 12 questions a
        minute, 4 at once; more wait here.

        Args:
            sync_id: The destination's id, shown under its title in Amplitude's settings.
            time_period: The span that ends now: ``"TEN_MINUTES"``, ``"ONE_HOUR"`` (default), ``"FOUR_HOURS"``, ``"ONE_DAY"``,
                ``"ONE_WEEK"``, ``"TWO_WEEKS"``; or ``"CUSTOM"``, the default where ``start`` or ``end`` is given.
            start: First moment of a custom span, included: a datetime (naive means UTC), or ISO 8601 text.
            end: Its last moment, not included; at least ten minutes later.
            **fields: Further parameters of the API.

        Returns:
            A :class:`DeliveryMetrics`.

        Raises:
            InvalidArgumentError: The id is blank, the period is none, or the bounds do not fit it.
            AuthenticationError: Also (403) where the destination belongs to another project.
            ServerError: Also (500) where a custom span begins more than 90 days ago; that is not retried.
            AmplitudeError: Amplitude refused otherwise, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/event-streaming-metrics-summary
        """
        result: DeliveryMetrics = await self._runner.run(metrics_call(sync_id, time_period, start, end, fields))
        return result
