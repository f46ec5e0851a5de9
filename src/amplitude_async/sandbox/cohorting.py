"""The sandbox's cohorts as state: who is in which, what was asked for, what is in a file. Everything runs in the store's thread.

Page: https://amplitude.com/docs/apis/analytics/behavioral-cohorts. What it leaves open: an id is known if the sandbox has seen an
event of it; of groups other than users every name is; users who were merged since are one member, those who were deleted none.
"""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from amplitude_async.sandbox.auditing import note
from amplitude_async.sandbox.conditions import spelled
from amplitude_async.sandbox.rules import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from amplitude_async.sandbox.documents import Document
    from amplitude_async.sandbox.people import User
    from amplitude_async.sandbox.store import Store

__all__ = ["ask", "change", "containing", "file_of", "listed", "look_at", "members_file", "upload", "usage"]

USERS: Final = "User"
SAMPLE: Final = 10
"""How many invalid ids an answer names."""
REQUEST_SECONDS: Final = 7 * 86_400.0
_COHORTS: Final = "cohorts"
_REQUESTS: Final = "cohort_requests"
_USAGE: Final = "cohort_usage"
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"

Member = int | str


def _name(number: int, length: int) -> str:
    """Return an id that looks like one of Amplitude's; the same for the same number, another for another."""
    space = len(_DIGITS) ** length
    left = (number * 337_897 + length * 12_345_678_923) % space
    text = ""
    for _ in range(length):
        left, digit = divmod(left, len(_DIGITS))
        text += _DIGITS[digit]
    return text


def _found(store: Store, text: str, *, is_name: bool, group: str) -> Member | None:
    """Return the member that an id stands for, ``None`` if nobody is known by it."""
    if group != USERS:
        return text
    if is_name:
        user: User | None = store.people.named(text)
    else:
        is_number = text.isascii() and text.isdigit() and len(text) < 19  # noqa: PLR2004 - beyond it no 64-bit number
        user = store.people.get(int(text)) if is_number else None
    return None if user is None else user.amplitude_id


def _split(store: Store, ids: Iterable[str], *, is_name: bool, group: str) -> tuple[list[Member], list[str]]:
    """Return who is known, each once, and the ids of which nobody is."""
    known: dict[Member, None] = {}
    unknown: list[str] = []
    for text in ids:
        member = _found(store, text, is_name=is_name, group=group)
        if member is None:
            unknown.append(text)
        else:
            known[member] = None
    store.people.forget()
    return list(known), unknown


def _members(document: Document, canonical: Mapping[int, int]) -> list[Member]:
    """Return who is in a cohort, or was when it was asked for, as they are now: merged users once, deleted ones not."""
    if document["group"] != USERS:
        return list(document["members"])
    return list(dict.fromkeys(canonical[member] for member in document["members"] if member in canonical))


def listed(store: Store, project_id: int, *, with_syncs: bool) -> list[Document]:
    """Return every cohort that can be discovered, the oldest first."""
    canonical = store.people.canonical()
    found = [each for each in store.documents.all(_COHORTS) if each["published"]]
    return [_shown(each, len(_members(each, canonical)), project_id, with_syncs=with_syncs) for each in found]


def _shown(cohort: Document, size: int, project_id: int, *, with_syncs: bool) -> Document:
    return {
        "appId": project_id,
        "archived": False,
        "definition": {
            "version": 3,
            "countGroup": {"name": cohort["group"], "is_computed": False},
            "cohortType": "UNIQUES",
            "andClauses": [],
            "referenceFrameTimeParams": {},
        },
        "description": "",
        "finished": True,
        "id": cohort["id"],
        "name": cohort["name"],
        "owners": [cohort["owner"]],
        "viewers": [],
        "published": True,
        "size": size,
        "type": "redshift",
        "lastMod": cohort["modified"],
        "createdAt": cohort["created"],
        "lastComputed": cohort["modified"],
        "hidden": False,
        "metadata": None,
        "view_count": None,
        "popularity": None,
        "last_viewed": None,
        "chart_id": None,
        "edit_id": None,
        "is_predictive": False,
        "is_official_content": False,
        "location_id": None,
        "shortcut_ids": [],
        **({"syncMetadata": []} if with_syncs else {}),
    }


def _refused(status: int, message: str, **metadata: object) -> RefusedError:
    error = {"http_code": status, "type": "invalid_request", "message": message, "metadata": metadata}
    return RefusedError(status, {"error": error})


def upload(store: Store, now: float, body: Mapping[str, Any]) -> Document:
    """Make or replace a cohort; the body was checked for its shape.

    Raises:
        RefusedError: An id is not known and that was not allowed, or the cohort to replace is not.
    """
    group = body.get("cg") or USERS
    known, unknown = _split(store, body["ids"], is_name=body["id_type"] == "BY_USER_ID", group=group)
    if unknown and body.get("skip_invalid_ids") is False:
        raise _refused(400, "Some ids are invalid", invalid_ids=unknown)
    counts = {"matched": len(known), "totals": len(body["ids"]), "invalid_ids_sample": unknown[:SAMPLE]}
    if body.get("skip_save") is True:
        return {"metadata": counts}
    replaced = body.get("existing_cohort_id")
    before = None if replaced is None else store.documents.get(_COHORTS, replaced)
    if replaced is not None and before is None:
        raise _refused(404, "Cohort not found")
    cohort_id = _name(store.documents.next_number(_COHORTS), 7) if before is None else before["id"]
    cohort = {
        "id": cohort_id,
        "name": body["name"],
        "owner": body["owner"],
        "published": body["published"],
        "group": group,
        "members": known,
        "created": int(now) if before is None else before["created"],
        "modified": int(now),
    }
    store.documents.put(_COHORTS, cohort_id, cohort)
    note(store, now, domain="cohort", feature="upload", action="create" if before is None else "replace", target=cohort_id)
    return {"cohortId": cohort_id, "metadata": counts}


def change(store: Store, now: float, body: Mapping[str, Any]) -> Document:
    """Add members and take others out, in the order of the operations; the body was checked for its shape.

    Raises:
        RefusedError: The cohort is not known or is of another group, or an id is not known and that was not allowed.
    """
    cohort = store.documents.get(_COHORTS, body["cohort_id"])
    if cohort is None:
        raise _membership_refused(404, "Cohort not found")
    if (body.get("count_group") or USERS) != cohort["group"]:
        raise _membership_refused(400, f"The count group of the cohort is {cohort['group']}")
    members: dict[Member, None] = dict.fromkeys(_members(cohort, store.people.canonical()))
    results: list[Document] = []
    for operation in body["memberships"]:
        known, unknown = _split(store, operation["ids"], is_name=operation["id_type"] == "BY_NAME", group=cohort["group"])
        for member in known:
            if operation["operation"] == "ADD":
                members[member] = None
            else:
                members.pop(member, None)
        results.append({"skipped_ids": unknown, "id_type": operation["id_type"], "operation": operation["operation"]})
    if body.get("skip_invalid_ids") is False and any(each["skipped_ids"] for each in results):
        raise _membership_refused(400, "Some ids are invalid", cohort_id=cohort["id"], memberships_result=results)
    store.documents.put(_COHORTS, cohort["id"], {**cohort, "members": list(members), "modified": int(now)})
    note(store, now, domain="cohort", feature="membership", action="change", target=cohort["id"])
    return {"cohort_id": cohort["id"], "memberships_result": results}


def _membership_refused(status: int, message: str, **metadata: object) -> RefusedError:
    """Build an error as the older pages describe it for this call; newer ones describe that of uploads."""
    error: Document = {"message": message, "code": 1000 + status}
    return RefusedError(status, {"error": {**error, "metadata": metadata} if metadata else error})


def _month(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m")


def usage(store: Store, now: float) -> Document:
    """Return how many downloads were asked for this month, and when the next one begins."""
    counted = store.documents.get(_USAGE, _month(now)) or {"count": 0}
    this = datetime.fromtimestamp(now, UTC)
    midnight = this.replace(hour=0, minute=0, second=0, microsecond=0)
    following = midnight.replace(year=this.year + this.month // 12, month=this.month % 12 + 1, day=1)
    return {"usage": counted["count"], "resets_at": following.isoformat().replace("+00:00", "Z")}


def ask(store: Store, now: float, cohort_id: str, *, props: bool, keys: Sequence[str]) -> Document | None:
    """Remember that a download was asked for, with the members as they are now; ``None`` if there is no such cohort."""
    cohort = store.documents.get(_COHORTS, cohort_id)
    if cohort is None:
        return None
    request_id = _name(store.documents.next_number(_REQUESTS), 6)
    asked = {
        "request_id": request_id,
        "cohort_id": cohort_id,
        "group": cohort["group"],
        "members": cohort["members"],
        "props": props,
        "keys": list(keys),
        "created": now,
        "looks": 0,
    }
    store.documents.put(_REQUESTS, request_id, asked)
    month = _month(now)
    counted = store.documents.get(_USAGE, month) or {"count": 0}
    store.documents.put(_USAGE, month, {"count": counted["count"] + 1})
    return asked


def look_at(store: Store, now: float, request_id: str) -> Document | None:
    """Return a request, and count that it was looked at; ``None`` if there is none, or none any more."""
    asked = file_of(store, now, request_id)
    if asked is not None:
        store.documents.put(_REQUESTS, request_id, {**asked, "looks": asked["looks"] + 1})
    return asked


def file_of(store: Store, now: float, request_id: str) -> Document | None:
    """Return a request; ``None`` if there is none, or none any more."""
    asked = store.documents.get(_REQUESTS, request_id)
    return None if asked is None or now >= asked["created"] + REQUEST_SECONDS else asked


def members_file(store: Store, asked: Document) -> bytes:
    """Write the members of a request as CSV. User ids have quotes of their own around them, as has been seen."""
    if asked["group"] != USERS:
        return _written(["group"], ([str(member)] for member in asked["members"]))
    found = (store.people.get(int(member)) for member in _members(asked, store.people.canonical()))
    users = [user for user in found if user is not None]
    properties = [_properties(user) if asked["props"] else {} for user in users]
    columns = asked["keys"] or sorted({name for each in properties for name in each})
    rows = (
        [str(user.amplitude_id), f'"{user.user_id}"' if user.user_id is not None else "", *(_text(each.get(name)) for name in columns)]
        for user, each in zip(users, properties, strict=True)
    )
    content = _written(["amplitude_id", "user_id", *(columns if asked["props"] else [])], rows)
    store.people.forget()
    return content


def _properties(user: User) -> dict[str, object]:
    return {**{name: value for name, value in user.built_ins.items() if value is not None}, **user.properties}


def _text(value: object) -> str:
    return "" if value is None else spelled(value)


def _written(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(rows)
    return written.getvalue().encode()


def containing(store: Store, amplitude_id: int) -> list[str]:
    """Return the ids of the cohorts that a user is in."""
    ids = {amplitude_id, *store.people.ids_of(amplitude_id)}
    return [each["id"] for each in store.documents.all(_COHORTS) if each["group"] == USERS and not ids.isdisjoint(each["members"])]
