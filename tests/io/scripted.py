"""A server that does what a script says, byte by byte: answers, dribbles, cuts, resets, stalls. One thread a connection, all bounded."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    Step = Callable[["Connection"], None]

OK = b'{"code":200,"server_upload_time":1,"payload_size_bytes":1,"events_ingested":1}'
LIFE = 30.0


def response(status: int = 200, body: bytes = OK, *headers: str, length: bool = True) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """One accepted connection, as its script sees it."""

    def __init__(self, sock: socket.socket, server: ScriptedServer) -> None:
        self.sock = sock
        self.server = server
        self.request = b""
        self.buffer = b""

    def read_request(self) -> bool:
        """Read one request whole; False when the client has gone."""
        while b"\r\n\r\n" not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                return False
            self.buffer += data
        head, _, rest = self.buffer.partition(b"\r\n\r\n")
        lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(lines.get(b"content-length", b"0"))
        while len(rest) < length:
            data = self.sock.recv(65536)
            if not data:
                return False
            rest += data
        self.request, self.buffer = head + b"\r\n\r\n" + rest[:length], rest[length:]
        with self.server.lock:
            self.server.requests.append(self.request)
        return True

    def read_some(self, count: int) -> None:
        while len(self.buffer) < count:
            data = self.sock.recv(count - len(self.buffer))
            if not data:
                return
            self.buffer += data

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def accept_events(self) -> None:
        """Count this request's events as ingested, the way Amplitude would: once an insert id."""
        with self.server.lock:
            for event in sent_events(self.request):
                self.server.sink.append(event["insert_id"])

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def sent_events(request: bytes) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads(request.partition(b"\r\n\r\n")[2])["events"]
    return events


def form_of(request: bytes) -> dict[str, list[str]]:
    return parse_qs(request.partition(b"\r\n\r\n")[2].decode())


def answer(data: bytes) -> Step:
    """Read a request, answer it, count its events."""

    def step(connection: Connection) -> None:
        if connection.read_request():
            # Said aloud, so that no further request is put on a connection that ends here.
            head, mark, body = data.partition(b"\r\n\r\n")
            says_so = mark and b"onnection:" not in head
            connection.send(head + b"\r\nConnection: close" + mark + body if says_so else data)

    return step


def good(connection: Connection) -> None:
    """Serve requests until the client goes."""
    while connection.read_request():
        connection.accept_events()
        connection.send(response())


def ruled(rule: Callable[[list[dict[str, Any]]], tuple[int, Any]], *, seconds: float = 0.0) -> Step:
    """Serve requests until the client goes, each answered by a rule over its events; what gets a 200 counts as ingested."""

    def step(connection: Connection) -> None:
        while connection.read_request():
            events = sent_events(connection.request)
            status, data = rule(events)
            if seconds:
                connection.server.stopped.wait(seconds)
            if status == 200:
                connection.accept_events()
            body = data if isinstance(data, bytes) else json.dumps(data).encode()
            connection.send(response(status, body))

    return step


def taken(events: list[dict[str, Any]]) -> tuple[int, Any]:
    """Answer as Amplitude does when all is well."""
    return 200, {"code": 200, "server_upload_time": 1, "payload_size_bytes": 1, "events_ingested": len(events)}


def stall(connection: Connection) -> None:
    """Read and say nothing until the server stops."""
    connection.read_request()
    connection.server.stopped.wait(LIFE)


class ScriptedServer:
    """Runs the next step of its script for each connection, the last one for all further ones."""

    def __init__(self, *script: Step) -> None:
        self.script = list(script)
        self.requests: list[bytes] = []
        self.sink: list[str] = []
        self.accepted = 0
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._listener.settimeout(0.02)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def take_in_little(self) -> None:
        """Let the system keep little of what the steps have not read; before any connection."""
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def _start(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        end = time.monotonic() + LIFE
        while not self.stopped.is_set() and time.monotonic() < end:
            try:
                sock, _ = self._listener.accept()
            except TimeoutError:
                continue
            sock.settimeout(LIFE)
            # Or what follows a first write waits 40 ms for its acknowledgement.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                step = self.script[min(self.accepted, len(self.script) - 1)]
                self.accepted += 1
                self._sockets.append(sock)
            self._start(lambda sock=sock, step=step: self._serve(sock, step))  # type: ignore[misc]  # bound now, not later

    def _serve(self, sock: socket.socket, step: Step) -> None:
        with sock, contextlib.suppress(OSError):
            step(Connection(sock, self))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stopped.set()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()
