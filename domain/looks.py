"""Looks that staff take at what is private: who looked, at whom, at what, and why. What was seen is not repeated."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from uuid import UUID

from domain.base import Aggregate, Created
from domain.errors import Malformed
from domain.torrents import check_reason

#: Wider ones are no question about a person. Bits of the prefix.
NARROWEST_NETWORK = {4: 16, 6: 32}

Network = IPv4Network | IPv6Network


class BadNetwork(Malformed):
    """Neither an address nor a network in CIDR notation (RFC 4632 section 3.1)."""


class NetworkTooWide(Malformed):
    """The network has so many addresses that looking at it is looking at everybody."""


class LookAt(StrEnum):
    """What was looked at. The value is stored in events and shown by the API."""

    EMAIL = "email"
    ADDRESSES = "addresses"
    SHARED_ADDRESSES = "shared_addresses"
    FAILED_LOGINS = "failed_logins"
    BY_EMAIL = "by_email"  # whose is it?
    BY_ADDRESS = "by_address"


class Look(Aggregate):
    """One look at one user; a search that finds several is a look at each of them."""

    TOPIC = "look"

    class Taken(Created):
        """`at` is email, addresses, shared_addresses, failed_logins, by_email or by_address."""

        TOPIC = "look.taken"
        user_id: UUID | None  # null for a search that found nobody
        at: str
        reason: str

    @classmethod
    def take(cls, look_id: UUID, user_id: UUID | None, at: LookAt, reason: str) -> Look:
        """Raises `ReasonMissing`."""
        check_reason(reason)
        return cls._create(cls.Taken, id=look_id, user_id=user_id, at=str(at), reason=reason)

    def __init__(self, user_id: UUID | None, at: str, reason: str) -> None:
        self.user_id = user_id
        self.at = at


def network(text: str) -> Network:
    """An address alone, or a network that begins where its prefix ends; raises `BadNetwork` or `NetworkTooWide`."""
    try:
        found = ip_network(text)
    except ValueError:
        raise BadNetwork("write an address, or a network as 192.0.2.0/24") from None
    if found.prefixlen < NARROWEST_NETWORK[found.version]:
        raise NetworkTooWide("this network has too many addresses")
    return found
