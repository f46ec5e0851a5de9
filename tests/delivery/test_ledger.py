"""The books balance: by cases, and over histories of put, flush, fault, heal, cancel, kill, reopen and close (E11)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from amplitude_async._protocol.queueing import Queue
from amplitude_async.delivery.ledger import (
    CLOSED,
    DEDUPE_MS,
    DEDUPE_WINDOW,
    ENTRY_BYTES,
    MEMORY_AGE_MS,
    OVERFLOW,
    TOO_OLD,
    Capacity,
    Entry,
    Ledger,
    Settlement,
)

ROOMY = Capacity(1 << 30, 1 << 30, "block")


def entry(number: int = 0, size: int = 100, identity: str = "u") -> Entry:
    return Entry(b"x" * size, identity, f"id-{number}", 0, size + 1)


def balances(ledger: Ledger) -> bool:
    return ledger.accepted == sum(ledger.counts.values()) + ledger.pending


def test_room_is_counted_in_bytes_and_in_events() -> None:
    """600 bytes an event count beside its JSON, and a single event larger than the whole room may come in alone."""
    ledger = Ledger(Capacity(3 * (101 + ENTRY_BYTES), 100, "block"))
    for number in range(3):
        assert ledger.has_room(101)
        ledger.accept(entry(number))
    assert not ledger.has_room(101)
    few = Ledger(Capacity(1 << 30, 2, "block"))
    few.accept(entry())
    few.reserve(entry())
    assert not few.has_room(1)
    assert Ledger(Capacity(10, 5, "block")).has_room(10**6)


def test_the_oldest_waiting_event_is_dropped_if_that_is_the_policy() -> None:
    """What is in flight is not dropped; what came back from a failed request may be, first."""
    ledger = Ledger(Capacity(1 << 30, 3, "drop_oldest"))
    entries = [entry(number) for number in range(3)]
    for one in entries:
        ledger.accept(one)
    ledger.take(entries[:1])
    assert ledger.make_room(101) == [entries[1]]
    assert entries[1].settlement == Settlement("dropped", OVERFLOW)
    ledger.accept(entry(3))
    ledger.give_back(entries[:1])
    assert ledger.make_room(101) == [entries[0]]
    assert ledger.reasons["dropped", OVERFLOW] == 2
    assert balances(ledger)


def test_what_could_not_be_stored_is_not_dropped_later() -> None:
    """It was never accepted, so the next overflow drops what came after it."""
    ledger = Ledger(Capacity(1 << 30, 2, "drop_oldest"), is_durable=True)
    unstored, first, second = (entry(number) for number in range(3))
    ledger.reserve(unstored)
    ledger.line_up(unstored)
    ledger.release(unstored)
    unstored.is_withdrawn = True
    for one in (first, second):
        ledger.accept(one)
        ledger.line_up(one)
    assert ledger.make_room(101) == [first]
    assert unstored.settlement is None
    assert (ledger.accepted, ledger.pending) == (2, 1)
    assert balances(ledger)


@pytest.mark.parametrize(
    ("is_durable", "age", "unknown", "reason"),
    [
        (False, MEMORY_AGE_MS - 1, None, ""),
        (False, MEMORY_AGE_MS, None, TOO_OLD),
        (True, 400 * MEMORY_AGE_MS, None, ""),
        (True, DEDUPE_MS, DEDUPE_MS - 2 * 3600_000, ""),
        (True, DEDUPE_MS, DEDUPE_MS, DEDUPE_WINDOW),
        (False, MEMORY_AGE_MS, DEDUPE_MS, DEDUPE_WINDOW),
    ],
)
def test_what_is_too_old(is_durable: bool, age: int, unknown: int | None, reason: str) -> None:
    """In memory a day; on disk any age, unless it was sent without an answer 7 days ago: at 6 d 22 h it still goes (D10)."""
    one = entry()
    now = 10 * DEDUPE_MS
    one.accepted_ms = now - age
    one.first_unknown_ms = None if unknown is None else now - unknown
    assert Ledger(ROOMY, is_durable=is_durable).has_expired(one, now) == reason


def test_what_is_too_old_is_found_among_others() -> None:
    """Of a whole batch those are named that may not be sent any more, each with its own reason (D10)."""
    now = 10 * DEDUPE_MS
    young, old, tried, long_tried = (entry(number) for number in range(4))
    young.accepted_ms = tried.accepted_ms = long_tried.accepted_ms = now - 1
    old.accepted_ms = now - MEMORY_AGE_MS
    tried.first_unknown_ms, long_tried.first_unknown_ms = now - 1, now - DEDUPE_MS
    batch = [young, old, tried, long_tried]
    assert Ledger(ROOMY).expired(batch, now) == {old: TOO_OLD, long_tried: DEDUPE_WINDOW}
    assert Ledger(ROOMY, is_durable=True).expired(batch, now) == {long_tried: DEDUPE_WINDOW}


def test_the_first_unknown_attempt_counts() -> None:
    """The window of seven days begins with the first attempt whose outcome is unknown, and stays there (ground rule 5)."""
    ledger = Ledger(ROOMY)
    a, b = entry(1), entry(2)
    assert ledger.note_unknown([a], 5) == [a]
    assert ledger.note_unknown([a, b], 9) == [b]
    assert (a.first_unknown_ms, b.first_unknown_ms) == (5, 9)


def test_a_mark_is_reached_when_everything_before_it_is_settled() -> None:
    """What comes after a flush began does not hold it up, and does not count for it."""
    ledger = Ledger(ROOMY)
    reached: list[int] = []
    assert ledger.mark(lambda: reached.append(0)) is None
    early, stored, late = entry(1), entry(2), entry(3)
    ledger.accept(early)
    ledger.reserve(stored)
    assert ledger.mark(lambda: reached.append(1)) is not None
    ledger.accept(late)
    ledger.settle((late,))
    ledger.settle((early,))
    assert reached == []
    ledger.release(stored)
    assert reached == [1]
    gone = ledger.mark(lambda: reached.append(2))
    assert gone is None


def test_set_aside_events_are_kept_up_to_a_limit() -> None:
    """A memory outbox keeps what it set aside, forgets the oldest when there are too many, and counts all of them."""
    ledger = Ledger(Capacity(4 * 4 * (101 + ENTRY_BYTES), 1000, "block"))
    for number in range(10):
        one = entry(number)
        ledger.accept(one)
        ledger.set_aside(one, "refused", number)
    assert (ledger.counts["set_aside"], len(ledger.aside), ledger.forgotten) == (10, 4, 6)
    taken = ledger.take_aside([ledger.aside[1][0].serial])
    assert [one.insert_id for one in taken] == ["id-7"]
    ledger.revive(entry(7))
    assert (ledger.counts["set_aside"], ledger.pending) == (9, 1)
    assert balances(ledger)


class AnyHistory(RuleBasedStateMachine):
    """Over any history of an outbox, accepted = delivered + rejected + set aside + dropped + pending, always (E11).

    A model of the whole: the ledger, the queue, a disk that may fail, and a server that takes events once an insert id.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_durable = False
        self.disk: dict[str, Entry] = {}
        self.number = 0
        self.start(Capacity(6 * 701, 8, "block"), is_durable=False)
        self.sink: list[str] = []

    def start(self, capacity: Capacity, *, is_durable: bool) -> None:
        self.is_durable = is_durable
        self.ledger = Ledger(capacity, is_durable=is_durable)
        self.queue: Queue[Entry] = Queue()
        self.out: list[Any] = []
        self.storing: list[Entry] = []
        self.marks: list[list[bool]] = []
        self.is_open = True
        if is_durable and self.disk:
            self.ledger.recover(len(self.disk), sum(one.size - 1 for one in self.disk.values()))
            for name, old in list(self.disk.items()):
                again = Entry(old.body, old.identity, name, 0, old.size)
                self.disk[name] = again
                self.ledger.line_up(again)
                self.queue.add(again)

    @precondition(lambda self: self.is_open)
    @rule(identity=st.sampled_from("abc"), size=st.integers(1, 400))
    def put_nowait(self, identity: str, size: int) -> None:
        self.number += 1
        one = entry(self.number, size, identity)
        if not self.ledger.has_room(one.size):
            overflow = self.ledger.capacity.overflow
            if overflow == "drop_newest":
                self.ledger.accept(one)
                self.ledger.settle((one,), Settlement("dropped", OVERFLOW))
                return
            if overflow == "drop_oldest":
                for old in self.ledger.make_room(one.size):
                    self.queue.withdraw(old)
                    self.disk.pop(old.insert_id, None)
            if not self.ledger.has_room(one.size):
                self.ledger.refuse()
                return
        if self.is_durable:
            one.is_paused = True
            self.ledger.reserve(one)
            self.ledger.line_up(one)
            self.storing.append(one)
        else:
            self.ledger.accept(one)
        self.queue.add(one)

    @precondition(lambda self: self.storing)
    @rule(works=st.booleans())
    def the_disk_answers(self, works: bool) -> None:
        one = self.storing.pop(0)
        if works:
            self.ledger.accept_reserved(1)
            self.disk[one.insert_id] = one
            self.queue.resume(one)
        else:
            self.ledger.release(one)
            one.is_paused = False
            self.queue.withdraw(one)

    @precondition(lambda self: self.is_open)
    @rule(count=st.integers(1, 4))
    def send(self, count: int) -> None:
        batch = self.queue.take(max_count=count, max_bytes=10_000)
        if batch is not None:
            self.ledger.take(batch.blocks)
            self.out.append(batch)

    @precondition(lambda self: self.out)
    @rule(ends=st.sampled_from(["delivered", "rejected", "set aside", "fault", "lost answer", "half"]), data=st.data())
    def answer(self, ends: str, data: Any) -> None:
        batch = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        entries = list(batch.blocks)
        if ends == "half":
            entries, back = entries[: len(entries) // 2], entries[len(entries) // 2 :]
        else:
            entries, back = (entries, []) if ends not in {"fault", "lost answer"} else ([], entries)
        if ends == "lost answer":
            self.sink += [one.insert_id for one in back]
            self.ledger.note_unknown(back, 5)
        if ends in {"delivered", "half"}:
            self.sink += [one.insert_id for one in entries]
            self.ledger.settle(entries)
        for one in entries:
            if ends == "rejected":
                self.ledger.settle((one,), Settlement("rejected", "invalid field: time"))
            if ends == "set aside":
                self.ledger.set_aside(one, "refused", 1)
            self.disk.pop(one.insert_id, None)
        self.ledger.give_back(back)
        self.queue.give_back(back)
        self.queue.free(batch.identities)

    @precondition(lambda self: self.is_open)
    @rule()
    def flush(self) -> None:
        flag: list[bool] = []
        if self.ledger.mark(lambda: flag.append(True)) is not None:
            self.marks.append(flag)
        else:
            assert self.ledger.pending == 0

    @precondition(lambda self: not self.is_durable and self.is_open)
    @rule()
    def retry_what_was_set_aside(self) -> None:
        for old in self.ledger.take_aside(None):
            again = Entry(old.body, old.identity, old.insert_id, 0, old.size)
            self.ledger.revive(again)
            self.queue.add(again)

    @precondition(lambda self: self.is_open)
    @rule()
    def close(self) -> None:
        waiting = [one for one in self.queue.waiting() if not one.is_paused]
        airborne = [one for batch in self.out for one in batch.blocks]
        if not self.is_durable:
            self.ledger.settle([*waiting, *airborne], Settlement("dropped", CLOSED))
            assert self.ledger.pending == 0
        self.is_open = False
        self.out.clear()
        self.storing.clear()

    @rule(is_durable=st.booleans(), overflow=st.sampled_from(["block", "reject", "drop_newest", "drop_oldest"]))
    def kill_and_reopen(self, is_durable: bool, overflow: Any) -> None:
        before = set(self.disk)
        self.start(Capacity(6 * 701, 8, overflow), is_durable=is_durable)
        if is_durable:
            assert self.ledger.accepted == self.ledger.pending == len(before)

    @invariant()
    def the_books_balance(self) -> None:
        assert balances(self.ledger)
        assert min(self.ledger.pending, self.ledger.reserved, self.ledger.bytes) >= 0

    @invariant()
    def nothing_is_out_of_sight(self) -> None:
        if self.is_open:
            airborne = sum(len(batch.blocks) for batch in self.out)
            assert self.ledger.pending + self.ledger.reserved == self.queue.events + airborne
            if self.is_durable:
                assert self.ledger.pending == len(self.disk)

    @invariant()
    def flushes_end_when_nothing_is_pending(self) -> None:
        if self.is_open and not self.ledger.pending and not self.ledger.reserved:
            assert all(self.marks)
            self.marks.clear()


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=150, stateful_step_count=80, deadline=None)
