"""A runner for tests of resources: answers calls by a rule, on a clock that goes on when somebody waits."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any, Never
from urllib.parse import parse_qsl

from amplitude_async._protocol.hosts import Endpoint
from amplitude_async._protocol.links import read_link
from amplitude_async.errors import AmplitudeError
from amplitude_async.resources.namespaces import Namespaces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from amplitude_async._protocol.call import Call
    from amplitude_async._protocol.hosts import Api
    from amplitude_async._protocol.links import Link
    from amplitude_async.resources.runner import Download


class FakeRunner:
    """Runs calls by a rule, and keeps them, when they came, and within which deadline."""

    def __init__(self, rule: Callable[[Call], bytes]) -> None:
        self.rule = rule
        self.calls: list[Call] = []
        self.deadlines: list[float | None] = []
        self.times: list[float] = []
        self.pauses: list[float] = []
        self.now = 1000.0

    def deadline(self, kind: str) -> float:
        return self.now + 30.0

    def clock(self) -> float:
        return self.now

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    async def run(self, call: Call, *, deadline: float | None = None) -> Any:
        self.calls.append(call)
        self.deadlines.append(deadline)
        self.times.append(self.now)
        return call.reads(self.rule(call))

    async def open(self, call: Call, *, deadline: float | None = None) -> Download:
        raise NotImplementedError

    def link(self, api: Api, address: str) -> Link:
        return read_link(address, Endpoint("https://amplitude.com", ""))


def json_of(call: Call) -> Any:
    """Return the JSON body of a call."""
    assert call.body is not None
    return json.loads(call.body.render(""))


def form_of(call: Call) -> dict[str, str]:
    """Return the form body of a call."""
    assert call.body is not None
    return dict(parse_qsl(call.body.render("key").decode(), keep_blank_values=True, strict_parsing=True))


def run(awaitable: Any) -> Any:
    """Run a coroutine that never really waits."""
    try:
        awaitable.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits for something")


class Refusing(FakeRunner):
    """Answers nothing."""

    async def open(self, call: Call, *, deadline: float | None = None) -> Never:
        raise AmplitudeError("no answer")


def refuse(_: Call) -> bytes:
    raise AmplitudeError("no answer")


class Entries(Namespaces):
    """The namespaces of a client, without one."""

    def __init__(self) -> None:
        self._caller = Refusing(refuse)


def entries(of: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Give every namespace, and what hangs off it."""
    for name, member in inspect.getmembers_static(type(of)):
        if isinstance(member, property) and not name.startswith("_"):
            entry = getattr(of, name)
            if hasattr(entry, "_runner"):
                yield f"{path}{name}", entry
                yield from entries(entry, f"{path}{name}.")


def methods() -> dict[str, Callable[..., Any]]:
    """Give every public method of every namespace, by what users write."""
    return {
        f"{path}.{name}": getattr(entry, name)
        for path, entry in entries(Entries())
        for name in dir(entry)
        if not name.startswith("_") and inspect.isroutine(inspect.getattr_static(type(entry), name))
    }
