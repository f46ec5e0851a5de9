"""The archives that the benchmarks of exports read: 24 or 240 hourly members, as Amplitude packs them.

Members are stored ``.json.gz`` files whose sizes stand behind their data, with descriptors; rows have 45 to 55 columns, 2.26 kB each,
and shrink to about a sixth (level 6). The small archive has 20 MB and 56,640 rows, one day of hours. The large one has 200 MB and
566,400 rows, ten days: to be made in seconds it repeats the members of the first day under the names of the other days' hours, so
that the timestamps in its rows are those of the first day throughout. Deflate looks back 32 kB only, so repeating members makes no
reader faster.

Made once into a folder, and made again when the program that makes them has changed:

    python benchmarks/_archives.py [--large] [FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import zlib
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "exporting"))
from archives import Member, build, gzipped, hour_name, line_of, rows

BUILDER = Path(__file__).parents[1] / "tests" / "exporting" / "archives.py"
START = datetime(2026, 5, 1, tzinfo=UTC)
DAY_HOURS = 24
ROWS_AN_HOUR = 2360
LARGE_DAYS = 10


class Archive(NamedTuple):
    """A made archive, and what any reader must find in it.

    Attributes:
        path: The file.
        start: Its first hour.
        end: Its last hour, included.
        rows: How many rows it holds.
        checksum: The sum of their ``event_id``.
        bytes: Its length.
    """

    path: Path
    start: str
    end: str
    rows: int
    checksum: int
    bytes: int


def archive(folder: Path | None = None, *, large: bool = False) -> Archive:
    """Return the archive, having made it if it was not there."""
    place = folder or Path(tempfile.gettempdir()) / "amplitude-async-benchmarks"
    place.mkdir(parents=True, exist_ok=True)
    days = LARGE_DAYS if large else 1
    made_by = blake2b(Path(__file__).read_bytes() + BUILDER.read_bytes() + zlib.ZLIB_RUNTIME_VERSION.encode(), digest_size=4)
    path = place / f"export-{days * DAY_HOURS}-hours-{made_by.hexdigest()}.zip"
    facts = path.with_suffix(".json")
    if not facts.exists():
        _make(path, facts, days)
    return Archive(path, **json.loads(facts.read_text("utf-8")))


def _make(path: Path, facts: Path, days: int) -> None:
    first_day: list[bytes] = []
    checksum = 0
    for hour in range(DAY_HOURS):
        made = rows(ROWS_AN_HOUR, hour, hour=START + timedelta(hours=hour))
        checksum += sum(row["event_id"] for row in made)
        first_day.append(gzipped(b"".join(line_of(row) + b"\n" for row in made)))
    hours = [START + timedelta(hours=hour) for hour in range(days * DAY_HOURS)]
    data = build([Member(hour_name(hour), raw=first_day[hour.hour]) for hour in hours])
    # By rename, and the facts last: two programs may be making it at once, and one may be stopped.
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_bytes(data)
    partial.replace(path)
    known = {
        "start": f"{hours[0]:%Y%m%dT%H}",
        "end": f"{hours[-1]:%Y%m%dT%H}",
        "rows": days * DAY_HOURS * ROWS_AN_HOUR,
        "checksum": days * checksum,
        "bytes": len(data),
    }
    partial.write_text(json.dumps(known), "utf-8")
    partial.replace(facts)


def main() -> None:
    """Make an archive and say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--large", action="store_true", help="200 MB in place of 20")
    options = parser.parse_args()
    print(archive(options.folder, large=options.large))


if __name__ == "__main__":
    main()
