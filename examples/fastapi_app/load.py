"""Asks a running shop for many orders at once, with tracking and without, and shows how long a handler takes.

python load.py http://127.0.0.1:8000 --callers 200 --seconds 5

Both kinds take turns, so that they meet the same noise. Each caller has a connection of its own: in one pool of 200, the HTTP library
would look through all of them at every request, and that would be all that one sees.
"""

from __future__ import annotations

import argparse
import ssl
import sys
import time
from contextlib import AsyncExitStack
from statistics import quantiles

import anyio
import httpx

TURNS = 5
KINDS = {"without tracking": "untracked", "with tracking": "orders"}


async def ask(client: httpx.AsyncClient, path: str, end: float, took: list[float]) -> None:
    """Order until the time is over, and note how long each request took, in seconds."""
    while (began := time.perf_counter()) < end:
        answer = await client.post(f"/{path}/{began:.9f}", json={"product": "lamp", "price": 59.0}, headers={"X-User": "user-12345"})
        answer.raise_for_status()
        took.append(time.perf_counter() - began)


async def measure(url: str, callers: int, seconds: float) -> dict[str, list[float]]:
    """Return how long the requests of each kind took."""
    took: dict[str, list[float]] = {name: [] for name in KINDS}
    context = ssl.create_default_context()
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=url, verify=context, timeout=60, trust_env=False))
            for _ in range(callers)
        ]
        # The first turn is to warm up.
        for turn in range(TURNS + 1):
            for name, path in KINDS.items():
                end = time.perf_counter() + seconds / TURNS
                async with anyio.create_task_group() as group:
                    for client in clients:
                        group.start_soon(ask, client, path, end, took[name] if turn else [])
    return took


def main() -> int:
    """Measure, and print a line for each kind of handler."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--callers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=5.0)
    chosen = parser.parse_args()
    for name, took in anyio.run(measure, chosen.url, chosen.callers, chosen.seconds).items():
        cuts = quantiles(took, n=100)
        print(f"{name:17} {len(took):6,} requests  p50 {cuts[49] * 1000:7.1f} ms  p99 {cuts[98] * 1000:7.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
