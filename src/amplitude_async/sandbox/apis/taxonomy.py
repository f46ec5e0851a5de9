"""The sandbox's tracking plan: the Taxonomy API over the rules of :mod:`amplitude_async.sandbox.planning`.

Amplitude's page: https://amplitude.com/docs/apis/analytics/taxonomy
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, unquote

from starlette.routing import Route

from amplitude_async.sandbox import planning
from amplitude_async.sandbox.desk import json_answer, to_the_end
from amplitude_async.sandbox.limits import HOUR
from amplitude_async.sandbox.planning.fields import flag
from amplitude_async.sandbox.rules import MIB

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from amplitude_async.sandbox.desk import Desk
    from amplitude_async.sandbox.planning.fields import Form
    from amplitude_async.sandbox.store import Store

PREFIX: Final = "/api/2/taxonomy/"
IN_FLIGHT: Final = 4
PER_HOUR: Final = 7200

Answer = tuple[int, object]
_DONE: Final[Answer] = (200, None)


def refused(status: int, message: str) -> Response:
    """Answer with the error envelope of this API."""
    return json_answer(status, {"success": False, "errors": [{"message": message}]})


class _Plan:
    """What each method of each path does; in the store's thread."""

    def __init__(self, store: Store) -> None:
        people = store.people
        self.categories = planning.Categories(store.documents)
        self.events = planning.EventTypes(store)
        self.properties = {
            "event-property": planning.Properties(store, planning.EVENT, seen=store.event_properties, has_owner=self.events.exists),
            "user-property": planning.Properties(
                store,
                planning.USER,
                seen=lambda _: [f"gp:{name}" for name in people.property_names()],
                has_owner=lambda _: False,
            ),
            "group-property": planning.Properties(
                store,
                planning.GROUP,
                seen=lambda group_type: [f"grp:{name}" for name in people.group_property_names(group_type)],
                has_owner=lambda group_type: group_type in store.group_types(),
            ),
        }

    def answer(self, method: str, path: list[str], form: Form) -> Answer:
        """Do what was asked, and say what to answer; RefusedPlanError and ValueError are refusals."""
        kind, *rest = path
        verb = (method, len(rest) if len(rest) < 2 or rest[1:] == ["restore"] else -1)  # noqa: PLR2004 - a name and "restore"
        name = rest[0] if rest else ""
        if kind == "category":
            return self._category(verb, name, form)
        if kind == "event":
            return self._event(verb, name, form)
        if kind in self.properties:
            return self._property(self.properties[kind], verb, name, form)
        raise planning.RefusedPlanError(404, "Not found")

    def _category(self, verb: tuple[str, int], name: str, form: Form) -> Answer:
        match verb:
            case ("GET", 0):
                return 200, self.categories.all()
            case ("GET", 1):
                return 200, self.categories.get(name)
            case ("POST", 0):
                self.categories.create(form)
            case ("PUT", 1):
                self.categories.rename(name, form)
            case ("DELETE", 1):
                self.categories.delete(name)
            case _:
                raise planning.RefusedPlanError(405, "Method Not Allowed")
        return _DONE

    def _event(self, verb: tuple[str, int], name: str, form: Form) -> Answer:
        on_events = self.properties["event-property"]
        match verb:
            case ("GET", 0):
                return 200, self.events.all(shows_deleted=flag(form, "showDeleted"))
            case ("GET", 1):
                return 200, self.events.get(name)
            case ("POST", 0):
                self.events.create(form)
            case ("PUT", 1):
                new = self.events.update(name, form)
                if new != name:
                    on_events.owner_renamed(name, new)
            case ("DELETE", 1):
                if self.events.delete(name):
                    on_events.owner_removed(name)
            case ("POST", 2):
                self.events.restore(name)
            case _:
                raise planning.RefusedPlanError(405, "Method Not Allowed")
        return _DONE

    @staticmethod
    def _property(properties: planning.Properties, verb: tuple[str, int], name: str, form: Form) -> Answer:
        kind = properties.kind
        owner = (form.get(kind.owner) or None) if kind.owner else None
        shows_deleted = kind is planning.USER and flag(form, "showDeleted")
        if verb == ("GET", 0) and form.get(kind.name):
            # Amplitude's samples read one this way too.
            verb, name = ("GET", 1), form[kind.name]
        match verb:
            case ("GET", 0):
                return 200, properties.all(owner, shows_deleted=shows_deleted)
            case ("GET", 1):
                return 200, properties.get(name, owner, shows_deleted=shows_deleted)
            case ("POST", 0):
                properties.create(form)
            case ("PUT", 1):
                properties.update(name, form)
            case ("DELETE", 1) if kind is not planning.GROUP:
                properties.delete(name, owner)
            case ("POST", 2) if kind is not planning.GROUP:
                properties.restore(name, owner)
                return (201, None) if kind is planning.EVENT else _DONE
            case _:
                raise planning.RefusedPlanError(405, "Method Not Allowed")
        return _DONE


class _Limits:
    """Four cost in flight, 7,200 an hour; in a strict sandbox."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.running = 0

    def enter(self, cost: int) -> bool:
        """Count a request, or say that there is no room for it."""
        now, hour = self._desk.clock(), self._desk.window("taxonomy", HOUR)
        if self.running + cost > IN_FLIGHT or hour.total(now) + cost > PER_HOUR:
            return False
        self.running += cost
        hour.add(now, cost)
        return True


async def _form(desk: Desk, request: Request) -> Form:
    """Return the fields of the query and of the body, whatever the method; the body wins."""
    body = await desk.body(request, MIB)
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {**request.query_params, **{name: values[-1] for name, values in fields.items()}}


def routes(desk: Desk) -> list[Route]:
    """Return the endpoints."""
    plan, limits = _Plan(desk.store), _Limits(desk)

    async def answered(request: Request) -> Response:
        form = await _form(desk, request)
        # From the bytes of the address: a name may have a slash in it.
        path = [unquote(part) for part in request.scope["raw_path"].decode("ascii").removeprefix(PREFIX).split("/")]
        try:
            status, data = await desk.run(plan.answer, request.method, path, form)
        except planning.RefusedPlanError as refusal:
            return refused(refusal.status, str(refusal))
        return json_answer(status, {"success": True} if data is None else {"success": True, "data": data})

    async def limited(request: Request) -> Response:
        cost = 1 if request.method == "GET" else 2
        if desk.strict and not limits.enter(cost):
            return refused(429, f"Too Many Requests: Exceeded limit with request of cost {cost}")
        try:
            return await answered(request)
        finally:
            limits.running -= cost if desk.strict else 0

    handler = desk.guarded(limited, pool=None, refuse=refused)
    return [to_the_end(Route(PREFIX + "{rest:path}", handler, methods=["GET", "POST", "PUT", "DELETE"]))]
