"""What an edge gets from outside and gives back: the site's store, or what tests and benchmarks put in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import psycopg

from domain.announce_addresses import WriteKeys
from domain.announces import Announce
from domain.base import SYSTEM
from runtime.journal import GENESIS, heads
from runtime.platform import Platform
from runtime.roles import APP_ROLE
from tracker_edge import restore, unregistered
from tracker_edge.access import Changes
from tracker_edge.access_table import AccessFollower
from tracker_edge.segments import Ship, into_store
from tracker_edge.tail import Deliver, Tail
from tracker_edge.unregistered import Noted

#: Who writes the tables behind the access snapshot.
FOLLOWER = "announce_access"

Replay = Callable[[Announce], None]
Completed = Callable[[bytes, int], None]


class Following(Protocol):
    """A source of access changes that runs beside the loop."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True)
class Sources:
    """What an edge gets from outside and gives back: replaced by tests and benchmarks.

    `follow` makes a follower that hands changes over from any thread. `restore` gives what is to be replayed, lifetime
    completions by torrent, this edge's next sequence number and the hash that its next segment follows; it notes in
    `ends` up to which segment of each edge it has read. `tail` makes a follower of what comes after that.
    `keys` gives those under which addresses are shipped.
    `restore_after` is `restore` for an edge that knows everything up to `ends`; None when the store has other ends.
    """

    announce_secret: bytes
    follow: Callable[[Callable[[Changes], None]], Following]
    restore: Callable[[Replay, Completed], tuple[int, bytes]]
    ship: Ship
    keys: WriteKeys
    ends: dict[str, int] = field(default_factory=dict)
    tail: Callable[[Deliver, Callable[[int], None]], Following] | None = None
    restore_after: Callable[[Replay, Completed], tuple[int, bytes] | None] | None = None
    head: Callable[[str], bytes] | None = None  # the hash that the next segment of an edge follows
    note_unregistered: Callable[[Sequence[Noted]], None] | None = None
    newest_us: Callable[[], int] = lambda: 0  # when the newest record of this edge in the store was received
    rights_age_s: Callable[[], float] = lambda: 0.0  # how old what `follow` has delivered is


def from_platform(platform: Platform, edge_id: str | None = None) -> Sources:
    """The sources of an edge of the site, the one of the settings unless another is named."""
    url = platform.settings.database.url
    edge_id = edge_id or platform.settings.edge.id
    secret = platform.secrets.site
    ends: dict[str, int] = {}
    newest_us = [0]
    known = platform.knowledge(FOLLOWER)
    read_keys = platform.keyring.read_keys

    def read(replay: Replay, completed: Completed) -> tuple[int, bytes]:
        found = read_with(lambda connection: restore.stored(connection, edge_id, read_keys), replay, completed)
        assert found is not None
        return found

    def read_after(replay: Replay, completed: Completed) -> tuple[int, bytes] | None:
        known = dict(ends)
        return read_with(lambda c: restore.stored_after(c, edge_id, known, read_keys), replay, completed)

    def read_with(
        question: Callable[[psycopg.Connection[Any]], restore.Stored | None],
        replay: Replay,
        completed: Completed,
    ) -> tuple[int, bytes] | None:
        with psycopg.connect(url, connect_timeout=2) as connection:
            connection.execute(psycopg.sql.SQL("SET LOCAL ROLE {}").format(psycopg.sql.Identifier(APP_ROLE)))
            found = question(connection)
            if found is None:
                return None
            newest_us[0] = restore.newest_us(connection, edge_id)
            for announce in found.announces:
                replay(announce)
            for torrent_id, times in found.completed:
                completed(torrent_id, times)
            ends.clear()
            ends.update(found.ends)
            return (found.head.seq if found.head else 0) + 1, restore.previous_hash(found.head)

    def head(edge_id: str) -> bytes:
        with platform.pool.connection() as connection:
            return restore.previous_hash(next((one for one in heads(connection) if one.edge_id == edge_id), None))

    def note_unregistered(noted: Sequence[Noted]) -> None:
        with platform.pool.connection() as connection:
            unregistered.write(connection, noted, datetime.now(UTC))

    return Sources(
        announce_secret=secret,
        follow=lambda deliver: AccessFollower(url, APP_ROLE, secret, deliver, known),
        restore=read,
        ship=into_store(lambda: platform.store(SYSTEM, "edge")),
        keys=platform.keyring.write_keys,
        ends=ends,
        tail=lambda deliver, head: Tail(url, APP_ROLE, edge_id, ends, read_keys, deliver, head),
        restore_after=read_after,
        note_unregistered=note_unregistered,
        newest_us=lambda: newest_us[0],
        rights_age_s=lambda: known.age_s,
        head=head,
    )


def nothing_to_restore(_: Replay, __: Completed) -> tuple[int, bytes]:
    """The `restore` of an edge without a store."""
    return 1, GENESIS
