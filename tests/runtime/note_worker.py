"""A worker of the notes in a process of its own, for tests that stop and kill it.

`python -m tests.runtime.note_worker SETTINGS NUMBER HANGING_S` prints `ready`, then runs until SIGTERM. Whenever it
handles a line of that number it prints `in hand` and waits for a line of input, in the middle of its transaction. A
line of the number `LETHAL` ends it at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import structlog

from runtime import follow
from runtime.db import Writer
from runtime.facts import Fact
from runtime.platform import Platform
from runtime.projection import Projection
from runtime.settings import Settings
from runtime.worker_loop import run_worker
from tests.conftest import SECRETS
from tests.runtime.notes import KINDS, Note, make_policy, make_projection

LETHAL = 666


def pausing(number: int) -> Projection:
    """The notes' projection with that wait."""
    projection = make_projection()
    handle = projection.handlers[Note.LineAdded]

    def line_added(fact: Fact[Note.LineAdded], db: Writer) -> None:
        handle(fact, db)
        if fact.event.number == LETHAL:
            os.kill(os.getpid(), signal.SIGKILL)
        if fact.event.number == number:
            say("in hand")
            sys.stdin.readline()

    projection.handlers[Note.LineAdded] = line_added
    return projection


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Process:
    """A running worker; `expect` reads its next line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdin is not None
        assert process.stdout is not None
        self.stdin: IO[str] = process.stdin
        self.stdout: IO[str] = process.stdout

    @property
    def pid(self) -> int:
        return self.process.pid

    def expect(self, line: str) -> None:
        """Wait for this line."""
        for found in self.stdout:
            if found.rstrip("\n") == line:
                return
        raise AssertionError(f"the worker ended before it said {line!r}")

    def go_on(self) -> None:
        """Let a handler that waits return."""
        self.stdin.write("\n")
        self.stdin.flush()


@contextmanager
def running(settings: Settings, number: int = -1, hanging_s: float = follow.HANGING_S) -> Iterator[Process]:
    """A worker over these engines, ready; killed in the end, should it still run."""
    shown = settings.model_dump_json(include={"database", "redis", "data_dir"})
    command = [sys.executable, "-m", "tests.runtime.note_worker", shown, str(number), str(hanging_s)]
    with (
        open(settings.data_dir / "note_worker.log", "a") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            worker = Process(process)
            worker.expect("ready")
            yield worker
        finally:
            process.kill()


def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # nobody reads stdout to its end
    settings = Settings.model_validate_json(sys.argv[1])
    follow.HANGING_S = float(sys.argv[3])
    followers = (pausing(int(sys.argv[2])), make_policy())
    with Platform(settings, KINDS, followers, secrets=SECRETS) as platform:
        raise SystemExit(run_worker(platform, followers, started=lambda: say("ready")))


if __name__ == "__main__":
    main()
