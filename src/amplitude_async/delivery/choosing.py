"""What an outbox is asked to be, checked."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Final, NamedTuple

from amplitude_async._protocol.uploads import BATCH, HTTP_V2
from amplitude_async.delivery.ledger import Capacity
from amplitude_async.errors import ConfigurationError
from amplitude_async.resources.ingestion import encoded_options

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from amplitude_async._protocol.uploads import Endpoint
    from amplitude_async.delivery.hooks import Setback
    from amplitude_async.delivery.opening import Durability
    from amplitude_async.delivery.receipts import Receipt
    from amplitude_async.resources.before_send import Sieve

__all__ = ["MOST_LINGER", "OutboxOptions", "choose"]

MEMORY_BYTES: Final = 64 << 20
MEMORY_EVENTS: Final = 100_000
DISK_BYTES: Final = 1 << 30
DISK_EVENTS: Final = 1 << 40
"""On disk only the bytes are bounded."""
MOST_LINGER: Final = 60.0

_ENDPOINTS: Final = {"http_v2": HTTP_V2, "batch": BATCH}
_OVERFLOWS: Final = ("block", "reject", "drop_newest", "drop_oldest")
_DURABILITIES: Final = ("power", "process")


class OutboxOptions(NamedTuple):
    """How an outbox was asked to be; see :meth:`amplitude_async.AsyncAmplitude.outbox`."""

    path: str | os.PathLike[str] | None
    folder: str | os.PathLike[str] | None
    durability: Durability
    endpoint: Endpoint
    options: bytes | None
    compress: bool
    linger: float
    capacity: Capacity
    on_delivery: Callable[[Sequence[Receipt]], object] | None
    on_setback: Callable[[Setback], object] | None
    before_send: Sieve | None = None

    @property
    def is_durable(self) -> bool:
        """Whether events are kept on the disk."""
        return self.path is not None or self.folder is not None


def choose(  # noqa: PLR0913 - the settings of one object
    *,
    path: str | os.PathLike[str] | None,
    folder: str | os.PathLike[str] | None,
    api: str,
    options: Mapping[str, object] | None,
    overflow: str,
    max_bytes: int | None,
    max_events: int | None,
    durability: str,
    compress: bool,
    linger: float,
    on_delivery: Callable[[Sequence[Receipt]], object] | None,
    on_setback: Callable[[Setback], object] | None,
    before_send: Sieve | None = None,
) -> OutboxOptions:
    """Return the options of an outbox, checked and with defaults filled in.

    Raises:
        ConfigurationError: One of them makes no sense; names it.
        InvalidArgumentError: Amplitude's upload options are no mapping of JSON values.
    """
    if path is not None and folder is not None:
        message = "give a path (one file) or a folder (a file for each process), not both."
        raise ConfigurationError(message)
    is_durable = path is not None or folder is not None
    for name, value, allowed in (
        ("api", api, tuple(_ENDPOINTS)),
        ("overflow", overflow, _OVERFLOWS),
        ("durability", durability, _DURABILITIES),
    ):
        if value not in allowed:
            message = f"{name} must be one of {', '.join(allowed)}, not {value!r:.40}."
            raise ConfigurationError(message)
    for name, function in (("on_delivery", on_delivery), ("on_setback", on_setback)):
        if function is not None and not callable(function):
            message = f"{name} must be a function, plain or async."
            raise ConfigurationError(message)
    if isinstance(linger, bool) or not isinstance(linger, (int, float)) or not isfinite(linger) or not 0 <= linger <= MOST_LINGER:
        message = f"linger must be a number of seconds from 0 to {MOST_LINGER:g}."
        raise ConfigurationError(message)
    capacity = Capacity(
        _count("max_bytes", max_bytes, DISK_BYTES if is_durable else MEMORY_BYTES),
        _count("max_events", max_events, DISK_EVENTS if is_durable else MEMORY_EVENTS),
        overflow,  # type: ignore[arg-type]  # checked above
    )
    return OutboxOptions(
        path=path,
        folder=folder,
        durability=durability,  # type: ignore[arg-type]  # checked above
        endpoint=_ENDPOINTS[api],
        options=encoded_options(options),
        compress=compress,
        linger=float(linger),
        capacity=capacity,
        on_delivery=on_delivery,
        on_setback=on_setback,
        before_send=before_send,
    )


def _count(name: str, value: int | None, default: int) -> int:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        message = f"{name} must be a whole number from 1 up."
        raise ConfigurationError(message)
    return value
