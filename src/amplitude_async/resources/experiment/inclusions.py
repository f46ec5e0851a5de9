"""Users, devices and cohorts that always get a variant of a flag or experiment.

Amplitude's pages: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags and
https://amplitude.com/docs/apis/experiment/experiment-management-api-experiments
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from amplitude_async.resources.experiment import calls, checks
from amplitude_async.resources.experiment.calls import ALL, one
from amplitude_async.resources.parameters import id_list, refused, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from amplitude_async.resources.experiment.shapes import Id, Ids
    from amplitude_async.resources.runner import Runner

__all__ = ["Inclusions"]


class Inclusions:
    """The calls about inclusions; a part of flags and of experiments."""

    _name = ""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def _variant(self, flag_id: Id, variant_key: str) -> tuple[calls.Step, calls.Step]:
        return one(self._name, flag_id), one("variants", variant_key)

    async def inclusions(self, flag_id: Id, variant_key: str, /) -> list[str]:
        """List the user and device ids that always get a variant, in the order by which :meth:`remove_inclusions_at` counts.

        Args:
            flag_id: The id of the flag or experiment.
            variant_key: The key of the variant.

        Returns:
            ``["user-1", "device-7"]``.

        Raises:
            InvalidArgumentError: One of both is blank.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        answer: list[str] = await self._runner.run(calls.list_of(*self._variant(flag_id, variant_key), ("users", ALL)))
        return answer

    async def add_inclusions(self, flag_id: Id, variant_key: str, /, ids: Iterable[str] | str) -> str:
        """Have users or devices always get a variant.

        Args:
            flag_id: The id of the flag or experiment.
            variant_key: The key of the variant.
            ids: User and device ids; a variant holds 2,000 at most.

        Returns:
            What Amplitude says: ``OK``.

        Raises:
            InvalidArgumentError: ``ids`` is empty or longer than 2,000, or an id is blank or looks like a wildcard.
            BadRequestError: The variant would hold more than 2,000.
            AmplitudeError: Amplitude refused, or did not answer; the call is not repeated where its outcome is unknown.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        steps = (*self._variant(flag_id, variant_key), ("users", ALL))
        call = calls.addition(*steps, name="inclusions", ids=checks.listed_ids(ids, argument="ids", most=checks.MAX_INCLUSIONS))
        answer: str = await self._runner.run(call)
        return answer

    async def remove_inclusions(self, flag_id: Id, variant_key: str, /, ids: Iterable[str] | str) -> str:
        """Take users or devices off the list of a variant, by their ids.

        Args:
            flag_id: The id of the flag or experiment.
            variant_key: The key of the variant.
            ids: User and device ids. Amplitude takes 100 in a request; more go out in several, one after another.

        Returns:
            What Amplitude says, of the last request: ``OK``.

        Raises:
            InvalidArgumentError: ``ids`` is empty, or an id is blank or looks like a wildcard.
            AmplitudeError: Amplitude refused, or did not answer; to do it again does no harm.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        return await self._remove_all(flag_id, variant_key, "bulk-delete-users", ids, argument="ids")

    async def remove_inclusions_at(self, flag_id: Id, variant_key: str, /, *indexes: int) -> str:
        """Take users or devices off the list of a variant, by their places in :meth:`inclusions`.

        Each removal moves up whoever stands behind, so they go from the highest place down, one request each; nobody else may change
        the list meanwhile. :meth:`remove_inclusions` has none of these troubles.

        Args:
            flag_id: The id of the flag or experiment.
            variant_key: The key of the variant.
            *indexes: Places, from 0; each counts once.

        Returns:
            What Amplitude says, of the last request: ``OK``.

        Raises:
            InvalidArgumentError: No place was given, or one is no whole number from 0.
            AmplitudeError: Amplitude refused, or did not answer; a removal is not repeated where its outcome is unknown, because the
                second one would hit whoever moved up.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        places = sorted({whole_number(index, argument="indexes") for index in indexes}, reverse=True)
        if not places:
            raise refused(argument="indexes", reason="is empty; give at least one place")
        steps = self._variant(flag_id, variant_key)
        answer = ""
        for place in places:
            answer = await self._runner.run(calls.removal(*steps, one("users", place)))
        return answer

    async def clear_inclusions(self, flag_id: Id, variant_key: str, /) -> str:
        """Take everybody off the list of a variant.

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
        answer: str = await self._runner.run(calls.removal(*self._variant(flag_id, variant_key), ("users", ALL)))
        return answer

    async def cohort_inclusions(self, flag_id: Id, variant_key: str, /) -> Ids:
        """List the ids of the cohorts whose members always get a variant.

        Args:
            flag_id: The id of the flag or experiment.
            variant_key: The key of the variant.

        Returns:
            ``["k3x9q2f"]``.

        Raises:
            InvalidArgumentError: One of both is blank.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        answer: Ids = await self._runner.run(calls.list_of(*self._variant(flag_id, variant_key), ("cohorts", ALL)))
        return answer

    async def add_cohort_inclusions(self, flag_id: Id, variant_key: str, /, cohort_ids: Iterable[Id] | Id) -> str:
        """Have the members of cohorts always get a variant.

        Args:
            flag_id: The id of the flag or experiment.
            variant_key: The key of the variant.
            cohort_ids: The ids of the cohorts.

        Returns:
            What Amplitude says: ``OK``.

        Raises:
            InvalidArgumentError: ``cohort_ids`` is empty, or an id is blank.
            AmplitudeError: Amplitude refused, or did not answer; the call is not repeated where its outcome is unknown.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        steps = (*self._variant(flag_id, variant_key), ("cohorts", ALL))
        answer: str = await self._runner.run(
            calls.addition(*steps, name="inclusions", ids=checks.listed_ids(cohort_ids, argument="cohort_ids"))
        )
        return answer

    async def remove_cohort_inclusions(self, flag_id: Id, variant_key: str, /, cohort_ids: Iterable[Id] | Id) -> str:
        """Take cohorts off the list of a variant, by their ids.

        Args:
            flag_id: The id of the flag or experiment.
            variant_key: The key of the variant.
            cohort_ids: The ids of the cohorts. Amplitude takes 100 in a request; more go out in several, one after another.

        Returns:
            What Amplitude says, of the last request: ``OK``.

        Raises:
            InvalidArgumentError: ``cohort_ids`` is empty, or an id is blank.
            AmplitudeError: Amplitude refused, or did not answer; to do it again does no harm.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api-flags
        """
        return await self._remove_all(flag_id, variant_key, "bulk-delete-cohorts", cohort_ids, argument="cohort_ids")

    async def _remove_all(self, flag_id: Id, variant_key: str, name: str, values: object, *, argument: str) -> str:
        ids = id_list(values, argument=argument)
        steps = (*self._variant(flag_id, variant_key), (name, ALL))
        answer = ""
        for first in range(0, len(ids), calls.MAX_REMOVED):
            answer = await self._runner.run(calls.bulk_removal(*steps, ids=ids[first : first + calls.MAX_REMOVED]))
        return answer
