"""Uploads: events, identifications, attribution, mappings. The API key is one of their parameters."""

from __future__ import annotations

from typing import Final

from amplitude_async.sandbox.openapi.words import (
    FORM,
    JSON,
    MULTIPART,
    OBJECT,
    PLAIN,
    TEXT,
    WEB,
    WHOLE,
    Answers,
    Operation,
    Schema,
    as_json_text,
    like,
    many,
    may,
    needed,
    record,
    ref,
)

_KEY: Final = like("sandbox")
_API: Final = "Ingestion"
_UPLOAD: Final = record(
    {"api_key": _KEY, "events": many(ref("Event"), minItems=1)},
    {"options": record({}, {"min_id_length": WHOLE}), "client_upload_time": TEXT},
)
_SUCCESS: Final = (WEB, {"const": "success"})
_TAKEN: Final[Answers] = {
    200: _SUCCESS,
    400: (PLAIN, TEXT),
    413: (JSON, ref("UploadRefusal")),
    414: (JSON, ref("UploadRefusal")),
}
_THROTTLED: Final = (JSON, ref("Throttled"))


def _uploads(path: str, page: str) -> Operation:
    answers: Answers = {
        200: (JSON, ref("Uploaded")),
        400: (JSON, ref("UploadRefusal")),
        413: (JSON, ref("UploadRefusal")),
        429: (JSON, ref("Throttled")),
    }
    about = "Upload events, as they are or packed with gzip"
    return Operation(
        api=_API, method="POST", path=path, about=about, door="key", bodies={JSON: _UPLOAD}, answers=answers, page=f"analytics/{page}"
    )


def _forms(path: str, about: str, sent: tuple[str, Schema], page: str, refused: Answers, **optional: Schema) -> list[Operation]:
    """Describe an operation whose parameters are in a form, or in the query."""
    name, schema = sent
    parts = record({"api_key": _KEY, name: schema}, optional)
    query = (needed("api_key", _KEY), needed(name, schema), *(may(each, of) for each, of in optional.items()))
    shared = {"api": _API, "path": path, "about": about, "door": "key", "answers": {**_TAKEN, **refused}, "page": f"analytics/{page}"}
    return [
        Operation(method="POST", bodies={FORM: parts, MULTIPART: parts}, **shared),  # type: ignore[arg-type]  # a few attributes of one
        Operation(method="GET", parameters=query, **shared),  # type: ignore[arg-type]  # as above
    ]


def _one_or_many(name: str, example: str) -> Schema:
    return as_json_text({"anyOf": [ref(name), many(ref(name))]}, example)


OPERATIONS: Final[tuple[Operation, ...]] = (
    _uploads("/2/httpapi", "http-v2"),
    _uploads("/batch", "batch-event-upload"),
    *_forms(
        "/identify",
        "Change users' properties",
        ("identification", _one_or_many("Identification", '[{"user_id":"user-12345","user_properties":{"$set":{"plan":"pro"}}}]')),
        "identify",
        {429: _THROTTLED},
        options=as_json_text(record({}, {"min_id_length": WHOLE}), '{"min_id_length":1}'),
    ),
    *_forms(
        "/groupidentify",
        "Change groups' properties",
        (
            "identification",
            _one_or_many("GroupIdentification", '{"group_type":"company","group_value":"Acme","group_properties":{"tier":"gold"}}'),
        ),
        "group-identify",
        {429: (PLAIN, TEXT)},
    ),
    *_forms(
        "/usermap",
        "Map users to others, or take that back",
        ("mapping", _one_or_many("Mapping", '{"user_id":"ada-web","global_user_id":"ada@example.org"}')),
        "user-mapping",
        {429: (PLAIN, TEXT)},
    ),
    *_forms(
        "/attribution",
        "Say where a user came from",
        ("event", as_json_text(OBJECT, '{"event_type":"[Acme Ads] Install","platform":"ios","idfa":"an-idfa"}')),
        "attribution",
        {},
    ),
)
