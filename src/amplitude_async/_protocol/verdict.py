"""What an answer, or the lack of one, means for the call: the rules of retrying, in words.

1. A 2xx that reads as the API documents is a success. One that does not is never a success: the data may have arrived
   (``unknown``), so what can be repeated is repeated.
2. 429 and 503 mean not ingested (``not_sent``); so does a request of which no byte of the body left. Any call may be repeated.
3. 408, 425 and every other 5xx, and a request that broke after its body began, leave the outcome ``unknown``: repeat what is
   repeatable.
4. Everything else is Amplitude's final word (``rejected``). No redirect is followed.
5. If any attempt of a call was ``unknown``, the call as a whole is.
6. A 2xx whose body says no (``"success": false``) is Amplitude's final word as much as a 4xx is.
7. A 2xx to an upload that speaks of another number of events, or of another code, than the request leaves ``doubt``: it goes once
   more, and the second such answer counts. After three in a row the double sending stops: that server just counts otherwise.

Of a request of many events, an answer may also say which of them are at fault; see :func:`fate_of`.

Retry advice: https://amplitude.com/docs/apis/analytics/http-v2
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar

from amplitude_async import errors
from amplitude_async._protocol.codec import MalformedError, RefusedAnswerError, decode
from amplitude_async._protocol.masking import mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from amplitude_async._protocol.call import Call
    from amplitude_async.errors import Outcome, RequestSummary

__all__ = [
    "Doubts",
    "Failure",
    "Fate",
    "Reply",
    "RetryBudget",
    "Verdict",
    "copied",
    "fate_of",
    "judge",
    "pause_after",
    "retry_after",
    "sift",
]

MAX_HINT: Final = 600.0
"""A server's wish to wait is honoured up to 10 minutes."""

NOT_SENT: Final = frozenset({429, 503})
RETRIED: Final = frozenset({408, 425, 429})
FIRST_SERVER_ERROR: Final = 500
OK: Final = 200


class Reply(NamedTuple):
    """A complete answer, or as much of one as its limit allowed.

    Attributes:
        status: The HTTP status.
        headers: Names in lower case.
        body: The decoded body.
        fault: Why the body is not complete or not readable; ``""`` if it is.
        was_sent_before: A kept connection broke under the same request after its body began, so it may have arrived then.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    fault: str = ""
    was_sent_before: bool = False

    def __repr__(self) -> str:
        return f"<Reply {self.status}, {len(self.body)} bytes>"


class Failure(NamedTuple):
    """No answer.

    Attributes:
        kind: ``timeout``: a limit passed; ``connect``: no connection; ``broken``: it broke; ``refused``: TLS said no.
        is_sent: Whether any byte of the body may have left.
        reason: What happened, for people.
        detail: The HTTP library's own words, masked.
    """

    kind: Literal["timeout", "connect", "broken", "refused"]
    is_sent: bool
    reason: str
    detail: str = ""


class Verdict(NamedTuple):
    """What one attempt came to.

    Attributes:
        value: The result, if ``error`` is ``None``.
        error: The error, lacking only the facts of the call as a whole.
        outcome: What became of the data in this attempt.
        may_retry: Whether another attempt may be made.
        wait: Seconds that the answer asked to wait, or ``None``.
        doubt: What a success contradicts the request in; ``""`` if nothing.
    """

    value: Any = None
    error: errors.AmplitudeError | None = None
    outcome: Outcome = "rejected"
    may_retry: bool = False
    wait: float | None = None
    doubt: str = ""


def judge(call: Call, answer: Reply | Failure, *, now: float, secrets: Callable[[], Iterable[str]]) -> Verdict:
    """Say what one attempt came to.

    Args:
        call: What was asked.
        answer: What came back.
        now: Unix time in seconds, for ``Retry-After`` dates.
        secrets: Gives the texts that must appear in no message; asked only when there is one.
    """
    if isinstance(answer, Failure):
        return _no_answer(call, answer)
    if 200 <= answer.status < 300:  # noqa: PLR2004 - the success class
        fault = answer.fault
        if not fault:
            try:
                value = call.reads(answer.body)
                return Verdict(value=value, doubt=_contradiction(value, call.events) if call.events else "")
            except RefusedAnswerError:
                error = _refusal(answer, now=now, secrets=tuple(secrets()))
                return Verdict(error=error, outcome="unknown" if answer.was_sent_before else "rejected")
            except MalformedError as malformed:
                fault = str(malformed)
        return _unreadable(call, answer, fault, secrets())
    outcome: Outcome = "rejected"
    may_retry = False
    if answer.status in NOT_SENT:
        outcome, may_retry = "not_sent", answer.status not in call.final
    elif answer.status in RETRIED or answer.status >= FIRST_SERVER_ERROR:
        outcome, may_retry = "unknown", call.repeatable and answer.status not in call.final
    if answer.was_sent_before:
        # This answer speaks for the repeat alone.
        outcome = "unknown"
    error = _refusal(answer, now=now, secrets=tuple(secrets()))
    wait = error.retry_after if isinstance(error, errors.RateLimitedError) else retry_after(answer.headers, now=now)
    return Verdict(error=error, outcome=outcome, may_retry=may_retry, wait=wait)


def _contradiction(value: object, count: int) -> str:
    """Say in what an answer contradicts an upload of ``count`` events; its sizes are not judged."""
    if not isinstance(value, dict):
        return ""
    code, ingested = value.get("code", OK), value.get("events_ingested", count)
    if code != OK:
        return f"its code is {code!r:.20}"
    if isinstance(ingested, int) and not isinstance(ingested, bool) and ingested != count:
        return f"it speaks of {ingested} events, {count} were sent"
    return ""


class Doubts:
    """Remembers how often a server contradicted what it was sent, so that double sending ends if it always does."""

    LIMIT: Final = 3
    WARN_EVERY: Final = 60.0

    def __init__(self) -> None:
        self._in_a_row = 0
        self._warned_at: float | None = None

    def sends_again(self, doubt: str) -> bool:
        """Say whether an upload goes once more after this first answer."""
        if not doubt:
            self._in_a_row = 0
            return False
        return self._in_a_row < self.LIMIT

    def confirmed(self, doubt: str) -> None:
        """Note the second answer to the same upload."""
        self._in_a_row = self._in_a_row + 1 if doubt else 0

    def warns(self, now: float) -> bool:
        """Say whether a warning is due; at most one a minute is."""
        if self._warned_at is not None and now - self._warned_at < self.WARN_EVERY:
            return False
        self._warned_at = now
        return True


class RetryBudget:
    """How many retries one client may make: what a failing server gets stays below 1.1 x the first attempts plus 100 requests.

    Attributes:
        left: Retries that may still be made.
    """

    MOST: Final = 100.0
    EARNED: Final = 0.1

    def __init__(self) -> None:
        self.left = self.MOST

    def note(self, *, is_retry: bool) -> None:
        """Note a request."""
        self.left = max(self.left - 1, 0.0) if is_retry else min(self.left + self.EARNED, self.MOST)

    def succeeded(self) -> None:
        """Note that the server is well: what it may be asked grows again."""
        self.left = min(self.left + 1, self.MOST)

    @property
    def allows(self) -> bool:
        """Whether another retry may be made."""
        return self.left >= 1


def _no_answer(call: Call, failure: Failure) -> Verdict:
    kind = errors.RequestTimeoutError if failure.kind == "timeout" else errors.TransportError
    outcome: Outcome = "unknown" if failure.is_sent else "not_sent"
    # TLS that was refused stays refused within one call: the certificate does not change in seconds.
    may_retry = failure.kind != "refused" and (call.repeatable or not failure.is_sent)
    return Verdict(error=kind(failure.reason, detail=failure.detail), outcome=outcome, may_retry=may_retry)


def _unreadable(call: Call, reply: Reply, fault: str, secrets: Iterable[str]) -> Verdict:
    data = _data(reply.body)
    shown = mask(data if isinstance(data, str) else reply.body[:4096].decode("utf-8", "replace"), secrets)
    words = f"; it begins: {shown}" if shown else "; it is empty"
    message = f"Amplitude answered {reply.status}, but not with what this API documents ({fault}){words}"
    error = errors.UnexpectedResponseError(message, status=reply.status, data=data)
    return Verdict(error=error, outcome="unknown", may_retry=call.repeatable)


def _data(body: bytes) -> Any:  # noqa: ANN401 - this is where JSON enters
    try:
        return decode(body)
    except MalformedError:
        return body.decode("utf-8-sig", "replace")


_STATUS: Final[Mapping[int, type[errors.ResponseError]]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.AuthenticationError,
    404: errors.NotFoundError,
    413: errors.PayloadTooLargeError,
    429: errors.RateLimitedError,
}
_BAD_KEY: Final = re.compile(r"invalid[ _-]?(?:api|secret)[ _-]?key|invalid api/secret", re.IGNORECASE)
_HOST: Final = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?:[^/?#@]*@)?([^/?#:@\s]+|\[[^\]]*\])")


def _refusal(reply: Reply, *, now: float, secrets: Iterable[str]) -> errors.ResponseError:
    status = reply.status
    data = _data(reply.body)
    words = _words(data)
    kind = _STATUS.get(status, errors.ResponseError)
    if status >= FIRST_SERVER_ERROR:
        kind = errors.ServerError
    elif 300 <= status < 400:  # noqa: PLR2004 - the redirect class
        kind = errors.RedirectError
    elif status == 400 and _BAD_KEY.search(words):  # noqa: PLR2004 - Bad Request
        kind = errors.AuthenticationError
    message = f"Request failed with status code {status}"
    shown = mask(words, secrets)
    target = ""
    if kind is errors.RedirectError:
        match = _HOST.match(reply.headers.get("location", ""))
        target = mask(match[1].lower(), secrets) if match else ""
        where = f" to {target}" if target else ""
        shown = f"a redirect{where}, which is never followed; check the endpoint"
    error = kind(f"{message}: {shown}" if shown else message, status=status, data=data, headers=dict(reply.headers))
    if isinstance(error, errors.RedirectError):
        error.target_host = target
    if isinstance(error, errors.RateLimitedError):
        members = data if isinstance(data, dict) else {}
        error.retry_after = retry_after(reply.headers, now=now)
        error.throttled_users = _mapping(members.get("throttled_users"))
        error.throttled_devices = _mapping(members.get("throttled_devices"))
        error.throttled_events = tuple(_indices(members.get("throttled_events")))
    return error


def _words(data: object) -> str:
    """Find Amplitude's own words in any of the envelopes its APIs use."""
    if isinstance(data, str):
        return data
    if not isinstance(data, dict):
        return ""
    several = data.get("errors")
    if isinstance(several, list):
        listed = [item.get("message") if isinstance(item, dict) else item for item in several]
        return "; ".join(item for item in listed if isinstance(item, str))
    error = data.get("error", data.get("message", data.get("detail")))
    if isinstance(error, dict):
        metadata = error.get("metadata")
        details = metadata.get("details") if isinstance(metadata, dict) else None
        message = error.get("message")
        parts = [part for part in (message, details) if isinstance(part, str)]
        return ": ".join(parts)
    if not isinstance(error, str):
        return ""
    missing = data.get("missing_field")
    return f"{error} ({missing})" if isinstance(missing, str) else error


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _indices(value: object) -> list[int]:
    if not isinstance(value, list):
        return []
    return [item for item in value if isinstance(item, int) and not isinstance(item, bool) and item >= 0]


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Read ``Retry-After`` as seconds to wait; ``None`` if it is absent or makes no sense."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        seconds = float(text[:12])
    else:
        from email.utils import parsedate_to_datetime  # noqa: PLC0415 - nine modules, for an answer that is rare

        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
        if seconds < 0:
            return None
    return min(seconds, MAX_HINT)


class Sifted(NamedTuple):
    """What to do with the events of a request that was refused as a whole.

    Attributes:
        refused: Positions that the answer names; they are final.
        rest: ``resend`` the others at once, ``halve`` the request, or ``stop``: the answer is about no event in particular.
    """

    refused: frozenset[int]
    rest: Literal["resend", "halve", "stop"]


_MAP_WORDS: Final = {
    "events_with_invalid_fields": "invalid field",
    "events_with_missing_fields": "missing field",
    "events_missing_required_fields": "missing field",
    "events_with_invalid_id_lengths": "invalid length",
}
_INDEX_MAPS: Final = tuple(_MAP_WORDS)


def sift(error: errors.AmplitudeError, count: int) -> Sifted:
    """Say which events of a refused upload are at fault.

    A 400 that names events refuses just those. A 413, or a 400 that explains nothing, is halved, so that one bad event never takes
    its neighbours along; both end at single events.

    Args:
        error: The refusal.
        count: How many events the request carried.
    """
    nothing: frozenset[int] = frozenset()
    if count < 2:  # noqa: PLR2004 - one event is its own culprit
        return Sifted(nothing, "stop")
    if isinstance(error, errors.PayloadTooLargeError):
        return Sifted(nothing, "halve")
    if not isinstance(error, errors.BadRequestError):
        return Sifted(nothing, "stop")
    members = error.data if isinstance(error.data, dict) else {}
    refused = {index for name in _INDEX_MAPS for listed in _mapping(members.get(name)).values() for index in _indices(listed)}
    refused.update(_indices(members.get("silenced_events")))
    named = frozenset(index for index in refused if index < count)
    if named:
        return Sifted(named, "resend")
    if isinstance(members.get("missing_field"), str):
        return Sifted(nothing, "stop")
    return Sifted(nothing, "halve")


class Fate(NamedTuple):
    """What becomes of the events of one request.

    Attributes:
        rest: What becomes of those that nothing else below names.
            ``delivered``; ``resend``: at once, nothing is wrong with them; ``halve``: they are too much for one request, and one alone
            for any; ``bisect``: one of them is at fault and the answer does not say which, so one alone is the culprit; ``refused``:
            the request as such is refused for good; ``retry``: the same again after a wait; ``pause``: it is about the key, the
            address or TLS, so nothing gets through until somebody changes that: keep them and probe now and then.
        rejected: Why each event was refused that the answer names; final.
        throttled: Positions whose user or device sends too fast: nothing of theirs goes for a while.
        throttled_ids: The users and devices that the answer calls too fast.
        quota_ids: Users and devices whose quota of the day is used up.
        wait: Seconds that the answer asks to wait, or ``None``.
    """

    rest: Literal["delivered", "resend", "halve", "bisect", "refused", "retry", "pause"]
    rejected: Mapping[int, str] = {}
    throttled: frozenset[int] = frozenset()
    throttled_ids: frozenset[str] = frozenset()
    quota_ids: frozenset[str] = frozenset()
    wait: float | None = None


_SUSPICIOUS: Final = frozenset({403, 422})
"""403 comes from a firewall that dislikes some content, so it may be about one event of many, as a 422 is.

https://amplitude.com/docs/apis/analytics/http-v2
"""


def fate_of(verdict: Verdict, count: int) -> Fate:
    """Say what an answer means for each event of an upload.

    Args:
        verdict: What the attempt came to.
        count: How many events the request carried.
    """
    error = verdict.error
    if error is None:
        return Fate("delivered")
    if isinstance(error, errors.PayloadTooLargeError):
        return Fate("halve")
    if isinstance(error, errors.RateLimitedError):
        return _throttled(error, count, verdict.wait)
    if isinstance(error, errors.BadRequestError):
        return _bad_request(error, count, verdict.wait)
    if isinstance(error, errors.ResponseError) and error.status in _SUSPICIOUS:
        return Fate("bisect")
    if isinstance(error, (errors.AuthenticationError, errors.RedirectError)):
        return Fate("pause", wait=verdict.wait)
    if verdict.may_retry:
        return Fate("retry", wait=verdict.wait)
    # Without an answer and not to be repeated: TLS said no.
    return Fate("refused" if isinstance(error, errors.ResponseError) else "pause", wait=verdict.wait)


def _throttled(error: errors.RateLimitedError, count: int, wait: float | None) -> Fate:
    members = error.data if isinstance(error.data, dict) else {}
    quota = {*_mapping(members.get("exceeded_daily_quota_users")), *_mapping(members.get("exceeded_daily_quota_devices"))}
    named = frozenset(index for index in error.throttled_events if index < count)
    ids = frozenset({*error.throttled_users, *error.throttled_devices} - quota)
    if not named and not ids and not quota:
        return Fate("retry", wait=wait)
    return Fate("resend", throttled=named, throttled_ids=ids, quota_ids=frozenset(quota), wait=wait)


def _bad_request(error: errors.BadRequestError, count: int, wait: float | None) -> Fate:
    members = error.data if isinstance(error.data, dict) else {}
    rejected: dict[int, str] = {}
    for name in _INDEX_MAPS:
        for field, listed in _mapping(members.get(name)).items():
            for index in _indices(listed):
                if index < count:
                    rejected.setdefault(index, f"{_MAP_WORDS[name]}: {mask(str(field), limit=60)}")
    for index in _indices(members.get("silenced_events")):
        if index < count:
            rejected.setdefault(index, "its device is silenced")
    throttled = frozenset(index for index in _indices(members.get("throttled_events")) if index < count and index not in rejected)
    if rejected or throttled:
        return Fate("resend", rejected, throttled, wait=wait)
    return Fate("refused" if isinstance(members.get("missing_field"), str) else "bisect")


def pause_after(wait: float | None, own: float, *, least: float = 1.0) -> float:
    """Return how long all sending waits: a server's hint between ``least`` seconds and ten minutes, else our own backoff."""
    return own if wait is None else min(max(wait, least, own), MAX_HINT)


ErrorT = TypeVar("ErrorT", bound=errors.AmplitudeError)


def copied(error: ErrorT, insert_ids: Sequence[str], outcome: Outcome | None) -> ErrorT:
    """Return the same error about other events: one answer may be about the events of many callers."""
    same = copy.copy(error)
    if isinstance(error, (errors.ResponseError, errors.UnexpectedResponseError)) and isinstance(same, type(error)):
        # Left out of pickles, and so of copies.
        same.data = error.data
        if isinstance(error, errors.ResponseError) and isinstance(same, errors.ResponseError):
            same.headers = error.headers
    same.outcome = outcome
    same.insert_ids = tuple(insert_ids)
    return same


def finished(verdicts: Sequence[Verdict], call: Call, request: RequestSummary) -> errors.AmplitudeError:
    """Return the error of the last attempt, with the facts of the call as a whole."""
    error = verdicts[-1].error
    if error is None:
        message = "finished() is for calls that failed"
        raise RuntimeError(message)
    outcomes = {verdict.outcome for verdict in verdicts}
    error.outcome = "unknown" if "unknown" in outcomes else verdicts[-1].outcome
    error.insert_ids = call.insert_ids
    error.request = request
    return error
