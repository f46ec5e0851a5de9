"""Event, user and group properties of the plan: what all share, and overrides for one event type or group type.

A property is one document. That it is "on" an event type is another, which holds the override if there is one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from amplitude_async.sandbox.planning.fields import NOT_FOUND, Form, RefusedPlanError, conflict, flags, listed, required, texts

if TYPE_CHECKING:
    from collections.abc import Callable

    from amplitude_async.sandbox.documents import Document
    from amplitude_async.sandbox.store import Store

TYPES: Final = ("string", "number", "boolean", "enum", "any")
CLASSIFICATIONS: Final = ("PII", "SENSITIVE", "REVENUE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What distinguishes event, user and group properties.

    Attributes:
        noun: What one is called in messages.
        name: The field that names one.
        owner: The field of what it may be overridden for; ``""``: nothing.
        owner_noun: What that is called in messages.
        prefix: What the names of custom ones begin with.
        missing: The status of a read of what is not there.
        built_ins: Those that Amplitude has by itself; they are neither changed nor deleted.
        order: The fields of an answer, in order.
        description: What stands there when nothing was said.
    """

    noun: str
    name: str
    owner: str = ""
    owner_noun: str = ""
    prefix: str = ""
    missing: int = 400
    built_ins: tuple[str, ...] = ()
    order: tuple[str, ...]
    description: str | None = None


EVENT: Final = Kind(
    noun="event property",
    name="event_property",
    owner="event_type",
    owner_noun="event",
    order=(
        "event_property",
        "event_type",
        "description",
        "type",
        "regex",
        "enum_values",
        "is_array_type",
        "is_required",
        "is_hidden",
        "classifications",
    ),
)
USER: Final = Kind(
    noun="user property",
    name="user_property",
    prefix="gp:",
    missing=404,
    built_ins=(
        "device_id",
        "event_id",
        "amplitude_id",
        "location_lat",
        "location_lng",
        "server_upload_time",
        "session_id",
        "user_id",
    ),
    order=(
        "user_property",
        "description",
        "type",
        "enum_values",
        "regex",
        "is_array_type",
        "is_hidden",
        "classifications",
        "deleted",
    ),
)
GROUP: Final = Kind(
    noun="group property",
    name="group_property",
    owner="group_type",
    owner_noun="group type",
    prefix="grp:",
    order=(
        "group_type",
        "group_property",
        "description",
        "type",
        "enum_values",
        "regex",
        "is_array_type",
        "is_hidden",
        "classifications",
    ),
    description="",
)


class Properties:
    """The properties of one kind.

    Args:
        store: Where they are kept.
        kind: Which.
        seen: Gives the names that came with data: of one event type or group type, or of all.
        has_owner: Says whether there is such an event type or group type.
    """

    def __init__(self, store: Store, kind: Kind, *, seen: Callable[[str | None], list[str]], has_owner: Callable[[str], bool]) -> None:
        self.kind = kind
        self._documents = store.documents
        self._drawer = f"plan.{kind.name}"
        self._on_drawer = f"plan.{kind.name}.on"
        self._seen = seen
        self._has_owner = has_owner

    # Reading

    def all(self, owner: str | None, *, shows_deleted: bool) -> list[Document]:
        """Return the visible properties: of one event type or group type, or those that all share."""
        self._refuse_unknown_group(owner)
        # Looked for once: it takes a walk over every event.
        seen = self._seen(owner)
        if owner is not None:
            on = [each["name"] for each in self._documents.all(self._on_drawer) if each["owner"] == owner]
            names = dict.fromkeys((*on, *seen))
        else:
            planned = (each["name"] for each in self._documents.all(self._drawer))
            names = dict.fromkeys((*self.kind.built_ins, *planned, *seen))
        has_come = frozenset(seen)
        found = (self._find(name, owner, has_come=name in has_come, shows_deleted=shows_deleted) for name in names)
        return [self._shown(each, owner) for each in found if each is not None and not each["is_hidden"]]

    def get(self, name: str, owner: str | None, *, shows_deleted: bool) -> Document:
        """Return one property, hidden or not."""
        self._refuse_unknown_group(owner)
        found = self._find(name, owner, has_come=name in self._seen(owner), shows_deleted=shows_deleted)
        if found is None:
            raise RefusedPlanError(self.kind.missing, NOT_FOUND)
        return self._shown(found, owner)

    def _find(self, name: str, owner: str | None, *, has_come: bool, shows_deleted: bool) -> Document | None:
        shared = self._documents.get(self._drawer, name)
        if shared is not None and shared["deleted"] and not shows_deleted:
            return None
        if owner is None:
            return shared or (self._blank(name) if has_come or name in self.kind.built_ins else None)
        on = self._on(name, owner)
        if on is not None:
            return None if on["deleted"] else on["override"] or shared
        return (shared or self._blank(name)) if has_come else None

    def _shown(self, found: Document, owner: str | None) -> Document:
        shown: dict[str, Any] = {**found, self.kind.name: found["name"]}
        if self.kind.owner:
            shown[self.kind.owner] = owner
        return {name: shown[name] for name in self.kind.order}

    # Writing

    def create(self, form: Form) -> None:
        """Put a property into the plan; where it exists for others, as an override."""
        kind = self.kind
        name, owner = required(form, kind.name), self._owner(form)
        name = self._custom(name, form)
        shared = self._documents.get(self._drawer, name)
        if name in kind.built_ins or (shared is not None and (owner is None or shared["deleted"])):
            raise self._exists(name, owner)
        if owner is not None and self._on(name, owner) is not None:
            raise self._exists(name, owner)
        changed = self._changed(self._blank(name), form, owner, is_override=shared is not None)
        if shared is None:
            self._documents.put(self._drawer, name, changed)
        if owner is not None:
            self._put_on(name, owner, override=changed if shared is not None else None)

    def update(self, name: str, form: Form) -> None:
        """Change a property: the override, or what all share."""
        owner, scope = self._owner(form), form.get("overrideScope")
        if scope not in {None, "override", "shared"}:
            message = f"Invalid value for overrideScope: {str(scope)[:100]}"
            raise ValueError(message)
        if scope is not None and owner is None:
            message = f"overrideScope needs {self.kind.owner or 'an owner'}"
            raise ValueError(message)
        shared = self._documents.get(self._drawer, name)
        on = None if owner is None else self._on(name, owner)
        if shared is None or shared["deleted"] or (on is not None and on["deleted"]):
            raise self._not_in_schema(name, owner, form)
        override = None if on is None else on["override"]
        if owner is not None and (scope == "override" or (scope is None and override is not None)):
            changed = self._changed(override or shared, form, owner, is_override=True)
            self._put_on(name, owner, override=changed)
        else:
            changed = self._changed(shared, form, owner, is_override=False)
            self._documents.put(self._drawer, name, changed)
            if owner is not None and override is not None:
                self._put_on(name, owner, override=None)
        new = form.get(f"new_{self.kind.name}_value")
        if new:
            self._rename(name, self._prefixed(new))

    def delete(self, name: str, owner: str | None) -> None:
        """Take a property from one event type, or delete what all share."""
        if owner is not None:
            on = self._on(name, owner)
            if on is None and name not in self._seen(owner):
                raise self._refusal(name, "delete", f'for {self.kind.owner_noun} "{owner}" that does not exist.')
            if on is not None and on["deleted"]:
                raise self._refusal(name, "delete", f'for {self.kind.owner_noun} "{owner}" that is already deleted.')
            if self._documents.get(self._drawer, name) is None:
                self._documents.put(self._drawer, name, self._blank(name))
            self._put_on(name, owner, override=None if on is None else on["override"], is_deleted=True)
            return
        if name in self.kind.built_ins:
            raise self._refusal(name, "delete", "which is Amplitude's own.")
        shared, has_come = self._documents.get(self._drawer, name), name in self._seen(None)
        if shared is None and not has_come:
            raise self._refusal(name, "delete", "that does not exist.")
        if shared is not None and shared["deleted"]:
            raise self._refusal(name, "delete", "that is already deleted.")
        if has_come:
            self._documents.put(self._drawer, name, {**(shared or self._blank(name)), "deleted": True})
            return
        self._documents.remove(self._drawer, name)
        for each in self._documents.all(self._on_drawer):
            if each["name"] == name:
                self._documents.remove(self._on_drawer, _pair(each["owner"], name))

    def restore(self, name: str, owner: str | None) -> None:
        """Bring a deleted property back: to one event type, or to all."""
        found = self._documents.get(self._drawer, name) if owner is None else self._on(name, owner)
        if found is None or not found["deleted"]:
            where = "" if owner is None else f'for {self.kind.owner_noun} "{owner}" '
            raise self._refusal(name, "restore", f"{where}that is not deleted.")
        if owner is None:
            self._documents.put(self._drawer, name, {**found, "deleted": False})
        else:
            self._put_on(name, owner, override=found["override"])

    def owner_renamed(self, old: str, new: str) -> None:
        """Let what is on an event type follow its new name."""
        for each in self._documents.all(self._on_drawer):
            if each["owner"] == old:
                self._documents.remove(self._on_drawer, _pair(old, each["name"]))
                self._documents.put(self._on_drawer, _pair(new, each["name"]), {**each, "owner": new})

    def owner_removed(self, owner: str) -> None:
        """Forget what was on an event type that is no more."""
        for each in self._documents.all(self._on_drawer):
            if each["owner"] == owner:
                self._documents.remove(self._on_drawer, _pair(owner, each["name"]))

    # Inside

    def _on(self, name: str, owner: str) -> Document | None:
        return self._documents.get(self._on_drawer, _pair(owner, name))

    def _put_on(self, name: str, owner: str, *, override: Document | None, is_deleted: bool = False) -> None:
        on = {"owner": owner, "name": name, "override": override, "deleted": is_deleted}
        self._documents.put(self._on_drawer, _pair(owner, name), on)

    def _owner(self, form: Form) -> str | None:
        owner = form.get(self.kind.owner) if self.kind.owner else None
        if not owner:
            return None
        self._refuse_unknown_group(owner)
        if not self._has_owner(owner):
            message = f'Attempted to operate on entity event, "{owner}", that does not exist.'
            raise conflict(message)
        return owner

    def _refuse_unknown_group(self, owner: str | None) -> None:
        if self.kind is GROUP and owner is not None and not self._has_owner(owner):
            message = f'Group type "{owner}" does not exist.'
            raise RefusedPlanError(404, message)

    def _custom(self, name: str, form: Form) -> str:
        if self.kind is GROUP and not name.startswith(self.kind.prefix):
            if form.keys() - {"group_property", "group_type"}:
                message = "A group property without grp: is Amplitude's own and takes nothing but group_property and group_type"
                raise ValueError(message)
            return name
        return self._prefixed(name)

    def _prefixed(self, name: str) -> str:
        # Users' properties are created without their prefix, and shown with it.
        prefix = self.kind.prefix
        return name if self.kind is GROUP or name in self.kind.built_ins or name.startswith(prefix) else prefix + name

    def _rename(self, old: str, new: str) -> None:
        if old == new:
            return
        if self._documents.get(self._drawer, new) is not None:
            raise self._exists(new, None)
        found = self._documents.get(self._drawer, old)
        if found is not None:
            self._documents.remove(self._drawer, old)
            self._documents.put(self._drawer, new, {**found, "name": new})
        for each in self._documents.all(self._on_drawer):
            if each["name"] == old:
                override = None if each["override"] is None else {**each["override"], "name": new}
                self._documents.remove(self._on_drawer, _pair(each["owner"], old))
                self._put_on(new, each["owner"], override=override, is_deleted=each["deleted"])

    def _changed(self, found: Document, form: Form, owner: str | None, *, is_override: bool) -> Document:
        kind = self.kind
        if kind is GROUP and not found["name"].startswith(kind.prefix) and form.keys() - {"group_property", "group_type"}:
            raise self._refusal(found["name"], "change", "which is Amplitude's own.")
        changes = texts(form, ("description", "type", "regex", "enum_values"))
        changes |= flags(form, ("is_array_type", "is_required", "is_hidden"))
        if "classifications" in form:
            changes["classifications"] = self._classifications(form["classifications"], found["name"], is_override=is_override)
        changed = {**found, **changes}
        if changed["type"] is None:
            changed["type"] = "string" if changed["is_array_type"] else "any"
        for name, wanted in (("regex", "string"), ("enum_values", "enum")):
            if changes.get(name) and changed["type"] != wanted:
                message = f"{name} needs type {wanted}"
                raise ValueError(message)
        if changed["type"] not in TYPES:
            message = f"Invalid value for type: {str(changed['type'])[:100]}"
            raise ValueError(message)
        if changes.get("is_hidden") and found["name"] not in self._seen(owner):
            raise self._not_in_schema(found["name"], owner, form)
        return changed

    def _classifications(self, text: str, name: str, *, is_override: bool) -> list[str]:
        if is_override:
            message = (
                f'Attempted to change the classifications of an overridden {self.kind.noun}, "{self._bare(name)}"; '
                f"call update without {self.kind.owner}."
            )
            raise conflict(message)
        found = listed(text)
        if not set(found) <= set(CLASSIFICATIONS):
            message = f"Invalid value for classifications: {text[:100]}"
            raise ValueError(message)
        return found

    def _blank(self, name: str) -> Document:
        return {
            "name": name,
            "description": self.kind.description,
            "type": None,
            "regex": None,
            "enum_values": None,
            "is_array_type": False,
            "is_required": False,
            "is_hidden": False,
            "classifications": [],
            "deleted": False,
        }

    def _bare(self, name: str) -> str:
        return name.removeprefix(self.kind.prefix)

    def _exists(self, name: str, owner: str | None) -> RefusedPlanError:
        article = "an" if self.kind is EVENT else "a"
        where = f'for event "{owner or ""}", ' if self.kind is EVENT else ""
        text = f'"{self._bare(name)}" {where}' if where else f'"{self._bare(name)}", '
        return conflict(f"Attempted to add {article} {self.kind.noun}, {text}that already exists.")

    def _not_in_schema(self, name: str, owner: str | None, form: Form) -> RefusedPlanError:
        field = next((each for each in form if each not in {self.kind.owner, "overrideScope"}), "name").replace("_", " ")
        where = f' for event "{owner or ""}"' if self.kind is EVENT else ""
        return conflict(
            f'Attempted to change the {self.kind.noun} {field} for property "{self._bare(name)}"{where}, '
            "but the property is not in schema."
        )

    def _refusal(self, name: str, verb: str, why: str) -> RefusedPlanError:
        article = "an" if self.kind is EVENT else "a"
        return conflict(f'Attempted to {verb} {article} {self.kind.noun}, "{self._bare(name)}", {why}')


def _pair(owner: str, name: str) -> str:
    return json.dumps([owner, name])
