"""The door for other threads: an outbox belongs to one event loop, and this is the one way in from anywhere else."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import TimeoutError as ThreadTimeoutError
from typing import TYPE_CHECKING, Final

from amplitude_async.errors import ConfigurationError, OutboxClosed, OutboxError, OutboxFull

if TYPE_CHECKING:
    import asyncio

    from amplitude_async.delivery.clerk import Clerk
    from amplitude_async.delivery.receipts import Receipt

__all__ = ["ThreadDoor"]

THREAD_GRACE: Final = 1.0
"""What another thread waits for the loop beyond the time that the event may wait for room."""


class ThreadDoor:
    """Where other threads hand events in, and wait. What gathers between two turns of the loop is taken on in one.

    Made in the thread of the loop.

    Args:
        clerk: Takes the events on, in the loop's thread.
        loop: The loop.
    """

    def __init__(self, clerk: Clerk, loop: asyncio.AbstractEventLoop) -> None:
        self._clerk = clerk
        self._loop = loop
        self._thread_id = threading.get_ident()
        self._inbox: list[tuple[Receipt, ThreadFuture[Receipt], float]] = []
        self._lock = threading.Lock()

    def check(self) -> None:
        """See that this is another thread.

        Raises:
            ConfigurationError: It is the loop's own, which would wait for itself.
        """
        if threading.get_ident() == self._thread_id:
            message = "put_threadsafe() is for other threads; on the outbox's own event loop use put() or put_nowait()."
            raise ConfigurationError(message)

    def put(self, receipt: Receipt, seconds: float) -> Receipt:
        """Hand an event in and wait until it is accepted.

        Raises:
            OutboxError: It was not; see :meth:`amplitude_async.delivery.outbox.Outbox.put_threadsafe`.
        """
        future: ThreadFuture[Receipt] = ThreadFuture()
        with self._lock:
            is_first = not self._inbox
            self._inbox.append((receipt, future, seconds))
        try:
            if self._clerk.is_closed:
                message = "The outbox is closed; make a new one."
                raise OutboxClosed(message)
            if is_first:
                self._loop.call_soon_threadsafe(self.empty)
            return future.result(seconds + THREAD_GRACE)
        except ThreadTimeoutError:
            reason: OutboxError = OutboxFull(f"The outbox had no room for the event within {seconds:g} s; it was not accepted.")
            if not future.cancel():
                # There was room, and it is on its way to the disk: what put() waits for, too.
                return self._until_stored(future)
        except RuntimeError:
            reason = OutboxClosed("The outbox's event loop is closed.")
        raise reason

    def _until_stored(self, future: ThreadFuture[Receipt]) -> Receipt:
        """Wait for the end of a put that has begun, as long as there is somebody to end it."""
        while not self._loop.is_closed():
            with contextlib.suppress(ThreadTimeoutError):
                return future.result(THREAD_GRACE)
        message = "The outbox's event loop was closed before the disk answered; if the event was stored, it is sent at the next start."
        raise OutboxClosed(message, outcome="unknown")

    def empty(self) -> None:
        """Take on what other threads handed in. Runs in the loop's thread."""
        with self._lock:
            waiting, self._inbox = self._inbox, []
        clerk = self._clerk
        for receipt, future, seconds in waiting:
            if not future.set_running_or_notify_cancel():
                continue
            if clerk.is_closed:
                future.set_exception(OutboxClosed("The outbox is closed; make a new one."))
            elif receipt.settlement is not None:
                future.set_result(clerk.put_nowait(receipt))
            elif clerk.shelf is None and not clerk.room.is_wanted and clerk.has_room(receipt.size):
                clerk.take_on(receipt)
                future.set_result(receipt)
            else:
                task = self._loop.create_task(clerk.put(receipt, seconds))
                task.add_done_callback(lambda done, future=future: _copy(done, future))  # type: ignore[misc]  # bound now


def _copy(done: asyncio.Task[Receipt], future: ThreadFuture[Receipt]) -> None:
    if done.cancelled():
        future.set_exception(OutboxClosed("The outbox was closed; the event was not accepted."))
    elif (error := done.exception()) is not None:
        future.set_exception(error)
    else:
        future.set_result(done.result())
