"""Awaited uploads that share requests.

Calls that wait at the same moment go out together, by the rule of :mod:`amplitude_async._protocol.queueing`. What a caller sees
does not depend on who else waits: each has its own verdict, deadline and retries, and an event of a neighbour that Amplitude refuses
costs a round trip, never an error and never a retry.

A call lays its parcel into the queue and, unless somebody just did, starts a flight: an owned task whose first step comes in the
next turn of the loop, after everybody who is about to call. It then takes whatever may go. So callers woken by one answer share
their next request, and a lone caller waits for nobody. While any flight is out, the next one starts some milliseconds after the
last, so that what comes in one by one does not go out one by one.

A parcel whose attempt failed stays where it is, paused, while its caller waits for the next one: later events of the same identity
must not overtake it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import anyio
import anyio.lowlevel
import msgspec

from amplitude_async._io.tasks import Alarm, on_trio, signals
from amplitude_async._protocol.queueing import Queue
from amplitude_async._protocol.uploads import HTTP_V2, Learned, Sifter, upload_call
from amplitude_async._protocol.verdict import Failure, Verdict, copied
from amplitude_async.errors import AmplitudeError, ClosedError
from amplitude_async.options import Timeout, limits_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from amplitude_async._io.caller import Caller
    from amplitude_async._io.connection import Connection
    from amplitude_async._io.tasks import OwnedTask, Signal
    from amplitude_async._io.transport.door import Transport
    from amplitude_async._protocol.queueing import Batch
    from amplitude_async._protocol.uploads import Event, Sifted
    from amplitude_async.errors import Outcome
    from amplitude_async.options import Limits

__all__ = ["Shared", "Sharing"]

MOST_IN_FLIGHT: Final = 8
SPACING: Final = 0.005
"""Seconds between the starts of two flights while any is out."""

_NO_EVENTS: Final = upload_call((), (), None)


class Partition(NamedTuple):
    """Only calls that agree on these share a request."""

    options: bytes | None
    limits: Limits


class Shared(NamedTuple):
    """What became of one call's events.

    Attributes:
        answer: What Amplitude said of the last request that delivered any, with their own count; ``None`` if none was delivered.
        delivered: Their positions, in order.
        failed: The error of each of the others, by position.
    """

    answer: dict[str, Any] | None
    delivered: Sequence[int]
    failed: dict[int, AmplitudeError]


class Parcel:
    """The events of one call that travel as one block, and what is known of them."""

    __slots__ = (
        "answer",
        "caller",
        "carried",
        "cause",
        "count",
        "deadline",
        "events",
        "failed",
        "identity",
        "is_gone",
        "is_in_flight",
        "is_paused",
        "is_withdrawn",
        "partition",
        "pending",
        "positions",
        "signal",
        "size",
        "verdicts",
    )

    def __init__(
        self,
        caller: Caller,
        events: Sequence[Event],
        positions: Sequence[int],
        partition: Partition,
        deadline: float,
        signal: Signal,
        cause: object,
    ) -> None:
        self.caller = caller
        self.cause = cause
        """What stands for the call at the connection's observer."""
        self.events = events
        self.partition = partition
        self.deadline = deadline
        self.signal = signal
        # Thousands of calls a second meet no failure: what only failures need is not made before.
        self.verdicts: tuple[Verdict, ...] = ()
        self.failed: dict[int, AmplitudeError] | None = None
        self.answer: dict[str, Any] | None = None
        self.carried = 0
        """How many events the request had that brought the answer."""
        self.is_paused = self.is_withdrawn = self.is_in_flight = self.is_gone = False
        self.positions = positions
        self.pending = set(positions)
        """Positions, in the caller's list, that are not decided."""
        self.identity: str | tuple[str, ...]
        self.count: int
        self.size: int
        self.describe()

    def describe(self) -> None:
        """Take stock of what is to be sent, while it is not in the queue."""
        self.count = len(self.pending)
        if self.count == 1:
            (only,) = self.pending
            event = self.events[only]
            self.size, self.identity = len(event.body) + 1, event.identity
            return
        self.size = sum(len(self.events[index].body) + 1 for index in self.pending)
        named = {str(self.events[index].identity) for index in self.pending}
        self.identity = tuple(sorted(named)) if len(named) > 1 else named.pop()

    def posted(self) -> list[Posted]:
        """Return what is to be sent, in the order of the call."""
        events = self.events
        if self.count == 1:
            (only,) = self.pending
            return [Posted(self, only, events[only].body)]
        return [Posted(self, index, events[index].body) for index in sorted(self.pending)]

    def decide(self, position: int, error: AmplitudeError | None) -> None:
        """Note what became of one event, and wake the caller when that was the last."""
        if position not in self.pending:
            return
        self.pending.discard(position)
        if error is not None:
            if self.failed is None:
                self.failed = {}
            self.failed[position] = error
        if not self.pending:
            self.wake()

    def wake(self) -> None:
        """Wake the caller, if it is still there."""
        if not self.signal.done():
            self.signal.set_result(None)

    def outcome(self, verdict: Verdict) -> Outcome:
        """Return what became of the data if this verdict is the last."""
        if verdict.outcome == "unknown" or any(one.outcome == "unknown" for one in self.verdicts):
            return "unknown"
        return verdict.outcome

    def error(self, verdict: Verdict, positions: Iterable[int], attempts: int) -> AmplitudeError:
        """Return a verdict's error as an error about these events of this call."""
        source = verdict.error or AmplitudeError("the upload failed")
        error = copied(source, [self.events[index].insert_id for index in positions], self.outcome(verdict))
        error.request = self.caller.summary(_NO_EVENTS, attempts)
        return error


class Posted(msgspec.Struct, gc=False, eq=False):
    """One event of a parcel, on its way. A struct is made quicker than a tuple with names."""

    parcel: Parcel
    position: int
    body: bytes

    @property
    def insert_id(self) -> str:
        """Its id."""
        return self.parcel.events[self.position].insert_id

    @property
    def identity(self) -> str | tuple[str, ...]:
        """Its device, else its user."""
        return self.parcel.events[self.position].identity


class Sharing:
    """The queue of one connection's awaited uploads, shared by all its views. Made at the first call."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._queue: Queue[Parcel] = Queue()
        self._learned = Learned()
        self._waiting: set[Parcel] = set()
        """Parcels whose callers wait for a flight."""
        self._out = 0
        self._is_starting = False
        self._landing: anyio.Event | None = None
        self._last_start = float("-inf")
        self._alarm = Alarm(self._expire)
        self._idle: anyio.Event | None = None
        self._is_trio = on_trio()
        self._new_signal = signals()
        self._last_timeout: Timeout | None = None
        self._last_partition = Partition(None, limits_for("ingestion", Timeout()))
        connection.before_closing.append(self._close)

    async def upload(self, caller: Caller, events: Sequence[Event], parts: Sequence[Sequence[int]], options: bytes | None) -> Shared:
        """Send a call's events and wait for the verdict on each.

        Args:
            caller: Whose limits and retries count.
            events: The events, checked and encoded.
            parts: Their positions, dealt out to requests.
            options: Amplitude's upload options, encoded.
        """
        partition = self._partition(caller, options)
        deadline = caller.policy.backoff.clock() + partition.limits.call
        observer = self._connection.observer
        cause = None if observer is None else observer.cause()
        parcels: list[Parcel] = []
        for part in parts:
            parcel = Parcel(caller, events, part, partition, deadline, self._new_signal(), cause)
            parcels.append(parcel)
            self._queue.add(parcel)
            self._waiting.add(parcel)
        if self._alarm.due is None or deadline < self._alarm.due:
            self._watch(caller, deadline)
        if not self._is_starting:
            self._start()
        try:
            for index, parcel in enumerate(parcels):
                await parcel.signal
                if parcel.pending:
                    verdict = await self._until_decided(parcel)
                    if verdict is not None:
                        self._give_up(parcels[index + 1 :], verdict)
        finally:
            for parcel in parcels:
                parcel.is_gone = True
                if parcel.pending or self._idle is not None:
                    self._let_go(parcel)
                else:
                    self._waiting.discard(parcel)
        return _together(parcels, len(events))

    def _partition(self, caller: Caller, options: bytes | None) -> Partition:
        """Return which calls this one may share requests with; made anew only when a call differs from the last."""
        timeout = caller.policy.timeout
        if self._last_timeout is not timeout or self._last_partition.options != options:
            self._last_timeout, self._last_partition = timeout, Partition(options, limits_for("ingestion", timeout))
        return self._last_partition

    async def _until_decided(self, parcel: Parcel) -> Verdict | None:
        """Wait for the end of a parcel after a failed attempt; return what it failed by if that was not about an event."""
        caller = parcel.caller
        while parcel.pending:
            last = parcel.verdicts[-1]
            wait = caller.wait_before_next(parcel.verdicts, parcel.deadline)
            if wait is not None and not self._connection.is_closed:
                await caller.policy.backoff.sleep(wait)
            if wait is None or self._connection.is_closed:
                # They stay pending, and so are taken out of the queue when the caller goes.
                error = parcel.error(last, sorted(parcel.pending), len(parcel.verdicts))
                parcel.failed = {**(parcel.failed or {}), **dict.fromkeys(sorted(parcel.pending), error)}
                return last
            parcel.signal = self._new_signal()
            self._waiting.add(parcel)
            self._watch(caller, parcel.deadline)
            self._queue.resume(parcel)
            self._start()
            await parcel.signal
        return None

    def _give_up(self, parcels: Sequence[Parcel], verdict: Verdict) -> None:
        """Take back what waits behind a part that failed for the server's sake: it would fare no better."""
        for parcel in parcels:
            if parcel.pending and not parcel.is_in_flight:
                self._let_go(parcel)
                error = parcel.error(verdict._replace(outcome="not_sent"), sorted(parcel.pending), len(parcel.verdicts))
                for position in sorted(parcel.pending):
                    parcel.decide(position, error)

    def _let_go(self, parcel: Parcel) -> None:
        """Forget a parcel whose caller goes; what is in flight flies on."""
        self._waiting.discard(parcel)
        parcel.is_gone = True
        if parcel.pending and not parcel.is_in_flight and not parcel.is_withdrawn:
            self._queue.withdraw(parcel)
            self._start()
        self._note_idle()

    # Time

    def _watch(self, caller: Caller, deadline: float) -> None:
        if self._alarm.due is None or deadline < self._alarm.due:
            self._alarm.set(deadline - caller.policy.backoff.clock(), deadline)

    def _expire(self) -> None:
        """Let go everybody whose time is over."""
        next_due: tuple[float, float] | None = None
        for parcel in tuple(self._waiting):
            now = parcel.caller.policy.backoff.clock()
            if now >= parcel.deadline:
                failure = Failure("timeout", is_sent=parcel.is_in_flight, reason="the time for the whole call is over")
                self._end_attempt(parcel, parcel.caller.judged(_NO_EVENTS, failure))
            elif next_due is None or parcel.deadline < next_due[1]:
                next_due = (parcel.deadline - now, parcel.deadline)
        if next_due is not None:
            self._alarm.set(*next_due)

    # Flights

    def _start(self) -> None:
        """Start a flight, unless one is about to start, as many as may are out, or nothing waits."""
        if self._is_starting or self._out >= MOST_IN_FLIGHT or not self._queue.may_have_more():
            return
        self._is_starting = True
        flight = _Flight()
        self._connection.tasks.spawn(lambda owned: self._fly(flight, owned), lambda: self._land(flight))

    async def _fly(self, flight: _Flight, _: OwnedTask[None]) -> None:
        """Fly; and should that fail in a way that nobody thought of, let those who wait for it know."""
        try:
            await self._fly_out(flight)
        except Exception as error:  # noqa: BLE001 - nobody else would ever hear of it
            own = error if isinstance(error, AmplitudeError) else AmplitudeError(f"the upload failed ({type(error).__name__})")
            if flight.batch is None:
                for parcel in [parcel for parcel in self._waiting if not parcel.is_in_flight]:
                    self._end_attempt(parcel, Verdict(error=own, outcome="not_sent"))
            else:
                for parcel in flight.batch.blocks:
                    flight.failing.setdefault(parcel, Verdict(error=own, outcome="unknown"))
                # Others may have waited for this one to be over.
                self._land(flight)
                self._start()

    async def _fly_out(self, flight: _Flight) -> None:
        """Wait for the moment, take what may go, send it, say what became of it. Runs in an owned task."""
        if self._is_trio:
            # trio shuffles its tasks: in the turn after this one everybody who was woken together has called.
            await anyio.lowlevel.checkpoint()
        await self._keep_apart()
        first = next(iter(self._waiting), None)
        if first is None:
            return
        transport, slots = self._connection.enter(may_be_closing=True)
        limits = first.partition.limits
        patience = min(limits.pool, limits.attempt)
        if await slots.take(patience):
            flight.give_back = slots.give_back
        self._is_starting = False
        flight.is_out = True
        self._out += 1
        self._last_start = time.monotonic()
        while (batch := self._take()) is None and self._queue.is_unfinished:
            # A long walk goes on in the next turn of the loop.
            await anyio.lowlevel.checkpoint()
        flight.batch = batch
        if batch is None:
            return
        self._start()
        if flight.give_back is None:
            reason = f"no free connection within {patience:.3g} s; all {slots.total} are in use"
            self._fail_all(flight, Failure("timeout", is_sent=False, reason=reason))
        else:
            await self._send(flight, batch, transport)
        self._land(flight)
        self._start()

    async def _keep_apart(self) -> None:
        """Wait until the last start is some milliseconds ago, or nothing is out."""
        wait = self._last_start + SPACING - time.monotonic()
        if self._out and wait > 0:
            self._landing = anyio.Event()
            with anyio.move_on_after(wait):
                await self._landing.wait()

    def _take(self) -> Batch[Parcel] | None:
        now = time.monotonic()
        batch = self._queue.take(max_count=HTTP_V2.max_events, max_bytes=self._learned.limit(HTTP_V2.max_bytes, now))
        if batch is not None:
            for parcel in batch.blocks:
                parcel.is_in_flight = True
            self._connection.budget.note(is_retry=any(parcel.verdicts for parcel in batch.blocks))
        return batch

    async def _send(self, flight: _Flight, batch: Batch[Parcel], transport: Transport) -> None:
        """Send a batch, and again what is left of it, until each of its events is decided or has failed its attempt."""
        parcels = batch.blocks
        caller, partition = parcels[0].caller, parcels[0].partition
        clock = caller.policy.backoff.clock
        sifter = Sifter([posted for parcel in parcels for posted in parcel.posted()])
        while part := sifter.next():
            limit = min(partition.limits.attempt, max(parcel.deadline for parcel in parcels) - clock())
            call = upload_call([posted.body for posted in part], (), partition.options)
            if limit <= 0:
                failure = Failure("timeout", is_sent=False, reason="the time for the whole call is over")
                verdict = caller.judged(call, failure)
            else:
                resends, causes = (0, None) if self._connection.observer is None else _seen(part)
                verdict = await caller.exchange(transport, call, partition.limits, limit, resends=resends, causes=causes)
            sifted = sifter.take(verdict)
            self._apply(flight, sifted, verdict, len(part))
            if sifted.kind == "failed":
                # What is left would fare no better, and must not overtake what failed.
                left = verdict if sifted.is_paused else verdict._replace(outcome="not_sent")
                for posted in sifter.give_up():
                    flight.fail(posted.parcel, left)

    def _apply(self, flight: _Flight, sifted: Sifted[Posted], verdict: Verdict, carried: int) -> None:
        if sifted.kind == "delivered":
            self._connection.budget.succeeded()
            answer = verdict.value
            for posted in sifted.rest:
                parcel = posted.parcel
                parcel.answer, parcel.carried = answer, carried
                if parcel.count == 1 and parcel.pending:
                    # Most calls have a single event.
                    parcel.pending.clear()
                    parcel.wake()
                else:
                    parcel.decide(posted.position, None)
            return
        if sifted.halved:
            self._learned.refused(sifted.halved, time.monotonic())
        final = [posted for posted, _ in sifted.rejected]
        final += [*sifted.culprits, *sifted.too_large, *sifted.over_quota]
        if sifted.kind == "refused":
            final += sifted.rest
        else:
            for posted in (*sifted.throttled, *sifted.rest):
                flight.fail(posted.parcel, verdict)
        # One error for all of a call's events that one answer refused, as if the call had been alone.
        by_parcel: dict[Parcel, list[int]] = {}
        for posted in final:
            by_parcel.setdefault(posted.parcel, []).append(posted.position)
        for parcel, positions in by_parcel.items():
            error = parcel.error(verdict, positions, len(parcel.verdicts) + 1)
            for position in positions:
                parcel.decide(position, error)

    def _fail_all(self, flight: _Flight, failure: Failure) -> None:
        for parcel in () if flight.batch is None else flight.batch.blocks:
            flight.failing[parcel] = parcel.caller.judged(_NO_EVENTS, failure)

    def _land(self, flight: _Flight) -> None:
        """Give back what a flight held; once, however it ended."""
        if flight.is_over:
            return
        flight.is_over = True
        if not flight.is_out:
            self._is_starting = False
        else:
            self._out -= 1
        if flight.give_back is not None:
            flight.give_back()
        if flight.batch is not None:
            undecided: list[Parcel] = []
            for parcel in flight.batch.blocks:
                parcel.is_in_flight = False
                if not parcel.pending:
                    self._waiting.discard(parcel)
                elif not parcel.is_gone:
                    undecided.append(parcel)
                    parcel.describe()
                    self._end_attempt(parcel, flight.failing.get(parcel) or _LOOP_ENDED)
            self._queue.give_back(undecided)
            self._queue.free(flight.batch.identities)
        if self._landing is not None and not self._out:
            self._landing.set()
        self._note_idle()

    def _end_attempt(self, parcel: Parcel, verdict: Verdict) -> None:
        """Hand a failed attempt to its caller; the parcel waits, paused, at the head of its identities."""
        if parcel in self._waiting:
            parcel.verdicts = (*parcel.verdicts, verdict)
            self._waiting.discard(parcel)
            parcel.is_paused = True
            parcel.wake()

    # The end

    def _note_idle(self) -> None:
        if self._idle is not None and not self._waiting:
            self._idle.set()

    async def _close(self, seconds: float) -> None:
        """Let what was called before closing end, at most so long; refuse the rest."""
        if self._waiting:
            self._idle = anyio.Event()
            with anyio.move_on_after(seconds):
                await self._idle.wait()
        self._alarm.cancel()
        for parcel in tuple(self._waiting):
            if not parcel.is_in_flight:
                self._end_attempt(parcel, _CLOSED)


def _seen(part: Iterable[Posted]) -> tuple[int, list[object]]:
    """Return what an observer is told of a request: how often the most unlucky of its calls was tried, and its calls."""
    parcels = dict.fromkeys(posted.parcel for posted in part)
    return max(len(parcel.verdicts) for parcel in parcels), [parcel.cause for parcel in parcels]


def _together(parcels: Sequence[Parcel], count: int) -> Shared:
    answer: dict[str, Any] | None = None
    failed: dict[int, AmplitudeError] = {}
    for parcel in parcels:
        if parcel.failed:
            failed |= parcel.failed
        if parcel.answer is not None:
            # Everybody gets a dict of its own. A request counts all its events; the call's count is of its own.
            is_alone = parcel.carried == len(parcel.positions) - len(parcel.failed or ()) == count
            answer = dict(parcel.answer) if is_alone else {**parcel.answer, "events_ingested": count}
    if not failed:
        return Shared(answer, range(count), failed)
    if answer is not None and len(parcels) > 1:
        answer["events_ingested"] = count - len(failed)
    return Shared(answer, [position for position in range(count) if position not in failed], failed)


class _Flight:
    """One start: the slot, what it carries, and which parcels it could not bring home."""

    __slots__ = ("batch", "failing", "give_back", "is_out", "is_over")

    def __init__(self) -> None:
        self.batch: Batch[Parcel] | None = None
        self.failing: dict[Parcel, Verdict] = {}
        self.give_back: Callable[[], None] | None = None
        self.is_out = self.is_over = False

    def fail(self, parcel: Parcel, verdict: Verdict) -> None:
        """Note what a parcel, or a part of it, could not be brought home by."""
        known = self.failing.get(parcel)
        if known is not None and known.outcome == "unknown":
            # Of the other part it stays unknown, and of a parcel there is one verdict an attempt.
            verdict = verdict._replace(outcome="unknown")
        self.failing[parcel] = verdict


_LOOP_ENDED: Final = Verdict(error=ClosedError("the event loop ended before the request did"), outcome="unknown")
_CLOSED: Final = Verdict(error=ClosedError("the client was closed before the events were sent"), outcome="not_sent")
