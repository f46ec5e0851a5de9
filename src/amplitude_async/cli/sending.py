"""Lines of events into an outbox in memory, and what became of each, in order.

The outbox knows Amplitude: which events share a request, what a refusal is about, whom to wait for. Here is kept how far everything is
settled, so that an import can go on from there, and a file of the lines that did not make it, each with its reason.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter, deque
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from amplitude_async.cli.lines import event_of
from amplitude_async.cli.pacing import Pace
from amplitude_async.errors import InvalidEventError, OutboxFull

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO, Self

    from amplitude_async.cli.lines import Line
    from amplitude_async.client import AsyncAmplitude
    from amplitude_async.delivery.hooks import Setback
    from amplitude_async.delivery.outbox import Outbox
    from amplitude_async.delivery.receipts import Receipt
    from amplitude_async.errors import AmplitudeError

__all__ = ["Place", "Rejects", "Sending", "insert_id_of"]

MOST_WAITING: Final = 20_000
"""Events in the outbox, of which up to 8 requests of 2,000 are under way."""
MOST_BYTES: Final = 48 << 20
MOST_UNSETTLED: Final = 60_000
"""Lines that may be ahead of the first that is not settled; then it is waited for."""
LOOK_EVERY: Final = 0.2
FULL_SECONDS: Final = 0.02
"""How long to wait for room before looking again."""
TURN_EVERY: Final = 256
"""Lines in a row that let nothing else run."""
CLOSE_SECONDS: Final = 5.0


class Place(NamedTuple):
    """How far everything is settled.

    Attributes:
        line: The last such line.
        end: How many bytes of the source that is.
        rejects_bytes: The length of the file of rejected lines.
    """

    line: int = 0
    end: int = 0
    rejects_bytes: int = 0


class _Sent(NamedTuple):
    """A line that is under way; without a receipt it was refused here."""

    line: Line
    receipt: Receipt | None
    reason: str = ""


class Rejects:
    """A file of lines that did not make it: ``{"line": 7, "reason": "...", "event": {...}}``, for its owner alone. Made by the first.

    Args:
        path: The file.
        length: How much of it is kept: what is behind that comes again.
    """

    def __init__(self, path: Path | None, length: int = 0) -> None:
        self.path = path
        self.length: int = length
        self._file: BinaryIO | None = None

    def add(self, line: Line, reason: str) -> None:
        """Write down a line.

        Raises:
            OSError: The disk refuses.
        """
        if self.path is None:
            return
        if self._file is None:
            flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            self._file = os.fdopen(os.open(self.path, flags, 0o600), "wb")
            self._file.truncate(self.length)
            self._file.seek(self.length)
        try:
            event: object = json.loads(line.text)
        except (ValueError, RecursionError):
            event = line.text.decode("utf-8", "replace")
        text = json.dumps({"line": line.number, "reason": reason, "event": event}, ensure_ascii=False).encode() + b"\n"
        self._file.write(text)
        self.length += len(text)

    def flush(self) -> None:
        """Hand what was written to the system."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()


def insert_id_of(line: Line) -> str:
    """Return an ``insert_id`` that this line has each time it is sent, so that Amplitude counts it once."""
    return blake2b(b"%d:%s" % (line.number, line.text), digest_size=16).hexdigest()


class Sending:
    """Takes lines and delivers them. An asynchronous context manager.

    Args:
        client: The client.
        api: ``"http_v2"`` or ``"batch"``.
        identifies: Whether the lines are identifications.
        rate: Events per second of one user or device.
        patience: Seconds without any progress, while sending fails, after which it is given up.
        rejects: Where lines go that did not make it.
        on_reject: Called with each of them and the reason.
        options: Amplitude's upload options.
        place: Where an earlier run got to.

    Attributes:
        counts: How many lines came to which end: ``delivered``, ``rejected``, ``set_aside``, ``dropped``.
        place: How far everything is settled.
        held_up: Why nothing gets through just now, or ``""``.
    """

    def __init__(
        self,
        client: AsyncAmplitude,
        *,
        api: Any,  # noqa: ANN401 - the outbox checks it
        identifies: bool = False,
        rate: float,
        patience: float,
        rejects: Rejects,
        on_reject: Callable[[Line, str], None] | None = None,
        options: dict[str, object] | None = None,
        place: Place | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.place: Place = place or Place()
        self.held_up: str = ""
        self._identifies = identifies
        self._pace = Pace(rate)
        self._patience = patience
        self._rejects = rejects
        self._on_reject = on_reject
        self._waiting: deque[_Sent] = deque()
        self._error: AmplitudeError | None = None
        self._failing_since: float | None = None
        self._outbox: Outbox = client.outbox(
            api=api,
            options=options,
            max_events=MOST_WAITING,
            max_bytes=MOST_BYTES,
            linger=0.02,
            on_setback=self._note,
            on_delivery=self._progressed,
        )

    async def __aenter__(self) -> Self:
        await self._outbox.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        try:
            await self._outbox.aclose(timeout=CLOSE_SECONDS if self._error is None else 0.0)
        finally:
            self.settle()
            self._rejects.close()

    def _note(self, setback: Setback) -> None:
        self.held_up = str(setback.error)
        if setback.kind == "paused":
            # No later request would fare better: the key, the address or the certificate is wrong.
            self._error = setback.error
        elif setback.kind == "retry":
            now = asyncio.get_running_loop().time()
            self._failing_since = self._failing_since or now
            if now - self._failing_since + setback.wait > self._patience:
                self._error = setback.error

    def _progressed(self, _receipts: Sequence[Receipt]) -> None:
        self._failing_since, self.held_up = None, ""

    async def feed(self, line: Line) -> None:
        """Take a line; waits for room, and for the pace of its user or device.

        Raises:
            AmplitudeError: Nothing gets through any more.
            OSError: The file of rejected lines cannot be written.
        """
        self._check()
        try:
            event = event_of(line)
        except ValueError as fault:
            self._waiting.append(_Sent(line, None, str(fault)))
            self.settle()
            return
        event.setdefault("insert_id", insert_id_of(line))
        identity = str(event.get("device_id") or event.get("deviceId") or event.get("user_id") or event.get("userId") or "")
        pause = self._pace.wait(identity, asyncio.get_running_loop().time())
        if pause:
            await self._sleep(pause)
        receipt: Receipt | None = None
        reason = ""
        try:
            receipt = await self._put(event)
        except InvalidEventError as error:
            reason = str(error)
        self._waiting.append(_Sent(line, receipt, reason))
        if line.number % TURN_EVERY == 0:
            await asyncio.sleep(0)
            self.settle()
        if len(self._waiting) >= MOST_UNSETTLED:
            await self._until(lambda: len(self._waiting) < MOST_UNSETTLED)

    async def _put(self, event: dict[str, Any]) -> Receipt:
        put = self._outbox.identify_nowait if self._identifies else self._outbox.put_nowait
        while True:
            try:
                return put(event)
            except OutboxFull:
                await self._sleep(FULL_SECONDS)
                self.settle()

    async def finish(self) -> None:
        """Wait until all lines are settled.

        Raises:
            AmplitudeError: Nothing gets through any more.
        """
        await self._until(lambda: not self._waiting)

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while True:
            self.settle()
            if is_so():
                return
            self._check()
            await self._outbox.flush(timeout=LOOK_EVERY)

    async def _sleep(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            self._check()
            await asyncio.sleep(min(left, LOOK_EVERY))

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def settle(self) -> None:
        """Write down what became of the lines, as far as that is known of all before them.

        Raises:
            OSError: The file of rejected lines cannot be written.
        """
        waiting = self._waiting
        while waiting:
            line, receipt, reason = waiting[0]
            status = "rejected"
            if receipt is not None:
                outcome = receipt.outcome
                if outcome is None:
                    return
                if outcome.status == "dropped":
                    # The outbox was closed; it comes again in the next run.
                    return
                status, reason = outcome.status, outcome.reason
            waiting.popleft()
            self.counts[status] += 1
            if status != "delivered":
                self._rejects.add(line, reason)
                if self._on_reject is not None:
                    self._on_reject(line, reason)
            self.place = Place(line.number, line.end, self._rejects.length)

    def flush_rejects(self) -> None:
        """Hand what was rejected to the system, before a place is remembered that counts on it."""
        self._rejects.flush()
