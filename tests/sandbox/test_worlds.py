"""Seeded worlds: believable, the same each time, and in the sandbox by the rules of an upload."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import httpx
import pytest

from amplitude_async import InvalidArgumentError
from amplitude_async.sandbox import Sandbox
from amplitude_async.sandbox.worlds import DAY_MS, world

from .conftest import NOON, Clock

MIDNIGHT = 1_777_593_600_000  # 2026-05-01 00:00:00 UTC


def people(events: list[dict[str, Any]], kind: str) -> set[str]:
    return {event["user_id"] for event in events if event["event_type"] == kind}


def test_a_seed_is_a_world() -> None:
    """The same numbers give the same events, other seeds give others."""
    chosen: dict[str, int] = {"users": 50, "days": 10, "first_day_ms": MIDNIGHT}
    first = world(**chosen, seed=7)
    assert first == world(**chosen, seed=7)
    assert first != world(**chosen, seed=8)
    assert len({event["insert_id"] for event in first}) == len(first)


def test_it_looks_like_a_product() -> None:
    """Fewer activate than sign up, fewer buy than activate, and fewer come back the longer ago they came."""
    events = world(users=1500, days=30, seed=7, first_day_ms=MIDNIGHT)
    signed, activated, bought = (people(events, kind) for kind in ("signup", "profile_completed", "purchase"))
    assert activated < signed
    assert 0.5 < len(activated) / len(signed) < 0.75
    assert 0.05 < len(bought & signed) / len(signed) < 0.4
    first = {event["user_id"]: event["time"] for event in reversed(events) if event["event_type"] == "signup"}
    ages = Counter(
        (event["time"] - first[event["user_id"]]) // DAY_MS
        for event in events
        if event["event_type"] == "app_opened" and event["user_id"] in first
    )
    assert ages[0] > 2 * ages[1] > 2 * ages[14] > 0
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)
    assert all(MIDNIGHT <= event["time"] < MIDNIGHT + 31 * DAY_MS for event in events)


def test_seeding_fills_a_sandbox(box: Sandbox, http: httpx.Client, clock: Clock) -> None:
    """Everything it made is found again: in the export of its hours, in a segmentation of its days, on users."""
    assert clock.now == NOON
    count = box.seed(users=30, days=3, seed=1)
    answer = http.get(
        "/api/2/events/segmentation",
        params={"e": json.dumps({"event_type": "_all"}), "start": "20260428", "end": "20260430", "m": "totals"},
    )
    assert sum(answer.json()["data"]["series"][0]) == count
    assert http.get("/api/2/export", params={"start": "20260428T00", "end": "20260430T23"}).status_code == 200
    assert http.get("/api/2/usersearch", params={"user": "user-000001"}).json()["matches"]
    holder = {"Authorization": f"Bearer {box.token}"}
    more = httpx.post(f"{box.url}/sandbox/seed", json={"users": 5, "days": 2, "seed": 2}, headers=holder, trust_env=False)
    assert more.json()["events"] > 0


@pytest.mark.parametrize(
    ("name", "value"), [("users", 0), ("users", True), ("users", 10**9), ("days", 0), ("days", 400), ("days", "x")]
)
def test_no_world_without_people_and_days(box: Sandbox, name: str, value: Any) -> None:
    """Numbers that make no sense are refused by name."""
    with pytest.raises(InvalidArgumentError) as caught:
        box.seed(**{name: value})
    assert caught.value.argument == name


def test_only_a_running_sandbox_is_seeded() -> None:
    """Who forgets the block is told so."""
    with pytest.raises(RuntimeError, match="not running"):
        Sandbox().seed()
