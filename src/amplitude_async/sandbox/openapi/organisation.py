"""What belongs to the organisation, and the rest: people and groups, the audit log, streaming, session replays, translations."""

from __future__ import annotations

from typing import Final

from amplitude_async.sandbox.openapi.words import (
    FLAG,
    JSON,
    NUMBER,
    OBJECT,
    TEXT,
    WHOLE,
    Answers,
    Operation,
    Parameter,
    Schema,
    among,
    like,
    many,
    mapped,
    may,
    needed,
    or_null,
    record,
    ref,
    whole,
)

_ENVELOPE: Final[Answers] = dict.fromkeys((400, 401, 403, 429), (JSON, ref("Envelope")))
_PLAINLY: Final[Answers] = dict.fromkeys((400, 401, 403, 429), (JSON, ref("PlainRefusal")))
_LARGE: Final[Answers] = {413: (JSON, ref("UploadRefusal"))}
_BINARY: Final[Schema] = {"type": "string", "format": "binary"}


def _scim(method: str, path: str, about: str, answers: Answers, *parameters: Parameter, body: Schema | None = None) -> Operation:
    refused: Answers = dict.fromkeys((400, 401, 429), (JSON, ref("ScimRefusal")))
    return Operation(
        api="SCIM",
        method=method,
        path=f"/scim/1/{path}",
        about=about,
        door="scim",
        parameters=parameters,
        bodies={} if body is None else {JSON: body},
        answers={**refused, **({} if body is None else _LARGE), **answers},
        page="analytics/scim",
    )


def _listing(of: str) -> Schema:
    return record(
        {"schemas": many(TEXT), "startIndex": WHOLE, "itemsPerPage": WHOLE, "totalResults": WHOLE, "Resources": many(ref(of))}
    )


_ABSENT: Final[Answers] = {404: (JSON, ref("ScimRefusal"))}
_PAGE: Final = (may("startIndex", WHOLE), may("itemsPerPage", WHOLE), may("filter", like('userName eq "kari@example.org"')))
_NAME: Final = record({}, {"givenName": TEXT, "familyName": TEXT})
_PERSON: Final[dict[str, Schema]] = {"userName": like("kari@example.org"), "name": _NAME, "active": FLAG}
_MEMBERS: Final = many(record({"value": like("kari@example.org")}))
_OPERATIONS_OF_A_PATCH: Final = many(record({"op": among("add", "remove", "replace")}, {"path": TEXT, "value": {}}), minItems=1)
_ECHOED: Final = (JSON, OBJECT)
_PEOPLE: Final = (
    _scim("GET", "Users", "List people", {200: (JSON, _listing("ScimUser"))}, *_PAGE),
    _scim("POST", "Users", "Invite somebody", {201: _ECHOED, 409: (JSON, ref("ScimRefusal"))}, body=record({}, _PERSON)),
    _scim("GET", "Users/{email}", "Show somebody", {200: (JSON, ref("ScimUser")), **_ABSENT}),
    _scim("PUT", "Users/{email}", "Replace what is said of somebody", {200: _ECHOED, **_ABSENT}, body=record({}, _PERSON)),
    _scim(
        "PATCH",
        "Users/{email}",
        "Change what is said of somebody",
        {200: _ECHOED, **_ABSENT},
        body={"anyOf": [record({"Operations": _OPERATIONS_OF_A_PATCH}), record({}, _PERSON)]},
    ),
    _scim("DELETE", "Users/{email}", "Take somebody out of the organisation", {204: None, **_ABSENT}),
    _scim("GET", "Groups", "List groups", {200: (JSON, _listing("ScimGroup"))}, *_PAGE),
    _scim(
        "POST",
        "Groups",
        "Make a group",
        {200: (JSON, ref("ScimGroup"))},
        body=record({"displayName": like("Analysts")}, {"members": _MEMBERS}),
    ),
    _scim("GET", "Groups/{id}", "Show a group", {200: (JSON, ref("ScimGroup")), **_ABSENT}),
    _scim(
        "PATCH",
        "Groups/{id}",
        "Change a group",
        {200: (JSON, ref("ScimGroup")), **_ABSENT},
        body=record({"Operations": _OPERATIONS_OF_A_PATCH}),
    ),
    _scim("DELETE", "Groups/{id}", "Delete a group", {204: None, **_ABSENT}),
)

_MOMENT: Final = like("2026-05-01T07:00:00+00:00")
_SUMMARY: Final = record(
    {
        "timePeriod": TEXT,
        "eventsDelivered": whole(0),
        "eventsNotDelivered": whole(0),
        "deliveryRate": NUMBER,
        "latencyInSeconds": NUMBER,
        "timePeriodStart": TEXT,
        "timePeriodEnd": TEXT,
    }
)
_STREAMING: Final = Operation(
    api="Event streaming metrics",
    method="GET",
    path="/api/2/event-streaming/delivery-metrics-summary",
    about="Say how a destination was served",
    parameters=(
        needed("sync_id", like("1234")),
        needed("time_period", among("TEN_MINUTES", "ONE_HOUR", "FOUR_HOURS", "ONE_DAY", "ONE_WEEK", "TWO_WEEKS", "CUSTOM")),
        may("start", _MOMENT),
        may("end", _MOMENT),
    ),
    answers={**_ENVELOPE, 200: (JSON, _SUMMARY), 500: (JSON, ref("Envelope"))},
    page="analytics/event-streaming-metrics-summary",
)
_AUDIT: Final = Operation(
    api="Audit logs",
    method="POST",
    path="/api/2/audit-logs/{organisation}",
    about="Say what this sandbox did",
    door="organisation",
    bodies={
        JSON: record(
            {"start_date": like("2026-05-01T00:00:00Z"), "end_date": like("2026-05-10T23:59:59Z")},
            {"filters": OBJECT, "pagination": record({}, {"limit": whole(1), "cursor": or_null(TEXT)})},
        )
    },
    answers={**_ENVELOPE, **_LARGE, 200: (JSON, record({"data": many(OBJECT), "next_cursor": or_null(TEXT)}))},
    page="analytics/audit-logs",
)


def _replay(path: str, about: str, answer: Schema, refused: Answers, *parameters: Parameter) -> Operation:
    return Operation(
        api="Session replay",
        method="GET",
        path=f"/api/1/{path}",
        about=about,
        parameters=parameters,
        answers={**_PLAINLY, **refused, 200: (JSON, answer)},
        page="session-replay",
    )


_REPLAYS: Final = (
    _replay(
        "session-replays",
        "List recordings",
        record(
            {
                "session_replays": many(record({"replay_id": TEXT, "device_id": TEXT, "session_id": TEXT})),
                "next_page_token": or_null(TEXT),
            }
        ),
        {},
        may("start_time", _MOMENT),
        may("end_time", _MOMENT),
        may("page_size", whole(1, 200)),
        may("page_token"),
        may("sort_order", among("asc", "desc")),
    ),
    _replay(
        "session-replays/files",
        "List links to the files of a recording",
        record({"files": many(TEXT), "next_page_token": or_null(TEXT)}),
        {404: (JSON, ref("PlainRefusal"))},
        needed("replay_id", like("device-12345/1777636800000")),
        may("version", among("2", "3")),
        may("page_size", whole(1, 1000)),
        may("page_token"),
    ),
    Operation(
        api="Storage",
        method="GET",
        path="/storage/replays/{version}/{file}/{replay}",
        about="Give a file of a recording to whoever has the link",
        door=None,
        segments={"version": whole(2, 3), "file": whole(0)},
        parameters=(may("X-Expires", WHOLE), may("X-Signature")),
        answers={**dict.fromkeys((400, 403), ("application/xml", TEXT)), 404: None, 200: ("binary/octet-stream", _BINARY)},
    ),
)
_XLIFF: Final = like(
    '<xliff version="1.2"><file original="tour" source-language="en" target-language="de"><body>'
    '<trans-unit id="title"><source>Hi</source><target>Hallo</target></trans-unit></body></file></xliff>'
)
_LOCALIZATION: Final = "/a/guides-surveys/api/v1/localization"
_STATE: Final = record({"state": among("COMPLETE", "PARTIAL"), "message": TEXT})
_TRANSLATIONS: Final = (
    Operation(
        api="Guides and surveys localization",
        method="POST",
        path=f"{_LOCALIZATION}/import/",
        about="Bring translations in, as XLIFF 1.2",
        bodies={"application/xml": _XLIFF},
        answers={**_PLAINLY, **_LARGE, 200: (JSON, mapped(mapped(_STATE)))},
        page="guides-surveys-localization",
    ),
    Operation(
        api="Guides and surveys localization",
        method="GET",
        path=f"{_LOCALIZATION}/export/",
        about="Take translations out, as XLIFF 1.2",
        parameters=(needed("key", many(like("tour"))), may("locale", many(TEXT))),
        answers={**_PLAINLY, 200: ("application/xml", TEXT), 404: (JSON, ref("PlainRefusal"))},
        page="guides-surveys-localization",
    ),
)

OPERATIONS: Final[tuple[Operation, ...]] = (*_PEOPLE, _STREAMING, _AUDIT, *_REPLAYS, *_TRANSLATIONS)
