"""Answers of the dashboard API out of the store: user search, user activity, segmentation.

Every function runs in the store's thread.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from amplitude_async.sandbox import segmentation
from amplitude_async.sandbox.conditions import PerformedCondition, Subject, passes
from amplitude_async.sandbox.questions import wrong
from amplitude_async.sandbox.segmentation import ANY_EVENT, REVENUE_EVENT, EventChoice, Question

if TYPE_CHECKING:
    from collections.abc import Mapping

    from amplitude_async.sandbox.store import Store, StoredEvent

_DAY_US = 86_400_000_000
_ALL_TIME = (-(2**62), 2**62)


def _date(at_us: int | None) -> str | None:
    return None if at_us is None else f"{datetime.fromtimestamp(at_us // 1_000_000, UTC):%Y-%m-%d}"


def search(store: Store, text: str) -> dict[str, object]:
    """Answer ``/api/2/usersearch``."""
    kind, users = store.people.search(text)
    return {
        "type": kind,
        "matches": [
            {
                "user_id": user.user_id,
                "amplitude_id": user.amplitude_id,
                "last_device_id": user.device_id,
                "platform": user.built_ins.get("platform"),
                "country": user.built_ins.get("country"),
                "last_seen": _date(store.history(user).last_us),
            }
            for user in users
        ],
    }


def unknown_activity() -> dict[str, object]:
    """Answer for an Amplitude ID that nobody has."""
    return {
        "userData": {
            "num_sessions": 0,
            "purchases": 0,
            "revenue": 0,
            "merged_amplitude_ids": [],
            "num_events": 0,
            "canonical_amplitude_id": 1,
            "user_id": None,
            "last_location": None,
            "usage_time": 0,
            "last_device_id": None,
            "device_ids": [],
        },
        "events": [],
    }


def activity(store: Store, amplitude_id: int, *, offset: int, limit: int, earliest: bool) -> dict[str, object]:
    """Answer ``/api/2/useractivity``; the items of ``events`` are raw rows."""
    user = store.people.get(amplitude_id) if amplitude_id < 2**63 else None
    if user is None:
        return unknown_activity()
    past = store.history(user)
    newest = store.timeline(user, offset=0, limit=1, earliest=False)
    last: Mapping[str, object] = json.loads(newest[0]) if newest else {}
    built_ins = user.built_ins
    lat, lng = last.get("location_lat"), last.get("location_lng")
    operating_system = " ".join(str(built_ins[key]) for key in ("os_name", "os_version") if key in built_ins)
    data: dict[str, object] = {
        "user_id": user.user_id,
        "canonical_amplitude_id": user.amplitude_id,
        "merged_amplitude_ids": store.people.ids_of(user.amplitude_id),
        "num_events": past.num_events,
        "num_sessions": past.num_sessions,
        "usage_time": past.usage_ms,
        "first_used": _date(past.first_us),
        "last_used": _date(past.last_us),
        "purchases": past.purchases,
        "revenue": past.revenue,
        "platform": built_ins.get("platform"),
        "os": operating_system or None,
        "version": built_ins.get("version_name"),
        "device": last.get("device_family"),
        "device_type": last.get("device_type"),
        "carrier": built_ins.get("device_carrier"),
        "country": built_ins.get("country"),
        "region": built_ins.get("region"),
        "city": built_ins.get("city"),
        "dma": built_ins.get("dma"),
        "language": built_ins.get("language"),
        "start_version": built_ins.get("start_version"),
        "device_ids": store.people.devices_of(user.amplitude_id),
        "last_device_id": user.device_id,
        "last_location": None if lat is None or lng is None else {"lat": lat, "lng": lng},
        "paying": True if user.paying else None,
        "library": last.get("library"),
        "ip_address": last.get("ip_address"),
        "properties": user.properties,
    }
    page = store.timeline(user, offset=offset, limit=limit, earliest=earliest)
    return {"userData": data, "events": [json.loads(text) for text in page]}


def segment(store: Store, asked: Question, *, strict: bool) -> dict[str, object]:
    """Answer ``/api/2/events/segmentation``; ValueError for an event that a strict sandbox doesn't know."""
    special = ANY_EVENT | {REVENUE_EVENT}
    kinds = {choice.event_type for choice in asked.events}
    if strict:
        for kind in sorted(kinds - special):
            if not store.knows_event(kind):
                message = f"Unknown event: {kind[:100]}"
                raise wrong(message)
    needs_all = asked.metric == "pct_dau" or kinds & special
    span = asked.span_us
    events = (
        store.events_between(*span) if needs_all else [event for kind in sorted(kinds) for event in store.events_between(*span, kind)]
    )
    read: dict[int, Subject] = {}

    def subjects(event: StoredEvent) -> Subject:
        found = read.get(id(event))
        if found is None:
            found = read[id(event)] = json.loads(event.text)
        return found

    counted: dict[int, Counter[int]] = {}

    def counts(condition: PerformedCondition) -> Mapping[int, int]:
        if id(condition) not in counted:
            counted[id(condition)] = _performed(store, condition, span)
        return counted[id(condition)]

    return {"data": segmentation.answer(asked, events, subjects, counts)}


def _performed(store: Store, condition: PerformedCondition, span: tuple[int, int]) -> Counter[int]:
    """Count who did something how often: ever, in the range, or in the days up to its end."""
    start, end = _ALL_TIME
    if condition.time_type == "currentInterval":
        start, end = span
    elif condition.time_type == "forEachInterval":
        start, end = span[1] - (condition.days or 1) * _DAY_US, span[1]
    choice = EventChoice(event_type=condition.event_type)
    return Counter(
        event.person
        for event in store.events_between(start, end)
        if segmentation.is_meant(choice, event) and (not condition.filters or passes(json.loads(event.text), condition.filters))
    )
