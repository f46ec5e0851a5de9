"""Which origin serves which API in which region, and what an endpoint may look like.

The hosts follow no common pattern: the EU's are spelt in eight ways, and two APIs have none there.

Amplitude's pages: https://amplitude.com/docs/apis and one for each API below it.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from amplitude_async.errors import ConfigurationError, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HOSTS", "MOVED_BY", "Api", "Endpoint", "Region", "parse_endpoint", "resolve"]

Region = Literal["us", "eu"]
Api = Literal[
    "ingestion",
    "mapping",
    "dashboard",
    "audit_logs",
    "session_replay",
    "profiles",
    "lookup_tables",
    "scim",
    "localization",
    "evaluation",
    "management",
]

HOSTS: Final[Mapping[Api, tuple[str, str | None]]] = {
    "ingestion": ("api2.amplitude.com", "api.eu.amplitude.com"),
    "mapping": ("api.amplitude.com", "api.eu.amplitude.com"),
    "dashboard": ("amplitude.com", "analytics.eu.amplitude.com"),
    "audit_logs": ("amplitude.com", None),
    "session_replay": ("amplitude.com", "eu.amplitude.com"),
    "profiles": ("profile-api.amplitude.com", None),
    "lookup_tables": ("data-api.amplitude.com", "data-api.eu.amplitude.com"),
    "scim": ("core.amplitude.com", "core.eu.amplitude.com"),
    "localization": ("app.amplitude.com", "app.eu.amplitude.com"),
    "evaluation": ("api.lab.amplitude.com", "api.lab.eu.amplitude.com"),
    "management": ("experiment.amplitude.com", "experiment.eu.amplitude.com"),
}
"""Host in the US and in the EU, ``None`` where an API is not offered there."""

MOVED_BY: Final[Mapping[Api, str]] = {
    "ingestion": "token_endpoint",
    "mapping": "token_endpoint",
    "dashboard": "dashboard_endpoint",
    "audit_logs": "dashboard_endpoint",
    "session_replay": "dashboard_endpoint",
}
"""Which argument moves an API alone: user mappings are ingestion on another host, and what is served by the dashboard's host in the US
moves with it."""

_SHAPE: Final = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9.])?)"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*)",
    re.IGNORECASE,
)
_MAX_PORT: Final = 65535
_MAX_HOST: Final = 253


class Endpoint(NamedTuple):
    """Where requests go: an origin, and a path that is put before every API's own.

    Attributes:
        origin: ``https://host`` or ``https://host:port``, in lower case.
        prefix: ``""`` or a path without a trailing slash.
    """

    origin: str
    prefix: str

    @property
    def is_clear_text(self) -> bool:
        """Whether requests travel without TLS."""
        return self.origin.startswith("http:")

    def url(self, path: str) -> str:
        """Return the full address of an API's path."""
        return f"{self.origin}{self.prefix}{path}"


def parse_endpoint(name: str, value: object, *, allow_clear_text: bool) -> Endpoint:
    """Read an endpoint the user gave.

    A trailing slash is harmless and a path is kept as a prefix. The text itself is not repeated in errors: it may hold a password.

    Args:
        name: What the user calls it, for errors.
        value: The text.
        allow_clear_text: Whether ``http://`` is allowed beyond loopback.

    Raises:
        ConfigurationError: Anything else than scheme, host, port and path; clear text beyond loopback; a link-local address.
    """
    if not isinstance(value, str):
        message = f"{name} must be text such as 'https://api2.amplitude.com', not {type(value).__name__}."
        raise ConfigurationError(message)
    match = _SHAPE.fullmatch(value)
    if match is None:
        raise ConfigurationError(f"{name} is refused: {_fault(value)}")  # noqa: EM102 - one sentence, two halves
    scheme, host, path = match["scheme"].lower(), match["host"].lower(), match["path"]
    port = int(match["port"]) if match["port"] else None
    if len(host) > _MAX_HOST or ".." in host or (port or 0) > _MAX_PORT:
        message = f"{name} is refused: its host or port is not one."
        raise ConfigurationError(message)
    if any(segment in {".", ".."} for segment in path.lower().replace("%2e", ".").split("/")):
        message = f"{name} is refused: its path has dot segments; write the path out."
        raise ConfigurationError(message)
    address = _address(name, host)
    if address is not None and (address.is_link_local or address.is_unspecified or address.is_multicast):
        message = f"{name} is refused: link-local, unspecified and multicast addresses are no Amplitude endpoint."
        raise ConfigurationError(message)
    is_loopback = host == "localhost" if address is None else address.is_loopback
    if scheme == "http" and not is_loopback and not allow_clear_text:
        message = f"{name} is refused: it would send keys and events in clear text; use https:// (or allow_clear_text=True)."
        raise ConfigurationError(message)
    is_default_port = port in {None, 443 if scheme == "https" else 80}
    return Endpoint(f"{scheme}://{host}" if is_default_port else f"{scheme}://{host}:{port}", path.rstrip("/"))


def _address(name: str, host: str) -> IPv4Address | IPv6Address | None:
    # Resolvers read 0xa9fea9fe, octal and shortened forms as addresses too; only the plain form is accepted.
    last = host.rstrip(".").rpartition(".")[2]
    is_literal = host.startswith("[") or last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last) is not None
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        if is_literal:
            message = f"{name} is refused: its host is not a valid address."
            raise ConfigurationError(message) from None
        return None
    if isinstance(address, IPv6Address):
        return _embedded(address) or address
    return address


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address stands for: mapped, compatible, or translated (64:ff9b::/96)."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    number = int(address)
    is_compatible = 1 < number < 2**32
    is_translated = number >> 32 == 0x0064FF9B << 64
    return IPv4Address(number & 0xFFFFFFFF) if is_compatible or is_translated else None


def _fault(value: str) -> str:
    scheme, separator, rest = value.partition("://")
    if not value.isascii() or not value.isprintable() or any(sign in value for sign in " \\"):
        return "it holds white space, control characters, a backslash or non-ASCII text (write such a host in punycode)."
    if not separator:
        return "its scheme is missing; write it as https://host."
    if scheme.lower() not in {"http", "https"}:
        return "only https:// (and http:// on loopback) is spoken here."
    if "@" in rest.split("/", 1)[0]:
        return "user names and passwords do not belong into it; pass api_key and secret_key instead."
    if "?" in rest or "#" in rest:
        return "a query or fragment does not belong into it; give scheme, host and at most a path."
    return "its host, port or path is not a valid one."


def _region(name: str, value: object) -> Region:
    if value == "us" or value == "eu":  # noqa: PLR1714 - so that type checkers narrow it
        return value
    message = f"{name} must be 'us' or 'eu', not {shown(value)}."
    raise ConfigurationError(message)


def resolve(given: Mapping[str, object], environment: Mapping[str, str], *, allow_clear_text: bool) -> dict[Api, Endpoint | None]:
    """Decide the endpoint of every API; ``None`` for those that the region has not.

    Explicit endpoint beats explicit ``base_url`` beats explicit ``region`` beats the same three of the environment beats US. An
    explicit ``base_url`` or ``region`` hides the environment's endpoints, so that a test pointed at a sandbox never reaches
    production.

    Args:
        given: ``region``, ``base_url``, ``token_endpoint``, ``dashboard_endpoint`` as arguments; ``None`` and ``""`` are absent.
        environment: The variables, e.g. ``AMPLITUDE_REGION``.
        allow_clear_text: Whether ``http://`` is allowed beyond loopback.

    Raises:
        ConfigurationError: A value is wrong; names the argument or the variable.
    """

    def parsed(name: str, value: object) -> Endpoint:
        return parse_endpoint(name, value, allow_clear_text=allow_clear_text)

    is_hidden = bool(given.get("base_url") or given.get("region"))
    variables = {} if is_hidden else environment
    moved: dict[str, Endpoint] = {}
    for name in sorted(set(MOVED_BY.values())):
        variable = f"AMPLITUDE_{name.upper()}"
        if given.get(name):
            moved[name] = parsed(name, given[name])
        elif variables.get(variable):
            moved[name] = parsed(variable, variables[variable])
    region = _region("region", given["region"]) if given.get("region") else None
    base_url: Endpoint | None = None
    if given.get("base_url"):
        base_url = parsed("base_url", given["base_url"])
    elif region is None and variables.get("AMPLITUDE_BASE_URL"):
        base_url = parsed("AMPLITUDE_BASE_URL", variables["AMPLITUDE_BASE_URL"])
    if region is None:
        named = variables.get("AMPLITUDE_REGION")
        region = _region("AMPLITUDE_REGION", named) if named and base_url is None else "us"
    endpoints: dict[Api, Endpoint | None] = {}
    for api, hosts in HOSTS.items():
        host = hosts[region == "eu"]
        own = moved.get(MOVED_BY.get(api, ""))
        endpoints[api] = own or base_url or (None if host is None else Endpoint(f"https://{host}", ""))
    return endpoints
