"""Closes connections whatever state they are in; bounded, and never an error of its own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["CLOSE_SECONDS", "abort", "nothing", "quietly"]

CLOSE_SECONDS: Final = 2.0
"""How long closing one connection may take."""


async def abort(response: Any, chunks: AsyncIterator[bytes]) -> None:  # noqa: ANN401 - the HTTP library's own type
    """Close the connection of an answer that was perhaps not read to its end.

    The socket goes first; then the HTTP library's nested generators are driven until they meet that error, and so unwind. Closing
    the outermost would leave the inner ones to the garbage collector, of which trio rightly complains.
    """
    network = getattr(response, "extensions", {}).get("network_stream")
    if network is not None and not getattr(response, "is_closed", False):
        await quietly(network.aclose)

        async def drive() -> None:
            async for _ in chunks:
                pass

        await quietly(drive)
    await quietly(getattr(chunks, "aclose", nothing))
    await quietly(response.aclose)


async def nothing() -> None:
    """Close what needs no closing."""


async def quietly(close: Callable[[], Any]) -> None:
    """Close what is being thrown away; its errors interest nobody."""
    try:
        await close()
    except Exception:  # noqa: BLE001 - it is being thrown away
        logging.getLogger("amplitude_async.io").debug("closing a connection met an error")
