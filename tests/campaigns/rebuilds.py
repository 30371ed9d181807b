"""Rebuilds whose process or server is killed at random batches: each goes on where it was, and makes the same tables.

`python -m tests.campaigns.rebuilds --faults 40 --seed 7` repeats the campaign of that seed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from runtime.embedded import Postgres, Valkey
from runtime.migrate import migrate
from runtime.platform import Platform
from runtime.rebuild import rebuild
from runtime.settings import Settings
from runtime.store import new_id
from tests.conftest import SECRETS, as_user
from tests.given import ACTOR, projected
from tests.runtime.note_rebuild import rebuilding
from tests.runtime.note_worker import Process
from tests.runtime.notes import KINDS, Note, create_tables, make_projection

#: Facts in a batch, and lines of a note.
BATCH, LINES = 20, 4
TABLES = (
    "SELECT n::text FROM read.note n ORDER BY 1",
    "SELECT l::text FROM read.note_line l ORDER BY 1",
)


class Figures(NamedTuple):
    """How many of the faults met a rebuild that could be gone on with, and how many rebuilds were brought to an end."""

    gone_on_with: int
    rebuilt: int


class Scene:
    """Engines, and notes whose tables have grown live."""

    def __init__(self, folder: Path, chance: random.Random, notes: int, stack: ExitStack) -> None:
        self.chance = chance
        self.postgres = stack.enter_context(Postgres(folder))
        valkey = stack.enter_context(Valkey(folder))
        migrate(self.postgres.url())
        with psycopg.connect(self.postgres.url(), autocommit=True) as owner:
            create_tables(owner)
        servers = {"url": as_user(self.postgres.url(), "tracker_app"), "owner_url": self.postgres.url()}
        self.settings = Settings.model_validate(
            {"data_dir": folder, "redis": {"url": valkey.url()}, "database": servers}
        )
        self.projection = make_projection()
        self.platform = stack.enter_context(Platform(self.settings, KINDS, (self.projection,), secrets=SECRETS))
        for _ in range(notes):
            self.write_note()
        projected(self.platform, self.projection)

    def write_note(self) -> None:
        note = Note.open(new_id())
        for _ in range(LINES):
            note.add_line(self.chance.randint(1, 9))
        self.platform.store(ACTOR).save(note)

    def interrupt(self, fault: str) -> None:
        """Let a rebuild make some batches more, then kill it, or the server under it, in the next one."""
        with rebuilding(self.settings, BATCH) as process:
            await_batch(process)
            for _ in range(self.chance.randint(0, 2)):
                process.go_on()
                await_batch(process)
            self._await_disk()
            process.go_on()
            if fault == "kill_server":
                self._kill_server()
            os.kill(process.pid, signal.SIGKILL)

    def _await_disk(self) -> None:
        """Projectors' commits do not wait until they have reached it."""
        written = self.ask("SELECT pg_current_wal_insert_lsn()::text")[0][0]
        while not self.ask("SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn", (written,))[0][0]:
            pass

    def _kill_server(self) -> None:
        assert self.postgres.process is not None
        self.postgres.process.send_signal(signal.SIGKILL)
        self.postgres.process.wait(20)
        self.postgres.start()
        self.postgres.wait_ready()

    def made(self) -> int:
        return int(self.ask("SELECT facts FROM es.rebuild WHERE made > 0")[0][0])

    def ask(self, question: Any, params: Any = ()) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.postgres.url(), autocommit=True) as connection:
            return connection.execute(question, params).fetchall()

    def await_death(self) -> None:
        while self.ask("SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2"):
            pass


def await_batch(process: Process) -> None:
    """A rebuild has made a batch, and waits."""
    line = process.stdout.readline()
    assert line.startswith("at "), line


def campaign(
    folder: Path, faults: list[str], seed: int, notes: int, tell: Callable[[int], None] = lambda number: None
) -> Figures:
    """These faults, up to three of them in the way of one rebuild; raises AssertionError."""
    with ExitStack() as stack:
        scene = Scene(folder, random.Random(seed), notes, stack)
        left, number, rebuilt = list(faults), 0, 0
        while left:
            before = [scene.ask(table) for table in TABLES]
            made = 0
            for fault in left[:3]:
                scene.interrupt(fault)
                scene.await_death()
                assert scene.made() > made, "it has gone on and not begun anew"
                made, number = scene.made(), number + 1
                tell(number)
            left = left[3:]
            done = rebuild(scene.platform, scene.projection)
            assert done.before == made, "the last one goes on as well"
            assert [scene.ask(table) for table in TABLES] == before, "and its tables are what they were"
            rebuilt += 1
            scene.write_note()
            projected(scene.platform, scene.projection)
        return Figures(number, rebuilt)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=40)
    parser.add_argument("--seed", type=int, default=random.randrange(1, 10**6))
    arguments = parser.parse_args()
    sys.stdout.write(f"seed {arguments.seed}, {arguments.faults} faults\n")
    faults = random.Random(arguments.seed).choices(["kill_process", "kill_server"], k=arguments.faults)

    def tell(number: int) -> None:
        sys.stdout.write(f"\r{number}/{len(faults)} {faults[number - 1]:16}")
        sys.stdout.flush()

    with tempfile.TemporaryDirectory() as folder:
        figures = campaign(Path(folder), faults, arguments.seed, 300, tell)
    sys.stdout.write(
        f"\n{figures.gone_on_with} kills, {figures.rebuilt} rebuilds, all gone on with, all tables equal\n"
    )


if __name__ == "__main__":
    main()
