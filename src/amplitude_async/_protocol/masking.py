"""Text that is fit to be shown: no key, no e-mail address, no query of a signed link, cut to a length."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import blake2b
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

from amplitude_async.options import MASK

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["fingerprint", "mask", "secret_forms"]

MAX_TEXT: Final = 200
"""How much of a server's own words goes into a message, in characters."""

_EMAIL: Final = re.compile(r"[^\s@<>\"'(),:;=\[\]{}]{1,64}@[^\s@<>\"'(),:;\[\]{}]{1,255}")
_QUERY: Final = re.compile(r"(https?://[^\s?\"'<>]*)\?[^\s\"'<>]*", re.IGNORECASE)
_KEY_WORDS: Final = re.compile(
    r"(?i)\b((?:api|secret|access|deployment|management)[ _-]?key|authorization|password|token)"
    r"((?:[\"']?\s*[:=]\s*[\"']?)(?:basic |bearer |api-key )?)([^\s\"',;&<>{}]+)"
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


_PURPOSE: Final = b"amplitude_async project"


def fingerprint(api_key: str) -> bytes:
    """Return what stands for a project in its files: a keyed hash, from which the key cannot be had."""
    return blake2b(api_key.encode(), key=_PURPOSE, digest_size=16).digest()


def secret_forms(keys: Iterable[str]) -> tuple[str, ...]:
    """Return every spelling in which a key may come back: plain, percent-encoded, base64; longest first."""
    forms: set[str] = set()
    plain = [key for key in keys if key]
    for key in plain:
        forms |= {key, quote(key, safe=""), quote_plus(key), b64encode(key.encode()).decode()}
    forms |= {b64encode(f"{a}:{b}".encode()).decode() for a in plain for b in plain}
    return tuple(sorted(forms, key=len, reverse=True))


def mask(text: str, secrets: Iterable[str] = (), *, limit: int = MAX_TEXT) -> str:
    """Return text without secrets, e-mail addresses and control characters, at most ``limit`` characters long."""
    # Cut twice: once generously, so that a hostile answer costs little, and once after masking. A key must not survive because
    # the first cut took its tail, so the margin is wider than any key.
    text = text[: limit * 8 + 4096]
    for secret in secrets:
        text = text.replace(secret, MASK)
    text = _QUERY.sub(r"\1?...", text)
    text = _KEY_WORDS.sub(rf"\1\2{MASK}", text)
    text = _EMAIL.sub("***@***", text)
    text = _CONTROL.sub(" ", text).strip()
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
