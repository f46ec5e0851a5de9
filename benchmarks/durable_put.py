"""How many events a second 64 producers get acknowledged by a durable outbox's store, and how long each waits.

Method: 64 tasks on one event loop, each of which hands in one event of about 400 bytes of JSON, waits until it is on disk, and
goes on with the next. The variants take turns, in processes and on files of their own, so that all meet the same noise: the
store as it is (one thread, everything that arrived during a commit goes into the next); a commit per put through ``aiosqlite``,
as an asyncio application would write it, which is what the target speaks of; and, to see where the difference comes from, the
same store with one event a commit and a plain ``sqlite3`` connection on a thread with a commit per put and a single thread hop.
With ``aiosqlite`` the producers share a connection, and a lock keeps each insert with its own commit: without one the first
commit takes along what the others inserted, which is group commit by accident and leaves nobody a transaction of his own. All
sync the disk at each commit (``synchronous=FULL``). Ratios are taken repetition by repetition; figures are medians with the least
and the most. CPU is user + system time of the whole process. Waiting times are taken in the producers: from handing in to going
on.

    python benchmarks/durable_put.py [--quick] [--folder DIR] [--cache FOLDER] [--without-peers]

``--cache`` keeps the environment that has ``aiosqlite``, which the other programs' peers share; without it the environment is made
anew, and removed in the end. ``--folder`` says which disk is measured; the default is a temporary folder beside this file. A file
system in memory has no sync to share: figures from there say nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _runs import peers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HERE = Path(__file__).parent
PRODUCERS = 64
BODY = json.dumps(
    {
        "event_type": "page_viewed",
        "user_id": "user-12345",
        "device_id": "0f0e0d0c-0b0a-4908-8706-050403020100",
        "insert_id": "00000000-0000-4000-8000-000000000000",
        "time": 1_767_225_600_000,
        "event_properties": {
            "path": "/articles/2026/05/a-rather-long-title-of-an-article",
            "referrer": "https://example.org/start",
            "n": 17,
        },
        "user_properties": {"plan": "pro", "cohort": "2026-01", "language": "en"},
    },
    separators=(",", ":"),
).encode()

VARIANTS = {
    "store": "64 producers, group commit",
    "aiosqlite": "aiosqlite, a commit per put",
    "alone": "the same store, one event a commit",
    "plain": "plain sqlite3 on a thread, a commit per put",
}
TABLE = "CREATE TABLE events (id INTEGER PRIMARY KEY, insert_id TEXT, accepted_ms INTEGER, body BLOB)"
INSERT = "INSERT INTO events (insert_id, accepted_ms, body) VALUES (?, ?, ?)"
VALUES = ("00000000-0000-4000-8000-000000000000", 1_767_225_600_000, BODY)
TARGET_RATE = 15_000
TARGET_P99_MS = 30
TARGET_RATIO = 20


async def produce(put: Callable[[int], Awaitable[object]], producers: int, seconds: float) -> dict[str, float]:
    """Let producers put for so long; return the figures."""
    waits: list[float] = []
    until = time.perf_counter() + seconds

    async def producer(number: int) -> None:
        while True:
            start = time.perf_counter()
            if start >= until:
                return
            await put(number)
            waits.append(time.perf_counter() - start)

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(producer(number) for number in range(producers)))
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    waits.sort()
    return {
        "rate": len(waits) / wall,
        "p50": waits[len(waits) // 2] * 1e3,
        "p99": waits[int(len(waits) * 0.99)] * 1e3,
        "cpu": cpu / len(waits) * 1e6,
    }


async def through_store(path: Path, seconds: float, *, alone: bool) -> dict[str, float]:
    from amplitude_async._protocol.masking import fingerprint
    from amplitude_async.delivery.sqlite import Row, SQLiteStore

    store = await SQLiteStore.open(path, project=fingerprint("0123456789abcdef0123456789abcdef"))
    turn = asyncio.Lock()

    async def put(number: int) -> None:
        row = Row(0, f"user-{number}", "event", "00000000-0000-4000-8000-000000000000", 1_767_225_600_000, None, BODY)
        if alone:
            async with turn:
                await store.append((row,))
        else:
            await store.append((row,))

    try:
        await produce(put, PRODUCERS, 0.2)
        return await produce(put, PRODUCERS, seconds)
    finally:
        await store.aclose()


async def through_aiosqlite(path: Path, seconds: float) -> dict[str, float]:
    # It is in the peers' environment, not in this one.
    import aiosqlite

    async with aiosqlite.connect(path) as connection:
        await connection.execute("PRAGMA journal_mode = WAL")
        await connection.execute("PRAGMA synchronous = FULL")
        await connection.execute(TABLE)
        turn = asyncio.Lock()

        async def put(_number: int) -> None:
            async with turn:
                await connection.execute(INSERT, VALUES)
                await connection.commit()

        await produce(put, PRODUCERS, 0.2)
        return await produce(put, PRODUCERS, seconds)


async def plainly(path: Path, seconds: float) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as thread:

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(TABLE)
            return connection

        connection = await loop.run_in_executor(thread, connect)

        def insert() -> None:
            with connection:
                connection.execute(INSERT, VALUES)

        await produce(lambda _: loop.run_in_executor(thread, insert), PRODUCERS, 0.2)
        figures = await produce(lambda _: loop.run_in_executor(thread, insert), PRODUCERS, seconds)
        await loop.run_in_executor(thread, connection.close)
        return figures


def measure(python: str, variant: str, folder: Path, seconds: float) -> dict[str, float]:
    """Run one variant in a process of its own, under an interpreter that has what it needs."""
    environment = {name: value for name, value in os.environ.items() if python == sys.executable or name != "PYTHONPATH"}
    place = Path(tempfile.mkdtemp(dir=folder))
    try:
        command = [python, __file__, "--variant", variant, "--folder", str(place), "--seconds", str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds * 10 + 60, env=environment)
        figures: dict[str, float] = json.loads(done.stdout)
        return figures
    finally:
        shutil.rmtree(place)


def shown(values: list[float], digits: int = 0) -> str:
    return f"{statistics.median(values):,.{digits}f} [{min(values):,.{digits}f}..{max(values):,.{digits}f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two short repetitions")
    parser.add_argument("--folder", type=Path, default=HERE)
    parser.add_argument("--cache", metavar="FOLDER", help="where the peers are installed and kept")
    parser.add_argument("--without-peers", action="store_true", help="measure without aiosqlite")
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    seconds = options.seconds or (0.7 if options.quick else 3.0)
    if options.variant:
        path = options.folder / "events.db"
        variants: dict[str, Callable[[], Any]] = {
            "store": lambda: through_store(path, seconds, alone=False),
            "aiosqlite": lambda: through_aiosqlite(path, seconds),
            "alone": lambda: through_store(path, seconds, alone=True),
            "plain": lambda: plainly(path, seconds),
        }
        print(json.dumps(asyncio.run(variants[options.variant]())))
        return

    with peers(options.cache, wanted=not options.without_peers, node=False) as others:
        pythons = {variant: str(others.python or "") if variant == "aiosqlite" else sys.executable for variant in VARIANTS}
        runs: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS if pythons[variant]}
        for _ in range(2 if options.quick else 5):
            for variant, figures in runs.items():
                figures.append(measure(pythons[variant], variant, options.folder, seconds))
    about = f"{len(BODY)} bytes an event, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} CPUs, {seconds} s each"
    print(f"{PRODUCERS} producers, {about}\n")
    print("| variant | acknowledged/s | p50 ms | p99 ms | CPU µs an event |\n| --- | --- | --- | --- | --- |")
    for variant, figures in runs.items():
        columns = [shown([run[name] for run in figures], digits) for name, digits in (("rate", 0), ("p50", 2), ("p99", 2), ("cpu", 0))]
        print(f"| {VARIANTS[variant]} | {' | '.join(columns)} |")
    print()
    rate = statistics.median(run["rate"] for run in runs["store"])
    p99 = statistics.median(run["p99"] for run in runs["store"])
    print(f"{'holds ' if rate >= TARGET_RATE else 'MISSED'}: at least {TARGET_RATE:,} acknowledged/s on a quiet disk: {rate:,.0f}")
    print(f"{'holds ' if p99 <= TARGET_P99_MS else 'MISSED'}: p99 at most {TARGET_P99_MS} ms on a quiet disk: {p99:.1f}")
    for variant in [name for name in runs if name != "store"]:
        ratios = [ours["rate"] / other["rate"] for ours, other in zip(runs["store"], runs[variant], strict=True)]
        if variant != "aiosqlite":
            print(f"no target: times {VARIANTS[variant]}: {shown(ratios, 1)}")
            continue
        verdict = "holds " if statistics.median(ratios) >= TARGET_RATIO else "MISSED"
        print(f"{verdict}: at least {TARGET_RATIO} x {VARIANTS[variant]}: {shown(ratios, 1)}")
    if "aiosqlite" not in runs:
        print(f"not measured: at least {TARGET_RATIO} x {VARIANTS['aiosqlite']}")


if __name__ == "__main__":
    main()
