"""What exported rows as Parquet cost, by engine: why `to_parquet` is made of pyarrow and msgspec.

Method: the hourly ``.json.gz`` files of a generated archive (``_archives.py``: 24 of them, 20 MB, 56,640 rows of 2.26 kB; ``--full``:
240, ten times that) are turned into as many Parquet files, zstd level 1, by the explicit columns of the library: maps as JSON text,
timestamps in microseconds, UTC. Every way runs in a fresh process on one core, with one thread as its engine counts threads; the ways
take turns, so that all meet the same noise, and are repeated. CPU is user + system time of that process from the first file to the
last, wall the time it took; imports, and one small file as a first step, come before. What was written is read back: rows, the sum
of ``event_id``, the columns, the first row's properties and event time. Figures are medians over the repetitions, with the least and
the most; ratios are taken repetition by repetition.

The ways: ``ours``, the library's writer fed with lines as its reader hands them out, inflated by zlib (the base install) or isal (the
extra ``fast``). ``pyarrow by hand``: what one would write with a msgspec Struct whose maps are left raw, a list for each column,
``pyarrow.array`` and ``pyarrow.parquet``, a whole file at a time. ``pyarrow.json`` with an explicit schema cannot keep a map as
text, and so leaves seven of the 55 columns out: it does less. ``duckdb``: COPY of ``read_json`` with columns. ``polars``:
``read_ndjson`` with a schema, which writes the maps' JSON anew. An engine that is not installed is left out, and that is said.

Over the network: ``to_parquet`` of the whole range from a server on another core (``_archive_server.py``), which also unpacks the zip,
checks it and syncs the files.

Two processes: ``export_hour`` for each hour by a ``ProcessPoolExecutor`` of one and of two, from that server; nothing travels back but
counts. Timed by the clock after every process has exported one hour; the CPU of all its processes is given beside it. Here the server
has no core of its own, and whatever else runs on the machine takes from two processes more than from one: the ratio of the quickest
runs is given beside that of the medians.

    python benchmarks/parquet_engines.py [--full] [--repeats N] [--cache FOLDER] [--only engines,network,processes]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import gzip
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from amplitude_async.exporting.columns import COLUMNS

sys.path.insert(0, str(Path(__file__).parent))
from _archives import Archive, archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from amplitude_async import ExportSettings

HERE = Path(__file__).parent
PIECE = 65536
LINES = 32768
FASTEST_MOST = 1.25
TWO_LEAST = 1.5
JSON_COLUMNS = [column.name for column in COLUMNS if column.kind == "json"]
TIMESTAMPS = [column.name for column in COLUMNS if column.kind == "timestamp"]


# The ways: each makes a Parquet file of a .json.gz


def ours(inflater: str) -> Callable[[Path, Path], None]:
    """Return the library's way."""
    from amplitude_async.exporting.parquet import ParquetWriter

    def convert(source: Path, target: Path) -> None:
        with source.open("rb") as packed, target.open("wb") as file:
            writer = ParquetWriter(file)
            tail, unpacker = b"", new_inflater(inflater)
            while piece := packed.read(PIECE):
                while True:
                    text = unpacker.decompress(piece, LINES)
                    piece = unpacker.unconsumed_tail
                    end = text.rfind(b"\n") + 1
                    if end:
                        block = tail + text[:end]
                        writer.write_text(block, block.count(b"\n"))
                        tail = b""
                    tail += text[end:]
                    if not piece and len(text) < LINES:
                        break
            if tail:
                writer.write_text(tail, 1)
            writer.close()

    return convert


def new_inflater(name: str) -> Any:
    """Return an inflater of gzips."""
    if name == "isal":
        return import_module("isal.isal_zlib").decompressobj(31)
    return zlib.decompressobj(31)


def by_hand() -> Callable[[Path, Path], None]:
    """Return the way that anyone would write with the same libraries."""
    pa, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    pa.set_cpu_count(1)
    types: dict[str, Any] = {
        "text": str | None,
        "timestamp": str | None,
        "json": msgspec.Raw,
        "integer": int | None,
        "number": float | None,
        "boolean": bool | None,
    }
    arrow = {"text": pa.string(), "json": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
    fields: list[tuple[str, Any, Any]] = [
        (f"c{at}", types[column.kind], msgspec.Raw(b"null") if column.kind == "json" else None) for at, column in enumerate(COLUMNS)
    ]
    names = {f"c{at}": column.name for at, column in enumerate(COLUMNS)}
    decoder = msgspec.json.Decoder(msgspec.defstruct("Row", fields, rename=names, gc=False))

    def convert(source: Path, target: Path) -> None:
        rows = decoder.decode_lines(gzip.decompress(source.read_bytes()))
        arrays = []
        for at, column in enumerate(COLUMNS):
            values: list[Any] = [getattr(row, f"c{at}") for row in rows]
            if column.kind == "json":
                values = [None if (text := bytes(value)) == b"null" else text for value in values]
            if column.kind == "timestamp":
                arrays.append(pa.array(values, pa.string()).cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC")))
            else:
                arrays.append(pa.array(values, arrow[column.kind]))
        table = pa.Table.from_arrays(arrays, names=[column.name for column in COLUMNS])
        parquet.write_table(table, target, compression="zstd", compression_level=1)

    return convert


def pyarrow_json() -> Callable[[Path, Path], None]:
    """Return pyarrow's own reader of JSON, without the maps."""
    pa, reader, parquet = (import_module(name) for name in ("pyarrow", "pyarrow.json", "pyarrow.parquet"))
    pa.set_cpu_count(1)
    types = {
        "text": pa.string(),
        "timestamp": pa.timestamp("us"),
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
    }
    schema = pa.schema([(column.name, types[column.kind]) for column in COLUMNS if column.kind != "json"])
    parsing = reader.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    reading = reader.ReadOptions(use_threads=False)

    def convert(source: Path, target: Path) -> None:
        # Given a name that ends in .gz it would unpack it too; this is quicker.
        table = reader.read_json(pa.BufferReader(gzip.decompress(source.read_bytes())), read_options=reading, parse_options=parsing)
        parquet.write_table(table, target, compression="zstd", compression_level=1)

    return convert


def duckdb() -> Callable[[Path, Path], None]:
    """Return DuckDB's way."""
    connection = import_module("duckdb").connect()
    connection.execute("SET threads = 1; SET TimeZone = 'UTC'")
    types = {
        "text": "VARCHAR",
        "timestamp": "TIMESTAMP",
        "json": "JSON",
        "integer": "BIGINT",
        "number": "DOUBLE",
        "boolean": "BOOLEAN",
    }
    columns = ", ".join(f"'{column.name}': '{types[column.kind]}'" for column in COLUMNS)
    chosen = ", ".join(f'"{column.name}"' for column in COLUMNS if column.kind != "timestamp")
    instants = ", ".join(f'"{name}" AT TIME ZONE \'UTC\' AS "{name}"' for name in TIMESTAMPS)

    def convert(source: Path, target: Path) -> None:
        connection.execute(
            f"COPY (SELECT {chosen}, {instants} FROM read_json('{source}', format = 'newline_delimited', compression = 'gzip', "
            f"columns = {{{columns}}})) TO '{target}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
        )

    return convert


def polars() -> Callable[[Path, Path], None]:
    """Return polars' way."""
    pl = import_module("polars")
    types = {
        "text": pl.String,
        "timestamp": pl.String,
        "json": pl.String,
        "integer": pl.Int64,
        "number": pl.Float64,
        "boolean": pl.Boolean,
    }
    schema = {column.name: types[column.kind] for column in COLUMNS}
    instants = pl.col(TIMESTAMPS).str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", time_zone="UTC")

    def convert(source: Path, target: Path) -> None:
        frame = pl.read_ndjson(gzip.decompress(source.read_bytes()), schema=schema)
        frame.with_columns(instants).write_parquet(target, compression="zstd", compression_level=1)

    return convert


class Way(NamedTuple):
    """A way from JSON lines to Parquet.

    Attributes:
        make: Sets the engine up and returns what converts a file.
        needs: What must be installed.
        is_whole: It keeps every column.
    """

    make: Callable[[], Callable[[Path, Path], None]]
    needs: tuple[str, ...]
    is_whole: bool = True


WAYS = {
    "ours zlib": Way(functools.partial(ours, "zlib"), ("pyarrow",)),
    "ours isal": Way(functools.partial(ours, "isal"), ("pyarrow", "isal")),
    "pyarrow by hand": Way(by_hand, ("pyarrow",)),
    "pyarrow.json": Way(pyarrow_json, ("pyarrow",), is_whole=False),
    "duckdb": Way(duckdb, ("duckdb",)),
    "polars": Way(polars, ("polars",)),
}
NETWORK = ("to_parquet zlib", "to_parquet isal")


# The client process


class Job(NamedTuple):
    """What a client process is asked to do.

    Attributes:
        way: By name.
        sources: The folder of ``.json.gz`` files.
        rows: How many rows there are.
        checksum: The sum of their ``event_id``.
        port: The server's, for what reads from it.
        start: The first hour.
        end: The last.
    """

    way: str
    sources: str
    rows: int
    checksum: int
    port: int
    start: str
    end: str


class NoIsal:
    """Makes an import of isal fail, as where it is not installed."""

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: object = None) -> None:
        """Say that it is not there."""
        if name.partition(".")[0] == "isal":
            raise ModuleNotFoundError(name)


def convert_all(job: Job, target: Path) -> dict[str, float]:
    """Convert the files by an engine and return the figures."""
    sources = sorted(Path(job.sources).glob("*.json.gz"))
    convert = WAYS[job.way].make()
    with gzip.open(sources[0]) as lines:
        first = b"".join(lines.readlines(1 << 16))
    small = target / "small.json.gz"
    small.write_bytes(gzip.compress(first))
    convert(small, target / "small.parquet")
    (target / "small.parquet").unlink()
    cpu, began = time.process_time(), time.perf_counter()
    for source in sources:
        convert(source, target / f"{source.name.partition('.')[0]}.parquet")
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - began}


async def export_all(job: Job, target: Path) -> dict[str, float]:
    """Have the library export the whole range, and return the figures."""
    from amplitude_async import AsyncAmplitude

    async with AsyncAmplitude("key", secret_key="secret", base_url=f"http://127.0.0.1:{job.port}") as amplitude:
        await amplitude.export(start=job.start, end=job.start).to_parquet(target)
        cpu, began = time.process_time(), time.perf_counter()
        await amplitude.export(start=job.start, end=job.end).to_parquet(target)
        return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - began}


def checked(job: Job, target: Path, *, is_whole: bool) -> float:
    """Read back what was written, and return its size in MB."""
    parquet = import_module("pyarrow.parquet")
    rows = checksum = size = 0
    names = {column.name for column in COLUMNS if is_whole or column.kind != "json"}
    files = sorted(target.glob("*.parquet"))
    for path in files:
        size += path.stat().st_size
        table = parquet.read_table(path)
        rows += table.num_rows
        checksum += sum(table["event_id"].to_pylist())
        if not names <= set(table.column_names):
            raise SystemExit(f"{job.way} left out {sorted(names - set(table.column_names))}")
    source = min(Path(job.sources).glob("*.json.gz"))
    with gzip.open(source) as lines:
        sent = json.loads(next(iter(lines)))
    got = next(row for path in files for row in parquet.read_table(path).to_pylist() if row["uuid"] == sent["uuid"])
    instant = datetime.strptime(sent["event_time"], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
    if got["event_time"].replace(tzinfo=UTC) != instant:
        raise SystemExit(f"{job.way} read {sent['event_time']} as {got['event_time']}")
    if is_whole and json.loads(got["event_properties"]) != sent["event_properties"]:
        raise SystemExit(f"{job.way} has other properties")
    if (rows, checksum) != (job.rows, job.checksum):
        raise SystemExit(f"{job.way} has {rows} rows with the sum {checksum}, but there are {job.rows} with {job.checksum}")
    return size / 1e6


def client(job: Job) -> None:
    """Be the client process: print the figures as JSON."""
    if not job.way.endswith("isal"):
        sys.meta_path.insert(0, NoIsal())
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder)
        is_whole = True
        if job.way in NETWORK:
            figures = asyncio.run(export_all(job, target))
        else:
            figures = convert_all(job, target)
            is_whole = WAYS[job.way].is_whole
        figures["size"] = checked(job, target, is_whole=is_whole)
    print(json.dumps(figures))


# The process that compares

Results = dict[str, list[dict[str, float]]]


class Bench:
    """Runs ways in turn and compares them.

    Args:
        of: The archive.
        sources: The folder with its members.
        repeats: How often each way runs.
    """

    def __init__(self, of: Archive, sources: Path, repeats: int) -> None:
        self.of = of
        self.sources = sources
        self.repeats = repeats
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self._cores = cores if len(cores) > 1 else []
        self.missed: list[str] = []

    @contextlib.contextmanager
    def serving(self, *, on_a_core_of_its_own: bool) -> Iterator[int]:
        """Serve the archive; yields the port."""
        command = [sys.executable, str(HERE / "_archive_server.py"), str(self.of.path), "1800"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                if self._cores and on_a_core_of_its_own:
                    os.sched_setaffinity(server.pid, {self._cores[-1]})
                yield int(server.stdout.readline()) if server.stdout else 0
            finally:
                server.terminate()

    def run(self, way: str, port: int = 0) -> dict[str, float]:
        """Run a way in a process of its own."""
        of = self.of
        job = Job(way, str(self.sources), of.rows, of.checksum, port, of.start, of.end)
        command = [sys.executable, __file__, "--client", json.dumps(job)]
        if self._cores:
            command += ["--core", str(self._cores[0])]
        one = dict.fromkeys(("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "ARROW_IO_THREADS"), "1")
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env=os.environ | one)
        if done.returncode:
            raise SystemExit(f"{way} failed:\n{done.stderr[-4000:]}")
        figures: dict[str, float] = json.loads(done.stdout)
        return figures

    def compare(self, title: str, ways: Sequence[str], port: int = 0) -> Results:
        """Let ways take turns, print their figures, return them."""
        print(f"\n{title} ({self.of.bytes / 1e6:.0f} MB, {self.of.rows:,} rows; {self.repeats} repetitions)", flush=True)
        results: Results = {way: [] for way in ways}
        for _ in range(self.repeats):
            for way in ways:
                results[way].append(self.run(way, port))
        print(f"  {'':18}{'cpu s':28}{'wall s':28}{'µs a row':12}{'files MB'}")
        for way, runs in results.items():
            cpu = column(results, way, "cpu")
            cells = f"{spread(cpu):28}{spread(column(results, way, 'wall')):28}"
            print(f"  {way:18}{cells}{number(statistics.median(cpu) / self.of.rows * 1e6):12}{number(runs[0]['size'])}")
        return results

    def verdict(self, name: str, values: Sequence[float], *, most: float | None = None, least: float | None = None) -> None:
        """Print a ratio, repetition by repetition, beside what it should be."""
        median = statistics.median(values)
        holds = (most is None or median <= most) and (least is None or median >= least)
        target = f"<= {most}" if most is not None else f">= {least}"
        if not holds:
            self.missed.append(name)
        print(f"  -> {name}: {spread(values)} x, target {target}: {'holds' if holds else 'MISSED'}", flush=True)


def number(value: float) -> str:
    """Return four digits of it."""
    return f"{value:.4g}"


def spread(values: Sequence[float]) -> str:
    """Return median, least and most."""
    return f"{number(statistics.median(values))} [{number(min(values))} .. {number(max(values))}]"


def column(results: Results, way: str, figure: str) -> list[float]:
    """Return one figure of a way, by repetition."""
    return [one[figure] for one in results[way]]


def to_fastest(results: Results, way: str, peers: Sequence[str], figure: str) -> list[float]:
    """Return a figure over that of the peer that is fastest over all repetitions, repetition by repetition."""
    fastest = min(peers, key=lambda peer: statistics.median(column(results, peer, figure)))
    return [a / b for a, b in zip(column(results, way, figure), column(results, fastest, figure), strict=True)]


def engines(bench: Bench, inflaters: Sequence[str], *, with_network: bool) -> None:
    """Compare the engines, and `to_parquet` with them."""
    ways = [way for way, (_, needs, _) in WAYS.items() if all(find_spec(package) for package in needs)]
    peers = [way for way in ways if not way.startswith("ours") and WAYS[way].is_whole]
    mine = [f"ours {inflater}" for inflater in inflaters]
    if not with_network:
        results = bench.compare("Engines, from files", ways)
    else:
        over = [f"to_parquet {inflater}" for inflater in inflaters]
        with bench.serving(on_a_core_of_its_own=True) as port:
            results = bench.compare("Engines, from files; to_parquet, over the network", [*ways, *over], port)
        mine += over
    for way in mine:
        for figure in ("cpu", "wall"):
            bench.verdict(f"{figure}, {way} to the fastest peer", to_fastest(results, way, peers, figure), most=FASTEST_MOST)


def timed_hour(settings: ExportSettings, hour: str, target: str) -> tuple[int, float]:
    """Export an hour in a process of a pool; return its rows and the CPU that it took."""
    from amplitude_async import export_hour

    cpu = time.process_time()
    return export_hour(settings, hour, target).rows, time.process_time() - cpu


def processes(bench: Bench) -> None:
    """Compare two processes with one."""
    from amplitude_async import ExportSettings, plan_hours

    of = bench.of
    # No core is anyone's own, and no process is forked from this one.
    context = multiprocessing.get_context("spawn")
    walls: dict[int, list[float]] = {1: [], 2: []}
    cpus: dict[int, list[float]] = {1: [], 2: []}
    print(f"\nProcesses ({of.bytes / 1e6:.0f} MB, {of.rows:,} rows; {bench.repeats} repetitions)", flush=True)
    with bench.serving(on_a_core_of_its_own=False) as port, tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        os.environ["AMPLITUDE_API_KEY"], os.environ["AMPLITUDE_SECRET_KEY"] = "key", "secret"
        export = functools.partial(timed_hour, ExportSettings(base_url=f"http://127.0.0.1:{port}"), target=folder)
        hours = plan_hours(of.start, of.end)
        pools = {count: stack.enter_context(ProcessPoolExecutor(count, mp_context=context)) for count in walls}
        for count, pool in pools.items():
            # All of a pool's processes are started, and have loaded what they need.
            list(pool.map(export, hours[: 4 * count]))
        for _ in range(bench.repeats):
            for count, pool in pools.items():
                began = time.perf_counter()
                done = list(pool.map(export, hours))
                walls[count].append(time.perf_counter() - began)
                cpus[count].append(sum(cpu for _, cpu in done))
                rows = sum(rows for rows, _ in done)
                if rows != of.rows:
                    raise SystemExit(f"{rows} rows were exported, but there are {of.rows}")
    for count, seconds in walls.items():
        print(f"  {count} process{'es' if count > 1 else '':4}{spread(seconds)} wall s  {spread(cpus[count])} cpu s")
    print(f"  the quickest run of one to the quickest of two: {number(min(walls[1]) / min(walls[2]))} x")
    apart = [two / one for one, two in zip(cpus[1], cpus[2], strict=True)]
    print(
        f"  CPU of two processes to that of one: {spread(apart)} x; where both cores are free, one to two by the clock is 2 over this"
    )
    bench.verdict("wall, one process to two", [one / two for one, two in zip(walls[1], walls[2], strict=True)], least=TWO_LEAST)


def main() -> None:
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="200 MB in place of 20")
    parser.add_argument("--quick", action="store_true", help="three repetitions")
    parser.add_argument("--repeats", type=int, help="how often each way runs; 5, or 3 with --full or --quick")
    parser.add_argument("--cache", type=Path, help="where the archives are kept")
    parser.add_argument("--only", default="engines,network,processes", help="some of: engines,network,processes")
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--core", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    if options.client:
        client(Job(*json.loads(options.client)))
        return
    if not find_spec("pyarrow"):
        print("pyarrow is not installed (the extra `parquet`): there is nothing to compare")
        return
    for package, what in {"isal": "the extra `fast`", "duckdb": "a peer", "polars": "a peer"}.items():
        if not find_spec(package):
            print(f"{package} is not installed ({what}): its ways are left out")
    packages = [name for name in ("pyarrow", "msgspec", "isal", "duckdb", "polars") if find_spec(name)]
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    print(f"Python {platform.python_version()}, {versions}, {os.cpu_count()} cores")
    only = set(options.only.split(","))
    of = archive(options.cache, large=options.full)
    repeats = options.repeats or (3 if options.full or options.quick else 5)
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder)
        with zipfile.ZipFile(of.path) as zipped:
            for info in zipped.infolist():
                (sources / info.filename.rpartition("/")[2].replace("#", "-")).write_bytes(zipped.read(info))
        bench = Bench(of, sources, repeats)
        if only & {"engines", "network"}:
            engines(bench, ["zlib", "isal"] if find_spec("isal") else ["zlib"], with_network="network" in only)
        if "processes" in only:
            processes(bench)
    print(f"\n{len(bench.missed)} targets missed" + "".join(f"\n  {name}" for name in bench.missed))


if __name__ == "__main__":
    main()
