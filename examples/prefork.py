"""A server that forks its workers: each opens an outbox of its own, after the fork, in a folder that all of them share.

A worker that starts anew takes over what a killed one left behind. Needs AMPLITUDE_API_KEY and OUTBOX_FOLDER in the environment;
the argument is the number of workers.
"""

from __future__ import annotations

import asyncio
import os
import sys

from amplitude_async import AsyncAmplitude

EVENTS = 20


async def work(worker: int) -> None:
    """Be one worker: client and outbox are made here, in the child, on its own event loop."""
    async with AsyncAmplitude() as amplitude, amplitude.outbox(folder=os.environ["OUTBOX_FOLDER"]) as outbox:
        for number in range(EVENTS):
            await outbox.put({"event_type": "request_served", "user_id": f"worker-{worker}", "event_properties": {"n": number}})
        report = await outbox.aclose()
    print(f"worker {worker}: {report.delivered} delivered, {report.kept} kept", flush=True)


def main(workers: int) -> int:
    """Fork the workers and wait for them."""
    children = []
    for worker in range(workers):
        child = os.fork()
        if child == 0:
            asyncio.run(work(worker))
            os._exit(0)
        children.append(child)
    return max(os.waitpid(child, 0)[1] for child in children)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2))
