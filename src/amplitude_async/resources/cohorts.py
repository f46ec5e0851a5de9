"""Behavioural cohorts: listed, downloaded, uploaded, changed.

A download is a job: a request, looks at how it stands, and a file, which for a large cohort is a redirect to a signed link that lives
for a minute. :meth:`Cohorts.download` is all of it; the single calls are there too.

Amplitude's page: https://amplitude.com/docs/apis/analytics/behavioral-cohorts
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, Required, TypedDict, get_args

from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.call import Call, path_of, read_json_object, read_members, read_nothing
from amplitude_async._protocol.codec import MalformedError
from amplitude_async._protocol.masking import mask
from amplitude_async.errors import AmplitudeError, InvalidArgumentError, JobError
from amplitude_async.resources.csv_rows import CsvDownload
from amplitude_async.resources.jobs import deadline_in, until_done
from amplitude_async.resources.parameters import (
    given,
    id_list,
    json_body,
    one_of,
    query_pairs,
    refused,
    repeated,
    required_text,
    truth,
    whole_number,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from amplitude_async.resources.runner import Download, Runner

__all__ = [
    "Cohort",
    "CohortDownload",
    "CohortList",
    "CohortMembership",
    "CohortRequest",
    "CohortStatus",
    "CohortSync",
    "CohortUpload",
    "CohortUploadCounts",
    "CohortUsage",
    "Cohorts",
    "MembershipOperation",
    "MembershipResult",
    "cohort_row",
    "file_call",
    "list_call",
    "membership_call",
    "request_call",
    "status_call",
    "upload_call",
    "usage_call",
]

IdType = Literal["BY_AMP_ID", "BY_USER_ID"]
MemberIdType = Literal["BY_ID", "BY_NAME"]
Operation = Literal["ADD", "REMOVE"]

MAX_IDS: Final = 100_000
"""In one upload, and in one change of members over all its operations."""
DOWNLOAD_SECONDS: Final = 600.0
"""How long a download waits by default; most jobs take 30 to 60 s, whatever the size."""
_REST: Final = (Use("rest"),)
_REQUEST: Final = (Use("rest"), Use("cohort_requests"))


class CohortSync(TypedDict, total=False):
    """Where a cohort is sent to.

    ``frequency`` is ``minute`` (as it happens), ``hourly`` or ``daily``; times are ISO 8601 with their offset.
    """

    target: str
    frequency: str
    last_successful: str | None
    last_failure: str | None
    params: dict[str, Any]


class Cohort(TypedDict, total=False):
    """A cohort. ``lastMod``, ``createdAt``, ``lastComputed`` are seconds since the epoch; ``definition`` is Amplitude's own business.

    ``syncMetadata`` only where it was asked for.
    """

    id: Required[str]
    name: Required[str]
    appId: int
    archived: bool
    definition: dict[str, Any]
    description: str | None
    finished: bool
    owners: list[str]
    viewers: list[str]
    published: bool
    size: int
    type: str
    lastMod: int
    createdAt: int
    lastComputed: int
    hidden: bool
    metadata: list[str] | None
    view_count: int | None
    popularity: int | None
    last_viewed: int | None
    chart_id: str | None
    edit_id: str | None
    is_predictive: bool
    is_official_content: bool
    location_id: str | None
    shortcut_ids: list[str]
    syncMetadata: list[CohortSync]


class CohortList(TypedDict):
    """The cohorts of a project that can be discovered, all at once."""

    cohorts: list[Cohort]


class CohortRequest(TypedDict, total=False):
    """The answer to a request: ``request_id``, by which it is looked at and its file is had."""

    request_id: Required[str]
    cohort_id: str


class CohortStatus(TypedDict, total=False):
    """How a request stands: ``async_status`` is ``JOB INPROGRESS`` or ``JOB COMPLETED``."""

    request_id: str
    cohort_id: str
    async_status: Required[str]


class CohortUploadCounts(TypedDict, total=False):
    """How many of the ids were known, of how many; and some of those that were not."""

    matched: int
    totals: int
    invalid_ids_sample: list[str]


class CohortUpload(TypedDict, total=False):
    """The answer to an upload. ``cohort_id`` is there whichever way Amplitude spelled it, and missing only if nothing was saved."""

    cohort_id: str
    cohortId: str
    metadata: CohortUploadCounts


class MembershipOperation(TypedDict):
    """Ids that are added to a cohort or taken out of it.

    ``id_type``: for users, ``BY_ID`` is the Amplitude id and ``BY_NAME`` your own user id; for other groups, their id and name.
    """

    ids: Sequence[str]
    id_type: MemberIdType
    operation: Operation


class MembershipResult(TypedDict, total=False):
    """What became of one operation: the ids in ``skipped_ids`` were left out."""

    skipped_ids: Required[list[str]]
    id_type: str
    operation: str


class CohortMembership(TypedDict, total=False):
    """What became of each operation, in their order."""

    cohort_id: str
    memberships_result: Required[list[MembershipResult]]


class CohortQuota(TypedDict, total=False):
    """Requests of this month: how many may be made, how many were."""

    limit: int
    usage: int
    resets_at: str


class CohortUsage(TypedDict, total=False):
    """The quota of downloads, always under ``rest_download``, whichever shape Amplitude answered in."""

    rest_download: Required[CohortQuota]


def _read_list(body: bytes) -> dict[str, Any]:
    answer = read_json_object(body)
    cohorts = answer.get("cohorts")
    if not isinstance(cohorts, list) or not all(isinstance(cohort, dict) for cohort in cohorts):
        message = "it has no cohorts"
        raise MalformedError(message)
    return answer


def _read_request(body: bytes) -> dict[str, Any]:
    answer = read_json_object(body)
    found = answer.get("request_id", answer.get("requestId"))
    if not isinstance(found, (str, int)) or isinstance(found, bool) or found == "":
        message = "it has no request_id"
        raise MalformedError(message)
    answer["request_id"] = str(found)
    return answer


def _read_status(body: bytes) -> dict[str, Any]:
    answer = read_json_object(body)
    if not isinstance(answer.get("async_status"), str):
        message = "it has no async_status"
        raise MalformedError(message)
    return answer


def _read_upload(body: bytes) -> dict[str, Any]:
    """Read the answer to an upload; older pages spell its id ``cohort_id``, newer ones ``cohortId``."""
    answer = read_members(body, "cohort_id", "cohortId", "metadata")
    if "cohort_id" not in answer and "cohortId" in answer:
        answer["cohort_id"] = answer["cohortId"]
    return answer


def _read_membership(body: bytes) -> dict[str, Any]:
    answer = read_json_object(body)
    if not isinstance(answer.get("memberships_result"), list):
        message = "it has no memberships_result"
        raise MalformedError(message)
    return answer


def _read_usage(body: bytes) -> dict[str, Any]:
    """Read the quota; what is described as ``{"limit", "count"}`` elsewhere is brought under ``rest_download``."""
    answer = read_json_object(body)
    quota = answer.get("rest_download")
    if not isinstance(quota, dict):
        if "limit" not in answer:
            message = "it has no rest_download"
            raise MalformedError(message)
        quota = {"limit": answer["limit"]}
        answer["rest_download"] = quota
        for name in ("usage", "count"):
            if name in answer:
                quota["usage"] = answer[name]
        if "resets_at" in answer:
            quota["resets_at"] = answer["resets_at"]
    elif "usage" not in quota and "count" in quota:
        quota["usage"] = quota["count"]
    return answer


def _read(path: str, reads: Callable[[bytes], Any], query: tuple[tuple[str, str], ...] = (), uses: tuple[Use, ...] = _REST) -> Call:
    return Call("dashboard", "query", "GET", path, "project", reads, repeatable=True, query=query, uses=uses)


def list_call(parameters: Mapping[str, object]) -> Call:
    """Describe the list of cohorts."""
    return _read("/api/3/cohorts", _read_list, query_pairs("cohorts", parameters))


def request_call(cohort_id: object, props: object, prop_keys: object, fields: Mapping[str, object]) -> Call:
    """Describe a request for a download. Repeatable: at worst it is counted twice, of 500 a month."""
    cohort = required_text(cohort_id, argument="cohort_id", what="a cohort's id (cohorts.list gives it)")
    props = truth(props, argument="props")
    keys = None if prop_keys is None else id_list(prop_keys, argument="prop_keys")
    if keys is not None and props is not None and not props:
        raise refused(argument="prop_keys", reason="names properties, but props=False leaves them all out")
    wants = ("props", "1" if props or keys else "0")
    query = ((wants,) if props is not None or keys else ()) + repeated("propKeys", keys) + query_pairs("cohorts", fields)
    return _read(path_of("/api/5/cohorts/request/{}", cohort), _read_request, query, _REQUEST)


def status_call(request_id: object) -> Call:
    """Describe a look at a request."""
    return _read(path_of("/api/5/cohorts/request-status/{}", _request(request_id)), _read_status)


def file_call(request_id: object) -> Call:
    """Describe the download of a file: the rows, or a redirect to a signed link, which is followed without credentials."""
    path = path_of("/api/5/cohorts/request/{}/file", _request(request_id))
    return Call("dashboard", "stream", "GET", path, "project", read_nothing, repeatable=True, uses=_REST, follows_link=True)


def _request(request_id: object) -> str:
    return required_text(request_id, argument="request_id", what="the request_id that cohorts.request gave")


def usage_call() -> Call:
    """Describe the question for the month's quota."""
    return _read("/api/3/cohorts/usage", _read_usage)


def _write(path: str, reads: Callable[[bytes], Any], body: Mapping[str, object], *, repeatable: bool) -> Call:
    return Call("dashboard", "query", "POST", path, "project", reads, repeatable=repeatable, body=json_body(body), uses=_REST)


def upload_call(name: object, ids: object, fields: Mapping[str, object]) -> Call:
    """Describe an upload.

    Repeatable where it replaces a cohort, or saves nothing: otherwise a lost answer, and a second try, would make a second cohort.
    """
    body = {
        "name": required_text(name, argument="name", what="the cohort's name"),
        "app_id": whole_number(fields.get("app_id"), argument="app_id", least=1),
        "id_type": one_of(fields.get("id_type"), get_args(IdType), argument="id_type"),
        "ids": id_list(ids, argument="ids", most=MAX_IDS),
        "owner": required_text(fields.get("owner"), argument="owner", what="the owner's login e-mail"),
        "published": fields.get("published"),
    }
    for flag in ("published", "skip_save", "skip_invalid_ids"):
        if truth(fields.get(flag), argument=flag) is None and flag == "published":
            raise refused(argument=flag, reason="must be True or False")
    replaces = fields.get("existing_cohort_id")
    if replaces is not None:
        required_text(replaces, argument="existing_cohort_id", what="the id of the cohort to replace")
    repeatable = replaces is not None or fields.get("skip_save") is True
    return _write("/api/3/cohorts/upload", _read_upload, {**given(fields), **body}, repeatable=repeatable)


def membership_call(cohort_id: object, memberships: object, fields: Mapping[str, object]) -> Call:
    """Describe a change of members. Repeatable: who is in is in, and who is out is out."""
    several = [memberships] if isinstance(memberships, Mapping) else memberships
    if not isinstance(several, Iterable) or isinstance(several, (str, bytes, bytearray)):
        raise refused(argument="memberships", reason="must be a list of operations such as {'ids': [...], 'id_type': 'BY_NAME', ...}")
    checked = [_operation(each, f"memberships[{index}]") for index, each in enumerate(several)]
    if not checked:
        raise refused(argument="memberships", reason="is empty; give at least one operation")
    total = sum(len(each["ids"]) for each in checked)
    if total > MAX_IDS:
        raise refused(argument="memberships", reason=f"holds {total:,} ids; Amplitude takes {MAX_IDS:,} in one request")
    body = {
        "cohort_id": required_text(cohort_id, argument="cohort_id", what="a cohort's id"),
        **given(fields),
        "memberships": checked,
    }
    return _write("/api/3/cohorts/membership", _read_membership, body, repeatable=True)


def _operation(value: object, argument: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise refused(argument=argument, reason="must be a mapping such as {'ids': [...], 'id_type': 'BY_NAME', 'operation': 'ADD'}")
    ids = id_list(value.get("ids"), argument=f"{argument}.ids", most=MAX_IDS)
    id_type = one_of(value.get("id_type"), get_args(MemberIdType), argument=f"{argument}.id_type")
    operation = one_of(value.get("operation"), get_args(Operation), argument=f"{argument}.operation")
    return {**value, "ids": ids, "id_type": id_type, "operation": operation}


def _is_done(status: Mapping[str, Any], request_id: str) -> bool:
    """Say whether a job is done; what is neither running nor done has failed, though no such state is documented.

    Raises:
        JobError: It has failed.
    """
    words = mask(str(status["async_status"]), limit=60)
    state = words.upper().replace(" ", "").replace("_", "")
    if "COMPLETED" in state:
        return True
    if "INPROGRESS" in state:
        return False
    message = f"The cohort's download has failed: request {request_id!r:.60} stands at {words!r}"
    raise JobError(message, job_id=request_id, reason=words, outcome="rejected")


def cohort_row(header: list[str]) -> Callable[[list[str]], dict[str, Any]]:
    """Make members of the cells of a file.

    Ids may come in quotes of their own, which are taken off. An ``amplitude_id`` becomes the number that it is elsewhere; a
    ``user_id`` that is empty becomes ``None``.
    """
    names = list(header)
    amplitude_id = names.index("amplitude_id") if "amplitude_id" in names else -1
    user_id = names.index("user_id") if "user_id" in names else -1

    def row(cells: list[str]) -> dict[str, Any]:
        made: dict[str, Any] = dict(zip(names, cells, strict=True))
        if amplitude_id >= 0:
            text = _bare(cells[amplitude_id])
            made["amplitude_id"] = int(text) if text.isascii() and text.isdigit() and len(text) < LONGEST_ID else text
        if user_id >= 0:
            made["user_id"] = _bare(cells[user_id]) or None
        return made

    return row


LONGEST_ID: Final = 20
"""Digits that no Amplitude id has: they are 64-bit numbers."""


def _bare(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


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
        request_id = _request(self.request_id)
        look_call = status_call(request_id)

        async def look(until: float) -> bool | None:
            return _is_done(await self._runner.run(look_call, deadline=until), request_id) or None

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
        return CohortDownload(self._runner, None, _request(request_id), timeout)

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
        return CohortDownload(self._runner, None, _request(request_id), None)

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
