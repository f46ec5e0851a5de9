"""The schemas that several operations share, by their names: what is sent, what is answered, and each API's form of an error."""

from __future__ import annotations

from typing import Final

from amplitude_async.sandbox.openapi.words import (
    ANYTHING,
    FLAG,
    IDENTITY,
    NUMBER,
    OBJECT,
    TEXT,
    WHOLE,
    Schema,
    among,
    either,
    like,
    many,
    mapped,
    or_null,
    record,
    ref,
    whole,
)
from amplitude_async.sandbox.rules import LATEST_TIME_MS

_GROUPS: Final = mapped({"anyOf": [TEXT, many(TEXT)]})
_INDICES: Final = mapped(many(whole(0)))
_RATES: Final = mapped(WHOLE)
_TEXTS: Final = (
    "app_version",
    "platform",
    "os_name",
    "os_version",
    "device_brand",
    "device_manufacturer",
    "device_model",
    "carrier",
    "country",
    "region",
    "city",
    "dma",
    "language",
)
_OPERATORS: Final = (
    "is",
    "is not",
    "contains",
    "does not contain",
    "less",
    "less or equal",
    "greater",
    "greater or equal",
    "set is",
    "set is not",
)
_NAMED: Final[dict[str, Schema]] = dict.fromkeys(_TEXTS, TEXT)

_SENT: Final[dict[str, Schema]] = {
    "Event": record(
        {"event_type": like("signup")},
        {
            "user_id": like("user-12345"),
            "device_id": like("device-12345"),
            "time": whole(0, LATEST_TIME_MS),
            "session_id": whole(-(2**63) + 1, 2**63 - 1),
            "insert_id": TEXT,
            "event_id": WHOLE,
            "event_properties": OBJECT,
            "user_properties": OBJECT,
            "groups": _GROUPS,
            "group_properties": OBJECT,
            **_NAMED,
            "ip": TEXT,
            "location_lat": NUMBER,
            "location_lng": NUMBER,
            "price": NUMBER,
            "quantity": WHOLE,
            "revenue": NUMBER,
            "productId": TEXT,
            "revenueType": TEXT,
            "currency": TEXT,
            "idfa": TEXT,
            "idfv": TEXT,
            "adid": TEXT,
            "android_id": TEXT,
            "library": TEXT,
            "plan": OBJECT,
            "$skip_user_properties_sync": FLAG,
        },
    ),
    "Identification": record(
        {},
        {
            "user_id": like("user-12345"),
            "device_id": like("device-12345"),
            "user_properties": OBJECT,
            "groups": _GROUPS,
            "paying": TEXT,
            "start_version": TEXT,
            **_NAMED,
        },
    ),
    "GroupIdentification": record({"group_type": like("company"), "group_value": like("Acme"), "group_properties": OBJECT}),
    "Mapping": record({"user_id": like("ada-web")}, {"global_user_id": like("ada@example.org"), "unmap": FLAG}),
    "EventChoice": record(
        {"event_type": like("signup")},
        {
            "filters": many(
                record(
                    {
                        "subprop_type": among("event", "user", "group"),
                        "subprop_key": TEXT,
                        "subprop_op": among(*_OPERATORS),
                        "subprop_value": many(TEXT),
                    }
                )
            ),
            "group_by": many(record({"type": among("event", "user", "group"), "value": TEXT}), maxItems=2),
        },
    ),
    "Segment": many(
        {
            "anyOf": [
                record({"prop": like("country"), "op": among(*_OPERATORS), "values": many(TEXT)}),
                record(
                    {"type": {"const": "event"}, "event_type": TEXT, "op": like(">="), "value": whole(0)},
                    {
                        "time_type": among("forEachInterval", "currentInterval", "allTime"),
                        "time_value": whole(1),
                        "filters": many(OBJECT),
                    },
                ),
            ]
        }
    ),
    "TargetSegment": record(
        {
            "name": TEXT,
            "conditions": many(record({"type": {"const": "property"}, "prop": TEXT, "op": TEXT, "values": many(TEXT)})),
            "percentage": {"type": "number", "minimum": 0, "maximum": 100},
            "rolloutWeights": mapped(whole(0)),
        },
        {"bucketingKey": TEXT},
    ),
    "ExperimentUser": record(
        {},
        {
            "user_id": like("user-12345"),
            "device_id": like("device-12345"),
            "version": TEXT,
            "os": TEXT,
            "user_properties": OBJECT,
            "groups": mapped(many(TEXT)),
            "group_properties": mapped(mapped(OBJECT)),
            **dict.fromkeys(("country", "region", "city", "dma", "language", "platform", "carrier", "library"), TEXT),
        },
    ),
}
_REFUSALS: Final[dict[str, Schema]] = {
    "UploadRefusal": record(
        {"code": WHOLE, "error": TEXT},
        {
            "missing_field": TEXT,
            "events_with_missing_fields": _INDICES,
            "events_with_invalid_fields": _INDICES,
            "events_with_invalid_id_lengths": _INDICES,
            "silenced_devices": many(TEXT),
            "silenced_events": many(whole(0)),
            "eps_threshold": WHOLE,
            "exceeded_daily_quota_devices": _RATES,
            "throttled_devices": _RATES,
            "throttled_events": many(whole(0)),
        },
    ),
    "Throttled": record(
        {"code": {"const": 429}, "error": TEXT, "eps_threshold": WHOLE, "throttled_events": many(whole(0))},
        {
            "throttled_devices": _RATES,
            "throttled_users": _RATES,
            "exceeded_daily_quota_users": _RATES,
            "exceeded_daily_quota_devices": _RATES,
        },
    ),
    "Envelope": record(
        {
            "error": record(
                {"http_code": WHOLE, "type": TEXT, "message": TEXT, "metadata": record({"details": TEXT})},
            )
        }
    ),
    "CohortRefusal": record({"error": record({"http_code": WHOLE, "type": TEXT, "message": TEXT, "metadata": OBJECT})}),
    "MembershipRefusal": record({"error": record({"message": TEXT, "code": WHOLE}, {"metadata": OBJECT})}),
    "PlainRefusal": record({"error": TEXT}),
    "PlanRefusal": record({"success": {"const": False}, "errors": many(record({"message": TEXT}))}),
    "TableRefusal": record(
        {"statusCode": WHOLE, "message": TEXT, "errorCode": {"type": "string", "pattern": "^LOOKUP_TABLE_"}, "extraParams": OBJECT}
    ),
    "ScimRefusal": record({"schemas": many(TEXT), "status": TEXT, "detail": TEXT}, {"scimType": TEXT}),
    "ExperimentRefusal": record({"error": record({"message": TEXT})}),
}
_ANSWERED: Final[dict[str, Schema]] = {
    "Uploaded": record(
        {
            "code": {"const": 200},
            "server_upload_time": WHOLE,
            "payload_size_bytes": whole(0),
            "events_ingested": whole(0),
        }
    ),
    "Series": record(
        {
            "data": record(
                {"series": many(many(NUMBER)), "xValues": many(either("string", "number", "boolean"))},
                {"seriesLabels": many(ANYTHING)},
            )
        }
    ),
    "Funnel": record(
        {
            "meta": OBJECT,
            "events": many(TEXT),
            "stepByStep": many(NUMBER),
            "cumulative": many(NUMBER),
            "cumulativeRaw": many(WHOLE),
            "medianTransTimes": many(NUMBER),
            "avgTransTimes": many(NUMBER),
            "dayFunnels": OBJECT,
        }
    ),
    "Row": record(
        {"event_type": TEXT, "event_time": TEXT, "amplitude_id": WHOLE, "event_properties": OBJECT, "user_properties": OBJECT}
    ),
    "Annotation": record(
        {
            "id": WHOLE,
            "start": TEXT,
            "end": or_null(TEXT),
            "label": TEXT,
            "details": or_null(TEXT),
            "category": or_null(OBJECT),
            "chart_id": or_null(TEXT),
        }
    ),
    "Category": record({"id": WHOLE, "name": TEXT}),
    "Table": record(
        {
            "appId": TEXT,
            "name": TEXT,
            "columnHeaders": many(TEXT),
            "createdAt": WHOLE,
            "lastModifiedAt": WHOLE,
            "keyColumnHeader": TEXT,
            "keyProperty": OBJECT,
            "fileName": TEXT,
            "rowCount": whole(0),
            "sizeBytes": whole(0),
        }
    ),
    "Cohort": record(
        {"id": TEXT, "appId": WHOLE, "name": TEXT, "size": whole(0), "published": FLAG, "definition": OBJECT, "owners": many(TEXT)},
        {"syncMetadata": many(OBJECT)},
    ),
    "CohortRequest": record({"request_id": TEXT, "cohort_id": TEXT}, {"async_status": among("JOB INPROGRESS", "JOB COMPLETED")}),
    "DeletionJob": record(
        {
            "day": TEXT,
            "status": among("staging", "submitted", "done"),
            "amplitude_ids": many(OBJECT),
            "app": TEXT,
            "active_scrub_done_date": or_null(TEXT),
        },
        {"invalid_ids": many(IDENTITY)},
    ),
    "SubjectRequest": record(
        {
            "requestId": WHOLE,
            "amplitudeId": or_null(WHOLE),
            "userId": or_null(TEXT),
            "startDate": TEXT,
            "endDate": TEXT,
            "status": among("staging", "submitted", "done", "failed"),
            "urls": many(TEXT),
            "expires": TEXT,
        },
        {"failReason": TEXT},
    ),
    "Flag": record(
        {
            "id": IDENTITY,
            "projectId": IDENTITY,
            "key": TEXT,
            "name": TEXT,
            "enabled": FLAG,
            "evaluationMode": among("remote", "local"),
            "variants": many(OBJECT),
            "rolloutPercentage": NUMBER,
            "rolloutWeights": mapped(WHOLE),
            "targetSegments": many(ref("TargetSegment")),
            "deployments": many(IDENTITY),
        }
    ),
    "Variant": record({"key": TEXT, "rolloutWeight": WHOLE}, {"name": TEXT, "description": TEXT, "payload": ANYTHING}),
    "Version": record({"version": WHOLE, "createdAt": TEXT, "createdBy": TEXT, "flagConfig": OBJECT}),
    "Deployment": record({"id": TEXT, "projectId": TEXT, "label": TEXT, "key": TEXT, "deleted": FLAG}),
    "Made": record({"id": IDENTITY, "url": TEXT}),
    "FlagConfig": record({"key": TEXT, "segments": many(OBJECT), "variants": mapped(OBJECT)}),
    "ScimUser": record({"id": TEXT, "userName": TEXT, "name": OBJECT, "active": FLAG, "emails": many(OBJECT), "meta": OBJECT}),
    "ScimGroup": record({"id": IDENTITY, "displayName": TEXT, "members": many(OBJECT), "meta": OBJECT}),
    "Fault": record(
        {},
        {
            "status": whole(200, 599),
            "body": ANYTHING,
            "headers": mapped(TEXT),
            "delay": NUMBER,
            "when": among("before", "after"),
            "cut_after": whole(0),
            "reset": FLAG,
            "dribble": NUMBER,
            "contradict": WHOLE,
            "lose_tail": whole(0),
            "path": like("/2/httpapi"),
            "method": TEXT,
            "times": or_null(whole(1)),
        },
    ),
}

ALL: Final[dict[str, Schema]] = {**_SENT, **_ANSWERED, **_REFUSALS}
