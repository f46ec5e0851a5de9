"""Which error ends in which exit code. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from amplitude_async.errors import (
    AmplitudeError,
    AuthenticationError,
    BudgetError,
    ConfigurationError,
    ExportError,
    InvalidArgumentError,
    JobError,
    NotFoundError,
    OutboxError,
    PartialDeletionError,
    PartialDeliveryError,
    RateLimitedError,
    ResponseError,
    ServerError,
    TransportError,
    UnexpectedResponseError,
)

__all__ = ["BROKEN_PIPE", "DONE", "EXITS", "FAULT", "INTERRUPTED", "PARTLY", "USAGE", "Exit", "code_for", "one_line"]

DONE: Final = 0
PARTLY: Final = 1
USAGE: Final = 2
FAULT: Final = 70
"""An error of this program; ``EX_SOFTWARE`` of BSD's sysexits.h."""
INTERRUPTED: Final = 130
"""128 and SIGINT, as shells say it."""
BROKEN_PIPE: Final = 141
"""128 and SIGPIPE."""


class Exit(NamedTuple):
    """A code, the errors that end in it, and what it means."""

    code: int
    errors: tuple[type[BaseException], ...]
    meaning: str


EXITS: Final = (
    Exit(
        PARTLY,
        (PartialDeliveryError, PartialDeletionError),
        "some of it was done, some was not; or a check or a comparison found something",
    ),
    Exit(USAGE, (InvalidArgumentError,), "an option, an argument or an event is refused here; nothing was sent for it"),
    Exit(3, (ConfigurationError,), "a key, a profile, an address or an extra is missing or wrong"),
    Exit(4, (AuthenticationError,), "Amplitude does not accept the keys (401, 403), or they are of the other region"),
    Exit(5, (NotFoundError,), "there is no such thing, or no data (404)"),
    Exit(6, (RateLimitedError, BudgetError), "too many requests (429), or a query budget is used up"),
    Exit(7, (ServerError, UnexpectedResponseError), "Amplitude has trouble (5xx), or answers something else than it documents"),
    Exit(8, (TransportError,), "no complete answer: no connection, TLS, a time limit"),
    Exit(9, (ResponseError,), "Amplitude refused it otherwise (400, 409, 413, ...)"),
    Exit(
        10,
        (ExportError, OutboxError, OSError),
        "a file: an archive is damaged, hours are missing, a disk is full, an outbox is in use",
    ),
    Exit(11, (JobError,), "a job of Amplitude's failed: a cohort, what is known of a user"),
    Exit(12, (AmplitudeError,), "another error of the library"),
)
"""Read from above: the first line that fits an error is its code."""


def code_for(error: BaseException) -> int:
    """Return the exit code of an error."""
    for exit_ in EXITS:
        if isinstance(error, exit_.errors):
            return exit_.code
    return FAULT


def one_line(text: str) -> str:
    """Return a message as one line that no terminal takes for commands."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
