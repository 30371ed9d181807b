"""Copies of read tables that show somebody who is erased: they go, whatever they were kept for."""

from __future__ import annotations

from typing import Any

from psycopg import Connection

from runtime.rebuild.copies import run
from runtime.rebuild.past import MARK
from runtime.rebuild.shadow import LOCK_CLASS
from runtime.rebuild.swap import name_of_before


def drop_copies(connection: Connection[Any]) -> int:
    """Remove every schema with read tables of another moment, and what a killed rebuild or check has left; returns how
    many.

    One that runs goes on: it has yet to read that the person is erased.
    """
    rows = connection.execute(
        "SELECT nspname FROM pg_namespace WHERE nspname ^@ 'rebuild_' OR nspname ^@ 'sample_'"
        " OR obj_description(oid, 'pg_namespace') ^@ %s",
        (MARK,),
    ).fetchall()
    return sum(_dropped(connection, schema) for (schema,) in rows) + drop_standbys(connection)


def drop_standbys(connection: Connection[Any], before: int | None = None) -> int:
    """Remove the tables of before the last rebuilds, all or those as of an earlier position; returns how many."""
    count = 0
    with connection.transaction():
        rows = connection.execute(
            "DELETE FROM es.standby WHERE %(before)s::bigint IS NULL OR position < %(before)s RETURNING name",
            {"before": before},
        ).fetchall()
        for (name,) in rows:
            run(connection, "DROP SCHEMA IF EXISTS {} CASCADE", f"standby_{name}")
            _drop_those_on_their_way(connection, name)
            count += 1
    return count


def _drop_those_on_their_way(connection: Connection[Any], name: str) -> None:
    """Tables that a process which died has not brought to the standby."""
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'read'::regnamespace AND relkind = 'r'"
        " AND right(relname, length(%(end)s)) = %(end)s",
        {"end": name_of_before("", name)},
    ).fetchall()
    for (table,) in rows:
        run(connection, "DROP TABLE read.{}", table)


def _dropped(connection: Connection[Any], schema: str) -> bool:
    with connection.transaction():
        key = (LOCK_CLASS, _held_as(schema))
        free = connection.execute("SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", key).fetchone()
        if free == (True,):
            run(connection, "DROP SCHEMA IF EXISTS {} CASCADE", schema)
        return free == (True,)


def _held_as(schema: str) -> str:
    """The name under which a process that fills the schema is alone."""
    if schema.startswith("sample_"):
        return "sample " + schema.removeprefix("sample_")
    return schema.removeprefix("rebuild_")
