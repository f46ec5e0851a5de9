"""What the passing of time does to the sandbox's state: done before the next request is answered, whichever that is.

A deletion whose day has come has to be seen by whoever exports next, and by the events that come after it.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from amplitude_async.sandbox.desk import Desk

    Chore = Callable[[float], float]

__all__ = ["Chores", "Punctual"]


class Chores:
    """Functions that bring state up to a time, and say when they are needed next."""

    def __init__(self) -> None:
        """Start with none."""
        self._all: list[Chore] = []
        self._due = -inf

    def add(self, chore: Chore) -> None:
        """Add one: it is given the time, and returns when it is due again (infinite: not until :meth:`wake`)."""
        self._all.append(chore)

    def wake(self) -> None:
        """Have all of them look again: there is something new to wait for."""
        self._due = -inf

    def is_due(self, now: float) -> bool:
        """Say whether there is anything to do."""
        return now >= self._due

    def run(self, now: float) -> None:
        """Do what is due. Runs in the store's thread."""
        self._due = min((chore(now) for chore in self._all), default=inf)


class Punctual:
    """Does the desk's chores before a request is answered."""

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        """Stand in front of an application."""
        self._app = app
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, everything being as it is at this moment."""
        if scope["type"] == "http":
            now = self._desk.clock()
            if self._desk.chores.is_due(now):
                await self._desk.run(self._desk.chores.run, now)
        await self._app(scope, receive, send)
