"""Values to JSON bytes and back, without loss and without surprises.

msgspec does the encoding, but it writes NaN and infinities as ``null`` and bytes as base64 without a word. So a value whose
types are all JSON's own goes straight through, and anything else is first walked and converted, or refused with its path.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from os import PathLike, fspath
from typing import Any, Final, NoReturn
from uuid import UUID

import msgspec

from amplitude_async.events import iso_text

__all__ = ["MalformedError", "RefusedAnswerError", "UnencodableError", "decode", "encode", "encode_plain", "encode_text", "is_plain"]

MAX_DEPTH: Final = 40
"""Levels of nesting below an event's own keys (https://amplitude.com/docs/apis/analytics/http-v2)."""

_MAX_INT: Final = 2**64 - 1
_MIN_INT: Final = -(2**63)
_MAX_ANSWER_INT: Final = 2**63 - 1

# A Decimal goes out as a JSON number with exactly its own digits: Amplitude adds up prices only if they are numbers.
_encoder: Final = msgspec.json.Encoder(decimal_format="number")

_SCALARS: Final = frozenset({str, int, bool, type(None)})
"""Types that JSON can hold whatever their value; floats may be no number."""


class UnencodableError(ValueError):
    """A value has no JSON form. Internal: the caller turns it into the public error that fits.

    Attributes:
        path: The keys and positions that lead to the value.
        reason: What is wrong with it and what to do.
    """

    def __init__(self, path: tuple[str | int, ...], reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason

    def where(self, root: str) -> str:
        """Return the path as text below ``root``: ``events[3].event_properties.price``."""
        text = root
        for step in self.path:
            text += f"[{step}]" if isinstance(step, int) else f".{step}"
        # A key may itself hold anything; the path must be printable and short.
        return text.encode("utf-8", "backslashreplace").decode()[:200]


class MalformedError(ValueError):
    """An answer is not the JSON it should be. Internal: becomes an UnexpectedResponseError."""


class RefusedAnswerError(MalformedError):
    """An answer reads well, and says no although its status says yes. Internal: becomes a ResponseError."""


def encode(value: object) -> bytes:
    """Return compact, strict JSON for a value.

    Beyond JSON's own types: aware and naive datetimes, dates, times as ISO 8601 (UTC as JavaScript writes it); Decimal as a
    number with its own digits; UUID and paths as text; Enum as the text or number that it is, else as its value;
    dataclasses as objects; sets (sorted) and tuples as lists; numpy scalars as numbers.

    Raises:
        UnencodableError: NaN, an infinity, bytes, a cycle, more than 40 levels, a lone surrogate, or a type without a JSON form.
    """
    # One more than the limit: the value as a whole (the event) is a container that is not counted.
    body = encode_plain(value) if is_plain(value, MAX_DEPTH + 1) else None
    if body is not None:
        return body
    plain = _convert(value, (), set())
    try:
        return _encoder.encode(plain)
    except (ValueError, TypeError, OverflowError, RecursionError) as refusal:
        reason = f"cannot be written as JSON ({type(refusal).__name__})"
    raise UnencodableError((), reason)


def encode_text(value: object) -> str:
    """Return what :func:`encode` gives, as text."""
    return encode(value).decode()


def encode_plain(value: object) -> bytes | None:
    """Return what :func:`encode` gives for something that :func:`is_plain`, or is made of such; ``None`` if it cannot be written."""
    try:
        return _encoder.encode(value)
    except (UnicodeEncodeError, OverflowError, ValueError, TypeError):
        return None  # the walk of encode() says where


def is_plain(value: object, depth: int = MAX_DEPTH) -> bool:
    """Say whether a value is of exactly JSON's own types, all the way down: subclasses may say something else than they hold.

    Args:
        value: The value.
        depth: How many levels of containers it may have.
    """
    kind = type(value)
    if kind is dict and depth > 0:
        members: dict[object, object] = value  # type: ignore[assignment]  # mypy does not narrow on `type(value) is dict`
        for key, item in members.items():
            if type(key) is not str:
                return False
            kind = type(item)
            if kind in _SCALARS:
                continue
            # Quicker than asking isfinite(), or for one more call: of NaN and infinities the difference is NaN.
            if not (item - item == 0.0 if kind is float else is_plain(item, depth - 1)):  # type: ignore[operator]  # as above
                return False
        return True
    if kind is list and depth > 0:
        items: list[object] = value  # type: ignore[assignment]  # as above
        for item in items:  # noqa: SIM110 - a generator costs as much again
            if type(item) not in _SCALARS and not is_plain(item, depth - 1):
                return False
        return True
    if kind is float:
        return bool(value - value == 0.0)  # type: ignore[operator]  # as above
    return kind in _SCALARS


def _refuse(path: tuple[str | int, ...], reason: str) -> NoReturn:
    raise UnencodableError(path, reason)


def _text(value: str, path: tuple[str | int, ...]) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        _refuse(path, "holds a lone surrogate, which is not valid text; decode the source with errors='replace'")
    # A subclass may say something else of itself than it is.
    return str.__str__(value)


def _integer(value: int, path: tuple[str | int, ...]) -> object:
    if _MIN_INT <= value <= _MAX_INT:
        # As with text: what it is, whatever a subclass says.
        return int.__index__(value)
    if abs(value) >= 10**4000:
        _refuse(path, "is an integer too long to be written")
    return msgspec.Raw(str(int.__index__(value)).encode())


def _number(value: float, path: tuple[str | int, ...]) -> float:
    if not isfinite(value):
        _refuse(path, "is not a finite number (NaN and infinities have no JSON form); leave the key out or send null")
    return float(value)


def _convert(value: object, path: tuple[str | int, ...], ancestors: set[int]) -> object:
    try:
        return _converted(value, path, ancestors)
    except UnencodableError:
        raise
    except Exception as fault:  # noqa: BLE001 - a mapping, a scalar or a zone of the user's own, whose code may raise anything
        reason = f"could not be read: {type(fault).__name__}"
    _refuse(path, reason)


def _converted(value: object, path: tuple[str | int, ...], ancestors: set[int]) -> object:  # noqa: PLR0911 - a table of types
    if value is None or value is True or value is False:
        return value
    # An enum that is a text or a number is that, as everywhere in Python.
    if isinstance(value, str):
        return _text(value, path)
    if isinstance(value, int):
        return _integer(value, path)
    if isinstance(value, float):
        return _number(value, path)
    if isinstance(value, Enum):
        return _convert(value.value, path, ancestors)
    if isinstance(value, Decimal):
        if not value.is_finite():
            _refuse(path, "is not a finite number; leave the key out or send null")
        return Decimal(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        _refuse(path, "is bytes, which JSON cannot carry; decode it to text first (for example .decode() or base64)")
    if isinstance(value, (datetime, date, time)):
        return iso_text(value)
    if isinstance(value, (timedelta, UUID)):
        return value
    if isinstance(value, PathLike):
        return _text(_path_text(value, path), path)
    return _container(value, path, ancestors)


def _path_text(value: PathLike[Any], path: tuple[str | int, ...]) -> str:
    text = fspath(value)
    if isinstance(text, str):
        return text
    _refuse(path, "is a path of bytes; use a path of text")


def _container(value: object, path: tuple[str | int, ...], ancestors: set[int]) -> object:
    if id(value) in ancestors:
        _refuse(path, "contains itself (a cycle); send a copy without the reference back")
    # One more than the limit: the value as a whole (the event) is the container that is not counted.
    if len(ancestors) > MAX_DEPTH:
        _refuse(path[: MAX_DEPTH + 1], f"is nested deeper than {MAX_DEPTH} levels; flatten it")
    ancestors.add(id(value))
    try:
        return _members(value, path, ancestors)
    finally:
        ancestors.discard(id(value))


def _members(value: object, path: tuple[str | int, ...], ancestors: set[int]) -> object:
    if isinstance(value, Mapping):
        members = {_key(key, path): _convert(item, (*path, str(key)), ancestors) for key, item in value.items()}
        if len(members) < len(value):
            _refuse(path, "has two keys that are the same in JSON, such as 1 and '1'; one value would be lost")
        return members
    if isinstance(value, (list, tuple)):
        return [_convert(item, (*path, index), ancestors) for index, item in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        # Sets have no order of their own; one that does not vary makes equal events equal bytes.
        items = [_convert(item, (*path, index), ancestors) for index, item in enumerate(value)]
        return sorted(items, key=_encoder.encode)
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)]
        return {name: _convert(getattr(value, name), (*path, name), ancestors) for name in names}
    # numpy and its like: a scalar that knows its own plain Python value.
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        return _convert(item(), path, ancestors)
    _refuse(path, f"is a {type(value).__name__}, which has no JSON form; convert it first")


def _key(key: object, path: tuple[str | int, ...]) -> str:
    if isinstance(key, Enum) and not isinstance(key, (str, int)):
        key = key.value
    if isinstance(key, str):
        return _text(key, path)
    if isinstance(key, int) and not isinstance(key, bool):
        return str(int.__index__(key))
    _refuse(path, f"has a key of type {type(key).__name__}; JSON keys are text")


def decode(body: bytes, *, strict: bool = False) -> Any:  # noqa: ANN401 - this is where JSON enters
    """Return what JSON bytes say; the answer's content type plays no part.

    Args:
        body: The bytes; a leading byte order mark is dropped.
        strict: Also refuse what only a confused server writes: duplicate keys, integers beyond 63 bits.

    Raises:
        MalformedError: The bytes are not strict JSON in UTF-8, or are nested too deeply to read.
    """
    try:
        text = body.decode("utf-8-sig")
        if strict:
            return json.loads(text, parse_constant=_no_constant, parse_int=_small_int, object_pairs_hook=_unique)
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError, MemoryError) as refusal:
        reason = type(refusal).__name__
    message = f"not valid JSON ({reason})"
    raise MalformedError(message)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _small_int(digits: str) -> int:
    value = int(digits)
    if not _MIN_INT <= value <= _MAX_ANSWER_INT:
        raise ValueError(digits[:20])
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        message = "duplicate key"
        raise ValueError(message)
    return members
