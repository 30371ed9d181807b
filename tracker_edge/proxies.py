"""Which proxies stand before the edge, and where the clients are that they speak for."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from tracker_edge.protocol.compact import packed


class Proxies:
    """Those in `networks`; their word about a client's address is taken, nobody else's."""

    def __init__(self, networks: Sequence[IPv4Network | IPv6Network]) -> None:
        self._networks = tuple(networks)

    def trusts(self, address: bytes) -> bool:
        """Whether this is the address of one of them."""
        if not self._networks:
            return False
        ip = ip_address(address)
        return any(ip.version == network.version and ip in network for network in self._networks)

    def client_address(self, hops: Sequence[bytes], peer: bytes) -> bytes:
        """The right-most hop that no trusted proxy of ours is; the peer itself when a hop is no address."""
        address = peer
        for hop in reversed(hops):
            try:
                address = packed(hop.decode("ascii"))
            except ValueError:
                return peer
            if not self.trusts(address):
                return address
        return address
