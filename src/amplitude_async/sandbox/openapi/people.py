"""Users: profiles, cohorts, mappings, and what the law asks for."""

from __future__ import annotations

from typing import Final

from amplitude_async.sandbox.openapi.words import (
    ANYTHING,
    FLAG,
    IDENTITY,
    JSON,
    PLAIN,
    TEXT,
    WEB,
    WHOLE,
    Answers,
    Operation,
    Schema,
    among,
    either,
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

_BINARY: Final[Schema] = {"type": "string", "format": "binary"}
_REFUSED: Final[Answers] = dict.fromkeys((400, 401, 403, 429), (JSON, ref("Envelope")))
_PLAINLY: Final[Answers] = dict.fromkeys((400, 401, 403, 429), (JSON, ref("PlainRefusal")))
_STORAGE: Final[Answers] = {**dict.fromkeys((400, 403), ("application/xml", TEXT)), 404: None, 200: ("binary/octet-stream", _BINARY)}
_COHORTS: Final = "analytics/behavioral-cohorts"
_ID_LIST: Final = many(IDENTITY, maxItems=100_000)
_SIGNED: Final = (may("X-Expires", WHOLE), may("X-Signature"))


def _cohort(method: str, path: str, about: str, answers: Answers, **more: object) -> Operation:
    return Operation(
        api="Behavioral cohorts",
        method=method,
        path=path,
        about=about,
        answers={**_REFUSED, **answers},
        page=_COHORTS,
        **more,  # type: ignore[arg-type]  # the attributes of an operation
    )


_CHANGED: Final[Answers] = {
    400: (JSON, ref("CohortRefusal")),
    404: (JSON, ref("CohortRefusal")),
    413: (JSON, ref("UploadRefusal")),
}
# Of memberships the errors of the store are as an older page has them, those of the shape as those of uploads.
_NOT_MEMBERS: Final[Answers] = {
    400: (JSON, {"anyOf": [ref("CohortRefusal"), ref("MembershipRefusal")]}),
    404: (JSON, ref("MembershipRefusal")),
}
_MEMBERSHIPS: Final = many(
    record({"ids": _ID_LIST, "id_type": among("BY_ID", "BY_NAME"), "operation": among("ADD", "REMOVE")}), minItems=1
)
_OPERATIONS_ON_COHORTS: Final = (
    _cohort(
        "GET",
        "/api/3/cohorts",
        "List cohorts",
        {200: (JSON, record({"cohorts": many(ref("Cohort"))}))},
        parameters=(may("includeSyncInfo", FLAG),),
    ),
    _cohort(
        "GET",
        "/api/3/cohorts/usage",
        "Say how many downloads the month has seen",
        {200: (JSON, record({"rest_download": record({"limit": WHOLE, "usage": WHOLE, "resets_at": TEXT})}))},
    ),
    _cohort(
        "POST",
        "/api/3/cohorts/upload",
        "Make a cohort, or replace one",
        {**_CHANGED, 200: (JSON, record({}, {"cohortId": TEXT, "metadata": record({"matched": whole(0), "totals": whole(0)})}))},
        bodies={
            JSON: record(
                {
                    "name": like("Repeat buyers"),
                    "app_id": WHOLE,
                    "id_type": among("BY_AMP_ID", "BY_USER_ID"),
                    "ids": _ID_LIST,
                    "owner": like("ops@example.org"),
                    "published": FLAG,
                },
                {"cg": TEXT, "skip_save": FLAG, "skip_invalid_ids": FLAG, "existing_cohort_id": TEXT},
            )
        },
    ),
    _cohort(
        "POST",
        "/api/3/cohorts/membership",
        "Put users into a cohort, or take them out",
        {
            **_CHANGED,
            **_NOT_MEMBERS,
            200: (JSON, record({"cohort_id": TEXT, "memberships_result": many(record({"skipped_ids": many(TEXT)}))})),
        },
        bodies={
            JSON: record({"cohort_id": TEXT, "memberships": _MEMBERSHIPS}, {"count_group": TEXT, "skip_invalid_ids": FLAG}),
        },
    ),
    _cohort(
        "GET",
        "/api/5/cohorts/request/{cohort}",
        "Ask for the download of a cohort",
        {202: (JSON, ref("CohortRequest")), 404: (JSON, ref("Envelope"))},
        parameters=(may("props", among("0", "1")), may("propKeys", many(TEXT))),
    ),
    _cohort(
        "GET",
        "/api/5/cohorts/request-status/{request}",
        "Say how a download stands",
        {200: (JSON, ref("CohortRequest")), 202: (JSON, ref("CohortRequest")), 404: (JSON, ref("Envelope"))},
    ),
    _cohort(
        "GET",
        "/api/5/cohorts/request/{request}/file",
        "Download a cohort, or be led to its file",
        {200: ("text/csv", TEXT), 302: None, 404: (JSON, ref("Envelope"))},
    ),
    Operation(
        api="Storage",
        method="GET",
        path="/storage/cohorts/{request}.csv",
        about="Give a cohort's file to whoever has the link",
        answers=_STORAGE,
        door=None,
        parameters=_SIGNED,
    ),
)
_DELETIONS: Final = (
    Operation(
        api="User privacy",
        method="POST",
        path="/api/2/deletions/users",
        about="Have users deleted",
        bodies={
            JSON: record(
                {},
                {
                    "amplitude_ids": many(IDENTITY, maxItems=100),
                    "user_ids": many(IDENTITY, maxItems=100),
                    "requester": like("privacy@example.org"),
                    "ignore_invalid_id": either("boolean", "string"),
                    "ignore_invalid_ids": either("boolean", "string"),
                    "delete_from_org": either("boolean", "string"),
                    "include_mapped_user_ids": either("boolean", "string"),
                },
            )
        },
        answers={**_PLAINLY, 200: [(JSON, many(ref("DeletionJob"))), (PLAIN, TEXT)], 413: (JSON, ref("UploadRefusal"))},
        page="analytics/user-privacy",
    ),
    Operation(
        api="User privacy",
        method="GET",
        path="/api/2/deletions/users",
        about="List the jobs of some days",
        parameters=(needed("start_day", like("2026-05-01", format="date")), needed("end_day", like("2026-06-30", format="date"))),
        answers={**_PLAINLY, 200: (WEB, many(ref("DeletionJob")))},
        page="analytics/user-privacy",
    ),
    Operation(
        api="User privacy",
        method="DELETE",
        path="/api/2/deletions/users/{amplitude_id}/{day}",
        about="Take a user out of a job",
        segments={"amplitude_id": WHOLE, "day": like("2026-05-14", format="date")},
        answers={**_PLAINLY, 200: (WEB, record({"amplitude_id": WHOLE, "requested_on_day": TEXT, "requester": TEXT}))},
        page="analytics/user-privacy",
    ),
)
_SUBJECT_REQUESTS: Final = (
    Operation(
        api="Data subject access requests",
        method="POST",
        path="/api/2/dsar/requests",
        about="Ask for a user's data",
        door="organisation",
        bodies={
            JSON: record(
                {"startDate": like("2026-01-01", format="date"), "endDate": like("2026-04-30", format="date")},
                {"userId": like("user-12345"), "amplitudeId": WHOLE},
            )
        },
        answers={**_PLAINLY, 202: (JSON, record({"requestId": WHOLE})), 413: (JSON, ref("UploadRefusal"))},
        page="analytics/ccpa-dsar",
    ),
    Operation(
        api="Data subject access requests",
        method="GET",
        path="/api/2/dsar/requests/{number}",
        about="Say how a request stands",
        door="organisation",
        segments={"number": WHOLE},
        answers={**_PLAINLY, 200: (JSON, ref("SubjectRequest")), 404: (JSON, ref("PlainRefusal"))},
        page="analytics/ccpa-dsar",
    ),
    Operation(
        api="Data subject access requests",
        method="GET",
        path="/api/2/dsar/requests/{number}/outputs/{output}",
        about="Be led to a file",
        door="organisation",
        segments={"number": WHOLE, "output": WHOLE},
        answers={**_PLAINLY, 302: None, 404: (JSON, ref("PlainRefusal")), 410: (JSON, ref("PlainRefusal"))},
        page="analytics/ccpa-dsar",
    ),
    Operation(
        api="Storage",
        method="GET",
        path="/storage/dsar/{number}/{output}.json.gz",
        about="Give a file of a data subject request to whoever has the link",
        answers=_STORAGE,
        door=None,
        segments={"number": whole(0), "output": whole(0)},
        parameters=_SIGNED,
    ),
)
_PROFILE: Final = Operation(
    api="User profile",
    method="GET",
    path="/v1/userprofile",
    about="Say what is known of a user",
    door="secret",
    parameters=(
        may("user_id", like("user-12345")),
        may("device_id"),
        *(may(name, FLAG) for name in ("get_recs", "get_amp_props", "get_cohort_ids", "get_computations", "get_propensity")),
        *(may(name, about="One, or several with commas.") for name in ("rec_id", "comp_id", "prediction_id")),
        may("rec_type", among("model", "random")),
        may("propensity_type", among("score", "pct")),
    ),
    answers={
        200: (
            JSON,
            record(
                {
                    "userData": record(
                        {
                            "user_id": or_null(TEXT),
                            "device_id": or_null(TEXT),
                            "recommendations": or_null(many(ANYTHING)),
                            "amp_props": or_null(mapped(ANYTHING)),
                            "cohort_ids": or_null(many(TEXT)),
                        }
                    )
                }
            ),
        ),
        400: (JSON, ref("PlainRefusal")),
        401: (PLAIN, TEXT),
        429: (JSON, ref("PlainRefusal")),
    },
    page="analytics/user-profile",
)
_MAPPED: Final = many(record({"user_id": TEXT}, {"amplitude_id": WHOLE}))
_MAPPINGS: Final = Operation(
    api="User mapping",
    method="GET",
    path="/api/2/usermap",
    about="Say what users are mapped to and from",
    parameters=(needed("user_ids", many(like("ada-web"), minItems=1, maxItems=100)),),
    answers={
        **_REFUSED,
        200: (JSON, mapped(record({}, {"amplitude_id": WHOLE, "mapped_from": _MAPPED, "mapped_to": _MAPPED}))),
        414: (JSON, ref("UploadRefusal")),
    },
    page="analytics/user-mapping",
)

OPERATIONS: Final[tuple[Operation, ...]] = (*_OPERATIONS_ON_COHORTS, *_DELETIONS, *_SUBJECT_REQUESTS, _PROFILE, _MAPPINGS)
