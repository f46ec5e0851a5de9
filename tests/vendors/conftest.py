"""What the runs of Amplitude's own SDKs add up to, said at the end, so that CI shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

LINES: pytest.StashKey[list[str]] = pytest.StashKey()


class Counted(Protocol):
    """Says what became of the events of a run."""

    def __call__(self, sdk: str, run: str, numbers: Mapping[str, int]) -> None:
        """Note the numbers of a run."""


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> Counted:
    lines = request.config.stash.setdefault(LINES, [])

    def note(sdk: str, run: str, numbers: Mapping[str, int]) -> None:
        lines.append(f"{sdk}, {run}: {', '.join(f'{number} {name}' for name, number in numbers.items())}")

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash.get(LINES, [])
    if lines:
        terminalreporter.section("events of Amplitude's own SDKs")
        for line in lines:
            terminalreporter.line(line)
