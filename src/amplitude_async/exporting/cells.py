"""Lines of an export as rows of cells, one cell for each column: what a columnar file is made of. Pure.

Nearly every row is of one shape, so a decoder made for that shape reads it, and refuses whatever it was not made for: a key that is
in no list, a value of another kind. Such a row is read once more, key by key, by the rules of the docstrings below. Neither the row
nor any value of it is lost.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import msgspec
from msgspec import Meta, Raw

from amplitude_async.exporting.columns import COLUMNS, UNKNOWN, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["LAYOUT", "CellReader", "Cells", "UnreadableRowError", "read_instant", "with_unknown"]

Cells = tuple[Any, ...]
"""The cells of one row in the order of LAYOUT: ``str``, ``int``, ``float``, ``bool``, ``Raw`` for JSON (also null); ``None`` is null.

A timestamp is still the text that was sent. The last cell is the ``_unknown`` column: JSON text or ``None``.
"""

LAYOUT: Final = (*COLUMNS, UNKNOWN)
"""The columns in the order of cells. It is that of the keys in a row, in which a decoder finds each where it looks for it first."""

_MOST_LEARNED: Final = 64
"""How many keys that are in no list the fast decoder is taught; rows with further ones are read key by key."""

_LEAST_INT, _GREATEST_INT = -(2**63), 2**63 - 1
_EXACT_INT: Final = 2**53
"""Doubles hold every integer up to this one."""

_NULL: Final = b"null"
_OPENING, _CLOSING = b"{}"


class UnreadableRowError(ValueError):
    """A line is no row. Internal: the caller, who knows the member, turns it into an ExportError.

    Attributes:
        index: Which of the lines that were handed over, from 0; those before it have been taken.
        reason: What is wrong with it; holds no value of the row.
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index
        self.reason = reason


class CellReader:
    """Reads lines into cells.

    A key that is in no list goes into the ``_unknown`` column. The reader learns it, so that a key which Amplitude adds one day does
    not make every row slow.
    """

    def __init__(self) -> None:
        self._learned: tuple[str, ...] = ()
        self._decode, self._decode_all = _new_decoder(())

    def read_all(self, text: bytes, rows: int) -> list[Cells] | None:
        """Read lines at once, which takes a quarter less time than one by one.

        Args:
            text: The lines, each with its end but perhaps the last.
            rows: How many they are.

        Returns:
            Their cells; ``None`` if any of the lines has to be looked at by itself, with :meth:`read`.
        """
        if not text.isascii():
            try:
                _check_utf8(text)
            except UnreadableRowError:
                return None
        try:
            found = self._decode_all(text)
        except (ValueError, RecursionError):
            return None
        # A decoder of many lines takes two objects on a line, or one on two.
        if len(found) != rows or not _is_one_a_line(text):
            return None
        cells = list(map(_astuple, found))
        return list(map(self._gathered, cells)) if self._learned else cells

    def read(self, line: bytes) -> Cells:
        """Read one line, a JSON object.

        Raises:
            UnreadableRowError: It is no JSON object in UTF-8; its index is 0.
        """
        if not line.isascii():
            # What the decoder leaves raw, it does not look into.
            _check_utf8(line)
        try:
            cells = _astuple(self._decode(line))
        except (ValueError, RecursionError):
            pass  # it is of another shape; what is wrong, if anything is, is said below
        else:
            return self._gathered(cells) if self._learned else cells
        return self._read_by_key(line)

    def _gathered(self, cells: Cells) -> Cells:
        """Make one cell of the learned keys."""
        end = len(LAYOUT)
        found = {key: text for key, raw in zip(self._learned, cells[end:], strict=True) if (text := bytes(raw))}
        return (*cells[: end - 1], with_unknown(None, found) if found else None)

    def _read_by_key(self, line: bytes) -> Cells:
        members = _members(line)
        misfits: dict[str, bytes] = {}
        cells: list[object] = []
        for name, kind in LAYOUT[:-1]:
            text = members.pop(name, _NULL)
            try:
                cells.append(_READ[kind](text))
            except ValueError:
                cells.append(None)
                misfits[name] = text
        unknown = with_unknown(None, misfits | members) if misfits or members else None
        if members:
            self._learn(members)
        return (*cells, unknown)

    def _learn(self, keys: Mapping[str, object]) -> None:
        fresh = tuple(key for key in keys if key not in self._learned and _is_learnable(key))
        if fresh and len(self._learned) + len(fresh) <= _MOST_LEARNED:
            self._learned += fresh
            self._decode, self._decode_all = _new_decoder(self._learned)


def _is_one_a_line(text: bytes) -> bool:
    """Say whether no object goes on in the next line, given that there are as many objects as lines.

    Where a line ends with ``}`` and the next begins with ``{``, an object has ended: within one, a comma would stand between.
    """
    at, last = text.find(b"\n"), len(text) - 1
    while 0 <= at < last:
        if not at or text[at - 1] != _CLOSING or text[at + 1] != _OPENING:
            return False
        at = text.find(b"\n", at + 1)
    return True


def with_unknown(unknown: str | None, found: Mapping[str, bytes]) -> str:
    """Add members, given as JSON text, to the text of an ``_unknown`` cell."""
    text = ",".join(f"{json.dumps(key)}:{value.decode()}" for key, value in found.items())
    return f"{{{text}}}" if unknown is None else f"{unknown[:-1]},{text}}}"


_astuple: Final[Callable[[Any], Cells]] = msgspec.structs.astuple
_Nothing = Annotated[str, Meta(min_length=1, max_length=0)]
"""A type that no value has: a row that does have the key ``_unknown`` is read key by key."""

_TYPES: Final[dict[Kind, tuple[object, object]]] = {
    "text": (str | None, None),
    "timestamp": (str | None, None),
    "json": (Raw, Raw(_NULL)),
    "integer": (Annotated[int, Meta(ge=_LEAST_INT, le=_GREATEST_INT)] | None, None),
    "number": (Annotated[int, Meta(ge=-_EXACT_INT, le=_EXACT_INT)] | float | None, None),
    "boolean": (bool | None, None),
}


def _new_decoder(learned: tuple[str, ...]) -> tuple[Callable[[bytes], Any], Callable[[bytes], list[Any]]]:
    """Make a decoder of a row, and one of many, that have no keys but those of the columns and the learned ones."""
    fields: list[tuple[str, Any, Any]] = [(f"c{number}", *_TYPES[column.kind]) for number, column in enumerate(LAYOUT[:-1])]
    fields.append((f"c{len(fields)}", _Nothing, None))
    fields += [(f"c{len(LAYOUT) + number}", Raw, Raw(b"")) for number in range(len(learned))]
    names = [column.name for column in LAYOUT] + list(learned)
    rename = {field[0]: name for field, name in zip(fields, names, strict=True)}
    row = msgspec.defstruct("Row", fields, rename=rename, forbid_unknown_fields=True, gc=False)
    decoder = msgspec.json.Decoder(row)
    return decoder.decode, decoder.decode_lines


def _is_learnable(key: str) -> bool:
    # msgspec takes no name that JSON would have to escape.
    return key.isascii() and key.isprintable() and '"' not in key and "\\" not in key and key != UNKNOWN.name


def _check_utf8(line: bytes) -> None:
    try:
        line.decode()
    except UnicodeDecodeError as refusal:
        at = refusal.start
    else:
        return
    raise UnreadableRowError(0, f"it is not UTF-8 (byte {at})")


_decode_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_text: Final = msgspec.json.Decoder(str).decode
_HALF_PAIR: Final = re.compile(rb"\\u[dD][89a-fA-F]")
"""An escape that may be half of a surrogate pair: what is left when text is cut by its UTF-16 length. msgspec refuses it."""


def _members(line: bytes) -> dict[str, bytes]:
    """Return the JSON text of each value, by its key."""
    try:
        return {key: bytes(raw) for key, raw in _decode_members(line).items()}
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as refusal:
        reason = f"{refusal}" if line.strip() else "it is blank"
    if _HALF_PAIR.search(line) is not None:
        try:
            return _scan_members(line.decode())
        except (ValueError, IndexError, RecursionError):
            pass  # then it was not that
    raise UnreadableRowError(0, reason)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


# Only where values end is asked of it, so numbers need not become any.
_scanner: Final = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_no_constant)
_SPACE: Final = re.compile(r"[ \t\r\n]*")


def _scan_members(text: str) -> dict[str, bytes]:
    """Do what :func:`_members` does by the standard library, which reads halves of pairs, and raises much when it cannot."""
    members: dict[str, bytes] = {}

    def skip(at: int, one_of: str = "") -> int:
        at = _end_of_space(text, at)
        if not one_of:
            return at
        if text[at] not in one_of:
            raise ValueError(at)
        return _end_of_space(text, at + 1)

    at = skip(0, "{")
    while text[at] != "}":
        if text[at] != '"':
            raise ValueError(at)
        key, at = _scanner.raw_decode(text, at)
        start = skip(at, ":")
        _, at = _scanner.raw_decode(text, start)
        members[key] = text[start:at].encode()
        at = skip(at)
        if text[at] != "}":
            at = skip(at, ",")
            if text[at] == "}":
                raise ValueError(at)
    if _end_of_space(text, at + 1) != len(text):
        raise ValueError(at)
    return members


def _end_of_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return at if space is None else space.end()


_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?P<rest>(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,4})?)")
_MOST_DIGITS: Final = 19
"""Of a 64-bit integer."""


def _bare(text: bytes) -> str:
    """Return the text within a JSON string, and any other JSON value as it is.

    Raises:
        ValueError: The string has no form in UTF-8.
    """
    return _decode_text(text) if text[:1] == b'"' else text.decode()


def _read_text(text: bytes) -> str | None:
    """Text as it is, anything else as its JSON text."""
    return None if text == _NULL else _bare(text)


def _read_timestamp(text: bytes) -> str | None:
    """Text only: of a number nobody knows the unit."""
    if text == _NULL:
        return None
    if text[:1] != b'"':
        raise ValueError
    return _decode_text(text)


def _read_integer(text: bytes) -> int | None:
    """Whole numbers within 64 bits, also with a fraction of zero, with an exponent, or as text."""
    if text == _NULL:
        return None
    found = _NUMBER.fullmatch(_bare(text))
    if found is None:
        raise ValueError
    if not found["rest"]:
        value = int(found[0]) if len(found[0]) <= _MOST_DIGITS + 1 else _GREATEST_INT + 1
    else:
        number = Decimal(found[0])
        if number.adjusted() >= _MOST_DIGITS or number != number.to_integral_value():
            raise ValueError
        value = int(number)
    if not _LEAST_INT <= value <= _GREATEST_INT:
        raise ValueError
    return value


def _read_number(text: bytes) -> float | None:
    """Numbers that a double can hold, also as text; an integer only if it is exactly kept."""
    if text == _NULL:
        return None
    found = _NUMBER.fullmatch(_bare(text))
    if found is None:
        raise ValueError
    value = float(found[0])
    if abs(value) == float("inf"):
        raise ValueError
    if not found["rest"] and abs(value) >= _EXACT_INT and Decimal(value) != Decimal(found[0]):
        raise ValueError
    return value


def _read_boolean(text: bytes) -> bool | None:
    """``true`` and ``false``, also as text."""
    if text == _NULL:
        return None
    bare = _bare(text)
    if bare not in {"true", "false"}:
        raise ValueError
    return bare == "true"


_READ: Final[dict[Kind, Callable[[bytes], object]]] = {
    "text": _read_text,
    "timestamp": _read_timestamp,
    "json": Raw,
    "integer": _read_integer,
    "number": _read_number,
    "boolean": _read_boolean,
}

_INSTANT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]([0-9]{2})(?::?([0-9]{2})(?::?([0-9]{2})(?:\.([0-9]+))?)?)?"
    r"(?: ?(?:([+-])([01][0-9]|2[0-3])(?::?([0-5][0-9]))?|[Zz]|UTC))?)?"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DIGITS: Final = 6


def read_instant(text: str) -> tuple[int | None, bool]:
    """Read a timestamp leniently: with a space or T, seconds and fraction or none, Z or an offset or neither (UTC).

    Returns:
        Microseconds since the epoch, or ``None`` if the text is no instant of the years 1 to 9999; and whether that is all of it,
        which it is not if there are digits beyond microseconds.
    """
    found = _INSTANT.fullmatch(text)
    if found is None:
        return None, False
    day, hour, minute, second, fraction, sign, zone_hour, zone_minute = found.groups(default="")
    micros = fraction[:_DIGITS].ljust(_DIGITS, "0")
    try:
        instant = datetime.fromisoformat(f"{day}T{hour or '00'}:{minute or '00'}:{second or '00'}.{micros}+00:00")
        if sign:
            instant -= int(f"{sign}1") * timedelta(hours=int(zone_hour), minutes=int(zone_minute or 0))
    except (ValueError, OverflowError):
        return None, False
    return (instant - _EPOCH) // _MICROSECOND, not fraction[_DIGITS:].strip("0")
