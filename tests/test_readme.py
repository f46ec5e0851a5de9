"""What the README says about commands is what is run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi.testclient import TestClient

from amplitude_async.sandbox import Sandbox

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[1]


def sh_blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_the_first_two_commands_are_one_line_each() -> None:
    """The demo comes first, the tests second, each one line in its own block."""
    demo, tests = sh_blocks()[:2]
    assert demo.count("\n") == tests.count("\n") == 1
    assert demo.rstrip().endswith("examples/tour.py")
    assert tests.rstrip().endswith("nox")


def test_ci_runs_the_second_command() -> None:
    """CI takes its command from the README's second block."""
    assert "block==2' README.md" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_the_service_serves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In the README's service an order becomes an event with the path of its request."""
    (code,) = re.findall(
        r"^```python\n(from fastapi import FastAPI.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    monkeypatch.chdir(tmp_path)
    with Sandbox() as box:
        for name, value in box.credentials.items():
            monkeypatch.setenv(f"AMPLITUDE_{name.upper()}", str(value))
        names: dict[str, Any] = {"__name__": "readme"}
        exec(compile(code, "README.md", "exec"), names)
        with TestClient(names["app"]) as client:
            assert client.post("/orders/7").status_code == 200
        (event,) = box.events()
    assert event["event_type"] == "order_placed"
    assert event["event_properties"] == {"path": "/orders/7", "order_id": "7"}
