"""Sequences of announces, byte for byte: who is told of whom, over HTTP and UDP, and what the journal makes of it."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from tests.tracker_edge import strict
from tests.tracker_edge.bench import NOW_S, NOW_US, Bench, packed
from tests.tracker_edge.datagrams import announce as datagram
from tests.tracker_edge.datagrams import connect
from tests.tracker_edge.datagrams import scrape as scrape_datagram
from tests.tracker_edge.edges import ANN, BOB, BOOK, EVE, FILM, HASH, HYBRID, SECRET, V2, some, target
from tests.tracker_edge.edges import user as user_row
from tests.tracker_edge.vectors import ESCAPED, GONE, OK, asked, counts, failure, query, scrape
from tracker_edge.connection_ids import ConnectionIds
from tracker_edge.flood import Flood
from tracker_edge.metrics import DatagramTally
from tracker_edge.restore import apply as replay
from tracker_edge.swarms import Swarms
from tracker_edge.udp import Desk


def test_the_sequence_of_webtorrents_tests(bench: Bench) -> None:
    steps = [
        (1, "started", "9", (0, 1)), (1, "completed", "0", (1, 0)), (2, "started", "9", (1, 1)),
        (3, "started", "9", (1, 2)), (2, "stopped", "9", (1, 1)), (3, "stopped", "9", (1, 0)),
    ]  # fmt: skip
    for number, event, left, expected in steps:
        assert counts(bench.body(target(number, (ANN, BOB, EVE)[number - 1], event=event, left=left))) == expected
    assert bench.body(scrape(ESCAPED)).count(b"10:downloadedi1e") == 1


def test_the_second_of_two_is_told_of_the_first(bench: Bench) -> None:
    bench.body(asked(query(port="10001")))
    assert bench.body(asked(query(port="10002"), BOB)).endswith(b"5:peers6:\x08\x08\x08\x08\x27\x11e")


def test_one_peer_id_from_another_address_is_the_same_peer(bench: Bench) -> None:
    bench.body(asked(query()), host="8.8.4.4")
    assert counts(bench.body(asked(query(event="started")), host="8.8.8.8")) == (0, 1)
    assert bench.body(asked(query(), BOB)).endswith(b"5:peers6:\x08\x08\x08\x08\x1a\xe1e")


def test_one_peer_id_of_two_users_is_two_peers(bench: Bench) -> None:
    bench.body(asked(query()), host="8.8.4.4")
    assert bench.body(asked(query(), BOB)) == OK % (0, 0, 2) + b"5:peers6:\x08\x08\x04\x04\x1a\xe1e"


def test_a_hybrid_is_one_torrent_and_both_families_one_peer(bench: Bench) -> None:
    for info_hash in (HASH[HYBRID], V2[:20]):
        for host in ("8.8.8.8", "2600::1"):
            assert counts(bench.body(target(1, ANN, HYBRID, info_hash=info_hash, key="1F"), host=host)) == (0, 1)
    body = bench.body(target(2, BOB, HYBRID, info_hash=V2[:20]), host="2600::2")
    assert body.endswith(b"5:peers6:\x08\x08\x08\x08\x1bY6:peers618:" + packed("2600::1") + b"\x1bYe")
    assert {record.torrent_id for record in bench.announces} == {HYBRID.bytes}


def test_a_completed_is_counted_once_and_only_with_nothing_left(bench: Bench) -> None:
    for event, left in (("started", "5"), ("completed", "5"), ("completed", "0"), ("completed", "0"), ("", "0")):
        bench.body(asked(query(event=event, left=left)))
    assert b"10:downloadedi1e" in bench.body(scrape(ESCAPED))


def test_an_early_announce_is_journaled_and_warned(bench: Bench) -> None:
    bench.body(asked(query(left="0"), BOB))
    bench.body(asked(query()))
    assert bench.body(asked(query(uploaded="5"))) == (
        OK % (1, 0, 1) + b"5:peers0:15:warning message49:Announced before min interval: no peers this timee"
    )
    assert [record.uploaded for record in bench.announces] == [0, 0, 5]


NO_PEERS = OK + b"5:peers0:15:warning message%d:%be"


def limited(complete: int, incomplete: int, warning: bytes) -> bytes:
    return NO_PEERS % (complete, 0, incomplete, len(warning), warning)


def test_over_a_limit_everything_is_journaled_and_nobody_told() -> None:
    bench = Bench(limited=True)
    bench.tracker.access.apply(some([user_row(ANN)._replace(download_slots=1)]))
    bench.body(target(1, BOB, left="0"))
    bench.body(target(1, BOB, BOOK, left="0"))
    assert counts(bench.body(target(2, ANN))) == (1, 1)
    assert bench.body(target(2, ANN, BOOK)) == limited(1, 1, b"Download slot limit reached: no peers for this torrent")
    assert bench.body(target(2, ANN, BOOK, left="0", event="completed")) == OK % (2, 1, 0) + b"5:peers0:e"
    for number in (3, 4):
        assert counts(bench.body(target(number, ANN, left="0"))) == (number - 1, 1)
    too_many = b"Too many clients of yours on this torrent: no peers here"
    assert bench.body(target(5, ANN, left="0")) == limited(4, 1, too_many)
    assert len(bench.announces) == 8


def test_who_announces_too_often_is_journaled_and_told_of_nobody() -> None:
    bench = Bench(flood=Flood(3, 5))
    bench.body(target(1, BOB, left="0"), host="8.8.4.4")
    for number in (2, 3, 4):
        assert counts(bench.body(target(number, ANN, event="started"))) == (1, number - 1)
    by_key = b"Too many announces with your key: no peers for this one"
    assert bench.body(target(5, ANN)) == limited(1, 4, by_key)
    bench.body(target(6, EVE))
    by_address = b"Too many announces from your address: no peers for this one"
    assert bench.body(target(7, EVE)) == limited(1, 6, by_address)
    bench.later(60)
    assert counts(bench.body(target(8, ANN))) == (1, 7)
    assert len(bench.announces) == 8


@pytest.mark.parametrize("port", [1214, 3389, 4662, 6346, 6347, 6699, 8080, 8081])
def test_ports_of_other_programs_are_refused_and_stops_taken(bench: Bench, port: int) -> None:
    assert bench.body(asked(query(port=str(port)))) == failure(f"Port {port} is not allowed")
    assert bench.body(asked(query(port=str(port), event="stopped"))) == GONE


def test_one_address_is_told_once_whoever_was_there_before() -> None:
    """edge.md 4.3: a client that came back with a new peer_id leaves a ghost at its address until that expires."""
    bench = Bench()
    for number in (1, 2, 3):
        bench.body(asked(query(peer_id=f"{number:020}", left="0"), BOB), host="8.8.4.4")
    peers: Any = strict.bencoded(bench.body(asked(query())))
    assert peers[b"peers"] == b"\x08\x08\x04\x04\x1a\xe1"


def test_a_repeated_announce_is_journaled_and_counted_once(bench: Bench) -> None:
    for _ in range(20):
        bench.body(asked(query(event="started")))
    assert counts(bench.body(asked(query(event="started")))) == (0, 1)
    bench.body(asked(query(event="stopped")))
    assert counts(bench.body(asked(query(event="stopped")))) == (0, 0)


class Udp:
    """A desk beside the connections of one edge."""

    def __init__(self) -> None:
        self.bench = Bench(allow_private=True)
        clock = SimpleNamespace(now_s=NOW_S, now_us=lambda: NOW_US)
        self.desk = Desk(
            self.bench.tracker, ConnectionIds(SECRET), clock, DatagramTally("ipv4"), unix_s=lambda: 1_800_000_000.0
        )

    def ask(self, host: str, request: Any, *arguments: Any, **fields: Any) -> str:
        address = packed(host)
        own = (self.desk.answer(connect(), address)[1] or b"")[8:]
        return (self.desk.answer(request(own, *arguments, **fields), address)[1] or b"").hex()


def test_golden_packets_through_the_rules() -> None:
    udp = Udp()
    alone = udp.ask("8.8.8.8", datagram, 1, ANN, event=2)
    assert alone == "0000000155777888000007080000000100000000"
    udp.ask("203.0.113.7", datagram, 2, BOB, left=0, port=6881)
    assert udp.ask("8.8.8.8", datagram, 1, ANN, event=2)[16:] == "000007080000000100000001cb0071071ae1"
    udp.ask("2001:db8::1", datagram, 3, BOB, left=0, port=51413)
    assert udp.ask("2001:db8::9", datagram, 4, EVE)[16:] == (
        "00000708000000020000000220010db8000000000000000000000001c8d5"
    )
    refused = udp.ask("8.8.8.8", datagram, 1, ANN, tail=b"\x02\x2a/announce/" + b"a" * 32)
    assert refused[16:] == b"Passkey not found".hex()
    assert refused[:8] == "00000003"


def test_the_golden_scrape_through_the_rules() -> None:
    """Seeders, completed, leechers: and zeros in the place of what is not known."""
    udp = Udp()
    for number, event, left in ((1, 2, 5), (1, 1, 0), (2, 2, 5), (2, 1, 0), (2, 3, 0), (3, 2, 5), (4, 2, 5), (5, 2, 5)):
        udp.ask("8.8.8.8", datagram, number, ANN, event=event, left=left)
    row = "000000010000000200000003"
    assert udp.ask("8.8.8.8", scrape_datagram, HASH[FILM]) == "0000000299aabbcc" + row
    unknown = b"?" * 20
    assert udp.ask("8.8.8.8", scrape_datagram, unknown, HASH[FILM], unknown, HASH[FILM])[16:] == (
        "00" * 12 + row + "00" * 12 + row
    )


def test_counts_are_the_same_over_both_protocols_and_families() -> None:
    udp = Udp()
    udp.ask("8.8.8.8", datagram, 1, ANN, left=0)
    udp.ask("2600::1", datagram, 1, ANN, left=0)
    udp.bench.body(target(2, BOB), host="2600::2")
    assert udp.ask("8.8.8.8", scrape_datagram, HASH[FILM])[16:] == "000000010000000000000001"
    assert udp.ask("2600::3", scrape_datagram, HASH[FILM])[16:] == "000000010000000000000001"
    assert b"completei1e10:downloadedi0e11:downloadersi1e10:incompletei1e" in udp.bench.body(scrape(ESCAPED))


def test_the_journal_alone_makes_the_same_swarms() -> None:
    """Whatever was announced: peers, addresses, roles and numbers are those of the edge that heard it."""
    bench, rng = Bench(), Random(5)
    for _ in range(600):
        bench.later(rng.choice((0, 1, 60)))
        torrent_id, number = rng.choice((FILM, BOOK)), rng.randrange(8)
        event, left = rng.choice(("", "", "started", "stopped", "paused")), str(rng.choice((0, 0, 9)))
        host = rng.choice(("8.8.8.8", "8.8.4.4", "2600::8", "10.0.0.1"))
        bench.body(target(number, rng.choice((ANN, BOB, EVE)), torrent_id, event=event, left=left), host=host)
    again = Swarms(Random(6))
    for record in bench.announces:
        replay(again, record, bench.clock.us, bench.clock.s, 1)
    assert sorted(again.sessions()) == sorted(bench.swarms.sessions())
    assert len(again) > 10
    for torrent_id in (FILM, BOOK):
        assert again.counts(torrent_id.bytes) == bench.swarms.counts(torrent_id.bytes)
