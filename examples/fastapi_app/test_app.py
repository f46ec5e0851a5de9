"""The shop's own tests, with the pytest plugin that comes with amplitude_async: no account, no network, nothing mocked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fastapi.testclient import TestClient

if TYPE_CHECKING:
    from pathlib import Path

    from amplitude_async.sandbox import Sandbox
    from amplitude_async.testing import TrackedEvents


@pytest.fixture
def shop(amplitude_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> TestClient:
    """Return the application, pointed at a sandbox by its environment as it would be at Amplitude."""
    for name, value in amplitude_sandbox.credentials.items():
        monkeypatch.setenv(f"AMPLITUDE_{name.upper()}", str(value))
    monkeypatch.setenv("OUTBOX_FOLDER", str(tmp_path / "outbox"))
    import importlib  # noqa: PLC0415 - the application reads its environment when it is imported

    import app  # noqa: PLC0415 - as above

    return TestClient(importlib.reload(app).app)


def test_an_order_becomes_an_event(shop: TestClient, amplitude_events: TrackedEvents) -> None:
    """The event has the order's facts, and the user and path of the request."""
    with shop:
        answer = shop.post("/orders/7", json={"product": "lamp", "price": 59.0}, headers={"X-User": "user-1"})
        assert answer.json() == {"order": "7", "user": "user-1", "event": "kept"}
    # Leaving the block shuts the service down, which delivers what is kept.
    (event,) = amplitude_events
    assert event["event_type"] == "order_placed"
    assert event["user_id"] == "user-1"
    assert event["event_properties"]["path"] == "/orders/7"
    assert (event["price"], event["quantity"], event["productId"]) == (59.0, 1, "lamp")


def test_an_order_goes_on_while_amplitude_is_away(shop: TestClient, amplitude_sandbox: Sandbox) -> None:
    """With Amplitude down orders are taken all the same, and their events wait on the disk."""
    with amplitude_sandbox.faults.during(status=503, path="/2/httpapi"), shop:
        answer = shop.post("/orders/8", json={"product": "mug", "price": 12.0}, headers={"X-User": "user-1"})
        assert answer.status_code == 200
        assert shop.get("/health").json()["pending"] == 1


def test_visits_come_from_amplitude(shop: TestClient) -> None:
    """What was delivered is found again; who was never seen is a 404."""
    with shop:
        assert shop.get("/visits/nobody-knows").status_code == 404
