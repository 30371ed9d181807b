"""Follows the read tables behind the access snapshot: one poll is one indexed query."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from psycopg import Connection

from domain.announce_rules import ANNOUNCE_RULES, DEFAULT_PEERS_PER_TORRENT, DEFAULT_REFUSED_PORTS
from domain.client_rules import ClientRuleKind, ClientRules, Terms
from runtime.knowledge import Knowledge
from tracker_edge.access import Changes, Rules, TorrentRow, UserRow, changes

log = structlog.get_logger()

#: A client that starts right after the download of a new torrent is told "unregistered" when the edge does not know it
#: yet, and does not ask again for an hour and a half. One indexed query tells whether there is anything to read.
POLL_S = 0.02
#: Between attempts while PostgreSQL is away; announces go on from the snapshot.
RETRY_S = 1.0


def newest(connection: Connection[Any]) -> tuple[int, int, int]:
    """The positions of the last changes of users, of torrents and of rules; -1 where there is nothing."""
    row = connection.execute(
        "SELECT coalesce((SELECT max(changed_pos) FROM read.announce_user), -1),"
        " coalesce((SELECT max(changed_pos) FROM read.announce_torrent), -1),"
        " coalesce(greatest((SELECT max(changed_pos) FROM read.announce_client_rule),"
        "  (SELECT max(changed_pos) FROM read.announce_rules)), -1)",
        prepare=True,
    ).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


def read_changes(
    connection: Connection[Any], site_secret: bytes, position: tuple[int, int], rules_position: int = -1
) -> Changes | None:
    """What changed after these positions, None when nothing did; everything when a table was rebuilt. Rules are few:
    when one of them changed, all are read."""
    # One snapshot: a rebuild swaps tables between two statements otherwise.
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        *last, last_rules = newest(connection)
        whole = position == (-1, -1) or last[0] < position[0] or last[1] < position[1]
        rules = None if last_rules == rules_position else read_rules(connection, last_rules)
        if tuple(last) == position and not whole and rules is None:
            return None
        after = (-1, -1) if whole else position
        users = connection.execute(
            "SELECT user_id, passkey_no, enabled, can_leech, changed_pos, download_slots FROM read.announce_user"
            " WHERE changed_pos > %s ORDER BY changed_pos",
            after[:1],
        ).fetchall()
        torrents = connection.execute(
            "SELECT torrent_id, info_hash_v1, info_hash_v2, state, reason, size, changed_pos,"
            " coalesce((extract(epoch FROM deleted_at) * 1000000)::bigint, 0) FROM read.announce_torrent"
            " WHERE changed_pos > %s ORDER BY changed_pos",
            after[1:],
        ).fetchall()
    return changes(site_secret, map(UserRow._make, users), map(TorrentRow._make, torrents), after, whole, rules)


def read_rules(connection: Connection[Any], position: int) -> Rules:
    """The rules in force; `position` is their newest changed_pos."""
    rows = connection.execute(
        "SELECT kind, name, peer_id_pattern, agent_pattern, peer_id_minimum, agent_minimum, reason, exceptions"
        " FROM read.announce_client_rule WHERE NOT withdrawn ORDER BY rule_id"
    ).fetchall()
    limits = connection.execute(
        "SELECT refused_ports, peers_per_torrent FROM read.announce_rules WHERE rules_id = %s", (ANNOUNCE_RULES,)
    ).fetchone()
    ports, peers_per_torrent = limits or (DEFAULT_REFUSED_PORTS, DEFAULT_PEERS_PER_TORRENT)
    clients = ClientRules([(ClientRuleKind(kind), Terms(*terms)) for kind, *terms in rows]) if rows else None
    return Rules(clients, frozenset(ports), peers_per_torrent, position)


class AccessFollower(threading.Thread):
    """Polls in a thread of its own and hands over what changed, in order, to `deliver` (called in this thread)."""

    def __init__(
        self, url: str, role: str, site_secret: bytes, deliver: Callable[[Changes], None], known: Knowledge
    ) -> None:
        super().__init__(name="access", daemon=True)
        self._url = url
        self._role = role
        self._secret = site_secret
        self._deliver = deliver
        self._known = known
        self._ending = threading.Event()
        self._position = (-1, -1)
        self._rules_position = -1
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
            self._known.refresh(connection)
            if self._delivered and newest(connection) == (*self._position, self._rules_position):
                continue
            found = read_changes(connection, self._secret, self._position, self._rules_position)
            if found is not None:
                self._position, self._delivered = found.position, True
                if found.rules is not None:
                    self._rules_position = found.rules.position
                self._deliver(found)
