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

from domain.errors import NotFound
from runtime.facts import FactLog
from runtime.platform import Platform
from runtime.projection import Projection
from runtime.rebuild.compare import TableCheck, compare
from runtime.rebuild.copies import run
from runtime.rebuild.errors import RebuildFailed
from runtime.rebuild.overlay import Overlay
from runtime.rebuild.runs import Run
from runtime.rebuild.shadow import Shadow, Told, alone, hold_follower, live_position
from runtime.rebuild.swap import patiently
from runtime.roles import APP_ROLE

#: What says of a schema that it is one of these and may be dropped.
MARK = "made by tracker projections: "
_COMMENT = "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s"
_NAME = re.compile(r"(?!pg_|rebuild_|standby_|aside_|stream_|sample_)[a-z][a-z0-9_]{0,39}")


class BadSchema(RebuildFailed):
    """The schema cannot be made."""


class NoSuchSchema(NotFound):
    """There is no schema of this name that was made here."""

    code = "not_found"


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


def fill_past(platform: Platform, projection: Projection, schema: str, position: int) -> None:
    """The tables of one projection as of a position, in a schema that others may share; a run like a rebuild, so that
    it can be watched, steered and gone on with. Raises `RebuildRunning`, `BadSchema`, `RebuildFailed`."""
    with (
        platform.projector_pool.connection() as connection,
        alone(connection, projection.name),
        Run.begin(connection, projection, "past", schema, ordered=True) as work,
    ):
        _share_schema(connection, schema, f"as of position {position}")
        shadow = Shadow(platform, projection, connection, schema, work.moved, work.keep)
        with shadow.opened(work.made):
            shadow.fill(lambda: position)
            shadow.make_indexes()
            _let_read(connection, schema, projection, APP_ROLE)


def check_new(connection: Connection[Any], schema: str) -> None:
    """Raises `BadSchema` unless such tables may be put into a schema of this name: a new one, or one of these."""
    if not _NAME.fullmatch(schema):
        raise BadSchema(f"{schema!r} is no name for such a schema: small letters, digits and _")
    row = connection.execute(_COMMENT, (schema,)).fetchone()
    if row and not str(row[0]).startswith(MARK):
        raise BadSchema(f"there is a schema {schema!r}: choose another name")


def check_reached(connection: Connection[Any], position: int) -> None:
    """Raises `BadSchema` for a position that the log has not reached."""
    if connection.execute("SELECT es.safe_position() >= %s", (position,)).fetchone() != (True,):
        raise BadSchema(f"there is no position {position} yet")


def schemas(connection: Connection[Any]) -> dict[str, str]:
    """The schemas that were made here, each with what it shows."""
    rows = connection.execute(
        "SELECT nspname, obj_description(oid, 'pg_namespace') FROM pg_namespace"
        " WHERE obj_description(oid, 'pg_namespace') LIKE %s ORDER BY 1",
        (MARK + "%",),
    ).fetchall()
    return {name: comment.removeprefix(MARK) for name, comment in rows}


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
            checks = dict[str, list[TableCheck]]()
            for projection in projections:
                shadow = Shadow(platform, projection, connection, schema, told(projection.name))
                checks[projection.name] = _what_if(platform, shadow, overlay, examples)
                _let_read(connection, schema, projection, reader)
            return checks


def drop_schema(platform: Platform, schema: str) -> None:
    """Remove what one of the above made; raises `NoSuchSchema` for any other schema."""
    with platform.projector_pool.connection() as connection, _unhurried(connection):
        row = connection.execute(_COMMENT, (schema,)).fetchone()
        if row is None or not str(row[0]).startswith(MARK):
            raise NoSuchSchema("no schema of this name was made here")
        run(connection, "DROP SCHEMA {} CASCADE", schema)


def position_at(platform: Platform, connection: Connection[Any], moment: datetime) -> int:
    """The position before the first event that was decided after this moment, or that of the last event."""
    safe = FactLog(platform.history).safe_position(connection)
    row = connection.execute(
        "SELECT min(position) - 1 FROM es.event WHERE position <= %s"
        " AND (convert_from(data, 'UTF8')::jsonb ->> 'timestamp')::timestamptz > %s",
        (safe, moment),
    ).fetchone()
    archive = platform.history.archive
    old = archive.first_after(connection, moment) if archive else None
    if old is not None:
        return old - 1
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
            _make_schema(connection, schema, what, reader)
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


def _share_schema(connection: Connection[Any], schema: str, what: str) -> None:
    """The schema, made by whichever run of those that share it comes first."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (schema,))
        check_new(connection, schema)
        if connection.execute(_COMMENT, (schema,)).fetchone() is None:
            _make_schema(connection, schema, what, APP_ROLE)


def _make_schema(connection: Connection[Any], schema: str, what: str, reader: str) -> None:
    run(connection, "CREATE SCHEMA {}", schema)
    comment = sql.SQL("COMMENT ON SCHEMA {} IS {}")
    connection.execute(comment.format(sql.Identifier(schema), sql.Literal(MARK + what)))
    run(connection, "GRANT USAGE ON SCHEMA {} TO {}", schema, reader)


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
