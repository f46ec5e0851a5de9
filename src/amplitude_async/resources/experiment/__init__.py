"""Amplitude Experiment: which variants a user gets, and the flags and experiments that say so.

Evaluation takes a deployment key, management its own key; neither opens the other's door.

Amplitude's pages: https://amplitude.com/docs/apis/experiment/experiment-evaluation-api and
https://amplitude.com/docs/apis/experiment/experiment-management-api
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amplitude_async.resources import evaluation
from amplitude_async.resources.experiment.assignment import configs_call, variants_call
from amplitude_async.resources.experiment.deployments import Deployments
from amplitude_async.resources.experiment.experiments import Experiments
from amplitude_async.resources.experiment.flags import Flags
from amplitude_async.resources.experiment.groups import Holdouts, Mutexes
from amplitude_async.resources.experiment.shapes import (
    Condition,
    Created,
    DeploymentRecord,
    ExperimentRecord,
    ExposureEvent,
    FlagConfig,
    FlagRecord,
    HoldoutRecord,
    MutexRecord,
    NewVariant,
    Slot,
    SlotRecord,
    TargetSegment,
    Variant,
    VariantRecord,
    VersionRecord,
)
from amplitude_async.resources.experiment.versions import Versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from amplitude_async.resources.runner import Runner

__all__ = [
    "Condition",
    "Created",
    "DeploymentRecord",
    "Deployments",
    "Experiment",
    "ExperimentRecord",
    "Experiments",
    "ExposureEvent",
    "FlagConfig",
    "FlagRecord",
    "Flags",
    "HoldoutRecord",
    "Holdouts",
    "MutexRecord",
    "Mutexes",
    "NewVariant",
    "Slot",
    "SlotRecord",
    "TargetSegment",
    "Variant",
    "VariantRecord",
    "VersionRecord",
    "Versions",
]


class Experiment:
    """Evaluation and management of flags and experiments: ``amplitude.experiment``.

    ``variants``, ``variant`` and ``flag_configs`` need ``deployment_key``; what hangs off ``flags``, ``experiments``, ``deployments``,
    ``versions``, ``mutexes`` and ``holdouts`` needs ``management_key``.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    @property
    def flags(self) -> Flags:
        """Feature flags: their variants, inclusions, deployments and versions."""
        return Flags(self._runner)

    @property
    def experiments(self) -> Experiments:
        """Experiments: their variants, inclusions, deployments and versions."""
        return Experiments(self._runner)

    @property
    def deployments(self) -> Deployments:
        """Where flags are served."""
        return Deployments(self._runner)

    @property
    def versions(self) -> Versions:
        """The history of all flags and experiments."""
        return Versions(self._runner)

    @property
    def mutexes(self) -> Mutexes:
        """Mutual exclusion groups."""
        return Mutexes(self._runner)

    @property
    def holdouts(self) -> Holdouts:
        """Holdout groups."""
        return Holdouts(self._runner)

    async def variants(  # noqa: PLR0913 - one keyword per documented part of a user
        self,
        user_id: str | int | None = None,
        device_id: str | int | None = None,
        *,
        flag_keys: Iterable[str] | str | None = None,
        track: bool = True,
        context: Mapping[str, object] | None = None,
        user_properties: Mapping[str, object] | None = None,
        groups: Mapping[str, Sequence[str]] | None = None,
        group_properties: Mapping[str, Mapping[str, Mapping[str, object]]] | None = None,
        country: str | None = None,
        region: str | None = None,
        city: str | None = None,
        dma: str | None = None,
        language: str | None = None,
        platform: str | None = None,
        version: str | None = None,
        os: str | None = None,
        device_manufacturer: str | None = None,
        device_brand: str | None = None,
        device_model: str | None = None,
        carrier: str | None = None,
        library: str | None = None,
        **fields: object,
    ) -> dict[str, Variant]:
        """Ask Amplitude which variants a user gets of the deployment's flags.

        Amplitude keeps an answer up to 60 minutes under exactly these arguments, or until a flag of the deployment is changed, so what
        is true of the user elsewhere (cohorts, properties that are not given here) may count that much later. It records an
        ``[Experiment] Assignment`` event unless ``track=False``; the call is repeated all the same, as Amplitude's own SDKs repeat it.

        Args:
            user_id: The user's id.
            device_id: The device's id; one of both is needed, here or in ``context``.
            flag_keys: Only these flags; all of the deployment when left out.
            track: Whether the assignment is recorded.
            context: A whole user object; what is given beside it wins.
            user_properties: Properties, e.g. ``{"plan": "pro"}``, beside those that Amplitude has of the user.
            groups: Groups by their type, e.g. ``{"company": ["Acme"]}``.
            group_properties: Their properties, by type and name: ``{"company": {"Acme": {"plan": "pro"}}}``.
            country: Country.
            region: Region.
            city: City.
            dma: Designated market area.
            language: Language.
            platform: Platform.
            version: Version of the app.
            os: Operating system.
            device_manufacturer: Manufacturer of the device.
            device_brand: Brand of the device.
            device_model: Model of the device.
            carrier: Carrier.
            library: What sends this.
            **fields: Further keys of the user object.

        Returns:
            Variants by the key of their flag: ``{"checkout-v2": {"key": "treatment", "payload": {...}, "expKey": "exp-3"}}``. A flag
            that gives the user nothing is not there; ``{}`` if none does.

        Raises:
            InvalidArgumentError: Neither id is there, ``flag_keys`` is empty, or a value has no JSON form.
            ConfigurationError: The client has no deployment key.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-evaluation-api
        """
        given = {
            "country": country,
            "region": region,
            "city": city,
            "dma": dma,
            "language": language,
            "platform": platform,
            "version": version,
            "os": os,
            "device_manufacturer": device_manufacturer,
            "device_brand": device_brand,
            "device_model": device_model,
            "carrier": carrier,
            "library": library,
            "user_properties": user_properties,
            "groups": groups,
            "group_properties": group_properties,
            **fields,
        }
        call = variants_call(user_id, device_id, context=context, fields=given, flag_keys=flag_keys, track=track)
        answer: dict[str, Variant] = await self._runner.run(call)
        return answer

    async def variant(
        self,
        flag_key: str,
        user_id: str | int | None = None,
        device_id: str | int | None = None,
        *,
        track: bool = True,
        **user: Any,  # noqa: ANN401 - whatever variants() takes
    ) -> Variant | None:
        """Ask Amplitude which variant a user gets of one flag.

        Args:
            flag_key: The flag's key.
            user_id: The user's id.
            device_id: The device's id; one of both is needed.
            track: Whether the assignment is recorded.
            **user: What else :meth:`variants` takes: ``user_properties``, ``country`` and the like.

        Returns:
            The variant, ``None`` if the flag gives the user none.

        Raises:
            InvalidArgumentError: Neither id is there, ``flag_key`` is blank, or a value has no JSON form.
            ConfigurationError: The client has no deployment key.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-evaluation-api
        """
        return (await self.variants(user_id, device_id, flag_keys=[flag_key], track=track, **user)).get(flag_key)

    async def flag_configs(self, *, flag_keys: Iterable[str] | str | None = None) -> list[FlagConfig]:
        """Get the rules of the deployment's flags, for :meth:`evaluate_locally`.

        Args:
            flag_keys: Only these flags; all of the deployment when left out.

        Returns:
            ``[{"key": "checkout-v2", "segments": [...], "variants": {...}, "metadata": {...}}]``: not the shape that
            ``amplitude.experiment.flags`` gives.

        Raises:
            InvalidArgumentError: ``flag_keys`` is empty, or a key is blank.
            ConfigurationError: The client has no deployment key.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-evaluation-api
        """
        answer: list[FlagConfig] = await self._runner.run(configs_call(flag_keys))
        return answer

    @staticmethod
    def evaluate_locally(
        configs: Iterable[FlagConfig],
        user: Mapping[str, object],
        *,
        flag_keys: Iterable[str] | str | None = None,
        defaults: bool = False,
    ) -> dict[str, Variant]:
        """Compute which variants a user gets; nothing is sent and nothing is recorded.

        Args:
            configs: The rules, from :meth:`flag_configs`.
            user: A user object: ``user_id``, ``device_id``, ``country`` and the like, ``user_properties``, ``groups``,
                ``group_properties``. What Amplitude knows beyond it (the Amplitude id, stored properties, cohorts) plays no part.
            flag_keys: Only these flags; what they depend on is evaluated too.
            defaults: Whether the variants that mean "none" (``off``), and flags that others alone depend on, are given as well.

        Returns:
            Variants by the key of their flag: ``{"checkout-v2": {"key": "treatment", "value": "treatment", "payload": {...},
            "metadata": {"flagVersion": 7, "segmentName": ...}}}``.

        Raises:
            InvalidArgumentError: A configuration is none, or flags depend on each other in a circle.

        Amplitude's page: https://amplitude.com/docs/feature-experiment/implementation
        """
        variants = evaluation.evaluate(configs, user, flag_keys)
        return variants if defaults else evaluation.assigned(variants)
