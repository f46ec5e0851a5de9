"""From what management keeps to what evaluation reads: the rules of flags, experiments, mutual exclusion and holdout groups.

Pure. In the order of https://amplitude.com/docs/feature-experiment/implementation: an inactive flag gives nothing, then dependencies,
inclusions, an earlier assignment where that sticks, target segments, everybody else. A mutual exclusion group is a flag with a variant
for each slot, a holdout group one with ``holdout`` and ``on``
(https://amplitude.com/docs/feature-experiment/under-the-hood/flag-dependencies); their own results are not given.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from amplitude_async.resources.evaluation import DISTRIBUTION_END

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from amplitude_async.resources.experiment import FlagConfig
    from amplitude_async.sandbox.flags import Document

WHOLE: Final = 100
_BUILT_IN: Final = frozenset({"amplitude_id", "user_id", "device_id"})

Condition = dict[str, Any]
Segment = dict[str, Any]


def shares(weights: Mapping[str, int]) -> list[dict[str, Any]]:
    """Split what is left of a hash by weight, so that two equal ones give [0, 21474836) and [21474836, 42949673)."""
    total = sum(weights.values())
    found: list[dict[str, Any]] = []
    reached = 0
    for key, weight in weights.items():
        if weight:
            first = DISTRIBUTION_END * reached // total
            reached += weight
            found.append({"variant": key, "range": [first, DISTRIBUTION_END * reached // total]})
    return found


def selector(name: str) -> list[str]:
    """Return the path to a user property: ``gp:`` begins the custom ones, all else is the user's own."""
    if name.startswith("gp:"):
        return ["context", "user", "user_properties", name.removeprefix("gp:")]
    return ["context", "user", name]


def _bucketing(key: str, unit: str) -> list[str]:
    if unit != "User" and key not in _BUILT_IN:
        return ["context", "groups", unit, "group_name"]
    return selector(key)


def pattern(glob: str) -> str:
    """Return the regular expression of a glob, in which ``*`` stands for anything and ``?`` for one character."""
    parts = {"*": ".*", "?": "."}
    return "^" + "".join(parts.get(sign) or re.escape(sign) for sign in glob) + "$"


def _condition(sent: Mapping[str, Any]) -> Condition:
    operator, values = sent["op"], sent["values"]
    if operator.startswith("glob "):
        operator = "regex match" if operator == "glob match" else "regex does not match"
        values = [pattern(each) for each in values]
    return {"selector": selector(sent["prop"]), "op": operator, "values": values}


def _segment(name: str, conditions: list[list[Condition]] | None = None, **rest: object) -> Segment:
    found: Segment = {"metadata": {"segmentName": name}, **rest}
    return found if conditions is None else {"conditions": conditions, **found}


def _included(name: str, variant: str, ids: Sequence[str]) -> Segment:
    """Return a segment that has the users and devices of these ids."""
    conditions = [[{"selector": ["context", "user", each], "op": "is", "values": list(ids)}] for each in ("user_id", "device_id")]
    return _segment(name, conditions, variant=variant)


def _bucket(path: list[str], salt: str, percentage: float, weights: Mapping[str, int]) -> dict[str, Any]:
    allocations = [{"range": [0, percentage], "distributions": shares(weights)}] if percentage and any(weights.values()) else []
    return {"selector": path, "salt": salt, "allocations": allocations}


def _ordered(weights: Mapping[str, int], keys: Iterable[str]) -> dict[str, int]:
    return {key: weights.get(key, 0) for key in keys}


def _unmet(parent: str, wanted: Sequence[str]) -> Condition:
    """Return the condition that a flag's result is none of these; one that is not there is none."""
    return {"selector": ["result", parent, "key"], "op": "is not", "values": list(wanted)}


class Rules:
    """The rules of one project, by the documents of its flags, experiments and groups."""

    def __init__(
        self,
        flags: Iterable[Document],
        experiments: Iterable[Document],
        mutexes: Iterable[Document],
        holdouts: Iterable[Document],
    ) -> None:
        self._flags = [("flags", each) for each in flags if not each["deleted"]]
        self._flags += [("experiments", each) for each in experiments if not each["deleted"]]
        self._mutexes = [each for each in mutexes if not each["deleted"]]
        self._holdouts = [each for each in holdouts if not each["deleted"]]
        self._keys = {str(each["id"]): each["key"] for _, each in self._flags}

    def configs(self, *, is_served: Callable[[str, Document], bool], earlier: Mapping[str, str] | None = None) -> list[FlagConfig]:
        """Return the rules of the flags that are served, and of whatever these depend on.

        Args:
            is_served: Whether a flag is, by its kind and document.
            earlier: What the user had, by key, of flags where that sticks.
        """
        found: dict[str, Any] = {}
        served: list[str] = []
        for kind, document in self._flags:
            is_own = is_served(kind, document)
            found[document["key"]] = self._flag(kind, document, is_deployed=is_own, earlier=(earlier or {}).get(document["key"]))
            served += [document["key"]] if is_own else []
        for mutex in self._mutexes:
            found[mutex["key"]] = self._mutex(mutex)
        for holdout in self._holdouts:
            found[holdout["key"]] = self._holdout(holdout)
        wanted: dict[str, None] = {}
        while served:
            key = served.pop(0)
            if key in found and key not in wanted:
                wanted[key] = None
                served += found[key].get("dependencies", [])
        return [found[key] for key in wanted]

    def _flag(self, kind: str, document: Document, *, is_deployed: bool, earlier: str | None) -> dict[str, Any]:
        parents, unmet = self._parents(kind, document)
        metadata = {
            "deployed": is_deployed,
            "evaluationMode": document["evaluationMode"],
            "flagType": "experiment" if kind == "experiments" else "release",
            "flagVersion": document["_version"],
        }
        if kind == "experiments":
            metadata["experimentKey"] = f"exp-{max(document['_run'], 1)}"
        if not document["enabled"]:
            segments = [_segment("inactive", variant="off")]
        else:
            segments = [_segment("flag-dependencies", unmet, variant="off")] if unmet else []
            segments += self._segments(document, earlier)
        return _config(document["key"], [*document["variants"]], segments, metadata, parents)

    def _segments(self, document: Document, earlier: str | None) -> list[Segment]:
        unit, salt = document["bucketingUnit"], document["bucketingSalt"]
        # In the order of the variants, whatever the order of the weights.
        keys = [variant["key"] for variant in document["variants"]]
        found: list[Segment] = []
        for variant, ids in document["_users"].items():
            if ids:
                found.append(_included("individual-inclusions", variant, ids))
        for variant, cohorts in document["_cohorts"].items():
            if cohorts:
                condition = {"selector": ["context", "user", "cohort_ids"], "op": "set contains any", "values": cohorts}
                found.append(_segment("cohort-inclusions", [[condition]], variant=variant))
        if earlier is not None:
            found.append(_segment("sticky-bucketing", variant=earlier))
        for target in document["targetSegments"]:
            path = _bucketing(target.get("bucketingKey") or document["bucketingKey"], unit)
            # Whoever meets the conditions and is not of the share gets nothing: no later segment is asked.
            bucket = _bucket(path, salt, target["percentage"], _ordered(target["rolloutWeights"], keys))
            conditions = [[_condition(each) for each in target["conditions"]]] if target["conditions"] else None
            found.append(_segment(target["name"], conditions, bucket=bucket, variant="off"))
        path = _bucketing(document["bucketingKey"], unit)
        bucket = _bucket(path, salt, document["rolloutPercentage"], _ordered(document["rolloutWeights"], keys))
        return [*found, _segment("All Other Users", bucket=bucket, variant="off")]

    def _parents(self, kind: str, document: Document) -> tuple[list[str], list[list[Condition]]]:
        """Return what a flag depends on, and the conditions of which one has to hold for a dependency not to be met."""
        parents: list[str] = []
        unmet: list[list[Condition]] = []
        own = document.get("parentDependencies") or {}
        if own.get("flags"):
            conditions = []
            for ident, wanted in own["flags"].items():
                # A parent that is not there has no result, which is none of those wanted.
                key = self._keys.get(str(ident), str(ident))
                parents.append(key)
                conditions.append(_unmet(key, wanted))
            unmet += [conditions] if own["operator"] == "any" else [[each] for each in conditions]
        if kind == "experiments":
            for mutex in self._mutexes:
                slots = [slot["variantKey"] for slot in mutex["slots"] if document["id"] in map(str, slot["experiments"])]
                if slots:
                    parents.append(mutex["key"])
                    unmet.append([_unmet(mutex["key"], slots)])
            for holdout in self._holdouts:
                if document["id"] in map(str, holdout["experiments"]):
                    parents.append(holdout["key"])
                    unmet.append([_unmet(holdout["key"], [holdout["variantName"]])])
        return list(dict.fromkeys(parents)), unmet

    def _mutex(self, document: Document) -> dict[str, Any]:
        slots = document["slots"]
        segments = [_included("individuals", slot["variantKey"], slot["individuals"]) for slot in slots if slot["individuals"]]
        weights = {slot["variantKey"]: slot["percentage"] for slot in slots}
        bucket = _bucket(selector(document["bucketingKey"]), document["bucketingSalt"], WHOLE, weights)
        variants = [{"key": slot["variantKey"]} for slot in slots]
        return _config(
            document["key"], variants, [*segments, _segment("slots", bucket=bucket)], _group(document, "mutual-exclusion"), []
        )

    def _holdout(self, document: Document) -> dict[str, Any]:
        parents: list[str] = []
        segments: list[Segment] = []
        for mutex in self._mutexes:
            slots = [slot["variantKey"] for slot in mutex["slots"] if str(document["id"]) in map(str, slot["holdouts"])]
            if slots:
                parents.append(mutex["key"])
                segments.append(_segment("flag-dependencies", [[_unmet(mutex["key"], slots)]], variant="off"))
        held, on = "holdout", document["variantName"]
        if document["individualInclusion"]:
            segments.append(_included("individual-inclusion", held, document["individualInclusion"]))
        if document["individualExclusion"]:
            segments.append(_included("individual-exclusion", on, document["individualExclusion"]))
        weights = {held: document["holdoutPercentage"], on: WHOLE - document["holdoutPercentage"]}
        bucket = _bucket(selector(document["bucketingKey"]), document["bucketingSalt"], WHOLE, weights)
        segments.append(_segment("holdout", bucket=bucket))
        return _config(document["key"], [{"key": held}, {"key": on}], segments, _group(document, "holdout"), parents)


def _group(document: Document, kind: str) -> dict[str, Any]:
    return {"deployed": False, "evaluationMode": document["evaluationMode"], "flagType": f"{kind}-group"}


def _config(
    key: str, variants: Iterable[Mapping[str, Any]], segments: list[Segment], metadata: dict[str, Any], parents: list[str]
) -> dict[str, Any]:
    found: dict[str, Any] = {"off": {"key": "off", "metadata": {"default": True}}}
    for variant in variants:
        payload = {"payload": variant["payload"]} if variant.get("payload") is not None else {}
        found[variant["key"]] = {"key": variant["key"], "value": variant["key"], **payload}
    config: dict[str, Any] = {"key": key, "metadata": metadata, "segments": segments, "variants": found}
    return config | ({"dependencies": parents} if parents else {})
