"""A rebuild of the notes in a process of its own, for tests that kill it.

`python -m tests.runtime.note_rebuild SETTINGS BATCH NUMBER` prints `at POSITION` after each batch of that many facts,
and `in hand` when it comes to a line of that number, where it waits for a line of input in the middle of a batch. When
the number is `NEVER`, it waits after each batch instead, so that it cannot come to its end before it is killed. What it
does is the order that there is, or else a rebuild; `done` is its last word.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.platform import Platform
from runtime.rebuild import NoRun, rebuild, shadow
from runtime.rebuild.orders import carry_out
from runtime.settings import Settings
from tests.conftest import SECRETS
from tests.runtime.note_worker import Process, pausing, say
from tests.runtime.notes import KINDS

#: No line has this number.
NEVER = -1


def command(settings: Settings, batch: int, number: int = NEVER) -> list[str]:
    shown = settings.model_dump_json(include={"database", "redis", "data_dir"})
    return [sys.executable, "-m", "tests.runtime.note_rebuild", shown, str(batch), str(number)]


@contextmanager
def rebuilding(settings: Settings, batch: int, number: int = NEVER) -> Iterator[Process]:
    """One that runs; killed in the end, should it still do so."""
    with (
        open(settings.data_dir / "note_rebuild.log", "a") as log,
        subprocess.Popen(
            command(settings, batch, number), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            yield Process(process)
        finally:
            process.kill()


def main() -> None:
    number = int(sys.argv[3])

    def told(position: int, head: int) -> None:
        say(f"at {position}")
        if number == NEVER:
            sys.stdin.readline()

    settings = Settings.model_validate_json(sys.argv[1])
    shadow.BATCH = int(sys.argv[2])
    notes = pausing(number)
    with Platform(settings, KINDS, (notes,), secrets=SECRETS) as platform:
        try:
            carry_out(platform, notes)
        except NoRun:
            rebuild(platform, notes, told)
    say("done")


if __name__ == "__main__":
    main()
