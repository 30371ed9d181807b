"""Rebuild, verify, roll back: what an operator asks of one projection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg import sql

from runtime.platform import Platform
from runtime.projection import Projection
from runtime.rebuild.compare import TableCheck, compare, count_rows
from runtime.rebuild.errors import RebuildRunning
from runtime.rebuild.runs import Run, give_up, wish
from runtime.rebuild.shadow import Shadow, alone, copies_of, hold_follower, live_position, remove_copies
from runtime.rebuild.swap import drop_standby, patiently, settle, swap_back, swap_in

Progress = Callable[[int, int], None]


def _silent(position: int, head: int) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild made; `facts` is how many it read, `before` how many of them a run that was interrupted had, and
    `took_s` how long the rest took."""

    name: str
    tables: int
    rows: int
    facts: int
    before: int = 0
    took_s: float = 0.0


def rebuild(
    platform: Platform, projection: Projection, progress: Progress = _silent, *, ordered: bool = False
) -> Rebuilt:
    """Make the tables of a projection anew and swap them in; raises `RebuildRunning` or `RebuildFailed`.

    `progress(position, head)` is called after each batch. The tables of before stay as the standby. A run that was
    interrupted is gone on with, if its code was this.
    """
    began = time.monotonic()
    with _shadow(platform, projection, "rebuild", progress, ordered) as (run, shadow):
        connection = shadow.connection
        shadow.fill(lambda: shadow.log.safe_position(connection))
        shadow.make_indexes()
        shadow.fill(lambda: shadow.log.safe_position(connection))  # what came while they were made
        patiently(lambda: swap_in(shadow, run.swapped), projection.name)
        rows = sum(count_rows(connection, sql.Identifier("read", table)) for table in projection.tables)
        took_s = time.monotonic() - began
        return Rebuilt(projection.name, len(projection.tables), rows, shadow.facts, run.made.facts, took_s)


def verify(
    platform: Platform,
    projection: Projection,
    progress: Progress = _silent,
    *,
    examples: int = 0,
    ordered: bool = False,
) -> list[TableCheck]:
    """Compare the live tables with ones made anew; raises `RebuildRunning` or `RebuildFailed`.

    The projection stands still while rows are compared, so that both are of the same position. `examples` is how many
    differing rows of each table are named.
    """
    with _shadow(platform, projection, "verify", progress, ordered) as (run, shadow):
        shadow.fill(lambda: live_position(shadow.connection, projection.name))
        checks = patiently(lambda: _compare_held(shadow, examples), projection.name)
        run.found(checks)
        return checks


def cancel(platform: Platform, projection: Projection) -> None:
    """End a rebuild or verification, or let nobody go on with it; the live tables stay as they are. Raises `NoRun`."""
    with platform.projector_pool.connection() as connection:
        try:
            with alone(connection, projection.name):
                schema = give_up(connection, projection.name)
                remove_copies(connection, projection, schema or copies_of(projection))
        except RebuildRunning:
            wish(connection, projection.name, "cancel")


def roll_back(platform: Platform, projection: Projection) -> int:
    """Put the tables of before the last rebuild back; returns the position from which they are brought up to date.

    Raises `RebuildRunning`, `NoStandby`, `RebuildFailed`. A second call undoes the first.
    """
    with platform.projector_pool.connection() as connection, alone(connection, projection.name):
        return patiently(lambda: swap_back(connection, projection), projection.name)


def drop(platform: Platform, projection: Projection) -> bool:
    """Remove the standby; returns whether there was one. Raises `RebuildRunning`."""
    with platform.projector_pool.connection() as connection, alone(connection, projection.name):
        return drop_standby(connection, projection)


@contextmanager
def _shadow(
    platform: Platform, projection: Projection, kind: str, progress: Progress, ordered: bool
) -> Iterator[tuple[Run, Shadow]]:
    """A run of this kind and the copies that it fills, which are gone in the end."""
    schema = copies_of(projection)
    with platform.projector_pool.connection() as connection, alone(connection, projection.name):
        settle(connection, projection)  # before they are copied
        with Run.begin(connection, projection, kind, ordered=ordered) as run:

            def told(position: int, target: int, facts: int) -> None:
                progress(position, target)
                run.moved(position, target, facts)

            shadow = Shadow(platform, projection, connection, schema, told, run.keep)
            with shadow.opened(run.made):
                yield run, shadow
                remove_copies(connection, projection, schema)


def _compare_held(shadow: Shadow, examples: int) -> list[TableCheck]:
    connection, projection = shadow.connection, shadow.projection
    with shadow.transaction():
        connection.execute("SET LOCAL statement_timeout = 0")
        shadow.fill_rest(hold_follower(connection, projection.name))
        return [compare(connection, table, shadow.schema, examples) for table in projection.tables]
