"""Large bodies leave piece by piece: the limit on a server that does not read is for each piece, not for the whole."""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from amplitude_async import AsyncAmplitude, Backoff, RequestTimeoutError, Timeout
from amplitude_async._protocol.bodies import Content
from amplitude_async._protocol.call import Call, read_text

sys.path.insert(0, str(Path(__file__).parent))
from scripted import Connection, ScriptedServer, response

if TYPE_CHECKING:
    from collections.abc import Callable

NO_WAIT = Backoff(jitter=lambda _: 0.0)


def reading(piece: int, pause: float) -> Callable[[Connection], None]:
    """Read a request slowly and answer with what came."""

    def step(connection: Connection) -> None:
        while b"\r\n\r\n" not in connection.buffer:
            connection.buffer += connection.sock.recv(1024)
        head, _, body = connection.buffer.partition(b"\r\n\r\n")
        lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        digest, size = hashlib.sha256(body), len(body)
        while size < int(lines[b"content-length"]):
            data = connection.sock.recv(piece)
            if not data:
                return
            digest.update(data)
            size += len(data)
            if size % (1 << 20) < len(data):
                connection.server.stopped.wait(pause)
        connection.send(response(200, digest.hexdigest().encode(), "Connection: close"))

    return step


def upload(size: int) -> Call:
    content = bytes(range(251)) * (size // 251 + 1)
    return Call("lookup_tables", "query", "POST", "/x", "project", read_text, repeatable=False, body=Content(content[:size]))


@pytest.mark.anyio
@pytest.mark.parametrize("size", [0, 1, 4 << 20, (4 << 20) + 1, 16 << 20])
@pytest.mark.parametrize("foreign", [False, True])
async def test_bodies_arrive_whole(size: int, foreign: bool) -> None:
    """Of any size, over the client that is built here and over one of the user's own."""
    call = upload(size)
    assert call.body is not None
    options: dict[str, Any] = {"http_client": httpx.AsyncClient()} if foreign else {}
    with ScriptedServer(reading(1 << 20, 0.0)) as server:
        async with AsyncAmplitude("key", secret_key="secret", base_url=server.url, **options) as amplitude:
            assert await amplitude._caller.run(call) == hashlib.sha256(call.body.render("")).hexdigest()
    for client in options.values():
        await client.aclose()


@pytest.mark.anyio
async def test_a_slow_line_takes_its_time() -> None:
    """A server that reads all along is waited for, longer than the limit on one that does not read."""
    with ScriptedServer(reading(64 << 10, 0.05)) as server:
        limits = Timeout(write=0.5, attempt=30, call=30)
        async with AsyncAmplitude("key", secret_key="secret", base_url=server.url, timeout=limits, max_retries=0) as amplitude:
            began = time.monotonic()
            await amplitude._caller.run(upload(24 << 20))
            assert time.monotonic() - began > 0.5


@pytest.mark.anyio
async def test_a_server_that_stops_reading_is_not_waited_for() -> None:
    """It is given up after the limit on one piece."""
    with ScriptedServer(lambda connection: connection.server.stopped.wait(20)) as server:  # type: ignore[arg-type]  # what it returns is looked at by nobody
        limits = Timeout(write=0.3, attempt=30, call=30)
        async with AsyncAmplitude("key", secret_key="secret", base_url=server.url, timeout=limits, max_retries=0) as amplitude:
            began = time.monotonic()
            with pytest.raises(RequestTimeoutError) as caught:
                await amplitude._caller.run(upload(24 << 20))
            assert time.monotonic() - began < 5
    assert caught.value.outcome == "unknown"
