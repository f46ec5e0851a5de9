"""Files of exports: complete or not there at all, for their owner alone, through no link, whatever ends the download."""

from __future__ import annotations

import asyncio
import errno
import gzip
import io
import json
import os
import stat
import subprocess
import sys
import threading
import zipfile
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiofiles
import anyio
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "io"))
sys.path.insert(0, str(Path(__file__).parent))
from archives import (
    CONTENTS,
    DEFLATED,
    HOUR,
    LINE_FAULTS,
    Layout,
    Member,
    build,
    forged_end,
    gzipped,
    hostile_members,
    hour_members,
    line_of,
    reference_rows,
    rows,
)
from scripted import ScriptedServer
from servers import HTML, NOT_FOUND, HourServer, answering, cut, endless, flipped, page, short, stalled, whole

from amplitude_async import ArchiveLimits, AsyncAmplitude, ExportError, InvalidArgumentError, NotFoundError
from amplitude_async.errors import AmplitudeError, ExportStorageError
from amplitude_async.exporting import files
from amplitude_async.exporting.files import AtomicFile, Buffered, in_thread, make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers import Reply

    from amplitude_async.exporting.export import Export

START, END = "20260501T07", "20260501T08"
ARCHIVE = build(hour_members(HOUR, 2, 300))
ROWS = reference_rows(ARCHIVE)
LINES = b"".join(line_of(row) + b"\n" for row in ROWS)


def client(server: ScriptedServer, **options: Any) -> AsyncAmplitude:
    return AsyncAmplitude("key", secret_key="secret", base_url=server.url, max_retries=0, **options)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


@pytest.fixture(params=[0o022, 0o777, 0o000], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Work under a umask, then under the former one."""
    mask: int = request.param
    before = os.umask(mask)
    yield mask
    os.umask(before)


# Saving


@pytest.mark.anyio
@pytest.mark.parametrize("verify", ["archive", "rows"])
async def test_a_saved_zip_is_what_was_sent(tmp_path: Path, verify: Any, umask: int) -> None:
    """The file holds the archive byte for byte, for its owner alone under any umask, and nothing else is left (S8)."""
    target = tmp_path / "may.zip"
    with ScriptedServer(answering(ARCHIVE)) as server:
        async with client(server) as amplitude:
            export = amplitude.export(start=START, end=END)
            saved = await export.save(target, verify=verify)
    assert target.read_bytes() == ARCHIVE
    assert (saved.bytes, saved.members, saved.rows) == (len(ARCHIVE), 2, len(ROWS) if verify == "rows" else None)
    assert (export.counts.bytes, export.counts.requests, export.counts.members) == (len(ARCHIVE), 1, 2)
    assert mode(target) == 0o600
    assert left(tmp_path) == ["may.zip"]


@pytest.mark.anyio
@pytest.mark.parametrize("as_type", [str, Path])
async def test_what_was_there_is_replaced(tmp_path: Path, as_type: Callable[[Path], Any]) -> None:
    """A file of the same name is replaced when the new one is whole, also one that others could read."""
    target = tmp_path / "may.zip"
    target.write_bytes(b"old")
    target.chmod(0o644)
    with ScriptedServer(answering(ARCHIVE)) as server:
        async with client(server) as amplitude:
            await amplitude.export(start=START, end=END).save(as_type(target))
    assert target.read_bytes() == ARCHIVE
    assert mode(target) == 0o600


@pytest.mark.anyio
async def test_a_range_of_several_answers_is_saved_as_one_zip(tmp_path: Path) -> None:
    """What Amplitude gives in parts becomes one zip that zipfile accepts, with each hour's rows once."""
    hours = {HOUR + timedelta(hours=n): hour_members(HOUR + timedelta(hours=n), 1, 5) for n in (0, 1, 3)}
    with HourServer(hours, too_large_above=1) as server:
        async with client(server) as amplitude:
            saved = await amplitude.export(start=START, end="20260501T11").save(tmp_path / "may.zip", verify="rows")
    with zipfile.ZipFile(tmp_path / "may.zip") as zipped:
        assert zipped.testzip() is None
        assert len(zipped.namelist()) == saved.members == 3
    assert saved.rows == 15
    assert reference_rows((tmp_path / "may.zip").read_bytes()) == [
        row for members in hours.values() for row in reference_rows(build(members))
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("verify", ["archive", "rows"])
async def test_files_of_others_are_written_as_the_zip_arrives(tmp_path: Path, verify: Any) -> None:
    """An aiofiles file, an anyio file and whatever else has an async write get the zip, and stay open."""
    with ScriptedServer(answering(ARCHIVE)) as server:
        async with client(server) as amplitude:
            async with await anyio.open_file(tmp_path / "anyio.zip", "wb") as theirs:
                saved = await amplitude.export(start=START, end=END).save(theirs, verify=verify)
                assert saved.bytes == len(ARCHIVE)
                await theirs.write(b"!")
            collected = Collecting()
            await amplitude.export(start=START, end=END).save(collected, verify=verify)
    assert (tmp_path / "anyio.zip").read_bytes() == ARCHIVE + b"!"
    assert bytes(collected.data) == ARCHIVE


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_aiofiles_file_is_written_to(tmp_path: Path, anyio_backend: str) -> None:
    """The file that the original's users write to takes a zip and rows."""
    with ScriptedServer(answering(ARCHIVE)) as server:
        async with client(server) as amplitude:
            async with aiofiles.open(tmp_path / "may.zip", "wb") as file:
                await amplitude.export(start=START, end=END).save(file)
            async with aiofiles.open(tmp_path / "may.ndjson.gz", "wb") as file:
                (written,) = await amplitude.export(start=START, end=END).to_ndjson(file, compress=True)
    assert (tmp_path / "may.zip").read_bytes() == ARCHIVE
    assert gzip.decompress((tmp_path / "may.ndjson.gz").read_bytes()) == LINES
    assert written.bytes == (tmp_path / "may.ndjson.gz").stat().st_size
    assert written.name == ""


class Collecting:
    def __init__(self) -> None:
        self.data = bytearray()

    async def write(self, data: bytes) -> int:
        await anyio.lowlevel.checkpoint()
        self.data += data
        return len(data)


# What cannot be written to


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("", "blank"),
        (".", "is a folder"),
        ("here", "is a folder"),
        ("missing/may.zip", "does not exist"),
        ("file/may.zip", "does not exist"),
        ("a\0b.zip", "NUL"),
        ("\ud800.zip", "no text that a file system takes"),
        (None, "NoneType"),
        (5, "int"),
        (b"may.zip", "bytes"),
        (["may.zip"], "list"),
    ],
)
@pytest.mark.parametrize("way", ["save", "to_ndjson"])
async def test_targets_that_are_none_are_refused_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: Any, words: str, way: str
) -> None:
    """A folder, a missing one, a name that is none: an InvalidArgumentError that names it, no request, no file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    (tmp_path / "file").write_text("x")
    if way == "to_ndjson" and words == "is a folder":
        pytest.skip("rows go to folders")
    with ScriptedServer(answering(ARCHIVE)) as server:
        async with client(server) as amplitude:
            with pytest.raises(InvalidArgumentError, match=words):
                await getattr(amplitude.export(start=START, end=END), way)(target)
    assert server.requests == []
    assert left(tmp_path) == ["file", "here"]


@pytest.mark.anyio
@pytest.mark.parametrize("opened", ["file", "memory"])
async def test_files_that_block_are_refused_by_name(tmp_path: Path, opened: str) -> None:
    """What open() gives has a write that is not async: an InvalidArgumentError says what to use."""
    with ScriptedServer(answering(ARCHIVE)) as server:
        async with client(server) as amplitude:
            with io.BytesIO() if opened == "memory" else (tmp_path / "x").open("wb") as target:
                with pytest.raises(InvalidArgumentError, match="must be async"):
                    await amplitude.export(start=START, end=END).save(target)  # type: ignore[arg-type]  # what is tested


@pytest.mark.anyio
@pytest.mark.parametrize("verify", ["row", None, [], True])
async def test_only_two_ways_to_verify(tmp_path: Path, verify: Any) -> None:
    """Anything but the two words is refused before anything is sent."""
    with ScriptedServer(answering(ARCHIVE)) as server:
        async with client(server) as amplitude:
            with pytest.raises(InvalidArgumentError, match="verify"):
                await amplitude.export(start=START, end=END).save(tmp_path / "x.zip", verify=verify)
    assert server.requests == []


@pytest.mark.parametrize("name", ["n" * 255, "年" * 85, "é" * 127, "x.zip"])
def test_every_name_that_a_file_may_have_can_be_made(tmp_path: Path, name: str) -> None:
    """The temporary name is never longer than names may be, however many bytes a character has."""
    file = AtomicFile(tmp_path / name)
    file.write(b"x")
    file.commit()
    assert [path.name for path in tmp_path.iterdir()] == [name]


# Links


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["save", "to_ndjson"])
async def test_a_link_at_the_final_name_is_replaced_not_followed(tmp_path: Path, way: str) -> None:
    """What a link at the path points to, there or not, is neither written nor removed (S9)."""
    (tmp_path / "own").mkdir()
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"theirs")
    with ScriptedServer(answering(ARCHIVE)) as server:
        async with client(server) as amplitude:
            for pointed in (foreign, tmp_path / "nowhere"):
                target = tmp_path / "own" / "may"
                target.unlink(missing_ok=True)
                target.symlink_to(pointed)
                await getattr(amplitude.export(start=START, end=END), way)(target)
                assert not target.is_symlink()
                assert target.stat().st_size > 1000
    assert foreign.read_bytes() == b"theirs"
    assert left(tmp_path) == ["foreign", "may", "own"]


def test_a_link_at_the_partial_name_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that cannot be guessed is created anew: where something is already, even a link to nowhere, creating fails (S9)."""
    monkeypatch.setattr(files, "token_hex", lambda _: "cafe")
    (tmp_path / ".may.zip.cafe.part").symlink_to(tmp_path / "foreign")
    with pytest.raises(ExportStorageError):
        AtomicFile(tmp_path / "may.zip")
    assert left(tmp_path) == [".may.zip.cafe.part"]


def test_temporary_names_are_not_used_twice(tmp_path: Path) -> None:
    """Two files of one name in the making do not meet; the last to be finished stays."""
    one, other = AtomicFile(tmp_path / "x"), AtomicFile(tmp_path / "x")
    one.write(b"one")
    other.write(b"other")
    other.commit()
    one.commit()
    assert (tmp_path / "x").read_bytes() == b"one"
    assert left(tmp_path) == ["x"]


@pytest.mark.anyio
async def test_hostile_members_write_nothing_of_their_own(tmp_path: Path) -> None:
    """Archives whose members are named to lead out of the folder give the files that were asked for and no other (F6)."""
    (tmp_path / "own").mkdir()
    archive = build(hostile_members([line_of(row) for row in rows(2, 1)]))
    with ScriptedServer(answering(archive)) as server:
        async with client(server) as amplitude:
            await amplitude.export(start=START, end=END).save(tmp_path / "own" / "x.zip", verify="rows")
            await amplitude.export(start=START, end=END).to_ndjson(tmp_path / "own" / "x.ndjson")
            written = await amplitude.export(start=START, end=END).to_ndjson(tmp_path / "own")
    assert {file.hour for file in written} == {START}
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} == {tmp_path / "own"}


# Failures

FAILURES = {
    "cut by FIN": cut(len(ARCHIVE) // 2),
    "cut by RST": cut(len(ARCHIVE) // 2, by="rst"),
    "cut and closed": cut(len(ARCHIVE) // 2, framing="closing"),
    "cut in a chunk": cut(len(ARCHIVE) // 2, framing="chunked"),
    "short": short(len(ARCHIVE) - 1),
    "a flipped bit": flipped(8 * 5000),
    "a page": page(HTML),
    "nothing": page(b""),
    "no data": NOT_FOUND,
    "refused": page(b"no", status=403),
}


@pytest.mark.anyio
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("way", ["save", "save rows", "to_ndjson", "to folder"])
async def test_nothing_is_left_after_a_failure(tmp_path: Path, failure: str, way: str) -> None:
    """Whatever is wrong with the answer, it is an error of the library's own, no file is left, and what was there stays."""
    (tmp_path / "before").write_bytes(b"before")
    before = open_files()
    with ScriptedServer(answering(ARCHIVE, FAILURES[failure])) as server:
        async with client(server) as amplitude:
            export = amplitude.export(start=START, end=END)
            if failure == "no data" and way.startswith("to"):
                await export.to_ndjson(tmp_path if way == "to folder" else tmp_path / "before")
            else:
                with pytest.raises(AmplitudeError) as caught:
                    await _write(export, way, tmp_path)
                assert isinstance(caught.value, NotFoundError) or failure != "no data"
                assert (tmp_path / "before").read_bytes() == b"before"
    complete = [name for name in left(tmp_path) if name != "before"]
    # Hours that were finished before the failure stay; each is complete.
    assert complete in ([], [f"{START}.ndjson.gz"] if way == "to folder" else [])
    for name in complete:
        assert gzip.decompress((tmp_path / name).read_bytes()).count(b"\n") == 300
    assert open_files() <= before


async def _write(export: Export, way: str, folder: Path) -> None:
    if way == "to folder":
        await export.to_ndjson(folder)
    elif way == "to_ndjson":
        await export.to_ndjson(folder / "before")
    else:
        await export.save(folder / "before", verify="rows" if way == "save rows" else "archive")


NONSENSE: dict[str, Reply] = {
    "in chunks": endless(ARCHIVE[:5000]),
    "until it is closed": endless(ARCHIVE[:5000], framing="closing"),
    "announced": endless(ARCHIVE[:5000], framing="length", announced=1 << 40),
}


@pytest.mark.anyio
@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("way", ["save", "save rows", "to_ndjson", "chunks"])
async def test_an_answer_that_does_not_end_is_not_written_for_ever(tmp_path: Path, nonsense: str, way: str) -> None:
    """What goes on beyond the longest archive that is believed is an error there, at once where that is announced (S23)."""
    (tmp_path / "before").write_bytes(b"before")
    with ScriptedServer(answering(ARCHIVE, NONSENSE[nonsense])) as server:
        async with client(server) as amplitude:
            export = amplitude.export(start=START, end=END, limits=ArchiveLimits(archive_bytes=1 << 20))
            with pytest.raises(ExportError) as caught:
                if way == "chunks":
                    async for _ in export:
                        pass
                else:
                    await _write(export, way, tmp_path)
    if nonsense == "announced":
        assert "1,099,511,627,776 bytes are announced, and no more than 1,048,576 are believed" in str(caught.value)
        assert export.counts.bytes == 0
    elif way in {"save", "chunks"}:
        assert "no more than 1,048,576 are believed" in str(caught.value)
    assert export.counts.bytes <= 1 << 20
    assert (tmp_path / "before").read_bytes() == b"before"
    assert left(tmp_path) == ["before"]


@pytest.mark.anyio
async def test_limits_hold_for_what_is_saved(tmp_path: Path) -> None:
    """Saving keeps the limits that reading rows keeps: members, and the growth of what it inflates; nothing is left."""
    outer = build([Member("m", raw=bytes(200_000))], Layout(method=DEFLATED))
    inner = build([Member("m", raw=gzipped(b'{"a":1}\n' * 20_000))])
    few, little = ArchiveLimits(members=1), ArchiveLimits(ratio=2, ratio_from_bytes=1000)
    for archive, limits, verify, words in (
        (ARCHIVE, few, "archive", "more than 1 members"),
        (ARCHIVE, few, "rows", "more than 1 members"),
        (outer, little, "archive", "more than 2 times"),
        (inner, little, "rows", "more than 2 times"),
    ):
        with ScriptedServer(answering(archive)) as server:
            async with client(server) as amplitude:
                with pytest.raises(ExportError, match=words):
                    await amplitude.export(start=START, end=END, limits=limits).save(tmp_path / "may.zip", verify=verify)  # type: ignore[arg-type]  # one of the two
    assert left(tmp_path) == []


def test_what_no_archive_has_is_not_believed_by_default() -> None:
    """Twice what Amplitude gives in one answer is the most that is written of one when nothing was said."""
    assert ArchiveLimits().archive_bytes == 8 << 30


FORGED = build([forged_end(LINES.splitlines()), *hour_members(HOUR, 1, 3)])
"""A zip with a member that holds, before its rows, a true descriptor of its own beginning and a next header."""


@pytest.mark.anyio
async def test_a_zip_is_saved_as_its_directory_says(tmp_path: Path) -> None:
    """Where bytes within a member can be taken for its end, a zip is sound that is sound for all who unzip by the directory."""
    with ScriptedServer(answering(FORGED)) as server:
        async with client(server) as amplitude:
            saved = await amplitude.export(start=START, end=END).save(tmp_path / "may.zip")
    assert (tmp_path / "may.zip").read_bytes() == FORGED
    with zipfile.ZipFile(tmp_path / "may.zip") as zipped:
        assert (zipped.testzip(), len(zipped.namelist())) == (None, saved.members)
    assert len(reference_rows(FORGED)) == len(ROWS) + 3


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["save rows", "a file of one's own", "to_ndjson", "events", "sync"])
async def test_who_reads_forward_refuses_what_could_be_read_otherwise(tmp_path: Path, way: str) -> None:
    """The same zip is damage to whoever has to find that end as it passes by; no row is given of another reading."""
    given: list[Any] = []
    with ScriptedServer(answering(FORGED)) as server:
        async with client(server) as amplitude:
            export = amplitude.export(start=START, end=START)
            with pytest.raises(ExportError):
                if way == "sync":
                    await export.sync(tmp_path / "folder", format="zip")
                elif way == "events":
                    async for row in export.events():
                        given.append(row)  # noqa: PERF401 - what came before the error is looked at
                elif way == "a file of one's own":
                    async with await anyio.open_file(os.devnull, "wb") as file:
                        await export.save(file)
                else:
                    await _write(export, way, tmp_path)
    assert given == []
    assert [name for name in left(tmp_path) if name.endswith((".zip", "before"))] == []


@pytest.mark.anyio
async def test_damage_within_the_gzip_is_found_by_verifying_rows(tmp_path: Path) -> None:
    """A gzip that is wrong in an archive that is right is saved as it is, unless its rows are to be verified."""
    archive = build([Member("m", raw=gzipped(b'{"a":1}\n')[:-1])])
    with ScriptedServer(answering(archive)) as server:
        async with client(server) as amplitude:
            await amplitude.export(start=START, end=END).save(tmp_path / "as-it-is.zip")
            with pytest.raises(ExportError, match="cut short") as caught:
                await amplitude.export(start=START, end=END).save(tmp_path / "verified.zip", verify="rows")
    assert caught.value.member == "m"
    assert left(tmp_path) == ["as-it-is.zip"]


@pytest.mark.anyio
@pytest.mark.parametrize("name", [name for name, fault in LINE_FAULTS.items() if fault.line])
async def test_bad_rows_are_found_by_verifying_and_by_writing(tmp_path: Path, name: str) -> None:
    """A line that is no JSON object is an error with member and line wherever rows are looked at, or left out and counted (F7)."""
    fault = LINE_FAULTS[name]
    archive = build([Member("m", raw=gzipped(fault.text))])
    with ScriptedServer(answering(archive)) as server:
        async with client(server) as amplitude:
            with pytest.raises(ExportError) as caught:
                await amplitude.export(start=START, end=END).save(tmp_path / "x.zip", verify="rows")
            assert (caught.value.member, caught.value.line) == ("m", fault.line)
            with pytest.raises(ExportError) as caught:
                await amplitude.export(start=START, end=END).to_ndjson(tmp_path / "x.ndjson")
            assert (caught.value.member, caught.value.line) == ("m", fault.line)
            assert left(tmp_path) == []
            export = amplitude.export(start=START, end=END)
            (written,) = await export.to_ndjson(tmp_path / "x.ndjson", bad_rows="skip")
    assert written.rows == export.counts.rows == fault.good
    assert export.counts.skipped_rows >= 1
    assert all(isinstance(json.loads(line), dict) for line in (tmp_path / "x.ndjson").read_bytes().splitlines())


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["save", "save rows", "to_ndjson", "to folder"])
async def test_nothing_is_left_after_a_cancellation(tmp_path: Path, way: str) -> None:
    """Cancelled in mid-download, a file in the making is removed and closed (F9)."""
    before = open_files()
    with ScriptedServer(answering(ARCHIVE, stalled(len(ARCHIVE) // 2))) as server:
        async with client(server) as amplitude:
            export = amplitude.export(start=START, end=END)
            with anyio.move_on_after(20) as scope:
                async with anyio.create_task_group() as group:

                    async def cancel() -> None:
                        while export.counts.bytes < len(ARCHIVE) // 2:
                            await anyio.sleep(0.001)
                        scope.cancel()

                    group.start_soon(cancel)
                    await _write(export, way, tmp_path)
            assert scope.cancelled_caught
            assert left(tmp_path) == []
    assert open_files() <= before


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("way", ["save", "to_ndjson"])
async def test_asyncios_own_cancellation_at_any_tick_leaves_nothing(
    tmp_path: Path, anyio_backend: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """task.cancel() after any number of turns, threads at work or not, leaves no file, no descriptor, and nothing half written (F9)."""
    monkeypatch.setattr(files, "HOP_BYTES", 1 << 15)
    before = open_files()
    finished = 0
    with ScriptedServer(answering(ARCHIVE)) as server:
        async with client(server) as amplitude:
            for ticks in range(0, 160, 4):
                task = asyncio.ensure_future(_write(amplitude.export(start=START, end=END), way, tmp_path))
                for _ in range(ticks):
                    await asyncio.sleep(0)
                task.cancel()
                try:
                    await task
                except asyncio.CancelledError:
                    pass
                else:
                    finished += 1
                if left(tmp_path) == ["before"]:
                    (tmp_path / "before").unlink()
                assert left(tmp_path) == []
    assert finished < 40
    assert open_files() <= before + 2  # worker threads' own


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_thread_is_waited_for_however_its_caller_is_cancelled(anyio_backend: str) -> None:
    """Cancelled once, and once more, the caller of a thread is let go when the thread has ended, with its cancellation."""
    began, go = threading.Event(), threading.Event()
    done: list[str] = []

    def work() -> None:
        began.set()
        go.wait(20)
        done.append("worked")

    task = asyncio.ensure_future(in_thread(work))
    while not began.is_set():
        await asyncio.sleep(0)
    for _ in range(2):
        task.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["worked"]


@pytest.mark.anyio
async def test_a_threads_error_and_result_come_back() -> None:
    """What the work returns is returned, what it raises is raised."""
    assert await in_thread(lambda: 5) == 5
    with pytest.raises(KeyError):
        await in_thread(lambda: {"y": 1}["x"])


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["save", "to_ndjson"])
async def test_closing_an_export_never_finishes_a_file(tmp_path: Path, way: str) -> None:
    """Closed by another task in mid-download, a file in the making is an error and gone, not a short success."""
    with ScriptedServer(answering(ARCHIVE, stalled(len(ARCHIVE) // 2))) as server:
        async with client(server) as amplitude:
            export = amplitude.export(start=START, end=END)

            async def close() -> None:
                while export.counts.bytes < len(ARCHIVE) // 2:
                    await anyio.sleep(0.001)
                await export.aclose()

            async with anyio.create_task_group() as group:
                group.start_soon(close)
                with pytest.raises(AmplitudeError):
                    await _write(export, way, tmp_path)
    assert left(tmp_path) == []


# The disk

FULL = """
import os, resource, sys
from pathlib import Path
import anyio
from amplitude_async import AsyncAmplitude
from amplitude_async.errors import ExportStorageError

WAYS = {
    "save": lambda export, folder: export.save(folder + "/may.zip"),
    "rows": lambda export, folder: export.save(folder + "/may.zip", verify="rows"),
    "ndjson": lambda export, folder: export.to_ndjson(folder + "/may.ndjson"),
    "gzip": lambda export, folder: export.to_ndjson(folder + "/may.ndjson.gz"),
    "parquet": lambda export, folder: export.to_parquet(folder),
    "sync-zip": lambda export, folder: export.sync(folder, format="zip"),
    "sync-ndjson": lambda export, folder: export.sync(folder, format="ndjson"),
    "sync-parquet": lambda export, folder: export.sync(folder, format="parquet"),
}

async def main(url, root):
    async with AsyncAmplitude("key", secret_key="secret", base_url=url) as amplitude:
        async def write(folder):
            await WAYS[os.environ["WAY"]](amplitude.export(start="20260501T07", end="20260501T08"), folder)

        def files(folder):
            return {path.name: path.read_bytes() for path in Path(folder).iterdir()}

        os.mkdir(root + "/whole")
        await write(root + "/whole")
        whole = files(root + "/whole")
        most = max(map(len, whole.values()))
        before = len(os.listdir("/proc/self/fd"))
        places = int(os.environ["PLACES"])
        for number in range(places):
            folder = f"{root}/{number}"
            os.mkdir(folder)
            resource.setrlimit(resource.RLIMIT_FSIZE, (most * (number + 1) // (places + 1), resource.RLIM_INFINITY))
            try:
                await write(folder)
            except ExportStorageError as error:
                assert "File too large" in str(error), error
            else:
                raise SystemExit(f"no error at {number}")
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            # What was finished before stays, and is whole; nothing else is left, and there is a way on.
            left = {name: data for name, data in files(folder).items() if name not in {"_manifest.jsonl", ".manifest.lock"}}
            assert all(whole[name] == data for name, data in left.items()), sorted(left)
            assert len(os.listdir("/proc/self/fd")) <= before, number
            await write(folder)
            assert files(folder) == whole, number

anyio.run(main, *sys.argv[1:], backend=os.environ["BACKEND"])
print("fine")
"""


@pytest.mark.parametrize(
    ("backend", "way"),
    [
        *(("asyncio", way) for way in ("save", "rows", "ndjson", "gzip", "parquet", "sync-zip", "sync-ndjson", "sync-parquet")),
        *(("trio", way) for way in ("save", "sync-parquet")),
    ],
)
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path, backend: str, way: str) -> None:
    """No file can grow any more, at many places of each way to files: a typed error, no partial file or descriptor, a way on (F8)."""
    if "parquet" in way:
        pytest.importorskip("pyarrow")
    hours = {HOUR + timedelta(hours=n): hour_members(HOUR + timedelta(hours=n), 1, 300) for n in range(2)}
    with HourServer(hours) as server:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", FULL, server.url, str(tmp_path)],
            check=False,
            capture_output=True,
            text=True,
            timeout=100,
            env=os.environ
            | {"BACKEND": backend, "WAY": way, "PLACES": "20" if way == "save" else "5", "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    assert (done.stdout, done.stderr) == ("fine\n", "")


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["save", "ndjson", "ndjson-hours", "parquet", "sync"])
async def test_a_disk_that_cannot_be_written_is_a_storage_error(tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that is mounted read-only every way to files is an ExportStorageError that names the place, and nothing is left."""
    if way == "parquet":
        pytest.importorskip("pyarrow")
    real = os.open

    def read_only(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        if flags & os.O_CREAT and str(path).startswith(str(tmp_path)):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", read_only)
    with ScriptedServer(answering(ARCHIVE)) as server:
        async with client(server) as amplitude:
            export = amplitude.export(start=START, end=END)
            writing: dict[str, Callable[[], Any]] = {
                "save": lambda: export.save(tmp_path / "may.zip"),
                "ndjson": lambda: export.to_ndjson(tmp_path / "may.ndjson"),
                "ndjson-hours": lambda: export.to_ndjson(tmp_path),
                "parquet": lambda: export.to_parquet(tmp_path),
                "sync": lambda: export.sync(tmp_path, format="zip"),
            }
            with pytest.raises(ExportStorageError, match=rf"{tmp_path.name}.*Read-only file system"):
                await writing[way]()
    assert left(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system reserves no room")
def test_room_is_reserved_where_the_system_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long write the room is reserved, never by the C library's writes to every page; where it cannot be, the file is the same."""
    fcntl = pytest.importorskip("fcntl")
    asked: list[tuple[int, int, bool]] = []

    def allocate(descriptor: int, at: int, length: int) -> None:
        asked.append((at, length, bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND)))
        raise OSError(errno.EOPNOTSUPP, "no such thing")

    data = os.urandom(files.RESERVED_FROM + 1)
    for name in ("reserved", "not reserved"):
        if name == "not reserved":
            monkeypatch.setattr(os, "posix_fallocate", allocate)
        file = AtomicFile(tmp_path / name)
        for piece in (b"short", data, b"", data):
            file.write(piece)
        assert not fcntl.fcntl(file.fileno(), fcntl.F_GETFL) & os.O_APPEND
        file.commit()
        assert (tmp_path / name).read_bytes() == b"short" + data + data
    assert asked == [(5, len(data), True), (5 + len(data), len(data), True)]


@pytest.mark.anyio
async def test_a_buffer_is_kept_for_the_next_file(tmp_path: Path) -> None:
    """A second file is gathered in the buffer of the first, two at once in one each, and one is kept; none before there is anything."""
    files._spare.clear()
    async with Buffered(tmp_path / "nothing"):
        pass
    assert files._spare == []
    async with Buffered(tmp_path / "one") as one, Buffered(tmp_path / "other") as other:
        await one.write(b"one")
        await other.write(b"other")
        await one.commit()
        await other.commit()
    assert ((tmp_path / "one").read_bytes(), (tmp_path / "other").read_bytes()) == (b"one", b"other")
    [kept] = files._spare
    async with Buffered(tmp_path / "next") as following:
        await following.write(b"next")
        assert files._spare == []
    assert files._spare == [kept]


@pytest.mark.anyio
async def test_a_target_gets_little_at_once() -> None:
    """What is handed to a target of somebody else's is at most 2 MiB, and all of it in order."""
    given: list[bytes] = []

    class Target:
        async def write(self, data: bytes) -> None:
            given.append(data)

    data = os.urandom(9 << 20)
    async with Buffered(Target()) as file:
        for at in range(0, len(data), 300_000):
            await file.write(data[at : at + 300_000])
        await file.commit()
    assert b"".join(given) == data
    assert max(map(len, given)) == files.TARGET_BYTES
    assert file.length == len(data)


@pytest.mark.anyio
async def test_a_file_that_its_check_refuses_never_appears(tmp_path: Path) -> None:
    """The name is given when the check, step by step, has found nothing; what it finds is raised, and no file is left."""
    async with Buffered(tmp_path / "fine") as file:
        await file.write(b"whole")
        steps = iter((True, True, False))
        await file.commit(lambda: next(steps) and file.read(0, 100) == b"whole" and left(tmp_path) != ["fine"])
    assert (tmp_path / "fine").read_bytes() == b"whole"
    with pytest.raises(ExportError, match="never"):
        async with Buffered(tmp_path / "damaged") as file:
            await file.write(b"half")
            await file.commit(refusal)
    assert left(tmp_path) == ["fine"]


def refusal() -> bool:
    message = "never"
    raise ExportError(message)


@pytest.mark.anyio
async def test_a_target_that_fails_is_its_own_error(tmp_path: Path) -> None:
    """What somebody else's write raises comes out as it is, and the download is closed."""

    class Failing:
        async def write(self, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    with ScriptedServer(answering(ARCHIVE)) as server:
        async with client(server) as amplitude:
            with pytest.raises(OSError, match="No space"):
                await amplitude.export(start=START, end=END).save(Failing())
            assert amplitude._caller.tasks.alive == 0


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
@pytest.mark.anyio
async def test_a_folder_that_forbids_it_is_a_storage_error(tmp_path: Path) -> None:
    """Where nothing may be created, the error names the path."""
    tmp_path.chmod(0o500)
    with ScriptedServer(answering(ARCHIVE)) as server:
        async with client(server) as amplitude:
            with pytest.raises(ExportStorageError, match="may.zip"):
                await amplitude.export(start=START, end=END).save(tmp_path / "may.zip")


def test_a_folder_in_the_way_is_a_storage_error(tmp_path: Path) -> None:
    """A name that has become a folder by the time the file is finished is an error, and nothing is left."""
    file = AtomicFile(tmp_path / "x")
    file.write(b"data")
    (tmp_path / "x").mkdir()
    with pytest.raises(ExportStorageError, match="Finishing"):
        file.commit()
    assert left(tmp_path) == ["x"]
    file.abort()


def test_folders_are_made_for_their_owner_alone(tmp_path: Path, umask: int) -> None:
    """Each folder that is missing is made 0700 under any umask; those that are there stay as they are (S8)."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there").chmod(0o755)
    make_folder(tmp_path / "there" / "a" / "b")
    assert [mode(tmp_path / "there" / name) for name in ("", "a", "a/b")] == [0o755, 0o700, 0o700]
    make_folder(tmp_path / "there")
    assert mode(tmp_path / "there") == 0o755
    (tmp_path / "file").touch()
    for wrong in ("file", "file/below"):
        with pytest.raises(OSError):
            make_folder(tmp_path / wrong)


# Rows


@pytest.mark.anyio
async def test_rows_are_written_as_they_were_sent(tmp_path: Path, umask: int) -> None:
    """Plain and compressed, by the name or by the argument: the lines of the archive, byte for byte, mode 0600."""
    with ScriptedServer(answering(ARCHIVE)) as server:
        async with client(server) as amplitude:
            for name, compress in (("a.ndjson", None), ("b.ndjson.gz", None), ("c.gz", False), ("d.ndjson", True)):
                export = amplitude.export(start=START, end=END)
                (written,) = await export.to_ndjson(tmp_path / name, compress=compress)
                data = (tmp_path / name).read_bytes()
                assert (written.name, written.hour, written.bytes, written.rows) == (str(tmp_path / name), "", len(data), len(ROWS))
                assert (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data) == LINES
                assert (data[:2] == b"\x1f\x8b") == (name in {"b.ndjson.gz", "d.ndjson"})
                assert mode(tmp_path / name) == 0o600
                assert export.counts.rows == len(ROWS)


@pytest.mark.anyio
async def test_last_lines_without_an_end_get_one(tmp_path: Path) -> None:
    """Files whose last line has no end do not run together."""
    with ScriptedServer(answering(build(CONTENTS["no last line end"]))) as server:
        async with client(server) as amplitude:
            await amplitude.export(start=START, end=END).to_ndjson(tmp_path / "x")
    assert (tmp_path / "x").read_bytes().count(b"\n") == 10
    assert [json.loads(line) for line in (tmp_path / "x").read_bytes().splitlines()] == reference_rows(
        build(CONTENTS["no last line end"])
    )


@pytest.mark.anyio
async def test_hours_get_files_of_their_own(tmp_path: Path) -> None:
    """A folder gets a file for each hour that has rows, named after it, with its rows."""
    hours = {HOUR + timedelta(hours=n): hour_members(HOUR + timedelta(hours=n), 1, 4 + n) for n in (0, 2)}
    with HourServer(hours) as server:
        async with client(server) as amplitude:
            written = await amplitude.export(start=START, end="20260501T10").to_ndjson(tmp_path)
            plain = await amplitude.export(start=START, end="20260501T10").to_ndjson(tmp_path, compress=False)
    assert [(Path(file.name).name, file.hour, file.rows) for file in written] == [
        ("20260501T07.ndjson.gz", "20260501T07", 4),
        ("20260501T09.ndjson.gz", "20260501T09", 6),
    ]
    for file, other, members in zip(written, plain, hours.values(), strict=True):
        text = gzip.decompress(Path(file.name).read_bytes())
        assert [json.loads(line) for line in text.splitlines()] == reference_rows(build(members))
        assert Path(other.name).read_bytes() == text


@pytest.mark.anyio
async def test_rows_without_an_hour_in_their_files_name_go_by_upload_time(tmp_path: Path) -> None:
    """Where a member's name says no hour, each row's upload time does; a row without one is an error that says where."""
    mixed = [line_of(row) for hour in (0, 1, 0) for row in rows(3, hour, hour=HOUR + timedelta(hours=hour))]
    with ScriptedServer(
        answering(build([Member("all.json.gz", mixed)])), answering(build([Member("all.json.gz", [*mixed, b'{"a":1}'])]))
    ) as server:
        async with client(server) as amplitude:
            written = await amplitude.export(start=START, end=END).to_ndjson(tmp_path)
            assert {file.hour: file.rows for file in written} == {"20260501T07": 6, "20260501T08": 3}
            with pytest.raises(ExportError, match="when it was uploaded") as caught:
                await amplitude.export(start=START, end=END).to_ndjson(tmp_path)
    assert (caught.value.member, caught.value.line) == ("all.json.gz", 10)


@pytest.mark.anyio
async def test_equal_rows_are_equal_bytes(tmp_path: Path) -> None:
    """However the download was cut up, the compressed file is the same, byte for byte, and has no time in it."""
    archive = build(hour_members(HOUR, 2, 700))
    digests = set()
    with ScriptedServer(*(answering(archive, whole(pieces=size)) for size in (3_001, 17_000, 65_536, 500_000))) as server:
        async with client(server) as amplitude:
            for number in range(4):
                path = tmp_path / f"{number}.gz"
                await amplitude.export(start=START, end=END).to_ndjson(path)
                digests.add(sha256(path.read_bytes()).hexdigest())
                assert path.read_bytes()[4:8] == bytes(4)
    assert len(digests) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("bad_rows", ["ignore", None, []])
async def test_bad_rows_are_raised_or_skipped(tmp_path: Path, bad_rows: Any) -> None:
    """Anything but the two words is refused before anything is sent."""
    with ScriptedServer(answering(ARCHIVE)) as server:
        async with client(server) as amplitude:
            for way in ("events", "batches"):
                with pytest.raises(InvalidArgumentError, match="bad_rows"):
                    getattr(amplitude.export(start=START, end=END), way)(bad_rows=bad_rows)
            with pytest.raises(InvalidArgumentError, match="bad_rows"):
                await amplitude.export(start=START, end=END).to_ndjson(tmp_path / "x", bad_rows=bad_rows)
            with pytest.raises(InvalidArgumentError, match="bad_rows"):
                await amplitude.export(start=START, end=END).sync(tmp_path / "y", format="zip", bad_rows=bad_rows)
    assert server.requests == []
    assert left(tmp_path) == []
