"""User profiles: properties, cohorts, recommendations, computations, predictions, for serving one user at a time.

Amplitude's page: https://amplitude.com/docs/apis/analytics/user-profile
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, Required, TypedDict, get_args

from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.call import Call, read_json_object
from amplitude_async._protocol.codec import MalformedError
from amplitude_async.resources.parameters import form_pairs, given, id_list, one_of, refused, required_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from amplitude_async.resources.runner import Runner

__all__ = ["Profiles", "Propensity", "Recommendation", "UserData", "UserProfile", "profile_call"]

RecType = Literal["model", "random"]
PropensityType = Literal["score", "pct"]

_USE: Final = (Use("profiles"),)


class Recommendation(TypedDict, total=False):
    """What is recommended. Serve the default experience where ``is_control`` is true.

    ``last_updated`` is in seconds since the epoch.
    """

    rec_id: Required[str]
    child_rec_id: str
    items: Required[list[str]]
    is_control: bool
    recommendation_source: str
    last_updated: int


class Propensity(TypedDict, total=False):
    """How likely it is that the user does what is predicted: a ``score`` from 0 to 1, or a percentile (``pct``)."""

    prop: Required[float]
    pred_id: Required[str]
    prop_type: str


class UserData(TypedDict, total=False):
    """What is known of a user. What was not asked for is ``None`` or missing.

    Computations are among ``amp_props``, and their numbers may be text. Of one prediction ``propensity`` is the value; of several it
    is ``None``, and ``propensities`` has them all.
    """

    user_id: str | None
    device_id: str | None
    recommendations: list[Recommendation] | None
    amp_props: dict[str, Any] | None
    cohort_ids: list[str] | None
    propensity: float | None
    propensities: list[Propensity] | None


class UserProfile(TypedDict):
    """The answer; everything is under ``userData``."""

    userData: UserData


def _read_profile(body: bytes) -> dict[str, Any]:
    answer = read_json_object(body)
    if not isinstance(answer.get("userData"), dict):
        message = "it has no userData"
        raise MalformedError(message)
    return answer


def _listed(values: object, *, argument: str) -> str | None:
    """Return ids as they go out, with commas between; text passes as it is."""
    if values is None:
        return None
    if isinstance(values, str):
        return required_text(values, argument=argument, what="an id, or several with commas between")
    ids = id_list(values, argument=argument)
    if any("," in one for one in ids):
        raise refused(argument=argument, reason="is sent as a list with commas between, so no id may hold one")
    return ",".join(ids)


def profile_call(parameters: Mapping[str, object]) -> Call:
    """Describe the question for a profile; ids that were given turn on what they are ids of."""
    wanted = dict(parameters)
    whose = given({name: wanted.pop(name, None) for name in ("user_id", "device_id")})
    if not whose:
        raise refused(argument="user_id", reason="and device_id are both missing; give one of them")
    ids = {name: required_text(value, argument=name, what="an id") for name, value in whose.items()}
    for name, choices in (("rec_type", RecType), ("propensity_type", PropensityType)):
        if wanted.get(name) is not None:
            one_of(wanted[name], get_args(choices), argument=name)
    for name in ("rec_id", "comp_id", "prediction_id"):
        wanted[name] = _listed(wanted.get(name), argument=name)
    for flag, name in (("get_recs", "rec_id"), ("get_propensity", "prediction_id")):
        if wanted[name] is not None and wanted.get(flag) is None:
            wanted[flag] = True
        elif wanted.get(flag) and wanted[name] is None:
            raise refused(argument=name, reason=f"is missing, and {flag} needs it")
    return Call(
        api="profiles",
        kind="query",
        method="GET",
        path="/v1/userprofile",
        credential="secret",
        reads=_read_profile,
        repeatable=True,
        query=form_pairs("profiles", {**ids, **wanted}),
        uses=_USE,
    )


class Profiles:
    """User profiles. For servers alone: they are read with the project's secret key. Not offered for projects in the EU.

    At most 600 calls a minute, for the whole organisation; what would be more waits here.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def get(  # noqa: PLR0913 - the parameters of the API
        self,
        *,
        user_id: str | None = None,
        device_id: str | None = None,
        get_amp_props: bool | None = None,
        get_cohort_ids: bool | None = None,
        get_recs: bool | None = None,
        rec_id: Iterable[str] | str | None = None,
        rec_type: RecType | None = None,
        get_computations: bool | None = None,
        comp_id: Iterable[str] | str | None = None,
        get_propensity: bool | None = None,
        prediction_id: Iterable[str] | str | None = None,
        propensity_type: PropensityType | None = None,
        **parameters: object,
    ) -> UserProfile:
        """Ask what is known of a user, as much of it as is wanted, in one call.

        Args:
            user_id: Your own id of the user.
            device_id: A device's id. At least one of the two.
            get_amp_props: User properties, computations left out.
            get_cohort_ids: The cohorts that the user is in; only those that are synced to the Profile API.
            get_recs: Recommendations; follows from ``rec_id``, which it needs.
            rec_id: One recommendation or several.
            rec_type: ``"model"`` or ``"random"``, whatever the experiment's control says.
            get_computations: All computations.
            comp_id: One computation or several; one that is unknown is ``None`` in the answer.
            get_propensity: Predictions; follows from ``prediction_id``, which it needs.
            prediction_id: One prediction or several.
            propensity_type: ``"score"`` or ``"pct"``: the raw score, or the percentile.
            **parameters: Further parameters of the API.

        Returns:
            ``{"userData": {...}}``: :class:`UserData`.

        Raises:
            InvalidArgumentError: Neither id is given, or one is blank; ``get_recs`` without ``rec_id``; another word than those above.
            ConfigurationError: The client has no secret key, or its project is in the EU.
            AuthenticationError: The secret key is wrong.
            BadRequestError: Amplitude knows neither id ("User id and device id not seen before").
            AmplitudeError: Amplitude refused otherwise, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/user-profile
        """
        wanted = {
            "user_id": user_id,
            "device_id": device_id,
            "get_recs": get_recs,
            "rec_id": rec_id,
            "rec_type": rec_type,
            "get_amp_props": get_amp_props,
            "get_cohort_ids": get_cohort_ids,
            "get_computations": get_computations,
            "comp_id": comp_id,
            "get_propensity": get_propensity,
            "prediction_id": prediction_id,
            "propensity_type": propensity_type,
        }
        result: UserProfile = await self._runner.run(profile_call({**wanted, **parameters}))
        return result
