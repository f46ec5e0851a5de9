"""Amplitude's own Experiment SDK for Python, unmodified, against the sandbox: it gives what the management API set up.

Installed by the nox session ``vendors``. The SDK runs in a process of its own, as ``sdk_experiment.py`` says.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from amplitude_async import AsyncAmplitude
from amplitude_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from amplitude_async.resources.experiment import TargetSegment

PROGRAM = Path(__file__).parent / "sdk_experiment.py"
USERS = [f"user-{number:05}" for number in range(60)]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("amplitude_experiment") is None, reason="amplitude-experiment is not installed: nox -s vendors"
)


@pytest.fixture
def box() -> Iterator[Sandbox]:
    # What is recorded is recorded once a day; this one does not end in the middle of a test.
    with Sandbox(clock=lambda: 1_777_636_800.0) as running:
        yield running


async def set_up(box: Sandbox) -> None:
    """Make a flag that is evaluated locally, for half of the users and all golden ones, and an experiment that has everybody."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        flags, experiments = amplitude.experiment.flags, amplitude.experiment.experiments
        golden: TargetSegment = {
            "name": "Golden ones",
            "percentage": 100,
            "rolloutWeights": {"on": 1},
            "conditions": [{"type": "property", "prop": "gp:tier", "op": "is", "values": ["gold"]}],
        }
        local = await flags.create(
            project_id=str(box.project_id),
            key="local-flag",
            variants=[{"key": "on", "payload": {"colour": "teal"}}],
            evaluation_mode="local",
            target_segments=[golden],
            bucketing_key="user_id",
        )
        await flags.update(local["id"], enabled=True, rollout_percentage=50)
        remote = await experiments.create(project_id=str(box.project_id), key="remote-test", bucketing_key="user_id")
        await experiments.update(remote["id"], enabled=True, rollout_percentage=100)
        await experiments.add_inclusions(remote["id"], "treatment", USERS[:5])
        unused = await flags.create(project_id=str(box.project_id), key="inactive", evaluation_mode="local")
        assert unused["id"]


def run(box: Sandbox) -> Any:
    """Run the SDK for all users, and return what it printed."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AMPLITUDE_")}
    command = [sys.executable, str(PROGRAM), box.url, box.credentials["deployment_key"], json.dumps(USERS)]
    ran = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=90, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout.strip().splitlines()[-1])


def properties(user_id: str) -> dict[str, str]:
    """Return what the program says of a user."""
    return {"tier": "gold"} if user_id.endswith("7") else {}


async def ours(box: Sandbox) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what our client is given of the same users: remotely, and by the rules."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        experiment = amplitude.experiment
        configs = await experiment.flag_configs()
        remote, local = {}, {}
        for user_id in USERS:
            remote[user_id] = shown(await experiment.variants(user_id, user_properties=properties(user_id), track=False))
            local[user_id] = shown(experiment.evaluate_locally(configs, {"user_id": user_id, "user_properties": properties(user_id)}))
        return remote, local


def shown(variants: dict[str, Any]) -> dict[str, Any]:
    """Return variants as the program prints them, those of nobody left out."""
    return {
        flag: {"key": each["key"], "payload": each.get("payload")}
        for flag, each in variants.items()
        if each["key"] not in {None, "off"}
    }


def test_it_gives_what_the_management_api_set_up(box: Sandbox) -> None:
    """Remotely and locally each user gets the variants that our own client is given, inclusions and segments among them."""
    asyncio.run(set_up(box))
    found = run(box)
    remote, local = asyncio.run(ours(box))
    assert {user_id: shown(each) for user_id, each in found["remote"].items()} == remote
    assert {user_id: shown(each) for user_id, each in found["local"].items()} == local
    # The SDK's own evaluation and the sandbox's deal users out alike.
    assert {user_id: each.get("local-flag") for user_id, each in remote.items()} == {
        user_id: each.get("local-flag") for user_id, each in local.items()
    }
    assert all(
        local[user_id] == {"local-flag": {"key": "on", "payload": {"colour": "teal"}}} for user_id in USERS if properties(user_id)
    )
    has_flag = sum(bool(local[user_id]) for user_id in USERS if not properties(user_id))
    assert 0 < has_flag < len(USERS)
    assert {remote[user_id]["remote-test"]["key"] for user_id in USERS[:5]} == {"treatment"}
    assert {each["remote-test"]["key"] for each in remote.values()} == {"control", "treatment"}
    assert list(shown(found["chosen"])) == ["remote-test"]


def test_it_leaves_assignments_and_exposures(box: Sandbox) -> None:
    """What is fetched is recorded once a user, and an exposure where the SDK asks for it."""
    asyncio.run(set_up(box))
    run(box)
    run(box)

    async def events(user_id: str) -> Counter[str]:
        async with AsyncAmplitude(**box.credentials) as amplitude:
            (match,) = (await amplitude.user_search(user_id))["matches"]
            activity = await amplitude.user_activity(match["amplitude_id"])
            return Counter(event["event_type"] for event in activity["events"])

    assert asyncio.run(events(USERS[0])) == {"[Experiment] Assignment": 1, "[Experiment] Exposure": 1}
    assert asyncio.run(events(USERS[1])) == {"[Experiment] Assignment": 1}
