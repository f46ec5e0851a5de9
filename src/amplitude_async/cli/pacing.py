"""How fast events of one user or device may go, told by a clock that is an argument. Pure.

Amplitude throttles a device or user that sends more than 1,000 events/s to the Batch API, averaged over 30 s
(https://amplitude.com/docs/apis/analytics/batch-event-upload), or 30 events/s to the HTTP API
(https://amplitude.com/docs/apis/analytics/http-v2).
"""

from __future__ import annotations

from typing import Final

__all__ = ["Pace"]

WINDOW: Final = 30.0
"""Seconds that the average is taken over: so much may come at once after a pause."""
MOST_IDS: Final = 100_000
"""Ids that are remembered before those that are not in a hurry are forgotten."""


class Pace:
    """Says how long the next event of an id has to wait.

    Args:
        rate: Events per second of one id.
    """

    def __init__(self, rate: float) -> None:
        self._step = 1.0 / rate
        self._due: dict[str, float] = {}

    def wait(self, identity: str, now: float) -> float:
        """Count an event of an id and return the seconds until it may go; 0 if that is now."""
        due = max(self._due.get(identity, now), now) + self._step
        self._due[identity] = due
        if len(self._due) > MOST_IDS:
            self._due = {name: moment for name, moment in self._due.items() if moment > now}
        return max(0.0, due - self._step - now - WINDOW)
