"""Which variant a user gets, computed here from the rules that ``/v1/flags`` gives. Pure: no clock, no chance, no network.

A flag's segments are asked from the top; the first whose conditions hold decides, if it gives a variant. A segment with a bucket
hashes ``<salt>/<value>``: the hash modulo 100 says whether the user takes part, what is left of it which variant. Flags that others
depend on come first, and their results can be asked for like properties of the user.

The published pages show the least of the format; the rest is as Amplitude's own SDKs read it, save that ``False`` and ``0`` are
values here and not missing ones, and that a float that is whole is spelled as one.

Amplitude's pages: https://amplitude.com/docs/feature-experiment/implementation,
https://amplitude.com/docs/feature-experiment/under-the-hood/experiment-randomization and
https://amplitude.com/docs/feature-experiment/under-the-hood/flag-dependencies
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from amplitude_async._protocol.codec import MalformedError, UnencodableError, decode, encode_text
from amplitude_async._protocol.murmur import murmur3
from amplitude_async.errors import shown
from amplitude_async.resources.parameters import refused, texts

if TYPE_CHECKING:
    from amplitude_async.resources.experiment.shapes import FlagConfig, Variant

__all__ = ["DISTRIBUTION_END", "assigned", "evaluate"]

WHOLE: Final = 100
DISTRIBUTION_END: Final = 42_949_673
"""What is left of a hash of 32 bits when the share is taken off lies below this."""
NONE: Final = "(none)"
"""How a condition spells a property that is not set."""

_NUMBER: Final = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
_VERSION: Final = re.compile(r"(\d+)\.(\d+)(?:\.(\d+)(?:-([-\w.]+))?)?", re.ASCII)

_Sign = Callable[[Any, Any], bool]
_SIGNS: Final[Mapping[str, _Sign]] = {
    "less": operator.lt,
    "less or equal": operator.le,
    "greater": operator.gt,
    "greater or equal": operator.ge,
}
_OF_NOTHING: Final = frozenset(
    {"is", "contains", "set is", "set contains", "set contains any", *_SIGNS, *(f"version {name}" for name in _SIGNS)}
)
"""Operators that hold for a property that is not set if ``(none)`` is among the values."""
_NOT_OF_NOTHING: Final = frozenset({"is not", "does not contain", "set does not contain", "set does not contain any"})
"""Operators that hold for one unless it is."""


def evaluate(
    configs: Iterable[FlagConfig], user: Mapping[str, object], flag_keys: Iterable[str] | str | None = None
) -> dict[str, Variant]:
    """Return what a user gets of each flag, the variants of nobody (``metadata["default"]``) included.

    Args:
        configs: What ``/v1/flags`` gave; changed by nobody.
        user: A user object: ``user_id``, ``device_id``, ``country`` and the like, ``user_properties``, ``groups``,
            ``group_properties``.
        flag_keys: Only these flags; what they depend on is evaluated, and not given.

    Returns:
        Variants by the key of their flag, in the order of evaluation; ``metadata`` joins that of flag, segment and variant. A flag
        whose segments give nothing is not there.

    Raises:
        InvalidArgumentError: A configuration is none, or flags depend on each other in a circle.
    """
    rules = _by_key(configs)
    wanted = None if flag_keys is None else {key for key in texts(flag_keys, argument="flag_keys") if isinstance(key, str)}
    if not isinstance(user, Mapping):
        raise refused(argument="user", reason="must be a mapping: a user object")
    results: dict[str, Variant] = {}
    target: dict[str, object] = {"context": _context(user), "result": results}
    for config in _in_order(rules, [*rules] if wanted is None else [key for key in rules if key in wanted]):
        key = config["key"]
        try:
            variant = _variant(config, target)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as fault:
            reason = f"holds a flag {shown(key)} whose rules cannot be read ({type(fault).__name__})"
        else:
            if variant is not None:
                results[key] = variant
            continue
        raise refused(argument="configs", reason=reason)
    return results if wanted is None else {key: variant for key, variant in results.items() if key in wanted}


def assigned(variants: Mapping[str, Variant]) -> dict[str, Variant]:
    """Return only what a user was assigned: no variants of nobody, no flags that others alone depend on."""
    return {key: variant for key, variant in variants.items() if _is_assigned(variant.get("metadata") or {})}


def _is_assigned(metadata: Mapping[str, object]) -> bool:
    return not metadata.get("default") and metadata.get("deployed") is not False


def _by_key(configs: Iterable[FlagConfig]) -> dict[str, FlagConfig]:
    rules: dict[str, FlagConfig] = {}
    if not isinstance(configs, Iterable) or isinstance(configs, (str, bytes, Mapping)):
        raise refused(argument="configs", reason="must be a list of flag configurations (flag_configs gives it)")
    for index, config in enumerate(configs):
        if not isinstance(config, Mapping) or not isinstance(config.get("key"), str):
            raise refused(argument=f"configs[{index}]", reason="is no flag configuration: a mapping with a key")
        rules[config["key"]] = config
    return rules


def _in_order(rules: Mapping[str, FlagConfig], keys: Iterable[str]) -> list[FlagConfig]:
    """Return flags, each after those that it depends on; those that are not there are left out."""
    order: list[FlagConfig] = []
    done: set[str] = set()
    for first in keys:
        path: dict[str, list[str]] = {}
        stack = [first]
        while stack:
            key = stack[-1]
            if key in done or key not in rules:
                stack.pop()
                continue
            if key not in path:
                path[key] = [parent for parent in rules[key].get("dependencies") or () if parent not in done]
            parent = path[key].pop() if path[key] else None
            if parent is None:
                done.add(key)
                order.append(rules[key])
                del path[key]
                stack.pop()
            elif parent in path:
                circle = " -> ".join(map(shown, [*path, parent]))
                raise refused(argument="configs", reason=f"hold flags that depend on each other in a circle: {circle}")
            else:
                stack.append(parent)
    return order


def _context(user: Mapping[str, object]) -> dict[str, object]:
    """Return the user as selectors look at it: groups by type, each with the properties of the first of its names."""
    person = {name: value for name, value in user.items() if name not in {"groups", "group_properties"}}
    context: dict[str, object] = {"user": person}
    groups, properties = user.get("groups"), user.get("group_properties")
    if isinstance(groups, Mapping):
        found: dict[str, object] = {}
        for kind, names in groups.items():
            name = names if isinstance(names, str) else next(iter(names), None) if isinstance(names, Sequence) else None
            if name is not None:
                found[kind] = {"group_name": name, "group_properties": _select({"of": properties}, ("of", kind, str(name)))}
        context["groups"] = found
    return context


def _select(start: object, path: Iterable[str]) -> object:
    value = start
    for step in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


def _variant(config: FlagConfig, target: Mapping[str, object]) -> Variant | None:
    variants = config.get("variants") or {}
    for segment in config.get("segments") or ():
        if not _takes(segment, target):
            continue
        variant = variants.get(_bucketed(segment, target) or "")
        if variant is not None:
            parts = (config.get("metadata"), segment.get("metadata"), variant.get("metadata"))
            metadata: dict[str, Any] = {}
            for part in parts:
                metadata |= part or {}
            return {**variant, "metadata": metadata}
    return None


def _takes(segment: Mapping[str, Any], target: Mapping[str, object]) -> bool:
    conditions = segment.get("conditions")
    return not conditions or any(all(_holds(condition, target) for condition in group) for group in conditions)


def _bucketed(segment: Mapping[str, Any], target: Mapping[str, object]) -> str | None:
    bucket, otherwise = segment.get("bucket"), segment.get("variant")
    if not bucket:
        return otherwise
    value = _spelled(_select(target, bucket["selector"]))
    if not value:
        return otherwise
    rest, share = divmod(murmur3(f"{bucket['salt']}/{value}".encode()), WHOLE)
    for allocation in bucket["allocations"]:
        if not allocation["range"][0] <= share < allocation["range"][1]:
            continue
        for distribution in allocation["distributions"]:
            if distribution["range"][0] <= rest < distribution["range"][1]:
                variant: str = distribution["variant"]
                return variant
    return otherwise


# Conditions


def _spelled(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    try:
        return encode_text(value)
    except UnencodableError:
        return str(value)


def _holds(condition: Mapping[str, Any], target: Mapping[str, object]) -> bool:
    name: str = condition["op"]
    wanted: Sequence[str] = condition["values"]
    value = _select(target, condition["selector"])
    several = _several(value)
    if value is None or value == "" or several == []:
        return NONE in wanted if name in _OF_NOTHING else NONE not in wanted if name in _NOT_OF_NOTHING else False
    if name in _SETS:
        return several is not None and _SETS[name](several, wanted)
    test = _TESTS.get(name)
    # Of several values one has to pass, also where the operator is a negation.
    return test is not None and any(test(each, wanted) for each in several or [_spelled(value) or ""])


def _several(value: object) -> list[str] | None:
    """Return the values of a list, or of the JSON text of one; ``None`` for anything else."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = decode(value.encode())
        except (MalformedError, UnicodeEncodeError):
            return None
    if not isinstance(value, (list, tuple, set, frozenset)):
        return None
    return [text for text in map(_spelled, value) if text is not None]


def _is(value: str, wanted: Iterable[str]) -> bool:
    lower = value.lower()
    if lower in {"true", "false"} and any(each.lower() == lower for each in wanted):
        return True
    return value in wanted


def _contains(value: str, wanted: Iterable[str]) -> bool:
    lower = value.lower()
    return any(each.lower() in lower for each in wanted)


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


class _Version(NamedTuple):
    """A version; a release comes after what led to it."""

    major: int
    minor: int
    patch: int
    is_release: bool
    stage: str


def _version(text: str) -> _Version | None:
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    return _Version(int(match[1]), int(match[2]), int(match[3] or 0), match[4] is None, match[4] or "")


def _compare(sign: _Sign, read: Callable[[str], object]) -> Callable[[str, Sequence[str]], bool]:
    """Return a comparison of what two texts say; of the texts themselves where one says nothing."""

    def compared(value: str, wanted: Sequence[str]) -> bool:
        left = read(value)
        bounds = [bound for bound in map(read, wanted) if bound is not None]
        if left is None or not bounds:
            return any(sign(value, bound) for bound in wanted)
        return any(sign(left, bound) for bound in bounds)

    return compared


def _matches(value: str, wanted: Iterable[str]) -> bool:
    return any(_found(pattern, value) for pattern in wanted)


def _found(pattern: str, value: str) -> bool:
    try:
        return re.search(pattern, value) is not None
    except (re.error, OverflowError, RecursionError):
        # Written for another engine: it fits nobody.
        return False


_TESTS: Final[Mapping[str, Callable[[str, Sequence[str]], bool]]] = {
    "is": _is,
    "is not": lambda value, wanted: not _is(value, wanted),
    "contains": _contains,
    "does not contain": lambda value, wanted: not _contains(value, wanted),
    "regex match": _matches,
    "regex does not match": lambda value, wanted: not _matches(value, wanted),
    **{name: _compare(sign, _number) for name, sign in _SIGNS.items()},
    **{f"version {name}": _compare(sign, _version) for name, sign in _SIGNS.items()},
}


def _has_all(values: Sequence[str], wanted: Sequence[str]) -> bool:
    return len(values) >= len(wanted) and all(_is(each, values) for each in wanted)


def _has_any(values: Sequence[str], wanted: Sequence[str]) -> bool:
    return any(_is(each, values) for each in wanted)


_SETS: Final[Mapping[str, Callable[[Sequence[str], Sequence[str]], bool]]] = {
    "set is": lambda values, wanted: set(values) == set(wanted),
    "set is not": lambda values, wanted: set(values) != set(wanted),
    "set contains": _has_all,
    "set does not contain": lambda values, wanted: not _has_all(values, wanted),
    "set contains any": _has_any,
    "set does not contain any": lambda values, wanted: not _has_any(values, wanted),
}
