"""The sandbox's user mappings and attribution.

Pages: https://amplitude.com/docs/apis/analytics/user-mapping and https://amplitude.com/docs/apis/analytics/attribution. Where they say
nothing: ``success`` as text, 400 with text for what is wrong, 413 beyond 2,000 mappings or 1 MB, and in a strict sandbox 429 beyond
1,500 mappings in 30 s. An attribution is matched by ``idfa`` or ``adid`` to the user of the newest event that has it: at once, or when
such an event comes within 72 hours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from amplitude_async.sandbox import rows, rules
from amplitude_async.sandbox.auditing import note
from amplitude_async.sandbox.desk import json_answer
from amplitude_async.sandbox.forms import form_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from amplitude_async.sandbox.desk import Desk
    from amplitude_async.sandbox.documents import Document
    from amplitude_async.sandbox.store import Store

_MAX_MAPPINGS: Final = 2000
_MAPPINGS_IN_WINDOW: Final = 1500
_WINDOW_SECONDS: Final = 30.0
_MAX_IDS: Final = 100
_WAIT_SECONDS: Final = 72 * 3600.0
_MATCHED_BY: Final = ("idfa", "adid")
_NEEDED: Final = {"ios": ("idfa", "idfv"), "android": ("adid", "android_app_set_id")}
_KIND: Final = "mappings"
_PENDING: Final = "attributions"


def routes(desk: Desk) -> list[Route]:
    """Return the endpoints."""
    identities = _Identities(desk)
    return [
        Route("/usermap", identities.map, methods=["GET", "POST"]),
        Route("/api/2/usermap", desk.guarded(identities.mappings), methods=["GET"]),
        Route("/attribution", identities.attribute, methods=["GET", "POST"]),
    ]


def _success() -> Response:
    return Response("success", headers={"content-type": "text/html;charset=utf-8"})


class _Identities:
    """The endpoints."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        desk.after_ingest.append(self._match)

    # Mappings

    async def map(self, request: Request) -> Response:
        """Map and unmap users."""
        form = {name: values[0] for name, values in (await form_of(self._desk, request)).items()}
        if form.get("api_key") != self._desk.keys.api_key:
            return PlainTextResponse("invalid_api_key", 400)
        try:
            mappings = _checked(form.get("mapping"))
        except ValueError as error:
            return PlainTextResponse(str(error), 400)
        if len(mappings) > _MAX_MAPPINGS:
            raise rules.too_large()
        now = self._desk.clock()
        window = self._desk.window("mappings", _WINDOW_SECONDS)
        if self._desk.strict and window.total(now) + len(mappings) > _MAPPINGS_IN_WINDOW:
            return PlainTextResponse("Too many mappings", 429)
        window.add(now, len(mappings))
        await self._desk.run(_apply, self._desk.store, now, mappings)
        return _success()

    async def mappings(self, request: Request) -> Response:
        """Say what users are mapped to and from."""
        ids = _asked(await form_of(self._desk, request))
        if not 1 <= len(ids) <= _MAX_IDS:
            message = f"user_ids must hold 1 to {_MAX_IDS} ids"
            raise ValueError(message)
        return json_answer(200, await self._desk.run(_mappings_of, self._desk.store, ids))

    # Attribution

    async def attribute(self, request: Request) -> Response:
        """Take an attribution event."""
        form = {name: values[0] for name, values in (await form_of(self._desk, request)).items()}
        if form.get("api_key") != self._desk.keys.api_key:
            return PlainTextResponse("invalid_api_key", 400)
        event = _attribution(form.get("event"))
        if event is None:
            return PlainTextResponse("missing_event", 400)
        await self._desk.run(self._take, event, self._desk.clock())
        return _success()

    def _take(self, event: Document, now: float) -> None:
        documents = self._desk.store.documents
        documents.put(_PENDING, documents.next_number(_PENDING), {"event": event, "came": now, "seen": 0})
        self._match()

    def _match(self) -> None:
        """See whether the user is there that an attribution waits for. Runs in the store's thread, whenever events came."""
        store, now = self._desk.store, self._desk.clock()
        for number, waiting in store.documents.named(_PENDING):
            if now >= waiting["came"] + _WAIT_SECONDS:
                store.documents.remove(_PENDING, number)
                continue
            event, seen = waiting["event"], waiting["seen"]
            columns = [column for column in _MATCHED_BY if event.get(column)]
            user = next((found for column in columns if (found := store.having(column, str(event[column]), seen))), None)
            if user is None:
                store.documents.put(_PENDING, number, {**waiting, "seen": store.last_id()})
            else:
                store.documents.remove(_PENDING, number)
                self._store(event, *user, now=waiting["came"])

    def _store(self, event: Document, user_id: str | None, device_id: str, *, now: float) -> None:
        owned = {"user_id": user_id, "device_id": device_id}
        attributed = {**event, **{name: value for name, value in owned.items() if value is not None}}
        stamp = rows.arrival(received_s=now, client_upload_time=None, path="/attribution", project_id=self._desk.project_id)
        self._desk.store.ingest([attributed], stamp, rules.HTTP_V2, "127.0.0.1")


def _checked(text: str | None) -> list[Document]:
    """Parse the ``mapping`` parameter: one object or a list of them. ValueError says what is wrong."""
    try:
        sent = rules.parsed_json(text) if text else None
    except ValueError:
        sent = None
    mappings: list[Any] = sent if isinstance(sent, list) else [sent]
    for mapping in mappings:
        if not isinstance(mapping, dict) or not isinstance(mapping.get("user_id"), str) or not mapping["user_id"]:
            message = "invalid_mapping: user_id is required"
            raise ValueError(message)
        if mapping.get("unmap") is not True and not (isinstance(mapping.get("global_user_id"), str) and mapping["global_user_id"]):
            message = "invalid_mapping: global_user_id or unmap is required"
            raise ValueError(message)
    if not mappings:
        message = "invalid_mapping: empty"
        raise ValueError(message)
    return mappings


def _apply(store: Store, now: float, mappings: list[Document]) -> None:
    for mapping in mappings:
        if mapping.get("unmap") is True:
            store.documents.remove(_KIND, mapping["user_id"])
        else:
            document = {"user_id": mapping["user_id"], "global_user_id": mapping["global_user_id"]}
            store.documents.put(_KIND, mapping["user_id"], document)
    note(store, now, domain="identity", feature="user_mapping", action="change", target=f"{len(mappings)} mappings")


def _asked(form: dict[str, list[str]]) -> list[str]:
    """Read ``user_ids``: repeated, a JSON list, or with commas between."""
    ids: list[str] = []
    for text in form.get("user_ids", []):
        try:
            listed = rules.parsed_json(text) if text.startswith("[") else None
        except ValueError:
            listed = None
        ids += [str(each) for each in listed] if isinstance(listed, list) else [each for each in text.split(",") if each]
    return ids


def _mappings_of(store: Store, user_ids: list[str]) -> Document:
    """Return the mappings of users; nothing is known of one who neither did anything nor is mapped."""
    known = [(each["user_id"], each["global_user_id"]) for each in store.documents.all(_KIND)]

    def shown(user_id: str) -> Document:
        user = store.people.named(user_id)
        return {"user_id": user_id} if user is None else {"amplitude_id": user.amplitude_id, "user_id": user_id}

    answer: Document = {}
    for user_id in user_ids:
        mapped_from = [shown(source) for source, target in known if target == user_id]
        mapped_to = [shown(target) for source, target in known if source == user_id]
        own: dict[str, Any] = {key: value for key, value in shown(user_id).items() if key != "user_id"}
        is_known = bool(own or mapped_from or mapped_to)
        answer[user_id] = {**own, "mapped_from": mapped_from, "mapped_to": mapped_to} if is_known else {}
    store.people.forget()
    return answer


def _attribution(text: str | None) -> Document | None:
    """Read an attribution event, ``None`` if it is none."""
    try:
        event = rules.parsed_json(text) if text else None
    except ValueError:
        return None
    if not isinstance(event, dict) or not event.get("event_type"):
        return None
    needed = _NEEDED.get(str(event.get("platform")), ())
    if not any(isinstance(event.get(name), str) and event[name] for name in needed):
        return None
    if rules.invalid_fields({"user_id": "attribution", **event}):
        return None
    return event
