"""Answers of the dashboard API out of the store: user search, user activity, and the numbers of every chart.

Every function runs in the store's thread.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from amplitude_async.sandbox.periods import epoch_us
from amplitude_async.sandbox.questions import wrong
from amplitude_async.sandbox.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from amplitude_async.sandbox.periods import Zone
    from amplitude_async.sandbox.questions import Question
    from amplitude_async.sandbox.store import Store


def _date(at_us: int | None, zone: Zone) -> str | None:
    return None if at_us is None else f"{zone.local(at_us):%Y-%m-%d}"


def search(store: Store, text: str, zone: Zone) -> dict[str, object]:
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
                "last_seen": _date(store.history(user).last_us, zone),
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


def activity(store: Store, amplitude_id: int, zone: Zone, *, offset: int, limit: int, earliest: bool) -> dict[str, object]:
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
        "first_used": _date(past.first_us, zone),
        "last_used": _date(past.last_us, zone),
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


def answered(store: Store, question: Question, *, zone: Zone, now_s: float, strict: bool) -> object:
    """Return the ``data`` of a query's answer; ValueError for an event that a strict sandbox doesn't know."""
    if strict:
        for kind in sorted({choice.event_type for choice in question.choices if not choice.is_special}):
            if not store.knows_event(kind):
                message = f"Unknown event: {kind[:100]}"
                raise wrong(message)
    return question.answer(View(store, zone, epoch_us(now_s)))
