"""A thousand random changes to a sealed log, by somebody who owns the database: each is named by its first position.

`python -m tests.campaigns.tampering --changes 1000 --seed 7` repeats the campaign of that seed.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

import psycopg

import domain
from domain.bonus import Account, AccountKind
from runtime.embedded import Postgres
from runtime.migrate import migrate
from runtime.platform import Platform
from runtime.settings import Settings
from runtime.store import new_id
from tests.audit_chain.sealed import found_after, sealed, tamper, verified
from tests.conftest import SECRETS, as_user
from tests.given import Given
from tests.history import write_history


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as folder, Postgres(Path(folder), durable=False) as postgres:
        migrate(postgres.url())
        urls = {"url": as_user(postgres.url(), "tracker_app"), "owner_url": postgres.url()}
        settings = Settings.model_validate({"data_dir": folder, "database": urls, "redis": {"url": "unix:///none"}})
        with (
            Platform(settings, domain.EVENTS, secrets=SECRETS) as platform,
            psycopg.connect(postgres.url(), autocommit=True) as owner,
        ):
            return campaign(platform, owner, options.changes, options.seed)


def campaign(platform: Platform, owner: psycopg.Connection[tuple[object, ...]], changes: int, seed: int) -> int:
    """How many changes were not found, or not where they were made."""
    write_history(platform)
    owner.execute(
        "SELECT nextval('es.position') FROM generate_series(1, 5)"
    )  # a gap, where something may be slipped in
    write_more(platform)
    sealed(platform)
    head = verified(platform).head
    assert head is not None
    missed, done = 0, Counter[str]()
    for number in range(changes):
        change = partial(tamper, owner, random.Random(f"{seed} {number}"), head.last_position)
        (what, position), named = found_after(platform, owner, change)
        done[what] += 1
        if named != position:
            missed += 1
            print(f"change {number}, {what} at {position}: {named} was named")
    for what, count in sorted(done.items()):
        print(f"{count:5} {what}")
    print(f"{changes} changes to a log of {head.total} events, {missed} not named by their first position")
    return int(missed > 0)


def write_more(platform: Platform) -> None:
    """Some more events behind the gap."""
    for _ in range(20):
        Given(platform).aggregates(Account.open(AccountKind.BONUS, new_id()))


if __name__ == "__main__":
    raise SystemExit(main())
