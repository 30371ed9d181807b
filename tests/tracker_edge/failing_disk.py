"""A disk of which one call fails, for a process that writes a journal; and what such a process may leave behind.

Run as a process with DIRECTORY N ERRNO: `journal_writer` over a disk whose N-th call fails, of those that open, write,
cut and sync. A write that fails has written half. When it fails, it says so between the acknowledged numbers.
"""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.tracker_edge import journal_writer

CALLS = ("open", "write", "ftruncate", "fdatasync", "fsync")
#: After these it may go on when there is room again; after a failed sync nobody knows what is on the disk.
PASSING = {("open", errno.ENOSPC), ("write", errno.ENOSPC)}
#: Enough to see that it goes on.
MORE = 200


class Outcome(NamedTuple):
    """Which call failed, None if there are not so many; what was acknowledged before and after that."""

    call: str | None
    before: list[int]
    after: list[int]


def install(nth: int, error: int) -> None:
    """Lets the n-th call of this process fail."""
    calls = 0

    def failing(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(first: Any, *rest: Any) -> Any:
            nonlocal calls
            if first == sys.stdout.fileno():
                return real(first, *rest)
            calls += 1
            if calls != nth:
                return real(first, *rest)
            if name == "write":
                real(first, rest[0][: len(rest[0]) // 2])
            write(sys.stdout.fileno(), f"{name}\n".encode())
            raise OSError(error, os.strerror(error))

        return call

    write = os.write
    for name in CALLS:
        setattr(os, name, failing(name, getattr(os, name)))


def run(directory: Path, nth: int, error: int) -> Outcome:
    """What the process says until it ends, or until it has gone on long enough."""
    command = [sys.executable, "-m", "tests.tracker_edge.failing_disk", str(directory), str(nth), str(error)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        outcome = Outcome(None, [], [])
        for line in process.stdout:
            if line.strip() in CALLS:
                outcome = outcome._replace(call=line.strip())
            else:
                (outcome.after if outcome.call else outcome.before).append(int(line))
            if len(outcome.after) >= MORE or len(outcome.before) >= 50 * MORE:
                process.kill()
    return outcome


if __name__ == "__main__":
    install(int(sys.argv[2]), int(sys.argv[3]))
    asyncio.run(journal_writer.write(Path(sys.argv[1])))
