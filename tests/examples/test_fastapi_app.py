"""The FastAPI example under load: 200 requests at once, a SIGTERM in their midst, and nothing that was accepted is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

import amplitude_async

sys.path.insert(0, str(Path(__file__).parent))
from test_programs import EXAMPLES, SECONDS, environment, wait_for

if TYPE_CHECKING:
    from amplitude_async.sandbox import Sandbox

APP = EXAMPLES / "fastapi_app"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def started(box: Sandbox, folder: Path, port: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "warning"]
    variables = {**environment(box), "OUTBOX_FOLDER": str(folder)}
    process = subprocess.Popen(command, cwd=APP, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for(port)
    return process


async def load(port: int, stop: asyncio.Event) -> list[str]:
    """Order until the service goes; return the orders that were confirmed."""
    confirmed: list[str] = []

    async def caller(number: int, client: httpx.AsyncClient) -> None:
        for count in range(10_000):
            order = f"{number}-{count}"
            try:
                answer = await client.post(
                    f"/orders/{order}", json={"product": "lamp", "price": 5.0}, headers={"X-User": f"user-{number:05}"}
                )
            except httpx.HTTPError:
                return
            if answer.status_code == 200 and answer.json()["event"] == "kept":
                confirmed.append(f"order-{order}")
            if len(confirmed) >= 600:
                stop.set()

    limits = httpx.Limits(max_connections=200)
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=20, trust_env=False) as client,
        asyncio.TaskGroup() as group,
    ):
        for number in range(200):
            group.create_task(caller(number, client))
    return confirmed


@pytest.mark.asyncio
async def test_sigterm_among_200_requests_loses_nothing(box: Sandbox, tmp_path: Path) -> None:
    """Every order that was confirmed is in the sandbox once: after the shutdown, or after the next start."""
    box.events()
    port = free_port()
    process = await asyncio.to_thread(started, box, tmp_path / "outbox", port)
    try:
        stop = asyncio.Event()
        loading = asyncio.create_task(load(port, stop))
        async with asyncio.timeout(SECONDS):
            await stop.wait()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, SECONDS) is not None
        confirmed = await loading
    finally:
        process.kill()
        assert process.stdout is not None
        process.stdout.close()
    assert len(confirmed) >= 600
    again = await asyncio.to_thread(started, box, tmp_path / "outbox", port)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client, asyncio.timeout(SECONDS):
            while (await client.get("/health")).json()["pending"]:
                await asyncio.sleep(0.02)
    finally:
        again.send_signal(signal.SIGTERM)
        again.wait(SECONDS)
        assert again.stdout is not None
        again.stdout.close()
    arrived = [event["insert_id"] for event in box.events()]
    assert set(confirmed) <= set(arrived)
    assert all(event["user_id"].startswith("user-") for event in box.events())


def test_its_own_tests_pass(tmp_path: Path) -> None:
    """The example's tests, run as its author would."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AMPLITUDE_")}
    source = str(Path(amplitude_async.__file__).parents[1])
    clean |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": source}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "amplitude_async.testing",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        str(APP),
        str(APP),
    ]
    ran = subprocess.run(command, cwd=APP, env=clean, capture_output=True, text=True, timeout=90, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "3 passed" in ran.stdout


def test_it_shows_what_tracking_costs(box: Sandbox, tmp_path: Path) -> None:
    """``load.py`` prints p50 and p99 of a handler with and without tracking."""
    port = free_port()
    process = started(box, tmp_path / "outbox", port)
    try:
        command = [sys.executable, str(APP / "load.py"), f"http://127.0.0.1:{port}", "--callers", "20", "--seconds", "0.5"]
        ran = subprocess.run(command, env=environment(box), capture_output=True, text=True, timeout=SECONDS, check=False)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)
        assert process.stdout is not None
        process.stdout.close()
    assert ran.returncode == 0, ran.stderr
    without, tracked = ran.stdout.splitlines()
    assert without.startswith("without tracking")
    assert tracked.startswith("with tracking")
    assert "p99" in tracked
