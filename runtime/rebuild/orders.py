"""What workers are asked to do to read tables: rows of `es.rebuild` that wait for one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from psycopg import Connection, Cursor

from runtime.platform import Platform
from runtime.projection import Projection
from runtime.rebuild.errors import NoRun, RebuildRunning
from runtime.rebuild.past import fill_past
from runtime.rebuild.runs import HELD
from runtime.rebuild.tables import rebuild, verify

#: Rows of each table that an ordered verification names.
EXAMPLES = 20
#: A run that has not filled one more batch in so many processes ends them.
BEGUN_MAX = 3

_PLACE = f"""
INSERT INTO es.rebuild AS r (name, kind, state, ordered, schema_name, upto)
VALUES (%(name)s, %(kind)s, 'queued', true, %(schema)s, %(upto)s)
ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, state = 'queued', wanted = 'run', ordered = true, begun = 0,
  schema_name = excluded.schema_name, upto = excluded.upto, error = NULL, ended_at = NULL, differences = NULL,
  made = CASE WHEN r.state IN ('running', 'paused') AND r.schema_name IS NOT DISTINCT FROM excluded.schema_name
    THEN r.made ELSE 0 END
WHERE r.state <> 'queued' AND NOT (r.state IN ('running', 'paused') AND (r.ordered OR {HELD}))
"""

_WAITING = f"""
SELECT name FROM es.rebuild r
WHERE ordered AND wanted <> 'pause' AND (state = 'queued' OR (state IN ('running', 'paused') AND NOT {HELD}))
ORDER BY started_at, name
"""

_GIVE_UP = f"""
UPDATE es.rebuild r SET state = 'failed', ended_at = now(), error = 'its process ended ' || begun || ' times beyond position ' || made
WHERE ordered AND state IN ('running', 'paused') AND begun >= %s AND NOT {HELD}
"""  # noqa: E501


@dataclass(frozen=True, slots=True)
class Order:
    """`past` is for tables as of position `upto` in a schema of their own."""

    kind: Literal["rebuild", "verify", "past"]
    schema: str | None = None
    upto: int | None = None


def place(cursor: Cursor[Any], names: Sequence[str], order: Order) -> None:
    """Ask for it; raises `RebuildRunning` when one of the projections is being worked on, or waits for it."""
    for name in names:
        placed = cursor.execute(
            _PLACE, {"name": name, "kind": order.kind, "schema": order.schema, "upto": order.upto}
        ).rowcount
        if not placed:
            raise RebuildRunning(f"{name} is being rebuilt or verified already")


def waiting(connection: Connection[Any]) -> list[str]:
    """The projections whose order nobody carries out now; those that end every process are given up."""
    connection.execute(_GIVE_UP, (BEGUN_MAX,))
    return [name for (name,) in connection.execute(_WAITING).fetchall()]


def carry_out(platform: Platform, projection: Projection) -> None:
    """Begin what is ordered, or go on with it; raises `RebuildRunning` when somebody else does, `NoRun` when nothing
    is ordered, `RebuildFailed`."""
    with platform.pool.connection() as connection:
        row = connection.execute(
            "SELECT kind, schema_name, upto FROM es.rebuild WHERE name = %s AND ordered"
            " AND state IN ('queued', 'running', 'paused')",
            (projection.name,),
        ).fetchone()
    if row is None:
        raise NoRun(f"nobody has ordered anything of {projection.name}")
    kind, schema, upto = row
    if kind == "rebuild":
        rebuild(platform, projection, ordered=True)
    elif kind == "verify":
        verify(platform, projection, examples=EXAMPLES, ordered=True)
    else:
        fill_past(platform, projection, schema, upto)
