"""Run as a process by test_journal: writes records for ever, and names on stdout those that it acknowledged."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from domain.announces import Announce, Event, pack
from tracker_edge.journal import Journal


class Sayer:
    """Prints each acknowledged number, unbuffered."""

    def deliver(self, reply: bytes) -> None:
        os.write(1, reply + b"\n")

    def abandon(self) -> None:
        os._exit(3)


async def write(directory: Path) -> None:
    journal = Journal(directory, 1)
    number = 0
    while True:
        for _ in range(7):
            number += 1
            record = Announce(number, bytes(16), bytes(16), bytes(20), Event.REGULAR, 0, 0, 0, bytes(4), 1, 0)
            journal.append(pack(record), Sayer(), b"%d" % number)
        await asyncio.sleep(0.0005)
        if number % 210 == 0:
            await journal.rotate()


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1])))
