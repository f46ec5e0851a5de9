"""Amplitude Experiment. Pages: https://amplitude.com/docs/apis/experiment/experiment-evaluation-api and .../experiment-management-api."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .table import Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from .table import Auth, Encoding

EVALUATION = ("api.lab.amplitude.com", "api.lab.eu.amplitude.com")
MANAGEMENT = ("experiment.amplitude.com", "experiment.eu.amplitude.com")
FLAGS = ("flag.lab.amplitude.com", "flag.lab.eu.amplitude.com")
STREAM = ("stream.lab.amplitude.com", None)
COHORTS = ("cohort-v2.lab.amplitude.com", None)
OLD = ("management-api.experiment.amplitude.com", "management-api.experiment.eu.amplitude.com")

OBJECT = (200, "application/json", b'{"id": "60231", "url": "http://example.org"}')
LIST = (200, "application/json", b"[]")
OK = (200, "text/html", b"OK")

SEGMENT: dict[str, Any] = {
    "name": "Nordics",
    "percentage": 50,
    "rolloutWeights": {"on": 1},
    "conditions": [{"type": "property", "prop": "gp:tier", "op": "is", "values": ["gold"]}],
}


def row(
    name: str,
    method: str,
    path: str,
    call: Callable[[Any], Any],
    *,
    answer: tuple[int, str, bytes],
    query: list[tuple[str, str]] | None = None,
    body: Any = None,
) -> Row:
    encoding: Encoding = "json" if body is not None else "query" if query else "none"
    return Row(
        name=f"Experiment management: {name}",
        method=method,
        path=f"/api/1/{path}",
        hosts=MANAGEMENT,
        auth="Bearer management",
        encoding=encoding,
        call=call,
        query=query or [],
        body=body,
        answer=answer,
    )


async def first(pages: Any) -> object:
    return await anext(pages, None)


def both(kind: str, create: dict[str, Any], created: dict[str, Any], edit: dict[str, Any], edited: dict[str, Any]) -> list[Row]:
    """Return the rows that flags and experiments have alike."""
    one = f"{kind}/60231"
    variant = f"{one}/variants/treatment"
    listed = (200, "application/json", b'{"' + kind.encode() + b'": [], "nextCursor": null}')

    def of(use: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda amplitude: use(getattr(amplitude.experiment, kind))

    return [
        row(
            f"{kind}: list",
            "GET",
            kind,
            of(lambda r: first(r.list(key="checkout-v2", project_id=510042, include_archived=False, limit=1000, cursor=20))),
            query=[
                ("key", "checkout-v2"),
                ("projectId", "510042"),
                ("includeArchived", "false"),
                ("limit", "1000"),
                ("cursor", "20"),
            ],
            answer=listed,
        ),
        row(f"{kind}: get", "GET", one, of(lambda r: r.get(60231)), answer=OBJECT),
        row(f"{kind}: create", "POST", kind, of(lambda r: r.create(**create)), body=created, answer=OBJECT),
        row(f"{kind}: edit", "PATCH", one, of(lambda r: r.update("60231", **edit)), body=edited, answer=OK),
        row(f"{kind}: list versions", "GET", f"{one}/versions", of(lambda r: r.versions(60231)), answer=LIST),
        row(f"{kind}: get version", "GET", f"{one}/versions/3", of(lambda r: r.version(60231, 3)), answer=OBJECT),
        row(f"{kind}: list variants", "GET", f"{one}/variants", of(lambda r: r.variants(60231)), answer=LIST),
        row(f"{kind}: get variant", "GET", variant, of(lambda r: r.variant(60231, "treatment")), answer=OBJECT),
        row(
            f"{kind}: create variant",
            "POST",
            f"{one}/variants",
            of(
                lambda r: r.create_variant(
                    60231, key="treatment", name="T", description="d", payload={"color": "teal"}, rollout_weight=1
                )
            ),
            body={"key": "treatment", "name": "T", "description": "d", "payload": {"color": "teal"}, "rolloutWeight": 1},
            answer=OK,
        ),
        row(
            f"{kind}: edit variant",
            "PATCH",
            variant,
            of(lambda r: r.update_variant(60231, "treatment", key="on", rollout_weight=0)),
            body={"key": "on", "rolloutWeight": 0},
            answer=OK,
        ),
        row(f"{kind}: remove variant", "DELETE", variant, of(lambda r: r.delete_variant(60231, "treatment")), answer=OK),
        row(f"{kind}: list inclusions", "GET", f"{variant}/users", of(lambda r: r.inclusions(60231, "treatment")), answer=LIST),
        row(
            f"{kind}: add inclusions",
            "POST",
            f"{variant}/users",
            of(lambda r: r.add_inclusions(60231, "treatment", ["id1", "id2"])),
            body={"inclusions": ["id1", "id2"]},
            answer=OK,
        ),
        row(
            f"{kind}: remove one inclusion",
            "DELETE",
            f"{variant}/users/4",
            of(lambda r: r.remove_inclusions_at(60231, "treatment", 4)),
            answer=OK,
        ),
        row(
            f"{kind}: remove all inclusions",
            "DELETE",
            f"{variant}/users",
            of(lambda r: r.clear_inclusions(60231, "treatment")),
            answer=OK,
        ),
        row(
            f"{kind}: remove inclusions in bulk",
            "DELETE",
            f"{variant}/bulk-delete-users",
            of(lambda r: r.remove_inclusions(60231, "treatment", ["id1"])),
            body={"users": ["id1"]},
            answer=OK,
        ),
        row(
            f"{kind}: list cohort inclusions",
            "GET",
            f"{variant}/cohorts",
            of(lambda r: r.cohort_inclusions(60231, "treatment")),
            answer=LIST,
        ),
        row(
            f"{kind}: add cohort inclusions",
            "POST",
            f"{variant}/cohorts",
            of(lambda r: r.add_cohort_inclusions(60231, "treatment", ["cohortId"])),
            body={"inclusions": ["cohortId"]},
            answer=OK,
        ),
        row(
            f"{kind}: remove cohort inclusions in bulk",
            "DELETE",
            f"{variant}/bulk-delete-cohorts",
            of(lambda r: r.remove_cohort_inclusions(60231, "treatment", ["cohortId"])),
            body={"users": ["cohortId"]},
            answer=OK,
        ),
        row(f"{kind}: list deployments", "GET", f"{one}/deployments", of(lambda r: r.deployments(60231)), answer=LIST),
        row(
            f"{kind}: add deployments",
            "POST",
            f"{one}/deployments",
            of(lambda r: r.add_deployments(60231, ["4410"])),
            body={"deployments": ["4410"]},
            answer=OK,
        ),
        row(
            f"{kind}: remove deployment",
            "DELETE",
            f"{one}/deployments/4410",
            of(lambda r: r.remove_deployment(60231, 4410)),
            answer=OK,
        ),
    ]


def left_out(
    name: str,
    method: str,
    path: str,
    hosts: tuple[str, str | None],
    why: str,
    *,
    auth: Auth = "Bearer management",
    encoding: Encoding = "none",
) -> Row:
    return Row(name=f"Experiment {name}", method=method, path=path, hosts=hosts, auth=auth, encoding=encoding, why=why)


BETA = "the old beta, which Amplitude advises against; the management API has it all"
SDK = "a transport of Amplitude's own SDKs and no API of the docs; the sandbox answers it, so that those SDKs can be tried there"
SDK_ONLY = "a transport of Amplitude's own SDKs and no API of the docs"

EDIT = {
    "name": "n",
    "enabled": True,
    "archive": False,
    "bucketing_key": "user_id",
    "bucketing_salt": "s",
    "bucketing_unit": "User",
    "evaluation_mode": "local",
    "rollout_percentage": 20,
    "target_segments": [SEGMENT],
    "tags": ["t"],
}
EDITED = {
    "name": "n",
    "enabled": True,
    "archive": False,
    "bucketingKey": "user_id",
    "bucketingSalt": "s",
    "bucketingUnit": "User",
    "evaluationMode": "local",
    "rolloutPercentage": 20,
    "targetSegments": [SEGMENT],
    "tags": ["t"],
}

ROWS = [
    Row(
        name="Experiment evaluation: variants",
        method="GET",
        path="/v1/vardata",
        hosts=EVALUATION,
        auth="Api-Key deployment",
        encoding="query",
        call=lambda amplitude: amplitude.experiment.variants(
            "user-12345", "device-1", flag_keys=["checkout-v2", "other"], user_properties={"plan": "pro"}, track=False
        ),
        query=[
            ("user_id", "user-12345"),
            ("device_id", "device-1"),
            ("flag_keys", "checkout-v2,other"),
            ("context", '{"user_properties":{"plan":"pro"}}'),
        ],
        headers={"x-amp-exp-track": "no-track"},
    ),
    Row(
        name="Experiment evaluation: flag configurations",
        method="GET",
        path="/v1/flags",
        hosts=EVALUATION,
        auth="Api-Key deployment",
        encoding="query",
        call=lambda amplitude: amplitude.experiment.flag_configs(flag_keys=["checkout-v2", "other"]),
        query=[("flag_keys", "checkout-v2,other")],
        answer=LIST,
    ),
    *both(
        "flags",
        {
            "project_id": "510042",
            "key": "checkout-v2",
            "variants": [{"key": "on"}],
            "rollout_weights": {"on": 1},
            "target_segments": [SEGMENT],
            "deployments": ["4410"],
            "evaluation_mode": "remote",
        },
        {
            "projectId": "510042",
            "key": "checkout-v2",
            "variants": [{"key": "on"}],
            "rolloutWeights": {"on": 1},
            "targetSegments": [SEGMENT],
            "deployments": ["4410"],
            "evaluationMode": "remote",
        },
        EDIT,
        EDITED,
    ),
    *both(
        "experiments",
        {"project_id": "510042", "key": "checkout-v2", "experiment_type": "a-b-test"},
        {"projectId": "510042", "key": "checkout-v2", "experimentType": "a-b-test"},
        {
            **EDIT,
            "experiment_type": "multi-arm-bandit",
            "sticky_bucketing": True,
            "start_date": "2026-05-01",
            "end_date": None,
            "exposure_event": {"event_type": "view", "filters": []},
            "decision": "rollout",
            "decision_reason": "won",
            "rolled_out_variant": "treatment",
        },
        {
            **EDITED,
            "experimentType": "multi-arm-bandit",
            "stickyBucketing": True,
            "startDate": "2026-05-01",
            "endDate": None,
            "exposureEvent": {"event_type": "view", "filters": []},
            "decision": "rollout",
            "decisionReason": "won",
            "rolledOutVariant": "treatment",
        },
    ),
    row(
        "deployments: list",
        "GET",
        "deployments",
        lambda amplitude: first(amplitude.experiment.deployments.list(limit=10, cursor=5)),
        query=[("limit", "10"), ("cursor", "5")],
        answer=(200, "application/json", b'{"deployments": []}'),
    ),
    row(
        "deployments: create",
        "POST",
        "deployments",
        lambda amplitude: amplitude.experiment.deployments.create(project_id="510042", label="backend", type="server"),
        body={"projectId": "510042", "label": "backend", "type": "server"},
        answer=OBJECT,
    ),
    row(
        "deployments: edit",
        "PATCH",
        "deployments/4410",
        lambda amplitude: amplitude.experiment.deployments.update("4410", label="backend-2", archive=True),
        body={"label": "backend-2", "archive": True},
        answer=OK,
    ),
    row(
        "versions of everything",
        "GET",
        "versions",
        lambda amplitude: first(
            amplitude.experiment.versions.list(start="2026-01-01T00:00:00Z", end="2026-02-01T00:00:00Z", limit=3, cursor=3000)
        ),
        query=[("start", "2026-01-01T00:00:00Z"), ("end", "2026-02-01T00:00:00Z"), ("limit", "3"), ("cursor", "3000")],
        answer=(200, "application/json", b'{"versions": [], "nextCursor": null}'),
    ),
    row(
        "mutexes: list",
        "GET",
        "mutexes",
        lambda amplitude: first(amplitude.experiment.mutexes.list(limit=10, cursor=5)),
        query=[("limit", "10"), ("cursor", "5")],
        answer=(200, "application/json", b'{"mutexes": []}'),
    ),
    row("mutexes: get", "GET", "mutexes/771", lambda amplitude: amplitude.experiment.mutexes.get(771), answer=OBJECT),
    row(
        "mutexes: create",
        "POST",
        "mutexes",
        lambda amplitude: amplitude.experiment.mutexes.create(
            project_id=510042,
            name="Checkout tests",
            key="checkout-mutex",
            description="d",
            evaluation_mode="local",
            bucketing_key="device_id",
            bucketing_salt="b7Xc01Qz",
            slots=[{"percentage": 70, "experiments": [60231]}, {"percentage": 30}],
        ),
        body={
            "projectId": 510042,
            "name": "Checkout tests",
            "key": "checkout-mutex",
            "description": "d",
            "evaluationMode": "local",
            "bucketingKey": "device_id",
            "bucketingSalt": "b7Xc01Qz",
            "slots": [{"percentage": 70, "experiments": [60231]}, {"percentage": 30}],
        },
        answer=OBJECT,
    ),
    row(
        "mutexes: edit",
        "PATCH",
        "mutexes/771",
        lambda amplitude: amplitude.experiment.mutexes.update(771, name="n", description="d"),
        body={"name": "n", "description": "d"},
        answer=OK,
    ),
    row(
        "mutexes: edit slot",
        "PATCH",
        "mutexes/771/slots/1",
        lambda amplitude: amplitude.experiment.mutexes.update_slot(771, 1, experiments=[60231], holdouts=[812], individuals=["u"]),
        body={"experiments": [60231], "holdouts": [812], "individuals": ["u"]},
        answer=OK,
    ),
    row(
        "holdouts: list",
        "GET",
        "holdouts",
        lambda amplitude: first(amplitude.experiment.holdouts.list(limit=10, cursor=5)),
        query=[("limit", "10"), ("cursor", "5")],
        answer=(200, "application/json", b'{"holdouts": []}'),
    ),
    row("holdouts: get", "GET", "holdouts/812", lambda amplitude: amplitude.experiment.holdouts.get(812), answer=OBJECT),
    row(
        "holdouts: create",
        "POST",
        "holdouts",
        lambda amplitude: amplitude.experiment.holdouts.create(
            project_id=510042,
            name="Q1 holdout",
            holdout_percentage=5,
            key="holdout-q1",
            evaluation_mode="remote",
            bucketing_key="amplitude_id",
            experiments=[60231],
            individual_inclusion=["a"],
            individual_exclusion=["b"],
        ),
        body={
            "projectId": 510042,
            "name": "Q1 holdout",
            "holdoutPercentage": 5,
            "key": "holdout-q1",
            "evaluationMode": "remote",
            "bucketingKey": "amplitude_id",
            "experiments": [60231],
            "individualInclusion": ["a"],
            "individualExclusion": ["b"],
        },
        answer=OBJECT,
    ),
    row(
        "holdouts: edit",
        "PATCH",
        "holdouts/812",
        lambda amplitude: amplitude.experiment.holdouts.update(812, name="n", experiments=[1], individual_exclusion=[], archive=True),
        body={"name": "n", "experiments": [1], "individualExclusion": [], "archive": True},
        answer=OK,
    ),
    left_out("management beta: list flags", "GET", "/flags/list", OLD, BETA),
    left_out("management beta: list experiments", "GET", "/experiments/list", OLD, BETA),
    left_out("management beta: list deployments", "GET", "/deployments/list", OLD, BETA),
    left_out("management beta: create a flag", "POST", "/flags/new", OLD, BETA, encoding="json"),
    left_out("management beta: create an experiment", "POST", "/experiments/new", OLD, BETA, encoding="json"),
    left_out("management beta: activate", "POST", "/experiments/60231/activate", OLD, BETA),
    left_out("management beta: deactivate", "POST", "/experiments/60231/deactivate", OLD, BETA),
    left_out("management beta: rollout weights", "POST", "/experiments/60231/rollout-weights", OLD, BETA, encoding="json"),
    left_out("SDK: variants", "POST", "/sdk/v2/vardata", EVALUATION, SDK, auth="Api-Key deployment", encoding="json"),
    left_out("SDK: flags", "GET", "/sdk/v2/flags", FLAGS, SDK, auth="Api-Key deployment"),
    left_out("SDK: stream of flags", "GET", "/sdk/stream/v1/flags", STREAM, SDK_ONLY, auth="Api-Key deployment"),
    left_out("SDK: cohort", "GET", "/sdk/v1/cohort/abc", COHORTS, SDK_ONLY, auth="Basic project", encoding="query"),
]
