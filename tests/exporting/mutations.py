"""Archives as no server should send them: bytes flipped, cut, moved, repeated, numbers at their limits. Seeded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

TELLING: Final = (b"\0", b"\xff", b"\xff\xff", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x80", b"PK", b"\x1f\x8b\x08\x1f")
RECORDS: Final = (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"PK\x07\x08")


def mutated(archive: bytes, chance: random.Random) -> bytes:
    """Return the archive with one to five things wrong, more often near a record than elsewhere."""
    data = bytearray(archive)
    for _ in range(chance.randrange(1, 6)):
        _mutate(data, chance)
        if not data:
            break
    return bytes(data)


def _place(data: bytearray, chance: random.Random) -> int:
    if chance.random() < 0.7:
        at = data.find(chance.choice(RECORDS), chance.randrange(len(data)))
        if at >= 0:
            return min(len(data) - 1, at + chance.randrange(60))
    return chance.randrange(len(data))


def _mutate(data: bytearray, chance: random.Random) -> None:
    at = _place(data, chance)
    kind = chance.randrange(9)
    if kind <= 2:
        data[at] ^= 1 << chance.randrange(8)
    elif kind == 3:
        value = chance.choice((*TELLING, *RECORDS))
        data[at : at + len(value)] = value
    elif kind == 4:
        del data[at : at + chance.choice((1, 2, 4, 16, chance.randrange(len(data)) + 1))]
    elif kind == 5:
        data[at:at] = chance.choice((*TELLING, *RECORDS, chance.randbytes(chance.randrange(1, 50))))
    elif kind == 6:
        other = _place(data, chance)
        data[at:at] = data[other : other + chance.choice((4, 16, 46, 400))]
    elif kind == 7:
        del data[at:]
    else:
        data += data[at : at + 200]
