"""Lists that Amplitude gives a page at a time, as async iterators.

They are objects, not async generators: one that is left in the middle holds nothing, warns on no event loop, and knows where it stood.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, Self, TypeVar

from amplitude_async.errors import UnexpectedResponseError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Cursor", "Page", "Pages", "WholePages"]

T = TypeVar("T")

Cursor = str | int
"""Where a page begins, as Amplitude says it: an offset, a number or a text of its own."""


class Page(NamedTuple, Generic[T]):
    """One page.

    Attributes:
        items: What is on it.
        next_cursor: Where the next one begins; ``None`` if there is none.
    """

    items: list[T]
    next_cursor: Cursor | None


class Pages(Generic[T]):
    """The items of a list, page after page: ``async for item in pages``.

    Nothing is sent before the first item is asked for, and no page before it is needed. An iteration that is left, or that ended with
    an error, may go on with another ``async for``: no item is given twice, none is left out. A page that leads to itself is an
    :class:`UnexpectedResponseError`. It is for one task at a time.

    Example:
        ```python
        pages = amplitude.experiment.flags.list()
        async for flag in pages:
            if flag["key"] == "checkout-v2":
                break
        print(pages.cursor)
        ```
    """

    def __init__(self, fetch: Callable[[Cursor | None], Awaitable[Page[T]]], cursor: Cursor | None = None) -> None:
        self._fetch = fetch
        self._next: Cursor | None = cursor
        self._current: Cursor | None = cursor
        self._items: list[T] = []
        self._place = 0
        self._is_last = False

    def __repr__(self) -> str:
        return f"<Pages {'read to the end' if self.is_finished else f'at {self.cursor!r:.60}'}>"

    @property
    def cursor(self) -> Cursor | None:
        """Where another iteration would have to begin to miss nothing; ``None``: at the beginning, or nowhere if this one is finished.

        While items of a page are left, that is the page's own beginning, so it may give again what was given of it.
        """
        return self._current if self._place < len(self._items) else self._next

    @property
    def is_finished(self) -> bool:
        """Whether the last item was given."""
        return self._is_last and self._place >= len(self._items)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while self._place >= len(self._items):
            if self._is_last:
                raise StopAsyncIteration
            await self._turn()
        item = self._items[self._place]
        self._place += 1
        return item

    def pages(self) -> WholePages[T]:
        """Return an async iterator over the pages, each a list of items; the first one gives what is left of the page at hand."""
        return WholePages(self)

    async def next_page(self) -> list[T] | None:
        """Return what is left of the page at hand, or the next page; ``None`` after the last."""
        if self._place >= len(self._items):
            if self._is_last:
                return None
            await self._turn()
        rest = self._items[self._place :]
        self._place = len(self._items)
        return rest

    async def _turn(self) -> None:
        # Nothing is changed before the page is there: an error, or a cancellation, leaves it to be asked for again.
        page = await self._fetch(self._next)
        if page.next_cursor is not None and page.next_cursor == self._next:
            message = f"Amplitude answered with a page that leads to itself ({self._next!r:.60}), so the list would never end"
            raise UnexpectedResponseError(message, status=200, outcome="unknown")
        self._current, self._next = self._next, page.next_cursor
        self._items, self._place = page.items, 0
        self._is_last = page.next_cursor is None


class WholePages(Generic[T]):
    """The pages of a list: ``async for items in pages.pages()``."""

    def __init__(self, pages: Pages[T]) -> None:
        self._pages = pages

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[T]:
        page = await self._pages.next_page()
        if page is None:
            raise StopAsyncIteration
        return page
