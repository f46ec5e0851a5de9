"""User profiles, over the sandbox."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from amplitude_async import AsyncAmplitude, AuthenticationError, BadRequestError, RateLimitedError
from amplitude_async.sandbox import Limits, Sandbox

pytestmark = pytest.mark.anyio


async def test_what_is_known_of_a_user(box: Sandbox) -> None:
    """Properties are those that were tracked, cohorts those that the user is in; what was not asked for is None."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        await amplitude.track(
            [
                {
                    "event_type": "a",
                    "user_id": "user-1",
                    "device_id": "dev-1",
                    "time": 1_777_885_200_000,
                    "session_id": 1_777_885_200_000,
                },
                {"event_type": "b", "user_id": "user-1", "device_id": "dev-1", "time": 1_777_971_600_000, "platform": "Web"},
                {"event_type": "a", "user_id": "user-2"},
            ]
        )
        await amplitude.identify(
            {"user_id": "user-1", "device_id": "dev-1", "user_properties": {"$set": {"plan": "pro", "tags": ["x"]}}}
        )
        made = await amplitude.cohorts.upload(
            "A", ["user-1"], app_id=box.project_id, id_type="BY_USER_ID", owner="ops@example.org", published=True
        )
        nothing = (await amplitude.profiles.get(user_id="user-1"))["userData"]
        assert nothing == {"user_id": "user-1", "device_id": "dev-1", "recommendations": None, "amp_props": None, "cohort_ids": None}
        found = (await amplitude.profiles.get(user_id="user-1", get_amp_props=True, get_cohort_ids=True))["userData"]
        properties = found["amp_props"]
        assert properties is not None
        assert (properties["plan"], properties["tags"], properties["platform"]) == ("pro", ["x"], "Web")
        assert (properties["first_used"], properties["last_used"], properties["visits"]) == ("2026-05-04", "2026-05-05", 1)
        assert found["cohort_ids"] == [made["cohort_id"]]
        assert (await amplitude.profiles.get(user_id="user-2", get_cohort_ids=True))["userData"]["cohort_ids"] == []
        by_device = (await amplitude.profiles.get(device_id="dev-1"))["userData"]
        assert (by_device["user_id"], by_device["device_id"]) == ("user-1", "dev-1")
        either = (await amplitude.profiles.get(user_id="nobody", device_id="dev-1"))["userData"]
        assert either["user_id"] == "user-1"


async def test_what_nobody_can_know_has_a_fixed_shape(box: Sandbox) -> None:
    """Recommendations, predictions and computations look as Amplitude writes them."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        await amplitude.track({"event_type": "a", "user_id": "user-1"})
        found = (await amplitude.profiles.get(user_id="user-1", rec_id=["r-1", "r-2"], rec_type="random", comp_id="c-1"))["userData"]
        assert found["recommendations"] is not None
        assert [each["rec_id"] for each in found["recommendations"]] == ["r-1", "r-2"]
        first: dict[str, Any] = {**found["recommendations"][0]}
        assert isinstance(first.pop("last_updated"), int)
        assert first == {
            "rec_id": "r-1",
            "child_rec_id": "r-1",
            "items": ["item-1", "item-2", "item-3"],
            "is_control": False,
            "recommendation_source": "random",
        }
        assert found["amp_props"] == {"c-1": None}
        assert (await amplitude.profiles.get(user_id="user-1", get_computations=True))["userData"]["amp_props"] == {}
        one = (await amplitude.profiles.get(user_id="user-1", prediction_id="p-1"))["userData"]
        assert one["propensity"] == 0.5
        several = (await amplitude.profiles.get(user_id="user-1", prediction_id=["p-1", "p-2"], propensity_type="pct"))["userData"]
        assert several["propensity"] is None
        assert several["propensities"] == [
            {"prop": 50, "pred_id": "p-1", "prop_type": "pct"},
            {"prop": 50, "pred_id": "p-2", "prop_type": "pct"},
        ]


async def test_refusals(box: Sandbox) -> None:
    """An unknown user is a 400 with Amplitude's words, a wrong key is a 401 of bare text."""
    async with AsyncAmplitude(**box.credentials) as amplitude:
        with pytest.raises(BadRequestError, match="User id and device id not seen before"):
            await amplitude.profiles.get(user_id="nobody")
    async with AsyncAmplitude(box.api_key, secret_key="wrong", base_url=box.url) as amplitude:
        with pytest.raises(AuthenticationError, match="Invalid Api-Key") as caught:
            await amplitude.profiles.get(user_id="nobody")
        assert caught.value.data == "Invalid Api-Key"
    async with httpx.AsyncClient(verify=False, base_url=box.url) as http:
        answer = await http.get("/v1/userprofile?user_id=u")
        assert (answer.status_code, answer.text) == (401, "Missing Api-Key in Authorization header")
        assert answer.headers["content-type"].startswith("text/plain")
        answer = await http.get("/v1/userprofile?user_id=u", auth=(box.api_key, box.secret_key))
        assert (answer.status_code, answer.text) == (401, "Missing Api-Key in Authorization header")
        key = {"Authorization": f"Api-Key {box.secret_key}"}
        for query in ("", "?user_id=", "?user_id=u&get_recs=true", "?user_id=u&get_propensity=true"):
            answer = await http.get(f"/v1/userprofile{query}", headers=key)
            assert answer.status_code == 400
            assert "required" in answer.json()["error"]
        # Amplitude's own samples send the flag of predictions empty.
        assert "not seen" in (await http.get("/v1/userprofile?user_id=u&get_propensity=", headers=key)).json()["error"]


async def test_too_many_requests() -> None:
    """Beyond the minute's quota the sandbox answers as Amplitude does; the client keeps the documented one by itself."""
    with Sandbox(limits=Limits(profiles_per_minute=2)) as box:
        async with AsyncAmplitude(**box.credentials, max_retries=0) as amplitude:
            await amplitude.track({"event_type": "a", "user_id": "user-1"})
            for _ in range(2):
                await amplitude.profiles.get(user_id="user-1")
            with pytest.raises(RateLimitedError, match="Number of requests per minute"):
                await amplitude.profiles.get(user_id="user-1")
