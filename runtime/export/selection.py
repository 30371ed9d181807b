"""Which facts of the log does somebody ask for? Reads them a piece at a time, however long the log is."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

from eventsourcing.persistence import MapperDeserialisationError
from psycopg import Connection

from domain.base import Aggregate
from runtime.codec import EventMapper
from runtime.event_archive.archive import ARCHIVED_UPTO
from runtime.event_archive.rows import ArchivedEvent
from runtime.facts import Caused
from runtime.store import History

#: Positions that one statement looks at: what bounds its time where few of them are wanted.
WINDOW = 50_000
#: Facts that one statement brings: what bounds memory where all of them are wanted.
PAGE = 2_000
#: How often a reader that follows asks what is new.
POLL_S = 0.25

_DURATION = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
#: When a fact was decided: only its own bytes say so.
_AT: LiteralString = "(convert_from(data, 'UTF8')::json ->> 'timestamp')::timestamptz"
_COLUMNS: LiteralString = (
    "position, stream_id, version, type, actor_id, event_id, command_id, correlation_id, causation_id, origin,"
    " recorded_at, part, schema_version, data"
)


class BadSelection(Exception):
    """What was asked for cannot be there, or cannot be read; `str(error)` is one line."""


class StoredFact(Caused[Any], frozen=True):
    """A fact with what else is stored of it: enough to check it against the chain of the log."""

    part: int
    schema_version: int
    data: bytes


class Withheld:
    """A keyring that opens nothing: for readers who may not see personal text, and need not decrypt it."""

    def seal(self, subject: UUID, text: str, context: str) -> str:
        raise TypeError("nothing is written with a keyring that opens nothing")

    def open(self, subject: UUID, sealed: str, context: str) -> str:
        return ""

    def fetch(self, subjects: Collection[UUID]) -> None:
        """There is nothing to look up."""


@dataclass(frozen=True)
class Selection:
    """Conditions that all hold; None sets none. Times are when facts were decided, `until` not included."""

    topics: tuple[str, ...] | None = None
    stream_id: UUID | None = None
    actor_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    first: int = 1  # position
    last: int | None = None

    def described(self) -> dict[str, Any]:
        """The conditions that are set, as JSON has them."""
        said = {name: value for name, value in vars(self).items() if value is not None}
        return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in said.items()}

    def conditions(self) -> list[LiteralString]:
        """SQL over `es.event`, but for the positions; its parameters are the selection's own names."""
        wanted: list[tuple[object, LiteralString]] = [
            (self.topics, "type IN (SELECT id FROM es.event_type WHERE name = ANY(%(topics)s))"),
            (self.stream_id, "stream_id = %(stream_id)s"),
            (self.actor_id, "actor_id = %(actor_id)s"),
            (self.since, _AT + " >= %(since)s"),
            (self.until, _AT + " < %(until)s"),
        ]
        return [condition for value, condition in wanted if value is not None]

    def has(self, one: ArchivedEvent) -> bool:
        """The same conditions for an event that lies in a file."""
        return (
            (self.topics is None or one.topic in self.topics)
            and (self.stream_id is None or one.stream_id == self.stream_id)
            and (self.actor_id is None or one.actor_id == self.actor_id)
            and (self.since is None or one.decided_at >= self.since)
            and (self.until is None or one.decided_at < self.until)
        )

    def params(self) -> dict[str, Any]:
        return {**vars(self), "topics": None if self.topics is None else list(self.topics)}


@dataclass
class Count:
    """How many facts, and the bytes of what they say."""

    events: int = 0
    data_bytes: int = 0

    def add(self, events: int, data_bytes: int) -> None:
        self.events += events
        self.data_bytes += data_bytes


@dataclass
class Stats:
    """Facts by type, by day (UTC) on which they were decided, and in all."""

    total: Count = field(default_factory=Count)
    types: dict[str, Count] = field(default_factory=dict)
    days: dict[date, Count] = field(default_factory=dict)
    first: int | None = None
    last: int | None = None
    #: The whole log with its indexes on disk, whatever was selected.
    stored_bytes: int = 0


class SelectedFacts:
    """Reads what a selection asks for. Personal text is left out unless `with_personal`."""

    def __init__(self, history: History, kinds: Iterable[type[Aggregate.Event]], *, with_personal: bool) -> None:
        self._types = history.types
        self._archive = history.archive
        self._mapper = history.codec if with_personal else EventMapper(kinds, Withheld())
        self._with_personal = with_personal

    def fields(self, fact: StoredFact) -> dict[str, Any]:
        """What the fact says, by name; null for what is left out."""
        shape = self._mapper.shape(type(fact.event))
        withheld = () if self._with_personal else shape.personal
        names = (name for name in shape.names if name != "timestamp")
        return {name: None if name in withheld else getattr(fact.event, name) for name in names}

    def one(self, connection: Connection[Any], position: int) -> StoredFact:
        """The fact at this position. Raises `BadSelection`."""
        found = self._page(connection, Selection(), position - 1, position, "ASC", 1)
        if not found:
            raise BadSelection(f"there is no event at position {position}")
        return found[0]

    def pages(self, connection: Connection[Any], selection: Selection, upto: int) -> Iterator[list[StoredFact]]:
        """What is selected up to that position, oldest first; `upto` is at most the log's safe position."""
        after, end = selection.first - 1, upto if selection.last is None else min(upto, selection.last)
        while after < end:
            edge = end if selection.stream_id else min(after + WINDOW, end)
            page = self._page(connection, selection, after, edge, "ASC", PAGE)
            if page:
                yield page
            after = page[-1].position if len(page) == PAGE else edge

    def newest(self, connection: Connection[Any], selection: Selection, upto: int, count: int) -> list[StoredFact]:
        """The last `count` of what is selected, oldest first."""
        found: list[StoredFact] = []
        edge = upto if selection.last is None else min(upto, selection.last)
        while edge >= selection.first and len(found) < count:
            after = selection.first - 1 if selection.stream_id else max(edge - WINDOW, selection.first - 1)
            found += self._page(connection, selection, after, edge, "DESC", count - len(found))
            edge = after
        return found[::-1]

    def follow(
        self,
        connection: Connection[Any],
        selection: Selection,
        after: int,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Iterator[StoredFact]:
        """What is selected after that position, each once and none passed over, for as long as the caller listens."""
        while selection.last is None or after < selection.last:
            upto = safe_position(connection)
            unseen = replace(selection, first=max(after + 1, selection.first))
            for page in self.pages(connection, unseen, upto):
                yield from page
            after = max(after, upto)
            sleep(POLL_S)

    def stats(self, connection: Connection[Any], selection: Selection, upto: int) -> Stats:
        """Counts of what is selected up to that position."""
        found = Stats()
        names: Counter[tuple[int, date]] = Counter()
        size: Counter[tuple[int, date]] = Counter()
        after, end = selection.first - 1, upto if selection.last is None else min(upto, selection.last)
        while after < end:
            edge = end if selection.stream_id else min(after + WINDOW, end)
            for type_id, day, events, data_bytes, first, last in self._counted(connection, selection, after, edge):
                names[type_id, day] += events
                size[type_id, day] += data_bytes
                found.first = first if found.first is None else min(found.first, first)
                found.last = last if found.last is None else max(found.last, last)
            after = edge
        for (type_id, day), events in names.items():
            topic = self._types.type_name(type_id)
            for count in (found.total, found.types.setdefault(topic, Count()), found.days.setdefault(day, Count())):
                count.add(events, size[type_id, day])
        found.stored_bytes = _stored_bytes(connection)
        return found

    def _page(
        self,
        connection: Connection[Any],
        selection: Selection,
        after: int,
        upto: int,
        order: LiteralString,
        limit: int,
    ) -> list[StoredFact]:
        """Ordered by version where one stream is wanted: the same order, by the index that knows the stream."""
        by: LiteralString = "version" if selection.stream_id else "position"
        where = " AND ".join(("position > %(after)s", "position <= %(upto)s", *selection.conditions()))
        rows = connection.execute(
            f"SELECT e.*, archived_upto FROM {ARCHIVED_UPTO} LEFT JOIN LATERAL (SELECT {_COLUMNS} FROM es.event"
            f" WHERE {where} ORDER BY {by} {order} LIMIT %(limit)s) AS e ON true ORDER BY {by} {order}",
            {**selection.params(), "after": after, "upto": upto, "limit": limit},
            binary=True,
        ).fetchall()
        archived = -1 if rows[0][-1] is None else rows[0][-1]
        found = [self._fact(row[:-1]) for row in rows if row[0] is not None]
        if archived <= after or (order == "DESC" and len(found) == limit):
            return found
        old = self._archived(connection, selection, after, min(upto, archived))
        return [*old, *found][:limit] if order == "ASC" else [*found, *old[::-1]][:limit]

    def _archived(self, connection: Connection[Any], selection: Selection, after: int, upto: int) -> list[StoredFact]:
        """What of the selection lies in files, oldest first."""
        if self._archive is None:
            raise TypeError("events are archived, and this process was not told where")
        if selection.stream_id:
            of_stream = self._archive.stream(connection, selection.stream_id, upto)
            found = [one for one in of_stream if one.position > after and selection.has(one)]
        else:
            found = self._archive.between(connection, after, upto, selection.has)
        return [self._fact(_as_row(one, self._types.type_id(one.topic))) for one in found]

    def _counted(
        self, connection: Connection[Any], selection: Selection, after: int, upto: int
    ) -> Iterator[tuple[int, date, int, int, int, int]]:
        """Type, day, events, bytes of data, first and last position."""
        where = " AND ".join(("position > %(after)s", "position <= %(upto)s", *selection.conditions()))
        rows = connection.execute(
            f"SELECT e.*, archived_upto FROM {ARCHIVED_UPTO} LEFT JOIN LATERAL (SELECT type, ({_AT} AT TIME ZONE"
            " 'UTC')::date, count(*), sum(octet_length(data))::bigint, min(position), max(position) FROM es.event"
            f" WHERE {where} GROUP BY 1, 2) AS e ON true",
            {**selection.params(), "after": after, "upto": upto},
        ).fetchall()
        yield from (row[:-1] for row in rows if row[0] is not None)
        archived = -1 if rows[0][-1] is None else rows[0][-1]
        for stored in self._archived(connection, selection, after, min(upto, archived)) if archived > after else ():
            day, place = stored.at.astimezone(UTC).date(), stored.position
            yield self._types.type_id(stored.topic), day, 1, len(stored.data), place, place

    def _fact(self, row: tuple[Any, ...]) -> StoredFact:
        position, stream_id, version, type_id, *rest = row
        schema_version, data = rest[-2:]
        topic = self._types.type_name(type_id)
        try:
            event = self._mapper.event(topic, stream_id, version, data, schema_version)
        except MapperDeserialisationError as error:
            raise BadSelection(f"the event at position {position} cannot be read: {error}") from None
        return StoredFact(position, event, stream_id, version, topic, *rest)


def _as_row(one: ArchivedEvent, type_id: int) -> tuple[Any, ...]:
    """As the table has it."""
    ids = one.actor_id, one.event_id, one.command_id, one.correlation_id, one.causation_id
    stored = one.part, one.schema_version, one.data
    return one.position, one.stream_id, one.version, type_id, *ids, one.origin, one.recorded_at, *stored


def safe_position(connection: Connection[Any]) -> int:
    """Up to here all is committed, and seen by the connection's next statement."""
    row = connection.execute("SELECT es.safe_position()").fetchone()
    assert row is not None
    return int(row[0])


def matching_topics(patterns: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """The topics that `torrent.approved` and `torrent.*` name. Raises `BadSelection` for what names none."""
    topics = sorted(known)
    found: set[str] = set()
    for pattern in patterns:
        prefix = pattern.removesuffix("*") if pattern.endswith(".*") else None
        named = {topic for topic in topics if topic == pattern or prefix is not None and topic.startswith(prefix)}
        if not named:
            raise BadSelection(f"no event has the type {pattern!r}; types read torrent.approved, or torrent.*")
        found |= named
    return tuple(sorted(found))


def moment(text: str, now: datetime) -> datetime:
    """The time that `text` names: ISO 8601 (UTC where it says no zone), or so long ago (90s, 30m, 2h, 7d, 4w).

    Raises `BadSelection`.
    """
    try:
        if found := _DURATION.fullmatch(text):
            return now - timedelta(**{_UNITS[found[2]]: int(found[1])})
        named = datetime.fromisoformat(text)
        return named.replace(tzinfo=UTC) if named.tzinfo is None else named.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadSelection(
            f"{text!r} is no time: write 2031-01-31, 2031-01-31T12:00:00Z, or 2h for 2 hours ago"
        ) from None


def _stored_bytes(connection: Connection[Any]) -> int:
    """Of the log and, should it be partitioned, of its parts."""
    row = connection.execute(
        "SELECT pg_total_relation_size('es.event') + coalesce((SELECT sum(pg_total_relation_size(relid))"
        " FROM pg_partition_tree('es.event') WHERE level > 0), 0)::bigint"
    ).fetchone()
    assert row is not None
    return int(row[0])
