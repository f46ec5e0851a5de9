"""The requests of the SCIM API, and what they are made of.

Amplitude's page: https://amplitude.com/docs/apis/analytics/scim; the standard: https://datatracker.ietf.org/doc/html/rfc7644
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.call import Call, path_of, read_members, read_nothing
from amplitude_async._protocol.codec import MalformedError, encode_text
from amplitude_async.resources.parameters import given, json_body, query_pairs, query_value, refused, required_text, spelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from amplitude_async._protocol.bodies import Content
    from amplitude_async.resources.scim.shapes import Member, Operation, Operator

__all__ = [
    "GROUPS",
    "MOST_PER_PAGE",
    "USERS",
    "Members",
    "add",
    "condition",
    "create_group_call",
    "create_user_call",
    "delete_group_call",
    "delete_user_call",
    "get_group_call",
    "get_user_call",
    "list_call",
    "read_list",
    "read_resource",
    "remove",
    "replace_user_call",
    "update_group_call",
    "update_user_call",
]

USERS: Final = "/scim/1/Users"
GROUPS: Final = "/scim/1/Groups"
USER_SCHEMA: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP_SCHEMA: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH_SCHEMA: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
MOST_PER_PAGE: Final = 100
"""Amplitude's default too."""

Members = Iterable[str | Mapping[str, Any]] | str | Mapping[str, Any]
"""One or several: e-mail addresses, or the objects with a ``value`` that groups are answered with."""


def add(members: Members) -> Operation:
    """Return the operation that adds members to a group; those who are in it already stay.

    Args:
        members: Their e-mail addresses.

    Raises:
        InvalidArgumentError: There are none, or one is no e-mail address.
    """
    return {"op": "add", "path": "members", "value": _members(members)}


def remove(members: Members) -> Operation:
    """Return the operation that takes members out of a group.

    Args:
        members: Their e-mail addresses; at least one, since by the standard none would mean everybody.

    Raises:
        InvalidArgumentError: There are none, or one is no e-mail address.
    """
    return {"op": "remove", "path": "members", "value": _members(members)}


def condition(attribute: str, operator: Operator, value: str | float | bool | None = None) -> str:  # noqa: FBT001 - a value among others
    """Return a condition of a filter, such as ``userName eq "kari@example.org"``, the value quoted as the standard asks.

    Args:
        attribute: What is looked at, such as ``userName`` or ``name.familyName``.
        operator: ``eq``, ``ne``, ``co`` (contains), ``sw`` (starts with), ``ew`` (ends with), ``gt``, ``ge``, ``lt``, ``le``, or
            ``pr`` (is there at all), which takes no value.
        value: What it is compared with.

    Raises:
        InvalidArgumentError: The attribute is blank, or the value has no JSON form.
    """
    name = required_text(attribute, argument="attribute", what="a name such as userName")
    if operator == "pr":
        return f"{name} pr"
    if isinstance(value, str):
        query_value(value, argument="value")
        return f"{name} {operator} {encode_text(value)}"
    return f"{name} {operator} {'null' if value is None else query_value(value, argument='value')}"


def read_resource(body: bytes) -> dict[str, Any]:
    """Read one person or group; a number for an id becomes text, which the standard asks for.

    Raises:
        MalformedError: It is no JSON object, or neither a person nor a group, nor what was sent of one.
    """
    answer = read_members(body, "id", "userName", "displayName", "schemas")
    _text_id(answer)
    return answer


def read_list(body: bytes) -> dict[str, Any]:
    """Read a page of people or groups.

    Raises:
        MalformedError: It is no JSON object with a list of objects.
    """
    answer = read_members(body, "Resources", "totalResults")
    # The standard lets an empty page go without its list.
    resources = answer.setdefault("Resources", [])
    if not isinstance(resources, list) or not all(isinstance(item, dict) for item in resources):
        message = "it has no list of Resources"
        raise MalformedError(message)
    for item in resources:
        _text_id(item)
    return answer


def _text_id(resource: dict[str, Any]) -> None:
    number = resource.get("id")
    if isinstance(number, int) and not isinstance(number, bool):
        resource["id"] = str(number)


def _call(method: str, path: str, reads: Callable[[bytes], Any], body: Content | None = None, *, repeatable: bool = True) -> Call:
    return Call(
        api="scim",
        kind="query",
        method=method,
        path=path,
        credential="scim",
        reads=reads,
        repeatable=repeatable,
        body=body,
        uses=(Use("scim"),),
    )


def _email(value: object, *, argument: str) -> str:
    text = required_text(value, argument=argument, what="an e-mail address")
    name, _, domain = text.strip().rpartition("@")
    if not name or not domain or any(part.isspace() for part in text.strip()):
        raise refused(argument=argument, reason="is no e-mail address, which is what people go by here")
    return text.strip()


def _members(members: object) -> list[Member]:
    several = list(members) if isinstance(members, Iterable) and not isinstance(members, (str, bytes, Mapping)) else [members]
    if not several:
        raise refused(argument="members", reason="is empty; give at least one e-mail address")
    return [_member(member, argument=f"members[{index}]") for index, member in enumerate(several)]


def _member(member: object, *, argument: str) -> Member:
    if isinstance(member, Mapping):
        return {**member, "value": _email(member.get("value"), argument=argument)}  # type: ignore[typeddict-item]  # whatever else it says
    return {"value": _email(member, argument=argument)}


def _group_path(group_id: object) -> str:
    return path_of(f"{GROUPS}/{{}}", required_text(group_id, argument="group_id", what="a group's id"))


def list_call(path: str, parameters: Mapping[str, object]) -> Call:
    """Describe a question for a page."""
    return _call("GET", path, read_list)._replace(query=query_pairs("scim", parameters))


def get_user_call(email: object) -> Call:
    """Describe a question for one person."""
    return _call("GET", path_of(f"{USERS}/{{}}", _email(email, argument="email")), read_resource)


def _user(email: object, given_name: object, family_name: object, parameters: Mapping[str, object]) -> dict[str, object]:
    address = _email(email, argument="email")
    name = given({"givenName": given_name, "familyName": family_name})
    return {
        "schemas": [USER_SCHEMA],
        "id": address,
        "userName": address,
        **({"name": name} if name else {}),
        "emails": [{"value": address, "primary": True}],
        "meta": {"resourceType": "User"},
        **given(spelled("scim", parameters)),
    }


def create_user_call(email: object, given_name: object, family_name: object, parameters: Mapping[str, object]) -> Call:
    """Describe an invitation. Not repeatable: the second one would be told that there is such a person."""
    body = _user(email, given_name, family_name, parameters)
    return _call("POST", USERS, read_resource, json_body(body), repeatable=False)


def replace_user_call(email: object, given_name: object, family_name: object, parameters: Mapping[str, object]) -> Call:
    """Describe a person as a whole."""
    required_text(given_name, argument="given_name", what="a given name")
    required_text(family_name, argument="family_name", what="a family name")
    body = _user(email, given_name, family_name, parameters)
    return _call("PUT", path_of(f"{USERS}/{{}}", _email(email, argument="email")), read_resource, json_body(body))


def update_user_call(email: object, given_name: object, family_name: object, parameters: Mapping[str, object]) -> Call:
    """Describe what is to change of a person, as a resource that has just that. Repeatable: it says what is to be.

    Raises:
        InvalidArgumentError: There is nothing to change.
    """
    path = path_of(f"{USERS}/{{}}", _email(email, argument="email"))
    name = given({"givenName": given_name, "familyName": family_name})
    fields = {**({"name": name} if name else {}), **given(spelled("scim", parameters))}
    if not fields:
        raise refused(argument="email", reason="is to be updated, but nothing is to change; give at least one field")
    return _call("PATCH", path, read_resource, json_body({"schemas": [USER_SCHEMA], **fields}))


def delete_user_call(email: object) -> Call:
    """Describe the removal of a person."""
    return _call("DELETE", path_of(f"{USERS}/{{}}", _email(email, argument="email")), read_nothing)


def get_group_call(group_id: object) -> Call:
    """Describe a question for one group."""
    return _call("GET", _group_path(group_id), read_resource)


def create_group_call(display_name: object, members: object, parameters: Mapping[str, object]) -> Call:
    """Describe a new group. Not repeatable: it would be a second one."""
    body: dict[str, object] = {
        "schemas": [GROUP_SCHEMA],
        "displayName": required_text(display_name, argument="display_name", what="a name"),
        # A group may have nobody in it.
        "members": _members(members) if members else [],
        **given(spelled("scim", parameters)),
    }
    return _call("POST", GROUPS, read_resource, json_body(body), repeatable=False)


def update_group_call(group_id: object, operations: object) -> Call:
    """Describe changes of a group. Repeatable as long as they name what is to be in ``members`` or out of them.

    Raises:
        InvalidArgumentError: There is no operation, or one would take everybody out.
    """
    several = [operations] if isinstance(operations, Mapping) else list(operations) if isinstance(operations, Iterable) else []
    if not several or not all(isinstance(operation, Mapping) for operation in several):
        raise refused(argument="operations", reason="must be at least one operation; add(...) and remove(...) make them")
    for index, operation in enumerate(several):
        verb, path, value = (operation.get(name) for name in ("op", "path", "value"))
        if str(verb).lower() == "remove" and path == "members" and not value:
            raise refused(argument=f"operations[{index}]", reason="names nobody, which means everybody; name whom to take out")
    is_by_name = all(operation.get("op") in {"add", "remove"} and operation.get("path") == "members" for operation in several)
    body = json_body({"schemas": [PATCH_SCHEMA], "Operations": several})
    return _call("PATCH", _group_path(group_id), read_resource, body, repeatable=is_by_name)


def delete_group_call(group_id: object) -> Call:
    """Describe the deletion of a group."""
    return _call("DELETE", _group_path(group_id), read_nothing)
