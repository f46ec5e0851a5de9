"""A call as data: which API, path, credential, query and body, and how to read the answer.

A Call holds no key. The body is rendered with it at the moment of sending, so that no Call, no traceback and no log can show one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote

from amplitude_async._protocol.codec import MalformedError, RefusedAnswerError, decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from amplitude_async._protocol.bodies import Body
    from amplitude_async._protocol.budget import Use
    from amplitude_async._protocol.credentials import Credential
    from amplitude_async._protocol.hosts import Api
    from amplitude_async._protocol.links import Link

__all__ = [
    "Call",
    "Kind",
    "path_of",
    "read_confirmation",
    "read_data",
    "read_json",
    "read_json_list",
    "read_json_object",
    "read_members",
    "read_nothing",
    "read_text",
    "read_text_or_json",
    "read_upload_answer",
]

Kind = Literal["ingestion", "query", "stream"]


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
        headers: What goes with it beyond what its kind, credential and body say; nothing secret.
        uses: What it takes of Amplitude's quotas.
        follows_link: Whether a redirect is the download link that was asked for; followed once, without credentials.
        link: Where it goes instead of to its API: such a link.
    """

    api: Api
    kind: Kind
    method: str
    path: str
    credential: Credential
    reads: Callable[[bytes], Any]
    repeatable: bool
    query: tuple[tuple[str, str], ...] = ()
    body: Body | None = None
    insert_ids: tuple[str, ...] = ()
    events: int = 0
    final: frozenset[int] = frozenset()
    headers: tuple[tuple[str, str], ...] = ()
    uses: tuple[Use, ...] = ()
    follows_link: bool = False
    link: Link | None = None

    def __repr__(self) -> str:
        # Queries and bodies hold users' data: they are in no text form.
        return f"<Call {self.method} {self.path}>"

    @property
    def route(self) -> str:
        """The path with its names and ids left open; ``""`` for a link, whose path is somebody else's."""
        if self.link is not None:
            return ""
        return self.path.template if isinstance(self.path, FilledPath) else self.path


class FilledPath(str):
    """A path that knows the template it was made of."""

    __slots__ = ("template",)

    template: str


def path_of(template: str, *segments: str) -> str:
    """Return a path with its ``{}`` filled in, so that nothing in a name or id can change its structure."""
    # A lone "." or ".." would be taken out on the way, and quote() leaves dots alone.
    quoted = (quote(segment, safe="") if segment.strip(".") else segment.replace(".", "%2E") for segment in segments)
    path = FilledPath(template.format(*quoted))
    path.template = template
    return path


def read_json(body: bytes) -> Any:  # noqa: ANN401 - this is where JSON enters
    """Read an answer that is any JSON.

    Raises:
        MalformedError: It is not.
    """
    return decode(body)


def read_json_list(body: bytes) -> list[Any]:
    """Read an answer that must be a JSON list.

    Raises:
        MalformedError: It is not.
    """
    answer = decode(body)
    if not isinstance(answer, list):
        message = f"a JSON {type(answer).__name__} where a list was expected"
        raise MalformedError(message)
    return answer


def read_text(body: bytes) -> str:
    """Read an answer that is text: CSV, XML.

    Raises:
        MalformedError: It is not UTF-8.
    """
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        message = "it is no UTF-8 text"
    raise MalformedError(message)


def read_nothing(_body: bytes) -> None:
    """Read an answer that says nothing but that it worked."""


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


def read_members(body: bytes, *names: str) -> dict[str, Any]:
    """Read an answer that must be a JSON object with at least one of these members: any other object is some other answer.

    Raises:
        MalformedError: It is not.
    """
    answer = read_json_object(body)
    if answer.keys().isdisjoint(names):
        message = f"it has no {' or '.join(names)}"
        raise MalformedError(message)
    return answer


def read_confirmation(body: bytes, *names: str) -> dict[str, Any]:
    """Read an answer that must say ``"success": true``, or have one of these members, and must not say ``"success": false``.

    Raises:
        MalformedError: It is no object, or another.
        RefusedAnswerError: It says no.
    """
    answer = read_members(body, "success", *names)
    if answer.get("success") is False:
        message = "it says that it did not succeed"
        raise RefusedAnswerError(message)
    return answer


def read_data(body: bytes) -> dict[str, Any]:
    """Read an answer that must have ``data``, and must not say ``"success": false``.

    Raises:
        MalformedError: It is no object, or another.
        RefusedAnswerError: It says no.
    """
    answer = read_confirmation(body, "data")
    if "data" not in answer:
        message = "it has no data"
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
