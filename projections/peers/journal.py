"""Segments of the announce journal, settled: sessions, transfers, statistics, snatches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from domain.announces import Announce, decode
from domain.errors import Conflict
from domain.factors import Promotions
from domain.peers import EdgeJournal
from domain.tally import Tally
from domain.torrents import Torrent
from projections.peers import rows
from projections.peers.projection import peers
from projections.peers.windows import windows
from runtime.db import Writer
from runtime.facts import Fact
from runtime.journal import BrokenChain, Head, Segment, verify

#: What is settled at once ends with the segment that reaches this: bounds memory while an outage is caught up.
ANNOUNCES_AT_ONCE = 20_000


class SegmentsArchived(Conflict):
    """The segments of a fact lie in files, where no projection reads."""


@peers.on(EdgeJournal.SegmentsRecorded)
def segments_recorded(fact: Fact[EdgeJournal.SegmentsRecorded], db: Writer) -> None:
    event = fact.event
    _refuse_archived(db, event)
    head = _head(db, event.edge_id)
    for segments in _portions(_segments(db, event)):
        head = verify(segments, head)
        batch = [(segment.seq, decode(segment.payload)) for segment in segments]
        tally = _tally(db, [announce for _, records in batch for announce in records])
        for seq, records in batch:
            tally.add(seq, records)
        tally.close()
        rows.write(db, fact.position, event.edge_id, tally)
    if head is None or (head.seq, head.sha256.hex()) != (event.last_seq, event.sha256):
        raise BrokenChain(f"the journal of {event.edge_id} does not end as the fact at {fact.position} says")
    db.execute(
        "INSERT INTO projected_segment (edge_id, seq, sha256) VALUES (%s, %s, %s)"
        " ON CONFLICT (edge_id) DO UPDATE SET seq = excluded.seq, sha256 = excluded.sha256",
        (head.edge_id, head.seq, head.sha256),
    )


@peers.on(Torrent.Deleted)
def torrent_deleted(fact: Fact[Torrent.Deleted], db: Writer) -> None:
    """The swarm is gone at once; what it earned stays."""
    db.execute("INSERT INTO deleted_torrent (torrent_id) VALUES (%s)", (fact.stream_id,))
    db.execute(
        "WITH gone AS (UPDATE peer SET active = false, ipv4 = NULL, port4 = NULL, ipv6 = NULL, port6 = NULL"
        "  WHERE torrent_id = %s AND active RETURNING user_id, seeder),"
        " gone_user AS (SELECT user_id, bool_or(seeder)::int AS seeding, bool_or(NOT seeder)::int AS leeching"
        "  FROM gone GROUP BY user_id)"
        " UPDATE user_stats u SET seeding = u.seeding - g.seeding, leeching = u.leeching - g.leeching"
        " FROM gone_user g WHERE g.user_id = u.user_id",
        (fact.stream_id,),
    )
    db.execute("UPDATE torrent_stats SET seeders = 0, leechers = 0 WHERE torrent_id = %s", (fact.stream_id,))


def _head(db: Writer, edge_id: str) -> Head | None:
    rows = db.rows("SELECT edge_id, seq, sha256 FROM projected_segment WHERE edge_id = %s", (edge_id,))
    return Head(*rows[0]) if rows else None


def _refuse_archived(db: Writer, event: EdgeJournal.SegmentsRecorded) -> None:
    """A rebuild reads the journal from its first day, so the days that lie in files have to come back first."""
    days = db.rows(
        "SELECT DISTINCT day FROM journal.archived_day WHERE edge_id = %s AND first_seq <= %s AND last_seq >= %s"
        " ORDER BY day",
        (event.edge_id, event.last_seq, event.first_seq),
    )
    if days:
        raise SegmentsArchived(
            f"the journal of {event.edge_id} is archived: run `tracker journal restore {days[0][0]}` first"
        )


def _segments(db: Writer, event: EdgeJournal.SegmentsRecorded) -> Iterator[Segment]:
    """The segments that the fact names; the journal is a source of facts like the log."""
    rows = db.rows(
        "SELECT edge_id, seq, announces, first_at, last_at, sha256, previous, data FROM journal.segment"
        " WHERE edge_id = %s AND seq BETWEEN %s AND %s ORDER BY seq",
        (event.edge_id, event.first_seq, event.last_seq),
    )
    return (Segment(*row) for row in rows)


def _portions(segments: Iterable[Segment]) -> Iterator[list[Segment]]:
    portion: list[Segment] = []
    for segment in segments:
        portion.append(segment)
        if sum(one.announces for one in portion) >= ANNOUNCES_AT_ONCE:
            yield portion
            portion = []
    if portion:
        yield portion


def _tally(db: Writer, announces: Sequence[Announce]) -> Tally:
    """A tally that knows all that there is to know of these announces' users and torrents."""
    pairs = {(announce.torrent_id, announce.user_id) for announce in announces}
    torrents = {torrent_id for torrent_id, _ in pairs}
    users = {user_id for _, user_id in pairs}
    promotions = Promotions(windows(db, torrents | users, min(a.received_at_us for a in announces)))
    return Tally(rows.clients(db, pairs), promotions, rows.deleted(db, torrents))
