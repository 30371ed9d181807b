"""What the swarms were when the edge stopped: the projected sessions, and the journal after them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from domain.announces import Announce, Event, decode, unpack
from runtime.journal import GENESIS, Head, heads, segments
from tracker_edge.journal import Journal, read_rows
from tracker_edge.swarms import Swarms

_FETCH = 5000


class Stored(NamedTuple):
    """The store's view: what is to be replayed, and where this edge's chain ends."""

    announces: Iterator[Announce]
    completed: Iterator[tuple[bytes, int]]  # torrent id, lifetime completions
    head: Head | None


def stored(connection: Connection[Any], edge_id: str) -> Stored:
    """Reads in one snapshot; the iterators must be used up before the connection's transaction ends."""
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    ends = heads(connection)
    return Stored(
        _announces(connection, ends),
        _completed(connection),
        next((head for head in ends if head.edge_id == edge_id), None),
    )


def previous_hash(head: Head | None) -> bytes:
    """The hash that the next segment of the chain follows."""
    return head.sha256 if head else GENESIS


def apply(swarms: Swarms, announce: Announce, now_us: int, now_s: int) -> None:
    """Replays one record; replaying it again, or after a later one of the same peer has been seen, changes little:
    the peer's own next announce says what holds."""
    at_s = max(1, now_s - (now_us - announce.received_at_us) // 1_000_000)
    swarms.announce(
        swarms.swarm(announce.torrent_id),
        announce.user_id,
        announce.peer_id,
        announce.event,
        announce.left,
        announce.address,
        announce.port,
        at_s,
    )


def unshipped(journal: Journal) -> Iterator[Announce]:
    """What the local files hold, in order; part of it may be in the store as well."""
    for seq in journal.closed:
        yield from unpack(read_rows(journal.directory, seq))
    yield from unpack(journal.open_rows())


def _announces(connection: Connection[Any], ends: list[Head]) -> Iterator[Announce]:
    yield from _sessions(connection)
    projected = dict(connection.execute("SELECT edge_id, seq FROM read.projected_segment").fetchall())
    for end in ends:
        for segment in segments(connection, end.edge_id, projected.get(end.edge_id, 0)):
            yield from decode(segment.payload)


def _sessions(connection: Connection[Any]) -> Iterator[Announce]:
    """Each active session as the announces that made it, one for each address."""
    with connection.cursor(name="sessions") as cursor:
        cursor.itersize = _FETCH
        cursor.execute(
            "SELECT user_id, torrent_id, peer_id, ipv4, port4, ipv6, port6, remaining,"
            " (extract(epoch FROM last_announced_at) * 1000000)::bigint FROM read.peer WHERE active"
        )
        for user_id, torrent_id, peer_id, ipv4, port4, ipv6, port6, left, at_us in cursor:
            who = _bytes(user_id), _bytes(torrent_id), bytes(peer_id)
            for address, port in ((ipv4, port4), (ipv6, port6)):
                if address is not None:
                    yield Announce(at_us, *who, Event.REGULAR, 0, 0, left, bytes(address), port or 0, 0)


def _completed(connection: Connection[Any]) -> Iterator[tuple[bytes, int]]:
    with connection.cursor(name="completed") as cursor:
        cursor.itersize = _FETCH
        cursor.execute("SELECT torrent_id, times_completed FROM read.torrent_stats WHERE times_completed > 0")
        for torrent_id, times in cursor:
            yield _bytes(torrent_id), times


def _bytes(value: UUID) -> bytes:
    return value.bytes
