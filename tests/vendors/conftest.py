"""What the runs of Amplitude's own SDKs add up to, said at the end, so that CI shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROPERTY = "events of an SDK"


class Counted(Protocol):
    """Says what became of the events of a run."""

    def __call__(self, sdk: str, run: str, numbers: Mapping[str, int]) -> None:
        """Note the numbers of a run."""


@pytest.fixture
def counted(record_property: Callable[[str, object], None]) -> Counted:
    def note(sdk: str, run: str, numbers: Mapping[str, int]) -> None:
        record_property(PROPERTY, f"{sdk}, {run}: {', '.join(f'{number} {name}' for name, number in numbers.items())}")

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # Properties of reports come from other processes, too.
    reports = (*terminalreporter.stats.get("passed", ()), *terminalreporter.stats.get("failed", ()))
    lines = [value for report in reports if report.when == "call" for name, value in report.user_properties if name == PROPERTY]
    if lines:
        terminalreporter.section("events of Amplitude's own SDKs")
        for line in lines:
            terminalreporter.line(str(line))
