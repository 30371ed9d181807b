"""Workers under every fault at random points: each event counts once and in order, in rows and in commands.

`python -m tests.campaigns.followers --faults 200 --seed 7` repeats the campaign of that seed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from redis import Redis

from runtime.embedded import Postgres, Valkey
from runtime.follower_settings import pause, resume
from runtime.migrate import migrate
from runtime.platform import Platform
from runtime.queue import wake_message
from runtime.settings import Settings
from runtime.store import new_id
from tests.conftest import SECRETS, as_user
from tests.given import ACTOR
from tests.runtime import note_worker
from tests.runtime.notes import KINDS, Note, create_tables, make_policy, make_projection

WORKERS = 3
WRITERS = 2
#: Workers take one another for hanging after so long, so that a stopped one is replaced within a campaign.
HANGING_S = 1.5
SETTLED_S = 120.0

#: The first is empty when all is handled, the others always.
BEHIND = "SELECT name FROM es.follower WHERE state <> 'running' OR position < es.safe_position()"
QUESTIONS = (
    # every line of the log is a row, once, and no row is of no line
    "(SELECT e.position, e.stream_id FROM es.event e JOIN es.event_type t ON t.id = e.type"
    " WHERE t.name = 'note.line_added' EXCEPT ALL SELECT position, note_id FROM read.note_line)",
    "(SELECT position, note_id FROM read.note_line EXCEPT ALL SELECT e.position, e.stream_id FROM es.event e)",
    # every line was added to its note once
    "SELECT n.note_id FROM read.note n LEFT JOIN read.note_line l USING (note_id)"
    " GROUP BY n.note_id HAVING n.lines <> coalesce(sum(l.number), 0)",
    # the policy closed each full note, once, and no other
    "SELECT n.note_id FROM read.note n LEFT JOIN (SELECT e.stream_id, count(*) AS closed FROM es.event e"
    " JOIN es.event_type t ON t.id = e.type WHERE t.name = 'note.closed' GROUP BY 1) c ON c.stream_id = n.note_id"
    " WHERE coalesce(c.closed, 0) <> (n.lines >= 10)::int",
    "SELECT position FROM es.dead_letter",
)


class Figures(NamedTuple):
    """Notes that writers were told of, and seconds until everything was handled after the last fault."""

    notes: int
    settled_s: float


class Scene:
    """Engines, workers and writers; `chance` is what makes campaigns differ."""

    def __init__(self, folder: Path, chance: random.Random, stack: ExitStack) -> None:
        self.chance = chance
        self.stack = stack
        self.postgres = stack.enter_context(Postgres(folder))
        self.valkey = stack.enter_context(Valkey(folder))
        migrate(self.postgres.url())
        with psycopg.connect(self.postgres.url(), autocommit=True) as owner:
            create_tables(owner)
        servers = {"url": as_user(self.postgres.url(), "tracker_app"), "owner_url": self.postgres.url()}
        redis = {"url": self.valkey.url()}
        self.settings = Settings.model_validate({"data_dir": folder, "redis": redis, "database": servers})
        followers = (make_projection(), make_policy())
        self.platform = stack.enter_context(Platform(self.settings, KINDS, followers, secrets=SECRETS))
        self.workers = [self._start() for _ in range(WORKERS)]
        self.written: list[Note] = []

    def _start(self) -> note_worker.Process:
        return self.stack.enter_context(note_worker.running(self.settings, hanging_s=HANGING_S))

    def flush(self) -> None:
        """Every message is gone."""
        with Redis.from_url(self.valkey.url()) as client:
            client.flushall()

    def double(self) -> None:
        """Messages that nobody sent, twenty of each."""
        for name in ("notes", "close_full_notes") * 20:
            self.platform.broker.enqueue(wake_message(name))

    def stop_worker(self) -> None:
        """SIGSTOP, for less or longer than until others take its place."""
        worker = self.chance.choice(self.workers)
        os.kill(worker.pid, signal.SIGSTOP)
        time.sleep(self.chance.uniform(0.2, 2 * HANGING_S))
        os.kill(worker.pid, signal.SIGCONT)

    def kill_worker(self) -> None:
        number = self.chance.randrange(WORKERS)
        self.workers[number].process.kill()
        self.workers[number].process.wait()
        self.workers[number] = self._start()

    def restart_server(self) -> None:
        self._bring_back(signal.SIGINT)

    def kill_server(self) -> None:
        self._bring_back(signal.SIGKILL)

    def _bring_back(self, how: signal.Signals) -> None:
        assert self.postgres.process is not None
        self.postgres.process.send_signal(how)
        self.postgres.process.wait(20)
        self.postgres.start()
        self.postgres.wait_ready()

    def pause(self) -> None:
        pause(self.platform, "notes")
        time.sleep(self.chance.uniform(0.1, 1.0))
        resume(self.platform, "notes")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Notes of one to six lines meanwhile; a command whose server is away is given up."""
        enough = threading.Event()

        def keep_writing(seed: int) -> None:
            chance = random.Random(seed)
            while not enough.is_set():
                note = Note.open(new_id())
                for _ in range(chance.randint(1, 6)):
                    note.add_line(chance.randint(0, 4))
                with suppress(Exception):
                    self.platform.store(ACTOR).save(note)
                    self.written.append(note)
                enough.wait(chance.expovariate(200))

        threads = [threading.Thread(target=keep_writing, args=(self.chance.random(),)) for _ in range(WRITERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            enough.set()
            for thread in threads:
                thread.join()

    def ask(self, question: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.postgres.url(), autocommit=True) as connection:
            return connection.execute(question).fetchall()


FAULTS: dict[str, Callable[[Scene], None]] = {
    "flush": Scene.flush,
    "double": Scene.double,
    "stop_worker": Scene.stop_worker,
    "kill_worker": Scene.kill_worker,
    "restart_server": Scene.restart_server,
    "kill_server": Scene.kill_server,
    "pause": Scene.pause,
}


def campaign(
    folder: Path, faults: list[str], seed: int, pause_s: float, tell: Callable[[int], None] = lambda number: None
) -> Figures:
    """These faults in order, with pauses of about `pause_s` between them; raises AssertionError."""
    with ExitStack() as stack:
        scene = Scene(folder, random.Random(seed), stack)
        with scene.writing():
            for number, fault in enumerate(faults, 1):
                time.sleep(scene.chance.expovariate(1 / pause_s))
                FAULTS[fault](scene)
                tell(number)
            time.sleep(pause_s)
        began = time.monotonic()
        while behind := scene.ask(BEHIND):
            assert time.monotonic() - began < SETTLED_S, f"not handled within {SETTLED_S} s: {behind}"
            time.sleep(0.1)
        settled = time.monotonic() - began
        for question in QUESTIONS:
            assert scene.ask(question) == [], question
        known = {note_id for (note_id,) in scene.ask("SELECT note_id FROM read.note")}
        assert {note.id for note in scene.written} <= known, "what was acknowledged is there"
        return Figures(len(scene.written), settled)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(1, 10**6))
    arguments = parser.parse_args()
    sys.stdout.write(f"seed {arguments.seed}, {arguments.faults} faults\n")
    faults = random.Random(arguments.seed).choices(list(FAULTS), k=arguments.faults)

    def tell(number: int) -> None:
        sys.stdout.write(f"\r{number}/{len(faults)} {faults[number - 1]:16}")
        sys.stdout.flush()

    with tempfile.TemporaryDirectory() as folder:
        figures = campaign(Path(folder), faults, arguments.seed, 0.5, tell)
    sys.stdout.write(
        f"\n{figures.notes} notes acknowledged, 0 lost, 0 doubled; all handled {figures.settled_s:.1f} s later\n"
    )


if __name__ == "__main__":
    main()
