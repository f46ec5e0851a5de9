"""What shall go wrong, as data: faults that are asked for, and which request meets which of them.

Pure but for a lock, since tests ask from their thread and the server takes from its own. Doing them is
:mod:`amplitude_async.sandbox.mischief`'s.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from amplitude_async.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MAX_DELAY: Final = 600.0
_ABOVE_ALL: Final = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        status: Answer with this status in place of the real one; the real answer's status if left out.
        body: Answer with this: bytes, text, or anything that JSON can hold.
        headers: Headers of the answer, over the usual ones.
        delay: Seconds before the answer begins.
        when: ``"before"``: the request is not handled, nothing of it is stored. ``"after"``: it is, and only its answer is lost or
            changed. The default is ``"before"`` where the answer is replaced or nothing is answered, else ``"after"``.
        cut_after: Close the connection after so many bytes of the answer's body; 0: before its first.
        reset: Reset the connection: at once, or where ``cut_after`` says.
        dribble: Seconds between one byte of the body and the next.
        contradict: Add this to the number of events that an upload's answer speaks of.
        lose_tail: Leave out so many bytes at the end of the body, and declare no more than is sent: an archive that was cut short.
        path: Only requests whose path begins so.
        method: Only requests of this method.
        times: How many requests meet it; ``None``: every one.
    """

    status: int | None = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    when: Literal["before", "after"] | None = None
    cut_after: int | None = None
    reset: bool = False
    dribble: float = 0.0
    contradict: int = 0
    lose_tail: int = 0
    path: str = "/"
    method: str = ""
    times: int | None = 1

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        checks = {
            "status": self.status is None or (isinstance(self.status, int) and 200 <= self.status <= 599),  # noqa: PLR2004 - final statuses
            "delay": 0 <= self.delay <= MAX_DELAY,
            "dribble": 0 <= self.dribble <= MAX_DELAY,
            "cut_after": self.cut_after is None or self.cut_after >= 0,
            "lose_tail": self.lose_tail >= 0,
            "when": self.when in {None, "before", "after"},
            "times": self.times is None or self.times >= 1,
            "path": self.path.startswith("/"),
            "body": self.is_writable(),
        }
        for name, holds in checks.items():
            if not holds:
                message = f"{name} of a fault makes no sense: {getattr(self, name)!r:.60}"
                raise InvalidArgumentError(message, argument=name)

    def is_writable(self) -> bool:
        """Say whether the body can be sent."""
        try:
            self.content()
        except (TypeError, ValueError):
            return False
        return True

    @property
    def is_before(self) -> bool:
        """Whether the request is not handled at all."""
        if self.when is not None:
            return self.when == "before"
        return self.status is not None or (self.reset and self.cut_after is None)

    def content(self) -> bytes:
        """Return the body that is answered with."""
        if self.body is None:
            return b""
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()

    def meets(self, method: str, path: str) -> bool:
        """Say whether a request is one of those that meet it."""
        return path.startswith(self.path) and self.method.upper() in {"", method}

    @classmethod
    def from_json(cls, asked: Mapping[str, Any]) -> Fault:
        """Read a fault from the control API.

        Raises:
            InvalidArgumentError: A name or a value makes no sense.
        """
        known = {each.name for each in fields(cls)}
        for name in asked:
            if name not in known:
                message = f"a fault has no {name!r:.40}; it has {', '.join(sorted(known))}"
                raise InvalidArgumentError(message, argument=str(name))
        try:
            return cls(**asked)
        except (TypeError, AttributeError):
            message = "a fault's values are numbers, texts and booleans"
        raise InvalidArgumentError(message, argument="fault")


def check_outage(seconds: float) -> None:
    """Refuse a time that nobody can be gone for.

    Raises:
        InvalidArgumentError: It is not above 0, or longer than ten minutes.
    """
    if not 0 < seconds <= MAX_DELAY:
        message = f"seconds must be above 0 and at most {MAX_DELAY:.0f}"
        raise InvalidArgumentError(message, argument="seconds")


@dataclass(slots=True)
class Ticket:
    """A fault that was asked for, and how often it was met."""

    fault: Fault
    hits: int = 0
    is_over: bool = False


class Faults:
    """The faults that a sandbox has before it; the first that a request meets is done."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with none."""
        self._lock = threading.Lock()
        self._tickets: list[Ticket] = []
        self._throttled: dict[str, float] = {}
        self._silenced: frozenset[str] = frozenset()
        self._clock = clock
        self.on_down: Callable[[float], None] | None = None

    def next(self, times: int = 1, /, **how: Any) -> Ticket:  # noqa: ANN401 - the fields of a Fault
        """Let the next requests meet a fault: ``box.faults.next(3, status=503)``.

        Args:
            times: How many requests meet it.
            **how: The fields of :class:`Fault`.

        Raises:
            InvalidArgumentError: A value makes no sense.
        """
        return self.add(Fault(**how, times=times))

    def add(self, fault: Fault) -> Ticket:
        """Put a fault behind those that are there."""
        ticket = Ticket(fault)
        with self._lock:
            self._tickets.append(ticket)
        return ticket

    @contextmanager
    def during(self, **how: Any) -> Iterator[Ticket]:  # noqa: ANN401 - the fields of a Fault
        """Let every request meet a fault while the block lasts: ``with box.faults.during(status=503): ...``."""
        ticket = self.add(replace(Fault(**how), times=None))
        try:
            yield ticket
        finally:
            self.end(ticket)

    def end(self, ticket: Ticket) -> None:
        """Take a fault back."""
        with self._lock:
            ticket.is_over = True
            self._tickets = [each for each in self._tickets if each is not ticket]

    def clear(self) -> None:
        """Take every fault back, throttles and silences included."""
        with self._lock:
            for ticket in self._tickets:
                ticket.is_over = True
            self._tickets = []
            self._throttled = {}
            self._silenced = frozenset()

    def waiting(self) -> list[Ticket]:
        """Return the faults that are still before the server."""
        with self._lock:
            return list(self._tickets)

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault that a request meets, and count it."""
        with self._lock:
            for ticket in self._tickets:
                if ticket.fault.meets(method, path):
                    ticket.hits += 1
                    if ticket.hits >= (ticket.fault.times or _ABOVE_ALL):
                        ticket.is_over = True
                        self._tickets = [each for each in self._tickets if each is not ticket]
                    return ticket.fault
        return None

    def throttle(self, identity: str, seconds: float = 30.0) -> None:
        """Answer uploads with events of a user or device with 429 and its name, for so many seconds of the sandbox's clock.

        Raises:
            InvalidArgumentError: The time is not above 0.
        """
        if not seconds > 0:
            message = "seconds must be above 0"
            raise InvalidArgumentError(message, argument="seconds")
        with self._lock:
            self._throttled[identity] = self._clock() + seconds

    def throttled(self) -> frozenset[str]:
        """Return the users and devices that are throttled now."""
        with self._lock:
            now = self._clock()
            self._throttled = {name: until for name, until in self._throttled.items() if until > now}
            return frozenset(self._throttled)

    def silence(self, device_id: str) -> None:
        """Answer uploads with events of a device with 400 and its name, as Amplitude does with devices that it blocks."""
        with self._lock:
            self._silenced |= {device_id}

    def silenced(self) -> frozenset[str]:
        """Return the devices that are silenced."""
        return self._silenced

    def down(self, seconds: float) -> None:
        """Be gone for so long: connections are refused, those that stand are cut.

        Raises:
            InvalidArgumentError: The time is not above 0, or longer than ten minutes.
        """
        check_outage(seconds)
        if self.on_down is None:
            message = "the sandbox is not running"
            raise RuntimeError(message)
        self.on_down(seconds)
