"""What an outbox hands out: receipts for events, figures, and the report of its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from amplitude_async.delivery.ledger import Entry, Settlement
from amplitude_async.errors import OutboxClosed

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from amplitude_async.delivery.ledger import Waiter

__all__ = ["OutboxReport", "OutboxStats", "Receipt"]


class Receipt(Entry, gc=False, eq=False):
    """An event that was taken on. Await it to learn what became of the event; or don't, it is delivered all the same.

    Attributes:
        insert_id: The event's id.
    """

    @property
    def outcome(self) -> Settlement | None:
        """What became of the event; ``None`` while it is pending."""
        if self.settlement is not None or self.disk is None:
            return self.settlement
        return self.disk.settlement

    def __await__(self) -> Generator[object, None, Settlement]:
        """Wait until the event is settled, for good.

        Raises:
            OutboxClosed: The outbox was closed before; the event is kept on the disk and sent at the next start.
        """
        disk = self.disk
        if self.outcome is None and (disk is None or not disk.is_ended):
            yield from _woken(self._until_settled() if disk is None else disk.until_settled()).__await__()
        outcome = self.outcome
        if outcome is None:
            message = "The outbox was closed; the event is kept on the disk and sent at the next start."
            raise OutboxClosed(message, insert_ids=(self.insert_id,))
        return outcome

    async def stored(self) -> bool:
        """Wait until the event is on the disk; ``False`` at once if the outbox is in memory.

        Raises:
            OutboxStorageError: The disk refused it. It is still delivered if the process lives.
            OutboxFull: The file holds as much as it may. The same.
        """
        disk = self.disk
        if disk is None:
            return False
        if not disk.row_id and disk.error is None:
            await _woken(disk.until_stored())
        disk.check()
        return True


async def _woken(waiters: list[Waiter]) -> None:
    """Wait in a list until everybody in it is let go."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiters.append(future)
    try:
        await future
    except BaseException:
        # Cancelled, or closed with its loop.
        if future in waiters:
            waiters.remove(future)
        raise


class OutboxStats(NamedTuple):
    """An outbox in figures: ``accepted = delivered + rejected + set_aside + dropped + pending``, at every instant.

    Attributes:
        accepted: Events taken on, those found at opening included.
        recovered: Those found at opening.
        delivered: Amplitude has them.
        rejected: Amplitude refused them by name.
        set_aside: Kept, but not sent unless you say so.
        dropped: Given up by a policy, or lost by the disk.
        pending: Waiting or in flight.
        in_flight: In a request right now.
        refused: Not accepted: there was no room.
        reserved: On their way to the disk, not accepted yet.
        bytes: What the pending ones take, 600 bytes each beside their JSON.
        oldest_age: Seconds since the first event in line was accepted; ``None`` if none is in memory.
        requests: Requests made.
        retries: Those made while the server was failing.
        reasons: How many of each ``"status: reason"`` beyond the delivered ones.
        forgotten: Set-aside events of a memory outbox that are counted but no longer kept: there were too many.
        hooks_failed: Calls of your hooks that raised.
        hooks_skipped: Calls of your hooks that were left out because too many were still at work.
    """

    accepted: int
    recovered: int
    delivered: int
    rejected: int
    set_aside: int
    dropped: int
    pending: int
    in_flight: int
    refused: int
    reserved: int
    bytes: int
    oldest_age: float | None
    requests: int
    retries: int
    reasons: Mapping[str, int]
    forgotten: int
    hooks_failed: int
    hooks_skipped: int


class OutboxReport(NamedTuple):
    """What became of everything an outbox accepted, when it was closed; all of its life is counted.

    Attributes:
        delivered: Amplitude has them.
        rejected: Amplitude refused them by name.
        set_aside: Not sent; a durable outbox keeps them.
        dropped: Given up: by a policy, because a memory outbox was closed, or lost by the disk.
        kept: On the disk, and sent at the next start.
    """

    delivered: int
    rejected: int
    set_aside: int
    dropped: int
    kept: int
