"""Stored events as followers see them: the event with its place in the global order and who caused it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from psycopg import Connection

from domain.base import Aggregate
from runtime.store import History

E = TypeVar("E", bound=Aggregate.Event, covariant=True)

_COLUMNS = (
    "position, stream_id, version, type, schema_version, data, event_id, command_id, correlation_id, causation_id,"
    " actor_id, origin, recorded_at"
)


@dataclass(frozen=True, slots=True)
class Fact(Generic[E]):
    """One event of the log. `at` is when it was decided; `position` orders all facts of the site."""

    position: int
    event: E
    stream_id: UUID
    version: int
    topic: str
    event_id: UUID
    command_id: UUID
    correlation_id: UUID
    causation_id: UUID
    actor_id: UUID
    origin: str
    recorded_at: datetime

    @property
    def at(self) -> datetime:
        return self.event.timestamp


AnyFact = Fact[Any]


class FactLog:
    """Reads the log in order; `history` knows how bytes become events."""

    def __init__(self, history: History) -> None:
        self._history = history

    def safe_position(self, connection: Connection[Any]) -> int:
        """Everything up to here is committed and seen by the next statement of a READ COMMITTED transaction."""
        row = connection.execute("SELECT es.safe_position()", prepare=True).fetchone()
        assert row is not None
        return int(row[0])

    def read(
        self, connection: Connection[Any], after: int, upto: int, topics: Sequence[str] | None, limit: int
    ) -> list[AnyFact]:
        """At most `limit` facts with after < position ≤ upto; `topics` None means every topic."""
        types = None if topics is None else [self._history.types.type_id(topic) for topic in topics]
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM es.event WHERE position > %s AND position <= %s"
            " AND (%s::int[] IS NULL OR type = ANY(%s)) ORDER BY position LIMIT %s",
            (after, upto, types, types, limit),
            binary=True,
        ).fetchall()
        return [self._fact(row) for row in rows]

    def stream(self, stream_id: UUID) -> Iterator[AnyFact]:
        """Every fact of one stream, oldest first."""
        with self._history.pool.connection() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM es.event WHERE stream_id = %s ORDER BY version",
                (stream_id,),
                binary=True,
            ).fetchall()
        return (self._fact(row) for row in rows)

    def _fact(self, row: tuple[Any, ...]) -> AnyFact:
        position, stream_id, version, type_id, schema_version, data, *rest = row
        topic = self._history.types.type_name(type_id)
        event = self._history.codec.event(topic, stream_id, version, bytes(data), schema_version)
        return Fact(position, event, stream_id, version, topic, *rest)
