"""What tests of every room share: both event loops, and a sandbox."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from amplitude_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator


# Who runs the tests behind a shell's ``&`` has it ignored, and so would every program that they start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# How long an example takes says how busy the machine is; what hangs is ended by the timeout of its test.
settings.register_profile("busy", deadline=None)
settings.load_profile("busy")


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
