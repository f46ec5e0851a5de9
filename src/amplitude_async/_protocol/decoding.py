"""Lines of JSON become rows: dicts as they were sent, or a model of the caller's. Pure.

Each line is decoded by itself, so that it has to be one value. A decoder of many lines at once is no quicker when it is known to have
taken one value a line: it is lenient about what a line is, and looking at every line's ends costs what it saves. Where a line cannot
be decoded, they are looked at one by one, and the error says which one it was.

Text that somebody cut by its UTF-16 length may end in half of a surrogate pair, as an escape. That is JSON, but msgspec refuses it;
such a line is read by the standard library, which does not.
"""

from __future__ import annotations

import json
import re
from io import BytesIO
from typing import Any, Final, Generic, Literal, NamedTuple, NoReturn, TypeVar

import msgspec

from amplitude_async._protocol.inflating import LONG_PIECE_BYTES, PIECE_BYTES
from amplitude_async._protocol.masking import mask
from amplitude_async.errors import ExportError, InvalidArgumentError

__all__ = ["BadRows", "Block", "Decoded", "RowDecoder", "RowSifter", "Sifted", "lines_of", "unreadable"]

BadRows = Literal["raise", "skip"]
"""What becomes of a row that cannot be read: an ExportError, or it is left out and counted."""

T = TypeVar("T")

_HALF_PAIR: Final = re.compile(rb"\\u[dD][89a-fA-F]")
"""An escape that may be half of a surrogate pair."""
_FEW_COLUMNS: Final = 16
"""Rows of so many columns are small, as a rule: with long pieces, ten columns took 5 % less, and all 55, with maps and instants, 6 %
more."""
_REFUSALS = (ValueError, RecursionError, TypeError)


class Block(NamedTuple):
    """Whole lines that follow each other.

    Attributes:
        lines: The lines, each with its end; the last line of a member may lack it.
        member: The member that they come from.
        line: The number of the first of them in that member, from 1.
    """

    lines: list[bytes]
    member: str
    line: int

    @property
    def rows(self) -> int:
        """How many lines there are."""
        return len(self.lines)

    @property
    def text(self) -> bytes:
        """The lines as they stand in the file."""
        return b"".join(self.lines)


def lines_of(text: bytes) -> list[bytes]:
    """Return the lines of a text, each with its end but perhaps the last."""
    # A file in memory looks for line ends by memchr(); split() and splitlines() look at every byte, in seven times the time.
    return BytesIO(text).readlines()


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
            self._loads = decoder.decode
            # A row that cannot be read takes ten times as long, and where such are left out all may be bad.
            is_long = bad_rows == "raise" and _is_narrow(model)
            self.piece_bytes: int = LONG_PIECE_BYTES if is_long else PIECE_BYTES
            """How much text is best inflated at a time: text and rows should stay in the processor's cache."""
            return
        message = f"model cannot be decoded into: {reason}"
        raise InvalidArgumentError(message, argument="model")

    def decode(self, block: Block) -> Decoded[T]:
        """Decode the lines of a block."""
        try:
            return Decoded(list(map(self._loads, block.lines)))
        except _REFUSALS:
            return self._one_by_one(block)

    def _one_by_one(self, block: Block) -> Decoded[T]:
        rows: list[T] = []
        skipped = 0
        for index, line in enumerate(block.lines):
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
        self._loads = msgspec.json.Decoder(_AnyRow).decode

    def sift(self, block: Block) -> Sifted:
        """Say which lines of a block can be read."""
        try:
            if all(map(self._loads, block.lines)):
                _check_text(block.text)
                return Sifted(block)
        except _REFUSALS:
            pass  # said below, with its line
        good: list[bytes] = []
        skipped = 0
        error: ExportError | None = None
        for index, line in enumerate(block.lines):
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
        return Sifted(block._replace(lines=good), skipped, error)


def _is_unknown(model: object) -> bool:
    """Say whether msgspec takes a model for a type that others know how to make; there are no others here."""
    if model is dict:
        return False
    from msgspec.inspect import CustomType, type_info  # noqa: PLC0415 - only where a model was given

    return isinstance(type_info(model), CustomType)


def _is_narrow(model: object) -> bool:
    """Say whether a model has few columns."""
    if model is dict:
        return False
    from msgspec.inspect import type_info  # noqa: PLC0415 - as above

    return 0 < len(getattr(type_info(model), "fields", ())) <= _FEW_COLUMNS


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
