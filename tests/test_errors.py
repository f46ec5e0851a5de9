"""The tree of errors: drawn as it is, picklable, and telling outcome and ids."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import pytest

from amplitude_async import errors
from amplitude_async.errors import AmplitudeError, RequestSummary
from amplitude_async.resources.privacy import DeletionIds, DeletionReport

SUMMARY = RequestSummary("POST", "https://api2.amplitude.com", "/2/httpapi", 3)
KINDS = sorted(
    (kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AmplitudeError)),
    key=lambda kind: kind.__name__,
)


def make(kind: type[AmplitudeError]) -> AmplitudeError:
    """Build an error of any kind with every fact it takes."""
    facts: dict[str, Any] = {}
    if issubclass(kind, errors.InvalidEventError):
        return kind("is wrong", path="events[3].a", argument="events")
    if issubclass(kind, errors.InvalidArgumentError):
        return kind("is wrong", argument="start")
    if issubclass(kind, errors.OutboxLocked):
        return kind("it failed", path="events.db")
    if issubclass(kind, errors.OutboxStorageError):
        return kind("it failed", path="events.db", detail="disk full")
    if issubclass(kind, (errors.ResponseError, errors.UnexpectedResponseError)):
        facts |= {"status": 418, "data": {"echo": "canary"}}
    if issubclass(kind, errors.ResponseError):
        facts["headers"] = {"x-echo": "canary"}
    if issubclass(kind, errors.TransportError):
        facts["detail"] = "ReadError: gone"
    if issubclass(kind, errors.PartialDeliveryError):
        inner = errors.BadRequestError("no", status=400, data="canary", outcome="rejected")
        facts |= {"delivered": [0, 2], "failed": {1: inner}}
    if issubclass(kind, errors.PartialDeletionError):
        facts |= {"report": DeletionReport(unsent=DeletionIds(("ada",))), "error": errors.ServerError("no", status=500)}
    if issubclass(kind, errors.JobError):
        facts |= {"job_id": 7, "reason": "too much"}
    return kind("it failed", outcome="unknown", insert_ids=["a", "b"], request=SUMMARY, **facts)


def drawn() -> dict[str, str]:
    """Read the tree in the module's docstring as child to parent."""
    tree: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"( +)(\w+Error|Outbox\w+)\b", line)
        if match is None:
            continue
        depth = len(match[1])
        while stack and stack[-1][0] >= depth:
            stack.pop()
        if stack:
            tree[match[2]] = stack[-1][1]
        stack.append((depth, match[2]))
    return tree


def test_the_drawing_is_the_tree() -> None:
    """The docstring draws every class under the parent that it really has."""
    real = {kind.__name__: kind.__bases__[0].__name__ for kind in KINDS if kind is not AmplitudeError}
    assert drawn() == real


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.ConfigurationError, ValueError),
        (errors.InvalidArgumentError, ValueError),
        (errors.InvalidEventError, ValueError),
        (errors.RequestTimeoutError, TimeoutError),
        (errors.OutboxClosed, errors.ClosedError),
    ],
)
def test_some_are_builtin_errors_too(kind: type[AmplitudeError], builtin: type[Exception]) -> None:
    """Code that catches the builtin error catches ours."""
    with pytest.raises(builtin):
        raise make(kind)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_survives_a_pickle(kind: type[AmplitudeError]) -> None:
    """Type, message and facts come back; the server's answer does not travel (S3)."""
    error = make(kind)
    data = pickle.dumps(error)
    back = pickle.loads(data)
    assert type(back) is kind
    assert str(back) == str(error)
    assert b"canary" not in data
    for name in ("outcome", "insert_ids", "request", "path", "argument", "detail", "status", "delivered"):
        assert getattr(back, name, None) == getattr(error, name, None)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_can_be_copied(kind: type[AmplitudeError]) -> None:
    """A shallow and a deep copy say the same as the error itself."""
    error = make(kind)
    for same in (copy.copy(error), copy.deepcopy(error)):
        assert type(same) is kind
        assert (str(same), same.outcome, same.insert_ids, same.request) == (
            str(error),
            error.outcome,
            error.insert_ids,
            error.request,
        )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_text_form_holds_the_answer(kind: type[AmplitudeError]) -> None:
    """The unmasked answer is an attribute and in no str or repr (S3)."""
    error = make(kind)
    assert "canary" not in f"{error} {error!r} {error.args}"


def test_a_summary_is_frozen() -> None:
    """What was asked of whom cannot be changed afterwards."""
    with pytest.raises(AttributeError):
        SUMMARY.attempts = 9  # type: ignore[misc]  # the point of the test


def test_ids_and_positions_are_taken_over() -> None:
    """Lists that are changed later leave the error as it was."""
    ids, delivered = ["a"], [0]
    error = errors.PartialDeliveryError("x", delivered=delivered, failed={}, insert_ids=ids)
    ids.append("b")
    delivered.append(1)
    assert (error.insert_ids, error.delivered) == (("a",), (0,))
