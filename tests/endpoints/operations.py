"""Streaming metrics, audit logs, session replays, translations.

Pages: https://amplitude.com/docs/apis/analytics/event-streaming-metrics-summary, https://amplitude.com/docs/apis/analytics/audit-logs,
https://amplitude.com/docs/apis/session-replay and https://amplitude.com/docs/apis/guides-surveys-localization
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from .table import Row, all_of

REST = ("amplitude.com", "analytics.eu.amplitude.com")
REPLAY = ("amplitude.com", "eu.amplitude.com")
APP = ("app.amplitude.com", "app.eu.amplitude.com")
OSLO = timezone(timedelta(hours=1))
XLIFF = '<?xml version="1.0" encoding="UTF-8"?><xliff version="1.2"><file original="tour"/></xliff>'

ROWS = [
    Row(
        name="Event streaming: delivery metrics",
        method="GET",
        path="/api/2/event-streaming/delivery-metrics-summary",
        hosts=REST,
        auth="Basic project",
        encoding="query",
        call=lambda amplitude: amplitude.streaming.delivery_metrics(
            17, start=datetime(2026, 5, 1, 7, tzinfo=OSLO), end=datetime(2026, 5, 1, 8, tzinfo=OSLO)
        ),
        query=[
            ("sync_id", "17"),
            ("time_period", "CUSTOM"),
            ("start", "2026-05-01T07:00:00+01:00"),
            ("end", "2026-05-01T08:00:00+01:00"),
        ],
    ),
    Row(
        name="Audit logs: search",
        method="POST",
        path="/api/2/audit-logs/20077",
        hosts=("amplitude.com", None),
        auth="Basic organisation",
        encoding="json",
        call=lambda amplitude: amplitude.audit_logs.search(
            20077,
            start_date="2026-01-01T00:00:00Z",
            end_date="2026-01-10T23:59:59Z",
            domain="group",
            feature="user",
            action="invite",
            limit=100,
        ),
        body={
            "start_date": "2026-01-01T00:00:00Z",
            "end_date": "2026-01-10T23:59:59Z",
            "filters": {"domain": "group", "feature": "user", "action": "invite"},
            "pagination": {"limit": 100},
        },
    ),
    Row(
        name="Session replay: list",
        method="GET",
        path="/api/1/session-replays",
        hosts=REPLAY,
        auth="Basic project",
        encoding="query",
        call=lambda amplitude: all_of(
            amplitude.session_replay.list(start_time="2026-02-01T00:00:00Z", page_size=200, sort_order="desc")
        ),
        query=[("start_time", "2026-02-01T00:00:00Z"), ("page_size", "200"), ("sort_order", "desc")],
    ),
    Row(
        name="Session replay: files",
        method="GET",
        path="/api/1/session-replays/files",
        hosts=REPLAY,
        auth="Basic project",
        encoding="query",
        call=lambda amplitude: all_of(amplitude.session_replay.files("dev-1/1769932800000", version=2)),
        query=[("replay_id", "dev-1/1769932800000"), ("version", "2")],
    ),
    Row(
        name="Localization: import",
        method="POST",
        path="/a/guides-surveys/api/v1/localization/import/",
        hosts=APP,
        auth="Basic project",
        encoding="xml",
        call=lambda amplitude: amplitude.localization.import_xliff(XLIFF),
        body=XLIFF,
        headers={"content-type": "application/xml; charset=utf-8"},
    ),
    Row(
        name="Localization: export",
        method="GET",
        path="/a/guides-surveys/api/v1/localization/export/",
        hosts=APP,
        auth="Basic project",
        encoding="query",
        call=lambda amplitude: amplitude.localization.export_xliff(["tour", "survey"], locales="de"),
        query=[("key", "tour"), ("key", "survey"), ("locale", "de")],
        answer=(200, "application/xml", b"<xliff/>"),
    ),
]
