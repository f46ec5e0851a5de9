"""Sends a Call, asks for the verdict, waits, sends again: the only place where retries happen.

A slot is taken in the caller's own task *before* the request's task is spawned. The other way round, cancelled callers leave tasks
behind that queue for slots, and later calls starve.
"""

from __future__ import annotations

import logging
import sys
import time
from math import inf
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar

from amplitude_async._io.connection import CLOSE_SECONDS
from amplitude_async._io.observing import Asked, Sent
from amplitude_async._io.streams import Opening, Stream
from amplitude_async._io.transport.answers import OpenStream
from amplitude_async._io.transport.wire import Wire
from amplitude_async._protocol.bodies import query_text
from amplitude_async._protocol.call import Call, read_nothing
from amplitude_async._protocol.credentials import NEEDED, authorization, missing
from amplitude_async._protocol.masking import fingerprint
from amplitude_async._protocol.verdict import Failure, Reply, Verdict, finished, judge
from amplitude_async._version import __version__
from amplitude_async.errors import (
    AuthenticationError,
    BudgetError,
    ClosedError,
    ConfigurationError,
    RedirectError,
    RequestSummary,
    ResponseError,
    UnexpectedResponseError,
)
from amplitude_async.options import Backoff, Limits, Timeout, limits_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from amplitude_async._io.connection import Connection, Slots
    from amplitude_async._io.sharing import Shared
    from amplitude_async._io.tasks import OwnedTask, OwnedTasks
    from amplitude_async._io.transport.door import Transport
    from amplitude_async._protocol.call import Kind
    from amplitude_async._protocol.hosts import Api, Endpoint
    from amplitude_async._protocol.links import Link
    from amplitude_async._protocol.uploads import Event

__all__ = ["Caller", "Policy", "WhenLimited"]

WhenLimited = Literal["wait", "raise"]

AnswerT = TypeVar("AnswerT", bound="Reply | Failure | OpenStream")

USER_AGENT: Final = f"amplitude-async/{__version__} python/{sys.version_info[0]}.{sys.version_info[1]}"
CONNECT_SHARE: Final = 0.9
"""Connecting may take this share of an attempt: a deadline that cancels a TLS handshake strands its socket."""
MAX_FRESH_LINKS: Final = 2
"""How often a download link that has expired is asked for again."""

_LOG: Final = logging.getLogger("amplitude_async.io")


class Policy(NamedTuple):
    """What may differ between views of one client."""

    timeout: Timeout
    max_retries: int
    backoff: Backoff
    when_limited: WhenLimited = "wait"


class Caller:
    """Runs Calls for one view of a client."""

    def __init__(self, connection: Connection, policy: Policy) -> None:
        self.connection = connection
        self.policy = policy

    @property
    def tasks(self) -> OwnedTasks:
        """The library's own tasks."""
        return self.connection.tasks

    @property
    def slots(self) -> Slots | None:
        """The slots, or ``None`` before first use."""
        return self.connection.slots

    def deadline(self, kind: Kind) -> float:
        """Return when an awaited call that begins now has to be over, on the clock of the policy."""
        return self.policy.backoff.clock() + limits_for(kind, self.policy.timeout).call

    def secrets(self) -> tuple[str, ...]:
        """Return the texts that must appear in no message."""
        return self.connection.secrets()

    async def share(self, events: Sequence[Event], parts: Sequence[Sequence[int]], options: bytes | None) -> Shared:
        """Upload events in requests that others of this client may share; see :mod:`amplitude_async._io.sharing`."""
        # What the transport cannot be built for is the caller's to know, at once.
        self.connection.enter()
        sharing = self.connection.sharing
        if sharing is None:
            from amplitude_async._io.sharing import Sharing  # noqa: PLC0415 - not before it is needed, and it names this room

            sharing = self.connection.sharing = Sharing(self.connection)
        return await sharing.upload(self, events, parts, options)

    def fingerprint(self) -> bytes:
        """Return what stands for the project in its files; no key can be told from it."""
        api_key = self.connection.settings.credentials["api_key"]
        revealed = "" if api_key is None else api_key.reveal()
        return fingerprint(revealed)

    async def rest(self, attempt: int, at_least: float | None) -> None:
        """Wait before an attempt of something larger than a call, as the policy's backoff says."""
        backoff = self.policy.backoff
        await backoff.sleep(max(backoff.delay(attempt), at_least or 0.0))

    def clock(self) -> float:
        """Return the time that deadlines are measured on, in seconds."""
        return self.policy.backoff.clock()

    async def pause(self, seconds: float) -> None:
        """Wait so long, as between two looks at a job; a ClosedError if the client is closed meanwhile."""
        if seconds > 0:
            await self.connection.pause(self.policy.backoff.sleep(seconds))
        else:
            # A turn for other tasks, in the middle of a file.
            await self.policy.backoff.sleep(seconds)

    async def run(self, call: Call, *, deadline: float | None = None) -> Any:  # noqa: ANN401 - this is where JSON enters
        """Send a call and return what its answer says, with as many retries as the policy allows.

        Args:
            call: What to ask.
            deadline: When the awaited call that this is a part of has to be over; by default the limit of its kind from now. Waiting
                for a quota counts in a deadline that the caller set, here or as ``Timeout.call``, and not in the default one.

        Raises:
            BudgetError: A quota has no room, and waiting for it is not wanted or would take too long.
            AmplitudeError: Whatever the verdict on the last attempt was.
        """
        observer = self.connection.observer
        if observer is None or call.events:
            # An upload of events is watched as a whole, by whoever asked for it.
            return (await self._until_final(call, deadline)).value
        with observer.calling(asked(call)):
            return (await self._until_final(call, deadline)).value

    async def open(self, call: Call, *, deadline: float | None = None) -> Stream:
        """Send a call and return its answer as a stream; takes no slot.

        Where the call says so, one redirect is followed, to a signed link and without credentials; a link that has expired is asked
        for anew, twice at most.

        Raises:
            AmplitudeError: Whatever the verdict on the last attempt was.
        """
        observer = self.connection.observer
        if observer is None:
            return await self._open(call, deadline)
        with observer.calling(asked(call)):
            return await self._open(call, deadline)

    async def _open(self, call: Call, deadline: float | None) -> Stream:
        for last in range(MAX_FRESH_LINKS + 1):
            try:
                verdict = await self._until_final(call, deadline)
            except RedirectError as redirect:
                if not call.follows_link:
                    raise
                linked = self._linked(call, redirect)
            else:
                return self._checked(verdict.value)
            try:
                return self._checked((await self._until_final(linked, deadline)).value)
            except AuthenticationError as expired:
                # These links live for a minute.
                if last == MAX_FRESH_LINKS:
                    # No key was shown, so none is wrong: it is not the error that says so.
                    raise _unusable(expired) from None
        message = "the loop above ends by itself"
        raise RuntimeError(message)

    def _linked(self, call: Call, redirect: RedirectError) -> Call:
        """Describe the request for the file that a redirect points to.

        Raises:
            RedirectError: The target is not one that is followed.
        """
        from amplitude_async._protocol.links import UnsafeLinkError, read_link  # noqa: PLC0415 - few calls are redirected

        try:
            link = read_link(redirect.headers.get("location", ""), self._endpoint(call))
        except UnsafeLinkError as unsafe:
            message = f"The download link is not followed: {unsafe}"
        else:
            return Call(call.api, "stream", "GET", link.path, "none", read_nothing, repeatable=True, link=link)
        refused = RedirectError(
            message, status=redirect.status, headers=redirect.headers, outcome="rejected", request=redirect.request
        )
        refused.target_host = redirect.target_host
        raise refused from None

    def link(self, api: Api, address: str) -> Link:
        """Read a signed link that an answer of this API names.

        Raises:
            UnexpectedResponseError: It is not one that is followed.
        """
        from amplitude_async._protocol.links import UnsafeLinkError, read_link  # noqa: PLC0415 - few answers name links

        try:
            return read_link(address, self._origin(api))
        except UnsafeLinkError as unsafe:
            message = f"Amplitude answered 200, but a link in the answer is not followed: {unsafe}"
        raise UnexpectedResponseError(message, status=200, outcome="unknown")

    @staticmethod
    def _checked(value: object) -> Stream:
        if isinstance(value, Stream):
            return value
        message = "a stream was expected"
        raise RuntimeError(message)

    async def _until_final(self, call: Call, deadline: float | None) -> Verdict:
        self._require_credential(call)
        self._endpoint(call)
        backoff = self.policy.backoff
        limits = limits_for(call.kind, self.policy.timeout)
        end = self.deadline(call.kind) if deadline is None else deadline
        is_default = deadline is None and self.policy.timeout.call is None
        verdicts: list[Verdict] = []
        wait: float | None = None
        while True:
            try:
                if wait is not None:
                    await self.connection.pause(backoff.sleep(wait))
                transport, slots = self.connection.enter()
                if call.uses:
                    began = backoff.clock()
                    await self._enter_gate(call, inf if is_default else end)
                    end += backoff.clock() - began if is_default else 0.0
            except (BudgetError, ClosedError):
                # What the last attempt came to says more: it may have arrived.
                if verdicts:
                    raise finished(verdicts, call, self.summary(call, len(verdicts))) from None
                raise
            self.connection.budget.note(is_retry=bool(verdicts))
            verdict = await self._attempt(call, transport, slots, limits, end, len(verdicts) + 1)
            if verdict.error is None:
                self.connection.budget.succeeded()
                return verdict
            verdicts.append(verdict)
            wait = self.wait_before_next(verdicts, end)
            if wait is None:
                raise finished(verdicts, call, self.summary(call, len(verdicts)))
            _LOG.debug("%s %s is tried again in %.3g s", call.method, call.route, wait)

    async def _enter_gate(self, call: Call, until: float) -> None:
        gate = self.connection.gate(self.policy.backoff)
        await gate.enter(call.uses, may_wait=self.policy.when_limited == "wait", until=until)

    def wait_before_next(self, verdicts: Sequence[Verdict], deadline: float) -> float | None:
        """Return how long to wait before another attempt, ``None`` if there is none."""
        last = verdicts[-1]
        if not last.may_retry or len(verdicts) > self.policy.max_retries or not self.connection.budget.allows:
            return None
        backoff = self.policy.backoff
        wait = backoff.delay(len(verdicts))
        if last.wait is not None:
            wait = max(wait, last.wait)
        return wait if backoff.clock() + wait < deadline else None

    async def _attempt(self, call: Call, transport: Transport, slots: Slots, limits: Limits, deadline: float, number: int) -> Verdict:
        """Make one attempt. It has entered the gate, and leaves it when the request, not its caller, is done."""
        leave = self._leaving(call)
        if call.kind == "stream":
            limit = min(limits.attempt, deadline - self.clock())
            if limit <= 0:
                leave()
                return self._too_late(call)
            return await self._opened(call, transport, limits, limit, number, leave)
        patience = min(limits.pool, limits.attempt, deadline - self.clock())
        is_taken = False
        try:
            is_taken = await slots.take(patience)
        finally:
            if not is_taken:
                leave()
        if not is_taken:
            reason = f"no free connection within {patience:.3g} s; all {slots.total} are in use"
            return self.judged(call, Failure("timeout", is_sent=False, reason=reason))

        def release() -> None:
            slots.give_back()
            leave()

        limit = min(limits.attempt, deadline - self.clock())
        if limit <= 0:
            release()
            return self._too_late(call)

        async def exchange(_: OwnedTask[Verdict]) -> Verdict:
            return await self.exchange(transport, call, limits, limit, resends=number - 1)

        return await self.tasks.spawn(exchange, release).wait()

    def _too_late(self, call: Call) -> Verdict:
        return self.judged(call, Failure("timeout", is_sent=False, reason="the time for the whole call is over"))

    def _leaving(self, call: Call) -> Callable[[], None]:
        if not call.uses:
            return _nothing
        gate, uses = self.connection.gate(self.policy.backoff), call.uses
        return lambda: gate.leave(uses)

    async def _opened(
        self, call: Call, transport: Transport, limits: Limits, limit: float, number: int, leave: Callable[[], None]
    ) -> Verdict:
        """Open a stream. Its connection is its own, so a cancelled opening costs no slot of the pool."""
        opening = Opening()
        self.connection.openings.add(opening)
        is_handed_over = False

        async def open_stream(owned: OwnedTask[OpenStream | Reply | Failure]) -> OpenStream | Reply | Failure:
            opened: OpenStream | Reply | Failure | None = None
            try:
                with opening.scope:
                    wire = self._wire(call, limits, limit)
                    opening_it = transport.open(wire, limit, limits.between_bytes, opening.connected)
                    opened = await (self._watched(call, opening_it, resends=number - 1) if self._is_watched() else opening_it)
            finally:
                self.connection.openings.discard(opening)
            if owned.is_abandoned and isinstance(opened, OpenStream):
                await opened.aclose()
            return opened or Failure("broken", is_sent=True, reason="the client was closed before the download began")

        def abandon(opened: OpenStream | Reply | Failure | None) -> None:
            opening.give_up()
            if isinstance(opened, OpenStream):
                # It opened in the very turn in which the waiter was cancelled.
                self.tasks.spawn(lambda _: opened.aclose())

        try:
            owned = self.tasks.spawn(open_stream)
            owned.abandon = abandon
            answer = await owned.wait()
            if isinstance(answer, OpenStream):
                stream = Stream(self.connection, answer, call, self.summary(call, number), leave)
                is_handed_over = True
                return Verdict(value=stream)
        finally:
            if not is_handed_over:
                leave()
        return self.judged(call, answer)

    async def exchange(
        self,
        transport: Transport,
        call: Call,
        limits: Limits,
        limit: float,
        *,
        resends: int = 0,
        causes: Sequence[object] | None = None,
        is_awaited: bool = True,
    ) -> Verdict:
        """Send one request, or the same once more if its answer contradicts it, within ``limit`` seconds. Runs in an owned task.

        Args:
            transport: Sends it.
            call: What to send.
            limits: The limits of its kind.
            limit: Seconds that all of it may take.
            resends: How many requests for the same failed before it; for observers, as is the rest.
            causes: Where the events were handed over, of a request for several calls.
            is_awaited: Whether those who handed them over wait.
        """
        clock = self.policy.backoff.clock
        end = clock() + limit
        answer: Awaitable[Reply | Failure] = transport.exchange(self._wire(call, limits, limit), limit)
        if self._is_watched():
            answer = self._watched(call, answer, resends=resends, causes=causes, is_awaited=is_awaited)
        verdict = self.judged(call, await answer)
        doubts = self.connection.doubts
        if verdict.error is not None or not doubts.sends_again(verdict.doubt):
            return verdict
        if doubts.warns(clock()):
            _LOG.warning("an upload was answered by a contradiction (%s); it is sent once more", verdict.doubt)
        await transport.drop_idle()
        limit = end - clock()
        if limit <= 0:
            message = f"Amplitude answered 200, but the answer contradicts the upload ({verdict.doubt})"
            return Verdict(error=UnexpectedResponseError(message, status=200), outcome="unknown", may_retry=True)
        answer = transport.exchange(self._wire(call, limits, limit), limit)
        if self._is_watched():
            answer = self._watched(call, answer, resends=resends + 1, causes=causes, is_awaited=is_awaited)
        again = self.judged(call, await answer)
        if again.error is not None:
            # The first answer may have been true.
            return again._replace(outcome="unknown")
        doubts.confirmed(again.doubt)
        return again

    def _is_watched(self) -> bool:
        return self.connection.observer is not None or _LOG.isEnabledFor(logging.DEBUG)

    async def _watched(
        self,
        call: Call,
        answering: Awaitable[AnswerT],
        *,
        resends: int,
        causes: Sequence[object] | None = None,
        is_awaited: bool = True,
    ) -> AnswerT:
        """Wait for the answer to a request, and tell the log and the observer of both."""
        endpoint = self._endpoint(call)
        observer = self.connection.observer
        began = time.perf_counter()
        if observer is None:
            answer = await answering
        else:
            path = f"{endpoint.prefix}{call.path}"
            sent = Sent(asked(call), endpoint.origin, path, call.query, call.events, resends, causes, is_awaited)
            with observer.sending(sent) as watch:
                answer = await answering
                if isinstance(answer, OpenStream):
                    watch.answered(answer.status, None)
                else:
                    watch.answered(None if isinstance(answer, Failure) else answer.status, self.judged(call, answer).error)
        if _LOG.isEnabledFor(logging.DEBUG):
            said = answer.kind if isinstance(answer, Failure) else answer.status
            took = (time.perf_counter() - began) * 1000
            _LOG.debug("%s %s%s: %s after %.0f ms, attempt %d", call.method, endpoint.origin, call.route, said, took, resends + 1)
        return answer

    def judged(self, call: Call, answer: Reply | Failure) -> Verdict:
        """Say what one attempt came to."""
        return judge(call, answer, now=time.time(), secrets=self.connection.secrets)

    def _endpoint(self, call: Call) -> Endpoint:
        return self._origin(call.api) if call.link is None else call.link.endpoint

    def _origin(self, api: Api) -> Endpoint:
        endpoint = self.connection.settings.endpoints[api]
        if endpoint is None:
            message = f"Amplitude does not offer this API ({api.replace('_', ' ')}) in the EU."
            raise ConfigurationError(message)
        return endpoint

    def summary(self, call: Call, attempts: int) -> RequestSummary:
        """Say what was asked of whom, without anything secret."""
        endpoint = self._endpoint(call)
        return RequestSummary(call.method, endpoint.origin, f"{endpoint.prefix}{call.path}", attempts)

    def _require_credential(self, call: Call) -> None:
        self.connection.check_open()
        credentials = self.connection.settings.credentials
        for name in NEEDED[call.credential]:
            if credentials[name] is None:
                raise ConfigurationError(missing(name))

    def _wire(self, call: Call, limits: Limits, limit: float) -> Wire:
        """Put the credential in: the one place where a key is revealed."""
        credentials = self.connection.settings.credentials
        revealed = [secret.reveal() for name in NEEDED[call.credential] if (secret := credentials[name]) is not None]
        headers = {"Accept": "application/json, text/plain, */*", "User-Agent": USER_AGENT}
        headers["Accept-Encoding"] = "gzip" if call.kind == "query" else "identity"
        body = b""
        header = authorization(call.credential, revealed)
        if header is not None:
            headers["Authorization"] = header
        headers.update(call.headers)
        if call.body is not None:
            body = call.body.render(revealed[0] if call.credential == "in_body" else "")
            headers |= call.body.headers
        timeouts = {
            "connect": min(limits.connect, limit * CONNECT_SHARE),
            "read": limits.read,
            "write": limits.write,
            "pool": limits.pool,
        }
        if call.link is not None:
            url = call.link.url
        else:
            query = f"?{query_text(call.query)}" if call.query else ""
            url = self._endpoint(call).url(call.path) + query
        is_repeatable = call.repeatable
        if call.uses:
            from amplitude_async._protocol.budget import fills_a_window  # noqa: PLC0415 - who only uploads needs no quotas

            is_repeatable = call.repeatable and not fills_a_window(call.uses)
        is_bare = call.link is not None
        return Wire(call.method, url, headers, body, timeouts, limits.answer_bytes, is_repeatable, is_bare)

    async def aclose(self, seconds: float = CLOSE_SECONDS) -> None:
        """Close the connection for every view."""
        await self.connection.aclose(seconds)


def _unusable(expired: AuthenticationError) -> ResponseError:
    return ResponseError(
        f"{expired} (a download link, given anew {MAX_FRESH_LINKS} times)",
        status=expired.status,
        data=expired.data,
        headers=expired.headers,
        outcome=expired.outcome,
        request=expired.request,
    )


def asked(call: Call) -> Asked:
    """Say for an observer what a call asks for."""
    return Asked(call.api, call.kind, call.method, call.route)


def _nothing() -> None:
    """Do nothing: what a call without quotas does when it ends."""
