"""Behavioural cohorts: listed, downloaded, uploaded, changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amplitude_async.resources.runner import Runner

__all__ = ["Cohorts"]


class Cohorts:
    """Behavioural cohorts: listed, downloaded, uploaded, changed."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
