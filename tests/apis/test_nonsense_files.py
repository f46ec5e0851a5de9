"""Whatever is sent to cohorts, profiles and lookup tables: an answer of the API, never a fault of the sandbox."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from amplitude_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = settings(max_examples=120, deadline=None)
NAMES = st.sampled_from(["a", "there", "a/b", "..", "0", "%00", "é\u2028", "user-1", "'; DROP TABLE documents;--", "usage", "upload"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(
        ["BY_ID", "BY_NAME", "BY_USER_ID", "BY_AMP_ID", "ADD", "REMOVE", "user-1", "User", "org", "\ud800", 1_610_447_000_001]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["ids", "id_type", "operation", "x"]), inner, max_size=4)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        *("name", "app_id", "id_type", "ids", "owner", "published", "cg", "skip_save", "skip_invalid_ids", "existing_cohort_id"),
        *("cohort_id", "count_group", "memberships"),
    ]
)
GOOD: dict[str, Any] = {
    "name": "A",
    "app_id": 1,
    "id_type": "BY_USER_ID",
    "ids": ["user-1"],
    "owner": "o",
    "published": True,
    "cohort_id": "there",
    "memberships": [{"ids": ["user-1"], "id_type": "BY_NAME", "operation": "ADD"}],
}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Sandbox, httpx.Client]]:
    """Serve one sandbox to all examples: what one leaves behind the next one meets."""
    with Sandbox() as box, httpx.Client(verify=False, base_url=box.url, trust_env=False, auth=(box.api_key, box.secret_key)) as client:
        event = {"event_type": "a", "user_id": "user-1", "user_properties": {"a": 1}}
        assert client.post("/2/httpapi", json={"api_key": box.api_key, "events": [event]}).status_code == 200
        assert client.post("/api/3/cohorts/upload", json=GOOD).status_code == 200
        yield box, client


@SETTINGS
@given(st.sampled_from(["upload", "membership"]), st.booleans(), st.dictionaries(KEYS, VALUES, max_size=4) | VALUES)
@example("upload", True, {"cg": 5})
@example("upload", True, {"existing_cohort_id": {"x": 1}})
@example("upload", True, {"ids": ["\ud800"]})
@example("membership", True, {"count_group": ["org"]})
def test_writes_of_cohorts(served: tuple[Sandbox, httpx.Client], path: str, completed: bool, body: Any) -> None:
    """Each answer is JSON, and none is a 5xx."""
    sent = {**GOOD, **body} if completed and isinstance(body, dict) else body
    answer = served[1].post(f"/api/3/cohorts/{path}", content=json.dumps(sent))
    assert answer.status_code < 500
    assert "error" in answer.json() or answer.status_code == 200


@SETTINGS
@given(
    st.sampled_from(
        ["3/cohorts", "5/cohorts/request/{}", "5/cohorts/request-status/{}", "5/cohorts/request/{}/file", "3/cohorts/usage"]
    ),
    NAMES,
    st.dictionaries(st.sampled_from(["props", "propKeys", "includeSyncInfo"]), st.text(max_size=4) | st.sampled_from(["1", "true"])),
)
def test_reads_of_cohorts(served: tuple[Sandbox, httpx.Client], path: str, name: str, parameters: dict[str, str]) -> None:
    """No id and no parameter is a 5xx."""
    address = f"/api/{path.format(quote(name, safe=''))}"
    assert served[1].get(address, params=parameters).status_code < 500
    assert served[1].get(f"/storage/cohorts/{quote(name, safe='')}.csv", params=parameters).status_code in {400, 403, 404}


@SETTINGS
@given(
    st.dictionaries(
        st.sampled_from(
            [
                *("user_id", "device_id", "get_recs", "rec_id", "rec_type", "get_amp_props", "get_cohort_ids", "get_computations"),
                *("comp_id", "get_propensity", "prediction_id", "propensity_type"),
            ]
        ),
        st.text(max_size=6) | st.sampled_from(["user-1", "true", "a,b", ",", "pct"]),
    )
)
def test_profiles(served: tuple[Sandbox, httpx.Client], parameters: dict[str, str]) -> None:
    """Each answer is a profile or an error in words."""
    box, client = served
    answer = client.get("/v1/userprofile", params=parameters, headers={"Authorization": f"Api-Key {box.secret_key}"}, auth=None)
    assert answer.status_code in {200, 400}
    assert set(answer.json()) == {"userData" if answer.status_code == 200 else "error"}


@SETTINGS
@given(
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
    st.none() | NAMES,
    st.dictionaries(
        st.sampled_from(["name", "key", "property", "file", "other"]),
        st.binary(max_size=12)
        | st.sampled_from([b"there", b"SKU", b'{"value":"a","type":"event"}', b"SKU,B\na,b\n", b"--b--", b"\r\n--b"]),
    ),
    st.sampled_from(["multipart/form-data; boundary=b", 'multipart/form-data; boundary="b"', "multipart/form-data", "text/csv", ""]),
    st.booleans(),
)
def test_tables(
    served: tuple[Sandbox, httpx.Client], method: str, name: str | None, parts: dict[str, bytes], kind: str, is_file: bool
) -> None:
    """Each answer is a table, a list, a file, or an error in this API's shape, and none is a 5xx."""
    pieces = [
        b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        % (part.encode(), b'; filename="f.csv"' if is_file and part in {"file", "other"} else b"", content)
        for part, content in parts.items()
    ]
    path = "" if name is None else f"/{quote(name, safe='')}"
    answer = served[1].request(
        method, f"/api/3/lookup_table{path}", content=b"".join(pieces) + b"--b--\r\n", headers={"Content-Type": kind}
    )
    assert answer.status_code < 500
    if answer.status_code in {400, 409, 413} and "%2F" not in path:
        assert set(answer.json()) == {"statusCode", "message", "errorCode", "extraParams"}
