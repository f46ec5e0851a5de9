"""A zip read forward: every layout whole, every cut and every lie found out, the member named, whatever the bytes."""

from __future__ import annotations

import random
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from struct import pack
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from archives import (
    CONTENTS,
    HOSTILE_NAMES,
    HOUR,
    LAYOUTS,
    Layout,
    Member,
    bomb,
    build,
    forged_end,
    gzipped,
    hostile_members,
    hour_members,
)
from mutations import mutated

from amplitude_async.errors import ExportError
from amplitude_async.exporting.frames import CENTRAL, DATA, END, HEADER, PIECE_BYTES, TRAILER, ArchiveLimits, ZipFrames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SMALL = [Member("a#0.json.gz", [b'{"a":1}']), Member("b/", raw=b""), Member("c#0.json.gz", [b'{"c":3}'])]


def pieces(data: bytes, size: int | random.Random) -> Iterable[bytes]:
    at = 0
    while at < len(data):
        step = size if isinstance(size, int) else size.choice((1, 2, 3, 5, 16, 31, 100, 1000, 40_000))
        yield data[at : at + step]
        at += step


def read(archive: bytes, size: int | random.Random = 65_536, limits: ArchiveLimits | None = None) -> list[tuple[str, int, bytes]]:
    """Return name, offset and content of each member, having checked that the frames are the archive and in order."""
    frames = ZipFrames(limits)
    found: list[tuple[str, int, bytes]] = []
    content: list[bytes] = []
    raw: list[bytes] = []
    last = END
    for piece in pieces(archive, size):
        frames.feed(piece)
        while (frame := frames.next_frame()) is not None:
            assert frame.kind in FOLLOWS[last], (last, frame.kind)
            last = frame.kind
            raw.append(bytes(frame.raw))
            if frame.kind == HEADER:
                content.clear()
            elif frame.kind == DATA:
                content.append(bytes(frame.payload))
            elif frame.kind == TRAILER:
                assert frame.member is not None
                found.append((frame.member.name, frame.member.offset, b"".join(content)))
                assert (frame.member.crc, frame.member.size) == (zlib.crc32(found[-1][2]), len(found[-1][2]))
    frames.finish()
    assert b"".join(raw) == archive
    assert frames.is_done
    assert frames.position == len(archive)
    return found


FOLLOWS = {
    HEADER: {DATA, TRAILER},
    DATA: {DATA, TRAILER},
    TRAILER: {HEADER, CENTRAL},
    CENTRAL: {CENTRAL, END},
    END: {HEADER, CENTRAL, END},  # what the first may be
}


def first_error(archive: bytes, size: int | random.Random = 65_536, limits: ArchiveLimits | None = None) -> ExportError:
    with pytest.raises(ExportError) as caught:
        read(archive, size, limits)
    return caught.value


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_read_whole(name: str) -> None:
    """Every content in the layout gives its members as they were put in, and the frames joined are the archive."""
    for members in CONTENTS.values():
        archive = build(members, LAYOUTS[name])
        found = read(archive)
        assert [content for _, _, content in found] == [member.content() for member in members]
        assert all(archive[offset : offset + 4] == b"PK\x03\x04" for _, offset, _ in found)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("size", [65_536, 700_000])
def test_long_members_are_read_whole(name: str, size: int) -> None:
    """Members that take many steps, of text that shrinks to a thousandth and of bytes that do not shrink, come out as they were."""
    members = [Member("a", raw=bytes(300_000)), Member("b", raw=random.Random(1).randbytes(300_000)), Member("c", raw=b"ab" * 150_000)]
    assert [content for _, _, content in read(build(members, LAYOUTS[name]), size)] == [member.content() for member in members]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(LAYOUTS)), st.sampled_from(sorted(CONTENTS)), st.integers(0, 1 << 32))
def test_any_chunking_gives_the_same_members(layout: str, content: str, seed: int) -> None:
    """How the bytes were cut up on their way makes no difference."""
    archive = build(CONTENTS[content], LAYOUTS[layout])
    assert read(archive, random.Random(seed)) == read(archive, len(archive))


@pytest.mark.parametrize("name", LAYOUTS)
def test_byte_by_byte_is_the_same(name: str) -> None:
    """Also when every byte comes alone."""
    archive = build(CONTENTS["signatures within"], LAYOUTS[name])
    assert read(archive, 1) == read(archive)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_cut_at_every_byte_is_an_error(name: str) -> None:
    """An archive that ends after any byte but its last is never a success."""
    archive = build(SMALL, LAYOUTS[name])
    for at in range(len(archive)):
        assert "cut short" in str(first_error(archive[:at]))


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_flipped_bit_of_the_structure_is_an_error_or_harmless(name: str) -> None:
    """With one bit the other way the members read are the same, or it is an ExportError: never other bytes, never fewer members."""
    archive = build(SMALL, LAYOUTS[name])
    right = [(offset, content) for _, offset, content in read(archive)]
    harmless = tried = 0
    # Three layouts in full, of the others every fifth bit.
    step = 1 if name in {"stored, sizes behind", "stored, zip64 throughout", "deflated, sizes before"} else 5
    for bit in range(0, 8 * len(archive), step):
        damaged = bytearray(archive)
        damaged[bit // 8] ^= 1 << bit % 8
        tried += 1
        try:
            found = read(bytes(damaged))
        except ExportError:
            continue
        assert [(offset, content) for _, offset, content in found] == right
        harmless += 1
    # Times, versions, attributes, comments: what nobody needs.
    assert harmless < 0.8 * tried


@pytest.mark.parametrize("name", ["stored, sizes behind", "stored, sizes before", "deflated, sizes behind", "deflated, sizes before"])
def test_no_flipped_bit_of_a_member_goes_undetected(name: str) -> None:
    """Of 500 bits flipped at random places of members' data, none gives other data, and the member is named (F4)."""
    members = hour_members(HOUR, 3, 4)
    layout = LAYOUTS[name]
    archive = build(members, layout)
    spans = []
    for member, (shown, offset, content) in zip(members, read(archive), strict=True):
        data = content if layout.method == 0 else zlib.compress(content, 6, -15)
        begin = archive.index(data, offset)
        spans.append((shown, begin, begin + len(data)))
        assert shown == member.name
    chance = random.Random(4)
    for _ in range(500):
        shown, begin, end = chance.choice(spans)
        bit = chance.randrange(8 * begin, 8 * end)
        damaged = bytearray(archive)
        damaged[bit // 8] ^= 1 << bit % 8
        assert first_error(bytes(damaged)).member == shown


# Lies


def lie(archive: bytes, at: int, value: bytes) -> bytes:
    return archive[:at] + value + archive[at + len(value) :]


def directory(archive: bytes) -> int:
    return archive.index(b"PK\x01\x02")


def end(archive: bytes) -> int:
    return archive.rindex(b"PK\x05\x06")


LIES: dict[str, tuple[Layout, Callable[[bytes], bytes], str]] = {
    "a member left out of the directory": (
        Layout(),
        lambda a: a[: directory(a)] + a[a.index(b"PK\x01\x02", directory(a) + 1) :],
        "lists 2 of 3",
    ),
    "a member listed twice": (
        Layout(),
        lambda a: a[: directory(a)] + a[directory(a) : a.index(b"PK\x01\x02", directory(a) + 1)] + a[directory(a) :],
        "does not agree",
    ),
    "another name in the directory": (Layout(), lambda a: lie(a, directory(a) + 46, b"b"), "does not agree"),
    "another CRC in the directory": (Layout(), lambda a: lie(a, directory(a) + 16, b"\1\2\3\4"), "does not agree"),
    "another size in the directory": (Layout(), lambda a: lie(a, directory(a) + 24, b"\1"), "does not agree"),
    "another method in the directory": (Layout(), lambda a: lie(a, directory(a) + 10, b"\x08"), "does not agree"),
    "another offset in the directory": (Layout(), lambda a: lie(a, directory(a) + 42, b"\1"), "does not agree"),
    "another count at the end": (Layout(), lambda a: lie(a, end(a) + 10, b"\x04"), "end record does not agree"),
    "another directory size at the end": (Layout(), lambda a: lie(a, end(a) + 12, b"\x04"), "end record does not agree"),
    "another directory offset at the end": (Layout(), lambda a: lie(a, end(a) + 16, b"\x04"), "end record does not agree"),
    "another count at the zip64 end": (
        Layout(is_wide_end=True),
        lambda a: lie(a, a.index(b"PK\x06\x06") + 32, b"\x04"),
        "zip64 end record does not agree",
    ),
    "a zip64 end without end": (
        Layout(is_wide_end=True),
        lambda a: lie(a, a.index(b"PK\x06\x06") + 4, b"\xff" * 8),
        "impossible length",
    ),
    "a short zip64 end": (Layout(is_wide_end=True), lambda a: lie(a, a.index(b"PK\x06\x06") + 4, bytes(8)), "impossible length"),
    "a locator to elsewhere": (Layout(is_wide_end=True), lambda a: lie(a, a.index(b"PK\x06\x07") + 8, b"\x00"), "points elsewhere"),
    "a locator alone": (Layout(is_wide_end=True), lambda a: a.replace(b"PK\x06\x06", b"PK\x06\x07"), "none of a zip's signatures"),
    "bytes behind": (Layout(), lambda a: a + b"\0", "bytes after its end"),
    "a second archive behind": (Layout(), lambda a: a + a, "bytes after its end"),
    "bytes before": (Layout(), lambda a: b"\0" + a, "none of a zip's signatures"),
    "bytes between members and directory": (
        Layout(sizes="before"),
        lambda a: a[: directory(a)] + bytes(9) + a[directory(a) :],
        "lists 0 of 3 members",
    ),
    "a member that is encrypted": (Layout(), lambda a: lie(a, 6, b"\x09"), "encrypted"),
    "a compression that no export has": (Layout(), lambda a: lie(a, 8, b"\x0c"), "compression method 12"),
    "another CRC before the data": (Layout(sizes="before"), lambda a: lie(a, 14, b"\1\2\3\4"), "are not those of its data"),
    "another size before the data": (Layout(sizes="before"), lambda a: lie(a, 22, b"\1"), "are not those of its data"),
    "a longer member than there is": (Layout(sizes="before"), lambda a: lie(a, 18, b"\xfe\xff\xff\xff"), "cut short within a member"),
    "another CRC behind deflated data": (
        Layout(method=8),
        lambda a: lie(a, a.index(b"PK\x07\x08") + 4, b"\1\2\3\4"),
        "no data descriptor",
    ),
    "another CRC behind stored data": (
        Layout(),
        lambda a: lie(a, a.index(b"PK\x07\x08") + 4, b"\1\2\3\4"),
        "cut short within a member",
    ),
    "deflated data that ends early": (Layout(method=8, sizes="before"), lambda a: lie(a, 18, b"\x05"), "longer than its header says"),
    "deflated data that is none": (Layout(method=8), lambda a: lie(a, 41, b"\xff\xff\xff"), "compressed data is corrupt"),
}


@pytest.mark.parametrize("what", LIES)
def test_lies_are_found_out(what: str) -> None:
    """Whatever of headers, directory or end records disagrees with what was read is an ExportError that says so."""
    layout, change, words = LIES[what]
    archive = build([Member("a#0.json.gz", [b'{"a":1}']), *CONTENTS["three members"][:2]], layout)
    damaged = change(archive)
    assert damaged != archive
    for size in (1, 65_536):
        assert words in str(first_error(damaged, size))


def test_a_forged_end_is_no_success() -> None:
    """A descriptor within a member that truly describes the bytes before it, and a header behind, is never two members."""
    first_error(build([forged_end([b'{"a":1}'] * 50), *SMALL]))


@pytest.mark.parametrize("form", ["<4sIII", "<4sIQQ", "<III", "<IQQ"])
def test_what_only_looks_like_a_descriptor_is_data(form: str) -> None:
    """The four forms within a member, with sizes that are right and a CRC that is not, and a header behind, end nothing."""
    content = b""
    for _ in range(200):
        values = (1234567, len(content), len(content))
        content += pack(form, b"PK\x07\x08", *values) if "s" in form else pack(form, *values)
        content += b"PK\x03\x04"
    for layout in LAYOUTS.values():
        archive = build([Member("decoy", raw=content), *SMALL], layout)
        assert read(archive)[0][2] == content


def followed(archive: bytes, lengths: Iterable[int], chance: random.Random) -> list[bytes]:
    """Return the content of each member, as who follows members from somewhere within and knows how long they are."""
    frames = ZipFrames()
    found: list[bytes] = []
    known = iter(lengths)
    length = 0
    for piece in pieces(archive, chance):
        frames.feed(piece)
        while (frame := frames.next_frame()) is not None:
            if frame.kind == HEADER:
                found.append(b"")
                length = next(known)
            elif frame.kind == DATA:
                found[-1] += frame.payload
                beyond = len(found[-1]) - length
                if beyond < 0 and chance.random() < 0.5:
                    frames.follow()
                elif beyond >= 0:
                    assert frames.give_back(beyond) or not beyond
                    found[-1] = found[-1][:length]
    frames.finish()
    return found


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(LAYOUTS)), st.sampled_from(sorted(CONTENTS)), st.integers(0, 1 << 32))
def test_who_follows_a_member_finds_its_end(layout: str, content: str, seed: int) -> None:
    """A member that is followed is given with what is behind it; once that is given back, all is read and checked as otherwise."""
    contents = [member.content() for member in CONTENTS[content]]
    archive = build(CONTENTS[content], LAYOUTS[layout])
    assert followed(archive, map(len, contents), random.Random(seed)) == contents


@pytest.mark.parametrize("beyond", [0, 1, 12, 60])
def test_a_member_that_is_followed_is_checked(beyond: int) -> None:
    """Who gives back too little finds no descriptor that agrees, and neither does who follows a member with a flipped bit."""
    content = random.Random(5).randbytes(3000)
    archive = build([Member("a", raw=content), *SMALL])
    for at in (None, 1000):
        damaged = bytearray(archive)
        if at is not None:
            damaged[at] ^= 1
        frames = ZipFrames()
        given = 0
        for piece in (bytes(damaged[:200]), bytes(damaged[200:])):
            frames.feed(piece)
            while given < len(content) and (frame := frames.next_frame()) is not None:
                given += len(frame.payload)
                frames.follow()
        assert frames.give_back(given - len(content) - beyond)
        if at is None and not beyond:
            while frames.next_frame() is not None:
                pass
            frames.finish()
            continue
        with pytest.raises(ExportError):
            while frames.next_frame() is not None:
                pass
            frames.finish()


def test_what_describes_a_member_so_far_ends_none_that_is_followed() -> None:
    """A descriptor within a member that truly describes the bytes before it, and a header behind, are data to who follows it."""
    before = random.Random(6).randbytes(2000)
    within = b"PK\x07\x08" + pack("<III", zlib.crc32(before), len(before), len(before)) + b"PK\x03\x04"
    member = Member("a", raw=before + within + bytes(1000))
    archive = build([member, *SMALL])
    first_error(archive)
    frames = ZipFrames()
    given = b""
    for piece in pieces(archive, 500):
        frames.feed(piece)
        while (frame := frames.next_frame()) is not None:
            if frame.member is not None and frame.member.name == "a" and frame.kind == DATA:
                given += frame.payload
                frames.follow()
                if len(given) > len(member.content()):
                    assert frames.give_back(len(given) - len(member.content()))
                    given = given[: len(member.content())]
    frames.finish()
    assert given == member.content()


def test_descriptors_at_every_place_cost_one_look_at_each_byte() -> None:
    """However many places look like a descriptor, each byte is summed up a few times at most, not once for each place."""
    content = bytearray()
    while len(content) < 1 << 18:
        content += pack("<III", 1234567, len(content), len(content)) + b"PK\x03\x04"
    archive = build([Member("decoy", raw=bytes(content))])
    summed = 0

    class Counting:
        def __getattr__(self, name: str) -> object:
            return getattr(zlib, name)

        def crc32(self, data: bytes, start: int = 0) -> int:
            nonlocal summed
            summed += len(data)
            return zlib.crc32(data, start)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("amplitude_async.exporting.frames.zlib", Counting())
        assert read(archive)[0][2] == content
    assert summed < 8 * len(archive)


# Limits


def test_there_are_limits_by_default() -> None:
    """Every limit is finite when nothing was said (S23)."""
    assert all(0 < limit < 1 << 40 for limit in ArchiveLimits())
    assert ZipFrames().limits == ArchiveLimits()


def test_more_members_than_allowed_are_an_error() -> None:
    """The member after the last allowed one is refused, and named."""
    members = [Member(f"{number}.json.gz", raw=b"") for number in range(6)]
    archive = build(members)
    assert len(read(archive, limits=ArchiveLimits(members=6))) == 6
    error = first_error(archive, limits=ArchiveLimits(members=5))
    assert "more than 5 members" in str(error)
    assert error.member == "5.json.gz"


@pytest.mark.parametrize("sizes", ["before", "behind"])
def test_a_bomb_of_deflate_stops_at_the_ratio(sizes: str) -> None:
    """Deflated data that grows a thousand times is refused once 32 MiB came out, a step never giving more than 32 kB (F5)."""
    layout = replace(LAYOUTS["deflated, sizes before"], sizes="before" if sizes == "before" else "behind")
    archive = build([Member("bomb", raw=bytes(64 << 20))], layout)
    assert len(archive) < 1 << 17
    frames = ZipFrames()
    frames.feed(archive)
    given = largest = 0
    with pytest.raises(ExportError, match="400 times") as caught:
        while (frame := frames.next_frame()) is not None:
            given += len(frame.payload)
            largest = max(largest, len(frame.payload))
    assert caught.value.member == "bomb"
    assert given <= ArchiveLimits().ratio_from_bytes
    assert largest <= PIECE_BYTES
    allowed = ArchiveLimits(ratio=2000)
    assert len(read(archive, limits=allowed)[0][2]) == 64 << 20


def test_stored_bombs_pass_unopened() -> None:
    """A gzip that would grow to 10 GB is only so many bytes to who does not open it."""
    archive = build([bomb("bomb.json.gz", 10 << 30)])
    frames = ZipFrames()
    for piece in pieces(archive, 1 << 20):
        frames.feed(piece)
        while frames.next_frame() is not None:
            pass
    frames.finish()


def test_little_is_held() -> None:
    """Between chunks no more is kept than the longest record, however the bytes come."""
    archive = build(hour_members(HOUR, 2, 200))
    frames = ZipFrames()
    for piece in pieces(archive, 10_000):
        frames.feed(piece)
        while frames.next_frame() is not None:
            pass
        assert len(frames._buffer) - frames._at < 200


# Names


def test_hostile_names_are_only_shown() -> None:
    """Names that would lead out of a folder are text, masked, short, on one line; the members are read as any other (F6)."""
    found = read(build(hostile_members([b'{"a":1}'])))
    assert len(found) == len(HOSTILE_NAMES)
    assert all(content == gzipped(b'{"a":1}\n') for _, _, content in found)
    for name, _, _ in found:
        assert len(name) <= 200
        assert name.isprintable() or "\u202e" in name
        assert "\n" not in name


def test_names_in_errors_hold_no_secret() -> None:
    """A member's name may be anything, a key or an address among it: errors show it masked."""
    error = first_error(build([Member("api_key=abcdef0123456789&ada@example.org", raw=b"")], Layout())[:-30])
    assert "abcdef" not in str(first_error(build([Member("secret_key=abcdef0123456789", raw=b"abc")])[:50]))
    assert "ada@" not in str(error)


# Anything


@pytest.mark.parametrize("name", LAYOUTS)
def test_mutations_give_export_errors_alone(name: str) -> None:
    """Of 250 mutations of archives in the layout, each is read or is an ExportError, and ends (S27)."""
    chance = random.Random(f"frames {name}")
    archives = [build(members, LAYOUTS[name]) for members in (SMALL, CONTENTS["signatures within"], CONTENTS["several gzips in one"])]
    for _ in range(250):
        data = mutated(chance.choice(archives), chance)
        frames = ZipFrames(ArchiveLimits(members=1000))
        try:
            for piece in pieces(data, chance.choice((1000, 65_536, chance))):
                frames.feed(piece)
                while frames.next_frame() is not None:
                    pass
            frames.finish()
        except ExportError:
            pass
