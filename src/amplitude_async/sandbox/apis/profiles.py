"""The sandbox's user profiles.

Page: https://amplitude.com/docs/apis/analytics/user-profile. Properties and cohorts are those that the sandbox knows. What nobody can
know here has a fixed shape: of every ``rec_id`` the items ``item-1`` to ``item-3``, of every ``prediction_id`` 0.5 (the percentile
50), and no computations, so that each ``comp_id`` is null. Where the page says nothing: what is missing, and an unknown user, are 400,
too many requests are 429; a refused key is text.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from amplitude_async.sandbox import cohorting
from amplitude_async.sandbox.desk import json_answer, parameters_of
from amplitude_async.sandbox.questions import one

if TYPE_CHECKING:
    from starlette.requests import Request

    from amplitude_async.sandbox.desk import Desk
    from amplitude_async.sandbox.people import User
    from amplitude_async.sandbox.store import Store

Parameters = dict[str, list[str]]

_UNKNOWN: Final = "User id and device id not seen before"
_THROTTLED: Final = "Number of requests per minute exceeds system limit. Contact Support if you need this limit raised"
_ITEMS: Final = ("item-1", "item-2", "item-3")
_LIKELIHOOD: Final = {"score": 0.5, "pct": 50}


def routes(desk: Desk) -> list[Route]:
    """Return the endpoints."""
    profiles = _Profiles(desk)
    return [Route("/v1/userprofile", desk.guarded(profiles.get, door="secret", pool=None, refuse=_refused), methods=["GET"])]


def _refused(status: int, details: str) -> Response:
    """Answer with an error as this API writes it: a refused key is text."""
    if status == 401:  # noqa: PLR2004 - said by the line itself
        is_missing = details.startswith("Missing")
        return PlainTextResponse("Missing Api-Key in Authorization header" if is_missing else "Invalid Api-Key", status)
    return json_answer(status, {"error": details})


def _is_on(parameters: Parameters, name: str) -> bool:
    return (one(parameters, name) or "").lower() == "true"


def _listed(parameters: Parameters, name: str) -> list[str]:
    return [each for each in (one(parameters, name) or "").split(",") if each]


class _Profiles:
    """The endpoint."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def get(self, request: Request) -> Response:
        """Say what is known of a user."""
        now = self._desk.clock()
        window, most = self._desk.window("profiles", 60.0), self._desk.limits.profiles_per_minute
        if most is not None and window.total(now) >= most:
            return _refused(429, _THROTTLED)
        window.add(now, 1)
        parameters = parameters_of(request)
        if not one(parameters, "user_id") and not one(parameters, "device_id"):
            return _refused(400, "user_id or device_id is required")
        # The raw samples of the page send the flag of predictions empty.
        for flag, name in (("get_recs", "rec_id"), ("get_propensity", "prediction_id")):
            if _is_on(parameters, flag) and not _listed(parameters, name):
                return _refused(400, f"{name} is required")
        data = await self._desk.run(_user_data, self._desk.store, parameters, int(now))
        return _refused(400, _UNKNOWN) if data is None else json_answer(200, {"userData": data})


def _user_data(store: Store, parameters: Parameters, now: int) -> dict[str, Any] | None:
    user_id, device_id = one(parameters, "user_id"), one(parameters, "device_id")
    user = store.people.named(user_id) if user_id else None
    if user is None and device_id:
        user = store.people.on_device(device_id)
    if user is None:
        return None
    data: dict[str, Any] = {
        "user_id": user.user_id,
        "device_id": device_id or user.device_id,
        "recommendations": _recommendations(parameters, now),
        "amp_props": _properties(store, user, parameters),
        "cohort_ids": cohorting.containing(store, user.amplitude_id) if _is_on(parameters, "get_cohort_ids") else None,
    }
    predictions = _listed(parameters, "prediction_id")
    if predictions:
        kind = one(parameters, "propensity_type") or "score"
        value = _LIKELIHOOD.get(kind, _LIKELIHOOD["score"])
        data["propensity"] = value if len(predictions) == 1 else None
        data["propensities"] = [{"prop": value, "pred_id": each, "prop_type": kind} for each in predictions]
    store.people.forget()
    return data


def _recommendations(parameters: Parameters, now: int) -> list[dict[str, Any]] | None:
    if not _is_on(parameters, "get_recs"):
        return None
    return [
        {
            "rec_id": each,
            "child_rec_id": each,
            "items": list(_ITEMS),
            "is_control": False,
            "recommendation_source": one(parameters, "rec_type") or "model",
            "last_updated": now,
        }
        for each in _listed(parameters, "rec_id")
    ]


def _properties(store: Store, user: User, parameters: Parameters) -> dict[str, Any] | None:
    computations = _listed(parameters, "comp_id")
    found: dict[str, Any] = {}
    if _is_on(parameters, "get_amp_props"):
        history = store.history(user)
        found = {
            **{name: value for name, value in user.built_ins.items() if value is not None},
            "first_used": _day(history.first_us),
            "last_used": _day(history.last_us),
            "visits": history.num_sessions,
            **user.properties,
        }
    elif not computations and not _is_on(parameters, "get_computations"):
        return None
    return {**found, **dict.fromkeys(computations)}


def _day(at_us: int | None) -> str | None:
    return None if at_us is None else datetime.fromtimestamp(at_us / 1e6, UTC).date().isoformat()
