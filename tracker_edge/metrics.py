"""What the edge counts: plain integers where announces pass, published to the metrics once a second."""

from __future__ import annotations

from collections import Counter

from runtime import telemetry

FAMILIES = ("ipv4", "ipv6")


class Tally:
    """Counts since the last publication. A metric's own `inc` costs as much as parsing the query."""

    __slots__ = ("announces", "durations", "parsed", "received", "replied", "scrapes")

    def __init__(self) -> None:
        self.announces: Counter[tuple[str, str]] = Counter()  # by outcome and family
        self.received, self.parsed, self.replied = [0, 0], [0, 0], [0, 0]  # by family: IPv4, IPv6
        self.durations: list[float] = []  # seconds of a sample of the announces
        self.scrapes = 0

    def refused(self, code: str, address: bytes) -> None:
        self.announces[code, _family(address)] += 1

    def publish(self) -> None:
        """Adds the counts to the metrics and begins anew."""
        announces, self.announces = self.announces, Counter()
        durations, self.durations = self.durations, []
        scrapes, self.scrapes = self.scrapes, 0
        for (outcome, family), count in announces.items():
            telemetry.ANNOUNCES.labels("http", outcome, family).inc(count)
        for seconds in durations:
            telemetry.ANNOUNCE_DURATION.labels("http").observe(seconds)
        telemetry.SCRAPES.inc(scrapes)
        for stage in ("received", "parsed", "replied"):
            counts: list[int] = getattr(self, stage)
            setattr(self, stage, [0, 0])
            for family, count in zip(FAMILIES, counts, strict=True):
                telemetry.EDGE_REQUESTS.labels("http", family, stage).inc(count)


class DatagramTally:
    """What became of the datagrams of one UDP listener since the last publication."""

    COUNTS = ("received", "connects", "parsed", "accepted", "replied", "failed")
    __slots__ = (*COUNTS, "dropped", "durations", "family", "refused", "scrapes")

    def __init__(self, family: str) -> None:
        self.family = family
        self._begin()

    def _begin(self) -> None:
        self.received = self.connects = self.parsed = self.accepted = self.scrapes = 0
        self.replied = self.failed = 0
        self.refused: Counter[str] = Counter()  # told so, by reason
        self.dropped: Counter[str] = Counter()  # without a word, by reason
        self.durations: list[float] = []

    def drop(self, reason: str) -> tuple[None, None]:
        """Counts a datagram that is not answered: neither a row nor a reply."""
        self.dropped[reason] += 1
        return None, None

    def publish(self) -> None:
        """Adds the counts to the metrics and begins anew."""
        family = self.family
        for name in self.COUNTS:
            telemetry.EDGE_REQUESTS.labels("udp", family, name).inc(getattr(self, name))
        for reason, count in self.dropped.items():
            telemetry.DATAGRAMS_DROPPED.labels(family, reason).inc(count)
        for reason, count in (*self.refused.items(), ("accepted", self.accepted)):
            telemetry.ANNOUNCES.labels("udp", reason, family).inc(count)
        for seconds in self.durations:
            telemetry.ANNOUNCE_DURATION.labels("udp").observe(seconds)
        telemetry.SCRAPES.inc(self.scrapes)
        self._begin()


def publish_state(*, journal_bytes: int, journal_age_s: float, peers: int, swarms: int) -> None:
    """Sets the gauges."""
    telemetry.JOURNAL_DEPTH.set(journal_bytes)
    telemetry.JOURNAL_AGE.set(journal_age_s)
    telemetry.PEERS.set(peers)
    telemetry.SWARMS.set(swarms)


def _family(address: bytes) -> str:
    return "ipv6" if len(address) == 16 else "ipv4"
