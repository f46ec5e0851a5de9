"""The tracking plan over the sandbox: round trips, and the tables of Amplitude's page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from amplitude_async import AsyncAmplitude, AuthenticationError, BadRequestError, NotFoundError, ResponseError
from amplitude_async.sandbox import Sandbox
from amplitude_async.sandbox.apis import taxonomy as served

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

pytestmark = pytest.mark.anyio

COME = {"event_type": "come", "user_id": "user-1", "event_properties": {"coupon": "x"}, "user_properties": {"tier": "gold"}}


async def refusal(call: Awaitable[object]) -> str:
    """Return the words of a 409."""
    with pytest.raises(ResponseError) as caught:
        await call
    assert caught.value.status == 409
    return str(caught.value).removeprefix("Request failed with status code 409: ")


def names(answer: Any, key: str) -> list[str]:
    return [each[key] for each in answer["data"]]


async def test_a_category_from_beginning_to_end(box: Sandbox) -> None:
    """It is created, found by name, renamed and deleted by id, and its events follow."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        categories, events = amplitude.taxonomy.categories, amplitude.taxonomy.events
        assert await categories.create("Check/out") == {"success": True}
        found = (await categories.get("Check/out"))["data"]
        assert (await categories.list())["data"] == [found]
        await events.create("order", category="Check/out")
        assert (await events.get("order"))["data"]["category"] == {"name": "Check/out"}
        await categories.update(found["id"], name="Checkout")
        assert (await events.get("order"))["data"]["category"] == {"name": "Checkout"}
        assert await categories.delete(found["id"]) == {"success": True}
        assert (await events.get("order"))["data"]["category"] is None
        with pytest.raises(BadRequestError, match="Not found"):
            await categories.get("Checkout")
        assert await refusal(categories.update(found["id"], name="x")) == (
            f'Attempted to operate on entity event_category, id "{found["id"]}", that does not exist.'
        )
        await categories.create("x")
        assert await refusal(categories.create("x")) == 'Attempted to add an event category, "x", that already exists.'


async def test_an_event_type_from_beginning_to_end(box: Sandbox) -> None:
    """What is said of it is read back; an update changes what it names and nothing else."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        events = amplitude.taxonomy.events
        await events.create("Play Song?", description="first", tags=["a", "b"], owner="kari@example.org", category="New")
        before = (await events.get("Play Song?"))["data"]
        assert before == {
            "event_type": "Play Song?",
            "category": {"name": "New"},
            "description": "first",
            "display_name": None,
            "is_active": True,
            "is_hidden_from_dropdowns": False,
            "is_hidden_from_persona_results": False,
            "is_hidden_from_pathfinder": False,
            "is_hidden_from_timeline": False,
            "tags": ["a", "b"],
            "owner": "kari@example.org",
        }
        await events.update("Play Song?", description="second", is_active=False, tags=[])
        after = (await events.get("Play Song?"))["data"]
        assert after == {**before, "description": "second", "is_active": False, "tags": []}
        await events.update("Play Song?", new_event_type="Song played", category="")
        assert (await events.list())["data"] == [{**after, "event_type": "Song played", "category": None}]
        assert await refusal(events.create("Song played")) == 'Attempted to add an event type, "Song played", that already exists.'
        assert "not in schema" in await refusal(events.update("Play Song?", description="x"))


async def test_what_can_only_be_said_of_events_that_have_come(box: Sandbox) -> None:
    """Names for charts and their visibility need data; then a hidden event is left out of the list, but not of a single question."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        events = amplitude.taxonomy.events
        await events.create("come")
        expected = 'Attempted to change the event display name for event "come", but the event is not in schema.'
        assert await refusal(events.update("come", display_name="Come!")) == expected
        assert "is hidden from timeline" in await refusal(events.update("come", is_hidden_from_timeline=True))
        await amplitude.track(COME)
        await events.update("come", display_name="Come!", is_hidden_from_timeline=True)
        assert (await events.list(show_deleted=True))["data"] == []
        assert (await events.get("come"))["data"]["display_name"] == "Come!"


STATES = ["live", "unexpected", "planned", "deleted", "not found"]


async def brought_to(amplitude: AsyncAmplitude, state: str, create: Any, delete: Any) -> None:
    if state in {"live", "unexpected", "deleted"}:
        await amplitude.track(COME)
    if state in {"live", "planned"}:
        await create()
    if state == "deleted":
        await delete()


@pytest.mark.parametrize("kind", ["event", "event property", "user property"])
@pytest.mark.parametrize(
    ("state", "deleted", "restorable"),
    [
        ("live", "marked", True),
        ("unexpected", "marked", True),
        ("planned", "gone", False),
        ("deleted", "error", True),
        ("not found", "error", False),
    ],
)
async def test_deleting_and_restoring(box: Sandbox, kind: str, state: str, deleted: str, restorable: bool) -> None:  # noqa: FBT001 - a case
    """The table of Amplitude's page: what becomes of a thing in each state when it is deleted, and whether it can be restored after."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        taxonomy = amplitude.taxonomy
        made, name = {
            "event": (taxonomy.events, "come"),
            "event property": (taxonomy.event_properties, "coupon"),
            "user property": (taxonomy.user_properties, "gp:tier"),
        }[kind]
        verbs: Any = made

        async def is_there() -> bool:
            try:
                await verbs.get(name)
            except (BadRequestError, NotFoundError):
                return False
            return True

        await brought_to(amplitude, state, lambda: verbs.create(name), lambda: verbs.delete(name))
        assert await is_there() == (state in {"live", "unexpected", "planned"})
        if state != "deleted":
            assert "that is not deleted" in await refusal(verbs.restore(name))
        if deleted == "error":
            assert await refusal(verbs.delete(name))
        else:
            assert await verbs.delete(name) == {"success": True}
        assert not await is_there()
        if restorable:
            assert "already exists" in await refusal(verbs.create(name))
            assert await verbs.restore(name) == {"success": True}
            assert await is_there()
        else:
            assert await refusal(verbs.restore(name))
            await verbs.create(name)


async def test_deleted_events_are_listed_when_asked_for(box: Sandbox) -> None:
    """They are, and only then."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        await amplitude.track([COME, {**COME, "event_type": "other"}])
        await amplitude.taxonomy.events.delete("come")
        assert names(await amplitude.taxonomy.events.list(), "event_type") == ["other"]
        assert sorted(names(await amplitude.taxonomy.events.list(show_deleted=True), "event_type")) == ["come", "other"]


async def test_overrides(box: Sandbox) -> None:
    """A property that exists elsewhere becomes an override; an update finds the override, makes one, or drops it, as its scope says."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        properties = amplitude.taxonomy.event_properties
        for event in ("order", "refund"):
            await amplitude.taxonomy.events.create(event)

        async def said(event_type: str | None) -> str | None:
            return (await properties.get("coupon", event_type=event_type))["data"]["description"]

        await properties.create("coupon", event_type="order", description="shared")
        assert (await properties.get("coupon"))["data"]["event_type"] is None
        assert await said("order") == await said(None) == "shared"
        assert await refusal(properties.create("coupon", event_type="order")) == (
            'Attempted to add an event property, "coupon" for event "order", that already exists.'
        )
        await properties.create("coupon", event_type="refund", description="of refunds")
        assert [await said(event) for event in ("order", "refund", None)] == ["shared", "of refunds", "shared"]

        await properties.update("coupon", event_type="refund", description="of refunds 2")
        await properties.update("coupon", event_type="order", description="shared 2")
        assert [await said(event) for event in ("order", "refund", None)] == ["shared 2", "of refunds 2", "shared 2"]

        await properties.update("coupon", event_type="order", override_scope="override", description="of orders")
        await properties.update("coupon", description="shared 3")
        assert [await said(event) for event in ("order", "refund", None)] == ["of orders", "of refunds 2", "shared 3"]
        assert "without event_type" in await refusal(properties.update("coupon", event_type="order", classifications="PII"))

        await properties.update("coupon", event_type="order", override_scope="shared", description="shared 4")
        assert [await said(event) for event in ("order", "refund", None)] == ["shared 4", "of refunds 2", "shared 4"]

        await amplitude.taxonomy.events.update("refund", new_event_type="refunded")
        await properties.update("coupon", new_event_property_value="voucher")
        found = (await properties.get("voucher", event_type="refunded"))["data"]
        assert (found["event_property"], found["event_type"], found["description"]) == ("voucher", "refunded", "of refunds 2")
        assert names(await properties.list(), "event_property") == ["voucher"]

        await properties.delete("voucher", event_type="order")
        assert (await properties.list(event_type="order"))["data"] == []
        assert names(await properties.list(event_type="refunded"), "event_property") == ["voucher"]
        assert "already deleted" in await refusal(properties.delete("voucher", event_type="order"))
        await properties.restore("voucher", event_type="order")
        assert names(await properties.list(event_type="order"), "event_property") == ["voucher"]
        assert "does not exist" in await refusal(properties.delete("nothing", event_type="order"))
        assert 'entity event, "nobody"' in await refusal(properties.create("x", event_type="nobody"))


async def test_what_a_property_may_be(box: Sandbox) -> None:
    """Types, patterns, choices and classifications are read back, and refused where they do not fit."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        properties = amplitude.taxonomy.user_properties
        await properties.create("tier", type="enum", enum_values=["gold", "silver"], classifications=["PII", "SENSITIVE"])
        await properties.create("tags", is_array_type=True)
        await properties.create("gp:email", type="string", regex="@")
        found = {each["user_property"]: each for each in (await properties.list())["data"]}
        assert found["gp:tier"] == {
            "user_property": "gp:tier",
            "description": None,
            "type": "enum",
            "enum_values": "gold,silver",
            "regex": None,
            "is_array_type": False,
            "is_hidden": False,
            "classifications": ["PII", "SENSITIVE"],
            "deleted": False,
        }
        assert (found["gp:tags"]["type"], found["gp:email"]["regex"]) == ("string", "@")
        wrong: list[Any] = [
            {"regex": "x"},
            {"enum_values": "a"},
            {"type": "date"},
            {"classifications": "SECRET"},
            {"is_array_type": "perhaps"},
        ]
        for fields in wrong:
            with pytest.raises(BadRequestError):
                await properties.create("other", **fields)
        assert "not in schema" in await refusal(properties.update("gp:tier", is_hidden=True))
        assert await refusal(properties.update("gp:nothing", description="x")) == (
            'Attempted to change the user property description for property "nothing", but the property is not in schema.'
        )


async def test_user_properties_of_amplitude_and_of_people(box: Sandbox) -> None:
    """Amplitude's own are listed and stay; those that came are spelled gp:; hidden ones are not listed, deleted ones say so."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        properties = amplitude.taxonomy.user_properties
        await amplitude.track(COME)
        listed = names(await properties.list(), "user_property")
        assert {"device_id", "user_id", "gp:tier"} <= set(listed)
        assert "Amplitude's own" in await refusal(properties.delete("device_id"))
        assert "already exists" in await refusal(properties.create("device_id"))
        with pytest.raises(NotFoundError, match="Not found"):
            await properties.get("tier")
        await properties.create("tier")
        await properties.update("gp:tier", is_hidden=True)
        assert "gp:tier" not in names(await properties.list(), "user_property")
        assert (await properties.get("gp:tier"))["data"]["is_hidden"] is True
        await properties.update("gp:tier", is_hidden=False)
        await properties.delete("gp:tier")
        with pytest.raises(NotFoundError):
            await properties.get("gp:tier")
        assert (await properties.get("gp:tier", show_deleted=True))["data"]["deleted"] is True
        assert "gp:tier" in names(await properties.list(show_deleted=True), "user_property")


async def test_group_properties(box: Sandbox) -> None:
    """They need a group type that came, are overridden for one, and are not deleted here."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        properties = amplitude.taxonomy.group_properties
        for call in (properties.create("grp:plan", group_type="company"), properties.list(group_type="company")):
            with pytest.raises(NotFoundError, match="company"):
                await call
        await amplitude.group_identify({"group_type": "company", "group_value": "acme", "group_properties": {"size": 5}})
        await amplitude.track({**COME, "groups": {"team": ["blue"]}})
        assert (await properties.get("grp:size", group_type="company"))["data"]["description"] == ""
        await properties.create("grp:plan", group_type="company", description="shared")
        await properties.create("grp:plan", group_type="team", description="of teams", type="string")
        assert await refusal(properties.create("grp:plan")) == 'Attempted to add a group property, "plan", that already exists.'
        assert names(await properties.list(), "group_property") == ["grp:plan", "grp:size"]
        assert (await properties.get("grp:plan", group_type="team"))["data"]["description"] == "of teams"
        assert "without group_type" in await refusal(properties.update("grp:plan", group_type="team", classifications="PII"))
        with pytest.raises(BadRequestError, match="own"):
            await properties.create("source", description="x")
        await properties.create("source", group_type="company")
        assert "Amplitude's own" in await refusal(properties.update("source", description="x"))


def form(box: Sandbox, method: str, path: str, fields: dict[str, str], **query: str) -> httpx.Response:
    auth = (box.api_key, box.secret_key)
    return httpx.request(method, f"{box.url}/api/2/taxonomy/{path}", data=fields, params=query, auth=auth, trust_env=False)


def test_parameters_are_read_from_query_and_body(box: Sandbox) -> None:
    """Amplitude's samples put them into the body of a GET, and into the query: both are read, and both ways to ask for one property."""
    assert form(box, "POST", "event", {"event_type": "order"}).json() == {"success": True}
    assert form(box, "POST", "event-property", {"event_property": "coupon", "event_type": "order"}).status_code == 200
    by_body = form(box, "GET", "event-property", {"event_type": "order"}).json()
    by_query = form(box, "GET", "event-property", {}, event_type="order").json()
    assert by_body == by_query
    assert len(by_body["data"]) == 1
    single = form(box, "GET", "event-property", {}, event_property="coupon", event_type="order").json()
    assert single["data"] == by_body["data"][0]
    assert form(box, "DELETE", "event-property/coupon", {"event_type": "order"}).status_code == 200
    restored = form(box, "POST", "event-property/coupon/restore", {"event_type": "order"})
    assert (restored.status_code, restored.json()) == (201, {"success": True})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "nothing", 404),
        ("GET", "event/a/b", 405),
        ("POST", "event/a/delete", 405),
        ("DELETE", "event", 405),
        ("DELETE", "group-property/grp:x", 405),
        ("POST", "group-property/grp:x/restore", 405),
        ("POST", "category", 400),
        ("POST", "event", 400),
        ("GET", "event/nothing", 400),
        ("GET", "event-property/nothing", 400),
        ("GET", "user-property/nothing", 404),
    ],
)
def test_refusals_have_the_envelope(box: Sandbox, method: str, path: str, status: int) -> None:
    """Whatever is refused, it is refused in this API's words."""
    answer = form(box, method, path, {})
    assert answer.status_code == status
    assert answer.json()["success"] is False
    assert answer.json()["errors"][0]["message"]


async def test_wrong_keys_are_refused(box: Sandbox) -> None:
    """A wrong secret is a 403, in the envelope too."""
    credentials: Any = {**box.credentials, "secret_key": "another-secret"}
    async with AsyncAmplitude(**credentials) as amplitude:
        with pytest.raises(AuthenticationError, match="Invalid API/Secret Key") as caught:
            await amplitude.taxonomy.events.list()
    assert caught.value.status == 403


async def test_many_calls_at_once_stay_within_the_limit() -> None:
    """Of forty reads and twenty writes at once, a strict sandbox refuses none: the client holds them back."""
    with Sandbox(strict=True) as box:
        async with AsyncAmplitude(**box.credentials) as amplitude:

            async def call(number: int) -> None:
                if number % 3:
                    await amplitude.with_options(max_retries=0).taxonomy.events.list()
                else:
                    await amplitude.with_options(max_retries=0).taxonomy.events.create(f"event {number}")

            async with anyio.create_task_group() as group:
                for number in range(60):
                    group.start_soon(call, number)
            assert len((await amplitude.taxonomy.events.list())["data"]) == 20


def test_the_hour_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a strict sandbox, what goes beyond the hour's cost is a 429; otherwise nothing is counted."""
    monkeypatch.setattr(served, "PER_HOUR", 5)
    now = [1_777_636_800.0]
    with Sandbox(strict=True, clock=lambda: now[0]) as box:
        statuses = [form(box, "POST", "event", {"event_type": f"e{number}"}).status_code for number in range(3)]
        assert (statuses, form(box, "GET", "event", {}).status_code) == ([200, 200, 429], 200)
        assert form(box, "GET", "event", {}).json()["errors"][0]["message"].startswith("Too Many Requests")
        now[0] += 3600
        assert form(box, "GET", "event", {}).status_code == 200
    with Sandbox() as box:
        assert {form(box, "GET", "event", {}).status_code for _ in range(7)} == {200}


async def test_a_plan_outlives_the_sandbox(tmp_path: Path) -> None:
    """In a file it is there at the next start."""
    for is_first in (True, False):
        with Sandbox(store=str(tmp_path / "box.db")) as box:
            async with AsyncAmplitude(**box.credentials) as amplitude:
                if is_first:
                    await amplitude.taxonomy.events.create("order", category="Checkout")
                found = await amplitude.taxonomy.events.list()
        assert [(each["event_type"], each["category"]) for each in found["data"]] == [("order", {"name": "Checkout"})]
