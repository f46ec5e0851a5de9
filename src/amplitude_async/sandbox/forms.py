"""Reading the parameters of a request, wherever they are: in the query, in a form, in a multipart body."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from amplitude_async.sandbox import rules

if TYPE_CHECKING:
    from starlette.requests import Request

    from amplitude_async.sandbox.desk import Desk

__all__ = ["form_of"]

_LONGEST_URL: Final = 16_384  # beyond it: 414


async def form_of(desk: Desk, request: Request) -> dict[str, list[str]]:
    """Return every value of each parameter of a query string and a form body, in order; the body wins."""
    if len(request.url.query) > _LONGEST_URL:
        raise rules.refusal(414, "URI too long")
    found: dict[str, list[str]] = {}
    for key, value in request.query_params.multi_items():
        found.setdefault(key, []).append(value)
    body = await desk.body(request, rules.MIB)
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        return found | parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    head = b"Content-Type: " + kind.encode("latin-1") + b"\r\n\r\n"
    sent: dict[str, list[str]] = {}
    for part in BytesParser(policy=HTTP).parsebytes(head + body).walk():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            sent.setdefault(name, []).append(content.decode("utf-8", "replace"))
    return found | sent
