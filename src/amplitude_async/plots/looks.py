"""What charts have in common: sizes, colours, fonts, axes, labels, and what is said where not all can be drawn."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from amplitude_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import altair as alt

    Plot = alt.Chart | alt.LayerChart
    Row = dict[str, Any]

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
LABEL_GAP: Final = 10
"""Pixels between two labels that stand beside one another."""
LETTER: Final = 7
"""Pixels of a letter, about."""

FONT: Final = "Helvetica Neue, Arial, Liberation Sans, DejaVu Sans, sans-serif"
INK: Final = "#1f2933"
QUIET: Final = "#5f6c7b"
GRID: Final = "#e4e7eb"
BLUE: Final = "#0072b2"
COLORS: Final = (BLUE, "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#6b4ea0", "#7f7f7f")
"""Okabe and Ito's, which nearly everybody can tell apart (https://jfly.uni-koeln.de/color/), darkened where white is behind them."""


class Drawn(NamedTuple):
    """A chart without its title.

    Attributes:
        chart: It.
        notes: What is to be said under the title.
    """

    chart: Plot
    notes: Sequence[str]


class Subject(NamedTuple):
    """What is drawn: the answer, its rows, and what the user calls its numbers."""

    answer: Any
    rows: list[Row]
    unit: str | None


def load_altair() -> Any:  # noqa: ANN401 - a module
    """Load Altair.

    Raises:
        ConfigurationError: It is not installed.
    """
    with suppress(ImportError):
        import altair as alt  # noqa: PLC0415 - loaded at the first plot

        return alt
    raise missing(package="altair")


def missing(*, package: str) -> ConfigurationError:
    """Return the error that says which extra brings a package."""
    return ConfigurationError(f"plots need {package}, which is not installed: pip install 'amplitude-async[plot]'")


def finished(alt: Any, drawn: Drawn, title: str) -> Plot:  # noqa: ANN401 - Altair
    """Return a chart with its title and notes, in our colours and fonts."""
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
    made: Plot = (
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
    return made


def data_of(rows: Iterable[Row]) -> dict[str, Any]:
    """Return rows as Altair takes them."""
    return {"values": [{name: _plain(value) for name, value in row.items()} for row in rows]}


def flat(value: object) -> object:
    """Return a value that can be drawn: a list or a mapping is shown as text, and no text turns the letters beside it around."""
    if value is None or isinstance(value, (int, float, date)):
        return value
    return str(value).translate(_TURNING)


_TURNING: Final = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)))
"""Unicode's marks that overrule the direction in which letters are written (https://www.unicode.org/reports/tr9/)."""


def _plain(value: object) -> object:
    """Return a value as JSON. A day without a time of day would be read as UTC, and shown as the day before to the west of it."""
    if isinstance(value, datetime):
        return value.isoformat()
    return f"{value.isoformat()}T00:00:00" if isinstance(value, date) else value


def named(rows: Iterable[Row], names: Sequence[str]) -> list[Row]:
    """Return rows with one text, ``series``, that says which series each is of."""
    rows = list(rows)
    seen = {name: {row.get(name) for row in rows} for name in names}
    # What is the same in all of them tells nothing apart.
    telling = [name for name in names if len(seen[name]) > 1]
    for row in rows:
        row["full"] = ", ".join(label(name, row.get(name)) for name in telling)
    short = {row["full"]: shortened(row["full"]) for row in rows}
    is_clear = len(set(short.values())) == len(short)
    return [{**row, "series": short[row["full"]] if is_clear else row["full"]} for row in rows]


def shortened(label: str, most: int = MOST_LETTERS) -> str:
    """Return a label that fits; values of a property and names of events often differ at their ends."""
    return label if len(label) <= most else f"{label[: most // 2]}…{label[-(most // 2) :]}"


def label(name: str, value: object) -> str:
    """Return what a value is called: segments by their number from 1, nothing as ``(none)``."""
    if name in {"segment", "return_event"} and isinstance(value, int):
        return f"{name.replace('_', ' ').capitalize()} {value + 1}"
    return "(none)" if value is None or value == "" else str(value)


def number_of(value: object) -> float:
    """Return a value as a number; what is none counts as 0."""
    return float(value) if isinstance(value, (int, float)) else 0.0


def largest(rows: list[Row], name: str, number: str, most: int, what: str) -> tuple[list[Row], list[str], list[str]]:
    """Return the rows of the largest series, those series from the largest on, and what is to be said of the others."""
    totals: dict[str, float] = {}
    for row in rows:
        totals[row[name]] = totals.get(row[name], 0.0) + number_of(row[number])
    ranked = sorted(totals, key=lambda series: -totals[series])
    kept = ranked[:most]
    chosen = set(kept)
    notes = [f"The {most} largest of {len(ranked):,} {what}"] if len(ranked) > most else []
    return [row for row in rows if row[name] in chosen], kept, notes


def span_of(dates: Sequence[object]) -> list[str]:
    """Return the first and the last date in words, as a list of one note; of none if there is no date."""
    days = sorted({value for value in dates if isinstance(value, date)})
    if not days:
        return []
    first, last = spoken(days[0]), spoken(days[-1])
    return [first if first == last else f"{first} to {last}"]


def spoken(value: date) -> str:
    """Return a date in words."""
    text = f"{value.day} {value:%b %Y}"
    return f"{text}, {value:%H:%M}" if isinstance(value, datetime) else text


def time_axis(alt: Any, dates: Sequence[Any]) -> Any:  # noqa: ANN401 - Altair
    """Return the axis of dates, with ticks at dates that are there; or of texts, in their own order."""
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
    if "%d" not in shape and "%-d" not in shape and ":" not in shape:
        # A month is written where it begins.
        ordered = [one for one in ordered if one.day == 1] or ordered
    # Ticks between two dates would be dates that nobody counted for.
    options["values"] = [alt.DateTime(**_parts(one)) for one in ordered[:: -(-len(ordered) // most)]]
    return alt.X("date:T", title=None, axis=alt.Axis(**options))


def _parts(value: date) -> dict[str, int]:
    parts = {"year": value.year, "month": value.month, "date": value.day}
    return {**parts, "hours": value.hour, "minutes": value.minute} if isinstance(value, datetime) else parts


def points(alt: Any, places: Sequence[object]) -> Any:  # noqa: ANN401 - Altair
    """Return whether lines have a point at each place."""
    return alt.OverlayMarkDef(size=36, filled=True) if len(places) <= MOST_POINTS else False


def color_of(alt: Any, series: Sequence[str], title: str | None = None) -> Any:  # noqa: ANN401 - Altair
    """Return the colours of series, and their legend where there are several."""
    if len(series) < 2:  # noqa: PLR2004 - a single series needs no legend
        return alt.value(BLUE)
    colors = [COLORS[index % len(COLORS)] for index in range(len(series))]
    return alt.Color("series:N", title=title, sort=list(series), scale=alt.Scale(domain=list(series), range=colors))


def tooltips(alt: Any, channels: Sequence[Any]) -> list[Any]:  # noqa: ANN401 - Altair
    """Return what is shown where the mouse is."""
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


def format_of(values: Sequence[object]) -> str:
    """Return how the numbers of an axis are written."""
    most = max((abs(number_of(value)) for value in values), default=0.0)
    return ",.0f" if most >= 10 else ",.4~g"  # noqa: PLR2004 - below that, steps are fractions


def from_zero(alt: Any, values: Sequence[object]) -> Any:  # noqa: ANN401 - Altair
    """Return a scale that begins at zero, and has it at its beginning also if there is nothing but zeros."""
    return alt.Scale(zero=True) if any(number_of(value) for value in values) else alt.Scale(domain=[0, 1])


def lying_bars(alt: Any, rows: list[Row], name: str, number: str, unit: str, notes: Sequence[str], **axis: Any) -> Drawn:  # noqa: ANN401 - Altair
    """Draw lying bars, each with its number."""
    drawn = [
        {"name": label(name, row[name]) if not isinstance(row[name], date) else spoken(row[name]), number: row[number]} for row in rows
    ]
    base = alt.Chart(data_of(drawn), width=WIDTH, height=alt.Step(26)).encode(
        x=alt.X(
            f"{number}:Q",
            title=unit,
            scale=from_zero(alt, [row[number] for row in rows]),
            axis=alt.Axis(format=format_of([row[number] for row in rows]), tickCount=5),
        ),
        y=alt.Y("name:N", title=axis.get("title"), sort=None, axis=alt.Axis(grid=False, ticks=False, domain=False)),
        tooltip=[alt.Tooltip("name:N", title=axis.get("title") or "Name"), alt.Tooltip(f"{number}:Q", title=unit, format=",")],
    )
    written = base.mark_text(align="left", dx=5, color=INK, fontSize=12).encode(text=alt.Text(f"{number}:Q", format=","))
    return Drawn(base.mark_bar(color=BLUE, height=18) + written, list(notes))


def nothing(alt: Any, words: str = "No data") -> Drawn:  # noqa: ANN401 - Altair
    """Draw words in place of a chart."""
    empty = alt.Chart(data_of([{}]), width=WIDTH, height=HEIGHT // 2)
    return Drawn(empty.mark_text(text=words, fontSize=16, color=QUIET), ())
