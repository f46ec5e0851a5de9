"""Behavioural cohorts. Page: https://amplitude.com/docs/apis/analytics/behavioral-cohorts."""

from __future__ import annotations

from .table import Row

REST = ("amplitude.com", "analytics.eu.amplitude.com")
UPLOAD = {"app_id": 510042, "id_type": "BY_USER_ID", "owner": "ops@example.org", "published": True}

ROWS = [
    Row(
        name="Cohorts: list",
        method="GET",
        path="/api/3/cohorts",
        hosts=REST,
        auth="Basic project",
        encoding="query",
        call=lambda amplitude: amplitude.cohorts.list(include_sync_info=True),
        query=[("includeSyncInfo", "true")],
        answer=(200, "application/json", b'{"cohorts":[]}'),
    ),
    Row(
        name="Cohorts: request",
        method="GET",
        path="/api/5/cohorts/request/k3x9q2f",
        hosts=REST,
        auth="Basic project",
        encoding="query",
        call=lambda amplitude: amplitude.cohorts.request("k3x9q2f", prop_keys=["plan", "gp:a/b"]),
        query=[("props", "1"), ("propKeys", "plan"), ("propKeys", "gp:a/b")],
        answer=(202, "application/json", b'{"request_id":"Qz7Tm2","cohort_id":"k3x9q2f"}'),
    ),
    Row(
        name="Cohorts: status of a request",
        method="GET",
        path="/api/5/cohorts/request-status/Qz7Tm2",
        hosts=REST,
        auth="Basic project",
        call=lambda amplitude: amplitude.cohorts.status("Qz7Tm2"),
        query=[],
        answer=(202, "application/json", b'{"request_id":"Qz7Tm2","cohort_id":"k3x9q2f","async_status":"JOB INPROGRESS"}'),
    ),
    Row(
        name="Cohorts: file of a request",
        method="GET",
        path="/api/5/cohorts/request/Qz7Tm2/file",
        hosts=REST,
        auth="Basic project",
        call=lambda amplitude: amplitude.cohorts.file("Qz7Tm2")._all(),
        query=[],
        answer=(200, "text/csv", b"amplitude_id,user_id\n77120034,u-9\n"),
    ),
    Row(
        name="Cohorts: upload",
        method="POST",
        path="/api/3/cohorts/upload",
        hosts=REST,
        auth="Basic project",
        encoding="json",
        call=lambda amplitude: amplitude.cohorts.upload("Buyers", ["u-1", "u-2"], **UPLOAD, existing_cohort_id="p8w1c5n"),  # type: ignore[arg-type]  # a table of keywords
        body={"name": "Buyers", "ids": ["u-1", "u-2"], **UPLOAD, "existing_cohort_id": "p8w1c5n"},
        answer=(200, "application/json", b'{"cohortId":"p8w1c5n","metadata":{"matched":2,"totals":2,"invalid_ids_sample":[]}}'),
    ),
    Row(
        name="Cohorts: membership",
        method="POST",
        path="/api/3/cohorts/membership",
        hosts=REST,
        auth="Basic project",
        encoding="json",
        call=lambda amplitude: amplitude.cohorts.membership(
            "p8w1c5n", [{"ids": ["77120034"], "id_type": "BY_ID", "operation": "ADD"}], skip_invalid_ids=True
        ),
        body={
            "cohort_id": "p8w1c5n",
            "skip_invalid_ids": True,
            "memberships": [{"ids": ["77120034"], "id_type": "BY_ID", "operation": "ADD"}],
        },
        answer=(200, "application/json", b'{"cohort_id":"p8w1c5n","memberships_result":[]}'),
    ),
    Row(
        name="Cohorts: usage",
        method="GET",
        path="/api/3/cohorts/usage",
        hosts=REST,
        auth="Basic project",
        call=lambda amplitude: amplitude.cohorts.usage(),
        query=[],
        answer=(200, "application/json", b'{"rest_download":{"limit":500,"usage":12}}'),
    ),
]
