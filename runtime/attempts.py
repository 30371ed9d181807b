"""Which fact kills its worker: a handler that ends the process (out of memory, a signal) leaves no error to count.

So a worker notes what it is about to handle, and each note is removed by the transaction that handles it. Only the
first batch of a follower in each process needs one: after a death that is where the work begins again. Who finds the
note of another process goes through the same facts one by one and alone among all followers under suspicion; whatever
ends the process then is known.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import uuid4

from psycopg import Connection
from psycopg_pool import ConnectionPool

from runtime.program import code_of
from runtime.projection import Follower

#: Advisory lock of one transaction: followers under suspicion have it alone, others share it in their first batch.
SUSPECTS = 7933

_NOTE = """
INSERT INTO es.attempt (follower, after, upto, alone, process, server, program)
VALUES (%s, %s, %s, %s, %s, pg_postmaster_start_time(), %s)
ON CONFLICT (follower) DO UPDATE SET after = excluded.after, upto = excluded.upto, alone = excluded.alone,
  process = excluded.process, server = excluded.server, program = excluded.program
"""


class KilledWorker(Exception):
    """Whoever handles this fact ends without a word."""


class Finding(NamedTuple):
    """What is known of a follower that stands before some facts."""

    is_busy: bool = False  # another follower is under suspicion: wait for it
    is_suspect: bool = False  # of one of these facts: they are handled one by one
    is_guilty: bool = False  # the first of them has killed a worker that did nothing else


NOTHING_FOUND = Finding()


class Attempts:
    """The notes of one worker process."""

    def __init__(self, pool: ConnectionPool[Connection[Any]]) -> None:
        self._pool = pool
        self._process = uuid4()
        self._proven = set[str]()
        self._suspect_upto = dict[str, int]()

    def find(self, connection: Connection[Any], follower: Follower, position: int) -> Finding:
        """To be asked within the transaction that holds the follower, which is about to go on from this position."""
        name = follower.name
        if name in self._proven and position >= self._suspect_upto.get(name, 0):
            return NOTHING_FOUND
        note = connection.execute(
            "SELECT after, upto, alone FROM es.attempt WHERE follower = %s AND process <> %s AND upto > %s"
            " AND server = pg_postmaster_start_time() AND program = %s",
            (name, self._process, position, code_of(follower)),
        ).fetchone()
        if note is not None:
            self._suspect_upto[name] = note[1]
            if note[2] and note[0] == position:
                return Finding(is_guilty=True)
        is_suspect = position < self._suspect_upto.get(name, 0)
        lock = "pg_try_advisory_xact_lock" if is_suspect else "pg_try_advisory_xact_lock_shared"
        has_lock = connection.execute(f"SELECT {lock}(%s)", (SUSPECTS,)).fetchone() == (True,)
        return Finding(is_busy=not has_lock, is_suspect=is_suspect)

    def note(self, follower: Follower, after: int, upto: int) -> None:
        """These facts are about to be handled; nothing is written where that is not needed."""
        name = follower.name
        is_suspect = after < self._suspect_upto.get(name, 0)
        if name in self._proven and not is_suspect:
            return
        with self._pool.connection() as connection:
            connection.execute(_NOTE, (name, after, upto, is_suspect, self._process, code_of(follower)))

    def handled(self, connection: Connection[Any], follower: Follower) -> None:
        """They are, by this transaction."""
        if follower.name not in self._proven or follower.name in self._suspect_upto:
            connection.execute("DELETE FROM es.attempt WHERE follower = %s", (follower.name,))

    def survived(self, follower: Follower, position: int) -> None:
        """The transaction is committed, and the process lives."""
        if position >= self._suspect_upto.get(follower.name, 0):
            self._suspect_upto.pop(follower.name, None)
            self._proven.add(follower.name)

    def failed(self, follower: Follower) -> None:
        """They could not be handled, but the process lives: its note would only be misunderstood."""
        if follower.name not in self._proven or follower.name in self._suspect_upto:
            with self._pool.connection() as connection:
                connection.execute(
                    "DELETE FROM es.attempt WHERE follower = %s AND process = %s", (follower.name, self._process)
                )


def forgive(connection: Connection[Any], name: str) -> None:
    """Let a follower's fact be tried again that has killed its workers."""
    connection.execute("DELETE FROM es.attempt WHERE follower = %s", (name,))
