"""A sandbox that is treated badly: it answers the next proper request all the same (G1), and what it was told survives kill -9."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import httpx
import pytest

from amplitude_async import ConfigurationError
from amplitude_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


def connected(box: Sandbox) -> socket.socket:
    host, port = box.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=5)


def answers(box: Sandbox) -> bool:
    event = {"event_type": "x", "user_id": "user-1"}
    answer = httpx.post(f"{box.url}/2/httpapi", json={"api_key": "sandbox", "events": [event]}, trust_env=False, timeout=5)
    return answer.status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /2/httpapi HTTP/1.1\r\nHost: x\r\nContent-Length: minus\r\n\r\n",
        b"POST /2/httpapi HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /2/httpapi HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnope\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"y" * (10 << 20) + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /2/httpapi HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
        bytes(range(256)) * 40,
    ],
    ids=lambda sent: repr(sent[:24]),
)
def test_malformed_requests_harm_nobody_else(box: Sandbox, sent: bytes) -> None:
    """Whatever comes over a connection, the next proper request is answered."""
    with connected(box) as sock, contextlib.suppress(OSError):
        sock.sendall(sent)
        sock.settimeout(0.2)
        sock.recv(65536)
    assert answers(box)


def test_two_hundred_half_open_connections_harm_nobody_else(box: Sandbox) -> None:
    """With 200 connections that send half a request, or nothing, proper ones are answered meanwhile and afterwards."""
    held = [connected(box) for _ in range(200)]
    try:
        for number, sock in enumerate(held):
            sock.sendall(
                (b"", b"GET / HT", b"POST /2/httpapi HTTP/1.1\r\nHost: x\r\nContent-Le", b"GET / HTTP/1.1\r\nX: y\r\n")[number % 4]
            )
        assert all(answers(box) for _ in range(5))
    finally:
        for sock in held:
            sock.close()
    assert answers(box)


def test_slow_headers_harm_nobody_else(box: Sandbox) -> None:
    """While somebody sends a header byte by byte, proper requests are answered, and his is in the end."""
    with connected(box) as sock:
        for byte in b"GET /sandbox/status HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n":
            sock.sendall(bytes([byte]))
            if byte in b"\r":
                assert answers(box)
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_it_listens_beyond_this_machine_only_when_told(host: str) -> None:
    """Another address than loopback needs an explicit flag (G2)."""
    with pytest.raises(ConfigurationError, match="allow_remote"):
        Sandbox(host=host)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_a_file_survives_kill_9(tmp_path: Path) -> None:
    """Killed while uploads come: each that was answered is there at the next start, and one that was not is there whole or not at all."""
    store = tmp_path / "sandbox.db"
    command = [sys.executable, "-m", "amplitude_async.sandbox", "--port", "0", "--store", str(store)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    assert process.stdout is not None
    answered, size = 0, 50
    try:
        url = next(line.split()[-1] for line in process.stdout if "listening on" in line)
        killer = threading.Timer(1.0, process.kill)
        with httpx.Client(verify=False, base_url=url, trust_env=False, timeout=5) as client, contextlib.suppress(httpx.TransportError):
            while answered < 20_000:
                events = [
                    {"event_type": "x", "user_id": "user-00001", "device_id": f"device-{n}", "insert_id": f"i-{answered}-{n}"}
                    for n in range(size)
                ]
                assert client.post("/2/httpapi", json={"api_key": "sandbox", "events": events}).status_code == 200
                answered += 1
                if answered == 3:
                    killer.start()
        killer.join()
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()
    assert process.returncode == -signal.SIGKILL
    assert answered >= 3
    with (
        Sandbox(store=str(store)) as box,
        httpx.Client(verify=False, base_url=box.url, auth=("sandbox", "sandbox"), trust_env=False) as client,
    ):
        (match,) = client.get("/api/2/usersearch", params={"user": "user-00001"}).json()["matches"]
        found = client.get("/api/2/useractivity", params={"user": match["amplitude_id"]}).json()
        assert found["userData"]["num_events"] in {answered * size, (answered + 1) * size}
