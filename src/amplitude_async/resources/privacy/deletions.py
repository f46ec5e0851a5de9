"""Deletion of users. Irreversible, so what cannot have been meant is refused here, and what became of every id is told.

Amplitude's page: https://amplitude.com/docs/apis/analytics/user-privacy
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Required, TypedDict
from uuid import UUID

from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.call import Call, path_of
from amplitude_async._protocol.codec import MalformedError, decode
from amplitude_async._protocol.dates import iso_day
from amplitude_async.errors import AmplitudeError, BudgetError, PartialDeletionError
from amplitude_async.resources.jobs import deadline_in
from amplitude_async.resources.parameters import given, id_list, json_body, refused, whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amplitude_async.resources.runner import Runner

__all__ = ["DeletedUser", "DeletionIds", "DeletionJob", "DeletionReport", "Deletions", "cancel_call", "create_call", "list_call"]

MAX_IDS: Final = 100
"""In one request, both lists together."""
BETWEEN_PARTS: Final = 1.0
"""Seconds from one request to the next."""
MAX_MONTHS: Final = 6
_PATH: Final = "/api/2/deletions/users"
_USE: Final = (Use("deletions"),)
_OF_A_JOB: Final = ("day", "status", "amplitude_ids")
"""A job has these; an object that has none of them confirms nothing."""
_NOBODY: Final = frozenset({"none", "null", "nil", "nan", "undefined", "unknown", "anonymous", "n/a", "na", "all", "-1", "{}", '""'})
"""What a missing value looks like as text. Amplitude takes most of these for no user id either
(https://amplitude.com/docs/apis/analytics/http-v2)."""


class DeletedUser(TypedDict, total=False):
    """A user in a deletion job; ``user_id`` only where it was asked for."""

    amplitude_id: Required[int]
    requested_on_day: str
    requester: str
    user_id: str


class DeletionJob(TypedDict, total=False):
    """A batch of users that are deleted on one day.

    ``day`` is the day it runs, ``YYYY-MM-DD``. ``status`` is ``staging`` (may gain or lose users), ``submitted`` (from three
    days before ``day``: cannot be stopped) or ``done`` (gone from backups too). ``active_scrub_done_date`` is set once the live data
    is gone. ``invalid_ids``, in the answer to a request, are ids that Amplitude does not know.
    """

    day: Required[str]
    status: Required[str]
    amplitude_ids: list[DeletedUser]
    app: str
    active_scrub_done_date: str | None
    invalid_ids: list[Any]


DeletionJobs = list[DeletionJob]


@dataclass(frozen=True, slots=True)
class DeletionIds:
    """Ids of users to delete, of both kinds. Its text form says how many they are, and none of them.

    Attributes:
        user_ids: Your own ids.
        amplitude_ids: Amplitude's.
    """

    user_ids: tuple[str, ...] = ()
    amplitude_ids: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.user_ids) + len(self.amplitude_ids)

    def __repr__(self) -> str:
        return f"<DeletionIds: {len(self)}>"

    def __add__(self, other: DeletionIds) -> DeletionIds:
        """Return the ids of both."""
        return DeletionIds(self.user_ids + other.user_ids, self.amplitude_ids + other.amplitude_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionReport:
    """What became of every id that was given; each is in exactly one of the five. Its text form shows none of them.

    Attributes:
        accepted: Scheduled for deletion.
        invalid: Amplitude does not know them, and was asked to ignore such.
        rejected: Amplitude refused the request that they were in; nobody in it is scheduled.
        unknown: Their request may have arrived, but no answer did. Asking again does no harm.
        unsent: Nothing was asked for them.
        jobs: What Amplitude answered: the jobs that they are in, as they stood then.
    """

    accepted: DeletionIds = DeletionIds()
    invalid: DeletionIds = DeletionIds()
    rejected: DeletionIds = DeletionIds()
    unknown: DeletionIds = DeletionIds()
    unsent: DeletionIds = DeletionIds()
    jobs: tuple[DeletionJob, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every id is scheduled."""
        return not (self.invalid or self.rejected or self.unknown or self.unsent)

    @property
    def left(self) -> DeletionIds:
        """What to ask for again: the unknown and the unsent."""
        return self.unknown + self.unsent

    def __repr__(self) -> str:
        counts = " ".join(f"{name}={len(getattr(self, name))}" for name in _FATES)
        return f"<DeletionReport {counts}>"


_FATES: Final = ("accepted", "invalid", "rejected", "unknown", "unsent")


def _read_jobs(body: bytes) -> list[DeletionJob]:
    """Read jobs: a list, one alone, or the plain text that says that nothing was scheduled.

    Raises:
        MalformedError: It is none of these.
    """
    if body.lstrip(b'\xef\xbb\xbf" \t\r\n')[:17].lower() == b"nothing scheduled":
        return []
    answer = decode(body)
    jobs = answer if isinstance(answer, list) else [answer]
    if all(isinstance(job, dict) and not job.keys().isdisjoint(_OF_A_JOB) for job in jobs):
        return jobs
    message = f"a JSON {type(answer).__name__} that is no deletion job, nor a list of them"
    raise MalformedError(message)


def _read_user(body: bytes) -> dict[str, Any]:
    """Read the answer to a cancellation: the user, or (by older pages) the whole job; a list of one is unwrapped.

    Raises:
        MalformedError: It is neither.
    """
    answer = decode(body)
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if isinstance(answer, dict) and not answer.keys().isdisjoint({"amplitude_id", *_OF_A_JOB}):
        return answer
    message = f"a JSON {type(answer).__name__} that names no user"
    raise MalformedError(message)


def checked_user_ids(values: object) -> list[str]:
    """Return user ids as text, each once.

    Raises:
        InvalidArgumentError: There are none, or one is blank, looks like a wildcard, or like a value that was missing.
    """
    several = list(values) if isinstance(values, Iterable) and not isinstance(values, (str, bytes, bytearray, Mapping)) else [values]
    for index, value in enumerate(several):
        if isinstance(value, bool) or not isinstance(value, (str, int, UUID)):
            raise refused(argument=f"user_ids[{index}]", reason=f"is a {type(value).__name__}, which is no id")
    ids = id_list(several, argument="user_ids")
    for index, user_id in enumerate(ids):
        if user_id.strip().lower() in _NOBODY:
            reason = f"is {user_id!r:.20}, which looks like a value that was missing; delete such a user by its Amplitude id"
            raise refused(argument=f"user_ids[{index}]", reason=reason)
    return list(dict.fromkeys(ids))


def checked_amplitude_ids(values: object) -> list[int]:
    """Return Amplitude ids as numbers, each once.

    Raises:
        InvalidArgumentError: There are none, or one is no positive whole number.
    """
    several = list(values) if isinstance(values, Iterable) and not isinstance(values, (str, bytes, bytearray, Mapping)) else [values]
    if not several:
        raise refused(argument="amplitude_ids", reason="is empty; give at least one id")
    return list(
        dict.fromkeys(
            whole_number(value, argument=f"amplitude_ids[{index}]", least=1, most=2**63 - 1) for index, value in enumerate(several)
        )
    )


def chunks(user_ids: Sequence[str], amplitude_ids: Sequence[int]) -> list[DeletionIds]:
    """Deal ids out to requests of at most 100."""
    both: list[tuple[str | None, int]] = [*((user_id, 0) for user_id in user_ids), *((None, one) for one in amplitude_ids)]
    dealt = [both[at : at + MAX_IDS] for at in range(0, len(both), MAX_IDS)]
    return [
        DeletionIds(tuple(user for user, _ in part if user is not None), tuple(one for user, one in part if user is None))
        for part in dealt
    ]


def create_call(ids: DeletionIds, fields: Mapping[str, object]) -> Call:
    """Describe a request for the deletion of at most 100 users. Repeatable: the same ids join the same batch."""
    lists = {"amplitude_ids": list(ids.amplitude_ids) or None, "user_ids": list(ids.user_ids) or None}
    return Call(
        api="dashboard",
        kind="query",
        method="POST",
        path=_PATH,
        credential="project",
        reads=_read_jobs,
        repeatable=True,
        body=json_body(given({**lists, **fields})),
        uses=_USE,
    )


def list_call(start_day: object, end_day: object) -> Call:
    """Describe a list of deletion jobs."""
    first, last = iso_day(start_day, argument="start_day"), iso_day(end_day, argument="end_day")
    if first > last:
        raise refused(argument="start_day", reason="is after end_day")
    if last > _months_after(date.fromisoformat(first)):
        raise refused(argument="end_day", reason=f"is more than {MAX_MONTHS} months after start_day; ask in parts")
    return Call(
        api="dashboard",
        kind="query",
        method="GET",
        path=_PATH,
        credential="project",
        reads=_read_jobs,
        repeatable=True,
        query=(("start_day", first), ("end_day", last)),
        uses=_USE,
    )


def _months_after(day: date) -> str:
    months = day.year * 12 + day.month - 1 + MAX_MONTHS
    # A day that the later month lacks counts as its 31st: text is compared with text.
    return f"{months // 12:04}-{months % 12 + 1:02}-{day.day:02}"


def cancel_call(amplitude_id: object, day: object) -> Call:
    """Describe the calling off of one user's deletion."""
    user = whole_number(amplitude_id, argument="amplitude_id", least=1)
    return Call(
        api="dashboard",
        kind="query",
        method="DELETE",
        path=path_of(_PATH + "/{}/{}", str(user), iso_day(day, argument="day")),
        credential="project",
        reads=_read_user,
        repeatable=True,
        uses=_USE,
    )


class _Books:
    """What is known of each chunk so far."""

    def __init__(self) -> None:
        self.fates: dict[str, DeletionIds] = {}
        self.jobs: list[DeletionJob] = []

    def note(self, fate: str, ids: DeletionIds) -> None:
        self.fates[fate] = self.fates.get(fate, DeletionIds()) + ids

    def answered(self, ids: DeletionIds, jobs: list[DeletionJob]) -> None:
        """Sort the ids of a request by the answer to it."""
        self.jobs += jobs
        if not jobs:
            self.note("invalid", ids)
            return
        named = [one for job in jobs for one in _listed(job.get("invalid_ids"))]
        texts = {one for one in named if isinstance(one, str)}
        numbers = {one for one in named if isinstance(one, int)}
        # Of which kind an invalid id is, is not documented: a text may be an Amplitude id, and a number a user id.
        users = {one for one in ids.user_ids if one in texts or (one.isdigit() and one not in texts and _is_number(one, numbers, ids))}
        own = {one for one in ids.amplitude_ids if one in numbers or (str(one) in texts and str(one) not in users)}
        self.note("invalid", _picked(ids, users, own))
        self.note("accepted", _picked(ids, set(ids.user_ids) - users, set(ids.amplitude_ids) - own))

    def report(self) -> DeletionReport:
        return DeletionReport(**self.fates, jobs=tuple(self.jobs))


def _listed(values: object) -> list[Any]:
    """Return the items of a list; anything else but a null is one item."""
    return values if isinstance(values, list) else [] if values is None else [values]


def _is_number(user_id: str, numbers: set[int], ids: DeletionIds) -> bool:
    # A number that was given as an Amplitude id is that one.
    return any(str(number) == user_id and number not in ids.amplitude_ids for number in numbers)


def _picked(ids: DeletionIds, users: set[str], own: set[int]) -> DeletionIds:
    return DeletionIds(tuple(one for one in ids.user_ids if one in users), tuple(one for one in ids.amplitude_ids if one in own))


async def _created(runner: Runner, parts: list[DeletionIds], calls: list[Call], deadline: float | None) -> DeletionReport:
    books = _Books()
    for index, (part, call) in enumerate(zip(parts, calls, strict=True)):
        try:
            try:
                jobs = await runner.run(call, deadline=deadline)
            except BudgetError as limited:
                # The second between the parts of one call is the library's own doing, and not the wait that a caller refuses.
                if not index or limited.wait is None or limited.wait > BETWEEN_PARTS:
                    raise
                if deadline is not None and runner.clock() + limited.wait >= deadline:
                    raise
                await runner.pause(limited.wait)
                jobs = await runner.run(call, deadline=deadline)
        except AmplitudeError as fault:
            error = fault.with_traceback(None)
        else:
            books.answered(part, jobs)
            continue
        fate = {"unknown": "unknown", "rejected": "rejected"}.get(error.outcome or "", "unsent")
        books.note(fate, part)
        for rest in parts[index + 1 :]:
            books.note("unsent", rest)
        report = books.report()
        if len(parts) == 1 or not (report.accepted or report.unknown):
            raise error
        counts = ", ".join(f"{len(getattr(report, name))} {name}" for name in _FATES if getattr(report, name))
        message = f"Not every user is scheduled for deletion ({counts}): {error}"
        raise PartialDeletionError(
            message, report=report, error=error, outcome="unknown" if report.unknown else error.outcome, request=error.request
        )
    return books.report()


class Deletions:
    """Deletion of users: scheduled, listed, called off."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def create(
        self,
        *,
        user_ids: Iterable[str] | str | None = None,
        amplitude_ids: Iterable[int] | int | None = None,
        requester: str | None = None,
        ignore_invalid_id: bool | None = None,
        delete_from_org: bool | None = None,
        include_mapped_user_ids: bool | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - a limit for several requests
        **fields: object,
    ) -> DeletionReport:
        """Have users deleted, with everything they did up to the day it runs. This cannot be undone once the job is ``submitted``.

        Any number of ids: they go out in requests of 100, one a second, as Amplitude asks; that second is waited for also with
        ``when_limited="raise"``. After a request that failed no further one is sent. Asking again for the same ids does no harm: they
        join the same batch. Deletion does not stop tracking; later events make a new user.

        Args:
            user_ids: Your own ids; each counts once.
            amplitude_ids: Amplitude's ids (:meth:`~amplitude_async.AsyncAmplitude.user_search` gives them). At least one of the two
                lists.
            requester: Who asked for it; kept with the job.
            ignore_invalid_id: Leave out ids that Amplitude does not know; they are in ``report.invalid``. Without it such an id is a
                :class:`BadRequestError`, and nobody of its request is scheduled.
            delete_from_org: Delete in every project of the organisation; ignores unknown ids.
            include_mapped_user_ids: Have ``user_id`` in the answer's users. Mapped users are not deleted by that: list them yourself.
            timeout: Seconds for all requests together; left out, each has the limits of a query.
            **fields: Further fields of the API.

        Returns:
            A :class:`DeletionReport`: which ids are accepted and which Amplitude does not know, and the jobs.

        Raises:
            InvalidArgumentError: There is no id, or one is blank, ``*``-like, ``"null"``-like, or no Amplitude id. Nothing was sent.
            BadRequestError: An id is unknown and ``ignore_invalid_id`` was not set; nobody was scheduled.
            PartialDeletionError: Of several requests one failed, and users of it, or of those before, may be scheduled; its
                ``report`` has every id.
            AmplitudeError: Nobody was scheduled, or (``.outcome == "unknown"``) the only request may have arrived.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/user-privacy
        """
        if user_ids is None and amplitude_ids is None:
            raise refused(argument="user_ids", reason="and amplitude_ids are both missing; give at least one id")
        own = [] if user_ids is None else checked_user_ids(user_ids)
        theirs = [] if amplitude_ids is None else checked_amplitude_ids(amplitude_ids)
        options = {
            "requester": requester,
            "ignore_invalid_id": ignore_invalid_id,
            "delete_from_org": delete_from_org,
            "include_mapped_user_ids": include_mapped_user_ids,
        }
        parts = chunks(own, theirs)
        calls = [create_call(part, {**options, **fields}) for part in parts]
        return await _created(self._runner, parts, calls, None if timeout is None else deadline_in(self._runner, timeout))

    async def list(self, *, start_day: date | str, end_day: date | str) -> DeletionJobs:
        """List the deletion jobs that run, or ran, within some days.

        Args:
            start_day: First day, included: a date, or ``YYYY-MM-DD``. It is the day a job is scheduled for, up to 30 days after it was
                asked for.
            end_day: Last day, included; at most six months later.

        Returns:
            A list of :class:`DeletionJob`; empty if there are none.

        Raises:
            InvalidArgumentError: A bound is no day, the start is after the end, or the span is too long.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/user-privacy
        """
        result: DeletionJobs = await self._runner.run(list_call(start_day, end_day))
        return result

    async def cancel(self, amplitude_id: int, day: date | str) -> dict[str, Any]:
        """Take one user out of a deletion job that is still ``staging``.

        Args:
            amplitude_id: The user's Amplitude id.
            day: The job's ``day``: a date, or ``YYYY-MM-DD``.

        Returns:
            What Amplitude says of it: ``{"amplitude_id": ..., "requested_on_day": ..., "requester": ...}``.

        Raises:
            InvalidArgumentError: The id or the day is none.
            BadRequestError: No such user in such a job, or it can no longer be stopped.
            AmplitudeError: Amplitude refused otherwise, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/user-privacy
        """
        result: dict[str, Any] = await self._runner.run(cancel_call(amplitude_id, day))
        return result
