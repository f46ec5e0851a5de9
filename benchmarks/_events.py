"""The event that every measuring program sends: about 400 bytes of JSON, known by a serial number of its own.

It is built the same way for every variant (``_peers.cjs`` builds it for node), so that building costs each of them the same. The
serial number says at the sink which event arrived, whatever ids a library gives it.
"""

from __future__ import annotations

from typing import Any

IDENTITIES = 5000
"""Users that the events are spread over, in turn; each has one device."""


def make(serial: int, identities: int = IDENTITIES) -> dict[str, Any]:
    """Return the event of this number, a new object each time."""
    who = serial % identities
    return {
        "event_type": "page_viewed",
        "user_id": f"user-{who:06}",
        "device_id": f"device-{who:06}-7d2f",
        "platform": "Web",
        "os_name": "Linux",
        "language": "English",
        "country": "Germany",
        "event_properties": {
            "serial": serial,
            "page": "/shop/shoes/leather/4711",
            "referrer": "https://www.example.org/search",
            "position": 3,
            "price": 19.99,
            "tags": ["sale", "new"],
            "first": True,
        },
        "user_properties": {"plan": "pro", "seats": 12, "since": "2026-05-01"},
    }
