"""What traces and metrics cost: an awaited ``track``, and an event through the outbox, watched by nobody, by the API, by the SDK.

Method: a sink in its own process answers every upload at once. Each variant runs in a fresh process of its own; the variants take
turns, so that all meet the same noise, and are repeated. CPU is user + system time of the client process between the first counted
event and the last answer, by event; imports, connecting and a warm-up are excluded. Figures are medians over the repetitions, with
the least and the most; ratios to ``off`` are taken repetition by repetition. In every variant, ``off`` too, the events are handed over
under a current span of the application's, a new one every 10 events, so that what is measured is the library's part alone.

``off`` is a client as it is made. ``off again`` is the same once more: its ratio is the noise. ``api`` is instrumented with
OpenTelemetry's API alone, as where an application has set up no SDK. ``unsampled`` has an SDK that samples nothing and measures
everything. ``sdk`` records every span and hands it in batches to an exporter that forgets it; its metrics are collected each second.

What the seam costs where nobody watches is too little to be seen so. It is counted instead: how often an event's way looks whether
there is an observer, times what a look takes, through the CPU of ``off``.

    python benchmarks/telemetry.py [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from _events import make
from _runs import Sink, Verdicts, ratios, spread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

VARIANTS: Final = ("off", "off again", "api", "unsampled", "sdk")
SHAPES: Final = {
    "awaited": "an awaited track, one caller",
    "shared": "an awaited track, 50 callers that share requests",
    "outbox": "an event through an outbox in memory",
}
EVENTS: Final = {"awaited": 1500, "shared": 6000, "outbox": 60_000}
WARM_UP: Final = 100
CALLERS: Final = 50
SPAN_OF: Final = 10
"""Events that an application's span has."""
LOOKS: Final = 2_000_000


def providers(variant: str) -> tuple[Any, Any]:
    """Return the tracer provider and the meter provider of a variant; ``None`` for those of the API."""
    if variant not in {"unsampled", "sdk"}:
        return None, None
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

    class Forgets(SpanExporter):
        def export(self, *_spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    class ForgetsToo(MetricExporter):
        def export(self, *_given: Any, **_more: Any) -> MetricExportResult:
            return MetricExportResult.SUCCESS

        def force_flush(self, *_given: Any) -> bool:
            return True

        def shutdown(self, *_given: Any, **_more: Any) -> None:
            return

    tracers = TracerProvider(sampler=ALWAYS_ON if variant == "sdk" else ALWAYS_OFF)
    tracers.add_span_processor(BatchSpanProcessor(Forgets()))
    return tracers, MeterProvider([PeriodicExportingMetricReader(ForgetsToo(), export_interval_millis=1000)])


async def client(variant: str, shape: str, url: str, count: int) -> dict[str, float]:
    """Run one variant and return what an event cost, in µs of CPU."""
    from opentelemetry import trace
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

    from amplitude_async import AsyncAmplitude
    from amplitude_async.integrations.opentelemetry import instrument

    amplitude = AsyncAmplitude("0123456789abcdef", base_url=url, share_requests=shape == "shared")
    looks = looked_at(amplitude) if variant == "looks" else None
    if variant in {"api", "unsampled", "sdk"}:
        tracers, meters = providers(variant)
        instrument(amplitude, tracer_provider=tracers, meter_provider=meters)

    def spans(first: int, last: int) -> Any:
        """Give serial numbers, each under the span of the application that it belongs to."""
        for start in range(first, last, SPAN_OF):
            context = SpanContext(start + 1, start + 1, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
            with trace.use_span(NonRecordingSpan(context)):
                yield from range(start, min(start + SPAN_OF, last))

    async def awaited(first: int, last: int) -> None:
        for serial in spans(first, last):
            await amplitude.track(make(serial))

    async def shared(first: int, last: int) -> None:
        each = (last - first) // CALLERS
        async with asyncio.TaskGroup() as group:
            for place in range(CALLERS):
                group.create_task(awaited(first + place * each, first + (place + 1) * each))

    async with amplitude, amplitude.outbox(max_bytes=1 << 30) as outbox:

        async def queued(first: int, last: int) -> None:
            for serial in spans(first, last):
                outbox.put_nowait(make(serial))
                if serial % 500 == 0:
                    await asyncio.sleep(0)
            if not await outbox.flush(timeout=120):
                raise RuntimeError("not all was delivered")

        work: dict[str, Callable[[int, int], Awaitable[None]]] = {"awaited": awaited, "shared": shared, "outbox": queued}
        await work[shape](0, WARM_UP)
        before = looks.count if looks is not None else 0
        cpu = time.process_time()
        await work[shape](WARM_UP, WARM_UP + count)
        used = time.process_time() - cpu
        return {"cpu_us": used / count * 1e6, "looks": (looks.count - before) / count if looks is not None else 0.0}


class Looks:
    """Counts how often anybody asks whether there is an observer."""

    count = 0


def looked_at(amplitude: Any) -> Looks:
    """Count the looks at a client's observer from now on."""
    looks = Looks()

    def look(_connection: object) -> None:
        looks.count += 1

    connection = amplitude._caller.connection  # noqa: SLF001 - the seam is the library's own
    connection.__class__ = type("Counted", (type(connection),), {"__slots__": (), "observer": property(look)})
    return looks


def look_us() -> float:
    """Return what a look takes, in µs: an attribute of the caller's connection, compared with ``None``."""
    from amplitude_async import AsyncAmplitude

    amplitude, took = AsyncAmplitude("0123456789abcdef"), []
    for _ in range(5):
        began = time.process_time()
        for _ in range(LOOKS):
            if amplitude._caller.connection.observer is not None:  # noqa: SLF001 - as above
                raise AssertionError
        looked = time.process_time() - began
        began = time.process_time()
        for _ in range(LOOKS):
            pass
        took.append((looked - (time.process_time() - began)) / LOOKS * 1e6)
    return statistics.median(took)


def run(variant: str, shape: str, sink: Sink, count: int) -> dict[str, float]:
    """Run one variant in a process of its own."""
    command = [sys.executable, __file__, "--client", variant, shape, sink.url, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{variant}, {shape}: {done.stderr.strip()[-2000:]}")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def main() -> None:
    """Let all variants take turns, shape by shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer events and repetitions")
    parser.add_argument("--client", nargs=4, metavar=("VARIANT", "SHAPE", "URL", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        variant, shape, url, count = options.client
        print(json.dumps(asyncio.run(client(variant, shape, url, int(count)))))
        return
    repeats, part = (3, 5) if options.quick else (9, 1)
    verdicts = Verdicts()
    each = look_us()
    print(f"a look whether anybody watches: {each * 1000:.1f} ns")
    with Sink(life=1800) as sink:
        for shape, words in SHAPES.items():
            count = EVENTS[shape] // part
            print(f"\n{words}: {count:,} events x {repeats}, CPU by event in µs")
            results: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
            for _ in range(repeats):
                for variant in VARIANTS:
                    results[variant].append(run(variant, shape, sink, count)["cpu_us"])
            for variant, values in results.items():
                print(f"  {variant:10} {spread(values)}", flush=True)
            looks = run("looks", shape, sink, count)["looks"]
            share = looks * each / statistics.median(results["off"]) * 100
            verdicts.say(f"{looks:.2f} looks an event where nobody watches", [share], most=0.5, unit="% of its CPU")
            for variant in VARIANTS[1:]:
                verdicts.say(f"{variant} to off", ratios(results[variant], results["off"]))
    verdicts.close()


if __name__ == "__main__":
    main()
