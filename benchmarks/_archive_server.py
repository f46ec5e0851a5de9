"""Serves an archive on Amplitude's export address, from a process of its own: 64 kB at a time, as fast as it is read.

A request for the archive's whole range gets the file as it is. One for some of its hours gets those members, copied as they are into
a zip of their own; for hours that it has not, Amplitude's 404. Bodies have a Content-Length, as recorded ones do, or, with
``--chunked``, are chunks of 64 kB. ``--hold-at N --hold S`` waits S seconds after the first N bytes of a body: what the client does
until then, it does with N bytes. Prints its port, and ends by itself after LIFE seconds.

    python benchmarks/_archive_server.py ARCHIVE LIFE [--chunked] [--hold-at BYTES --hold SECONDS]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import mmap
import re
import socket
import struct
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "exporting"))
from archives import Member, build

PIECE = 65536
LOCAL_HEADER = struct.Struct("<26xHH")
HOUR_IN_NAME = re.compile(r"_(\d{4})-(\d{2})-(\d{2})_(\d{1,2})#")
EMPTY = (
    b'{"error":{"http_code":404,"type":"unspecified","message":"Unspecified Error",'
    b'"metadata":{"details":"Raw data files were not found."}}}'
)


class Stored(NamedTuple):
    """Where a member's bytes are in the archive."""

    hour: str
    name: str
    begin: int
    end: int


class Server:
    """Answers requests for one archive.

    Args:
        path: The archive; its members are stored, and named after their hours.
        is_chunked: Whether bodies are sent in chunks.
        hold_at: After how many bytes of a body to wait.
        hold: How long, in seconds.
    """

    def __init__(self, path: Path, *, is_chunked: bool, hold_at: int, hold: float) -> None:
        with path.open("rb") as file:
            self._data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        self._members = list(_members(path, self._data))
        self._is_chunked = is_chunked
        self._hold_at = hold_at
        self._hold = hold

    def body(self, start: str, end: str) -> memoryview | None:
        """Return the archive of those hours, ``None`` if it has none of them."""
        hours = [member.hour for member in self._members]
        if start <= min(hours) and end >= max(hours):
            return self._data
        chosen = [one for one in self._members if start <= one.hour <= end]
        if not chosen:
            return None
        return memoryview(build([Member(one.name, raw=bytes(self._data[one.begin : one.end])) for one in chosen]))

    async def serve(self, connection: socket.socket) -> None:
        """Answer the requests of one connection."""
        loop = asyncio.get_running_loop()
        buffer = b""
        with connection, contextlib.suppress(OSError):
            while True:
                while b"\r\n\r\n" not in buffer:
                    data = await loop.sock_recv(connection, PIECE)
                    if not data:
                        return
                    buffer += data
                request, _, buffer = buffer.partition(b"\r\n\r\n")
                query = parse_qs(urlsplit(request.split(b" ", 2)[1].decode()).query)
                body = self.body(query["start"][0], query["end"][0])
                if body is None:
                    head = b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(EMPTY)
                    await loop.sock_sendall(connection, head + EMPTY)
                else:
                    await self._send(connection, body)

    async def _send(self, connection: socket.socket, body: memoryview) -> None:
        loop = asyncio.get_running_loop()
        framing = b"Transfer-Encoding: chunked" if self._is_chunked else b"Content-Length: %d" % len(body)
        await loop.sock_sendall(connection, b"HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\n%s\r\n\r\n" % framing)
        for at in range(0, len(body), PIECE):
            if self._hold and at == self._hold_at:
                await asyncio.sleep(self._hold)
            piece: bytes | memoryview = body[at : at + PIECE]
            if self._is_chunked:
                piece = b"%x\r\n%b\r\n" % (len(piece), bytes(piece))
            await loop.sock_sendall(connection, piece)
        if self._is_chunked:
            await loop.sock_sendall(connection, b"0\r\n\r\n")


def _members(path: Path, data: memoryview) -> list[Stored]:
    found = []
    with zipfile.ZipFile(path) as zipped:
        for info in zipped.infolist():
            match = HOUR_IN_NAME.search(info.filename)
            if match is None:
                continue
            year, month, day, hour = match.groups()
            name, extra = LOCAL_HEADER.unpack_from(data, info.header_offset)
            begin = info.header_offset + LOCAL_HEADER.size + name + extra
            found.append(Stored(f"{year}{month}{day}T{int(hour):02d}", info.filename, begin, begin + info.compress_size))
    return found


async def main() -> None:
    """Serve for so many seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("life", type=float)
    parser.add_argument("--chunked", action="store_true")
    parser.add_argument("--hold-at", type=int, default=0)
    parser.add_argument("--hold", type=float, default=0.0)
    options = parser.parse_args()
    server = Server(options.archive, is_chunked=options.chunked, hold_at=options.hold_at, hold=options.hold)
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        listener.settimeout(0)
        print(listener.getsockname()[1], flush=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(options.life):
                while True:
                    connection, _ = await loop.sock_accept(listener)
                    connection.settimeout(0)
                    task = loop.create_task(server.serve(connection))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)


if __name__ == "__main__":
    asyncio.run(main())
