"""Follows the read tables behind the access snapshot: one poll is two indexed queries."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from psycopg import Connection

from tracker_edge.access import Changes, TorrentRow, UserRow, changes

log = structlog.get_logger()

#: A client that starts right after the download of a new torrent is told "unregistered" when the edge does not know it
#: yet, and does not ask again for an hour and a half. One indexed query tells whether there is anything to read.
POLL_S = 0.02
#: Between attempts while PostgreSQL is away; announces go on from the snapshot.
RETRY_S = 1.0


def newest(connection: Connection[Any]) -> tuple[int, int]:
    """The positions of the last changes of users and of torrents, -1 for an empty table."""
    row = connection.execute(
        "SELECT coalesce((SELECT max(changed_pos) FROM read.announce_user), -1),"
        " coalesce((SELECT max(changed_pos) FROM read.announce_torrent), -1)",
        prepare=True,
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def read_changes(connection: Connection[Any], site_secret: bytes, position: tuple[int, int]) -> Changes | None:
    """What changed after `position`, None when nothing did; everything when a table was rebuilt."""
    # One snapshot: a rebuild swaps tables between two statements otherwise.
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        last = newest(connection)
        whole = position == (-1, -1) or last[0] < position[0] or last[1] < position[1]
        if last == position and not whole:
            return None
        after = (-1, -1) if whole else position
        users = connection.execute(
            "SELECT user_id, passkey_no, enabled, can_leech, changed_pos FROM read.announce_user"
            " WHERE changed_pos > %s ORDER BY changed_pos",
            after[:1],
        ).fetchall()
        torrents = connection.execute(
            "SELECT torrent_id, info_hash_v1, info_hash_v2, state, reason, size, changed_pos FROM read.announce_torrent"
            " WHERE changed_pos > %s ORDER BY changed_pos",
            after[1:],
        ).fetchall()
    return changes(site_secret, map(UserRow._make, users), map(TorrentRow._make, torrents), after, whole)


class AccessFollower(threading.Thread):
    """Polls in a thread of its own and hands over what changed, in order, to `deliver` (called in this thread)."""

    def __init__(self, url: str, role: str, site_secret: bytes, deliver: Callable[[Changes], None]) -> None:
        super().__init__(name="access", daemon=True)
        self._url = url
        self._role = role
        self._secret = site_secret
        self._deliver = deliver
        self._ending = threading.Event()
        self._position = (-1, -1)
        self._delivered = False  # an edge waits for its first snapshot, even an empty one

    def run(self) -> None:
        while not self._ending.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True, connect_timeout=2) as connection:
                    self._follow(connection)
            except Exception as error:  # a thread that ends would leave the snapshot as it is for ever
                log.warning("access_unreadable", error=type(error).__name__)
                self._ending.wait(RETRY_S)

    def stop(self) -> None:
        """Ends the thread; returns when it has ended."""
        self._ending.set()
        self.join(timeout=5)

    def _follow(self, connection: Connection[Any]) -> None:
        connection.execute(psycopg.sql.SQL("SET ROLE {}").format(psycopg.sql.Identifier(self._role)))
        connection.execute("SET statement_timeout = '10s'")
        while not self._ending.wait(POLL_S):
            if self._delivered and newest(connection) == self._position:
                continue
            found = read_changes(connection, self._secret, self._position)
            if found is not None:
                self._position, self._delivered = found.position, True
                self._deliver(found)
