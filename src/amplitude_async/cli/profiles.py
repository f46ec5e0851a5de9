"""``profile add|list|remove``: keys of projects under names.

Keys are typed at a prompt, or come on standard input or from the environment; never as arguments, which other users of a machine see.
"""

import os
import sys
from getpass import getpass
from typing import Literal

from amplitude_async.cli.keys import CREDENTIALS, Profile, check_name, load, place, save
from amplitude_async.cli.printing import note, print_json, print_lines, print_table
from amplitude_async.errors import ConfigurationError, InvalidArgumentError

_ASKED = ("api_key", "secret_key")
_CREDENTIAL = Literal["org_api_key", "org_secret_key", "deployment_key", "management_key", "scim_token"]


def add(
    name: str,
    /,
    *,
    region: Literal["us", "eu"] = "us",
    base_url: str | None = None,
    also: list[_CREDENTIAL] | None = None,
    from_env: bool = False,
    replace: bool = False,
    json: bool = False,
) -> None:
    """Keep keys under a name; they are typed at a prompt and not shown.

    Where standard input is no terminal, it is one key a line: the API key, the secret key (which may be empty), then those of --also.
    The profile named `default` is used where no other is named and the environment has no key.

    Args:
        name: What the profile is called.
        region: Where the project lives.
        base_url: One origin that serves every API, in place of a region.
        also: A further key to ask for; may be given several times.
        from_env: Take the keys from AMPLITUDE_API_KEY, AMPLITUDE_SECRET_KEY and so on instead.
        replace: Replace a profile that is there.
        json: Print JSON.
    """
    check_name(name)
    path = place()
    profiles = load(path)
    if name in profiles and not replace:
        message = f"There is a profile {name!r} already; --replace replaces it"
        raise InvalidArgumentError(message, argument="name")
    wanted = (*_ASKED, *(also or ()))
    found = _of_environment() if from_env else _asked(wanted)
    _check(found)
    keys = {key: value for key, value in found.items() if value}
    profiles[name] = Profile(keys, "" if base_url else region, base_url or "")
    _try(profiles[name])
    save(path, profiles)
    note(f"kept profile {name} ({', '.join(keys)}) in {path}")
    if json:
        print_json({"file": str(path), "kept": _row(name, profiles[name])})


def _of_environment() -> dict[str, str]:
    return {key: os.environ.get(f"AMPLITUDE_{key.upper()}", "").strip() for key in CREDENTIALS}


def _asked(wanted: tuple[str, ...]) -> dict[str, str]:
    if sys.stdin.isatty():
        return {key: getpass(f"{key.replace('_', ' ')}{'' if key == 'api_key' else ' (empty for none)'}: ").strip() for key in wanted}
    return {key: sys.stdin.readline(4096).strip() for key in wanted}


def _check(found: dict[str, str]) -> None:
    if not found.get("api_key"):
        message = "There is no API key; a profile needs one"
        raise ConfigurationError(message)
    for key, value in found.items():
        if not value.isascii() or not value.isprintable():
            message = f"The {key.replace('_', ' ')} holds a character that no Amplitude key has"
            raise ConfigurationError(message)


def _try(profile: Profile) -> None:
    """See that a client can be made of it, before it is kept.

    Raises:
        ConfigurationError: The address is none.
    """
    from amplitude_async.client import AsyncAmplitude  # noqa: PLC0415 - `--help` loads no client

    where = {"base_url": profile.base_url} if profile.base_url else {"region": profile.region}
    AsyncAmplitude("invented", **where, allow_clear_text=True)  # type: ignore[arg-type]  # checked by the client


def list_profiles(*, json: bool = False) -> None:
    """List the profiles, without their keys.

    Args:
        json: Print JSON.
    """
    path = place()
    rows = [_row(name, profile) for name, profile in sorted(load(path).items())]
    if json:
        print_json({"file": str(path), "profiles": rows})
    elif rows:
        print_table(("name", "where", "keys"), rows)
    else:
        print_lines(f"There are no profiles in {path}; amplitude-async profile add NAME makes one.")


def _row(name: str, profile: Profile) -> dict[str, str]:
    return {"name": name, "where": profile.base_url or profile.region or "us", "keys": ", ".join(profile.credentials)}


def remove(name: str, /, *, json: bool = False) -> None:
    """Forget a profile.

    Args:
        name: The profile.
        json: Print JSON.
    """
    path = place()
    profiles = load(path)
    if profiles.pop(name, None) is None:
        message = f"There is no profile {name!r:.64} in {path}"
        raise ConfigurationError(message)
    save(path, profiles)
    note(f"removed profile {name}")
    if json:
        print_json({"file": str(path), "removed": name})
