"""Mutual exclusion groups and holdout groups: which experiments a user may be in at once, and who is in none.

Amplitude's pages: https://amplitude.com/docs/apis/experiment/experiment-management-api-mutexs and
https://amplitude.com/docs/apis/experiment/experiment-management-api-holdouts
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amplitude_async.resources.experiment import calls, checks
from amplitude_async.resources.experiment.calls import ALL, one
from amplitude_async.resources.paging import Pages
from amplitude_async.resources.parameters import refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from amplitude_async.resources.experiment.shapes import Created, EvaluationMode, HoldoutRecord, Id, MutexRecord, Slot
    from amplitude_async.resources.paging import Cursor, Page
    from amplitude_async.resources.runner import Runner

__all__ = ["Holdouts", "Mutexes"]


class Mutexes:
    """Mutual exclusion groups: ``amplitude.experiment.mutexes``. All calls need ``management_key``."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def list(self, *, limit: int | None = None, cursor: Cursor | None = None, **fields: object) -> Pages[MutexRecord]:
        """List the groups; nothing is sent before the first one is asked for.

        Args:
            limit: Items of one page, at most 1,000.
            cursor: Where to begin: the ``cursor`` of an earlier iteration, or an offset.
            **fields: Further parameters of Amplitude's.

        Returns:
            An async iterator of groups with their ``slots``, page after page.

        Raises:
            InvalidArgumentError: ``limit`` is out of bounds.
            AmplitudeError: While it is iterated: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-mutexs
        """
        calls.page("mutexes", cursor, limit=limit, **fields)

        async def fetch(at: Cursor | None) -> Page[MutexRecord]:
            answer: Page[MutexRecord] = await self._runner.run(calls.page("mutexes", at, limit=limit, **fields))
            return answer

        return Pages(fetch, cursor)

    async def get(self, mutex_id: Id) -> MutexRecord:
        """Get one group.

        Args:
            mutex_id: Its id.

        Returns:
            ``{"id": 771, "key": ..., "name": ..., "slots": [{"index": 1, "percentage": 70, "experiments": [60231], ...}], ...}``.

        Raises:
            InvalidArgumentError: The id is blank.
            NotFoundError: There is none of that id.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-mutexs
        """
        answer: MutexRecord = await self._runner.run(calls.get(one("mutexes", mutex_id)))
        return answer

    async def create(
        self,
        *,
        project_id: Id,
        name: str,
        slots: Sequence[Slot | int],
        key: str | None = None,
        description: str | None = None,
        evaluation_mode: EvaluationMode | None = None,
        bucketing_key: str | None = None,
        bucketing_salt: str | None = None,
        **fields: object,
    ) -> Created:
        """Create a group.

        Args:
            project_id: The project's id.
            name: Its name in Amplitude.
            slots: 1 to 20 slots, in order: ``{"percentage": 70, "experiments": [60231]}``, or a percentage alone. They add up to 100.
            key: One flag, experiment, holdout or mutual exclusion group of a project has it; Amplitude makes one up.
            description: What it is for.
            evaluation_mode: ``remote`` (Amplitude's default) or ``local``.
            bucketing_key: What users are told apart by; Amplitude's default is ``amplitude_id``.
            bucketing_salt: What is hashed with it; Amplitude makes one up.
            **fields: Further fields of Amplitude's.

        Returns:
            ``{"id": 771, "url": "http://..."}``.

        Raises:
            InvalidArgumentError: Something demanded is blank, or the slots do not add up.
            BadRequestError: The key is taken, or an experiment is not there.
            AmplitudeError: Amplitude refused, or did not answer; the call is not repeated where its outcome is unknown.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-mutexs
        """
        given = {
            "project_id": project_id,
            "name": name,
            "key": key,
            "description": description,
            "evaluation_mode": evaluation_mode,
            "bucketing_key": bucketing_key,
            "bucketing_salt": bucketing_salt,
            "slots": checks.slots(slots),
            **fields,
        }
        answer: Created = await self._runner.run(calls.created(("mutexes", ALL), fields=given, required=("project_id", "name")))
        return answer

    async def update(
        self,
        mutex_id: Id,
        *,
        name: str | None = None,
        description: str | None = None,
        archive: bool | None = None,
        **fields: object,
    ) -> Any:  # noqa: ANN401 - text or JSON
        """Change a group; what is left out stays.

        Args:
            mutex_id: Its id.
            name: Its name in Amplitude.
            description: What it is for.
            archive: ``True`` archives it and takes it off its experiments; Amplitude then ignores all else, so it goes alone.
            **fields: Further fields of Amplitude's.

        Returns:
            What Amplitude says, of which its page documents only the status.

        Raises:
            InvalidArgumentError: The id is blank, nothing was given to change, or more than ``archive=True``.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-mutexs
        """
        given = {"name": name, "description": description, **fields}
        if archive and any(value is not None for value in given.values()):
            raise refused(argument="archive", reason="goes alone: Amplitude ignores what is changed along with it")
        return await self._runner.run(calls.change(one("mutexes", mutex_id), fields={**given, "archive": archive}))

    async def archive(self, mutex_id: Id) -> Any:  # noqa: ANN401 - text or JSON
        """Archive a group, which takes it off its experiments.

        Args:
            mutex_id: Its id.

        Returns:
            What Amplitude says, of which its page documents only the status.

        Raises:
            InvalidArgumentError: The id is blank.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-mutexs
        """
        return await self.update(mutex_id, archive=True)

    async def update_slot(
        self,
        mutex_id: Id,
        slot_index: int,
        *,
        experiments: Iterable[Id] | Id | None = None,
        holdouts: Iterable[Id] | Id | None = None,
        individuals: Iterable[str] | str | None = None,
        **fields: object,
    ) -> Any:  # noqa: ANN401 - text or JSON
        """Change what is in a slot; what is left out stays, lists are replaced as a whole, and ``[]`` empties one.

        Args:
            mutex_id: The group's id.
            slot_index: Which slot, from 1.
            experiments: Ids of experiments.
            holdouts: Ids of holdout groups.
            individuals: User and device ids that are always in this slot.
            **fields: Further fields of Amplitude's.

        Returns:
            What Amplitude says, of which its page documents only the status.

        Raises:
            InvalidArgumentError: An id is blank, the slot is no whole number from 1, or nothing was given to change.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-mutexs
        """
        given = {
            "experiments": checks.optional_ids(experiments, argument="experiments"),
            "holdouts": checks.optional_ids(holdouts, argument="holdouts"),
            "individuals": checks.optional_ids(individuals, argument="individuals"),
            **fields,
        }
        return await self._runner.run(calls.change(one("mutexes", mutex_id), one("slots", slot_index), fields=given))


class Holdouts:
    """Holdout groups: ``amplitude.experiment.holdouts``. All calls need ``management_key``."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def list(self, *, limit: int | None = None, cursor: Cursor | None = None, **fields: object) -> Pages[HoldoutRecord]:
        """List the groups; nothing is sent before the first one is asked for.

        Args:
            limit: Items of one page, at most 1,000.
            cursor: Where to begin: the ``cursor`` of an earlier iteration, or an offset.
            **fields: Further parameters of Amplitude's.

        Returns:
            An async iterator of groups, page after page.

        Raises:
            InvalidArgumentError: ``limit`` is out of bounds.
            AmplitudeError: While it is iterated: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-holdouts
        """
        calls.page("holdouts", cursor, limit=limit, **fields)

        async def fetch(at: Cursor | None) -> Page[HoldoutRecord]:
            answer: Page[HoldoutRecord] = await self._runner.run(calls.page("holdouts", at, limit=limit, **fields))
            return answer

        return Pages(fetch, cursor)

    async def get(self, holdout_id: Id) -> HoldoutRecord:
        """Get one group.

        Args:
            holdout_id: Its id.

        Returns:
            ``{"id": 812, "key": ..., "name": ..., "holdoutPercentage": 5, "experiments": [60231], ...}``.

        Raises:
            InvalidArgumentError: The id is blank.
            NotFoundError: There is none of that id.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-holdouts
        """
        answer: HoldoutRecord = await self._runner.run(calls.get(one("holdouts", holdout_id)))
        return answer

    async def create(  # noqa: PLR0913 - one keyword per documented field
        self,
        *,
        project_id: Id,
        name: str,
        holdout_percentage: int,
        key: str | None = None,
        description: str | None = None,
        evaluation_mode: EvaluationMode | None = None,
        bucketing_key: str | None = None,
        experiments: Iterable[Id] | Id | None = None,
        individual_inclusion: Iterable[str] | str | None = None,
        individual_exclusion: Iterable[str] | str | None = None,
        **fields: object,
    ) -> Created:
        """Create a group.

        Args:
            project_id: The project's id.
            name: Its name in Amplitude.
            holdout_percentage: Share of users who see none of its experiments, a whole number from 1 to 99.
            key: One flag, experiment, holdout or mutual exclusion group of a project has it; Amplitude makes one up.
            description: What it is for.
            evaluation_mode: ``remote`` (Amplitude's default) or ``local``; its experiments must fit it.
            bucketing_key: What users are told apart by; Amplitude's default is ``amplitude_id``.
            experiments: Ids of experiments.
            individual_inclusion: User and device ids that never see the experiments.
            individual_exclusion: User and device ids that may always see them.
            **fields: Further fields of Amplitude's.

        Returns:
            ``{"id": 812, "url": "http://..."}``.

        Raises:
            InvalidArgumentError: Something demanded is blank, or the percentage is out of bounds.
            BadRequestError: The key is taken, or an experiment is not there or does not fit.
            AmplitudeError: Amplitude refused, or did not answer; the call is not repeated where its outcome is unknown.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-holdouts
        """
        given = {
            "project_id": project_id,
            "name": name,
            "holdout_percentage": checks.holdout_percentage(holdout_percentage),
            "key": key,
            "description": description,
            "evaluation_mode": evaluation_mode,
            "bucketing_key": bucketing_key,
            "experiments": checks.optional_ids(experiments, argument="experiments"),
            "individual_inclusion": checks.optional_ids(individual_inclusion, argument="individual_inclusion"),
            "individual_exclusion": checks.optional_ids(individual_exclusion, argument="individual_exclusion"),
            **fields,
        }
        answer: Created = await self._runner.run(calls.created(("holdouts", ALL), fields=given, required=("project_id", "name")))
        return answer

    async def update(
        self,
        holdout_id: Id,
        *,
        name: str | None = None,
        description: str | None = None,
        experiments: Iterable[Id] | Id | None = None,
        individual_inclusion: Iterable[str] | str | None = None,
        individual_exclusion: Iterable[str] | str | None = None,
        archive: bool | None = None,
        **fields: object,
    ) -> Any:  # noqa: ANN401 - text or JSON
        """Change a group; what is left out stays, lists are replaced as a whole, and ``[]`` empties one.

        Args:
            holdout_id: Its id.
            name: Its name in Amplitude.
            description: What it is for.
            experiments: Ids of experiments.
            individual_inclusion: User and device ids that never see the experiments.
            individual_exclusion: User and device ids that may always see them.
            archive: ``True`` archives it.
            **fields: Further fields of Amplitude's.

        Returns:
            What Amplitude says, of which its page documents only the status.

        Raises:
            InvalidArgumentError: An id is blank, or nothing was given to change.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-holdouts
        """
        given = {
            "name": name,
            "description": description,
            "experiments": checks.optional_ids(experiments, argument="experiments"),
            "individual_inclusion": checks.optional_ids(individual_inclusion, argument="individual_inclusion"),
            "individual_exclusion": checks.optional_ids(individual_exclusion, argument="individual_exclusion"),
            "archive": archive,
            **fields,
        }
        return await self._runner.run(calls.change(one("holdouts", holdout_id), fields=given))

    async def archive(self, holdout_id: Id) -> Any:  # noqa: ANN401 - text or JSON
        """Archive a group: its experiments are open to everybody again.

        Args:
            holdout_id: Its id.

        Returns:
            What Amplitude says, of which its page documents only the status.

        Raises:
            InvalidArgumentError: The id is blank.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-holdouts
        """
        return await self.update(holdout_id, archive=True)
