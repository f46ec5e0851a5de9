"""Every error body that Amplitude documents, or that was recorded: a request, the status, and the whole body that it gets.

Those of a bad upload, of identify and of exports without sense are in ``test_uploads.py`` and ``test_queries.py``; here is the rest.
Where Amplitude says no more than a status, the body is the one that the modules of ``sandbox/apis`` say they chose.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import httpx
import pytest

from amplitude_async.sandbox import Limits, Sandbox

from .conftest import NOON, Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Door = Literal["none", "project", "organisation", "secret", "deployment", "management", "scim"]
Call = tuple[str, str, dict[str, Any]]

ADA = {"user_id": "ada@example.org", "event_type": "hello"}
DEVICE = {"device_id": "device-77", "event_type": "hello"}
THROTTLED = "Too many requests for some devices and users"
DAY = {"start": "20260501", "end": "20260501"}
HOUR = {"start": "20260501T12", "end": "20260501T12"}


def upload(*events: dict[str, Any], path: str = "/2/httpapi") -> Call:
    return "POST", path, {"json": {"api_key": "sandbox", "events": list(events)}}


def get(path: str, **params: Any) -> Call:
    return "GET", path, {"params": params}


def post(path: str, body: Any) -> Call:
    return "POST", path, {"json": body}


def envelope(status: int, details: str) -> dict[str, Any]:
    return {"error": {"http_code": status, "type": "unspecified", "message": "Unspecified Error", "metadata": {"details": details}}}


def plan(message: str) -> dict[str, Any]:
    return {"success": False, "errors": [{"message": message}]}


def table(status: int, code: str, message: str, **extra: Any) -> dict[str, Any]:
    return {"statusCode": status, "message": message, "errorCode": f"LOOKUP_TABLE_{code}", "extraParams": extra}


def cohort(status: int, message: str, **metadata: Any) -> dict[str, Any]:
    return {"error": {"http_code": status, "type": "invalid_request", "message": message, "metadata": metadata}}


def scim(status: int, detail: str, kind: str = "") -> dict[str, Any]:
    found = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": str(status), "detail": detail}
    return {**found, **({"scimType": kind} if kind else {})}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One error.

    Attributes:
        call: The request that gets it.
        status: The status.
        body: The body: JSON, or text.
        door: Whose credential the requests have.
        before: Requests before it, which are answered well.
        limits: The limits of the sandbox, where it has any.
        strict: Whether the sandbox is strict.
        fault: What is asked of ``box.faults`` before.
    """

    call: Call
    status: int
    body: Any
    door: Door = "project"
    before: tuple[Call, ...] = ()
    limits: Limits | None = None
    strict: bool = False
    fault: Callable[[Sandbox], object] = field(default=lambda _box: None)


SKU = {"name": (None, "sku_meta"), "key": (None, "sku"), "property": (None, '{"value":"sku","type":"event"}')}
COHORT = {"name": "c", "app_id": 612_345, "id_type": "BY_USER_ID", "owner": "ops@example.org", "published": True}
MEMBERS = {"ids": ["user-x1"], "id_type": "BY_NAME", "operation": "ADD"}
SLOTS = [{"percentage": 50}]


def csv(text: str, name: str = "skus.csv", kind: str = "text/csv") -> tuple[str, bytes, str]:
    return name, text.encode(), kind


def made(**parts: Any) -> Call:
    return "POST", "/api/3/lookup_table/", {"files": {**SKU, "file": csv("sku,brand\r\na,Acme\r\n"), **parts}}


def blocked(box: Sandbox) -> None:
    box.faults.silence("dev-77aa01")
    box.faults.throttle("dev-19bb02")


def spent(name: str, cost: int) -> Callable[[Sandbox], object]:
    """Use up what an API allows in an hour."""
    return lambda box: box._running_desk().window(name, 3600.0).add(NOON, cost)


INGESTION = [
    # https://amplitude.com/docs/apis/analytics/http-v2
    Row(call=("POST", "/2/nothing", {}), status=400, body={"code": 400, "error": "Invalid request path"}),
    Row(
        call=upload(ADA, {**DEVICE, "device_id": "dev-77aa01"}, {**DEVICE, "device_id": "dev-19bb02"}),
        status=400,
        body={
            "code": 400,
            "error": "Events silenced for device_id",
            "eps_threshold": 30,
            "exceeded_daily_quota_devices": {},
            "silenced_devices": ["dev-77aa01"],
            "silenced_events": [1],
            "throttled_devices": {"dev-19bb02": 1},
            "throttled_events": [2],
        },
        fault=blocked,
    ),
    Row(
        call=upload(ADA),
        status=403,
        body={"code": 403, "error": "Forbidden"},
        fault=lambda box: box.faults.next(status=403, body={"code": 403, "error": "Forbidden"}),
    ),
    Row(
        call=upload({**ADA, "event_type": "[Amplitude] Revenue"}),
        status=400,
        body={"code": 400, "error": "Invalid field values on some events", "events_with_invalid_fields": {"event_type": [0]}},
        strict=True,
    ),
    Row(call=upload(*[ADA] * 2000), status=413, body={"code": 413, "error": "Payload too large"}),
    Row(call=upload(*[ADA] * 2001, path="/batch"), status=413, body={"code": 413, "error": "Payload too large"}),
    Row(
        call=upload(*[{**ADA, "device_id": "device-1"}] * 2, DEVICE),
        status=429,
        body={
            "code": 429,
            "error": THROTTLED,
            "eps_threshold": 1,
            "throttled_devices": {"device-1": 2},
            "throttled_users": {"ada@example.org": 2},
            "throttled_events": [0, 1],
        },
        limits=Limits(v2_events_per_second=1, window_s=1.0),
    ),
    # Of a whole project. The limit is at https://amplitude.com/docs/sdks/sdk-debugging, the body is the sandbox's choice.
    Row(
        call=upload(ADA, DEVICE),
        status=429,
        body={
            "code": 429,
            "error": THROTTLED,
            "eps_threshold": 3,
            "throttled_devices": {},
            "throttled_users": {},
            "throttled_events": [0, 1],
        },
        before=(upload(ADA), upload(DEVICE)),
        limits=Limits(v2_project_events_per_second=3, window_s=1.0),
    ),
    Row(
        call=upload(ADA, DEVICE, path="/batch"),
        status=429,
        body={
            "code": 429,
            "error": THROTTLED,
            "eps_threshold": 1,
            "throttled_devices": {},
            "throttled_users": {},
            "throttled_events": [0, 1],
        },
        before=(upload(ADA), upload(DEVICE, path="/batch")),
        limits=Limits(batch_project_events_per_second=1, window_s=2.0),
    ),
    # https://amplitude.com/docs/apis/analytics/batch-event-upload
    Row(
        call=upload(*[ADA] * 3, {**ADA, "user_id": "bob@example.org"}, path="/batch"),
        status=429,
        body={
            "code": 429,
            "error": THROTTLED,
            "eps_threshold": 1000,
            "throttled_devices": {},
            "throttled_users": {},
            "exceeded_daily_quota_users": {"ada@example.org": 5},
            "exceeded_daily_quota_devices": {},
            "throttled_events": [0, 1, 2],
        },
        before=(upload(ADA, ADA, path="/batch"),),
        limits=Limits(batch_daily_quota=4),
    ),
    Row(
        call=upload({**DEVICE, "user_id": "ada@example.org"}, *[DEVICE] * 2, path="/batch"),
        status=429,
        body={
            "code": 429,
            "error": THROTTLED,
            "eps_threshold": 2,
            "throttled_devices": {"device-77": 3},
            "throttled_users": {},
            "exceeded_daily_quota_users": {},
            "exceeded_daily_quota_devices": {"device-77": 3},
            "throttled_events": [0, 1, 2],
        },
        limits=Limits(batch_events_per_second=2, window_s=1.0, batch_daily_quota=2),
    ),
    # https://amplitude.com/docs/apis/analytics/identify, group-identify, user-mapping and attribution
    Row(
        call=("POST", "/identify", {"data": {"api_key": "sandbox", "identification": '[{"user_id":"ada"}]'}}),
        status=400,
        body="invalid_id_length: user_id",
    ),
    Row(
        call=("POST", "/identify", {"data": {"api_key": "sandbox", "identification": '[{"user_id":"ada-1"},{"user_id":"ada-1"}]'}}),
        status=429,
        body={
            "code": 429,
            "error": THROTTLED,
            "eps_threshold": 1,
            "throttled_devices": {},
            "throttled_users": {"ada-1": 2},
            "throttled_events": [0, 1],
        },
        limits=Limits(v2_events_per_second=1, window_s=1.0),
    ),
    Row(call=get("/identify", api_key="sandbox", padding="x" * 16_384), status=414, body={"code": 414, "error": "URI too long"}),
    Row(
        call=("POST", "/groupidentify", {"data": {"api_key": "sandbox", "identification": '[{"group_type":"org"}]'}}),
        status=400,
        body="missing_event: group_value is required",
    ),
    Row(
        call=(
            "POST",
            "/groupidentify",
            {
                "data": {
                    "api_key": "sandbox",
                    "identification": '[{"group_type":"o","group_value":"v","group_properties":{"$remove":{"a":1}}}]',
                }
            },
        ),
        status=400,
        body="invalid_event: group_properties",
    ),
    Row(
        call=upload({**ADA, "event_type": "$identify", "groups": {"org": [str(number) for number in range(11)]}}),
        status=400,
        body={},
        strict=True,
    ),
    Row(
        call=(
            "POST",
            "/groupidentify",
            {
                "data": {
                    "api_key": "sandbox",
                    "identification": json.dumps(
                        [
                            {"group_type": "o", "group_value": "v", "group_properties": {str(n): 1 for n in range(1000)}},
                            {"group_type": "o", "group_value": "w", "group_properties": {"$set": {str(n): 1 for n in range(25)}}},
                        ]
                    ),
                }
            },
        ),
        status=413,
        body={"code": 413, "error": "Payload too large"},
    ),
    Row(call=("POST", "/groupidentify", {"data": {"api_key": "other"}}), status=400, body="invalid_api_key"),
    Row(call=("POST", "/usermap", {"data": {"api_key": "other"}}), status=400, body="invalid_api_key"),
    Row(
        call=("POST", "/usermap", {"data": {"api_key": "sandbox", "mapping": "nope"}}),
        status=400,
        body="invalid_mapping: user_id is required",
    ),
    Row(
        call=("POST", "/usermap", {"data": {"api_key": "sandbox", "mapping": '{"user_id":"a"}'}}),
        status=400,
        body="invalid_mapping: global_user_id or unmap is required",
    ),
    Row(
        call=("POST", "/usermap", {"data": {"api_key": "sandbox", "mapping": json.dumps([{"user_id": "a", "unmap": True}] * 2001)}}),
        status=413,
        body={"code": 413, "error": "Payload too large"},
    ),
    Row(
        call=("POST", "/usermap", {"data": {"api_key": "sandbox", "mapping": json.dumps([{"user_id": "a", "unmap": True}] * 1501)}}),
        status=429,
        body="Too many mappings",
        strict=True,
    ),
    Row(call=("POST", "/attribution", {"data": {"api_key": "other"}}), status=400, body="invalid_api_key"),
    Row(call=("POST", "/attribution", {"data": {"api_key": "sandbox", "event": "{}"}}), status=400, body="missing_event"),
]
QUERIES = [
    # https://amplitude.com/docs/apis/analytics/dashboard-rest and .../export
    Row(call=get("/api/2/users", **DAY), status=401, body=envelope(401, "Missing or malformed Authorization header"), door="none"),
    Row(
        call=("GET", "/api/2/users", {"params": DAY, "auth": ("other", "sandbox")}),
        status=403,
        body=envelope(403, "Invalid API Key"),
    ),
    Row(
        call=("GET", "/api/2/export", {"params": HOUR, "auth": ("sandbox", "other")}),
        status=403,
        body=envelope(403, "Invalid API/Secret Key combination"),
    ),
    Row(call=get("/api/2/users"), status=400, body=envelope(400, "Missing required parameter: start")),
    Row(call=get("/api/2/users", start="20260502", end="20260501"), status=400, body=envelope(400, "start is after end")),
    Row(call=get("/api/2/realtime", i="1"), status=400, body=envelope(400, "Invalid value for i: 1 (known here: 5)")),
    Row(call=get("/api/2/useractivity", user="ada"), status=400, body=envelope(400, "user must be an Amplitude ID"), strict=True),
    Row(call=get("/api/3/chart/none/csv"), status=404, body=envelope(404, "Chart not found")),
    Row(
        call=get("/api/2/users", **DAY),
        status=429,
        body=envelope(429, "Too Many Requests: Exceeded rate limit with query of cost 1"),
        before=(get("/api/2/users", **DAY),),
        limits=Limits(cost_per_hour=1),
    ),
    Row(
        call=get("/api/2/usersearch", user="ada"),
        status=429,
        body=envelope(429, "Too Many Requests: Exceeded rate limit with query of cost 1"),
        before=(get("/api/2/usersearch", user="ada"),),
        limits=Limits(lookups_per_hour=1),
    ),
    Row(
        call=get("/api/2/useractivity", user="1"),
        status=429,
        body=envelope(429, "Too Many Requests: Exceeded concurrent limit with query of cost 1"),
        limits=Limits(lookups_in_flight=0),
    ),
    Row(
        call=get("/api/2/export", **HOUR),
        status=429,
        body=envelope(429, "Too Many Requests: Exceeded concurrent limit with query of cost 1"),
        limits=Limits(queries_in_flight=0),
    ),
    Row(call=get("/api/2/export", **HOUR), status=404, body=envelope(404, "Raw data files were not found.")),
    Row(
        call=get("/api/2/export", start="20250501T12", end="20260501T12"),
        status=400,
        body=envelope(400, "The range exceeds 365 days"),
    ),
    Row(
        call=get("/api/2/export", **HOUR),
        status=400,
        body=envelope(400, "The export exceeds 600 bytes"),
        before=(upload(ADA),),
        limits=Limits(export_bytes=600),
    ),
    # https://amplitude.com/docs/apis/analytics/event-streaming-metrics-summary
    Row(
        call=get("/api/2/event-streaming/delivery-metrics-summary", sync_id="other", time_period="ONE_DAY"),
        status=403,
        body=envelope(403, "This sync belongs to another project"),
    ),
    Row(
        call=get(
            "/api/2/event-streaming/delivery-metrics-summary",
            sync_id="1",
            time_period="CUSTOM",
            start="2025-01-01T00:00+00:00",
            end="2025-01-02T00:00+00:00",
        ),
        status=500,
        body=envelope(500, "Internal Server Error"),
    ),
    Row(
        call=get("/api/2/event-streaming/delivery-metrics-summary", sync_id="1", time_period="ONE_DAY"),
        status=429,
        body=envelope(429, "Too Many Requests: 12 requests per minute"),
        before=(get("/api/2/event-streaming/delivery-metrics-summary", sync_id="1", time_period="ONE_DAY"),) * 12,
        strict=True,
    ),
]
USERS = [
    # https://amplitude.com/docs/apis/analytics/behavioral-cohorts
    Row(call=get("/api/5/cohorts/request/none"), status=404, body=envelope(404, "Cohort not found")),
    Row(call=get("/api/5/cohorts/request-status/none"), status=404, body=envelope(404, "Request not found")),
    Row(call=get("/api/5/cohorts/request/none/file"), status=404, body=envelope(404, "Request not found")),
    Row(
        call=get("/api/5/cohorts/request/none"),
        status=429,
        body=envelope(429, "Too Many Requests: Exceeded rate limit with query of cost 1"),
        limits=Limits(cohort_requests_per_minute=0),
    ),
    Row(
        call=post("/api/3/cohorts/upload", {**COHORT, "ids": ["user-x1"], "skip_invalid_ids": False}),
        status=400,
        body=cohort(400, "Some ids are invalid", invalid_ids=["user-x1"]),
    ),
    Row(
        call=post("/api/3/cohorts/upload", {**COHORT, "ids": ["1"] * 100_001}),
        status=400,
        body=cohort(400, "At most 100000 ids are allowed in one request"),
    ),
    Row(call=post("/api/3/cohorts/upload", {**COHORT, "ids": "1"}), status=400, body=cohort(400, "ids must be a list of ids")),
    Row(
        call=post("/api/3/cohorts/membership", {"cohort_id": "none", "memberships": [MEMBERS]}),
        status=404,
        body={"error": {"message": "Cohort not found", "code": 1404}},
    ),
    # https://amplitude.com/docs/apis/analytics/user-profile
    Row(call=get("/v1/userprofile", user_id="a"), status=401, body="Missing Api-Key in Authorization header", door="none"),
    Row(
        call=("GET", "/v1/userprofile", {"params": {"user_id": "a"}, "headers": {"authorization": "Api-Key other"}}),
        status=401,
        body="Invalid Api-Key",
        door="none",
    ),
    Row(
        call=get("/v1/userprofile", user_id="nobody"),
        status=400,
        body={"error": "User id and device id not seen before"},
        door="secret",
    ),
    Row(
        call=get("/v1/userprofile", user_id="nobody"),
        status=429,
        body={"error": "Number of requests per minute exceeds system limit. Contact Support if you need this limit raised"},
        door="secret",
        limits=Limits(profiles_per_minute=0),
    ),
    # https://amplitude.com/docs/apis/analytics/user-privacy
    Row(call=post("/api/2/deletions/users", {}), status=400, body={"error": "At least one of amplitude_ids and user_ids is required"}),
    Row(call=post("/api/2/deletions/users", {"user_ids": ["nobody"]}), status=400, body={"error": "Invalid amplitude/user ids: 1"}),
    Row(
        call=post("/api/2/deletions/users", {"user_ids": ["x"] * 101}),
        status=400,
        body={"error": "At most 100 ids are allowed in one request"},
    ),
    Row(
        call=post("/api/2/deletions/users", {"user_ids": ["nobody"], "ignore_invalid_id": "True"}),
        status=200,
        body="Nothing scheduled due to invalid amplitude/user ids for app 612345",
    ),
    Row(
        call=get("/api/2/deletions/users", start_day="2026-01-01", end_day="2026-07-02"),
        status=400,
        body={"error": "The range exceeds six months"},
    ),
    Row(
        call=("DELETE", "/api/2/deletions/users/1/2026-05-14", {}),
        status=400,
        body={"error": "No such user in a job that can be cancelled"},
    ),
    Row(
        call=get("/api/2/deletions/users", start_day="2026-01-01", end_day="2026-01-02"),
        status=429,
        body={"error": "Too Many Requests: one request per second"},
        before=(get("/api/2/deletions/users", start_day="2026-01-01", end_day="2026-01-02"),),
        strict=True,
    ),
    # https://amplitude.com/docs/apis/analytics/ccpa-dsar
    Row(
        call=post("/api/2/dsar/requests", {"startDate": "2026-01-01", "endDate": "2026-01-02"}),
        status=400,
        body={"error": "Exactly one of userId and amplitudeId is required"},
        door="organisation",
    ),
    Row(
        call=post("/api/2/dsar/requests", {"userId": "a", "startDate": "2026-01-02", "endDate": "2026-01-01"}),
        status=400,
        body={"error": "endDate is before startDate"},
        door="organisation",
    ),
    Row(call=get("/api/2/dsar/requests/7"), status=404, body={"error": "Request not found"}, door="organisation"),
    Row(call=get("/api/2/dsar/requests/7/outputs/0"), status=404, body={"error": "Output not found"}, door="organisation"),
    Row(
        call=get("/api/2/dsar/requests/7"),
        status=401,
        body={"error": "Missing or malformed Authorization header"},
        door="none",
    ),
    Row(
        call=get("/api/2/dsar/requests/7"),
        status=429,
        body={"error": "Too Many Requests: the budget of this hour is used up"},
        door="organisation",
        fault=spent("dsar", 14_400),
        strict=True,
    ),
]
PLANS = [
    # https://amplitude.com/docs/apis/analytics/taxonomy
    *(
        Row(call=get(f"/api/2/taxonomy/{kind}/none"), status=status, body=plan("Not found"))
        for kind, status in (
            ("category", 400),
            ("event", 400),
            ("event-property", 400),
            ("user-property", 404),
            ("group-property", 400),
        )
    ),
    Row(
        call=("PUT", "/api/2/taxonomy/category/41290", {"data": {"category_name": "x"}}),
        status=409,
        body=plan('Attempted to operate on entity event_category, id "41290", that does not exist.'),
    ),
    Row(
        call=("POST", "/api/2/taxonomy/event-property", {"data": {"event_property": "coupon", "event_type": "order"}}),
        status=409,
        body=plan('Attempted to add an event property, "coupon" for event "order", that already exists.'),
        before=(
            ("POST", "/api/2/taxonomy/event", {"data": {"event_type": "order"}}),
            ("POST", "/api/2/taxonomy/event-property", {"data": {"event_property": "coupon", "event_type": "order"}}),
        ),
    ),
    Row(
        call=("PUT", "/api/2/taxonomy/event-property/coupon", {"data": {"description": "x"}}),
        status=409,
        body=plan(
            'Attempted to change the event property description for property "coupon" for event "", but the property is not in schema.'
        ),
    ),
    Row(
        call=get("/api/2/taxonomy/event"),
        status=429,
        body=plan("Too Many Requests: Exceeded limit with request of cost 1"),
        fault=spent("taxonomy", 7200),
        strict=True,
    ),
    # https://amplitude.com/docs/apis/analytics/chart-annotations
    Row(call=get("/api/3/annotations/7"), status=404, body=envelope(404, "Annotation not found")),
    Row(call=get("/api/3/annotations/x"), status=400, body=envelope(400, "Invalid annotation ID")),
    Row(
        call=get("/api/3/annotations", category="a", chart_id="b"),
        status=409,
        body=envelope(409, "category and chart_id filters cannot be combined"),
    ),
    Row(
        call=post("/api/3/annotation-categories", {"category": "a"}),
        status=409,
        body=envelope(409, "Category already exists"),
        before=(post("/api/3/annotation-categories", {"category": "a"}),),
    ),
    Row(
        call=post("/api/3/annotations", {"label": "l", "start": "2026-02-01T07:00Z", "category": "none"}),
        status=404,
        body=envelope(404, "Category not found"),
    ),
    # https://amplitude.com/docs/apis/analytics/releases
    Row(call=post("/api/2/release", {"title": "t"}), status=400, body=envelope(400, "Missing or invalid parameter: version")),
    # https://amplitude.com/docs/apis/analytics/lookup-table-2
    Row(call=made(), status=409, body=table(409, "ALREADY_EXISTS", "Table sku_meta already exists"), before=(made(),)),
    Row(call=get("/api/3/lookup_table/none"), status=400, body=table(400, "DOES_NOT_EXIST", "Table none does not exist")),
    Row(call=made(name=(None, "a/b")), status=400, body=table(400, "INVALID_TABLE_NAME", "Invalid table name: a/b")),
    Row(call=made(key=(None, "no")), status=400, body=table(400, "INVALID_KEY_COLUMN", "There is no column no")),
    Row(
        call=made(file=csv("sku\r\na\r\na\r\n")),
        status=400,
        body=table(400, "KEY_COLUMN_DUPLICATE_VALUES", "The key column sku has a value twice"),
    ),
    Row(
        call=made(file=csv("sku,b\r\na," + "x" * 1025)),
        status=400,
        body=table(400, "INVALID_VALUE_COLUMN", "A value is longer than 1,024 characters"),
    ),
    Row(
        call=made(file=csv("sku,sku\r\n")),
        status=400,
        body=table(400, "INVALID_COLUMN_HEADERS", "Every column needs a name of its own"),
    ),
    Row(
        call=made(file=csv("sku,b\r\na\r\n")),
        status=400,
        body=table(400, "MALFORMED_CSV", "A row has another number of cells than there are columns"),
    ),
    Row(
        call=made(file=csv("x", "x.png", "image/png")),
        status=400,
        body=table(400, "INVALID_FILE_TYPE", "The file is no CSV: image/png"),
    ),
    Row(call=made(second=csv("sku\r\n")), status=400, body=table(400, "INVALID_FILE_COUNT", "Only one file is allowed", count=2)),
    Row(
        call=made(),
        status=400,
        body=table(400, "INVALID_KEY_PROPERTY", "Property sku does not exist"),
        strict=True,
    ),
    Row(call=made(property=(None, "[]")), status=400, body=table(400, "INVALID_INPUT", "property must be a JSON object")),
    Row(
        call=get("/api/3/lookup_table"),
        status=401,
        body=table(401, "UNAUTHORIZED", "Missing or malformed Authorization header"),
        door="none",
    ),
]
ORGANISATIONS = [
    # https://amplitude.com/docs/apis/analytics/scim; the bodies are those of https://datatracker.ietf.org/doc/html/rfc7644
    Row(call=get("/scim/1/Users"), status=401, body=scim(401, "Missing or malformed Authorization header"), door="none"),
    Row(call=get("/scim/1/Users/a@example.org"), status=404, body=scim(404, "User a@example.org not found"), door="scim"),
    Row(call=get("/scim/1/Groups/7"), status=404, body=scim(404, "Group 7 not found"), door="scim"),
    Row(
        call=post("/scim/1/Users", {"userName": "a@example.org"}),
        status=409,
        body=scim(409, "User a@example.org already exists or has a pending invite", "uniqueness"),
        door="scim",
        before=(post("/scim/1/Users", {"userName": "a@example.org"}),),
    ),
    Row(
        call=post("/scim/1/Users", {"userName": "nobody"}),
        status=400,
        body=scim(400, "userName must be a valid email", "invalidValue"),
        door="scim",
    ),
    Row(
        call=get("/scim/1/Users"),
        status=429,
        body=scim(429, "Too Many Requests: more than 100 in a minute"),
        door="scim",
        before=(get("/scim/1/Users"),) * 100,
        strict=True,
    ),
    # https://amplitude.com/docs/apis/analytics/audit-logs
    Row(
        call=post("/api/2/audit-logs/1", {"start_date": "2026-01-01T00:00Z", "end_date": "2026-03-01T00:00Z"}),
        status=400,
        body=envelope(400, "The range exceeds 30 days"),
        door="organisation",
    ),
    # https://amplitude.com/docs/apis/session-replay
    Row(call=get("/api/1/session-replays/files", replay_id="a/1"), status=404, body={"error": "No data for replay_id"}),
    Row(call=get("/api/1/session-replays"), status=401, body={"error": "Missing or malformed Authorization header"}, door="none"),
    Row(
        call=get("/api/1/session-replays", page_token="WzUsICJhc2MiXQ==", sort_order="desc"),
        status=400,
        body={"error": "sort_order must stay the same over all pages"},
    ),
]
EXPERIMENT = [
    # https://amplitude.com/docs/apis/experiment/experiment-evaluation-api
    Row(call=get("/v1/vardata", user_id="a"), status=401, body={"error": {"message": "Invalid deployment key"}}, door="none"),
    Row(
        call=get("/v1/vardata"),
        status=400,
        body={"error": {"message": "user_id and device_id are both missing"}},
        door="deployment",
    ),
    Row(
        call=get("/v1/vardata", user_id="a", context="{"),
        status=400,
        body={"error": {"message": "context must be a JSON object"}},
        door="deployment",
    ),
    # https://amplitude.com/docs/apis/experiment/experiment-management-api
    Row(call=get("/api/1/flags/7"), status=404, body={"error": {"message": "There is no such flag"}}, door="management"),
    Row(
        call=get("/api/1/flags"),
        status=401,
        body={"error": {"message": "Missing or malformed Authorization header"}},
        door="none",
    ),
    Row(
        call=post("/api/1/flags", {"projectId": "1", "key": "k"}),
        status=403,
        body={"error": {"message": "The key has no access to this project"}},
        door="management",
        strict=True,
    ),
    Row(
        call=post("/api/1/mutexes", {"projectId": "1", "name": "m", "slots": SLOTS}),
        status=400,
        body={"error": {"message": "The percentages of the slots add up to 50, not 100"}},
        door="management",
    ),
    Row(
        call=get("/api/1/flags"),
        status=429,
        body={"error": {"message": "Too many requests"}},
        door="management",
        before=(get("/api/1/flags"),) * 100,
        strict=True,
    ),
]
ROWS = [*INGESTION, *QUERIES, *USERS, *PLANS, *ORGANISATIONS, *EXPERIMENT]


@pytest.fixture(scope="module")
def usual() -> Iterator[Sandbox]:
    """Run a sandbox without limits, for the rows that leave no trace in it."""
    with Sandbox(clock=Clock()) as running:
        yield running


def credential(box: Sandbox, door: Door) -> dict[str, Any]:
    keys = box.credentials
    found: dict[Door, dict[str, Any]] = {
        "none": {},
        "project": {"auth": (keys["api_key"], keys["secret_key"])},
        "organisation": {"auth": (keys["org_api_key"], keys["org_secret_key"])},
        "secret": {"headers": {"authorization": f"Api-Key {keys['secret_key']}"}},
        "deployment": {"headers": {"authorization": f"Api-Key {keys['deployment_key']}"}},
        "management": {"headers": {"authorization": f"Bearer {keys['management_key']}"}},
        "scim": {"headers": {"authorization": f"Bearer {keys['scim_token']}"}},
    }
    return found[door]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.call[0]} {row.call[1]} {row.status}")
def test_an_error_has_its_body(usual: Sandbox, row: Row) -> None:
    """The status and the whole body are the documented ones."""
    with ExitStack() as stack:
        box = usual
        if row.limits or row.strict or row.before:
            box = stack.enter_context(Sandbox(clock=Clock(), limits=row.limits, strict=row.strict))
        http = stack.enter_context(httpx.Client(base_url=box.url, trust_env=False, **credential(box, row.door)))
        stack.callback(box.faults.clear)
        row.fault(box)
        for method, path, request in row.before:
            assert http.request(method, path, **request).status_code < 300
        method, path, request = row.call
        answer = http.request(method, path, **request)
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        assert (answer.status_code, answer.json() if is_json else answer.text) == (row.status, row.body)
