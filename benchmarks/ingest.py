"""What uploading costs, beside the original, the vendor's SDKs, PostHog's, and loops written by hand.

Method: a sink in a process of its own answers every upload, at once or after 50 ms. Each variant runs in a fresh process. Where the
system lets a program choose, clients have one core and the sink has another: left alone, some runs have both on one core, and node
spreads over two. Variants take turns, so that all meet the same noise, and are repeated. Figures are medians over the repetitions
with the least and the most; ratios are taken repetition by repetition. A run after which the sink has counted another number of
events than were sent ends the program: only exact runs are figures. CPU is user + system time of the whole client process from the
first counted call to the last acknowledgement, building the events included; imports, connecting and 50 events of warm-up are
excluded. All send the same 400-byte events, spread over 5,000 users (``_events.py``). Call times are those of the handing-over
alone: the event was built before.

The round-trip limit is what callers reach that wait for nothing but the server: callers / (50 ms + half of the longest thinking
time). The sink's own timer is up to 1 ms late, which is in the figures.

Memory is resident memory, after less before, both after a garbage collection. Stalls are how late a task that asks for a turn every
millisecond got it.

The peers are installed from their public packages into ``--cache``, or into a temporary folder. Files of outboxes are in
``--folder``, by default beside this program: on a file system in memory, a promise of the disk costs nothing and says nothing. What
the store under an outbox can do alone is measured by ``durable_put.py``.

    python benchmarks/ingest.py [--quick] [--cache FOLDER] [--folder FOLDER] [--only PART ...] [--without-peers]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from _runs import Peers, Sink, Verdicts, of_waits, peers, ratios, run, spread

if TYPE_CHECKING:
    from collections.abc import Callable

ROUND_TRIP = 0.05
THINKING = 0.04
WARM_UP = 50
ORIGINAL, VENDOR, VENDOR_TUNED = "amplitude (npm)", "amplitude-analytics", "amplitude-analytics, tuned"
NODE, NODE_TUNED, POSTHOG = "@amplitude/analytics-node", "@amplitude/analytics-node, tuned", "posthog"
OURS, PER_CALL, AIOHTTP = "ours", "ours, a request per call", "ours, aiohttp"
BY_HAND, BY_HAND_STANDARD, POSTHOG_ASYNC = "a plain loop", "a plain loop, the standard library's json", "posthog, asyncio"
RUNNERS = {ORIGINAL: "node", NODE: "node", NODE_TUNED: "node", VENDOR: "python", VENDOR_TUNED: "python", POSTHOG: "python"}
COMMITS, STORING = "aiosqlite, a commit per put", "ours, no server"
RUNNERS |= {POSTHOG_ASYNC: "python", COMMITS: "python"}

Figures = dict[str, list[dict[str, float]]]


class Bench(NamedTuple):
    """What every part needs.

    Attributes:
        peers: How to start the others.
        verdicts: Where targets are judged.
        quick: Whether to be short.
        repeats: How often each variant runs.
        folder: Where files of outboxes are.
    """

    peers: Peers
    verdicts: Verdicts
    quick: bool
    repeats: int
    folder: Path

    def take_turns(
        self, title: str, jobs: dict[str, dict[str, Any]], *, delay: float = 0.0, fault: str = "", warm_up: int = WARM_UP
    ) -> Figures:
        """Let variants take turns and print their figures.

        Args:
            title: What is measured.
            jobs: The job of each variant.
            delay: How late the sink answers.
            fault: What is wrong with the sink all the time, see ``_sink.py``.
            warm_up: Events sent beside those of the job.
        """
        print(f"\n{title}", flush=True)
        figures: Figures = {}
        with Sink(life=3600, delay=delay, pinned=True) as sink, tempfile.TemporaryDirectory(dir=self.folder) as folder:
            for repetition in range(self.repeats):
                for variant, job in jobs.items():
                    command = self.peers.command(RUNNERS.get(variant, "ours"))
                    if command is None:
                        continue
                    sink.ask("/clear")
                    sink.ask(f"/delay?seconds={delay}")
                    if fault:
                        sink.ask(f"/fault?kind={fault}")
                    given = {"variant": variant, "url": sink.url, **job}
                    if job.get("path"):
                        given["path"] = str(Path(folder) / f"{job['path']}-{repetition}.db")
                    result = run(command, given, pinned=True)
                    stats = sink.stats()
                    if (
                        "wall" in result
                        and not fault
                        and job.get("delivers", job["job"] != "commits")
                        and stats["events"] != result["events"] + warm_up
                    ):
                        raise RuntimeError(f"{variant}: {stats['events']} events arrived, {result['events'] + warm_up} were sent")
                    figures.setdefault(variant, []).append(_figures(result) | {"requests": stats["requests"]})
        _print(figures)
        return figures

    def judge(
        self,
        name: str,
        figures: Figures,
        variant: str,
        figure: str | Callable[[dict[str, float]], float],
        other: str | None = None,
        *,
        most: float | None = None,
        least: float | None = None,
        unit: str = "x",
    ) -> None:
        """Judge a figure of a variant, or its ratio to another variant's, if both ran."""
        if variant not in figures or (other is not None and other not in figures):
            print(f"  -> {name}: not measured, {other} is not here")
            return

        def column(which: str) -> list[float]:
            return [one[figure] if isinstance(figure, str) else figure(one) for one in figures[which]]

        values = ratios(column(variant), column(other)) if other else column(variant)
        self.verdicts.say(name, values, most=most, least=least, unit=unit)


def _figures(result: dict[str, Any]) -> dict[str, float]:
    """Return what is printed of a client's result."""
    figures = {name: float(value) for name, value in result.items() if name in {"accepted", "refused", "told_dropped"}}
    if "wall" in result:
        figures["cpu_us"] = result["cpu"] / result["events"] * 1e6
        figures["rate"] = result["events"] / result["wall"]
    if result.get("waits"):
        figures |= of_waits(result["waits"])
    if "grown" in result:
        figures["grown_MiB"] = result["grown"] / 2**20
    if "json" in result:
        figures["json_MiB"] = result["json"] / 2**20
        figures["times_json"] = result["grown"] / result["json"]
    if "longest" in result:
        figures["longest_ms"] = result["longest"] * 1e3
    return figures


def _print(figures: Figures) -> None:
    width = max(map(len, figures), default=0)
    for variant, runs in figures.items():
        columns = "  ".join(f"{name} {spread([one[name] for one in runs])}" for name in runs[0])
        print(f"  {variant:{width}}  {columns}", flush=True)


def awaited(bench: Bench) -> None:
    """Awaited ``track`` against a server that answers at once."""
    slow, fast = (500, 5_000) if bench.quick else (3_000, 40_000)

    def job(calls: int, callers: int) -> dict[str, Any]:
        return {"job": "awaited", "calls": calls, "callers": callers, "think": 0}

    for callers, calls in ((50, fast), (10, fast // 2)):
        variants = {OURS: job(calls, callers), PER_CALL: job(slow, callers), ORIGINAL: job(slow, callers)}
        figures = bench.take_turns(f"awaited track, {callers} callers, answers at once", variants)
        least = {50: 20, 10: 5}[callers]
        bench.judge(f"events/s, {callers} callers, to the original", figures, OURS, "rate", ORIGINAL, least=least)
        most = 0.1 if callers == 50 else None
        bench.judge(f"p99, {callers} callers, to the original", figures, OURS, "p99_us", ORIGINAL, most=most)
        bench.judge(f"CPU, {callers} callers, to the original", figures, OURS, "cpu_us", ORIGINAL)
    figures = bench.take_turns(
        "awaited track, one caller, answers at once", {variant: job(slow, 1) for variant in (OURS, PER_CALL, AIOHTTP, ORIGINAL)}
    )
    bench.judge("p50, one caller, to a request per call", figures, OURS, "p50_us", PER_CALL, most=1.1)
    bench.judge("CPU, one caller through aiohttp, to the original", figures, AIOHTTP, "cpu_us", ORIGINAL, most=1.0)
    bench.judge("CPU, one caller through httpx, to the original", figures, OURS, "cpu_us", ORIGINAL)


def round_trips(bench: Bench) -> None:
    """Awaited ``track`` against a server that answers after 50 ms."""
    seconds = 2 if bench.quick else 6
    for think, share in ((0.0, 0.9), (THINKING, 0.75)):
        for callers in (10, 50):
            limit = callers / (ROUND_TRIP + think / 2)
            job = {"job": "awaited", "calls": int(limit * seconds), "callers": callers, "think": think}
            variants = {OURS: job, ORIGINAL: job} if think else {OURS: job, PER_CALL: job, ORIGINAL: job}
            manner = f"thinking 0 to {think * 1e3:.0f} ms in between" if think else "back to back"
            title = f"awaited track, {callers} callers {manner}, answers after 50 ms (limit {limit:.0f}/s)"
            figures = bench.take_turns(title, variants, delay=ROUND_TRIP)
            name = f"{callers} callers {manner}"
            bench.judge(f"share of the limit, {name}", figures, OURS, _share_of(limit), least=share)
            bench.judge(f"p99 in round trips, {name}", figures, OURS, _in_round_trips, most=2.0, unit="round trips")
    job = {"job": "awaited", "calls": 10 * seconds, "callers": 1, "think": 0.0}
    figures = bench.take_turns("awaited track, one caller, answers after 50 ms", {OURS: job, PER_CALL: job}, delay=ROUND_TRIP)
    bench.judge("p50, one caller and 50 ms, to a request per call", figures, OURS, "p50_us", PER_CALL, most=1.1)


def _share_of(limit: float) -> Callable[[dict[str, float]], float]:
    return lambda one: one["rate"] / limit


def _in_round_trips(one: dict[str, float]) -> float:
    return one["p99_us"] / 1e6 / ROUND_TRIP


def queued(bench: Bench) -> None:
    """Events handed over at full speed and delivered in the background."""
    few, many = (4_000, 12_000) if bench.quick else (20_000, 60_000)
    job = {"job": "queued", "events": few, "queue": 2 * few}
    by_hand = {"job": "loop", "events": many}
    variants = {OURS: {**job, "events": many}, BY_HAND: by_hand, BY_HAND_STANDARD: by_hand}
    variants |= dict.fromkeys((VENDOR, VENDOR_TUNED, POSTHOG, NODE, NODE_TUNED), job)
    figures = bench.take_turns(f"queued events: {many:,} of ours and of the loop, {few:,} of the others", variants)
    bench.judge("put_nowait p50, to the vendor's track", figures, OURS, "p50_us", VENDOR, most=1 / 15)
    bench.judge("put_nowait p99, to the vendor's track", figures, OURS, "p99_us", VENDOR, most=1 / 5)
    for other, least in ((VENDOR, 12), (VENDOR_TUNED, None), (POSTHOG, None), (NODE, None), (NODE_TUNED, None)):
        bench.judge(f"events per CPU-second, to {other}", figures, OURS, _per_cpu_second, other, least=least)
    bench.judge("CPU, to a plain loop", figures, OURS, "cpu_us", BY_HAND, most=1.8)
    bench.judge("CPU, to a plain loop with the standard library's json", figures, OURS, "cpu_us", BY_HAND_STANDARD)


def _per_cpu_second(one: dict[str, float]) -> float:
    return 1e6 / one["cpu_us"]


def memory(bench: Bench) -> None:
    """Events that wait."""
    job = {"job": "waiting", "events": 20_000, "queue": 40_000}
    figures = bench.take_turns("20,000 waiting events, nobody listens", dict.fromkeys((OURS, VENDOR, POSTHOG), job), fault="refuse")
    bench.judge("memory of waiting events and their receipts", figures, OURS, "times_json", most=5.0, unit="x their JSON")


def stalls(bench: Bench) -> None:
    """How long draining holds up the event loop."""
    many, few = (20_000, 2_000) if bench.quick else (100_000, 10_000)
    variants = {OURS: {"job": "drain", "events": many}, POSTHOG_ASYNC: {"job": "drain", "events": few}}
    title = f"draining {many:,} events of ours, {few:,} of the other, beside a task that asks for a turn every millisecond"
    figures = bench.take_turns(title, variants, warm_up=1)
    bench.judge("longest stall of the loop", figures, OURS, "longest_ms", most=20.0, unit="ms")


def durable(bench: Bench) -> None:
    """``put`` into a file."""
    many, few = (15_000, 1_000) if bench.quick else (15_000, 4_000)
    ours = {"job": "durable", "events": many, "producers": 64}
    variants = {
        OURS: {**ours, "path": "ours", "delivers": True},
        # What aiosqlite's does: it stores events, and nobody sends them meanwhile.
        STORING: {**ours, "path": "storing", "delivers": False},
        COMMITS: {"job": "commits", "events": few, "producers": 64, "path": "commits"},
    }
    figures = bench.take_turns("put into a file, 64 producers, a server that answers at once, or none", variants, warm_up=1)
    bench.judge("acknowledged puts/s, delivered meanwhile", figures, OURS, "rate", least=15_000, unit="/s")
    bench.judge("p99 of put, delivered meanwhile", figures, OURS, lambda one: one["p99_us"] / 1e3, most=30, unit="ms")
    bench.judge("puts/s delivered meanwhile, to a commit per put that delivers nothing", figures, OURS, "rate", COMMITS)
    bench.judge("puts/s, to a commit per put through aiosqlite", figures, STORING, "rate", COMMITS, least=20)
    bench.judge("CPU a put, to a commit per put through aiosqlite", figures, STORING, "cpu_us", COMMITS)


def flood(bench: Bench) -> None:
    """A million events, and nobody listens."""
    many = 200_000 if bench.quick else 1_000_000
    figures = bench.take_turns(f"{many:,} x put_nowait, nobody listens", {OURS: {"job": "flood", "events": many}}, fault="refuse")
    bench.judge("events accounted for", figures, OURS, lambda one: (one["accepted"] + one["refused"]) / (many + 1), least=1, most=1)
    name = "reported as dropped at the end, less accepted"
    bench.judge(name, figures, OURS, lambda one: one["told_dropped"] - one["accepted"], least=0, most=0, unit="events")
    # 2.5 x the bound of 64 MiB, and 32 MiB.
    bench.judge("growth", figures, OURS, "grown_MiB", most=192, unit="MiB")
    bench.judge("longest stall of the loop", figures, OURS, "longest_ms", most=250, unit="ms")


PARTS = {
    "awaited": awaited,
    "round-trips": round_trips,
    "queued": queued,
    "memory": memory,
    "stalls": stalls,
    "durable": durable,
    "flood": flood,
}


def main() -> None:
    """Measure the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer events and repetitions")
    parser.add_argument("--cache", metavar="FOLDER", help="where the peers are installed and kept")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent, help="which disk the files of outboxes are on")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--without-peers", action="store_true", help="measure this library alone")
    options = parser.parse_args()
    verdicts = Verdicts()
    with peers(options.cache, wanted=not options.without_peers) as others:
        bench = Bench(others, verdicts, options.quick, 3 if options.quick else 5, options.folder)
        for part in options.only:
            PARTS[part](bench)
    verdicts.close()


if __name__ == "__main__":
    main()
