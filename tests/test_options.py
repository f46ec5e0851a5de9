"""What a client is told once: keys, limits and backoff."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_async import Backoff, ConfigurationError, Timeout
from amplitude_async.options import Secret, as_timeout, check_credential, full_jitter, limits_for


@pytest.mark.parametrize("value", [None, "", " ", "\t  "])
def test_a_blank_key_counts_as_absent(value: object) -> None:
    """No text, or only white space, is no key."""
    assert check_credential("api_key", value) is None


@pytest.mark.parametrize("value", [5, b"key", ["key"], True])
def test_a_key_that_is_no_text_is_refused(value: object) -> None:
    """A key of another type is refused by the argument's name."""
    with pytest.raises(ConfigurationError, match="secret_key must be text"):
        check_credential("secret_key", value)


@given(st.text(max_size=20))
@settings(max_examples=500)
def test_only_printable_ascii_becomes_a_key(value: str) -> None:
    """Line breaks, NUL and non-ASCII never get into a key, so never into a header (S17)."""
    try:
        secret = check_credential("api_key", value)
    except ConfigurationError:
        is_fit = value.isascii() and value.isprintable()
        assert not is_fit
        return
    if secret is not None:
        assert secret.reveal() == value
        assert value.isascii()
        assert value.isprintable()


def test_a_secret_shows_itself_to_nobody() -> None:
    """Every text form is the mask, a copy is itself, and it cannot be pickled (S1)."""
    secret = Secret("canary")
    assert {str(secret), repr(secret), f"{secret}", format(secret, "")} == {"********"}
    assert copy.copy(secret) is copy.deepcopy(secret) is secret
    assert not hasattr(secret, "__dict__")
    with pytest.raises(TypeError):
        pickle.dumps(secret)


@pytest.mark.parametrize(
    ("kind", "timeout", "expected"),
    [
        ("ingestion", None, (5, 15, 15, 5, 20, 30, 60, 1 << 20)),
        ("query", None, (5, 60, 15, 5, 90, 120, 60, 64 << 20)),
        ("stream", None, (5, 600, 15, 5, 600, 1800, 60, 64 << 20)),
        ("ingestion", 0.3, (5, 15, 15, 5, 0.3, 30, 0.3, 1 << 20)),
        ("query", 0.3, (5, 60, 15, 5, 0.3, 120, 0.3, 64 << 20)),
        ("ingestion", 45, (5, 45, 45, 5, 45, 45, 45, 1 << 20)),
        ("query", 300, (5, 300, 300, 5, 300, 300, 300, 64 << 20)),
        ("ingestion", Timeout(attempt=45, read=3, write=4), (5, 3, 4, 5, 45, 45, 60, 1 << 20)),
        ("query", Timeout(connect=1, read=2, write=3, pool=4, attempt=5, call=6), (1, 2, 3, 4, 5, 6, 60, 64 << 20)),
        ("stream", Timeout(first_byte=7, between_bytes=8, call=9), (5, 7, 15, 5, 7, 9, 8, 64 << 20)),
    ],
)
def test_the_limits_of_each_kind_of_call(kind: str, timeout: Any, expected: tuple[float, ...]) -> None:
    """Each kind has its own defaults, and what is given takes their place; a longer attempt allows longer silences within it."""
    assert limits_for(kind, as_timeout(timeout)) == expected


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "5", True, [1], (1, 2)], ids=repr)
def test_a_limit_that_makes_no_sense_is_refused(value: Any) -> None:
    """A limit is a positive, finite number of seconds (ground rule: every wait has one)."""
    with pytest.raises(ConfigurationError, match="timeout"):
        as_timeout(value)


@pytest.mark.parametrize("name", Timeout._fields)
@pytest.mark.parametrize("value", [0, -0.1, float("nan"), float("inf"), "5", True], ids=repr)
def test_each_field_of_a_timeout_is_checked(name: str, value: Any) -> None:
    """The refusal names the field."""
    with pytest.raises(ConfigurationError, match=rf"timeout\.{name}"):
        as_timeout(Timeout(**{name: value}))


def test_waits_double_up_to_the_cap() -> None:
    """The limit of each wait is twice the last one's until the cap, and no attempt number is too large."""
    backoff = Backoff(base=0.5, cap=8.0, jitter=lambda limit: limit)
    assert [backoff.delay(attempt) for attempt in (1, 2, 3, 4, 5, 6, 10_000)] == [0.5, 1, 2, 4, 8, 8, 8]


@given(st.floats(0, 100))
def test_jitter_is_full(limit: float) -> None:
    """A wait lies anywhere between nothing and its limit."""
    assert 0 <= full_jitter(limit) <= limit
