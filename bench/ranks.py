"""What a user's percentile ranks cost among many users, beside what its profile's numbers cost in the same run.

The rows are made up in the read tables: values as skewed as on real sites, a third of them nothing.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import psycopg

from bench.figures import alternate, show
from queries.ranks import ranked, spread_steps
from queries.user_stats import user_stats
from runtime.embedded import Postgres
from runtime.migrate import migrate

NOW = datetime(2031, 1, 1, tzinfo=UTC)


def make_users(db: psycopg.Connection[Any], users: int) -> list[UUID]:
    """Users with numbers of a site that is some years old; returns a hundred of them."""
    db.execute("SELECT setseed(0.5)")
    db.execute(
        "INSERT INTO read.user_statistics (user_id, accounts, uploads, requests_filled, bounty_spent, bonus_spent,"
        " joined_at) SELECT gen_random_uuid(), 1, greatest(0, 40 * random() ^ 6 - 1),"
        " greatest(0, 9 * random() ^ 6 - 1),"
        " greatest(0, 1e6 * random() ^ 4 - 1e4), greatest(0, 1e7 * random() ^ 4 - 1e4), now()"
        " FROM generate_series(1, %s)",
        (users,),
    )
    db.execute(
        "INSERT INTO read.user_stats (user_id, uploaded, downloaded, raw_uploaded, raw_downloaded, seeding, leeching,"
        " snatched, seed_time_s) SELECT user_id, 1e13 * random() ^ 6, 1e12 * random() ^ 6, 0, 0, 0, 0, 0, 0"
        " FROM read.user_statistics"
    )
    db.execute(
        "INSERT INTO read.account (user_id, username, email, group_slug, state, email_verified, two_factor, passkey_no,"
        " registered_at, version, changed_pos) SELECT user_id, user_id::text, '', 'member', 'enabled', true, false, 1,"
        " now(), 1, 1 FROM read.user_statistics"
    )
    db.execute("ANALYZE")
    found = [row[0] for row in db.execute("SELECT user_id FROM read.user_statistics ORDER BY user_id").fetchall()]
    return Random(1).sample(found, min(100, len(found)))


def milliseconds(ask: Callable[[UUID], object], users: list[UUID]) -> float:
    """For one user, on average."""
    began = time.perf_counter()
    for user_id in users:
        assert ask(user_id) is not None
    return (time.perf_counter() - began) * 1000 / len(users)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as at, Postgres(Path(at)) as postgres:
        migrate(postgres.url())
        with psycopg.connect(postgres.url(), autocommit=True) as db:
            users = make_users(db, wanted.users)
            db.execute("SET search_path = read")
            steps = spread_steps(db)
            figures = alternate(
                wanted.rounds,
                {
                    "numbers of a profile": lambda: milliseconds(lambda one: user_stats(db, [one], NOW), users),
                    "ranks": lambda: milliseconds(lambda one: ranked(db, one, steps), users),
                    "a look at everybody, once a minute": lambda: milliseconds(lambda _: spread_steps(db), users[:3]),
                },
            )
    show(f"among {wanted.users:,} users", figures, "numbers of a profile", "ms")


if __name__ == "__main__":
    main()
