"""Sixty-four callers of two API processes offer points for one request: each moves once, and whoever looks sees it.

`python -m tests.campaigns.contention --commands 5000 --seed 7`: each command is sent one to three times at once under
one key, and read back at the position of its answer.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import httpx

from runtime.embedded import Postgres, Valkey
from runtime.keys_database import KEYS_DATABASE
from tests.site import Api, Site, eventually, free_ports, running
from tests.test_kills import check_store

CALLERS = 64
RETRIES = 5
COPIES = 3
POINT = {"points": 1}


class Sent(NamedTuple):
    """What became of one command: the state of its last answer, how many tries that took, and what was wrong."""

    status: int
    tries: int
    wrong: str


class Figures(NamedTuple):
    """Commands taken and refused, those that were taken at the first try, and what was wrong."""

    taken: int
    refused: int
    at_once: int
    wrong: list[str]


@contextmanager
def second_api(site: Site) -> Iterator[str]:
    """Another `tracker api` over the same store; its address."""
    port, metrics = free_ports(2)
    var = site.directory / "var"
    environment = {
        **site.environment,
        "APP__DATABASE__URL": Postgres(var).url(user="tracker_app"),
        "APP__KEYS__DATABASE_URL": Postgres(var).url(KEYS_DATABASE, "tracker_app"),
        "APP__REDIS__URL": Valkey(var).url(),
        "APP__SERVER__PORT": str(port),
        "APP__TELEMETRY__METRICS_PORT": str(metrics),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "runtime.cli", "api"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: _answers(url), 30, "the second API answers")
        yield url
    finally:
        process.terminate()
        process.wait(15)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url + "/health/live").is_success
    except httpx.TransportError:
        return False


class Bounty:
    """One request, on which everybody puts a point at a time; counts those that were answered."""

    def __init__(self, wisher: Api, points: int) -> None:
        grant = {"points": points, "reason": "to offer"}
        wisher.post(f"/users/{wisher.id}/bonus/grants", grant)
        wish = {"title": "Old film", "description": "", "category": "movies-hd", "bounty": 1}
        self.path = "/requests/" + wisher.post("/requests", wish)["id"]
        self.answers: set[int] = set()

    def answered_by(self, position: int) -> int:
        """How many points must be there at a position: the answered ones up to it."""
        self.answers.add(position)
        return 1 + sum(known <= position for known in list(self.answers))


def contend(site: Site, commands: int, seed: int) -> Figures:
    """Points of one member on one request, by all callers at once through both processes."""
    wisher = site.sysop()
    bounty = Bounty(wisher, commands + 1)
    with second_api(site) as other, ThreadPoolExecutor(CALLERS) as callers, ThreadPoolExecutor(CALLERS) as copies:
        with _clients(wisher, site.url, other) as clients:

            def send(number: int) -> Sent:
                return _send(clients, copies, random.Random(seed * 1_000_003 + number), bounty)

            sent = list(callers.map(send, range(commands)))
    taken = [one for one in sent if one.status == 201]
    wrong = [one.wrong for one in sent if one.wrong] + _recorded(site, wisher, bounty, commands)
    return Figures(len(taken), commands - len(taken), sum(one.tries == 1 for one in taken), wrong)


@contextmanager
def _clients(staff: Api, *urls: str) -> Iterator[list[httpx.Client]]:
    headers = {"Authorization": staff.http.headers["Authorization"]}
    limits = httpx.Limits(max_connections=CALLERS * COPIES)
    clients = [httpx.Client(base_url=url + "/api/v1", headers=headers, timeout=60, limits=limits) for url in urls]
    try:
        yield clients
    finally:
        for client in clients:
            client.close()


def _send(clients: list[httpx.Client], copies: ThreadPoolExecutor, chance: random.Random, bounty: Bounty) -> Sent:
    """One command, tried again under a new key when it lost a race."""
    tries = 0
    while True:
        tries += 1
        offer = partial(_offer, bounty.path, str(uuid4()))
        answers = list(copies.map(offer, [chance.choice(clients) for _ in range(chance.randint(1, COPIES))]))
        taken = {answer.text for answer in answers if answer.status_code == 201}
        if taken:
            wrong = f"{len(taken)} different answers to one command" if len(taken) > 1 else ""
            return Sent(201, tries, wrong or _read_back(chance.choice(clients), bounty, min(taken)))
        if tries > RETRIES or any(answer.status_code not in (409, 503) for answer in answers):
            return Sent(answers[0].status_code, tries, "" if tries > RETRIES else answers[0].text)
        time.sleep(chance.random() * 0.05 * tries)


def _offer(path: str, key: str, client: httpx.Client) -> httpx.Response:
    return client.post(path + "/bounties", json=POINT, headers={"Idempotency-Key": key})


def _read_back(client: httpx.Client, bounty: Bounty, answer: str) -> str:
    """What is wrong with the bounty at the position of the answer, if anything."""
    position = json.loads(answer)["position"]
    at_least = bounty.answered_by(position)
    headers = {"X-Min-Position": str(position)}
    for _ in range(20):
        shown = client.get(bounty.path, headers=headers)
        if shown.status_code != 503:
            found = shown.json()["bounty"]
            return (
                "" if found >= at_least else f"{found} points at position {position}, {at_least} answered up to there"
            )
        time.sleep(0.2)
    return f"not projected within 20 tries: position {position}"


def _recorded(site: Site, wisher: Api, bounty: Bounty, commands: int) -> list[str]:
    """What is wrong at the end: each command that was taken has moved one point, once."""
    check_store(site)
    offered = wisher.get(bounty.path)["bounty"]
    left = wisher.get("/users/me/ledger", limit=1)["items"][0]["balance"]
    sums = {"offered": (offered, len(bounty.answers) + 1), "left": (left, commands - len(bounty.answers))}
    return [f"{name}: {found} instead of {right}" for name, (found, right) in sums.items() if found != right]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as site:
        figures = contend(site, options.commands, options.seed)
    sys.stdout.write(
        f"seed {options.seed}: {figures.taken} of {options.commands} taken, {figures.at_once} at the first try,"
        f" {figures.refused} refused after {RETRIES} more; {len(figures.wrong)} wrong"
        f" ({time.monotonic() - began:.0f} s)\n" + "".join(f"  {line}\n" for line in figures.wrong[:20])
    )
    sys.exit(bool(figures.wrong))


if __name__ == "__main__":
    main()
