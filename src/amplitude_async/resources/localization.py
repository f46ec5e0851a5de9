"""Translations of guides and surveys."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amplitude_async.resources.runner import Runner

__all__ = ["Localization"]


class Localization:
    """Translations of guides and surveys."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
