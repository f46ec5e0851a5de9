"""The pytest plugin: a sandbox for each test, a client on it, what was tracked, and a clock.

Installed with the package; fixtures load what they need when a test asks for them. ``amplitude_block_network = true`` in the ini file
makes every client that would go to Amplitude's real hosts raise, unless its test is marked ``amplitude_network``.

Works with pytest-asyncio and with anyio's own plugin: ``amplitude`` is opened and closed on the loop of the test that asks for it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from pprint import pformat
from typing import TYPE_CHECKING, Any, ClassVar, Final, overload

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from amplitude_async.client import AsyncAmplitude
    from amplitude_async.sandbox.box import Sandbox

__all__ = ["Clock", "TrackedEvents"]

INI: Final = "amplitude_block_network"
MARK: Final = "amplitude_network"
_LOOK_EVERY: Final = 0.005
_QUIET: Final = frozenset({"insert_id", "time", "user_id", "device_id", "event_type"})


class Clock:
    """The clock of the sandbox and of the client's waits: real time, and however far it was turned on.

    A client's waits (retries, polls, budgets) turn it on instead of waiting.
    """

    def __init__(self) -> None:
        self._ahead = 0.0
        self._stopped: float | None = None

    def time(self) -> float:
        """Return the time, in seconds since the epoch."""
        return (time.time() if self._stopped is None else self._stopped) + self._ahead

    def monotonic(self) -> float:
        """Return a time that never goes back, in seconds."""
        return time.monotonic() + self._ahead

    def advance(self, seconds: float) -> None:
        """Turn it on by so much."""
        if seconds < 0:
            message = "a clock is not turned back"
            raise ValueError(message)
        self._ahead += seconds

    def set(self, moment: datetime | float) -> None:
        """Stop it at a moment: an aware datetime, or seconds since the epoch. :meth:`advance` still turns it on."""
        self._stopped = (moment.timestamp() if isinstance(moment, datetime) else float(moment)) - self._ahead

    async def sleep(self, seconds: float) -> None:
        """Turn it on by so much, and give others a turn."""
        import anyio.lowlevel  # noqa: PLC0415 - loaded where something waits

        self.advance(max(seconds, 0.0))
        await anyio.lowlevel.checkpoint()


class TrackedEvents(Sequence[dict[str, Any]]):
    """What the sandbox accepted in this test, as it was sent, in the order in which it came; grows while the test runs.

    Compares with a list, and shows in a failed assertion one line an event.
    """

    def __init__(self, read: Callable[[], list[dict[str, Any]]]) -> None:
        self._read = read

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        return self._read()[index]

    def __len__(self) -> int:
        return len(self._read())

    def __eq__(self, other: object) -> bool:
        return self._read() == (other._read() if isinstance(other, TrackedEvents) else other)

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        lines = [_line(event) for event in self._read()]
        return "\n".join([f"{len(lines)} tracked events", *_numbered(lines)])

    @property
    def types(self) -> list[str]:
        """The type of each event."""
        return [str(event.get("event_type")) for event in self._read()]

    async def wait_for(self, count: int, *, timeout: float = 5.0) -> list[dict[str, Any]]:  # noqa: ASYNC109 - seconds of real time
        """Wait until so many events came, and return them.

        Args:
            count: How many, at least.
            timeout: Seconds of real time.

        Raises:
            AssertionError: Fewer came in time; shows those that did.
        """
        import anyio  # noqa: PLC0415 - loaded where something waits

        with anyio.move_on_after(timeout):
            while len(self) < count:  # noqa: ASYNC110 - they come in on the server's thread, which can set no event of this loop
                await anyio.sleep(_LOOK_EVERY)
        found = self._read()
        if len(found) < count:
            message = f"{count} events were waited for, within {timeout:g} s came {self!r}"
            raise AssertionError(message)
        return found


def _numbered(lines: list[str]) -> list[str]:
    return [f"  {index}: {line}" for index, line in enumerate(lines)]


def _line(event: dict[str, Any]) -> str:
    who = event.get("user_id") or event.get("device_id") or event.get("group_value") or "?"
    rest = {name: value for name, value in event.items() if name not in _QUIET}
    kind = event.get("event_type", "(identify)")
    return f"{kind} by {who}" + (f" {pformat(rest, width=200, compact=True)}" if rest else "")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the ini option."""
    parser.addini(INI, "refuse clients of amplitude_async that would go to Amplitude's real hosts", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark, and the fixture that pytest-asyncio runs, where that is installed."""
    config.addinivalue_line("markers", f"{MARK}: this test may go to Amplitude's real hosts although {INI} is set")
    if _has_asyncio(config):
        config.pluginmanager.register(_asyncio_fixtures(), "amplitude_async.testing.asyncio")


def _has_asyncio(config: pytest.Config) -> bool:
    """Whether pytest-asyncio is there: by its entry point, or named on the command line."""
    return any(config.pluginmanager.has_plugin(name) for name in ("asyncio", "pytest_asyncio.plugin"))


def _asyncio_fixtures() -> object:
    import pytest_asyncio  # noqa: PLC0415 - only where it is installed

    class OnAsyncio:
        """The client, opened and closed by pytest-asyncio."""

        @pytest_asyncio.fixture
        async def _amplitude_on_asyncio(self, amplitude_sandbox: Sandbox, amplitude_clock: Clock) -> AsyncIterator[AsyncAmplitude]:
            async with _client(amplitude_sandbox, amplitude_clock) as client:
                yield client

    return OnAsyncio()


class _Hands:
    """What the one server reads its time from: the clock of the test that runs."""

    def __init__(self) -> None:
        self.clock = Clock()

    def __call__(self) -> float:
        return self.clock.time()


def _client(box: Sandbox, clock: Clock) -> AsyncAmplitude:
    from amplitude_async import AsyncAmplitude, Backoff  # noqa: PLC0415 - loaded where a test asks for it

    return AsyncAmplitude(**box.credentials, backoff=Backoff(clock=clock.monotonic, sleep=clock.sleep))


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Say what was tracked, one line an event, where that is compared with something else."""
    if op != "==" or not isinstance(left, TrackedEvents):
        return None
    expected = list(right) if isinstance(right, Sequence) and not isinstance(right, str) else [right]
    wanted = [_line(each) if isinstance(each, dict) else repr(each) for each in expected]
    return ["what was tracked is not what was expected", *repr(left).splitlines(), f"{len(wanted)} expected", *_numbered(wanted)]


@pytest.fixture(scope="session")
def _amplitude_running_sandbox() -> Iterator[tuple[Sandbox, _Hands]]:
    """One server for the session; its clock is that of the test that runs."""
    from amplitude_async.errors import ConfigurationError  # noqa: PLC0415 - loaded where a test asks for it

    missing = ""
    try:
        from amplitude_async.sandbox import Sandbox  # noqa: PLC0415 - loaded where a test asks for it
    except ConfigurationError as error:
        missing = str(error)
    if missing:
        pytest.fail(missing, pytrace=False)
    hands = _Hands()
    with Sandbox(clock=hands) as box:
        yield box, hands


@pytest.fixture
def amplitude_clock() -> Clock:
    """The clock of this test's sandbox and client: real time until it is turned on or stopped."""
    return Clock()


@pytest.fixture
def amplitude_sandbox(_amplitude_running_sandbox: tuple[Sandbox, _Hands], amplitude_clock: Clock) -> Iterator[Sandbox]:
    """A running sandbox that knows nothing yet; ``amplitude_sandbox.url`` is where, ``.faults`` lets it go wrong."""
    box, hands = _amplitude_running_sandbox
    box.reset()
    box.events()
    hands.clock = amplitude_clock
    yield box
    box.faults.clear()


@pytest.fixture
async def _amplitude_on_anyio(amplitude_sandbox: Sandbox, amplitude_clock: Clock) -> AsyncIterator[AsyncAmplitude]:
    async with _client(amplitude_sandbox, amplitude_clock) as client:
        yield client


@pytest.fixture
def amplitude(request: pytest.FixtureRequest) -> AsyncAmplitude:
    """A client on ``amplitude_sandbox``, with every credential; opened and closed on the loop of the test. Its waits take no time."""
    is_anyio = request.node.get_closest_marker("anyio") is not None or "anyio_backend" in request.fixturenames
    name = "_amplitude_on_anyio" if is_anyio else "_amplitude_on_asyncio"
    if not is_anyio and not _has_asyncio(request.config):
        pytest.fail("the fixture 'amplitude' needs pytest-asyncio, or a test marked anyio", pytrace=False)
    client: AsyncAmplitude = request.getfixturevalue(name)
    return client


@pytest.fixture
def amplitude_events(amplitude_sandbox: Sandbox) -> TrackedEvents:
    """What was tracked in this test: a list that grows; ``await amplitude_events.wait_for(2)``."""
    return TrackedEvents(amplitude_sandbox.events)


@pytest.fixture(autouse=True)
def _amplitude_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse Amplitude's real hosts, where the ini file says so."""
    if not request.config.getini(INI) or request.node.get_closest_marker(MARK) is not None:
        return
    from amplitude_async._io.connection import Connection  # noqa: PLC0415 - loaded where it is asked for
    from amplitude_async._protocol.hosts import HOSTS  # noqa: PLC0415 - as above
    from amplitude_async.errors import ConfigurationError  # noqa: PLC0415 - as above

    real = {f"https://{host}" for hosts in HOSTS.values() for host in hosts if host}
    bind = Connection.bind

    def bind_at_home(self: Connection, *, may_be_closing: bool = False) -> None:
        for endpoint in self.settings.endpoints.values():
            if endpoint is not None and endpoint.origin in real:
                message = (
                    f"{INI} is set: give this client base_url= of a sandbox, or mark the test {MARK}. It goes to {endpoint.origin}."
                )
                raise ConfigurationError(message)
        bind(self, may_be_closing=may_be_closing)

    monkeypatch.setattr(Connection, "bind", bind_at_home)
