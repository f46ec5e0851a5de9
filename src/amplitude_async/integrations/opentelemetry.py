"""OpenTelemetry: spans for calls and for the requests they come to, links from uploads to what they carry, and metrics.

    amplitude = instrument(AsyncAmplitude())

- A span for each awaited call, as ``amplitude /api/2/events/segmentation``, until its last retry.
- Below it a client span for each request, as ``GET /api/2/events/segmentation``, with the stable attributes of
  https://opentelemetry.io/docs/specs/semconv/http/http-spans/ . It is current while the request runs, so what traces the HTTP library
  nests in it. Keys are in no attribute; of a query there are the names, and only values that say nothing of a person.
- An upload that carries the events of several calls, or of an outbox, is a trace of its own, with links to the spans in which they
  were handed over. One for a single call is that call's child.
- A span for each download, from its first byte to its end.

Metrics are listed in the documentation of signals. Needs the extra ``otel``, which brings the API alone; the SDK, exporters and
sampling are the application's.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote, urlsplit
from weakref import WeakKeyDictionary

try:
    from opentelemetry import metrics, trace
    from opentelemetry.context import Context
    from opentelemetry.metrics import Observation
    from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode
except ImportError as _missing:
    from amplitude_async.errors import ConfigurationError

    _message = "OpenTelemetry is not installed: pip install 'amplitude-async[otel]'"
    raise ConfigurationError(_message) from _missing

from amplitude_async._version import __version__
from amplitude_async.client import AsyncAmplitude
from amplitude_async.errors import AmplitudeError, ConfigurationError, PartialDeliveryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from opentelemetry.metrics import CallbackOptions, MeterProvider
    from opentelemetry.trace import TracerProvider

    from amplitude_async._io.observing import Asked, OutboxFigures, Sent

    Figures = Callable[[], OutboxFigures | None]
    Attributes = dict[str, str | int]

__all__ = ["instrument"]

SCOPE: Final = "amplitude_async"
MAX_LINKS: Final = 128
"""As many as OpenTelemetry's SDK keeps of a span unless it is told otherwise
(https://opentelemetry.io/docs/specs/otel/trace/sdk/#span-limits)."""
MAX_REASONS: Final = 50
"""Reasons of rejected events name fields, of which there may be any; beyond so many, ``other``."""
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""The buckets that https://opentelemetry.io/docs/specs/semconv/http/http-metrics/ asks for."""
REDACTED: Final = "REDACTED"
SHOWN_PARAMETERS: Final = frozenset(
    {
        "start",
        "end",
        "i",
        "m",
        "n",
        "p",
        "g",
        "g2",
        "rm",
        "cs",
        "mode",
        "limit",
        "offset",
        "direction",
        "rollingWindow",
        "rollingAverage",
    }
)
"""Parameters whose values are dates, numbers or names of properties; filters, searches and ids of users are not among them."""
_PORTS: Final = {"https": 443, "http": 80}
_FIRST_ERROR: Final = 400

ClientT = TypeVar("ClientT", bound=AsyncAmplitude)


def instrument(
    amplitude: ClientT, *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
) -> ClientT:
    """Trace and measure what a client does, its views, exports and outboxes included.

    Call it once, right after the client was made: an outbox that was opened before is not measured.

    Args:
        amplitude: The client.
        tracer_provider: Where spans go; the global provider by default.
        meter_provider: Where metrics go; the global provider by default.

    Returns:
        The same client.

    Raises:
        ConfigurationError: It is instrumented already.
    """
    connection = amplitude._caller.connection  # noqa: SLF001 - the one way in, kept out of the client's face
    if connection.observer is not None:
        message = "the client is instrumented already"
        raise ConfigurationError(message)
    tracer = trace.get_tracer(SCOPE, __version__, tracer_provider)
    provider = metrics.get_meter_provider() if meter_provider is None else meter_provider
    connection.observer = _Observer(tracer, _instruments_of(provider))
    return amplitude


class _Observer:
    """The observer of one connection."""

    def __init__(self, tracer: trace.Tracer, instruments: _Instruments) -> None:
        self._tracer = tracer
        self._instruments = instruments

    def cause(self) -> SpanContext | None:
        """Return the span that is current here, if there is one."""
        found = trace.get_current_span().get_span_context()
        return found if found.is_valid else None

    @contextmanager
    def calling(self, asked: Asked) -> Iterator[_CallWatch]:
        """Watch an awaited call."""
        attributes = _described(asked)
        span = self._tracer.start_span(f"amplitude {asked.route}".rstrip(), attributes=attributes)
        watch = _CallWatch(span)
        measured = {**attributes}
        began = time.perf_counter()
        try:
            with trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
                yield watch
        except BaseException as error:
            measured["error.type"] = _kind_of(error)
            _fail(span, error)
            self._count_failed(error)
            raise
        finally:
            if watch.events:
                self._instruments.events.add(watch.events, {"amplitude.outcome": "delivered"})
            self._instruments.calls.record(time.perf_counter() - began, measured)
            span.end()

    def _count_failed(self, error: BaseException) -> None:
        if isinstance(error, PartialDeliveryError):
            if error.delivered:
                self._instruments.events.add(len(error.delivered), {"amplitude.outcome": "delivered"})
            for one in error.failed.values():
                self._instruments.events.add(1, {"amplitude.outcome": one.outcome or "rejected", "error.type": _kind_of(one)})
        elif isinstance(error, AmplitudeError) and error.insert_ids:
            described = {"amplitude.outcome": error.outcome or "rejected", "error.type": _kind_of(error)}
            self._instruments.events.add(len(error.insert_ids), described)

    @contextmanager
    def sending(self, sent: Sent) -> Iterator[_SendWatch]:
        """Watch a request."""
        asked = sent.asked
        server = urlsplit(sent.server)
        measured: Attributes = {
            "http.request.method": asked.method,
            "server.address": server.hostname or "",
            "server.port": server.port or _PORTS.get(server.scheme, 0),
            "url.scheme": server.scheme,
        }
        if asked.route:
            measured["url.template"] = asked.route
        attributes = {**measured, "url.full": _shown_url(sent)}
        if sent.resends:
            attributes["http.request.resend_count"] = sent.resends
            self._instruments.retries.add(1, _described(asked))
        if sent.events:
            attributes["amplitude.events"] = sent.events
        parent, links = _origin_of(sent)
        span = self._tracer.start_span(
            f"{asked.method} {asked.route}".rstrip(), parent, kind=SpanKind.CLIENT, attributes=attributes, links=links
        )
        watch = _SendWatch(span, measured)
        began = time.perf_counter()
        try:
            with trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
                yield watch
        except BaseException as error:
            # Cancelled, or the event loop is ending: there is no answer.
            measured["error.type"] = _kind_of(error)
            _fail(span, error)
            raise
        finally:
            self._instruments.requests.record(time.perf_counter() - began, measured)
            span.end()

    def downloading(self, asked: Asked) -> _DownloadWatch:
        """Watch an answer that is read as it comes."""
        attributes = _described(asked)
        span = self._tracer.start_span(f"amplitude download {asked.route}".rstrip(), attributes=attributes)
        return _DownloadWatch(span, self._instruments, attributes)

    def outbox_opened(self, name: str, figures: Figures) -> None:
        """Report an outbox's figures from now on."""
        self._instruments.outboxes.add(name, figures)

    def outbox_closed(self, figures: Figures) -> None:
        """Keep an outbox's last figures."""
        self._instruments.outboxes.close(figures)


class _CallWatch:
    def __init__(self, span: Span) -> None:
        self.events = 0
        self._span = span

    def delivered(self, events: int) -> None:
        """Note how many events Amplitude took."""
        self.events += events
        self._span.set_attribute("amplitude.events", self.events)


class _SendWatch:
    def __init__(self, span: Span, measured: Attributes) -> None:
        self._span = span
        self._measured = measured

    def answered(self, status: int | None, error: AmplitudeError | None) -> None:
        """Note the answer, in the words of the conventions: the status where that is the error, else the kind of error."""
        if status is not None:
            self._measured["http.response.status_code"] = status
            self._span.set_attribute("http.response.status_code", status)
        if error is not None:
            kind = str(status) if status is not None and status >= _FIRST_ERROR else _kind_of(error)
            self._measured["error.type"] = kind
            self._span.set_attribute("error.type", kind)
            self._span.set_status(Status(StatusCode.ERROR))


class _DownloadWatch:
    def __init__(self, span: Span, instruments: _Instruments, attributes: Attributes) -> None:
        self._span = span
        self._instruments = instruments
        self._attributes = attributes
        self._size = 0

    def received(self, size: int) -> None:
        """Count bytes."""
        self._size += size
        self._instruments.downloaded.add(size, self._attributes)

    def ended(self, error: AmplitudeError | None) -> None:
        """End the span."""
        self._span.set_attribute("amplitude.download.size", self._size)
        if error is not None:
            _fail(self._span, error)
        self._span.end()


class _Instruments:
    """The instruments of one meter provider, for all clients that report to it: a provider takes each name once."""

    def __init__(self, meter: metrics.Meter) -> None:
        self.outboxes = _Outboxes()
        self.calls = meter.create_histogram(
            "amplitude.call.duration", "s", "Awaited calls, retries included.", explicit_bucket_boundaries_advisory=SECONDS
        )
        self.requests = meter.create_histogram(
            "http.client.request.duration", "s", "Requests to Amplitude.", explicit_bucket_boundaries_advisory=SECONDS
        )
        self.retries = meter.create_counter(
            "amplitude.retries", "{request}", "Requests that were sent because one before them failed."
        )
        self.events = meter.create_counter("amplitude.track.events", "{event}", "Events of awaited calls, by what became of them.")
        self.downloaded = meter.create_counter("amplitude.download.size", "By", "Bytes of exports and other downloads.")
        outboxes = self.outboxes
        meter.create_observable_up_down_counter(
            "amplitude.outbox.pending", [outboxes.pending], "{event}", "Events that wait in outboxes, or are in flight."
        )
        meter.create_observable_up_down_counter("amplitude.outbox.size", [outboxes.size], "By", "What those take.")
        meter.create_observable_gauge(
            "amplitude.outbox.oldest_age", [outboxes.oldest_age], "s", "How long the oldest of those in memory has waited."
        )
        meter.create_observable_counter(
            "amplitude.outbox.events", [outboxes.events], "{event}", "Events of outboxes, by what became of them and why."
        )


_INSTRUMENTS: Final[WeakKeyDictionary[MeterProvider, _Instruments]] = WeakKeyDictionary()
_INSTRUMENTS_LOCK: Final = threading.Lock()


def _instruments_of(provider: MeterProvider) -> _Instruments:
    with _INSTRUMENTS_LOCK:
        found = _INSTRUMENTS.get(provider)
        if found is None:
            found = _INSTRUMENTS[provider] = _Instruments(provider.get_meter(SCOPE, __version__))
        return found


class _Outboxes:
    """The outboxes that report to one provider. Asked by the reader's thread, while event loops go on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Figures, tuple[str, OutboxFigures | None]] = {}
        self._closed: dict[tuple[str, str, str], int] = {}
        """What became of the events of outboxes that are closed: a counter never goes down."""
        self._names: dict[str, None] = {}
        self._reported: set[tuple[str, str, str]] = set()

    def add(self, name: str, figures: Figures) -> None:
        """Report an outbox."""
        with self._lock:
            self._names[name] = None
            self._open[figures] = (name, None)

    def close(self, figures: Figures) -> None:
        """Keep an outbox's last figures."""
        with self._lock:
            if figures in self._open:
                self._fold(figures, figures())

    def _fold(self, figures: Figures, last: OutboxFigures | None) -> None:
        name, known = self._open.pop(figures)
        final = last or known
        for (status, reason), count in (final.settled if final is not None else {}).items():
            key = self._bounded(name, status, reason)
            self._closed[key] = self._closed.get(key, 0) + count

    def _read(self) -> list[tuple[str, OutboxFigures]]:
        found: list[tuple[str, OutboxFigures]] = []
        for figures, (name, known) in tuple(self._open.items()):
            now = figures()
            if now is None:
                # It was left open, and is gone.
                self._fold(figures, known)
                continue
            self._open[figures] = (name, now)
            found.append((name, now))
        return found

    def _observed(self, number: Callable[[OutboxFigures], float], together: Callable[[Iterable[float]], float]) -> list[Observation]:
        with self._lock:
            values: dict[str, list[float]] = {name: [0] for name in self._names}
            for name, figures in self._read():
                values[name].append(number(figures))
        return [Observation(together(each), {"amplitude.outbox": name}) for name, each in values.items()]

    def pending(self, _: CallbackOptions) -> list[Observation]:
        """Say how many events wait."""
        return self._observed(lambda figures: figures.pending, sum)

    def size(self, _: CallbackOptions) -> list[Observation]:
        """Say what they take."""
        return self._observed(lambda figures: figures.bytes, sum)

    def oldest_age(self, _: CallbackOptions) -> list[Observation]:
        """Say how long the oldest has waited; nothing where nothing waits."""
        return self._observed(lambda figures: figures.oldest_age or 0.0, max)

    def events(self, _: CallbackOptions) -> list[Observation]:
        """Say what became of events."""
        with self._lock:
            read = self._read()
            totals = dict(self._closed)
            for name, figures in read:
                for (status, reason), count in figures.settled.items():
                    key = self._bounded(name, status, reason)
                    totals[key] = totals.get(key, 0) + count
        return [Observation(count, _settled(key)) for key, count in totals.items()]

    def _bounded(self, name: str, status: str, reason: str) -> tuple[str, str, str]:
        """Return under what an event is counted: without the server's own words, and ``other`` beyond the first reasons."""
        key = (name, status, reason.partition(" (")[0])
        if key not in self._reported and len(self._reported) >= MAX_REASONS:
            return (name, status, "other")
        self._reported.add(key)
        return key


def _settled(key: tuple[str, str, str]) -> Mapping[str, str]:
    name, status, reason = key
    described = {"amplitude.outbox": name, "amplitude.outcome": status}
    return {**described, "amplitude.reason": reason} if reason else described


def _described(asked: Asked) -> Attributes:
    described: Attributes = {"amplitude.api": asked.api}
    if asked.route:
        described["url.template"] = asked.route
    return described


def _origin_of(sent: Sent) -> tuple[Context | None, Sequence[Link]]:
    """Return what a request's span hangs below, and what it is linked to."""
    if sent.causes is None:
        return None, ()
    found: dict[tuple[int, int], SpanContext] = {}
    for cause in sent.causes:
        if isinstance(cause, SpanContext):
            found.setdefault((cause.trace_id, cause.span_id), cause)
    if sent.is_awaited and len(found) == 1 and None not in sent.causes:
        (only,) = found.values()
        return trace.set_span_in_context(NonRecordingSpan(only), Context()), ()
    return Context(), [Link(cause) for cause in tuple(found.values())[:MAX_LINKS]]


def _shown_url(sent: Sent) -> str:
    """Return the address without what is somebody's: ids with an ``@`` in the path, and values of the query."""
    path = "/".join(REDACTED if "%40" in segment or "@" in segment else segment for segment in sent.path.split("/"))
    if not sent.query:
        return f"{sent.server}{path}"
    pairs = (f"{quote(name)}={quote(value) if name in SHOWN_PARAMETERS else REDACTED}" for name, value in sent.query)
    return f"{sent.server}{path}?{'&'.join(pairs)}"


def _kind_of(error: BaseException) -> str:
    # asyncio and trio have names of their own for it.
    return type(error).__name__ if isinstance(error, Exception) else "cancelled"


def _fail(span: Span, error: BaseException) -> None:
    """Note what a call ended by. Our own errors name no key; a cancellation is its caller's wish and no fault."""
    span.set_attribute("error.type", _kind_of(error))
    if isinstance(error, Exception):
        span.set_status(Status(StatusCode.ERROR, str(error) if isinstance(error, AmplitudeError) else None))
