"""The event store: appends through `save` beside the eventsourcing library's own recorder, a reader that tails, long
aggregates, projecting, rebuilding.

Both stores run in the same PostgreSQL with fsync on, in alternating rounds. Writers are threads of up to four
processes. A slower disk is PostgreSQL's own `commit_delay`: the backend that flushes the log sleeps so long before it
does, holding the same lock as a disk that takes longer, so that those who come meanwhile are flushed together.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate as StockAggregate
from eventsourcing.domain import event as stock_event

from bench.figures import alternate, show
from domain.base import SYSTEM
from domain.bonus import Account, AccountKind, Cause, PostingKind, transfer
from domain.requests import Request
from projections import ALL
from runtime.embedded import Postgres, Valkey
from runtime.facts import FactLog
from runtime.migrate import migrate
from runtime.platform import Platform
from runtime.projection import Projection
from runtime.rebuild import rebuild
from runtime.settings import Database, Redis, Settings
from runtime.site import open_platform
from runtime.store import unbound_metadata

#: An owner has two accounts with an opening and two postings each.
EVENTS_PER_SAVE = 1200
PROCESSES = 4
#: What the processes need to connect before they begin together.
CONNECT_S = 3.0
LONG_AGGREGATE = 1000


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
    parser.add_argument("--events", type=int, default=60_000, help="history to import, to tail, to project and rebuild")
    parser.add_argument("--only", choices=["appends", "tailing", "loading", "importing", "projecting"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        with Postgres(Path(folder)) as postgres, Valkey(Path(folder)) as valkey:
            migrate(postgres.url())
            settings = Settings(
                data_dir=Path(folder),
                database=Database(url=postgres.url(user="tracker_app"), max_connections=32),
                redis=Redis(url=valkey.url()),
            )
            with open_platform(settings) as platform:
                parts: dict[str, Callable[[], None]] = {
                    "appends": lambda: _appends(postgres, settings, options.seconds, options.rounds),
                    "tailing": lambda: _tailing(platform, options.events),
                    "loading": lambda: _loading(platform, options.rounds),
                    "projecting": lambda: _projecting(platform, options.events),
                }
                for name, part in parts.items():
                    if options.only in (None, name):
                        part()


def _appends(postgres: Postgres, settings: Settings, seconds: float, rounds: int) -> None:
    _stock(postgres.url(), create_table=True).close()
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as processes:
        for delay_us, writers in ((0, 1), (0, 8), (0, 32), (2000, 1), (2000, 8), (2000, 32)):
            with _slower_flush(postgres, delay_us):
                measures = {
                    "stock library": partial(_rate, processes, _stock_writer, postgres.url(), writers, seconds),
                    "ours": partial(_rate, processes, _our_writer, settings, writers, seconds),
                }
                figures = alternate(rounds, measures)
            disk = f", {delay_us / 1000:g} ms added per flush" if delay_us else ""
            show(f"appends of 2 events, {writers} writers{disk}", figures, "stock library", "commits/s")


@contextmanager
def _slower_flush(postgres: Postgres, delay_us: int) -> Iterator[None]:
    """Every flush of the log takes so much longer, whoever else is writing."""
    with psycopg.connect(postgres.url(), autocommit=True) as owner:
        owner.execute(f"ALTER SYSTEM SET commit_delay = {delay_us}".encode())
        owner.execute("ALTER SYSTEM SET commit_siblings = 0")
        owner.execute("SELECT pg_reload_conf()")
        yield
        owner.execute("ALTER SYSTEM RESET commit_delay")
        owner.execute("SELECT pg_reload_conf()")


def _rate(
    processes: ProcessPoolExecutor, writer: Callable[..., int], store: object, writers: int, seconds: float
) -> float:
    """Commits per second of so many writers, spread over the processes."""
    used = min(writers, PROCESSES)
    begin = time.time() + CONNECT_S
    done = [processes.submit(writer, store, writers // used, begin, seconds) for _ in range(used)]
    return sum(one.result() for one in done) / seconds


def _stock_writer(url: str, threads: int, begin: float, seconds: float) -> int:
    stock = _stock(url)
    try:
        return _count_saves(partial(_save_stock, stock), threads, begin, seconds)
    finally:
        stock.close()


def _our_writer(settings: Settings, threads: int, begin: float, seconds: float) -> int:
    with open_platform(settings) as platform:
        return _count_saves(partial(_save_ours, platform), threads, begin, seconds)


def _count_saves(save: Callable[[], None], threads: int, begin: float, seconds: float) -> int:
    done = [0] * threads

    def write(n: int) -> None:
        save()  # connects
        time.sleep(max(0.0, begin - time.time()))
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            save()
            done[n] += 1

    running = [threading.Thread(target=write, args=(n,)) for n in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return sum(done)


def _stock(url: str, *, create_table: bool = False) -> Application[Any]:
    parts = {"PERSISTENCE_MODULE": "eventsourcing.postgres", "POSTGRES_DBNAME": "tracker", "POSTGRES_USER": "postgres"}
    host = url.partition("host=")[2].partition("&")[0].replace("%2F", "/")
    return Application({**parts, "POSTGRES_HOST": host, "POSTGRES_PORT": "5432", "POSTGRES_PASSWORD": "",
                        "POSTGRES_POOL_SIZE": "10", "CREATE_TABLE": "y" if create_table else "n"})  # fmt: skip


def _save_stock(stock: Application[Any]) -> None:
    case = StockCase("torrent")
    case.comment(str(uuid4()), "x" * 100)
    stock.save(case)


def _save_ours(platform: Platform) -> None:
    request = Request.open(uuid4(), uuid4(), "A wish", "x" * 100, "movies-hd")
    request.add_bounty(request.requester_id, 5000)
    platform.store(SYSTEM, "bench").save(request)


def _tailing(platform: Platform, events: int) -> None:
    """Eight writers, of whose appends one in ten is rolled back and one in ten stalls; a reader follows them."""
    stop, seen, before = threading.Event(), list[int](), _head(platform)
    tail = threading.Thread(target=_tail, args=(platform, before, stop, seen))
    tail.start()
    writers = [threading.Thread(target=_write_badly, args=(platform, n, events // 8)) for n in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    stop.set()
    tail.join()
    with platform.pool.connection() as connection:
        rows = connection.execute("SELECT position FROM es.event WHERE position > %s ORDER BY 1", (before,)).fetchall()
    there = [position for (position,) in rows]
    missed = len(set(there) - set(seen))
    print(f"a reader that tails 8 writers: {missed} missed of {len(there):,}, {len(seen) - len(set(seen))} twice")


def _write_badly(platform: Platform, seed: int, events: int) -> None:
    rng, recorder, written = random.Random(seed), platform.history.types, 0
    while written < events:
        owners = [uuid4() for _ in range(10)]
        accounts = [Account.open(AccountKind.BONUS, owner) for owner in owners]
        stored = [platform.history.codec.to_stored_event(e) for a in accounts for e in a.collect_events()]
        fate = rng.random()
        with platform.pool.connection() as connection, connection.transaction(force_rollback=fate < 0.1):
            recorder._append(connection.cursor(), stored, unbound_metadata(SYSTEM, "bench"), b"{}")
            if fate < 0.2:
                time.sleep(rng.random() * 0.005)
        written += 0 if fate < 0.1 else len(stored)


def _tail(platform: Platform, after: int, stop: threading.Event, seen: list[int]) -> None:
    log = FactLog(platform.history)
    with platform.projector_pool.connection() as connection:
        while True:
            last_round = stop.is_set()
            safe = log.safe_position(connection)
            while facts := log.read(connection, after, safe, None, 1000):
                seen += [fact.position for fact in facts]
                after = facts[-1].position
            after = max(after, safe)
            if last_round:
                return


def _loading(platform: Platform, rounds: int) -> None:
    """An account of a thousand events, as a process has it that has not seen it before."""
    account, source = (Account.open(kind, uuid4()) for kind in (AccountKind.BONUS, AccountKind.ISSUANCE))
    for _ in range(LONG_AGGREGATE - 1):
        transfer(source, account, 5, Cause(PostingKind.GRANTED, "grant", account.owner_id), entry_id=uuid4())
    platform.store(SYSTEM, "bench").save(source, account)
    platform.history.repository.cache = None
    figures = {"all events": [_load_ms(platform, account.id) for _ in range(10 * rounds)]}
    assert platform.history.take_snapshots() >= 2
    _load_ms(platform, account.id)  # asks which streams have a snapshot
    figures["its snapshot"] = [_load_ms(platform, account.id) for _ in range(10 * rounds)]
    show(f"loading an aggregate of {LONG_AGGREGATE} events", figures, "all events", "ms")


def _load_ms(platform: Platform, account_id: UUID) -> float:
    began = time.perf_counter()
    assert platform.history.aggregate(Account, account_id).version == LONG_AGGREGATE
    return (time.perf_counter() - began) * 1000


def _projecting(platform: Platform, events: int) -> None:
    """Grants, saved a thousand events at a time so that writing them takes no longer than reading them."""
    for _ in range(events // EVENTS_PER_SAVE):
        _save_grants(platform, EVENTS_PER_SAVE // 6)
    engine = platform.engine()
    figures: dict[str, list[float]] = {}
    for projection in (p for p in ALL if p.name in {"bonus", "audit", "user_statistics"}):
        total = _count(platform, projection)
        began = time.perf_counter()
        engine.drain(projection)
        figures[f"{projection.name}, live batches"] = [total / (time.perf_counter() - began)]
        began = time.perf_counter()
        rebuild(platform, projection)
        figures[f"{projection.name}, rebuild and swap"] = [total / (time.perf_counter() - began)]
    show("projecting, by the row or folded (user_statistics)", figures, "bonus, live batches", "events/s")


def _save_grants(platform: Platform, count: int) -> None:
    owners = [uuid4() for _ in range(count)]
    accounts = [(Account.open(AccountKind.ISSUANCE, o), Account.open(AccountKind.BONUS, o)) for o in owners]
    for source, target in accounts:
        for _ in range(2):
            transfer(source, target, 5, Cause(PostingKind.GRANTED, "grant", target.owner_id), entry_id=uuid4())
    platform.store(SYSTEM, "bench").save(*(account for pair in accounts for account in pair))


def _head(platform: Platform) -> int:
    with platform.projector_pool.connection() as connection:
        return FactLog(platform.history).safe_position(connection)


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
