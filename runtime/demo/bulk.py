"""Many commands in one transaction: the event store for one writer who makes history faster than it happens.

Commands decide on streams that are kept in memory. Whatever they read or write besides takes the same connection, so
that it sees what was saved before it; in pipeline mode nobody waits for an answer that nobody reads. A batch is
committed whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, cast
from uuid import UUID

from eventsourcing.persistence import ApplicationRecorder, StoredEvent
from psycopg import Connection, Rollback
from psycopg_pool import ConnectionPool

from domain import EVENTS
from runtime.keyring import StoredKeyring
from runtime.recorder import APPEND, FloorRecorder, StreamConflict, VersionedEvent, stream_of
from runtime.store import History

#: Commands of one transaction. Each holds a floor lock until the commit, and PostgreSQL has room for a few thousand.
COMMANDS_AT_ONCE = 250
#: Streams that stay in memory from one batch to the next.
KEPT_STREAMS = 50_000
#: On a site with more streams than this the database is asked whether there is another one.
STREAMS_BEFORE = 100_000

#: Commands of one statement: a message for each would take longer on the way than in the server.
_TOGETHER = 50

Pool = ConnectionPool[Connection[Any]]


class _Lent:
    """What a pool is to those who ask for a connection: always the one of the batch, when `ready` has been called."""

    def __init__(self, connection: Connection[Any], ready: Callable[[], None]) -> None:
        self._connection = connection
        self._ready = ready

    @contextmanager
    def connection(self) -> Iterator[Connection[Any]]:
        self._ready()
        yield self._connection


class BulkRecorder(FloorRecorder):
    """Appends into the open batch, and knows every stream that it has read or written."""

    def __init__(self, connection: Connection[Any], schema_version: Callable[[str], int]) -> None:
        #: For who reads and writes beside the events.
        self.pool = cast(Pool, _Lent(connection, self._begin))
        super().__init__(self.pool, schema_version)
        self._connection = connection
        self._open: ExitStack | None = None
        self._queue: list[tuple[Any, ...]] = []
        self._streams: dict[UUID, list[StoredEvent]] = {}
        self._stored = self._streams_before()
        self.waiting = 0  # commands of the open batch
        self.events = 0

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """Takes the events into the batch; the answer counts them, for positions have not come back yet.

        Raises `StreamConflict` before anything is done; when `beside` fails, the batch has to be given up.
        """
        self._check(stored_events)
        if beside := kwargs.get("beside"):
            with self.pool.connection() as connection, connection.cursor() as cursor:
                beside(cursor)
        self._queue.append(self.arguments(stored_events, kwargs["metadata"], kwargs["reply"]))
        if len(self._queue) == _TOGETHER:
            self.send()
        for event in stored_events:
            version = self._schema_version(event.topic)
            self._streams[stream_of(event)].append(
                VersionedEvent(event.originator_id, event.originator_version, event.topic, event.state, version)
            )
        self.waiting += 1
        self.events += len(stored_events)
        return range(self.events - len(stored_events) + 1, self.events + 1)

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        assert isinstance(originator_id, UUID)
        found = self._stream(originator_id)[gt or 0 : lte]
        return found[:: -1 if desc else 1][:limit]

    def send(self) -> None:
        """What was appended is in the database, for who reads on this connection."""
        self._begin()
        if self._queue:
            queue, self._queue = self._queue, []
            calls = ", ".join([APPEND] * len(queue))
            parameters = [value for command in queue for value in command]
            self._connection.execute(f"SELECT {calls}", parameters, prepare=len(queue) == _TOGETHER)

    def commit(self) -> None:
        """Everybody sees the batch. Raises `UniqueViolation` when somebody else was faster: then nobody ever will."""
        self.send()
        if self._open is not None:
            opened, self._open = self._open, None
            opened.close()
        self.waiting = 0
        if len(self._streams) > KEPT_STREAMS:
            for stream_id in list(self._streams)[: KEPT_STREAMS // 2]:
                if self._streams.pop(stream_id) and self._stored is not None:
                    self._stored.add(stream_id)

    def give_up(self) -> None:
        """Nobody will ever see the open batch, if there is one."""
        if self._open is not None:
            opened, self._open = self._open, None
            opened.__exit__(Rollback, Rollback(), None)

    def _begin(self) -> None:
        if self._open is None:
            self._open = ExitStack()
            self._open.enter_context(self._connection.pipeline())
            self._open.enter_context(self._connection.transaction())

    def _streams_before(self) -> set[UUID] | None:
        """The streams whose events are in the database only; None when they are too many to keep."""
        rows = self._connection.execute(
            "SELECT DISTINCT stream_id FROM es.event LIMIT %s", (STREAMS_BEFORE + 1,)
        ).fetchall()
        return None if len(rows) > STREAMS_BEFORE else {row[0] for row in rows}

    def _check(self, events: Sequence[StoredEvent]) -> None:
        """Versions continue the streams as they are here; the database compares them with what others did."""
        ahead: dict[UUID, int] = {}
        for event in events:
            stream_id = stream_of(event)
            version = ahead.get(stream_id) or len(self._stream(stream_id))
            if event.originator_version != version + 1:
                raise StreamConflict(f"version {event.originator_version} does not follow {version}")
            ahead[stream_id] = version + 1

    def _stream(self, stream_id: UUID) -> list[StoredEvent]:
        stream = self._streams.get(stream_id)
        if stream is None:
            is_new = self._stored is not None and stream_id not in self._stored
            stream = self._streams[stream_id] = [] if is_new else list(super().select_events(stream_id))
        return stream


class BulkHistory(History):
    """The history as the one writer sees it; `bulk.commit()` shows it to all."""

    bulk: BulkRecorder

    def __init__(self, connection: Connection[Any], keyring: StoredKeyring) -> None:
        self._connection = connection
        pool = cast(Pool, _Lent(connection, lambda: self.bulk.send()))
        super().__init__(pool, EVENTS, keyring)
        # Streams are in memory, and folding a short one is faster than copying what was folded before.
        self.repository.cache = self.repository.snapshot_store = None

    def construct_recorder(self) -> ApplicationRecorder:
        self.bulk = self._event_recorder = BulkRecorder(self._connection, self._event_mapper.schema_version)
        self.bulk.register(self._event_mapper.topics)
        self.bulk.commit()  # whoever records the first event of a type would wait for the batch
        return self.bulk
