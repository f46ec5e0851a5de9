"""Feature flags.

Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amplitude_async.resources.experiment import checks
from amplitude_async.resources.experiment.configured import Configured
from amplitude_async.resources.experiment.shapes import FlagRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from amplitude_async.resources.experiment.shapes import Created, EvaluationMode, Id, NewVariant, TargetSegment

__all__ = ["Flags"]


class Flags(Configured[FlagRecord]):
    """Feature flags: ``amplitude.experiment.flags``."""

    _name = "flags"

    async def create(  # noqa: PLR0913 - one keyword per documented field
        self,
        *,
        project_id: Id,
        key: str,
        name: str | None = None,
        description: str | None = None,
        variants: Sequence[NewVariant] | None = None,
        bucketing_key: str | None = None,
        rollout_weights: Mapping[str, int] | None = None,
        target_segments: Sequence[TargetSegment] | None = None,
        deployments: Iterable[Id] | Id | None = None,
        evaluation_mode: EvaluationMode | None = None,
        **fields: object,
    ) -> Created:
        """Create a flag.

        Args:
            project_id: The project's id.
            key: What code asks for; one flag, experiment, holdout or mutual exclusion group of a project has it.
            name: Its name in Amplitude.
            description: What it is for.
            variants: Its variants, each with a ``key``, and with ``name``, ``description``, ``payload`` if wanted. Amplitude's web
                app begins with one, ``on``.
            bucketing_key: What users are told apart by; Amplitude's default is ``amplitude_id``.
            rollout_weights: How often which variant is given, in whole numbers by its key.
            target_segments: Users who are treated in a way of their own, the first that fits deciding.
            deployments: Ids of the deployments that it is served by.
            evaluation_mode: ``remote`` or ``local``.
            **fields: Further fields of Amplitude's.

        Returns:
            ``{"id": "60231", "url": "http://..."}``.

        Raises:
            InvalidArgumentError: Something demanded is missing, or a segment or variant is not complete.
            BadRequestError: The key is taken.
            AmplitudeError: Amplitude refused, or did not answer; the call is not repeated where its outcome is unknown.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        return await self._create(
            checks.new_fields(
                project_id=project_id,
                key=key,
                name=name,
                description=description,
                variants=variants,
                bucketing_key=bucketing_key,
                rollout_weights=rollout_weights,
                target_segments=target_segments,
                deployments=deployments,
                evaluation_mode=evaluation_mode,
                **fields,
            )
        )

    async def update(  # noqa: PLR0913 - one keyword per documented field
        self,
        flag_id: Id,
        /,
        *,
        name: str | None = None,
        description: str | None = None,
        enabled: bool | None = None,
        archive: bool | None = None,
        bucketing_key: str | None = None,
        bucketing_salt: str | None = None,
        bucketing_unit: str | None = None,
        evaluation_mode: EvaluationMode | None = None,
        rollout_percentage: float | None = None,
        target_segments: Sequence[TargetSegment] | None = None,
        tags: Iterable[str] | None = None,
        **fields: object,
    ) -> Any:  # noqa: ANN401 - text or JSON
        """Change a flag; what is left out stays, lists are replaced as a whole.

        Args:
            flag_id: Its id.
            name: Its name in Amplitude.
            description: What it is for.
            enabled: Whether it is active; an inactive flag gives nobody a variant.
            archive: ``True`` archives it.
            bucketing_key: What users are told apart by.
            bucketing_salt: What is hashed with it: another one deals users out anew.
            bucketing_unit: ``User``, or a group type.
            evaluation_mode: ``remote`` or ``local``.
            rollout_percentage: Share of everybody whom no segment takes, 0 to 100.
            target_segments: Users who are treated in a way of their own, in place of those before.
            tags: All its tags.
            **fields: Further fields of Amplitude's.

        Returns:
            What Amplitude says, of which its page documents only the status.

        Raises:
            InvalidArgumentError: The id is blank, a percentage is out of bounds, a segment is not complete, or nothing was given.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        return await self._update(
            flag_id,
            checks.changed_fields(
                name=name,
                description=description,
                enabled=enabled,
                archive=archive,
                bucketing_key=bucketing_key,
                bucketing_salt=bucketing_salt,
                bucketing_unit=bucketing_unit,
                evaluation_mode=evaluation_mode,
                rollout_percentage=rollout_percentage,
                target_segments=target_segments,
                tags=tags,
                **fields,
            ),
        )
