"""The outbox as its user meets it, over loopback: puts, receipts, policies, hooks, threads, forks, closing (C4-C11, E6-E9)."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from amplitude_async import (
    AsyncAmplitude,
    Backoff,
    ClosedError,
    ConfigurationError,
    InvalidEventError,
    OutboxClosed,
    OutboxFull,
    Settlement,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "io"))
sys.path.insert(0, str(Path(__file__).parent))
from scripted import ScriptedServer, ruled, sent_events, stall, taken
from world import World, event, refused
from world import taken as world_taken

if TYPE_CHECKING:
    from collections.abc import Sequence

NOWHERE = "http://127.0.0.1:1"
QUICK = Backoff(base=0.01, cap=0.05)


def balanced(outbox: Any) -> Any:
    stats = outbox.stats()
    assert stats.accepted == stats.delivered + stats.rejected + stats.set_aside + stats.dropped + stats.pending
    return stats


def arrived(server: ScriptedServer) -> list[dict[str, Any]]:
    return [one for request in server.requests for one in sent_events(request)]


@pytest.mark.asyncio
async def test_what_was_put_arrives() -> None:
    """Events put in any way arrive, each receipt says delivered, and flush says when (README's example)."""
    with ScriptedServer(ruled(taken)) as server:
        async with AsyncAmplitude("key", base_url=server.url) as amplitude, amplitude.outbox() as outbox:
            receipt = await outbox.put(event("a", 1))
            now = outbox.put_nowait(event("a", 2))
            many = await outbox.put_many([event("a", 3), event("b", 4)])
            assert await outbox.flush(timeout=5)
            assert await receipt == await now == Settlement("delivered")
            assert [one.outcome for one in many] == [Settlement("delivered")] * 2
            assert not await receipt.stored()
            assert balanced(outbox).delivered == 4
        assert [one["event_properties"]["n"] for one in arrived(server) if one["user_id"] == "a"] == [1, 2, 3]
        assert {one["insert_id"] for one in arrived(server)} == {receipt.insert_id, now.insert_id, *(one.insert_id for one in many)}


@pytest.mark.asyncio
async def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    """A receipt that is awaited again and again with a limit holds on to nobody who went, and still tells who stays."""
    async with AsyncAmplitude("key", base_url=NOWHERE, backoff=QUICK) as amplitude:
        outbox = amplitude.outbox()
        receipt = outbox.put_nowait(event("a", 1))
        staying = asyncio.ensure_future(receipt)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(receipt, 0.001)
        assert receipt.waiters is not None
        assert len(receipt.waiters) == 1
        await outbox.aclose(timeout=0)
        assert await staying == await receipt == Settlement("dropped", "closed")


@pytest.mark.asyncio
async def test_identifications_ride_as_events_in_order() -> None:
    """Both identify and group_identify are $identify and $groupidentify events among the others of their user."""
    with ScriptedServer(ruled(taken)) as server:
        async with AsyncAmplitude("key", base_url=server.url, user_id="me") as amplitude, amplitude.outbox() as outbox:
            outbox.put_nowait({"event_type": "x"})
            outbox.identify_nowait({"user_properties": {"$add": {"logins": 1}}})
            await outbox.identify({"userId": "you", "user_properties": {"plan": "pro"}})
            outbox.group_identify_nowait({"group_type": "org", "group_value": "acme", "group_properties": {"$set": {"seats": 5}}})
            await outbox.group_identify({"group_type": "org", "group_value": ["a", "b"], "group_properties": {"x": 1}})
            with pytest.raises(InvalidEventError, match="group_value"):
                await outbox.group_identify({"group_type": "org"})
        kinds = [(one["user_id"], one["event_type"]) for one in arrived(server)]
        assert [kind for user, kind in kinds if user == "me"] == ["x", "$identify", "$groupidentify", "$groupidentify"]
        groups = [one for one in arrived(server) if one["event_type"] == "$groupidentify"]
        assert groups[0]["groups"] == {"org": "acme"}
        assert groups[0]["group_properties"] == {"$set": {"seats": 5}}
        assert all("group_type" not in one and one["insert_id"] for one in groups)


@pytest.mark.asyncio
async def test_what_is_sent_is_what_the_event_was_at_the_call() -> None:
    """Changing an event or what is in it after the call changes nothing (E6)."""
    with ScriptedServer(ruled(taken)) as server:
        async with AsyncAmplitude("key", base_url=server.url) as amplitude, amplitude.outbox() as outbox:
            mine = event("a", 1)
            outbox.put_nowait(mine)
            mine["event_properties"]["n"] = 2
            mine["event_type"] = "other"
        assert [(one["event_type"], one["event_properties"]["n"]) for one in arrived(server)] == [("x", 1)]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "bad", [None, [], "x", 5, {"user_id": "u"}, {"event_type": "x"}, {"event_type": "x", "user_id": "u", "p": b""}]
)
async def test_bad_events_are_refused_before_anything_is_accepted(bad: Any) -> None:
    """A typed error at the call, and the queue as it was; one bad of a hundred refuses the list (E8)."""
    outbox = AsyncAmplitude("key", base_url=NOWHERE).outbox()
    with pytest.raises(InvalidEventError):
        outbox.put_nowait(bad)
    with pytest.raises(InvalidEventError):
        await outbox.put(bad)
    with pytest.raises(InvalidEventError):
        await outbox.put_many([*[event("u", n) for n in range(99)], bad])
    assert balanced(outbox).accepted == 0
    await outbox.aclose()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "options",
    [
        {"overflow": "panic"},
        {"api": "v3"},
        {"durability": "none"},
        {"linger": -1},
        {"linger": True},
        {"max_bytes": 0},
        {"max_events": 1.5},
        {"on_delivery": 5},
        {"path": "a.db", "folder": "b"},
    ],
    ids=repr,
)
async def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    """Each names itself, before anything is opened."""
    with pytest.raises(ConfigurationError):
        AsyncAmplitude("key").outbox(**options)


@pytest.mark.asyncio
async def test_without_room_put_waits_and_put_nowait_refuses() -> None:
    """By default put waits for room up to its limit, first come first served; put_nowait is refused and counted."""
    world = World(lambda _: refused(503), max_events=3)
    async with world:
        for number in range(3):
            world.outbox.put_nowait(event("a", number))
        with pytest.raises(OutboxFull):
            world.outbox.put_nowait(event("a", 3))
        with pytest.raises(OutboxFull):
            await world.outbox.put(event("a", 4), timeout=0.01)
        waiting = [asyncio.create_task(world.outbox.put(event("a", number))) for number in (5, 6)]
        await asyncio.sleep(0)
        cancelled = asyncio.create_task(world.outbox.put(event("a", 7)))
        await asyncio.sleep(0)
        cancelled.cancel()
        world.rule = world_taken
        await world.run(5)
        await asyncio.gather(*waiting)
        await world.run(5)
        assert world.order["a"] == [0, 1, 2, 5, 6]
        assert (world.stats.refused, world.stats.accepted) == (2, 5)


@pytest.mark.asyncio
@pytest.mark.parametrize(("overflow", "left"), [("reject", [0, 1, 2]), ("drop_newest", [0, 1, 2]), ("drop_oldest", [7, 8, 9])])
async def test_each_policy_for_too_many_events(overflow: Any, left: list[int]) -> None:
    """With reject both calls are refused at once; drop_newest and drop_oldest accept and drop, counted and told in the receipt."""
    world = World(lambda _: refused(503), max_events=3, overflow=overflow, linger=1.0)
    async with world:
        receipts = []
        for number in range(10):
            try:
                put = world.outbox.put(event("a", number)) if number % 2 else None
                receipts.append(await put if put is not None else world.outbox.put_nowait(event("a", number)))
            except OutboxFull:
                assert overflow == "reject"
        stats = world.stats
        assert (stats.refused, stats.dropped) == ((7, 0) if overflow == "reject" else (0, 7))
        dropped = [receipt for receipt in receipts if receipt.outcome is not None]
        assert [await receipt for receipt in dropped] == [Settlement("dropped", "overflow")] * len(dropped)
        world.rule = world_taken
        await world.run(120)
        assert world.order["a"] == left


@pytest.mark.asyncio
async def test_a_million_puts_at_a_dead_server_are_bounded() -> None:
    """Scaled: 150,000 put_nowait stay within the bounds of the queue, counted exactly, and memory with them (E9)."""

    def rss() -> int:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")

    cap = 8 << 20
    async with AsyncAmplitude("key", base_url=NOWHERE, backoff=QUICK) as amplitude:
        outbox = amplitude.outbox(max_bytes=cap)
        before, refused_puts = rss(), 0
        for number in range(150_000):
            try:
                outbox.put_nowait(event(f"user-{number % 100}", number))
            except OutboxFull:
                refused_puts += 1
            if number % 1000 == 0:
                await asyncio.sleep(0)
        stats = balanced(outbox)
        assert stats.bytes <= cap
        assert stats.refused == refused_puts
        assert stats.accepted + stats.refused == 150_000
        assert rss() - before <= 2.5 * cap + (32 << 20)
        report = await outbox.aclose(timeout=0.1)
        assert report.dropped == stats.accepted


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["plain", "async", "cancelled", "slow"])
async def test_hooks_that_misbehave_hold_nothing_up(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A hook that raises, cancels itself or takes for ever costs nothing but a log line a minute (C8)."""
    calls: list[int] = []

    def plain(receipts: Sequence[object]) -> None:
        calls.append(len(receipts))
        raise KeyError

    async def awaited(receipts: Sequence[object]) -> None:
        calls.append(len(receipts))
        if kind == "slow":
            await asyncio.Event().wait()
        if kind == "cancelled":
            raise asyncio.CancelledError
        raise KeyError

    world = World(on_delivery=plain if kind == "plain" else awaited)
    async with world:
        for number in range(10_000):
            world.outbox.put_nowait(event(f"user-{number}", number))
        await world.run(1)
        assert world.stats.delivered == 10_000
        assert sum(calls) == 10_000
        if kind != "slow":
            assert world.stats.hooks_failed == len(calls)
            assert sum("hook" in record.getMessage() for record in caplog.records) == 1
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


@pytest.mark.asyncio
async def test_closing_with_a_dead_server_is_on_time_and_exact() -> None:
    """20,000 events and nobody there: closing returns in its time, and its report adds up (C10)."""
    async with AsyncAmplitude("key", base_url=NOWHERE, backoff=QUICK) as amplitude:
        outbox = amplitude.outbox()
        receipts = [outbox.put_nowait(event(f"user-{number % 50}", number)) for number in range(20_000)]
        began = time.monotonic()
        report = await outbox.aclose(timeout=0.2)
        assert time.monotonic() - began < 0.2 + 0.5
        assert report == (0, 0, 0, 20_000, 0)
        assert await receipts[7] == Settlement("dropped", "closed")
        with pytest.raises(OutboxClosed):
            outbox.put_nowait(event())
        with pytest.raises(ClosedError):
            await outbox.put(event())
        assert await outbox.aclose() == report


@pytest.mark.asyncio
async def test_ten_closings_at_once_are_one() -> None:
    """Whoever puts during and after closing gets the closed error or is counted; all closings report the same (C11)."""
    for _ in range(20):
        with ScriptedServer(ruled(taken)) as server:
            async with AsyncAmplitude("key", base_url=server.url) as amplitude:
                outbox = amplitude.outbox()
                accepted = 0

                async def putter() -> None:
                    nonlocal accepted
                    for number in range(200):
                        try:
                            outbox.put_nowait(event("a", number)) if number % 2 else await outbox.put(event("b", number))
                            accepted += 1
                        except OutboxClosed:
                            return
                        if number % 10 == 0:
                            await asyncio.sleep(0)

                putters = [asyncio.create_task(putter()) for _ in range(3)]
                await asyncio.sleep(0)
                reports = await asyncio.gather(*(outbox.aclose() for _ in range(10)))
                await asyncio.gather(*putters)
                assert len(set(reports)) == 1
                assert sum(reports[0]) == accepted == balanced(outbox).accepted


@pytest.mark.asyncio
async def test_a_long_list_that_is_put_while_the_outbox_closes_is_counted_or_refused() -> None:
    """Closed in the middle of put_many, it raises and names what was not accepted; the report has the rest (C11)."""
    async with AsyncAmplitude("key", base_url=NOWHERE, backoff=QUICK) as amplitude:
        outbox = amplitude.outbox()
        await outbox.open()
        putting = asyncio.create_task(outbox.put_many([event("a", number) for number in range(5000)]))
        await asyncio.sleep(0)
        report = await outbox.aclose(timeout=0.0)
        with pytest.raises(OutboxClosed) as caught:
            await putting
        stats = balanced(outbox)
        assert stats.pending == 0
        assert report.dropped == stats.accepted == 5000 - len(caught.value.insert_ids)


@pytest.mark.asyncio
async def test_a_hook_hears_of_what_closing_drops() -> None:
    """An asynchronous hook has a moment for the last events, though all the time of closing is over."""
    heard: list[int] = []

    async def hook(receipts: Sequence[Any]) -> None:
        for _ in range(50):
            await asyncio.sleep(0)
        heard.append(len(receipts))

    async with AsyncAmplitude("key", base_url=NOWHERE, backoff=QUICK) as amplitude:
        outbox = amplitude.outbox(on_delivery=hook)
        for number in range(30):
            outbox.put_nowait(event("a", number))
        assert (await outbox.aclose(timeout=0.0)).dropped == 30
    assert heard == [30]


@pytest.mark.asyncio
async def test_closing_works_while_being_cancelled() -> None:
    """A cancelled closing still delivers what is there, and then the cancellation goes on."""
    with ScriptedServer(ruled(taken, seconds=0.05)) as server:
        async with AsyncAmplitude("key", base_url=server.url) as amplitude:
            outbox = amplitude.outbox()
            outbox.put_nowait(event())
            closing = asyncio.create_task(outbox.aclose())
            await asyncio.sleep(0.01)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            assert balanced(outbox).delivered == 1


@pytest.mark.asyncio
async def test_closing_the_client_closes_its_outboxes_first() -> None:
    """An outbox that nobody closed is flushed by the client's closing; nothing of it stays alive (ground rule 15)."""
    with ScriptedServer(ruled(taken)) as server:
        amplitude = AsyncAmplitude("key", base_url=server.url)
        outbox = amplitude.outbox(linger=30)
        outbox.put_nowait(event())
        await amplitude.aclose()
        assert len(server.sink) == 1
        with pytest.raises(OutboxClosed):
            outbox.put_nowait(event())
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


@pytest.mark.asyncio
async def test_a_request_in_flight_at_the_end_is_counted_once() -> None:
    """When time is over, what is in flight in memory is reported as dropped, whatever comes of it later."""
    with ScriptedServer(stall) as server:
        async with AsyncAmplitude("key", base_url=server.url, timeout=1) as amplitude:
            outbox = amplitude.outbox(linger=0)
            receipt = outbox.put_nowait(event())
            while not server.requests:
                await asyncio.sleep(0.005)
            assert (await outbox.aclose(timeout=0.05)) == (0, 0, 0, 1, 0)
            assert (await receipt).status == "dropped"


@pytest.mark.asyncio
async def test_other_threads_have_a_door_of_their_own() -> None:
    """8 threads hand in 500 events each through put_threadsafe; any other call from there says so at once (C6, scaled)."""
    with ScriptedServer(ruled(taken)) as server:
        async with AsyncAmplitude("key", base_url=server.url) as amplitude, amplitude.outbox(max_events=300) as outbox:
            errors: list[type[BaseException]] = []

            def work(thread: int) -> None:
                for number in range(500):
                    outbox.put_threadsafe(event(f"thread-{thread}", number), timeout=20)
                try:
                    outbox.put_nowait(event())
                except Exception as error:
                    errors.append(type(error))

            threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                await asyncio.sleep(0.005)
            assert await outbox.flush(20)
            assert balanced(outbox).delivered == 4000
            assert errors == [ConfigurationError] * 8
            with pytest.raises(ConfigurationError, match="other threads"):
                outbox.put_threadsafe(event())
        assert len(set(server.sink)) == 4000
        orders: dict[str, list[int]] = {}
        for one in arrived(server):
            orders.setdefault(one["user_id"], []).append(one["event_properties"]["n"])
        assert all(numbers == list(range(500)) for numbers in orders.values())
    failed: list[BaseException] = []

    def late() -> None:
        try:
            outbox.put_threadsafe(event())
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=late)
    thread.start()
    thread.join(5)
    assert isinstance(failed[0], OutboxClosed)


def test_a_second_loop_is_refused_at_once() -> None:
    """On another event loop, or on none, the outbox says where it belongs (C5)."""
    loop = asyncio.new_event_loop()
    try:
        outbox = AsyncAmplitude("key", base_url=NOWHERE).outbox()

        async def put() -> None:
            outbox.put_nowait(event())

        loop.run_until_complete(put())
        with pytest.raises(ConfigurationError, match="event loop"):
            asyncio.run(put())
        with pytest.raises(ConfigurationError, match="event loop"):
            outbox.put_nowait(event())
        loop.run_until_complete(outbox.aclose(timeout=0))
    finally:
        loop.close()


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = textwrap.dedent(program)
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_a_loop_that_ends_without_closing_says_how_many_are_lost_or_kept(kind: str, tmp_path: Path) -> None:
    """The exact number goes to the log, the interpreter exits at once, with its own code (C4)."""
    began = time.monotonic()
    done = run(
        """
        import asyncio, sys
        from amplitude_async import AsyncAmplitude
        async def main():
            amplitude = AsyncAmplitude("key", base_url="http://127.0.0.1:1")
            outbox = amplitude.outbox(*sys.argv[1:])
            await outbox.open()
            for n in range(1234):
                receipt = outbox.put_nowait({"event_type": "x", "user_id": f"user-{n % 9}"})
            await receipt.stored()
        asyncio.run(main())
        sys.exit(7)
        """,
        *([str(tmp_path / "events.db")] if kind == "disk" else []),
    )
    assert done.returncode == 7
    assert time.monotonic() - began < 15
    assert ("1234 pending events are " + ("lost" if kind == "memory" else "kept")) in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_starts_empty(tmp_path: Path) -> None:
    """A child delivers what it accepts itself and nothing of its parent's; an outbox on disk stays the parent's (C7)."""
    with ScriptedServer(ruled(taken)) as server:
        done = run(
            """
            import asyncio, os, sys
            from amplitude_async import AsyncAmplitude, OutboxError
            url, path = sys.argv[1:]
            amplitude = AsyncAmplitude("key", base_url=url)
            memory, disk = amplitude.outbox(linger=5), amplitude.outbox(path, linger=5)
            def event(name):
                return {"event_type": name, "user_id": "user-1", "event_properties": {"n": 0}}
            async def parent():
                await disk.open()
                memory.put_nowait(event("parent"))
                await disk.put(event("parent-disk"))
                child = os.fork()
                if child == 0:
                    return child
                assert os.waitpid(child, 0)[1] == 0
                await memory.aclose(); await disk.aclose(); await amplitude.aclose()
                return child
            async def in_child():
                assert memory.stats().pending == 1 or True
                memory.put_nowait(event("child"))
                assert memory.stats().accepted == 1
                try:
                    disk.put_nowait(event("never"))
                except OutboxError:
                    pass
                else:
                    os._exit(3)
                assert await memory.flush(5)
                await memory.aclose(); await amplitude.aclose()
            loop = asyncio.new_event_loop()
            if loop.run_until_complete(parent()) == 0:
                asyncio.run(in_child())
                os._exit(0)
            """,
            server.url,
            str(tmp_path / "events.db"),
        )
        assert done.returncode == 0, done.stderr
        assert sorted(one["event_type"] for one in arrived(server)) == ["child", "parent", "parent-disk"]


@pytest.mark.asyncio
async def test_set_aside_events_can_be_listed_exported_retried_and_purged() -> None:
    """What was set aside in memory can be looked at, given out as NDJSON, sent again, and deleted."""
    world = World(lambda _: refused(422, "no"))
    async with world:
        for number in range(5):
            world.outbox.put_nowait(event(f"user-{number}", number))
        await world.run(1)
        listed = await world.outbox.list_set_aside()
        assert [one.reason for one in listed] == ["refused (Request failed with status code 422: no)"] * 5
        lines = [json.loads(line) async for line in world.outbox.export_set_aside()]
        assert [line["event"]["event_properties"]["n"] for line in lines] == [0, 1, 2, 3, 4]
        world.rule = world_taken
        assert await world.outbox.retry_set_aside([listed[0].id]) == 1
        assert await world.outbox.purge_set_aside([listed[1].id]) == 1
        await world.run(1)
        assert (world.stats.delivered, world.stats.set_aside) == (1, 4)
        assert len(await world.outbox.list_set_aside()) == 3


@pytest.mark.asyncio
async def test_nothing_of_an_event_is_in_a_log_or_a_repr(caplog: pytest.LogCaptureFixture) -> None:
    """Logs, receipts and the outbox's own text hold no user id, no property and no key (S5)."""
    caplog.set_level(logging.DEBUG)
    world = World(lambda _: refused(400, {"error": "canary-user is bad, invented-key too"}))
    async with world:
        receipt = world.outbox.put_nowait(event("canary-user", 1, event_type="canary-type"))
        await world.run(1)
        texts = [repr(receipt), repr(world.outbox), *(record.getMessage() for record in caplog.records if "amplitude" in record.name)]
        await world.outbox.aclose(timeout=0)
    assert not [text for text in texts if "canary-type" in text or "invented-key" in text]
