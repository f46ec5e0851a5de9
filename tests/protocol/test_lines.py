"""One gzip of lines, read as it downloads: whole lines whatever the cuts, every fault an ExportError, never more than the caps."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_async import ExportError
from amplitude_async._protocol.decoding import RowDecoder
from amplitude_async._protocol.inflating import PIECE_BYTES, ArchiveLimits
from amplitude_async._protocol.lines import LineReader

ROWS = [{"event_type": f"e{n}", "n": n, "text": "æ" * (n % 50)} for n in range(2000)]
TEXT = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in ROWS)


def read(pieces: list[bytes], *, limits: ArchiveLimits | None = None, skip: bool = False, finish: bool = True) -> list[bytes]:
    """Read the lines of a file that comes in pieces."""
    reader = LineReader("outputs/0", limits, bad_rows="skip" if skip else "raise")
    lines: list[bytes] = []

    def take() -> None:
        while (block := reader.read_block()) is not None:
            assert block.rows == 0 or block.line == len(lines) + 1
            assert all(line.find(b"\n") in {-1, len(line) - 1} for line in block.lines)
            lines.extend(line.removesuffix(b"\n") for line in block.lines)

    for piece in pieces:
        reader.feed(piece)
        take()
    if finish:
        reader.finish()
        take()
    return lines


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 7, 1000, 65536, 10**7])
@pytest.mark.parametrize("form", ["gzip", "two gzips", "padded", "plain", "no last end"])
def test_the_same_lines_whatever_the_cuts(size: int, form: str) -> None:
    """A gzip, several in a row, one with zeros behind it, and what was inflated on the way all give every line once."""
    half = TEXT.index(b"\n", len(TEXT) // 2) + 20
    data = {
        "gzip": gzip.compress(TEXT),
        "two gzips": gzip.compress(TEXT[:half]) + gzip.compress(TEXT[half:]),
        "padded": gzip.compress(TEXT) + bytes(600),
        "plain": TEXT,
        "no last end": gzip.compress(TEXT.rstrip(b"\n")),
    }[form]
    assert read(cut(data, size)) == TEXT.splitlines()


def test_its_blocks_become_rows() -> None:
    """What it gives is what the decoder of exports takes."""
    reader = LineReader("outputs/0")
    reader.feed(gzip.compress(TEXT))
    reader.finish()
    decoder = RowDecoder(dict, "raise")
    rows = []
    while (block := reader.read_block()) is not None:
        assert len(block.text) <= PIECE_BYTES + 1000
        rows += decoder.decode(block).rows if block.rows else []
    assert rows == ROWS


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b" ")), min_size=1, max_size=30), st.integers(1, 40))
def test_any_lines_come_back(lines: list[bytes], size: int) -> None:
    """Nothing is added, lost or joined, whatever the lines hold."""
    assert read(cut(gzip.compress(b"\n".join(lines) + b"\n"), size)) == lines


@pytest.mark.parametrize("keep", [0, 1, 5, 12, 100, -1, -8])
def test_a_cut_file_is_an_error(keep: int) -> None:
    """Cut anywhere, the file is never taken for a shorter one."""
    data = gzip.compress(TEXT)[:keep]
    with pytest.raises(ExportError, match="cut short" if data else "empty") as caught:
        read(cut(data, 50) if data else [])
    assert caught.value.member == "outputs/0"


def test_a_damaged_file_is_an_error() -> None:
    """A flipped bit in the data or in the checksum is found, and so is what follows a gzip without being one."""
    data = gzip.compress(TEXT, mtime=0)
    for at in (200, len(data) - 6):
        broken = bytearray(data)
        broken[at] ^= 0x10
        with pytest.raises(ExportError):
            read([bytes(broken)])
    with pytest.raises(ExportError, match="no gzip follows"):
        read([data + b"oops"])


def test_a_header_without_end_is_an_error() -> None:
    """A file name that never ends is not collected for ever."""
    with pytest.raises(ExportError, match="header"):
        read(cut(b"\x1f\x8b\x08\x08" + b"x" * (200 << 10), 65536), finish=False)


def test_a_long_line_is_an_error_or_left_out() -> None:
    """A line beyond the limit is refused with its number, or stands as a blank one that the decoder counts as skipped."""
    limits = ArchiveLimits(line_bytes=100)
    text = b'{"a":1}\n{"b":"' + b"x" * 100_000 + b'"}\n{"c":1}\n' + b"y" * 101
    for size in (1000, 10**6):
        with pytest.raises(ExportError, match="longer than 100") as caught:
            read(cut(gzip.compress(text), size), limits=limits)
        assert caught.value.line == 2
        assert read(cut(text, size), limits=limits, skip=True) == [b'{"a":1}', b"", b'{"c":1}', b""]
    assert read([gzip.compress(b"x" * 100)], limits=limits) == [b"x" * 100]


def test_a_bomb_stops_at_the_cap() -> None:
    """What grows beyond belief is given up, with no more of it in memory than one step gives."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([*(packer.compress(b"\n" * (1 << 20)) for _ in range(64)), packer.flush()])
    reader = LineReader("outputs/0")
    reader.feed(bomb)
    with pytest.raises(ExportError, match="400 times"):
        while (block := reader.read_block()) is not None:
            assert len(block.text) <= PIECE_BYTES
    assert reader.decoded_bytes <= (32 << 20) + PIECE_BYTES
