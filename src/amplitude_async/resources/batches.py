"""The Batch API: large lists of events, for backfills.

Amplitude's page: https://amplitude.com/docs/apis/analytics/batch-event-upload
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from amplitude_async._protocol.codec import decode
from amplitude_async._protocol.uploads import BATCH, upload_call
from amplitude_async._protocol.verdict import Verdict, copied, fate_of, pause_after, sift
from amplitude_async.errors import AmplitudeError, BadRequestError, PayloadTooLargeError, RateLimitedError
from amplitude_async.resources.ingestion import encoded_options, ids_of, nothing_sent, pack_kept, split, summed_up, with_dropped
from amplitude_async.resources.jobs import deadline_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from amplitude_async._protocol.call import Call
    from amplitude_async.events import Defaults
    from amplitude_async.resources.before_send import Sieve
    from amplitude_async.resources.ingestion import Packed, TrackResult
    from amplitude_async.resources.runner import Runner

__all__ = ["batch", "batch_call"]

MOST_WAITS: Final = 8
"""How often in a row a user or device is waited for that sends too fast: two minutes."""
_TOO_FAST: Final = frozenset({429})


def batch_call(items: Sequence[Packed], options: bytes | None) -> Call:
    """Describe the upload of a batch. A 429 names users and devices, and is dealt with here, not by sending all of it again."""
    call = upload_call([item.body for item in items], [item.insert_id for item in items], options, endpoint=BATCH)
    return call._replace(final=_TOO_FAST)


class _Delivery:
    """What became of each event of a list, and what is still to be sent."""

    def __init__(self, packed: Sequence[Packed]) -> None:
        self.packed = packed
        self.pending: deque[list[int]] = deque(split(packed, max_count=BATCH.max_events, max_bytes=BATCH.max_bytes))
        self.held: list[int] = []
        """Events of users and devices that send too fast."""
        self.parked: set[str] = set()
        """Whose they are: their later events must not overtake them."""
        self.error: RateLimitedError | None = None
        """What was last said of them."""
        self.wait: float | None = None
        self.answers: list[Any] = []
        self.delivered: list[int] = []
        self.failed: dict[int, AmplitudeError] = {}

    def next_part(self) -> list[int]:
        """Return the events of the next request; those of parked identities stay behind."""
        part = self.pending.popleft()
        if not self.parked:
            return part
        self.held += [index for index in part if self.packed[index].identity in self.parked]
        return [index for index in part if self.packed[index].identity not in self.parked]

    def take(self, part: list[int], error: AmplitudeError) -> bool:
        """Take in the refusal of a request; say whether the rest would fare any better."""
        if isinstance(error, RateLimitedError):
            return self._throttled(part, error)
        sifted = sift(error, len(part))
        if sifted.rest == "resend":
            self.failed |= {part[position]: error for position in sifted.refused}
            rest = [index for position, index in enumerate(part) if position not in sifted.refused]
            if rest:
                self.pending.appendleft(rest)
        elif sifted.rest == "halve":
            middle = len(part) // 2
            self.pending.extendleft((part[middle:], part[:middle]))
        else:
            self.failed |= dict.fromkeys(part, error)
            return isinstance(error, (BadRequestError, PayloadTooLargeError))
        return True

    def _throttled(self, part: list[int], error: RateLimitedError) -> bool:
        """Hold what is too fast, give up what is over its quota of the day, and send the rest at once."""
        fate = fate_of(Verdict(error=error, outcome="not_sent", may_retry=True, wait=error.retry_after), len(part))
        own = [_ids(self.packed[index]) for index in part]
        over = {index for position, index in enumerate(part) if not fate.quota_ids.isdisjoint(own[position])}
        slow = {
            index
            for position, index in enumerate(part)
            if position in fate.throttled or not fate.throttled_ids.isdisjoint(own[position])
        } - over
        self.failed |= dict.fromkeys(over, error)
        rest = [index for index in part if index not in over and index not in slow]
        if not over and not slow:
            # It names nobody of this request, so everything waits.
            self.held += [index for left in (part, *self.pending) for index in left]
            self.pending.clear()
        elif rest:
            self.pending.appendleft(rest)
        if slow or not over:
            self.held += slow
            self.parked |= {self.packed[index].identity for index in slow}
            self.error, self.wait = error, error.retry_after
        return True

    def give_up(self, error: AmplitudeError) -> None:
        """Note that nothing more is sent."""
        left = [index for part in (*self.pending, self.held) for index in part]
        self.failed |= {index: copied(error, ids_of([self.packed[index]]), "not_sent") for index in left}
        self.pending.clear()
        self.held = []

    def let_go(self) -> None:
        """Send what was held, in the order of the call."""
        held = sorted(self.held)
        parts = split([self.packed[index] for index in held], max_count=BATCH.max_events, max_bytes=BATCH.max_bytes)
        self.pending.extend([held[position] for position in part] for part in parts)
        self.held = []
        self.parked = set()


def _ids(item: Packed) -> set[str]:
    """Return the user and the device of an event."""
    members = decode(item.body)
    return {str(members[key]) for key in ("user_id", "device_id") if members.get(key) is not None}


async def batch(
    runner: Runner,
    events: object,
    *,
    options: object,
    defaults: Defaults,
    stamp: Callable[[], tuple[str, int]],
    timeout: float | None,  # noqa: ASYNC109 - a limit for several requests
    sieve: Sieve | None = None,
) -> TrackResult:
    """Upload a large list of events; see :meth:`amplitude_async.AsyncAmplitude.batch`."""
    deadline = None if timeout is None else deadline_in(runner, timeout)
    packed, kept = pack_kept(events, defaults=defaults, stamp=stamp, sieve=sieve)
    chosen = encoded_options(options)
    if not packed:
        return nothing_sent(kept)
    delivery = _Delivery(packed)
    waits = 0
    while delivery.pending or delivery.held:
        if not delivery.pending:
            wait = pause_after(delivery.wait, BATCH.park_seconds)
            is_late = deadline is not None and runner.clock() + wait >= deadline
            if waits == MOST_WAITS or is_late:
                delivery.give_up(delivery.error or AmplitudeError("too fast"))
                break
            waits += 1
            await runner.pause(wait)
            delivery.let_go()
        part = delivery.next_part()
        if not part:
            continue
        try:
            answer = await runner.run(batch_call([packed[index] for index in part], chosen), deadline=deadline)
        except AmplitudeError as fault:
            error = fault.with_traceback(None)
            if not delivery.take(part, error):
                # It is about the key, the server or the line, so the rest would fare no better.
                delivery.give_up(error)
        else:
            waits = 0
            delivery.answers.append(answer)
            delivery.delivered += part
    if delivery.failed:
        raise summed_up(sorted(delivery.delivered), dict(sorted(delivery.failed.items())), packed, kept)
    result: TrackResult = delivery.answers[-1]
    if len(delivery.answers) > 1:
        # Each request counted its own; the call's count is theirs together.
        result["events_ingested"] = len(packed)
    return with_dropped(result, kept)
