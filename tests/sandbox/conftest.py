"""A running sandbox with a settable clock, and a plain synchronous client for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from amplitude_async.sandbox import Sandbox

from .made_up import ZONES, World, opened

NOON = 1_777_636_800.0  # 2026-05-01 12:00:00 UTC


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    now: float = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock at noon."""
    return Clock()


@pytest.fixture
def box(clock: Clock) -> Iterator[Sandbox]:
    """Run a sandbox."""
    with Sandbox(clock=clock) as running:
        yield running


@pytest.fixture
def http(box: Sandbox) -> Iterator[httpx.Client]:
    """Return a client with the right credentials."""
    # Here as elsewhere: in clear text there is nothing to verify, and reading the authorities costs 20 ms a client.
    with httpx.Client(verify=False, base_url=box.url, auth=(box.api_key, box.secret_key), trust_env=False) as client:
        yield client


@pytest.fixture(scope="session", params=list(enumerate(ZONES)), ids=ZONES)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Run a sandbox that holds a made-up world, in one of several time zones."""
    with opened(*request.param) as found:
        yield found
