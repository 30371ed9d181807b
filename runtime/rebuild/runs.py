"""What is being rebuilt or verified, how far it is and what somebody wants of it: one row for each projection.

Whoever does the work writes where it is and reads what is wanted; anybody else may look or ask. A run whose process or
server died left its row as it was, and nobody holds its lock: it is interrupted. What its copies hold was committed
together with `made`, so the next run of the same code goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from runtime.program import program_of
from runtime.projection import Projection
from runtime.rebuild.compare import RowDifference, TableCheck
from runtime.rebuild.copies import is_alike
from runtime.rebuild.errors import NoRun, RebuildCancelled
from runtime.rebuild.shadow import LOCK_CLASS, NOTHING, Made, copies_of

#: How often it is written where a run is, and looked what is wanted.
TELL_S = 0.25
PAUSED_LOOK_S = 0.2
#: Live projections that are so far behind while they move get the machine for a while.
LAG_S = 1.0
#: Of the time while they are behind a rebuild takes one part in this many.
SHARE = 4

Wish = Literal["run", "pause", "cancel"]

_LAGGING = """
SELECT EXISTS (
  SELECT FROM es.follower f
  WHERE f.name <> %s AND f.state = 'running' AND f.moved_at > clock_timestamp() - interval '2 seconds'
    AND (SELECT e.recorded_at FROM es.event e WHERE e.position > f.position ORDER BY e.position LIMIT 1)
      < clock_timestamp() - make_interval(secs => %s))
"""

#: Whether a process that lives does this run; `r` is its row.
HELD = f"""EXISTS (
    SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.classid = {LOCK_CLASS}
      AND l.objid = (hashtext(r.name)::bigint & 4294967295)::oid
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))"""

_RUNS = f"""
SELECT r.name, r.kind,
  CASE WHEN r.state NOT IN ('running', 'paused') OR {HELD} THEN r.state
    WHEN r.ordered AND r.wanted = 'pause' THEN 'paused' ELSE 'interrupted' END AS state,
  r.position, r.target, r.facts, r.rate, r.throttled, r.differences, r.error, r.started_at, r.ended_at,
  CASE WHEN r.state = 'running' AND r.position_rate > 0 THEN (r.target - r.position) / r.position_rate END AS eta_s,
  r.ordered, r.resumed
FROM es.rebuild r WHERE %(name)s::text IS NULL OR r.name = %(name)s ORDER BY r.name
"""

#: The row of a run that begins: where its copies stand if it may go on with them, and everything else from the start.
#: What is wanted of an order is kept: it may have been paused before anybody carried it out, or while nobody did.
_BEGIN = """
INSERT INTO es.rebuild AS r (name, kind, program, schema_name, begun)
VALUES (%(name)s, %(kind)s, %(program)s, %(schema)s, 1)
ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, program = excluded.program,
  schema_name = excluded.schema_name, state = 'running',
  wanted = CASE WHEN %(ordered)s THEN r.wanted ELSE 'run' END, ordered = %(ordered)s,
  made = %(made)s, position = %(made)s, facts = %(facts)s, target = 0, rate = 0, position_rate = 0, throttled = false,
  begun = CASE WHEN %(made)s = r.made AND r.program = excluded.program THEN r.begun ELSE 0 END + 1,
  resumed = CASE WHEN %(made)s > 0 THEN r.resumed + 1 ELSE 0 END,
  differences = NULL, found = '[]', error = NULL, ended_at = NULL,
  started_at = CASE WHEN %(made)s > 0 THEN r.started_at ELSE now() END
"""


@dataclass(frozen=True, slots=True)
class RunState:
    """The last run of a projection. `rate` is facts a second, `eta_s` seconds to go; `differences` is of a verify.
    Workers carry out what is `ordered`, and go on with it when it is interrupted."""

    name: str
    kind: str
    state: str  # queued, running, paused, done, failed, cancelled, interrupted
    position: int
    target: int
    facts: int
    rate: float
    throttled: bool
    differences: int | None
    error: str | None
    started_at: datetime
    ended_at: datetime | None
    eta_s: float | None
    ordered: bool
    resumed: int


class Run:
    """The row of a run that this process does."""

    def __init__(self, connection: Connection[Any], name: str, made: Made) -> None:
        self._connection = connection
        self._name = name
        self.made = made
        self._began = self._told_at = self._batch_began = time.monotonic()

    @classmethod
    @contextmanager
    def begin(
        cls,
        connection: Connection[Any],
        projection: Projection,
        kind: str,
        schema: str | None = None,
        *,
        ordered: bool = False,
    ) -> Iterator[Run]:
        """Until it is done, failed or cancelled; the caller holds the projection's lock.

        `schema` is where the copies are unless it is their usual place. `made` is what an interrupted run of the same
        code has left in them, if any.
        """
        name, program = projection.name, program_of(connection, projection)
        made = _left_by(connection, projection, program, schema)
        asked = {"name": name, "kind": kind, "program": program, "schema": schema, "ordered": ordered}
        connection.execute(_BEGIN, {**asked, "made": made.position, "facts": made.facts})
        run = cls(connection, name, made)
        try:
            yield run
        except RebuildCancelled:
            run._end("cancelled", None)
            raise
        except Exception as error:  # not what ends the process: that is an interruption
            run._end("failed", str(error)[:4000] or repr(error))
            raise
        run._end("done", None)

    def keep(self, made: Made) -> None:
        """Note where the copies stand, in the transaction that has filled them so far."""
        self._connection.execute(
            "UPDATE es.rebuild SET made = %s, facts = %s, begun = 0 WHERE name = %s", (*made, self._name)
        )

    def moved(self, position: int, target: int, facts: int) -> None:
        """A batch is done: say so, wait while a pause is wanted or others need the machine.

        Raises `RebuildCancelled`.
        """
        now = time.monotonic()
        if now - self._told_at < TELL_S and position < target:
            return
        lagging = make_way(self._connection, self._name, now - self._told_at)
        wanted = self._tell(position, target, facts, lagging)
        if wanted == "pause":
            wanted = self._wait()
        if wanted == "cancel":
            raise RebuildCancelled(f"the {self._name} run was cancelled")
        self._told_at = time.monotonic()

    def swapped(self) -> None:
        """The new tables are the live ones with this transaction: whatever comes, there is nothing to go on with."""
        self._connection.execute(
            "UPDATE es.rebuild SET state = 'done', ended_at = now() WHERE name = %s", (self._name,)
        )

    def found(self, checks: Sequence[TableCheck]) -> None:
        """What a verification has counted; of rows that differ, their keys and columns.

        Their values stay where they are: a copy of them here would outlive the erasure of the person they tell of.
        """
        rows = [_without_values(check.table, row) for check in checks for row in check.examples]
        self._connection.execute(
            "UPDATE es.rebuild SET differences = %s, found = %s WHERE name = %s",
            (sum(check.differences for check in checks), Jsonb(rows), self._name),
        )

    def _tell(self, position: int, target: int, facts: int, throttled: bool) -> str:
        took = max(time.monotonic() - self._began, 0.001)
        new_facts, moved = facts - self.made.facts, position - self.made.position
        row = self._connection.execute(
            "UPDATE es.rebuild SET state = 'running', position = %s, target = %s, facts = %s, rate = %s,"
            " position_rate = %s, throttled = %s WHERE name = %s RETURNING wanted",
            (position, target, facts, new_facts / took, moved / took, throttled, self._name),
        ).fetchone()
        assert row is not None
        return str(row[0])

    def _wait(self) -> str:
        since = time.monotonic()
        self._connection.execute("UPDATE es.rebuild SET state = 'paused' WHERE name = %s", (self._name,))
        query = "SELECT wanted FROM es.rebuild WHERE name = %s"
        while (row := self._connection.execute(query, (self._name,)).fetchone()) == ("pause",):
            time.sleep(PAUSED_LOOK_S)
        self._connection.execute("UPDATE es.rebuild SET state = 'running' WHERE name = %s", (self._name,))
        self._began += time.monotonic() - since
        return str(row[0]) if row else "cancel"

    def _end(self, state: str, error: str | None) -> None:
        if not self._connection.closed:
            self._connection.execute(
                "UPDATE es.rebuild SET state = %s, error = %s, ended_at = now() WHERE name = %s",
                (state, error, self._name),
            )


class MakingWay:
    """Lets live projections that fall behind go first, for work that has no row."""

    def __init__(self, connection: Connection[Any], name: str) -> None:
        self._connection = connection
        self._name = name
        self._looked_at = time.monotonic()

    def told(self, position: int, target: int, facts: int) -> None:
        """A batch is done."""
        spent = time.monotonic() - self._looked_at
        if spent >= TELL_S:
            make_way(self._connection, self._name, spent)
            self._looked_at = time.monotonic()


def make_way(connection: Connection[Any], name: str, spent_s: float) -> bool:
    """Wait a multiple of the time that was spent, if live projections move and are behind; returns whether they are."""
    lagging = connection.execute(_LAGGING, (name, LAG_S)).fetchone() == (True,)
    if lagging:
        time.sleep(min(spent_s * (SHARE - 1), 5.0))
    return lagging


def _without_values(table: str, row: RowDifference) -> dict[str, Any]:
    """`columns` are null where only one of the two tables has the row, and `only` says which."""
    if row.live is None or row.rebuilt is None:
        return {"table": table, "key": row.key, "columns": None, "only": "rebuilt" if row.live is None else "live"}
    return {"table": table, "key": row.key, "columns": list(row.live), "only": None}


def _left_by(connection: Connection[Any], projection: Projection, program: str, schema: str | None) -> Made:
    """What the run before has made, if it was interrupted and its copies are as it left them."""
    row = connection.execute(
        "SELECT made, facts FROM es.rebuild WHERE name = %s AND program = %s AND schema_name IS NOT DISTINCT FROM %s"
        " AND state IN ('queued', 'running', 'paused')",
        (projection.name, program, schema),
    ).fetchone()
    place = schema or copies_of(projection)
    has_copies = all(is_alike(connection, place, table) for table in projection.tables)
    return Made(*row) if row and row[0] and has_copies else NOTHING


def states(connection: Connection[Any], name: str | None = None) -> list[RunState]:
    """The last run of every projection, or of one."""
    with connection.cursor(row_factory=class_row(RunState)) as cursor:
        return cursor.execute(_RUNS, {"name": name}).fetchall()


def found(connection: Connection[Any], name: str) -> tuple[int | None, list[dict[str, Any]]]:
    """How many rows the last verification of a projection found to differ, and some of them without their values."""
    row = connection.execute("SELECT differences, found FROM es.rebuild WHERE name = %s", (name,)).fetchone()
    return (row[0], row[1]) if row else (None, [])


def give_up(connection: Connection[Any], name: str) -> str | None:
    """Let nobody go on with a run that is interrupted, or begin one that is queued; the caller holds the projection's
    lock. Returns the schema of its own that it had, if any. Raises `NoRun`."""
    row = connection.execute(
        "UPDATE es.rebuild SET state = 'cancelled', made = 0, ended_at = now() WHERE name = %s"
        " AND state IN ('queued', 'running', 'paused') RETURNING schema_name",
        (name,),
    ).fetchone()
    if row is None:
        raise NoRun(f"{name} is neither being rebuilt nor verified")
    return str(row[0]) if row[0] else None


def wish(connection: Connection[Any], name: str, wanted: Wish) -> None:
    """Pause, go on with or cancel a run; raises `NoRun` when there is none.

    One that nobody has begun is paused before it begins. One that is interrupted is gone on with by a worker.
    """
    changed = connection.execute(
        f"UPDATE es.rebuild r SET wanted = %(wanted)s, ordered = ordered OR NOT {HELD} WHERE name = %(name)s AND"
        f" (state = 'queued' OR (state IN ('running', 'paused') AND (ordered OR %(wanted)s = 'run' OR {HELD})))",
        {"wanted": wanted, "name": name},
    ).rowcount
    if not changed:
        raise NoRun(f"{name} is neither being rebuilt nor verified")
