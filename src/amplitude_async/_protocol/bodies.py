"""What a request carries, rendered at the moment of sending: the API key is written in then, so that no body object holds one."""

from __future__ import annotations

import zlib
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from amplitude_async._protocol.codec import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Body", "Content", "Form", "Multipart", "Part", "Upload", "json_content", "query_text"]

GZIP_LEVEL: Final = 1
"""The quickest: events shrink to a tenth even so, and 900 kB cost the event loop a few milliseconds."""
GZIP_WINDOW: Final = 31
"""The largest window, with gzip's own header."""
SAMPLE_BYTES: Final = 4096
_RARE: Final = str.maketrans("0123456789abcdef", "GHJKLMNPQRUVWXYZ")
"""What is written in letters that are rare in a text is looked for in it twenty times as quickly."""


class Upload(NamedTuple):
    """A JSON body of events: ``{"api_key": ..., "events": [...], "options": ...}``; packed with gzip if asked for."""

    events: Sequence[bytes]
    options: bytes | None = None
    is_compressed: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """What the body is."""
        described = {"Content-Type": "application/json"}
        if self.is_compressed:
            described["Content-Encoding"] = "gzip"
        return described

    def render(self, api_key: str) -> bytes:
        """Return the bytes that go on the wire."""
        head = b'{"api_key":' + encode(api_key) + b',"events":['
        tail = b"]}" if self.options is None else b'],"options":' + self.options + b"}"
        if len(self.events) > 1:
            # Joined once: a further copy of a whole request costs as much again.
            first, *middle, last = self.events
            plain = b",".join((head + first, *middle, last + tail))
        else:
            plain = head + b"".join(self.events) + tail
        if not self.is_compressed:
            return plain
        packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WINDOW)
        return packer.compress(plain) + packer.flush()


class Form(NamedTuple):
    """A form body: fields that are text, after the API key where the API wants it there."""

    fields: tuple[tuple[str, str], ...]
    has_key: bool = True

    @property
    def headers(self) -> dict[str, str]:
        """What the body is."""
        return {"Content-Type": "application/x-www-form-urlencoded"}

    def render(self, api_key: str) -> bytes:
        """Return the bytes that go on the wire."""
        key = (("api_key", api_key),) if self.has_key else ()
        return query_text((*key, *self.fields)).encode()


class Content(NamedTuple):
    """A body that is ready as it is: JSON, XML."""

    content: bytes
    content_type: str = "application/json"

    @property
    def headers(self) -> dict[str, str]:
        """What the body is."""
        return {"Content-Type": self.content_type}

    def render(self, _api_key: str) -> bytes:
        """Return the bytes that go on the wire."""
        return self.content


class Part(NamedTuple):
    """One part of a multipart body.

    Attributes:
        name: The field's name.
        content: Its bytes.
        content_type: What they are; ``""`` for plain text.
        filename: The file's name; ``""`` if it is no file.
    """

    name: str
    content: bytes
    content_type: str = ""
    filename: str = ""


class Multipart(NamedTuple):
    """A multipart/form-data body. Its boundary is one that is in none of its contents, whoever wrote them."""

    parts: tuple[Part, ...]

    @property
    def boundary(self) -> str:
        """What separates the parts; the same each time it is asked for."""
        digest = sha256()
        for part in self.parts:
            # Not the whole: a table may have 100 MB, and looking for what is not there is ten times as quick.
            digest.update(part.content[:SAMPLE_BYTES] + part.content[-SAMPLE_BYTES:])
        while True:
            boundary = f"amplitude-async-{digest.hexdigest()[:40].translate(_RARE)}"
            mark = boundary.encode()
            if not any(mark in part.content for part in self.parts):
                return boundary
            digest.update(mark)

    @property
    def headers(self) -> dict[str, str]:
        """What the body is."""
        return {"Content-Type": f"multipart/form-data; boundary={self.boundary}"}

    def render(self, _api_key: str) -> bytes:
        """Return the bytes that go on the wire."""
        line = f"--{self.boundary}"
        pieces: list[bytes] = []
        for part in self.parts:
            head = f'{line}\r\nContent-Disposition: form-data; name="{_quoted(part.name)}"'
            if part.filename:
                head += f'; filename="{_quoted(part.filename)}"'
            if part.content_type:
                head += f"\r\nContent-Type: {part.content_type}"
            pieces += [head.encode(), b"\r\n\r\n", part.content, b"\r\n"]
        return b"".join((*pieces, f"{line}--\r\n".encode()))


Body = Upload | Form | Content | Multipart


def _quoted(name: str) -> str:
    # As browsers do it: these three could end the quotes or the line.
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def json_content(value: object) -> Content:
    """Return a JSON body.

    Raises:
        UnencodableError: A value has no JSON form; says where.
    """
    return Content(encode(value))


def query_text(pairs: tuple[tuple[str, str], ...]) -> str:
    """Percent-encode pairs so that nothing in them can change the structure of a query or form."""
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
