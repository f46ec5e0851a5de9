"""What lies at the edge of a type: a date without a day after it, a number beyond 64 bits, half a character. Refused, never a fault."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from amplitude_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST = "0001-01-01T00:00:00+23:59"
LAST = "9999-12-31T23:59:59-23:59"
DIGITS = "9" * 5000
HALF = '"\\ud800"'
SUBJECT = {"startDate": "2026-01-01", "endDate": "2026-04-30"}
COHORT = {"name": "c", "app_id": 612_345, "id_type": "BY_USER_ID", "ids": [], "owner": "o@example.org", "published": True}


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def http(box: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=box.url, trust_env=False) as client:
        yield client


def ask(box: Sandbox, http: httpx.Client, method: str, path: str, **request: Any) -> httpx.Response:
    keys = box.credentials
    headers = {}
    pair: tuple[str, str] | None = (keys["api_key"], keys["secret_key"])
    if path.startswith(("/api/1/mutexes", "/api/1/flags")):
        headers, pair = {"authorization": f"Bearer {keys['management_key']}"}, None
    return http.request(method, path, auth=pair, headers=headers, **request)


@pytest.mark.parametrize(
    ("method", "path", "request_", "status"),
    [
        ("GET", "/api/1/session-replays", {"params": {"start_time": FIRST}}, 400),
        ("GET", "/api/1/session-replays", {"params": {"end_time": LAST}}, 400),
        ("POST", "/api/2/audit-logs/1", {"json": {"start_date": FIRST, "end_date": LAST}}, 400),
        ("POST", "/api/2/dsar/requests", {"json": {**SUBJECT, "amplitudeId": 2**63}}, 400),
        ("POST", "/api/2/dsar/requests", {"json": {**SUBJECT, "amplitudeId": -1}}, 400),
        ("PATCH", f"/api/1/mutexes/1/slots/{DIGITS}", {"json": {}}, 400),
        ("PATCH", "/api/1/mutexes/1/slots/first", {"json": {}}, 400),
        ("GET", f"/storage/dsar/{DIGITS}/0.json.gz", {}, 400),
        ("GET", f"/storage/replays/{DIGITS}/0/x", {}, 400),
        ("POST", "/api/3/cohorts/upload", {"json": {**COHORT, "cg": {"a": 1}}}, 400),
        ("POST", "/api/3/cohorts/upload", {"json": {**COHORT, "existing_cohort_id": ["a"]}}, 400),
        ("POST", "/api/3/cohorts/membership", {"json": {"cohort_id": "c", "count_group": 7, "memberships": []}}, 400),
        ("POST", "/api/3/cohorts/upload", {"content": json.dumps({**COHORT, "cg": "team", "ids": ["x"]}).replace('"x"', HALF)}, 400),
        ("POST", "/api/2/deletions/users", {"content": f'{{"user_ids": [{HALF}]}}'}, 400),
        ("POST", "/api/3/annotations", {"content": f'{{"label": {HALF}, "start": "2026-02-01T07:00Z"}}'}, 400),
        ("POST", "/api/1/flags", {"content": f'{{"projectId": "1", "key": {HALF}}}'}, 400),
    ],
    ids=lambda value: str(value)[:60],
)
def test_an_edge_is_refused(box: Sandbox, http: httpx.Client, method: str, path: str, request_: dict[str, Any], status: int) -> None:  # noqa: PLR0913, PLR0917 - a table
    """What no answer could say, or no place can hold, is a 400 in the API's own words."""
    answer = ask(box, http, method, path, **request_)
    assert answer.status_code == status, answer.text


def test_the_last_day_of_all_is_a_day() -> None:
    """A data subject request until the last day that there is comes to its end."""
    now = [1_777_636_800.0]
    with Sandbox(clock=lambda: now[0]) as box, httpx.Client(base_url=box.url, auth=("sandbox", "sandbox"), trust_env=False) as http:
        event = {"event_type": "x", "user_id": "user-12345"}
        http.post("/2/httpapi", json={"api_key": "sandbox", "events": [event]}).raise_for_status()
        asked = {"userId": "user-12345", "startDate": "0001-01-01", "endDate": "9999-12-31"}
        number = http.post("/api/2/dsar/requests", json=asked).json()["requestId"]
        now[0] += 60
        answer = http.get(f"/api/2/dsar/requests/{number}").json()
        assert (answer["status"], len(answer["urls"])) == ("done", 1)


def test_a_link_outlives_nothing() -> None:
    """A link to what was forgotten since leads nowhere."""
    now = [1_777_636_800.0]
    with Sandbox(clock=lambda: now[0]) as box, httpx.Client(base_url=box.url, auth=("sandbox", "sandbox"), trust_env=False) as http:
        event = {"event_type": "x", "user_id": "user-12345", "time": int(now[0] * 1000)}
        http.post("/2/httpapi", json={"api_key": "sandbox", "events": [event]}).raise_for_status()
        asked = {"userId": "user-12345", "startDate": "2026-05-01", "endDate": "2026-05-01"}
        number = http.post("/api/2/dsar/requests", json=asked).json()["requestId"]
        now[0] += 60
        link = http.get(f"/api/2/dsar/requests/{number}/outputs/0").headers["location"]
        assert httpx.get(link, trust_env=False).status_code == 200
        box.reset()
        assert httpx.get(link, trust_env=False).status_code == 404
