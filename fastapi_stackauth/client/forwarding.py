"""Find the end user's address behind proxies. Pure functions.

Law: an entry of `X-Forwarded-For` counts only if the hop that wrote it is trusted (RFC 7239 §8.1).
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_WITH_PORT = re.compile(r"\[([^]:]*:[^]]*)](?::[0-9]{1,5})?|([^:]*):[0-9]{1,5}")
"""Matches the forms in which some proxies write a hop: `[2001:db8::1]:443`, `[2001:db8::1]` and `192.0.2.1:443`."""
_HOST_BITS = 64
"""The bits of an IPv6 address that a subscriber chooses freely: a provider assigns at least a /64 (RFC 6177)."""


def end_user_address(peer: str | None, forwarded_for: str | None, proxies: Sequence[str]) -> str | None:
    """Return the address of the end user; None if it is unknown.

    Args:
        peer: The address that connected to this app.
        forwarded_for: The request's `X-Forwarded-For` header. Join several lines with commas, in order.
        proxies: The addresses and networks of trusted proxies.
    """
    networks = [ip_network(proxy, strict=False) for proxy in proxies]
    hops = [*(forwarded_for or "").split(","), peer or ""]
    found = None
    for hop in reversed(hops):
        address = _read(hop)
        if address is None:
            break
        found = str(address)
        if not _within(address, networks):
            break
    return found


def counted_address(address: str) -> str:
    """Return what a rate limit counts: the /64 network of an IPv6 address, or the IPv4 address itself."""
    parsed = _read(address)
    if not isinstance(parsed, IPv6Address):
        return address
    return str(ip_network((int(parsed) >> _HOST_BITS << _HOST_BITS, 128 - _HOST_BITS)))


def _read(hop: str) -> Address | None:
    hop = hop.strip()
    if found := _WITH_PORT.fullmatch(hop):
        hop = found[1] or found[2]
    try:
        address = ip_address(hop.partition("%")[0])  # a zone has no meaning on another host
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
