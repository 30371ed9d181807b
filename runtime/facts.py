"""Stored events as followers see them: the event with its place in the global order and who caused it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

import msgspec
from psycopg import Connection

from domain.base import MAX_COUNT, Aggregate
from runtime.codec import EventReader
from runtime.event_archive.archive import ARCHIVED_UPTO, EventArchive
from runtime.event_archive.rows import ArchivedEvent
from runtime.recorder import IN_STREAM, FloorRecorder
from runtime.store import History

E = TypeVar("E", bound=Aggregate.Event, covariant=True)

#: What makes a fact, and what tells of its causes: half of what a row costs, and few projections ask for it.
_OF_FACTS = ("position", "stream_id", "version", "type", "schema_version", "data", "actor_id")
_OF_CAUSES = ("event_id", "command_id", "correlation_id", "causation_id", "origin", "recorded_at")
_NAMES = _OF_FACTS + _OF_CAUSES
_COLUMNS = ", ".join(_NAMES)


class Fact(msgspec.Struct, Generic[E], frozen=True):
    """One event of the log. `at` is when it was decided; `position` orders all facts of the site."""

    position: int
    event: E
    stream_id: UUID
    version: int
    topic: str
    actor_id: UUID

    @property
    def at(self) -> datetime:
        return self.event.timestamp


class Caused(Fact[E], Generic[E], frozen=True):
    """A fact with the command that it comes from, and what that was an answer to."""

    event_id: UUID
    command_id: UUID
    correlation_id: UUID
    causation_id: UUID
    origin: str
    recorded_at: datetime


AnyFact = Fact[Any]
AnyCaused = Caused[Any]
F = TypeVar("F", bound=AnyFact)


#: What `_NAMES` names, or `_OF_FACTS` alone, and whatever else a query answers.
Row = tuple[Any, ...]


class Entry(NamedTuple):
    """A row of the log that has not been decoded."""

    position: int
    stream_id: UUID
    row: Row

    def topic(self, types: FloorRecorder) -> str:
        """What the registry calls its type."""
        return types.type_name(self.row[_NAMES.index("type")])


class Unknown(NamedTuple):
    """The first fact beyond what this code knows, and what it is."""

    position: int
    what: str


class Asks(Protocol):
    """Whoever reads facts: of these topics, None for all, and whether their causes matter."""

    @property
    def topics(self) -> Sequence[str] | None: ...

    @property
    def causes(self) -> bool: ...


class _Asked(NamedTuple):
    topics: Sequence[str] | None
    part: int | None = None
    causes: bool = True


_POSITION = itemgetter(0)


class _Types(NamedTuple):
    """Numbers of types that this code does not know; `stamp` tells whether the registry has changed since."""

    stamp: tuple[int, int]
    awaited: list[int]
    ignored: list[int]


#: Positions of the archive that a reader looks at before it says how far it has come: a file knows nothing of topics.
ARCHIVED_AT_ONCE = 100_000


class _Readers(dict[int, tuple[str, EventReader]]):
    """By the number of a type: its topic, and what makes events of its rows, which have to be opened yet."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self._history = history

    def __missing__(self, type_id: int) -> tuple[str, EventReader]:
        topic = self._history.types.type_name(type_id)
        found = self[type_id] = (topic, self._history.codec.sealed_reader(topic))
        return found


class FactLog:
    """Reads the log in order; `history` knows how bytes become events."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._known = frozenset(history.codec.topics)
        self._strange: _Types | None = None
        self._readers = _Readers(history)

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
    ) -> list[AnyCaused]:
        """At most `limit` facts with after < position ≤ upto; `topics` None means every topic, and `part` None the
        streams of every part."""
        return self._facts(self._caused, self._rows(connection, after, upto, limit, _Asked(topics, part)))

    def read_for(
        self, asks: Asks, connection: Connection[Any], after: int, upto: int, limit: int, part: int | None = None
    ) -> Sequence[AnyFact]:
        """The same of what a follower asks for: with their causes, or without."""
        make = self._caused if asks.causes else self._brief
        rows = self._rows(connection, after, upto, limit, _Asked(asks.topics, part, asks.causes))
        return self._facts(make, rows) if self._history.codec.has_personal_text(asks.topics) else list(map(make, rows))

    def entries_for(self, asks: Asks, connection: Connection[Any], after: int, upto: int, limit: int) -> list[Entry]:
        """The rows of the same facts, for a reader that may not want or may not be able to decode all of them."""
        rows = self._rows(connection, after, upto, limit, _Asked(asks.topics, None, asks.causes))
        return [Entry(row[0], row[1], row) for row in rows]

    def _rows(self, connection: Connection[Any], after: int, upto: int, limit: int, asked: _Asked) -> list[Row]:
        topics, part, causes = asked
        types = None if topics is None else [self._history.types.type_id(topic) for topic in topics]
        strange = self._strange or self._look_up_types(connection, (0, 0))
        names = _NAMES if causes else _OF_FACTS
        rows: list[Row] = connection.execute(
            f"SELECT e.*, archived_upto FROM {ARCHIVED_UPTO} LEFT JOIN LATERAL ("
            f"SELECT {', '.join(names)} FROM es.event WHERE position > %s AND position <= %s"
            " AND (%s::int[] IS NULL OR type = ANY(%s)) AND type <> ALL(%s::int[])"
            " AND (%s::smallint IS NULL OR part = %s) ORDER BY position LIMIT %s) AS e ON true",
            (after, upto, types, types, strange.ignored, part, part, limit),
            binary=True,
        ).fetchall()
        archived = rows[0][-1]
        found = rows if rows[0][0] is not None else []
        found.sort(key=_POSITION)  # as they mostly are: cheaper here than another sort there
        if archived is None or archived <= after:
            return found
        wanted = self._wanted(topics, strange, part)
        old = self._archive.between(connection, after, min(upto, archived), wanted, limit)
        return [*(self._row(one, names) for one in old), *found][:limit]

    def within_reach(self, connection: Connection[Any], after: int, upto: int) -> int:
        """How far to read in one transaction: `upto`, or less where the log lies in files."""
        if upto - after <= ARCHIVED_AT_ONCE:
            return upto
        row = connection.execute(
            "SELECT greatest(%s, first_position - 1) FROM es.archived_events WHERE last_position > %s"
            " ORDER BY first_position LIMIT 1",
            (after, after),
        ).fetchone()
        return upto if row is None else min(upto, int(row[0]) + ARCHIVED_AT_ONCE)

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
        found = [*(self._row(one, _NAMES) for one in old), *(row for row in rows if row[0] is not None)]
        return [Entry(row[0], row[1], row) for row in found]

    def fact(self, entry: Entry) -> AnyFact:
        """The fact that a row holds; raises `UnknownTopic` or `MapperDeserialisationError`."""
        make = self._caused if len(entry.row) >= len(_NAMES) else self._brief
        return self._facts(make, [entry.row])[0]

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
            f"SELECT archived_upto, e.position, e.name FROM {ARCHIVED_UPTO} LEFT JOIN LATERAL ("
            "SELECT e.position, t.name FROM es.event e JOIN es.event_type t ON t.id = e.type"
            " WHERE e.position > %s AND e.position <= %s AND e.type = ANY(%s) ORDER BY e.position LIMIT 1"
            ") AS e ON true",
            (after, upto, strange.awaited),
        ).fetchone()
        assert row is not None
        archived, position, topic = row
        if archived is not None and archived > after:
            names = {self._history.types.type_name(number) for number in strange.awaited}
            old = self._archive.between(connection, after, min(upto, archived), lambda one: one.topic in names, 1)
            position, topic = (old[0].position, old[0].topic) if old else (position, topic)
        return None if position is None else Unknown(position, f"no event class has the topic {topic!r}")

    @property
    def _archive(self) -> EventArchive:
        if self._history.archive is None:
            raise TypeError("events are archived, and this process was not told where")
        return self._history.archive

    def _row(self, one: ArchivedEvent, names: Sequence[str]) -> Row:
        """The row that the table would have."""
        values = one._asdict() | {"type": self._history.types.type_id(one.topic)}
        return tuple(values[name] for name in names)

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

    def stream(self, stream_id: UUID) -> Iterator[AnyCaused]:
        """Every fact of one stream, oldest first."""
        with self._history.pool.connection() as connection:
            rows = self._stream(connection, stream_id, MAX_COUNT)
        return iter(self._facts(self._caused, rows))

    def of_stream(
        self, connection: Connection[Any], stream_id: UUID, upto: int, topics: Sequence[str] | None
    ) -> list[AnyCaused]:
        """The facts of one stream with position ≤ upto, oldest first; `topics` None means every topic."""
        types = None if topics is None else {self._history.types.type_id(topic) for topic in topics}
        rows = self._stream(connection, stream_id, upto)
        return self._facts(self._caused, [row for row in rows if types is None or row[_NAMES.index("type")] in types])

    def _stream(self, connection: Connection[Any], stream_id: UUID, upto: int) -> list[Row]:
        rows = connection.execute(
            f"SELECT e.*, archived_upto FROM {ARCHIVED_UPTO} LEFT JOIN LATERAL ("
            f"SELECT {_COLUMNS} FROM es.event WHERE stream_id = %(stream)s AND position <= %(upto)s {IN_STREAM}) AS e"
            " ON true ORDER BY version",
            {"stream": stream_id, "upto": upto},
            binary=True,
        ).fetchall()
        archived = rows[0][-1]
        old = [] if archived is None else self._archive.stream(connection, stream_id, min(upto, archived))
        return [*(self._row(one, _NAMES) for one in old), *(row for row in rows if row[0] is not None)]

    def streams_beside(self, connection: Connection[Any], stream_id: UUID, topics: Sequence[str]) -> list[UUID]:
        """The streams that got a fact of these topics from a command that this stream got one from."""
        types = [self._history.types.type_id(topic) for topic in topics]
        commands = {row[_NAMES.index("command_id")] for row in self._stream(connection, stream_id, MAX_COUNT)}
        rows = connection.execute(
            f"SELECT archived_upto, c.* FROM {ARCHIVED_UPTO} LEFT JOIN LATERAL ("
            "SELECT c.first_position, c.last_position, e.stream_id FROM es.command c LEFT JOIN es.event e"
            " ON e.position BETWEEN c.first_position AND c.last_position AND e.command_id = c.command_id"
            " AND e.type = ANY (%s) WHERE c.command_id = ANY (%s)) AS c ON true",
            (types, list(commands)),
        ).fetchall()
        found = {stream for *_, stream in rows if stream is not None}
        archived = rows[0][0]
        old = {p for _, first, last, _ in rows if archived and first for p in range(first, min(last, archived) + 1)}
        beside = self._archive.at(connection, old) if old else []
        found |= {one.stream_id for one in beside if one.command_id in commands and one.topic in topics}
        return sorted(found)

    def _facts(self, make: Callable[[Row], F], rows: Iterable[Row]) -> list[F]:
        facts = list(map(make, rows))
        self._history.codec.open_all(fact.event for fact in facts)
        return facts

    def _brief(self, row: Row) -> AnyFact:
        topic, read = self._readers[row[3]]
        return Fact(row[0], read(row[1], row[2], row[5], row[4]), row[1], row[2], topic, row[6])

    def _caused(self, row: Row) -> AnyCaused:
        topic, read = self._readers[row[3]]
        event = read(row[1], row[2], row[5], row[4])
        return Caused(row[0], event, row[1], row[2], topic, *row[6 : len(_NAMES)])
