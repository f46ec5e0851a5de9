"""What users read of a method says everything: its arguments, what it gives, what it raises, and Amplitude's page."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from runners import methods


@pytest.mark.parametrize("name", methods())
def test_a_docstring_is_complete(name: str) -> None:
    """It says of every parameter what it is, what comes back, what is raised (the dashboard's say it once for all), and where from."""
    method = methods()[name]
    text = inspect.getdoc(method) or ""
    signature = inspect.signature(method)
    missing = [each for each in signature.parameters if re.search(rf"^ +\*{{0,2}}{each}:", text, re.MULTILINE) is None]
    assert missing == []
    assert "Returns:" in text or signature.return_annotation == "None"
    assert "Raises:" in text or name.startswith("dashboard.")
    assert "https://amplitude.com/docs/" in text
