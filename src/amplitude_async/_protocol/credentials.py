"""Which credential an API asks for, and how it is written into a request.

Amplitude knows seven keys, and each API takes its own in its own way; a call demands no other than that. The project's API key is
public, every other one is a secret.

Amplitude's page: https://amplitude.com/docs/apis/authentication
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["NEEDED", "Credential", "authorization", "missing"]

Credential = Literal["in_body", "project", "organisation", "secret", "deployment", "management", "scim", "none"]
"""How a call proves who it is.

``in_body``: the project's API key among the data. ``project``: HTTP Basic with API key and secret key. ``organisation``: HTTP Basic
with the organisation's two keys. ``secret``: ``Api-Key`` with the project's secret key. ``deployment``: ``Api-Key`` with an Experiment
deployment key. ``management``: ``Bearer`` with the Experiment management key. ``scim``: ``Bearer`` with the SCIM key. ``none``: links
that are signed themselves.
"""

NEEDED: Final[Mapping[Credential, tuple[str, ...]]] = {
    "in_body": ("api_key",),
    "project": ("api_key", "secret_key"),
    "organisation": ("org_api_key", "org_secret_key"),
    "secret": ("secret_key",),
    "deployment": ("deployment_key",),
    "management": ("management_key",),
    "scim": ("scim_token",),
    "none": (),
}
"""The constructor's arguments that each kind is made of."""

_WORDS: Final = {
    "api_key": "the project's API key",
    "secret_key": "the project's secret key",
    "org_api_key": "the organisation's API key",
    "org_secret_key": "the organisation's secret key",
    "deployment_key": "an Experiment deployment key",
    "management_key": "the Experiment management key",
    "scim_token": "the SCIM key",
}


def missing(name: str) -> str:
    """Say what to do about a credential that was not given."""
    return f"This call needs {_WORDS[name]}: pass {name}=... or set AMPLITUDE_{name.upper()}."


def authorization(credential: Credential, revealed: Sequence[str]) -> str | None:
    """Return the value of the ``Authorization`` header, ``None`` if the call has none.

    Args:
        credential: The kind.
        revealed: The keys that :data:`NEEDED` names for it, in that order.
    """
    match credential:
        case "project" | "organisation":
            return f"Basic {b64encode(':'.join(revealed).encode()).decode()}"
        case "secret" | "deployment":
            return f"Api-Key {revealed[0]}"
        case "management" | "scim":
            return f"Bearer {revealed[0]}"
        case _:
            return None
