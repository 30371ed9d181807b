"""How long a start with many peers takes from the snapshot, how large its file is, and how long the loop stands still.

`--peers 1000000` by default, one in five over IPv6 too. The copy that writes the snapshot is a fork: what the edge
feels of it is the time of the call itself.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from bench.catalogue import made_up
from bench.stand_alone import fill
from tracker_edge import snapshot
from tracker_edge.swarms import Swarms

NOW_S = 1_000_000


def filled(peers: int) -> Swarms:
    """100 peers a torrent, 20 of each user."""
    swarms = Swarms(Random(1))
    fill(swarms, made_up(max(1000, peers // 20), max(1, peers // 100)), peers, NOW_S)
    return swarms


def write(path: Path, peers: int) -> None:
    swarms = filled(peers)
    began = time.perf_counter()
    pid = snapshot.fork_and_write(path, "edge-1", swarms, {"edge-1": 1}, NOW_S)
    stood_still = time.perf_counter() - began
    _, status = os.waitpid(pid, 0)
    took = time.perf_counter() - began
    assert status == 0
    size = path.stat().st_size
    print(f"written in {took:.1f} s beside the edge, which stood still for {stood_still * 1000:.1f} ms")
    print(f"file {size / 2**20:.1f} MiB, {size / peers:.1f} bytes a peer")


def restore(path: Path, peers: int) -> None:
    swarms = Swarms(Random(1))
    began = time.perf_counter()
    found = snapshot.read(path, "edge-1", 3600)
    snapshot.load(swarms, found, NOW_S, 1)
    took = time.perf_counter() - began
    assert len(swarms) == peers
    print(f"{peers:,} peers restored in {took:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=int, default=1_000_000)
    peers = parser.parse_args().peers
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / snapshot.NAME
        for step in ("write", "restore"):  # each in a process of its own, as at a start
            code = f"from pathlib import Path; from bench.restore import {step}; {step}(Path({str(path)!r}), {peers})"
            subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    main()
