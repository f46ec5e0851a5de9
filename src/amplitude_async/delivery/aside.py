"""Events that were set aside: to be looked at, sent again, or deleted. On disk they are the store's, in memory the ledger's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amplitude_async.delivery.receipts import Receipt
from amplitude_async.delivery.rows import SetAside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amplitude_async.delivery.clerk import Clerk

__all__ = ["list_aside", "purge_aside", "retry_aside"]


async def list_aside(clerk: Clerk, after_id: int, limit: int) -> list[SetAside]:
    """Return set-aside events, oldest first."""
    if clerk.shelf is not None:
        return await clerk.shelf.store.list_set_aside(after_id, limit)
    found = sorted((pair for pair in clerk.ledger.aside if pair[0].serial > after_id), key=lambda pair: pair[0].serial)
    return [
        SetAside(
            entry.serial,
            entry.identity,
            "event",
            entry.insert_id,
            entry.accepted_ms,
            entry.first_unknown_ms,
            entry.body,
            since,
            "" if entry.settlement is None else entry.settlement.reason,
        )
        for entry, since in found[:limit]
    ]


async def retry_aside(clerk: Clerk, ids: Sequence[int] | None) -> int:
    """Let set-aside events wait again, behind what waits; return how many."""
    if clerk.shelf is not None:
        return await clerk.shelf.store.retry_set_aside(ids)
    taken = clerk.ledger.take_aside(ids)
    for old in taken:
        entry = Receipt(old.body, old.identity, old.insert_id, clerk.now_ms(), old.size)
        entry.first_unknown_ms = old.first_unknown_ms
        clerk.ledger.revive(entry)
        clerk.enqueue(entry)
    clerk.courier.nudge()
    return len(taken)


async def purge_aside(clerk: Clerk, ids: Sequence[int] | None) -> int:
    """Delete set-aside events; return how many."""
    if clerk.shelf is not None:
        return await clerk.shelf.store.purge_set_aside(ids)
    return len(clerk.ledger.take_aside(ids))
