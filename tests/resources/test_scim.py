"""People and groups as data: what is asked, what is refused before, what is read, and pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from amplitude_async import AsyncAmplitude, Backoff, InvalidArgumentError, ResponseError, UnexpectedResponseError
from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.codec import MalformedError
from amplitude_async._protocol.verdict import Reply, judge
from amplitude_async.resources.scim import add, calls, condition, remove
from amplitude_async.sandbox.scim_filters import parsed

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def sent(call: Any) -> Any:
    return json.loads(call.body.render(""))


@pytest.mark.parametrize(
    "members", ["kari@example.org", ["kari@example.org"], {"value": "kari@example.org"}, ({"value": " kari@example.org "},)], ids=repr
)
def test_members_in_every_form(members: Any) -> None:
    """One or several, as text or as the standard's objects."""
    assert add(members) == {"op": "add", "path": "members", "value": [{"value": "kari@example.org"}]}
    assert remove(members)["value"] == [{"value": "kari@example.org"}]
    assert sent(calls.create_group_call("x", members, {}))["members"] == [{"value": "kari@example.org"}]


def test_what_is_known_of_a_member_goes_along() -> None:
    """An object keeps its other keys."""
    assert add({"value": "kari@example.org", "display": "Kari"})["value"] == [{"value": "kari@example.org", "display": "Kari"}]


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: remove([]), "members"),
        (lambda: add([]), "members"),
        (lambda: add(["kari@example.org", "kari"]), "members[1]"),
        (lambda: add([{"display": "Kari"}]), "members[0]"),
        (lambda: add(""), "members[0]"),
        (lambda: calls.get_user_call("kari"), "email"),
        (lambda: calls.get_user_call("@example.org"), "email"),
        (lambda: calls.get_user_call("kari@"), "email"),
        (lambda: calls.get_user_call("ka ri@example.org"), "email"),
        (lambda: calls.delete_user_call(""), "email"),
        (lambda: calls.delete_user_call("*"), "email"),
        (lambda: calls.create_user_call(None, "a", "b", {}), "email"),
        (lambda: calls.replace_user_call("kari@example.org", "", "b", {}), "given_name"),
        (lambda: calls.replace_user_call("kari@example.org", "a", None, {}), "family_name"),
        (lambda: calls.update_user_call("kari@example.org", None, None, {"active": None}), "email"),
        (lambda: calls.create_group_call(" ", [], {}), "display_name"),
        (lambda: calls.get_group_call(""), "group_id"),
        (lambda: calls.delete_group_call(0), "group_id"),
        (lambda: calls.update_group_call(5, []), "operations"),
        (lambda: calls.update_group_call(5, "add"), "operations"),
        (lambda: calls.update_group_call(5, None), "operations"),
        (lambda: calls.update_group_call(5, [{"op": "remove", "path": "members"}]), "operations[0]"),
        (lambda: calls.update_group_call(5, [add("a@b"), {"op": "Remove", "path": "members", "value": []}]), "operations[1]"),
        (lambda: condition("", "eq", 5), "attribute"),
        (lambda: condition("a", "eq", float("nan")), "value"),
        (lambda: condition("a", "eq", "\ud800"), "value"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, argument: str) -> None:
    """It is refused here by its name; above all a removal that names nobody, which by the standard is one of everybody."""
    with pytest.raises(InvalidArgumentError) as caught:
        make()
    assert caught.value.argument == argument


@pytest.mark.parametrize("bounds", [{"start_index": 0}, {"start_index": -1}, {"items_per_page": 0}, {"items_per_page": 101}], ids=str)
def test_bounds_are_refused_at_once(bounds: dict[str, int]) -> None:
    """Not only when the first person is asked for."""
    amplitude = AsyncAmplitude("invented-key", scim_token="invented-token")
    with pytest.raises(InvalidArgumentError) as caught:
        amplitude.scim.users.list(**bounds)  # type: ignore[arg-type]  # a bound
    assert caught.value.argument in bounds


@given(TEXTS.filter(lambda text: text.strip() == text and text and not any(letter.isspace() for letter in text)))
@example("..")
@example("a/b?c#d")
def test_an_address_cannot_change_the_path(name: str) -> None:
    """Whatever is before the @, the address stays one segment."""
    path = calls.get_user_call(f"{name}@example.org").path
    head, _, segment = path.rpartition("/")
    assert (head, unquote(segment)) == (calls.USERS, f"{name}@example.org")
    assert unquote(calls.get_group_call(f"x{name}").path.rpartition("/")[2]) == f"x{name}"


@given(TEXTS)
@example('"')
@example('x" or userName pr or userName eq "')
def test_a_condition_quotes_what_it_compares_with(text: str) -> None:
    """Whatever the text, the filter finds those who are called so, and nobody else."""
    test = parsed(condition("userName", "eq", text))
    assert test({"userName": text})
    assert not test({"userName": text + "!"})


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (lambda: condition("userName", "sw", "kari"), 'userName sw "kari"'),
        (lambda: condition("active", "eq", True), "active eq true"),
        (lambda: condition("x", "ge", 5), "x ge 5"),
        (lambda: condition("x", "eq"), "x eq null"),
        (lambda: condition("name.familyName", "pr"), "name.familyName pr"),
    ],
)
def test_conditions(made: Callable[[], str], text: str) -> None:
    """As the standard writes them."""
    assert made() == text


def test_what_is_repeated_after_an_unknown_outcome() -> None:
    """What names its result is; a creation is not, and neither is an operation whose repetition might be another one."""
    again = [
        calls.get_user_call("a@b"),
        calls.replace_user_call("a@b", "a", "b", {}),
        calls.update_user_call("a@b", "a", None, {}),
        calls.delete_user_call("a@b"),
        calls.update_group_call(5, [add("a@b"), remove("b@b")]),
        calls.delete_group_call(5),
    ]
    once = [
        calls.create_user_call("a@b", None, None, {}),
        calls.create_group_call("x", (), {}),
        calls.update_group_call(5, {"op": "replace", "path": "displayName", "value": "x"}),
    ]
    assert all(call.repeatable for call in again)
    assert not any(call.repeatable for call in once)
    assert {(call.api, call.credential, call.uses) for call in again + once} == {("scim", "scim", (Use("scim"),))}


def test_further_fields_win() -> None:
    """What Amplitude takes and this library does not know goes along, in either spelling."""
    body = sent(calls.create_user_call("a@b", None, None, {"active": True, "user_name": "c@d", "title": "x", "gone": None}))
    assert (body["userName"], body["active"], body["title"]) == ("c@d", True, "x")
    assert "name" not in body
    assert "gone" not in body


GROUP = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
    "id": "812",
    "displayName": "Analysts",
    "members": [{"value": "kari@example.org", "display": "Kari Nordmann"}],
    "meta": {"resourceType": "Group", "created": "2026-01-12T09:30:00.000+00:00", "lastModified": "2026-01-12T09:30:00.000+00:00"},
}


def test_an_id_is_text_however_it_comes() -> None:
    """A number becomes its text, so that ids of lists and of single groups are equal; nothing else changes."""
    for number in (812, "812"):
        assert calls.read_resource(json.dumps({**GROUP, "id": number, "later": 1}).encode()) == {**GROUP, "later": 1}
        page = {"totalResults": 1, "Resources": [{**GROUP, "id": number}], "later": 1}
        assert calls.read_list(json.dumps(page).encode()) == {"totalResults": 1, "Resources": [GROUP], "later": 1}
    assert calls.read_list(b'{"totalResults": 0}') == {"totalResults": 0, "Resources": []}


@pytest.mark.parametrize("body", [b"", b"OK", b"[]", b'{"Resources": {}}', b'{"Resources": [1]}'])
def test_other_answers_are_none(body: bytes) -> None:
    """What is no page is not taken for an empty one."""
    with pytest.raises(MalformedError):
        calls.read_list(body)


def test_refusals_carry_the_standards_words() -> None:
    """The message has the detail of the standard's error."""
    body = b'{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"409","detail":"User exists"}'
    verdict = judge(calls.get_user_call("a@b"), Reply(409, {}, body), now=0.0, secrets=tuple)
    assert type(verdict.error) is ResponseError
    assert str(verdict.error) == "Request failed with status code 409: User exists"


class Directory:
    """A server of so many people, in pages as it likes."""

    def __init__(self, total: int, *, size: int = 100, states_total: bool = True, ignores_position: bool = False) -> None:
        self.people = [{"id": f"user-{number}@example.org"} for number in range(1, total + 1)]
        self.size, self.states_total, self.ignores_position = size, states_total, ignores_position
        self.asked: list[dict[str, list[str]]] = []
        self.fails_at = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        query = parse_qs(request.url.query.decode())
        self.asked.append(query)
        if len(self.asked) == self.fails_at:
            return httpx.Response(400, json={"detail": "not now"})
        start = 1 if self.ignores_position else int(query.get("startIndex", ["1"])[0])
        size = min(self.size, int(query.get("itemsPerPage", ["100"])[0]))
        answer: dict[str, Any] = {"startIndex": start, "Resources": self.people[start - 1 : start - 1 + size]}
        if self.states_total:
            answer["totalResults"] = len(self.people)
        return httpx.Response(200, json=answer)

    def client(self) -> AsyncAmplitude:
        http_client = httpx.AsyncClient(transport=httpx.MockTransport(self))

        async def sleep(seconds: float) -> None:
            del seconds

        return AsyncAmplitude("invented-key", scim_token="invented-token", http_client=http_client, backoff=Backoff(sleep=sleep))


@pytest.mark.parametrize("total", [0, 1, 99, 100, 101, 250])
@pytest.mark.parametrize("states_total", [True, False])
@pytest.mark.anyio
async def test_everybody_is_listed_once(total: int, states_total: bool) -> None:  # noqa: FBT001 - a case
    """Whatever their number, and whether the server says it or not; and no page is asked for that is not needed."""
    server = Directory(total, states_total=states_total)
    async with server.client() as amplitude:
        found = [user["id"] async for user in amplitude.scim.users.list()]
    assert found == [person["id"] for person in server.people]
    assert [query["startIndex"] for query in server.asked][:3] == [["1"], ["101"], ["201"]][: len(server.asked)]
    assert len(server.asked) <= total // 100 + 1


@pytest.mark.anyio
async def test_short_pages_are_followed() -> None:
    """A server that gives fewer than it was asked for is asked for the rest."""
    server = Directory(25, size=10)
    async with server.client() as amplitude:
        pages = [len(page) async for page in amplitude.scim.users.list(items_per_page=20).pages()]
    assert pages == [10, 10, 5]
    assert [query["startIndex"][0] for query in server.asked] == ["1", "11", "21"]


@pytest.mark.anyio
async def test_groups_are_paged_without_asking_for_it() -> None:
    """The first page of groups is asked for without parameters, the next ones by their position."""
    server = Directory(150)
    async with server.client() as amplitude:
        assert len([group async for group in amplitude.scim.groups.list()]) == 150
    assert server.asked == [{}, {"startIndex": ["101"]}]


@pytest.mark.anyio
async def test_a_server_that_ignores_the_position_is_found_out() -> None:
    """The same page twice is an error, not an endless list and not a cut one."""
    server = Directory(150, ignores_position=True)
    async with server.client() as amplitude:
        groups = amplitude.scim.groups.list()
        with pytest.raises(UnexpectedResponseError, match="same page twice"):
            [group async for group in groups]
    assert len(server.asked) == 2


@pytest.mark.anyio
async def test_listing_goes_on_where_it_broke() -> None:
    """After an error the same page is asked for again; another listing goes on at the cursor."""
    server = Directory(30, size=10)
    server.fails_at = 2
    async with server.client() as amplitude:
        users = amplitude.scim.users.list(items_per_page=10)
        found: list[Any] = []
        with pytest.raises(ResponseError, match="not now"):
            async for user in users:
                found.append(user)  # noqa: PERF401 - what came before the error is kept
        assert (len(found), users.cursor) == (10, 11)
        found += [user async for user in users]
        assert [user["id"] for user in found] == [person["id"] for person in server.people]
        rest = [user async for user in amplitude.scim.users.list(start_index=21, items_per_page=10)]
    assert rest == server.people[20:]
