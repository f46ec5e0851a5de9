"""Who is who across projects, and who came by which campaign: user mappings and attribution.

Amplitude's pages: https://amplitude.com/docs/apis/analytics/user-mapping and https://amplitude.com/docs/apis/analytics/attribution
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypedDict
from urllib.parse import quote

from amplitude_async._protocol.bodies import Form
from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.call import Call, read_json, read_text_or_json
from amplitude_async._protocol.codec import MalformedError, UnencodableError, encode
from amplitude_async._protocol.uploads import MAX_EVENT_BYTES
from amplitude_async.errors import InvalidEventError
from amplitude_async.events import ALIASES, as_list, epoch_ms
from amplitude_async.resources.ingestion import Packed, deliver, split
from amplitude_async.resources.parameters import id_list, repeated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amplitude_async.resources.runner import Sender

__all__ = ["MappedUser", "UserMappings", "alias", "alias_call", "attribution", "attribution_call", "mappings_call", "user_mappings"]

MAX_MAPPINGS: Final = 1500
"""In one request. Amplitude takes 2,000, but no more than 1,500 in 30 s: a full request alone would be throttled."""
MAX_BYTES: Final = 900_000
"""Documented as 1 MB."""
MAX_IDS: Final = 100
"""In one question for mappings."""

_MAPPING_ALIASES: Final = {"userId": "user_id", "globalUserId": "global_user_id"}
_NEEDED: Final = {"ios": ("idfa", "idfv"), "android": ("adid", "android_app_set_id")}


class MappedUser(TypedDict, total=False):
    """The mappings of a user: those that lead to it, and what it leads to; each ``{"amplitude_id": ..., "user_id": ...}``."""

    amplitude_id: int
    mapped_from: list[dict[str, Any]]
    mapped_to: list[dict[str, Any]]


UserMappings = dict[str, MappedUser]


def pack_mappings(mappings: object) -> list[Packed]:
    """Check and encode mappings; all of them, before any is sent.

    Raises:
        InvalidEventError: Anything is wrong with any of them; names the place.
    """
    packed: list[Packed] = []
    for index, item in enumerate(as_list(mappings, name="mappings")):
        path = f"mappings[{index}]"
        mapping = _spelled(item, _MAPPING_ALIASES, path, "mappings")
        if _is_blank(mapping.get("user_id")):
            raise _refused(path=f"{path}.user_id", reason="is missing; give the user that is mapped", argument="mappings")
        unmaps = mapping.get("unmap", False)
        if not isinstance(unmaps, bool):
            raise _refused(path=f"{path}.unmap", reason="must be true or false", argument="mappings")
        if unmaps and "global_user_id" in mapping:
            raise _refused(path=f"{path}.global_user_id", reason="must be left out where unmap is true", argument="mappings")
        if not unmaps and _is_blank(mapping.get("global_user_id")):
            raise _refused(path=f"{path}.global_user_id", reason="is missing; give it, or unmap=True", argument="mappings")
        body = _encoded(mapping, path, "mappings")
        # In a form it travels percent-encoded.
        packed.append(Packed(body, len(quote(body, safe="")) + 3, "", is_repeatable=True))
    return packed


def _is_blank(value: object) -> bool:
    return not isinstance(value, (str, int)) or isinstance(value, bool) or not str(value).strip()


def _refused(*, path: str, reason: str, argument: str) -> InvalidEventError:
    return InvalidEventError(reason, path=path, argument=argument)


def _spelled(item: Mapping[Any, Any], aliases: Mapping[str, str], path: str, argument: str) -> dict[str, Any]:
    """Return an item's members in Amplitude's spelling, those that are ``None`` left out."""
    for key in item:
        if not isinstance(key, str):
            raise _refused(path=path, reason=f"has a key that is no text but a {type(key).__name__}", argument=argument)
    return {aliases.get(key, key): value for key, value in item.items() if value is not None}


def _encoded(item: Mapping[str, Any], path: str, argument: str) -> bytes:
    try:
        return encode(item)
    except UnencodableError as refusal:
        where, reason = refusal.where(path), refusal.reason
    raise InvalidEventError(reason, path=where, argument=argument)


def alias_call(packed: Sequence[Packed]) -> Call:
    """Describe a request that maps or unmaps users.

    A form, although the page has the parameters in the query: 1,500 mappings fit into no address, and no key should be in one.
    Repeatable: the same mapping twice is one.
    """
    listed = b"[" + b",".join(item.body for item in packed) + b"]"
    return Call(
        api="mapping",
        kind="ingestion",
        method="POST",
        path="/usermap",
        credential="in_body",
        reads=read_text_or_json,
        repeatable=True,
        body=Form((("mapping", listed.decode()),)),
        uses=(Use("mapping", len(packed)),),
    )


async def alias(runner: Sender, mappings: object) -> Any:  # noqa: ANN401 - text or JSON
    """Map or unmap users; see :meth:`amplitude_async.AsyncAmplitude.alias`."""
    packed = pack_mappings(mappings)
    parts = split(packed, max_count=MAX_MAPPINGS, max_bytes=MAX_BYTES)
    # Without a deadline for all of them: the second request waits half a minute for its quota.
    return (await deliver(runner, packed, parts, alias_call, deadline=None))[-1]


def _read_mappings(body: bytes) -> UserMappings:
    """Read mappings by user: the page's table has a level ``mappings`` that its sample has not, and a user without any may be a list.

    Raises:
        MalformedError: It is nothing of the kind.
    """
    answer = read_json(body)
    if answer == []:
        return {}
    if not isinstance(answer, dict):
        message = f"a JSON {type(answer).__name__} where mappings were expected"
        raise MalformedError(message)
    found: UserMappings = {}
    for user_id, value in answer.items():
        inner = value["mappings"] if isinstance(value, dict) and isinstance(value.get("mappings"), (dict, list)) else value
        if inner is not None and not isinstance(inner, (dict, list)):
            message = "the mappings of a user are neither an object nor a list"
            raise MalformedError(message)
        members = inner if isinstance(inner, dict) else {}
        rest = {key: one for key, one in value.items() if key != "mappings"} if isinstance(value, dict) and inner is not value else {}
        found[user_id] = {"mapped_from": [], "mapped_to": [], **rest, **members}  # type: ignore[typeddict-item]  # unknown keys survive
    return found


def mappings_call(user_ids: Sequence[str]) -> Call:
    """Describe a question for the mappings of at most 100 users."""
    return Call(
        api="dashboard",
        kind="query",
        method="GET",
        path="/api/2/usermap",
        credential="project",
        reads=_read_mappings,
        repeatable=True,
        query=repeated("user_ids", user_ids),
        uses=(Use("rest"),),
    )


async def user_mappings(runner: Sender, user_ids: object) -> UserMappings:
    """Ask for mappings; see :meth:`amplitude_async.AsyncAmplitude.user_mappings`."""
    ids = list(dict.fromkeys(id_list(user_ids, argument="user_ids")))
    found: UserMappings = {}
    for at in range(0, len(ids), MAX_IDS):
        found |= await runner.run(mappings_call(ids[at : at + MAX_IDS]))
    return found


def attribution_call(event: object) -> Call:
    """Describe an attribution event. Not repeatable: nothing in it tells a second copy from the first.

    Raises:
        InvalidEventError: It is no mapping, or lacks its type, its platform, or an id of that platform's.
    """
    if not isinstance(event, Mapping):
        raise _refused(path="event", reason=f"must be one mapping, not {type(event).__name__}", argument="event")
    prepared = _spelled(event, ALIASES, "event", "event")
    if not str(prepared.get("event_type", "")).strip():
        raise _refused(path="event.event_type", reason="is missing; give a name such as '[Acme Ads] Install'", argument="event")
    needed = _NEEDED.get(str(prepared.get("platform")))
    if needed is None:
        raise _refused(path="event.platform", reason="must be 'ios' or 'android'", argument="event")
    if all(_is_blank(prepared.get(name)) for name in needed):
        raise _refused(path=f"event.{needed[0]}", reason=f"and {needed[1]} are both missing; give one of them", argument="event")
    if hasattr(prepared.get("time"), "timestamp"):
        prepared["time"] = epoch_ms(prepared["time"])
    body = _encoded(prepared, "event", "event")
    if len(body) > MAX_EVENT_BYTES:
        raise _refused(path="event", reason=f"is {len(body):,} bytes of JSON; Amplitude takes less than 1 MB", argument="event")
    return Call(
        api="ingestion",
        kind="ingestion",
        method="POST",
        path="/attribution",
        credential="in_body",
        reads=read_text_or_json,
        repeatable=False,
        body=Form((("event", body.decode()),)),
    )


async def attribution(runner: Sender, event: object) -> Any:  # noqa: ANN401 - text or JSON
    """Send an attribution event; see :meth:`amplitude_async.AsyncAmplitude.attribution`."""
    return await runner.run(attribution_call(event))
