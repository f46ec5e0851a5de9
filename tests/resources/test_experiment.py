"""The calls of Amplitude Experiment as data: what goes out, what is refused before, how answers are read."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplitude_async import InvalidArgumentError
from amplitude_async._protocol.call import Call
from amplitude_async._protocol.codec import MalformedError
from amplitude_async.resources.experiment import Experiment, calls
from amplitude_async.resources.experiment.assignment import configs_call, variants_call

SEGMENT = {
    "name": "Nordics",
    "percentage": 50,
    "bucketingKey": "amplitude_id",
    "rolloutWeights": {"on": 1},
    "conditions": [{"type": "property", "prop": "country", "op": "is", "values": ["Norway", "Sweden"]}],
}
EXPOSURE = {
    "event_type": "view",
    "filters": [{"group_type": None, "subprop_key": "page", "subprop_op": "is", "subprop_type": "event", "subprop_value": ["cart"]}],
}

Use = Callable[[Experiment], Awaitable[object]]


class Notebook:
    """A runner that writes down the calls, and answers each with what it is given."""

    def __init__(self, *answers: bytes) -> None:
        self.calls: list[Call] = []
        self._answers = list(answers)

    async def run(self, call: Call, *, deadline: float | None = None) -> Any:
        self.calls.append(call)
        return call.reads(self._answers.pop(0) if self._answers else b"OK")


def written(use: Use, *answers: bytes) -> list[Call]:
    """Return the calls that a use makes."""
    notebook = Notebook(*answers)

    async def run() -> None:
        await use(Experiment(notebook))  # type: ignore[arg-type]  # a runner that only runs

    anyio.run(run)
    return notebook.calls


def body_of(call: Call) -> Any:
    return None if call.body is None else json.loads(call.body.render(""))


async def first_of(pages: Any) -> object:
    return await anext(pages, None)


# The calls


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (lambda e: e.flags.archive(60231), ("PATCH", "/api/1/flags/60231", {"archive": True}, True)),
        (
            lambda e: e.flags.update("60231", enabled=False, tags="a"),
            ("PATCH", "/api/1/flags/60231", {"enabled": False, "tags": ["a"]}, True),
        ),
        (
            lambda e: e.flags.update("60231", rollout_percentage=20.5, target_segments=[SEGMENT], later=1),
            ("PATCH", "/api/1/flags/60231", {"later": 1, "rolloutPercentage": 20.5, "targetSegments": [SEGMENT]}, True),
        ),
        (
            lambda e: e.experiments.update(
                7, start_date=date(2026, 5, 1), end_date=None, exposure_event=None, rolled_out_variant=None
            ),
            (
                "PATCH",
                "/api/1/experiments/7",
                {"startDate": "2026-05-01", "endDate": None, "exposureEvent": None, "rolledOutVariant": None},
                True,
            ),
        ),
        (
            lambda e: e.experiments.update(
                7, start_date="2026-05-01", end_date=datetime(2026, 5, 9, 12, tzinfo=UTC), exposure_event=EXPOSURE, decision="rollout"
            ),
            (
                "PATCH",
                "/api/1/experiments/7",
                {"startDate": "2026-05-01", "endDate": "2026-05-09T12:00:00+00:00", "exposureEvent": EXPOSURE, "decision": "rollout"},
                True,
            ),
        ),
        (
            lambda e: e.flags.create_variant(7, key="b", payload=None, rollout_weight=2),
            ("POST", "/api/1/flags/7/variants", {"key": "b", "payload": None, "rolloutWeight": 2}, False),
        ),
        (
            lambda e: e.flags.update_variant(7, "a/b", payload=[1], name="B"),
            ("PATCH", "/api/1/flags/7/variants/a%2Fb", {"name": "B", "payload": [1]}, True),
        ),
        (lambda e: e.flags.delete_variant(7, ".."), ("DELETE", "/api/1/flags/7/variants/%2E%2E", None, True)),
        (
            lambda e: e.experiments.add_inclusions(7, "on", ["user-1", "d-1"]),
            ("POST", "/api/1/experiments/7/variants/on/users", {"inclusions": ["user-1", "d-1"]}, False),
        ),
        (
            lambda e: e.flags.add_inclusions(7, "on", "user-1"),
            ("POST", "/api/1/flags/7/variants/on/users", {"inclusions": ["user-1"]}, False),
        ),
        (
            lambda e: e.flags.remove_inclusions(7, "on", ["user-1"]),
            ("DELETE", "/api/1/flags/7/variants/on/bulk-delete-users", {"users": ["user-1"]}, True),
        ),
        (lambda e: e.flags.clear_inclusions(7, "on"), ("DELETE", "/api/1/flags/7/variants/on/users", None, True)),
        (lambda e: e.flags.remove_inclusions_at(7, "on", 0), ("DELETE", "/api/1/flags/7/variants/on/users/0", None, False)),
        (
            lambda e: e.flags.add_cohort_inclusions(7, "on", ["c1"]),
            ("POST", "/api/1/flags/7/variants/on/cohorts", {"inclusions": ["c1"]}, False),
        ),
        (
            lambda e: e.flags.remove_cohort_inclusions(7, "on", "c1"),
            ("DELETE", "/api/1/flags/7/variants/on/bulk-delete-cohorts", {"users": ["c1"]}, True),
        ),
        (lambda e: e.flags.add_deployments(7, [4410]), ("POST", "/api/1/flags/7/deployments", {"deployments": [4410]}, False)),
        (lambda e: e.flags.remove_deployment(7, 4410), ("DELETE", "/api/1/flags/7/deployments/4410", None, True)),
        (lambda e: e.deployments.update(4410, label="b-1"), ("PATCH", "/api/1/deployments/4410", {"label": "b-1"}, True)),
        (lambda e: e.deployments.archive(4410), ("PATCH", "/api/1/deployments/4410", {"archive": True}, True)),
        (lambda e: e.mutexes.archive(771), ("PATCH", "/api/1/mutexes/771", {"archive": True}, True)),
        (
            lambda e: e.mutexes.update_slot(771, 1, experiments=[60231], holdouts=[], individuals="u"),
            ("PATCH", "/api/1/mutexes/771/slots/1", {"experiments": [60231], "holdouts": [], "individuals": ["u"]}, True),
        ),
        (
            lambda e: e.holdouts.update(812, individual_inclusion=["u"], experiments=[]),
            ("PATCH", "/api/1/holdouts/812", {"individualInclusion": ["u"], "experiments": []}, True),
        ),
        (lambda e: e.holdouts.archive(812), ("PATCH", "/api/1/holdouts/812", {"archive": True}, True)),
    ],
)
def test_a_write(use: Use, expected: tuple[str, str, object, bool]) -> None:
    """Method, path, body, and whether it may be repeated: replacements and removals by name may, additions and removals by place not."""
    (call,) = written(use)
    assert (call.method, call.path, body_of(call), call.repeatable) == expected
    assert (call.api, call.credential, [(use.quota, use.cost) for use in call.uses]) == (
        "management",
        "management",
        [("management", 1)],
    )


@pytest.mark.parametrize(
    ("use", "path", "body"),
    [
        (
            lambda e: e.flags.create(
                project_id=510042,
                key="checkout-v2",
                name="Checkout v2",
                description="",
                variants=[{"key": "on", "payload": {"a": 1}}],
                bucketing_key="user_id",
                rollout_weights={"on": 1},
                target_segments=[SEGMENT],
                deployments="4410",
                evaluation_mode="local",
            ),
            "/api/1/flags",
            {
                "projectId": 510042,
                "key": "checkout-v2",
                "name": "Checkout v2",
                "description": "",
                "variants": [{"key": "on", "payload": {"a": 1}}],
                "bucketingKey": "user_id",
                "rolloutWeights": {"on": 1},
                "targetSegments": [SEGMENT],
                "deployments": ["4410"],
                "evaluationMode": "local",
            },
        ),
        (
            lambda e: e.experiments.create(project_id="510042", key="x", experiment_type="multi-arm-bandit", deployments=[]),
            "/api/1/experiments",
            {"projectId": "510042", "key": "x", "experimentType": "multi-arm-bandit", "deployments": []},
        ),
        (
            lambda e: e.deployments.create(project_id="510042", label="backend", type="server"),
            "/api/1/deployments",
            {"projectId": "510042", "label": "backend", "type": "server"},
        ),
        (
            lambda e: e.mutexes.create(project_id=1, name="Checkout", slots=[{"percentage": 70, "experiments": [60231]}, 30]),
            "/api/1/mutexes",
            {"projectId": 1, "name": "Checkout", "slots": [{"percentage": 70, "experiments": [60231]}, {"percentage": 30}]},
        ),
        (
            lambda e: e.holdouts.create(project_id=1, name="Q1", holdout_percentage=5, experiments=60231, individual_exclusion="u"),
            "/api/1/holdouts",
            {"projectId": 1, "name": "Q1", "holdoutPercentage": 5, "experiments": [60231], "individualExclusion": ["u"]},
        ),
    ],
)
def test_a_creation(use: Use, path: str, body: object) -> None:
    """Ids go out as they were given, what is left out does not, and a creation is not repeated when nobody knows what became of it."""
    (call,) = written(use, b'{"id": 7, "url": "http://example.org"}')
    assert (call.method, call.path, body_of(call), call.repeatable) == ("POST", path, body, False)


@pytest.mark.parametrize(
    ("use", "path", "query"),
    [
        (lambda e: first_of(e.flags.list()), "/api/1/flags", ()),
        (
            lambda e: first_of(e.experiments.list(key="k", project_id=1, include_archived=True, limit=5, cursor=10)),
            "/api/1/experiments",
            (("key", "k"), ("projectId", "1"), ("includeArchived", "true"), ("limit", "5"), ("cursor", "10")),
        ),
        (lambda e: first_of(e.deployments.list(limit=1000)), "/api/1/deployments", (("limit", "1000"),)),
        (
            lambda e: first_of(e.versions.list(start=date(2026, 1, 1), end="2026-02-01T00:00:00Z")),
            "/api/1/versions",
            (("start", "2026-01-01T00:00:00+00:00"), ("end", "2026-02-01T00:00:00Z")),
        ),
        (lambda e: first_of(e.mutexes.list()), "/api/1/mutexes", ()),
        (lambda e: first_of(e.holdouts.list(cursor="abc")), "/api/1/holdouts", (("cursor", "abc"),)),
    ],
)
def test_a_list(use: Use, path: str, query: tuple[tuple[str, str], ...]) -> None:
    """Filters go into the query by Amplitude's names, and nothing is asked before the first item is."""
    name = path.rpartition("/")[2]
    (call,) = written(use, json.dumps({name: [], "nextCursor": None}).encode())
    assert (call.method, call.path, call.query, call.repeatable) == ("GET", path, query, True)

    async def nothing(experiment: Experiment) -> None:
        experiment.flags.list()

    assert written(nothing) == []


def test_removals_by_place_go_from_the_highest_down() -> None:
    """Each place counts once, and no removal moves one that is still to come."""
    sent = written(lambda e: e.flags.remove_inclusions_at(7, "on", 1, 5, 3, 1))
    assert [call.path.rpartition("/")[2] for call in sent] == ["5", "3", "1"]
    assert not any(call.repeatable for call in sent)


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (100, [100]), (101, [100, 1]), (250, [100, 100, 50])])
def test_more_removals_than_a_request_takes_go_in_several(count: int, sizes: list[int]) -> None:
    """Amplitude takes 100 at once; the others follow in order."""
    ids = [f"user-{number}" for number in range(count)]
    sent = written(lambda e: e.flags.remove_inclusions(7, "on", ids))
    assert [len(body_of(call)["users"]) for call in sent] == sizes
    assert [each for call in sent for each in body_of(call)["users"]] == ids


# What is refused


@pytest.mark.parametrize(
    ("use", "argument"),
    [
        (lambda e: e.flags.get(""), "flag_id"),
        (lambda e: e.experiments.get(" "), "experiment_id"),
        (lambda e: e.flags.get(None), "flag_id"),
        (lambda e: e.flags.version(7, ""), "version"),
        (lambda e: e.flags.variant(7, ""), "variant_key"),
        (lambda e: e.flags.variants(None), "flag_id"),
        (lambda e: e.flags.remove_deployment(7, None), "deployment_id"),
        (lambda e: e.mutexes.get(0), "mutex_id"),
        (lambda e: e.mutexes.update_slot(7, 0, experiments=[1]), "slot_index"),
        (lambda e: e.mutexes.update_slot(7, 1), ""),
        (lambda e: e.mutexes.update(7, archive=True, name="x"), "archive"),
        (lambda e: e.holdouts.get(None), "holdout_id"),
        (lambda e: e.flags.update(7), ""),
        (lambda e: e.flags.update(7, rollout_percentage=101), "rollout_percentage"),
        (lambda e: e.flags.update(7, rollout_percentage=True), "rollout_percentage"),
        (lambda e: e.flags.update(7, target_segments=[{"name": "x"}]), "target_segments[0].conditions"),
        (lambda e: e.flags.update(7, target_segments=[{**SEGMENT, "percentage": -1}]), "target_segments[0].percentage"),
        (lambda e: e.flags.update(7, target_segments=7), "target_segments"),
        (lambda e: e.flags.update(7, target_segments=["x"]), "target_segments[0]"),
        (
            lambda e: e.flags.update(
                7, target_segments=[{**SEGMENT, "conditions": [{"type": "cohort", "prop": "x", "op": "is", "values": []}]}]
            ),
            "target_segments[0].conditions[0].type",
        ),
        (
            lambda e: e.flags.update(7, target_segments=[{**SEGMENT, "conditions": [{"type": "property"}]}]),
            "target_segments[0].conditions[0].prop",
        ),
        (lambda e: e.experiments.update(7, start_date="soon"), "start_date"),
        (lambda e: e.experiments.update(7, end_date=7), "end_date"),
        (lambda e: e.experiments.update(7, exposure_event={"event_type": "x"}), "exposure_event.filters"),
        (lambda e: e.experiments.update(7, exposure_event="x"), "exposure_event"),
        (lambda e: e.flags.create(project_id="", key="x"), "project_id"),
        (lambda e: e.flags.create(project_id=1, key=" "), "key"),
        (lambda e: e.flags.create(project_id=1, key="x", variants=[{"name": "x"}]), "variants[0].key"),
        (lambda e: e.flags.create(project_id=1, key="x", variants=[{"key": "a"}, {"key": "a"}]), "variants[1].key"),
        (lambda e: e.flags.create(project_id=1, key="x", rollout_weights=[1]), "rollout_weights"),
        (lambda e: e.flags.create(project_id=1, key="x", rollout_weights={"on": -1}), "rollout_weights.on"),
        (lambda e: e.flags.create(project_id=1, key="x", later=float("nan")), "later"),
        (lambda e: e.flags.create_variant(7, key=""), "key"),
        (lambda e: e.flags.create_variant(7, key="x", rollout_weight=0.5), "rollout_weight"),
        (lambda e: e.flags.update_variant(7, "x"), ""),
        (lambda e: e.flags.add_inclusions(7, "on", []), "ids"),
        (lambda e: e.flags.add_inclusions(7, "on", ["a", " "]), "ids[1]"),
        (lambda e: e.flags.add_inclusions(7, "on", ["*"]), "ids[0]"),
        (lambda e: e.flags.add_inclusions(7, "on", map(str, range(1, 2002))), "ids"),
        (lambda e: e.flags.remove_inclusions(7, "on", []), "ids"),
        (lambda e: e.flags.remove_inclusions_at(7, "on"), "indexes"),
        (lambda e: e.flags.remove_inclusions_at(7, "on", -1), "indexes"),
        (lambda e: e.flags.add_deployments(7, []), "deployment_ids"),
        (lambda e: e.deployments.create(project_id=1, label="a b", type="server"), "label"),
        (lambda e: e.deployments.create(project_id=1, label=None, type="server"), "label"),
        (lambda e: e.deployments.create(project_id=1, label="a", type=""), "type"),
        (lambda e: e.deployments.update(7), ""),
        (lambda e: e.mutexes.create(project_id=1, name="x", slots=[]), "slots"),
        (lambda e: e.mutexes.create(project_id=1, name="x", slots=[70, 20]), "slots"),
        (lambda e: e.mutexes.create(project_id=1, name="x", slots=[5] * 21), "slots"),
        (lambda e: e.mutexes.create(project_id=1, name="x", slots=[{}]), "slots[0].percentage"),
        (lambda e: e.mutexes.create(project_id=1, name="x", slots="100"), "slots"),
        (lambda e: e.mutexes.create(project_id=1, name="", slots=[100]), "name"),
        (lambda e: e.holdouts.create(project_id=1, name="x", holdout_percentage=100), "holdout_percentage"),
        (lambda e: e.variants(), "user_id"),
        (lambda e: e.variants("", ""), "user_id"),
        (lambda e: e.variants("user-1", flag_keys=[]), "flag_keys"),
        (lambda e: e.variants("user-1", flag_keys=["a,b"]), "flag_keys"),
        (lambda e: e.variants("user-1", flag_keys=["a", ""]), "flag_keys[1]"),
        (lambda e: e.variants("user-1", context="x"), "context"),
        (lambda e: e.variants("user-1", user_properties={"a": b"x"}), "context"),
        (lambda e: e.variant("", "user-1"), "flag_keys[0]"),
    ],
)
def test_what_is_refused_before_anything_is_sent(use: Use, argument: str) -> None:
    """Each refusal names its argument, and nothing goes out."""
    with pytest.raises(InvalidArgumentError) as caught:
        assert not written(use)
    assert caught.value.argument == argument
    assert argument.partition("[")[0].partition(".")[0] in str(caught.value)


@pytest.mark.parametrize(
    "use",
    [
        lambda e: e.flags.list(limit=0),
        lambda e: e.holdouts.list(limit=1001),
        lambda e: e.versions.list(start="2026-02-01", end="2026-02-01"),
        lambda e: e.versions.list(start="2026-02-01T00:00:00+00:00", end=date(2026, 1, 1)),
        lambda e: e.versions.list(start="yesterday"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused_at_once(use: Callable[[Experiment], object]) -> None:
    """Not only when its first item is asked for."""
    with pytest.raises(InvalidArgumentError, match="limit|start"):
        use(Experiment(Notebook()))  # type: ignore[arg-type]  # a runner that only runs


# Evaluation


def test_an_evaluation() -> None:
    """Ids and flags go into the query, all else into the user object, and what is not to be recorded says so in a header."""
    call = variants_call(
        "user-12345",
        None,
        context={"user_id": "other", "device_id": "d-1", "country": "Peru", "city": "Lima"},
        fields={"country": "Norway", "user_properties": {"plan": "pro"}, "region": None},
        flag_keys=["a", "b"],
        track=False,
    )
    assert (call.api, call.method, call.path, call.credential) == ("evaluation", "GET", "/v1/vardata", "deployment")
    assert call.query[:2] == (("user_id", "user-12345"), ("flag_keys", "a,b"))
    ((name, text),) = call.query[2:]
    assert name == "context"
    assert json.loads(text) == {"device_id": "d-1", "country": "Norway", "city": "Lima", "user_properties": {"plan": "pro"}}
    assert call.headers == (("X-Amp-Exp-Track", "no-track"),)
    assert call.repeatable


def test_an_evaluation_that_is_recorded_says_nothing_of_it() -> None:
    """Recording is Amplitude's default; ids may also come in the user object."""
    call = variants_call(None, None, context={"device_id": "d-1"}, fields={}, flag_keys=None, track=True)
    assert call.query == (("context", '{"device_id":"d-1"}'),)
    assert call.headers == ()
    call = variants_call(12345, "d-1", context=None, fields={}, flag_keys="only", track=True)
    assert call.query == (("user_id", "12345"), ("device_id", "d-1"), ("flag_keys", "only"))


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)), st.text(min_size=1))
def test_a_user_object_comes_back_as_it_went_out(properties: dict[str, Any], user_id: str) -> None:
    """Whatever is in properties and ids, the query carries it."""
    try:
        call = variants_call(user_id, None, context=None, fields={"user_properties": properties}, flag_keys=None, track=True)
    except InvalidArgumentError:
        assert not user_id.strip() or any(
            "\ud800" <= sign <= "\udfff" for sign in json.dumps([properties, user_id], ensure_ascii=False)
        )
        return
    query = dict(call.query)
    assert query["user_id"] == user_id
    assert json.loads(query["context"]) == {"user_properties": properties}


def test_rules_are_asked_for_with_the_deployment_key() -> None:
    """All flags of the deployment, or some."""
    assert configs_call(None).query == ()
    assert configs_call(["a", "b"]).query == (("flag_keys", "a,b"),)
    assert (configs_call("a").path, configs_call("a").credential) == ("/v1/flags", "deployment")


def test_an_evaluation_is_read_with_all_its_keys() -> None:
    """The example of the page, and a key that no page knows."""
    answer = b'{"checkout-v2": {"key": "treatment", "payload": {"color": "teal"}, "expKey": "exp-3", "evaluationId": "7_1_2", "x": 1}}'
    found: list[Any] = []

    async def use(experiment: Experiment) -> None:
        found.append(await experiment.variants("user-12345"))
        found.append(await experiment.variant("checkout-v2", "user-12345"))
        found.append(await experiment.variant("checkout-v2", "user-12345"))

    written(use, answer, answer, b"{}")
    assert found[0] == json.loads(answer)
    assert found[1] == json.loads(answer)["checkout-v2"]
    assert found[2] is None


# Answers

FLAG = json.loads(
    """{"id": "60231", "projectId": "510042", "deployments": ["4410"], "key": "checkout-v2", "name": "Checkout v2", "description": "",
 "enabled": true, "evaluationMode": "remote", "bucketingKey": "amplitude_id", "bucketingSalt": "Qm3XzT9a", "bucketingUnit": "User",
 "variants": [{"key": "on"}], "rolloutPercentage": 20, "rolloutWeights": {"on": 1},
 "targetSegments": [{"name": "Nordics", "percentage": 50, "bucketingKey": "amplitude_id", "rolloutWeights": {"on": 1},
    "conditions": [{"type": "property", "prop": "country", "op": "is", "values": ["Norway", "Sweden"]}]}],
 "parentDependencies": {"flags": {"60200": ["on"]}, "operator": "all"},
 "createdBy": "kari@example.org", "lastModifiedBy": "kari@example.org",
 "createdAt": "2026-01-12T09:30:00.000Z", "lastModifiedAt": "2026-02-01T08:00:00.000Z", "deleted": false}"""
)
MUTEX = json.loads(
    """{"id": 771, "projectId": 510042, "name": "Checkout tests", "key": "checkout-mutex", "description": null, "evaluationMode": "local",
 "bucketingKey": "device_id", "bucketingSalt": "b7Xc01Qz",
 "slots": [{"name": "SLOT 1", "index": 1, "variantKey": "slot-1", "percentage": 70, "experiments": [60231], "holdouts": [], "individuals": [], "cohorts": []},
           {"name": "SLOT 2", "index": 2, "variantKey": "slot-2", "percentage": 30, "experiments": [], "holdouts": [], "individuals": [], "cohorts": []}]}"""
)
HOLDOUT = json.loads(
    """{"id": 812, "projectId": 510042, "name": "Q1 holdout", "key": "holdout-q1", "description": "", "holdoutPercentage": 5,
 "evaluationMode": "remote", "bucketingKey": "amplitude_id", "bucketingSalt": "A1B2C3D4", "variantName": "on", "experiments": [60231],
 "individualInclusion": [], "individualExclusion": [], "deleted": false, "createdBy": "9", "lastModifiedBy": "9",
 "createdAt": "2026-01-01T00:00:00.000Z", "lastModifiedAt": "2026-01-01T00:00:00.000Z"}"""
)
VERSION = {"createdAt": "2026-02-01T08:00:00.000Z", "createdBy": "9", "version": 3, "flagConfig": FLAG}
VARIANT = {"key": "treatment", "name": "", "payload": {}, "description": "", "rolloutWeight": 1}
DEPLOYMENT = {"id": "4410", "projectId": "510042", "label": "backend", "key": "server-abc", "deleted": False}


@pytest.mark.parametrize(
    ("use", "answer"),
    [
        (lambda e: e.flags.get(60231), FLAG),
        (lambda e: e.experiments.get(60231), {**FLAG, "decision": None, "state": "running", "later": [1]}),
        (lambda e: e.flags.version(60231, 3), VERSION),
        (lambda e: e.flags.versions(60231), [VERSION]),
        (lambda e: e.flags.variant(60231, "treatment"), VARIANT),
        (lambda e: e.flags.variants(60231), [VARIANT]),
        (lambda e: e.flags.deployments(60231), [DEPLOYMENT]),
        (lambda e: e.flags.inclusions(60231, "on"), ["user-1", "d-1"]),
        (lambda e: e.flags.cohort_inclusions(60231, "on"), ["abc"]),
        (lambda e: e.mutexes.get(771), MUTEX),
        (lambda e: e.holdouts.get(812), HOLDOUT),
        (lambda e: e.flags.create(project_id=1, key="x"), {"id": "60231", "url": "http://example.org"}),
        (lambda e: e.flag_configs(), [{"key": "checkout-v2", "later": 1}]),
        (lambda e: e.flags.update(7, name="x"), {"anything": [1]}),
        (lambda e: e.flags.update(7, name="x"), None),
    ],
)
def test_the_examples_of_the_pages_are_read_without_loss(use: Use, answer: object) -> None:
    """What was answered is what is given, unknown keys included."""
    found: list[object] = []

    async def read(experiment: Experiment) -> None:
        found.append(await use(experiment))

    written(read, json.dumps(answer).encode())
    assert found == [answer]


def items_of(name: str, *answers: object) -> list[Any]:
    found: list[object] = []

    async def use(experiment: Experiment) -> None:
        found.extend([item async for item in getattr(experiment, name).list()])

    calls_made = written(use, *(json.dumps(answer).encode() for answer in answers))
    assert len(calls_made) == len(answers)
    return found


@pytest.mark.parametrize("name", ["flags", "experiments", "deployments", "versions", "mutexes", "holdouts"])
def test_pages_follow_their_cursor(name: str) -> None:
    """Until there is none, whatever form its absence has."""
    assert items_of(name, {name: [{"id": 1}], "nextCursor": 1}, {name: [{"id": 2}], "nextCursor": None}) == [{"id": 1}, {"id": 2}]
    assert items_of(name, {name: [{"id": 1}]}) == [{"id": 1}]
    assert items_of(name, {name: [{"id": 1}], "nextCursor": 0}) == [{"id": 1}]


def test_pages_are_read_in_the_forms_that_the_samples_have() -> None:
    """A cursor within the list, a bare list, and a last page that names a next one, which turns out to be empty."""
    assert items_of("experiments", {"experiments": [{"id": 1}, {"nextCursor": 7}]}, {"experiments": [{"id": 2}]}) == [
        {"id": 1},
        {"id": 2},
    ]
    assert items_of("deployments", [{"id": 1}]) == [{"id": 1}]
    assert items_of("flags", {"flags": [{"id": 1}], "nextCursor": "1"}, {"flags": [], "nextCursor": "2"}) == [{"id": 1}]


def test_a_list_that_does_not_get_on_is_an_error() -> None:
    """A page whose next one is itself would never end."""
    with pytest.raises(MalformedError, match="nextCursor"):
        calls.page("flags", 5).reads(b'{"flags": [{"id": 1}], "nextCursor": 5}')


@pytest.mark.parametrize("body", [b"{}", b'{"flags": {}}', b"OK", b"", b"<html>"])
def test_a_page_without_its_list_is_an_error(body: bytes) -> None:
    """An empty list is one that says so."""
    with pytest.raises(MalformedError):
        calls.page("flags", None).reads(body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"OK", "OK"), (b'"OK"', "OK"), (b"OK\n", "OK"), (b"\xef\xbb\xbfOK", "OK"), (b"Created", "Created"), (b'{"id": 1}', '{"id": 1}')],
)
def test_an_acknowledgement_is_text(body: bytes, expected: str) -> None:
    """Quoted or not; whatever else was said is given as its text."""
    assert calls.read_acknowledgement(body) == expected


@pytest.mark.parametrize("body", [b"", b" ", b"<html>OK</html>", b"\xff\xfe"])
def test_a_page_is_no_acknowledgement(body: bytes) -> None:
    """Neither is an empty answer, where one is documented."""
    with pytest.raises(MalformedError):
        calls.read_acknowledgement(body)


@pytest.mark.parametrize(("body", "expected"), [(b"", ""), (b"OK", "OK"), (b'"OK"', "OK"), (b'{"a": 1}', {"a": 1}), (b"null", None)])
def test_an_update_may_be_answered_by_anything(body: bytes, expected: object) -> None:
    """JSON is given as its value, text as text, nothing as none."""
    assert calls.read_anything(body) == expected


def test_a_page_is_no_answer_to_an_update() -> None:
    """Proxies answer 200 with HTML, too."""
    with pytest.raises(MalformedError):
        calls.read_anything(b"<!doctype html>")


@given(st.text(min_size=1))
def test_ids_cannot_change_the_structure_of_a_path(ident: str) -> None:
    """Slashes, dots, question marks and percent signs of ids and keys stay within their step."""
    try:
        (call,) = written(lambda e: e.flags.delete_variant(ident, ident))
    except InvalidArgumentError:
        return
    assert call.path.count("/") == 6
    assert not set(call.path) & set("?# \\")
    assert not {".", ".."} & set(call.path.split("/"))
