"""The sandbox as a program of its own: ``python -m amplitude_async.sandbox``."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from pathlib import Path


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-u", "-m", "amplitude_async.sandbox", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def address(process: subprocess.Popen[str]) -> str:
    """Read what the program prints until it names its address."""
    assert process.stdout is not None
    for line in process.stdout:
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found:
            return found[0]
    raise AssertionError


def test_it_serves_other_programs_and_keeps_its_store(tmp_path: Path) -> None:
    """It prints where it listens, takes events, ends on Ctrl-C, and finds them again in its file at the next start."""
    store = ["--port", "0", "--api-key", "the-key", "--secret-key", "the-secret", "--store", str(tmp_path / "box.db")]
    with start(*store) as process:
        url = address(process)
        event = {"event_type": "x", "user_id": "user-12345"}
        answer = httpx.post(f"{url}/2/httpapi", json={"api_key": "the-key", "events": [event]}, trust_env=False)
        assert answer.json()["events_ingested"] == 1
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    with start(*store) as process:
        url = address(process)
        found = httpx.get(f"{url}/api/2/usersearch", params={"user": "user-12345"}, auth=("the-key", "the-secret"), trust_env=False)
        assert found.json()["type"] == "match_user_or_device_id"
        refused = httpx.get(f"{url}/api/2/usersearch", params={"user": "x"}, auth=("the-key", "other"), trust_env=False)
        assert refused.status_code == 403
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def test_it_refuses_to_listen_beyond_loopback() -> None:
    """Without the explicit flag another address than loopback is refused with exit code 2 (G2)."""
    with start("--host", "0.0.0.0", "--port", "0") as process:
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "loopback" in output


def test_it_begins_with_a_world_and_a_token_of_choice() -> None:
    """``--seed`` fills it with so many people before it says where it is, ``--token`` is what steers it, and is not shown."""
    with start("--port", "0", "--seed", "25", "--token", "invented-token") as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        found = re.search(r"([\d,]+) events of a made-up shop", first)
        assert found
        url = address(process)
        status = httpx.get(f"{url}/sandbox/status", trust_env=False).json()
        assert sum(each["count"] for each in status["event_types"]) == int(found[1].replace(",", ""))
        holder = {"authorization": "Bearer invented-token"}
        assert httpx.delete(f"{url}/sandbox/faults", headers=holder, trust_env=False).status_code == 200
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
    assert "invented-token" not in first + rest


def test_it_refuses_a_world_of_nobody() -> None:
    """A number of people that makes no sense is refused with exit code 2."""
    with start("--port", "0", "--seed", "0") as process:
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "users must be a whole number" in output


def test_without_its_packages_it_says_how_to_install_them() -> None:
    """One line names the extra, also to whoever imports it."""
    without = "import sys; sys.modules['uvicorn'] = None; "
    ran = subprocess.run(
        [sys.executable, "-c", f"{without}from amplitude_async.sandbox.__main__ import main; sys.exit(main([]))"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    line = "The sandbox needs packages that are not installed: pip install 'amplitude-async[sandbox]'"
    assert (ran.returncode, ran.stderr.strip()) == (2, f"cannot start the sandbox: {line}")
    imported = subprocess.run(
        [sys.executable, "-c", f"{without}from amplitude_async.sandbox import Sandbox"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert imported.stderr.strip().splitlines()[-1] == f"amplitude_async.errors.ConfigurationError: {line}"
