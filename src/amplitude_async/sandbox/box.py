"""The sandbox as a context manager: uvicorn on a loopback port, in a thread with an event loop of its own.

Its own thread, so that a program on asyncio, on trio or on no loop at all can use it alike, and so that a blocked
caller doesn't block the server it waits for.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Self

import anyio.to_thread
import uvicorn

from amplitude_async.errors import ConfigurationError, InvalidArgumentError
from amplitude_async.sandbox import charts
from amplitude_async.sandbox.control import Control
from amplitude_async.sandbox.desk import Desk, Keys, is_loopback
from amplitude_async.sandbox.faults import Faults
from amplitude_async.sandbox.limits import Limits
from amplitude_async.sandbox.mischief import Mischief, Wires
from amplitude_async.sandbox.origins import AnyOrigin
from amplitude_async.sandbox.periods import Zone
from amplitude_async.sandbox.server import Service

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from amplitude_async.sandbox.desk import Credentials
    from amplitude_async.sandbox.watching import Watch

DEFAULT_PROJECT_ID: Final = 612_345
_START_SECONDS: Final = 10.0
_DRAIN_SECONDS: Final = 1  # what requests in flight get when the sandbox stops
_LOOK_SECONDS: Final = 0.005  # how often it looks whether they are done
_TICK_SECONDS: Final = 1.0  # how often the date in answers is written anew
_LONGEST_HEADERS: Final = 65_536


class _Config(uvicorn.Config):
    """Settings that leave the logging of the host program alone."""

    def configure_logging(self) -> None:
        """Do nothing: uvicorn's own set-up changes loggers of the whole process."""


class _Server(uvicorn.Server):
    """A server that says when it listens, and can be gone for a while."""

    def __init__(self, config: uvicorn.Config, listening: threading.Event, wires: Wires, watch: Watch) -> None:
        super().__init__(config)
        self._listening = listening
        self._wires = wires
        self._watch = watch
        self._loop: asyncio.AbstractEventLoop | None = None
        self._return: asyncio.Task[None] | None = None
        self._leaving = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to serve, and tell who waits for it."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._listening.set()

    async def main_loop(self) -> None:
        """Serve until :meth:`leave`. uvicorn looks every 0.1 s whether it is to stop; each test with a sandbox would wait for that."""
        while not await self.on_tick(0):
            with anyio.move_on_after(_TICK_SECONDS):
                await self._leaving.wait()

    def leave(self) -> None:
        """Stop soon; from any thread."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it ended by itself
                self._loop.call_soon_threadsafe(self._leaving.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop to serve: who watches or is idle at once, who waits for an answer within a second. uvicorn's takes 0.1 s at least."""
        self._watch.close()
        for listening in (*self.servers, *(sockets or ())):
            listening.close()
        state, loop = self.server_state, asyncio.get_running_loop()
        for connection in tuple(state.connections):
            connection.shutdown()
        until = loop.time() + _DRAIN_SECONDS
        await asyncio.sleep(0)  # idle connections are gone in the next turn
        while (state.connections or state.tasks) and loop.time() < until:  # noqa: ASYNC110 - uvicorn's sets, that tell nobody
            await asyncio.sleep(_LOOK_SECONDS)
        for task in tuple(state.tasks):
            task.cancel()

    def go_down(self, seconds: float) -> None:
        """Refuse connections for so long, and cut those that stand. Blocks until that is so; from any thread but the server's own."""
        if self._loop is None:
            return
        asyncio.run_coroutine_threadsafe(self._go_down(seconds), self._loop).result(_START_SECONDS)

    async def _go_down(self, seconds: float) -> None:
        if self._return is not None and not self._return.done():
            self._return.cancel()
        else:
            self._address = self.servers[0].sockets[0].getsockname()[:2]
            self._family = self.servers[0].sockets[0].family
        for server in self.servers:
            server.close()
        self.servers = []
        self._wires.reset_all()
        # Sockets are closed in the loop's next turns.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self._return = asyncio.get_running_loop().create_task(self._come_back(seconds))

    async def _come_back(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        listener = socket.create_server(self._address, family=self._family, backlog=1024)
        await self.startup([listener])


class Sandbox:
    """Amplitude on a free loopback port, while its ``with`` or ``async with`` block lasts.

    Example:
        ```python
        with Sandbox() as box:
            print(box.url)
        ```

    Attributes:
        api_key: The one project API key that it accepts.
        secret_key: The secret key that goes with it.
        project_id: The project that exported rows name.
        token: What steering it over HTTP needs.
        faults: What shall go wrong: ``box.faults.next(2, status=503)``; see :class:`amplitude_async.sandbox.faults.Faults`.
    """

    def __init__(  # noqa: PLR0913 - one argument per thing that is chosen
        self,
        *,
        strict: bool = False,
        store: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str = "sandbox",
        secret_key: str = "sandbox",  # noqa: S107 - the documented test key
        org_api_key: str = "sandbox",
        org_secret_key: str = "sandbox",  # noqa: S107 - as above
        deployment_key: str = "sandbox",
        management_key: str = "sandbox",
        scim_token: str = "sandbox",  # noqa: S107 - as above
        project_id: int = DEFAULT_PROJECT_ID,
        clock: Callable[[], float] = time.time,
        allow_remote: bool = False,
        limits: Limits | None = None,
        export_delay: float | None = None,
        token: str | None = None,
        timezone: str = "UTC",
    ) -> None:
        """Choose what to serve; nothing listens until the block is entered.

        Args:
            strict: Turn on throttling, quotas, query costs, the export delay, and a 400 for unknown events.
            store: A SQLite file, which keeps what was sent; memory when left out.
            host: Where to listen.
            port: A port; 0 takes a free one.
            api_key: The accepted API key.
            secret_key: The accepted secret key.
            org_api_key: The organisation's API key (DSAR, audit logs).
            org_secret_key: The organisation's secret key.
            deployment_key: The Experiment deployment key.
            management_key: The Experiment management key.
            scim_token: The SCIM key.
            project_id: The project's number.
            clock: The server's clock: seconds since the epoch.
            allow_remote: Permit a ``host`` that other machines can reach.
            limits: Limits of your own, with or without ``strict``.
            token: What steering it over HTTP needs, under ``/sandbox/``; drawn anew when left out, see :attr:`token`.
            export_delay: Seconds from an hour's end until it can be exported; beats ``limits``.
            timezone: The project's time zone, by its IANA name: where the days of dashboard queries begin.

        Raises:
            ConfigurationError: The host is not loopback and ``allow_remote`` is not set, or nobody knows the time zone.
        """
        if not allow_remote and not is_loopback(host):
            message = f"the sandbox listens on loopback only; {host!r} needs allow_remote=True"
            raise ConfigurationError(message)
        chosen = limits or (Limits.documented() if strict else Limits())
        if export_delay is not None:
            fields = {name: getattr(chosen, name) for name in Limits.__slots__}
            chosen = Limits(**{**fields, "export_delay_s": export_delay})
        self.api_key = api_key
        self.secret_key = secret_key
        self._keys = Keys(
            api_key=api_key,
            secret_key=secret_key,
            org_api_key=org_api_key,
            org_secret_key=org_secret_key,
            deployment_key=deployment_key,
            management_key=management_key,
            scim_token=scim_token,
        )
        self.project_id = project_id
        self._strict = strict
        self._store = store or ":memory:"
        self._host = host
        self._port = port
        self._clock = clock
        self._limits = chosen
        self.faults: Faults = Faults(clock)
        self.token: str = token or secrets.token_urlsafe(24)
        self._zone = Zone(timezone)
        self._server: _Server | None = None
        self._desk: Desk | None = None
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._url = ""

    def __repr__(self) -> str:
        """Show where it listens, not its keys."""
        return f"<Sandbox {self._url or 'not running'}>"

    @property
    def url(self) -> str:
        """Return the origin to give a client as ``base_url``; RuntimeError while it isn't running."""
        if not self._url:
            message = "the sandbox is not running: enter it with `with` or `async with`"
            raise RuntimeError(message)
        return self._url

    @property
    def credentials(self) -> Credentials:
        """Return what a client is built with: ``AsyncAmplitude(**box.credentials)`` has every key, and this ``base_url``."""
        keys = self._keys
        return {
            "base_url": self.url,
            "api_key": keys.api_key,
            "secret_key": keys.secret_key,
            "org_api_key": keys.org_api_key,
            "org_secret_key": keys.org_secret_key,
            "deployment_key": keys.deployment_key,
            "management_key": keys.management_key,
            "scim_token": keys.scim_token,
        }

    def seed(self, users: int = 1000, days: int = 30, seed: int = 7) -> int:
        """Fill it with a believable shop: people who sign up, activate, buy, and come back less and less. Blocks.

        The same arguments give the same events on the same day, down to their ids; the last day is yesterday, in UTC. The events go
        through the rules of an upload, each hour's as if it had come in that hour, so that exports have hours too. Event types:
        ``signup``, ``profile_completed``, ``app_opened``, ``item_viewed``, ``cart_filled``, ``purchase`` (with revenue).

        Args:
            users: How many people.
            days: Over how many days.
            seed: Which world.

        Returns:
            How many events there are.

        Raises:
            InvalidArgumentError: A number makes no sense.
            RuntimeError: The sandbox isn't running.
        """
        from amplitude_async.sandbox.worlds import seeded  # noqa: PLC0415 - few sandboxes are filled

        return self._running_desk().take_in(seeded(users=users, days=days, seed=seed, now=self._clock()))

    def save_chart(self, chart_id: str, query: str, **parameters: object) -> None:
        """Save a chart, so that its id can be asked for (``/api/3/chart/{chart_id}/csv``); one of the same id is replaced.

        Args:
            chart_id: What the chart is called.
            query: Which query it shows, by the end of its path: ``funnels``, ``events/segmentation``, ``retention`` and so on.
            parameters: The query's parameters, in Amplitude's spelling. Mappings go in as JSON, a list is a parameter that is
                repeated. Without ``start`` and ``end`` the chart shows the last 30 days.

        Raises:
            InvalidArgumentError: There is no such query, or something is wrong with its parameters.
            RuntimeError: The sandbox isn't running.
        """
        desk = self._running_desk()
        try:
            chart = charts.document(query, parameters)
        except ValueError as error:
            raise InvalidArgumentError(str(error), argument="query") from None
        desk.wait_for(desk.store.documents.put, charts.KIND, chart_id, chart)

    def reset(self) -> None:
        """Forget everything that was sent, every fault, and what was counted; quicker than another sandbox. Blocks.

        Raises:
            RuntimeError: The sandbox isn't running, or keeps its data in a file.
        """
        self.faults.clear()
        self._running_desk().reset()

    def events(self) -> list[dict[str, Any]]:
        """Return the events and identifications that were accepted since this was first called, as they were sent.

        They are in memory, so this is for tests.

        Raises:
            RuntimeError: The sandbox isn't running.
        """
        watch = self._running_desk().watch
        if watch.record is None:
            watch.record = [sighting["event"] for sighting in watch.recent() if sighting["kind"] == "accepted"]
        return list(watch.record)

    def _running_desk(self) -> Desk:
        if self._desk is None:
            message = "the sandbox is not running: enter it with `with` or `async with`"
            raise RuntimeError(message)
        return self._desk

    def start(self) -> None:
        """Listen and serve, in a thread; returns when requests are answered."""
        if self._thread is not None:
            message = "the sandbox is already running"
            raise RuntimeError(message)
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host.strip("[]"), self._port), family=family, backlog=1024)
        try:
            desk = Desk(
                keys=self._keys,
                project_id=self.project_id,
                store=self._store,
                strict=self._strict,
                limits=self._limits,
                clock=self._clock,
                faults=self.faults,
                zone=self._zone,
            )
        except BaseException:
            listener.close()
            raise
        host, port = listener.getsockname()[:2]
        listening = threading.Event()
        wires = Wires()
        config = _Config(
            AnyOrigin(Mischief(Service(desk).application(Control(desk, self.faults, self.token).routes()), self.faults, wires)),
            log_config=None,
            access_log=False,
            lifespan="off",
            http=wires.protocol(),
            ws="none",
            loop="asyncio",
            timeout_keep_alive=60,
            h11_max_incomplete_event_size=_LONGEST_HEADERS,
            server_header=False,
        )
        self._server = _Server(config, listening, wires, desk.watch)
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=_serve, args=(self._server, listener, desk, self._ended), name="amplitude-sandbox", daemon=True
        )
        self._thread.start()
        if not listening.wait(_START_SECONDS):
            self.stop()
            message = "the sandbox did not start"
            raise RuntimeError(message)
        self._desk = desk
        self.faults.on_down = self._server.go_down
        self._url = f"http://[{host}]:{port}" if family == socket.AF_INET6 else f"http://{host}:{port}"

    def stop(self) -> None:
        """Stop serving, cut what is still in flight after a second, and free port, thread and database."""
        server, thread = self._server, self._thread
        self._server = self._thread = self._desk = None
        self._url = ""
        self.faults.on_down = None
        if server is not None and thread is not None:
            server.leave()
            self._ended.wait()
            thread.join()

    def wait(self) -> None:
        """Block until the server ends; for programs that only serve."""
        # Not by joining the thread: a Ctrl-C in the middle of that makes Python take the thread for ended.
        while self._thread is not None and not self._ended.wait(0.5):
            pass

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop."""
        self.stop()

    async def __aenter__(self) -> Self:
        """Start, without blocking the event loop."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.start)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop, without blocking the event loop, even when the caller is being cancelled."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.stop)


def _serve(server: _Server, listener: socket.socket, desk: Desk, ended: threading.Event) -> None:
    """Run the server in this thread until it is told to stop, then release what it held."""
    try:
        asyncio.run(server.serve(sockets=[listener]))
    finally:
        try:
            listener.close()
            desk.close()
        finally:
            ended.set()
