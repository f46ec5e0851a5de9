"""The sandbox's management of flags and experiments.

Pages: https://amplitude.com/docs/apis/experiment/experiment-management-api and those below it. Where they say nothing: refusals are
``{"error": {"message": ...}}``, unknown ids answer 404, edits answer ``OK``, a page has 100 items, and the project is taken as it is
sent, save that a strict sandbox answers 403 for another than its own. A strict one also keeps to 100 requests a second and 100,000 a
day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from amplitude_async.sandbox import rules
from amplitude_async.sandbox.desk import json_answer
from amplitude_async.sandbox.registry import Registry, RegistryError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from amplitude_async.sandbox.desk import Desk

    Handler = Callable[[Request], Awaitable[Response]]

PER_SECOND: Final = 100
PER_DAY: Final = 100_000
_DAY_SECONDS: Final = 86_400
_LARGEST_BODY: Final = 4 * rules.MIB
_PREFIX: Final = "/api/1"


def refusal(status: int, message: str) -> Response:
    """Answer with this API's error body."""
    return json_answer(status, {"error": {"message": message}})


def registry_of(desk: Desk) -> Registry:
    """Return the registry of a desk's store, which may be another one tomorrow."""
    return Registry(desk.store.documents, project_id=desk.project_id, is_strict=desk.strict, deployment_key=desk.keys.deployment_key)


def routes(desk: Desk) -> list[Route]:
    """Return the endpoints."""
    rates = _Rates(desk)
    found = [route for kind in ("flags", "experiments") for route in _Configured(desk, rates, kind).routes()]
    found += [route for kind in ("mutexes", "holdouts") for route in _Groups(desk, rates, kind).routes()]
    return [*found, *_Others(desk, rates).routes()]


def _ok() -> Response:
    return PlainTextResponse("OK")


def _index(text: str, least: int) -> int:
    """Read the number of a place; ValueError if it is none."""
    if not (text.isascii() and text.isdigit()):
        message = f"The index must be an integer from {least}"
        raise ValueError(message)
    return int(text)


class _Rates:
    """What the strict sandbox counts, for all endpoints of one desk together."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def is_full(self) -> bool:
        """Count a request, or say that there is no room for it."""
        now = self._desk.clock()
        # A day is one of UTC and not the last 24 hours: each has a window of its own.
        second, today = (
            self._desk.window("management", 1.0),
            self._desk.window(f"management on {now // _DAY_SECONDS:.0f}", _DAY_SECONDS),
        )
        if second.total(now) >= PER_SECOND or today.total(now) >= PER_DAY:
            return True
        second.add(now, 1)
        today.add(now, 1)
        return False


class _Endpoints:
    """What all of them share."""

    def __init__(self, desk: Desk, rates: _Rates) -> None:
        self._desk = desk
        self._rates = rates

    def _route(self, path: str, **handlers: Handler) -> list[Route]:
        """Return a route for each method."""
        return [Route(_PREFIX + path, self._guarded(handler), methods=[method]) for method, handler in handlers.items()]

    def _guarded(self, handler: Handler) -> Handler:
        async def answered(request: Request) -> Response:
            if self._desk.strict and self._rates.is_full():
                return refusal(429, "Too many requests")
            try:
                return await handler(request)
            except RegistryError as error:
                return refusal(error.status, str(error))

        return self._desk.guarded(answered, door="management", pool=None, refuse=refusal)

    @property
    def _registry(self) -> Registry:
        return registry_of(self._desk)

    async def _body(self, request: Request) -> dict[str, Any]:
        """Read a JSON object; an empty body is an empty one."""
        body = await self._desk.body(request, _LARGEST_BODY)
        return rules.json_object(body) if body.strip() else {}

    async def _done(self, function: Callable[..., object], *arguments: object) -> Response:
        await self._desk.run(function, *arguments)
        return _ok()

    async def _answer(self, function: Callable[..., object], *arguments: object) -> Response:
        return json_answer(200, await self._desk.run(function, *arguments))


class _Configured(_Endpoints):
    """Flags, or experiments."""

    def __init__(self, desk: Desk, rates: _Rates, kind: str) -> None:
        super().__init__(desk, rates)
        self._kind = kind

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        one = f"/{self._kind}/{{id}}"
        variant = one + "/variants/{key}"
        return [
            *self._route(f"/{self._kind}", GET=self._list, POST=self._create),
            *self._route(one, GET=self._get, PATCH=self._edit),
            *self._route(one + "/versions", GET=self._versions),
            *self._route(one + "/versions/{version}", GET=self._version),
            *self._route(one + "/variants", GET=self._variants, POST=self._create_variant),
            # One heading of the page says POST where its sample says PATCH.
            *self._route(variant, GET=self._variant, PATCH=self._edit_variant, POST=self._edit_variant, DELETE=self._remove_variant),
            *self._route(variant + "/users", GET=self._users, POST=self._include_users, DELETE=self._clear_users),
            *self._route(variant + "/users/{index}", DELETE=self._remove_user),
            *self._route(variant + "/bulk-delete-users", DELETE=self._exclude_users),
            *self._route(variant + "/cohorts", GET=self._cohorts, POST=self._include_cohorts),
            *self._route(variant + "/bulk-delete-cohorts", DELETE=self._exclude_cohorts),
            *self._route(one + "/deployments", GET=self._deployments, POST=self._deploy),
            *self._route(one + "/deployments/{deployment}", DELETE=self._withdraw),
        ]

    async def _list(self, request: Request) -> Response:
        return await self._answer(self._registry.page, self._kind, dict(request.query_params))

    async def _create(self, request: Request) -> Response:
        return await self._answer(self._registry.create, self._kind, await self._body(request), self._desk.clock())

    async def _get(self, request: Request) -> Response:
        return await self._answer(self._registry.shown, self._kind, request.path_params["id"])

    async def _edit(self, request: Request) -> Response:
        body = await self._body(request)
        return await self._done(self._registry.edit, self._kind, request.path_params["id"], body, self._desk.clock())

    async def _versions(self, request: Request) -> Response:
        return await self._answer(self._registry.versions_of, self._kind, request.path_params["id"])

    async def _version(self, request: Request) -> Response:
        path = request.path_params
        return await self._answer(self._registry.version_of, self._kind, path["id"], path["version"])

    async def _variants(self, request: Request) -> Response:
        return await self._answer(self._registry.variants_of, self._kind, request.path_params["id"])

    async def _create_variant(self, request: Request) -> Response:
        body, ident = await self._body(request), request.path_params["id"]
        return await self._done(self._registry.create_variant, self._kind, ident, body, self._desk.clock())

    async def _variant(self, request: Request) -> Response:
        return await self._answer(self._registry.variant_of, *self._variant_path(request))

    def _variant_path(self, request: Request) -> tuple[str, str, str]:
        return self._kind, request.path_params["id"], request.path_params["key"]

    async def _edit_variant(self, request: Request) -> Response:
        body = await self._body(request)
        return await self._done(self._registry.edit_variant, *self._variant_path(request), body, self._desk.clock())

    async def _remove_variant(self, request: Request) -> Response:
        return await self._done(self._registry.remove_variant, *self._variant_path(request), self._desk.clock())

    async def _users(self, request: Request) -> Response:
        return await self._answer(self._registry.included, *self._variant_path(request), "_users")

    async def _include_users(self, request: Request) -> Response:
        body = await self._body(request)
        return await self._done(self._registry.include, *self._variant_path(request), "_users", body, self._desk.clock())

    async def _clear_users(self, request: Request) -> Response:
        return await self._done(self._registry.exclude_at, *self._variant_path(request), None, self._desk.clock())

    async def _remove_user(self, request: Request) -> Response:
        index = _index(request.path_params["index"], 0)
        return await self._done(self._registry.exclude_at, *self._variant_path(request), index, self._desk.clock())

    async def _exclude_users(self, request: Request) -> Response:
        body = await self._body(request)
        return await self._done(self._registry.exclude, *self._variant_path(request), "_users", body, self._desk.clock())

    async def _cohorts(self, request: Request) -> Response:
        return await self._answer(self._registry.included, *self._variant_path(request), "_cohorts")

    async def _include_cohorts(self, request: Request) -> Response:
        body = await self._body(request)
        return await self._done(self._registry.include, *self._variant_path(request), "_cohorts", body, self._desk.clock())

    async def _exclude_cohorts(self, request: Request) -> Response:
        body = await self._body(request)
        return await self._done(self._registry.exclude, *self._variant_path(request), "_cohorts", body, self._desk.clock())

    async def _deployments(self, request: Request) -> Response:
        return await self._answer(self._registry.deployments_of, self._kind, request.path_params["id"])

    async def _deploy(self, request: Request) -> Response:
        body = await self._body(request)
        return await self._done(self._registry.deploy, self._kind, request.path_params["id"], body, self._desk.clock())

    async def _withdraw(self, request: Request) -> Response:
        path = request.path_params
        return await self._done(self._registry.withdraw, self._kind, path["id"], path["deployment"], self._desk.clock())


class _Groups(_Endpoints):
    """Mutual exclusion groups, or holdout groups."""

    def __init__(self, desk: Desk, rates: _Rates, kind: str) -> None:
        super().__init__(desk, rates)
        self._kind = kind

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        one = f"/{self._kind}/{{id}}"
        found = [
            *self._route(f"/{self._kind}", GET=self._list, POST=self._create),
            *self._route(one, GET=self._get, PATCH=self._edit),
        ]
        return found if self._kind == "holdouts" else [*found, *self._route(one + "/slots/{index}", PATCH=self._edit_slot)]

    async def _list(self, request: Request) -> Response:
        return await self._answer(self._registry.page, self._kind, dict(request.query_params))

    async def _create(self, request: Request) -> Response:
        return await self._answer(self._registry.create, self._kind, await self._body(request), self._desk.clock())

    async def _get(self, request: Request) -> Response:
        return await self._answer(self._registry.shown, self._kind, request.path_params["id"])

    async def _edit(self, request: Request) -> Response:
        body = await self._body(request)
        return await self._done(self._registry.edit, self._kind, request.path_params["id"], body, self._desk.clock())

    async def _edit_slot(self, request: Request) -> Response:
        path, body = request.path_params, await self._body(request)
        return await self._done(self._registry.edit_slot, path["id"], _index(path["index"], 1), body)


class _Others(_Endpoints):
    """Deployments, and the versions of everything."""

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        return [
            *self._route("/deployments", GET=self._list, POST=self._create),
            *self._route("/deployments/{id}", PATCH=self._edit),
            *self._route("/versions", GET=self._versions),
        ]

    async def _list(self, request: Request) -> Response:
        return await self._answer(self._registry.deployments_page, dict(request.query_params))

    async def _create(self, request: Request) -> Response:
        # The table is headed "query parameters", the sample has a JSON body.
        body = {**request.query_params, **await self._body(request)}
        return await self._answer(self._registry.create_deployment, body)

    async def _edit(self, request: Request) -> Response:
        query: dict[str, Any] = dict(request.query_params)
        if "archive" in query:
            query["archive"] = {"true": True, "false": False}.get(query["archive"].lower(), query["archive"])
        return await self._done(self._registry.edit_deployment, request.path_params["id"], {**query, **await self._body(request)})

    async def _versions(self, request: Request) -> Response:
        return await self._answer(self._registry.versions, dict(request.query_params))
