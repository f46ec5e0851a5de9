"""Experiment: who gets which variant, and the management of flags, experiments and groups."""

from __future__ import annotations

from typing import Final

from amplitude_async.sandbox.openapi.words import (
    ANYTHING,
    FLAG,
    IDENTITY,
    JSON,
    OBJECT,
    PLAIN,
    TEXT,
    WHOLE,
    Answers,
    Operation,
    Parameter,
    Schema,
    among,
    like,
    many,
    mapped,
    may,
    or_null,
    record,
    ref,
    whole,
)

_REFUSAL: Final = (JSON, ref("ExperimentRefusal"))
_PAGES: Final = "experiment/experiment-"

# Evaluation

_RECORDED: Final = Parameter(name="X-Amp-Exp-Track", place="header", schema=among("track", "no-track"))
_OF_SDKS: Final = (
    _RECORDED,
    Parameter(name="X-Amp-Exp-Exposure-Track", place="header", schema=among("track", "no-track")),
    Parameter(name="X-Amp-Exp-Flag-Keys", place="header", schema=like("WyJhLWZsYWciXQ"), about="A JSON list, as base64."),
)
_KEYS: Final = may("flag_keys", like("a-flag,another"), about="With commas between.")


def _evaluated(method: str, path: str, about: str, answer: Schema, *parameters: Parameter, body: Schema | None = None) -> Operation:
    taken: Answers = {} if body is None else {413: (JSON, ref("UploadRefusal"))}
    return Operation(
        api="Experiment evaluation",
        method=method,
        path=path,
        about=about,
        door="deployment",
        parameters=parameters,
        bodies={} if body is None else {JSON: body},
        is_body_needed=False,
        answers={**dict.fromkeys((400, 401), _REFUSAL), **taken, 200: (JSON, answer)},
        page=f"{_PAGES}evaluation-api",
    )


_EVALUATION: Final = (
    _evaluated(
        "GET",
        "/v1/vardata",
        "Say which variants a user gets",
        mapped(record({"key": TEXT}, {"payload": ANYTHING, "expKey": TEXT, "evaluationId": TEXT})),
        may("user_id", like("user-12345")),
        may("device_id"),
        _KEYS,
        may("flag_key"),
        may("context", ref("ExperimentUser"), is_json=True),
        _RECORDED,
    ),
    _evaluated("GET", "/v1/flags", "Give the rules of what is evaluated locally", many(ref("FlagConfig")), _KEYS),
    _evaluated(
        "POST",
        "/sdk/v2/vardata",
        "Say which variants a user gets; what Amplitude's SDKs ask",
        mapped(record({"key": TEXT})),
        *_OF_SDKS,
        body=ref("ExperimentUser"),
    ),
    _evaluated(
        "GET",
        "/sdk/v2/vardata",
        "Say which variants a user gets; what Amplitude's SDKs ask",
        mapped(record({"key": TEXT})),
        *_OF_SDKS,
        Parameter(name="X-Amp-Exp-User", place="header", schema=like("eyJ1c2VyX2lkIjoidXNlci0xMjM0NSJ9"), about="A user, as base64."),
    ),
    _evaluated("GET", "/sdk/v2/flags", "Give the rules of what is evaluated locally", many(ref("FlagConfig")), _KEYS),
)

# Management

_OK: Final = (PLAIN, {"const": "OK"})
_PAGE: Final = (may("limit", whole(1, 1000)), may("cursor", whole(0)))
_NEXT: Final[dict[str, Schema]] = {"nextCursor": or_null(WHOLE)}


def _managed(
    method: str, path: str, about: str, answer: tuple[str, Schema], *parameters: Parameter, body: Schema | None = None, page: str = ""
) -> Operation:
    refused: Answers = dict.fromkeys((400, 401, 403, 404, 405, 429), _REFUSAL)
    taken: Answers = {} if body is None else {413: (JSON, ref("UploadRefusal"))}
    return Operation(
        api="Experiment management",
        method=method,
        path=f"/api/1{path}",
        about=about,
        door="management",
        parameters=parameters,
        bodies={} if body is None else {JSON: body},
        answers={**refused, **taken, 200: answer},
        page=f"{_PAGES}management-api{page}",
    )


_VARIANT: Final[dict[str, Schema]] = {
    "key": like("treatment"),
    "name": TEXT,
    "description": TEXT,
    "payload": ANYTHING,
    "rolloutWeight": whole(0),
}
_COMMON: Final[dict[str, Schema]] = {
    "name": TEXT,
    "description": TEXT,
    "bucketingKey": like("amplitude_id"),
    "evaluationMode": among("remote", "local"),
    "rolloutWeights": mapped(whole(0)),
    "targetSegments": many(ref("TargetSegment")),
    "parentDependencies": or_null(record({"flags": mapped(many(TEXT))}, {"operator": among("all", "any")})),
}
_EDITS: Final[dict[str, Schema]] = {
    **_COMMON,
    "bucketingSalt": TEXT,
    "bucketingUnit": TEXT,
    "rolloutPercentage": {"type": "number", "minimum": 0, "maximum": 100},
    "enabled": FLAG,
    "archive": FLAG,
    "tags": many(TEXT),
}
_EXPERIMENT_EDITS: Final[dict[str, Schema]] = {
    "experimentType": among("a-b-test", "multi-arm-bandit"),
    "stickyBucketing": FLAG,
    "startDate": or_null(like("2026-02-01")),
    "endDate": or_null(like("2026-03-01")),
    "exposureEvent": or_null(OBJECT),
    "decision": among("rollout", "rollback", "continue-running"),
    "decisionReason": TEXT,
    "rolledOutVariant": or_null(TEXT),
}
_PROJECT: Final[dict[str, Schema]] = {"projectId": IDENTITY}
_INCLUSIONS: Final = record({"inclusions": many(IDENTITY)})
_REMOVED: Final = record({"users": many(IDENTITY, maxItems=100)})


def _configured(kind: str) -> list[Operation]:
    """Describe the operations on flags, or on experiments."""
    one, page = f"/{kind}/{{id}}", f"-{kind}"
    variant = f"{one}/variants/{{key}}"
    word = kind.removesuffix("s")
    is_experiment = kind == "experiments"
    made = {**_COMMON, "variants": many(record({"key": TEXT}, _VARIANT), minItems=1), "deployments": many(IDENTITY)}
    edits = {**_EDITS, **(_EXPERIMENT_EDITS if is_experiment else {})}
    filters = (may("key"), may("projectId"), may("includeArchived", FLAG))
    listed = (JSON, record({kind: many(OBJECT), **_NEXT}))

    def managed(
        method: str, path: str, about: str, answer: tuple[str, Schema], *parameters: Parameter, body: Schema | None = None
    ) -> Operation:
        return _managed(method, path, about, answer, *parameters, body=body, page=page)

    edited_variant = record({}, _VARIANT)
    return [
        managed("GET", f"/{kind}", f"List {kind}", listed, *_PAGE, *filters),
        managed(
            "POST", f"/{kind}", f"Make a {word}", (JSON, ref("Made")), body=record({**_PROJECT, "key": like("checkout-v2")}, made)
        ),
        managed("GET", one, f"Show a {word}", (JSON, ref("Flag"))),
        managed("PATCH", one, f"Change a {word}", _OK, body=record({}, edits)),
        managed("GET", f"{one}/versions", "List versions, the newest first", (JSON, many(ref("Version")))),
        managed("GET", f"{one}/versions/{{version}}", "Show a version", (JSON, ref("Version"))),
        managed("GET", f"{one}/variants", "List variants", (JSON, many(ref("Variant")))),
        managed("POST", f"{one}/variants", "Add a variant", _OK, body=record({"key": _VARIANT["key"]}, _VARIANT)),
        managed("GET", variant, "Show a variant", (JSON, ref("Variant"))),
        managed("PATCH", variant, "Change a variant", _OK, body=edited_variant),
        managed("POST", variant, "Change a variant, as a heading of Amplitude's page has it", _OK, body=edited_variant),
        managed("DELETE", variant, "Remove a variant", _OK),
        managed("GET", f"{variant}/users", "List who always gets a variant", (JSON, many(TEXT))),
        managed("POST", f"{variant}/users", "Have some always get a variant", _OK, body=_INCLUSIONS),
        managed("DELETE", f"{variant}/users", "Take everybody off that list", _OK),
        managed("DELETE", f"{variant}/users/{{index}}", "Take the one at a place off that list", _OK),
        managed("DELETE", f"{variant}/bulk-delete-users", "Take some off that list", _OK, body=_REMOVED),
        managed("GET", f"{variant}/cohorts", "List the cohorts that always get a variant", (JSON, many(TEXT))),
        managed("POST", f"{variant}/cohorts", "Have cohorts always get a variant", _OK, body=_INCLUSIONS),
        managed("DELETE", f"{variant}/bulk-delete-cohorts", "Take cohorts off that list", _OK, body=_REMOVED),
        managed("GET", f"{one}/deployments", "List the deployments that serve it", (JSON, many(ref("Deployment")))),
        managed("POST", f"{one}/deployments", "Have it served by deployments", _OK, body=record({"deployments": many(IDENTITY)})),
        managed("DELETE", f"{one}/deployments/{{deployment}}", "Have it served no more by a deployment", _OK),
    ]


_SLOT: Final[dict[str, Schema]] = {"experiments": many(IDENTITY), "holdouts": many(IDENTITY), "individuals": many(TEXT)}
_GROUP: Final[dict[str, Schema]] = {
    "key": TEXT,
    "description": TEXT,
    "evaluationMode": among("remote", "local"),
    "bucketingKey": TEXT,
    "bucketingSalt": TEXT,
}
_EDITED: Final[dict[str, Schema]] = {"name": TEXT, "description": TEXT, "archive": FLAG}
_MUTEX: Final = record(
    {**_PROJECT, "name": like("Checkout tests"), "slots": many(record({"percentage": whole(1, 100)}, _SLOT), minItems=1, maxItems=20)},
    _GROUP,
)
_IN_HOLDOUTS: Final[dict[str, Schema]] = {
    "experiments": many(IDENTITY),
    "individualInclusion": many(TEXT),
    "individualExclusion": many(TEXT),
}
_HOLDOUT: Final = record({**_PROJECT, "name": like("Q1 holdout"), "holdoutPercentage": whole(1, 99)}, {**_GROUP, **_IN_HOLDOUTS})


def _grouped(kind: str, word: str, made: Schema, edited: Schema, page: str) -> list[Operation]:
    one = f"/{kind}/{{id}}"
    listed = (JSON, record({kind: many(OBJECT), **_NEXT}))
    shown = (JSON, record({"id": WHOLE, "key": TEXT, "name": TEXT}))
    return [
        _managed("GET", f"/{kind}", f"List {word}s", listed, *_PAGE, page=page),
        _managed("POST", f"/{kind}", f"Make a {word}", (JSON, ref("Made")), body=made, page=page),
        _managed("GET", one, f"Show a {word}", shown, page=page),
        _managed("PATCH", one, f"Change a {word}", _OK, body=edited, page=page),
    ]


_DEPLOYMENT: Final[dict[str, Schema]] = {"label": like("backend"), "archive": FLAG}
_OTHERS: Final = (
    _managed("PATCH", "/mutexes/{id}/slots/{index}", "Change what is in a slot", _OK, body=record({}, _SLOT), page="-mutexs"),
    _managed("GET", "/deployments", "List deployments", (JSON, record({"deployments": many(ref("Deployment"))})), *_PAGE),
    _managed(
        "POST",
        "/deployments",
        "Make a deployment",
        (JSON, record({"id": TEXT})),
        body=record({**_PROJECT, "label": like("backend"), "type": among("client", "server")}),
    ),
    _managed("PATCH", "/deployments/{id}", "Change a deployment", _OK, body=record({}, _DEPLOYMENT)),
    _managed(
        "GET",
        "/versions",
        "List the versions of everything, the newest first",
        (JSON, record({"versions": many(ref("Version")), **_NEXT})),
        may("start", like("2026-01-01T00:00:00Z")),
        may("end", like("2026-02-01T00:00:00Z")),
        *_PAGE,
    ),
)

OPERATIONS: Final[tuple[Operation, ...]] = (
    *_EVALUATION,
    *_configured("flags"),
    *_configured("experiments"),
    *_grouped("mutexes", "mutual exclusion group", _MUTEX, record({}, _EDITED), "-mutexs"),
    *_grouped("holdouts", "holdout group", _HOLDOUT, record({}, {**_EDITED, **_IN_HOLDOUTS}), "-holdouts"),
    *_OTHERS,
)
