"""Damaged outbox files: moved aside, salvaged, never deleted, never in the way (D4, D9); and hostile ones (S21, S22, S27)."""

from __future__ import annotations

import ast
import asyncio
import logging
import random
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import amplitude_async.delivery
from amplitude_async.delivery import keeper, statements
from amplitude_async.delivery.salvage import salvage
from amplitude_async.errors import OutboxError

sys.path.insert(0, str(Path(__file__).parent))
from filling import PROJECT, everything, numbers, opened, rows

if TYPE_CHECKING:
    from collections.abc import Callable


def sound_file(folder: Path, count: int = 400, size: int = 300) -> tuple[bytes, bytes]:
    """Make a store with rows of several sizes and some that were removed; return its file, and its log in mid-work."""

    async def make() -> tuple[bytes, bytes]:
        path = folder / "sound.db"
        store = await opened(path)
        ids = await store.append(rows(count, size=size))
        await store.append(rows(3, count, size=20_000))
        store.set_aside(ids[5:8], "a reason", 1)
        store.settle(ids[20:30])
        await store.aclose()
        store = await opened(path)
        await store.append(rows(20, count + 3, size=size))
        store.settle([ids[40]])
        await store.page(0, 1, 1)
        log = path.with_name("sound.db-wal").read_bytes()
        database = path.read_bytes()
        await store.aclose()
        return database, log

    return asyncio.run(make())


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """Share one sound store among the tests that damage copies of it."""
    return sound_file(tmp_path_factory.mktemp("sound"))


KNOWN = {one.body for one in [*rows(400, size=300), *rows(3, 400, size=20_000), *rows(20, 403, size=300)]}
LEFT = sorted([*range(5), *range(8, 20), *range(30, 40), *range(41, 423)])


def broken_header(database: bytes) -> bytes:
    return b"\0" * 100 + database[100:]


def broken_schema(database: bytes) -> bytes:
    return database[:100] + b"\xff" * 3900 + database[4000:]


def broken_middle(database: bytes) -> bytes:
    middle = len(database) // 2 // 4096 * 4096
    return database[:middle] + b"\xa5" * 8192 + database[middle + 8192 :]


def cut(database: bytes) -> bytes:
    return database[: len(database) // 2]


def text(_: bytes) -> bytes:
    return b"this is no database\n" * 300


def empty(_: bytes) -> bytes:
    return b""


@pytest.mark.parametrize(
    ("damage", "least", "with_log"),
    [
        (broken_header, 388, False),
        (broken_header, 408, True),
        (broken_schema, 388, False),
        (broken_middle, 350, False),
        (broken_middle, 370, True),
        (cut, 130, False),
        (cut, 150, True),
        (text, 0, False),
        (text, 20, True),
        (empty, 0, False),
        (empty, 20, True),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_damaged_file_steps_aside_and_its_rows_are_salvaged(
    tmp_path: Path,
    sound: tuple[bytes, bytes],
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[bytes], bytes],
    least: int,
    *,
    with_log: bool,
) -> None:
    """The damaged bytes are kept under another name, readable rows are in a fresh store, opening takes no 2 s and says so (D4)."""
    database, log = sound
    path = tmp_path / "events.db"
    path.write_bytes(damage(database))
    if with_log:
        path.with_name("events.db-wal").write_bytes(log)
        expected = LEFT
    else:
        expected = sorted({*LEFT, 40} - set(range(403, 423)))

    async def check() -> None:
        start = time.monotonic()
        store = await opened(path)
        assert time.monotonic() - start < 2
        found = await everything(store)
        assert set(numbers(found)) <= set(expected) | {40}
        assert len(set(numbers(found))) == len(found)
        assert len(found) >= least
        assert numbers(found) == sorted(numbers(found))
        assert {one.body for one in found} <= KNOWN
        assert all(one.first_unknown_ms == one.accepted_ms for one in found)
        assert store.found.waiting_rows == store.counts.waiting_rows == len(found)
        assert store.unheard == 0
        if damage in {broken_header, broken_schema}:
            assert [one.reason for one in await store.list_set_aside()] == ["a reason"] * 3
        await store.append(rows(1, 1000))
        await store.aclose()

    asyncio.run(check())
    (aside,) = tmp_path.glob("events.db.damaged-*Z")
    if not with_log or damage is not broken_middle:  # SQLite moves the log into a file that it could open at first
        assert aside.read_bytes() == damage(database)
    loud = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert str(path) in loud[0]
    assert aside.name in loud[0]


def test_a_log_with_a_sound_copy_of_a_broken_page_mends_it(tmp_path: Path, sound: tuple[bytes, bytes]) -> None:
    """If the log has the page that is broken in the file, nothing is damaged."""
    path = tmp_path / "events.db"
    path.write_bytes(broken_schema(sound[0]))
    path.with_name("events.db-wal").write_bytes(sound[1])

    async def check() -> None:
        store = await opened(path)
        assert numbers(await everything(store)) == LEFT
        await store.aclose()

    asyncio.run(check())
    assert not list(tmp_path.glob("*.damaged-*"))


def test_a_second_damage_keeps_the_first_file(tmp_path: Path) -> None:
    """Files moved aside in the same second get names of their own."""
    path = tmp_path / "events.db"

    async def damage(content: bytes) -> None:
        path.write_bytes(content)
        await (await opened(path)).aclose()

    for content in (b"one", b"two", b"three"):
        asyncio.run(damage(content))
    assert sorted(one.read_bytes() for one in tmp_path.glob("events.db.damaged-*")) == [b"one", b"three", b"two"]


def test_a_log_without_its_file_is_salvaged(tmp_path: Path, sound: tuple[bytes, bytes]) -> None:
    """If the file itself is gone, SQLite would delete the log; its rows are brought over instead."""
    path = tmp_path / "events.db"
    path.with_name("events.db-wal").write_bytes(sound[1])

    async def check() -> None:
        store = await opened(path)
        assert set(range(403, 423)) <= set(numbers(await everything(store)))
        await store.aclose()

    asyncio.run(check())
    assert [one.read_bytes() for one in tmp_path.glob("events.db.damaged-*-wal")] == [sound[1]]


def test_rows_of_another_project_are_not_salvaged(sound: tuple[bytes, bytes]) -> None:
    """A row's sum is right for its own project alone."""
    assert len([one for one in salvage(*sound, PROJECT) if one]) > 400
    assert not [one for one in salvage(*sound, b"another project") if one]


def test_a_row_that_the_disk_changed_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Rows whose bytes or types are not what was stored don't reach the reader, are listed with a reason, and harm no neighbour (D9)."""
    path = tmp_path / "events.db"

    async def make() -> None:
        store = await opened(path)
        await store.append(rows(12))
        await store.aclose()

    async def check() -> None:
        store = await opened(path)
        assert numbers(await everything(store)) == [0, 2, 5, 6, 7, 8, 9, 11]
        aside = await store.list_set_aside()
        assert [(one.id, one.reason) for one in aside] == [(number, "damaged on disk") for number in (2, 4, 5, 11)]
        assert store.counts.damaged_rows == 4
        assert store.counts.waiting_rows == 8
        assert await store.purge_set_aside() == 4
        await store.aclose()

    asyncio.run(make())
    outside = sqlite3.connect(path)
    with outside:
        outside.execute("UPDATE waiting SET body = x'00ff' WHERE id = 2")
        outside.execute("UPDATE waiting SET body = 'text' WHERE id = 4")
        outside.execute("UPDATE waiting SET identity = CAST(x'ff' AS TEXT) WHERE id = 5")
        outside.execute("UPDATE waiting SET accepted_ms = 'never' WHERE id = 11")
    outside.close()
    asyncio.run(check())
    assert "4 events" in caplog.text


def test_damage_while_the_file_is_open_is_mended(tmp_path: Path) -> None:
    """A page that breaks under an open store costs its own rows: the others go on under their old ids, and the loss is counted."""
    path = tmp_path / "events.db"

    async def check() -> None:
        store = await opened(path)
        for start in range(0, 12_000, 1000):
            await store.append(rows(1000, start, size=1500))
        await store.aclose()
        store = await opened(path)
        store.on_arrival = lambda _: pytest.fail("rows that were there before did not arrive")
        ids = await store.append(rows(1, 12_000))
        with path.open("r+b") as file:
            file.seek(9000 * 1000 // 4096 * 4096)
            file.write(b"\xa5" * 40_960)
        found = await everything(store)
        lost = store.counts.lost_rows
        assert 10 <= lost <= 60
        assert len(found) == 12_001 - lost
        assert found[-1].id == ids[0]
        store.settle([one.id for one in found])
        assert await store.append(rows(1, 12_001)) == [ids[0] + 1]
        assert numbers(await everything(store)) == [12_001]
        await store.aclose()

    asyncio.run(check())
    assert len(list(tmp_path.glob("events.db.damaged-*Z"))) == 1


def test_a_large_salvage_goes_on_behind_an_open_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not read in the time that opening may take arrives later, behind what waits, while the store is in use."""
    database, _ = sound_file(tmp_path, count=5000)
    path = tmp_path / "events.db"
    path.write_bytes(broken_header(database))
    monkeypatch.setattr(keeper, "SALVAGE_SECONDS", 0.0)

    async def check() -> None:
        store = await opened(path)
        arrivals: list[int] = []
        await store.append(rows(1, 9000))
        store.on_arrival = arrivals.append
        arrivals += [store.found.waiting_rows, store.unheard]
        found = numbers(await everything(store))
        for _ in range(1000):
            if sum(arrivals) >= 4990:
                break
            await asyncio.sleep(0.01)
        found = numbers(await everything(store))
        assert sorted(found) == [*range(5), *range(8, 20), *range(30, 5003), 9000]
        assert store.counts.set_aside_rows == 3
        await store.aclose()

    asyncio.run(check())


def test_a_hostile_file_gives_typed_errors_only(tmp_path: Path, sound: tuple[bytes, bytes]) -> None:
    """200 files with random damage, logs included: each opens or is refused by the library's own error, and can be used (S27)."""
    chance = random.Random(20260501)
    database, log = sound

    async def use(path: Path) -> None:
        try:
            store = await opened(path)
        except OutboxError:
            return
        try:
            found = await everything(store)
            assert len(found) <= 600
            await store.list_set_aside()
            (fresh,) = await store.append(rows(1, 9999))
            store.settle([fresh, *(one.id for one in found[::2])])
            store.set_aside([one.id for one in found[1::4]], "a reason", 1)
            await store.retry_set_aside()
            await everything(store)
        except OutboxError:
            pass
        finally:
            await store.aclose()

    for number in range(200):
        path = tmp_path / f"{number}.db"
        for name, content in ((path.name, database), (f"{path.name}-wal", log)):
            if name.endswith("wal") and number % 3 == 0:
                continue
            damaged = bytearray(content)
            for _ in range(chance.choice([0, 1, 1, 3, 30])):
                place = chance.randrange(len(damaged)) if chance.random() < 0.7 else chance.randrange(200)
                length = chance.choice([1, 1, 2, 4, 100, 5000])
                damaged[place : place + length] = chance.randbytes(length) if chance.random() < 0.6 else bytes(length)
            if chance.random() < 0.1:
                del damaged[chance.randrange(len(damaged)) :]
            (tmp_path / name).write_bytes(damaged)
        asyncio.run(use(path))
        for one in tmp_path.iterdir():
            one.unlink()


@settings(max_examples=150, deadline=None)
@given(
    places=st.lists(st.tuples(st.integers(0, 250_000), st.binary(min_size=1, max_size=12)), max_size=40),
    log_places=st.lists(st.tuples(st.integers(0, 60_000), st.binary(min_size=1, max_size=12)), max_size=20),
)
def test_salvaging_reads_any_bytes(places: list[tuple[int, bytes]], log_places: list[tuple[int, bytes]]) -> None:
    """Whatever the bytes are, salvaging ends, raises nothing, and gives only rows whose sum is right (S27)."""
    if not CACHE:
        with tempfile.TemporaryDirectory() as folder:
            CACHE.extend(sound_file(Path(folder), count=100))
    database, log = map(bytearray, CACHE)
    for content, changes in ((database, places), (log, log_places)):
        for place, change in changes:
            at = place % len(content)
            content[at : at + len(change)] = change[: len(content) - at]
    known = {one.body for one in [*rows(100, size=300), *rows(3, 100, size=20_000), *rows(20, 103, size=300)]}
    for found in salvage(bytes(database), bytes(log), PROJECT):
        assert found is None or found.values[6] in known


CACHE: list[bytes] = []


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_salvaging_nonsense_finds_nothing(database: bytes, log: bytes) -> None:
    """Bytes that never were a store give no rows and no error."""
    assert not [one for one in salvage(database, log, PROJECT) if one]
    page = b"\x0d" + database
    assert not [one for one in salvage(page, b"\x37\x7f\x06\x82" + log, PROJECT) if one]


def test_no_statement_is_built_from_text() -> None:
    """What is executed is a constant: a plain literal, or a name for one (S22)."""
    (folder,) = map(Path, amplitude_async.delivery.__path__)
    seen = 0
    for path in sorted(folder.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.startswith("execute"):
                seen += 1
                assert isinstance(node.args[0], ast.Constant | ast.Name | ast.Attribute | ast.Subscript), f"{path.name}:{node.lineno}"
                assert node.func.attr != "executescript"
    assert seen > 30
    for node in ast.parse(Path(statements.__file__).read_text()).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id.isupper():
            elements = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            assert all(isinstance(element, ast.Constant) for element in elements), node.target.id


def test_data_is_never_run() -> None:
    """Nothing that is read from the file can become code (S21)."""
    (folder,) = map(Path, amplitude_async.delivery.__path__)
    for path in folder.glob("*.py"):
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert not names & {"pickle", "eval", "exec", "marshal", "yaml", "compile", "__import__"}, path
