"""The command as its user has it: a process of its own, with an environment of its own, against a sandbox."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from amplitude_async.sandbox import Sandbox

SEVERAL = """
import contextlib, io, json, sys
from amplitude_async.cli.program import main
found = []
for call in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(call)
    found.append((code, out.getvalue(), err.getvalue()))
json.dump(found, sys.stdout)
"""
COMMAND = [sys.executable, "-m", "amplitude_async.cli"]


class Cli:
    """Runs the command in a folder of its own.

    Attributes:
        folder: The folder.
        env: The environment; change it as you like.
    """

    def __init__(self, folder: Path, box: Sandbox | None) -> None:
        self.folder = folder
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("AMPLITUDE_", "XDG_"))}
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "FORCE_COLOR"):
            self.env.pop(name, None)
        self.env |= {"XDG_CONFIG_HOME": str(folder / "config"), "COLUMNS": "120"}
        if "PYTHONPATH" in self.env:
            # It runs in another folder than the tests.
            self.env["PYTHONPATH"] = os.pathsep.join(
                str(Path(part).resolve()) for part in self.env["PYTHONPATH"].split(os.pathsep) if part
            )
        if box is not None:
            self.env |= {f"AMPLITUDE_{name.upper()}": value for name, value in box.credentials.items()}  # type: ignore[misc]  # all are text

    def __call__(self, *arguments: object, stdin: str | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run it to its end; without ``stdin`` there is nothing on standard input."""
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            env=self.env,
            cwd=self.folder,
            input=stdin or "",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr, done.stderr
        if code not in {0, 1}:
            assert done.stderr.splitlines()[-1].startswith("amplitude-async: "), done.stderr
        return done

    def several(self, *calls: Sequence[object]) -> list[str]:
        """Run it several times in one process, each time to its end and with code 0; return what each printed."""
        found = self.ends(*calls)
        for call, (code, _, err) in zip(calls, found, strict=True):
            assert code == 0, (call, err)
        return [out for _, out, _ in found]

    def ends(self, *calls: Sequence[object]) -> list[tuple[int, str, str]]:
        """Run it several times in one process; return each code, output and errors."""
        done = subprocess.run(
            [sys.executable, "-c", SEVERAL],
            env=self.env,
            cwd=self.folder,
            input=json.dumps([[str(word) for word in call] for call in calls]),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [(code, out, err) for code, out, err in json.loads(done.stdout)]

    def json(self, *arguments: object, stdin: str | None = None, code: int = 0) -> Any:
        """Run it with ``--json`` and return what it printed."""
        return json.loads(self(*arguments, "--json", stdin=stdin, code=code).stdout)

    def start(self, *arguments: object, **options: Any) -> subprocess.Popen[str]:
        """Start it."""
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            env=self.env,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )


@pytest.fixture
def cli(tmp_path: Path, box: Sandbox) -> Cli:
    """The command, its environment pointing at the sandbox."""
    return Cli(tmp_path, box)


@pytest.fixture
def lone_cli(tmp_path: Path) -> Cli:
    """The command where nothing is set."""
    return Cli(tmp_path, None)


@pytest.fixture(scope="session")
def shop() -> Iterator[Sandbox]:
    """A sandbox with a believable shop in it, that tests only ask."""
    with Sandbox() as running:
        running.seed(users=120, days=20)
        yield running


@pytest.fixture
def ask(tmp_path: Path, shop: Sandbox) -> Cli:
    """The command, its environment pointing at the shop."""
    return Cli(tmp_path, shop)


def until(is_so: Callable[[], bool], *, seconds: float = 30) -> None:
    """Wait for another process."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.01)


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the end and return code, output and errors."""
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, out, err
