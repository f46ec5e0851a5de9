"""Asks a running shop for many orders at once, with tracking and without, and shows how long a handler takes.

python load.py http://127.0.0.1:8000 --callers 200 --seconds 5
"""

from __future__ import annotations

import argparse
import sys
import time
from statistics import quantiles

import anyio
import httpx


async def ask(url: str, path: str, callers: int, seconds: float) -> list[float]:
    """Return how long each request took, in seconds."""
    took: list[float] = []
    end = time.perf_counter() + seconds
    order = {"product": "lamp", "price": 59.0}

    async def caller(number: int, client: httpx.AsyncClient) -> None:
        count = 0
        while time.perf_counter() < end:
            began = time.perf_counter()
            answer = await client.post(f"/{path}/{number}-{count}", json=order, headers={"X-User": f"user-{number:05}"})
            answer.raise_for_status()
            took.append(time.perf_counter() - began)
            count += 1

    limits = httpx.Limits(max_connections=callers, max_keepalive_connections=callers)
    async with (
        httpx.AsyncClient(base_url=url, limits=limits, timeout=60, trust_env=False) as client,
        anyio.create_task_group() as group,
    ):
        for number in range(callers):
            group.start_soon(caller, number, client)
    return took


def main() -> int:
    """Measure, and print a line for each kind of handler."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--callers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=5.0)
    chosen = parser.parse_args()
    anyio.run(ask, chosen.url, "untracked", 10, 0.5)  # so that neither pays for being the first
    for path, name in (("untracked", "without tracking"), ("orders", "with tracking")):
        took = anyio.run(ask, chosen.url, path, chosen.callers, chosen.seconds)
        cuts = quantiles(took, n=100)
        print(f"{name:17} {len(took):6,} requests  p50 {cuts[49] * 1000:7.1f} ms  p99 {cuts[98] * 1000:7.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
