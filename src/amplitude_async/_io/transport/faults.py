"""What an error of the HTTP library comes to: a Failure, a plain value that shows no key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amplitude_async._protocol.masking import mask
from amplitude_async._protocol.verdict import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["failure_of", "is_sent"]


def failure_of(error: Exception, body: Any, secrets: Callable[[], Sequence[str]]) -> Failure:  # noqa: ANN401 - see requests.body_stream
    """Return what an error means.

    Args:
        error: What the HTTP library raised.
        body: The request's body, which knows whether any of it was asked for; ``None`` if there was no request yet.
        secrets: Gives the texts that must appear in no message.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    detail = mask(f"{type(error).__name__}: {error}", secrets())
    # Asked of the body even when the error speaks of connecting: the transport over aiohttp says so of a line that broke later.
    was_sent = is_sent(body)
    if "ConnectTimeout" in names and not _is_misnamed(error):
        return Failure("timeout", is_sent=was_sent, reason="no connection within its time limit", detail=detail)
    if cause := tls_cause(error):
        return Failure("refused", is_sent=was_sent, reason=f"TLS refused the connection ({mask(cause)})", detail=detail)
    is_unconnected = not was_sent and ("TransportError" not in names or "ConnectTimeout" in names)
    if is_unconnected or names & {"ConnectError", "ProxyError", "PoolTimeout", "UnsupportedProtocol"}:
        # What is no error of the network was met while setting up: a proxy or a certificate file that cannot be used.
        words = mask(str(error), secrets()) or "no words"
        return Failure("connect", is_sent=was_sent, reason=f"no connection could be made ({words})", detail=detail)
    if ("TimeoutException" in names and "ConnectTimeout" not in names) or isinstance(error, TimeoutError):
        what = "the server did not read the request" if "WriteTimeout" in names else "the server fell silent"
        return Failure("timeout", is_sent=was_sent, reason=f"{what} for longer than its time limit", detail=detail)
    return Failure(
        "broken",
        is_sent=was_sent,
        reason="the connection broke before the answer was complete",
        detail=detail,
    )


def _is_misnamed(error: BaseException) -> bool:
    """Whether this was no timeout: the transport over aiohttp calls every connection that fails or breaks a ConnectTimeout."""
    cause = error.__cause__
    return type(cause).__module__.partition(".")[0] == "aiohttp" and not isinstance(cause, TimeoutError)


def is_sent(body: Any) -> bool:  # noqa: ANN401 - see body_stream
    """Whether the HTTP library asked for the body, so that the server may have seen it: now, or before on a line that broke then."""
    return body is not None and (body.has_started or getattr(body, "was_sent_before", False))


def tls_cause(error: BaseException) -> str:
    """Return the reason of a TLS failure in a chain of errors, ``""`` if there is none."""
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None:
            return ""
        if type(seen).__name__ in {"SSLCertVerificationError", "CertificateError"}:
            return str(getattr(seen, "verify_message", "") or seen)
        is_tls = "SSLError" in {kind.__name__ for kind in type(seen).__mro__}
        # An end of the line, or a wait, is not a refusal.
        if is_tls and type(seen).__name__ not in {"SSLEOFError", "SSLZeroReturnError", "SSLWantReadError", "SSLWantWriteError"}:
            return str(getattr(seen, "reason", "") or seen)
        seen = seen.__cause__ or seen.__context__
    return ""
