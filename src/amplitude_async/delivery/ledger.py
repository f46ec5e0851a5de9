"""The outbox's books: what was accepted, what became of each event, what still waits, and what happens when there is no room.

A state machine without await, clock or chance. Every event goes one way, each step once:

    offered ──▶ accepted ──▶ in flight ──▶ settled: delivered · rejected · set aside · dropped
       └──▶ refused      ▲        │
                         └────────┘  given back: nobody knows yet, or not now

At every instant ``accepted = delivered + rejected + set aside + dropped + pending``, whatever fails, and each settled event has a
reason that is counted. Set-aside events may be taken up again, and then are pending once more.
"""

from __future__ import annotations

from collections import Counter, deque
from copy import copy
from typing import TYPE_CHECKING, ClassVar, Final, Literal, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from amplitude_async.errors import AmplitudeError

__all__ = [
    "BEFORE_SEND",
    "CLOSED",
    "DAMAGED",
    "DEDUPE_WINDOW",
    "OVERFLOW",
    "TOO_OLD",
    "Capacity",
    "Entry",
    "Ledger",
    "Overflow",
    "Settlement",
    "Status",
]

Status = Literal["delivered", "rejected", "set_aside", "dropped"]
Overflow = Literal["block", "reject", "drop_newest", "drop_oldest"]

ENTRY_BYTES: Final = 600
"""What an event takes beside its JSON, in the books and in the queue."""
ASIDE_SHARE: Final = 4
"""The part of a memory outbox's room, as a divisor, that set-aside events may take beside it."""

OVERFLOW: Final = "overflow"
BEFORE_SEND: Final = "before_send"
CLOSED: Final = "closed"
TOO_OLD: Final = "too_old"
DEDUPE_WINDOW: Final = "dedupe_window_passed"
DAMAGED: Final = "damaged on disk"
"""Set aside, if there is anything left of the event; else dropped."""

MEMORY_AGE_MS: Final = 24 * 3600 * 1000
"""A memory outbox sets an event aside that could not be delivered for a day."""
DEDUPE_MS: Final = 7 * 24 * 3600 * 1000
"""Amplitude removes repeats within 7 days (https://amplitude.com/docs/apis/analytics/http-v2): nothing is sent again after that."""


class Settlement(NamedTuple):
    """What became of an event, for good.

    Attributes:
        status: ``delivered``; ``rejected``: Amplitude named it as bad; ``set_aside``: kept, but sent again only if you say so;
            ``dropped``: given up by a policy that you chose, because a memory outbox was closed, or because the disk lost it.
        reason: Why, ``""`` for delivered ones.
    """

    status: Status
    reason: str = ""


_DELIVERED: Final = Settlement("delivered")


class Capacity(NamedTuple):
    """How much may be pending, and what happens beyond that.

    Attributes:
        max_bytes: The JSON of all pending events and 600 bytes for each.
        max_events: How many events.
        overflow: What happens to an event for which there is no room.
    """

    max_bytes: int
    max_events: int
    overflow: Overflow


class Waiter(Protocol):
    """A future of whoever waits."""

    def done(self) -> bool:
        """Say whether it was given its result, or given up."""

    def set_result(self, result: None, /) -> None:
        """Let go who waits."""


if TYPE_CHECKING:

    class _Struct:
        """What a type checker needs to know of a struct of msgspec's, whose metaclass has no types."""

        def __init_subclass__(cls, *, eq: bool, gc: bool, weakref: bool = False) -> None: ...

else:
    _Struct = msgspec.Struct


class Entry(_Struct, gc=False, eq=False):
    """One event: the bytes that are sent, and what the books know of it.

    A struct that the garbage collector does not look at: with 100,000 of them waiting, each of its full rounds would hold up the event
    loop for 20 ms and more. The cycles that go through an entry (who waits for it) are undone when the waiting ends.
    """

    # All blocks of an outbox are single events of one kind.
    count: ClassVar[int] = 1
    partition: ClassVar[None] = None

    body: bytes
    identity: str
    insert_id: str
    accepted_ms: int
    size: int
    first_unknown_ms: int | None = None
    settlement: Settlement | None = None
    serial: int = 0
    disk: OnDisk | None = None
    waiters: list[Waiter] | None = None
    cause: object = None
    is_in_flight: bool = False
    is_paused: bool = False
    is_withdrawn: bool = False

    if TYPE_CHECKING:

        def __init__(self, body: bytes, identity: str, insert_id: str, accepted_ms: int, size: int) -> None: ...

    def __repr__(self) -> str:
        # Without what users put into it.
        return f"<{type(self).__name__} {self.insert_id} {'pending' if self.settlement is None else self.settlement.status}>"

    def _until_settled(self) -> list[Waiter]:
        """Return the list to wait in until :meth:`wake`."""
        if self.waiters is None:
            self.waiters = []
        return self.waiters

    def wake(self) -> None:
        """Let go who waits for an event that is settled."""
        disk = self.disk
        if disk is not None:
            disk.settlement = self.settlement
            if disk.settled is not None:
                wake_all(disk.settled)
        if self.waiters is not None:
            waiters, self.waiters = self.waiters, None
            wake_all(waiters)


class OnDisk(_Struct, gc=False, eq=False):
    """Where an event stands on its way to the disk, and after it.

    As little for the garbage collection as an entry, and for the same reason; so it holds no error that was ever raised.

    Attributes:
        row_id: Its row, 0 before it is stored.
        is_queued: It is in the queue with its bytes; otherwise it is read back when its turn comes.
        error: Why it could not be stored; :meth:`check` raises it.
        stored: Who waits for the disk.
        settlement: What became of the event.
        settled: Who waits for that.
        is_ended: The outbox was closed: the event is kept, and not this process's any more.
    """

    row_id: int = 0
    is_queued: bool = True
    error: AmplitudeError | None = None
    settlement: Settlement | None = None
    is_ended: bool = False
    stored: list[Waiter] | None = None
    settled: list[Waiter] | None = None

    if TYPE_CHECKING:

        def __init__(self, row_id: int = 0, is_queued: bool = True) -> None: ...  # noqa: FBT001, FBT002 - a struct's own

    def check(self) -> None:
        """Raise why the event could not be stored, if it could not: a copy, since an error holds the frames of who has caught it.

        Raises:
            AmplitudeError: The disk refused it.
        """
        if self.error is not None:
            raise copy(self.error)

    def until_stored(self) -> list[Waiter]:
        """Return the list to wait in for the disk."""
        if self.stored is None:
            self.stored = []
        return self.stored

    def until_settled(self) -> list[Waiter]:
        """Return the list to wait in for what becomes of the event."""
        if self.settled is None:
            self.settled = []
        return self.settled

    def end(self) -> None:
        """Let go who waits for an event that is kept."""
        self.is_ended = True
        if self.settled is not None:
            wake_all(self.settled)


class OnDiskAlone(OnDisk, gc=True, eq=False, weakref=True):
    """The same for an event whose bytes are on the disk alone: all that is left of it here, as long as somebody holds its receipt."""


def wake_all(waiters: list[Waiter]) -> None:
    """Let go everybody in a list who still waits."""
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
    waiters.clear()


class Mark:
    """Waits until everything that was accepted before it is settled."""

    __slots__ = ("reached", "remaining", "serial")

    def __init__(self, serial: int, remaining: int, reached: Callable[[], None]) -> None:
        self.serial: int = serial
        self.remaining: int = remaining
        self.reached: Callable[[], None] = reached


class Ledger:
    """The books.

    Args:
        capacity: How much may be pending.
        is_durable: Whether events survive the process; then they have no age limit, and what is set aside is kept elsewhere.

    Attributes:
        accepted: Events taken on, those found at opening included.
        recovered: Those found at opening.
        refused: Events for which there was no room: not accepted.
        reserved: Events that are being stored, not accepted yet.
        counts: How many were delivered, rejected, set aside and dropped.
        reasons: How many of each status and reason.
        pending: Accepted and not settled.
        bytes: What the pending and the reserved ones take.
    """

    def __init__(self, capacity: Capacity, *, is_durable: bool = False) -> None:
        self.capacity: Capacity = capacity
        self._max_bytes, self._max_events = capacity.max_bytes, capacity.max_events
        self._drops_oldest = capacity.overflow == "drop_oldest"
        self.is_durable: bool = is_durable
        self.accepted: int = 0
        self.recovered: int = 0
        self.refused: int = 0
        self.reserved: int = 0
        self.pending: int = 0
        self.bytes: int = 0
        self.counts: dict[Status, int] = {"delivered": 0, "rejected": 0, "set_aside": 0, "dropped": 0}
        self.reasons: Counter[tuple[Status, str]] = Counter()
        self.aside: deque[tuple[Entry, int]] = deque()
        """Set-aside events of a memory outbox, and when that was."""
        self.forgotten: int = 0
        """Set-aside events of a memory outbox that had to go because there were too many."""
        self._aside_bytes = 0
        self._serial = 0
        self._marks: list[Mark] = []
        self._order: deque[Entry] = deque()
        """Waiting events in memory, by age; kept only where the oldest may be dropped. Those on the disk alone are younger."""

    # Coming in

    def has_room(self, size: int) -> bool:
        """Say whether an event of this size fits in."""
        capacity = self.capacity
        # A single event that is larger than the whole room would wait for ever: it may come in alone.
        fits = self.bytes + size + ENTRY_BYTES <= capacity.max_bytes or not self.bytes
        return fits and self.pending + self.reserved < capacity.max_events

    def make_room(self, size: int) -> list[Entry]:
        """Drop the oldest waiting events until this one fits in, if that is the policy; return them."""
        dropped: list[Entry] = []
        order = self._order
        while order and not self.has_room(size):
            if order[0].is_paused:
                # It is not accepted yet, and everything behind it is younger.
                break
            oldest = order.popleft()
            # What could not be stored was withdrawn, and never accepted.
            if oldest.settlement is None and not oldest.is_in_flight and not oldest.is_withdrawn:
                self.settle((oldest,), Settlement("dropped", OVERFLOW))
                dropped.append(oldest)
        return dropped

    def refuse(self) -> None:
        """Count an event for which there was no room."""
        self.refused += 1

    def admit(self, entry: Entry) -> bool:
        """Take an event on if it fits in; say whether it did. The same as :meth:`has_room` and :meth:`accept`, in one step."""
        size = self.bytes + entry.size + ENTRY_BYTES
        pending = self.pending
        if (size > self._max_bytes and self.bytes) or pending + self.reserved >= self._max_events:
            return False
        self._serial = entry.serial = self._serial + 1
        self.accepted += 1
        self.pending = pending + 1
        self.bytes = size
        if self._drops_oldest:
            self._order.append(entry)
        return True

    def accept(self, entry: Entry) -> None:
        """Take an event on."""
        self._serial = entry.serial = self._serial + 1
        self.accepted += 1
        self.pending += 1
        self.bytes += entry.size + ENTRY_BYTES
        if self.capacity.overflow == "drop_oldest" and not self.is_durable:
            self._order.append(entry)

    def line_up(self, entry: Entry) -> None:
        """Note that an event of a durable outbox waits in the queue; what is on the disk alone waits behind it."""
        self._order.append(entry)

    def reserve(self, entry: Entry) -> None:
        """Keep room for an event that is being stored, and is accepted once it is."""
        self._serial = entry.serial = self._serial + 1
        self.reserved += 1
        self.bytes += entry.size + ENTRY_BYTES

    def accept_reserved(self, events: int) -> None:
        """Take on events for which room was kept, and that are stored now."""
        self.reserved -= events
        self.accepted += events
        self.pending += events

    def release(self, entry: Entry) -> None:
        """Give up the room of an event that could not be stored: it was never accepted."""
        self.reserved -= 1
        self.bytes -= entry.size + ENTRY_BYTES
        for mark in self._marks:
            if entry.serial <= mark.serial:
                mark.remaining -= 1
        self._check_marks()

    def recover(self, events: int, size: int, *, are_new: bool = True) -> None:
        """Take on events that the store holds; a flush that is under way waits for them too.

        Args:
            events: How many.
            size: Their JSON, in bytes.
            are_new: False if they were set aside before, and so may have been counted as accepted.
        """
        self.pending += events
        self.bytes += size + events * (ENTRY_BYTES + 1)
        for mark in self._marks:
            mark.remaining += events
        # What was set aside by an earlier process is new to these books.
        known = 0 if are_new else min(events, self.counts["set_aside"])
        self.counts["set_aside"] -= known
        self.accepted += events - known
        self.recovered += events - known

    # On the way

    def has_expired(self, entry: Entry, now_ms: int) -> str:
        """Return why an event may not be sent any more, ``""`` if it may."""
        unknown = entry.first_unknown_ms
        if unknown is not None and now_ms - unknown >= DEDUPE_MS:
            return DEDUPE_WINDOW
        if not self.is_durable and now_ms - entry.accepted_ms >= MEMORY_AGE_MS:
            return TOO_OLD
        return ""

    def expired(self, entries: Iterable[Entry], now_ms: int) -> dict[Entry, str]:
        """Return which of these events may not be sent any more, and why; usually none."""
        youngest = now_ms - MEMORY_AGE_MS
        suspects = [entry for entry in entries if entry.first_unknown_ms is not None or entry.accepted_ms <= youngest]
        return {entry: reason for entry in suspects if (reason := self.has_expired(entry, now_ms))}

    def take(self, entries: Iterable[Entry]) -> None:
        """Note that events are in flight."""
        for entry in entries:
            entry.is_in_flight = True

    def give_back(self, entries: Sequence[Entry]) -> None:
        """Note that events wait again."""
        for entry in entries:
            entry.is_in_flight = False
        if self.capacity.overflow == "drop_oldest":
            known = set(map(id, self._order))
            self._order.extendleft(entry for entry in reversed(entries) if id(entry) not in known)

    def note_unknown(self, entries: Iterable[Entry], now_ms: int) -> list[Entry]:
        """Remember when events were first sent without a trustworthy answer; return those for which that is new."""
        new: list[Entry] = []
        for entry in entries:
            if entry.first_unknown_ms is None:
                entry.first_unknown_ms = now_ms
                new.append(entry)
        return new

    # Going out

    def settle(self, entries: Sequence[Entry], settlement: Settlement = _DELIVERED) -> None:
        """Close the books on events; each must be pending."""
        count = len(entries)
        size = 0
        marks = self._marks
        for entry in entries:
            entry.settlement = settlement
            entry.is_in_flight = False
            size += entry.size
            for mark in marks:
                if entry.serial <= mark.serial:
                    mark.remaining -= 1
        self.pending -= count
        self.bytes -= size + count * ENTRY_BYTES
        if not self.pending and not self.reserved:
            # Of events that the store lost nobody knows how large they were.
            self.bytes = 0
        self.counts[settlement.status] += count
        if settlement.status != "delivered":
            self.reasons[settlement.status, settlement.reason] += count
        order = self._order
        while order and (order[0].settlement is not None or order[0].is_withdrawn):
            order.popleft()
        if marks:
            self._check_marks()

    def set_aside(self, entry: Entry, reason: str, now_ms: int) -> None:
        """Settle an event as set aside; a memory outbox keeps it here, up to a limit."""
        self.settle((entry,), Settlement("set_aside", reason))
        if self.is_durable:
            return
        self.aside.append((entry, now_ms))
        self._aside_bytes += entry.size + ENTRY_BYTES
        while self._aside_bytes > self.capacity.max_bytes // ASIDE_SHARE and len(self.aside) > 1:
            oldest, _ = self.aside.popleft()
            self._aside_bytes -= oldest.size + ENTRY_BYTES
            oldest.body = b""
            self.forgotten += 1

    def lose(self, events: int) -> None:
        """Settle events that the disk changed while they waited there; the store has set them aside itself."""
        self.pending -= events
        self.bytes -= events * (ENTRY_BYTES + 1)
        self.counts["set_aside"] += events
        self.reasons["set_aside", DAMAGED] += events
        for mark in self._marks:
            mark.remaining -= events
        self._check_marks()

    def lose_all_but(self, held: Sequence[Entry]) -> int:
        """Settle as dropped what is pending and not among these, which the disk lost; return how many.

        Args:
            held: Every event that is pending or reserved, as far as anybody has it.
        """
        lost = self.pending + self.reserved - len(held)
        if lost <= 0:
            return 0
        self.pending -= lost
        self.bytes = sum(entry.size for entry in held) + len(held) * ENTRY_BYTES
        self.counts["dropped"] += lost
        self.reasons["dropped", DAMAGED] += lost
        for mark in self._marks:
            mark.remaining = sum(entry.serial <= mark.serial for entry in held)
        self._check_marks()
        return lost

    def take_aside(self, ids: Iterable[int] | None) -> list[Entry]:
        """Take events out of what a memory outbox set aside: all, or those with these serials."""
        wanted = None if ids is None else set(ids)
        taken = [entry for entry, _ in self.aside if wanted is None or entry.serial in wanted]
        chosen = set(map(id, taken))
        self.aside = deque(pair for pair in self.aside if id(pair[0]) not in chosen)
        self._aside_bytes -= sum(entry.size + ENTRY_BYTES for entry in taken)
        return taken

    def revive(self, entry: Entry) -> None:
        """Take a set-aside event up again."""
        self.counts["set_aside"] -= 1
        self.accepted -= 1
        self.accept(entry)

    # Waiting for the end

    def mark(self, reached: Callable[[], None]) -> Mark | None:
        """Return what calls ``reached`` once everything accepted so far is settled; ``None`` if it is already."""
        if not self.pending and not self.reserved:
            return None
        mark = Mark(self._serial, self.pending + self.reserved, reached)
        self._marks.append(mark)
        return mark

    def unmark(self, mark: Mark) -> None:
        """Forget a mark."""
        if mark in self._marks:
            self._marks.remove(mark)

    def _check_marks(self) -> None:
        for mark in [mark for mark in self._marks if mark.remaining <= 0]:
            self._marks.remove(mark)
            mark.reached()
