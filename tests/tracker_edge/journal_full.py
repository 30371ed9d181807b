"""A journal whose disk is full for a while: a limit on the size of files, which this process may lift again.

Run by itself, since the limit is of the whole process.
"""

from __future__ import annotations

import asyncio
import math
import resource
import sys
from pathlib import Path

from tests.tracker_edge.edges import ANN, get, running, target
from tests.tracker_edge.test_journal import HEAD_BYTES, Client, numbers, row
from tracker_edge.journal import Journal, writer
from tracker_edge.process import say_ready


def limit(size: int | None) -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


async def until_full(journal: Journal) -> None:
    while not journal.full:
        await asyncio.sleep(0.001)


async def begins(directory: Path) -> None:
    """An edge that starts on a full disk refuses, and serves when there is room."""
    limit(HEAD_BYTES // 2)
    said = list[bool]()
    async with running(directory) as edge:
        saying = asyncio.create_task(say_ready(edge, lambda: said.append(edge.journal.full)))
        answer = await get(edge.ports[0], target(1, ANN))
        assert answer.startswith(b"d14:failure reason"), answer
        assert b"8:intervali" in answer
        assert (edge.journal.full, edge.journal.begun.is_set(), edge.failed.is_set()) == (True, False, False)
        limit(None)
        assert said == []
        await saying
        assert said == [False]
        while edge.tracker.load.refuses:
            await asyncio.sleep(0.05)
        assert b"5:peers" in await get(edge.ports[0], target(1, ANN))
    limit(HEAD_BYTES // 2)
    async with running(directory / "other") as edge:  # it ends as it began
        assert edge.journal.waiting_s == math.inf
    limit(None)


async def torn(directory: Path) -> None:
    """A crash in the middle of a rotation, and no room after it: what was acknowledged comes first."""
    journal, client = Journal(directory, 1), Client()
    journal.append(row(1), client, b"1")
    await journal.settled()
    await journal.close()
    (directory / f"{2:016d}.journal").write_bytes(b"announ")
    limit(HEAD_BYTES // 2)
    journal = Journal(directory, 1)
    journal.append(row(2), client, b"2")
    await asyncio.sleep(1.5 * writer.NO_ROOM_S)
    assert (client.replies, journal.full, journal.closed) == ([b"1"], True, [1])
    limit(None)
    await journal.settled()
    assert client.replies == [b"1", b"2"]
    await journal.close()
    assert numbers(directory) == [1, 2]


async def run(directory: Path) -> None:
    await begins(directory / "begins")
    await torn(directory / "torn")
    directory /= "goes on"
    journal, client = Journal(directory, 1), Client()
    journal.append(row(1), client, b"1")
    await journal.settled()
    stored = journal.depth_bytes
    limit(stored + len(row(2)) // 2)  # half of what comes next has room
    journal.append(row(2), client, b"2")
    await until_full(journal)
    journal.append(row(3), client, b"3")
    await asyncio.sleep(2.5 * writer.NO_ROOM_S)
    assert journal.full
    assert journal.waiting_s > 2 * writer.NO_ROOM_S
    assert (client.replies, client.abandoned) == ([b"1"], 0)
    assert numbers(directory) == [1]
    assert journal.depth_bytes == stored == sum(file.stat().st_size for file in directory.glob("*.journal"))
    limit(None)
    await journal.settled()
    assert (client.replies, client.abandoned, journal.full) == ([b"1", b"2", b"3"], 0, False)
    assert numbers(directory) == [1, 2, 3]

    limit(HEAD_BYTES // 2)  # no room for the next file
    rotation = asyncio.create_task(journal.rotate())
    await until_full(journal)
    assert [file.name for file in directory.glob("*.journal")] == ["0000000000000001.journal"]
    limit(None)
    await rotation
    assert (journal.closed, journal.open_seq) == ([1], 2)

    limit(HEAD_BYTES)  # it ends while the disk is full: nobody is told that this was kept
    journal.append(row(4), client, b"4")
    await until_full(journal)
    await asyncio.wait_for(journal.close(), 5)
    assert (client.replies, client.abandoned) == ([b"1", b"2", b"3"], 1)
    limit(None)
    assert numbers(directory) == [1, 2, 3]


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1])))
    sys.stdout.write("kept what was answered, answered what was kept\n")
