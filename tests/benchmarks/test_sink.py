"""The sink of the benchmarks: it says what was lost and what was kept twice, so it has to be right itself."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from _events import make
from _process import Connects
from _runs import Sink, run

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink(life=60, keep=True) as server:
        yield server


def event(serial: int, insert_id: str | None, **changes: Any) -> dict[str, Any]:
    return {**make(serial), **({"insert_id": insert_id} if insert_id else {}), **changes}


def post(sink: Sink, *events: dict[str, Any], path: str = "/2/httpapi", zipped: bool = False) -> tuple[int, bytes]:
    """Upload events over a connection of their own."""
    body = json.dumps({"batch" if path == "/batch/" else "events": events}).encode()
    headers = {"Content-Encoding": "gzip"} if zipped else {}
    connection = http.client.HTTPConnection("127.0.0.1", sink.port, timeout=10)
    try:
        connection.request("POST", path, gzip.compress(body) if zipped else body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_counts_each_event_and_removes_repeats(sink: Sink) -> None:
    """The answer counts what was sent; an insert_id of the same device that was seen before is kept once."""
    status, body = post(sink, event(1, "a"), event(2, "b"))
    assert (status, json.loads(body)["events_ingested"]) == (200, 2)
    post(sink, event(2, "b"), event(3, "c"))
    stats = sink.stats()
    assert (stats["events"], stats["kept"], stats["repeats"], stats["duplicates"], stats["most"]) == (4, 3, 1, 0, 2)
    assert sink.serials() == {1, 2, 3}


@pytest.mark.parametrize("again", [event(1, "z"), event(1, None), event(1, "a", device_id="another")], ids=["id", "none", "device"])
def test_an_event_with_another_id_is_kept_twice(sink: Sink, again: dict[str, Any]) -> None:
    """The same event under another insert_id, or none, or another device's, is two events to Amplitude."""
    post(sink, event(1, "a"))
    post(sink, again)
    stats = sink.stats()
    assert (stats["kept"], stats["repeats"], stats["duplicates"]) == (2, 0, 1)


def test_tells_events_that_came_out_of_order(sink: Sink) -> None:
    """Order counts within a device, and a repeat is not out of order."""
    post(sink, event(7, "a", device_id="one"), event(3, "b", device_id="two"), event(7, "a", device_id="one"))
    assert sink.stats()["disordered"] == 0
    post(sink, event(5, "c", device_id="one"))
    assert sink.stats()["disordered"] == 1


def test_understands_the_other_form_gzip_and_chunks(sink: Sink) -> None:
    """PostHog's batches are known by their uuid; gzip bodies and chunked ones are read."""
    post(sink, {"uuid": "a", "distinct_id": "u", "properties": {"serial": 1}}, path="/batch/")
    post(sink, event(2, "b"), zipped=True)
    connection = http.client.HTTPConnection("127.0.0.1", sink.port, timeout=10)
    body = json.dumps({"events": [event(3, "c")]}).encode()
    connection.request("POST", "/2/httpapi", iter([body[:9], body[9:]]), encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()
    assert sink.serials() == {1, 2, 3}


def test_counts_without_decoding_where_it_keeps_nothing() -> None:
    """The fast form counts exactly too."""
    with Sink(life=60) as sink:
        post(sink, *(event(n, str(n)) for n in range(250)))
        assert (sink.stats()["events"], sink.stats()["most"]) == (250, 250)


def test_refuses_what_is_not_an_upload(sink: Sink) -> None:
    """A body that cannot be read is answered 400 and counted."""
    assert post(sink, {"nothing": 1})[0] == 400
    assert (sink.stats()["malformed"], sink.stats()["kept"]) == (1, 0)


@pytest.mark.parametrize("kind", ["refuse", "reset"])
def test_nobody_listens(sink: Sink, kind: str) -> None:
    """While it is down, connecting or asking fails; healed, it answers on the same port; who tries is told when."""
    connects = Connects(sink.url)
    sink.ask(f"/fault?kind={kind}")
    with pytest.raises(OSError):
        post(sink, event(1, "a"))
    sink.ask("/heal")
    assert post(sink, event(1, "a"))[0] == 200
    assert len(connects.times) == 2


def test_heals_by_itself(sink: Sink) -> None:
    """A fault with an end is over then."""
    sink.ask("/fault?kind=unavailable&seconds=0.05")
    statuses = [post(sink, event(1, "a"))[0]]
    while statuses[-1] != 200:
        statuses.append(post(sink, event(1, "a"))[0])
    assert statuses[0] == 503
    assert sink.stats()["repeats"] == 0


@pytest.mark.parametrize(("keeps", "kept"), [("none", set()), ("all", {0, 1, 2, 3}), ("alternate", {0, 2})])
def test_takes_in_what_it_is_told_to_during_a_fault(sink: Sink, keeps: str, kept: set[int]) -> None:
    """A request whose connection was reset may have been taken in."""
    sink.ask(f"/fault?kind=reset_after_body&keeps={keeps}")
    for serial in range(4):
        with pytest.raises((OSError, http.client.HTTPException)):
            post(sink, event(serial, str(serial)))
    assert sink.serials() == kept


def test_cuts_answers(sink: Sink) -> None:
    """A cut answer ends before its declared length."""
    sink.ask("/fault?kind=cut&keeps=all")
    with pytest.raises(http.client.IncompleteRead):
        post(sink, event(1, "a"))
    assert sink.serials() == {1}


def test_answers_with_a_page(sink: Sink) -> None:
    """The page has status 200 and nothing is taken in."""
    sink.ask("/fault?kind=html")
    status, body = post(sink, event(1, "a"))
    assert status == 200
    assert b"<html>" in body
    assert sink.serials() == set()


def test_holds_its_port_while_it_is_down(sink: Sink) -> None:
    """Nobody else can get the port of a sink that is down."""
    sink.ask("/fault?kind=refuse")
    with socket.socket() as other, pytest.raises(OSError):
        other.bind(("127.0.0.1", sink.port))


def test_refuses_commands_that_it_does_not_know(sink: Sink) -> None:
    """A misspelt fault is an error, not a sink that works."""
    with pytest.raises(OSError):
        sink.ask("/fault?kind=refuze")


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity") or os.cpu_count() == 1, reason="the system has no cores to choose from")
def test_client_and_sink_have_a_core_each() -> None:
    """Pinned processes run on one core, the client on another than the sink, and the measuring program goes on as it was."""
    allowed = os.sched_getaffinity(0)
    tell = [sys.executable, "-c", "import json, os; print(json.dumps({'cores': sorted(os.sched_getaffinity(0))}))"]
    with Sink(life=60, pinned=True) as sink:
        (of_the_sink,) = os.sched_getaffinity(sink.process_id)
    (of_the_client,) = run(tell, {}, pinned=True)["cores"]
    assert {of_the_sink, of_the_client} <= allowed
    assert of_the_sink != of_the_client or len(allowed) == 1
    assert set(run(tell, {})["cores"]) == os.sched_getaffinity(0) == allowed
