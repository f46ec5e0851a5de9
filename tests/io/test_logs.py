"""``AMPLITUDE_LOG``: what the library logs, for who has set up no logging."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from amplitude_async import AsyncAmplitude, ConfigurationError

PROGRAM = """
import asyncio, logging
import amplitude_async
from amplitude_async.sandbox import Sandbox
assert not logging.getLogger("amplitude_async").handlers

async def main(box):
    async with amplitude_async.AsyncAmplitude(**box.credentials, backoff=amplitude_async.Backoff(base=0.0)) as amplitude:
        amplitude_async.AsyncAmplitude(**box.credentials)
        box.faults.next(1, status=503)
        await amplitude.user_search("ada@example.org")
        async with amplitude.outbox() as outbox:
            await outbox.put({"event_type": "x", "user_id": "ada@example.org"})
        async for row in amplitude.export(start="20260101T00", end="20260101T01").events():
            pass

with Sandbox(api_key="invented-api-key", secret_key="invented-secret") as box:
    asyncio.run(main(box))
"""


def run(level: str | None) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AMPLITUDE_")}
    environment = clean if level is None else {**clean, "AMPLITUDE_LOG": level}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=60, check=True
    ).stderr


def test_debug_shows_each_request_once_and_nothing_personal() -> None:
    """One line a request, with its status and its number, whatever number of clients is made; no key, no query, no event."""
    lines = run("debug").splitlines()
    searches = [line for line in lines if "/api/2/usersearch:" in line]
    assert [line.partition("usersearch: ")[2].partition(" ")[0] for line in searches] == ["503", "200"]
    assert searches[1].endswith("attempt 2")
    assert any("/2/httpapi: 200" in line for line in lines)
    assert any("is tried again in" in line for line in lines)
    assert any("amplitude_async.export: asking for 20260101T00 to 20260101T01" in line for line in lines)
    assert all("DEBUG amplitude_async." in line for line in lines)
    assert not any(word in line for line in lines for word in ("invented", "ada", "?"))


@pytest.mark.parametrize("level", [None, "", "warning", "ERROR"])
def test_other_levels_show_what_is_of_theirs(level: str | None) -> None:
    """A service that meets no trouble writes nothing at these levels, and nothing at all without the variable."""
    assert run(level) == ""


def test_a_level_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistyped level is no silence: the client says at once which there are."""
    monkeypatch.setenv("AMPLITUDE_LOG", "verbose")
    with pytest.raises(ConfigurationError, match="AMPLITUDE_LOG must be one of debug, info, warning, error, not 'verbose'"):
        AsyncAmplitude("key")
