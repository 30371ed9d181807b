"""An edge without a site: made-up access, a store that is files or nothing, a million peers when asked for."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random

import psutil
import uvloop

from bench.catalogue import SECRET, Catalogue, made_up
from domain.announces import Announce, Event, decode
from runtime.children import spawn
from runtime.journal import GENESIS, AlreadyRecorded, Segment
from runtime.settings import Edge as EdgeSettings
from tracker_edge.access import Changes
from tracker_edge.compiled import place
from tracker_edge.process import keep_what_is_there
from tracker_edge.server import Edge, Sources
from tracker_edge.swarms import Swarms

#: Of the loaded peers one in so many has an IPv6 address too.
SIX_EVERY = 5
#: No announce of a benchmark comes before its time, and nobody is expired in it.
SETTINGS = {
    "announces_per_minute_by_key": 0,
    "announces_per_minute_by_address": 0,
    "min_interval_s": 60,
    "peer_ttl_s": 100_000,
    "host": "127.0.0.1,::1",
}


class StandAlone:
    """One such edge as a process of its own, with its journal below `folder`; shipped segments are kept on request."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int,
        users: int,
        torrents: int,
        peers: int = 0,
        number: int = 1,
        processes: int = 1,
        keep: bool = False,
        compiled: bool = True,
    ) -> None:
        self.port = port
        self.bytes_a_peer = 0.0
        self._log = folder / f"edge-{number}.log"
        self._ready = folder / f"edge-{number}.ready"
        self.store = SegmentFiles(folder / f"store-{number}")
        figures = {
            "port": port, "users": users, "torrents": torrents, "peers": peers, "number": number,
            "processes": processes,
        }  # fmt: skip
        self.compiled = compiled and place().is_dir()
        native = ["tracker_edge.compiled"] if self.compiled else []
        self._command = [sys.executable, "-m", *native, "bench.stand_alone", str(folder)]
        self._command += [f"--{name}={value}" for name, value in figures.items()] + ["--keep"] * keep
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> StandAlone:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.end()

    def start(self) -> None:
        """Starts and waits until it serves; raises SystemExit when it ends instead."""
        self._ready.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._process = spawn(self._command, log, signal.SIGKILL, env=os.environ)
        while not self._ready.exists():
            if (code := self._process.poll()) is not None:
                raise SystemExit(f"the edge did not start, exit code {code}:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.01)
        self.bytes_a_peer = float(self._ready.read_text())

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends the signal and waits; returns the exit code."""
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(number)
        return process.wait(60)

    @property
    def cpu_s(self) -> float:
        """What it has spent so far, user and system."""
        assert self._process is not None
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)


class SegmentFiles:
    """A store of segments as files: what was shipped survives a kill of the edge, as it does in PostgreSQL."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ship(self, segments: Sequence[Segment]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        known = self._path(segments[0].seq)
        if known.exists():
            raise AlreadyRecorded(f"segment {segments[0].seq}", self._read(known).sha256)
        for segment in segments:
            path = self._path(segment.seq)
            part = path.with_suffix(".part")
            part.write_bytes(pickle.dumps(segment))
            os.replace(part, path)

    def segments(self) -> list[Segment]:
        """All of them, in order."""
        return [self._read(path) for path in sorted(self._folder.glob("*.segment"))]

    def restore(self, replay: Callable[[Announce], None], _: Callable[[bytes, int], None]) -> tuple[int, bytes]:
        last = None
        for last in self.segments():
            for announce in decode(last.payload):
                replay(announce)
        return (last.seq + 1, last.sha256) if last else (1, GENESIS)

    def _path(self, seq: int) -> Path:
        return self._folder / f"{seq:010}.segment"

    def _read(self, path: Path) -> Segment:
        found = pickle.loads(path.read_bytes())
        assert isinstance(found, Segment)
        return found


class Unchanging:
    """An access snapshot that is delivered once."""

    def __init__(self, catalogue: Catalogue, deliver: Callable[[Changes], None]) -> None:
        self._catalogue = catalogue
        self._deliver = deliver

    def start(self) -> None:
        self._deliver(self._catalogue.access())

    def stop(self) -> None:
        pass


def made_up_keys(users: Sequence[bytes]) -> list[bytes]:
    """What a site has in its store, and an edge in memory after each user's first announce."""
    return [user + user for user in users]


def fill(swarms: Swarms, catalogue: Catalogue, peers: int, now_s: int) -> None:
    """Peers 0 … `peers` of the catalogue through the swarms' own door; a third seeds, one in five is on IPv6 too."""
    rng = Random(1)
    for number in range(peers):
        peer = catalogue.peer(number)
        user_id, swarm = catalogue.users[peer.user].bytes, swarms.swarm(catalogue.torrents[peer.torrent].id.bytes)
        left, at_s = 1 if peer.rank % 3 else 0, now_s - rng.randrange(1800)
        addresses = [b"\x08" + rng.randbytes(3)]
        if peer.rank % SIX_EVERY == 0:
            addresses.append(b"\x26" + rng.randbytes(15))
        for address in addresses:
            swarms.announce(swarm, swarms.user(user_id), peer.peer_id, Event.REGULAR, left, address, peer.port, at_s)


def resident() -> int:
    """Bytes of memory of this process."""
    return int(psutil.Process().memory_info().rss)


async def serve(options: argparse.Namespace) -> None:
    catalogue = made_up(options.users, options.torrents)
    settings = EdgeSettings.model_validate(
        {
            **SETTINGS,
            "id": f"edge-{options.number}",
            "http_port": options.port,
            "udp_port": options.port,
            "processes": options.processes,
        }
    )
    store = SegmentFiles(options.folder / f"store-{options.number}")
    ship = store.ship if options.keep else lambda segments: None
    sources = Sources(SECRET, partial(Unchanging, catalogue), store.restore, ship, made_up_keys)
    edge = Edge(settings, options.folder / f"journal-{options.number}", sources)
    gc.collect()
    before = resident()
    fill(edge.swarms, catalogue, options.peers, int(time.monotonic()) + 1_000_000)
    filled = resident() - before
    await edge.start()
    keep_what_is_there()
    ready = options.folder / f"edge-{options.number}.ready"
    ready.with_suffix(".part").write_text(f"{filled / max(1, options.peers):.1f}")
    os.replace(ready.with_suffix(".part"), ready)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    await edge.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, required=True, help="of HTTP and of UDP")
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--torrents", type=int, default=100)
    parser.add_argument("--peers", type=int, default=0, help="loaded before the start")
    parser.add_argument("--number", type=int, default=1, help="of the edge among those that share the port")
    parser.add_argument("--processes", type=int, default=1, help="edges that share the port")
    parser.add_argument("--keep", action="store_true", help="keep what is shipped, and start from it")
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
