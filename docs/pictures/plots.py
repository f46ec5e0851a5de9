"""Draws the sample plots of ``docs/plots.md`` from made-up answers, which have the shapes of Amplitude's.

python docs/pictures/plots.py [--png FOLDER]
"""

from __future__ import annotations

import argparse
from datetime import date, timedelta
from itertools import pairwise
from math import exp, sin
from pathlib import Path
from typing import Any

from amplitude_async.plots import plot, save

HERE = Path(__file__).parent
FIRST = date(2026, 2, 2)
DAYS = [(FIRST + timedelta(days=day)).isoformat() for day in range(28)]


def wave(day: int, level: float, lift: float = 0.0) -> int:
    """Return a made-up number that has weeks in it."""
    weekend = 0.72 if day % 7 in {5, 6} else 1.0
    return round(level * weekend * (1 + 0.06 * sin(day * 1.7)) * (1 + lift * day))


def segmentation() -> dict[str, Any]:
    """Return unique users by day and country."""
    levels = {"Norway": (720, 0.006), "Sweden": (540, 0.012), "Denmark": (310, 0.0), "Finland": (260, -0.008)}
    series = [[wave(day + index, level, lift) for day in range(28)] for index, (level, lift) in enumerate(levels.values())]
    return {"data": {"series": series, "seriesLabels": list(levels), "xValues": DAYS}}


def users() -> dict[str, Any]:
    """Return active users by day."""
    return {"data": {"series": [[wave(day, 4100, 0.009) for day in range(28)]], "seriesMeta": [{"segmentIndex": 0}], "xValues": DAYS}}


def composition() -> dict[str, Any]:
    """Return users by platform."""
    values = {"iOS": 6120, "Android": 4833, "Web": 3981, "(none)": 144, "Windows": 1207, "tvOS": 402}
    return {"data": {"series": [list(values.values())], "seriesLabels": ["platform"], "xValues": list(values)}}


def funnel() -> dict[str, Any]:
    """Return a funnel of four steps."""
    raw = [8400, 5124, 2310, 1386]
    step = [1.0, *(after / before for before, after in pairwise(raw))]
    one = {
        "meta": {"segmentIndex": 0},
        "events": ["search", "view_item", "add_to_cart", "order_placed"],
        "stepByStep": step,
        "cumulative": [count / raw[0] for count in raw],
        "cumulativeRaw": raw,
        "medianTransTimes": [0, 41_000, 310_000, 903_000],
        "avgTransTimes": [0, 65_210, 512_000, 1_804_400],
    }
    return {"data": [one]}


def retention() -> dict[str, Any]:
    """Return retention by day of ten days, the last of which are not over."""
    dates = [f"{FIRST + timedelta(days=day):%b %d}" for day in range(10)]
    values: dict[str, Any] = {}
    for number, name in enumerate(dates):
        size = wave(number, 480)
        cells = [{"count": size, "outof": size, "incomplete": False}]
        for day in range(10 - number):
            kept = 1.0 if day == 0 else 0.16 + 0.42 * exp(-day / 2.4)
            cells.append({"count": round(size * kept), "outof": size, "incomplete": day == 9 - number})
        values[name] = cells
    series = {"dates": dates[::-1], "values": values, "combined": []}
    return {"data": {"series": [series], "seriesMeta": [{"segmentIndex": 0, "eventIndex": 0}]}}


def revenue() -> dict[str, Any]:
    """Return revenue per user of six first days."""
    dates = [(FIRST + timedelta(days=day)).isoformat() for day in range(6)]
    values = {
        name: {
            **{f"r{day}d": round((2.0 + 0.25 * number) * (1 - exp(-day / 22)) + 0.008 * day, 3) for day in range(1, 61)},
            "count": 260,
            "paid": 31,
            "total_amount": 824.0,
        }
        for number, name in enumerate(dates)
    }
    return {"data": {"seriesLabels": [""], "series": [{"dates": dates[::-1], "values": values}]}}


def main() -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--png", type=Path, help="a folder for pictures to look at, in place of the documentation's own")
    chosen = parser.parse_args()
    plots = {
        "segmentation": plot(segmentation(), title="Orders by country", unit="Unique users"),
        "users": plot(users(), title="Daily active users", unit="Active users"),
        "composition": plot(composition(), title="Users by platform"),
        "funnel": plot(funnel(), title="From search to order"),
        "retention": plot(retention(), title="Retention of new users"),
        "revenue-ltv": plot(revenue(), title="Revenue per new user", unit="Revenue per user in US$"),
    }
    for name, chart in plots.items():
        save(chart, HERE / f"plot-{name}.svg" if chosen.png is None else chosen.png / f"{name}.png")


if __name__ == "__main__":
    main()
