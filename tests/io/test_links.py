"""Downloads that are handed out by a signed link (F12): followed once, without credentials or cookies, and given anew when expired."""

from __future__ import annotations

import logging
import pickle
import ssl
import sys
import traceback
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
import trustme

from amplitude_async import (
    AmplitudeError,
    AsyncAmplitude,
    AuthenticationError,
    Backoff,
    RedirectError,
    RequestTimeoutError,
    ResponseError,
    ServerError,
    Timeout,
    TransportError,
)
from amplitude_async._protocol.call import Call, read_nothing

sys.path.insert(0, str(Path(__file__).parent))
from scripted import Connection, ScriptedServer, response, stall

if TYPE_CHECKING:
    from collections.abc import Callable

    Step = Callable[[Connection], None]

API_KEY, SECRET_KEY = "invented-api-key", "invented-secret-key"
PAIR = b64encode(f"{API_KEY}:{SECRET_KEY}".encode())
SIGNED = "X-Amz-Expires=60&X-Amz-Signature=open%2Fsesame+b/c=="
NO_WAIT = Backoff(jitter=lambda _: 0.0)
FILE = b"amplitude_id,user_id\n77120034,u-9\n"
EXPIRED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
DOWNLOAD = Call(
    "dashboard", "stream", "GET", "/api/5/cohorts/request/r/file", "project", read_nothing, repeatable=True, follows_link=True
)


def client(base_url: str, **options: Any) -> AsyncAmplitude:
    options.setdefault("timeout", Timeout(first_byte=5.0, between_bytes=5.0))
    return AsyncAmplitude(API_KEY, secret_key=SECRET_KEY, base_url=base_url, backoff=options.pop("backoff", NO_WAIT), **options)


def says(status: int, body: bytes = b"", *headers: str) -> Step:
    """Answer every request of a connection with this."""

    def step(connection: Connection) -> None:
        while connection.read_request():
            connection.send(response(status, body, *headers))

    return step


def leads_to(address: str, *headers: str, status: int = 302) -> Step:
    return says(status, b"", f"Location: {address}", *headers)


async def downloaded(amplitude: AsyncAmplitude, call: Call = DOWNLOAD, deadline: float | None = None) -> bytes:
    stream = await amplitude._caller.open(call, deadline=deadline)
    read = b""
    while (chunk := await stream.next_chunk()) is not None:
        read += chunk
    return read


def lines_of(request: bytes) -> dict[str, str]:
    head = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}


def own(_: str) -> dict[str, Any]:
    return {}


def with_habits(url: str) -> dict[str, Any]:
    """Give a client of the user's own that adds to every request whatever it can."""
    return {
        "http_client": httpx.AsyncClient(
            headers={"Authorization": f"Bearer {SECRET_KEY}", "X-Own": "own-header", "Proxy-Authorization": "Basic b3du"},
            cookies={"own": "own-cookie"},
            params={"own": "own-parameter"},
            auth=("own-user", "own-password"),
            base_url=url,
            follow_redirects=True,
        )
    }


@pytest.mark.anyio
@pytest.mark.parametrize("habits", [own, with_habits])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_the_storage_learns_nothing(habits: Callable[[str], dict[str, Any]], status: int) -> None:
    """One redirect is followed: no credential, cookie or header of anybody's reaches the second server, and the signature is whole."""
    with ScriptedServer(says(200, FILE, "Content-Type: text/csv")) as storage:
        link = f"{storage.url}/bucket/a%20b.csv?{SIGNED}"
        with ScriptedServer(leads_to(link, "Set-Cookie: session=of-amplitude; Path=/", status=status)) as server:
            options = habits(server.url)
            async with client(server.url, **options) as amplitude:
                assert await downloaded(amplitude) == FILE
                assert await downloaded(amplitude) == FILE
            if options:
                await options["http_client"].aclose()
    assert PAIR in server.requests[0]
    assert len(storage.requests) == 2
    for request in storage.requests:
        assert request.split(b" ")[1] == f"/bucket/a%20b.csv?{SIGNED}".encode()
        assert request.startswith(b"GET ")
        lines = lines_of(request)
        assert set(lines) <= {"host", "accept", "accept-encoding", "user-agent", "connection"}
        assert lines["host"] == storage.url.removeprefix("http://")
        text = request.decode().lower()
        for secret in (API_KEY, SECRET_KEY, PAIR.decode(), "of-amplitude", "own-", "b3du", "cookie", "authorization"):
            assert secret.lower() not in text


@pytest.mark.anyio
async def test_a_path_leads_to_the_same_host_without_credentials() -> None:
    """A relative link is one too: what is signed needs no key, and storage refuses both at once."""
    with ScriptedServer(leads_to(f"/files/a.csv?{SIGNED}"), says(200, FILE)) as server:
        async with client(f"{server.url}/prefix") as amplitude:
            assert await downloaded(amplitude) == FILE
    asked, fetched = server.requests
    assert asked.startswith(b"GET /prefix/api/5/cohorts/request/r/file HTTP/1.1")
    assert fetched.startswith(f"GET /files/a.csv?{SIGNED} HTTP/1.1".encode())
    assert b"authorization" not in fetched.lower()


@pytest.mark.anyio
async def test_an_answer_without_a_redirect_is_the_file() -> None:
    """Small files come at once."""
    with ScriptedServer(says(200, FILE)) as server:
        async with client(server.url) as amplitude:
            assert await downloaded(amplitude) == FILE
    assert len(server.requests) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("refusals", [0, 1, 2, 3])
async def test_an_expired_link_is_asked_for_anew_twice(refusals: int) -> None:
    """A 403 of the storage is an expired link; each further try asks Amplitude first, and the third 403 is the end."""
    script = [says(403, EXPIRED, "Content-Type: application/xml")] * refusals
    with ScriptedServer(*script, says(200, FILE)) as storage:
        links = [leads_to(f"{storage.url}/a?X-Amz-Signature=sesame-{number}") for number in range(4)]
        with ScriptedServer(*links) as server:
            async with client(server.url) as amplitude:
                if refusals < 3:
                    assert await downloaded(amplitude) == FILE
                else:
                    with pytest.raises(ResponseError, match="Request has expired") as caught:
                        await downloaded(amplitude)
                    assert caught.value.status == 403
                    assert caught.value.request is not None
                    assert (caught.value.request.origin, caught.value.request.path) == (storage.url, "/a")
                    # The keys are not wrong: nobody was shown one.
                    assert not isinstance(caught.value, AuthenticationError)
    asked = min(refusals, 2) + 1
    assert len(server.requests) == len(storage.requests) == asked
    assert all(PAIR in request for request in server.requests)
    assert [request.split(b" ")[1] for request in storage.requests] == [b"/a?X-Amz-Signature=sesame-%d" % n for n in range(asked)]
    assert not any(b"authorization" in request.lower() for request in storage.requests)


@pytest.mark.anyio
async def test_a_refusal_of_amplitude_is_no_expired_link() -> None:
    """A 403 before any link is about the keys, and is not asked again."""
    with ScriptedServer(says(403, b'{"error":"no"}')) as server:
        async with client(server.url) as amplitude:
            with pytest.raises(AuthenticationError):
                await downloaded(amplitude)
    assert len(server.requests) == 1


@pytest.mark.anyio
async def test_only_one_redirect_is_followed() -> None:
    """A link that leads on is not followed further."""
    with ScriptedServer(says(200, FILE)) as third, ScriptedServer(leads_to(f"{third.url}/b")) as second:
        with ScriptedServer(leads_to(f"{second.url}/a")) as server:
            async with client(server.url) as amplitude:
                with pytest.raises(RedirectError) as caught:
                    await downloaded(amplitude)
    assert (third.accepted, len(second.requests), len(server.requests)) == (0, 1, 1)
    assert caught.value.target_host == "127.0.0.1"


@pytest.mark.anyio
async def test_what_does_not_ask_for_a_link_follows_none() -> None:
    """Every other call's redirect is an error, whoever it leads to."""
    with ScriptedServer(says(200, FILE)) as storage, ScriptedServer(leads_to(f"{storage.url}/a?{SIGNED}")) as server:
        async with client(server.url) as amplitude:
            for call in (DOWNLOAD._replace(follows_link=False), DOWNLOAD._replace(kind="query")):
                with pytest.raises(RedirectError):
                    await (downloaded(amplitude, call) if call.kind == "stream" else amplitude._caller.run(call))
    assert storage.accepted == 0


@pytest.mark.anyio
@pytest.mark.parametrize(
    "address",
    [
        "http://bucket.example/a?X-Amz-Signature=sesame",
        "https://127.0.0.1:9/a?X-Amz-Signature=sesame",
        "http://127.0.0.1:9/a?X-Amz-Signature=sesame",
        "https://localhost/a?X-Amz-Signature=sesame",
        "https://[::1]/a?X-Amz-Signature=sesame",
        "https://169.254.169.254/latest/meta-data?X-Amz-Signature=sesame",
        "https://10.0.0.1/a?X-Amz-Signature=sesame",
        "https://user:password@bucket.example/a?X-Amz-Signature=sesame",
        "//bucket.example/a?X-Amz-Signature=sesame",
        "file:///etc/passwd",
        "a.csv?X-Amz-Signature=sesame",
        "",
    ],
)
async def test_a_link_that_widens_is_refused(address: str) -> None:
    """From Amplitude's own host no link leads to clear text, to this machine or its network; the error names the host alone."""
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(302, headers={"Location": address})

    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http_client:
        async with AsyncAmplitude(API_KEY, secret_key=SECRET_KEY, http_client=http_client, backoff=NO_WAIT) as amplitude:
            with pytest.raises(RedirectError, match="not followed") as caught:
                await downloaded(amplitude)
    assert [str(request.url.host) for request in asked] == ["amplitude.com"]
    assert caught.value.outcome == "rejected"
    assert "sesame" not in "".join(traceback.format_exception(caught.value))
    assert "password" not in str(caught.value).replace("user names and passwords", "")


@pytest.mark.anyio
async def test_a_link_of_amplitude_is_followed_to_the_open_network() -> None:
    """From Amplitude's own host a TLS address is followed, once, bare."""
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.url.host == "amplitude.com":
            return httpx.Response(302, headers={"Location": f"https://bucket.example/a?{SIGNED}", "Set-Cookie": "a=b; Domain=example"})
        return httpx.Response(200, content=FILE)

    async with httpx.AsyncClient(transport=httpx.MockTransport(handler), cookies={"own": "cookie"}) as http_client:
        async with AsyncAmplitude(API_KEY, secret_key=SECRET_KEY, http_client=http_client, backoff=NO_WAIT) as amplitude:
            assert await downloaded(amplitude) == FILE
    first, second = asked
    assert first.headers["authorization"] == f"Basic {PAIR.decode()}"
    assert (second.url.host, second.url.query) == ("bucket.example", SIGNED.encode())
    assert not {"authorization", "cookie"} & set(second.headers)


def over_tls(context: ssl.SSLContext, then: Step) -> Step:
    def step(connection: Connection) -> None:
        try:
            with context.wrap_socket(connection.sock, server_side=True) as wrapped:
                connection.sock = wrapped
                then(connection)
        except OSError:
            return

    return step


@pytest.mark.anyio
@pytest.mark.parametrize("is_trusted", [True, False])
async def test_the_storage_proves_who_it_is(is_trusted: bool) -> None:
    """A link's host needs a certificate like everybody's; without one no byte of the link is sent."""
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(serving)
    trusting = ssl.create_default_context()
    (authority if is_trusted else trustme.CA()).configure_trust(trusting)
    with ScriptedServer(over_tls(serving, says(200, FILE))) as storage:
        with ScriptedServer(leads_to(f"{storage.url.replace('http:', 'https:')}/a?{SIGNED}")) as server:
            async with client(server.url, ssl_context=trusting) as amplitude:
                if is_trusted:
                    assert await downloaded(amplitude) == FILE
                else:
                    with pytest.raises(TransportError) as caught:
                        await downloaded(amplitude)
                    assert "sesame" not in f"{caught.value} {caught.value.detail}"
    assert len(storage.requests) == is_trusted


@pytest.mark.anyio
@pytest.mark.parametrize("foreign", [False, True])
async def test_a_signature_is_in_no_record_error_or_pickle(caplog: pytest.LogCaptureFixture, foreign: bool) -> None:
    """Who reads logs, messages, tracebacks or pickles cannot fetch the file (S2, S3)."""
    caplog.set_level(logging.DEBUG)
    found: list[AmplitudeError] = []
    for status in (200, 302, 403, 500):
        with ScriptedServer(says(status, EXPIRED, "Location: https://evil.example/?open%2Fsesame")) as storage:
            with ScriptedServer(leads_to(f"{storage.url}/a?{SIGNED}")) as server:
                options = {"http_client": httpx.AsyncClient()} if foreign else {}
                async with client(server.url, **options) as amplitude:
                    if status == 200:
                        await downloaded(amplitude)
                    else:
                        with pytest.raises(ResponseError) as caught:
                            await downloaded(amplitude)
                        found.append(caught.value)
                for each in options.values():
                    await each.aclose()
    texts = [record.getMessage() for record in caplog.records]
    for error in found:
        texts += [repr(error), "".join(traceback.format_exception(error)), repr(pickle.loads(pickle.dumps(error)).__dict__)]
        frame = error.__traceback__
        while frame is not None:
            # Amplitude's own frames: those of this test hold the link by name.
            if "amplitude_async" in frame.tb_frame.f_code.co_filename:
                texts.append(repr(frame.tb_frame.f_locals))
            frame = frame.tb_next
    assert texts
    assert len(found) == 3
    for text in texts:
        assert "sesame" not in text
        assert SECRET_KEY not in text
        assert PAIR.decode() not in text


@pytest.mark.anyio
async def test_a_storage_in_trouble_is_asked_again() -> None:
    """5xx of the storage is retried over the same link, as every read is."""
    with ScriptedServer(says(503), says(500), says(200, FILE)) as storage, ScriptedServer(leads_to(f"{storage.url}/a")) as server:
        async with client(server.url) as amplitude:
            assert await downloaded(amplitude) == FILE
    assert (len(storage.requests), len(server.requests)) == (3, 1)
    with ScriptedServer(says(500)) as storage, ScriptedServer(leads_to(f"{storage.url}/a")) as server:
        async with client(server.url) as amplitude:
            with pytest.raises(ServerError):
                await downloaded(amplitude)
    assert (len(storage.requests), len(server.requests)) == (3, 1)


@pytest.mark.anyio
async def test_the_deadline_covers_the_storage() -> None:
    """A link whose host says nothing ends with the deadline of the whole call."""
    with ScriptedServer(stall) as storage, ScriptedServer(leads_to(f"{storage.url}/a")) as server:
        async with client(server.url) as amplitude:
            with anyio.fail_after(4), pytest.raises(RequestTimeoutError):
                await downloaded(amplitude, deadline=amplitude._caller.clock() + 0.4)


@pytest.mark.anyio
async def test_a_cancelled_download_leaves_nothing_behind() -> None:
    """Cancelled while the storage is silent, both connections go, and the client is as it was."""
    with ScriptedServer(stall) as storage, ScriptedServer(leads_to(f"{storage.url}/a")) as server:
        async with client(server.url) as amplitude:
            with anyio.move_on_after(0.3) as scope:
                await downloaded(amplitude)
            assert scope.cancelled_caught
            with anyio.fail_after(5):
                while amplitude._caller.tasks.alive or amplitude._caller.connection.openings:
                    await anyio.sleep(0.01)


@pytest.mark.anyio
async def test_addresses_do_not_pile_up() -> None:
    """Links are never the same twice; a client that lives long does not remember them all."""
    with ScriptedServer(says(200, FILE)) as storage:
        async with client(storage.url) as amplitude:
            for number in range(300):
                call = DOWNLOAD._replace(kind="query", path=f"/{number}")
                await amplitude._caller.run(call)
            transport, _ = amplitude._caller.connection.enter()
            assert len(transport._requests._urls) <= 256  # type: ignore[union-attr]  # those of the client that is built here
