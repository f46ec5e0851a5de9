"""``doctor``: what is wrong with versions, keys, region, network, TLS, clock and ids, and what to do about it.

It sends two questions to Amplitude that change nothing: an upload of no events, and a search for a user that is not there. Their
answers tell whether the keys are accepted, and if not, whether the other region accepts them; the ``Date`` beside an answer tells what
time it is.
"""

import os
import platform
import re
import time
from dataclasses import replace
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Final, Literal

from amplitude_async._version import __version__
from amplitude_async.cli import keys
from amplitude_async.cli.exits import DONE, PARTLY, one_line
from amplitude_async.cli.judging import Finding, judge_id, judge_key, judge_version
from amplitude_async.cli.printing import drawn, print_json
from amplitude_async.cli.settings import CONNECTION, PROFILE_VARIABLE, Connection, chosen_profile
from amplitude_async.errors import (
    AmplitudeError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    NotFoundError,
    ResponseError,
    TransportError,
)

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from amplitude_async.client import AsyncAmplitude

_KEY: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_PROXIES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_PARTS: Final = ("httpx", "msgspec", "anyio")
_EXTRA: Final = re.compile(r"(?P<package>[\w.-]+).*;\s*extra == '(?P<extra>\w+)'", re.ASCII)


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
    required = _required()
    wrong = dict.fromkeys(
        finding
        for line in required
        if "extra == 'all'" not in line and (version := _version(_name(line))) is not None
        if (finding := judge_version(line, version)) is not None
    )
    # An extra is there if all of its packages are.
    missing = {read["extra"]: None for line in required if (read := _EXTRA.match(line)) and _version(read["package"]) is None}
    missing.pop("all", None)
    if _version("duckdb") is None:
        missing["duckdb (for export-query)"] = None
    found = [Finding("version", "ok", f"amplitude-async {__version__}, {parts}, {python}"), *wrong]
    if missing:
        found.append(Finding("extras", "note", f"not installed: {', '.join(missing)}", "only if you need what they do"))
    return found


def _required() -> list[str]:
    try:
        return metadata.requires("amplitude-async") or []
    except metadata.PackageNotFoundError:
        # Run from its source, where nobody has said what goes with it.
        return []


def _name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement, re.ASCII)
    return found[0] if found else ""


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
    there = _proxies_there()
    if not there:
        return [Finding("proxies", "ok", "none in the environment")]
    if connection.trust_env:
        return [Finding("proxies", "ok", f"of {', '.join(there)}, as --trust-env asks for")]
    return [Finding("proxies", "note", f"{', '.join(there)} set, and not used", "--trust-env uses it (trust_env=True in Python)")]


def _proxies_there() -> list[str]:
    return [name for name in _PROXIES if os.environ.get(name) or os.environ.get(name.lower())]


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

    from amplitude_async.cli.reaching import look_at  # noqa: PLC0415 - as above

    settings = client._caller.connection.settings  # noqa: SLF001 - the library's own room
    found: list[Finding] = []
    apis: tuple[Literal["ingestion", "dashboard"], ...] = ("ingestion", "dashboard")
    origins = dict.fromkeys(endpoint.origin for api in apis if (endpoint := settings.endpoints[api]) is not None)
    is_there = True
    if connection.trust_env and _proxies_there():
        found.append(Finding("network", "note", "not looked at directly, because a proxy is used"))
    else:
        transport, _ = client._caller.connection.enter()  # noqa: SLF001 - as above
        for origin in origins:
            tls = transport._context(origin)  # noqa: SLF001 - whom the library itself trusts
            looked = await anyio.to_thread.run_sync(partial(look_at, origin, connection.timeout or 10.0, time.time, tls))
            found += looked
            is_there &= all(finding.state != "bad" for finding in looked if finding.what != "clock")
    if not is_there:
        return found
    hint = f"does the proxy of {', '.join(_proxies_there())} run?" if connection.trust_env and _proxies_there() else ""
    found.append(await ask_ingestion(client, _elsewhere(client, connection), hint=hint))
    if settings.credentials["secret_key"] is not None:
        found.append(await _ask_dashboard(client, hint))
    return found


def _elsewhere(client: "AsyncAmplitude", connection: Connection) -> "tuple[str, AbstractAsyncContextManager[AsyncAmplitude]] | None":
    """Return the other region and a client that asks there; nothing where the client asks neither Amplitude's US nor its EU."""
    from amplitude_async._protocol.hosts import HOSTS  # noqa: PLC0415 - not for --offline

    endpoint = client._caller.connection.settings.endpoints["ingestion"]  # noqa: SLF001 - the library's own room
    us, eu = (f"https://{host}" for host in HOSTS["ingestion"])
    origin = None if endpoint is None else endpoint.origin
    if origin == us:
        return "eu", replace(connection, region="eu", base_url=None).client()
    return ("us", replace(connection, region="us", base_url=None).client()) if origin == eu else None


async def ask_ingestion(
    client: "AsyncAmplitude", elsewhere: "tuple[str, AbstractAsyncContextManager[AsyncAmplitude]] | None" = None, *, hint: str = ""
) -> Finding:
    """Send an upload of no events: a wrong key is named first, a right one is told that events are missing.

    Args:
        client: The client whose key it is.
        elsewhere: Another region, and a client to ask there if the key is not accepted here.
        hint: What to do if there is no answer.
    """
    try:
        is_accepted = await _is_accepted(client)
    except AmplitudeError as error:
        return Finding("sending", "bad", str(error), hint if isinstance(error, TransportError) else "")
    if is_accepted is None:
        return Finding("sending", "note", "Amplitude answered an empty upload with success; the key may be right")
    if is_accepted:
        return Finding("sending", "ok", "the API key is accepted")
    if elsewhere is not None:
        region, other = elsewhere
        try:
            async with other as asked:
                if await _is_accepted(asked):
                    return Finding(
                        "sending", "bad", "the API key is of the other region", f"--region {region}, or AMPLITUDE_REGION={region}"
                    )
        except AmplitudeError:
            # Nothing is known of it there; what was said here stays.
            return _refused("the right key? the right --region? keys of one are unknown to the other")
        return _refused("the other region does not know it either: copy it anew from the project's settings")
    return _refused("the right key? the right --region? keys of one are unknown to the other")


def _refused(do: str) -> Finding:
    return Finding("sending", "bad", "Amplitude does not accept the API key", do)


async def _is_accepted(client: "AsyncAmplitude") -> bool | None:
    """Say whether the API key is accepted; ``None`` if the answer tells nothing."""
    from amplitude_async._protocol.bodies import Upload  # noqa: PLC0415 - not for --offline
    from amplitude_async._protocol.call import Call, read_json  # noqa: PLC0415 - as above

    call = Call("ingestion", "ingestion", "POST", "/2/httpapi", "in_body", read_json, repeatable=True, body=Upload(()))
    try:
        await client._caller.run(call)  # noqa: SLF001 - there is no such call for users
    except BadRequestError:
        return True
    except AuthenticationError:
        return False
    return None


async def _ask_dashboard(client: "AsyncAmplitude", hint: str) -> Finding:
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
        return Finding("asking", "bad", str(error), hint if isinstance(error, TransportError) else "")
    return Finding("asking", "ok", "API key and secret are accepted: exports and queries work")
