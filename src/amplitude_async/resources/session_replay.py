"""Session replays, their files, and what is in them: events of rrweb, which players show.

Amplitude's page: https://amplitude.com/docs/apis/session-replay
"""

from __future__ import annotations

import zlib
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, Required, Self, TypedDict

from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.call import Call, read_members
from amplitude_async._protocol.codec import MalformedError, decode
from amplitude_async._protocol.dates import iso_instant
from amplitude_async.errors import AuthenticationError, ResponseError, UnexpectedResponseError
from amplitude_async.resources.paging import Page, Pages
from amplitude_async.resources.parameters import one_of, query_pairs, refused, required_text, whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import date

    from amplitude_async._protocol.links import Link
    from amplitude_async.resources.paging import Cursor
    from amplitude_async.resources.runner import Runner

__all__ = ["Replay", "ReplayEvents", "SessionReplay", "SortOrder", "file_call", "files_call", "list_call", "read_file"]

SortOrder = Literal["asc", "desc"]
FileVersion = Literal[2, 3]

MAX_REPLAYS: Final = 200
MAX_FILES: Final = 1000
MAX_FILE_BYTES: Final = 256 << 20
"""How long a replay's file may be when it is inflated; files are minutes of one session."""
MAX_FRESH_LINKS: Final = 2
"""How often the links of a page are asked for anew: they live for 15 minutes."""
_PATH: Final = "/api/1/session-replays"
_GZIP: Final = 31
_MAGIC: Final = b"\x1f\x8b"


class Replay(TypedDict, total=False):
    """A recorded session. Times are ISO 8601 in UTC; ``replay_id`` is ``device_id/session_id``."""

    replay_id: Required[str]
    session_id: str
    device_id: str
    amplitude_id: int
    start_time: str
    end_time: str
    retention_in_days: int


def _read_page(name: str, kind: type[Any]) -> Callable[[bytes], Page[Any]]:
    """Return what reads a page of a list of that name, whose items are of that kind."""

    def read(body: bytes) -> Page[Any]:
        answer = read_members(body, name)
        items = answer[name] or []
        if not isinstance(items, list) or not all(isinstance(item, kind) for item in items):
            message = f"its {name} are no list of what they should be"
            raise MalformedError(message)
        return Page(items, answer.get("next_page_token") or None)

    return read


_read_replays: Final = _read_page("session_replays", dict)
_read_files: Final = _read_page("files", str)


def _call(path: str, query: Mapping[str, object], reads: Callable[[bytes], Page[Any]]) -> Call:
    return Call(
        api="session_replay",
        kind="query",
        method="GET",
        path=path,
        credential="project",
        reads=reads,
        repeatable=True,
        query=query_pairs("session_replay", query),
        uses=(Use("rest"),),
    )


def list_call(
    *, start_time: object, end_time: object, page_size: object, page_token: object, sort_order: object, fields: Mapping[str, object]
) -> Call:
    """Describe a page of replays."""
    bounds = {
        name: None if value is None else iso_instant(value, argument=name, is_end=name == "end_time")
        for name, value in (("start_time", start_time), ("end_time", end_time))
    }
    if page_size is not None:
        page_size = whole_number(page_size, argument="page_size", least=1, most=MAX_REPLAYS)
    if sort_order is not None:
        one_of(sort_order, ("asc", "desc"), argument="sort_order")
    return _call(
        _PATH, {**bounds, "page_size": page_size, "page_token": page_token, "sort_order": sort_order, **fields}, _read_replays
    )


def files_call(replay_id: object, *, version: object, page_size: object, page_token: object) -> Call:
    """Describe a page of links to a replay's files."""
    replay = required_text(replay_id, argument="replay_id", what="'device_id/session_id'")
    if "/" not in replay.strip("/"):
        raise refused(argument="replay_id", reason="must be 'device_id/session_id'")
    one_of(version, (2, 3), argument="version")
    if page_size is not None:
        page_size = whole_number(page_size, argument="page_size", least=1, most=MAX_FILES)
    query = {"replay_id": replay, "version": version, "page_size": page_size, "page_token": page_token}
    return _call(f"{_PATH}/files", query, _read_files)


def file_call(link: Link, version: int) -> Call:
    """Describe the download of a file by its signed link, without credentials."""
    return Call(
        api="session_replay",
        kind="query",
        method="GET",
        path=link.path,
        credential="none",
        reads=partial(read_file, version=version),
        repeatable=True,
        link=link,
    )


def read_file(body: bytes, *, version: int) -> list[dict[str, Any]]:
    """Read a replay's file.

    Version 3 is the gzip of a list of events; version 2 of a list of texts, each the JSON of a text whose characters are the bytes of
    the zlib-compressed JSON of one event. Where the gzip was undone on the way, the list itself.

    Raises:
        MalformedError: It is neither, or more than may be believed.
    """
    room = MAX_FILE_BYTES
    plain = _inflated(body, _GZIP, room) if body.startswith(_MAGIC) else body
    events = decode(plain)
    if not isinstance(events, list):
        message = "no list of events"
        raise MalformedError(message)
    if version == 2:  # noqa: PLR2004 - the older format
        room -= len(plain)
        unpacked: list[Any] = []
        for item in events:
            text = _packed_event(item, room)
            room -= len(text)
            unpacked.append(decode(text))
        events = unpacked
    if not all(isinstance(event, dict) for event in events):
        message = "an event that is no object"
        raise MalformedError(message)
    return events


def _packed_event(item: object, room: int) -> bytes:
    if isinstance(item, str):
        packed = decode(item.encode("utf-8", "surrogatepass"))
        if isinstance(packed, str):
            try:
                return _inflated(packed.encode("latin-1"), zlib.MAX_WBITS, room)
            except UnicodeEncodeError:
                pass  # said below
    message = "an event that is not packed as version 2 packs it"
    raise MalformedError(message)


def _inflated(data: bytes, bits: int, room: int) -> bytes:
    inflater = zlib.decompressobj(bits)
    try:
        plain = inflater.decompress(data, max(room, 0) + 1)
    except zlib.error:
        plain = None
    if plain is None or (len(plain) <= room and not inflater.eof):
        message = "compressed data that is damaged or cut"
        raise MalformedError(message)
    if len(plain) > room:
        message = f"more than {MAX_FILE_BYTES:,} bytes of events"
        raise MalformedError(message)
    return plain


def _unusable(expired: AuthenticationError) -> ResponseError:
    """Return the error for a link that is refused however often it is given: no key was shown, so it is not about one."""
    message = f"{expired} (a link to a replay's file, given anew {MAX_FRESH_LINKS} times)"
    return ResponseError(
        message, status=expired.status, data=expired.data, headers=expired.headers, outcome=expired.outcome, request=expired.request
    )


class ReplayEvents:
    """The events of a replay, in the order of its files, one file in memory at a time. An async iterator; holds no connection."""

    def __init__(self, runner: Runner, replay_id: str, version: int) -> None:
        self._runner = runner
        self._replay_id = replay_id
        self._version = version
        self._token: Cursor | None = None
        self._page: Page[str] | None = None
        self._place = 0
        self._fresh = 0
        self._events: Iterator[dict[str, Any]] = iter(())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        while True:
            for event in self._events:
                return event
            await self._next_file()

    async def _next_file(self) -> None:
        page = self._page
        if page is None:
            call = files_call(self._replay_id, version=self._version, page_size=None, page_token=self._token)
            page = self._page = await self._runner.run(call)
        if self._place >= len(page.items):
            if page.next_cursor is None:
                raise StopAsyncIteration
            if page.next_cursor == self._token:
                message = "Amplitude answered with a page of files that leads to itself"
                raise UnexpectedResponseError(message, status=200, outcome="unknown")
            self._token, self._page, self._place = page.next_cursor, None, 0
            return
        link = self._runner.link("session_replay", str(page.items[self._place]))
        try:
            events = await self._runner.run(file_call(link, self._version))
        except AuthenticationError as expired:
            # Most likely: who reads slowly comes too late for the last links of a page.
            if self._fresh == MAX_FRESH_LINKS:
                raise _unusable(expired) from None
            self._fresh += 1
            self._page = None
            return
        self._place += 1
        self._fresh = 0
        self._events = iter(events)


class SessionReplay:
    """Session replays and their files. Replays are deleted by the deletion of their users (``privacy.deletions``)."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def list(
        self,
        *,
        start_time: date | str | None = None,
        end_time: date | str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        sort_order: SortOrder | None = None,
        **fields: object,
    ) -> Pages[Replay]:
        """List replays, as an async iterator.

        Args:
            start_time: Only those that began at this moment or later: a datetime (naive means UTC), a date, or ISO 8601 text.
            end_time: Only those that began at this moment or earlier; a date means its last second.
            page_size: How many are asked for at once, 1 to 200; 50 by default.
            page_token: Where to begin: the ``cursor`` of an earlier list, with the same order.
            sort_order: ``"asc"``: the oldest first (default); ``"desc"``.
            **fields: Further parameters of the API.

        Returns:
            An async iterator of :class:`Replay`.

        Raises:
            InvalidArgumentError: An argument makes no sense.
            AmplitudeError: While it is read: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/session-replay
        """

        def call(token: object) -> Call:
            return list_call(
                start_time=start_time,
                end_time=end_time,
                page_size=page_size,
                page_token=token,
                sort_order=sort_order,
                fields=fields,
            )

        call(page_token)

        async def fetch(token: Cursor | None) -> Page[Replay]:
            answer: Page[Replay] = await self._runner.run(call(token))
            return answer

        return Pages(fetch, page_token)

    def files(
        self, replay_id: str, *, version: FileVersion = 3, page_size: int | None = None, page_token: str | None = None
    ) -> Pages[str]:
        """List signed links to a replay's files, as an async iterator, in the order of the session. They live for 15 minutes.

        Args:
            replay_id: ``device_id/session_id``: a replay's ``replay_id``.
            version: The format of the files: 3 (default) or 2.
            page_size: How many are asked for at once, 1 to 1,000; 100 by default.
            page_token: Where to begin: the ``cursor`` of an earlier list.

        Returns:
            An async iterator of addresses. Whoever has one may read: do not log them.

        Raises:
            InvalidArgumentError: An argument makes no sense.
            NotFoundError: While it is read: there is no data of this replay.
            AmplitudeError: While it is read: Amplitude refused otherwise, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/session-replay
        """
        files_call(replay_id, version=version, page_size=page_size, page_token=page_token)

        async def fetch(token: Cursor | None) -> Page[str]:
            call = files_call(replay_id, version=version, page_size=page_size, page_token=token)
            answer: Page[str] = await self._runner.run(call)
            return answer

        return Pages(fetch, page_token)

    def events(self, replay_id: str, *, version: FileVersion = 3) -> ReplayEvents:
        """Read what is in a replay: its rrweb events, as an async iterator.

        Files are read one at a time by their signed links, without credentials; links that have expired are asked for anew.

        Args:
            replay_id: ``device_id/session_id``: a replay's ``replay_id``.
            version: The format of the files that is asked for: 3 (default) or 2. The events are the same.

        Returns:
            An async iterator of events: ``{"type": ..., "timestamp": ms, "data": {...}}``.

        Raises:
            InvalidArgumentError: An argument makes no sense.
            NotFoundError: While it is read: there is no data of this replay.
            UnexpectedResponseError: While it is read: a file is damaged, or a link is not one that is followed.
            AmplitudeError: While it is read: Amplitude refused otherwise, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/session-replay
        """
        files_call(replay_id, version=version, page_size=None, page_token=None)
        return ReplayEvents(self._runner, replay_id, version)
