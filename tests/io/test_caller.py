"""Retries as tables: answers in, attempts and waits out, on a clock that only moves when somebody sleeps."""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from amplitude_async import AmplitudeError, AsyncAmplitude, Backoff, RequestTimeoutError, TransportError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

EVENT = {"event_type": "x", "user_id": "user-1", "insert_id": "id-1"}
ADDS = {"user_id": "u", "user_properties": {"$add": {"n": 1}}}
SETS = {"user_id": "u", "user_properties": {"$set": {"n": 1}}}

Answer = httpx.Response | Exception


class Clock:
    """Time that passes only in sleep()."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def reply(status: int, **headers: str) -> httpx.Response:
    body = {"code": 200} if status == 200 else {"error": "words of the server"}
    return httpx.Response(status, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


class Wire(httpx.AsyncBaseTransport):
    """Hands requests over without reading their bodies first."""

    def __init__(self, handle: Callable[[httpx.Request], Awaitable[httpx.Response]]) -> None:
        self.handle_async_request = handle  # type: ignore[method-assign, assignment]  # the same shape


class Line:
    """A client over a list of answers, the last one for all further requests."""

    def __init__(self, *answers: Answer | Callable[[httpx.Request], httpx.Response], **options: Any) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.clock = Clock()
        backoff = Backoff(jitter=lambda limit: limit, clock=self.clock, sleep=self.clock.sleep)
        self.own = httpx.AsyncClient(transport=Wire(self.handle))
        self.client = AsyncAmplitude("key", secret_key="secret", http_client=self.own, **{"backoff": backoff, **options})

    async def handle(self, request: httpx.Request) -> httpx.Response:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, (httpx.ConnectError, httpx.ConnectTimeout)):
            raise answer
        # As a real one does; request.content would not show that the body was asked for.
        assert isinstance(request.stream, httpx.AsyncByteStream)
        self.requests.append(b"".join([part async for part in request.stream]))
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)
        return answer(request)

    async def __aenter__(self) -> AsyncAmplitude:
        return self.client

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        await self.own.aclose()


async def failed(line: Line, call: str = "track", argument: Any = None) -> AmplitudeError:
    async with line as amplitude:
        with pytest.raises(AmplitudeError) as caught:
            await getattr(amplitude, call)(EVENT if argument is None else argument)
    return caught.value


@pytest.mark.anyio
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 529, 599])
async def test_passing_trouble_is_met_by_three_attempts(status: int) -> None:
    """Two retries, the same body each time, with waits that double (A8)."""
    line = Line(reply(status))
    error = await failed(line)
    assert len(line.requests) == 3
    assert len(set(line.requests)) == 1
    assert line.clock.slept == [0.5, 1.0]
    assert error.request is not None
    assert error.request.attempts == 3
    assert error.insert_ids == ("id-1",)
    assert error.outcome == ("not_sent" if status in {429, 503} else "unknown")
    assert str(error).startswith(f"Request failed with status code {status}: words of the server")


@pytest.mark.anyio
@pytest.mark.parametrize("status", [300, 307, 400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 422, 431, 451])
async def test_a_final_no_is_met_by_one(status: int) -> None:
    """What cannot change is not asked again (A7)."""
    line = Line(reply(status), reply(200))
    error = await failed(line)
    assert (len(line.requests), line.clock.slept, error.outcome) == (1, [], "rejected")


@pytest.mark.anyio
@pytest.mark.parametrize("max_retries", [0, 1, 5])
async def test_there_are_as_many_retries_as_allowed(max_retries: int) -> None:
    """max_retries counts the attempts after the first; waits grow to the cap."""
    line = Line(reply(503), max_retries=max_retries)
    await failed(line)
    assert len(line.requests) == 1 + max_retries
    assert line.clock.slept == [0.5, 1.0, 2.0, 4.0, 8.0][:max_retries]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([reply(503), reply(503), reply(503)], "not_sent"),
        ([reply(500), reply(503), reply(503)], "unknown"),
        ([reply(503), reply(500), reply(503)], "unknown"),
        ([reply(503), reply(400)], "rejected"),
        ([reply(500), reply(400)], "unknown"),
        ([httpx.ReadError("gone"), reply(401)], "unknown"),
        ([httpx.ConnectError("no"), reply(429), reply(503)], "not_sent"),
        ([httpx.ConnectError("no")], "not_sent"),
        ([reply(503), httpx.ReadError("gone"), httpx.ConnectError("no")], "unknown"),
    ],
)
async def test_the_outcome_of_a_call_is_that_of_all_its_attempts(answers: list[Answer], outcome: str) -> None:
    """If any attempt may have arrived, the call may have; else the last one decides."""
    assert (await failed(Line(*answers))).outcome == outcome


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("argument", "answer", "attempts"),
    [
        (SETS, reply(500), 3),
        (ADDS, reply(500), 1),
        (ADDS, httpx.ReadError("gone"), 1),
        (ADDS, httpx.Response(200, text="<html>"), 1),
        (ADDS, reply(503), 3),
        (ADDS, reply(429), 3),
    ],
)
async def test_what_adds_up_is_repeated_only_when_it_was_not_taken(argument: Any, answer: Answer, attempts: int) -> None:
    """An identification with $add goes again after "not sent" and never after "unknown"."""
    line = Line(answer)
    await failed(line, "identify", argument)
    assert len(line.requests) == attempts


@pytest.mark.anyio
async def test_what_heals_is_a_success() -> None:
    """The caller of a call that worked at the third attempt sees only its result."""
    line = Line(reply(500), httpx.ReadError("gone"), reply(200))
    async with line as amplitude:
        assert await amplitude.track(EVENT) == {"code": 200}
    assert len(line.requests) == 3


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("hint", "waits"),
    [
        ("7", [7.0]),
        ("0", [0.5]),
        ("-5", [0.5]),
        ("soon", [0.5]),
        ("", [0.5]),
        ("1e3", [0.5]),
        (formatdate(0, usegmt=True), [0.5]),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_a_least_wait(status: int, hint: str, waits: list[float]) -> None:
    """A hint makes the wait longer, never shorter, and nonsense means our own backoff (A11)."""
    line = Line(reply(status, retry_after=hint), reply(200))
    async with line as amplitude:
        await amplitude.track(EVENT)
    assert line.clock.slept == waits


@pytest.mark.anyio
@pytest.mark.parametrize("hint", ["31", "600", "999999999999999"])
async def test_a_wait_longer_than_what_is_left_raises_at_once(hint: str) -> None:
    """Nobody waits for an attempt that could not be made inside the 30 s of a call."""
    line = Line(reply(429, retry_after=hint))
    error: Any = await failed(line)
    assert (len(line.requests), line.clock.slept, error.outcome) == (1, [], "not_sent")
    assert error.retry_after == min(float(hint), 600.0)


@pytest.mark.anyio
async def test_waits_count_in_the_deadline() -> None:
    """A second wait that fits the limit by itself, but not beside the first, is not made."""
    line = Line(reply(503, retry_after="20"), max_retries=5)
    await failed(line)
    assert (len(line.requests), line.clock.slept) == (2, [20.0])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "kind", "outcome"),
    [
        (httpx.ConnectTimeout("x"), RequestTimeoutError, "not_sent"),
        (httpx.ConnectError("x"), TransportError, "not_sent"),
        (httpx.ReadTimeout("x"), RequestTimeoutError, "unknown"),
        (httpx.WriteTimeout("x"), RequestTimeoutError, "unknown"),
        (httpx.ReadError("x"), TransportError, "unknown"),
        (httpx.RemoteProtocolError("x"), TransportError, "unknown"),
    ],
)
async def test_no_answer_is_one_of_two_errors(error: Exception, kind: type[Exception], outcome: str) -> None:
    """Each failure of the HTTP library becomes ours, without a cause, with its own words in detail."""
    caught: Any = await failed(Line(error, max_retries=0))
    assert type(caught).__name__ == kind.__name__
    assert (caught.outcome, caught.detail) == (outcome, f"{type(error).__name__}: x")
    assert caught.__cause__ is None
    assert caught.__context__ is None
