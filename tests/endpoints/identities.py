"""Identities and batches. Pages: https://amplitude.com/docs/apis/analytics/batch-event-upload, .../attribution and .../user-mapping."""

from __future__ import annotations

from .table import Row

API = ("api2.amplitude.com", "api.eu.amplitude.com")
MAPPING = ("api.amplitude.com", "api.eu.amplitude.com")
REST = ("amplitude.com", "analytics.eu.amplitude.com")
SUCCESS = (200, "text/html;charset=utf-8", b"success")
STAMP = {"insert_id": "i-1", "time": 1_777_885_200_000}

ROWS = [
    Row(
        name="Batch: upload",
        method="POST",
        path="/batch",
        hosts=API,
        auth="key in body",
        encoding="json",
        call=lambda amplitude: amplitude.batch({"event_type": "x", "user_id": "user-1", **STAMP}, options={"min_id_length": 3}),
        body={
            "api_key": "invented-api-key",
            "events": [{"event_type": "x", "user_id": "user-1", "insert_id": "i-1", "time": 1_777_885_200_000}],
            "options": {"min_id_length": 3},
        },
        answer=(200, "application/json", b'{"code":200,"server_upload_time":1,"payload_size_bytes":1,"events_ingested":1}'),
    ),
    Row(
        name="Attribution",
        method="POST",
        path="/attribution",
        hosts=API,
        auth="key in body",
        encoding="form",
        call=lambda amplitude: amplitude.attribution({"event_type": "[Acme Ads] Install", "platform": "ios", "idfa": "AEBE-1"}),
        body=[("event", '{"event_type":"[Acme Ads] Install","platform":"ios","idfa":"AEBE-1"}')],
        answer=SUCCESS,
    ),
    Row(
        name="User mapping: map and unmap",
        method="POST",
        path="/usermap",
        hosts=MAPPING,
        auth="key in body",
        encoding="form",
        call=lambda amplitude: amplitude.alias(
            [{"user_id": "ada-web", "global_user_id": "ada@example.org"}, {"user_id": "bob-old", "unmap": True}]
        ),
        body=[("mapping", '[{"user_id":"ada-web","global_user_id":"ada@example.org"},{"user_id":"bob-old","unmap":true}]')],
        answer=SUCCESS,
    ),
    Row(
        name="User mapping: read",
        method="GET",
        path="/api/2/usermap",
        hosts=REST,
        auth="Basic project",
        encoding="query",
        call=lambda amplitude: amplitude.user_mappings(["ada-web", "a&b=c"]),
        query=[("user_ids", "ada-web"), ("user_ids", "a&b=c")],
    ),
    Row(
        name="HTTP V1: upload",
        method="POST",
        path="/httpapi",
        hosts=API,
        auth="key in body",
        why="deprecated by Amplitude in favour of HTTP V2, which `track` uses",
    ),
]
