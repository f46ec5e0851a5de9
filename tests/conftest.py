"""What tests of every room share: both event loops, and a sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from amplitude_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run what is marked anyio on both event loops."""
    backend: str = request.param
    return backend


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """Serve a fresh sandbox on a free loopback port."""
    with Sandbox() as sandbox:
        yield sandbox
