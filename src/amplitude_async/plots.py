"""Plots of what the dashboard API answers: ``plot(answer)`` gives a chart of Altair's, ``save(chart, path)`` a file of it.

Built on the tidy rows of :mod:`amplitude_async.frames`. Axes of numbers begin at zero, nothing is added up that Amplitude counted
apart (unique users of two groups may be the same people), what is left out for lack of room is said under the title, and what is not
over yet looks like it. Files hold all they need: a page that is opened without a network shows the chart.

Needs the extra ``plot``, loaded at the first plot.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import date, datetime, timedelta
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from amplitude_async.errors import ConfigurationError, InvalidArgumentError, shown
from amplitude_async.frames import table

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import altair as alt

    from amplitude_async.frames import Kind

    Plot = alt.Chart | alt.LayerChart
    Row = dict[str, Any]

__all__ = ["plot", "save"]

WIDTH: Final = 640
HEIGHT: Final = 340
MOST_LINES: Final = 8
MOST_BARS: Final = 20
MOST_DATES: Final = 31
"""Rows of a retention table."""
MOST_INTERVALS: Final = 31
MOST_WRITTEN: Final = 16
"""Columns of a retention table up to which each cell has its number in it."""
MOST_POINTS: Final = 40
"""Dates up to which each has a point."""
MOST_TICKS: Final = 8
MOST_LETTERS: Final = 28
LABEL: Final = 180
"""Pixels of a label; longer ones end in dots."""
SCALE: Final = 2.0
"""Pixels of a PNG for each of the chart."""

FONT: Final = "Helvetica Neue, Arial, Liberation Sans, DejaVu Sans, sans-serif"
INK: Final = "#1f2933"
QUIET: Final = "#5f6c7b"
GRID: Final = "#e4e7eb"
BLUE: Final = "#0072b2"
COLORS: Final = (BLUE, "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#6b4ea0", "#7f7f7f")
"""Okabe and Ito's, which nearly everybody can tell apart (https://jfly.uni-koeln.de/color/), darkened where white is behind them."""

_TITLES: Final[Mapping[str, str]] = {
    "segmentation": "Event segmentation",
    "users": "Users",
    "session_lengths": "Session lengths",
    "composition": "User composition",
    "events_list": "Events of this week",
    "funnels": "Funnel",
    "retention": "Retention",
    "realtime": "Active users in real time",
    "revenue_ltv": "Revenue LTV",
}


class Drawn(NamedTuple):
    """A chart without its title.

    Attributes:
        chart: It.
        notes: What is to be said under the title.
    """

    chart: Plot
    notes: Sequence[str]


def plot(
    answer: Mapping[str, Any] | Sequence[Any], *, title: str | None = None, kind: Kind | None = None, unit: str | None = None
) -> Plot:
    """Draw what a query of ``amplitude.dashboard`` answered.

    Lines for segmentation, active and new users, averages of sessions, real time and LTV; bars for funnels, composition, session
    lengths and the events list; retention is a table of shares, or lines if there are several series. Up to 8 lines, 20 bars and 31
    dates are drawn, the largest or the newest ones.

    Args:
        answer: The answer.
        title: What stands above; the kind of the answer by default.
        kind: What the answer is, where it cannot be told from its looks; as for :func:`amplitude_async.frames.table`.
        unit: What the numbers are, for the axis: ``"Unique users"``, ``"Revenue in US$"``, ``"Seconds"``. An answer does not say what
            was asked for. For retention: what an interval is, ``"Day"`` by default.

    Returns:
        A finished chart of Altair's, on white. A notebook shows it; :func:`save` writes it.

    Raises:
        InvalidArgumentError: The answer is of no query that is known here, or has nothing to draw (``chart_csv``, searches).
        ConfigurationError: Altair is not installed.
    """
    alt = _altair()
    made = table(answer, kind=kind)
    draw = _DRAW.get(made.kind)
    if draw is None:
        message = f"answer is of {made.kind}, which has nothing to draw; use amplitude_async.frames.table"
        raise InvalidArgumentError(message, argument="answer")
    heading = _TITLES[made.kind] if title is None else title
    rows = [{name: _flat(value) for name, value in row.items()} for row in made.to_records()]
    drawn = draw(alt, _Subject(answer, rows, unit)) if rows else _nothing(alt)
    return _finished(alt, drawn, heading)


def save(chart: Plot, path: str | os.PathLike[str]) -> Path:
    """Write a chart to a file: ``.html`` (a page that needs nothing else), ``.svg`` or ``.png`` (twice the size, for sharp screens).

    It takes a second or so of CPU; from an event loop call it by ``asyncio.to_thread``.

    Args:
        chart: What :func:`plot` gave, changed as you like.
        path: Where to.

    Returns:
        The path.

    Raises:
        InvalidArgumentError: The name ends in none of these.
        ConfigurationError: vl-convert is not installed.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    alt, vlc = _altair(), _vl_convert()
    version = "_".join(alt.SCHEMA_VERSION.split(".")[:2])
    text = json.dumps(chart.to_dict())
    if suffix == ".png":
        target.write_bytes(vlc.vegalite_to_png(text, vl_version=version, scale=SCALE))
    elif suffix == ".svg":
        target.write_text(vlc.vegalite_to_svg(text, vl_version=version), "utf-8")
    elif suffix in {".html", ".htm"}:
        target.write_text(_page(text, vlc.javascript_bundle(vl_version=version), _heading_of(chart)), "utf-8")
    else:
        message = f"path must end in .html, .svg or .png, not {shown(suffix)}"
        raise InvalidArgumentError(message, argument="path")
    return target


_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; \
style-src 'unsafe-inline'; img-src data: blob:">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body {{ background: #fff; margin: 1.5rem; }} #plot {{ max-width: 100%; overflow-x: auto; }}</style>
<script>{bundle}</script>
</head>
<body>
<div id="plot"></div>
<script>
vegaEmbed("#plot", {chart}, {{actions: {{export: true, source: false, compiled: false, editor: false}}, renderer: "svg"}});
</script>
</body>
</html>
"""


def _page(chart: str, bundle: str, title: str) -> str:
    """Return a page with all that it needs in it.

    Names of events and values of properties are whatever users sent. Within a script only ``<`` could end it, and Altair's and
    vl-convert's own pages leave that as it is.
    """
    safe = chart.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return _PAGE.format(title=escape(title), bundle=bundle, chart=safe)


def _heading_of(chart: Plot) -> str:
    title = chart.to_dict().get("title")
    text = title.get("text") if isinstance(title, dict) else title
    return text if isinstance(text, str) else "Plot"


def _altair() -> Any:  # noqa: ANN401 - a module
    with suppress(ImportError):
        import altair as alt  # noqa: PLC0415 - loaded at the first plot

        return alt
    raise _missing(package="altair")


def _vl_convert() -> Any:  # noqa: ANN401 - a module
    with suppress(ImportError):
        import vl_convert as vlc  # noqa: PLC0415 - loaded where something is saved

        return vlc
    raise _missing(package="vl_convert")


def _missing(*, package: str) -> ConfigurationError:
    return ConfigurationError(f"plots need {package}, which is not installed: pip install 'amplitude-async[plot]'")


class _Subject(NamedTuple):
    """What is drawn: the answer, its rows, and what the user calls its numbers."""

    answer: Any
    rows: list[Row]
    unit: str | None


def _finished(alt: Any, drawn: Drawn, title: str) -> Plot:  # noqa: ANN401 - Altair
    heading = alt.TitleParams(
        title,
        subtitle=list(drawn.notes),
        anchor="start",
        frame="group",
        fontSize=17,
        fontWeight=600,
        color=INK,
        subtitleFontSize=12,
        subtitleColor=QUIET,
        subtitlePadding=5,
        offset=14,
        limit=WIDTH + LABEL,
    )
    finished: Plot = (
        drawn.chart.properties(title=heading, background="white", padding=16)
        .configure(font=FONT)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=INK,
            titleColor=QUIET,
            titleFontWeight="normal",
            titlePadding=10,
            labelFontSize=12,
            titleFontSize=12,
            gridColor=GRID,
            domainColor="#9aa5b1",
            tickColor="#9aa5b1",
            labelLimit=LABEL,
        )
        .configure_legend(labelColor=INK, titleColor=QUIET, titleFontWeight="normal", labelFontSize=12, labelLimit=LABEL)
    )
    return finished


def _data(rows: Iterable[Row]) -> dict[str, Any]:
    return {"values": [{name: _plain(value) for name, value in row.items()} for row in rows]}


def _flat(value: object) -> object:
    """Return a value that can be drawn: a list or a mapping where one is expected is shown as text."""
    return value if value is None or isinstance(value, (str, int, float, date)) else str(value)


def _plain(value: object) -> object:
    """Return a value as JSON. A day without a time of day would be read as UTC, and shown as the day before to the west of it."""
    if isinstance(value, datetime):
        return value.isoformat()
    return f"{value.isoformat()}T00:00:00" if isinstance(value, date) else value


# What rows have in common


def _named(rows: Iterable[Row], names: Sequence[str]) -> list[Row]:
    """Return rows with one text, ``series``, that says which series each is of."""
    rows = list(rows)
    seen = {name: {row.get(name) for row in rows} for name in names}
    # What is the same in all of them tells nothing apart.
    telling = [name for name in names if len(seen[name]) > 1]
    for row in rows:
        row["full"] = ", ".join(_label(name, row.get(name)) for name in telling)
    shortened = {row["full"]: _shortened(row["full"]) for row in rows}
    is_clear = len(set(shortened.values())) == len(shortened)
    return [{**row, "series": shortened[row["full"]] if is_clear else row["full"]} for row in rows]


def _shortened(label: str) -> str:
    """Return a label that fits beside a plot; values of a property often differ at their ends."""
    return label if len(label) <= MOST_LETTERS else f"{label[: MOST_LETTERS // 2]}…{label[-(MOST_LETTERS // 2) :]}"


def _label(name: str, value: object) -> str:
    if name in {"segment", "return_event"} and isinstance(value, int):
        return f"{name.replace('_', ' ').capitalize()} {value + 1}"
    return "(none)" if value is None or value == "" else str(value)


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _largest(rows: list[Row], name: str, number: str, most: int, what: str) -> tuple[list[Row], list[str], list[str]]:
    """Return the rows of the largest series, those series from the largest on, and what is to be said of the others."""
    totals: dict[str, float] = {}
    for row in rows:
        totals[row[name]] = totals.get(row[name], 0.0) + _number(row[number])
    ranked = sorted(totals, key=lambda series: -totals[series])
    kept = ranked[:most]
    chosen = set(kept)
    notes = [f"The {most} largest of {len(ranked):,} {what}"] if len(ranked) > most else []
    return [row for row in rows if row[name] in chosen], kept, notes


def _span(dates: Sequence[object]) -> list[str]:
    days = sorted({value for value in dates if isinstance(value, date)})
    if not days:
        return []
    first, last = _spoken(days[0]), _spoken(days[-1])
    return [first if first == last else f"{first} to {last}"]


def _spoken(value: date) -> str:
    text = f"{value.day} {value:%b %Y}"
    return f"{text}, {value:%H:%M}" if isinstance(value, datetime) else text


# One function for each kind


def _nothing(alt: Any) -> Drawn:  # noqa: ANN401 - Altair
    empty = alt.Chart(_data([{}]), width=WIDTH, height=HEIGHT // 2)
    return Drawn(empty.mark_text(text="No data", fontSize=16, color=QUIET), ())


def _over_time(alt: Any, subject: _Subject, unit: str) -> Drawn:  # noqa: ANN401 - Altair
    """Draw lines over dates."""
    names = [name for name in subject.rows[0] if name not in {"date", "value"}]
    rows, kept, notes = _largest(_named(subject.rows, names), "series", "value", MOST_LINES, "series")
    dates = list(dict.fromkeys(row["date"] for row in rows))
    x = _time_axis(alt, dates)
    if len(dates) == 1:
        # One date is no line.
        rows.sort(key=lambda row: kept.index(row["series"]))
        return _bars(alt, rows, "series" if len(kept) > 1 else "date", "value", unit, [*notes, *_span(dates)])
    chart = alt.Chart(_data(rows), width=WIDTH, height=HEIGHT).encode(
        x=x,
        y=alt.Y(
            "value:Q",
            title=unit,
            scale=alt.Scale(zero=True),
            axis=alt.Axis(format=_format([row["value"] for row in rows]), tickCount=6),
        ),
        color=_color(alt, kept),
        tooltip=_tooltips(alt, [x, alt.Tooltip("full:N", title="Series"), alt.Tooltip("value:Q", title=unit, format=",")]),
    )
    return Drawn(chart.mark_line(strokeWidth=2, point=_points(alt, dates)), [*_span(dates), *notes])


def _time_axis(alt: Any, dates: Sequence[Any]) -> Any:  # noqa: ANN401 - Altair
    if not all(isinstance(one, date) for one in dates):
        return alt.X("date:O", title=None, sort=None, axis=alt.Axis(labelAngle=0, labelOverlap=True))
    ordered = sorted(dates)
    span = ordered[-1] - ordered[0]
    shape = "%-d %b" if span < timedelta(days=330) else "%b %Y"
    if isinstance(ordered[0], datetime):
        shape = "%H:%M" if span <= timedelta(days=1) else "%-d %b %H:%M"
    options: dict[str, Any] = {"format": shape, "grid": False, "labelOverlap": True, "labelAngle": 0}
    # Those with times are longer.
    most = MOST_TICKS // 2 if isinstance(ordered[0], datetime) else MOST_TICKS
    # Ticks between two dates would be dates that nobody counted for.
    options["values"] = [alt.DateTime(**_parts(one)) for one in ordered[:: -(-len(ordered) // most)]]
    return alt.X("date:T", title=None, axis=alt.Axis(**options))


def _parts(value: date) -> dict[str, int]:
    parts = {"year": value.year, "month": value.month, "date": value.day}
    return {**parts, "hours": value.hour, "minutes": value.minute} if isinstance(value, datetime) else parts


def _points(alt: Any, places: Sequence[object]) -> Any:  # noqa: ANN401 - Altair
    return alt.OverlayMarkDef(size=36, filled=True) if len(places) <= MOST_POINTS else False


def _color(alt: Any, series: Sequence[str], title: str | None = None) -> Any:  # noqa: ANN401 - Altair
    if len(series) < 2:  # noqa: PLR2004 - a single series needs no legend
        return alt.value(BLUE)
    colors = [COLORS[index % len(COLORS)] for index in range(len(series))]
    return alt.Color("series:N", title=title, sort=list(series), scale=alt.Scale(domain=list(series), range=colors))


def _tooltips(alt: Any, channels: Sequence[Any]) -> list[Any]:  # noqa: ANN401 - Altair
    found = []
    for channel in channels:
        if isinstance(channel, alt.X):
            is_time = channel.to_dict()["type"] == "temporal"
            found.append(
                alt.Tooltip("date:T", title="Date", format="%a %-d %b %Y %H:%M") if is_time else alt.Tooltip("date:O", title="Date")
            )
        else:
            found.append(channel)
    return found


def _format(values: Sequence[object]) -> str:
    most = max((abs(_number(value)) for value in values), default=0.0)
    return ",.0f" if most >= 10 else ",.3~f"  # noqa: PLR2004 - below that, steps are fractions


def _segmentation(alt: Any, subject: _Subject) -> Drawn:  # noqa: ANN401 - Altair
    return _over_time(alt, subject, subject.unit or "Value (users or events, as asked)")


def _users(alt: Any, subject: _Subject) -> Drawn:  # noqa: ANN401 - Altair
    is_whole = all(isinstance(row["value"], int) for row in subject.rows)
    return _over_time(alt, subject, subject.unit or ("Users" if is_whole else "Average"))


def _bars(alt: Any, rows: list[Row], name: str, number: str, unit: str, notes: Sequence[str], **axis: Any) -> Drawn:  # noqa: ANN401 - Altair
    """Draw lying bars, each with its number."""
    named = [
        {"name": _label(name, row[name]) if not isinstance(row[name], date) else _spoken(row[name]), number: row[number]}
        for row in rows
    ]
    base = alt.Chart(_data(named), width=WIDTH, height=alt.Step(26)).encode(
        x=alt.X(
            f"{number}:Q",
            title=unit,
            scale=alt.Scale(zero=True),
            axis=alt.Axis(format=_format([row[number] for row in rows]), tickCount=5),
        ),
        y=alt.Y("name:N", title=axis.get("title"), sort=None, axis=alt.Axis(grid=False, ticks=False, domain=False)),
        tooltip=[alt.Tooltip("name:N", title=axis.get("title") or "Name"), alt.Tooltip(f"{number}:Q", title=unit, format=",")],
    )
    written = base.mark_text(align="left", dx=5, color=INK, fontSize=12).encode(text=alt.Text(f"{number}:Q", format=","))
    return Drawn(base.mark_bar(color=BLUE, height=18) + written, list(notes))


def _composition(alt: Any, subject: _Subject) -> Drawn:  # noqa: ANN401 - Altair
    rows, kept, notes = _largest(
        [{**row, "value": _label("value", row["value"])} for row in subject.rows], "value", "users", MOST_BARS, "values"
    )
    rows.sort(key=lambda row: kept.index(row["value"]))
    properties = list(dict.fromkeys(str(row["property"]) for row in rows if row["property"] is not None))
    return _bars(alt, rows, "value", "users", subject.unit or "Unique users", notes, title=", ".join(properties) or None)


def _events_list(alt: Any, subject: _Subject) -> Drawn:  # noqa: ANN401 - Altair
    rows = [{**row, "value": str(row.get("display") or row.get("value"))} for row in subject.rows]
    rows, kept, notes = _largest(rows, "value", "totals", MOST_BARS, "events")
    rows.sort(key=lambda row: kept.index(row["value"]))
    return _bars(alt, rows, "value", "totals", subject.unit or "Events", notes)


def _session_lengths(alt: Any, subject: _Subject) -> Drawn:  # noqa: ANN401 - Altair
    rows = [{**row, "length": _range(row)} for row in subject.rows]
    return _bars(alt, rows, "length", "sessions", subject.unit or "Sessions", ["Bins may differ in width"], title="Length")


def _range(row: Row) -> str:
    begin, end = row["from_seconds"], row["to_seconds"]
    return str(row["length"]) if begin is None else f"{_duration(begin)} to {_duration(end)}"


def _duration(seconds: float) -> str:
    for size, name in ((3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {name}"
    return f"{seconds:g} s"


def _realtime(alt: Any, subject: _Subject) -> Drawn:  # noqa: ANN401 - Altair
    rows = [{**row, "series": _label("day", row["day"])} for row in subject.rows]
    kept = list(dict.fromkeys(row["series"] for row in rows))
    times = list(dict.fromkeys(str(row["time"]) for row in rows))
    step = max(1, len(times) // MOST_TICKS)
    unit = subject.unit or "Active users"
    chart = alt.Chart(_data(rows), width=WIDTH, height=HEIGHT).mark_line(strokeWidth=2, point=_points(alt, times))
    chart = chart.encode(
        x=alt.X("time:O", sort=times, title="Time of day", axis=alt.Axis(labelAngle=0, values=times[::step])),
        y=alt.Y(
            "users:Q",
            title=unit,
            scale=alt.Scale(zero=True),
            axis=alt.Axis(format=_format([row["users"] for row in rows]), tickCount=6),
        ),
        color=_color(alt, kept),
        tooltip=["time:O", alt.Tooltip("series:N", title="Day"), alt.Tooltip("users:Q", title=unit, format=",")],
    )
    return Drawn(chart, ["Users active in each interval of 5 minutes"])


def _funnels(alt: Any, subject: _Subject) -> Drawn:  # noqa: ANN401 - Altair
    names = [name for name in subject.rows[0] if name not in _FUNNEL_NUMBERS]
    rows = [{**row, "name": f"{row['step']}. {row['event']}", "share": row["cumulative"]} for row in _named(subject.rows, names)]
    rows, kept, notes = _largest(rows, "series", "users", MOST_LINES, "groups")
    steps = list(dict.fromkeys(row["name"] for row in rows))
    unit = subject.unit or "Users"
    if len(kept) == 1:
        ended = rows[-1]
        notes = [f"{_number(ended['share']):.1%} of {_number(rows[0]['users']):,.0f} {unit.lower()} came to the last step", *notes]
    for row in rows:
        row["written"] = f"{_number(row['share']):.1%}"
        row["counted"] = f"{_number(row['users']):,.0f}"
    base = alt.Chart(
        _data(rows), width=max(WIDTH, 120 * len(steps)) if len(kept) == 1 else max(WIDTH, 34 * len(steps) * len(kept)), height=HEIGHT
    )
    offset = {"xOffset": alt.XOffset("series:N", sort=kept)} if len(kept) > 1 else {}
    base = base.encode(
        x=alt.X(
            "name:N",
            sort=steps,
            title=None,
            axis=alt.Axis(labelAngle=0, labelLimit=LABEL, grid=False),
            scale=alt.Scale(paddingInner=0.25),
        ),
        y=alt.Y("share:Q", title="Share of those who began", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", tickCount=5)),
        tooltip=[
            alt.Tooltip("name:N", title="Step"),
            alt.Tooltip("full:N", title="Group"),
            alt.Tooltip("users:Q", title=unit, format=","),
            alt.Tooltip("share:Q", title="Of those who began", format=".1%"),
            alt.Tooltip("step_by_step:Q", title="Of the step before", format=".1%"),
        ],
        **offset,
    )
    bars = base.mark_bar().encode(color=_color(alt, kept))
    shares = base.mark_text(dy=-7, color=INK, fontSize=12 if len(kept) == 1 else 10).encode(text="written:N")
    if len(kept) > 1:
        return Drawn(bars + shares if len(kept) * len(steps) <= MOST_WRITTEN else bars, notes)
    counts = base.mark_text(dy=-22, color=INK, fontSize=13, fontWeight=600).encode(text="counted:N")
    return Drawn(bars + shares + counts, notes)


_FUNNEL_NUMBERS: Final = frozenset({"step", "event", "users", "step_by_step", "cumulative", "median_ms", "average_ms"})
_CELL_NUMBERS: Final = frozenset({"date", "interval", "users", "outof", "share", "incomplete", "cohort"})


def _retention(alt: Any, subject: _Subject) -> Drawn:  # noqa: ANN401 - Altair
    names = [name for name in subject.rows[0] if name not in _CELL_NUMBERS]
    rows = [row for row in _named(subject.rows, names) if row["interval"] <= MOST_INTERVALS]
    unit = subject.unit or "Day"
    if len({row["series"] for row in rows}) > 1:
        return _retained_lines(alt, subject, unit)
    dates = list(dict.fromkeys(row["date"] for row in rows))
    notes = ["Share of those who began on a date and came back"]
    if len(dates) > MOST_DATES:
        notes.append(f"The {MOST_DATES} newest of {len(dates):,} dates")
    kept = dates[:MOST_DATES]
    chosen = set(kept)
    rows = [{**row, "name": f"{row['date']}  ({_number(row['cohort']):,.0f})"} for row in rows if row["date"] in chosen]
    if any(row["incomplete"] for row in rows):
        notes.append("In italics and pale: not over yet")
    order = list(dict.fromkeys(row["name"] for row in reversed(rows)))
    intervals = len({row["interval"] for row in rows})
    base = alt.Chart(_data(rows), width=alt.Step(max(22, min(52, WIDTH // intervals))), height=alt.Step(24)).encode(
        x=alt.X(
            "interval:O", title=f"{unit} after the beginning", axis=alt.Axis(orient="top", labelAngle=0, ticks=False, domain=False)
        ),
        y=alt.Y("name:N", sort=order, title="Began on (how many)", axis=alt.Axis(ticks=False, domain=False, grid=False)),
        tooltip=[
            alt.Tooltip("date:N", title="Began on"),
            alt.Tooltip("interval:O", title=unit),
            alt.Tooltip("users:Q", title="Came back", format=","),
            alt.Tooltip("outof:Q", title="Of", format=","),
            alt.Tooltip("share:Q", title="Share", format=".1%"),
            alt.Tooltip("incomplete:N", title="Not over yet"),
        ],
    )
    scale = alt.Scale(domain=[0, 1], range=["#f3f8fc", "#a9cfe8", "#3f8fc4", "#0b4f86"])
    is_open = alt.datum.incomplete == True  # noqa: E712 - an expression of Vega's
    cells = base.mark_rect(stroke="white", strokeWidth=1.5).encode(
        color=alt.Color("share:Q", title="Share", scale=scale, legend=alt.Legend(format="%", gradientLength=120)),
        opacity=alt.condition(is_open, alt.value(0.5), alt.value(1.0)),
    )
    if intervals > MOST_WRITTEN:
        return Drawn(cells, notes)
    is_dark = (alt.datum.share > 0.5) & ~is_open  # noqa: PLR2004 - where the colour is dark
    written = base.transform_filter("isValid(datum.share)").encode(
        text=alt.Text("share:Q", format=".0%"), color=alt.condition(is_dark, alt.value("white"), alt.value(INK))
    )
    final = written.transform_filter("!datum.incomplete").mark_text(fontSize=11)
    unfinished = written.transform_filter("datum.incomplete").mark_text(fontSize=11, fontStyle="italic")
    return Drawn(cells + final + unfinished, notes)


def _retained_lines(alt: Any, subject: _Subject, unit: str) -> Drawn:  # noqa: ANN401 - Altair
    """Draw a line for each series, over all its dates together."""
    found = table(subject.answer, kind="retention", part="combined").to_records()
    combined = [{name: _flat(value) for name, value in row.items()} for row in found]
    if not combined:
        return _nothing(alt)
    names = [name for name in combined[0] if name not in _CELL_NUMBERS]
    rows, kept, notes = _largest(_named(combined, names), "series", "outof", MOST_LINES, "series")
    intervals = sorted({row["interval"] for row in rows})
    base = alt.Chart(_data(rows), width=WIDTH, height=HEIGHT).encode(
        x=alt.X("interval:Q", title=f"{unit} after the beginning", axis=alt.Axis(grid=False, tickMinStep=1, format="d")),
        y=alt.Y("share:Q", title="Share that came back", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", tickCount=5)),
        color=_color(alt, kept),
        tooltip=[
            alt.Tooltip("full:N", title="Series"),
            alt.Tooltip("interval:Q", title=unit),
            alt.Tooltip("share:Q", title="Share", format=".1%"),
            alt.Tooltip("outof:Q", title="Of", format=","),
        ],
    )
    lines = base.mark_line(strokeWidth=2)
    if len(intervals) > MOST_POINTS:
        return Drawn(lines, notes)
    if any(row["incomplete"] for row in rows):
        notes = ["Hollow: not over yet for all dates", *notes]
    full = base.transform_filter("!datum.incomplete").mark_point(size=40, filled=True, opacity=1)
    hollow = base.transform_filter("datum.incomplete").mark_point(
        size=40, filled=True, fill="white", opacity=1, strokeWidth=2, stroke=None
    )
    ring = base.transform_filter("datum.incomplete").mark_point(size=40, filled=False, opacity=1, strokeWidth=2)
    return Drawn(lines + full + hollow + ring, notes)


def _revenue_ltv(alt: Any, subject: _Subject) -> Drawn:  # noqa: ANN401 - Altair
    names = [name for name in subject.rows[0] if name.startswith("label")]
    rows = _named(subject.rows, names)
    unit = subject.unit or "Value (revenue or users, as asked)"
    dates = sorted({row["date"] for row in rows}, key=str)
    notes = [f"New users of {span}" for span in _span(dates)]
    if len({row["series"] for row in rows}) > 1:
        rows, kept, more = _largest(rows, "series", "value", MOST_LINES, "groups")
        color = _color(alt, kept)
        notes = [*notes, "A line for each date on which users were new", *more]
    else:
        chosen = dates[-MOST_LINES:]
        names_of = {one: _spoken(one) if isinstance(one, date) else str(one) for one in chosen}
        rows = [{**row, "series": names_of[row["date"]], "full": names_of[row["date"]]} for row in rows if row["date"] in names_of]
        kept = list(names_of.values())
        color = _color(alt, kept, "New on")
        if len(dates) > len(chosen):
            notes = [*notes, f"The {len(chosen)} newest of {len(dates):,} dates"]
    days = sorted({row["day"] for row in rows})
    chart = (
        alt.Chart(_data(rows), width=WIDTH, height=HEIGHT)
        .mark_line(strokeWidth=2, point=_points(alt, days))
        .encode(
            x=alt.X(
                "day:Q",
                title="Day since a user was new",
                scale=alt.Scale(zero=False, nice=False),
                axis=alt.Axis(grid=False, tickMinStep=1),
            ),
            y=alt.Y(
                "value:Q",
                title=unit,
                scale=alt.Scale(zero=True),
                axis=alt.Axis(format=_format([row["value"] for row in rows]), tickCount=6),
            ),
            color=color,
            detail="date:N",
            tooltip=[
                alt.Tooltip("full:N", title="Series"),
                alt.Tooltip("day:Q", title="Day"),
                alt.Tooltip("value:Q", title=unit, format=","),
            ],
        )
    )
    return Drawn(chart, notes)


_DRAW: Final[Mapping[str, Callable[[Any, _Subject], Drawn]]] = {
    "segmentation": _segmentation,
    "users": _users,
    "session_lengths": _session_lengths,
    "composition": _composition,
    "events_list": _events_list,
    "funnels": _funnels,
    "retention": _retention,
    "realtime": _realtime,
    "revenue_ltv": _revenue_ltv,
}
