"""How much the sandbox takes, and what an export of it costs: it is the server of other measurements too.

Method: ``python -m amplitude_async.sandbox`` runs in a process of its own over a SQLite file. This process sends uploads of 1,000
events, made beforehand, over one kept connection, then downloads an export of all of them, throwing the bytes away. CPU time is the
server process's, from the kernel's books; memory is its resident set, looked at every 20 ms. Starting is measured from the constructor
to the first answer, in this process, after imports; a fixture's cost is a reset of a running sandbox and a client that tracks one
event. Medians of five where a thing is repeated. How badly it can be treated is the wall time of the slowest of 20 uploads, while 200
connections hold half a request each, one sends its request byte by byte and others have just sent headers of 10 MB. ``--full`` sends
1,000,000 events.

    python benchmarks/sandbox.py [--full]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median
from typing import Self

import httpx

from amplitude_async import AsyncAmplitude
from amplitude_async.sandbox import Sandbox
from amplitude_async.sandbox.worlds import seeded

MIB = 1 << 20
TICK = os.sysconf("SC_CLK_TCK")
EVENTS_ASKED, START_ASKED, FIXTURE_ASKED, MEMORY_ASKED, NEXT_ASKED = 10_000, 0.5, 0.020, 16.0, 0.100
HALVES = (b"", b"GET / HT", b"POST /2/httpapi HTTP/1.1\r\nHost: x\r\nContent-Le", b"GET / HTTP/1.1\r\nX: y\r\n")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text("utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


class Peak:
    """The largest resident set of a process while a block lasts."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.most = self.first = resident_mib(pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._stop.wait(0.02):
            self.most = max(self.most, resident_mib(self.pid))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def bodies(count: int) -> list[bytes]:
    events = seeded(users=2000, days=10, seed=7, now=time.time())
    made = []
    for place in range(0, count, 1000):
        part = [{**events[n % len(events)], "insert_id": f"i-{n}"} for n in range(place, place + 1000)]
        made.append(json.dumps({"api_key": "sandbox", "events": part}, separators=(",", ":")).encode())
    return made


def serve(folder: str) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "amplitude_async.sandbox", "--port", "0", "--store", f"{folder}/sandbox.db"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert process.stdout is not None
    for line in process.stdout:
        found = re.search(r"listening on\s+(\S+)", line)
        if found:
            return process, found[1]
    message = "the sandbox did not start"
    raise RuntimeError(message)


def large(count: int) -> list[bool]:
    sent = bodies(count)
    with tempfile.TemporaryDirectory() as folder:
        process, url = serve(folder)
        try:
            with httpx.Client(base_url=url, auth=("sandbox", "sandbox"), trust_env=False, timeout=600) as client:
                cpu, began = cpu_seconds(process.pid), time.perf_counter()
                for body in sent:
                    client.post("/2/httpapi", content=body, headers={"content-type": "application/json"}).raise_for_status()
                cpu, wall = cpu_seconds(process.pid) - cpu, time.perf_counter() - began
                rate = count / cpu
                print(f"ingested {count:,} events: {rate:,.0f} a second of CPU, {count / wall:,.0f} a second of wall time")
                hour = time.strftime("%Y%m%dT%H", time.gmtime(time.time() + 3600))
                size = 0
                with Peak(process.pid) as peak:
                    cpu, began = cpu_seconds(process.pid), time.perf_counter()
                    with client.stream("GET", "/api/2/export", params={"start": "20260101T00", "end": hour}) as answer:
                        answer.raise_for_status()
                        for piece in answer.iter_raw():
                            size += len(piece)
                    cpu, wall = cpu_seconds(process.pid) - cpu, time.perf_counter() - began
                growth = peak.most - peak.first
                spent = f"{wall:.1f} s, {cpu:.1f} s of CPU, memory grew by {growth:.1f} MiB"
                print(f"exported {count:,} rows, {size / MIB:,.1f} MiB: {spent}")
        finally:
            process.terminate()
            process.wait(20)
    return [
        told("ingests 10,000 events a second on one core", rate >= EVENTS_ASKED),
        told("exports in constant memory", growth <= MEMORY_ASKED),
    ]


def starting() -> float:
    began = time.perf_counter()
    with Sandbox() as box:
        httpx.get(f"{box.url}/sandbox/status", trust_env=False)
        return time.perf_counter() - began


async def fixture(box: Sandbox) -> float:
    began = time.perf_counter()
    box.reset()
    async with AsyncAmplitude(**box.credentials) as amplitude:
        await amplitude.track({"event_type": "a", "user_id": "user-1"})
    return time.perf_counter() - began


def besieged(box: Sandbox) -> float:
    """Return how long the slowest of 20 proper uploads takes among 200 connections and more that mean no good."""
    host, port = box.url.removeprefix("http://").split(":")
    waited = []
    with ExitStack() as held, httpx.Client(base_url=box.url, trust_env=False, timeout=30) as client:

        def connected() -> socket.socket:
            return held.enter_context(socket.create_connection((host, int(port)), timeout=5))

        for number in range(200):
            connected().sendall(HALVES[number % len(HALVES)])
        slow = connected()
        for byte in b"GET /sandbox/status HT":
            if byte in b"GTH":
                with suppress(OSError):  # it hangs up before the end
                    connected().sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * (10 * MIB) + b"\r\n\r\n")
            slow.sendall(bytes([byte]))
            began = time.perf_counter()
            body = {"api_key": "sandbox", "events": [{"event_type": "a", "user_id": "user-1"}]}
            client.post("/2/httpapi", json=body).raise_for_status()
            waited.append(time.perf_counter() - began)
    return max(waited[1:])  # the first one connects


def small() -> list[bool]:
    start = median(starting() for _ in range(5))
    with Sandbox() as box:
        cost = median(asyncio.run(fixture(box)) for _ in range(25))
        slowest = median(besieged(box) for _ in range(5))
    print(f"starts in {start * 1000:.0f} ms after imports; a test on it costs {cost * 1000:.1f} ms")
    print(f"besieged, it answers the next proper request within {slowest * 1000:.0f} ms")
    return [
        told("starts within half a second", start <= START_ASKED),
        told("a fixture costs under 20 ms", cost <= FIXTURE_ASKED),
        told("answers the next proper request within 100 ms", slowest <= NEXT_ASKED),
    ]


def told(promise: str, holds: bool) -> bool:  # noqa: FBT001 - what was found
    print(f"  {'holds' if holds else 'MISSED'}: {promise}")
    return holds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="1,000,000 events instead of 100,000")
    chosen = parser.parse_args()
    found = [*small(), *large(1_000_000 if chosen.full else 100_000)]
    return 0 if all(found) else 1


if __name__ == "__main__":
    sys.exit(main())
