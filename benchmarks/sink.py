"""A fast sink for uploads: its own process, answers every POST at once, or after a delay, as Amplitude would.

Started by the benchmarks: ``python sink.py DELAY_SECONDS LIFE_SECONDS``; prints its port, and ends by itself.
"""

from __future__ import annotations

import asyncio
import sys

ANSWER = b'{"code":200,"server_upload_time":1700000000000,"payload_size_bytes":300,"events_ingested":1}'
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)


class Connection(asyncio.Protocol):
    """Reads requests by their Content-Length and answers each."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        if isinstance(transport, asyncio.WriteTransport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            mark = head.find(b"content-length:")
            length = int(head[mark + 15 :].split(b"\r\n", 1)[0]) if mark >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            if self._transport is None:
                return
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._transport.write, RESPONSE)
            else:
                self._transport.write(RESPONSE)


async def main(delay: float, life: float) -> None:
    """Serve for so many seconds."""
    server = await asyncio.get_running_loop().create_server(lambda: Connection(delay), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await asyncio.sleep(life)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), float(sys.argv[2])))
