"""What the metrics say after traffic whose every request is known, for each listener and family."""

from __future__ import annotations

from pathlib import Path

import pytest
import uvloop
from prometheus_client import REGISTRY

from runtime import telemetry
from tests.tracker_edge import datagrams
from tests.tracker_edge.datagrams import addresses_of_this_machine
from tests.tracker_edge.edges import ANN, BOB, get, running, target
from tracker_edge.metrics import DatagramTally, Tally, publish_load, publish_state

HOSTS = addresses_of_this_machine()
FAMILY = {"127.0.0.1": "ipv4", "::1": "ipv6"}
UNREGISTERED = b"\xff" * 20

Sample = tuple[str, tuple[tuple[str, str], ...]]


class Counted:
    """What was added to the metrics since this was made."""

    def __init__(self) -> None:
        self.before = self._read()

    @staticmethod
    def _read() -> dict[Sample, float]:
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for metric in REGISTRY.collect()
            for sample in metric.samples
        }

    def of(self, name: str, shown: str, **labels: str) -> dict[str, float]:
        """The values above 0 of a counter, by the label `shown`, where the others are these."""
        found: dict[str, float] = {}
        for (one, pairs), value in self._read().items():
            given = dict(pairs)
            if one == name and labels.items() <= given.items() and value != self.before.get((one, pairs), 0):
                found[given[shown]] = value - self.before.get((one, pairs), 0)
        return found


@pytest.mark.parametrize("host", HOSTS)
def test_http_announces_are_counted_exactly(tmp_path: Path, host: str) -> None:
    counted, family = Counted(), FAMILY[host]

    async def work() -> None:
        async with running(tmp_path, host=host) as edge:
            for number in range(3):
                await get(edge.ports[0], target(number, ANN), host=host)
            for number in range(2):
                await get(edge.ports[0], target(number, ANN, info_hash=UNREGISTERED), host=host)
            await get(edge.ports[0], target(4, ANN, left="many"), host=host)
            await get(edge.ports[0], target(5, BOB, announce_key="x" * 32), host=host)

    uvloop.run(work())
    stages = counted.of("edge_requests_total", "stage", listener="http", family=family)
    assert stages == {"received": 7, "parsed": 6, "replied": 3}, "refusals wait for no disk and are counted as such"
    outcomes = counted.of("announces_total", "outcome", listener="http", family=family)
    assert outcomes == {"accepted": 3, "unregistered_torrent": 2, "bad_query": 1, "passkey_not_found": 1}
    other = ({"ipv4", "ipv6"} - {family}).pop()
    assert counted.of("edge_requests_total", "stage", listener="http", family=other) == {}
    assert counted.of("edge_requests_total", "stage", listener="udp") == {}


@pytest.mark.parametrize("host", HOSTS)
def test_datagrams_are_counted_exactly(tmp_path: Path, host: str) -> None:
    counted, family = Counted(), FAMILY[host]

    async def work() -> None:
        async with running(tmp_path, host=host) as edge:
            client = datagrams.Client(edge.udp_ports[0], host)
            connection_id = await client.connect()
            for number in range(3):
                await client.ask(datagrams.announce(connection_id, number))
            await client.ask(datagrams.announce(connection_id, 4, tail=b""))
            await client.ask(datagrams.scrape(connection_id, b"\x01" * 20))
            assert await client.hears_nothing_after(b"short", datagrams.announce(b"\x55" * 8, 5))
            client.close()

    uvloop.run(work())
    assert counted.of("edge_requests_total", "stage", listener="udp", family=family) == {
        "received": 9,
        "connects": 2,
        "parsed": 3,
        "accepted": 3,
        "replied": 7,
    }
    assert counted.of("announces_total", "outcome", listener="udp", family=family) == {"accepted": 3, "bad_query": 1}
    assert counted.of("datagrams_dropped_total", "reason", family=family) == {"short": 1, "connection_id": 1}
    assert counted.of("edge_requests_total", "stage", listener="http") == {}


def test_latencies_are_observed_by_listener_and_family() -> None:
    counted, tally = Counted(), Tally()
    tally.answered(0.004, six=False)
    tally.answered(0.018, six=True)
    tally.answered(0.018, six=True)
    datagram_tally = DatagramTally("ipv6")
    datagram_tally.durations.append(0.0015)
    for one in (tally, tally, datagram_tally, datagram_tally):  # a second publication adds nothing
        one.publish()
    name = "announce_duration_seconds"
    assert counted.of(f"{name}_count", "family", listener="http") == {"ipv4": 1, "ipv6": 2}
    assert counted.of(f"{name}_count", "family", listener="udp") == {"ipv6": 1}
    above_15_ms = [bound for bound in telemetry.ANNOUNCE_BUCKETS if bound >= 0.02]
    buckets = counted.of(f"{name}_bucket", "le", listener="http", family="ipv6")
    assert buckets == {**{str(bound): 2 for bound in above_15_ms}, "+Inf": 2}


def test_announces_over_a_limit_are_counted_by_limit() -> None:
    counted, tally, datagram_tally = Counted(), Tally(), DatagramTally("ipv4")
    tally.limited["slots", 1] += 1
    tally.limited["min_interval", 0] += 2
    for limit in ("slots", "slots", "key"):
        datagram_tally.limited[limit] += 1
    for one in (tally, datagram_tally, tally, datagram_tally):  # a second publication adds nothing
        one.publish()
    name = "announces_limited_total"
    assert counted.of(name, "limit", listener="http", family="ipv6") == {"slots": 1}
    assert counted.of(name, "limit", listener="http", family="ipv4") == {"min_interval": 2}
    assert counted.of(name, "limit", listener="udp", family="ipv4") == {"slots": 2, "key": 1}


def test_gauges_show_the_last_state() -> None:
    publish_state(journal_bytes=70_000, journal_age_s=0.25, journal_full=True, peers=11, swarms=3)
    publish_load(level=2, interval_s=2700)
    names = (
        "journal_depth_bytes",
        "journal_age_seconds",
        "journal_full",
        "peers",
        "swarms",
        "edge_load_level",
        "edge_interval_seconds",
    )
    assert [REGISTRY.get_sample_value(name) for name in names] == [70_000, 0.25, 1, 11, 3, 2, 2700]
