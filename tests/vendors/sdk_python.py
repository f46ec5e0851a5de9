"""Runs the vendor's Python SDK, as its documentation says, in a process of its own; prints what its callback heard as JSON."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from amplitude import Amplitude, BaseEvent, Config, EventOptions, Identify, Revenue

url, count, min_id_length = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
heard: list[tuple[str, int, str]] = []


def called_back(event: Any, code: int, message: str | None = None) -> None:
    heard.append((event.insert_id, code, message or ""))


client = Amplitude(
    "sandbox",
    Config(callback=called_back, server_url=url, flush_queue_size=40, flush_interval_millis=200, min_id_length=min_id_length),
)
for number in range(count):
    client.track(
        BaseEvent(
            event_type=f"python {number % 3}", user_id=f"user-{number % 7:05}", event_properties={"serial": number, "ratio": 0.5}
        )
    )
identify = Identify()
identify.set("plan", "pro").add("visits", 2).append("tags", "x")
client.identify(identify, EventOptions(user_id="user-00001"))
revenue = Revenue(price=3.5, quantity=2, product_id="sku-1")
client.revenue(revenue, EventOptions(user_id="user-00002"))
# Its flush and its shutdown lose what waits for another try, so it gets the time to try by itself.
deadline = time.monotonic() + 40
while len(heard) < count + 2 and time.monotonic() < deadline:
    time.sleep(0.02)
client.shutdown()
sys.stdout.write(json.dumps(heard) + "\n")
