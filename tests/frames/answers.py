"""Answers as Amplitude's page shows them, shortened; the numbers are made up.

https://amplitude.com/docs/apis/analytics/dashboard-rest
"""

from __future__ import annotations

from typing import Any

USERS: dict[str, Any] = {
    "data": {
        "series": [[1203, 1187, 1250], [411, 402, 398]],
        "seriesMeta": ["Norway", "Sweden"],
        "xValues": ["2026-02-02", "2026-02-03", "2026-02-04"],
    }
}
SESSIONS: dict[str, Any] = {
    "data": {"series": [[512.25, 498.9]], "seriesMeta": [{"segmentIndex": 0}], "xValues": ["2026-02-02", "2026-02-03"]}
}
LENGTHS: dict[str, Any] = {"data": {"series": [[812, 1440, 1003]], "xValues": ["0s-60s", "60s-120s", "120s-180s"]}}
COMPOSITION: dict[str, Any] = {
    "data": {"series": [[6120, 1833, 44]], "seriesLabels": ["platform"], "xValues": ["iOS", "Android", "(none)"]}
}
EVENTS: dict[str, Any] = {
    "data": [
        {
            "non_active": False,
            "value": "order_placed",
            "totals": 48211,
            "deleted": False,
            "flow_hidden": False,
            "hidden": False,
            "display": "Order Placed",
        }
    ]
}
SEGMENTATION: dict[str, Any] = {
    "data": {
        "series": [[731, 702], [118, 125]],
        "seriesLabels": ["Norway", "Sweden"],
        "seriesCollapsed": [[{"setId": "x", "value": 1204}], [{"value": 201}]],
        "xValues": ["2026-02-02", "2026-02-03"],
    }
}
DAYS = {"xValues": ["2026-02-02", "2026-02-03"], "formattedXValues": ["Feb 2", "Feb 3"]}
FUNNELS: dict[str, Any] = {
    "data": [
        {
            "meta": {"segmentIndex": 0},
            "events": ["search", "view_item", "buy"],
            "stepByStep": [1.0, 0.6, 0.25],
            "cumulative": [1.0, 0.6, 0.15],
            "cumulativeRaw": [2000, 1200, 300],
            "medianTransTimes": [0, 41000, 903000],
            "avgTransTimes": [0, 65210, 1804400],
            "dayFunnels": {"series": [[1020, 610, 155], [980, 590, 145]], **DAYS},
            "dayMedianTransTimes": {"series": [[0, 40100, 890000], [0, 42000, 915000]], **DAYS},
            "dayAvgTransTimes": {"series": [[0, 64000, 1790000], [0, 66500, 1820000]], **DAYS},
        }
    ]
}


def cell(count: int, outof: int, *, incomplete: bool = False) -> dict[str, Any]:
    return {"count": count, "outof": outof, "incomplete": incomplete}


RETENTION: dict[str, Any] = {
    "data": {
        "series": [
            {
                "dates": ["Feb 03", "Feb 02"],
                "values": {
                    "Feb 02": [cell(500, 500), cell(480, 500), cell(210, 500)],
                    "Feb 03": [cell(430, 430), cell(411, 430), cell(120, 430, incomplete=True)],
                },
                "combined": [cell(930, 930), cell(891, 930), {**cell(210, 500, incomplete=True), "retainedSetId": None}],
            }
        ],
        "seriesMeta": [{"segmentIndex": 0, "eventIndex": 0}],
    }
}
ACTIVITY: dict[str, Any] = {
    "userData": {"user_id": "u-4711", "canonical_amplitude_id": 77120034, "num_events": 318, "properties": {"tier": "gold"}},
    "events": [
        {"event_type": "order_placed", "event_time": "2026-02-03 10:11:12.000000", "event_properties": {"price": 9.5}},
        {"event_type": "app_opened", "event_time": "2026-02-03 10:10:00.000000", "country": "Norway"},
    ],
}
SEARCH: dict[str, Any] = {"type": "match_user_or_device_id", "matches": [{"user_id": "u-4711", "amplitude_id": 77120034}]}
NOBODY: dict[str, Any] = {"type": "nomatch", "matches": []}
REALTIME: dict[str, Any] = {
    "data": {"xValues": ["15:00", "15:05"], "seriesLabels": ["Today", "Yesterday"], "series": [[88, 91], [79, 84]]}
}
LTV: dict[str, Any] = {
    "data": {
        "seriesLabels": [""],
        "series": [
            {
                "dates": ["2026-01-02", "2026-01-01"],
                "values": {
                    "2026-01-01": {"r1d": 1.5, "r2d": 1.9, "r90d": 22.4, "count": 260, "paid": 31, "total_amount": 5824.0},
                    "2026-01-02": {"r1d": 1.0, "count": 10, "paid": 1, "total_amount": 10.0},
                },
            }
        ],
    }
}
CSV = '"\tWeekly sessions"\r\n\r\n"\t","2026-02-02T00:00:00","2026-02-09T00:00:00"\r\n"\tApp","12","3.5"\r\n"\tWeb, mobile","7",""\r\n'
ALL: dict[str, Any] = {
    "users": USERS,
    "session_lengths": LENGTHS,
    "composition": COMPOSITION,
    "events_list": EVENTS,
    "segmentation": SEGMENTATION,
    "funnels": FUNNELS,
    "retention": RETENTION,
    "user_activity": ACTIVITY,
    "user_search": SEARCH,
    "realtime": REALTIME,
    "revenue_ltv": LTV,
    "chart_csv": CSV,
}
