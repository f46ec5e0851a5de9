"""The pages of the APIs: their first program runs as it stands, and prints what they say it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("index.md", "frames.md", "plots.md", "sandbox.md", "signals.md")
PAGES = [*(ROOT / "docs" / name for name in NAMES), *sorted((ROOT / "docs" / "apis").glob("*.md"))]
PROGRAM = re.compile(r"^```python\n(?P<code>.*?)^```\n+(?:[^`\n][^\n]*\n+)*?^```text\n(?P<printed>.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_program_of_the_page_prints_what_the_page_says(page: Path, tmp_path: Path) -> None:
    """A reader who copies the program sees the lines under it."""
    found = PROGRAM.search(page.read_text("utf-8"))
    assert found is not None, "the page has no program with its output"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AMPLITUDE_")}
    program = tmp_path / "program.py"
    program.write_text(found["code"], "utf-8")
    ran = subprocess.run(
        [sys.executable, str(program)], env=clean, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == found["printed"]
    assert ran.stderr == ""
