"""Amplitude on a loopback port, for demos, tests and laptops without an account.

``Sandbox`` is loaded on first use, because it needs the extra ``sandbox`` (starlette and uvicorn) and because
importing this package must not start or load a server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from amplitude_async.sandbox.box import Sandbox as Sandbox
    from amplitude_async.sandbox.limits import Limits as Limits

__all__ = ["Limits", "Sandbox"]

INSTALL: Final = "The sandbox needs packages that are not installed: pip install 'amplitude-async[sandbox]'"
_EXTRA: Final = frozenset({"starlette", "uvicorn"})


def __getattr__(name: str) -> object:
    """Load a public name when it is first asked for."""
    if name == "Sandbox":
        try:
            from amplitude_async.sandbox.box import Sandbox  # noqa: PLC0415 - the web framework loads on first use
        except ModuleNotFoundError as missing:
            if (missing.name or "").partition(".")[0] not in _EXTRA:
                raise
            raise ModuleNotFoundError(INSTALL, name=missing.name) from None
        return Sandbox
    if name == "Limits":
        from amplitude_async.sandbox.limits import Limits  # noqa: PLC0415 - the web framework loads on first use

        return Limits
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    """Name what can be imported from here."""
    return sorted(__all__)
