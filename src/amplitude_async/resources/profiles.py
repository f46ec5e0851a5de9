"""User profiles: properties, cohorts, recommendations, predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amplitude_async.resources.runner import Runner

__all__ = ["Profiles"]


class Profiles:
    """User profiles: properties, cohorts, recommendations, predictions."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
