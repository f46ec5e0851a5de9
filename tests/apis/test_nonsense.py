"""Whatever is sent to the plan, to notes, releases and people: an answer of the API, never a fault of the sandbox."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = settings(max_examples=120, deadline=None)
NAMES = st.sampled_from(
    ["a", "gp:a", "grp:a", "a/b", "..", "0", "88001", "bulk", "kari@example.org", "%00", "é\u2028", "'; DROP TABLE documents;--"]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["2026-02-01T07:00Z", "2026-02-01 07:00:00", "kari@example.org", "a", "add", "remove", "members", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(["value", "op", "path"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        *("label", "start", "end", "category", "chart_id", "details", "annotation_ids"),
        *("version", "title", "release_start", "release_end", "platforms", "chart_visibility", "created_by"),
        *("userName", "id", "name", "active", "displayName", "members", "Operations"),
    ]
)
FIELDS = st.sampled_from(
    [
        *("event_type", "event_property", "user_property", "group_property", "group_type", "category_name", "category", "tags"),
        *("type", "regex", "enum_values", "is_array_type", "is_hidden", "is_required", "classifications", "overrideScope"),
        *("new_event_type", "new_event_property_value", "new_user_property_value", "showDeleted", "display_name", "description"),
    ]
)
METHODS = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"])


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Sandbox, httpx.Client]]:
    """Serve one sandbox to all examples: what one leaves behind the next one meets."""
    with Sandbox() as box, httpx.Client(verify=False, base_url=box.url, trust_env=False) as client:
        auth = (box.api_key, box.secret_key)
        event = {
            "event_type": "a",
            "user_id": "user-1",
            "event_properties": {"a": 1},
            "user_properties": {"a": 1},
            "groups": {"a": "b"},
        }
        assert client.post("/2/httpapi", json={"api_key": box.api_key, "events": [event]}).status_code == 200
        assert client.post("/api/2/taxonomy/event", data={"event_type": "a"}, auth=auth).status_code == 200
        yield box, client


def segment(name: str) -> str:
    """Encode a name as one segment; "." and ".." would be taken out on the way."""
    return quote(name, safe="").replace(".", "%2E")


@SETTINGS
@given(
    METHODS,
    st.sampled_from(["3/annotations", "3/annotation-categories", "3/annotation-categories/bulk", "2/release"]),
    st.none() | NAMES,
    st.dictionaries(KEYS, VALUES, max_size=5) | VALUES,
)
def test_notes_and_releases(served: tuple[Sandbox, httpx.Client], method: str, path: str, name: str | None, body: Any) -> None:
    """Each answer is JSON, and none is a 5xx."""
    box, client = served
    tail = "" if name is None else f"/{segment(name)}"
    answer = client.request(method, f"/api/{path}{tail}", content=json.dumps(body), auth=(box.api_key, box.secret_key))
    assert answer.status_code < 500
    assert answer.json() is not None


@SETTINGS
@given(
    METHODS,
    st.sampled_from(["category", "event", "event-property", "user-property", "group-property", "other"]),
    st.none() | NAMES,
    st.sampled_from(["", "/restore"]),
    st.dictionaries(
        FIELDS, st.text(max_size=5) | st.sampled_from(["a", "true", "enum", "string", "override", "shared", "PII"]), max_size=5
    ),
)
def test_the_plan(
    served: tuple[Sandbox, httpx.Client], method: str, kind: str, name: str | None, tail: str, fields: dict[str, str]
) -> None:
    """Each answer is a yes or a no in this API's envelope, and none is a 5xx."""
    box, client = served
    path = kind if name is None else f"{kind}/{segment(name)}{tail}"
    answer = client.request(method, f"/api/2/taxonomy/{path}", data=fields, auth=(box.api_key, box.secret_key))
    assert answer.status_code < 500
    assert method == "PATCH" or answer.json()["success"] is (answer.status_code in {200, 201})


@SETTINGS
@given(
    METHODS,
    st.sampled_from(["Users", "Groups"]),
    st.none() | NAMES | st.just("801"),
    st.dictionaries(KEYS, VALUES, max_size=5) | VALUES,
    st.text(max_size=12) | st.sampled_from(["userName pr", 'id eq "a"', "not (a pr)"]),
)
def test_people(served: tuple[Sandbox, httpx.Client], method: str, kind: str, name: str | None, body: Any, text: str) -> None:
    """Each answer is the standard's, and none is a 5xx."""
    box, client = served
    headers = {"authorization": f"Bearer {box.credentials['scim_token']}"}
    path = kind if name is None else f"{kind}/{segment(name)}"
    answer = client.request(method, f"/scim/1/{path}", content=json.dumps(body), headers=headers, params={"filter": text})
    assert answer.status_code < 500
    assert answer.status_code < 400 or answer.json()["status"] == str(answer.status_code)
