"""``segment``, ``funnel``, ``retention``, ``active-users``, ``realtime``, ``revenue``: numbers of the dashboard API, shown.

A table by default; ``--chart`` draws, ``--plot`` makes a picture, ``--csv`` gives tidy rows, ``--json`` what Amplitude sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple

from cyclopts import Parameter
from rich.text import Text

from amplitude_async.cli.drawing import bars, heat, lines
from amplitude_async.cli.exits import DONE
from amplitude_async.cli.pairs import as_event
from amplitude_async.cli.printing import (
    CHART_WIDTH,
    as_text,
    columns_that_fit,
    drawn,
    note,
    out_console,
    print_csv,
    print_json,
    print_lines,
    print_table,
)
from amplitude_async.cli.settings import CONNECTION, Connection
from amplitude_async.cli.spans import Days, days_of, last_days
from amplitude_async.errors import ConfigurationError, InvalidArgumentError

if TYPE_CHECKING:
    from amplitude_async.frames import Kind

PLOT_SUFFIXES: Final = (".html", ".png", ".svg")
MOST_BARS: Final = 14
"""Of one series with more numbers than that a line is drawn."""
MOST_LABELS: Final = 12
NINETY: Final = tuple(range(1, 91))
"""Days after the first that a value is known of."""
_Segment = Annotated[str | None, Parameter(name=("--segment", "-s"))]
_Group = Annotated[str | None, Parameter(name=("--group-by", "-g"))]
_Interval = Annotated[Literal["day", "week", "month"], Parameter(name=("--interval", "-i"), show_default=True)]
_UNITS: Final = {"uniques": "Unique users", "totals": "Events", "pct_dau": "% of active users", "average": "Events per user"}
_INTERVALS: Final[Mapping[str, Literal[1, 7, 30]]] = {"day": 1, "week": 7, "month": 30}
_Answer = Mapping[str, Any]


class About(NamedTuple):
    """What an answer is: its kind, its title, and what its numbers are, if that can be said in a word."""

    kind: "Kind"
    title: str
    unit: str = ""


@Parameter(name="*", group="Range")
@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which days, in the project's time zone."""

    range: str | None = None
    """A month (2026-05), a day, or two of them: 2026-05-01..2026-05-31."""
    last: str | None = None
    """The days up to today: 7d, 4w; 30d if neither is given."""

    def days(self) -> Days:
        """Return the days.

        Raises:
            InvalidArgumentError: They are none, or given twice.
        """
        if self.range is not None:
            if self.last is not None:
                message = "give --range or --last, not both"
                raise InvalidArgumentError(message, argument="range")
            return days_of(self.range)
        return last_days(self.last or "30d", datetime.now().astimezone().date())


@Parameter(name="*", group="Show")
@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    """How numbers are shown."""

    chart: bool = False
    """Draw a chart."""
    csv: bool = False
    """Print comma-separated rows, one number each."""
    plot: Path | None = None
    """Write a picture: out.html, out.png or out.svg (the extra `plot`)."""

    def check(self, connection: Connection) -> None:
        """See that one form was asked for and can be given, before a query is paid for.

        Raises:
            InvalidArgumentError: There are several, or the picture is of no kind that can be made.
            ConfigurationError: What draws pictures is not installed.
        """
        asked = [name for name, wanted in (("--json", connection.json), ("--csv", self.csv), ("--chart", self.chart)) if wanted]
        if len(asked) > 1:
            message = f"give one of {', '.join(asked)}"
            raise InvalidArgumentError(message, argument=asked[0])
        if self.plot is not None and self.plot.suffix not in PLOT_SUFFIXES:
            message = f"--plot writes {', '.join(PLOT_SUFFIXES)}, not {self.plot.name!r:.60}"
            raise InvalidArgumentError(message, argument="--plot")
        if self.plot is not None and not _can_plot():
            message = "--plot needs packages that are not installed: pip install 'amplitude-async[plot]'"
            raise ConfigurationError(message)


SPAN: Final = Span()
SHOW: Final = Show()


def _can_plot() -> bool:
    try:
        import_module("altair")
        import_module("vl_convert")
    except ImportError:
        return False
    return True


def _given(**fields: object) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _segments(text: str | None) -> Any:  # noqa: ANN401 - JSON, as Amplitude describes it
    if text is None:
        return None
    if not text.lstrip().startswith("["):
        message = 'a segment is a JSON list: [{"prop": "country", "op": "is", "values": ["Germany"]}]'
        raise InvalidArgumentError(message, argument="--segment")
    return text


async def segment(
    event: str,
    event2: str | None = None,
    /,
    *,
    metric: Annotated[
        Literal["uniques", "totals", "pct_dau", "average", "sums", "value_avg", "formula"],
        Parameter(name=("--metric", "-m"), show_default=True),
    ] = "uniques",
    interval: Annotated[Literal["hour", "day", "week", "month"], Parameter(name=("--interval", "-i"), show_default=True)] = "day",
    group_by: _Group = None,
    only: _Segment = None,
    formula: str | None = None,
    limit: int | None = None,
    span: Span = SPAN,
    show: Show = SHOW,
    connection: Connection = CONNECTION,
) -> int:
    """Ask how often, or by how many users, an event was done.

    `amplitude-async segment signup --last 14d --group-by platform --chart`

    Args:
        event: The event: its name, or JSON as of Amplitude's dashboard API. `_active` and `_new` are any active and new users.
        event2: A second event, beside the first, or as B in a formula.
        metric: The number: users, events, per cent of active users, average per user, sums or averages of a property, a formula.
        interval: The interval of each number.
        group_by: The property that the numbers are grouped by, such as country, or gp:plan for one of your own.
        only: Only these users: a JSON list of conditions.
        formula: Such as UNIQUES(A)/UNIQUES(B); implies --metric formula.
        limit: How many values of a group-by are given.
    """
    show.check(connection)
    days = span.days()
    intervals: Mapping[str, Literal[-3600000, 1, 7, 30]] = {"hour": -3_600_000, **_INTERVALS}
    fields = _given(
        e2=None if event2 is None else as_event(event2, "event2"), g=group_by, s=_segments(only), formula=formula, limit=limit
    )
    async with connection.client() as client:
        answer: Any = await client.dashboard.segmentation(
            e=as_event(event), start=days.first, end=days.last, m="formula" if formula else metric, i=intervals[interval], **fields
        )
    title = f"{event}, {'formula ' + formula if formula else metric}, by {interval}, {_words(days)}"
    unit = "" if formula else _UNITS.get(metric, "")
    return _numbers(answer, About("segmentation", title, unit), show, connection)


async def active_users(
    *,
    new: bool = False,
    interval: _Interval = "day",
    group_by: _Group = None,
    only: _Segment = None,
    span: Span = SPAN,
    show: Show = SHOW,
    connection: Connection = CONNECTION,
) -> int:
    """Count the users who were active, or new.

    Args:
        new: Count new users.
        interval: Users of a day, a week, a month.
        group_by: The property that the numbers are grouped by.
        only: Only these users: a JSON list of conditions.
    """
    show.check(connection)
    days = span.days()
    fields = _given(g=group_by, s=_segments(only))
    async with connection.client() as client:
        ask = client.dashboard.new_users if new else client.dashboard.active_users
        answer: Any = await ask(start=days.first, end=days.last, i=_INTERVALS[interval], **fields)
    title = f"{'new' if new else 'active'} users, by {interval}, {_words(days)}"
    return _numbers(answer, About("users", title, "Unique users"), show, connection)


async def realtime(*, show: Show = SHOW, connection: Connection = CONNECTION) -> int:
    """Count the users who were active in every 5 minutes, today and yesterday."""
    show.check(connection)
    async with connection.client() as client:
        answer: Any = await client.dashboard.realtime()
    return _numbers(answer, About("realtime", "active users every 5 minutes", "Unique users"), show, connection)


async def funnel(
    steps: Annotated[list[str], Parameter(name="EVENT")],
    /,
    *,
    mode: Annotated[Literal["ordered", "unordered", "sequential"], Parameter(show_default=True)] = "ordered",
    within: str | None = None,
    users: Literal["active", "new"] | None = None,
    group_by: _Group = None,
    only: _Segment = None,
    span: Span = SPAN,
    show: Show = SHOW,
    connection: Connection = CONNECTION,
) -> int:
    """Ask how many users went from one event to the next.

    `amplitude-async funnel signup cart_filled purchase --last 30d --chart`

    Args:
        steps: The events, in order; each a name, or JSON.
        mode: In this order, others may lie between; in any order; in this order and nothing between.
        within: What a user has for all steps: 24h, 7d, 30d.
        users: All active users, or new ones alone.
        group_by: The property that the funnels are grouped by.
        only: Only these users: a JSON list of conditions.
    """
    if len(steps) < 2:  # noqa: PLR2004 - a funnel
        message = "a funnel has two events or more: amplitude-async funnel signup purchase"
        raise InvalidArgumentError(message, argument="EVENT")
    show.check(connection)
    days = span.days()
    seconds = None if within is None else _seconds(within)
    fields = _given(n=users, g=group_by, s=_segments(only), cs=seconds)
    async with connection.client() as client:
        answer: Any = await client.dashboard.funnels(
            e=[as_event(step) for step in steps], start=days.first, end=days.last, mode=mode, **fields
        )
    if _told(answer, About("funnels", f"{' > '.join(steps)}, {_words(days)}", "Unique users"), show, connection):
        return DONE
    for place, one in enumerate(answer.get("data", ())):
        title = _funnel_title(one, f"funnel ({mode}), {_words(days)}", many=len(answer["data"]) > 1)
        rows = _funnel_rows(one)
        if place:
            print_lines("")
        if show.chart:
            told = [(row["step"], row["users"], _step_words(row, at)) for at, row in enumerate(rows)]
            _draw(title, bars(told, _width()))
        else:
            print_table(("step", "users", "of all", "of step before", "median time"), rows, title=title)
    return DONE


def _funnel_title(one: _Answer, title: str, *, many: bool) -> str:
    meta = one.get("meta") or {}
    if "groupValue" in meta:
        return f"{title}: {as_text(meta['groupValue'])}"
    return f"{title}: segment {meta.get('segmentIndex', 0)}" if many else title


def _step_words(row: Mapping[str, Any], at: int) -> str:
    if not at:
        return f"{row['users']:,}"
    return f"{row['users']:,}  {row['of all']} of all" + (f", {row['of step before']} of step {at}" if at > 1 else "")


def _funnel_rows(one: _Answer) -> list[dict[str, Any]]:
    count = len(one.get("cumulativeRaw", ()))

    def at(name: str, place: int) -> Any:  # noqa: ANN401 - a number of JSON
        values = one.get(name) or ()
        return values[place] if place < len(values) else None

    rows: list[dict[str, Any]] = []
    for place in range(count):
        whole, step, median = at("cumulative", place), at("stepByStep", place), at("medianTransTimes", place)
        rows.append(
            {
                "step": f"{place + 1}. {as_text(at('events', place))}",
                "users": at("cumulativeRaw", place),
                "of all": "" if whole is None else f"{whole:.1%}",
                "of step before": "" if step is None else f"{step:.1%}",
                "median time": _duration(median) if place and median else "",
            }
        )
    return rows


async def retention(
    start_event: str = "_new",
    return_event: str = "_active",
    /,
    *,
    mode: Annotated[Literal["n-day", "rolling"], Parameter(show_default=True)] = "n-day",
    interval: _Interval = "day",
    group_by: _Group = None,
    only: _Segment = None,
    span: Span = SPAN,
    show: Show = SHOW,
    connection: Connection = CONNECTION,
) -> int:
    """Ask how many users came back, as a table that is the darker the more did.

    `amplitude-async retention signup app_opened --last 14d`; --chart draws a line over all days together.

    Args:
        start_event: The event that users start with; new users, if left out.
        return_event: The event that they come back with; any activity, if left out.
        mode: On that very day, or on that day or later.
        interval: Days, weeks or months.
        group_by: The property that the numbers are grouped by.
        only: Only these users: a JSON list of conditions.
    """
    show.check(connection)
    days = span.days()
    fields = _given(g=group_by, s=_segments(only))
    async with connection.client() as client:
        answer: Any = await client.dashboard.retention(
            se=as_event(start_event, "start_event"),
            re=as_event(return_event, "return_event"),
            start=days.first,
            end=days.last,
            rm=mode,
            i=_INTERVALS[interval],
            **fields,
        )
    about = About("retention", f"{start_event}, back with {return_event}, {mode}, {_words(days)}", interval.capitalize())
    if _told(answer, about, show, connection):
        return DONE
    data = answer["data"]
    for place, one in enumerate(data.get("series", ())):
        meta = (data.get("seriesMeta") or [{}])[place] if place < len(data.get("seriesMeta") or [{}]) else {}
        name = (
            f": {as_text(meta.get('groupValue', meta.get('segmentIndex')))}"
            if len(data["series"]) > 1 and isinstance(meta, dict)
            else ""
        )
        title = f"{start_event}, back with {return_event}, {mode}, by {interval}, {_words(days)}{name}"
        if place:
            print_lines("")
        _retention(one, title, interval, show)
    return DONE


def _retention(one: _Answer, title: str, interval: str, show: Show) -> None:
    cohorts = [(day, cells) for day in one.get("dates", ()) if (cells := one["values"].get(day)) and cells[0].get("count")]
    rows = [(day, as_text(cells[0]["count"]), [_share(cell) for cell in cells[1:]]) for day, cells in cohorts]
    most = max((sum(share is not None for share in shares) for _, _, shares in rows), default=0)
    together = [_together([cells[at + 1] for _, cells in cohorts if at + 1 < len(cells)]) for at in range(most)]
    if show.chart:
        per_cent = [None if share is None else round(100 * share, 2) for share in together]
        _draw(f"{title} (%)", lines({"all": per_cent}, [f"{interval} {at}" for at in range(most)], _width()))
        return
    heads = [f"{interval[0]}{at}" for at in range(most)]
    rows.append(("all", as_text(sum(cells[0]["count"] for _, cells in cohorts)), together))
    shown, left_out = heat(
        [(day, words, shares[:most]) for day, words, shares in rows], heads, out_console().width, first=interval, second="users"
    )
    _draw(title, shown)
    if left_out:
        note(f"{left_out} more columns: --csv, --json")
    if any(cell.get("incomplete") for _, cells in cohorts for cell in cells):
        note(f"{interval}s that are not over yet are left out")


def _together(cells: Sequence[_Answer]) -> float | None:
    """Return the share of all days together, of those that are over."""
    over = [cell for cell in cells if _share(cell) is not None]
    return sum(cell.get("count", 0) for cell in over) / sum(cell["outof"] for cell in over) if over else None


def _share(cell: _Answer) -> float | None:
    if cell.get("incomplete") or not cell.get("outof"):
        return None
    return float(cell.get("count", 0) / cell["outof"])


async def revenue(
    *,
    metric: Annotated[
        Literal["arpu", "arppu", "total_revenue", "paying_users"], Parameter(name=("--metric", "-m"), show_default=True)
    ] = "arpu",
    interval: _Interval = "day",
    group_by: _Group = None,
    only: _Segment = None,
    span: Span = SPAN,
    show: Show = SHOW,
    connection: Connection = CONNECTION,
) -> int:
    """Ask what new users are worth 1, 7, 30, 60 and 90 days after their first; --chart draws all 90 days.

    Args:
        metric: Revenue per user, per paying user, all of it, or the number of paying users.
        interval: New users of a day, a week, a month.
        group_by: The property that the numbers are grouped by.
        only: Only these users: a JSON list of conditions.
    """
    show.check(connection)
    days = span.days()
    fields = _given(g=group_by, s=_segments(only))
    async with connection.client() as client:
        answer: Any = await client.dashboard.revenue_ltv(start=days.first, end=days.last, m=metric, i=_INTERVALS[interval], **fields)
    if _told(answer, About("revenue_ltv", f"{metric} of new users, by {interval}, {_words(days)}"), show, connection):
        return DONE
    data = answer["data"]
    labels = data.get("seriesLabels") or []
    for place, one in enumerate(data.get("series", ())):
        label = as_text(labels[place]) if place < len(labels) else ""
        title = f"{metric} of new users, by {interval}, {_words(days)}{f': {label}' if label else ''}"
        if place:
            print_lines("")
        if show.chart:
            series = {day: [one["values"].get(day, {}).get(f"r{n}d") for n in NINETY] for day in list(one.get("dates", ()))[::-1]}
            full = {day: numbers for day, numbers in series.items() if any(number is not None for number in numbers)}
            _draw(f"{title}, by days since", lines(full, [f"day {n}" for n in NINETY], _width(), plain=_is_plain()))
        else:
            rows = [{interval: day, **_ltv_row(one["values"].get(day, {}))} for day in one.get("dates", ())]
            print_table(
                (interval, "new users", "paying", "revenue", "1 day", "7 days", "30 days", "60 days", "90 days"), rows, title=title
            )
    return DONE


def _ltv_row(values: _Answer) -> dict[str, Any]:
    known = {"new users": values.get("count"), "paying": values.get("paid"), "revenue": values.get("total_amount")}
    return {**known, **{f"{n} day{'s' if n > 1 else ''}": values.get(f"r{n}d") for n in (1, 7, 30, 60, 90)}}


def _words(days: Days) -> str:
    return f"{days.first} to {days.last}"


def _is_plain() -> bool:
    return out_console().color_system is None


def _seconds(text: str) -> int:
    units = {"h": 3_600, "d": 86_400, "w": 604_800}
    if text[-1:] not in units or not text[:-1].isdecimal():
        message = f"{text!r:.40} is no length of time; give hours, days or weeks: 24h, 7d, 2w"
        raise InvalidArgumentError(message, argument="--within")
    return int(text[:-1]) * units[text[-1]]


def _duration(milliseconds: float) -> str:
    seconds = milliseconds / 1000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.1f} s"


def _told(answer: _Answer, about: About, show: Show, connection: Connection) -> bool:
    """Give the answer in a form for programs, or as a picture, if one was asked for."""
    if show.plot is not None:
        _plot(answer, about, show.plot)
        if not (connection.json or show.csv or show.chart):
            return True
    if connection.json:
        print_json(answer)
    elif show.csv:
        from amplitude_async.frames import table  # noqa: PLC0415 - loaded where it is used

        tidy = table(answer, kind=about.kind)
        print_csv(tidy.columns, tidy.to_records())
    return connection.json or show.csv


def _plot(answer: _Answer, about: About, path: Path) -> None:
    from amplitude_async.plots import plot, save  # noqa: PLC0415 - loaded where something is drawn

    save(plot(answer, title=about.title, kind=about.kind, unit=about.unit or None), path)
    note(f"wrote {path}")


def _numbers(answer: _Answer, about: About, show: Show, connection: Connection) -> int:
    """Show numbers by place and label: segmentations, users, real time."""
    if _told(answer, about, show, connection):
        return DONE
    data = answer["data"]
    places = [str(place) for place in data.get("xValues", ())]
    names = [_label(label, place) for place, label in enumerate(data.get("seriesLabels") or data.get("seriesMeta") or ())]
    series: dict[str, list[Any]] = {}
    for place, values in enumerate(data.get("series", ())):
        name = names[place] if place < len(names) else f"series {place}"
        series[name if name not in series else f"{name} ({place})"] = [
            value["value"] if isinstance(value, dict) else value for value in values
        ]
    places = [place.removesuffix("T00:00:00") for place in places]
    title = about.title
    if not series:
        print_lines(title, "no numbers")
    elif show.chart:
        if len(series) == 1 and len(places) <= MOST_BARS:
            (values,) = series.values()
            told = [(place, value or 0, as_text(value)) for place, value in zip(places, values, strict=False)]
            _draw(title, bars(told, _width()))
        else:
            _draw(title, lines(series, places, _width(), plain=_is_plain()))
    else:
        rows = [
            {"": place, **{name: values[at] if at < len(values) else None for name, values in series.items()}}
            for at, place in enumerate(places)
        ]
        shown = list(series)[:MOST_LABELS]
        shown = shown[: max(1, columns_that_fit(("", *shown), rows) - 1)]
        print_table(("", *shown), rows, title=title)
        if len(series) > len(shown):
            note(f"{len(series) - len(shown)} more columns: --csv, --json")
    return DONE


def _label(label: Any, place: int) -> str:  # noqa: ANN401 - a number, text, a list, a mapping
    if isinstance(label, dict):
        return "users" if label.get("segmentIndex", 0) == 0 else f"segment {label['segmentIndex']}"
    if isinstance(label, list):
        parts = [as_text(part) for part in label]
        return ", ".join(parts[1:] if len(parts) > 1 and isinstance(label[0], int) else parts)
    if isinstance(label, int):
        return "value" if label == 0 and place == 0 else f"segment {label}"
    return as_text(label) or "value"


def _width() -> int:
    return min(out_console().width, CHART_WIDTH)


def _draw(title: str, chart: Sequence[Text]) -> None:
    drawn(Text("\n").join([Text(as_text(title), style="bold"), *(chart or [Text("no numbers")])]))
