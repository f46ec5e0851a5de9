"""What a request looks like: over a mocked wire, the user's own client, and anything of its shape."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import httpx
import pytest
import respx

from amplitude_async import AsyncAmplitude, ConfigurationError, RateLimitedError, RedirectError, TransportError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OK = {"code": 200, "server_upload_time": 1, "payload_size_bytes": 2, "events_ingested": 1}
EVENT = {"event_type": "x", "user_id": "user-1"}


@pytest.mark.anyio
async def test_an_upload_as_it_goes_out() -> None:
    """A JSON body with the key and the event, to the documented host, with no other credential and no cookie."""
    with respx.mock() as wire:
        route = wire.post("https://api2.amplitude.com/2/httpapi").respond(json=OK)
        async with AsyncAmplitude("key", secret_key="secret") as amplitude:
            assert await amplitude.track(EVENT, options={"min_id_length": 1}) == OK
    request = route.calls.last.request
    body = json.loads(request.content)
    assert list(body) == ["api_key", "events", "options"]
    assert body["api_key"] == "key"
    (event,) = body["events"]
    assert (event["event_type"], event["user_id"]) == ("x", "user-1")
    assert len(event["insert_id"]) == 36
    assert isinstance(event["time"], int)
    assert "client_upload_time" not in body
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("amplitude-async/")
    assert not {"authorization", "cookie"} & set(request.headers)


@pytest.mark.anyio
async def test_an_identification_as_it_goes_out() -> None:
    """A form with the key and JSON text that parses back equal, whatever is in it (S19)."""
    with respx.mock() as wire:
        route = wire.post("https://api.eu.amplitude.com/identify").respond(text="success")
        async with AsyncAmplitude("key", region="eu") as amplitude:
            assert await amplitude.identify({"userId": "a&b=%+\n", "user_properties": {"$set": {"é": "&"}}}) == "success"
    request = route.calls.last.request
    form = dict(parse_qsl(request.content.decode("ascii")))
    assert form["api_key"] == "key"
    assert json.loads(form["identification"]) == [{"user_id": "a&b=%+\n", "user_properties": {"$set": {"é": "&"}}}]
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.anyio
@pytest.mark.parametrize("user", ["a/b", "../x", "a?b#c", "a&b=c", "a+b c", "%2f", "é"])
async def test_a_question_as_it_goes_out(user: str) -> None:
    """Basic credentials to the dashboard host, and a query whose structure nobody's id can change (S18)."""
    with respx.mock() as wire:
        route = wire.get(url__startswith="https://amplitude.com/api/2/usersearch").respond(json={"type": "nomatch", "matches": []})
        async with AsyncAmplitude("key", secret_key="secret") as amplitude:
            await amplitude.user_search(user)
    request = route.calls.last.request
    assert request.url.path == "/api/2/usersearch"
    assert parse_qsl(request.url.query.decode("ascii"), strict_parsing=True) == [("user", user)]
    scheme, _, pair = request.headers["authorization"].partition(" ")
    assert (scheme, b64decode(pair)) == ("Basic", b"key:secret")
    assert request.content == b""


@pytest.mark.anyio
async def test_a_path_in_an_endpoint_is_a_prefix() -> None:
    """Every API's path is put behind the endpoint's own."""
    with respx.mock() as wire:
        wire.post("https://proxy.example/amplitude/2/httpapi").respond(json=OK)
        wire.get("https://proxy.example/amplitude/api/2/usersearch").respond(json={"type": "nomatch", "matches": []})
        async with AsyncAmplitude("key", secret_key="secret", base_url="https://proxy.example/amplitude/") as amplitude:
            await amplitude.track(EVENT)
            await amplitude.user_search("x")


class Shape:
    """Has build_request, send and aclose like httpx's client, and nothing else of it."""

    class Response:
        """Has what is read of an answer."""

        def __init__(self, status: int, body: bytes) -> None:
            self.status_code = status
            self.headers = {"Content-Type": "application/json"}
            self.is_closed = False
            self._body = body

        async def aiter_raw(self) -> AsyncIterator[bytes]:
            yield self._body

        async def aclose(self) -> None:
            self.is_closed = True

    def __init__(self, status: int = 200, body: bytes = json.dumps(OK).encode(), error: Exception | None = None) -> None:
        self.answer = Shape.Response(status, body)
        self.error = error
        self.sent: list[dict[str, Any]] = []
        self.is_closed = False

    def build_request(self, method: str, url: Any, **options: Any) -> dict[str, Any]:
        return {"method": method, "url": url, **options}

    async def send(self, request: dict[str, Any], *, stream: bool = False) -> Response:
        self.sent.append(request)
        if self.error is not None:
            raise self.error
        assert stream
        return self.answer

    async def aclose(self) -> None:
        self.is_closed = True


@pytest.mark.anyio
async def test_a_client_of_the_users_own_is_used_as_it_is_and_left_open() -> None:
    """An httpx client that is passed in sends the requests, eight at once by default, and is never closed by us."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=OK)

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle), headers={"X-Mine": "1"}) as own:
        async with AsyncAmplitude("key", http_client=own) as amplitude:
            assert (await amplitude.track(EVENT))["events_ingested"] == 1
            slots = amplitude._caller.slots
            assert slots is not None
            assert slots.total == 8
        assert not own.is_closed
    assert seen[0].headers["x-mine"] == "1"
    assert json.loads(seen[0].content)["api_key"] == "key"


@pytest.mark.anyio
async def test_no_habit_of_the_users_client_sends_a_redirect_or_a_credential() -> None:
    """A client that follows redirects and signs everything does neither with our requests (A13, S15)."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(307, headers={"Location": "https://elsewhere.example/2/httpapi"})

    own = httpx.AsyncClient(transport=httpx.MockTransport(handle), follow_redirects=True, auth=("user", "password"))
    async with own, AsyncAmplitude("key", http_client=own) as amplitude:
        with pytest.raises(RedirectError) as caught:
            await amplitude.track(EVENT)
    assert caught.value.target_host == "elsewhere.example"
    assert len(seen) == 1
    assert "authorization" not in seen[0].headers


@pytest.mark.anyio
async def test_anything_of_the_shape_will_do() -> None:
    """Three methods are all that is asked of a client; it is left open, and its answers closed."""
    own = Shape()
    async with AsyncAmplitude("key", http_client=own, max_connections=3) as amplitude:
        assert await amplitude.track(EVENT) == OK
        slots = amplitude._caller.slots
        assert slots is not None
        assert slots.total == 3
    (request,) = own.sent
    assert (request["method"], request["url"]) == ("POST", "https://api2.amplitude.com/2/httpapi")
    assert json.loads(request["content"])["api_key"] == "key"
    assert own.answer.is_closed
    assert not own.is_closed


@pytest.mark.anyio
async def test_an_error_of_any_client_becomes_ours() -> None:
    """Whatever such a client raises, and whatever it answers, ends as an error of this library."""
    async with AsyncAmplitude("key", http_client=Shape(429, b"{}"), max_retries=0) as amplitude:
        with pytest.raises(RateLimitedError):
            await amplitude.track(EVENT)
    async with AsyncAmplitude("key", http_client=Shape(error=RuntimeError("own words")), max_retries=0) as amplitude:
        with pytest.raises(TransportError) as caught:
            await amplitude.track(EVENT)
    assert caught.value.detail == "RuntimeError: own words"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("missing", ["build_request", "send", "aclose"])
def test_what_lacks_a_method_is_refused(missing: str) -> None:
    """The refusal names what is missing."""
    shape = {name: lambda: None for name in ("build_request", "send", "aclose") if name != missing}
    own: Any = type("Almost", (), shape)()
    with pytest.raises(ConfigurationError, match=missing):
        AsyncAmplitude("key", http_client=own)
