"""Exported rows as Parquet files: what is read back is what was sent."""

from __future__ import annotations

import asyncio
import errno
import gc
import io
import json
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from archives import HOUR, LINE_FAULTS, Member, gzipped, hour_member, hour_name, line_of, rows
from servers import HourServer

from amplitude_async import AsyncAmplitude, ClosedError, ConfigurationError, ExportError, ExportStorageError, __version__
from amplitude_async.exporting import parquet
from amplitude_async.exporting.cells import UnreadableRowError, read_instant
from amplitude_async.exporting.columns import COLUMNS, COLUMNS_VERSION, UNKNOWN
from amplitude_async.exporting.files import AtomicFile
from amplitude_async.exporting.parquet import ParquetWriter

KINDS = {column.name: column.kind for column in COLUMNS}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TYPES = {
    "text": pa.string(),
    "json": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}


def written(lines: list[bytes]) -> bytes:
    file = io.BytesIO()
    writer = ParquetWriter(file)
    assert writer.write(lines) == len(lines)
    writer.close()
    assert writer.rows == len(lines)
    return file.getvalue()


def table_of(lines: list[bytes]) -> Any:
    return pq.read_table(io.BytesIO(written(lines)))


def rows_of(data: bytes) -> list[dict[str, Any]]:
    """Return the rows of a file, timestamps as microseconds since the epoch: those of year 9999 are none in every zone."""
    table = pq.read_table(io.BytesIO(data))
    for at, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(at, field.name, table.column(at).cast(pa.int64()))
    back: list[dict[str, Any]] = table.to_pylist()
    return back


# The file


def test_the_columns_are_explicit() -> None:
    """Whatever the rows hold, the columns are those of the list, in its order, of its kinds, and nullable."""
    for lines in ([], [b"{}"], [line_of(row) for row in rows(3)]):
        schema = table_of(lines).schema
        assert schema.names == [column.name for column in (*COLUMNS, UNKNOWN)]
        assert [field.type for field in schema] == [TYPES[column.kind] for column in (*COLUMNS, UNKNOWN)]
        assert all(field.nullable for field in schema)


def test_the_file_says_who_wrote_it() -> None:
    """Its metadata names the library's version and that of the columns."""
    metadata = pq.read_schema(io.BytesIO(written([]))).metadata
    assert metadata[b"amplitude_async"] == __version__.encode()
    assert metadata[b"amplitude_async.columns_version"] == str(COLUMNS_VERSION).encode()


def test_recorded_rows_are_read_back() -> None:
    """Text, numbers and booleans are themselves, maps their JSON text, timestamps the same instants, missing keys null."""
    sent = rows(700, 11)
    for row, back in zip(sent, table_of([line_of(row) for row in sent]).to_pylist(), strict=True):
        assert back.pop("_unknown") is None
        for key, value in back.items():
            if row.get(key) is None:
                assert value is None
            elif KINDS[key] == "timestamp":
                assert value == datetime.strptime(row[key], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
            else:
                assert (json.loads(value) if KINDS[key] == "json" else value) == row[key]


def means_the_same(kind: str, sent: Any, cell: Any) -> bool:
    """Whether what was sent can be told from the cell."""
    if kind == "json":
        return bool(json.loads(cell) == sent)
    if kind == "text":
        return bool(cell == sent if isinstance(sent, str) else json.loads(cell) == sent)
    if kind == "boolean":
        return cell is sent or bool(cell is {"true": True, "false": False}.get(sent))
    if kind == "timestamp":
        return bool(read_instant(sent) == (cell, True))
    if kind == "integer":
        return bool(Decimal(str(sent)) == cell)
    return bool(float(sent) == cell and (isinstance(sent, float | str) or int(cell) == sent))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["true", "12", "-1.5", "null", "{}", "2026-05-01", "2026-05-01 07:14:03.1234567"])
    | st.datetimes().map(str)
    | st.datetimes(timezones=st.just(UTC)).map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from([*KINDS, "_unknown", "brand_new", "other"]) | st.text(max_size=4)
ROWS = st.dictionaries(KEYS, JSON, max_size=12)


@settings(max_examples=100, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=5))
@example([{"event_time": "2026-05-01 07:14:03.250000"}, {"event_time": "2026-05-01T07:14:03Z", "_unknown": {}}])
@example([{"event_time": "9999-12-31 23:59:59.999999"}, {"event_time": "10000-01-01 00:00:00"}])
@example([{"plan": {"é\n": None}, "groups": "null"}, {"plan": None, "data": {"a": [{}]}}])
@example([{"amplitude_id": 2**63}, {"amplitude_id": "5", "location_lat": 2**53 + 1}])
def test_no_row_and_no_value_is_lost(sent: list[dict[str, Any]]) -> None:
    """Whatever the JSON, each value is read back: from its column, or from `_unknown` where its column cannot hold it."""
    back = rows_of(written([json.dumps(row, ensure_ascii=False).encode(errors="surrogatepass") for row in sent]))
    assert len(back) == len(sent)
    for row, cells in zip(sent, back, strict=True):
        unknown = json.loads(cells.pop("_unknown") or "{}")
        for key, value in row.items():
            if key in unknown:
                assert unknown.pop(key) == value
            elif value is None:
                assert cells[key] is None
            else:
                assert means_the_same(KINDS[key], value, cells[key]), (key, value, cells[key])
        assert not unknown
        assert all(cells[key] is None for key in cells.keys() - row.keys())


@pytest.mark.parametrize(
    "others",
    [
        [],
        ["2026-05-01 07:14:03"],
        ["2026-05-01T07:14:03Z"],
        ["2026-05-01 07:14:03", "2026-05-01T07:14:03Z"],
        ["soon"],
        ["-0001-01-01"],
    ],
    ids="; ".join,
)
@pytest.mark.parametrize(
    "text",
    [
        "2026-05-01 07:14:03.250000",
        "2026-05-01 07:14:03.25",
        "2026-05-01T07:14:03.250000",
        "2026-05-01T07:14:03.250Z",
        "2026-05-01T07:14:03.250000Z",
        "2026-05-01 07:14:03.250000+00:00",
        "2026-05-01T09:14:03.25+02:00",
        "2026-05-01 00:14:03.250000-0700",
    ],
)
def test_timestamps_are_read_in_every_spelling(text: str, others: list[str]) -> None:
    """The same instant, whatever it stands beside."""
    lines = [json.dumps({"event_time": one, "processed_time": text}).encode() for one in (*others, text)]
    instants = table_of(lines)["processed_time"].to_pylist()
    assert instants == [datetime(2026, 5, 1, 7, 14, 3, 250000, UTC)] * len(lines)
    assert table_of(lines)["event_time"].to_pylist()[-1] == instants[0]


@pytest.mark.parametrize("text", ["soon", "", "10000-01-01 00:00:00", "-0001-01-01 00:00:00", "2026-05-01 07:14:60", "1777619643"])
def test_what_is_no_instant_is_kept_aside(text: str) -> None:
    """A timestamp column never holds a made-up instant."""
    (row,) = rows_of(written([json.dumps({"event_time": text, "city": "Oslo"}).encode()]))
    assert (row["event_time"], row["city"]) == (None, "Oslo")
    assert json.loads(row["_unknown"]) == {"event_time": text}


def test_digits_beyond_the_column_are_kept_aside_too() -> None:
    """An instant with nanoseconds is in its column to the microsecond, and whole in `_unknown`."""
    text = "2026-05-01 07:14:03.123456789"
    (row,) = table_of([json.dumps({"event_time": text, "brand_new": 1}).encode()]).to_pylist()
    assert row["event_time"] == datetime(2026, 5, 1, 7, 14, 3, 123456, UTC)
    assert json.loads(row["_unknown"]) == {"brand_new": 1, "event_time": text}


def test_maps_keep_their_text() -> None:
    """JSON is not written anew: digits, spaces, escapes and line ends between its tokens stay as they were sent."""
    texts = ["{}", "{ }", '{"a":1.50,"b":1e3}', '{"a":"\\u00e9"}', '{"a":"é"}', '{"a":\n[1,\n2]}', "[]", '"null"', "{}"]
    lines = [f'{{"plan":{text},"groups":{{}}}}'.encode() for text in texts]
    table = table_of(lines)
    assert table["plan"].to_pylist() == texts
    assert table["groups"].to_pylist() == ["{}"] * len(texts)
    assert table["data"].null_count == len(texts)


def test_rows_with_something_aside_are_counted() -> None:
    """The writer can say that the columns did not hold everything."""
    writer = ParquetWriter(io.BytesIO())
    writer.write([b"{}", b'{"new":1}', b'{"app":"x"}', b'{"event_time":"soon"}', b'{"event_time":"2026-05-01"}'])
    writer.close()
    assert (writer.rows, writer.rows_with_unknown) == (5, 3)


# How it is written


def grouped(monkeypatch: pytest.MonkeyPatch, *, group_rows: int = 100, group_bytes: int = 1 << 20, batch_rows: int = 16) -> None:
    monkeypatch.setattr(parquet, "_GROUP_ROWS", group_rows)
    monkeypatch.setattr(parquet, "_GROUP_BYTES", group_bytes)
    monkeypatch.setattr(parquet, "_BATCH_ROWS", batch_rows)


def groups_of(data: bytes) -> list[int]:
    metadata = pq.read_metadata(io.BytesIO(data))
    return [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)]


def test_row_groups_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group ends after so many rows, or so many bytes of text, to the row."""
    lines = [line_of(row) for row in rows(250, 1)]
    grouped(monkeypatch)
    assert groups_of(written(lines)) == [100, 100, 50]
    grouped(monkeypatch, group_bytes=100_000)
    sizes = groups_of(written(lines))
    at = 0
    for size in sizes[:-1]:
        assert (
            sum(len(line) + 1 for line in lines[at : at + size - 1]) < 100_000 <= sum(len(line) + 1 for line in lines[at : at + size])
        )
        at += size
    assert len(sizes) > 4


@pytest.mark.parametrize("seed", range(6))
def test_the_same_rows_are_the_same_bytes(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """However rows are handed over, as lines or as text, few or many at a time, the file is the same."""
    import random

    chance = random.Random(seed)
    grouped(monkeypatch, group_bytes=150_000)
    lines = [line_of(row | ({"brand_new": at, "more": [at]} if at % 50 > 40 else {})) for at, row in enumerate(rows(300, 2))]
    lines[130] = b'{"event_time":"2026-05-01T07:14:03Z","app":"x","plan":{"a":\t1}}'
    file = io.BytesIO()
    writer = ParquetWriter(file)
    at = 0
    while at < len(lines):
        some = lines[at : at + chance.choice((1, 2, 15, 120))]
        if chance.random() < 0.3:
            writer.write(some)
        else:
            writer.write_text(b"\n".join(some) + b"\n" * chance.randrange(2), len(some))
        at += len(some)
    writer.close()
    assert writer.rows == 300
    assert file.getvalue() == written(lines)


def test_memory_is_bounded_by_a_row_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows there are, only a group of them waits."""
    grouped(monkeypatch, group_rows=1 << 17, group_bytes=1 << 20, batch_rows=256)
    text = b"".join(line_of(row) + b"\n" for row in rows(200, 3))
    before = pa.total_allocated_bytes()
    writer = ParquetWriter(io.BytesIO())
    most = []
    for _ in range(40):
        writer.write_text(text, 200)
        most.append(pa.total_allocated_bytes() - before)
    writer.close()
    assert max(most) < 4 << 20
    assert max(most[20:]) <= max(most[:20]) + (1 << 18)


def test_text_of_which_a_line_is_no_row_is_taken_up_to_it() -> None:
    """The rows before are taken, the error says which it was, and one can go on behind it."""
    lines = [line_of(row) for row in rows(5)]
    for hand_over in ("lines", "text"):
        file = io.BytesIO()
        writer = ParquetWriter(file)
        broken = [*lines[:3], b'{"a":', *lines[3:]]
        with pytest.raises(UnreadableRowError) as refusal:
            if hand_over == "lines":
                writer.write(broken)
            else:
                writer.write_text(b"\n".join(broken), len(broken))
        assert refusal.value.index == 3
        assert writer.rows == 3
        writer.write(broken[4:])
        writer.close()
        assert file.getvalue() == written(lines)


def test_an_iterator_is_gone_on_with_behind_what_is_no_row() -> None:
    """Lines that come out of an iterator are handed over again and again until all that are rows are taken."""
    lines = [line_of(row) for row in rows(20)]
    rest = iter([line for row in lines for line in (b"", row)])
    file = io.BytesIO()
    writer = ParquetWriter(file)
    bad = 0
    while True:
        try:
            writer.write(rest)
        except UnreadableRowError:
            bad += 1
        else:
            break
    writer.close()
    assert (bad, file.getvalue()) == (20, written(lines))


@pytest.mark.parametrize("fault", LINE_FAULTS.values(), ids=LINE_FAULTS)
def test_troublesome_text_is_no_trouble(fault: Any) -> None:
    """Texts with a line that is no row, or only looks like none, are taken exactly up to that line."""
    writer = ParquetWriter(io.BytesIO())
    count = fault.text.count(b"\n") + (not fault.text.endswith(b"\n"))
    if not fault.line:
        assert writer.write_text(fault.text, count) == fault.good
        return
    with pytest.raises(UnreadableRowError) as refusal:
        writer.write_text(fault.text, count)
    assert refusal.value.index == fault.line - 1 == writer.rows


class Slow(io.RawIOBase):
    """A file that takes seven bytes at a time, or fails after so many."""

    def __init__(self, fails_after: int = 1 << 40) -> None:
        super().__init__()
        self.data = b""
        self.calls = 0
        self._fails_after = fails_after

    def write(self, data: Any, /) -> int:
        self.calls += 1
        if len(self.data) >= self._fails_after:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.data += bytes(data[:7])
        return min(7, len(data))


def test_files_may_take_a_part_at_a_time() -> None:
    """A raw file that writes less than it is given gets the rest too."""
    lines = [line_of(row) for row in rows(2)]
    file = Slow()
    writer = ParquetWriter(file)
    writer.write(lines)
    writer.close()
    assert file.data == written(lines)


@pytest.mark.parametrize("fails_after", [0, 4, 500, 20_000])
def test_what_the_file_raises_comes_out(monkeypatch: pytest.MonkeyPatch, fails_after: int) -> None:
    """A full disk is the file's own error, when writing or when closing, and giving up is then possible."""
    grouped(monkeypatch, group_bytes=20_000)
    file = Slow(fails_after)
    writers: list[ParquetWriter] = []

    def write() -> None:
        writers.append(ParquetWriter(file))
        for row in rows(40):
            writers[0].write([line_of(row)])
        writers[0].close()

    with pytest.raises(OSError, match="No space left"):
        write()
    calls = file.calls
    for writer in writers:
        writer.abort()
    writers.clear()
    gc.collect()
    assert file.calls == calls


@pytest.mark.parametrize("count", [0, 3, 40])
def test_giving_up_writes_no_end(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """After abort() nothing more is written: what is in the file is no Parquet file."""
    grouped(monkeypatch, group_bytes=20_000)
    file = io.BytesIO()
    writer = ParquetWriter(file)
    writer.write([line_of(row) for row in rows(count)])
    before = file.getvalue()
    writer.abort()
    writer.abort()
    writer.close()
    del writer
    gc.collect()
    assert file.getvalue() == before
    with pytest.raises(pa.ArrowInvalid):
        pq.read_table(io.BytesIO(before))


def test_a_writer_that_is_forgotten_writes_no_end() -> None:
    """A file that nobody finished must not look finished."""
    file = io.BytesIO()
    writer = ParquetWriter(file)
    writer.write([b"{}"])
    before = file.getvalue()
    del writer
    gc.collect()
    assert file.getvalue() == before


def test_a_closed_writer_takes_no_rows() -> None:
    """Closing again does nothing; writing is an error; the file stays open for its owner."""
    file = io.BytesIO()
    writer = ParquetWriter(file)
    writer.close()
    writer.close()
    with pytest.raises(ClosedError):
        writer.write([b"{}"])
    with pytest.raises(ClosedError):
        writer.write_text(b"{}", 1)
    assert not file.closed
    assert pq.read_table(io.BytesIO(file.getvalue())).num_rows == 0


def test_it_writes_into_a_file_that_appears_when_complete(tmp_path: Path) -> None:
    """The library's own file takes it, and has it under its name only at the end."""
    lines = [line_of(row) for row in rows(30)]
    file = AtomicFile(tmp_path / "hour.parquet")
    writer = ParquetWriter(file)
    writer.write(lines)
    writer.close()
    assert not (tmp_path / "hour.parquet").exists()
    file.commit()
    assert (tmp_path / "hour.parquet").read_bytes() == written(lines)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where pyarrow is missing the error says what to install, before anything is sent."""
    for name in ("pyarrow", "pyarrow.compute", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError, match=r"pip install 'amplitude-async\[parquet\]'") as refusal:
        ParquetWriter(io.BytesIO())
    assert refusal.value.__cause__ is None
    assert refusal.value.__context__ is None
    with pytest.raises(ConfigurationError):
        parquet.require()

    async def export() -> None:
        async with AsyncAmplitude("key", secret_key="secret", base_url="http://127.0.0.1:1") as amplitude:
            await amplitude.export(start=HOUR, end=HOUR).to_parquet(tmp_path)

    with pytest.raises(ConfigurationError):
        asyncio.run(export())


def test_pyarrow_is_imported_on_use() -> None:
    """Neither the package nor an export loads it."""
    import subprocess

    program = (
        "import sys, amplitude_async, amplitude_async.exporting.parquet, amplitude_async.exporting.sinks\n"
        "amplitude_async.AsyncAmplitude('key', secret_key='secret').export(start='20260501T00', end='20260501T00')\n"
        "assert 'pyarrow' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


# From an export


@pytest.mark.anyio
async def test_an_export_becomes_a_file_an_hour(tmp_path: Path) -> None:
    """to_parquet() writes one file for each hour that has rows, with its rows and no others."""
    hours = [HOUR, HOUR + timedelta(hours=1), HOUR + timedelta(hours=3)]
    members = {hour: [hour_member(hour, 40), hour_member(hour, 3, 1)] for hour in hours}
    with HourServer(members) as server:
        async with AsyncAmplitude("key", secret_key="secret", base_url=server.url) as amplitude:
            export = amplitude.export(start=HOUR, end=HOUR + timedelta(hours=4))
            files = await export.to_parquet(tmp_path)
    assert export.counts.rows == 129
    assert [Path(file.name).name for file in files] == [f"{hour:%Y%m%dT%H}.parquet" for hour in hours]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(Path(file.name).name for file in files)
    for hour, file in zip(hours, files, strict=True):
        data = Path(file.name).read_bytes()
        assert data == written([line for member in members[hour] for line in member.lines or ()])
        assert (file.hour, file.rows, file.bytes) == (f"{hour:%Y%m%dT%H}", 43, len(data))


@pytest.mark.anyio
@pytest.mark.parametrize("fault", LINE_FAULTS.values(), ids=LINE_FAULTS)
async def test_rows_that_cannot_be_read_are_named_or_skipped(tmp_path: Path, fault: Any) -> None:
    """A line that is no row is an ExportError with member and line, and no file; or it is left out and counted."""
    name = hour_name(HOUR)
    with HourServer({HOUR: [Member(name, raw=gzipped(fault.text))]}) as server:
        async with AsyncAmplitude("key", secret_key="secret", base_url=server.url) as amplitude:
            if fault.line:
                with pytest.raises(ExportError) as refusal:
                    await amplitude.export(start=HOUR, end=HOUR).to_parquet(tmp_path)
                assert (refusal.value.member, refusal.value.line) == (name, fault.line)
                assert list(tmp_path.iterdir()) == []
            export = amplitude.export(start=HOUR, end=HOUR)
            (file,) = await export.to_parquet(tmp_path, bad_rows="skip")
            lines = fault.text.count(b"\n") + (not fault.text.endswith(b"\n"))
            assert (file.rows, export.counts.rows, export.counts.skipped_rows) == (fault.good, fault.good, lines - fault.good)
            assert pq.read_metadata(file.name).num_rows == fault.good


@pytest.mark.anyio
async def test_a_full_disk_is_an_error_of_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the disk says comes out as ExportStorageError, through pyarrow, and no file is left."""

    def full(descriptor: int, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with HourServer({HOUR: [hour_member(HOUR, 40)]}) as server:
        async with AsyncAmplitude("key", secret_key="secret", base_url=server.url) as amplitude:
            with monkeypatch.context() as patch:
                patch.setattr("amplitude_async.exporting.files.os.write", full)
                with pytest.raises(ExportStorageError, match="No space left"):
                    await amplitude.export(start=HOUR, end=HOUR).to_parquet(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_other_readers_can_read_it(tmp_path: Path) -> None:
    """The maps of a file are JSON text that any reader of JSON takes."""
    path = tmp_path / "hour.parquet"
    path.write_bytes(written([line_of(row) for row in rows(50, 4)]))
    maps = [column.name for column in COLUMNS if column.kind == "json"]
    for row in pq.read_table(path, columns=maps).to_pylist():
        assert all(value is None or msgspec.json.decode(value) == json.loads(value) for value in row.values())
