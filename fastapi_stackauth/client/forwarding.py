"""Whose address a request comes from, when proxies stand between. Pure.

Law: an entry of `X-Forwarded-For` counts only where the hop that wrote it is trusted (RFC 7239 §8.1).
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAX_PORT_DIGITS = 5
_HOST_BITS = 64
"""Bits of an IPv6 address that its owner chooses freely: a subscriber gets a /64 or more (RFC 6177)."""


def end_user_address(peer: str | None, forwarded_for: str | None, proxies: Sequence[str]) -> str | None:
    """The address of the end user; None where it cannot be told.

    Args:
        peer: who connected to this app.
        forwarded_for: the request's `X-Forwarded-For` header. Join several lines with commas, in their order.
        proxies: addresses and networks of proxies whose word counts.
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
    """Return what a rate limit counts for an address: an IPv6 address counts as its /64, an IPv4 address as itself."""
    parsed = _read(address)
    if not isinstance(parsed, IPv6Address):
        return address
    return str(ip_network((int(parsed) >> _HOST_BITS << _HOST_BITS, 128 - _HOST_BITS)))


def _read(hop: str) -> Address | None:
    try:
        address = ip_address(_without_port(hop.strip()).partition("%")[0])  # a zone says nothing to another host
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _without_port(hop: str) -> str:
    """Return the address of `192.0.2.1:443`, `[2001:db8::1]:443` or `[2001:db8::1]`, as some proxies write it.

    Raises:
        ValueError: what follows the address is no port.
    """
    if hop.startswith("["):
        host, bracket, rest = hop[1:].partition("]")
        valid = bool(bracket) and ":" in host and (not rest or _is_port(rest))
    else:
        host, colon, port = hop.partition(":")
        if not colon or ":" in port:  # no port, or a bare IPv6 address
            return hop
        valid = _is_port(colon + port)
    if not valid:
        raise ValueError
    return host


def _is_port(text: str) -> bool:
    """Whether the text is a colon and a port number."""
    digits = text[1:]
    return text[:1] == ":" and digits.isascii() and digits.isdecimal() and len(digits) <= _MAX_PORT_DIGITS


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
