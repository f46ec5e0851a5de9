"""Comma-separated rows: read however they arrive, written so that they read the same."""

from __future__ import annotations

import csv
import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplitude_async._protocol.commas import MAX_ROW, CommaReader, MalformedRowsError, comma_text

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from('",\r\n \ufeff'), max_size=8)


def read(data: bytes, piece: int | None = None) -> list[list[str]]:
    reader = CommaReader()
    rows: list[list[str]] = []
    for at in range(0, len(data), piece or len(data) or 1):
        rows += reader.feed(data[at : at + (piece or len(data))])
    rows += reader.finish()
    return [] if reader.header is None else [reader.header, *rows]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", []),
        ("a,b\n", [["a", "b"]]),
        ("a,b", [["a", "b"]]),
        ("a,b\n1,2\n", [["a", "b"], ["1", "2"]]),
        ("a,b\r\n1,2\r\n", [["a", "b"], ["1", "2"]]),
        ("a,b\n1,2", [["a", "b"], ["1", "2"]]),
        ("\ufeffa,b\n1,2\n", [["a", "b"], ["1", "2"]]),
        ('a,b\n"1,5",2\n', [["a", "b"], ["1,5", "2"]]),
        ('a,b\n"1\n5",2\n', [["a", "b"], ["1\n5", "2"]]),
        ('a,b\n"1\r\n5",2\n', [["a", "b"], ["1\r\n5", "2"]]),
        ('a,b\n1,"say ""hi"""\n', [["a", "b"], ["1", 'say "hi"']]),
        ('a,b\n1,"""u-9"""\n', [["a", "b"], ["1", '"u-9"']]),
        ('a,b\n1,""\n', [["a", "b"], ["1", ""]]),
        ("a,b\n,\n", [["a", "b"], ["", ""]]),
        ("a,b\n\n1,2\n\r\n3,4\n\n", [["a", "b"], ["1", "2"], ["3", "4"]]),
        ("a,b\n 1 , 2 \n", [["a", "b"], [" 1 ", " 2 "]]),
        ("a\u2028b,c\n1\x0b,2\x85\n", [["a\u2028b", "c"], ["1\x0b", "2\x85"]]),
        ("å,ø\næ,𝄞\n", [["å", "ø"], ["æ", "𝄞"]]),
    ],
)
@pytest.mark.parametrize("piece", [1, 2, 3, 7, None])
def test_rows_out_of_bytes(text: str, rows: list[list[str]], piece: int | None) -> None:
    """However few bytes come at once, the rows are the same; blank lines are none."""
    assert read(text.encode(), piece) == rows


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"a,b\n1,2\n3\n", 3, "1 cells"),
        (b"a,b\n1,2\n3,4,5\n", 3, "3 cells"),
        (b'a,b\n"x\ny",2\n3\n', 4, "1 cells"),
        (b'a,b\n1,"2\n', 2, "end of data"),
        (b'a,b\n1,2\n3,"x"y\n', 3, "expected"),
        (b"a,b\n1,2\n\xff,4\n", 3, "UTF-8"),
        (b"a,b\n1,2\n3,\xc3", 3, "UTF-8"),
        (b"a,b\n1,2\r3,4\n", 2, "new-line"),
        (b'a,b\n1,"' + b"x" * 131_073 + b'"\n', 2, "field limit"),
    ],
)
@pytest.mark.parametrize("piece", [1000, None])
def test_what_is_no_row_is_told_with_its_line(data: bytes, line: int, words: str, piece: int | None) -> None:
    """Cut, ragged or in another encoding: never a shorter success."""
    with pytest.raises(MalformedRowsError, match=words) as caught:
        read(data, piece)
    assert caught.value.line == line


def test_a_quote_that_is_never_closed_ends_at_a_limit() -> None:
    """What does not end is not collected without end, nor looked at again and again."""
    reader = CommaReader()
    reader.feed(b'a,b\n1,"')
    piece = b"x,\n" * 20_000
    tracemalloc.start()
    with pytest.raises(MalformedRowsError, match="never closed"):
        for _ in range(MAX_ROW // len(piece) + 2):
            reader.feed(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * MAX_ROW


@given(
    st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1)), st.integers(1, 9)
)
def test_what_is_written_reads_the_same(rows: list[list[str]], piece: int) -> None:
    """By this reader in pieces of any size, and by Python's own over the whole."""
    data = comma_text(rows).encode()
    # A mark at the very beginning is taken for what it is in files.
    expected = rows
    if rows[0][0].startswith("\ufeff") and not comma_text(rows).startswith('"'):
        expected = [[rows[0][0][1:], *rows[0][1:]], *rows[1:]]
    if comma_text(expected).startswith("\n"):
        return
    assert read(data, piece) == expected
    assert [row for row in csv.reader(io.StringIO(data.decode(), newline="")) if row] == rows


def test_a_row_of_one_empty_cell_is_a_row() -> None:
    """A blank line would be none."""
    assert comma_text([["a"], [""], ["b"]]) == 'a\n""\nb\n'
    assert read(b'a\n""\nb\n') == [["a"], [""], ["b"]]
