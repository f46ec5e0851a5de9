"""What the client that is built here stands on: one connection per slot, and nothing between a request and its slot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from amplitude_async._io.transport.closing import CLOSE_SECONDS, quietly
from amplitude_async._io.transport.http11 import Doors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["direct_client", "slot_transport"]


class Slot:
    """One connection, bound to one origin."""

    __slots__ = ("is_warm", "origin", "transport")

    def __init__(self, origin: str, transport: Any) -> None:  # noqa: ANN401 - the HTTP library's own type
        self.origin = origin
        self.transport = transport
        self.is_warm = False
        """It has answered before, so its connection may be one that the server is about to close."""


def slot_transport(module: Any) -> Any:  # noqa: ANN401, C901 - two small classes made for the HTTP library at hand
    """Make the transport class: many pools of one connection instead of one pool of many."""

    class SlotStream(module.AsyncByteStream):  # type: ignore[misc]  # the base is only known at run time
        def __init__(self, inner: Any, done: Callable[[], Awaitable[None]]) -> None:  # noqa: ANN401 - as above
            self._inner = inner
            self._done = done

        def __aiter__(self) -> AsyncIterator[bytes]:
            chunks: AsyncIterator[bytes] = self._inner.__aiter__()
            return chunks

        async def aclose(self) -> None:
            try:
                await self._inner.aclose()
            finally:
                await self._done()

    class SlotTransport(module.AsyncBaseTransport):  # type: ignore[misc]  # as above
        def __init__(self, connect: Callable[[str], Any], size: int) -> None:
            self._connect = connect
            self._size = size
            self._idle: dict[str, list[Slot]] = {}
            self._slots: set[Slot] = set()
            self._is_closed = False

        def _take(self, origin: str) -> tuple[Slot, Slot | None]:
            """Return a slot for the origin, and an idle one of another origin that must go to make room for it."""
            idle = self._idle.get(origin)
            if idle:
                return idle.pop(), None
            victim: Slot | None = None
            if len(self._slots) >= self._size:
                victim = next((slots.pop() for slots in self._idle.values() if slots), None)
                if victim is not None:
                    self._slots.discard(victim)
            slot = Slot(origin, self._connect(origin))
            self._slots.add(slot)
            return slot, victim

        async def _discard(self, slot: Slot) -> None:
            self._slots.discard(slot)
            with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                await quietly(slot.transport.aclose)

        async def handle_async_request(self, request: Any) -> Any:  # noqa: ANN401 - the HTTP library's own types
            if self._is_closed:
                message = "The client is closed."
                raise module.ConnectError(message)
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

            async def done() -> None:
                if slot not in self._slots:
                    # Closing meanwhile may have come too early for what it has opened.
                    await self._discard(slot)
                elif not any(slot is idle for idle in self._idle.get(origin, ())):
                    slot.is_warm = True
                    self._idle.setdefault(origin, []).append(slot)

            response.stream = SlotStream(response.stream, done)
            return response

        async def _answer(self, slot: Slot, request: Any) -> Any:  # noqa: ANN401 - as above
            if not slot.is_warm:
                return await slot.transport.handle_async_request(request)
            try:
                return await slot.transport.handle_async_request(request)
            except (module.ReadError, module.WriteError, module.RemoteProtocolError):
                # A kept connection that the server closed just as this request began: say it once more, on a new one, if
                # saying it twice does no harm.
                if self._is_closed:
                    raise
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
            self._is_closed = True
            slots, self._slots = self._slots, set()
            self._idle.clear()
            for slot in slots:
                with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                    await quietly(slot.transport.aclose)

    return SlotTransport


def direct_client(module: Any) -> Any:  # noqa: ANN401 - a class made for the HTTP library at hand
    """Make the class of the client that is built here: it hands a request to its transport, and that is all.

    No cookie is taken or given, no redirect followed, no credential added and no address logged, because the code that would do so
    is not on the way. That code is also a quarter of the CPU of a request.
    """
    doors = Doors(
        (module, "AsyncClient", "send"),
        (module, "AsyncClient", "_send_single_request"),
        (module, "AsyncClient", "_transport_for_url"),
    )

    class DirectClient(module.AsyncClient):  # type: ignore[misc]  # the base is only known at run time
        def __init__(self, transport: Any) -> None:  # noqa: ANN401 - the HTTP library's own types
            super().__init__(transport=transport, trust_env=False, follow_redirects=False)
            self._direct = transport

        async def send(self, request: Any, *, stream: bool = False, **_: object) -> Any:  # noqa: ANN401 - as above
            if doors.are_replaced():
                # A mock, a recorder or a tracer has taken the HTTP library's place, and is to see the request.
                return await super().send(request, stream=stream, follow_redirects=False)
            response = await self._direct.handle_async_request(request)
            response.request = request
            if not stream:
                await response.aread()
            return response

    return DirectClient
