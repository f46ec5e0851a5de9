"""Each extra alone: what it promises works, and what another one promises says which line installs that one.

Run by ``nox -s extras``, in an environment for each extra.
"""

from __future__ import annotations

import json
import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import EXTRA

if TYPE_CHECKING:
    from .conftest import Bare

ROOT = Path(__file__).parents[2]
EXTRAS = tuple(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])
alone = pytest.mark.skipif(EXTRA is None, reason="nox -s extras runs it where one extra alone is installed")

TRACKS = """
import asyncio
from amplitude_async import AsyncAmplitude
async def main():
    async with AsyncAmplitude({options}) as amplitude:
        print((await amplitude.track({{"event_type": "signup", "user_id": "user-12345"}}))["events_ingested"])
        print((await amplitude.user_search("user-12345"))["matches"])
asyncio.run(main())
"""
EXPORTS = """
import asyncio, pathlib, sys
from amplitude_async import AsyncAmplitude
async def main():
    async with AsyncAmplitude() as amplitude:
        async with amplitude.export(start="20260501T07", end="20260501T07") as export:
            {does}
asyncio.run(main())
"""
SERVES = """
import asyncio, httpx
from fastapi import FastAPI
from amplitude_async.integrations.fastapi import AmplitudeDep, AmplitudeMiddleware, OutboxDep, amplitude_lifespan
app = FastAPI(lifespan=amplitude_lifespan(outbox="events.db"))
app.add_middleware(AmplitudeMiddleware, user=lambda scope: "user-12345")
@app.post("/track")
async def track(amplitude: AmplitudeDep, outbox: OutboxDep) -> int:
    await outbox.put({"event_type": "put"})
    return (await amplitude.track({"event_type": "tracked"}))["events_ingested"]
async def main():
    # FastAPI's own TestClient asks for httpx2, which this extra does not bring.
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        print((await client.post("/track")).json())
asyncio.run(main())
"""
WATCHES = """
import asyncio
from amplitude_async import AsyncAmplitude
from amplitude_async.integrations.opentelemetry import instrument
async def main():
    async with instrument(AsyncAmplitude()) as amplitude, amplitude.outbox() as outbox:
        await outbox.put({"event_type": "put", "user_id": "user-12345"})
        print((await amplitude.track({"event_type": "signup", "user_id": "user-12345"}))["events_ingested"])
asyncio.run(main())
"""
SANDBOX = """
import asyncio
from amplitude_async import AsyncAmplitude
from amplitude_async.sandbox import Sandbox
async def main():
    with Sandbox() as box:
        async with AsyncAmplitude(**box.credentials) as amplitude:
            await amplitude.track({"event_type": "signup", "user_id": "user-12345"})
        print([event["event_type"] for event in box.events()])
asyncio.run(main())
"""
PLOTS = """
from amplitude_async.plots import plot, save
chart = plot({"data": {"series": [[3, 1]], "seriesMeta": [{"segmentIndex": 0}], "xValues": ["2026-05-01", "2026-05-02"]}})
for kind in ("html", "svg", "png"):
    print(save(chart, f"users.{kind}").stat().st_size > 1000)
"""
REFUSED = """
import asyncio
from amplitude_async import AsyncAmplitude, ConfigurationError
async def main():
    {does}
try:
    asyncio.run(main())
except ConfigurationError as error:
    print(error)
"""
INSTALLS = re.compile(r"pip install 'amplitude-async\[(\w+)\]'")


def works_cli(bare: Bare) -> None:
    """Events are sent, files are written, everything has its help; a picture, a sandbox and Parquet are other extras'."""
    assert bare.command("track", "signup", "--user-id", "user-12345") == "1 event delivered\n"
    assert "1 rows" in bare.command("export", "2026-05-01T07", "hour.ndjson")
    assert "export-query" in bare.command("--help")
    assert json.loads(bare.command("doctor", "--json"))
    if EXTRA == "cli":
        assert "pip install duckdb" in bare.command("export-query", "select 1", _folder(bare), code=3)
        (say,) = INSTALLS.findall(bare.command("sandbox", "--port", "0", code=3))
        assert say == "sandbox"
        (say,) = INSTALLS.findall(bare.command("export", "2026-05-01T07", "raw", code=3))
        assert say == "parquet"
        (say,) = INSTALLS.findall(bare.command("active-users", "--plot", "users.svg", code=3))
        assert say == "plot"


def _folder(bare: Bare) -> str:
    bare.command("export", "2026-05-01T07", "hours", "--format", "ndjson")
    return "hours"


def works_alone(bare: Bare) -> None:
    """Sending, asking and exporting need no extra."""
    assert bare.program(TRACKS.format(options="")) == "1\n[]\n"
    assert bare.program(EXPORTS.format(does="print((await export.to_ndjson('hour.ndjson'))[0].rows)")) == "1\n"


def works_sandbox(bare: Bare) -> None:
    """A sandbox runs and takes events."""
    assert bare.program(SANDBOX) == "['signup']\n"


def works_fast(bare: Bare) -> None:
    """Rows are inflated by isal."""
    does = "print((await export.to_ndjson('hour.ndjson'))[0].rows, 'isal' in sys.modules)"
    assert bare.program(EXPORTS.format(does=does)) == "1 True\n"


def works_fastapi(bare: Bare) -> None:
    """A service has its client, its outbox and its middleware."""
    assert bare.program(SERVES) == "1\n"


def works_httpx2(bare: Bare) -> None:
    """The client stands on httpx2."""
    assert bare.program(TRACKS.format(options="transport='httpx2'")) == "1\n[]\n"


def works_aiohttp(bare: Bare) -> None:
    """The client stands on aiohttp."""
    assert bare.program(TRACKS.format(options="transport='aiohttp'")) == "1\n[]\n"


def works_otel(bare: Bare) -> None:
    """A client is instrumented with the API alone."""
    assert bare.program(WATCHES) == "1\n"


def works_parquet(bare: Bare) -> None:
    """Rows come as Parquet."""
    does = "print((await export.to_parquet('.'))[0].rows, [path.suffix for path in pathlib.Path().glob('*.parquet')])"
    assert bare.program(EXPORTS.format(does=does)) == "1 ['.parquet']\n"


def works_plot(bare: Bare) -> None:
    """An answer becomes a page and two kinds of pictures."""
    assert bare.program(PLOTS) == "True\nTrue\nTrue\n"


WORKS = {
    "none": works_alone,
    "sandbox": works_sandbox,
    "cli": works_cli,
    "fast": works_fast,
    "fastapi": works_fastapi,
    "httpx2": works_httpx2,
    "otel": works_otel,
    "parquet": works_parquet,
    "plot": works_plot,
    "aiohttp": works_aiohttp,
}
"""What shows that the promise of an extra holds. ``all`` holds all of them."""
WITHOUT = {
    "sandbox": "from amplitude_async.sandbox import Sandbox",
    "cli": "import sys; from amplitude_async.cli.program import main; sys.stderr = sys.stdout; assert main(['--help']) == 3",
    "fastapi": "import amplitude_async.integrations.fastapi",
    "httpx2": "async with AsyncAmplitude(transport='httpx2') as amplitude: await amplitude.user_search('user-12345')",
    "otel": "import amplitude_async.integrations.opentelemetry",
    "parquet": "async with AsyncAmplitude() as amplitude: await amplitude.export(start='20260501T07', end='20260501T07').to_parquet('.')",
    "plot": "from amplitude_async.plots import plot; plot({'data': {'series': [[1]], 'seriesMeta': [{}], 'xValues': ['2026-05-01']}})",
    "aiohttp": "async with AsyncAmplitude(transport='aiohttp') as amplitude: await amplitude.user_search('user-12345')",
}
"""What cannot be done without an extra. Without ``fast`` everything can, more slowly."""
COMES_ALONG = {"fastapi": {"otel"}}
"""Newer versions of FastAPI bring OpenTelemetry's API."""


@alone
@pytest.mark.parametrize("extra", ["none", *(extra for extra in EXTRAS if extra != "all")])
def test_an_extra_is_enough_or_named(bare: Bare, extra: str) -> None:
    """What is installed does what it promises, alone; what is not says the line that installs it."""
    if extra == "none" or is_there(extra):
        WORKS[extra](bare)
    elif extra != "fast":
        assert INSTALLS.findall(bare.program(REFUSED.format(does=WITHOUT[extra]))) == [extra]


@alone
def test_the_environment_is_that_of_its_extra() -> None:
    """It holds that extra, and others only as far as that one brings them (FastAPI stands on Starlette); else nothing would be shown."""
    there = {extra for extra in EXTRAS if extra != "all" and is_there(extra)}
    if EXTRA == "all":
        assert there == {*EXTRAS} - {"all"}
    else:
        assert there - COMES_ALONG.get(str(EXTRA), set()) == {EXTRA} - {"none"}


def is_there(extra: str) -> bool:
    """Whether all that an extra brings is installed."""
    required = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"][extra]
    names = {found.name.lower().replace("_", "-") for found in metadata.distributions()}
    return {re.split(r"[^\w-]", line)[0].lower() for line in required} <= names


def test_every_extra_is_tried() -> None:
    """An extra that is added without a promise here is found, and ``all`` has each of them."""
    assert set(WORKS) == {*EXTRAS, "none"} - {"all"}
    assert set(WITHOUT) == {*EXTRAS} - {"all", "fast"}
    (everything,) = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]["all"]
    assert set(re.findall(r"\w+", everything.partition("[")[2])) == {*EXTRAS} - {"all"}
