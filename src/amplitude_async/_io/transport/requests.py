"""Makes requests of the HTTP library, over bodies that know whether any of them was asked for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from amplitude_async._io.transport.wire import HttpClient, Wire

__all__ = ["ForeignRequests", "OwnRequests", "send_options"]

MAX_ADDRESSES: Final = 256
"""How many parsed addresses are kept. Most are few, but some have an id in them, and download links are never the same."""
LARGEST_CHUNK: Final = 4 << 20
"""What is written at once; events are never more than this, but for batches."""
PIECE_BYTES: Final = 1 << 20
_PRIVATE: Final = ("authorization", "cookie", "proxy-authorization")


def body_stream(module: Any) -> Any:  # noqa: ANN401 - a class made for the HTTP library at hand
    """Make the class of request bodies: whole, repeatable, and knowing whether any of it was asked for."""

    class BodyStream(module.AsyncByteStream):  # type: ignore[misc]  # the base is only known at run time
        def __init__(self, body: bytes) -> None:
            self._body = body
            self.has_started = False
            self.was_sent_before = False
            self.on_start: Callable[[], None] | None = None

        def __aiter__(self) -> OneChunk:
            return OneChunk(self, self._body)

        async def aclose(self) -> None:
            return

    return BodyStream


class OneChunk:
    """Iterates over one chunk, or over the pieces of a large one. A class, not a generator: a cancelled generator warns.

    The limit on a server that does not read is for each piece: a table of 100 MB takes its time on a slow line, and is read all along.
    """

    __slots__ = ("_at", "_body", "_owner", "_step")

    def __init__(self, owner: Any, body: bytes) -> None:  # noqa: ANN401 - see body_stream
        self._owner = owner
        self._body = body
        self._at = 0
        self._step = len(body) if len(body) <= LARGEST_CHUNK else PIECE_BYTES

    def __aiter__(self) -> OneChunk:
        return self

    async def __anext__(self) -> bytes:
        at = self._at
        if not at:
            # From here on the server may have seen the body. On a line of our own nothing is written yet, but will be before
            # anybody else has a turn; where it turns out that nothing was, this is taken back (``http11``).
            self._owner.has_started = True
            if self._owner.on_start is not None:
                self._owner.on_start()
        if at >= len(self._body):
            raise StopAsyncIteration
        self._at += self._step
        return self._body if self._step == len(self._body) else self._body[at : self._at]


class _Hidden:
    """The body of a request that is sent out of sight, as by a client of the user's own: nothing can tell, so it counts as sent."""

    has_started = True


_HIDDEN: Final = _Hidden()


class OwnRequests:
    """Requests for the client built here, which has no headers, cookies or parameters to merge in.

    That, and parsing each address once, is what an owned task costs over a bare call, saved elsewhere.

    Args:
        module: The HTTP library that makes the requests.
        has_bare_gets: Whether a GET has no stream at all. Over aiohttp any stream is a body in chunks, also one that nothing comes out
            of, and not every server, nor what is in front of it, takes a GET with a body.
    """

    def __init__(self, module: Any, *, has_bare_gets: bool = False) -> None:  # noqa: ANN401 - a module
        self._http = module
        self._has_bare_gets = has_bare_gets
        self._body_stream = body_stream(module)
        self._urls: dict[str, Any] = {}

    def make(self, wire: Wire) -> tuple[Any, Any]:
        """Return the request and its body."""
        address, mark, query = wire.url.partition("?")
        url = self._urls.get(address)
        if url is None:
            if len(self._urls) >= MAX_ADDRESSES:
                self._urls.clear()
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
        if self._has_bare_gets and wire.method == "GET" and not wire.body:
            return self._http.Request(wire.method, url, headers=headers, extensions=extensions), _HIDDEN
        return self._http.Request(wire.method, url, headers=headers, stream=body, extensions=extensions), body


class ForeignRequests:
    """Requests for a client of the user's own, made by that client and so with its headers and parameters.

    Args:
        client: The user's client.
    """

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self._body_streams: dict[type, Any] = {}
        transport = getattr(client, "_transport", None)
        self._home = None if transport is None else _home(type(transport))

    def make(self, wire: Wire) -> tuple[Any, Any]:
        """Return the request and its body."""
        request = self._client.build_request(
            wire.method,
            wire.url,
            headers=wire.headers,
            content=wire.body or None,
            extensions={"timeout": wire.timeouts, "amplitude_repeatable": wire.is_repeatable},
        )
        kind = type(request)
        if kind not in self._body_streams:
            module = sys.modules.get(_home(kind))
            self._body_streams[kind] = body_stream(module) if hasattr(module, "AsyncByteStream") else None
        stream_class = self._body_streams[kind]
        if stream_class is None:
            if wire.is_bare and hasattr(request, "headers"):
                for name in _PRIVATE:
                    request.headers.pop(name, None)
            return request, _HIDDEN
        url, headers = request.url, request.headers
        if wire.is_bare:
            url = kind(wire.method, wire.url).url
            headers = {"Host": url.netloc.decode("ascii"), **wire.headers}
        if wire.method == "GET" and not wire.body and self._home not in {None, _home(kind)}:
            # What is below is not the library that made the request, but aiohttp or its like: see OwnRequests.
            return kind(wire.method, url, headers=headers, extensions=request.extensions), _HIDDEN
        body = stream_class(wire.body)
        # Made anew over the stream alone: a transport that found request.content would send that, and nothing would show it.
        return kind(request.method, url, headers=headers, stream=body, extensions=request.extensions), body


def _home(kind: type) -> str:
    """Return the package that a class comes from."""
    return kind.__module__.partition(".")[0]


def send_options(client: Any) -> dict[str, Any]:  # noqa: ANN401 - anything of the right shape
    """Return what ``send`` must be told so that a client with other habits follows no redirect and adds no credential."""
    from inspect import Parameter, signature  # noqa: PLC0415 - once per client

    try:
        parameters = signature(client.send).parameters
    except (TypeError, ValueError):
        return {}
    takes_all = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values())
    wanted: dict[str, Any] = {"follow_redirects": False, "auth": None}
    return {name: value for name, value in wanted.items() if takes_all or name in parameters}
