"""What leaves on the wire keeps its shape whatever it is made of, and the environment cannot widen where it goes."""

from __future__ import annotations

import ast
import asyncio
import ssl
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import anyio
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import amplitude_async
from amplitude_async import AmplitudeError, AsyncAmplitude, ConfigurationError, InvalidArgumentError, Quota
from amplitude_async._io.chance import new_insert_id

if TYPE_CHECKING:
    from collections.abc import Iterator

OK = b'{"code":200,"server_upload_time":1,"payload_size_bytes":1,"events_ingested":1,"matches":[]}'
SOURCE = Path(amplitude_async.__file__ or "").parent
HEADERS = {b"host", b"accept", b"accept-encoding", b"user-agent", b"authorization", b"content-type", b"content-length"}
VARIABLES = ("AMPLITUDE_BASE_URL", "AMPLITUDE_TOKEN_ENDPOINT", "AMPLITUDE_DASHBOARD_ENDPOINT")


class Recorder(asyncio.Protocol):
    """Answers every request with the same 200, and keeps the raw bytes."""

    def __init__(self, seen: list[bytes]) -> None:
        self.seen = seen
        self.buffer = b""
        self.way_back: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self.way_back = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, blank, rest = self.buffer.partition(b"\r\n\r\n")
        lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        length = int(lengths[0].split(b":")[1]) if lengths else 0
        if not blank or len(rest) < length:
            return
        self.seen.append(self.buffer)
        self.buffer = b""
        assert self.way_back is not None
        self.way_back.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(OK), OK))


class Wiretap:
    """A client and a recording server on one event loop, so that an example costs one round trip and no start-up."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.seen: list[bytes] = []
        self.server = self.runner.run(self._listen())
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def _listen(self) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(lambda: Recorder(self.seen), "127.0.0.1", 0)

    def search(self, amplitude: AsyncAmplitude, text: str) -> bytes | None:
        """Return the bytes that a search put on the wire, ``None`` if it was refused before."""
        self.seen.clear()
        try:
            self.runner.run(amplitude.user_search(text))
        except InvalidArgumentError:
            assert not self.seen
            return None
        assert len(self.seen) == 1
        return self.seen[0]

    def close(self) -> None:
        async def stop() -> None:
            self.server.close()
            await self.server.wait_closed()

        self.runner.run(stop())
        self.runner.close()


@pytest.fixture(scope="module")
def tap() -> Iterator[Wiretap]:
    wiretap = Wiretap()
    yield wiretap
    wiretap.close()


@pytest.fixture(scope="module")
def amplitude(tap: Wiretap) -> Iterator[AsyncAmplitude]:
    client = AsyncAmplitude("key", secret_key="invented", base_url=tap.url, max_retries=0, quotas={"user_lookups": Quota()})
    yield client
    tap.runner.run(client.aclose())


TRICKS = [
    "/",
    "?",
    "#",
    "..",
    "%2f",
    "%2F..",
    "&",
    "+",
    "&user=other",
    "=",
    ";",
    "\r\nX-Injected: 1",
    "\x00",
    "%0d%0aX: y",
    "é",
    "鍵",
    " ",
]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.lists(st.sampled_from(TRICKS), min_size=1).map("".join))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_search_text_changes_path_query_or_headers(tap: Wiretap, amplitude: AsyncAmplitude, text: str) -> None:
    """Whatever is searched for arrives as that one value: same path, one parameter, no header more (S17, S18)."""
    request = tap.search(amplitude, text)
    if request is None:
        assert not text.strip()
        return
    line, *headers = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
    method, target, version = line.decode("ascii").split(" ")
    assert (method, version) == ("GET", "HTTP/1.1")
    address = urlsplit(target)
    assert (address.path, address.fragment) == ("/api/2/usersearch", "")
    pairs = parse_qsl(address.query, keep_blank_values=True, strict_parsing=True)
    assert [name for name, _ in pairs] == ["user"]
    assert pairs[0][1].strip() == text.strip()
    names = [header.partition(b":")[0].lower() for header in headers]
    assert len(names) == len(set(names))
    assert set(names) <= HEADERS


@given(st.text(min_size=1, max_size=30))
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_key_adds_a_header_line(tap: Wiretap, key: str) -> None:
    """A key is refused at construction, or travels without adding a line to the request (S17)."""
    try:
        client = AsyncAmplitude("key", secret_key=key, base_url=tap.url, max_retries=0, quotas={"user_lookups": Quota()})
    except ConfigurationError:
        assert not (key.isascii() and key.isprintable()) or key != key.strip() or " " in key
        return
    # White space alone counts as absent: the call is then refused for want of a key.
    assert not key.strip() or (key.isascii() and key.isprintable())

    async def call() -> None:
        async with client:
            await client.user_search("someone")

    tap.seen.clear()
    try:
        tap.runner.run(call())
    except ConfigurationError:
        assert not key.strip()
        assert not tap.seen
        return
    head = tap.seen[0].partition(b"\r\n\r\n")[0]
    names = [header.partition(b":")[0].lower() for header in head.split(b"\r\n")[1:]]
    assert len(names) == len(set(names))
    assert set(names) <= HEADERS


BAD_VALUES = ["https://person:canary-word@host.example", "https://169.254.169.254/canary-word", "http://host.example/canary-word"]
FROM_ENVIRONMENT = [(name, value) for name in VARIABLES for value in BAD_VALUES] + [("AMPLITUDE_REGION", "canary-word\r\n" * 40)]


@pytest.mark.parametrize(("variable", "value"), FROM_ENVIRONMENT)
def test_the_environment_is_held_to_the_same_checks(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint from the environment is checked like an argument, named by its variable, and not repeated whole (S13)."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=variable) as caught:
        AsyncAmplitude("key")
    assert value not in str(caught.value)
    if variable != "AMPLITUDE_REGION":
        assert "canary-word" not in f"{caught.value} {caught.value.args}"


def test_undocumented_variables_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the documented names configure a client (S13)."""
    for name in (
        "AMPLITUDE_ENDPOINT",
        "AMPLITUDE_URL",
        "AMPLITUDE_HOST",
        "AMPLITUDE_PROXY",
        "AMPLITUDE_ALLOW_CLEAR_TEXT",
        "TOKEN_ENDPOINT",
    ):
        monkeypatch.setenv(name, "http://elsewhere.example")
    assert "elsewhere" not in repr(AsyncAmplitude("key"))


@pytest.mark.parametrize("argument", ["base_url", "token_endpoint", "dashboard_endpoint"])
def test_each_endpoint_argument_refuses_clear_text(argument: str) -> None:
    """No argument sends keys in clear text beyond loopback without being told to by name (S11)."""
    with pytest.raises(ConfigurationError, match=argument):
        AsyncAmplitude("key", **{argument: "http://host.example"})  # type: ignore[arg-type]  # one of three texts
    assert "http://host.example" in repr(AsyncAmplitude("key", allow_clear_text=True, **{argument: "http://host.example"}))  # type: ignore[arg-type]  # as above


def test_no_argument_switches_certificates_off() -> None:
    """Verification has no switch: flags of other libraries are no arguments here (S10)."""
    for name in ("verify", "verify_ssl", "insecure", "ssl", "cert", "check_hostname"):
        with pytest.raises(TypeError, match=name):
            AsyncAmplitude("key", **{name: False})  # type: ignore[arg-type]  # that there is none is the point


@pytest.mark.anyio
async def test_tls_begins_at_1_2_and_verifies() -> None:
    """The TLS context built by default checks certificates and names, and speaks nothing older than 1.2 (S10)."""
    async with AsyncAmplitude("key", base_url="https://127.0.0.1:1", max_retries=0) as client:
        with pytest.raises(AmplitudeError):
            await client.track({"event_type": "x", "user_id": "someone"})
        transport = client._caller.connection._transport
        assert transport is not None
        context = transport._tls
        assert context is not None
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname


@pytest.mark.anyio
async def test_a_client_makes_one_tls_context(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The context, which costs 50 ms of CPU, is made at the first https connection, and serves all connections and streams of a client."""
    made: list[ssl.SSLContext] = []
    make = httpx.create_ssl_context

    def counted(**options: Any) -> ssl.SSLContext:
        made.append(make(**options))
        return made[-1]

    monkeypatch.setattr(httpx, "create_ssl_context", counted)
    client = AsyncAmplitude("key", secret_key="secret", base_url="https://127.0.0.1:1", max_retries=0, share_requests=False)
    assert made == []

    async def call() -> None:
        with pytest.raises(AmplitudeError):
            await client.track({"event_type": "x", "user_id": "someone"})

    async with client:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(call)
        with pytest.raises(AmplitudeError):
            await client.export(start="20260501T00", end="20260501T00").save(tmp_path / "never.zip")
    assert len(made) == 1


def test_insert_ids_never_repeat_across_threads() -> None:
    """Eight threads drawing at once never draw the same id (S20)."""
    with ThreadPoolExecutor(8) as threads:
        drawn = list(threads.map(lambda _: [new_insert_id() for _ in range(2000)], range(8)))
    assert len({one for ids in drawn for one in ids}) == 16_000


def test_threads_and_warnings_name_no_key(tap: Wiretap) -> None:
    """Threads that a client leaves running, and the warnings it gives, name no key (S6)."""
    with warnings.catch_warnings(record=True) as given_:
        warnings.simplefilter("always")
        client = AsyncAmplitude("canary-key", secret_key="canary-secret", base_url=tap.url, quotas={"user_lookups": Quota()})

        async def call() -> None:
            async with client:
                await client.track({"event_type": "x", "user_id": "someone"})

        tap.runner.run(call())
    assert not [str(one.message) for one in given_ if "canary" in str(one.message)]
    assert not [thread.name for thread in threading.enumerate() if "canary" in thread.name]


def test_no_source_imports_what_runs_data() -> None:
    """No module imports a serialiser that runs what it reads, or calls eval, exec, compile or __import__ (S21)."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            roots = {name.partition(".")[0] for name in imported}
            assert not roots & {"pickle", "marshal", "shelve", "dill", "yaml", "ctypes", "subprocess"}, path.name
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "compile", "__import__"}, path.name


def test_no_sql_is_an_f_string() -> None:
    """Text given to the database is never put together from values at the call (S22)."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"execute", "executemany", "executescript"}
            ):
                assert not isinstance(node.args[0], (ast.JoinedStr, ast.BinOp, ast.Call)), f"{path.name}:{node.lineno}"
