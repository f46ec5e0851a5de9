"""Retention: against asking of every pair of events, and in a world small enough to check by eye."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import httpx
import pytest

from .conftest import NOON, Clock
from .made_up import END, NOW, Event, World, days, named, send

LAST = {1: 30, 7: 12, 30: 12}


def first_day(day: date, interval: int) -> date:
    """Return the first day of the week or month that a day is in."""
    if interval == 1:
        return day
    return day - timedelta(days=day.weekday()) if interval == 7 else day.replace(day=1)


def is_one(kind: str, event: Event) -> bool:
    return kind == "_all" or (kind == "_active" and event.is_active) or kind == event.kind


def units_between(world: World, start: Event, later: Event, interval: int) -> int:
    """Count whole intervals between two events: of 24 hours between their hours, or of 7 or 30 days between their days."""
    if interval == 1:
        hours = [
            event.at.astimezone(world.zone).replace(minute=0, second=0, microsecond=0).timestamp() // 60 for event in (start, later)
        ]
        return int((hours[1] - hours[0]) // (24 * 60))
    return (world.day(later) - world.day(start)).days // interval


def cohorts(world: World, start: str, back: str, interval: int) -> dict[date, dict[str, set[int]]]:
    """Return by cohort and user after how many intervals they came back, of every pair of events."""
    found: dict[date, dict[str, set[int]]] = defaultdict(dict)
    firsts = {event.order for event in world.firsts().values()}
    for event in world.within():
        if event.order not in firsts if start == "_new" else not is_one(start, event):
            continue
        came = found[first_day(world.day(event), interval)].setdefault(event.user, set())
        came |= {
            units_between(world, event, later, interval)
            for later in world.of(event.user)
            if later.order > event.order and is_one(back, later)
        }
    return found


def brackets(mode: str, interval: int, pairs: list[list[int]]) -> list[Any]:
    if mode == "bracket":
        return [lambda came, pair=pair: any(pair[0] <= each < pair[1] for each in came) for pair in pairs]
    if mode == "rolling":
        return [lambda came, n=n: any(each >= n for each in came) for n in range(LAST[interval] + 1)]
    return [lambda came, n=n: n in came for n in range(LAST[interval] + 1)]


def ends(world: World, day: date, interval: int, mode: str, pairs: list[list[int]]) -> list[datetime]:
    """Return when the last who could start on a date has had the time of each element."""
    last = min(day + timedelta(days=interval - 1), END) if interval != 30 else min(date(day.year, day.month, 30), END)
    numbers = [pair[1] for pair in pairs] if mode == "bracket" else [n + 1 for n in range(LAST[interval] + 1)]
    midnight = datetime.combine(last + timedelta(days=1), time(), world.zone)
    if interval == 1:
        return [midnight - timedelta(hours=1) + timedelta(days=number) for number in numbers]
    return [datetime.combine(last + timedelta(days=number * interval), time(), world.zone) for number in numbers]


@pytest.mark.parametrize(("start", "back"), [("_new", "_all"), ("_active", "_active"), ("search", "buy"), ("view", "view")])
@pytest.mark.parametrize(
    ("mode", "interval", "pairs"),
    [("nday", 1, []), ("rolling", 1, []), ("bracket", 1, [[0, 1], [1, 4], [2, 9]]), ("n-day", 7, []), ("rolling", 30, [])],
)
def test_retention_agrees_with_every_pair_of_events(
    world: World, start: str, back: str, mode: str, interval: int, pairs: list[list[int]]
) -> None:
    """Each cohort's sizes, returns and completeness, and the combined ones, are what comparing all events gives."""
    more = {"rb": json.dumps(pairs)} if pairs else {}
    data = world.ask("retention", se=named(start), re=named(back), rm=mode, i=str(interval), **more)
    assert data["seriesMeta"] == [{"segmentIndex": 0, "eventIndex": 0}]
    (series,) = data["series"]
    expected = cohorts(world, start, back, interval)
    dates = sorted({first_day(day, interval) for day in days()})
    assert series["dates"] == [f"{day:%b %d}" for day in reversed(dates)]
    tests = brackets(mode, interval, pairs)
    is_over = {day: [end <= NOW for end in ends(world, day, interval, mode, pairs)] for day in dates}
    for day in dates:
        users, cells = expected[day], series["values"][f"{day:%b %d}"]
        assert cells[0] == {"count": len(users), "outof": len(users), "incomplete": False}
        assert [cell["count"] for cell in cells[1:]] == [sum(map(test, users.values())) for test in tests]
        assert [cell["incomplete"] for cell in cells[1:]] == [not over for over in is_over[day]]
        assert {cell["outof"] for cell in cells} == {len(users)}
    everybody = {user for users in expected.values() for user in users}
    assert series["combined"][0] == {"count": len(everybody), "outof": len(everybody), "retainedSetId": None, "incomplete": False}
    for number, (cell, test) in enumerate(zip(series["combined"][1:], tests, strict=True)):
        whole = [day for day in dates if is_over[day][number]]
        assert cell["incomplete"] == (len(whole) < len(dates))
        if whole:
            assert cell["outof"] == len({user for day in whole for user in expected[day]})
            assert cell["count"] == len({user for day in whole for user, came in expected[day].items() if test(came)})


def test_groups_and_segments_are_of_the_start_event(world: World) -> None:
    """A cohort is grouped, and compared, by what users were when they started."""
    grouped = world.ask("retention", se=named("search"), re=named("_all"), g="gp:plan")
    compared = world.ask(
        "retention",
        se=named("search"),
        re=named("_all"),
        s=[[{"prop": "gp:plan", "op": "is", "values": [each["groupValue"]]}] for each in grouped["seriesMeta"]],
    )
    assert sorted(each["groupValue"] for each in grouped["seriesMeta"]) == ["free", "pro"]
    assert [each["segmentIndex"] for each in compared["seriesMeta"]] == [0, 1]
    assert grouped["series"] == compared["series"]
    sizes = [series["combined"][0]["count"] for series in grouped["series"]]
    plans = [
        {event.user for event in world.within() if event.kind == "search" and event.user_value("gp:plan") == plan["groupValue"]}
        for plan in grouped["seriesMeta"]
    ]
    assert sizes == list(map(len, plans))


def test_filters_apply_to_new_users_and_to_returns(world: World) -> None:
    """Filters of a start among new users, and of the return event, are heeded."""
    wanted = [{"subprop_type": "event", "subprop_key": "n", "subprop_op": "greater", "subprop_value": [2]}]
    data = world.ask("retention", se=named("_new", filters=wanted), re=named("search", filters=wanted))
    starts = [event for event in world.firsts().values() if event in world.within() and event.row["event_properties"]["n"] > 2]
    assert data["series"][0]["combined"][0]["count"] == len(starts)
    back = [
        later
        for event in starts
        for later in world.of(event.user)
        if later.order > event.order and later.kind == "search" and later.row["event_properties"]["n"] > 2
    ]
    rolling = world.ask("retention", se=named("_new", filters=wanted), re=named("search", filters=wanted), rm="rolling")
    assert sum(cells[1]["count"] for cells in rolling["series"][0]["values"].values()) == len({event.user for event in back})


def test_two_people_by_eye(http: httpx.Client, clock: Clock) -> None:
    """Ada comes back 23 hours and 25 hours after she began, Bob never: day 0 and day 1 count Ada, and say when they are final."""
    noon, hour = int(NOON * 1000), 3_600_000
    clock.now += 2 * 86_400
    sent = [("ada", "open", 0), ("bob", "open", hour), ("ada", "use", 23 * hour), ("ada", "use", 25 * hour)]
    send(http, [{"user_id": user, "event_type": kind, "time": noon + at} for user, kind, at in sent])
    params = {"se": '{"event_type":"_new"}', "re": '{"event_type":"use"}', "start": "20260501", "end": "20260501"}
    series = http.get("/api/2/retention", params=params).json()["data"]["series"][0]
    assert series["dates"] == ["May 01"]
    assert series["values"]["May 01"][:4] == [
        {"count": 2, "outof": 2, "incomplete": False},
        {"count": 1, "outof": 2, "incomplete": False},
        {"count": 1, "outof": 2, "incomplete": True},
        {"count": 0, "outof": 2, "incomplete": True},
    ]
    # Day 1 is not over for anybody, so what there is of it counts; day 30 has not begun.
    assert series["combined"][2] == {"count": 1, "outof": 2, "retainedSetId": None, "incomplete": True}
    assert series["combined"][31] == {"count": 0, "outof": 0, "retainedSetId": None, "incomplete": True}


@pytest.mark.parametrize(("interval", "day", "hour"), [("1", 2, 23), ("7", 8, 0), ("30", 31, 0)])
def test_an_interval_is_over_when_the_last_had_all_of_it(http: httpx.Client, clock: Clock, interval: str, day: int, hour: int) -> None:
    """Interval 0 of the first of May ends 24 hours after that day's last hour began, or 7 or 30 days after the day did."""
    send(http, [{"user_id": "ada@example.org", "event_type": "open", "time": int(NOON * 1000)}])
    params = {"se": '{"event_type":"_new"}', "re": '{"event_type":"_all"}', "start": "20260501", "end": "20260501", "i": interval}
    over = datetime(2026, 5, day, hour, tzinfo=UTC).timestamp()
    found = []
    for now in (over - 1, over):
        clock.now = now
        (series,) = http.get("/api/2/retention", params=params).json()["data"]["series"]
        (cells,) = series["values"].values()
        found.append((cells[1]["incomplete"], series["combined"][1]["incomplete"]))
    assert found == [(True, True), (False, False)]
