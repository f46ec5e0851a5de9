"""The queries of the dashboard API as calls: parameters checked and encoded, the cost counted.

Every builder takes a mapping of parameters by Amplitude's names, or the snake_case that stands for them; what it does not know goes
along. Only what Amplitude would refuse, or would misread without a word, is refused here.

Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.call import Call, path_of, read_data, read_members, read_text
from amplitude_async._protocol.codec import MalformedError, decode
from amplitude_async._protocol.dates import check_order, dashboard_date
from amplitude_async.resources.dashboard.cost import (
    OTHER_TYPE,
    RETENTION_TYPE,
    SESSIONS_TYPE,
    funnel_type,
    query_cost,
    segmentation_type,
)
from amplitude_async.resources.dashboard.definitions import event_definition, event_definitions, segment_definitions
from amplitude_async.resources.parameters import given, query_value, refused, repeated, required_text, spelled, whole_number

if TYPE_CHECKING:
    from amplitude_async.errors import InvalidArgumentError

__all__ = [
    "BUILDERS",
    "active_users_call",
    "activity_call",
    "average_session_length_call",
    "chart_csv_call",
    "chart_query_call",
    "composition_call",
    "events_list_call",
    "funnels_call",
    "new_users_call",
    "read_chart_csv",
    "realtime_call",
    "retention_call",
    "revenue_ltv_call",
    "search_call",
    "segmentation_call",
    "session_lengths_call",
    "sessions_per_user_call",
]

Parameters = Mapping[str, object]

MAX_VALUES: Final = 1000
"""Values of a group-by that a query gives at most."""
MAX_EVENTS: Final = 1000
"""Events of a user that a request asks for at most."""
DAY_SECONDS: Final = 86_400
BIN_UNITS: Final = ("hours", "minutes", "seconds")
LTV_METRICS: Final = {"arpu": 0, "arppu": 1, "total_revenue": 2, "paying_users": 3}
N_DAY: Final = frozenset({"n-day", "nday", "n_day"})
"""Amplitude's page writes ``n-day``; what its API takes is ``nday``."""
LOOKUP: Final = (Use("user_lookups"),)
"""User search and user activity have a pool of their own."""

_BIN: Final = "timeHistogramConfigBin"
_BINS: Final = {"bin_unit": f"{_BIN}TimeUnit", "bin_min": f"{_BIN}Min", "bin_max": f"{_BIN}Max", "bin_size": f"{_BIN}Size"}


class _Span(NamedTuple):
    """The range of a query."""

    start: str
    end: str
    days: int


def _asked(parameters: Parameters) -> dict[str, object]:
    """Return what was given, in Amplitude's spelling."""
    return given(spelled("dashboard", parameters))


def _span(asked: dict[str, object]) -> _Span:
    start = dashboard_date(asked.pop("start", None), argument="start")
    end = dashboard_date(asked.pop("end", None), argument="end")
    check_order(start, end)
    # Text may be precise to the hour; what is paid for are days.
    first, last = (date(int(text[:4]), int(text[4:6]), int(text[6:8])) for text in (start, end))
    return _Span(start, end, (last - first).days + 1)


def _segments(asked: dict[str, object]) -> list[int]:
    """Encode the segments where they stand, and return how many conditions each has."""
    segments = segment_definitions(asked.get("s"))
    if segments:
        asked["s"] = [segment.text for segment in segments]
    else:
        asked.pop("s", None)
    if len(segments) > 1 and ("g" in asked or "g2" in asked):
        raise refused(argument="g", reason=f"groups one segment, and s has {len(segments)}; leave out one or the other")
    return [segment.weight for segment in segments]


def _group_bys(asked: Parameters, *names: str) -> int:
    return sum(1 for name in names if name in asked)


def _check_limit(asked: Parameters) -> None:
    if "limit" in asked:
        whole_number(asked["limit"], argument="limit", least=1, most=MAX_VALUES)


def _costs(cost: int) -> tuple[Use, ...]:
    return (Use("rest"), Use("queries", cost))


def _query(path: str, asked: Parameters, *, uses: tuple[Use, ...], reads: Callable[[bytes], Any] = read_data) -> Call:
    pairs: list[tuple[str, str]] = []
    for name, value in asked.items():
        # Definitions are texts by now: one parameter each.
        several = name in {"e", "s"} and isinstance(value, list)
        pairs += repeated(name, value if several else query_value(value, argument=name))
    return Call(
        api="dashboard",
        kind="query",
        method="GET",
        path=path,
        credential="project",
        reads=reads,
        repeatable=True,
        query=tuple(pairs),
        uses=uses,
    )


def _read_matches(body: bytes) -> dict[str, Any]:
    answer = read_members(body, "matches", "type")
    _check_objects(answer, "matches")
    return answer


def _read_activity(body: bytes) -> dict[str, Any]:
    answer = read_members(body, "userData", "events")
    _check_objects(answer, "events")
    return answer


def _check_objects(answer: Mapping[str, Any], name: str) -> None:
    items = answer.get(name) or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        message = f"its {name} are no list of objects"
        raise MalformedError(message)


def search_call(parameters: Parameters) -> Call:
    """Describe a user search: ``user``."""
    asked = _asked(parameters)
    user = required_text(asked.pop("user", None), argument="user", what="an Amplitude, device or user id, or a prefix")
    return _query("/api/2/usersearch", {"user": user, **asked}, uses=LOOKUP, reads=_read_matches)


def activity_call(parameters: Parameters) -> Call:
    """Describe a question for a user's activity: ``amplitude_id``, which is ``user`` to Amplitude."""
    asked = _asked(parameters)
    amplitude_id = asked.pop("amplitude_id", None)
    user = required_text(amplitude_id, argument="amplitude_id", what="an Amplitude id (user_search gives it)")
    asked.pop("user", None)
    for name in ("offset", "limit"):
        if name in asked:
            whole_number(asked[name], argument=name)
    return _query("/api/2/useractivity", {**asked, "user": user}, uses=LOOKUP, reads=_read_activity)


def segmentation_call(parameters: Parameters) -> Call:
    """Describe an event segmentation: ``e``, ``start``, ``end``, ``e2`` and what else the API takes."""
    asked = _asked(parameters)
    first = event_definition(asked.pop("e", None), argument="e")
    span = _span(asked)
    weights = [first.weight]
    if "e2" in asked:
        second = event_definition(asked["e2"], argument="e2")
        asked["e2"] = second.text
        weights.append(second.weight)
    segments = _segments(asked)
    _check_limit(asked)
    if asked.get("m") == "formula" and "formula" not in asked:
        raise refused(argument="formula", reason="is missing; m='formula' needs one, such as 'UNIQUES(A)/UNIQUES(B)'")
    if "formula" in asked:
        # Without it Amplitude would count unique users, and leave the formula aside.
        asked.setdefault("m", "formula")
    if "g2" in asked and "g" not in asked:
        raise refused(argument="g2", reason="is the second group-by; give the first as g")
    group_bys = _group_bys(asked, "g", "g2")
    cost = query_cost(days=span.days, segments=segments, group_bys=group_bys, type_cost=segmentation_type(weights))
    return _query("/api/2/events/segmentation", {"e": first.text, "start": span.start, "end": span.end, **asked}, uses=_costs(cost))


def funnels_call(parameters: Parameters) -> Call:
    """Describe a funnel analysis: ``e`` (the steps), ``start``, ``end`` and what else the API takes."""
    asked = _asked(parameters)
    steps = event_definitions(asked.pop("e", None), argument="e")
    span = _span(asked)
    segments = _segments(asked)
    _check_limit(asked)
    if "cs" in asked:
        window = whole_number(asked["cs"], argument="cs", least=1)
        if asked.get("mode") == "unordered" and window < DAY_SECONDS:
            reason = f"is {window} s, which mode='unordered' rounds down to 0 days; give {DAY_SECONDS} or more"
            raise refused(argument="cs", reason=reason)
    type_cost = funnel_type([step.weight for step in steps])
    cost = query_cost(days=span.days, segments=segments, group_bys=_group_bys(asked, "g"), type_cost=type_cost)
    texts = [step.text for step in steps]
    return _query("/api/2/funnels", {"e": texts, "start": span.start, "end": span.end, **asked}, uses=_costs(cost))


def retention_call(parameters: Parameters) -> Call:
    """Describe a retention analysis: ``se``, ``re``, ``start``, ``end`` and what else the API takes."""
    asked = _asked(parameters)
    begin = event_definition(asked.pop("se", None), argument="se")
    back = event_definition(asked.pop("re", None), argument="re")
    span = _span(asked)
    segments = _segments(asked)
    mode = asked.get("rm")
    if isinstance(mode, str) and mode in N_DAY:
        asked["rm"] = "nday"
    if mode == "bracket" and "rb" not in asked:
        raise refused(argument="rb", reason="is missing; rm='bracket' needs the brackets, such as [[0, 1], [1, 8]]")
    if "rb" in asked:
        if mode != "bracket":
            raise refused(argument="rb", reason="goes with rm='bracket' alone")
        asked["rb"] = _brackets(asked["rb"])
    cost = query_cost(days=span.days, segments=segments, group_bys=_group_bys(asked, "g"), type_cost=RETENTION_TYPE)
    query = {"se": begin.text, "re": back.text, "start": span.start, "end": span.end, **asked}
    return _query("/api/2/retention", query, uses=_costs(cost))


def _brackets(value: object) -> object:
    """Check the brackets of a retention; text goes out as it is."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Sequence) or not value:
        raise _no_brackets()
    pairs: list[list[int]] = []
    for each in value:
        if not isinstance(each, Sequence) or isinstance(each, str) or len(each) != 2:  # noqa: PLR2004 - a pair
            raise _no_brackets()
        first, after = (whole_number(bound, argument="rb") for bound in each)
        if first >= after:
            raise _no_brackets()
        pairs.append([first, after])
    return pairs


def _no_brackets() -> InvalidArgumentError:
    return refused(argument="rb", reason="must be pairs of days, the first included and the last not: days 0 to 4 are [[0, 5]]")


def _users(metric: str, parameters: Parameters) -> Call:
    asked = _asked(parameters)
    span = _span(asked)
    segments = _segments(asked)
    cost = query_cost(days=span.days, segments=segments, group_bys=_group_bys(asked, "g"), type_cost=OTHER_TYPE)
    return _query("/api/2/users", {"start": span.start, "end": span.end, "m": metric, **asked}, uses=_costs(cost))


def active_users_call(parameters: Parameters) -> Call:
    """Describe a count of active users: ``start``, ``end``, ``i``, ``s``, ``g``."""
    return _users("active", parameters)


def new_users_call(parameters: Parameters) -> Call:
    """Describe a count of new users: ``start``, ``end``, ``i``, ``s``, ``g``."""
    return _users("new", parameters)


def _sessions(path: str, parameters: Parameters) -> Call:
    asked = _asked(parameters)
    span = _span(asked)
    cost = query_cost(days=span.days, type_cost=SESSIONS_TYPE)
    return _query(path, {"start": span.start, "end": span.end, **asked}, uses=_costs(cost))


def average_session_length_call(parameters: Parameters) -> Call:
    """Describe a question for the average length of sessions: ``start``, ``end``."""
    return _sessions("/api/2/sessions/average", parameters)


def sessions_per_user_call(parameters: Parameters) -> Call:
    """Describe a question for the average number of sessions a user: ``start``, ``end``."""
    return _sessions("/api/2/sessions/peruser", parameters)


def session_lengths_call(parameters: Parameters) -> Call:
    """Describe a question for the distribution of session lengths: ``start``, ``end``, and bins of one's own."""
    asked = _asked({_BINS.get(name, name): value for name, value in given(parameters).items()})
    chosen = {short: asked[name] for short, name in _BINS.items() if name in asked}
    if chosen:
        _check_bins(chosen)
    return _sessions("/api/2/sessions/length", asked)


def _check_bins(chosen: Parameters) -> None:
    """Refuse what Amplitude would answer with its default bins, without a word."""
    for name in ("bin_unit", "bin_min", "bin_max"):
        if name not in chosen:
            raise refused(argument=name, reason="is missing; bins of your own need bin_unit, bin_min and bin_max")
    if chosen["bin_unit"] not in BIN_UNITS:
        raise refused(argument="bin_unit", reason=f"must be one of {', '.join(BIN_UNITS)}")
    low, high = (_amount(chosen[name], argument=name) for name in ("bin_min", "bin_max"))
    if low >= high:
        raise refused(argument="bin_max", reason="must be more than bin_min")
    if "bin_size" in chosen and not 0 < _amount(chosen["bin_size"], argument="bin_size") <= high - low:
        raise refused(argument="bin_size", reason="must be more than 0, and fit between bin_min and bin_max")


def _amount(value: object, *, argument: str) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever is no number raises
    except (TypeError, ValueError, OverflowError):
        number = -1.0
    if isinstance(value, bool) or not isfinite(number) or number < 0:
        raise refused(argument=argument, reason="must be a number from 0")
    return number


def composition_call(parameters: Parameters) -> Call:
    """Describe a question for the composition of users: ``p``, ``start``, ``end``."""
    asked = _asked(parameters)
    prop = required_text(asked.pop("p", None), argument="p", what="the name of a user property, such as 'platform' or 'gp:plan'")
    span = _span(asked)
    cost = query_cost(days=span.days, type_cost=OTHER_TYPE)
    return _query("/api/2/composition", {"start": span.start, "end": span.end, "p": prop, **asked}, uses=_costs(cost))


def events_list_call(parameters: Parameters) -> Call:
    """Describe a question for the project's events."""
    return _query("/api/2/events/list", _asked(parameters), uses=_costs(query_cost()))


def realtime_call(parameters: Parameters) -> Call:
    """Describe a question for the users active now: ``i``, which is 5 (minutes)."""
    return _query("/api/2/realtime", {"i": 5, **_asked(parameters)}, uses=_costs(query_cost()))


def revenue_ltv_call(parameters: Parameters) -> Call:
    """Describe a question for the lifetime value of new users: ``start``, ``end``, ``m``, ``i``, ``s``, ``g``."""
    asked = _asked(parameters)
    span = _span(asked)
    metric = asked.get("m")
    if isinstance(metric, str):
        if metric not in LTV_METRICS and metric not in {"0", "1", "2", "3"}:
            raise refused(argument="m", reason=f"must be 0 to 3, or one of {', '.join(LTV_METRICS)}")
        asked["m"] = LTV_METRICS.get(metric, metric)
    segments = _segments(asked)
    cost = query_cost(days=span.days, segments=segments, group_bys=_group_bys(asked, "g"), type_cost=OTHER_TYPE)
    return _query("/api/2/revenue/ltv", {"start": span.start, "end": span.end, **asked}, uses=_costs(cost))


def _chart_id(asked: dict[str, object]) -> str:
    return required_text(asked.pop("chart_id", None), argument="chart_id", what="the last part of the chart's address")


def chart_csv_call(parameters: Parameters) -> Call:
    """Describe a question for the CSV of a saved chart: ``chart_id``."""
    asked = _asked(parameters)
    path = path_of("/api/3/chart/{}/csv", _chart_id(asked))
    return _query(path, asked, uses=_costs(query_cost()), reads=read_chart_csv)


def chart_query_call(parameters: Parameters) -> Call:
    """Describe a question for the numbers of a saved chart: ``chart_id``."""
    asked = _asked(parameters)
    return _query(path_of("/api/3/chart/{}/query", _chart_id(asked)), asked, uses=_costs(query_cost()))


def read_chart_csv(body: bytes) -> str:
    """Read the answer of a saved chart: CSV, which public clients report to have got within ``{"data": "..."}`` too.

    Raises:
        MalformedError: It is empty, no text, JSON of another shape, or a page of HTML.
    """
    text = read_text(body)
    begins = text.lstrip()[:100].lower()
    if begins.startswith("{"):
        try:
            answer = decode(body)
        except MalformedError:
            return text
        inner = answer.get("data")
        if isinstance(inner, str):
            return inner
        message = "a JSON object where CSV was expected"
        raise MalformedError(message)
    if not begins or begins.startswith(("<!doctype", "<html", "[")):
        message = "a page of HTML or JSON where CSV was expected" if begins else "no CSV"
        raise MalformedError(message)
    return text


BUILDERS: Final[Mapping[str, Callable[[Parameters], Call]]] = {
    "chart_csv": chart_csv_call,
    "chart_query": chart_query_call,
    "active_users": active_users_call,
    "new_users": new_users_call,
    "session_lengths": session_lengths_call,
    "average_session_length": average_session_length_call,
    "sessions_per_user": sessions_per_user_call,
    "composition": composition_call,
    "events_list": events_list_call,
    "segmentation": segmentation_call,
    "funnels": funnels_call,
    "retention": retention_call,
    "realtime": realtime_call,
    "revenue_ltv": revenue_ltv_call,
}
"""The queries that have a cost, by the name of their method."""
