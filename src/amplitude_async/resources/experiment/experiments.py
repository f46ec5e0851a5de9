"""Experiments.

Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-experiments
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amplitude_async.options import UNSET
from amplitude_async.resources.experiment import checks
from amplitude_async.resources.experiment.configured import Configured
from amplitude_async.resources.experiment.shapes import ExperimentRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from amplitude_async.options import Unset
    from amplitude_async.resources.experiment.shapes import (
        Created,
        Decision,
        EvaluationMode,
        ExperimentType,
        ExposureEvent,
        Id,
        NewVariant,
        TargetSegment,
    )

__all__ = ["Experiments"]


class Experiments(Configured[ExperimentRecord]):
    """Experiments: ``amplitude.experiment.experiments``."""

    _name = "experiments"

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
        experiment_type: ExperimentType | None = None,
        **fields: object,
    ) -> Created:
        """Create an experiment.

        Args:
            project_id: The project's id.
            key: What code asks for; one flag, experiment, holdout or mutual exclusion group of a project has it.
            name: Its name in Amplitude.
            description: What is to be found out.
            variants: Its variants, each with a ``key``, and with ``name``, ``description``, ``payload`` if wanted. Amplitude's web
                app begins with ``control`` and ``treatment``.
            bucketing_key: What users are told apart by; Amplitude's default is ``amplitude_id``.
            rollout_weights: How often which variant is given, in whole numbers by its key.
            target_segments: Users who are treated in a way of their own, the first that fits deciding.
            deployments: Ids of the deployments that it is served by.
            evaluation_mode: ``remote`` or ``local``.
            experiment_type: ``a-b-test`` or ``multi-arm-bandit``.
            **fields: Further fields of Amplitude's.

        Returns:
            ``{"id": "60232", "url": "http://..."}``.

        Raises:
            InvalidArgumentError: Something demanded is missing, or a segment or variant is not complete.
            BadRequestError: The key is taken.
            AmplitudeError: Amplitude refused, or did not answer; the call is not repeated where its outcome is unknown.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-experiments
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
                experiment_type=experiment_type,
                **fields,
            )
        )

    async def update(  # noqa: PLR0913 - one keyword per documented field
        self,
        experiment_id: Id,
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
        experiment_type: ExperimentType | None = None,
        sticky_bucketing: bool | None = None,
        start_date: date | str | None = None,
        end_date: date | str | Unset | None = UNSET,
        exposure_event: ExposureEvent | Unset | None = UNSET,
        decision: Decision | None = None,
        decision_reason: str | None = None,
        rolled_out_variant: str | Unset | None = UNSET,
        **fields: object,
    ) -> Any:  # noqa: ANN401 - text or JSON
        """Change an experiment; what is left out stays, lists are replaced as a whole.

        Args:
            experiment_id: Its id.
            name: Its name in Amplitude.
            description: What is to be found out.
            enabled: Whether it is active; an inactive experiment gives nobody a variant.
            archive: ``True`` archives it.
            bucketing_key: What users are told apart by.
            bucketing_salt: What is hashed with it: another one deals users out anew.
            bucketing_unit: ``User``, or a group type.
            evaluation_mode: ``remote`` or ``local``.
            rollout_percentage: Share of everybody whom no segment takes, 0 to 100.
            target_segments: Users who are treated in a way of their own, in place of those before.
            tags: All its tags.
            experiment_type: ``a-b-test`` or ``multi-arm-bandit``.
            sticky_bucketing: Whether users keep a variant although the rules change (remote evaluation alone).
            start_date: Its first day: a date, a datetime (a naive one is UTC), or text in ISO 8601.
            end_date: Its last day; ``None`` takes it away.
            exposure_event: What counts as having seen it; ``None`` goes back to Amplitude's own exposure event.
            decision: ``rollout``, ``rollback`` or ``continue-running``.
            decision_reason: Why.
            rolled_out_variant: The key of the variant that everybody is to get; ``None`` takes it away.
            **fields: Further fields of Amplitude's.

        Returns:
            What Amplitude says, of which its page documents only the status.

        Raises:
            InvalidArgumentError: The id is blank, a value is out of bounds, a segment is not complete, or nothing was given.
            ResponseError: 405 for web experiments and those of guides and surveys.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-experiments
        """
        return await self._update(
            experiment_id,
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
                experiment_type=experiment_type,
                sticky_bucketing=sticky_bucketing,
                start_date=checks.day_or_moment(start_date, argument="start_date"),
                end_date=checks.day_or_moment(end_date, argument="end_date"),
                exposure_event=checks.exposure(exposure_event),
                decision=decision,
                decision_reason=decision_reason,
                rolled_out_variant=rolled_out_variant,
                **fields,
            ),
        )
