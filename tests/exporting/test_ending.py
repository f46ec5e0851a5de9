"""What passes by unread still tells a whole archive from a cut one, by its end record."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from archives import CONTENTS, LAYOUTS, Layout, Member, build

from amplitude_async.errors import ExportError
from amplitude_async.exporting.ending import EndCheck

SMALL = {name: build(CONTENTS["folders beside"], layout) for name, layout in LAYOUTS.items()}


def check(archive: bytes, declared: int | None = None, piece: int = 1000) -> None:
    end = EndCheck(declared)
    for at in range(0, len(archive), piece):
        end.show(archive[at : at + piece])
    end.finish()


@pytest.mark.parametrize("name", LAYOUTS)
def test_whole_archives_end_well(name: str) -> None:
    """Every content in the layout ends where a zip ends, with and without a declared length, in pieces of any size."""
    for members in CONTENTS.values():
        archive = build(members, LAYOUTS[name])
        check(archive)
        check(archive, len(archive), piece=77_777)


@pytest.mark.parametrize("name", SMALL)
def test_every_cut_is_found_out(name: str) -> None:
    """Cut after any byte, an archive without a declared length is an error."""
    archive = SMALL[name]
    for at in range(len(archive)):
        with pytest.raises(ExportError, match="cut short"):
            check(archive[:at], piece=4096)


def test_a_wrong_length_is_an_error() -> None:
    """What is shorter or longer than it was announced is no whole archive, even if it ends like one."""
    archive = build(CONTENTS["one member"])
    for declared in (0, len(archive) - 1, len(archive) + 1):
        with pytest.raises(ExportError, match="were announced"):
            check(archive, declared)


def test_more_than_is_believed_is_an_error_at_once() -> None:
    """Bytes beyond what was announced, or beyond what is believed where nothing was, are an error as they come, not at the end."""
    with pytest.raises(ExportError, match="101 bytes are announced, and no more than 100 are believed"):
        EndCheck(101, most=100)
    for end, words in ((EndCheck(100, most=200), "100 were announced"), (EndCheck(most=100), "no more than 100 are believed")):
        end.show(bytes(100))
        with pytest.raises(ExportError, match=f"101 bytes came where {words}"):
            end.show(b"x")
    archive = build(CONTENTS["one member"])
    for whole in (EndCheck(len(archive), most=len(archive)), EndCheck(most=len(archive))):
        whole.show(archive)
        whole.finish()


def test_bytes_behind_the_end_are_an_error() -> None:
    """A page, zeros or a second archive behind the end record are no end."""
    archive = build(CONTENTS["one member"])
    for more in (b"<html>", bytes(1), archive[:-22], build([])):
        with pytest.raises(ExportError):
            check(archive + more)


def test_an_archive_within_is_no_end() -> None:
    """Cut right behind an archive that is stored as a member, the outer one is still cut."""
    within = build(CONTENTS["one member"])
    archive = build([Member("within.zip", raw=within), *CONTENTS["three members"]])
    cut = archive.index(within) + len(within)
    with pytest.raises(ExportError):
        check(archive[:cut])


def test_end_records_in_a_comment_are_looked_through() -> None:
    """A comment full of end records hides nothing and costs little."""
    check(build(CONTENTS["one member"], Layout(comment=b"PK\x05\x06" * 16_000)))
    with pytest.raises(ExportError):
        check(build(CONTENTS["one member"], Layout(comment=b"PK\x05\x06" * 16_000))[:-1])


def test_little_is_held() -> None:
    """However much passes by, no more than the longest possible end is held, and a chunk."""
    end = EndCheck()
    for _ in range(500):
        end.show(bytes(60_000))
    assert end.length == 30_000_000
    assert sum(map(len, end._last)) < 300_000
    for _ in range(200_000):
        end.show(b"x")
    assert sum(map(len, end._last)) <= 66_000


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(SMALL)), st.integers(0, 1 << 32))
def test_any_chunking_comes_to_the_same(name: str, seed: int) -> None:
    """How the bytes were cut up on their way makes no difference."""
    archive, chance = SMALL[name], random.Random(seed)
    end = EndCheck()
    at = 0
    while at < len(archive):
        size = chance.choice((1, 2, 3, 30, 500, 5000))
        end.show(archive[at : at + size])
        at += size
    end.finish()


def test_only_export_errors_leave() -> None:
    """Bytes of any kind, 3,000 mutations of ends among them, are either fine or an ExportError (S27)."""
    chance = random.Random(27)
    archives = list(SMALL.values())
    for _ in range(3000):
        data = bytearray(chance.choice(archives)[-chance.randrange(1, 400) :])
        for _ in range(chance.randrange(6)):
            data[chance.randrange(len(data))] = chance.choice((0, 255, chance.randrange(256)))
        if chance.random() < 0.3:
            data += chance.choice((b"PK\x05\x06", chance.randbytes(chance.randrange(60)), bytes(22)))
        try:
            check(bytes(data), chance.choice((None, len(data))), piece=chance.choice((1, 50, 1000)))
        except ExportError:
            pass
