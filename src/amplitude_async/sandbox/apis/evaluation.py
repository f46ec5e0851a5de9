"""The sandbox's evaluation of flags: for the Evaluation API, and for Amplitude's own Experiment SDKs.

Page: https://amplitude.com/docs/apis/experiment/experiment-evaluation-api; ``/sdk/v2/`` is what Amplitude's open-source SDKs speak.
Where they say nothing: refusals are ``{"error": {"message": ...}}``; ids of the query beat those of ``context``; what the request says
of a user beats what is stored; a user who is not known yet gets an Amplitude ID; flags of both modes are evaluated remotely, and those
of mode ``local`` are given as rules, with whatever they depend on. Nothing is cached, so every answer is of now. Nobody is located by
address, and nothing is canonicalised.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import Route

from amplitude_async.resources.evaluation import assigned, evaluate
from amplitude_async.sandbox import cohorting, rows, rules
from amplitude_async.sandbox.apis.experiment import refusal, registry_of
from amplitude_async.sandbox.desk import json_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from amplitude_async.resources.experiment import FlagConfig, Variant
    from amplitude_async.sandbox.desk import Desk
    from amplitude_async.sandbox.people import User
    from amplitude_async.sandbox.registry import Registry

    Answer = Callable[[Request, str], Awaitable[Response]]

_LARGEST_USER: Final = rules.MIB
_DAY_MS: Final = 86_400_000
_IDS: Final = ("user_id", "device_id")
# What a user object calls it -> the column under which the store keeps it.
_STORED: Final = {
    "country": "country",
    "region": "region",
    "city": "city",
    "dma": "dma",
    "language": "language",
    "platform": "platform",
    "version": "version_name",
    "device_manufacturer": "device_manufacturer",
    "device_brand": "device_brand",
    "device_model": "device_model",
    "carrier": "device_carrier",
}


def routes(desk: Desk) -> list[Route]:
    """Return the endpoints."""
    evaluation = _Evaluation(desk)
    admitted = evaluation.admitted
    return [
        Route("/v1/vardata", admitted(evaluation.variants), methods=["GET"]),
        Route("/v1/flags", admitted(evaluation.configs), methods=["GET"]),
        Route("/sdk/v2/vardata", admitted(evaluation.sdk_variants), methods=["GET", "POST"]),
        Route("/sdk/v2/flags", admitted(evaluation.configs), methods=["GET"]),
    ]


class _Evaluation:
    """The endpoints."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._numbers = count(1)

    def admitted(self, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        """Let a request in with the key of a deployment, or the project's own; ValueError becomes a 400."""

        async def admitted(request: Request) -> Response:
            scheme, _, key = request.headers.get("authorization", "").partition(" ")
            deployment = None
            if scheme.lower() == "api-key" and key.strip():
                deployment = await self._desk.run(self._deployment_of, key.strip())
            if deployment is None:
                return refusal(401, "Invalid deployment key")
            try:
                return await answer(request, deployment)
            except ValueError as error:
                return refusal(400, str(error))

        return admitted

    @property
    def _registry(self) -> Registry:
        return registry_of(self._desk)

    def _deployment_of(self, key: str) -> str | None:
        own = self._desk.keys.deployment_key if key == self._desk.keys.api_key else key
        return self._registry.deployment_of(own)

    async def variants(self, request: Request, deployment: str) -> Response:
        """Answer with what a user gets, variants of nobody left out."""
        query = request.query_params
        context = _user(query.get("context"), "context")
        user = {**context, **{name: query[name] for name in _IDS if query.get(name)}}
        wanted = _listed(query.get("flag_keys")) or _listed(query.get("flag_key"))
        found = await self._evaluated(request, deployment, user, wanted)
        answer: dict[str, dict[str, Any]] = {}
        stamp = f"{user['amplitude_id']}_{int(self._desk.clock() * 1000)}"
        for key, variant in assigned(found).items():
            shown: dict[str, Any] = {"key": variant["key"]}
            if "payload" in variant:
                shown["payload"] = variant["payload"]
            if "experimentKey" in variant["metadata"]:
                shown["expKey"] = variant["metadata"]["experimentKey"]
            answer[key] = {**shown, "evaluationId": f"{stamp}_{next(self._numbers)}"}
        return json_answer(200, answer)

    async def sdk_variants(self, request: Request, deployment: str) -> Response:
        """Answer an SDK, with the variants of nobody and the metadata of all."""
        sent = (await self._desk.body(request, _LARGEST_USER)).decode("utf-8") if request.method == "POST" else None
        user = _user(sent or _unpacked(request.headers.get("x-amp-exp-user")), "The user")
        names = _unpacked(request.headers.get("x-amp-exp-flag-keys"))
        wanted = rules.parsed_json(names) if names else None
        if wanted is not None and not (isinstance(wanted, list) and all(isinstance(each, str) for each in wanted)):
            message = "X-Amp-Exp-Flag-Keys must be a list of keys"
            raise ValueError(message)
        found = await self._evaluated(request, deployment, user, wanted)
        return json_answer(200, {key: each for key, each in found.items() if each["metadata"].get("deployed") is not False})

    async def configs(self, request: Request, deployment: str) -> Response:
        """Answer with the rules of the flags that are evaluated locally."""
        wanted = _listed(request.query_params.get("flag_keys"))
        return json_answer(200, await self._desk.run(self._configs, deployment, wanted))

    def _configs(self, deployment: str, wanted: list[str] | None) -> list[FlagConfig]:
        registry = self._registry

        def is_served(_kind: str, document: Mapping[str, Any]) -> bool:
            is_wanted = wanted is None or document["key"] in wanted
            return is_wanted and document["evaluationMode"] == "local" and registry.is_served(dict(document), deployment)

        return registry.rules().configs(is_served=is_served)

    async def _evaluated(
        self, request: Request, deployment: str, user: dict[str, Any], wanted: list[str] | None
    ) -> dict[str, Variant]:
        """Evaluate, and record what the headers say is to be recorded. Writes the Amplitude ID into the user."""
        for name in _IDS:
            value = user.pop(name, None)
            if isinstance(value, (str, int)) and not isinstance(value, bool) and str(value).strip():
                user[name] = str(value)
        if not any(name in user for name in _IDS):
            message = "user_id and device_id are both missing"
            raise ValueError(message)
        is_tracked = request.headers.get("x-amp-exp-track", "track").lower() != "no-track"
        is_exposed = request.headers.get("x-amp-exp-exposure-track", "no-track").lower() == "track"
        client = request.client.host if request.client else "127.0.0.1"
        return await self._desk.run(self._decide, deployment, user, wanted, (is_tracked, is_exposed), client)

    def _decide(
        self, deployment: str, user: dict[str, Any], wanted: list[str] | None, records: tuple[bool, bool], client: str
    ) -> dict[str, Variant]:
        registry = self._registry
        person = self._person(user)
        user["amplitude_id"] = person.amplitude_id
        configs = registry.rules().configs(
            is_served=lambda _, document: (wanted is None or document["key"] in wanted) and registry.is_served(document, deployment),
            earlier=registry.sticking(person.amplitude_id),
        )
        found = evaluate(configs, self._completed(user, person))
        registry.stick(person.amplitude_id, {key: variant["key"] for key, variant in assigned(found).items()})
        now = self._desk.clock()
        is_tracked, is_exposed = records
        events = [assignment(user, found, at=now)] if is_tracked and found else []
        events += exposures(user, assigned(found), at=now) if is_exposed else []
        if events:
            stamp = rows.arrival(received_s=now, client_upload_time=None, path="/v1/vardata", project_id=self._desk.project_id)
            self._desk.store.ingest(events, stamp, rules.HTTP_V2, client)
        return found

    def _person(self, user: Mapping[str, Any]) -> User:
        """Return the user of these ids, made if there is none: evaluation, too, gives out Amplitude IDs."""
        people = self._desk.store.people
        user_id, device_id = user.get("user_id"), user.get("device_id")
        try:
            found = people.find(user_id, device_id)
            if found is None:
                derived = rows.derived_device_id(self._desk.project_id, str(user_id))
                found = people.resolve(user_id, device_id or derived)
                people.save(found)
        finally:
            people.forget()
        return found

    def _completed(self, user: Mapping[str, Any], person: User) -> dict[str, Any]:
        """Return a user object with what is stored of the user where the request says nothing."""
        built_ins = person.built_ins
        stored: dict[str, Any] = {name: built_ins[column] for name, column in _STORED.items() if built_ins.get(column)}
        system = [str(built_ins[part]) for part in ("os_name", "os_version") if built_ins.get(part)]
        if system:
            stored["os"] = " ".join(system)
        stored["cohort_ids"] = cohorting.containing(self._desk.store, person.amplitude_id)
        groups = {**person.groups, **_object(user.get("groups"))}
        listed = {kind: names if isinstance(names, list) else [names] for kind, names in groups.items()}
        properties = {kind: dict(_object(each)) for kind, each in self._desk.store.people.group_properties(listed).items()}
        for kind, names in _object(user.get("group_properties")).items():
            for name, sent in _object(names).items():
                of_kind = properties.setdefault(kind, {})
                of_kind[name] = {**_object(of_kind.get(name)), **_object(sent)}
        return {
            **stored,
            **user,
            "user_properties": {**person.properties, **_object(user.get("user_properties"))},
            "groups": listed,
            "group_properties": properties,
        }


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _listed(text: str | None) -> list[str] | None:
    return [each.strip() for each in text.split(",") if each.strip()] or None if text else None


def _user(text: str | None, name: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        parsed = rules.parsed_json(text)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        message = f"{name} must be a JSON object"
        raise ValueError(message)  # noqa: TRY004 - it becomes a 400
    return {key: value for key, value in parsed.items() if value is not None}


def _unpacked(text: str | None) -> str | None:
    """Read base64, of either alphabet, padded or not."""
    if not text:
        return None
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        message = "A header is no base64"
    raise ValueError(message)


def _ids(user: Mapping[str, Any]) -> dict[str, Any]:
    return {name: user[name] for name in _IDS if name in user}


def assignment(user: Mapping[str, Any], found: Mapping[str, Variant], *, at: float) -> dict[str, Any]:
    """Return the event of an assignment; the same one of the same day has the same insert id, so that it counts once."""
    details: dict[str, str] = {}
    had: dict[str, str] = {}
    gone: dict[str, str] = {}
    for key, variant in sorted(found.items()):
        metadata = variant["metadata"]
        details[f"{key}.variant"] = variant["key"]
        if "flagVersion" in metadata and "segmentName" in metadata:
            details[f"{key}.details"] = f"v{metadata['flagVersion']} rule:{metadata['segmentName']}"
        if metadata.get("flagType") == "mutual-exclusion-group":
            continue
        if metadata.get("default"):
            gone[f"[Experiment] {key}"] = "-"
        else:
            had[f"[Experiment] {key}"] = variant["key"]
    time_ms = int(at * 1000)
    ids = _ids(user)
    digest = hashlib.sha256(rows.compact([ids, details]).encode()).hexdigest()[:16]
    return {
        **ids,
        "event_type": "[Experiment] Assignment",
        "time": time_ms,
        "insert_id": f"{ids.get('user_id')} {ids.get('device_id')} {digest} {time_ms // _DAY_MS}",
        "event_properties": details,
        "user_properties": {"$set": had, "$unset": gone},
    }


def exposures(user: Mapping[str, Any], found: Mapping[str, Variant], *, at: float) -> list[dict[str, Any]]:
    """Return an event for each flag that a user was shown."""
    time_ms = int(at * 1000)
    ids = _ids(user)
    return [
        {
            **ids,
            "event_type": "[Experiment] Exposure",
            "time": time_ms,
            "insert_id": f"{ids.get('user_id')} {ids.get('device_id')} {key} {variant['key']} {time_ms // _DAY_MS}",
            "event_properties": {"[Experiment] Flag Key": key, "[Experiment] Variant": variant["key"]},
            "user_properties": {"$set": {f"[Experiment] {key}": variant["key"]}},
        }
        for key, variant in found.items()
    ]
