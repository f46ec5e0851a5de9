"""The queue of uploads: order per identity, limits, partitions, parking; by tables and by chance."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from amplitude_async._protocol import queueing
from amplitude_async._protocol.queueing import Batch, Queue


class Block:
    """A block of a few events."""

    def __init__(
        self, identity: str | tuple[str, ...], number: int = 0, size: int = 10, count: int = 1, partition: Any = None
    ) -> None:
        self.identity = identity
        self.number = number
        self.size = size
        self.count = count
        self.partition = partition
        self.is_paused = False
        self.is_withdrawn = False

    def __repr__(self) -> str:
        return f"<{self.number} {self.identity}>"

    @property
    def names(self) -> tuple[str, ...]:
        return (self.identity,) if isinstance(self.identity, str) else self.identity


def take(queue: Queue[Block], max_count: int = 1000, max_bytes: int = 900_000) -> Batch[Block]:
    batch = queue.take(max_count=max_count, max_bytes=max_bytes)
    assert batch is not None
    return batch


def numbers(batch: Batch[Block]) -> list[int]:
    return [block.number for block in batch.blocks]


def filled(*identities: str | tuple[str, ...]) -> Queue[Block]:
    queue: Queue[Block] = Queue()
    for number, identity in enumerate(identities):
        queue.add(Block(identity, number))
    return queue


def test_a_request_takes_everything_whose_identity_is_not_in_flight() -> None:
    """While a is in flight, b and c go and a waits, in order, for its return."""
    queue = filled("a", "b")
    first = take(queue, max_count=1)
    for number, identity in enumerate(("a", "c", "a"), 2):
        queue.add(Block(identity, number))
    second = take(queue)
    assert (numbers(first), numbers(second)) == ([0], [1, 3])
    assert queue.take(max_count=9, max_bytes=999) is None
    queue.free(first.identities)
    assert numbers(take(queue)) == [2, 4]
    assert queue.events == 0


def test_what_comes_back_goes_before_what_came_later() -> None:
    """Blocks given back are again the first of their identity."""
    queue = filled("a", "a", "b", "a")
    batch = take(queue, max_count=2)
    assert numbers(batch) == [0, 1]
    queue.give_back(batch.blocks)
    queue.free(batch.identities)
    assert numbers(take(queue)) == [0, 1, 2, 3]


def test_a_list_waits_for_all_its_identities_and_holds_them() -> None:
    """A block of a and b goes when both are free, and what is behind it of either waits for it."""
    queue = filled("a")
    first = take(queue)
    queue.add(Block(("a", "b"), 1))
    queue.add(Block("b", 2))
    queue.add(Block("c", 3))
    assert numbers(take(queue)) == [3]
    queue.free(first.identities)
    assert numbers(take(queue)) == [1, 2]


def test_partitions_never_share() -> None:
    """Blocks of other options go in another request, and identities hold across partitions."""
    queue: Queue[Block] = Queue()
    for number, (identity, partition) in enumerate((("a", 1), ("b", 2), ("c", 1), ("b", 1), ("d", 2))):
        queue.add(Block(identity, number, partition=partition))
    first, second = take(queue), take(queue)
    assert (numbers(first), numbers(second)) == ([0, 2], [1, 4])
    queue.free(second.identities)
    assert numbers(take(queue)) == [3]


def test_parked_identities_wait_and_keep_their_order() -> None:
    """Nothing of a parked identity goes before its time, and then in order (A10)."""
    queue = filled("a", "b", "a")
    queue.park("a", 30.0)
    assert numbers(take(queue)) == [1]
    queue.unpark(29.0)
    assert queue.take(max_count=9, max_bytes=999) is None
    assert queue.next_unpark() == 30.0
    queue.unpark(30.0)
    assert numbers(take(queue)) == [0, 2]
    assert queue.next_unpark() is None


def test_the_heads_of_all_lines() -> None:
    """What waits longest is among the first of each line; what was withdrawn is in none."""
    queue = filled("a", "b", "a", "c")
    batch = take(queue)
    queue.add(Block("b", 4))
    queue.add(Block("b", 5))
    assert queue.take(max_count=9, max_bytes=999) is None
    queue.give_back(batch.blocks)
    queue.free(batch.identities)
    queue.add(late := Block("d", 6))
    assert sorted(block.number for block in queue.heads()) == [0, 1, 3, 6]
    queue.withdraw(late)
    queue.withdraw(batch.blocks[0])
    assert sorted(block.number for block in queue.heads()) == [1, 2, 3]


def test_a_paused_block_holds_its_identity() -> None:
    """What is behind a paused block of the same identity waits until it is resumed or withdrawn."""
    for ends in ("resume", "withdraw"):
        queue: Queue[Block] = Queue()
        paused, later = Block("a", 0), Block("a", 1)
        paused.is_paused = True
        queue.add(paused)
        queue.add(later)
        queue.add(Block("b", 2))
        assert numbers(take(queue)) == [2]
        getattr(queue, ends)(paused)
        assert numbers(take(queue)) == ([0, 1] if ends == "resume" else [1])


def test_a_block_over_the_limits_goes_alone() -> None:
    """A block larger than a request may be is not held back for ever."""
    queue: Queue[Block] = Queue()
    for number, size in enumerate((10, 500, 10)):
        queue.add(Block(str(number), number, size=size))
    assert [numbers(take(queue, max_bytes=100)) for _ in range(3)] == [[0], [1], [2]]


def test_a_long_walk_is_cut_and_goes_on(monkeypatch: Any) -> None:
    """Moving thousands of blocks aside happens in steps, and none is skipped."""
    monkeypatch.setattr(queueing, "MOST_MOVED", 10)
    queue = filled("a")
    batch = take(queue)
    for number in range(1, 26):
        queue.add(Block("a", number))
    queue.add(Block("b", 99))
    steps = 0
    while (found := queue.take(max_count=99, max_bytes=9999)) is None:
        assert queue.is_unfinished
        steps += 1
    assert (numbers(found), steps) == ([99], 2)
    queue.free(batch.identities)
    assert numbers(take(queue)) == list(range(1, 26))


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens, no identity is in two requests, and each identity's blocks leave in the order they came (E7, E10)."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: Queue[Block] = Queue()
        self.number = 0
        self.out: list[Batch[Block]] = []
        self.waiting: list[Block] = []
        self.done: dict[str, int] = defaultdict(lambda: -1)
        self.now = 0.0
        self.parked: dict[str, float] = {}

    @rule(
        names=st.lists(st.sampled_from("abcde"), min_size=1, max_size=3, unique=True),
        size=st.integers(1, 40),
        partition=st.integers(0, 1),
        is_paused=st.booleans(),
    )
    def add(self, names: list[str], size: int, partition: int, is_paused: bool) -> None:
        identity = names[0] if len(names) == 1 else tuple(sorted(names))
        block = Block(identity, self.number, size, len(names), partition)
        block.is_paused = is_paused and self.number % 3 == 0
        self.number += 1
        self.waiting.append(block)
        self.queue.add(block)

    @rule(max_count=st.integers(1, 8), max_bytes=st.integers(1, 100))
    def take(self, max_count: int, max_bytes: int) -> None:
        batch = self.queue.take(max_count=max_count, max_bytes=max_bytes)
        if batch is None:
            assert not any(self.may_go(block) for block in self.waiting)
            return
        assert len(batch.blocks) == 1 or (batch.events <= max_count and batch.size <= max_bytes)
        assert len({block.partition for block in batch.blocks}) == 1
        for other in self.out:
            assert not other.identities & batch.identities
        for block in batch.blocks:
            assert not block.is_paused
            assert not any(self.parked.get(name, 0.0) > self.now for name in block.names)
            for name in block.names:
                assert all(one.number >= block.number for one in self.waiting if name in one.names)
            self.waiting.remove(block)
        self.out.append(batch)

    def may_go(self, block: Block) -> bool:
        busy = set().union(*(batch.identities for batch in self.out)) if self.out else set()
        ahead = {name for one in self.waiting if one.number < block.number for name in one.names}
        held = busy | ahead | {name for name, until in self.parked.items() if until > self.now}
        return not block.is_paused and held.isdisjoint(block.names)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), ends=st.sampled_from(["delivered", "back", "half"]))
    def land(self, data: Any, ends: str) -> None:
        batch = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        back = {"delivered": [], "back": list(batch.blocks), "half": list(batch.blocks)[len(batch.blocks) // 2 :]}[ends]
        for block in batch.blocks:
            if block not in back:
                for name in block.names:
                    assert self.done[name] < block.number
                    self.done[name] = block.number
        self.queue.give_back(back)
        self.waiting.extend(back)
        self.queue.free(batch.identities)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), ends=st.sampled_from(["resume", "withdraw"]))
    def touch(self, data: Any, ends: str) -> None:
        block = data.draw(st.sampled_from(self.waiting))
        if ends == "resume":
            self.queue.resume(block)
        else:
            self.queue.withdraw(block)
            self.waiting.remove(block)

    @rule(name=st.sampled_from("abc"), seconds=st.integers(1, 5))
    def park(self, name: str, seconds: int) -> None:
        self.queue.park(name, self.now + seconds)
        self.parked[name] = max(self.now + seconds, self.parked.get(name, 0.0))

    @rule()
    def time_passes(self) -> None:
        self.now += 2
        self.queue.unpark(self.now)
        self.parked = {name: until for name, until in self.parked.items() if until > self.now}

    @invariant()
    def counts(self) -> None:
        assert self.queue.events == sum(block.count for block in self.waiting)
        assert {id(block) for block in self.queue.waiting()} == {id(block) for block in self.waiting}


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
