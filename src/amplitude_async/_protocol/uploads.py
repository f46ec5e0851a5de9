"""Uploads of events: what one request may carry, how it looks, and what becomes of its events one by one.

A request is refused as a whole even if a single event of it is at fault. So the rest goes again at once without what the answer names,
in halves if it was too much, and in smaller and smaller parts if the answer explains nothing; see :class:`Sifter`. None of that is a
retry: the server is well, and each of those requests brings the end nearer.

Amplitude's pages: https://amplitude.com/docs/apis/analytics/http-v2 and https://amplitude.com/docs/apis/analytics/batch-event-upload
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, Literal, NamedTuple, Protocol, TypeVar

from amplitude_async._protocol.bodies import Upload
from amplitude_async._protocol.call import Call, read_upload_answer
from amplitude_async._protocol.codec import MalformedError, decode
from amplitude_async._protocol.verdict import fate_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amplitude_async._protocol.verdict import Verdict

__all__ = ["BATCH", "HTTP_V2", "Endpoint", "Event", "Learned", "Sifted", "Sifter", "upload_call"]


class Endpoint(NamedTuple):
    """Where events go, and how many at once.

    Attributes:
        path: The path of the API.
        max_events: Events in one request.
        max_bytes: Bytes of a request's body.
        park_seconds: How long a user or device is left alone that sent too fast.
    """

    path: str
    max_events: int
    max_bytes: int
    park_seconds: float


HTTP_V2: Final = Endpoint("/2/httpapi", 1000, 900_000, 30.0)
"""Documented as fewer than 2,000 events (one page) or at most 2,000 (another), and under 1 MB, which may mean 10^6 or 2^20."""
BATCH: Final = Endpoint("/batch", 2000, 8_000_000, 15.0)
"""Documented as at most 2,000 events and 20 MB; 8 MB keeps one request from taking the line for long."""

MAX_EVENT_BYTES: Final = 999_000
"""One event alone; beyond this no request could carry it."""
LEARNED_SECONDS: Final = 600.0
"""How long a size is remembered that was too much for one request."""


class Event(Protocol):
    """What is sent of one event."""

    @property
    def body(self) -> bytes:
        """Its JSON."""

    @property
    def insert_id(self) -> str:
        """Its id."""

    @property
    def identity(self) -> str | tuple[str, ...]:
        """Its device, else its user."""


def upload_call(
    bodies: Sequence[bytes], insert_ids: Sequence[str], options: bytes | None, *, endpoint: Endpoint = HTTP_V2, compress: bool = False
) -> Call:
    """Describe the request that uploads these events."""
    return Call(
        api="ingestion",
        kind="ingestion",
        method="POST",
        path=endpoint.path,
        credential="in_body",
        reads=read_upload_answer,
        repeatable=True,
        body=Upload(bodies, options, compress),
        insert_ids=tuple(insert_ids),
        events=len(bodies),
    )


class Learned:
    """The size that was too much for one request, remembered for a while, so that not every request has to be halved again."""

    __slots__ = ("_bytes", "_until")

    def __init__(self) -> None:
        self._bytes = 0
        self._until = 0.0

    def refused(self, size: int, now: float) -> None:
        """Note that a request of this size, with more than one event, was too large."""
        self._bytes = max(1, size // 2)
        self._until = now + LEARNED_SECONDS

    def limit(self, most: int, now: float) -> int:
        """Return how large a request may be now."""
        return min(most, self._bytes) if now < self._until else most


E = TypeVar("E", bound=Event)


class Sifted(NamedTuple, Generic[E]):
    """What one answer decided about the events of its request. What is in none of the lists goes again at once.

    Attributes:
        kind: What the rest came to: ``delivered``, ``again`` (in a further request, at once), ``failed``: the answer is about no
            event in particular, whoever sent them decides whether to try again; ``refused``: this request as such is refused for good.
        rest: The events that ``kind`` is said of, unless it is ``again``.
        rejected: Events that the answer names, and why; final.
        culprits: Events refused alone without a reason that names them; final.
        too_large: Events that alone are more than a request may carry; final.
        throttled: Events whose user or device sends too fast.
        over_quota: Events of a user or device whose quota of the day is used up.
        is_paused: Nothing gets through until somebody changes the key, the address or the certificate.
        wait: Seconds that the answer asks to wait, or ``None``.
        halved: The size of the request, if it was too large.
    """

    kind: Literal["delivered", "again", "failed", "refused"]
    rest: Sequence[E] = ()
    rejected: Sequence[tuple[E, str]] = ()
    culprits: Sequence[E] = ()
    too_large: Sequence[E] = ()
    throttled: Sequence[E] = ()
    over_quota: Sequence[E] = ()
    is_paused: bool = False
    wait: float | None = None
    halved: int = 0


class Sifter(Generic[E]):
    """The requests that one batch comes to: usually one, more if it is refused for the sake of some of its events.

    Args:
        events: What to send, in order.
    """

    def __init__(self, events: Sequence[E]) -> None:
        self._parts: list[Sequence[E]] = [events]

    def next(self) -> Sequence[E]:
        """Return the events of the next request; none when everything is decided."""
        return self._parts[-1] if self._parts else ()

    def take(self, verdict: Verdict) -> Sifted[E]:
        """Take in the answer to the request that carried :meth:`next`."""
        part = self._parts.pop()
        if verdict.error is None:
            return Sifted("delivered", part)
        fate = fate_of(verdict, len(part))
        if fate.rest in {"halve", "bisect"}:
            return self._halve(part, is_size=fate.rest == "halve")
        if fate.rest == "resend":
            throttled, over_quota = _too_fast(part, fate.throttled, fate.throttled_ids, fate.quota_ids)
            gone = {*throttled, *over_quota, *fate.rejected}
            rest = [event for index, event in enumerate(part) if index not in gone]
            if not gone:
                # It names somebody who is not here: nothing to take out, so it is about the request.
                return Sifted("failed", part, wait=fate.wait)
            if rest:
                self._parts.append(rest)
            return Sifted(
                "again",
                rejected=[(part[index], reason) for index, reason in fate.rejected.items()],
                throttled=[part[index] for index in throttled],
                over_quota=[part[index] for index in over_quota],
                wait=fate.wait,
            )
        if fate.rest == "refused":
            return Sifted("refused", part)
        return Sifted("failed", part, is_paused=fate.rest == "pause", wait=fate.wait)

    def _halve(self, part: Sequence[E], *, is_size: bool) -> Sifted[E]:
        if len(part) == 1:
            return Sifted("again", too_large=part) if is_size else Sifted("again", culprits=part)
        if not is_size:
            middle = len(part) // 2
            self._parts += [part[middle:], part[:middle]]
            return Sifted("again")
        # What else is left of this batch would be too large as well, so it is dealt out anew too.
        total = sum(len(event.body) + 1 for event in part)
        self._parts = [piece for left in (*self._parts, part) for piece in reversed(_pieces(left, total // 2))]
        return Sifted("again", halved=total)

    def give_up(self) -> list[E]:
        """Return what was not tried yet, in order, and forget it."""
        rest = [event for part in reversed(self._parts) for event in part]
        self._parts.clear()
        return rest


def _pieces(part: Sequence[E], most: int) -> list[Sequence[E]]:
    """Cut a part into pieces of at most so many bytes, or of one event."""
    pieces: list[Sequence[E]] = []
    begin = size = 0
    for index, event in enumerate(part):
        own = len(event.body) + 1
        if index > begin and size + own > most:
            pieces.append(part[begin:index])
            begin, size = index, 0
        size += own
    pieces.append(part[begin:])
    return pieces


def _too_fast(part: Sequence[Event], named: frozenset[int], ids: frozenset[str], quota: frozenset[str]) -> tuple[list[int], list[int]]:
    """Return positions that are throttled and those over their quota of the day."""
    throttled: list[int] = []
    over_quota: list[int] = []
    for index, event in enumerate(part):
        if not quota and not ids:
            if index in named:
                throttled.append(index)
            continue
        own = _ids(event)
        if not own.isdisjoint(quota):
            over_quota.append(index)
        elif index in named or not own.isdisjoint(ids):
            throttled.append(index)
    return throttled, over_quota


def _ids(event: Event) -> set[str]:
    """Return the user and the device of an event: the queue knows only one of them."""
    try:
        members = decode(event.body)
    except MalformedError:
        return set()
    return {str(members[key]) for key in ("user_id", "device_id") if members.get(key) is not None}
