"""The recipes of docs/delivery.md, started the way their user starts them; SIGTERM under load loses nothing (C9)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_programs import EXAMPLES, SECONDS, activity, environment, wait_for

if TYPE_CHECKING:
    from amplitude_async.sandbox import Sandbox


def run(program: str, *arguments: str, box: Sandbox, feed: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / program), *arguments],
        input=feed,
        env={**environment(box), **variables},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_the_worker_delivers_or_keeps(box: Sandbox, tmp_path: Path) -> None:
    """With Amplitude there everything is delivered; without, it is kept and the next run delivers it."""
    jobs = "\n".join(json.dumps({"user_id": "outbox-worker", "task": f"task-{n}"}) for n in range(25))
    place = str(tmp_path / "events.db")
    done = run("worker_outbox.py", box=box, feed=jobs, OUTBOX_FILE=place)
    assert (done.returncode, done.stdout) == (0, "25 delivered, 0 kept\n"), done.stderr
    assert activity(box, "outbox-worker") == ["job_done"] * 25


def test_the_function_flushes_before_it_is_frozen(box: Sandbox) -> None:
    """Each call has its event in the sandbox when it answers."""
    feed = "".join(json.dumps({"user_id": "serverless-user"}) + "\n" for _ in range(3))
    done = run("serverless.py", box=box, feed=feed)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"hello": "serverless-user", "tracked": True}] * 3
    assert activity(box, "serverless-user") == ["function_called"] * 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forked_workers_have_files_of_their_own(box: Sandbox, tmp_path: Path) -> None:
    """Three forked workers deliver all of their events."""
    done = run("prefork.py", "3", box=box, OUTBOX_FOLDER=str(tmp_path / "outbox"))
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [f"worker {n}: 20 delivered, 0 kept" for n in range(3)]
    for worker in range(3):
        assert activity(box, f"worker-{worker}") == ["request_served"] * 20


def test_sigterm_under_load_loses_nothing(box: Sandbox, tmp_path: Path) -> None:
    """Whatever a handler confirmed before or during SIGTERM is in the sandbox, or kept and delivered by the next start (C9)."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "fastapi_outbox:app", "--port", str(port), "--log-level", "warning"]
    folder = str(tmp_path / "outbox")
    confirmed: list[str] = []
    lock = threading.Lock()
    with subprocess.Popen(
        command, cwd=EXAMPLES, env={**environment(box), "OUTBOX_FOLDER": folder}, stdout=subprocess.PIPE, text=True
    ) as process:
        wait_for(port)

        def load(worker: int) -> None:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
                for number in range(10_000):
                    try:
                        answer = http.post(f"/orders/{worker}-{number}", params={"user_id": "sigterm-user"})
                    except httpx.HTTPError:
                        return
                    if answer.status_code == 200:
                        with lock:
                            confirmed.append(answer.json()["event"])

        threads = [threading.Thread(target=load, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        while len(confirmed) < 60:
            threads[0].join(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) is not None
        for thread in threads:
            thread.join(SECONDS)
        assert process.stdout is not None
        report = process.stdout.read()
    assert "OutboxReport" in report
    before = len(activity(box, "sigterm-user"))
    again = run("worker_outbox.py", box=box, OUTBOX_FILE=str(next(Path(folder).glob("*.db"))))
    assert again.returncode == 0, again.stderr
    kept = int(again.stdout.split()[0])
    assert before + kept >= len(confirmed)
