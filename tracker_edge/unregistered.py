"""Which users announce info-hashes that no torrent has?

An operational record for staff (a client with a deleted torrent, or a leaked file), not history: the newest are kept in
memory between two writes, an edge that is killed forgets up to ten seconds of it, and a table keeps 30 days.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

#: Pairs of user and hash in memory; one that makes hashes up pushes out what was noted longest ago.
NOTED_MAX = 10_000
#: Of one user in the table.
KEPT_PER_USER = 100
KEPT_FOR = timedelta(days=30)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Noted(NamedTuple):
    """Announces of one user for one hash; times are UTC microseconds."""

    user_id: bytes  # 16 bytes
    info_hash: bytes  # 20 bytes
    announces: int
    first_us: int
    last_us: int


class Unregistered:
    """What was announced since the last write."""

    def __init__(self) -> None:
        self._noted: OrderedDict[tuple[bytes, bytes], Noted] = OrderedDict()

    def note(self, user_id: bytes, info_hash: bytes, now_us: int) -> None:
        """One announce of that user for a hash that no torrent has."""
        key = user_id, info_hash
        before = self._noted.pop(key, None)
        announces, first_us = (before.announces, before.first_us) if before else (0, now_us)
        self._noted[key] = Noted(user_id, info_hash, announces + 1, first_us, now_us)
        if len(self._noted) > NOTED_MAX:
            self._noted.popitem(last=False)

    def take(self) -> list[Noted]:
        """What was noted since the last time, the oldest first; it is the caller's to write now."""
        noted = list(self._noted.values())
        self._noted.clear()
        return noted


def write(connection: Connection[Any], noted: Sequence[Noted], now: datetime) -> None:
    """Adds to the table, in one transaction, and forgets what is old or too much; also with nothing to add."""
    rows = sorted(noted)  # edges that write at once take the rows' locks in one order
    with connection.transaction():
        if rows:
            _add(connection, rows)
            _trim(connection, rows)
        connection.execute(
            "DELETE FROM journal.unregistered_hash WHERE (user_id, info_hash) IN (SELECT user_id, info_hash"
            " FROM journal.unregistered_hash WHERE last_at < %s ORDER BY user_id, info_hash FOR UPDATE SKIP LOCKED)",
            (now - KEPT_FOR,),
        )


def _add(connection: Connection[Any], rows: Sequence[Noted]) -> None:
    connection.execute(
        "INSERT INTO journal.unregistered_hash AS h (user_id, info_hash, announces, first_at, last_at)"
        " SELECT * FROM unnest(%s::uuid[], %s::bytea[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])"
        " ON CONFLICT (user_id, info_hash) DO UPDATE SET announces = h.announces + excluded.announces,"
        " first_at = least(h.first_at, excluded.first_at), last_at = greatest(h.last_at, excluded.last_at)",
        (
            [UUID(bytes=row.user_id) for row in rows],
            [row.info_hash for row in rows],
            [row.announces for row in rows],
            [_moment(row.first_us) for row in rows],
            [_moment(row.last_us) for row in rows],
        ),
    )


def _trim(connection: Connection[Any], rows: Sequence[Noted]) -> None:
    """Leaves each of these users its newest; those that another edge is writing wait for the next time."""
    connection.execute(
        "DELETE FROM journal.unregistered_hash WHERE (user_id, info_hash) IN ("
        "  SELECT h.user_id, h.info_hash FROM journal.unregistered_hash h JOIN ("
        "    SELECT user_id, info_hash, row_number() OVER (PARTITION BY user_id ORDER BY last_at DESC, info_hash) AS n"
        "    FROM journal.unregistered_hash WHERE user_id = ANY (%s)) ranked USING (user_id, info_hash)"
        "  WHERE ranked.n > %s FOR UPDATE OF h SKIP LOCKED)",
        ([UUID(bytes=user_id) for user_id in {row.user_id for row in rows}], KEPT_PER_USER),
    )


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
