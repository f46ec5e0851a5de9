"""What a resource is given to work with: something that sends Calls, tells the time and waits. The client's caller is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from amplitude_async._protocol.call import Call, Kind
    from amplitude_async._protocol.hosts import Api
    from amplitude_async._protocol.links import Link
    from amplitude_async.errors import RequestSummary

__all__ = ["Download", "Runner", "Sender"]


class Download(Protocol):
    """An answer that is read as it comes."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers, names in lower case."""

    @property
    def request(self) -> RequestSummary:
        """What was asked of whom."""

    async def next_chunk(self) -> bytes | None:
        """Wait for the next bytes, ``None`` at the end."""

    def close_soon(self) -> None:
        """Have the connection closed by a task of the library, without waiting for it."""

    def dropped(self) -> None:
        """Close the connection if it is open and that can be done from here, with a ResourceWarning."""

    async def aclose(self) -> None:
        """Close the connection; safe to call again."""


class Sender(Protocol):
    """What can send a Call."""

    def deadline(self, kind: Kind) -> float:
        """Return when a call that begins now has to be over."""

    async def run(self, call: Call, *, deadline: float | None = None) -> Any:  # noqa: ANN401 - this is where JSON enters
        """Send a call, return what its answer says."""


class Runner(Sender, Protocol):
    """What can also hand out an answer as it comes, tell the time and wait. Deadlines are points on :meth:`clock`, in seconds."""

    def clock(self) -> float:
        """Return the time, in seconds."""

    async def open(self, call: Call, *, deadline: float | None = None) -> Download:
        """Send a call, return its answer as a stream."""

    def link(self, api: Api, address: str) -> Link:
        """Read a signed link that an answer of this API names; an UnexpectedResponseError if it is not one that is followed."""

    async def pause(self, seconds: float) -> None:
        """Wait so long."""
