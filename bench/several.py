"""How soon a peer that one edge acknowledged is counted by another: two processes, one PostgreSQL, no other load."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import psycopg

from runtime.embedded import Postgres
from runtime.migrate import migrate
from runtime.settings import Settings
from tests.site import free_ports
from tests.tracker_edge.processes import EdgeProcess, ending
from tests.tracker_edge.test_processes import lag
from tests.tracker_edge.test_several import rights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=int, default=100)
    peers = parser.parse_args().peers
    with tempfile.TemporaryDirectory() as at, Postgres(Path(at)) as postgres:
        migrate(postgres.url())
        with psycopg.connect(postgres.url(), autocommit=True) as owner:
            rights(owner)
        urls = {"url": postgres.url(user="tracker_app"), "owner_url": postgres.url()}
        # No message is sent: the address is only there because every role has one.
        settings = Settings.model_validate({"data_dir": at, "database": urls, "redis": {"url": "redis://127.0.0.1:1"}})
        one, other = (EdgeProcess(settings, f"edge-{n}", port) for n, port in enumerate(free_ports(2), start=1))
        with ending(one, other):
            one.start()
            other.start()
            lags = sorted(lag(one, other, number) * 1000 for number in range(peers))
            one.end()
            other.end()
    p50, p99 = statistics.median(lags), lags[int(len(lags) * 0.99)]
    print(f"acknowledged by one edge, counted by the other, {peers} peers: p50 {p50:.0f} ms, p99 {p99:.0f} ms")


if __name__ == "__main__":
    main()
