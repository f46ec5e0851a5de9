"""What answers mean, as tables."""

from __future__ import annotations

from typing import Any

import pytest

from amplitude_async import (
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    PayloadTooLargeError,
    RateLimitedError,
    RedirectError,
    RequestTimeoutError,
    ResponseError,
    ServerError,
    TransportError,
    UnexpectedResponseError,
)
from amplitude_async._protocol.call import Call, read_confirmation, read_json_object
from amplitude_async._protocol.verdict import Failure, Reply, Verdict, copied, finished, judge, retry_after, sift
from amplitude_async.errors import RequestSummary


def bad_request(data: Any) -> BadRequestError:
    return BadRequestError("no", status=400, data=data)


@pytest.mark.parametrize(
    ("error", "count", "refused", "rest"),
    [
        (bad_request({"events_with_invalid_fields": {"time": [1]}}), 3, {1}, "resend"),
        (bad_request({"events_with_missing_fields": {"user_id": [0], "event_type": [2]}}), 3, {0, 2}, "resend"),
        (bad_request({"events_missing_required_fields": {"user_id": [0]}}), 2, {0}, "resend"),
        (bad_request({"events_with_invalid_id_lengths": {"user_id": [1]}, "silenced_events": [2]}), 3, {1, 2}, "resend"),
        (bad_request({"silenced_events": [9]}), 3, set(), "halve"),
        (bad_request({"silenced_events": ["1", True, -1, None]}), 3, set(), "halve"),
        (bad_request({"missing_field": "api_key"}), 3, set(), "stop"),
        (bad_request({}), 3, set(), "halve"),
        (bad_request("<html>"), 3, set(), "halve"),
        (bad_request({"events_with_invalid_fields": {"time": [0]}}), 1, set(), "stop"),
        (PayloadTooLargeError("no", status=413), 2, set(), "halve"),
        (PayloadTooLargeError("no", status=413), 1, set(), "stop"),
        (ServerError("no", status=500), 9, set(), "stop"),
    ],
)
def test_which_events_of_a_refused_upload_are_at_fault(error: Any, count: int, refused: set[int], rest: str) -> None:
    """Named events are refused and the rest goes again; what is not explained is halved; a single event is its own culprit."""
    sifted = sift(error, count)
    assert (set(sifted.refused), sifted.rest) == (refused, rest)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        ("0", 0.0),
        ("601", 600.0),
        ("999999999999999999999", 600.0),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
    ],
)
def test_retry_after_in_every_form(text: str, seconds: float | None) -> None:
    """Seconds and dates are read, capped at ten minutes; nonsense is no hint."""
    assert retry_after({"retry-after": text}, now=10.0) == seconds


def call(*, repeatable: bool, final: frozenset[int] = frozenset()) -> Call:
    return Call("ingestion", "query", "GET", "/x", "none", read_json_object, repeatable, final=final, insert_ids=("id-1",))


GOOD = b'{"code":200}'
NO = b'{"error":"no"}'


@pytest.mark.parametrize(
    ("status", "body", "kind", "outcome", "once", "repeatable"),
    [
        (199, NO, ResponseError, "rejected", False, False),
        (200, NO, None, "rejected", False, False),
        (299, GOOD, None, "rejected", False, False),
        (200, b"", UnexpectedResponseError, "unknown", False, True),
        (299, b"<html>", UnexpectedResponseError, "unknown", False, True),
        (300, NO, RedirectError, "rejected", False, False),
        (399, NO, RedirectError, "rejected", False, False),
        (400, NO, BadRequestError, "rejected", False, False),
        (400, b'{"error":"Invalid API key: x"}', AuthenticationError, "rejected", False, False),
        (400, b'{"error":"invalid api/secret"}', AuthenticationError, "rejected", False, False),
        (401, NO, AuthenticationError, "rejected", False, False),
        (402, b'{"error":"Invalid API key"}', ResponseError, "rejected", False, False),
        (403, NO, AuthenticationError, "rejected", False, False),
        (404, NO, NotFoundError, "rejected", False, False),
        (407, NO, ResponseError, "rejected", False, False),
        (408, NO, ResponseError, "unknown", False, True),
        (409, NO, ResponseError, "rejected", False, False),
        (413, NO, PayloadTooLargeError, "rejected", False, False),
        (424, NO, ResponseError, "rejected", False, False),
        (425, NO, ResponseError, "unknown", False, True),
        (426, NO, ResponseError, "rejected", False, False),
        (428, NO, ResponseError, "rejected", False, False),
        (429, NO, RateLimitedError, "not_sent", True, True),
        (430, NO, ResponseError, "rejected", False, False),
        (499, NO, ResponseError, "rejected", False, False),
        (500, NO, ServerError, "unknown", False, True),
        (502, NO, ServerError, "unknown", False, True),
        (503, NO, ServerError, "not_sent", True, True),
        (504, NO, ServerError, "unknown", False, True),
        (599, NO, ServerError, "unknown", False, True),
    ],
)
def test_what_an_answer_means(
    status: int, body: bytes, kind: type[Exception] | None, outcome: str, once: bool, repeatable: bool
) -> None:
    """Each status has one error, one outcome, and one rule for a call that must not, and one for a call that may be repeated."""
    for may_be_repeated, may_retry in ((False, once), (True, repeatable)):
        verdict = judge(call(repeatable=may_be_repeated), Reply(status, {}, body), now=0.0, secrets=tuple)
        assert type(verdict.error) is (kind or type(None))
        assert (verdict.outcome, verdict.may_retry) == (outcome, may_retry)
        # What a call says is final stays final, whatever the rule.
        if status >= 300:
            final = call(repeatable=may_be_repeated, final=frozenset({status}))
            assert not judge(final, Reply(status, {}, body), now=0.0, secrets=tuple).may_retry
        # An answer to a silent repeat speaks for the repeat alone.
        if verdict.error is not None:
            again = judge(call(repeatable=may_be_repeated), Reply(status, {}, body, was_sent_before=True), now=0.0, secrets=tuple)
            assert again.outcome == "unknown"


@pytest.mark.parametrize(
    ("kind", "is_sent", "error", "outcome", "once", "repeatable"),
    [
        ("timeout", True, RequestTimeoutError, "unknown", False, True),
        ("timeout", False, RequestTimeoutError, "not_sent", True, True),
        ("connect", False, TransportError, "not_sent", True, True),
        ("broken", True, TransportError, "unknown", False, True),
        ("broken", False, TransportError, "not_sent", True, True),
        ("refused", False, TransportError, "not_sent", False, False),
        ("refused", True, TransportError, "unknown", False, False),
    ],
)
def test_what_the_lack_of_an_answer_means(
    kind: Any, is_sent: bool, error: type[Exception], outcome: str, once: bool, repeatable: bool
) -> None:
    """What may have left is repeated only where that does no harm; TLS that says no is not asked again."""
    for may_be_repeated, may_retry in ((False, once), (True, repeatable)):
        verdict = judge(call(repeatable=may_be_repeated), Failure(kind, is_sent, "a reason"), now=0.0, secrets=tuple)
        assert type(verdict.error) is error
        assert (verdict.outcome, verdict.may_retry) == (outcome, may_retry)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error":"no"}', "no"),
        (b'{"message":"no"}', "no"),
        (b'{"detail":"no"}', "no"),
        (b'{"errors":[{"message":"one"},"two",{"other":1},3]}', "one; two"),
        (b'{"error":{"message":"no","metadata":{"details":"because"}}}', "no: because"),
        (b'{"error":{"message":"no","metadata":{"details":1}}}', "no"),
        (b'{"error":{"message":"no"}}', "no"),
        (b'{"error":"no","missing_field":"api_key"}', "no (api_key)"),
        (b"plain words", "plain words"),
        (b'"a text"', "a text"),
        (b"[1]", ""),
        (b'{"error":5}', ""),
        (b"{}", ""),
        (b"", ""),
    ],
)
def test_the_words_of_a_refusal_are_found_in_every_envelope(body: bytes, words: str) -> None:
    """Each API wraps its words in its own way; what has none is told by its status alone."""
    error = judge(call(repeatable=True), Reply(409, {}, body), now=0.0, secrets=tuple).error
    assert str(error) == "Request failed with status code 409" + (f": {words}" if words else "")


def test_a_two_hundred_that_says_no_is_final() -> None:
    """Amplitude's own no is never sent again, and nothing arrived, unless an earlier, silent attempt may have."""
    asked = call(repeatable=True)._replace(reads=read_confirmation)
    for was_sent_before, outcome in ((False, "rejected"), (True, "unknown")):
        reply = Reply(200, {}, b'{"success":false,"error":"no"}', was_sent_before=was_sent_before)
        verdict = judge(asked, reply, now=0.0, secrets=tuple)
        assert (type(verdict.error), verdict.outcome, verdict.may_retry) == (ResponseError, outcome, False)


REQUEST = RequestSummary("POST", "https://api2.amplitude.com", "/2/httpapi", 2)


@pytest.mark.parametrize(
    ("outcomes", "outcome"),
    [
        (["rejected"], "rejected"),
        (["not_sent", "rejected"], "rejected"),
        (["unknown", "rejected"], "unknown"),
        (["not_sent", "not_sent"], "not_sent"),
        (["unknown", "not_sent"], "unknown"),
    ],
)
def test_one_unknown_attempt_makes_the_call_unknown(outcomes: list[Any], outcome: str) -> None:
    """The error is the last attempt's, with the facts of the whole call."""
    verdicts = [Verdict(error=ServerError(str(number), status=500), outcome=each) for number, each in enumerate(outcomes)]
    error = finished(verdicts, call(repeatable=True), REQUEST)
    assert error is verdicts[-1].error
    assert (error.outcome, error.insert_ids, error.request) == (outcome, ("id-1",), REQUEST)


def test_a_copied_error_is_about_other_events_and_else_the_same() -> None:
    """One answer may be about many callers' events; each gets an error of its own, with the whole answer."""
    for original in (
        ServerError("no", status=500, data={"a": 1}, headers={"x": "y"}),
        UnexpectedResponseError("no", status=200, data="<html>"),
        TransportError("no", detail="why"),
    ):
        same = copied(original, ["id-2"], "unknown")
        assert same is not original
        assert type(same) is type(original)
        assert (str(same), same.insert_ids, same.outcome) == (str(original), ("id-2",), "unknown")
        assert original.insert_ids == ()
        for name in ("status", "data", "headers", "detail"):
            assert getattr(same, name, None) == getattr(original, name, None)
