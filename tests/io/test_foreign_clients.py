"""Clients of the user's own that send the body in ways this library cannot watch: what may have left counts as sent."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import httpx
import httpx_aiohttp
import pytest
import trio

from amplitude_async import AsyncAmplitude, Backoff, ConfigurationError, NotFoundError, RequestTimeoutError, TransportError

ADDS = {"user_id": "u", "user_properties": {"$add": {"n": 1}}}
NO_WAIT = Backoff(jitter=lambda _: 0.0)


class ReadsContent(httpx.AsyncBaseTransport):
    """Takes the body from request.content when it is there, as the transport over aiohttp does, then breaks."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            body = request.content
        except httpx.RequestNotRead:
            assert isinstance(request.stream, httpx.AsyncByteStream)
            body = b"".join([part async for part in request.stream])
        self.bodies.append(body)
        raise httpx.ReadError("broke after the body")


class Shape:
    """Has the three methods of httpx's client and requests that show nothing; breaks after sending."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def build_request(self, method: str, url: Any, **options: Any) -> dict[str, Any]:
        return options

    async def send(self, request: dict[str, Any], *, stream: bool = False) -> Any:
        self.bodies.append(request["content"])
        raise RuntimeError("broke after the body")

    async def aclose(self) -> None:
        return


@pytest.mark.anyio
async def test_a_body_that_was_read_as_content_may_have_arrived() -> None:
    """A transport that reads request.content has sent it: the outcome is unknown, and what adds up is not repeated."""
    wire = ReadsContent()
    async with httpx.AsyncClient(transport=wire) as own, AsyncAmplitude("key", http_client=own, backoff=NO_WAIT) as amplitude:
        with pytest.raises(TransportError) as caught:
            await amplitude.identify(ADDS)
    assert len(wire.bodies) == 1
    assert wire.bodies[0].startswith(b"api_key=key&")
    assert caught.value.outcome == "unknown"


@pytest.mark.anyio
async def test_what_cannot_be_told_is_unknown() -> None:
    """A client that hides whether the body left gives the outcome unknown, and what adds up is not repeated."""
    own = Shape()
    async with AsyncAmplitude("key", http_client=own, backoff=NO_WAIT) as amplitude:
        with pytest.raises(TransportError) as caught:
            await amplitude.identify(ADDS)
    assert len(own.bodies) == 1
    assert caught.value.outcome == "unknown"


@pytest.mark.asyncio
async def test_aiohttp_calling_a_refused_port_a_timeout_deceives_nobody() -> None:
    """Over aiohttp a refused port is no time-out either: no connection, not sent (B2)."""
    async with AsyncAmplitude("key", base_url="http://127.0.0.1:1", transport="aiohttp", max_retries=0) as amplitude:
        with pytest.raises(TransportError) as caught:
            await amplitude.identify(ADDS)
    assert not isinstance(caught.value, RequestTimeoutError)
    assert caught.value.outcome == "not_sent"


def test_aiohttp_is_refused_on_trio() -> None:
    """What runs on asyncio alone says so, before anything is sent."""

    async def call() -> None:
        async with AsyncAmplitude("key", base_url="http://127.0.0.1:1", transport="aiohttp") as amplitude:
            await amplitude.identify(ADDS)

    with pytest.raises(ConfigurationError, match="asyncio alone"):
        trio.run(call)


@pytest.mark.asyncio
async def test_aiohttp_calling_a_broken_line_a_failed_connection_deceives_nobody() -> None:
    """Over aiohttp a line that broke after the whole request is unknown, and what adds up reaches the server once."""
    requests: list[bytes] = []

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        requests.append(await reader.readexactly(length))
        writer.transport.abort()

    async with await asyncio.start_server(cut, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with AsyncAmplitude("key", base_url=url, transport="aiohttp", backoff=NO_WAIT) as amplitude:
            with pytest.raises(TransportError) as caught:
                await amplitude.identify(ADDS)
    assert len(requests) == 1
    assert not isinstance(caught.value, RequestTimeoutError)
    assert caught.value.outcome == "unknown"


@pytest.mark.asyncio
@pytest.mark.parametrize("is_foreign", [False, True])
async def test_a_question_over_aiohttp_has_no_body(*, is_foreign: bool) -> None:
    """A GET is a GET: no chunks of nothing behind it, which not every server takes, whether its answer is read whole or as a stream."""
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            heads.append(head.lower())
            body = b"" if b"export" in head else b'{"type": "match_user_or_device_id", "matches": []}'
            status = b"404 Not Found" if b"export" in head else b"200 OK"
            writer.write(b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with contextlib.AsyncExitStack() as stack:
            over: dict[str, Any] = {"transport": "aiohttp"}
            if is_foreign:
                over = {"http_client": await stack.enter_async_context(httpx_aiohttp.HttpxAiohttpClient())}
            amplitude = await stack.enter_async_context(
                AsyncAmplitude("key", secret_key="secret", base_url=url, backoff=NO_WAIT, **over)
            )
            for _ in range(2):
                assert (await amplitude.user_search("user-12345"))["matches"] == []
            with pytest.raises(NotFoundError):
                async for _chunk in amplitude.export(start="20260501T00", end="20260501T00"):
                    pass
    assert len(heads) == 3
    for head in heads:
        assert head.startswith(b"get ")
        assert b"transfer-encoding" not in head
        assert b"content-type" not in head
