"""How does a long history come into the log at once? By COPY, in one transaction for some thousands of events.

For histories that were made elsewhere: another tracker's, a generated one. What `es.append` promises holds here too:
versions follow each other, positions rise in the order of what is brought, each command has its row, and no reader
passes a position that may still commit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from eventsourcing.domain import CanMutateAggregate
from eventsourcing.persistence import StoredEvent
from psycopg import Connection, Cursor, errors

from runtime.platform import Platform
from runtime.recorder import Metadata, StreamConflict
from runtime.store import NOBODY, ActorMissing

#: Events of one transaction. Followers wait for its end, about a quarter of a second.
EVENTS_AT_ONCE = 20_000

_EVENT = (
    "position, stream_id, version, part, type, schema_version, command_id, correlation_id, causation_id, actor_id,"
    " origin, data"
)
_EVENT_TYPES = ("int8", "uuid", "int4", "int2", "int4", "int2", "uuid", "uuid", "uuid", "uuid", "text", "bytea")
_COMMAND = "command_id, actor_id, request_sha, reply, first_position, last_position"
_COMMAND_TYPES = ("uuid", "uuid", "bytea", "bytea", "int8", "int8")


@dataclass(frozen=True, slots=True)
class ImportedCommand:
    """Events that belong together, oldest first, and who is on record for them. A command id is imported once, ever."""

    metadata: Metadata
    events: Sequence[CanMutateAggregate[UUID]]


@dataclass(frozen=True, slots=True)
class Imported:
    """What came in; `known` are commands that were there before."""

    commands: int = 0
    events: int = 0
    known: int = 0
    last_position: int = 0


Progress = Callable[[Imported], None]


def import_commands(
    platform: Platform,
    commands: Iterable[ImportedCommand],
    *,
    events_at_once: int = EVENTS_AT_ONCE,
    progress: Progress = lambda done: None,
) -> Imported:
    """Append all commands in their order; those that were imported before are passed over, so that a broken run can be
    repeated. Each transaction is whole or not there.

    Raises `StreamConflict` when an event does not follow its stream's last one, `ActorMissing`.
    """
    done = Imported()
    for batch in _batches(commands, events_at_once):
        done = _import(platform, batch, done)
        progress(done)
    return done


def _batches(commands: Iterable[ImportedCommand], events_at_once: int) -> Iterator[list[ImportedCommand]]:
    batch, events = list[ImportedCommand](), 0
    for command in commands:
        if not command.events:
            continue
        batch.append(command)
        events += len(command.events)
        if events >= events_at_once:
            yield batch
            batch, events = [], 0
    if batch:
        yield batch


def _import(platform: Platform, batch: list[ImportedCommand], done: Imported) -> Imported:
    if any(command.metadata.actor_id == NOBODY for command in batch):
        raise ActorMissing("no event without an actor")
    with platform.pool.connection() as connection:
        new = _unknown(connection, batch)
    codec = platform.history.codec
    stored = [[codec.to_stored_event(event) for event in command.events] for command in new]
    topics = list({event.topic for events in stored for event in events})
    for topic in topics:
        platform.history.types.type_id(topic)
    last = done.last_position
    if new:
        with platform.pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
            last = _copy(platform, cursor, new, stored)
        platform.wake(topics)
    return Imported(
        done.commands + len(new), done.events + sum(map(len, stored)), done.known + len(batch) - len(new), last
    )


def _unknown(connection: Connection[Any], batch: list[ImportedCommand]) -> list[ImportedCommand]:
    ids = [command.metadata.command_id for command in batch]
    rows = connection.execute("SELECT command_id FROM es.command WHERE command_id = ANY(%s)", (ids,)).fetchall()
    known = {command_id for (command_id,) in rows}
    return [command for command in batch if command.metadata.command_id not in known]


def _copy(
    platform: Platform, cursor: Cursor[Any], commands: list[ImportedCommand], stored: list[list[StoredEvent]]
) -> int:
    cursor.execute("SET LOCAL statement_timeout = 0")
    parts = _checked_streams(cursor, [event for events in stored for event in events])
    positions = iter(_positions(cursor, sum(map(len, stored))))
    types, codec = platform.history.types, platform.history.codec
    ends = list[tuple[int, int]]()
    try:
        with cursor.copy(f"COPY es.event ({_EVENT}) FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(_EVENT_TYPES)
            for command, events in zip(commands, stored, strict=True):
                meta = command.metadata
                who = meta.command_id, meta.correlation_id, meta.causation_id, meta.actor_id, meta.origin
                drawn = [next(positions) for _ in events]
                for position, event in zip(drawn, events, strict=True):
                    stream_id, topic = event.originator_id, event.topic
                    type_id, schema = types.type_id(topic), codec.schema_version(topic)
                    where = position, stream_id, event.originator_version, parts[stream_id], type_id, schema
                    copy.write_row((*where, *who, event.state))
                ends.append((drawn[0], drawn[-1]))
        with cursor.copy(f"COPY es.command ({_COMMAND}) FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(_COMMAND_TYPES)
            for command, (first, last) in zip(commands, ends, strict=True):
                meta = command.metadata
                copy.write_row((meta.command_id, meta.actor_id, meta.request_sha, b"{}", first, last))
    except errors.UniqueViolation as error:
        raise StreamConflict(str(error)) from error
    return ends[-1][1]


def _positions(cursor: Cursor[Any], count: int) -> list[int]:
    """New positions under a floor lock, as `es.append` takes it: the floor is read before the first one is drawn."""
    cursor.execute(
        "SELECT pg_advisory_xact_lock_shared((1::bigint << 61) | CASE WHEN is_called THEN last_value ELSE 0 END)"
        " FROM es.position"
    )
    rows = cursor.execute("SELECT nextval('es.position') FROM generate_series(1, %s)", (count,)).fetchall()
    return [position for (position,) in rows]


def _checked_streams(cursor: Cursor[Any], events: list[StoredEvent]) -> dict[UUID | str, int]:
    """The part of each stream. Raises `StreamConflict` when one does not go on where it ends."""
    brought: dict[UUID | str, list[int]] = defaultdict(list)
    for event in events:
        brought[event.originator_id].append(event.originator_version)
    rows = cursor.execute(
        "SELECT s, hashtextextended(s::text, 0) & 63,"
        " coalesce((SELECT max(version) FROM es.event WHERE stream_id = s), 0) FROM unnest(%s::uuid[]) AS t (s)",
        (list(brought),),
    ).fetchall()
    for stream_id, _, last in rows:
        versions = brought[stream_id]
        if versions != list(range(last + 1, last + 1 + len(versions))):
            raise StreamConflict(f"version {versions[0]} of {stream_id} does not follow {last}")
    return {stream_id: part for stream_id, part, _ in rows}
