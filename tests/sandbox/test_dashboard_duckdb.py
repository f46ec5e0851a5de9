"""The same numbers in SQL: what DuckDB makes of the exported rows, where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .made_up import END, START, World, days, named

duckdb: Any = pytest.importorskip("duckdb", reason="a second computation in SQL; DuckDB is not installed")

IN_RANGE = f"day BETWEEN DATE '{START}' AND DATE '{END}'"


@pytest.fixture(scope="session")
def database(world: World) -> Iterator[Any]:
    """Load the exported rows into a table."""
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE events (id INTEGER, person VARCHAR, kind VARCHAR, us BIGINT, day DATE, hour BIGINT, platform VARCHAR, "
            "session BIGINT, n INTEGER, revenue DOUBLE, active BOOLEAN)"
        )
        connection.executemany(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    event.order,
                    event.user,
                    event.kind,
                    round(event.at.timestamp() * 1_000_000),
                    world.day(event),
                    (event.at.astimezone(world.zone).replace(minute=0, second=0, microsecond=0).timestamp()) // 60,
                    event.row["platform"],
                    event.row["session_id"],
                    event.row["event_properties"]["n"],
                    event.row["event_properties"].get("$revenue"),
                    event.is_active,
                )
                for event in world.events
            ],
        )
        yield connection


def rows(database: Any, sql: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = database.execute(sql).fetchall()
    return found


def by_day(found: list[tuple[Any, ...]]) -> list[Any]:
    numbers = dict(found)
    return [numbers.get(day, 0) for day in days()]


@pytest.mark.parametrize(
    ("metric", "sql"),
    [
        ("uniques", "count(DISTINCT person)"),
        ("totals", "count(*)"),
        ("average", "count(*) / count(DISTINCT person)"),
        ("sums", "sum(n)"),
        ("value_avg", "avg(n)"),
    ],
)
def test_segmentation_in_sql(world: World, database: Any, metric: str, sql: str) -> None:
    """A metric by platform and day is an aggregate by platform and day."""
    e = named("view", group_by=[{"type": "event", "value": "n"}]) if metric in {"sums", "value_avg"} else named("view")
    data = world.ask("events/segmentation", e=e, m=metric, g="platform")
    found = rows(
        database, f"SELECT coalesce(platform, '(none)'), day, {sql} FROM events WHERE kind = 'view' AND {IN_RANGE} GROUP BY 1, 2"
    )
    assert sorted(data["seriesLabels"]) == sorted({label for label, *_rest in found})
    for label, series in zip(data["seriesLabels"], data["series"], strict=True):
        assert series == [pytest.approx(each) for each in by_day([each[1:] for each in found if each[0] == label])]


def test_a_rolling_window_in_sql(world: World, database: Any) -> None:
    """Users of the last seven days are a join of days with the events up to six days before."""
    data = world.ask("events/segmentation", e=named("search"), rollingWindow="7")
    found = rows(
        database,
        f"SELECT d.day, count(DISTINCT e.person) FROM (SELECT DISTINCT day FROM events WHERE {IN_RANGE}) d "
        "JOIN events e ON e.day BETWEEN d.day - 6 AND d.day WHERE e.kind = 'search' GROUP BY 1",
    )
    assert data["series"] == [by_day(found)]


def test_a_funnel_in_sql(world: World, database: Any) -> None:
    """An ordered funnel is a chain of joins, each to the first later event of its kind within the window."""
    seconds = 2 * 86_400
    window = f"{seconds * 1_000_000}::BIGINT"
    (found,) = world.ask("funnels", e=[named("search"), named("view"), named("buy")], cs=seconds)
    (users,) = rows(
        database,
        f"""
        WITH entries AS (SELECT id AS a, person, us AS entered FROM events WHERE kind = 'search' AND {IN_RANGE}),
        second AS (SELECT a, person, entered, (SELECT min(id) FROM events e WHERE e.person = x.person AND e.kind = 'view' AND e.id > x.a
            AND e.us <= x.entered + {window}) AS b FROM entries x),
        third AS (SELECT a, b, person, (SELECT min(id) FROM events e WHERE e.person = x.person AND e.kind = 'buy' AND e.id > x.b
            AND e.us <= x.entered + {window}) AS c FROM second x)
        SELECT count(DISTINCT person), count(DISTINCT CASE WHEN b IS NOT NULL THEN person END),
            count(DISTINCT CASE WHEN c IS NOT NULL THEN person END) FROM third
        """,
    )
    assert found["cumulativeRaw"] == list(users)


def test_retention_in_sql(world: World, database: Any) -> None:
    """A day of retention is a join of start events with later ones, by the whole hours between."""
    data = world.ask("retention", se=named("search"), re=named("_active"))
    found = {
        (day, number): count
        for day, number, count in rows(
            database,
            "SELECT s.day, (r.hour - s.hour) // 1440, count(DISTINCT s.person) FROM events s JOIN events r "
            f"ON r.person = s.person AND r.id > s.id AND r.active WHERE s.kind = 'search' AND s.{IN_RANGE} GROUP BY 1, 2",
        )
    }
    values = data["series"][0]["values"]
    for day in days():
        assert [cell["count"] for cell in values[f"{day:%b %d}"][1:]] == [found.get((day, number), 0) for number in range(31)]


def test_composition_and_users_in_sql(world: World, database: Any) -> None:
    """Composition and active users are counts of distinct people."""
    data = world.ask("composition", p="platform")
    found = rows(
        database, f"SELECT coalesce(platform, '(none)'), count(DISTINCT person) FROM events WHERE active AND {IN_RANGE} GROUP BY 1"
    )
    assert dict(zip(data["xValues"], data["series"][0], strict=True)) == dict(found)
    active = rows(database, f"SELECT day, count(DISTINCT person) FROM events WHERE active AND {IN_RANGE} GROUP BY 1")
    assert world.ask("users")["series"] == [by_day(active)]
    new = rows(database, "SELECT first, count(*) FROM (SELECT person, min(day) AS first FROM events GROUP BY 1) GROUP BY 1")
    assert world.ask("users", m="new")["series"] == [by_day(new)]


def test_sessions_in_sql(world: World, database: Any) -> None:
    """Sessions are groups of a person's events; their averages and lengths are aggregates over those."""
    sessions = (
        "(SELECT person, arg_min(day, id) AS day, (max(us) - min(us)) / 1e6 AS seconds FROM events WHERE session >= 0 "
        "GROUP BY person, session)"
    )
    average = rows(database, f"SELECT day, avg(seconds) FROM {sessions} GROUP BY 1")
    assert world.ask("sessions/average")["series"] == [[pytest.approx(each) for each in by_day(average)]]
    per_user = rows(database, f"SELECT day, count(*) / count(DISTINCT person) FROM {sessions} GROUP BY 1")
    assert world.ask("sessions/peruser")["series"] == [[pytest.approx(each) for each in by_day(per_user)]]
    minutes = dict(rows(database, f"SELECT floor(seconds / 60), count(*) FROM {sessions} WHERE {IN_RANGE} GROUP BY 1"))
    bins = {"TimeUnit": "minutes", "Min": "0", "Max": "30", "Size": "1"}
    data = world.ask("sessions/length", **{f"timeHistogramConfigBin{name}": value for name, value in bins.items()})
    assert data["series"] == [[minutes.get(minute, 0) for minute in range(30)]]


def test_lifetime_value_in_sql(world: World, database: Any) -> None:
    """Revenue of new users by the day of their first event, and how many days after it."""
    data = world.ask("revenue/ltv", m="2")
    for day, week, whole, payers in rows(
        database,
        "SELECT f.first, sum(e.revenue) FILTER (e.day < f.first + 7), sum(e.revenue), count(DISTINCT e.person) "
        "FROM (SELECT person, min(day) AS first FROM events GROUP BY 1) f JOIN events e ON e.person = f.person "
        "WHERE e.revenue IS NOT NULL AND e.day < f.first + 90 GROUP BY 1",
    ):
        if START <= day <= END:
            values = data["series"][0]["values"][day.isoformat()]
            assert (values["r7d"], values["total_amount"], values["paid"]) == (pytest.approx(week or 0), pytest.approx(whole), payers)
