"""The sandbox's people and groups (SCIM 2.0).

Amplitude's page says nothing of errors; they are the standard's here. It says that people are given back as they were sent, that
a PATCH changes them without saying of which form (both are read), and that groups have numbers for ids in two places and text in the
others: so does this. Whoever was invited counts as active, and nobody ever signs in.

Amplitude's page: https://amplitude.com/docs/apis/analytics/scim; the standard: https://datatracker.ietf.org/doc/html/rfc7644
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from starlette.responses import Response
from starlette.routing import Route

from amplitude_async.sandbox.desk import json_answer, to_the_end
from amplitude_async.sandbox.rules import RefusedError
from amplitude_async.sandbox.scim_filters import parsed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from amplitude_async.sandbox.desk import Desk
    from amplitude_async.sandbox.documents import Document, Documents

    Sent = Mapping[str, Any]

USERS: Final = "scim.users"
GROUPS: Final = "scim.groups"
PER_MINUTE: Final = 100
MOST_PER_PAGE: Final = 100

_PREFIX: Final = "/scim/1/"
_CORE: Final = "urn:ietf:params:scim:schemas:core:2.0:"
_MESSAGE: Final = "urn:ietf:params:scim:api:messages:2.0:"
_FIRST_GROUP: Final = 800
_MAX_BODY: Final = 1 << 20


def _body(status: int, detail: str, kind: str = "") -> dict[str, object]:
    return {
        "schemas": [f"{_MESSAGE}Error"],
        "status": str(status),
        **({"scimType": kind} if kind else {}),
        "detail": detail,
    }


def refused(status: int, detail: str) -> Response:
    """Answer with the standard's error."""
    return json_answer(status, _body(status, detail))


def _refusal(status: int, detail: str, kind: str = "") -> RefusedError:
    return RefusedError(status, _body(status, detail, kind))


def _address(value: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    name, _, domain = text.rpartition("@")
    if not name or not domain or any(letter.isspace() for letter in text):
        raise _refusal(400, "userName must be a valid email", "invalidValue")
    return text


class _People:
    """People by address; in the store's thread."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def all(self) -> list[Document]:
        """Return everybody, as a list shows them."""
        return [_shown(each) for each in self._documents.all(USERS)]

    def get(self, email: str) -> Document:
        """Return somebody, with groups."""
        found = self._stored(email)
        groups = [
            {"value": str(group["id"]), "display": group["displayName"]}
            for group in self._documents.all(GROUPS)
            if found["email"].lower() in group["members"]
        ]
        shown = _shown(found)
        meta = shown.pop("meta")
        return {**shown, "groups": groups, "meta": meta}

    def find(self, email: str) -> Document | None:
        """Return what is stored of somebody."""
        return self._documents.get(USERS, email.lower())

    def invite(self, sent: Sent) -> Sent:
        """Invite somebody; returns what was sent."""
        email = _address(sent.get("userName", sent.get("id")))
        if self.find(email) is not None:
            raise _refusal(409, f"User {email} already exists or has a pending invite", "uniqueness")
        self._documents.put(USERS, email.lower(), _changed({"email": email, "given": None, "family": None}, sent))
        return sent

    def change(self, email: str, sent: Sent, *, is_whole: bool) -> Sent:
        """Change somebody by a resource, or by operations; returns what was sent."""
        found = self._stored(email)
        resource = _patched(sent) if not is_whole and "Operations" in sent else sent
        for name in ("userName", "id"):
            if name in resource and str(resource[name]).lower() != found["email"].lower():
                raise _refusal(400, "The email address cannot be changed", "mutability")
        if str(resource.get("active", True)).lower() == "false":
            self.remove(email)
        else:
            blank = {**found, "given": None, "family": None} if is_whole else found
            self._documents.put(USERS, email.lower(), _changed(blank, resource))
        return sent

    def remove(self, email: str) -> None:
        """Take somebody out of the organisation, and of its groups."""
        found = self._stored(email)
        key = found["email"].lower()
        self._documents.remove(USERS, key)
        for group in self._documents.all(GROUPS):
            if key in group["members"]:
                members = {address: email for address, email in group["members"].items() if address != key}
                self._documents.put(GROUPS, group["id"], {**group, "members": members})

    def ensure(self, email: str) -> None:
        """Invite whoever is not there."""
        if self.find(email) is None:
            self._documents.put(USERS, email.lower(), {"email": email, "given": None, "family": None})

    def display(self, email: str) -> str:
        """Return how a group shows somebody; invited by that, they have no name yet."""
        found = self.find(email) or {"given": None, "family": None}
        return f"{found['given'] or 'undefined'} {found['family'] or 'undefined'}"

    def _stored(self, email: str) -> Document:
        found = self.find(email)
        if found is None:
            raise _refusal(404, f"User {email[:100]} not found")
        return found


def _changed(found: Document, sent: Sent) -> Document:
    name = sent.get("name")
    given, family = (name.get(part) for part in ("givenName", "familyName")) if isinstance(name, dict) else (None, None)
    return {**found, "given": given or found["given"], "family": family or found["family"]}


def _shown(found: Document) -> Document:
    return {
        "schemas": [f"{_CORE}User"],
        "id": found["email"],
        "userName": found["email"],
        "name": {"givenName": found["given"] or "NO_GIVEN_NAME", "familyName": found["family"] or "NO_FAMILY_NAME"},
        "active": True,
        "emails": [{"value": found["email"], "primary": True}],
        "meta": {"resourceType": "User"},
    }


def _operations(sent: Sent) -> list[tuple[str, str, object]]:
    """Return verb, path and value of each operation."""
    several = sent.get("Operations")
    if not isinstance(several, list) or not several or not all(isinstance(each, dict) for each in several):
        raise _refusal(400, "Operations must be a list of operations", "invalidSyntax")
    found = [(str(each.get("op", "")).lower(), str(each.get("path") or ""), each.get("value")) for each in several]
    for verb, _, _ in found:
        if verb not in {"add", "remove", "replace"}:
            raise _refusal(400, f"Unknown operation {verb[:100]}", "invalidSyntax")
    return found


def _patched(sent: Sent) -> dict[str, Any]:
    """Return operations on a person as the resource that they come to."""
    resource: dict[str, Any] = {}
    for verb, path, value in _operations(sent):
        if verb == "remove":
            raise _refusal(400, "Nothing of a user can be removed", "mutability")
        if not path and isinstance(value, dict):
            resource |= value
        elif path in {"name.givenName", "name.familyName"}:
            resource["name"] = {**resource.get("name", {}), path.removeprefix("name."): value}
        else:
            resource[path] = value
    return resource


class _Teams:
    """Groups by number; in the store's thread."""

    def __init__(self, documents: Documents, people: _People, clock: Callable[[], float]) -> None:
        self._documents = documents
        self._people = people
        self._clock = clock

    def all(self) -> list[Document]:
        """Return the groups, numbers for ids."""
        return [self._shown(each) for each in self._documents.all(GROUPS)]

    def get(self, number: str) -> Document:
        """Return one group, text for its id."""
        shown = self._shown(self._stored(number))
        return {**shown, "id": str(shown["id"])}

    def make(self, sent: Sent) -> Document:
        """Make a group; a number for its id."""
        members = _grown({}, _addresses(sent.get("members", [])))
        number = _FIRST_GROUP + self._documents.next_number(GROUPS)
        now = self._now()
        group = {"id": number, "displayName": _named(sent.get("displayName")), "created": now, "lastModified": now}
        self._invite(members)
        return self._shown(self._documents.put(GROUPS, number, {**group, "members": members}))

    def change(self, number: str, sent: Sent) -> Document:
        """Change a group by operations, all of them or none; text for its id."""
        group = dict(self._stored(number))
        for verb, path, value in _operations(sent):
            if path == "members" or (not path and isinstance(value, dict) and "members" in value):
                wanted = _addresses(value["members"] if isinstance(value, dict) and not path else value or [])
                group["members"] = _membership(group["members"], verb, wanted)
            elif path == "displayName" and verb != "remove":
                group["displayName"] = _named(value)
            elif not path and isinstance(value, dict) and "displayName" in value and verb != "remove":
                group["displayName"] = _named(value["displayName"])
            else:
                raise _refusal(400, f"Cannot {verb} {path[:100] or 'nothing'} of a group", "invalidPath")
        self._invite(group["members"])
        self._documents.put(GROUPS, group["id"], {**group, "lastModified": self._now()})
        return self.get(number)

    def remove(self, number: str) -> None:
        """Forget a group."""
        self._documents.remove(GROUPS, self._stored(number)["id"])

    def _invite(self, members: Mapping[str, str]) -> None:
        for email in members.values():
            self._people.ensure(email)

    def _stored(self, number: str) -> Document:
        found = self._documents.get(GROUPS, number)
        if found is None:
            raise _refusal(404, f"Group {number[:100]} not found")
        return found

    def _shown(self, group: Document) -> Document:
        found = ((email, self._people.find(email)) for email in group["members"])
        return {
            "schemas": [f"{_CORE}Group"],
            "id": group["id"],
            "displayName": group["displayName"],
            "members": [
                {"value": email if person is None else person["email"], "display": self._people.display(email)}
                for email, person in found
            ],
            "meta": {"resourceType": "Group", "created": group["created"], "lastModified": group["lastModified"]},
        }

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")


def _membership(members: Mapping[str, str], verb: str, wanted: list[str]) -> dict[str, str]:
    if verb == "remove":
        # By the standard, a removal that names nobody removes everybody.
        gone = {email.lower() for email in wanted} or set(members)
        return {key: email for key, email in members.items() if key not in gone}
    return _grown(members if verb == "add" else {}, wanted)


def _grown(members: Mapping[str, str], wanted: list[str]) -> dict[str, str]:
    """Return members by their address in lower case, those who are in it as they were."""
    grown = dict(members)
    for email in wanted:
        grown.setdefault(email.lower(), email)
    return grown


def _named(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _refusal(400, "displayName is required", "invalidValue")
    return value


def _addresses(members: object) -> list[str]:
    several = [members] if isinstance(members, dict) else members
    if not isinstance(several, list) or not all(isinstance(each, dict) for each in several):
        raise _refusal(400, "members must be a list of objects with a value", "invalidValue")
    return [_address(each.get("value")) for each in several]


def _position(parameters: Mapping[str, str], name: str, default: int) -> int:
    text = parameters.get(name, str(default))
    try:
        return int(text)
    except ValueError:
        message = f"Invalid value for {name}: {text[:100]}"
    raise ValueError(message)


def _page(resources: list[Document], parameters: Mapping[str, str]) -> Document:
    text = parameters.get("filter", "")
    if text.strip():
        try:
            test = parsed(text)
        except ValueError as error:
            raise _refusal(400, str(error), "invalidFilter") from None
        resources = [each for each in resources if test(each)]
    # What is below its least counts as that, by the standard.
    start = max(_position(parameters, "startIndex", 1), 1)
    size = min(max(_position(parameters, "itemsPerPage", MOST_PER_PAGE), 0), MOST_PER_PAGE)
    return {
        "schemas": [f"{_MESSAGE}ListResponse"],
        "startIndex": start,
        "itemsPerPage": size,
        "totalResults": len(resources),
        "Resources": resources[start - 1 : start - 1 + size],
    }


class _Service:
    """The endpoints of people and groups."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._people = _People(desk.store.documents)
        self._teams = _Teams(desk.store.documents, self._people, desk.clock)

    async def answer(self, request: Request) -> Response:
        """Answer any of them."""
        now, minute = self._desk.clock(), self._desk.window("scim", 60.0)
        if self._desk.strict and minute.total(now) >= PER_MINUTE:
            return refused(429, f"Too Many Requests: more than {PER_MINUTE} in a minute")
        minute.add(now, 1)
        # From the bytes of the address: whatever an address of a person holds is in one piece then.
        parts = request.scope["raw_path"].decode("ascii").removeprefix(_PREFIX).rstrip("/").split("/")
        kind, *rest = (unquote(part) for part in parts)
        handlers: dict[str, Callable[[Request, list[str]], Awaitable[Response]]] = {"Users": self._users, "Groups": self._groups}
        if kind not in handlers or len(rest) > 1:
            return refused(404, "Not found")
        return await handlers[kind](request, rest)

    async def _users(self, request: Request, rest: list[str]) -> Response:
        run, people = self._desk.run, self._people
        match (request.method, *rest):
            case ("GET",):
                return json_answer(200, _page(await run(people.all), request.query_params))
            case ("POST",):
                return json_answer(201, await run(people.invite, await self._desk.json_body(request, _MAX_BODY)))
            case ("GET", email):
                return json_answer(200, await run(people.get, email))
            case ("PUT" | "PATCH", email):
                sent = await self._desk.json_body(request, _MAX_BODY)
                return json_answer(200, await run(people.change, email, sent, is_whole=request.method == "PUT"))
            case ("DELETE", email):
                await run(people.remove, email)
                return Response(status_code=204)
        return refused(405, "Method Not Allowed")

    async def _groups(self, request: Request, rest: list[str]) -> Response:
        run, teams = self._desk.run, self._teams
        match (request.method, *rest):
            case ("GET",):
                return json_answer(200, _page(await run(teams.all), request.query_params))
            case ("POST",):
                return json_answer(200, await run(teams.make, await self._desk.json_body(request, _MAX_BODY)))
            case ("GET", number):
                return json_answer(200, await run(teams.get, number))
            case ("PATCH", number):
                return json_answer(200, await run(teams.change, number, await self._desk.json_body(request, _MAX_BODY)))
            case ("DELETE", number):
                await run(teams.remove, number)
                return Response(status_code=204)
        return refused(405, "Method Not Allowed")


def routes(desk: Desk) -> list[Route]:
    """Return the endpoints."""
    handler = desk.guarded(_Service(desk).answer, door="scim", pool=None, refuse=refused)
    return [to_the_end(Route(_PREFIX + "{rest:path}", handler, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]))]
