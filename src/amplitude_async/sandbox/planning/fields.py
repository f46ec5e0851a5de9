"""Reading the fields of a form, and the refusals of a plan. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

Form = Mapping[str, str]

NOT_FOUND: Final = "Not found"


class RefusedPlanError(Exception):
    """Something that the plan does not allow."""

    def __init__(self, status: int, message: str) -> None:
        """Keep the answer to give."""
        super().__init__(message)
        self.status = status


def conflict(message: str) -> RefusedPlanError:
    """Build the refusal of a write that contradicts the plan."""
    return RefusedPlanError(409, message)


def required(form: Form, name: str) -> str:
    """Return a field that must be there; ValueError if it is blank."""
    value = form.get(name, "")
    if not value.strip():
        message = f"Missing required parameter: {name}"
        raise ValueError(message)
    return value


def flag(form: Form, name: str, *, default: bool = False) -> bool:
    """Return a boolean; ValueError if it is none."""
    value = form.get(name, "true" if default else "false").lower()
    if value not in {"true", "false"}:
        message = f"Invalid value for {name}: {value[:100]}"
        raise ValueError(message)
    return value == "true"


def flags(form: Form, names: Iterable[str]) -> dict[str, object]:
    """Return the booleans that were sent."""
    return {name: flag(form, name) for name in names if name in form}


def texts(form: Form, names: Iterable[str]) -> dict[str, object]:
    """Return the texts that were sent."""
    return {name: form[name] for name in names if name in form}


def listed(text: str) -> list[str]:
    """Return the items of a text with commas."""
    return [item.strip() for item in text.split(",") if item.strip()]
