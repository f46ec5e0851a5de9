"""A call as data: which API, path, credential, query and body, and how to read the answer.

A Call holds no key. The body is rendered with it at the moment of sending, so that no Call, no traceback and no log can show one.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple
from urllib.parse import quote

from amplitude_async._protocol.codec import MalformedError, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from amplitude_async._protocol.hosts import Api

__all__ = [
    "Call",
    "Credential",
    "Form",
    "Kind",
    "Upload",
    "query_text",
    "read_json_object",
    "read_text_or_json",
    "read_upload_answer",
]

GZIP_LEVEL: Final = 1
"""The quickest: events shrink to a tenth even so, and 900 kB cost the event loop a few milliseconds."""
GZIP_WINDOW: Final = 31
"""The largest window, with gzip's own header."""

Kind = Literal["ingestion", "query", "stream"]
Credential = Literal["in_body", "project"]
"""``in_body``: the project's API key in the body. ``project``: HTTP Basic with API key and secret key."""


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
        options = b"" if self.options is None else b',"options":' + self.options
        plain = b'{"api_key":' + encode(api_key) + b',"events":[' + b",".join(self.events) + b"]" + options + b"}"
        if not self.is_compressed:
            return plain
        packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WINDOW)
        return packer.compress(plain) + packer.flush()


class Form(NamedTuple):
    """A form body: the API key and fields that are JSON text."""

    fields: tuple[tuple[str, str], ...]

    @property
    def headers(self) -> dict[str, str]:
        """What the body is."""
        return {"Content-Type": "application/x-www-form-urlencoded"}

    def render(self, api_key: str) -> bytes:
        """Return the bytes that go on the wire."""
        return query_text((("api_key", api_key), *self.fields)).encode()


class Call(NamedTuple):
    """One request to one API.

    Attributes:
        api: Decides the host.
        kind: Decides the limits.
        method: The HTTP method.
        path: The API's own path.
        credential: Which credential it carries, and how.
        reads: Turns the bytes of a 2xx answer into the result; raises MalformedError.
        repeatable: Whether it may be sent again after an outcome that is unknown.
        query: Decoded names and values, in order.
        body: The body, without its key.
        insert_ids: The ids of the events it carries.
        events: How many events an upload carries, so that an answer that counts others can be told; 0 if it is none.
        final: Statuses after which it is not sent again, although others of their kind would be.
    """

    api: Api
    kind: Kind
    method: str
    path: str
    credential: Credential
    reads: Callable[[bytes], Any]
    repeatable: bool
    query: tuple[tuple[str, str], ...] = ()
    body: Upload | Form | None = None
    insert_ids: tuple[str, ...] = ()
    events: int = 0
    final: frozenset[int] = frozenset()

    def __repr__(self) -> str:
        # Queries and bodies hold users' data: they are in no text form.
        return f"<Call {self.method} {self.path}>"


def query_text(pairs: tuple[tuple[str, str], ...]) -> str:
    """Percent-encode pairs so that nothing in them can change the structure of a query or form."""
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


def read_json_object(body: bytes, *, strict: bool = False) -> dict[str, Any]:
    """Read an answer that must be a JSON object.

    Raises:
        MalformedError: It is not.
    """
    answer = decode(body, strict=strict)
    if not isinstance(answer, dict):
        message = f"a JSON {type(answer).__name__} where an object was expected"
        raise MalformedError(message)
    return answer


def read_upload_answer(body: bytes) -> dict[str, Any]:
    """Read the answer to an upload; a confused one is no confirmation, so this is strict.

    Raises:
        MalformedError: It is not a JSON object, or not one that can be trusted.
    """
    return read_json_object(body, strict=True)


def read_text_or_json(body: bytes) -> Any:  # noqa: ANN401 - this is where JSON enters
    """Read the answer of the identify family: the text ``success``, or a JSON object.

    Raises:
        MalformedError: It is neither.
    """
    text = body.decode("utf-8-sig", "replace").strip()
    if text in {"success", '"success"'}:
        return "success"
    answer = read_json_object(body, strict=True)
    if answer.get("code", 200) != 200:  # noqa: PLR2004 - Amplitude repeats the status here
        message = f"its code is {answer['code']!r:.20}"
        raise MalformedError(message)
    return answer
