"""Saved charts: a query that has a name, answered as CSV text and as JSON.

Pure. Amplitude's page (https://amplitude.com/docs/apis/analytics/dashboard-rest#get-results-from-an-existing-chart) leaves the
columns open; here they are, after a line of headings:

- series over dates or values (segmentation, users, sessions, composition, real-time): the label of the series, then its numbers;
- funnels: segment or group, step, event, users, share of the first and of the previous step, median and average milliseconds;
- retention: segment or group, date, size of the cohort, then the users of each interval;
- lifetime value: label, date, users, payers, amount, then the 90 days;
- events: the keys of the list.

As JSON, the cells of series are objects with a ``value``; the other answers are as their queries give them.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from amplitude_async.sandbox import counts, funnels, lifetime, retention, segmentation, sessions
from amplitude_async.sandbox.conditions import spelled
from amplitude_async.sandbox.questions import Parameters, Question, wrong

if TYPE_CHECKING:
    from amplitude_async.sandbox.periods import Zone

QUERIES: Final[Mapping[str, Callable[[Parameters], Question]]] = {
    "users": counts.users,
    "sessions/length": sessions.lengths,
    "sessions/average": sessions.average,
    "sessions/peruser": sessions.per_user,
    "composition": counts.composition,
    "events/list": counts.event_list,
    "events/segmentation": segmentation.asked,
    "funnels": funnels.asked,
    "retention": retention.asked,
    "realtime": counts.realtime,
    "revenue/ltv": lifetime.asked,
}
"""The queries of the dashboard API, by the end of their path."""

KIND: Final = "charts"  # of documents
_DEFAULT_DAYS: Final = 30
# Rows beyond are dropped without a word.
_MOST_ROWS: Final = {"funnels": 300, "sessions/length": 100, "sessions/average": 100, "sessions/peruser": 100}
_DEFAULT_ROWS: Final = 1000

Row = list[object]


def document(query: object, parameters: object) -> dict[str, Any]:
    """Return what is kept of a chart. ValueError says why it is none.

    Args:
        query: The end of a query's path, such as ``funnels``.
        parameters: Its parameters: text, or what JSON is made of; a list is a parameter that is repeated. A chart without a range
            shows the last 30 days.
    """
    if not isinstance(query, str) or query not in QUERIES:
        message = f"Unknown query: {str(query)[:100]} (known here: {', '.join(QUERIES)})"
        raise wrong(message)
    if not isinstance(parameters, Mapping):
        message = "Invalid parameters: an object is required"
        raise wrong(message)
    sent = {
        str(name): [_text(each) for each in (value if isinstance(value, list | tuple) else [value])]
        for name, value in parameters.items()
    }
    found = {"query": query, "parameters": sent}
    QUERIES[query]({"start": ["20260101"], "end": ["20260101"], **sent})
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def question_of(chart: Mapping[str, Any], zone: Zone, now_us: int) -> Question:
    """Return the query of a chart, as it is asked now."""
    today = zone.day_of(now_us)
    last_days = {"start": [f"{today - timedelta(days=_DEFAULT_DAYS - 1):%Y%m%d}"], "end": [f"{today:%Y%m%d}"]}
    return QUERIES[chart["query"]]({**last_days, **chart["parameters"]})


def as_json(data: object) -> object:
    """Return the ``data`` of a chart's JSON answer."""
    if not _is_series(data):
        return data
    found = cast("dict[str, Any]", data)
    return {**found, "series": [[{"value": number} for number in numbers] for numbers in found["series"]]}


def _is_series(data: object) -> bool:
    return isinstance(data, Mapping) and "xValues" in data


def as_csv(query: str, data: Any) -> str:  # noqa: ANN401 - the JSON of any query
    """Return a chart's answer as CSV text, its lines ended by CRLF."""
    rows = _series_rows(data) if _is_series(data) else _ROWS[query](data)
    text = io.StringIO()
    csv.writer(text).writerows(rows[: _MOST_ROWS.get(query, _DEFAULT_ROWS) + 1])
    return text.getvalue()


def _series_rows(data: Mapping[str, Any]) -> list[Row]:
    labels = data.get("seriesLabels") or data.get("seriesMeta") or [""]
    return [
        ["segment", *data["xValues"]],
        *([_label(label), *numbers] for label, numbers in zip(labels, data["series"], strict=True)),
    ]


def _label(label: object) -> str:
    if isinstance(label, Mapping):
        return str(label.get("groupValue", label.get("segmentIndex", "")))
    return "; ".join(map(spelled, label)) if isinstance(label, list) else spelled(label)


def _funnel_rows(data: Sequence[Mapping[str, Any]]) -> list[Row]:
    rows: list[Row] = [["segment", "step", "event", "users", "cumulative", "step_by_step", "median_ms", "average_ms"]]
    keys = ("events", "cumulativeRaw", "cumulative", "stepByStep", "medianTransTimes", "avgTransTimes")
    for element in data:
        label = element.get("groupValue", element["meta"]["segmentIndex"])
        rows += [[label, step, *cells] for step, cells in enumerate(zip(*(element[key] for key in keys), strict=True), 1)]
    return rows


def _retention_rows(data: Mapping[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for meta, series in zip(data["seriesMeta"], data["series"], strict=True):
        rows += [[_label(meta), date, *(cell["count"] for cell in series["values"][date])] for date in series["dates"]]
    width = len(rows[0]) - 3 if rows else 0
    return [["segment", "date", "users", *range(width)], *rows]


def _lifetime_rows(data: Mapping[str, Any]) -> list[Row]:
    keys = ["count", "paid", "total_amount", *(f"r{day}d" for day in range(1, lifetime.DAYS + 1))]
    rows: list[Row] = [["segment", "date", *keys]]
    for label, series in zip(data["seriesLabels"], data["series"], strict=True):
        rows += [[label, date, *(series["values"][date][key] for key in keys)] for date in series["dates"]]
    return rows


def _event_rows(data: Sequence[Mapping[str, Any]]) -> list[Row]:
    keys = ["value", "display", "totals", "non_active", "deleted", "hidden", "flow_hidden"]
    return [list(keys), *([each[key] for key in keys] for each in data)]


_ROWS: Final[Mapping[str, Callable[[Any], list[Row]]]] = {
    "funnels": _funnel_rows,
    "retention": _retention_rows,
    "revenue/ltv": _lifetime_rows,
    "events/list": _event_rows,
}
