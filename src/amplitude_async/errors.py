"""Every error that leaves the library, as one tree.

    AmplitudeError
      ConfigurationError            a key, an endpoint, an option is missing or wrong (also a ValueError)
      InvalidArgumentError          an argument refused here, before sending; .argument (also a ValueError)
        InvalidEventError           an event refused here; .path says where
      ClosedError                   used after closing
      BudgetError                   a limit of Amplitude's would be passed; .cost .wait
      TransportError                no complete answer; .detail
        RequestTimeoutError         (also a builtin TimeoutError)
      ResponseError                 Amplitude answered no: .status .data .headers
        RedirectError               3xx; .target_host
        BadRequestError             400
        AuthenticationError         401, 403, and a 400 that says the key is invalid
        NotFoundError               404
        PayloadTooLargeError        413
        RangeTooLargeError          an export hour that is more than Amplitude gives; .start .end
        RateLimitedError            429; .retry_after .throttled_users .throttled_devices .throttled_events
        ServerError                 5xx
      UnexpectedResponseError       2xx, but not what the API documents: .status .data
      PartialDeliveryError          some events of a list were accepted, some were not: .delivered .failed
      PartialDeletionError          some users may be scheduled for deletion, others are not: .report .error
      JobError                      a job that Amplitude ran has failed: .reason
      OutboxError                   background delivery could not take, keep or hand back events
        OutboxFull                  no room, and waiting for it was not asked for or took too long
        OutboxClosed                used after closing (also a ClosedError)
        OutboxLocked                another process, or another outbox here, drains this file; .path
        OutboxStorageError          the disk refused, or holds what this outbox must not use; .path .detail
      ExportError                   a damaged or cut archive, a row that cannot be read: .member .line
        ExportStorageError          a file of it cannot be written: the disk is full, or forbids it

Every error of a job names it in ``job_id``, so that the wait can be taken up again.

Every error of a call that was sent answers two questions: what happened to the data (``outcome``) and under which
``insert_ids`` it may be sent again without being counted twice. Facts are attributes; the message is for people.

No message, ``repr`` or pickle of these errors contains a key, and the server's own answer (``data``), which may, is kept out
of all three.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from amplitude_async.resources.privacy import DeletionReport

__all__ = [
    "AmplitudeError",
    "AuthenticationError",
    "BadRequestError",
    "BudgetError",
    "ClosedError",
    "ConfigurationError",
    "ExportError",
    "ExportStorageError",
    "ExportWarning",
    "InvalidArgumentError",
    "InvalidEventError",
    "JobError",
    "NotFoundError",
    "OutboxClosed",
    "OutboxError",
    "OutboxFull",
    "OutboxLocked",
    "OutboxStorageError",
    "Outcome",
    "PartialDeletionError",
    "PartialDeliveryError",
    "PayloadTooLargeError",
    "RangeTooLargeError",
    "RateLimitedError",
    "RedirectError",
    "RequestSummary",
    "RequestTimeoutError",
    "ResponseError",
    "ServerError",
    "TransportError",
    "UnexpectedResponseError",
]

Outcome = Literal["rejected", "not_sent", "unknown"]
"""What became of the data of a failed call.

``rejected``: Amplitude refused it. ``not_sent``: it was certainly not ingested. ``unknown``: it may have been; sending it again
under the same ``insert_ids`` within 7 days is safe.
"""


class RequestSummary(NamedTuple):
    """What was asked of whom, without headers, query or body.

    Attributes:
        method: The HTTP method.
        origin: Scheme, host and port.
        path: The path, without its query.
        attempts: How many requests were made for the call.
    """

    method: str
    origin: str
    path: str
    attempts: int


class AmplitudeError(Exception):
    """The root of every error this library raises.

    Attributes:
        outcome: What became of the data, or ``None`` if the error is not about a call that was sent.
        insert_ids: The ids under which the events of the call may be repeated safely.
        request: A summary of the request, or ``None`` if there was none.
        job_id: The job at Amplitude (a cohort's download, a DSAR request) that was waited for, by which that can be taken up again;
            ``None`` if there was none.
    """

    outcome: Outcome | None = None
    insert_ids: tuple[str, ...] = ()
    request: RequestSummary | None = None
    job_id: int | str | None = None

    # What must not travel in a pickle: the server's answer may echo anything, a key included.
    _unpickled = frozenset({"data", "headers"})

    def __init__(
        self,
        message: str,
        *,
        outcome: Outcome | None = None,
        insert_ids: Sequence[str] = (),
        request: RequestSummary | None = None,
    ) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.insert_ids = tuple(insert_ids)
        self.request = request

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: value for name, value in vars(self).items() if name not in self._unpickled}
        return (_restored, (type(self), str(self), state))


def shown(value: object) -> str:
    """Return a refused value as its refusal shows it: its beginning, or its type where it has no text (an int of 5,000 digits)."""
    try:
        return f"{value!r:.40}"
    except Exception:  # noqa: BLE001 - a repr of the user's own may raise anything
        return f"this {type(value).__name__}"


def _restored(kind: type[AmplitudeError], message: str, state: dict[str, Any]) -> AmplitudeError:
    error = kind.__new__(kind, message)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class ConfigurationError(AmplitudeError, ValueError):
    """A key, an endpoint or an option is missing or wrong; the message names the argument and the variable."""


class InvalidArgumentError(AmplitudeError, ValueError):
    """An argument was refused here, before anything was sent.

    Attributes:
        argument: The name of the argument.
    """

    argument: str = ""

    def __init__(self, message: str, *, argument: str = "") -> None:
        super().__init__(message)
        self.argument = argument


class InvalidEventError(InvalidArgumentError):
    """An event or identification was refused here, before anything was sent.

    Attributes:
        path: Where the fault lies, e.g. ``events[3].event_properties.price``.
    """

    path: str = ""

    def __init__(self, message: str, *, path: str = "", argument: str = "events") -> None:
        super().__init__(f"{path}: {message}" if path else message, argument=argument)
        self.path = path


class ClosedError(AmplitudeError):
    """The client, or the export, was used after closing."""


class BudgetError(AmplitudeError):
    """A limit of Amplitude's would be passed, and waiting was not allowed or would take longer than the call may.

    Nothing was sent. ``when_limited="wait"`` (the default) waits as long as the call's own deadline allows.

    Attributes:
        cost: What the call would have cost, in the units of the limit.
        wait: Seconds until there is room; ``None`` if that depends on calls that are under way.
    """

    cost: int = 1
    wait: float | None = None

    def __init__(
        self,
        message: str,
        *,
        cost: int = 1,
        wait: float | None = None,
        outcome: Outcome | None = "not_sent",
        insert_ids: Sequence[str] = (),
        request: RequestSummary | None = None,
    ) -> None:
        super().__init__(message, outcome=outcome, insert_ids=insert_ids, request=request)
        self.cost = cost
        self.wait = wait


class TransportError(AmplitudeError):
    """No complete answer came: the name did not resolve, the connection broke, TLS failed.

    Attributes:
        detail: The class and masked text of the HTTP library's own error.
    """

    detail: str = ""

    def __init__(
        self,
        message: str,
        *,
        detail: str = "",
        outcome: Outcome | None = None,
        insert_ids: Sequence[str] = (),
        request: RequestSummary | None = None,
    ) -> None:
        super().__init__(message, outcome=outcome, insert_ids=insert_ids, request=request)
        self.detail = detail


class RequestTimeoutError(TransportError, TimeoutError):
    """A limit in time passed before the answer was complete, or before a job was done (then ``job_id`` says which)."""


class ResponseError(AmplitudeError):
    """Amplitude answered, and the answer is no.

    Attributes:
        status: The HTTP status.
        data: The answer: parsed JSON, else its text. Unmasked, so it is in no message and no pickle.
        headers: The answer's headers, names in lower case.
    """

    status: int = 0
    data: Any = None
    headers: Mapping[str, str] = {}

    def __init__(
        self,
        message: str,
        *,
        status: int,
        data: Any = None,  # noqa: ANN401 - this is where JSON enters
        headers: Mapping[str, str] | None = None,
        outcome: Outcome | None = None,
        insert_ids: Sequence[str] = (),
        request: RequestSummary | None = None,
    ) -> None:
        super().__init__(message, outcome=outcome, insert_ids=insert_ids, request=request)
        self.status = status
        self.data = data
        self.headers = {} if headers is None else headers


class RedirectError(ResponseError):
    """Amplitude's host answered with a redirect, which is never followed.

    Attributes:
        target_host: The host that the answer points to, or ``""`` if it names none.
    """

    target_host: str = ""


class BadRequestError(ResponseError):
    """400: something in the request is wrong; the message has Amplitude's own words."""


class AuthenticationError(ResponseError):
    """401, 403, or a 400 that says the API key is invalid. Check the key, the secret, and the region."""


class NotFoundError(ResponseError):
    """404. For an export: no data in the range."""


class PayloadTooLargeError(ResponseError):
    """413: one event alone is over Amplitude's limit (lists are split before this is raised)."""


class RangeTooLargeError(ResponseError):
    """An export of a single hour, or of a range that must not be split, is more than Amplitude gives in one answer.

    Amplitude refuses more than 4 GB (400) and gives up on much (504). What is left is its export to a bucket of your own.

    Attributes:
        start: The first hour asked for, as ``YYYYMMDDTHH``.
        end: The last hour, inclusive.
    """

    start: str = ""
    end: str = ""


class RateLimitedError(ResponseError):
    """429: too many requests.

    Attributes:
        retry_after: Seconds that the answer asked to wait, or ``None``.
        throttled_users: Events per second of each throttled user.
        throttled_devices: Events per second of each throttled device.
        throttled_events: Positions, in the request, of the events that were throttled.
    """

    retry_after: float | None = None
    throttled_users: Mapping[str, Any] = {}
    throttled_devices: Mapping[str, Any] = {}
    throttled_events: Sequence[int] = ()


class ServerError(ResponseError):
    """5xx: Amplitude has trouble. After a 503 the events were certainly not ingested."""


class UnexpectedResponseError(AmplitudeError):
    """A 2xx answer that is not what the API documents: an HTML page, an empty body, cut JSON.

    Attributes:
        status: The HTTP status.
        data: The answer, as text or as what it parsed to; unmasked, so it is in no message and no pickle.
    """

    status: int = 0
    data: Any = None

    def __init__(
        self,
        message: str,
        *,
        status: int,
        data: Any = None,  # noqa: ANN401 - this is where JSON enters
        outcome: Outcome | None = None,
        insert_ids: Sequence[str] = (),
        request: RequestSummary | None = None,
    ) -> None:
        super().__init__(message, outcome=outcome, insert_ids=insert_ids, request=request)
        self.status = status
        self.data = data


class PartialDeliveryError(AmplitudeError):
    """Some events of a list were accepted, others were not.

    Attributes:
        delivered: Positions, in the caller's list, of the events that Amplitude accepted.
        failed: The error of each of the others, by position.
        dropped: Positions of the events that your ``before_send`` dropped.
    """

    delivered: tuple[int, ...] = ()
    failed: Mapping[int, AmplitudeError] = {}
    dropped: tuple[int, ...] = ()

    def __init__(
        self,
        message: str,
        *,
        delivered: Sequence[int],
        failed: Mapping[int, AmplitudeError],
        outcome: Outcome | None = None,
        insert_ids: Sequence[str] = (),
        request: RequestSummary | None = None,
    ) -> None:
        super().__init__(message, outcome=outcome, insert_ids=insert_ids, request=request)
        self.delivered = tuple(delivered)
        self.failed = dict(failed)


class PartialDeletionError(AmplitudeError):
    """Some of several requests for the deletion of users were answered, or may have been, and one failed; no further one was sent.

    Attributes:
        report: Which ids are accepted, invalid, rejected, unknown and unsent.
        error: What the request failed by.
    """

    report: DeletionReport
    error: AmplitudeError

    def __init__(
        self,
        message: str,
        *,
        report: DeletionReport,
        error: AmplitudeError,
        outcome: Outcome | None = None,
        insert_ids: Sequence[str] = (),
        request: RequestSummary | None = None,
    ) -> None:
        super().__init__(message, outcome=outcome, insert_ids=insert_ids, request=request)
        self.report = report
        self.error = error


class JobError(AmplitudeError):
    """A job that Amplitude ran has failed; waiting longer would not help.

    Attributes:
        reason: Amplitude's own words; ``""`` if there are none.
    """

    reason: str = ""

    def __init__(
        self,
        message: str,
        *,
        job_id: int | str | None = None,
        reason: str = "",
        outcome: Outcome | None = None,
        insert_ids: Sequence[str] = (),
        request: RequestSummary | None = None,
    ) -> None:
        super().__init__(message, outcome=outcome, insert_ids=insert_ids, request=request)
        self.job_id = job_id
        self.reason = reason


class OutboxError(AmplitudeError):
    """Background delivery could not take, keep or hand back events."""


class OutboxFull(OutboxError):  # noqa: N818 - named as queue.Full is
    """The outbox has no room for the event, which was not accepted."""


class OutboxClosed(OutboxError, ClosedError):  # noqa: N818 - named as queue.ShutDown is
    """The outbox was used after closing."""


class OutboxLocked(OutboxError):  # noqa: N818 - says what is so, as its neighbours do
    """Another process, or another outbox of this one, drains the file.

    Attributes:
        path: The file.
    """

    path: str = ""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class OutboxStorageError(OutboxError):
    """The disk refused (full, read-only, no such folder), or the file is one that this outbox must not use.

    What was being accepted was not accepted; what was accepted before is still there.

    Attributes:
        path: The file.
        detail: What the system or SQLite said.
    """

    path: str = ""
    detail: str = ""

    def __init__(self, message: str, *, path: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.detail = detail


class ExportError(AmplitudeError):
    """An export could not be read or kept: the archive is damaged or cut, a row is no JSON, hours of a job failed.

    Attributes:
        member: The file within the archive, or ``""``. Fit to be shown; never use it as a path.
        line: The line of that file, from 1; 0 if no line is concerned.
        hours: The hours that a job could not fetch, as ``YYYYMMDDTHH``; empty if this is not about a job.
    """

    member: str = ""
    line: int = 0
    hours: tuple[str, ...] = ()

    def __init__(
        self,
        message: str,
        *,
        member: str = "",
        line: int = 0,
        outcome: Outcome | None = None,
        insert_ids: Sequence[str] = (),
        request: RequestSummary | None = None,
    ) -> None:
        super().__init__(message, outcome=outcome, insert_ids=insert_ids, request=request)
        self.member = member
        self.line = line


class ExportStorageError(ExportError):
    """A file of an export cannot be written: the disk is full or broken, or somebody else is at work there."""


class ExportWarning(UserWarning):
    """An export is not all that it could be: hours that are not complete yet, files within it that hold no rows."""
