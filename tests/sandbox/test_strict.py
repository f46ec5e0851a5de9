"""Amplitude's rules one by one, each at its border: what counts twice, whose clock is right, who is who, what is too much."""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from amplitude_async.sandbox import Limits, Sandbox

from .conftest import NOON, Clock
from .test_uploads import GOOD, exported, upload

if TYPE_CHECKING:
    from collections.abc import Iterator

WEEK = 7 * 24 * 3600.0


@pytest.fixture
def strict(clock: Clock) -> Iterator[httpx.Client]:
    """Run a strict sandbox, and return a client with its credentials."""
    with (
        Sandbox(clock=clock, strict=True) as box,
        httpx.Client(base_url=box.url, auth=(box.api_key, box.secret_key), trust_env=False) as client,
    ):
        yield client


def test_an_insert_id_is_remembered_for_seven_days_and_no_longer(strict: httpx.Client, clock: Clock) -> None:
    """A second before the week is over the same event is a duplicate, and a second after it is an event."""
    event = {**GOOD, "insert_id": "one", "device_id": "device-1"}
    for moment, expected in ((NOON, 1), (NOON + WEEK - 1, 1), (NOON + WEEK + 1, 2)):
        clock.now = moment
        assert upload(strict, [event]).json()["events_ingested"] == 1
        assert len(exported(strict, "ada@example.org")) == expected


def test_a_batch_knows_an_insert_id_whatever_the_device(strict: httpx.Client) -> None:
    """Batch compares insert ids alone, HTTP V2 those of one device."""
    for path, device, expected in (("/batch", "device-1", 1), ("/batch", "device-2", 1), ("/2/httpapi", "device-3", 2)):
        upload(strict, [{**GOOD, "insert_id": "one", "device_id": device}], path)
        assert len(exported(strict, "ada@example.org")) == expected


@pytest.mark.parametrize(
    ("project", "sent", "expected"),
    [
        (612_345, "2026-05-01T11:59:00.001Z", "2026-05-01 12:00:00.000000"),
        (612_345, "2026-05-01T11:59:00.000Z", "2026-05-01 12:01:00.000000"),
        (612_345, "2026-05-01T12:01:00.000Z", "2026-05-01 11:59:00.000000"),
        (243_703, "2026-05-01T11:59:59.000Z", "2026-05-01 12:00:01.000000"),
    ],
)
def test_a_wrong_clock_is_corrected_from_a_minute_on(clock: Clock, project: int, sent: str, expected: str) -> None:
    """The difference between arrival and upload time is added to an event's own; in old projects also when it is small."""
    with (
        Sandbox(clock=clock, strict=True, project_id=project) as box,
        httpx.Client(base_url=box.url, auth=("sandbox", "sandbox")) as http,
    ):
        body = {"api_key": "sandbox", "events": [{**GOOD, "time": int(NOON * 1000)}], "client_upload_time": sent}
        http.post("/2/httpapi", json=body).raise_for_status()
        (row,) = exported(http, "ada@example.org")
        assert (row["client_event_time"], row["event_time"]) == ("2026-05-01 12:00:00.000000", expected)


def test_all_ten_operations_in_amplitudes_order(strict: httpx.Client) -> None:
    """However they are written, they are applied in the one order, and an identification is no event."""
    upload(strict, [{**GOOD, "user_properties": {"old": 1, "gone": 2, "list": ["a", "b"]}}])
    operations: dict[str, Any] = {
        "$remove": {"list": "c"},
        "$postInsert": {"list": ["a", "z"]},
        "$preInsert": {"list": ["y", "a"]},
        "$prepend": {"list": "c"},
        "$append": {"list": ["a", "b"]},
        "$add": {"count": 2, "old": 5},
        "$setOnce": {"count": 40, "first": "x"},
        "$set": {"count": 1},
        "$unset": {"gone": "-"},
        "$clearAll": "-",
    }
    identify = {"user_id": GOOD["user_id"], "user_properties": operations}
    assert strict.post("/identify", data={"api_key": "sandbox", "identification": json.dumps(identify)}).text == "success"
    upload(strict, [GOOD])
    rows = exported(strict, "ada@example.org")
    assert len(rows) == 2
    # All is cleared; then 1 is set, and 2 added; c is put before a and b, y before that, z behind, and c taken out.
    assert rows[-1]["user_properties"] == {"count": 3, "first": "x", "old": 5, "list": ["y", "a", "b", "z"]}


def test_properties_that_are_not_synced_stay_with_their_event(strict: httpx.Client) -> None:
    """With ``$skip_user_properties_sync`` an event has what it was sent with, and the user stays as they were."""
    upload(strict, [{**GOOD, "user_properties": {"plan": "pro"}}])
    upload(strict, [{**GOOD, "user_properties": {"backfilled": True}, "$skip_user_properties_sync": True}])
    upload(strict, [GOOD])
    assert [row["user_properties"] for row in exported(strict, "ada@example.org")] == [
        {"plan": "pro"},
        {"backfilled": True},
        {"plan": "pro"},
    ]


def test_properties_that_are_updated_too_often_stay_as_they_are(clock: Clock) -> None:
    """Beyond the updates that a user has in an hour events are taken as ever, and change nothing about the user, until the hour is over."""

    def set_to(number: int) -> dict[str, Any]:
        return {**GOOD, "user_properties": {"number": number}}

    with (
        Sandbox(limits=Limits(user_updates_per_hour=2), clock=clock) as box,
        httpx.Client(verify=False, base_url=box.url, auth=("sandbox", "sandbox"), trust_env=False) as http,
    ):
        identify = {"user_id": GOOD["user_id"], "user_properties": {"$set": {"plan": "pro"}}}
        http.post("/identify", data={"api_key": "sandbox", "identification": json.dumps(identify)}).raise_for_status()
        upload(http, [GOOD, set_to(1), GOOD, set_to(2), {**set_to(3), "user_id": "bob@example.org"}])
        clock.now += 3600
        upload(http, [set_to(4)])
        found = [(row["user_properties"], row["data"]["user_properties_updated"]) for row in exported(http, "ada@example.org")]
        assert found == [
            ({"plan": "pro"}, True),
            ({"plan": "pro", "number": 1}, True),
            ({"plan": "pro", "number": 1}, True),
            ({"plan": "pro", "number": 1}, False),
            ({"plan": "pro", "number": 4}, True),
        ]
        assert [row["user_properties"] for row in exported(http, "bob@example.org")] == [{"number": 3}]


def test_a_strict_sandbox_takes_1800_updates_of_a_user_in_an_hour(strict: httpx.Client, clock: Clock) -> None:
    """That is what Amplitude documents (https://amplitude.com/docs/apis/analytics/http-v2); the next one is lost."""
    changes = [{"user_id": GOOD["user_id"], "user_properties": {"$add": {"visits": 1}}}] * 900
    for change in (changes, changes, changes[:1]):
        sent = strict.post("/identify", data={"api_key": "sandbox", "identification": json.dumps(change)})
        assert sent.text == "success"
        clock.now += 30  # or they were too many a second
    upload(strict, [GOOD])
    (row,) = exported(strict, "ada@example.org")
    assert row["user_properties"] == {"visits": 1800}


def test_uploads_of_a_project_are_refused_above_its_rate(clock: Clock) -> None:
    """The limit is a mean over the window, a refused request counts for nothing, and V2 and Batch are counted apart."""
    limits = Limits(v2_project_events_per_second=2, batch_project_events_per_second=1, window_s=2.0)
    with (
        Sandbox(limits=limits, clock=clock) as box,
        httpx.Client(verify=False, base_url=box.url, auth=("sandbox", "sandbox"), trust_env=False) as http,
    ):
        assert upload(http, [GOOD] * 4).status_code == 200
        assert upload(http, [GOOD]).status_code == 429
        assert upload(http, [GOOD] * 3, "/batch").status_code == 429
        assert upload(http, [GOOD] * 2, "/batch").status_code == 200
        clock.now += 2
        assert upload(http, [GOOD] * 4).status_code == 200


def test_the_documented_limits_are_those_of_the_page() -> None:
    """The table of the documentation has every limit of a strict sandbox, with its figure."""
    page = Path(__file__).parents[2] / "docs" / "sandbox.md"
    table = dict(re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", page.read_text("utf-8"), re.MULTILINE))
    strict, off = Limits.documented(), Limits()
    limits = {name: getattr(strict, name) for name in Limits.__slots__ if getattr(strict, name) != getattr(off, name)}
    assert limits.pop("cohort_job_looks") == 1  # how a job runs, no limit
    assert {name: int(text.replace(",", "")) for name, text in table.items()} == limits


def test_group_properties_change_by_group_identifies_alone(strict: httpx.Client) -> None:
    """On another event group properties are ignored, and ``$groupidentify`` changes the groups that it names."""
    groups = {"groups": {"org": "acme"}}
    upload(strict, [{**GOOD, **groups, "group_properties": {"tier": "tin"}}])
    upload(strict, [{**GOOD, **groups, "event_type": "$groupidentify", "group_properties": {"$set": {"tier": "gold"}}}])
    upload(strict, [{**GOOD, **groups}])
    assert [row["group_properties"] for row in exported(strict, "ada@example.org")] == [{}, {"org": {"acme": {"tier": "gold"}}}]


def test_the_five_rules_of_who_is_who(strict: httpx.Client) -> None:
    """Known ids, anonymous devices, devices of others, devices alone, and an anonymous user who turns out to be a known one."""

    def number(**ids: str) -> int:
        upload(strict, [{"event_type": "x", **ids}]).raise_for_status()
        found = strict.get("/api/2/usersearch", params={"user": ids.get("user_id") or ids["device_id"]}).json()
        return int(found["matches"][0]["amplitude_id"])

    anonymous = number(device_id="device-1")
    ada = number(user_id="ada@example.org", device_id="device-1")
    assert ada == anonymous  # a new user id, on the device of somebody anonymous
    bob = number(user_id="bob@example.org", device_id="device-1")
    assert bob != ada  # a new user id, on the device of somebody else
    assert number(device_id="device-1") == bob  # no user id: whoever was there last
    assert number(user_id="ada@example.org", device_id="device-1") == ada  # a known user id
    other = number(device_id="device-2")
    assert number(user_id="ada@example.org", device_id="device-2") == ada
    merged = strict.get("/api/2/useractivity", params={"user": ada}).json()["userData"]["merged_amplitude_ids"]
    assert merged == [other]


def test_a_throttle_ends_by_the_sandboxs_own_clock(clock: Clock) -> None:
    """Somebody who was called too fast is not, once the clock of the sandbox has gone on for so long."""
    with Sandbox(clock=clock) as box, httpx.Client(base_url=box.url, trust_env=False) as http:
        box.faults.throttle("ada@example.org", 30)
        assert upload(http, [GOOD]).status_code == 429
        clock.now += 31
        assert upload(http, [GOOD]).status_code == 200


def test_a_silenced_device_is_heard_again_when_that_is_taken_back(clock: Clock) -> None:
    """Nothing of a request with a silenced device is stored, until the faults are cleared."""
    with Sandbox(clock=clock, token="invented-token") as box, httpx.Client(base_url=box.url, auth=("sandbox", "sandbox")) as http:
        holder = {"authorization": "Bearer invented-token"}
        assert httpx.post(f"{box.url}/sandbox/silence", json={"device_id": ""}, headers=holder).status_code == 400
        assert httpx.post(f"{box.url}/sandbox/silence", json={"device_id": "device-1"}, headers=holder).status_code == 201
        assert http.get("/sandbox/faults").json()["silenced"] == ["device-1"]
        events = [GOOD, {**GOOD, "device_id": "device-1"}]
        assert upload(http, events).json()["silenced_events"] == [1]
        assert http.get("/api/2/usersearch", params={"user": "ada@example.org"}).json()["type"] == "nomatch"
        box.faults.clear()
        assert upload(http, events).status_code == 200


def test_group_identifies_are_ten_thousand_a_second(strict: httpx.Client, clock: Clock) -> None:
    """One more is refused, and a second later it is not."""
    entry = {"group_type": "org", "group_value": "acme", "group_properties": {"a": 1}}

    def send(count: int) -> int:
        form = {"api_key": "sandbox", "identification": json.dumps([entry] * count)}
        return strict.post("/groupidentify", data=form).status_code

    assert [send(1000) for _ in range(10)] == [200] * 10
    assert send(1) == 429
    clock.now += 1
    assert send(1) == 200


def test_streaming_metrics_answer_four_at_a_time(clock: Clock) -> None:
    """While four are being answered the fifth is refused."""
    held, entered = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        held.wait(30)

    with (
        Sandbox(clock=clock, strict=True) as box,
        httpx.Client(base_url=box.url, auth=("sandbox", "sandbox"), trust_env=False, timeout=30) as http,
        ThreadPoolExecutor(6) as pool,
    ):
        path = "/api/2/event-streaming/delivery-metrics-summary?sync_id=1&time_period=ONE_DAY"
        # What is due before any request is done by now, and later ones come to their place at once.
        assert http.get(path).status_code == 200
        try:
            holding = pool.submit(box._running_desk().wait_for, hold)
            assert entered.wait(30)
            asked = [pool.submit(http.get, path) for _ in range(5)]
            done, _waiting = wait(asked, timeout=20, return_when=FIRST_COMPLETED)
            assert [each.result().json()["error"]["http_code"] for each in done] == [429]
        finally:
            held.set()
        holding.result(30)
        assert sorted(each.result(30).status_code for each in asked) == [200] * 4 + [429]


def test_reserved_names_are_for_amplitude_when_strict(strict: httpx.Client, http: httpx.Client) -> None:
    """What Amplitude asks not to be sent is refused strictly and taken otherwise; on Batch every index is named."""
    events = [{**GOOD, "event_type": "[Amplitude] Start Session"}, GOOD, {**GOOD, "event_type": "[Amplitude] Merged User"}]
    assert upload(http, events).status_code == 200
    assert upload(strict, events).json()["events_with_invalid_fields"] == {"event_type": [0]}
    assert upload(strict, events, "/batch").json()["events_with_invalid_fields"] == {"event_type": [0, 2]}
    assert upload(strict, [{**GOOD, "event_type": "[Acme] Install"}]).status_code == 200
