"""``doctor``: what is wrong with keys, region, network, clock and ids, and what to do about it.

It sends two questions to Amplitude that change nothing: an upload of no events, and a search for a user that is not there. Their
answers tell whether the keys are accepted; the ``Date`` beside an answer tells what time it is.
"""

import os
import platform
import re
import socket
import ssl
import sys
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from amplitude_async._version import __version__
from amplitude_async.cli import keys
from amplitude_async.cli.exits import DONE, PARTLY, one_line
from amplitude_async.cli.printing import drawn, print_json
from amplitude_async.cli.settings import CONNECTION, PROFILE_VARIABLE, Connection, chosen_profile
from amplitude_async.errors import (
    AmplitudeError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    NotFoundError,
    ResponseError,
)

if TYPE_CHECKING:
    from amplitude_async.client import AsyncAmplitude

__all__ = ["Finding", "doctor", "judge_clock", "judge_id", "judge_key"]

State = Literal["ok", "note", "bad"]

MOST_SKEW: Final = 120.0
"""Seconds that this clock may differ; events are stamped by it."""
SOON_DAYS: Final = 14
SHORTEST_ID: Final = 5
FORBIDDEN: Final = frozenset(
    {
        "anonymous",
        "nil",
        "none",
        "null",
        "n/a",
        "na",
        "undefined",
        "unknown",
        "0",
        "-1",
        "{}",
        "lmy47d",
        "00000000-0000-0000-0000-000000000000",
    }
)
"""Ids that Amplitude takes for none (https://amplitude.com/docs/apis/analytics/http-v2, "Device and user ID")."""
_KEY: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_PROXIES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_EXTRAS: Final = {"cli": "cyclopts", "parquet": "pyarrow", "sandbox": "uvicorn", "fast": "isal", "plot": "altair", "query": "duckdb"}
_PARTS: Final = ("httpx", "msgspec", "anyio")
_ANSWER_BYTES: Final = 8192


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        what: What it was.
        state: ``ok``, ``note`` (worth knowing) or ``bad`` (will not work).
        says: What was found.
        do: What to do about it, or ``""``.
    """

    what: str
    state: State
    says: str
    do: str = ""


def judge_key(name: str, value: str) -> Finding:
    """Say whether a key looks like one, without showing it."""
    what = name.replace("_", " ")
    if _KEY.fullmatch(value) is None:
        return Finding(
            what, "note", f"{len(value)} characters, where Amplitude's have 32 of 0-9 and a-f", "fine for a sandbox; else copy it anew"
        )
    return Finding(what, "ok", "32 characters, as Amplitude's are")


def judge_clock(skew: float) -> Finding:
    """Say whether a clock that is so many seconds fast is right enough."""
    if abs(skew) <= MOST_SKEW:
        return Finding("clock", "ok", f"within {max(1.0, abs(skew)):.0f} s of the server's")
    direction = "fast" if skew > 0 else "slow"
    return Finding("clock", "bad", f"{abs(skew):,.0f} s {direction}: events get a wrong time", "let the system set it (NTP)")


def judge_id(name: str, value: str, shortest: int = SHORTEST_ID) -> Finding:
    """Say whether Amplitude would take an id."""
    if value.strip().lower() in FORBIDDEN or not value.strip():
        return Finding(
            name, "bad", f"{value!r:.60} is one of the values that Amplitude takes for no id", "use ids that tell people apart"
        )
    if len(value) < shortest:
        return Finding(
            name,
            "bad",
            f"{value!r:.60} is shorter than {shortest}, so Amplitude refuses its events",
            "send min_id_length, or longer ids",
        )
    return Finding(name, "ok", f"{value!r:.60} would be accepted")


async def doctor(
    *, user_id: str | None = None, device_id: str | None = None, offline: bool = False, connection: Connection = CONNECTION
) -> int:
    """Look at versions, profile, keys, region, proxies, network, TLS and clock; say what is wrong and what to do.

    Nothing is changed at Amplitude. The exit code is 1 if something will not work.

    Args:
        user_id: Also say whether Amplitude would accept this user id.
        device_id: Also say whether Amplitude would accept this device id.
        offline: Ask nothing of the network.
    """
    found = [*_versions(), *_profile(connection), *_proxies(connection)]
    found += [judge_id(name, value) for name, value in (("user id", user_id), ("device id", device_id)) if value is not None]
    try:
        async with connection.client() as client:
            found += _keys(client)
            if not offline:
                found += await _network(client, connection)
    except ConfigurationError as error:
        found.append(Finding("keys", "bad", str(error), "amplitude-async profile add default, or set the variables"))
    _show(found, connection)
    return PARTLY if any(finding.state == "bad" for finding in found) else DONE


def _show(found: list[Finding], connection: Connection) -> None:
    if connection.json:
        print_json([finding._asdict() for finding in found])
        return
    from rich.table import Table  # noqa: PLC0415 - where somebody looks
    from rich.text import Text  # noqa: PLC0415 - as above

    marks = {"ok": Text("ok", style="green"), "note": Text("note", style="yellow"), "bad": Text("BAD", style="bold red")}
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for finding in found:
        words = Text(one_line(finding.says))
        if finding.do:
            words.append(f"  -> {finding.do}", style="bold")
        table.add_row(marks[finding.state], Text(finding.what), words)
    drawn(table)


def _versions() -> list[Finding]:
    parts = ", ".join(f"{name} {_version(name)}" for name in _PARTS)
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    missing = [f"{extra} ({package})" for extra, package in _EXTRAS.items() if _version(package) is None]
    found = [Finding("version", "ok", f"amplitude-async {__version__}, {parts}, {python}")]
    if missing:
        found.append(Finding("extras", "note", f"not installed: {', '.join(missing)}", "only if you need what they do"))
    return found


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _profile(connection: Connection) -> list[Finding]:
    name = connection.profile or os.environ.get(PROFILE_VARIABLE) or ""
    try:
        profile = chosen_profile(connection.profile)
    except ConfigurationError as error:
        return [Finding("profile", "bad", str(error))]
    if profile is None:
        set_ = [key for key in keys.CREDENTIALS if os.environ.get(f"AMPLITUDE_{key.upper()}")]
        words = ", ".join(f"AMPLITUDE_{key.upper()}" for key in set_)
        return [Finding("profile", "ok", f"none; keys come from the environment ({words})" if words else "none")]
    return [Finding("profile", "ok", f"{name or 'default'} of {keys.place()}, with {', '.join(profile.credentials)}")]


def _proxies(connection: Connection) -> list[Finding]:
    there = [name for name in _PROXIES if os.environ.get(name) or os.environ.get(name.lower())]
    if not there:
        return [Finding("proxies", "ok", "none in the environment")]
    if connection.trust_env:
        return [Finding("proxies", "ok", f"{', '.join(there)} is used (--trust-env)")]
    return [Finding("proxies", "note", f"{', '.join(there)} is set, and not used", "--trust-env uses it (trust_env=True in Python)")]


def _keys(client: "AsyncAmplitude") -> list[Finding]:
    settings = client._caller.connection.settings  # noqa: SLF001 - the library's own room
    found = []
    api_key, secret = settings.credentials["api_key"], settings.credentials["secret_key"]
    if api_key is not None:
        found.append(judge_key("api_key", api_key.reveal()))
    if secret is None:
        found.append(Finding("secret key", "note", "there is none", "exports and queries need it; sending does not"))
    else:
        found.append(judge_key("secret_key", secret.reveal()))
        if api_key is not None and api_key.reveal() == secret.reveal() and _KEY.fullmatch(secret.reveal()):
            found.append(
                Finding("secret key", "bad", "it is the API key once more", "Amplitude shows both under the project's settings")
            )
    ingestion, dashboard = settings.endpoints["ingestion"], settings.endpoints["dashboard"]
    if ingestion is not None and dashboard is not None:
        found.append(Finding("region", "ok", f"events go to {ingestion.origin}, questions to {dashboard.origin}"))
    return found


async def _network(client: "AsyncAmplitude", connection: Connection) -> list[Finding]:
    import anyio.to_thread  # noqa: PLC0415 - not for --offline

    settings = client._caller.connection.settings  # noqa: SLF001 - the library's own room
    found: list[Finding] = []
    apis: tuple[Literal["ingestion", "dashboard"], ...] = ("ingestion", "dashboard")
    origins = dict.fromkeys(endpoint.origin for api in apis if (endpoint := settings.endpoints[api]) is not None)
    is_there = True
    if connection.trust_env and any(os.environ.get(name) or os.environ.get(name.lower()) for name in _PROXIES):
        found.append(Finding("network", "note", "not looked at directly, because a proxy is used"))
    else:
        for origin in origins:
            looked = await anyio.to_thread.run_sync(partial(look_at, origin, connection.timeout or 10.0, time.time))
            found += looked
            is_there &= all(finding.state != "bad" for finding in looked if finding.what != "clock")
    if not is_there:
        return found
    found.append(await _ask_ingestion(client))
    if settings.credentials["secret_key"] is not None:
        found.append(await _ask_dashboard(client))
    return found


async def _ask_ingestion(client: "AsyncAmplitude") -> Finding:
    """Send an upload of no events: a wrong key is named first, a right one is told that events are missing."""
    from amplitude_async._protocol.bodies import Upload  # noqa: PLC0415 - not for --offline
    from amplitude_async._protocol.call import Call, read_json  # noqa: PLC0415 - as above

    call = Call("ingestion", "ingestion", "POST", "/2/httpapi", "in_body", read_json, repeatable=True, body=Upload(()))
    try:
        await client._caller.run(call)  # noqa: SLF001 - there is no such call for users
    except BadRequestError:
        return Finding("sending", "ok", "the API key is accepted")
    except AuthenticationError:
        return Finding(
            "sending",
            "bad",
            "Amplitude does not accept the API key",
            "the right key? the right --region? keys of one are unknown to the other",
        )
    except AmplitudeError as error:
        return Finding("sending", "bad", str(error))
    return Finding("sending", "note", "Amplitude answered an empty upload with success; the key may be right")


async def _ask_dashboard(client: "AsyncAmplitude") -> Finding:
    try:
        await client.user_search("amplitude-async-doctor")
    except NotFoundError:
        return Finding("asking", "note", "the address answers 404", "is --base-url right?")
    except AuthenticationError as error:
        return Finding(
            "asking",
            "bad",
            f"Amplitude does not accept API key and secret together ({error.status})",
            "the right pair? the right --region?",
        )
    except ResponseError as error:
        return Finding("asking", "note", str(error))
    except AmplitudeError as error:
        return Finding("asking", "bad", str(error))
    return Finding("asking", "ok", "API key and secret are accepted: exports and queries work")


def look_at(origin: str, seconds: float, clock: Callable[[], float]) -> list[Finding]:
    """Look up, connect, shake hands, and ask for the time. Blocks.

    Args:
        origin: ``https://host`` or ``http://host:port``.
        seconds: How long each step may take.
        clock: The clock to judge.
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
    with wire:
        try:
            if parts.scheme == "https":
                wire = ssl.create_default_context().wrap_socket(wire, server_hostname=host)
                found.append(_certificate(host, wire, clock()))
            wire.sendall(
                f"HEAD / HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\nUser-Agent: amplitude-async-doctor\r\n\r\n".encode()
            )
            answer = wire.recv(_ANSWER_BYTES).decode("latin-1")
        except ssl.SSLCertVerificationError as error:
            return [*found, Finding("TLS", "bad", f"{host}: {error.verify_message}", _who_issues())]
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


def _who_issues() -> str:
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return "SSL_CERT_FILE is set: does it hold the right authorities? --trust-env uses it"
    if sys.platform == "darwin":
        return "run 'Install Certificates.command' of this Python; or does a proxy look into TLS?"
    return "install the system's certificates (ca-certificates); or does a proxy look into TLS?"
