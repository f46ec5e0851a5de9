"""An extra as its user has it: an environment with the wheel and that extra alone, and a server of the standard library's.

``nox -s extras`` makes the environments, runs these tests in each, and says by ``AMPLITUDE_ASYNC_EXTRA`` which one it is. pytest is
not installed there: it is on ``PYTHONPATH``, which the programs that are tested do not see.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

EXTRA = os.environ.get("AMPLITUDE_ASYNC_EXTRA")
"""The extra of this environment, ``none`` for the wheel alone; not set where everything is installed."""
ROW = {"event_type": "signup", "user_id": "user-12345", "event_time": "2026-05-01 07:00:00.000000", "uuid": "u-1"}


def archive() -> bytes:
    """What Amplitude gives for an hour: a zip of gzipped JSON lines."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        zipped.writestr("612345/612345_2026-05-01_7#0.json.gz", gzip.compress(json.dumps(ROW).encode() + b"\n"))
    return packed.getvalue()


class Answers(BaseHTTPRequestHandler):
    """Answers an upload, a search and an export."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        events = json.loads(body)["events"]
        self._answer({"code": 200, "events_ingested": len(events), "payload_size_bytes": len(body), "server_upload_time": 1})

    def do_GET(self) -> None:
        if self.path.startswith("/api/2/export"):
            self._send(archive(), "application/zip")
        else:
            self._answer({"type": "match_user_or_device_id", "matches": []})

    def _answer(self, value: object) -> None:
        self._send(json.dumps(value).encode(), "application/json")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """Where that server is."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Bare:
    """Runs programs in the environment of the extra, in a folder of their own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self._env = {name: value for name, value in os.environ.items() if not name.startswith("AMPLITUDE_")}
        self._env |= {"AMPLITUDE_API_KEY": "sandbox", "AMPLITUDE_SECRET_KEY": "sandbox", "AMPLITUDE_BASE_URL": url}
        self._env |= {"XDG_CONFIG_HOME": str(folder), "COLUMNS": "120"}

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments, isolated: nothing is importable that was not installed."""
        command = [sys.executable, "-I", "-W", "error", *arguments]
        return subprocess.run(command, cwd=self.folder, env=self._env, capture_output=True, text=True, timeout=100, check=False)

    def program(self, text: str) -> str:
        """Run a program to its end; return what it printed."""
        done = self("-c", text)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def command(self, *arguments: str, code: int = 0) -> str:
        """Run the command line; return all that it said."""
        done = self("-m", "amplitude_async.cli", *arguments)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def bare(tmp_path: Path, url: str) -> Bare:
    """The environment of the extra."""
    return Bare(tmp_path, url)
