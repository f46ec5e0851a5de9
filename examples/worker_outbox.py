"""A worker that reads jobs from standard input and tracks each without waiting; it ends when everything is delivered, or kept.

Needs AMPLITUDE_API_KEY and OUTBOX_FILE in the environment. A job is a line of JSON: ``{"user_id": ..., "task": ...}``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING

from amplitude_async import AsyncAmplitude

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amplitude_async import Receipt, Setback


def tell(receipts: Sequence[Receipt]) -> None:
    """Say what was not delivered."""
    for receipt in receipts:
        if receipt.outcome is not None and receipt.outcome.status != "delivered":
            print(f"{receipt.insert_id}: {receipt.outcome.status}, {receipt.outcome.reason}", file=sys.stderr)


def warn(setback: Setback) -> None:
    """Say that delivery is held up."""
    print(f"held up ({setback.kind}): {setback.error}; {setback.pending} wait", file=sys.stderr)


async def main() -> None:
    """Do all jobs, then close."""
    lines = (await asyncio.to_thread(sys.stdin.read)).splitlines()
    file = os.environ["OUTBOX_FILE"]
    async with AsyncAmplitude() as amplitude, amplitude.outbox(file, on_delivery=tell, on_setback=warn) as outbox:
        for job in map(json.loads, lines):
            await outbox.put({"event_type": "job_done", "user_id": job["user_id"], "event_properties": {"task": job["task"]}})
        report = await outbox.aclose(timeout=10)
    print(f"{report.delivered} delivered, {report.kept} kept")


if __name__ == "__main__":
    asyncio.run(main())
