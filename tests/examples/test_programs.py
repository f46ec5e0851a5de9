"""The example programs, started the way their user starts them, against a sandbox."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from amplitude_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parents[2] / "examples"
SECONDS = 60


def environment(box: Sandbox) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AMPLITUDE_")}
    return {**kept, "AMPLITUDE_API_KEY": box.api_key, "AMPLITUDE_SECRET_KEY": box.secret_key, "AMPLITUDE_BASE_URL": box.url}


def activity(box: Sandbox, user_id: str) -> list[str]:
    """Return the types of a user's events, asked of the sandbox without our client."""
    auth = (box.api_key, box.secret_key)
    with httpx.Client(base_url=box.url, auth=auth, trust_env=False) as http:
        match = http.get("/api/2/usersearch", params={"user": user_id}).json()["matches"][0]
        events = http.get("/api/2/useractivity", params={"user": match["amplitude_id"]}).json()["events"]
    return [event["event_type"] for event in events]


def test_the_tour_ends_well() -> None:
    """The tour walks through the six calls and its counts add up."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "tour.py")], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "301 events went in, 301 came out: it adds up." in done.stdout
    assert done.stderr == ""


def test_the_worker_tracks_each_job(box: Sandbox) -> None:
    """Every job that the worker reports is an event in the sandbox."""
    jobs = "\n".join(json.dumps({"user_id": "worker-user", "task": f"task-{n}"}) for n in range(25))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "worker.py")],
        input=jobs,
        env=environment(box),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "25 jobs done and tracked\n"
    assert activity(box, "worker-user") == ["job_done"] * 25


def run_example(box: Sandbox, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-W", "default:Export", str(EXAMPLES / name), *arguments],
        env=environment(box),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def upload_orders(box: Sandbox, count: int) -> None:
    """Put events into the sandbox without our client."""
    events = [{"event_type": "order_placed", "user_id": f"user-{n}", "insert_id": f"id-{n}"} for n in range(count)]
    with httpx.Client(base_url=box.url, trust_env=False) as http:
        assert http.post("/2/httpapi", json={"api_key": box.api_key, "events": events}).status_code == 200


def test_an_export_goes_into_a_file_and_is_counted(box: Sandbox, tmp_path: Path) -> None:
    """The file holds what was tracked, and rows are counted without one."""
    upload_orders(box, 40)
    hour = time.strftime("%Y%m%dT%H", time.gmtime())
    before = time.strftime("%Y%m%dT%H", time.gmtime(time.time() - 3600))
    done = run_example(box, "export_to_aiofiles.py", before, hour, str(tmp_path / "export.zip"))
    assert done.returncode == 0, done.stderr
    assert "40  order_placed" in done.stdout
    assert "40 rows in" in done.stdout
    with zipfile.ZipFile(tmp_path / "export.zip") as archive:
        assert archive.testzip() is None


def test_the_nightly_job_can_be_run_again(tmp_path: Path) -> None:
    """A second run fetches only what may still change, and ends with the same files."""
    clock = time.time() - 8 * 3600
    with Sandbox(clock=lambda: clock) as box:
        upload_orders(box, 40)
        first = run_example(box, "nightly_export.py", str(tmp_path), "1")
        assert first.returncode == 0, first.stderr
        assert "40 rows in all" in first.stdout
        files = {path.name: path.read_bytes() for path in tmp_path.glob("*.parquet")}
        assert len(files) == 1
        second = run_example(box, "nightly_export.py", str(tmp_path), "1")
        assert second.returncode == 0, second.stderr
        assert " there already" in second.stdout
        assert {path.name: path.read_bytes() for path in tmp_path.glob("*.parquet")} == files


@pytest.fixture
def service(box: Sandbox) -> Iterator[str]:
    """Serve the FastAPI example under uvicorn on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "fastapi_handler:app", "--port", str(port), "--log-level", "warning"]
    with subprocess.Popen(command, cwd=EXAMPLES, env=environment(box)) as process:
        try:
            wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(SECONDS)


def wait_for(port: int) -> None:
    """Return as soon as something listens."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("the service did not start")


def test_the_fastapi_handler_answers_when_the_event_is_in(box: Sandbox, service: str) -> None:
    """An order that the handler confirms is an event in the sandbox, and repeating it adds none."""
    with httpx.Client(base_url=service, trust_env=False) as http:
        for order in ("order-1", "order-2", "order-1"):
            answer = http.post(f"/orders/{order}", params={"user_id": "fastapi-user"})
            assert answer.json() == {"order": order, "status": "recorded"}
    assert activity(box, "fastapi-user") == ["order_placed"] * 2
