"""What a peer costs in memory, and what an announce costs in small and in large swarms."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.catalogue import made_up
from bench.edge.loads import Loads, announcers, http_requests, write_requests
from bench.stand_alone import StandAlone
from tests.site import free_ports

#: Held equal while the size of the swarms changes: what is compared is the swarm, not the machine's caches.
PEERS = 100_000
SWARMS = (10, 1_000, 100_000)
ANNOUNCERS = 20_000


def memory(peers: int) -> None:
    """Resident bytes a peer, in a process of its own: one in five over IPv6 too, 100 to a torrent, 20 to a user."""
    with tempfile.TemporaryDirectory() as folder:
        users, torrents = max(1000, peers // 20), max(1, peers // 100)
        port = free_ports(1)[0]
        with StandAlone(Path(folder), port=port, users=users, torrents=torrents, peers=peers) as edge:
            print(f"memory at {peers:,} peers: {edge.bytes_a_peer:.0f} bytes a peer")


def swarms(loads: Loads, seconds: float) -> None:
    """The edge's CPU time for an announce over kept connections, by the size of the swarm."""
    costs = {size: _cost(loads, seconds, size) for size in SWARMS}
    first = costs[SWARMS[0]]
    for size, (microseconds, reply_bytes) in costs.items():
        ratio = microseconds / first[0]
        print(f"swarm of {size:>7,}: {microseconds:.1f} us of CPU, {reply_bytes:.0f} bytes a reply, ratio {ratio:.2f}")


def _cost(loads: Loads, seconds: float, size: int) -> tuple[float, float]:
    """Microseconds of an announce, and bytes of its reply."""
    torrents = PEERS // size
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        catalogue = made_up(PEERS, torrents)
        requests = http_requests(catalogue, announcers(catalogue, ANNOUNCERS, size), close=False)
        path = write_requests(folder / "requests", requests)
        with StandAlone(folder, port=free_ports(1)[0], users=PEERS, torrents=torrents, peers=PEERS) as edge:
            loads.http(edge.port, path, 1)
            before = edge.cpu_s
            rate = loads.http(edge.port, path, seconds)
            return (edge.cpu_s - before) / (rate.per_second * seconds) * 1e6, rate.reply_bytes
