"""Evaluation and management of flags and experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amplitude_async.resources.runner import Runner

__all__ = ["Experiment"]


class Experiment:
    """Evaluation and management of flags and experiments."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
