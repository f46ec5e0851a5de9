"""Stand in for the ingestion endpoint: fast, exact, and faulty on request.

A process of its own, started by the measuring programs. It prints its port and its control port on one line, and ends by itself
after ``--life`` seconds, or once the program is gone. It counts the events of every body; with ``--keep`` it decodes every body,
keeps what arrived as Amplitude does (an ``insert_id`` seen before, with the same ``device_id``, is the same event:
https://amplitude.com/docs/apis/analytics/http-v2), and knows each event by the serial number in its properties. So it can say what
is missing, what was kept twice, and which identity's events came out of order. PostHog's batches are understood too; they are
deduplicated by ``uuid``.

Controlled by GET requests to the control port, each of which is answered with JSON:

    /stats                                  the counters
    /serials                                the serial numbers that were kept
    /clear                                  forget all, heal, answer at once
    /delay?seconds=0.05                     answer so late
    /fault?kind=K[&seconds=S][&keeps=W]     do K to every request, for S seconds or until healed; W says which of these requests
                                            are taken in all the same: none (default), all, or every other one (alternate)
    /heal                                   end the fault

The kinds: ``refuse`` (nothing listens on the port, and what is open is reset), ``reset`` (accepted, then reset),
``reset_after_body`` (the request is read whole, then the connection reset), ``cut`` (half an answer, then the end), ``html`` (200
with a page in place of the answer), ``unavailable`` (503), ``throttled`` (429).
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import re
import socket
import struct
import time
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

import msgspec

PAGE = b"<!doctype html><html><title>Sign in</title><p>You are behind a hotel's network.</p></html>"
KINDS = ("refuse", "reset", "reset_after_body", "cut", "html", "unavailable", "throttled")
LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:\s*chunked", re.IGNORECASE)
ZIPPED = re.compile(rb"\r\ncontent-encoding:\s*gzip", re.IGNORECASE)
NOW = struct.pack("ii", 1, 0)


class Properties(msgspec.Struct):
    """Of an event's properties, the one that counts here."""

    serial: int


class Event(msgspec.Struct):
    """What is looked at of an event, in Amplitude's form."""

    event_properties: Properties
    user_id: str | None = None
    device_id: str | None = None
    insert_id: str | None = None


class Upload(msgspec.Struct):
    """An upload to Amplitude."""

    events: list[Event]


class OtherEvent(msgspec.Struct):
    """What is looked at of an event, in PostHog's form."""

    properties: Properties
    distinct_id: str
    uuid: str


class OtherUpload(msgspec.Struct):
    """An upload to PostHog."""

    batch: list[OtherEvent]


class Ledger:
    """Everything that was taken in, and how often."""

    def __init__(self, *, keep: bool) -> None:
        self.keep = keep
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self.connections = self.requests = self.faulted = self.malformed = self.events = self.most = 0
        self.repeats = self.duplicates = self.disordered = 0
        self._ids: set[tuple[str, str | None]] = set()
        self.serials: set[int] = set()
        self._last: dict[str, int] = {}

    def stats(self) -> dict[str, int]:
        """Return the counters.

        ``events`` is what arrived in requests that were taken in, repeats included; ``kept`` is what is left of it after removing
        repeats; ``duplicates`` are events kept more than once, as two events to Amplitude; ``disordered`` came after a later event
        of their identity; ``most`` is the largest number of events in one request.
        """
        names = ("connections", "requests", "faulted", "malformed", "events", "most", "repeats", "duplicates", "disordered")
        return {**{name: getattr(self, name) for name in names}, "kept": len(self.serials) + self.duplicates}

    def count(self, body: bytes, *, is_other: bool) -> int:
        """Return how many events a body has, without decoding it."""
        return body.count(b'"distinct_id"' if is_other else b'"event_type"')

    def take_in(self, body: bytes, *, is_other: bool) -> int | None:
        """Count a body's events, return how many there are; ``None`` if it is not an upload."""
        if not self.keep:
            count = self.count(body, is_other=is_other)
        else:
            try:
                rows = _other_rows(body) if is_other else _rows(body)
            except msgspec.DecodeError:
                self.malformed += 1
                return None
            for row in rows:
                self._keep(*row)
            count = len(rows)
        self.events += count
        self.most = max(self.most, count)
        return count

    def _keep(self, serial: int, identity: str, insert_id: str | None, device_id: str | None) -> None:
        if insert_id is not None:
            if (insert_id, device_id) in self._ids:
                self.repeats += 1
                return
            self._ids.add((insert_id, device_id))
        if serial in self.serials:
            self.duplicates += 1
            return
        self.serials.add(serial)
        if serial < self._last.get(identity, -1):
            self.disordered += 1
        else:
            self._last[identity] = serial


def _rows(body: bytes) -> list[tuple[int, str, str | None, str | None]]:
    events = msgspec.json.decode(body, type=Upload).events
    return [(one.event_properties.serial, one.device_id or one.user_id or "", one.insert_id, one.device_id) for one in events]


def _other_rows(body: bytes) -> list[tuple[int, str, str | None, str | None]]:
    return [(one.properties.serial, one.distinct_id, one.uuid, None) for one in msgspec.json.decode(body, type=OtherUpload).batch]


def response(status: int, reason: str, body: bytes, kind: str = "application/json") -> bytes:
    """Return a whole HTTP answer."""
    return f"HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class Sink:
    """The server: its door, its fault of the moment, its ledger."""

    def __init__(self, *, keep: bool, delay: float) -> None:
        self.ledger = Ledger(keep=keep)
        self.delay = delay
        self.fault = ""
        self.keeps: Literal["none", "all", "alternate"] = "none"
        self.open: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._healing: asyncio.TimerHandle | None = None
        # Bound and never listening: it keeps the port ours while the door is shut, and whoever connects then is refused.
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._holder.bind(("127.0.0.1", 0))
        self.port = self._holder.getsockname()[1]

    async def listen(self) -> None:
        """Open the door."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: Connection(self), "127.0.0.1", self.port, reuse_port=True, backlog=1000)

    async def break_down(self, kind: str, seconds: float | None, keeps: str) -> None:
        """Start a fault, in place of the one there may be."""
        if kind not in KINDS or keeps not in {"none", "all", "alternate"}:
            raise ValueError(kind)
        await self.heal()
        self.fault, self.keeps = kind, keeps  # type: ignore[assignment]  # checked above
        self.ledger.faulted = 0
        if kind in {"refuse", "reset"}:
            if kind == "refuse" and self._server is not None:
                self._server.close()
                self._server = None
            for connection in list(self.open):
                connection.reset()
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self._healing = loop.call_later(seconds, lambda: loop.create_task(self.heal()))

    async def heal(self) -> None:
        """End the fault."""
        self.fault = ""
        if self._healing is not None:
            self._healing.cancel()
            self._healing = None
        await self.listen()

    async def command(self, target: str) -> object:
        """Do what the control port was asked."""
        asked = urlsplit(target)
        given = dict(parse_qsl(asked.query))
        if asked.path == "/stats":
            return self.ledger.stats()
        if asked.path == "/serials":
            return sorted(self.ledger.serials)
        if asked.path == "/clear":
            self.ledger.clear()
            self.delay = 0.0
            await self.heal()
        elif asked.path == "/delay":
            self.delay = float(given["seconds"])
        elif asked.path == "/fault":
            seconds = float(given["seconds"]) if "seconds" in given else None
            await self.break_down(given["kind"], seconds, given.get("keeps", "none"))
        elif asked.path == "/heal":
            await self.heal()
        else:
            raise ValueError(target)
        return {"at": time.monotonic()}


class Connection(asyncio.Protocol):
    """Reads requests and answers each."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._buffer = bytearray()
        self._needed = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back; slam the door during a reset."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
        self._sink.open.add(self)
        self._sink.ledger.connections += 1
        if self._sink.fault == "reset":
            self._sink.ledger.faulted += 1
            self.reset()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it ended does not matter
        """Forget the connection."""
        self._sink.open.discard(self)
        self._transport = None

    def reset(self) -> None:
        """End the connection with a RST."""
        if self._transport is not None:
            raw = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOW)
            self._transport.abort()
            self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._buffer += data
        while len(self._buffer) >= self._needed:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end])
            body = self._body(head, end + 4)
            if body is None:
                return
            if ZIPPED.search(head):
                body = gzip.decompress(body)
            self._answer(head, body)

    def _body(self, head: bytes, start: int) -> bytes | None:
        """Take a request's body off the buffer; ``None`` while some of it is missing."""
        if CHUNKED.search(head):
            pieces = []
            at = start
            while True:
                line = self._buffer.find(b"\r\n", at)
                if line < 0:
                    return None
                size = int(self._buffer[at:line].split(b";")[0], 16)
                at = line + 2 + size + 2
                if len(self._buffer) < at:
                    return None
                if not size:
                    break
                pieces.append(bytes(self._buffer[line + 2 : line + 2 + size]))
            del self._buffer[:at]
            return b"".join(pieces)
        found = LENGTH.search(head)
        self._needed = start + (int(found[1]) if found else 0)
        if len(self._buffer) < self._needed:
            return None
        body = bytes(self._buffer[start : self._needed])
        del self._buffer[: self._needed]
        self._needed = 0
        return body

    def _answer(self, head: bytes, body: bytes) -> None:
        sink = self._sink
        sink.ledger.requests += 1
        is_other = head.startswith(b"POST /batch/ ")
        fault = sink.fault
        if fault:
            sink.ledger.faulted += 1
        if not fault or sink.keeps == "all" or (sink.keeps == "alternate" and sink.ledger.faulted % 2):
            count = sink.ledger.take_in(body, is_other=is_other)
        else:
            count = sink.ledger.count(body, is_other=is_other)
        if fault == "reset_after_body":
            self.reset()
            return
        if fault == "html":
            answer = response(200, "OK", PAGE, "text/html")
        elif fault == "unavailable":
            answer = response(503, "Service Unavailable", b'{"code":503,"error":"unavailable"}')
        elif fault == "throttled":
            answer = response(429, "Too Many Requests", b'{"code":429,"error":"Too many requests for some devices and users"}')
        elif count is None:
            answer = response(400, "Bad Request", b'{"code":400,"error":"Request was not valid JSON"}')
        else:
            said = {
                "code": 200,
                "events_ingested": count,
                "payload_size_bytes": len(body),
                "server_upload_time": int(time.time() * 1000),
            }
            answer = response(200, "OK", json.dumps(said, separators=(",", ":")).encode())
        if fault == "cut":
            answer = answer[:-20]  # the head and some of the body
        if sink.delay:
            asyncio.get_running_loop().call_later(sink.delay, self._write, answer, fault == "cut")
        else:
            self._write(answer, fault == "cut")

    def _write(self, answer: bytes, is_last: bool) -> None:  # noqa: FBT001 - called by the loop, which passes no names
        if self._transport is not None:
            self._transport.write(answer)
            if is_last:
                self._transport.close()


async def main(sink: Sink, life: float) -> None:
    """Serve for so many seconds, or until the process that started it is gone."""

    async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
            try:
                answer = response(200, "OK", json.dumps(await sink.command(target)).encode())
            except (ValueError, KeyError) as error:
                answer = response(400, "Bad Request", json.dumps(repr(error)).encode())
            writer.write(answer)
            await writer.drain()
        finally:
            writer.close()

    await sink.listen()
    door = await asyncio.start_server(control, "127.0.0.1", 0)
    print(sink.port, door.sockets[0].getsockname()[1], flush=True)
    end, parent = time.monotonic() + life, os.getppid()
    async with door:
        # Whoever was killed could not stop it.
        while time.monotonic() < end and os.getppid() == parent:
            await asyncio.sleep(min(0.5, life))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--life", type=float, default=60.0, help="seconds")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--keep", action="store_true", help="decode every body and keep what arrived")
    options = parser.parse_args()
    asyncio.run(main(Sink(keep=options.keep, delay=options.delay), options.life))
