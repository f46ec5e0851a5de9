"""What Amplitude accepts: the checks of an upload, in their order, and the body of each refusal.

Pure. The statuses and bodies are those of https://amplitude.com/docs/apis/analytics/http-v2 and
https://amplitude.com/docs/apis/analytics/batch-event-upload; where these pages say nothing, a comment says what
was chosen.
"""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from amplitude_async.sandbox import properties

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MIB: Final = 1_048_576  # "1 MB" in the documentation; read as the binary megabyte
MAX_DEPTH: Final = 40
MAX_GROUPS: Final = 10
DEFAULT_ID_LENGTH: Final = 5
LATEST_TIME_MS: Final = 4_102_444_800_000  # the year 2100: later "milliseconds" are some other unit
_LARGEST_LONG: Final = 2**63 - 1

FORBIDDEN_IDS: Final = frozenset(
    {
        "anonymous",
        "nil",
        "none",
        "null",
        "n/a",
        "na",
        "undefined",
        "unknown",
        "",
        '""',
        '""""',
        "00000000-0000-0000-0000-000000000000",
        "{}",
        "lmy47d",
        "0",
        "-1",
    }
)

RESERVED_TYPES: Final = frozenset(
    {
        "[Amplitude] Start Session",
        "[Amplitude] End Session",
        "[Amplitude] Revenue",
        "[Amplitude] Revenue (Verified)",
        "[Amplitude] Revenue (Unverified)",
        "[Amplitude] Merged User",
    }
)
"""Not to be sent, says Amplitude, and not what becomes of them. A strict sandbox refuses them as invalid values."""

_TEXTS: Final = [
    "event_type",
    "app_version",
    "platform",
    "os_name",
    "os_version",
    "device_brand",
    "device_manufacturer",
    "device_model",
    "carrier",
    "country",
    "region",
    "city",
    "dma",
    "language",
    "ip",
    "idfa",
    "idfv",
    "adid",
    "android_id",
    "android_app_set_id",
    "insert_id",
    "productId",
    "revenueType",
    "currency",
    "user_agent",
    "library",
    "partner_id",
    "start_version",
]
_LONGS: Final = ("time", "session_id", "event_id", "quantity")
_NUMBERS: Final = ("price", "revenue", "location_lat", "location_lng")
_OBJECTS: Final = (
    "event_properties",
    "user_properties",
    "group_properties",
    "groups",
    "plan",
    "ingestion_metadata",
)

_KNOWN: Final = frozenset(
    (
        *_TEXTS,
        *_LONGS,
        *_NUMBERS,
        *_OBJECTS,
        "user_id",
        "device_id",
        "paying",
        "group_type",
        "group_value",
        "$skip_user_properties_sync",
    )
)
_LARGEST_NUMBER: Final = 1e300  # leaves room for price times quantity
_IDS: Final = ("user_id", "device_id")
_CHANGES: Final = {"user_properties": properties.USER_OPERATIONS, "group_properties": properties.GROUP_OPERATIONS}
# What nearly every event has in its fields, by type. Fields that nothing is asked of may hold anything.
_UNASKED: Final = frozenset({"paying", "group_type", "group_value", "$skip_user_properties_sync"})
_USUAL_TEXTS: Final = frozenset((*_TEXTS, *_IDS)) | _UNASKED
_USUAL_WHOLE: Final = frozenset((*_LONGS, *_NUMBERS)) | _UNASKED
_USUAL_FRACTIONS: Final = frozenset(_NUMBERS) | _UNASKED
_USUAL_OBJECTS: Final = frozenset(_OBJECTS)
_DECODER: Final = msgspec.json.Decoder()

Event = dict[str, object]
IndexMap = dict[str, list[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What distinguishes the two upload endpoints."""

    path: str
    max_bytes: int
    max_events: int
    lists_every_index: bool
    strips_short_ids: bool
    dedup_by_device: bool

    def events_fit(self, count: int) -> bool:
        """Say whether a request may hold this many events."""
        return count <= self.max_events


# HTTP V2 takes fewer than 2,000 events and less than 1 MB; Batch up to 2,000 and 20 MB.
HTTP_V2: Final = Endpoint(
    path="/2/httpapi",
    max_bytes=MIB - 1,
    max_events=1999,
    lists_every_index=False,
    strips_short_ids=False,
    dedup_by_device=True,
)
BATCH: Final = Endpoint(
    path="/batch",
    max_bytes=20 * MIB,
    max_events=2000,
    lists_every_index=True,
    strips_short_ids=True,
    dedup_by_device=False,
)


class RefusedError(Exception):
    """A request that the sandbox answers with an error."""

    def __init__(self, status: int, body: Mapping[str, object]) -> None:
        """Keep the answer to give."""
        super().__init__(status, body)
        self.status = status
        self.body = body


def refusal(status: int, error: str, **extra: object) -> RefusedError:
    """Build an ingestion error: ``{"code", "error", ...}``."""
    return RefusedError(status, {"code": status, "error": error, **extra})


def too_large() -> RefusedError:
    """Build the answer to too many bytes or events."""
    return refusal(413, "Payload too large")


def envelope(status: int, details: str) -> dict[str, object]:
    """Build the error body of the dashboard and export APIs."""
    return {
        "error": {
            "http_code": status,
            "type": "unspecified",
            "message": "Unspecified Error",
            "metadata": {"details": details},
        }
    }


def unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """Return the body without its gzip encoding, refusing one that grows beyond ``limit`` bytes."""
    if encoding.strip().lower() not in {"gzip", "x-gzip"}:
        return body
    unzip = zlib.decompressobj(wbits=31)
    try:
        plain = unzip.decompress(body, limit + 1)
    except zlib.error:
        raise refusal(400, "Invalid JSON request body") from None
    if len(plain) > limit:
        raise too_large()
    if not unzip.eof:
        raise refusal(400, "Invalid JSON request body")
    return plain


def _reject_constant(name: str) -> object:
    message = f"{name} is not JSON"
    raise ValueError(message)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        message = f"{text} is out of range"
        raise ValueError(message)
    return value


def parsed_json(text: bytes | str) -> object:
    """Parse strict JSON (no NaN, no Infinity); ValueError for anything else."""
    try:
        # What this one takes, in half the time, the other takes alike.
        return _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:
        return json.loads(text, parse_constant=_reject_constant, parse_float=_finite)
    except RecursionError:
        message = "nested too deeply"
        raise ValueError(message) from None


def json_object(text: bytes) -> dict[str, Any]:
    """Parse strict JSON that must be an object; ValueError for anything else.

    JSON can spell half of a surrogate pair. No answer could hold that, and what is stored is answered with some day.
    """
    parsed = parsed_json(text.decode("utf-8"))
    if not isinstance(parsed, dict):
        message = "The body must be a JSON object"
        raise ValueError(message)  # noqa: TRY004 - it becomes a 400
    if b"\\u" in text:
        try:
            json.dumps(parsed, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            message = "The body holds half a character"
            raise ValueError(message) from None
    return parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A request that passed the checks, its events as they are to be stored."""

    events: list[Event]
    client_upload_time: str | None


def checked_upload(body: bytes, api_key: str, endpoint: Endpoint, *, strict: bool = False) -> Upload:
    """Check an upload as Amplitude does, in this order; RefusedError says what was wrong.

    Empty body, JSON, key present, key known, events present, count, each an object, required fields, values and
    ids, id lengths. Sizes are checked by whoever read the body, throttling and storing come after.
    """
    if not body:
        raise refusal(400, "Missing request body")
    try:
        request = parsed_json(body)
    except ValueError:
        raise refusal(400, "Invalid JSON request body") from None
    if not isinstance(request, dict):
        raise refusal(400, "Invalid JSON request body")
    key = request.get("api_key")
    if key is None or key == "":
        raise refusal(400, "Request missing required field", missing_field="api_key")
    if key != api_key:
        raise refusal(400, f"Invalid API key: {key}")
    events = request.get("events")
    if not isinstance(events, list) or not events:
        raise refusal(400, "Request missing required field", missing_field="events")
    if not endpoint.events_fit(len(events)):
        raise too_large()
    if not all(isinstance(event, dict) for event in events):
        raise refusal(400, "Invalid event JSON")
    options = request.get("options")
    client_upload_time = request.get("client_upload_time")
    return Upload(
        events=checked_events(events, endpoint, min_id_length(options), strict=strict),
        client_upload_time=client_upload_time if isinstance(client_upload_time, str) else None,
    )


def min_id_length(options: object) -> int:
    """Read ``options.min_id_length``; anything that is no number counts as not sent."""
    wanted = options.get("min_id_length") if isinstance(options, dict) else None
    return wanted if isinstance(wanted, int) and not isinstance(wanted, bool) else DEFAULT_ID_LENGTH


def checked_events(sent: list[Event], endpoint: Endpoint, shortest: int, *, strict: bool = False) -> list[Event]:
    """Return the events without nulls, their ids as text; RefusedError names the failing ones by index.

    When ``strict``, reserved event types are among them, and more groups than an identification may have are refused without a word.
    """
    events = [_known(event) for event in sent]
    if strict and any(event.get("event_type") == "$identify" and has_too_many_groups(event.get("groups")) for event in events):
        raise RefusedError(400, {})
    if all(_is_usual(event, shortest) and not (strict and _reserved(event)) for event in events):
        return events
    _refuse_any(
        "Request missing required field",
        "events_with_missing_fields",
        ((index, field) for index, event in enumerate(events) for field in _missing(event)),
        endpoint,
    )
    _refuse_any(
        "Invalid field values on some events",
        "events_with_invalid_fields",
        (
            (index, field)
            for index, event in enumerate(events)
            for field in (*invalid_fields(event), *(_reserved(event) if strict else ()))
        ),
        endpoint,
    )
    for event in events:
        _normalise(event)
    short = [(index, field) for index, event in enumerate(events) for field in short_ids(event, shortest)]
    if endpoint.strips_short_ids:
        for index, field in short:
            del events[index][field]
        orphans = ((index, field) for index, event in enumerate(events) for field in _missing(event))
        _refuse_any("Request missing required field", "events_with_missing_fields", orphans, endpoint)
    else:
        _refuse_any("Invalid id length for user_id or device_id", "events_with_invalid_id_lengths", short, endpoint)
    return events


def _is_usual(event: Event, shortest: int) -> bool:
    """Say whether an event is in order as nearly all are, by a look at each value; of others the careful way says what is wrong."""
    for field, value in event.items():
        kind = type(value)
        if kind is str:
            is_usual = field in _USUAL_TEXTS
        elif kind is int or kind is float:
            is_usual = _is_usual_number(field, value)
        elif kind is dict:
            is_usual = field in _USUAL_OBJECTS and not too_deep(value) and _is_usual_object(field, value)
        else:
            is_usual = field in _UNASKED
        if not is_usual:
            return False
    if not event.get("event_type") or not ("user_id" in event or "device_id" in event):
        return False
    return not any(field in event and (is_forbidden_id(event[field]) or len(str(event[field])) < shortest) for field in _IDS)


def _is_usual_number(field: str, value: Any) -> bool:  # noqa: ANN401 - whatever JSON has for a number
    if type(value) is float:
        return field in _USUAL_FRACTIONS and abs(value) <= _LARGEST_NUMBER
    return field in _USUAL_WHOLE and abs(value) <= _LARGEST_LONG and (field != "time" or 0 <= value <= LATEST_TIME_MS)


def _is_usual_object(field: str, value: Any) -> bool:  # noqa: ANN401 - whatever JSON has for an object
    if field in _CHANGES:
        return properties.problem(value, _CHANGES[field]) is None
    return field != "groups" or are_groups(value)


def _known(sent: Event) -> Event:
    """Return the fields that Amplitude has a column or a rule for; null is the same as left out."""
    return {key: value for key, value in sent.items() if value is not None and key in _KNOWN}


def _normalise(event: Event) -> None:
    """Make ids text (long whole numbers are taken as such) and whole numbers whole."""
    for field in _IDS:
        if field in event:
            event[field] = str(event[field])
    for field in _LONGS:
        value = event.get(field)
        if isinstance(value, float):
            event[field] = int(value)


def _refuse_any(error: str, key: str, failures: Iterable[tuple[int, str]], endpoint: Endpoint) -> None:
    """Refuse the request when there are failures: Batch lists each, V2 the first of each field."""
    found: IndexMap = {}
    for index, field in failures:
        indices = found.setdefault(field, [])
        if not indices or endpoint.lists_every_index:
            indices.append(index)
    if found:
        raise refusal(400, error, **{key: found})


def _missing(event: Event) -> list[str]:
    missing = [] if "event_type" in event else ["event_type"]
    return missing if "user_id" in event or "device_id" in event else [*missing, "user_id"]


def is_forbidden_id(value: object) -> bool:
    """Say whether an id is one of the values (``anonymous``, ``null``, ``0``, ...) that Amplitude refuses.

    Compared without regard to case and outer spaces, which the documentation leaves open.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        return True
    return str(value).strip().lower() in FORBIDDEN_IDS


def short_ids(event: Event, shortest: int) -> list[str]:
    """Name the ids of an event that are too short."""
    return [field for field in _IDS if field in event and len(str(event[field])) < shortest]


def invalid_fields(event: Event) -> list[str]:
    """Name the fields of an event whose value or type Amplitude wouldn't take."""
    bad: list[str] = [field for field in _IDS if field in event and is_forbidden_id(event[field])]
    bad += [field for field in _TEXTS if field in event and not isinstance(event[field], str)]
    if event.get("event_type") == "":
        bad.append("event_type")
    bad += [field for field in _LONGS if field in event and not _is_long(event[field])]
    if "time" not in bad and "time" in event and not 0 <= _number(event["time"]) <= LATEST_TIME_MS:
        bad.append("time")
    bad += [field for field in _NUMBERS if field in event and not is_number(event[field])]
    bad += [field for field in _OBJECTS if field in event and (not isinstance(event[field], dict) or too_deep(event[field]))]
    for field, operations in _CHANGES.items():
        change = event.get(field)
        if isinstance(change, dict) and field not in bad and properties.problem(change, operations):
            bad.append(field)
    groups = event.get("groups")
    if isinstance(groups, dict) and "groups" not in bad and not are_groups(groups):
        bad.append("groups")
    return bad


def _reserved(event: Event) -> list[str]:
    kind = event.get("event_type")
    return ["event_type"] if isinstance(kind, str) and kind in RESERVED_TYPES else []


def is_number(value: object) -> bool:
    """Say whether a JSON value is a number (``true`` is none)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST_NUMBER


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else 0


def _is_long(value: object) -> bool:
    """Say whether a value is a whole number of at most 64 bits; ``1.0`` is, since JSON has one kind of number."""
    if isinstance(value, float):
        return value.is_integer() and abs(value) <= _LARGEST_LONG
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST_LONG


def are_groups(groups: Mapping[str, object]) -> bool:
    """Say whether this maps group types to one value or a list of them."""
    values = [value for sent in groups.values() for value in (sent if isinstance(sent, list) else [sent])]
    return all(isinstance(value, str | int | float) for value in values)


def has_too_many_groups(groups: object) -> bool:
    """Say whether a group type has more than ten values. Such an identification was seen to get a 400 whose body says nothing."""
    return isinstance(groups, dict) and any(isinstance(values, list) and len(values) > MAX_GROUPS for values in groups.values())


def too_deep(value: object, left: int = MAX_DEPTH) -> bool:
    """Say whether objects are nested beyond the 40 levels that Amplitude stores."""
    if not isinstance(value, (dict, list)):
        return False
    if left == 0:
        return True
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, (dict, list)) and too_deep(each, left - 1):
            return True
    return False


def checked_identifications(text: str | None, shortest: int) -> list[Event]:
    """Parse the ``identification`` parameter: one object or a list of them. ValueError says what is wrong."""
    entries = _entries(text)
    for entry in entries:
        ids = [field for field in _IDS if field in entry]
        if not ids:
            message = "missing_event: user_id or device_id is required"
            raise ValueError(message)
        if invalid_fields(entry):
            message = f"invalid_event: {', '.join(invalid_fields(entry))}"
            raise ValueError(message)
        _normalise(entry)
        if short_ids(entry, shortest):
            message = f"invalid_id_length: {', '.join(short_ids(entry, shortest))}"
            raise ValueError(message)
    return entries


def checked_group_identifications(text: str | None) -> list[Event]:
    """Parse the ``identification`` parameter of ``/groupidentify``. ValueError says what is wrong."""
    entries = _entries(text)
    for entry in entries:
        for field in ("group_type", "group_value"):
            if not isinstance(entry.get(field), str) or not entry[field]:
                message = f"missing_event: {field} is required"
                raise ValueError(message)
        if invalid_fields(entry):
            message = f"invalid_event: {', '.join(invalid_fields(entry))}"
            raise ValueError(message)
    return entries


def _entries(text: str | None) -> list[Event]:
    try:
        sent = parsed_json(text) if text else None
    except ValueError:
        sent = None
    entries = sent if isinstance(sent, list) else [sent]
    kept = [_known(entry) for entry in entries if isinstance(entry, dict)]
    if not kept or len(kept) != len(entries):
        message = "missing_event"
        raise ValueError(message)
    return kept
