"""Recorded calls of the npm package, made again through this library over a real socket.

``cases.json`` has, for every recorded call: what is called, what has to be on the wire, what the server answers, and what has to come of it.
Where this library does something else on purpose, the case says so under ``mended``; calls that only make sense in JavaScript are
listed there with the reason. ``further_cases.json`` has the same of a second recording, made to find what the first one lacks.
"""

from __future__ import annotations

import base64
import gzip
import json
import threading
import zlib
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import anyio
import pytest

import amplitude_async
from amplitude_async import AsyncAmplitude, Backoff

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = json.loads(Path(__file__).with_name("cases.json").read_text("utf-8"))
FURTHER: list[dict[str, Any]] = json.loads(Path(__file__).with_name("further_cases.json").read_text("utf-8"))["replayed"]
CASES: list[dict[str, Any]] = TABLE["replayed"]
RECORDED = 175


class Recorder(ThreadingHTTPServer):
    """Answers what a case gives and keeps what it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[dict[str, Any]] = []
        self.seen: list[dict[str, Any]] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """One connection to the recorder."""

    protocol_version = "HTTP/1.1"
    server: Recorder

    def log_message(self, *args: Any) -> None:
        pass

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        target = urlsplit(self.path)
        seen = {
            "method": self.command,
            "path": target.path,
            "query": parse_qsl(target.query, keep_blank_values=True),
            "authorization": self.headers.get("authorization"),
            "content_type": self.headers.get("content-type"),
            "body": body,
        }
        with self.server.lock:
            index = min(len(self.server.seen), len(self.server.answers) - 1)
            self.server.seen.append(seen)
        given = self.server.answers[index]
        chunks = [base64.b64decode(chunk) for chunk in given.get("chunks", [])]
        content = (
            b"".join(chunks) or base64.b64decode(given.get("base64", "")) or given.get("text", "").encode("utf-8", "surrogatepass")
        )
        self.send_response(given["status"])
        for name, value in given["headers"].items():
            self.send_header(name, value.replace("{BASE}", self.server.url).replace("{OTHERHOST}", self.server.url))
        if given.get("gzip"):
            content = gzip.compress(content)
            chunks = []
            self.send_header("content-encoding", "gzip")
        elif given.get("deflate"):
            content = zlib.compress(content)
            self.send_header("content-encoding", "deflate")
        if chunks:
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for chunk in chunks:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
            return
        if given["status"] not in {204, 304}:
            self.send_header("content-length", str(len(content)))
        self.end_headers()
        if given["status"] not in {204, 304}:
            self.wfile.write(content)

    do_GET = do_POST = answer


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def python_value(value: Any, name: str) -> Any:
    """Turn the table's stand-ins into what JSON cannot hold."""
    if isinstance(value, dict):
        if "$datetime" in value:
            return datetime.fromisoformat(value["$datetime"])
        if "$float" in value:
            return float(value["$float"])
        if "$made" in value:
            return made(name)
        return {key: python_value(item, name) for key, item in value.items()}
    if isinstance(value, list):
        return [python_value(item, name) for item in value]
    return value


def made(name: str) -> dict[str, Any]:
    event: dict[str, Any] = {"event_type": "event", "user_id": "user-1"}
    if name == "track_circular_value":
        event["event_properties"] = {"self": event}
    else:
        event["event_properties"] = {"blob": "x" * (10 * 1024 * 1024 + 1)}
    return event


def error_class(name: str) -> type[Exception]:
    error: type[Exception] = TypeError if name == "TypeError" else getattr(amplitude_async, name)
    return error


async def use(amplitude: AsyncAmplitude, case: dict[str, Any]) -> Any:
    arguments, keywords = python_value(case["arguments"], case["name"]), python_value(case["keywords"], case["name"])
    method = case["method"]
    if method == "export":
        return b"".join([chunk async for chunk in amplitude.export(**keywords)])
    if method == "search_then_activity":
        found = await amplitude.user_search(*arguments)
        return await amplitude.user_activity(found["matches"][0]["amplitude_id"])
    if method == "segmentation_twice":
        before = json.dumps(keywords)
        first = await amplitude.event_segmentation(**keywords)
        assert await amplitude.event_segmentation(**keywords) == first
        assert json.dumps(keywords) == before
        return first
    if method == "two_tracks":
        results: list[Any] = [None, None]

        async def track(index: int) -> None:
            results[index] = await amplitude.track(arguments[index])

        async with anyio.create_task_group() as group:
            group.start_soon(track, 0)
            group.start_soon(track, 1)
        return results
    return await getattr(amplitude, method)(*arguments, **keywords)


def build(case: dict[str, Any], recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> AsyncAmplitude:
    for name, value in case["environment"].items():
        # Nothing listens where the proxy variables point to.
        monkeypatch.setenv(name, value.replace("{BASE}", recorder.url).replace("{PROXY}", "http://127.0.0.1:1"))
    options: dict[str, Any] = {
        name: value.replace("{BASE}", recorder.url) if isinstance(value, str) else value for name, value in case["options"].items()
    }
    if case["method"] != "constructor":
        options.setdefault("dashboard_endpoint", recorder.url)
    # The original gives each of two calls made at once a request of its own.
    options.setdefault("share_requests", "at_once" not in case["name"])
    return AsyncAmplitude(case["api_key"], **options, max_retries=0, backoff=Backoff(jitter=lambda _: 0.0))


def check_sent(seen: dict[str, Any], sent: dict[str, Any]) -> None:
    assert (seen["method"], seen["path"]) == (sent["method"], sent["path"])
    assert sorted(seen["query"]) == sorted((name, value) for name, value in sent["query"])
    assert seen["authorization"] == sent["authorization"]
    if "json" in sent:
        assert seen["content_type"] == "application/json"
        body = json.loads(seen["body"])
        for event, expected in zip(body["events"], sent["json"]["events"], strict=True):
            for added in {"insert_id", "time"} - {key for key, value in expected.items() if value is not None}:
                assert event.pop(added)
            expected.pop("time", None) if expected.get("time") is None else None
        assert body == sent["json"]
    elif "form" in sent:
        assert seen["content_type"] == "application/x-www-form-urlencoded"
        form = dict(parse_qsl(seen["body"].decode("ascii"), keep_blank_values=True, strict_parsing=True))
        form["identification"] = json.loads(form["identification"])
        assert form == sent["form"]
    else:
        assert seen["body"] == b""


def arrived(seen: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return requests by their bodies: calls made at once arrive in any order; a stable sort leaves all others alone."""
    return sorted(seen, key=lambda one: b'"event_type":"b"' in one["body"])


def content(answer: dict[str, Any]) -> bytes:
    return b"".join(map(base64.b64decode, answer.get("chunks", []))) or base64.b64decode(answer.get("base64", ""))


def test_every_recorded_call_is_accounted_for() -> None:
    """Each recorded call is replayed or listed as not applicable with a reason, none twice."""
    names = [case["name"] for case in CASES]
    assert len({*names, *(case["name"] for case in FURTHER)}) == len(names) + len(FURTHER)
    assert not set(names) & set(TABLE["not_applicable"])
    assert len(names) + len(TABLE["not_applicable"]) == RECORDED
    assert all(reason.strip() for reason in TABLE["not_applicable"].values())


@pytest.mark.anyio
@pytest.mark.parametrize("case", [*CASES, *FURTHER], ids=[case["name"] for case in [*CASES, *FURTHER]])
async def test_replay(case: dict[str, Any], recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call puts on the wire what the original did, and comes to the same, except where it was mended."""
    recorder.answers = case["answers"]
    result = case["result"]
    if "error" in result:
        with pytest.raises(error_class(result["error"])) as caught:
            async with build(case, recorder, monkeypatch) as amplitude:
                await use(amplitude, case)
        if "status" in result:
            assert isinstance(caught.value, amplitude_async.ResponseError | amplitude_async.UnexpectedResponseError)
            assert caught.value.status == result["status"]
        if "data" in result:
            assert isinstance(caught.value, amplitude_async.ResponseError)
            assert caught.value.data == result["data"]
            assert str(caught.value).startswith(f"Request failed with status code {result['status']}")
    else:
        async with build(case, recorder, monkeypatch) as amplitude:
            if "origin" in result:
                assert f"ingestion={result['origin']} " in repr(amplitude)
            for name, kept in result.get("ids", {}).items():
                assert getattr(amplitude._defaults, name) == kept
            if not result.get("constructed"):
                value = await use(amplitude, case)
                assert value == (content(case["answers"][0]) if "bytes" in result else result["value"])
    if case["sent"] is None:
        assert recorder.seen == []
        return
    expected = json.loads(json.dumps([case["sent"], *case.get("also_sent", [])]))
    if case.get("halved"):
        # The original gave up; here smaller ranges follow the recorded request, down to a single hour.
        assert recorder.seen[-1]["query"] == [("start", "20160501T20"), ("end", "20160501T20")]
        del recorder.seen[1:]
    assert len(recorder.seen) == len(expected)
    for seen, sent in zip(arrived(recorder.seen), expected, strict=True):
        check_sent(seen, sent)
