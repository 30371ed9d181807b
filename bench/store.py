"""The event store: appends through `save` beside the eventsourcing library's own recorder, projecting, rebuilding.

Both stores run in the same PostgreSQL with fsync on, in alternating rounds.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate as StockAggregate
from eventsourcing.domain import event as stock_event

from bench.figures import alternate, show
from domain.base import SYSTEM
from domain.bonus import Account, AccountKind, Cause, PostingKind, transfer
from domain.moderation import Case
from projections import ALL
from runtime.api import open_platform
from runtime.embedded import Postgres, Valkey
from runtime.migrate import migrate
from runtime.platform import Platform
from runtime.projection import Projection
from runtime.rebuild import rebuild
from runtime.settings import Database, Redis, Settings

#: An owner has two accounts with an opening and two postings each.
EVENTS_PER_SAVE = 1200


class StockCase(StockAggregate):
    """The same size of event in the library's own idiom."""

    @stock_event("Opened")
    def __init__(self, subject: str) -> None:
        self.subject = subject

    @stock_event("Commented")
    def comment(self, author: str, text: str) -> None:
        self.text = text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=60_000, help="history to project and rebuild")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        with Postgres(Path(folder)) as postgres, Valkey(Path(folder)) as valkey:
            migrate(postgres.url())
            settings = Settings(
                data_dir=Path(folder),
                database=Database(url=postgres.url(user="tracker_app"), max_connections=16),
                redis=Redis(url=valkey.url()),
            )
            with open_platform(settings) as platform, _stock(postgres) as stock:
                _appends(platform, stock, options.seconds, options.rounds)
                _projecting(platform, options.events)


def _appends(platform: Platform, stock: Application[Any], seconds: float, rounds: int) -> None:
    for writers in (1, 8):
        measures = {
            "stock library": lambda w=writers: _rate(lambda: _save_stock(stock), w, seconds),
            "ours": lambda w=writers: _rate(lambda: _save_ours(platform), w, seconds),
        }
        show(f"appends of 2 events, {writers} writers", alternate(rounds, measures), "stock library", "commits/s")


def _projecting(platform: Platform, events: int) -> None:
    """Grants, saved a thousand events at a time so that writing them takes no longer than reading them."""
    for _ in range(events // EVENTS_PER_SAVE):
        _save_grants(platform, EVENTS_PER_SAVE // 6)
    engine = platform.engine()
    figures: dict[str, list[float]] = {}
    for projection in (p for p in ALL if p.name in {"bonus", "audit"}):
        total = _count(platform, projection)
        began = time.perf_counter()
        engine.drain(projection)
        figures[f"{projection.name}, live batches"] = [total / (time.perf_counter() - began)]
        began = time.perf_counter()
        rebuild(platform, projection)
        figures[f"{projection.name}, rebuild and swap"] = [total / (time.perf_counter() - began)]
    show("projecting, row by row", figures, next(iter(figures)), "events/s")


def _stock(postgres: Postgres) -> Application[Any]:
    parts = {"PERSISTENCE_MODULE": "eventsourcing.postgres", "POSTGRES_DBNAME": "tracker", "POSTGRES_USER": "postgres"}
    host = postgres.url().partition("host=")[2].partition("&")[0].replace("%2F", "/")
    return Application({**parts, "POSTGRES_HOST": host, "POSTGRES_PORT": "5432", "POSTGRES_PASSWORD": "",
                        "POSTGRES_POOL_SIZE": "10"})  # fmt: skip


def _rate(save: Callable[[], None], writers: int, seconds: float) -> float:
    done = [0] * writers
    until = time.perf_counter() + seconds

    def write(n: int) -> None:
        while time.perf_counter() < until:
            save()
            done[n] += 1

    threads = [threading.Thread(target=write, args=(n,)) for n in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / seconds


def _save_stock(stock: Application[Any]) -> None:
    case = StockCase("torrent")
    case.comment(str(uuid4()), "x" * 100)
    stock.save(case)


def _save_ours(platform: Platform) -> None:
    case = Case.open(uuid4(), "torrent", uuid4(), uuid4())
    case.comment(case.subject_id, "x" * 100)
    platform.store(SYSTEM, "bench").save(case)


def _save_grants(platform: Platform, count: int) -> None:
    owners = [uuid4() for _ in range(count)]
    accounts = [(Account.open(AccountKind.ISSUANCE, o), Account.open(AccountKind.BONUS, o)) for o in owners]
    for source, target in accounts:
        for _ in range(2):
            transfer(source, target, 5, Cause(PostingKind.GRANTED, "grant", target.owner_id), entry_id=uuid4())
    platform.store(SYSTEM, "bench").save(*(account for pair in accounts for account in pair))


def _count(platform: Platform, projection: Projection) -> int:
    """How many events this projection reads."""
    with platform.pool.connection() as connection:
        row = connection.execute(
            "SELECT count(*) FROM es.event e JOIN es.event_type t ON t.id = e.type"
            " WHERE %(topics)s::text[] IS NULL OR t.name = ANY (%(topics)s)",
            {"topics": projection.topics},
        ).fetchone()
    assert row is not None
    return int(row[0])


if __name__ == "__main__":
    main()
