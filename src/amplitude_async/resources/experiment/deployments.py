"""Deployments: where flags are served, each with the key that clients or servers evaluate with.

Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-deployments
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from amplitude_async.resources.experiment import calls, checks
from amplitude_async.resources.experiment.calls import ALL, one
from amplitude_async.resources.paging import Pages

if TYPE_CHECKING:
    from amplitude_async.resources.experiment.shapes import Created, DeploymentRecord, DeploymentType, Id
    from amplitude_async.resources.paging import Cursor, Page
    from amplitude_async.resources.runner import Runner

__all__ = ["Deployments"]


class Deployments:
    """Deployments: ``amplitude.experiment.deployments``. All calls need ``management_key``."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def list(self, *, limit: int | None = None, cursor: Cursor | None = None, **fields: object) -> Pages[DeploymentRecord]:
        """List them; nothing is sent before the first one is asked for.

        Args:
            limit: Items of one page, at most 1,000.
            cursor: Where to begin: the ``cursor`` of an earlier iteration, or an offset.
            **fields: Further parameters of Amplitude's.

        Returns:
            An async iterator of ``{"id": ..., "projectId": ..., "label": ..., "key": ..., "deleted": ...}``, page after page; a key
            that begins with ``server-`` is a secret. The samples name no next page, so there may be no more than one.

        Raises:
            InvalidArgumentError: ``limit`` is out of bounds.
            AmplitudeError: While it is iterated: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-deployments
        """
        calls.page("deployments", cursor, limit=limit, **fields)

        async def fetch(at: Cursor | None) -> Page[DeploymentRecord]:
            answer: Page[DeploymentRecord] = await self._runner.run(calls.page("deployments", at, limit=limit, **fields))
            return answer

        return Pages(fetch, cursor)

    async def create(self, *, project_id: Id, label: str, type: DeploymentType, **fields: object) -> Created:  # noqa: A002 - Amplitude's word
        """Create a deployment.

        Args:
            project_id: The project's id.
            label: Its name: letters, digits, ``_`` and ``-``.
            type: ``client`` or ``server``: which kind of key it gets.
            **fields: Further fields of Amplitude's.

        Returns:
            ``{"id": "4410"}``; its key is in the list.

        Raises:
            InvalidArgumentError: Something is blank, or the label has other characters.
            AmplitudeError: Amplitude refused, or did not answer; the call is not repeated where its outcome is unknown.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-deployments
        """
        given = {"project_id": project_id, "label": checks.label(label), "type": type, **fields}
        call = calls.created(("deployments", ALL), fields=given, required=("project_id", "label", "type"))
        answer: Created = await self._runner.run(call)
        return answer

    async def update(self, deployment_id: Id, /, *, label: str | None = None, archive: bool | None = None, **fields: object) -> str:
        """Change a deployment; what is left out stays.

        Args:
            deployment_id: Its id.
            label: Its name: letters, digits, ``_`` and ``-``.
            archive: Whether it is archived: its key evaluates nothing any more.
            **fields: Further fields of Amplitude's.

        Returns:
            What Amplitude says: ``OK``.

        Raises:
            InvalidArgumentError: The id is blank, the label has other characters, or nothing was given to change.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-deployments
        """
        given = {"label": checks.label(label), "archive": archive, **fields}
        answer: str = await self._runner.run(calls.change(one("deployments", deployment_id), fields=given, answers_ok=True))
        return answer

    async def archive(self, deployment_id: Id) -> str:
        """Archive a deployment: its key evaluates nothing any more.

        Args:
            deployment_id: Its id.

        Returns:
            What Amplitude says: ``OK``.

        Raises:
            InvalidArgumentError: The id is blank.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-deployments
        """
        return await self.update(deployment_id, archive=True)
