"""What answers and broken connections come to: A1, A7, A8, A13-A17, B1-B8 and B10 of the fault list, for awaited calls."""

from __future__ import annotations

import gzip
import json
import os
import socket
import ssl
import sys
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme

import amplitude_async
from amplitude_async import AmplitudeError, AsyncAmplitude, Backoff, Timeout

sys.path.insert(0, str(Path(__file__).parent))
from scripted import Connection, ScriptedServer, answer, good, response, sent_events, stall

if TYPE_CHECKING:
    from collections.abc import Callable

EVENT = {"event_type": "x", "user_id": "user-1"}
NO_WAIT = Backoff(jitter=lambda _: 0.0)

BAD_200 = {
    "empty": b"",
    "html": b"<html>log in</html>",
    "text": b"ok",
    "cut": b'{"code":200',
    "list": b"[1]",
    "number": b"123",
    "null": b"null",
    "deep": b"[" * 200_000 + b"]" * 200_000,
    "utf8": b'{"code":200,"x":"\xff\xfe"}',
    "nan": b'{"code":NaN}',
    "infinity": b'{"code":-Infinity}',
    "big integer": b'{"code":200,"events_ingested":' + str(2**63).encode() + b"}",
    "duplicate": b'{"code":200,"code":200}',
}


def client(server: ScriptedServer, **options: Any) -> AsyncAmplitude:
    options.setdefault("timeout", Timeout(attempt=2.0, call=6.0))
    return AsyncAmplitude("key", secret_key="secret", base_url=server.url, backoff=options.pop("backoff", NO_WAIT), **options)


async def failing(amplitude: AsyncAmplitude, event: dict[str, Any] = EVENT) -> AmplitudeError:
    async with amplitude:
        with pytest.raises(AmplitudeError) as caught:
            await amplitude.track(event)
    return caught.value


@pytest.mark.anyio
@pytest.mark.parametrize("name", BAD_200)
async def test_a_200_that_is_no_confirmation_is_no_success(name: str) -> None:
    """A confused 200 leaves the outcome unknown, and the event goes again under the same insert_id until it is confirmed (A1, A16)."""
    bad = answer(response(body=BAD_200[name]))
    with ScriptedServer(bad) as server:
        error = await failing(client(server, max_retries=1))
        assert isinstance(error, amplitude_async.UnexpectedResponseError)
        assert (error.outcome, error.status) == ("unknown", 200)
        ids = {sent_events(request)[0]["insert_id"] for request in server.requests}
        assert len(server.requests) == 2
        assert ids == set(error.insert_ids)
    with ScriptedServer(bad, good) as server:
        async with client(server) as amplitude:
            await amplitude.track(EVENT)
        assert len(server.requests) == 2
        assert len({sent_events(request)[0]["insert_id"] for request in server.requests}) == 1


@pytest.mark.anyio
async def test_a_byte_order_mark_is_accepted() -> None:
    """A leading byte order mark does not spoil an answer (A16)."""
    with ScriptedServer(answer(response(body=b'\xef\xbb\xbf{"code":200}'))) as server:
        async with client(server) as amplitude:
            assert await amplitude.track(EVENT) == {"code": 200}


@pytest.mark.anyio
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 410, 411, 413, 414, 415, 421, 422, 431, 451])
async def test_a_final_no_is_not_repeated(status: int) -> None:
    """A 4xx that cannot change is one request, typed, with status and words (A7)."""
    with ScriptedServer(answer(response(status, b'{"code":%d,"error":"no thanks"}' % status))) as server:
        error = await failing(client(server))
        assert len(server.requests) == 1
    assert isinstance(error, amplitude_async.ResponseError)
    assert (error.status, error.outcome) == (status, "rejected")
    assert str(error) == f"Request failed with status code {status}: no thanks"


@pytest.mark.anyio
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527, 528, 529, 598, 599])
async def test_passing_trouble_is_repeated_with_the_same_insert_id(status: int) -> None:
    """Trouble that may pass is retried, unchanged; 429 and 503 are not sent, the rest unknown (A8)."""
    bad = answer(response(status, b"<html>"))
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    backoff = Backoff(base=0.5, jitter=lambda limit: limit, sleep=sleep)
    with ScriptedServer(bad, bad, good) as server:
        async with client(server, backoff=backoff) as amplitude:
            await amplitude.track(EVENT)
        bodies = [request.partition(b"\r\n\r\n")[2] for request in server.requests]
        assert len(bodies) == 3
        assert len(set(bodies)) == 1
        assert waits == [0.5, 1.0]
        assert len(server.sink) == 1
    with ScriptedServer(bad) as server:
        error = await failing(client(server, max_retries=1))
        assert error.outcome == ("not_sent" if status in {429, 503} else "unknown")
        assert error.request is not None
        assert error.request.attempts == 2


@pytest.mark.anyio
@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
async def test_no_redirect_is_followed(status: int) -> None:
    """A redirect is an error that names the target's host alone, and the target sees nobody (A13)."""
    with ScriptedServer(good) as target:
        location = f"Location: http://user:password@localhost:{target.port}/elsewhere?signature=abc"
        with ScriptedServer(answer(response(status, b"", location))) as server:
            error = await failing(client(server))
            assert len(server.requests) == 1
        assert target.accepted == 0
    assert isinstance(error, amplitude_async.RedirectError)
    assert error.target_host == "localhost"
    assert "signature" not in str(error)
    assert "password" not in str(error)


def rss() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def endless(connection: Connection) -> None:
    connection.read_request()
    connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while not connection.server.stopped.is_set():
        connection.send(b" " * 65536)


@pytest.mark.anyio
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from Linux's /proc")
async def test_an_endless_answer_is_left() -> None:
    """Reading stops at the cap, the connection goes, and memory stays (A14)."""
    with ScriptedServer(endless) as server:
        before = rss()
        error = await failing(client(server, max_retries=0))
        assert isinstance(error, amplitude_async.UnexpectedResponseError)
        assert rss() - before < 16 << 20


@pytest.mark.anyio
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from Linux's /proc")
async def test_a_compressed_bomb_stops_at_the_cap() -> None:
    """260 kB of gzip for 256 MiB is a typed error and little memory (A15)."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()
    with ScriptedServer(answer(response(200, bomb, "Content-Encoding: gzip"))) as server:
        before = rss()
        error = await failing(client(server, max_retries=0))
        assert isinstance(error, amplitude_async.UnexpectedResponseError)
        assert rss() - before < 32 << 20


@pytest.mark.anyio
@pytest.mark.parametrize("body", [gzip.compress(b'{"code":200}', mtime=0)[:-6], b"not gzip at all"])
async def test_damaged_compression_is_a_typed_error(body: bytes) -> None:
    """A compressed answer that is cut or damaged is no success."""
    with ScriptedServer(answer(response(200, body, "Content-Encoding: gzip"))) as server:
        assert isinstance(await failing(client(server, max_retries=0)), amplitude_async.UnexpectedResponseError)


@pytest.mark.anyio
async def test_a_server_that_closes_every_time_costs_nothing_that_stays() -> None:
    """HTTP/1.0 answers and Connection: close work, and no descriptor accumulates (A17)."""
    old = answer(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + b'{"code":200}')
    close = answer(response(200, b'{"code":200}', "Connection: close"))
    with ScriptedServer(*[old, close] * 15) as server:
        async with client(server) as amplitude:
            await amplitude.track(EVENT)
            before = len(list(Path("/proc/self/fd").iterdir()))
            for _ in range(20):
                await amplitude.track(EVENT)
            assert abs(len(list(Path("/proc/self/fd").iterdir())) - before) <= 2


@pytest.mark.anyio
async def test_an_unknown_host_and_a_refused_port_are_not_sent() -> None:
    """No connection means no byte left (B1, B2)."""
    for url in ("https://no-such-host.invalid", "http://127.0.0.1:1"):
        async with AsyncAmplitude("key", base_url=url, backoff=NO_WAIT, max_retries=1) as amplitude:
            with pytest.raises(amplitude_async.TransportError) as caught:
                await amplitude.track(EVENT)
        assert caught.value.outcome == "not_sent"
        assert caught.value.insert_ids


@pytest.mark.anyio
async def test_a_host_that_swallows_connections_runs_into_the_connect_limit() -> None:
    """A full backlog ends at the connect limit, not sent (B2)."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            time.sleep(0.05)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            async with AsyncAmplitude("key", base_url=url, timeout=Timeout(connect=0.2), max_retries=0) as amplitude:
                with pytest.raises(amplitude_async.RequestTimeoutError) as caught:
                    await amplitude.track(EVENT)
            assert caught.value.outcome == "not_sent"
        finally:
            for filler in fillers:
                filler.close()


def tls(context: ssl.SSLContext, then: Callable[[Connection], None]) -> Callable[[Connection], None]:
    """Speak TLS with a certificate, then do the step."""

    def step(connection: Connection) -> None:
        with context.wrap_socket(connection.sock, server_side=True) as wrapped:
            connection.sock = wrapped
            then(connection)

    return step


def server_context(*names: str, expired: bool = False) -> tuple[ssl.SSLContext, trustme.CA]:
    authority = trustme.CA()
    when = datetime(2020, 1, 1, tzinfo=UTC) if expired else None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, not_after=when).configure_cert(context)
    return context, authority


@pytest.mark.anyio
@pytest.mark.parametrize("fault", ["unknown issuer", "wrong name", "expired", "clear text", "old protocol"])
async def test_tls_that_is_not_right_is_refused_before_any_byte_of_the_body(fault: str) -> None:
    """A certificate or protocol that is not right is refused, without fallback; the error names the cause (B3, S10)."""
    names = ("other.example",) if fault == "wrong name" else ("localhost",)
    context, authority = server_context(*names, expired=fault == "expired")
    trusting = ssl.create_default_context()
    if fault != "unknown issuer":
        authority.configure_trust(trusting)
    if fault == "old protocol":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        trusting.minimum_version = ssl.TLSVersion.TLSv1_3
    step = stall if fault == "clear text" else tls(context, good)
    with ScriptedServer(step) as server:
        url = f"https://localhost:{server.port}"
        limits = Timeout(connect=0.5, attempt=1.0)
        async with AsyncAmplitude(
            "key", base_url=url, ssl_context=trusting, timeout=limits, backoff=NO_WAIT, max_retries=0
        ) as amplitude:
            with pytest.raises(amplitude_async.TransportError) as caught:
                await amplitude.track(EVENT)
        assert server.requests == []
    assert caught.value.outcome == "not_sent"


@pytest.mark.anyio
async def test_a_right_certificate_is_spoken_to() -> None:
    """TLS with a trusted certificate works, and a stalled handshake runs into the connect limit (B4)."""
    context, authority = server_context("localhost")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with ScriptedServer(tls(context, good), stall) as server:
        url = f"https://localhost:{server.port}"
        async with AsyncAmplitude("key", base_url=url, ssl_context=trusting) as amplitude:
            assert (await amplitude.track(EVENT))["code"] == 200
        async with AsyncAmplitude("key", base_url=url, ssl_context=trusting, timeout=Timeout(connect=0.2), max_retries=0) as amplitude:
            with pytest.raises(amplitude_async.RequestTimeoutError) as caught:
                await amplitude.track(EVENT)
        assert caught.value.outcome == "not_sent"


def taken(connection: Connection) -> None:
    """Read a request and ingest it."""
    if connection.read_request():
        connection.accept_events()


def taken_then(data: bytes) -> Callable[[Connection], None]:
    """Ingest a request and begin an answer."""

    def step(connection: Connection) -> None:
        taken(connection)
        connection.send(data)

    return step


CUTS: dict[str, Callable[[Connection], None]] = {
    "before the request": lambda _: None,
    "in headers": lambda connection: connection.read_some(20),
    "in mid-body": lambda connection: connection.read_some(260),
    "after the body": taken,
    "in answer headers": taken_then(b"HTTP/1.1 200 O"),
    "in answer body": taken_then(response()[:-20]),
}


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["fin", "rst"])
@pytest.mark.parametrize("cut", CUTS)
async def test_a_connection_cut_anywhere_is_classed_and_repeated(cut: str, way: str) -> None:
    """Wherever it is cut, the event arrives exactly once after dedupe, and a lone attempt is unknown unless no body byte left (B5)."""

    def step(connection: Connection) -> None:
        CUTS[cut](connection)
        if way == "rst":
            connection.reset()

    big = {**EVENT, "event_properties": {"text": "x" * 300}}
    for _ in range(13):  # 624 runs in all: twelve cuts, two event loops, with and without a retry
        with ScriptedServer(step, good) as server:
            async with client(server) as amplitude:
                await amplitude.track(big)
            assert len(set(server.sink)) == 1
        with ScriptedServer(step) as server:
            error = await failing(client(server, max_retries=0), big)
            assert isinstance(error, amplitude_async.TransportError)
            if cut in {"after the body", "in answer headers", "in answer body"}:
                assert error.outcome == "unknown"
            assert error.outcome in {"unknown", "not_sent"}
            assert len(error.insert_ids) == 1


@pytest.mark.anyio
async def test_an_idle_connection_that_closes_under_the_next_request_is_replaced_silently() -> None:
    """A kept connection closed by the server just as a request starts costs no error, even without retries (B6)."""

    def once(connection: Connection) -> None:
        connection.read_request()
        connection.accept_events()
        connection.send(response())
        # The next request finds this connection dead: it is read and dropped.
        connection.read_some(1)
        connection.reset()

    with ScriptedServer(*[once] * 10, good) as server:
        async with client(server, max_retries=0) as amplitude:
            for _ in range(15):
                await amplitude.track(EVENT)
        assert len(server.sink) == len(set(server.sink)) == 15


@pytest.mark.anyio
async def test_a_dribbling_answer_runs_into_the_attempt_limit() -> None:
    """Bytes that keep trickling do not stretch the limit of an attempt (B7)."""

    def dribble(connection: Connection) -> None:
        connection.read_request()
        for byte in response():
            connection.send(bytes([byte]))
            if connection.server.stopped.wait(0.05):
                return

    with ScriptedServer(dribble) as server:
        began = time.monotonic()
        error = await failing(client(server, timeout=Timeout(read=0.2, attempt=0.5), max_retries=0))
        assert time.monotonic() - began < 1.0
    assert isinstance(error, amplitude_async.RequestTimeoutError)
    assert error.outcome == "unknown"


@pytest.mark.anyio
async def test_a_bad_line_carries_a_hundred_events() -> None:
    """Read at 8 kB/s, answered after half a second in slices of ten bytes: 100 events arrive, once, at the first attempt (B10)."""
    got_at: list[float] = []

    def bad_line(connection: Connection) -> None:
        length = 1
        while len(connection.buffer) < length:
            data = connection.sock.recv(400)
            if not data:
                return
            connection.buffer += data
            head, mark, _ = connection.buffer.partition(b"\r\n\r\n")
            if mark:
                length = len(head) + 4 + int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            connection.server.stopped.wait(0.05)
        connection.read_request()
        got_at.append(time.monotonic())
        connection.accept_events()
        connection.server.stopped.wait(0.5)
        said = response(200, b'{"code":200,"server_upload_time":1,"payload_size_bytes":1,"events_ingested":100}')
        for begin in range(0, len(said), 10):
            connection.send(said[begin : begin + 10])
            connection.server.stopped.wait(0.01)

    with ScriptedServer(bad_line) as server:
        began = time.monotonic()
        async with client(server, timeout=Timeout(), max_retries=0) as amplitude:
            result = await amplitude.track([{**EVENT, "event_properties": {"n": number}} for number in range(100)])
        assert result["events_ingested"] == 100
        assert len(server.requests) == 1
        assert len(server.sink) == len(set(server.sink)) == 100
        assert got_at[0] - began > 1.0


def never_reads(connection: Connection) -> None:
    """Hold the connection and read nothing."""
    connection.server.stopped.wait(20)


@pytest.mark.anyio
async def test_a_server_that_never_reads_runs_into_the_write_limit() -> None:
    """A large body that nobody reads ends at the write limit (B8)."""
    with ScriptedServer(never_reads) as server:
        events = [{**EVENT, "event_properties": {"text": "x" * 890_000}}]
        async with client(server, timeout=Timeout(write=0.3, attempt=3.0), max_retries=0) as amplitude:
            # The system's own buffers may take it all; then it is the silence that ends it.
            with pytest.raises(amplitude_async.RequestTimeoutError) as caught:
                await amplitude.with_options(timeout=Timeout(write=0.3, read=0.3, attempt=3.0)).track(events)
    assert caught.value.outcome == "unknown"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("7", 7, 7), ("Fri, 31 Dec 2100 00:00:00 GMT", 600, 600), ("-5", 0, 1), ("soon", 0, 1), ("1000000000", 600, 600), (None, 0, 1)],
)
async def test_retry_after_is_honoured_in_every_form(header: str | None, least: float, most: float) -> None:
    """A hint is honoured up to ten minutes, nonsense means the own backoff; the wait is made on the injected clock."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    bad = answer(response(429, b"{}", *([f"Retry-After: {header}"] if header else [])))
    with ScriptedServer(bad, good) as server:
        backoff = Backoff(jitter=lambda limit: limit, sleep=sleep, clock=lambda: 0.0)
        async with client(server, backoff=backoff, timeout=Timeout(call=1000)) as amplitude:
            await amplitude.track(EVENT)
    assert least <= waits[0] <= most


@pytest.mark.anyio
async def test_a_wait_longer_than_what_is_left_raises_at_once() -> None:
    """A hint beyond the deadline is not waited for."""
    bad = answer(response(429, json.dumps({"throttled_users": {"user-1": 40}, "throttled_events": [0]}).encode(), "Retry-After: 60"))
    with ScriptedServer(bad) as server:
        error = await failing(client(server))
        assert len(server.requests) == 1
    assert isinstance(error, amplitude_async.RateLimitedError)
    assert (error.retry_after, error.throttled_users, error.throttled_events) == (60.0, {"user-1": 40}, (0,))


@pytest.mark.anyio
async def test_an_identify_that_adds_is_not_repeated_when_it_may_have_arrived() -> None:
    """After an unknown outcome $set goes again, $add does not; after a 503 both do."""
    for operation, status, requests in (("$set", 500, 3), ("$add", 500, 1), ("$add", 503, 3)):
        with ScriptedServer(answer(response(status, b"x"))) as server:
            async with client(server) as amplitude:
                with pytest.raises(amplitude_async.ServerError):
                    await amplitude.identify({"user_id": "user-1", "user_properties": {operation: {"n": 1}}})
            assert len(server.requests) == requests
