"""What passes through the sandbox, for whoever watches: the last events in memory, and a stream of new ones.

Lives on the server's event loop. A watcher that doesn't keep up loses the oldest of what it has not read, and is told how many.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

KEPT: Final = 1000
"""How many sightings are remembered for watchers that come later."""
WAITING: Final = 2000
"""How many may wait for one watcher."""
HEARTBEAT_SECONDS: Final = 15.0

Sighting = dict[str, Any]

_INDEX_MAPS: Final = ("events_with_invalid_fields", "events_with_missing_fields")
_INDEX_LISTS: Final = {
    "events_with_invalid_id_lengths": "id too short: {}",
    "throttled_events": "throttled",
    "silenced_events": "silenced",
}


def reasons(body: Mapping[str, Any], events: int) -> dict[int, str]:
    """Say which events of a refused request are at fault, and why; all of them where the answer names none."""
    error = str(body.get("error", "refused"))
    if error.startswith("Invalid API key"):
        # It goes on to quote the key.
        error = "Invalid API key"
    found: dict[int, list[str]] = {}
    for name in _INDEX_MAPS:
        word = "invalid" if "invalid" in name else "missing"
        members = body.get(name)
        for field, indices in members.items() if isinstance(members, dict) else ():
            for index in indices:
                found.setdefault(index, []).append(f"{word}: {field}")
    for name, text in _INDEX_LISTS.items():
        members = body.get(name)
        if isinstance(members, dict):
            for field, indices in members.items():
                for index in indices:
                    found.setdefault(index, []).append(text.format(field))
        elif isinstance(members, list):
            for index in members:
                found.setdefault(index, []).append(text)
    if found:
        return {index: f"{error} ({'; '.join(dict.fromkeys(words))})" for index, words in found.items()}
    field = body.get("missing_field")
    whole = f"{error} ({field})" if isinstance(field, str) else error
    return dict.fromkeys(range(events), whole)


class Watch:
    """Everything that was seen lately, and who wants to see more."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._kept: deque[Sighting] = deque(maxlen=KEPT)
        self._watchers: set[asyncio.Queue[Sighting | None]] = set()
        # From the time of day on: who watched the sandbox that was here before has seen lower ones.
        self._numbers = count(time.time_ns() // 1000)
        self.accepted: int = 0
        self.rejected: int = 0
        self.record: list[Any] | None = None
        """Every accepted event, as it was sent, where somebody asked for that."""

    def saw(self, events: Sequence[Any], *, path: str, at: float, refused: Mapping[str, Any] | None = None) -> None:
        """Note the events of one request, and what the answer said if it was a refusal."""
        if refused is None:
            self.accepted += len(events)
            if self.record is not None:
                self.record += events
            self._publish([(event, "accepted", "") for event in events], path, at)
            return
        why = reasons(refused, max(len(events), 1))
        self.rejected += len(events)
        listed = list(events) or [{}]
        # A refused request is refused whole: events without a fault of their own may be sent again.
        self._publish(
            [(event, "rejected", why.get(index, "refused with its request")) for index, event in enumerate(listed)], path, at
        )

    def _publish(self, seen: Sequence[tuple[Any, str, str]], path: str, at: float) -> None:
        for event, kind, reason in seen[-KEPT:]:
            sighting: Sighting = {"id": next(self._numbers), "kind": kind, "at": round(at * 1000), "path": path, "event": event}
            if reason:
                sighting["reason"] = reason
            self._kept.append(sighting)
            for queue in self._watchers:
                if queue.full():
                    queue.get_nowait()
                queue.put_nowait(sighting)

    def forget(self) -> None:
        """Start anew; who watches goes on watching."""
        self._kept.clear()
        self.accepted = self.rejected = 0
        if self.record is not None:
            self.record = []

    def recent(self, after: int = 0) -> list[Sighting]:
        """Return what is remembered of what came after a number, the oldest first."""
        return [sighting for sighting in self._kept if sighting["id"] > after]

    def close(self) -> None:
        """End every stream."""
        for queue in self._watchers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    async def stream(self, after: int = 0) -> AsyncIterator[bytes]:
        """Give what is remembered, then what comes, as server-sent events."""
        queue: asyncio.Queue[Sighting | None] = asyncio.Queue(WAITING)
        self._watchers.add(queue)
        try:
            yield b"retry: 1000\n\n"
            for sighting in self.recent(after):
                yield framed(sighting)
            while True:
                found: Sighting | None = {}
                with anyio.move_on_after(HEARTBEAT_SECONDS):
                    found = await queue.get()
                if found is None:
                    return
                yield framed(found) if found else b": still here\n\n"
        finally:
            self._watchers.discard(queue)


def framed(sighting: Sighting) -> bytes:
    """Write one server-sent event."""
    return f"id: {sighting['id']}\ndata: {json.dumps(sighting, separators=(',', ':'))}\n\n".encode()
