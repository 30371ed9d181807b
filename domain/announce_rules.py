"""Announce rules: from which ports nobody announces, how many clients of a user a torrent takes, and what share of
what they download users have to upload."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from domain.base import Aggregate, Created, natural_id
from domain.errors import Malformed

#: UNIT3D's: web proxies, Kazaa, remote desktop, eDonkey, Gnutella, WinMX. Ports below 1024 are refused in any case.
DEFAULT_REFUSED_PORTS = (1214, 3389, 4662, 6346, 6347, 6699, 8080, 8081)
DEFAULT_PEERS_PER_TORRENT = 3
REFUSED_PORTS_MAX = 100
PEERS_PER_TORRENT_MAX = 1000
REQUIRED_RATIO_PERCENT_MAX = 1000
#: Gazelle's ratio watch leaves who has downloaded less than 5 GiB alone.
DEFAULT_RATIO_COUNTS_FROM_BYTES = 5 * 1024**3
RATIO_COUNTS_FROM_BYTES_MAX = 1024**5

#: The stream of the site's only rules.
ANNOUNCE_RULES = natural_id("announce_rules", "site")


class BadAnnounceRules(Malformed):
    """A port is between 1 and 65535, a torrent takes at least one client of a user, and a ratio is 0 to 1000 %."""


class RatioRule(NamedTuple):
    """Who downloaded this much has to have uploaded that share of it; by credited bytes. 0 % requires nothing."""

    required_percent: int = 0
    counts_from_bytes: int = DEFAULT_RATIO_COUNTS_FROM_BYTES

    def broken(self, uploaded: int, downloaded: int) -> bool:
        return downloaded >= self.counts_from_bytes and uploaded * 100 < downloaded * self.required_percent


#: What holds until somebody sets another rule.
NO_RATIO_RULE = RatioRule()


class AnnounceRules(Aggregate):
    """The rules as they were last changed; the defaults above hold until then."""

    TOPIC = "announce_rules"

    class Changed(Created):
        """All of the rules, each time: the first change is also what makes them a thing."""

        TOPIC = "announce_rules.changed"
        class_version = 2
        refused_ports: list[int]
        peers_per_torrent: int
        required_ratio_percent: int
        ratio_counts_from_bytes: int

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """There was no ratio rule."""
            state["required_ratio_percent"], state["ratio_counts_from_bytes"] = NO_RATIO_RULE

        def mutate(self, aggregate: Any) -> Any:
            return super().mutate(None) if aggregate is None else Aggregate.Event.mutate(self, aggregate)

        def apply(self, aggregate: Any) -> None:
            aggregate.refused_ports = frozenset(self.refused_ports)
            aggregate.peers_per_torrent = self.peers_per_torrent
            aggregate.required_ratio_percent = self.required_ratio_percent
            aggregate.ratio_counts_from_bytes = self.ratio_counts_from_bytes

    refused_ports: frozenset[int]
    peers_per_torrent: int
    required_ratio_percent: int
    ratio_counts_from_bytes: int

    @property
    def ratio(self) -> RatioRule:
        return RatioRule(self.required_ratio_percent, self.ratio_counts_from_bytes)

    @classmethod
    def lay_down(
        cls, refused_ports: Iterable[int], peers_per_torrent: int, ratio: RatioRule = NO_RATIO_RULE
    ) -> AnnounceRules:
        """The first change; raises `BadAnnounceRules`."""
        fields = _checked(refused_ports, peers_per_torrent, ratio)
        return cls._create(cls.Changed, id=ANNOUNCE_RULES, **fields)

    def change(self, refused_ports: Iterable[int], peers_per_torrent: int, ratio: RatioRule | None = None) -> None:
        """Other rules instead of these, the ratio rule only if there is one; raises `BadAnnounceRules`."""
        ratio = self.ratio if ratio is None else ratio
        fields = _checked(refused_ports, peers_per_torrent, ratio)
        wanted = (frozenset(fields["refused_ports"]), peers_per_torrent, ratio)
        if wanted != (self.refused_ports, self.peers_per_torrent, self.ratio):
            self.trigger_event(self.Changed, originator_topic=self.TOPIC, **fields)


def _checked(refused_ports: Iterable[int], peers_per_torrent: int, ratio: RatioRule) -> dict[str, Any]:
    """The fields of the event."""
    ports = sorted(set(refused_ports))
    if len(ports) > REFUSED_PORTS_MAX or not all(1 <= port <= 65535 for port in ports):
        raise BadAnnounceRules(f"name at most {REFUSED_PORTS_MAX} ports between 1 and 65535")
    if not 1 <= peers_per_torrent <= PEERS_PER_TORRENT_MAX:
        raise BadAnnounceRules(f"a torrent takes 1 to {PEERS_PER_TORRENT_MAX} clients of a user")
    if not 0 <= ratio.required_percent <= REQUIRED_RATIO_PERCENT_MAX:
        raise BadAnnounceRules(f"a ratio is 0 to {REQUIRED_RATIO_PERCENT_MAX} %")
    if not 0 <= ratio.counts_from_bytes <= RATIO_COUNTS_FROM_BYTES_MAX:
        raise BadAnnounceRules(f"a ratio counts from 0 to {RATIO_COUNTS_FROM_BYTES_MAX} bytes")
    return {
        "refused_ports": ports,
        "peers_per_torrent": peers_per_torrent,
        "required_ratio_percent": ratio.required_percent,
        "ratio_counts_from_bytes": ratio.counts_from_bytes,
    }
