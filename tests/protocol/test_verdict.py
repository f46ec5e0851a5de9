"""What answers mean, as tables."""

from __future__ import annotations

from typing import Any

import pytest

from amplitude_async import BadRequestError, PayloadTooLargeError, ServerError
from amplitude_async._protocol.dates import check_order, dashboard_date, export_hour
from amplitude_async._protocol.masking import mask, secret_forms
from amplitude_async._protocol.verdict import retry_after, sift
from amplitude_async.errors import InvalidArgumentError


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


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Invalid API key: 0123456789abcdef", "Invalid API key: ********"),
        ("mail ada@example.org now", "mail ***@*** now"),
        ("see https://s3.example/file?signature=abc here", "see https://s3.example/file?... here"),
        ("a\r\nb\x00c", "a b c"),
        ("x" * 500, "x" * 199 + "…"),
        ("Authorization: Basic abcdef", "Authorization: Basic ********"),
    ],
)
def test_text_fit_to_be_shown(value: str, expected: str) -> None:
    """Keys, addresses, signatures and control characters go; the rest is cut at 200 characters (S4)."""
    assert mask(value) == expected


def test_every_spelling_of_a_key_is_masked() -> None:
    """A key is masked plain, percent-encoded and in base64, alone and in a pair."""
    keys = ["canary key/1", "other+2"]
    for form in secret_forms(keys):
        assert form not in mask(f"the answer was {form}!", secret_forms(keys))


@pytest.mark.parametrize(
    "value", ["yesterday", "2026-01-01", "20261301", "20260230", "", "20260101T24", None, 1.5, True, "2026010", "２０２６０１０１"]
)
def test_nonsense_bounds_are_refused(value: object) -> None:
    """What is no date is refused with the argument's name, for dashboards and exports."""
    for read in (dashboard_date, export_hour):
        with pytest.raises(InvalidArgumentError, match="start"):
            read(value, argument="start")


def test_order_of_bounds() -> None:
    """A start after its end is refused; equal ones are a range of one."""
    check_order("20260101", "20260101T00")
    check_order("20260101T05", "20260101T05")
    for start, end in (("20260102", "20260101"), ("20260101T06", "20260101T05")):
        with pytest.raises(InvalidArgumentError):
            check_order(start, end)
