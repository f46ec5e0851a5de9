"""What callers build: events and identifications; their spelling, defaults and checks.

Pure: the time and the ids that an event is given are arguments. Nothing here changes the caller's objects.

Amplitude's pages: https://amplitude.com/docs/apis/analytics/http-v2 and https://amplitude.com/docs/apis/analytics/identify
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from amplitude_async.errors import InvalidEventError, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime, time

__all__ = [
    "ALIASES",
    "INHERITED",
    "NO_DEFAULTS",
    "Defaults",
    "EventInput",
    "as_list",
    "has_unrepeatable_operation",
    "iso_text",
    "prepare",
]

INHERITED: Final[ContextVar[Mapping[str, Any] | None]] = ContextVar("amplitude_async_event_context", default=None)
"""Fields that events inherit where they are tracked; set by :func:`amplitude_async.context.event_context`."""

EventInput = Mapping[str, Any]
"""An event, an identification: any mapping with text keys. ``Any`` because its values are free-form JSON."""

ALIASES: Final = {
    "userId": "user_id",
    "deviceId": "device_id",
    "sessionId": "session_id",
    "eventType": "event_type",
    "eventProperties": "event_properties",
    "userProperties": "user_properties",
    "appVersion": "app_version",
    "osName": "os_name",
    "osVersion": "os_version",
    "deviceBrand": "device_brand",
    "deviceManufacturer": "device_manufacturer",
    "deviceModel": "device_model",
    "locationLat": "location_lat",
    "locationLng": "location_lng",
    # Amplitude itself spells these two in camelCase.
    "product_id": "productId",
    "revenue_type": "revenueType",
}
"""The 14 camelCase keys of the original, and the two whose snake_case is accepted. Only the top level is looked at."""

IDENTITY_KEYS: Final = ("device_id", "session_id", "user_id")

NEVER_EMPTY: Final = frozenset({"event_type", *IDENTITY_KEYS})
"""Keys whose ``None`` and ``""`` mean that they are absent."""

UNREPEATABLE: Final = frozenset({"$add", "$append", "$prepend"})
"""Operations that change the outcome when they are applied twice (the insert-if-absent ones and ``$set`` do not)."""


class Defaults(NamedTuple):
    """Ids that a client gives to events which lack their own."""

    user_id: object = None
    device_id: object = None
    session_id: object = None


NO_DEFAULTS: Final = Defaults()


def as_list(argument: object, *, name: str, limit_hint: str = "") -> list[Mapping[str, Any]]:
    """Return one mapping or a list of them as a list.

    Raises:
        InvalidEventError: The argument is neither, the list is empty, or an item is not a mapping.
    """
    if isinstance(argument, Mapping):
        return [argument]
    if isinstance(argument, (str, bytes, bytearray)) or not isinstance(argument, Sequence):
        if hasattr(argument, "__iter__") and not isinstance(argument, (str, bytes, bytearray)):
            argument = list(argument)  # a generator, a set, a deque: read once, here
        else:
            message = f"give one mapping or a list of them, not {type(argument).__name__}{limit_hint}"
            raise InvalidEventError(message, path=name, argument=name)
    items = list(argument)
    if not items:
        message = "the list is empty; give at least one mapping"
        raise InvalidEventError(message, path=name, argument=name)
    for index, item in enumerate(items):
        if not isinstance(item, Mapping):
            message = f"must be a mapping, not {type(item).__name__}"
            raise InvalidEventError(message, path=f"{name}[{index}]", argument=name)
    return items


def prepare(
    item: Mapping[str, Any],
    *,
    path: str,
    defaults: Defaults,
    needs_event_type: bool,
    stamp: Callable[[], tuple[str, int]] | None,
) -> dict[str, Any]:
    """Return what is sent for one item: snake_case keys, default ids filled in, ``insert_id`` and ``time`` set.

    Args:
        item: The caller's mapping; it is not changed.
        path: Where the item stands, for errors, e.g. ``events[3]``.
        defaults: The client's own ids.
        needs_event_type: Whether a missing ``event_type`` is refused (events) or not (identifications).
        stamp: Gives an insert id and the time in ms, for events that lack them; ``None`` for identifications.

    Raises:
        InvalidEventError: A key is not text, ``event_type`` is missing, or both ids are.
    """
    argument = path.partition("[")[0]
    prepared = _spelled(item, path=path, argument=argument)
    for key in IDENTITY_KEYS:
        if prepared[key] is None:
            default = getattr(defaults, key)
            if default is None or default == "":
                del prepared[key]
            else:
                prepared[key] = default
    if prepared["event_type"] is None:
        if needs_event_type:
            message = "event_type is missing; give the name of the event"
            raise InvalidEventError(message, path=f"{path}.event_type", argument=argument)
        del prepared["event_type"]
    if "user_id" not in prepared and "device_id" not in prepared:
        message = "user_id and device_id are both missing; give one of them, here or to the client"
        raise InvalidEventError(message, path=f"{path}.user_id", argument=argument)
    if stamp is not None:
        _stamp(prepared, stamp)
    for key in ("time", "session_id"):
        if key in prepared and hasattr(prepared[key], "timestamp"):
            prepared[key] = epoch_ms(prepared[key])
    return prepared


def _spelled(item: Mapping[str, Any], *, path: str, argument: str) -> dict[str, Any]:
    """Return an item under Amplitude's keys, those of :data:`NEVER_EMPTY` all there, and ``None`` where the item has none."""
    # The order of the original's wire form: type and ids first, then the caller's order.
    prepared: dict[str, Any] = {"event_type": None, "device_id": None, "session_id": None, "user_id": None}
    for key, value in item.items():
        if not isinstance(key, str):
            message = f"key {shown(key)} must be text, not {type(key).__name__}"
            raise InvalidEventError(message, path=path, argument=argument)
        name = ALIASES.get(key, key)
        # What counts as absent does not win over the same key in its other spelling either.
        if name not in NEVER_EMPTY or (value is not None and value != ""):
            prepared[name] = value
    return prepared


def _stamp(prepared: dict[str, Any], stamp: Callable[[], tuple[str, int]]) -> None:
    insert_id, time_ms = prepared.get("insert_id"), prepared.get("time")
    if insert_id is None or insert_id == "" or time_ms is None:
        new_id, now_ms = stamp()
        if insert_id is None or insert_id == "":
            prepared["insert_id"] = new_id
        if time_ms is None:
            prepared["time"] = now_ms


def epoch_ms(instant: datetime) -> int:
    """Return a datetime as milliseconds since the epoch, cut off, not rounded; a naive one is UTC."""
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - most events carry no datetime

    aware = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def iso_text(value: date | time) -> str:
    """Return a date, a time or a moment in ISO 8601.

    A moment in UTC is written as JavaScript does (``2026-05-01T07:00:00.000Z``), so that a property holds the same text whether a
    browser, the npm package or this library sent it, and so that queries which compare with it find it. Other offsets are kept.
    """
    text = value.isoformat()
    moment = text.removesuffix("+00:00")
    if moment == text or "T" not in text:
        return text
    seconds, _, fraction = moment.partition(".")
    # Cut as text: a subclass may count nanoseconds.
    fraction = fraction[:3] if fraction[3:] in {"", "000"} else fraction
    return f"{seconds}.{fraction or '000'}Z"


def has_unrepeatable_operation(item: Mapping[str, Any]) -> bool:
    """Say whether applying this identification twice may differ from applying it once."""
    for key in ("user_properties", "group_properties"):
        operations = item.get(key)
        if isinstance(operations, Mapping) and not UNREPEATABLE.isdisjoint(operations):
            return True
    return False
