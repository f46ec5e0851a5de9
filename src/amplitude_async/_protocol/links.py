"""Where a download link may lead. A server's answer can widen nothing: not to clear text, not to this machine, not to its network.

Amplitude hands out cohort files and DSAR outputs by a redirect to a signed link of a storage service, for a minute or for days; it
is followed without credentials, which that service would refuse.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final, NamedTuple

from amplitude_async._protocol.hosts import Endpoint, parse_endpoint
from amplitude_async.errors import ConfigurationError

if TYPE_CHECKING:
    from ipaddress import IPv4Address

__all__ = ["Link", "UnsafeLinkError", "read_link"]

MAX_LINK: Final = 16_384
"""Characters of a link that is still one."""
_HERE: Final = "localhost"
_INSIDE: Final = frozenset({"corp", "home", "internal", "intranet", "lan", "local", "localdomain", "private"})
"""Last labels of names that only a private network knows (RFC 6762, appendix G, and what clouds and routers use)."""


class UnsafeLinkError(ValueError):
    """A link that is not followed; the message says why and names the host alone."""


class Link(NamedTuple):
    """A signed link: who has it may read, so its query is shown to nobody."""

    endpoint: Endpoint
    path: str
    query: str

    def __repr__(self) -> str:
        return f"<Link to {self.endpoint.origin}>"

    @property
    def url(self) -> str:
        """The address as it was given."""
        return self.endpoint.url(self.path) + (f"?{self.query}" if self.query else "")


def read_link(text: str, own: Endpoint) -> Link:
    """Read the target of a redirect: an address, or a path on the host that sent it.

    Args:
        text: The ``Location`` header.
        own: The endpoint that sent it. What the user chose that for is allowed of the target too, if it is the same host: clear text,
            this machine, an address of a private network. Beyond that, only from loopback to loopback.

    Raises:
        UnsafeLinkError: The target is not followed.
    """
    if not text or len(text) > MAX_LINK or not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        message = "the redirect names no address"
        raise UnsafeLinkError(message)
    text = text.partition("#")[0]
    if text.startswith("/") and not text.startswith("//"):
        path, _, query = text.partition("?")
        return Link(Endpoint(own.origin, ""), path, query)
    scheme, separator, rest = text.partition("://")
    authority, slash, tail = rest.partition("/")
    if not separator or "?" in authority:
        message = "the redirect names no address"
        raise UnsafeLinkError(message)
    try:
        endpoint = parse_endpoint("the link", f"{scheme}://{authority}", allow_clear_text=own.is_clear_text)
    except ConfigurationError as refusal:
        fault = str(refusal).partition("; use ")[0]
    else:
        fault = "" if endpoint.origin == own.origin else _fault(endpoint, own)
        if not fault:
            path, _, query = f"{slash}{tail}".partition("?")
            return Link(endpoint, path or "/", query)
    raise UnsafeLinkError(fault)


def _fault(endpoint: Endpoint, own: Endpoint) -> str:
    """Say why a link to another origin is not followed; ``""`` if it is."""
    is_home = _is_loopback(endpoint)
    if endpoint.is_clear_text and not (own.is_clear_text and is_home):
        return "the redirect leads to clear text"
    if is_home:
        return "" if _is_loopback(own) else "the redirect leads to this machine"
    return "the redirect leads into a private network" if _is_inside(endpoint) else ""


def _host(endpoint: Endpoint) -> str:
    host = endpoint.origin.partition("://")[2]
    return host.partition("]")[0].strip("[") if host.startswith("[") else host.partition(":")[0].rstrip(".")


def _address(endpoint: Endpoint) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(_host(endpoint))
    except ValueError:
        return None


def _is_loopback(endpoint: Endpoint) -> bool:
    address = _address(endpoint)
    if address is not None:
        # From Python 3.13 on, IPv4 written as IPv6 is loopback too; here it is refused by every Python.
        return address.is_loopback and not _is_written_as_ipv6(address)
    return _host(endpoint).rpartition(".")[2] == _HERE


def _is_written_as_ipv6(address: IPv4Address | IPv6Address) -> bool:
    return isinstance(address, IPv6Address) and address.ipv4_mapped is not None


def _is_inside(endpoint: Endpoint) -> bool:
    address = _address(endpoint)
    if address is None:
        name = _host(endpoint)
        return "." not in name or name.rpartition(".")[2] in _INSIDE or name.endswith(".home.arpa")
    if isinstance(address, IPv6Address) and (
        address.is_site_local or address.sixtofour is not None or address.ipv4_mapped is not None
    ):
        return True
    # Reserved are, among others, further addresses that stand for one of IPv4, which may be any.
    return not address.is_global or address.is_reserved
