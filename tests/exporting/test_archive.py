"""Rows out of archives: every layout and content, any chunking, zlib and isal, damage with member and line, bad rows, limits."""

from __future__ import annotations

import json
import random
import sys
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from archives import (
    CONTENTS,
    GOOD_LINE,
    HOUR,
    LAYOUTS,
    LINE_FAULTS,
    Member,
    bomb,
    build,
    gzipped,
    hostile_members,
    hour_members,
    line_of,
    reference_rows,
    rows,
)
from mutations import mutated

from amplitude_async._protocol.decoding import BadRows, Block, RowDecoder, RowSifter, lines_of
from amplitude_async._protocol.inflating import LONG_PIECE_BYTES, header_length, inflaters
from amplitude_async.errors import ExportError, InvalidArgumentError
from amplitude_async.exporting import archive as reading
from amplitude_async.exporting.archive import ArchiveReader
from amplitude_async.exporting.frames import PIECE_BYTES, ArchiveLimits
from amplitude_async.exporting.rows import ExportedEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from archives import LineFault

AMPLITUDE_LAYOUT = "stored, sizes behind"
LONG_LINE = b'{"event_type":"' + b"a" * 2000 + b'"}\n'


@pytest.fixture(params=["zlib", "isal"])
def inflater(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read with one inflater and then with the other."""
    name: str = request.param
    _use(name, monkeypatch)
    return name


def _use(name: str, patch: pytest.MonkeyPatch) -> None:
    if name not in inflaters():
        pytest.skip("the fast extra is not installed")
    make, corrupt = inflaters()[name]
    patch.setattr(reading, "new_gzip_inflater", make)
    patch.setattr(reading, "CORRUPT", corrupt)


class Reading:
    """Reads an archive in pieces, and keeps what came before an error."""

    def __init__(
        self,
        archive: bytes,
        size: int | random.Random = 65_536,
        *,
        model: Any = dict,
        is_strict: bool = False,
        bad_rows: BadRows = "raise",
        limits: ArchiveLimits | None = None,
        piece_bytes: int | None = None,
    ) -> None:
        self.rows: list[Any] = []
        self.skipped = 0
        self.longest = 0
        self.error: ExportError | None = None
        self.reader = ArchiveReader(limits, is_strict=is_strict, bad_rows=bad_rows, piece_bytes=piece_bytes)
        decoder = RowDecoder(model, bad_rows)
        try:
            for piece in _pieces(archive, size):
                self.reader.feed(piece)
                while (block := self.reader.read_block()) is not None:
                    self._take(block, decoder)
            self.reader.finish()
        except ExportError as error:
            self.error = error

    def _take(self, block: Block, decoder: RowDecoder[Any]) -> None:
        if not block.rows:
            return
        assert block.text.count(b"\n") + (not block.text.endswith(b"\n")) == block.rows
        self.longest = max(self.longest, len(block.text))
        found, skipped, error = decoder.decode(block)
        self.rows += found
        self.skipped += skipped
        if error is not None:
            raise error


def _pieces(data: bytes, size: int | random.Random) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        step = size if isinstance(size, int) else size.choice((1, 2, 3, 5, 16, 31, 100, 1000, 40_000))
        yield data[at : at + step]
        at += step


@cache
def archive_of(content: str, layout: str) -> bytes:
    return build(CONTENTS[content], LAYOUTS[layout])


@cache
def expected_rows(content: str) -> list[dict[str, Any]]:
    return reference_rows(build(CONTENTS[content]))


def of_text(text: bytes) -> bytes:
    return build([Member("a#0.json.gz", [b'{"a":1}']), Member("b#0.json.gz", raw=gzipped(text))])


# Whole archives


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("is_strict", [False, True])
def test_every_layout_and_content_gives_the_reference_rows(name: str, is_strict: bool, inflater: str) -> None:
    """What zipfile, gzip and json find in an archive is what comes out, whatever its layout and content."""
    for content in CONTENTS:
        read = Reading(archive_of(content, name), is_strict=is_strict)
        assert read.error is None, content
        # In the order of the members, also where the directory is backwards.
        assert read.rows == expected_rows(content), content
        assert read.reader.is_done
        assert read.skipped == 0


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(sorted(LAYOUTS)),
    st.sampled_from(sorted(CONTENTS)),
    st.booleans(),
    st.sampled_from(sorted(inflaters())),
    st.integers(0, 1 << 32),
)
def test_any_chunking_gives_the_same_rows(layout: str, content: str, is_strict: bool, inflater: str, seed: int) -> None:
    """How the bytes are cut up, on their way or when inflated, makes no difference, with either inflater, strict or not."""
    archive = archive_of(content, layout)
    with pytest.MonkeyPatch.context() as patch:
        _use(inflater, patch)
        read = Reading(archive, random.Random(seed), is_strict=is_strict)
        again = Reading(archive, len(archive), piece_bytes=1 + seed % 1000)
    assert read.error is None
    assert read.rows == again.rows
    assert read.reader.skipped_members == again.reader.skipped_members


@pytest.mark.parametrize("size", [1, 7])
def test_gzip_headers_may_come_in_parts(size: int, inflater: str) -> None:
    """Headers with any of their optional fields, cut anywhere, are no damage."""
    line = b'{"a":1}\n'
    members = [
        Member(f"{number}", raw=gzipped(line, extra=extra, name=name, has_header_crc=has_crc))
        for number, (extra, name, has_crc) in enumerate(
            (extra, name, has_crc)
            for extra in (None, b"ab\2\0xy", b"")
            for name in (None, b"n.json", b"")
            for has_crc in (False, True)
        )
    ]
    commented = bytearray(gzipped(line, name=b"n"))
    commented[3] |= 0x10
    commented[12:12] = b"a comment\0"
    members.append(Member("comment", raw=bytes(commented)))
    assert Reading(build(members), size).rows == [{"a": 1}] * len(members)


@pytest.mark.parametrize(
    ("header", "length"),
    [
        (b"", None),
        (b"\x1f\x8b\x08\0\0\0\0\0\0", None),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\xff", 10),
        (b"\x1f\x8b\x08\2\0\0\0\0\0\xff\1\2rest", 12),
        (b"\x1f\x8b\x08\2\0\0\0\0\0\xff\1", None),
        (b"\x1f\x8b\x08\4\0\0\0\0\0\xff\2\0ab", 14),
        (b"\x1f\x8b\x08\4\0\0\0\0\0\xff\2", None),
        (b"\x1f\x8b\x08\4\0\0\0\0\0\xff\xff\xffab", None),
        (b"\x1f\x8b\x08\x18\0\0\0\0\0\xffname\0comment\0rest", 23),
        (b"\x1f\x8b\x08\x18\0\0\0\0\0\xffname\0comment", None),
        (b"\x1f\x8b\x08\x1e\0\0\0\0\0\xff\1\0xn\0c\0\1\2", 19),
    ],
)
def test_a_gzip_header_has_its_fields(header: bytes, length: int | None) -> None:
    """A header's length is that of its fields, and not known before all of them are there."""
    assert header_length(header) == length


def test_a_header_without_end_is_an_error(inflater: str) -> None:
    """A name that never ends is damage, found out before much of it was gathered."""
    endless = b"\x1f\x8b\x08\x08\0\0\0\0\0\xff" + b"n" * 2_000_000
    read = Reading(build([Member("endless", raw=endless)]), 10_000)
    assert read.error is not None
    assert "header without end" in str(read.error)
    assert read.reader.downloaded_bytes < 300_000


def test_rows_come_before_the_download_is_over() -> None:
    """The first rows are there within the first 64 kB, and a step gives no more than it inflates."""
    archive = build(hour_members(HOUR, 1, 600))
    reader = ArchiveReader()
    reader.feed(archive[:65_536])
    first = next(block for block in iter(reader.read_block, None) if block.rows)
    assert first.line == 1
    assert len(first.text) <= PIECE_BYTES
    assert Reading(archive).longest <= 2 * PIECE_BYTES
    assert 2 * PIECE_BYTES < Reading(archive, piece_bytes=LONG_PIECE_BYTES).longest <= 2 * LONG_PIECE_BYTES


def test_what_is_no_gzip_is_skipped_and_counted() -> None:
    """Files beside the rows hold none: they are counted, twenty of them by name, folders not at all."""
    read = Reading(build(CONTENTS["plain text beside"]))
    assert (read.reader.members, read.reader.skipped_count) == (1, 3)
    assert read.reader.skipped_members == ["readme.txt", "one", "e"]
    many = Reading(build([Member(f"{number}.txt", raw=b"text" * number) for number in range(1, 51)]))
    assert (many.reader.members, many.reader.skipped_count, len(many.reader.skipped_members)) == (0, 50, 20)
    folders = Reading(build(CONTENTS["folders beside"]))
    assert (folders.reader.members, folders.reader.skipped_count) == (2, 0)


def test_what_is_no_gzip_is_not_held_back() -> None:
    """Strict reading holds rows, not the files beside them, however long these are."""
    members = [Member("long.txt", raw=b"text" * 100_000), Member("a#0.json.gz", [b'{"a":1}'])]
    read = Reading(build(members), is_strict=True, limits=ArchiveLimits(held_bytes=70_000))
    assert (read.error, read.rows, read.reader.skipped_count) == (None, [{"a": 1}], 1)


@pytest.mark.parametrize("is_strict", [False, True])
def test_names_that_look_like_folders_may_hold_rows(is_strict: bool) -> None:
    """A file whose name ends with a slash is read as any other: its last line, its damage, and nothing of it in the next file."""
    members = [Member("x/", [b'{"a":1}', b'{"a":2}'], has_last_line_end=False), Member("y", [b'{"a":3}'])]
    assert Reading(build(members), is_strict=is_strict).rows == [{"a": 1}, {"a": 2}, {"a": 3}]
    cut = Reading(build([Member("x/", raw=gzipped(b'{"a":1}\n')[:-3]), Member("y", [b'{"a":3}'])]), is_strict=is_strict)
    assert cut.error is not None
    assert cut.error.member == "x/"


def test_hostile_names_lead_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows under names that would lead out of a folder are decoded without anything being extracted (F6)."""
    monkeypatch.chdir(tmp_path)
    read = Reading(build(hostile_members([b'{"a":1}'])))
    assert read.rows == [{"a": 1}] * len(hostile_members([]))
    assert list(tmp_path.rglob("*")) == []


# Damage


@pytest.mark.parametrize("is_strict", [False, True])
def test_a_cut_at_every_byte_is_an_error(is_strict: bool, inflater: str) -> None:
    """Cut after any byte, an archive gives a true prefix of its rows and then an error."""
    archive = build([Member("a#0.json.gz", [b'{"a":%d}' % n for n in range(40)], gzips=2), Member("b#0.json.gz", [b'{"b":1}'])])
    whole = reference_rows(archive)
    for at in range(len(archive)):
        read = Reading(archive[:at], 97, is_strict=is_strict)
        assert read.error is not None
        assert read.rows == whole[: len(read.rows)]


@pytest.mark.parametrize("name", [AMPLITUDE_LAYOUT, "stored, sizes before", "deflated, sizes behind"])
@pytest.mark.parametrize("is_strict", [False, True])
def test_no_flipped_bit_goes_undetected(name: str, is_strict: bool, inflater: str) -> None:
    """Of 500 bits flipped in members none stays undetected, the member is named, and strict rows before are a true prefix (F4)."""
    members = hour_members(HOUR, 3, 6)
    archive = build(members, LAYOUTS[name])
    whole = reference_rows(archive)
    spans: dict[str, tuple[int, int]] = {}
    for member in members:
        content = member.content()
        data = content if name.startswith("stored") else zlib.compress(content, 6, -15)
        spans[str(member.name)] = (archive.index(data), archive.index(data) + len(data))
    chance = random.Random(f"{name} {is_strict}")
    for _ in range(500):
        named, (begin, end) = chance.choice(sorted(spans.items()))
        bit = chance.randrange(8 * begin, 8 * end)
        damaged = bytearray(archive)
        damaged[bit // 8] ^= 1 << bit % 8
        read = Reading(bytes(damaged), 4096, is_strict=is_strict)
        assert read.error is not None
        assert read.error.member == named
        if is_strict:
            before = sum(len(one.lines or ()) for one in members if str(one.name) < named)
            assert read.rows == whole[: len(read.rows)]
            assert len(read.rows) == before


@pytest.mark.parametrize(
    ("what", "raw", "words"),
    [
        ("a gzip cut in its data", gzipped(b'{"a":1}\n' * 9)[:-12], "cut short"),
        ("a gzip cut in its end", gzipped(b'{"a":1}\n')[:-1], "cut short"),
        ("a gzip cut in its header", gzipped(b'{"a":1}\n')[:7], "cut short"),
        ("a header cut in its name", gzipped(b'{"a":1}\n', name=b"name")[:12], "cut short"),
        ("a further gzip that is cut", gzipped(b'{"a":1}\n') * 2 + gzipped(b"{}\n")[:-4], "cut short"),
        ("a further gzip cut in its header", gzipped(b'{"a":1}\n') + gzipped(b"{}\n")[:5], "cut short"),
        ("text behind the gzip", gzipped(b'{"a":1}\n') + b"text", "no gzip follows"),
        ("one byte behind the gzip", gzipped(b'{"a":1}\n') + b"\x1f", "no gzip follows"),
        ("a wrong CRC", gzipped(b'{"a":1}\n')[:-8] + b"\1\2\3\4" + gzipped(b'{"a":1}\n')[-4:], "corrupt"),
        ("a wrong length", gzipped(b'{"a":1}\n')[:-4] + b"\1\2\3\4", "corrupt"),
        ("a method that no gzip has", b"\x1f\x8b\x07" + gzipped(b'{"a":1}\n')[3:], "corrupt"),
        ("no deflate at all", gzipped(b"")[:10] + b"\xff" * 40, "corrupt"),
    ],
)
@pytest.mark.parametrize("is_strict", [False, True])
@pytest.mark.parametrize("size", [1, 65_536])
def test_damage_within_the_gzip_names_member_and_line(
    what: str, raw: bytes, words: str, is_strict: bool, size: int, inflater: str
) -> None:
    """A gzip that is wrong in an archive that is right is an error that names the member; strictly, before any of its rows."""
    archive = build([Member("a", [b'{"a":0}']), Member("b", raw=raw), Member("c", [b'{"a":2}'])])
    read = Reading(archive, size, is_strict=is_strict)
    assert read.error is not None
    assert words in str(read.error)
    assert read.error.member == "b"
    assert read.error.line >= 1
    assert f"(member b, line {read.error.line})" in str(read.error)
    assert read.rows[0] == {"a": 0}
    assert {"a": 2} not in read.rows
    if is_strict:
        assert read.rows == [{"a": 0}]


# Rows


@pytest.mark.parametrize("name", LINE_FAULTS)
@pytest.mark.parametrize("size", [1, 65_536])
def test_bad_lines_are_errors_with_member_and_line(name: str, size: int, inflater: str) -> None:
    """A line that is no JSON object is an error that says where, after the rows before it; or left out and counted (F7)."""
    fault = LINE_FAULTS[name]
    archive = of_text(fault.text)
    read = Reading(archive, size if len(fault.text) < 10_000 else 1000)
    if fault.line:
        assert read.error is not None
        assert (read.error.member, read.error.line) == ("b#0.json.gz", fault.line)
        assert f"line {fault.line})" in str(read.error)
        assert len(read.rows) == fault.line
    else:
        assert read.error is None
        assert len(read.rows) == 1 + fault.good
    skipping = Reading(archive, bad_rows="skip")
    assert skipping.error is None
    assert len(skipping.rows) == 1 + fault.good
    lines = fault.text.count(b"\n") + (not fault.text.endswith(b"\n"))
    assert skipping.skipped == lines - fault.good


@pytest.mark.parametrize("name", LINE_FAULTS)
def test_what_is_written_as_it_was_sent_is_looked_at_as_closely(name: str) -> None:
    """Lines that go to files untouched are the same that can be read as rows."""
    fault = LINE_FAULTS[name]
    lines = fault.text.count(b"\n") + (not fault.text.endswith(b"\n"))
    block = Block(lines_of(fault.text), "b", 11)
    kept, skipped, error = RowSifter("raise").sift(block)
    if fault.line:
        assert error is not None
        assert (error.member, error.line) == ("b", 10 + fault.line)
        assert kept.rows == fault.line - 1
    else:
        assert (error, kept) == (None, block)
    kept, skipped, error = RowSifter("skip").sift(block)
    assert (kept.rows, skipped, error) == (fault.good, lines - fault.good, None)
    assert [json.loads(line) for line in kept.lines] == [
        row for row in Reading(of_text(fault.text), bad_rows="skip").rows if row != {"a": 1}
    ]


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1}{"a":2}\n\n',
        b'\n{"a":1}{"a":2}\n',
        b'{"a":1}{"a":2}\n{"a":\n3}\n{"a":4}\n',
        b'{"a":1} {"a":2}\n \n{"a":3}\n',
        b'{"a":\n1}{"a":2}\n',
        b'{"a":[{}\n]}{"a":2}\n',
        b'{"a":1}\n{"a":2}{"a":3}\n\r\n',
        b'{"a":1}{"a":2}\n\n{"a":1}{"a":2}',
        b'\n{"a":1}{"a":2}',
    ],
)
@pytest.mark.parametrize("model", [dict, Any])
def test_as_many_rows_as_lines_is_not_a_row_a_line(text: bytes, model: Any) -> None:
    """Two objects on a line make up for no blank line, and none may go on in the next: such lines are bad rows, also to sift."""
    read = Reading(of_text(text), model=model)
    assert read.error is not None
    sifted = RowSifter("raise").sift(Block(lines_of(text), "b", 1))
    assert sifted.error is not None
    assert sifted.error.line == read.error.line
    bad = Reading(of_text(text), bad_rows="skip", model=model)
    assert bad.skipped >= 1


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                b"{}",
                b'{"a":1}',
                b'{"a":"\xc3\xa9"}',
                b"",
                b" ",
                b"[1]",
                b"null",
                b"{",
                b"}",
                b'{"a":',
                b"1}",
                b'{"a":"\xff"}',
                b"\r",
                b"{}{}",
            ]
        ),
        max_size=12,
    ),
    st.booleans(),
    st.integers(0, 1 << 16),
)
def test_any_lines_are_rows_exactly_if_json_says_so(lines: list[bytes], has_end: bool, seed: int) -> None:
    """Of lines of every kind in any order, those that are one JSON object each are the rows, and all others are counted."""

    def is_row(line: bytes) -> bool:
        try:
            return isinstance(json.loads(line.decode()), dict)
        except ValueError:
            return False

    text = b"\n".join(lines) + b"\n" * has_end
    # Nothing behind the last line end is no line.
    taken = text.split(b"\n")[: -1 if text.endswith(b"\n") or not text else None]
    read = Reading(of_text(text), random.Random(seed), bad_rows="skip")
    assert read.error is None
    expected = [json.loads(line) for line in taken if is_row(line)]
    assert read.rows == [{"a": 1}, *expected]
    assert read.skipped == len(taken) - len(expected)
    raising = Reading(of_text(text))
    if read.skipped:
        assert raising.error is not None
        assert raising.error.line == 1 + [is_row(line) for line in taken].index(False)
    else:
        assert raising.error is None


class Point(msgspec.Struct):
    user_id: str
    event_id: int = 0
    event_properties: msgspec.Raw = msgspec.Raw(b"{}")


@dataclass
class Plain:
    event_type: str
    paying: bool | None = None


class Keyed(TypedDict):
    event_type: str


@pytest.mark.parametrize(
    ("model", "piece_bytes"),
    [
        (dict, PIECE_BYTES),
        (dict[str, Any], PIECE_BYTES),
        (Any, PIECE_BYTES),
        (msgspec.Raw, PIECE_BYTES),
        (ExportedEvent, PIECE_BYTES),
        (msgspec.defstruct("Seventeen", [f"c{n}" for n in range(17)]), PIECE_BYTES),
        (msgspec.defstruct("Sixteen", [f"c{n}" for n in range(16)]), LONG_PIECE_BYTES),
        (Point, LONG_PIECE_BYTES),
        (Plain, LONG_PIECE_BYTES),
        (Keyed, LONG_PIECE_BYTES),
    ],
)
def test_a_model_of_few_columns_is_given_more_text(model: Any, piece_bytes: int) -> None:
    """Rows of up to 16 columns leave room in the processor's cache for more text; larger ones do not, nor may all of it be bad rows."""
    assert RowDecoder(model, "raise").piece_bytes == piece_bytes
    assert RowDecoder(model, "skip").piece_bytes == PIECE_BYTES


def test_rows_become_models() -> None:
    """A Struct, a dataclass, a mapping of types: whatever msgspec decodes into takes the columns that it asks for."""
    archive = build([Member("a", [line_of(row | {"user_id": f"u{n}"}) for n, row in enumerate(rows(60, 1))])])
    points = Reading(archive, model=Point).rows
    assert [point.user_id for point in points] == [f"u{n}" for n in range(60)]
    assert json.loads(bytes(points[3].event_properties)) == reference_rows(archive)[3]["event_properties"]
    assert {type(row) for row in Reading(archive, model=Plain).rows} == {Plain}
    assert Reading(archive, model=dict[str, Any]).rows == reference_rows(archive)
    assert Reading(archive, model=Any).rows == reference_rows(archive)


def test_rows_that_a_model_refuses_are_bad_rows() -> None:
    """A row without what the model needs is an error that names the column, and no value; numbers may come as text."""
    archive = of_text(b'{"user_id":"u","event_id":"7"}\n{"user_id":"secret@example.org","event_id":"x"}\n{"event_id":1}\n')
    read = Reading(archive, model=Point, bad_rows="skip")
    assert [row.event_id for row in read.rows] == [7]
    assert read.skipped == 3
    read = Reading(
        build([Member("b", raw=gzipped(b'{"user_id":"u"}\n{"user_id":"secret@example.org","event_id":"x"}\n'))]), model=Point
    )
    assert read.error is not None
    assert read.error.line == 2
    assert "event_id" in str(read.error)
    assert "secret" not in str(read.error)


class Unknown:
    """Nothing that JSON could become."""


@dataclass
class Dangling:
    value: NoSuchType  # type: ignore[name-defined]  # noqa: F821 - what is tested


@pytest.mark.parametrize("model", [5, list[int] | tuple[int, ...], Unknown, object, Dangling, [int]])
def test_models_that_cannot_be_made_are_refused_at_once(model: Any) -> None:
    """What no row could become is an InvalidArgumentError before anything is read."""
    with pytest.raises(InvalidArgumentError, match="model") as caught:
        RowDecoder(model, "raise")
    assert caught.value.argument == "model"


# Limits


@pytest.mark.parametrize("limit", [20, 1000, 40_000, 70_000])
@pytest.mark.parametrize("size", [100, 65_536])
def test_longer_lines_than_allowed_are_bad_rows(limit: int, size: int) -> None:
    """A line over the limit is an error that says where, or left out and counted; one byte less is a row (S23)."""

    def line(length: int) -> bytes:
        return b'{"a":"' + b"x" * (length - 8) + b'"}'

    limits = ArchiveLimits(line_bytes=limit)
    for place in range(3):
        lines = [line(limit)] * 3
        fine = Reading(build([Member("m", lines)]), size, limits=limits)
        assert (fine.error, len(fine.rows)) == (None, 3)
        lines[place] = line(limit + 1)
        for has_end in (True, False):
            archive = build([Member("m", lines, has_last_line_end=has_end), Member("n", [b'{"a":2}'])])
            read = Reading(archive, size, limits=limits)
            assert read.error is not None
            assert (read.error.member, read.error.line) == ("m", place + 1)
            read = Reading(archive, size, limits=limits, bad_rows="skip")
            assert (read.error, len(read.rows), read.skipped) == (None, 3, 1)
            assert read.rows[-1] == {"a": 2}


@pytest.mark.parametrize("bad_rows", ["raise", "skip"])
def test_a_line_without_end_is_not_gathered(bad_rows: BadRows) -> None:
    """Of a line of 64 MiB no more is kept than the 16 MiB that a line may have (F7)."""
    archive = build([bomb("long.json.gz", 64 << 20, b"x" * 1024), Member("n", [b'{"a":2}'])])
    reader = ArchiveReader(ArchiveLimits(ratio=2000), bad_rows=bad_rows)
    decoder = RowDecoder(dict, bad_rows)
    reader.feed(archive)
    found: list[tuple[int, int]] = []
    most = 0
    fault: ExportError | None = None
    try:
        while (block := reader.read_block()) is not None:
            most = max(most, sum(map(len, reader._lines._partial)))
            if block.rows:
                rows_of, skipped, _ = decoder.decode(block)
                found.append((len(rows_of), skipped))
        reader.finish()
    except ExportError as error:
        fault = error
    if bad_rows == "raise":
        assert fault is not None
        assert "longer than 16,777,216 bytes" in str(fault)
        assert fault.line == 1
    else:
        assert fault is None
        assert found == [(0, 1), (1, 0)]
    assert 16 << 20 >= most > 15 << 20


def test_a_bomb_stops_at_the_ratio(inflater: str) -> None:
    """10 MB that would grow to 10 GB stop at 32 MiB, in steps of 32 kB that hold nothing back (F5)."""
    archive = build([bomb("bomb.json.gz", 10 << 30, LONG_LINE)])
    for is_strict in (False, True):
        reader = ArchiveReader(is_strict=is_strict)
        with pytest.raises(ExportError, match="400 times") as caught:
            for piece in _pieces(archive, 65_536):
                reader.feed(piece)
                while (block := reader.read_block()) is not None:
                    assert len(block.text) <= 2 * PIECE_BYTES
        assert caught.value.member == "bomb.json.gz"
        assert reader.decoded_bytes <= ArchiveLimits().ratio_from_bytes + PIECE_BYTES
        assert reader.downloaded_bytes < 200_000


def test_bombs_within_deflate_stop_too() -> None:
    """Grown twice over, by deflate and by gzip, is grown as well."""
    read = Reading(build([bomb("bomb.json.gz", 100 << 20, LONG_LINE)], LAYOUTS["deflated, sizes behind"]))
    assert read.error is not None
    assert "400 times" in str(read.error)


def test_the_ratio_is_the_same_when_strict() -> None:
    """What is held back is inflated twice, but grows once: an archive just within the ratio is read, strictly as well."""
    text = (b'{"a":"' + b"a" * 300 + b'"}\n') * 20_000
    archive = build([Member("m", raw=gzipped(text))])
    ratio = len(text) / len(archive)
    limits = ArchiveLimits(ratio=ratio * 1.2, ratio_from_bytes=1000)
    assert Reading(archive, is_strict=True, limits=limits).error is None
    assert Reading(archive, is_strict=True, limits=limits._replace(ratio=ratio * 0.8)).error is not None


def test_strict_holds_back_so_much() -> None:
    """A file longer than may be held back is an error that says what to do; without strict it is read."""
    archive = build(hour_members(HOUR, 2, 100))
    limits = ArchiveLimits(held_bytes=20_000)
    read = Reading(archive, is_strict=True, limits=limits)
    assert read.error is not None
    assert "save(verify='rows')" in str(read.error)
    assert read.error.member.endswith("_7#0.json.gz")
    assert Reading(archive, limits=limits).error is None


def test_more_members_than_allowed_are_an_error() -> None:
    """The limit of members is kept by who reads rows as well."""
    read = Reading(build(hour_members(HOUR, 3, 1)), limits=ArchiveLimits(members=2))
    assert read.error is not None
    assert "more than 2 members" in str(read.error)
    assert len(read.rows) == 2


def test_inflating_copies_nothing_again_and_again() -> None:
    """A long file in one piece is offered to the inflater 64 kB at a time: what it leaves is copied at every step."""
    archive = build([Member("m", raw=gzipped(b'{"a":1}\n' * 400_000, level=0))])
    offered = 0

    class Watched:
        def __init__(self) -> None:
            self._real = zlib.decompressobj(31)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def decompress(self, data: bytes, limit: int) -> bytes:
            nonlocal offered
            offered += len(data)
            return self._real.decompress(data, limit)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "new_gzip_inflater", Watched)
        read = Reading(archive, len(archive))
    assert len(read.rows) == 400_000
    assert offered < 4 * len(archive)


# Anything


@pytest.mark.parametrize("name", LAYOUTS)
def test_mutations_give_export_errors_alone(name: str, inflater: str) -> None:
    """Of 60 mutations of archives in the layout, each is read or is an ExportError, and ends (S27)."""
    chance = random.Random(f"rows {name}")
    limits = ArchiveLimits(line_bytes=100_000, members=1000, ratio_from_bytes=1 << 20, held_bytes=1 << 20)
    archives = [
        archive_of(content, name)
        for content in (
            "gzip headers with all fields",
            "several gzips in one",
            "plain text beside",
            "no last line end",
            "stored gzips",
        )
    ]
    for _ in range(60):
        data = mutated(chance.choice(archives), chance)
        Reading(
            data,
            chance.choice((1000, 65_536, chance)),
            is_strict=chance.random() < 0.5,
            bad_rows=chance.choice(("raise", "skip")),
            limits=limits,
            model=chance.choice((dict, Point, msgspec.Raw)),
        )


def _contents_of(fault: LineFault) -> list[bytes]:
    return fault.text.split(b"\n")


def test_mutated_lines_give_export_errors_alone() -> None:
    """Of 1,500 texts of mutated rows, each line is a row or is left out, whatever became of it (S27)."""
    chance = random.Random("lines")
    good = [line_of(row) for row in rows(3, 9)]
    faulty = [line for fault in LINE_FAULTS.values() if len(fault.text) < 5000 for line in _contents_of(fault)]
    for _ in range(1500):
        lines = [chance.choice((*good, *faulty, GOOD_LINE[:-1])) for _ in range(chance.randrange(1, 6))]
        text = bytearray(b"\n".join(lines) + b"\n")
        for _ in range(chance.randrange(4)):
            text[chance.randrange(len(text))] = chance.choice(b'{}[]",:\\\n\r \x00\xff\xc3u0')
        count = text.count(b"\n") + (not text.endswith(b"\n"))
        block = Block(lines_of(bytes(text)), "m", 1)
        for model in (dict, Point, Any):
            found, skipped, error = RowDecoder(model, "skip").decode(block)
            assert error is None
            assert len(found) + skipped == count
        kept, skipped, error = RowSifter("skip").sift(block)
        assert error is None
        assert kept.rows + skipped == count == block.rows


HALF = rb'{"event_type":"cut","event_properties":{"text":"\ud83d"}}'


class Cut(msgspec.Struct):
    event_type: str
    event_properties: dict[str, str]


def test_halves_of_surrogate_pairs_are_text() -> None:
    """A row whose text was cut within a character is read like any other, as a dict, as a model, and as it is."""
    block = Block([b"{}\n", HALF + b"\n"], "m", 1)
    decoded = RowDecoder(dict, "raise").decode(block)
    assert decoded.error is None
    assert decoded.rows[1] == {"event_type": "cut", "event_properties": {"text": "\ud83d"}}
    only = Block([HALF], "m", 1)
    assert RowDecoder(Cut, "raise").decode(only).rows[0].event_properties == {"text": "\ud83d"}
    assert RowSifter("raise").sift(block).block.text == block.text


@pytest.mark.parametrize(
    "line", [HALF[:-1], HALF + b"{}", b"[" + HALF + b"]", HALF.replace(b"cut", b"\xff"), HALF.replace(b'"cut"', b"NaN")]
)
def test_halves_of_pairs_excuse_nothing_else(line: bytes) -> None:
    """A line with such a half that is no JSON object in UTF-8 otherwise is a bad row."""
    block = Block([line + b"\n"], "m", 1)
    assert RowDecoder(dict, "raise").decode(block).error is not None
    assert RowSifter("skip").sift(block).skipped == 1
