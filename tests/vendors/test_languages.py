"""The programs of the page on the sandbox, each in its language, run as they stand but for the port: their event comes back once.

A language is skipped where it is not installed. ``nox -s vendors`` installs what a registry has: the SDKs, node, Go.
"""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from amplitude_async import AsyncAmplitude
from amplitude_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"
SECTION = PAGE.read_text("utf-8").partition("\n## Use it from other SDKs\n")[2].partition("\n## ")[0]
PROGRAMS = dict(re.findall(r"^```(\w+)\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL))
NODE = os.environ.get("VENDOR_NODE", "")
BROWSER = "node_modules/@amplitude/analytics-browser/lib/scripts/amplitude-min.js"
SECONDS = 200
"""A first program in Go takes its whole standard library with it."""


def missing(language: str) -> str | None:
    """Say why a language cannot be run here."""
    program = {"go": "go", "java": "javac", "ruby": "ruby", "sh": "curl", "js": "node", "html": "chromium"}.get(language)
    if program is not None and shutil.which(program) is None:
        return f"{program} is not installed"
    if language == "py" and importlib.util.find_spec("amplitude") is None:
        return "amplitude-analytics is not installed: nox -s vendors"
    if language == "js" and not (NODE and (Path(NODE) / "node_modules/@amplitude/analytics-node").is_dir()):
        return "@amplitude/analytics-node is not installed: nox -s vendors"
    if language == "html" and not (NODE and (Path(NODE) / BROWSER).is_file()):
        return "@amplitude/analytics-browser is not installed: nox -s vendors"
    return None


def marked(language: str) -> Any:
    reason = missing(language)
    return pytest.param(language, marks=pytest.mark.skipif(reason is not None, reason=reason or ""))


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and says nothing."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def visited(page: str, folder: Path) -> Iterator[None]:
    """Show a page, of an origin of its own, in a browser while the block lasts."""
    (folder / "index.html").write_text(f"<!doctype html><title>shop</title>{page}", "utf-8")
    (folder / "node_modules").symlink_to(Path(NODE) / "node_modules")
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--remote-debugging-port=0"]
        process = subprocess.Popen(
            ["chromium", *options, f"--user-data-dir={folder}/profile", address],
            env=environment(folder),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
            server.shutdown()
            thread.join(10)


def environment(home: Path) -> dict[str, str]:
    """Return an environment of no user in particular, whose home is empty."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AMPLITUDE_")}
    go = {"GO111MODULE": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOCACHE": os.environ.get("GOCACHE", str(home / "go-cache"))}
    return {**clean, **go, "HOME": str(home)}


def run(language: str, code: str, folder: Path) -> str:
    """Run a program, and return what it printed."""
    names = {"py": "signup.py", "js": "signup.cjs", "go": "signup.go", "java": "Signup.java", "ruby": "signup.rb", "sh": "signup.sh"}
    # Node looks for packages from where the program is.
    path = (Path(NODE) if language == "js" else folder) / names[language]
    path.write_text(code, "utf-8")
    starts = {"py": [sys.executable], "js": ["node"], "go": ["go", "run"], "java": ["java"], "ruby": ["ruby"], "sh": ["sh", "-e"]}
    command = [*starts[language], str(path)]
    ran = subprocess.run(command, env=environment(folder), cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran.stdout


def arrived(box: Sandbox, count: int) -> list[dict[str, Any]]:
    """Return the rows of the one user there is, once there are so many of them."""

    async def rows() -> list[dict[str, Any]]:
        async with AsyncAmplitude(**box.credentials) as amplitude:
            found = await amplitude.user_search("user-12345")
            if not found["matches"]:
                return []
            activity = await amplitude.user_activity(found["matches"][0]["amplitude_id"])
            return [dict(event) for event in activity["events"]]

    deadline = time.monotonic() + SECONDS
    while len(found := asyncio.run(rows())) < count and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    return found


def test_the_page_has_five_languages() -> None:
    """At least five, and each of its programs is in a language that is run here."""
    assert set(PROGRAMS) == {"py", "js", "html", "go", "java", "ruby", "sh"}


@pytest.mark.timeout(SECONDS + 40)
@pytest.mark.parametrize("language", [marked(language) for language in PROGRAMS])
def test_the_program_of_a_language_sends_its_event(language: str, tmp_path: Path) -> None:
    """Whoever copies it sees one signup of one user in the sandbox."""
    with Sandbox() as box:
        code = PROGRAMS[language].replace("http://127.0.0.1:8765", box.url)
        assert code != PROGRAMS[language]
        if language == "html":
            with visited(code, tmp_path):
                rows = arrived(box, 1)
        else:
            printed = run(language, code, tmp_path)
            rows = arrived(box, 1)
            assert {"go": "200 OK", "py": "", "js": ""}.get(language, '"code":200') in printed
            assert language != "sh" or '"user_id":"user-12345"' in printed
        assert [(row["event_type"], row["user_id"]) for row in rows] == [("signup", "user-12345")]
