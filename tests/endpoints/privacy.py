"""Privacy. Pages: https://amplitude.com/docs/apis/analytics/user-privacy and https://amplitude.com/docs/apis/analytics/ccpa-dsar."""

from __future__ import annotations

from datetime import date

from .table import Row

REST = ("amplitude.com", "analytics.eu.amplitude.com")
JOB = b'[{"day":"2026-05-14","status":"staging","amplitude_ids":[],"app":"1"}]'

ROWS = [
    Row(
        name="User privacy: create deletion",
        method="POST",
        path="/api/2/deletions/users",
        hosts=REST,
        auth="Basic project",
        encoding="json",
        call=lambda amplitude: amplitude.privacy.deletions.create(
            user_ids=["ada"], amplitude_ids=[1610447001001], requester="me", ignore_invalid_id=True
        ),
        body={"amplitude_ids": [1610447001001], "user_ids": ["ada"], "requester": "me", "ignore_invalid_id": True},
        answer=(200, "application/json", JOB),
    ),
    Row(
        name="User privacy: list deletions",
        method="GET",
        path="/api/2/deletions/users",
        hosts=REST,
        auth="Basic project",
        encoding="query",
        call=lambda amplitude: amplitude.privacy.deletions.list(start_day=date(2026, 5, 1), end_day="2026-06-01"),
        query=[("start_day", "2026-05-01"), ("end_day", "2026-06-01")],
        answer=(200, "text/html; charset=UTF-8", b"[]"),
    ),
    Row(
        name="User privacy: cancel deletion",
        method="DELETE",
        path="/api/2/deletions/users/1610447001001/2026-05-14",
        hosts=REST,
        auth="Basic project",
        call=lambda amplitude: amplitude.privacy.deletions.cancel(1610447001001, date(2026, 5, 14)),
        query=[],
        answer=(200, "text/html", b'{"amplitude_id":1610447001001}'),
    ),
    Row(
        name="User privacy v2: deletions of the organisation",
        method="POST",
        path="/api/user-deletions/org/1/requests",
        hosts=("privacy.amplitude.com", "privacy.eu.amplitude.com"),
        auth="Basic organisation",
        encoding="json",
        why="under development at Amplitude: its path changed twice within a year, and its answers are not documented",
    ),
    Row(
        name="DSAR: create",
        method="POST",
        path="/api/2/dsar/requests",
        hosts=REST,
        auth="Basic organisation",
        encoding="json",
        call=lambda amplitude: amplitude.privacy.dsar.request(user_id="ada", start_date=date(2026, 1, 1), end_date="2026-04-30"),
        body={"userId": "ada", "startDate": "2026-01-01", "endDate": "2026-04-30"},
        headers={"content-type": "application/json"},
        answer=(202, "application/json", b'{"requestId":81234}'),
    ),
    Row(
        name="DSAR: status",
        method="GET",
        path="/api/2/dsar/requests/81234",
        hosts=REST,
        auth="Basic organisation",
        call=lambda amplitude: amplitude.privacy.dsar.status(81234),
        query=[],
        answer=(200, "application/json", b'{"requestId":81234,"status":"staging"}'),
    ),
    Row(
        name="DSAR: output",
        method="GET",
        path="/api/2/dsar/requests/81234/outputs/1",
        hosts=REST,
        auth="Basic organisation",
        call=lambda amplitude: amplitude.privacy.dsar.output(81234, 1).open(),
        query=[],
        answer=(404, "application/json", b"{}"),
    ),
]
