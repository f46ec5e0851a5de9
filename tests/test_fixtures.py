"""A client held across set-up and tear-down, as fixtures of users' tests do, where the two may run in different tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from amplitude_async import AsyncAmplitude

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from amplitude_async.sandbox import Sandbox

EVENT = {"event_type": "x", "user_id": "user-1"}


@pytest_asyncio.fixture
async def held(box: Sandbox) -> AsyncIterator[AsyncAmplitude]:
    """Hold a client with pytest-asyncio, in a block and already used."""
    async with AsyncAmplitude(box.api_key, secret_key=box.secret_key, base_url=box.url) as amplitude:
        await amplitude.track(EVENT)
        yield amplitude
        await amplitude.track(EVENT)
    assert amplitude._caller.tasks.alive == 0


@pytest.fixture
async def held_by_anyio(anyio_backend: str, box: Sandbox) -> AsyncIterator[AsyncAmplitude]:
    """Hold a client with anyio's plugin, on either event loop."""
    async with AsyncAmplitude(box.api_key, secret_key=box.secret_key, base_url=box.url) as amplitude:
        await amplitude.track(EVENT)
        yield amplitude
        await amplitude.track(EVENT)
    assert amplitude._caller.tasks.alive == 0


@pytest.mark.asyncio
async def test_a_fixture_of_pytest_asyncio_holds_a_client(held: AsyncAmplitude) -> None:
    """A client entered in one task and left in another works in between."""
    assert (await held.track(EVENT))["code"] == 200
    assert (await held.user_search("user-1"))["matches"]


@pytest.mark.asyncio
async def test_an_error_of_the_test_stays_itself(held: AsyncAmplitude) -> None:
    """A ValueError inside the block reaches the test as a ValueError, in no group."""
    with pytest.raises(ValueError, match="mine"):
        async with held.with_options(max_retries=0) as view:
            await view.track(EVENT)
            raise ValueError("mine")


@pytest.mark.anyio
async def test_a_fixture_of_anyio_holds_a_client(held_by_anyio: AsyncAmplitude) -> None:
    """The same on asyncio and on trio."""
    assert (await held_by_anyio.track(EVENT))["code"] == 200
    assert (await held_by_anyio.user_search("user-1"))["matches"]
