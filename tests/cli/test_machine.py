"""What concerns this machine: the outbox file, the sandbox, the doctor."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import httpx
import pytest
import trustme

from amplitude_async import AsyncAmplitude
from amplitude_async.cli.doctor import ask_ingestion
from amplitude_async.cli.reaching import look_at
from amplitude_async.sandbox import Sandbox

from .conftest import finished

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
    assert "1 of the ids are not set aside" in cli("outbox", "retry", path, "--id", 999, code=1).stderr
    assert "1 of the ids are not set aside" in cli("outbox", "purge", path, "--yes", "--id", 999, code=1).stderr
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


@contextmanager
def speaking_tls(authority: trustme.CA, *names: str, not_after: datetime | None = None) -> Iterator[str]:
    """Answer over TLS by a certificate of this authority; the clock of this server is an hour fast."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, not_after=not_after).configure_cert(context)
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    wire, _ = server.accept()
                except OSError:
                    return
                with suppress(OSError), context.wrap_socket(wire, server_side=True) as spoken:
                    spoken.recv(4096)
                    spoken.sendall(f"HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://localhost:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_the_doctor_trusts_whom_the_library_trusts(cli: Cli) -> None:
    """A certificate of an authority that nobody knows is bad; named in SSL_CERT_FILE it counts only with --trust-env, as for a client."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(cli.folder / "authority.pem"))
    with speaking_tls(authority, "localhost") as url:
        cli.env |= {"AMPLITUDE_BASE_URL": url, "SSL_CERT_FILE": str(cli.folder / "authority.pem")}
        found = {finding["what"]: finding for finding in cli.json("doctor", code=1)}
        assert found["TLS"]["state"] == "bad"
        assert "issuer certificate" in found["TLS"]["says"]
        assert "--trust-env" in found["TLS"]["do"]
        found = {finding["what"]: finding for finding in cli.json("doctor", "--trust-env", code=1)}
        assert found["TLS"]["state"] == "ok", found
        assert "TLSv1.3" in found["TLS"]["says"]
        assert (found["clock"]["state"], found["clock"]["do"]) == ("bad", "let the system set it (NTP)")
        assert "slow" in found["clock"]["says"]


@pytest.mark.parametrize(
    ("names", "days", "says"),
    [(("localhost",), 3, "days left"), (("localhost",), -1, "expired"), (("elsewhere.example",), 100, "Hostname mismatch")],
)
def test_the_doctor_reads_certificates(names: tuple[str, ...], days: int, says: str) -> None:
    """One that ends soon is worth a note; one that has ended, or is for another host, is bad."""
    authority = trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with speaking_tls(authority, *names, not_after=datetime.now(UTC) + timedelta(days=days)) as url:
        found = {finding.what: finding for finding in look_at(url, 10, time.time, trusting)}
    assert says in found["TLS"].says
    assert found["TLS"].state == ("note" if days == 3 else "bad")


def test_the_doctor_is_told_where_there_is_no_tls(cli: Cli, box: Sandbox) -> None:
    """A port that speaks plain HTTP is no riddle of OpenSSL's."""
    cli.env["AMPLITUDE_BASE_URL"] = box.url.replace("http:", "https:")
    found = {finding["what"]: finding for finding in cli.json("doctor", code=1)}
    assert "does that port speak TLS" in found["TLS"]["do"]


def test_the_doctor_asks_the_other_region() -> None:
    """A key that is not accepted here and is there says which --region to give; one that nobody knows is said to be wrong."""

    async def ask(key: str) -> tuple[str, str]:
        with Sandbox(api_key="invented-us") as here, Sandbox(api_key="invented-eu") as there:
            other = AsyncAmplitude(key, base_url=there.url)
            async with AsyncAmplitude(key, base_url=here.url) as client:
                found = await ask_ingestion(client, ("eu", other))
            await other.aclose()
        return found.state, found.do

    assert asyncio.run(ask("invented-us")) == ("ok", "")
    assert asyncio.run(ask("invented-eu")) == ("bad", "--region eu, or AMPLITUDE_REGION=eu")
    assert "copy it anew" in asyncio.run(ask("invented"))[1]


def test_the_doctor_sees_a_proxy_that_does_not_run(cli: Cli) -> None:
    """With --trust-env the proxy of the environment is used, and named where nothing comes through it."""
    cli.env["HTTP_PROXY"] = "http://127.0.0.1:9"
    found = {finding["what"]: finding for finding in cli.json("doctor", "--trust-env", code=1)}
    assert found["sending"]["do"] == "does the proxy of HTTP_PROXY run?"
    assert "a proxy is used" in found["network"]["says"]


def test_the_doctor_sees_a_clock_that_is_wrong(box: Sandbox) -> None:
    """The time beside an answer tells how far off this machine's is."""
    for ahead, state, says in ((0, "ok", "within"), (600, "bad", "fast"), (-600, "bad", "slow")):
        *_, found = look_at(box.url, 10, lambda ahead=ahead: time.time() + ahead, ssl.create_default_context())  # type: ignore[misc]  # bound now
        assert (found.what, found.state) == ("clock", state)
        assert says in found.says
