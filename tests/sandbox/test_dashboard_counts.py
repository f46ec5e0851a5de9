"""Users, composition, sessions, lifetime value, real-time users and the list of events, against counting by hand."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from statistics import fmean
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_async.sandbox import Sandbox, sessions

from .conftest import NOON, Clock
from .made_up import INACTIVE, NOW, Event, World, days, send

DEFAULT_BINS = ["0s-3s", "3s-10s", "10s-30s", "30s-60s", "60s-180s", "180s-600s", "600s-1800s", "1800s-3600s", "3600s-86400s"]


def test_users_are_counted_once_an_interval(world: World) -> None:
    """Active users did something active that day, new ones did their first thing of all."""
    data = world.ask("users")
    expected = [len({event.user for event in world.within() if event.is_active and world.day(event) == day}) for day in days()]
    assert data == {"series": [expected], "seriesMeta": [{"segmentIndex": 0}], "xValues": [day.isoformat() for day in days()]}
    firsts = Counter(world.day(event) for event in world.firsts().values())
    assert world.ask("users", m="new")["series"] == [[firsts[day] for day in days()]]
    weeks = world.ask("users", i="7", m="new")
    assert sum(weeks["series"][0]) == sum(firsts[day] for day in days())


def test_users_by_value_and_by_segment(world: World) -> None:
    """A group has the users who had its value at one of their events; a segment that asks the same counts the same."""
    grouped = world.ask("users", g="platform")
    segments = [[{"prop": "platform", "op": "is", "values": [value]}] for value in grouped["seriesMeta"]]
    compared = world.ask("users", s=segments)
    assert sorted(grouped["seriesMeta"]) == ["(none)", "Web", "iOS"]
    assert grouped["series"] == compared["series"]
    assert compared["seriesMeta"] == [{"segmentIndex": 0}, {"segmentIndex": 1}, {"segmentIndex": 2}]
    web = [
        len({event.user for event in world.within() if event.is_active and world.day(event) == day and event.row["platform"] == "Web"})
        for day in days()
    ]
    assert grouped["series"][grouped["seriesMeta"].index("Web")] == web


@pytest.mark.parametrize("prop", ["platform", "gp:plan", "country"])
def test_composition_counts_users_by_value(world: World, prop: str) -> None:
    """Each value has the active users who had it in the range, the most common first."""
    data = world.ask("composition", p=prop)
    expected = Counter(value for _user, value in {(each.user, each.user_value(prop)) for each in world.within() if each.is_active})
    assert dict(zip(data["xValues"], data["series"][0], strict=True)) == expected
    assert data["series"][0] == sorted(expected.values(), reverse=True)
    assert data["seriesLabels"] == [prop]


def sessions_of(world: World) -> list[tuple[date, str, float]]:
    """Return day, user and seconds of each session that began in the range."""
    found: dict[tuple[str, int], list[datetime]] = defaultdict(list)
    for event in world.events:
        if event.row["session_id"] != -1:
            found[event.user, event.row["session_id"]].append(event.at)
    all_of_them = [
        (min(times).astimezone(world.zone).date(), user, (max(times) - min(times)).total_seconds())
        for (user, _session), times in found.items()
    ]
    return [each for each in all_of_them if each[0] in days()]


def test_sessions_day_by_day(world: World) -> None:
    """The average length, and the sessions of a user, are those of the sessions that began on a day."""
    lengths = [[seconds for day, _user, seconds in sessions_of(world) if day == each] for each in days()]
    data = world.ask("sessions/average")
    assert data["series"] == [[pytest.approx(fmean(some) if some else 0) for some in lengths]]
    assert data["seriesMeta"] == [{"segmentIndex": 0}]
    people = [[user for day, user, _seconds in sessions_of(world) if day == each] for each in days()]
    per_user = world.ask("sessions/peruser")
    assert per_user["series"] == [[pytest.approx(len(some) / len(set(some)) if some else 0) for some in people]]
    assert per_user["xValues"] == [day.isoformat() for day in days()]


@pytest.mark.parametrize(
    ("bins", "labels"),
    [
        ({}, DEFAULT_BINS),
        ({"TimeUnit": "minutes", "Min": "0", "Max": "4", "Size": "2"}, ["0s-120s", "120s-240s"]),
        ({"TimeUnit": "seconds", "Min": "1", "Max": "3.5", "Size": "1"}, ["1s-2s", "2s-3s", "3s-3.5s"]),
        ({"TimeUnit": "hours", "Min": "0", "Max": "10"}, [f"{3600 * hour}s-{3600 * (hour + 1)}s" for hour in range(10)]),
        ({"TimeUnit": "days", "Min": "0", "Max": "4", "Size": "1"}, DEFAULT_BINS),
        ({"TimeUnit": "hours", "Min": "0"}, DEFAULT_BINS),
        ({"TimeUnit": "hours", "Min": "4", "Max": "4", "Size": "1"}, DEFAULT_BINS),
        ({"TimeUnit": "hours", "Min": "0", "Max": "4", "Size": "0"}, DEFAULT_BINS),
        ({"TimeUnit": "hours", "Min": "0", "Max": "4", "Size": "many"}, DEFAULT_BINS),
        ({"TimeUnit": "hours", "Min": "0", "Max": "inf", "Size": "1"}, DEFAULT_BINS),
        ({"TimeUnit": "seconds", "Min": "0", "Max": "86400", "Size": "0.001"}, DEFAULT_BINS),
    ],
)
def test_lengths_of_sessions_are_distributed_over_bins(world: World, bins: dict[str, str], labels: list[str]) -> None:
    """Custom bins are used if they make sense, else the nine default ones, never an error; bins are closed on their left."""
    data = world.ask("sessions/length", **{f"timeHistogramConfigBin{name}": value for name, value in bins.items()})
    assert data["xValues"] == labels
    borders = [tuple(float(border.removesuffix("s")) for border in label.split("-")) for label in labels]
    seconds = [length for _day, _user, length in sessions_of(world)]
    assert data["series"] == [[sum(first <= each < last for each in seconds) for first, last in borders]]


def test_the_longest_sessions_count_as_a_day(http: httpx.Client) -> None:
    """What lasts longer than 24 hours lasts 24 hours, and is in the last bin."""
    noon, day = int(NOON * 1000), 86_400_000
    events = [{"user_id": "ada@example.org", "event_type": "x", "time": noon - at, "session_id": 5} for at in (3 * day, 0)]
    send(http, events)
    params = {"start": "20260428", "end": "20260501"}
    assert http.get("/api/2/sessions/average", params=params).json()["data"]["series"] == [[86_400, 0, 0, 0]]
    assert http.get("/api/2/sessions/length", params=params).json()["data"]["series"] == [[0] * 8 + [1]]


@given(
    st.fixed_dictionaries(
        {},
        optional={
            f"timeHistogramConfigBin{name}": st.lists(
                st.one_of(st.floats().map(str), st.text(max_size=5), st.just("hours")), max_size=1
            )
            for name in ("TimeUnit", "Min", "Max", "Size")
        },
    )
)
@settings(deadline=None)
def test_any_bins_are_read_without_an_error(bins: dict[str, list[str]]) -> None:
    """Whatever is sent for bins, they are in order and not too many."""
    asked = sessions.lengths({"start": ["20260501"], "end": ["20260501"], **bins})
    assert list(asked.borders_s) == sorted(set(asked.borders_s))
    assert 2 <= len(asked.borders_s) <= 10_001


def paid_by(world: World, user: str) -> list[tuple[int, float]]:
    """Return on which day since their first one somebody paid what."""
    first = world.day(world.firsts()[user])
    paid = [(event, (world.day(event) - first).days) for event in world.of(user) if "$revenue" in event.row["event_properties"]]
    return [(day, event.row["event_properties"]["$revenue"]) for event, day in paid if day < 90]


@pytest.mark.parametrize("metric", ["0", "1", "2", "3"])
@pytest.mark.parametrize("interval", ["1", "7"])
def test_lifetime_value_adds_up_what_new_users_paid(world: World, metric: str, interval: str) -> None:
    """Each n-day value is of what the users of a date had paid by then: for each, for each payer, in all, and how many paid."""
    data = world.ask("revenue/ltv", m=metric, i=interval)
    assert data["seriesLabels"] == [""]
    (series,) = data["series"]
    assert series["dates"] == sorted(series["values"], reverse=True)
    came: dict[str, list[str]] = defaultdict(list)
    for user, event in world.firsts().items():
        day = world.day(event)
        if day in days():
            came[(day if interval == "1" else day - timedelta(days=day.weekday())).isoformat()].append(user)
    assert set(came) <= set(series["values"])
    for label, values in series["values"].items():
        users = came[label]
        for n in (1, 2, 3, 7, 30, 90):
            by_then = {user: [amount for day, amount in paid_by(world, user) if day < n] for user in users}
            total, payers = sum(map(sum, by_then.values())), sum(map(bool, by_then.values()))
            expected = {
                "0": total / len(users) if users else 0,
                "1": total / payers if payers else 0,
                "2": total,
                "3": payers,
            }
            assert values[f"r{n}d"] == pytest.approx(expected[metric])
        assert len(values) == 93
        assert (values["count"], values["paid"], values["total_amount"]) == (len(users), payers, pytest.approx(total))


def test_lifetime_value_by_group(world: World) -> None:
    """A group has those whose first event had its value."""
    data = world.ask("revenue/ltv", g="gp:plan")
    sizes = [sum(values["count"] for values in series["values"].values()) for series in data["series"]]
    expected = Counter(event.user_value("gp:plan") for event in world.firsts().values() if world.day(event) in days())
    assert dict(zip(data["seriesLabels"], sizes, strict=True)) == expected
    segments = [[{"prop": "gp:plan", "op": "is", "values": [label]}] for label in data["seriesLabels"]]
    assert world.ask("revenue/ltv", s=segments)["series"] == data["series"]


def test_real_time_users_of_today_and_yesterday(world: World) -> None:
    """288 five minutes end with the running one, and count active users of the last 24 hours and of the 24 before."""
    data = world.http.get("/api/2/realtime", params={"i": "5"}).json()["data"]
    assert data["seriesLabels"] == ["Today", "Yesterday"]
    assert (len(data["xValues"]), [len(series) for series in data["series"]]) == (288, [288, 288])
    end = NOW + timedelta(minutes=5)
    assert data["xValues"][-1] == f"{NOW.astimezone(world.zone):%H:%M}"
    for number, series in enumerate(data["series"]):
        start = end - timedelta(days=number + 1)
        users: dict[int, set[str]] = defaultdict(set)
        for event in world.events:
            if event.is_active and start <= event.at < start + timedelta(days=1):
                users[(event.at - start) // timedelta(minutes=5)].add(event.user)
        assert series == [len(users[step]) for step in range(288)]


def test_what_happens_now_is_seen_in_real_time(http: httpx.Client, clock: Clock) -> None:
    """An event that was just sent is in today's last interval."""
    send(http, [{"user_id": "ada@example.org", "event_type": "x", "time": int(NOON * 1000)}])
    clock.now += 7 * 60
    data = http.get("/api/2/realtime").json()["data"]
    assert (data["series"][0][-2:], data["xValues"][-2:]) == ([1, 0], ["12:00", "12:05"])


def test_the_list_of_events_has_this_weeks_totals(world: World) -> None:
    """Every event type is listed, with what happened since Monday."""
    data = world.http.get("/api/2/events/list").json()["data"]
    today = NOW.astimezone(world.zone).date()
    monday = today - timedelta(days=today.weekday())
    totals = Counter(event.kind for event in world.events if monday <= world.day(event) < monday + timedelta(days=7))
    kinds = sorted({event.kind for event in world.events})
    assert [each["value"] for each in data] == kinds
    assert [each["totals"] for each in data] == [totals[kind] for kind in kinds]
    assert [each["non_active"] for each in data] == [kind in INACTIVE for kind in kinds]
    assert set(data[0]) == {"non_active", "value", "totals", "deleted", "flow_hidden", "hidden", "display"}


def test_a_user_who_turns_out_to_be_known_is_one(http: httpx.Client) -> None:
    """Events of an anonymous device count for the user that it turns out to be, from its first one on."""
    noon, day = int(NOON * 1000), 86_400_000
    send(http, [{"user_id": "ada@example.org", "device_id": "phone", "event_type": "x", "time": noon - day}])
    send(http, [{"device_id": "tablet", "event_type": "x", "time": noon - 2 * day}])
    params = {"start": "20260429", "end": "20260501", "m": "new"}
    assert http.get("/api/2/users", params=params).json()["data"]["series"] == [[1, 1, 0]]
    send(http, [{"user_id": "ada@example.org", "device_id": "tablet", "event_type": "y", "time": noon}])
    assert http.get("/api/2/users", params=params).json()["data"]["series"] == [[1, 0, 0]]


def test_dates_of_a_users_activity_are_the_zones(world: World) -> None:
    """First and last use, and when somebody was last seen, are days of the project's zone."""
    for user in world.users[:5]:
        found = world.http.get("/api/2/usersearch", params={"user": user}).json()["matches"][0]
        data = world.http.get("/api/2/useractivity", params={"user": found["amplitude_id"]}).json()["userData"]
        done: list[Event] = world.of(user)
        assert data["first_used"] == world.day(done[0]).isoformat()
        assert data["last_used"] == found["last_seen"] == world.day(done[-1]).isoformat()


def test_values_of_a_list_count_each(http: httpx.Client) -> None:
    """A user with a list for a property is in the group of each of its values."""
    event = {
        "user_id": "ada@example.org",
        "event_type": "x",
        "time": int(NOON * 1000),
        "user_properties": {"likes": ["tea", "rye", "tea"]},
    }
    send(http, [event, {**event, "user_id": "bob@example.org", "user_properties": {"likes": "tea"}}])
    data: Any = http.get("/api/2/composition", params={"start": "20260501", "end": "20260501", "p": "gp:likes"}).json()["data"]
    assert (data["xValues"], data["series"]) == (["tea", "rye"], [[2, 1]])


def test_the_tracking_plan_says_what_is_shown_and_what_is_activity(http: httpx.Client) -> None:
    """An event type that the plan hides isn't listed, one that it calls inactive makes nobody active, and names are the plan's."""
    sent = [("ada@example.org", "beat"), ("ada@example.org", "buy"), ("bob@example.org", "beat"), ("bob@example.org", "probe")]
    send(http, [{"user_id": user, "event_type": kind, "time": int(NOON * 1000)} for user, kind in sent])
    params = {"start": "20260501", "end": "20260501"}
    assert http.get("/api/2/users", params=params).json()["data"]["series"] == [[2]]
    for kind, form in [
        ("beat", {"is_active": "false", "is_hidden_from_pathfinder": "true"}),
        ("buy", {"display_name": "Bought"}),
        ("probe", {"is_hidden_from_dropdowns": "true", "is_active": "false"}),
    ]:
        http.post("/api/2/taxonomy/event", data={"event_type": kind}).raise_for_status()
        http.put(f"/api/2/taxonomy/event/{kind}", data=form).raise_for_status()
    listed = {each["value"]: each for each in http.get("/api/2/events/list").json()["data"]}
    assert set(listed) == {"beat", "buy"}
    assert (listed["beat"]["non_active"], listed["beat"]["flow_hidden"], listed["buy"]["display"]) == (True, True, "Bought")
    assert http.get("/api/2/users", params=params).json()["data"]["series"] == [[1]]


def test_a_segment_may_be_a_cohort(box: Sandbox, http: httpx.Client) -> None:
    """A condition on userdata_cohort holds for the members of that cohort, and for nobody if there is none."""
    users = ["ada@example.org", "bob@example.org", "cy@example.org"]
    send(http, [{"user_id": user, "event_type": "x", "time": int(NOON * 1000)} for user in users])
    ids = [http.get("/api/2/usersearch", params={"user": user}).json()["matches"][0]["amplitude_id"] for user in users]
    desk = box._running_desk()
    for name, group, members in [("k3x9q2f", "User", ids[:2]), ("q", "org", ["acme"])]:
        desk.wait_for(desk.store.documents.put, "cohorts", name, {"id": name, "group": group, "members": members})

    def members_of(op: str, cohort: str) -> list[list[int]]:
        segment = json.dumps([{"prop": "userdata_cohort", "op": op, "values": [cohort]}])
        params = {"start": "20260501", "end": "20260501", "s": segment}
        series: list[list[int]] = http.get("/api/2/users", params=params).json()["data"]["series"]
        return series

    assert members_of("is", "k3x9q2f") == [[2]]
    assert members_of("is not", "k3x9q2f") == [[1]]
    assert members_of("is", "nobody") == [[0]]
