"""Where a download link may lead. A server's answer can widen nothing: not to clear text, not to this machine, not to its network.

Amplitude hands out cohort files and DSAR outputs by a redirect to a signed link of a storage service, for a minute or for days; it
is followed without credentials, which that service would refuse.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple

from amplitude_async._protocol.hosts import Endpoint, parse_endpoint
from amplitude_async.errors import ConfigurationError

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

__all__ = ["Link", "UnsafeLinkError", "read_link"]

MAX_LINK: Final = 16_384
"""Characters of a link that is still one."""


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
    """Read the target of a redirect.

    Args:
        text: The ``Location`` header.
        own: The endpoint that sent it. Only where that one is clear text may the target be, and only on loopback; only where that one
            is on loopback may the target be.

    Raises:
        UnsafeLinkError: The target is not followed.
    """
    if not text or len(text) > MAX_LINK or not text.isascii() or not text.isprintable() or " " in text:
        message = "the redirect names no address"
        raise UnsafeLinkError(message)
    if text.startswith("/") and not text.startswith("//"):
        path, _, query = text.partition("#")[0].partition("?")
        return Link(Endpoint(own.origin, ""), path, query)
    scheme, separator, rest = text.partition("#")[0].partition("://")
    authority, slash, tail = rest.partition("/")
    if not separator or "?" in authority:
        message = "the redirect names no address"
        raise UnsafeLinkError(message)
    try:
        endpoint = parse_endpoint("the link", f"{scheme}://{authority}", allow_clear_text=own.is_clear_text)
    except ConfigurationError as refusal:
        raise UnsafeLinkError(str(refusal).partition("; use ")[0]) from None
    is_home = _is_loopback(endpoint)
    if endpoint.is_clear_text and not (own.is_clear_text and is_home):
        message = "the redirect leads to clear text"
        raise UnsafeLinkError(message)
    if is_home and not _is_loopback(own):
        message = "the redirect leads to this machine"
        raise UnsafeLinkError(message)
    address = _address(endpoint)
    if address is not None and address.is_private and not is_home:
        message = "the redirect leads into a private network"
        raise UnsafeLinkError(message)
    path, _, query = f"{slash}{tail}".partition("?")
    return Link(endpoint, path or "/", query)


def _address(endpoint: Endpoint) -> IPv4Address | IPv6Address | None:
    host = endpoint.origin.partition("://")[2]
    host = host.partition("]")[0].strip("[") if host.startswith("[") else host.partition(":")[0]
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_loopback(endpoint: Endpoint) -> bool:
    address = _address(endpoint)
    if address is not None:
        return address.is_loopback
    return endpoint.origin.partition("://")[2].partition(":")[0] == "localhost"
