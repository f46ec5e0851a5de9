"""People and groups over the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from amplitude_async import AsyncAmplitude, AuthenticationError, BadRequestError, BudgetError, NotFoundError, ResponseError
from amplitude_async.resources.scim import add, condition, remove
from amplitude_async.sandbox import Sandbox
from amplitude_async.sandbox.scim_filters import parsed

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

NOW = 1_768_210_200.0  # 2026-01-12 09:30:00 UTC
KARI = "kari@example.org"


async def test_a_person_from_beginning_to_end(box: Sandbox) -> None:
    """Somebody is invited, read whatever the capitals, renamed, replaced, and removed; what was sent is given back."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        users = amplitude.scim.users
        echoed = await users.create(KARI, given_name="Kari", family_name="Nordmann", groups=[{"value": "1"}])
        assert (echoed["userName"], echoed["groups"]) == (KARI, [{"value": "1"}])
        person: Any = {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "id": KARI,
            "userName": KARI,
            "name": {"givenName": "Kari", "familyName": "Nordmann"},
            "active": True,
            "emails": [{"value": KARI, "primary": True}],
            "meta": {"resourceType": "User"},
        }
        assert await users.get("KARI@Example.org") == {**person, "groups": []}
        assert [user async for user in users.list()] == [person]
        assert (await users.update(KARI, given_name="Karin"))["name"] == {"givenName": "Karin"}
        assert (await users.get(KARI))["name"] == {"givenName": "Karin", "familyName": "Nordmann"}
        await users.replace(KARI, given_name="K.", family_name="N.")
        assert (await users.get(KARI))["name"] == {"givenName": "K.", "familyName": "N."}
        with pytest.raises(ResponseError, match="already exists") as caught:
            await users.create(KARI.upper())
        assert caught.value.status == 409
        with pytest.raises(BadRequestError, match="cannot be changed"):
            await users.update(KARI, user_name="other@example.org")
        assert await users.delete(KARI) is None  # type: ignore[func-returns-value]  # that it is None is what is tested
        for call in (users.get(KARI), users.delete(KARI), users.update(KARI, given_name="x")):
            with pytest.raises(NotFoundError):
                await call


@pytest.mark.parametrize("way", ["update", "replace", "operations"])
async def test_who_is_not_active_is_gone(box: Sandbox, way: str) -> None:
    """Setting active to false takes somebody out of the organisation and of its groups, in every form of the request."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        users, groups = amplitude.scim.users, amplitude.scim.groups
        group = await groups.create("Analysts", members=[KARI, "ola@example.org"])
        if way == "update":
            await users.update(KARI, active=False)
        elif way == "replace":
            await users.replace(KARI, given_name="Kari", family_name="Nordmann", active=False)
        else:
            schema = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
            await users.update(KARI, schemas=[schema], Operations=[{"op": "Replace", "path": "active", "value": False}])
        with pytest.raises(NotFoundError):
            await users.get(KARI)
        assert [member["value"] for member in (await groups.get(group["id"]))["members"]] == ["ola@example.org"]


async def test_a_group_from_beginning_to_end() -> None:
    """It is made with whoever is in it, who is invited by that; members come and go; it is deleted, and they stay."""
    now = [NOW]
    with Sandbox(clock=lambda: now[0]) as box:
        async with AsyncAmplitude(**box.credentials) as amplitude:
            users, groups = amplitude.scim.users, amplitude.scim.groups
            await users.create(KARI, given_name="Kari", family_name="Nordmann")
            group = await groups.create("Analysts", members=["Kari@example.org", "ola@example.org"])
            assert group == {
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
                "id": group["id"],
                "displayName": "Analysts",
                "members": [
                    {"value": KARI, "display": "Kari Nordmann"},
                    {"value": "ola@example.org", "display": "undefined undefined"},
                ],
                "meta": {
                    "resourceType": "Group",
                    "created": "2026-01-12T09:30:00.000+00:00",
                    "lastModified": "2026-01-12T09:30:00.000+00:00",
                },
            }
            assert await groups.get(group["id"]) == group
            assert [each async for each in groups.list()] == [group]
            assert (await users.get("ola@example.org"))["name"] == {"givenName": "NO_GIVEN_NAME", "familyName": "NO_FAMILY_NAME"}
            assert (await users.get(KARI))["groups"] == [{"value": group["id"], "display": "Analysts"}]
            now[0] += 60
            grown = await groups.add_members(group["id"], ["per@example.org", KARI])
            assert [member["value"] for member in grown["members"]] == [KARI, "ola@example.org", "per@example.org"]
            assert grown["meta"]["lastModified"] == "2026-01-12T09:31:00.000+00:00"
            left = await groups.remove_members(group["id"], "OLA@example.org")
            assert {member["value"] for member in left["members"]} == {KARI, "per@example.org"}
            changed = await groups.update(
                group["id"],
                [remove("per@example.org"), add("ola@example.org"), {"op": "replace", "path": "displayName", "value": "A"}],
            )
            assert (changed["displayName"], {member["value"] for member in changed["members"]}) == ("A", {KARI, "ola@example.org"})
            await groups.delete(group["id"])
            with pytest.raises(NotFoundError):
                await groups.get(group["id"])
            assert len([user async for user in users.list()]) == 3


def ask(box: Sandbox, method: str, path: str, **more: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {box.credentials['scim_token']}"}
    return httpx.request(method, f"{box.url}/scim/1/{path}", headers=headers, trust_env=False, **more)


def test_ids_of_groups_wobble_as_amplitudes_do(box: Sandbox) -> None:
    """A number when a group is made or listed, text when one is read or changed."""
    made = ask(box, "POST", "Groups", json={"displayName": "x", "members": []}).json()
    assert isinstance(made["id"], int)
    assert isinstance(ask(box, "GET", "Groups").json()["Resources"][0]["id"], int)
    path = f"Groups/{made['id']}"
    patch = {"Operations": [{"op": "add", "path": "members", "value": [{"value": KARI}]}]}
    assert ask(box, "GET", path).json()["id"] == ask(box, "PATCH", path, json=patch).json()["id"] == str(made["id"])


def test_statuses_are_the_documented_ones(box: Sandbox) -> None:
    """201 for a person, 200 for a group, 204 for deletions; an ending slash does no harm."""
    assert ask(box, "POST", "Users/", json={"userName": KARI}).status_code == 201
    assert ask(box, "POST", "Groups", json={"displayName": "x"}).status_code == 200
    for path in (f"Users/{KARI}", "Groups/801"):
        gone = ask(box, "DELETE", path)
        assert (gone.status_code, gone.content) == (204, b"")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "Nothing", None, 404),
        ("GET", "Users/a/b", None, 404),
        ("PATCH", "Users", {}, 405),
        ("PUT", "Groups/801", {}, 405),
        ("POST", "Users", {"userName": "kari"}, 400),
        ("POST", "Users", {}, 400),
        ("POST", "Users", [], 400),
        ("GET", "Groups/801", None, 404),
        ("POST", "Groups", {}, 400),
        ("POST", "Groups", {"displayName": "x", "members": ["kari@example.org"]}, 400),
        ("GET", "Users?startIndex=x", None, 400),
        ("GET", "Users?filter=userName", None, 400),
    ],
)
def test_refusals_are_the_standards(box: Sandbox, method: str, path: str, body: Any, status: int) -> None:
    """Each is an error object of RFC 7644, its status as text."""
    answer = ask(box, method, path, json=body) if body is not None else ask(box, method, path)
    assert answer.status_code == status
    error = answer.json()
    assert (error["schemas"], error["status"]) == (["urn:ietf:params:scim:api:messages:2.0:Error"], str(status))
    assert error["detail"]


@pytest.mark.parametrize(
    "operations",
    [
        [],
        "add",
        [{"op": "move", "path": "members", "value": []}],
        [{"op": "add", "path": "owners", "value": []}],
        [{"op": "remove", "path": "displayName"}],
        [
            {"op": "add", "path": "members", "value": [{"value": KARI}]},
            {"op": "add", "path": "members", "value": [{"value": "nobody"}]},
        ],
    ],
    ids=str,
)
def test_a_wrong_operation_changes_nothing(box: Sandbox, operations: Any) -> None:
    """All operations of a request are done, or none."""
    ask(box, "POST", "Groups", json={"displayName": "x"})
    before = ask(box, "GET", "Groups/801").json()
    assert ask(box, "PATCH", "Groups/801", json={"Operations": operations}).status_code == 400
    assert ask(box, "GET", "Groups/801").json() == before
    assert ask(box, "GET", "Users").json()["totalResults"] == 0


async def test_pages_and_filters(box: Sandbox) -> None:
    """A list is given in pages of at most a hundred, and of those that a filter finds."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        users, groups = amplitude.scim.users, amplitude.scim.groups
        everybody = [f"user{number:03}@example.org" for number in range(130)]
        await groups.create("all", members=everybody)
        assert [user["id"] async for user in users.list()] == everybody
        assert [len(page) async for page in users.list(items_per_page=50).pages()] == [50, 50, 30]
        assert [user["id"] async for user in users.list(start_index=129)] == everybody[128:]
        assert [user["id"] async for user in users.list(filter=condition("userName", "eq", "USER007@example.org"))] == [everybody[7]]
        assert len([user async for user in users.list(filter='userName sw "user00" and not (id co "3")')]) == 9
        assert [group["displayName"] async for group in groups.list(filter='displayName eq "all"')] == ["all"]
        with pytest.raises(BadRequestError, match="Invalid filter"):
            [user async for user in users.list(filter="userName is kari")]
        page = ask(box, "GET", "Users?startIndex=-5&itemsPerPage=500").json()
        assert (page["startIndex"], page["itemsPerPage"], page["totalResults"], len(page["Resources"])) == (1, 100, 130, 100)


PERSON = {
    "userName": KARI,
    "name": {"givenName": "Kari", "familyName": "Nordmann"},
    "active": True,
    "age": 40,
    "emails": [{"value": KARI, "primary": True}],
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'userName eq "{KARI}"', True),
        ('USERNAME EQ "KARI@EXAMPLE.ORG"', True),
        ('urn:ietf:params:scim:schemas:core:2.0:User:userName sw "kari"', True),
        ('userName ne "x"', True),
        ('userName co "@"', True),
        ('userName ew ".org"', True),
        ('name.familyName gt "M" and name.familyName lt "O"', True),
        ("age ge 40 and age le 40.0", False),
        ("age ge 40 and age le 40", True),
        ("active eq true", True),
        ("active eq false", False),
        ("active gt false", False),
        ("nickName pr", False),
        ("nickName eq null", False),
        ("name.givenName pr", True),
        (f'emails eq "{KARI}" and emails.value eq "{KARI}"', True),
        ('userName eq "x" or userName eq "y" or active eq true', True),
        ('userName eq "x" and active eq true or active eq true', True),
        ('userName eq "x" and (active eq true or active eq true)', False),
        ('not (userName eq "x")', True),
        ("userName co 5", False),
        ('userName eq "k\\u0061ri@example.org" and ( ( active eq true ) )', True),
    ],
)
def test_the_filter_language(text: str, expected: bool) -> None:  # noqa: FBT001 - a case
    """Attributes and text regardless of case; ``and`` binds before ``or``."""
    assert parsed(text)(PERSON) is expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "userName",
        "userName eq",
        'userName eq "x',
        "userName eq x",
        'userName is "x"',
        'userName eq "x" and',
        '(userName eq "x"',
        'userName eq "x")',
        "not userName pr",
        '5 eq "x"',
        'emails[value eq "x"] pr',
        "(" * 80 + "a pr" + ")" * 80,
        "()",
        '"',
    ],
)
def test_what_is_no_filter(text: str) -> None:
    """Whatever is wrong with it, it is said, and nothing breaks."""
    with pytest.raises(ValueError, match="^Invalid filter"):
        parsed(text)


async def test_the_key_is_its_own(box: Sandbox) -> None:
    """Neither another token nor the project's keys open it."""
    async with AsyncAmplitude("invented-key", scim_token="another-token", base_url=box.url) as amplitude:
        with pytest.raises(AuthenticationError) as caught:
            await amplitude.scim.groups.get(1)
        assert caught.value.status == 401
    assert httpx.get(f"{box.url}/scim/1/Users", auth=(box.api_key, box.secret_key), trust_env=False).status_code == 401


async def test_a_hundred_a_minute() -> None:
    """A strict sandbox takes a hundred; the client does not send the next one, and says when it will."""
    with Sandbox(strict=True, clock=lambda: NOW) as box:
        async with AsyncAmplitude(**box.credentials, when_limited="raise") as amplitude:
            for _ in range(100):
                await amplitude.scim.users.create(f"user-{_}@example.org")
            with pytest.raises(BudgetError, match="scim"):
                await amplitude.scim.groups.create("x")
        refused = ask(box, "GET", "Users")
        assert (refused.status_code, refused.json()["status"]) == (429, "429")


async def test_people_outlive_the_sandbox(tmp_path: Path) -> None:
    """In a file they are there at the next start."""
    for is_first in (True, False):
        with Sandbox(store=str(tmp_path / "box.db")) as box:
            async with AsyncAmplitude(**box.credentials) as amplitude:
                if is_first:
                    await amplitude.scim.groups.create("Analysts", members=KARI)
                assert [group["displayName"] async for group in amplitude.scim.groups.list()] == ["Analysts"]
                assert [user["id"] async for user in amplitude.scim.users.list()] == [KARI]
