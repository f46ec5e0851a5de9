"""A file that was saved is checked as strictly as bytes that pass by, and said to be damaged in the same words."""

from __future__ import annotations

import random
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from archives import CONTENTS, HOUR, LAYOUTS, Layout, Member, build, forged_end, hour_members
from mutations import mutated
from test_frames import LIES, SMALL

from amplitude_async.errors import ExportError, ExportStorageError
from amplitude_async.exporting import frames
from amplitude_async.exporting.frames import ArchiveLimits
from amplitude_async.exporting.sums import BLOCK_BYTES, BlockSums
from amplitude_async.exporting.verifying import ArchiveCheck, FileCheck

if TYPE_CHECKING:
    from collections.abc import Callable

Verdict = tuple[int, str, str, int | None]
BLOCKS = (16, 100, BLOCK_BYTES)


def summed(archive: bytes, block: int = BLOCK_BYTES) -> BlockSums:
    sums = BlockSums(block)
    sums.add(memoryview(archive))
    return sums


def part(archive: bytes, at: int, length: int) -> bytes:
    return archive[at : at + length]


def in_file(archive: bytes, limits: ArchiveLimits | None = None, block: int = BLOCK_BYTES) -> FileCheck:
    check = FileCheck(partial(part, archive), summed(archive, block), limits)
    while check.step():
        pass
    return check


def passing_by(archive: bytes, limits: ArchiveLimits | None = None) -> ArchiveCheck:
    check = ArchiveCheck(limits)
    for at in range(0, len(archive), 50_000):
        check.feed(archive[at : at + 50_000])
        while check.step():
            pass
    check.finish()
    return check


def verdict(check: Callable[[], FileCheck | ArchiveCheck]) -> Verdict:
    """Return what it comes to: members, or the error."""
    try:
        return check().members, "", "", None
    except ExportError as error:
        return 0, str(error), error.member, error.line


def verdicts(archive: bytes, limits: ArchiveLimits | None = None) -> tuple[Verdict, Verdict]:
    """Return what a file, whatever blocks it was summed up in, and bytes that pass by come to."""
    own = {verdict(partial(in_file, archive, limits, block)) for block in BLOCKS}
    assert len(own) == 1
    return own.pop(), verdict(partial(passing_by, archive, limits))


@pytest.mark.parametrize("name", LAYOUTS)
def test_whole_files_pass(name: str) -> None:
    """Every content in the layout passes, with all its members, as it does while it passes by."""
    for members in CONTENTS.values():
        own, other = verdicts(build(members, LAYOUTS[name]))
        assert own == other == (len(members), "", "", None)


@pytest.mark.parametrize("what", LIES)
def test_lies_are_found_out_in_the_same_words(what: str) -> None:
    """Whatever disagrees in a file is the ExportError that it is while it passes by, with the same member."""
    layout, change, words = LIES[what]
    own, other = verdicts(change(build([Member("a#0.json.gz", [b'{"a":1}']), *CONTENTS["three members"][:2]], layout)))
    assert own == other
    assert words in own[1]


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_cut_is_found_out(name: str) -> None:
    """A file that ends after any byte but its last is an error."""
    archive = build(SMALL, LAYOUTS[name])
    for end in range(len(archive)):
        own, other = verdicts(archive[:end])
        assert own == other
        assert own[1]


def test_every_flipped_bit_of_a_member_is_found_out() -> None:
    """One bit the other way, anywhere but in a date or another field that nobody reads, is an error, as while it passes by."""
    archive = build(SMALL)
    for bit in range(8 * len(archive)):
        damaged = bytearray(archive)
        damaged[bit // 8] ^= 1 << bit % 8
        own, other = verdicts(bytes(damaged))
        assert own == other, bit


@pytest.mark.parametrize("name", LAYOUTS)
def test_mutations_come_to_the_same(name: str) -> None:
    """Of 250 mutations of archives in the layout, each passes or fails in the file as it does while it passes by (S27)."""
    chance = random.Random(f"verifying {name}")
    archives = [build(members, LAYOUTS[name]) for members in (SMALL, CONTENTS["signatures within"], CONTENTS["several gzips in one"])]
    for _ in range(250):
        own, other = verdicts(mutated(chance.choice(archives), chance), ArchiveLimits(members=1000))
        assert own == other


def test_a_file_is_read_by_its_directory_where_bytes_can_be_taken_for_an_end() -> None:
    """A member that holds a true descriptor of its own beginning and a header is no damage where the directory says how long it is."""
    archive = build([forged_end([b'{"a":1}'] * 50), *SMALL])
    assert in_file(archive).members == 4
    with pytest.raises(ExportError):
        passing_by(archive)


def test_of_long_members_only_the_ends_are_read_again() -> None:
    """Of what was summed up as it was written, a file's check reads the blocks in which members meet, and the directory."""
    archive = build([Member(f"{number}.json.gz", raw=random.Random(number).randbytes(2_000_000)) for number in range(3)])
    read = 0

    def reading(at: int, length: int) -> bytes:
        nonlocal read
        read += len(archive[at : at + length])
        return archive[at : at + length]

    check = FileCheck(reading, summed(archive), None)
    while check.step():
        pass
    assert check.members == 3
    assert read < 10 * BLOCK_BYTES


@pytest.mark.parametrize("name", ["stored, sizes before", "stored, sizes behind", "stored, zip64 throughout"])
def test_no_flipped_bit_of_a_long_member_goes_undetected(name: str) -> None:
    """Of 300 bits that were the other way when they were written, anywhere in members of many blocks, each is found, its member named."""
    chance = random.Random(f"long {name}")
    contents = [chance.randbytes(5000) for _ in range(3)]
    archive = build([Member(f"{number}.json.gz", raw=content) for number, content in enumerate(contents)], LAYOUTS[name])
    for _ in range(300):
        number, bit = chance.randrange(3), chance.randrange(8 * 5000)
        damaged = bytearray(archive)
        damaged[archive.index(contents[number]) + bit // 8] ^= 1 << bit % 8
        own, other = verdicts(bytes(damaged))
        assert own == other
        assert own[2] == f"{number}.json.gz"


def test_members_that_the_directory_names_are_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a whole file no byte is searched for the end of a member; where the directory is in another order, members are found too."""

    class Searched:
        def finditer(self, *_: object) -> object:
            raise AssertionError

    archive = build(hour_members(HOUR, 3, 50))
    with monkeypatch.context() as patched:
        patched.setattr(frames, "_AFTER_MEMBER_PATTERN", Searched())
        assert in_file(archive).members == 3
    begin, end = archive.index(b"PK\x01\x02"), archive.rindex(b"PK\x05\x06")
    entries = archive[begin:end].split(b"PK\x01\x02")[1:]
    turned = archive[:begin] + b"".join(b"PK\x01\x02" + entry for entry in reversed(entries)) + archive[end:]
    assert in_file(turned).members == 3


def test_the_limit_of_members_holds() -> None:
    """A file with more members than are believed is an error."""
    own, other = verdicts(build(SMALL), ArchiveLimits(members=2))
    assert own == other
    assert "more than 2 members" in own[1]


def test_a_long_directory_is_read_in_pieces() -> None:
    """A directory that is longer than what is read at once is read whole."""
    archive = build([Member(f"{number:050}", raw=b"x") for number in range(7000)], Layout())
    assert in_file(archive).members == 7000


def test_a_file_that_gets_shorter_ends_as_an_error() -> None:
    """Less in the file than was written is a cut archive, not a wait."""
    archive = build(SMALL)
    for length in (len(archive) - 1, len(archive) // 2, 32, 0):
        for block in BLOCKS:
            check = FileCheck(partial(part, archive[:length]), summed(archive, block), None)
            with pytest.raises(ExportError, match="cut short"):
                while check.step():
                    pass


def test_a_broken_disk_is_said_at_once() -> None:
    """What the disk refuses is not taken for damage of the archive."""
    reads = 0

    def read(at: int, length: int) -> bytes:
        nonlocal reads
        reads += 1
        message = f"Reading {length} at {at} failed"
        raise ExportStorageError(message)

    check = FileCheck(read, summed(bytes(1000)), None)
    with pytest.raises(ExportStorageError):
        check.step()
    assert reads == 1
