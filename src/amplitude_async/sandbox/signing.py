"""Links that are signed themselves, as a storage service hands them out: good for a while, and without credentials."""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["Signer"]

_XML: Final = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{}</Code><Message>{}</Message></Error>'


class Signer:
    """Signs paths of one sandbox, and looks at what comes back."""

    def __init__(self) -> None:
        """Draw a key; links end with the sandbox that made them."""
        self._key = secrets.token_bytes(32)

    def link(self, request: Request, path: str, expires: float) -> str:
        """Return the address of a path on this sandbox, good until a time in seconds since the epoch."""
        until = str(int(expires))
        base = str(request.base_url).rstrip("/")
        return f"{base}{path}?X-Expires={until}&X-Signature={self._signature(path, until)}"

    def refused(self, request: Request, now: float) -> Response | None:
        """Return the refusal of a request whose link is not good, ``None`` if it is."""
        if "authorization" in request.headers or request.cookies:
            return _refusal(400, "InvalidArgument", "Only one auth mechanism allowed")
        until, signature = request.query_params.get("X-Expires", ""), request.query_params.get("X-Signature", "")
        path = request.scope.get("raw_path", request.url.path.encode()).decode("ascii", "replace")
        if not until.isdigit() or not hmac.compare_digest(signature.encode(), self._signature(path, until).encode()):
            return _refusal(403, "SignatureDoesNotMatch", "The request signature we calculated does not match")
        if now >= int(until):
            return _refusal(403, "AccessDenied", "Request has expired")
        return None

    def _signature(self, path: str, until: str) -> str:
        return hmac.new(self._key, f"{path}\n{until}".encode(), sha256).hexdigest()


def _refusal(status: int, code: str, words: str) -> Response:
    return Response(_XML.format(code, words), status, media_type="application/xml")
