"""Deletion over a server that breaks, and files of data subject requests over servers that cheat. Over loopback sockets (F12, F14)."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from amplitude_async import (
    AsyncAmplitude,
    Backoff,
    ExportError,
    PartialDeletionError,
    RedirectError,
    ServerError,
    TransportError,
)

sys.path.insert(0, str(Path(__file__).parent))
from scripted import Connection, ScriptedServer, answer, response

pytestmark = pytest.mark.anyio

IDS = [f"user-{n}" for n in range(250)]
ROWS = [{"event_type": "x", "n": n} for n in range(5000)]
PACKED = gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in ROWS))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def client(server: ScriptedServer, clock: Clock, **options: Any) -> AsyncAmplitude:
    keys: Any = {"secret_key": "canary-secret", "org_api_key": "canary-org", "org_secret_key": "canary-org-secret"}
    backoff = Backoff(clock=lambda: clock.now, sleep=clock.sleep, jitter=lambda limit: limit)
    return AsyncAmplitude("canary-key", base_url=server.url, backoff=backoff, **keys, **options)


def ids_in(request: bytes) -> list[str]:
    ids: list[str] = json.loads(request.partition(b"\r\n\r\n")[2])["user_ids"]
    return ids


class Deleter:
    """Schedules the first request, answers the second with 500, and resets every later connection."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.times: list[float] = []

    def __call__(self, connection: Connection) -> None:
        while connection.read_request():
            self.times.append(self.clock.now)
            number = len(self.times)
            if number == 1:
                job = [{"day": "2026-05-14", "status": "staging", "amplitude_ids": [], "app": "1"}]
                connection.send(response(200, json.dumps(job).encode()))
            elif number == 2:
                connection.send(response(500, b'{"error":"trouble"}'))
            else:
                connection.reset()
                return


async def test_all_of_250_ids_are_accounted_for() -> None:
    """The first hundred is accepted, the second unknown after all its attempts, the rest unsent; one request a second (F14)."""
    clock = Clock()
    deleter = Deleter(clock)
    with ScriptedServer(deleter) as server:
        async with client(server, clock) as amplitude:
            with pytest.raises(PartialDeletionError) as caught:
                await amplitude.privacy.deletions.create(user_ids=IDS)
        requests = list(server.requests)
    report = caught.value.report
    assert report.accepted.user_ids == tuple(IDS[:100])
    assert report.unknown.user_ids == tuple(IDS[100:200])
    assert report.unsent.user_ids == tuple(IDS[200:])
    assert len(report.accepted) + len(report.unknown) + len(report.unsent) == 250
    assert isinstance(caught.value.error, (ServerError, TransportError))
    assert caught.value.outcome == "unknown"
    assert [ids_in(request) for request in requests] == [IDS[:100], IDS[100:200], IDS[100:200], IDS[100:200]]
    assert all(later - earlier >= 1.0 for earlier, later in zip(deleter.times, deleter.times[1:], strict=False))
    text = str(caught.value) + repr(caught.value) + repr(report)
    assert "user-1" not in text
    assert "canary" not in text


def done(files: int = 1) -> bytes:
    urls = [f"https://amplitude.com/api/2/dsar/requests/7/outputs/{n}" for n in range(files)]
    return json.dumps({"requestId": 7, "status": "done", "urls": urls}).encode()


def redirecting(target: str, *, files: int = 1) -> Any:
    """Answer looks with done and files with a redirect."""

    def step(connection: Connection) -> None:
        while connection.read_request():
            if b"/outputs/" in connection.request.partition(b"\r\n")[0]:
                connection.send(response(302, b"", f"Location: {target}", "Set-Cookie: a=canary-cookie"))
            else:
                connection.send(response(200, done(files)))

    return step


def file_of(body: bytes, *headers: str) -> Any:
    return answer(response(200, body, "Content-Type: binary/octet-stream", *headers))


async def rows_of(amplitude: AsyncAmplitude, **options: Any) -> list[dict[str, Any]]:
    data = await amplitude.privacy.dsar.download(request_id=7)
    return [row async for row in data.rows(**options)]


@pytest.mark.parametrize("is_undone", [False, True])
async def test_a_file_is_followed_without_credentials(is_undone: bool) -> None:
    """The storage sees neither keys nor cookies, and its gzip may come as the file's content or as its encoding."""
    clock = Clock()
    headers = ("Content-Encoding: gzip",) if is_undone else ()
    with ScriptedServer(file_of(PACKED, *headers)) as storage, ScriptedServer(redirecting(f"{storage.url}/f?X-Signature=s")) as server:
        async with client(server, clock) as amplitude:
            assert await rows_of(amplitude) == ROWS
        assert b"uthorization: Basic" in server.requests[0]
        (seen,) = storage.requests
    assert seen.startswith(b"GET /f?X-Signature=s HTTP/1.1")
    for word in (b"uthorization", b"ookie", b"canary"):
        assert word not in seen


async def test_a_redirect_that_leads_astray_is_not_followed() -> None:
    """Into a private network, or to clear text elsewhere."""
    for target in ("http://10.0.0.1/f", "http://files.example/f", "https://user@files.example/f", "//files.example/f"):
        with ScriptedServer(redirecting(target)) as server:
            async with client(server, Clock()) as amplitude:
                with pytest.raises(RedirectError):
                    await rows_of(amplitude)


@pytest.mark.parametrize("damage", ["cut", "flipped", "page", "empty"])
async def test_a_damaged_file_is_an_error(damage: str) -> None:
    """Cut, flipped, a page in its place or nothing: rows that came before are true, and the end is an error that names the file."""
    flipped = bytearray(PACKED)
    flipped[len(PACKED) // 2] ^= 0x20
    body = {"cut": PACKED[:-20], "flipped": bytes(flipped), "page": b"<html>sorry</html>", "empty": b""}[damage]
    rows: list[Any] = []
    with ScriptedServer(file_of(body)) as storage, ScriptedServer(redirecting(f"{storage.url}/f")) as server:
        async with client(server, Clock()) as amplitude:
            data = await amplitude.privacy.dsar.download(request_id=7)

            async def read() -> None:
                async for row in data:
                    rows.append(row)  # noqa: PERF401 - what came before the error is what this is about

            with pytest.raises(ExportError) as caught:
                await read()
    assert caught.value.member == "outputs/0"
    assert rows == ROWS[: len(rows)]
    assert len(rows) < len(ROWS) or damage == "cut"


async def test_bad_rows_are_an_error_or_left_out() -> None:
    """With their line; skipped ones are counted."""
    body = gzip.compress(b'{"n":1}\nnonsense\n{"n":2}\n')
    with ScriptedServer(file_of(body)) as storage, ScriptedServer(redirecting(f"{storage.url}/f", files=2)) as server:
        async with client(server, Clock()) as amplitude:
            with pytest.raises(ExportError) as caught:
                await rows_of(amplitude)
            assert caught.value.line == 2
            data = await amplitude.privacy.dsar.download(request_id=7)
            rows = data.rows(bad_rows="skip")
            assert [row["n"] async for row in rows] == [1, 2, 1, 2]
            assert rows.skipped_rows == 2


async def test_a_file_that_breaks_off_is_an_error() -> None:
    """A connection that ends before the announced length is no shorter file."""

    def broken(connection: Connection) -> None:
        if connection.read_request():
            connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(PACKED)}\r\n\r\n".encode() + PACKED[:1000])

    with ScriptedServer(broken) as storage, ScriptedServer(redirecting(f"{storage.url}/f")) as server:
        async with client(server, Clock()) as amplitude:
            with pytest.raises(TransportError):
                await rows_of(amplitude)
