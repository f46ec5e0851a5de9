"""The only importer of the HTTP library: sends a Wire over the client that is built here, or over the user's own."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import anyio
from sniffio import current_async_library

from amplitude_async._io.transport.answers import OpenStream, read_headers, read_whole
from amplitude_async._io.transport.closing import CLOSE_SECONDS, nothing, quietly
from amplitude_async._io.transport.faults import failure_of, is_sent
from amplitude_async._io.transport.http11 import connection_class
from amplitude_async._io.transport.lines import connect
from amplitude_async._io.transport.records import is_ours, mask_records
from amplitude_async._io.transport.requests import ForeignRequests, OwnRequests, send_options
from amplitude_async._io.transport.slots import direct_client, slot_transport
from amplitude_async._protocol.masking import mask
from amplitude_async._protocol.verdict import Failure
from amplitude_async.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from amplitude_async._io.transport.wire import HttpClient, Wire
    from amplitude_async._protocol.verdict import Reply

__all__ = ["Transport"]

KEEPALIVE_EXPIRY: Final = 30.0
"""Seconds that an idle connection is kept."""
ERROR_ANSWER_BYTES: Final = 64 << 10
"""How much is read of the answer that refuses a stream."""

MODULES: Final = {"httpx": "httpx", "httpx2": "httpx2", "aiohttp": "httpx_aiohttp"}
CORES: Final = {"httpx": "httpcore", "httpx2": "httpcore2"}
"""What is under each HTTP library."""


def _load(kind: str) -> Any:  # noqa: ANN401 - a module
    try:
        return import_module(MODULES[kind])
    except ImportError:
        extra = "" if kind == "httpx" else f"[{kind}]"
        message = f"transport={kind!r} needs a package that is not installed: pip install 'amplitude-async{extra}'"
    raise ConfigurationError(message)


class Transport:
    """Sends requests over the client that the library builds, or over the user's own.

    Args:
        kind: ``"httpx"``, ``"httpx2"`` or ``"aiohttp"``: what to build.
        client: The user's own client, used as it is and never closed.
        size: Connections of the client that is built.
        trust_env: Whether proxies and certificate files are taken from the environment.
        tls: The user's own TLS context.
        secrets: Gives the texts that must appear in no message.
    """

    def __init__(
        self,
        *,
        kind: str,
        client: HttpClient | None,
        size: int,
        trust_env: bool,
        tls: ssl.SSLContext | None,
        secrets: Callable[[], Sequence[str]],
    ) -> None:
        self._kind = kind
        self._size = size
        self._trust_env = trust_env
        self._tls = tls
        self._no_tls: ssl.SSLContext | None = None
        self._secrets = secrets
        self._module = SimpleNamespace() if client is not None else _load(kind)
        self._owns_client = client is None
        self._client: Any = client
        self._requests: OwnRequests | ForeignRequests
        if client is None:
            self._http = import_module("httpx") if kind == "aiohttp" else self._module
            self._client_class = direct_client(self._http)
            if kind != "aiohttp":
                self._core = import_module(CORES[kind])
                self._connections = connection_class(self._module, self._core, import_module("h11"))
            self._client = self._build(self._checked_pool())
            self._requests = OwnRequests(self._http, has_bare_gets=kind == "aiohttp")
        else:
            self._requests = ForeignRequests(client)
        mask_records()
        self._send_options = send_options(self._client)

    def _build(self, transport: Any) -> Any:  # noqa: ANN401 - the HTTP library's own types
        return self._client_class(transport)

    def _checked_pool(self) -> Any:  # noqa: ANN401 - as above
        if self._kind == "aiohttp" and current_async_library() != "asyncio":
            message = "transport='aiohttp' runs on asyncio alone; use 'httpx' here."
            raise ConfigurationError(message)
        try:
            return self._pooled()
        except Exception as error:  # noqa: BLE001 - a certificate file of the environment that cannot be used
            message = f"The connections cannot be set up: {mask(f'{type(error).__name__}: {error}', self._secrets())}"
        raise ConfigurationError(message)

    def _pooled(self) -> Any:  # noqa: ANN401 - as above
        if self._kind == "aiohttp":
            return self._connect("https://")
        return slot_transport(self._module)(self._slot, self._size)

    def _slot(self, origin: str) -> Any:  # noqa: ANN401 - the HTTP library's own types
        """Return what carries the requests of one slot."""
        if self._proxy(origin) is not None:
            return self._connect(origin)
        url = self._http.URL(origin)
        tls = self._context(origin) if url.scheme == "https" else None
        host, port = url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80)
        return self._connections(
            lambda seconds: connect(self._core, host, port, tls, seconds), lambda: self._connect(origin), KEEPALIVE_EXPIRY
        )

    def _context(self, origin: str) -> ssl.SSLContext:
        import ssl  # noqa: PLC0415 - asyncio has loaded it; trio may not have

        if origin.startswith("http:"):
            # It trusts nobody, costs nothing, and fails closed should TLS ever be spoken over it.
            if self._no_tls is None:
                self._no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            return self._no_tls
        if self._tls is None:
            # About 50 ms of CPU, so once per client and not before the first https connection.
            self._tls = self._http.create_ssl_context(trust_env=self._trust_env)
            if not self._trust_env and getattr(self._tls, "keylog_filename", None) is not None:
                # ssl itself takes SSLKEYLOGFILE from the environment, and would write the keys of every connection there.
                self._tls.keylog_filename = None
            self._tls.minimum_version = max(self._tls.minimum_version, ssl.TLSVersion.TLSv1_2)
        return self._tls

    def _connect(self, origin: str) -> Any:  # noqa: ANN401 - as above
        limits = self._http.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_EXPIRY)
        if self._kind == "aiohttp":
            pool = self._http.Limits(max_connections=self._size, max_keepalive_connections=self._size)
            return self._module.AiohttpTransport(verify=self._context(origin), limits=pool, trust_env=self._trust_env)
        return self._module.AsyncHTTPTransport(verify=self._context(origin), limits=limits, trust_env=False, proxy=self._proxy(origin))

    def _proxy(self, origin: str) -> Any:  # noqa: ANN401 - as above
        if not self._trust_env:
            return None
        from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - only where asked for

        scheme, _, host = origin.partition("://")
        address = getproxies().get(scheme) or getproxies().get("all")
        if not address or proxy_bypass(host):
            return None
        return self._http.Proxy(address if "://" in address else f"http://{address}")

    async def exchange(self, wire: Wire, seconds: float) -> Reply | Failure:
        """Send a request and read its answer whole, at most so long. Runs in a task of the library."""
        is_ours.set(True)
        body = None
        response: Any = None
        with anyio.move_on_after(seconds):
            try:
                request, body = self._requests.make(wire)
                response = await self._client.send(request, stream=True, **self._send_options)
                reply = await read_whole(response, wire.answer_bytes)
                return reply._replace(was_sent_before=True) if getattr(body, "was_sent_before", False) else reply
            except Exception as error:  # noqa: BLE001 - every failure of the HTTP library becomes a value here
                return failure_of(error, body, self._secrets)
            finally:
                if response is not None and not getattr(response, "is_closed", False):
                    with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                        await quietly(response.aclose)
        return Failure("timeout", is_sent=is_sent(body), reason=f"no complete answer within {seconds:g} s")

    async def open(
        self, wire: Wire, seconds: float, between_bytes: float, on_connected: Callable[[], None]
    ) -> OpenStream | Reply | Failure:
        """Send a request and wait for its answer to begin. Runs in a task of the library.

        A 2xx comes back as a stream over a connection of its own; anything else is read and comes back as a Reply. ``on_connected`` is
        called when the connection stands and the request goes out.
        """
        is_ours.set(True)
        body = None
        try:
            client = self._build(self._connect(_origin(wire.url))) if self._owns_client else self._client
        except Exception as error:  # noqa: BLE001 - a proxy or certificate file of the environment that cannot be used
            return failure_of(error, body, self._secrets)
        close = client.aclose if self._owns_client else nothing
        response: Any = None
        is_handed_over = False
        try:
            with anyio.move_on_after(seconds):
                try:
                    request, body = self._requests.make(wire)
                    if body is None or body.has_started:
                        # Nothing will tell.
                        on_connected()
                    else:
                        body.on_start = on_connected
                    response = await client.send(request, stream=True, **self._send_options)
                    if not 200 <= response.status_code < 300:  # noqa: PLR2004 - the success class
                        return await read_whole(response, ERROR_ANSWER_BYTES)
                    # From here on it is the silence between bytes that is limited.
                    wire.timeouts["read"] = between_bytes
                    is_handed_over = True
                    return OpenStream(
                        response,
                        read_headers(response),
                        close,
                        lambda error: failure_of(error, body, self._secrets),
                        between_bytes if self._owns_client else None,
                    )
                except Exception as error:  # noqa: BLE001 - every failure of the HTTP library becomes a value here
                    return failure_of(error, body, self._secrets)
            return Failure("timeout", is_sent=is_sent(body), reason=f"the answer did not begin within {seconds:g} s")
        finally:
            if not is_handed_over:
                with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                    if response is not None:
                        await quietly(response.aclose)
                    await quietly(close)

    async def drop_idle(self) -> None:
        """Close the connections that are not in use: who answers there is not to be trusted. Another client's are its own."""
        drop = getattr(getattr(self._client, "_direct", None), "drop_idle", None)
        if drop is not None:
            await quietly(drop)

    async def aclose(self) -> None:
        """Close what was built here; a client of the user's own is left open."""
        if self._owns_client:
            await quietly(self._client.aclose)


def _origin(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"
