"""What a row of the endpoint table says: where a request of ours must go, as whom, and in which form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from amplitude_async import AsyncAmplitude

Auth = Literal[
    "key in body",
    "Basic project",
    "Basic organisation",
    "Api-Key secret",
    "Api-Key deployment",
    "Bearer management",
    "Bearer scim",
    "none",
]
Encoding = Literal["none", "query", "json", "form", "multipart", "xml"]

KEYS = {
    "api_key": "invented-api-key",
    "secret_key": "invented-secret-key",
    "org_api_key": "invented-org-key",
    "org_secret_key": "invented-org-secret",
    "deployment_key": "invented-deployment-key",
    "management_key": "invented-management-key",
    "scim_token": "invented-scim-token",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One endpoint.

    Attributes:
        name: The API and the operation, as people call it.
        method: The HTTP method.
        path: The path as it must be on the wire, ids filled in and encoded.
        hosts: In the US and in the EU; ``None`` where the API is not offered.
        auth: As whom.
        encoding: How parameters travel.
        call: Makes the request; ``None`` if it is left out, and ``why`` says why.
        query: The decoded query pairs that must be on the wire, in order; ``None``: not looked at.
        body: What the body must be once it is decoded: JSON value, form pairs (the API key left out), multipart ``{name: text}``, text.
        headers: Headers (lower-case names) that must be there too.
        answer: Status, content type and body that the call is answered with.
        index: Which of the requests that the call makes is this row's, from 0.
        why: ``"done"``, or the reason why the client has no such call.
    """

    name: str
    method: str
    path: str
    hosts: tuple[str, str | None]
    auth: Auth
    encoding: Encoding = "none"
    call: Callable[[AsyncAmplitude], Awaitable[object]] | None = None
    query: list[tuple[str, str]] | None = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    answer: tuple[int, str, bytes] = (200, "application/json", b"{}")
    index: int = 0
    why: str = "done"


async def all_of(items: Any) -> list[object]:  # noqa: ANN401 - any async iterable
    """Read an async iterator to its end, for rows whose call is one."""
    return [item async for item in items]
