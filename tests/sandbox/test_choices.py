"""What the sandbox does where Amplitude's pages say nothing or contradict each other: the table of ``docs/sandbox.md``, row by row."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from amplitude_async.sandbox import Sandbox

from .test_uploads import GOOD, LENGTH, exported, upload

if TYPE_CHECKING:
    from .conftest import Clock

SHORT = {**GOOD, "user_id": "ada"}


def error(answer: httpx.Response) -> str:
    assert answer.status_code in {400, 413, 429}
    return str(answer.json()["error"])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"padding": "x" * 1_048_576}, "Payload too large"),
        ([], "Invalid JSON request body"),
        ({"events": {}}, "Request missing required field"),
        ({"api_key": "other", "events": {}}, "Invalid API key: other"),
        ({"api_key": "sandbox", "events": [1] * 2000}, "Payload too large"),
        ({"api_key": "sandbox", "events": [1, {}]}, "Invalid event JSON"),
        ({"api_key": "sandbox", "events": [{"user_id": "null"}]}, "Request missing required field"),
        ({"api_key": "sandbox", "events": [{**GOOD, "time": "soon"}, SHORT]}, "Invalid field values on some events"),
        ({"api_key": "sandbox", "events": [SHORT, {**GOOD, "device_id": "dev-77aa01"}]}, LENGTH),
        ({"api_key": "sandbox", "events": [GOOD, {**GOOD, "device_id": "dev-77aa01"}]}, "Events silenced for device_id"),
        ({"api_key": "sandbox", "events": [GOOD]}, "Too many requests for some devices and users"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_checks_have_their_order(http: httpx.Client, box: Sandbox, body: Any, expected: str) -> None:
    """Each of these requests has what the ones below it are refused for, or comes to it too early."""
    box.faults.silence("dev-77aa01")
    box.faults.throttle("ada@example.org")
    assert error(http.post("/2/httpapi", json=body)) == expected


@pytest.mark.parametrize("user_id", ["Anonymous", " null ", "NONE", "0", "{}", "N/A"])
def test_ids_that_nobody_has_are_refused_however_written(http: httpx.Client, user_id: str) -> None:
    """Case and outer spaces make no difference."""
    assert upload(http, [{**GOOD, "user_id": user_id}]).json()["events_with_invalid_fields"] == {"user_id": [0]}


def test_what_is_not_known_is_ignored(http: httpx.Client) -> None:
    """Other content types and unknown keys do no harm, and leave no trace."""
    body = {"api_key": "sandbox", "events": [{**GOOD, "mood": "fine"}], "request_metadata": {}, "colour": "red"}
    answer = http.post("/2/httpapi", content=json.dumps(body), headers={"content-type": "text/plain"})
    assert answer.json()["events_ingested"] == 1
    (row,) = exported(http, "ada@example.org")
    assert "mood" not in json.dumps(row)


def test_a_device_id_follows_from_project_and_user(clock: Clock) -> None:
    """It is a UUID of version 5, the same in every sandbox of the same project, and another in another one."""
    found = []
    for project in (612_345, 612_345, 700_000):
        with (
            Sandbox(project_id=project, clock=clock) as box,
            httpx.Client(verify=False, base_url=box.url, auth=("sandbox", "sandbox"), trust_env=False) as http,
        ):
            upload(http, [GOOD])
            found.append(str(exported(http, "ada@example.org")[0]["device_id"]))
    assert uuid.UUID(found[0]).version == 5
    assert found[0] == found[1] != found[2]


def test_languages_that_the_list_lacks_stay(http: httpx.Client) -> None:
    """A tag of the list becomes a name, another one is left alone."""
    upload(http, [{**GOOD, "language": each} for each in ("nb", "en-ZA", "Elvish")])
    assert [row["language"] for row in exported(http, "ada@example.org")] == ["Norwegian", "en-ZA", "Elvish"]


def test_operations_that_make_no_sense(http: httpx.Client) -> None:
    """Mixed with plain properties they are refused; numbers are added to numbers alone; what is appended to becomes a list."""
    event = {"user_id": "ada@example.org", "event_type": "$identify"}
    mixed = upload(http, [{**event, "user_properties": {"$set": {"a": 1}, "b": 2}}])
    assert mixed.json()["events_with_invalid_fields"] == {"user_properties": [0]}
    changes = [
        {"$set": {"name": "Ada", "tag": "x", "count": 1}},
        {"$add": {"name": 1, "count": "2"}},
        {"$append": {"tag": "y"}},
    ]
    upload(http, [*({**event, "user_properties": each} for each in changes), GOOD])
    (row,) = exported(http, "ada@example.org")
    assert row["user_properties"] == {"name": "Ada", "tag": ["x", "y"], "count": 1}


def test_groups_beyond_ten_values_are_left_out(http: httpx.Client) -> None:
    """Five types and ten values are kept, in their order."""
    upload(http, [{**GOOD, "groups": {"org": [str(number) for number in range(12)], "team": "a"}}])
    (row,) = exported(http, "ada@example.org")
    assert row["groups"] == {"org": [str(number) for number in range(10)]}


@pytest.mark.parametrize("path", ["/httpapi", "/api/2/annotations", "/api/2/lookup_table"])
def test_what_was_replaced_is_not_there(http: httpx.Client, path: str) -> None:
    """It is a path like any that is unknown."""
    assert http.post(path, json={}).status_code in {400, 404}


def test_names_may_have_line_breaks_and_slashes(http: httpx.Client) -> None:
    """Whatever a property is called, its API answers for it."""
    http.post("/api/2/taxonomy/user-property", data={"user_property": "two\nlines/2"})
    answer = http.get("/api/2/taxonomy/user-property/gp%3Atwo%0Alines%2F2")
    assert answer.json()["data"]["user_property"] == "gp:two\nlines/2"
    missing = http.get("/scim/1/Groups/a%0Ab", headers={"authorization": "Bearer sandbox"}, auth=None)
    assert (missing.status_code, missing.json()["detail"]) == (404, "Group a\nb not found")
    assert http.get("/storage/replays/2/0/a%0Ab", auth=None).status_code == 403
