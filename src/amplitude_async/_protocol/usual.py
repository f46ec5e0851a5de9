"""Events as nearly all are: checked and encoded in as few steps as there are.

What is unusual in any way, be it a spelling, a type or a missing id, is left to :func:`amplitude_async.events.prepare` and
:func:`amplitude_async._protocol.codec.encode`, which say the same of every event, or why not and where, at twice the cost.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import UNSET, Meta, UnsetType, ValidationError, convert, defstruct

from amplitude_async._protocol.codec import encode_plain, is_plain
from amplitude_async._protocol.uploads import MAX_EVENT_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from amplitude_async.events import Defaults

__all__ = ["USUAL_KEYS", "encode_usual"]

USUAL_KEYS: Final = (
    *("event_type", "user_id", "device_id", "session_id", "insert_id", "time", "platform", "os_name", "os_version", "app_version"),
    *("version_name", "language", "country", "region", "city", "dma", "ip", "device_brand", "device_manufacturer", "device_model"),
    *("carrier", "price", "quantity", "revenue", "productId", "revenueType", "currency", "location_lat", "location_lng", "user_agent"),
    *("library", "event_id", "idfa", "idfv", "adid", "android_id", "android_app_set_id", "partner_id"),
    *("event_properties", "user_properties", "groups"),
)
"""Of the keys of https://amplitude.com/docs/apis/analytics/http-v2 those that many send, in the order in which they are sent."""

PROPERTIES: Final = ("event_properties", "user_properties", "groups")
NUMBERS: Final = ("price", "revenue", "location_lat", "location_lng")
"""The others are whole numbers, or text."""

_Plain: Final[Any] = str | int | bool | None | UnsetType
_Number: Final[Any] = int | Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)] | None | UnsetType
_KINDS: Final = {**dict.fromkeys(PROPERTIES, object), **dict.fromkeys(NUMBERS, _Number)}

# Filled in one step in C, which also refuses keys that it does not know and values of other types; encoded as quickly as a dict.
_Usual: Final[Any] = defstruct(
    "_Usual", [(key, _KINDS.get(key, _Plain), UNSET) for key in USUAL_KEYS], gc=False, forbid_unknown_fields=True
)


def encode_usual(  # noqa: C901, PLR0911, PLR0912 - the quickest way through, with few calls
    item: Mapping[str, Any], defaults: Defaults, new_id: str, now_ms: int
) -> tuple[bytes, str, str] | None:
    """Return the JSON of an event, its insert id, and whose it is; ``None`` if it is not as nearly all are.

    Args:
        item: The caller's event; it is not changed.
        defaults: The client's own ids.
        new_id: The insert id of an event that has none.
        now_ms: The time of an event that has none.
    """
    if type(item) is not dict:
        return None
    try:
        event = convert(item, _Usual)
    except (ValidationError, UnicodeEncodeError):
        return None
    # Only the walk sees what is a subclass, which may say something else than it holds.
    properties, user_properties = event.event_properties, event.user_properties
    if (properties is UNSET or not is_plain(properties)) and "event_properties" in item:
        return None
    if (user_properties is UNSET or not is_plain(user_properties)) and "user_properties" in item:
        return None
    if (event.groups is not UNSET or "groups" in item) and not is_plain(item["groups"]):
        return None
    if not event.price is event.revenue is event.location_lat is event.location_lng is UNSET and not all(
        map(is_plain, map(item.get, NUMBERS))
    ):
        # A decimal has become a float.
        return None
    event_type, device_id, user_id, insert_id = event.event_type, event.device_id, event.user_id, event.insert_id
    if type(event_type) is not str or not event_type:
        return None
    if type(device_id) is not str or not device_id:
        device_id = event.device_id = _usual_id(device_id, defaults.device_id)
    if type(user_id) is not str or not user_id:
        user_id = event.user_id = _usual_id(user_id, defaults.user_id)
    if device_id is None or user_id is None or user_id is device_id is UNSET:
        return None
    session_id = event.session_id
    if session_id is not UNSET or defaults.session_id is not None:
        if type(session_id) is not int:
            session_id = event.session_id = _usual_id(session_id, defaults.session_id)
        if session_id is None:
            return None
    if insert_id is UNSET:
        insert_id = event.insert_id = new_id
    elif type(insert_id) is not str or not insert_id:
        return None
    if event.time is UNSET:
        event.time = now_ms
    elif type(event.time) is not int:
        return None
    body = encode_plain(event)
    if body is None or len(body) > MAX_EVENT_BYTES:
        return None
    identity = user_id if device_id is UNSET else device_id
    return body, insert_id, identity if type(identity) is str else str(identity)


def _usual_id(value: object, default: object) -> object:
    """Return what stands for an id that is not there; ``None`` if the id, or its default, is not as simple as that."""
    if value is not UNSET and value is not None and (type(value) is not str or value):
        return None
    if default is None or default == "":
        return UNSET
    return default if type(default) is str or type(default) is int else None
