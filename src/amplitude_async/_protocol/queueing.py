"""The queue of uploads: what waits, and what goes next. Pure; both awaited calls and the outbox send by it.

The rule: a request takes everything that waits and whose identity (``device_id``, else ``user_id``) is not in flight, up to the
limits of a request. So events of one identity reach the server in the order of the calls, by construction, and nobody waits for
anybody else's identity. Lanes by a hash of the identity would be simpler and slower: a call whose lane is busy waits while others
idle.

What waits lies in one line. The walk along it moves what may not go now, because its identity is in flight, parked or paused, into a
line of that identity alone; everything later of the same identity lines up there too. When the identity comes free, its own line goes
first. Each block is so moved once at most, however long the line is.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Container, Hashable, Iterable, Sequence

__all__ = ["Batch", "Block", "Queue"]

MOST_MOVED: Final = 2000
"""Blocks moved aside in one walk: a millisecond or two; the next walk goes on from there."""


class Block(Protocol):
    """What travels as one: an event of the outbox, or the list of one call."""

    is_paused: bool
    is_withdrawn: bool

    @property
    def identity(self) -> str | tuple[str, ...]:
        """Whose events it carries."""

    @property
    def size(self) -> int:
        """What it takes of a request, in bytes."""

    @property
    def count(self) -> int:
        """How many events it has."""

    @property
    def partition(self) -> Hashable:
        """Only blocks of equal partitions share a request."""


B = TypeVar("B", bound=Block)


class Batch(NamedTuple, Generic[B]):
    """What one request carries. Its identities are in flight until :meth:`Queue.free` or :meth:`Queue.give_back`."""

    blocks: Sequence[B]
    identities: set[str]
    events: int
    size: int


class Queue(Generic[B]):
    """Waiting blocks, and the identities that may not go.

    Attributes:
        events: How many events wait.
        is_unfinished: The last walk ended at its own limit: there may be more that can go.
    """

    def __init__(self) -> None:
        self.events: int = 0
        self.is_unfinished: bool = False
        self._line: deque[B] = deque()
        self._own: dict[str, deque[B]] = {}
        """The line of each identity of which something was moved aside."""
        self._free: dict[str, None] = {}
        """Identities with a line of their own whose head may go, as far as is known; in order of coming free."""
        self._in_flight: set[str] = set()
        self._parked: dict[str, float] = {}

    def add(self, block: B) -> None:
        """Let a block wait, behind everything of its identities."""
        self._line.append(block)
        self.events += block.count

    def may_have_more(self) -> bool:
        """Say, quickly, whether a walk could find something."""
        return bool(self._line or self._free)

    def take(self, *, max_count: int, max_bytes: int) -> Batch[B] | None:
        """Take what goes in the next request; ``None`` if nothing may go now."""
        loading = _Loading[B](max_count, max_bytes)
        if self._free:
            self._take_from_own_lines(loading)
        if not loading.is_full:
            self._take_from_the_line(loading)
        if not loading.blocks:
            return None
        self._in_flight |= loading.identities
        self.events -= loading.count
        return Batch(loading.blocks, loading.identities, loading.count, loading.size)

    def _take_from_own_lines(self, loading: _Loading[B]) -> None:
        due = list(self._free)
        for identity in due:
            own = self._own.get(identity)
            while own:
                block = own[0]
                if block.is_withdrawn:
                    own.popleft()
                    continue
                if not self._may_go(block):
                    self._free.pop(identity, None)
                    break
                verdict = loading.offer(block)
                if verdict is not True:
                    # Of another partition: it stays where it is, and is first in a later request.
                    break
                for each in _identities(block):
                    line = self._own[each]
                    line.popleft()
                    if each == identity:
                        continue
                    if line:
                        self._free[each] = None
                        due.append(each)
                    else:
                        self._forget(each)
            if not own:
                self._forget(identity)
            if loading.is_full:
                return

    def _take_from_the_line(self, loading: _Loading[B]) -> None:
        line, own, in_flight, parked = self._line, self._own, self._in_flight, self._parked
        moved = 0
        while line:
            loading.fill(line, in_flight, own, parked)
            if loading.is_full or not line:
                break
            block = line[0]
            if block.is_withdrawn:
                line.popleft()
                continue
            identities = _identities(block)
            may_go = not block.is_paused and all(one not in in_flight and one not in own and one not in parked for one in identities)
            if may_go:
                verdict = loading.offer(block)
                if verdict is None:
                    break
                if verdict:
                    line.popleft()
                    continue
            line.popleft()
            for one in identities:
                own.setdefault(one, deque()).append(block)
                if may_go:
                    self._free[one] = None
            moved += 1
            if moved >= MOST_MOVED:
                self.is_unfinished = True
                return
        self.is_unfinished = False

    def _may_go(self, block: B) -> bool:
        if block.is_paused:
            return False
        for identity in _identities(block):
            if identity in self._in_flight or identity in self._parked:
                return False
            line = self._own[identity]
            while line[0].is_withdrawn:
                line.popleft()
            if line[0] is not block:
                return False
        return True

    def _forget(self, identity: str) -> None:
        self._own.pop(identity, None)
        self._free.pop(identity, None)

    def _set_free(self, identities: Iterable[str]) -> None:
        own = self._own
        for identity in identities:
            if identity in own and identity not in self._parked:
                self._free[identity] = None

    def free(self, identities: set[str]) -> None:
        """Note that a request with these identities is over."""
        self._in_flight -= identities
        if self._own:
            self._set_free(identities)

    def give_back(self, blocks: Sequence[B]) -> None:
        """Put blocks back to where they were, ahead of everything of their identities; call it before :meth:`free`."""
        for block in reversed(blocks):
            self.events += block.count
            for identity in _identities(block):
                self._own.setdefault(identity, deque()).appendleft(block)

    def park(self, identity: str, until: float) -> None:
        """Let nothing of an identity go until then."""
        self._parked[identity] = max(until, self._parked.get(identity, until))
        self._free.pop(identity, None)

    def next_unpark(self) -> float | None:
        """Return when the next parked identity is due."""
        return min(self._parked.values(), default=None)

    def unpark(self, now: float) -> None:
        """Free the identities whose time has come."""
        due = [identity for identity, until in self._parked.items() if until <= now]
        for identity in due:
            del self._parked[identity]
        self._set_free(identity for identity in due if identity not in self._in_flight)

    def resume(self, block: B) -> None:
        """Let a paused block go again."""
        block.is_paused = False
        if self._own:
            self._set_free(_identities(block))

    def withdraw(self, block: B) -> None:
        """Take a waiting block out."""
        block.is_withdrawn = True
        self.events -= block.count
        while self._line and self._line[0].is_withdrawn:
            self._line.popleft()
        for identity in _identities(block):
            line = self._own.get(identity)
            if line is None:
                continue
            while line and line[0].is_withdrawn:
                line.popleft()
            if line:
                self._set_free((identity,))
            else:
                self._forget(identity)

    def heads(self) -> list[B]:
        """Return what is first in each line; what has waited longest is among it. Safe from any thread: it looks at copies."""
        lines = (tuple(line) for line in (*tuple(self._own.values()), self._line))
        return [head for line in lines if (head := next((block for block in line if not block.is_withdrawn), None)) is not None]

    def waiting(self) -> list[B]:
        """Return everything that waits: first what was moved aside, then the line."""
        seen: dict[int, B] = {}
        for line in (*self._own.values(), self._line):
            for block in line:
                if not block.is_withdrawn:
                    seen.setdefault(id(block), block)
        return list(seen.values())


class _Loading(Generic[B]):
    """A request while it is filled."""

    __slots__ = ("_partition", "_places", "_room", "blocks", "count", "identities", "is_full", "size")

    def __init__(self, places: int, room: int) -> None:
        self.blocks: list[B] = []
        self.identities: set[str] = set()
        self.count = 0
        self.size = 0
        self.is_full = False
        self._places = places
        self._room = room
        self._partition: Hashable = None

    def fill(self, line: deque[B], *closed: Container[str]) -> None:
        """Take from the head of a line what plainly may go: the first block that needs a second look ends it.

        Args:
            line: The line.
            closed: Identities of which nothing may go.
        """
        in_flight, own, parked = closed
        blocks, identities = self.blocks, self.identities
        count, size, places, room = self.count, self.size, self._places, self._room
        if line and not blocks:
            self._partition = line[0].partition
        partition = self._partition
        while line:
            block = line[0]
            identity = block.identity
            if type(identity) is not str or identity in in_flight or identity in own or identity in parked:
                break
            if block.is_paused or block.is_withdrawn or block.partition is not partition:
                break
            more, larger = count + block.count, size + block.size
            if blocks and (more > places or larger > room):
                self.is_full = True
                break
            count, size = more, larger
            blocks.append(block)
            identities.add(identity)
            line.popleft()
        self.count, self.size = count, size

    def offer(self, block: B) -> bool | None:
        """Take a block in; False if it belongs to another partition, None if there is no room.

        A block that is over the limits by itself goes alone: its sender knew, or the limit was learned after it came.
        """
        count, size, partition = self.count + block.count, self.size + block.size, block.partition
        if not self.blocks:
            self._partition = partition
        elif partition is not self._partition and partition != self._partition:
            return False
        elif count > self._places or size > self._room:
            self.is_full = True
            return None
        self.blocks.append(block)
        self.count = count
        self.size = size
        identity = block.identity
        if type(identity) is str:
            self.identities.add(identity)
        else:
            self.identities.update(identity)
        return True


def _identities(block: Block) -> tuple[str, ...]:
    identity = block.identity
    return (identity,) if isinstance(identity, str) else identity
