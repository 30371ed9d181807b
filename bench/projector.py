"""How many announces a second the projector of the announce journal settles, and what part PostgreSQL has in it.

A fixed population of users with ten clients each announces as clients do: counters that rise, one announce in twenty
with an event. Its segments are shipped as the edge ships them, 200 ms each; then the time is taken to project the
backlog, to rebuild the read tables from all of it, and, at a steady rate, from a segment's commit to its rows.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import psutil

import domain
from domain.announce_addresses import encrypted
from domain.announces import Announce, Event, encode
from domain.base import SYSTEM
from domain.tally import Tally
from projections.peers import journal as settling
from projections.peers import peers, rows, sums
from runtime import journal
from runtime.embedded import Postgres, Valkey
from runtime.follow import Step
from runtime.migrate import migrate
from runtime.platform import Platform
from runtime.rebuild import rebuild
from runtime.secrets import Secrets
from runtime.settings import Settings
from runtime.worker.process import GC_THRESHOLD
from runtime.worker_loop import WorkerLoop
from tracker_edge.segments import into_store

CLIENTS_PER_USER = 10
#: One torrent for so many clients on average; few have many, many have few.
CLIENTS_PER_TORRENT = 10
SEGMENT_S = 0.2
START_US = 1_900_000_000_000_000
EDGE = "edge-1"


class Population:
    """Clients whose counters only rise; `announces` gives the next ones, in turn over all clients."""

    def __init__(self, users: int, rate: int) -> None:
        self._rng = Random(1)
        self._gap_us = 1_000_000 // rate
        self._now_us = START_US
        self._turn = 0
        torrents = [self._rng.randbytes(16) for _ in range(users * CLIENTS_PER_USER // CLIENTS_PER_TORRENT)]
        self._clients = [self._client(user, torrents) for user in self._users(users)]
        self._rng.shuffle(self._clients)

    def __len__(self) -> int:
        return len(self._clients)

    def _users(self, users: int) -> Iterator[bytes]:
        for _ in range(users):
            user = self._rng.randbytes(16)
            yield from [user] * CLIENTS_PER_USER

    def _client(self, user: bytes, torrents: list[bytes]) -> list[Any]:
        """user, torrent, peer id, up, down, left, address"""
        torrent = torrents[int(len(torrents) * self._rng.random() ** 2)]
        peer_id, left = b"-qB5100-" + self._rng.randbytes(12), self._rng.choice((0, 0, 10**9))
        return [user, torrent, peer_id, 0, 0, left, self._rng.randbytes(self._rng.choice((4, 4, 4, 16)))]

    def announces(self, count: int, event: Event | None = None) -> list[Announce]:
        return [self._next(event) for _ in range(count)]

    def _next(self, event: Event | None) -> Announce:
        client = self._clients[self._turn % len(self._clients)]
        self._turn += 1
        self._now_us += self._gap_us
        if event is None:
            event = Event.REGULAR if self._rng.random() < 0.95 else self._rng.choice(_EVENTS)
        user, torrent, peer_id, up, down, left, address = client
        if event == Event.COMPLETED:
            left = client[5] = 0
        if event != Event.STARTED:
            up = client[3] = up + self._rng.randrange(10**7)
            down = client[4] = down + (self._rng.randrange(10**6) if left else 0)
        return Announce(self._now_us, user, torrent, peer_id, event, up, down, left, address, 6881, 0)


_EVENTS = (Event.STARTED, Event.COMPLETED, Event.STOPPED)


class Site:
    """One database with one edge's journal; `ship` is one segment and one fact."""

    def __init__(self, platform: Platform, postgres_pid: int) -> None:
        self.platform = platform
        self.postgres = psutil.Process(postgres_pid)
        self._ship = into_store(lambda: platform.store(SYSTEM, "edge"))
        self.seq, self._previous = 0, journal.GENESIS

    def ship(self, records: list[Announce]) -> None:
        first, last = (datetime.fromtimestamp(record.received_at_us / 1e6, UTC) for record in (records[0], records[-1]))
        self.seq += 1
        payload = encrypted(encode(records), self.platform.keyring.write_keys)
        segment = journal.seal(EDGE, self.seq, len(records), first, last, self._previous, payload)
        self._previous = segment.sha256
        self._ship([segment])

    def project(self) -> None:
        assert self.platform.engine().drain(peers) is Step.IDLE

    def projected_seq(self) -> int:
        with self.platform.pool.connection() as connection:
            found = connection.execute("SELECT seq FROM read.projected_segment").fetchone()
        return int(found[0]) if found else 0

    def postgres_cpu_s(self) -> float:
        """Of the server and all of its children that live."""
        times = [p.cpu_times() for p in (self.postgres, *self.postgres.children(recursive=True))]
        return sum(t.user + t.system for t in times)


@contextmanager
def site(users: int) -> Iterator[Site]:
    with tempfile.TemporaryDirectory() as at, Postgres(Path(at)) as postgres, Valkey(Path(at)) as valkey:
        migrate(postgres.url())
        servers = {"database": {"url": postgres.url(user="tracker_app")}, "redis": {"url": valkey.url()}}
        settings = Settings.model_validate({"data_dir": at, **servers})
        secrets = Secrets(b"j" * 32, b"s" * 32, b"k" * 32)
        with Platform(settings, domain.EVENTS, [peers], secrets=secrets) as platform:
            assert postgres.process is not None
            yield Site(platform, postgres.process.pid)


class Clock:
    """Seconds by step, and those of them that this process computed: named functions are timed wherever they run."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.computed: defaultdict[str, float] = defaultdict(float)

    def watch(self, owner: Any, name: str, step: str) -> None:
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            began, computed = time.perf_counter(), time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds[step] += time.perf_counter() - began
                self.computed[step] += time.thread_time() - computed

        setattr(owner, name, timed)


class Measured:
    """What one backlog took, per 100,000 announces."""

    def __init__(self, site: Site, announces: int, run: Callable[[], object]) -> None:
        ours, theirs, began = time.process_time(), site.postgres_cpu_s(), time.perf_counter()
        run()
        took = time.perf_counter() - began
        self.rate = announces / took
        self.worker_s = (time.process_time() - ours) * 100_000 / announces
        self.postgres_s = (site.postgres_cpu_s() - theirs) * 100_000 / announces

    def show(self, what: str) -> None:
        print(
            f"{what}: {self.rate:,.0f} announces/s; CPU of 100,000: worker {self.worker_s:.2f} s,"
            f" PostgreSQL {self.postgres_s:.2f} s",
            flush=True,
        )


def backlogs(site: Site, population: Population, rounds: int, segments: int, size: int) -> None:
    clock = Clock()
    for owner, name, step in STEPS:
        clock.watch(owner, name, step)
    measured = []
    for number in range(rounds):
        for _ in range(segments):
            site.ship(population.announces(size))
        measured.append(Measured(site, segments * size, site.project))
        measured[-1].show(f"backlog {number + 1} of {segments * size:,}")
    rates = [m.rate for m in measured]
    print(f"median {statistics.median(rates):,.0f} announces/s, {min(rates):,.0f} – {max(rates):,.0f}")
    print(f"  worker {statistics.median(m.worker_s for m in measured):.2f} s of CPU per 100,000")
    print(f"  PostgreSQL {statistics.median(m.postgres_s for m in measured):.2f} s of CPU per 100,000")
    whole = sum(segments * size / rate for rate in rates)
    for step, seconds in clock.seconds.items():
        computed = clock.computed[step] * 100_000 / (rounds * segments * size)
        print(f"  {step}: {seconds / whole:.0%} of the time, {computed:.2f} s of the worker's per 100,000")


#: What of the projection is timed: decoding, loading, settling, writing.
STEPS: tuple[tuple[Any, str, str], ...] = (
    (settling, "decode", "decode"),
    (settling, "verify", "verify"),
    (settling, "_tally", "load"),
    (rows, "clients", "load: clients"),
    (Tally, "add", "settle"),
    (Tally, "close", "settle"),
    (rows, "_write_clients", "write: clients"),
    (rows, "_write_transfers", "write: transfers"),
    (sums, "_apply", "write: sums"),
    (sums, "_write_site", "write: site"),
)


def lag(site: Site, population: Population, rate: int, seconds: float) -> None:
    """From a segment's commit until its rows can be read, while segments come at a steady rate."""
    loop = WorkerLoop(site.platform, [peers])
    loop.start()
    shipped: dict[int, float] = {}
    lags: list[float] = []
    done = threading.Event()

    def look() -> None:
        while not (done.is_set() and len(lags) == len(shipped)):
            seq = site.projected_seq()
            now = time.perf_counter()
            lags.extend(now - at for number, at in shipped.items() if number <= seq and number > looked[0])
            looked[0] = max(seq, looked[0])
            time.sleep(0.005)

    looked = [site.seq]
    watcher = threading.Thread(target=look)
    watcher.start()
    due = time.perf_counter()
    for _ in range(int(seconds / SEGMENT_S)):
        site.ship(population.announces(int(rate * SEGMENT_S)))
        shipped[site.seq] = time.perf_counter()
        due += SEGMENT_S
        time.sleep(max(0.0, due - time.perf_counter()))
    done.set()
    watcher.join()
    loop.stop()
    lags.sort()
    print(
        f"lag at {rate:,}/s: p50 {statistics.median(lags) * 1000:.0f} ms,"
        f" p99 {lags[int(len(lags) * 0.99)] * 1000:.0f} ms, max {lags[-1] * 1000:.0f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--rate", type=int, default=5_000, help="announces a second")
    parser.add_argument("--segments", type=int, default=100, help="of a backlog")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lag-seconds", type=float, default=10)
    wanted = parser.parse_args()
    size = int(wanted.rate * SEGMENT_S)
    population = Population(wanted.users, wanted.rate)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)
    with site(wanted.users) as at:
        for _ in range(len(population) // size):
            at.ship(population.announces(size, Event.STARTED))
        Measured(at, len(population), at.project).show(f"the first announces of {len(population):,} clients")
        backlogs(at, population, wanted.rounds, wanted.segments, size)
        lag(at, population, wanted.rate, wanted.lag_seconds)
        Measured(at, at.seq * size, lambda: rebuild(at.platform, peers)).show("rebuild of all of it")


if __name__ == "__main__":
    main()
