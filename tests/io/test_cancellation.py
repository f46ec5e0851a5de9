"""Cancelling callers, siblings that fail, silent servers: the client stays whole."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
import threading
import time
import warnings
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from amplitude_async import AsyncAmplitude, Backoff, ClosedError, ConfigurationError, RequestTimeoutError, Timeout

sys.path.insert(0, str(Path(__file__).parent))
from scripted import OK, Connection, ScriptedServer, good, response, sent_events, stall

EVENT = {"event_type": "x", "user_id": "user-1"}
NO_WAIT = Backoff(jitter=lambda _: 0.0)


def slowly(connection: Connection) -> None:
    """Answer each request after a hundredth of a second."""
    while connection.read_request():
        connection.server.stopped.wait(0.005)
        connection.accept_events()
        connection.send(response())


def unharmed(amplitude: AsyncAmplitude) -> bool:
    slots = amplitude._caller.slots
    return slots is not None and slots.free == slots.total and amplitude._caller.tasks.alive == 0


async def settle(amplitude: AsyncAmplitude) -> None:
    with anyio.fail_after(5):
        while not unharmed(amplitude):
            await anyio.sleep(0.01)


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["scope", "task"])
async def test_2000_cancelled_calls_leave_every_slot(way: str, anyio_backend: str) -> None:
    """After 2,000 calls cancelled under contention, 8 parallel calls succeed and no slot is held (C2)."""
    if way == "task" and anyio_backend == "trio":
        way = "scope"  # trio cancels by scope alone
    rng = random.Random(1)
    cancelled = 0
    with ScriptedServer(slowly) as server:
        # A request per call: calls that share requests do not contend for connections.
        async with AsyncAmplitude("key", base_url=server.url, max_connections=8, timeout=5, share_requests=False) as amplitude:

            async def by_scope() -> None:
                nonlocal cancelled
                with anyio.move_on_after(rng.uniform(0, 0.01)) as scope:
                    await amplitude.track(EVENT)
                cancelled += scope.cancelled_caught

            async def by_task() -> None:
                nonlocal cancelled
                task = asyncio.ensure_future(amplitude.track(EVENT))
                await asyncio.sleep(rng.uniform(0, 0.01))
                task.cancel()
                try:
                    await task
                except asyncio.CancelledError:
                    cancelled += 1

            async def caller() -> None:
                for _ in range(105):
                    await (by_task if way == "task" else by_scope)()

            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(caller)
            with anyio.fail_after(2):
                async with anyio.create_task_group() as group:
                    for _ in range(8):
                        group.start_soon(amplitude.track, EVENT)
            await settle(amplitude)
            assert cancelled >= 1900


@pytest.mark.anyio
async def test_2000_cancelled_calls_that_share_requests_leave_every_slot() -> None:
    """The same holds for calls that share requests, which is the default (C2)."""
    rng = random.Random(2)

    def slowly_right(connection: Connection) -> None:
        while connection.read_request():
            connection.server.stopped.wait(0.005)
            count = len(sent_events(connection.request))
            connection.send(response(body=OK.replace(b'"events_ingested":1', b'"events_ingested":%d' % count)))

    with ScriptedServer(slowly_right) as server:
        async with AsyncAmplitude("key", base_url=server.url, max_connections=8, timeout=5) as amplitude:

            async def caller() -> None:
                cancelled = 0
                while cancelled < 100:
                    with anyio.move_on_after(rng.uniform(0, 0.006)) as scope:
                        await amplitude.track(EVENT)
                    cancelled += scope.cancelled_caught

            with anyio.fail_after(30):
                async with anyio.create_task_group() as group:
                    for _ in range(20):
                        group.start_soon(caller)
            with anyio.fail_after(2):
                async with anyio.create_task_group() as group:
                    for _ in range(8):
                        group.start_soon(amplitude.track, EVENT)
            await settle(amplitude)


@pytest.mark.anyio
async def test_a_call_cancelled_at_any_tick_is_let_go_and_ends_inside() -> None:
    """Cancelled after any number of turns of the loop, the caller is free at once and nothing stays behind (C1)."""
    with ScriptedServer(good) as server:
        async with AsyncAmplitude("key", base_url=server.url) as amplitude:
            await amplitude.track(EVENT)
            for ticks in range(120):
                async with anyio.create_task_group() as group:
                    group.start_soon(amplitude.track, EVENT)
                    for _ in range(ticks):
                        await anyio.lowlevel.checkpoint()
                    group.cancel_scope.cancel()
            await settle(amplitude)
            await amplitude.track(EVENT)
        assert amplitude._caller.tasks.alive == 0


@pytest.mark.anyio
async def test_a_failing_sibling_ends_the_group_with_its_own_error() -> None:
    """A sibling's error is the only one that leaves its task group while calls are in flight (C3)."""
    with ScriptedServer(slowly) as server:
        async with AsyncAmplitude("key", base_url=server.url, max_connections=8) as amplitude:

            async def sibling() -> None:
                await anyio.sleep(0.002)
                message = "mine"
                raise KeyError(message)

            for _ in range(100):
                with pytest.raises(ExceptionGroup) as caught:
                    async with anyio.create_task_group() as group:
                        for _ in range(4):
                            group.start_soon(amplitude.track, EVENT)
                        group.start_soon(sibling)
                assert [type(error) for error in caught.value.exceptions] == [KeyError]
            await settle(amplitude)


@pytest.mark.anyio
async def test_200_callers_of_a_silent_server_end_and_the_client_recovers() -> None:
    """All of 200 callers end with typed errors by their deadline; the same client works when the server heals (B9)."""
    with ScriptedServer(stall, *[stall] * 60) as server:
        limits = Timeout(attempt=0.3, call=1.0, pool=0.5)
        async with AsyncAmplitude("key", base_url=server.url, timeout=limits, backoff=NO_WAIT, max_connections=20) as amplitude:
            kinds: list[type[BaseException]] = []

            async def call() -> None:
                try:
                    await amplitude.track(EVENT)
                except Exception as error:
                    kinds.append(type(error))

            began = time.monotonic()
            async with anyio.create_task_group() as group:
                for _ in range(200):
                    group.start_soon(call)
            assert time.monotonic() - began < 2.0 + 1.0
            assert kinds == [RequestTimeoutError] * 200
            with server.lock:
                server.script = [good]
            with anyio.fail_after(2):
                result = await amplitude.track(EVENT)
            assert result["code"] == 200
            await settle(amplitude)


@pytest.mark.anyio
async def test_closing_is_final_and_can_be_repeated() -> None:
    """Ten closings at once are one; afterwards every use is a ClosedError."""
    with ScriptedServer(good) as server:
        amplitude = AsyncAmplitude("key", base_url=server.url)
        await amplitude.track(EVENT)
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(amplitude.aclose)
        with pytest.raises(ClosedError):
            await amplitude.track(EVENT)
        with pytest.raises(ClosedError):
            await amplitude.user_search("user-1")  # it has no secret key either, but that is not what is wrong
        with pytest.raises(ClosedError):
            await amplitude.with_options(max_retries=0).track(EVENT)


def held() -> tuple[int, int]:
    """Return how many descriptors and threads this process has."""
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.anyio
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not say what a process holds")
async def test_a_thousand_clients_leave_nothing() -> None:
    """Opened, used and closed a thousand times, clients leave no descriptor, thread or memory; unused, they take none (C12)."""
    with ScriptedServer(good) as server:

        async def live(*, is_used: bool) -> AsyncAmplitude:
            amplitude = AsyncAmplitude("key", base_url=server.url)
            async with amplitude:
                if is_used:
                    await amplitude.track(EVENT)
            return amplitude

        async def settled(wanted: tuple[int, int]) -> bool:
            with anyio.move_on_after(5):
                # The server's threads end when they find that the client has gone.
                while any(abs(now - then) > 2 for now, then in zip(held(), wanted, strict=True)):
                    await anyio.sleep(0.01)
                return True
            return False

        for _ in range(50):
            await live(is_used=True)
        gc.collect()
        before, memory = held(), resident()
        unused = [AsyncAmplitude("key", base_url=server.url) for _ in range(200)]
        assert await settled(before)
        for amplitude in unused:
            await amplitude.aclose()
        unused.clear()
        for _ in range(1000):
            assert (await live(is_used=True))._caller.tasks.alive == 0
        gc.collect()
        assert await settled(before)
        # The server, which keeps every request, is in this process too.
        assert resident() - memory <= 16 << 20


def test_a_second_event_loop_is_refused_at_once() -> None:
    """A client in use on another event loop says so, and says closed after closing (C5)."""
    with ScriptedServer(good) as server:
        amplitude = AsyncAmplitude("key", base_url=server.url)
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(amplitude.track(EVENT))
            with pytest.raises(ConfigurationError, match="event loop"):
                asyncio.run(_track(amplitude))
            loop.run_until_complete(amplitude.aclose())
            with pytest.raises(ClosedError):
                asyncio.run(_track(amplitude))
        finally:
            loop.close()


async def _track(amplitude: AsyncAmplitude) -> None:
    await amplitude.track(EVENT)


def big_zip(connection: Connection) -> None:
    """Begin a zip and go on for ever."""
    connection.read_request()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\n\r\nPK\x03\x04")
    while not connection.server.stopped.is_set():
        connection.send(b"x" * 4096)
        connection.server.stopped.wait(0.001)


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["cancel", "leave the block", "close the client"])
async def test_an_abandoned_download_is_aborted(way: str) -> None:
    """Cancelling, leaving the block, or closing the client ends the download and its connection (F9)."""
    with ScriptedServer(big_zip) as server:
        amplitude = AsyncAmplitude("key", secret_key="secret", base_url=server.url)
        export = amplitude.export(start="20260101T00", end="20260101T01")
        if way == "cancel":
            with anyio.move_on_after(0.1):
                async for _ in export:
                    pass
        elif way == "leave the block":
            async with export:
                async for _ in export:
                    break
        else:
            async for _ in export:
                break
            with pytest.warns(ResourceWarning, match="left open"):
                await amplitude.aclose()
        await settle(amplitude) if way != "close the client" else None
        await amplitude.aclose()
        with anyio.fail_after(10):
            while any(thread.is_alive() for thread in server._threads[1:]):
                await anyio.sleep(0.01)
        assert amplitude._caller.tasks.alive == 0


def endless_csv(connection: Connection) -> None:
    """Begin a cohort's file and go on for ever."""
    connection.read_request()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\n\r\namplitude_id,user_id\n")
    while not connection.server.stopped.is_set():
        connection.send(b"1,ada\n" * 700)
        connection.server.stopped.wait(0.001)


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["close the client", "drop the iterator"])
async def test_a_warning_that_is_an_error_leaves_no_connection(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``-W error`` the warning about a download that was left open is raised after everything is closed, and not in the middle."""
    ignored: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: ignored.append(unraisable.exc_value))
    with ScriptedServer(endless_csv) as server:
        amplitude = AsyncAmplitude("key", secret_key="secret", base_url=server.url)
        rows = amplitude.cohorts.file("Qz7Tm2").rows()
        await anext(rows)
        with warnings.catch_warnings(action="error"):
            if way == "close the client":
                with pytest.raises(ResourceWarning, match="left open"):
                    await amplitude.aclose()
            else:
                del rows
                assert [type(each) for each in ignored] == [ResourceWarning]
                await settle(amplitude)
        with anyio.fail_after(10):
            while any(thread.is_alive() for thread in server._threads[1:]):
                await anyio.sleep(0.01)
        assert amplitude._caller.tasks.alive == 0
        await amplitude.aclose()
