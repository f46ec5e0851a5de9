"""The options that every command takes, and the client that they come to."""

from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf
from os import environ
from typing import TYPE_CHECKING, Any, Final, Literal

from cyclopts import Parameter

from amplitude_async.cli.keys import CREDENTIALS, Profile, load, place
from amplitude_async.errors import ConfigurationError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from amplitude_async.client import AsyncAmplitude

__all__ = ["CONNECTION", "Connection", "chosen_profile"]

PROFILE_VARIABLE: Final = "AMPLITUDE_PROFILE"
DEFAULT_PROFILE: Final = "default"
CLOSE_SECONDS: Final = 10.0
LEFT_SECONDS: Final = 0.5
"""For what is under way when a command is left early."""


@Parameter(name="*", group="Connection")
@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Whose project, where, and how what came is shown."""

    profile: str | None = None
    """Use the keys and the region of this profile; or name it in AMPLITUDE_PROFILE."""
    region: Literal["us", "eu"] | None = None
    """Where the project lives."""
    base_url: str | None = None
    """One origin that serves every API: the sandbox, a proxy."""
    timeout: float | None = None
    """Seconds that one attempt may take."""
    trust_env: bool = False
    """Take proxies and certificate files from the environment."""
    allow_clear_text: bool = False
    """Allow http:// beyond this machine."""
    json: bool = False
    """Print JSON."""

    @asynccontextmanager
    async def client(self) -> "AsyncIterator[AsyncAmplitude]":
        """Give a client while the block lasts; left by Ctrl-C or an error, it waits for no answer.

        Raises:
            ConfigurationError: A key is missing, there is no such profile, or an address is none.
            InvalidArgumentError: The time limit is none.
        """
        if self.timeout is not None and not 0 < self.timeout < inf:
            message = f"--timeout is a number of seconds above 0, not {self.timeout:g}"
            raise InvalidArgumentError(message, argument="--timeout")
        client = self._client()
        seconds = LEFT_SECONDS
        try:
            yield client
            seconds = CLOSE_SECONDS
        finally:
            await client.aclose(timeout=seconds)

    def _client(self) -> "AsyncAmplitude":
        from amplitude_async.client import AsyncAmplitude  # noqa: PLC0415 - `--help` loads no client

        given: dict[str, Any] = {}
        profile = chosen_profile(self.profile)
        if profile is not None:
            # A profile is a whole: a secret, or an address, of the environment would be of another project.
            for name in CREDENTIALS:
                environ.pop(f"AMPLITUDE_{name.upper()}", None)
            given |= profile.credentials
            given["region"], given["base_url"] = profile.region or (None if profile.base_url else "us"), profile.base_url or None
        if self.base_url:
            given["base_url"], given["region"] = self.base_url, None
        if self.region:
            given["region"] = self.region
            if not self.base_url:
                given["base_url"] = None
        return AsyncAmplitude(**given, timeout=self.timeout, trust_env=self.trust_env, allow_clear_text=self.allow_clear_text)


CONNECTION: Final = Connection()
"""None of the options given."""


def chosen_profile(name: str | None) -> Profile | None:
    """Return the profile to use: the one that was named, else ``default`` if the environment has no key; ``None`` for no profile.

    Raises:
        ConfigurationError: There is none of that name, or the file cannot be used.
    """
    wanted = name or environ.get(PROFILE_VARIABLE) or ""
    if not wanted and environ.get("AMPLITUDE_API_KEY", "").strip():
        return None
    path = place()
    profiles = load(path)
    if not wanted:
        return profiles.get(DEFAULT_PROFILE)
    if wanted not in profiles:
        known = f"there are: {', '.join(sorted(profiles))}" if profiles else "there are none yet"
        message = f"There is no profile {wanted!r:.64} in {path} ({known}); make it: amplitude-async profile add {wanted:.64}"
        raise ConfigurationError(message)
    return profiles[wanted]
