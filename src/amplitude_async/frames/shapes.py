"""What the answers of the dashboard API look like, and the columns that each comes to.

Pure. Every answer becomes tidy rows: one number a row, or the few that belong together, beside what they are numbers of. Nothing is
added up or filled in: where an answer has fewer numbers than dates, or more, there are as many rows as numbers.

Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from itertools import chain
from typing import Any, Final, Literal, NamedTuple, get_args

from amplitude_async.errors import InvalidArgumentError, shown
from amplitude_async.frames.csv_text import read_csv

__all__ = ["Columns", "Kind", "Part", "Shape", "shape_of"]

Kind = Literal[
    "segmentation",
    "users",
    "session_lengths",
    "composition",
    "events_list",
    "funnels",
    "retention",
    "realtime",
    "revenue_ltv",
    "chart_csv",
    "user_search",
    "user_activity",
]
"""What an answer is; ``"users"`` is that of active and new users and of both averages of sessions."""

Part = Literal["collapsed", "days", "combined", "user"]
"""Another part of an answer than its main one.

``"collapsed"``: the numbers of a segmentation over its whole range; ``"days"``: a funnel by day of entry; ``"combined"``: a retention
over all its dates; ``"user"``: who the user of an activity is.
"""

Columns = dict[str, list[Any]]
Row = dict[str, Any]

_KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_PART_OF: Final[Mapping[str, Kind]] = {
    "collapsed": "segmentation",
    "days": "funnels",
    "combined": "retention",
    "user": "user_activity",
}
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_INSTANT: Final = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2})?", re.ASCII)
_CLOCK: Final = re.compile(r"\d{1,2}:\d{2}", re.ASCII)
_LENGTH: Final = re.compile(r"(\d+(?:\.\d+)?)s-(\d+(?:\.\d+)?)s", re.ASCII)
_AFTER: Final = re.compile(r"r(\d{1,3})d", re.ASCII)
_META: Final = {"segmentIndex": "segment", "eventIndex": "return_event", "groupValue": "group"}


class Shape(NamedTuple):
    """What an answer comes to.

    Attributes:
        kind: What it is.
        columns: Values by column, all of one length.
        title: What stands above the columns of a CSV.
    """

    kind: Kind
    columns: Columns
    title: str = ""


def shape_of(answer: object, kind: Kind | None = None, part: Part | None = None) -> Shape:
    """Return the columns of an answer.

    Args:
        answer: What a query gave.
        kind: What it is; found out if it is left out.
        part: Another part of it than the main one.

    Raises:
        InvalidArgumentError: It is no answer that is known here, or has no such part.
    """
    if kind is not None and kind not in _KINDS:
        message = f"kind is {shown(kind)}; it is one of {', '.join(_KINDS)}"
        raise InvalidArgumentError(message, argument="kind")
    if part is not None and part not in _PART_OF:
        message = f"part is {shown(part)}; it is one of {', '.join(_PART_OF)}"
        raise InvalidArgumentError(message, argument="part")
    data = answer.get("data", answer) if isinstance(answer, Mapping) else answer
    found = kind or _kind_of(data)
    if found is None:
        message = f"answer is {shown(answer)}, which is no answer of the dashboard API that is known here; kind=... says what it is"
        raise InvalidArgumentError(message, argument="answer")
    if part is not None and _PART_OF[part] != found:
        message = f"part={part!r} is of {_PART_OF[part]}; this answer is of {found}"
        raise InvalidArgumentError(message, argument="part")
    try:
        if found == "chart_csv":
            return Shape(found, *read_csv(_text(data)))
        return Shape(found, _MAIN[found](data) if part is None else _OTHER[part](data))
    except ValueError as unlike:
        reason = str(unlike)
    message = f"answer does not look like one of {found}: {reason}"
    raise InvalidArgumentError(message, argument="answer")


def _kind_of(data: object) -> Kind | None:
    """Say what an answer is, by what it has that no other has."""
    if isinstance(data, str):
        return "chart_csv"
    if isinstance(data, Sequence):
        first = data[0] if data else {}
        return "funnels" if isinstance(first, Mapping) and "cumulativeRaw" in first else "events_list"
    if not isinstance(data, Mapping):
        return None
    if "matches" in data:
        return "user_search"
    if "userData" in data:
        return "user_activity"
    series = data.get("series")
    if not isinstance(series, Sequence) or isinstance(series, str):
        return None
    if series and isinstance(series[0], Mapping):
        cells = series[0].get("values")
        first = next(iter(cells.values()), None) if isinstance(cells, Mapping) else None
        return "revenue_ltv" if isinstance(first, Mapping) or (first is None and "seriesMeta" not in data) else "retention"
    return _kind_of_series(data)


def _kind_of_series(data: Mapping[str, Any]) -> Kind:
    if "seriesMeta" in data:
        return "users"
    found = data.get("xValues")
    places = [str(place) for place in found] if isinstance(found, Sequence) else []
    if "seriesLabels" not in data:
        return "session_lengths" if any(map(_LENGTH.fullmatch, places)) else "segmentation"
    if "seriesCollapsed" in data or not places:
        return "segmentation"
    if all(map(_CLOCK.fullmatch, places)):
        return "realtime"
    labels = data["seriesLabels"]
    is_one = isinstance(labels, Sequence) and len(labels) == 1 and isinstance(labels[0], str)
    return "composition" if is_one and not all(_DAY.match(place) for place in places) else "segmentation"


# What an answer must have; whatever else it has stays in the answer.


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    message = "text was expected"
    raise ValueError(message)


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    message = f"{name} is no mapping"
    raise ValueError(message)


def _items(value: object, name: str) -> Sequence[Any]:
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return value
    message = f"{name} is no list"
    raise ValueError(message)


def _listed(data: object, name: str) -> Sequence[Any]:
    return _items(_mapping(data, "the answer").get(name), name)


def _optional(data: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = data.get(name)
    return () if value is None else _items(value, name)


def _at(values: Sequence[Any], index: int) -> Any:  # noqa: ANN401 - a value of JSON
    return values[index] if index < len(values) else None


def _number(cell: object) -> object:
    """Return a cell; those of saved charts are mappings."""
    return cell.get("value") if isinstance(cell, Mapping) else cell


def _plain(label: object) -> str | None:
    """Return a label as text; like the texts of a CSV it may begin with a tab."""
    return None if label is None else str(label).removeprefix("\t")


def _columns(rows: Iterable[Row], names: Sequence[str] = ()) -> Columns:
    """Turn rows to columns: the given ones first, even without a row; then the others as they come."""
    columns: Columns = {name: [] for name in names}
    count = 0
    for row in rows:
        for name, value in row.items():
            values = columns.setdefault(name, [])
            values.extend([None] * (count - len(values)))
            values.append(value)
        count += 1
    for values in columns.values():
        values.extend([None] * (count - len(values)))
    return columns


def _dated(columns: Columns, name: str = "date") -> Columns:
    """Read a column of days or of times of day as such, if all of it reads as one."""
    texts = [text for text in columns[name] if text is not None]
    if texts and all(isinstance(text, str) and _DAY.fullmatch(text) for text in texts):
        read: Callable[[str], date] = date.fromisoformat
    elif texts and all(isinstance(text, str) and _INSTANT.fullmatch(text) for text in texts):
        read = datetime.fromisoformat
    else:
        return columns
    with suppress(ValueError):  # 2026-02-30: what is no date stays text
        columns[name] = [None if text is None else read(text) for text in columns[name]]
    return columns


# Labels and what else says of what a series is


def _labels(labels: Sequence[Any], count: int) -> list[Row]:
    """Return the columns that say which series it is: a label, or one for each of its parts."""
    parts = [tuple(label) if isinstance(label, (list, tuple)) else (label,) for label in labels]
    width = max(map(len, parts), default=1)
    names = ["label"] if width == 1 else [f"label_{number + 1}" for number in range(width)]
    found = [{name: _plain(_at(part, index)) for index, name in enumerate(names)} for part in parts]
    return found + [dict.fromkeys(names)] * (count - len(found))


def _metas(metas: Sequence[Any], count: int) -> list[Row]:
    """Return the same where numbers of segments and events say it, or values of a group-by."""
    if not any(isinstance(meta, Mapping) for meta in metas):
        return _labels(metas, count)
    found = [_meta(meta) if isinstance(meta, Mapping) else {"label": _plain(meta)} for meta in metas]
    return found + [{}] * (count - len(found))


def _meta(meta: Mapping[str, Any]) -> Row:
    return {_META.get(name, name): value for name, value in meta.items()}


# One function for each kind


def _series(data: object, of: Sequence[Row], place: str, number: str) -> Iterator[Row]:
    places = _optional(_mapping(data, "the answer"), "xValues")
    for labels, values in zip(of, _listed(data, "series"), strict=False):
        for index, value in enumerate(_items(values, "series")):
            yield {place: _at(places, index), **labels, number: _number(value)}


def _segmentation(data: object) -> Columns:
    count = len(_listed(data, "series"))
    labels = _labels(_optional(_mapping(data, "the answer"), "seriesLabels"), count)
    names = ("date", *(labels[0] if labels else ("label",)), "value")
    return _dated(_columns(_series(data, labels, "date", "value"), names))


def _collapsed(data: object) -> Columns:
    collapsed = _listed(data, "seriesCollapsed")
    labels = _labels(_optional(_mapping(data, "the answer"), "seriesLabels"), len(collapsed))
    rows = (
        {**label, "value": _number(cell)}
        for label, cells in zip(labels, collapsed, strict=False)
        for cell in _items(cells, "seriesCollapsed")
    )
    return _columns(rows, (*(labels[0] if labels else ("label",)), "value"))


def _users(data: object) -> Columns:
    metas = _metas(_optional(_mapping(data, "the answer"), "seriesMeta"), len(_listed(data, "series")))
    names = ("date", *dict.fromkeys(chain.from_iterable(metas)), "value")
    return _dated(_columns(_series(data, metas, "date", "value"), names))


def _session_lengths(data: object) -> Columns:
    def rows() -> Iterator[Row]:
        for row in _series(data, [{}] * len(_listed(data, "series")), "length", "sessions"):
            found = _LENGTH.fullmatch(str(row["length"]))
            bounds = (float(found[1]), float(found[2])) if found else (None, None)
            yield {"length": row["length"], "from_seconds": bounds[0], "to_seconds": bounds[1], "sessions": row["sessions"]}

    return _columns(rows(), ("length", "from_seconds", "to_seconds", "sessions"))


def _composition(data: object) -> Columns:
    labels = _optional(_mapping(data, "the answer"), "seriesLabels")
    props = [{"property": _plain(_at(labels, index))} for index in range(len(_listed(data, "series")))]
    return _columns(_series(data, props, "value", "users"), ("property", "value", "users"))


def _realtime(data: object) -> Columns:
    labels = _optional(_mapping(data, "the answer"), "seriesLabels")
    days = [{"day": _plain(_at(labels, index))} for index in range(len(_listed(data, "series")))]
    return _columns(_series(data, days, "time", "users"), ("day", "time", "users"))


def _events_list(data: object) -> Columns:
    rows = (dict(_mapping(each, "an event")) for each in _items(data, "data"))
    return _columns(rows, ("value", "display", "totals"))


def _user_search(data: object) -> Columns:
    rows = (dict(_mapping(each, "a match")) for each in _listed(data, "matches"))
    return _columns(rows, ("amplitude_id", "user_id"))


def _user_activity(data: object) -> Columns:
    rows = (dict(_mapping(each, "an event")) for each in _listed(data, "events"))
    return _columns(rows, ("event_type", "event_time"))


def _user(data: object) -> Columns:
    return _columns([dict(_mapping(_mapping(data, "the answer").get("userData"), "userData"))])


def _funnels(data: object) -> Columns:
    names = ("step", "event", "users", "step_by_step", "cumulative", "median_ms", "average_ms")

    def rows() -> Iterator[Row]:
        for each in _items(data, "data"):
            funnel = _mapping(each, "a funnel")
            labels = _of_funnel(funnel)
            events = _optional(funnel, "events")
            further = [_optional(funnel, name) for name in ("stepByStep", "cumulative", "medianTransTimes", "avgTransTimes")]
            for index, users in enumerate(_listed(funnel, "cumulativeRaw")):
                numbers = (index + 1, _at(events, index), users, *(_at(values, index) for values in further))
                yield {**labels, **dict(zip(names, numbers, strict=True))}

    return _columns(rows(), (*_funnel_labels(data), *names))


def _of_funnel(funnel: Mapping[str, Any]) -> Row:
    """Return what says which funnel it is: its meta, and what else is one value and no list of them."""
    further = {name: value for name, value in funnel.items() if isinstance(value, (str, int, float))}
    return _meta({**_mapping(funnel.get("meta") or {}, "meta"), **further})


def _funnel_labels(data: object) -> list[str]:
    labels = (_of_funnel(_mapping(each, "a funnel")) for each in _items(data, "data"))
    return list(dict.fromkeys(chain(("segment",), *labels)))


def _funnel_days(data: object) -> Columns:
    names = ("date", "step", "event", "users", "median_ms", "average_ms")

    def rows() -> Iterator[Row]:
        for each in _items(data, "data"):
            funnel = _mapping(each, "a funnel")
            labels = _of_funnel(funnel)
            events = _optional(funnel, "events")
            days = _mapping(funnel.get("dayFunnels"), "dayFunnels")
            dates = _optional(days, "xValues")
            times = [_day_times(funnel, name) for name in ("dayMedianTransTimes", "dayAvgTransTimes")]
            for day, steps in enumerate(_listed(days, "series")):
                for step, users in enumerate(_items(steps, "dayFunnels")):
                    spent = (_at(_at(series, day) or (), step) for series in times)
                    numbers = (_at(dates, day), step + 1, _at(events, step), users, *spent)
                    yield {**labels, **dict(zip(names, numbers, strict=True))}

    return _dated(_columns(rows(), (*_funnel_labels(data), *names)))


def _day_times(funnel: Mapping[str, Any], name: str) -> Sequence[Any]:
    times = funnel.get(name)
    return () if times is None else _optional(_mapping(times, name), "series")


def _first_days(series: Mapping[str, Any], values: Mapping[str, Any]) -> Iterable[str]:
    """Return the dates of a series in its order, and those of its values that it does not list."""
    dates = _optional(series, "dates")
    if all(isinstance(day, str) for day in dates):
        return dict.fromkeys(chain(dates, values))
    message = "dates holds something that is no text"
    raise ValueError(message)


_CELL: Final = ("interval", "users", "outof", "share", "incomplete", "cohort")


def _cells(cells: Sequence[Any]) -> Iterator[Row]:
    """Return the intervals of a cohort; the first cell is the cohort itself."""
    size = _mapping(cells[0], "a cell").get("count") if cells else None
    for interval, each in enumerate(cells[1:]):
        cell = _mapping(each, "a cell")
        users, outof = cell.get("count"), cell.get("outof")
        share = users / outof if isinstance(users, (int, float)) and isinstance(outof, (int, float)) and outof else None
        yield dict(zip(_CELL, (interval, users, outof, share, cell.get("incomplete"), size), strict=True))


def _retention(data: object) -> Columns:
    series = _listed(data, "series")
    metas = _metas(_optional(_mapping(data, "the answer"), "seriesMeta"), len(series))

    def rows() -> Iterator[Row]:
        for labels, each in zip(metas, series, strict=False):
            one = _mapping(each, "a series")
            values = _mapping(one.get("values"), "values")
            for day in _first_days(one, values):
                for cell in _cells(_items(values.get(day, ()), "values")):
                    yield {**labels, "date": day, **cell}

    return _dated(_columns(rows(), (*dict.fromkeys(chain.from_iterable(metas)), "date", *_CELL)))


def _combined(data: object) -> Columns:
    series = _listed(data, "series")
    metas = _metas(_optional(_mapping(data, "the answer"), "seriesMeta"), len(series))
    rows = (
        {**labels, **cell}
        for labels, each in zip(metas, series, strict=False)
        for cell in _cells(_listed(_mapping(each, "a series"), "combined"))
    )
    return _columns(rows, (*dict.fromkeys(chain.from_iterable(metas)), *_CELL))


def _revenue_ltv(data: object) -> Columns:
    series = _listed(data, "series")
    labels = _labels(_optional(_mapping(data, "the answer"), "seriesLabels"), len(series))

    def rows() -> Iterator[Row]:
        for label, each in zip(labels, series, strict=False):
            one = _mapping(each, "a series")
            values = _mapping(one.get("values"), "values")
            for first in _first_days(one, values):
                numbers = _mapping(values.get(first, {}), "values")
                after = sorted((int(found[1]), name) for name in numbers if (found := _AFTER.fullmatch(str(name))))
                further = {name: value for name, value in numbers.items() if not _AFTER.fullmatch(str(name))}
                for day, name in after:
                    yield {"date": first, **label, "day": day, "value": numbers[name], **further}

    names = ("date", *(labels[0] if labels else ("label",)), "day", "value", "count", "paid", "total_amount")
    return _dated(_columns(rows(), names))


_MAIN: Final[Mapping[Kind, Callable[[object], Columns]]] = {
    "segmentation": _segmentation,
    "users": _users,
    "session_lengths": _session_lengths,
    "composition": _composition,
    "events_list": _events_list,
    "funnels": _funnels,
    "retention": _retention,
    "realtime": _realtime,
    "revenue_ltv": _revenue_ltv,
    "user_search": _user_search,
    "user_activity": _user_activity,
}
_OTHER: Final[Mapping[str, Callable[[object], Columns]]] = {
    "collapsed": _collapsed,
    "days": _funnel_days,
    "combined": _combined,
    "user": _user,
}
