"""A tracking plan as a document, and what tells two of them apart. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["KINDS", "Difference", "differences", "plan_of"]

KINDS: Final[Mapping[str, str]] = {
    "categories": "name",
    "events": "event_type",
    "event_properties": "event_property",
    "user_properties": "user_property",
    "group_properties": "group_property",
}
"""What a plan is made of, and what names a thing of each kind."""
_PARENTS: Final = ("event_type", "group_type")


class Difference(NamedTuple):
    """One difference: ``+`` only the second has it, ``-`` only the first, ``~`` a field differs."""

    sign: str
    kind: str
    name: str
    field: str = ""
    before: Any = None
    after: Any = None

    def __str__(self) -> str:
        if not self.field:
            return f"{self.sign} {self.kind} {self.name}"
        return f"{self.sign} {self.kind} {self.name}.{self.field}: {_json(self.before)} -> {_json(self.after)}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def plan_of(lists: Mapping[str, Iterable[Mapping[str, Any]]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return a plan: things by kind and name, what says nothing left out, everything in order.

    Numbers that Amplitude gives things (a category's id) are left out: they differ from project to project.
    """
    plan: dict[str, dict[str, dict[str, Any]]] = {}
    for kind, key in KINDS.items():
        named: dict[str, dict[str, Any]] = {}
        for thing in lists.get(kind, ()):
            name = str(thing[key])
            parent = next((str(thing[of]) for of in _PARENTS if of != key and thing.get(of)), "")
            fields = {field: value for field, value in thing.items() if field not in {key, "id"} and not _says_nothing(value)}
            if isinstance(fields.get("category"), dict):
                fields["category"] = fields["category"].get("name")
            named[f"{parent}/{name}" if parent else name] = dict(sorted(fields.items()))
        plan[kind] = dict(sorted(named.items()))
    return plan


def _says_nothing(value: object) -> bool:
    return value is None or value is False or value in ("", [], {})


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    """Tell two plans apart."""
    for kind in KINDS:
        old, new = before.get(kind) or {}, after.get(kind) or {}
        for name in sorted({*old, *new}):
            if name not in new:
                yield Difference("-", kind, name)
            elif name not in old:
                yield Difference("+", kind, name)
            else:
                mine, theirs = old[name] or {}, new[name] or {}
                for field in sorted({*mine, *theirs}):
                    if mine.get(field) != theirs.get(field):
                        yield Difference("~", kind, name, field, mine.get(field), theirs.get(field))
