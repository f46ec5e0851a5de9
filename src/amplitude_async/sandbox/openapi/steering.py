"""The sandbox's own: what steers and shows it, under ``/sandbox/``."""

from __future__ import annotations

from typing import Final

from amplitude_async.sandbox.openapi.words import (
    JSON,
    NUMBER,
    OBJECT,
    TEXT,
    WEB,
    WHOLE,
    Answers,
    Operation,
    Parameter,
    Schema,
    like,
    many,
    may,
    needed,
    record,
    ref,
    whole,
)

_REFUSAL: Final = (JSON, ref("PlainRefusal"))
_DONE: Final = (JSON, record({"ok": {"const": True}}))


def _shown(path: str, about: str, answer: tuple[str, Schema], *parameters: Parameter) -> Operation:
    """Describe what this machine may read."""
    refused: Answers = dict.fromkeys((400, 403), _REFUSAL)
    return Operation(
        api="The sandbox", method="GET", path=path, about=about, door=None, parameters=parameters, answers={**refused, 200: answer}
    )


def _steered(method: str, path: str, about: str, done: int, answer: Schema | None = None, body: Schema | None = None) -> Operation:
    """Describe what whoever has the token may change."""
    return Operation(
        api="The sandbox",
        method=method,
        path=path,
        about=about,
        door="token",
        bodies={} if body is None else {JSON: body},
        answers={
            **dict.fromkeys((400, 401), _REFUSAL),
            **({} if body is None else {413: (JSON, ref("UploadRefusal"))}),
            done: _DONE if answer is None else (JSON, answer),
        },
    )


_DAY: Final = like("20260501", pattern=r"^\d{8}$")
OPERATIONS: Final[tuple[Operation, ...]] = (
    _shown("/", "The page", (WEB, TEXT)),
    _shown("/sandbox/openapi.json", "This description", (JSON, record({"openapi": TEXT, "paths": OBJECT}))),
    _shown(
        "/sandbox/events",
        "What passes by, as server-sent events, until one of the two hangs up",
        ("text/event-stream", TEXT),
        may("after", whole(0)),
    ),
    _shown(
        "/sandbox/status",
        "Counts, and the types of events",
        (JSON, record({"accepted": whole(0), "rejected": whole(0), "event_types": many(OBJECT), "today": TEXT, "timezone": TEXT})),
    ),
    _shown(
        "/sandbox/people", "Find users", (JSON, record({"type": TEXT, "matches": many(OBJECT)})), needed("user", like("user-12345"))
    ),
    _shown(
        "/sandbox/activity",
        "Show a user",
        (JSON, record({"userData": OBJECT, "events": many(ref("Row"))})),
        may("user", whole(0), about="An Amplitude ID."),
    ),
    _shown(
        "/sandbox/segmentation",
        "Measure an event; parameters as those of the query",
        (JSON, ref("Series")),
        Parameter(name="e", schema=ref("EventChoice"), is_json=True, is_required=True),
        needed("start", _DAY),
        needed("end", _DAY),
    ),
    _shown(
        "/sandbox/faults",
        "Show the faults that wait",
        (JSON, record({"faults": many(OBJECT), "throttled": many(TEXT), "silenced": many(TEXT)})),
    ),
    _steered("POST", "/sandbox/faults", "Let something go wrong", 201, body=ref("Fault")),
    _steered("POST", "/sandbox/silence", "Take nothing of a device", 201, body=record({"device_id": like("device-12345")})),
    _steered("DELETE", "/sandbox/faults", "Take all faults back", 200),
    _steered(
        "POST", "/sandbox/throttle", "Call a user too fast", 201, body=record({"identity": like("user-12345")}, {"seconds": NUMBER})
    ),
    _steered(
        "POST",
        "/sandbox/seed",
        "Fill it with a made-up shop",
        201,
        record({"events": whole(0)}),
        record({}, {"users": whole(1, 1_000_000), "days": whole(1, 365), "seed": WHOLE}),
    ),
    _steered("POST", "/sandbox/down", "Refuse connections for a while", 202, body=record({"seconds": NUMBER})),
    _steered(
        "PUT",
        "/sandbox/charts/{chart_id}",
        "Save a chart",
        201,
        body=record({"query": like("funnels")}, {"parameters": OBJECT}),
    ),
)
