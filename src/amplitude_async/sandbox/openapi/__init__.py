"""What the sandbox serves, as an OpenAPI 3.1 document: every operation with its parameters, body, credential and answers.

The descriptions are data, a module for each family of APIs, written in the words of :mod:`amplitude_async.sandbox.openapi.words`. A
test holds that every route is described and nothing else is. Pure.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Final

from amplitude_async import _version
from amplitude_async.sandbox.openapi import dashboard, experiment, ingestion, organisation, people, planning, schemas, steering
from amplitude_async.sandbox.openapi.words import DOCS, TEXT, Operation, Parameter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from amplitude_async.sandbox.openapi.words import Content, Schema

__all__ = ["OPERATIONS", "Operation", "document"]

OPERATIONS: Final[tuple[Operation, ...]] = tuple(
    chain.from_iterable(module.OPERATIONS for module in (ingestion, dashboard, people, planning, experiment, organisation, steering))
)
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_BASIC: Final = {"type": "http", "scheme": "basic"}
_CREDENTIALS: Final[dict[str, Schema]] = {
    "project": {**_BASIC, "description": "The project's API key as user, its secret key as password."},
    "organisation": {**_BASIC, "description": "The organisation's API key as user, its secret key as password."},
    "secret": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "`Api-Key ` and the project's secret key."},
    "deployment": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "`Api-Key ` and a deployment's key."},
    "management": {"type": "http", "scheme": "bearer", "description": "The management key."},
    "scim": {"type": "http", "scheme": "bearer", "description": "The SCIM key."},
    "token": {"type": "http", "scheme": "bearer", "description": "The sandbox's own token."},
}
_MEANINGS: Final = {
    200: "Done.",
    201: "Made.",
    202: "Taken; it is not done yet.",
    204: "Done; there is nothing to say.",
    302: "It is there.",
    400: "Something is wrong with the request.",
    401: "No credential, or none of the right kind.",
    403: "The credential is wrong, or not good for this.",
    404: "There is no such thing.",
    405: "This cannot be changed here.",
    409: "It contradicts what is there.",
    410: "It is gone.",
    413: "The request is too large.",
    414: "The address is too long.",
    429: "Too many requests, or too dear ones; in a sandbox with limits.",
    500: "Amplitude answers so, too, when the time is too long ago.",
}


def document() -> Schema:
    """Return the whole document."""
    paths: dict[str, Schema] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _written(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Amplitude, as the sandbox of amplitude_async has it",
            "version": _version.__version__,
            "description": "A stand-in for Amplitude's server-side APIs, for tests and demos. This is not Amplitude.",
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(operation.api for operation in OPERATIONS)],
        "paths": paths,
        "components": {"schemas": schemas.ALL, "securitySchemes": _CREDENTIALS},
    }


def _written(operation: Operation) -> Schema:
    described: Schema = {
        "operationId": _identifier(operation),
        "tags": [operation.api],
        "summary": operation.about,
        "parameters": [parameter.written() for parameter in _parameters(operation)],
        "responses": {str(status): _answer(status, answer) for status, answer in sorted(operation.answers.items())},
        "security": [] if operation.door in {None, "key"} else [{str(operation.door): []}],
    }
    if operation.bodies:
        content = {kind: {"schema": schema} for kind, schema in operation.bodies.items()}
        described["requestBody"] = {"required": operation.is_body_needed, "content": content}
    if operation.page:
        described["externalDocs"] = {"url": DOCS + operation.page}
    return described


def _answer(status: int, answer: Content | list[Content] | None) -> Schema:
    several = answer if isinstance(answer, list) else [] if answer is None else [answer]
    content = {kind: {"schema": schema} for kind, schema in several}
    return {"description": _MEANINGS[status], **({"content": content} if content else {})}


def _parameters(operation: Operation) -> Iterator[Parameter]:
    for name in _PARAMETER.findall(operation.path):
        yield Parameter(name=name, schema=operation.segments.get(name, TEXT), place="path")
    yield from operation.parameters


def _identifier(operation: Operation) -> str:
    """Return a name that programs may give the operation: its method and path."""
    tail = "slash" if operation.path.endswith("/") else ""
    words = re.findall(r"[A-Za-z0-9]+", operation.path)
    return "_".join(filter(None, [operation.method.lower(), *words, tail]))
