"""How each kind of answer is drawn."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final

from amplitude_async.errors import InvalidArgumentError
from amplitude_async.frames import table
from amplitude_async.plots.looks import (
    HEIGHT,
    INK,
    LABEL,
    LABEL_GAP,
    LETTER,
    MOST_BARS,
    MOST_DATES,
    MOST_INTERVALS,
    MOST_LINES,
    MOST_POINTS,
    MOST_TICKS,
    MOST_WRITTEN,
    WIDTH,
    Drawn,
    Subject,
    color_of,
    data_of,
    finished,
    flat,
    format_of,
    from_zero,
    label,
    largest,
    load_altair,
    lying_bars,
    named,
    nothing,
    number_of,
    points,
    shortened,
    span_of,
    spoken,
    time_axis,
    tooltips,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from amplitude_async.frames import Kind
    from amplitude_async.plots.looks import Plot, Row

__all__ = ["plot"]

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
    alt = load_altair()
    made = table(answer, kind=kind)
    draw = _DRAW.get(made.kind)
    if draw is None:
        message = f"answer is of {made.kind}, which has nothing to draw; use amplitude_async.frames.table"
        raise InvalidArgumentError(message, argument="answer")
    heading = _TITLES[made.kind] if title is None else title
    rows = [{name: flat(value) for name, value in row.items()} for row in made.to_records()]
    drawn = draw(alt, Subject(answer, rows, unit)) if rows else nothing(alt)
    return finished(alt, drawn, heading)


def _over_time(alt: Any, subject: Subject, unit: str) -> Drawn:  # noqa: ANN401 - Altair
    """Draw lines over dates."""
    names = [name for name in subject.rows[0] if name not in {"date", "value"}]
    is_one_date = len({row["date"] for row in subject.rows}) == 1
    most = MOST_BARS if is_one_date else MOST_LINES
    rows, kept, notes = largest(named(subject.rows, names), "series", "value", most, "series")
    dates = list(dict.fromkeys(row["date"] for row in rows))
    if is_one_date:
        # One date is no line.
        rows.sort(key=lambda row: kept.index(row["series"]))
        return lying_bars(alt, rows, "series" if len(kept) > 1 else "date", "value", unit, [*span_of(dates), *notes])
    x = time_axis(alt, dates)
    chart = alt.Chart(data_of(rows), width=WIDTH, height=HEIGHT).encode(
        x=x,
        y=alt.Y(
            "value:Q",
            title=unit,
            scale=from_zero(alt, [row["value"] for row in rows]),
            axis=alt.Axis(format=format_of([row["value"] for row in rows]), tickCount=6),
        ),
        color=color_of(alt, kept),
        tooltip=tooltips(alt, [x, alt.Tooltip("full:N", title="Series"), alt.Tooltip("value:Q", title=unit, format=",")]),
    )
    return Drawn(chart.mark_line(strokeWidth=2, point=points(alt, dates)), [*span_of(dates), *notes])


def _segmentation(alt: Any, subject: Subject) -> Drawn:  # noqa: ANN401 - Altair
    return _over_time(alt, subject, subject.unit or "Value (users or events, as asked)")


def _users(alt: Any, subject: Subject) -> Drawn:  # noqa: ANN401 - Altair
    is_whole = all(isinstance(row["value"], int) for row in subject.rows)
    return _over_time(alt, subject, subject.unit or ("Users" if is_whole else "Average"))


def _composition(alt: Any, subject: Subject) -> Drawn:  # noqa: ANN401 - Altair
    rows, kept, notes = largest(
        [{**row, "value": label("value", row["value"])} for row in subject.rows], "value", "users", MOST_BARS, "values"
    )
    rows.sort(key=lambda row: kept.index(row["value"]))
    properties = list(dict.fromkeys(str(row["property"]) for row in rows if row["property"] is not None))
    return lying_bars(alt, rows, "value", "users", subject.unit or "Unique users", notes, title=", ".join(properties) or None)


def _events_list(alt: Any, subject: Subject) -> Drawn:  # noqa: ANN401 - Altair
    rows = [{**row, "value": str(row.get("display") or row.get("value"))} for row in subject.rows]
    rows, kept, notes = largest(rows, "value", "totals", MOST_BARS, "events")
    rows.sort(key=lambda row: kept.index(row["value"]))
    return lying_bars(alt, rows, "value", "totals", subject.unit or "Events", notes)


def _session_lengths(alt: Any, subject: Subject) -> Drawn:  # noqa: ANN401 - Altair
    rows = [{**row, "length": _range(row)} for row in subject.rows]
    return lying_bars(alt, rows, "length", "sessions", subject.unit or "Sessions", ["Bins may differ in width"], title="Length")


def _range(row: Row) -> str:
    begin, end = row["from_seconds"], row["to_seconds"]
    return str(row["length"]) if begin is None else f"{_duration(begin)} to {_duration(end)}"


def _duration(seconds: float) -> str:
    for size, name in ((3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {name}"
    return f"{seconds:g} s"


def _realtime(alt: Any, subject: Subject) -> Drawn:  # noqa: ANN401 - Altair
    rows = [{**row, "series": label("day", row["day"])} for row in subject.rows]
    kept = list(dict.fromkeys(row["series"] for row in rows))
    times = list(dict.fromkeys(str(row["time"]) for row in rows))
    step = max(1, len(times) // MOST_TICKS)
    unit = subject.unit or "Active users"
    chart = alt.Chart(data_of(rows), width=WIDTH, height=HEIGHT).mark_line(strokeWidth=2, point=points(alt, times))
    chart = chart.encode(
        x=alt.X("time:O", sort=times, title="Time of day", axis=alt.Axis(labelAngle=0, values=times[::step])),
        y=alt.Y(
            "users:Q",
            title=unit,
            scale=from_zero(alt, [row["users"] for row in rows]),
            axis=alt.Axis(format=format_of([row["users"] for row in rows]), tickCount=6),
        ),
        color=color_of(alt, kept),
        tooltip=["time:O", alt.Tooltip("series:N", title="Day"), alt.Tooltip("users:Q", title=unit, format=",")],
    )
    return Drawn(chart, ["Users active in each interval of 5 minutes"])


def _funnels(alt: Any, subject: Subject) -> Drawn:  # noqa: ANN401 - Altair
    names = [name for name in subject.rows[0] if name not in _FUNNEL_NUMBERS]
    rows = [{**row, "whole": f"{row['step']}. {row['event']}", "share": row["cumulative"]} for row in named(subject.rows, names)]
    rows, kept, notes = largest(rows, "series", "users", MOST_LINES, "groups")
    whole = list(dict.fromkeys(row["whole"] for row in rows))
    width = max(WIDTH, 120 * len(whole) if len(kept) == 1 else 34 * len(whole) * len(kept))
    # The number in front tells two steps apart, whatever is left of their names.
    letters = min(LABEL, width // len(whole) - LABEL_GAP) // LETTER
    rows = [{**row, "name": shortened(row["whole"], letters)} for row in rows]
    steps = list(dict.fromkeys(row["name"] for row in rows))
    unit = subject.unit or "Users"
    if not any(number_of(row["users"]) for row in rows):
        # Amplitude calls the share of the first step 100 % also if nobody began.
        return nothing(alt, "Nobody began")
    if len(kept) == 1:
        ended = rows[-1]
        notes = [f"{number_of(ended['share']):.1%} of {number_of(rows[0]['users']):,.0f} {unit.lower()} came to the last step", *notes]
    for row in rows:
        row["written"] = f"{number_of(row['share']):.1%}"
        row["counted"] = f"{number_of(row['users']):,.0f}"
    base = alt.Chart(data_of(rows), width=width, height=HEIGHT)
    offset = {"xOffset": alt.XOffset("series:N", sort=kept)} if len(kept) > 1 else {}
    base = base.encode(
        x=alt.X(
            "name:N",
            sort=steps,
            title=None,
            axis=alt.Axis(labelAngle=0, labelLimit=min(LABEL, width // len(steps) - LABEL_GAP), grid=False),
            scale=alt.Scale(paddingInner=0.25),
        ),
        y=alt.Y("share:Q", title="Share of those who began", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", tickCount=5)),
        tooltip=[
            alt.Tooltip("whole:N", title="Step"),
            alt.Tooltip("full:N", title="Group"),
            alt.Tooltip("users:Q", title=unit, format=","),
            alt.Tooltip("share:Q", title="Of those who began", format=".1%"),
            alt.Tooltip("step_by_step:Q", title="Of the step before", format=".1%"),
        ],
        **offset,
    )
    bars = base.mark_bar().encode(color=color_of(alt, kept))
    shares = base.mark_text(dy=-7, color=INK, fontSize=12 if len(kept) == 1 else 10).encode(text="written:N")
    if len(kept) > 1:
        return Drawn(bars + shares if len(kept) * len(steps) <= MOST_WRITTEN else bars, notes)
    counts = base.mark_text(dy=-22, color=INK, fontSize=13, fontWeight=600).encode(text="counted:N")
    return Drawn(bars + shares + counts, notes)


_FUNNEL_NUMBERS: Final = frozenset({"step", "event", "users", "step_by_step", "cumulative", "median_ms", "average_ms"})
_CELL_NUMBERS: Final = frozenset({"date", "interval", "users", "outof", "share", "incomplete", "cohort"})


def _retention(alt: Any, subject: Subject) -> Drawn:  # noqa: ANN401 - Altair
    names = [name for name in subject.rows[0] if name not in _CELL_NUMBERS]
    rows = [row for row in named(subject.rows, names) if row["interval"] <= MOST_INTERVALS]
    unit = subject.unit or "Day"
    if len({row["series"] for row in rows}) > 1:
        return _retained_lines(alt, subject, unit)
    if not any(number_of(row["cohort"]) for row in rows):
        return nothing(alt, "Nobody began")
    dates = list(dict.fromkeys(row["date"] for row in rows))
    notes = ["Share of those who began on a date and came back"]
    if len(dates) > MOST_DATES:
        notes.append(f"The {MOST_DATES} newest of {len(dates):,} dates")
    kept = dates[:MOST_DATES]
    chosen = set(kept)
    rows = [{**row, "name": f"{row['date']}  ({number_of(row['cohort']):,.0f})"} for row in rows if row["date"] in chosen]
    order = list(dict.fromkeys(row["name"] for row in reversed(rows)))
    intervals = len({row["interval"] for row in rows})
    if any(row["incomplete"] for row in rows):
        notes.append("Pale: not over yet" if intervals > MOST_WRITTEN else "In italics and pale: not over yet")
    base = alt.Chart(data_of(rows), width=alt.Step(max(22, min(52, WIDTH // intervals))), height=alt.Step(24)).encode(
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


def _retained_lines(alt: Any, subject: Subject, unit: str) -> Drawn:  # noqa: ANN401 - Altair
    """Draw a line for each series, over all its dates together."""
    found = table(subject.answer, kind="retention", part="combined").to_records()
    combined = [{name: flat(value) for name, value in row.items()} for row in found]
    if not combined:
        return nothing(alt)
    names = [name for name in combined[0] if name not in _CELL_NUMBERS]
    rows, kept, notes = largest(named(combined, names), "series", "outof", MOST_LINES, "series")
    intervals = sorted({row["interval"] for row in rows})
    base = alt.Chart(data_of(rows), width=WIDTH, height=HEIGHT).encode(
        x=alt.X("interval:Q", title=f"{unit} after the beginning", axis=alt.Axis(grid=False, tickMinStep=1, format="d")),
        y=alt.Y("share:Q", title="Share that came back", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", tickCount=5)),
        color=color_of(alt, kept),
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


def _revenue_ltv(alt: Any, subject: Subject) -> Drawn:  # noqa: ANN401 - Altair
    names = [name for name in subject.rows[0] if name.startswith("label")]
    rows = named(subject.rows, names)
    unit = subject.unit or "Value (revenue or users, as asked)"
    dates = sorted({row["date"] for row in rows}, key=str)
    notes = [f"New users of {each}" for each in span_of(dates)]
    if len({row["series"] for row in rows}) > 1:
        rows, kept, more = largest(rows, "series", "value", MOST_LINES, "groups")
        color = color_of(alt, kept)
        notes = [*notes, "A line for each date on which users were new", *more]
    else:
        chosen = dates[-MOST_LINES:]
        names_of = {one: spoken(one) if isinstance(one, date) else str(one) for one in chosen}
        rows = [{**row, "series": names_of[row["date"]], "full": names_of[row["date"]]} for row in rows if row["date"] in names_of]
        kept = list(names_of.values())
        color = color_of(alt, kept, "New on")
        if len(dates) > len(chosen):
            notes = [*notes, f"The {len(chosen)} newest of {len(dates):,} dates"]
    days = sorted({row["day"] for row in rows})
    chart = (
        alt.Chart(data_of(rows), width=WIDTH, height=HEIGHT)
        .mark_line(strokeWidth=2, point=points(alt, days))
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
                scale=from_zero(alt, [row["value"] for row in rows]),
                axis=alt.Axis(format=format_of([row["value"] for row in rows]), tickCount=6),
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


_DRAW: Final[Mapping[str, Callable[[Any, Subject], Drawn]]] = {
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
