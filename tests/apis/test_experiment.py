"""Amplitude Experiment over the sandbox: what is made is found, changed, evaluated, and gone."""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import Any

import httpx
import pytest

from amplitude_async import AsyncAmplitude, AuthenticationError, BadRequestError, NotFoundError, ResponseError
from amplitude_async.resources.experiment import Experiment
from amplitude_async.sandbox import Sandbox
from amplitude_async.sandbox.documents import Documents

pytestmark = pytest.mark.anyio

NORDIC: Any = {
    "name": "Nordics",
    "percentage": 100,
    "rolloutWeights": {"on": 1},
    "conditions": [{"type": "property", "prop": "country", "op": "is", "values": ["Norway", "Sweden"]}],
}
GOLD: Any = {
    "name": "Gold",
    "percentage": 100,
    "rolloutWeights": {"treatment": 1},
    "conditions": [{"type": "property", "prop": "gp:tier", "op": "glob match", "values": ["g*d"]}],
}


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1_777_885_200.0

    def __call__(self) -> float:
        return self.now


async def running(experiment: Experiment, box: Sandbox, key: str, **fields: Any) -> str:
    """Make an experiment, active for everybody, and return its id."""
    made = await experiment.experiments.create(project_id=box.project_id, key=key, bucketing_key="user_id", **fields)
    await experiment.experiments.update(made["id"], enabled=True, rollout_percentage=100)
    return str(made["id"])


async def served(experiment: Experiment, box: Sandbox, key: str, **fields: Any) -> str:
    """Make a flag, active for everybody, and return its id."""
    made = await experiment.flags.create(project_id=box.project_id, key=key, bucketing_key="user_id", **fields)
    await experiment.flags.update(made["id"], enabled=True, rollout_percentage=100)
    return str(made["id"])


async def assigned(experiment: Experiment, count: int = 24, **user: Any) -> dict[str, dict[str, str]]:
    """Return what so many users get."""
    found = {}
    for number in range(count):
        got = await experiment.variants(f"user-{number:05}", track=False, **user)
        found[f"user-{number:05}"] = {key: variant["key"] for key, variant in got.items()}
    return found


# Management


async def test_a_flag_is_made_found_changed_and_archived(box: Sandbox) -> None:
    """The whole life of a flag; there is no removal for good."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        flags = amplitude.experiment.flags
        made = await flags.create(project_id=box.project_id, key="checkout-v2", description="x", target_segments=[NORDIC])
        assert made["url"] == f"http://experiment.amplitude.com/amplitude/{box.project_id}/config/{made['id']}"
        flag = await flags.get(made["id"])
        assert (flag["key"], flag["enabled"], flag["rolloutPercentage"], flag["deleted"]) == ("checkout-v2", False, 0, False)
        assert flag["variants"] == [{"key": "on"}]
        assert flag["targetSegments"] == [NORDIC]
        assert await flags.update(int(made["id"]), enabled=True, rollout_percentage=20.5, tags=["a"], target_segments=[]) == "OK"
        flag = await flags.get(made["id"])
        assert (flag["enabled"], flag["rolloutPercentage"], flag["tags"], flag["targetSegments"]) == (True, 20.5, ["a"], [])
        assert flag["description"] == "x"
        await flags.archive(made["id"])
        assert (await flags.get(made["id"]))["deleted"] is True
        assert [item async for item in flags.list()] == []
        assert [item["id"] async for item in flags.list(include_archived=True)] == [made["id"]]
        await flags.update(made["id"], archive=False)
        assert [item["key"] async for item in flags.list()] == ["checkout-v2"]


async def test_lists_are_filtered_and_paged(box: Sandbox) -> None:
    """The newest come first, page after page, and a list that was left goes on from its cursor."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        flags = amplitude.experiment.flags
        for number in range(7):
            await flags.create(project_id=number % 2 + 1, key=f"flag-{number}")
        newest_first = [f"flag-{number}" for number in reversed(range(7))]
        assert [item["key"] async for item in flags.list()] == newest_first
        assert [item["key"] async for item in flags.list(limit=2)] == newest_first
        assert [len(page) async for page in flags.list(limit=3).pages()] == [3, 3, 1]
        assert [item["key"] async for item in flags.list(key="flag-3")] == ["flag-3"]
        assert len([item async for item in flags.list(project_id=1)]) == 4
        pages = flags.list(limit=3)
        first = [await anext(pages) for _ in range(3)]
        rest = [item["key"] async for item in flags.list(limit=3, cursor=pages.cursor)]
        assert [item["key"] for item in first] + rest == newest_first
        assert "createdAt" in first[0]
        assert "deleted" not in first[0]


async def test_an_experiment_has_more_to_say(box: Sandbox) -> None:
    """Its dates, its decision, its exposure event; a null takes away."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        experiments = amplitude.experiment.experiments
        made = await experiments.create(project_id=box.project_id, key="x", experiment_type="multi-arm-bandit")
        found = await experiments.get(made["id"])
        assert (found["state"], found["experimentType"]) == ("planning", "multi-arm-bandit")
        assert [variant["key"] for variant in found["variants"]] == ["control", "treatment"]
        exposure: Any = {
            "event_type": "view",
            "filters": [
                {
                    "group_type": None,
                    "subprop_key": "page",
                    "subprop_op": "glob match",
                    "subprop_type": "event",
                    "subprop_value": ["c*"],
                }
            ],
        }
        await experiments.update(
            made["id"],
            enabled=True,
            start_date="2026-05-01",
            end_date="2026-05-31T10:00:00+00:00",
            decision="rollout",
            decision_reason="won",
            rolled_out_variant="treatment",
            exposure_event=exposure,
            sticky_bucketing=True,
            experiment_type="a-b-test",
        )
        found = await experiments.get(made["id"])
        assert (found["state"], found["startDate"], found["endDate"]) == ("running", "2026-05-01", "2026-05-31")
        assert (found["decision"], found["rolledOutVariant"], found["exposureEvent"]) == ("rollout", "treatment", exposure)
        await experiments.update(made["id"], end_date=None, exposure_event=None, rolled_out_variant=None, enabled=False)
        found = await experiments.get(made["id"])
        assert (found["endDate"], found["exposureEvent"], found["rolledOutVariant"], found["state"]) == (None, None, None, "planning")


@pytest.mark.parametrize("kind", ["flags", "experiments"])
async def test_variants_come_and_go(box: Sandbox, kind: str) -> None:
    """One is added, changed, renamed with all that belongs to it, and removed with it."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        configured: Any = getattr(amplitude.experiment, kind)
        made = await configured.create(project_id=box.project_id, key="x", variants=[{"key": "a", "payload": [1]}, {"key": "b"}])
        ident = made["id"]
        assert await configured.create_variant(ident, key="c", name="C", payload={"x": 1}, rollout_weight=3) == "OK"
        assert await configured.variant(ident, "c") == {
            "key": "c",
            "name": "C",
            "payload": {"x": 1},
            "description": "",
            "rolloutWeight": 3,
        }
        with pytest.raises(BadRequestError, match="already"):
            await configured.create_variant(ident, key="c")
        await configured.add_inclusions(ident, "c", ["user-1", "user-2"])
        await configured.update_variant(ident, "c", key="d", rollout_weight=4)
        assert [variant["key"] for variant in await configured.variants(ident)] == ["a", "b", "d"]
        assert (await configured.get(ident))["rolloutWeights"] == {"a": 1, "b": 1, "d": 4}
        assert await configured.inclusions(ident, "d") == ["user-1", "user-2"]
        await configured.delete_variant(ident, "d")
        with pytest.raises(NotFoundError, match="no such variant"):
            await configured.variant(ident, "d")
        assert (await configured.get(ident))["rolloutWeights"] == {"a": 1, "b": 1}


async def test_inclusions_come_and_go(box: Sandbox) -> None:
    """By name, by place from the highest down, in bulk beyond what a request takes, and all at once."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        flags = amplitude.experiment.flags
        made = await flags.create(project_id=box.project_id, key="x")
        ident = made["id"]
        ids = [f"user-{number}" for number in range(6)]
        assert await flags.add_inclusions(ident, "on", ids) == "OK"
        await flags.add_inclusions(ident, "on", "user-0")
        assert await flags.inclusions(ident, "on") == ids
        await flags.remove_inclusions_at(ident, "on", 0, 2, 5)
        assert await flags.inclusions(ident, "on") == ["user-1", "user-3", "user-4"]
        await flags.remove_inclusions(ident, "on", ["user-3", "user-99"])
        assert await flags.inclusions(ident, "on") == ["user-1", "user-4"]
        await flags.clear_inclusions(ident, "on")
        assert await flags.inclusions(ident, "on") == []
        many = [f"many-{number}" for number in range(2000)]
        await flags.add_inclusions(ident, "on", many)
        with pytest.raises(BadRequestError, match="2000"):
            await flags.add_inclusions(ident, "on", "one more")
        await flags.remove_inclusions(ident, "on", many[:250])
        assert await flags.inclusions(ident, "on") == many[250:]
        with pytest.raises(NotFoundError):
            await flags.remove_inclusions_at(ident, "on", 1750)
        await flags.add_cohort_inclusions(ident, "on", ["c1", "c2", "c3"])
        await flags.remove_cohort_inclusions(ident, "on", ["c2"])
        assert await flags.cohort_inclusions(ident, "on") == ["c1", "c3"]


async def test_deployments_serve_what_they_are_told_to(box: Sandbox) -> None:
    """A deployment's key evaluates its own flags, until it is archived; the sandbox's own key also those that name none."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        experiment = amplitude.experiment
        made = await experiment.deployments.create(project_id=box.project_id, label="backend", type="server")
        listed = [item async for item in experiment.deployments.list()]
        assert [item["label"] for item in listed] == ["backend", "default"]
        key = listed[0]["key"]
        assert key.startswith("server-")
        ident = await served(experiment, box, "x")
        await served(experiment, box, "y", deployments=[made["id"]])
        assert {*await experiment.variants("user-1")} == {"x"}
        async with AsyncAmplitude(box.api_key, base_url=box.url, deployment_key=key) as other:
            assert {*await other.experiment.variants("user-1")} == {"y"}
            await experiment.flags.add_deployments(ident, made["id"])
            assert [item["label"] for item in await experiment.flags.deployments(ident)] == ["backend"]
            assert {*await other.experiment.variants("user-1")} == {"x", "y"}
            assert await experiment.variants("user-1") == {}
            await experiment.flags.remove_deployment(ident, made["id"])
            assert {*await other.experiment.variants("user-1")} == {"y"}
            assert await experiment.deployments.update(made["id"], label="other") == "OK"
            await experiment.deployments.archive(made["id"])
            with pytest.raises(AuthenticationError):
                await other.experiment.variants("user-1")
        async with AsyncAmplitude(box.api_key, base_url=box.url, deployment_key=box.api_key) as own:
            assert {*await own.experiment.variants("user-1")} == {"x"}


async def test_every_change_is_a_version() -> None:
    """Of one flag, and of everything within a span of time, the newest first."""
    clock = Clock()
    with Sandbox(clock=clock) as box:
        async with AsyncAmplitude(**box.credentials) as amplitude:
            flags = amplitude.experiment.flags
            made = await flags.create(project_id=box.project_id, key="x")
            clock.now += 3600
            await flags.update(made["id"], name="later")
            clock.now += 3600
            await flags.add_inclusions(made["id"], "on", "user-1")
            other = await amplitude.experiment.experiments.create(project_id=box.project_id, key="y")
            found = await flags.versions(made["id"])
            assert [(item["version"], item["flagConfig"]["name"]) for item in found] == [(3, "later"), (2, "later"), (1, "x")]
            assert (await flags.version(made["id"], 1))["createdAt"] == "2026-05-04T09:00:00.000Z"
            with pytest.raises(NotFoundError):
                await flags.version(made["id"], 4)
            everything = [item async for item in amplitude.experiment.versions.list(limit=3)]
            assert [item["flagConfig"]["id"] for item in everything] == [other["id"], made["id"], made["id"], made["id"]]
            some = amplitude.experiment.versions.list(start="2026-05-04T10:00:00Z", end="2026-05-04T11:00:00Z")
            assert [item["version"] async for item in some] == [2]


async def test_groups_are_made_changed_and_archived(box: Sandbox) -> None:
    """Mutual exclusion and holdout groups; numbers stay numbers."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        experiment = amplitude.experiment
        ident = int(await running(experiment, box, "x"))
        mutex = await experiment.mutexes.create(
            project_id=box.project_id, name="Checkout", key="m", slots=[{"percentage": 70, "experiments": [ident]}, 30]
        )
        found = await experiment.mutexes.get(mutex["id"])
        assert [(slot["index"], slot["variantKey"], slot["percentage"], slot["experiments"]) for slot in found["slots"]] == [
            (1, "slot-1", 70, [ident]),
            (2, "slot-2", 30, []),
        ]
        await experiment.mutexes.update(mutex["id"], name="Cart", description="d")
        await experiment.mutexes.update_slot(mutex["id"], 2, experiments=ident, individuals=["user-1"])
        found = await experiment.mutexes.get(str(mutex["id"]))
        assert (found["name"], found["slots"][1]["experiments"], found["slots"][1]["individuals"]) == ("Cart", [ident], ["user-1"])
        holdout = await experiment.holdouts.create(project_id=box.project_id, name="Q1", holdout_percentage=5, experiments=[ident])
        await experiment.holdouts.update(holdout["id"], individual_inclusion=["user-2"])
        held = await experiment.holdouts.get(holdout["id"])
        assert (held["holdoutPercentage"], held["experiments"], held["individualInclusion"]) == (5, [ident], ["user-2"])
        assert [item["name"] async for item in experiment.mutexes.list()] == ["Cart"]
        await experiment.mutexes.archive(mutex["id"])
        await experiment.holdouts.archive(holdout["id"])
        assert [item async for item in experiment.mutexes.list()] == [item async for item in experiment.holdouts.list()] == []
        assert (await experiment.mutexes.get(mutex["id"]))["slots"][0]["experiments"] == []


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("flags", {"key": "x"}, "projectId"),
    ("flags", {"projectId": "1"}, "key is required"),
    ("flags", {"projectId": "1", "key": "taken"}, "taken"),
    ("mutexes", {"projectId": 1, "key": "taken", "name": "m", "slots": [{"percentage": 100}]}, "taken"),
    ("flags", {"projectId": "1", "key": "x", "deployments": ["77"]}, "no deployment 77"),
    ("flags", {"projectId": "1", "key": "x", "variants": []}, "variants"),
    ("flags", {"projectId": "1", "key": "x", "variants": [{"key": "off"}]}, "off"),
    ("flags", {"projectId": "1", "key": "x", "rolloutWeights": {"nope": 1}}, "nope"),
    ("flags", {"projectId": "1", "key": "x", "evaluationMode": "both"}, "remote, local"),
    ("flags", {"projectId": "1", "key": "x", "targetSegments": [{**NORDIC, "rolloutWeights": {}, "percentage": 101}]}, "percentage"),
    ("flags", {"projectId": "1", "key": "x", "targetSegments": [{**NORDIC, "conditions": [{"type": "cohort"}]}]}, "property"),
    ("flags", {"projectId": "1", "key": "x", "parentDependencies": {"flags": {"77": ["on"]}}}, "no such experiment"),
    ("experiments", {"projectId": "1", "key": "x", "experimentType": "c-d-test"}, "a-b-test"),
    ("mutexes", {"projectId": 1, "slots": [{"percentage": 100}]}, "name"),
    ("mutexes", {"projectId": 1, "name": "m", "slots": [{"percentage": 60}]}, "60"),
    ("mutexes", {"projectId": 1, "name": "m", "slots": [{"percentage": 100, "experiments": [77]}]}, "no experiment 77"),
    ("holdouts", {"projectId": 1, "name": "h", "holdoutPercentage": 100}, "1 to 99"),
    ("holdouts", {"projectId": 1, "name": "h", "holdoutPercentage": 5, "experiments": [77]}, "no experiment 77"),
    ("holdouts", {"projectId": 1, "name": "h", "holdoutPercentage": 5, "evaluationMode": "local", "experiments": [60002]}, "fit"),
    ("deployments", {"projectId": "1", "label": "a b", "type": "server"}, "label"),
    ("deployments", {"projectId": "1", "label": "a", "type": "both"}, "client, server"),
]


async def test_what_the_sandbox_refuses_to_make(box: Sandbox) -> None:
    """400 (or 404 for a parent that is not there) in this API's envelope, naming what is wrong; and nothing is made."""
    headers = {"Authorization": "Bearer sandbox"}
    async with httpx.AsyncClient(verify=False, base_url=f"{box.url}/api/1", headers=headers) as client:
        for kind, key in (("flags", "taken"), ("experiments", "other")):
            assert (await client.post(f"/{kind}", json={"projectId": "1", "key": key})).status_code == 200
        for path, body, message in REFUSED:
            answer = await client.post(f"/{path}", json=body)
            assert answer.status_code in {400, 404}, body
            assert message in answer.json()["error"]["message"], body
        for kind, count in (("flags", 1), ("experiments", 1), ("mutexes", 0), ("holdouts", 0), ("deployments", 1)):
            assert len((await client.get(f"/{kind}")).json()[kind]) == count


async def test_forms_of_requests_that_contradict_each_other_are_all_taken(box: Sandbox) -> None:
    """A variant may be changed by POST, a deployment made and changed by query parameters."""
    headers = {"Authorization": "Bearer sandbox"}
    async with httpx.AsyncClient(verify=False, base_url=f"{box.url}/api/1", headers=headers) as client:
        ident = (await client.post("/flags", json={"projectId": "1", "key": "x"})).json()["id"]
        answer = await client.post(f"/flags/{ident}/variants/on", json={"name": "On"})
        assert (answer.status_code, answer.text) == (200, "OK")
        assert (await client.get(f"/flags/{ident}/variants/on")).json()["name"] == "On"
        made = (await client.post("/deployments", params={"projectId": "1", "label": "a", "type": "client"})).json()["id"]
        assert (await client.patch(f"/deployments/{made}", params={"archive": "true"})).text == "OK"
        listed = (await client.get("/deployments")).json()
        assert [item["label"] for item in listed["deployments"]] == ["default"]
        assert "nextCursor" not in listed
        assert (await client.patch("/deployments/1", json={"label": "mine"})).status_code == 400
        assert (await client.get("/flags", params={"limit": "1001"})).status_code == 400
        assert (await client.delete(f"/flags/{ident}/variants/on/users/first")).status_code == 400
        bulk = f"/flags/{ident}/variants/on/bulk-delete-users"
        assert (await client.request("DELETE", bulk, json={"users": ["u"] * 101})).status_code == 400


async def test_who_may_come_in(box: Sandbox) -> None:
    """Each API takes its own key; none, or another's, is 401."""
    async with AsyncAmplitude(box.api_key, base_url=box.url, deployment_key="wrong", management_key="wrong") as amplitude:
        for call in (amplitude.experiment.variants("user-1"), amplitude.experiment.flag_configs(), amplitude.experiment.flags.get(1)):
            with pytest.raises(AuthenticationError) as caught:
                await call
            assert caught.value.status == 401
    async with httpx.AsyncClient(verify=False, base_url=box.url) as client:
        assert (await client.get("/v1/vardata", params={"user_id": "u"})).status_code == 401
        assert (await client.get("/api/1/flags")).status_code == 401


async def test_a_strict_sandbox_keeps_its_own_project_and_rates() -> None:
    """Another project is 403, the 101st request of a second 429, and a flag of no deployment is served to nobody."""
    clock = Clock()
    with Sandbox(strict=True, clock=clock) as box:
        async with AsyncAmplitude(**box.credentials, max_retries=0) as amplitude:
            experiment = amplitude.experiment
            with pytest.raises(AuthenticationError) as caught:
                await experiment.flags.create(project_id=7, key="x")
            assert caught.value.status == 403
            await served(experiment, box, "x")
            await served(experiment, box, "y", deployments=["1"])
            assert {*await experiment.variants("user-1")} == {"y"}
        headers = {"Authorization": "Bearer sandbox"}
        async with httpx.AsyncClient(verify=False, base_url=f"{box.url}/api/1", headers=headers) as client:
            statuses = [(await client.get("/flags")).status_code for _ in range(97)]
            assert Counter(statuses) == {200: 95, 429: 2}
            clock.now += 1
            assert (await client.get("/flags")).status_code == 200


async def test_a_web_experiment_cannot_be_edited(box: Sandbox) -> None:
    """405, as Amplitude answers."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        experiments = amplitude.experiment.experiments
        made = await experiments.create(project_id=box.project_id, key="x", deliveryMethod="web")
        with pytest.raises(ResponseError) as caught:
            await experiments.update(made["id"], name="y")
        assert caught.value.status == 405


async def test_a_file_keeps_flags(tmp_path: Any) -> None:
    """What was made is there when the sandbox is started again."""
    store = str(tmp_path / "sandbox.db")
    with Sandbox(store=store) as box:
        async with AsyncAmplitude(**box.credentials) as amplitude:
            await served(amplitude.experiment, box, "x")
            before = await assigned(amplitude.experiment, 5)
    with Sandbox(store=store) as box:
        async with AsyncAmplitude(**box.credentials) as amplitude:
            assert [flag["key"] async for flag in amplitude.experiment.flags.list()] == ["x"]
            assert await assigned(amplitude.experiment, 5) == before


# Evaluation


async def test_users_are_dealt_out_and_stay_where_they_are(box: Sandbox) -> None:
    """Everybody gets a variant with its payload and run, the same each time; raising the share takes nothing from anybody."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        experiment = amplitude.experiment
        variants: Any = [{"key": "control"}, {"key": "treatment", "payload": {"color": "teal"}}]
        ident = await running(experiment, box, "checkout-v2", variants=variants)
        await experiment.experiments.update(ident, rollout_percentage=40)
        some = await assigned(experiment)
        await experiment.experiments.update(ident, rollout_percentage=100)
        everybody = await assigned(experiment)
        assert await assigned(experiment) == everybody
        assert 0 < len([user for user, got in some.items() if got]) < len(some)
        assert all(everybody[user] == got for user, got in some.items() if got)
        counts = Counter(got["checkout-v2"] for got in everybody.values())
        assert 4 < counts["control"] < 20
        assert counts.total() == 24
        treated = next(user for user, got in everybody.items() if got["checkout-v2"] == "treatment")
        found = (await experiment.variants(treated))["checkout-v2"]
        assert (found["payload"], found["expKey"]) == ({"color": "teal"}, "exp-1")
        assert "evaluationId" in found


async def test_an_assignment_is_recorded_once_a_day_unless_asked_otherwise(box: Sandbox) -> None:
    """The event says which variants, the user's properties too; without tracking nothing is stored."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        await served(amplitude.experiment, box, "x")
        for _ in range(3):
            await amplitude.experiment.variants("user-12345", track=False)
        who = (await amplitude.user_search("user-12345"))["matches"][0]["amplitude_id"]
        assert (await amplitude.user_activity(who))["events"] == []
        for _ in range(3):
            assert (await amplitude.experiment.variant("x", "user-12345")) is not None
        (event,) = (await amplitude.user_activity(who))["events"]
        assert event["event_type"] == "[Experiment] Assignment"
        assert event["event_properties"]["x.variant"] == "on"
        assert event["event_properties"]["x.details"] == "v2 rule:All Other Users"
        assert event["user_properties"]["[Experiment] x"] == "on"


async def test_segments_look_at_what_is_sent_and_what_is_stored(box: Sandbox) -> None:
    """The request's properties count before those that earlier events left."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        experiment = amplitude.experiment
        made = await experiment.experiments.create(project_id=box.project_id, key="x", target_segments=[GOLD])
        await experiment.experiments.update(made["id"], enabled=True)
        await amplitude.track(
            {"event_type": "e", "user_id": "user-12345", "user_properties": {"tier": "gold"}, "device_id": "device-1"}
        )
        assert await experiment.variant("x", "user-12345") is not None
        assert await experiment.variant("x", device_id="device-1") is not None
        assert await experiment.variant("x", "user-12345", user_properties={"tier": "grey"}) is None
        assert await experiment.variant("x", "user-99999") is None
        assert await experiment.variant("x", "user-99999", context={"user_properties": {"tier": "grounded"}}) is not None


async def test_built_in_properties_and_groups_are_stored_too(box: Sandbox) -> None:
    """Country and group properties of earlier events and identifications count."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        experiment = amplitude.experiment
        made = await experiment.flags.create(project_id=box.project_id, key="x", target_segments=[NORDIC])
        await experiment.flags.update(made["id"], enabled=True)
        await amplitude.track({"event_type": "e", "user_id": "user-12345", "country": "Norway"})
        assert await experiment.variant("x", "user-12345") is not None
        assert await experiment.variant("x", "user-12345", country="Peru") is None


async def test_inclusions_come_first(box: Sandbox) -> None:
    """Users and devices that are named get their variant whatever the segments say; an inactive flag gives nobody anything."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        experiment = amplitude.experiment
        ident = await running(experiment, box, "x", target_segments=[GOLD])
        await experiment.experiments.add_inclusions(ident, "control", ["user-12345", "device-1"])
        await experiment.experiments.update(ident, rollout_percentage=0)
        for user in ({"user_id": "user-12345"}, {"device_id": "device-1"}):
            found = await experiment.variant("x", **user, user_properties={"tier": "gold"})  # type: ignore[arg-type]  # each id is a text
            assert found is not None
            assert found["key"] == "control"
        await experiment.experiments.update(ident, enabled=False)
        assert await experiment.variants("user-12345") == {}


async def test_members_of_a_cohort_are_included(tmp_path: Any) -> None:
    """A cohort that is named for a variant has its members get it, and nobody else."""
    store = str(tmp_path / "sandbox.db")
    with Sandbox(store=store) as box:
        async with AsyncAmplitude(**box.credentials) as amplitude:
            ident = await running(amplitude.experiment, box, "x")
            await amplitude.experiment.experiments.update(ident, rollout_percentage=0)
            await amplitude.experiment.experiments.add_cohort_inclusions(ident, "treatment", ["abc"])
            assert await assigned(amplitude.experiment, 2) == {"user-00000": {}, "user-00001": {}}
            who = (await amplitude.user_search("user-00001"))["matches"][0]["amplitude_id"]
    database = sqlite3.connect(store, isolation_level=None)
    Documents(database).put("cohorts", "abc", {"id": "abc", "group": "User", "members": [who]})
    database.close()
    with Sandbox(store=store) as box:
        async with AsyncAmplitude(**box.credentials) as amplitude:
            assert await assigned(amplitude.experiment, 2) == {"user-00000": {}, "user-00001": {"x": "treatment"}}


async def test_a_sticky_assignment_outlives_its_rules(box: Sandbox) -> None:
    """Whoever had a variant keeps it when the rules would give another; whoever had none gets what the rules say."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        experiment = amplitude.experiment
        ident = await running(experiment, box, "x")
        await experiment.experiments.update(ident, sticky_bucketing=True)
        before = await assigned(experiment, 12)
        await experiment.experiments.update(ident, rollout_percentage=0)
        assert await assigned(experiment, 12) == before
        assert await experiment.variants("user-99999") == {}
        await experiment.experiments.update(ident, sticky_bucketing=False)
        assert {*map(str, (await assigned(experiment, 12)).values())} == {"{}"}


async def test_at_most_one_experiment_of_a_mutual_exclusion_group(box: Sandbox) -> None:
    """Every user is in the slot of one experiment, by the slots' shares; the group itself is never given."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        experiment = amplitude.experiment
        first, second = [int(await running(experiment, box, key)) for key in ("first", "second")]
        mutex = await experiment.mutexes.create(
            project_id=box.project_id,
            name="m",
            bucketing_key="user_id",
            slots=[{"percentage": 70, "experiments": [first]}, {"percentage": 20, "experiments": [second]}, 10],
        )
        found = await assigned(experiment)
        counts = Counter(next(iter(got), None) for got in found.values())
        assert {len(got) for got in found.values()} == {0, 1}
        assert counts["first"] > counts["second"] > 0
        lonely = next(user for user, got in found.items() if not got)
        await experiment.mutexes.update_slot(mutex["id"], 2, individuals=[lonely])
        assert {*await experiment.variants(lonely)} == {"second"}
        await experiment.mutexes.archive(mutex["id"])
        assert {len(got) for got in (await assigned(experiment, 8)).values()} == {2}


async def test_a_holdout_sees_no_experiment(box: Sandbox) -> None:
    """The held-out share gets none of its experiments, those included never, those excluded always; which is a user property."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        experiment = amplitude.experiment
        ident = await running(experiment, box, "x")
        await running(experiment, box, "free")
        holdout = await experiment.holdouts.create(
            project_id=box.project_id, name="Q1", key="q1", holdout_percentage=30, bucketing_key="user_id", experiments=[ident]
        )
        found = await assigned(experiment)
        held = [user for user, got in found.items() if "x" not in got]
        assert 0 < len(held) < 24
        assert all("free" in got for got in found.values())
        seen = next(user for user, got in found.items() if "x" in got)
        await experiment.holdouts.update(holdout["id"], individual_inclusion=[seen], individual_exclusion=[held[0]])
        assert await experiment.variant("x", seen) is None
        assert await experiment.variant("x", held[0]) is not None
        who = (await amplitude.user_search(seen))["matches"][0]["amplitude_id"]
        (event,) = (await amplitude.user_activity(who))["events"]
        assert event["user_properties"]["[Experiment] q1"] == "holdout"
        assert "[Experiment] x" not in event["user_properties"]


async def test_dependencies_are_met_or_nothing_is_given(box: Sandbox) -> None:
    """A flag asks for variants of others: of all of them, or of any; a circle is refused."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        experiment = amplitude.experiment
        parents = [await served(experiment, box, key) for key in ("p1", "p2")]
        wanted = {"flags": {parents[0]: ["on"], parents[1]: ["on"]}, "operator": "all"}
        child = await served(experiment, box, "child", parentDependencies=wanted)
        assert {*await experiment.variants("user-1")} == {"p1", "p2", "child"}
        assert {*await experiment.variants("user-1", flag_keys=["child"])} == {"child"}
        await experiment.flags.update(parents[1], enabled=False)
        assert {*await experiment.variants("user-1")} == {"p1"}
        await experiment.flags.update(child, parentDependencies={**wanted, "operator": "any"})
        assert {*await experiment.variants("user-1")} == {"p1", "child"}
        await experiment.flags.archive(parents[0])
        assert await experiment.variants("user-1") == {}
        with pytest.raises(BadRequestError, match="circle"):
            await experiment.flags.update(parents[1], parentDependencies={"flags": {child: ["on"]}})


@pytest.mark.parametrize("mode", ["local", "remote"])
async def test_local_evaluation_comes_to_what_remote_evaluation_says(box: Sandbox, mode: str) -> None:
    """Rules of local flags, their groups included, give every user what the server gives; remote ones have none."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        experiment = amplitude.experiment
        fields: Any = {"evaluation_mode": mode}
        first, second = [await running(experiment, box, key, **fields, target_segments=[GOLD]) for key in ("first", "second")]
        await experiment.experiments.update(second, rollout_percentage=35.5)
        await experiment.experiments.add_inclusions(second, "treatment", ["user-00003"])
        await experiment.mutexes.create(
            project_id=1, name="m", bucketing_key="user_id", slots=[{"percentage": 80, "experiments": [first, second]}, 20], **fields
        )
        await experiment.holdouts.create(
            project_id=1, name="h", holdout_percentage=30, bucketing_key="user_id", experiments=[first], **fields
        )
        configs = await experiment.flag_configs()
        if mode == "remote":
            assert configs == []
            return
        assert len(configs) == 4
        assert [config["key"] for config in await experiment.flag_configs(flag_keys=["second"])] == ["second", "mutex-60003"]
        for number in range(20):
            user = {"user_id": f"user-{number:05}", "user_properties": {"tier": "gold"} if number % 3 else {}}
            remote = await experiment.variants(user["user_id"], user_properties=user["user_properties"], track=False)  # type: ignore[arg-type]  # as built above
            local = experiment.evaluate_locally(configs, user)
            assert {key: variant["key"] for key, variant in local.items()} == {key: variant["key"] for key, variant in remote.items()}


async def test_what_evaluation_refuses(box: Sandbox) -> None:
    """400 without ids and for a context that is no JSON object."""
    headers = {"Authorization": "Api-Key sandbox"}
    async with httpx.AsyncClient(verify=False, base_url=box.url, headers=headers) as client:
        for query in ({}, {"user_id": ""}, {"context": "{"}, {"user_id": "u", "context": "[1]"}, {"context": '{"country": "Norway"}'}):
            answer = await client.get("/v1/vardata", params=query)
            assert answer.status_code == 400, query
            assert answer.json()["error"]["message"]
        assert (await client.get("/v1/vardata", params={"context": '{"device_id": "d-1"}'})).json() == {}
        assert (await client.get("/v1/vardata", params={"user_id": "u", "flag_key": "x"})).json() == {}


async def test_amplitudes_own_sdks_are_answered(box: Sandbox) -> None:
    """POST with a user object or GET with one in a header; defaults and metadata come too, exposures are recorded where asked for."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        await served(amplitude.experiment, box, "x", evaluation_mode="local")
        made = await amplitude.experiment.flags.create(project_id=1, key="idle")
        headers = {"Authorization": "Api-Key sandbox"}
        async with httpx.AsyncClient(verify=False, base_url=box.url, headers=headers) as client:
            answer = (await client.post("/sdk/v2/vardata?v=0", json={"user_id": "user-12345", "country": None})).json()
            assert {key: (each["key"], each["metadata"].get("default")) for key, each in answer.items()} == {
                "x": ("on", None),
                "idle": ("off", True),
            }
            # {"user_id":"user-12345"} and ["x"], without padding.
            only = {"X-Amp-Exp-User": "eyJ1c2VyX2lkIjoidXNlci0xMjM0NSJ9", "X-Amp-Exp-Flag-Keys": "WyJ4Il0"}
            exposed = {**only, "X-Amp-Exp-Exposure-Track": "track", "X-Amp-Exp-Track": "no-track"}
            assert {*(await client.get("/sdk/v2/vardata?v=0", headers=exposed)).json()} == {"x"}
            for bad in ({"X-Amp-Exp-User": "?"}, {**only, "X-Amp-Exp-Flag-Keys": "e30"}):
                assert (await client.get("/sdk/v2/vardata", headers=bad)).status_code == 400
            assert [each["key"] for each in (await client.get("/sdk/v2/flags?v=0")).json()] == ["x"]
        who = (await amplitude.user_search("user-12345"))["matches"][0]["amplitude_id"]
        events = (await amplitude.user_activity(who))["events"]
        assert {event["event_type"] for event in events} == {"[Experiment] Exposure", "[Experiment] Assignment"}
        assert len(events) == 2
        await amplitude.experiment.flags.archive(made["id"])
