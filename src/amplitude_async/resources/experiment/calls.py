"""The management calls of Amplitude Experiment, as data: what goes out, what may be repeated, how answers are read.

Most writes answer the bare text ``OK``, creations an id, edits anything: the page does not say. Lists come a page at a time; the
samples have ``nextCursor`` beside the list, within it, or not at all, and all three are read.

Amplitude's page: https://amplitude.com/docs/apis/experiment/experiment-management-api
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.call import Call, path_of, read_members
from amplitude_async._protocol.codec import MalformedError, decode
from amplitude_async.errors import InvalidArgumentError
from amplitude_async.options import UNSET
from amplitude_async.resources.paging import Page
from amplitude_async.resources.parameters import (
    json_body,
    query_pairs,
    refused,
    required_text,
    spelled,
    whole_number,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from amplitude_async.resources.paging import Cursor

__all__ = [
    "ALL",
    "MAX_PAGE",
    "MAX_REMOVED",
    "Step",
    "addition",
    "bulk_removal",
    "change",
    "created",
    "get",
    "list_of",
    "one",
    "page",
    "read_acknowledgement",
    "read_anything",
    "removal",
]

PREFIX: Final = "/api/1"
MAX_PAGE: Final = 1000
"""Items of one page (https://amplitude.com/docs/apis/experiment/experiment-management-api-flags)."""
MAX_REMOVED: Final = 100
"""Inclusions that one request may remove."""
_USES: Final = (Use("management"),)


# Reading answers


def read_acknowledgement(body: bytes) -> str:
    """Read the answer to a write: the text ``OK``, quoted or not; other text or JSON is given as its text.

    Raises:
        MalformedError: It is empty, a page, or no text.
    """
    text = _text(body)
    if not text:
        message = "it is empty where 'OK' was expected"
        raise MalformedError(message)
    return text[1:-1] if text == '"OK"' else text


def read_anything(body: bytes) -> Any:  # noqa: ANN401 - the page says nothing of it
    """Read the answer to an edit, of which only the status is documented: JSON as its value, text as text.

    Raises:
        MalformedError: It is a page, or no text.
    """
    text = _text(body)
    try:
        return decode(text.encode())
    except MalformedError:
        return text


def _text(body: bytes) -> str:
    try:
        text = body.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        text = "<"
    if text.startswith("<"):
        message = "it is a page, or no text at all"
        raise MalformedError(message)
    return text


_ITEMS: Final[Mapping[str, Any]] = {"users": (str, int), "cohorts": (str, int)}
"""What the items of a list are, where they are no objects."""
_OF_ONE: Final = ("id", "key", "version", "flagConfig")
"""Of flags, experiments, groups, variants and versions, each has at least one of these."""


def _read_one(body: bytes) -> dict[str, Any]:
    return read_members(body, *_OF_ONE)


def _reader(name: str, cursor: Cursor | None) -> Callable[[bytes], Page[dict[str, Any]]]:
    """Return what reads a page of a list of that name, which began at that cursor."""

    def read(body: bytes) -> Page[dict[str, Any]]:
        answer = decode(body)
        after = None
        if isinstance(answer, dict):
            after, answer = answer.get("nextCursor"), answer.get(name)
        if not isinstance(answer, list):
            message = f"no list of {name} in it"
            raise MalformedError(message)
        items = []
        for item in answer:
            # As the sample of the list of experiments has it.
            if isinstance(item, dict) and set(item) == {"nextCursor"}:
                after = item["nextCursor"]
            elif isinstance(item, _ITEMS.get(name, dict)):
                items.append(item)
            else:
                message = f"an item of its {name} is a JSON {type(item).__name__}"
                raise MalformedError(message)
        is_more = isinstance(after, (str, int)) and bool(after) and bool(items)
        if is_more and str(after) == str(cursor):
            message = "its nextCursor is the cursor that was asked for"
            raise MalformedError(message)
        return Page(items, after if is_more else None)

    return read


def _read_list(name: str) -> Callable[[bytes], list[Any]]:
    """Return what reads a list that has no pages."""
    reader = _reader(name, None)

    return lambda body: reader(body).items


# Requests


def _management(
    method: str,
    path: str,
    reads: Callable[[bytes], Any],
    *,
    repeatable: bool,
    query: tuple[tuple[str, str], ...] = (),
    body: object = UNSET,
) -> Call:
    return Call(
        api="management",
        kind="query",
        method=method,
        path=path,
        credential="management",
        reads=reads,
        repeatable=repeatable,
        query=query,
        body=None if body is UNSET else json_body(body),
        uses=_USES,
    )


_ARGUMENTS: Final = {
    "flags": "flag_id",
    "experiments": "experiment_id",
    "versions": "version",
    "variants": "variant_key",
    "users": "index",
    "deployments": "deployment_id",
    "mutexes": "mutex_id",
    "slots": "slot_index",
    "holdouts": "holdout_id",
}
"""What callers call the id that comes after each name in a path."""
_LEAST: Final = {"users": 0, "slots": 1}
"""Where lists are counted from that are addressed by index."""

Step = tuple[str, object]
"""A name in a path, and the id that comes after it; :data:`ALL`: none does."""
ALL: Final = None


def _path(steps: Sequence[Step]) -> str:
    path = PREFIX
    for name, value in steps:
        path += f"/{name}"
        if value is ALL:
            continue
        argument = _ARGUMENTS[name]
        if name in _LEAST:
            text = str(whole_number(value, argument=argument, least=_LEAST[name]))
        else:
            text = required_text(value, argument=argument, what="one, as text or number")
        path += path_of("/{}", text)
    return path


def one(name: str, value: object) -> Step:
    """Return the step to one thing.

    Raises:
        InvalidArgumentError: Its id is missing.
    """
    if value is None:
        raise refused(argument=_ARGUMENTS[name], reason="is blank; give one, as text or number")
    return (name, value)


def page(name: str, cursor: Cursor | None, *, limit: int | None = None, **filters: object) -> Call:
    """Describe a page of a list.

    Args:
        name: What is listed: ``flags``, ``experiments``, ``deployments``, ``versions``, ``mutexes``, ``holdouts``.
        cursor: Where the page begins; ``None``: at the beginning.
        limit: How many items it has at most.
        **filters: Further parameters.
    """
    if limit is not None:
        limit = whole_number(limit, argument="limit", least=1, most=MAX_PAGE)
    query = query_pairs("management", {**filters, "limit": limit, "cursor": cursor})
    return _management("GET", f"{PREFIX}/{name}", _reader(name, cursor), repeatable=True, query=query)


def get(*steps: Step) -> Call:
    """Describe a question for one thing."""
    return _management("GET", _path(steps), _read_one, repeatable=True)


def list_of(*steps: Step) -> Call:
    """Describe a question for a list that has no pages; the last step names it."""
    return _management("GET", _path(steps), _read_list(steps[-1][0]), repeatable=True)


def created(*steps: Step, fields: Mapping[str, object], required: Sequence[str], answers_id: bool = True) -> Call:
    """Describe a creation; not repeated when its outcome is unknown: the second would be refused for its key, or make another.

    Args:
        *steps: Where.
        fields: What is given, by our names; ``None`` and ``UNSET`` are left out.
        required: Which of them must be there.
        answers_id: Whether the answer is an id, not ``OK``.
    """
    for name in required:
        required_text(fields.get(name), argument=name, what="a value; Amplitude demands it")
    body = _fields(fields)
    return _management("POST", _path(steps), _read_one if answers_id else read_acknowledgement, repeatable=False, body=body)


def change(*steps: Step, fields: Mapping[str, object], answers_ok: bool = False) -> Call:
    """Describe an edit. What it names is replaced, so it may be repeated.

    Args:
        *steps: Of what.
        fields: What is given, by our names; ``None`` and ``UNSET`` are left out, but for those that may be taken away.
        answers_ok: Whether the answer is documented as ``OK``.
    """
    body = _fields(fields)
    if not body:
        message = "nothing was given to change"
        raise InvalidArgumentError(message)
    return _management("PATCH", _path(steps), read_acknowledgement if answers_ok else read_anything, repeatable=True, body=body)


def removal(*steps: Step) -> Call:
    """Describe a removal. By index it is not repeated when its outcome is unknown: the second one would hit whoever moved up."""
    is_by_index = steps[-1][0] == "users" and steps[-1][1] is not None
    return _management("DELETE", _path(steps), read_acknowledgement, repeatable=not is_by_index)


def bulk_removal(*steps: Step, ids: list[str]) -> Call:
    """Describe the removal of some inclusions: a DELETE with a body, in which cohorts too are called ``users``."""
    return _management("DELETE", _path(steps), read_acknowledgement, repeatable=True, body={"users": ids})


def addition(*steps: Step, name: str, ids: Sequence[str | int]) -> Call:
    """Describe an addition to a list: of users, cohorts, deployments.

    It is not repeated when its outcome is unknown: the page does not say whether what is there already is taken once more.
    """
    return _management("POST", _path(steps), read_acknowledgement, repeatable=False, body={name: [*ids]})


_NULLABLE: Final = frozenset({"end_date", "exposure_event", "rolled_out_variant", "payload"})
"""Where Amplitude reads null as "take it away"."""


def _fields(fields: Mapping[str, object]) -> dict[str, object]:
    kept = {name: value for name, value in fields.items() if value is not UNSET and (value is not None or name in _NULLABLE)}
    return spelled("management", kept)
