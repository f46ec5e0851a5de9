"""The requests of the Taxonomy API: reads with a query, writes with a form.

Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from amplitude_async._protocol.bodies import Form
from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.call import Call, path_of, read_confirmation, read_data
from amplitude_async.resources.parameters import form_pairs, given, query_pairs, refused, required_text, spelled

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CATEGORY",
    "EVENT",
    "EVENT_PROPERTY",
    "GROUP_PROPERTY",
    "USER_PROPERTY",
    "Kind",
    "create_call",
    "delete_call",
    "get_call",
    "list_call",
    "restore_call",
    "update_call",
]

READ: Final = (Use("taxonomy", 1),)
WRITE: Final = (Use("taxonomy", 2),)
"""What a request costs: https://amplitude.com/docs/apis/analytics/taxonomy"""

_SCOPES: Final = ("override", "shared")


class Kind(NamedTuple):
    """One kind of thing in the plan.

    Attributes:
        path: Where it lives.
        name: The field that names one, also what the caller calls it.
        what: What that is, for refusals.
        owner: The field that says for which event type, or group type, a property is meant; ``""`` if there is none.
    """

    path: str
    name: str
    what: str
    owner: str = ""


CATEGORY: Final = Kind("/api/2/taxonomy/category", "name", "a category's name")
EVENT: Final = Kind("/api/2/taxonomy/event", "event_type", "an event type")
EVENT_PROPERTY: Final = Kind("/api/2/taxonomy/event-property", "event_property", "a property's name", "event_type")
USER_PROPERTY: Final = Kind("/api/2/taxonomy/user-property", "user_property", "a property's name; a custom one begins with gp:")
GROUP_PROPERTY: Final = Kind(
    "/api/2/taxonomy/group-property", "group_property", "a property's name; a custom one begins with grp:", "group_type"
)


def _named(kind: Kind, name: object, *, argument: str = "") -> str:
    return required_text(name, argument=argument or kind.name, what="an id" if argument else kind.what)


def _read(path: str, parameters: Mapping[str, object]) -> Call:
    return Call(
        api="dashboard",
        kind="query",
        method="GET",
        path=path,
        credential="project",
        reads=read_data,
        repeatable=True,
        query=query_pairs("taxonomy", parameters),
        uses=READ,
    )


def _write(method: str, path: str, fields: Mapping[str, object], *, repeatable: bool) -> Call:
    pairs = form_pairs("taxonomy", fields)
    return Call(
        api="dashboard",
        kind="query",
        method=method,
        path=path,
        credential="project",
        reads=read_confirmation,
        repeatable=repeatable,
        body=Form(pairs, has_key=False) if pairs else None,
        uses=WRITE,
    )


def list_call(kind: Kind, parameters: Mapping[str, object]) -> Call:
    """Describe a question for everything of a kind."""
    _check_owner(kind, parameters)
    return _read(kind.path, parameters)


def get_call(kind: Kind, name: object, parameters: Mapping[str, object]) -> Call:
    """Describe a question for one.

    Amplitude's samples put parameters into the body of a GET; they are read from the query as well, and that survives proxies.
    """
    _check_owner(kind, parameters)
    return _read(path_of(kind.path + "/{}", _named(kind, name)), parameters)


def create_call(kind: Kind, name: object, fields: Mapping[str, object]) -> Call:
    """Describe a creation. Not repeatable: told that it exists already, nobody would know whether it was there before."""
    field = "category_name" if kind is CATEGORY else kind.name
    checked = _checked(kind, fields)
    return _write("POST", kind.path, {field: _named(kind, name), **checked}, repeatable=False)


def update_call(kind: Kind, name: object, fields: Mapping[str, object], *, argument: str = "") -> Call:
    """Describe a change. Repeatable: it says what is to be, not what is to be done.

    Raises:
        InvalidArgumentError: There is nothing to change.
    """
    checked = _checked(kind, fields)
    if not checked.keys() - {kind.owner}:
        raise refused(argument=argument or kind.name, reason="is to be updated, but nothing is to change; give at least one field")
    return _write("PUT", path_of(kind.path + "/{}", _named(kind, name, argument=argument)), checked, repeatable=True)


def delete_call(kind: Kind, name: object, fields: Mapping[str, object], *, argument: str = "") -> Call:
    """Describe a deletion."""
    _check_owner(kind, fields)
    return _write("DELETE", path_of(kind.path + "/{}", _named(kind, name, argument=argument)), fields, repeatable=True)


def restore_call(kind: Kind, name: object, fields: Mapping[str, object]) -> Call:
    """Describe a restoration. Not repeatable: told that there is nothing to restore, nobody would know why."""
    _check_owner(kind, fields)
    return _write("POST", path_of(kind.path + "/{}/restore", _named(kind, name)), fields, repeatable=False)


def _check_owner(kind: Kind, fields: Mapping[str, object]) -> None:
    # A blank one would not be left out but asked for, and a deletion that is meant for one event would be one for all.
    if kind.owner and fields.get(kind.owner) is not None:
        required_text(fields[kind.owner], argument=kind.owner, what=f"{'an event' if kind is EVENT_PROPERTY else 'a group'} type")


def _checked(kind: Kind, parameters: Mapping[str, object]) -> dict[str, object]:
    """Return the fields of a write as Amplitude spells them, contradictions refused.

    Raises:
        InvalidArgumentError: Fields contradict each other.
    """
    fields = given(spelled("taxonomy", parameters))
    _check_owner(kind, fields)
    if kind in {CATEGORY, EVENT}:
        return fields
    declared = fields.get("type")
    for name, wanted in (("regex", "string"), ("enum_values", "enum")):
        if fields.get(name) and declared is not None and declared != wanted:
            raise refused(argument=name, reason=f"belongs to a property of type {wanted!r} alone")
    scope = fields.get("overrideScope")
    if scope is None:
        return fields
    if scope not in _SCOPES:
        raise refused(argument="override_scope", reason="must be 'override' or 'shared'")
    if kind.owner not in fields:
        raise refused(argument="override_scope", reason=f"says nothing without {kind.owner}")
    if scope == "override" and fields.get("classifications"):
        raise refused(argument="classifications", reason=f"belong to what all share; update that, without {kind.owner}")
    return fields
