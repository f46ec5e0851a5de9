"""Amplitude's quotas as books: what may go when."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplitude_async._protocol.budget import QUOTAS, Budget, Moment, Period, Quota, Use, Window, fills_a_window, quota_fault


def at(seconds: float) -> Moment:
    return Moment(seconds, seconds)


def test_the_documented_quotas_are_these() -> None:
    """The figures are those of Amplitude's pages."""
    assert QUOTAS == {
        "rest": Quota(5),
        "queries": Quota(None, (Window(1000, 300.0), Window(108_000, 3600.0))),
        "user_lookups": Quota(10, (Window(360, 3600.0),)),
        "cohort_requests": Quota(None, (Window(4, 60.0), Window(60, 600.0), Period(500, "month"))),
        "taxonomy": Quota(4, (Window(7200, 3600.0),)),
        "profiles": Quota(None, (Window(600, 60.0),)),
        "scim": Quota(None, (Window(100, 60.0),)),
        "dsar": Quota(None, (Window(14_400, 3600.0),)),
        "deletions": Quota(8, (Window(1, 1.0),)),
        "streaming": Quota(4, (Window(12, 60.0),)),
        "management": Quota(None, (Window(100, 1.0), Period(100_000, "day"))),
        "mapping": Quota(None, (Window(1500, 30.0),)),
    }


@pytest.mark.parametrize(
    ("quota", "fault"),
    [
        (Quota(), ""),
        (Quota(1), ""),
        (Quota(5, (Window(1, 0.5), Period(1, "day"), Period(1, "month"))), ""),
        (Quota(windows=[Window(10, 60)]), ""),  # type: ignore[arg-type]  # a list does as well
        ("5 a minute", "must be a Quota, its windows a tuple"),
        ((5, ()), "must be a Quota, its windows a tuple"),
        (Quota(windows=Window(10, 60.0)), "must have windows that are each a Window or a Period"),  # type: ignore[arg-type]
        (Quota(windows={}), "must be a Quota, its windows a tuple"),  # type: ignore[arg-type]
        (Quota(windows=((10, 60.0),)), "must have windows that are each a Window or a Period"),  # type: ignore[arg-type]
        (Quota(0), "must have costs that are whole numbers from 1"),
        (Quota(True), "must have costs that are whole numbers from 1"),
        (Quota(1.0), "must have costs that are whole numbers from 1"),  # type: ignore[arg-type]
        (Quota(windows=(Window(0, 60.0),)), "must have costs that are whole numbers from 1"),
        (Quota(windows=(Period(-1, "day"),)), "must have costs that are whole numbers from 1"),
        (Quota(windows=(Period(1, "week"),)), "must have periods of a 'day' or a 'month'"),  # type: ignore[arg-type]
        (Quota(windows=(Window(1, 0),)), "must have windows of a positive number of seconds"),
        (Quota(windows=(Window(1, inf),)), "must have windows of a positive number of seconds"),
        (Quota(windows=(Window(1, nan),)), "must have windows of a positive number of seconds"),
        (Quota(windows=(Window(1, "60"),)), "must have windows of a positive number of seconds"),  # type: ignore[arg-type]
    ],
)
def test_what_a_quota_of_the_users_own_may_be(quota: object, fault: str) -> None:
    """What would never let anything through, or cannot be counted, is told from a quota, and why."""
    assert quota_fault(quota) == fault


def test_a_window_frees_what_left_it() -> None:
    """A query waits just until enough of what was asked before is older than the window."""
    budget = Budget()
    for second, cost in ((0, 400), (100, 500)):
        assert budget.wait([Use("queries", cost)], at(second)) == 0
        budget.take([Use("queries", cost)], at(second))
    assert budget.wait([Use("queries", 100)], at(100)) == 0
    assert budget.wait([Use("queries", 101)], at(100)) == 200
    assert budget.wait([Use("queries", 501)], at(100)) == 300
    assert budget.wait([Use("queries", 501)], at(400)) == 0


def test_a_query_above_the_window_goes_when_it_is_empty() -> None:
    """A single query that costs more than five minutes allow is sent when nothing else was asked in them."""
    budget = Budget()
    assert budget.wait([Use("queries", 1800)], at(0)) == 0
    budget.take([Use("queries", 1800)], at(0))
    assert budget.wait([Use("queries", 1)], at(1)) == 299
    assert budget.wait([Use("queries", 1800)], at(1)) == 299


def test_what_is_under_way_is_waited_for_without_a_time() -> None:
    """A place among the requests in flight is free when one of them ends; a call dearer than all places goes alone."""
    budget = Budget({"taxonomy": Quota(in_flight=4)})
    assert budget.running("taxonomy") == 0
    budget.take([Use("taxonomy", 2)], at(0))
    budget.take([Use("taxonomy", 2)], at(0))
    assert budget.running("taxonomy") == 4
    assert budget.wait([Use("taxonomy", 1)], at(0)) == inf
    budget.give_back([Use("taxonomy", 2)])
    assert budget.wait([Use("taxonomy", 3)], at(0)) == inf
    assert budget.wait([Use("taxonomy", 2)], at(0)) == 0
    budget.give_back([Use("taxonomy", 2)])
    assert budget.wait([Use("taxonomy", 9)], at(0)) == 0


@pytest.mark.parametrize(
    ("unit", "now", "wait"),
    [
        ("day", datetime(2026, 5, 1, 23, tzinfo=UTC), 3600),
        ("month", datetime(2026, 5, 31, 23, tzinfo=UTC), 3600),
        ("month", datetime(2026, 12, 31, 23, 30, tzinfo=UTC), 1800),
        ("month", datetime(2026, 1, 31, tzinfo=UTC), 86_400),
    ],
)
def test_a_calendar_period_begins_anew(unit: str, now: datetime, wait: float) -> None:
    """What a day or month allowed is allowed again with the next one, in UTC."""
    period = Period(2, "day" if unit == "day" else "month")
    budget = Budget({"management": Quota(windows=(period,))})
    moment = Moment(0, now.timestamp())
    budget.take([Use("management"), Use("management")], moment)
    assert budget.wait([Use("management")], moment) == wait
    assert budget.wait([Use("management")], Moment(0, now.timestamp() + wait)) == 0


@given(st.lists(st.tuples(st.integers(1, 700), st.floats(0, 200)), max_size=60))
def test_no_window_is_ever_passed(asked: list[tuple[int, float]]) -> None:
    """Whatever is asked, when every call waits as told, no span of five minutes holds more than its allowance."""
    budget = Budget()
    now = 0.0
    taken: list[tuple[float, int]] = []
    for cost, idle in asked:
        now += idle
        now += budget.wait([Use("queries", cost)], at(now)) + 1e-6
        assert budget.wait([Use("queries", cost)], at(now)) == 0
        budget.take([Use("queries", cost)], at(now))
        taken.append((now, cost))
        assert sum(amount for moment, amount in taken if moment > now - 300) <= 1000


def test_what_fills_a_window_is_known() -> None:
    """A deletion, and as many mappings as half a minute takes; a query fills none, and in-flight limits are no windows."""
    assert fills_a_window([Use("deletions")])
    assert fills_a_window([Use("rest"), Use("mapping", 1500)])
    assert not fills_a_window([Use("mapping", 1499), Use("rest", 5), Use("queries"), Use("cohort_requests")])
    assert not fills_a_window([])
