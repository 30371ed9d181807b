"""From which address a request comes: that of the connection, unless it is one of our own proxies'."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from fastapi import Request


def client_address(request: Request, proxies: Sequence[IPv4Network | IPv6Network]) -> str | None:
    """The right-most hop of X-Forwarded-For that none of `proxies` is; the connection's own address when that is no
    proxy, or when a hop is no address. None for a connection without an address."""
    peer = _parsed(request.client.host) if request.client else None
    if peer is None:
        return None
    address = peer
    hops = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    for hop in reversed(hops):
        if not any(address in network for network in proxies):
            break
        found = _parsed(hop.strip())
        if found is None:
            return str(peer)
        address = found
    return str(address)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
