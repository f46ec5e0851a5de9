"""What becomes of events when things go wrong: with this library, and with the others.

Every trial hands over events at an even pace, to a sink that breaks down on schedule and remembers each event that it took in, as
Amplitude does: an ``insert_id`` seen before is the same event. Then the library is given time to deliver, closed as it documents,
and the books are made up:

    accepted     handed over, and not refused by the library
    delivered    of these, taken in by the sink
    lost         the others
    in silence   of the lost ones, those of which the library never said so: no error, callback or report
    twice        events that the sink has as two, after removing repeats
    disordered   arrived after a later event of the same user
    requests     that reached the sink
    meanwhile    tries to connect while nobody listened
    grown        MiB that the process had grown by when the last event was handed over
    closing      seconds; the others cannot be told how long closing may take, and are waited for 15 times as long as this library

The trials: an outage of 30 s at 500 events/s, refused or reset; 5 s in which each connection is reset once the request was read
(every other one of these requests was taken in all the same), in which answers are cut (all of them were taken in), in which
answers are a page with status 200 (none was); closing during an outage; SIGKILL at random instants; a soak in which all of these
come by chance, by a fixed seed.

``--quick`` scales seconds and numbers down to a few; the exit code is 1 if anything that this library promises did not hold.

    python benchmarks/chaos.py [--quick] [--cache FOLDER] [--only TRIAL ...] [--kills N] [--without-peers]
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from _runs import Peers, Sink, Verdicts, peers, run, started

if TYPE_CHECKING:
    from collections.abc import Sequence

MEMORY, FILE, TRACK = "ours, outbox in memory", "ours, outbox with a file", "ours, awaited track"
VENDOR, NODE, POSTHOG, ORIGINAL = "amplitude-analytics", "@amplitude/analytics-node", "posthog", "amplitude (npm), awaited track"
RUNNERS = {MEMORY: "ours", FILE: "ours", TRACK: "ours", VENDOR: "python", POSTHOG: "python", NODE: "node", ORIGINAL: "node"}
RATE = 500
AT_ONCE = 4
"""Variants that go through a trial side by side: nothing here is about speed."""
PRODUCERS = 4


class Fault(NamedTuple):
    """What breaks, when and for how long, in seconds; see ``_sink.py``."""

    at: float
    kind: str
    seconds: float | None
    keeps: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A schedule.

    Attributes:
        title: What happens.
        seconds: How long events are handed over.
        rate: Events a second.
        faults: What breaks.
        settle: Seconds that a library is given to deliver before it is closed.
        close: Seconds that closing may take, where it can be told.
        most: Tries to connect that are allowed while nobody listens.
        can_lose: Whether an outbox in memory may give up what it reports.
    """

    title: str
    seconds: float
    rate: int = RATE
    faults: Sequence[Fault]
    settle: float = 120.0
    close: float = 10.0
    most: int | None = None
    can_lose: bool = False


@dataclass(slots=True, kw_only=True)
class Books:
    """What became of the events of one variant in one trial."""

    accepted: set[int]
    arrived: set[int]
    reported: set[int] = field(default_factory=set)
    twice: int
    disordered: int
    requests: int
    meanwhile: int = 0
    grown: float = 0.0
    closing: float = 0.0
    told: dict[str, int] = field(default_factory=dict)
    resumed: bool = True

    @property
    def lost(self) -> set[int]:
        """What was accepted and did not arrive."""
        return self.accepted - self.arrived

    @property
    def in_silence(self) -> set[int]:
        """What was lost without a word."""
        return self.lost - self.reported

    def row(self) -> str:
        """Return the figures under :data:`HEAD`."""
        delivered = len(self.accepted & self.arrived)
        counts = (len(self.accepted), delivered, len(self.lost), len(self.in_silence), self.twice, self.disordered)
        columns = "".join(f"{count:11,}" for count in (*counts, self.requests, self.meanwhile))
        return f"{columns}{self.grown:8.1f}{self.closing:9.2f}"


HEAD = "   accepted  delivered       lost in silence      twice disordered   requests  meanwhile   grown closing s"


def through(trial: Trial, variant: str, others: Peers) -> Books | None:
    """Lead one variant through a trial; ``None`` if it is not here."""
    command = others.command(RUNNERS[variant])
    if command is None:
        return None
    limit = trial.seconds + 2 * trial.settle + 16 * trial.close + 60
    job = {"job": "steady", "variant": variant, "rate": trial.rate, "seconds": trial.seconds, "settle": trial.settle}
    with Sink(life=2 * limit, keep=True) as sink, tempfile.TemporaryDirectory() as folder:
        job |= {"url": sink.url, "close": trial.close}
        if variant == FILE:
            job["path"] = str(Path(folder) / "events.db")
        windows = [_break(sink, fault) for fault in trial.faults if not fault.at]
        with started(command, job) as process:
            said = process.stdout.readline() if process.stdout else ""
            began = time.monotonic()
            for fault in trial.faults:
                if fault.at and said:
                    time.sleep(max(0.0, began + fault.at - time.monotonic()))
                    windows.append(_break(sink, fault))
            result = _result(process.communicate(timeout=limit), process.returncode, variant)
        resumed = True
        if result.get("told", {}).get("kept"):
            # What stayed in the file is for the next start.
            sink.ask("/heal")
            resumed = run(command, {**job, "job": "resume", "settle": 60})["is_flushed"]
        stats = sink.stats()
        return Books(
            accepted=set(range(result["count"])) - set(result["refused"]),
            arrived=sink.serials(),
            reported=set(result["reported"]),
            twice=stats["duplicates"],
            disordered=stats["disordered"],
            requests=stats["requests"],
            meanwhile=sum(any(down <= at <= up for down, up in windows) for at in result["connects"]),
            grown=result["grown"] / 2**20,
            closing=result["closing"],
            told=result.get("told", {}),
            resumed=resumed,
        )


def _break(sink: Sink, fault: Fault) -> tuple[float, float]:
    """Start a fault, return from when to when nobody listens."""
    lasting = "" if fault.seconds is None else f"&seconds={fault.seconds}"
    at = sink.ask(f"/fault?kind={fault.kind}&keeps={fault.keeps}{lasting}")["at"]
    if fault.kind not in {"refuse", "reset"}:
        return at, at
    return at, at + (3600 if fault.seconds is None else fault.seconds)


def _result(outputs: tuple[str, str], code: int, variant: str) -> dict[str, Any]:
    said, complaint = outputs
    if code:
        raise RuntimeError(f"{variant}: {complaint.strip()[-2000:]}")
    result: dict[str, Any] = json.loads(said.splitlines()[-1])
    return result


def conduct(trial: Trial, variants: Sequence[str], others: Peers, verdicts: Verdicts) -> None:
    """Lead all variants through a trial, print the books, check ours."""
    print(f"\n{trial.title}\n{'':32}{HEAD}", flush=True)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        running = {variant: threads.submit(through, trial, variant, others) for variant in variants}
        for variant, future in running.items():
            books = future.result()
            if books is not None:
                print(f"  {variant:30}{books.row()}", flush=True)
                if RUNNERS[variant] == "ours":
                    _check(trial, variant, books, verdicts)


def _check(trial: Trial, variant: str, books: Books, verdicts: Verdicts) -> None:
    promises = {"nothing twice": not books.twice}
    if variant == TRACK:
        # A call that was awaited may fail; it may not fail in silence.
        promises["what did not arrive raised"] = not books.in_silence
    else:
        promises["every user's events in order"] = not books.disordered
        if trial.most is not None:
            promises[f"at most {trial.most} tries meanwhile"] = books.meanwhile <= trial.most
        if trial.can_lose and variant == MEMORY:
            promises["exact number reported as dropped"] = books.told["dropped"] == len(books.lost)
            promises["receipts say what was lost"] = not books.in_silence
            promises["closed in time"] = books.closing <= trial.close + 0.5
        else:
            promises["nothing lost"] = not books.lost
        if books.told.get("kept"):
            promises["what was kept was delivered at the next start"] = books.resumed
    verdicts.check(f"{variant}, {trial.title}", promises)


def kills(variant: str, count: int, others: Peers, verdicts: Verdicts) -> None:
    """Kill a process with several producers, again and again, on the same file where there is one."""
    command = others.command(RUNNERS[variant])
    if command is None:
        return
    chance = random.Random(20260501)
    acknowledged: set[int] = set()
    slowest = 0.0
    # It answers late enough that many are killed between the taking in and the answer.
    with Sink(life=3600, keep=True, delay=0.02) as sink, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = {"job": "kill", "variant": variant, "url": sink.url, "path": str(folder / "events.db"), "producers": PRODUCERS}
        for number in range(count):
            said = folder / "said.txt"
            began = time.monotonic()
            with said.open("wb") as output, started(command, {**job, "first": number * 1_000_000}, output=output) as process:
                while not said.stat().st_size:
                    if process.poll() is not None or time.monotonic() - began > 30:
                        raise RuntimeError(f"{variant}: nothing was accepted after kill {number}")
                    time.sleep(0.001)
                slowest = max(slowest, time.monotonic() - began)
                time.sleep(chance.uniform(0.0, 0.4))
                process.kill()
                process.wait()
            # A last line that was cut has no end.
            acknowledged.update(int(line) for line in said.read_bytes().split(b"\n")[:-1])
        resumed = True
        if variant == FILE:
            resumed = run(command, {**job, "job": "resume", "settle": 120, "close": 10})["is_flushed"]
        stats = sink.stats()
        books = Books(
            accepted=acknowledged,
            arrived=sink.serials(),
            twice=stats["duplicates"],
            disordered=stats["disordered"],
            requests=stats["requests"],
        )
    print(
        f"  {variant:30}{books.row()}   {count} kills, {stats['repeats']} repeats removed, slowest start {slowest:.2f} s", flush=True
    )
    if variant == FILE:
        promises = {
            "nothing acknowledged was lost": not books.lost,
            "nothing twice": not books.twice,
            "every producer's events in order": not books.disordered,
            "the last start delivered all": resumed,
        }
        verdicts.check(f"{variant}, {count} kills", promises)


def schedule(*, quick: bool) -> dict[str, Trial]:
    """Return the trials that go by a schedule."""
    down, around = (3.0, 1.0) if quick else (30.0, 2.5)
    bad = 1.5 if quick else 5.0
    settle = 20.0 if quick else 120.0
    trials = {}
    for kind, how in (("refuse", "refused"), ("reset", "reset")):
        trials[f"outage-{how}"] = Trial(
            title=f"outage, {how}: {down:.0f} s at {RATE} events/s",
            seconds=down + 2 * around,
            faults=[Fault(around, kind, down)],
            settle=settle,
            most=max(60, int(200 * down / 30)),
        )
    for name, kind, keeps, how in (
        ("reset-after-body", "reset_after_body", "alternate", "reset after the body, every other request taken in"),
        ("cut", "cut", "all", "answers cut, all requests taken in"),
        ("html", "html", "none", "status 200 with a page, no request taken in"),
        ("unavailable", "unavailable", "none", "status 503"),
    ):
        title = f"{how}: {bad:g} s at {RATE} events/s"
        trials[name] = Trial(title=title, seconds=2 * bad, faults=[Fault(bad / 3, kind, bad, keeps)], settle=settle)
    trials["shutdown"] = Trial(
        title="closed during an outage: it began before the first event",
        seconds=1.0,
        rate=2_000,
        faults=[Fault(0.0, "refuse", None)],
        settle=0.0,
        close=2.0 if quick else 10.0,
        can_lose=True,
    )
    seconds = 6.0 if quick else 60.0
    trials["soak"] = Trial(
        title=f"soak: {seconds:.0f} s of faults by chance at {RATE} events/s",
        seconds=seconds,
        faults=_by_chance(seconds),
        settle=settle,
    )
    return trials


def _by_chance(seconds: float) -> list[Fault]:
    chance, faults = random.Random(4711), []
    kinds = [("refuse", "none"), ("reset", "none"), ("unavailable", "none"), ("html", "none")]
    kinds += itertools.product(("reset_after_body", "cut"), ("none", "all", "alternate"))
    at = 0.5
    while at < seconds:
        lasting = chance.uniform(0.05, 1.0)
        faults.append(Fault(at, chance.choice(kinds)[0], lasting, chance.choice(kinds)[1]))
        at += lasting + chance.uniform(0.05, 1.0)
    return faults


def main() -> None:
    """Conduct the trials that are asked for."""
    trials_of_all = [*schedule(quick=True), "kills"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few seconds and events of each")
    parser.add_argument("--cache", metavar="FOLDER", help="where the peers are installed and kept")
    parser.add_argument(
        "--only", nargs="+", choices=trials_of_all, default=trials_of_all, metavar="TRIAL", help=", ".join(trials_of_all)
    )
    parser.add_argument("--kills", type=int, metavar="N", help="how often to kill: 200, or 8 when quick")
    parser.add_argument("--without-peers", action="store_true", help="try this library alone")
    options = parser.parse_args()
    verdicts = Verdicts()
    with peers(options.cache, wanted=not options.without_peers) as others:
        for name, trial in schedule(quick=options.quick).items():
            if name in options.only:
                conduct(trial, list(RUNNERS), others, verdicts)
        if "kills" in options.only:
            count = options.kills or (8 if options.quick else 200)
            print(f"\nkilled at random instants, {PRODUCERS} producers\n{'':32}{HEAD}", flush=True)
            kills(FILE, count, others, verdicts)
            for variant in (VENDOR, POSTHOG, NODE):
                kills(variant, max(2, count // 20), others, verdicts)
    verdicts.close()
    sys.exit(bool(verdicts.missed))


if __name__ == "__main__":
    main()
