"""How fast read tables are made: live from a backlog, anew by one process and by two, and what a swap costs.

The history is written by COPY below the store, since appending it would take longer than reading it. One plain
projection has a row for each fact, the other a row for each stream; both read the same facts.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, LiteralString
from uuid import UUID

import msgspec
import psutil
import psycopg

from bench.figures import show
from bench.swaps import measure_swaps
from domain import EVENTS
from domain.moderation import Case
from projections import ALL
from projections.peers import peers
from runtime.db import Writer
from runtime.embedded import Postgres, Valkey
from runtime.facts import Fact
from runtime.follow import Step
from runtime.migrate import migrate
from runtime.platform import Platform
from runtime.projection import Follower, Projection
from runtime.rebuild import rebuild
from runtime.rebuild.parallel import GC_THRESHOLD, PROCESSES, largest_first, rebuild_all
from runtime.secrets import Secrets
from runtime.settings import Database, Redis, Settings
from runtime.site import open_projections
from runtime.telemetry import PROJECTION_EVENTS

EVENTS_PER_CASE = 50
REAL = ("moderation", "audit")
FIRST = datetime(2025, 1, 1, tzinfo=UTC)


def plain(name: str, table: LiteralString) -> Projection:
    """A row for each comment, or one for each case."""
    projection = Projection(name, table)
    insert: LiteralString = (
        f"INSERT INTO {table} (position, case_id, version, at, author_id, text) VALUES (%s, %s, %s, %s, %s, %s)"
    )
    merge: LiteralString = (
        f"INSERT INTO {table} AS c (case_id, comments, text) VALUES (%s, 1, %s) ON CONFLICT (case_id) DO UPDATE"
        " SET comments = c.comments + excluded.comments, text = excluded.text"
    )

    def comment(fact: Fact[Case.Commented], db: Writer) -> None:
        event = fact.event
        db.execute(insert, (fact.position, fact.stream_id, fact.version, fact.at, event.author_id, event.text))

    def count(fact: Fact[Case.Commented], db: Writer) -> None:
        db.execute(merge, (fact.stream_id, fact.event.text))

    projection.on(Case.Commented)(comment if "row" in name else count)
    return projection


PLAIN = [plain("rows_1", "bench_rows_1"), plain("rows_2", "bench_rows_2"),
         plain("folded_1", "bench_folded_1"), plain("folded_2", "bench_folded_2")]  # fmt: skip
TABLES = "".join(
    f"CREATE TABLE read.bench_rows_{n} (position bigint PRIMARY KEY, case_id uuid NOT NULL, version int NOT NULL,"
    " at timestamptz NOT NULL, author_id uuid NOT NULL, text text NOT NULL);"
    f"CREATE INDEX ON read.bench_rows_{n} (case_id, version);"
    f"CREATE INDEX ON read.bench_rows_{n} (author_id, position);"
    f"CREATE TABLE read.bench_folded_{n} (case_id uuid PRIMARY KEY, comments int NOT NULL, text text NOT NULL);"
    for n in (1, 2)
)


def of_history(folder: Path) -> None:
    """The site's own projections over a history that somebody has: the data directory of a site that is stopped.

    Its read tables are rebuilt, which makes them what its events say.
    """
    with Postgres(folder) as postgres, Valkey(folder) as valkey:
        migrate(postgres.url())
        settings = Settings(
            data_dir=folder,
            database=Database(url=postgres.url(user="tracker_app")),
            redis=Redis(url=valkey.url()),
        )
        with open_projections(settings) as platform:
            projections = largest_first(platform, ALL)
            for projection in projections:
                _alone(platform, projection)
        began = time.perf_counter()
        done = list(rebuild_all(partial(open_projections, settings), [one.name for one in projections], PROCESSES))
        took = time.perf_counter() - began
    facts, rows = sum(one.facts for one in done), sum(one.rows for one in done)
    print(f"all with {PROCESSES} processes: {facts:,} facts make {rows:,} rows in {took:.1f} s, {facts / took:,.0f}/s")


def open_bench(settings: Settings) -> Platform:
    """The site's platform with the plain projections."""
    secrets = Secrets(b"j" * 32, b"s" * 32, b"k" * 32)
    return Platform(settings, EVENTS, (*ALL, *PLAIN), secrets=secrets)


def write_history(platform: Platform, owner: psycopg.Connection[Any], events: int) -> None:
    """Cases with comments; a hundred streams take turns."""
    rng, encode = Random(1), msgspec.json.encode
    types = platform.history.types
    topics = {kind: types.type_id(kind.TOPIC) for kind in (Case.Opened, Case.Commented)}

    def new_id() -> UUID:
        return UUID(int=rng.getrandbits(128))

    at = FIRST
    query = (
        "COPY es.event (stream_id, version, part, type, schema_version, command_id, correlation_id, causation_id,"
        " actor_id, origin, data) FROM STDIN"
    )
    with owner.cursor() as cursor, cursor.copy(query) as copy:
        authors = [new_id() for _ in range(2000)]
        for _ in range(0, events, EVENTS_PER_CASE * 100):
            cases = [new_id() for _ in range(100)]
            for version in range(1, EVENTS_PER_CASE + 1):
                for case in cases:
                    at += timedelta(seconds=1)
                    if version == 1:
                        kind: type[Any] = Case.Opened
                        data = {"subject_type": "torrent", "subject_id": case, "concerned_id": authors[0]}
                    else:
                        kind, data = Case.Commented, {"author_id": rng.choice(authors), "text": "x" * 100}
                    command = new_id()
                    copy.write_row(
                        (case, version, case.int & 63, topics[kind], 1, command, command, command,
                         authors[0], "api", encode({"timestamp": at, **data}))
                    )  # fmt: skip
    owner.execute(  # as appends leave it: whoever reads a stream asks there where it lies
        "INSERT INTO es.stream (stream_id, version, first_position, last_position)"
        " SELECT stream_id, max(version), min(position), max(position) FROM es.event GROUP BY 1"
    )


@contextmanager
def site(events: int) -> Iterator[tuple[Platform, Settings, psycopg.Connection[Any]]]:
    with tempfile.TemporaryDirectory() as at, Postgres(Path(at)) as postgres, Valkey(Path(at)) as valkey:
        migrate(postgres.url())
        settings = Settings(
            data_dir=Path(at),
            database=Database(url=postgres.url(user="tracker_app")),
            redis=Redis(url=valkey.url()),
        )
        with psycopg.connect(postgres.url(), autocommit=True) as owner, open_bench(settings) as platform:
            owner.execute(f"SET ROLE tracker_projector; {TABLES} RESET ROLE")
            began = time.perf_counter()
            write_history(platform, owner, events)
            owner.execute("VACUUM ANALYZE es.event, es.stream")
            print(f"{events:,} events written in {time.perf_counter() - began:.1f} s", flush=True)
            yield platform, settings, owner


def live(platform: Platform) -> None:
    """Facts a second that followers handle who have fallen far behind."""
    figures: dict[str, list[float]] = {}
    for follower in platform.followers:
        if follower.name in ("rows_1", "folded_1", *REAL):
            figures[follower.name] = [_measured(platform, follower.name, partial(_drained, platform, follower))]
    show("live, from a backlog", figures, "rows_1", "events/s")


def rates(platform: Platform, settings: Settings, owner: psycopg.Connection[Any], events: int, rounds: int) -> None:
    """Facts a second of one process, and of two processes with a projection of the same kind each.

    What the round before has left to be written is written before the next one.
    """
    figures: defaultdict[str, list[float]] = defaultdict(list)
    followers = {follower.name: follower for follower in platform.followers}
    for _ in range(rounds):
        for kind in ("rows", "folded"):
            owner.execute("CHECKPOINT")
            figures[f"{kind}, 1 process"].append(_alone(platform, followers[f"{kind}_1"]))
            owner.execute("CHECKPOINT")
            figures[f"{kind}, 2 processes"].append(_together(settings, [f"{kind}_1", f"{kind}_2"]))
    for name in REAL:
        figures[f"{name}, 1 process"] = [_alone(platform, followers[name])]
    figures[f"{' and '.join(REAL)}, 2 processes"] = [_together(settings, REAL)]
    show(f"rebuild of {events:,} events", figures, "rows, 1 process", "events/s")


def _drained(platform: Platform, follower: Follower) -> int:
    assert platform.engine().drain(follower) is Step.IDLE
    return int(PROJECTION_EVENTS.labels(follower.name)._value.get())


def _alone(platform: Platform, projection: Any) -> float:
    assert isinstance(projection, Projection)
    return _measured(platform, projection.name, lambda: rebuild(platform, projection).facts)


def _measured(platform: Platform, name: str, work: Callable[[], int]) -> float:
    """Facts a second, and what each of them takes of whom: computed time does not depend on who else computes."""
    began, ours, theirs = time.perf_counter(), time.process_time(), _postgres_s(platform)
    facts = work()
    took, ours = time.perf_counter() - began, time.process_time() - ours
    if not facts:
        return 0.0
    print(
        f"{name}: {facts:,} facts; of each {ours / facts * 1e6:.1f} µs computed here,"
        f" {(_postgres_s(platform) - theirs) / facts * 1e6:.1f} µs by PostgreSQL, {took / facts * 1e6:.1f} µs passed",
        flush=True,
    )
    return facts / took


def _postgres_s(platform: Platform) -> float:
    """Seconds that the server has computed with its children, those that ended, too."""
    with platform.pool.connection() as connection:
        server = psutil.Process(connection.info.backend_pid).parent()
    assert server is not None
    times = [process.cpu_times() for process in (server, *server.children())]
    ended = times[0].children_user + times[0].children_system
    return float(ended + sum(one.user + one.system for one in times))


def _together(settings: Settings, names: Sequence[str]) -> float:
    """From the start of the processes until the last tables are in their place, which is what an operator waits for."""
    facts, began, done = 0, time.perf_counter(), 0.0
    for rebuilt in rebuild_all(partial(open_bench, settings), names, 2):
        facts, done = facts + rebuilt.facts, time.perf_counter()
    return facts / (done - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="of the plain projections")
    parser.add_argument("--swaps", type=int, default=30)
    parser.add_argument("--history", type=Path, help="a site's data directory: rebuild its own projections instead")
    options = parser.parse_args()
    gc.set_threshold(*GC_THRESHOLD)
    if options.history:
        of_history(options.history)
        return
    with site(options.events) as (platform, settings, owner):
        live(platform)
        rates(platform, settings, owner, options.events, options.rounds)
        for projection in (PLAIN[2], peers):
            measure_swaps(platform, projection, options.swaps)


if __name__ == "__main__":
    main()
