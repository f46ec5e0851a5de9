"""The door to the network, and the only importer of the HTTP library.

What goes in is a :class:`Wire`, what comes out is a Reply or a Failure: plain values. No exception of the HTTP library passes, since
those hold the request and with it the credentials.

Three facts shape this room (httpx 0.28, httpcore 1.0):

- httpcore's pool gets slower with the square of its connections, so the client built here has one pool of one connection per slot.
- A pool loses a slot for good when a call is cancelled at the wrong moment, so a slot whose request was cancelled is thrown away.
- The HTTP library logs whole addresses, so records about our requests are masked before they reach a handler.
"""

from __future__ import annotations

import logging
import sys
import zlib
from contextvars import ContextVar
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import anyio

from amplitude_async._protocol.masking import mask
from amplitude_async._protocol.verdict import Failure, Reply
from amplitude_async.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

__all__ = ["HttpClient", "OpenStream", "Transport", "Wire"]

KEEPALIVE_EXPIRY: Final = 30.0
"""Seconds that an idle connection is kept."""
CLOSE_SECONDS: Final = 2.0
"""How long closing one connection may take."""
ERROR_ANSWER_BYTES: Final = 64 << 10
"""How much is read of the answer that refuses a stream."""
PIECE_BYTES: Final = 256 << 10
"""Most that one step of undoing a content encoding may give."""

MODULES: Final = {"httpx": "httpx", "httpx2": "httpx2", "aiohttp": "httpx_aiohttp"}


class HttpClient(Protocol):
    """The shape of ``httpx.AsyncClient`` that a client of the user's own must have. It is never closed by this library."""

    @property
    def build_request(self) -> Callable[..., Any]:
        """Make a request; called with a method, a URL, ``headers``, ``content`` and ``extensions``."""

    @property
    def send(self) -> Callable[..., Awaitable[Any]]:
        """Send a request; called with ``stream=True``."""

    async def aclose(self) -> None:
        """Close the client."""


class Wire(NamedTuple):
    """One request, ready to be sent. Holds credentials, so its text form shows none of it."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    timeouts: dict[str, float]
    answer_bytes: int
    is_repeatable: bool

    def __repr__(self) -> str:
        return "<Wire>"


class OpenStream:
    """The answer to a request whose body is read as it comes.

    Read by its consumer in the consumer's own task; opened and closed in tasks of the library.
    """

    def __init__(self, response: Any, headers: dict[str, str], close: Callable[[], Any], fail: Callable[[Exception], Failure]) -> None:  # noqa: ANN401 - the HTTP library's own type
        self.status: int = response.status_code
        self.headers = headers
        self._response = response
        self._chunks: AsyncIterator[bytes] = response.aiter_raw()
        self._close = close
        self._fail = fail
        coding = headers.get("content-encoding", "identity").strip().lower()
        self._inflate = None if coding in {"identity", ""} else zlib.decompressobj(47)
        self._tail = b""

    async def next_chunk(self) -> bytes | Failure | None:
        """Wait for the next bytes; ``None`` at the end, a Failure if the connection broke or fell silent."""
        if self._tail and self._inflate is not None:
            return self._inflated(self._tail)
        try:
            async for chunk in self._chunks:
                if not chunk:
                    continue
                if self._inflate is None:
                    return chunk
                piece = self._inflated(chunk)
                if isinstance(piece, Failure) or piece:
                    return piece
        except Exception as error:  # noqa: BLE001 - every failure of the HTTP library becomes a value here
            return self._fail(error)
        if self._inflate is not None and not self._inflate.eof:
            return Failure("broken", is_sent=True, reason="the compressed answer was cut short")
        return None

    def _inflated(self, data: bytes) -> bytes | Failure:
        inflate = self._inflate
        if inflate is None:
            return data
        try:
            piece = inflate.decompress(data, PIECE_BYTES)
        except zlib.error:
            return Failure("broken", is_sent=True, reason="the compressed answer is damaged")
        self._tail = inflate.unconsumed_tail
        return piece

    async def aclose(self) -> None:
        """Close the connection, whatever state the stream is in."""
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await _abort(self._response, self._chunks)
            await _quietly(self._close)


async def _abort(response: Any, chunks: AsyncIterator[bytes]) -> None:  # noqa: ANN401 - the HTTP library's own type
    """Close the connection of an answer that was perhaps not read to its end.

    The socket goes first; then the HTTP library's nested generators are driven until they meet that error, and so unwind. Closing
    the outermost would leave the inner ones to the garbage collector, of which trio rightly complains.
    """
    network = getattr(response, "extensions", {}).get("network_stream")
    if network is not None and not getattr(response, "is_closed", False):
        await _quietly(network.aclose)

        async def drive() -> None:
            async for _ in chunks:
                pass

        await _quietly(drive)
    await _quietly(getattr(chunks, "aclose", _nothing))
    await _quietly(response.aclose)


async def _nothing() -> None:
    return


async def _quietly(close: Callable[[], Any]) -> None:
    try:
        await close()
    except Exception:  # noqa: BLE001 - it is being thrown away
        logging.getLogger("amplitude_async.io").debug("closing a connection met an error")


_is_ours: ContextVar[bool] = ContextVar("amplitude_async_request", default=False)


class _MaskRecords(logging.Filter):
    """Takes addresses and headers out of the HTTP library's records about our own requests; leaves everybody else's alone."""

    def filter(self, record: logging.LogRecord) -> bool:
        if _is_ours.get():
            text = record.getMessage()
            if record.name.startswith("httpcore"):
                # Values of these records are headers, addresses and exceptions.
                text = text.partition(" ")[0]
            record.msg, record.args = mask(text), None
        return True


_mask_records = _MaskRecords()
_LOGGERS: Final = (
    *("httpx", "httpx2"),
    *(f"{core}.{name}" for core in ("httpcore", "httpcore2") for name in ("connection", "http11", "http2", "proxy", "socks")),
)


def _body_stream(module: Any) -> Any:  # noqa: ANN401 - a class made for the HTTP library at hand
    """Make the class of request bodies: whole, repeatable, and knowing whether any of it was asked for."""

    class BodyStream(module.AsyncByteStream):  # type: ignore[misc]  # the base is only known at run time
        def __init__(self, body: bytes) -> None:
            self._body = body
            self.has_started = False
            self.was_sent_before = False
            self.on_start: Callable[[], None] | None = None

        def __aiter__(self) -> _OneChunk:
            return _OneChunk(self, self._body)

        async def aclose(self) -> None:
            return

    return BodyStream


class _OneChunk:
    """Iterates over one chunk. A class, not a generator: a cancelled generator warns."""

    __slots__ = ("_body", "_owner")

    def __init__(self, owner: Any, body: bytes) -> None:  # noqa: ANN401 - see _body_stream
        self._owner = owner
        self._body: bytes | None = body

    def __aiter__(self) -> _OneChunk:
        return self

    async def __anext__(self) -> bytes:
        body, self._body = self._body, None
        # By now the headers are written, so from here on the server may have seen the body.
        self._owner.has_started = True
        if self._owner.on_start is not None:
            self._owner.on_start()
        if not body:
            raise StopAsyncIteration
        return body


class _Hidden:
    """The body of a request that a client of the user's own sends out of sight: nothing can tell, so it counts as sent."""

    has_started = True


_HIDDEN: Final = _Hidden()


class _Slot:
    """One connection, bound to one origin."""

    __slots__ = ("is_warm", "origin", "transport")

    def __init__(self, origin: str, transport: Any) -> None:  # noqa: ANN401 - the HTTP library's own type
        self.origin = origin
        self.transport = transport
        self.is_warm = False
        """It has answered before, so its connection may be one that the server is about to close."""


def _slot_transport(module: Any) -> Any:  # noqa: ANN401, C901 - two small classes made for the HTTP library at hand
    """Make the transport class: many pools of one connection instead of one pool of many."""

    class SlotStream(module.AsyncByteStream):  # type: ignore[misc]  # the base is only known at run time
        def __init__(self, inner: Any, done: Callable[[], None]) -> None:  # noqa: ANN401 - as above
            self._inner = inner
            self._done = done

        def __aiter__(self) -> AsyncIterator[bytes]:
            chunks: AsyncIterator[bytes] = self._inner.__aiter__()
            return chunks

        async def aclose(self) -> None:
            try:
                await self._inner.aclose()
            finally:
                self._done()

    class SlotTransport(module.AsyncBaseTransport):  # type: ignore[misc]  # as above
        def __init__(self, connect: Callable[[str], Any], size: int) -> None:
            self._connect = connect
            self._size = size
            self._idle: dict[str, list[_Slot]] = {}
            self._slots: set[_Slot] = set()

        def _take(self, origin: str) -> tuple[_Slot, _Slot | None]:
            """Return a slot for the origin, and an idle one of another origin that must go to make room for it."""
            idle = self._idle.get(origin)
            if idle:
                return idle.pop(), None
            victim: _Slot | None = None
            if len(self._slots) >= self._size:
                victim = next((slots.pop() for slots in self._idle.values() if slots), None)
                if victim is not None:
                    self._slots.discard(victim)
            slot = _Slot(origin, self._connect(origin))
            self._slots.add(slot)
            return slot, victim

        async def _discard(self, slot: _Slot) -> None:
            self._slots.discard(slot)
            with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                await _quietly(slot.transport.aclose)

        async def handle_async_request(self, request: Any) -> Any:  # noqa: ANN401 - the HTTP library's own types
            url = request.url
            origin = f"{url.scheme}://{url.netloc.decode('ascii')}"
            slot, victim = self._take(origin)
            try:
                if victim is not None:
                    await self._discard(victim)
                response = await self._answer(slot, request)
            except Exception:
                # The pool of one has closed what broke; the slot itself is sound.
                slot.is_warm = False
                self._idle.setdefault(origin, []).append(slot)
                raise
            except BaseException:
                await self._discard(slot)
                raise

            def done() -> None:
                if slot in self._slots and not any(slot is idle for idle in self._idle.get(origin, ())):
                    slot.is_warm = True
                    self._idle.setdefault(origin, []).append(slot)

            response.stream = SlotStream(response.stream, done)
            return response

        async def _answer(self, slot: _Slot, request: Any) -> Any:  # noqa: ANN401 - as above
            if not slot.is_warm:
                return await slot.transport.handle_async_request(request)
            try:
                return await slot.transport.handle_async_request(request)
            except (module.ReadError, module.WriteError, module.RemoteProtocolError):
                # A kept connection that the server closed just as this request began: say it once more, on a new one, if
                # saying it twice does no harm.
                slot.is_warm = False
                is_repeatable = request.extensions.get("amplitude_repeatable", False)
                if not is_repeatable and getattr(request.stream, "has_started", True):
                    raise
                if getattr(request.stream, "has_started", False):
                    request.stream.was_sent_before = True
            return await slot.transport.handle_async_request(request)

        async def drop_idle(self) -> None:
            idle = [slot for slots in self._idle.values() for slot in slots]
            self._idle.clear()
            for slot in idle:
                await self._discard(slot)

        async def aclose(self) -> None:
            slots, self._slots = self._slots, set()
            self._idle.clear()
            for slot in slots:
                with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                    await _quietly(slot.transport.aclose)

    return SlotTransport


def _direct_client(module: Any) -> Any:  # noqa: ANN401 - a class made for the HTTP library at hand
    """Make the class of the client that is built here: it hands a request to its transport, and that is all.

    No cookie is taken or given, no redirect followed, no credential added and no address logged, because the code that would do so
    is not on the way. That code is also a quarter of the CPU of a request.
    """

    class DirectClient(module.AsyncClient):  # type: ignore[misc]  # the base is only known at run time
        def __init__(self, transport: Any) -> None:  # noqa: ANN401 - the HTTP library's own types
            super().__init__(transport=transport, trust_env=False, follow_redirects=False)
            self._direct = transport

        async def send(self, request: Any, *, stream: bool = False, **_: object) -> Any:  # noqa: ANN401 - as above
            response = await self._direct.handle_async_request(request)
            response.request = request
            if not stream:
                await response.aread()
            return response

    return DirectClient


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
        self._body_streams: dict[type, Any] = {}
        self._urls: dict[str, Any] = {}
        if client is None:
            self._http = import_module("httpx") if kind == "aiohttp" else self._module
            self._client_class = _direct_client(self._http)
            self._client = self._build(self._pooled())
            self._body_stream = _body_stream(self._http)
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_mask_records)
        self._send_options = _send_options(self._client)

    def _build(self, transport: Any) -> Any:  # noqa: ANN401 - the HTTP library's own types
        return self._client_class(transport)

    def _pooled(self) -> Any:  # noqa: ANN401 - as above
        if self._kind == "aiohttp":
            return self._connect("https://")
        return _slot_transport(self._module)(self._connect, self._size)

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
            self._tls.minimum_version = max(self._tls.minimum_version, ssl.TLSVersion.TLSv1_2)
        return self._tls

    async def drop_idle(self) -> None:
        """Close the connections that are not in use: who answers there is not to be trusted. Another client's are its own."""
        drop = getattr(getattr(self._client, "_direct", None), "drop_idle", None)
        if drop is not None:
            await _quietly(drop)

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

    def _request(self, wire: Wire, client: Any) -> tuple[Any, Any]:  # noqa: ANN401 - as above
        """Return the request and its body, which knows whether any of it was asked for."""
        if self._owns_client:
            return self._own_request(wire)
        request = client.build_request(
            wire.method,
            wire.url,
            headers=wire.headers,
            content=wire.body or None,
            extensions={"timeout": wire.timeouts, "amplitude_repeatable": wire.is_repeatable},
        )
        kind = type(request)
        if kind not in self._body_streams:
            module = sys.modules.get(kind.__module__.partition(".")[0])
            self._body_streams[kind] = _body_stream(module) if hasattr(module, "AsyncByteStream") else None
        stream_class = self._body_streams[kind]
        if stream_class is None:
            return request, _HIDDEN
        body = stream_class(wire.body)
        # Made anew over the stream alone: a transport that found request.content would send that, and nothing would show it.
        return kind(request.method, request.url, headers=request.headers, stream=body, extensions=request.extensions), body

    def _own_request(self, wire: Wire) -> tuple[Any, Any]:
        """Make a request for the client built here, which has no headers, cookies or parameters to merge in.

        That, and parsing each address once, is what an owned task costs over a bare call, saved elsewhere.
        """
        address, mark, query = wire.url.partition("?")
        url = self._urls.get(address)
        if url is None:
            url = self._urls[address] = self._http.URL(address)
        if mark:
            url = url.copy_with(query=query.encode("ascii"))
        body = self._body_stream(wire.body)
        headers = [
            (b"Host", url.netloc),
            *((name.encode("ascii"), value.encode("ascii")) for name, value in wire.headers.items()),
        ]
        if wire.body or wire.method != "GET":
            headers.append((b"Content-Length", b"%d" % len(wire.body)))
        extensions = {"timeout": wire.timeouts, "amplitude_repeatable": wire.is_repeatable}
        return self._http.Request(wire.method, url, headers=headers, stream=body, extensions=extensions), body

    async def exchange(self, wire: Wire, seconds: float) -> Reply | Failure:
        """Send a request and read its answer whole, at most so long. Runs in a task of the library."""
        _is_ours.set(True)
        body = None
        response: Any = None
        with anyio.move_on_after(seconds):
            try:
                request, body = self._request(wire, self._client)
                response = await self._client.send(request, stream=True, **self._send_options)
                reply = await self._read(response, wire.answer_bytes)
                return reply._replace(was_sent_before=True) if getattr(body, "was_sent_before", False) else reply
            except Exception as error:  # noqa: BLE001 - every failure of the HTTP library becomes a value here
                return self._failure(error, body)
            finally:
                if response is not None and not getattr(response, "is_closed", False):
                    with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                        await _quietly(response.aclose)
        return Failure("timeout", is_sent=_is_sent(body), reason=f"no complete answer within {seconds:g} s")

    async def open(
        self, wire: Wire, seconds: float, between_bytes: float, on_connected: Callable[[], None]
    ) -> OpenStream | Reply | Failure:
        """Send a request and wait for its answer to begin. Runs in a task of the library.

        A 2xx comes back as a stream over a connection of its own; anything else is read and comes back as a Reply. ``on_connected`` is
        called when the connection stands and the request goes out.
        """
        _is_ours.set(True)
        body = None
        try:
            client = self._build(self._connect(_origin(wire.url))) if self._owns_client else self._client
        except Exception as error:  # noqa: BLE001 - a proxy or certificate file of the environment that cannot be used
            return self._failure(error, body)
        close = client.aclose if self._owns_client else _nothing
        response: Any = None
        is_handed_over = False
        try:
            with anyio.move_on_after(seconds):
                try:
                    request, body = self._request(wire, client)
                    if body is None:
                        on_connected()
                    else:
                        body.on_start = on_connected
                    response = await client.send(request, stream=True, **self._send_options)
                    if not 200 <= response.status_code < 300:  # noqa: PLR2004 - the success class
                        return await self._read(response, ERROR_ANSWER_BYTES)
                    # From here on it is the silence between bytes that is limited.
                    wire.timeouts["read"] = between_bytes
                    is_handed_over = True
                    return OpenStream(response, _headers(response), close, lambda error: self._failure(error, body))
                except Exception as error:  # noqa: BLE001 - every failure of the HTTP library becomes a value here
                    return self._failure(error, body)
            return Failure("timeout", is_sent=_is_sent(body), reason=f"the answer did not begin within {seconds:g} s")
        finally:
            if not is_handed_over:
                with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                    if response is not None:
                        await _quietly(response.aclose)
                    await _quietly(close)

    async def _read(self, response: Any, limit: int) -> Reply:  # noqa: ANN401 - the HTTP library's own type
        headers = _headers(response)
        status: int = response.status_code
        if getattr(response, "is_stream_consumed", False):
            # A mocked answer, complete from the start.
            return Reply(status, headers, (await response.aread())[:limit])
        reader = _Reader(headers.get("content-encoding", ""), limit)
        chunks = response.aiter_raw()
        async for chunk in chunks:
            if not reader.take(chunk):
                await _abort(response, chunks)
                break
        return Reply(status, headers, bytes(reader.body), reader.fault or reader.end())

    def _failure(self, error: Exception, body: Any) -> Failure:  # noqa: ANN401 - see _body_stream
        names = {kind.__name__ for kind in type(error).__mro__}
        detail = mask(f"{type(error).__name__}: {error}", self._secrets())
        # Asked of the body even when the error speaks of connecting: the transport over aiohttp says so of a line that broke later.
        was_sent = _is_sent(body) or getattr(body, "was_sent_before", False)
        if "ConnectTimeout" in names:
            return Failure("timeout", is_sent=was_sent, reason="no connection within its time limit", detail=detail)
        if cause := _tls_cause(error):
            return Failure("refused", is_sent=_is_sent(body), reason=f"TLS refused the connection ({mask(cause)})", detail=detail)
        if names & {"ConnectError", "ProxyError", "PoolTimeout", "UnsupportedProtocol"}:
            words = mask(str(error), self._secrets()) or "no words"
            return Failure("connect", is_sent=was_sent, reason=f"no connection could be made ({words})", detail=detail)
        if "TimeoutException" in names or isinstance(error, TimeoutError):
            what = "the server did not read the request" if "WriteTimeout" in names else "the server fell silent"
            return Failure("timeout", is_sent=_is_sent(body), reason=f"{what} for longer than its time limit", detail=detail)
        return Failure(
            "broken",
            is_sent=_is_sent(body),
            reason="the connection broke before the answer was complete",
            detail=detail,
        )

    async def aclose(self) -> None:
        """Close what was built here; a client of the user's own is left open."""
        if self._owns_client:
            await _quietly(self._client.aclose)


class _Reader:
    """Collects an answer's body and undoes its content encoding, both up to a limit."""

    def __init__(self, coding: str, limit: int) -> None:
        coding = coding.strip().lower()
        self.body = bytearray()
        self.fault = "" if coding in {"", "identity", "gzip", "x-gzip", "deflate"} else "an unknown content encoding"
        self._inflate = None if coding in {"", "identity"} or self.fault else zlib.decompressobj(47)
        self._limit = limit

    def take(self, chunk: bytes) -> bool:
        """Take more bytes; say whether still more are wanted."""
        room = self._limit - len(self.body)
        if self._inflate is not None:
            try:
                chunk = self._inflate.decompress(chunk, room + 1)
            except zlib.error:
                self.fault = "its compression is damaged"
                return False
        self.body += chunk[:room]
        if len(chunk) > room:
            self.fault = f"more than the {self._limit} bytes that are read of such an answer"
            return False
        return not self.fault

    def end(self) -> str:
        """Return what is wrong with an answer that ended here."""
        return "its compression is cut short" if self._inflate is not None and self.body and not self._inflate.eof else ""


def _headers(response: Any) -> dict[str, str]:  # noqa: ANN401 - the HTTP library's own type
    raw = getattr(response.headers, "raw", None)
    if raw is None:
        return {name.lower(): value for name, value in response.headers.items()}
    # Quicker than items(), which guesses an encoding for every access.
    headers: dict[str, str] = {}
    for name, value in raw:
        key = name.decode("ascii", "replace").lower()
        text = value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _origin(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _is_sent(body: Any) -> bool:  # noqa: ANN401 - see _body_stream
    return body is not None and body.has_started


def _tls_cause(error: BaseException) -> str:
    """Return the reason of a TLS failure in a chain of errors, ``""`` if there is none."""
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None:
            return ""
        if type(seen).__name__ in {"SSLCertVerificationError", "CertificateError"}:
            return str(getattr(seen, "verify_message", "") or seen)
        is_tls = "SSLError" in {kind.__name__ for kind in type(seen).__mro__}
        # An end of the line, or a wait, is not a refusal.
        if is_tls and type(seen).__name__ not in {"SSLEOFError", "SSLZeroReturnError", "SSLWantReadError", "SSLWantWriteError"}:
            return str(getattr(seen, "reason", "") or seen)
        seen = seen.__cause__ or seen.__context__
    return ""


def _send_options(client: Any) -> dict[str, Any]:  # noqa: ANN401 - anything of the right shape
    """Return what ``send`` must be told so that a client with other habits follows no redirect and adds no credential."""
    from inspect import Parameter, signature  # noqa: PLC0415 - once per client

    try:
        parameters = signature(client.send).parameters
    except (TypeError, ValueError):
        return {}
    takes_all = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values())
    wanted: dict[str, Any] = {"follow_redirects": False, "auth": None}
    return {name: value for name, value in wanted.items() if takes_all or name in parameters}
