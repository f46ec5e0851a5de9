"""Amplitude's own SDKs, unmodified, from their public packages, against the sandbox: what they are given comes back.

They are installed by the nox session ``vendors`` (Python's into its environment, node's into a folder that ``VENDOR_NODE`` names).
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from amplitude_async import AsyncAmplitude
from amplitude_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Counted

HERE = Path(__file__).parent
NODE = os.environ.get("VENDOR_NODE", "")
COUNT = 300

needs_python = pytest.mark.skipif(
    importlib.util.find_spec("amplitude") is None, reason="amplitude-analytics is not installed: nox -s vendors"
)
needs_node = pytest.mark.skipif(not NODE or shutil.which("node") is None, reason="node and its packages are not here: nox -s vendors")
SDKS = [
    pytest.param("python", marks=needs_python),
    pytest.param("vendor", marks=needs_node),
    pytest.param("original", marks=needs_node),
]


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


def run(sdk: str, box: Sandbox, *, count: int = COUNT, min_id_length: int = 5) -> Any:
    """Run an SDK's program, and return what it printed last."""
    # Node looks for packages from where the program is.
    program = Path(NODE) / f"sdk_node_{os.getpid()}.cjs"
    if sdk == "python":
        command = [sys.executable, str(HERE / "sdk_python.py"), f"{box.url}/2/httpapi", str(count), str(min_id_length)]
    else:
        shutil.copy(HERE / "sdk_node.cjs", program)
        command = ["node", str(program), sdk, box.url, str(count)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AMPLITUDE_")}
    try:
        ran = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=90, check=False)
    finally:
        program.unlink(missing_ok=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout.strip().splitlines()[-1])


async def exported(box: Sandbox) -> list[dict[str, Any]]:
    async with AsyncAmplitude(**box.credentials) as amplitude:
        now = datetime.now(UTC)
        export = amplitude.export(start=now - timedelta(hours=2), end=now + timedelta(hours=1), allow_incomplete=True)
        return [row async for row in export.events()]


async def searched(box: Sandbox) -> Counter[str]:
    counts: Counter[str] = Counter()
    async with AsyncAmplitude(**box.credentials) as amplitude:
        for number in range(7):
            found = await amplitude.user_search(f"user-{number:05}")
            (match,) = found["matches"]
            activity = await amplitude.user_activity(match["amplitude_id"])
            counts[str(match["user_id"])] = activity["userData"]["num_events"]
    return counts


def told(sdk: str, said: Any) -> list[tuple[str, int, str]]:
    return [tuple(each) for each in (said["heard"] if sdk == "original" else said)]


def serials(box: Sandbox) -> list[int]:
    """Return the numbers of the events that came back, in their order."""
    return sorted(row["event_properties"]["serial"] for row in asyncio.run(exported(box)) if "serial" in row["event_properties"])


def numbers(sdk: str, said: Any, events: int, box: Sandbox) -> dict[str, int]:
    """Count a run: what the SDK was given, what it was told of that, and which of the tracked events came back."""
    codes = Counter(code for _, code, _ in told(sdk, said))
    calls = {"calls": events + MORE[sdk], "confirmed": codes[200], "refused": codes[400]}
    return {**calls, "events among them": events, "came back": len(serials(box))}


# What an SDK's program sends besides: an identification, and from Python a revenue event.
MORE = {"python": 2, "vendor": 1, "original": 0}


@pytest.mark.parametrize("sdk", SDKS)
def test_what_it_is_given_comes_back(sdk: str, box: Sandbox, counted: Counted) -> None:
    """Each event is confirmed to the SDK, and comes back once through export and user search; identifies have their effect."""
    said = run(sdk, box)
    found = numbers(sdk, said, COUNT, box)
    assert {code for _, code, _ in told(sdk, said)} == {200}
    assert found["confirmed"] == found["calls"]
    rows = asyncio.run(exported(box))
    own = [row for row in rows if "serial" in row["event_properties"]]
    assert serials(box) == list(range(COUNT))
    counts = asyncio.run(searched(box))
    assert sum(counts.values()) == len(rows)
    assert len(rows) == COUNT + (1 if sdk == "python" else 0)  # the revenue event
    counted(sdk, "everything at once", {**found, "found by user search": sum(counts.values())})
    if sdk == "original":
        assert said["found"] == 1
        assert said["events"] == len([row for row in own if row["user_id"] == "user-00001"])
        assert said["total"] == COUNT // 3
        assert said["bytes"] > 1000

    async def properties() -> dict[str, Any]:
        async with AsyncAmplitude(**box.credentials) as amplitude:
            (match,) = (await amplitude.user_search("user-00001"))["matches"]
            answer = await amplitude.user_activity(match["amplitude_id"])
            return dict(answer["userData"]["properties"])

    found_properties = asyncio.run(properties())
    assert found_properties["plan"] == "pro"
    if sdk != "original":
        assert found_properties["visits"] == 2


@pytest.mark.parametrize("sdk", SDKS[:2])
@pytest.mark.parametrize("status", [500, 503])
def test_it_tries_again_as_against_amplitude(sdk: str, status: int, box: Sandbox, counted: Counted) -> None:
    """Two failures are tried again by the SDK's own rules, and everything comes back once."""
    failed = box.faults.next(2, status=status, path="/2/httpapi")
    said = run(sdk, box, count=60)
    found = numbers(sdk, said, 60, box)
    counted(sdk, f"two answers of {status}", found)
    assert failed.hits == 2
    assert found["confirmed"] == found["calls"]
    assert serials(box) == list(range(60))


@pytest.mark.parametrize("sdk", SDKS[:2])
def test_what_was_taken_before_its_answer_was_lost_counts_once(sdk: str, box: Sandbox, counted: Counted) -> None:
    """The SDK sends again what it has no answer for; the sandbox knows the events by their insert ids."""
    lost = box.faults.next(1, status=502, when="after", path="/2/httpapi")
    said = run(sdk, box, count=60)
    found = numbers(sdk, said, 60, box)
    counted(sdk, "a lost answer", found)
    assert lost.hits == 1
    assert found["confirmed"] == found["calls"]
    assert serials(box) == list(range(60))


@pytest.mark.parametrize("sdk", SDKS[:2])
def test_it_halves_what_is_too_large(sdk: str, box: Sandbox, counted: Counted) -> None:
    """A 413 makes the SDK send smaller requests, which are taken."""
    too_large = box.faults.next(1, status=413, body={"code": 413, "error": "Payload too large"}, path="/2/httpapi")
    said = run(sdk, box, count=60)
    found = numbers(sdk, said, 60, box)
    counted(sdk, "a 413", found)
    assert too_large.hits == 1
    assert found["confirmed"] == found["calls"]
    assert serials(box) == list(range(60))


@pytest.mark.parametrize("sdk", SDKS[:2])
def test_it_leaves_out_what_is_refused_by_name(sdk: str, box: Sandbox, counted: Counted) -> None:
    """Ids that are too short are refused by index; the SDK drops those and sends the others again, which are taken."""
    maps = {"events_with_invalid_id_lengths": {"user_id": [0, 1]}}
    body = {"code": 400, "error": "Invalid id length for user_id or device_id", **maps}
    refused = box.faults.next(1, status=400, body=body, path="/2/httpapi")
    said = run(sdk, box, count=20)
    found = numbers(sdk, said, 20, box)
    counted(sdk, "two events refused by index", found)
    assert refused.hits == 1
    assert (found["refused"], found["confirmed"]) == (2, found["calls"] - 2)
    assert serials(box) == list(range(2, 20))


@pytest.mark.parametrize("sdk", SDKS[:2])
def test_a_user_who_is_too_fast_is_throttled(sdk: str, box: Sandbox, counted: Counted) -> None:
    """A 429 names the user; the SDK waits its half a minute, as against Amplitude, and then everything comes back once."""
    box.faults.throttle("user-00001", 5)
    said = run(sdk, box, count=60)
    found = numbers(sdk, said, 60, box)
    status = httpx.get(f"{box.url}/sandbox/status", trust_env=False).json()
    counted(sdk, "a throttled user", {**found, "in refused requests": status["rejected"]})
    assert status["rejected"] > 0
    assert found["confirmed"] == found["calls"]
    assert serials(box) == list(range(60))
