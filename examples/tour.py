"""A tour of the library on real requests: no account, no network beyond this machine.

Starts the sandbox, which stands in for Amplitude on a loopback port, and uses the client on it the way a service would. Ends with
counts that must add up, and with exit code 1 if they do not.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import sys
import tempfile
import time
import zipfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiofiles

from amplitude_async import AsyncAmplitude
from amplitude_async.sandbox import Sandbox

USERS = ["ada@example.org", "grace@example.org", "linus@example.org", "margaret@example.org", "guido@example.org"]
PLANS = {"ada@example.org": "pro", "grace@example.org": "team"}
STEPS = [("app_opened", 60), ("page_viewed", 180), ("search_made", 50), ("order_placed", 10)]
BAR = 40


def made_up_events(rng: random.Random) -> list[dict[str, object]]:
    """Return a few hundred events of the last three days."""
    now = datetime.now(UTC)
    events: list[dict[str, object]] = []
    for event_type, count in STEPS:
        for _ in range(count):
            when = now - timedelta(minutes=rng.randrange(3 * 24 * 60))
            events.append(
                {
                    "event_type": event_type,
                    "user_id": rng.choice(USERS),
                    "time": when,
                    "platform": rng.choice(["Web", "iOS", "Android"]),
                    "event_properties": {"page": rng.choice(["/", "/shop", "/help"]), "items": rng.randint(1, 5)},
                }
            )
    return events


async def tour(amplitude: AsyncAmplitude, folder: Path) -> bool:
    """Walk through the six calls; say whether the counts add up."""
    events = made_up_events(random.Random(7))  # noqa: S311 - made-up data

    print("1. track: a list, and one event")
    began = time.perf_counter()
    batch = await amplitude.track(events)
    single = await amplitude.track({"event_type": "signup", "user_id": USERS[0], "event_properties": {"source": "tour"}})
    tracked = batch["events_ingested"] + single["events_ingested"]
    print(f"   {tracked} events accepted in {time.perf_counter() - began:.2f} s\n")

    print("2. identify: who they are")
    answer = await amplitude.identify(
        [{"user_id": user, "user_properties": {"$set": {"plan": PLANS.get(user, "free")}, "$add": {"logins": 1}}} for user in USERS]
    )
    print(f"   {len(USERS)} users: {answer}\n")

    print("3. user_search and user_activity: what is known of one of them")
    found = await amplitude.user_search(USERS[0])
    match = found["matches"][0]
    activity = await amplitude.user_activity(match["amplitude_id"])
    print(f"   {match['user_id']} is Amplitude id {match['amplitude_id']} ({found['type']})")
    print(f"   {activity['userData']['num_events']} events, the latest: {activity['events'][0]['event_type']}\n")

    print("4. event_segmentation: pages viewed per day")
    today = datetime.now(UTC).date()
    series = await amplitude.event_segmentation(
        e={"event_type": "page_viewed"}, start=today - timedelta(days=4), end=today + timedelta(days=1), m="totals"
    )
    values, days = series["data"]["series"][0], series["data"]["xValues"]
    top = max(*values, 1)
    for day, value in zip(days, values, strict=True):
        print(f"   {day[:10]}  {'█' * round(BAR * value / top):<{BAR}}  {value:g}")
    viewed = sum(values)
    print()

    print("5. export: the raw events, streamed into a file")
    path = folder / "export.zip"
    start = datetime.now(UTC) - timedelta(hours=1)
    async with aiofiles.open(path, "wb") as file:
        async for chunk in amplitude.export(start=start, end=datetime.now(UTC) + timedelta(hours=1), allow_incomplete=True):
            await file.write(chunk)
    rows = await asyncio.to_thread(read_rows, path)
    kinds = Counter(row["event_type"] for row in rows)
    print(f"   {path.stat().st_size:,} bytes, {len(rows)} rows: {', '.join(f'{n} {kind}' for kind, n in kinds.most_common())}\n")

    adds_up = len(rows) == tracked == len(events) + 1 and viewed == kinds["page_viewed"]
    print(f"{tracked} events went in, {len(rows)} came out: {'it adds up.' if adds_up else 'IT DOES NOT ADD UP.'}")
    return adds_up


def read_rows(path: Path) -> list[dict[str, object]]:
    """Decode an export: a zip of gzipped files with one JSON object a line."""
    with zipfile.ZipFile(path) as archive:
        return [json.loads(line) for name in archive.namelist() for line in gzip.decompress(archive.read(name)).splitlines()]


async def main() -> int:
    """Start a sandbox, walk through it, return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            Sandbox() as box,
            AsyncAmplitude(box.api_key, secret_key=box.secret_key, base_url=box.url) as amplitude,
        ):
            print(f"A sandbox stands in for Amplitude at {box.url}\n")
            return 0 if await tour(amplitude, Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
