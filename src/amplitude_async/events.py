"""What callers build: events and identifications; their spelling, defaults and checks.

Pure: the time and the ids that an event is given are arguments. Nothing here changes the caller's objects.

Amplitude's pages: https://amplitude.com/docs/apis/analytics/http-v2 and https://amplitude.com/docs/apis/analytics/identify
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec import UNSET, defstruct

from amplitude_async.errors import InvalidEventError, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime, time

__all__ = [
    "ALIASES",
    "INHERITED",
    "Defaults",
    "EventInput",
    "as_list",
    "has_unrepeatable_operation",
    "iso_text",
    "prepare",
    "prepare_usual",
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

USUAL_KEYS: Final = (
    *("event_type", "device_id", "session_id", "user_id", "insert_id", "time", "event_properties", "user_properties"),
    *("groups", "group_properties", "app_version", "version_name", "platform", "os_name", "os_version", "device_brand"),
    *("device_manufacturer", "device_model", "carrier", "country", "region", "city", "dma", "language", "price", "quantity"),
    *("revenue", "productId", "revenueType", "currency", "location_lat", "location_lng", "ip", "idfa", "idfv", "adid"),
    *("android_id", "android_app_set_id", "event_id", "library", "user_agent", "partner_id", "plan", "ingestion_metadata"),
)
"""The keys of https://amplitude.com/docs/apis/analytics/http-v2, in the order in which they are sent."""

# Made in one step in C, which also says of a key that it is unknown; encoded quicker than a dict.
_Usual: Final[Any] = defstruct("_Usual", [(key, object, UNSET) for key in USUAL_KEYS], gc=False)

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


def prepare_usual(  # noqa: C901, PLR0911, PLR0912 - the quickest way through, with few calls
    item: Mapping[str, Any], defaults: Defaults, stamp: Callable[[], tuple[str, int]]
) -> Any:  # noqa: ANN401 - a struct
    """Return what is sent for an event as nearly all are: a dict with Amplitude's own keys; ``None`` for :func:`prepare` to see to.

    It says the same as :func:`prepare` at less than half the cost, and refuses nothing. Its keys come in an order of their own.

    Args:
        item: The caller's event; it is not changed.
        defaults: The client's own ids.
        stamp: Gives an insert id and the time in ms.

    Returns:
        An object to be encoded. What it holds beside the caller's values is text and small integers.
    """
    if type(item) is not dict:
        return None
    try:
        event = _Usual(**item)
    except TypeError:
        # A key in another spelling, or one that is not on Amplitude's page, or no text.
        return None
    if type(event.event_type) is not str or not event.event_type:
        return None
    device_id, user_id, session_id, insert_id, time = event.device_id, event.user_id, event.session_id, event.insert_id, event.time
    if type(device_id) is not str or not device_id:
        device_id = event.device_id = _usual_id(device_id, defaults.device_id)
    if type(user_id) is not str or not user_id:
        user_id = event.user_id = _usual_id(user_id, defaults.user_id)
        if user_id is device_id:
            # Neither is there.
            return None
    if session_id is not UNSET or defaults.session_id is not None:
        if type(session_id) is not int:
            session_id = event.session_id = _usual_id(session_id, defaults.session_id)
        if session_id is None:
            return None
    if device_id is None or user_id is None:
        return None
    if insert_id is UNSET:
        event.insert_id, now_ms = stamp()
        if time is UNSET:
            event.time = now_ms
            return event
    elif type(insert_id) is not str or not insert_id:
        return None
    if time is UNSET:
        _, event.time = stamp()
    elif type(time) is not int:
        return None
    return event


def _usual_id(value: object, default: object) -> object:
    """Return what stands for an id that is not there; ``None`` if the id, or its default, is not as simple as that."""
    if value is not UNSET and value is not None and (type(value) is not str or value):
        return None
    if default is None or default == "":
        return UNSET
    return default if type(default) is str or type(default) is int else None


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
