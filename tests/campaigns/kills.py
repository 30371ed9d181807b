"""kill -9 of edges, worker, PostgreSQL and Valkey at random points under announces: credit is exact to the byte.

`python -m tests.campaigns.kills --kills 200 --seed 7` repeats the campaign of that seed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path

from tests.site import Site, running
from tests.test_kills import Announcer, check_credit, check_store, first_torrent

ROLES = ("edge", "worker", "postgres", "valkey")
CLIENTS = 6


def campaign(site: Site, folder: Path, kills: int, seed: int) -> int:
    """Kills, then checks; returns how many announces were acknowledged. Raises AssertionError."""
    chance = random.Random(seed)
    sysop, members = site.sysop(), [site.register(f"member{n}") for n in range(CLIENTS)]
    torrent_id = first_torrent(sysop, folder)
    for member in members:
        member.position = sysop.position
    clients = [Announcer(site, member, torrent_id, n) for n, member in enumerate(members)]
    for client in clients:
        client.start()
    for number in range(kills):
        time.sleep(chance.expovariate(2.0))
        role = chance.choice(ROLES)
        if chance.random() < 0.25:  # two at once: the edge and the store
            site.kill("edge" if role != "edge" else "postgres")
        site.kill_and_wait(role)
        sys.stdout.write(f"\r{number + 1}/{kills} {role:10}")
        sys.stdout.flush()
    for client in clients:
        client.finish()
    for client, member in zip(clients, members, strict=True):
        check_credit(member, client)
    check_store(site)
    verified = site.tracker("projections", "verify", "peers")
    assert verified.stdout.strip().endswith(" 0 differences"), verified.stdout + verified.stderr
    return sum(client.done for client in clients)


def site_with(folder: Path, arguments: argparse.Namespace) -> AbstractContextManager[Site]:
    return running(folder, APP__EDGE__PROCESSES=str(arguments.processes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(1, 10**6))
    parser.add_argument("--processes", type=int, default=2, help="edges on this machine")
    arguments = parser.parse_args()
    sys.stdout.write(f"seed {arguments.seed}, {arguments.kills} kills\n")
    with tempfile.TemporaryDirectory() as folder, site_with(Path(folder), arguments) as site:
        done = campaign(site, Path(folder), arguments.kills, arguments.seed)
    sys.stdout.write(f"\n{done} announces acknowledged, 0 lost, 0 doubled, credit exact\n")


if __name__ == "__main__":
    main()
