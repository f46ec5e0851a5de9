"""What the guides for those who come from other packages show of these runs, and does what the guides say is the same here."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from amplitude_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[2] / "docs"
NODE = os.environ.get("VENDOR_NODE", "")
MAY = 1_778_846_400.0  # 2026-05-15 12:00:00 UTC


def theirs(page: str, language: str) -> str:
    """Return the program that a guide shows of the other package."""
    found = re.search(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def needs(module: str, package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"{package} is not installed: nox -s vendors")


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(api_key="api-key", secret_key="secret", clock=lambda: MAY) as running:
        yield running


def run(command: list[str]) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AMPLITUDE_")}
    ran = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=90, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran.stdout


@needs("amplitude", "amplitude-analytics")
def test_the_program_of_amplitude_analytics(box: Sandbox) -> None:
    """An event and an identification arrive, as by the program beside it."""
    code = theirs("coming-from-amplitude-analytics.md", "py").replace("http://127.0.0.1:8765", box.url)
    run([sys.executable, "-c", code])
    assert sorted(event["event_type"] for event in box.events()) == ["$identify", "signup"]


@needs("amplitude_data_wrapper", "amplitude-data-wrapper")
def test_the_program_of_amplitude_data_wrapper(box: Sandbox) -> None:
    """It prints what the program beside it prints."""
    box.seed(users=40, days=14, seed=7)
    page = "coming-from-amplitude-data-wrapper.md"
    here = f"from amplitude_data_wrapper import analytics_api\nanalytics_api.API_DOMAINS['us'] = {box.url!r}\n"
    assert run([sys.executable, "-c", here + theirs(page, "py")]) == theirs(page, "text")


@pytest.mark.skipif(
    not (NODE and (Path(NODE) / "node_modules" / "amplitude").is_dir()), reason="the npm package is not installed: nox -s vendors"
)
def test_the_program_of_the_npm_package(box: Sandbox, tmp_path: Path) -> None:
    """It prints the code of Amplitude's answer, and its event arrives."""
    (tmp_path / "node_modules").symlink_to(Path(NODE) / "node_modules")
    program = tmp_path / "program.cjs"
    program.write_text(
        "const Amplitude = require('amplitude');\n"
        f"const amplitude = new Amplitude('api-key', {{tokenEndpoint: '{box.url}'}});\n"
        "const event = {event_type: 'signup', user_id: 'user-12345'};\n" + theirs("coming-from-npm.md", "javascript"),
        "utf-8",
    )
    assert run([shutil.which("node") or "node", str(program)]) == "200\n"
    assert [event["event_type"] for event in box.events()] == ["signup"]
