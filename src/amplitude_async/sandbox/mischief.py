"""Does what :mod:`amplitude_async.sandbox.faults` asks for: between uvicorn and the application, down to the socket."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from amplitude_async.sandbox.faults import Fault, Faults

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

CONTROL_PREFIX: Final = "/sandbox"
"""What steers the sandbox meets no faults."""
_PIECE_BYTES: Final = 64 << 10


class Wires:
    """The connections that stand, by the address at their other end."""

    def __init__(self) -> None:
        """Start with none."""
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}

    def protocol(self) -> type[H11Protocol]:
        """Return a protocol for uvicorn that tells this about its connections."""
        transports = self._transports

        class Watched(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
                super().connection_made(transport)
                sock = transport.get_extra_info("socket")
                if sock is not None:
                    # asyncio does so only where a listener names its protocol; without it answers wait 40 ms for acknowledgements.
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self.client is not None:
                    transports[self.client] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                if self.client is not None:
                    transports.pop(self.client, None)

        return Watched

    def close(self, client: tuple[str, int], *, by_reset: bool) -> None:
        """End a connection: after what was written, or by a reset at once."""
        transport = self._transports.get(client)
        if transport is None:
            return
        if not by_reset:
            transport.close()
            return
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    def reset_all(self) -> None:
        """Reset every connection."""
        for client in tuple(self._transports):
            self.close(client, by_reset=True)


class Mischief:
    """The application as a client meets it: itself, or with a fault."""

    def __init__(self, application: Application, faults: Faults, wires: Wires) -> None:
        """Stand before an application."""
        self._application = application
        self._faults = faults
        self._wires = wires

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["path"].startswith(CONTROL_PREFIX):
            await self._application(scope, receive, send)
            return
        fault = self._faults.take(scope["method"], scope["path"])
        if fault is None:
            await self._application(scope, receive, send)
            return
        answer = _Answer(fault, send, lambda *, by_reset: self._wires.close(tuple(scope["client"]), by_reset=by_reset))
        if fault.is_before:
            await _drain(receive)
            await answer.replace()
        else:
            await self._application(scope, receive, answer.send)


async def _drain(receive: Receive) -> None:
    """Read a request to its end, so that its sender sees the answer."""
    while True:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            return


class _Answer:
    """One answer on its way through a fault."""

    def __init__(self, fault: Fault, send: Send, close: Callable[..., None]) -> None:
        self._fault = fault
        self._send = send
        self._close = close
        self._start: Message | None = None
        self._body = bytearray()
        self._is_cut = False

    @property
    def _is_whole(self) -> bool:
        """Whether the answer is changed as a whole, and so has to be read to its end first."""
        fault = self._fault
        return bool(fault.contradict or fault.lose_tail or fault.status is not None or fault.body is not None)

    async def replace(self) -> None:
        """Answer in place of the application."""
        fault = self._fault
        status = 500 if fault.status is None else fault.status
        start = {"type": "http.response.start", "status": status, "headers": []}
        kind = "application/json" if not isinstance(fault.body, (str, bytes)) else "text/plain; charset=utf-8"
        await self._begin(start, fault.content(), {"content-type": kind})

    async def send(self, message: Message) -> None:
        """Take what the application answers."""
        if self._is_cut:
            return
        if message["type"] == "http.response.start":
            self._start = message
            if not self._is_whole:
                await asyncio.sleep(self._fault.delay)
                if self._fault.cut_after is None and self._fault.reset:
                    self._cut()
                    return
                await self._send(message)
            return
        body = message.get("body", b"")
        if self._is_whole:
            self._body += body
            if not message.get("more_body", False) and self._start is not None:
                await self._begin(self._start, self._changed(bytes(self._body)), {})
            return
        await self._write(body, is_last=not message.get("more_body", False))

    def _changed(self, body: bytes) -> bytes:
        fault = self._fault
        if fault.body is not None:
            return fault.content()
        if fault.contradict:
            answer = json.loads(body)
            answer["events_ingested"] = answer.get("events_ingested", 0) + fault.contradict
            body = json.dumps(answer).encode()
        return body[: max(len(body) - fault.lose_tail, 0)] if fault.lose_tail else body

    async def _begin(self, start: Message, body: bytes, described: dict[str, str]) -> None:
        """Answer with a body that is known whole."""
        fault = self._fault
        await asyncio.sleep(fault.delay)
        if fault.reset and fault.cut_after is None:
            self._cut()
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in start["headers"]}
        headers |= {**described, "content-length": str(len(body)), **{name.lower(): value for name, value in fault.headers.items()}}
        status = start["status"] if fault.status is None else fault.status
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({**start, "status": status, "headers": raw})
        await self._write(body, is_last=True)

    async def _write(self, body: bytes, *, is_last: bool) -> None:
        fault = self._fault
        left = fault.cut_after
        if left is not None:
            is_cut_here = len(body) >= left
            body = body[:left]
        step = 1 if fault.dribble else _PIECE_BYTES
        for place in range(0, len(body), step):
            await self._send({"type": "http.response.body", "body": body[place : place + step], "more_body": True})
            if fault.dribble:
                await asyncio.sleep(fault.dribble)
        if left is not None:
            if is_cut_here:
                self._cut()
                return
            self._fault = replace(fault, cut_after=left - len(body))
        if is_last:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _cut(self) -> None:
        self._is_cut = True
        self._close(by_reset=self._fault.reset)
