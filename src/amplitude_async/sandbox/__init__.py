"""Amplitude on a loopback port, for demos, tests and laptops without an account.

``Sandbox`` is loaded on first use, because it needs the extra ``sandbox`` (starlette and uvicorn) and because
importing this package must not start or load a server. Without the extra the error says which line installs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from amplitude_async.errors import ConfigurationError

if TYPE_CHECKING:
    from amplitude_async.sandbox.box import Sandbox as Sandbox
    from amplitude_async.sandbox.limits import Limits as Limits

__all__ = ["Limits", "Sandbox"]

_BROUGHT: Final = frozenset({"starlette", "uvicorn"})
"""What the extra brings, by the names of its modules."""


def __getattr__(name: str) -> object:
    """Load a public name when it is first asked for."""
    if name == "Sandbox":
        try:
            from amplitude_async.sandbox.box import Sandbox  # noqa: PLC0415 - the web framework loads on first use
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in _BROUGHT:
                raise
        else:
            return Sandbox
        message = "The sandbox needs packages that are not installed: pip install 'amplitude-async[sandbox]'"
        raise ConfigurationError(message)
    if name == "Limits":
        from amplitude_async.sandbox.limits import Limits  # noqa: PLC0415 - the web framework loads on first use

        return Limits
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    """Name what can be imported from here."""
    return sorted(__all__)
