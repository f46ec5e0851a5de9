"""Several archives become one: members as they were, a directory that zipfile and unzip accept, zip64 where it has to be."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from struct import pack, unpack_from
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from archives import CONTENTS, HOUR, LAYOUTS, Layout, Member, build, hour_members, reference_rows

from amplitude_async.exporting.frames import CENTRAL, END, Frame, ZipFrames
from amplitude_async.exporting.frames import Member as ReadMember
from amplitude_async.exporting.merging import Merger

if TYPE_CHECKING:
    from collections.abc import Iterable

UNZIP = shutil.which("unzip")
FOUR_GIB = 1 << 32


def merged(archives: Iterable[bytes], merger: Merger | None = None) -> bytes:
    """Return what the archives become, read as they would be downloaded."""
    merger = merger or Merger()
    out: list[bytes] = []
    for archive in archives:
        merger.begin()
        frames = ZipFrames()
        for at in range(0, len(archive), 5000):
            frames.feed(archive[at : at + 5000])
            while (frame := frames.next_frame()) is not None:
                out.append(bytes(merger.take(frame)))
        frames.finish()
    return b"".join([*out, *merger.finish()])


def frames_of(archive: bytes) -> list[Frame]:
    frames, found = ZipFrames(), []
    frames.feed(archive)
    while (frame := frames.next_frame()) is not None:
        found.append(frame)
    return found


@pytest.mark.parametrize("name", LAYOUTS)
def test_three_archives_become_one_that_zipfile_accepts(name: str) -> None:
    """Archives of every content in the layout, one after another, are one archive with all their rows and right CRCs."""
    archives = [build(members, LAYOUTS[name]) for members in CONTENTS.values() if len(members) < 4]
    for group in (archives[:3], archives):
        whole = merged(group)
        assert reference_rows(whole) == [row for archive in group for row in reference_rows(archive)]
        with zipfile.ZipFile(io.BytesIO(whole)) as zipped:
            assert zipped.testzip() is None
            assert zipped.comment == b""


@pytest.mark.skipif(UNZIP is None, reason="unzip is not installed")
@pytest.mark.parametrize("name", LAYOUTS)
def test_unzip_accepts_what_was_merged(name: str, tmp_path: Path) -> None:
    """Info-ZIP finds no error in three archives that became one, whatever their layout."""
    hours = [hour_members(HOUR, 2, 3), CONTENTS["three members"], CONTENTS["folders beside"]]
    path = tmp_path / "merged.zip"
    path.write_bytes(merged(build(members, LAYOUTS[name]) for members in hours))
    done = subprocess.run([str(UNZIP), "-tqq", path], check=False, capture_output=True, timeout=60)
    # 1 is a warning: it does not know descriptors of 64 bits without a zip64 field in the header, and reads on all the same.
    assert done.returncode == 0 or (done.returncode == 1 and LAYOUTS[name].is_wide_behind), (done.stdout, done.stderr)


def test_one_archive_keeps_its_members_bytes() -> None:
    """Members are copied as they are: up to the directory nothing changes."""
    archive = build(CONTENTS["three members"])
    directory = archive.index(b"PK\x01\x02")
    assert merged([archive])[:directory] == archive[:directory]


def test_merging_nothing_gives_an_empty_archive() -> None:
    """No archives, and archives without members, are an archive without members."""
    for archives in ([], [build([])], [build([]), build([], Layout(is_wide_end=True))]):
        with zipfile.ZipFile(io.BytesIO(merged(archives))) as zipped:
            assert zipped.infolist() == []


def test_what_was_merged_can_be_merged_again() -> None:
    """The archive that comes out is one that goes in."""
    archives = [build(members) for members in CONTENTS.values()]
    whole = merged(archives)
    assert merged([whole]) == whole
    assert merged([merged(archives[:4]), merged(archives[4:])]) == whole


def test_directories_backwards_point_to_their_members() -> None:
    """A directory that lists its members in another order still does so afterwards, each entry at its member's place."""
    archive = build(CONTENTS["three members"], Layout(is_reversed=True, is_wide_central=True))
    whole = merged([build(CONTENTS["one member"]), archive])
    with zipfile.ZipFile(io.BytesIO(whole)) as zipped:
        names = [info.filename for info in zipped.infolist()]
    assert names[1:] == [str(member.name) for member in CONTENTS["three members"][::-1]]
    assert len(reference_rows(whole)) == 80


def test_more_members_than_16_bits_count_need_zip64() -> None:
    """66,000 members of three archives are one archive with a zip64 end, and zipfile counts and reads them."""
    tiny = [Member(f"{number}", raw=b"%d" % number) for number in range(22_000)]
    archive = build(tiny, Layout(sizes="before"))
    whole = merged([archive] * 3)
    assert b"PK\x06\x06" in whole[-100:]
    with zipfile.ZipFile(io.BytesIO(whole)) as zipped:
        infos = zipped.infolist()
        assert len(infos) == 66_000
        assert all(zipped.read(infos[number]) == b"%d" % (number % 22_000) for number in range(0, 66_000, 997))
    # And the reader takes what the merger makes.
    frames = ZipFrames()
    frames.feed(whole)
    while frames.next_frame() is not None:
        pass
    frames.finish()
    assert frames.members == 66_000


@pytest.mark.parametrize("count", [0xFFFE, 0xFFFF, 0x10000])
def test_the_count_is_written_wide_from_65535_on(count: int) -> None:
    """65,534 members fit the plain end record; 65,535 is its mark for looking elsewhere."""
    merger = Merger()
    merger.begin()
    (entry,) = [frame for frame in frames_of(build([Member("a", raw=b"")], Layout(sizes="before"))) if frame.kind == CENTRAL]
    for _ in range(count):
        merger.take(entry)
    tail = b"".join(merger.finish())
    assert (b"PK\x06\x06" in tail[-98:]) == (count >= 0xFFFF)
    assert unpack_from("<HH", tail, len(tail) - 14) == (min(count, 0xFFFF),) * 2
    if count >= 0xFFFF:
        assert unpack_from("<QQ", tail, len(tail) - 98 + 24) == (count, count)


@pytest.mark.parametrize("written", [FOUR_GIB - 2000, FOUR_GIB - 1, FOUR_GIB, 5 * FOUR_GIB + 123])
@pytest.mark.parametrize("name", ["stored, sizes behind", "stored, zip64 throughout"])
def test_offsets_beyond_4_gib_are_written_wide(written: int, name: str) -> None:
    """Members behind 4 GiB have their offsets in zip64 fields, and zipfile finds the members when so many bytes stand before them."""
    merger = Merger()
    merger._written = written
    archive = build(CONTENTS["three members"], LAYOUTS[name])
    whole = merged([archive], merger)
    file = Hollow(written, whole)
    with zipfile.ZipFile(file) as zipped:
        assert zipped.testzip() is None
        offsets = [info.header_offset for info in zipped.infolist()]
        assert offsets[0] == written
        contents = [zipped.read(info) for info in zipped.infolist()]
    with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
        assert contents == [zipped.read(info) for info in zipped.infolist()]


class Hollow(io.RawIOBase):
    """A file of so many bytes that nobody may read, then those given."""

    def __init__(self, hollow: int, data: bytes) -> None:
        super().__init__()
        self.hollow, self.data, self.at = hollow, data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, self.hollow + len(self.data))[whence]
        return self.at

    def read(self, size: int = -1) -> bytes:
        # zipfile looks for the end within the last 64 kB, which may reach into what is hollow.
        missing = max(0, self.hollow - self.at)
        assert missing < 1 << 17
        begin = max(0, self.at - self.hollow)
        end = len(self.data) if size < 0 else max(0, self.at + size - self.hollow)
        piece = bytes(missing if size < 0 else min(missing, size)) + self.data[begin:end]
        self.at += len(piece)
        return piece


def test_sizes_beyond_4_gib_are_written_wide() -> None:
    """A member of more than 4 GiB has its sizes in the zip64 field in the order of the format: size, compressed size, offset."""
    member = ReadMember(b"big", FOUR_GIB + 7, 0, 0)
    member.size, member.compressed = FOUR_GIB + 5, FOUR_GIB + 6
    extra = pack("<HHQ", 1, 8, 99) + pack("<HHI", 0x5455, 4, 1)
    raw = pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 8, 0, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, 3, len(extra), 2, 0xFFFF, 0, 0, 0xFFFFFFFF)
    merger = Merger()
    merger._written = 10
    merger.begin()
    merger.take(Frame(CENTRAL, raw + b"big" + extra + b"ok", b"", member))
    merger.take(Frame(END, b"", b"", None))
    entry = next(merger.finish())
    fields = unpack_from("<4s6H3I5H2I", entry)
    assert fields[8:10] == (0xFFFFFFFF, 0xFFFFFFFF)
    assert fields[16] == 0xFFFFFFFF
    assert fields[13] == 0
    assert fields[2] >= 45
    wide = pack("<HHQQQ", 1, 24, FOUR_GIB + 5, FOUR_GIB + 6, FOUR_GIB + 17)
    assert entry[46:] == b"big" + wide + pack("<HHI", 0x5455, 4, 1) + b"ok"
