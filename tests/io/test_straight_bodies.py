"""Downloads of a known length, which are read straight from the line: nothing more, nothing less than was announced."""

from __future__ import annotations

import random
import ssl
import sys
from pathlib import Path

import pytest
import trustme

from amplitude_async import AsyncAmplitude, Backoff, RequestTimeoutError, Timeout, TransportError
from amplitude_async._protocol.call import Call, read_nothing

sys.path.insert(0, str(Path(__file__).parent))
from scripted import Connection, ScriptedServer, response

FILE = Call("dashboard", "stream", "GET", "/file", "project", read_nothing, repeatable=True)
TEXT = random.Random(5).randbytes(700_000)
NO_WAIT = Backoff(jitter=lambda _: 0.0)


def sending(*pieces: bytes, length: int, is_silent: bool = False) -> ScriptedServer:
    """Return a server that announces a length, sends the pieces, and closes the connection, or keeps it and says nothing."""

    def step(connection: Connection) -> None:
        connection.read_request()
        connection.send(response(200, b"", f"Content-Length: {length}", length=False) + pieces[0])
        for piece in pieces[1:]:
            connection.send(piece)
        if is_silent:
            connection.read_request()

    return ScriptedServer(step)


async def read(server: ScriptedServer, between_bytes: float = 10.0) -> tuple[list[bytes], Exception | None]:
    """Return what came, and the error that ended it."""
    got: list[bytes] = []
    with server:
        timeout = Timeout(between_bytes=between_bytes)
        async with AsyncAmplitude("key", secret_key="secret", base_url=server.url, backoff=NO_WAIT, timeout=timeout) as amplitude:
            stream = await amplitude._caller.open(FILE)
            try:
                while (chunk := await stream.next_chunk()) is not None:
                    got.append(chunk)
            except TransportError as error:
                return got, error
            finally:
                await stream.aclose()
            return got, None


@pytest.mark.anyio
@pytest.mark.parametrize("first", [0, 1, 699_999, 700_000])
async def test_a_body_is_whole_wherever_its_first_piece_ends(first: int) -> None:
    """What came with the headers and what is read from the line are the body, in chunks of at most 256 kB."""
    got, error = await read(sending(TEXT[:first], TEXT[first:], length=len(TEXT)))
    assert error is None
    assert b"".join(got) == TEXT
    assert max(map(len, got)) <= 256 << 10


@pytest.mark.anyio
@pytest.mark.parametrize("pieces", [(TEXT + b"more",), (TEXT, b"more"), (TEXT[:1000], TEXT[1000:] + b"more")])
async def test_what_follows_the_announced_length_is_not_the_bodys(pieces: tuple[bytes, ...]) -> None:
    """Bytes behind the announced length are left alone, and the download ends without waiting for more."""
    got, error = await read(sending(*pieces, length=len(TEXT), is_silent=True))
    assert error is None
    assert b"".join(got) == TEXT


@pytest.mark.anyio
@pytest.mark.parametrize("arrived", [1, 1000, 300_000, 699_999])
async def test_a_line_that_ends_before_the_body_is_an_error(arrived: int) -> None:
    """A connection that is closed early is an error that says how much was still to come, after every byte that came."""
    got, error = await read(sending(TEXT[:arrived], length=len(TEXT)))
    assert b"".join(got) == TEXT[:arrived]
    assert type(error) is TransportError
    assert f"{len(TEXT) - arrived:,} bytes of the answer to come" in str(error.detail)


@pytest.mark.anyio
@pytest.mark.parametrize("arrived", [700_000, 300_000])
async def test_a_body_over_tls_is_read_alike(arrived: int) -> None:
    """What is read from the line is what TLS has decrypted: a whole body is whole, a cut one is an error."""
    authority = trustme.CA()
    serving, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(serving)
    authority.configure_trust(trusting)
    got: list[bytes] = []

    def step(connection: Connection) -> None:
        with serving.wrap_socket(connection.sock, server_side=True) as wrapped:
            connection.sock = wrapped
            connection.read_request()
            connection.send(response(200, b"", f"Content-Length: {len(TEXT)}", length=False) + TEXT[:arrived])

    with ScriptedServer(step) as server:
        url = f"https://localhost:{server.port}"
        async with AsyncAmplitude("key", secret_key="secret", base_url=url, ssl_context=trusting, backoff=NO_WAIT) as amplitude:
            stream = await amplitude._caller.open(FILE)
            error: Exception | None = None
            try:
                while (chunk := await stream.next_chunk()) is not None:
                    got.append(chunk)
            except TransportError as caught:
                error = caught
            finally:
                await stream.aclose()
    assert b"".join(got) == TEXT[:arrived]
    assert (error is None) == (arrived == len(TEXT))


@pytest.mark.anyio
async def test_a_line_that_falls_silent_is_an_error() -> None:
    """A server that stops in the middle is waited for no longer than the limit between bytes."""
    got, error = await read(sending(TEXT[:1000], TEXT[1000:200_000], length=len(TEXT), is_silent=True), between_bytes=0.1)
    assert b"".join(got) == TEXT[:200_000]
    assert type(error) is RequestTimeoutError


@pytest.mark.anyio
async def test_a_body_of_nothing_ends_at_once() -> None:
    """An announced length of 0 is an empty body."""
    assert await read(sending(b"", length=0, is_silent=True)) == ([], None)
