"""What Amplitude says of cohorts, and the words it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Required, TypedDict

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Cohort",
    "CohortList",
    "CohortMembership",
    "CohortQuota",
    "CohortRequest",
    "CohortStatus",
    "CohortSync",
    "CohortUpload",
    "CohortUploadCounts",
    "CohortUsage",
    "IdType",
    "MemberIdType",
    "MembershipOperation",
    "MembershipResult",
    "Operation",
]

IdType = Literal["BY_AMP_ID", "BY_USER_ID"]
MemberIdType = Literal["BY_ID", "BY_NAME"]
Operation = Literal["ADD", "REMOVE"]


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
