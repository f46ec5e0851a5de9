"""Session replays: a recording of every session of the stored events, with contents of a fixed, documented shape.

What a screen looked like cannot be told from events. So each recording has two files: a page's ``Meta`` event (rrweb type 4) and an
empty full snapshot (type 2) at the session's first moment, and a custom event (type 5) named ``end`` at its last.

Page: https://amplitude.com/docs/apis/session-replay
"""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from amplitude_async.sandbox.store import Store

__all__ = ["FILES", "contents", "cursor", "place_of", "recording", "recordings"]

FILES: Final = 2
"""How many files a recording has."""
_RETENTION_DAYS: Final = 90


def _instant(us: int) -> str:
    return datetime.fromtimestamp(us / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def recordings(store: Store) -> list[dict[str, Any]]:
    """Return every recording, the oldest first. Runs in the store's thread."""
    return [
        {
            "replay_id": f"{device_id}/{session_id}",
            "session_id": str(session_id),
            "device_id": device_id,
            "amplitude_id": amplitude_id,
            "start_time": _instant(first),
            "end_time": _instant(last),
            "retention_in_days": _RETENTION_DAYS,
        }
        for device_id, session_id, amplitude_id, first, last in store.recordings()
    ]


def recording(store: Store, replay_id: str) -> dict[str, Any] | None:
    """Return one recording, ``None`` if there is none. Runs in the store's thread."""
    return next((each for each in recordings(store) if each["replay_id"] == replay_id), None)


def events_of(recorded: dict[str, Any], file: int) -> list[dict[str, Any]]:
    """Return the events of one file of a recording."""
    begin, end = (int(datetime.fromisoformat(recorded[name]).timestamp()) * 1000 for name in ("start_time", "end_time"))
    if file:
        return [{"type": 5, "data": {"tag": "end", "payload": {}}, "timestamp": end}]
    snapshot = {"node": {"type": 0, "childNodes": [], "id": 1}, "initialOffset": {"top": 0, "left": 0}}
    return [
        {"type": 4, "data": {"href": "https://app.example.org/", "width": 1280, "height": 720}, "timestamp": begin},
        {"type": 2, "data": snapshot, "timestamp": begin},
    ]


def contents(recorded: dict[str, Any], file: int, version: int) -> bytes:
    """Return one file of a recording, in one of the two formats."""
    events: list[Any] = events_of(recorded, file)
    if version == 2:  # noqa: PLR2004 - the older format
        events = [json.dumps(zlib.compress(json.dumps(event).encode()).decode("latin-1")) for event in events]
    return gzip.compress(json.dumps(events).encode(), mtime=0)


def cursor(place: int, order: str) -> str:
    """Return the token of a page."""
    return base64.urlsafe_b64encode(json.dumps([place, order]).encode()).decode()


def place_of(token: str | None, order: str) -> int:
    """Return where a page begins. ValueError if the token is none, or was given out for another order."""
    if token is None:
        return 0
    try:
        place, own = json.loads(base64.urlsafe_b64decode(token.encode()))
    except ValueError:
        place, own = -1, ""
    if not isinstance(place, int) or place < 0:
        message = "Invalid page_token"
        raise ValueError(message)
    if own != order:
        message = "sort_order must stay the same over all pages"
        raise ValueError(message)
    return place
