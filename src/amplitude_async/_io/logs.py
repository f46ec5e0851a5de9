"""``AMPLITUDE_LOG=debug``: what the library logs, on the standard error stream, for who has set up no logging.

Every room has a logger below ``amplitude_async``: ``amplitude_async.io`` (requests and retries), ``.outbox`` (delivery and its files),
``.export`` (downloads). Nothing secret is logged, and no query and no event.
"""

from __future__ import annotations

import logging
import sys
from typing import Final

from amplitude_async.errors import ConfigurationError, shown

__all__ = ["VARIABLE", "follow"]

VARIABLE: Final = "AMPLITUDE_LOG"
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class OwnHandler(logging.Handler):
    """Writes to the standard error stream that there is when something is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            sys.stderr.write(f"{self.format(record)}\n")
        except Exception:  # noqa: BLE001 - a closed stream; logging has a way of its own for that
            self.handleError(record)


def follow(level: str | None) -> None:
    """Do as the variable says: attach one handler to the library's loggers, unless it is there already.

    Args:
        level: What the variable holds: ``debug``, ``info``, ``warning`` or ``error``; empty counts as absent.

    Raises:
        ConfigurationError: It is none of them.
    """
    if not level or not level.strip():
        return
    number = _LEVELS.get(level.strip().lower())
    if number is None:
        message = f"{VARIABLE} must be one of {', '.join(_LEVELS)}, not {shown(level)}."
        raise ConfigurationError(message)
    ours = logging.getLogger("amplitude_async")
    if any(isinstance(handler, OwnHandler) for handler in ours.handlers):
        return
    handler = OwnHandler()
    handler.setFormatter(logging.Formatter(_FORMAT))
    ours.addHandler(handler)
    ours.setLevel(number)
