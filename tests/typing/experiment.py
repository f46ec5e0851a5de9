"""Typed uses of Amplitude Experiment; only type-checked."""

from __future__ import annotations

from datetime import date
from typing import Any, assert_type

from amplitude_async import AsyncAmplitude
from amplitude_async.resources.experiment import (
    Created,
    DeploymentRecord,
    ExperimentRecord,
    FlagConfig,
    FlagRecord,
    HoldoutRecord,
    MutexRecord,
    TargetSegment,
    Variant,
    VariantRecord,
    VersionRecord,
)
from amplitude_async.resources.paging import Cursor, Pages

SEGMENT: TargetSegment = {
    "name": "Nordics",
    "percentage": 50,
    "rolloutWeights": {"on": 1},
    "conditions": [{"type": "property", "prop": "country", "op": "is", "values": ["Norway"]}],
}


async def evaluates(amplitude: AsyncAmplitude) -> None:
    """Evaluate, remotely and locally."""
    experiment = amplitude.experiment
    variants = await experiment.variants(
        "user-1", flag_keys=["a"], user_properties={"plan": "pro"}, groups={"company": ["Acme"]}, track=False
    )
    assert_type(variants, dict[str, Variant])
    assert_type(variants["a"]["key"], str)
    assert_type(await experiment.variant("a", device_id="d", country="Norway"), Variant | None)
    configs = await experiment.flag_configs()
    assert_type(configs, list[FlagConfig])
    assert_type(experiment.evaluate_locally(configs, {"user_id": "user-1"}), dict[str, Variant])


async def manages(amplitude: AsyncAmplitude) -> None:
    """Manage flags, experiments, deployments and groups."""
    experiment = amplitude.experiment
    assert_type(experiment.flags.list(limit=10), Pages[FlagRecord])
    assert_type(experiment.experiments.list(project_id=1), Pages[ExperimentRecord])
    async for flag in experiment.flags.list():
        assert_type(flag, FlagRecord)
        assert_type(flag["key"], str)
    async for page in experiment.experiments.list().pages():
        assert_type(page, list[ExperimentRecord])
    created = await experiment.flags.create(
        project_id=1, key="x", variants=[{"key": "on"}], target_segments=[SEGMENT], deployments="1"
    )
    assert_type(created, Created)
    assert_type(await experiment.flags.get(created["id"]), FlagRecord)
    assert_type(await experiment.experiments.get("60231"), ExperimentRecord)
    assert_type(await experiment.experiments.update("60231", start_date=date(2026, 5, 1), end_date=None, decision="rollout"), Any)
    assert_type(await experiment.flags.variants(1), list[VariantRecord])
    assert_type(await experiment.flags.variant(1, "on"), VariantRecord)
    assert_type(await experiment.flags.add_inclusions(1, "on", ["user-1"]), str)
    assert_type(await experiment.flags.inclusions(1, "on"), list[str])
    assert_type(await experiment.flags.remove_inclusions_at(1, "on", 3, 1), str)
    assert_type(await experiment.flags.versions(1), list[VersionRecord])
    assert_type(await experiment.flags.deployments(1), list[DeploymentRecord])
    deployments = experiment.deployments.list()
    assert_type(deployments.cursor, Cursor | None)
    async for deployment in deployments:
        assert_type(deployment, DeploymentRecord)
    async for version in experiment.versions.list(start=date(2026, 1, 1)):
        assert_type(version["version"], int)
    assert_type(await experiment.mutexes.get(1), MutexRecord)
    await experiment.mutexes.create(project_id=1, name="m", slots=[{"percentage": 70, "experiments": [1]}, 30])
    await experiment.mutexes.update_slot(1, 2, experiments=7)
    assert_type(await experiment.holdouts.get(1), HoldoutRecord)
