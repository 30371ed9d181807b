"""Two real clients find each other through an edge and transfer a file; the journal says how much, to the byte.

Over HTTP and UDP, IPv4 and IPv6, with torrents of version 1, version 2 and both.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID

import libtorrent as lt
import pytest
import uvloop

from domain.announces import Event
from domain.credit import settle
from domain.factors import Factors
from domain.metainfo import parse, personal
from runtime.journal import verify
from tests.bittorrent import Client, make_torrent
from tests.site import free_ports
from tests.tracker_edge import edges
from tests.tracker_edge.datagrams import addresses_of_this_machine
from tests.tracker_edge.edges import ANN, BOB, FILM, MemoryStore, Table, key, running
from tracker_edge.access import TorrentRow, changes
from tracker_edge.server import Edge

SIZE = 300_001
HYBRID = 0
FLAGS = {"v1": lt.create_torrent.v1_only, "v2": lt.create_torrent.v2_only, "hybrid": HYBRID}


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # libtorrent 2.1 renames its functions
@pytest.mark.parametrize("version", FLAGS)
@pytest.mark.parametrize("host", addresses_of_this_machine())
@pytest.mark.parametrize("listener", ["http", "udp"])
def test_a_transfer_is_credited_to_the_byte(tmp_path: Path, listener: str, host: str, version: str) -> None:
    plain = parse(make_torrent(tmp_path / "seed", "film.bin", SIZE, FLAGS[version]))
    row = TorrentRow(FILM, plain.info_hash_v1, plain.info_hash_v2, "approved", "", SIZE, 2)
    table, store = Table(), MemoryStore()

    async def run() -> tuple[tuple[int, int], tuple[int, int]]:
        async with running(tmp_path, table, store, host=host) as edge:
            table.deliver(changes(edges.SECRET, [], [row], (2, 2), False))
            name = f"[{host}]" if ":" in host else host
            port = edge.ports[0] if listener == "http" else edge.udp_ports[0]
            url = f"{listener}://{name}:{port}/announce/"
            files = [personal(plain.info, plain.piece_layers, url + key(user, FILM), "") for user in (ANN, BOB)]
            return await asyncio.to_thread(transfer, edge, tmp_path, files, host)

    (uploaded, _), (_, downloaded) = uvloop.run(run())
    assert verify(store.segments) is not None
    assert credited(store, ANN) == (uploaded, 0)
    assert credited(store, BOB) == (0, downloaded)
    assert uploaded >= SIZE
    of_bob = [a for a in store.announces if a.user_id == BOB.bytes]
    events = [a.event for a in of_bob]
    assert (events[0], events[-1]) == (Event.STARTED, Event.STOPPED)
    assert Event.COMPLETED in events
    assert events.count(Event.STARTED) == (2 if version == "hybrid" else 1), "a hybrid is announced by both hashes"
    assert {len(a.address) for a in store.announces} == {16 if ":" in host else 4}
    assert len({a.peer_id for a in of_bob}) == 1
    assert {a.torrent_id for a in store.announces} == {FILM.bytes}


def credited(store: MemoryStore, user_id: UUID) -> tuple[int, int]:
    """What the journal's records of the user are worth: bytes (uploaded, downloaded)."""
    session, uploaded, downloaded = None, 0, 0
    for announce in (a for a in store.announces if a.user_id == user_id.bytes):
        session, credit = settle(session, announce, Factors(), 10**9)
        uploaded, downloaded = uploaded + credit.uploaded, downloaded + credit.downloaded
    return uploaded, downloaded


def transfer(edge: Edge, folder: Path, files: list[bytes], host: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Returns what each client says that it has (uploaded, downloaded)."""
    ports = free_ports(2)
    seeder = Client(ports[0], files[0], folder / "seed", host)
    seeder.wait(lambda status: status.is_seeding and seeder.announced(), 10, "the seeder announces")
    leecher = Client(ports[1], files[1], folder / "leech", host)
    leecher.wait(lambda status: status.is_seeding, 20, "the leecher finds the seeder and downloads")
    assert len(edge.swarms) == 2
    return seeder.stop(), leecher.stop()
