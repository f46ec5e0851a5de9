"""Download an export into a file through aiofiles, then count its events while a second download is decoded.

    AMPLITUDE_API_KEY=... AMPLITUDE_SECRET_KEY=... python examples/export_to_aiofiles.py 20260501T00 20260501T23 may-1.zip

Without anything more it talks to Amplitude; AMPLITUDE_BASE_URL points it at a sandbox.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import suppress

import aiofiles
import aiofiles.os

from amplitude_async import AsyncAmplitude, NotFoundError


async def main(start: str, end: str, path: str) -> int:
    """Download a range, count what is in it, return the exit code."""
    async with AsyncAmplitude() as amplitude:
        # Bytes as they arrive. A cut download is an error; the file gets its name when there was none.
        part = f"{path}.part"
        try:
            async with aiofiles.open(part, "wb") as file, amplitude.export(start=start, end=end) as export:
                async for chunk in export:
                    await file.write(chunk)
            await aiofiles.os.replace(part, path)
        except NotFoundError:
            print(f"no events from {start} to {end}")
            return 1
        finally:
            with suppress(FileNotFoundError):
                await aiofiles.os.remove(part)
        print(f"{export.counts.bytes:,} bytes in {path}")

        # Rows, decoded while they download: nothing is written, and memory stays at a few MB however long the range is.
        kinds: Counter[str] = Counter()
        async with amplitude.export(start=start, end=end).events() as events:
            async for event in events:
                kinds[event["event_type"]] += 1
        for kind, count in kinds.most_common(5):
            print(f"{count:>8,}  {kind}")

        # The same file in one call: every member verified, and it appears under its name only when it is whole.
        saved = await amplitude.export(start=start, end=end).save(path, verify="rows")
        print(f"{saved.rows:,} rows in {saved.members} files, verified")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:4])))
