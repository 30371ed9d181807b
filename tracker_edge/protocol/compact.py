"""Addresses as bytes: which form they have on the wire (BEP 7, BEP 23) and which may be handed to other peers."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import AF_INET, AF_INET6, inet_pton

#: RFC 4291 section 2.5.5.2: what a dual-stack socket makes of an IPv4 peer.
_MAPPED = bytes(10) + b"\xff\xff"
#: RFC 6052 section 2.1.
_NAT64 = bytes.fromhex("0064ff9b0000000000000000")


def packed(text: str) -> bytes:
    """4 or 16 bytes of an address as sockets and proxies write it; raises ValueError."""
    text = text.partition("%")[0]
    try:
        return unmapped(inet_pton(AF_INET6 if ":" in text else AF_INET, text))
    except OSError:
        raise ValueError(f"no address: {text!r}") from None


def unmapped(address: bytes) -> bytes:
    """The 4 bytes inside an IPv4-mapped IPv6 address; any other address as it is."""
    return address[12:] if len(address) == 16 and address.startswith(_MAPPED) else address


#: First octets of IPv4 of which some part is special (IANA's registry for RFC 6890); all others are plainly global.
_SPECIAL_OCTETS = frozenset({0, 10, 100, 127, 169, 172, 192, 198, 203, *range(224, 256)})


def may_hand_out(address: bytes, allow_private: bool) -> bool:
    """Whether other peers may be told of this address (4 or 16 bytes)."""
    if len(address) == 4 and address[0] not in _SPECIAL_OCTETS:
        return True
    return _may_hand_out(address, allow_private)


@lru_cache(maxsize=4096)
def _may_hand_out(address: bytes, allow_private: bool) -> bool:
    ip = ip_address(address)
    if ip.is_unspecified or ip.is_multicast or ip == IPv4Address("255.255.255.255"):
        return False
    return allow_private or (_is_global(ip) and all(map(_is_global, _embedded(ip))))


def _is_global(ip: IPv4Address | IPv6Address) -> bool:
    return ip.is_global and not ip.is_multicast


def _embedded(ip: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """The IPv4 addresses that an IPv6 address carries: 6to4, Teredo and NAT64 lead to them."""
    if isinstance(ip, IPv4Address):
        return []
    found = [ip.sixtofour, *(ip.teredo or ())]
    if ip.packed.startswith(_NAT64):
        found.append(IPv4Address(ip.packed[12:]))
    return [address for address in found if address is not None]
