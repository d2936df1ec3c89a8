"""Whose address a request comes from, when proxies stand between. Pure.

Law: an entry of `X-Forwarded-For` counts only where the hop that wrote it is trusted (RFC 7239 §8.1).
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def end_user_address(peer: str | None, forwarded_for: str | None, proxies: Sequence[str]) -> str | None:
    """The address of the end user; None where it cannot be told.

    Args:
        peer: who connected to this app.
        forwarded_for: the `X-Forwarded-For` header that came with the request.
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


def _read(hop: str) -> Address | None:
    try:
        address = ip_address(hop.strip())
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
