"""Releases, marked on charts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amplitude_async.resources.runner import Runner

__all__ = ["Releases"]


class Releases:
    """Releases, marked on charts."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
