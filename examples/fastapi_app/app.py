"""A small shop: orders are placed, and Amplitude hears of it without anybody waiting for Amplitude.

    OUTBOX_FOLDER=outbox uvicorn app:app --workers 2

Takes its keys from the environment (AMPLITUDE_API_KEY, and AMPLITUDE_BASE_URL for a sandbox). Each worker process keeps its events in
a file of its own in OUTBOX_FOLDER until they are delivered; on SIGTERM the rest is delivered or kept for the next start.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel

from amplitude_async import OutboxFull
from amplitude_async.integrations.fastapi import AmplitudeDep, AmplitudeMiddleware, OutboxDep, amplitude_lifespan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping


class Order(BaseModel):
    """What is ordered."""

    product: str
    price: float
    quantity: int = 1


ORDERS: dict[str, Order] = {}


@asynccontextmanager
async def shop(_app: FastAPI) -> AsyncIterator[None]:
    """Stand for what a real service opens and closes: a database, a cache."""
    ORDERS.clear()
    yield


def signed_in_user(scope: MutableMapping[str, Any]) -> str | None:
    """Find who is asking; a real service reads its own session or token here."""
    for name, value in scope["headers"]:
        if name == b"x-user":
            return str(value.decode("latin-1"))
    return None


app = FastAPI(lifespan=amplitude_lifespan(folder=os.environ.get("OUTBOX_FOLDER", "outbox"), inner=shop))
app.add_middleware(AmplitudeMiddleware, user=signed_in_user)


@app.post("/orders/{order_id}")
async def place_order(order_id: str, order: Order, outbox: OutboxDep, x_user: Annotated[str, Header()]) -> dict[str, str]:
    """Place an order. Its event is on the disk before this answers; user, path and agent come from the request."""
    ORDERS[order_id] = order
    event = {
        "event_type": "order_placed",
        "insert_id": f"order-{order_id}",
        "price": order.price,
        "quantity": order.quantity,
        "productId": order.product,
    }
    try:
        await outbox.put(event)
    except OutboxFull:
        # Amplitude is away and the outbox is full: the order counts more than its event.
        return {"order": order_id, "user": x_user, "event": "dropped"}
    return {"order": order_id, "user": x_user, "event": "kept"}


@app.post("/untracked/{order_id}")
async def place_quietly(order_id: str, order: Order) -> dict[str, str]:
    """Do the same without an event, to see what tracking costs."""
    ORDERS[order_id] = order
    return {"order": order_id}


@app.get("/visits/{user_id}")
async def visits(user_id: str, amplitude: AmplitudeDep) -> dict[str, Any]:
    """Ask Amplitude what a user did."""
    found = await amplitude.user_search(user_id)
    if not found["matches"]:
        raise HTTPException(404, "nobody of that name")
    activity = await amplitude.user_activity(found["matches"][0]["amplitude_id"])
    return {"events": activity["userData"]["num_events"]}


@app.get("/health")
async def health(outbox: OutboxDep) -> dict[str, Any]:
    """Show the figures that an operator wants."""
    stats = outbox.stats()
    return {"pending": stats.pending, "oldest_age": stats.oldest_age, "set_aside": stats.set_aside, "dropped": stats.dropped}
