"""Describes the requests about cohorts, and reads their answers; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, get_args

from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.call import Call, path_of, read_json_object, read_members, read_nothing
from amplitude_async._protocol.codec import MalformedError
from amplitude_async._protocol.masking import mask
from amplitude_async.errors import JobError
from amplitude_async.resources.cohorts.shapes import IdType, MemberIdType, Operation
from amplitude_async.resources.parameters import (
    given,
    id_list,
    json_body,
    one_of,
    query_pairs,
    refused,
    repeated,
    required_text,
    truth,
    whole_number,
)

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = [
    "cohort_row",
    "file_call",
    "is_done",
    "list_call",
    "membership_call",
    "request_call",
    "request_of",
    "status_call",
    "upload_call",
    "usage_call",
]

MAX_IDS: Final = 100_000
"""In one upload, and in one change of members over all its operations."""
_REST: Final = (Use("rest"),)
_REQUEST: Final = (Use("rest"), Use("cohort_requests"))


def _read_list(body: bytes) -> dict[str, Any]:
    answer = read_json_object(body)
    cohorts = answer.get("cohorts")
    if not isinstance(cohorts, list) or not all(isinstance(cohort, dict) for cohort in cohorts):
        message = "it has no cohorts"
        raise MalformedError(message)
    return answer


def _read_request(body: bytes) -> dict[str, Any]:
    answer = read_json_object(body)
    found = answer.get("request_id", answer.get("requestId"))
    if not isinstance(found, (str, int)) or isinstance(found, bool) or found == "":
        message = "it has no request_id"
        raise MalformedError(message)
    answer["request_id"] = str(found)
    return answer


def _read_status(body: bytes) -> dict[str, Any]:
    answer = read_json_object(body)
    if not isinstance(answer.get("async_status"), str):
        message = "it has no async_status"
        raise MalformedError(message)
    return answer


def _read_upload(body: bytes) -> dict[str, Any]:
    """Read the answer to an upload; older pages spell its id ``cohort_id``, newer ones ``cohortId``."""
    answer = read_members(body, "cohort_id", "cohortId", "metadata")
    if "cohort_id" not in answer and "cohortId" in answer:
        answer["cohort_id"] = answer["cohortId"]
    return answer


def _read_membership(body: bytes) -> dict[str, Any]:
    answer = read_json_object(body)
    if not isinstance(answer.get("memberships_result"), list):
        message = "it has no memberships_result"
        raise MalformedError(message)
    return answer


def _read_usage(body: bytes) -> dict[str, Any]:
    """Read the quota; what is described as ``{"limit", "count"}`` elsewhere is brought under ``rest_download``."""
    answer = read_json_object(body)
    quota = answer.get("rest_download")
    if not isinstance(quota, dict):
        if "limit" not in answer:
            message = "it has no rest_download"
            raise MalformedError(message)
        quota = {"limit": answer["limit"]}
        answer["rest_download"] = quota
        for name in ("usage", "count"):
            if name in answer:
                quota["usage"] = answer[name]
        if "resets_at" in answer:
            quota["resets_at"] = answer["resets_at"]
    elif "usage" not in quota and "count" in quota:
        quota["usage"] = quota["count"]
    return answer


def _read(path: str, reads: Callable[[bytes], Any], query: tuple[tuple[str, str], ...] = (), uses: tuple[Use, ...] = _REST) -> Call:
    return Call("dashboard", "query", "GET", path, "project", reads, repeatable=True, query=query, uses=uses)


def list_call(parameters: Mapping[str, object]) -> Call:
    """Describe the list of cohorts."""
    return _read("/api/3/cohorts", _read_list, query_pairs("cohorts", parameters))


def request_call(cohort_id: object, props: object, prop_keys: object, fields: Mapping[str, object]) -> Call:
    """Describe a request for a download. Repeatable: at worst it is counted twice, of 500 a month."""
    cohort = required_text(cohort_id, argument="cohort_id", what="a cohort's id (cohorts.list gives it)")
    props = truth(props, argument="props")
    keys = None if prop_keys is None else id_list(prop_keys, argument="prop_keys")
    if keys is not None and props is not None and not props:
        raise refused(argument="prop_keys", reason="names properties, but props=False leaves them all out")
    wants = ("props", "1" if props or keys else "0")
    query = ((wants,) if props is not None or keys else ()) + repeated("propKeys", keys) + query_pairs("cohorts", fields)
    return _read(path_of("/api/5/cohorts/request/{}", cohort), _read_request, query, _REQUEST)


def status_call(request_id: object) -> Call:
    """Describe a look at a request."""
    return _read(path_of("/api/5/cohorts/request-status/{}", request_of(request_id)), _read_status)


def file_call(request_id: object) -> Call:
    """Describe the download of a file: the rows, or a redirect to a signed link, which is followed without credentials."""
    path = path_of("/api/5/cohorts/request/{}/file", request_of(request_id))
    return Call("dashboard", "stream", "GET", path, "project", read_nothing, repeatable=True, uses=_REST, follows_link=True)


def request_of(request_id: object) -> str:
    """Return the id of a request, refused when it is blank."""
    return required_text(request_id, argument="request_id", what="the request_id that cohorts.request gave")


def usage_call() -> Call:
    """Describe the question for the month's quota."""
    return _read("/api/3/cohorts/usage", _read_usage)


def _write(path: str, reads: Callable[[bytes], Any], body: Mapping[str, object], *, repeatable: bool) -> Call:
    return Call("dashboard", "query", "POST", path, "project", reads, repeatable=repeatable, body=json_body(body), uses=_REST)


def upload_call(name: object, ids: object, fields: Mapping[str, object]) -> Call:
    """Describe an upload.

    Repeatable where it replaces a cohort, or saves nothing: otherwise a lost answer, and a second try, would make a second cohort.
    """
    body = {
        "name": required_text(name, argument="name", what="the cohort's name"),
        "app_id": whole_number(fields.get("app_id"), argument="app_id", least=1),
        "id_type": one_of(fields.get("id_type"), get_args(IdType), argument="id_type"),
        "ids": id_list(ids, argument="ids", most=MAX_IDS),
        "owner": required_text(fields.get("owner"), argument="owner", what="the owner's login e-mail"),
        "published": fields.get("published"),
    }
    for flag in ("published", "skip_save", "skip_invalid_ids"):
        if truth(fields.get(flag), argument=flag) is None and flag == "published":
            raise refused(argument=flag, reason="must be True or False")
    replaces = fields.get("existing_cohort_id")
    if replaces is not None:
        required_text(replaces, argument="existing_cohort_id", what="the id of the cohort to replace")
    repeatable = replaces is not None or fields.get("skip_save") is True
    return _write("/api/3/cohorts/upload", _read_upload, {**given(fields), **body}, repeatable=repeatable)


def membership_call(cohort_id: object, memberships: object, fields: Mapping[str, object]) -> Call:
    """Describe a change of members. Repeatable: who is in is in, and who is out is out."""
    several = [memberships] if isinstance(memberships, Mapping) else memberships
    if not isinstance(several, Iterable) or isinstance(several, (str, bytes, bytearray)):
        raise refused(argument="memberships", reason="must be a list of operations such as {'ids': [...], 'id_type': 'BY_NAME', ...}")
    checked = [_operation(each, f"memberships[{index}]") for index, each in enumerate(several)]
    if not checked:
        raise refused(argument="memberships", reason="is empty; give at least one operation")
    total = sum(len(each["ids"]) for each in checked)
    if total > MAX_IDS:
        raise refused(argument="memberships", reason=f"holds {total:,} ids; Amplitude takes {MAX_IDS:,} in one request")
    body = {
        "cohort_id": required_text(cohort_id, argument="cohort_id", what="a cohort's id"),
        **given(fields),
        "memberships": checked,
    }
    return _write("/api/3/cohorts/membership", _read_membership, body, repeatable=True)


def _operation(value: object, argument: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise refused(argument=argument, reason="must be a mapping such as {'ids': [...], 'id_type': 'BY_NAME', 'operation': 'ADD'}")
    ids = id_list(value.get("ids"), argument=f"{argument}.ids", most=MAX_IDS)
    id_type = one_of(value.get("id_type"), get_args(MemberIdType), argument=f"{argument}.id_type")
    operation = one_of(value.get("operation"), get_args(Operation), argument=f"{argument}.operation")
    return {**value, "ids": ids, "id_type": id_type, "operation": operation}


def is_done(status: Mapping[str, Any], request_id: str) -> bool:
    """Say whether a job is done; what is neither running nor done has failed, though no such state is documented.

    Raises:
        JobError: It has failed.
    """
    words = mask(str(status["async_status"]), limit=60)
    state = words.upper().replace(" ", "").replace("_", "")
    if "COMPLETED" in state:
        return True
    if "INPROGRESS" in state:
        return False
    message = f"The cohort's download has failed: request {request_id!r:.60} stands at {words!r}"
    raise JobError(message, job_id=request_id, reason=words, outcome="rejected")


def cohort_row(header: list[str]) -> Callable[[list[str]], dict[str, Any]]:
    """Make members of the cells of a file.

    Ids may come in quotes of their own, which are taken off. An ``amplitude_id`` becomes the number that it is elsewhere; a
    ``user_id`` that is empty becomes ``None``.
    """
    names = list(header)
    amplitude_id = names.index("amplitude_id") if "amplitude_id" in names else -1
    user_id = names.index("user_id") if "user_id" in names else -1

    def row(cells: list[str]) -> dict[str, Any]:
        made: dict[str, Any] = dict(zip(names, cells, strict=True))
        if amplitude_id >= 0:
            text = _bare(cells[amplitude_id])
            made["amplitude_id"] = int(text) if text.isascii() and text.isdigit() and len(text) < LONGEST_ID else text
        if user_id >= 0:
            made["user_id"] = _bare(cells[user_id]) or None
        return made

    return row


LONGEST_ID: Final = 20
"""Digits that no Amplitude id has: they are 64-bit numbers."""


def _bare(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
