"""Which answers pages of any origin may read: those of uploads and of evaluations, which SDKs in browsers ask for.

They ask first (https://fetch.spec.whatwg.org/#http-cors-protocol), since their uploads are JSON. Everything else here is read by pages
of the sandbox itself alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATHS: Final = frozenset(
    {
        "/2/httpapi",
        "/batch",
        "/identify",
        "/groupidentify",
        "/attribution",
        "/v1/vardata",
        "/v1/flags",
        "/sdk/v2/vardata",
        "/sdk/v2/flags",
    }
)
_ANY: Final = "*"


class AnyOrigin:
    """Lets pages of any origin read the answers of some paths, without credentials of the browser's own."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand in front of an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what browsers ask beforehand, and mark the answers of those paths."""
        if scope["type"] != "http" or scope["path"] not in PATHS:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await _allowed(headers)(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["access-control-allow-origin"] = _ANY
            await send(message)

        await self._app(scope, receive, marked if "origin" in headers else send)


def _allowed(asked: Headers) -> Response:
    answer = {"access-control-allow-origin": _ANY, "access-control-allow-methods": "GET, POST", "access-control-max-age": "600"}
    # Any header is as good as another, but a bare asterisk would leave out Authorization.
    wanted = asked.get("access-control-request-headers")
    return Response(status_code=204, headers=answer if wanted is None else {**answer, "access-control-allow-headers": wanted})
