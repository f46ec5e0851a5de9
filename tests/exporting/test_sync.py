"""Folders kept up to date: fetched once, resumed after anything, one job at a time; and the building blocks for engines."""

from __future__ import annotations

import asyncio
import gzip
import json
import multiprocessing
import os
import pickle
import random
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import anyio
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "io"))
sys.path.insert(0, str(Path(__file__).parent))
from archives import HOUR, Member, build, gzipped, hour_member, line_of, reference_rows, rows
from servers import HTML, TIMED_OUT, TOO_LARGE, HourServer, Window, cut, page, stalled, told

from amplitude_async import (
    AsyncAmplitude,
    AuthenticationError,
    Backoff,
    ClosedError,
    ConfigurationError,
    ExportError,
    ExportSettings,
    InvalidArgumentError,
    NotFoundError,
    RangeTooLargeError,
    RateLimitedError,
    TransportError,
    export_hour,
    plan_hours,
)
from amplitude_async.errors import ExportStorageError
from amplitude_async.exporting.files import AtomicFile
from amplitude_async.exporting.manifest import LOCK, NAME, HourRecord, Manifest
from amplitude_async.exporting.plan import hour_text
from amplitude_async.exporting.sync import LIMITED_TRIES, SyncProgress, SyncReport, is_settled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import Reply

    from amplitude_async.exporting.export import Export

START, END = "20260501T07", "20260501T12"
HOURS = {HOUR + timedelta(hours=n): [hour_member(HOUR + timedelta(hours=n), 3 + n, part) for part in range(2)] for n in (0, 1, 3, 4)}
NAMES = ["20260501T07", "20260501T08", "20260501T10", "20260501T11"]
BERLIN = ZoneInfo("Europe/Berlin")
FORMATS = {"ndjson": ".ndjson.gz", "zip": ".zip", "parquet": ".parquet"}


@pytest.fixture(autouse=True)
def _engine(request: pytest.FixtureRequest) -> None:
    """Leave out Parquet where its extra is not installed."""
    if "kind" in request.fixturenames and request.getfixturevalue("kind") == "parquet":
        pytest.importorskip("pyarrow")


def never(seconds: float) -> float:
    return 0.0


class Waits:
    """A backoff that waits for nobody, and remembers how long it was asked to."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.now = 0.0

    def backoff(self) -> Backoff:
        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)
            self.now += seconds
            await anyio.lowlevel.checkpoint()

        return Backoff(jitter=never, clock=lambda: self.now, sleep=sleep)


def client(server: HourServer, waits: Waits | None = None, **options: Any) -> AsyncAmplitude:
    given: dict[str, Any] = {"api_key": "key-1", "max_retries": 0, "timeout": 20} | options
    return AsyncAmplitude(secret_key="secret", base_url=server.url, backoff=(waits or Waits()).backoff(), **given)


def export_of(amplitude: AsyncAmplitude, end: str = END, *, now: datetime | None = None) -> Export:
    export = amplitude.export(start=START, end=end, allow_incomplete=True)
    if now is not None:
        export._clock = now.timestamp
    return export


async def settled(amplitude: AsyncAmplitude) -> None:
    """Wait until the requests that were let go have ended, which is soon."""
    with anyio.fail_after(10):
        while amplitude._caller.tasks.alive:
            await anyio.sleep(0.001)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / NAME).read_text().splitlines()[1:]]


def expected_rows(hour: datetime) -> list[dict[str, Any]]:
    return reference_rows(build(HOURS[hour]))


# A job


@pytest.mark.anyio
@pytest.mark.parametrize("kind", FORMATS)
async def test_a_fresh_folder_gets_a_file_for_each_hour_with_rows(tmp_path: Path, kind: Any) -> None:
    """Every hour is fetched once into a file named after it; the manifest says what is in them; all of it for the owner alone."""
    folder = tmp_path / "new" / "raw"
    with HourServer(HOURS) as server:
        async with client(server) as amplitude:
            report = await export_of(amplitude).sync(folder, format=kind)
    assert set(server.asked.values()) == {1}
    assert set(server.asked) == {Window(hour, hour) for hour in plan_hours(START, END)}
    names = [name + FORMATS[kind] for name in NAMES]
    assert report == SyncReport(
        hours=6,
        fetched=6,
        kept=0,
        empty=2,
        provisional=0,
        bytes=sum((folder / name).stat().st_size for name in names),
        rows=sum(len(expected_rows(hour)) for hour in HOURS),
        files=tuple(names),
    )
    assert sorted(contents(folder)) == sorted([NAME, LOCK, *names])
    for hour, name in zip(HOURS, names, strict=True):
        data = (folder / name).read_bytes()
        if kind == "zip":
            assert reference_rows(data) == expected_rows(hour)
        elif kind == "ndjson":
            assert [json.loads(line) for line in gzip.decompress(data).splitlines()] == expected_rows(hour)
    by_hour = {record["hour"]: record for record in records(folder)}
    assert list(by_hour) == plan_hours(START, END)
    assert [record["state"] for record in by_hour.values()] == ["done", "done", "empty", "done", "done", "empty"]
    for name in names:
        record = by_hour[name[:11]]
        data = (folder / name).read_bytes()
        assert (record["file"], record["bytes"], record["sha256"]) == (name, len(data), sha256(data).hexdigest())
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)] == [0o700, 0o700]
    assert "key-1" not in (folder / NAME).read_text()


@pytest.mark.anyio
@pytest.mark.parametrize("kind", FORMATS)
async def test_a_second_run_fetches_nothing(tmp_path: Path, kind: Any) -> None:
    """What is whole is not asked for again, and the folder stays as it is, byte for byte."""
    with HourServer(HOURS) as server:
        async with client(server) as amplitude:
            await export_of(amplitude).sync(tmp_path, format=kind)
            before, asked = contents(tmp_path), len(server.requests)
            report = await export_of(amplitude).sync(tmp_path, format=kind)
            assert len(server.requests) == asked
            wider = await export_of(amplitude, "20260501T13").sync(tmp_path, format=kind)
            assert len(server.requests) == asked + 1
    assert (report.fetched, report.kept, report.bytes) == (0, 6, 0)
    assert report.rows == sum(len(expected_rows(hour)) for hour in HOURS)
    assert (wider.fetched, wider.kept) == (1, 6)
    after = contents(tmp_path)
    assert {name: after[name] for name in before if name != NAME} == {name: before[name] for name in before if name != NAME}


@pytest.mark.anyio
async def test_files_that_were_lost_or_changed_in_length_are_fetched_again(tmp_path: Path) -> None:
    """A file that is gone, or is not as long as it was, is no whole hour."""
    with HourServer(HOURS) as server:
        async with client(server) as amplitude:
            await export_of(amplitude).sync(tmp_path, format="zip")
            before = contents(tmp_path)
            (tmp_path / "20260501T07.zip").unlink()
            (tmp_path / "20260501T10.zip").write_bytes(b"short")
            report = await export_of(amplitude).sync(tmp_path, format="zip")
    assert (report.fetched, report.kept) == (2, 4)
    assert contents(tmp_path) == before


@pytest.mark.anyio
@pytest.mark.parametrize("kind", FORMATS)
async def test_hours_that_were_fetched_early_are_fetched_again(tmp_path: Path, kind: Any) -> None:
    """Within six hours of its end an hour is provisional: the next run fetches it again, and finds rows that came late."""
    early = datetime(2026, 5, 1, 15, 30, tzinfo=UTC)
    late = datetime(2026, 5, 2, 15, 30, tzinfo=UTC)
    with HourServer(dict(HOURS)) as server:
        async with client(server) as amplitude:
            first = await export_of(amplitude, now=early).sync(tmp_path, format=kind)
            assert first.provisional == 4
            server.members[HOUR + timedelta(hours=4)] = [hour_member(HOUR + timedelta(hours=4), 30)]
            server.members[HOUR + timedelta(hours=5)] = [hour_member(HOUR + timedelta(hours=5), 9)]
            # What comes late for an hour that is final is not looked for.
            server.members[HOUR] = [hour_member(HOUR, 99)]
            second = await export_of(amplitude, now=late).sync(tmp_path, format=kind)
            assert (second.fetched, second.kept, second.provisional) == (4, 2, 0)
            asked = len(server.requests)
            third = await export_of(amplitude, now=late).sync(tmp_path, format=kind)
            assert (third.fetched, len(server.requests)) == (0, asked)
    by_hour = {record["hour"]: record["rows"] for record in records(tmp_path)}
    assert (by_hour["20260501T11"], by_hour["20260501T12"], by_hour["20260501T07"]) == (30, 9, 6)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", FORMATS)
async def test_hours_that_are_still_to_come_are_asked_for_again(tmp_path: Path, kind: Any) -> None:
    """An hour that has not ended, or not begun, is empty for now: no file, and the next job asks for it again."""
    now = HOUR + timedelta(hours=1, minutes=30)
    with HourServer({HOUR: HOURS[HOUR]}) as server:
        async with client(server) as amplitude:
            report = await export_of(amplitude, now=now).sync(tmp_path, format=kind)
            assert (report.fetched, report.empty, report.provisional, report.files) == (6, 5, 6, (f"{NAMES[0]}{FORMATS[kind]}",))
    with HourServer(HOURS) as server:
        async with client(server) as amplitude:
            report = await export_of(amplitude, now=now + timedelta(days=1)).sync(tmp_path, format=kind)
    assert (report.fetched, report.empty, report.provisional, len(report.files)) == (6, 2, 0, 4)


@pytest.mark.anyio
async def test_what_was_there_is_not_taken_away(tmp_path: Path) -> None:
    """An hour that had data and is empty when it is fetched again keeps its file."""
    early, late = datetime(2026, 5, 1, 15, 30, tzinfo=UTC), datetime(2026, 5, 2, 15, 30, tzinfo=UTC)
    with HourServer(dict(HOURS)) as server:
        async with client(server) as amplitude:
            await export_of(amplitude, now=early).sync(tmp_path, format="ndjson")
            before = (tmp_path / "20260501T11.ndjson.gz").read_bytes()
            del server.members[HOUR + timedelta(hours=4)]
            report = await export_of(amplitude, now=late).sync(tmp_path, format="ndjson")
    assert (tmp_path / "20260501T11.ndjson.gz").read_bytes() == before
    assert "20260501T11.ndjson.gz" in report.files
    assert all(record["is_final"] for record in records(tmp_path))


@pytest.mark.parametrize(
    ("now", "settled"),
    [("2026-05-01 13:59:59", False), ("2026-05-01 14:00:00", True), ("2026-05-01 07:30:00", False), ("2026-06-01 00:00:00", True)],
)
def test_an_hour_is_settled_six_hours_after_its_end(now: str, settled: bool) -> None:
    """Seven o'clock's hour ends at eight, and is settled at two."""
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp()
    assert is_settled(int(HOUR.timestamp()) // 3600, moment) is settled


@pytest.mark.anyio
@pytest.mark.parametrize("at_once", [1, 2, 4])
async def test_so_many_hours_are_in_flight(tmp_path: Path, at_once: int) -> None:
    """Two hours are downloaded at once by default, and never more than was said."""
    with HourServer({HOUR + timedelta(hours=n): [hour_member(HOUR + timedelta(hours=n), 2)] for n in range(24)}) as server:
        async with client(server) as amplitude:
            options: dict[str, Any] = {} if at_once == 2 else {"at_once": at_once}
            await export_of(amplitude, "20260502T06").sync(tmp_path, format="zip", **options)
    assert server.most_at_once <= at_once
    assert len(server.requests) == 24


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["sync", "async"])
async def test_progress_is_told_after_each_hour(tmp_path: Path, way: str) -> None:
    """A callback, async or not, hears of the start and of each hour, with what was done so far."""
    told_of: list[SyncProgress] = []

    async def hear(progress: SyncProgress) -> None:
        await anyio.lowlevel.checkpoint()
        told_of.append(progress)

    with HourServer(HOURS) as server:
        async with client(server) as amplitude:
            report = await export_of(amplitude).sync(
                tmp_path, format="zip", progress=told_of.append if way == "sync" else hear, at_once=1
            )
    assert told_of[0] == SyncProgress("", "start", 0, 0, 6, 0, 0)
    assert [(told.hour, told.state) for told in told_of[1:]] == [
        (hour, "done" if hour in NAMES else "empty") for hour in plan_hours(START, END)
    ]
    assert [told.hours_done for told in told_of] == list(range(7))
    assert (told_of[-1].bytes, told_of[-1].rows) == (report.bytes, report.rows)
    assert sorted(told.bytes for told in told_of) == [told.bytes for told in told_of]


@pytest.mark.anyio
async def test_what_a_callback_raises_ends_the_job(tmp_path: Path) -> None:
    """An error of the caller's own callback comes out as it is, not in a group; what was fetched stays, and the lock is free."""

    def refuse(progress: SyncProgress) -> None:
        if progress.hours_done == 2:
            raise KeyError("mine")

    with HourServer(HOURS) as server:
        async with client(server) as amplitude:
            with pytest.raises(KeyError, match="mine"):
                await export_of(amplitude).sync(tmp_path, format="zip", progress=refuse)
            report = await export_of(amplitude).sync(tmp_path, format="zip")
            await settled(amplitude)
    assert report.kept >= 2


# Trouble


@pytest.mark.anyio
async def test_a_server_that_is_gone_ends_the_job(tmp_path: Path) -> None:
    """After five hours in a row without an answer the rest are not tried, and the error is the last one's."""
    with HourServer(HOURS) as server:
        gone = server.url
    async with AsyncAmplitude("key-1", secret_key="secret", base_url=gone, max_retries=0, backoff=Waits().backoff()) as amplitude:
        heard: list[SyncProgress] = []
        export = amplitude.export(start=START, end="20260601T00", allow_incomplete=True)
        with pytest.raises(TransportError):
            await export.sync(tmp_path, format="zip", progress=heard.append)
    assert heard[-1].hours_failed < 8


@pytest.mark.anyio
async def test_a_page_in_place_of_no_data_is_an_error(tmp_path: Path) -> None:
    """A 404 that is an HTML page says nothing about events: no hour is noted as empty."""
    with HourServer(HOURS, instead=lambda window, before: page(HTML, status=404, content_type="text/html")) as server:
        async with client(server) as amplitude:
            with pytest.raises(NotFoundError):
                await export_of(amplitude).sync(tmp_path, format="zip")
            with pytest.raises(NotFoundError):
                [row async for row in export_of(amplitude).events()]
    assert records(tmp_path) == []


@pytest.mark.anyio
async def test_a_closed_export_does_not_sync(tmp_path: Path) -> None:
    """Closing the export ends a job that runs, and begins no other; what passed is counted."""
    with HourServer(HOURS) as server:
        async with client(server) as amplitude:
            export = export_of(amplitude)
            await export.sync(tmp_path / "whole", format="zip")
            assert (export.counts.requests, export.counts.rows) == (6, sum(map(len, map(expected_rows, HOURS))))

            async def close(_: SyncProgress) -> None:
                await export.aclose()

            with pytest.raises(ClosedError):
                await export.sync(tmp_path / "ended", format="zip", progress=close)
            with pytest.raises(ClosedError):
                await export.sync(tmp_path / "closed", format="zip")
            await settled(amplitude)


@pytest.mark.anyio
async def test_an_hour_that_fails_does_not_keep_the_others(tmp_path: Path) -> None:
    """One hour that is cut three times is an ExportError that names it at the end; the others are there, and the next run has it."""
    bad = Window("20260501T08", "20260501T08")
    heard: list[SyncProgress] = []
    with HourServer(HOURS, instead=lambda window, before: cut(200) if window == bad and before < 3 else None) as server:
        async with client(server) as amplitude:
            with pytest.raises(ExportError, match=r"1 of 6 hours could not be fetched.*20260501T08") as caught:
                await export_of(amplitude).sync(tmp_path, format="ndjson", progress=heard.append)
            assert isinstance(caught.value.__cause__, Exception)
            assert caught.value.hours == ("20260501T08",)
            assert server.asked[bad] == 3
            assert [told.hour for told in heard if told.state == "failed"] == ["20260501T08"]
            assert heard[-1].hours_failed == 1
            assert sorted(path.name for path in tmp_path.glob("2*")) == [f"{name}.ndjson.gz" for name in NAMES if name != bad.start]
            report = await export_of(amplitude).sync(tmp_path, format="ndjson")
    assert (report.fetched, report.kept) == (1, 5)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("reply", "tries", "raised"),
    [
        (cut(200, framing="closing"), 3, ExportError),
        (page(HTML), 3, ExportError),
        (page(b"", status=500), 3, ExportError),
        (TOO_LARGE, 1, ExportError),
        (TIMED_OUT, 2, ExportError),
        (page(b"Invalid API Key", status=403), 1, AuthenticationError),
    ],
)
async def test_each_trouble_is_tried_as_often_as_it_makes_sense(
    tmp_path: Path, reply: Reply, tries: int, raised: type[Exception]
) -> None:
    """A broken hour is tried three times, one that is too much not again, and a bad key ends the job."""
    bad = Window("20260501T08", "20260501T08")
    waits = Waits()
    with HourServer(HOURS, instead=lambda window, before: reply if window == bad else None) as server:
        async with client(server, waits) as amplitude:
            with pytest.raises(raised):
                await export_of(amplitude).sync(tmp_path, format="zip")
            await settled(amplitude)
    assert server.asked[bad] == tries
    assert len(waits.waits) == (tries - 1 if tries == 3 else 0)


@pytest.mark.anyio
async def test_trouble_that_passes_is_not_seen(tmp_path: Path) -> None:
    """Each hour may break twice."""
    with HourServer(HOURS, instead=lambda window, before: (cut(10), page(b"", status=502), None)[min(before, 2)]) as server:
        async with client(server) as amplitude:
            report = await export_of(amplitude).sync(tmp_path, format="zip")
    assert report.fetched == 6
    assert set(server.asked.values()) == {3}


@pytest.mark.anyio
async def test_too_many_requests_are_waited_out(tmp_path: Path) -> None:
    """429 is met with the wait that it asks for, as often as it takes within reason, and fails no hour."""
    waits = Waits()
    with HourServer(HOURS, throttle_first=10, retry_after=11) as server:
        async with client(server, waits) as amplitude:
            report = await export_of(amplitude).sync(tmp_path, format="zip")
    assert report.fetched == 6
    assert waits.waits == [11.0] * 10


@pytest.mark.anyio
async def test_too_many_requests_for_ever_end(tmp_path: Path) -> None:
    """When an hour was throttled so often that there is no end in sight, the job ends as throttled."""
    waits = Waits()
    with HourServer(HOURS, throttle_first=10_000, retry_after=2) as server:
        async with client(server, waits) as amplitude:
            with pytest.raises(RateLimitedError):
                await export_of(amplitude, START).sync(tmp_path, format="zip")
    assert len(server.requests) == LIMITED_TRIES


@pytest.mark.anyio
@pytest.mark.parametrize("kind", FORMATS)
async def test_bad_rows_fail_their_hour_or_are_skipped(tmp_path: Path, kind: Any) -> None:
    """A row that cannot be read fails its hour, and is left out of the count where such rows are skipped, in every format."""
    lines = [*(line_of(row) for row in rows(2, 1)), b"nonsense"]
    with HourServer({HOUR: [Member("m_2026-05-01_7#0.json.gz", lines)]}) as server:
        async with client(server) as amplitude:
            with pytest.raises(ExportError, match="line 3"):
                await export_of(amplitude, START).sync(tmp_path, format=kind)
            report = await export_of(amplitude, START).sync(tmp_path, format=kind, bad_rows="skip")
    assert report.rows == 2


@pytest.mark.anyio
async def test_damage_within_a_gzip_fails_its_hour(tmp_path: Path) -> None:
    """Zips of a job are checked down to their rows."""
    broken = Member("m_2026-05-01_7#0.json.gz", raw=gzipped(b'{"a":1}\n')[:-2])
    with HourServer({HOUR: [broken]}) as server:
        async with client(server) as amplitude:
            with pytest.raises(ExportError, match="cut short"):
                await export_of(amplitude, START).sync(tmp_path, format="zip")
    assert list(tmp_path.glob("*.zip")) == []


@pytest.mark.anyio
async def test_a_cancelled_job_leaves_a_folder_to_go_on_with(tmp_path: Path) -> None:
    """Cancelled in the middle of an hour, a job leaves whole files, no partial ones, a free lock, and no task."""
    with HourServer(
        HOURS, instead=lambda window, before: stalled(500) if window.start == "20260501T10" and not before else None
    ) as server:
        async with client(server) as amplitude:
            with anyio.move_on_after(20) as scope:
                async with anyio.create_task_group() as group:

                    async def cancel() -> None:
                        while Window("20260501T12", "20260501T12") not in server.asked:
                            await anyio.sleep(0.002)
                        scope.cancel()

                    group.start_soon(cancel)
                    await export_of(amplitude).sync(tmp_path, format="ndjson")
            assert scope.cancelled_caught
            assert list(tmp_path.glob(".*.part")) == []
            report = await export_of(amplitude).sync(tmp_path, format="ndjson")
    assert report.kept >= 3
    assert len(report.files) == 4


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_asyncios_own_cancellation_at_any_tick_frees_the_lock(tmp_path: Path, anyio_backend: str) -> None:
    """After task.cancel() at any turn of the loop the next job can begin at once."""
    with HourServer(HOURS) as server:
        async with client(server) as amplitude:
            for ticks in range(0, 120, 4):
                task = asyncio.ensure_future(export_of(amplitude).sync(tmp_path / f"{ticks % 3}", format="zip"))
                for _ in range(ticks):
                    await asyncio.sleep(0)
                task.cancel()
                try:
                    await task
                except asyncio.CancelledError:
                    pass
                assert list(tmp_path.rglob(".*.part")) == []
            for name in range(3):
                assert len((await export_of(amplitude).sync(tmp_path / f"{name}", format="zip")).files) == 4


# The folder


@pytest.mark.anyio
async def test_two_jobs_do_not_work_in_one_folder(tmp_path: Path) -> None:
    """While one job is at work another is an ExportStorageError at once, and does no harm."""
    with HourServer(HOURS, instead=lambda window, before: stalled(10) if not before else None) as server:
        async with client(server) as amplitude, anyio.create_task_group() as group:

            async def first() -> None:
                await export_of(amplitude).sync(tmp_path, format="zip")

            group.start_soon(first)
            while not server.requests:
                await anyio.sleep(0.002)
            with anyio.fail_after(5), pytest.raises(ExportStorageError, match="another export job is at work"):
                await export_of(amplitude).sync(tmp_path, format="zip")
            group.cancel_scope.cancel()
        assert len(server.requests) <= 2


@pytest.mark.anyio
async def test_a_folder_holds_one_project_in_one_format(tmp_path: Path) -> None:
    """Another key or another format is refused, and the folder stays as it is."""
    with HourServer(HOURS) as server:
        async with client(server) as amplitude:
            await export_of(amplitude).sync(tmp_path, format="zip")
            before, asked = contents(tmp_path), len(server.requests)
            with pytest.raises(ConfigurationError, match="format 'zip'"):
                await export_of(amplitude).sync(tmp_path, format="ndjson")
        async with client(server, api_key="key-2") as other:
            with pytest.raises(ConfigurationError, match="another project"):
                await export_of(other).sync(tmp_path, format="zip")
    assert contents(tmp_path) == before
    assert len(server.requests) == asked


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"format": "csv"}, "format"),
        ({"format": None}, "format"),
        ({"format": ["zip"]}, "format"),
        ({"at_once": 0}, "at_once"),
        ({"at_once": 5}, "at_once"),
        ({"at_once": True}, "at_once"),
        ({"at_once": 2.0}, "at_once"),
        ({"folder": ""}, "folder"),
        ({"folder": None}, "folder"),
        ({"folder": "a\0b"}, "folder"),
    ],
)
async def test_jobs_that_make_no_sense_are_refused(tmp_path: Path, options: dict[str, Any], argument: str) -> None:
    """A wrong format, number or folder is refused by name, before anything is sent or made."""
    with HourServer(HOURS) as server:
        async with client(server) as amplitude:
            given: dict[str, Any] = {"folder": tmp_path / "new", "format": "zip"} | options
            with pytest.raises(InvalidArgumentError) as caught:
                await export_of(amplitude).sync(given.pop("folder"), **given)
    assert caught.value.argument == argument
    assert server.requests == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.anyio
@pytest.mark.parametrize("what", ["file", "below a file", "link to nowhere", "linked lock"])
async def test_folders_that_cannot_be_used_are_storage_errors(tmp_path: Path, what: str) -> None:
    """Something else in the way is an ExportStorageError that names the folder, and no link is followed (S9)."""
    target = tmp_path / "folder"
    if what == "link to nowhere":
        target.symlink_to(tmp_path / "nowhere")
    elif what == "linked lock":
        target.mkdir()
        (target / LOCK).symlink_to(tmp_path / "foreign")
    else:
        target.write_text("mine")
    with HourServer(HOURS) as server:
        async with client(server) as amplitude:
            with pytest.raises(ExportStorageError, match="folder"):
                await export_of(amplitude).sync(target / "below" if what == "below a file" else target, format="zip")
    assert server.requests == []
    assert not (tmp_path / "foreign").exists()
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.anyio
async def test_a_folder_reached_by_a_link_is_the_folder(tmp_path: Path) -> None:
    """A link to a folder that is there is that folder."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with HourServer(HOURS) as server:
        async with client(server) as amplitude:
            await export_of(amplitude).sync(tmp_path / "link", format="zip")
    assert len(list((tmp_path / "real").glob("*.zip"))) == 4


# The manifest


@pytest.fixture
def manifest(tmp_path: Path) -> Iterator[Manifest]:
    with Manifest(tmp_path / "folder", project="p", format="zip") as opened:
        yield opened


def reopened(folder: Path) -> Manifest:
    with Manifest(folder, project="p", format="zip") as opened:
        return opened


RECORD = HourRecord("20260501T07", "done", "20260501T07.zip", 5, 2, "ab")


@pytest.mark.parametrize("cut_at", range(0, 106, 7))
def test_a_line_that_was_cut_is_as_if_it_were_not_there(tmp_path: Path, cut_at: int) -> None:
    """Killed while a line was being written, the hours before it are known, and what is written next is not lost."""
    folder = tmp_path / "folder"
    with Manifest(folder, project="p", format="zip") as manifest:
        manifest.add(RECORD)
    whole = (folder / NAME).read_bytes()
    second = RECORD._replace(hour="20260501T08", file="20260501T08.zip")
    with Manifest(folder, project="p", format="zip") as manifest:
        manifest.add(second)
    line = (folder / NAME).read_bytes()[len(whole) :]
    (folder / NAME).write_bytes(whole + line[:cut_at])
    with Manifest(folder, project="p", format="zip") as manifest:
        assert manifest.records == {RECORD.hour: RECORD}
        manifest.add(second)
    assert reopened(folder).records == {RECORD.hour: RECORD, second.hour: second}


def test_the_last_line_of_an_hour_counts(manifest: Manifest) -> None:
    """An hour that was noted again is what was noted last, and tidying leaves one line of it, sorted."""
    later = RECORD._replace(rows=9)
    manifest.add(RECORD._replace(hour="20260501T08", file="20260501T08.zip"))
    manifest.add(RECORD)
    manifest.add(later)
    manifest.close()
    assert len((manifest.folder / NAME).read_bytes().splitlines()) == 4
    again = reopened(manifest.folder)
    assert again.records[RECORD.hour] == later
    assert [json.loads(line).get("hour") for line in (manifest.folder / NAME).read_bytes().splitlines()] == [
        None,
        "20260501T07",
        "20260501T08",
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b'{"hour":"20260501T07"}',
        b'{"hour":["20260501T07"],"state":"done","file":"x","bytes":1,"rows":1,"sha256":"","is_final":true}',
        b'{"hour":"../../etc","state":"done","file":"../../etc.zip","bytes":1,"rows":1,"sha256":"","is_final":true}',
        b'{"hour":"20260501T07","state":"done","file":"../20260501T07.zip","bytes":1,"rows":1,"sha256":"","is_final":true}',
        b'{"hour":"20260501T07","state":"done","file":"a\\u0000b","bytes":1,"rows":1,"sha256":"","is_final":true}',
        b'{"hour":"20260501T07","state":"done","file":5,"bytes":1,"rows":1,"sha256":"","is_final":true}',
        b'{"hour":"20260501T07","state":"gone","file":"20260501T07.zip","bytes":1,"rows":1,"sha256":"","is_final":true}',
        b'{"hour":"20260501T07","state":"done","file":"20260501T07.zip","bytes":"1","rows":1,"sha256":"","is_final":true}',
        b'{"hour":"20260501T07","state":"done","file":"20260501T07.zip","bytes":1,"rows":1,"sha256":"","is_final":"yes"}',
        b'{"hour":"20260501T07","state":"empty","file":"20260501T07.zip","bytes":1,"rows":1,"sha256":"","is_final":true}',
        b"[" * 100_000,
        b"\xff\xfe\x00",
        b"null",
        b"5",
    ],
)
def test_lines_that_were_not_written_here_are_left_out(manifest: Manifest, line: bytes) -> None:
    """Whatever else stands in the manifest is no hour, and no error; its hour is fetched again."""
    manifest.close()
    with (manifest.folder / NAME).open("ab") as file:
        file.write(line + b"\n")
    assert reopened(manifest.folder).records == {}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("head", "kind", "words"),
    [
        ('{"manifest":2,"project":"?","format":"zip","more":1}', ConfigurationError, "version 2, known here is 1"),
        ('{"manifest":2}', ConfigurationError, "version 2, known here is 1"),
        ('{"manifest":"1","project":"p","format":"zip"}', ExportStorageError, "does not begin as one"),
        ('{"hour":"20260501T07"}', ExportStorageError, "does not begin as one"),
        ('{"manifest":1,"pro', ExportStorageError, "does not begin as one"),
        ("", ExportStorageError, "does not begin as one"),
    ],
)
async def test_a_manifest_that_is_not_understood_is_left_alone(tmp_path: Path, head: str, kind: Any, words: str) -> None:
    """A manifest of a newer version, or whose head was damaged, ends the job before anything is sent, and stays as it is."""
    with HourServer(HOURS) as server:
        async with client(server) as amplitude:
            await export_of(amplitude).sync(tmp_path, format="zip")
            _, rest = (tmp_path / NAME).read_text().split("\n", 1)
            (tmp_path / NAME).write_text(f"{head}\n{rest}")
            before, asked = contents(tmp_path), len(server.requests)
            with pytest.raises(kind, match=words):
                await export_of(amplitude).sync(tmp_path, format="zip")
            assert contents(tmp_path) == before
            assert len(server.requests) == asked
            (tmp_path / NAME).unlink()
            report = await export_of(amplitude).sync(tmp_path, format="zip")
    assert report.fetched == 6


@pytest.mark.anyio
async def test_a_head_may_say_more(tmp_path: Path) -> None:
    """What a later release of the same version adds to the head is no reason to refuse a folder."""
    with HourServer(HOURS) as server:
        async with client(server) as amplitude:
            await export_of(amplitude).sync(tmp_path, format="zip")
            (tmp_path / NAME).write_text((tmp_path / NAME).read_text().replace("{", '{"by":"a later one",', 1))
            report = await export_of(amplitude).sync(tmp_path, format="zip")
    assert (report.kept, report.fetched) == (6, 0)


def test_leftovers_of_a_killed_job_are_removed(manifest: Manifest) -> None:
    """Partial files that a job left behind are removed by the next one; other files stay, and what is still being written."""
    manifest.close()
    mine = [".movie.mkv.part", "mine.part", ".mine", ".20260501T07.zip.cafe.part"]
    for name in (".20260501T07.zip.cafe0123.part", ".20260501T07-2.ndjson.gz.cafe0123.part", "._manifest.jsonl.cafe0123.part", *mine):
        (manifest.folder / name).write_text("x")
    written = AtomicFile(manifest.folder / "20260501T08.parquet")
    try:
        reopened(manifest.folder)
        written.write(b"rows")
        written.commit()
    finally:
        written.abort()
    assert sorted(path.name for path in manifest.folder.iterdir()) == sorted([*mine, NAME, LOCK, "20260501T08.parquet"])


def test_manifests_and_locks_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Under a umask that takes everything away, and one that takes nothing, modes are 0600 and the folder's 0700 (S8)."""
    for mask in (0o777, 0o000):
        before = os.umask(mask)
        try:
            reopened(tmp_path / f"{mask}")
            reopened(tmp_path / f"{mask}")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / f"{mask}").stat().st_mode) == 0o700
        assert [stat.S_IMODE((tmp_path / f"{mask}" / name).stat().st_mode) for name in (NAME, LOCK)] == [0o600, 0o600]


def test_a_manifest_that_cannot_grow_is_a_storage_error(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that was written in part only, because the disk is full, is an error and no record."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:10]))
    with pytest.raises(ExportStorageError, match="full"):
        manifest.add(RECORD)
    monkeypatch.undo()
    assert manifest.records == {}


# Killed

KILLED = """
import sys
import anyio
from amplitude_async import AsyncAmplitude, Backoff

async def main(url, folder, end):
    async with AsyncAmplitude("key-1", secret_key="secret", base_url=url, backoff=Backoff(base=0.001)) as amplitude:
        print("go", flush=True)
        await amplitude.export(start="20260501T07", end=end).sync(folder, format=sys.argv[4])

anyio.run(main, *sys.argv[1:4])
"""


@pytest.mark.parametrize("kind", FORMATS)
def test_killed_at_any_instant_a_job_ends_with_the_same_folder(tmp_path: Path, kind: Any) -> None:
    """Killed (-9) at random instants, again and again: the folder that is finished at last equals that of an undisturbed run.

    EXPORT_KILLS=50 has each folder killed that often.
    """
    kills = int(os.environ.get("EXPORT_KILLS", "2"))
    chance = random.Random(f"kill {kind}")
    hours = {HOUR + timedelta(hours=n): [hour_member(HOUR + timedelta(hours=n), 150)] for n in range(3 * kills)}
    end = hour_text(int(HOUR.timestamp()) // 3600 + 3 * kills + 1)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}

    asked = 0

    def run(folder: Path, *, is_killed: bool) -> int:
        """Run a job, to its end or not; return how it ended. Each has a server of its own, as no server lives for long."""
        nonlocal asked
        with HourServer(hours) as server:
            arguments = [sys.executable, "-c", KILLED, server.url, str(folder), end, kind]
            with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == "go\n"
                if is_killed:
                    # Within one of the next few hours, at an instant that nobody chose.
                    wanted = chance.randrange(1, 6)
                    limit = time.monotonic() + 20
                    while len(server.requests) < wanted and process.poll() is None and time.monotonic() < limit:
                        server.stopped.wait(0.0002)
                    server.stopped.wait(chance.random() * 0.01)
                    process.send_signal(signal.SIGKILL)
                ended = process.wait(25)
            asked += len(server.requests)
        return ended

    ends = [run(tmp_path / "killed", is_killed=True) for _ in range(kills)]
    assert ends.count(-signal.SIGKILL) >= 1
    assert run(tmp_path / "killed", is_killed=False) == 0
    asked_for_killed, asked = asked, 0
    assert run(tmp_path / "undisturbed", is_killed=False) == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")
    # Each kill costs at most the hours that were in flight, or were there without a line in the manifest yet.
    assert asked_for_killed <= asked + 4 * kills


# Building blocks


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ("20260501T07", "20260501T09", ["20260501T07", "20260501T08", "20260501T09"]),
        ("20260501T7", "20260501T7", ["20260501T07"]),
        (datetime(2026, 4, 30, 23, 59, tzinfo=UTC), datetime(2026, 5, 1, 0, 0, tzinfo=UTC), ["20260430T23", "20260501T00"]),
        ("20280228T23", "20280229T00", ["20280228T23", "20280229T00"]),
        (datetime(2028, 2, 29, 23), "20280301T00", ["20280229T23", "20280301T00"]),
        # Clocks in Berlin go back at 01:00 UTC, so half past two is there twice, and forward at the same hour in spring.
        (
            datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN),
            datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN),
            ["20261025T00", "20261025T01"],
        ),
        (datetime(2026, 3, 29, 1, 30, tzinfo=BERLIN), datetime(2026, 3, 29, 3, 30, tzinfo=BERLIN), ["20260329T00", "20260329T01"]),
    ],
)
def test_hours_are_planned_in_order(start: Any, end: Any, hours: list[str]) -> None:
    """Both bounds are included, none is there twice, none left out, whatever a calendar or a zone's clock does in between."""
    assert plan_hours(start, end) == hours


def test_a_day_has_24_hours() -> None:
    """A date as a bound is the whole day, and a leap year has 8,784 hours."""
    assert len(plan_hours(date(2026, 5, 1), date(2026, 5, 1))) == 24
    year = plan_hours("20240101T00", "20241231T23")
    assert len(set(year)) == len(year) == 8784
    assert year == sorted(year)


@pytest.mark.parametrize(("start", "end"), [("20260501T08", "20260501T07"), ("x", "20260501T07"), (None, None)])
def test_bounds_that_are_none_are_refused(start: Any, end: Any) -> None:
    """What is no hour or the wrong way round is an InvalidArgumentError."""
    with pytest.raises(InvalidArgumentError):
        plan_hours(start, end)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put keys into the environment."""
    monkeypatch.setenv("AMPLITUDE_API_KEY", "key-1")
    monkeypatch.setenv("AMPLITUDE_SECRET_KEY", "invented-secret-4711")


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("kind", FORMATS)
def test_an_hour_is_exported_without_a_loop(tmp_path: Path, kind: Any) -> None:
    """export_hour blocks, writes the hour's file, and says what is in it; again, it is the same; an empty hour has no file."""
    with HourServer(HOURS) as server:
        settings = ExportSettings(format=kind, base_url=server.url)
        record = export_hour(settings, "20260501T7", tmp_path)
        before = contents(tmp_path)
        assert export_hour(settings, "20260501T07", str(tmp_path)) == record
        assert contents(tmp_path) == before
        assert export_hour(settings, "20260501T09", tmp_path) == HourRecord("20260501T09", "empty")
    data = before["20260501T07" + FORMATS[kind]]
    assert record == HourRecord(
        "20260501T07",
        "done",
        "20260501T07" + FORMATS[kind],
        len(data),
        len(expected_rows(HOUR)),
        sha256(data).hexdigest(),
    )
    assert list(contents(tmp_path)) == [record.file]


@pytest.mark.usefixtures("keys")
def test_hours_are_exported_in_a_pool_of_processes(tmp_path: Path) -> None:
    """Two processes map over the hours, and their files are those of a job."""
    (tmp_path / "pool").mkdir()
    with HourServer(HOURS) as server:
        settings = ExportSettings(format="zip", base_url=server.url)
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
            found = list(pool.map(partial(export_hour, settings, target=str(tmp_path / "pool")), plan_hours(START, END)))

        async def job() -> None:
            async with client(server) as amplitude:
                await export_of(amplitude).sync(tmp_path / "job", format="zip")

        anyio.run(job)
    assert [record.hour for record in found] == plan_hours(START, END)
    made = contents(tmp_path / "job")
    assert contents(tmp_path / "pool") == {name: data for name, data in made.items() if name not in {NAME, LOCK}}
    assert [record._asdict() for record in found] == records(tmp_path / "job")


FORKED = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
import anyio
from amplitude_async import ExportSettings, export_hour, plan_hours

async def main(url, folder):
    export = partial(export_hour, ExportSettings(format="ndjson", base_url=url), target=folder)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        results = [pool.submit(export, hour) for hour in plan_hours("20260501T07", "20260501T08")]
        print(*[await anyio.to_thread.run_sync(result.result) for result in results])

anyio.run(main, *sys.argv[2:], backend=sys.argv[1])
"""


@pytest.mark.usefixtures("keys")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_pool_may_be_forked_within_an_event_loop(tmp_path: Path, backend: str) -> None:
    """A worker process that was forked by a program with an event loop has none itself, and exports hours as any other."""
    with HourServer(HOURS) as server:
        done = subprocess.run(
            # Newer Pythons warn of any fork beside threads.
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED, backend, server.url, str(tmp_path)],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
    assert done.stderr == ""
    assert done.stdout.count("state='done'") == 2
    assert sorted(contents(tmp_path)) == ["20260501T07.ndjson.gz", "20260501T08.ndjson.gz"]


@pytest.mark.usefixtures("keys")
def test_a_thread_with_a_copied_context_exports(tmp_path: Path) -> None:
    """asyncio.to_thread copies the context with anyio's mark of the loop that runs elsewhere; the hour is exported all the same."""

    async def main() -> HourRecord:
        return await asyncio.to_thread(export_hour, ExportSettings(format="zip", base_url=server.url), START, tmp_path)

    with HourServer(HOURS) as server:
        assert anyio.run(main).state == "done"


@pytest.mark.usefixtures("keys")
def test_settings_are_pickled_without_keys() -> None:
    """Settings name the variables; no key is in them or their pickle, unless it was asked for, and none is ever shown (S1)."""
    settings = ExportSettings(format="zip", region="eu")
    pickled = pickle.dumps(settings)
    assert b"invented-secret-4711" not in pickled
    assert pickle.loads(pickled) == settings
    carrying = settings.with_secrets()
    assert b"invented-secret-4711" in pickle.dumps(carrying)
    for text in (repr(carrying), str(carrying), f"{carrying}", repr(carrying.keys)):
        assert "invented-secret-4711" not in text
        assert "key-1" not in text
    restored = pickle.loads(pickle.dumps(carrying))
    assert restored.found_keys().secret_key == "invented-secret-4711"


def test_carried_keys_need_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With with_secrets() an hour is exported where the variables are missing."""
    monkeypatch.setenv("MY_KEY", "key-1")
    monkeypatch.setenv("MY_SECRET", "secret")
    with HourServer(HOURS) as server:
        settings = ExportSettings(format="zip", base_url=server.url, api_key_variable="MY_KEY", secret_key_variable="MY_SECRET")
        carrying = pickle.dumps(settings.with_secrets())
        monkeypatch.delenv("MY_KEY")
        monkeypatch.delenv("MY_SECRET")
        assert export_hour(pickle.loads(carrying), START, tmp_path).rows == len(expected_rows(HOUR))
        with pytest.raises(ConfigurationError, match="MY_KEY"):
            export_hour(settings, START, tmp_path)
        with pytest.raises(ConfigurationError, match="MY_KEY"):
            settings.with_secrets()


@pytest.mark.usefixtures("keys")
@pytest.mark.anyio
async def test_exporting_an_hour_within_a_loop_is_refused(tmp_path: Path) -> None:
    """Where an event loop runs, export_hour would block it: a ConfigurationError says what to use."""
    with pytest.raises(ConfigurationError, match="sync"):
        export_hour(ExportSettings(format="zip"), START, tmp_path)


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("hour", "target", "argument"),
    [("yesterday", ".", "hour"), (START, "missing", "target"), (None, ".", "hour"), (START, "file", "target")],
)
def test_hours_and_targets_that_are_none_are_refused(tmp_path: Path, hour: Any, target: str, argument: str) -> None:
    """What is no hour, and a folder that is missing, are refused before anything is sent."""
    (tmp_path / "file").touch()
    with HourServer(HOURS) as server:
        with pytest.raises(InvalidArgumentError) as caught:
            export_hour(ExportSettings(format="zip", base_url=server.url), hour, tmp_path / target)
    assert caught.value.argument == argument
    assert server.requests == []


@pytest.mark.usefixtures("keys")
def test_an_hour_that_cannot_be_had_is_an_error_that_can_be_pickled(tmp_path: Path) -> None:
    """Errors travel back from a process with their kind, their words and their facts."""
    with HourServer(HOURS, instead=lambda window, before: TOO_LARGE) as server:
        with pytest.raises(RangeTooLargeError) as caught:
            export_hour(ExportSettings(format="zip", base_url=server.url), START, tmp_path)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again), again.start) == (RangeTooLargeError, str(caught.value), START)
    with HourServer(HOURS, instead=lambda window, before: told(403, "Invalid API Key")) as server:
        with pytest.raises(AuthenticationError):
            export_hour(ExportSettings(format="zip", base_url=server.url), START, tmp_path)
    assert list(tmp_path.iterdir()) == []
