"""A FastAPI service whose handler awaits ``track``; the client lives as long as the service does.

Run it with ``uvicorn fastapi_handler:app`` and AMPLITUDE_API_KEY (and AMPLITUDE_BASE_URL, for a sandbox) in the environment.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI, HTTPException, Request

from amplitude_async import AmplitudeError, AsyncAmplitude

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Own one client for the whole service: it shares its connections among all handlers."""
    async with AsyncAmplitude() as amplitude:
        app.state.amplitude = amplitude
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/orders/{order_id}")
async def place_order(order_id: str, user_id: str, request: Request) -> dict[str, str]:
    """Place an order, and answer only when Amplitude has it."""
    amplitude: AsyncAmplitude = request.app.state.amplitude
    try:
        await amplitude.track(
            {"event_type": "order_placed", "user_id": user_id, "event_properties": {"order_id": order_id}, "insert_id": order_id}
        )
    except AmplitudeError as error:
        # .outcome says whether it may have arrived; repeating under the same insert_id is safe.
        raise HTTPException(503, f"not recorded ({error.outcome})") from None
    return {"order": order_id, "status": "recorded"}
