"""The dashboard API. Page: https://amplitude.com/docs/apis/analytics/dashboard-rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .table import Row

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from amplitude_async import AsyncAmplitude

HOSTS = ("amplitude.com", "analytics.eu.amplitude.com")
DAYS: dict[str, Any] = {"start": "20260501", "end": "20260507"}
RANGE = [("start", "20260501"), ("end", "20260507")]
SIGNUP = '{"event_type":"signup"}'
BUY = '{"event_type":"buy"}'
SEGMENT = [{"prop": "country", "op": "is", "values": ["Norway"]}]
SEGMENT_TEXT = '[{"prop":"country","op":"is","values":["Norway"]}]'
OTHER_TEXT = '[{"prop":"userdata_cohort","op":"is","values":["k3x9q2f"]}]'


def row(
    name: str,
    path: str,
    call: Callable[[AsyncAmplitude], Awaitable[object]],
    query: list[tuple[str, str]],
    answer: bytes = b'{"data":{}}',
    kind: str = "application/json",
) -> Row:
    return Row(
        name=f"Dashboard: {name}",
        method="GET",
        path=path,
        hosts=HOSTS,
        auth="Basic project",
        encoding="query",
        call=call,
        query=query,
        answer=(200, kind, answer),
    )


ROWS = [
    row(
        "results of a saved chart",
        "/api/3/chart/abc%2F1/csv",
        lambda amplitude: amplitude.dashboard.chart_csv("abc/1"),
        [],
        b"a,b\r\n1,2\r\n",
        "text/csv",
    ),
    row(
        "results of a saved chart as JSON (older path)",
        "/api/3/chart/abc/query",
        lambda amplitude: amplitude.dashboard.chart_query("abc"),
        [],
    ),
    row(
        "active users",
        "/api/2/users",
        lambda amplitude: amplitude.dashboard.active_users(**DAYS, i=7, s=SEGMENT, g="gp:plan"),
        [*RANGE, ("m", "active"), ("i", "7"), ("s", SEGMENT_TEXT), ("g", "gp:plan")],
    ),
    row(
        "new users",
        "/api/2/users",
        lambda amplitude: amplitude.dashboard.new_users(**DAYS, s=[SEGMENT, OTHER_TEXT]),
        [*RANGE, ("m", "new"), ("s", SEGMENT_TEXT), ("s", OTHER_TEXT)],
    ),
    row(
        "session length distribution",
        "/api/2/sessions/length",
        lambda amplitude: amplitude.dashboard.session_lengths(**DAYS, bin_unit="minutes", bin_min=0, bin_max=30, bin_size=10),
        [
            *RANGE,
            ("timeHistogramConfigBinTimeUnit", "minutes"),
            ("timeHistogramConfigBinMin", "0"),
            ("timeHistogramConfigBinMax", "30"),
            ("timeHistogramConfigBinSize", "10"),
        ],
    ),
    row(
        "average session length",
        "/api/2/sessions/average",
        lambda amplitude: amplitude.dashboard.average_session_length(**DAYS),
        RANGE,
    ),
    row(
        "average sessions per user",
        "/api/2/sessions/peruser",
        lambda amplitude: amplitude.dashboard.sessions_per_user(**DAYS),
        RANGE,
    ),
    row(
        "user composition",
        "/api/2/composition",
        lambda amplitude: amplitude.dashboard.composition("platform", **DAYS),
        [*RANGE, ("p", "platform")],
    ),
    row("events list", "/api/2/events/list", lambda amplitude: amplitude.dashboard.events_list(), []),
    row(
        "event segmentation",
        "/api/2/events/segmentation",
        lambda amplitude: amplitude.dashboard.segmentation(
            e={"event_type": "signup"},
            **DAYS,
            e2={"event_type": "buy"},
            n="active",
            i=1,
            s=SEGMENT,
            g="country",
            g2="gp:plan",
            limit=10,
            formula="UNIQUES(B)/UNIQUES(A)",
            rolling_window=7,
            rolling_average=3,
        ),
        [
            ("e", SIGNUP),
            *RANGE,
            ("e2", BUY),
            ("n", "active"),
            ("i", "1"),
            ("s", SEGMENT_TEXT),
            ("g", "country"),
            ("g2", "gp:plan"),
            ("limit", "10"),
            ("formula", "UNIQUES(B)/UNIQUES(A)"),
            ("rollingWindow", "7"),
            ("rollingAverage", "3"),
            ("m", "formula"),
        ],
    ),
    row(
        "funnel analysis",
        "/api/2/funnels",
        lambda amplitude: amplitude.dashboard.funnels(
            e=[{"event_type": "signup"}, {"event_type": "buy"}],
            **DAYS,
            mode="unordered",
            n="new",
            i=7,
            s=[SEGMENT, OTHER_TEXT],
            cs=86_400,
            limit=5,
        ),
        [
            ("e", SIGNUP),
            ("e", BUY),
            *RANGE,
            ("mode", "unordered"),
            ("n", "new"),
            ("i", "7"),
            ("s", SEGMENT_TEXT),
            ("s", OTHER_TEXT),
            ("cs", "86400"),
            ("limit", "5"),
        ],
    ),
    row(
        "retention analysis",
        "/api/2/retention",
        lambda amplitude: amplitude.dashboard.retention(
            se={"event_type": "_new"},
            re={"event_type": "_active"},
            **DAYS,
            rm="bracket",
            rb=[[0, 1], (1, 8)],
            i=1,
            s=SEGMENT,
            g="country",
        ),
        [
            ("se", '{"event_type":"_new"}'),
            ("re", '{"event_type":"_active"}'),
            *RANGE,
            ("rm", "bracket"),
            ("rb", "[[0,1],[1,8]]"),
            ("i", "1"),
            ("s", SEGMENT_TEXT),
            ("g", "country"),
        ],
    ),
    row(
        "user activity",
        "/api/2/useractivity",
        lambda amplitude: amplitude.dashboard.user_activity(77120034, offset=1, limit=2, direction="earliest"),
        [("offset", "1"), ("limit", "2"), ("direction", "earliest"), ("user", "77120034")],
    ),
    row(
        "user search",
        "/api/2/usersearch",
        lambda amplitude: amplitude.dashboard.user_search("ada@example.org"),
        [("user", "ada@example.org")],
    ),
    row("real-time active users", "/api/2/realtime", lambda amplitude: amplitude.dashboard.realtime(), [("i", "5")]),
    row(
        "revenue LTV",
        "/api/2/revenue/ltv",
        lambda amplitude: amplitude.dashboard.revenue_ltv(**DAYS, m="arppu", i=30, s=SEGMENT, g="country"),
        [*RANGE, ("m", "1"), ("i", "30"), ("s", SEGMENT_TEXT), ("g", "country")],
    ),
]
