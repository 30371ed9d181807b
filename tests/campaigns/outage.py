"""PostgreSQL stands still under load: every announce is answered all the same, and credited exactly afterwards.

`python -m tests.campaigns.outage --seconds 3600`: the hour that costs nothing but lag.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.site import Site, eventually, running
from tests.test_kills import Announcer, check_credit, check_store, first_torrent

CLIENTS = 4


class Figures(NamedTuple):
    """What an outage did: announces answered while PostgreSQL stood still, and how long the credit took after it."""

    answered: int
    unanswered: int
    slowest_s: float
    credited_after_s: float


class Client(Announcer):
    """Notes what an outage might do to its announces."""

    unanswered = 0
    slowest_s = 0.0

    def answered(self, query: str) -> bool:
        began = time.monotonic()
        found = super().answered(query)
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        self.unanswered += not found
        return found


@contextmanager
def standing_still(site: Site) -> Iterator[None]:
    """SIGSTOP for the server and all of its processes: connections hang, they do not break."""
    server = psutil.Process(eventually(lambda: site.pid("postgres"), why="postgres runs"))
    stopped = [server, *server.children(recursive=True)]
    for process in stopped:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in reversed(stopped):
            process.send_signal(signal.SIGCONT)


def outage(site: Site, folder: Path, seconds: float) -> Figures:
    """One outage under load; raises AssertionError when the credit is not exact after it."""
    sysop, members = site.sysop(), [site.register(f"member{n}") for n in range(CLIENTS)]
    torrent_id = first_torrent(sysop, folder)
    for member in members:
        member.position = sysop.position
    clients = [Client(site, member, torrent_id, n) for n, member in enumerate(members)]
    for client in clients:
        client.unanswered = 0  # the first announce may come before the edge knows the torrent
        client.start()
    time.sleep(1.0)
    with standing_still(site):
        before = sum(client.done for client in clients)
        time.sleep(seconds)
        answered = sum(client.done for client in clients) - before
    began = time.monotonic()
    time.sleep(0.5)
    for client in clients:
        client.finish()
    for client, member in zip(clients, members, strict=True):
        check_credit(member, client)
    took = time.monotonic() - began
    check_store(site)
    return Figures(answered, sum(c.unanswered for c in clients), max(c.slowest_s for c in clients), took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as site:
        figures = outage(site, Path(folder), seconds)
    sys.stdout.write(
        f"PostgreSQL away for {seconds:g} s: {figures.answered} announces answered meanwhile,"
        f" {figures.unanswered} not answered, slowest {figures.slowest_s * 1000:.0f} ms;"
        f" credit exact {figures.credited_after_s:.1f} s later\n"
    )


if __name__ == "__main__":
    main()
