"""The courier: takes what may go from the queue, sends it, and says what became of it. asyncio only.

How hard it tries, in words:

- Until a first request succeeded, and after every failure, one request at a time asks whether the server is well; then up to eight.
- Waits grow to a minute with full jitter; a server's own hint is honoured up to ten minutes. The client's retry budget bounds the
  rest.
- What concerns the key, the address or the certificate pauses everything: one request a minute asks whether somebody mended it.
- A request that is refused as such (404 and its like) costs its events, which are set aside; after it, single events ask, once a
  minute.
- Users and devices that Amplitude calls too fast are parked; everybody else goes on.

Nothing is ever given up here for lack of success: the books (:mod:`amplitude_async.delivery.ledger`) say what is too old.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol, cast

import anyio

from amplitude_async._protocol.queueing import Queue
from amplitude_async._protocol.uploads import Learned, Sifter, upload_call
from amplitude_async._protocol.verdict import Failure, pause_after
from amplitude_async.delivery.hooks import Setback
from amplitude_async.errors import AmplitudeError
from amplitude_async.options import limits_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from amplitude_async._io.caller import Caller
    from amplitude_async._io.tasks import OwnedTask
    from amplitude_async._io.transport.door import Transport
    from amplitude_async._protocol.queueing import Batch
    from amplitude_async._protocol.uploads import Endpoint, Sifted
    from amplitude_async._protocol.verdict import Verdict
    from amplitude_async.delivery.hooks import Hook
    from amplitude_async.delivery.ledger import Entry, Ledger

__all__ = ["Books", "Courier"]

_LOG: Final = logging.getLogger("amplitude_async.outbox")

MOST_IN_FLIGHT: Final = 8
SPACING: Final = 0.005
"""Seconds between the starts of two requests while any is out."""
LONGEST_WAIT: Final = 60.0
PROBE_EVERY: Final = 60.0
PROBE_EVENTS: Final = 100
"""What asks whether a failing server is well need not carry a thousand events."""
LOG_EVERY: Final = 60.0


class Books(Protocol):
    """What the courier tells about events; the outbox keeps the ledger and the disk in step."""

    def delivered(self, entries: Sequence[Entry]) -> None:
        """Amplitude has them."""

    def rejected(self, pairs: Sequence[tuple[Entry, str]]) -> None:
        """Amplitude named them as bad."""

    def set_aside(self, entries: Sequence[Entry], reason: str) -> None:
        """They are kept, but not sent again."""

    def unknown(self, entries: Sequence[Entry]) -> None:
        """They were sent without a trustworthy answer."""

    def needs_more(self) -> None:
        """The queue runs dry."""

    def now_ms(self) -> int:
        """Return the time in milliseconds since the epoch."""


class Courier:
    """Sends what is in its queue.

    Args:
        caller: Sends requests, with the client's limits.
        ledger: The books.
        books: Is told what became of events.
        endpoint: Which API.
        options: Amplitude's upload options, encoded.
        compress: Whether bodies are packed with gzip.
        linger: Seconds that the first event of a request waits for others.
        setback: The user's hook.
    """

    def __init__(
        self,
        caller: object,
        ledger: Ledger,
        books: Books,
        *,
        endpoint: Endpoint,
        options: bytes | None,
        compress: bool,
        linger: float,
        setback: Hook,
    ) -> None:
        self.queue: Queue[Entry] = Queue()
        self.requests: int = 0
        self.retries: int = 0
        self.is_idle: bool = True
        """Nothing is to be sent as far as is known: who adds an event has to call :meth:`nudge`."""
        self.flushing: int = 0
        """How many wait for everything to be sent: then nothing lingers."""
        self.in_flight: int = 0
        """Events in flight."""
        self._caller = cast("Caller", caller)
        self._clock = self._caller.policy.backoff.clock
        self._ledger = ledger
        self._books = books
        self._endpoint = endpoint
        self._options = options
        self._compress = compress
        self._linger = linger
        self._setback = setback
        self._learned = Learned()
        self._limits = limits_for("ingestion", self._caller.policy.timeout)
        self._out = 0
        self._is_starting = False
        self._is_stopping = self._is_stopped = False
        self._is_well = False
        self._is_narrow = False
        self._failures = 0
        self._failed_at = float("-inf")
        self._not_before = float("-inf")
        self._last_start = float("-inf")
        self._lingers_until: float | None = None
        self._timer: asyncio.Task[None] | None = None
        self._due: float | None = None
        self._logged: dict[str, float] = {}
        self._landed: asyncio.Event | None = None
        self._flights: set[_Flight] = set()

    # When

    def nudge(self) -> None:
        """See whether something is to be done now, or when; after adding to the queue, and after anything that changes it."""
        if self._is_stopping or self._is_starting:
            return
        now = self._clock()
        self.queue.unpark(now)
        if not self.queue.may_have_more():
            self.is_idle = True
            self._lingers_until = None
            self._books.needs_more()
            if (unpark := self.queue.next_unpark()) is not None:
                self._sleep_until(unpark, now)
            return
        self.is_idle = False
        width = MOST_IN_FLIGHT if self._is_well else 1
        if self._out >= width:
            return
        due = self._not_before
        if self._out:
            due = max(due, self._last_start + SPACING)
        if self.queue.events < self._endpoint.max_events and not self.flushing:
            if self._lingers_until is None:
                self._lingers_until = now + self._linger
            due = max(due, self._lingers_until)
        if now < due:
            self._sleep_until(due, now)
            return
        self._is_starting = True
        self._lingers_until = None
        flight = _Flight()
        self._caller.tasks.spawn(lambda owned: self._fly(flight, owned), lambda: self._land(flight))

    def _sleep_until(self, due: float, now: float) -> None:
        """Look again at that time; an earlier time replaces a later one."""
        if self._timer is not None:
            if self._due is not None and self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = asyncio.get_running_loop().create_task(self._sleep(max(due - now, 0.0)))

    async def _sleep(self, seconds: float) -> None:
        await self._caller.policy.backoff.sleep(seconds)
        self._timer = self._due = None
        self.nudge()

    # Flights

    async def _fly(self, flight: _Flight, _: OwnedTask[None]) -> None:
        """Take what may go, send it, say what became of it. Runs in a task of the library."""
        try:
            await self._try(flight)
        except Exception as error:  # noqa: BLE001 - a missing extra, or a fault of ours: neither may end delivery for good
            self._is_well = False
            self._wait(PROBE_EVERY)
            known = error if isinstance(error, AmplitudeError) else AmplitudeError(f"sending failed ({type(error).__name__})")
            if known is not error:
                _LOG.exception("sending events met an error that it should not")
            self._tell("paused", known, PROBE_EVERY)
        self._land(flight)
        self.nudge()

    async def _try(self, flight: _Flight) -> None:
        transport, slots = self._caller.connection.enter(may_be_closing=True)
        patience = min(self._limits.pool, self._limits.attempt)
        if await slots.take(patience):
            flight.give_back = slots.give_back
        self._is_starting = False
        flight.is_out = True
        self._out += 1
        self._last_start = flight.began = self._clock()
        if self._is_stopping:
            return
        while (batch := self._take()) is None and self.queue.is_unfinished:  # noqa: ASYNC110 - it waits for its turn, not for an event
            # A long walk goes on in the next turn of the loop.
            await asyncio.sleep(0)
        if batch is None or self._is_stopping:
            return
        flight.batch = batch
        self._ledger.take(batch.blocks)
        self.in_flight += len(batch.blocks)
        self._flights.add(flight)
        # What may go beside this one; later, when this one asks whether the server is well.
        self.nudge()
        if flight.give_back is None:
            reason = f"no free connection within {patience:.3g} s; all {slots.total} are in use"
            verdict = self._caller.judged(upload_call((), (), None), Failure("timeout", is_sent=False, reason=reason))
            self._failed(flight, verdict)
        else:
            await self._send(flight, batch, transport)

    def _take(self) -> Batch[Entry] | None:
        """Take the next batch, without what is too old."""
        most = self._endpoint.max_events
        if not self._is_well and self._failures:
            most = PROBE_EVENTS
        if self._is_narrow:
            most = 1
        limit = self._learned.limit(self._endpoint.max_bytes, self._clock())
        while True:
            batch = self.queue.take(max_count=most, max_bytes=limit)
            if batch is None:
                return None
            expired = self._ledger.expired(batch.blocks, self._books.now_ms())
            if not expired:
                return batch
            for reason in sorted(set(expired.values())):
                self._books.set_aside([entry for entry, why in expired.items() if why == reason], reason)
            left = [entry for entry in batch.blocks if entry not in expired]
            self.queue.give_back(left)
            self.queue.free(batch.identities)

    async def _send(self, flight: _Flight, batch: Batch[Entry], transport: Transport) -> None:
        sifter = Sifter(batch.blocks)
        limits = self._limits
        budget = self._caller.connection.budget
        while part := sifter.next():
            is_retry = bool(self._failures) or self._is_narrow
            budget.note(is_retry=is_retry)
            self.requests += 1
            self.retries += is_retry
            call = upload_call([entry.body for entry in part], (), self._options, endpoint=self._endpoint, compress=self._compress)
            observer = self._caller.connection.observer
            causes = () if observer is None else [entry.cause for entry in part]
            verdict = await self._caller.exchange(
                transport, call, limits, limits.attempt, resends=self._failures, causes=causes, is_awaited=False
            )
            if self._is_stopped:
                # Whatever it was, the books are closed; Amplitude removes what comes again.
                return
            if verdict.error is not None and verdict.outcome == "unknown":
                self._books.unknown(part)
            sifted = sifter.take(verdict)
            self._apply(flight, sifted, verdict)
            if sifted.kind == "failed":
                # The other parts would fare no better; they go back to where they were.
                sifter.give_up()

    def _apply(self, flight: _Flight, sifted: Sifted[Entry], verdict: Verdict) -> None:
        words = "" if verdict.error is None else str(verdict.error)
        if sifted.kind == "delivered":
            self._books.delivered(sifted.rest)
            self._is_healthy(flight)
            return
        if sifted.halved:
            self._learned.refused(sifted.halved, self._clock())
        if sifted.rejected:
            self._books.rejected([(entry, f"{reason} ({words})") for entry, reason in sifted.rejected])
        if sifted.culprits:
            self._books.set_aside(sifted.culprits, f"refused ({words})")
        if sifted.too_large:
            self._books.set_aside(sifted.too_large, f"too large ({words})")
        if sifted.over_quota:
            self._books.set_aside(sifted.over_quota, f"daily quota ({words})")
        if sifted.throttled:
            wait = pause_after(sifted.wait, 0.0, least=self._endpoint.park_seconds)
            wait = max(wait, self._endpoint.park_seconds)
            for entry in sifted.throttled:
                self.queue.park(entry.identity, self._clock() + wait)
            self._tell("throttled", verdict.error, wait)
        if sifted.kind == "refused":
            self._books.set_aside(sifted.rest, f"refused ({words})")
            self._is_narrow = True
            self._wait(PROBE_EVERY)
            self._tell("paused", verdict.error, PROBE_EVERY)
        elif sifted.kind == "failed":
            self._failed(flight, verdict, is_paused=sifted.is_paused, hint=sifted.wait)

    def _is_healthy(self, flight: _Flight) -> None:
        self._caller.connection.budget.succeeded()
        if flight.began < self._failed_at:
            return
        if self._failures or self._is_narrow:
            _LOG.info("uploads to Amplitude get through again; pending events: %d", self._ledger.pending)
        self._failures = 0
        self._is_narrow = False
        self._is_well = True
        self._not_before = float("-inf")

    def _failed(self, flight: _Flight, verdict: Verdict, *, is_paused: bool = False, hint: float | None = None) -> None:
        """Wait, longer each time; all requests that were out together count as one failure."""
        now = self._clock()
        if flight.began >= self._failed_at or not self._failures:
            self._failures += 1
            self._failed_at = now
        self._is_well = False
        backoff = self._caller.policy.backoff
        if is_paused:
            wait = PROBE_EVERY
        else:
            limit = min(LONGEST_WAIT, backoff.base * 2.0 ** min(self._failures - 1, 32))
            wait = pause_after(hint, backoff.jitter(limit))
            if not self._caller.connection.budget.allows:
                wait = max(wait, PROBE_EVERY)
        self._wait(wait)
        self._tell("paused" if is_paused else "retry", verdict.error, wait)

    def _wait(self, seconds: float) -> None:
        self._not_before = max(self._not_before, self._clock() + seconds)

    def _tell(self, kind: str, error: AmplitudeError | None, wait: float) -> None:
        """Tell the hook, and the log once a minute."""
        if error is None:
            return
        pending = self._ledger.pending
        self._setback(Setback(kind, error, wait, pending))  # type: ignore[arg-type]  # one of its words
        now = self._clock()
        if now - self._logged.get(kind, float("-inf")) >= LOG_EVERY:
            self._logged[kind] = now
            _LOG.warning(
                "uploads to Amplitude are held up (%s): %s; pending events: %d, next try in %.3g s", kind, error, pending, wait
            )

    def _land(self, flight: _Flight) -> None:
        """Give back what a flight held; once, however it ended."""
        if flight.is_over:
            return
        flight.is_over = True
        if flight.is_out:
            self._out -= 1
        else:
            self._is_starting = False
        if flight.give_back is not None:
            flight.give_back()
        if flight.batch is not None:
            self.in_flight -= len(flight.batch.blocks)
            left = [entry for entry in flight.batch.blocks if entry.settlement is None]
            self._ledger.give_back(left)
            self.queue.give_back(left)
            self.queue.free(flight.batch.identities)
        self._flights.discard(flight)
        if self._landed is not None and not self._out:
            self._landed.set()

    # The end

    async def stop(self, seconds: float) -> None:
        """Start nothing more, and wait for what is in flight, at most so long."""
        self._is_stopping = True
        self._landed = asyncio.Event()
        if self._out and seconds > 0:
            with anyio.move_on_after(seconds):
                await self._landed.wait()
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()
            await asyncio.wait((self._timer,), timeout=1.0)
            self._timer = None

    def held(self) -> list[Entry]:
        """Return the events that are in the queue or in flight."""
        return [*self.queue.waiting(), *self.airborne()]

    def airborne(self) -> list[Entry]:
        """Return the events in flight: sent, and not answered."""
        flights = tuple(self._flights)
        return [entry for flight in flights if flight.batch for entry in flight.batch.blocks if entry.settlement is None]


class _Flight:
    """One start: the slot, and what it carries."""

    __slots__ = ("batch", "began", "give_back", "is_out", "is_over")

    def __init__(self) -> None:
        self.batch: Batch[Entry] | None = None
        self.began = 0.0
        self.give_back: Callable[[], None] | None = None
        self.is_out = self.is_over = False
