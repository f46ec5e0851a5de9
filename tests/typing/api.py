"""Typed uses of the public API; only type-checked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, assert_type

import httpx

from amplitude_async import (
    AsyncAmplitude,
    Backoff,
    Export,
    ExportedEvent,
    Outbox,
    OutboxReport,
    OutboxStats,
    PartialDeliveryError,
    RateLimitedError,
    Receipt,
    Setback,
    Settlement,
    Timeout,
)


async def uses() -> None:
    """Use every public call."""
    async with AsyncAmplitude("key", secret_key="secret", timeout=Timeout(connect=1), backoff=Backoff(base=1)) as amplitude:
        result = await amplitude.track({"event_type": "x", "user_id": "u"}, options={"min_id_length": 1})
        assert_type(result["events_ingested"], int)
        events: list[dict[str, str]] = [{"event_type": "x"}]
        await amplitude.track(events)
        await amplitude.identify(({"user_id": "u"},))
        found = await amplitude.user_search("u")
        for match in found["matches"]:
            await amplitude.user_activity(match["amplitude_id"], limit=5, direction="earliest")
        series = await amplitude.event_segmentation(e={"event_type": "x"}, start=date(2026, 1, 1), end="20260131", i=7)
        assert_type(series["data"]["xValues"], list[str])
        export = amplitude.export(start="20260101T00", end=date(2026, 1, 2))
        assert_type(export, Export)
        async with export:
            async for chunk in export:
                assert_type(chunk, bytes)
            async for event in export.events(model=ExportedEvent):
                assert_type(event.event_time, datetime | None)
                assert_type(event.user_properties, dict[str, Any])
        assert_type(amplitude.with_options(max_retries=0), AsyncAmplitude)
    AsyncAmplitude(http_client=httpx.AsyncClient())


def reads(error: PartialDeliveryError, limited: RateLimitedError) -> None:
    """Read the facts of errors."""
    assert_type(error.delivered, tuple[int, ...])
    assert_type(limited.retry_after, float | None)


async def delivers(amplitude: AsyncAmplitude) -> None:
    """Use an outbox."""

    async def tell(receipts: Sequence[Receipt]) -> None:
        assert_type(receipts[0].outcome, Settlement | None)

    def warn(setback: Setback) -> None:
        assert_type(setback.wait, float)

    async with amplitude.outbox("events.db", on_delivery=tell, on_setback=warn, overflow="drop_oldest") as outbox:
        assert_type(outbox, Outbox)
        receipt = await outbox.put({"event_type": "x", "user_id": "u"})
        assert_type(receipt, Receipt)
        assert_type(await receipt, Settlement)
        assert_type(await receipt.stored(), bool)
        assert_type(outbox.put_nowait({"event_type": "x"}).insert_id, str)
        assert_type(await outbox.flush(timeout=5), bool)
        assert_type(outbox.stats(), OutboxStats)
        assert_type(await outbox.aclose(), OutboxReport)
