"""Releases. Page: https://amplitude.com/docs/apis/analytics/releases."""

from __future__ import annotations

from datetime import UTC, datetime

from .table import Row

ROWS = [
    Row(
        name="Releases: create",
        method="POST",
        path="/api/2/release",
        hosts=("amplitude.com", "analytics.eu.amplitude.com"),
        auth="Basic project",
        encoding="json",
        call=lambda amplitude: amplitude.releases.create(
            "3.6",
            title="Checkout v2",
            release_start=datetime(2026, 2, 1, 8, tzinfo=UTC),
            release_end="2026-02-02 08:00:00",
            description="new payment page",
            platforms=["iOS", "Android"],
            created_by="Kari",
            chart_visibility=False,
        ),
        query=[],
        body={
            "version": "3.6",
            "release_start": "2026-02-01 08:00:00",
            "release_end": "2026-02-02 08:00:00",
            "title": "Checkout v2",
            "description": "new payment page",
            "platforms": ["iOS", "Android"],
            "created_by": "Kari",
            "chart_visibility": False,
        },
        answer=(200, "application/json", b'{"success":true,"release":{"id":"r7k2m9q","version":"3.6"}}'),
    ),
]
