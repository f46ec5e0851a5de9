"""No key shows anywhere: not in text forms, logs, errors, tracebacks or pickles."""

from __future__ import annotations

import copy
import gc
import io
import logging
import os
import pickle
import re
import subprocess
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import amplitude_async
from amplitude_async import AmplitudeError, AsyncAmplitude, Backoff, ConfigurationError, Timeout

sys.path.insert(0, str(Path(__file__).parents[1] / "io"))
from scripted import ScriptedServer, answer, response, stall

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "canary-api-key-7f3a9c"
SECRET = "canary-secret-51d0be"
OTHERS = {
    "org_api_key": "canary-org-1",
    "org_secret_key": "canary-org-2",
    "deployment_key": "canary-dep-3",
    "management_key": "canary-man-4",
    "scim_token": "canary-scim-5",
}
PERSON = "canary-person@example.org"
EVENT = {"event_type": "x", "user_id": PERSON, "event_properties": {"note": "canary-content"}}
CANARIES = ("canary-api", "canary-secret", "canary-org", "canary-dep", "canary-man", "canary-scim", "Y2FuYXJ5")
SOURCE = Path(amplitude_async.__file__ or "").parent


def check(text: str, *more: str) -> None:
    for canary in (*CANARIES, *more):
        assert canary not in text, f"{canary} in {text[:500]}"


def make(url: str = "http://127.0.0.1:1", **options: Any) -> AsyncAmplitude:
    options = {**OTHERS, "base_url": url, "max_retries": 0, "backoff": Backoff(jitter=lambda _: 0.0), **options}
    return AsyncAmplitude(KEY, secret_key=SECRET, **options)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Collect every record of every logger at DEBUG."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)


def walk(value: object, seen: set[int], depth: int = 0) -> Iterator[object]:
    """Visit a client's own objects the way a debugger's dump does."""
    if id(value) in seen or depth > 6 or isinstance(value, (type, str)):
        return
    seen.add(id(value))
    yield value
    inner = [*vars(value).values()] if hasattr(value, "__dict__") else []
    inner += [*value.values()] if isinstance(value, dict) else []
    inner += [*value] if isinstance(value, (list, tuple, set)) else []
    for item in inner:
        yield from walk(item, seen, depth + 1)


@pytest.mark.anyio
async def test_no_text_form_of_a_client_shows_a_key() -> None:
    """repr, str, vars and a dump of everything a used client holds show no key (S1)."""
    with ScriptedServer(answer(response())) as server:
        async with make(server.url) as amplitude:
            await amplitude.track(EVENT)
            for value in walk(amplitude, set()):
                check(f"{value!r} {value!s} {vars(value) if hasattr(value, '__dict__') else ''}")
            check(repr(amplitude.with_options(max_retries=1)))
            check(repr(amplitude.export(start="20260101T00", end="20260101T00")))
    secret = amplitude._caller.connection.settings.credentials["secret_key"]
    check(f"{secret} {secret!r} {secret:>20}")
    assert copy.deepcopy(secret) is secret
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def make_with(options: dict[str, Any]) -> AsyncAmplitude:
    return AsyncAmplitude(**options)


ECHO = f"Invalid API key: {KEY}, secret {SECRET}, of {PERSON}"
FAILURES: dict[str, Any] = {
    **{
        f"status {status}": answer(response(status, ECHO.encode()))
        for status in (400, 401, 402, 403, 404, 405, 408, 409, 410, 413, 418, 422, 425, 429, 451, 500, 501, 502, 503, 504, 529, 599)
    },
    "json echo": answer(response(400, f'{{"error":"Invalid API key: {KEY}"}}'.encode())),
    "redirect": answer(response(302, b"", f"Location: https://{KEY}.example/{SECRET}?sig=canary-sig")),
    "echo with 200": answer(response(200, ECHO.encode())),
    "odd encoding": answer(response(200, b"x", f"Content-Encoding: {KEY}")),
    "broken gzip": answer(response(200, ECHO.encode(), "Content-Encoding: gzip")),
    "cut": answer(response(200, ECHO.encode())[:-5]),
    "no answer": lambda connection: connection.read_request(),
    "not http": answer(ECHO.encode()),
    "silent": stall,
}


@pytest.mark.anyio
@pytest.mark.parametrize("call", ["track", "user_search", "export"])
@pytest.mark.parametrize("name", FAILURES)
async def test_no_failure_shows_a_key(name: str, call: str, log: io.StringIO) -> None:
    """Message, args, cause, context, notes, pickle, traceback with locals and logs of each failure show no key (S2-S5)."""
    with ScriptedServer(FAILURES[name]) as server:
        async with make(server.url, timeout=Timeout(attempt=0.3, first_byte=0.3, between_bytes=0.3)) as amplitude:
            try:
                if call == "track":
                    await amplitude.track(EVENT)
                elif call == "user_search":
                    await amplitude.user_search(PERSON)
                else:
                    async for _ in amplitude.export(start="20260101T00", end="20260101T00"):
                        pass
            except AmplitudeError as error:
                caught = error
            else:
                pytest.fail("nothing was raised")
    seen: BaseException | None = caught
    while seen is not None:
        assert isinstance(seen, AmplitudeError)
        person = () if call == "user_search" else (PERSON,)
        check(f"{seen} {seen!r} {seen.args} {getattr(seen, '__notes__', '')} {getattr(seen, 'detail', '')}", *person)
        seen = seen.__cause__ or seen.__context__
    check(pickle.dumps(caught).decode("latin-1"))
    assert str(pickle.loads(pickle.dumps(caught))) == str(caught)
    dump = "".join(traceback.TracebackException.from_exception(caught, capture_locals=True, limit=None).format())
    ours = "".join(part for part in dump.split('  File "') if "amplitude_async" in part.split("\n", 1)[0])
    check(ours)
    check(log.getvalue(), PERSON, "canary-content", "canary-sig")


@pytest.mark.anyio
async def test_logs_of_calls_that_work_hold_nothing_either(log: io.StringIO) -> None:
    """At DEBUG, records of our requests name no key, person or query, and other users' records stay as they are (S2, S5)."""
    with ScriptedServer(*[answer(response(200, b'{"code":200,"matches":[]}'))] * 3) as server:
        async with make(server.url) as amplitude:
            await amplitude.track(EVENT)
            await amplitude.user_search(PERSON)
        async with httpx.AsyncClient(trust_env=False) as other:
            await other.get(f"{server.url}/mine?visible=1")
    text = log.getvalue()
    check(text, PERSON, "canary-content", "usersearch?user")
    assert "visible=1" in text


@pytest.mark.anyio
async def test_the_ingestion_endpoint_never_sees_the_secret() -> None:
    """A changed ingestion endpoint gets the API key in the body and nothing else (S14)."""
    with ScriptedServer(answer(response())) as ingestion, ScriptedServer(answer(response(200, b'{"matches": []}'))) as questions:
        amplitude = AsyncAmplitude(KEY, secret_key=SECRET, token_endpoint=ingestion.url, dashboard_endpoint=questions.url)
        async with amplitude:
            await amplitude.track(EVENT)
            await amplitude.user_search("x")
        seen = b"".join(ingestion.requests)
        assert b"authorization" not in seen.lower()
        assert SECRET.encode() not in seen
        assert b"authorization: basic" in questions.requests[0].lower()


@pytest.mark.anyio
async def test_no_cookie_is_kept() -> None:
    """What a server sets, no later request carries (S15)."""
    with ScriptedServer(*[answer(response(200, b'{"code":200,"matches":[]}', "Set-Cookie: a=b; Path=/"))] * 2) as server:
        async with make(server.url) as amplitude:
            await amplitude.track(EVENT)
            await amplitude.track(EVENT)
        assert b"cookie" not in b"".join(server.requests).lower()


@pytest.mark.anyio
async def test_proxies_netrc_and_certificates_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the environment redirects a request or adds to it, unless trust_env asks for it (S16, B12)."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login netrc-user password netrc-pass", "ascii")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with ScriptedServer(answer(response())) as proxy, ScriptedServer(answer(response()), answer(response())) as server:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        async with make(server.url) as amplitude:
            await amplitude.track(EVENT)
        assert proxy.accepted == 0
        assert b"authorization" not in server.requests[0].lower()
        async with make(server.url, trust_env=True) as amplitude:
            await amplitude.track(EVENT)
        assert proxy.accepted == 1


@pytest.mark.anyio
@pytest.mark.parametrize("transport", ["httpx", "httpx2", "aiohttp"])
async def test_what_of_the_environment_cannot_be_used_is_an_error_of_ours(
    transport: Any, anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing certificate file, or a proxy nobody speaks, is this library's error and shows no password (B12)."""
    if transport == "aiohttp" and anyio_backend == "trio":
        pytest.skip("aiohttp runs on asyncio alone")
    faults = {"SSL_CERT_FILE": "/no/such/file.pem", "https_proxy": "gopher://someone:canary-secret@127.0.0.1:1"}
    for name, value in faults.items():
        if (name, transport) == ("https_proxy", "aiohttp"):
            continue  # reads its proxies itself
        with monkeypatch.context() as environment:
            environment.setenv(name, value)
            async with make("https://127.0.0.1:1", trust_env=True, transport=transport) as amplitude:
                for call in (amplitude.track(EVENT), anext(aiter(amplitude.export(start="20260101T00", end="20260101T00")))):
                    with pytest.raises(AmplitudeError) as caught:
                        await call
                    assert "broke" not in str(caught.value)
                    check(f"{caught.value} {getattr(caught.value, 'detail', '')}")


@pytest.mark.anyio
@pytest.mark.parametrize("status", [407, 502, 200])
async def test_a_proxy_that_refuses_is_a_typed_error(status: int, monkeypatch: pytest.MonkeyPatch, log: io.StringIO) -> None:
    """When proxies are on, TLS is tunnelled, a refusal is a typed error, and the proxy's password shows nowhere (B12)."""
    with ScriptedServer(answer(response(status, b"<html>proxy</html>"))) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//someone:canary-secret@"))
        monkeypatch.setenv("no_proxy", "")
        async with make("https://host.example", trust_env=True, timeout=Timeout(attempt=1.0, first_byte=1.0)) as amplitude:
            for call in (amplitude.track(EVENT), amplitude.user_search("x")):
                with pytest.raises(amplitude_async.TransportError) as caught:
                    await call
                assert caught.value.outcome == "not_sent"
                check(f"{caught.value} {caught.value.detail}", PERSON)
        sent = b"".join(proxy.requests)
        assert {request.split(b" ")[0] for request in proxy.requests} == {b"CONNECT"}
        assert KEY.encode() not in sent
        assert b"usersearch" not in sent
    check(log.getvalue(), "c29tZW9uZTpjYW5hcnk")


@pytest.mark.anyio
async def test_the_environment_cannot_have_session_keys_written_down(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """SSLKEYLOGFILE, which Python's ssl heeds by itself, has no effect unless trust_env asks for it (S16)."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    for trust_env in (False, True):
        async with make("https://127.0.0.1:1", trust_env=trust_env) as amplitude:
            with pytest.raises(AmplitudeError):
                await amplitude.track(EVENT)
            transport = amplitude._caller.connection._transport
            assert transport is not None
            assert transport._tls is not None
            assert (transport._tls.keylog_filename is not None) == trust_env


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\x00b", "clé", "a\tb", "鍵"])
@pytest.mark.parametrize("name", ["api_key", "secret_key", *OTHERS])
def test_keys_with_odd_characters_are_refused(name: str, value: str) -> None:
    """A key with a line break, NUL or non-ASCII character is refused at construction, and not repeated (S17)."""
    with pytest.raises(ConfigurationError, match=name) as caught:
        make_with({"api_key": "key", name: value})
    assert value not in str(caught.value)


def test_importing_does_nothing() -> None:
    """Importing loads none of the dependencies, reads no environment, starts nothing (S24, S26)."""
    program = (
        "import asyncio, os, sys, threading\n"
        "reads = []\n"
        "real = os.environ.__class__.__getitem__\n"
        "os.environ.__class__.__getitem__ = lambda self, key: (reads.append(key), real(self, key))[1]\n"
        "start = set(sys.modules)\n"
        "before = set(sys.modules)\n"
        "import amplitude_async\n"
        "new = set(sys.modules) - before\n"
        "assert not new & {'httpx', 'httpcore', 'anyio', 'msgspec', 'sqlite3', 'starlette', 'uvicorn', 'trio'}, new\n"
        "assert not any('sandbox' in name for name in new), new\n"
        "assert len(new) <= 10, new\n"
        "assert not [key for key in reads if 'AMPLITUDE' in str(key)], reads\n"
        "assert threading.active_count() == 1\n"
        "amplitude_async.AsyncAmplitude('key')\n"
        "assert not (set(sys.modules) - start) & {'httpx', 'httpcore', 'sqlite3', 'uvicorn'}\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_insert_ids_never_repeat_across_forks(tmp_path: Path) -> None:
    """Ids are random version 4 UUIDs from the system, also on both sides of a fork (S20)."""
    program = (
        "import os\n"
        "from amplitude_async._io.chance import new_insert_id\n"
        "new_insert_id()\n"
        "child = os.fork()\n"
        "text = ''.join(new_insert_id() + chr(10) for _ in range(2000)).encode()\n"
        "open('child' if child == 0 else 'parent', 'wb').write(text)\n"
        "os.waitpid(child, 0) if child else None\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, cwd=tmp_path)
    ids = [one for name in ("child", "parent") for one in (tmp_path / name).read_text("ascii").split()]
    assert len(ids) == len(set(ids)) == 4000
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", one) for one in ids)


def test_no_source_runs_data_or_builds_sql() -> None:
    """No module evaluates or unpickles data, switches verification off, or puts text into SQL (S10, S21, S22)."""
    banned = re.compile(
        r"\bpickle\.loads?\(|\beval\(|\bexec\(|yaml\.load|verify=False|CERT_NONE|check_hostname = False|shell=True"
        r"|execute\(\s*f[\"']|execute\([^)]*%|asyncio\.(?:wait_for|timeout)\("
    )
    for path in SOURCE.rglob("*.py"):
        found = banned.search(path.read_text("utf-8"))
        assert found is None, f"{path.name}: {found and found[0]}"


def test_every_limit_is_finite() -> None:
    """Each kind of call is bounded in time and in what it reads (S23)."""
    from amplitude_async.options import limits_for

    for kind in ("ingestion", "query", "stream"):
        limits = limits_for(kind, Timeout())
        assert all(0 < limit < float("inf") for limit in limits)
    assert limits_for("ingestion", Timeout()).answer_bytes == 1 << 20
    assert limits_for("query", Timeout()).answer_bytes == 64 << 20


def test_only_invented_keys_are_in_the_tree() -> None:
    """No test, example or recording holds anything that looks like a real Amplitude key (S34)."""
    tests = Path(__file__).parents[1]
    for path in tests.rglob("*.*"):
        if path.suffix in {".py", ".json"}:
            assert not re.search(r"(?<![0-9a-f-])[0-9a-f]{32}(?![0-9a-f-])", path.read_text("utf-8")), path.name


def test_nothing_of_a_client_is_left_in_memory_dumps_of_errors() -> None:
    """A configuration error about a secret does not hold it."""
    with pytest.raises(ConfigurationError) as caught:
        AsyncAmplitude("key", secret_key=SECRET, base_url=f"https://user:{SECRET}@host.example")
    check(f"{caught.value} {caught.value.args}")
    gc.collect()
    assert os.environ.get("AMPLITUDE_SECRET_KEY") is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"api_key": "canary-api\n"},
        {"secret_key": "canary-secret\n"},
        {"scim_token": "canary-scim\n"},
        {"region": "mars"},
        {"base_url": "https://user:canary-secret@host.example"},
        {"token_endpoint": "ftp://canary-secret.example"},
        {"timeout": -1},
        {"max_retries": -1},
        {"max_connections": 0},
        {"transport": "x"},
        {"http_client": object},
    ],
    ids=repr,
)
def test_a_refused_construction_shows_no_key(wrong: dict[str, Any]) -> None:
    """Whatever is refused, no frame of ours holds a key or an address that was given (S3)."""
    options = {"api_key": KEY, "secret_key": SECRET, **OTHERS, **wrong}
    with pytest.raises(ConfigurationError) as caught:
        make_with(options)
    assert caught.value.__context__ is None or isinstance(caught.value.__context__, ConfigurationError)
    dump = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    ours = [part for part in dump.split('  File "') if str(SOURCE) in part.split("\n", 1)[0]]
    assert ours
    check("".join(ours))
