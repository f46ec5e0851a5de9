"""What the README says about commands is what is run."""

from __future__ import annotations

import re
from pathlib import Path

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
