"""The library's recorder seam on our own append function: rows in, rows out, nothing decided.

Instead of the stock recorder's table lock and NOTIFY, `es.append` holds a shared floor lock (migration 0001), so many
writers commit together and a reader still never skips a position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString, NoReturn
from uuid import UUID

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    IntegrityError,
    Notification,
    OperationalError,
    StoredEvent,
    Subscription,
)
from psycopg import Connection, Cursor, errors
from psycopg import OperationalError as PsycopgOperationalError
from psycopg_pool import ConnectionPool

from runtime.event_archive.archive import ARCHIVED_UPTO, EventArchive
from runtime.packed_arrays import ByteaArray, IntArray, SmallintArray, UuidArray
from runtime.telemetry import EVENTS_APPENDED

#: Which partitions of the log have events of %(stream)s: all others are not looked at.
IN_STREAM: LiteralString = (
    "AND position >= (SELECT first_position FROM es.stream WHERE stream_id = %(stream)s)"
    " AND position <= (SELECT last_position FROM es.stream WHERE stream_id = %(stream)s)"
)

#: The call that appends; `FloorRecorder.arguments` has what it takes.
APPEND: LiteralString = "es.append(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"

Beside = Callable[[Cursor[Any]], None]


@dataclass(frozen=True, slots=True)
class VersionedEvent(StoredEvent):
    """A stored event with the schema version that its bytes were written in."""

    schema_version: int = 1


@dataclass(frozen=True, slots=True)
class Metadata:
    """Who asked for a set of events, and why: one per command."""

    command_id: UUID
    actor_id: UUID
    origin: str  # api, cli, edge, policy, seed
    correlation_id: UUID
    causation_id: UUID
    request_sha: bytes = b""
    ip: str | None = None
    user_agent: str | None = None


class CommandRepeated(Exception):
    """This command id was already carried out; nothing was appended."""


class StreamConflict(IntegrityError):
    """Another command appended to one of these streams first; nothing was appended."""


class FloorRecorder(ApplicationRecorder):
    """Appends through `es.append` and reads what is safe to read."""

    def __init__(
        self,
        pool: ConnectionPool[Connection[Any]],
        schema_version: Callable[[str], int],
        archive: EventArchive | None = None,
    ) -> None:
        self._pool = pool
        self._archive = archive
        self._schema_version = schema_version
        self._type_ids: dict[str, int] = {}
        self._type_names: dict[int, str] = {}

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """Append atomically; keywords `metadata`, optionally `reply` (bytes) and `beside` (runs in the transaction)."""
        if not stored_events:
            return []
        metadata: Metadata = kwargs["metadata"]
        beside: Beside | None = kwargs.get("beside")
        for event in stored_events:  # before a connection is held: a new topic needs one of its own
            self.type_id(event.topic)
        try:
            with self._pool.connection() as connection:
                if beside is None:  # one statement, one round trip
                    return self._append(connection.cursor(), stored_events, metadata, kwargs.get("reply", b""))
                with connection.transaction(), connection.cursor() as cursor:
                    beside(cursor)
                    return self._append(cursor, stored_events, metadata, kwargs.get("reply", b""))
        except errors.UniqueViolation as error:
            _raise_conflict(error)
        except PsycopgOperationalError as error:
            raise OperationalError(str(error)) from error

    def _append(
        self, cursor: Cursor[Any], events: Sequence[StoredEvent], metadata: Metadata, reply: bytes
    ) -> Sequence[int]:
        row = cursor.execute(f"SELECT {APPEND}", self.arguments(events, metadata, reply), prepare=True).fetchone()
        assert row is not None
        positions: Sequence[int] = row[0]
        EVENTS_APPENDED.inc(len(positions))
        return positions

    def arguments(self, events: Sequence[StoredEvent], metadata: Metadata, reply: bytes) -> tuple[object, ...]:
        """What `APPEND` takes."""
        return (
            metadata.command_id,
            metadata.request_sha,
            reply,
            metadata.correlation_id,
            metadata.causation_id,
            metadata.actor_id,
            metadata.origin,
            metadata.ip,
            metadata.user_agent,
            UuidArray.of([stream_of(e) for e in events]),
            IntArray.of([e.originator_version for e in events]),
            IntArray.of([self.type_id(e.topic) for e in events]),
            SmallintArray.of([self._schema_version(e.topic) for e in events]),
            ByteaArray.pack([e.state for e in events]),
        )

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
        bounds = {"gt": -1 if gt is None else gt, "lte": 2**31 - 1 if lte is None else lte}
        try:
            with self._pool.connection() as connection:
                rows = connection.execute(
                    f"SELECT archived_upto, e.* FROM {ARCHIVED_UPTO} LEFT JOIN LATERAL ("
                    "SELECT version, type, data, schema_version FROM es.event WHERE stream_id = %(stream)s"
                    f" AND version > %(gt)s AND version <= %(lte)s {IN_STREAM}"
                    f" ORDER BY version {order} LIMIT %(limit)s) AS e ON true ORDER BY version {order}",
                    {"stream": originator_id, "limit": limit, **bounds},
                    prepare=True,
                ).fetchall()
                upto = rows[0][0]
                found = [
                    VersionedEvent(originator_id, version, self.type_name(number), bytes(data), schema)
                    for _, version, number, data, schema in rows
                    if version is not None
                ]
                is_whole = any(one.originator_version <= max(0, bounds["gt"]) + 1 for one in found)
                if upto is None or is_whole or (desc and len(found) == limit):
                    return found
                old = self._archived(connection, originator_id, upto, **bounds)
        except PsycopgOperationalError as error:
            raise OperationalError(str(error)) from error
        return ([*found, *old[::-1]] if desc else [*old, *found])[:limit]  # old ones come before all in the table

    def _archived(
        self, connection: Connection[Any], stream_id: UUID | str, upto: int, *, gt: int, lte: int
    ) -> list[VersionedEvent]:
        """What of the stream lies in files."""
        if self._archive is None:
            raise TypeError("events are archived, and this process was not told where")
        return [
            VersionedEvent(stream_id, one.version, one.topic, one.data, one.schema_version)
            for one in self._archive.stream(connection, UUID(str(stream_id)), upto, gt)
            if one.version <= lte
        ]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        after = (start or 0) - (1 if inclusive_of_start else 0)
        types = self._type_filter(topics)
        with self._pool.connection() as connection:
            safe = connection.execute("SELECT es.safe_position()").fetchone()
            assert safe is not None
            rows = connection.execute(
                "SELECT position, stream_id, version, type, data FROM es.event WHERE position > %s AND position <= %s"
                " AND (%s::int[] IS NULL OR type = ANY(%s)) ORDER BY position LIMIT %s",
                (after, safe[0] if stop is None else min(stop, safe[0]), types, types, limit),
            ).fetchall()
        return [Notification(s, v, self.type_name(t), bytes(d), p) for p, s, v, t, d in rows]

    def max_notification_id(self) -> int | None:
        with self._pool.connection() as connection:
            row = connection.execute("SELECT max(position) FROM es.event").fetchone()
        return row[0] if row else None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        raise TypeError("followers read positions (runtime/follow.py); LISTEN/NOTIFY would serialise every commit")

    def type_id(self, topic: str) -> int:
        """The registered number of a topic; registers it when it is new."""
        if topic not in self._type_ids:
            self.register([topic])
        return self._type_ids[topic]

    def type_name(self, type_id: int) -> str:
        if type_id not in self._type_names:
            self.register([])
        return self._type_names[type_id]

    def register(self, topics: Sequence[str]) -> None:
        """Make `topics` known to the database and read the whole registry."""
        with self._pool.connection() as connection:
            connection.execute(
                "INSERT INTO es.event_type (name) SELECT n FROM unnest(%s::text[]) AS t (n)"
                " WHERE NOT EXISTS (SELECT FROM es.event_type WHERE name = n) ON CONFLICT DO NOTHING",
                (list(topics),),
            )
            rows = connection.execute("SELECT id, name FROM es.event_type").fetchall()
        self._type_names = dict(rows)
        self._type_ids = {name: number for number, name in rows}

    def _type_filter(self, topics: Sequence[str]) -> list[int] | None:
        return [self.type_id(topic) for topic in topics] or None


def stream_of(event: StoredEvent) -> UUID:
    assert isinstance(event.originator_id, UUID)
    return event.originator_id


def _raise_conflict(error: errors.UniqueViolation) -> NoReturn:
    if error.diag.constraint_name == "command_pkey":
        raise CommandRepeated from error
    if error.diag.constraint_name == "stream_pkey":
        raise StreamConflict(str(error)) from error
    raise error


assert issubclass(FloorRecorder, AggregateRecorder)
