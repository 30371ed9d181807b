"""What is being rebuilt or verified, how far it is and what somebody wants of it: one row for each projection.

Whoever does the work writes where it is and reads what is wanted; anybody else may look or ask. A run whose process
died left its row as it was, and nobody holds its lock: it has to begin again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg import Connection
from psycopg.rows import class_row

from runtime.rebuild.errors import RebuildCancelled, RebuildFailed
from runtime.rebuild.shadow import LOCK_CLASS

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

_RUNS = """
SELECT r.name, r.kind,
  CASE WHEN r.state IN ('running', 'paused') AND NOT EXISTS (
    SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.classid = %(lock)s
      AND l.objid = (hashtext(r.name)::bigint & 4294967295)::oid
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
  THEN 'interrupted' ELSE r.state END AS state,
  r.position, r.target, r.facts, r.rate, r.throttled, r.differences, r.error, r.started_at, r.ended_at,
  CASE WHEN r.state = 'running' AND r.position_rate > 0 THEN (r.target - r.position) / r.position_rate END AS eta_s
FROM es.rebuild r WHERE %(name)s::text IS NULL OR r.name = %(name)s ORDER BY r.name
"""


@dataclass(frozen=True, slots=True)
class RunState:
    """The last run of a projection. `rate` is facts a second, `eta_s` seconds to go; `differences` is of a verify."""

    name: str
    kind: str
    state: str  # running, paused, done, failed, cancelled, interrupted
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


class Run:
    """The row of a run that this process does."""

    def __init__(self, connection: Connection[Any], name: str) -> None:
        self._connection = connection
        self._name = name
        self._began = self._told_at = self._batch_began = time.monotonic()

    @classmethod
    @contextmanager
    def begin(cls, connection: Connection[Any], name: str, kind: str) -> Iterator[Run]:
        """Until it is done, failed or cancelled; the caller holds the projection's lock."""
        connection.execute(
            "INSERT INTO es.rebuild (name, kind) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET kind = excluded.kind,"
            " state = 'running', wanted = 'run', position = 0, target = 0, facts = 0, rate = 0, position_rate = 0,"
            " throttled = false, differences = NULL, error = NULL, started_at = now(), ended_at = NULL",
            (name, kind),
        )
        run = cls(connection, name)
        try:
            yield run
        except RebuildCancelled:
            run._end("cancelled", None)
            raise
        except BaseException as error:
            run._end("failed", str(error)[:4000] or repr(error))
            raise
        run._end("done", None)

    def moved(self, position: int, target: int, facts: int) -> None:
        """A batch is done: say so, wait while a pause is wanted or others need the machine.

        Raises `RebuildCancelled`.
        """
        now = time.monotonic()
        if now - self._told_at < TELL_S and position < target:
            return
        lagging = self._lagging()
        if lagging:
            time.sleep(min((now - self._told_at) * (SHARE - 1), 5.0))
        wanted = self._tell(position, target, facts, lagging)
        if wanted == "pause":
            wanted = self._wait()
        if wanted == "cancel":
            raise RebuildCancelled(f"the {self._name} run was cancelled")
        self._told_at = time.monotonic()

    def found(self, differences: int) -> None:
        """What a verification has counted."""
        self._connection.execute("UPDATE es.rebuild SET differences = %s WHERE name = %s", (differences, self._name))

    def _tell(self, position: int, target: int, facts: int, throttled: bool) -> str:
        took = max(time.monotonic() - self._began, 0.001)
        row = self._connection.execute(
            "UPDATE es.rebuild SET state = 'running', position = %s, target = %s, facts = %s, rate = %s,"
            " position_rate = %s, throttled = %s WHERE name = %s RETURNING wanted",
            (position, target, facts, facts / took, position / took, throttled, self._name),
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

    def _lagging(self) -> bool:
        return self._connection.execute(_LAGGING, (self._name, LAG_S)).fetchone() == (True,)

    def _end(self, state: str, error: str | None) -> None:
        if not self._connection.closed:
            self._connection.execute(
                "UPDATE es.rebuild SET state = %s, error = %s, ended_at = now() WHERE name = %s",
                (state, error, self._name),
            )


def states(connection: Connection[Any], name: str | None = None) -> list[RunState]:
    """The last run of every projection, or of one."""
    with connection.cursor(row_factory=class_row(RunState)) as cursor:
        return cursor.execute(_RUNS, {"lock": LOCK_CLASS, "name": name}).fetchall()


def wish(connection: Connection[Any], name: str, wanted: Wish) -> None:
    """Pause, go on with or cancel a run; raises `RebuildFailed` when there is none."""
    if not any(state.state in ("running", "paused") for state in states(connection, name)):
        raise RebuildFailed(f"{name} is neither being rebuilt nor verified")
    connection.execute("UPDATE es.rebuild SET wanted = %s WHERE name = %s", (wanted, name))
