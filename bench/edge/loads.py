"""The loads in C, and the requests that they send: made before, so that the load is not what is measured."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from bench.catalogue import Catalogue
from bench.requests import HttpForm, UdpForm
from domain.announces import Event

#: As the edge gives at most; asked of every tracker.
NUMWANT = 50
#: A load that takes this part of a core may be what limits the rate.
BUSY = 0.95


class Rate(NamedTuple):
    """What a load counted: replies, bytes of one, and the part of a core that the load took."""

    per_second: float
    reply_bytes: float
    failures: int
    lost: int
    load_cpu: float


class Loads:
    """Both loads, compiled into `folder`. `measure` methods raise SystemExit when replies were not as they must be."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            raise SystemExit("missing: a C compiler (Debian: apt-get install gcc libc6-dev)")
        self._folder = folder
        for name in ("http_load", "udp_load"):
            source = Path(__file__).with_name(f"{name}.c")
            subprocess.run([compiler, "-O2", "-o", folder / name, source], check=True)

    def http(self, port: int, requests: Path, seconds: float, connections: int = 256) -> Rate:
        return self._run("http_load", port, seconds, connections, requests)

    def udp(self, port: int, requests: Path, seconds: float, window: int = 64, sockets: int = 8) -> Rate:
        return self._run("udp_load", port, seconds, window, sockets, requests)

    def _run(self, name: str, port: int, *words: object) -> Rate:
        command = [str(self._folder / name), "127.0.0.1", str(port), *map(str, words)]
        output = subprocess.run(command, capture_output=True, text=True)
        if output.returncode:
            raise SystemExit(f"{name} on port {port}: {output.stderr}")
        rate, size, failures, lost, cpu = output.stdout.split()
        found = Rate(float(rate), float(size), int(failures), int(lost), float(cpu))
        if found.failures or found.lost > 10 or not found.per_second:
            raise SystemExit(f"{name} on port {port}: {found.failures} failures, {found.lost} lost")
        if found.load_cpu > BUSY:
            print(f"the load itself took {found.load_cpu:.2f} of a core on port {port}")
        return found


def write_requests(path: Path, requests: Iterable[bytes]) -> Path:
    path.write_bytes(b"".join(len(request).to_bytes(4, "big") + request for request in requests))
    return path


def http_requests(catalogue: Catalogue, peers: Iterable[int], *, close: bool, keys: bool = True) -> Iterable[bytes]:
    """Regular announces of these peers; without keys, as a public tracker is asked."""
    for number in peers:
        peer = catalogue.peer(number)
        key = catalogue.key(peer.user, peer.torrent) if keys else ""
        form = HttpForm("127.0.0.1", peer, catalogue.torrents[peer.torrent].hashes[0], key, close=close)
        yield form.request(0, 0, _left(peer.rank), Event.REGULAR, NUMWANT)


def udp_requests(catalogue: Catalogue, peers: Iterable[int], *, keys: bool = True) -> Iterable[bytes]:
    """As `http_requests`."""
    for number in peers:
        peer = catalogue.peer(number)
        key = catalogue.key(peer.user, peer.torrent) if keys else ""
        form = UdpForm(peer, catalogue.torrents[peer.torrent].hashes[0], key)
        yield form.request(0, 0, _left(peer.rank), Event.REGULAR, NUMWANT)


def announcers(catalogue: Catalogue, peers: int, swarm: int) -> list[int]:
    """About `peers` peers: whole swarms of `swarm`, so that every tracker has as many peers to hand out."""
    torrents = min(len(catalogue.torrents), max(1, peers // swarm))
    found = list(islice(catalogue.peers(torrents), min(peers, torrents * swarm)))
    step = 7919  # a prime: neighbours of a swarm do not announce one after the other
    return [found[n * step % len(found)] for n in range(len(found))]


def _left(rank: int) -> int:
    """As the peers that are loaded: a third seeds."""
    return 1 if rank % 3 else 0
