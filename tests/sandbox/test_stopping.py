"""A sandbox that stops: who is idle is let go at once, who waits for an answer gets it, and nobody holds it up."""

from __future__ import annotations

import threading

import httpx
import pytest

from amplitude_async.sandbox import Sandbox
from amplitude_async.sandbox import box as module
from amplitude_async.sandbox.faults import Ticket

SEARCH = "/api/2/usersearch"


class Caller(threading.Thread):
    """Asks once, in a thread of its own, and keeps what came of it."""

    def __init__(self, box: Sandbox) -> None:
        super().__init__(daemon=True)
        self._url = box.url
        self.answer: httpx.Response | None = None
        self.error: httpx.HTTPError | None = None

    def run(self) -> None:
        with httpx.Client(base_url=self._url, auth=("sandbox", "sandbox"), trust_env=False, verify=False, timeout=20) as http:
            try:
                self.answer = http.get(SEARCH, params={"user": "user-1"})
            except httpx.HTTPError as error:
                self.error = error


def wait_for(ticket: Ticket) -> None:
    """Wait until a request has met a fault."""
    pause = threading.Event()
    while not ticket.hits:
        pause.wait(0.002)


def test_a_request_in_flight_is_answered() -> None:
    """What was asked before the sandbox stopped is answered, if that does not take longer than it may."""
    with Sandbox() as box:
        ticket = box.faults.next(delay=0.1, path=SEARCH)
        caller = Caller(box)
        caller.start()
        wait_for(ticket)
    caller.join()
    assert caller.answer is not None
    assert caller.answer.json() == {"type": "nomatch", "matches": []}


def test_a_request_without_an_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes longer is cut, and no answer that looks like a good one comes of it."""
    monkeypatch.setattr(module, "_DRAIN_SECONDS", 0.05)
    with Sandbox() as box:
        ticket = box.faults.next(delay=60, path=SEARCH)
        caller = Caller(box)
        caller.start()
        wait_for(ticket)
    caller.join()
    assert caller.error is not None or (caller.answer is not None and caller.answer.is_server_error)


def test_an_idle_connection_is_closed() -> None:
    """A client that keeps its connection finds it closed, and nobody at the port."""
    with Sandbox() as box, httpx.Client(base_url=box.url, auth=("sandbox", "sandbox"), trust_env=False, verify=False) as http:
        assert http.get(SEARCH, params={"user": "user-1"}).status_code == 200
        box.stop()
        with pytest.raises(httpx.ConnectError):
            http.get(SEARCH, params={"user": "user-1"})


def test_it_starts_again_and_stops_twice() -> None:
    """One that was stopped is started anew, empty; stopping one that does not run does nothing."""
    box = Sandbox()
    for _ in range(2):
        with box, httpx.Client(base_url=box.url, auth=("sandbox", "sandbox"), trust_env=False, verify=False) as http:
            assert http.get("/api/2/events/list").json() == {"data": []}
            box.seed(users=2, days=2)
        box.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = box.url


def test_a_reset_leaves_no_row_in_any_table() -> None:
    """Whatever tables there are, a sandbox that was reset has nothing in them, and counts from the beginning."""
    with Sandbox() as box:
        box.seed(users=3, days=2)
        box.save_chart("a-chart", "users")
        box.reset()
        store = box._running_desk().store

        def left() -> dict[str, int]:
            tables = store._database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
            return {name: store._database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for (name,) in tables}

        counts = box._running_desk().wait_for(left)
        assert len(counts) >= 9
        assert not any(counts.values()), counts
