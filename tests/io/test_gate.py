"""The gate: calls wait for Amplitude's quotas in order, and never for longer than they may."""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING, Self

import anyio
import pytest

from amplitude_async import BudgetError, ClosedError, Period, Quota, Window
from amplitude_async._io.gate import Gate
from amplitude_async._protocol.budget import Use

if TYPE_CHECKING:
    from collections.abc import Mapping

    from amplitude_async._protocol.budget import QuotaName

pytestmark = pytest.mark.anyio

REST = (Use("rest"),)


class World:
    """A clock that goes on when somebody sleeps."""

    def __init__(self, quotas: Mapping[QuotaName, Quota] | None = None) -> None:
        self.now = 1000.0
        self.gate = Gate(quotas, steady=lambda: self.now, epoch=lambda: self.now, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        self.now += seconds


async def test_never_more_than_five_and_in_order() -> None:
    """Of 200 calls at once five are under way at any time, and they go in the order in which they came."""
    world = World()
    order: list[int] = []
    most = 0

    async def call(number: int) -> None:
        nonlocal most
        await world.gate.enter(REST, may_wait=True)
        order.append(number)
        most = max(most, world.gate.budget.running("rest"))
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        world.gate.leave(REST)

    async with anyio.create_task_group() as group:
        for number in range(200):
            group.start_soon(call, number)
            await anyio.lowlevel.checkpoint()
    assert most == 5
    assert sorted(order) == list(range(200))
    assert order[5:] == sorted(order[5:])
    assert world.gate.budget.running("rest") == 0


async def test_it_waits_exactly_for_the_window(caplog: pytest.LogCaptureFixture) -> None:
    """A query that does not fit into five minutes goes when enough of them has passed, and a long wait is said."""
    world = World()
    await world.gate.enter((Use("queries", 900),), may_wait=True)
    world.gate.leave((Use("queries", 900),))
    await world.gate.enter((Use("queries", 200),), may_wait=True)
    assert world.now == pytest.approx(1300.0)
    assert [record.getMessage() for record in caplog.records] == ["a call waits 300 s for Amplitude's limit (queries)"]


@pytest.mark.parametrize(("may_wait", "until"), [(False, inf), (True, 1100.0)])
async def test_it_refuses_what_would_take_too_long(may_wait: bool, until: float) -> None:  # noqa: FBT001 - a case
    """Who does not want to wait, or has less time than it takes, is told at once how long it would be."""
    world = World()
    await world.gate.enter((Use("queries", 900),), may_wait=True)
    with pytest.raises(BudgetError) as caught:
        await world.gate.enter((Use("queries", 200),), may_wait=may_wait, until=until)
    assert (caught.value.cost, caught.value.wait) == (200, 300)
    assert world.now == 1000.0


async def test_a_day_that_is_used_up_is_not_waited_for() -> None:
    """What only tomorrow, or next month, has room for is refused at once."""
    world = World({"management": Quota(windows=(Period(1, "day"),))})
    uses = (Use("management"),)
    await world.gate.enter(uses, may_wait=True)
    with pytest.raises(BudgetError, match="too late"):
        await world.gate.enter(uses, may_wait=True)


async def test_a_long_wait_holds_up_no_other_kind() -> None:
    """While a query waits for the budget of an hour, calls that cost none of it pass."""
    world = World()
    dear = (Use("rest"), Use("queries", 900))
    await world.gate.enter(dear, may_wait=True)
    world.gate.leave(dear)
    slept = anyio.Event()

    async def sleep(_: float) -> None:
        slept.set()
        await anyio.sleep_forever()

    world.gate._sleep = sleep
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: world.gate.enter(dear, may_wait=True))
        await slept.wait()
        await world.gate.enter(REST, may_wait=False)
        group.cancel_scope.cancel()


async def test_who_is_cancelled_leaves_no_trace() -> None:
    """A cancelled wait books nothing, and the next in line goes."""
    world = World({"rest": Quota(in_flight=1)})
    await world.gate.enter(REST, may_wait=True)
    passed: list[str] = []

    async def call(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            await world.gate.enter(REST, may_wait=True)
            passed.append(name)
            world.gate.leave(REST)

    first, second = anyio.CancelScope(), anyio.CancelScope()
    async with anyio.create_task_group() as group:
        group.start_soon(call, "first", first)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(call, "second", second)
        await anyio.wait_all_tasks_blocked()
        first.cancel()
        await anyio.wait_all_tasks_blocked()
        assert passed == []
        world.gate.leave(REST)
    assert passed == ["second"]
    assert world.gate.budget.running("rest") == 0


async def test_who_waits_for_a_place_is_refused_at_the_deadline() -> None:
    """A deadline ends the wait for a request in flight that does not end."""
    world = World({"deletions": Quota(in_flight=1, windows=(Window(100, 1.0),))})
    uses = (Use("deletions"),)
    await world.gate.enter(uses, may_wait=True)
    with anyio.fail_after(10), pytest.raises(BudgetError) as caught:
        await Gate.enter(_ticking(world), uses, may_wait=True, until=world.now + 0.05)
    assert caught.value.wait is None


async def test_a_deadline_does_not_end_a_wait_for_a_place_before_it() -> None:
    """Who waits for a request in flight to end, and has time, is let in when it ends, and not refused at once."""
    world = World({"rest": Quota(in_flight=1)})
    await world.gate.enter(REST, may_wait=True)
    passed: list[float] = []

    async def call() -> None:
        await _ticking(world).enter(REST, may_wait=True, until=world.now + 60.0)
        passed.append(world.now)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            assert passed == []
            world.gate.leave(REST)
    assert len(passed) == 1


async def test_a_place_goes_to_who_came_first_of_all_lines() -> None:
    """Calls of several kinds that share a quota take turns in the order in which they came, whichever kind came first of all."""
    world = World({"rest": Quota(in_flight=1)})
    kinds = {"a": REST, "b": (Use("rest"), Use("queries")), "c": (Use("rest"), Use("cohort_requests"))}
    await world.gate.enter(REST, may_wait=True)
    looked: list[str] = []
    async with anyio.create_task_group() as group:
        for name in ("b", "a", "c", "a"):
            group.start_soon(partial(world.gate.enter, kinds[name], may_wait=True))
            await anyio.wait_all_tasks_blocked()
        for name, uses in kinds.items():
            world.gate._lines[tuple(use.quota for use in uses)][0].turn = _Noted(name, looked)
        world.gate.leave(REST)
        in_order = [*looked]
        group.cancel_scope.cancel()
    assert in_order == ["b", "a", "c"]


class _Noted(anyio.Event):
    """Notes that somebody is told to look at the books."""

    def __new__(cls, name: str, looked: list[str]) -> Self:
        return object.__new__(cls)

    def __init__(self, name: str, looked: list[str]) -> None:
        self.name, self.looked = name, looked

    def set(self) -> None:
        self.looked.append(self.name)


async def test_closing_ends_every_wait() -> None:
    """Who waits for a place, or for an hour to pass, is told that the client was closed, and nothing stays booked."""
    world = World({"rest": Quota(in_flight=1)})
    dear = (Use("queries", 1000),)
    await world.gate.enter(REST, may_wait=True)
    await world.gate.enter(dear, may_wait=True)
    world.gate._sleep = lambda _: anyio.sleep_forever()
    ended: list[str] = []

    async def wait(name: str, uses: tuple[Use, ...]) -> None:
        with pytest.raises(ClosedError):
            await world.gate.enter(uses, may_wait=True)
        ended.append(name)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            for name, uses in (("first", REST), ("second", REST), ("hour", dear)):
                group.start_soon(wait, name, uses)
            await anyio.wait_all_tasks_blocked()
            world.gate.close()
    assert sorted(ended) == ["first", "hour", "second"]
    assert world.gate.budget.running("rest") == 1


def _ticking(world: World) -> Gate:
    # Its clock is real from here on: this wait is for an event, not for the clock.
    start = anyio.current_time()
    world.gate._steady = lambda: 1000.0 + anyio.current_time() - start
    return world.gate
