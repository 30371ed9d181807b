"""The follower engine: reads facts in order, hands them over, and saves the position with their effect.

A message is only a wake-up; the row in `es.follower` is the truth. Its lock makes one runner at a time of any number of
threads and machines. Whoever finds it taken may leave at once: the holder looks at the log again after releasing it.
A holder that hangs loses its session and with it the lock and whatever it has not committed.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import structlog
from eventsourcing.persistence import OperationalError as StoreOperationalError
from psycopg import Connection, OperationalError
from psycopg.errors import DeadlockDetected, QueryCanceled, SerializationFailure
from psycopg_pool import ConnectionPool

from domain.base import SYSTEM
from runtime.attempts import NOTHING_FOUND, Attempts, KilledWorker
from runtime.codec import UnknownTopic
from runtime.db import writing
from runtime.facts import AnyCaused, AnyFact, Caused, Entry, FactLog, Unknown
from runtime.gathering.live import LiveTables
from runtime.projection import Follower, OnError, Policy, Projection
from runtime.recorder import Metadata
from runtime.store import AlreadyDone, History, Store, VersionConflict
from runtime.telemetry import PROJECTION_EVENTS

#: Facts per transaction: large enough to amortise the commit, small enough to keep each below about 100 ms. As many as
#: the second if those before took a projection no longer than this.
BATCH, BATCH_MAX, QUICK_S = 500, 4000, 0.05
#: Namespace of the command ids that policies derive from the facts that they answer.
POLICY = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b01")

#: How often a policy decides again when its command meets another one.
ANSWER_ATTEMPTS = 5
#: How often a single fact is tried before its follower halts, parks or skips it, and the pause between two tries.
TRIES = 3
TRY_PAUSE_S = 0.02
#: A runner talks to PostgreSQL many times a second; one that has been silent for so long hangs.
HANGING_S = 15.0
#: What a follower's row or a dead letter keeps of a traceback: its end.
TRACE_CHARS = 4000

#: Passing trouble of the database: the message is retried, or the next tick is.
PASSING = (OperationalError, StoreOperationalError, DeadlockDetected, SerializationFailure)

log = structlog.get_logger()


def passes(error: Exception) -> bool:
    """Whether this is such trouble. A statement that took too long would be cut off again, and nobody see where."""
    return isinstance(error, PASSING) and not isinstance(error, QueryCanceled)


class Step(Enum):
    MOVED = "moved"
    IDLE = "idle"
    TAKEN = "taken"  # another runner holds it
    HALTED = "halted"
    WAITING = "waiting"  # the next fact is beyond what this code knows
    PAUSED = "paused"  # by an operator


class Stumbled(Exception):
    """Something between `entry` and the end of its batch could not be handled; the cause says why."""

    def __init__(self, after: int, entry: Entry) -> None:
        super().__init__(f"at position {entry.position}")
        self.after = after
        self.entry = entry


class _View(NamedTuple):
    """A row of `es.runner_view`."""

    safe: int
    parked: list[UUID]
    paused: bool
    types: int
    ignored: int


class _Held(NamedTuple):
    """A follower whose row this transaction has locked, and where it stands."""

    connection: Connection[Any]
    follower: Follower
    tables: LiveTables
    position: int
    view: _View


class _Portion(NamedTuple):
    """What one transaction does: facts to handle, rows to keep for later, and where the follower stands then."""

    facts: Sequence[AnyFact]
    letters: list[Entry]
    reached: int
    unknown: Unknown | None


class Engine:
    """Runs followers over one log."""

    def __init__(
        self,
        history: History,
        pool: ConnectionPool[Connection[Any]],
        wake: Callable[[list[str]], None],
        attempts: Attempts | None = None,
    ) -> None:
        self._history = history
        self._pool = pool
        self._wake = wake
        self._attempts = attempts  # of a worker, which others start again when a fact has killed it
        self._log = FactLog(history)
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Let every `drain` return after the transaction at hand."""
        self._stopping.set()

    def drain(self, follower: Follower, *, retry_halted: bool = False) -> Step:
        """Run until nothing is left. A fact that cannot be handled is an affair of this follower and no other."""
        limit, tries, step = BATCH, 0, Step.MOVED
        tables = _tables(follower)
        while step is Step.MOVED and not self._stopping.is_set():
            began = time.monotonic()
            try:
                step = self._step(follower, tables, limit, retry_halted)
            except Exception as error:
                if passes(error):
                    raise
                if self._attempts:
                    self._attempts.failed(follower)
                tries += limit == 1
                if tries == TRIES or isinstance(error.__cause__, KilledWorker):
                    step, tries = self._strike(follower, error), 0
                limit = 1  # look for the one fact that fails; those before it are handled
                self._stopping.wait(TRY_PAUSE_S if tries else 0)
            else:
                is_quick = isinstance(follower, Projection) and time.monotonic() - began <= QUICK_S
                limit, tries = min(2 * limit, BATCH_MAX if is_quick else BATCH), 0
        return step

    def replay(self, follower: Follower, stream_id: UUID, limit: int) -> int:
        """Handle the oldest dead letters of a stream and drop them, in one transaction; returns how many they were.

        Holds the follower meanwhile: when the last one goes, whatever follows in the stream is still to be read.
        """
        with self._pool.connection() as connection, connection.transaction():
            connection.execute("SELECT FROM es.follower WHERE name = %s FOR UPDATE", (follower.name,))
            self._view(connection, follower.name)
            rows = connection.execute(
                "SELECT position FROM es.dead_letter WHERE follower = %s AND stream_id = %s ORDER BY position LIMIT %s",
                (follower.name, stream_id, limit),
            ).fetchall()
            entries = self._log.at(connection, [position for (position,) in rows])
            facts = self._one_transaction(follower, [self._log.fact(entry) for entry in entries])
            self._apply(follower, _tables(follower), facts, connection)
            connection.execute(
                "DELETE FROM es.dead_letter WHERE follower = %s AND position = ANY(%s)",
                (follower.name, [fact.position for fact in facts]),
            )
            return len(facts)

    def _step(self, follower: Follower, tables: LiveTables, limit: int, retry_halted: bool) -> Step:
        with self._pool.connection() as connection, connection.transaction():
            row = connection.execute(
                "SELECT position, state FROM es.follower WHERE name = %s FOR UPDATE SKIP LOCKED", (follower.name,)
            ).fetchone()
            if row is None:
                return self._introduce(connection, follower)
            position, state = row
            view = self._view(connection, follower.name)
            if view.paused or (state == "halted" and not retry_halted):
                return Step.PAUSED if view.paused else Step.HALTED
            held = _Held(connection, follower, tables, position, view)
            finding = self._attempts.find(connection, follower, position) if self._attempts else NOTHING_FOUND
            if finding.is_busy:
                return Step.TAKEN
            portion = self._handle(held, 1 if finding.is_suspect else limit, is_guilty=finding.is_guilty)
            if portion.reached <= position and portion.unknown:
                return self._wait(connection, follower, portion.unknown)
            if portion.reached <= position and state == "running":
                return Step.IDLE
            connection.execute(
                "UPDATE es.follower SET position = %s, state = 'running', error = NULL, failed_position = NULL,"
                " moved_at = clock_timestamp() WHERE name = %s",
                (portion.reached, follower.name),
            )
            if self._attempts:
                self._attempts.handled(connection, follower)
        if self._attempts:
            self._attempts.survived(follower, portion.reached)
        PROJECTION_EVENTS.labels(follower.name).inc(len(portion.facts))
        return Step.MOVED

    def _introduce(self, connection: Connection[Any], follower: Follower) -> Step:
        """The follower's first row, or what can be done about its holder."""
        inserted = connection.execute(
            "INSERT INTO es.follower (name) SELECT %s WHERE NOT EXISTS (SELECT FROM es.follower WHERE name = %s)"
            " ON CONFLICT DO NOTHING",
            (follower.name, follower.name),
        ).rowcount
        if inserted:
            return Step.MOVED
        row = connection.execute(
            "SELECT es.end_hanging_runner(%s, make_interval(secs => %s))", (follower.name, HANGING_S)
        ).fetchone()
        if row and row[0]:
            log.warning("hanging_runner_ended", follower=follower.name)
        return Step.TAKEN

    def _view(self, connection: Connection[Any], name: str) -> _View:
        row = connection.execute("SELECT * FROM es.runner_view(%s)", (name,), prepare=True).fetchone()
        assert row is not None
        return _View(*row)

    def _handle(self, held: _Held, limit: int, *, is_guilty: bool) -> _Portion:
        """Read and handle what comes next, unless the first of it is known to kill; raises `Stumbled`."""
        connection, follower, tables, position, view = held
        upto = self._log.within_reach(connection, position, view.safe)
        unknown = self._log.unknown(connection, position, upto, (view.types, view.ignored))
        upto = unknown.position - 1 if unknown else upto
        entries = self._log.entries_for(follower, connection, position, upto, limit)
        if is_guilty and entries:
            raise Stumbled(position, entries[0]) from KilledWorker("the process that handled this ended without a word")
        try:
            portion = self._portion(follower, entries, view.parked, upto if len(entries) < limit else None, unknown)
            if self._attempts and portion.facts:
                self._attempts.note(follower, position, portion.reached)
            self._apply(follower, tables, portion.facts, connection)
        except Exception as error:
            if passes(error):
                raise
            raise Stumbled(position, entries[0]) from error
        self._keep(connection, follower, portion.letters)
        return portion

    def _portion(
        self, follower: Follower, entries: list[Entry], parked: list[UUID], end: int | None, unknown: Unknown | None
    ) -> _Portion:
        """Of these rows, those for one transaction; `end` is where the follower stands after all of them, if they are
        all that there is."""
        facts, waiting = list[AnyFact](), set(parked)
        reached = entries[-1].position if end is None else end
        for entry in entries:
            if entry.stream_id in waiting:
                continue
            try:
                facts.append(self._log.fact(entry))
            except UnknownTopic as error:  # a newer version of a type that is known
                unknown = Unknown(entry.position, str(error))
                reached = entry.position - 1
                break
        chosen = self._one_transaction(follower, facts)
        if len(chosen) < len(facts):
            reached = chosen[-1].position
        letters = [entry for entry in entries if entry.stream_id in waiting and entry.position <= reached]
        return _Portion(chosen, letters, reached, unknown)

    def _one_transaction(self, follower: Follower, facts: Sequence[AnyFact]) -> Sequence[AnyFact]:
        return follower.portion(facts) if isinstance(follower, Projection) else facts

    def _apply(
        self, follower: Follower, tables: LiveTables, facts: Sequence[AnyFact], connection: Connection[Any]
    ) -> None:
        if isinstance(follower, Projection):
            with (
                writing(connection, "read", self._history.keyring.read_keys) as db,
                tables.writer(connection, db, len(facts)) as writer,
            ):
                follower.apply_all(facts, writer)
        else:
            for fact in facts:
                assert isinstance(fact, Caused)
                connection.execute("")  # shows that this runner lives, and fails when somebody has taken its place
                self._answer(follower, fact)

    def _answer(self, policy: Policy, fact: AnyCaused) -> None:
        command_id = uuid5(POLICY, f"{policy.name}:{fact.position}")
        metadata = Metadata(command_id, SYSTEM, "policy", fact.correlation_id, fact.event_id)
        for attempts_left in reversed(range(ANSWER_ATTEMPTS)):
            try:
                policy.apply(fact, Store(self._history, metadata, self._wake))
                return
            except AlreadyDone:
                log.info("policy_repeated", policy=policy.name, position=fact.position)
                return
            except VersionConflict:  # somebody changed the same thing meanwhile: decide again on what it is now
                if not attempts_left:
                    raise

    def _keep(self, connection: Connection[Any], follower: Follower, entries: Sequence[Entry]) -> None:
        """Rows of parked streams: they wait behind the one that failed."""
        if entries:
            connection.cursor().executemany(
                "INSERT INTO es.dead_letter (follower, position, stream_id, parked, attempts)"
                " VALUES (%s, %s, %s, true, 0) ON CONFLICT DO NOTHING",
                [(follower.name, entry.position, entry.stream_id) for entry in entries],
            )

    def _wait(self, connection: Connection[Any], follower: Follower, unknown: Unknown) -> Step:
        changed = connection.execute(
            "UPDATE es.follower SET state = 'waiting', error = %s, failed_position = %s"
            " WHERE name = %s AND (state <> 'waiting' OR failed_position IS DISTINCT FROM %s)",
            (unknown.what, unknown.position, follower.name, unknown.position),
        ).rowcount
        if changed:
            log.warning("follower_waits", follower=follower.name, position=unknown.position, reason=unknown.what)
        return Step.WAITING

    def _strike(self, follower: Follower, error: Exception) -> Step:
        """Do what is to be done about a fact that cannot be handled, unless somebody else was faster."""
        cause = error.__cause__ or error
        text = "".join(traceback.format_exception(cause))[-TRACE_CHARS:]
        with self._pool.connection() as connection, connection.transaction():
            row = connection.execute(
                "SELECT position, (SELECT on_error FROM es.follower_setting s WHERE s.name = f.name)"
                " FROM es.follower f WHERE name = %s FOR UPDATE",
                (follower.name,),
            ).fetchone()
            if row is None or (isinstance(error, Stumbled) and error.after != row[0]):
                return Step.MOVED
            # Of a statement that took too long the server may be at fault, and not the fact.
            on_error = OnError.HALT if isinstance(cause, QueryCanceled) else OnError(row[1] or follower.on_error)
            log.error("follower_stumbled", follower=follower.name, then=on_error.value, error=repr(cause), trace=text)
            if isinstance(error, Stumbled) and on_error is not OnError.HALT:
                self._pass_over(connection, follower, error.entry, on_error is OnError.PARK, text)
                return Step.MOVED
            connection.execute(
                "UPDATE es.follower SET state = 'halted', error = %s, failed_position = %s WHERE name = %s",
                (text, error.entry.position if isinstance(error, Stumbled) else None, follower.name),
            )
        return Step.HALTED

    def _pass_over(
        self, connection: Connection[Any], follower: Follower, entry: Entry, parked: bool, text: str
    ) -> None:
        connection.execute(
            "INSERT INTO es.dead_letter (follower, position, stream_id, parked, error, attempts)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (follower, position) DO UPDATE"
            " SET error = excluded.error, attempts = dead_letter.attempts + excluded.attempts",
            (follower.name, entry.position, entry.stream_id, parked, text, TRIES),
        )
        connection.execute(
            "UPDATE es.follower SET position = %s, state = 'running', error = NULL, failed_position = NULL,"
            " moved_at = clock_timestamp() WHERE name = %s",
            (entry.position, follower.name),
        )


def _tables(follower: Follower) -> LiveTables:
    return LiveTables(follower.tables if isinstance(follower, Projection) else ())
