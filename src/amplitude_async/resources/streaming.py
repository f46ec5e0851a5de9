"""How event streaming destinations are served."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amplitude_async.resources.runner import Runner

__all__ = ["Streaming"]


class Streaming:
    """How event streaming destinations are served."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
