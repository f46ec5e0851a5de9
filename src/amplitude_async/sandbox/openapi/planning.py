"""The tracking plan, annotations, releases and lookup tables."""

from __future__ import annotations

from typing import Final

from amplitude_async.sandbox.openapi.words import (
    ANYTHING,
    FLAG,
    FORM,
    JSON,
    MULTIPART,
    OBJECT,
    TEXT,
    WHOLE,
    Answers,
    Operation,
    Parameter,
    Schema,
    among,
    as_json_text,
    either,
    like,
    many,
    may,
    or_null,
    record,
    ref,
)

# The tracking plan: forms, and its own form of an error.

_PLAN: Final = "/api/2/taxonomy"
_PLAN_REFUSED: Final[Answers] = dict.fromkeys((400, 401, 403, 404, 409, 429), (JSON, ref("PlanRefusal")))
_DONE: Final = (JSON, record({"success": {"const": True}}))
_TRUTH: Final = among("true", "false")
_TYPES: Final = among("string", "number", "boolean", "enum", "any")
_ON_EVENTS: Final[dict[str, Schema]] = {
    "category": TEXT,
    "description": TEXT,
    "is_active": _TRUTH,
    "tags": like("core,paid"),
    "owner": TEXT,
    **{f"is_hidden_from_{place}": _TRUTH for place in ("dropdowns", "persona_results", "pathfinder", "timeline")},
}
_ON_PROPERTIES: Final[dict[str, Schema]] = {
    "description": TEXT,
    "type": _TYPES,
    "regex": TEXT,
    "enum_values": like("a,b"),
    "is_array_type": _TRUTH,
    "is_hidden": _TRUTH,
    "classifications": like("PII"),
}


def _planned(
    method: str,
    path: str,
    about: str,
    answer: Schema | None = None,
    *,
    form: Schema | None = None,
    parameters: tuple[Parameter, ...] = (),
    done: int = 200,
) -> Operation:
    shown = _DONE if answer is None else (JSON, record({"success": {"const": True}, "data": answer}))
    taken: Answers = {} if form is None else {413: (JSON, ref("UploadRefusal"))}
    return Operation(
        api="Taxonomy",
        method=method,
        path=_PLAN + path,
        about=about,
        parameters=parameters,
        bodies={} if form is None else {FORM: form},
        answers={**_PLAN_REFUSED, **taken, done: shown},
        page="analytics/taxonomy",
    )


def _properties(kind: str, owner: str | None, *, is_removable: bool = True) -> list[Operation]:
    """Describe the operations on the properties of events, users or groups."""
    name, path = f"{kind}_property", f"/{kind}-property"
    words = f"{kind} property"
    own: dict[str, Schema] = {} if owner is None else {owner: TEXT}
    where = (may(owner),) if owner is not None else (may("showDeleted", _TRUTH),)
    more: dict[str, Schema] = {**own, **_ON_PROPERTIES}
    changes = {**more, f"new_{kind}_property_value": TEXT, **({} if owner is None else {"overrideScope": among("override", "shared")})}
    if kind == "event":
        more = changes = {**changes, "is_required": _TRUTH}
    one = f"{path}/{{name}}"
    shown = record({name: TEXT, "type": or_null(TEXT), "description": or_null(TEXT)})
    found = [
        _planned("POST", path, f"Plan a {words}", form=record({name: like("plan")}, more)),
        # Amplitude's samples read one with its name among the parameters.
        _planned("GET", path, f"List {kind} properties", ANYTHING, parameters=(*where, may(name))),
        _planned("GET", one, f"Show a {words}", shown, parameters=where),
        _planned("PUT", one, f"Change a {words}", form=record({}, changes)),
    ]
    if is_removable:
        owned = () if owner is None else (may(owner),)
        restored = 201 if kind == "event" else 200
        found += [
            _planned("DELETE", one, f"Delete a {words}", parameters=owned),
            _planned("POST", f"{one}/restore", f"Restore a {words}", parameters=owned, done=restored),
        ]
    return found


_EVENT: Final = record({"event_type": TEXT, "category": or_null(OBJECT), "is_active": FLAG, "tags": many(TEXT)})
_TAXONOMY: Final = (
    _planned("POST", "/category", "Make a category", form=record({"category_name": like("Checkout")})),
    _planned("GET", "/category", "List categories", many(ref("Category"))),
    _planned("GET", "/category/{name}", "Show the category of a name", ref("Category")),
    _planned("POST", "/event", "Plan an event type", form=record({"event_type": like("signup")}, _ON_EVENTS)),
    _planned("GET", "/event", "List event types", many(_EVENT), parameters=(may("showDeleted", _TRUTH),)),
    _planned("GET", "/event/{name}", "Show an event type", _EVENT),
    _planned(
        "PUT",
        "/event/{name}",
        "Change an event type",
        form=record({}, {**_ON_EVENTS, "new_event_type": TEXT, "display_name": TEXT}),
    ),
    _planned("DELETE", "/event/{name}", "Delete an event type"),
    _planned("POST", "/event/{name}/restore", "Restore an event type"),
    # By its id, where reading goes by the name; a template has one name for what is in one place.
    _planned("PUT", "/category/{name}", "Rename the category of an id", form=record({"category_name": like("Payment")})),
    _planned("DELETE", "/category/{name}", "Delete the category of an id"),
    *_properties("event", "event_type"),
    *_properties("user", None),
    *_properties("group", "group_type", is_removable=False),
)

# Annotations

_NOTE_REFUSED: Final[Answers] = dict.fromkeys((400, 401, 403, 429), (JSON, ref("Envelope")))
_ABSENT: Final[Answers] = {404: (JSON, ref("Envelope"))}
_CLASH: Final[Answers] = {409: (JSON, ref("Envelope"))}
_LARGE: Final[Answers] = {413: (JSON, ref("UploadRefusal"))}
_GONE: Final = record({"success": {"const": True}})
_MOMENT: Final = like("2026-02-01T07:00:00+00:00")
_NOTE: Final[dict[str, Schema]] = {
    "label": like("Checkout v2"),
    "start": _MOMENT,
    "end": or_null(_MOMENT),
    "category": or_null(TEXT),
    "chart_id": or_null(TEXT),
    "details": or_null(TEXT),
}


def _note(
    method: str, path: str, about: str, data: Schema, refused: Answers, body: Schema | None = None, *parameters: Parameter
) -> Operation:
    return Operation(
        api="Chart annotations",
        method=method,
        path=f"/api/3/{path}",
        about=about,
        parameters=parameters,
        segments={"number": WHOLE} if "{number}" in path else {},
        bodies={} if body is None else {JSON: body},
        answers={**_NOTE_REFUSED, **refused, **({} if body is None else _LARGE), 200: (JSON, data)},
        page="analytics/chart-annotations",
    )


def _data(schema: Schema) -> Schema:
    return record({"data": schema})


_NAMED: Final = record({"category": like("Releases")})
_ANNOTATIONS: Final = (
    _note(
        "GET",
        "annotations",
        "List annotations",
        _data(many(ref("Annotation"))),
        _CLASH,
        None,
        may("category"),
        may("chart_id"),
        may("start", _MOMENT),
        may("end", _MOMENT),
    ),
    _note(
        "POST",
        "annotations",
        "Make an annotation",
        _data(ref("Annotation")),
        _ABSENT,
        record({"label": _NOTE["label"], "start": _NOTE["start"]}, _NOTE),
    ),
    _note("GET", "annotations/{number}", "Show an annotation", _data(ref("Annotation")), _ABSENT),
    _note("PUT", "annotations/{number}", "Change an annotation", _data(ref("Annotation")), _ABSENT, record({}, _NOTE)),
    _note("DELETE", "annotations/{number}", "Delete an annotation", _GONE, _ABSENT),
    _note("GET", "annotation-categories", "List categories", _data(many(ref("Category"))), _ABSENT, None, may("category")),
    _note("POST", "annotation-categories", "Make a category", _data(ref("Category")), _CLASH, _NAMED),
    _note("GET", "annotation-categories/{number}", "Show a category", _data(ref("Category")), _ABSENT),
    _note(
        "PUT",
        "annotation-categories/{number}",
        "Rename a category",
        _data(record({"id": WHOLE, "category": TEXT})),
        {**_ABSENT, **_CLASH},
        _NAMED,
    ),
    _note("DELETE", "annotation-categories/{number}", "Delete a category", _GONE, _ABSENT),
    _note(
        "PUT",
        "annotation-categories/bulk/{number}",
        "Give several annotations a category",
        _data(many(OBJECT)),
        _ABSENT,
        record({"annotation_ids": many(WHOLE, minItems=1)}),
    ),
)

# Releases

_RELEASE: Final[dict[str, Schema]] = {
    "version": like("3.6"),
    "title": like("Checkout v2"),
    "release_start": like("2026-02-01 08:00:00"),
}
_MORE_ON_RELEASES: Final[dict[str, Schema]] = {
    "release_end": like("2026-02-02 08:00:00"),
    "description": TEXT,
    "created_by": TEXT,
    "platforms": {"anyOf": [TEXT, many(TEXT)]},
    "chart_visibility": either("boolean", "string"),
}
_RELEASES: Final = Operation(
    api="Releases",
    method="POST",
    path="/api/2/release",
    about="Note a release, by parameters of the query or by a body",
    parameters=tuple(
        may(name, {**schema, "type": "string"} if "type" in schema else TEXT)
        for name, schema in (_RELEASE | _MORE_ON_RELEASES).items()
    ),
    bodies={JSON: record({}, {**_RELEASE, **_MORE_ON_RELEASES})},
    is_body_needed=False,
    answers={
        **_NOTE_REFUSED,
        **_LARGE,
        200: (JSON, record({"success": {"const": True}, "release": record({"id": TEXT, "version": TEXT})})),
    },
    page="analytics/releases",
)

# Lookup tables

_TABLES: Final = "/api/3/lookup_table"
_FILE: Final[Schema] = {"type": "string", "contentMediaType": "text/csv", "examples": ["sku,brand\r\na,Acme\r\n"]}
_PROPERTY: Final = as_json_text(record({"value": TEXT, "type": TEXT}, {"groupType": TEXT}), '{"value":"sku","type":"event"}')
_CHANGED: Final[Answers] = {413: (JSON, ref("TableRefusal"))}


def _table(method: str, path: str, about: str, answer: tuple[str, Schema], refused: Answers, form: Schema | None = None) -> Operation:
    return Operation(
        api="Lookup tables",
        method=method,
        path=_TABLES + path,
        about=about,
        bodies={} if form is None else {MULTIPART: form},
        answers={**dict.fromkeys((400, 401, 403), (JSON, ref("TableRefusal"))), **refused, 200: answer},
        page="analytics/lookup-table-2",
    )


_NEW_TABLE: Final = record({"name": like("sku_meta"), "key": like("sku"), "property": _PROPERTY, "file": _FILE})
_NEW_ROWS: Final = record({}, {"property": _PROPERTY, "file": _FILE})
_SHOWN: Final = (JSON, ref("Table"))
_LOOKUP: Final = (
    *(
        _table("POST", slash, "Make a table", _SHOWN, {**_CHANGED, 409: (JSON, ref("TableRefusal"))}, _NEW_TABLE)
        for slash in ("", "/")
    ),
    *(_table("GET", slash, "List tables", (JSON, many(ref("Table"))), {}) for slash in ("", "/")),
    _table("GET", "/{name}", "Describe a table", _SHOWN, {}),
    _table("PUT", "/{name}", "Replace a table's rows", _SHOWN, _CHANGED, _NEW_ROWS),
    _table("PATCH", "/{name}", "Merge rows into a table", _SHOWN, _CHANGED, _NEW_ROWS),
    _table("DELETE", "/{name}", "Delete a table", (JSON, record({"message": TEXT, "success": {"const": True}})), {}),
    _table("GET", "/{name}/csv", "Give a table's rows", ("text/csv", TEXT), {}),
)

OPERATIONS: Final[tuple[Operation, ...]] = (*_TAXONOMY, *_ANNOTATIONS, _RELEASES, *_LOOKUP)
