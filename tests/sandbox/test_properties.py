"""Property operations: each operation by example, and what holds for all values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplitude_async.sandbox.properties import GROUP_OPERATIONS, apply, problem

scalars = st.one_of(st.integers(-9, 9), st.text(max_size=3), st.booleans())
lists = st.lists(scalars, max_size=5)


@pytest.mark.parametrize(
    ("stored", "change", "expected"),
    [
        ({"a": 1}, {"a": 2, "b": 3}, {"a": 2, "b": 3}),
        ({"a": 1}, {"$set": {"a": 2}}, {"a": 2}),
        ({"a": 1}, {"$setOnce": {"a": 2, "b": 3}}, {"a": 1, "b": 3}),
        ({"a": 1}, {"$add": {"a": -2, "b": 1.5}}, {"a": -1, "b": 1.5}),
        ({"a": "x"}, {"$add": {"a": 1, "b": "y"}}, {"a": "x"}),
        ({"a": 1}, {"$append": {"a": 2, "b": [3, 4]}}, {"a": [1, 2], "b": [3, 4]}),
        ({"a": [1]}, {"$prepend": {"a": [2, 3]}}, {"a": [2, 3, 1]}),
        ({"a": 1, "b": 2}, {"$unset": {"a": "-", "c": "-"}}, {"b": 2}),
        ({"a": [1, 2]}, {"$preInsert": {"a": [2, 3, 4]}}, {"a": [3, 4, 1, 2]}),
        ({"a": [1, 2]}, {"$postInsert": {"a": [2, 3, 3]}}, {"a": [1, 2, 3]}),
        ({"a": [1, True, 1, 2]}, {"$remove": {"a": 1, "b": 1}}, {"a": [True, 2]}),
        ({"a": 1}, {"$clearAll": "-"}, {}),
        ({"a": 1}, {"$set": {"a": 5}, "$unset": {"a": "-"}, "$add": {"a": 1}}, {"a": 6}),
    ],
)
def test_each_operation_does_what_is_documented(
    stored: dict[str, object], change: dict[str, object], expected: dict[str, object]
) -> None:
    """An operation changes the stored properties as Amplitude's page says, and its arguments not at all."""
    before = repr((stored, change))
    assert apply(stored, change) == expected
    assert repr((stored, change)) == before


@pytest.mark.parametrize("change", [{"$set": {}, "a": 1}, {"$set": 1}, {"$add": []}])
def test_a_mixed_or_malformed_change_is_a_problem(change: dict[str, object]) -> None:
    """Operations beside plain keys, and operations without an object, are refused."""
    assert problem(change)


def test_groups_know_six_operations() -> None:
    """What a user may do with lists beyond append and prepend, a group may not."""
    assert problem({"$remove": {"a": 1}}) is None
    assert problem({"$remove": {"a": 1}}, GROUP_OPERATIONS)


@given(lists, lists)
def test_inserting_twice_is_inserting_once(stored: list[object], values: list[object]) -> None:
    """The insert operations never add what is present, so that repeating them changes nothing."""
    for name in ("$preInsert", "$postInsert"):
        once = apply({"a": stored}, {name: {"a": values}})
        assert apply(once, {name: {"a": values}}) == once


@given(lists, lists)
def test_what_was_removed_is_gone_and_the_rest_keeps_its_order(stored: list[object], values: list[object]) -> None:
    """Removing values leaves the others as they were, after any append of values."""
    kept = apply({"a": stored}, {"$remove": {"a": values}})["a"]
    assert apply({"a": [*stored, *values]}, {"$remove": {"a": values}})["a"] == kept


@given(st.integers(), st.integers())
def test_adding_back_restores_the_number(stored: int, amount: int) -> None:
    """Adding an amount and then its negative leaves the number as it was."""
    more = apply({"a": stored}, {"$add": {"a": amount}})
    assert apply(more, {"$add": {"a": -amount}}) == {"a": stored}
