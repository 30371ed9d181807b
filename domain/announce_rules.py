"""Announce rules: from which ports nobody announces, and how many clients of a user a torrent takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from domain.base import Aggregate, Created, natural_id
from domain.errors import Malformed

#: UNIT3D's: web proxies, Kazaa, remote desktop, eDonkey, Gnutella, WinMX. Ports below 1024 are refused in any case.
DEFAULT_REFUSED_PORTS = (1214, 3389, 4662, 6346, 6347, 6699, 8080, 8081)
DEFAULT_PEERS_PER_TORRENT = 3
REFUSED_PORTS_MAX = 100
PEERS_PER_TORRENT_MAX = 1000

#: The stream of the site's only rules.
ANNOUNCE_RULES = natural_id("announce_rules", "site")


class BadAnnounceRules(Malformed):
    """A port is between 1 and 65535, and a torrent takes at least one client of a user."""


class AnnounceRules(Aggregate):
    """The rules as they were last changed; the defaults above hold until then."""

    TOPIC = "announce_rules"

    class Changed(Created):
        """All of the rules, each time: the first change is also what makes them a thing."""

        TOPIC = "announce_rules.changed"
        refused_ports: list[int]
        peers_per_torrent: int

        def mutate(self, aggregate: Any) -> Any:
            return super().mutate(None) if aggregate is None else Aggregate.Event.mutate(self, aggregate)

        def apply(self, aggregate: Any) -> None:
            aggregate.refused_ports = frozenset(self.refused_ports)
            aggregate.peers_per_torrent = self.peers_per_torrent

    refused_ports: frozenset[int]
    peers_per_torrent: int

    @classmethod
    def lay_down(cls, refused_ports: Iterable[int], peers_per_torrent: int) -> AnnounceRules:
        """The first change; raises `BadAnnounceRules`."""
        ports = _checked(refused_ports, peers_per_torrent)
        return cls._create(cls.Changed, id=ANNOUNCE_RULES, refused_ports=ports, peers_per_torrent=peers_per_torrent)

    def change(self, refused_ports: Iterable[int], peers_per_torrent: int) -> None:
        """Other rules instead of these; raises `BadAnnounceRules`."""
        ports = _checked(refused_ports, peers_per_torrent)
        if (frozenset(ports), peers_per_torrent) != (self.refused_ports, self.peers_per_torrent):
            self.trigger_event(
                self.Changed, originator_topic=self.TOPIC, refused_ports=ports, peers_per_torrent=peers_per_torrent
            )


def _checked(refused_ports: Iterable[int], peers_per_torrent: int) -> list[int]:
    ports = sorted(set(refused_ports))
    if len(ports) > REFUSED_PORTS_MAX or not all(1 <= port <= 65535 for port in ports):
        raise BadAnnounceRules(f"name at most {REFUSED_PORTS_MAX} ports between 1 and 65535")
    if not 1 <= peers_per_torrent <= PEERS_PER_TORRENT_MAX:
        raise BadAnnounceRules(f"a torrent takes 1 to {PEERS_PER_TORRENT_MAX} clients of a user")
    return ports
