"""Getting data in: events, identifications, group identifications.

Amplitude's pages: https://amplitude.com/docs/apis/analytics/http-v2, https://amplitude.com/docs/apis/analytics/identify and
https://amplitude.com/docs/apis/analytics/group-identify
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NotRequired, Protocol, TypedDict
from urllib.parse import quote

from amplitude_async._protocol.bodies import Form
from amplitude_async._protocol.call import Call, read_text_or_json
from amplitude_async._protocol.codec import UnencodableError, encode
from amplitude_async._protocol.uploads import HTTP_V2, MAX_EVENT_BYTES, upload_call
from amplitude_async._protocol.usual import encode_usual
from amplitude_async._protocol.verdict import copied, sift
from amplitude_async.errors import (
    AmplitudeError,
    BadRequestError,
    InvalidArgumentError,
    InvalidEventError,
    PartialDeliveryError,
    PayloadTooLargeError,
)
from amplitude_async.events import INHERITED, NO_DEFAULTS, Defaults, as_list, has_unrepeatable_operation, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from amplitude_async.errors import Outcome
    from amplitude_async.resources.before_send import Sieve
    from amplitude_async.resources.runner import Sender

__all__ = [
    "Kept",
    "Packed",
    "Sharer",
    "TrackResult",
    "deliver",
    "encode_event",
    "encode_let_through",
    "encoded_options",
    "group_identify",
    "identify",
    "ids_of",
    "ingested",
    "nothing_sent",
    "pack_event",
    "pack_events",
    "pack_kept",
    "split",
    "summed_up",
    "track",
    "with_dropped",
]

MAX_IDENTIFICATIONS: Final = 1000
"""Documented for groups as 1,024."""


_BY_CARE: Final[tuple[Outcome, ...]] = ("unknown", "not_sent", "rejected")


class TrackResult(TypedDict):
    """What Amplitude says of an upload.

    ``code`` is 200; ``server_upload_time`` is in ms since the epoch; ``payload_size_bytes`` is the size of the (last) request;
    ``events_ingested`` is the number of this call's events that Amplitude took. ``events_dropped`` is there if ``before_send`` dropped
    any. If it dropped all of them nothing was sent: the other numbers are 0 then, ``code`` too.
    """

    code: int
    server_upload_time: int
    payload_size_bytes: int
    events_ingested: int
    events_dropped: NotRequired[int]


class Outcomes(Protocol):
    """What became of the events of a call that shared its requests."""

    @property
    def answer(self) -> dict[str, Any] | None:
        """What Amplitude said, ``None`` if it took none of them."""

    @property
    def delivered(self) -> Sequence[int]:
        """Positions that Amplitude took."""

    @property
    def failed(self) -> dict[int, AmplitudeError]:
        """The errors of the others."""


class Sharer(Protocol):
    """What can upload events together with those of other calls."""

    async def share(self, events: Sequence[Packed], parts: Sequence[Sequence[int]], options: bytes | None) -> Outcomes:
        """Upload events, dealt out to requests; say what became of each."""


class Packed(NamedTuple):
    """One item, checked and encoded once.

    Attributes:
        body: Its JSON.
        size: What it takes of a request, in bytes.
        insert_id: Its id, ``""`` if it has none.
        is_repeatable: Whether sending it twice does no harm.
        identity: Whose it is: its device, else its user.
    """

    body: bytes
    size: int
    insert_id: str
    is_repeatable: bool
    identity: str = ""


def _encoded(item: Mapping[str, Any], path: str) -> bytes:
    try:
        return encode(item)
    except UnencodableError as refusal:
        where, reason = refusal.where(path), refusal.reason
    raise InvalidEventError(reason, path=where, argument=path.partition("[")[0])


def pack_events(events: object, *, defaults: Defaults, stamp: Callable[[], tuple[str, int]]) -> list[Packed]:
    """Check and encode events; all of them, before any is sent.

    Args:
        events: One mapping or a list of them.
        defaults: The client's ids.
        stamp: Gives an insert id and the time in ms.

    Raises:
        InvalidEventError: Anything is wrong with any of them; names the place.
    """
    if type(events) is dict:
        return [pack_event(events, "events[0]", defaults=defaults, stamp=stamp)]
    items = as_list(events, name="events")
    return [pack_event(item, f"events[{index}]", defaults=defaults, stamp=stamp) for index, item in enumerate(items)]


def pack_event(item: Mapping[str, Any], path: str, *, defaults: Defaults, stamp: Callable[[], tuple[str, int]]) -> Packed:
    """Check and encode one event; as :func:`encode_event` does."""
    body, insert_id, identity = encode_event(item, path, defaults, *stamp())
    return Packed(body, len(body) + 1, insert_id, True, identity)  # noqa: FBT003 - by position, which is quicker


def encode_event(item: Mapping[str, Any], path: str, defaults: Defaults, new_id: str, now_ms: int) -> tuple[bytes, str, str]:
    """Check and encode one event.

    Args:
        item: The event.
        path: Where it stands, for errors.
        defaults: The client's ids.
        new_id: The insert id of an event that has none.
        now_ms: The time of an event that has none.

    Returns:
        Its JSON, its insert id, and whose it is.

    Raises:
        InvalidEventError: Anything is wrong with it; names the place.
    """
    inherited = INHERITED.get()
    if inherited is not None:
        from amplitude_async.context import with_inherited  # noqa: PLC0415 - loaded where events inherit something

        item = with_inherited(item, inherited)
    usual = encode_usual(item, defaults, new_id, now_ms)
    if usual is not None:
        return usual
    event = prepare(item, path=path, defaults=defaults, needs_event_type=True, stamp=lambda: (new_id, now_ms))
    body = _encoded(event, path)
    if len(body) > MAX_EVENT_BYTES:
        message = f"is {len(body):,} bytes of JSON; Amplitude takes less than 1 MB"
        raise InvalidEventError(message, path=path)
    identity = event["device_id"] if "device_id" in event else event["user_id"]
    return body, str(event["insert_id"]), str(identity)


def encode_let_through(item: Mapping[str, Any], path: str, new_id: str, now_ms: int) -> tuple[bytes, str, str]:
    """Check and encode an event that ``before_send`` let through: it has all it inherits already, unless that was taken out."""
    token = INHERITED.set(None)
    try:
        return encode_event(item, path, NO_DEFAULTS, new_id, now_ms)
    finally:
        INHERITED.reset(token)


class Kept(NamedTuple):
    """What a ``before_send`` left of a call's items.

    Attributes:
        items: Those that are sent.
        positions: Where each of them stood in the caller's list.
        dropped: Where those stood that are not sent.
    """

    items: list[Mapping[str, Any]]
    positions: Sequence[int]
    dropped: Sequence[int] = ()


def _keep(sieve: Sieve | None, items: list[Mapping[str, Any]], name: str, defaults: Defaults, event_type: str = "") -> Kept:
    """Let items pass the user's function.

    Args:
        sieve: It.
        items: The caller's.
        name: What they are called in errors.
        defaults: The client's ids.
        event_type: What tells identifications apart, which have none of their own.
    """
    if sieve is None:
        return Kept(items, range(len(items)))
    kept: list[Mapping[str, Any]] = []
    positions: list[int] = []
    dropped: list[int] = []
    for index, item in enumerate(items):
        shown = {**item, "event_type": event_type} if event_type else item
        passed = sieve.let_through(shown, f"{name}[{index}]", defaults, inherits=not event_type)
        if passed is None:
            dropped.append(index)
            continue
        if event_type:
            passed = {key: value for key, value in passed.items() if key != "event_type"}
        kept.append(passed)
        positions.append(index)
    return Kept(kept, positions, dropped)


def pack_kept(
    events: object, *, defaults: Defaults, stamp: Callable[[], tuple[str, int]], sieve: Sieve | None
) -> tuple[list[Packed], Kept | None]:
    """Check and encode events as :func:`pack_events` does, after they have passed the user's function if there is one."""
    if sieve is None:
        return pack_events(events, defaults=defaults, stamp=stamp), None
    kept = _keep(sieve, as_list(events, name="events"), "events", defaults)
    packed: list[Packed] = []
    for index, item in zip(kept.positions, kept.items, strict=True):
        body, insert_id, identity = encode_let_through(item, f"events[{index}]", *stamp())
        packed.append(Packed(body, len(body) + 1, insert_id, is_repeatable=True, identity=identity))
    return packed, kept


def nothing_sent(kept: Kept | None) -> TrackResult:
    """Return the result of a call of whose events none was sent."""
    nothing: TrackResult = {"code": 0, "server_upload_time": 0, "payload_size_bytes": 0, "events_ingested": 0}
    return with_dropped(nothing, kept)


def ingested(result: TrackResult) -> int:
    """Return how many events a result speaks of, 0 if it speaks of none: Amplitude's word need not be a number, or there at all."""
    count: object = result.get("events_ingested")
    return count if isinstance(count, int) else 0


def with_dropped(result: TrackResult, kept: Kept | None) -> TrackResult:
    """Say in a result how many events were dropped, if any were."""
    if kept is not None and kept.dropped:
        result["events_dropped"] = len(kept.dropped)
    return result


def _pack_identifications(kept: Kept, defaults: Defaults) -> list[Packed]:
    packed: list[Packed] = []
    for index, item in zip(kept.positions, kept.items, strict=True):
        path = f"identifications[{index}]"
        prepared = prepare(item, path=path, defaults=defaults, needs_event_type=False, stamp=None)
        packed.append(_pack_identification(prepared, path))
    return packed


def _pack_identification(item: Mapping[str, Any], path: str) -> Packed:
    body = _encoded(item, path)
    # In a form it travels percent-encoded.
    size = len(quote(body, safe="")) + 3
    if size > MAX_EVENT_BYTES:
        message = f"is {size:,} bytes when form-encoded; Amplitude takes less than 1 MB"
        raise InvalidEventError(message, path=path, argument="identifications")
    return Packed(body, size, "", is_repeatable=not has_unrepeatable_operation(item))


def _pack_groups(kept: Kept) -> list[Packed]:
    packed: list[Packed] = []
    for index, item in zip(kept.positions, kept.items, strict=True):
        path = f"identifications[{index}]"
        for name in ("group_type", "group_value"):
            if item.get(name) is None or item.get(name) == "":
                message = f"{name} is missing"
                raise InvalidEventError(message, path=f"{path}.{name}", argument="identifications")
        packed.append(_pack_identification(item, path))
    return packed


def split(packed: Sequence[Packed], *, max_count: int, max_bytes: int) -> list[list[int]]:
    """Deal positions out to requests, in order, none over the limits unless it carries a single item."""
    parts: list[list[int]] = []
    size = 0
    for index, item in enumerate(packed):
        if not parts or len(parts[-1]) >= max_count or size + item.size > max_bytes:
            parts.append([])
            size = 0
        parts[-1].append(index)
        size += item.size
    return parts


async def deliver(
    runner: Sender,
    packed: Sequence[Packed],
    parts: list[list[int]],
    build: Callable[[list[Packed]], Call],
    *,
    deadline: float | None,
    kept: Kept | None = None,
) -> list[Any]:
    """Send every part; take refused items out, halve what is refused without a reason, and say what became of each.

    Args:
        runner: Sends them.
        packed: The items.
        parts: Their positions, dealt out to requests.
        build: Describes a request.
        deadline: When all of it has to be over; ``None``: each request has the limits of its kind.
        kept: Where they stood in the caller's list, if not all of it is sent.

    Raises:
        PartialDeliveryError: Some were accepted, some were not.
        AmplitudeError: None was accepted.
    """
    pending = deque(parts)
    answers: list[Any] = []
    delivered: list[int] = []
    failed: dict[int, AmplitudeError] = {}
    while pending:
        part = pending.popleft()
        call = build([packed[index] for index in part])
        error = await _answer_or_error(runner, call, deadline, answers)
        if error is None:
            delivered += part
            continue
        sifted = sift(error, len(part))
        if sifted.rest == "resend":
            failed |= {part[position]: error for position in sifted.refused}
            rest = [index for position, index in enumerate(part) if position not in sifted.refused]
            if rest:
                pending.appendleft(rest)
        elif sifted.rest == "halve":
            middle = len(part) // 2
            pending.extendleft((part[middle:], part[:middle]))
        else:
            failed |= dict.fromkeys(part, error)
            if not isinstance(error, (BadRequestError, PayloadTooLargeError)):
                # It is about the key, the server or the line, so the rest would fare no better.
                for rest in pending:
                    failed |= dict.fromkeys(rest, copied(error, ids_of(packed[index] for index in rest), "not_sent"))
                break
    if failed:
        raise summed_up(sorted(delivered), dict(sorted(failed.items())), packed, kept)
    return answers


async def _answer_or_error(runner: Sender, call: Call, deadline: float | None, answers: list[Any]) -> AmplitudeError | None:
    try:
        answers.append(await runner.run(call, deadline=deadline))
    except AmplitudeError as error:
        return error.with_traceback(None)
    return None


def ids_of(items: Iterable[Packed]) -> list[str]:
    """Return the insert ids that items have."""
    return [item.insert_id for item in items if item.insert_id]


def summed_up(
    delivered: list[int], failed: dict[int, AmplitudeError], packed: Sequence[Packed], kept: Kept | None = None
) -> AmplitudeError:
    """Return the error of a list that was not delivered whole: the error itself if none was, else a PartialDeliveryError."""
    first = next(iter(failed.values()))
    insert_ids = ids_of(packed[index] for index in failed)
    outcomes = [error.outcome for error in failed.values()]
    # The one that asks for the most care: what may have arrived, then what may be sent again, then what is final.
    outcome = next((one for one in _BY_CARE if one in outcomes), first.outcome)
    if not delivered:
        first.insert_ids = tuple(insert_ids)
        first.outcome = outcome
        return first
    places = range(len(packed)) if kept is None else kept.positions
    message = f"{len(delivered)} of {len(packed)} were accepted; position {places[next(iter(failed))]} failed: {first}"
    # The answer was about a whole request; each position's error is about its own event.
    own = {places[index]: copied(error, ids_of((packed[index],)), error.outcome) for index, error in failed.items()}
    taken = [places[index] for index in delivered]
    partial = PartialDeliveryError(message, delivered=taken, failed=own, outcome=outcome, insert_ids=insert_ids, request=first.request)
    partial.dropped = () if kept is None else tuple(kept.dropped)
    return partial


async def track(
    runner: Sender,
    events: object,
    *,
    options: object,
    defaults: Defaults,
    stamp: Callable[[], tuple[str, int]],
    sharer: Sharer | None = None,
    sieve: Sieve | None = None,
) -> TrackResult:
    """Upload events; see :meth:`amplitude_async.AsyncAmplitude.track`.

    Args:
        runner: Sends requests of this call alone.
        events: One mapping or a list of them.
        options: Amplitude's upload options.
        defaults: The client's ids.
        stamp: Gives an insert id and the time in ms.
        sharer: Sends them in requests that other calls may share, in place of the runner.
        sieve: The user's function, which they pass before.
    """
    packed, kept = pack_kept(events, defaults=defaults, stamp=stamp, sieve=sieve)
    chosen = encoded_options(options)
    if not packed:
        return nothing_sent(kept)
    parts = [[0]] if len(packed) == 1 else split(packed, max_count=HTTP_V2.max_events, max_bytes=HTTP_V2.max_bytes)
    if sharer is not None:
        shared = await sharer.share(packed, parts, chosen)
        if shared.failed:
            raise summed_up(list(shared.delivered), dict(sorted(shared.failed.items())), packed, kept)
        taken: TrackResult = shared.answer  # type: ignore[assignment]  # all were delivered, so there is an answer
        return taken if kept is None else with_dropped(taken, kept)

    def build(items: list[Packed]) -> Call:
        return upload_call([item.body for item in items], [item.insert_id for item in items], chosen)

    answers = await deliver(runner, packed, parts, build, deadline=runner.deadline("ingestion"), kept=kept)
    result: TrackResult = answers[-1]
    if len(answers) > 1:
        # Each request counted its own; the call's count is theirs together.
        result["events_ingested"] = len(packed)
    return with_dropped(result, kept)


def encoded_options(options: object) -> bytes | None:
    """Encode Amplitude's upload options.

    Raises:
        InvalidArgumentError: They are not a mapping of JSON values.
    """
    if options is None:
        return None
    if not isinstance(options, Mapping):
        message = f"options must be a mapping such as {{'min_id_length': 3}}, not {type(options).__name__}"
        raise InvalidArgumentError(message, argument="options")
    try:
        return encode(options)
    except UnencodableError as refusal:
        message = f"{refusal.where('options')}: {refusal.reason}"
    raise InvalidArgumentError(message, argument="options")


def _form_call(path: str, items: list[Packed]) -> Call:
    listed = b"[" + b",".join(item.body for item in items) + b"]"
    return Call(
        api="ingestion",
        kind="ingestion",
        method="POST",
        path=path,
        credential="in_body",
        reads=read_text_or_json,
        repeatable=all(item.is_repeatable for item in items),
        body=Form((("identification", listed.decode()),)),
    )


async def identify(runner: Sender, identifications: object, *, defaults: Defaults, sieve: Sieve | None = None) -> Any:  # noqa: ANN401 - text or JSON
    """Upload identifications; see :meth:`amplitude_async.AsyncAmplitude.identify`."""
    kept = _keep(sieve, as_list(identifications, name="identifications"), "identifications", defaults, "$identify")
    packed = _pack_identifications(kept, defaults if sieve is None else NO_DEFAULTS)
    return await _identified(runner, "/identify", packed, kept)


async def group_identify(runner: Sender, identifications: object, *, sieve: Sieve | None = None) -> Any:  # noqa: ANN401 - text or JSON
    """Upload group identifications; see :meth:`amplitude_async.AsyncAmplitude.group_identify`."""
    kept = _keep(sieve, as_list(identifications, name="identifications"), "identifications", NO_DEFAULTS, "$groupidentify")
    return await _identified(runner, "/groupidentify", _pack_groups(kept), kept)


async def _identified(runner: Sender, path: str, packed: list[Packed], kept: Kept) -> Any:  # noqa: ANN401 - as above
    if not packed:
        return None
    parts = split(packed, max_count=MAX_IDENTIFICATIONS, max_bytes=HTTP_V2.max_bytes)
    deadline = runner.deadline("ingestion")
    return (await deliver(runner, packed, parts, lambda items: _form_call(path, items), deadline=deadline, kept=kept))[-1]
