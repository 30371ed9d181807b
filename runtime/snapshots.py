"""Which state did a long aggregate have at some version? Kept beside the log, so that loading one reads its end only.

Taken off the command path, from what is recorded. State that another version of the code wrote is never read: its topic
carries a fingerprint of the aggregate's module. Aggregates with personal text have none, so that erasing a person
leaves nothing here.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import (
    AggregateRecorder,
    EventStore,
    IntegrityError,
    JSONTranscoder,
    Mapper,
    MapperDeserialisationError,
    StoredEvent,
)
from psycopg import Connection, errors
from psycopg_pool import ConnectionPool

from domain.base import Aggregate

#: A process learns of snapshots of other processes within this time; until then it reads whole streams.
KNOWN_FOR_S = 30.0

Pool = ConnectionPool[Connection[Any]]


@dataclass(frozen=True)
class Snapshot:
    """An aggregate as it was; `mutate` gives it back."""

    originator_id: UUID
    originator_version: int
    kind: type[Aggregate]
    state: dict[str, Any]

    @classmethod
    def take(cls, aggregate: Aggregate) -> Snapshot:
        state = {name: value for name, value in vars(aggregate).items() if name != "_pending_events"}
        return cls(aggregate.id, aggregate.version, type(aggregate), state)

    def mutate(self, _: None) -> Aggregate:
        aggregate: Aggregate = object.__new__(self.kind)
        vars(aggregate).update(self.state, _pending_events=[])
        return aggregate


class SnapshotRecorder(AggregateRecorder):
    """The library's recorder seam over `es.snapshot`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        rows = [(e.originator_id, e.originator_version, e.topic, e.state) for e in stored_events]
        try:
            with self._pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO es.snapshot (stream_id, version, topic, data) VALUES (%s, %s, %s, %s)", rows
                )
        except errors.UniqueViolation as error:
            raise IntegrityError(str(error)) from error
        return None

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        order = "DESC" if desc else "ASC"
        with self._pool.connection() as connection:
            rows = connection.execute(
                "SELECT version, topic, data FROM es.snapshot WHERE stream_id = %s AND version > %s AND version <= %s"
                f" ORDER BY version {order} LIMIT %s",
                (originator_id, -1 if gt is None else gt, 2**31 - 1 if lte is None else lte, limit),
                prepare=True,
            ).fetchall()
        return [StoredEvent(originator_id, version, topic, bytes(data)) for version, topic, data in rows]


class SnapshotMapper(Mapper[UUID]):
    """The library's mapper seam for the aggregates that may have snapshots."""

    def __init__(self, kinds: Iterable[type[Aggregate]]) -> None:
        super().__init__(JSONTranscoder())
        self._by_topic = {snapshot_topic(kind): kind for kind in kinds}
        self._topics = {kind: topic for topic, kind in self._by_topic.items()}

    @property
    def topics(self) -> list[str]:
        return list(self._by_topic)

    def covers(self, kind: type[Any]) -> bool:
        return kind in self._topics

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        assert isinstance(domain_event, Snapshot)
        state = {name: _written(value) for name, value in domain_event.state.items()}
        return StoredEvent(
            originator_id=domain_event.originator_id,
            originator_version=domain_event.originator_version,
            topic=self._topics[domain_event.kind],
            state=msgspec.json.encode(state),
        )

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """Raises `MapperDeserialisationError` for state of other code than this."""
        assert isinstance(stored_event.originator_id, UUID)
        kind = self._by_topic.get(stored_event.topic)
        if kind is None:
            raise MapperDeserialisationError(f"a snapshot of other code: {stored_event.topic}")
        state = {name: _read(value, kind) for name, value in msgspec.json.decode(stored_event.state).items()}
        return Snapshot(stored_event.originator_id, stored_event.originator_version, kind, state)


class Snapshots(EventStore[UUID]):
    """The library's snapshot store, which asks the database for the few streams that have a snapshot only."""

    def __init__(self, pool: Pool, kinds: Mapping[type[Aggregate], Iterable[str]]) -> None:
        """`kinds` are the aggregates that may have snapshots, with the topics of their events."""
        self._pool = pool
        self._mapper = SnapshotMapper(kinds)
        self._event_topics = [topic for topics in kinds.values() for topic in topics]
        self._known: frozenset[UUID] = frozenset()
        self._known_until = 0.0
        super().__init__(self._mapper, SnapshotRecorder(pool))

    def get(
        self,
        originator_id: UUID,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Iterator[DomainEventProtocol[UUID]]:
        if originator_id not in self._streams():
            return iter(())
        found = self.recorder.select_events(originator_id, gt=gt, lte=lte, desc=desc, limit=limit)
        return map(self._mapper.to_domain_event, [one for one in found if one.topic in self._mapper.topics])

    def forget(self) -> None:
        """Ask the database again which streams have a snapshot."""
        self._known_until = 0.0

    def due(self) -> list[UUID]:
        """The streams that passed a multiple of 200 events since their last usable snapshot."""
        with self._pool.connection() as connection:
            rows = connection.execute(
                "SELECT e.stream_id FROM es.event e JOIN es.event_type t ON t.id = e.type LEFT JOIN ("
                " SELECT stream_id, max(version) AS version FROM es.snapshot WHERE topic = ANY(%s) GROUP BY 1) AS s"
                " ON s.stream_id = e.stream_id WHERE e.version %% 200 = 0 AND e.version > coalesce(s.version, 0)"
                " AND t.name = ANY(%s) GROUP BY 1",
                (self._mapper.topics, self._event_topics),
            ).fetchall()
        return [stream_id for (stream_id,) in rows]

    def keep(self, aggregate: Aggregate) -> None:
        """Keep this state instead of older ones."""
        stored = self._mapper.to_stored_event(Snapshot.take(aggregate))
        with self._pool.connection() as connection, connection.transaction():
            connection.execute("DELETE FROM es.snapshot WHERE stream_id = %s", (aggregate.id,))
            connection.execute(
                "INSERT INTO es.snapshot (stream_id, version, topic, data) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT DO NOTHING",  # another worker took it
                (aggregate.id, stored.originator_version, stored.topic, stored.state),
            )
        self.forget()

    def _streams(self) -> frozenset[UUID]:
        if self._known_until < time.monotonic():
            with self._pool.connection() as connection:
                rows = connection.execute(
                    "SELECT stream_id FROM es.snapshot WHERE topic = ANY(%s)", (self._mapper.topics,)
                ).fetchall()
            self._known = frozenset(stream_id for (stream_id,) in rows)
            self._known_until = time.monotonic() + KNOWN_FOR_S
        return self._known


def snapshot_topic(kind: type[Aggregate]) -> str:
    """The aggregate's topic with a fingerprint of its module: state of other code is never read."""
    source = inspect.getsource(sys.modules[kind.__module__])
    return f"{kind.TOPIC}@{hashlib.sha256(source.encode()).hexdigest()[:16]}"


def _written(value: Any) -> Any:
    """JSON for a value of an aggregate's state; what JSON has no word for carries its type's name."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (UUID, datetime):
        return {type(value).__name__: value}
    if isinstance(value, Enum):
        return {"enum": [type(value).__name__, value.name]}
    if type(value) is dict:
        return {"dict": [[_written(k), _written(v)] for k, v in value.items()]}
    if type(value) in _COLLECTIONS.values():
        return {type(value).__name__: [_written(one) for one in value]}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {"named": [type(value).__name__, *map(_written, value)]}
    if is_dataclass(value):
        return {"named": [type(value).__name__, *(_written(getattr(value, f.name)) for f in fields(value))]}
    raise TypeError(f"a snapshot cannot hold a {type(value).__name__}")


def _read(value: Any, kind: type[Aggregate]) -> Any:
    if not isinstance(value, dict):
        return value
    ((name, held),) = value.items()
    if name in _COLLECTIONS:
        return _COLLECTIONS[name](_read(one, kind) for one in held)
    if name == "dict":
        return {_read(k, kind): _read(v, kind) for k, v in held}
    if name in ("enum", "named"):
        known: Any = vars(sys.modules[kind.__module__])[held[0]]  # a word of the aggregate's own module
        return known[held[1]] if name == "enum" else known(*(_read(one, kind) for one in held[1:]))
    return UUID(held) if name == "UUID" else msgspec.convert(held, datetime)


_COLLECTIONS: dict[str, Any] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
