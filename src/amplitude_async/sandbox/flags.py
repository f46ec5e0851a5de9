"""Flags and experiments as the sandbox keeps them: what a creation, an edit, a variant may hold, and what it makes of the document.

Pure. A document is what Amplitude shows of it, and a few members of the sandbox's own, which begin with an underscore. A refusal is a
ValueError, which becomes a 400. From https://amplitude.com/docs/apis/experiment/experiment-management-api-flags and
.../experiment-management-api-experiments; where they say nothing: a new flag is inactive and rolled out to 0 percent, has the variant
``on`` (an experiment ``control`` and ``treatment``) with equal weights, and a salt that follows from its key, so that the same flag
deals users out alike in every sandbox. Unknown fields are ignored; ``parentDependencies`` can be set like a documented field, and
``deliveryMethod: "web"`` makes a web experiment, which cannot be edited.
"""

from __future__ import annotations

import base64
import copy
import hashlib
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Document = dict[str, Any]

AUTHOR: Final = "sandbox@example.org"
MODES: Final = ("remote", "local")
TYPES: Final = ("a-b-test", "multi-arm-bandit")
DECISIONS: Final = ("rollout", "rollback", "continue-running")
OPERATORS: Final = frozenset(
    {
        "is",
        "is not",
        "contains",
        "does not contain",
        "less",
        "less or equal",
        "greater",
        "greater or equal",
        "set is",
        "set is not",
        "set contains",
        "set does not contain",
        "glob match",
        "glob does not match",
    }
)
EXPOSURE_OPERATORS: Final = frozenset(name for name in OPERATORS if not name.startswith("set "))
EXPOSURE_TYPES: Final = ("event", "user", "group", "day_time_prop")
MAX_INCLUSIONS: Final = 2000
MAX_REMOVED: Final = 100
WHOLE: Final = 100

_FIRST_VARIANTS: Final = {"flags": ("on",), "experiments": ("control", "treatment")}
_VARIANT_FIELDS: Final = ("name", "description", "payload")


def refuse(message: str) -> NoReturn:
    """Refuse a request.

    Raises:
        ValueError: Always.
    """
    raise ValueError(message)


def salt_of(key: str) -> str:
    """Return eight characters that follow from a key."""
    return base64.b32encode(hashlib.sha256(key.encode()).digest())[:8].decode()


def timestamp(at: float) -> str:
    """Write an instant as this API does."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def text(value: object, name: str, *, required: bool = False) -> str | None:
    """Check a text."""
    if value is None and not required:
        return None
    if not isinstance(value, str) or (required and not value.strip()):
        refuse(f"{name} must be a string" if value is not None else f"{name} is required")
    return value


def identity(value: object, name: str) -> str:
    """Check an id, which is text or a number; return it as text."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
        refuse(f"{name} must be an id")
    return str(value)


def texts(value: object, name: str) -> list[str]:
    """Check a list of texts."""
    if not isinstance(value, list) or not all(isinstance(each, str) and each.strip() for each in value):
        refuse(f"{name} must be a list of strings")
    return value


def identities(value: object, name: str) -> list[str]:
    """Check a list of ids."""
    if not isinstance(value, list):
        refuse(f"{name} must be a list of ids")
    return [identity(each, name) for each in value]


def choice(value: object, name: str, among: Iterable[str]) -> str:
    """Check one of several texts."""
    if value not in (several := tuple(among)):
        refuse(f"{name} must be one of {', '.join(several)}")
    return str(value)


def boolean(value: object, name: str) -> bool:
    """Check a boolean."""
    if not isinstance(value, bool):
        refuse(f"{name} must be a boolean")
    return value


def whole(value: object, name: str, least: int, most: int) -> int:
    """Check a whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        refuse(f"{name} must be an integer from {least} to {most}")
    return value


def share(value: object, name: str) -> float:
    """Check a percentage."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= WHOLE:
        refuse(f"{name} must be a number from 0 to {WHOLE}")
    return value


def _day(value: object, name: str) -> str | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(str(value)[:10]).isoformat()
    except ValueError:
        message = f"{name} must be a date in ISO 8601"
    refuse(message)


def _weights(value: object, name: str, keys: Iterable[str]) -> dict[str, int]:
    if not isinstance(value, dict):
        refuse(f"{name} must be an object")
    unknown = [key for key in value if key not in set(keys)]
    if unknown:
        refuse(f"{name} names variants that are not there: {', '.join(unknown)}")
    return {key: whole(weight, f"{name}.{key}", 0, 1 << 31) for key, weight in value.items()}


def _segments(value: object, keys: Iterable[str]) -> list[Document]:
    if not isinstance(value, list):
        refuse("targetSegments must be a list")
    several = tuple(keys)
    return [_segment(each, f"targetSegments[{index}]", several) for index, each in enumerate(value)]


def _segment(value: object, name: str, keys: tuple[str, ...]) -> Document:
    if not isinstance(value, dict):
        refuse(f"{name} must be an object")
    text(value.get("name"), f"{name}.name", required=True)
    share(value.get("percentage"), f"{name}.percentage")
    _weights(value.get("rolloutWeights"), f"{name}.rolloutWeights", keys)
    text(value.get("bucketingKey"), f"{name}.bucketingKey")
    conditions = value.get("conditions")
    if not isinstance(conditions, list):
        refuse(f"{name}.conditions must be a list")
    for index, condition in enumerate(conditions):
        inner = f"{name}.conditions[{index}]"
        if not isinstance(condition, dict):
            refuse(f"{inner} must be an object")
        if condition.get("type") != "property":
            refuse(f"{inner}.type must be property")
        text(condition.get("prop"), f"{inner}.prop", required=True)
        choice(condition.get("op"), f"{inner}.op", sorted(OPERATORS))
        texts(condition.get("values"), f"{inner}.values")
    return value


def _exposure(value: object) -> Document | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        refuse("exposureEvent must be an object or null")
    text(value.get("event_type"), "exposureEvent.event_type", required=True)
    filters = value.get("filters")
    if not isinstance(filters, list):
        refuse("exposureEvent.filters must be a list")
    for index, each in enumerate(filters):
        name = f"exposureEvent.filters[{index}]"
        if not isinstance(each, dict) or "subprop_key" not in each or "subprop_value" not in each:
            refuse(f"{name} lacks subprop_key or subprop_value")
        choice(each.get("subprop_op"), f"{name}.subprop_op", sorted(EXPOSURE_OPERATORS))
        choice(each.get("subprop_type"), f"{name}.subprop_type", EXPOSURE_TYPES)
    return value


def _dependencies(value: object) -> Document | None:
    if value is None:
        return None
    flags = value.get("flags") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(flags, dict):
        refuse("parentDependencies must be an object with flags")
    for key, wanted in flags.items():
        texts(wanted, f"parentDependencies.flags.{key}")
    choice(value.get("operator", "all"), "parentDependencies.operator", ("all", "any"))
    return {"operator": "all", **value}


def new(kind: str, body: Mapping[str, Any], *, ident: str, at: float) -> Document:
    """Return a new flag or experiment; its deployments are checked by who knows them."""
    project = identity(body.get("projectId"), "projectId")
    key = text(body.get("key"), "key", required=True) or ""
    variants = body.get("variants")
    if variants is None:
        variants = [{"key": each} for each in _FIRST_VARIANTS[kind]]
    if not isinstance(variants, list) or not variants:
        refuse("variants must be a list of objects")
    kept: list[Document] = []
    for index, sent in enumerate(variants):
        kept.append(_variant(sent, f"variants[{index}]", kept))
    keys = [each["key"] for each in kept]
    now = timestamp(at)
    document: Document = {
        "id": ident,
        "projectId": project,
        "deployments": [],
        "key": key,
        "name": text(body.get("name"), "name") or key,
        "description": text(body.get("description"), "description") or "",
        "enabled": False,
        "evaluationMode": choice(body.get("evaluationMode", "remote"), "evaluationMode", MODES),
        "bucketingKey": text(body.get("bucketingKey"), "bucketingKey") or "amplitude_id",
        "bucketingSalt": salt_of(key),
        "bucketingUnit": "User",
        "variants": kept,
        "rolloutPercentage": 0,
        "rolloutWeights": dict.fromkeys(keys, 1) | _weights(body.get("rolloutWeights") or {}, "rolloutWeights", keys),
        "targetSegments": _segments(body.get("targetSegments") or [], keys),
        "parentDependencies": _dependencies(body.get("parentDependencies")),
        "tags": [],
        "createdBy": AUTHOR,
        "lastModifiedBy": AUTHOR,
        "createdAt": now,
        "lastModifiedAt": now,
        "deleted": False,
        "_users": {},
        "_cohorts": {},
        "_version": 0,
        "_run": 0,
    }
    if kind == "experiments":
        document |= {
            "decision": None,
            "decisionReason": None,
            "rolledOutVariant": None,
            "stickyBucketing": False,
            "state": "planning",
            "startDate": None,
            "endDate": None,
            "experimentType": choice(body.get("experimentType", TYPES[0]), "experimentType", TYPES),
            "exposureEvent": None,
            "deliveryMethod": choice(body.get("deliveryMethod", "feature"), "deliveryMethod", ("feature", "web")),
        }
    return document


def _variant(sent: object, name: str, present: Iterable[Document]) -> Document:
    if not isinstance(sent, dict):
        refuse(f"{name} must be an object")
    key = text(sent.get("key"), f"{name}.key", required=True)
    if key == "off":
        refuse("off is what a user without a variant gets; no variant may have this key")
    if any(each["key"] == key for each in present):
        refuse(f"There is a variant {key} already")
    text(sent.get("name"), f"{name}.name")
    text(sent.get("description"), f"{name}.description")
    return {"key": key, **{field: sent[field] for field in _VARIANT_FIELDS if field in sent}}


_EDITS: Final[Mapping[str, Callable[[object, Document], object]]] = {
    "name": lambda value, _: text(value, "name", required=True),
    "description": lambda value, _: text(value, "description") or "",
    "bucketingKey": lambda value, _: text(value, "bucketingKey", required=True),
    "bucketingSalt": lambda value, _: text(value, "bucketingSalt", required=True),
    "bucketingUnit": lambda value, _: text(value, "bucketingUnit", required=True),
    "evaluationMode": lambda value, _: choice(value, "evaluationMode", MODES),
    "rolloutPercentage": lambda value, _: share(value, "rolloutPercentage"),
    "rolloutWeights": lambda value, old: {**old["rolloutWeights"], **_weights(value, "rolloutWeights", keys_of(old))},
    "targetSegments": lambda value, old: _segments(value, keys_of(old)),
    "parentDependencies": lambda value, _: _dependencies(value),
    "enabled": lambda value, _: boolean(value, "enabled"),
    "tags": lambda value, _: texts(value, "tags"),
}
_EXPERIMENT_EDITS: Final[Mapping[str, Callable[[object, Document], object]]] = {
    "experimentType": lambda value, _: choice(value, "experimentType", TYPES),
    "stickyBucketing": lambda value, _: boolean(value, "stickyBucketing"),
    "startDate": lambda value, _: _day(value, "startDate"),
    "endDate": lambda value, _: _day(value, "endDate"),
    "exposureEvent": lambda value, _: _exposure(value),
    "decision": lambda value, _: choice(value, "decision", DECISIONS),
    "decisionReason": lambda value, _: text(value, "decisionReason"),
    "rolledOutVariant": lambda value, old: None if value is None else choice(value, "rolledOutVariant", keys_of(old)),
}


def keys_of(document: Document) -> list[str]:
    """Return the keys of a document's variants."""
    return [each["key"] for each in document["variants"]]


def edited(kind: str, old: Document, body: Mapping[str, Any]) -> Document:
    """Return a document after an edit."""
    edits = {**_EDITS, **(_EXPERIMENT_EDITS if kind == "experiments" else {})}
    changed = copy.deepcopy(old)
    for field, check in edits.items():
        if field in body:
            changed[field] = check(body[field], old)
    if "archive" in body:
        changed["deleted"] = boolean(body["archive"], "archive")
    if kind == "experiments":
        if changed["enabled"] and not old["enabled"]:
            # The run that an assignment belongs to.
            changed["_run"] += 1
        changed["state"] = "running" if changed["enabled"] else "planning"
    return changed


def place_of(document: Document, key: str) -> int | None:
    """Return where a variant stands, ``None`` if there is none of that key."""
    keys = keys_of(document)
    return keys.index(key) if key in keys else None


def shown_variant(document: Document, place: int) -> Document:
    """Return a variant as its own endpoints show it."""
    variant = document["variants"][place]
    weight = document["rolloutWeights"].get(variant["key"], 0)
    return {"key": variant["key"], "name": "", "payload": {}, "description": "", **variant, "rolloutWeight": weight}


def with_variant(old: Document, body: Mapping[str, Any]) -> Document:
    """Return a document with one variant more; it weighs 0 unless the body says otherwise."""
    changed = copy.deepcopy(old)
    variant = _variant(dict(body), "variant", old["variants"])
    changed["variants"].append(variant)
    changed["rolloutWeights"][variant["key"]] = whole(body.get("rolloutWeight", 0), "rolloutWeight", 0, 1 << 31)
    return changed


def with_edited_variant(old: Document, place: int, body: Mapping[str, Any]) -> Document:
    """Return a document with a variant changed; a new key takes weights and inclusions along."""
    changed = copy.deepcopy(old)
    before = old["variants"][place]
    others = [each for index, each in enumerate(old["variants"]) if index != place]
    after = _variant({**before, **body}, "variant", others)
    changed["variants"][place] = after
    for holder in (changed["rolloutWeights"], changed["_users"], changed["_cohorts"], *_weights_of_segments(changed)):
        if before["key"] in holder:
            holder[after["key"]] = holder.pop(before["key"])
    if "rolloutWeight" in body:
        changed["rolloutWeights"][after["key"]] = whole(body["rolloutWeight"], "rolloutWeight", 0, 1 << 31)
    return changed


def without_variant(old: Document, place: int) -> Document:
    """Return a document without one of its variants, and without whatever named it."""
    changed = copy.deepcopy(old)
    key = changed["variants"].pop(place)["key"]
    for holder in (changed["rolloutWeights"], changed["_users"], changed["_cohorts"], *_weights_of_segments(changed)):
        holder.pop(key, None)
    return changed


def _weights_of_segments(document: Document) -> list[dict[str, int]]:
    return [segment["rolloutWeights"] for segment in document["targetSegments"]]


def with_included(old: Document, holder: str, key: str, body: Mapping[str, Any]) -> Document:
    """Return a document with more inclusions of a variant; who is there already stays where they are."""
    added = identities(body.get("inclusions"), "inclusions")
    changed = copy.deepcopy(old)
    several = list(dict.fromkeys([*changed[holder].get(key, []), *added]))
    if holder == "_users" and len(several) > MAX_INCLUSIONS:
        refuse(f"A variant may include {MAX_INCLUSIONS} users at most")
    changed[holder][key] = several
    return changed


def without_included(old: Document, holder: str, key: str, body: Mapping[str, Any]) -> Document:
    """Return a document without some inclusions of a variant; who is not there does not matter."""
    gone = identities(body.get("users"), "users")
    if len(gone) > MAX_REMOVED:
        refuse(f"At most {MAX_REMOVED} may be removed at once")
    changed = copy.deepcopy(old)
    changed[holder][key] = [each for each in changed[holder].get(key, []) if each not in set(gone)]
    return changed


def shown(document: Document, *, is_listed: bool = False) -> Document:
    """Return a document as Amplitude shows it: lists say who and when, single ones whether it is archived."""
    hidden = {"deleted"} if is_listed else {"createdBy", "lastModifiedBy", "createdAt", "lastModifiedAt"}
    return {name: value for name, value in document.items() if not name.startswith("_") and name not in hidden}
