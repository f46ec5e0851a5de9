"""Export archives built byte by byte: every layout that a zip may have, every content that a member may have, rows as Amplitude's.

``build(members, layout)`` gives the bytes, ``reference_rows(archive)`` what the standard library reads in them. Everything is
deterministic: the same arguments give the same bytes.

The zip format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT; rows and names of members as in
https://amplitude.com/docs/apis/analytics/export.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile
import zlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from struct import pack
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STORED: Final = 0
DEFLATED: Final = 8
FULL16: Final = 0xFFFF
FULL32: Final = 0xFFFFFFFF
PROJECT: Final = 612345
HOUR: Final = datetime(2026, 5, 1, 7, tzinfo=UTC)
FILE: Final = 0o600 << 16
FOLDER: Final = (0o40775 << 16) | 0x10
LINK: Final = 0o120777 << 16
DOS_TIME: Final = 7 << 11
DOS_DATE: Final = (2026 - 1980) << 9 | 5 << 5 | 1
_SIZES_BEHIND: Final = 0x0008
_UTF8: Final = 0x0800


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a zip is put together.

    Attributes:
        method: The outer compression.
        sizes: Where CRC and sizes of a member stand: in its header, in a descriptor behind its data, or (as some writers do) in both.
        has_signature: The descriptor begins with one.
        is_wide_behind: The descriptor's sizes have 64 bits.
        is_wide_before: The local header has a zip64 field. With sizes behind the data it announces wide ones.
        is_wide_central: The central directory has zip64 fields for sizes and offset.
        is_wide_end: There are a zip64 end record and its locator, and the plain end record refers to them.
        is_reversed: The central directory lists the members backwards, which is allowed.
        comment: The archive's.
    """

    method: int = STORED
    sizes: Literal["before", "behind", "both"] = "behind"
    has_signature: bool = True
    is_wide_behind: bool = False
    is_wide_before: bool = False
    is_wide_central: bool = False
    is_wide_end: bool = False
    is_reversed: bool = False
    comment: bytes = b""


AMPLITUDE: Final = Layout()
"""As recorded: stored, the sizes behind the data."""

LAYOUTS: Final[dict[str, Layout]] = {
    f"{'stored' if method == STORED else 'deflated'}, {name}": replace(layout, method=method)
    for method in (STORED, DEFLATED)
    for name, layout in {
        "sizes before": Layout(sizes="before"),
        "sizes before, zip64": Layout(sizes="before", is_wide_before=True, is_wide_central=True),
        "sizes behind": AMPLITUDE,
        "sizes behind, no signature": Layout(has_signature=False),
        "sizes behind, 64 bits": Layout(is_wide_behind=True),
        "sizes behind, 64 bits, no signature": Layout(is_wide_behind=True, has_signature=False),
        "sizes behind, 64 bits, announced": Layout(is_wide_behind=True, is_wide_before=True, is_wide_central=True),
        "sizes behind, 64 bits, announced, no signature": Layout(is_wide_behind=True, is_wide_before=True, has_signature=False),
        "sizes before and behind": Layout(sizes="both"),
        "zip64 directory": Layout(is_wide_central=True),
        "zip64 end": Layout(is_wide_end=True),
        "zip64 throughout": Layout(is_wide_behind=True, is_wide_before=True, is_wide_central=True, is_wide_end=True),
        # Not PK\5\6: zipfile takes the last of those for the end record.
        "comment": Layout(comment=b"a comment that says PK\x01\x02 and PK\x07\x08"),
        "zip64 end and comment": Layout(is_wide_end=True, comment=b"c" * 300),
        "directory backwards": Layout(is_reversed=True),
    }.items()
}
"""Every layout, by name."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive: lines that are gzipped, or bytes as they are.

    Attributes:
        name: Text is encoded as UTF-8 and marked so if it has to be; bytes stand in the archive as they are.
        lines: Lines of JSON without their ends.
        raw: What the member holds instead of a gzip of lines.
        gzips: How many gzips the lines are spread over.
        line_end: What ends a line.
        has_last_line_end: The last line has its end too.
        start: What stands before the first line.
        attributes: The external attributes: a file, a folder, a link.
        layout: Of this member alone, in place of the archive's.
    """

    name: str | bytes
    lines: Sequence[bytes] | None = field(default=None, repr=False)
    raw: bytes | None = field(default=None, repr=False)
    gzips: int = 1
    line_end: bytes = b"\n"
    has_last_line_end: bool = True
    start: bytes = b""
    attributes: int = FILE
    layout: Layout | None = None

    def content(self) -> bytes:
        """Return what the member holds, before the outer compression."""
        if self.raw is not None:
            return self.raw
        lines = self.lines or ()
        text = self.start + b"".join(line + self.line_end for line in lines)
        if lines and not self.has_last_line_end:
            text = text[: -len(self.line_end)]
        # Cut anywhere: where one gzip ends and the next begins has nothing to do with lines.
        cuts = [len(text) * part // self.gzips for part in range(self.gzips + 1)]
        return b"".join(gzipped(text[a:b]) for a, b in zip(cuts, cuts[1:], strict=False))


def gzipped(
    text: bytes, *, level: int = 6, extra: bytes | None = None, name: bytes | None = None, has_header_crc: bool = False
) -> bytes:
    """Return one gzip, with the optional fields of its header (RFC 1952) where they are given."""
    flags = (has_header_crc and 0x02) | (extra is not None and 0x04) | (name is not None and 0x08)
    head = pack("<HBBIBB", 0x8B1F, 8, flags, 0, 0, 255)
    if extra is not None:
        head += pack("<H", len(extra)) + extra
    if name is not None:
        head += name + b"\0"
    if has_header_crc:
        head += pack("<H", zlib.crc32(head) & FULL16)
    return head + deflated(text, level) + pack("<II", zlib.crc32(text), len(text) & FULL32)


def deflated(data: bytes, level: int = 6) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


# The zip


def build(members: Iterable[Member], layout: Layout = AMPLITUDE) -> bytes:
    """Return the archive."""
    archive = bytearray()
    entries: list[bytes] = []
    for member in members:
        one = member.layout or layout
        if member.attributes == FOLDER:
            one = replace(one, method=STORED, sizes="before", is_wide_before=False)
        entry, record = _pack_member(member, one, len(archive))
        archive += record
        entries.append(entry)
    if layout.is_reversed:
        entries.reverse()
    directory = b"".join(entries)
    return bytes(archive) + directory + _pack_end(len(entries), len(directory), len(archive), layout)


def _pack_member(member: Member, layout: Layout, offset: int) -> tuple[bytes, bytes]:
    """Return a member's entry of the central directory, and all that stands at its offset."""
    content = member.content()
    data = content if layout.method == STORED else deflated(content)
    sums = (zlib.crc32(content), len(data), len(content))
    name = member.name if isinstance(member.name, bytes) else member.name.encode()
    flags = 0 if isinstance(member.name, bytes) or member.name.isascii() else _UTF8
    if layout.sizes != "before":
        flags |= _SIZES_BEHIND
    needs = 45 if layout.is_wide_before or layout.is_wide_central else 20

    crc, packed, size = (0, 0, 0) if layout.sizes == "behind" else sums
    extra = b""
    if layout.is_wide_before:
        extra = pack("<HHQQ", 1, 16, size, packed)
        packed = size = FULL32
    head = pack("<4s5H3I2H", b"PK\x03\x04", needs, flags, layout.method, DOS_TIME, DOS_DATE, crc, packed, size, len(name), len(extra))
    behind = b""
    if layout.sizes != "before":
        behind = b"PK\x07\x08" * layout.has_signature + pack("<IQQ" if layout.is_wide_behind else "<III", *sums)
    record = head + name + extra + data + behind

    crc, packed, size = sums
    extra = b""
    if layout.is_wide_central:
        extra = pack("<HHQQQ", 1, 24, size, packed, offset)
        packed = size = offset = FULL32
    made_by = 3 << 8 | needs
    entry = pack(
        *("<4s6H3I5H2I", b"PK\x01\x02", made_by, needs, flags, layout.method, DOS_TIME, DOS_DATE, crc, packed, size),
        *(len(name), len(extra), 0, 0, 0, member.attributes, offset),
    )
    return entry + name + extra, record


def _pack_end(entries: int, size: int, offset: int, layout: Layout) -> bytes:
    wide = b""
    if layout.is_wide_end:
        wide = pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, size, offset)
        wide += pack("<4sIQI", b"PK\x06\x07", 0, offset + size, 1)
        entries, size, offset = FULL16, FULL32, FULL32
    return wide + pack("<4s4H2IH", b"PK\x05\x06", 0, 0, entries, entries, size, offset, len(layout.comment)) + layout.comment


def reference_rows(archive: bytes) -> list[dict[str, Any]]:
    """Return the rows that ``zipfile``, ``gzip`` and ``json`` find; what is no gzip holds none, blank lines are none."""
    rows = []
    with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
        for info in zipped.infolist():
            content = zipped.read(info)
            if content.startswith(b"\x1f\x8b"):
                rows += [json.loads(line) for line in gzip.decompress(content).split(b"\n") if line.strip()]
    return rows


# Members


def hour_name(hour: datetime, part: int = 0, project: int = PROJECT) -> str:
    """Return what Amplitude calls the file of an upload hour."""
    return f"{project}/{project}_{hour:%Y-%m-%d}_{hour.hour}#{part}.json.gz"


def hour_member(hour: datetime, count: int, part: int = 0, *, seed: int | None = None) -> Member:
    """Return the member of an hour, with so many rows of its own."""
    own = int(hour.timestamp()) // 3600 * 100 + part if seed is None else seed
    return Member(hour_name(hour, part), [line_of(row) for row in rows(count, own, hour=hour)])


def hour_members(start: datetime, hours: int, count: int) -> list[Member]:
    return [hour_member(start + timedelta(hours=one), count) for one in range(hours)]


def folder(name: str) -> Member:
    """Return a directory entry."""
    return Member(name, raw=b"", attributes=FOLDER)


def bomb(name: str, decoded_bytes: int, unit: bytes = b"{}\n") -> Member:
    """Return a member of a gzip that is a thousand times longer when decoded, of repeated units; made at once, however long.

    Blocks of 1 MiB are repeated as they are compressed, and the CRC is worked out without the text. The gzip is a proper one.
    """
    block = unit * -(-(1 << 20) // len(unit))
    times = -(-decoded_bytes // len(block))
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    trailer = pack("<II", _crc_repeated(block, times), len(block) * times & FULL32)
    return Member(name, raw=pack("<HBBIBB", 0x8B1F, 8, 0, 0, 2, 255) + first * times + deflated(b"") + trailer)


def _crc_repeated(block: bytes, times: int) -> int:
    """Return the CRC of repeated blocks: appending one is an affine map of the 32 bits, raised to a power by squaring."""

    def linear(state: int) -> int:
        image = 0
        for bit, column in enumerate(columns):
            if state >> bit & 1:
                image ^= column
        return image

    constant = zlib.crc32(block)
    columns = [zlib.crc32(block, 1 << bit) ^ constant for bit in range(32)]
    state = 0
    while times:
        if times & 1:
            state = linear(state) ^ constant
        constant ^= linear(constant)
        columns = [linear(column) for column in columns]
        times >>= 1
    return state


def forged_end(lines: Sequence[bytes], name: str = "forged.json.gz") -> Member:
    """Return a member that holds, in its gzip's header, a descriptor that truly describes the bytes before it, and a next header.

    Only who follows the gzip knows that the member goes on; nobody may take it for two members and succeed.
    """
    start = pack("<HBBIBB", 0x8B1F, 8, 0x04, 0, 0, 255)
    extra_length = 16 + 30
    before = start + pack("<H", extra_length)
    forged = pack("<4sIII", b"PK\x07\x08", zlib.crc32(before), len(before), len(before)) + b"PK\x03\x04" + bytes(26)
    text = b"".join(line + b"\n" for line in lines)
    return Member(name, raw=before + forged + deflated(text) + pack("<II", zlib.crc32(text), len(text)))


def _looks_like_zip() -> bytes:
    """Return bytes full of a zip's signatures: an archive with its sizes behind the data, and bare records."""
    within = build([Member("within.json.gz", [b'{"event_type":"never"}'])])
    records = b"".join(
        b"PK" + mark + bytes(40) for mark in (b"\x03\x04", b"\x01\x02", b"\x05\x06", b"\x06\x06", b"\x06\x07", b"\x07\x08")
    )
    return within + records + b"PPK\x07\x08PK\x03\x04PK"


def _contents() -> dict[str, list[Member]]:
    lines = [line_of(row) for row in rows(40, 1)]
    few = lines[:5]
    first, second, third = (hour_name(HOUR + timedelta(hours=n)) for n in range(3))
    decoy = _looks_like_zip()
    return {
        "one member": [Member(first, lines)],
        "three members": [Member(first, lines[:20]), Member(second, lines[20:30]), Member(third, lines[30:])],
        "no members": [],
        "several gzips in one": [Member(first, lines, gzips=4), Member(second, few, gzips=2)],
        "a gzip for every few bytes": [Member(first, few, gzips=200)],
        "gzips of nothing between": [
            Member(first, raw=gzipped(b"") + gzipped(lines[0] + b"\n") + gzipped(b"") + gzipped(lines[1] + b"\n") + gzipped(b""))
        ],
        "zeros behind the gzip": [Member(first, raw=gzipped(few[0] + b"\n") + bytes(512)), Member(second, few)],
        "an empty member": [Member(first, few), Member(second, raw=b""), Member(third, few)],
        "only an empty member": [Member(first, raw=b"")],
        "a gzip of nothing": [Member(first, few), Member(second, []), Member(third, few)],
        "no last line end": [Member(first, few, has_last_line_end=False), Member(second, few, has_last_line_end=False)],
        "carriage returns": [Member(first, few, line_end=b"\r\n"), Member(second, few, line_end=b"\r\n", has_last_line_end=False)],
        "plain text beside": [
            Member("readme.txt", raw=b"no rows here\n"),
            Member(first, few),
            Member("one", raw=b"\x1f"),
            Member("e", raw=b"PK"),
        ],
        "folders beside": [folder(f"{PROJECT}/"), Member(first, few), folder("empty/"), Member(second, few)],
        "only folders": [folder(f"{PROJECT}/")],
        "gzip headers with all fields": [
            Member(first, raw=gzipped(few[0] + b"\n", extra=b"ab\x02\0xy", name=b"hour.json", has_header_crc=True)),
            Member(second, raw=gzipped(few[1] + b"\n", name=b"PK\x07\x08")),
        ],
        "stored gzips": [Member(first, raw=gzipped(b"\n".join(few) + b"\n", level=0))],
        "signatures within": [
            Member(first, raw=gzipped(few[0] + b"\n", extra=decoy)),
            Member("within.zip", raw=decoy),
            Member(second, raw=gzipped(few[1] + b"\n", name=b"PK\x03\x04PK\x01\x02PK\x07\x08PK")),
            Member("tail.txt", raw=b"text that ends with a P"),
        ],
        "names in other scripts": [Member("Zürich/日本_7#0.json.gz", few), Member("old-\x81\xff".encode("latin-1"), few)],
        "the same name twice": [Member(first, few), Member(first, lines[5:10])],
        "layouts mixed": [Member(f"{number}#0.json.gz", few, layout=layout) for number, layout in enumerate(LAYOUTS.values())],
        "long lines": [
            Member(first, [b'{"event_type":"' + b"a" * 200_000 + b'"}', few[0], b'{"event_type":"' + b"b" * 32_768 + b'"}'])
        ],
        "tiny rows": [Member(first, [b"{}"] * 5000 + [b'{"a":1}'] * 5000)],
    }


@dataclass(frozen=True, slots=True)
class LineFault:
    """A text with a line that cannot be a row, or that only looks like it.

    Attributes:
        text: What the gzip holds.
        line: Which line is the first that is no JSON object, from 1; 0 if every line is one.
        good: How many lines are JSON objects.
    """

    text: bytes = field(repr=False)
    line: int
    good: int


GOOD_LINE: Final = b'{"event_type":"a","user_id":"user-1"}\n'

LINE_FAULTS: Final[dict[str, LineFault]] = {
    "broken JSON": LineFault(GOOD_LINE * 2 + b'{"event_type":\n' + GOOD_LINE, 3, 3),
    "a line cut in two": LineFault(GOOD_LINE + GOOD_LINE[:20] + b"\n" + GOOD_LINE[20:] + GOOD_LINE, 2, 2),
    "two objects on a line": LineFault(GOOD_LINE[:-1] + GOOD_LINE + GOOD_LINE, 1, 1),
    "no end": LineFault(GOOD_LINE * 3 + b'{"event_type":"a"', 4, 3),
    "a blank line": LineFault(GOOD_LINE + b"\n" + GOOD_LINE, 2, 2),
    "a line of spaces": LineFault(GOOD_LINE + b" \t \n" + GOOD_LINE, 2, 2),
    "blank lines at the end": LineFault(GOOD_LINE * 2 + b"\n\n", 3, 2),
    "carriage returns": LineFault(GOOD_LINE.replace(b"\n", b"\r\n") * 3, 0, 3),
    "a byte order mark": LineFault(b"\xef\xbb\xbf" + GOOD_LINE * 2, 1, 1),
    "invalid UTF-8": LineFault(GOOD_LINE + b'{"event_type":"\xff\xfe"}\n' + GOOD_LINE, 2, 2),
    "an array": LineFault(GOOD_LINE + b"[1,2]\n" + GOOD_LINE, 2, 2),
    "null": LineFault(b"null\n" + GOOD_LINE, 1, 1),
    "nested beyond any stack": LineFault(GOOD_LINE + b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}\n" + GOOD_LINE, 2, 2),
    "a number without end": LineFault(GOOD_LINE + b'{"a":' + b"9" * 5000 + b"e}\n" + GOOD_LINE, 2, 2),
    "NUL bytes": LineFault(GOOD_LINE + bytes(10) + b"\n" + GOOD_LINE, 2, 2),
}
"""Texts that trouble a reader of rows."""


HOSTILE_NAMES: Final[tuple[tuple[bytes, int], ...]] = (
    (b"../../up.json.gz", FILE),
    (b"a/../../../up.json.gz", FILE),
    (b"..", FILE),
    (b"/etc/absolute.json.gz", FILE),
    (b"//host/share.json.gz", FILE),
    (b"C:\\drive.json.gz", FILE),
    (b"C:drive.json.gz", FILE),
    (b"..\\..\\backslash.json.gz", FILE),
    (b"\\\\?\\C:\\device.json.gz", FILE),
    (b"nul\0byte.json.gz", FILE),
    (b"n" * 300 + b".json.gz", FILE),
    (b"d/" * 2000 + b"deep.json.gz", FILE),
    (b"link.json.gz", LINK),
    (b"linked/below.json.gz", LINK),
    (b"", FILE),
    (b"/", FILE),
    (b"CON", FILE),
    (b"line\r\nend\x1b[31m.json.gz", FILE),
    (b"\xff\xfe\xc3\x28.json.gz", FILE),
    ("\u202egz.nosj".encode(), FILE),
    (b"~/.profile", FILE),
    (b"-rf *", FILE),
)
"""Names of members that must lead nowhere, each with its external attributes."""


def hostile_members(lines: Sequence[bytes]) -> list[Member]:
    return [Member(name, lines, attributes=attributes) for name, attributes in HOSTILE_NAMES]


# Rows

COLUMNS: Final = tuple(
    (
        "$insert_id $insert_key $schema adid amplitude_attribution_ids amplitude_event_type amplitude_id app city client_event_time "
        "client_upload_time country data data_type device_brand device_carrier device_family device_id device_manufacturer "
        "device_model device_type dma event_id event_properties event_time event_type global_user_properties group_properties groups "
        "idfa ip_address is_attribution_event language library location_lat location_lng os_name os_version partner_id paying plan "
        "platform processed_time region sample_rate server_received_time server_upload_time session_id source_id start_version "
        "user_creation_time user_id user_properties uuid version_name"
    ).split()
)
"""The 55 columns in the order in which they were recorded."""

_MAY_BE_MISSING: Final = (
    *("$insert_key", "$schema", "adid", "amplitude_attribution_ids", "amplitude_event_type", "dma", "global_user_properties", "idfa"),
    *("is_attribution_event", "partner_id"),
)
_EVENTS: Final = (
    *("page_viewed", "checkout_done", "item_added", "search_submitted", "login", "push_opened", "video_started", "coupon_applied"),
    *("[Amplitude] Start Session", "[Amplitude] End Session", "settings_changed", "share_clicked"),
)
_PLACES: Final = (
    ("Norway", "Oslo", "Oslo County", "Norwegian", 59.9, 10.7),
    ("Germany", "Köln", "North Rhine-Westphalia", "German", 50.9, 6.9),
    ("Japan", "東京", "Tokyo", "Japanese", 35.6, 139.7),
    ("United States", "Austin", "Texas", "English", 30.2, -97.7),
    ("Brazil", "São Paulo", "São Paulo", "Portuguese", -23.5, -46.6),
    ("Kenya", "Nairobi", "Nairobi Province", "Swahili", -1.3, 36.8),
)
_DEVICES: Final = (
    ("Web", "Chrome", "126.0.0.0", None, None, "Windows", "Chrome 126", "amplitude-ts/2.7.3"),
    ("Web", "Firefox", "128.0", None, None, "Linux", "Firefox 128", "amplitude-ts/2.7.3"),
    ("iOS", "ios", "17.5.1", "Apple", "Apple", "iPhone15,2", "Apple iPhone", "amplitude-swift/1.6.0"),
    ("Android", "android", "14", "google", "Google", "Pixel 8 Pro", "Google Phone", "amplitude-kotlin/1.16.8"),
    ("Android", "android", "13", "samsung", "samsung", "SM-G991B", "Samsung Galaxy Phone", "amplitude-kotlin/1.16.8"),
)
_PLANS: Final = ("free", "pro", "team", "enterprise")
_WORDS: Final = tuple(
    (
        "blue red green black white small large wide narrow warm light heavy old new soft leather cotton wool linen rain snow summer "
        "winter running walking hiking office garden kitchen travel sale gift child adult left right upper lower fast slow round flat"
    ).split()
)
_PATHS: Final = ("/shop", "/shop/shoes", "/cart", "/cart/payment", "/account", "/search", "/help/returns", "/")


def rows(count: int, seed: int = 0, *, hour: datetime = HOUR, project: int = PROJECT) -> list[dict[str, Any]]:
    """Return rows as Amplitude exports them: 45 to 55 columns, about 2.2 kB of compact JSON, a sixth of that when gzipped."""
    chance = random.Random(f"{seed}/{hour:%Y%m%dT%H}")
    return [_row(chance, hour, project) for _ in range(count)]


def _hex(chance: random.Random) -> str:
    text = f"{chance.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"


def _row(chance: random.Random, hour: datetime, project: int) -> dict[str, Any]:
    pick, number = chance.choice, chance.randrange
    country, city, region, language, latitude, longitude = pick(_PLACES)
    platform, os_name, os_version, brand, maker, model, family, library = pick(_DEVICES)
    user = number(5000)
    of_user = blake2b(b"%d" % user, digest_size=30).hexdigest()
    received = hour + timedelta(microseconds=number(3_600_000_000 - 9_000_000))
    client_time = received - timedelta(milliseconds=number(200, 30_000))
    path, plan = pick(_PATHS), pick(_PLANS)
    event_type = pick(_EVENTS)
    total = number(100, 99_900) / 100
    row: dict[str, Any] = {
        "$insert_id": _hex(chance),
        "$insert_key": None,
        "$schema": None,
        "adid": None,
        "amplitude_attribution_ids": None,
        "amplitude_event_type": event_type.replace("[Amplitude] ", "").lower().replace(" ", "_") if "[" in event_type else None,
        "amplitude_id": 1_610_447_000_000 + user * 7919,
        "app": project,
        "city": city,
        "client_event_time": _text(client_time),
        "client_upload_time": _text(received),
        "country": country,
        "data": {
            "path": "/2/httpapi",
            "user_properties_updated": number(4) > 0,
            "group_first_event": {},
            "group_ids": {"team": {"blue": 4_711_000 + user % 17}} if user % 3 == 0 else {},
        },
        "data_type": "event",
        "device_brand": brand,
        "device_carrier": pick(("Telenor", "Vodafone", None)) if maker else None,
        "device_family": family,
        "device_id": f"{of_user[:8]}-{of_user[8:12]}-4{of_user[12:15]}-a{of_user[15:18]}-{of_user[18:30]}",
        "device_manufacturer": maker,
        "device_model": model,
        "device_type": family,
        "dma": "Austin, TX" if city == "Austin" else None,
        "event_id": number(1, 100_000),
        "event_properties": {
            "page": path,
            "url": f"https://www.example.org{path}?visit={chance.getrandbits(96):x}",
            "request_id": _hex(chance),
            "words": " ".join(chance.choices(_WORDS, k=4)),
            "timings": {name: number(2000) for name in ("dns", "connect", "tls", "first_byte", "dom", "paint", "idle")},
            "items": [
                {"sku": f"SKU-{number(400):05d}", "price": number(500, 9900) / 100, "quantity": number(1, 4)} for _ in range(number(4))
            ],
            "total": total,
            "currency": pick(("EUR", "NOK", "USD")),
            "experiment_variants": {"checkout_button": pick(("control", "green")), "search_ranking": pick(("control", "v2", "v3"))},
            "is_first": number(10) == 0,
            **({"$revenue": total, "$price": total, "$quantity": 1} if event_type == "checkout_done" else {}),
        },
        "event_time": _text(client_time),
        "event_type": event_type,
        "global_user_properties": None,
        "group_properties": {"team": {"blue": {"seats": user % 17, "tier": plan}}} if user % 3 == 0 else {},
        "groups": {"team": ["blue"]} if user % 3 == 0 else {},
        "idfa": None,
        "ip_address": f"198.51.100.{user % 250}",
        "is_attribution_event": False,
        "language": language,
        "library": library,
        "location_lat": latitude if maker else None,
        "location_lng": longitude if maker else None,
        "os_name": os_name,
        "os_version": os_version,
        "partner_id": None,
        "paying": True if plan != "free" else None,
        "plan": {},
        "platform": platform,
        "processed_time": _text(received + timedelta(milliseconds=number(900, 4000))),
        "region": region,
        "sample_rate": None,
        "server_received_time": _text(received),
        "server_upload_time": _text(received + timedelta(milliseconds=number(3, 90))),
        "session_id": int(client_time.timestamp()) * 1000 - user if number(20) else -1,
        "source_id": "",
        "start_version": "4.0.0",
        "user_creation_time": None,
        "user_id": f"user-{user}@example.org" if number(8) else None,
        "user_properties": {
            "plan": plan,
            "signed_up": f"202{user % 6}-{user % 12 + 1:02d}-{user % 28 + 1:02d}",
            "age_group": pick(("18-24", "25-34", "35-44", "45+")),
            "newsletter": user % 2 == 0,
            "favourites": [f"SKU-{user * 31 % 400:05d}", f"SKU-{user * 37 % 397:05d}"],
            "account": of_user[30:],
            "initial_utm_source": pick(("newsletter", "search", "friend", "EMPTY")),
            "initial_utm_campaign": f"spring-{user % 9}",
            "orders": user % 40,
            "lifetime_value": user % 977 / 4,
        },
        "uuid": _hex(chance),
        "version_name": pick(("4.2.0", "4.2.1", "4.3.0")),
    }
    for column in chance.sample(_MAY_BE_MISSING, max(0, number(-20, 11))):
        del row[column]
    return row


def line_of(row: object) -> bytes:
    """Return a row as Amplitude writes it: compact, UTF-8, without a line end."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()


CONTENTS: Final[dict[str, list[Member]]] = _contents()
"""Archives that every reader must read whole, by what is special about them."""
