"""What a client is told: read from arguments and the environment, checked, and refused without a key in any traceback."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from amplitude_async._protocol.hosts import resolve
from amplitude_async.errors import ConfigurationError, shown
from amplitude_async.options import MASK, check_credential

if TYPE_CHECKING:
    from collections.abc import Mapping

    from amplitude_async._io.caller import WhenLimited
    from amplitude_async._protocol.budget import Quota, QuotaName
    from amplitude_async._protocol.hosts import Api, Endpoint
    from amplitude_async.options import Secret

__all__ = ["CREDENTIALS", "Given", "Masked", "checked_quotas", "checked_when_limited", "whole_setting"]

CREDENTIALS: Final = (
    "api_key",
    "secret_key",
    "org_api_key",
    "org_secret_key",
    "deployment_key",
    "management_key",
    "scim_token",
)
_VARIABLES: Final = (
    "AMPLITUDE_REGION",
    "AMPLITUDE_BASE_URL",
    "AMPLITUDE_TOKEN_ENDPOINT",
    "AMPLITUDE_DASHBOARD_ENDPOINT",
)


class Masked:
    """An argument as it was given, not checked yet, that shows itself to nobody."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value: object = value

    def __repr__(self) -> str:
        return MASK


class Given(NamedTuple):
    """What a client was given of keys and addresses; raises its refusals from frames that hold neither."""

    keys: dict[str, Masked]
    addresses: dict[str, Masked]

    def credentials(self) -> dict[str, Secret | None]:
        """Check the credentials, taking from the environment what was not given.

        Raises:
            ConfigurationError: The API key is missing, or a key is not one.
        """
        found: dict[str, Secret | None] = {}
        refusal = ""
        for name, masked in self.keys.items():
            try:
                found[name] = check_credential(name, masked.value) or _environment_credential(name)
            except ConfigurationError as error:
                refusal = str(error)
                break
        if refusal:
            raise ConfigurationError(refusal)
        if found["api_key"] is None:
            message = "The API key is missing: pass api_key=... or set AMPLITUDE_API_KEY."
            raise ConfigurationError(message)
        return found

    def endpoints(self, *, allow_clear_text: bool) -> dict[Api, Endpoint | None]:
        """Decide the endpoints.

        Raises:
            ConfigurationError: An address or the region is wrong.
        """
        try:
            return resolve(
                {name: masked.value for name, masked in self.addresses.items()},
                {name: os.environ[name] for name in _VARIABLES if os.environ.get(name)},
                allow_clear_text=allow_clear_text,
            )
        except ConfigurationError as error:
            refusal = str(error)
        raise ConfigurationError(refusal)


def _environment_credential(name: str) -> Secret | None:
    variable = f"AMPLITUDE_{name.upper()}"
    return check_credential(variable, os.environ.get(variable))


def whole_setting(name: str, value: object, *, least: int, most: int) -> int:
    """Return a setting that is a whole number within its bounds.

    Raises:
        ConfigurationError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        message = f"{name} must be a whole number from {least} to {most}."
        raise ConfigurationError(message)
    return value


def checked_when_limited(value: object) -> WhenLimited:
    """Return what a call does that would pass a limit.

    Raises:
        ConfigurationError: It is neither ``"wait"`` nor ``"raise"``.
    """
    if value == "wait" or value == "raise":  # noqa: PLR1714 - so that type checkers narrow it
        return value
    message = f"when_limited must be 'wait' or 'raise', not {shown(value)}."
    raise ConfigurationError(message)


def checked_quotas(quotas: Mapping[QuotaName, Quota] | None) -> Mapping[QuotaName, Quota] | None:
    """Return a user's own quotas, by name.

    Raises:
        ConfigurationError: A name or a quota makes no sense.
    """
    if quotas is None:
        return None
    from amplitude_async._protocol.budget import QUOTAS, quota_fault  # noqa: PLC0415 - loaded where it is used

    if not hasattr(quotas, "items"):
        message = "quotas must be a mapping of names to Quota values."
        raise ConfigurationError(message)
    for name, quota in dict(quotas).items():
        if name not in QUOTAS:
            message = f"quotas has no {shown(name)}; the names are {', '.join(QUOTAS)}."
            raise ConfigurationError(message)
        if fault := quota_fault(quota):
            message = f"quotas[{name!r}] {fault}."
            raise ConfigurationError(message)
    return dict(quotas)
