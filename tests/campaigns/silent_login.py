"""Does the time of an answer tell whether a name exists? Interleaved tries, and the rank statistic of their times.

The AUC is the chance that a try at a name of one kind takes longer than a try at a name without an account: 0.5 says
nothing, and 0.45 to 0.55 is what noise gives. `python -m tests.campaigns.silent_login --tries 400 --seed 7`.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from ipaddress import IPv6Address
from pathlib import Path

import structlog

from domain.bans import Ban, BanKind, ban_claim_id
from domain.base import SYSTEM
from domain.claims import Claim
from domain.users import User
from runtime.api import create_app
from runtime.platform import Platform
from runtime.store import new_id
from tests.auth.refresh_theft import stage
from tests.in_process import TestClient
from tests.members import PASSWORD, Members

#: Names of each kind, among which the tries are shared out: below the bound of an account.
NAMES = 8
LOWEST, HIGHEST = 0.45, 0.55
WARM_UP = 40


class Door:
    """Times answers, each try from an address of its own."""

    def __init__(self, platform: Platform) -> None:
        self._app = create_app(platform)
        self._next = int(IPv6Address("2001:db8::"))

    def seconds(self, path: str, body: dict[str, str], status: int) -> float:
        self._next += 2**64
        caller = TestClient(self._app, client=(str(IPv6Address(self._next)), 1))
        began = time.perf_counter()
        answer = caller.post(f"/api/v1{path}", json=body)
        took = time.perf_counter() - began
        assert answer.status_code == status, answer.text
        return took


def auc(times: Sequence[float], others: Sequence[float]) -> float:
    """The chance that one of `times` is longer than one of `others`; half of what is equal counts (Mann-Whitney)."""
    ranked = sorted(others)
    wins = sum(bisect_left(ranked, one) + bisect_right(ranked, one) for one in times)
    return wins / 2 / len(times) / len(others)


def people(platform: Platform) -> dict[str, list[str]]:
    """Names by kind: there is no account, there is one, it is banned, it is disabled."""
    members = Members(platform)
    kinds = {kind: [f"{kind}{n}" for n in range(NAMES)] for kind in ("nobody", "member", "banned", "closed")}
    for kind in ("member", "banned", "closed"):
        for name in kinds[kind]:
            user_id = members.join(name, password=PASSWORD).id
            store = platform.store(SYSTEM)
            if kind == "closed":
                user = store.get(User, user_id)
                user.disable("campaign")
                store.save(user)
            elif kind == "banned":
                now = datetime.now(UTC)
                ban = Ban.impose(new_id(), user_id, BanKind.ACCOUNT, "campaign", None, now=now)
                store.save(ban, Claim.make(ban_claim_id(user_id, ban.kind), "ban", ban.id))
    return kinds


def measure(
    chance: random.Random, tries: int, kinds: dict[str, list[str]], ask: Callable[[str], float]
) -> dict[str, float]:
    """AUC of each kind against names without an account; tries at all kinds are interleaved."""
    order = [(kind, names[n % len(names)]) for kind, names in kinds.items() for n in range(tries)]
    chance.shuffle(order)
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _, name in order[:WARM_UP]:
        ask(name)
    for kind, name in order:
        times[kind].append(ask(name))
    return {kind: auc(times[kind], times["nobody"]) for kind in kinds if kind != "nobody"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=400, help="at names of each kind")
    parser.add_argument("--seed", type=int, default=random.randrange(1, 10**6))
    arguments = parser.parse_args()
    sys.stdout.write(f"seed {arguments.seed}, {arguments.tries} tries each\n")
    sys.stdout.flush()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    chance = random.Random(arguments.seed)
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, stage(Path(folder)) as platform:
        kinds, door = people(platform), Door(platform)
        for what, ask in (("login", _login), ("password reset", _reset)):
            shares = measure(chance, arguments.tries, kinds, partial(ask, door))
            found |= {f"{what}, {kind}": value for kind, value in shares.items()}
    for what, value in found.items():
        sys.stdout.write(f"  {what}: AUC {value:.3f}\n")
    if any(not LOWEST <= value <= HIGHEST for value in found.values()):
        sys.exit("a time tells a name")


def _login(door: Door, name: str) -> float:
    return door.seconds("/auth/login", {"username": name, "password": "not the password"}, 401)


def _reset(door: Door, name: str) -> float:
    return door.seconds("/auth/forgot-password", {"email": f"{name}@example.org"}, 202)


if __name__ == "__main__":
    main()
