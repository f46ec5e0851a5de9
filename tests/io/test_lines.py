"""Requests over the library's own lines: what is taken for an answer and what is not, and who may take the HTTP library's place."""

from __future__ import annotations

import contextlib
import gc
import json
import socket
import ssl
import sys
import threading
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import anyio
import httpcore
import httpx
import pytest
import respx
import trio
import trio.testing
import trustme

from amplitude_async import AsyncAmplitude, Backoff, ClosedError, RequestTimeoutError, Timeout, TransportError, UnexpectedResponseError
from amplitude_async._io.transport import door, lines
from amplitude_async._io.transport.http11 import Doors
from amplitude_async._io.transport.lines import connect
from amplitude_async._io.transport.slots import slot_transport
from amplitude_async._io.transport.wire import Wire
from amplitude_async._protocol.bodies import Content
from amplitude_async._protocol.call import Call, read_text
from amplitude_async._protocol.verdict import Failure

sys.path.insert(0, str(Path(__file__).parent))
from scripted import OK, Connection, ScriptedServer, good, response, ruled, taken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EVENT = {"event_type": "x", "user_id": "user-1"}
NO_WAIT = Backoff(jitter=lambda _: 0.0)


async def tracked(server: ScriptedServer, count: int = 1, **options: Any) -> list[dict[str, Any]]:
    """Track events one after another, and return what was said of each."""
    with server:
        async with AsyncAmplitude("key", base_url=server.url, backoff=NO_WAIT, **options) as amplitude:
            return [dict(await amplitude.track(EVENT)) for _ in range(count)]


def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a client's context and that of a server on this machine which the client trusts."""
    authority = trustme.CA()
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server_side)
    return trusted, server_side


@pytest.mark.anyio
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + response(),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"1\r\n%c\r\n" % byte for byte in OK)
        + b"0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + OK,
        b"HTTP/1.0 200 OK\r\n\r\n" + OK,
        response(200, OK, "X: " + "y" * 60_000),
    ],
    ids=["after informational answers", "in chunks", "until the end of the line", "of HTTP/1.0", "behind long headers"],
)
async def test_an_answer_is_read_however_it_is_framed(answer: bytes) -> None:
    """Every framing of RFC 9112 gives the same answer, whole or byte by byte, and the next request too is answered."""

    def step(connection: Connection) -> None:
        connection.read_request()
        connection.send(answer)

    def dribbled(connection: Connection) -> None:
        connection.read_request()
        for at in range(min(len(answer), 400)):
            connection.send(answer[at : at + 1])
        connection.send(answer[400:])

    said = await tracked(ScriptedServer(step, dribbled, good), 3)
    assert [one["events_ingested"] for one in said] == [1, 1, 1]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["no HTTP", "a length that is no number", "two lengths", "endless headers", "a chunk without a size"],
)
async def test_what_is_no_answer_is_a_typed_error(answer: bytes) -> None:
    """It comes to a TransportError whose outcome is unknown, and the next call finds a line that works."""

    def step(connection: Connection) -> None:
        connection.read_request()
        connection.send(answer)

    bad = ScriptedServer(step, good)
    with bad:
        async with AsyncAmplitude("key", base_url=bad.url, max_retries=0) as amplitude:
            with pytest.raises((TransportError, UnexpectedResponseError)) as refused:
                await amplitude.track(EVENT)
            assert refused.value.outcome == "unknown"
            assert (await amplitude.track(EVENT))["events_ingested"] == 1


@pytest.mark.anyio
async def test_what_nobody_asked_for_is_never_taken_for_an_answer() -> None:
    """A 408 that a server says to an idle line before it closes is not the answer to the next request, which goes over a new one."""
    has_said = threading.Event()

    def step(connection: Connection) -> None:
        connection.read_request()
        connection.accept_events()
        connection.send(response())
        connection.send(response(408, b"too slow"))
        has_said.set()
        # The line stays open: only what it said shows that it is of no use.
        connection.read_request()

    server = ScriptedServer(step, good)
    with server:
        async with AsyncAmplitude("key", base_url=server.url, max_retries=0) as amplitude:
            await amplitude.track(EVENT)
            assert has_said.wait(10)
            assert (await amplitude.track(EVENT))["events_ingested"] == 1
    assert len(server.sink) == 2


@pytest.mark.anyio
async def test_head_and_body_go_out_together() -> None:
    """A small request is one write, so that it is one packet."""
    sizes: list[int] = []

    def step(connection: Connection) -> None:
        sizes.append(len(connection.sock.recv(1 << 20)))
        connection.send(response(200, OK, "Connection: close"))

    server = ScriptedServer(step)
    with server:
        async with AsyncAmplitude("key", base_url=server.url) as amplitude:
            await amplitude.track(EVENT)
            body = len(json.dumps(EVENT))
    assert sizes[0] > body + 100


@contextlib.contextmanager
def silent_listener() -> Iterator[tuple[int, threading.Event]]:
    """Accept one connection and say nothing on it; give the port, and what is set when the other side has ended it."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)

        def serve() -> None:
            line, _ = listener.accept()
            with line:
                line.settimeout(20)
                while line.recv(65536):
                    pass
                ended.set()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], ended
        thread.join(10)


@pytest.mark.anyio
async def test_a_tls_handshake_that_nobody_answers_is_over_at_the_connect_limit() -> None:
    """It is a timeout that is not sent, and its socket is closed: the server sees the end of the line."""
    with silent_listener() as (port, ended):
        url = f"https://127.0.0.1:{port}"
        async with AsyncAmplitude("key", base_url=url, timeout=Timeout(connect=0.2), max_retries=0) as amplitude:
            with pytest.raises(RequestTimeoutError) as late:
                await amplitude.track(EVENT)
        assert late.value.outcome == "not_sent"
        assert ended.wait(10)


@pytest.mark.anyio
async def test_a_tls_handshake_that_is_cancelled_leaves_no_socket() -> None:
    """It is closed there and then, not by the garbage collector, which would warn of it."""
    gc.collect()
    with silent_listener() as (port, ended), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with anyio.move_on_after(0.1) as scope:
            await connect(httpcore, "127.0.0.1", port, ssl.create_default_context(), 20)
        assert scope.cancelled_caught
        assert await anyio.to_thread.run_sync(ended.wait, 10)
        gc.collect()
    assert not warned


def test_on_trio_the_connect_limit_is_spent_once() -> None:
    """What connecting took is no longer there for the handshake."""

    class Slow(httpcore.TrioBackend):
        async def connect_tcp(self, *arguments: Any, **options: Any) -> Any:
            await trio.sleep(3)
            return await super().connect_tcp(*arguments, **options)

    async def main(port: int) -> float:
        began = trio.current_time()
        with pytest.raises(httpcore.ConnectTimeout):
            await connect(SimpleNamespace(TrioBackend=Slow), "127.0.0.1", port, ssl.create_default_context(), 5)
        return trio.current_time() - began

    with silent_listener() as (port, _):
        assert trio.run(main, port, clock=trio.testing.MockClock(autojump_threshold=0.05)) == pytest.approx(5)


@pytest.mark.anyio
async def test_tls_carries_many_requests_over_one_line() -> None:
    """After one handshake, requests of any size and their answers are whole."""
    trusted, server_side = tls_contexts()
    accepted: list[int] = []

    def step(connection: Connection) -> None:
        accepted.append(1)
        connection.sock = server_side.wrap_socket(connection.sock, server_side=True)
        with connection.sock:
            ruled(taken)(connection)

    server = ScriptedServer(step)
    with server:
        url = server.url.replace("http:", "https:")
        async with AsyncAmplitude("key", base_url=url, ssl_context=trusted) as amplitude:
            for size in (1, 70_000, 300_000, 5):
                await amplitude.track([{**EVENT, "event_properties": {"x": "y" * 800}}] * max(1, size // 1000))
    assert sum(accepted) == 1
    assert len(server.sink) == 1 + 70 + 300 + 1


@pytest.mark.anyio
async def test_what_nobody_asked_for_over_tls_is_never_taken_for_an_answer() -> None:
    """Nor if it came in one piece with the last answer, in a record of its own, which trio's TLS keeps without decrypting it."""
    trusted, server_side = tls_contexts()

    def step(connection: Connection) -> None:
        said, heard = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = server_side.wrap_bio(heard, said, server_side=True)

        def pumped(work: Callable[[], bytes | None]) -> bytes:
            while True:
                try:
                    return work() or b""
                except ssl.SSLWantReadError:
                    connection.send(said.read())
                    heard.write(connection.sock.recv(65536))

        pumped(tls.do_handshake)
        while request := pumped(lambda: tls.read(65536)):
            while not request.endswith(b"}"):
                request += pumped(lambda: tls.read(65536))
            tls.write(response())
            tls.write(response(408, b"too slow"))

    server = ScriptedServer(step)
    with server:
        url = server.url.replace("http:", "https:")
        async with AsyncAmplitude("key", base_url=url, ssl_context=trusted, max_retries=0) as amplitude:
            for _ in range(3):
                assert (await amplitude.track(EVENT))["events_ingested"] == 1
    assert server.accepted == 3


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("is_tls", [False, True], ids=["over TCP", "over TLS"])
async def test_a_request_of_which_no_byte_left_is_said_once_more(
    is_tls: bool, anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that may not be repeated: the server resets the line after the look at it and before the first byte."""
    trusted, server_side = tls_contexts()
    looked, has_reset = threading.Event(), threading.Event()

    def step(connection: Connection) -> None:
        if is_tls:
            connection.sock = server_side.wrap_socket(connection.sock, server_side=True)
        with connection.sock:
            connection.read_request()
            connection.send(response(200, b"first"))
            looked.wait(20)
            connection.reset()
            has_reset.set()

    def second(connection: Connection) -> None:
        if is_tls:
            connection.sock = server_side.wrap_socket(connection.sock, server_side=True)
        with connection.sock:
            connection.read_request()
            connection.send(response(200, b"second", "Connection: close"))

    look = lines._is_readable

    def look_and_reset(sock: Any) -> bool:
        seen = look(sock)
        looked.set()
        assert has_reset.wait(10)
        return seen

    monkeypatch.setattr(lines, "_is_readable", look_and_reset)
    call = Call("lookup_tables", "query", "POST", "/x", "project", read_text, repeatable=False, body=Content(b"body"))
    server = ScriptedServer(step, second)
    with server:
        url = server.url.replace("http:", "https:") if is_tls else server.url
        async with AsyncAmplitude("key", secret_key="secret", base_url=url, ssl_context=trusted, max_retries=0) as amplitude:
            assert await amplitude._caller.run(call) == "first"
            assert await amplitude._caller.run(call) == "second"
    assert len(server.requests) == 2


@pytest.mark.anyio
async def test_a_request_of_which_a_byte_may_have_left_is_not_said_once_more() -> None:
    """The server resets a line that it answered on before as soon as anything comes, and may have read it."""

    def step(connection: Connection) -> None:
        connection.read_request()
        connection.send(response(200, b"first"))
        connection.sock.recv(1)
        connection.reset()

    call = Call("lookup_tables", "query", "POST", "/x", "project", read_text, repeatable=False, body=Content(b"x" * 200_000))
    server = ScriptedServer(step)
    with server:
        async with AsyncAmplitude("key", secret_key="secret", base_url=server.url, max_retries=0) as amplitude:
            assert await amplitude._caller.run(call) == "first"
            with pytest.raises(TransportError) as broken:
                await amplitude._caller.run(call)
    assert broken.value.outcome == "unknown"
    assert server.accepted == 1


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_nothing_is_added_to_what_a_closing_line_still_sends(anyio_backend: str) -> None:
    """What says that none of it was sent must be right: a transport that asyncio closes sends what waits in it."""
    trusted, server_side = tls_contexts()
    # What is unread when a socket closes, as these, makes a reset of its end.
    server_side.num_tickets = 0
    may_read, has_read = threading.Event(), threading.Event()
    got = bytearray()

    def step(connection: Connection) -> None:
        with server_side.wrap_socket(connection.sock, server_side=True) as tls:
            may_read.wait(20)
            try:
                while data := tls.recv(65536):
                    got.extend(data)
            finally:
                has_read.set()

    server = ScriptedServer(step)
    server.take_in_little()
    with server:
        line: Any = await connect(httpcore, "127.0.0.1", server.port, trusted, 10)
        line.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        await line.write(b"x" * 60_000, 10)
        assert line._below.get_write_buffer_size()
        line._below.close()
        with pytest.raises(httpcore.ConnectionNotAvailable):
            await line.write(b"z" * 1000, 10)
        may_read.set()
        assert await anyio.to_thread.run_sync(has_read.wait, 10)
        await line.aclose()
    assert bytes(got) == b"x" * 60_000


@pytest.mark.anyio
@pytest.mark.parametrize("is_tls", [False, True], ids=["over TCP", "over TLS"])
async def test_a_server_that_does_not_read_is_met_by_the_limit_on_writing(is_tls: bool) -> None:
    """What the system does not take within the limit ends the write; what is small enough for the system's own memory is taken."""
    trusted, server_side = tls_contexts()

    def step(connection: Connection) -> None:
        if is_tls:
            connection.sock = server_side.wrap_socket(connection.sock, server_side=True)
        with connection.sock:
            connection.server.stopped.wait(20)

    server = ScriptedServer(step)
    server.take_in_little()
    with server:
        line = await connect(httpcore, "127.0.0.1", server.port, trusted if is_tls else None, 10)
        line.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        await line.write(b"x" * 1000, 10)
        with pytest.raises(httpcore.WriteTimeout):
            await line.write(b"x" * 500_000, 0.1)
        await line.aclose()


def answered(request: httpx.Request) -> httpx.Response:
    """Answer as a mock."""
    del request
    return httpx.Response(200, json={**json.loads(OK), "events_ingested": 1, "server_upload_time": 77})


@pytest.mark.anyio
@pytest.mark.parametrize("using", ["httpcore", "httpx"])
async def test_a_mock_of_respx_sees_the_requests_of_a_client_that_is_in_use(using: str) -> None:
    """What is mocked between two calls of one client never reaches the network, and after the mock it does again."""
    server = ScriptedServer(good)
    with server:
        async with AsyncAmplitude("key", base_url=server.url) as amplitude:
            await amplitude.track(EVENT)
            with respx.mock(using=using) as wire:
                route = wire.post(f"{server.url}/2/httpapi").mock(side_effect=answered)
                assert (await amplitude.track(EVENT))["server_upload_time"] == 77
                assert route.call_count == 1
            assert (await amplitude.track(EVENT))["server_upload_time"] == 1
    assert len(server.sink) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("place", ["transport", "client"])
async def test_whoever_replaces_a_function_of_httpx_sees_the_requests(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pytest-httpx replaces the transport's, and tracers the client's."""
    seen: list[str] = []
    if place == "transport":

        async def handle(_: object, request: httpx.Request) -> httpx.Response:
            seen.append(request.url.path)
            return answered(request)

        monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle)
    else:

        async def send(_: object, request: httpx.Request, **_options: object) -> httpx.Response:
            seen.append(request.url.path)
            return answered(request)

        monkeypatch.setattr(httpx.AsyncClient, "send", send)
    async with AsyncAmplitude("key") as amplitude:
        assert (await amplitude.track(EVENT))["server_upload_time"] == 77
    assert seen == ["/2/httpapi"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "place",
    [
        pytest.param((httpx.AsyncClient, "send"), id="Sentry and New Relic"),
        pytest.param((httpx.AsyncClient, "_send_single_request"), id="Datadog and older vcrpy"),
        pytest.param((httpx.AsyncClient, "_transport_for_url"), id="respx over httpx"),
        pytest.param((httpx.AsyncHTTPTransport, "handle_async_request"), id="OpenTelemetry, pytest-httpx and vcrpy"),
        pytest.param((httpcore.AsyncConnectionPool, "handle_async_request"), id="respx and vcrpy over httpcore"),
        pytest.param((httpcore.AsyncHTTPConnection, "handle_async_request"), id="Elastic APM"),
    ],
)
@pytest.mark.parametrize("kind", ["function", "wrapper"])
async def test_who_replaces_a_function_under_a_client_in_use_sees_each_request(
    place: tuple[type, str], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function of one's own, and a wrapper as of the package wrapt, which says that it equals what it wraps; until it goes again."""
    own = getattr(*place)
    seen: list[object] = []

    def call(*arguments: Any, **options: Any) -> Any:
        seen.append(arguments)
        return own(*arguments, **options)

    class Wrapper:
        __hash__ = None  # type: ignore[assignment]  # as in wrapt, it is that of what is wrapped

        def __get__(self, instance: Any, owner: Any) -> Any:
            return self if instance is None else lambda *arguments, **options: call(instance, *arguments, **options)

        def __eq__(self, other: object) -> bool:
            return bool(own == other)

    server = ScriptedServer(good)
    with server:
        async with AsyncAmplitude("key", base_url=server.url) as amplitude:
            await amplitude.track(EVENT)
            with monkeypatch.context() as patched:
                patched.setattr(*place, call if kind == "function" else Wrapper())
                for count in (1, 2):
                    await amplitude.track(EVENT)
                    assert len(seen) == count
            await amplitude.track(EVENT)
    assert len(seen) == 2
    assert len(server.sink) == 4


@pytest.mark.anyio
async def test_who_keeps_tests_from_the_network_keeps_new_lines_from_it(anyio_backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By replacing what httpcore connects with; also where a client has had a line before, which the server has closed."""
    has_closed = threading.Event()

    def step(connection: Connection) -> None:
        connection.read_request()
        connection.send(response())
        connection.sock.close()
        has_closed.set()

    async def connect_tcp(*_: object, **_options: object) -> object:
        message = "no network here"
        raise httpcore.ConnectError(message)

    backend = httpcore.TrioBackend if anyio_backend == "trio" else httpcore.AnyIOBackend
    server = ScriptedServer(step)
    with server:
        async with AsyncAmplitude("key", base_url=server.url, max_retries=0) as amplitude:
            await amplitude.track(EVENT)
            assert has_closed.wait(10)
            monkeypatch.setattr(backend, "connect_tcp", connect_tcp)
            for _ in range(2):
                with pytest.raises(TransportError, match="no network here"):
                    await amplitude.track(EVENT)
    assert server.accepted == 1


@pytest.mark.anyio
async def test_a_transport_of_another_class_in_the_place_of_that_of_httpx_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever replaces the whole class before the client is built sees its requests."""
    seen: list[str] = []

    class Fake(httpx.AsyncBaseTransport):
        def __init__(self, **_: object) -> None:
            pass

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            seen.append(request.url.path)
            return answered(request)

    monkeypatch.setattr(httpx, "AsyncHTTPTransport", Fake)
    async with AsyncAmplitude("key") as amplitude:
        assert (await amplitude.track(EVENT))["server_upload_time"] == 77
    assert seen == ["/2/httpapi"]


def test_doors_tell_their_own_functions_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions of the library itself are in place, another's is not, also one that wears the library's name; what is not there is."""
    place = (httpcore.AsyncConnectionPool, "handle_async_request")
    doors = Doors((httpcore, "AsyncConnectionPool", "handle_async_request"), (httpcore, "AsyncConnectionPool", "no_such_function"))
    assert not doors.are_replaced()
    own = httpcore.AsyncConnectionPool.handle_async_request

    async def other(self: object, request: object) -> object:
        return await own(self, request)  # type: ignore[arg-type]

    other.__module__ = own.__module__
    monkeypatch.setattr(*place, other)
    assert doors.are_replaced()
    monkeypatch.setattr(*place, own)
    assert not doors.are_replaced()
    monkeypatch.setattr(*place, object())
    assert doors.are_replaced()


@pytest.mark.anyio
@pytest.mark.parametrize("is_large", [False, True])
async def test_closing_ends_what_a_silent_server_holds(is_large: bool) -> None:
    """A request on a line that was used before is not sent anew when closing cuts it: it ends at once, be it written or waited for."""
    at_it = threading.Event()

    def step(connection: Connection) -> None:
        connection.read_request()
        connection.send(response())
        if is_large:
            connection.sock.recv(1000)
        else:
            connection.read_request()
        at_it.set()
        connection.server.stopped.wait(20)

    server = ScriptedServer(step)
    with server:
        amplitude = AsyncAmplitude("key", base_url=server.url, share_requests=False)
        await amplitude.track(EVENT)
        ended: list[BaseException] = []

        async def call() -> None:
            size = 800_000 if is_large else 10
            try:
                await amplitude.track({**EVENT, "event_properties": {"x": "y" * size}})
            except (TransportError, ClosedError) as error:
                ended.append(error)

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(call)
                await anyio.to_thread.run_sync(at_it.wait, 10)
                await amplitude._caller.connection.aclose(0.05)
        assert len(ended) == 1
    assert len(server.requests) <= 2


class Held:
    """A line that is opened, or closed, only when the test says so."""

    def __init__(self) -> None:
        self.at_it, self.go = anyio.Event(), anyio.Event()

    async def hold(self) -> None:
        self.at_it.set()
        await self.go.wait()


@pytest.mark.anyio
@pytest.mark.parametrize("is_warm", [False, True], ids=["the first line is opened", "a stale line is closed"])
async def test_closing_while_a_line_is_opened_leaves_none(is_warm: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line that comes of it is closed at once, and nothing is sent over it."""
    held = Held()
    is_idle, has_said, ended = threading.Event(), threading.Event(), threading.Event()

    class HeldLine:
        def __init__(self, line: Any) -> None:
            self.line = line

        def __getattr__(self, name: str) -> Any:
            return getattr(self.line, name)

        async def aclose(self) -> None:
            await held.hold()
            await self.line.aclose()

    async def connected(*arguments: Any) -> Any:
        line: Any = await connect(*arguments)
        if not is_warm:
            await held.hold()
        return HeldLine(line) if is_warm and not server.requests else line

    def warm(connection: Connection) -> None:
        connection.read_request()
        connection.send(response())
        is_idle.wait(20)
        connection.send(response(408))
        has_said.set()
        connection.read_request()

    def last(connection: Connection) -> None:
        if not connection.read_request():
            ended.set()
        connection.server.stopped.wait(20)

    monkeypatch.setattr(door, "connect", connected)
    server = ScriptedServer(warm if is_warm else last)
    with server:
        amplitude = AsyncAmplitude("key", base_url=server.url, share_requests=False, max_retries=0)
        if is_warm:
            await amplitude.track(EVENT)
            is_idle.set()
            assert has_said.wait(10)
        slots = amplitude._caller.connection.enter()[0]._client._direct
        refused: list[TransportError] = []

        async def call() -> None:
            try:
                await amplitude.track(EVENT)
            except TransportError as error:
                refused.append(error)

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(call)
                await held.at_it.wait()
                group.start_soon(amplitude._caller.connection.aclose, 0.05)
                while not slots._is_closed:
                    await anyio.sleep(0.005)
                held.go.set()
            # Nor is one opened where it was about to be.
            assert server.accepted == 1
            assert is_warm or await anyio.to_thread.run_sync(ended.wait, 10)
    assert [error.outcome for error in refused] == ["not_sent"]
    assert len(server.requests) == is_warm


@pytest.mark.anyio
async def test_a_slot_whose_answer_ends_after_closing_is_closed_then() -> None:
    """The HTTP library's own transports, as behind a proxy, may have opened a connection after they were closed."""
    closings: list[bool] = []

    class Proxied(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, stream=httpx.ByteStream(OK))

        async def aclose(self) -> None:
            closings.append(True)

    transport = slot_transport(httpx)(lambda _: Proxied(), 1)
    response_ = await transport.handle_async_request(httpx.Request("GET", "http://127.0.0.1/"))
    await transport.aclose()
    assert len(closings) == 1
    await response_.aclose()
    assert len(closings) == 2


@pytest.mark.anyio
async def test_no_line_is_opened_after_closing() -> None:
    """What would send after the end fails as a request that was not sent."""
    server = ScriptedServer(good)
    with server:
        amplitude = AsyncAmplitude("key", base_url=server.url, max_retries=0)
        transport, _ = amplitude._caller.connection.enter()
        await amplitude.aclose()
        wire = Wire("GET", server.url, {}, b"", {"connect": 1.0}, 100, is_repeatable=True)
        failure = await transport.exchange(wire, 5)
    assert isinstance(failure, Failure)
    assert not failure.is_sent
    assert server.accepted == 0


@pytest.mark.anyio
async def test_closing_within_an_answer_is_an_error_of_the_line_and_not_its_end() -> None:
    """An answer that goes on until the line ends is not whole because the line was closed from here."""

    def step(connection: Connection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")
        connection.server.stopped.wait(20)

    server = ScriptedServer(step)
    with server:
        amplitude = AsyncAmplitude("key", base_url=server.url)
        transport, _ = amplitude._caller.connection.enter()
        client = transport._client
        response_ = await client.send(
            httpx.Request("GET", server.url, extensions={"timeout": {"connect": 5.0, "read": 10.0}}), stream=True
        )
        chunks = response_.aiter_raw()
        assert await anext(chunks) == b"half of it"

        async def close() -> None:
            await anyio.sleep(0.01)
            await amplitude.aclose()

        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(close)
                with pytest.raises(httpx.ReadError):
                    await anext(chunks)
            with pytest.raises(httpx.ReadError):
                await response_.stream._inner.__anext__()
        await response_.aclose()
