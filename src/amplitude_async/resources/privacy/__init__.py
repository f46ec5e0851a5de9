"""Deletion of users, and what is known of one (DSAR).

Amplitude's pages: https://amplitude.com/docs/apis/analytics/user-privacy and https://amplitude.com/docs/apis/analytics/ccpa-dsar
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from amplitude_async.resources.privacy.deletions import DeletedUser, DeletionIds, DeletionJob, DeletionReport, Deletions
from amplitude_async.resources.privacy.dsar import Dsar, DsarData, DsarOutput, DsarRequest, DsarRows, DsarStatus

if TYPE_CHECKING:
    from amplitude_async.resources.runner import Runner

__all__ = [
    "DeletedUser",
    "DeletionIds",
    "DeletionJob",
    "DeletionReport",
    "Deletions",
    "Dsar",
    "DsarData",
    "DsarOutput",
    "DsarRequest",
    "DsarRows",
    "DsarStatus",
    "Privacy",
]


class Privacy:
    """Deletion of users, and what is known of one (DSAR)."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    @property
    def deletions(self) -> Deletions:
        """Deletion of users: scheduled, listed, called off."""
        return Deletions(self._runner)

    @property
    def dsar(self) -> Dsar:
        """What is known of a user: asked for, waited for, read. Needs the organisation's keys."""
        return Dsar(self._runner)
