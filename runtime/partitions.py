"""The partitions of the log: so many positions each, made ahead of the appends and never by one."""

from __future__ import annotations

from typing import Any

from psycopg import Connection

#: Positions of a partition.
SIZE = 20_000_000
#: How many there are beyond the one that is written to.
AHEAD = 2


def make_ahead(connection: Connection[Any]) -> None:
    """As a worker does from time to time, and whoever has moved the sequence of positions."""
    if are_there(connection):
        connection.execute("SELECT es.maintain_events(%s, %s)", (SIZE, AHEAD))


def cover(connection: Connection[Any], upto: int) -> None:
    """Partitions for all positions up to that one, made by the owner."""
    if are_there(connection):
        connection.execute("SELECT es.cover_events(0, %s, %s)", (upto, SIZE))


def are_there(connection: Connection[Any]) -> bool:
    """Whether the schema is one with partitions: a restore makes that of its backup."""
    return connection.execute("SELECT to_regclass('es.event_partition')").fetchone() != (None,)
