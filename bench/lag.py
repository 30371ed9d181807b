"""How long from a command's commit until its row can be read: one idle site, one worker, one projection.

First by looking at the row all the time, then as a query waits that was given the command's position.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import psycopg
from anyio.from_thread import BlockingPortal, start_blocking_portal

from runtime.embedded import Postgres, Valkey
from runtime.freshness import wait_for
from runtime.migrate import migrate
from runtime.platform import Platform
from runtime.secrets import Secrets
from runtime.settings import Settings
from runtime.store import new_id
from runtime.worker_loop import WorkerLoop
from tests.given import ACTOR
from tests.runtime.notes import KINDS, Note, create_tables, make_projection

#: Between two commands, so that every one of them finds the worker idle.
PAUSE_S = 0.05


def main(rounds: int = 200) -> None:
    with tempfile.TemporaryDirectory() as at, Postgres(Path(at)) as postgres, Valkey(Path(at)) as valkey:
        migrate(postgres.url())
        with psycopg.connect(postgres.url(), autocommit=True) as owner:
            create_tables(owner)
        servers = {"database": {"url": postgres.url(user="tracker_app")}, "redis": {"url": valkey.url()}}
        settings = Settings.model_validate({"data_dir": at, **servers})
        secrets = Secrets(b"j" * 32, b"s" * 32, b"k" * 32)
        with Platform(settings, KINDS, [make_projection()], secrets=secrets) as platform:
            loop = WorkerLoop(platform, platform.followers)
            loop.start()
            with start_blocking_portal() as portal:
                show("commit to row", sorted(lag(platform) for _ in range(rounds)))
                show("query with its position", sorted(wait(platform, portal) for _ in range(rounds)))
            loop.stop()


def show(what: str, lags: list[float]) -> None:
    p50, p99 = statistics.median(lags), lags[int(len(lags) * 0.99)]
    print(f"{what}, idle, {len(lags)} commands: p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {lags[-1]:.1f} ms")


def wait(platform: Platform, portal: BlockingPortal) -> float:
    """Milliseconds that a query waits which is asked as soon as the command is answered."""
    time.sleep(PAUSE_S)
    note = platform.store(ACTOR).save(Note.open(new_id()))
    saved = time.perf_counter()
    portal.call(wait_for, platform, (platform.followers[0].name,), note.position)
    return (time.perf_counter() - saved) * 1000


def lag(platform: Platform) -> float:
    """Milliseconds until the note just saved is in the read table."""
    time.sleep(PAUSE_S)
    note = platform.store(ACTOR).save(Note.open(new_id()))
    saved = time.perf_counter()
    with platform.pool.connection() as connection:
        while not connection.execute("SELECT 1 FROM read.note WHERE note_id = %s", (note.id,)).fetchone():
            time.sleep(0.0005)
    return (time.perf_counter() - saved) * 1000


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
