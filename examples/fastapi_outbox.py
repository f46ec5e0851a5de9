"""A FastAPI service whose handlers do not wait for Amplitude: events go to an outbox on disk, which delivers in the background.

On SIGTERM the server ends its requests, then the lifespan closes the outbox: what is not delivered in time is kept and sent at the
next start. Run it with ``uvicorn fastapi_outbox:app``, AMPLITUDE_API_KEY and OUTBOX_FOLDER in the environment; with ``--workers`` each
process takes a file of its own in that folder.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI, HTTPException, Request

from amplitude_async import AsyncAmplitude, Outbox, OutboxError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Own one client and one outbox for the whole service."""
    async with AsyncAmplitude() as amplitude, amplitude.outbox(folder=os.environ["OUTBOX_FOLDER"]) as outbox:
        app.state.outbox = outbox
        yield
        print(await outbox.aclose(timeout=5), flush=True)


app = FastAPI(lifespan=lifespan)


@app.post("/orders/{order_id}")
async def place_order(order_id: str, user_id: str, request: Request) -> dict[str, str]:
    """Place an order; its event is on the disk when this answers."""
    outbox: Outbox = request.app.state.outbox
    try:
        receipt = await outbox.put({"event_type": "order_placed", "user_id": user_id, "event_properties": {"order_id": order_id}})
    except OutboxError as error:
        # No room, or the disk is full: the event was not accepted, so the order goes on without it, or says so.
        raise HTTPException(503, str(error)) from None
    return {"order": order_id, "event": receipt.insert_id}


@app.get("/health")
async def health(request: Request) -> dict[str, int | float | None]:
    """Show the figures that an operator wants."""
    stats = request.app.state.outbox.stats()
    return {"pending": stats.pending, "oldest_age": stats.oldest_age, "set_aside": stats.set_aside}
