"""Uploads: the order of checks, the bodies of refusals, limits, identity and deduplication."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx
import pytest

from amplitude_async.sandbox import Sandbox

from .conftest import Clock

GOOD = {"user_id": "ada@example.org", "event_type": "hello"}
REQUIRED = "Request missing required field"
INVALID = "Invalid field values on some events"
LENGTH = "Invalid id length for user_id or device_id"


def upload(http: httpx.Client, events: object, path: str = "/2/httpapi", **extra: object) -> httpx.Response:
    """Send events with the right key."""
    return http.post(path, json={"api_key": "sandbox", "events": events, **extra})


def exported(http: httpx.Client, user: str) -> list[dict[str, Any]]:
    """Return a user's raw rows, oldest first."""
    found = http.get("/api/2/usersearch", params={"user": user}).json()["matches"]
    params = {"user": found[0]["amplitude_id"], "direction": "earliest"}
    rows: list[dict[str, Any]] = http.get("/api/2/useractivity", params=params).json()["events"]
    return rows


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", {"error": "Missing request body"}),
        (b"{nope", {"error": "Invalid JSON request body"}),
        (b"[" * 100_000, {"error": "Invalid JSON request body"}),
        (b'{"api_key":"sandbox","events":[{"x":NaN}]}', {"error": "Invalid JSON request body"}),
        (b"[]", {"error": "Invalid JSON request body"}),
        (b"{}", {"error": REQUIRED, "missing_field": "api_key"}),
        (b'{"api_key":"other"}', {"error": "Invalid API key: other"}),
        (b'{"api_key":"sandbox"}', {"error": REQUIRED, "missing_field": "events"}),
        (b'{"api_key":"sandbox","events":[]}', {"error": REQUIRED, "missing_field": "events"}),
        (b'{"api_key":"sandbox","events":[1]}', {"error": "Invalid event JSON"}),
    ],
)
def test_a_bad_request_is_refused_with_the_documented_body(http: httpx.Client, body: bytes, expected: dict[str, object]) -> None:
    """Each fault of a request has its own 400 body, and the first fault found is the one named."""
    answer = http.post("/2/httpapi", content=body)
    assert (answer.status_code, answer.json()) == (400, {"code": 400, **expected})


@pytest.mark.parametrize(
    ("events", "error", "key", "v2", "batch"),
    [
        (
            [{}, GOOD, {}],
            REQUIRED,
            "events_with_missing_fields",
            {"event_type": [0], "user_id": [0]},
            {"event_type": [0, 2], "user_id": [0, 2]},
        ),
        (
            [GOOD, {**GOOD, "time": "2026-05-01"}, {**GOOD, "time": -1}],
            INVALID,
            "events_with_invalid_fields",
            {"time": [1]},
            {"time": [1, 2]},
        ),
        ([{**GOOD, "event_type": ""}], INVALID, "events_with_invalid_fields", {"event_type": [0]}, {"event_type": [0]}),
        ([{**GOOD, "user_id": " Anonymous "}], INVALID, "events_with_invalid_fields", {"user_id": [0]}, {"user_id": [0]}),
        (
            [{**GOOD, "event_properties": []}],
            INVALID,
            "events_with_invalid_fields",
            {"event_properties": [0]},
            {"event_properties": [0]},
        ),
        (
            [{**GOOD, "user_properties": {"$set": {}, "a": 1}}],
            INVALID,
            "events_with_invalid_fields",
            {"user_properties": [0]},
            {"user_properties": [0]},
        ),
        ([{**GOOD, "user_id": "abc"}], LENGTH, "events_with_invalid_id_lengths", {"user_id": [0]}, None),
    ],
)
def test_bad_events_are_named_by_index(  # noqa: PLR0913, PLR0917 - a table
    http: httpx.Client,
    events: list[dict[str, object]],
    error: str,
    key: str,
    v2: dict[str, list[int]],
    batch: dict[str, list[int]] | None,
) -> None:
    """V2 names the first failing event of each field, Batch all of them."""
    assert upload(http, events).json() == {"code": 400, "error": error, key: v2}
    if batch is not None:
        assert upload(http, events, "/batch").json() == {"code": 400, "error": error, key: batch}


def test_a_batch_strips_short_ids_and_refuses_events_left_with_none(http: httpx.Client) -> None:
    """Batch drops a short id, and names the events that have no other."""
    assert upload(http, [{**GOOD, "device_id": "abc"}], "/batch").status_code == 200
    answer = upload(http, [GOOD, {**GOOD, "user_id": "abc"}], "/batch")
    assert answer.json() == {"code": 400, "error": REQUIRED, "events_with_missing_fields": {"user_id": [1]}}
    assert upload(http, [{**GOOD, "user_id": "abc"}], options={"min_id_length": 3}).status_code == 200


@pytest.mark.parametrize(
    ("path", "count", "status"), [("/2/httpapi", 1999, 200), ("/2/httpapi", 2000, 413), ("/batch", 2000, 200), ("/batch", 2001, 413)]
)
def test_too_many_events_are_too_large(http: httpx.Client, path: str, count: int, status: int) -> None:
    """V2 takes fewer than 2,000 events, Batch up to 2,000; more are a 413."""
    assert upload(http, [GOOD] * count, path).status_code == status


def test_too_many_bytes_are_too_large_gzipped_or_not(http: httpx.Client) -> None:
    """The limit of one megabyte applies to the unpacked body, and a packed one is accepted below it."""
    body = json.dumps({"api_key": "sandbox", "events": [GOOD], "padding": "x" * 1_048_576}).encode()
    assert http.post("/2/httpapi", content=body).json() == {"code": 413, "error": "Payload too large"}
    packed = {"content-encoding": "gzip"}
    assert http.post("/2/httpapi", content=gzip.compress(body), headers=packed).status_code == 413
    assert http.post("/batch", content=gzip.compress(body), headers=packed).status_code == 200
    assert http.post("/batch", content=b"no gzip", headers=packed).status_code == 400


def test_an_upload_is_acknowledged_with_its_size_and_count(http: httpx.Client, clock: Clock) -> None:
    """The 200 body gives the bytes, the events and the upload time in milliseconds."""
    answer = upload(http, [GOOD, GOOD])
    assert answer.json() == {
        "code": 200,
        "server_upload_time": int(clock.now * 1000) + 1,
        "payload_size_bytes": len(answer.request.content),
        "events_ingested": 2,
    }


def test_an_insert_id_counts_once_in_seven_days_per_device(http: httpx.Client, clock: Clock) -> None:
    """The same insert_id on the same device is ignored for a week, and stored on another device."""
    event = {**GOOD, "insert_id": "one", "device_id": "device-1"}
    for each in (event, event, {**event, "device_id": "device-2"}):
        assert upload(http, [each]).json()["events_ingested"] == 1
    assert len(exported(http, "ada@example.org")) == 2
    clock.now += 8 * 24 * 3600
    upload(http, [event])
    assert len(exported(http, "ada@example.org")) == 3


@pytest.mark.parametrize(("path", "expected"), [("/2/httpapi", 902), ("/batch", 901)])
def test_a_request_is_looked_through_for_its_own_duplicates_too(http: httpx.Client, path: str, expected: int) -> None:
    """In one large request an insert_id counts once, per device on V2; what an earlier request brought is known of all its events."""
    events = [{**GOOD, "insert_id": f"i-{number}", "device_id": "device-1"} for number in range(900)]
    upload(http, events[:700], path)
    again = {**events[0], "device_id": "device-2"}
    fresh = {**GOOD, "insert_id": "fresh", "device_id": "device-1"}
    assert upload(http, [*events, fresh, fresh, again, again], path).json()["events_ingested"] == 904
    assert len(exported(http, "ada@example.org")) == expected


def test_an_event_sees_what_its_own_request_said_of_a_group(http: httpx.Client) -> None:
    """Properties of a group are those that it has when the event is taken: after what came before it, and not what comes later."""
    seen = {**GOOD, "groups": {"org": "Acme"}}

    def change(size: int) -> dict[str, Any]:
        return {**seen, "event_type": "$groupidentify", "group_properties": {"$set": {"size": size}}}

    upload(http, [seen, change(1), seen, change(2)])
    upload(http, [seen])
    found = [row["group_properties"] for row in exported(http, "ada@example.org")]
    assert found == [{}, {"org": {"Acme": {"size": 1}}}, {"org": {"Acme": {"size": 2}}}]


def test_an_anonymous_user_takes_a_new_user_id_and_is_merged_into_a_known_one(http: httpx.Client) -> None:
    """A device's anonymous user becomes the new user; a second one is merged into the existing user."""
    upload(http, [{"device_id": "device-1", "event_type": "a"}])
    upload(http, [{"device_id": "device-1", "user_id": "ada@example.org", "event_type": "b"}])
    assert len({row["amplitude_id"] for row in exported(http, "ada@example.org")}) == 1
    upload(http, [{"device_id": "device-2", "event_type": "c"}])
    upload(http, [{"device_id": "device-2", "user_id": "ada@example.org", "event_type": "d"}])
    rows = exported(http, "ada@example.org")
    assert [row["event_type"] for row in rows] == ["a", "b", "c", "d"]
    assert len({row["amplitude_id"] for row in rows}) == 2
    upload(http, [{"device_id": "device-1", "user_id": "bob@example.org", "event_type": "e"}])
    assert [row["event_type"] for row in exported(http, "bob@example.org")] == ["e"]


def test_events_are_normalised(http: httpx.Client, clock: Clock) -> None:
    """Language names, revenue copies, cut strings and the clock correction appear in the row."""
    event = {**GOOD, "language": "NB", "price": 2.5, "quantity": 2, "revenue": 9, "event_properties": {"t": "x" * 2000, "s": "\ud800"}}
    event["time"] = int((clock.now - 3600) * 1000)
    body = {"api_key": "sandbox", "events": [event], "client_upload_time": "2026-05-01T11:00:00.000Z"}
    http.post("/2/httpapi", content=json.dumps(body)).raise_for_status()
    (row,) = exported(http, "ada@example.org")
    properties = row["event_properties"]
    assert properties == {"t": "x" * 1024, "s": "\ufffd", "$revenue": 5.0, "$price": 2.5, "$quantity": 2}
    assert (row["language"], row["paying"], len(row)) == ("Norwegian", True, 55)
    assert (row["client_event_time"], row["event_time"]) == ("2026-05-01 11:00:00.000000", "2026-05-01 12:00:00.000000")


@pytest.mark.parametrize(
    ("form", "status", "text"),
    [
        ({"api_key": "other"}, 400, "invalid_api_key"),
        ({"api_key": "sandbox"}, 400, "missing_event"),
        ({"api_key": "sandbox", "identification": "nope"}, 400, "missing_event"),
        ({"api_key": "sandbox", "identification": "[{}]"}, 400, "missing_event: user_id or device_id is required"),
        ({"api_key": "sandbox", "identification": '{"user_id":"ada@example.org"}'}, 200, "success"),
    ],
)
def test_identify_answers_in_plain_text(http: httpx.Client, form: dict[str, str], status: int, text: str) -> None:
    """Identify answers the same text to a form and to a query string."""
    for answer in (http.post("/identify", data=form), http.get("/identify", params=form)):
        assert (answer.status_code, answer.text) == (status, text)


def test_identified_properties_show_from_the_next_event_on(http: httpx.Client) -> None:
    """A row holds the user's properties as they were at the event."""
    upload(http, [GOOD])
    identification = json.dumps({"user_id": "ada@example.org", "user_properties": {"$add": {"visits": 2}}, "groups": {"org": "acme"}})
    http.post("/identify", files={"api_key": (None, "sandbox"), "identification": (None, identification)}).raise_for_status()
    group = json.dumps([{"group_type": "org", "group_value": "acme", "group_properties": {"tier": "gold"}}])
    assert http.post("/groupidentify", data={"api_key": "sandbox", "identification": group}).text == "success"
    upload(http, [GOOD])
    first, second = exported(http, "ada@example.org")
    assert (first["user_properties"], second["user_properties"]) == ({}, {"visits": 2})
    assert second["groups"] == {"org": ["acme"]}
    assert second["group_properties"] == {"org": {"acme": {"tier": "gold"}}}


def test_a_strict_sandbox_throttles_a_busy_user(clock: Clock) -> None:
    """Above 30 events per second over the window V2 answers 429 with the users and events concerned."""
    with Sandbox(strict=True, clock=clock) as box, httpx.Client(verify=False, base_url=box.url) as http:
        assert upload(http, [GOOD] * 900).status_code == 200
        answer = upload(http, [{**GOOD, "user_id": "bob@example.org"}, GOOD])
        assert answer.status_code == 429
        assert answer.json() == {
            "code": 429,
            "error": "Too many requests for some devices and users",
            "eps_threshold": 30,
            "throttled_devices": {},
            "throttled_users": {"ada@example.org": 31},
            "throttled_events": [1],
        }
        clock.now += 31
        assert upload(http, [GOOD]).status_code == 200
