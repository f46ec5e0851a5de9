"""An export server that misbehaves as it is told: cuts, stalls, damages, refuses; or serves hour by hour and keeps count.

A reply is what is done with an archive on a connection whose request was read; ``answering`` makes a step of one for a
``ScriptedServer``, ``HourServer`` chooses among them by the hours that are asked for. Every reply says ``Connection: close`` and
ends its connection, as an export has one of its own.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple
from urllib.parse import parse_qs, urlsplit

sys.path.insert(0, str(Path(__file__).parents[1] / "io"))
sys.path.insert(0, str(Path(__file__).parent))
from archives import AMPLITUDE, Layout, build
from scripted import LIFE, Connection, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from archives import Member

    Step = Callable[[Connection], None]
    Reply = Callable[[Connection, bytes], None]
    Framing = Literal["length", "chunked", "closing"]

PIECE: Final = 65536
NO_DATA: Final = {"details": "Raw data files were not found."}


def envelope(status: int, kind: str = "unspecified", message: str = "Unspecified Error", **metadata: str) -> bytes:
    """Return an error in the form that Amplitude's dashboard API gives it."""
    return json.dumps({"error": {"http_code": status, "type": kind, "message": message, "metadata": metadata}}).encode()


def head(length: int | None, *headers: str, status: int = 200, chunked: bool = False, content_type: str = "application/zip") -> bytes:
    """Return the head of an answer whose body ends by its length, in chunks, or when the connection does."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {content_type}", "Connection: close", *headers]
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    elif length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


def _begin(connection: Connection, length: int, framing: Framing) -> None:
    connection.send(head(length if framing == "length" else None, chunked=framing == "chunked"))


def _send(connection: Connection, data: bytes, framing: Framing) -> None:
    for at in range(0, len(data), PIECE):
        piece = data[at : at + PIECE]
        connection.send(b"%x\r\n%s\r\n" % (len(piece), piece) if framing == "chunked" else piece)


def _drain(connection: Connection) -> None:
    """Wait until the client's side has everything that was sent: a reset throws away what has not left yet."""
    from fcntl import ioctl
    from struct import unpack
    from termios import TIOCOUTQ

    end = time.monotonic() + LIFE
    while unpack("i", ioctl(connection.sock, TIOCOUTQ, bytes(4)))[0] and time.monotonic() < end:
        if connection.server.stopped.wait(0.001):
            return


# Replies


def whole(framing: Framing = "length", *, pieces: int | None = None) -> Reply:
    """Send the whole archive, in so many bytes at a time if that is given."""

    def reply(connection: Connection, archive: bytes) -> None:
        _begin(connection, len(archive), framing)
        for at in range(0, len(archive), pieces or PIECE):
            _send(connection, archive[at : at + (pieces or PIECE)], framing)
        if framing == "chunked":
            connection.send(b"0\r\n\r\n")

    return reply


def cut(at: int, *, by: Literal["fin", "rst"] = "fin", framing: Framing = "length") -> Reply:
    """Send so many bytes of the archive, then end the connection.

    With ``framing="closing"`` and a FIN nothing but the archive itself tells that something is missing; with ``"chunked"`` the last
    chunk never comes.
    """

    def reply(connection: Connection, archive: bytes) -> None:
        _begin(connection, len(archive), framing)
        _send(connection, archive[:at], framing)
        if by == "rst":
            _drain(connection)
            connection.reset()

    return reply


def short(at: int) -> Reply:
    """Send so many bytes of the archive as if they were all: their number is the declared length."""

    def reply(connection: Connection, archive: bytes) -> None:
        whole()(connection, archive[:at])

    return reply


def endless(start: bytes, *, framing: Framing = "chunked", announced: int = 0) -> Reply:
    """Send a beginning, then nonsense for as long as the client reads, 64 MiB at most."""

    def reply(connection: Connection, archive: bytes) -> None:
        _begin(connection, announced, framing)
        _send(connection, start, framing)
        with suppress(OSError):
            for _ in range(1024):
                _send(connection, b"nonsense" * (PIECE // 8), framing)

    return reply


def stalled(at: int, *, framing: Framing = "length") -> Reply:
    """Send so many bytes of the archive, then nothing more until the server stops."""

    def reply(connection: Connection, archive: bytes) -> None:
        _begin(connection, len(archive), framing)
        _send(connection, archive[:at], framing)
        connection.server.stopped.wait(LIFE)

    return reply


def flipped(bit: int, *, framing: Framing = "length") -> Reply:
    """Send the archive with one bit the other way, counted from its first byte's lowest; it wraps around."""

    def reply(connection: Connection, archive: bytes) -> None:
        whole(framing)(connection, flip(archive, bit))

    return reply


def flip(archive: bytes, bit: int) -> bytes:
    damaged = bytearray(archive)
    damaged[bit // 8 % len(archive)] ^= 1 << bit % 8
    return bytes(damaged)


def page(body: bytes, *headers: str, status: int = 200, content_type: str = "application/zip") -> Reply:
    """Send something else than the archive."""

    def reply(connection: Connection, archive: bytes) -> None:
        connection.send(head(len(body), *headers, status=status, content_type=content_type) + body)

    return reply


def told(status: int, message: str = "Unspecified Error", *headers: str, **metadata: str) -> Reply:
    """Send an error in Amplitude's envelope."""
    return page(envelope(status, message=message, **metadata), *headers, status=status, content_type="application/json; charset=utf-8")


def throttled(seconds: int | None = 1) -> Reply:
    """Send 429, with a Retry-After unless that is ``None``."""
    headers = [] if seconds is None else [f"Retry-After: {seconds}"]
    return told(429, "Too Many Requests: Exceeded rate limit with query of cost 1", *headers)


HTML: Final = b"<!doctype html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
NOT_FOUND: Final = told(404, **NO_DATA)
TOO_LARGE: Final = told(400, "The requested data is larger than 4 GB")
TIMED_OUT: Final = page(b"<html><body><h1>504 Gateway Time-out</h1></body></html>", status=504, content_type="text/html")
TIMED_OUT_SILENTLY: Final = page(b"", status=504, content_type="text/html")

NOT_A_ZIP: Final[dict[str, Reply]] = {
    "HTML": page(HTML, content_type="text/html"),
    "HTML that says it is a zip": page(HTML),
    "JSON": page(b'{"error":"no"}', content_type="application/json"),
    "an error's envelope": page(envelope(404, **NO_DATA), content_type="application/json"),
    "nothing": page(b""),
    "three bytes": page(b"PK\x03"),
    "a gzip": page(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x03\x00" + bytes(8)),
}
"""Answers of 200 whose body is no zip."""


def answering(archive: bytes, reply: Reply | None = None) -> Step:
    """Return a step that reads one request and replies with the archive, whole unless told otherwise."""

    def step(connection: Connection) -> None:
        if connection.read_request():
            (reply or whole())(connection, archive)

    return step


# Hours


class Window(NamedTuple):
    """The hours that a request asks for, both included, as ``YYYYMMDDTHH``."""

    start: str
    end: str

    def hours(self) -> list[datetime]:
        first, last = (datetime.strptime(text, "%Y%m%dT%H").replace(tzinfo=UTC) for text in self)
        return [first + timedelta(hours=n) for n in range(int((last - first) / timedelta(hours=1)) + 1)]


def window_of(request: bytes) -> Window:
    """Return the window of a request; values that are missing are empty."""
    target = request.split(b" ", 2)[1].decode()
    query = parse_qs(urlsplit(target).query)
    return Window(query.get("start", [""])[0], query.get("end", [""])[0])


class HourServer(ScriptedServer):
    """Serves the archive of whatever hours are asked for.

    Args:
        members: What each hour holds. An hour that is not listed is empty; a window of empty hours gets the 404.
        layout: Of the archives.
        too_large_above: Windows of more hours get 400.
        times_out_above: Windows of more hours get 504.
        throttle_first: So many requests at first get 429.
        retry_after: What their Retry-After says.
        instead: Given a window and how many requests came for it before, the reply to send in place of the right one, or ``None``.
            Comes before the limits above. The reply gets the right archive; an empty zip for a window without data.
        framing: How the right archives are sent.

    Attributes:
        asked: How many requests came for each window.
        given: How often each hour was sent, whole and with 200, empty hours left out.
        windows: The windows, in the order of the requests.
        most_at_once: The largest number of requests that were being answered at the same time.
    """

    def __init__(
        self,
        members: Mapping[datetime, Sequence[Member]],
        *,
        layout: Layout = AMPLITUDE,
        too_large_above: int | None = None,
        times_out_above: int | None = None,
        throttle_first: int = 0,
        retry_after: int | None = 1,
        instead: Callable[[Window, int], Reply | None] | None = None,
        framing: Framing = "length",
    ) -> None:
        super().__init__(self._answer)
        self.members = dict(members)
        self.layout = layout
        self.too_large_above = too_large_above
        self.times_out_above = times_out_above
        self.throttle_first = throttle_first
        self.retry_after = retry_after
        self.instead = instead
        self.framing = framing
        self.asked: Counter[Window] = Counter()
        self.given: Counter[datetime] = Counter()
        self.windows: list[Window] = []
        self.most_at_once = 0
        self._now = 0

    def archive_of(self, hours: Iterable[datetime]) -> bytes:
        """Return the archive of those hours."""
        return build([member for hour in hours for member in self.members.get(hour, ())], self.layout)

    def _answer(self, connection: Connection) -> None:
        if not connection.read_request():
            return
        window = window_of(connection.request)
        with self.lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            self._reply(connection, window)
        finally:
            with self.lock:
                self._now -= 1

    def _reply(self, connection: Connection, window: Window) -> None:
        with self.lock:
            before, total = self.asked[window], len(self.windows)
            self.asked[window] += 1
            self.windows.append(window)
        try:
            hours = window.hours()
        except ValueError:
            told(400, "start and end must be YYYYMMDDTHH")(connection, b"")
            return
        reply = self.instead(window, before) if self.instead else None
        if reply is not None:
            reply(connection, self.archive_of(hours))
        elif total < self.throttle_first:
            throttled(self.retry_after)(connection, b"")
        elif not hours:
            told(400, "start must not be after end")(connection, b"")
        elif self.too_large_above is not None and len(hours) > self.too_large_above:
            TOO_LARGE(connection, b"")
        elif self.times_out_above is not None and len(hours) > self.times_out_above:
            TIMED_OUT(connection, b"")
        elif not any(self.members.get(hour) for hour in hours):
            NOT_FOUND(connection, b"")
        else:
            whole(self.framing)(connection, self.archive_of(hours))
            with self.lock:
                self.given.update(hour for hour in hours if self.members.get(hour))
