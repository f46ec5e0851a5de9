"""Funnels: against trying every way through, and in a world small enough to check by eye."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import pairwise, product
from statistics import fmean, median
from typing import Any

import httpx
import pytest

from .conftest import NOON
from .made_up import END, START, Event, World, days, named, send

STEPS = [named("search"), named("view"), named("buy")]
SHORT = 2 * 86_400
Match = list[Any]  # per step, a function from an event to whether it is one


def matcher(step: dict[str, Any]) -> Any:
    """Say of an event whether it is one of a step's: the few filters that these tests use."""

    def is_one(event: Event) -> bool:
        kind = step["event_type"]
        is_kind = kind == "_all" or (kind == "_active" and event.is_active) or kind == event.kind
        return is_kind and all(event.row["event_properties"]["n"] < each["subprop_value"][0] for each in step.get("filters", []))

    return is_one


def low(limit: int) -> list[dict[str, Any]]:
    return [{"subprop_type": "event", "subprop_key": "n", "subprop_op": "less", "subprop_value": [limit]}]


def ways(mode: str, path: list[Event], steps: Match, window: timedelta, last: datetime) -> Iterator[tuple[Event, list[datetime]]]:
    """Yield every way through, complete or not: the entry, and when each step was reached. ``path`` begins with the range."""
    if mode == "unordered":
        yield from _any_order(path, steps, window, last)
        return
    active = [event for event in path if event.is_active or any(step(event) for step in steps)]
    fitting = [[place for place, event in enumerate(active) if step(event)] for step in steps]
    for length in range(1, len(steps) + 1):
        for places in rising(fitting[:length]):
            chosen = [active[place] for place in places]
            if chosen[0].at >= last:
                continue
            if chosen[-1].at - chosen[0].at > window:
                continue
            if mode == "sequential" and places != tuple(range(places[0], places[0] + length)):
                continue
            yield chosen[0], [event.at for event in chosen]


def rising(choices: list[list[int]], after: int = -1) -> Iterator[tuple[int, ...]]:
    """Yield every way to take a number of each list, each greater than the one before."""
    if not choices:
        yield ()
        return
    for number in choices[0]:
        if number > after:
            yield from ((number, *rest) for rest in rising(choices[1:], number))


def _any_order(path: list[Event], steps: Match, window: timedelta, last: datetime) -> Iterator[tuple[Event, list[datetime]]]:
    useful = [event for event in path if any(step(event) for step in steps)]
    for began in range(len(useful)):
        seen = [event for event in useful[began:] if event.at - useful[began].at <= window]
        entries = [event for event in seen if steps[0](event) and event.at < last]
        if not entries:
            continue
        times = []
        for width in range(1, len(steps) + 1):
            # The first step's event must be within the range, the others need not.
            fitting = [entries, *([event for event in seen if step(event)] for step in steps[1:width])]
            ends = [
                max(event.at for event in chosen) for chosen in product(*fitting) if len({event.order for event in chosen}) == width
            ]
            if not ends:
                break
            times.append(min(ends))
        yield entries[0], times


def counted(world: World, mode: str, steps: list[dict[str, Any]], seconds: int, users: Any = None) -> Any:
    """Count a funnel by trying everything: the whole, and day by day, as lists of (entry, times)."""
    match = [matcher(step) for step in steps]
    midnight = [datetime(each.year, each.month, each.day, tzinfo=world.zone) for each in (START, END + timedelta(days=1))]
    whole, daily = [], defaultdict(list)
    for user in world.users:
        if users is not None and user not in users:
            continue
        path = [event for event in world.of(user) if event.at >= midnight[0]]
        best: dict[Any, tuple[Event, list[datetime]]] = {}
        found = list(ways(mode, path, match, timedelta(seconds=seconds), midnight[1]))
        # The one that gets furthest; of several the one that begins first, and then the one that is quickest at each step.
        if mode != "unordered":
            found.sort(key=lambda way: (-len(way[1]), way[1]))
        else:
            found.sort(key=lambda way: -len(way[1]))
        for entry, times in found:
            best.setdefault(None, (entry, times))
            best.setdefault(world.day(entry), (entry, times))
        for place, way in best.items():
            whole.append(way) if place is None else daily[place].append(way)
    return whole, daily


def numbers(attempts: list[tuple[Event, list[datetime]]], width: int) -> tuple[list[int], list[float], list[float]]:
    reached = [sum(len(times) > step for _entry, times in attempts) for step in range(width)]
    medians, means = [0.0], [0.0]
    for step in range(1, width):
        gaps = [(times[step] - times[step - 1]) / timedelta(milliseconds=1) for _entry, times in attempts if len(times) > step]
        medians.append(median(gaps) if gaps else 0)
        means.append(fmean(gaps) if gaps else 0)
    return reached, medians, means


@pytest.mark.parametrize("mode", ["ordered", "sequential", "unordered"])
@pytest.mark.parametrize(
    ("steps", "seconds"),
    [
        (STEPS, 2_592_000),
        (STEPS, SHORT),
        ([named("search", filters=low(4)), named("buy")], 3 * 86_400),
        ([named("view"), named("view")], SHORT),
        ([named("view"), named("view", filters=low(3)), named("_active")], 86_400),
        ([named("buy")], SHORT),
    ],
)
def test_a_funnel_agrees_with_trying_every_way_through(world: World, mode: str, steps: list[dict[str, Any]], seconds: int) -> None:
    """Users, shares and times, in the whole and day by day, are those of the best of all possible ways through."""
    whole, daily = counted(world, mode, steps, seconds)
    (found,) = world.ask("funnels", e=steps, mode=mode, cs=seconds)
    reached, medians, means = numbers(whole, len(steps))
    assert found["cumulativeRaw"] == reached
    assert found["cumulative"] == [pytest.approx(count / reached[0]) for count in reached]
    assert found["stepByStep"][1:] == [pytest.approx(later / before if before else 0) for before, later in pairwise(reached)]
    assert found["medianTransTimes"] == [pytest.approx(each, abs=1) for each in medians]
    assert found["avgTransTimes"] == [pytest.approx(each, abs=1) for each in means]
    of_days = [numbers(daily[day], len(steps)) for day in days()]
    assert found["dayFunnels"]["series"] == [each[0] for each in of_days]
    assert found["dayMedianTransTimes"]["series"] == [[pytest.approx(time, abs=1) for time in each[1]] for each in of_days]
    assert found["dayAvgTransTimes"]["series"] == [[pytest.approx(time, abs=1) for time in each[2]] for each in of_days]
    assert found["dayFunnels"]["xValues"] == [day.isoformat() for day in days()]


def test_new_users_are_those_whose_first_event_is_in_the_range(world: World) -> None:
    """With n=new nobody counts who had done anything before the range, whatever it was."""
    new = {user for user, first in world.firsts().items() if START <= world.day(first) <= END}
    whole, _daily = counted(world, "ordered", STEPS, SHORT, new)
    (found,) = world.ask("funnels", e=STEPS, cs=SHORT, n="new")
    assert found["cumulativeRaw"] == numbers(whole, 3)[0]


def test_groups_are_of_the_entry_and_of_a_steps_event(world: World) -> None:
    """A group has the users whose best attempt began with that value; grouped by a later step, those who never got there too."""
    whole, _daily = counted(world, "ordered", STEPS, SHORT)
    found = world.ask("funnels", e=STEPS, cs=SHORT, g="platform")
    expected = Counter(entry.user_value("platform") for entry, _times in whole)
    assert {each["groupValue"]: each["cumulativeRaw"][0] for each in found} == expected
    assert [each["cumulativeRaw"][0] for each in found] == sorted(expected.values(), reverse=True)
    by_step = world.ask("funnels", e=[STEPS[0], {**STEPS[1], "group_by": [{"type": "event", "value": "n"}]}], cs=SHORT)
    whole, _daily = counted(world, "ordered", STEPS[:2], SHORT)
    assert sum(each["cumulativeRaw"][0] for each in by_step) == len(whole)
    missed = next(each for each in by_step if each["groupValue"] == "did not reach step")
    assert missed["cumulativeRaw"] == [sum(len(times) == 1 for _entry, times in whole), 0]
    assert [each["groupValue"] for each in world.ask("funnels", e=STEPS, cs=SHORT, g="platform", limit=1)] == [found[0]["groupValue"]]


def test_segments_look_at_the_first_step(world: World) -> None:
    """Each segment is a funnel of its own, entered by those who had the property at their first step."""
    segments = [[{"prop": "gp:plan", "op": "is", "values": [plan]}] for plan in ("free", "pro")]
    found = world.ask("funnels", e=STEPS, s=segments, cs=SHORT)
    assert [each["meta"] for each in found] == [{"segmentIndex": 0}, {"segmentIndex": 1}]
    for element, plan in zip(found, ("free", "pro"), strict=True):
        entered = {event.user for event in world.within() if event.kind == "search" and event.user_value("gp:plan") == plan}
        assert element["cumulativeRaw"][0] == len(entered)


def small(http: httpx.Client) -> None:
    """Three people: Ada converts on her second attempt, Bob does it the other way round, Cy is interrupted."""
    noon = int(NOON * 1000)
    hour, day = 3_600_000, 86_400_000
    send(
        http,
        [
            {"user_id": user, "event_type": kind, "time": noon + at}
            for user, kind, at in [
                ("ada", "search", -3 * day),
                ("ada", "search", -day),
                ("ada", "buy", -day + hour),
                ("bob", "buy", -2 * day),
                ("bob", "search", -2 * day + 2 * hour),
                ("cy", "search", -day),
                ("cy", "look", -day + 1),
                ("cy", "buy", -day + 3 * hour),
            ]
        ],
    )


@pytest.mark.parametrize(
    ("mode", "users", "medians", "daily"),
    [
        # Ada needs 1 h, Cy 3 h; Bob only searches. By day of entry: Ada's first attempt, Bob, then Ada and Cy.
        ("ordered", [3, 2], [0, 7_200_000], [[1, 0], [1, 0], [2, 2]]),
        # Something lies between Cy's two.
        ("sequential", [3, 1], [0, 3_600_000], [[1, 0], [1, 0], [2, 1]]),
        # Bob had bought when he searched.
        ("unordered", [3, 3], [0, 3_600_000], [[1, 0], [1, 1], [2, 2]]),
    ],
)
def test_three_people_by_eye(http: httpx.Client, mode: str, users: list[int], medians: list[int], daily: list[list[int]]) -> None:
    """In a world of eight events each mode counts what one would count by eye."""
    small(http)
    params: Any = {
        "e": ['{"event_type":"search"}', '{"event_type":"buy"}'],
        "mode": mode,
        "start": "20260428",
        "end": "20260430",
        "cs": 86_400,
    }
    (found,) = http.get("/api/2/funnels", params=params).json()["data"]
    assert found["events"] == ["search", "buy"]
    assert found["cumulativeRaw"] == users
    assert found["medianTransTimes"] == medians
    assert found["dayFunnels"]["series"] == daily
    assert found["dayFunnels"]["formattedXValues"] == ["Apr 28", "Apr 29", "Apr 30"]


def test_the_window_ends_on_the_second(http: httpx.Client) -> None:
    """What is exactly as late as the window is long still counts, what is a millisecond later doesn't."""
    noon = int(NOON * 1000)
    times = [("ada", "search", 0), ("bob", "search", 0), ("ada", "buy", 60_000), ("bob", "buy", 60_001)]
    send(http, [{"user_id": user, "event_type": kind, "time": noon - 3_600_000 + at} for user, kind, at in times])
    params: Any = {"e": ['{"event_type":"search"}', '{"event_type":"buy"}'], "start": "20260501", "end": "20260501", "cs": 60}
    for mode in ("ordered", "sequential"):
        assert http.get("/api/2/funnels", params={**params, "mode": mode}).json()["data"][0]["cumulativeRaw"] == [2, 1]
    # In any order the window is whole days, and at least one.
    assert http.get("/api/2/funnels", params={**params, "mode": "unordered"}).json()["data"][0]["cumulativeRaw"] == [2, 2]


def test_a_way_may_end_after_the_range(http: httpx.Client) -> None:
    """Who enters on the last day has the whole window; who entered before the range isn't counted."""
    noon, day = int(NOON * 1000), 86_400_000
    times = [("ada", "search", -day), ("ada", "buy", 0), ("bob", "search", -2 * day), ("bob", "buy", -day)]
    send(http, [{"user_id": user, "event_type": kind, "time": noon + at} for user, kind, at in times])
    params: Any = {"e": ['{"event_type":"search"}', '{"event_type":"buy"}'], "start": "20260430", "end": "20260430"}
    for mode in ("ordered", "sequential", "unordered"):
        assert http.get("/api/2/funnels", params={**params, "mode": mode}).json()["data"][0]["cumulativeRaw"] == [1, 1]


def test_the_answer_has_the_documented_keys(http: httpx.Client) -> None:
    """An element has the keys of the documentation, also when nobody entered."""
    params = {"e": ['{"event_type":"a"}', '{"event_type":"b"}'], "start": "20260428", "end": "20260428", "i": "-3600000"}
    (found,) = http.get("/api/2/funnels", params=params).json()["data"]
    assert list(found) == [
        *("meta", "events", "stepByStep", "cumulative", "cumulativeRaw", "medianTransTimes", "avgTransTimes"),
        *("dayFunnels", "dayMedianTransTimes", "dayAvgTransTimes"),
    ]
    assert found["stepByStep"] == [0, 0]
    assert len(found["dayFunnels"]["series"]) == 24
    assert found["dayFunnels"]["xValues"][13] == "2026-04-28T13:00:00"
    assert date.fromisoformat(found["dayFunnels"]["xValues"][0][:10]) == date(2026, 4, 28)
