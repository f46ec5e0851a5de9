"""The outbox on disk: what was acknowledged survives, is sent again unchanged, and more may wait than memory holds (D1, D2, D5, E11)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from amplitude_async import (
    AmplitudeError,
    AsyncAmplitude,
    Backoff,
    ClosedError,
    OutboxClosed,
    OutboxError,
    OutboxLocked,
    OutboxStorageError,
    Settlement,
)
from amplitude_async.delivery import adopting as adopting_room
from amplitude_async.delivery import clerk as clerk_room
from amplitude_async.delivery import shelf as shelf_room
from amplitude_async.delivery import sqlite as sqlite_room
from amplitude_async.delivery import threads as threads_room
from amplitude_async.delivery.sqlite import Row, SQLiteStore

sys.path.insert(0, str(Path(__file__).parents[1] / "io"))
from scripted import Connection, ScriptedServer, ruled, sent_events, taken

NOWHERE = "http://127.0.0.1:1"
KILLS = int(os.environ.get("CHAOS_KILLS", "6"))
"""Trials with SIGKILL; the nox session `chaos` asks for more."""

PRODUCERS = """
import asyncio, sys
from amplitude_async import AsyncAmplitude, Backoff

async def produce(outbox, name):
    number = 0
    while True:
        receipt = await outbox.put({"event_type": "x", "user_id": f"{name}-{number % 5}", "event_properties": {"n": number}})
        # Said only when the outbox has said so.
        sys.stdout.write(receipt.insert_id + "\\n")
        sys.stdout.flush()
        number += 1

async def main():
    backoff = Backoff(base=0.02, cap=0.1)
    async with AsyncAmplitude("invented-key", base_url=sys.argv[1], backoff=backoff) as amplitude:
        kinds = {"folder": sys.argv[2]} if sys.argv[3] == "folder" else {"path": sys.argv[2]}
        async with amplitude.outbox(**kinds, linger=0.01) as outbox:
            print("ready", flush=True)
            await asyncio.gather(*(produce(outbox, name) for name in "abcd"))

asyncio.run(main())
"""


def event(user: str, number: int = 0, **properties: Any) -> dict[str, Any]:
    return {"event_type": "x", "user_id": user, "event_properties": {"n": number, **properties}}


def balanced(outbox: Any) -> Any:
    stats = outbox.stats()
    assert stats.accepted == stats.delivered + stats.rejected + stats.set_aside + stats.dropped + stats.pending
    return stats


def numbers(server: ScriptedServer) -> dict[str, list[int]]:
    """Return the numbers that arrived for each user, in the order of their first arrival."""
    found: dict[str, list[int]] = {}
    for request in server.requests:
        for one in sent_events(request):
            line = found.setdefault(one["user_id"], [])
            if one["event_properties"]["n"] not in line:
                line.append(one["event_properties"]["n"])
    return found


async def drain(path: Path, server: ScriptedServer, **options: Any) -> Any:
    """Open what is left and deliver it."""
    kinds: dict[str, Any] = {"folder": path} if options.pop("folder", False) else {"path": path}
    async with AsyncAmplitude("invented-key", base_url=server.url) as amplitude:
        began = time.monotonic()
        async with amplitude.outbox(**kinds, linger=0.0) as outbox:
            assert time.monotonic() - began < 5
            end = time.monotonic() + 20
            while time.monotonic() < end:
                assert await outbox.flush(20)
                # Files of the dead are taken over meanwhile.
                if outbox._adopter is None or outbox._adopter.looks:
                    break
                await asyncio.sleep(0.01)
            assert await outbox.flush(20)
            return balanced(outbox)


def full_disk(rows: Any) -> asyncio.Future[list[int]]:
    """Answer a store as a full disk does; in the place of its ``append``."""
    future: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
    future.set_exception(OutboxStorageError("no space left", path="x"))
    return future


@pytest.mark.parametrize("trial", range(KILLS))
def test_whatever_was_acknowledged_survives_a_kill(trial: int, tmp_path: Path) -> None:
    """Killed at a random instant with 4 producers and the sender at work: every acknowledged event arrives, in order (D1)."""
    rng = random.Random(trial)
    path = tmp_path / "events.db"
    acknowledged: list[str] = []
    with ScriptedServer(ruled(taken, seconds=0.005)) as server:
        for _ in range(2):
            command = [sys.executable, "-c", PRODUCERS, server.url, str(path), "path"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                acknowledged += [process.stdout.readline().strip() for _ in range(12)]
                time.sleep(rng.uniform(0.0, 0.3))
                process.send_signal(signal.SIGKILL)
                acknowledged += process.stdout.read().split()
        stats = asyncio.run(drain(path, server))
        sink = set(server.sink)
        # The last line may be cut.
        whole = [one for one in acknowledged if len(one) == 36]
        assert len(whole) >= 24
        assert not set(whole) - sink
        assert stats.pending == 0
        bodies: dict[str, Any] = {}
        for request in server.requests:
            for one in sent_events(request):
                assert bodies.setdefault(one["insert_id"], one) == one


def test_killed_between_the_answer_and_the_removal(tmp_path: Path) -> None:
    """What the server took and the outbox could not remove goes again, byte for byte the same (D2)."""
    for trial in range(3):
        path = tmp_path / f"{trial}.db"
        pid: list[int] = []

        def step(connection: Connection, pid: list[int] = pid) -> None:
            while connection.read_request():
                connection.accept_events()
                if pid:
                    os.kill(pid.pop(), signal.SIGKILL)
                    return
                connection.send(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 69\r\n\r\n"
                    + json.dumps({"code": 200, "events_ingested": len(sent_events(connection.request)), "x": ""}).encode().ljust(69)
                )

        with ScriptedServer(step) as server:
            command = [sys.executable, "-c", PRODUCERS, server.url, str(path), "path"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                pid.append(process.pid)
                process.stdout.read()
            killed = len(server.requests)
            asyncio.run(drain(path, server))
            raw: dict[str, set[bytes]] = {}
            for request in server.requests:
                body = request.partition(b"\r\n\r\n")[2]
                for one in body[body.index(b"[") + 1 : body.rindex(b"]")].replace(b"},{", b"}\n{").split(b"\n"):
                    raw.setdefault(json.loads(one)["insert_id"], set()).add(one)
            assert all(len(forms) == 1 for forms in raw.values())
            lost = {one["insert_id"] for one in sent_events(server.requests[killed - 1])}
            again = {one["insert_id"] for request in server.requests[killed:] for one in sent_events(request)}
            assert lost <= again


@pytest.mark.asyncio
async def test_what_could_not_be_delivered_is_kept_and_sent_at_the_next_start(tmp_path: Path) -> None:
    """Closed during an outage, an outbox on disk keeps everything, says so, and delivers all of it later."""
    path = tmp_path / "events.db"
    async with AsyncAmplitude("invented-key", base_url=NOWHERE, backoff=Backoff(base=0.01)) as amplitude:
        async with amplitude.outbox(path) as outbox:
            receipts = [await outbox.put(event("a", number)) for number in range(50)]
            assert [await receipt.stored() for receipt in receipts] == [True] * 50
            waiting = asyncio.create_task(_outcome(receipts[0]))
            await asyncio.sleep(0.05)
            assert await outbox.aclose(timeout=0.05) == (0, 0, 0, 0, 50)
            with pytest.raises(OutboxClosed, match="kept"):
                await waiting
            with pytest.raises(OutboxClosed, match="kept"):
                await receipts[1]
    assert b"invented-key" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    with ScriptedServer(ruled(taken)) as server:
        stats = await drain(path, server)
        assert (stats.recovered, stats.delivered, stats.accepted) == (50, 50, 50)
        assert numbers(server) == {"a": list(range(50))}
        assert {receipt.insert_id for receipt in receipts} == set(server.sink)


async def _outcome(receipt: Any) -> Settlement:
    outcome: Settlement = await receipt
    return outcome


@pytest.fixture
def small_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the queue hold a few dozen events, so that the rest waits on the disk."""
    monkeypatch.setattr(shelf_room, "WINDOW_BYTES", 40_000)
    monkeypatch.setattr(shelf_room, "PAGE_ROWS", 17)


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(4))
async def test_more_may_wait_than_the_queue_holds(seed: int, small_window: None, tmp_path: Path) -> None:
    """Put in every way while the server is down and up, thousands wait on the disk alone, and all arrive once and in order (E11)."""
    rng = random.Random(seed)
    is_down = True

    def rule(events: list[dict[str, Any]]) -> tuple[int, Any]:
        return (503, {}) if is_down or rng.random() < 0.05 else taken(events)

    with ScriptedServer(ruled(rule)) as server:
        backoff = Backoff(base=0.005, cap=0.02)
        async with AsyncAmplitude("invented-key", base_url=server.url, backoff=backoff) as amplitude:
            async with amplitude.outbox(tmp_path / "events.db", durability="process", linger=0.0) as outbox:
                held = []
                for number in range(1500):
                    user = f"user-{rng.randrange(8)}"
                    receipt = outbox.put_nowait(event(user, number)) if rng.random() < 0.5 else await outbox.put(event(user, number))
                    if rng.random() < 0.3:
                        held.append(receipt)
                    if rng.random() < 0.02:
                        await asyncio.sleep(0.002)
                    is_down = number < 400 or 900 < number < 1100
                    balanced(outbox)
                assert outbox._shelf is not None
                is_down = False
                assert await outbox.flush(30)
                assert {(await receipt).status for receipt in held} == {"delivered"}
                stats = balanced(outbox)
                assert (stats.delivered, stats.pending, stats.bytes) == (1500, 0, 0)
                assert outbox._shelf.store.counts.waiting_rows <= 1500
        assert len(set(server.sink)) == 1500
        assert all(line == sorted(line) for line in numbers(server).values())
    with ScriptedServer(ruled(taken)) as server:
        stats = await drain(tmp_path / "events.db", server)
        assert stats.accepted == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("status", ["delivered", "set_aside"])
async def test_what_was_quicker_than_the_disk_is_removed_before_the_file_is_closed(status: str, tmp_path: Path) -> None:
    """An event whose fate is known before its row is written leaves no row that waits behind, though the outbox is closed meanwhile."""

    def rule(events: list[dict[str, Any]]) -> tuple[int, Any]:
        return taken(events) if status == "delivered" else (404, {"error": "invented"})

    path = tmp_path / "events.db"
    with ScriptedServer(ruled(rule)) as server:
        async with AsyncAmplitude("invented-key", base_url=server.url) as amplitude:
            outbox = amplitude.outbox(path, linger=0.0)
            await outbox.open()
            with _busy_disk(outbox):
                receipt = outbox.put_nowait(event("a"))
                assert await outbox.flush(10)
                assert (await receipt).status == status
                closing = asyncio.create_task(outbox.aclose())
                for _ in range(20):
                    await asyncio.sleep(0)
            report = await closing
            assert (report.kept, report.dropped) == (0, 0)
    with ScriptedServer(ruled(taken)) as server:
        assert (await drain(path, server)).accepted == 0
        assert not server.requests


@pytest.mark.asyncio
async def test_an_outcome_that_is_unknown_before_the_row_is_written_is_remembered(tmp_path: Path) -> None:
    """The time of a first attempt without an answer reaches the disk even if that attempt was quicker than the disk (D10)."""
    path = tmp_path / "events.db"
    with ScriptedServer(ruled(lambda events: (500, {"error": "invented"}))) as server:
        async with AsyncAmplitude("invented-key", base_url=server.url, backoff=Backoff(base=30.0)) as amplitude:
            outbox = amplitude.outbox(path, linger=0.0)
            await outbox.open()
            with _busy_disk(outbox):
                receipt = outbox.put_nowait(event("a"))
                assert not await outbox.flush(0.3)
                assert receipt.first_unknown_ms is not None
            assert await receipt.stored()
            await outbox.aclose(timeout=0.0)
    store = await SQLiteStore.open(path, project=amplitude._caller.fingerprint())
    assert [row.first_unknown_ms for row in await store.page(0, 10, 1 << 20)] == [receipt.first_unknown_ms]
    await store.aclose()


@contextlib.contextmanager
def _busy_disk(outbox: Any) -> Iterator[None]:
    """Let the thread of the outbox's file get nowhere for a while."""
    gate = outbox._shelf.store._keeper.gate
    with gate:
        yield


@pytest.mark.asyncio
async def test_a_flush_does_not_wait_for_what_came_after_it(small_window: None, tmp_path: Path) -> None:
    """Behind or not, flush is done when what was accepted before it is settled."""
    block = asyncio.Event()

    with ScriptedServer(ruled(taken)) as server:
        async with AsyncAmplitude("invented-key", base_url=server.url) as amplitude:
            async with amplitude.outbox(tmp_path / "events.db", durability="process", linger=0.0) as outbox:
                for number in range(500):
                    outbox.put_nowait(event("early", number))

                async def later() -> None:
                    number = 0
                    while not block.is_set():
                        await outbox.put(event("late", number))
                        number += 1

                task = asyncio.create_task(later())
                assert await outbox.flush(20)
                assert numbers(server)["early"] == list(range(500))
                block.set()
                await task


@pytest.mark.asyncio
async def test_a_put_cancelled_before_its_commit_never_happened_or_is_counted(tmp_path: Path) -> None:
    """Cancelled at any moment, an event is either unknown to everybody or accepted and delivered."""
    with ScriptedServer(ruled(taken)) as server:
        async with AsyncAmplitude("invented-key", base_url=server.url) as amplitude:
            async with amplitude.outbox(tmp_path / "events.db", linger=0.0) as outbox:
                for ticks in range(40):
                    task = asyncio.create_task(outbox.put(event("a", ticks)))
                    for _ in range(ticks % 5):
                        await asyncio.sleep(0)
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
                assert await outbox.flush(10)
                while outbox.stats().reserved:
                    await asyncio.sleep(0.005)
                assert await outbox.flush(10)
                stats = balanced(outbox)
        assert stats.accepted == stats.delivered == len(set(server.sink))


@pytest.mark.asyncio
async def test_a_disk_that_refuses_is_said_at_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A put raises and the event was not accepted; put_nowait's event is delivered from memory, and stored() says the truth (D5)."""
    with ScriptedServer(ruled(taken)) as server:
        async with AsyncAmplitude("invented-key", base_url=server.url) as amplitude:
            setbacks: list[Any] = []
            async with amplitude.outbox(tmp_path / "events.db", linger=0.0, on_setback=setbacks.append) as outbox:
                await outbox.put(event("a", 0))
                shelf = outbox._shelf
                assert shelf is not None
                real = shelf.store.append

                monkeypatch.setattr(shelf.store, "append", full_disk)
                with pytest.raises(OutboxStorageError):
                    await outbox.put(event("a", 1))
                with pytest.raises(OutboxStorageError) as caught:
                    await outbox.put_many([event("a", 2), event("a", 3)])
                assert len(caught.value.insert_ids) == 2
                receipt = outbox.put_nowait(event("a", 4))
                with pytest.raises(OutboxStorageError):
                    await receipt.stored()
                monkeypatch.setattr(shelf.store, "append", real)
                await outbox.put(event("a", 5))
                assert await outbox.flush(10)
                assert (await receipt).status == "delivered"
                stats = balanced(outbox)
                assert (stats.accepted, stats.reserved, stats.bytes) == (3, 0, 0)
                assert {setback.kind for setback in setbacks} == {"storage"}
        assert numbers(server) == {"a": [0, 4, 5]}


@pytest.mark.asyncio
async def test_what_the_disk_refused_holds_up_nothing_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much it was, no refused event counts as waiting: what is stored when the disk has room again is sent at once."""
    monkeypatch.setattr(shelf_room, "WINDOW_BYTES", 4000)
    with ScriptedServer(ruled(taken)) as server:
        async with (
            AsyncAmplitude("invented-key", base_url=server.url) as amplitude,
            amplitude.outbox(tmp_path / "events.db") as outbox,
        ):
            await outbox.put(event("a", 0))
            shelf = outbox._shelf
            assert shelf is not None

            with monkeypatch.context() as patched:
                patched.setattr(shelf.store, "append", full_disk)
                for number in range(1, 41):
                    with pytest.raises(OutboxStorageError):
                        await outbox.put(event("a", number))
            await outbox.put(event("a", 41))
            assert await outbox.flush(5)
            assert not shelf._unstored
            stats = balanced(outbox)
            assert (stats.accepted, stats.delivered) == (2, 2)
        assert numbers(server) == {"a": [0, 41]}


@pytest.mark.asyncio
async def test_who_is_refused_together_is_told_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each put that shares a refused commit raises an error of its own, which nothing in the outbox holds once it was caught."""

    def full(rows: Any) -> asyncio.Future[list[int]]:
        raise OutboxStorageError("no space left", path="x", detail="OSError: invented")

    async with (
        AsyncAmplitude("invented-key", base_url=NOWHERE) as amplitude,
        amplitude.outbox(tmp_path / "events.db") as outbox,
    ):
        assert outbox._shelf is not None
        monkeypatch.setattr(outbox._shelf.store, "append", full)

        async def refused(number: int) -> OutboxStorageError:
            with pytest.raises(OutboxStorageError) as caught:
                await outbox.put(event("a", number))
            return caught.value

        errors = await asyncio.gather(*(refused(number) for number in range(3)))
        assert len(set(map(id, errors))) == 3
        assert {(str(error), error.path, error.detail) for error in errors} == {("no space left", "x", "OSError: invented")}
        remembered = [weakref.ref(error) for error in errors]
        del errors
        # The call that ended the gathering holds its result until the loop's next turn.
        await asyncio.sleep(0)
        gc.collect()
        assert [reference() for reference in remembered] == [None] * 3


@pytest.mark.asyncio
async def test_what_waits_on_disk_makes_no_work_for_the_garbage_collection(tmp_path: Path) -> None:
    """Hundreds of stored events and their receipts hold up nobody: none of them is an object that is searched for cycles."""
    async with (
        AsyncAmplitude("invented-key", base_url=NOWHERE) as amplitude,
        amplitude.outbox(tmp_path / "events.db", durability="process", linger=60.0) as outbox,
    ):

        async def put(events: int) -> list[Any]:
            return await asyncio.gather(*(outbox.put(event("a", number)) for number in range(events)))

        receipts = await put(50)
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(8):
            receipts += await put(50)
        gc.collect()
        grown = len(gc.get_objects()) - before
        assert grown < 100
        await outbox.aclose(timeout=0.0)


@pytest.mark.asyncio
async def test_set_aside_events_on_disk(tmp_path: Path) -> None:
    """They survive, can be listed and exported, sent again in order, and deleted."""
    is_bad = True
    rule = lambda events: (422, {"error": "no"}) if is_bad else taken(events)  # noqa: E731
    with ScriptedServer(ruled(rule)) as server:
        async with AsyncAmplitude("invented-key", base_url=server.url) as amplitude:
            async with amplitude.outbox(tmp_path / "events.db", linger=0.0) as outbox:
                receipts = await outbox.put_many([event("a", number) for number in range(4)])
                assert await outbox.flush(10)
                assert {(await receipt).status for receipt in receipts} == {"set_aside"}
                assert (await outbox.aclose()).set_aside == 4
            async with amplitude.outbox(tmp_path / "events.db", linger=0.0) as outbox:
                listed = await outbox.list_set_aside()
                lines = [json.loads(line) async for line in outbox.export_set_aside()]
                assert [line["insert_id"] for line in lines] == [receipt.insert_id for receipt in receipts]
                is_bad = False
                assert await outbox.retry_set_aside([one.id for one in listed[:3]]) == 3
                assert await outbox.flush(10)
                assert await outbox.purge_set_aside() == 1
                assert await outbox.list_set_aside() == []
                assert balanced(outbox).delivered == 3
        assert [one["event_properties"]["n"] for one in sent_events(server.requests[-1])] == [0, 1, 2]


@pytest.mark.asyncio
async def test_a_disk_that_refuses_while_more_waits_than_memory_holds(
    small_window: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be written is sent from memory, and what was written after it is sent once, from the disk (D5)."""
    is_down = True
    with ScriptedServer(ruled(lambda events: (503, {}) if is_down else taken(events))) as server:
        backoff = Backoff(base=0.005, cap=0.02)
        async with AsyncAmplitude("invented-key", base_url=server.url, backoff=backoff) as amplitude:
            async with amplitude.outbox(tmp_path / "events.db", linger=0.0) as outbox:
                await outbox.put_many([event("a", number) for number in range(100)])
                shelf = outbox._shelf
                assert shelf is not None
                assert shelf.is_behind

                with monkeypatch.context() as patched:
                    patched.setattr(shelf.store, "append", full_disk)
                    refused = outbox.put_nowait(event("b"))
                    with pytest.raises(OutboxStorageError):
                        await refused.stored()
                await outbox.put_many([event("c", number) for number in range(100)])
                is_down = False
                assert await outbox.flush(20)
                assert (await refused).status == "delivered"
                stats = balanced(outbox)
                assert (stats.delivered, stats.pending, stats.bytes) == (201, 0, 0)
        assert numbers(server) == {"a": list(range(100)), "b": [0], "c": list(range(100))}


@pytest.mark.asyncio
async def test_set_aside_events_are_counted_though_they_were_set_aside_by_an_earlier_process(tmp_path: Path) -> None:
    """Sent again, they are new to the books of this outbox: no figure is ever below nothing."""
    is_bad = True
    with ScriptedServer(ruled(lambda events: (422, {"error": "no"}) if is_bad else taken(events))) as server:
        async with AsyncAmplitude("invented-key", base_url=server.url) as amplitude:
            async with amplitude.outbox(tmp_path / "events.db", linger=0.0) as outbox:
                await outbox.put_many([event("a", number) for number in range(4)])
                assert await outbox.flush(10)
            async with amplitude.outbox(tmp_path / "events.db", linger=0.0) as outbox:
                await outbox.put(event("b"))
                assert await outbox.flush(10)
                assert balanced(outbox).set_aside == 1
                is_bad = False
                assert await outbox.retry_set_aside() == 5
                assert await outbox.flush(10)
                stats = balanced(outbox)
                assert (stats.accepted, stats.recovered, stats.delivered, stats.set_aside) == (5, 4, 5, 0)


@pytest.mark.asyncio
async def test_a_retry_of_set_aside_events_counts_though_its_caller_left(tmp_path: Path) -> None:
    """Events that wait again are sent, also if whoever asked for it was cancelled meanwhile."""
    is_bad = True
    with ScriptedServer(ruled(lambda events: (422, {"error": "no"}) if is_bad else taken(events))) as server:
        async with AsyncAmplitude("invented-key", base_url=server.url) as amplitude:
            async with amplitude.outbox(tmp_path / "events.db", linger=0.0) as outbox:
                await outbox.put_many([event("a", number) for number in range(4)])
                assert await outbox.flush(10)
                is_bad = False
                with _busy_disk(outbox):
                    asking = asyncio.create_task(outbox.retry_set_aside())
                    await asyncio.sleep(0.01)
                    asking.cancel()
                    await asyncio.gather(asking, return_exceptions=True)
                assert await outbox.list_set_aside() == []
                assert await outbox.flush(10)
                stats = balanced(outbox)
                assert (stats.accepted, stats.delivered, stats.set_aside, stats.pending) == (4, 4, 0, 0)


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["a page", "a row"])
async def test_events_that_the_disk_loses_while_they_wait_are_settled(how: str, small_window: None, tmp_path: Path) -> None:
    """A flush ends, the books balance and every receipt is answered when rows break that waited on the disk alone."""
    path = tmp_path / "events.db"
    is_down = True
    with ScriptedServer(ruled(lambda events: (503, {}) if is_down else taken(events))) as server:
        backoff = Backoff(base=0.005, cap=0.02)
        async with AsyncAmplitude("invented-key", base_url=server.url, backoff=backoff) as amplitude:
            async with amplitude.outbox(path, linger=0.0) as outbox:
                receipts = await outbox.put_many([event(f"user-{number}", number, text="x" * 2000) for number in range(3000)])
                assert outbox._shelf is not None
                assert outbox._shelf.is_behind
                # Out of the log, where it would be read from.
                await _run_on_its_thread(outbox, "PRAGMA wal_checkpoint(TRUNCATE)")
                if how == "a page":
                    with path.open("r+b") as file:
                        file.seek(path.stat().st_size // 2 // 4096 * 4096)
                        file.write(b"\xa5" * 40_960)
                else:
                    await _run_on_its_thread(outbox, "UPDATE waiting SET body = x'00' WHERE id BETWEEN 1001 AND 1010")
                is_down = False
                assert await outbox.flush(30)
                outcomes = [await asyncio.wait_for(_outcome(receipt), 5) for receipt in receipts]
                stats = balanced(outbox)
                lost = 3000 - stats.delivered
                assert (stats.pending, stats.bytes) == (0, 0)
                assert 10 <= lost <= 40
                assert (stats.dropped, stats.set_aside) == ((lost, 0) if how == "a page" else (0, lost))
                assert sum(outcome.reason == "damaged on disk" for outcome in outcomes) == lost
        assert len(set(server.sink)) == 3000 - lost


async def _run_on_its_thread(outbox: Any, statement: str) -> None:
    """Run a statement on the connection that only the thread of the file has."""
    keeper = outbox._shelf.store._keeper
    real, done = keeper._do_jobs, threading.Event()

    def also(connection: Any, chores: Any) -> None:
        real(connection, chores)
        if not done.is_set():
            connection.execute(statement).fetchall()
            done.set()

    keeper._do_jobs = also
    await outbox.list_set_aside()
    assert await asyncio.to_thread(done.wait, 5)
    keeper._do_jobs = real


@pytest.mark.asyncio
async def test_rows_that_arrive_while_the_last_page_is_read_are_read_too(
    small_window: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes by itself between the reading of the last page and its answer does not stay on the disk."""
    with ScriptedServer(ruled(taken)) as server:
        async with AsyncAmplitude("invented-key", base_url=server.url) as amplitude:
            async with amplitude.outbox(tmp_path / "events.db", linger=0.0) as outbox:
                shelf = outbox._shelf
                assert shelf is not None
                real = shelf.store.page
                names = ["first", "late"]

                async def arrive() -> None:
                    name = names.pop(0)
                    body = json.dumps(event(name) | {"insert_id": name}).encode()
                    await shelf.store.append([Row(0, name, "event", name, 0, None, body)])
                    shelf._arrived(1)

                async def page(*args: int) -> list[Row]:
                    rows = await real(*args)
                    if not rows and names:
                        await arrive()
                    return rows

                monkeypatch.setattr(shelf.store, "page", page)
                await arrive()
                while balanced(outbox).accepted < 2:
                    await asyncio.sleep(0.005)
                assert await outbox.flush(10)
                assert balanced(outbox).delivered == 2
        assert server.sink == ["first", "late"]


@pytest.mark.asyncio
async def test_the_oldest_is_dropped_of_what_waits_on_disk_and_in_memory(small_window: None, tmp_path: Path) -> None:
    """With drop_oldest on disk every event is accepted and settled once, and no row of what was dropped comes back."""
    is_down = True
    path = tmp_path / "events.db"
    with ScriptedServer(ruled(lambda events: (503, {}) if is_down else taken(events))) as server:
        backoff = Backoff(base=0.005, cap=0.02)
        async with AsyncAmplitude("invented-key", base_url=server.url, backoff=backoff) as amplitude:
            async with amplitude.outbox(path, linger=0.0, overflow="drop_oldest", max_events=200) as outbox:
                receipts = []
                for number in range(600):
                    one = event("a", number)
                    receipts.append(outbox.put_nowait(one) if number % 2 else await outbox.put(one))
                    assert balanced(outbox).pending <= 200
                    if number == 300:
                        is_down = False
                        await asyncio.sleep(0.03)
                        is_down = True
                is_down = False
                assert await outbox.flush(20)
                stats = balanced(outbox)
                assert (stats.accepted, stats.pending, stats.bytes) == (600, 0, 0)
                assert stats.delivered + stats.dropped == 600
                assert stats.delivered == len(set(server.sink))
                outcomes = [await receipt for receipt in receipts]
                assert outcomes.count(Settlement("dropped", "overflow")) == stats.dropped
        assert all(line == sorted(line) for line in numbers(server).values())
        assert (await drain(path, server)).accepted == 0


@pytest.mark.asyncio
async def test_an_event_that_the_disk_refuses_was_not_accepted_though_another_made_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With drop_oldest and no room, a put that raises is neither counted nor sent."""
    async with AsyncAmplitude("invented-key", base_url=NOWHERE) as amplitude:
        async with amplitude.outbox(tmp_path / "events.db", linger=60.0, overflow="drop_oldest", max_events=2) as outbox:
            first = await outbox.put(event("a", 0))
            await outbox.put(event("a", 1))
            assert outbox._shelf is not None

            with monkeypatch.context() as patched:
                patched.setattr(outbox._shelf.store, "append", full_disk)
                with pytest.raises(OutboxStorageError):
                    await outbox.put(event("a", 2))
            assert await first == Settlement("dropped", "overflow")
            assert (await outbox.aclose(timeout=0.0)) == (0, 0, 0, 1, 1)
            assert balanced(outbox).accepted == 2


@pytest.mark.asyncio
@pytest.mark.parametrize("who", ["outbox", "client"])
async def test_closed_while_it_opens_an_outbox_gives_its_file_up(who: str, tmp_path: Path) -> None:
    """Opening is refused then, and the file and its lock are free."""
    async with AsyncAmplitude("invented-key", base_url=NOWHERE) as amplitude:
        outbox = amplitude.outbox(tmp_path / "events.db")
        opening = asyncio.create_task(outbox.open())
        await asyncio.sleep(0)
        await (outbox if who == "outbox" else amplitude).aclose()
        with pytest.raises((OutboxClosed, ClosedError)):
            await opening
    async with AsyncAmplitude("invented-key", base_url=NOWHERE) as amplitude:
        async with amplitude.outbox(tmp_path / "events.db"):
            pass


@pytest.mark.asyncio
async def test_a_disk_that_hangs_holds_no_closing_up_and_leaves_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing is on time; whoever waits for the disk is told that it did not answer, and the books balance (C10)."""
    monkeypatch.setattr(clerk_room, "DISK_SECONDS", 0.05)
    async with AsyncAmplitude("invented-key", base_url=NOWHERE) as amplitude:
        outbox = amplitude.outbox(tmp_path / "events.db")
        await outbox.open()
        with _busy_disk(outbox):
            receipt = outbox.put_nowait(event("a"))
            stored = asyncio.create_task(receipt.stored())
            putting = asyncio.create_task(outbox.put(event("b")))
            await asyncio.sleep(0.01)
            began = time.monotonic()
            report = await outbox.aclose(timeout=0.05)
            assert time.monotonic() - began < 1
            for task in (stored, putting):
                with pytest.raises(OutboxClosed, match="did not answer|before the disk answered"):
                    await asyncio.wait_for(task, 5)
            assert await receipt == Settlement("dropped", "closed")
            stats = balanced(outbox)
            assert (report.dropped, stats.accepted, stats.reserved, stats.pending) == (1, 1, 0, 0)
        keeper = outbox._shelf.store._keeper if outbox._shelf else None
        while keeper in sqlite_room._running:
            await asyncio.sleep(0.005)


@pytest.mark.asyncio
async def test_another_thread_waits_for_a_slow_disk_as_put_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that a thread gives is for room: an event that is on its way to the disk is waited for."""
    monkeypatch.setattr(threads_room, "THREAD_GRACE", 0.05)
    with ScriptedServer(ruled(taken)) as server:
        async with AsyncAmplitude("invented-key", base_url=server.url) as amplitude:
            async with amplitude.outbox(tmp_path / "events.db", linger=0.0) as outbox:
                with _busy_disk(outbox):
                    putting = asyncio.create_task(asyncio.to_thread(outbox.put_threadsafe, event("a"), timeout=0.05))
                    await asyncio.sleep(0.3)
                    assert not putting.done()
                assert (await (await putting)).status == "delivered"


@pytest.mark.asyncio
async def test_one_file_has_one_owner(tmp_path: Path) -> None:
    """A second outbox on the same file is refused by name; puts before opening say what to do."""
    async with AsyncAmplitude("invented-key", base_url=NOWHERE) as amplitude:
        unopened = amplitude.outbox(tmp_path / "events.db")
        with pytest.raises(OutboxError, match="open"):
            unopened.put_nowait(event("a"))
        async with amplitude.outbox(tmp_path / "events.db"):
            with pytest.raises(OutboxLocked) as caught:
                await unopened.open()
            assert caught.value.path == str(tmp_path / "events.db")
        for place in (tmp_path, tmp_path / "missing" / "events.db"):
            with pytest.raises(OutboxStorageError):
                await amplitude.outbox(place).open()


def test_a_folder_serves_many_processes_and_takes_over_from_the_dead(tmp_path: Path) -> None:
    """Each process has a file of its own; what two killed ones left is delivered by the next."""
    acknowledged: list[str] = []
    with ScriptedServer(ruled(lambda _: (503, {}))) as down:
        command = [sys.executable, "-c", PRODUCERS, down.url, str(tmp_path / "outbox"), "folder"]
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        for process in processes:
            assert process.stdout is not None
            process.send_signal(signal.SIGKILL)
            acknowledged += [one for one in process.stdout.read().split() if len(one) == 36]
            process.wait(10)
            process.stdout.close()
    assert len(list((tmp_path / "outbox").glob("*.db"))) == 2
    with ScriptedServer(ruled(taken)) as server:
        stats = asyncio.run(drain(tmp_path / "outbox", server, folder=True))
        assert stats.pending == 0
        assert not set(acknowledged) - set(server.sink)


@pytest.mark.asyncio
async def test_what_a_neighbour_leaves_is_taken_over_while_the_outbox_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder is looked at from time to time: files of owners that died later are delivered, others' files said once and left."""
    monkeypatch.setattr(adopting_room, "LOOK_EVERY", 0.005)
    folder = tmp_path / "outbox"
    with ScriptedServer(ruled(taken)) as server:
        async with (
            AsyncAmplitude("invented-key", base_url=NOWHERE, backoff=Backoff(base=10)) as neighbours,
            AsyncAmplitude("another-invented-key", base_url=NOWHERE, backoff=Backoff(base=10)) as strangers,
            AsyncAmplitude("invented-key", base_url=server.url) as amplitude,
            amplitude.outbox(folder=folder, linger=0.0) as outbox,
        ):
            adopter = outbox._adopter
            assert adopter is not None
            while adopter.looks < 2:
                await asyncio.sleep(0.005)
            for client in (neighbours, strangers):
                other = client.outbox(folder=folder, linger=60.0)
                await other.open()
                await other.put_many([event("a", number) for number in range(10)])
                seen = adopter.looks
                while adopter.looks < seen + 2:
                    await asyncio.sleep(0.005)
                if client is neighbours:
                    assert outbox.stats().accepted == 0
                assert (await other.aclose(timeout=0)).kept == 10
                seen = adopter.looks
                while adopter.looks < seen + 3:
                    await asyncio.sleep(0.005)
            assert await outbox.flush(10)
            assert (balanced(outbox).accepted, balanced(outbox).delivered) == (10, 10)
        assert numbers(server) == {"a": list(range(10))}
    assert [path.name for path in sorted(folder.glob("*.db"))] == ["slot-0001.db", "slot-0002.db"]
    assert [record.message for record in caplog.records if "not taken over" in record.message] == [
        record.message for record in caplog.records if "another Amplitude project" in record.message
    ]
    assert sum("not taken over" in record.message for record in caplog.records) == 1


@pytest.mark.asyncio
async def test_errors_are_the_librarys_own(tmp_path: Path) -> None:
    """A file of another project is refused with the outbox's error (ground rule 11)."""
    async with AsyncAmplitude("invented-key", base_url=NOWHERE) as amplitude:
        async with amplitude.outbox(tmp_path / "events.db") as outbox:
            await outbox.put(event("a"))
            await outbox.aclose(timeout=0.05)
    async with AsyncAmplitude("another-invented-key", base_url=NOWHERE) as amplitude:
        with pytest.raises(OutboxStorageError) as caught:
            await amplitude.outbox(tmp_path / "events.db").open()
        assert isinstance(caught.value, AmplitudeError)
        assert textwrap.shorten(str(caught.value), 500)


@pytest.mark.asyncio
async def test_a_flush_waits_for_what_is_taken_over_meanwhile(small_window: None, tmp_path: Path) -> None:
    """Events found at opening, taken over from the dead, revived and put by this process are told apart by each flush."""
    folder = tmp_path / "outbox"
    async with AsyncAmplitude("invented-key", base_url=NOWHERE) as amplitude:
        first, second = amplitude.outbox(folder=folder, linger=60), amplitude.outbox(folder=folder, linger=60)
        for outbox, user in ((first, "a"), (second, "b")):
            await outbox.open()
            await outbox.put_many([event(user, number) for number in range(300)])
        for outbox in (first, second):
            assert (await outbox.aclose(timeout=0)).kept == 300
    with ScriptedServer(ruled(taken)) as server:
        async with AsyncAmplitude("invented-key", base_url=server.url) as amplitude:
            async with amplitude.outbox(folder=folder, linger=0.0) as outbox:
                for number in range(200):
                    outbox.put_nowait(event("c", number))
                    if number % 50 == 0:
                        assert await outbox.flush(20)
                assert outbox._adopter is not None
                while not outbox._adopter.looks:
                    await asyncio.sleep(0.005)
                assert await outbox.flush(20)
                stats = balanced(outbox)
                assert (stats.delivered, stats.pending, stats.bytes) == (800, 0, 0)
        assert {user: line == sorted(line) for user, line in numbers(server).items()} == {"a": True, "b": True, "c": True}
