"""What every API of the sandbox stands on: who may come in, where state is kept, how answers are written.

The loop only parses and answers; everything that touches SQLite runs in one thread of its own (:meth:`Desk.run`).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import ipaddress
import re
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, ParamSpec, TypedDict, TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from amplitude_async.sandbox import rows, rules
from amplitude_async.sandbox.chores import Chores
from amplitude_async.sandbox.limits import Limits, QueryLimits, UploadLimits, UserUpdates, Window
from amplitude_async.sandbox.periods import Zone
from amplitude_async.sandbox.signing import Signer
from amplitude_async.sandbox.store import Store
from amplitude_async.sandbox.watching import Watch

if TYPE_CHECKING:
    from starlette.routing import Route

    from amplitude_async.sandbox.faults import Faults

P = ParamSpec("P")
T = TypeVar("T")

Handler = Callable[[Request], Awaitable[Response]]
Refusal = Callable[[int, str], Response]
Pool = Literal["rest", "lookups"]
"""Which requests in flight are counted together: ``rest`` is the five of the REST API, ``lookups`` the ten of user data."""
Door = Literal["project", "organisation", "secret", "deployment", "management", "scim"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The credentials that a sandbox accepts."""

    api_key: str
    secret_key: str
    org_api_key: str
    org_secret_key: str
    deployment_key: str
    management_key: str
    scim_token: str


class Credentials(TypedDict):
    """What a client of a sandbox is built with."""

    base_url: str
    api_key: str
    secret_key: str
    org_api_key: str
    org_secret_key: str
    deployment_key: str
    management_key: str
    scim_token: str


def json_answer(status: int, body: object) -> Response:
    """Answer with compact JSON."""
    return Response(rows.compact(body), status, media_type="application/json")


def refused_query(status: int, details: str) -> Response:
    """Answer with the error envelope of the dashboard API."""
    headers = {"www-authenticate": 'Basic realm="Amplitude"'} if status == 401 else None  # noqa: PLR2004 - said by the line itself
    return Response(
        rows.compact(rules.envelope(status, details)),
        status,
        headers,
        media_type="application/json; charset=utf-8",
    )


def parameters_of(request: Request) -> dict[str, list[str]]:
    """Return every value of each query parameter, in order."""
    found: dict[str, list[str]] = {}
    for key, value in request.query_params.multi_items():
        found.setdefault(key, []).append(value)
    return found


def to_the_end(route: Route) -> Route:
    """Let the rest of a path be any text: what SDKs name may have line breaks in it."""
    route.path_regex = re.compile(route.path_regex.pattern, re.DOTALL)
    return route


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Desk:
    """The shared ground of one sandbox's APIs. ``close`` ends its database thread."""

    def __init__(
        self,
        *,
        keys: Keys,
        project_id: int,
        store: str,
        strict: bool,
        limits: Limits,
        clock: Callable[[], float],
        faults: Faults,
        zone: Zone | None = None,
    ) -> None:
        """Open the store in the thread that will use it."""
        self.keys: Final = keys
        self.project_id: Final = project_id
        self.strict: Final = strict
        self.limits: Final = limits
        self.clock: Final = clock
        self._faults = faults
        self.zone: Final = zone or Zone()
        self.uploads: UploadLimits = UploadLimits(limits, faults.throttled, faults.silenced)
        self.queries: QueryLimits = QueryLimits(limits)
        self.watch: Watch = Watch()
        self.chores: Chores = Chores()
        self.signer: Signer = Signer()
        self.after_ingest: Final[list[Callable[[], None]]] = []
        """Who looks at what there is whenever events came; in the store's thread."""
        self._windows: dict[str, Window] = {}
        self._path = store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="amplitude-sandbox-store")
        try:
            self.store: Store = self._thread.submit(Store, store, project_id).result()
            self.store.after_ingest = self.after_ingest
            self.store.updates = UserUpdates(limits.user_updates_per_hour)
        except BaseException:
            self._thread.shutdown()
            raise

    def wait_for(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run something in the store's thread, from a thread that is not the server's."""
        return self._thread.submit(function, *args, **kwargs).result()

    def close(self) -> None:
        """Close the database and end its thread."""
        self._thread.submit(self.store.close).result()
        self._thread.shutdown()

    def reset(self) -> None:
        """Forget everything that was sent, and what was counted. Blocks; from any thread but the server's.

        Raises:
            RuntimeError: The data is in a file, which is not to be lost by a slip.
        """
        if self._path != ":memory:":
            message = "only a sandbox in memory is reset; remove the file of this one instead"
            raise RuntimeError(message)
        self._thread.submit(self._start_anew).result()

    def _start_anew(self) -> None:
        self.store.wipe()
        self.store.updates = UserUpdates(self.limits.user_updates_per_hour)
        self._windows.clear()
        self.chores.wake()
        self.uploads = UploadLimits(self.limits, self._faults.throttled, self._faults.silenced)
        self.queries = QueryLimits(self.limits)
        self.watch.forget()

    def window(self, name: str, seconds: float) -> Window:
        """Return what an API counted of late under this name."""
        return self._windows.setdefault(name, Window(seconds))

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run something in the store's thread."""
        return await asyncio.wrap_future(self._thread.submit(function, *args, **kwargs))

    def take_in(self, events: list[dict[str, Any]]) -> int:
        """Take events in by the rules of an upload, each hour's as if it had come in that hour; returns how many. Blocks.

        For worlds that are made here, from any thread but the server's: requests have their turns between the hours.
        """
        hours: dict[int, list[dict[str, Any]]] = {}
        for event in events:
            hours.setdefault(event["time"] // 3_600_000, []).append(event)
        for hour in sorted(hours):
            self._thread.submit(self._take_in_hour, hours[hour]).result()
        return len(events)

    def _take_in_hour(self, events: list[dict[str, Any]]) -> None:
        most = rules.HTTP_V2.max_events
        for place in range(0, len(events), most):
            part = rules.checked_events(events[place : place + most], rules.HTTP_V2, rules.DEFAULT_ID_LENGTH)
            received_s = max(event["time"] for event in events) / 1000
            stamp = rows.arrival(received_s=received_s, client_upload_time=None, path=rules.HTTP_V2.path, project_id=self.project_id)
            self.store.ingest(part, stamp, rules.HTTP_V2, "127.0.0.1")

    async def body(self, request: Request, limit: int) -> bytes:
        """Read a body up to a limit. What exceeds it is read and dropped, so that the client sees the answer."""
        body = bytearray()
        size = 0
        async for piece in request.stream():
            size += len(piece)
            if size <= limit:
                body += piece
        if size > limit:
            raise rules.too_large()
        return rules.unpacked(bytes(body), request.headers.get("content-encoding", ""), limit)

    async def json_body(self, request: Request, limit: int = 64 * rules.MIB) -> dict[str, Any]:
        """Read a body that must be a JSON object; ValueError if it is none."""
        return rules.json_object(await self.body(request, limit))

    def guarded(
        self, handler: Handler, *, door: Door = "project", pool: Pool | None = "rest", refuse: Refusal = refused_query
    ) -> Handler:
        """Let a request in only with its credential and a free place; ValueError becomes a 400.

        Args:
            handler: What answers it.
            door: Which credential it needs.
            pool: Among which requests in flight it is counted, if any.
            refuse: Writes the API's own error body.
        """

        async def guarded(request: Request) -> Response:
            refused = self._unauthorized(request, door, refuse)
            if refused is not None:
                return refused
            full = None if pool is None else self.queries.enter(is_lookup=pool == "lookups")
            if full is not None:
                return refuse(429, full)
            is_streaming = False
            try:
                answer = await handler(request)
                if isinstance(answer, StreamingResponse) and pool is not None:
                    is_streaming = True
                    answer.body_iterator = self._until_sent(answer.body_iterator, pool)
            except ValueError as error:
                return refuse(400, str(error))
            finally:
                if not is_streaming and pool is not None:
                    self.queries.leave(is_lookup=pool == "lookups")
            return answer

        return guarded

    async def _until_sent(
        self, pieces: AsyncIterable[str | bytes | memoryview], pool: Pool
    ) -> AsyncIterator[str | bytes | memoryview]:
        """Pass a stream on, holding its place among the requests in flight until it has ended."""
        try:
            async for piece in pieces:
                yield piece
        finally:
            self.queries.leave(is_lookup=pool == "lookups")

    def _unauthorized(self, request: Request, door: Door, refuse: Refusal) -> Response | None:
        scheme, _, sent = request.headers.get("authorization", "").partition(" ")
        scheme, sent = scheme.lower(), sent.strip()
        keys = self.keys
        if door in {"project", "organisation"}:
            pair = (keys.api_key, keys.secret_key) if door == "project" else (keys.org_api_key, keys.org_secret_key)
            return _wrong_pair(scheme, sent, pair, refuse)
        expected_scheme = "bearer" if door in {"management", "scim"} else "api-key"
        expected = {
            "secret": keys.secret_key,
            "deployment": keys.deployment_key,
            "management": keys.management_key,
            "scim": keys.scim_token,
        }[door]
        if scheme != expected_scheme or not sent:
            return refuse(401, "Missing or malformed Authorization header")
        accepted = [expected, keys.api_key] if door == "deployment" else [expected]
        if not any(hmac.compare_digest(sent.encode(), key.encode()) for key in accepted):
            return refuse(401, "Invalid key")
        return None


def _wrong_pair(scheme: str, encoded: str, expected: tuple[str, str], refuse: Refusal) -> Response | None:
    try:
        pair = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        pair = b""
    key, colon, secret = pair.partition(b":")
    if scheme != "basic" or not colon:
        return refuse(401, "Missing or malformed Authorization header")
    if not hmac.compare_digest(key, expected[0].encode()):
        return refuse(403, "Invalid API Key")
    if not hmac.compare_digest(secret, expected[1].encode()):
        return refuse(403, "Invalid API/Secret Key combination")
    return None
