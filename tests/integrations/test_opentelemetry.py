"""OpenTelemetry: spans, links and metrics, as an application's SDK gets them; over the sandbox, on asyncio and trio."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from amplitude_async import (
    AsyncAmplitude,
    AuthenticationError,
    Backoff,
    ConfigurationError,
    PartialDeliveryError,
    RateLimitedError,
    ServerError,
    TransportError,
)
from amplitude_async._io.observing import OutboxFigures
from amplitude_async.integrations.opentelemetry import MAX_LINKS, MAX_REASONS, REDACTED, _Outboxes, instrument

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from amplitude_async.sandbox import Sandbox

pytestmark = pytest.mark.anyio


class Telemetry:
    """What an application would set up, kept in memory."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.tracer = self.tracers.get_tracer("test")

    def client(self, box: Sandbox, **options: Any) -> AsyncAmplitude:
        amplitude = AsyncAmplitude(**{**box.credentials, **options}, backoff=Backoff(base=0.0))
        return instrument(amplitude, tracer_provider=self.tracers, meter_provider=self.meters)

    def spans(self, name: str = "") -> list[ReadableSpan]:
        return [span for span in self._spans.get_finished_spans() if span.name.startswith(name)]

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        data = self._reader.get_metrics_data()
        metrics = [] if data is None else [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
        return [(dict(point.attributes or {}), point) for m in metrics if m.name == name for point in m.data.data_points]

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        return {tuple(str(value) for value in attributes.values()): point.value for attributes, point in self.points(name)}


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


def event(number: int = 0, **more: Any) -> dict[str, Any]:
    return {"event_type": "order_placed", "user_id": f"user-{number}", **more}


def below(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def trace_of(span: Any) -> int:
    return int(span.get_span_context().trace_id)


def id_of(span: Any) -> int:
    return int(span.get_span_context().span_id)


async def test_a_call_is_a_span_and_its_request_one_below_it(box: Sandbox, telemetry: Telemetry) -> None:
    """The application's span, the call, its request: one below the other, the request with HTTP's stable attributes."""
    async with telemetry.client(box) as amplitude:
        with telemetry.tracer.start_as_current_span("handler") as handler:
            await amplitude.event_segmentation(e={"event_type": "order_placed"}, start="20260101", end="20260103")
    request, call, _ = telemetry.spans()
    assert (call.name, request.name) == ("amplitude /api/2/events/segmentation", "GET /api/2/events/segmentation")
    assert (below(call), below(request)) == (id_of(handler), id_of(call))
    assert (call.kind, request.kind) == (SpanKind.INTERNAL, SpanKind.CLIENT)
    host, _, port = box.url.removeprefix("http://").partition(":")
    url = f"{box.url}/api/2/events/segmentation"
    assert dict(request.attributes or {}) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": host,
        "server.port": int(port),
        "url.scheme": "http",
        "url.template": "/api/2/events/segmentation",
        "url.full": f"{url}?e={REDACTED}&start=20260101&end=20260103",
    }
    assert request.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("shares", [True, False])
async def test_a_lone_track_is_a_call_with_its_upload_below(box: Sandbox, telemetry: Telemetry, shares: bool) -> None:
    """A track that shares its request with nobody is one trace, whether or not it might have shared it."""
    async with telemetry.client(box, share_requests=shares) as amplitude:
        with telemetry.tracer.start_as_current_span("handler") as handler:
            await amplitude.track([event(1), event(2)])
    upload, call, _ = telemetry.spans()
    assert (call.name, upload.name) == ("amplitude /2/httpapi", "POST /2/httpapi")
    assert (below(call), below(upload)) == (id_of(handler), id_of(call))
    assert not upload.links
    assert upload.attributes is not None
    assert upload.attributes["amplitude.events"] == 2
    assert upload.attributes["url.full"] == f"{box.url}/2/httpapi"


async def test_a_shared_request_is_linked_to_every_call_in_it(box: Sandbox, telemetry: Telemetry) -> None:
    """An upload for several calls belongs to none of their traces, and is linked to each."""
    async with telemetry.client(box) as amplitude:

        async def handle(number: int) -> None:
            with telemetry.tracer.start_as_current_span("handler"):
                await amplitude.track(event(number))

        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(handle, number)
    calls = telemetry.spans("amplitude /2/httpapi")
    uploads = telemetry.spans("POST")
    assert len(calls) == 5
    (upload,) = uploads
    assert upload.parent is None
    assert {link.context.span_id for link in upload.links} == {id_of(call) for call in calls}
    assert len({trace_of(span) for span in (*calls, upload)}) == 6


async def test_retries_are_requests_of_one_call_that_count_up(box: Sandbox, telemetry: Telemetry) -> None:
    """Each attempt has a span: the failed ones with their status as the error, the later ones with their number."""
    async with telemetry.client(box) as amplitude:
        box.faults.next(2, status=503)
        await amplitude.track(event())
        box.faults.next(1, status=500)
        await amplitude.user_search("user-0")
    tries = [dict(span.attributes or {}) for span in telemetry.spans("POST")]
    assert [one["http.response.status_code"] for one in tries] == [503, 503, 200]
    assert [one.get("error.type") for one in tries] == ["503", "503", None]
    assert [one.get("http.request.resend_count") for one in tries] == [None, 1, 2]
    assert len({below(span) for span in telemetry.spans("POST")}) == 1
    assert [dict(span.attributes or {}).get("http.request.resend_count") for span in telemetry.spans("GET")] == [None, 1]
    retries = {attributes["url.template"]: point.value for attributes, point in telemetry.points("amplitude.retries")}
    assert retries == {"/2/httpapi": 2, "/api/2/usersearch": 1}


async def test_what_a_call_fails_by_is_on_its_span(box: Sandbox, telemetry: Telemetry) -> None:
    """The call's span has the class of the error and its words; the request's the status; neither the key."""
    async with telemetry.client(box, api_key="wrong-invented-key", max_retries=0) as amplitude:
        with pytest.raises(AuthenticationError):
            await amplitude.track(event())
    upload, call = telemetry.spans()
    assert (call.attributes or {})["error.type"] == "AuthenticationError"
    assert call.status.status_code is upload.status.status_code is StatusCode.ERROR
    assert "Request failed with status code 400" in (call.status.description or "")
    assert (upload.attributes or {})["error.type"] == "400"
    written = "".join(span.to_json() for span in telemetry.spans())
    assert "wrong-invented-key" not in written
    (attributes, point), *_ = telemetry.points("amplitude.call.duration")
    assert attributes == {"amplitude.api": "ingestion", "url.template": "/2/httpapi", "error.type": "AuthenticationError"}
    assert point.count == 1


async def test_no_answer_is_an_error_without_a_status(box: Sandbox, telemetry: Telemetry) -> None:
    """A connection that breaks has no status code, and the kind of the error as its type."""
    async with telemetry.client(box, max_retries=0) as amplitude:
        with box.faults.during(reset=True), pytest.raises(TransportError):
            await amplitude.user_search("user-0")
    request, _ = telemetry.spans()
    assert (request.attributes or {})["error.type"] == "TransportError"
    assert "http.response.status_code" not in (request.attributes or {})


async def test_nothing_personal_is_in_an_address(box: Sandbox, telemetry: Telemetry) -> None:
    """A search for a person, and a person's address in a path, are shown as taken out; ids have no part in names."""
    async with telemetry.client(box, scim_token="sandbox") as amplitude:
        await amplitude.user_search("ada@example.org")
        with pytest.raises(Exception, match="404"):
            await amplitude.scim.users.get("ada@example.org")
    written = "".join(span.to_json() for span in telemetry.spans())
    assert "ada" not in written
    urls = [str((span.attributes or {})["url.full"]) for span in telemetry.spans("GET")]
    assert urls == [f"{box.url}/api/2/usersearch?user={REDACTED}", f"{box.url}/scim/1/Users/{REDACTED}"]
    assert telemetry.spans("GET")[1].name == "GET /scim/1/Users/{}"


async def test_a_cancelled_call_is_no_fault(box: Sandbox, telemetry: Telemetry) -> None:
    """Who stops waiting ends the call's span as cancelled, without the status of an error; its request goes on to its own end."""
    async with telemetry.client(box) as amplitude:
        box.faults.next(1, delay=0.2)
        with anyio.move_on_after(0.05):
            await amplitude.user_search("user-0")
    (call,) = telemetry.spans("amplitude")
    (request,) = telemetry.spans("GET")
    assert (call.attributes or {})["error.type"] == "cancelled"
    assert call.status.status_code is StatusCode.UNSET
    assert (request.attributes or {})["http.response.status_code"] == 200
    assert trace.get_current_span() is trace.INVALID_SPAN


async def test_the_request_is_current_while_it_runs(box: Sandbox, telemetry: Telemetry) -> None:
    """Whatever traces the HTTP library nests in the request's span, and the caller's context is as it was afterwards."""
    import httpx

    seen: list[int] = []

    async def note(_: Any) -> None:
        seen.append(id_of(trace.get_current_span()))

    before = otel_context.get_current()
    async with httpx.AsyncClient(event_hooks={"request": [note]}) as http:
        async with telemetry.client(box, http_client=http) as amplitude:
            await amplitude.user_search("user-0")
            await amplitude.track(event())
    assert seen == [id_of(span) for span in (*telemetry.spans("GET"), *telemetry.spans("POST"))]
    assert otel_context.get_current() == before


async def test_outcomes_of_awaited_events_are_counted(box: Sandbox, telemetry: Telemetry) -> None:
    """Delivered ones, and the others by what is known of them and why, whether the call raised or not."""
    async with telemetry.client(box, max_retries=0) as amplitude:
        await amplitude.track([event(1), event(2)])
        with pytest.raises(PartialDeliveryError):
            await amplitude.track([event(3), event(4), event(5, time="no time")])
        box.faults.next(1, status=429)
        with pytest.raises(RateLimitedError):
            await amplitude.track(event(6))
        box.faults.next(1, status=500)
        with pytest.raises(ServerError):
            await amplitude.track([event(7), event(8)])
    assert telemetry.values("amplitude.track.events") == {
        ("delivered",): 4,
        ("rejected", "BadRequestError"): 1,
        ("not_sent", "RateLimitedError"): 1,
        ("unknown", "ServerError"): 2,
    }


@pytest.mark.parametrize("said", [{"code": 200}, {"code": 200, "events_ingested": "1"}], ids=["nothing", "text"])
async def test_an_answer_without_a_count_is_no_fault(box: Sandbox, telemetry: Telemetry, said: dict[str, Any]) -> None:
    """Watching changes nothing: an upload whose answer speaks of no number of events is a success, watched or not."""
    async with telemetry.client(box) as amplitude:
        box.faults.next(1, status=200, body=said)
        assert dict(await amplitude.track(event(1))) == said
        box.faults.next(1, status=200, body=said)
        assert dict(await amplitude.batch(event(2))) == said
    assert not [span for span in telemetry.spans() if span.status.status_code is StatusCode.ERROR]


async def test_a_download_is_a_span_and_its_bytes_are_counted(box: Sandbox, telemetry: Telemetry) -> None:
    """An export has a span until its last byte, with its size, and adds to the bytes downloaded."""
    async with telemetry.client(box) as amplitude:
        await amplitude.track([event(number, time=1_767_225_600_000) for number in range(50)])
        now = datetime.now(UTC)
        hour = amplitude.export(start=now - timedelta(hours=1), end=now + timedelta(hours=1), allow_incomplete=True)
        size = 0
        async with hour:
            async for chunk in hour:
                size += len(chunk)
    (download,) = telemetry.spans("amplitude download")
    assert download.name == "amplitude download /api/2/export"
    assert (download.attributes or {})["amplitude.download.size"] == size > 0
    assert telemetry.values("amplitude.download.size") == {("dashboard", "/api/2/export"): size}
    (opened,) = telemetry.spans("amplitude /api/2/export")
    assert below(download) == id_of(opened)


async def test_a_batch_is_a_call_with_its_uploads_below(box: Sandbox, telemetry: Telemetry) -> None:
    """A list beyond one request is one call with several uploads, each with its number of events."""
    async with telemetry.client(box) as amplitude:
        await amplitude.batch([event(number) for number in range(2500)])
    (call,) = telemetry.spans("amplitude /batch")
    uploads = telemetry.spans("POST /batch")
    assert {below(span) for span in uploads} == {id_of(call)}
    assert [(span.attributes or {})["amplitude.events"] for span in uploads] == [2000, 500]
    assert telemetry.values("amplitude.track.events") == {("delivered",): 2500}


async def test_durations_of_requests_are_measured(box: Sandbox, telemetry: Telemetry) -> None:
    """The standard histogram has each request, by method, server, route and status."""
    async with telemetry.client(box) as amplitude:
        await amplitude.track(event())
        await amplitude.user_search("user-0")
    found = {attributes["url.template"]: (attributes, point) for attributes, point in telemetry.points("http.client.request.duration")}
    assert set(found) == {"/2/httpapi", "/api/2/usersearch"}
    attributes, point = found["/2/httpapi"]
    assert (attributes["http.request.method"], attributes["http.response.status_code"], point.count) == ("POST", 200, 1)
    assert 0 < point.sum < 5


async def test_views_are_watched_and_a_client_is_instrumented_once(box: Sandbox, telemetry: Telemetry) -> None:
    """What with_options gives shares the client's telemetry; a second instrument() is refused."""
    async with telemetry.client(box) as amplitude:
        await amplitude.with_options(max_retries=0).user_search("user-0")
        with pytest.raises(ConfigurationError, match="instrumented already"):
            instrument(amplitude)
    assert [span.name for span in telemetry.spans()] == ["GET /api/2/usersearch", "amplitude /api/2/usersearch"]


async def test_without_a_provider_nothing_happens(box: Sandbox) -> None:
    """An application that has set up no SDK pays for nothing and sees nothing."""
    async with instrument(AsyncAmplitude(**box.credentials)) as amplitude:
        result = await amplitude.track(event())
    assert result["events_ingested"] == 1


class TestOutbox:
    """The outbox runs on asyncio alone."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    async def test_an_upload_of_the_outbox_is_linked_to_where_its_events_were_put(self, box: Sandbox, telemetry: Telemetry) -> None:
        """It is a trace of its own, since nobody waits for it, with a link to each span that put an event."""
        async with telemetry.client(box) as amplitude, amplitude.outbox(linger=0.05) as outbox:
            handlers = []
            for number in range(3):
                with telemetry.tracer.start_as_current_span("handler") as handler:
                    handlers.append(id_of(handler))
                    outbox.put_nowait(event(number))
                    outbox.put_nowait(event(number))
            outbox.put_nowait(event(9))
            assert await outbox.flush(5)
        (upload,) = telemetry.spans("POST")
        assert upload.parent is None
        assert [link.context.span_id for link in upload.links] == handlers
        assert (upload.attributes or {})["amplitude.events"] == 7

    async def test_no_more_links_than_a_span_keeps(self, box: Sandbox, telemetry: Telemetry) -> None:
        """An upload for hundreds of requests is linked to the first 128 of them."""
        async with telemetry.client(box) as amplitude, amplitude.outbox(linger=0.05) as outbox:
            for number in range(300):
                with telemetry.tracer.start_as_current_span("handler"):
                    outbox.put_nowait(event(number))
            assert await outbox.flush(5)
        assert len(telemetry.spans("POST")[0].links) == MAX_LINKS

    async def test_events_that_come_from_the_disk_are_sent_without_links(
        self, box: Sandbox, telemetry: Telemetry, tmp_path: Any
    ) -> None:
        """What an earlier process put has no span here; it is sent all the same."""
        path = tmp_path / "events.db"
        async with AsyncAmplitude(**box.credentials) as amplitude:
            with box.faults.during(status=503):
                outbox = amplitude.outbox(path)
                await outbox.open()
                await outbox.put(event())
                await outbox.aclose(timeout=0.0)
        async with telemetry.client(box) as amplitude, amplitude.outbox(path) as outbox:
            assert await outbox.flush(5)
        assert telemetry.spans("POST")[-1].links == ()
        assert telemetry.values("amplitude.outbox.events")["events.db", "delivered"] == 1

    async def test_figures_of_the_queue_are_read_from_another_thread(self, box: Sandbox, telemetry: Telemetry) -> None:
        """Pending events, their size and the oldest one's age are there while the server is down, and gone once it is back."""
        async with telemetry.client(box) as amplitude, amplitude.outbox(linger=60) as outbox:
            for number in range(100):
                outbox.put_nowait(event(number))
            stats = outbox.stats()
            found: list[Any] = []

            def read() -> None:
                found.extend(telemetry.values(f"amplitude.outbox.{name}") for name in ("pending", "size", "oldest_age"))

            reader = threading.Thread(target=read)
            reader.start()
            await asyncio.to_thread(reader.join, 10)
            pending, size, age = found
            assert (pending, size) == ({("memory",): 100}, {("memory",): stats.bytes})
            assert 0 <= age["memory",] < 10
            assert await outbox.flush(5)
            assert telemetry.values("amplitude.outbox.pending") == {("memory",): 0}
            assert telemetry.values("amplitude.outbox.oldest_age") == {("memory",): 0}

    async def test_outcomes_are_counted_by_reason_and_stay_when_the_outbox_is_closed(self, box: Sandbox, telemetry: Telemetry) -> None:
        """A counter never goes down: what a closed outbox did is still counted, and the next one adds to it."""
        async with telemetry.client(box) as amplitude:
            for _ in range(2):
                async with amplitude.outbox(before_send=lambda one: None if one["event_type"] == "noise" else one) as outbox:
                    outbox.put_nowait(event(1))
                    outbox.put_nowait(event(2, time="no time"))
                    outbox.put_nowait(event(3, event_type="noise"))
                    assert await outbox.flush(5)
        found = telemetry.values("amplitude.outbox.events")
        assert found.pop(("memory", "delivered")) == 2
        assert found.pop(("memory", "dropped", "before_send")) == 2
        ((key, count),) = found.items()
        assert key[:2] == ("memory", "rejected")
        assert "time" in key[2]
        assert "(" not in key[2]
        assert count == 2
        assert telemetry.values("amplitude.outbox.pending") == {("memory",): 0}

    async def test_reading_goes_on_while_events_come_and_go(self, box: Sandbox, telemetry: Telemetry) -> None:
        """A reader's thread never meets a queue that changes under it: no reading fails while thousands of events pass."""
        async with telemetry.client(box) as amplitude, amplitude.outbox(linger=0.0) as outbox:
            failures: list[BaseException] = []
            is_over = threading.Event()

            def read() -> None:
                try:
                    while not is_over.is_set():
                        assert outbox._figures() is not None
                except BaseException as error:
                    failures.append(error)

            reader = threading.Thread(target=read)
            reader.start()
            for round_ in range(20):
                for number in range(200):
                    outbox.put_nowait(event(number % 40, event_properties={"round": round_}))
                await asyncio.sleep(0)
            assert await outbox.flush(30)
            is_over.set()
            await asyncio.to_thread(reader.join, 10)
        assert failures == []

    async def test_an_outbox_that_is_gone_keeps_its_count(self) -> None:
        """One that was left open and collected is counted as it was last seen."""
        outboxes = _Outboxes()
        figures: list[OutboxFigures | None] = [OutboxFigures(3, 900, 1.0, {("delivered", ""): 7})]
        outboxes.add("memory", lambda: figures[0])
        options: Any = None
        assert [one.value for one in outboxes.pending(options)] == [3]
        figures[0] = None
        assert [one.value for one in outboxes.pending(options)] == [0]
        assert [one.value for one in outboxes.events(options)] == [7]

    async def test_reasons_without_end_are_counted_as_other(self) -> None:
        """Fields that Amplitude names may be any; a metric has a bounded number of series."""
        outboxes = _Outboxes()
        reasons = {("rejected", f"missing field: field_{number} (its words)"): 1 for number in range(500)}
        outboxes.add("memory", lambda: OutboxFigures(0, 0, None, reasons))
        options: Any = None
        counted = {str((one.attributes or {})["amplitude.reason"]): one.value for one in outboxes.events(options)}
        assert len(counted) == MAX_REASONS + 1
        assert counted["other"] == 500 - MAX_REASONS
        assert sum(counted.values()) == 500


def test_without_the_package_the_error_names_the_extra() -> None:
    """Who has not installed the extra is told which one it is."""
    program = """
import sys
sys.modules["opentelemetry"] = None
try:
    import amplitude_async.integrations.opentelemetry
except Exception as error:
    print(type(error).__name__, error)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "ConfigurationError OpenTelemetry is not installed: pip install 'amplitude-async[otel]'\n"


def test_the_package_is_not_loaded_by_a_client() -> None:
    """Who does not instrument a client never loads OpenTelemetry."""
    program = "import sys; from amplitude_async import AsyncAmplitude; AsyncAmplitude('key'); print('opentelemetry' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "False\n"
