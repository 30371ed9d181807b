"""Stored events as followers see them: the event with its place in the global order and who caused it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from psycopg import Connection

from domain.base import MAX_COUNT, Aggregate
from runtime.event_archive.archive import ARCHIVED_UPTO, EventArchive
from runtime.event_archive.rows import ArchivedEvent
from runtime.recorder import IN_STREAM
from runtime.store import History

E = TypeVar("E", bound=Aggregate.Event, covariant=True)

_NAMES = (
    "position",
    "stream_id",
    "version",
    "type",
    "schema_version",
    "data",
    "event_id",
    "command_id",
    "correlation_id",
    "causation_id",
    "actor_id",
    "origin",
    "recorded_at",
)
_COLUMNS = ", ".join(_NAMES)


class Fact(msgspec.Struct, Generic[E], frozen=True):
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


class Entry(NamedTuple):
    """A row of the log that has not been decoded."""

    position: int
    stream_id: UUID
    row: tuple[Any, ...]


class Unknown(NamedTuple):
    """The first fact beyond what this code knows, and what it is."""

    position: int
    what: str


class _Types(NamedTuple):
    """Numbers of types that this code does not know; `stamp` tells whether the registry has changed since."""

    stamp: tuple[int, int]
    awaited: list[int]
    ignored: list[int]


class FactLog:
    """Reads the log in order; `history` knows how bytes become events."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._known = frozenset(history.codec.topics)
        self._strange: _Types | None = None

    def safe_position(self, connection: Connection[Any]) -> int:
        """Everything up to here is committed and seen by the next statement of a READ COMMITTED transaction."""
        row = connection.execute("SELECT es.safe_position()", prepare=True).fetchone()
        assert row is not None
        return int(row[0])

    def read(
        self,
        connection: Connection[Any],
        after: int,
        upto: int,
        topics: Sequence[str] | None,
        limit: int,
        part: int | None = None,
    ) -> list[AnyFact]:
        """At most `limit` facts with after < position ≤ upto; `topics` None means every topic, and `part` None the
        streams of every part."""
        return [self.fact(entry) for entry in self.entries(connection, after, upto, topics, limit, part)]

    def entries(
        self,
        connection: Connection[Any],
        after: int,
        upto: int,
        topics: Sequence[str] | None,
        limit: int,
        part: int | None = None,
    ) -> list[Entry]:
        """The rows of the same facts, for a reader that may not want or may not be able to decode all of them."""
        types = None if topics is None else [self._history.types.type_id(topic) for topic in topics]
        strange = self._strange or self._look_up_types(connection, (0, 0))
        rows = connection.execute(
            f"SELECT e.*, archived_upto FROM {ARCHIVED_UPTO} LEFT JOIN LATERAL ("
            f"SELECT {_COLUMNS} FROM es.event WHERE position > %s AND position <= %s"
            " AND (%s::int[] IS NULL OR type = ANY(%s)) AND type <> ALL(%s::int[])"
            " AND (%s::smallint IS NULL OR part = %s) ORDER BY position LIMIT %s) AS e ON true ORDER BY position",
            (after, upto, types, types, strange.ignored, part, part, limit),
            binary=True,
        ).fetchall()
        archived = rows[0][-1]
        found = [Entry(row[0], row[1], row) for row in rows if row[0] is not None]
        if archived is None or archived <= after:
            return found
        wanted = self._wanted(topics, strange, part)
        old = self._archive.between(connection, after, min(upto, archived), wanted, limit)
        return [*map(self._entry, old), *found][:limit]

    def at(self, connection: Connection[Any], positions: Sequence[int]) -> list[Entry]:
        """The rows at these positions, in order."""
        rows = connection.execute(
            f"SELECT e.*, archived_upto FROM {ARCHIVED_UPTO} LEFT JOIN LATERAL ("
            f"SELECT {_COLUMNS} FROM es.event WHERE position = ANY(%s)) AS e ON true ORDER BY position",
            (positions,),
            binary=True,
        ).fetchall()
        archived = rows[0][-1]
        old = [] if archived is None else self._archive.at(connection, (p for p in positions if p <= archived))
        return [*map(self._entry, old), *(Entry(row[0], row[1], row) for row in rows if row[0] is not None)]

    def fact(self, entry: Entry) -> AnyFact:
        """The fact that a row holds; raises `UnknownTopic` or `MapperDeserialisationError`."""
        return self._fact(entry.row)

    def unknown(self, connection: Connection[Any], after: int, upto: int, stamp: tuple[int, int]) -> Unknown | None:
        """The first fact with after < position ≤ upto of a type that this code does not know and nobody ignores.

        `stamp` is how many types are registered and how many of them are ignored.
        """
        strange = self._strange
        if strange is None or stamp != strange.stamp:
            strange = self._look_up_types(connection, stamp)
        if not strange.awaited:
            return None
        row = connection.execute(
            "SELECT e.position, t.name FROM es.event e JOIN es.event_type t ON t.id = e.type"
            " WHERE e.position > %s AND e.position <= %s AND e.type = ANY(%s) ORDER BY e.position LIMIT 1",
            (after, upto, strange.awaited),
        ).fetchone()
        return Unknown(row[0], f"no event class has the topic {row[1]!r}") if row else None

    @property
    def _archive(self) -> EventArchive:
        if self._history.archive is None:
            raise TypeError("events are archived, and this process was not told where")
        return self._history.archive

    def _entry(self, one: ArchivedEvent) -> Entry:
        """The row that the table would have."""
        values = one._asdict() | {"type": self._history.types.type_id(one.topic)}
        return Entry(one.position, one.stream_id, tuple(values[name] for name in _NAMES))

    def _wanted(
        self, topics: Sequence[str] | None, strange: _Types, part: int | None
    ) -> Callable[[ArchivedEvent], bool]:
        ignored = {self._history.types.type_name(number) for number in strange.ignored}
        wanted = None if topics is None else frozenset(topics)

        def is_wanted(one: ArchivedEvent) -> bool:
            return (
                (wanted is None or one.topic in wanted)
                and one.topic not in ignored
                and (part is None or one.part == part)
            )

        return is_wanted

    def _look_up_types(self, connection: Connection[Any], stamp: tuple[int, int]) -> _Types:
        rows = connection.execute("SELECT id, name, ignored FROM es.event_type").fetchall()
        unknown = [(number, ignored) for number, name, ignored in rows if name not in self._known]
        awaited, passed_by = ([n for n, ignored in unknown if ignored is wanted] for wanted in (False, True))
        self._strange = _Types(stamp, awaited, passed_by)
        return self._strange

    def stream(self, stream_id: UUID) -> Iterator[AnyFact]:
        """Every fact of one stream, oldest first."""
        with self._history.pool.connection() as connection:
            rows = self._stream(connection, stream_id, MAX_COUNT)
        return map(self._fact, rows)

    def of_stream(
        self, connection: Connection[Any], stream_id: UUID, upto: int, topics: Sequence[str] | None
    ) -> list[AnyFact]:
        """The facts of one stream with position ≤ upto, oldest first; `topics` None means every topic."""
        types = None if topics is None else {self._history.types.type_id(topic) for topic in topics}
        rows = self._stream(connection, stream_id, upto)
        return [self._fact(row) for row in rows if types is None or row[_NAMES.index("type")] in types]

    def _stream(self, connection: Connection[Any], stream_id: UUID, upto: int) -> list[tuple[Any, ...]]:
        rows = connection.execute(
            f"SELECT e.*, archived_upto FROM {ARCHIVED_UPTO} LEFT JOIN LATERAL ("
            f"SELECT {_COLUMNS} FROM es.event WHERE stream_id = %(stream)s AND position <= %(upto)s {IN_STREAM}) AS e"
            " ON true ORDER BY version",
            {"stream": stream_id, "upto": upto},
            binary=True,
        ).fetchall()
        archived = rows[0][-1]
        old = [] if archived is None else self._archive.stream(connection, stream_id, min(upto, archived))
        return [*(self._entry(one).row for one in old), *(row for row in rows if row[0] is not None)]

    def streams_beside(self, connection: Connection[Any], stream_id: UUID, topics: Sequence[str]) -> list[UUID]:
        """The streams that got a fact of these topics from a command that this stream got one from."""
        types = [self._history.types.type_id(topic) for topic in topics]
        rows = connection.execute(
            f"SELECT archived_upto, e.stream_id FROM {ARCHIVED_UPTO} LEFT JOIN LATERAL ("
            "SELECT DISTINCT e.stream_id FROM es.event own JOIN es.command c USING (command_id)"
            " JOIN es.event e ON e.position BETWEEN c.first_position AND c.last_position"
            " AND e.command_id = c.command_id WHERE own.stream_id = %s AND e.type = ANY (%s)) AS e ON true",
            (stream_id, types),
        ).fetchall()
        found = {stream for _, stream in rows if stream is not None}
        if rows[0][0] is not None:
            found |= self._archived_beside(connection, stream_id, frozenset(topics), rows[0][0])
        return sorted(found)

    def _archived_beside(
        self, connection: Connection[Any], stream_id: UUID, topics: frozenset[str], upto: int
    ) -> set[UUID]:
        commands = {one.command_id for one in self._archive.stream(connection, stream_id, upto)}
        spans = connection.execute(
            "SELECT first_position, last_position FROM es.command WHERE command_id = ANY (%s)", (list(commands),)
        ).fetchall()
        beside = (one for first, last in spans for one in self._archive.between(connection, first - 1, last))
        return {one.stream_id for one in beside if one.command_id in commands and one.topic in topics}

    def _fact(self, row: tuple[Any, ...]) -> AnyFact:
        position, stream_id, version, type_id, schema_version, data, *rest = row[: len(_NAMES)]
        topic = self._history.types.type_name(type_id)
        event = self._history.codec.event(topic, stream_id, version, bytes(data), schema_version)
        return Fact(position, event, stream_id, version, topic, *rest)
