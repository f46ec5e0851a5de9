"""Where an outbox file may stand, who may read it, who may use it: D6, D7, S6, S8, S9, and slots in a shared folder."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from amplitude_async._protocol.masking import fingerprint
from amplitude_async.delivery.locking import take_lock
from amplitude_async.delivery.slots import claim_slot, dead_slots
from amplitude_async.errors import OutboxClosed, OutboxLocked, OutboxStorageError

sys.path.insert(0, str(Path(__file__).parent))
from filling import KEY, PROJECT, command, everything, numbers, opened, rows, run

HOLD = """
import asyncio, sys
from pathlib import Path
from filling import opened, rows
async def main():
    store = await opened(Path(sys.argv[1]))
    await store.append(rows(7))
    print("open", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def mode(path: Path) -> int:
    """Return who may do what with a file."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["no/such/folder/events.db", "a folder", "a file/events.db", "", "nul\0nul", "x" * 300])
async def test_a_path_that_cannot_be_is_an_error_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """A missing parent, a folder, a file as parent, no path at all: refused, and nothing is left beside it (D6)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a folder").mkdir()
    (tmp_path / "a file").write_bytes(b"")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutboxStorageError) as caught:
        await opened(path)  # type: ignore[arg-type]  # users pass text, too
    assert path in caught.value.path
    assert repr(path) in str(caught.value) or path in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert not [thread for thread in threading.enumerate() if "outbox" in thread.name]


FORBIDDEN = """
import asyncio, os, sys
from pathlib import Path
from amplitude_async.errors import OutboxStorageError
from filling import opened
async def main():
    await (await opened(Path(sys.argv[2]))).aclose()  # everything is loaded now
    if os.geteuid() == 0:
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
    try:
        await opened(Path(sys.argv[1]))
    except OutboxStorageError as refusal:
        assert sys.argv[1] in str(refusal) and refusal.path == sys.argv[1], refusal
        print("refused", refusal)
asyncio.run(main())
"""


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_place_without_rights_is_an_error_that_names_it(tmp_path: Path, what: str) -> None:
    """A folder that cannot be written, and a file of somebody else: refused (D6)."""
    folder = tmp_path / "place"
    folder.mkdir()
    path = folder / "events.db"
    if what == "file":
        asyncio.run(make(path))
        if os.geteuid() != 0:
            path.chmod(0o400)
            path.with_name("events.db.lock").chmod(0o400)
        folder.chmod(0o777)
    else:
        folder.chmod(0o555)
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    done = run(FORBIDDEN, path, tmp_path / "other.db")
    if what == "file" and os.geteuid() != 0:
        assert done.returncode == 0, done.stderr  # one's own file is made private again, and opened
    else:
        assert done.stdout.startswith("refused"), done.stdout + done.stderr
    folder.chmod(0o700)


async def make(path: Path, count: int = 0) -> None:
    """Leave a file with some rows."""
    store = await opened(path)
    if count:
        await store.append(rows(count))
    await store.aclose()


READ_ONLY = """
set -e
mount -t tmpfs -o size=4m none "$1"
"$2" -c "$3" write "$1/events.db"
mount -o remount,ro "$1"
exec "$2" -c "$3" read "$1/events.db" "$1/new.db"
"""
READ_ONLY_PROGRAM = """
import asyncio
from pathlib import Path
from amplitude_async.errors import OutboxStorageError
from filling import opened, rows
async def main():
    if sys.argv[1] == "write":
        store = await opened(Path(sys.argv[2]))
        await store.append(rows(3))
        await store.aclose()
        return
    for path in sys.argv[2:]:
        try:
            await opened(Path(path))
        except OutboxStorageError as refusal:
            assert path in str(refusal), refusal
            print("refused")
asyncio.run(main())
"""


def can_mount() -> bool:
    """Say whether a file system can be mounted where only a child process sees it."""
    try:
        probe = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs none /mnt"]
        return subprocess.run(probe, capture_output=True, check=False, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@pytest.mark.skipif(not can_mount(), reason="no file system can be mounted here")
def test_a_read_only_disk_is_an_error_that_names_the_path(tmp_path: Path) -> None:
    """Neither an old nor a new file opens there, and neither turns into memory (D6)."""
    program = command(READ_ONLY_PROGRAM)[2]
    steps = ["unshare", "-rm", "sh", "-c", READ_ONLY, "sh", str(tmp_path), sys.executable, program]
    done = subprocess.run(steps, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == ["refused", "refused"], done.stderr


@pytest.mark.asyncio
async def test_a_second_process_is_locked_out_and_the_first_goes_on(tmp_path: Path) -> None:
    """The second is told at once and by name; a killed owner's lock is free at once, and its rows are there (D7)."""
    path = tmp_path / "events.db"
    with subprocess.Popen(command(HOLD, path), stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "open\n"
        start = time.monotonic()
        with pytest.raises(OutboxLocked, match=r"events\.db is in use by another process") as caught:
            await opened(path)
        assert time.monotonic() - start < 1
        assert caught.value.path == str(path)
        assert owner.poll() is None
        owner.kill()
        owner.wait(10)
    start = time.monotonic()
    store = await opened(path)
    assert time.monotonic() - start < 1
    assert numbers(await everything(store)) == list(range(7))
    with pytest.raises(OutboxLocked, match="another outbox of this process"):
        await opened(path)
    with pytest.raises(OutboxLocked):
        take_lock(path)
    await store.append(rows(1, 7))
    await store.aclose()
    take_lock(path).release()


@pytest.mark.asyncio
async def test_another_program_in_the_file_is_respected(tmp_path: Path) -> None:
    """Whoever has the database open by other means keeps it; nothing is moved."""
    path = tmp_path / "events.db"
    await make(path, 3)
    program = (
        "import sqlite3; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE')\n"
        "print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(command(program, path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(OutboxLocked, match="open in another program"):
            await opened(path)
        other.communicate(timeout=10)
    store = await opened(path)
    assert store.counts.waiting_rows == 3
    await store.aclose()


@pytest.mark.asyncio
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777])
async def test_files_and_folders_are_their_owners_alone(tmp_path: Path, mask: int) -> None:
    """Whatever the umask: 0600 for the file, its log, its lock and what is moved aside, 0700 for a folder that was made (S8)."""
    folder = tmp_path / "slots"
    before = os.umask(mask)
    try:
        slot = await claim_slot(folder)
        store = await opened(slot.path, lock=slot.lock)
        await store.append(rows(3))
        assert mode(folder) == 0o700
        assert {one.name: mode(one) for one in folder.iterdir()} == dict.fromkeys(
            ["slot-0001.db", "slot-0001.db-wal", "slot-0001.db.lock"], 0o600
        )
        await store.aclose()
        slot.path.write_bytes(b"damaged" * 1000)
        slot.path.chmod(0o644)
        store = await opened(slot.path)
        assert {mode(one) for one in folder.iterdir()} == {0o600}
        await store.aclose()
    finally:
        os.umask(before)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["symbolic", "dangling", "hard", "pipe"])
@pytest.mark.parametrize("ending", ["", "-wal", "-journal", ".lock", ".new", ".new-journal"])
async def test_a_planted_link_is_not_followed(tmp_path: Path, kind: str, ending: str) -> None:
    """Whatever name is planted, of the file or beside it, the foreign file keeps its bytes, its rights and its name (S9)."""
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"precious")
    foreign.chmod(0o644)
    folder = tmp_path / "here"
    folder.mkdir()
    if ending == "-wal":
        await make(folder / "events.db", 3)
    planted = folder / f"events.db{ending}"
    if kind == "symbolic":
        planted.symlink_to(foreign)
    elif kind == "dangling":
        planted.symlink_to(tmp_path / "not there")
    elif kind == "hard":
        planted.hardlink_to(foreign)
    else:
        os.mkfifo(planted)
    if ending.startswith(".new"):
        store = await opened(folder / "events.db")  # the name in the way is removed, what it stood for is not
        await store.aclose()
    else:
        with pytest.raises(OutboxStorageError, match=r"events\.db"):
            await opened(folder / "events.db")
    assert foreign.read_bytes() == b"precious"
    assert mode(foreign) == 0o644
    assert not (tmp_path / "not there").exists()


@pytest.mark.asyncio
async def test_no_name_holds_a_secret(tmp_path: Path) -> None:
    """Neither files nor threads are named after the key (S6)."""
    store = await opened(tmp_path / "events.db")
    names = [one.name for one in tmp_path.iterdir()] + [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if KEY in name or PROJECT.hex()[:8] in name]
    assert KEY not in repr(PROJECT) + repr(vars(store))
    await store.aclose()


@pytest.mark.asyncio
async def test_each_owner_gets_a_slot_of_its_own(tmp_path: Path) -> None:
    """The lowest free slot is taken; the slots of living owners are not."""
    first = await claim_slot(tmp_path / "slots")
    second = await claim_slot(tmp_path / "slots")
    with subprocess.Popen(command(HOLD, tmp_path / "slots" / "slot-0003.db"), stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        fourth = await claim_slot(tmp_path / "slots")
        assert [slot.path.name for slot in (first, second, fourth)] == ["slot-0001.db", "slot-0002.db", "slot-0004.db"]
        assert fourth.dead == ()
        owner.kill()
        owner.wait(10)
    assert [path.name for path in dead_slots(tmp_path / "slots", fourth.path)] == ["slot-0003.db"]
    for slot in (first, second, fourth):
        slot.lock.release()
        slot.lock.release()


@pytest.mark.asyncio
async def test_rows_of_dead_owners_are_taken_over(tmp_path: Path) -> None:
    """They come behind one's own, set-aside ones stay set aside, times are kept, and the emptied file is gone."""
    folder = tmp_path / "slots"
    slot = await claim_slot(folder)
    dead = folder / "slot-0002.db"
    other = await opened(dead)
    ids = await other.append(rows(1200, 100))
    other.note_unknown(ids[:1], 77)
    other.set_aside(ids[-2:], "why not", 5)
    await other.aclose()
    store = await opened(slot.path, lock=slot.lock)
    await store.append(rows(2))
    arrivals: list[int] = []
    store.on_arrival = arrivals.append
    assert [path.name for path in dead_slots(folder, slot.path)] == ["slot-0002.db"]
    assert await store.adopt(dead) == 1200
    assert await store.adopt(dead) == 0
    found = await everything(store)
    assert numbers(found) == [0, 1, *range(100, 1298)]
    assert found[2].first_unknown_ms == 77
    assert [(one.reason, one.set_aside_ms) for one in await store.list_set_aside()] == [("why not", 5)] * 2
    assert sum(arrivals) == 1198
    assert not dead.exists()
    assert store.counts.waiting_rows == 1200
    await store.aclose()


@pytest.mark.asyncio
async def test_what_must_not_be_taken_over_is_left_where_it_is(tmp_path: Path) -> None:
    """A living owner's file, another project's and one with other options are refused; a damaged one is salvaged."""
    store = await opened(tmp_path / "own.db", options=b"{}")
    for name, extra, count in (("foreign.db", {"project": fingerprint("another-invented-key")}, 3), ("optioned.db", {}, 4)):
        other = await opened(tmp_path / name, **extra)
        await other.append(rows(count))
        with pytest.raises(OutboxLocked):
            await store.adopt(tmp_path / name)
        await other.aclose()
        before = (tmp_path / name).read_bytes()
        with pytest.raises(OutboxStorageError, match=name):
            await store.adopt(tmp_path / name)
        assert (tmp_path / name).read_bytes() == before
    with pytest.raises(OutboxStorageError, match="itself"):
        await store.adopt(tmp_path / "own.db")
    damaged = tmp_path / "optioned.db"
    damaged.write_bytes(b"x" * 100 + damaged.read_bytes()[100:])
    assert await store.adopt(damaged) == 4
    assert not damaged.exists()
    assert store.counts.waiting_rows == 4
    await store.aclose()


@pytest.mark.asyncio
async def test_taking_over_waits_for_room(tmp_path: Path) -> None:
    """A full outbox takes over more as it drains; closed before the end, it leaves the rest where it was."""
    other = await opened(tmp_path / "dead.db")
    for start in range(0, 12_000, 1000):
        await other.append(rows(1000, start, size=400))
    await other.aclose()
    store = await opened(tmp_path / "own.db", max_bytes=3 * 1024 * 1024)
    task = asyncio.ensure_future(store.adopt(tmp_path / "dead.db"))
    found: list[int] = []
    while len(found) < 6000:
        page = await store.page(0, 1000, 1_000_000)
        found += numbers(page)
        store.settle([one.id for one in page])
        await asyncio.sleep(0)
    assert not task.done()
    await store.aclose()
    with pytest.raises(OutboxClosed):
        await task
    left: list[int] = []
    for name in ("own.db", "dead.db"):
        again = await opened(tmp_path / name)
        left += numbers(await everything(again))
        await again.aclose()
    assert sorted([*found, *left]) == list(range(12_000))
