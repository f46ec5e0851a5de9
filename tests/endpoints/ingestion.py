"""Ingestion. Pages: https://amplitude.com/docs/apis/analytics/http-v2, .../identify, .../group-identify and .../export."""

from __future__ import annotations

from .table import Row, all_of

API = ("api2.amplitude.com", "api.eu.amplitude.com")
REST = ("amplitude.com", "analytics.eu.amplitude.com")
STAMP = {"insert_id": "i-1", "time": 1_777_885_200_000}
TAKEN = (200, "application/json", b'{"code":200,"server_upload_time":1,"payload_size_bytes":1,"events_ingested":1}')
SUCCESS = (200, "text/html;charset=utf-8", b"success")

ROWS = [
    Row(
        name="HTTP V2: upload",
        method="POST",
        path="/2/httpapi",
        hosts=API,
        auth="key in body",
        encoding="json",
        call=lambda amplitude: amplitude.track({"event_type": "x", "user_id": "user-1", **STAMP}),
        body={
            "api_key": "invented-api-key",
            "events": [{"event_type": "x", "user_id": "user-1", "insert_id": "i-1", "time": 1_777_885_200_000}],
        },
        answer=TAKEN,
    ),
    Row(
        name="Identify",
        method="POST",
        path="/identify",
        hosts=API,
        auth="key in body",
        encoding="form",
        call=lambda amplitude: amplitude.identify({"user_id": "user-1", "user_properties": {"$set": {"plan": "pro"}}}),
        body=[("identification", '[{"user_id":"user-1","user_properties":{"$set":{"plan":"pro"}}}]')],
        answer=SUCCESS,
    ),
    Row(
        name="Group identify",
        method="POST",
        path="/groupidentify",
        hosts=API,
        auth="key in body",
        encoding="form",
        call=lambda amplitude: amplitude.group_identify({"group_type": "org", "group_value": "acme", "group_properties": {"a": 1}}),
        body=[("identification", '[{"group_type":"org","group_value":"acme","group_properties":{"a":1}}]')],
        answer=SUCCESS,
    ),
    Row(
        name="Export",
        method="GET",
        path="/api/2/export",
        hosts=REST,
        auth="Basic project",
        encoding="query",
        call=lambda amplitude: all_of(amplitude.export(start="20260501T00", end="20260501T23").events()),
        query=[("start", "20260501T00"), ("end", "20260501T23")],
        answer=(404, "application/json", b"{}"),
    ),
]
