"""What the swarms were when the edge stopped: the projected sessions, and the journal after them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from domain.announce_addresses import ReadKeys
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
    ends: dict[str, int]  # by edge, the last segment that is in `announces`


def stored(connection: Connection[Any], edge_id: str, keys: ReadKeys) -> Stored:
    """Reads in one snapshot; the iterators must be used up before the connection's transaction ends."""
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    ends = heads(connection)
    return Stored(
        _announces(connection, ends, keys),
        _completed(connection),
        next((head for head in ends if head.edge_id == edge_id), None),
        {head.edge_id: head.seq for head in ends},
    )


def stored_after(connection: Connection[Any], edge_id: str, ends: Mapping[str, int], keys: ReadKeys) -> Stored | None:
    """As `stored`, for an edge that knows all up to these segments; None when the store does not continue them."""
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    found = {head.edge_id: head for head in heads(connection)}
    now = {head.edge_id: head.seq for head in found.values()}
    if any(seq > now.get(known, 0) for known, seq in ends.items() if known != edge_id):  # ours may not be shipped yet
        return None
    after = {known: ends.get(known, 0) for known in now}
    if any(seq < now[known] and not _has(connection, known, seq + 1) for known, seq in after.items()):
        return None
    return Stored(journaled(connection, after.items(), keys), _completed(connection), found.get(edge_id), now)


def newest_us(connection: Connection[Any], edge_id: str) -> int:
    """When the edge received the newest record that it has shipped, UTC microseconds; 0 before the first."""
    row = connection.execute(
        "SELECT (extract(epoch FROM last_at) * 1000000)::bigint FROM journal.segment WHERE edge_id = %s"
        " ORDER BY seq DESC LIMIT 1",
        (edge_id,),
    ).fetchone()
    return int(row[0]) if row else 0


def _has(connection: Connection[Any], edge_id: str, seq: int) -> bool:
    found = connection.execute("SELECT 1 FROM journal.segment WHERE edge_id = %s AND seq = %s", (edge_id, seq))
    return found.fetchone() is not None


def previous_hash(head: Head | None) -> bytes:
    """The hash that the next segment of the chain follows."""
    return head.sha256 if head else GENESIS


def apply(swarms: Swarms, announce: Announce, now_us: int, now_s: int, floor_s: int = 1) -> None:
    """Replays one record, unless the peer was heard of later. `floor_s` is the earliest time that a peer gets: after a
    clock that jumped, or an edge that was away, clients have until their next announce before they count as silent."""
    at_s = max(floor_s, min(now_s, now_s - (now_us - announce.received_at_us) // 1_000_000))
    swarm = swarms.swarm(announce.torrent_id)
    user = swarms.user(announce.user_id)
    seen = swarms.last_seen(swarm, user, announce.peer_id)
    if seen is not None and seen.at_s > at_s:
        return
    swarms.announce(
        swarm,
        user,
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


def _announces(connection: Connection[Any], ends: list[Head], keys: ReadKeys) -> Iterator[Announce]:
    yield from _sessions(connection)
    projected = dict(connection.execute("SELECT edge_id, seq FROM read.projected_segment").fetchall())
    after = [(end.edge_id, projected.get(end.edge_id, 0)) for end in ends]
    yield from journaled(connection, after, keys)


def journaled(connection: Connection[Any], after: Iterable[tuple[str, int]], keys: ReadKeys) -> Iterator[Announce]:
    """What these edges have journaled after these segments, in the order in which it was received."""

    def of(edge_id: str, seq: int) -> Iterator[Announce]:
        for segment in segments(connection, edge_id, seq):
            yield from decode(segment.payload, keys)

    return heapq.merge(*(of(edge_id, seq) for edge_id, seq in after), key=itemgetter(0))


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
