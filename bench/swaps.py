"""What readers feel of read tables that are exchanged under them; `roll_back` is a swap without a rebuild.

Readers are processes that rest a millisecond after each read: what a read waits for is the swap, not another reader.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from typing import NamedTuple

import psycopg

from runtime.platform import Platform
from runtime.projection import Projection
from runtime.rebuild import rebuild, roll_back
from runtime.roles import APP_ROLE

READERS = 3
REST_S = 0.001
PAUSE_S = 0.1


class Reads(NamedTuple):
    """Milliseconds that each took, and how many failed."""

    took: list[float]
    errors: int


def measure_swaps(platform: Platform, projection: Projection, count: int) -> None:
    """Prints what reads take while tables are exchanged so many times, and what they take otherwise."""
    rebuild(platform, projection)
    took = list[float]()

    def swap() -> None:
        began = time.perf_counter()
        roll_back(platform, projection)
        took.append((time.perf_counter() - began) * 1000)

    with _readers(platform.settings.database.url, projection.tables[0]) as pipes:
        quiet = _read_while(pipes, count, lambda: None)
        swapped = _read_while(pipes, count, swap)
    print(
        f"{count} swaps of {len(projection.tables)} tables under {READERS} readers: {swapped.errors} errors in"
        f" {len(swapped.took):,} reads, which take {_spread(swapped)}; without swaps {_spread(quiet)};"
        f" a swap {statistics.median(took):.1f} ms"
    )


@contextmanager
def _readers(url: str, table: str) -> Iterator[list[Pipe]]:
    context = get_context("spawn")
    pairs = [context.Pipe() for _ in range(READERS)]
    processes = [context.Process(target=_read, args=(theirs, url, table)) for _, theirs in pairs]
    for process in processes:
        process.start()
    ours = [pipe for pipe, _ in pairs]
    try:
        yield ours
    finally:
        for pipe in ours:
            pipe.send(False)
        for process in processes:
            process.join()


def _read_while(pipes: list[Pipe], count: int, work: Callable[[], None]) -> Reads:
    """What reads take while `work` is done so many times, with a pause after each."""
    for pipe in pipes:
        pipe.send(True)
        pipe.recv()  # it has begun
    for _ in range(count):
        work()
        time.sleep(PAUSE_S)
    for pipe in pipes:
        pipe.send(True)
    reads: list[Reads] = [pipe.recv() for pipe in pipes]
    return Reads(sorted(one for each in reads for one in each.took), sum(each.errors for each in reads))


def _read(pipe: Pipe, url: str, table: str) -> None:
    """One reader: from a word to the next one, until it is told that there are no more."""
    query = f"SELECT count(*) FROM (SELECT FROM read.{table} LIMIT 100) t"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"SET ROLE {APP_ROLE}")
        while pipe.recv():
            took, errors = list[float](), 0
            pipe.send(True)
            while not pipe.poll():
                began = time.perf_counter()
                try:
                    connection.execute(query).fetchone()
                except psycopg.Error:
                    errors += 1
                took.append((time.perf_counter() - began) * 1000)
                time.sleep(REST_S)
            pipe.recv()
            pipe.send(Reads(took, errors))


def _spread(reads: Reads) -> str:
    return f"at most {reads.took[-1]:.1f} ms (p99.9 {reads.took[int(len(reads.took) * 0.999)]:.1f} ms)"
