"""The follower engine: reads facts in order, hands them over, and saves the position with their effect.

A message is only a wake-up; the row in `es.follower` is the truth. Its lock makes one runner at a time of any number of
threads and machines. Whoever finds it taken may leave at once: the holder looks at the log again after releasing it.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any
from uuid import UUID, uuid5

import structlog
from eventsourcing.persistence import OperationalError as StoreOperationalError
from psycopg import Connection, OperationalError
from psycopg.errors import DeadlockDetected, SerializationFailure
from psycopg_pool import ConnectionPool

from domain.base import SYSTEM
from runtime.db import writing
from runtime.facts import AnyFact, FactLog
from runtime.projection import Follower, Policy, Projection
from runtime.recorder import Metadata
from runtime.store import AlreadyDone, History, Store, VersionConflict
from runtime.telemetry import PROJECTION_EVENTS

#: Facts per transaction: large enough to amortise the commit, small enough to keep each below about 100 ms.
BATCH = 500
#: Namespace of the command ids that policies derive from the facts that they answer.
POLICY = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b01")

#: How often a policy decides again when its command meets another one.
ANSWER_ATTEMPTS = 5

log = structlog.get_logger()


class Step(Enum):
    MOVED = "moved"
    IDLE = "idle"
    TAKEN = "taken"  # another runner holds it
    HALTED = "halted"


class Engine:
    """Runs followers over one log."""

    def __init__(
        self, history: History, pool: ConnectionPool[Connection[Any]], wake: Callable[[list[str]], None]
    ) -> None:
        self._history = history
        self._pool = pool
        self._wake = wake
        self._log = FactLog(history)
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Let every `drain` return after the transaction at hand."""
        self._stopping.set()

    def drain(self, follower: Follower, *, retry_halted: bool = False) -> Step:
        """Run until nothing is left. A fact that cannot be handled halts this follower and no other."""
        limit, step = BATCH, Step.MOVED
        while step is Step.MOVED and not self._stopping.is_set():
            try:
                step = self._step(follower, limit, retry_halted)
            except (OperationalError, StoreOperationalError, DeadlockDetected, SerializationFailure):
                raise  # passing trouble of the database: the message is retried, or the next tick is
            except Exception as error:
                if limit > 1:
                    limit = 1  # look for the one fact that fails; those before it are handled
                    continue
                self._halt(follower, error)
                return Step.HALTED
            else:
                limit = min(2 * limit, BATCH)
        return step

    def _step(self, follower: Follower, limit: int, retry_halted: bool) -> Step:
        with self._pool.connection() as connection, connection.transaction():
            row = connection.execute(
                "SELECT position, state FROM es.follower WHERE name = %s FOR UPDATE SKIP LOCKED", (follower.name,)
            ).fetchone()
            if row is None:
                return self._introduce(connection, follower)
            position, state = row
            if state == "halted" and not retry_halted:
                return Step.HALTED
            safe = self._log.safe_position(connection)
            read = self._log.read(connection, position, safe, follower.topics, limit)
            facts = follower.portion(read) if isinstance(follower, Projection) else read
            reached = facts[-1].position if len(read) == limit or len(facts) < len(read) else safe
            if reached <= position and state == "running":
                return Step.IDLE
            self._apply(follower, facts, connection)
            connection.execute(
                "UPDATE es.follower SET position = %s, state = 'running', error = NULL, failed_position = NULL,"
                " moved_at = clock_timestamp() WHERE name = %s",
                (reached, follower.name),
            )
        PROJECTION_EVENTS.labels(follower.name).inc(len(facts))
        return Step.MOVED

    def _introduce(self, connection: Connection[Any], follower: Follower) -> Step:
        inserted = connection.execute(
            "INSERT INTO es.follower (name) VALUES (%s) ON CONFLICT DO NOTHING", (follower.name,)
        ).rowcount
        return Step.MOVED if inserted else Step.TAKEN

    def _apply(self, follower: Follower, facts: Sequence[AnyFact], connection: Connection[Any]) -> None:
        if isinstance(follower, Projection):
            with writing(connection, "read") as db:
                for run in follower.runs(facts):
                    follower.apply(run, db)
        else:
            for fact in facts:
                self._answer(follower, fact)

    def _answer(self, policy: Policy, fact: AnyFact) -> None:
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

    def _halt(self, follower: Follower, error: Exception) -> None:
        text = "".join(traceback.format_exception(error))[-4000:]
        log.error("follower_halted", follower=follower.name, error=repr(error), trace=text)
        with self._pool.connection() as connection:
            connection.execute(
                "UPDATE es.follower SET state = 'halted', error = %s, failed_position = ("
                " SELECT min(e.position) FROM es.event e WHERE e.position > follower.position"
                " AND (%s::int[] IS NULL OR e.type = ANY(%s))) WHERE name = %s",
                (text, *[self._types(follower)] * 2, follower.name),
            )

    def _types(self, follower: Follower) -> list[int] | None:
        topics = follower.topics
        return None if topics is None else [self._history.types.type_id(topic) for topic in topics]
