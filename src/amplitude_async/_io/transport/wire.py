"""What goes to the network: one request as a plain value, and the shape of a client of the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["HttpClient", "Wire"]


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
    """One request, ready to be sent. Holds credentials, so its text form shows none of it.

    ``is_bare`` is a request that nothing may be added to, by a client of the user's own either: what goes to a signed link would tell
    a stranger the cookies and headers that were meant for Amplitude.
    """

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    timeouts: dict[str, float]
    answer_bytes: int
    is_repeatable: bool
    is_bare: bool = False

    def __repr__(self) -> str:
        return "<Wire>"
