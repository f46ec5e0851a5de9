"""The misbehaving export server: what it does on the wire is what it is told, and its counts are right."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "io"))
sys.path.insert(0, str(Path(__file__).parent))
from archives import HOUR, build, hour_member, hour_members, reference_rows
from scripted import ScriptedServer
from servers import NOT_A_ZIP, TIMED_OUT_SILENTLY, HourServer, Window, answering, cut, flipped, short, stalled, whole

if TYPE_CHECKING:
    from servers import Framing, Reply

ARCHIVE = build(hour_members(HOUR, 2, 60))
HEAD = b"GET /api/2/export?start=%s&end=%s HTTP/1.1\r\nHost: localhost\r\n\r\n"


def fetch(
    server: ScriptedServer, start: str = "20260501T07", end: str = "20260501T08", *, timeout: float = 10
) -> tuple[bytes, bytes, str]:
    """Return head, body as framed, and how it ended: fin, rst or timeout."""
    data, ending = b"", "fin"
    with socket.create_connection(("127.0.0.1", server.port), timeout) as sock:
        sock.sendall(HEAD % (start.encode(), end.encode()))
        try:
            while piece := sock.recv(1 << 16):
                data += piece
        except ConnectionResetError:
            ending = "rst"
        except TimeoutError:
            ending = "timeout"
    head, _, body = data.partition(b"\r\n\r\n")
    return head, body, ending


def joined(chunks: bytes) -> bytes:
    """Return what the chunks hold, as far as they go."""
    body = b""
    with contextlib.suppress(ValueError):
        while True:
            size, _, rest = chunks.partition(b"\r\n")
            body += rest[: int(size, 16)]
            chunks = rest[int(size, 16) + 2 :]
    return body


@pytest.mark.parametrize("framing", ["length", "chunked", "closing"])
@pytest.mark.parametrize("pieces", [None, 7000])
def test_whole_archives_arrive_whole(framing: Framing, pieces: int | None) -> None:
    """The archive comes as it is, framed as it was asked to be."""
    with ScriptedServer(answering(ARCHIVE, whole(framing, pieces=pieces))) as server:
        head, body, ending = fetch(server)
    assert ending == "fin"
    assert (b"Content-Length: %d" % len(ARCHIVE) in head) == (framing == "length")
    assert (joined(body) if framing == "chunked" else body) == ARCHIVE
    assert body.endswith(b"0\r\n\r\n") == (framing == "chunked")


@pytest.mark.parametrize("by", ["fin", "rst"])
@pytest.mark.parametrize("framing", ["length", "chunked", "closing"])
@pytest.mark.parametrize("at", [0, 1, 3000, len(ARCHIVE) - 1])
def test_cuts_are_where_they_were_asked_for(at: int, framing: Framing, by: str) -> None:
    """Exactly so many bytes arrive before the end, and the end is of the kind asked for, also when it is a reset."""
    with ScriptedServer(answering(ARCHIVE, cut(at, by="rst" if by == "rst" else "fin", framing=framing))) as server:
        head, body, ending = fetch(server)
    assert ending == by
    assert head.startswith(b"HTTP/1.1 200")
    assert (joined(body) if framing == "chunked" else body) == ARCHIVE[:at]
    assert not body.endswith(b"0\r\n\r\n")


def test_short_answers_declare_what_they_send() -> None:
    """A short answer looks complete to HTTP."""
    with ScriptedServer(answering(ARCHIVE, short(500))) as server:
        head, body, ending = fetch(server)
    assert b"Content-Length: 500" in head
    assert (body, ending) == (ARCHIVE[:500], "fin")


def test_stalls_say_nothing_more() -> None:
    """After so many bytes the connection stays open and silent."""
    with ScriptedServer(answering(ARCHIVE, stalled(500))) as server:
        _, body, ending = fetch(server, timeout=0.2)
    assert (body, ending) == (ARCHIVE[:500], "timeout")


@pytest.mark.parametrize("bit", [0, 12345, 8 * len(ARCHIVE) - 1])
def test_one_bit_is_flipped(bit: int) -> None:
    """The archive differs from the right one in that bit alone."""
    with ScriptedServer(answering(ARCHIVE, flipped(bit))) as server:
        _, body, _ = fetch(server)
    difference = int.from_bytes(body, "little") ^ int.from_bytes(ARCHIVE, "little")
    assert difference == 1 << bit


@pytest.mark.parametrize("name", NOT_A_ZIP)
def test_pages_come_with_200(name: str) -> None:
    """What is no zip comes as a proper answer of 200."""
    with ScriptedServer(answering(ARCHIVE, NOT_A_ZIP[name])) as server:
        head, body, ending = fetch(server)
    assert head.startswith(b"HTTP/1.1 200")
    assert b"Content-Length: %d" % len(body) in head
    assert ending == "fin"
    assert not body.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def status_of(head: bytes) -> int:
    return int(head.split(b" ", 2)[1])


def test_hours_are_served_as_asked_for() -> None:
    """A window's archive has the rows of its hours, both ends included; windows and hours are counted; empty ones get the 404."""
    hours = {HOUR + timedelta(hours=n): [hour_member(HOUR + timedelta(hours=n), 3)] for n in (0, 1, 3)}
    with HourServer(hours) as server:
        _, one, _ = fetch(server, "20260501T07", "20260501T07")
        _, all_of_them, _ = fetch(server, "20260501T00", "20260501T23")
        head, nothing, _ = fetch(server, "20260501T09", "20260501T09")
    assert reference_rows(one) == reference_rows(build(hours[HOUR]))
    assert reference_rows(all_of_them) == reference_rows(build([member for members in hours.values() for member in members]))
    assert status_of(head) == 404
    assert json.loads(nothing)["error"]["metadata"] == {"details": "Raw data files were not found."}
    assert server.windows == [
        Window("20260501T07", "20260501T07"),
        Window("20260501T00", "20260501T23"),
        Window("20260501T09", "20260501T09"),
    ]
    assert server.asked[Window("20260501T07", "20260501T07")] == 1
    assert dict(server.given) == {HOUR: 2, HOUR + timedelta(hours=1): 1, HOUR + timedelta(hours=3): 1}
    assert server.most_at_once == 1


def test_long_windows_are_refused() -> None:
    """Windows above the limits get 400 and 504, the rest what they ask for."""
    with HourServer({HOUR: [hour_member(HOUR, 1)]}, too_large_above=12, times_out_above=4) as server:
        statuses = [status_of(fetch(server, "20260501T00", f"20260501T{last:02d}")[0]) for last in (23, 12, 11, 4, 3)]
        right = status_of(fetch(server, "20260501T05", "20260501T08")[0])
    assert statuses == [400, 400, 504, 504, 404]
    assert right == 200


def test_first_requests_are_throttled() -> None:
    """So many requests get 429 with a Retry-After, then the archive comes."""
    with HourServer({HOUR: [hour_member(HOUR, 1)]}, throttle_first=2, retry_after=7) as server:
        heads = [fetch(server, "20260501T07", "20260501T07")[0] for _ in range(3)]
    assert [status_of(head) for head in heads] == [429, 429, 200]
    assert b"Retry-After: 7" in heads[0]
    assert server.asked[Window("20260501T07", "20260501T07")] == 3


def test_replies_can_be_chosen_by_window_and_count() -> None:
    """What is to happen instead is asked for each request, with how many came for that window before."""
    hours = {HOUR + timedelta(hours=n): [hour_member(HOUR + timedelta(hours=n), 3)] for n in range(2)}

    def instead(window: Window, before: int) -> Reply | None:
        if before:
            return None
        return cut(100) if window.start == "20260501T07" else TIMED_OUT_SILENTLY

    with HourServer(hours, instead=instead) as server:
        cut_one = fetch(server, "20260501T07", "20260501T08")
        whole_one = fetch(server, "20260501T07", "20260501T08")
        late = fetch(server, "20260501T08", "20260501T08")
    archive = build([member for members in hours.values() for member in members])
    assert cut_one[1] == archive[:100]
    assert whole_one[1] == archive
    assert (status_of(late[0]), late[1]) == (504, b"")
    assert dict(server.given) == dict.fromkeys(hours, 1)


@pytest.mark.parametrize(("start", "end"), [("20260501T08", "20260501T07"), ("yesterday", "20260501T07"), ("", "")])
def test_bad_bounds_are_refused(start: str, end: str) -> None:
    """Hours that are none, or the wrong way round, get 400."""
    with HourServer({HOUR: [hour_member(HOUR, 1)]}) as server:
        assert status_of(fetch(server, start, end)[0]) == 400
