"""Exports over real sockets: bytes, rows, ranges, faults of the network, and every way to leave in the middle."""

from __future__ import annotations

import gc
import io
import json
import os
import random
import subprocess
import sys
import threading
import warnings
import zipfile
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "io"))
sys.path.insert(0, str(Path(__file__).parent))
from archives import CONTENTS, HOUR, LAYOUTS, Member, bomb, build, gzipped, hour_member, hour_members, reference_rows
from scripted import ScriptedServer
from servers import (
    NOT_A_ZIP,
    NOT_FOUND,
    TIMED_OUT,
    TIMED_OUT_SILENTLY,
    TOO_LARGE,
    HourServer,
    Window,
    answering,
    cut,
    flipped,
    page,
    stalled,
    told,
    whole,
)

from amplitude_async import (
    AmplitudeError,
    AsyncAmplitude,
    AuthenticationError,
    Backoff,
    ClosedError,
    ExportError,
    InvalidArgumentError,
    NotFoundError,
    RangeTooLargeError,
    RateLimitedError,
    RequestTimeoutError,
    ServerError,
    Timeout,
    TransportError,
    UnexpectedResponseError,
)
from amplitude_async.errors import ExportWarning
from amplitude_async.exporting import reading
from amplitude_async.exporting.frames import ArchiveLimits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from servers import Framing, Reply, Step

    from amplitude_async.exporting.export import Export

START, END = "20260501T07", "20260501T08"
MEMBERS = hour_members(HOUR, 2, 60)
ARCHIVE = build(MEMBERS)
ROWS = reference_rows(ARCHIVE)
LONG = build(hour_members(HOUR, 1, 1200))
LONG_MEMBER = hour_member(HOUR, 700).content()
HOURS = {HOUR + timedelta(hours=n): [hour_member(HOUR + timedelta(hours=n), 3)] for n in (0, 1, 4, 6)}


def client(server: ScriptedServer, **options: Any) -> AsyncAmplitude:
    given: dict[str, Any] = {"max_retries": 0, "timeout": 10} | options
    return AsyncAmplitude("key-1234567890", secret_key="secret-1234567890", base_url=server.url, **given)


def never(seconds: float) -> float:
    return 0.0


class Waits:
    """A backoff that waits for nobody, and remembers how long it was asked to."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.now = 0.0

    def backoff(self) -> Backoff:
        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)
            self.now += seconds
            await anyio.lowlevel.checkpoint()

        return Backoff(jitter=never, clock=lambda: self.now, sleep=sleep)


async def joined(chunks: AsyncIterator[bytes] | Export) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def read_into(got: list[Any], pieces: Any) -> None:
    async for piece in pieces:
        got.append(piece)  # noqa: PERF401 - what came before an error is looked at


def rows_of(hours: dict[datetime, list[Member]]) -> list[dict[str, Any]]:
    return [row for members in hours.values() for row in reference_rows(build(members))]


def errors_of_a_broken_download() -> tuple[type[AmplitudeError], ...]:
    return (ExportError, TransportError, UnexpectedResponseError)


# Bytes


@pytest.mark.anyio
@pytest.mark.parametrize("framing", ["length", "chunked", "closing"])
async def test_one_answer_comes_out_byte_for_byte(framing: Framing) -> None:
    """What Amplitude sent in one answer is what the chunks are, however it was framed; nothing was sent before they were asked for."""
    with ScriptedServer(answering(ARCHIVE, whole(framing, pieces=3000))) as server:
        async with client(server) as amplitude:
            export = amplitude.export(start=START, end=END)
            assert server.requests == []
            assert await joined(export) == ARCHIVE
            assert (export.counts.bytes, export.counts.requests) == (len(ARCHIVE), 1)
    assert server.requests[0].startswith(b"GET /api/2/export?start=20260501T07&end=20260501T08 HTTP/1.1\r\n")


@pytest.mark.anyio
async def test_each_use_is_a_download_of_its_own() -> None:
    """An export may be used again and in other ways; each time it is asked for anew, and the counts add up."""
    with ScriptedServer(answering(ARCHIVE)) as server:
        async with client(server) as amplitude, amplitude.export(start=START, end=END) as export:
            assert await joined(export) == ARCHIVE
            assert [row async for row in export.events()] == ROWS
            assert await joined(export) == ARCHIVE
    assert len(server.requests) == 3
    assert (export.counts.requests, export.counts.bytes, export.counts.rows) == (3, 3 * len(ARCHIVE), len(ROWS))


@pytest.mark.anyio
async def test_exports_of_one_client_run_side_by_side() -> None:
    """Ten downloads at once, of a client with two connections, do not wait for each other: streams take no slots."""
    with ScriptedServer(answering(ARCHIVE)) as server:
        async with client(server, max_connections=2) as amplitude:
            exports = [amplitude.export(start=START, end=END).events() for _ in range(10)]
            firsts = [await anext(rows) for rows in exports]
            assert firsts == [ROWS[0]] * 10
            for rows in exports:
                assert len([row async for row in rows]) == len(ROWS) - 1


@pytest.mark.anyio
@pytest.mark.parametrize("limit", [4, 2, 1])
@pytest.mark.parametrize("layout", ["stored, sizes behind", "deflated, sizes before", "stored, zip64 throughout"])
async def test_several_answers_become_one_zip(limit: int, layout: str) -> None:
    """What is refused as too large comes in halves, and out as one archive with every hour's files once, that zipfile accepts."""
    with HourServer(HOURS, too_large_above=limit, layout=LAYOUTS[layout]) as server:
        async with client(server) as amplitude:
            export = amplitude.export(start=START, end="20260501T14")
            archive = await joined(export)
    with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
        assert zipped.testzip() is None
        assert zipped.namelist() == [str(members[0].name) for members in HOURS.values()]
    assert reference_rows(archive) == rows_of(HOURS)
    assert set(server.given.values()) == {1}
    assert export.counts.requests == len(server.requests) <= 2 * 8


@pytest.mark.anyio
async def test_ranges_beyond_a_year_are_asked_for_in_parts() -> None:
    """Amplitude takes 365 days at most: three years are three requests and come out as one."""
    hours = {datetime(year, 7, 1, 5, tzinfo=UTC): [hour_member(datetime(year, 7, 1, 5, tzinfo=UTC), 2)] for year in (2022, 2023, 2024)}
    with HourServer(hours) as server:
        async with client(server) as amplitude:
            export = amplitude.export(start="20220101T00", end="20241230T23")
            assert [row async for row in export.events()] == rows_of(hours)
            archive = await joined(export)
            assert reference_rows(archive) == rows_of(hours)
            with pytest.raises(InvalidArgumentError, match="split"):
                amplitude.export(start="20220101T00", end="20241230T23", split=False)
    assert len(server.requests) == 6
    assert all(len(window.hours()) == 365 * 24 for window in server.windows)


# Rows


@pytest.mark.anyio
@pytest.mark.parametrize("strict", [False, True])
async def test_rows_are_dicts_as_sent(strict: bool) -> None:
    """Each row is what json reads in its line, in order, one by one or in lists, never an empty list."""
    with ScriptedServer(answering(ARCHIVE, whole(pieces=1777))) as server:
        async with client(server) as amplitude:
            export = amplitude.export(start=START, end=END)
            assert [row async for row in export.events(strict=strict)] == ROWS
            batches = [rows async for rows in export.batches(strict=strict)]
    assert all(batches)
    assert [row for rows in batches for row in rows] == ROWS
    assert (export.counts.rows, export.counts.members, export.counts.skipped_members) == (2 * len(ROWS), 4, 0)


@pytest.mark.anyio
@pytest.mark.parametrize("content", CONTENTS)
async def test_every_content_comes_over_the_network(content: str) -> None:
    """Archives with whatever members give the reference rows; files that are no rows are counted and warned about once."""
    archive = build(CONTENTS[content], LAYOUTS["stored, zip64 throughout"])
    with ScriptedServer(answering(archive)) as server:
        async with client(server) as amplitude:
            export = amplitude.export(start=START, end=END)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                assert [row async for row in export.events()] == reference_rows(archive)
    expected = {"plain text beside": 3, "signatures within": 2}.get(content, 0)
    assert export.counts.skipped_members == expected
    told_of = [str(warning.message) for warning in caught if warning.category is ExportWarning]
    assert len(told_of) == bool(expected)
    assert all(f"{expected} files" in text for text in told_of)


class Row(msgspec.Struct):
    user_id: str | None
    event_type: str
    event_properties: msgspec.Raw


@dataclass
class Plain:
    amplitude_id: int
    paying: bool | None = None


class Keyword(msgspec.Struct, rename={"insert_id": "$insert_id"}, forbid_unknown_fields=False):
    insert_id: str


@pytest.mark.anyio
async def test_rows_become_models() -> None:
    """Structs, dataclasses, renamed fields: a model takes its columns, and raw ones stay text."""
    with ScriptedServer(answering(ARCHIVE)) as server:
        async with client(server) as amplitude:
            export = amplitude.export(start=START, end=END)
            structs = [row async for row in export.events(model=Row)]
            plain = [row async for rows in export.batches(model=Plain) for row in rows]
            renamed = [row async for row in export.events(model=Keyword)]
    assert [(row.user_id, row.event_type, json.loads(bytes(row.event_properties))) for row in structs] == [
        (row["user_id"], row["event_type"], row["event_properties"]) for row in ROWS
    ]
    assert [(row.amplitude_id, row.paying) for row in plain] == [(row["amplitude_id"], row["paying"]) for row in ROWS]
    assert [row.insert_id for row in renamed] == [row["$insert_id"] for row in ROWS]


class Exploding(msgspec.Struct):
    user_id: str | None

    def __post_init__(self) -> None:
        raise KeyError("mine")


class Unknown:
    """Nothing that JSON could become."""


@pytest.mark.anyio
@pytest.mark.parametrize("model", [5, Unknown, [int], object, "dict"])
async def test_models_that_cannot_be_made_are_refused_at_once(model: Any) -> None:
    """What no row could become is refused before anything is sent."""
    with ScriptedServer(answering(ARCHIVE)) as server:
        async with client(server) as amplitude:
            with pytest.raises(InvalidArgumentError, match="model"):
                amplitude.export(start=START, end=END).events(model=model)
    assert server.requests == []


@pytest.mark.anyio
async def test_what_a_model_itself_raises_comes_out_and_ends_the_download() -> None:
    """A model's own exception is the caller's; the connection is closed all the same."""
    with ScriptedServer(answering(ARCHIVE, stalled(len(ARCHIVE) - 10))) as server:
        async with client(server) as amplitude:
            rows = amplitude.export(start=START, end=END).events(model=Exploding)
            with pytest.raises(KeyError, match="mine"):
                await anext(rows)
            await closed(amplitude)
            with pytest.raises(ClosedError):
                await anext(rows)


@pytest.mark.anyio
async def test_bad_rows_come_after_the_good_ones_before_them() -> None:
    """The rows before a bad one are given, then the error, each time it is asked for more; or bad ones are skipped and counted."""
    archive = build([Member("m", raw=gzipped(b'{"a":1}\n{"a":2}\nnonsense\n{"a":4}\n'))])
    with ScriptedServer(answering(archive)) as server:
        async with client(server) as amplitude:
            rows = amplitude.export(start=START, end=END).events()
            assert [await anext(rows), await anext(rows)] == [{"a": 1}, {"a": 2}]
            for _ in range(2):
                with pytest.raises(ExportError, match="line 3") as caught:
                    await anext(rows)
                assert (caught.value.member, caught.value.line) == ("m", 3)
            export = amplitude.export(start=START, end=END)
            assert [row async for row in export.events(bad_rows="skip")] == [{"a": 1}, {"a": 2}, {"a": 4}]
            assert export.counts.skipped_rows == 1


@pytest.mark.anyio
async def test_limits_are_settable() -> None:
    """What is believed of an archive can be narrowed and widened for an export."""
    with ScriptedServer(answering(ARCHIVE)) as server:
        async with client(server) as amplitude:
            for limits, words in (
                (ArchiveLimits(line_bytes=100), "longer than 100 bytes"),
                (ArchiveLimits(members=1), "more than 1 members"),
                (ArchiveLimits(ratio=2, ratio_from_bytes=1000), "more than 2 times"),
            ):
                with pytest.raises(ExportError, match=words):
                    async for _ in amplitude.export(start=START, end=END, limits=limits).events():
                        pass


@pytest.mark.anyio
@pytest.mark.parametrize("model", [dict, Row])
async def test_the_first_row_comes_within_three_chunks(model: Any) -> None:
    """A row is there when no more than three times 64 kB of a long download have been sent."""
    assert len(LONG) > 400_000
    with ScriptedServer(answering(LONG, stalled(3 * 65_536))) as server:
        async with client(server) as amplitude, amplitude.export(start=START, end=END) as export:
            with anyio.fail_after(10):
                assert await anext(export.events(model=model))
            assert export.counts.bytes <= 3 * 65_536


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["rows", "save rows", "merged chunks"])
async def test_other_tasks_have_turns_by_time(way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Decoding looks at the clock at every step of 32 kB, and lets others run when 2.5 ms are over."""
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.001
        return now

    monkeypatch.setattr(reading, "time", SimpleNamespace(perf_counter=clock))
    archive = build(hour_members(HOUR, 2, 150))
    turns = 0
    last = longest = now

    async def watch() -> None:
        nonlocal turns, last, longest
        while True:
            turns += 1
            longest = max(longest, now - last)
            last = now
            await anyio.lowlevel.checkpoint()

    reply = whole() if way != "merged chunks" else None
    with (
        HourServer({HOUR: hour_members(HOUR, 2, 150)}, too_large_above=1)
        if reply is None
        else ScriptedServer(answering(archive)) as server
    ):
        async with client(server) as amplitude, anyio.create_task_group() as group:
            group.start_soon(watch)
            export = amplitude.export(start=START, end=END)
            if way == "rows":
                assert len([row async for row in export.events()]) == 300
            elif way == "save rows":
                await export.save(tmp_path / "x", verify="rows")
            else:
                await joined(export)
            group.cancel_scope.cancel()
    assert turns > 10
    # Every look at the clock takes a millisecond of it.
    assert longest < 0.0101


# Refusals


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["rows", "batches", "chunks"])
async def test_a_range_without_data_is_empty(way: str) -> None:
    """404 means no data: no rows, and for bytes a NotFoundError, as an empty file would be no zip (F10)."""
    with ScriptedServer(answering(ARCHIVE, NOT_FOUND)) as server:
        async with client(server) as amplitude:
            export = amplitude.export(start=START, end=END)
            if way == "chunks":
                with pytest.raises(NotFoundError, match="Raw data files were not found"):
                    await joined(export)
            else:
                assert [row async for row in (export.events() if way == "rows" else export.batches())] == []
            assert (export.counts.requests, export.counts.bytes) == (1, 0)
    assert len(server.requests) == 1


REFUSALS: dict[str, Reply] = {"400": TOO_LARGE, "504 with a page": TIMED_OUT, "504": TIMED_OUT_SILENTLY}


@pytest.mark.anyio
@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("limit", [1, 2, 3, 5])
async def test_what_is_too_much_is_halved(refusal: str, limit: int) -> None:
    """Too large or too slow, ranges are halved until they fit: each hour is given once, with at most two requests an hour (F10)."""

    def instead(window: Window, before: int) -> Reply | None:
        return REFUSALS[refusal] if len(window.hours()) > limit else None

    with HourServer(HOURS, instead=instead) as server:
        async with client(server, max_retries=2, backoff=Waits().backoff()) as amplitude:
            export = amplitude.export(start=START, end="20260501T16")
            assert [row async for row in export.events()] == rows_of(HOURS)
    assert set(server.given.values()) == {1}
    assert set(server.asked.values()) == {1}
    assert len(server.requests) == export.counts.requests <= 2 * 10


@pytest.mark.anyio
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_an_hour_that_is_too_much_is_an_error_that_says_what_to_do(refusal: str) -> None:
    """A single hour that Amplitude does not give is a RangeTooLargeError with its hour, after the rows of the hours before (F10)."""

    def instead(window: Window, before: int) -> Reply | None:
        return REFUSALS[refusal] if HOUR + timedelta(hours=4) in window.hours() else None

    with HourServer(HOURS, instead=instead) as server:
        async with client(server, max_retries=2, backoff=Waits().backoff()) as amplitude:
            rows = amplitude.export(start=START, end="20260501T14").events()
            got: list[Any] = []
            with pytest.raises(RangeTooLargeError, match="bucket of your own") as caught:
                await read_into(got, rows)
    assert got == rows_of(HOURS)[:6]
    assert (caught.value.start, caught.value.end) == ("20260501T11", "20260501T11")
    assert caught.value.status in {400, 504}
    assert len(server.requests) <= 2 * 8


@pytest.mark.anyio
async def test_an_hour_that_timed_out_is_asked_for_once_more() -> None:
    """A single hour gets a second chance when the gateway gave up on it."""
    with HourServer(HOURS, instead=lambda window, before: TIMED_OUT if before == 0 and len(window.hours()) == 1 else None) as server:
        async with client(server, backoff=Waits().backoff()) as amplitude:
            rows = [row async for row in amplitude.export(start=START, end=START).events()]
    assert len(rows) == 3
    assert len(server.requests) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_without_leave_to_split_too_much_is_an_error(refusal: str) -> None:
    """split=False asks once, and says that less, or split=True, would help."""
    with ScriptedServer(answering(ARCHIVE, REFUSALS[refusal])) as server:
        async with client(server, backoff=Waits().backoff()) as amplitude:
            with pytest.raises(RangeTooLargeError, match="split=True") as caught:
                await joined(amplitude.export(start=START, end=END, split=False))
    assert (caught.value.start, caught.value.end) == (START, END)
    assert len(server.requests) <= 2


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (page(b"Invalid API Key", status=403), AuthenticationError),
        (page(b"no", status=401), AuthenticationError),
        (told(400, "Invalid API key"), AuthenticationError),
        (told(500, "oops"), ServerError),
        (page(b"", status=503), ServerError),
        (page(b"", status=418), AmplitudeError),
    ],
)
async def test_other_refusals_are_what_they_are_elsewhere(reply: Reply, kind: type[AmplitudeError]) -> None:
    """A bad key is not a range that is too large, nor is trouble of the server: no range is halved for those."""
    with ScriptedServer(answering(ARCHIVE, reply)) as server:
        async with client(server) as amplitude:
            with pytest.raises(kind) as caught:
                await joined(amplitude.export(start=START, end="20260502T08"))
    assert not isinstance(caught.value, RangeTooLargeError)
    assert len(server.requests) == 1
    assert "secret-1234567890" not in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize(("retry_after", "waited"), [(7, 7.0), (None, 0.0), (1, 1.0)])
async def test_too_many_requests_are_waited_for(retry_after: int | None, waited: float) -> None:
    """429 is tried again when its Retry-After is over; without one, as the backoff says."""
    waits = Waits()
    with HourServer(HOURS, throttle_first=2, retry_after=retry_after) as server:
        async with client(server, max_retries=2, backoff=waits.backoff(), timeout=Timeout(first_byte=100)) as amplitude:
            assert len([row async for row in amplitude.export(start=START, end=END).events()]) == 6
    assert waits.waits == [waited, waited]


@pytest.mark.anyio
async def test_too_many_requests_for_too_long_are_an_error() -> None:
    """What stays throttled is a RateLimitedError with the wait that was asked for."""
    with HourServer(HOURS, throttle_first=99, retry_after=5) as server:
        async with client(server, max_retries=2, backoff=Waits().backoff(), timeout=Timeout(first_byte=100)) as amplitude:
            with pytest.raises(RateLimitedError) as caught:
                await joined(amplitude.export(start=START, end=END))
    assert caught.value.retry_after == 5
    assert len(server.requests) == 3


@pytest.mark.anyio
@pytest.mark.parametrize(
    "text", ["<html>sorry: secret-12345", "x" * 1010 + "secret-1234567890", " " * 1010 + "secret-1234567890 and more"]
)
async def test_no_part_of_a_key_is_quoted(text: str) -> None:
    """A page that repeats the secret, whole or cut, shows none of it in the error (S4)."""
    with ScriptedServer(answering(ARCHIVE, page(text.encode()))) as server:
        async with client(server) as amplitude:
            with pytest.raises(UnexpectedResponseError) as caught:
                [chunk async for chunk in amplitude.export(start=START, end=END)]
    assert "secret-1" not in str(caught.value)


@pytest.mark.parametrize("limits", [5, (1, 2), ArchiveLimits(line_bytes=-1), ArchiveLimits(ratio=0), ArchiveLimits(members=True)])
def test_limits_that_are_none_are_refused(limits: Any) -> None:
    """What are no limits is refused before anything is sent."""
    with pytest.raises(InvalidArgumentError, match="limits"):
        AsyncAmplitude("key").export(start=START, end=END, limits=limits)


@pytest.mark.anyio
@pytest.mark.parametrize("name", NOT_A_ZIP)
@pytest.mark.parametrize("way", ["chunks", "rows"])
async def test_a_page_in_place_of_a_zip_is_an_error(name: str, way: str) -> None:
    """A 200 that is no zip is an UnexpectedResponseError before the first byte is given, quoting at most 200 characters (F3)."""
    with ScriptedServer(answering(ARCHIVE, NOT_A_ZIP[name])) as server:
        async with client(server) as amplitude:
            export = amplitude.export(start=START, end=END)
            got: list[Any] = []
            with pytest.raises(UnexpectedResponseError) as caught:
                await read_into(got, export if way == "chunks" else export.events())
            await closed(amplitude)
    assert got == []
    assert caught.value.status == 200
    assert len(str(caught.value)) < 300


@pytest.mark.anyio
async def test_what_a_page_says_is_masked() -> None:
    """Keys and addresses in the page are in no message; the rest of it is in .data."""
    text = b"<html>key-1234567890 secret-1234567890 ada@example.org" + b"x" * 5000
    with ScriptedServer(answering(ARCHIVE, page(text))) as server:
        async with client(server) as amplitude:
            with pytest.raises(UnexpectedResponseError) as caught:
                await joined(amplitude.export(start=START, end=END))
    for secret in ("key-1234567890", "secret-1234567890", "ada@"):
        assert secret not in str(caught.value)
        assert secret not in repr(caught.value)
    assert len(str(caught.value)) < 300


# Broken downloads


def _script(replies: list[Reply]) -> list[Step]:
    return [answering(ARCHIVE, reply) for reply in replies]


@pytest.mark.anyio
@pytest.mark.parametrize("framing", ["length", "closing"])
@pytest.mark.parametrize("way", ["chunks", "rows"])
async def test_a_cut_anywhere_is_an_error(framing: Framing, way: str, anyio_backend: str) -> None:
    """Cut at 50 random bytes, by FIN and by RST, length declared or not, a download is an error of the library's own (F1, F2)."""
    chance = random.Random(f"{framing} {way} {anyio_backend}")
    # Four such tests on two backends make 200 of each framing.
    cuts = [(chance.randrange(len(ARCHIVE)), chance.choice(("fin", "rst"))) for _ in range(48)] + [
        (0, "fin"),
        (len(ARCHIVE) - 1, "fin"),
    ]
    with ScriptedServer(*_script([cut(at, by="rst" if by == "rst" else "fin", framing=framing) for at, by in cuts])) as server:
        async with client(server) as amplitude:
            for at, _ in cuts:
                export = amplitude.export(start=START, end=END)
                got: list[Any] = []
                with pytest.raises(errors_of_a_broken_download()):
                    await read_into(got, export if way == "chunks" else export.events())
                if way == "chunks":
                    assert ARCHIVE[:at].startswith(b"".join(got))
                else:
                    assert got == ROWS[: len(got)]
            await closed(amplitude)


@pytest.mark.anyio
@pytest.mark.parametrize("framing", ["length", "closing"])
async def test_a_cut_anywhere_leaves_no_file(framing: Framing, tmp_path: Path, anyio_backend: str) -> None:
    """Cut at 50 random bytes, a download that was to be saved leaves nothing (F1, F2)."""
    chance = random.Random(f"{framing} {anyio_backend}")
    cuts = [chance.randrange(len(ARCHIVE)) for _ in range(50)]
    with ScriptedServer(*_script([cut(at, framing=framing) for at in cuts])) as server:
        async with client(server) as amplitude:
            for _ in cuts:
                with pytest.raises(errors_of_a_broken_download()):
                    await amplitude.export(start=START, end=END).save(tmp_path / "x.zip")
                assert list(tmp_path.iterdir()) == []


@pytest.mark.anyio
async def test_a_cut_between_answers_is_an_error() -> None:
    """In a range of several answers, one that is cut ends the whole: no zip comes out of the others."""

    def instead(window: Window, before: int) -> Reply | None:
        if len(window.hours()) > 1:
            return TOO_LARGE
        return cut(100, framing="closing") if window.start == END else None

    with HourServer(HOURS, instead=instead) as server:
        async with client(server) as amplitude:
            with pytest.raises(errors_of_a_broken_download()):
                await joined(amplitude.export(start=START, end=END))
            got: list[Any] = []
            with pytest.raises(errors_of_a_broken_download()):
                await read_into(got, amplitude.export(start=START, end=END).events())
    assert got == rows_of(HOURS)[:3]


@pytest.mark.anyio
@pytest.mark.parametrize("strict", [False, True])
async def test_flipped_bits_are_errors_over_the_network(strict: bool) -> None:
    """A bit that was changed on the way is an error with the member's name; strict rows before it are a true prefix (F4)."""
    content = MEMBERS[1].content()
    begin = ARCHIVE.index(content)
    bits = [random.Random(number).randrange(8 * begin, 8 * (begin + len(content))) for number in range(20)]
    with ScriptedServer(*_script([flipped(bit) for bit in bits])) as server:
        async with client(server) as amplitude:
            for _ in bits:
                got: list[Any] = []
                with pytest.raises(ExportError) as caught:
                    await read_into(got, amplitude.export(start=START, end=END).events(strict=strict))
                assert caught.value.member == MEMBERS[1].name
                if strict:
                    assert got == ROWS[:60]


@pytest.mark.anyio
async def test_silence_ends_a_download() -> None:
    """A server that says nothing more is an error when the limit between bytes is over."""
    with ScriptedServer(answering(ARCHIVE, stalled(5000))) as server:
        async with client(server, timeout=Timeout(between_bytes=0.1)) as amplitude:
            with pytest.raises(RequestTimeoutError):
                await joined(amplitude.export(start=START, end=END))
            await closed(amplitude)


@pytest.mark.anyio
async def test_bombs_stop_over_the_network() -> None:
    """A megabyte that would become a gigabyte is an error once 32 MiB came out (F5)."""
    archive = build([bomb("bomb.json.gz", 1 << 30, b'{"a":"' + b"a" * 1000 + b'"}\n')])
    with ScriptedServer(answering(archive)) as server:
        async with client(server) as amplitude:
            count = 0
            with pytest.raises(ExportError, match="400 times"):
                async for batch in amplitude.export(start=START, end=END).batches():
                    count += len(batch)
            await closed(amplitude)
    # 400 times what had arrived by then: the first piece and one straight from the line.
    assert count <= 400 * ((64 + 256) << 10) // 1000


# Leaving in the middle (F9)


async def closed(amplitude: AsyncAmplitude) -> None:
    """Wait until no task and no stream of the client's is left, which is soon."""
    connection = amplitude._caller.connection
    with anyio.fail_after(10):
        while amplitude._caller.tasks.alive or connection._streams:
            await anyio.sleep(0.001)


def hanging(at: int) -> tuple[Step, threading.Event]:
    """Return a step that sends so much and then waits for the connection to be closed, and what is set when it was."""
    ended = threading.Event()

    def reply(connection: Any, archive: bytes) -> None:
        try:
            # The client may be gone before any of it is sent.
            connection.send(b"HTTP/1.1 200 X\r\nContent-Type: application/zip\r\nContent-Length: %d\r\n\r\n" % len(archive))
            connection.send(archive[:at])
            while connection.sock.recv(65_536):
                pass
        except ConnectionError:
            pass
        ended.set()

    return answering(LONG, reply), ended


READINGS: dict[str, Callable[[Export], Any]] = {
    "chunks": aiter,
    "rows": lambda export: export.events(),
    "batches": lambda export: export.batches(),
    "strict rows": lambda export: export.events(strict=True),
}


async def let_go(ended: threading.Event) -> None:
    """Wait until the server saw the connection end, which takes some 5 ms."""
    with anyio.fail_after(10):
        while not ended.is_set():
            await anyio.sleep(0.002)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", READINGS)
@pytest.mark.parametrize("way", ["cancel", "aclose", "close the reading", "leave the block", "raise in the block"])
async def test_leaving_in_mid_download_closes_the_connection(kind: str, way: str) -> None:
    """However a download is left, its connection is closed at once, without waiting for a collector, and nothing is left open."""
    step, ended = hanging(len(LONG) // 2)
    with ScriptedServer(step) as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        async with client(server) as amplitude:
            export = amplitude.export(start=START, end=END)
            await _left(export, READINGS[kind](export), way, is_strict=kind == "strict rows")
            await let_go(ended)
            await closed(amplitude)
        gc.collect()


async def _left(export: Export, pieces: Any, way: str, *, is_strict: bool) -> None:
    if way in {"leave the block", "raise in the block"}:
        try:
            async with export:
                if not is_strict:
                    await anext(pieces)
                else:
                    await _started(export, pieces)
                if way == "raise in the block":
                    raise KeyError("mine")
        except KeyError:
            pass
        return
    if is_strict or way == "cancel":
        await _started(export, pieces)
    else:
        await anext(pieces)
    if way != "cancel":
        await (export.aclose() if way == "aclose" else pieces.aclose())


async def _started(export: Export, pieces: Any) -> None:
    """Read until the server has no more, and cancel that."""
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:

            async def cancel() -> None:
                while export.counts.bytes < len(LONG) // 2:
                    await anyio.sleep(0.001)
                scope.cancel()

            group.start_soon(cancel)
            async for _ in pieces:
                pass
    assert scope.cancelled_caught


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["rows", "batches"])
async def test_leaving_in_mid_decode_closes_the_connection(kind: str) -> None:
    """Also when the rows of what arrived are still being decoded."""
    step, ended = hanging(len(LONG) - 1000)
    with ScriptedServer(step) as server:
        async with client(server) as amplitude:
            async with amplitude.export(start=START, end=END) as export:
                pieces = READINGS[kind](export)
                for _ in range(3):
                    await anext(pieces)
                assert export.counts.rows < 600
            await let_go(ended)
            await closed(amplitude)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", READINGS)
async def test_a_bare_break_is_closed_with_the_client(kind: str) -> None:
    """A download that was left by break, and is still referred to, is closed with the client, which warns."""
    if kind == "strict rows":
        pytest.skip("no row comes before the file is whole")
    step, ended = hanging(len(LONG) // 2)
    with ScriptedServer(step) as server:
        amplitude = client(server)
        export = amplitude.export(start=START, end=END)
        async for _ in READINGS[kind](export):
            break
        with pytest.warns(ResourceWarning, match="left open"):
            await amplitude.aclose()
        await let_go(ended)
        assert amplitude._caller.tasks.alive == 0
        with pytest.raises(ClosedError):
            await anext(export.events())


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["chunks", "rows"])
async def test_a_download_that_nobody_holds_is_closed(kind: str) -> None:
    """After a bare break a download that is collected is closed then, with a ResourceWarning."""
    step, ended = hanging(len(LONG) // 2)
    with ScriptedServer(step) as server:
        async with client(server) as amplitude:

            async def use() -> None:
                async for _ in READINGS[kind](amplitude.export(start=START, end=END)):
                    break
                gc.collect()

            with pytest.warns(ResourceWarning, match="left open"):
                await use()
            await let_go(ended)
            await closed(amplitude)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", READINGS)
@pytest.mark.parametrize("way", ["aclose", "cancel", "close the reading"])
async def test_reading_on_after_leaving_is_never_a_short_success(kind: str, way: str) -> None:
    """What was closed or cancelled in the middle is a ClosedError when it is read on, not an end."""
    with ScriptedServer(answering(LONG, stalled(len(LONG) // 2))) as server:
        async with client(server) as amplitude:
            export = amplitude.export(start=START, end=END)
            pieces = READINGS[kind](export)
            await _left(export, pieces, way, is_strict=kind == "strict rows")
            seen = 0
            with pytest.raises(ClosedError):
                async for _ in pieces:
                    seen += 1
            # Rows that were decoded already may still be had after the export was closed.
            assert seen <= (40 if way == "aclose" and kind == "rows" else 0)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", READINGS)
async def test_reading_on_after_the_end_is_the_end(kind: str) -> None:
    """A download that was read to its end has ended, however often it is asked, closed or not."""
    with ScriptedServer(answering(ARCHIVE)) as server:
        async with client(server) as amplitude:
            export = amplitude.export(start=START, end=END)
            pieces = READINGS[kind](export)
            async for _ in pieces:
                pass
            for _ in range(2):
                with pytest.raises(StopAsyncIteration):
                    await anext(pieces)


@pytest.mark.anyio
async def test_a_broken_download_is_not_read_on() -> None:
    """After an error there is no end that looks like a success."""
    with ScriptedServer(answering(ARCHIVE, cut(len(ARCHIVE) // 2))) as server:
        async with client(server) as amplitude:
            for pieces in (aiter(amplitude.export(start=START, end=END)), amplitude.export(start=START, end=END).events()):
                with pytest.raises(errors_of_a_broken_download()):
                    async for _ in pieces:
                        pass
                with pytest.raises(ClosedError):
                    await anext(pieces)


@pytest.mark.anyio
async def test_a_closed_export_is_not_used_again() -> None:
    """After aclose() every use is a ClosedError, and nothing is sent; closing again is fine."""
    with ScriptedServer(answering(ARCHIVE)) as server:
        async with client(server) as amplitude:
            export = amplitude.export(start=START, end=END)
            await export.aclose()
            await export.aclose()
            for use in (lambda: aiter(export), export.events, export.batches):
                with pytest.raises(ClosedError):
                    use()
    assert server.requests == []


@pytest.mark.anyio
async def test_cancelling_while_the_answer_has_not_begun_closes_the_connection() -> None:
    """An export that waits for its first byte is let go at once."""
    step, ended = hanging(0)
    with ScriptedServer(step) as server:
        async with client(server) as amplitude:
            with anyio.move_on_after(5) as scope:
                async with anyio.create_task_group() as group:

                    async def cancel() -> None:
                        while not server.requests:
                            await anyio.sleep(0.001)
                        scope.cancel()

                    group.start_soon(cancel)
                    async for _ in amplitude.export(start=START, end=END):
                        pass
            assert scope.cancelled_caught
            await let_go(ended)
            await closed(amplitude)


# Memory

MEMORY = """
import os, sys
import anyio
from amplitude_async import AsyncAmplitude

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

async def main(url, way, target):
    async with AsyncAmplitude("key", secret_key="secret", base_url=url) as amplitude:
        for start in ("20260501T07", "20260501T08"):
            export = amplitude.export(start=start, end=start)
            if way == "rows":
                async for row in export.events():
                    pass
            elif way == "strict":
                async for row in export.events(strict=True):
                    pass
            elif way == "save":
                await export.save(target)
            else:
                await export.to_ndjson(target)
            print(peak())

anyio.run(main, *sys.argv[1:])
"""


@pytest.mark.parametrize("way", ["rows", "strict", "save", "to_ndjson"])
def test_memory_does_not_grow_with_the_archive(way: str, tmp_path: Path) -> None:
    """After 1 MB of archive, 10 MB more take at most 2 MiB more of memory at their peak."""
    member = LONG_MEMBER

    def archive(times: int) -> bytes:
        return build([Member(f"m_2026-05-01_7#{number}.json.gz", raw=member) for number in range(times)])

    with ScriptedServer(answering(archive(4)), answering(archive(40))) as server:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", MEMORY, server.url, way, str(tmp_path / "out")],
            check=False,
            capture_output=True,
            text=True,
            timeout=100,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
    assert done.stderr == ""
    small, large = map(int, done.stdout.split())
    assert large - small <= 2048


# What is asked for


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("start", "end", "asked"),
    [
        ("20260501T7", "20260501T8", ("20260501T07", "20260501T08")),
        (date(2026, 5, 1), date(2026, 5, 2), ("20260501T00", "20260502T23")),
        (datetime(2026, 5, 1, 7, 59, 59), datetime(2026, 5, 1, 8, 0, 0), ("20260501T07", "20260501T08")),
        (
            datetime(2026, 5, 1, 1, tzinfo=timezone(timedelta(hours=2))),
            datetime(2026, 5, 1, 1, tzinfo=timezone(timedelta(hours=-5))),
            ("20260430T23", "20260501T06"),
        ),
    ],
)
async def test_bounds_are_hours_in_utc(start: Any, end: Any, asked: tuple[str, str]) -> None:
    """Text, dates and datetimes of any zone are hours in UTC, both included."""
    with HourServer({}) as server:
        async with client(server) as amplitude:
            export = amplitude.export(start=start, end=end)
            assert (export.start, export.end) == asked
            assert repr(export) == f"<Export start={asked[0]!r} end={asked[1]!r}>"
            assert [row async for row in export.events()] == []
    assert server.windows == [Window(*asked)]


@pytest.mark.parametrize(
    ("start", "end", "argument"),
    [
        ("20260501", END, "start"),
        (START, "tomorrow", "end"),
        ("20260501T24", END, "start"),
        (None, END, "start"),
        (START, 20260501, "end"),
        (END, START, "start"),
        (date(2026, 5, 2), date(2026, 5, 1), "start"),
    ],
)
def test_bounds_that_are_none_are_refused(start: Any, end: Any, argument: str) -> None:
    """What is no hour, or the wrong way round, is refused at the call."""
    with pytest.raises(InvalidArgumentError) as caught:
        AsyncAmplitude("key").export(start=start, end=end)
    assert caught.value.argument == argument


NOW = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)


@pytest.fixture
def at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be half past twelve on 1 May 2026: the hour from 9 to 10 is the newest that is complete."""
    monkeypatch.setattr("amplitude_async.client.now_ms", lambda: int(NOW.timestamp() * 1000))


@pytest.mark.usefixtures("at_noon")
@pytest.mark.parametrize("allow", ["warn", True, "skip", False])
def test_complete_hours_are_taken_without_a_word(allow: Any) -> None:
    """Up to the newest complete hour nothing is said or refused."""
    export = AsyncAmplitude("key").export(start=START, end="20260501T09", allow_incomplete=allow)
    assert export.end == "20260501T09"


@pytest.mark.usefixtures("at_noon")
def test_incomplete_hours_are_warned_about_taken_skipped_or_refused() -> None:
    """Hours that ended less than two hours ago: a warning by default, taken, cut off, or an error."""
    amplitude = AsyncAmplitude("key")
    bounds: dict[str, Any] = {"start": START, "end": "20260501T12"}
    with pytest.warns(ExportWarning, match="3 of the hours, from 20260501T10, ended less than two hours ago") as caught:
        assert amplitude.export(**bounds).end == "20260501T12"
    assert caught[0].filename == __file__
    assert amplitude.export(**bounds, allow_incomplete=True).end == "20260501T12"
    assert amplitude.export(**bounds, allow_incomplete="skip").end == "20260501T09"
    with pytest.raises(InvalidArgumentError, match="3 of the hours") as refused:
        amplitude.export(**bounds, allow_incomplete=False)
    assert refused.value.argument == "end"


@pytest.mark.usefixtures("at_noon")
@pytest.mark.parametrize("allow", [None, 1, 0, "yes", [], {}, "WARN"])
def test_there_are_four_forms_of_allow_incomplete(allow: Any) -> None:
    """Anything else is refused, also where every hour is complete."""
    for end in (START, "20260501T12"):
        with pytest.raises(InvalidArgumentError, match="allow_incomplete"):
            AsyncAmplitude("key").export(start=START, end=end, allow_incomplete=allow)


@pytest.mark.anyio
@pytest.mark.usefixtures("at_noon")
async def test_a_range_of_nothing_but_incomplete_hours_can_be_skipped(tmp_path: Path) -> None:
    """With no complete hour in it nothing is asked for: no rows, and for bytes a NotFoundError that says so."""
    with HourServer(HOURS) as server:
        async with client(server) as amplitude:
            export = amplitude.export(start="20260501T11", end="20260501T12", allow_incomplete="skip")
            assert [row async for row in export.events()] == []
            with pytest.raises(NotFoundError, match="complete yet"):
                await joined(export)
            with pytest.raises(NotFoundError):
                await export.save(tmp_path / "x.zip")
            report = await export.sync(tmp_path / "folder", format="zip")
    assert (report.hours, report.files) == (0, ())
    assert server.requests == []


@pytest.mark.anyio
async def test_views_export_by_their_own_options() -> None:
    """with_options() bounds an export of its own: the view times out, the client does not."""
    with ScriptedServer(answering(ARCHIVE, stalled(5000)), answering(ARCHIVE)) as server:
        async with client(server) as amplitude:
            view = amplitude.with_options(timeout=Timeout(between_bytes=0.05))
            with pytest.raises(RequestTimeoutError):
                await joined(view.export(start=START, end=END))
            assert await joined(amplitude.export(start=START, end=END)) == ARCHIVE
            assert await joined(view.export(start=START, end=END)) == ARCHIVE


@pytest.mark.anyio
@pytest.mark.parametrize("transport", ["httpx2", "aiohttp"])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_other_transports_export_too(transport: Any, anyio_backend: str) -> None:
    """On httpx2 and on aiohttp an archive comes out as it is, and a cut one is an error."""
    with ScriptedServer(answering(ARCHIVE), answering(ARCHIVE), answering(ARCHIVE, cut(5000))) as server:
        async with client(server, transport=transport) as amplitude:
            assert await joined(amplitude.export(start=START, end=END)) == ARCHIVE
            assert [row async for row in amplitude.export(start=START, end=END).events()] == ROWS
            with pytest.raises(errors_of_a_broken_download()):
                await joined(amplitude.export(start=START, end=END))
