"""The sandbox's behavioural cohorts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.routing import Route

    from amplitude_async.sandbox.desk import Desk


def routes(desk: Desk) -> list[Route]:
    """Return the endpoints."""
    del desk
    return []
