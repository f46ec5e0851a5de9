"""The Python peers at work: one job in a process of its own, told as JSON in the first argument, answered as JSON on the last line.

Runs in the peers' environment, so it may import nothing but them and the standard library. Jobs and figures are those of ``_ours.py``.
The peers are used as their documentation says; what differs from their defaults stands in ``amplitude`` and ``posthog`` below, and
why.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from _events import make
from _process import Connects, Lateness, resident

if TYPE_CHECKING:
    from collections.abc import Callable


class Client:
    """A peer behind three verbs.

    Attributes:
        track: Hand over the event of this number, timed by the caller.
        build: What the caller makes beforehand: the library's own event object, where it has one.
        flush: Ask for everything to be sent.
        close: The documented end.
    """

    def __init__(self) -> None:
        self.settled: dict[int, bool] = {}
        """Serial number to whether the library said that it was delivered."""
        self.build: Callable[[int], Any] = make
        self.track: Callable[[Any], Any]
        self.flush: Callable[[], Any]
        self.close: Callable[[], Any]
        self.is_settled: Callable[[int], bool] = lambda accepted: len(self.settled) >= accepted


def amplitude(url: str, *, is_tuned: bool) -> Client:
    """Return the vendor's SDK; tuned means batches of 1,000 to the Batch API, and no log record for each event."""
    from amplitude import Amplitude, BaseEvent, Config
    from amplitude.constants import EventLogLevel

    client = Client()

    def called_back(event: Any, code: int, _message: str | None = None) -> None:
        client.settled[event.event_properties["serial"]] = code == 200

    options: dict[str, Any] = {"flush_queue_size": 1000, "use_batch": True, "event_log_level": EventLogLevel.NONE} if is_tuned else {}
    path = "/batch" if is_tuned else "/2/httpapi"
    sdk = Amplitude("0123456789abcdef", Config(callback=called_back, server_url=url + path, **options))
    client.build = lambda serial: BaseEvent(**make(serial))
    client.track, client.flush, client.close = sdk.track, sdk.flush, sdk.shutdown
    return client


def posthog(url: str, *, queue: int | None) -> Client:
    """Return PostHog's thread-based client; its default queue of 10,000 drops what a burst has beyond it."""
    from posthog import Posthog

    client = Client()

    def failed(_error: Exception, batch: list[dict[str, Any]]) -> None:
        for event in batch:
            client.settled[event["properties"]["serial"]] = False

    sdk = Posthog("0123456789abcdef", host=url, on_error=failed, **({"max_queue_size": queue} if queue else {}))

    def track(event: dict[str, Any]) -> bool:
        properties = {**event["event_properties"], **event["user_properties"], "platform": event["platform"], "os": event["os_name"]}
        properties |= {"language": event["language"], "country": event["country"], "device_id": event["device_id"]}
        return sdk.capture(event["event_type"], distinct_id=event["user_id"], properties=properties) is not None

    client.track, client.flush, client.close = track, lambda: sdk.flush(timeout_seconds=None), sdk.shutdown
    # It has no word for what was delivered; its queue says when nothing is left to do.
    client.is_settled = lambda _accepted: not sdk.queue.unfinished_tasks
    return client


def opened(job: dict[str, Any]) -> Client:
    """Return the peer that a job asks for."""
    variant, url = job["variant"], job["url"]
    if variant.startswith("amplitude-analytics"):
        return amplitude(url, is_tuned="tuned" in variant)
    return posthog(url, queue=job.get("queue"))


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for something to become true, but not for ever."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def bounded(call: Callable[[], Any], seconds: float) -> float:
    """Run a blocking call in a thread of its own, return how long it took, or was waited for."""
    began = time.monotonic()
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    return time.monotonic() - began


def queued(job: dict[str, Any]) -> dict[str, Any]:
    """Hand over many events, wait until all are delivered."""
    client, count = opened(job), job["events"]
    for serial in range(count, count + 50):
        client.track(client.build(serial))
    client.flush()
    wait_for(lambda: client.is_settled(50), 60)
    client.settled.clear()
    waits = []
    resident_before = resident()
    cpu, began = time.process_time(), time.perf_counter()
    for serial in range(count):
        event = client.build(serial)
        called = time.perf_counter()
        client.track(event)
        waits.append(time.perf_counter() - called)
    client.flush()
    wait_for(lambda: client.is_settled(count), 240)
    measured = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - began}
    return {**measured, "waits": waits, "grown": resident() - resident_before, "events": count}


def waiting(job: dict[str, Any]) -> dict[str, Any]:
    """Hand over events that have to wait, return what they cost in memory."""
    client, count = opened(job), job["events"]
    for serial in range(count, count + 50):
        client.track(client.build(serial))
    gc.collect()
    before = resident()
    for serial in range(count):
        client.track(client.build(serial))
    gc.collect()
    return {"grown": resident() - before, "json": sum(len(json.dumps(make(n), separators=(",", ":"))) for n in range(count))}


def steady(job: dict[str, Any]) -> dict[str, Any]:
    """Hand over events at an even pace, give the library time, close it; say what was accepted and what the library said of it."""
    connects = Connects(job["url"])
    client, count = opened(job), int(job["rate"] * job["seconds"])
    refused = []
    resident_before = resident()
    print("ready", flush=True)
    began, serial = time.monotonic(), 0
    while serial < count:
        due = min(count, int((time.monotonic() - began) * job["rate"]) + 1)
        for one in range(serial, due):
            if client.track(client.build(one)) is False:
                refused.append(one)
        serial = due
        time.sleep(0.01)
    grown = resident() - resident_before
    accepted = count - len(refused)
    bounded(client.flush, job["settle"])
    wait_for(lambda: client.is_settled(accepted), job["settle"])
    closing = bounded(client.close, job["close"] * 15)
    reported = sorted(one for one, is_delivered in client.settled.items() if not is_delivered)
    times = connects.times
    return {"count": count, "refused": refused, "reported": reported, "connects": times, "grown": grown, "closing": closing}


def kill(job: dict[str, Any]) -> dict[str, Any]:
    """Hand over events and say each number once the library has taken it, until killed."""
    client, lock = opened(job), threading.Lock()
    following = iter(range(job["first"], job["first"] + 1_000_000))

    def produce() -> None:
        while True:
            with lock:
                serial = next(following)
            client.track(client.build(serial))
            os.write(1, b"%d\n" % serial)
            time.sleep(0.002)

    for _ in range(job["producers"]):
        threading.Thread(target=produce, daemon=True).start()
    time.sleep(60)
    return {}


def drain(job: dict[str, Any]) -> dict[str, Any]:
    """Queue many events in PostHog's asyncio client, and see how long it holds up the loop while it sends them."""
    from posthog import AsyncPosthog

    async def main() -> dict[str, Any]:
        sdk = AsyncPosthog("0123456789abcdef", host=job["url"], max_queue_size=job["events"])

        def hand_over(serial: int) -> None:
            event = make(serial)
            sdk.capture(event["event_type"], distinct_id=event["user_id"], properties=event["event_properties"])

        hand_over(job["events"])
        await sdk.flush(timeout_seconds=30)
        for serial in range(job["events"]):
            hand_over(serial)
        cpu, began = time.process_time(), time.perf_counter()
        async with Lateness() as lateness:
            await sdk.flush(timeout_seconds=240)
        measured = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - began}
        await sdk.shutdown()
        return {**measured, "longest": lateness.longest, "events": job["events"]}

    return asyncio.run(main())


def commits(job: dict[str, Any]) -> dict[str, Any]:
    """Put into a file by hand, through ``aiosqlite``: a commit for each event, with the same promise of the disk."""
    import aiosqlite

    async def main() -> dict[str, Any]:
        serials, waits, turn = iter(range(job["events"])), [], asyncio.Lock()
        async with aiosqlite.connect(job["path"]) as database:
            await database.execute("PRAGMA journal_mode=WAL")
            await database.execute("PRAGMA synchronous=FULL")
            await database.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB)")

            async def produce() -> None:
                for serial in serials:
                    called = time.perf_counter()
                    body = json.dumps(make(serial)).encode()
                    # Without it, the first commit would take along what the others inserted.
                    async with turn:
                        await database.execute("INSERT INTO rows (body) VALUES (?)", (body,))
                        await database.commit()
                    waits.append(time.perf_counter() - called)

            cpu, began = time.process_time(), time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for _ in range(job["producers"]):
                    group.create_task(produce())
            measured = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - began}
        return {**measured, "waits": waits, "events": job["events"]}

    return asyncio.run(main())


JOBS = {"commits": commits, "queued": queued, "waiting": waiting, "steady": steady, "kill": kill, "drain": drain}

if __name__ == "__main__":
    # They log every retry; nobody reads it here.
    logging.disable(logging.CRITICAL)
    given = json.loads(sys.argv[1])
    print(json.dumps(JOBS[given["job"]](given)), flush=True)
    # Their threads would go on trying to deliver at exit; what counts has been said.
    os._exit(0)
