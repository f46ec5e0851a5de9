"""People and groups of the organisation (SCIM 2.0)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amplitude_async.resources.runner import Runner

__all__ = ["Scim"]


class Scim:
    """People and groups of the organisation (SCIM 2.0)."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
