"""The answers that make up an export: a window is asked for after another, halved where it is too much, skipped where it is empty."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from amplitude_async._protocol.call import Call, read_json_object
from amplitude_async._protocol.masking import mask
from amplitude_async.errors import (
    AmplitudeError,
    BadRequestError,
    ClosedError,
    NotFoundError,
    RangeTooLargeError,
    ResponseError,
    ServerError,
    UnexpectedResponseError,
)
from amplitude_async.exporting.ending import EndCheck

if TYPE_CHECKING:
    from collections.abc import Iterable

    from amplitude_async.exporting.plan import Plan, Window
    from amplitude_async.resources.runner import Download

__all__ = ["Answer", "Downloads", "Opener", "is_page", "window_call"]

_LOG: Final = logging.getLogger("amplitude_async.export")

SIGNATURES: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06")
"""How a zip begins: with a member, or, empty, with its end record, which may be a zip64 one."""
SIGNATURE_BYTES: Final = 4
QUOTED_BYTES: Final = 8192
"""How much of a page is read before its beginning is quoted: more than is shown, so that no key is cut before it is masked."""
LEAST_OF_A_KEY: Final = 4
_GATEWAY_TIMEOUT: Final = 504


class Opener(Protocol):
    """What can open a stream; the client's caller is one."""

    async def open(self, call: Call) -> Download:
        """Send a call, return its answer as a stream."""

    def secrets(self) -> tuple[str, ...]:
        """Return the texts that must appear in no message."""

    def fingerprint(self) -> bytes:
        """Return what tells the project from others; it gives no key away."""

    async def rest(self, attempt: int, at_least: float | None) -> None:
        """Wait before another attempt."""


def window_call(window: Window) -> Call:
    """Describe the request for a window."""
    return Call(
        api="dashboard",
        kind="stream",
        method="GET",
        path="/api/2/export",
        credential="project",
        reads=read_json_object,
        repeatable=True,
        query=(("start", window.start), ("end", window.end)),
        # Too much to assemble: asking for the same again would end the same way.
        final=frozenset({_GATEWAY_TIMEOUT}),
    )


class Answer:
    """One window's archive, as it arrives; known to begin as a zip, bounded in length, and checked to end as one."""

    def __init__(self, download: Download, window: Window, first: bytes, most: int) -> None:
        self.window = window
        self._download = download
        self._first: bytes | None = first
        length = download.headers.get("content-length", "")
        is_plain = download.headers.get("content-encoding", "identity").strip().lower() in {"", "identity"}
        declared = int(length) if is_plain and length.isascii() and length.isdigit() else None
        self._end = EndCheck(declared, most)

    async def next_chunk(self) -> bytes | None:
        """Wait for the next bytes, ``None`` at the end of an archive that is whole as far as its end tells.

        Raises:
            ExportError: The archive was cut short, or does not end.
            TransportError: The connection broke.
        """
        if self._first is not None:
            chunk: bytes | None = self._first
            self._first = None
        else:
            chunk = await self._download.next_chunk()
        if chunk is None:
            self._end.finish()
        else:
            self._end.show(chunk)
        return chunk


class Downloads:
    """Asks for the windows of a plan, in order.

    Args:
        opener: Opens streams.
        plan: What to ask for.
        most: The longest answer that is believed, in bytes.
    """

    def __init__(self, opener: Opener, plan: Plan, most: int) -> None:
        self._opener = opener
        self._plan = plan
        self._most = most
        self._open: Download | None = None
        self._is_closed = False
        self.empty: NotFoundError | None = None
        """The last answer that said there is no data, if any did."""

    @property
    def is_split(self) -> bool:
        """Whether more than one answer makes up the range."""
        return self._plan.is_split

    @property
    def requests(self) -> int:
        """How many windows were asked for."""
        return self._plan.asked

    async def next_answer(self) -> Answer | None:
        """Open the next window that has data; ``None`` when there is none left.

        Raises:
            RangeTooLargeError: A window that cannot be halved is more than Amplitude gives.
            UnexpectedResponseError: The answer is no zip.
            ExportError: It is announced as longer than is believed.
            AmplitudeError: Amplitude refused, or did not answer.
        """
        await self._close()
        while (window := self._plan.next_window()) is not None:
            if self._is_closed:
                message = "The export is closed; ask the client for a new one."
                raise ClosedError(message)
            refusal: ResponseError | None = None
            _LOG.debug("asking for %s to %s", window.start, window.end)
            try:
                download = await self._opener.open(window_call(window))
            except NotFoundError as error:
                if is_page(error.data):
                    # Some other server's, or of another path: it says nothing about events.
                    raise
                self.empty = error.with_traceback(None)
                _LOG.debug("%s to %s has no data", window.start, window.end)
                continue
            except (BadRequestError, ServerError) as error:
                refusal = error.with_traceback(None)
            if refusal is not None:
                self._refused(window, refusal)
                continue
            self._open = download
            if self._is_closed:
                await self._close()
                continue
            return Answer(download, window, await self._beginning(download), self._most)
        return None

    def _refused(self, window: Window, refusal: ResponseError) -> None:
        """Plan for a window that is too much, or say that there is no way."""
        is_too_slow = refusal.status == _GATEWAY_TIMEOUT
        if not is_too_slow and isinstance(refusal, ServerError):
            raise refusal
        if self._plan.too_large(window) or (is_too_slow and self._plan.may_repeat(window)):
            _LOG.info(
                "%s to %s is too much for one answer (status %d); it is asked for in parts", window.start, window.end, refusal.status
            )
            return
        raise _too_large(window, refusal)

    async def _beginning(self, download: Download) -> bytes:
        """Look at how it begins: a page instead of a zip must not end up in somebody's file."""
        first = b""
        chunk: bytes | None = b""
        while len(first) < SIGNATURE_BYTES:
            chunk = await download.next_chunk()
            if chunk is None:
                break
            first += chunk
        if first[:SIGNATURE_BYTES] in SIGNATURES:
            return first
        with suppress(AmplitudeError):
            # A little more, so that a key which the page repeats is met whole, and masked.
            while chunk is not None and len(first) < QUOTED_BYTES:
                chunk = await download.next_chunk()
                first += chunk or b""
        await self._close()
        error = self._not_a_zip(download, first)
        # What the server said may echo a key: it is in the error's .data, not among the traceback's locals.
        del first, chunk
        raise error

    def _not_a_zip(self, download: Download, first: bytes) -> UnexpectedResponseError:
        secrets = self._opener.secrets()
        shown = mask(_without_half_a_key(first.decode("utf-8", "replace"), secrets), secrets)
        words = f"it begins: {shown}" if first else "it is empty"
        message = f"Amplitude answered {download.status}, but not with a zip; {words}"
        text = first.decode("utf-8", "replace")
        return UnexpectedResponseError(message, status=download.status, data=text, outcome="unknown", request=download.request)

    def __del__(self) -> None:
        # Nobody can read on, so the connection goes, if this is still the place where it can be closed.
        if self._open is not None:
            self._open.dropped()

    def close_soon(self) -> None:
        """End it from where nothing can be awaited: a task of the library closes the connection."""
        self._is_closed = True
        if self._open is not None:
            self._open.close_soon()

    async def aclose(self) -> None:
        """End it: close the connection. Safe to call again."""
        self._is_closed = True
        await self._close()

    async def _close(self) -> None:
        if self._open is not None:
            await self._open.aclose()


def is_page(data: object) -> bool:
    """Say whether an answer is an HTML page."""
    return isinstance(data, str) and data.lstrip().startswith("<")


def _without_half_a_key(text: str, secrets: Iterable[str]) -> str:
    """Cut off an end that may be the beginning of a key: what would have followed did not arrive."""
    for secret in secrets:
        for length in range(min(len(secret) - 1, len(text)), LEAST_OF_A_KEY - 1, -1):
            if text.endswith(secret[:length]):
                return text[:-length]
    return text


def _too_large(window: Window, refusal: ResponseError) -> RangeTooLargeError:
    span = f"the hour {window.start}" if window.hours == 1 else f"the range {window.start} to {window.end}"
    is_smallest = window.halves() is None
    advice = "use Amplitude's export to a bucket of your own" if is_smallest else "ask for less at once, or allow split=True"
    error = RangeTooLargeError(
        f"{str(refusal).rstrip('.')}. Amplitude does not give {span} in one answer; {advice}.",
        status=refusal.status,
        data=refusal.data,
        headers=refusal.headers,
        outcome=refusal.outcome,
        request=refusal.request,
    )
    error.start, error.end = window.start, window.end
    return error
