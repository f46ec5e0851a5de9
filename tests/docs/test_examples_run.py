"""The code of the README and of the page about testing, run as it stands: against a sandbox that has the keys which it names."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient

import amplitude_async
from amplitude_async import AsyncAmplitude, NotFoundError
from amplitude_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
MAY = 1_778_846_400.0  # 2026-05-15 12:00:00 UTC: within the days that the README asks about


def blocks(name: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / name).read_text("utf-8"), re.MULTILINE | re.DOTALL)


README = blocks("README.md")
PROGRAMS = [code for code in README if "async with AsyncAmplitude" in code]
TESTS = [code for code in README if "@pytest.mark" in code]
SERVICES = [code for code in README if "FastAPI" in code]


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sandbox]:
    """Serve a sandbox that has the README's keys and cohort, named by the environment, as a proxy would be."""
    monkeypatch.chdir(tmp_path)
    with Sandbox(api_key="api-key", secret_key="secret", clock=lambda: MAY) as box:
        for name in [name for name in os.environ if name.startswith("AMPLITUDE_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("AMPLITUDE_BASE_URL", box.url)
        monkeypatch.setenv("AMPLITUDE_API_KEY", box.api_key)
        yield box


def run(code: str) -> None:
    """Run code that awaits at its top level, as a notebook would."""
    compiled = compile(code, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    found = eval(compiled, {"__name__": "readme"})
    if inspect.isawaitable(found):

        async def main() -> None:
            await found

        asyncio.run(main())


def test_every_block_is_run_here() -> None:
    """No block of the README is of a kind that no test below runs."""
    assert len(PROGRAMS) + len(TESTS) + len(SERVICES) == len(README) > 5


@pytest.mark.parametrize("code", PROGRAMS, ids=lambda code: re.findall(r"amplitude\.(\w+)", code)[0])
def test_a_program_of_the_readme_runs(named: Sandbox, code: str) -> None:
    """It runs to its end without a change. The one cohort that it names is nobody's here, and it says so."""

    async def prepared() -> None:
        async with AsyncAmplitude("api-key", secret_key="secret") as amplitude:
            await amplitude.track({"event_type": "signup", "user_id": "user-12345", "time": int(MAY * 1000)})

    asyncio.run(prepared())
    if "cohorts.download" in code:
        with pytest.raises(NotFoundError):
            run(code)
    else:
        run(code)
        assert "may.zip" not in code or Path("may.zip").read_bytes().startswith(b"PK")


@pytest.mark.parametrize("code", [*TESTS, *blocks("docs/testing.md")[:1]], ids=["readme", "testing.md"])
def test_a_test_of_the_documentation_passes(code: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """What readers copy into a project passes there."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(amplitude_async.__file__).parents[1]))
    pytester.makepyfile(textwrap.dedent(code))
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    ran = pytester.runpytest_subprocess("-p", "amplitude_async.testing", "-p", "pytest_asyncio.plugin", "-q", timeout=60)
    ran.assert_outcomes(passed=code.count("async def test_"))


@pytest.mark.parametrize("code", SERVICES)
def test_the_service_of_the_readme_serves(named: Sandbox, code: str) -> None:
    """An order becomes an event with the path of its request."""
    named.events()
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), names)
    with TestClient(names["app"]) as client:
        assert client.post("/orders/7").status_code == 200
    (event,) = named.events()
    assert event["event_type"] == "order_placed"
    assert event["event_properties"] == {"path": "/orders/7", "order_id": "7"}
