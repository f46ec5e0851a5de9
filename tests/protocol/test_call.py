"""Requests as data: structure cannot be changed by what they carry."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_async._protocol.bodies import Form, Upload, query_text

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=5))
@settings(max_examples=1000)
def test_a_query_parses_back_equal(pairs: list[tuple[str, str]]) -> None:
    """Ids and names with any characters leave the structure of a query alone (S18)."""
    text = query_text(tuple(pairs))
    assert text.isascii()
    assert not set(text) & set(" #?/\r\n")
    assert parse_qsl(text, keep_blank_values=True) == pairs


@given(TEXT, TEXT)
@settings(max_examples=1000)
def test_a_form_parses_back_equal(api_key: str, value: str) -> None:
    """Form bodies with any characters parse back equal (S19)."""
    listed = json.dumps([{"user_id": value}])
    body = Form((("identification", listed),)).render(api_key).decode("ascii")
    assert parse_qsl(body, keep_blank_values=True) == [("api_key", api_key), ("identification", listed)]


@given(TEXT)
def test_an_upload_is_strict_json(api_key: str) -> None:
    """The envelope holds the key, the events as they were encoded, and the options."""
    body = Upload((b'{"a":1}', b'{"b":2}'), b'{"min_id_length":1}').render(api_key)
    assert json.loads(body) == {"api_key": api_key, "events": [{"a": 1}, {"b": 2}], "options": {"min_id_length": 1}}
