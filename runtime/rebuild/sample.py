"""Whether read tables are still what their events say: every night a part of them is worked out again and compared.

Of a projection whose rows are of one stream each, that is the streams of one in 64 parts, another part each night. Of
the others one a night, whole, since nothing less can be worked out: the one whose turn is longest ago.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from psycopg import Connection, sql
from psycopg.rows import class_row

from runtime.platform import Platform
from runtime.projection import Projection
from runtime.rebuild.compare import TableCheck, compare
from runtime.rebuild.copies import run
from runtime.rebuild.errors import RebuildFailed
from runtime.rebuild.runs import MakingWay
from runtime.rebuild.shadow import Shadow, alone, hold_follower, live_position
from runtime.rebuild.swap import patiently

#: `es.event.part` of a stream is its hash modulo this.
PARTS = 64
#: The hour (UTC) from which on a night's checks are due.
NIGHT = time(4, tzinfo=UTC)

_KEEP = """
INSERT INTO es.drift (name, part, rows, differences, error, checked_at) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (name) DO UPDATE SET part = excluded.part, rows = excluded.rows, differences = excluded.differences,
  error = excluded.error, checked_at = excluded.checked_at
"""


@dataclass(frozen=True, slots=True)
class Drift:
    """What the last check of a projection found: `rows` were compared, those of the streams of `part` or all of them.
    `differences` is null when they could not be worked out, and `error` says why."""

    name: str
    part: int | None
    rows: int
    differences: int | None
    error: str | None
    checked_at: datetime


def drifts(connection: Connection[Any]) -> list[Drift]:
    """The last check of each projection that was ever checked."""
    with connection.cursor(row_factory=class_row(Drift)) as cursor:
        cursor.execute("SELECT name, part, rows, differences, error, checked_at FROM es.drift ORDER BY name")
        return cursor.fetchall()


def due(connection: Connection[Any], projections: Sequence[Projection], now: datetime) -> list[Projection]:
    """Those to check this night that have not been checked since it began."""
    night = datetime.combine(now.astimezone(UTC).date(), NIGHT)
    since = night if night <= now else night - timedelta(days=1)
    checked = {drift.name: drift.checked_at for drift in drifts(connection)}
    whole = [projection for projection in projections if projection.stream is None]
    due = [one for one in projections if one.stream and checked.get(one.name, datetime.min.replace(tzinfo=UTC)) < since]
    if not any(checked[one.name] >= since for one in whole if one.name in checked):
        due += sorted(whole, key=lambda one: checked.get(one.name, datetime.min.replace(tzinfo=UTC)))[:1]
    return due


def check_sample(platform: Platform, projection: Projection, now: datetime) -> Drift:
    """Check the next part of a projection, or all of it, and keep what was found; `now` is when.

    Live projections that fall behind go first. Raises `RebuildRunning` when somebody else checks it.
    """
    name, schema = projection.name, f"sample_{projection.name}"
    with platform.projector_pool.connection() as connection, alone(connection, f"sample {name}"):
        part = _next_part(connection, projection)
        shadow = Shadow(platform, projection, connection, schema, MakingWay(connection, name).told)
        shadow.part = part
        run(connection, "DROP SCHEMA IF EXISTS {} CASCADE", schema)
        try:
            run(connection, "CREATE SCHEMA {}", schema)
            checks = _compared(shadow)
            drift = Drift(
                name, part, sum(check.rows for check in checks), sum(check.differences for check in checks), None, now
            )
        except RebuildFailed as error:
            drift = Drift(name, part, 0, None, str(error)[:4000], now)
        finally:
            if not connection.closed:
                run(connection, "DROP SCHEMA IF EXISTS {} CASCADE", schema)
        connection.execute(_KEEP, (name, part, drift.rows, drift.differences, drift.error, now))
    return drift


def _next_part(connection: Connection[Any], projection: Projection) -> int | None:
    if projection.stream is None:
        return None
    row = connection.execute("SELECT part FROM es.drift WHERE name = %s", (projection.name,)).fetchone()
    return 0 if row is None or row[0] is None else (int(row[0]) + 1) % PARTS


def _compared(shadow: Shadow) -> list[TableCheck]:
    connection, name = shadow.connection, shadow.projection.name
    connection.execute("SET statement_timeout = 0")
    with connection.transaction():
        shadow.make_tables()
    shadow.fill(lambda: live_position(connection, name))
    return patiently(lambda: _compare_held(shadow), name)


def _compare_held(shadow: Shadow) -> list[TableCheck]:
    connection, projection = shadow.connection, shadow.projection
    with shadow.transaction():
        shadow.fill_rest(hold_follower(connection, projection.name))
        return [
            compare(connection, table, shadow.schema, live=_rows_of(projection, table, shadow.part))
            for table in projection.tables
        ]


def _rows_of(projection: Projection, table: str, part: int | None) -> sql.Composable:
    """The live rows of the streams of a part, or all."""
    live = sql.Identifier("read", table)
    if part is None or projection.stream is None:
        return live
    return sql.SQL("(SELECT * FROM {} WHERE hashtextextended({}::text, 0) & {} = {})").format(
        live, sql.Identifier(projection.stream), sql.Literal(PARTS - 1), sql.Literal(part)
    )
