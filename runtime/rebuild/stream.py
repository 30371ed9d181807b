"""The rows of one stream worked out again, without touching any other: what takes minutes for all takes milliseconds
for a torrent or a case whose rows are in doubt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import Connection, sql

from domain.errors import Conflict, NotFound
from runtime.platform import Platform
from runtime.projection import Projection
from runtime.rebuild.copies import columns_of, run
from runtime.rebuild.shadow import Shadow, hold_follower
from runtime.rebuild.swap import patiently


class NotByStream(Conflict):
    """Rows of the projection come from several streams each, so those of one stream cannot be told apart."""


class NothingOfStream(NotFound):
    """The projection reads no event of this stream."""

    code = "not_found"


@dataclass(frozen=True, slots=True)
class StreamRebuilt:
    """How many facts of the stream were read, and how many rows they make."""

    facts: int
    rows: int


def rebuild_stream(platform: Platform, projection: Projection, stream_id: UUID) -> StreamRebuilt:
    """Work the rows of one stream out again and put them in the place of the live ones, in one transaction in which
    the projection stands still and readers do not wait. What was parked of the stream is in them.

    Raises `NotByStream`, `NothingOfStream`, `RebuildFailed`.
    """
    if projection.stream is None:
        raise NotByStream(f"rows of {projection.name} come from several streams each: rebuild all of it")
    with platform.projector_pool.connection() as connection:
        return patiently(lambda: _in_place(platform, projection, connection, stream_id), projection.name)


def _in_place(
    platform: Platform, projection: Projection, connection: Connection[Any], stream_id: UUID
) -> StreamRebuilt:
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = 0")
        position = hold_follower(connection, projection.name)
        shadow = Shadow(platform, projection, connection, f"stream_{projection.name}")
        facts = shadow.log.of_stream(connection, stream_id, position, projection.topics)
        if not facts:
            raise NothingOfStream(f"{projection.name} has read no event of this stream")
        run(connection, "CREATE SCHEMA {}", shadow.schema)
        shadow.make_tables()
        shadow.handle(facts)
        rows = sum(_exchange_rows(shadow, table, stream_id) for table in projection.tables)
        run(connection, "DROP SCHEMA {} CASCADE", shadow.schema)
        connection.execute(
            "DELETE FROM es.dead_letter WHERE follower = %s AND stream_id = %s AND position <= %s",
            (projection.name, stream_id, position),
        )
    return StreamRebuilt(len(facts), rows)


def _exchange_rows(shadow: Shadow, table: str, stream_id: UUID) -> int:
    """Returns how many rows of the table are the stream's now; raises `NotByStream` when there are others."""
    assert shadow.projection.stream is not None
    names = {
        "live": sql.Identifier("read", table),
        "copy": sql.Identifier(shadow.schema, table),
        "stream": sql.Identifier(shadow.projection.stream),
        "columns": sql.SQL(", ").join(map(sql.Identifier, columns_of(shadow.connection, table))),
    }

    def execute(query: str) -> int:
        return shadow.connection.execute(sql.SQL(query).format(**names), (stream_id,)).rowcount

    if execute("SELECT FROM {copy} WHERE {stream} IS DISTINCT FROM %s LIMIT 1"):
        raise NotByStream(f"events of this stream make rows of others in {table}")
    execute("DELETE FROM {live} WHERE {stream} = %s")
    return execute("INSERT INTO {live} ({columns}) SELECT {columns} FROM {copy} WHERE {stream} = %s")
