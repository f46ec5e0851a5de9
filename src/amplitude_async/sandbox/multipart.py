"""Takes a multipart body apart, without a look at what is in its parts: a table may have 100 MB. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["SentPart", "parts_of"]

_BOUNDARY = re.compile(r'boundary=(?:"([^"]+)"|([^;\s]+))', re.IGNORECASE)
_PARAMETER = re.compile(r';\s*([a-z]+)="([^"]*)"', re.IGNORECASE)


class SentPart(NamedTuple):
    """One part: its name, its file's name (``None`` if it is no file), what it calls itself, its bytes."""

    name: str
    filename: str | None
    content_type: str
    content: bytes


def parts_of(content_type: str, body: bytes) -> list[SentPart] | None:
    """Return the parts of a multipart/form-data body, ``None`` if it is none."""
    match = _BOUNDARY.search(content_type)
    if match is None or not content_type.lower().startswith("multipart/form-data"):
        return None
    line = b"--" + (match[1] or match[2]).encode("latin-1")
    pieces = (b"\r\n" + body).split(b"\r\n" + line)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):  # noqa: PLR2004 - what is before the first line, and its end
        return None
    return [_part(piece) for piece in pieces[1:-1]]


def _part(piece: bytes) -> SentPart:
    head, _, content = piece.partition(b"\r\n\r\n")
    lines = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head.decode("utf-8", "replace").split("\r\n"))
    }
    parameters = dict(_PARAMETER.findall(lines.get("content-disposition", "")))
    return SentPart(parameters.get("name", ""), parameters.get("filename"), lines.get("content-type", "").lower(), content)
