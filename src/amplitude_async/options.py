"""What a client is told once: secrets, time limits, backoff. Frozen values with named defaults.

Nothing here waits or reads the environment; :mod:`amplitude_async.client` does that when a client is built.
"""

from __future__ import annotations

import random
import time
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

from amplitude_async.errors import ConfigurationError

__all__ = ["UNSET", "Backoff", "Limits", "Secret", "Timeout", "Unset", "check_credential", "limits_for"]

MASK: Final = "********"

# How long each kind of call may take (seconds) and how much of an answer is read (bytes).
CONNECT: Final = 5.0
WRITE: Final = 15.0
POOL: Final = 5.0
INGESTION_READ: Final = 15.0
INGESTION_ATTEMPT: Final = 20.0
INGESTION_CALL: Final = 30.0
INGESTION_ANSWER_BYTES: Final = 1 << 20
QUERY_READ: Final = 60.0
QUERY_ATTEMPT: Final = 90.0
QUERY_CALL: Final = 120.0
QUERY_ANSWER_BYTES: Final = 64 << 20
STREAM_FIRST_BYTE: Final = 600.0
STREAM_BETWEEN_BYTES: Final = 60.0

DEFAULT_MAX_RETRIES: Final = 2
DEFAULT_MAX_CONNECTIONS: Final = 50
"""Single-connection slots of the client that the library builds."""
FOREIGN_MAX_CONNECTIONS: Final = 8
"""Requests in flight on a client that the user passes in: one httpcore pool gets slower beyond about this many."""


class Unset(Enum):
    """The type of :data:`UNSET`, for annotations: ``str | Unset | None``."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return self.value


UNSET: Final = Unset.UNSET
"""An argument that was left out, where ``None`` means something of its own, such as "take it away"."""


class Secret:
    """A key that shows itself to nobody who does not ask by name.

    ``str``, ``repr``, ``format`` and ``vars`` give a mask; it cannot be pickled. ``reveal()`` is called in the one place that
    writes a request.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """Return the key itself."""
        return self.__value

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __reduce__(self) -> NoReturn:
        message = "A Secret cannot be pickled or copied into text; build the client from its own configuration instead."
        raise TypeError(message)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self


def check_credential(name: str, value: object) -> Secret | None:
    """Return the credential as a secret, ``None`` if it is absent.

    A blank one counts as absent. Anything but printable ASCII is refused: keys travel in headers, where a line break would start
    a header of its own.

    Raises:
        ConfigurationError: The value is not text, or holds characters that no key has.
    """
    if value is None or value == "":
        return None
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        message = f"{name} must be text, not {type(value).__name__}."
        raise ConfigurationError(message)
    if not value.strip():
        return None
    if not value.isascii() or not value.isprintable():
        message = f"{name} holds a character that no Amplitude key has (only printable ASCII is allowed)."
        raise ConfigurationError(message)
    return Secret(value)


class Timeout(NamedTuple):
    """Limits in seconds; ``None`` means the default of the kind of call.

    Attributes:
        connect: Opening a connection, TLS included.
        read: Silence while an answer is awaited (ingestion 15, queries 60, or ``attempt`` if that is longer).
        write: The server not reading the request (15).
        pool: Waiting for one of the client's connections.
        attempt: One request as a whole, even when bytes keep trickling (ingestion 20, queries 90).
        call: The whole awaited call, retries included (ingestion 30, queries 120).
        first_byte: Waiting for a stream to begin (600).
        between_bytes: Silence within a stream (60).
    """

    connect: float = CONNECT
    read: float | None = None
    write: float | None = None
    pool: float = POOL
    attempt: float | None = None
    call: float | None = None
    first_byte: float | None = None
    between_bytes: float | None = None


class Limits(NamedTuple):
    """The limits of one call, every one of them filled in."""

    connect: float
    read: float
    write: float
    pool: float
    attempt: float
    call: float
    between_bytes: float
    answer_bytes: int


_DEFAULTS: Final = {
    "ingestion": (INGESTION_READ, INGESTION_ATTEMPT, INGESTION_CALL, INGESTION_ANSWER_BYTES),
    "query": (QUERY_READ, QUERY_ATTEMPT, QUERY_CALL, QUERY_ANSWER_BYTES),
}


def as_timeout(value: float | Timeout | None) -> Timeout:
    """Turn what the user gave into a :class:`Timeout`; a number limits one attempt, and the silence within a stream.

    Raises:
        ConfigurationError: A limit is not a positive number of seconds.
    """
    if value is None:
        return Timeout()
    if isinstance(value, Timeout):
        timeout = value
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        timeout = Timeout(attempt=value, between_bytes=value)
    else:
        message = f"timeout must be a number of seconds or a Timeout, not {type(value).__name__}."
        raise ConfigurationError(message)
    for name, limit in timeout._asdict().items():
        if limit is None:
            continue
        if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 0 < limit < float("inf"):
            message = f"timeout.{name} must be a positive, finite number of seconds."
            raise ConfigurationError(message)
    return timeout


def limits_for(kind: str, timeout: Timeout) -> Limits:
    """Fill in the limits of a kind of call: ``"ingestion"``, ``"query"`` or ``"stream"``."""
    between = timeout.between_bytes or STREAM_BETWEEN_BYTES
    if kind == "stream":
        first = timeout.first_byte or timeout.attempt or STREAM_FIRST_BYTE
        # An attempt covers opening only; three openings is what the retries may take. There is no limit on the whole.
        call = timeout.call or first * 3
        return Limits(timeout.connect, first, timeout.write or WRITE, timeout.pool, first, call, between, QUERY_ANSWER_BYTES)
    read, attempt, call, size = _DEFAULTS[kind]
    write = WRITE if timeout.write is None else timeout.write
    if timeout.attempt is not None:
        # Who lets an attempt take longer means its silences too, unless they were given limits of their own.
        attempt = timeout.attempt
        read = max(read, attempt)
        write = max(write, attempt) if timeout.write is None else write
    call = timeout.call or max(call, attempt)
    return Limits(timeout.connect, timeout.read or read, write, timeout.pool, attempt, call, between, size)


def full_jitter(limit: float) -> float:
    """Draw a wait between nothing and ``limit`` seconds."""
    return random.uniform(0.0, limit)  # noqa: S311 - spreads load, guards nothing


async def _sleep(seconds: float) -> None:
    import anyio  # noqa: PLC0415 - loaded on the first wait, not with the package

    await anyio.sleep(seconds)


class Backoff(NamedTuple):
    """How long to wait between attempts; clock and chance are arguments, so that tests never wait.

    Attributes:
        base: Limit of the first wait, in seconds; it doubles with each attempt.
        cap: No wait drawn here is longer, in seconds.
        jitter: Draws the wait, given its limit.
        clock: The clock that deadlines are measured on, in seconds.
        sleep: Waits that many seconds.
    """

    base: float = 0.5
    cap: float = 8.0
    jitter: Callable[[float], float] = full_jitter
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = _sleep

    def delay(self, attempt: int) -> float:
        """Return the wait before attempt number ``attempt + 1``; the first attempt is number 1."""
        return self.jitter(min(self.cap, self.base * 2 ** min(attempt - 1, 32)))
