"""Session replays and their files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amplitude_async.resources.runner import Runner

__all__ = ["SessionReplay"]


class SessionReplay:
    """Session replays and their files."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
