"""An async worker: takes jobs, does them, and awaits the tracking of each.

Reads one JSON job a line from standard input: ``{"user_id": "...", "task": "..."}``. AMPLITUDE_API_KEY (and AMPLITUDE_BASE_URL, for a
sandbox) come from the environment.
"""

from __future__ import annotations

import asyncio
import json
import sys

from amplitude_async import AmplitudeError, AsyncAmplitude

WORKERS = 4


async def work(jobs: asyncio.Queue[dict[str, str]], amplitude: AsyncAmplitude, done: list[str]) -> None:
    """Do jobs until cancelled."""
    while True:
        job = await jobs.get()
        try:
            await amplitude.track({"event_type": "job_done", "user_id": job["user_id"], "event_properties": {"task": job["task"]}})
            done.append(job["task"])
        except AmplitudeError as error:
            print(f"{job['task']}: {error}", file=sys.stderr)
        finally:
            jobs.task_done()


async def main() -> None:
    """Feed the workers from standard input and wait until all is done."""
    jobs: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    for line in (await asyncio.to_thread(sys.stdin.read)).splitlines():
        jobs.put_nowait(json.loads(line))
    done: list[str] = []
    async with AsyncAmplitude() as amplitude:
        workers = [asyncio.create_task(work(jobs, amplitude, done)) for _ in range(WORKERS)]
        await jobs.join()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    print(f"{len(done)} jobs done and tracked")


if __name__ == "__main__":
    asyncio.run(main())
