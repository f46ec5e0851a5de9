"""The export row: how a checked event becomes the 55 columns that Amplitude's raw data has.

Pure: the clock, the ids and the user's stored state are arguments. Columns as recorded from the Export API
(https://amplitude.com/docs/apis/analytics/export), alphabetical, unset ones null.
"""

from __future__ import annotations

import json
import math
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from amplitude_async.sandbox.language import language_name
from amplitude_async.sandbox.rules import MAX_GROUPS, Event, is_number

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_TEXT: Final = 1024  # longer strings are cut, not refused
_MAX_GROUP_TYPES: Final = 5
_SKEW: Final = timedelta(seconds=60)
_FIRST_TOLERANT_PROJECT: Final = 243_704  # projects from this id on ignore a clock skew below a minute
_DEVICE_NAMESPACE: Final = uuid.UUID("6f6ba1d0-6a0c-5b6e-9f57-b4c2b8b27d11")

# What an upload calls it -> the column. These are also the built-in user properties, which stay with the user.
BUILT_INS: Final = {
    "app_version": "version_name",
    "platform": "platform",
    "os_name": "os_name",
    "os_version": "os_version",
    "device_brand": "device_brand",
    "device_manufacturer": "device_manufacturer",
    "device_model": "device_model",
    "carrier": "device_carrier",
    "country": "country",
    "region": "region",
    "city": "city",
    "dma": "dma",
    "language": "language",
    "start_version": "start_version",
}
_ENCODER: Final = msgspec.json.Encoder()
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIMESTAMP_LENGTH: Final = len("2026-05-01 07:14:03.250000")
_REVENUE: Final = {
    "revenue": "$revenue",
    "price": "$price",
    "quantity": "$quantity",
    "productId": "$productId",
    "revenueType": "$revenueType",
    "currency": "$currency",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """When and how an upload reached the server; instants are aware and in UTC."""

    received: datetime
    uploaded: datetime
    processed: datetime
    client_upload: datetime
    path: str
    project_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """The state of a user at an event."""

    amplitude_id: int
    user_id: str | None
    device_id: str
    properties: Mapping[str, object]
    built_ins: Mapping[str, object]
    group_properties: Mapping[str, object]
    groups: Mapping[str, list[object]]
    paying: bool
    updated: bool = True


def arrival(*, received_s: float, client_upload_time: str | None, path: str, project_id: int) -> Arrival:
    """Stamp a request; the server stores it a few milliseconds after it came in."""
    received = datetime.fromtimestamp(received_s, UTC)
    return Arrival(
        received=received,
        uploaded=received + timedelta(milliseconds=1),
        processed=received + timedelta(milliseconds=2),
        client_upload=_instant(client_upload_time) or received,
        path=path,
        project_id=project_id,
    )


def _instant(text: str | None) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(text) if text else None
        if parsed is None:
            return None
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def event_instants(event: Event, stamp: Arrival) -> tuple[datetime, datetime]:
    """Return when the client says an event happened, and when it did by the server's clock.

    The difference between arrival and the client's upload time is taken for a wrong clock when it is a minute or
    more (any difference, in old projects).
    """
    sent = event.get("time")
    if not isinstance(sent, int | float):
        return stamp.received, stamp.received
    client = _EPOCH + timedelta(milliseconds=int(sent))
    skew = stamp.received - stamp.client_upload
    if abs(skew) < _SKEW and stamp.project_id >= _FIRST_TOLERANT_PROJECT:
        return client, client
    try:
        return client, client + skew
    except OverflowError:
        return client, client


def timestamp(instant: datetime) -> str:
    """Write an instant as raw data does: a space, six digits, no zone."""
    return instant.isoformat(" ", "microseconds")[:_TIMESTAMP_LENGTH]


@lru_cache(maxsize=4096)
def derived_device_id(project_id: int, user_id: str) -> str:
    """Return the device id that an event without one gets: a name-based UUID of project and user."""
    return str(uuid.uuid5(_DEVICE_NAMESPACE, f"{project_id}/{user_id}"))


def cut(value: object) -> object:
    """Cut strings, at any depth, to the 1,024 characters that Amplitude stores.

    Half of a surrogate pair, which JSON can spell but UTF-8 cannot, becomes the replacement character.
    """
    if isinstance(value, str):
        return _cut_text(value)
    if isinstance(value, list):
        return [cut(each) for each in value]
    return cut_object(value) if isinstance(value, dict) else value


def cut_object(value: Mapping[str, object]) -> dict[str, object]:
    """Cut the strings of an object, and its keys, as :func:`cut` does."""
    found: dict[str, object] = {}
    for key, each in value.items():
        name = key if key.isascii() and len(key) <= LONGEST_TEXT else _cut_text(key)
        if isinstance(each, str):
            # ASCII has no surrogates, and most of what comes is ASCII and short.
            found[name] = each if each.isascii() and len(each) <= LONGEST_TEXT else _cut_text(each)
        else:
            found[name] = cut(each) if isinstance(each, (dict, list)) else each
    return found


def _cut_text(text: str) -> str:
    return text[:LONGEST_TEXT].encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def built_ins(event: Event) -> dict[str, object]:
    """Return the built-in user properties that an event or identification sets, by column."""
    found = {BUILT_INS[sent]: value for sent, value in event.items() if sent in BUILT_INS}
    language = found.get("language")
    return found | {"language": language_name(language)} if isinstance(language, str) else found


def limited_groups(groups: Mapping[str, object]) -> dict[str, list[object]]:
    """Return groups as lists: at most five types and ten values, the rest is silently left out."""
    kept: dict[str, list[object]] = {}
    left = MAX_GROUPS
    for group_type, sent in list(groups.items())[:_MAX_GROUP_TYPES]:
        values = (sent if isinstance(sent, list) else [sent])[:left]
        left -= len(values)
        if values:
            kept[group_type] = values
    return kept


def revenue_of(event: Event) -> float | None:
    """Return an event's revenue: price times quantity when there is a price, else ``revenue``, else none.

    The SDKs' ``revenue_amount`` event says it by event properties instead.
    """
    price, quantity, revenue = event.get("price"), event.get("quantity", 1), event.get("revenue")
    if isinstance(price, int | float) and isinstance(quantity, int | float):
        product = float(price) * float(quantity)
        return product if math.isfinite(product) else None
    if isinstance(revenue, int | float):
        return float(revenue)
    sent = event.get("event_properties")
    if isinstance(sent, dict) and event.get("event_type") == "revenue_amount":
        fields = ("price", "quantity", "revenue")
        return revenue_of({field: sent[f"${field}"] for field in fields if is_number(sent.get(f"${field}"))})
    return None


def _event_properties(event: Event) -> dict[str, object]:
    sent = event.get("event_properties")
    found: dict[str, object] = sent if isinstance(sent, dict) else {}
    if _REVENUE.keys().isdisjoint(event):
        return found
    copied = {column: event[field] for field, column in _REVENUE.items() if field in event}
    if "$price" in copied or "$revenue" in copied:
        copied["$revenue"] = revenue_of(event)
    return found | copied


def row(event: Event, stamp: Arrival, person: Person, instants: tuple[datetime, datetime]) -> dict[str, object]:
    """Build the raw row of one event that happened at these :func:`event_instants`; columns in the order that raw data has."""
    client_time, event_time = instants
    client_text = timestamp(client_time)
    client_upload, received, uploaded, processed = _arrival_texts(stamp)
    sent, stored = event.get, person.built_ins.get
    model = stored("device_model")
    return {
        "$insert_id": sent("insert_id") or str(uuid.uuid4()),
        "$insert_key": None,
        "$schema": None,
        "adid": sent("adid"),
        "amplitude_attribution_ids": None,
        "amplitude_event_type": None,
        "amplitude_id": person.amplitude_id,
        "app": stamp.project_id,
        "city": stored("city"),
        "client_event_time": client_text,
        "client_upload_time": client_upload,
        "country": stored("country"),
        "data": {
            "path": stamp.path,
            "user_properties_updated": person.updated,
            "group_first_event": {},
            "group_ids": {},
        },
        "data_type": "event",
        "device_brand": stored("device_brand"),
        "device_carrier": stored("device_carrier"),
        "device_family": stored("device_brand") or stored("device_manufacturer") or model,
        "device_id": person.device_id,
        "device_manufacturer": stored("device_manufacturer"),
        "device_model": model,
        "device_type": model,
        "dma": stored("dma"),
        "event_id": sent("event_id", 0),
        "event_properties": _event_properties(event),
        "event_time": client_text if event_time is client_time else timestamp(event_time),
        "event_type": event["event_type"],
        "global_user_properties": None,
        "group_properties": person.group_properties,
        "groups": person.groups,
        "idfa": sent("idfa"),
        "ip_address": sent("ip"),
        "is_attribution_event": None,
        "language": stored("language"),
        "library": sent("library", "http/2.0"),
        "location_lat": sent("location_lat"),
        "location_lng": sent("location_lng"),
        "os_name": stored("os_name"),
        "os_version": stored("os_version"),
        "partner_id": sent("partner_id"),
        "paying": True if person.paying else None,
        "plan": sent("plan", {}),
        "platform": stored("platform"),
        "processed_time": processed,
        "region": stored("region"),
        "sample_rate": None,
        "server_received_time": received,
        "server_upload_time": uploaded,
        "session_id": sent("session_id", -1),
        "source_id": "",
        "start_version": stored("start_version"),
        "user_creation_time": None,
        "user_id": person.user_id,
        "user_properties": person.properties,
        "uuid": str(uuid.uuid4()),
        "version_name": stored("version_name"),
    }


@lru_cache(maxsize=8)
def _arrival_texts(stamp: Arrival) -> tuple[str, str, str, str]:
    """Write the instants of an upload, which are the same on all its rows."""
    return timestamp(stamp.client_upload), timestamp(stamp.received), timestamp(stamp.uploaded), timestamp(stamp.processed)


def packed(value: object) -> str:
    """Write what is stored: as :func:`compact`, and quicker; every number in it was seen to be finite."""
    return _ENCODER.encode(value).decode()


def compact(value: object) -> str:
    """Write JSON as raw data does: no spaces, UTF-8 characters as themselves."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
