"""Pieces of text become whole lines: however it is cut, with lines that are too long, and with their numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplitude_async import ExportError
from amplitude_async._protocol.splitting import LineSplitter

texts = st.lists(st.sampled_from([b"", b"{}", b'{"a":1}', b"\r", b"x" * 9, b"y" * 20]), max_size=12).map(b"\n".join)


def split(splitter: LineSplitter, text: bytes, cuts: list[int]) -> list[tuple[int, bytes]]:
    """Return the numbered lines of a text that comes in pieces."""
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    blocks = [splitter.split(text[begin:end]) for begin, end in zip(places, places[1:], strict=False)]
    blocks += [block for block in [splitter.end()] if block is not None]
    return [(block.line + index, line) for block in blocks for index, line in enumerate(block.lines)]


def lines_in(text: bytes) -> list[bytes]:
    """Return the lines of a text, found at its line feeds alone."""
    *ended, rest = text.split(b"\n")
    return [*(line + b"\n" for line in ended), *([rest] if rest else [])]


@given(texts, st.lists(st.integers(0, 300), max_size=8))
def test_the_lines_are_those_of_the_text_however_it_is_cut(text: bytes, cuts: list[int]) -> None:
    """Nothing is lost or added, each line ends where the text says, and they are counted from 1."""
    splitter = LineSplitter(100, "raise")
    splitter.begin("file", "file")
    found = split(splitter, text, cuts)
    assert found == list(enumerate(lines_in(text), 1))


@given(texts, st.lists(st.integers(0, 300), max_size=8), st.integers(1, 12))
def test_where_bad_rows_are_left_out_a_blank_line_stands_for_one_that_is_too_long(text: bytes, cuts: list[int], most: int) -> None:
    """Every other line is as it was, and has the number that it had."""
    splitter = LineSplitter(most, "skip")
    splitter.begin("file", "file")
    wanted = [line if len(line.rstrip(b"\n")) <= most else b"\n" for line in lines_in(text)]
    assert split(splitter, text, cuts) == list(enumerate(wanted, 1))


@given(texts, st.lists(st.integers(0, 300), max_size=8), st.integers(1, 12))
def test_else_the_first_line_that_is_too_long_is_an_error_that_names_it(text: bytes, cuts: list[int], most: int) -> None:
    """Member and line are said, and no error comes where no line is too long."""
    splitter = LineSplitter(most, "raise")
    splitter.begin("file", "member file")
    long = [number for number, line in enumerate(text.split(b"\n"), 1) if len(line) > most]
    if not long:
        split(splitter, text, cuts)
        return
    with pytest.raises(ExportError, match=rf"longer than {most} bytes \(member file, line {long[0]}\)") as caught:
        split(splitter, text, cuts)
    assert (caught.value.member, caught.value.line) == ("file", long[0])


def test_each_file_is_counted_from_its_own_beginning() -> None:
    """Blocks name the file that was begun last."""
    splitter = LineSplitter(100, "raise")
    for name in ("first", "second"):
        splitter.begin(name, name)
        block = splitter.split(b"a\nb")
        assert (block.lines, block.member, block.line) == ([b"a\n"], name, 1)
        rest = splitter.end()
        assert rest is not None
        assert (rest.lines, rest.member, rest.line) == ([b"b"], name, 2)
        assert splitter.end() is None
