"""What calls of user profiles look like, and what becomes of their answers."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from amplitude_async import (
    AsyncAmplitude,
    AuthenticationError,
    Backoff,
    BadRequestError,
    ConfigurationError,
    InvalidArgumentError,
    RateLimitedError,
    ServerError,
    UnexpectedResponseError,
)
from amplitude_async._protocol.budget import Use
from amplitude_async.resources.profiles import profile_call

NO_WAIT = Backoff(jitter=lambda _: 0.0)


def test_a_profile_is_a_read_with_the_secret_key() -> None:
    """One repeatable GET, of the quota of the organisation."""
    call = profile_call({"user_id": "u-4711"})
    assert (call.api, call.method, call.path, call.credential) == ("profiles", "GET", "/v1/userprofile", "secret")
    assert (call.repeatable, call.uses, call.query) == (True, (Use("profiles"),), (("user_id", "u-4711"),))


@pytest.mark.parametrize(
    ("parameters", "query"),
    [
        ({"device_id": "dev-1"}, {"device_id": "dev-1"}),
        ({"user_id": "u&x=y", "get_amp_props": True}, {"user_id": "u&x=y", "get_amp_props": "true"}),
        ({"user_id": "u", "get_cohort_ids": False}, {"user_id": "u", "get_cohort_ids": "false"}),
        ({"user_id": "u", "rec_id": "r-1"}, {"user_id": "u", "rec_id": "r-1", "get_recs": "true"}),
        ({"user_id": "u", "rec_id": ["r-1", "r-2"], "get_recs": False}, {"user_id": "u", "rec_id": "r-1,r-2", "get_recs": "false"}),
        (
            {"user_id": "u", "rec_id": "r-1,r-2", "rec_type": "random"},
            {"user_id": "u", "rec_id": "r-1,r-2", "rec_type": "random", "get_recs": "true"},
        ),
        ({"user_id": "u", "comp_id": ("c-1", "c-2")}, {"user_id": "u", "comp_id": "c-1,c-2"}),
        ({"user_id": "u", "get_computations": True}, {"user_id": "u", "get_computations": "true"}),
        (
            {"user_id": "u", "prediction_id": "p", "propensity_type": "pct"},
            {"user_id": "u", "prediction_id": "p", "propensity_type": "pct", "get_propensity": "true"},
        ),
        ({"user_id": "u", "later": 1}, {"user_id": "u", "later": "1"}),
    ],
)
def test_what_goes_out(parameters: dict[str, Any], query: dict[str, str]) -> None:
    """Ids turn on what they are ids of, lists go out with commas, and what was left out does not go out."""
    assert dict(profile_call({"rec_id": None, **parameters}).query) == query


@pytest.mark.parametrize(
    ("parameters", "argument"),
    [
        ({}, "user_id"),
        ({"user_id": None, "device_id": None}, "user_id"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": "u", "device_id": " "}, "device_id"),
        ({"user_id": "u", "get_recs": True}, "rec_id"),
        ({"user_id": "u", "rec_id": ""}, "rec_id"),
        ({"user_id": "u", "rec_id": []}, "rec_id"),
        ({"user_id": "u", "rec_id": ["a,b"]}, "rec_id"),
        ({"user_id": "u", "rec_id": "r", "rec_type": "both"}, "rec_type"),
        ({"user_id": "u", "get_propensity": True}, "prediction_id"),
        ({"user_id": "u", "prediction_id": "p", "propensity_type": "percent"}, "propensity_type"),
        ({"user_id": "u", "comp_id": ["*"]}, "comp_id[0]"),
    ],
)
def test_what_is_refused(parameters: dict[str, Any], argument: str) -> None:
    """By the name of what is wrong, before anything is sent."""
    with pytest.raises(InvalidArgumentError) as caught:
        profile_call(parameters)
    assert caught.value.argument == argument


PROFILE = {
    "userData": {
        "user_id": "u-4711",
        "device_id": None,
        "recommendations": [
            {
                "rec_id": "r-55",
                "child_rec_id": "r-55",
                "items": ["sku-1", "sku-7"],
                "is_control": False,
                "recommendation_source": "model",
                "last_updated": 1770076800,
            }
        ],
        "amp_props": {
            "library": "http/2.0",
            "first_used": "2026-01-04",
            "last_used": "2026-02-03",
            "visits": 12,
            "vip": True,
            "c": "3",
        },
        "cohort_ids": ["k3x9q2f"],
        "propensity": None,
        "propensities": [{"prop": 0.41, "pred_id": "pr-9", "prop_type": "score"}],
        "later": {"a": 1},
    },
    "later": 1,
}


def test_a_profile_is_read_without_loss() -> None:
    """Unknown keys survive; parts that were not asked for are null."""
    assert profile_call({"user_id": "u"}).reads(json.dumps(PROFILE).encode()) == PROFILE


async def asked(status: int, body: bytes, kind: str = "application/json") -> Any:
    def handler(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers={"Content-Type": kind}, content=body)

    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
        async with AsyncAmplitude("key", secret_key="secret", http_client=http, backoff=NO_WAIT, max_retries=0) as amplitude:
            return await amplitude.profiles.get(user_id="u-4711")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "body", "kind", "error", "words"),
    [
        (401, b"Invalid Api-Key", "text/plain", AuthenticationError, "Invalid Api-Key"),
        (401, b'"Invalid Api-Key"', "application/json", AuthenticationError, "Invalid Api-Key"),
        (401, b'{"error":"Missing Api-Key in Authorization header"}', "application/json", AuthenticationError, "Missing Api-Key"),
        (400, b'{"error":"User id and device id not seen before"}', "application/json", BadRequestError, "not seen before"),
        (429, b'{"error":"Number of requests per minute exceeds system limit."}', "application/json", RateLimitedError, "per minute"),
        (500, b"", "text/html", ServerError, "500"),
        (200, b'{"error":"User id and device id not seen before"}', "application/json", UnexpectedResponseError, "not seen before"),
        (200, b"<html>", "text/html", UnexpectedResponseError, "html"),
        (200, b'{"userData":null}', "application/json", UnexpectedResponseError, "userData"),
    ],
)
async def test_errors_in_any_form(status: int, body: bytes, kind: str, error: type[Exception], words: str) -> None:
    """Bare text or JSON, with whatever status: the error that fits, with Amplitude's own words."""
    with pytest.raises(error, match=words):
        await asked(status, body, kind)


@pytest.mark.anyio
async def test_there_is_no_such_api_in_the_eu() -> None:
    """Said by name, before anything is sent."""
    async with AsyncAmplitude("key", secret_key="secret", region="eu") as amplitude:
        with pytest.raises(ConfigurationError, match="EU"):
            await amplitude.profiles.get(user_id="u")
    async with AsyncAmplitude("key") as amplitude:
        with pytest.raises(ConfigurationError, match="secret_key"):
            await amplitude.profiles.get(user_id="u")
