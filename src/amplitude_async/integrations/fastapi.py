"""FastAPI and Starlette: one client (and outbox) for the service, handed to handlers, and the request behind each event.

    app = FastAPI(lifespan=amplitude_lifespan(outbox="events.db"))
    app.add_middleware(AmplitudeMiddleware, user=lambda scope: scope.get("user_id"))

    @app.post("/orders/{order_id}")
    async def place_order(order_id: str, outbox: OutboxDep) -> None:
        await outbox.put({"event_type": "order_placed", "event_properties": {"order_id": order_id}})

Needs the extra ``fastapi``. In tests, ``app.dependency_overrides[get_amplitude]`` and ``[get_outbox]`` put something else in place.
"""

from __future__ import annotations

import inspect
import re
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Annotated, Any, Final

try:
    from fastapi import Depends
    from starlette.requests import HTTPConnection  # noqa: TC002 - FastAPI reads it at run time
except ImportError:
    from amplitude_async.errors import ConfigurationError

    _message = "FastAPI is not installed: pip install 'amplitude-async[fastapi]'"
    raise ConfigurationError(_message) from None

from amplitude_async.client import AsyncAmplitude
from amplitude_async.context import event_context
from amplitude_async.delivery.outbox import Outbox
from amplitude_async.errors import ConfigurationError

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping
    from contextlib import AbstractAsyncContextManager

    Scope = MutableMapping[str, Any]
    Application = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]
    Lifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any]]]
    InnerLifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]
    Found = str | None | Awaitable[str | None]

__all__ = ["AmplitudeDep", "AmplitudeMiddleware", "OutboxDep", "amplitude_lifespan", "get_amplitude", "get_outbox"]

MAX_FIELD: Final = 512
"""Characters of what a request says of itself; Amplitude stores 1,024 of any text."""
CLOSE_SECONDS: Final = 10.0
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_PORT: Final = re.compile(r"\[([^\]]+)\](?::\d{1,5})?|([\d.]+):\d{1,5}", re.ASCII)
_TRACE: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


def amplitude_lifespan(
    client: AsyncAmplitude | None = None,
    *,
    outbox: str | os.PathLike[str] | bool = False,
    folder: str | os.PathLike[str] | None = None,
    close_timeout: float = CLOSE_SECONDS,
    inner: InnerLifespan | None = None,
    **outbox_options: Any,  # noqa: ANN401 - the options of AsyncAmplitude.outbox
) -> Lifespan:
    """Return a lifespan that owns one client, and one outbox if asked for, while the service runs.

    They are opened before the service takes requests and closed after its last; with an outbox on disk, what is not delivered in time
    is kept and sent at the next start. Handlers get them by :data:`AmplitudeDep` and :data:`OutboxDep`.

    Args:
        client: A client of your own, which is closed in the end. Left out: one that is configured by the environment, made at start.
        outbox: A file for the outbox, ``True`` for one in memory, ``False`` (default) for none.
        folder: A folder instead, with a file for each process: for servers with several workers.
        close_timeout: Seconds that delivering what is left may take at the end.
        inner: Your own lifespan, which runs inside this one; its state is passed on.
        **outbox_options: As for :meth:`AsyncAmplitude.outbox`.

    Raises:
        ConfigurationError: At start: no API key, a file that is in use, options that make no sense.
    """

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Mapping[str, Any]]:  # noqa: ANN401 - FastAPI or Starlette
        async with AsyncExitStack() as stack:
            amplitude = await stack.enter_async_context(AsyncAmplitude() if client is None else client)
            app.state.amplitude = amplitude
            app.state.amplitude_outbox = None
            if outbox or folder is not None:
                path = None if outbox is True or outbox is False else outbox
                opened = await stack.enter_async_context(amplitude.outbox(path, folder=folder, **outbox_options))
                stack.push_async_callback(opened.aclose, timeout=close_timeout)
                app.state.amplitude_outbox = opened
            state: dict[str, Any] = {}
            if inner is not None:
                given: Mapping[str, Any] | None = await stack.enter_async_context(inner(app))
                state.update(given or {})
            yield state

    return lifespan


def get_amplitude(connection: HTTPConnection) -> AsyncAmplitude:
    """Return the service's client; what :data:`AmplitudeDep` stands for.

    Raises:
        ConfigurationError: The service has no :func:`amplitude_lifespan`.
    """
    found = getattr(connection.app.state, "amplitude", None)
    if isinstance(found, AsyncAmplitude):
        return found
    message = "there is no Amplitude client: give the application lifespan=amplitude_lifespan(...)"
    raise ConfigurationError(message)


def get_outbox(connection: HTTPConnection) -> Outbox:
    """Return the service's outbox; what :data:`OutboxDep` stands for.

    Raises:
        ConfigurationError: The service has no :func:`amplitude_lifespan` with an outbox.
    """
    found = getattr(connection.app.state, "amplitude_outbox", None)
    if isinstance(found, Outbox):
        return found
    message = "there is no outbox: give the application lifespan=amplitude_lifespan(outbox=...)"
    raise ConfigurationError(message)


AmplitudeDep = Annotated[AsyncAmplitude, Depends(get_amplitude)]
"""The service's client, as the type of a handler's argument."""
OutboxDep = Annotated[Outbox, Depends(get_outbox)]
"""The service's outbox, as the type of a handler's argument."""


class AmplitudeMiddleware:
    """Lets every event that is tracked while a request is handled inherit what the request says.

    Pure ASGI: answers stream as they would without it. Inherited are ``user_id``, ``device_id`` and ``session_id`` as the functions
    given here find them, ``language`` and ``user_agent`` from the headers, ``ip`` if asked for, and in ``event_properties`` ``path``
    (as it was asked for, without its query) and ``trace_id`` (from a W3C ``traceparent``). What an event says itself wins. Texts are
    cut to 512 characters, control characters are taken out.

    Args:
        app: The application.
        user: Finds the user id: a plain or async function of the ASGI scope.
        device: Finds the device id, likewise; the header ``X-Device-Id`` by default.
        session: Finds the session id (ms since the epoch), likewise.
        with_ip: Inherit the client's address; off by default, since it is personal data.
        trusted_proxies: Addresses or networks of proxies whose ``X-Forwarded-For`` is believed; nobody's by default.
        with_path: Whether ``path`` and ``trace_id`` are inherited.
    """

    def __init__(
        self,
        app: Application,
        *,
        user: Callable[[Scope], Found] | None = None,
        device: Callable[[Scope], Found] | None = None,
        session: Callable[[Scope], Any] | None = None,
        with_ip: bool = False,
        trusted_proxies: Iterable[str] = (),
        with_path: bool = True,
    ) -> None:
        self._app = app
        self._finders = {"user_id": user, "device_id": device or _device_header, "session_id": session}
        self._with_ip = with_ip
        self._with_path = with_path
        try:
            self._proxies = [ip_network(proxy) for proxy in trusted_proxies]
        except ValueError as error:
            message = f"trusted_proxies are addresses or networks such as '10.0.0.0/8': {error}"
            raise ConfigurationError(message) from None

    async def __call__(self, scope: Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        """Handle a request."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        fields: dict[str, Any] = {}
        for name, find in self._finders.items():
            found = None if find is None else find(scope)
            if inspect.isawaitable(found):
                found = await found
            if found is not None and found != "":
                fields[name] = found if name == "session_id" else _clean(found)
        fields |= self._described(scope)
        with event_context(**fields):
            await self._app(scope, receive, send)

    def _described(self, scope: Scope) -> dict[str, Any]:
        headers = _headers(scope)
        fields: dict[str, Any] = {}
        agent = _clean(headers.get("user-agent", ""))
        if agent:
            fields["user_agent"] = agent
        language = _clean(headers.get("accept-language", "").partition(",")[0].partition(";")[0])
        if language and language != "*":
            fields["language"] = language
        if self._with_ip:
            address = self._address(scope, headers)
            if address:
                fields["ip"] = address
        if self._with_path:
            properties = {"path": _clean(scope.get("path", ""))}
            trace = _TRACE.fullmatch(headers.get("traceparent", "").strip())
            if trace is not None:
                properties["trace_id"] = trace[1]
            fields["event_properties"] = properties
        return fields

    def _address(self, scope: Scope, headers: Mapping[str, str]) -> str:
        client = scope.get("client")
        address = _parsed(client[0]) if client else None
        if address is None:
            return ""
        # From the nearest to the farthest: the first that is no proxy of ours is whom they speak for.
        for text in reversed(headers.get("x-forwarded-for", "").split(",")):
            if not self._is_trusted(address):
                break
            before = _parsed(text.strip())
            if before is None:
                break
            address = before
        return str(address)

    def _is_trusted(self, address: Any) -> bool:  # noqa: ANN401 - of either family
        return any(address in proxy for proxy in self._proxies)


def _device_header(scope: Scope) -> str | None:
    return _headers(scope).get("x-device-id")


def _headers(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in scope.get("headers", ()):
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    return headers


def _parsed(text: str) -> Any:  # noqa: ANN401 - of either family
    """Return an address; some proxies write its port behind it, and a socket of both families has those of IPv4 within IPv6."""
    bracketed = _PORT.fullmatch(text)
    try:
        address = ip_address(next(filter(None, bracketed.groups())) if bracketed else text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _clean(value: object) -> str:
    return _CONTROL.sub(" ", str(value)).strip()[:MAX_FIELD]
