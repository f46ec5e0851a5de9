"""Typed uses of the dashboard, of events and segments, and of tables; only type-checked."""

from __future__ import annotations

from datetime import date
from typing import Any, assert_type

from amplitude_async import AsyncAmplitude, Event, Segment
from amplitude_async.frames import Table, table
from amplitude_async.resources.dashboard import (
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


def builds() -> None:
    """Build definitions; each step gives the same type."""
    event = Event("order_placed").where("channel", "is", ["web", "ios"]).where("price", "greater", 10).group_by("country", of="user")
    assert_type(event, Event)
    assert_type(event["filters"], Any)
    assert_type(dict(event), dict[str, Any])
    assert_type(Event.any_active(), Event)
    assert_type(Event.revenue("verified"), Event)
    segment = Segment().where("gp:plan", "is not", None).in_cohort("k3x9q2f").performed(event, ">=", 3, time_type="allTime")
    assert_type(segment, Segment)
    assert_type(segment[0], dict[str, Any])
    assert_type(segment[1:], list[dict[str, Any]])
    Event("x").where("p", "equals", 1)  # type: ignore[arg-type]  # no operator
    Segment().performed("x", "greater", 1)  # type: ignore[arg-type]  # no sign


async def asks(amplitude: AsyncAmplitude) -> None:
    """Use every query, with definitions of each kind."""
    dashboard = amplitude.dashboard
    built, plain = Event("a"), {"event_type": "b"}
    norway = Segment().where("country", "is", "Norway")
    listed: list[dict[str, Any]] = [{"prop": "country", "op": "is", "values": ["Norway"]}]
    first, last = date(2026, 5, 1), "20260531"

    segmentation = await dashboard.segmentation(
        e=built, e2=plain, start=first, end=last, m="formula", formula="TOTALS(A)/TOTALS(B)", i=-3600000, s=norway, rolling_window=7
    )
    assert_type(segmentation, Segmentation)
    assert_type(segmentation["data"]["series"], list[list[float]])
    assert_type(await dashboard.segmentation(e='{"event_type":"x"}', start=first, end=last, s=[norway, listed, "[]"]), Segmentation)
    funnels = await dashboard.funnels(e=[built, plain, "{}"], start=first, end=last, mode="unordered", cs=86_400, g="country")
    assert_type(funnels, Funnels)
    assert_type(funnels["data"][0]["cumulativeRaw"], list[int])
    retention = await dashboard.retention(se=Event.new_user(), re=plain, start=first, end=last, rm="n-day", rb=[[0, 1]], s=listed)
    assert_type(retention, Retention)
    assert_type(retention["data"]["series"][0]["values"]["May 01"][0]["count"], int)
    assert_type(await dashboard.active_users(start=first, end=last, i=7, g="country"), UserCounts)
    assert_type(await dashboard.new_users(start=first, end=last), UserCounts)
    assert_type(await dashboard.average_session_length(start=first, end=last), UserCounts)
    assert_type(await dashboard.sessions_per_user(start=first, end=last), UserCounts)
    assert_type(await dashboard.session_lengths(start=first, end=last, bin_unit="minutes", bin_min=0, bin_max=30), SessionLengths)
    assert_type(await dashboard.composition("platform", start=first, end=last), Composition)
    assert_type(await dashboard.events_list(), EventsList)
    assert_type(await dashboard.realtime(), RealTime)
    assert_type(await dashboard.revenue_ltv(start=first, end=last, m="arpu"), RevenueLtv)
    assert_type(await dashboard.chart_csv("abc"), str)
    assert_type(await dashboard.chart_query("abc"), Chart)
    found = await dashboard.user_search("ada@example.org")
    assert_type(found, UserSearch)
    activity = await dashboard.user_activity(found["matches"][0]["amplitude_id"], direction="earliest", further=1)
    assert_type(activity, UserActivity)
    assert_type(activity["userData"]["num_events"], int)
    async for event in dashboard.user_events(found["matches"][0]["amplitude_id"], direction="earliest"):
        assert_type(event, dict[str, Any])
    assert_type(dashboard.cost("funnels", e=[built, plain], start=first, end=last), int)
    await amplitude.event_segmentation(e=built, start=first, end=last, s=norway)

    for answer in (segmentation, funnels, retention):
        made = table(answer)
        assert_type(made, Table)
        assert_type(made.columns, tuple[str, ...])
        assert_type(made.to_records(), list[dict[str, Any]])
        assert_type(made["value"], tuple[Any, ...])
    table(funnels, part="days")
    table(await dashboard.chart_csv("abc"), kind="chart_csv")
