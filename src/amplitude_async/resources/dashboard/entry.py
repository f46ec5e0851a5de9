"""``amplitude.dashboard``: each query one awaitable line over its call.

What all of them share is said once, in :class:`Dashboard`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from amplitude_async.errors import InvalidArgumentError, UnexpectedResponseError, shown
from amplitude_async.resources.dashboard import calls
from amplitude_async.resources.paging import Page, Pages
from amplitude_async.resources.parameters import whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from amplitude_async.resources.dashboard.answers import (
        Chart,
        Composition,
        EventsList,
        Funnels,
        RealTime,
        Retention,
        RevenueLtv,
        Segmentation,
        SessionLengths,
        UserActivity,
        UserCounts,
        UserSearch,
    )
    from amplitude_async.resources.dashboard.definitions import EventDefinition, SegmentDefinition
    from amplitude_async.resources.paging import Cursor
    from amplitude_async.resources.runner import Runner

__all__ = ["Dashboard", "Query"]

Query = Literal[
    "chart_csv",
    "chart_query",
    "active_users",
    "new_users",
    "session_lengths",
    "average_session_length",
    "sessions_per_user",
    "composition",
    "events_list",
    "segmentation",
    "funnels",
    "retention",
    "realtime",
    "revenue_ltv",
]
"""A query that has a cost: the name of its method."""


class Dashboard:
    """Charts and user data: ``amplitude.dashboard``.

    **Parameters** have Amplitude's own names. An event (``e``, ``e2``, ``se``, ``re``) is an :class:`~amplitude_async.Event`, a
    mapping such as ``{"event_type": "signup"}``, or its JSON text. A segment (``s``) is a :class:`~amplitude_async.Segment`, a list
    of conditions, or its JSON text; several, which are compared, are a list of them, and then there can be no group-by. ``start`` and
    ``end`` are days, both included: a date, a datetime (its own calendar date), or ``YYYYMMDD``; Amplitude reads them in the
    project's time zone. Further parameters (``**fields``) go out as they are given: mappings and lists as JSON, dates as days.

    **Answers** are what Amplitude sent; :func:`amplitude_async.frames.table` makes tables of them. An event that does not exist is no
    error: its numbers are 0.

    **Limits** are kept here before Amplitude enforces them: five queries in flight, and a cost (:meth:`cost`) of 1,000 within five
    minutes and 108,000 within an hour; a query that costs more than 1,000 goes when nothing else was asked for five minutes. With
    ``when_limited="raise"`` a query that would have to wait is a :class:`~amplitude_async.BudgetError`. User search and activity have
    a pool of their own: 10 in flight, 360 an hour. Other programs that use the same project are not seen from here; a 429 is tried
    again.

    **Every method raises** :class:`~amplitude_async.InvalidArgumentError` for arguments that are refused before anything is sent,
    :class:`~amplitude_async.ConfigurationError` without a secret key, :class:`~amplitude_async.BadRequestError` for what Amplitude
    refuses, :class:`~amplitude_async.AuthenticationError` for wrong keys, or keys of the other region,
    :class:`~amplitude_async.RateLimitedError` for a 429 that lasts, and the other errors of :mod:`amplitude_async.errors`.

    Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    @staticmethod
    def cost(query: Query, **parameters: object) -> int:
        """Return what a query will cost, without sending it.

        The cost is days x conditions x type. Conditions: 1 for each segment (everybody is one), 1 for each condition in it, 4 for each
        group-by of the query. Type: for a segmentation 1 an event, for a funnel 2, and 4 for each group-by of an event; 8 for a
        retention, 4 for sessions, 1 for the rest. That of a saved chart is not known here, and counted as 1.

        Args:
            query: The name of the method, such as ``"funnels"``.
            **parameters: What the method would be called with.

        Returns:
            Cost units, of which Amplitude allows 1,000 within five minutes and 108,000 within an hour.

        Raises:
            InvalidArgumentError: There is no such query, or the query itself would be refused.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#rate-limits
        """
        builder = calls.BUILDERS.get(query) if isinstance(query, str) else None
        if builder is None:
            message = f"query is {shown(query)}; it is one of {', '.join(calls.BUILDERS)}"
            raise InvalidArgumentError(message, argument="query")
        return sum(use.cost for use in builder(parameters).uses if use.quota == "queries")

    async def chart_csv(self, chart_id: str, **fields: object) -> str:
        """Ask for the numbers of a saved chart as CSV.

        Args:
            chart_id: The last part of the chart's address in Amplitude.
            **fields: Further parameters.

        Returns:
            CSV; its columns depend on the kind of chart, and the first lines may be a title. Amplitude leaves out rows beyond a limit
            without a word: 1,000 of segmentation metrics, 300 of funnels, 100 of sessions, 20 of anything with attribution.

        Raises:
            NotFoundError: There is no such chart.
            UnexpectedResponseError: The answer is no CSV.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#get-results-from-an-existing-chart
        """
        text: str = await self._runner.run(calls.chart_csv_call({"chart_id": chart_id, **fields}))
        return text

    async def chart_query(self, chart_id: str, **fields: object) -> Chart:
        """Ask for the numbers of a saved chart as JSON; an older path, which Amplitude's page no longer lists.

        Args:
            chart_id: The last part of the chart's address in Amplitude.
            **fields: Further parameters.

        Returns:
            ``{"data": {"series": [[{"value": n}, ...]], "seriesLabels": [...], "xValues": [...]}}``, by kind of chart.

        Raises:
            NotFoundError: There is no such chart.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#get-results-from-an-existing-chart
        """
        answer: Chart = await self._runner.run(calls.chart_query_call({"chart_id": chart_id, **fields}))
        return answer

    async def active_users(
        self,
        *,
        start: date | str,
        end: date | str,
        i: Literal[1, 7, 30] | None = None,
        s: SegmentDefinition | Sequence[SegmentDefinition] | None = None,
        g: str | None = None,
        **fields: object,
    ) -> UserCounts:
        """Count the users who were active.

        Args:
            start: First day.
            end: Last day, included.
            i: Users a day (1, the default), a week (7) or a month (30).
            s: Segments.
            g: The property that the numbers are grouped by, such as ``"country"`` or ``"gp:plan"``.
            **fields: Further parameters.

        Returns:
            ``{"data": {"series": [[...]], "seriesMeta": [...], "xValues": [...]}}``.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#get-active-and-new-user-counts
        """
        asked = {"start": start, "end": end, "i": i, "s": s, "g": g, **fields}
        answer: UserCounts = await self._runner.run(calls.active_users_call(asked))
        return answer

    async def new_users(
        self,
        *,
        start: date | str,
        end: date | str,
        i: Literal[1, 7, 30] | None = None,
        s: SegmentDefinition | Sequence[SegmentDefinition] | None = None,
        g: str | None = None,
        **fields: object,
    ) -> UserCounts:
        """Count the users who were new.

        Args:
            start: First day.
            end: Last day, included.
            i: Users a day (1, the default), a week (7) or a month (30).
            s: Segments.
            g: The property that the numbers are grouped by.
            **fields: Further parameters.

        Returns:
            As :meth:`active_users`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#get-active-and-new-user-counts
        """
        asked = {"start": start, "end": end, "i": i, "s": s, "g": g, **fields}
        answer: UserCounts = await self._runner.run(calls.new_users_call(asked))
        return answer

    async def session_lengths(
        self,
        *,
        start: date | str,
        end: date | str,
        bin_unit: Literal["hours", "minutes", "seconds"] | None = None,
        bin_min: float | None = None,
        bin_max: float | None = None,
        bin_size: float | None = None,
        **fields: object,
    ) -> SessionLengths:
        """Count sessions by their length, up to a day.

        Without bins of your own there are nine: up to 3, 10, 30 and 60 s, 3, 10 and 30 min, 1 h and 24 h.

        Args:
            start: First day.
            end: Last day, included.
            bin_unit: The unit of your bins (``timeHistogramConfigBinTimeUnit``, which is accepted too).
            bin_min: Where they begin, in that unit.
            bin_max: Where they end.
            bin_size: How wide each is; left out, Amplitude chooses.
            **fields: Further parameters.

        Returns:
            ``{"data": {"series": [[...]], "xValues": ["0s-60s", ...]}}``.

        Raises:
            InvalidArgumentError: Bins are incomplete or make no sense; Amplitude would use its own without a word.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#get-session-length-distribution
        """
        bins = {"bin_unit": bin_unit, "bin_min": bin_min, "bin_max": bin_max, "bin_size": bin_size}
        answer: SessionLengths = await self._runner.run(calls.session_lengths_call({"start": start, "end": end, **bins, **fields}))
        return answer

    async def average_session_length(self, *, start: date | str, end: date | str, **fields: object) -> UserCounts:
        """Ask how long sessions were on average, day by day.

        Args:
            start: First day.
            end: Last day, included.
            **fields: Further parameters.

        Returns:
            ``{"data": {"series": [[...]], "seriesMeta": [{"segmentIndex": 0}], "xValues": [...]}}``, in seconds.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#get-average-session-length
        """
        answer: UserCounts = await self._runner.run(calls.average_session_length_call({"start": start, "end": end, **fields}))
        return answer

    async def sessions_per_user(self, *, start: date | str, end: date | str, **fields: object) -> UserCounts:
        """Ask how many sessions a user had on average, day by day.

        Args:
            start: First day.
            end: Last day, included.
            **fields: Further parameters.

        Returns:
            ``{"data": {"series": [[...]], "seriesMeta": [{"segmentIndex": 0}], "xValues": [...]}}``.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#get-average-sessions-per-user
        """
        answer: UserCounts = await self._runner.run(calls.sessions_per_user_call({"start": start, "end": end, **fields}))
        return answer

    async def composition(self, p: str, *, start: date | str, end: date | str, **fields: object) -> Composition:
        """Count users by the value of a property.

        Args:
            p: The property: ``"platform"``, ``"country"``, ``"version"`` or another that Amplitude knows, or ``"gp:plan"`` for one of
                your own.
            start: First day.
            end: Last day, included.
            **fields: Further parameters.

        Returns:
            ``{"data": {"series": [[...]], "seriesLabels": ["platform"], "xValues": ["iOS", ...]}}``; ``"(none)"`` is not set.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#get-user-composition
        """
        answer: Composition = await self._runner.run(calls.composition_call({"p": p, "start": start, "end": end, **fields}))
        return answer

    async def events_list(self, **fields: object) -> EventsList:
        """List the project's events that are not hidden, with their number this week.

        Args:
            **fields: Further parameters; none are documented.

        Returns:
            ``{"data": [{"value": "order_placed", "display": "Order Placed", "totals": n, ...}]}``.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#get-events-list
        """
        answer: EventsList = await self._runner.run(calls.events_list_call(fields))
        return answer

    async def segmentation(  # noqa: PLR0913 - the parameters of one query
        self,
        *,
        e: EventDefinition,
        start: date | str,
        end: date | str,
        e2: EventDefinition | None = None,
        m: Literal["uniques", "totals", "pct_dau", "average", "histogram", "sums", "value_avg", "formula"] | None = None,
        n: Literal["any", "active"] | None = None,
        i: Literal[-300000, -3600000, 1, 7, 30] | None = None,
        s: SegmentDefinition | Sequence[SegmentDefinition] | None = None,
        g: str | None = None,
        g2: str | None = None,
        limit: int | None = None,
        formula: str | None = None,
        rolling_window: int | None = None,
        rolling_average: int | None = None,
        **fields: object,
    ) -> Segmentation:
        """Ask how often, or by how many users, an event was done: the chart "event segmentation".

        Args:
            e: The event.
            start: First day.
            end: Last day, included.
            e2: A second event.
            m: The number: ``"uniques"`` (users, the default), ``"totals"`` (events), ``"pct_dau"``, ``"average"``; of a property that
                ``e`` is grouped by ``"histogram"``, ``"sums"``, ``"value_avg"``; or ``"formula"``.
            n: Which users count.
            i: An interval: 5 minutes (-300000, up to 2 days), an hour (-3600000, up to 7 days), a day (1, the default, up to 365
                days), a week (7), a month (30).
            s: Segments.
            g: The property that the numbers are grouped by.
            g2: A second one.
            limit: How many values of the group-by are given, up to 1,000; 100 by default.
            formula: Such as ``"UNIQUES(A)/UNIQUES(B)"``, where A is ``e`` and B is ``e2``; ``m`` is then ``"formula"``.
            rolling_window: Each number is of so many intervals up to its own (``rollingWindow``).
            rolling_average: Each number is the average of so many intervals (``rollingAverage``).
            **fields: Further parameters.

        Returns:
            ``{"data": {"series": [[...]], "seriesLabels": [...], "seriesCollapsed": [[{"value": n}]], "xValues": [...]}}``.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#event-segmentation
        """
        asked = {
            "e": e,
            "start": start,
            "end": end,
            "e2": e2,
            "m": m,
            "n": n,
            "i": i,
            "s": s,
            "g": g,
            "g2": g2,
            "limit": limit,
            "formula": formula,
            "rolling_window": rolling_window,
            "rolling_average": rolling_average,
            **fields,
        }
        answer: Segmentation = await self._runner.run(calls.segmentation_call(asked))
        return answer

    async def funnels(  # noqa: PLR0913 - the parameters of one query
        self,
        *,
        e: Sequence[EventDefinition],
        start: date | str,
        end: date | str,
        mode: Literal["ordered", "unordered", "sequential"] | None = None,
        n: Literal["active", "new"] | None = None,
        i: Literal[-300000, -3600000, 1, 7, 30] | None = None,
        s: SegmentDefinition | Sequence[SegmentDefinition] | None = None,
        g: str | None = None,
        cs: int | None = None,
        limit: int | None = None,
        **fields: object,
    ) -> Funnels:
        """Ask how many users went from one step to the next.

        Args:
            e: The events, one a step.
            start: First day on which users may enter.
            end: Last such day, included.
            mode: ``"ordered"`` (the default): in this order, others may lie between; ``"unordered"``: in any order; ``"sequential"``:
                in this order and nothing between.
            n: ``"active"`` users (the default) or ``"new"`` ones.
            i: An interval, as for :meth:`segmentation`.
            s: Segments.
            g: The property that the funnels are grouped by.
            cs: Seconds that a user has for all steps, 2,592,000 (30 days) by default; whole days if unordered.
            limit: How many values of the group-by are given, up to 1,000; 100 by default.
            **fields: Further parameters.

        Returns:
            ``{"data": [{"events": [...], "cumulativeRaw": [...], "cumulative": [...], "stepByStep": [...], ...}]}``, a funnel a
            segment or value; transition times are in ms.

        Raises:
            InvalidArgumentError: ``cs`` is less than a day and the mode unordered, which Amplitude rounds down to nothing.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#funnel-analysis
        """
        asked = {
            "e": e,
            "start": start,
            "end": end,
            "mode": mode,
            "n": n,
            "i": i,
            "s": s,
            "g": g,
            "cs": cs,
            "limit": limit,
            **fields,
        }
        answer: Funnels = await self._runner.run(calls.funnels_call(asked))
        return answer

    async def retention(  # noqa: PLR0913 - the parameters of one query
        self,
        *,
        se: EventDefinition,
        re: EventDefinition,
        start: date | str,
        end: date | str,
        rm: Literal["n-day", "nday", "rolling", "bracket"] | None = None,
        rb: Sequence[Sequence[int]] | None = None,
        i: Literal[1, 7, 30] | None = None,
        s: SegmentDefinition | Sequence[SegmentDefinition] | None = None,
        g: str | None = None,
        **fields: object,
    ) -> Retention:
        """Ask how many users came back.

        Args:
            se: The event that users start with; ``Event.new_user()`` and ``Event.any_active()`` too.
            re: The event that they come back with; ``Event.any_event()`` and ``Event.any_active()`` too.
            start: First day on which users may start.
            end: Last such day, included.
            rm: ``"n-day"`` (the default): on that very day; ``"rolling"``: on that day or later; ``"bracket"``: within brackets of
                days. Amplitude's API takes ``nday`` where its page writes ``n-day``; both are accepted here.
            rb: The brackets, the first day included and the last not: days 0 to 4 are ``[[0, 5]]``.
            i: An interval: a day (1, the default), a week (7), a month (30).
            s: Segments.
            g: The property that the numbers are grouped by.
            **fields: Further parameters.

        Returns:
            ``{"data": {"series": [{"dates": [...], "values": {...}, "combined": [...]}], "seriesMeta": [...]}}``; the first cell of a
            list is the cohort itself, the one at N + 1 is interval N.

        Raises:
            InvalidArgumentError: Brackets are missing, or make no sense.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#retention-analysis
        """
        asked = {"se": se, "re": re, "start": start, "end": end, "rm": rm, "rb": rb, "i": i, "s": s, "g": g, **fields}
        answer: Retention = await self._runner.run(calls.retention_call(asked))
        return answer

    async def user_activity(
        self,
        amplitude_id: int | str,
        *,
        offset: int | None = None,
        limit: int | None = None,
        direction: Literal["latest", "earliest"] | None = None,
        **fields: object,
    ) -> UserActivity:
        """Ask for a user's summary and events; the same as :meth:`amplitude_async.AsyncAmplitude.user_activity`.

        Args:
            amplitude_id: The Amplitude id; :meth:`user_search` gives it.
            offset: How many of the newest events to skip, from 0.
            limit: How many events to give, up to 1,000 (the default); more may come so that no session is cut.
            direction: ``"latest"`` events first (the default), or ``"earliest"``.
            **fields: Further parameters.

        Returns:
            ``{"userData": {...}, "events": [...]}``; for an unknown id counts of zero and no events.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#user-activity
        """
        asked = {"amplitude_id": amplitude_id, "offset": offset, "limit": limit, "direction": direction, **fields}
        answer: UserActivity = await self._runner.run(calls.activity_call(asked))
        return answer

    def user_events(
        self,
        amplitude_id: int | str,
        *,
        offset: int = 0,
        limit: int = calls.MAX_EVENTS,
        direction: Literal["latest", "earliest"] | None = None,
        **fields: object,
    ) -> Pages[dict[str, Any]]:
        """Iterate over all events of a user, as many requests as it takes: ``async for event in ...``.

        Nothing is sent before the first event is asked for. An event that arrives meanwhile pushes the others back, so that one may
        come twice (``uuid`` tells them apart); with ``direction="earliest"`` none does.

        Args:
            amplitude_id: The Amplitude id; :meth:`user_search` gives it.
            offset: Where to begin; the ``cursor`` of an earlier iteration.
            limit: How many events a request asks for, up to 1,000.
            direction: ``"latest"`` events first (the default), or ``"earliest"``.
            **fields: Further parameters.

        Returns:
            An async iterator of events; ``.pages()`` gives them a request at a time, ``.cursor`` says where it stands.

        Raises:
            InvalidArgumentError: The id is blank, or a bound makes no sense.
            UnexpectedResponseError: While iterating: Amplitude gave the same events twice, so that there would be no end.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#user-activity
        """
        size = whole_number(limit, argument="limit", least=1, most=calls.MAX_EVENTS)
        begin = whole_number(offset, argument="offset")
        asked = {"amplitude_id": amplitude_id, "limit": size, "direction": direction, **fields}
        calls.activity_call(asked)

        last_seen: list[dict[str, Any]] = []

        async def fetch(cursor: Cursor | None) -> Page[dict[str, Any]]:
            place = begin if cursor is None else int(cursor)
            answer: UserActivity = await self._runner.run(calls.activity_call({**asked, "offset": place}))
            events = answer.get("events") or []
            if events and events == last_seen:
                message = f"Amplitude answered with the same events twice, although those from {place} on were asked for"
                raise UnexpectedResponseError(message, status=200, outcome="unknown")
            last_seen[:] = events
            # More than were asked for may come, so that no session is cut; fewer are the last.
            return Page(events, place + len(events) if len(events) >= size else None)

        return Pages(fetch, begin)

    async def user_search(self, user: str | int, **fields: object) -> UserSearch:
        """Find users; the same as :meth:`amplitude_async.AsyncAmplitude.user_search`.

        Args:
            user: An Amplitude id, a device id, a user id, or the beginning of a user id; not blank.
            **fields: Further parameters.

        Returns:
            ``{"type": ..., "matches": [{"amplitude_id": ..., "user_id": ...}]}``; ``type`` is ``"nomatch"`` when nobody was found.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#user-search
        """
        answer: UserSearch = await self._runner.run(calls.search_call({"user": user, **fields}))
        return answer

    async def realtime(self, **fields: object) -> RealTime:
        """Ask how many users were active in every 5 minutes of today and yesterday.

        Args:
            **fields: Further parameters; ``i`` is 5 unless given, and Amplitude is said to take nothing else.

        Returns:
            ``{"data": {"xValues": ["15:00", ...], "seriesLabels": ["Today", "Yesterday"], "series": [[...], [...]]}}``.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#real-time-active-users
        """
        answer: RealTime = await self._runner.run(calls.realtime_call(fields))
        return answer

    async def revenue_ltv(
        self,
        *,
        start: date | str,
        end: date | str,
        m: Literal[0, 1, 2, 3, "arpu", "arppu", "total_revenue", "paying_users"] | None = None,
        i: Literal[1, 7, 30] | None = None,
        s: SegmentDefinition | Sequence[SegmentDefinition] | None = None,
        g: str | None = None,
        **fields: object,
    ) -> RevenueLtv:
        """Ask what new users are worth in the 90 days after their first.

        Args:
            start: First day on which users may be new.
            end: Last such day, included.
            m: The number: ``"arpu"`` (0, the default), ``"arppu"`` (1), ``"total_revenue"`` (2) or ``"paying_users"`` (3).
            i: New users by day (1, the default), week (7) or month (30).
            s: Segments.
            g: The property that the numbers are grouped by.
            **fields: Further parameters.

        Returns:
            ``{"data": {"seriesLabels": [""], "series": [{"dates": [...], "values": {"2026-01-01": {"r1d": 1.5, ..., "r90d": 22.4,
            "count": 260, "paid": 31, "total_amount": 5824.0}}}]}}``.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#revenue-ltv
        """
        asked = {"start": start, "end": end, "m": m, "i": i, "s": s, "g": g, **fields}
        answer: RevenueLtv = await self._runner.run(calls.revenue_ltv_call(asked))
        return answer
