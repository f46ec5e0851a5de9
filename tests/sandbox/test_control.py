"""What steers and shows a sandbox over HTTP: for this machine to read, for who has the token to change."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from amplitude_async.sandbox import Sandbox
from amplitude_async.sandbox.watching import KEPT, WAITING, Watch, reasons

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(token="invented-token") as running:
        yield running


@pytest.fixture
def http(box: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(verify=False, base_url=box.url, trust_env=False, timeout=5) as client:
        yield client


HOLDER = {"Authorization": "Bearer invented-token"}


def upload(http: httpx.Client, *events: dict[str, Any]) -> httpx.Response:
    return http.post("/2/httpapi", json={"api_key": "sandbox", "events": list(events)})


def sightings(http: httpx.Client, count: int, **headers: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    with http.stream("GET", "/sandbox/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: "):
                found.append(json.loads(line[6:]))
                if len(found) == count:
                    break
    return found


def test_a_watcher_sees_what_was_and_what_comes(http: httpx.Client) -> None:
    """The stream begins with what is remembered, accepted and rejected, each with its path and its reason."""
    upload(http, {"event_type": "signup", "user_id": "user-1"}, {"event_type": "login", "user_id": "user-1"})
    upload(http, {"event_type": "bad", "user_id": "abc"}, {"event_type": "good", "user_id": "user-1"})
    http.post("/identify", data={"api_key": "sandbox", "identification": '{"user_id":"user-1"}'})
    first, second, bad, neighbour, identify = sightings(http, 5)
    assert [first["event"]["event_type"], second["event"]["event_type"]] == ["signup", "login"]
    assert (first["kind"], first["path"]) == ("accepted", "/2/httpapi")
    assert (bad["kind"], bad["reason"]) == ("rejected", "Invalid id length for user_id or device_id (id too short: user_id)")
    assert neighbour["reason"] == "refused with its request"
    assert identify["path"] == "/identify"
    again = sightings(http, 1, **{"Last-Event-ID": str(second["id"])})
    assert again[0]["id"] == bad["id"]


def test_a_wrong_key_is_shown_without_the_key(http: httpx.Client) -> None:
    """Who looks over somebody's shoulder sees no key."""
    http.post("/2/httpapi", json={"api_key": "invented-wrong-key", "events": [{"event_type": "x", "user_id": "user-1"}]})
    (seen,) = sightings(http, 1)
    assert seen["reason"] == "Invalid API key"
    assert "invented-wrong-key" not in json.dumps(seen)


def test_stopping_does_not_wait_for_watchers() -> None:
    """A page that is open holds up no end of a test."""
    with Sandbox() as box, httpx.Client(verify=False, base_url=box.url, trust_env=False) as http:
        with http.stream("GET", "/sandbox/events") as answer:
            next(answer.iter_raw())
            began = time.monotonic()
            box.stop()
            assert time.monotonic() - began < 0.9


def test_faults_are_asked_for_over_http(box: Sandbox, http: httpx.Client) -> None:
    """Another language's test asks for a fault, sees it waiting, meets it, and takes the rest back."""
    asked = {"status": 503, "body": {"error": "later"}, "times": 2, "path": "/2/httpapi"}
    assert http.post("/sandbox/faults", json=asked, headers=HOLDER).status_code == 201
    assert upload(http, {"event_type": "x", "user_id": "user-1"}).status_code == 503
    (waiting,) = http.get("/sandbox/faults").json()["faults"]
    assert (waiting["status"], waiting["hits"], waiting["times"]) == (503, 1, 2)
    assert http.delete("/sandbox/faults", headers=HOLDER).status_code == 200
    assert upload(http, {"event_type": "x", "user_id": "user-1"}).status_code == 200
    assert http.post("/sandbox/throttle", json={"identity": "user-1", "seconds": 60}, headers=HOLDER).status_code == 201
    assert upload(http, {"event_type": "x", "user_id": "user-1"}).status_code == 429
    assert http.get("/sandbox/faults").json()["throttled"] == ["user-1"]
    box.faults.clear()


def test_it_goes_down_over_http(http: httpx.Client) -> None:
    """The answer still comes; then nobody is there for as long as was asked."""
    assert http.post("/sandbox/down", json={"seconds": 0.3}, headers=HOLDER).status_code == 202
    was_gone = False
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            answer = http.get("/sandbox/status")
        except httpx.TransportError:
            was_gone = True
        else:
            if was_gone:
                assert answer.status_code == 200
                return
    pytest.fail("it did not go and come back")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/sandbox/faults", {"status": 1}),
        ("POST", "/sandbox/faults", {"colour": "red"}),
        ("POST", "/sandbox/faults", []),
        ("POST", "/sandbox/throttle", {"identity": ""}),
        ("POST", "/sandbox/throttle", {"identity": "x", "seconds": True}),
        ("POST", "/sandbox/throttle", {"identity": "x", "seconds": -5}),
        ("POST", "/sandbox/silence", {"device_id": ""}),
        ("POST", "/sandbox/down", {"seconds": "long"}),
        ("POST", "/sandbox/down", {"seconds": 0}),
        ("POST", "/sandbox/down", {"seconds": 1e9}),
        ("POST", "/sandbox/down", {}),
    ],
    ids=repr,
)
def test_nonsense_is_refused_with_words(http: httpx.Client, method: str, path: str, body: Any) -> None:
    """A bad request to the control API is a 400 that says what is wrong."""
    answer = http.request(method, path, json=body, headers=HOLDER)
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic invented-token"}], ids=repr)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/sandbox/faults"), ("DELETE", "/sandbox/faults"), ("POST", "/sandbox/throttle"), ("POST", "/sandbox/down")],
)
def test_a_stranger_changes_nothing(http: httpx.Client, method: str, path: str, headers: dict[str, str]) -> None:
    """Without the token nothing is changed (G2)."""
    assert http.request(method, path, content=b"{}", headers=headers).status_code == 401


@pytest.mark.parametrize("path", ["/", "/sandbox/events", "/sandbox/status", "/sandbox/people?user=x", "/sandbox/faults"])
def test_a_foreign_page_cannot_read(http: httpx.Client, path: str) -> None:
    """A site that has its own name point at this machine reads nothing; with the token it would."""
    assert http.get(path, headers={"Host": "evil.example"}).status_code == 403
    if path != "/sandbox/events":
        assert http.get(path, headers={"Host": "evil.example", **HOLDER}).status_code == 200


def test_the_page_loads_nothing_from_elsewhere(http: httpx.Client) -> None:
    """One file, and a policy that forbids every other."""
    page = http.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "https://" not in page.text
    assert page.text.count("http://") == page.text.count("http://www.w3.org/2000/svg")


def test_faults_never_meet_the_control(box: Sandbox, http: httpx.Client) -> None:
    """Who let everything fail can still take it back."""
    with box.faults.during(status=500):
        assert http.get("/sandbox/status").status_code == 200
        assert http.delete("/sandbox/faults", headers=HOLDER).status_code == 200
        assert upload(http, {"event_type": "x", "user_id": "user-1"}).status_code == 200


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"error": "e", "events_with_invalid_fields": {"time": [1], "price": [1, 2]}},
            {1: "e (invalid: time; invalid: price)", 2: "e (invalid: price)"},
        ),
        ({"error": "e", "events_with_missing_fields": {"event_type": [0]}}, {0: "e (missing: event_type)"}),
        ({"error": "e", "throttled_events": [2]}, {2: "e (throttled)"}),
        ({"error": "e", "silenced_events": [0, 2]}, {0: "e (silenced)", 2: "e (silenced)"}),
        ({"error": "e", "missing_field": "events"}, dict.fromkeys(range(3), "e (events)")),
        ({}, dict.fromkeys(range(3), "refused")),
    ],
)
def test_reasons_are_those_of_the_answer(body: dict[str, Any], expected: dict[int, str]) -> None:
    """Each event at fault has the words of the answer about it; where it names none, all have."""
    assert reasons(body, 3) == expected


def test_memory_of_what_passed_is_bounded() -> None:
    """However many events pass, so many are remembered."""
    watch = Watch()
    for _ in range(3):
        watch.saw([{"n": n} for n in range(KEPT)], path="/batch", at=0)
    assert len(watch.recent()) == KEPT
    assert watch.accepted == 3 * KEPT
    assert WAITING >= KEPT
