"""From management's documents to what users get: compared with a second computation of the documented rules, written differently."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_async.resources.evaluation import evaluate
from amplitude_async.sandbox import flags, slots
from amplitude_async.sandbox.assigning import Rules, pattern, shares

COUNTRIES = ["Norway", "Sweden", "Peru", None]
TIERS = ["gold", "grey", None]


def experiment(key: str, ident: str, **fields: Any) -> dict[str, Any]:
    made = flags.new("experiments", {"projectId": 1, "key": key, "bucketingKey": "user_id"}, ident=ident, at=0.0)
    return flags.edited("experiments", made, {"enabled": True, "rolloutPercentage": 100, **fields})


def user(number: int) -> dict[str, Any]:
    found: dict[str, Any] = {"user_id": f"user-{number}", "user_properties": {}}
    if (country := COUNTRIES[number % 4]) is not None:
        found["country"] = country
    if (tier := TIERS[number % 3]) is not None:
        found["user_properties"]["tier"] = tier
    return found


def results(rules: Rules, person: dict[str, Any]) -> dict[str, str]:
    configs = rules.configs(is_served=lambda _kind, _document: True)
    return {key: variant["key"] for key, variant in evaluate(configs, person).items() if variant["key"] != "off"}


# The second computation: https://amplitude.com/docs/feature-experiment/under-the-hood/experiment-randomization, step by step.


def hashed(text: str) -> int:
    """MurmurHash3 for x86 in 32 bits, from its description: blocks of four bytes, the rest, and the final mix."""

    def rotated(value: int, by: int) -> int:
        return ((value << by) | (value >> (32 - by))) % 2**32

    def scrambled(block: int) -> int:
        return rotated(block * 0xCC9E2D51 % 2**32, 15) * 0x1B873593 % 2**32

    data = text.encode()
    state = 0
    for place in range(0, len(data), 4):
        block = data[place : place + 4]
        state ^= scrambled(sum(byte << (8 * index) for index, byte in enumerate(block)))
        if len(block) == 4:
            state = (rotated(state, 13) * 5 + 0xE6546B64) % 2**32
    state ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        state = (state ^ state >> shift) * factor % 2**32
    return state ^ state >> 16


def dealt(salt: str, value: str, percentage: float, weights: dict[str, int]) -> str | None:
    number = hashed(f"{salt}/{value}")
    if not number % 100 < percentage or not sum(weights.values()):
        return None
    place = number // 100
    reached = 0
    for key, weight in weights.items():
        reached += weight
        if place < 42_949_673 * reached // sum(weights.values()):
            return key
    return None


def meets(person: dict[str, Any], condition: dict[str, Any]) -> bool:
    name = condition["prop"]
    value = person["user_properties"].get(name[3:]) if name.startswith("gp:") else person.get(name)
    if condition["op"] == "is":
        return (value or "(none)") in condition["values"]
    if condition["op"] == "is not":
        return (value or "(none)") not in condition["values"]
    return value is not None and any(re.fullmatch(each.replace("*", ".*"), value) for each in condition["values"])


def expected(document: dict[str, Any], person: dict[str, Any]) -> str | None:
    if not document["enabled"]:
        return None
    for key, ids in document["_users"].items():
        if person["user_id"] in ids:
            return str(key)
    for segment in document["targetSegments"]:
        if all(meets(person, condition) for condition in segment["conditions"]):
            return dealt(
                document["bucketingSalt"], person["user_id"], segment["percentage"], in_order(document, segment["rolloutWeights"])
            )
    weights = in_order(document, document["rolloutWeights"])
    return dealt(document["bucketingSalt"], person["user_id"], document["rolloutPercentage"], weights)


def in_order(document: dict[str, Any], weights: dict[str, int]) -> dict[str, int]:
    return {variant["key"]: weights.get(variant["key"], 0) for variant in document["variants"]}


conditions = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("property"),
            "prop": st.just("country"),
            "op": st.sampled_from(["is", "is not"]),
            "values": st.lists(st.sampled_from(["Norway", "Peru", "(none)"]), min_size=1, max_size=2),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("property"),
            "prop": st.just("gp:tier"),
            "op": st.sampled_from(["is", "glob match"]),
            "values": st.lists(st.sampled_from(["gold", "g*", "*y"]), min_size=1, max_size=2),
        }
    ),
)
weights = st.fixed_dictionaries({"control": st.integers(0, 5), "treatment": st.integers(0, 5)})
segments = st.fixed_dictionaries(
    {
        "name": st.just("s"),
        "percentage": st.floats(0, 100) | st.integers(0, 100),
        "rolloutWeights": weights,
        "conditions": st.lists(conditions, max_size=2),
    }
)


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "rolloutPercentage": st.integers(0, 100),
            "rolloutWeights": weights,
            "targetSegments": st.lists(segments, max_size=3),
            "bucketingSalt": st.text("abcXYZ09", min_size=1, max_size=8),
            "enabled": st.booleans(),
        }
    ),
    st.lists(st.integers(0, 39), max_size=3),
)
def test_every_user_gets_what_the_documented_rules_say(fields: dict[str, Any], included: list[int]) -> None:
    """Inclusions, segments from the top, then everybody else; percentages by the hash modulo 100, variants by what is left of it."""
    document = experiment("x", "1", **fields)
    if included:
        document = flags.with_included(document, "_users", "treatment", {"inclusions": [f"user-{number}" for number in included]})
    rules = Rules([], [document], [], [])
    for number in range(40):
        person = user(number)
        assert results(rules, person).get("x") == expected(document, person), person


def test_weights_split_the_hash_as_the_page_shows() -> None:
    """Two equal weights: the first variant to 21474835, the second from there to the end."""
    assert shares({"a": 1, "b": 1}) == [
        {"variant": "a", "range": [0, 21_474_836]},
        {"variant": "b", "range": [21_474_836, 42_949_673]},
    ]
    assert shares({"a": 0, "b": 7}) == [{"variant": "b", "range": [0, 42_949_673]}]
    assert shares({"a": 0}) == shares({}) == []


def test_variants_come_by_their_weights() -> None:
    """Of 6,000 users, three times as many get what weighs three times as much."""
    document = experiment("x", "1", rolloutWeights={"control": 1, "treatment": 3})
    rules = Rules([], [document], [], [])
    configs = rules.configs(is_served=lambda _kind, _document: True)
    counts = Counter(evaluate(configs, {"user_id": f"user-{number}"})["x"]["key"] for number in range(6000))
    assert counts.total() == 6000
    assert abs(counts["treatment"] - 4500) < 6 * (6000 * 0.75 * 0.25) ** 0.5


def test_slots_and_holdouts_take_their_shares() -> None:
    """A slot of 70 percent, one of 20, and a holdout of 10 within the first: 63, 20 and 17 percent see one, the other, none."""
    first, second = experiment("first", "11"), experiment("second", "12")
    holdout = slots.new_holdout(
        {"projectId": 1, "name": "h", "holdoutPercentage": 10, "bucketingKey": "user_id", "experiments": [11]}, ident=21, at=0.0
    )
    body = {
        "projectId": 1,
        "name": "m",
        "bucketingKey": "user_id",
        "slots": [{"percentage": 70, "experiments": [11]}, {"percentage": 20, "experiments": ["12"]}, {"percentage": 10}],
    }
    rules = Rules([], [first, second], [slots.new_mutex(body, ident=31)], [holdout])
    configs = rules.configs(is_served=lambda _kind, _document: True)
    counts: Counter[tuple[str, ...]] = Counter()
    for number in range(6000):
        found = evaluate(configs, {"user_id": f"user-{number}"})
        counts[tuple(key for key in ("first", "second") if found[key]["key"] != "off")] += 1
    assert counts[("first", "second")] == 0
    for got, share in ((("first",), 0.63), (("second",), 0.2), ((), 0.17)):
        assert abs(counts[got] - 6000 * share) < 6 * (6000 * share * (1 - share)) ** 0.5


def test_holdouts_within_a_slot_depend_on_it() -> None:
    """Whoever is in another slot is neither held out nor let in, and sees none of the holdout's experiments."""
    inner = experiment("inner", "11")
    holdout = slots.new_holdout(
        {"projectId": 1, "name": "h", "key": "h", "holdoutPercentage": 50, "bucketingKey": "user_id", "experiments": [11]},
        ident=21,
        at=0.0,
    )
    body = {
        "projectId": 1,
        "name": "m",
        "key": "m",
        "bucketingKey": "user_id",
        "slots": [{"percentage": 50, "holdouts": [21]}, {"percentage": 50}],
    }
    rules = Rules([], [inner], [slots.new_mutex(body, ident=31)], [holdout])
    seen: set[tuple[str, str | None, bool]] = set()
    for number in range(200):
        found = results(rules, {"user_id": f"user-{number}"})
        seen.add((found["m"], found.get("h"), "inner" in found))
    assert seen == {("slot-1", "on", True), ("slot-1", "holdout", False), ("slot-2", None, False)}


@pytest.mark.parametrize(
    ("glob", "text", "fits"),
    [
        ("g*d", "gold", True),
        ("g*d", "golden", False),
        ("?", "a", True),
        ("?", "ab", False),
        ("a.c", "abc", False),
        ("(x)", "(x)", True),
    ],
)
def test_a_glob_as_a_pattern(glob: str, text: str, fits: bool) -> None:
    """A star is anything, a question mark one character, all else itself."""
    assert (re.search(pattern(glob), text) is not None) is fits


def test_a_groups_flag_is_dealt_out_by_the_group() -> None:
    """Users of one company get the same variant, and users of none get nothing."""
    document = flags.new("experiments", {"projectId": 1, "key": "x", "bucketingKey": "company"}, ident="1", at=0.0)
    document = flags.edited("experiments", document, {"enabled": True, "rolloutPercentage": 100, "bucketingUnit": "company"})
    rules = Rules([], [document], [], [])
    found = {
        company: {results(rules, {"user_id": f"user-{number}", "groups": {"company": [company]}})["x"] for number in range(5)}
        for company in ("Acme", "Umbrella", "Initech", "Hooli", "Stark", "Wayne", "Wonka", "Tyrell")
    }
    assert {len(each) for each in found.values()} == {1}
    assert len({next(iter(each)) for each in found.values()}) == 2
    assert results(rules, {"user_id": "user-1"}) == {}


def test_renaming_a_variant_moves_nobody() -> None:
    """Users are dealt out by the order of variants, not of their names or weights."""
    before = experiment("x", "1")
    after = flags.with_edited_variant(before, 0, {"key": "renamed"})
    for number in range(40):
        person = user(number)
        was, now = (results(Rules([], [each], [], []), person)["x"] for each in (before, after))
        assert now == was.replace("control", "renamed")
