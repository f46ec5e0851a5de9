"""Who did what in the organisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amplitude_async.resources.runner import Runner

__all__ = ["AuditLogs"]


class AuditLogs:
    """Who did what in the organisation."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
