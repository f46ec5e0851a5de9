"""Answers that are read as they come: a download being opened, and one that is open."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import anyio

from amplitude_async._io.observing import Asked
from amplitude_async._protocol.verdict import finished, judge
from amplitude_async.errors import ClosedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from amplitude_async._io.connection import Connection
    from amplitude_async._io.tasks import OwnedTask
    from amplitude_async._io.transport.answers import OpenStream
    from amplitude_async._protocol.call import Call
    from amplitude_async.errors import AmplitudeError, RequestSummary

__all__ = ["Opening", "Stream"]


class Opening:
    """A download whose answer has not begun.

    Giving it up cancels it, but not while it connects: cancelling a TLS handshake strands its socket, and the connect limit bounds it.
    """

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self._is_connected = False
        self._is_unwanted = False

    def connected(self) -> None:
        """Note that the connection stands."""
        self._is_connected = True
        if self._is_unwanted:
            self.scope.cancel()

    def give_up(self) -> None:
        """Cancel it, now or as soon as it is connected."""
        self._is_unwanted = True
        if self._is_connected:
            self.scope.cancel()


class Stream:
    """An answer that is read as it comes, by whoever asked for it, in that task."""

    def __init__(
        self, connection: Connection, opened: OpenStream, call: Call, request: RequestSummary, leave: Callable[[], None] | None = None
    ) -> None:
        self.headers = opened.headers
        self.status = opened.status
        self._connection = connection
        self._opened: OpenStream | None = opened
        self._call = call
        self.request = request
        self._closing: OwnedTask[None] | None = None
        self._leave = leave
        observer = connection.observer
        self._watch = None if observer is None else observer.downloading(Asked(call.api, call.kind, call.method, call.route))
        connection.keep(self)

    def __repr__(self) -> str:
        return f"<download {self.request.path}>"

    @property
    def is_closed(self) -> bool:
        """Whether it was read to its end, closed or aborted."""
        return self._opened is None

    async def next_chunk(self) -> bytes | None:
        """Wait for the next bytes, ``None`` at the end.

        Raises:
            TransportError: The connection broke, or was silent for too long.
            ClosedError: The stream, or the client, was closed.
        """
        if self._opened is None:
            message = "The download is closed."
            raise ClosedError(message)
        try:
            chunk = await self._opened.next_chunk()
        except BaseException:
            # Cancelled: abort, and let a task of the library do the closing.
            self.close_soon()
            raise
        if isinstance(chunk, bytes):
            if self._watch is not None:
                self._watch.received(len(chunk))
            return chunk
        error = None if chunk is None else finished([judge(self._call, chunk, now=0.0, secrets=tuple)], self._call, self.request)
        self.close_soon(error)
        await self.aclose()
        if error is None:
            return None
        raise error

    def close_soon(self, error: AmplitudeError | None = None) -> None:
        """Have the connection closed by a task of the library, without waiting for it. Safe to call again.

        Args:
            error: What ended it, if anything did; for observers.
        """
        opened, self._opened = self._opened, None
        if opened is None:
            return
        if self._watch is not None:
            self._watch.ended(error)
        self._connection.drop(self)
        if self._leave is not None:
            self._leave()

        async def close(_: OwnedTask[None]) -> None:
            await opened.aclose()

        self._closing = self._connection.tasks.spawn(close)

    def dropped(self) -> None:
        """Close it because nobody holds it any more, with a ResourceWarning; from a collector, so only where its event loop runs."""
        if self._opened is not None and self._connection.is_home():
            # First, since a warning may be an error.
            self.close_soon()
            warnings.warn(f"{self!r} was left open; use 'async with' or aclose()", ResourceWarning, stacklevel=3)

    async def aclose(self) -> None:
        """Close the connection; what was not read is lost. Safe to call again."""
        self.close_soon()
        if self._closing is not None:
            await self._closing.wait()
