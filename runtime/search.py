"""A search index outside of the database: Meilisearch, and the sender that keeps it equal to the read tables.

The index may be away, empty or behind at any time: PostgreSQL answers searches then, and the sender catches up later.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from psycopg import Connection
from psycopg_pool import ConnectionPool

if TYPE_CHECKING:
    from meilisearch import Client

#: Documents of one task: each task costs Meilisearch a commit, whatever its size.
BATCH = 2_000
SEARCH_TIMEOUT_S = 2
SEND_TIMEOUT_S = 10
TASK_TIMEOUT_MS = 60_000
#: After a failure searches do not try the index for so long, so that its absence costs one caller its timeout.
AVOID_S = 5.0
IDLE_S = 0.25
AFTER_FAILURE_S = 2.0
#: First half of the advisory lock that lets one sender work (the second: its index); 7919 is `runtime.rebuild`'s.
LOCK_CLASS = 7927

log = structlog.get_logger()


class SearchAway(Exception):
    """The index did not answer, or answered something else than its contract says."""


class TaskFailed(Exception):
    """The index refused a task."""


@dataclass(frozen=True)
class Hits:
    """Ids in order of relevance, counts per value of each facet, and about how many there are in all."""

    ids: list[str]
    facets: dict[str, dict[str, int]]
    total: int


@dataclass(frozen=True)
class Changes:
    """What an index has to be told next: documents to have, ids not to have, and the position reached by that."""

    documents: list[dict[str, Any]]
    gone: list[str]
    position: int
    last: bool  # nothing was left when this was read


class Source(Protocol):
    """Where an index's documents come from."""

    @property
    def uid(self) -> str: ...

    @property
    def settings(self) -> dict[str, Any]: ...

    def changes(self, connection: Connection[Any], after: int, limit: int) -> Changes:
        """At most `limit` changes of a position beyond `after`, oldest first."""
        ...


class MeiliIndex:
    """One index of a Meilisearch server. Its primary key is `id`, which must be filterable."""

    def __init__(self, url: str, api_key: str, uid: str) -> None:
        self.url = url
        self.uid = uid
        self._api_key = api_key
        self._avoid_until = 0.0

    def beside(self) -> MeiliIndex:
        """Another index of the same server, in which the next contents of this one are built."""
        return MeiliIndex(self.url, self._api_key, f"{self.uid}_next")

    @property
    def answering(self) -> bool:
        """Whether searches should try it."""
        return time.monotonic() >= self._avoid_until

    def healthy(self) -> bool:
        """Whether the server says that it is well; asks it."""
        try:
            with self._client(SEARCH_TIMEOUT_S) as client:
                return bool(client.health().get("status") == "available")
        except SearchAway:
            return False

    def configure(self, settings: Mapping[str, Any]) -> bool:
        """Make the index if there is none, and apply its settings; returns whether it is new. Raises `SearchAway`."""
        with self._client(SEND_TIMEOUT_S) as client:
            new = not _exists(client, self.uid)
            if new:
                self._finish(client, client.create_index(self.uid, {"primaryKey": "id"}).task_uid)
            self._finish(client, client.index(self.uid).update_settings(dict(settings)).task_uid)
        return new

    def drop(self) -> None:
        """Remove the index, if there is one."""
        with self._client(SEND_TIMEOUT_S) as client:
            if _exists(client, self.uid):
                self._finish(client, client.delete_index(self.uid).task_uid)

    def swap(self, other: MeiliIndex) -> None:
        """Exchange the contents of two indexes at once, so that no search sees half of one."""
        with self._client(SEND_TIMEOUT_S) as client:
            self._finish(client, client.swap_indexes([{"indexes": [self.uid, other.uid]}]).task_uid)

    def put(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Add or replace documents, and wait until they are found. One that is refused is logged, not retried."""
        if not documents:
            return
        try:
            with self._client(SEND_TIMEOUT_S) as client:
                self._finish(client, client.index(self.uid).add_documents(documents, "id").task_uid)
        except TaskFailed as error:
            if len(documents) == 1:
                log.error("search_document_refused", index=self.uid, id=documents[0]["id"], error=str(error))
                return
            half = len(documents) // 2
            self.put(documents[:half])
            self.put(documents[half:])

    def remove(self, ids: Sequence[str]) -> None:
        """Remove documents, and wait until they are found no more."""
        if ids:
            listed = ", ".join(map(quoted, ids))
            with self._client(SEND_TIMEOUT_S) as client:
                self._finish(client, client.index(self.uid).delete_documents(filter=f"id IN [{listed}]").task_uid)

    def search(
        self,
        text: str,
        *,
        filters: Sequence[str] = (),
        facets: Sequence[str] = (),
        sort: Sequence[str] = (),
        offset: int = 0,
        limit: int,
    ) -> Hits:
        """The ids of what matches; all `filters` must hold. Raises `SearchAway`."""
        options = {"filter": list(filters), "facets": list(facets), "sort": list(sort)}
        shown = {
            "attributesToRetrieve": ["id"],
            "matchingStrategy": "all",  # as PostgreSQL does: no word is left out to find something
            "offset": offset,
            "limit": limit,
        }
        try:
            with self._client(SEARCH_TIMEOUT_S) as client:
                found = client.index(self.uid).search(text, {**options, **shown})
                ids = [str(hit["id"]) for hit in found["hits"]]
                return Hits(ids, dict(found.get("facetDistribution") or {}), int(found.get("estimatedTotalHits", 0)))
        except SearchAway as error:
            self._avoid_until = time.monotonic() + AVOID_S
            log.warning("search_index_away", index=self.uid, error=str(error)[:200])
            raise

    @contextmanager
    def _client(self, timeout_s: int) -> Iterator[Client]:
        """A client of its own for each call, because the library's client keeps headers of a call in the client.

        Who has no index to talk to does not import the library, which brings a tenth of all that a process imports.
        """
        from meilisearch import Client
        from meilisearch.errors import MeilisearchError

        try:
            yield Client(self.url, self._api_key or None, timeout=timeout_s)
        except (MeilisearchError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SearchAway(f"{type(error).__name__}: {error}") from error

    def _finish(self, client: Client, task_uid: int) -> None:
        task = client.wait_for_task(task_uid, TASK_TIMEOUT_MS)
        if task.status != "succeeded":
            raise TaskFailed(str((task.error or {}).get("message", task.status)))


def quoted(value: str) -> str:
    """A value in a filter expression."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class Sender:
    """Tells an index what changed. Any number of processes may run one; an advisory lock lets one of them work.

    `pool` acts as the role that owns the read tables. The index is always behind or equal, never ahead.
    """

    def __init__(self, pool: ConnectionPool[Connection[Any]], index: MeiliIndex, source: Source) -> None:
        self._pool = pool
        self._index = index
        self._source = source
        self._configured = False

    def run(self, stop: threading.Event) -> None:
        """Send whatever changes until `stop` is set. The index may come and go."""
        pause = 0.0
        while not stop.wait(pause):
            try:
                pause = 0.0 if self.send() else IDLE_S
            except Exception as error:  # whatever it is, searches are answered without the index until it passes
                log.warning("search_sender_waits", index=self._index.uid, error=repr(error)[:200])
                pause = AFTER_FAILURE_S

    def send(self) -> int:
        """One batch; returns how many documents it was about. Raises `SearchAway`, `TaskFailed`."""
        with self._alone() as connection:
            if connection is None:
                return 0
            try:
                self._configure(connection)
                return self._send(connection)
            except (SearchAway, TaskFailed) as error:
                self._configured = False  # whatever comes back may be a new and empty server
                _record_error(connection, self._index.uid, str(error)[:500])
                raise

    def resync(self, progress: Callable[[int], None] = lambda count: None) -> int:
        """Build the whole index again beside the live one and exchange them; returns the number of changes sent."""
        with self._alone() as connection:
            if connection is None:
                raise TaskFailed("another sender is at work")
            fresh = self._index.beside()
            fresh.drop()
            self._configure(connection)
            fresh.configure(self._source.settings)
            sent, position, done = 0, 0, False
            while not done:
                changes = self._source.changes(connection, position, BATCH)
                _tell(fresh, changes)
                sent, position, done = sent + _size(changes), changes.position, changes.last
                progress(sent)
            self._index.swap(fresh)
            _record(connection, self._index.uid, position, caught_up=True)
            fresh.drop()
        return sent

    def _configure(self, connection: Connection[Any]) -> None:
        if self._configured:
            return
        if self._index.configure(self._source.settings):
            _record_start(connection, self._index.uid)
        self._configured = True

    def _send(self, connection: Connection[Any]) -> int:
        position = standing(connection, self._index.uid).position
        changes = self._source.changes(connection, position, BATCH)
        _tell(self._index, changes)
        if changes.position != position or changes.last:
            _record(connection, self._index.uid, changes.position, caught_up=changes.last)
        return _size(changes)

    @contextmanager
    def _alone(self) -> Iterator[Connection[Any] | None]:
        """A connection that holds this index's lock, or None when another one does.

        A session's lock, not a transaction's: no transaction stays open while Meilisearch works.
        """
        lock = (LOCK_CLASS, self._index.uid)
        with self._pool.connection() as connection:
            taken = connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", lock).fetchone()
            if taken != (True,):
                yield None
                return
            try:
                yield connection
            finally:
                connection.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", lock)


@dataclass(frozen=True)
class Standing:
    """How far an index has been told; `complete` once everything has been sent at least once."""

    position: int
    complete: bool


def standing(connection: Connection[Any], uid: str) -> Standing:
    row = connection.execute(
        "SELECT position, caught_up_at IS NOT NULL FROM es.search_index WHERE uid = %s", (uid,)
    ).fetchone()
    return Standing(*row) if row else Standing(0, False)


def _exists(client: Client, uid: str) -> bool:
    from meilisearch.errors import MeilisearchApiError

    try:
        client.get_raw_index(uid)
    except MeilisearchApiError as error:
        if error.code == "index_not_found":
            return False
        raise
    return True


def _tell(index: MeiliIndex, changes: Changes) -> None:
    index.put(changes.documents)
    index.remove(changes.gone)


def _size(changes: Changes) -> int:
    return len(changes.documents) + len(changes.gone)


def _record_start(connection: Connection[Any], uid: str) -> None:
    connection.execute(
        "INSERT INTO es.search_index (uid) VALUES (%s) ON CONFLICT (uid) DO UPDATE SET position = 0,"
        " caught_up_at = NULL, moved_at = clock_timestamp(), error = NULL",
        (uid,),
    )


def _record(connection: Connection[Any], uid: str, position: int, *, caught_up: bool) -> None:
    connection.execute(
        "INSERT INTO es.search_index AS i (uid, position, caught_up_at)"
        " VALUES (%(uid)s, %(position)s, CASE WHEN %(caught_up)s THEN clock_timestamp() END)"
        " ON CONFLICT (uid) DO UPDATE SET position = excluded.position, moved_at = clock_timestamp(), error = NULL,"
        " caught_up_at = coalesce(excluded.caught_up_at, i.caught_up_at)"
        " WHERE i.position <> excluded.position OR i.caught_up_at IS NULL OR i.error IS NOT NULL",
        {"uid": uid, "position": position, "caught_up": caught_up},
    )


def _record_error(connection: Connection[Any], uid: str, error: str) -> None:
    connection.execute(
        "INSERT INTO es.search_index (uid, error) VALUES (%s, %s)"
        " ON CONFLICT (uid) DO UPDATE SET error = excluded.error",
        (uid, error),
    )
