"""Where the network can be watched from: the one seam for traces and metrics.

A connection has one observer or none, and without one all of this costs a look at an attribute. This room knows no tracing library:
what the facts below become is the observer's business (:mod:`amplitude_async.integrations.opentelemetry` is one). Nothing that it is
told is a key, but the path and the query of a request hold what the caller asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from amplitude_async._protocol.call import Kind
    from amplitude_async.errors import AmplitudeError

__all__ = ["Asked", "CallWatch", "DownloadWatch", "Observer", "OutboxFigures", "SendWatch", "Sent"]


class Asked(NamedTuple):
    """What an awaited call asks for.

    Attributes:
        api: Whose API it is of.
        kind: What kind of call it is.
        method: The HTTP method.
        route: The path with its names and ids left open, as ``/api/2/annotations/{}``; ``""`` for a download link.
    """

    api: str
    kind: Kind
    method: str
    route: str


class Sent(NamedTuple):
    """One request.

    Attributes:
        asked: What it asks for.
        server: Its origin, ``https://host`` or ``https://host:port``.
        path: Its path.
        query: Names and values, as the caller gave them.
        events: How many events it carries, 0 if it is no upload.
        resends: How many requests for the same failed before it.
        causes: What :meth:`Observer.cause` gave where its events were handed over; ``None`` if it has but one call to speak for, and
            is sent on that call's behalf.
        is_awaited: Whether those who handed them over wait for it.
    """

    asked: Asked
    server: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    events: int = 0
    resends: int = 0
    causes: Sequence[object] | None = None
    is_awaited: bool = True


class OutboxFigures(NamedTuple):
    """An outbox in figures, as they can be read from any thread.

    Attributes:
        pending: Events waiting or in flight.
        bytes: What they take.
        oldest_age: Seconds since the oldest of them in memory was accepted; ``None`` if there is none.
        settled: How many came to which end, by status and reason; never goes down.
    """

    pending: int
    bytes: int
    oldest_age: float | None
    settled: Mapping[tuple[str, str], int]


class CallWatch(Protocol):
    """Watches one awaited call."""

    def delivered(self, events: int) -> None:
        """Take note that Amplitude took so many events of it."""


class SendWatch(Protocol):
    """Watches one request."""

    def answered(self, status: int | None, error: AmplitudeError | None) -> None:
        """Take note of the answer.

        Args:
            status: The HTTP status; ``None`` if no answer came.
            error: What it came to, if it is no success.
        """


class DownloadWatch(Protocol):
    """Watches one answer that is read as it comes."""

    def received(self, size: int) -> None:
        """Take note of bytes that came."""

    def ended(self, error: AmplitudeError | None) -> None:
        """Take note of its end; called once."""


class Observer(Protocol):
    """What can watch a connection. Its methods wait for nothing and raise nothing."""

    def cause(self) -> object:
        """Return what stands for what is going on here, where an event is handed over."""

    def calling(self, asked: Asked) -> AbstractContextManager[CallWatch]:
        """Watch an awaited call; leaving the block is its end, and what leaves it as an exception its error."""

    def sending(self, sent: Sent) -> AbstractContextManager[SendWatch]:
        """Watch a request."""

    def downloading(self, asked: Asked) -> DownloadWatch:
        """Watch an answer that is read as it comes, from now to its end."""

    def outbox_opened(self, name: str, figures: Callable[[], OutboxFigures | None]) -> None:
        """Take note of an outbox; safe to call again. Its figures can be asked for from any thread, ``None`` when it is gone."""

    def outbox_closed(self, figures: Callable[[], OutboxFigures | None]) -> None:
        """Take note that an outbox was closed: its figures are final."""
