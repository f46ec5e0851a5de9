"""Lists that come a page at a time."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from amplitude_async import UnexpectedResponseError
from amplitude_async.resources.dashboard import Dashboard
from amplitude_async.resources.paging import Cursor, Page, Pages
from amplitude_async.resources.session_replay import SessionReplay

sys.path.insert(0, str(Path(__file__).parent))
from runners import FakeRunner, run

if TYPE_CHECKING:
    from amplitude_async._protocol.call import Call

pytestmark = pytest.mark.anyio


class Book:
    """Five items on pages of two; remembers what was asked, and fails when told to."""

    def __init__(self) -> None:
        self.asked: list[Cursor | None] = []
        self.fails = False

    async def fetch(self, cursor: Cursor | None) -> Page[int]:
        self.asked.append(cursor)
        if self.fails:
            raise ConnectionError
        first = int(cursor or 0)
        return Page(list(range(first, min(first + 2, 5))), first + 2 if first + 2 < 5 else None)


async def test_items_come_in_order_and_pages_when_needed() -> None:
    """Nothing is asked before the first item, and each page once."""
    book = Book()
    pages = Pages(book.fetch)
    assert (book.asked, pages.cursor, pages.is_finished) == ([], None, False)
    assert [item async for item in pages] == [0, 1, 2, 3, 4]
    assert book.asked == [None, 2, 4]
    assert pages.is_finished
    assert [item async for item in pages] == []
    assert book.asked == [None, 2, 4]


async def test_an_iteration_that_was_left_goes_on_where_it_stood() -> None:
    """No item is given twice and none left out."""
    book = Book()
    pages = Pages(book.fetch)
    async for item in pages:
        if item == 2:
            break
    assert repr(pages) == "<Pages at 2>"
    assert [item async for item in pages] == [3, 4]
    assert repr(pages) == "<Pages read to the end>"


async def test_another_iteration_begins_at_the_cursor_of_the_first() -> None:
    """While items of a page are left the cursor is that page's beginning; after its last item it is the next one's."""
    book = Book()
    pages = Pages(book.fetch)
    await anext(pages)
    assert pages.cursor is None
    await anext(pages)
    assert pages.cursor == 2
    await anext(pages)
    assert pages.cursor == 2
    assert [item async for item in Pages(book.fetch, pages.cursor)] == [2, 3, 4]


async def test_whole_pages_can_be_read() -> None:
    """The first one gives what is left of the page at hand."""
    assert [page async for page in Pages(Book().fetch).pages()] == [[0, 1], [2, 3], [4]]
    pages = Pages(Book().fetch)
    await anext(pages)
    assert [page async for page in pages.pages()] == [[1], [2, 3], [4]]


async def test_an_error_leaves_the_page_to_be_asked_for_again() -> None:
    """After it the iteration goes on with the same page."""
    book = Book()
    pages = Pages(book.fetch)
    assert await anext(pages) == 0
    assert await anext(pages) == 1
    book.fails = True
    with pytest.raises(ConnectionError):
        await anext(pages)
    book.fails = False
    assert [item async for item in pages] == [2, 3, 4]
    assert book.asked == [None, 2, 2, 4]


async def test_a_list_without_items_ends_at_once() -> None:
    """An empty page without a next one is an empty list."""

    async def fetch(_cursor: Cursor | None) -> Page[int]:
        return Page([], None)

    assert [item async for item in Pages(fetch)] == []
    assert [page async for page in Pages(fetch).pages()] == [[]]


@pytest.mark.parametrize("cursor", [7, "token"])
async def test_a_page_that_leads_to_itself_is_an_error(cursor: Cursor) -> None:
    """A server that forgets the cursor makes no list without an end."""

    async def fetch(_: Cursor | None) -> Page[int]:
        return Page([1, 2], cursor)

    pages = Pages(fetch)
    assert [await anext(pages), await anext(pages)] == [1, 2]
    with pytest.raises(UnexpectedResponseError, match="leads to itself"):
        await anext(pages)


async def test_files_that_lead_to_themselves_are_an_error() -> None:
    """The same where a replay is read file by file."""

    def rule(call: Call) -> bytes:
        if call.path.endswith("/files"):
            return b'{"files": ["https://storage.example/file"], "next_page_token": "more"}'
        return b'[{"type": 4}]'

    async def read() -> list[dict[str, Any]]:
        return [event async for event in SessionReplay(FakeRunner(rule)).events("dev-1/17")]

    with pytest.raises(UnexpectedResponseError, match="leads to itself"):
        run(read())


async def test_events_that_come_twice_are_an_error() -> None:
    """A server that ignores the offset gives no user events without an end."""
    answer = {"userData": {}, "events": [{"event_type": "x", "uuid": str(n)} for n in range(2)]}
    events = Dashboard(FakeRunner(lambda _: json.dumps(answer).encode())).user_events(7, limit=2)
    assert await events.next_page() == answer["events"]
    with pytest.raises(UnexpectedResponseError, match="twice"):
        await events.next_page()
