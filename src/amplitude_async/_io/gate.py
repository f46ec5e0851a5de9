"""Lets calls through as Amplitude's quotas allow, first come, first served.

The books are :mod:`amplitude_async._protocol.budget`'s; this room waits. One gate belongs to a connection, so views share it. Calls
that use the same quotas stand in one line, and only its first looks at the books: a thousand waiting calls cost no more than one, and
a query that waits for an hour's budget holds up no call of another kind. Among the first of all lines, who came first looks first.
Closing the client ends every wait.
"""

from __future__ import annotations

import logging
from collections import deque
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Final

import anyio

from amplitude_async._protocol.budget import Budget, Moment
from amplitude_async.errors import BudgetError, ClosedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from amplitude_async._protocol.budget import Quota, QuotaName, Use

__all__ = ["Gate"]

_LOG: Final = logging.getLogger("amplitude_async.io")

LONGEST_WAIT: Final = 3600.0
"""Seconds: the longest of Amplitude's windows. What a day or month has used up is not waited for by itself."""
LONG_WAIT: Final = 10.0
"""Seconds: who waits longer will want to know for what."""
LEAST_SLEEP: Final = 0.001
"""Seconds: less than a clock may round away."""


class _Place:
    """A place in a line."""

    __slots__ = ("number", "scope", "turn")

    def __init__(self, number: int) -> None:
        self.number = number
        self.scope = anyio.CancelScope()
        self.turn = anyio.Event()

    def look(self) -> None:
        """Have it look at the books."""
        self.turn.set()


class Gate:
    """The lines of calls that wait for a quota."""

    def __init__(
        self,
        quotas: Mapping[QuotaName, Quota] | None,
        *,
        steady: Callable[[], float],
        epoch: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.budget = Budget(quotas)
        self.is_closed = False
        self._lines: dict[tuple[str, ...], deque[_Place]] = {}
        self._arrivals = count()
        self._steady = steady
        self._epoch = epoch
        self._sleep = sleep

    def _now(self) -> Moment:
        return Moment(self._steady(), self._epoch())

    async def enter(self, uses: Sequence[Use], *, may_wait: bool, until: float = inf) -> None:
        """Wait until a call may go, and book it; whoever enters leaves by :meth:`leave`.

        Args:
            uses: What it takes of which quota.
            may_wait: Whether waiting is wanted at all.
            until: When it has to have gone at the latest, on the steady clock.

        Raises:
            BudgetError: Waiting was not wanted, or would take longer than allowed, or than an hour; nothing was booked.
            ClosedError: The client was closed meanwhile; nothing was booked.
        """
        line = self._lines.setdefault(tuple(use.quota for use in uses), deque())
        now = self._now()
        wait = self.budget.wait(uses, now)
        if wait <= 0 and not line:
            self.budget.take(uses, now)
            return
        if not may_wait or _is_too_long(wait, now, until):
            raise _refusal(uses, wait or inf, is_wanted=may_wait)
        place = _Place(next(self._arrivals))
        line.append(place)
        try:
            await self._wait_in(line, place, uses, until)
        finally:
            line.remove(place)
            if line:
                line[0].look()

    async def _wait_in(self, line: deque[_Place], place: _Place, uses: Sequence[Use], until: float) -> None:
        while True:
            if self.is_closed:
                message = "The client was closed while this call waited for Amplitude's limits; nothing was sent."
                raise ClosedError(message)
            now = self._now()
            wait = self.budget.wait(uses, now) if line[0] is place else inf
            if wait <= 0:
                self.budget.take(uses, now)
                return
            if _is_too_long(wait, now, until):
                raise _refusal(uses, wait, is_wanted=True)
            if wait < inf:
                if wait >= LONG_WAIT:
                    _LOG.warning("a call waits %.0f s for Amplitude's limit (%s)", wait, _names(uses))
                with anyio.CancelScope() as place.scope:
                    await self._sleep(max(wait, LEAST_SLEEP))
                continue
            place.turn = anyio.Event()
            with anyio.move_on_after(None if until == inf else until - now.steady) as place.scope:
                await place.turn.wait()

    def leave(self, uses: Sequence[Use]) -> None:
        """Note that a call has ended, and let the next ones look; from any task, never waits."""
        self.budget.give_back(uses)
        freed = {use.quota for use in uses}
        heads = [line[0] for names, line in self._lines.items() if line and not freed.isdisjoint(names)]
        for place in sorted(heads, key=lambda place: place.number):
            place.look()

    def close(self) -> None:
        """End every wait, with a ClosedError."""
        self.is_closed = True
        for line in self._lines.values():
            for place in line:
                place.scope.cancel()


def _is_too_long(wait: float, now: Moment, until: float) -> bool:
    """Whether a wait would pass the deadline, or be longer than any; one for a call that is under way may end at any time."""
    return now.steady >= until or (wait < inf and (now.steady + wait > until or wait > LONGEST_WAIT))


def _names(uses: Sequence[Use]) -> str:
    return ", ".join(dict.fromkeys(use.quota for use in uses))


def _refusal(uses: Sequence[Use], wait: float, *, is_wanted: bool) -> BudgetError:
    cost = max(use.cost for use in uses)
    names = _names(uses)
    when = "when a call under way has ended" if wait == inf else f"in {wait:.3g} s"
    why = "which is too late for this call" if is_wanted else "and when_limited='raise' does not wait"
    message = f"Amplitude's limit for {names} leaves no room for a call of cost {cost} now; there is some {when}, {why}."
    return BudgetError(message, cost=cost, wait=None if wait == inf else wait)
