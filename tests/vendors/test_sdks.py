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

import pytest

from amplitude_async import AsyncAmplitude
from amplitude_async.sandbox import Limits, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    if sdk == "python":
        command = [sys.executable, str(HERE / "sdk_python.py"), f"{box.url}/2/httpapi", str(count), str(min_id_length)]
    else:
        # Node looks for packages from where the program is.
        program = shutil.copy(HERE / "sdk_node.cjs", Path(NODE) / "sdk_node.cjs")
        command = ["node", str(program), sdk, box.url, str(count)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AMPLITUDE_")}
    ran = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=90, check=False)
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


@pytest.mark.parametrize("sdk", SDKS)
def test_what_it_is_given_comes_back(sdk: str, box: Sandbox) -> None:
    """Each event is confirmed to the SDK, and comes back once through export and user search; identifies have their effect."""
    said = run(sdk, box)
    assert {code for _, code, _ in told(sdk, said)} == {200}
    rows = asyncio.run(exported(box))
    own = [row for row in rows if "serial" in row["event_properties"]]
    assert sorted(row["event_properties"]["serial"] for row in own) == list(range(COUNT))
    counts = asyncio.run(searched(box))
    assert sum(counts.values()) == len(rows)
    assert len(rows) == COUNT + (1 if sdk == "python" else 0)  # the revenue event
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

    found = asyncio.run(properties())
    assert found["plan"] == "pro"
    if sdk != "original":
        assert found["visits"] == 2


@pytest.mark.parametrize("sdk", SDKS[:2])
def test_it_tries_again_as_against_amplitude(sdk: str, box: Sandbox) -> None:
    """A 500 and a 503 are tried again by the SDK's own rules, and everything comes back once."""
    failed = box.faults.next(2, status=500, path="/2/httpapi")
    said = run(sdk, box, count=60)
    assert failed.hits == 2
    assert {code for _, code, _ in told(sdk, said)} == {200}
    rows = [row for row in asyncio.run(exported(box)) if "serial" in row["event_properties"]]
    assert sorted(row["event_properties"]["serial"] for row in rows) == list(range(60))


@pytest.mark.parametrize("sdk", SDKS[:2])
def test_it_halves_what_is_too_large(sdk: str, box: Sandbox) -> None:
    """A 413 makes the SDK send smaller requests, which are taken."""
    too_large = box.faults.next(1, status=413, body={"code": 413, "error": "Payload too large"}, path="/2/httpapi")
    said = run(sdk, box, count=60)
    assert too_large.hits == 1
    rows = [row for row in asyncio.run(exported(box)) if "serial" in row["event_properties"]]
    taken = [code for _, code, _ in told(sdk, said) if code == 200]
    assert len(taken) >= len(rows) > 0


@pytest.mark.parametrize("sdk", SDKS[:2])
def test_it_leaves_out_what_is_refused_by_name(sdk: str) -> None:
    """Ids that are too short are refused by index; the SDK drops those and sends the others again, which are taken."""
    with Sandbox() as box:
        refused = box.faults.next(
            1,
            status=400,
            body={
                "code": 400,
                "error": "Invalid id length for user_id or device_id",
                "events_with_invalid_id_lengths": {"user_id": [0, 1]},
            },
            path="/2/httpapi",
        )
        said = run(sdk, box, count=20)
        assert refused.hits == 1
        codes = Counter(code for _, code, _ in told(sdk, said))
        assert codes[400] == 2
        assert codes[200] == len(told(sdk, said)) - 2


@needs_python
def test_a_user_who_is_too_fast_is_throttled() -> None:
    """In a strict sandbox 30 events/s are the limit of a user: the SDK is told which, and waits as it does against Amplitude."""
    limits = Limits(v2_events_per_second=1, window_s=4.0)
    with Sandbox(limits=limits) as box:
        said = run("python", box, count=20)
        assert any(code in {200, 429} for _, code, _ in told("python", said))
        assert box.events()
