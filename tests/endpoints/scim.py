"""SCIM. Page: https://amplitude.com/docs/apis/analytics/scim."""

from __future__ import annotations

from typing import Any

from .table import Row, all_of

CORE = ("core.amplitude.com", "core.eu.amplitude.com")
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
EMPTY = (200, "application/json", b'{"startIndex":1,"itemsPerPage":100,"totalResults":0,"Resources":[]}')
ONE = (200, "application/json", b'{"id":"812"}')
GONE = (204, "application/json", b"")
PERSON = {
    "schemas": [USER],
    "id": "kari@example.org",
    "userName": "kari@example.org",
    "name": {"givenName": "Kari", "familyName": "Nordmann"},
    "emails": [{"value": "kari@example.org", "primary": True}],
    "meta": {"resourceType": "User"},
}


def row(name: str, method: str, path: str, call: object, answer: tuple[int, str, bytes] = ONE, **more: Any) -> Row:
    return Row(
        name=f"SCIM: {name}",
        method=method,
        path=f"/scim/1/{path}",
        hosts=CORE,
        auth="Bearer scim",
        call=call,  # type: ignore[arg-type]  # a lambda that takes the client
        answer=answer,
        **{"query": [], **more},
    )


ROWS = [
    row(
        "list users",
        "GET",
        "Users",
        lambda a: all_of(a.scim.users.list(filter='userName eq "kari@example.org"', start_index=101, items_per_page=50)),
        EMPTY,
        encoding="query",
        query=[("startIndex", "101"), ("itemsPerPage", "50"), ("filter", 'userName eq "kari@example.org"')],
    ),
    row("get a user", "GET", "Users/kari%40example.org", lambda a: a.scim.users.get("kari@example.org")),
    row(
        "create a user",
        "POST",
        "Users",
        lambda a: a.scim.users.create("kari@example.org", given_name="Kari", family_name="Nordmann"),
        (201, "application/json", b'{"id":"kari@example.org"}'),
        encoding="json",
        body=PERSON,
    ),
    row(
        "replace a user",
        "PUT",
        "Users/kari%40example.org",
        lambda a: a.scim.users.replace("kari@example.org", given_name="Kari", family_name="Nordmann", active=False),
        encoding="json",
        body={**PERSON, "active": False},
    ),
    row(
        "update a user",
        "PATCH",
        "Users/kari%40example.org",
        lambda a: a.scim.users.update("kari@example.org", given_name="Kari"),
        encoding="json",
        body={"schemas": [USER], "name": {"givenName": "Kari"}},
    ),
    row("delete a user", "DELETE", "Users/kari%40example.org", lambda a: a.scim.users.delete("kari@example.org"), GONE),
    row("list groups", "GET", "Groups", lambda a: all_of(a.scim.groups.list()), EMPTY),
    row("get a group", "GET", "Groups/812", lambda a: a.scim.groups.get(812)),
    row(
        "create a group",
        "POST",
        "Groups",
        lambda a: a.scim.groups.create("Analysts", members=["kari@example.org"]),
        encoding="json",
        body={"schemas": [GROUP], "displayName": "Analysts", "members": [{"value": "kari@example.org"}]},
    ),
    row(
        "update a group",
        "PATCH",
        "Groups/812",
        lambda a: a.scim.groups.add_members("812", ["kari@example.org", "ola@example.org"]),
        encoding="json",
        body={
            "schemas": [PATCH],
            "Operations": [{"op": "add", "path": "members", "value": [{"value": "kari@example.org"}, {"value": "ola@example.org"}]}],
        },
    ),
    row("delete a group", "DELETE", "Groups/812", lambda a: a.scim.groups.delete(812), GONE),
]
