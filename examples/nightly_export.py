"""A nightly job: keep a folder of Parquet files up to date with the last days, one file an hour.

    AMPLITUDE_API_KEY=... AMPLITUDE_SECRET_KEY=... python examples/nightly_export.py raw 3

Run it from cron as often as you like, and kill it whenever you like: it fetches what is missing, fetches the last hours again for late
rows, and ends with the same files. Exit code 0: every hour is there. 1: some are not; the next run tries those again.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from amplitude_async import AmplitudeError, AsyncAmplitude, SyncProgress


def say(progress: SyncProgress) -> None:
    """Print a line for every hour that had rows, or failed."""
    if progress.state in {"done", "failed"}:
        print(f"{progress.hour}  {progress.state}  {progress.hours_done}/{progress.hours_total} hours, {progress.rows:,} rows so far")


async def main(folder: str, days: int) -> int:
    """Bring the folder up to date, return the exit code."""
    now = datetime.now(UTC)
    async with AsyncAmplitude() as amplitude:
        # "skip" ends with the last hour that is complete; the next run goes on from there.
        export = amplitude.export(start=now - timedelta(days=days), end=now, allow_incomplete="skip")
        try:
            report = await export.sync(folder, format="parquet", progress=say)
        except AmplitudeError as error:
            print(f"not finished: {error}", file=sys.stderr)
            return 1
    hours = f"{report.fetched} fetched, {report.kept} there already, {report.empty} empty"
    print(f"{report.hours} hours: {hours}; {report.rows:,} rows in all")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], int(sys.argv[2]))))
