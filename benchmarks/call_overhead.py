"""What an awaited ``track`` costs beside the same POST by the bare HTTP library, and by the original under node.

Method: a sink in its own process answers every POST (at once, or after 50 ms). Each variant runs in a fresh process of its own; the
variants take turns, so that all meet the same noise, and are repeated. CPU is user + system time of the client process between the
first counted call and the last answer; imports, connecting and 50 calls of warm-up are excluded. Every variant sends one event of
about 250 bytes a request, with an ``insert_id`` and a ``time`` of its own. Figures are medians over the repetitions, with the least
and the most; ratios are taken repetition by repetition. "No sniffio" makes that import fail as where it is not installed. All bare
variants keep up to 50 connections, as ours does; with its default of 20 kept ones bare httpx does better at 50 callers here (it opens
new ones all the time, which is cheap on loopback without TLS, and dear elsewhere).

    python benchmarks/call_overhead.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _runs import Sink, ratios, spread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

EVENT = {
    "event_type": "page_viewed",
    "user_id": "user-12345",
    "platform": "Web",
    "event_properties": {"page": "/shop", "items": 3, "tags": ["a", "b"], "first": True},
    "user_properties": {"plan": "pro"},
}
NODE_PROGRAM = """
const Amplitude = require('amplitude').default || require('amplitude');
const [port, calls, callers] = process.argv.slice(2).map(Number);
const event = %s;
(async () => {
  const client = new Amplitude('key', {tokenEndpoint: 'http://127.0.0.1:' + port});
  for (let i = 0; i < 50; i++) await client.track(event);
  const waits = [];
  const cpu = process.cpuUsage(), began = process.hrtime.bigint();
  await Promise.all(Array.from({length: callers}, async () => {
    for (let i = 0; i < calls / callers; i++) {
      const t = process.hrtime.bigint();
      await client.track(event);
      waits.push(Number(process.hrtime.bigint() - t) / 1e9);
    }
  }));
  const used = process.cpuUsage(cpu);
  const wall = Number(process.hrtime.bigint() - began) / 1e9;
  console.log(JSON.stringify({cpu: (used.user + used.system) / 1e6 / calls, wall, waits, calls}));
})();
"""


class NoSniffio:
    """Makes an import of sniffio fail the way a missing package does: after the whole path was searched."""

    def find_spec(self, name: str, path: Sequence[str] | None, _target: object = None) -> None:
        """Search for what is not there, then say so."""
        if name == "sniffio":
            PathFinder.find_spec("sniffio_that_is_not_there", path)
            raise ModuleNotFoundError(name)


def client(variant: str, port: int, calls: int, callers: int, backend: str) -> None:
    """Run one variant and print what it cost, as JSON."""
    if variant == "bare-no-sniffio":
        sys.meta_path.insert(0, NoSniffio())
    import anyio
    import httpx

    waits: list[float] = []
    measured: dict[str, Any] = {}

    async def main() -> None:
        url = f"http://127.0.0.1:{port}"
        if variant == "ours":
            from amplitude_async import AsyncAmplitude

            amplitude = AsyncAmplitude("key", base_url=url, share_requests=False)

            async def call() -> None:
                await amplitude.track(EVENT)

            close: Callable[[], Awaitable[None]] = amplitude.aclose
        else:
            limits = httpx.Limits(max_connections=50, max_keepalive_connections=50)
            http = httpx.AsyncClient(limits=limits, timeout=30)

            async def call() -> None:
                event = {**EVENT, "insert_id": str(uuid.uuid4()), "time": int(time.time() * 1000)}
                answer = await http.post(f"{url}/2/httpapi", json={"api_key": "key", "events": [event]})
                answer.raise_for_status()
                answer.json()

            close = http.aclose

        async def caller(count: int) -> None:
            for _ in range(count):
                began = time.perf_counter()
                await call()
                waits.append(time.perf_counter() - began)

        async with anyio.create_task_group() as group:
            for _ in range(callers):
                group.start_soon(caller, max(1, 50 // callers))
        waits.clear()
        cpu, began = time.process_time(), time.perf_counter()
        async with anyio.create_task_group() as group:
            for _ in range(callers):
                group.start_soon(caller, calls // callers)
        measured.update(cpu=(time.process_time() - cpu) / calls, wall=time.perf_counter() - began)
        await close()

    anyio.run(main, backend=backend)
    print(json.dumps({**measured, "waits": waits, "calls": calls}))


def run(variant: str, port: int, calls: int, callers: int, backend: str, node: Path | None) -> dict[str, float]:
    """Run one variant in a process of its own."""
    if variant == "node":
        command = ["node", str(node), str(port), str(calls), str(callers)]
    else:
        command = [sys.executable, __file__, "--client", variant, str(port), str(calls), str(callers), backend]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300, env={**os.environ, "PYTHONPATH": ""})
    measured = json.loads(done.stdout)
    waits = sorted(measured["waits"])
    return {
        "cpu_us": measured["cpu"] * 1e6,
        "rate": measured["calls"] / measured["wall"],
        "p50_ms": waits[len(waits) // 2] * 1e3,
        "p99_ms": waits[int(len(waits) * 0.99)] * 1e3,
    }


def prepare_node(folder: Path) -> Path | None:
    """Install the original into a folder of its own; ``None``, with the reason printed, where that cannot be done."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        print("node: skipped, node or npm is not here")
        return None
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), "amplitude@6.0.0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        print(f"node: skipped, npm could not install the original: {done.stderr.strip()[:200]}")
        return None
    program = folder / "program.cjs"
    program.write_text(NODE_PROGRAM % json.dumps(EVENT), "utf-8")
    return program


def compare(
    title: str, variants: list[str], delay: float, calls: int, callers: int, backend: str, repeats: int, node: Path | None
) -> dict[str, list[dict[str, float]]]:
    """Let variants take turns, print their figures, return them."""
    print(f"\n{title}: {calls} calls x {repeats}")
    results: dict[str, list[dict[str, float]]] = {variant: [] for variant in variants}
    with Sink(life=900, delay=delay) as sink:
        for _ in range(repeats):
            for variant in variants:
                results[variant].append(run(variant, sink.port, calls, callers, backend, node))
    for variant, runs in results.items():
        columns = "  ".join(f"{name} {spread([one[name] for one in runs])}" for name in ("cpu_us", "rate", "p50_ms", "p99_ms"))
        print(f"  {variant:16} {columns}")
    return results


def verdict(
    name: str, ours: list[float], other: list[float], target: str, *, most: float | None = None, least: float | None = None
) -> None:
    """Print a ratio, repetition by repetition, beside what it should be."""
    quotients = ratios(ours, other)
    median = statistics.median(quotients)
    holds = (most is None or median <= most) and (least is None or median >= least)
    said = "no target" if most is None and least is None else f"target {target}: {'holds' if holds else 'MISSED'}"
    print(f"  -> {name}: {spread(quotients)} x, {said}")


def column(results: dict[str, list[dict[str, float]]], variant: str, name: str) -> list[float]:
    """Return one figure of a variant, by repetition."""
    return [one[name] for one in results[variant]]


def main() -> None:
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer calls and repetitions")
    parser.add_argument("--client", nargs=5, metavar=("VARIANT", "PORT", "CALLS", "CALLERS", "BACKEND"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        variant, port, calls, callers, backend = options.client
        client(variant, int(port), int(calls), int(callers), backend)
        return
    repeats, calls = (3, 500) if options.quick else (7, 1500)
    with tempfile.TemporaryDirectory() as folder:
        node = prepare_node(Path(folder))
        original = ["node"] if node else []
        for backend, most in (("asyncio", 1.1), ("trio", 1.25)):
            also = original if backend == "asyncio" else []
            results = compare(f"one caller, {backend}", ["ours", "bare", *also], 0.0, calls, 1, backend, repeats, node)
            ours = column(results, "ours", "cpu_us")
            verdict(f"CPU, one caller, {backend}, to bare httpx", ours, column(results, "bare", "cpu_us"), f"<= {most}", most=most)
            if also:
                verdict("CPU, one caller, to the original", ours, column(results, "node", "cpu_us"), "none here")
        results = compare("50 callers, asyncio", ["ours", "bare-no-sniffio", *original], 0.0, calls, 50, "asyncio", repeats, node)
        for name, most in (("cpu_us", 0.4), ("p99_ms", 0.2)):
            other = column(results, "bare-no-sniffio", name)
            verdict(
                f"{name}, 50 callers, to bare httpx without sniffio", column(results, "ours", name), other, f"<= {most}", most=most
            )
        title = "50 callers, answers after 50 ms"
        results = compare(title, ["ours", "bare-no-sniffio", *original], 0.05, calls, 50, "asyncio", repeats, node)
        other = column(results, "bare-no-sniffio", "rate")
        verdict(
            "requests/s, 50 callers and 50 ms, to bare httpx without sniffio", column(results, "ours", "rate"), other, ">= 5", least=5
        )


if __name__ == "__main__":
    main()
