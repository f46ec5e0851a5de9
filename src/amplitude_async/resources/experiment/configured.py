"""Flags and experiments: an experiment is a flag that is measured, and most calls are the same for both.

Amplitude's pages: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags and
https://amplitude.com/docs/apis/experiment/experiment-management-api-experiments
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from amplitude_async.options import UNSET
from amplitude_async.resources.experiment import calls, checks
from amplitude_async.resources.experiment.calls import ALL, one
from amplitude_async.resources.experiment.inclusions import Inclusions
from amplitude_async.resources.experiment.shapes import DeploymentRecord, ExperimentRecord, FlagRecord, VariantRecord, VersionRecord
from amplitude_async.resources.paging import Pages

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from amplitude_async.resources.experiment.shapes import Created, Id
    from amplitude_async.resources.paging import Cursor, Page

__all__ = ["Configured"]

R = TypeVar("R", FlagRecord, ExperimentRecord)

# Within the classes below, `list` is a method.
_Variants = list[VariantRecord]
_Versions = list[VersionRecord]
_Deployments = list[DeploymentRecord]


class Configured(Inclusions, Generic[R]):
    """What can be done with flags and experiments alike. Every id is text or a number, as Amplitude gives it.

    All calls need ``management_key``, and wait where Amplitude's limit (100 requests a second, 100,000 a day in UTC) leaves no room.
    """

    def list(
        self,
        *,
        key: str | None = None,
        project_id: Id | None = None,
        include_archived: bool | None = None,
        limit: int | None = None,
        cursor: Cursor | None = None,
        **fields: object,
    ) -> Pages[R]:
        """List them, the newest first; nothing is sent before the first one is asked for.

        Args:
            key: Only the one of this key.
            project_id: Only those of this project.
            include_archived: Whether archived ones are listed too; Amplitude's default is no.
            limit: Items of one page, at most 1,000.
            cursor: Where to begin: the ``cursor`` of an earlier iteration, or an offset.
            **fields: Further parameters of Amplitude's.

        Returns:
            An async iterator of objects, page after page (``.pages()`` gives whole pages, ``.cursor`` where it stands).

        Raises:
            InvalidArgumentError: ``limit`` is out of bounds.
            AmplitudeError: While it is iterated: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        filters = {"key": key, "project_id": project_id, "include_archived": include_archived, **fields}
        calls.page(self._name, cursor, limit=limit, **filters)

        async def fetch(at: Cursor | None) -> Page[R]:
            answer: Page[R] = await self._runner.run(calls.page(self._name, at, limit=limit, **filters))
            return answer

        return Pages(fetch, cursor)

    async def get(self, flag_id: Id, /) -> R:
        """Get one.

        Args:
            flag_id: Its id.

        Returns:
            ``{"id": "60231", "key": "checkout-v2", "enabled": ..., "variants": [...], "rolloutPercentage": 20, ...}``; ``deleted``
            tells whether it is archived; an experiment also has ``state``, ``startDate``, ``decision`` and the like.

        Raises:
            InvalidArgumentError: The id is blank.
            NotFoundError: There is none of that id.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        answer: R = await self._runner.run(calls.get(one(self._name, flag_id)))
        return answer

    async def archive(self, flag_id: Id, /) -> Any:  # noqa: ANN401 - text or JSON
        """Archive one: it is evaluated for nobody any more. There is no call that removes it for good.

        Args:
            flag_id: Its id.

        Returns:
            What Amplitude says, of which its page documents only the status.

        Raises:
            InvalidArgumentError: The id is blank.
            ResponseError: 405 for web experiments and those of guides and surveys.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        return await self._runner.run(calls.change(one(self._name, flag_id), fields={"archive": True}))

    async def versions(self, flag_id: Id, /) -> _Versions:
        """List the versions of one, the newest first.

        Args:
            flag_id: Its id.

        Returns:
            ``[{"version": 3, "createdAt": ..., "createdBy": ..., "flagConfig": {...}}]``.

        Raises:
            InvalidArgumentError: The id is blank.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        answer: _Versions = await self._runner.run(calls.list_of(one(self._name, flag_id), ("versions", ALL)))
        return answer

    async def version(self, flag_id: Id, version: Id, /) -> VersionRecord:
        """Get one version of one.

        Args:
            flag_id: Its id.
            version: The number of the version.

        Returns:
            ``{"version": 3, "createdAt": ..., "createdBy": ..., "flagConfig": {...}}``: the flag or experiment as it was then.

        Raises:
            InvalidArgumentError: One of both is blank.
            NotFoundError: There is none.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        answer: VersionRecord = await self._runner.run(calls.get(one(self._name, flag_id), one("versions", version)))
        return answer

    # Variants

    async def variants(self, flag_id: Id, /) -> _Variants:
        """List the variants of one, with payload and weight.

        Args:
            flag_id: Its id.

        Returns:
            ``[{"key": "on", "name": "", "payload": {}, "description": "", "rolloutWeight": 1}]``.

        Raises:
            InvalidArgumentError: The id is blank.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        answer: _Variants = await self._runner.run(calls.list_of(one(self._name, flag_id), ("variants", ALL)))
        return answer

    async def variant(self, flag_id: Id, variant_key: str, /) -> VariantRecord:
        """Get one variant.

        Args:
            flag_id: The id of the flag or experiment.
            variant_key: The key of the variant.

        Returns:
            ``{"key": "on", "name": "", "payload": {}, "description": "", "rolloutWeight": 1}``.

        Raises:
            InvalidArgumentError: One of both is blank.
            NotFoundError: There is none.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        answer: VariantRecord = await self._runner.run(calls.get(one(self._name, flag_id), one("variants", variant_key)))
        return answer

    async def create_variant(
        self,
        flag_id: Id,
        /,
        *,
        key: str,
        name: str | None = None,
        description: str | None = None,
        payload: object = UNSET,
        rollout_weight: int | None = None,
        **fields: object,
    ) -> str:
        """Add a variant.

        Args:
            flag_id: The id of the flag or experiment.
            key: What code sees of it.
            name: Its name in Amplitude.
            description: What it is for.
            payload: Any JSON, which comes with it to who evaluates.
            rollout_weight: How often it is given, beside the weights of the others.
            **fields: Further fields of Amplitude's.

        Returns:
            What Amplitude says: ``OK``.

        Raises:
            InvalidArgumentError: The id or the key is blank, or the weight is no whole number.
            BadRequestError: There is one of this key.
            AmplitudeError: Amplitude refused, or did not answer; the call is not repeated where its outcome is unknown.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        given = {"name": name, "description": description, "payload": payload, "rollout_weight": rollout_weight, **fields}
        call = calls.created(
            one(self._name, flag_id),
            ("variants", ALL),
            fields=checks.variant_fields(key, given),
            required=("key",),
            answers_id=False,
        )
        answer: str = await self._runner.run(call)
        return answer

    async def update_variant(
        self,
        flag_id: Id,
        variant_key: str,
        /,
        *,
        key: str | None = None,
        name: str | None = None,
        description: str | None = None,
        payload: object = UNSET,
        rollout_weight: int | None = None,
        **fields: object,
    ) -> str:
        """Change a variant; what is left out stays.

        Args:
            flag_id: The id of the flag or experiment.
            variant_key: The key that it has.
            key: The key that it is to have.
            name: Its name in Amplitude.
            description: What it is for.
            payload: Any JSON, in place of what it had; ``None`` sends a null.
            rollout_weight: How often it is given, beside the weights of the others.
            **fields: Further fields of Amplitude's.

        Returns:
            What Amplitude says: ``OK``.

        Raises:
            InvalidArgumentError: An id is blank, the weight is no whole number, or nothing was given to change.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        given = {"name": name, "description": description, "payload": payload, "rollout_weight": rollout_weight, **fields}
        call = calls.change(
            one(self._name, flag_id),
            one("variants", variant_key),
            fields=checks.variant_fields(key, given),
            answers_ok=True,
        )
        answer: str = await self._runner.run(call)
        return answer

    async def delete_variant(self, flag_id: Id, variant_key: str, /) -> str:
        """Remove a variant.

        Args:
            flag_id: The id of the flag or experiment.
            variant_key: The key of the variant.

        Returns:
            What Amplitude says: ``OK``.

        Raises:
            InvalidArgumentError: One of both is blank.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        answer: str = await self._runner.run(calls.removal(one(self._name, flag_id), one("variants", variant_key)))
        return answer

    # Deployments

    async def deployments(self, flag_id: Id, /) -> _Deployments:
        """List the deployments that one is served by.

        Args:
            flag_id: Its id.

        Returns:
            ``[{"id": "4410", "projectId": ..., "label": "backend", "key": "server-...", "deleted": False}]``; a key that begins with
            ``server-`` is a secret.

        Raises:
            InvalidArgumentError: The id is blank.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        answer: _Deployments = await self._runner.run(calls.list_of(one(self._name, flag_id), ("deployments", ALL)))
        return answer

    async def add_deployments(self, flag_id: Id, /, deployment_ids: Iterable[Id] | Id) -> str:
        """Have one served by further deployments.

        Args:
            flag_id: Its id.
            deployment_ids: The ids of the deployments.

        Returns:
            What Amplitude says: ``OK``.

        Raises:
            InvalidArgumentError: ``deployment_ids`` is empty, or an id is blank.
            AmplitudeError: Amplitude refused, or did not answer; the call is not repeated where its outcome is unknown.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        steps = (one(self._name, flag_id), ("deployments", ALL))
        call = calls.addition(*steps, name="deployments", ids=checks.listed_ids(deployment_ids, argument="deployment_ids"))
        answer: str = await self._runner.run(call)
        return answer

    async def remove_deployment(self, flag_id: Id, deployment_id: Id, /) -> str:
        """Have one served no more by a deployment.

        Args:
            flag_id: Its id.
            deployment_id: The id of the deployment.

        Returns:
            What Amplitude says: ``OK``.

        Raises:
            InvalidArgumentError: One of both is blank.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        answer: str = await self._runner.run(calls.removal(one(self._name, flag_id), one("deployments", deployment_id)))
        return answer

    async def _create(self, fields: Mapping[str, object]) -> Created:
        call = calls.created((self._name, ALL), fields=fields, required=("project_id", "key"))
        answer: Created = await self._runner.run(call)
        return answer

    async def _update(self, flag_id: Id, fields: Mapping[str, object]) -> Any:  # noqa: ANN401 - text or JSON
        return await self._runner.run(calls.change(one(self._name, flag_id), fields=fields))
