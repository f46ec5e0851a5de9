"""Text fit to be shown, whatever a server wrote."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_async._protocol.masking import mask, secret_forms

KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40)


@given(st.text(max_size=400), KEYS, st.text(max_size=400))
@settings(max_examples=500)
def test_a_key_anywhere_in_a_text_is_gone(before: str, key: str, after: str) -> None:
    """No text around a key, and no place in it, lets the key through (S4)."""
    plain = f"{before}{key}{after}"
    if key in plain.replace(key, "********"):
        return
    assert key not in mask(plain, secret_forms([key]))


@given(st.text(max_size=2000))
@settings(max_examples=500)
def test_what_is_shown_is_one_short_line(text: str) -> None:
    """Any text comes out in at most 200 characters, without control characters (S4)."""
    shown = mask(text)
    assert len(shown) <= 200
    assert not any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in shown)


def test_a_key_across_the_cut_is_masked_before_the_cut() -> None:
    """Cutting a long text never leaves the first half of a key."""
    shown = mask("x" * 190 + "canary-secret-key", secret_forms(["canary-secret-key"]))
    assert "canary" not in shown


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
