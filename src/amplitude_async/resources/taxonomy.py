"""The tracking plan: categories, event types and properties."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amplitude_async.resources.runner import Runner

__all__ = ["Taxonomy"]


class Taxonomy:
    """The tracking plan: categories, event types and properties."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
