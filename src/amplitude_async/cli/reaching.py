"""Whether a server can be reached: its name, its port, its certificate, and what time it has. Blocks."""

from __future__ import annotations

import re
import socket
import ssl
import time
from contextlib import ExitStack
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from amplitude_async.cli.judging import Finding, judge_clock

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["look_at"]

SOON_DAYS: Final = 14
_ANSWER_BYTES: Final = 8192
_WHO_ISSUES: Final = (
    "does a proxy look into TLS? then name its authority in SSL_CERT_FILE and give --trust-env (ssl_context= in Python)"
)


def look_at(origin: str, seconds: float, clock: Callable[[], float], tls: ssl.SSLContext) -> list[Finding]:
    """Look up, connect, shake hands, and ask for the time. Blocks.

    Args:
        origin: ``https://host`` or ``http://host:port``.
        seconds: How long each step may take.
        clock: The clock to judge.
        tls: Whom the client trusts.
    """
    parts = urlsplit(origin)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    begun = time.perf_counter()
    try:
        wire: socket.socket = socket.create_connection((host, port), timeout=seconds)
    except socket.gaierror:
        return [Finding("network", "bad", f"{host} is not found", "is this machine online, and does its DNS know the world outside?")]
    except OSError as error:
        return [
            Finding(
                "network",
                "bad",
                f"{host}:{port} cannot be reached ({error.strerror or error})",
                "a firewall, or a proxy that is to be used?",
            )
        ]
    found = [Finding("network", "ok", f"{host}:{port} in {(time.perf_counter() - begun) * 1000:.0f} ms")]
    with ExitStack() as open_:
        open_.enter_context(wire)
        try:
            if parts.scheme == "https":
                wire = open_.enter_context(tls.wrap_socket(wire, server_hostname=host))
                found.append(_certificate(host, wire, clock()))
            wire.sendall(
                f"HEAD / HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\nUser-Agent: amplitude-async-doctor\r\n\r\n".encode()
            )
            answer = wire.recv(_ANSWER_BYTES).decode("latin-1")
        except ssl.SSLCertVerificationError as error:
            return [*found, Finding("TLS", "bad", f"{host}: {error.verify_message}", _WHO_ISSUES)]
        except ssl.SSLError as error:
            return [*found, Finding("TLS", "bad", f"{host}: {error.reason}", "does that port speak TLS? of a sandbox it is http://")]
        except (OSError, ValueError) as error:
            return [*found, Finding("TLS" if parts.scheme == "https" else "network", "bad", f"{host}: {error}")]
    match = re.search(r"^date:\s*(.+?)\s*$", answer, re.IGNORECASE | re.MULTILINE)
    if match is not None:
        try:
            found.append(judge_clock(clock() - parsedate_to_datetime(match[1]).timestamp()))
        except ValueError:
            found.append(Finding("clock", "note", f"{host} says it is {match[1]!r:.40}"))
    return found


def _certificate(host: str, wire: ssl.SSLSocket, now: float) -> Finding:
    facts = wire.getpeercert() or {}
    days = (ssl.cert_time_to_seconds(str(facts.get("notAfter"))) - now) / 86_400
    named: Any = facts.get("issuer", ())
    issuer = next((value for part in named for name, value in part if name == "organizationName"), "?")
    words = f"{host}: {wire.version()}, certificate by {issuer}, {days:.0f} days left"
    return Finding("TLS", "note" if days < SOON_DAYS else "ok", words)
