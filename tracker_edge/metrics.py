"""What the edge counts: plain integers where announces pass, published to the metrics once a second."""

from __future__ import annotations

from collections import Counter

from runtime import telemetry


class Tally:
    """Counts since the last publication. A metric's own `inc` costs as much as parsing the query."""

    __slots__ = ("announces", "durations", "scrapes")

    def __init__(self) -> None:
        self.announces: Counter[tuple[str, str]] = Counter()  # by outcome and family
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
            telemetry.ANNOUNCES.labels(outcome, family).inc(count)
        for seconds in durations:
            telemetry.ANNOUNCE_DURATION.observe(seconds)
        telemetry.SCRAPES.inc(scrapes)


def publish_state(*, journal_bytes: int, journal_age_s: float, peers: int, swarms: int) -> None:
    """Sets the gauges."""
    telemetry.JOURNAL_DEPTH.set(journal_bytes)
    telemetry.JOURNAL_AGE.set(journal_age_s)
    telemetry.PEERS.set(peers)
    telemetry.SWARMS.set(swarms)


def _family(address: bytes) -> str:
    return "ipv6" if len(address) == 16 else "ipv4"
