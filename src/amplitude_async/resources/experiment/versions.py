"""The history of all flags and experiments that a management key can see.

Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-versions
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from amplitude_async._protocol.dates import iso_instant
from amplitude_async.resources.experiment import calls
from amplitude_async.resources.paging import Pages
from amplitude_async.resources.parameters import refused

if TYPE_CHECKING:
    from datetime import date

    from amplitude_async.resources.experiment.shapes import VersionRecord
    from amplitude_async.resources.paging import Cursor, Page
    from amplitude_async.resources.runner import Runner

__all__ = ["Versions"]


class Versions:
    """Versions of everything: ``amplitude.experiment.versions``. All calls need ``management_key``."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def list(
        self,
        *,
        start: date | str | None = None,
        end: date | str | None = None,
        limit: int | None = None,
        cursor: Cursor | None = None,
        **fields: object,
    ) -> Pages[VersionRecord]:
        """List the versions of all flags and experiments, the newest first; nothing is sent before the first one is asked for.

        Args:
            start: When the first one was made, inclusive: a datetime (a naive one is UTC), a date (its midnight in UTC), or text in
                ISO 8601.
            end: Until when, exclusive.
            limit: Items of one page, at most 1,000.
            cursor: Where to begin: the ``cursor`` of an earlier iteration, or an offset.
            **fields: Further parameters of Amplitude's.

        Returns:
            An async iterator of ``{"version": 3, "createdAt": ..., "createdBy": ..., "flagConfig": {...}}``, page after page.

        Raises:
            InvalidArgumentError: A bound is no moment, the start is not before the end, or ``limit`` is out of bounds.
            AmplitudeError: While it is iterated: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-versions
        """
        first = None if start is None else iso_instant(start, argument="start")
        last = None if end is None else iso_instant(end, argument="end")
        if first is not None and last is not None and _moment(first) >= _moment(last):
            raise refused(argument="start", reason="is not before the end, which is exclusive")
        bounds = {"start": first, "end": last, **fields}
        calls.page("versions", cursor, limit=limit, **bounds)

        async def fetch(at: Cursor | None) -> Page[VersionRecord]:
            answer: Page[VersionRecord] = await self._runner.run(calls.page("versions", at, limit=limit, **bounds))
            return answer

        return Pages(fetch, cursor)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
