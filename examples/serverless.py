"""A serverless function: the platform freezes the process as soon as the handler returns, so it flushes first.

The client, the outbox and their event loop live as long as the process, so that warm calls find connections open. In memory, since
such a process has no disk that outlives it; whoever needs more than that awaits ``track`` instead of ``put_nowait``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from amplitude_async import AsyncAmplitude

FLUSH_SECONDS = 2.0

loop = asyncio.new_event_loop()
amplitude = AsyncAmplitude()
outbox = amplitude.outbox(linger=0)


async def handle(event: dict[str, Any]) -> dict[str, Any]:
    """Do the work, and let no event be left behind when the process is frozen."""
    outbox.put_nowait({"event_type": "function_called", "user_id": event["user_id"]})
    answer = {"hello": event["user_id"]}
    is_done = await outbox.flush(timeout=FLUSH_SECONDS)
    return {**answer, "tracked": is_done}


def handler(event: dict[str, Any], _context: object = None) -> dict[str, Any]:
    """Answer one call of the platform."""
    return loop.run_until_complete(handle(event))


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(handler(json.loads(line))))
    loop.run_until_complete(amplitude.aclose())
    loop.close()
