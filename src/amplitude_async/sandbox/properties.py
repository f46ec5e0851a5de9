"""User and group property operations: what ``$set``, ``$add``, ``$append`` and the rest do to stored properties.

Pure: a mapping and a change go in, a new mapping comes out. Described at
https://amplitude.com/docs/apis/analytics/identify.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

Properties = Mapping[str, object]

# The order in which Amplitude applies several operations of one change.
USER_OPERATIONS = (
    "$clearAll",
    "$unset",
    "$set",
    "$setOnce",
    "$add",
    "$append",
    "$prepend",
    "$preInsert",
    "$postInsert",
    "$remove",
)
OPERATION_NAMES = frozenset(USER_OPERATIONS)
GROUP_OPERATIONS = ("$unset", "$set", "$setOnce", "$add", "$append", "$prepend")


def problem(change: Properties, operations: tuple[str, ...] = USER_OPERATIONS) -> str | None:
    """Say what is wrong with a change, or None.

    Operations and plain keys may not be mixed, an operation outside ``operations`` is unknown, and the value of
    each operation but ``$clearAll`` is a mapping.
    """
    if OPERATION_NAMES.isdisjoint(change):
        return None
    used = [key for key in change if key in OPERATION_NAMES]
    if len(used) != len(change):
        return "operations and plain properties are mixed"
    for name in used:
        if name not in operations:
            return f"{name} is not supported here"
        if name != "$clearAll" and not isinstance(change[name], Mapping):
            return f"{name} needs an object"
    return None


def apply(stored: Properties, change: Properties, operations: tuple[str, ...] = USER_OPERATIONS) -> dict[str, object]:
    """Return ``stored`` after ``change``, which is plain properties (each one set) or operations.

    Neither argument is changed. ``$add`` with or onto something that is no number does nothing; a scalar that is
    appended to becomes a list of one first.
    """
    result = dict(stored)
    if OPERATION_NAMES.isdisjoint(change):
        result.update(change)
        return result
    for name in operations:
        if name not in change:
            continue
        if name == "$clearAll":
            result.clear()
            continue
        values = change[name]
        if isinstance(values, Mapping):
            for key, value in values.items():
                _OPERATIONS[name](result, key, value)
    return result


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else [value]


def _current(result: dict[str, object], key: str) -> list[object]:
    value = result.get(key)
    return [] if value is None else _listed(value)


def same(left: object, right: object) -> bool:
    """Compare two JSON values; unlike Python, ``true`` is not ``1``."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def _holds(values: list[object], value: object) -> bool:
    return any(same(value, present) for present in values)


def _fresh(values: list[object], present: list[object]) -> list[object]:
    """Return the values that are not yet present, each once, in their order."""
    fresh: list[object] = []
    for value in values:
        if not _holds(present, value) and not _holds(fresh, value):
            fresh.append(value)
    return fresh


def _unset(result: dict[str, object], key: str, _value: object) -> None:
    result.pop(key, None)


def _set(result: dict[str, object], key: str, value: object) -> None:
    result[key] = value


def _set_once(result: dict[str, object], key: str, value: object) -> None:
    result.setdefault(key, value)


def _add(result: dict[str, object], key: str, value: object) -> None:
    current = result.get(key)
    if current is None:
        current = 0
    if not (isinstance(current, int | float) and isinstance(value, int | float)):
        return
    if isinstance(current, bool) or isinstance(value, bool):
        return
    try:
        total = current + value
        is_storable = math.isfinite(float(total))
    except OverflowError:  # a whole number too large for a fraction
        return
    if is_storable:
        result[key] = total


def _append(result: dict[str, object], key: str, value: object) -> None:
    result[key] = _current(result, key) + _listed(value)


def _prepend(result: dict[str, object], key: str, value: object) -> None:
    result[key] = _listed(value) + _current(result, key)


def _pre_insert(result: dict[str, object], key: str, value: object) -> None:
    current = _current(result, key)
    result[key] = _fresh(_listed(value), current) + current


def _post_insert(result: dict[str, object], key: str, value: object) -> None:
    current = _current(result, key)
    result[key] = current + _fresh(_listed(value), current)


def _remove(result: dict[str, object], key: str, value: object) -> None:
    if result.get(key) is not None:
        gone = _listed(value)
        result[key] = [present for present in _current(result, key) if not _holds(gone, present)]


_OPERATIONS: dict[str, Callable[[dict[str, object], str, object], None]] = {
    "$unset": _unset,
    "$set": _set,
    "$setOnce": _set_once,
    "$add": _add,
    "$append": _append,
    "$prepend": _prepend,
    "$preInsert": _pre_insert,
    "$postInsert": _post_insert,
    "$remove": _remove,
}
