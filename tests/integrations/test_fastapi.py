"""FastAPI: the client of the service, the outbox of the service, and the request behind each event."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.responses import StreamingResponse

from amplitude_async import AsyncAmplitude, ConfigurationError, Outbox
from amplitude_async.events import INHERITED
from amplitude_async.integrations.fastapi import (
    MAX_FIELD,
    AmplitudeDep,
    AmplitudeMiddleware,
    OutboxDep,
    amplitude_lifespan,
    get_amplitude,
    get_outbox,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from amplitude_async.sandbox import Sandbox


TRACE = "0af76519" * 4


def service(box: Sandbox, *, outbox: Any = False, inner: Any = None, **middleware: Any) -> FastAPI:
    app = FastAPI(lifespan=amplitude_lifespan(AsyncAmplitude(**box.credentials), outbox=outbox, inner=inner))
    app.add_middleware(AmplitudeMiddleware, **middleware)

    @app.post("/track/{name}")
    async def track(name: str, amplitude: AmplitudeDep) -> dict[str, int]:
        result = await amplitude.track({"event_type": name, "user_id": None})
        return {"events": result["events_ingested"]}

    @app.post("/put/{name}")
    async def put(name: str, outbox: OutboxDep) -> dict[str, str]:
        return {"id": (await outbox.put({"event_type": name, "device_id": "device-1"})).insert_id}

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"x"

        return StreamingResponse(pieces())

    @app.websocket("/socket")
    async def socket(websocket: WebSocket, amplitude: AmplitudeDep) -> None:
        await websocket.accept()
        await amplitude.track({"event_type": "socket"})
        await websocket.send_text("done")
        await websocket.close()

    return app


def test_handlers_get_the_client_and_the_outbox(box: Sandbox, tmp_path: Path) -> None:
    """One client and one outbox live as long as the service, and closing it delivers what was put."""
    box.events()
    seen: list[str] = []

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        seen.append("up")
        assert isinstance(app.state.amplitude, AsyncAmplitude)
        assert isinstance(app.state.amplitude_outbox, Outbox)
        yield {"own": 1}
        seen.append("down")

    app = service(box, outbox=tmp_path / "events.db", inner=own, device=lambda scope: "device-7")
    with TestClient(app) as client:
        assert client.post("/track/seen").json() == {"events": 1}
        assert client.post("/put/stored").json()["id"]
        assert client.app_state == {"own": 1}
        assert client.get("/stream").text == "xxx"
        with client.websocket_connect("/socket") as socket:
            assert socket.receive_text() == "done"
    assert seen == ["up", "down"]
    assert {event["event_type"]: event["device_id"] for event in box.events()} == {
        "seen": "device-7",
        "stored": "device-1",
        "socket": "device-7",
    }


def test_events_inherit_what_the_request_says(box: Sandbox) -> None:
    """User, device, session, language, agent, path and trace id are those of the request, each cut and cleaned."""
    box.events()

    async def user(scope: Any) -> str:
        return "user-from-token"

    app = service(box, user=user, session=lambda scope: 1_777_885_200_000)
    headers = {
        "User-Agent": "Agent/1.0 " + "x" * 1000,
        "Accept-Language": "nb-NO,nb;q=0.9",
        "X-Device-Id": "device\t1",
        "Traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
        "X-Forwarded-For": "203.0.113.9",
    }
    with TestClient(app) as client:
        client.post("/track/hello?secret=1", headers=headers)
    (event,) = box.events()
    assert event["user_id"] == "user-from-token"
    assert event["device_id"] == "device 1"
    assert event["session_id"] == 1_777_885_200_000
    assert event["language"] == "nb-NO"
    assert event["user_agent"].startswith("Agent/1.0 x")
    assert len(event["user_agent"]) == MAX_FIELD
    assert event["event_properties"] == {"path": "/track/hello", "trace_id": TRACE}
    assert "ip" not in event


@pytest.mark.parametrize(
    ("client", "forwarded", "proxies", "expected"),
    [
        ("198.51.100.7", "203.0.113.9", [], "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9", ["10.0.0.0/8"], "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9, 10.0.0.2", ["10.0.0.0/8"], "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, junk", ["10.0.0.0/8"], "10.0.0.1"),
        ("10.0.0.1", "", ["10.0.0.0/8"], "10.0.0.1"),
        ("192.0.2.1", "203.0.113.9", ["10.0.0.0/8"], "192.0.2.1"),
        ("2001:db8::1", "2001:db8:1::5", ["2001:db8::/48"], "2001:db8:1::5"),
        ("testclient", "203.0.113.9", ["10.0.0.0/8"], ""),
        ("::ffff:10.0.0.1", "203.0.113.9", ["10.0.0.0/8"], "203.0.113.9"),
        ("::ffff:198.51.100.7", "203.0.113.9", ["10.0.0.0/8"], "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9:4711, 10.0.0.2:80", ["10.0.0.0/8"], "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::5]:443", ["10.0.0.0/8"], "2001:db8::5"),
        ("10.0.0.1", "[2001:db8::5]", ["10.0.0.0/8"], "2001:db8::5"),
        ("10.0.0.1", "1.1.1.1\x00, 203.0.113.9:99x", ["10.0.0.0/8"], "10.0.0.1"),
    ],
)
def test_whose_address_is_taken(client: str, forwarded: str, proxies: list[str], expected: str) -> None:
    """A forwarded address is believed as far as named proxies vouch for it, and no further."""

    async def nobody(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    middleware = AmplitudeMiddleware(nobody, with_ip=True, trusted_proxies=proxies)
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    found = middleware._described({"type": "http", "client": (client, 1), "headers": headers, "path": "/"})
    assert found.get("ip", "") == expected


class Seen:
    """An application of nothing but ASGI; what its events would inherit is written down."""

    def __init__(self, *, fails: bool = False) -> None:
        self.scopes: list[str] = []
        self.inherited: list[Any] = []
        self._fails = fails

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope["type"])
        self.inherited.append(INHERITED.get())
        if self._fails:
            raise RuntimeError("on purpose")
        await send({"type": f"{scope['type']}.done"})


@pytest.mark.anyio
async def test_scopes_that_are_no_request_pass_through() -> None:
    """A lifespan, and whatever servers come up with, is handed on as it is; a websocket is a request."""
    seen, sent = Seen(), []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    middleware = AmplitudeMiddleware(seen, user=lambda scope: "user-1")
    for kind in ("lifespan", "unheard-of", "websocket", "http"):
        await middleware({"type": kind, "path": "/", "headers": []}, None, send)  # type: ignore[arg-type]  # it receives nothing
    assert seen.scopes == ["lifespan", "unheard-of", "websocket", "http"]
    assert sent == [f"{kind}.done" for kind in seen.scopes]
    assert [each is None for each in seen.inherited] == [True, True, False, False]


@pytest.mark.anyio
async def test_nothing_is_left_behind_by_a_handler_that_fails() -> None:
    """Its error goes on to the server, and what comes next in the same task inherits nothing of it."""
    seen = Seen(fails=True)
    middleware = AmplitudeMiddleware(seen, user=lambda scope: "user-1")
    with pytest.raises(RuntimeError, match="on purpose"):
        await middleware({"type": "http", "path": "/", "headers": []}, None, None)  # type: ignore[arg-type]  # it neither receives nor sends
    assert seen.inherited[0]["user_id"] == "user-1"
    assert INHERITED.get() is None


def test_what_runs_for_a_request_inherits_it(box: Sandbox) -> None:
    """Handlers that are plain functions, tasks of their own, work behind the answer and bodies that stream: all know whose request it is."""
    app = service(box, outbox=True, user=lambda scope: dict(scope["headers"])[b"x-user"].decode())

    @app.get("/plain")
    def plain(outbox: OutboxDep) -> None:
        outbox.put_threadsafe({"event_type": "plain"})

    @app.get("/task")
    async def task(amplitude: AmplitudeDep) -> None:
        await asyncio.create_task(amplitude.track({"event_type": "task"}))

    @app.get("/behind")
    async def behind(amplitude: AmplitudeDep, work: BackgroundTasks) -> None:
        work.add_task(amplitude.track, {"event_type": "behind"})

    @app.get("/streamed")
    async def streamed(amplitude: AmplitudeDep) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"1"
            await amplitude.track({"event_type": "streamed"})
            yield b"2"

        return StreamingResponse(pieces())

    box.events()
    with TestClient(app) as client:
        for number, name in enumerate(("plain", "task", "behind", "streamed")):
            assert client.get(f"/{name}", headers={"X-User": f"user-{number}", "User-Agent": "Agent/1"}).status_code == 200
    found = {event["event_type"]: (event["user_id"], event["event_properties"]["path"]) for event in box.events()}
    assert found == {name: (f"user-{number}", f"/{name}") for number, name in enumerate(("plain", "task", "behind", "streamed"))}


@pytest.mark.asyncio
async def test_requests_at_the_same_time_are_kept_apart(box: Sandbox) -> None:
    """Two hundred at once: each event has the user and the path of its own request."""
    app = service(box, user=lambda scope: dict(scope["headers"])[b"x-user"].decode())

    @app.get("/slow/{number}")
    async def slow(number: int, amplitude: AmplitudeDep) -> None:
        await asyncio.sleep(0)
        await amplitude.track({"event_type": "slow", "event_properties": {"number": number}})

    box.events()
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        await asyncio.gather(*(client.get(f"/slow/{n}", headers={"X-User": f"user-{n:05}"}) for n in range(200)))
    events = box.events()
    assert len(events) == 200
    for event in events:
        number = event["event_properties"]["number"]
        assert (event["user_id"], event["event_properties"]["path"]) == (f"user-{number:05}", f"/slow/{number}")


@pytest.mark.asyncio
async def test_an_answer_streams_as_it_would_without(box: Sandbox) -> None:
    """The first piece is sent before the second is made: nothing is gathered on the way."""
    order: list[str] = []

    async def two(scope: Any, receive: Any, send: Any) -> None:
        for piece in (b"1", b"2"):
            order.append(f"made {piece.decode()}")
            await send({"type": "http.response.body", "body": piece, "more_body": piece == b"1"})

    async def send(message: Any) -> None:
        order.append(f"sent {message['body'].decode()}")

    await AmplitudeMiddleware(two)({"type": "http", "path": "/", "headers": []}, None, send)  # type: ignore[arg-type]  # it receives nothing
    assert order == ["made 1", "sent 1", "made 2", "sent 2"]


def test_a_proxy_that_is_no_network_is_refused() -> None:
    """What is no address says so at construction."""
    with pytest.raises(ConfigurationError, match="trusted_proxies"):
        AmplitudeMiddleware(lambda scope, receive, send: None, trusted_proxies=["everybody"])  # type: ignore[arg-type, return-value]  # never called


def test_tests_put_something_else_in_place(box: Sandbox) -> None:
    """``dependency_overrides`` replaces client and outbox, without a lifespan."""
    app = service(box)
    mine = AsyncAmplitude(**box.credentials, user_id="user-of-test")
    app.dependency_overrides[get_amplitude] = lambda: mine
    box.events()
    TestClient(app).post("/track/mine")
    assert box.events()[0]["user_id"] == "user-of-test"


@pytest.mark.parametrize("path", ["/track/x", "/put/x"])
def test_a_service_without_lifespan_says_what_to_do(box: Sandbox, path: str) -> None:
    """A handler that asks for what was never opened gets an error that names the missing line."""
    app = FastAPI()
    app.router.routes += service(box).router.routes
    with pytest.raises(ConfigurationError, match="amplitude_lifespan"):
        TestClient(app).post(path)
    assert get_outbox is not None
