"""The durable store at work: what is stored, read, removed, set aside, and in which order."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_async._protocol.masking import fingerprint
from amplitude_async.delivery import stock
from amplitude_async.delivery.sqlite import Row, SetAside, ndjson_line
from amplitude_async.errors import OutboxClosed, OutboxFull, OutboxStorageError

sys.path.insert(0, str(Path(__file__).parent))
from filling import KEY, NOW_MS, PROJECT, everything, numbers, opened, row, rows


@pytest.mark.asyncio
async def test_rows_come_back_as_they_went_in_and_in_order(tmp_path: Path) -> None:
    """Ids rise in order of acceptance, and every column is what it was, before and after a restart."""
    strange = Row(0, "Ünï \U0001f600", "$identify", "a'b\"c", NOW_MS, NOW_MS - 5, b'{"n":"\xf0\x9f\x98\x80"}')
    store = await opened(tmp_path / "events.db")
    ids = [*await store.append(rows(70)), *await store.append([strange]), *await store.append(rows(3, 70))]
    assert ids == list(range(1, 75))
    expected = [one._replace(id=number) for number, one in enumerate([*rows(70), strange, *rows(3, 70)], 1)]
    assert await everything(store) == expected
    await store.aclose()
    store = await opened(tmp_path / "events.db")
    assert await everything(store) == expected
    assert (await store.append([row(99)])) == [75]
    await store.aclose()


@pytest.mark.asyncio
async def test_a_page_is_bounded_in_rows_and_bytes(tmp_path: Path) -> None:
    """A page ends at the first limit it meets, and a row larger than the limit comes alone."""
    store = await opened(tmp_path / "events.db")
    await store.append([*rows(4, size=100), row(4, size=5000), row(5)])
    assert numbers(await store.page(0, 3, 10_000)) == [0, 1, 2]
    assert numbers(await store.page(0, 100, 300)) == [0, 1]
    assert numbers(await store.page(4, 100, 300)) == [4]
    assert numbers(await store.page(5, 100, 300)) == [5]
    assert await store.page(6, 100, 300) == []
    await store.aclose()


@pytest.mark.asyncio
async def test_settled_rows_are_gone_and_the_counts_follow(tmp_path: Path) -> None:
    """What was settled is not read again, and the counts are those of the rows that are left, across a restart too."""
    store = await opened(tmp_path / "events.db")
    ids = await store.append(rows(10))
    store.settle(ids[2:5])
    store.settle([ids[2], 4711])
    assert numbers(await everything(store)) == [0, 1, 5, 6, 7, 8, 9]
    await store.aclose()
    store = await opened(tmp_path / "events.db")
    left = await everything(store)
    assert numbers(left) == [0, 1, 5, 6, 7, 8, 9]
    assert store.counts[:4] == store.found[:4] == (7, sum(len(one.body) for one in left), 0, 0)
    await store.aclose()


@pytest.mark.asyncio
async def test_the_first_unknown_outcome_is_remembered(tmp_path: Path) -> None:
    """The time of the first attempt without an answer stays, across later ones and a restart."""
    store = await opened(tmp_path / "events.db")
    ids = await store.append(rows(3))
    store.note_unknown(ids[:2], 1000)
    store.note_unknown(ids, 2000)
    store.note_unknown([4711], 3000)
    await store.aclose()
    store = await opened(tmp_path / "events.db")
    assert [one.first_unknown_ms for one in await everything(store)] == [1000, 1000, 2000]
    await store.aclose()


@pytest.mark.asyncio
async def test_set_aside_rows_can_be_listed_retried_and_purged(tmp_path: Path) -> None:
    """A set-aside row keeps its reason; a retried one waits again, behind the others, in the old order."""
    store = await opened(tmp_path / "events.db")
    ids = await store.append(rows(6))
    store.note_unknown([ids[3]], 77)
    store.set_aside([ids[3], ids[1]], "no such thing \ud800", 500)
    store.set_aside([ids[5]], "too old", 600)
    aside = await store.list_set_aside()
    assert [(one.id, one.reason, one.set_aside_ms, one.first_unknown_ms) for one in aside] == [
        (2, "no such thing ?", 500, None),
        (4, "no such thing ?", 500, 77),
        (6, "too old", 600, None),
    ]
    assert [one.id for one in await store.list_set_aside(2, 1)] == [4]
    assert (store.counts.waiting_rows, store.counts.set_aside_rows) == (3, 3)
    assert await store.purge_set_aside([6, 4711]) == 1
    assert await store.retry_set_aside() == 2
    found = await everything(store)
    assert numbers(found) == [0, 2, 4, 1, 3]
    assert [one.id for one in found] == [1, 3, 5, 7, 8]
    assert [one.first_unknown_ms for one in found] == [None, None, None, None, 77]
    assert await store.append([row(9)]) == [9]
    assert await store.list_set_aside() == []
    assert store.counts[:4] == (6, sum(len(one.body) for one in await everything(store)), 0, 0)
    assert await store.purge_set_aside() == 0
    await store.aclose()


@pytest.mark.asyncio
async def test_thousands_of_set_aside_rows_are_retried_in_pieces(tmp_path: Path) -> None:
    """All of them come back, in order."""
    store = await opened(tmp_path / "events.db")
    ids = await store.append(rows(2500))
    store.set_aside(ids[:2400], "later", 1)
    assert await store.retry_set_aside(ids[:10]) == 10
    assert await store.retry_set_aside() == 2390
    assert numbers(await everything(store)) == [*range(2400, 2500), *range(2400)]
    await store.aclose()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a":1}', {"event": {"a": 1}}),
        (b'{"a":"\\n"}', {"event": {"a": "\n"}}),
        (b'{"a":\n1}', {"damaged": "eyJhIjoKMX0="}),
        (b"{\xff", {"damaged": "e/8="}),
        (b"[" * 100_000, None),
    ],
)
@pytest.mark.asyncio
async def test_a_set_aside_event_is_one_line_of_json(body: bytes, expected: dict[str, Any] | None) -> None:
    """The line has the event itself, or its bytes where those are no JSON any more."""
    line = ndjson_line(SetAside(7, "u", "event", "i-1", 1, None, body, 2, 'a "reason"\n'))
    assert line.count(b"\n") == 1
    facts = json.loads(line)
    assert (facts["id"], facts["insert_id"], facts["reason"], facts["accepted_ms"], facts["set_aside_ms"]) == (
        7,
        "i-1",
        'a "reason"\n',
        1,
        2,
    )
    if expected is not None:
        assert facts.items() >= expected.items()


class Recorder(sqlite3.Connection):
    """A connection that notes when a commit has returned, and what was in the file then."""

    synchronous = -1
    last_durable = 0

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        done = super().execute(sql, *arguments)
        if sql == "COMMIT":
            Recorder.synchronous = super().execute("PRAGMA synchronous").fetchone()[0]
            Recorder.last_durable = super().execute("SELECT max(id) FROM waiting").fetchone()[0] or 0
        return done


@pytest.mark.parametrize(("durability", "level"), [("power", 2), ("process", 1)])
@pytest.mark.asyncio
async def test_an_acknowledgement_follows_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str, level: int
) -> None:
    """Of 1,000 acknowledgements none comes before the commit that holds its row has returned, with a sync if asked (D3)."""
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Recorder))
    store = await opened(tmp_path / "events.db", durability=durability)

    async def producer(number: int) -> None:
        for turn in range(50):
            (row_id,) = await store.append([row(number * 50 + turn)])
            assert row_id <= Recorder.last_durable

    await asyncio.gather(*(producer(number) for number in range(20)))
    assert Recorder.synchronous == level
    assert store.counts.waiting_rows == 1000
    await store.aclose()


@pytest.mark.asyncio
async def test_producers_share_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrives during a commit goes into the next one, and each group comes back in one call to the loop."""
    store = await opened(tmp_path / "events.db")
    calls = 0
    loop = asyncio.get_running_loop()
    plain = loop.call_soon_threadsafe

    def counted(*arguments: Any, **extra: Any) -> asyncio.Handle:
        nonlocal calls
        calls += 1
        return plain(*arguments, **extra)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)

    async def producer(number: int) -> None:
        for turn in range(10):
            await store.append([row(number * 10 + turn)])

    await asyncio.gather(*(producer(number) for number in range(64)))
    assert calls <= 64  # 640 events; 10 to 20 groups
    await store.aclose()


@pytest.mark.asyncio
async def test_one_row_that_cannot_be_stored_harms_no_other(tmp_path: Path) -> None:
    """A bad row's own call fails with the library's error; its neighbours in the same commit are stored."""
    store = await opened(tmp_path / "events.db")
    bad = row(1)._replace(identity="\ud800")
    huge = row(2)._replace(accepted_ms=2**70)
    results = await asyncio.gather(
        store.append([row(0)]), store.append([row(5), bad]), store.append([huge]), store.append([row(3)]), return_exceptions=True
    )
    assert [type(one) for one in results] == [list, OutboxStorageError, OutboxStorageError, list]
    assert numbers(await everything(store)) == [0, 3]
    await store.aclose()


@pytest.mark.asyncio
async def test_a_cancelled_append_is_stored_all_the_same(tmp_path: Path) -> None:
    """Cancelling the wait changes nothing about what was handed in."""
    store = await opened(tmp_path / "events.db")
    store.append([row(0)]).cancel()
    assert numbers(await everything(store)) == [0]
    await store.aclose()


@pytest.mark.asyncio
async def test_options_are_stored_and_fixed_while_rows_are_left(tmp_path: Path) -> None:
    """Other options are refused as long as events wait that were taken under the old ones (or were set aside)."""
    path = tmp_path / "events.db"
    store = await opened(path, options=b'{"min_id_length":1}')
    ids = await store.append(rows(2))
    await store.aclose()
    with pytest.raises(OutboxStorageError, match="2 events that were accepted under other options"):
        await opened(path)
    store = await opened(path, options=b'{"min_id_length":1}')
    store.settle(ids)
    await store.aclose()
    await (await opened(path)).aclose()
    with sqlite3.connect(path) as outside:
        assert outside.execute("SELECT options FROM about").fetchall() == [(None,)]
    outside.close()


@pytest.mark.asyncio
async def test_another_projects_file_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    """A file belongs to the project whose events it holds; the key itself is not in it (S7)."""
    path = tmp_path / "events.db"
    store = await opened(path)
    await store.append(rows(3))
    assert KEY.encode() not in b"".join(one.read_bytes() for one in tmp_path.iterdir())
    await store.aclose()
    before = path.read_bytes()
    with pytest.raises(OutboxStorageError, match=r"events\.db belongs to another Amplitude project"):
        await opened(path, project=fingerprint("another-invented-key"))
    assert path.read_bytes() == before
    assert KEY.encode() not in before
    assert PROJECT in before
    await (await opened(path)).aclose()


@pytest.mark.asyncio
async def test_a_newer_layout_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    """A file of a later version is not touched."""
    path = tmp_path / "events.db"
    await (await opened(path)).aclose()
    with sqlite3.connect(path) as outside:
        outside.execute("PRAGMA user_version = 2")
    outside.close()
    with pytest.raises(OutboxStorageError, match="newer version"):
        await opened(path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["events.db", "events.db.lock"]


@pytest.mark.asyncio
async def test_closing_writes_what_was_handed_in_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """After aclose() the rows are there, and no thread, log or lock is; every later use is the closed error."""
    path = tmp_path / "events.db"
    store = await opened(path)
    waiting = store.append(rows(500))
    assert await asyncio.gather(*(store.aclose() for _ in range(10))) == [True] * 10
    assert len(await waiting) == 500
    assert not [thread for thread in threading.enumerate() if "outbox" in thread.name]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["events.db", "events.db.lock"]
    for use in (lambda: store.append([row(1)]), lambda: store.settle([1]), lambda: store.set_aside([1], "x", 1)):
        with pytest.raises(OutboxClosed, match=r"events\.db is closed"):
            use()
    with pytest.raises(OutboxClosed):
        await store.page(0, 1, 1)
    assert store.counts.waiting_rows == 500
    again = await opened(path)
    assert len(await everything(again)) == 500
    await again.aclose()


@pytest.mark.asyncio
async def test_a_cancelled_close_goes_on_by_itself(tmp_path: Path) -> None:
    """Whoever closes may be cancelled: the file is closed and free all the same."""
    store = await opened(tmp_path / "events.db")
    task = asyncio.ensure_future(store.aclose())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await store.aclose()
    await (await opened(tmp_path / "events.db")).aclose()


@pytest.mark.asyncio
async def test_a_cancelled_opening_gives_the_file_up(tmp_path: Path) -> None:
    """The thread that was opening the file closes it again."""
    task = asyncio.ensure_future(opened(tmp_path / "events.db"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for thread in threading.enumerate():
        if "outbox" in thread.name:
            await asyncio.to_thread(thread.join, 10)
    await (await opened(tmp_path / "events.db")).aclose()


@pytest.mark.asyncio
async def test_a_store_that_is_forgotten_warns_and_gives_the_file_up(tmp_path: Path) -> None:
    """Leaving it open is a ResourceWarning; its thread ends."""
    store = await opened(tmp_path / "events.db")
    await store.append(rows(3))
    with pytest.warns(ResourceWarning, match="left open"):
        del store
    for thread in threading.enumerate():
        if "outbox" in thread.name:
            await asyncio.to_thread(thread.join, 10)
    again = await opened(tmp_path / "events.db")
    assert again.counts.waiting_rows == 3
    await again.aclose()


@pytest.mark.asyncio
async def test_nobody_is_left_waiting_when_the_thread_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody foresaw ends as the library's own, for those who wait and for those who come later."""
    store = await opened(tmp_path / "events.db")

    def broken(*_: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(stock.Stock, "_commit", broken)
    with pytest.raises(OutboxStorageError, match="a mistake of ours"):
        await store.append([row(1)])
    with pytest.raises(OutboxStorageError, match="a mistake of ours"):
        await store.append([row(2)])
    with pytest.raises(OutboxStorageError, match="a mistake of ours"):
        await store.page(0, 1, 1)
    assert await store.aclose()
    monkeypatch.undo()
    await (await opened(tmp_path / "events.db")).aclose()


@pytest.mark.asyncio
async def test_the_cap_bounds_the_disk_and_the_file_shrinks_again(tmp_path: Path) -> None:
    """Appending stops at the cap, below 1.25 x cap + 8 MiB on disk; drained, the file is small; then there is room again (D8)."""
    cap = 4 * 1024 * 1024
    store = await opened(tmp_path / "events.db", max_bytes=cap)

    def on_disk() -> int:
        return sum(one.stat().st_size for one in tmp_path.iterdir())

    stored = 0
    most = 0
    with pytest.raises(OutboxFull, match="max_bytes"):
        while True:
            stored += len(await store.append(rows(250, stored, size=400 if stored % 500 else 2000)))
            most = max(most, on_disk())
    assert stored > 1000
    assert cap / 2 < most <= 1.25 * cap + 8 * 1024 * 1024
    store.set_aside([1, 2, 3], "can be set aside although the file is full", 1)
    found: list[int] = []
    while page := await store.page(found[-1] if found else 0, 1000, 900_000):
        found += [one.id for one in page]
        store.settle([one.id for one in page])
    assert len(found) == stored - 3
    for _ in range(500):
        if on_disk() < 2 * 1024 * 1024:
            break
        await asyncio.sleep(0.01)
    assert on_disk() < 2 * 1024 * 1024
    assert await store.append([row(0)])
    await store.aclose()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 40)),
        st.tuples(st.just("settle"), st.lists(st.integers(0, 60), max_size=20)),
        st.tuples(st.just("set aside"), st.lists(st.integers(0, 60), max_size=10)),
        st.tuples(st.just("unknown"), st.lists(st.integers(0, 60), max_size=10)),
        st.tuples(st.just("retry"), st.none()),
        st.tuples(st.just("purge"), st.none()),
        st.tuples(st.just("reopen"), st.none()),
        st.tuples(st.just("read"), st.integers(1, 30)),
    ),
    max_size=25,
)


async def follow(folder: Path, history: list[tuple[str, Any]]) -> None:
    """Play a history against a store and against plain lists."""
    path = folder / "events.db"
    store = await opened(path)
    waiting: dict[int, tuple[int, int | None]] = {}
    aside: dict[int, tuple[int, int | None]] = {}
    accepted = clock = 0
    for what, argument in history:
        clock += 1
        chosen = [list(waiting)[place] for place in argument if place < len(waiting)] if isinstance(argument, list) else []
        if what == "append":
            ids = await store.append(rows(argument, accepted))
            waiting |= {row_id: (accepted + place, None) for place, row_id in enumerate(ids)}
            accepted += argument
        elif what == "settle":
            store.settle(chosen)
            waiting = {row_id: one for row_id, one in waiting.items() if row_id not in chosen}
        elif what == "set aside":
            store.set_aside(chosen, "a reason", clock)
            aside |= {row_id: waiting.pop(row_id) for row_id in dict.fromkeys(chosen)}
        elif what == "unknown":
            store.note_unknown(chosen, clock)
            waiting |= {row_id: (waiting[row_id][0], waiting[row_id][1] or clock) for row_id in chosen}
        elif what == "retry":
            assert await store.retry_set_aside() == len(aside)
            found = await everything(store)
            fresh = found[len(waiting) :]
            assert [one.id for one in found[: len(waiting)]] == list(waiting)
            waiting |= {one.id: aside[old] for one, old in zip(fresh, sorted(aside), strict=True)}
            aside = {}
        elif what == "purge":
            assert await store.purge_set_aside() == len(aside)
            aside = {}
        elif what == "reopen":
            assert await store.aclose()
            store = await opened(path)
        else:
            found = await everything(store, argument)
            assert [(one.id, *numbers([one]), one.first_unknown_ms) for one in found] == [(key, *one) for key, one in waiting.items()]
            listed = await store.list_set_aside(0, 10_000)
            assert {one.id: (int(one.insert_id[7:]), one.first_unknown_ms) for one in listed} == aside
            counts = store.counts
            assert (counts.waiting_rows, counts.waiting_bytes) == (len(found), sum(len(one.body) for one in found))
            assert (counts.set_aside_rows, counts.set_aside_bytes) == (len(listed), sum(len(one.body) for one in listed))
    await store.aclose()


@settings(max_examples=60, deadline=None)
@given(history=steps)
def test_a_store_holds_what_plain_lists_would_hold(history: list[tuple[str, Any]]) -> None:
    """Whatever is appended, settled, set aside, retried, purged and reopened, rows, order, times and counts are right."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(follow(Path(folder), [*history, ("reopen", None), ("read", 7)]))
