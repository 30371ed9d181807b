"""All figures of the edge in one run: speed beside nginx and opentracker, latency, memory, CPU, journal.

Rounds alternate, so that every server sees the same machine; medians count. The edge is alone: made-up access, no
PostgreSQL, segments go nowhere after they are sealed, and its peers are loaded through the swarms' own door before it
listens. References that are not installed are left out and named.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench.catalogue import made_up
from bench.edge.cores import cores
from bench.edge.journal import journal
from bench.edge.loads import Loads
from bench.edge.references import missing, nginx, opentracker
from bench.edge.size import memory, swarms
from bench.edge.speed import Speed
from bench.load.population import Carrier
from bench.stand_alone import StandAlone
from tests.site import free_ports

MILLION = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help="speed, memory, swarms, cores, journal; or all")
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", type=int, default=MILLION, help="loaded before the edge is asked")
    parser.add_argument("--plain", action="store_true", help="the edge as plain Python, also where it is compiled")
    parser.add_argument("--short", action="store_true", help="1 round of 2 s at 100,000 peers")
    options = parser.parse_args()
    if options.short:
        options.seconds, options.rounds, options.peers = 2.0, 1, 100_000
    # opentracker changes its user and so does not end with us: whoever stops us stops it on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as folder:
        loads = Loads(Path(folder))
        parts: dict[str, Callable[[], None]] = {
            "speed": lambda: speed(options, loads),
            "memory": lambda: memory(options.peers),
            "swarms": lambda: swarms(loads, options.seconds),
            "cores": lambda: cores(loads, options.seconds),
            "journal": lambda: journal(20 if options.short else 200),
        }
        unknown = set(options.figures) - set(parts)
        if unknown:
            parser.error(f"no such figures: {', '.join(sorted(unknown))}")
        for name in options.figures or parts:
            print(f"\n-- {name}", flush=True)
            parts[name]()


def speed(options: argparse.Namespace, loads: Loads) -> None:
    """HTTP with kept and with closing connections, latency at half of each rate, UDP."""
    absent = missing()
    for name, remedy in absent.items():
        print(f"{name} is not installed and is left out ({remedy})")
    users, torrents = max(1000, options.peers // 20), max(100, options.peers // 100)
    catalogue = made_up(users, torrents)
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        folder, ports = Path(name), free_ports(3)
        if "nginx" not in absent:
            running.enter_context(nginx(folder, ports[1]))
        if "opentracker" not in absent:
            running.enter_context(opentracker(folder, ports[2], catalogue))
        edge = running.enter_context(
            StandAlone(
                folder, port=ports[0], users=users, torrents=torrents, peers=options.peers, compiled=not options.plain
            )
        )
        print("the edge is compiled" if edge.compiled else "the edge is plain Python")
        print(f"{options.peers:,} peers of {users:,} users on {torrents:,} torrents are loaded into the edge")
        run = Speed(
            edge, catalogue, loads, folder, seconds=options.seconds, rounds=options.rounds,
            nginx=None if "nginx" in absent else ports[1], opentracker=None if "opentracker" in absent else ports[2],
        )  # fmt: skip
        run.latency(run.http(close=False) / 2, Carrier.HTTP)
        run.latency(run.http(close=True) / 2, Carrier.CLOSE)
        run.latency(run.udp() / 2, Carrier.UDP)


if __name__ == "__main__":
    main()
