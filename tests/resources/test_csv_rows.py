"""CSV files as they download: whatever comes, rows or the library's own errors."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from amplitude_async._protocol.commas import MalformedRowsError, comma_text
from amplitude_async.errors import AmplitudeError, ExportError, RequestSummary, UnexpectedResponseError
from amplitude_async.resources.csv_rows import CsvDownload, CsvRows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff<{["), max_size=6)


class Chunks:
    """A download of bytes that are there."""

    status = 200
    headers: Mapping[str, str] = {"content-type": "text/csv"}
    request = RequestSummary("GET", "https://amplitude.com", "/file", 1)

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks
        self.is_closed = False

    async def next_chunk(self) -> bytes | None:
        return self.chunks.pop(0) if self.chunks else None

    def close_soon(self) -> None:
        self.is_closed = True

    def dropped(self) -> None:
        self.is_closed = True

    async def aclose(self) -> None:
        self.is_closed = True


class Runner:
    """Tells a time that each look moves on, and waits for nothing."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def clock(self) -> float:
        self.now += 0.001
        return self.now

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


def as_lists(header: list[str]) -> Callable[[list[str]], list[str]]:
    return lambda cells: cells


def read(data: bytes, piece: int, runner: Runner | None = None) -> list[list[str]]:
    """Read a file that comes in pieces, without an event loop: nothing in it waits."""
    source = Chunks([data[at : at + piece] for at in range(0, len(data), piece)])

    async def begin() -> Any:
        return source

    rows: CsvRows[list[str]] = CsvRows(runner or Runner(), begin, as_lists)  # type: ignore[arg-type]  # what is asked of a runner here

    async def all_of() -> list[list[str]]:
        return [row async for row in rows]

    coroutine = all_of()
    try:
        coroutine.send(None)
    except StopIteration as end:
        found: list[list[str]] = end.value
        return found
    except AmplitudeError:
        assert source.is_closed
        raise
    message = "it waited"
    raise AssertionError(message)


@given(
    st.integers(1, 3).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=8)),
    st.integers(1, 40),
    st.sampled_from(["plain", "gzip", "gzips"]),
)
def test_rows_come_back(rows: list[list[str]], piece: int, form: str) -> None:
    """However they are packed, and however few bytes come at once."""
    text = comma_text([["a" * 2, *("b" for _ in rows[0][1:])], *rows]).encode()
    data = {"plain": text, "gzip": gzip.compress(text), "gzips": gzip.compress(text[:7]) + gzip.compress(text[7:])}[form]
    assert read(data, piece) == rows


@given(st.binary(max_size=200), st.integers(1, 50))
@example(b"\x1f\x8b", 1)
@example(b"\x1f\x8b\x08\x00", 3)
@example(b"\xef\xbb", 1)
@example(b'"', 1)
def test_whatever_comes_nothing_else_is_raised(data: bytes, piece: int) -> None:
    """Random bytes are rows, a damaged file, or none."""
    try:
        rows = read(data, piece)
    except (ExportError, UnexpectedResponseError):
        return
    assert all(isinstance(cell, str) for row in rows for cell in row)


@given(st.integers(0, 400), st.integers(0, 255), st.integers(1, 60))
def test_a_gzip_with_a_wrong_byte_is_never_a_shorter_list(place: int, value: int, piece: int) -> None:
    """It is found out, or the byte made no difference."""
    text = comma_text([["id", "name"], *([str(number), f"user-{number}"] for number in range(200))]).encode()
    packed = gzip.compress(text, mtime=0)
    place %= len(packed)
    broken = packed[:place] + bytes([value]) + packed[place + 1 :]
    try:
        rows = read(broken, piece)
    except (ExportError, UnexpectedResponseError):
        return
    assert rows == [[str(number), f"user-{number}"] for number in range(200)]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_gzip_that_is_cut_is_an_error(cut: int) -> None:
    """Wherever it is cut."""
    packed = gzip.compress(b"id,name\n" + b"1,user\n" * 50)
    with pytest.raises((ExportError, UnexpectedResponseError)):
        read(packed[:-cut], 10)


def test_a_bomb_is_read_bit_by_bit() -> None:
    """64 MiB out of 64 kB: each step gives little, and others have their turns between."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    line = b"1,user\n" * 9362
    packed = packer.compress(b"id,name\n") + b"".join(packer.compress(line) for _ in range(200)) + packer.flush()
    assert len(packed) < 200_000
    runner = Runner()
    assert len(read(packed, 65_536, runner)) == 200 * 9362
    assert len(runner.pauses) > 100
    assert set(runner.pauses) == {0}


def test_errors_inside_are_no_public_ones() -> None:
    """What a reader raises is turned into the library's own."""
    assert not issubclass(MalformedRowsError, AmplitudeError)


@pytest.mark.anyio
async def test_a_list_has_a_deadline_and_an_end() -> None:
    """A list that is not complete in time, or has more rows than any cohort, is an error and not a part of one."""
    source = Chunks([b"id\n", *[b"1\n"] * 100])
    runner = Runner()

    async def begin(_: float | None) -> Any:
        return source

    download: CsvDownload[list[str]] = CsvDownload(runner, begin, as_lists, 0.05)  # type: ignore[arg-type]  # what is asked of a runner here
    with pytest.raises(TimeoutError, match="still on its way"):
        await download
    assert source.is_closed
