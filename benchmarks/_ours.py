"""This library at work, and two plain loops beside it: one job in a process of its own.

The job is told as JSON in the first argument and answered as JSON on the last line; ``_peers.py`` and ``_peers.cjs`` do the same
jobs with other libraries. CPU is user + system time of the whole process between the first counted call and the last
acknowledgement; imports, connecting and a warm-up of 50 events are excluded, building the events is included.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import logging
import os
import random
import sys
import time
from typing import TYPE_CHECKING, Any

from _events import make
from _process import Connects, Lateness, resident

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SLICE = 100
"""Events handed over before the loop gets its turn, as between one handler and the next."""
WARM_UP = 50
NOBODY = "http://127.0.0.1:9"
"""Where nobody listens."""
AMPLE_BYTES = 512 * 2**20
"""Where a job is about something else than the bound: room for all of its events."""


def opened(job: dict[str, Any], **options: Any) -> Any:
    """Return a client for a job's server."""
    from amplitude_async import AsyncAmplitude

    return AsyncAmplitude("0123456789abcdef", base_url=job["url"], **options)


class Clock:
    """CPU and wall time since a moment."""

    def __init__(self) -> None:
        self._cpu, self._began = time.process_time(), time.perf_counter()

    def read(self) -> dict[str, float]:
        """Return both, in seconds."""
        return {"cpu": time.process_time() - self._cpu, "wall": time.perf_counter() - self._began}


async def awaited(job: dict[str, Any]) -> dict[str, Any]:
    """Await one ``track`` after another, with several callers at once."""
    options: dict[str, Any] = {}
    if "a request per call" in job["variant"]:
        options["share_requests"] = False
    if "aiohttp" in job["variant"]:
        options["transport"] = "aiohttp"
    waits: list[float] = []
    async with opened(job, **options) as amplitude:

        async def caller(serials: Any, chance: random.Random) -> None:
            for serial in serials:
                event = make(serial)
                called = time.perf_counter()
                await amplitude.track(event)
                waits.append(time.perf_counter() - called)
                if job["think"]:
                    await asyncio.sleep(chance.uniform(0.0, job["think"]))

        async def callers(first: int, count: int) -> None:
            # They share one iterator, so that none of them is left to finish alone.
            serials = iter(range(first, first + count))
            async with asyncio.TaskGroup() as group:
                for number in range(job["callers"]):
                    group.create_task(caller(serials, random.Random(number)))

        await callers(job["calls"], WARM_UP)
        waits.clear()
        clock = Clock()
        await callers(0, job["calls"])
        measured = clock.read()
    return {**measured, "waits": waits, "events": job["calls"]}


async def queued(job: dict[str, Any]) -> dict[str, Any]:
    """Hand over many events with ``put_nowait``, wait until all are delivered."""
    count, waits = job["events"], []
    async with opened(job) as amplitude, amplitude.outbox(max_bytes=AMPLE_BYTES) as outbox:
        for serial in range(count, count + WARM_UP):
            outbox.put_nowait(make(serial))
        if not await outbox.flush(timeout=30):
            raise RuntimeError("the warm-up was not delivered")
        before = resident()
        clock = Clock()
        for serial in range(count):
            event = make(serial)
            called = time.perf_counter()
            outbox.put_nowait(event)
            waits.append(time.perf_counter() - called)
            if serial % SLICE == 0:
                await asyncio.sleep(0)
        if not await outbox.flush(timeout=240):
            raise RuntimeError("not all was delivered")
        measured = clock.read()
        grown = resident() - before
    return {**measured, "waits": waits, "grown": grown, "events": count}


async def loop(job: dict[str, Any]) -> dict[str, Any]:
    """Do it by hand: encode 1,000 events, post them, and so on: no queue, no ids, no retries."""
    import httpx
    import msgspec

    def encode(upload: dict[str, Any]) -> bytes:
        return json.dumps(upload).encode() if "standard" in job["variant"] else msgspec.json.encode(upload)

    async with httpx.AsyncClient(timeout=30) as http:

        async def post(serials: range) -> None:
            body = encode({"api_key": "0123456789abcdef", "events": [make(serial) for serial in serials]})
            answer = await http.post(f"{job['url']}/2/httpapi", content=body, headers={"Content-Type": "application/json"})
            answer.raise_for_status()
            answer.json()

        count = job["events"]
        await post(range(count, count + WARM_UP))
        clock = Clock()
        for first in range(0, count, 1000):
            await post(range(first, min(first + 1000, count)))
        return {**clock.read(), "events": count}


async def waiting(job: dict[str, Any]) -> dict[str, Any]:
    """Hand over events that have to wait, receipts kept, and return what they cost in memory."""
    count = job["events"]
    async with opened(job) as amplitude, amplitude.outbox(max_bytes=AMPLE_BYTES) as outbox:
        kept: list[Any] = [outbox.put_nowait(make(serial)) for serial in range(count, count + WARM_UP)]
        await asyncio.sleep(0.2)
        gc.collect()
        before = resident()
        for serial in range(count):
            kept.append(outbox.put_nowait(make(serial)))
            if serial % SLICE == 0:
                await asyncio.sleep(0)
        gc.collect()
        grown = resident() - before
        await outbox.aclose(timeout=0.1)
    return {"grown": grown, "json": sum(len(json.dumps(make(n), separators=(",", ":"))) for n in range(count))}


async def drain(job: dict[str, Any]) -> dict[str, Any]:
    """Queue many events, and see how long sending them holds up the loop."""
    count = job["events"]
    async with opened(job) as amplitude, amplitude.outbox(max_bytes=AMPLE_BYTES) as outbox:
        outbox.put_nowait(make(count))
        await outbox.flush(timeout=30)
        for serial in range(count):
            # Without a turn of the loop in between, so that nothing is sent before all are waiting.
            outbox.put_nowait(make(serial))
        clock = Clock()
        async with Lateness() as lateness:
            if not await outbox.flush(timeout=240):
                raise RuntimeError("not all was delivered")
        measured = clock.read()
    return {**measured, "longest": lateness.longest, "events": count}


async def flood(job: dict[str, Any]) -> dict[str, Any]:
    """Hand over far more than fits while the server is dead: what is taken, what is refused, what it costs."""
    from amplitude_async import OutboxFull

    count, accepted, refused = job["events"], 1, 0
    async with opened(job) as amplitude, amplitude.outbox() as outbox:
        outbox.put_nowait(make(count))
        # The first try to send loads the HTTP library, once in a process.
        await outbox.flush(timeout=0.5)
        before = resident()
        async with Lateness() as lateness:
            for serial in range(count):
                try:
                    outbox.put_nowait(make(serial))
                    accepted += 1
                except OutboxFull:
                    refused += 1
                if serial % SLICE == 0:
                    await asyncio.sleep(0)
        grown = resident() - before
        report = await outbox.aclose(timeout=0.5)
    told = {"told_dropped": report.dropped, "told_delivered": report.delivered}
    return {"accepted": accepted, "refused": refused, "grown": grown, "longest": lateness.longest, **told}


async def durable(job: dict[str, Any]) -> dict[str, Any]:
    """Await ``put`` into a file from many producers at once, and deliver meanwhile, or find no server."""
    given = job if job["delivers"] else {**job, "url": NOBODY}
    async with opened(given) as amplitude, amplitude.outbox(job["path"]) as outbox:
        await outbox.put(make(job["events"]))
        # The first try to send loads the HTTP library, once in a process.
        await outbox.flush(timeout=30 if job["delivers"] else 0.5)
        measured = await _producers(job, lambda serial: outbox.put(make(serial)))
        await outbox.aclose(timeout=30 if job["delivers"] else 0.1)
    return measured


async def _producers(job: dict[str, Any], put: Callable[[int], Awaitable[Any]]) -> dict[str, Any]:
    serials, waits = iter(range(job["events"])), []

    async def produce() -> None:
        for serial in serials:
            called = time.perf_counter()
            await put(serial)
            waits.append(time.perf_counter() - called)

    clock = Clock()
    async with asyncio.TaskGroup() as group:
        for _ in range(job["producers"]):
            group.create_task(produce())
    return {**clock.read(), "waits": waits, "events": job["events"]}


async def steady(job: dict[str, Any]) -> dict[str, Any]:
    """Hand over events at an even pace, give the library time, close it; say what was accepted and what the library said of it."""
    connects, count = Connects(job["url"]), int(job["rate"] * job["seconds"])
    async with opened(job) as amplitude:
        taker: _Calls | _Outbox = _Calls(amplitude) if "track" in job["variant"] else _Outbox(amplitude.outbox(job.get("path")))
        await taker.open()
        resident_before = resident()
        print("ready", flush=True)
        began, serial = time.monotonic(), 0
        while serial < count:
            due = min(count, int((time.monotonic() - began) * job["rate"]) + 1)
            for one in range(serial, due):
                taker.take(one)
            serial = due
            await asyncio.sleep(0.01)
        grown = resident() - resident_before
        await taker.settle(job["settle"])
        closing = time.monotonic()
        told = await taker.close(job["close"])
        closing = time.monotonic() - closing
    said = {"refused": taker.refused, "reported": sorted(taker.reported), "told": told}
    return {"count": count, **said, "connects": connects.times, "grown": grown, "closing": closing}


class _Calls:
    """Awaited ``track`` calls, each in a task of its own, as in so many handlers."""

    def __init__(self, amplitude: Any) -> None:
        self._amplitude = amplitude
        self._tasks: set[asyncio.Task[None]] = set()
        self.refused: list[int] = []
        self.reported: list[int] = []

    async def open(self) -> None:
        """Nothing needs to be opened."""

    def take(self, serial: int) -> None:
        """Start a call."""
        task = asyncio.create_task(self._track(serial))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _track(self, serial: int) -> None:
        from amplitude_async import AmplitudeError

        try:
            await self._amplitude.track(make(serial))
        except AmplitudeError:
            self.reported.append(serial)

    async def settle(self, seconds: float) -> None:
        """Wait for the calls."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def close(self, seconds: float) -> dict[str, int]:
        """Close the client; what is still being awaited then has to end by itself."""
        await self._amplitude.aclose(timeout=seconds)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        return {}


class _Outbox:
    """An outbox and the receipts of what it took."""

    def __init__(self, outbox: Any) -> None:
        self._outbox = outbox
        self._receipts: dict[int, Any] = {}
        self.refused: list[int] = []
        self.reported: list[int] = []

    async def open(self) -> None:
        """Enter it."""
        await self._outbox.__aenter__()

    def take(self, serial: int) -> None:
        """Hand over an event."""
        from amplitude_async import OutboxFull

        try:
            self._receipts[serial] = self._outbox.put_nowait(make(serial))
        except OutboxFull:
            self.refused.append(serial)

    async def settle(self, seconds: float) -> None:
        """Flush."""
        if seconds:
            await self._outbox.flush(timeout=seconds)

    async def close(self, seconds: float) -> dict[str, int]:
        """Close it, then read the receipts; those of events that stay in the file say nothing yet."""
        report = await self._outbox.aclose(timeout=seconds)

        async def read(serial: int, receipt: Any) -> None:
            if (await receipt).status != "delivered":
                self.reported.append(serial)

        if not report.kept:
            readers = [asyncio.create_task(read(serial, receipt)) for serial, receipt in self._receipts.items()]
            if readers:
                _, unread = await asyncio.wait(readers, timeout=5)
                if unread:
                    raise RuntimeError(f"{len(unread)} receipts say nothing after closing")
        return {name: getattr(report, name) for name in ("delivered", "rejected", "set_aside", "dropped", "kept")}


async def resume(job: dict[str, Any]) -> dict[str, Any]:
    """Open a file that an earlier process left, deliver what is in it, close it."""
    async with opened(job) as amplitude, amplitude.outbox(job["path"]) as outbox:
        is_flushed = await outbox.flush(timeout=job["settle"])
        report = await outbox.aclose(timeout=job["close"])
    told = {name: getattr(report, name) for name in ("delivered", "rejected", "set_aside", "dropped", "kept")}
    return {"is_flushed": is_flushed, "told": told}


async def kill(job: dict[str, Any]) -> dict[str, Any]:
    """Put events into a file from several producers, and say each number once it is acknowledged, until killed."""
    following = itertools.count(job["first"])
    async with opened(job) as amplitude, amplitude.outbox(job["path"]) as outbox:

        async def produce(producer: int) -> None:
            while True:
                serial = next(following)
                await outbox.put({**make(serial), "device_id": f"producer-{producer}"})
                os.write(1, b"%d\n" % serial)

        async with asyncio.TaskGroup() as group:
            for producer in range(job["producers"]):
                group.create_task(produce(producer))
    return {}


JOBS = {
    "awaited": awaited,
    "queued": queued,
    "loop": loop,
    "waiting": waiting,
    "drain": drain,
    "flood": flood,
    "durable": durable,
    "steady": steady,
    "resume": resume,
    "kill": kill,
}

if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    given = json.loads(sys.argv[1])
    print(json.dumps(asyncio.run(JOBS[given["job"]](given))), flush=True)
