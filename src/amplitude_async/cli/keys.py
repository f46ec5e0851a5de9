"""The file of named profiles: the keys and the region of projects, readable by their owner alone.

TOML, one table a profile, at ``$XDG_CONFIG_HOME/amplitude-async/profiles.toml`` (``~/.config/...`` if that is not set). A file that
others could read is refused, with the command that closes it: ssh does so with its keys, and for the same reason.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from amplitude_async.configuration import CREDENTIALS
from amplitude_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CREDENTIALS", "Profile", "check_name", "load", "place", "save"]

_PLACES: Final = ("region", "base_url")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_OTHERS: Final = 0o077
_LARGEST: Final = 1 << 20
_HEAD: Final = "# Profiles of amplitude-async. It holds keys: keep it to yourself (mode 0600).\n"


class Profile(NamedTuple):
    """What is kept of a project. Its text form shows no key.

    Attributes:
        credentials: Keys by their name, such as ``secret_key``.
        region: ``"us"`` or ``"eu"``; ``""`` if there is a ``base_url``.
        base_url: One origin that serves every API, or ``""``.
    """

    credentials: Mapping[str, str]
    region: str = ""
    base_url: str = ""

    def __repr__(self) -> str:
        return f"<Profile with {', '.join(self.credentials) or 'no key'}>"


def place() -> Path:
    """Return where the file is."""
    home = os.environ.get("XDG_CONFIG_HOME") or ""
    root = Path(home) if home.startswith("/") or (home and sys.platform == "win32") else Path.home() / ".config"
    return root / "amplitude-async" / "profiles.toml"


def check_name(name: str) -> str:
    """Return a profile's name.

    Raises:
        ConfigurationError: It is none.
    """
    if _NAME.fullmatch(name) is None:
        message = f"{name!r:.40} is no name for a profile: letters, digits, - and _ are, 64 at most"
        raise ConfigurationError(message)
    return name


def load(path: Path) -> dict[str, Profile]:
    """Read the profiles; none if there is no file.

    Raises:
        ConfigurationError: Others could read it, or it is no file of profiles.
    """
    reason = text = ""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        message = f"The file of profiles {path} cannot be read: {error.strerror}"
        raise ConfigurationError(message) from None
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            reason = "is no plain file"
        elif sys.platform != "win32" and facts.st_mode & _OTHERS:
            reason = f"can be read by others (mode {stat.S_IMODE(facts.st_mode):04o}); close it: chmod 600 {path}"
        elif facts.st_size > _LARGEST:
            reason = "is too large to be one"
        else:
            text = os.read(descriptor, _LARGEST).decode("utf-8", "replace")
    finally:
        os.close(descriptor)
    if not reason:
        try:
            return _parsed(text)
        except ValueError as error:
            # tomllib names a line and a column, never what is there.
            reason = f"is no file of profiles: {error}"
    message = f"The file of profiles {path} {reason}"
    raise ConfigurationError(message)


def _parsed(text: str) -> dict[str, Profile]:
    """Read the text of the file.

    Raises:
        ValueError: It is none.
    """
    found: dict[str, Profile] = {}
    for name, table in tomllib.loads(text).items():
        if not isinstance(table, dict):
            message = f"{name!r:.40} is no table"
            raise ValueError(message)  # noqa: TRY004 - one kind of refusal, named by load()
        for key, value in table.items():
            if key not in CREDENTIALS and key not in _PLACES:
                message = f"[{name}] has a key {key!r:.40} that means nothing here"
                raise ValueError(message)
            if not isinstance(value, str):
                message = f"[{name}] {key} is no text"
                raise ValueError(message)  # noqa: TRY004 - as above
        keys = {key: value for key, value in table.items() if key in CREDENTIALS and value}
        found[name] = Profile(keys, table.get("region", ""), table.get("base_url", ""))
    return found


def written(profiles: Mapping[str, Profile]) -> str:
    """Return the text of the file."""
    parts = [_HEAD]
    for name, profile in sorted(profiles.items()):
        lines = [f"\n[{name}]"]
        lines += [f"{key} = {_quoted(profile.credentials[key])}" for key in CREDENTIALS if profile.credentials.get(key)]
        lines += [f"{key} = {_quoted(value)}" for key, value in (("region", profile.region), ("base_url", profile.base_url)) if value]
        parts.append("\n".join(lines) + "\n")
    return "".join(parts)


def _quoted(value: str) -> str:
    # A basic string of TOML is one of JSON, but for DEL, which no key has.
    return json.dumps(value)


def save(path: Path, profiles: Mapping[str, Profile]) -> None:
    """Write the profiles: whole or not at all, for their owner alone.

    Raises:
        OSError: The disk refuses.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(written(profiles))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
