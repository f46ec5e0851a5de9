"""Whatever is sent to the sandbox's flags, experiments and their evaluation: an answer of the API, never a fault of the sandbox."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = settings(max_examples=60, deadline=None)
IDS = st.sampled_from(["60001", "60002", "60003", "60004", "1", "0", "-1", "x", "%2e%2e", "a%2Fb", "%00", "999999999999999999999"])
KEYS = st.sampled_from(["on", "control", "treatment", "x", "%00", "é"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(
        ["on", "control", "60001", "gp:tier", "is", "glob match", "property", "2026-05-01", "local", "all", 100, 1, "\ud800", "["]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=5)
            | st.sampled_from(
                [
                    "key",
                    "name",
                    "percentage",
                    "conditions",
                    "rolloutWeights",
                    "type",
                    "prop",
                    "op",
                    "values",
                    "flags",
                    "operator",
                    "filters",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        *("projectId", "key", "name", "description", "variants", "bucketingKey", "rolloutWeights", "targetSegments", "deployments"),
        *("evaluationMode", "experimentType", "bucketingSalt", "bucketingUnit", "rolloutPercentage", "enabled", "archive", "tags"),
        *("stickyBucketing", "startDate", "endDate", "exposureEvent", "decision", "decisionReason", "rolledOutVariant"),
        *("parentDependencies", "payload", "rolloutWeight", "inclusions", "users", "slots", "experiments", "holdouts", "individuals"),
        *("holdoutPercentage", "individualInclusion", "individualExclusion", "label", "type"),
    ]
)
SEGMENT = st.fixed_dictionaries(
    {
        "name": st.just("s"),
        "percentage": st.floats(0, 100),
        "rolloutWeights": st.dictionaries(st.sampled_from(["on", "control"]), st.integers(0, 3), max_size=2),
        "conditions": st.lists(
            st.fixed_dictionaries(
                {
                    "type": st.just("property"),
                    "prop": st.sampled_from(["country", "gp:tier", "gp:", "user_properties", "amplitude_id"]),
                    "op": st.sampled_from(["is", "less", "set is", "glob match", "glob does not match", "set contains"]),
                    "values": st.lists(st.text(min_size=1, max_size=5), max_size=2),
                }
            ),
            max_size=2,
        ),
    }
)
METHODS = st.sampled_from(["GET", "POST", "PATCH", "DELETE"])
ENDINGS = st.sampled_from(
    [
        "",
        "/{id}",
        *("/{id}/versions", "/{id}/versions/1", "/{id}/variants", "/{id}/variants/{key}", "/{id}/variants/{key}/users"),
        *("/{id}/variants/{key}/users/0", "/{id}/variants/{key}/bulk-delete-users", "/{id}/variants/{key}/cohorts"),
        *("/{id}/variants/{key}/bulk-delete-cohorts", "/{id}/deployments", "/{id}/deployments/1", "/{id}/slots/1"),
    ]
)


@pytest.fixture(scope="module")
def served() -> Iterator[httpx.Client]:
    """Serve one sandbox to all examples: what one leaves behind the next one meets."""
    with Sandbox() as box, httpx.Client(verify=False, base_url=box.url, trust_env=False) as client:
        headers = {"Authorization": "Bearer sandbox"}
        for kind, body in (
            ("flags", {"key": "f"}),
            ("experiments", {"key": "e"}),
            ("mutexes", {"name": "m", "slots": [{"percentage": 100, "experiments": ["60002"]}]}),
            ("holdouts", {"name": "h", "holdoutPercentage": 5, "experiments": ["60002"]}),
        ):
            assert client.post(f"/api/1/{kind}", json={"projectId": "1", **body}, headers=headers).status_code == 200
        for kind, ident in (("flags", "60001"), ("experiments", "60002")):
            edit = {"enabled": True, "rolloutPercentage": 100}
            assert client.patch(f"/api/1/{kind}/{ident}", json=edit, headers=headers).status_code == 200
        yield client


def evaluates(client: httpx.Client) -> None:
    """Whatever management took, evaluation can read."""
    answer = client.get("/v1/vardata", params={"user_id": "user-1"}, headers={"Authorization": "Api-Key sandbox"})
    assert answer.status_code == 200, answer.text
    answer = client.get("/v1/flags", headers={"Authorization": "Api-Key sandbox"})
    assert answer.status_code == 200, answer.text


@SETTINGS
@given(
    METHODS,
    st.sampled_from(["flags", "experiments", "mutexes", "holdouts", "deployments", "versions"]),
    ENDINGS,
    IDS,
    KEYS,
    st.dictionaries(FIELDS, VALUES, max_size=6) | VALUES,
)
def test_management(served: httpx.Client, method: str, kind: str, ending: str, ident: str, key: str, body: Any) -> None:
    """No answer is a 5xx, and what is stored can still be evaluated."""
    path = f"/api/1/{kind}{ending.format(id=ident, key=key)}"
    content = json.dumps(body).encode()
    answer = served.request(method, path, content=content, headers={"Authorization": "Bearer sandbox"})
    assert answer.status_code < 500, (method, path, body, answer.text)
    if method == "GET":
        assert answer.status_code in {200, 404, 405}
    if method != "GET" and answer.status_code == 200:
        evaluates(served)


@SETTINGS
@given(
    st.sampled_from(["flags/60001", "experiments/60002"]),
    st.fixed_dictionaries(
        {}, optional={"targetSegments": st.lists(SEGMENT, max_size=2), "bucketingUnit": st.sampled_from(["User", "company"])}
    ),
    VALUES,
)
def test_rules_that_are_taken_can_be_evaluated(served: httpx.Client, path: str, body: Any, user: Any) -> None:
    """Any segment that management takes, and any user object: an answer, or a 400."""
    served.patch(f"/api/1/{path}", json=body, headers={"Authorization": "Bearer sandbox"})
    evaluates(served)
    query = {"user_id": "user-1", "context": json.dumps({"user_properties": user, "groups": {"company": user}, "country": user})}
    answer = served.get("/v1/vardata", params=query, headers={"Authorization": "Api-Key sandbox"})
    assert answer.status_code in {200, 400}, answer.text


@SETTINGS
@given(VALUES, st.binary(max_size=12), st.sampled_from(["", "on", "f,e", ","]))
def test_evaluation(served: httpx.Client, user: Any, header: bytes, names: str) -> None:
    """Any user object and any header: an answer or a 400, in JSON."""
    headers = {"Authorization": "Api-Key sandbox"}
    answers = [
        served.get("/v1/vardata", params={"context": json.dumps(user), "user_id": "user-1", "flag_keys": names}, headers=headers),
        served.post("/sdk/v2/vardata", content=json.dumps(user).encode(), headers=headers),
        served.get("/sdk/v2/vardata", headers={**headers, "X-Amp-Exp-User": base64.b64encode(header).decode()}),
        served.get("/v1/flags", params={"flag_keys": names}, headers=headers),
    ]
    for answer in answers:
        assert answer.status_code in {200, 400}, answer.text
        answer.json()
