"""What goes into a flag, an experiment, a group: looked at before it goes out, each refusal naming its argument.

Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from amplitude_async._protocol.dates import iso_day, iso_instant
from amplitude_async.options import UNSET
from amplitude_async.resources.parameters import id_list, refused, required_text, texts, whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "MAX_INCLUSIONS",
    "changed_fields",
    "day_or_moment",
    "exposure",
    "holdout_percentage",
    "label",
    "listed_ids",
    "new_fields",
    "new_variants",
    "optional_ids",
    "percentage",
    "segments",
    "slots",
    "variant_fields",
    "weights",
]

MAX_INCLUSIONS: Final = 2000
"""Users whom one variant may include; Amplitude answers 400 beyond."""
MAX_SLOTS: Final = 20
WHOLE: Final = 100
_LABEL: Final = re.compile(r"[A-Za-z0-9_-]+")
_SEGMENT_KEYS: Final = ("name", "conditions", "percentage", "rolloutWeights")
_CONDITION_KEYS: Final = ("type", "prop", "op", "values")


def listed_ids(values: object, *, argument: str, most: int | None = None) -> list[str | int]:
    """Return ids as they were given: Amplitude writes them as numbers here, as text there.

    Raises:
        InvalidArgumentError: There are none, too many, or one is blank.
    """
    is_list = isinstance(values, Iterable) and not isinstance(values, (str, bytes, bytearray, Mapping))
    several: list[object] = list(values) if is_list else [values]  # type: ignore[call-overload]  # an iterable, as was just seen
    texts = id_list(several, argument=argument, most=most)
    return [
        value if isinstance(value, int) and not isinstance(value, bool) else text for value, text in zip(several, texts, strict=True)
    ]


def optional_ids(values: object, *, argument: str) -> list[str | int] | None:
    """Return ids as they were given; an empty list stays empty, ``None`` is left out.

    Raises:
        InvalidArgumentError: One is blank.
    """
    if values is None:
        return None
    is_empty = isinstance(values, Iterable) and not isinstance(values, (str, bytes)) and not [*values]
    return [] if is_empty else listed_ids(values, argument=argument)


def percentage(value: object, *, argument: str) -> float | None:
    """Return a percentage; ``None`` is left out.

    Raises:
        InvalidArgumentError: It is no number from 0 to 100.
    """
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= WHOLE):
        return value
    raise refused(argument=argument, reason=f"must be a number from 0 to {WHOLE}")


def holdout_percentage(value: object) -> int:
    """Return how many are held out: some, not all.

    Raises:
        InvalidArgumentError: It is no whole number from 1 to 99.
    """
    return whole_number(value, argument="holdout_percentage", least=1, most=WHOLE - 1)


def day_or_moment(value: object, *, argument: str) -> object:
    """Return a day as ``YYYY-MM-DD``, a datetime with its offset; ``None`` and ``UNSET`` stay.

    Raises:
        InvalidArgumentError: It is neither.
    """
    if value is None or value is UNSET:
        return value
    # A datetime is a date too, and the text of a moment is longer than that of a day.
    is_moment = hasattr(value, "hour") or (isinstance(value, str) and len(value) > len("2026-05-01"))
    return iso_instant(value, argument=argument) if is_moment else iso_day(value, argument=argument)


def label(value: object) -> object:
    """Return a deployment's label; ``None`` is left out.

    Raises:
        InvalidArgumentError: It has other characters than letters, digits, ``_`` and ``-``.
    """
    if value is None or (isinstance(value, str) and _LABEL.fullmatch(value)):
        return value
    raise refused(argument="label", reason="must be letters, digits, '_' and '-' alone")


def _mappings(values: object, *, argument: str) -> list[Mapping[str, object]]:
    if isinstance(values, Mapping):
        values = [values]
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes)):
        raise refused(argument=argument, reason="must be a list of mappings")
    found: list[Mapping[str, object]] = []
    for index, value in enumerate(values):
        if not isinstance(value, Mapping):
            raise refused(argument=f"{argument}[{index}]", reason="must be a mapping")
        found.append(value)
    return found


def _demand(value: Mapping[str, object], names: Sequence[str], *, argument: str) -> None:
    for name in names:
        if value.get(name) is None:
            raise refused(argument=f"{argument}.{name}", reason="is missing; Amplitude demands it")


def segments(values: object) -> list[Mapping[str, object]] | None:
    """Return target segments; ``None`` is left out.

    Raises:
        InvalidArgumentError: One lacks what Amplitude demands, or targets something else than properties.
    """
    if values is None:
        return None
    found = _mappings(values, argument="target_segments")
    for index, segment in enumerate(found):
        where = f"target_segments[{index}]"
        _demand(segment, _SEGMENT_KEYS, argument=where)
        percentage(segment["percentage"], argument=f"{where}.percentage")
        for place, condition in enumerate(_mappings(segment["conditions"], argument=f"{where}.conditions")):
            inner = f"{where}.conditions[{place}]"
            _demand(condition, _CONDITION_KEYS, argument=inner)
            if condition["type"] != "property":
                raise refused(argument=f"{inner}.type", reason="must be 'property': cohorts cannot be targeted by this API")
    return found


def new_variants(values: object) -> list[Mapping[str, object]] | None:
    """Return the variants of what is new; ``None`` is left out.

    Raises:
        InvalidArgumentError: One has no key, or two have the same.
    """
    if values is None:
        return None
    found = _mappings(values, argument="variants")
    keys: set[str] = set()
    for index, variant in enumerate(found):
        key = required_text(variant.get("key"), argument=f"variants[{index}].key", what="the name that code asks for")
        if key in keys:
            raise refused(argument=f"variants[{index}].key", reason="is there twice")
        keys.add(key)
    return found


def weights(values: object) -> dict[str, int] | None:
    """Return rollout weights; ``None`` is left out.

    Raises:
        InvalidArgumentError: They are no mapping of whole numbers.
    """
    if values is None:
        return None
    if not isinstance(values, Mapping):
        raise refused(argument="rollout_weights", reason="must be a mapping of variant keys to whole numbers")
    return {key: whole_number(value, argument=f"rollout_weights.{key}") for key, value in values.items()}


def variant_fields(key: object, fields: Mapping[str, object]) -> dict[str, object]:
    """Return the fields of a variant.

    Raises:
        InvalidArgumentError: Its weight is no whole number.
    """
    weight = fields.get("rollout_weight")
    checked = None if weight is None else whole_number(weight, argument="rollout_weight")
    return {"key": key, **fields, "rollout_weight": checked}


def exposure(value: object) -> object:
    """Return an exposure event; ``None`` and ``UNSET`` stay.

    Raises:
        InvalidArgumentError: It lacks what Amplitude demands.
    """
    if value is None or value is UNSET:
        return value
    if not isinstance(value, Mapping):
        raise refused(argument="exposure_event", reason="must be a mapping, or None for the default one")
    _demand(value, ("event_type", "filters"), argument="exposure_event")
    return value


def slots(values: object) -> list[dict[str, object]]:
    """Return the slots of a new mutual exclusion group; a number stands for a slot of that percentage with nothing in it yet.

    Raises:
        InvalidArgumentError: There are none, more than 20, or they do not add up to 100.
    """
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes, Mapping)):
        raise refused(argument="slots", reason="must be a list of mappings, or of percentages")
    found: list[dict[str, object]] = []
    total = 0
    for index, value in enumerate(values):
        slot = dict(value) if isinstance(value, Mapping) else {"percentage": value}
        slot["percentage"] = whole_number(slot.get("percentage"), argument=f"slots[{index}].percentage", least=1, most=WHOLE)
        total += slot["percentage"]
        found.append(slot)
    if not 1 <= len(found) <= MAX_SLOTS:
        raise refused(argument="slots", reason=f"holds {len(found)}; Amplitude takes 1 to {MAX_SLOTS}")
    if total != WHOLE:
        raise refused(argument="slots", reason=f"add up to {total} percent; Amplitude demands {WHOLE}")
    return found


def new_fields(
    *, variants: object, rollout_weights: object, target_segments: object, deployments: object, **fields: object
) -> dict[str, object]:
    """Return the fields of a new flag or experiment, each looked at.

    Raises:
        InvalidArgumentError: One is not what Amplitude takes.
    """
    return {
        **fields,
        "variants": new_variants(variants),
        "rollout_weights": weights(rollout_weights),
        "target_segments": segments(target_segments),
        "deployments": optional_ids(deployments, argument="deployments"),
    }


def changed_fields(*, rollout_percentage: object, target_segments: object, tags: object, **fields: object) -> dict[str, object]:
    """Return the fields of a change to a flag or experiment, each looked at.

    Raises:
        InvalidArgumentError: One is not what Amplitude takes.
    """
    return {
        **fields,
        "rollout_percentage": percentage(rollout_percentage, argument="rollout_percentage"),
        "target_segments": segments(target_segments),
        "tags": None if tags is None else texts(tags, argument="tags"),
    }
