"""Two real clients find each other through an edge and transfer a file; the journal says how much, to the byte."""

from __future__ import annotations

import asyncio
from pathlib import Path

import bencodepy
import libtorrent as lt
import pytest
import uvloop

from domain.announces import Event
from domain.credit import settle
from domain.factors import Factors
from runtime.journal import verify
from tests.bittorrent import Client, make_torrent
from tests.site import free_ports
from tests.tracker_edge import edges
from tests.tracker_edge.edges import ANN, BOB, FILM, MemoryStore, Table, key, running
from tracker_edge.access import TorrentRow, changes

SIZE = 700_001


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # libtorrent 2.1 renames its functions
def test_a_transfer_through_the_edge(tmp_path: Path) -> None:
    plain = make_torrent(tmp_path / "seed", "film.bin", SIZE)
    info_hash = lt.torrent_info(plain).info_hashes().v1.to_bytes()
    table, store = Table(), MemoryStore()

    async def run() -> tuple[tuple[int, int], tuple[int, int]]:
        async with running(tmp_path, table, store) as edge:
            row = TorrentRow(FILM, info_hash, None, "approved", "", SIZE, 2)
            table.deliver(changes(edges.SECRET, [], [row], (2, 2), False))
            url = f"http://127.0.0.1:{edge.ports[0]}/announce/"
            return await asyncio.to_thread(transfer, tmp_path, plain, url + key(ANN, FILM), url + key(BOB, FILM))

    (uploaded, _), (_, downloaded) = uvloop.run(run())
    assert verify(store.segments) is not None
    credited = {ANN.bytes: [0, 0], BOB.bytes: [0, 0]}
    for user_id, sums in credited.items():
        session = None
        for announce in (a for a in store.announces if a.user_id == user_id):
            session, credit = settle(session, announce, Factors(), 10**9)
            sums[0] += credit.uploaded
            sums[1] += credit.downloaded
    assert credited[ANN.bytes] == [uploaded, 0]
    assert credited[BOB.bytes] == [0, downloaded]
    assert uploaded >= SIZE
    events = [a.event for a in store.announces if a.user_id == BOB.bytes]
    assert events[0] == Event.STARTED
    assert events[-1] == Event.STOPPED
    assert Event.COMPLETED in events


def transfer(folder: Path, plain: bytes, seeders: str, leechers: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Returns what each client says that it has (uploaded, downloaded)."""
    ports = free_ports(2)
    seeder = Client(ports[0], announced_to(plain, seeders), folder / "seed")
    seeder.wait(lambda status: status.is_seeding and seeder.announced(), 10, "the seeder announces")
    leecher = Client(ports[1], announced_to(plain, leechers), folder / "leech")
    leecher.wait(lambda status: status.is_seeding, 20, "the leecher finds the seeder and downloads")
    return seeder.stop(), leecher.stop()


def announced_to(plain: bytes, url: str) -> bytes:
    return bytes(bencodepy.encode(bencodepy.decode(plain) | {b"announce": url.encode()}))
