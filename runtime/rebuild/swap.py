"""Tables exchanged in one transaction: new ones for live ones, or the standby for what took its place.

Readers wait for the exchange alone: the locks are asked for briefly, and again, rather than waited for. What takes the
place of a table comes beside it before that, under another name. Under the locks each live table gets a name of before
and each new one its own; the way of the old ones to the standby, and the names of indexes, come when readers are served
again. Should a process die between these, whoever comes next does the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from psycopg import Connection
from psycopg.errors import DeadlockDetected, LockNotAvailable
from psycopg.types.json import Jsonb

from runtime.projection import Projection
from runtime.rebuild.copies import is_alike, run
from runtime.rebuild.errors import NoStandby, RebuildFailed
from runtime.rebuild.shadow import Shadow, hold_follower

#: At the end of a name that is another's until readers are served again, as `es.take_places` knows it.
BESIDE = "~"
#: Readers that come meanwhile stand behind us for this long at most.
LOCK_WAIT_MS = 5
#: So often the tables are asked for while the projection is held, and the projection is held so often.
LOCK_ATTEMPTS, LOCK_PAUSE_S = 25, 0.02
HOLD_ATTEMPTS, HOLD_PAUSE_S = 15, 0.5

#: What the live tables are without is kept beside them, and what the standby is without is to be replayed again.
_EXCHANGE_LETTERS = """
WITH mine AS (DELETE FROM es.dead_letter WHERE follower = %(name)s RETURNING *),
old AS (SELECT letters FROM es.standby WHERE name = %(name)s),
kept AS (
  INSERT INTO es.standby (name, position, letters)
  SELECT %(name)s, %(position)s, coalesce((SELECT jsonb_agg(to_jsonb(mine)) FROM mine), '[]')
  ON CONFLICT (name) DO UPDATE SET position = excluded.position, letters = excluded.letters, made_at = now())
SELECT old.letters FROM old
"""
_GIVE_LETTERS = "INSERT INTO es.dead_letter SELECT * FROM jsonb_populate_recordset(NULL::es.dead_letter, %s)"

T = TypeVar("T")


def patiently(step: Callable[[], T], name: str) -> T:
    """Try again while others hold the locks that a step needs; raises `RebuildFailed` in the end."""
    for _ in range(HOLD_ATTEMPTS):
        try:
            return step()
        except (LockNotAvailable, DeadlockDetected):
            time.sleep(HOLD_PAUSE_S)
    raise RebuildFailed(f"{name}: long queries hold its tables, try again later")


def swap_in(shadow: Shadow, swapped: Callable[[], None]) -> None:
    """Put the copies in the place of the live tables, which become the standby; `swapped` is called in the same
    transaction."""
    connection, projection = shadow.connection, shadow.projection
    drop_standby(connection, projection)
    with shadow.transaction():
        connection.execute("SET LOCAL lock_timeout = '2s'")
        before = hold_follower(connection, projection.name)
        shadow.fill_rest(shadow.log.safe_position(connection))
        run(connection, "CREATE SCHEMA {}", standby_of(projection))
        swapped()
        _exchange(connection, projection, shadow.schema, before, shadow.position)
    settle(connection, projection)


def swap_back(connection: Connection[Any], projection: Projection) -> int:
    """Put the standby in the place of the live tables and these in its; returns its position, from which it goes on.

    Raises `NoStandby`.
    """
    standby, aside = standby_of(projection), f"aside_{projection.name}"
    settle(connection, projection)
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '2s'")
        live = hold_follower(connection, projection.name)
        found = connection.execute("SELECT position FROM es.standby WHERE name = %s", (projection.name,)).fetchone()
        if found is None or not all(is_alike(connection, standby, table) for table in projection.tables):
            raise NoStandby(f"{projection.name} has no standby of the shape that its tables have now")
        run(connection, "DROP SCHEMA IF EXISTS {} CASCADE", aside)
        run(connection, "ALTER SCHEMA {} RENAME TO {}", standby, aside)
        run(connection, "CREATE SCHEMA {}", standby)
        _exchange(connection, projection, aside, live, int(found[0]))
    settle(connection, projection)
    run(connection, "DROP SCHEMA {}", aside)
    return int(found[0])


def drop_standby(connection: Connection[Any], projection: Projection) -> bool:
    """Give back the room that the tables of before take; returns whether there were any."""
    settle(connection, projection)
    with connection.transaction():
        run(connection, "DROP SCHEMA IF EXISTS {} CASCADE", standby_of(projection))
        return connection.execute("DELETE FROM es.standby WHERE name = %s", (projection.name,)).rowcount > 0


def standby_of(projection: Projection) -> str:
    """The schema where its tables of before the last rebuild are."""
    return f"standby_{projection.name}"


def _exchange(connection: Connection[Any], projection: Projection, source: str, before: int, after: int) -> None:
    """What is live goes, `source` takes its place, positions with them; last in its transaction, since readers wait,
    and followed by `settle`."""
    name = projection.name
    letters = connection.execute(_EXCHANGE_LETTERS, {"name": name, "position": before}).fetchone()
    if letters and letters[0]:
        connection.execute(_GIVE_LETTERS, (Jsonb(letters[0]),))
    connection.execute(
        "UPDATE es.follower SET position = %s, state = 'running', error = NULL, failed_position = NULL,"
        " moved_at = clock_timestamp() WHERE name = %s",
        (after, name),
    )
    _bring_beside(connection, projection, source)
    _take_places(connection, projection)


def _bring_beside(connection: Connection[Any], projection: Projection, source: str) -> None:
    """Put the tables of `source` into `read`, they and their indexes under names that are free."""
    for table in projection.tables:
        for index in _indexes(connection, source, table):
            run(connection, "ALTER INDEX {}.{} RENAME TO {}", source, index, index + BESIDE)
        run(connection, "ALTER TABLE {}.{} RENAME TO {}", source, table, table + BESIDE)
        run(connection, "ALTER TABLE {}.{} SET SCHEMA read", source, table + BESIDE)


def name_of_before(table: str, projection: str) -> str:
    """What a table that was live is called in `read` on its way to the standby, as `es.take_places` knows it."""
    return f"{table}-{projection}"


def settle(connection: Connection[Any], projection: Projection) -> None:
    """Bring the tables that were live to the standby, and call the indexes of those that are what migrations call them;
    it locks out nobody who reads or writes."""
    standby = standby_of(projection)
    with connection.transaction():
        # Against an erasure that removes the standby meanwhile.
        connection.execute("SELECT FROM es.standby WHERE name = %s FOR UPDATE", (projection.name,))
        for table in projection.tables:
            before = name_of_before(table, projection.name)
            if connection.execute("SELECT to_regclass(format('read.%%I', %s::text))", (before,)).fetchone() != (None,):
                run(connection, "ALTER TABLE read.{} SET SCHEMA {}", before, standby)
                run(connection, "ALTER TABLE {}.{} RENAME TO {}", standby, before, table)
    for table in projection.tables:
        for index in _indexes(connection, "read", table):
            if index.endswith(BESIDE):
                run(connection, "ALTER INDEX read.{} RENAME TO {}", index, index.removesuffix(BESIDE))


def _indexes(connection: Connection[Any], schema: str, table: str) -> list[str]:
    rows = connection.execute(
        "SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid"
        " WHERE x.indrelid = format('%%I.%%I', %s::text, %s::text)::regclass ORDER BY i.relname",
        (schema, table),
    ).fetchall()
    return [str(name) for (name,) in rows]


def _take_places(connection: Connection[Any], projection: Projection) -> None:
    query, params = "SELECT es.take_places(%s, %s, %s)", (list(projection.tables), projection.name, LOCK_WAIT_MS)
    for _ in range(LOCK_ATTEMPTS):
        if connection.execute(query, params).fetchone() == (True,):
            return
        time.sleep(LOCK_PAUSE_S)
    raise LockNotAvailable(f"the tables of {projection.name} are busy")
