"""What an outbox file survives: a full disk, SIGKILL, forks, a loop that just ends, a million rows (C4, C7, D1, D5, D11)."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from amplitude_async.delivery.sqlite import SQLiteStore

sys.path.insert(0, str(Path(__file__).parent))
from filling import command, everything, numbers, opened, rows, run

has_posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX processes")

FULL = """
import asyncio, logging, os, resource, time
from pathlib import Path
from amplitude_async.errors import OutboxFull, OutboxStorageError
from filling import everything, numbers, opened, rows
logging.basicConfig(format="%(levelname)s")
limit = resource.getrlimit(resource.RLIMIT_FSIZE)
ballast = Path(sys.argv[1] + ".ballast")
def fill_up():
    if sys.argv[2] == "limit":  # no file may grow beyond this
        resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, limit[1]))
    else:
        with open(ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
def make_room():
    if sys.argv[2] == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    else:
        ballast.unlink()
async def main():
    store = await opened(Path(sys.argv[1]))
    acknowledged = list(range(200))
    ids = await store.append(rows(200, size=100))
    fill_up()
    refused = []
    number = 200
    while len(refused) < 5:
        try:
            await store.append(rows(20, number, size=400))
            acknowledged += range(number, number + 20)
        except OutboxStorageError as error:
            assert sys.argv[1] in str(error), error
            refused.append(number)
        number += 20
        assert number < 40_000
    # Earlier rows keep flowing: what is settled is not seen again, whether or not it could be removed.
    found = await everything(store)
    assert numbers(found) == acknowledged, (len(found), len(acknowledged))
    store.settle(ids[:150])
    store.set_aside(ids[150:160], "a reason", 1)
    assert numbers(await everything(store)) == acknowledged[160:]
    for turn in range(3):
        try:
            await store.append(rows(20, 50_000 + 20 * turn, size=400))
            acknowledged += range(50_000 + 20 * turn, 50_020 + 20 * turn)
        except OutboxStorageError:
            pass
    assert numbers(await everything(store)) == acknowledged[160:]
    make_room()
    start = time.monotonic()
    while store.counts.waiting_rows != len(acknowledged) - 160:  # by itself, without anybody's write
        assert time.monotonic() - start < 5, store.counts
        await asyncio.sleep(0.05)
    await store.append(rows(20, 60_000, size=400))
    acknowledged += range(60_000, 60_020)
    await store.aclose()
    store = await opened(Path(sys.argv[1]))
    assert numbers(await everything(store)) == acknowledged[160:]
    assert store.counts.set_aside_rows == 10
    await store.aclose()
    print("survived", len(refused))
asyncio.run(main())
"""


@has_posix
def test_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    """Where files cannot grow, nothing of a refused call is stored, earlier rows flow, and it resumes by itself within 5 s (D5)."""
    done = run(FULL, tmp_path / "events.db", "limit")
    assert done.stdout == "survived 5\n", done.stderr
    assert set(done.stderr.split()) <= {"ERROR", "WARNING"}
    assert done.stderr.count("ERROR") == 1  # one line a burst


@has_posix
def test_a_full_file_system_refuses_and_recovers(tmp_path: Path) -> None:
    """The same on a file system that really is full (D5)."""
    program = command(FULL)[2]
    script = 'mount -t tmpfs -o size=2m none "$1" && exec "$2" -c "$3" "$1/events.db" disk'
    steps = ["unshare", "-rm", "sh", "-c", script, "sh", str(tmp_path), sys.executable, program]
    try:
        done = subprocess.run(steps, capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        pytest.skip("no file system can be mounted here")
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip("no file system can be mounted here")
    assert done.stdout == "survived 5\n", done.stderr


PRODUCERS = """
import asyncio, os, random
from pathlib import Path
from filling import NOW_MS, Row, opened
async def main():
    chance = random.Random(int(sys.argv[2]))
    store = await opened(Path(sys.argv[1]))
    number = 0
    async def producer(name):
        nonlocal number
        for turn in range(100_000):
            count = chance.choice([1, 1, 1, 3, 40])
            made = [Row(0, name, "event", f"insert-{name}-{sys.argv[2]}-{turn}-{i}", NOW_MS, None, b"x" * 300) for i in range(count)]
            await store.append(made)
            os.write(1, "".join(f"+{one.insert_id}\\n" for one in made).encode())
    async def drain():
        while True:
            page = await store.page(0, chance.randrange(1, 300), 100_000)
            if len(page) > 100:
                gone = page[: len(page) // 2]
                os.write(1, "".join(f"-{one.insert_id}\\n" for one in gone).encode())  # before, as Amplitude's answer is
                store.settle([one.id for one in gone])
            await asyncio.sleep(0.002)
    await asyncio.gather(*(producer(f"p{n}") for n in range(4)), drain())
asyncio.run(main())
"""


@has_posix
def test_no_acknowledged_row_is_lost_to_sigkill(tmp_path: Path) -> None:
    """Killed at random instants with 4 producers and a reader at work, the file opens within 1 s and has every row once (D1)."""
    path = tmp_path / "events.db"
    chance = random.Random(20260501)
    acknowledged: set[str] = set()
    settled: set[str] = set()
    trials = int(os.environ.get("AMPLITUDE_ASYNC_KILLS", "12"))

    async def check() -> None:
        start = time.monotonic()
        store = await opened(path)
        assert time.monotonic() - start < 1
        found = [one.insert_id for one in await everything(store)]
        assert len(found) == len(set(found))
        assert acknowledged - settled <= set(found)
        assert store.counts.waiting_rows == len(found)
        assert store.counts.damaged_rows == store.counts.lost_rows == 0
        await store.aclose()

    for trial in range(trials):
        with subprocess.Popen(command(PRODUCERS, path, trial), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            assert child.stdout is not None
            first = child.stdout.readline()
            timer = time.monotonic() + chance.uniform(0, 0.25)
            lines = [first]
            os.set_blocking(child.stdout.fileno(), False)
            rest = b""
            while time.monotonic() < timer:
                rest += child.stdout.read() or b""
                time.sleep(0.001)
            child.kill()
            child.wait(10)
            rest += child.stdout.read() or b""
        lines += rest.splitlines(keepends=True)
        for line in lines:
            if line.endswith(b"\n"):
                (acknowledged if line[:1] == b"+" else settled).add(line[1:-1].decode())
        asyncio.run(check())
    assert len(acknowledged) > 50 * trials
    assert not list(tmp_path.glob("*.damaged-*"))


FORK = """
import asyncio, gc, os, selectors, warnings
from pathlib import Path
from amplitude_async.errors import OutboxClosed, OutboxLocked
from filling import everything, numbers, opened, rows
warnings.simplefilter("ignore", DeprecationWarning)  # later Pythons warn of every fork with threads
path = Path(sys.argv[1])
# Not epoll: a child that throws away the loop it inherited would take the parent's own pipe out of the epoll they share.
loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
store = loop.run_until_complete(opened(path))
loop.run_until_complete(store.append(rows(100)))
who = "parent"
for start in range(100, 3000, 100):
    waiting = [store.append(rows(10, number)) for number in range(start, start + 100, 10)]
    if start % 500 == 0 and os.fork() == 0:  # while the thread is at work
        who = "child"
        break
    for one in waiting:
        loop.run_until_complete(one)
if who == "child":
    try:
        store.append(rows(1))
    except OutboxClosed:
        pass
    else:
        os._exit(1)
    async def own():
        try:
            await opened(path)
        except OutboxLocked:
            pass
        else:
            os._exit(2)
        other = await opened(path.with_name(f"child-{os.getpid()}.db"))
        await other.append(rows(5))
        assert await other.aclose()
    asyncio.new_event_loop().run_until_complete(own())
    del store
    gc.collect()
    sys.exit(7)  # through the whole end of the interpreter
codes = [os.waitstatus_to_exitcode(os.waitpid(-1, 0)[1]) for _ in range(5)]
assert codes == [7] * 5, codes
loop.run_until_complete(store.append(rows(1, 3000)))
assert loop.run_until_complete(store.aclose())
store = loop.run_until_complete(opened(path))
assert numbers(loop.run_until_complete(everything(store))) == list(range(3001))
assert store.counts.lost_rows == 0
loop.run_until_complete(store.aclose())
loop.close()
print("unharmed")
"""


@has_posix
def test_a_fork_leaves_the_parents_file_alone(tmp_path: Path) -> None:
    """Children of a busy parent are closed to it and locked out of its file, can open their own, and end without touching it (C7)."""
    done = run(FORK, tmp_path / "events.db")
    assert done.stdout == "unharmed\n", done.stderr
    assert not list(tmp_path.glob("*.damaged-*"))


ORPHAN = """
import asyncio, os, time
from pathlib import Path
from filling import opened, rows
async def main():
    store = await opened(Path(sys.argv[1]))
    await store.append(rows(5))
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    print(child, flush=True)
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""


@has_posix
def test_a_child_that_outlives_its_parent_does_not_keep_the_lock(tmp_path: Path) -> None:
    """The dead owner's file is free at once, although its child lives (D7)."""
    with subprocess.Popen(
        command(ORPHAN, tmp_path / "events.db"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as owner:
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        owner.wait(10)
        try:

            async def check() -> None:
                store = await opened(tmp_path / "events.db")
                assert len(await everything(store)) == 5
                await store.aclose()

            asyncio.run(check())
        finally:
            os.kill(child, 9)


LEFT_OPEN = """
import asyncio
from pathlib import Path
from filling import opened, rows
async def main():
    global store
    store = await opened(Path(sys.argv[1]))
    for start in range(0, 1000, 100):
        store.append(rows(100, start))
asyncio.run(main())
sys.exit(3)
"""


def test_a_loop_that_just_ends_keeps_what_was_handed_in(tmp_path: Path) -> None:
    """Without aclose() the interpreter still ends at once, with its own exit code, and the rows are there (C4)."""
    start = time.monotonic()
    done = run(LEFT_OPEN, tmp_path / "events.db")
    assert time.monotonic() - start < 10
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr

    async def check() -> None:
        store = await opened(tmp_path / "events.db")
        assert numbers(await everything(store)) == list(range(1000))
        await store.aclose()

    asyncio.run(check())


MANY = """
import asyncio, resource, time
from pathlib import Path
from filling import numbers, opened
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
async def main():
    await (await opened(Path(sys.argv[1] + ".warm"))).aclose()
    before = resident()
    start = time.monotonic()
    store = await opened(Path(sys.argv[1]))
    opening = time.monotonic() - start
    page = await store.page(0, 1000, 900_000)
    first = time.monotonic() - start - opening
    assert numbers(page) == list(range(len(page))) and len(page) > 500
    seen = 0
    last = 0
    while page := await store.page(last, 1000, 900_000):
        assert page[0].id == last + 1 and page[-1].id == last + len(page)
        last = page[-1].id
        seen += len(page)
    assert seen == store.counts.waiting_rows
    print(seen, opening, first, resident() - before)
    await store.aclose()
asyncio.run(main())
"""


def test_many_waiting_rows_are_not_loaded_at_once(tmp_path: Path) -> None:
    """Opening 100,000 rows is quick, the first page comes at once, and memory stays small while all are read (D11, a tenth)."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("resident memory is read from /proc")
    path = tmp_path / "events.db"
    count = int(os.environ.get("AMPLITUDE_ASYNC_ROWS", "100000"))

    async def fill() -> None:
        store = await opened(path)
        waiting = [store.append(rows(2000, start, size=400)) for start in range(0, count, 2000)]
        await asyncio.gather(*waiting)
        await store.aclose()

    asyncio.run(fill())
    done = run(MANY, path)
    assert done.returncode == 0, done.stderr
    seen, opening, first, growth = map(float, done.stdout.split())
    assert seen == count
    assert opening < 5
    assert first < 1
    assert growth < 64 * 1024 * 1024


def test_an_unused_class_opens_nothing() -> None:
    """Importing and naming the store makes no file, no thread and no lock."""
    assert SQLiteStore.__module__ == "amplitude_async.delivery.sqlite"
    program = (
        "import sys, threading\n"
        "seen = []\n"
        "sys.addaudithook(lambda name, _: seen.append(name) if name in ('sqlite3.connect', 'os.mkdir', 'fcntl.lockf') else None)\n"
        "import amplitude_async.delivery.sqlite, amplitude_async.delivery.slots\n"
        "assert threading.active_count() == 1\n"
        "print(seen)\n"
    )
    done = subprocess.run([sys.executable, "-B", "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "[]\n", done.stderr
