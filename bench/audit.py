"""The chain of the log: how fast events are sealed and verified, beside reading the same rows and doing nothing."""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import Connection
from psycopg_pool import ConnectionPool

from bench.figures import alternate, show
from runtime.audit.seal import seal
from runtime.audit.verify import verify
from runtime.db import open_pool
from runtime.embedded import Postgres
from runtime.migrate import migrate
from runtime.roles import PROJECTOR_ROLE

_COLUMNS = (
    "position, recorded_at, stream_id, version, part, type, schema_version, event_id, command_id, correlation_id,"
    " causation_id, actor_id, origin, data"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Postgres(Path(folder)) as postgres:
        migrate(postgres.url())
        with psycopg.connect(postgres.url(), autocommit=True) as owner:
            _fill(owner, options.events)
        pool, key = open_pool(postgres.url(), PROJECTOR_ROLE, 1), Ed25519PrivateKey.generate()
        began = time.perf_counter()
        blocks = seal(pool, key, after=timedelta(0))
        rate = options.events / (time.perf_counter() - began)
        print(f"sealed {options.events:,} events in {blocks:,} blocks: {rate:,.0f} events/s")
        measures = {
            "reading every column": lambda: _rate(pool, options.events, _read),
            "verifying": lambda: _rate(pool, options.events, lambda c: verify(c, key.public_key())),
        }
        show("the log, from its first event", alternate(options.rounds, measures), "reading every column", "events/s")
        pool.close()


def _fill(owner: Connection[Any], events: int) -> None:
    """Events of 150 bytes of data, ten to a stream."""
    owner.execute("INSERT INTO es.event_type (name) VALUES ('bench.happened')")
    owner.execute(
        "INSERT INTO es.event (stream_id, version, part, type, schema_version, command_id, correlation_id,"
        " causation_id, actor_id, origin, data) SELECT md5((n / 10)::text)::uuid, n %% 10 + 1, n / 10 %% 64, (SELECT id"
        " FROM es.event_type WHERE name = 'bench.happened'), 1, md5(n::text)::uuid, md5(n::text)::uuid,"
        " md5(n::text)::uuid, md5((n %% 1000)::text)::uuid, 'api', convert_to(json_build_object('timestamp', now(),"
        " 'text', repeat('x', 100))::text, 'UTF8') FROM generate_series(0, %s - 1) AS n ORDER BY n",
        (events,),
    )
    owner.execute("VACUUM ANALYZE es.event")


def _rate(pool: ConnectionPool[Connection[Any]], events: int, work: Any) -> float:
    with pool.connection() as connection:
        connection.execute("SET statement_timeout = 0")
        began = time.perf_counter()
        work(connection)
        return events / (time.perf_counter() - began)


def _read(connection: Connection[Any]) -> None:
    after = 0
    while rows := connection.execute(
        f"SELECT {_COLUMNS} FROM es.event WHERE position > %s ORDER BY position LIMIT 50000", (after,), binary=True
    ).fetchall():
        after = rows[-1][0]


if __name__ == "__main__":
    main()
