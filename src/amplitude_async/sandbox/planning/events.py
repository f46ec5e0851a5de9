"""Categories and event types of the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from amplitude_async.sandbox.planning.fields import NOT_FOUND, Form, RefusedPlanError, conflict, flags, listed, required, texts
from amplitude_async.sandbox.store import PLANNED_EVENTS

if TYPE_CHECKING:
    from amplitude_async.sandbox.documents import Document, Documents
    from amplitude_async.sandbox.store import Store

CATEGORIES: Final = "plan.categories"
EVENTS: Final = PLANNED_EVENTS

_FIRST_CATEGORY: Final = 41_000
_HIDDEN: Final = (
    "is_hidden_from_dropdowns",
    "is_hidden_from_persona_results",
    "is_hidden_from_pathfinder",
    "is_hidden_from_timeline",
)
# What can only be said of an event that has come.
_OF_SEEN_ONES: Final = ("display_name", *_HIDDEN)


class Categories:
    """Categories: read by name, changed by id."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def all(self) -> list[Document]:
        """Return every category."""
        return self._documents.all(CATEGORIES)

    def find(self, name: str) -> Document | None:
        """Return the category of a name."""
        return next((each for each in self.all() if each["name"] == name), None)

    def get(self, name: str) -> Document:
        """Return the category of a name, or refuse."""
        found = self.find(name)
        if found is None:
            raise RefusedPlanError(400, NOT_FOUND)
        return found

    def create(self, form: Form) -> Document:
        """Make a category."""
        name = required(form, "category_name")
        self._refuse_taken(name)
        return self.made(name)

    def made(self, name: str) -> Document:
        """Make a category, whatever it is called."""
        number = _FIRST_CATEGORY + self._documents.next_number(CATEGORIES)
        return self._documents.put(CATEGORIES, number, {"id": number, "name": name})

    def rename(self, number: str, form: Form) -> None:
        """Give a category another name."""
        found = self._by_id(number)
        name = required(form, "category_name")
        if name != found["name"]:
            self._refuse_taken(name)
        self._documents.put(CATEGORIES, found["id"], {**found, "name": name})

    def delete(self, number: str) -> None:
        """Forget a category, also in the events that had it."""
        found = self._by_id(number)
        self._documents.remove(CATEGORIES, found["id"])
        for event in self._documents.all(EVENTS):
            if event["category"] == found["id"]:
                self._documents.put(EVENTS, event["event_type"], {**event, "category": None})

    def name_of(self, number: object) -> Document | None:
        """Return how an event shows its category."""
        found = None if number is None else self._documents.get(CATEGORIES, number)
        return None if found is None else {"name": found["name"]}

    def _by_id(self, number: str) -> Document:
        found = self._documents.get(CATEGORIES, number)
        if found is None:
            message = f'Attempted to operate on entity event_category, id "{number}", that does not exist.'
            raise conflict(message)
        return found

    def _refuse_taken(self, name: str) -> None:
        if self.find(name) is not None:
            message = f'Attempted to add an event category, "{name}", that already exists.'
            raise conflict(message)


class EventTypes:
    """Event types.

    One that came without a plan is listed and read too, but changed only after it was created here: Amplitude says of others that they
    are "not in schema". An event counts as hidden when any of its four flags says so.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._documents = store.documents
        self._categories = Categories(store.documents)

    def all(self, *, shows_deleted: bool) -> list[Document]:
        """Return the visible event types."""
        planned = {each["event_type"]: each for each in self._documents.all(EVENTS)}
        unplanned = [_blank(name) for name in self._store.event_names() if name not in planned]
        return [
            self._shown(each)
            for each in (*planned.values(), *unplanned)
            if (shows_deleted or not each["deleted"]) and not any(each[name] for name in _HIDDEN)
        ]

    def get(self, event_type: str) -> Document:
        """Return one event type, hidden or not."""
        found = self._documents.get(EVENTS, event_type)
        if found is None and self._store.knows_event(event_type):
            found = _blank(event_type)
        if found is None or found["deleted"]:
            raise RefusedPlanError(400, NOT_FOUND)
        return self._shown(found)

    def exists(self, event_type: str) -> bool:
        """Say whether an event type is planned, or came without."""
        found = self._documents.get(EVENTS, event_type)
        return self._store.knows_event(event_type) if found is None else not found["deleted"]

    def create(self, form: Form) -> None:
        """Put an event type into the plan."""
        event_type = required(form, "event_type")
        if self._documents.get(EVENTS, event_type) is not None:
            message = f'Attempted to add an event type, "{event_type}", that already exists.'
            raise conflict(message)
        self._documents.put(EVENTS, event_type, self._changed(_blank(event_type), form))

    def update(self, event_type: str, form: Form) -> str:
        """Change an event type; returns its name afterwards."""
        found = self._documents.get(EVENTS, event_type)
        if found is None or found["deleted"]:
            field = next(iter(form), "event_type").replace("_", " ")
            message = f'Attempted to change the event {field} for event "{event_type}", but the event is not in schema.'
            raise conflict(message)
        name = form.get("new_event_type") or event_type
        if name != event_type and self._documents.get(EVENTS, name) is not None:
            message = f'Attempted to rename event "{event_type}" to "{name}", that already exists.'
            raise conflict(message)
        changed = self._changed(found, form)
        if name != event_type:
            self._documents.remove(EVENTS, event_type)
        self._documents.put(EVENTS, name, {**changed, "event_type": name})
        return name

    def delete(self, event_type: str) -> bool:
        """Delete an event type; says whether nothing is left of it."""
        found, has_come = self._documents.get(EVENTS, event_type), self._store.knows_event(event_type)
        if found is None and not has_come:
            message = f'Attempted to delete an event type, "{event_type}", that does not exist.'
            raise conflict(message)
        if found is not None and found["deleted"]:
            message = f'Attempted to delete an event type, "{event_type}", that is already deleted.'
            raise conflict(message)
        if not has_come:
            return self._documents.remove(EVENTS, event_type)
        self._documents.put(EVENTS, event_type, {**(found or _blank(event_type)), "deleted": True})
        return False

    def restore(self, event_type: str) -> None:
        """Bring a deleted event type back."""
        found = self._documents.get(EVENTS, event_type)
        if found is None or not found["deleted"]:
            message = f'Attempted to restore an event type, "{event_type}", that is not deleted.'
            raise conflict(message)
        self._documents.put(EVENTS, event_type, {**found, "deleted": False})

    def _changed(self, event: Document, form: Form) -> Document:
        changes = texts(form, ("description", "display_name", "owner")) | flags(form, ("is_active", *_HIDDEN))
        for name in _OF_SEEN_ONES:
            if name in changes and not self._store.knows_event(event["event_type"]):
                message = (
                    f'Attempted to change the event {name.replace("_", " ")} for event "{event["event_type"]}", '
                    "but the event is not in schema."
                )
                raise conflict(message)
        if "tags" in form:
            changes["tags"] = listed(form["tags"])
        if "category" in form:
            changes["category"] = self._category(form["category"])
        return {**event, **changes}

    def _category(self, name: str) -> int | None:
        # Whether Amplitude makes one that is not there is not documented; here it does.
        if not name.strip():
            return None
        return int((self._categories.find(name) or self._categories.made(name))["id"])

    def _shown(self, event: Document) -> Document:
        shown: dict[str, Any] = {**event, "category": self._categories.name_of(event["category"])}
        del shown["deleted"]
        return shown


def _blank(event_type: str) -> Document:
    return {
        "event_type": event_type,
        "category": None,
        "description": None,
        "display_name": None,
        "is_active": True,
        **dict.fromkeys(_HIDDEN, False),
        "tags": [],
        "owner": None,
        "deleted": False,
    }
