"""Read tables that nobody serves, in a schema of their own: the site as of a moment, or with other events than it had.

The same handlers make them. Nothing outside of the schema is written: no policy answers, and the log stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from psycopg import Connection, sql
from psycopg.errors import DuplicateSchema, UndefinedObject

from runtime.facts import FactLog
from runtime.platform import APP_ROLE, Platform
from runtime.projection import Projection
from runtime.rebuild.compare import TableCheck, compare
from runtime.rebuild.copies import run
from runtime.rebuild.errors import RebuildFailed
from runtime.rebuild.overlay import Overlay
from runtime.rebuild.shadow import Shadow, Told, hold_follower, live_position
from runtime.rebuild.swap import patiently

#: What says of a schema that it is one of these and may be dropped.
MARK = "made by tracker projections: "
_NAME = re.compile(r"(?!pg_|rebuild_|standby_)[a-z][a-z0-9_]{0,39}")


class BadSchema(RebuildFailed):
    """The schema cannot be made, or it is none of ours."""


def build_past(
    platform: Platform,
    projections: Sequence[Projection],
    schema: str,
    moment: datetime,
    *,
    reader: str = APP_ROLE,
    told: Callable[[str], Told] = lambda name: lambda *_: None,
) -> int:
    """The tables of these projections as they were at that moment, readable by `reader`; returns the position.

    That is the last one before the first event that was decided later. Raises `BadSchema`, `RebuildFailed`.
    """
    with platform.projector_pool.connection() as connection, _unhurried(connection):
        position = position_at(platform, connection, moment)
        with _schema(connection, schema, f"as of {moment.isoformat()}, position {position}", reader):
            for projection in projections:
                shadow = Shadow(platform, projection, connection, schema, told(projection.name))
                shadow.make_tables()
                shadow.fill(lambda: position)
                shadow.make_indexes()
                _let_read(connection, schema, projection, reader)
        return position


def build_what_if(
    platform: Platform,
    projections: Sequence[Projection],
    schema: str,
    overlay: Overlay,
    *,
    reader: str = APP_ROLE,
    examples: int = 0,
    told: Callable[[str], Told] = lambda name: lambda *_: None,
) -> dict[str, list[TableCheck]]:
    """The tables of these projections as they were with the overlay, compared with the live ones, by projection.

    Each stands still while it is compared. Raises `BadSchema`, `RebuildFailed`.
    """
    with platform.projector_pool.connection() as connection, _unhurried(connection):
        with _schema(connection, schema, "what if", reader):
            checks = {}
            for projection in projections:
                shadow = Shadow(platform, projection, connection, schema, told(projection.name))
                checks[projection.name] = _what_if(platform, shadow, overlay, examples)
                _let_read(connection, schema, projection, reader)
            return checks


def drop_schema(platform: Platform, schema: str) -> None:
    """Remove what one of the above made; raises `BadSchema` for any other schema."""
    with platform.projector_pool.connection() as connection, _unhurried(connection):
        row = connection.execute(
            "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s", (schema,)
        ).fetchone()
        if row is None or not str(row[0]).startswith(MARK):
            raise BadSchema(f"{schema!r} is no schema that was made here")
        run(connection, "DROP SCHEMA {} CASCADE", schema)


def position_at(platform: Platform, connection: Connection[Any], moment: datetime) -> int:
    """The position before the first event that was decided after this moment, or that of the last event."""
    safe = FactLog(platform.history).safe_position(connection)
    row = connection.execute(
        "SELECT min(position) - 1 FROM es.event WHERE position <= %s"
        " AND (convert_from(data, 'UTF8')::jsonb ->> 'timestamp')::timestamptz > %s",
        (safe, moment),
    ).fetchone()
    return safe if row is None or row[0] is None else int(row[0])


def _what_if(platform: Platform, shadow: Shadow, overlay: Overlay, examples: int) -> list[TableCheck]:
    connection, name = shadow.connection, shadow.projection.name
    shadow.without = overlay.without
    shadow.make_tables()
    shadow.fill(lambda: live_position(connection, name))
    shadow.make_indexes()
    return patiently(lambda: _compare_held(platform, shadow, overlay, examples), name)


def _compare_held(platform: Platform, shadow: Shadow, overlay: Overlay, examples: int) -> list[TableCheck]:
    connection, projection = shadow.connection, shadow.projection
    with shadow.transaction():
        shadow.fill_rest(hold_follower(connection, projection.name))
        facts = overlay.facts(platform.history, connection, projection.topics, shadow.position)
        if facts:
            shadow.handle(facts)
        return [compare(connection, table, shadow.schema, examples) for table in projection.tables]


@contextmanager
def _schema(connection: Connection[Any], schema: str, what: str, reader: str) -> Iterator[None]:
    """A new schema that is gone again when what is to fill it fails."""
    if not _NAME.fullmatch(schema):
        raise BadSchema(f"{schema!r} is no name for such a schema: small letters, digits and _")
    try:
        with connection.transaction():
            run(connection, "CREATE SCHEMA {}", schema)
            comment = sql.SQL("COMMENT ON SCHEMA {} IS {}")
            connection.execute(comment.format(sql.Identifier(schema), sql.Literal(MARK + what)))
            run(connection, "GRANT USAGE ON SCHEMA {} TO {}", schema, reader)
    except DuplicateSchema:
        raise BadSchema(f"there is a schema {schema!r}: drop it or choose another name") from None
    except UndefinedObject:
        raise BadSchema(f"there is no role {reader!r}") from None
    try:
        yield
    except BaseException:
        if not connection.closed:
            run(connection, "DROP SCHEMA {} CASCADE", schema)
        raise


def _let_read(connection: Connection[Any], schema: str, projection: Projection, reader: str) -> None:
    for table in projection.tables:
        run(connection, "GRANT SELECT ON {}.{} TO {}", schema, table, reader)


@contextmanager
def _unhurried(connection: Connection[Any]) -> Iterator[None]:
    connection.execute("SET statement_timeout = 0")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SET statement_timeout = '30s'")
