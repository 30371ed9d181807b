"""What the edge counts: plain integers where announces pass, published to the metrics once a second."""

from __future__ import annotations

from collections import Counter

from runtime import telemetry

FAMILIES = ("ipv4", "ipv6")


class Tally:
    """Counts of HTTP since the last publication; `six` says which family, the client's and not its proxy's.

    A metric's own `inc` costs as much as parsing the query.
    """

    __slots__ = ("accepted", "limited", "parsed", "received", "refusals", "replied", "scrapes", "took")

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.refusals: Counter[tuple[str, int]] = Counter()  # by code and family
        self.limited: Counter[tuple[str, int]] = Counter()  # accepted and told of no peers, by limit and family
        self.received, self.parsed, self.accepted, self.replied = [0, 0], [0, 0], [0, 0], [0, 0]  # IPv4, IPv6
        self.took: tuple[list[float], list[float]] = [], []  # by family: seconds of a sample of the announces
        self.scrapes = 0

    def refused(self, code: str, address: bytes) -> None:
        self.refusals[code, len(address) == 16] += 1

    def answered(self, seconds: float, *, six: bool) -> None:
        """Notes how long one announce took from its receipt until its reply was sent."""
        self.took[six].append(seconds)

    def publish(self) -> None:
        """Adds the counts to the metrics and begins anew."""
        for (code, six), count in self.refusals.items():
            telemetry.ANNOUNCES.labels("http", code, FAMILIES[six]).inc(count)
        for (limit, six), count in self.limited.items():
            telemetry.ANNOUNCES_LIMITED.labels("http", FAMILIES[six], limit).inc(count)
        for six, family in enumerate(FAMILIES):
            telemetry.ANNOUNCES.labels("http", "accepted", family).inc(self.accepted[six])
            for stage in ("received", "parsed", "replied"):
                telemetry.EDGE_REQUESTS.labels("http", family, stage).inc(getattr(self, stage)[six])
            _observe("http", family, self.took[six])
        telemetry.SCRAPES.inc(self.scrapes)
        self._begin()


class DatagramTally:
    """What became of the datagrams of one UDP listener since the last publication."""

    COUNTS = ("received", "connects", "parsed", "accepted", "replied", "failed")
    __slots__ = (*COUNTS, "dropped", "durations", "family", "limited", "refused", "scrapes")

    def __init__(self, family: str) -> None:
        self.family = family
        self._begin()

    def _begin(self) -> None:
        self.received = self.connects = self.parsed = self.accepted = self.scrapes = 0
        self.replied = self.failed = 0
        self.refused: Counter[str] = Counter()  # told so, by reason
        self.dropped: Counter[str] = Counter()  # without a word, by reason
        self.limited: Counter[str] = Counter()  # accepted and told of no peers, by limit
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
        for limit, count in self.limited.items():
            telemetry.ANNOUNCES_LIMITED.labels("udp", family, limit).inc(count)
        _observe("udp", family, self.durations)
        telemetry.SCRAPES.inc(self.scrapes)
        self._begin()


def publish_state(*, journal_bytes: int, journal_age_s: float, journal_full: bool, peers: int, swarms: int) -> None:
    """Sets the gauges."""
    telemetry.JOURNAL_DEPTH.set(journal_bytes)
    telemetry.JOURNAL_AGE.set(journal_age_s)
    telemetry.JOURNAL_FULL.set(journal_full)
    telemetry.PEERS.set(peers)
    telemetry.SWARMS.set(swarms)


def publish_load(*, level: float, interval_s: int) -> None:
    """Sets the gauges of load shedding: level 0 is none; clients are told the interval, give or take their jitter."""
    telemetry.LOAD_LEVEL.set(level)
    telemetry.INTERVAL.set(interval_s)


def publish_rights(*, age_s: float) -> None:
    """Sets the gauge: how old what the edge knows of rights is."""
    telemetry.RIGHTS_AGE.set(age_s)


def _observe(listener: str, family: str, sample: list[float]) -> None:
    for seconds in sample:
        telemetry.ANNOUNCE_DURATION.labels(listener, family).observe(seconds)
