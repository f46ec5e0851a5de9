"""CSV tables that properties are looked up in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amplitude_async.resources.runner import Runner

__all__ = ["LookupTables"]


class LookupTables:
    """CSV tables that properties are looked up in."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
