"""The sandbox's description of itself: every route, nothing else, and each with the credential that it asks for."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.routing import Match, Route

from amplitude_async.sandbox import Sandbox
from amplitude_async.sandbox.control import Control
from amplitude_async.sandbox.openapi import OPERATIONS, Operation, document
from amplitude_async.sandbox.server import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

CATCH_ALL = "{rest:path}"
CAUGHT = ("/scim/", "/api/2/taxonomy/")
OTHERWISE = {"/sandbox/down", "/sandbox/seed", "/sandbox/events"}
"""What goes away, takes long, or never ends; test_control has them."""


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def http(box: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=box.url, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def routes(box: Sandbox) -> list[Route]:
    desk = box._running_desk()
    application = Service(desk).application(Control(desk, box.faults, box.token).routes())
    return [route for route in application.routes if isinstance(route, Route)]


def template(path: str) -> str:
    """Write a route's path as OpenAPI does: parameters without their kind."""
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path)


def example(operation: Operation) -> str:
    """Return a path of an operation."""
    return re.sub(r"\{\w+\}", "1", operation.path)


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def credential(box: Sandbox, door: str | None) -> dict[str, str]:
    """Return the header that opens a door."""
    keys = box.credentials
    headers = {
        "project": basic(keys["api_key"], keys["secret_key"]),
        "organisation": basic(keys["org_api_key"], keys["org_secret_key"]),
        "secret": f"Api-Key {keys['secret_key']}",
        "deployment": f"Api-Key {keys['deployment_key']}",
        "management": f"Bearer {keys['management_key']}",
        "scim": f"Bearer {keys['scim_token']}",
        "token": f"Bearer {box.token}",
    }
    return {"authorization": headers[door]} if door in headers else {}


def named(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def test_every_route_is_described_and_nothing_else(routes: list[Route]) -> None:
    """Methods and paths of the routes are those of the document; behind a catch-all there is something for each path described."""
    plain = {
        (method, template(route.path))
        for route in routes
        if CATCH_ALL not in route.path
        for method in (route.methods or set()) - {"HEAD"}
    }
    prefixes = tuple(route.path.removesuffix(CATCH_ALL) for route in routes if CATCH_ALL in route.path)
    described = {(operation.method, operation.path) for operation in OPERATIONS}
    assert len(described) == len(OPERATIONS)
    assert {(method, path) for method, path in described if not path.startswith(prefixes)} == plain
    assert len(prefixes) == 2
    for prefix in prefixes:
        assert any(path.startswith(prefix) for _method, path in described)


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
def test_a_description_leads_to_its_route(routes: list[Route], operation: Operation) -> None:
    """With its parameters filled in, a described path is answered by the route of that template, and no other before it."""
    scope = {"type": "http", "method": operation.method, "path": example(operation)}
    found = next(route for route in routes if route.matches(scope)[0] is Match.FULL)
    assert CATCH_ALL in found.path or template(found.path) == operation.path


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.path.startswith(CAUGHT)], ids=named)
def test_behind_a_catch_all_each_operation_is_there(box: Sandbox, http: httpx.Client, operation: Operation) -> None:
    """What is described there is known: its list can be read, and its method is allowed."""
    headers = credential(box, operation.door)
    listed = operation.path.partition("/{")[0]
    assert http.get(listed, headers=headers).status_code == 200
    answer = http.request(operation.method, example(operation), headers=headers)
    assert answer.status_code in operation.answers
    assert answer.status_code != 405


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.path not in OTHERWISE], ids=named)
def test_the_credential_is_the_one_that_is_described(box: Sandbox, http: httpx.Client, operation: Operation) -> None:
    """Without it an operation is refused and with it it is not; where none is described none is asked for."""
    path = example(operation)
    stranger = http.request(operation.method, path)
    if operation.door is None:
        assert stranger.status_code != 401
        return
    assert stranger.status_code == (400 if operation.door == "key" else 401)
    door = operation.door
    if door == "key":
        sent = (
            {"params": {"api_key": "sandbox"}} if operation.bodies.keys() != {"application/json"} else {"json": {"api_key": "sandbox"}}
        )
        holder = http.request(operation.method, path, **sent)  # type: ignore[arg-type]  # parameters or a body
        assert "invalid_api_key" not in holder.text
        assert "api_key" not in holder.text
        return
    holder = http.request(operation.method, path, headers=credential(box, door))
    assert holder.status_code not in {401, 403}
    assert holder.status_code in operation.answers


def test_the_document_is_whole() -> None:
    """Every reference leads somewhere, every schema is used, every operation has a name of its own and an answer that is not a refusal."""
    found = document()
    text = json.dumps(found)
    references = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert references == set(found["components"]["schemas"])
    operations = [each for methods in found["paths"].values() for each in methods.values()]
    assert len({each["operationId"] for each in operations}) == len(operations) == len(OPERATIONS)
    assert all(any(status < "400" for status in each["responses"]) for each in operations)
    doors = {door for each in operations for needed in each["security"] for door in needed}
    assert doors == set(found["components"]["securitySchemes"])
    for path, methods in found["paths"].items():
        for each in methods.values():
            declared = {parameter["name"] for parameter in each["parameters"] if parameter["in"] == "path"}
            assert declared == set(re.findall(r"\{(\w+)\}", path))


def test_it_is_served_to_this_machine_alone(http: httpx.Client) -> None:
    """The document is there for whoever runs the sandbox, and for no foreign page."""
    answer = http.get("/sandbox/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == json.loads(json.dumps(document()))
    assert answer.json()["openapi"] == "3.1.0"
    assert http.get("/sandbox/openapi.json", headers={"Host": "evil.example"}).status_code == 403


def test_a_reset_leaves_every_operation_as_it_was() -> None:
    """Each operation answers after a reset as it did before: none holds on to what was there."""
    answers: list[list[tuple[str, int]]] = []
    with (
        Sandbox(token="invented-token", clock=lambda: 1_777_636_800.0) as box,
        httpx.Client(base_url=box.url, trust_env=False) as http,
    ):
        for _ in range(2):
            answers.append(
                [
                    (
                        named(operation),
                        http.request(operation.method, example(operation), headers=credential(box, operation.door)).status_code,
                    )
                    for operation in OPERATIONS
                    if operation.path not in OTHERWISE
                ]
            )
            box.reset()
    assert answers[0] == answers[1]
    assert [each for each in answers[0] if each[1] >= 500] == []
