"""The load generator's own account of bytes: does it agree with the credit rules, and is a wrong one noticed?"""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest

from bench.catalogue import Catalogue, made_up
from bench.load.__main__ import main
from bench.load.check import Credited, credited, differences
from bench.load.population import Moved, Population, Session, Shares
from domain.announces import Announce, encode
from runtime.journal import GENESIS, Segment, seal

ANN, BOB, FILM = b"a" * 16, b"b" * 16, b"f" * 16
MOVED = {(ANN, FILM): Moved(7, 5), (BOB, FILM): Moved(1, 0)}


def as_moved() -> Credited:
    return Credited({ANN: Moved(7, 5), BOB: Moved(1, 0)}, {FILM: Moved(8, 5)}, dict(MOVED))


def test_what_was_moved_differs_in_nothing() -> None:
    assert differences(MOVED, as_moved()) == []


@pytest.mark.parametrize("sums", ["users", "torrents", "pairs"])
@pytest.mark.parametrize("off", [(1, 0), (0, -1)])
def test_one_byte_off_is_named(sums: str, off: tuple[int, int]) -> None:
    found = as_moved()
    by_key: dict[object, Moved] = getattr(found, sums)
    key = next(iter(by_key))
    by_key[key] = by_key[key].plus(*off)
    assert len(differences(MOVED, found)) == 1


def test_bytes_that_nobody_moved_are_named() -> None:
    found = as_moved()
    found.users[b"e" * 16] = Moved(0, 1)
    assert len(differences(MOVED, found)) == 1


@pytest.mark.parametrize("seed", range(5))
def test_the_rules_credit_what_the_clients_moved_however_often_they_repeat_it(seed: int) -> None:
    rng = Random(seed)
    catalogue = made_up(10, 6)
    population = Population(catalogue, iter(range(50)), Shares(), rng)
    found = credited([segment(announces(population, catalogue, rng))])
    assert sum(moved.uploaded for moved in population.moved().values()) > 0
    assert differences(population.moved(), found) == []
    assert not found.anomalies


def announces(population: Population, catalogue: Catalogue, rng: Random) -> list[Announce]:
    """Sixty steps of every session, all acknowledged; some announces reach the journal twice."""
    records: list[Announce] = []
    for _ in range(60):
        for session in rng.sample(population.sessions, len(population.sessions)):
            session.begin_step()
            for _ in session.torrent.hashes:
                for six in session.families:
                    at_us = len(records) * 1000
                    records += [announce(session, catalogue, at_us, six=six)] * rng.choice((1, 1, 1, 2))
                    session.answered()
    return records


def announce(session: Session, catalogue: Catalogue, at_us: int, *, six: bool) -> Announce:
    step, peer, user_id = session.step, session.peer, catalogue.users[session.peer.user].bytes
    counters = step.uploaded, step.downloaded, step.left
    who = user_id, session.torrent.id.bytes, peer.peer_id
    return Announce(at_us, *who, step.event, *counters, bytes(16 if six else 4), peer.port, peer.key)


def segment(records: list[Announce]) -> Segment:
    at = datetime(2031, 1, 1, tzinfo=UTC)
    return seal("edge-1", 1, len(records), at, at, GENESIS, encode(records))


def test_every_byte_is_credited_over_every_carrier_though_the_edge_is_killed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = "--rate=300 --seconds=2 --peers=60 --users=20 --torrents=10 --kill --timeout=1"
    assert main(options.split()) == 0
    printed = capsys.readouterr().out
    assert "killed, and answers again" in printed
    assert "every byte credited" in printed
