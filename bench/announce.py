"""How many announces a second one edge answers durably, beside nginx returning 400 fixed bytes, and what a peer costs.

Runs stand-alone: a made-up access snapshot, no PostgreSQL, segments go nowhere after they are sealed. Needs `wrk` and
`nginx` (Debian: apt-get install wrk nginx-light). Rounds alternate, so that both see the same machine; medians count.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from uuid import UUID

import uvloop

from domain.announce_keys import announce_key
from runtime.settings import Edge as EdgeSettings
from tracker_edge.access import TorrentRow, UserRow, changes
from tracker_edge.server import Edge, Following, Sources, nothing_to_restore
from tracker_edge.swarms import Swarms

SECRET = b"bench" * 8
USERS = 1000
NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  server {{ listen 127.0.0.1:{port}; location / {{ default_type text/plain; return 200 "{body}"; }} }}
}}
"""


class Snapshot:
    """An access table that never changes."""

    def __init__(self, torrents: int, deliver: object) -> None:
        self._torrents = torrents
        self._deliver = deliver

    def start(self) -> None:
        users = [UserRow(UUID(int=n + 1), 1, True, True, 1) for n in range(USERS)]
        torrents = [
            TorrentRow(UUID(int=n + 1), info_hash(n), None, "approved", None, 2**40, 1) for n in range(self._torrents)
        ]
        assert callable(self._deliver)
        self._deliver(changes(SECRET, users, torrents, (-1, -1), True))

    def stop(self) -> None:
        pass


def info_hash(number: int) -> bytes:
    return number.to_bytes(2, "big") + b"\xab" * 18


async def serve(folder: Path, port: int, torrents: int) -> None:
    def follow(deliver: object) -> Following:
        return Snapshot(torrents, deliver)

    settings = EdgeSettings(http_port=port, udp_port=0, peer_ttl_s=100000)
    edge = Edge(settings, folder / "journal", Sources(SECRET, follow, nothing_to_restore, lambda segments: None))
    await edge.start()
    await asyncio.Event().wait()


def wrk(url: str, seconds: int, connections: int, environment: dict[str, str], script: Path | None) -> float:
    """Requests a second; every answer must be 200."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url]
    if script is not None:
        command[1:1] = ["-s", str(script)]
    output = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    if "Non-2xx" in output.stdout or "Socket errors" in output.stdout:
        raise SystemExit(output.stdout)
    found = re.search(r"Requests/sec:\s+([\d.]+)", output.stdout)
    assert found is not None
    return float(found[1])


def throughput(arguments: argparse.Namespace) -> None:
    script = Path(__file__).with_suffix(".lua")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = folder / "keys"
        keys.write_text("\n".join(announce_key(SECRET, UUID(int=n + 1), 1, None) for n in range(USERS)))
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=arguments.port + 1, body="x" * 400))
        environment = {"KEYS": str(keys), "TORRENTS": str(arguments.torrents), "PEERS": str(arguments.peers)}
        if arguments.close:
            environment["CLOSE"] = "1"
        ours = [sys.executable, __file__, "--serve", name, "--port", str(arguments.port)]
        edge = subprocess.Popen([*ours, "--torrents", str(arguments.torrents)])
        nginx = subprocess.Popen(["nginx", "-p", name, "-c", str(folder / "nginx.conf")])
        try:
            time.sleep(2)
            rounds: tuple[list[float], list[float]] = ([], [])
            for number in range(arguments.repeats):
                for figures, port in zip(rounds, (arguments.port, arguments.port + 1), strict=True):
                    url = f"http://127.0.0.1:{port}/"
                    figures.append(wrk(url, arguments.seconds, arguments.connections, environment, script))
                print(f"round {number + 1}: edge {rounds[0][-1]:,.0f}/s, nginx {rounds[1][-1]:,.0f}/s", flush=True)
            report(rounds[0], rounds[1], arguments)
        finally:
            for process in (edge, nginx):
                process.terminate()
                process.wait()


def report(edge: list[float], nginx: list[float], arguments: argparse.Namespace) -> None:
    kind = "connection: close" if arguments.close else "keep-alive"
    ours, theirs = statistics.median(edge), statistics.median(nginx)
    print(f"{kind}, {arguments.connections} connections: edge {ours:,.0f}/s durable, nginx {theirs:,.0f}/s fixed body")
    print(f"ratio {ours / theirs:.3f}")


def memory(peers: int) -> None:
    """Prints the bytes that a peer costs, at 100 peers a torrent, one in five over IPv6 too."""
    rng = Random(1)
    users = [rng.randbytes(16) for _ in range(peers // 20)]
    torrents = [rng.randbytes(16) for _ in range(peers // 100)]
    before = resident()
    swarms = Swarms(rng)
    began = time.perf_counter()
    for number in range(peers):
        swarm = swarms.swarm(torrents[number % len(torrents)])
        user, peer_id, left = rng.choice(users), rng.randbytes(20), rng.choice((0, 1, 1))
        swarms.announce(swarm, user, peer_id, 2, left, b"\x08" + rng.randbytes(3), 6881, 1)
        if number % 5 == 0:
            swarms.announce(swarm, user, peer_id, 2, left, b"\x26" + rng.randbytes(15), 6881, 1)
    took = time.perf_counter() - began
    print(f"{peers:,} peers: {(resident() - before) / peers:.0f} bytes a peer, {took / peers * 1e6:.1f} us to add one")


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--torrents", type=int, default=100)
    parser.add_argument("--peers", type=int, default=10000)
    parser.add_argument("--port", type=int, default=17969)
    parser.add_argument("--close", action="store_true", help="a new connection for each announce")
    parser.add_argument("--million", action="store_true", help="memory at 1,000,000 peers too")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        uvloop.run(serve(Path(arguments.serve), arguments.port, arguments.torrents))
        return
    missing = [program for program in ("wrk", "nginx") if shutil.which(program) is None]
    if missing:
        print(f"missing: {', '.join(missing)}; on Debian: apt-get install wrk nginx-light", file=sys.stderr)
        raise SystemExit(2)
    throughput(arguments)
    for peers in (100_000, 1_000_000) if arguments.million else (100_000,):
        # Each in a process of its own: memory that was freed before would be counted as free.
        subprocess.run([sys.executable, "-c", f"from bench.announce import memory; memory({peers})"], check=True)


if __name__ == "__main__":
    main()
