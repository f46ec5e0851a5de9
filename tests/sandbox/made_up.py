"""Small made-up worlds for the dashboard's queries: sent to a sandbox, and read back from its export as rows to count by hand."""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from amplitude_async.sandbox import Sandbox

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ZONES = ("UTC", "America/New_York", "Asia/Kolkata")
START, END = date(2026, 4, 19), date(2026, 4, 28)
RANGE = {"start": "20260419", "end": "20260428"}
INACTIVE = {"[Amplitude] Start Session", "[Amplitude] End Session", "[Amplitude] Merged User"}


@dataclass
class Event:
    """One exported row, as little of it as counting needs; numbered in the order in which things happened."""

    order: int
    user: str
    kind: str
    at: datetime
    row: dict[str, Any]

    @property
    def is_active(self) -> bool:
        return self.kind not in INACTIVE

    def user_value(self, key: str) -> str:
        value = self.row["user_properties"].get(key[3:]) if key.startswith("gp:") else self.row[key]
        return "(none)" if value is None else str(value)


@dataclass
class World:
    """What a sandbox holds, and a client for it."""

    http: httpx.Client
    zone: ZoneInfo
    events: list[Event]

    def ask(self, path: str, **parameters: Any) -> Any:
        """Ask a query of the range; mappings go out as JSON."""
        sent = {
            name: [text(each) for each in value] if isinstance(value, list) else text(value)
            for name, value in {**RANGE, **parameters}.items()
        }
        answer = self.http.get(f"/api/2/{path}", params=sent)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def day(self, event: Event) -> date:
        return event.at.astimezone(self.zone).date()

    def within(self, start: date = START, end: date = END) -> list[Event]:
        """Return the events of a range of days."""
        return [event for event in self.events if start <= self.day(event) <= end]

    def of(self, user: str) -> list[Event]:
        """Return what somebody did, in order."""
        return [event for event in self.events if event.user == user]

    @property
    def users(self) -> list[str]:
        return sorted({event.user for event in self.events})

    def firsts(self) -> dict[str, Event]:
        """Return everybody's first event."""
        found: dict[str, Event] = {}
        for event in self.events:
            found.setdefault(event.user, event)
        return found


def text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def days(start: date = START, end: date = END) -> list[date]:
    return [start + timedelta(days=index) for index in range((end - start).days + 1)]


def named(event_type: str, **more: Any) -> dict[str, Any]:
    return {"event_type": event_type, **more}


def send(http: httpx.Client, events: list[dict[str, Any]]) -> None:
    body = {"api_key": "sandbox", "events": events, "options": {"min_id_length": 1}}
    answer = http.post("/batch", json=body)
    assert answer.status_code == 200, answer.text


def exported(http: httpx.Client) -> list[Event]:
    """Read everything back, through the export."""
    answer = http.get("/api/2/export", params={"start": "20260501T00", "end": "20260501T23"})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = []
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        for name in archive.namelist():
            found += map(json.loads, gzip.decompress(archive.read(name)).splitlines())
    # Rows are exported in the order in which they arrived, and a stable sort keeps that among those of one instant.
    found.sort(key=lambda row: row["event_time"])
    return [
        Event(order, row["user_id"], row["event_type"], datetime.fromisoformat(row["event_time"]).replace(tzinfo=UTC), row)
        for order, row in enumerate(found)
    ]


def made_up(seed: int, users: int = 14, count: int = 260) -> list[dict[str, Any]]:
    """Make up what some people did in two weeks, with simultaneous events, sessions, revenue and changing properties."""
    chance = random.Random(seed)
    first_ms = int((NOW - timedelta(days=15)).timestamp() * 1000)
    joined = {user: first_ms + chance.randrange(9 * 86_400_000) for user in range(users)}
    events: list[dict[str, Any]] = []
    while len(events) < count:
        user = chance.randrange(users)
        at = joined[user] + int(chance.expovariate(1 / (2.5 * 86_400_000)))
        if at > NOW.timestamp() * 1000:
            continue
        session = at if chance.random() < 0.8 else -1
        for _ in range(chance.choice([1, 1, 2, 3, 5])):
            kind = chance.choice(["search", "search", "view", "view", "buy", "[Amplitude] Start Session"])
            event: dict[str, Any] = {
                "user_id": f"user-{user}",
                "event_type": kind,
                "time": at,
                "session_id": session,
                "event_properties": {"n": chance.randrange(6)},
                "user_properties": {"plan": chance.choice(["free", "pro"])},
            }
            if chance.random() < 0.7:
                event["platform"] = chance.choice(["iOS", "Web"])
            if kind == "buy":
                event["revenue"] = chance.choice([1, 2.5, 10])
            events.append(event)
            at += chance.choice([0, 0, 1, 900, 60_000, 1_500_000])
    # Two at one instant must come in this order, whoever sorts them.
    events.sort(key=lambda event: event["time"])
    return events


@contextmanager
def opened(seed: int, zone: str) -> Iterator[World]:
    """Run a sandbox that holds a made-up world; its clock stands still."""
    with (
        Sandbox(clock=NOW.timestamp, timezone=zone) as box,
        httpx.Client(verify=False, base_url=box.url, auth=(box.api_key, box.secret_key), trust_env=False, timeout=30) as http,
    ):
        send(http, made_up(seed))
        yield World(http, ZoneInfo(zone), exported(http))
