"""What Amplitude knows of a user, for the user: a job that takes up to three days, and files of raw events.

Amplitude's page: https://amplitude.com/docs/apis/analytics/ccpa-dsar
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, Required, Self, TypedDict, TypeVar, overload
from urllib.parse import urlsplit

from amplitude_async._protocol.budget import Use
from amplitude_async._protocol.call import Call, path_of, read_json_object, read_nothing
from amplitude_async._protocol.codec import MalformedError
from amplitude_async._protocol.dates import check_order, iso_day
from amplitude_async._protocol.masking import mask
from amplitude_async.errors import ClosedError, JobError
from amplitude_async.resources.jobs import deadline_in, until_done
from amplitude_async.resources.parameters import given, json_body, one_of, refused, required_text, spelled, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date
    from types import TracebackType

    from amplitude_async._protocol.decoding import BadRows, RowDecoder
    from amplitude_async._protocol.inflating import ArchiveLimits
    from amplitude_async._protocol.lines import LineReader
    from amplitude_async.errors import ExportError
    from amplitude_async.resources.runner import Download, Runner

__all__ = [
    "Dsar",
    "DsarData",
    "DsarOutput",
    "DsarRequest",
    "DsarRows",
    "DsarStatus",
    "output_call",
    "output_numbers",
    "request_call",
    "status_call",
]

REQUEST_COST: Final = 8
"""Of 14,400 an hour; looks and files cost 1 each."""
THREE_DAYS: Final = 3 * 86_400.0
"""Seconds within which Amplitude promises a job to be done."""
LONGEST_PAUSE: Final = 900.0
"""Seconds between two looks: Amplitude asks for 15 to 20 minutes. Pauses grow from a second, so a short job is seen soon."""
TURN_SECONDS: Final = 0.0025
"""How long decoding goes on before other tasks of the event loop get a turn."""
_PATH: Final = "/api/2/dsar/requests"

T = TypeVar("T")


class DsarRequest(TypedDict, total=False):
    """The answer to a request: ``requestId``, by which it is looked at."""

    requestId: Required[int]


class DsarStatus(TypedDict, total=False):
    """How a request stands.

    ``status`` is ``staging`` (not begun), ``submitted`` (running), ``done`` or ``failed`` (then ``failReason`` says why). ``urls``,
    once it is done, has one address for each file; :meth:`Dsar.output` reads them. ``expires`` is ``YYYY-MM-DDTHH:MM:SS`` without a
    zone.
    """

    requestId: Required[int]
    status: Required[str]
    userId: str | None
    amplitudeId: int | None
    startDate: str
    endDate: str
    failReason: str
    urls: list[str]
    expires: str


def _read_request(body: bytes) -> dict[str, Any]:
    """Read the answer to a request.

    Raises:
        MalformedError: It names no request: without its number nobody could ever ask for it.
    """
    answer = read_json_object(body)
    if not str(answer.get("requestId")).isdigit():
        message = "it has no requestId that is a number"
        raise MalformedError(message)
    return answer


def _read_status(body: bytes) -> dict[str, Any]:
    """Read how a request stands; what the pages capitalise is brought to lower case.

    Raises:
        MalformedError: It says nothing of that.
    """
    answer = read_json_object(body)
    if not isinstance(answer.get("status"), str):
        message = "it has no status"
        raise MalformedError(message)
    answer["status"] = answer["status"].lower()
    return answer


def request_call(fields: Mapping[str, object]) -> Call:
    """Describe a request. Not repeatable: each is a job of its own, of cost 8."""
    asked = given(spelled("dsar", fields))
    user_id, amplitude_id = asked.pop("userId", None), asked.pop("amplitudeId", None)
    if (user_id is None) == (amplitude_id is None):
        raise refused(argument="user_id", reason="or amplitude_id has to be given, and not both")
    first, last = (
        iso_day(asked.pop("startDate", None), argument="start_date"),
        iso_day(asked.pop("endDate", None), argument="end_date"),
    )
    check_order(first, last)
    who: dict[str, object] = (
        {"userId": required_text(user_id, argument="user_id", what="a user id")}
        if amplitude_id is None
        else {"amplitudeId": whole_number(amplitude_id, argument="amplitude_id", least=1)}
    )
    return Call(
        api="dashboard",
        kind="query",
        method="POST",
        path=_PATH,
        credential="organisation",
        reads=_read_request,
        repeatable=False,
        body=json_body({**who, "startDate": first, "endDate": last, **asked}),
        uses=(Use("dsar", REQUEST_COST),),
    )


def status_call(request_id: object) -> Call:
    """Describe a look at a request."""
    return Call(
        api="dashboard",
        kind="query",
        method="GET",
        path=path_of(_PATH + "/{}", _number(request_id, "request_id")),
        credential="organisation",
        reads=_read_status,
        repeatable=True,
        uses=(Use("dsar"),),
    )


def output_call(request_id: object, output_id: object) -> Call:
    """Describe the download of a file: a redirect to a signed link, which is followed without credentials."""
    return Call(
        api="dashboard",
        kind="stream",
        method="GET",
        path=path_of(_PATH + "/{}/outputs/{}", _number(request_id, "request_id"), _number(output_id, "output_id")),
        credential="organisation",
        reads=read_nothing,
        repeatable=True,
        uses=(Use("dsar"),),
        follows_link=True,
    )


def _number(value: object, argument: str) -> str:
    return str(whole_number(value, argument=argument))


def output_numbers(status: Mapping[str, Any]) -> list[int]:
    """Return the numbers of a done request's files.

    They are read from the ends of its addresses; the addresses' hosts differ between Amplitude's pages, and credentials go nowhere
    because an answer says so.
    """
    numbers: list[int] = []
    urls = status.get("urls") or ()
    for position, url in enumerate(urls):
        end = urlsplit(str(url)).path.rstrip("/").rpartition("/")[2]
        numbers.append(int(end) if end.isascii() and end.isdigit() else position)
    return numbers


class DsarRows(Generic[T]):
    """Rows out of the files of a request, one after another as they download, in constant memory.

    An async iterator, and an async context manager that closes the download. One that is left in the middle is closed at the latest
    with the client, with a ResourceWarning. Rows come in no order.

    Attributes:
        skipped_rows: How many rows could not be read and were left out (``bad_rows="skip"``).
    """

    def __init__(
        self, runner: Runner, outputs: tuple[DsarOutput, ...], decoder: RowDecoder[T], limits: ArchiveLimits | None, bad_rows: BadRows
    ) -> None:
        self.skipped_rows: int = 0
        self._runner = runner
        self._outputs = list(reversed(outputs))
        self._decoder = decoder
        self._limits = limits
        self._bad_rows = bad_rows
        self._download: Download | None = None
        self._lines: LineReader | None = None
        self._rows: Iterator[T] = iter(())
        self._error: ExportError | None = None
        self._is_closed = False
        self._since = runner.clock()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        for row in self._rows:
            return row
        if self._error is not None:
            raise self._error
        if self._is_closed:
            message = "The rows are closed; ask for them anew."
            raise ClosedError(message)
        try:
            return await self._next()
        except StopAsyncIteration:
            raise
        except BaseException:
            # A file that cannot be read on, or a caller that was cancelled: nobody will come back for it.
            self._is_closed = True
            if self._download is not None:
                self._download.close_soon()
            raise

    async def _next(self) -> T:
        while True:
            if self._lines is None:
                if not self._outputs:
                    raise StopAsyncIteration
                await self._open(self._outputs.pop())
                continue
            block = self._lines.read_block()
            if block is None:
                if not await self._feed(self._lines):
                    self._lines = None
                continue
            if block.rows:
                decoded = self._decoder.decode(block)
                self.skipped_rows += decoded.skipped
                self._rows = iter(decoded.rows)
                if decoded.error is not None:
                    # Given after the rows that came before the fault.
                    self._error = decoded.error
                    await self._close_download()
                await self._take_turns()
                for row in self._rows:
                    return row
                if self._error is not None:
                    raise self._error

    async def _open(self, output: DsarOutput) -> None:
        from amplitude_async._protocol.lines import LineReader  # noqa: PLC0415 - only where rows are read

        self._download = await self._runner.open(output_call(output.request_id, output.output_id))
        self._lines = LineReader(f"outputs/{output.output_id}", self._limits, bad_rows=self._bad_rows)

    async def _feed(self, lines: LineReader) -> bool:
        """Take what comes next of the file; say whether anything is left of it."""
        if self._download is None:
            return False
        data = await self._download.next_chunk()
        self._since = self._runner.clock()
        if data is None:
            self._download = None
            lines.finish()
            return True
        lines.feed(data)
        return True

    async def _take_turns(self) -> None:
        if self._runner.clock() - self._since > TURN_SECONDS:
            await self._runner.pause(0)
            self._since = self._runner.clock()

    async def _close_download(self) -> None:
        download, self._download = self._download, None
        if download is not None:
            await download.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the download. Safe to call again."""
        self._is_closed = True
        self._rows = iter(())
        await self._close_download()

    def __del__(self) -> None:
        # Nobody can read on, so the connection goes, if this is still the place where it can be closed.
        download = getattr(self, "_download", None)
        if download is not None:
            download.dropped()


class DsarOutput:
    """One file of a request: a gzip of newline-delimited JSON, rows like those of an export, usually a month of one project.

    Nothing is sent until it is used. The link that it is read by is signed anew at each use.

    Attributes:
        request_id: The request.
        output_id: The file's number, from 0.
    """

    def __init__(self, runner: Runner, request_id: int, output_id: int) -> None:
        self._runner = runner
        self.request_id = request_id
        self.output_id = output_id

    def __repr__(self) -> str:
        return f"<DsarOutput {self.output_id} of request {self.request_id}>"

    async def open(self) -> Download:
        """Open the file as it is, gzip and all; for who keeps it.

        Returns:
            A download: ``await download.next_chunk()`` gives bytes, ``None`` at the end; ``await download.aclose()`` closes it.

        Raises:
            NotFoundError: There is no such request or file, or it is not done.
            RedirectError: The signed link leads somewhere it must not.
            AmplitudeError: Amplitude refused otherwise (410: expired), or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/ccpa-dsar
        """
        return await self._runner.open(output_call(self.request_id, self.output_id))

    @overload
    def rows(self, *, bad_rows: BadRows = ..., limits: ArchiveLimits | None = ...) -> DsarRows[dict[str, Any]]: ...

    @overload
    def rows(self, *, model: type[T], bad_rows: BadRows = ..., limits: ArchiveLimits | None = ...) -> DsarRows[T]: ...

    def rows(self, *, model: type[Any] = dict, bad_rows: BadRows = "raise", limits: ArchiveLimits | None = None) -> DsarRows[Any]:
        """Return the file's rows; see :meth:`DsarData.rows`."""
        return _rows(self._runner, (self,), model, bad_rows, limits)


def _rows(
    runner: Runner, outputs: tuple[DsarOutput, ...], model: type[T], bad_rows: BadRows, limits: ArchiveLimits | None
) -> DsarRows[T]:
    from amplitude_async._protocol.decoding import RowDecoder  # noqa: PLC0415 - only where rows are read
    from amplitude_async._protocol.inflating import check_limits  # noqa: PLC0415 - as above

    one_of(bad_rows, ("raise", "skip"), argument="bad_rows")
    if limits is not None:
        check_limits(limits)
    return DsarRows(runner, outputs, RowDecoder(model, bad_rows), limits, bad_rows)


class DsarData:
    """What a request that is done has to give.

    Attributes:
        request_id: The request; its files can be had for two days.
        status: How it stood: :class:`DsarStatus`.
        outputs: Its files; none if there is nothing in its days.
    """

    def __init__(self, runner: Runner, status: DsarStatus, request_id: int) -> None:
        self._runner = runner
        self.request_id = request_id
        self.status = status
        self.outputs: tuple[DsarOutput, ...] = tuple(DsarOutput(runner, request_id, number) for number in output_numbers(status))

    def __repr__(self) -> str:
        return f"<DsarData of request {self.request_id}: {len(self.outputs)} files>"

    def __aiter__(self) -> DsarRows[dict[str, Any]]:
        return self.rows()

    @overload
    def rows(self, *, bad_rows: BadRows = ..., limits: ArchiveLimits | None = ...) -> DsarRows[dict[str, Any]]: ...

    @overload
    def rows(self, *, model: type[T], bad_rows: BadRows = ..., limits: ArchiveLimits | None = ...) -> DsarRows[T]: ...

    def rows(self, *, model: type[Any] = dict, bad_rows: BadRows = "raise", limits: ArchiveLimits | None = None) -> DsarRows[Any]:
        """Return the rows of all files, one after another as they download, in constant memory.

        Args:
            model: What a row becomes: a ``dict``, or anything msgspec can decode into, such as
                :class:`~amplitude_async.ExportedEvent`.
            bad_rows: What becomes of a row that cannot be read: ``"raise"`` an ExportError, or ``"skip"`` and count it.
            limits: How much of a file is believed: line length, growth when decoded.

        Returns:
            A :class:`DsarRows`. What it raises while it is read: ExportError where a file is damaged or cut, and AmplitudeErrors of
            the download.

        Raises:
            InvalidArgumentError: The model is nothing that can be decoded into, or an argument makes no sense.
        """
        return _rows(self._runner, self.outputs, model, bad_rows, limits)


class Dsar:
    """What is known of a user (data subject access requests). Needs the organisation's keys.

    One hour has room for 14,400 of cost: a request is 8, everything else 1; calls wait here before Amplitude would refuse them.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def request(
        self,
        *,
        user_id: str | None = None,
        amplitude_id: int | None = None,
        start_date: date | str,
        end_date: date | str,
        **fields: object,
    ) -> DsarRequest:
        """Ask for what is known of a user. The job takes up to three days; :meth:`download` waits for it.

        Not repeated when its outcome is unknown: each request is a job of its own.

        Args:
            user_id: Your own id of the user.
            amplitude_id: Amplitude's id; one of the two.
            start_date: First day: a date, or ``YYYY-MM-DD``.
            end_date: Last day.
            **fields: Further fields of the API.

        Returns:
            ``{"requestId": 81234}``.

        Raises:
            InvalidArgumentError: Neither id, or both; a bound is no day, or the start is after the end.
            ConfigurationError: The client lacks ``org_api_key`` or ``org_secret_key``.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/ccpa-dsar
        """
        named = {"user_id": user_id, "amplitude_id": amplitude_id, "start_date": start_date, "end_date": end_date}
        result: DsarRequest = await self._runner.run(request_call({**named, **fields}))
        return result

    async def status(self, request_id: int) -> DsarStatus:
        """Ask how a request stands.

        Args:
            request_id: The ``requestId`` of :meth:`request`.

        Returns:
            A :class:`DsarStatus`; its ``status`` is ``staging``, ``submitted``, ``done`` or ``failed``.

        Raises:
            NotFoundError: There is no such request.
            AmplitudeError: Amplitude refused otherwise, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/ccpa-dsar
        """
        result: DsarStatus = await self._runner.run(status_call(request_id))
        return result

    def output(self, request_id: int, output_id: int) -> DsarOutput:
        """Return one file of a request that is done; nothing is sent until it is used.

        Args:
            request_id: The request.
            output_id: The number at the end of one of its ``urls``, from 0.

        Returns:
            A :class:`DsarOutput`: ``async for row in output.rows()``, or ``await output.open()`` for its bytes.

        Raises:
            InvalidArgumentError: One of them is no whole number.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/ccpa-dsar
        """
        number = whole_number(request_id, argument="request_id")
        return DsarOutput(self._runner, number, whole_number(output_id, argument="output_id"))

    async def download(
        self,
        *,
        user_id: str | None = None,
        amplitude_id: int | None = None,
        start_date: date | str | None = None,
        end_date: date | str | None = None,
        request_id: int | None = None,
        timeout: float = THREE_DAYS,  # noqa: ASYNC109 - a limit for the whole job
    ) -> DsarData:
        """Ask for what is known of a user, wait until it is there, and return it, ready to be read.

        It is looked at without delay, then at pauses that grow from 1 s by half up to 15 minutes. Looks that fail for the server's or
        the line's sake are taken again, up to five in a row. Who may be cancelled, and wants to go on later, does :meth:`request`
        first, and then this with its ``request_id``.

        Args:
            user_id: As for :meth:`request`.
            amplitude_id: As for :meth:`request`.
            start_date: As for :meth:`request`.
            end_date: As for :meth:`request`.
            request_id: A request that was made before, in place of all of these: wait for that one.
            timeout: Seconds until it has to be done; three days by default.

        Returns:
            A :class:`DsarData`: ``async for row in data`` reads its rows, ``data.outputs`` are its files.

        Raises:
            InvalidArgumentError: As for :meth:`request`, or ``request_id`` beside other arguments.
            RequestTimeoutError: It was not done in time.
            JobError: Amplitude says that it has failed, and why.
            AmplitudeError: Amplitude refused, or did not answer. The ``.job_id`` of each is the ``request_id`` to go on with, or
                ``None`` if it never came to one.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/ccpa-dsar
        """
        deadline = deadline_in(self._runner, timeout)
        asked = {"user_id": user_id, "amplitude_id": amplitude_id, "start_date": start_date, "end_date": end_date}
        if request_id is None:
            answer = await self._runner.run(request_call(asked), deadline=deadline)
            request_id = answer["requestId"]
        elif given(asked):
            name = next(iter(given(asked)))
            raise refused(argument=name, reason="belongs to a new request; leave it out beside request_id")
        number = whole_number(request_id, argument="request_id")
        last: list[str] = []

        async def look(until: float) -> DsarStatus | None:
            status: DsarStatus = await self._runner.run(status_call(number), deadline=until)
            last[:] = [status["status"]]
            if status["status"] == "failed":
                reason = mask(str(status.get("failReason") or ""))
                words = f"DSAR request {number} has failed" + (f": {reason}" if reason else "")
                raise JobError(words, job_id=number, reason=reason, outcome="rejected")
            return status if status["status"] == "done" else None

        def says() -> str:
            stood = f" (it is {mask(last[0], limit=20)})" if last else ""
            return f"DSAR request {number} is not done{stood}; go on with dsar.download(request_id={number})"

        status = await until_done(self._runner, look, deadline=deadline, job_id=number, says=says, longest=LONGEST_PAUSE)
        return DsarData(self._runner, status, number)
