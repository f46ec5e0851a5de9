"""Local evaluation: conditions, buckets, dependencies; compared with what Amplitude's own server SDK for Python answered."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_async import InvalidArgumentError
from amplitude_async.resources.evaluation import DISTRIBUTION_END, assigned, evaluate
from amplitude_async.resources.experiment import Experiment

HALF = DISTRIBUTION_END // 2

# What amplitude-experiment 1.13.0 (its EvaluationEngine) answered for each operator, each of these values of a property, and each of
# these lists of values: one bit each, in that order.
VALUES: list[Any] = [
    None,
    "",
    "a",
    "A",
    "abc",
    "true",
    "True",
    "10",
    "9",
    "1.5",
    "1.10.0",
    "1.9.0",
    "1.10.0-beta",
    '["a","b"]',
    "[a",
    ["a", "b"],
    ["b", "a", "b"],
    ["10"],
    [],
    7,
]
WANTED = [["a"], ["A", "b"], ["(none)"], ["TRUE"], ["9"], ["10", "2"], ["1.9.0"], ["1.10"], ["a", "b"], ["^a.c$", "x"]]
RECORDED = {
    "is": "2008080900000401001008000000080030200302c081020000",
    "is not": "dff7f7f6fffffbfeffeff7fffffff7ffffdffffdff7efdffff",
    "contains": "20080c0b02c0840100100800005028c5b02c0b02c081020000",
    "does not contain": "dff7f3f4fd3f7bfeffeff7ffffafd73a6fd3f6fdbf7efdffff",
    "less": "2008040f4340c01c0f43d4f7bdef73ded03c0d0340f4320373",
    "less or equal": "20080c0f4340c01c0f53dcf7bdef7bdef03c0f03c0f5320373",
    "greater": "200807f4bcfffff7f0bc2708421084213ff7f3ffffcbc2009c",
    "greater or equal": "20080ffdbcfffff7f0bc2f0842108c213ff7f3ffffcbc2009c",
    "version less": "2008040f4340c01c0f73d0f7fdcf77ddd03c0d0340f7320363",
    "version less or equal": "20080c0f4340c01c0f73d8f7fddf7fddf03c0f03c0f7320363",
    "version greater": "200807f4bcfffff7f08c2708022080223ff7f3ffffc8c2009c",
    "version greater or equal": "20080ffdbcfffff7f09c2f08023088223ff7f3ffffc9c2009c",
    "set is": "20080000000000000000000000000000002000020080020000",
    "set is not": "000000000000000000000000000000003fd003fdff7ff00000",
    "set contains": "20080000000000000000000000000000202002028080020000",
    "set does not contain": "dff7f0000000000000000000000000001fd001fd7f7ffdfc00",
    "set contains any": "2008000000000000000000000000000030200302c081020000",
    "set does not contain any": "dff7f0000000000000000000000000000fd000fd3f7efdfc00",
    "regex match": "0000080900c0c00000100800005028c5b0280b02c081000000",
    "regex does not match": "000007f6ff3f3fffffeff7ffffafd73a7fd7f7fdff7ef003ff",
    "no such operator": "00000000000000000000000000000000000000000000000000",
}
DEALT = "--abab-babab-bbabbba-aaba-bab-bb-ab-aba-aa-----aa-aba-bb-abbbab--ab-bababa-bab-baa-b-bbaaa--bb-a-aaab--ab-aaaaa-bbaa--aa"
DEALT_BEYOND_ASCII = "b-a--abbbbab--ba--aabaa-bb-b-b-baaab--b--aa-abaabaa-aa---aba"


def flag(key: str = "f", *, segments: list[dict[str, Any]], **rest: Any) -> dict[str, Any]:
    variants = {
        "off": {"key": "off", "metadata": {"default": True}},
        **{name: {"key": name, "value": name} for name in ("on", "a", "b")},
    }
    return {"key": key, "variants": variants, "segments": segments, **rest}


def given_if(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"conditions": [list(conditions)], "variant": "on"}


def condition(path: list[str], op: str, *values: str) -> dict[str, Any]:
    return {"selector": path, "op": op, "values": list(values)}


def gets(config: dict[str, Any], user: dict[str, Any], *others: dict[str, Any]) -> str | None:
    found = evaluate([*others, config], user).get(config["key"])  # type: ignore[list-item]  # written as JSON
    return None if found is None else found["key"]


@pytest.mark.parametrize("name", RECORDED)
def test_an_operator_decides_as_in_amplitudes_sdk(name: str) -> None:
    """Each of 20 values meets each of 10 lists as it did in Amplitude's own engine, unset ones and lists included."""
    bits = f"{int(RECORDED[name], 16):0{len(VALUES) * len(WANTED)}b}"
    ours = ""
    for value in VALUES:
        for wanted in WANTED:
            config = flag(segments=[given_if(condition(["context", "user", "user_properties", "p"], name, *wanted))])
            ours += "0" if gets(config, {"user_id": "u", "user_properties": {"p": value}}) is None else "1"
    differing = [
        (VALUES[i // len(WANTED)], WANTED[i % len(WANTED)]) for i, (a, b) in enumerate(zip(ours, bits, strict=True)) if a != b
    ]
    assert not differing


@pytest.mark.parametrize(
    ("value", "op", "wanted", "holds"),
    [
        (False, "is", "false", True),
        (False, "is", "(none)", False),
        (0, "is", "0", True),
        (0, "less", "1", True),
        (1.0, "is", "1", True),
        (True, "is", "True", True),
        ({"a": 1}, "contains", '"a":1', True),
        ("nan", "less", "9", False),
        ("x", "regex match", "(unclosed", False),
        ("x", "regex does not match", "(unclosed", True),
    ],
)
def test_values_that_are_easily_mistaken(value: object, op: str, wanted: str, holds: bool) -> None:
    """False and 0 are values, a float that is whole is spelled as one, and a broken pattern fits nobody."""
    config = flag(segments=[given_if(condition(["context", "user", "user_properties", "p"], op, wanted))])
    assert (gets(config, {"user_properties": {"p": value}}) == "on") is holds


def dealing(percentage: int) -> dict[str, Any]:
    distributions = [{"variant": "a", "range": [0, HALF]}, {"variant": "b", "range": [HALF, DISTRIBUTION_END]}]
    allocations = [{"range": [0, percentage], "distributions": distributions}]
    return {"bucket": {"selector": ["context", "user", "user_id"], "salt": "Qm3XzT9a", "allocations": allocations}, "variant": "off"}


@pytest.mark.parametrize(("stem", "dealt"), [("user", DEALT), ("bruker-æøå", DEALT_BEYOND_ASCII)])
def test_users_are_dealt_out_as_by_amplitudes_sdk(stem: str, dealt: str) -> None:
    """The same users get the same variants as from Amplitude's own engine: 70 percent take part, half of them each."""
    config = flag(segments=[dealing(70)])
    ours = "".join((gets(config, {"user_id": f"{stem}-{number}"}) or "?").replace("off", "-") for number in range(len(dealt)))
    assert ours == dealt


@settings(max_examples=25)
@given(st.integers(0, 100), st.text(min_size=1, max_size=8))
def test_a_percentage_takes_part_and_variants_share_it(percentage: int, salt: str) -> None:
    """Of 400 users the share takes part, give or take six standard deviations, and nobody leaves when it grows."""
    config = flag(segments=[dealing(percentage)])
    wider = flag(segments=[dealing(min(percentage + 10, 100))])
    for each in (config, wider):
        each["segments"][0]["bucket"]["salt"] = salt
    counts: Counter[str | None] = Counter()
    for number in range(400):
        user = {"user_id": f"user-{number}"}
        got = gets(config, user)
        counts[got] += 1
        assert got == "off" or gets(wider, user) == got
    share = percentage / 100
    taking_part = counts["a"] + counts["b"]
    assert abs(taking_part - 400 * share) <= 6 * (400 * share * (1 - share)) ** 0.5
    assert abs(counts["a"] - counts["b"]) <= 6 * taking_part**0.5


def test_the_first_segment_that_gives_a_variant_decides() -> None:
    """One whose conditions fail is passed over, one without conditions takes everybody, one without a variant none."""
    nordic = condition(["context", "user", "country"], "is", "Norway", "Sweden")
    config = flag(segments=[given_if(nordic), {}, {"variant": "no such"}, {"variant": "a", "metadata": {"segmentName": "rest"}}])
    assert gets(config, {"country": "Sweden"}) == "on"
    assert gets(config, {"country": "Peru"}) == "a"
    assert gets(flag(segments=[given_if(nordic)]), {"country": "Peru"}) is None


def test_inner_conditions_are_joined_by_and_outer_ones_by_or() -> None:
    """[[a, b], [c]] is (a and b) or c."""
    a, b, c = (condition(["context", "user", name], "is", "1") for name in "abc")
    config = flag(segments=[{"conditions": [[a, b], [c]], "variant": "on"}])
    assert [gets(config, user) for user in ({"a": "1"}, {"a": "1", "b": "1"}, {"c": "1"}, {})] == [None, "on", "on", None]


def test_groups_are_asked_by_their_type() -> None:
    """A group's name and its properties can be asked for; of several groups of a type the first counts."""
    by_name = flag(segments=[given_if(condition(["context", "groups", "company", "group_name"], "is", "Acme"))])
    by_plan = flag(segments=[given_if(condition(["context", "groups", "company", "group_properties", "plan"], "is", "pro"))])
    user = {"groups": {"company": ["Acme", "Umbrella"]}, "group_properties": {"company": {"Acme": {"plan": "pro"}}}}
    assert gets(by_name, user) == gets(by_plan, user) == "on"
    assert gets(by_name, {"groups": {"company": "Acme"}}) == "on"
    assert gets(by_name, {"groups": {"company": []}}) is None
    assert gets(by_plan, {"groups": {"company": ["Umbrella"]}}) is None
    assert gets(by_name, {"groups": "Acme"}) is None


def test_who_has_no_value_to_be_told_apart_by_gets_the_segments_own_variant() -> None:
    """Nobody is hashed by an empty value."""
    assert gets(flag(segments=[dealing(100)]), {"device_id": "d"}) == "off"
    assert gets(flag(segments=[dealing(100)]), {"user_id": ""}) == "off"


def test_a_flag_is_evaluated_after_those_it_depends_on() -> None:
    """Results can be asked for whatever the order of the list; a flag that is not there has none."""
    parent = flag("parent", segments=[{"variant": "a"}])
    child = flag("child", segments=[given_if(condition(["result", "parent", "key"], "is", "a"))], dependencies=["parent", "gone"])
    assert gets(child, {}, parent) == "on"
    assert [*evaluate([child, parent], {})] == ["parent", "child"]  # type: ignore[list-item]  # written as JSON
    assert gets(child, {}) is None


def test_flags_that_are_asked_for_are_given_alone() -> None:
    """What they depend on is evaluated, and not given."""
    parent = flag("parent", segments=[{"variant": "a"}])
    child = flag("child", segments=[given_if(condition(["result", "parent", "key"], "is", "a"))], dependencies=["parent"])
    configs: Any = [parent, child, flag("other", segments=[{"variant": "a"}])]
    assert [*evaluate(configs, {}, ["child"])] == ["child"]
    assert [*evaluate(configs, {}, "child")] == ["child"]
    assert evaluate(configs, {}, []) == {}


def test_a_long_chain_of_dependencies_is_no_trouble() -> None:
    """A thousand flags, each depending on the next, are evaluated without recursion."""
    configs: Any = [flag(f"f{n}", segments=[{"variant": "a"}], dependencies=[f"f{n + 1}"]) for n in range(1000)]
    assert len(evaluate(configs, {})) == 1000


@pytest.mark.parametrize("keys", [["x"], ["x", "y"], ["x", "y", "z"]])
def test_a_circle_is_refused_and_named(keys: list[str]) -> None:
    """Flags that depend on each other cannot be put in order."""
    configs: Any = [flag(key, segments=[], dependencies=[keys[(index + 1) % len(keys)]]) for index, key in enumerate(keys)]
    with pytest.raises(InvalidArgumentError, match="circle: 'x'"):
        evaluate(configs, {})


@pytest.mark.parametrize(
    "config",
    [
        None,
        "text",
        {},
        {"key": 7},
        flag(segments=[{"conditions": [[{}]]}]),
        flag(segments=[{"bucket": {"selector": ["context"]}}]),
        flag(segments=[7]),  # type: ignore[list-item]  # that is the point
        {"key": "f", "variants": [7], "segments": [{"variant": "a"}]},
    ],
    ids=repr,
)
def test_what_is_no_configuration_is_refused(config: Any) -> None:
    """The refusal is the library's own and names the argument."""
    with pytest.raises(InvalidArgumentError, match="configs"):
        evaluate([config], {"user_id": "u"})


def test_metadata_is_that_of_flag_segment_and_variant_and_nothing_is_changed() -> None:
    """The later one wins where two say something; configurations and users stay as they were."""
    config = flag(segments=[{"variant": "on", "metadata": {"segmentName": "s", "x": 2}}], metadata={"flagVersion": 7, "x": 1, "y": 1})
    config["variants"]["on"] |= {"payload": {"color": "teal"}, "metadata": {"y": 3}, "later": True}
    configs: Any = [config]
    before = copy.deepcopy(configs)
    user = {"user_id": "u", "groups": {"company": ["Acme"]}}
    assert evaluate(configs, user) == {
        "f": {
            "key": "on",
            "value": "on",
            "payload": {"color": "teal"},
            "metadata": {"flagVersion": 7, "segmentName": "s", "x": 2, "y": 3},
            "later": True,
        }
    }
    assert configs == before
    assert user == {"user_id": "u", "groups": {"company": ["Acme"]}}


def test_only_what_a_user_was_assigned_is_given_unless_asked_otherwise() -> None:
    """Variants of nobody, and flags that others alone depend on, are left out."""
    configs: Any = [
        flag("off-flag", segments=[{"variant": "off"}]),
        flag("group", segments=[{"variant": "a"}], metadata={"deployed": False}),
        flag("f", segments=[{"variant": "a"}], metadata={"deployed": True}),
    ]
    assert [*Experiment.evaluate_locally(configs, {"user_id": "u"})] == ["f"]
    assert [*Experiment.evaluate_locally(configs, {"user_id": "u"}, defaults=True)] == ["off-flag", "group", "f"]
    assert [*assigned(evaluate(configs, {}))] == ["f"]


def test_the_example_of_the_page_is_read() -> None:
    """The one configuration that Amplitude's page shows gives everybody nothing."""
    configs: Any = [
        {
            "key": "checkout-v2",
            "metadata": {"deployed": True, "evaluationMode": "local", "flagType": "experiment", "flagVersion": 7},
            "segments": [{"metadata": {"segmentName": "All Other Users"}, "variant": "off"}],
            "variants": {
                "off": {"key": "off", "metadata": {"default": True}},
                "treatment": {"key": "treatment", "value": "treatment", "payload": {"color": "teal"}},
            },
        }
    ]
    assert Experiment.evaluate_locally(configs, {"user_id": "user-12345"}) == {}
    found = evaluate(configs, {"user_id": "user-12345"})["checkout-v2"]
    assert found["key"] == "off"
    assert found["metadata"]["segmentName"] == "All Other Users"
