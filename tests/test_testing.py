"""The pytest plugin, as a project uses it: with pytest-asyncio, with anyio's plugin, and without the extra."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import amplitude_async
from amplitude_async.testing import Clock, TrackedEvents

Run = Callable[..., pytest.RunResult]
SRC = str(Path(amplitude_async.__file__).parents[1])


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a file of tests in a process of its own, with just the plugins named."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([SRC, os.environ.get("PYTHONPATH", "")]))

    def runner(code: str, *plugins: str, ini: str = "") -> pytest.RunResult:
        pytester.makepyfile(textwrap.dedent(code))
        pytester.makeini(f"[pytest]\nfilterwarnings = error\n{ini}\n")
        named = [part for plugin in ("amplitude_async.testing", *plugins) for part in ("-p", plugin)]
        return pytester.runpytest_subprocess(*named, "-q", timeout=60)

    return runner


CODE = """
    import pytest
    from amplitude_async import AsyncAmplitude, RateLimitedError, ServerError

    pytestmark = pytest.mark.{mark}

    async def test_events_come_in_order(amplitude, amplitude_events):
        await amplitude.track([{{"event_type": "a", "user_id": "user-1"}}, {{"event_type": "b", "user_id": "user-1"}}])
        await amplitude_events.wait_for(2)
        assert amplitude_events.types == ["a", "b"]
        assert amplitude_events[0]["user_id"] == "user-1"

    async def test_nothing_is_left_of_the_test_before(amplitude, amplitude_events, amplitude_sandbox):
        assert amplitude_events == []
        assert (await amplitude.user_search("user-1"))["matches"] == []
        assert amplitude_sandbox.faults.waiting() == []

    async def test_waits_take_no_time(amplitude, amplitude_sandbox, amplitude_clock):
        before = amplitude_clock.monotonic()
        ticket = amplitude_sandbox.faults.next(2, status=503, headers={{"Retry-After": "5"}})
        await amplitude.track({{"event_type": "a", "user_id": "user-1"}})
        assert ticket.hits == 2
        assert amplitude_clock.monotonic() - before >= 10
        amplitude_sandbox.faults.next(100, status=500)

    async def test_the_clock_is_the_servers(amplitude, amplitude_clock):
        amplitude_clock.set(1_777_636_800)
        result = await amplitude.track({{"event_type": "a", "user_id": "user-1"}})
        assert result["server_upload_time"] // 1000 == 1_777_636_800
        amplitude_clock.advance(60)
        result = await amplitude.track({{"event_type": "a", "user_id": "user-1"}})
        assert result["server_upload_time"] // 1000 == 1_777_636_860

    @pytest.fixture
    def service(amplitude):
        return amplitude.with_options(user_id="user-9")

    async def test_fixtures_stand_on_it(service, amplitude_events):
        await service.track({{"event_type": "a"}})
        assert amplitude_events[0]["user_id"] == "user-9"

    async def test_waiting_for_too_much_says_what_came(amplitude, amplitude_events):
        await amplitude.track({{"event_type": "a", "user_id": "user-1", "event_properties": {{"plan": "pro"}}}})
        with pytest.raises(AssertionError, match="2 events were waited for.*\\n *0: a by user-1 .*pro"):
            await amplitude_events.wait_for(2, timeout=0.05)
"""


def test_it_works_with_pytest_asyncio(run: Run) -> None:
    """Fixtures are fresh, the client is on the loop of the test, and its waits take no time."""
    run(CODE.format(mark="asyncio"), "pytest_asyncio.plugin", ini="asyncio_default_fixture_loop_scope = function").assert_outcomes(
        passed=6
    )


def test_it_works_with_anyio_on_both_loops(run: Run) -> None:
    """The same with anyio's own plugin, on asyncio and on trio."""
    run(CODE.format(mark="anyio"), "anyio").assert_outcomes(passed=12)


def test_it_works_with_both_plugins(run: Run) -> None:
    """Tests of both kinds in one run each get their own."""
    code = """
        import pytest

        @pytest.mark.anyio
        async def test_one(amplitude):
            await amplitude.track({"event_type": "a", "user_id": "user-1"})

        @pytest.mark.asyncio
        async def test_other(amplitude, amplitude_events):
            await amplitude.track({"event_type": "a", "user_id": "user-1"})
            assert len(amplitude_events) == 1
    """
    run(code, "pytest_asyncio.plugin", "anyio", ini="asyncio_default_fixture_loop_scope = function").assert_outcomes(passed=3)


def test_real_hosts_are_refused_where_asked(run: Run) -> None:
    """With the ini option a client of Amplitude's own hosts raises before anything is sent, unless the test is marked."""
    code = """
        import pytest
        from amplitude_async import AsyncAmplitude, ConfigurationError, TransportError

        @pytest.mark.asyncio
        async def test_refused():
            async with AsyncAmplitude("invented-key") as client:
                with pytest.raises(ConfigurationError, match="amplitude_block_network is set"):
                    await client.track({"event_type": "a", "user_id": "user-1"})

        @pytest.mark.asyncio
        async def test_sandbox_passes(amplitude):
            await amplitude.track({"event_type": "a", "user_id": "user-1"})

        @pytest.mark.asyncio
        @pytest.mark.amplitude_network
        async def test_marked():
            async with AsyncAmplitude("invented-key", max_retries=0) as client:
                client._caller.connection.bind()
    """
    ini = "amplitude_block_network = true\nasyncio_default_fixture_loop_scope = function"
    run(code, "pytest_asyncio.plugin", ini=ini).assert_outcomes(passed=3)


def test_a_missing_extra_is_named(run: Run) -> None:
    """Without the sandbox's packages the fixture fails with the line that installs them."""
    code = """
        import sys
        sys.modules["starlette"] = None

        def test_it(amplitude_sandbox):
            pass
    """
    result = run(code)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*pip install 'amplitude-async[[]sandbox]'*"])
    result.stdout.no_fnmatch_line("*During handling*")


def test_a_failed_comparison_shows_a_line_an_event(run: Run) -> None:
    """Both sides are shown, without the ids and times that a client adds."""
    code = """
        import asyncio
        from amplitude_async import AsyncAmplitude

        def test_it(amplitude_sandbox, amplitude_events):
            async def main():
                async with AsyncAmplitude(**amplitude_sandbox.credentials) as amplitude:
                    await amplitude.track({"event_type": "signup", "user_id": "user-1", "event_properties": {"plan": "pro"}})

            asyncio.run(main())
            assert amplitude_events == [{"event_type": "purchase", "user_id": "user-1"}]
    """
    result = run(code)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*what was tracked is not what was expected*",
            "E*1 tracked events",
            "E*0: signup by user-1 {'event_properties': {'plan': 'pro'}}",
            "E*1 expected",
            "E*0: purchase by user-1",
        ]
    )


def test_without_an_async_plugin_it_says_so(run: Run) -> None:
    """A client needs a loop to be closed on."""
    result = run("def test_it(amplitude): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*needs pytest-asyncio, or a test marked anyio*"])


def test_loading_it_loads_nothing_else(run: Run) -> None:
    """A run that uses no fixture loads neither httpx nor the client."""
    code = """
        import sys

        def test_it():
            assert not {"httpx", "msgspec", "starlette", "amplitude_async.client"} & set(sys.modules)
    """
    run(code).assert_outcomes(passed=1)


def test_events_read_well() -> None:
    """A failed assertion shows one line an event, without what is the same on all of them."""
    events = TrackedEvents(
        lambda: [{"event_type": "a", "user_id": "u", "insert_id": "i", "time": 1, "event_properties": {"x": 1}}, {"device_id": "d"}]
    )
    assert repr(events) == "2 tracked events\n  0: a by u {'event_properties': {'x': 1}}\n  1: (identify) by d"
    assert events[0:1] == [events[0]]


def test_a_clock_is_not_turned_back() -> None:
    """Time only goes on."""
    clock = Clock()
    clock.set(100.0)
    clock.advance(5)
    assert clock.time() == 105
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)
