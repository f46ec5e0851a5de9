"""Deletion of users, and what is known of one (DSAR)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amplitude_async.resources.runner import Runner

__all__ = ["Privacy"]


class Privacy:
    """Deletion of users, and what is known of one (DSAR)."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
