"""Bodies: whatever is put in comes out at the other end."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplitude_async._protocol.bodies import Content, Form, Multipart, Part, json_content

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def parts_of(body: Multipart) -> list[tuple[str, str, bytes]]:
    head = f"Content-Type: {body.headers['Content-Type']}\r\n\r\n".encode()
    found = BytesParser(policy=HTTP).parsebytes(head + body.render("key"))
    parts: list[Any] = [part for part in found.walk() if not part.is_multipart()]
    return [
        (part.get_param("name", header="content-disposition"), part.get_content_type(), part.get_payload(decode=True))
        for part in parts
    ]


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_parts_come_back_as_they_were(contents: list[bytes]) -> None:
    """Whatever bytes the parts hold, line ends and dashes among them, each comes back whole."""
    body = Multipart(tuple(Part(f"p{index}", content, "application/octet-stream", "x.bin") for index, content in enumerate(contents)))
    boundary = f"--{body.boundary}".encode()
    pieces = body.render("key").split(boundary)[1:-1]
    assert [piece.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for piece in pieces] == contents


def test_a_boundary_cannot_be_foreseen_from_within() -> None:
    """Contents that hold one body's boundary get another."""
    first = Multipart((Part("file", b"a"),))
    second = Multipart((Part("file", f"\r\n--{first.boundary}\r\n".encode()),))
    assert second.boundary.encode() not in second.parts[0].content
    assert parts_of(second) == [("file", "text/plain", second.parts[0].content)]


def test_a_boundary_is_none_of_what_is_in_the_middle() -> None:
    """Whoever knows how a boundary is made cannot put it where only the ends are looked at."""
    ends = b"x" * 10_000
    content = ends + ends
    for _ in range(5):
        foreseen = Multipart((Part("file", content),)).boundary.encode()
        content = ends + foreseen + content[10_000:]
        body = Multipart((Part("file", content),))
        assert body.boundary == body.boundary
        assert body.boundary.encode() not in content
        assert body.render("").count(body.boundary.encode()) == 2


def test_a_name_cannot_end_its_quotes_or_its_line() -> None:
    """Quotes and line ends in names are written as browsers write them."""
    body = Multipart((Part('a"b\r\nX: y', b"1", "text/csv", 'c"\n.csv'),)).render("key")
    assert b'name="a%22b%0D%0AX: y"; filename="c%22%0A.csv"\r\nContent-Type: text/csv\r\n\r\n1\r\n' in body


@given(st.lists(st.tuples(TEXT, TEXT), max_size=5), st.booleans())
def test_a_form_parses_back(fields: list[tuple[str, str]], has_key: bool) -> None:  # noqa: FBT001 - a case
    """Forms parse back to their fields, the key first where the API wants it."""
    sent = Form(tuple(fields), has_key=has_key).render("the key")
    expected = ([("api_key", "the key")] if has_key else []) + fields
    assert parse_qsl(sent.decode(), keep_blank_values=True) == expected


@pytest.mark.parametrize(
    ("body", "kind"), [(json_content({"a": 1}), "application/json"), (Content(b"<x/>", "application/xml"), "application/xml")]
)
def test_content_goes_as_it_is(body: Content, kind: str) -> None:
    """What is ready is not touched, and never gets a key."""
    assert body.headers == {"Content-Type": kind}
    assert body.render("key") == body.content
