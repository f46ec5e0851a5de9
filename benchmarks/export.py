"""What an export costs beside the way everyone reads one today, beside bare httpx, and beside the limit.

Method: a server in its own process, pinned to another core than the clients where there are two, serves generated archives of 20 and
200 MB (``_archives.py``: hourly ``.json.gz`` members, stored, sizes behind the data; rows of 45 to 55 columns) in pieces of 64 kB with
a Content-Length (``--chunked``: in chunks). Each variant runs in a fresh process; the variants take turns, so that all meet the same
noise, and are repeated. CPU is user + system time of the client process, all its threads, from the request to the last row or byte;
imports and a first connection, with the code that is loaded on first use, come before it: one request for hours without data. Every
variant that reads rows counts them and adds up ``event_id``, and the run ends with an error if either is not what was put in; those
that read bytes must have got all, and what was saved must be what was sent. Figures are medians over the repetitions, with the least
and the most; ratios are taken repetition by repetition.

The usual way: ``httpx`` downloads to disk, then ``zipfile``, ``gzip`` and ``json.loads`` line by line. The limit: the same bytes
inflated and decoded out of memory, 32 kB at a time, each row dropped, with the libraries that ours uses. "model-limit" is that for the
model, without a look at what a line is. "zlib" is the base install: there the import of isal is made to fail; "isal" is the extra
``fast``. The model has ten columns, with both property maps left as JSON text. Downloads of bytes are repeated within the process,
since one is too short to be measured, and two more come first, unmeasured: a virtual machine is given memory by its host as it is
touched, at up to 80 us a page, also memory that a file's pages were in some seconds ago. Without them whatever writes files paid for
its first two files up to 50 ms each, or not, depending on what ran before it.

"bare" keeps its connection from one download to the next; "bare-fresh" opens one for each, as an export does, so that one that is
left in the middle can be cut without a loss to anyone. What a file costs, whoever writes it: "bare-write" is bare httpx and a plain
write of each chunk on the event loop; "bare-thread" gathers 256 kB and writes them in a thread, as any program does that keeps its
loop free; "bare-sum" does that, sums up a CRC of every byte and syncs the file, which is the least that a verified file can be had
for with these libraries. What ``save`` takes beyond "bare-sum" is ours: reading the file again, the directory, the name that
appears at the end. "save isal" sums up with isal's CRC, which comes with the extra ``fast``.

Memory is the most that was resident (VmHWM) over what was when the request was sent (VmRSS), nothing having been decoded before. The
first row is timed against a server that stops for a second after three pieces of 64 kB. Stalls are how late a 1 ms ticker runs beside
the decoding, by the clock; "held" is the most CPU time between two ticks, which tells what is ours from what the machine does to us.

    python benchmarks/export.py [--quick] [--chunked] [--cache FOLDER] [--only rows,bytes,first,memory,stalls,large]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio.to_thread
import httpx
import msgspec

sys.path.insert(0, str(Path(__file__).parent))
from _archives import Archive, archive

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).parent
PIECE = 65536
LIMIT_PIECE = 32768
GATHERED = 4 * PIECE
HELD_AT = 3 * PIECE
HOLD = 1.0
WARM_UPS = 2
NO_DATA = ("20200101T00", "20200101T23")
MIB = 1 << 20


class NoIsal:
    """Makes an import of isal fail, as where it is not installed."""

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: object = None) -> None:
        """Say that it is not there."""
        if name.partition(".")[0] == "isal":
            raise ModuleNotFoundError(name)


# The client process


class Job(NamedTuple):
    """What a client process is asked to do.

    Attributes:
        variant: By name.
        inflater: ``zlib`` or ``isal``.
        mode: ``cpu``, ``memory``, ``first`` or ``stall``.
        passes: How often the whole is done within the measurement.
        port: Of the server.
        path: The archive's, for the limit, which reads it from memory.
        start: The first hour.
        end: The last.
    """

    variant: str
    inflater: str
    mode: str
    passes: int
    port: int
    path: str
    start: str
    end: str


class Seen:
    """What a variant has read, and when it had its first row."""

    def __init__(self) -> None:
        self.rows = self.checksum = self.bytes = 0
        self.first_at: float | None = None
        self.first_bytes = 0

    def first_row(self, bytes_so_far: int) -> None:
        """Note the first row."""
        self.first_at = time.perf_counter()
        self.first_bytes = bytes_so_far


def _kib(field: str) -> int:
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise KeyError(field)


class Memory:
    """The growth of this process's most resident memory since now."""

    def __init__(self) -> None:
        self._start = 0
        if Path("/proc/self/status").exists():
            # So that a peak of the imports is not taken for one of the export.
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5", "ascii")
            self._start = _kib("VmRSS")

    def growth(self) -> float:
        """Return it, in MiB."""
        return max(0, _kib("VmHWM") - self._start) / 1024 if self._start else float("nan")


class Ticker:
    """Runs every millisecond and notes how late."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due = self._cpu = 0.0
        self.late: list[float] = []
        self.cpu: list[float] = []
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin."""
        self._due = self._loop.time() + 0.001
        self._cpu = time.thread_time()
        self._handle = self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        self.late.append(self._loop.time() - self._due)
        self.cpu.append(time.thread_time() - self._cpu)
        self.start()

    def stop(self) -> None:
        """End."""
        if self._handle is not None:
            self._handle.cancel()


TEN_COLUMNS: list[tuple[str, Any]] = [
    ("event_id", int),
    ("event_type", str),
    ("event_time", str),
    ("server_upload_time", str),
    ("amplitude_id", int),
    ("device_id", str | None),
    ("user_id", str | None),
    ("platform", str | None),
    ("event_properties", msgspec.Raw),
    ("user_properties", msgspec.Raw),
]


class Variant:
    """One way to read an export. Each run of it is one download.

    Args:
        job: What is to be done.
        folder: Where files may be written.
    """

    def __init__(self, job: Job, folder: Path) -> None:
        self.job = job
        self.folder = folder
        self.url = f"http://127.0.0.1:{job.port}"
        self.seen = Seen()

    async def open(self) -> None:
        """Make the client."""

    async def run(self, start: str, end: str) -> None:
        """Read an export."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close the client."""


class Bare(Variant):
    """The bytes by httpx alone."""

    async def open(self) -> None:
        """Make the client."""
        self.http = httpx.AsyncClient(auth=("key", "secret"), timeout=60)

    async def run(self, start: str, end: str) -> None:
        """Count the bytes."""
        total = 0
        async with self.http.stream("GET", f"{self.url}/api/2/export", params={"start": start, "end": end}) as answer:
            async for chunk in answer.aiter_raw():
                total += len(chunk)
        self.seen.bytes += total

    async def close(self) -> None:
        """Close the client."""
        await self.http.aclose()


class BareFresh(Bare):
    """The bytes by httpx alone, over a connection of their own for each download, as ours has; the other ways keep theirs."""

    async def open(self) -> None:
        """Make none yet."""

    async def run(self, start: str, end: str) -> None:
        """Count the bytes."""
        # The server speaks no TLS: a context for it would be most of the cost.
        async with httpx.AsyncClient(auth=("key", "secret"), timeout=60, verify=False) as self.http:
            await super().run(start, end)


class BareWrite(Bare):
    """The bytes by httpx alone, each chunk written to a file as it comes, nothing checked or synced."""

    async def run(self, start: str, end: str) -> None:
        """Write the bytes."""
        async with self.http.stream("GET", f"{self.url}/api/2/export", params={"start": start, "end": end}) as answer:
            if answer.status_code != httpx.codes.OK:
                return
            with (self.folder / "written.zip").open("wb") as file:
                async for chunk in answer.aiter_raw():
                    file.write(chunk)
                    self.seen.bytes += len(chunk)


class BareThread(Bare):
    """The bytes by httpx alone, gathered and written to a file in a thread."""

    is_summed = False

    async def run(self, start: str, end: str) -> None:
        """Write the bytes."""
        async with self.http.stream("GET", f"{self.url}/api/2/export", params={"start": start, "end": end}) as answer:
            if answer.status_code != httpx.codes.OK:
                return
            with (self.folder / "written.zip").open("wb", buffering=0) as file:
                pieces: list[bytes] = []
                gathered = crc = 0
                async for chunk in answer.aiter_raw():
                    pieces.append(chunk)
                    gathered += len(chunk)
                    if self.is_summed:
                        crc = zlib.crc32(chunk, crc)
                    if gathered >= GATHERED:
                        await anyio.to_thread.run_sync(file.writelines, pieces)
                        self.seen.bytes += gathered
                        pieces, gathered = [], 0
                await anyio.to_thread.run_sync(file.writelines, pieces)
                self.seen.bytes += gathered
                if self.is_summed:
                    await anyio.to_thread.run_sync(os.fsync, file.fileno())


class BareSum(BareThread):
    """The same, with a CRC of every byte, and the file synced."""

    is_summed = True


class Usual(Bare):
    """What everyone writes: download to disk, then zipfile, gzip and json line by line."""

    async def run(self, start: str, end: str) -> None:
        """Read the rows."""
        path = self.folder / "usual.zip"
        async with self.http.stream("GET", f"{self.url}/api/2/export", params={"start": start, "end": end}) as answer:
            if answer.status_code != httpx.codes.OK:
                return
            with path.open("wb") as file:
                async for chunk in answer.aiter_bytes():
                    file.write(chunk)
        seen = self.seen
        with zipfile.ZipFile(path) as zipped:
            for name in zipped.namelist():
                with zipped.open(name) as member, gzip.open(member) as lines:
                    for line in lines:
                        row = json.loads(line)
                        seen.rows += 1
                        seen.checksum += row["event_id"]
                        if self.job.mode == "first":
                            seen.first_row(path.stat().st_size)
                            return


class Limit(Variant):
    """The same bytes inflated and decoded out of memory, each row dropped."""

    async def open(self) -> None:
        """Read the members."""
        with zipfile.ZipFile(self.job.path) as zipped:
            self.members = [zipped.read(info) for info in zipped.infolist()]
        self.decode = msgspec.json.Decoder().decode

    async def run(self, start: str, end: str) -> None:
        """Read the rows."""
        if (start, end) == NO_DATA:
            return
        decode, seen = self.decode, self.seen
        count = checksum = 0
        for member in self.members:
            view, tail, inflater = memoryview(member), b"", new_inflater(self.job.inflater)
            for at in range(0, len(view), PIECE):
                pending: bytes | memoryview = view[at : at + PIECE]
                while True:
                    text = inflater.decompress(pending, LIMIT_PIECE)
                    pending = inflater.unconsumed_tail
                    lines = text.split(b"\n")
                    lines[0] = tail + lines[0]
                    tail = lines.pop()
                    for line in lines:
                        row = decode(line)
                        count += 1
                        checksum += row["event_id"]
                    if not pending and len(text) < LIMIT_PIECE:
                        break
        seen.rows += count
        seen.checksum += checksum


class ModelLimit(Limit):
    """The same for ten columns, the whole lines of a piece decoded at once."""

    async def run(self, start: str, end: str) -> None:
        """Read the rows."""
        if (start, end) == NO_DATA:
            return
        decode_lines = msgspec.json.Decoder(msgspec.defstruct("Row", TEN_COLUMNS), strict=False).decode_lines
        seen = self.seen
        count = checksum = 0
        for member in self.members:
            view, tail, inflater = memoryview(member), b"", new_inflater(self.job.inflater)
            for at in range(0, len(view), PIECE):
                pending: bytes | memoryview = view[at : at + PIECE]
                while True:
                    text = inflater.decompress(pending, LIMIT_PIECE)
                    pending = inflater.unconsumed_tail
                    whole = text.rfind(b"\n") + 1
                    lines, tail = (tail + text[:whole], text[whole:]) if whole else (b"", tail + text)
                    rows: list[Any] = decode_lines(lines)
                    count += len(rows)
                    for row in rows:
                        checksum += row.event_id
                    if not pending and len(text) < LIMIT_PIECE:
                        break
        seen.rows += count
        seen.checksum += checksum


def new_inflater(name: str) -> Any:
    """Return an inflater of gzips."""
    if name == "isal":
        return import_module("isal.isal_zlib").decompressobj(31)
    return zlib.decompressobj(31)


class Ours(Variant):
    """What the library's ways have in common."""

    async def open(self) -> None:
        """Make the client."""
        from amplitude_async import AsyncAmplitude, NotFoundError

        self.nothing = NotFoundError
        self.amplitude = AsyncAmplitude("key", secret_key="secret", base_url=self.url)

    async def close(self) -> None:
        """Close the client."""
        await self.amplitude.aclose()


class Events(Ours):
    """Rows one by one, as dicts."""

    async def run(self, start: str, end: str) -> None:
        """Read the rows."""
        count = checksum = 0
        async with self.amplitude.export(start=start, end=end) as export:
            async for row in export.events():
                count += 1
                checksum += row["event_id"]
                if self.job.mode == "first":
                    self.seen.first_row(export.counts.bytes)
                    break
        self.seen.rows += count
        self.seen.checksum += checksum


class Batches(Ours):
    """Rows in lists, as dicts."""

    async def run(self, start: str, end: str) -> None:
        """Read the rows."""
        count = checksum = 0
        async with self.amplitude.export(start=start, end=end) as export:
            async for batch in export.batches():
                count += len(batch)
                for row in batch:
                    checksum += row["event_id"]
        self.seen.rows += count
        self.seen.checksum += checksum


class ModelEvents(Ours):
    """Rows one by one, ten columns of them."""

    async def run(self, start: str, end: str) -> None:
        """Read the rows."""
        model: Any = msgspec.defstruct("Row", TEN_COLUMNS)
        count = checksum = 0
        async with self.amplitude.export(start=start, end=end) as export:
            async for row in export.events(model=model):
                count += 1
                checksum += row.event_id
        self.seen.rows += count
        self.seen.checksum += checksum


class ModelBatches(Ours):
    """Rows in lists, ten columns of them."""

    async def run(self, start: str, end: str) -> None:
        """Read the rows."""
        model: Any = msgspec.defstruct("Row", TEN_COLUMNS)
        count = checksum = 0
        async with self.amplitude.export(start=start, end=end) as export:
            async for batch in export.batches(model=model):
                count += len(batch)
                for row in batch:
                    checksum += row.event_id
        self.seen.rows += count
        self.seen.checksum += checksum


class Chunks(Ours):
    """The bytes by iteration."""

    async def run(self, start: str, end: str) -> None:
        """Count the bytes."""
        total = 0
        with contextlib.suppress(self.nothing):
            async with self.amplitude.export(start=start, end=end) as export:
                async for chunk in export:
                    total += len(chunk)
        self.seen.bytes += total


class Save(Ours):
    """The bytes in a verified file."""

    async def run(self, start: str, end: str) -> None:
        """Save them."""
        with contextlib.suppress(self.nothing):
            async with self.amplitude.export(start=start, end=end) as export:
                self.seen.bytes += (await export.save(self.folder / "saved.zip")).bytes


VARIANTS: dict[str, type[Variant]] = {
    "usual": Usual,
    "limit": Limit,
    "model-limit": ModelLimit,
    "bare": Bare,
    "bare-fresh": BareFresh,
    "bare-write": BareWrite,
    "bare-thread": BareThread,
    "bare-sum": BareSum,
    "events": Events,
    "batches": Batches,
    "model-events": ModelEvents,
    "model-batches": ModelBatches,
    "chunks": Chunks,
    "save": Save,
}


async def measured(job: Job, variant: Variant) -> dict[str, float]:
    """Run a variant and return its figures."""
    await variant.open()
    await variant.run(*NO_DATA)
    seen = variant.seen = Seen()
    ticker = Ticker()
    if job.mode == "stall":
        ticker.start()
        await asyncio.sleep(0.05)
        ticker.late.clear()
        ticker.cpu.clear()
    memory = Memory() if job.mode == "memory" else None
    if job.variant in WAYS_TO_BYTES and job.mode == "cpu":
        for _ in range(WARM_UPS):
            await variant.run(job.start, job.end)
        seen = variant.seen = Seen()
    cpu, began = time.process_time(), time.perf_counter()
    for _ in range(job.passes):
        await variant.run(job.start, job.end)
    figures: dict[str, float] = {
        "cpu": (time.process_time() - cpu) / job.passes,
        "wall": (time.perf_counter() - began) / job.passes,
        "rows": seen.rows / job.passes,
        "checksum": seen.checksum / job.passes,
        "bytes": seen.bytes / job.passes,
    }
    if memory is not None:
        figures["growth"] = memory.growth()
    if seen.first_at is not None:
        figures.update(first=seen.first_at - began, first_bytes=seen.first_bytes)
    if job.mode == "stall":
        ticker.stop()
        late = sorted(ticker.late)
        figures.update(late=late[-1] * 1e3, late_p99=late[int(len(late) * 0.99)] * 1e3, held=max(ticker.cpu) * 1e3)
    await variant.close()
    if job.variant == "save" and (variant.folder / "saved.zip").read_bytes() != Path(job.path).read_bytes():
        message = "what was saved is not what was sent"
        raise RuntimeError(message)
    return figures


def client(job: Job) -> None:
    """Be the client process: print the figures as JSON."""
    if job.inflater != "isal":
        sys.meta_path.insert(0, NoIsal())
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asyncio.run(measured(job, VARIANTS[job.variant](job, Path(folder))))))


# The process that compares


class Bench:
    """Runs variants against servers and compares them.

    Args:
        is_chunked: How bodies are framed.
        inflaters: Those that are here.
    """

    def __init__(self, *, is_chunked: bool, inflaters: Sequence[str]) -> None:
        self.inflaters = inflaters
        self._is_chunked = is_chunked
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self._cores = cores if len(cores) > 1 else []
        self.missed: list[str] = []

    @contextlib.contextmanager
    def serving(self, of: Archive, *more: str) -> Iterator[int]:
        """Serve an archive; yields the port."""
        command = [sys.executable, str(HERE / "_archive_server.py"), str(of.path), "1800", *more]
        if self._is_chunked:
            command.append("--chunked")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                if self._cores:
                    os.sched_setaffinity(server.pid, {self._cores[-1]})
                yield int(server.stdout.readline()) if server.stdout else 0
            finally:
                server.terminate()

    def run(self, of: Archive, port: int, name: str, mode: str, passes: int) -> dict[str, float]:
        """Run a variant in a process of its own, and check what it has read."""
        variant, _, inflater = name.partition(" ")
        job = Job(variant, inflater or "zlib", mode, passes, port, str(of.path), of.start, of.end)
        command = [sys.executable, __file__, "--client", json.dumps(job)]
        if self._cores:
            command += ["--core", str(self._cores[0])]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr[-4000:]}")
        figures: dict[str, float] = json.loads(done.stdout)
        is_of_bytes = variant in WAYS_TO_BYTES
        wanted = {"bytes": of.bytes} if is_of_bytes else {"rows": of.rows, "checksum": of.checksum}
        if mode != "first" and any(figures[key] != value for key, value in wanted.items()):
            raise SystemExit(f"{name} read {figures}, but there is {wanted}")
        return figures

    def compare(
        self,
        title: str,
        of: Archive,
        names: Sequence[str],
        repeats: int,
        *,
        mode: str = "cpu",
        passes: int = 1,
        server: Sequence[str] = (),
    ) -> dict[str, list[dict[str, float]]]:
        """Let variants take turns, print their figures, return them."""
        times = f"{repeats} repetitions of {passes} passes" if passes > 1 else f"{repeats} repetitions"
        print(f"\n{title} ({of.bytes / 1e6:.0f} MB, {of.rows:,} rows; {times})", flush=True)
        results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        with self.serving(of, *server) as port:
            for _ in range(repeats):
                for name in names:
                    results[name].append(self.run(of, port, name, mode, passes))
        columns = COLUMNS_SHOWN[mode]
        print("  " + " " * 20 + "".join(f"{column:32}" for column in columns))
        for name, runs in results.items():
            cells = [spread([one[column.split()[0]] for one in runs]) for column in columns]
            print(f"  {name:20}" + "".join(f"{cell:32}" for cell in cells))
        return results

    def verdict(self, name: str, values: Sequence[float], unit: str, *, most: float | None = None, least: float | None = None) -> None:
        """Print a figure, repetition by repetition, beside what it should be."""
        median = statistics.median(values)
        holds = (most is None or median <= most) and (least is None or median >= least)
        bounds = ([] if most is None else [f"<= {number(most)}"]) + ([] if least is None else [f">= {number(least)}"])
        target = " and ".join(bounds)
        if not holds:
            self.missed.append(name)
        said = f"target {target}: {'holds' if holds else 'MISSED'}" if target else "no target"
        print(f"  -> {name}: {spread(values)} {unit}, {said}", flush=True)


WAYS_TO_BYTES = ("bare", "bare-fresh", "bare-write", "bare-thread", "bare-sum", "chunks", "save")

COLUMNS_SHOWN = {
    "cpu": ("cpu s", "wall s"),
    "memory": ("growth MiB", "cpu s"),
    "first": ("first s", "first_bytes"),
    "stall": ("late ms", "late_p99 ms", "held ms"),
}


def number(value: float) -> str:
    """Return four digits of it, or all of what is larger."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def spread(values: Sequence[float]) -> str:
    """Return median, least and most."""
    return f"{number(statistics.median(values))} [{number(min(values))} .. {number(max(values))}]"


Results = dict[str, list[dict[str, float]]]


def ratios(results: Results, one: str, other: str, figure: str = "cpu") -> list[float]:
    """Return a figure of one variant over the other's, repetition by repetition."""
    return [a[figure] / b[figure] for a, b in zip(results[one], results[other], strict=True)]


def column(results: Results, name: str, figure: str) -> list[float]:
    """Return one figure of a variant, by repetition."""
    return [one[figure] for one in results[name]]


DICTS_LEAST = {"zlib": 2.0, "isal": 2.4}
MODEL_LEAST = {"zlib": 3.5, "isal": 4.5}


def rows(bench: Bench, of: Archive, repeats: int, *, with_limit: bool) -> None:
    """Compare the ways to rows."""
    ways = ["events", "batches", "model-events", "model-batches", *(["limit", "model-limit"] if with_limit else [])]
    names = ["usual", *(f"{way} {inflater}" for inflater in bench.inflaters for way in ways)]
    results = bench.compare("Rows", of, names, repeats)
    for inflater in bench.inflaters:
        for way, least in (
            ("events", DICTS_LEAST),
            ("batches", DICTS_LEAST),
            ("model-events", MODEL_LEAST),
            ("model-batches", MODEL_LEAST),
        ):
            name = f"{way} {inflater}"
            bench.verdict(f"rows per CPU-second, {name} to the usual way", ratios(results, "usual", name), "x", least=least[inflater])
        to_batches = ratios(results, f"events {inflater}", f"batches {inflater}")
        bench.verdict(f"CPU, events to batches, {inflater}", to_batches, "x", most=1.15)
        to_batches = ratios(results, f"model-events {inflater}", f"model-batches {inflater}")
        bench.verdict(f"CPU, events to batches of the model, {inflater}", to_batches, "x")
        if with_limit:
            bench.verdict(
                f"CPU, batches to the limit, {inflater}", ratios(results, f"batches {inflater}", f"limit {inflater}"), "x", most=1.25
            )
            to_limit = ratios(results, f"model-batches {inflater}", f"model-limit {inflater}")
            bench.verdict(f"CPU, batches of the model to their limit, {inflater}", to_limit, "x")
            of_limit = ratios(results, "usual", f"model-limit {inflater}")
            bench.verdict(f"rows per CPU-second, the model's limit {inflater} to the usual way", of_limit, "x")


def bytes_only(bench: Bench, of: Archive, repeats: int, passes: int) -> None:
    """Compare the ways to bytes."""
    with_isal = ["save isal"] if "isal" in bench.inflaters else []
    results = bench.compare("Bytes", of, [*WAYS_TO_BYTES, *with_isal], repeats, passes=passes)
    bench.verdict("CPU, chunk iteration to bare httpx", ratios(results, "chunks", "bare"), "x", most=1.15)
    bench.verdict(
        "CPU, chunk iteration to bare httpx with a connection for each download", ratios(results, "chunks", "bare-fresh"), "x"
    )
    for name in ("save", *with_isal):
        bench.verdict(f"CPU, {name} to bare httpx", ratios(results, name, "bare"), "x", most=1.25)
    for control, words in (
        ("bare-write", "a plain write"),
        ("bare-thread", "a write in a thread"),
        ("bare-sum", "that, a CRC and a sync"),
    ):
        bench.verdict(f"CPU, bare httpx and {words} to bare httpx", ratios(results, control, "bare"), "x")
        bench.verdict(f"CPU, save to bare httpx and {words}", ratios(results, "save", control), "x")


def first_row(bench: Bench, of: Archive, repeats: int) -> None:
    """Time the first row against a server that stops after three pieces."""
    names = ["usual", *(f"events {inflater}" for inflater in bench.inflaters)]
    held = ["--hold-at", str(HELD_AT), "--hold", str(HOLD)]
    results = bench.compare(
        f"First row; the server stops after {HELD_AT:,} bytes for {HOLD:g} s", of, names, repeats, mode="first", server=held
    )
    for name in names[1:]:
        bench.verdict(f"bytes taken before the first row, {name}", column(results, name, "first_bytes"), "bytes", most=HELD_AT)
        bench.verdict(f"time to the first row, {name}", column(results, name, "first"), "s", most=HOLD)


def memory(bench: Bench, small: Archive, large: Archive | None, repeats: int) -> None:
    """Compare the growth of memory at both sizes."""
    names = ["usual", *(f"{way} {inflater}" for inflater in bench.inflaters for way in ("events", "batches")), "save"]
    at_small = bench.compare("Memory", small, names, repeats, mode="memory")
    at_large = bench.compare("Memory", large, names[1:], 1, mode="memory") if large else None
    for name in names[1:]:
        bench.verdict(f"growth at 20 MB, {name}", column(at_small, name, "growth"), "MiB", most=8)
        if at_large:
            bench.verdict(f"growth at 200 MB, {name}", column(at_large, name, "growth"), "MiB", most=8)
            apart = statistics.median(column(at_large, name, "growth")) - statistics.median(column(at_small, name, "growth"))
            bench.verdict(f"growth at 200 MB less that at 20 MB, {name}", [apart], "MiB", most=2, least=-2)


def stalls(bench: Bench, of: Archive, repeats: int) -> None:
    """Measure how long the event loop is held."""
    names = [f"{way} {inflater}" for inflater in bench.inflaters for way in ("events", "batches")]
    results = bench.compare("Stalls of the event loop", of, [*names, "save"], repeats, mode="stall")
    for name in results:
        bench.verdict(f"longest stall, {name}", column(results, name, "late"), "ms", most=15)


def main() -> None:
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20 MB alone, five repetitions")
    parser.add_argument("--chunked", action="store_true", help="bodies in chunks of 64 kB, without a Content-Length")
    parser.add_argument("--cache", type=Path, help="where the archives are kept")
    parser.add_argument("--only", help="some of: rows,bytes,first,memory,stalls,large")
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--core", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    if options.client:
        client(Job(*json.loads(options.client)))
        return
    inflaters = ["zlib", "isal"] if find_spec("isal") else ["zlib"]
    if len(inflaters) == 1:
        print("isal is not installed (the extra `fast`): its variants are left out")
    versions = ", ".join(f"{name} {version(name)}" for name in ("httpx", "anyio", "msgspec", *inflaters[1:]))
    print(
        f"Python {platform.python_version()}, {versions}, {os.cpu_count()} cores, {'chunked' if options.chunked else 'Content-Length'}"
    )
    bench = Bench(is_chunked=options.chunked, inflaters=inflaters)
    only = set((options.only or "rows,bytes,first,memory,stalls,large").split(","))
    small = archive(options.cache)
    large = None if options.quick else archive(options.cache, large=True)
    repeats = 5 if options.quick else 7
    if "rows" in only:
        rows(bench, small, repeats, with_limit=True)
    if "bytes" in only:
        bytes_only(bench, small, repeats, passes=5)
    if "first" in only:
        first_row(bench, small, 3)
    if "memory" in only:
        memory(bench, small, large, 3)
    if "stalls" in only:
        stalls(bench, small, repeats)
    if "large" in only and large is not None:
        rows(bench, large, 3, with_limit=False)
        bytes_only(bench, large, 3, passes=1)
    print(f"\n{len(bench.missed)} targets missed" + "".join(f"\n  {name}" for name in bench.missed))


if __name__ == "__main__":
    main()
