"""What concerns this machine: the outbox file, the sandbox, the doctor."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import httpx
import pytest

from amplitude_async.cli.doctor import look_at

from .conftest import finished

if TYPE_CHECKING:
    from pathlib import Path

    from amplitude_async.sandbox import Sandbox

    from .conftest import Cli

FILL = """
import asyncio, sys
from amplitude_async import AsyncAmplitude
async def fill():
    async with AsyncAmplitude() as amplitude, amplitude.outbox(sys.argv[1]) as outbox:
        for number in range(int(sys.argv[2])):
            await outbox.put({"event_type": "x", "user_id": f"user-{number:05}"})
        await outbox.flush(float(sys.argv[3]))
        await outbox.aclose(timeout=0.1)
asyncio.run(fill())
"""


def filled(cli: Cli, box: Sandbox, count: int, *, seconds: float = 0.1, **fault: object) -> Path:
    """Make an outbox file whose events met a fault; how long it tried."""
    path = cli.folder / "events.db"
    with box.faults.during(**fault, path="/2/httpapi"):
        subprocess.run([sys.executable, "-c", FILL, str(path), str(count), str(seconds)], env=cli.env, check=True, timeout=60)
    return path


def test_an_outbox_is_looked_at_and_put_right(cli: Cli, box: Sandbox) -> None:
    """What was set aside is counted with its reasons, listed, sent again, or deleted."""
    box.events()
    path = filled(cli, box, 3, seconds=30, status=403)
    assert cli.json("outbox", "status", path, code=1)["set_aside"] == 3
    assert "reason" in cli("outbox", "status", path, code=1).stdout
    listed = [json.loads(line) for line in cli("outbox", "list", path, "--json").stdout.splitlines()]
    assert [row["event"]["user_id"] for row in listed] == ["user-00000", "user-00001", "user-00002"]
    assert "user-00001" in cli("outbox", "list", path).stdout
    assert "more" in cli("outbox", "list", path, "--limit", 1).stderr
    assert "1 events wait" in cli("outbox", "retry", path, "--id", listed[0]["id"]).stdout
    assert cli.json("outbox", "status", path, code=1)["waiting"] == 1
    assert "--yes" in cli("outbox", "purge", path, code=2).stderr
    assert cli("outbox", "purge", path, "--id", listed[1]["id"], "--yes").stdout == "1 events deleted\n"
    done = cli("outbox", "retry", path, "--send")
    assert "2 delivered" in done.stdout
    assert sorted(event["user_id"] for event in box.events()) == ["user-00000", "user-00002"]
    assert cli.json("outbox", "status", path)["waiting"] == 0
    assert "nothing was set aside" in cli("outbox", "list", path).stdout


def test_looking_at_an_outbox_needs_no_key_and_sends_nothing(cli: Cli, box: Sandbox) -> None:
    """A file that waits still waits afterwards, with all that was in it."""
    path = filled(cli, box, 5, status=503)
    box.events()
    cli.env = {name: value for name, value in cli.env.items() if not name.startswith("AMPLITUDE_")}
    status = cli.json("outbox", "status", path)
    assert status["waiting"] == 5
    assert status["oldest_seconds"] >= 0
    assert "waiting" in cli("outbox", "status", path).stdout
    assert cli.json("outbox", "status", path)["waiting"] == 5
    assert not box.events()


def test_what_is_no_outbox_file_is_left_as_it_is(cli: Cli) -> None:
    """Another database, a text, a missing file: each is said, and none is changed, moved or made."""
    (cli.folder / "text.db").write_text("no database" * 100)
    with closing(sqlite3.connect(cli.folder / "other.db")) as other:
        other.execute("CREATE TABLE x (y)")
        other.commit()
    before = {path.name: path.read_bytes() for path in cli.folder.glob("*.db")}
    for name in before:
        assert "cannot be looked at" in cli("outbox", "status", name, code=10).stderr
    assert {path.name: path.read_bytes() for path in cli.folder.glob("*.db")} == before
    cli("outbox", "status", "missing.db", code=2)
    assert not (cli.folder / "missing.db").exists()


def test_an_outbox_in_use_is_refused(cli: Cli, box: Sandbox) -> None:
    """While a service has the file, it is the service's."""
    path = filled(cli, box, 1, status=503)
    program = (
        "import asyncio, sys\nfrom amplitude_async import AsyncAmplitude\n"
        "async def hold():\n    async with AsyncAmplitude() as a, a.outbox(sys.argv[1]):\n        print('open', flush=True)\n        await asyncio.sleep(60)\n"
        "asyncio.run(hold())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], env=cli.env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        try:
            assert "in use by another process" in cli("outbox", "status", path, code=10).stderr
        finally:
            process.kill()


def test_the_sandbox_serves_until_ctrl_c(lone_cli: Cli) -> None:
    """It says its address, its page and its control token, is filled with a shop, and ends on Ctrl-C with code 0."""
    process = lone_cli.start("sandbox", "--port", "0", "--seed", "20", "--days", "3", "--json")
    assert process.stdout is not None
    text = ""
    while not text.rstrip().endswith("}"):
        text += process.stdout.readline()
    facts = json.loads(text)
    page = httpx.get(facts["page"], trust_env=False)
    assert "html" in page.headers["content-type"]
    status = httpx.get(f"{facts['url']}/sandbox/status", trust_env=False).json()
    assert status["event_types"]
    reset = httpx.delete(f"{facts['url']}/sandbox/faults", headers={"Authorization": f"Bearer {facts['token']}"}, trust_env=False)
    assert reset.status_code < 300
    process.send_signal(signal.SIGINT)
    code, _, err = finished(process)
    assert code == 0
    assert err.endswith("stopped\n")


def test_the_sandbox_refuses_what_makes_no_sense(lone_cli: Cli, box: Sandbox) -> None:
    """Another address than loopback, a port that is taken, no time zone: one line and a code."""
    lone_cli("sandbox", "--host", "0.0.0.0", "--port", "0", code=3)
    lone_cli("sandbox", "--port", box.url.rpartition(":")[2], code=10)
    lone_cli("sandbox", "--port", "99999", code=3)
    lone_cli("sandbox", "--port", "0", "--timezone", "Nowhere/Land", code=3)


def test_the_doctor_finds_nothing_wrong_with_what_is_right(cli: Cli) -> None:
    """Everything is looked at, and the exit code is 0."""
    found = {finding["what"]: finding for finding in cli.json("doctor", "--user-id", "user-12345")}
    assert {"version", "profile", "proxies", "region", "network", "clock", "sending", "asking", "user id"} <= set(found)
    assert all(finding["state"] != "bad" for finding in found.values()), found
    assert "BAD" not in cli("doctor").stdout


@pytest.mark.parametrize(
    ("change", "what", "says"),
    [
        ({"AMPLITUDE_API_KEY": "invented"}, "sending", "API key"),
        ({"AMPLITUDE_SECRET_KEY": "invented"}, "asking", "secret"),
        ({"AMPLITUDE_BASE_URL": "http://127.0.0.1:9"}, "network", "cannot be reached"),
        ({"AMPLITUDE_BASE_URL": "https://nowhere.invalid"}, "network", "not found"),
        ({"AMPLITUDE_API_KEY": ""}, "keys", "AMPLITUDE_API_KEY"),
        ({"AMPLITUDE_PROFILE": "none"}, "profile", "no profile"),
        ({"AMPLITUDE_BASE_URL": "ftp://x"}, "keys", "AMPLITUDE_BASE_URL"),
    ],
)
def test_the_doctor_says_what_is_wrong(cli: Cli, change: dict[str, str], what: str, says: str) -> None:
    """The finding is bad, its words name the reason, the exit code is 1, and no key is shown."""
    cli.env |= change
    done = cli("doctor", "--json", code=1)
    found = [finding for finding in json.loads(done.stdout) if finding["what"] == what and finding["state"] == "bad"]
    assert any(says in finding["says"] for finding in found), done.stdout
    assert "invented" not in done.stdout


def test_the_doctor_notes_a_proxy_that_is_not_used(cli: Cli) -> None:
    """The library takes no proxy from the environment unless it is told to."""
    cli.env["HTTPS_PROXY"] = "http://127.0.0.1:9"
    found = {finding["what"]: finding for finding in cli.json("doctor", "--offline")}
    assert "HTTPS_PROXY" in found["proxies"]["says"]
    assert "network" not in found


def test_the_doctor_sees_a_clock_that_is_wrong(box: Sandbox) -> None:
    """The time beside an answer tells how far off this machine's is."""
    for ahead, state, says in ((0, "ok", "within"), (600, "bad", "fast"), (-600, "bad", "slow")):
        *_, found = look_at(box.url, 10, lambda ahead=ahead: time.time() + ahead)  # type: ignore[misc]  # bound now
        assert (found.what, found.state) == ("clock", state)
        assert says in found.says
