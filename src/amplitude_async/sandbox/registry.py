"""The sandbox's flags, experiments, deployments and groups, with the version that each change makes.

Every method runs in the store's thread. A refusal is a ValueError (400) or a :class:`RegistryError` with its own status.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn

from amplitude_async.sandbox import flags, slots
from amplitude_async.sandbox.assigning import Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from amplitude_async.sandbox.documents import Documents
    from amplitude_async.sandbox.flags import Document

DEFAULT_DEPLOYMENT: Final = "1"
"""The deployment of the sandbox's own key, which is there from the beginning."""
LONGEST_PAGE: Final = 1000
USUAL_PAGE: Final = 100
_FIRST_ID: Final = 60_000
_PREFIX: Final = "experiment."
_KINDS: Final = ("flags", "experiments", "mutexes", "holdouts")
_WEB: Final = "Web experiments cannot be edited by this API"


class RegistryError(Exception):
    """A refusal with a status of its own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def lacks(what: str) -> NoReturn:
    """Refuse an id that nothing has.

    Raises:
        RegistryError: Always.
    """
    message = f"There is no such {what}"
    raise RegistryError(404, message)


class Registry:
    """One project's flags and what belongs to them, in the store's documents."""

    def __init__(self, documents: Documents, *, project_id: int, is_strict: bool, deployment_key: str) -> None:
        self._documents = documents
        self._project_id = project_id
        self._is_strict = is_strict
        self._deployment_key = deployment_key

    # What is there

    def _all(self, kind: str) -> list[Document]:
        return self._documents.all(_PREFIX + kind)

    def find(self, kind: str, ident: object) -> Document:
        """Return a document."""
        found = self._documents.get(_PREFIX + kind, ident)
        if found is None:
            lacks({"mutexes": "mutex"}.get(kind, kind.removesuffix("s")))
        return found

    def _keep(self, kind: str, document: Document) -> Document:
        return self._documents.put(_PREFIX + kind, document["id"], document)

    def _next_id(self) -> int:
        return _FIRST_ID + self._documents.next_number(_PREFIX + "ids")

    def page(self, kind: str, query: Mapping[str, str]) -> Document:
        """Return a page of a list, the newest first, where archived ones are left out unless they are asked for."""
        found = self._all(kind)[::-1]
        wants_archived = query.get("includeArchived", "false").lower() == "true"
        if kind in {"flags", "experiments"}:
            found = [
                flags.shown(each, is_listed=True)
                for each in found
                if (wants_archived or not each["deleted"])
                and query.get("key", each["key"]) == each["key"]
                and query.get("projectId", each["projectId"]) == each["projectId"]
            ]
        else:
            found = [each for each in found if not each["deleted"]]
        return _paged(kind, found, query)

    def shown(self, kind: str, ident: object) -> Document:
        """Return one document as Amplitude shows it."""
        document = self.find(kind, ident)
        return flags.shown(document) if kind in {"flags", "experiments"} else document

    # Flags and experiments

    def create(self, kind: str, body: Mapping[str, Any], at: float) -> Document:
        """Make a flag, an experiment or a group; return its id and address."""
        self._check_project(body)
        number = self._next_id()
        if kind in {"flags", "experiments"}:
            document = flags.new(kind, body, ident=str(number), at=at)
            document["deployments"] = self._deployments_named(body.get("deployments", []))
            url = f"http://experiment.amplitude.com/amplitude/{document['projectId']}/config/{number}"
        elif kind == "mutexes":
            document, url = slots.new_mutex(body, ident=number), slots.URL
            self._check_slots(document)
        else:
            document, url = slots.new_holdout(body, ident=number, at=at), slots.URL
            self._check_members(document)
        self._check_key(document["key"])
        if kind in {"flags", "experiments"}:
            self._changed(kind, document, at)
        else:
            self._keep(kind, document)
        return {"id": document["id"], "url": url}

    def edit(self, kind: str, ident: object, body: Mapping[str, Any], at: float) -> None:
        """Change a flag, an experiment or a group."""
        old = self.find(kind, ident)
        if kind in {"flags", "experiments"}:
            self.change(kind, ident, lambda document: flags.edited(kind, document, body), at)
        elif kind == "mutexes":
            self._keep(kind, slots.edited_mutex(old, body))
        else:
            document = slots.edited_holdout(old, body, at=at)
            self._check_members(document)
            self._keep(kind, document)

    def edit_slot(self, ident: object, index: int, body: Mapping[str, Any]) -> None:
        """Change what is in a slot of a mutual exclusion group."""
        old = self.find("mutexes", ident)
        if not 1 <= index <= len(old["slots"]):
            lacks("slot")
        document = slots.edited_slot(old, index, body)
        self._check_slots(document)
        self._keep("mutexes", document)

    def change(self, kind: str, ident: object, make: Callable[[Document], Document], at: float) -> None:
        """Change a flag or experiment, which makes a new version of it."""
        old = self.find(kind, ident)
        if old.get("deliveryMethod") == "web":
            raise RegistryError(405, _WEB)
        self._changed(kind, make(old), at)

    def _check_parents(self, document: Document) -> None:
        """Refuse parents that are not there, and flags that depend on each other in a circle."""
        waiting = list((document.get("parentDependencies") or {}).get("flags", {}))
        seen: set[str] = set()
        while waiting:
            ident = waiting.pop()
            if ident == document["id"]:
                message = "Flags cannot depend on each other in a circle"
                raise ValueError(message)
            if ident not in seen:
                seen.add(ident)
                parent = self._documents.get(_PREFIX + "flags", ident) or self.find("experiments", ident)
                waiting += (parent.get("parentDependencies") or {}).get("flags", {})

    def _changed(self, kind: str, document: Document, at: float) -> None:
        self._check_parents(document)
        document["_version"] += 1
        document["lastModifiedAt"] = flags.timestamp(at)
        self._keep(kind, document)
        version = {
            "createdAt": document["lastModifiedAt"],
            "createdBy": document["lastModifiedBy"],
            "version": document["_version"],
            "flagConfig": flags.shown(document),
        }
        self._documents.put(_PREFIX + "versions", f"{document['id']}/{document['_version']}", version)

    def _check_project(self, body: Mapping[str, Any]) -> None:
        project = flags.identity(body.get("projectId"), "projectId")
        if self._is_strict and project != str(self._project_id):
            raise RegistryError(403, "The key has no access to this project")

    def _check_key(self, key: str) -> None:
        if any(each["key"] == key for kind in _KINDS for each in self._all(kind)):
            message = f"The key {key} is taken"
            raise ValueError(message)

    def _check_members(self, holdout: Document) -> None:
        for ident in holdout["experiments"]:
            experiment = self._documents.get(_PREFIX + "experiments", ident)
            if experiment is None:
                message = f"There is no experiment {ident}"
                raise ValueError(message)
            if experiment["evaluationMode"] != holdout["evaluationMode"]:
                message = f"The evaluation mode of experiment {ident} does not fit"
                raise ValueError(message)

    def _check_slots(self, mutex: Document) -> None:
        for slot in mutex["slots"]:
            for kind in ("experiments", "holdouts"):
                for ident in slot[kind]:
                    if self._documents.get(_PREFIX + kind, ident) is None:
                        message = f"There is no {kind.removesuffix('s')} {ident}"
                        raise ValueError(message)

    # Versions

    def versions_of(self, kind: str, ident: object) -> list[Document]:
        """Return the versions of one, the newest first."""
        document = self.find(kind, ident)
        names = (f"{document['id']}/{number}" for number in range(document["_version"], 0, -1))
        found = (self._documents.get(_PREFIX + "versions", name) for name in names)
        return [each for each in found if each is not None]

    def version_of(self, kind: str, ident: object, version: str) -> Document:
        """Return one version of one."""
        document = self.find(kind, ident)
        found = self._documents.get(_PREFIX + "versions", f"{document['id']}/{version}")
        if found is None:
            lacks("version")
        return found

    def versions(self, query: Mapping[str, str]) -> Document:
        """Return a page of the versions of everything, the newest first; ``start`` is inclusive, ``end`` exclusive."""
        start, end = (_moment(query.get(name), name) for name in ("start", "end"))
        found = [
            each
            for each in self._all("versions")[::-1]
            if (start is None or start <= datetime.fromisoformat(each["createdAt"]))
            and (end is None or datetime.fromisoformat(each["createdAt"]) < end)
        ]
        return _paged("versions", found, query)

    # Variants and inclusions

    def variants_of(self, kind: str, ident: object) -> list[Document]:
        """Return the variants of one."""
        document = self.find(kind, ident)
        return [flags.shown_variant(document, place) for place in range(len(document["variants"]))]

    def variant_of(self, kind: str, ident: object, key: str) -> Document:
        """Return one variant of one."""
        document = self.find(kind, ident)
        return flags.shown_variant(document, self._place(document, key))

    @staticmethod
    def _place(document: Document, key: str) -> int:
        place = flags.place_of(document, key)
        if place is None:
            lacks("variant")
        return place

    def create_variant(self, kind: str, ident: object, body: Mapping[str, Any], at: float) -> None:
        """Add a variant."""
        self.change(kind, ident, lambda document: flags.with_variant(document, body), at)

    def edit_variant(self, kind: str, ident: object, key: str, body: Mapping[str, Any], at: float) -> None:
        """Change a variant."""
        self.change(kind, ident, lambda document: flags.with_edited_variant(document, self._place(document, key), body), at)

    def remove_variant(self, kind: str, ident: object, key: str, at: float) -> None:
        """Remove a variant."""
        self.change(kind, ident, lambda document: flags.without_variant(document, self._place(document, key)), at)

    def included(self, kind: str, ident: object, key: str, holder: str) -> list[str]:
        """Return who always gets a variant."""
        document = self.find(kind, ident)
        self._place(document, key)
        several: list[str] = document[holder].get(key, [])
        return several

    def include(self, kind: str, ident: object, key: str, holder: str, body: Mapping[str, Any], at: float) -> None:
        """Have some always get a variant."""
        self.included(kind, ident, key, holder)
        self.change(kind, ident, lambda document: flags.with_included(document, holder, key, body), at)

    def exclude(self, kind: str, ident: object, key: str, holder: str, body: Mapping[str, Any], at: float) -> None:
        """Take some off the list of a variant."""
        self.included(kind, ident, key, holder)
        self.change(kind, ident, lambda document: flags.without_included(document, holder, key, body), at)

    def exclude_at(self, kind: str, ident: object, key: str, place: int | None, at: float) -> None:
        """Take the one at a place, or everybody, off the list of a variant."""
        several = self.included(kind, ident, key, "_users")
        if place is not None and not 0 <= place < len(several):
            lacks("inclusion")
        rest = [] if place is None else several[:place] + several[place + 1 :]
        self.change(kind, ident, lambda document: {**document, "_users": {**document["_users"], key: rest}}, at)

    # Deployments

    def deployments(self) -> list[Document]:
        """Return all deployments, the sandbox's own first."""
        own = {
            "id": DEFAULT_DEPLOYMENT,
            "projectId": str(self._project_id),
            "label": "default",
            "key": self._deployment_key,
            "deleted": False,
        }
        return [own, *self._all("deployments")]

    def _deployment(self, ident: object) -> Document:
        found = next((each for each in self.deployments() if each["id"] == str(ident)), None)
        if found is None:
            lacks("deployment")
        return found

    def _deployments_named(self, value: object) -> list[str]:
        named = flags.identities(value, "deployments")
        present = {each["id"] for each in self.deployments() if not each["deleted"]}
        unknown = [each for each in named if each not in present]
        if unknown:
            message = f"There is no deployment {', '.join(unknown)}"
            raise ValueError(message)
        return list(dict.fromkeys(named))

    def deployments_page(self, query: Mapping[str, str]) -> Document:
        """Return a page of the deployments, the newest first, without the name of a next page where there is none."""
        answer = _paged("deployments", [each for each in self.deployments()[::-1] if not each["deleted"]], query)
        return {name: value for name, value in answer.items() if value is not None}

    def create_deployment(self, body: Mapping[str, Any]) -> Document:
        """Make a deployment, with a key of its own."""
        self._check_project(body)
        label = self._label(body.get("label"))
        kind = flags.choice(body.get("type"), "type", ("client", "server"))
        number = self._documents.next_number(_PREFIX + "deployments") + 1
        document = {
            "id": str(number),
            "projectId": flags.identity(body.get("projectId"), "projectId"),
            "label": label,
            "key": f"{kind}-{flags.salt_of(f'{self._project_id}/{number}').lower()}{number}",
            "deleted": False,
        }
        self._keep("deployments", document)
        return {"id": document["id"]}

    @staticmethod
    def _label(value: object) -> str:
        label = flags.text(value, "label", required=True) or ""
        if not label.isascii() or not label.replace("_", "").replace("-", "").isalnum():
            message = "label must be letters, digits, _ and - alone"
            raise ValueError(message)
        return label

    def edit_deployment(self, ident: object, body: Mapping[str, Any]) -> None:
        """Change a deployment; the sandbox's own stays as it is."""
        document = self._deployment(ident)
        if document["id"] == DEFAULT_DEPLOYMENT:
            message = "The default deployment cannot be changed"
            raise ValueError(message)
        if "label" in body:
            document["label"] = self._label(body["label"])
        if "archive" in body:
            document["deleted"] = flags.boolean(body["archive"], "archive")
        self._keep("deployments", document)

    def deployments_of(self, kind: str, ident: object) -> list[Document]:
        """Return the deployments that one is served by."""
        return [self._deployment(each) for each in self.find(kind, ident)["deployments"]]

    def deploy(self, kind: str, ident: object, body: Mapping[str, Any], at: float) -> None:
        """Have one served by further deployments."""
        named = self._deployments_named(body.get("deployments"))
        self.change(kind, ident, lambda old: {**old, "deployments": list(dict.fromkeys([*old["deployments"], *named]))}, at)

    def withdraw(self, kind: str, ident: object, deployment: str, at: float) -> None:
        """Have one served no more by a deployment."""
        if deployment not in self.find(kind, ident)["deployments"]:
            lacks("deployment")
        self.change(kind, ident, lambda old: {**old, "deployments": [each for each in old["deployments"] if each != deployment]}, at)

    # Evaluation

    def deployment_of(self, key: str) -> str | None:
        """Return the id of the deployment that has a key, ``None`` if there is none."""
        return next((each["id"] for each in self.deployments() if each["key"] == key and not each["deleted"]), None)

    def rules(self) -> Rules:
        """Return the rules of everything."""
        return Rules(*(self._all(kind) for kind in _KINDS))

    def is_served(self, document: Document, deployment: str) -> bool:
        """Say whether a deployment serves a flag. One that names none is served by the sandbox's own, unless that is strict."""
        named = document["deployments"]
        return deployment in named or (not named and not self._is_strict and deployment == DEFAULT_DEPLOYMENT)

    def sticking(self, person: int) -> dict[str, str]:
        """Return what a user was assigned, by the keys of the experiments where that sticks."""
        sticky = {each["key"]: set(flags.keys_of(each)) for each in self._all("experiments") if each["stickyBucketing"]}
        had = (self._documents.get(_PREFIX + "sticky", person) or {}) if sticky else {}
        return {key: variant for key, variant in had.items() if variant in sticky.get(key, ())}

    def stick(self, person: int, assigned: Mapping[str, str]) -> None:
        """Remember what a user was assigned where that sticks."""
        sticky = {each["key"] for each in self._all("experiments") if each["stickyBucketing"]}
        fresh = {key: variant for key, variant in assigned.items() if key in sticky}
        if fresh:
            had = self._documents.get(_PREFIX + "sticky", person) or {}
            self._documents.put(_PREFIX + "sticky", person, had | fresh)


def _moment(value: str | None, name: str) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        message = f"{name} must be in ISO 8601"
    else:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    raise ValueError(message)


def _count(query: Mapping[str, str], name: str, usual: int, least: int, most: int) -> int:
    value = query.get(name)
    if value is None:
        return usual
    if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
        message = f"{name} must be an integer from {least} to {most}"
        raise ValueError(message)
    return int(value)


def _paged(name: str, found: Iterable[Document], query: Mapping[str, str]) -> Document:
    limit = _count(query, "limit", USUAL_PAGE, 1, LONGEST_PAGE)
    first = _count(query, "cursor", 0, 0, 1 << 62)
    items = list(found)
    after = first + limit
    return {name: items[first:after], "nextCursor": after if after < len(items) else None}
