"""The event store as commands see it: get an aggregate, decide, save; one thin module over the library.

`History` is the process's store (the library's `Application` with our recorder and mapper). `Store` is one command's
view of it: it knows who is asking and under which command id, so no event can be saved without an actor.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, TypeVar, overload
from uuid import UUID, uuid4

import msgspec
from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.persistence import ApplicationRecorder, EventStore, Mapper
from psycopg import Connection
from psycopg_pool import ConnectionPool
from pydantic import BaseModel

from domain.base import Aggregate, Created
from domain.errors import Conflict, NotFound
from runtime.codec import EventMapper
from runtime.event_archive.archive import EventArchive
from runtime.keyring import StoredKeyring
from runtime.recorder import Beside, CommandRepeated, FloorRecorder, Metadata, StreamConflict
from runtime.snapshots import Snapshot, Snapshots

#: The actor of a command whose caller is not known yet: nothing can be saved in this name.
NOBODY = UUID(int=0)

A = TypeVar("A", bound=Aggregate)
R = TypeVar("R", bound="Receipt")


#: Aggregates that a process keeps and fast-forwards, so that a long stream is folded once and not at every command.
CACHED_AGGREGATES = 5000


class NoSuchThing(NotFound):
    """There is no aggregate of that kind with that id."""

    code = "not_found"


class VersionConflict(Conflict):
    """The thing changed since the caller looked at it."""


class CommandIdReused(Conflict):
    """The Idempotency-Key was used for another request."""

    code = "idempotency_key_reused"


class ActorMissing(Exception):
    """A mistake of ours: the command was about to save facts that nobody asked for."""


class AlreadyDone(Exception):
    """The command was carried out before; `reply` is what the first answer said."""

    def __init__(self, reply: dict[str, Any]) -> None:
        super().__init__("already done")
        self.reply = reply


class Receipt(BaseModel):
    """What a command answers: the aggregate's id and version, and the position to wait for when reading it back."""

    #: Fields that are shown once and never kept, so a repeated command answers them with null.
    WITHHELD: ClassVar[frozenset[str]] = frozenset()
    #: Fields that name the person whose id the receipt has: kept as ciphertext under that person's data key.
    PERSONAL: ClassVar[frozenset[str]] = frozenset()

    id: UUID
    version: int
    position: int


class History(Application[UUID]):
    """All events of the site, behind the library's mapper and recorder seams."""

    def __init__(
        self,
        pool: ConnectionPool[Connection[Any]],
        kinds: Iterable[type[Aggregate.Event]],
        keyring: StoredKeyring,
        archive: EventArchive | None = None,
    ) -> None:
        """`archive` has the events that do not lie in the table any more; unless given, all do."""
        self.pool = pool
        self.archive = archive
        self.keyring = keyring
        self._event_mapper = EventMapper(kinds, keyring)
        self._event_recorder = FloorRecorder(pool, self._event_mapper.schema_version, archive)
        super().__init__({"AGGREGATE_CACHE_MAXSIZE": str(CACHED_AGGREGATES), "IS_SNAPSHOTTING_ENABLED": "y"})

    def construct_mapper(self) -> Mapper[UUID]:
        return self._event_mapper

    def construct_recorder(self) -> ApplicationRecorder:
        return self._event_recorder

    def construct_snapshot_store(self) -> EventStore[UUID]:
        return Snapshots(self.pool, self._event_mapper.aggregates_without_personal_text)

    @property
    def codec(self) -> EventMapper:
        return self._event_mapper

    @property
    def types(self) -> FloorRecorder:
        return self._event_recorder

    def aggregate(self, kind: type[A], aggregate_id: UUID, version: int | None = None) -> A:
        """The aggregate as it is, or as it was at `version`; raises `NoSuchThing`."""
        try:
            found: object = self.repository.get(aggregate_id, version=version, projector_func=_project)
        except AggregateNotFoundError:
            raise NoSuchThing(f"no such {kind.__name__.lower()}") from None
        if not isinstance(found, kind):
            raise NoSuchThing(f"no such {kind.__name__.lower()}")
        return found

    def take_snapshots(self) -> int:
        """Snapshots of the streams that have grown long since their last one; returns how many were taken.

        From recorded events only, and in nobody's command: a worker calls this from time to time.
        """
        assert isinstance(self.snapshots, Snapshots)
        due = self.snapshots.due()
        for stream_id in due:
            self.snapshots.keep(self.repository._reconstruct_aggregate(stream_id, None, _project))  # not the cached one
        return len(due)

    def reply(self, metadata: Metadata) -> dict[str, Any] | None:
        """What the command with this id answered, or None; raises `CommandIdReused` for another request's id."""
        with self.pool.connection() as connection:
            row = connection.execute(
                "SELECT request_sha, reply, last_position FROM es.command WHERE command_id = %s", (metadata.command_id,)
            ).fetchone()
        if row is None:
            return None
        if bytes(row[0]) != metadata.request_sha:
            raise CommandIdReused("this Idempotency-Key was used for another request")
        kept = msgspec.json.decode(bytes(row[1]) or b"{}")
        for name, value in kept.items():
            if isinstance(value, dict) and value.keys() == {"sealed"}:
                kept[name] = self.keyring.open(UUID(kept["id"]), value["sealed"], f"{metadata.command_id}/{name}")
        return {**kept, "position": row[2]}


@dataclasses.dataclass(frozen=True)
class Store:
    """The store for one command: who asks, under which id, and whom to wake afterwards."""

    history: History
    metadata: Metadata
    wake: Callable[[list[str]], None]
    expected_version: int | None = None  # If-Match

    def get(self, kind: type[A], aggregate_id: UUID) -> A:
        """The aggregate; raises `NoSuchThing`."""
        return self.history.aggregate(kind, aggregate_id)

    def find(self, kind: type[A], aggregate_id: UUID) -> A | None:
        """The aggregate, or None."""
        try:
            return self.get(kind, aggregate_id)
        except NoSuchThing:
            return None

    def edit(self, kind: type[A], aggregate_id: UUID) -> A:
        """The aggregate that the caller is looking at; raises `VersionConflict` when If-Match names another version."""
        found = self.get(kind, aggregate_id)
        if self.expected_version is not None and found.version != self.expected_version:
            raise VersionConflict(f"the current version is {found.version}")
        return found

    def edit_or_open(self, kind: type[A], aggregate_id: UUID, make: Callable[[], A]) -> A:
        """As `edit`, of a thing that is there once somebody changes it: `make` gives it as it is before that, which has
        no version yet."""
        if self.find(kind, aggregate_id) is not None:
            return self.edit(kind, aggregate_id)
        if self.expected_version is not None:
            raise VersionConflict("nothing was changed here yet, so there is no version")
        return make()

    def acting_as(self, actor_id: UUID) -> Store:
        """The same command with a named actor: for callers that have no account before this command."""
        return dataclasses.replace(self, metadata=dataclasses.replace(self.metadata, actor_id=actor_id))

    @overload
    def save(self, *aggregates: Aggregate, answer: type[R], beside: Beside | None = None, **extra: Any) -> R: ...

    @overload
    def save(self, *aggregates: Aggregate, beside: Beside | None = None, **extra: Any) -> Receipt: ...

    def save(
        self,
        *aggregates: Aggregate,
        answer: type[Receipt] | None = None,
        beside: Beside | None = None,
        **extra: Any,
    ) -> Receipt:
        """Append what the aggregates decided, all or nothing, and answer for the first of them.

        `beside` runs in the same transaction (blobs, credentials). `extra` are further fields of the answer.
        Nothing decided, nothing recorded: the position is then 0. Raises `VersionConflict`, `AlreadyDone`,
        `CommandIdReused`.
        """
        kind: type[Any] = answer or Receipt
        first = aggregates[0]
        fields = {"id": first.id, "version": first.version, **extra}
        topics = [self.history.codec.shape(type(e)).topic for a in aggregates for e in a.pending_events]
        position = self._append(aggregates, fields, kind, beside) if topics else 0
        self.wake(topics)
        receipt: Receipt = kind(position=position, **fields)
        return receipt

    def record(
        self, kind: type[Aggregate.Event], stream_id: UUID, *, beside: Beside | None = None, **fields: Any
    ) -> int:
        """Append one fact to a log stream, which has no aggregate to load; returns its position."""
        last = self.history.events.recorder.select_events(stream_id, desc=True, limit=1)
        event = kind(
            originator_id=stream_id,
            originator_version=last[0].originator_version + 1 if last else 1,
            timestamp=kind.create_timestamp(),
            **fields,
        )
        recordings = self._put([event], {}, beside)
        self.wake([self.history.codec.shape(kind).topic])
        return recordings

    def _append(
        self, aggregates: tuple[Aggregate, ...], fields: dict[str, Any], kind: type[Receipt], beside: Beside | None
    ) -> int:
        events = [event for aggregate in aggregates for event in aggregate.collect_events()]
        kept = {name: None if name in kind.WITHHELD else value for name, value in fields.items()}
        for name in kind.PERSONAL:
            context = f"{self.metadata.command_id}/{name}"
            kept[name] = {"sealed": self.history.keyring.seal(fields["id"], fields[name], context)}
        return self._put(events, kept, beside)

    def _put(self, events: list[Any], reply: dict[str, Any], beside: Beside | None) -> int:
        if self.metadata.actor_id == NOBODY:
            raise ActorMissing("no event without an actor: name one by `acting_as`")
        try:
            recordings = self.history.events.put(
                events, metadata=self.metadata, reply=msgspec.json.encode(reply), beside=beside
            )
        except StreamConflict:
            raise VersionConflict("somebody else changed this at the same moment") from None
        except CommandRepeated:
            reply_before = self.history.reply(self.metadata)
            assert reply_before is not None
            raise AlreadyDone(reply_before) from None
        return recordings[-1].notification.id


def unbound_metadata(actor_id: UUID, origin: str, command_id: UUID | None = None) -> Metadata:
    """Metadata of a command that comes from no request: it correlates with and is caused by itself."""
    command = command_id or new_id()
    return Metadata(command, actor_id, origin, correlation_id=command, causation_id=command)


_last_id = 0
_id_lock = threading.Lock()
#: Where the ids of a history that is made up come from (`runtime.demo`); no request and no setting reaches this.
_id_source: ContextVar[Callable[[], UUID] | None] = ContextVar("id_source", default=None)


@contextmanager
def ids_from(source: Callable[[], UUID]) -> Iterator[None]:
    """Let `new_id` ask `source` meanwhile, in this thread."""
    token = _id_source.set(source)
    try:
        yield
    finally:
        _id_source.reset(token)


def new_id() -> UUID:
    """A fresh UUIDv7 (RFC 9562 section 5.7), strictly increasing within the process."""
    global _last_id
    if source := _id_source.get():
        return source()
    with _id_lock:
        stamp = max(time.time_ns() // 1_000_000 << 12, _last_id + 1)  # 48 bits of milliseconds, 12 bits of sequence
        _last_id = stamp
    value = (stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | uuid4().int & (1 << 62) - 1
    return UUID(int=value)


def _project(aggregate: Any, events: Iterable[Any]) -> Any:
    """The library's projector without its per-event protocol check, which costs most of a replay.

    Streams that are logs (of an edge's journal, say) have ids like any other: what they hold is no aggregate.
    """
    for event in events:
        if aggregate is None and not isinstance(event, Created | Snapshot):
            return None
        aggregate = event.mutate(aggregate)
    return aggregate
