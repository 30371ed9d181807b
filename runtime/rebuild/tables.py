"""Rebuild, verify, roll back: what an operator asks of one projection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runtime.platform import Platform
from runtime.projection import Projection
from runtime.rebuild.compare import TableCheck, compare, count_rows
from runtime.rebuild.runs import Run
from runtime.rebuild.shadow import Shadow, Told, alone, hold_follower, live_position
from runtime.rebuild.swap import drop_standby, patiently, swap_back, swap_in

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild made; `facts` is how many it read."""

    name: str
    tables: int
    rows: int
    facts: int


def rebuild(platform: Platform, projection: Projection, progress: Progress = lambda done, total: None) -> Rebuilt:
    """Make the tables of a projection anew and swap them in; raises `RebuildRunning` or `RebuildFailed`.

    `progress(position, head)` is called after each batch. The tables of before stay as the standby.
    """
    name = projection.name
    with platform.projector_pool.connection() as connection, alone(connection, name):
        with (
            Run.begin(connection, name, "rebuild") as run,
            Shadow.open(
                platform,
                projection,
                connection,
                _telling(run, progress),
            ) as shadow,
        ):
            shadow.fill(lambda: shadow.log.safe_position(connection))
            shadow.make_indexes()
            shadow.fill(lambda: shadow.log.safe_position(connection))  # what came while they were made
            patiently(lambda: swap_in(shadow), name)
            rows = sum(count_rows(connection, "read", table) for table in projection.tables)
            return Rebuilt(name, len(projection.tables), rows, shadow.facts)


def verify(
    platform: Platform,
    projection: Projection,
    progress: Progress = lambda done, total: None,
    *,
    examples: int = 0,
) -> list[TableCheck]:
    """Compare the live tables with ones made anew; raises `RebuildRunning` or `RebuildFailed`.

    The projection stands still while rows are compared, so that both are of the same position. `examples` is how many
    differing rows of each table are named.
    """
    name = projection.name
    with platform.projector_pool.connection() as connection, alone(connection, name):
        with (
            Run.begin(connection, name, "verify") as run,
            Shadow.open(
                platform,
                projection,
                connection,
                _telling(run, progress),
            ) as shadow,
        ):
            shadow.fill(lambda: live_position(connection, name))
            checks = patiently(lambda: _compare_held(shadow, examples), name)
            run.found(sum(check.differences for check in checks))
            return checks


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


def _telling(run: Run, progress: Progress) -> Told:
    def told(position: int, target: int, facts: int) -> None:
        progress(position, target)
        run.moved(position, target, facts)

    return told


def _compare_held(shadow: Shadow, examples: int) -> list[TableCheck]:
    connection, projection = shadow.connection, shadow.projection
    with shadow.transaction():
        connection.execute("SET LOCAL statement_timeout = 0")
        shadow.fill_rest(hold_follower(connection, projection.name))
        return [compare(connection, table, shadow.schema, examples) for table in projection.tables]
