"""Lines of JSON become rows: dicts as they were sent, or a model of the caller's. Pure.

A block of lines is decoded at once, which is an eighth to a quarter quicker than line by line. A decoder of many lines is lenient
about what a line is, so the number of rows is compared with the number of lines, and each line has to begin and end as an object
does. Where that is not so, or where anything cannot be decoded, each line is looked at by itself: it has to be one value, and the
error says which one was not.

Text that somebody cut by its UTF-16 length may end in half of a surrogate pair, as an escape. That is JSON, but msgspec refuses it;
such a line is read by the standard library, which does not.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, Generic, Literal, NamedTuple, NoReturn, TypeVar

import msgspec

from amplitude_async._protocol.masking import mask
from amplitude_async.errors import ExportError, InvalidArgumentError

__all__ = ["BadRows", "Block", "Decoded", "RowDecoder", "RowSifter", "Sifted", "is_one_a_line", "unreadable"]

BadRows = Literal["raise", "skip"]
"""What becomes of a row that cannot be read: an ExportError, or it is left out and counted."""

T = TypeVar("T")

_OPENING, _CLOSING = b"{}"
_HALF_PAIR: Final = re.compile(rb"\\u[dD][89a-fA-F]")
"""An escape that may be half of a surrogate pair."""
_REFUSALS = (ValueError, RecursionError, TypeError)


class Block(NamedTuple):
    """Whole lines that follow each other.

    Attributes:
        text: The lines, each with its end; the last line of a member may lack it.
        rows: How many they are.
        member: The member that they come from.
        line: The number of the first of them in that member, from 1.
        is_one_a_line: Known, of who counted them, to be what :func:`is_one_a_line` says.
    """

    text: bytes
    rows: int
    member: str
    line: int
    is_one_a_line: bool = False

    def lines(self) -> list[bytes]:
        """Return the lines without their ends."""
        lines = self.text.split(b"\n")
        if len(lines) > self.rows:
            lines.pop()
        return lines


class Decoded(NamedTuple, Generic[T]):
    """What a block came to.

    Attributes:
        rows: The rows that could be read.
        skipped: How many could not, and were left out.
        error: Why the one after them could not be read, where such rows are not left out.
    """

    rows: list[T]
    skipped: int = 0
    error: ExportError | None = None


class RowDecoder(Generic[T]):
    """Turns blocks of lines into rows.

    Args:
        model: What a row becomes, anything msgspec can decode into; ``dict`` for all of it as it is.
        bad_rows: What becomes of a line that is not what the model asks for.

    Raises:
        InvalidArgumentError: The model is nothing that can be decoded into.
    """

    def __init__(self, model: type[T], bad_rows: BadRows) -> None:
        self._bad_rows = bad_rows
        self._model = model
        try:
            # Not strict: a number that comes as text is taken for the number it is.
            decoder = msgspec.json.Decoder(model, strict=False)
            reason = "JSON cannot become one" if _is_unknown(model) else ""
        except Exception as refusal:  # noqa: BLE001 - evaluating the annotations of a model may raise anything
            reason = mask(str(refusal))
        if not reason:
            self._loads, self._loads_all = decoder.decode, decoder.decode_lines
            return
        message = f"model cannot be decoded into: {reason}"
        raise InvalidArgumentError(message, argument="model")

    def decode(self, block: Block) -> Decoded[T]:
        """Decode the lines of a block."""
        try:
            rows = self._loads_all(block.text)
        except _REFUSALS:
            return self._one_by_one(block)
        if len(rows) == block.rows and (block.is_one_a_line or is_one_a_line(block.text)):
            return Decoded(rows)
        return self._one_by_one(block)

    def _one_by_one(self, block: Block) -> Decoded[T]:
        rows: list[T] = []
        skipped = 0
        for index, line in enumerate(block.lines()):
            try:
                rows.append(self._row(line))
            except _REFUSALS as refusal:
                if self._bad_rows == "raise":
                    return Decoded(rows, skipped, unreadable(block, index, _words(line, refusal)))
                skipped += 1
        return Decoded(rows, skipped)

    def _row(self, line: bytes) -> T:
        if _HALF_PAIR.search(line) is None:
            return self._loads(line)
        members = _members(line)
        return members if self._model is dict else msgspec.convert(members, self._model, strict=False)  # type: ignore[return-value]  # it is a dict


class Sifted(NamedTuple):
    """What of a block can be read, as it was sent.

    Attributes:
        block: The lines that can be read; their numbers are right up to the first that was left out.
        skipped: How many could not, and were left out.
        error: Why the one after them could not be read, where such rows are not left out.
    """

    block: Block
    skipped: int = 0
    error: ExportError | None = None


class _AnyRow(msgspec.Struct, gc=False):
    """Any JSON object: read to its end, kept not at all."""


class RowSifter:
    """Tells lines that are JSON objects in valid UTF-8 from others, and leaves them as they are.

    Args:
        bad_rows: What becomes of the others.
    """

    def __init__(self, bad_rows: BadRows) -> None:
        self._bad_rows = bad_rows
        decoder = msgspec.json.Decoder(_AnyRow)
        self._loads, self._loads_all = decoder.decode, decoder.decode_lines

    def sift(self, block: Block) -> Sifted:
        """Say which lines of a block can be read."""
        try:
            if len(self._loads_all(block.text)) == block.rows and (block.is_one_a_line or is_one_a_line(block.text)):
                _check_text(block.text)
                return Sifted(block)
        except _REFUSALS:
            pass  # said below, with its line
        good: list[bytes] = []
        skipped = 0
        error: ExportError | None = None
        for index, line in enumerate(block.lines()):
            try:
                if _HALF_PAIR.search(line) is None:
                    self._loads(line)
                    _check_text(line)
                else:
                    _members(line)
            except _REFUSALS as refusal:
                if self._bad_rows == "raise":
                    error = unreadable(block, index, _words(line, refusal))
                    break
                skipped += 1
                continue
            good.append(line)
        text = b"".join(line + b"\n" for line in good)
        return Sifted(block._replace(text=text, rows=len(good)), skipped, error)


def _is_unknown(model: object) -> bool:
    """Say whether msgspec takes a model for a type that others know how to make; there are no others here."""
    if model is dict:
        return False
    from msgspec.inspect import CustomType, type_info  # noqa: PLC0415 - only where a model was given

    return isinstance(type_info(model), CustomType)


def is_one_a_line(text: bytes) -> bool:
    """Say whether no object goes on in the next line, given that there are as many objects as lines.

    Where a line ends with ``}`` and the next begins with ``{``, an object has ended: within one, a comma would stand between.
    """
    at, last = text.find(b"\n"), len(text) - 1
    while 0 <= at < last:
        if not at or text[at - 1] != _CLOSING or text[at + 1] != _OPENING:
            return False
        at = text.find(b"\n", at + 1)
    return True


def _check_text(text: bytes) -> None:
    """Refuse what is not UTF-8: a decoder does not look at text that nothing is made of."""
    if not text.isascii():
        text.decode()


def unreadable(block: Block, index: int, words: str) -> ExportError:
    """Return the error for a line of a block."""
    number = block.line + index
    message = f"A row cannot be read: {words} (member {block.member}, line {number})"
    return ExportError(message, member=block.member, line=number)


def _words(line: bytes, refusal: Exception) -> str:
    # A decoder names keys and types, never values; but a model of the caller's may.
    return mask(str(refusal)) if line.strip() else "it is blank"


def _members(line: bytes) -> dict[str, Any]:
    """Read an object as leniently as JSON allows.

    Raises:
        ValueError: It is none.
    """
    members = json.loads(line.decode(), parse_constant=_no_constant)
    if not isinstance(members, dict):
        message = f"Expected `object`, got `{type(members).__name__}`"
        raise ValueError(message)  # noqa: TRY004 - to be caught with all that is wrong with lines
    return members


def _no_constant(name: str) -> NoReturn:
    message = f"{name} is no JSON"
    raise ValueError(message)
