"""Notes on charts, and their categories."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amplitude_async.resources.runner import Runner

__all__ = ["Annotations"]


class Annotations:
    """Notes on charts, and their categories."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
