"""Every chart of the dashboard API over the sandbox: a small shop of three days, with numbers that one can check by eye."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from amplitude_async import AsyncAmplitude, Event, NotFoundError, Segment
from amplitude_async.frames import table
from amplitude_async.sandbox import Sandbox
from amplitude_async.sandbox.limits import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

DAYS: dict[str, Any] = {"start": date(2026, 5, 1), "end": "20260503"}
SIGNUP, SEARCH, BUY = Event("signup"), Event("search"), Event("buy")

# User, country, and what they did: the day, the hour, the event. The first event of everybody is the signup.
PEOPLE: dict[str, tuple[str, list[tuple[int, int, str]]]] = {
    "ada": ("Norway", [(1, 8, "signup"), (1, 9, "search"), (1, 10, "buy"), (2, 9, "search"), (3, 9, "buy")]),
    "grace": ("Norway", [(1, 8, "signup"), (1, 12, "search"), (2, 8, "buy")]),
    "linus": ("Sweden", [(2, 8, "signup"), (2, 9, "search")]),
    "guido": ("Sweden", [(2, 8, "signup"), (2, 7, "buy")]),
    "brian": ("Sweden", [(3, 8, "signup")]),
}


def at(day: int, hour: int) -> datetime:
    return datetime(2026, 5, day, hour, tzinfo=UTC)


def events() -> list[dict[str, object]]:
    return [
        {
            "event_type": name,
            "user_id": f"{user}-12345",
            "country": country,
            "time": at(day, hour),
            "session_id": int(at(day, 0).timestamp() * 1000),
            **({"price": 10.0, "quantity": 1} if name == "buy" else {}),
        }
        for user, (country, done) in PEOPLE.items()
        for day, hour, name in done
    ]


@pytest.fixture
async def amplitude() -> AsyncIterator[AsyncAmplitude]:
    """Yield a client of a sandbox that has the shop, at noon of the fourth day."""
    with Sandbox(clock=at(4, 12).timestamp) as box:
        async with AsyncAmplitude(**box.credentials) as client:
            await client.track(events())
            yield client


def users_of(name: str, day: int | None = None) -> set[str]:
    return {user for user, (_, done) in PEOPLE.items() for on, _, event in done if event == name and on == (day or on)}


async def test_a_funnel(amplitude: AsyncAmplitude) -> None:
    """Four signed up and searched or did not; of three who searched two bought later."""
    made = table(await amplitude.dashboard.funnels(e=[SIGNUP, SEARCH, BUY], **DAYS))
    assert made["event"] == ("signup", "search", "buy")
    assert made["users"] == (5, 3, 2)
    assert made["cumulative"] == (1.0, 0.6, 0.4)
    assert made["step_by_step"] == pytest.approx((1.0, 0.6, 2 / 3))
    hour = 3_600_000
    assert made["median_ms"] == (0, hour, (hour + 20 * hour) / 2)


@pytest.mark.parametrize(
    ("mode", "users"),
    [
        ("ordered", (5, 3)),
        # guido bought before he signed up.
        ("unordered", (5, 3)),
        ("sequential", (5, 0)),
    ],
)
async def test_the_modes_of_a_funnel(amplitude: AsyncAmplitude, mode: Any, users: tuple[int, int]) -> None:
    """The order counts or does not, and nothing may lie between or may."""
    steps = [SIGNUP, BUY] if mode != "ordered" else [SIGNUP, SEARCH]
    answer = await amplitude.dashboard.funnels(e=steps, **DAYS, mode=mode)
    assert table(answer)["users"] == users


async def test_a_funnel_by_country(amplitude: AsyncAmplitude) -> None:
    """One funnel a value, told apart in the table; by day the users who entered then."""
    answer = await amplitude.dashboard.funnels(e=[SIGNUP, SEARCH], **DAYS, g="country")
    rows = table(answer).to_records()
    assert {(row["group"], row["step"]): row["users"] for row in rows} == {
        ("Norway", 1): 2,
        ("Norway", 2): 2,
        ("Sweden", 1): 3,
        ("Sweden", 2): 1,
    }
    days = table(answer, part="days").to_records()
    entered = {(row["group"], row["date"].day): row["users"] for row in days if row["step"] == 1}
    assert entered == {("Norway", 1): 2, ("Norway", 2): 0, ("Norway", 3): 0, ("Sweden", 1): 0, ("Sweden", 2): 2, ("Sweden", 3): 1}


async def test_a_retention(amplitude: AsyncAmplitude) -> None:
    """Of the two who signed up on the first day both came back on the second, and one on the third."""
    answer = await amplitude.dashboard.retention(se=SIGNUP, re=Event.any_active(), **DAYS, rm="n-day")
    rows = [row for row in table(answer).to_records() if row["date"] == "May 01"]
    assert [(row["interval"], row["users"], row["outof"]) for row in rows[:3]] == [(0, 2, 2), (1, 2, 2), (2, 1, 2)]
    assert rows[0]["cohort"] == 2
    plain = await amplitude.dashboard.retention(se=SIGNUP, re=Event.any_active(), **DAYS)
    assert plain == answer


async def test_a_retention_in_brackets(amplitude: AsyncAmplitude) -> None:
    """Who bought within the first two days, and who on the third."""
    answer = await amplitude.dashboard.retention(
        se=SIGNUP, re=BUY, start="20260501", end="20260501", rm="bracket", rb=[[0, 2], [2, 3]]
    )
    assert [(row["interval"], row["users"]) for row in table(answer, part="combined").to_records()] == [(0, 2), (1, 1)]


async def test_active_and_new_users(amplitude: AsyncAmplitude) -> None:
    """Users by day, and those whose first day it was, together and by country."""
    active = table(await amplitude.dashboard.active_users(**DAYS))
    expected = [len({user for user, (_, done) in PEOPLE.items() for on, _, _ in done if on == day}) for day in (1, 2, 3)]
    assert list(active["value"]) == expected == [2, 4, 2]
    assert table(await amplitude.dashboard.new_users(**DAYS))["value"] == (2, 2, 1)
    by_country = table(await amplitude.dashboard.new_users(**DAYS, g="country"))
    sums: Counter[str] = Counter()
    for row in by_country.to_records():
        sums[row["label"]] += row["value"]
    assert sums == {"Norway": 2, "Sweden": 3}


async def test_sessions(amplitude: AsyncAmplitude) -> None:
    """Eight sessions, one a user and day: their lengths, the average by day, how many a user had."""
    lengths = table(await amplitude.dashboard.session_lengths(**DAYS, bin_unit="hours", bin_min=0, bin_max=6, bin_size=1))
    assert {row["from_seconds"] // 3600: row["sessions"] for row in lengths.to_records() if row["sessions"]} == {
        0: 4,
        1: 2,
        2: 1,
        4: 1,
    }
    average = table(await amplitude.dashboard.average_session_length(**DAYS))
    assert average["value"] == (3 * 3600.0, 0.5 * 3600, 0.0)
    assert table(await amplitude.dashboard.sessions_per_user(**DAYS))["value"] == (1.0, 1.0, 1.0)


async def test_a_composition(amplitude: AsyncAmplitude) -> None:
    """Users by country."""
    made = table(await amplitude.dashboard.composition("country", **DAYS))
    assert made["property"] == ("country", "country")
    assert dict(zip(made["value"], made["users"], strict=True)) == {"Norway": 2, "Sweden": 3}


async def test_the_events_of_the_project(amplitude: AsyncAmplitude) -> None:
    """Those that were tracked, by their names."""
    listed = await amplitude.dashboard.events_list()
    assert {event["value"] for event in listed["data"]} == {"signup", "search", "buy"}


async def test_a_formula(amplitude: AsyncAmplitude) -> None:
    """Purchases for each user who signed up, by day."""
    answer = await amplitude.dashboard.segmentation(e=BUY, e2=SIGNUP, formula="TOTALS(A)/UNIQUES(B)", **DAYS)
    assert table(answer)["value"] == (0.5, 1.0, 1.0)


async def test_revenue(amplitude: AsyncAmplitude) -> None:
    """The two who were new on the first day paid 10 on that day, and 30 within three days."""
    made = table(await amplitude.dashboard.revenue_ltv(**DAYS, m="total_revenue"))
    first = {row["day"]: row["value"] for row in made.to_records() if row["date"] == date(2026, 5, 1)}
    assert (first[1], first[3], first[90]) == (10.0, 30.0, 30.0)
    assert {row["count"] for row in made.to_records() if row["date"] == date(2026, 5, 1)} == {2}
    arpu = table(await amplitude.dashboard.revenue_ltv(**DAYS))
    assert {row["value"] for row in arpu.to_records() if row["date"] == date(2026, 5, 1) and row["day"] == 3} == {15.0}


async def test_who_is_active_now() -> None:
    """Today's and yesterday's users, every five minutes of a day."""
    now = at(4, 12)
    with Sandbox(clock=now.timestamp) as box:
        async with AsyncAmplitude(**box.credentials) as amplitude:
            await amplitude.track({"event_type": "x", "user_id": "ada-12345", "time": now - timedelta(minutes=7)})
            made = table(await amplitude.dashboard.realtime())
    assert len(made) == 2 * 288
    assert sum(made["users"]) == 1


async def test_a_saved_chart() -> None:
    """Its numbers as CSV and as JSON are those of the query that it was saved from; an unknown one is not found."""
    with Sandbox(clock=at(4, 12).timestamp) as box:
        box.save_chart("k3x9q2f", "events/segmentation", e={"event_type": "buy"}, m="totals", start="20260501", end="20260503")
        async with AsyncAmplitude(**box.credentials) as amplitude:
            await amplitude.track(events())
            numbers = table(await amplitude.dashboard.segmentation(e=BUY, m="totals", **DAYS))["value"]
            assert table(await amplitude.dashboard.chart_query("k3x9q2f"))["value"] == numbers == (1, 2, 1)
            text = await amplitude.dashboard.chart_csv("k3x9q2f")
            (row,) = table(text).to_records()
            assert tuple(row.values())[1:] == numbers
            for ask in (amplitude.dashboard.chart_csv, amplitude.dashboard.chart_query):
                with pytest.raises(NotFoundError):
                    await ask("unknown")


COSTED = [
    ("segmentation", {"e": BUY, "e2": SIGNUP.group_by("country"), **DAYS}),
    ("segmentation", {"e": BUY, "s": [Segment(), Segment().where("country", "is", "Norway").performed("buy")], **DAYS}),
    ("segmentation", {"e": BUY, "g": "country", "g2": "platform", **DAYS}),
    ("funnels", {"e": [SIGNUP, SEARCH.group_by("country"), BUY], "g": "country", **DAYS}),
    ("retention", {"se": SIGNUP, "re": BUY, "s": Segment().in_cohort("k"), **DAYS}),
    ("active_users", {"g": "country", **DAYS}),
    ("new_users", {"s": [Segment(), Segment().where("country", "is", "Norway")], **DAYS}),
    ("session_lengths", DAYS),
    ("average_session_length", DAYS),
    ("sessions_per_user", DAYS),
    ("composition", {"p": "country", **DAYS}),
    ("events_list", {}),
    ("realtime", {}),
    ("revenue_ltv", {"g": "country", **DAYS}),
]


@pytest.mark.parametrize(("query", "parameters"), COSTED, ids=lambda value: value if isinstance(value, str) else "")
async def test_what_it_costs_here_it_costs_there(query: Any, parameters: dict[str, Any]) -> None:
    """A sandbox that allows exactly what cost() says answers the query, and one that allows one unit less refuses it."""
    cost = AsyncAmplitude("key").dashboard.cost(query, **parameters)
    for allowed in (cost, cost - 1):
        with Sandbox(limits=Limits(cost_per_five_minutes=allowed)) as box:
            async with AsyncAmplitude(**box.credentials, max_retries=0) as amplitude:
                if allowed == cost:
                    await getattr(amplitude.dashboard, query)(**parameters)
                else:
                    with pytest.raises(Exception, match=f"query of cost {cost}"):
                        await getattr(amplitude.dashboard, query)(**parameters)
