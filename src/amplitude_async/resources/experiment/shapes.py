"""What Amplitude Experiment answers and takes, as typed mappings. Unknown keys may come at any time, and stay.

Ids come as text or as numbers, depending on the endpoint; times are ISO 8601 in UTC.

Amplitude's pages: https://amplitude.com/docs/apis/experiment/experiment-evaluation-api and
https://amplitude.com/docs/apis/experiment/experiment-management-api
"""

from __future__ import annotations

from typing import Any, Literal, Required, TypedDict

__all__ = [
    "BucketingUnit",
    "Condition",
    "ConditionOperator",
    "Created",
    "Decision",
    "DeploymentRecord",
    "DeploymentType",
    "EvaluationMode",
    "ExperimentRecord",
    "ExperimentType",
    "ExposureEvent",
    "FlagConfig",
    "FlagRecord",
    "HoldoutRecord",
    "Id",
    "Ids",
    "MutexRecord",
    "NewVariant",
    "Slot",
    "SlotRecord",
    "TargetSegment",
    "Variant",
    "VariantRecord",
    "VersionRecord",
]

Id = str | int
Ids = list[Id]

EvaluationMode = Literal["remote", "local"]
ExperimentType = Literal["a-b-test", "multi-arm-bandit"]
DeploymentType = Literal["client", "server"]
Decision = Literal["rollout", "rollback", "continue-running"]
BucketingUnit = str
"""``User``, or the name of a group type."""
ConditionOperator = Literal[
    "is",
    "is not",
    "contains",
    "does not contain",
    "less",
    "less or equal",
    "greater",
    "greater or equal",
    "set is",
    "set is not",
    "set contains",
    "set does not contain",
    "glob match",
    "glob does not match",
]


class Variant(TypedDict, total=False):
    """What a user gets of a flag.

    ``key`` names the variant; ``payload`` is any JSON, if it has one. Remote evaluation adds ``expKey`` (the run of the experiment)
    and ``evaluationId`` (for Amplitude's support); local evaluation adds ``value`` and ``metadata``.
    """

    key: Required[str]
    value: str
    payload: Any
    expKey: str
    evaluationId: str
    metadata: dict[str, Any]


class FlagConfig(TypedDict, total=False):
    """The rules of one flag, as local evaluation reads them; not the shape that management gives.

    ``variants`` by key; ``segments``: the first whose ``conditions`` hold decides, by ``bucket`` or else by ``variant``;
    ``dependencies``: keys of flags that are evaluated before it.
    """

    key: Required[str]
    variants: dict[str, Variant]
    segments: list[dict[str, Any]]
    dependencies: list[str]
    metadata: dict[str, Any]


class Condition(TypedDict, total=False):
    """One condition of a segment: ``type`` is ``property``; ``prop`` is a user property, a custom one as ``gp:name``.

    ``op`` is a :data:`ConditionOperator`; ``values`` are texts, one of which has to fit.
    """

    type: Required[Literal["property"]]
    prop: Required[str]
    op: Required[str]
    values: Required[list[str]]


class TargetSegment(TypedDict, total=False):
    """Users who are treated in a way of their own: ``percentage`` (0 to 100) of those who meet all ``conditions`` get a variant.

    ``rolloutWeights`` says how often which variant, in whole numbers by its key.
    """

    name: Required[str]
    conditions: Required[list[Condition]]
    percentage: Required[float]
    rolloutWeights: Required[dict[str, int]]
    bucketingKey: str


class NewVariant(TypedDict, total=False):
    """A variant of a new flag or experiment; ``payload`` is any JSON."""

    key: Required[str]
    name: str
    description: str
    payload: Any


class VariantRecord(TypedDict, total=False):
    """A variant. Flags and experiments list theirs with ``key`` and what was set; only its own calls give all of it."""

    key: Required[str]
    name: str
    description: str
    payload: Any
    rolloutWeight: int


class ExposureEvent(TypedDict, total=False):
    """What counts as having seen an experiment: an event, and ``filters`` on its properties (``[]`` for none).

    A filter is ``{"group_type": None | "User" | a group, "subprop_key": ..., "subprop_op": ..., "subprop_type": "event" | "user" |
    "group", "subprop_value": [...]}``.
    """

    event_type: Required[str]
    filters: Required[list[dict[str, Any]]]


class FlagRecord(TypedDict, total=False):
    """A flag. ``rolloutPercentage`` (0 to 100) and ``rolloutWeights`` are for everybody whom no segment takes.

    ``parentDependencies`` is ``{"flags": {id: [variant keys]}, "operator": "all" | "any"}``. ``createdBy`` to ``lastModifiedAt`` come
    in lists, ``deleted`` (archived) with a single flag.
    """

    id: Required[Id]
    projectId: Id
    deployments: list[Id]
    key: Required[str]
    name: str
    description: str
    enabled: bool
    evaluationMode: str
    bucketingKey: str
    bucketingSalt: str
    bucketingUnit: BucketingUnit
    variants: list[VariantRecord]
    rolloutPercentage: float
    rolloutWeights: dict[str, int]
    targetSegments: list[TargetSegment]
    parentDependencies: dict[str, Any] | None
    tags: list[str]
    createdBy: str
    lastModifiedBy: str
    createdAt: str
    lastModifiedAt: str
    deleted: bool


class ExperimentRecord(FlagRecord, total=False):
    """An experiment: a flag, and what makes it an experiment.

    ``state`` was seen as ``planning`` and ``running``; ``startDate`` and ``endDate`` are ``YYYY-MM-DD`` or ``None``.
    """

    decision: str | None
    decisionReason: str | None
    rolledOutVariant: str | None
    stickyBucketing: bool
    state: str
    startDate: str | None
    endDate: str | None
    experimentType: str
    exposureEvent: ExposureEvent | None


class VersionRecord(TypedDict, total=False):
    """One version of a flag or experiment: ``flagConfig`` is what it was then, ``createdBy`` the id of who changed it."""

    version: Required[int]
    createdAt: str
    createdBy: Id
    flagConfig: dict[str, Any]


class DeploymentRecord(TypedDict, total=False):
    """Where flags are served: ``key`` is what clients or servers evaluate with, and a secret if it begins with ``server-``."""

    id: Required[Id]
    projectId: Id
    label: str
    key: str
    deleted: bool


class Slot(TypedDict, total=False):
    """A slot of a new mutual exclusion group: ``percentage`` is a whole number from 1 to 100, and all of them add up to 100."""

    percentage: Required[int]
    experiments: list[Id]
    holdouts: list[Id]
    individuals: list[str]


class SlotRecord(TypedDict, total=False):
    """A slot of a mutual exclusion group; ``index`` counts from 1."""

    name: str
    index: Required[int]
    variantKey: str
    percentage: int
    experiments: list[Id]
    holdouts: list[Id]
    individuals: list[str]
    cohorts: list[Id]


class MutexRecord(TypedDict, total=False):
    """A mutual exclusion group: a user is in one of its ``slots``, and so in no more than the experiments of that one."""

    id: Required[Id]
    projectId: Id
    name: str
    key: Required[str]
    description: str | None
    evaluationMode: str
    bucketingKey: str
    bucketingSalt: str
    slots: list[SlotRecord]


class HoldoutRecord(TypedDict, total=False):
    """A holdout group: ``holdoutPercentage`` (1 to 99) of users see none of its ``experiments``.

    ``individualInclusion`` names users who are always held out, ``individualExclusion`` users who never are.
    """

    id: Required[Id]
    projectId: Id
    name: str
    key: Required[str]
    description: str | None
    holdoutPercentage: int
    evaluationMode: str
    bucketingKey: str
    bucketingSalt: str
    variantName: str
    experiments: list[Id]
    individualInclusion: list[str]
    individualExclusion: list[str]
    deleted: bool
    createdBy: str
    lastModifiedBy: str
    createdAt: str
    lastModifiedAt: str


class Created(TypedDict, total=False):
    """What was made: its id and, but for deployments, its address in Amplitude."""

    id: Required[Id]
    url: str
