"""Behavioural cohorts: listed, downloaded, uploaded, changed.

A download is a job: a request, looks at how it stands, and a file, which for a large cohort is a redirect to a signed link that lives
for a minute. :meth:`Cohorts.download` is all of it; the single calls are there too.

Amplitude's page: https://amplitude.com/docs/apis/analytics/behavioral-cohorts
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from amplitude_async.errors import AmplitudeError, InvalidArgumentError
from amplitude_async.resources.cohorts.calls import (
    cohort_row,
    file_call,
    is_done,
    list_call,
    membership_call,
    request_call,
    request_of,
    status_call,
    upload_call,
    usage_call,
)
from amplitude_async.resources.csv_rows import CsvDownload
from amplitude_async.resources.jobs import deadline_in, until_done
from amplitude_async.resources.parameters import given

if TYPE_CHECKING:
    from collections.abc import Iterable

    from amplitude_async._protocol.call import Call
    from amplitude_async.resources.cohorts.shapes import (
        CohortList,
        CohortMembership,
        CohortRequest,
        CohortStatus,
        CohortUpload,
        CohortUsage,
        IdType,
        MemberIdType,
        MembershipOperation,
    )
    from amplitude_async.resources.runner import Download, Runner

__all__ = ["CohortDownload", "Cohorts"]

DOWNLOAD_SECONDS: Final = 600.0
"""How long a download waits by default; most jobs take 30 to 60 s, whatever the size."""


class CohortDownload(CsvDownload[dict[str, Any]]):
    """The members of a cohort. Nothing is sent until it is used.

    ``rows = await download`` gives all of them in a list; ``async for row in download`` gives them one by one while the file arrives,
    in constant memory; ``async with download.rows() as rows`` closes the download where the block is left. A second use downloads the
    file once more, for seven days, and asks for no new one, since Amplitude counts those.

    Rows are mappings: ``amplitude_id`` (a number), ``user_id`` (``None`` for an anonymous user), and, where they were asked for,
    properties as the text that Amplitude wrote.

    Attributes:
        request_id: What Amplitude calls the job, by which it can be resumed; ``None`` until it was asked for.
    """

    def __init__(self, runner: Runner, request: Call | None, request_id: str | None, timeout: float | None) -> None:
        super().__init__(runner, self._opened, cohort_row, timeout)
        self._request = request
        self.request_id = request_id
        self._is_done = timeout is None

    def __repr__(self) -> str:
        return f"<CohortDownload {'not asked for' if self.request_id is None else f'by request {self.request_id!r:.60}'}>"

    async def _opened(self, deadline: float | None) -> Download:
        try:
            if deadline is not None and not self._is_done:
                await self._wait(deadline)
            return await self._runner.open(file_call(self.request_id), deadline=deadline)
        except AmplitudeError as fault:
            fault.job_id = self.request_id
            raise

    async def _wait(self, deadline: float) -> None:
        if self.request_id is None and self._request is not None:
            answer = await self._runner.run(self._request, deadline=deadline)
            self.request_id = str(answer["request_id"])
        request_id = request_of(self.request_id)
        look_call = status_call(request_id)

        async def look(until: float) -> bool | None:
            return is_done(await self._runner.run(look_call, deadline=until), request_id) or None

        def says() -> str:
            return f"the cohort is not there yet; go on with cohorts.download(request_id={request_id!r:.60})"

        await until_done(self._runner, look, deadline=deadline, job_id=request_id, says=says)
        self._is_done = True


class Cohorts:
    """Behavioural cohorts: listed, downloaded, uploaded, changed.

    At most five calls of this and the dashboard's APIs are under way at once, and a project has 4 requests for downloads a minute, 60
    in 10 minutes and 500 a month; calls wait here before Amplitude would refuse them.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def list(self, *, include_sync_info: bool | None = None, **parameters: object) -> CohortList:
        """List the project's cohorts that can be discovered, all at once.

        Args:
            include_sync_info: Also say where each is sent to (``syncMetadata``); syncs that are off or ran once are left out.
            **parameters: Further parameters of the API.

        Returns:
            ``{"cohorts": [...]}``, each a :class:`Cohort`.

        Raises:
            ConfigurationError: The client has no secret key.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/behavioral-cohorts
        """
        result: CohortList = await self._runner.run(list_call({"include_sync_info": include_sync_info, **parameters}))
        return result

    def download(
        self,
        cohort_id: str | None = None,
        *,
        props: bool | None = None,
        prop_keys: Iterable[str] | str | None = None,
        request_id: str | None = None,
        timeout: float = DOWNLOAD_SECONDS,
        **parameters: object,
    ) -> CohortDownload:
        """Download the members of a cohort: ask for it, wait until it is there, read it. Nothing is sent until the result is used.

        It is looked at without delay, then at pauses that grow from 1 s by half up to 60 s. Looks that fail for the server's or the
        line's sake are taken again, up to five in a row. A link to storage is followed once, on TLS, without credentials; where it has
        expired, a fresh one is asked for, twice at most.

        Args:
            cohort_id: The cohort (:meth:`list` gives its ``id``).
            props: Include user properties. Leave it out if requests keep taking too long.
            prop_keys: Include these user properties alone.
            request_id: A request that was made before, in place of all of these: wait for that one.
            timeout: Seconds until the file has to begin to arrive, and for ``await`` until the list has to be complete.
            **parameters: Further parameters of the API.

        Returns:
            A :class:`CohortDownload`: ``await`` it for a list of rows, or go through it with ``async for``.

        Raises:
            InvalidArgumentError: The id is blank, or arguments contradict each other. When the result is used, also:
                RequestTimeoutError: it was not there in time. JobError: Amplitude says that it has failed. BudgetError: the quota of
                requests has no room in that time. NotFoundError: there is no such cohort or request. ExportError: the file is
                damaged or cut; names the line. AmplitudeError: Amplitude refused otherwise, or did not answer. The ``.job_id`` of
                each is the ``request_id`` to go on with, ``None`` if it never came to one.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/behavioral-cohorts
        """
        # Without a limit it would be what file() gives, which does not wait for the job.
        deadline_in(self._runner, timeout)
        if request_id is None:
            return CohortDownload(self._runner, request_call(cohort_id, props, prop_keys, parameters), None, timeout)
        asked = given({"cohort_id": cohort_id, "props": props, "prop_keys": prop_keys, **parameters})
        if asked:
            name = next(iter(asked))
            message = f"{name} is part of the request {request_id!r:.60} already; leave it out"
            raise InvalidArgumentError(message, argument=name)
        return CohortDownload(self._runner, None, request_of(request_id), timeout)

    async def request(
        self,
        cohort_id: str,
        *,
        props: bool | None = None,
        prop_keys: Iterable[str] | str | None = None,
        **parameters: object,
    ) -> CohortRequest:
        """Ask for a download, and wait for nothing; :meth:`download` is the whole of it.

        Args:
            cohort_id: As for :meth:`download`.
            props: As for :meth:`download`.
            prop_keys: As for :meth:`download`.
            **parameters: Further parameters of the API.

        Returns:
            ``{"request_id": ..., "cohort_id": ...}``.

        Raises:
            InvalidArgumentError: The id is blank, or ``prop_keys`` contradict ``props=False``.
            NotFoundError: There is no such cohort.
            AmplitudeError: Amplitude refused otherwise, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/behavioral-cohorts
        """
        result: CohortRequest = await self._runner.run(request_call(cohort_id, props, prop_keys, parameters))
        return result

    async def status(self, request_id: str) -> CohortStatus:
        """Ask how a request stands.

        Args:
            request_id: What :meth:`request` gave; not the cohort's id.

        Returns:
            A :class:`CohortStatus`; its ``async_status`` is ``JOB INPROGRESS`` or ``JOB COMPLETED``.

        Raises:
            InvalidArgumentError: The id is blank.
            NotFoundError: There is no such request.
            AmplitudeError: Amplitude refused otherwise, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/behavioral-cohorts
        """
        result: CohortStatus = await self._runner.run(status_call(request_id))
        return result

    def file(self, request_id: str) -> CohortDownload:
        """Read the file of a request that is done. Nothing is sent until the result is used; it does not wait for the job.

        Args:
            request_id: What :meth:`request` gave; its file can be had for seven days.

        Returns:
            A :class:`CohortDownload`, as :meth:`download` gives.

        Raises:
            InvalidArgumentError: The id is blank. When the result is used, also: BadRequestError or NotFoundError: the request is
                unknown, not done, or too old; and what else is said at :meth:`download`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/behavioral-cohorts
        """
        return CohortDownload(self._runner, None, request_of(request_id), None)

    async def upload(  # noqa: PLR0913 - the fields of the API
        self,
        name: str,
        ids: Iterable[str],
        *,
        app_id: int,
        id_type: IdType,
        owner: str,
        published: bool,
        count_group: str | None = None,
        skip_save: bool | None = None,
        skip_invalid_ids: bool | None = None,
        existing_cohort_id: str | None = None,
        **fields: object,
    ) -> CohortUpload:
        """Make a cohort of a list of ids, or replace what is in one.

        Without ``existing_cohort_id`` it is not repeated when its outcome is unknown: that might make a second cohort.

        Args:
            name: The cohort's name.
            ids: Its members, at most 100,000; add more with :meth:`add_members`.
            app_id: The project's number.
            id_type: What the ids are: ``"BY_USER_ID"`` or ``"BY_AMP_ID"``.
            owner: The owner's login e-mail.
            published: Whether others can discover it.
            count_group: A group type that the members are of, in place of users (Amplitude's ``cg``).
            skip_save: Only check the ids.
            skip_invalid_ids: Leave out ids that are not known (Amplitude's default); ``False`` refuses the whole upload for one.
            existing_cohort_id: The cohort to replace.
            **fields: Further fields of the API.

        Returns:
            A :class:`CohortUpload`: ``cohort_id``, and in ``metadata`` how many ids were known.

        Raises:
            InvalidArgumentError: An argument makes no sense: no ids or too many, a blank one, another ``id_type``. Nothing was sent.
            BadRequestError: Amplitude refused it; with ``skip_invalid_ids=False`` its ``.data`` names the invalid ids.
            AmplitudeError: Amplitude refused otherwise, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/behavioral-cohorts
        """
        options = {
            "app_id": app_id,
            "id_type": id_type,
            "owner": owner,
            "published": published,
            "cg": count_group,
            "skip_save": skip_save,
            "skip_invalid_ids": skip_invalid_ids,
            "existing_cohort_id": existing_cohort_id,
        }
        result: CohortUpload = await self._runner.run(upload_call(name, ids, {**options, **fields}))
        return result

    async def membership(
        self,
        cohort_id: str,
        memberships: Iterable[MembershipOperation],
        *,
        count_group: str | None = None,
        skip_invalid_ids: bool | None = None,
        **fields: object,
    ) -> CohortMembership:
        """Add members to a cohort and take others out, in one request.

        Args:
            cohort_id: The cohort.
            memberships: Operations: ``{"ids": [...], "id_type": "BY_ID" | "BY_NAME", "operation": "ADD" | "REMOVE"}``; together at
                most 100,000 ids.
            count_group: The group type that the cohort is of, if not users.
            skip_invalid_ids: Leave out ids that are not known (Amplitude's default); ``False`` applies nothing for one of them.
            **fields: Further fields of the API.

        Returns:
            A :class:`CohortMembership`: for each operation the ids that were left out.

        Raises:
            InvalidArgumentError: An operation makes no sense; names it. Nothing was sent.
            BadRequestError: Amplitude refused it; with ``skip_invalid_ids=False`` its ``.data`` names the invalid ids.
            AmplitudeError: Amplitude refused otherwise, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/behavioral-cohorts
        """
        options = {"count_group": count_group, "skip_invalid_ids": skip_invalid_ids}
        result: CohortMembership = await self._runner.run(membership_call(cohort_id, memberships, {**options, **fields}))
        return result

    async def add_members(
        self,
        cohort_id: str,
        ids: Iterable[str],
        *,
        id_type: MemberIdType = "BY_NAME",
        count_group: str | None = None,
        skip_invalid_ids: bool | None = None,
    ) -> CohortMembership:
        """Add members to a cohort: :meth:`membership` with one operation.

        Args:
            cohort_id: The cohort.
            ids: At most 100,000.
            id_type: ``"BY_NAME"``: your own user ids; ``"BY_ID"``: Amplitude's.
            count_group: As for :meth:`membership`.
            skip_invalid_ids: As for :meth:`membership`.

        Returns:
            As :meth:`membership`.

        Raises:
            AmplitudeError: As for :meth:`membership`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/behavioral-cohorts
        """
        operation = {"ids": ids, "id_type": id_type, "operation": "ADD"}
        options = {"count_group": count_group, "skip_invalid_ids": skip_invalid_ids}
        result: CohortMembership = await self._runner.run(membership_call(cohort_id, operation, options))
        return result

    async def remove_members(
        self,
        cohort_id: str,
        ids: Iterable[str],
        *,
        id_type: MemberIdType = "BY_NAME",
        count_group: str | None = None,
        skip_invalid_ids: bool | None = None,
    ) -> CohortMembership:
        """Take members out of a cohort: :meth:`membership` with one operation.

        Args:
            cohort_id: The cohort.
            ids: As for :meth:`add_members`.
            id_type: As for :meth:`add_members`.
            count_group: As for :meth:`membership`.
            skip_invalid_ids: As for :meth:`membership`.

        Returns:
            As :meth:`membership`.

        Raises:
            AmplitudeError: As for :meth:`membership`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/behavioral-cohorts
        """
        operation = {"ids": ids, "id_type": id_type, "operation": "REMOVE"}
        options = {"count_group": count_group, "skip_invalid_ids": skip_invalid_ids}
        result: CohortMembership = await self._runner.run(membership_call(cohort_id, operation, options))
        return result

    async def usage(self) -> CohortUsage:
        """Ask how many of the month's requests for downloads were made.

        Returns:
            ``{"rest_download": {"limit": 500, "usage": 12}}``, perhaps with ``resets_at``: the quota begins anew on the first of the
            month, in UTC. Amplitude's pages name this call and do not describe it.

        Raises:
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/behavioral-cohorts
        """
        result: CohortUsage = await self._runner.run(usage_call())
        return result
