"""Takes keys and addresses out of what the HTTP library logs about our requests."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Final

from amplitude_async._protocol.masking import mask

__all__ = ["is_ours", "mask_records"]


is_ours: ContextVar[bool] = ContextVar("amplitude_async_request", default=False)


class _MaskRecords(logging.Filter):
    """Takes addresses and headers out of the HTTP library's records about our own requests; leaves everybody else's alone."""

    def filter(self, record: logging.LogRecord) -> bool:
        if is_ours.get():
            text = record.getMessage()
            if record.name.startswith("httpcore"):
                # Values of these records are headers, addresses and exceptions.
                text = text.partition(" ")[0]
            record.msg, record.args = mask(text), None
        return True


_filter = _MaskRecords()
_LOGGERS: Final = (
    *("httpx", "httpx2"),
    *(f"{core}.{name}" for core in ("httpcore", "httpcore2") for name in ("connection", "http11", "http2", "proxy", "socks")),
)


def mask_records() -> None:
    """See to it that no record about a request of ours reaches a handler unmasked."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_filter)
