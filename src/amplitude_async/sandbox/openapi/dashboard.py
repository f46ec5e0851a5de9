"""Queries and exports: what is asked about the events that are there."""

from __future__ import annotations

from typing import Final

from amplitude_async.sandbox.openapi.words import (
    ANYTHING,
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
    may,
    needed,
    or_null,
    record,
    ref,
    whole,
)

_REST: Final = "analytics/dashboard-rest"
_REFUSED: Final[Answers] = dict.fromkeys((400, 401, 403, 429), (JSON, ref("Envelope")))
_NOT_THERE: Final[Answers] = {404: (JSON, ref("Envelope"))}
_DAYS: Final = (
    needed("start", like("20260501", pattern=r"^\d{8}$"), about="The first day, in the project's time zone."),
    needed("end", like("20260531", pattern=r"^\d{8}$"), about="The last day, included."),
)
_SEGMENT: Final = may("s", ref("Segment"), is_json=True, about="A segment of users; once for each.")
_BY_DATE: Final = may("i", among("1", "7", "30"))
_BY_TIME: Final = may("i", among("-300000", "-3600000", "1", "7", "30"))
_GROUP: Final = may("g", like("platform"), about="Group by a property.")
_LIMIT: Final = may("limit", whole(0, 1000))
_SERIES: Final = ref("Series")


def _event(name: str, *, is_required: bool = False) -> Parameter:
    return Parameter(name=name, schema=ref("EventChoice"), is_json=True, is_required=is_required)


def _query(path: str, about: str, answer: Schema, *parameters: Parameter) -> Operation:
    return Operation(
        api="Dashboard REST",
        method="GET",
        path=f"/api/2/{path}",
        about=about,
        parameters=parameters,
        answers={**_REFUSED, 200: (JSON, answer)},
        page=_REST,
    )


def _data(schema: Schema) -> Schema:
    return record({"data": schema})


_BINS: Final = tuple(may(f"timeHistogramConfigBin{name}", NUMBER) for name in ("Min", "Max", "Size"))
_LISTED: Final = record(
    {"value": TEXT, "display": TEXT, "totals": WHOLE, **dict.fromkeys(("non_active", "deleted", "hidden", "flow_hidden"), FLAG)}
)
_MATCH: Final = record({"user_id": or_null(TEXT), "amplitude_id": WHOLE})
_PAST: Final = record(
    {
        "user_id": or_null(TEXT),
        "num_events": WHOLE,
        "num_sessions": WHOLE,
        "revenue": NUMBER,
        "purchases": WHOLE,
        "device_ids": many(TEXT),
    }
)

OPERATIONS: Final[tuple[Operation, ...]] = (
    _query(
        "usersearch",
        "Find users by an id, or by how it begins",
        record({"type": TEXT, "matches": many(_MATCH)}),
        needed("user", like("user-12345")),
    ),
    _query(
        "useractivity",
        "Show a user, and what the user did",
        record({"userData": _PAST, "events": many(ref("Row"))}),
        needed("user", like("1610447000001"), about="An Amplitude ID."),
        may("offset", whole(0)),
        may("limit", whole(0, 1000)),
        may("direction", among("latest", "earliest")),
    ),
    _query("users", "Count active or new users", _SERIES, *_DAYS, may("m", among("active", "new")), _BY_DATE, _SEGMENT, _GROUP),
    _query(
        "sessions/length",
        "Count sessions by their length",
        _SERIES,
        *_DAYS,
        may("timeHistogramConfigBinTimeUnit", among("hours", "minutes", "seconds")),
        *_BINS,
    ),
    _query("sessions/average", "Average the lengths of sessions", _SERIES, *_DAYS),
    _query("sessions/peruser", "Count the sessions of a user", _SERIES, *_DAYS),
    _query("composition", "Count users by a property", _SERIES, *_DAYS, needed("p", like("platform"))),
    _query("events/list", "List the types of events", _data(many(_LISTED))),
    _query(
        "events/segmentation",
        "Measure one event, or two",
        _SERIES,
        _event("e", is_required=True),
        _event("e2"),
        *_DAYS,
        may("m", among("uniques", "totals", "pct_dau", "average", "histogram", "sums", "value_avg", "formula")),
        may("formula", like("UNIQUES(A)/UNIQUES(B)")),
        may("n", among("any", "active")),
        _BY_TIME,
        _SEGMENT,
        _GROUP,
        may("g2"),
        _LIMIT,
        may("rollingWindow", whole(1)),
        may("rollingAverage", whole(1)),
    ),
    _query(
        "funnels",
        "Count who goes from event to event",
        _data(many(ref("Funnel"))),
        Parameter(name="e", schema=ref("EventChoice"), is_json=True, is_required=True, about="A step; once for each, in their order."),
        *_DAYS,
        may("mode", among("ordered", "unordered", "sequential")),
        may("n", among("new", "active")),
        may("cs", whole(1), about="The conversion window, in seconds."),
        _BY_TIME,
        _SEGMENT,
        _GROUP,
        _LIMIT,
    ),
    _query(
        "retention",
        "Count who comes back",
        _data(record({"series": many(OBJECT), "seriesMeta": many(OBJECT)})),
        _event("se", is_required=True),
        _event("re", is_required=True),
        *_DAYS,
        may("rm", among("bracket", "rolling", "n-day")),
        may("rb", many(many(whole(0), minItems=2, maxItems=2)), is_json=True, about="Brackets of days, their ends excluded."),
        _BY_DATE,
        _SEGMENT,
        _GROUP,
    ),
    _query("realtime", "Count users of today and yesterday in steps of five minutes", _SERIES, may("i", among("5"))),
    _query(
        "revenue/ltv",
        "Add up what new users have paid since",
        _data(record({"seriesLabels": many(ANYTHING), "series": many(OBJECT)})),
        *_DAYS,
        may("m", among("0", "1", "2", "3")),
        _BY_DATE,
        _SEGMENT,
        _GROUP,
    ),
    Operation(
        api="Dashboard REST",
        method="GET",
        path="/api/3/chart/{chart_id}/csv",
        about="Show a saved chart as a table",
        answers={**_REFUSED, **_NOT_THERE, 200: ("text/csv", TEXT)},
        page=_REST,
    ),
    Operation(
        api="Dashboard REST",
        method="GET",
        path="/api/3/chart/{chart_id}/query",
        about="Show a saved chart",
        answers={**_REFUSED, **_NOT_THERE, 200: (JSON, _data(ANYTHING))},
        page=_REST,
    ),
    Operation(
        api="Export",
        method="GET",
        path="/api/2/export",
        about="Download the raw events of some hours, by when they were uploaded",
        parameters=(
            needed("start", like("20260501T00", pattern=r"^\d{8}T\d{1,2}$")),
            needed("end", like("20260501T23", pattern=r"^\d{8}T\d{1,2}$"), about="The last hour, included."),
        ),
        answers={**_REFUSED, **_NOT_THERE, 200: ("application/zip", {"type": "string", "format": "binary"})},
        page="analytics/export",
    ),
)
