"""Schemathesis against the sandbox, by the sandbox's own description: no failure of the server, and no answer that is not described.

It has a dozen dependencies of its own, so it is installed by the nox session ``vendors`` alone.
"""

from __future__ import annotations

import base64
import importlib.util
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from amplitude_async.sandbox import Limits, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

HAS_SCHEMATHESIS = importlib.util.find_spec("schemathesis") is not None
pytestmark = pytest.mark.skipif(not HAS_SCHEMATHESIS, reason="schemathesis is not installed: nox -s vendors")

EXAMPLES = 3
"""For each operation; their seed is fixed."""
SEED = 20_260_501
OTHERWISE = {"/sandbox/events", "/sandbox/down", "/sandbox/faults", "/sandbox/throttle", "/sandbox/silence", "/sandbox/seed"}
"""What never ends, goes away, or makes the others fail as it should; ``tests/sandbox/test_control.py`` has them."""
DAYS = {"20260501": "%Y%m%d", "20260531": "%Y%m%d", "20260501T00": "%Y%m%dT00", "20260501T23": "%Y%m%dT23"}


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def credentials(box: Sandbox) -> dict[str, str]:
    """Return the Authorization header of each kind of credential."""
    keys = box.credentials
    return {
        "project": basic(keys["api_key"], keys["secret_key"]),
        "organisation": basic(keys["org_api_key"], keys["org_secret_key"]),
        "secret": f"Api-Key {keys['secret_key']}",
        "deployment": f"Api-Key {keys['deployment_key']}",
        "management": f"Bearer {keys['management_key']}",
        "scim": f"Bearer {keys['scim_token']}",
        "token": f"Bearer {box.token}",
    }


def furnish(box: Sandbox, http: httpx.Client) -> dict[str, list[str]]:
    """Put one of everything into the sandbox, and return what names it, by the path up to that name."""
    box.seed(users=12, days=3)
    event = {"event_type": "signup", "device_id": "device-12345", "session_id": 1_777_636_800_000, "idfa": "an-idfa"}
    events = [{**event, "user_id": user_id, "groups": {"company": "Acme"}} for user_id in ("user-12345", "user-67890")]
    http.post("/2/httpapi", json={"api_key": box.api_key, "events": events}).raise_for_status()
    doors = credentials(box)

    def sent(method: str, path: str, door: str, **body: Any) -> Any:
        answer = http.request(method, path, headers={"authorization": doors[door]}, **body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    project = {"projectId": str(box.project_id)}
    user = sent("GET", "/api/2/usersearch?user=user-12345", "project")["matches"][0]
    flag, experiment = (
        sent("POST", f"/api/1/{kind}", "management", json={**project, "key": f"a-{kind}"})["id"] for kind in ("flags", "experiments")
    )
    mutex = sent("POST", "/api/1/mutexes", "management", json={**project, "name": "m", "slots": [{"percentage": 100}]})["id"]
    holdout = sent("POST", "/api/1/holdouts", "management", json={**project, "name": "h", "holdoutPercentage": 5})["id"]
    deployment = sent("POST", "/api/1/deployments", "management", json={**project, "label": "d", "type": "server"})["id"]
    cohort = {"name": "c", "app_id": box.project_id, "id_type": "BY_USER_ID", "ids": ["user-12345"], "owner": "o@example.org"}
    cohort_id = sent("POST", "/api/3/cohorts/upload", "project", json={**cohort, "published": True})["cohortId"]
    request = sent("GET", f"/api/5/cohorts/request/{cohort_id}", "project")["request_id"]
    note = sent("POST", "/api/3/annotations", "project", json={"label": "l", "start": "2026-02-01T07:00Z"})["data"]["id"]
    category = sent("POST", "/api/3/annotation-categories", "project", json={"category": "n"})["data"]["id"]
    sent("POST", "/api/2/taxonomy/category", "project", data={"category_name": "c"})
    sent("POST", "/api/2/taxonomy/event", "project", data={"event_type": "signup"})
    group = sent("POST", "/scim/1/Groups", "scim", json={"displayName": "g", "members": [{"value": "kari@example.org"}]})["id"]
    day = time.strftime("%Y-%m-%d", time.gmtime())
    subject = {"userId": "user-12345", "startDate": "2020-01-01", "endDate": day}
    dsar = sent("POST", "/api/2/dsar/requests", "organisation", json=subject)["requestId"]
    scheduled = sent("POST", "/api/2/deletions/users", "project", json={"user_ids": ["user-67890"]})[0]
    parts = {"name": "t", "key": "sku", "property": '{"value":"product","type":"event"}'}
    sent("POST", "/api/3/lookup_table/", "project", data=parts, files={"file": ("t.csv", b"sku,brand\r\na,Acme\r\n", "text/csv")})
    box.save_chart("a-chart", "users")
    of_plan = "/api/2/taxonomy/"
    return {
        "/api/1/flags/": [flag],
        "/api/1/experiments/": [experiment],
        "/api/1/flags/{id}/variants/": ["on"],
        "/api/1/experiments/{id}/variants/": ["control"],
        "/api/1/flags/{id}/versions/": ["1"],
        "/api/1/experiments/{id}/versions/": ["1"],
        "/api/1/mutexes/": [str(mutex)],
        "/api/1/mutexes/{id}/slots/": ["1"],
        "/api/1/holdouts/": [str(holdout)],
        "/api/1/deployments/": [deployment],
        "/api/5/cohorts/request/": [cohort_id, request],
        "/api/5/cohorts/request-status/": [request],
        "/api/3/annotations/": [str(note)],
        "/api/3/annotation-categories/": [str(category)],
        "/api/3/annotation-categories/bulk/": [str(category)],
        "/api/3/lookup_table/": ["t"],
        "/api/3/chart/": ["a-chart"],
        "/api/2/dsar/requests/": [str(dsar)],
        "/api/2/dsar/requests/{number}/outputs/": ["0"],
        "/api/2/deletions/users/": [str(scheduled["amplitude_ids"][0]["amplitude_id"])],
        "/api/2/deletions/users/{amplitude_id}/": [scheduled["day"]],
        f"{of_plan}category/": ["c", "41001"],
        f"{of_plan}event/": ["signup", "purchase"],
        f"{of_plan}event-property/": ["product"],
        f"{of_plan}user-property/": ["gp:source"],
        "/scim/1/Users/": ["kari@example.org"],
        "/scim/1/Groups/": [str(group)],
        "1610447000001": [str(user["amplitude_id"])],
    }


def aimed(schema: Any, today: float, known: dict[str, list[str]]) -> Any:
    """Return a schema whose texts are those of its examples, so that requests come further than the first check.

    What goes against a schema is other text all the same, and ``tests/apis`` has what goes against a meaning.
    """
    if isinstance(schema, list):
        return [aimed(each, today, known) for each in schema]
    if not isinstance(schema, dict):
        return schema
    examples = schema.get("examples")
    if not isinstance(examples, list):
        return {name: aimed(each, today, known) for name, each in schema.items()}
    if examples == ["sandbox"]:
        return {"const": "sandbox"}
    day = time.gmtime(today)
    hits = [time.strftime(DAYS[each], day) if each in DAYS else each for each in examples]
    return {"enum": [each for hit in hits for each in known.get(hit, [hit])]}


def served(box: Sandbox, http: httpx.Client) -> dict[str, Any]:
    """Return the sandbox's description of itself, aimed at what is in it."""
    known = furnish(box, http)
    described = aimed(http.get("/sandbox/openapi.json").json(), time.time(), known)
    for path in OTHERWISE:
        del described["paths"][path]
    for path, methods in described["paths"].items():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                before = path.partition(f"{{{parameter['name']}}}")[0]
                if parameter["in"] == "path" and before in known:
                    parameter["schema"] = {"enum": known[before]}
    assert isinstance(described, dict)
    return described


@pytest.fixture(params=[False, True], ids=["usual", "strict"])
def box(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Run a sandbox, or a strict one without the limits of what is too much, which would soon answer everything."""
    with Sandbox(strict=request.param, limits=Limits()) as running:
        yield running


def asked(operation: Any, url: str, headers: dict[str, str]) -> Iterator[tuple[int, str | None]]:
    """Ask an operation by its description, and against it; yield the status of each answer, and what is wrong with it."""
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    described = operation.definition.raw
    modes = [GenerationMode.POSITIVE]
    if described["parameters"] or "requestBody" in described:  # else there is nothing that could be wrong
        modes.append(GenerationMode.NEGATIVE)
    found: list[tuple[int, str | None]] = []

    def ask(case: Any) -> None:
        answer = case.call(base_url=url, headers=headers)
        wrong = None
        try:
            case.validate_response(answer, checks=checks)
        except BaseException as failure:  # a group of failures, which are collected to be shown together
            wrong = f"{operation.label}: {str(failure)[:600]}"
        found.append((answer.status_code, wrong))

    limits = settings(
        max_examples=EXAMPLES, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    for mode in modes:
        seed(SEED)(limits(given(case=operation.as_strategy(generation_mode=mode))(ask)))()
    yield from found


@pytest.mark.timeout(400)
def test_nothing_that_its_description_allows_breaks_it(box: Sandbox) -> None:
    """Requests by the description and against it are answered as described: by status, content type and schema, and never by a 5xx."""
    import schemathesis

    with httpx.Client(base_url=box.url, trust_env=False) as http:
        described = served(box, http)
    doors = credentials(box)
    statuses: dict[str, set[int]] = {}
    failures: list[str] = []
    operations = [result.ok() for result in schemathesis.openapi.from_dict(described).get_all_operations()]
    # What deletes comes last, or the others would find nothing.
    for operation in sorted(operations, key=lambda each: each.method.upper() == "DELETE"):
        needed = operation.definition.raw["security"]
        headers = {"authorization": doors[next(iter(needed[0]))]} if needed else {}
        for status, wrong in asked(operation, box.url, headers):
            statuses.setdefault(operation.label, set()).add(status)
            failures += [] if wrong is None else [wrong]
    assert failures == []
    assert len(statuses) == sum(len(methods) for methods in described["paths"].values())
