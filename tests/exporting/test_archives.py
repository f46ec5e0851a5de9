"""The builder of archives that the tests of exports stand on, held against the standard library."""

from __future__ import annotations

import gzip
import io
import json
import re
import sys
import zipfile
import zlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from struct import calcsize, unpack_from
from typing import IO, TYPE_CHECKING, cast

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from archives import (
    AMPLITUDE,
    COLUMNS,
    CONTENTS,
    DOS_DATE,
    DOS_TIME,
    GOOD_LINE,
    HOSTILE_NAMES,
    HOUR,
    LAYOUTS,
    LINE_FAULTS,
    PROJECT,
    Layout,
    Member,
    bomb,
    build,
    deflated,
    forged_end,
    gzipped,
    hostile_members,
    hour_member,
    hour_members,
    hour_name,
    line_of,
    reference_rows,
    rows,
)

if TYPE_CHECKING:
    from archives import LineFault

MEMBERS = [Member("612345/612345_2026-05-01_7#0.json.gz", [line_of(row) for row in rows(20, 1)]), Member("b.json.gz", [b'{"a":1}'])]


def plain_rows(members: list[Member]) -> list[object]:
    """Return what was put in, by another way than through the archive."""
    contents = [member.content() for member in members]
    texts = [gzip.decompress(content) for content in contents if content.startswith(b"\x1f\x8b")]
    return [json.loads(line) for text in texts for line in text.split(b"\n") if line.strip()]


class Unseekable(io.RawIOBase):
    """Makes zipfile put sizes behind the data."""

    def __init__(self) -> None:
        super().__init__()
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.data += memoryview(cast("bytes", data))
        return len(memoryview(cast("bytes", data)))


def by_zipfile(stream: Unseekable | io.BytesIO, method: int, *, force_zip64: bool = False) -> bytes:
    with zipfile.ZipFile(cast("IO[bytes]", stream), "w") as zipped:
        for member in MEMBERS:
            assert isinstance(member.name, str)
            info = zipfile.ZipInfo(member.name, (2026, 5, 1, 7, 0, 0))
            info.compress_type = method
            with zipped.open(info, "w", force_zip64=force_zip64) as file:
                file.write(member.content())
    return bytes(stream.data) if isinstance(stream, Unseekable) else stream.getvalue()


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_open_in_zipfile(name: str) -> None:
    """Every content in the layout opens in zipfile, passes its test of CRCs, and gives the rows that were put in."""
    layout = LAYOUTS[name]
    for content, members in CONTENTS.items():
        archive = build(members, layout)
        with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
            assert zipped.testzip() is None, content
            assert len(zipped.infolist()) == len(members), content
            assert zipped.comment == layout.comment, content
        assert reference_rows(archive) == plain_rows(members[::-1] if layout.is_reversed else members), content


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize(
    ("layout", "is_seekable", "force_zip64"),
    [
        (Layout(sizes="behind"), False, False),
        (Layout(sizes="behind", is_wide_behind=True, is_wide_before=True), False, True),
        (Layout(sizes="before"), True, False),
        (Layout(sizes="before", is_wide_before=True), True, True),
    ],
)
def test_layouts_are_those_of_zipfile(layout: Layout, method: int, is_seekable: bool, force_zip64: bool) -> None:
    """The four layouts that zipfile can write itself are, up to the version fields, what it writes, byte by byte."""
    theirs = by_zipfile(io.BytesIO() if is_seekable else Unseekable(), method, force_zip64=force_zip64)
    ours = build(MEMBERS, replace(layout, method=method))

    def without_versions(archive: bytes) -> bytes:
        if force_zip64:
            # Pythons before 3.11.4 left the sizes of such a header where they stand twice.
            archive = re.sub(rb"(?s)(PK\x03\x04.{14}).{8}", rb"\1--------", archive)
        archive = re.sub(rb"(?s)PK\x03\x04..", b"PK\x03\x04", archive)
        return re.sub(rb"(?s)PK\x01\x02....", b"PK\x01\x02", archive)

    assert without_versions(ours) == without_versions(theirs)


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_have_what_their_names_say(name: str) -> None:
    """Headers, descriptors and end records have the fields that the layout asks for, with the right values in them."""
    layout = LAYOUTS[name]
    archive = build(MEMBERS, layout)
    with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
        infos = sorted(zipped.infolist(), key=lambda info: info.header_offset)
        directory = zipped.start_dir
    ends = [info.header_offset for info in infos[1:]] + [directory]
    for info, end in zip(infos, ends, strict=True):
        at = info.header_offset
        signature, _, flags, method, time, date, crc, packed, size, name_length, extra = unpack_from("<4s5H3I2H", archive, at)
        assert (signature, method, time, date, info.compress_type) == (b"PK\x03\x04", layout.method, DOS_TIME, DOS_DATE, layout.method)
        assert bool(flags & 8) == (layout.sizes != "before")
        at += 30 + name_length
        sums = (info.CRC, info.compress_size, info.file_size)
        if layout.is_wide_before:
            assert (packed, size, extra) == (0xFFFFFFFF, 0xFFFFFFFF, 20)
            size, packed = unpack_from("<4xQQ", archive, at)
        assert (crc, packed, size) == ((0, 0, 0) if layout.sizes == "behind" else sums)
        at += extra
        data = archive[at : at + info.compress_size]
        assert zlib.crc32(data if layout.method == 0 else zlib.decompress(data, -15)) == info.CRC
        at += info.compress_size
        if layout.sizes != "before":
            if layout.has_signature:
                assert archive[at : at + 4] == b"PK\x07\x08"
                at += 4
            form = "<IQQ" if layout.is_wide_behind else "<III"
            assert unpack_from(form, archive, at) == sums
            at += calcsize(form)
        assert at == end
    assert (archive[-22 - len(layout.comment) - 20 :][:4] == b"PK\x06\x07") == layout.is_wide_end
    assert (b"PK\x06\x06" in archive) == layout.is_wide_end
    first, extra_length = archive.index(b"PK\x01\x02"), 28 if layout.is_wide_central else 0
    assert unpack_from("<H", archive, first + 30) == (extra_length,)


def test_rows_are_like_amplitudes() -> None:
    """Rows have 45 to 55 of the 55 columns in recorded order, some 2.2 kB each, and shrink to about a sixth."""
    made = rows(2200, 3)
    assert len(COLUMNS) == 55
    assert list(COLUMNS) == sorted(COLUMNS)
    counts = {len(row) for row in made}
    assert counts == set(range(45, 56))
    assert all(list(row) == [column for column in COLUMNS if column in row] for row in made)
    text = b"".join(line_of(row) + b"\n" for row in made)
    assert 2150 < len(text) / len(made) < 2350
    assert 5.5 < len(text) / len(gzipped(text)) < 7
    assert all(row["server_upload_time"].startswith("2026-05-01 07:") for row in made)


def test_rows_are_the_same_again() -> None:
    """The same seed and hour give the same rows, others give others."""
    assert rows(5, 1) == rows(5, 1)
    assert rows(5, 1) != rows(5, 2)
    assert rows(5, 1) != rows(5, 1, hour=HOUR + timedelta(hours=1))
    assert build([hour_member(HOUR, 5)]) == build([hour_member(HOUR, 5)])


def test_hours_are_named_like_amplitudes() -> None:
    """A member's name has the project, the day, the hour without a zero before it, and its part."""
    assert hour_name(HOUR) == f"{PROJECT}/{PROJECT}_2026-05-01_7#0.json.gz"
    assert [member.name for member in hour_members(HOUR + timedelta(hours=16), 2, 1)] == [
        f"{PROJECT}/{PROJECT}_2026-05-01_23#0.json.gz",
        f"{PROJECT}/{PROJECT}_2026-05-02_0#0.json.gz",
    ]


@pytest.mark.parametrize("fault", LINE_FAULTS.values(), ids=list(LINE_FAULTS))
def test_line_faults_are_where_they_are_said_to_be(fault: LineFault) -> None:
    """The first line that is no JSON object is the one named, and as many lines as said are objects."""

    def is_row(line: bytes) -> bool:
        try:
            return isinstance(json.loads(line.decode()), dict)
        except (ValueError, RecursionError):
            return False

    lines = fault.text.split(b"\n")
    if not lines[-1]:
        lines.pop()
    verdicts = [is_row(line) for line in lines]
    assert verdicts.count(True) == fault.good
    assert (verdicts.index(False) + 1 if False in verdicts else 0) == fault.line
    assert is_row(GOOD_LINE)


def test_hostile_names_stand_in_the_archive() -> None:
    """Every hostile name is in the archive as it is, and its rows can be read without extracting."""
    archive = build(hostile_members([b'{"a":1}']))
    assert len(HOSTILE_NAMES) >= 20
    assert all(name in archive for name, _ in HOSTILE_NAMES)
    assert reference_rows(archive) == [{"a": 1}] * len(HOSTILE_NAMES)


@pytest.mark.parametrize("unit", [b"{}\n", b"\0", b'{"event_type":"' + b"a" * 1000 + b'"}\n'])
def test_bombs_are_proper_gzips(unit: bytes) -> None:
    """A bomb decodes to its repeated units, CRC and length being right."""
    member = bomb("bomb.json.gz", 5 << 20, unit)
    text = gzip.decompress(member.content())
    assert len(text) >= 5 << 20
    assert text == unit * (len(text) // len(unit))
    assert len(member.content()) < len(text) / 200


def test_bombs_cost_nothing_to_build() -> None:
    """Ten gigabytes fit in ten megabytes."""
    assert len(bomb("bomb.json.gz", 10 << 30).content()) < 11 << 20


def test_forged_ends_are_honest_to_who_follows_the_gzip() -> None:
    """The member with a forged end is one member for zipfile, with all its rows."""
    archive = build([forged_end([b'{"a":1}', b'{"a":2}']), MEMBERS[1]])
    assert reference_rows(archive) == [{"a": 1}, {"a": 2}, {"a": 1}]
    at = archive.index(b"PK\x07\x08")
    _, crc, packed, size = unpack_from("<4sIII", archive, at)
    data = archive[30 + len("forged.json.gz") : at]
    assert (crc, packed, size) == (zlib.crc32(data), len(data), len(data))
    assert archive[at + 16 : at + 20] == b"PK\x03\x04"


def test_deflated_is_what_zlib_reads() -> None:
    """Raw deflate comes back as it was."""
    assert zlib.decompress(deflated(b"abc" * 100), -15) == b"abc" * 100
    assert AMPLITUDE.sizes == "behind"
