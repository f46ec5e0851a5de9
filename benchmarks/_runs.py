"""What the measuring programs share: sinks, peers in an environment of their own, client processes, and how figures are printed.

A client process is a program (``_ours.py``, ``_peers.py``, ``_peers.cjs``) that is given a job as JSON in its first argument and
prints what came of it, as JSON, on its last line.

The peers are other libraries for the same work, installed from their public packages, pinned, into a folder that nothing else uses.
What cannot be installed is left out, and the reason printed.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HERE = Path(__file__).parent
PYTHON_PEERS = ("amplitude-analytics==1.3.0", "posthog==7.91.1", "httpx>=0.27,<1", "sniffio>=1.3,<2", "aiosqlite==0.22.1")
"""posthog's asyncio client stands on httpx; with sniffio it is as fast as it can be. aiosqlite is for ``durable_put.py``."""
NODE_PEERS = ("amplitude@6.0.0", "@amplitude/analytics-node@1.5.73")
INSTALL_SECONDS = 300


@contextmanager
def at_home(which: Literal["client", "sink"], *, pinned: bool) -> Iterator[None]:
    """Start processes of one kind on a core of their own.

    Left to the system, client and sink sit on one core in some runs and on two in others, and node's own threads take what the sink
    leaves of its core: that would be measured instead.

    Args:
        which: Whose core it is; the sink's is the last but one, the client's the last.
        pinned: Whether to do so at all.
    """
    if not pinned or not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    cores = sorted(allowed)
    # Processes inherit the core of the thread that starts them, from their first instruction on.
    os.sched_setaffinity(0, {cores[-1] if which == "client" else cores[-2:][0]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


class Sink:
    """A sink in a process of its own.

    Args:
        life: Seconds after which it ends by itself.
        keep: Let it decode and remember what arrives.
        delay: Seconds before each answer.
        pinned: Give it a core of its own, see :func:`at_home`.
    """

    def __init__(self, *, life: float, keep: bool = False, delay: float = 0.0, pinned: bool = False) -> None:
        command = [sys.executable, str(HERE / "_sink.py"), "--life", str(life), "--delay", str(delay), *(["--keep"] if keep else [])]
        with at_home("sink", pinned=pinned):
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        said = self._process.stdout.readline().split() if self._process.stdout else []
        if len(said) != 2:
            raise RuntimeError("the sink did not start")
        self.port, self._control = int(said[0]), int(said[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.process_id = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        self._process.wait(10)
        if self._process.stdout:
            self._process.stdout.close()

    def ask(self, target: str) -> Any:
        """Send a command to the control port, see ``_sink.py``."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self._control}{target}", timeout=30) as answer:
            return json.load(answer)

    def stats(self) -> dict[str, int]:
        """Return the sink's counters."""
        stats: dict[str, int] = self.ask("/stats")
        return stats

    def serials(self) -> set[int]:
        """Return the serial numbers of the events that were kept."""
        return set(self.ask("/serials"))


class Peers(NamedTuple):
    """How to start the programs of the peers that are here.

    Attributes:
        python: The interpreter that has the Python peers; ``None`` if it could not be made.
        node: Where the node program was put, beside the packages it needs; ``None`` if there is none.
    """

    python: Path | None
    node: Path | None

    def command(self, runner: str) -> list[str] | None:
        """Return how ``ours``, ``python`` or ``node`` is started."""
        if runner == "ours":
            return [sys.executable, str(HERE / "_ours.py")]
        if runner == "python":
            return [str(self.python), str(HERE / "_peers.py")] if self.python else None
        return ["node", "--expose-gc", str(self.node)] if self.node else None


@contextmanager
def peers(cache: str | None, *, wanted: bool = True, node: bool = True) -> Iterator[Peers]:
    """Install the peers, or find them installed.

    Args:
        cache: A folder to keep them in; without one they are in a temporary folder and removed in the end.
        wanted: Whether to have any.
        node: Whether to have those in node.
    """
    if not wanted:
        print("peers: left out, as asked")
        yield Peers(None, None)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(cache) if cache else Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        yield Peers(_python_peers(folder / "python"), _node_peers(folder / "node") if node else None)


def _python_peers(folder: Path) -> Path | None:
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "installed.txt"
    if not done.is_file() or done.read_text("utf-8") != repr(PYTHON_PEERS):
        shutil.rmtree(folder, ignore_errors=True)
        for command in (
            [sys.executable, "-m", "venv", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PYTHON_PEERS],
        ):
            if refusal := _refusal(command):
                print(f"the peers in Python: left out, {refusal}")
                return None
        done.write_text(repr(PYTHON_PEERS), "utf-8")
    return python


def _node_peers(folder: Path) -> Path | None:
    if shutil.which("node") is None or shutil.which("npm") is None:
        print("the peers in node: left out, node or npm is not here")
        return None
    done = folder / "installed.txt"
    if not done.is_file() or done.read_text("utf-8") != repr(NODE_PEERS):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), *NODE_PEERS]
        if refusal := _refusal(command):
            print(f"the peers in node: left out, {refusal}")
            return None
        done.write_text(repr(NODE_PEERS), "utf-8")
    # Node looks for packages from where the program is.
    return Path(shutil.copy(HERE / "_peers.cjs", folder / "program.cjs"))


def _refusal(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}"
    return f"{Path(command[0]).name} said: {(done.stderr or done.stdout).strip()[-200:]}" if done.returncode else ""


@contextmanager
def started(command: list[str], job: dict[str, Any], *, output: int | IO[Any] = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """Start a client process; it is killed in the end if it still runs."""
    # Our package has to come from where this interpreter has it, and the peers from their own environment alone.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AMPLITUDE_", "POSTHOG_"))}
    if command[0] != sys.executable:
        environment.pop("PYTHONPATH", None)
    process = subprocess.Popen(
        [*command, json.dumps(job)], stdout=output, stderr=subprocess.PIPE, text=True, env=environment, stdin=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


def run(command: list[str], job: dict[str, Any], *, seconds: float = 300, pinned: bool = False) -> dict[str, Any]:
    """Run a job in a fresh client process, on a core of its own if ``pinned``; return what it says."""
    with at_home("client", pinned=pinned), started(command, job) as process:
        said, complaint = process.communicate(timeout=seconds)
    if process.returncode:
        raise RuntimeError(f"{job}: {complaint.strip()[-2000:]}")
    result: dict[str, Any] = json.loads(said.splitlines()[-1])
    return result


def of_waits(waits: list[float]) -> dict[str, float]:
    """Return the middle and the 99th percentile of some waits in seconds, in µs."""
    ordered = sorted(waits)
    return {"p50_us": ordered[len(ordered) // 2] * 1e6, "p99_us": ordered[int(len(ordered) * 0.99)] * 1e6}


def spread(values: list[float]) -> str:
    """Return median, least and most; large ones to the unit, so that counts are seen to be exact."""
    median, least, most = (
        f"{one:,.0f}" if one >= 1000 else f"{one:.3g}" for one in (statistics.median(values), min(values), max(values))
    )
    return f"{median:>9} [{least} .. {most}]"


def ratios(ours: Iterable[float], other: Iterable[float]) -> list[float]:
    """Return one through the other, repetition by repetition."""
    return [a / b for a, b in zip(ours, other, strict=True)]


class Verdicts:
    """Figures beside what they should be, and how many missed it."""

    def __init__(self) -> None:
        self.missed: list[str] = []

    def say(self, name: str, values: list[float], *, most: float | None = None, least: float | None = None, unit: str = "x") -> None:
        """Print a figure and whether its median holds the target."""
        median = statistics.median(values)
        holds = (most is None or median <= most) and (least is None or median >= least)
        wanted = [f"<= {most:g}"] if most is not None else []
        wanted += [f">= {least:g}"] if least is not None else []
        said = f"target {' and '.join(wanted)}: {'holds' if holds else 'MISSED'}" if wanted else "no target"
        print(f"  -> {name}: {spread(values)} {unit}, {said}", flush=True)
        if not holds:
            self.missed.append(name)

    def check(self, name: str, promises: dict[str, bool]) -> None:
        """Print which of some promises hold and which don't."""
        held = [what for what, holds in promises.items() if holds]
        missed = [what for what, holds in promises.items() if not holds]
        said = [f"{word}: {', '.join(those)}" for word, those in (("holds", held), ("MISSED", missed)) if those]
        print(f"  -> {'; '.join(said)}", flush=True)
        self.missed += [f"{name}: {what}" for what in missed]

    def close(self) -> None:
        """Print the sum."""
        print(f"\n{len(self.missed)} targets missed", *self.missed, sep="\n  ")
